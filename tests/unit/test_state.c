// STATE topics: a snapshot on joining, the newest value for the slow, never an older one.
#include "unit.h"

static void state_value_is_stored_and_read_back(U_STATE) {
    t_world *w = t_begin();
    size_t len = 99;
    assert_null(rtpush_state_get(&w->srv, T_TEMP, &len));
    T_EQ(t_publish_text(w, T_TEMP, "21.5"), RTPUSH_OK);
    const char *value = (const char *)rtpush_state_get(&w->srv, T_TEMP, &len);
    T_EQ(len, 4);
    assert_memory_equal(value, "21.5", 4);
    T_EQ(t_publish_text(w, T_TEMP, ""), RTPUSH_OK);
    assert_non_null(rtpush_state_get(&w->srv, T_TEMP, &len));
    T_EQ(len, 0);
    assert_null(rtpush_state_get(&w->srv, T_LOG, &len));
    assert_null(rtpush_state_get(&w->srv, 99, &len));
}

static void state_takes_up_to_max(U_STATE) {
    static char text[64];
    memset(text, 's', sizeof text);
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(t_publish(w, T_TEMP, text, 41), RTPUSH_ERR_TOO_BIG);
    T_EQ(t_publish(w, T_TEMP, text, 40), RTPUSH_OK);
    t_run(w);
    u_expect(p, "temp: ssssssssssssssssssssssssssssssssssssssss\n");
}

// Bytes never go into an event stream, so none of them counts as a line end there.
static void state_of_bytes_is_measured_as_bytes(U_STATE) {
    static const rtpush_topic topics[] = {{"bin", &rtpush_topic_state, RTPUSH_BINARY, 128}};
    static char bytes[129];
    t_world *w = t_fixture();
    w->desc.topics = topics;
    w->desc.topic_count = 1;
    w->desc.tx_size = 256;
    w->desc.route_count = T_R_EVENTS; // no SSE and no poll
    t_start(w);
    u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
    for (int fill = 0; fill < 256; fill++) {
        memset(bytes, fill, sizeof bytes);
        T_EQ(t_publish(w, 0, bytes, 128), RTPUSH_OK);
        T_EQ(t_publish(w, 0, bytes, 129), RTPUSH_ERR_TOO_BIG);
        t_run(w);
        u_read(p);
        T_CHECK(t_find(p->seen.data, p->seen.len, (const uint8_t *)bytes, 128) != NULL,
                "128 bytes of %02x are not delivered", (unsigned)fill);
        u_clear(p);
    }
}

static void state_joins_with_a_snapshot_after_the_notice(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    t_start(w);
    t_publish_text(w, T_TEMP, "20");
    t_publish_text(w, T_TEMP, "21");
    t_publish_text(w, T_LED, "on");
    t_publish_text(w, T_LOG, "before");
    u_peer *sse = u_open(w, "{GET /events}");
    u_is(sse, "rtpush: fresh 5\ntemp: 21\nled: on\n");
    u_peer *some = u_open(w, "{GET /events?topics=led,log}");
    u_is(some, "rtpush: fresh 5\nled: on\n");
    u_peer *raw = u_open(w, "{WS /ws}");
    u_is(raw, "101 \n1 21\n1 on\n");
    u_peer *tagged = u_open(w, "{WSP /ws rtpush.1}");
    u_expect(tagged, " rtpush\nfresh 5\n| temp\n21\n| led\non\n");
}

static void state_never_published_is_not_sent(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /events}");
    u_is(p, "rtpush: fresh 5\n");
}

static void state_fast_reader_gets_every_value(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    for (int i = 0; i < 100; i++) {
        char text[32];
        char want[32];
        snprintf(text, sizeof text, "%d", i);
        snprintf(want, sizeof want, "temp: %d\n", i);
        t_publish_text(w, T_TEMP, text);
        t_run(w);
        u_is(p, want);
    }
    T_EQ(rtpush_get_counters(&w->srv)->states_sent, 100);
}

