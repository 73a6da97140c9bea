// Sequence numbers that run out begin a new epoch. Here they run out every 40 events.
#define RTPI_SEQ_END 40u
#define U_INSIDE
#include "unit.h"

static void publish_number(t_world *w, int i) {
    char text[120];
    snprintf(text, sizeof text, "event %d ..............................................", i);
    T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
}

static void epoch_changes_and_readers_are_told(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    t_start(w);
    t_publish_text(w, T_TEMP, "21");
    u_peer *sse = u_stream(w, "{GET /events}");
    u_peer *tagged = u_stream(w, "{WSP /ws rtpush.1}");
    int resets = 0;
    int events = 0;
    for (int i = 0; i < 1000; i++) {
        publish_number(w, i);
        t_run(w);
        u_read(sse);
        u_read(tagged);
        resets += strstr(t_text(&sse->seen), "rtpush: reset 5\n") != NULL;
        events += strstr(t_text(&sse->seen), "log: event") != NULL;
        if (strstr(t_text(&sse->seen), "reset") != NULL) { // and the values again
            T_CHECK(strstr(t_text(&sse->seen), "temp: 21\n") != NULL, "seen %s",
                    t_text(&sse->seen));
        }
        u_clear(sse);
        u_clear(tagged);
    }
    T_CHECK(resets >= 20 && resets <= 30, "%d epochs in 1,000 events", resets);
    T_CHECK(events >= 950, "%d events of 1,000", events);
    T_CHECK(rtpush_last_id(&w->srv).epoch >= 0x00C0FFEE + 20, "the epoch is %lx",
            (unsigned long)rtpush_last_id(&w->srv).epoch);
    size_t len;
    const char *temp = (const char *)rtpush_state_get(&w->srv, T_TEMP, &len);
    T_CHECK(temp != NULL && len == 2 && memcmp(temp, "21", 2) == 0, "the value is lost");
}

static void epoch_of_state_revisions_changes_too(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    for (int i = 0; i < 300; i++) {
        char text[16];
        char want[32];
        snprintf(text, sizeof text, "%d", i);
        snprintf(want, sizeof want, "temp: %d\n", i);
        T_EQ(t_publish_text(w, T_TEMP, text), RTPUSH_OK);
        t_run(w);
        u_expect(p, want);
    }
}

// Bytes in flight when it happens stay what they are; the harness compares them.
static void epoch_change_spares_bytes_in_flight(U_STATE) {
    for (size_t window = 0; window < 400; window += 13) {
        static const char *const hello[] = {"{WS /ws}", "{WSP /ws rtpush.1}", "{GET /events}"};
        t_world *w = t_fixture();
        w->desc.log_size = 2048;
        w->desc.tx_size = 256;
        w->desc.conn_count = 6;
        w->quiet = 1;
        t_start(w);
        u_peer *p[3];
        for (int k = 0; k < 3; k++) {
            p[k] = u_stream(w, hello[k]);
            p[k]->c->hold_acks = 1;
            p[k]->c->window = window;
        }
        for (int i = 0; i < 150; i++) {
            publish_number(w, i);
            t_run(w);
            for (int k = 0; k < 3; k++) {
                if (p[k]->c->conn == NULL) { // dropped: comes back
                    u_free(p[k]);
                    t_run_ready(w);
                    p[k] = u_stream(w, hello[k]);
                    p[k]->c->hold_acks = 1;
                    p[k]->c->window = window;
                }
                t_ack(p[k]->c, (size_t)i % 50);
                p[k]->c->window += (size_t)i % 90;
                u_read(p[k]); // every prefix parses
                u_clear(p[k]);
            }
        }
        for (int k = 0; k < 3; k++) {
            u_free(p[k]);
        }
        t_finish(w);
    }
}

// rtpush_desc.epoch: "never 0", so the one after the last is 1.
static void epoch_is_never_0(U_STATE) {
    t_world *w = t_fixture();
    w->desc.epoch = 0xFFFFFFFFu;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    for (int i = 0; i < 41; i++) {
        publish_number(w, i);
    }
    t_run(w);
    T_EQ(rtpush_last_id(&w->srv).epoch, 1);
    publish_number(w, 41);
    t_run(w);
    u_read(p);
    assert_string_equal(p->last_id, "00000001-00000001");
}

// Another context, in the middle of rtpush_publish_from, has a number of the old epoch.
static rtpi_record *e_claimed;

static void e_claim(t_world *w) {
    rtpush_server *srv = &w->srv;
    if (srv->epoch_due && w->call == T_IN_NEXT) { // found by rtpi_sync, and not begun yet
        w->on_unlock = NULL;
        rtpi_lock(srv);
        e_claimed = rtpi_claim(srv, rtpi_log_fit(srv, rtpi_record_size(5)), T_LOG, 5);
        rtpi_unlock(srv);
    }
}

static void epoch_waits_for_a_record_that_is_being_written(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    for (int i = 0; i < 40; i++) {
        publish_number(w, i);
    }
    e_claimed = NULL;
    w->on_unlock = e_claim;
    t_run(w);
    assert_non_null(e_claimed);
    T_EQ(rtpush_last_id(&w->srv).epoch, 0x00C0FFEE);
    u_clear(p);
    memcpy(rtpi_payload_open(e_claimed), "whole", 5); // now it goes on
    rtpi_encode(&w->srv, e_claimed);
    rtpi_lock(&w->srv);
    rtpi_done(&w->srv, e_claimed);
    rtpi_unlock(&w->srv);
    t_run(w);
    T_EQ(rtpush_last_id(&w->srv).epoch, 0x00C0FFEF);
    publish_number(w, 77);
    t_run(w);
    u_read(p);
    T_CHECK(strstr(t_text(&p->seen), "rtpush: reset 5\nlog: event 77") != NULL, "seen %s",
            t_text(&p->seen));
}

// A plan that readers share is of one epoch: numbers begin again, and are others.
static void epoch_ends_shared_plans(U_STATE) {
    t_world *w = t_fixture();
    w->plan_size = 1024;
    t_start(w);
    u_peer *a = u_stream(w, "{GET /events?topics=log}");
    u_peer *b = u_stream(w, "{GET /events?topics=log}");
    T_EQ(t_publish_text(w, T_LOG, "old"), RTPUSH_OK);
    t_run(w);
    u_is(a, "log: old\n");
    u_is(b, "log: old\n");
    for (int i = 0; i < 41; i++) {
        T_EQ(t_publish_text(w, T_TEMP, "x"), RTPUSH_OK);
    }
    t_run(w);
    T_EQ(t_publish_text(w, T_LOG, "new"), RTPUSH_OK);
    t_run(w);
    u_is(a, "rtpush: reset 5\nlog: new\n");
    u_is(b, "rtpush: reset 5\nlog: new\n");
    assert_string_equal(b->last_id, "00c0ffef-00000001");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(epoch_changes_and_readers_are_told),
        u_test(epoch_of_state_revisions_changes_too),
        u_test(epoch_change_spares_bytes_in_flight),
        u_test(epoch_is_never_0),
        u_test(epoch_waits_for_a_record_that_is_being_written),
        u_test(epoch_ends_shared_plans),
    };
    return cmocka_run_group_tests_name("epoch", tests, NULL, NULL);
}