static void state_slow_reader_gets_the_newest(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    for (int i = 0; i < 3000; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d", i);
        t_publish_text(w, T_TEMP, text);
        t_run(w);
    }
    T_CHECK(!t_ended(p->c), "dropped");
    p->c->window = SIZE_MAX;
    t_run(w);
    u_read(p);
    const char *seen = t_text(&p->seen);
    T_CHECK(p->seen.len >= 7 && strcmp(seen + p->seen.len - 7, "1 2999\n") == 0, "the last is %s",
            seen);
    T_EQ(t_app_of(w)->missed, 0); // conflated, not lost
}

// Values given only when they can be taken: what waits in tx is bounded and grows no older.
static void state_slow_reader_gets_no_stale_values(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    int last = -1;
    int seen = 0;
    p->c->window = 0;
    for (int i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d", i);
        t_publish_text(w, T_TEMP, text);
        p->c->window += 5; // 5 bytes for each value
        t_run(w);
        u_read(p);
        for (char *at = (char *)p->seen.data; (at = strstr(at, "temp: ")) != NULL; at++) {
            int value = atoi(at + 6);
            T_CHECK(value > last, "%d after %d", value, last);
            last = value;
            seen++;
        }
        u_clear(p);
        T_CHECK(last < 0 || i - last < 130, "value %d is given when %d is stored", last, i);
    }
    T_CHECK(seen > 100, "only %d values", seen);
}

// Alternate one state value, one record: a flood of either does not starve the other.
static void state_and_events_alternate(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 2048;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events}");
    p->c->window = 0;
    int temps = 0;
    int logs = 0;
    for (int i = 0; i < 600; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d", i);
        t_publish_text(w, T_TEMP, text);
        t_publish_text(w, T_LED, text);
        t_publish_text(w, T_LOG, text);
        p->c->window += 40;
        t_run(w);
        u_read(p);
        for (const char *at = t_text(&p->seen); (at = strstr(at, "temp: ")) != NULL; at++) {
            temps++;
        }
        for (const char *at = t_text(&p->seen); (at = strstr(at, "log: ")) != NULL; at++) {
            logs++;
        }
        u_clear(p);
    }
    T_CHECK(temps > 40 && logs > 40, "%d values and %d events", temps, logs);
}

// Invariant 9: after quiet every reader has the stored value.
static void state_after_quiet_everyone_has_the_value(U_STATE) {
    for (size_t stop = 0; stop < 120; stop += 3) {
        t_world *w = t_begin();
        u_peer *p = u_stream(w, "{GET /events}");
        u_peer *q = u_stream(w, "{WSP /ws rtpush.1}");
        p->c->window = stop;
        q->c->window = stop / 2;
        p->c->hold_acks = 1;
        for (int i = 0; i < 40; i++) {
            char text[32];
            snprintf(text, sizeof text, "v%d", i);
            t_publish_text(w, i % 2 ? T_TEMP : T_LED, text);
            if (i % 3 == 0) {
                t_publish_text(w, T_LOG, "event");
            }
            t_run(w);
        }
        p->c->window = q->c->window = SIZE_MAX;
        p->c->hold_acks = 0;
        t_ack(p->c, p->c->unacked);
        t_run(w);
        u_read(p);
        u_read(q);
        const char *last = NULL;
        for (const char *at = t_text(&p->seen); (at = strstr(at, "temp: ")) != NULL; at++) {
            last = at;
        }
        T_CHECK(last != NULL && strncmp(last, "temp: v39\n", 10) == 0, "stopped at %lu: %s",
                (unsigned long)stop, last ? last : "none");
        for (const char *at = t_text(&q->seen); (at = strstr(at, "led\n")) != NULL; at++) {
            last = at;
        }
        T_CHECK(strncmp(last, "led\nv38\n", 8) == 0, "stopped at %lu: %s", (unsigned long)stop,
                last);
        u_free(p);
        u_free(q);
        t_finish(w);
    }
}

static void state_resume_brings_the_values_again(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /events}");
    t_publish_text(w, T_LOG, "one");
    t_publish_text(w, T_TEMP, "21");
    t_run(w);
    u_read(p);
    char text[160];
    snprintf(text, sizeof text, "{GET /events?last_event_id=%s}", p->last_id);
    u_free(p);
    t_publish_text(w, T_LOG, "two");
    t_publish_text(w, T_TEMP, "22");
    p = u_open(w, text);
    u_read(p);
    T_CHECK(strstr(t_text(&p->seen), "rtpush: replayed 1 5\n") != NULL &&
                strstr(t_text(&p->seen), "temp: 22\n") != NULL &&
                strstr(t_text(&p->seen), "log: two\n") != NULL &&
                strstr(t_text(&p->seen), "temp: 21") == NULL,
            "seen %s", t_text(&p->seen));
}

static void state_from_an_interrupt(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(rtpush_publish_from(&w->srv, T_TEMP, "isr", 3), RTPUSH_OK);
    T_EQ(w->wakes, 1);
    t_run(w);
    u_is(p, "temp: isr\n");
}

// rtpush_subscribe: newly added STATE topics bring their value, EVENT topics begin now.
static void state_subscribing_later_brings_the_value(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events?topics=chat}");
    t_publish_text(w, T_TEMP, "21");
    t_publish_text(w, T_LOG, "unheard");
    t_publish_text(w, T_CHAT, "hi");
    t_run(w);
    u_is(p, "chat: hi\n");
    w->call = T_IN_API;
    T_EQ(rtpush_subscribe(&w->srv, p->c->handle, 1u << T_TEMP | 1u << T_LOG), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_is(p, "temp: 21\n");
    t_publish_text(w, T_LOG, "heard");
    t_publish_text(w, T_CHAT, "left");
    t_publish_text(w, T_TEMP, "22");
    t_run(w);
    u_read(p);
    T_CHECK(strstr(t_text(&p->seen), "log: heard\n") && strstr(t_text(&p->seen), "temp: 22\n") &&
                !strstr(t_text(&p->seen), "left"),
            "seen %s", t_text(&p->seen));
    T_EQ(t_app_of(w)->missed, 0);
}

static void state_of_long_lines_fits_or_is_refused(U_STATE) {
    static const rtpush_topic topics[] = {{"s", &rtpush_topic_state, 0, 120}};
    static char text[120];
    memset(text, '\n', sizeof text);
    t_world *w = t_fixture();
    w->desc.topics = topics;
    w->desc.topic_count = 1;
    w->desc.tx_size = 256;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events}");
    int stored = 0;
    for (size_t len = 1; len <= 120; len++) {
        int result = t_publish(w, 0, text, len);
        T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_TOO_BIG, "publish: %d", result);
        stored = result == RTPUSH_OK ? (int)len : stored;
        t_run(w);
        u_read(p);
        T_CHECK(p->events == (unsigned)stored, "%d values stored, %u seen", stored, p->events);
    }
    T_CHECK(stored > 10, "only %d", stored);
}

static const t_conn *watched;
static uint16_t queued_at_lock;

static void watch_lock(void *ctx) {
    t_hook_lock(ctx);
    queued_at_lock = watched->conn ? watched->conn->tx_len : 0;
}

static void watch_unlock(void *ctx) {
    T_CHECK(!watched->conn || watched->conn->tx_len == queued_at_lock, "formatted under the lock");
    t_hook_unlock(ctx);
}

// Interrupts are masked while the log is locked: a value is copied there, and formatted later.
static void state_is_formatted_outside_the_lock(void **state) {
    (void)state;
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    rtpush_hooks hooks = w->srv.hooks;
    watched = p->c;
    hooks.lock = watch_lock;
    hooks.unlock = watch_unlock;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_OK);
    T_EQ(t_publish_text(w, T_TEMP, "2\n1.5"), RTPUSH_OK);
    t_run(w);
    u_is(p, "temp: 2\n1.5\n");
    u_free(p);
    t_finish(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(state_value_is_stored_and_read_back),
        u_test(state_takes_up_to_max),
        u_test(state_of_bytes_is_measured_as_bytes),
        u_test(state_joins_with_a_snapshot_after_the_notice),
        u_test(state_never_published_is_not_sent),
        u_test(state_fast_reader_gets_every_value),
        u_test(state_slow_reader_gets_the_newest),
        u_test(state_slow_reader_gets_no_stale_values),
        u_test(state_and_events_alternate),
        u_test(state_after_quiet_everyone_has_the_value),
        u_test(state_resume_brings_the_values_again),
        u_test(state_from_an_interrupt),
        u_test(state_subscribing_later_brings_the_value),
        u_test(state_of_long_lines_fits_or_is_refused),
        u_test(state_is_formatted_outside_the_lock),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
