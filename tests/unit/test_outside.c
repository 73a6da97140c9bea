// RTPUSH_GATEWAY: ids come from outside, clients move between servers that are fed from one source.
#define RTPUSH_GATEWAY
#define RTPI_SEQ_END 40u // revisions run out every 40 values
#define U_INSIDE
#include "unit.h"

#include <signal.h>

static rtpush_id id_of(uint32_t epoch, uint32_t seq) {
    rtpush_id id = {epoch, seq};
    return id;
}

static t_world *world(uint32_t seed) {
    t_world *w = t_fixture();
    w->outside = 1;
    w->desc.seed = seed;
    w->desc.conn_count = 6;
    return w;
}

static t_world *begin(uint32_t seed) {
    t_world *w = world(seed);
    t_start(w);
    return w;
}

static int put(t_world *w, unsigned topic, uint32_t epoch, uint32_t seq, uint32_t lost,
               const char *text) {
    t_enter(w, T_IN_PUBLISH, NULL);
    int result = rtpush_publish_id(&w->srv, topic, id_of(epoch, seq), lost, text, strlen(text));
    t_leave(w);
    return result;
}

static int move(t_world *w, uint32_t epoch, uint32_t seq, uint32_t lost) {
    t_enter(w, T_IN_PUBLISH, NULL);
    int result = rtpush_advance(&w->srv, id_of(epoch, seq), lost);
    t_leave(w);
    return result;
}

static u_peer *resume(t_world *w, const char *path, const char *id) {
    char text[200];
    snprintf(text, sizeof text, "{GET %s%slast_event_id=%s}", path, strchr(path, '?') ? "&" : "?",
             id);
    return u_open(w, text);
}

#define EP 0x65000000u

// -- what is published ----------------------------------------------------------------------------

static void outside_ids_are_those_given(U_STATE) {
    t_world *w = begin(1);
    u_peer *p = u_open(w, "{GET /events}");
    T_EQ(rtpush_last_id(&w->srv).epoch, 0);
    T_EQ(rtpush_last_id(&w->srv).seq, 0);
    T_EQ(put(w, T_LOG, EP, 7, 0, "seven"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 1000000, 0, "million"), RTPUSH_OK); // a jump is no loss
    t_run(w);
    u_expect(p, "rtpush: fresh 5\n|rtpush: reset 5\n|log: seven\nlog: million\n");
    assert_string_equal(p->last_id, "65000000-000f4240");
    T_EQ(rtpush_last_id(&w->srv).seq, 1000000);
    T_EQ(put(w, T_LOG, EP, RTPUSH_SEQ_MAX, 0, "last"), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: last\n");
    assert_string_equal(p->last_id, "65000000-fffffffe");
    T_EQ(put(w, T_LOG, EP + 1, 1, 0, "next"), RTPUSH_OK);
    t_run(w);
    u_is(p, "rtpush: reset 5\nlog: next\n");
}

static void outside_duplicate_is_refused_and_changes_nothing(U_STATE) {
    t_world *w = begin(1);
    u_peer *p = u_open(w, "{GET /events}");
    T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
    t_run(w);
    u_clear(p);
    T_EQ(put(w, T_LOG, EP, 5, 0, "again"), RTPUSH_ERR_OLD);
    T_EQ(put(w, T_LOG, EP, 4, 0, "older"), RTPUSH_ERR_OLD);
    T_EQ(move(w, EP, 5, 0), RTPUSH_ERR_OLD);
    T_EQ(move(w, EP, 0, 0), RTPUSH_ERR_OLD);
    assert_string_not_equal(rtpush_strerror(RTPUSH_ERR_OLD), "");
    t_run(w);
    u_is(p, "");
    T_EQ(put(w, T_LOG, EP, 6, 0, "six"), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: six\n");
    T_EQ(rtpush_get_counters(&w->srv)->published, 2);
}

static void outside_loss_is_told_at_its_place(U_STATE) {
    t_world *w = begin(1);
    T_EQ(move(w, EP, 0, 0), RTPUSH_OK); // nothing is before
    T_EQ(put(w, T_LOG, EP, 1, 0, "one"), RTPUSH_OK);
    t_run(w);
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(put(w, T_LOG, EP, 10, 3, "ten"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 11, 0, "eleven"), RTPUSH_OK);
    T_EQ(move(w, EP, 12, 1), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 13, 0, "thirteen"), RTPUSH_OK);
    t_run(w);
    u_is(p, "rtpush: gap 3 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\nlog: thirteen\n");
    T_EQ(t_app_of(w)->missed, 4);
    u_peer *later = resume(w, "/events", "65000000-00000001"); // who comes from before
    u_is(later, "rtpush: gap 3 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\nlog: thirteen\n");
    u_peer *inside = resume(w, "/events", "65000000-00000005");
    u_is(inside, "rtpush: gap 3 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\nlog: thirteen\n");
    u_peer *told = resume(w, "/events", "65000000-00000009"); // the id of that notice
    u_is(told, "rtpush: replayed 4 5\nlog: ten\nlog: eleven\nrtpush: gap 1 5\n"
               "log: thirteen\n");
}

static const rtpush_id strange[] = {{0, 1}, {EP, 0xFFFFFFFFu}, {EP, 0}};

static void outside_bad_arguments_change_nothing(U_STATE) {
    static const char lines[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    t_world *w = world(1);
    w->desc.tx_size = 256; // where 30 line ends in an event stream do not fit
    t_start(w);
    for (size_t i = 0; i < 3; i++) {
        T_EQ(put(w, T_LOG, strange[i].epoch, strange[i].seq, 0, "x"), RTPUSH_ERR_ARGUMENT);
        if (strange[i].seq > 0) {
            T_EQ(move(w, strange[i].epoch, strange[i].seq, 0), RTPUSH_ERR_ARGUMENT);
        }
    }
    T_EQ(put(w, 4, EP, 1, 0, "x"), RTPUSH_ERR_ARGUMENT);
    T_EQ(put(w, T_LOG, EP, 5, 5, "x"), RTPUSH_ERR_ARGUMENT); // 1 to 4 are four
    T_EQ(move(w, EP, 5, 6), RTPUSH_ERR_ARGUMENT);
    T_EQ(put(w, T_LOG, EP, 1, 0, "\xFF"), RTPUSH_ERR_UTF8);
    T_EQ(put(w, T_TEMP, EP, 1, 0, "12345678901234567890123456789012345678901"),
         RTPUSH_ERR_TOO_BIG);
    T_EQ(put(w, T_TEMP, EP, 1, 0, lines), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_last_id(&w->srv).epoch, 0);
    T_EQ(rtpush_get_counters(&w->srv)->log_used, 0);
    T_EQ(put(w, T_LOG, EP, 5, 4, "x"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 7, 2, "x"), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_last_id(&w->srv).seq, 5);
}

static void outside_server_has_no_numbers_of_its_own(U_STATE) {
    t_world *w = begin(1);
    T_EQ(t_publish_text(w, T_LOG, "x"), RTPUSH_ERR_STATE);
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "x", 1), RTPUSH_ERR_STATE);
    T_EQ(rtpush_try_publish_from(&w->srv, T_LOG, "x", 1), RTPUSH_ERR_STATE);
    assert_null(rtpush_reserve(&w->srv, T_LOG, 1));
    T_EQ(t_publish_text(w, T_TEMP, "21"), RTPUSH_OK);
    u_peer *p = u_open(w, "{GET /events}");
    u_expect(p, "temp: 21\n");
    t_world *own = t_begin();
    T_EQ(put(own, T_LOG, EP, 1, 0, "x"), RTPUSH_ERR_STATE);
    T_EQ(move(own, EP, 1, 0), RTPUSH_ERR_STATE);
    T_EQ(rtpush_waiting(&own->srv), 0);
}

// RTPUSH_GATEWAY changes nothing for a server with numbers of its own: a gap is the distance.
static void outside_gap_of_own_numbers_is_their_distance(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 1024;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    p->c->window = 0;
    for (int i = 0; i < 30; i++) { // in one epoch: RTPI_SEQ_END
        T_EQ(t_publish_text(w, T_LOG, "sixty bytes of text, so that few of them are in the log"),
             RTPUSH_OK);
        t_run(w);
    }
    p->c->window = SIZE_MAX;
    t_run(w);
    unsigned events = 0;
    for (const char *at = u_read(p); (at = strstr(at, "log: ")) != NULL; at++) {
        events++;
    }
    T_CHECK(t_app_of(w)->missed > 0 && events > 0, "%u events", events);
    T_EQ(events + t_app_of(w)->missed, 30);
}

static void outside_needs_a_seed(U_STATE) {
    t_world *w = world(0);
    T_EQ(t_init(w), RTPUSH_ERR_CONFIG);
    assert_string_equal(rtpush_config_error(&w->srv), "seed: at least 1 needed, 0 given");
    w->desc.seed = 1;
    t_start(w);
}

// Another reader's topics, and none of them in the log.
static void outside_loss_is_told_also_to_who_expects_nothing(U_STATE) {
    t_world *w = begin(1);
    T_EQ(put(w, T_LOG, EP, 1, 0, "one"), RTPUSH_OK);
    t_run(w);
    u_peer *p = u_stream(w, "{GET /events?topics=chat}");
    T_EQ(put(w, T_LOG, EP, 2, 0, "two"), RTPUSH_OK);
    T_EQ(move(w, EP, 9, 2), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 10, 0, "ten"), RTPUSH_OK);
    t_run(w);
    u_is(p, "rtpush: gap 2 5\n");
    t_advance(w, 6000);
    u_read(p);
    assert_string_equal(p->last_id, "65000000-0000000a");
}

static void outside_position_is_given_by_a_keep_alive(U_STATE) {
    t_world *w = begin(1);
    T_EQ(put(w, T_LOG, EP, 1, 0, "one"), RTPUSH_OK);
    t_run(w);
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(move(w, EP, 1000, 0), RTPUSH_OK);
    t_run(w);
    u_is(p, "");
    t_advance(w, 6000);
    u_read(p);
    T_EQ(p->ids, 1);
    assert_string_equal(p->last_id, "65000000-000003e8");
}

static void outside_first_begins_with_the_oldest_event(U_STATE) {
    t_world *w = begin(1);
    T_EQ(move(w, EP, 0, 0), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 1000000, 0, "one"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 1000001, 0, "two"), RTPUSH_OK);
    u_peer *p = resume(w, "/events", "first");
    u_is(p, "rtpush: replayed 2 5\nlog: one\nlog: two\n");
}

// What was evicted is a gap, what was jumped over is not.
static void outside_eviction_is_a_gap_up_to_what_was_evicted(U_STATE) {
    t_world *w = world(1);
    w->desc.log_size = 1024;
    t_start(w);
    T_EQ(move(w, EP, 0, 0), RTPUSH_OK);
    for (uint32_t i = 1; i <= 100; i++) {
        T_EQ(put(w, T_LOG, EP, i * 1000, 0, "...................................."), RTPUSH_OK);
    }
    t_run(w);
    uint32_t used = rtpush_get_counters(&w->srv)->log_used;
    T_CHECK(used > 850, "%lu bytes of the log are used", (unsigned long)used);
    uint32_t oldest = w->srv.tail_seq;
    char id[RTPUSH_ID_SIZE];
    u_peer *p = resume(w, "/events", rtpush_id_format(id_of(EP, oldest - 1000), id));
    u_expect(p, "rtpush: replayed|!gap");
    p = resume(w, "/events", rtpush_id_format(id_of(EP, oldest - 1001), id));
    u_expect(p, "rtpush: gap 1 5\n");
}

static void outside_state_is_not_repeated_by_high_numbers(U_STATE) {
    t_world *w = begin(1);
    T_EQ(put(w, T_TEMP, EP, 0xFFFF1000u, 0, "21"), RTPUSH_OK);
    u_peer *p = u_open(w, "{GET /events}");
    u_is(p, "rtpush: fresh 5\ntemp: 21\n");
    T_EQ(put(w, T_LOG, EP, 0xFFFF1001u, 0, "x"), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: x\n");
}

// Here they end with 40: then all values come again.
static void outside_revisions_that_run_out_begin_anew(U_STATE) {
    t_world *w = begin(1);
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(put(w, T_LED, EP, 1, 0, "on"), RTPUSH_OK);
    for (uint32_t i = 2; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof text, "%lu", (unsigned long)i);
        T_EQ(put(w, T_TEMP, EP, i, 0, text), RTPUSH_OK);
        t_run(w);
        snprintf(text, sizeof text, "temp: %lu\n", (unsigned long)i);
        u_expect(p, text);
    }
    T_CHECK(w->srv.rev < 50, "revision %lu", (unsigned long)w->srv.rev);
    assert_string_equal(p->last_id, "65000000-000000c7");
}

// An epoch that comes again has other events: what was planned for its readers is void.
static void outside_epoch_may_come_again(U_STATE) {
    t_world *w = world(1);
    w->plan_size = 1024;
    w->kernel = 100000;
    t_start(w);
    u_peer *p[2] = {u_stream(w, "{GET /events}"), u_stream(w, "{GET /events}")};
    static const char *const texts[] = {"a", "b", "c"};
    for (uint32_t i = 0; i < 3; i++) {
        T_EQ(move(w, i == 1 ? EP + 1 : EP, 0, 0), RTPUSH_OK);
        t_run(w);
        T_EQ(put(w, T_LOG, i == 1 ? EP + 1 : EP, 1, 0, texts[i]), RTPUSH_OK);
        t_run(w);
        for (int n = 0; n < 2; n++) {
            char want[40];
            snprintf(want, sizeof want, "rtpush: reset 5\nlog: %s\n", texts[i]);
            u_is(p[n], want);
        }
    }
}

// The same bytes, whatever way the servers read the source.
static void outside_servers_give_the_same_bytes(U_STATE) {
    t_buf out[2];
    memset(out, 0, sizeof out);
    for (uint32_t i = 0; i < 2; i++) {
        t_world *w = begin(i + 1);
        T_EQ(move(w, EP, 0, 0), RTPUSH_OK);
        u_peer *p = u_stream(w, "{GET /events}");
        for (uint32_t seq = 1; seq < 60; seq++) {
            T_EQ(seq % 7 == 0 ? move(w, EP, seq * 10, 3)
                              : put(w, seq & 1 ? T_LOG : T_CHAT, EP, seq * 10, seq % 5, "a\nb"),
                 RTPUSH_OK);
            if (i == 0 || seq % 3 == 0) {
                t_run(w);
            }
            if (i == 1) {
                T_EQ(put(w, T_LOG, EP, seq * 10, 0, "again"), RTPUSH_ERR_OLD);
            }
        }
        t_run(w);
        t_put(&out[i], p->c->out.data, p->c->out.len);
    }
    T_CHECK(out[0].len > 2000 && out[0].len == out[1].len &&
                memcmp(out[0].data, out[1].data, out[0].len) == 0,
            "%lu and %lu bytes", (unsigned long)out[0].len, (unsigned long)out[1].len);
    t_buf_free(&out[0]);
    t_buf_free(&out[1]);
}

static void outside_position_of_64_bits_is_an_id(U_STATE) {
    static const struct {
        uint64_t n;
        uint32_t epoch, seq;
    } rows[] = {{0, 5, 0},
                {1, 5, 1},
                {RTPUSH_SEQ_MAX, 5, RTPUSH_SEQ_MAX},
                {RTPUSH_SEQ_MAX + UINT64_C(1), 6, 1},
                {UINT64_C(0xFFFFFFFE) * 1000 + 7, 1005, 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rtpush_id id = rtpush_id_at(5, rows[i].n);
        T_EQ(id.epoch, rows[i].epoch);
        T_EQ(id.seq, rows[i].seq);
    }
}

// Only inside a callback whose connection holds the last records.
static void outside_full_spends_nothing(U_STATE) {
    t_world *w = world(1);
    w->desc.log_size = 1024;
    t_start(w);
    T_EQ(move(w, EP, 0, 0), RTPUSH_OK);
    u_peer *p = u_stream(w, "{GET /events}");
    p->c->hold_acks = 1;
    T_EQ(put(w, T_LOG, EP, 1, 0, "held"), RTPUSH_OK);
    t_run(w);
    w->srv.busy = p->c->conn; // as in a callback of this connection
    uint32_t seq = 2;
    int result = RTPUSH_OK;
    while (seq < 100 && (result = put(w, T_LOG, EP, seq, 0, "...............")) == RTPUSH_OK) {
        seq++;
    }
    T_EQ(result, RTPUSH_ERR_FULL);
    T_EQ(put(w, T_LOG, EP, seq + 5, 3, "..............."), RTPUSH_ERR_FULL);
    T_EQ(move(w, EP, seq + 5, 3), RTPUSH_ERR_FULL);
    T_EQ(put(w, T_LOG, EP + 1, 1, 0, "x"), RTPUSH_ERR_FULL);
    T_EQ(rtpush_last_id(&w->srv).epoch, EP);
    T_EQ(rtpush_last_id(&w->srv).seq, seq - 1);
    w->srv.busy = NULL;
    T_EQ(put(w, T_LOG, EP, seq, 0, "..............."), RTPUSH_OK);
}

// -- an id in front of the head -------------------------------------------------------------------

// What a reader of each transport sees: name and data alone.
static const char *const paths[] = {"/events", "/ws", "/poll?timeout=20"};

static u_peer *resume_by(t_world *w, int transport, const char *id) {
    char text[200];
    if (transport != 1) {
        return resume(w, paths[transport], id);
    }
    snprintf(text, sizeof text, "{WSP /ws?last_event_id=%s rtpush.1}", id);
    u_peer *p = u_open(w, text);
    T_EQ(p->cl.status, 101);
    t_eat(&p->seen, 5); // "101 LF"
    return p;
}

static void outside_id_in_front_of_the_head_waits(U_STATE) {
    for (int transport = 0; transport < 3; transport++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
        if (transport < 2) { // a poll that may go on would be answered with it
            T_EQ(t_publish_text(w, T_TEMP, "21"), RTPUSH_OK);
        }
        t_run(w);
        T_EQ(rtpush_waiting(&w->srv), 0);
        u_peer *p = resume_by(w, transport, "65000000-00000009");
        T_CHECK(rtpush_waiting(&w->srv) != 0, "nobody waits");
        t_advance(w, 12000);
        u_is(p, ""); // no notice, no value
        assert_string_equal(p->last_id, "");
        T_EQ(put(w, T_LOG, EP, 8, 0, "eight"), RTPUSH_OK);
        t_run(w);
        u_is(p, "");
        T_EQ(put(w, T_LOG, EP, 9, 0, "nine"), RTPUSH_OK); // it has this
        t_run(w);
        T_EQ(rtpush_waiting(&w->srv), 0);
        if (transport < 2) {
            u_expect(p, "rtpush~1 65000000-00000009 rtpush|replayed 0 5\n|21\n|!eight|!nine");
        }
        T_EQ(put(w, T_LOG, EP, 10, 0, "ten"), RTPUSH_OK);
        t_run(w);
        u_expect(p, "ten\n|!eight|!nine|!reset");
        T_CHECK(strncmp(p->last_id, "65000000-0000000a", 17) == 0, "%s", p->last_id);
    }
}

static void outside_keep_alive_of_one_that_waits_has_no_id(U_STATE) {
    for (int transport = 0; transport < 2; transport++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
        u_peer *p = resume_by(w, transport, "65000000-00000009");
        u_clear(p);
        t_advance(w, 16000);
        u_read(p);
        T_EQ(p->alive, 3);
        T_EQ(p->ids, 0);
    }
}

static void outside_other_epoch_waits_for_its_begin(U_STATE) {
    for (int transport = 0; transport < 3; transport++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 50, 0, "fifty"), RTPUSH_OK);
        u_peer *p = resume_by(w, transport, "65000001-00000002");
        u_peer *old = u_stream(w, "{GET /events}");
        t_advance(w, 1000);
        u_is(p, "");
        T_EQ(put(w, T_LOG, EP + 1, 1, 0, "one"), RTPUSH_OK);
        t_run(w);
        u_is(p, "");
        u_is(old, "rtpush: reset 5\nlog: one\n");
        T_EQ(put(w, T_LOG, EP + 1, 2, 0, "two"), RTPUSH_OK);
        T_EQ(put(w, T_LOG, EP + 1, 3, 0, "three"), RTPUSH_OK);
        t_run(w);
        u_expect(p, "three\n|!reset|!one|!two");
    }
}

static void outside_poll_that_waits_ends_with_the_id_it_came_with(U_STATE) {
    static const char *const ids[] = {"65000000-00000009", "65000000-00000009-00000000-00000001",
                                      "65000007-00000001", "65000000-00000002-00000009"};
    for (size_t i = 0; i < 4; i++) {
        t_world *w = begin(1);
        T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
        u_peer *p = resume_by(w, 2, ids[i]);
        t_advance(w, 21000);
        u_read(p);
        T_EQ(p->cl.answers, 1);
        T_EQ(p->events, 0);
        T_CHECK(strncmp(p->last_id, ids[i], strlen(ids[i])) == 0, "%s became %s", ids[i],
                p->last_id);
    }
}

static void outside_end_of_the_source_resets_who_is_in_front(U_STATE) {
    static const char *const ids[] = {"65000000-00000009", "65000000-0000000a",
                                      "65000001-00000001", "64000000-00000001"};
    t_world *w = begin(1);
    u_peer *p[4];
    T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
    for (int i = 0; i < 4; i++) {
        p[i] = resume_by(w, 0, ids[i]);
    }
    uint32_t mark = rtpush_waiting(&w->srv);
    u_peer *late = resume_by(w, 0, ids[1]); // after the question
    T_EQ(rtpush_source_end(&w->srv, mark, id_of(EP, 9)), 3);
    t_run(w);
    u_is(p[0], "");
    for (int i = 1; i < 4; i++) {
        u_is(p[i], "rtpush: reset 5\n");
        assert_string_equal(p[i]->last_id, "65000000-00000005");
    }
    u_is(late, "");
    T_EQ(rtpush_source_end(&w->srv, rtpush_waiting(&w->srv), id_of(EP, 9)), 1);
    T_EQ(put(w, T_LOG, EP, 9, 0, "nine"), RTPUSH_OK);
    t_run(w);
    u_is(p[0], "rtpush: replayed 0 5\n");
    u_is(late, "rtpush: reset 5\nlog: nine\n");
    T_EQ(rtpush_waiting(&w->srv), 0);
    T_EQ(rtpush_source_end(&w->srv, rtpush_waiting(&w->srv), id_of(EP, 1)), 0);
}

static void outside_server_without_a_position_keeps_clients_waiting(U_STATE) {
    t_world *w = begin(1);
    u_peer *p = resume_by(w, 0, "65000000-00000003");
    u_peer *odd = resume_by(w, 0, "65000000-ffffffff"); // no source gives this
    u_is(p, "");
    u_is(odd, "rtpush: reset 5\n");
    T_EQ(put(w, T_LOG, EP, 2, 0, "two"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 3, 0, "three"), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 4, 0, "four"), RTPUSH_OK);
    t_run(w);
    u_is(p, "rtpush: replayed 0 5\nlog: four\n");
    u_is(odd, "rtpush: reset 5\nlog: two\nlog: three\nlog: four\n");
    u_peer *none = resume_by(w, 0, "00000000-00000000"); // no server had begun
    u_is(none, "rtpush: reset 5\n");
    u_peer *before = resume_by(w, 0, "65000000-00000000"); // 1 is not here
    u_is(before, "rtpush: gap 1 5\nlog: two\nlog: three\nlog: four\n");
}

// The log's end looks the same, so nothing but the epoch tells that somebody may go on.
static void outside_epoch_that_begins_at_the_same_number_ends_the_wait(U_STATE) {
    t_world *w = begin(1);
    T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
    t_run(w);
    u_peer *p = resume_by(w, 0, "65000001-00000005");
    u_is(p, "");
    T_EQ(move(w, EP + 1, 5, 0), RTPUSH_OK);
    t_advance(w, 1); // serves only what rtpush_next names
    u_is(p, "rtpush: replayed 0 5\n");
}

static void outside_one_that_waits_is_told_that_it_expired_without_an_id(U_STATE) {
    t_world *w = world(1);
    t_app_of(w)->expires_s = 2;
    t_start(w);
    T_EQ(put(w, T_LOG, EP, 5, 0, "five"), RTPUSH_OK);
    u_peer *p = resume_by(w, 0, "65000000-00000009");
    t_advance(w, 4000);
    u_is(p, "rtpush: expired\n");
    T_CHECK(t_ended(p->c), "it goes on");
    assert_string_equal(p->last_id, "");
    p = resume_by(w, 0, "65000000-00000005");
    t_advance(w, 4000);
    u_is(p, "rtpush: replayed 0 5\nrtpush: expired\n");
}

// -- STATE ----------------------------------------------------------------------------------------

// The revision of A, where the client was, says nothing of B's.
static void outside_poll_of_another_server_hides_no_value(U_STATE) {
    t_world *a = begin(1);
    t_world *b = begin(2);
    for (uint32_t i = 1; i <= 8; i++) {
        T_EQ(put(a, T_TEMP, EP, i, 0, "21"), RTPUSH_OK);
    }
    u_peer *p = resume_by(a, 2, "first");
    u_expect(p, "temp: 21\n");
    T_EQ(strlen(p->last_id), 35);
    char id[64];
    snprintf(id, sizeof id, "%s", p->last_id);
    u_peer *same = resume_by(a, 2, id); // nothing new there
    u_is(same, "");
    T_EQ(t_publish_text(b, T_LED, "on"), RTPUSH_OK); // the first one of B
    for (uint32_t i = 1; i <= 8; i++) {
        T_EQ(put(b, T_TEMP, EP, i, 0, "21"), RTPUSH_OK);
    }
    u_peer *moved = resume_by(b, 2, id);
    u_expect(moved, "led: on\n");
    T_EQ(strlen(moved->last_id), 35);
}

// A reader that is behind in the log gets the newest value, so another server must not be older.
static void outside_value_never_goes_back_at_another_server(U_STATE) {
    for (int transport = 0; transport < 2; transport++) {
        t_world *a = begin(1);
        T_EQ(put(a, T_LOG, EP, 1, 0, "one"), RTPUSH_OK);
        T_EQ(put(a, T_LOG, EP, 2, 0, "two"), RTPUSH_OK);
        T_EQ(put(a, T_TEMP, EP, 3, 0, "3"), RTPUSH_OK);
        u_peer *p = u_new(a);
        p->c = t_connect(a);
        p->c->window = 0;
        t_say(p->c, transport ? "{WSP /ws?last_event_id=65000000-00000001 rtpush.1}"
                              : "{GET /events?last_event_id=65000000-00000001}");
        for (int i = 0; i < 600 && strstr(u_read(p), transport ? "temp\n3" : "temp: 3") == NULL;
             i++) {
            p->c->window = 1; // it gets no event
            t_run(a);
        }
        const char *id = "65000000-00000001-00000003";
        T_CHECK(transport ? strstr(t_text(&p->seen), id) != NULL : strcmp(p->last_id, id) == 0,
                "%s", p->last_id);
        u_expect(p, "temp|!two");
        t_world *b = begin(2);
        T_EQ(put(b, T_TEMP, EP, 1, 0, "1"), RTPUSH_OK);
        T_EQ(put(b, T_LOG, EP, 2, 0, "two"), RTPUSH_OK);
        u_peer *moved = resume_by(b, transport, id);
        u_is(moved, "");
        T_EQ(put(b, T_TEMP, EP, 3, 0, "3"), RTPUSH_OK);
        t_run(b);
        u_expect(moved, "rtpush|replayed|3\n|two\n");
    }
}

// The value of position 9 came into an answer that began at 7: its id is 9.
static void outside_poll_is_not_behind_the_values_it_gives(U_STATE) {
    t_world *w = world(1);
    w->desc.tx_size = 256;
    t_start(w);
    T_EQ(move(w, EP, 0, 0), RTPUSH_OK);
    T_EQ(put(w, T_LOG, EP, 7, 0, "seven"), RTPUSH_OK);
    T_EQ(put(w, T_TEMP, EP, 8, 0, "8......................................."), RTPUSH_OK);
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    p->c->window = 0; // head and notice fill tx
    t_say(p->c, "{GET /poll?last_event_id=65000000-00000005}");
    T_EQ(put(w, T_LOG, EP, 9, 0, "nine"), RTPUSH_OK);
    T_EQ(put(w, T_TEMP, EP, 10, 0, "10"), RTPUSH_OK);
    p->c->window = SIZE_MAX;
    t_run(w);
    u_expect(p, "log: seven\n|temp: 10\n|log: nine\n|200 ");
    T_CHECK(strncmp(p->last_id, "65000000-0000000a-", 18) == 0, "%s", p->last_id);
}

// -- many readers ---------------------------------------------------------------------------------

static void outside_first_retry_is_jittered(U_STATE) {
    t_world *w = begin(77);
    unsigned long least = 100000;
    unsigned long most = 0;
    for (int i = 0; i < 100; i++) {
        u_peer *p = u_open(w, "{GET /events}");
        T_EQ(p->cl.retry_count, 1);
        T_CHECK(p->cl.retry >= 2000 && p->cl.retry <= 4000, "retry: %lu", p->cl.retry);
        least = p->cl.retry < least ? p->cl.retry : least;
        most = p->cl.retry > most ? p->cl.retry : most;
        u_free(p);
        t_run(w);
    }
    T_CHECK(least < 2200 && most > 3800, "from %lu to %lu", least, most);
}

static void outside_streams_end_in_slices(U_STATE) {
    t_world *w = begin(1);
    u_peer *p[5] = {u_stream(w, "{GET /events}"), u_stream(w, "{GET /events}"),
                    u_stream(w, "{WS /ws}"), resume_by(w, 0, "65000000-00000009"), NULL};
    p[4] = resume_by(w, 2, "65000000-00000009");
    T_EQ(rtpush_end_streams(&w->srv, 0), 0);
    T_EQ(rtpush_end_streams(&w->srv, 2), 2);
    t_run(w);
    T_EQ(rtpush_get_counters(&w->srv)->streams, 3);
    T_EQ(rtpush_end_streams(&w->srv, 2), 2);
    T_EQ(rtpush_end_streams(&w->srv, 9), 1);
    T_EQ(rtpush_end_streams(&w->srv, 9), 0);
    t_run(w);
    for (int i = 0; i < 5; i++) {
        u_is(p[i], i == 2 ? "8 1001 \n" : i == 4 ? "200 \n" : "");
        T_CHECK(i == 2 || i == 4 || t_ended(p[i]->c), "%d goes on", i);
        if (i != 2 && i != 4) {
            T_CHECK(p[i]->cl.retry >= 2000 && p[i]->cl.retry <= 4000, "%lu", p[i]->cl.retry);
            T_EQ(p[i]->cl.retry_count, i == 3 ? 1 : 2);
        }
    }
    u_peer *next = u_open(w, "{GET /hello}"); // nothing else is harmed
    u_expect(next, "200 hello");
}

static uint8_t *seek_log;
static size_t seek_size;
static unsigned seek_pages;

static void on_page(int signal, siginfo_t *info, void *context) {
    uint8_t *page = (uint8_t *)((uintptr_t)info->si_addr & ~(uintptr_t)4095u);
    (void)signal;
    (void)context;
    if (page < seek_log || page >= seek_log + seek_size) {
        _exit(3);
    }
    seek_pages++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

// A reader that comes back is placed by a search, not by a walk: of the 512 pages of the log few
// are looked at. The index has 8 of them.
static void outside_reader_is_placed_without_walking_the_log(U_STATE) {
    t_world *w = world(1);
    w->desc.log_size = 512 * 4096;
    t_start(w);
    uint8_t *kept = w->srv.log;
    seek_size = w->desc.log_size;
    seek_log = (uint8_t *)mmap(NULL, seek_size, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    w->srv.log = seek_log;
    uint32_t seq = 0;
    while (rtpush_get_counters(&w->srv)->log_used < 500 * 4096) {
        T_EQ(put(w, T_LOG, EP, seq += 3, 0, "...................................."), RTPUSH_OK);
    }
    struct sigaction action;
    struct sigaction before;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_page;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &before);
    for (uint32_t part = 1; part < 8; part++) {
        char id[RTPUSH_ID_SIZE];
        u_peer *p = u_new(w);
        p->c = t_connect(w);
        p->c->window = 0;
        seek_pages = 0;
        mprotect(seek_log, seek_size, PROT_NONE);
        char text[100];
        snprintf(text, sizeof text, "{GET /events?last_event_id=%s}",
                 rtpush_id_format(id_of(EP, seq / 8 * part), id));
        t_say(p->c, text);
        T_CHECK(seek_pages > 0 && seek_pages <= 24, "%u pages", seek_pages);
        mprotect(seek_log, seek_size, PROT_READ | PROT_WRITE);
        u_free(p);
    }
    sigaction(SIGSEGV, &before, NULL);
    t_finish(w);
    munmap(seek_log, seek_size);
    (void)kept; // freed with the world
}

static uint32_t peer_most;

// The first of T_R_KEEP's fields says who asks, if the port's peer is the proxy, 1.
static int authorize_for(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    int status = t_authorize(srv, req, grant);
    if (req->headers[0] && req->peer == 1 &&
        rtpush_set_peer(srv, req->conn, (uint32_t)atoi(req->headers[0]), peer_most) ==
            RTPUSH_ERR_FULL) {
        return 429;
    }
    return status;
}

#define FROM(peer) "GET /keep HTTP/1.1\r\n" T_HOST "X-One: " peer "\r\n\r\n"

static void outside_address_behind_a_proxy_is_counted(U_STATE) {
    t_world *w = world(1);
    rtpush_handle none = {0, 0};
    w->desc.authorize = authorize_for;
    peer_most = 2;
    t_start(w);
    u_peer *a = u_open(w, FROM("7"));
    u_peer *b = u_open(w, FROM("7"));
    u_peer *c = u_open(w, FROM("7"));
    u_peer *d = u_open(w, FROM("8"));
    T_EQ(a->cl.status, 200);
    T_EQ(b->cl.status, 200);
    T_EQ(c->cl.status, 429);
    T_EQ(d->cl.status, 200);
    u_free(a);
    t_run(w);
    a = u_open(w, FROM("7"));
    T_EQ(a->cl.status, 200);
    T_EQ(rtpush_set_peer(&w->srv, none, 7, 0), RTPUSH_ERR_STALE);
    T_EQ(rtpush_set_peer(&w->srv, rtpush_conn_handle(&w->srv, d->c->conn), 7, 2),
         RTPUSH_ERR_FULL);
    T_EQ(rtpush_set_peer(&w->srv, rtpush_conn_handle(&w->srv, d->c->conn), 7, 0), RTPUSH_OK);
}

// A limit by address holds for what comes through the proxy too.
static void outside_address_behind_a_proxy_has_its_own_rate(U_STATE) {
    t_world *w = world(1);
    w->desc.authorize = authorize_for;
    w->desc.rate_messages = 3;
    peer_most = 0;
    t_start(w);
    u_peer *p = u_open(w, FROM("7"));
    for (int i = 0; i < 8; i++) {
        t_say(p->c, FROM("7"));
    }
    u_expect(p, "200 |429 ");
    u_peer *other = u_open(w, FROM("8")); // of the same proxy
    T_EQ(other->cl.status, 200);
    for (int i = 0; i < 3; i++) {
        t_say(other->c, FROM("8"));
    }
    u_expect(other, "200 |200 |200 |200 |!429");
    u_peer *again = u_open(w, FROM("7"));
    t_say(again->c, FROM("7"));
    u_expect(again, "429 ");
}

// -- two servers, one source, clients that move between them --------------------------------------
// The source is a list of positions. Servers read it at their own pace, repeat parts of it and
// start again in the middle; it begins new epochs, and then some of the last one is gone. Clients
// are cut at any byte and come back anywhere. What a client sees is compared with the list: every
// event once, in order, or in a gap or behind a reset that it was told of.

enum { S_EVENT, S_VALUE, S_SKIP, S_MOST = 6000 };

typedef struct s_entry { // one position
    rtpush_id id;
    int kind;
    int topic;
    uint32_t lost; // events lost up to lost_seq
    uint32_t lost_seq;
    int gone; // the source lost it: who has not read it never will
    char text[64];
} s_entry;

typedef struct s_source {
    s_entry *list;
    int count;
    uint32_t number; // of the last payload
    t_rng rng;
} s_source;

static void s_add(s_source *src, int kind, int topic, uint32_t jump, uint32_t lost) {
    T_CHECK(src->count < S_MOST, "the list is full");
    s_entry *e = &src->list[src->count++];
    rtpush_id last = e[-1].id;
    memset(e, 0, sizeof *e);
    e->id = id_of(last.epoch, last.seq + 1 + jump);
    e->kind = kind;
    e->topic = topic;
    e->lost = lost;
    e->lost_seq = kind == S_SKIP ? e->id.seq : e->id.seq - 1;
    // A value says where it stands, an event is never the same as another one.
    src->number++;
    snprintf(e->text, sizeof e->text, "%lu%s%.*s", (unsigned long)src->number,
             src->number % 5 == 0 && kind == S_EVENT ? "\n" : "",
             (int)(kind == S_EVENT ? t_below(&src->rng, 40) : 0),
             "........................................");
}

static void s_epoch(s_source *src, int gone) {
    s_entry *e = &src->list[src->count];
    rtpush_id last = e[-1].id;
    for (int i = 1; i <= gone && i < src->count && e[-i].id.epoch == last.epoch; i++) {
        e[-i].gone = e[-i].id.seq > 0;
    }
    src->count++;
    memset(e, 0, sizeof *e);
    // Higher or lower, and never again.
    e->id = id_of((last.epoch & 1 ? 0x80000000u : 0x40000000u) + src->number * 2u +
                      !(last.epoch & 1), 0);
    e->kind = S_SKIP;
}

static void s_begin(s_source *src, uint32_t seed) {
    memset(src, 0, sizeof *src);
    src->rng = t_seed(seed);
    src->list = (s_entry *)calloc(S_MOST, sizeof *src->list);
    src->list[0].id = id_of(EP, 0);
    src->list[0].kind = S_SKIP;
    src->count = 1;
}

static void s_grow(s_source *src) {
    t_rng *rng = &src->rng;
    uint32_t jump = t_below(rng, 3) ? 0 : t_below(rng, 5) ? t_below(rng, 4) : t_below(rng, 100000);
    int what = (int)t_below(rng, 20);
    if (what == 0) {
        s_add(src, S_SKIP, 0, jump, jump && t_below(rng, 2) ? 1 + t_below(rng, jump) : 0);
    } else if (what < 4) {
        s_add(src, S_VALUE, what == 1 ? T_LED : T_TEMP, jump, 0);
    } else {
        s_add(src, S_EVENT, what & 1 ? T_LOG : T_CHAT, jump,
              jump && !t_below(rng, 4) ? 1 + t_below(rng, jump) : 0);
    }
}

typedef struct s_server {
    t_world *w;
    int at; // next entry to be read
} s_server;

static int s_give(t_world *w, const s_entry *e) {
    return e->kind == S_SKIP ? move(w, e->id.epoch, e->id.seq, e->lost)
                             : put(w, (unsigned)e->topic, e->id.epoch, e->id.seq, e->lost, e->text);
}

static void s_read(const s_source *src, s_server *s, int most) {
    for (; most > 0 && s->at < src->count; s->at++) {
        const s_entry *e = &src->list[s->at];
        if (!e->gone) {
            T_EQ(s_give(s->w, e), RTPUSH_OK);
            most--;
        }
    }
}

// The source repeats what this server has.
static void s_repeat(const s_source *src, s_server *s, int back) {
    rtpush_id head = rtpush_last_id(&s->w->srv);
    for (int i = s->at - back < 0 ? 0 : s->at - back; i < s->at; i++) {
        if (src->list[i].id.epoch == head.epoch) {
            T_EQ(s_give(s->w, &src->list[i]), RTPUSH_ERR_OLD);
        }
    }
}

typedef struct s_client {
    const s_source *src;
    s_server *server;
    t_conn *c;
    t_client cl;
    int transport;
    char last_id[64];
    rtpush_id at;          // that id
    uint32_t value[4];     // position of the newest value of each topic
    int seen[4];           // its entry
    unsigned events, gaps, resets, moves;
} s_client;

static uint32_t s_hex(const char *text) {
    return (uint32_t)strtoul(text, NULL, 16);
}

// Nothing from `from` on up to number `to` may be missed.
static uint32_t s_between(const s_client *m, uint32_t from, uint32_t to) {
    uint32_t sum = 0;
    for (int i = 0; i < m->src->count; i++) {
        const s_entry *e = &m->src->list[i];
        if (e->id.epoch == m->at.epoch) {
            sum += e->kind == S_EVENT && e->id.seq > from && e->id.seq <= to;
            sum += e->lost_seq > from && e->lost_seq <= to ? e->lost : 0;
        }
    }
    return sum;
}

static void s_advance(s_client *m, rtpush_id id) {
    T_CHECK(id.epoch == m->at.epoch, "epoch %08lx after %08lx", (unsigned long)id.epoch,
            (unsigned long)m->at.epoch);
    T_CHECK(id.seq >= m->at.seq, "id %lx after %lx", (unsigned long)id.seq,
            (unsigned long)m->at.seq);
    T_CHECK(s_between(m, m->at.seq, id.seq) == 0, "%lu events between %lx and %lx are missed",
            (unsigned long)s_between(m, m->at.seq, id.seq), (unsigned long)m->at.seq,
            (unsigned long)id.seq);
    m->at = id;
}

static void s_notice(s_client *m, rtpush_id id, const char *text) {
    rtpush_id now = m->src->list[m->src->count - 1].id;
    if (text[0] == 0) {
        s_advance(m, id);
    } else if (strncmp(text, "fresh ", 6) == 0) {
        T_CHECK(m->last_id[0] == 0, "fresh for one that has an id");
        m->at = id;
    } else if (strncmp(text, "replayed ", 9) == 0) {
        s_advance(m, id); // past what brings no event
    } else if (strncmp(text, "reset ", 6) == 0) {
        T_CHECK(m->at.epoch != now.epoch, "a reset without a reason");
        m->at = id;
        memset(m->value, 0, sizeof m->value);
        m->resets++;
    } else {
        T_CHECK(strncmp(text, "gap ", 4) == 0, "notice %s", text);
        T_CHECK(id.epoch == m->at.epoch && id.seq > m->at.seq, "a gap that ends before it begins");
        T_CHECK(strtoul(text + 4, NULL, 10) >= s_between(m, m->at.seq, id.seq),
                "%s, and %lu are missed", text, (unsigned long)s_between(m, m->at.seq, id.seq));
        m->at = id;
        m->gaps++;
    }
}

static const s_entry *s_find(const s_client *m, const char *text, size_t len) {
    for (int i = 0; i < m->src->count; i++) {
        const s_entry *e = &m->src->list[i];
        if (strlen(e->text) == len && memcmp(e->text, text, len) == 0) {
            return e;
        }
    }
    T_FAIL("what no source has: %.*s", (int)len, text);
    return NULL;
}

static void s_take(s_client *m, const char *id_text, const char *name, const char *data,
                   size_t len) {
    rtpush_id id = id_of(s_hex(id_text), s_hex(id_text + 9));
    if (name[0] == 0 || strcmp(name, "rtpush") == 0) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)len, data);
        s_notice(m, id, text);
    } else {
        const s_entry *e = s_find(m, data, len);
        T_CHECK(strcmp(t_topics[e->topic].name, name) == 0, "a wrong topic");
        if (e->kind == S_VALUE) {
            s_advance(m, id);
            uint32_t position = e->id.epoch == id.epoch ? e->id.seq : 0;
            T_CHECK(position >= m->value[e->topic], "a value goes back");
            m->value[e->topic] = position;
            m->seen[e->topic] = (int)(e - m->src->list);
        } else {
            T_CHECK(e->id.epoch == id.epoch && e->id.seq == id.seq, "an event with a wrong id");
            T_CHECK(id.seq > m->at.seq || id.epoch != m->at.epoch, "an event twice");
            s_advance(m, id_of(id.epoch, id.seq - 1));
            m->at = id;
            m->events++;
        }
    }
    snprintf(m->last_id, sizeof m->last_id, "%s", id_text);
}

static void s_on_event(t_client *cl, const t_event *ev) {
    s_client *m = (s_client *)cl->user;
    if (ev->has_id) {
        s_take(m, ev->id, ev->has_data ? ev->name : "", ev->has_data ? (const char *)ev->data : "",
               ev->has_data ? ev->len : 0);
    }
}

static void s_on_message(t_client *cl, int opcode, const uint8_t *data, size_t len) {
    s_client *m = (s_client *)cl->user;
    char id[64];
    char name[64] = "";
    (void)opcode;
    if (len == 0) {
        return;
    }
    size_t n = 0;
    for (; n < len && data[n] != ' '; n++) {
        id[n] = (char)data[n];
    }
    id[n] = 0;
    if (n < len) {
        const uint8_t *end = (const uint8_t *)memchr(data, '\n', len);
        snprintf(name, sizeof name, "%.*s", (int)(end - data - (long)n - 1),
                 (const char *)data + n + 1);
        n = (size_t)(end - data) + 1;
    }
    s_take(m, id, name, (const char *)data + n, len - n);
}

static const char *const s_forms[] = {"{GET /events%s%s}", "{WSP /ws%s%s rtpush.1}",
                                      "{GET /poll%s%s}"};

static void s_ask(s_client *m) {
    char text[200];
    snprintf(text, sizeof text, s_forms[m->transport], m->last_id[0] ? "?last_event_id=" : "",
             m->last_id);
    t_say(m->c, text);
}

static void s_cut(s_client *m) {
    if (m->c != NULL) {
        t_forget(m->c);
        t_client_free(&m->cl);
        m->c = NULL;
    }
}

static void s_connect(s_client *m, s_server *server) {
    uint32_t floor = m->at.seq;
    s_cut(m);
    if (strlen(m->last_id) == 26 && s_hex(m->last_id + 18) > floor) {
        floor = s_hex(m->last_id + 18); // a value's
    }
    for (int t = 0; t < 4; t++) { // what is newer may be older elsewhere
        m->value[t] = m->value[t] > floor ? 0 : m->value[t];
    }
    m->server = server;
    m->moves++;
    m->c = t_connect(server->w);
    m->cl.user = m;
    m->cl.on_event = s_on_event;
    m->cl.on_message = s_on_message;
    s_ask(m);
}

// Reads what has come, at most n bytes of it.
static void s_get(s_client *m, size_t n) {
    if (m->c->out.len > n) {
        m->c->out.len = n;
    }
    int answers = m->cl.answers;
    t_client_read(&m->cl, m->c);
    if (m->c->conn == NULL || t_ended(m->c)) { // a pong that did not come, an evicted record
        s_connect(m, m->server);
    } else if (m->transport == 2 && m->cl.answers > answers) {
        s_ask(m);
    }
}

static void s_check_end(s_client *m, const s_server *server) {
    const s_source *src = m->src;
    rtpush_id end = src->list[src->count - 1].id;
    T_CHECK(m->at.epoch == end.epoch, "it ends in epoch %lx", (unsigned long)m->at.epoch);
    T_CHECK(s_between(m, m->at.seq, end.seq) == 0, "%lu events are missed at the end",
            (unsigned long)s_between(m, m->at.seq, end.seq));
    for (unsigned topic = T_TEMP; topic <= T_LED; topic += T_LED - T_TEMP) {
        size_t len;
        const char *value = (const char *)rtpush_state_get(&server->w->srv, topic, &len);
        const char *seen = src->list[m->seen[topic]].text;
        T_CHECK(value == NULL || (strlen(seen) == len && memcmp(seen, value, len) == 0),
                "%s of %s is the last value seen", seen, t_topics[topic].name);
    }
}

static t_world *s_world(t_rng *rng, uint32_t seed) {
    t_world *w = world(seed);
    w->quiet = 1;
    w->desc.log_size = 1024 + 256 * t_below(rng, 12);
    w->desc.conn_count = 8;
    w->desc.tx_size = 256 + t_below(rng, 512);
    w->plan_size = t_below(rng, 2) ? 1024 : 0;
    w->bite = t_below(rng, 2) ? 0 : 1 + t_below(rng, 60);
    w->desc.rate_messages = w->desc.rate_bytes = RTPUSH_UNLIMITED;
    t_start(w);
    return w;
}

// A fixed source: a client gets so many bytes from A, then moves to B, which has less of it, or
// more.
static size_t s_move_after(int transport, size_t bytes, int has) {
    s_source src;
    s_server server[2];
    s_client m;
    snprintf(t_where, sizeof t_where, "transport %d, %lu bytes", transport, (unsigned long)bytes);
    s_begin(&src, 5);
    for (int i = 0; i < 14; i++) {
        s_add(&src, i == 4 || i == 9 ? S_VALUE : i == 6 ? S_SKIP : S_EVENT, i == 4 ? T_LED : T_TEMP,
              i % 3 == 1 ? 2 : 0, i % 5 == 2 || i == 6 ? 1 : 0);
        src.list[src.count - 1].topic = i == 4 ? T_LED : i == 9 ? T_TEMP : i & 1 ? T_LOG : T_CHAT;
        if (i % 5 == 2 && i % 3 != 1) {
            src.list[src.count - 1].lost = 0;
        }
    }
    memset(&m, 0, sizeof m);
    m.src = &src;
    m.transport = transport;
    for (uint32_t i = 0; i < 2; i++) {
        server[i].w = begin(i + 1);
        server[i].w->quiet = 1;
        server[i].at = 0;
        s_read(&src, &server[i], i == 0 ? 1 : has);
    }
    s_connect(&m, &server[0]);
    s_read(&src, &server[0], 4);
    t_run(server[0].w);
    if (m.transport == 2) {
        s_get(&m, SIZE_MAX); // one answer, the next one is cut
    }
    s_read(&src, &server[0], S_MOST);
    t_run(server[0].w);
    size_t most = m.c->out.len;
    s_get(&m, bytes);
    s_connect(&m, &server[1]);
    s_get(&m, SIZE_MAX);
    for (int i = 0; i < 30; i++) {
        s_read(&src, &server[1], 1);
        t_advance(server[1].w, 1000);
        s_get(&m, SIZE_MAX);
    }
    s_check_end(&m, &server[1]);
    T_CHECK(m.last_id[0] == 0 || m.resets == 0, "a reset of one source");
    s_cut(&m);
    t_finish(server[0].w);
    t_finish(server[1].w);
    free(src.list);
    t_where[0] = 0;
    return most;
}

static void outside_client_may_move_at_any_byte(U_STATE) {
    for (int transport = 0; transport < 3; transport++) {
        size_t most = 1;
        for (size_t bytes = 0; bytes <= most; bytes++) {
            most = s_move_after(transport, bytes, 1 + (int)(bytes * 5 % 15));
        }
        T_CHECK(most > 400, "only %lu bytes", (unsigned long)most);
    }
}

enum { S_CLIENTS = 6 };

// What the clients were told, of all runs: each of it has to come.
static struct {
    unsigned events, gaps, resets, moves, ends;
} s_sum;

static void s_run(uint32_t seed) {
    t_rng rng = t_seed(seed);
    s_source src;
    s_server server[2];
    s_client client[S_CLIENTS];
    uint32_t mark[2] = {0, 0};
    snprintf(t_where, sizeof t_where, "seed %lu", (unsigned long)seed);
    s_begin(&src, seed + 1000);
    memset(client, 0, sizeof client);
    for (uint32_t i = 0; i < 2; i++) {
        server[i].w = s_world(&rng, 2 * seed + i + 1);
        server[i].at = 0;
    }
    for (int i = 0; i < S_CLIENTS; i++) {
        client[i].src = &src;
        client[i].transport = i % 3;
        s_connect(&client[i], &server[t_below(&rng, 2)]);
    }
    for (int step = 0; step < 400; step++) {
        uint32_t i = t_below(&rng, 2);
        s_client *m = &client[t_below(&rng, S_CLIENTS)];
        t_world *w = server[i].w;
        switch (t_below(&rng, 12)) {
        case 0:
        case 1:
        case 2:
            for (uint32_t n = t_below(&rng, 8); n > 0; n--) {
                s_grow(&src);
            }
            break;
        case 3:
        case 4:
        case 5:
            s_read(&src, &server[i], (int)t_below(&rng, 12));
            break;
        case 6:
            s_repeat(&src, &server[i], (int)t_below(&rng, 5));
            break;
        case 7:
        case 8: // any byte
            s_get(m, t_below(&rng, 3) ? t_below(&rng, 200) : SIZE_MAX);
            s_connect(m, &server[t_below(&rng, 2)]);
            break;
        case 9:
            if (mark[i] != 0) { // the answer to a question asked a while ago
                s_sum.ends += (unsigned)rtpush_source_end(&w->srv, mark[i],
                                                          src.list[src.count - 1].id);
            }
            mark[i] = rtpush_waiting(&w->srv);
            break;
        case 10:
            if (t_below(&rng, 6) == 0) {
                s_epoch(&src, (int)t_below(&rng, 10));
            }
            break;
        default:
            if (t_below(&rng, 15) == 0) { // it starts again, in the middle
                for (int n = 0; n < S_CLIENTS; n++) {
                    if (client[n].server == &server[i]) {
                        s_get(&client[n], t_below(&rng, 300));
                        s_cut(&client[n]);
                    }
                }
                t_finish(w);
                w = server[i].w = s_world(&rng, seed * 100000 + (uint32_t)step + 7);
                server[i].at = (int)t_below(&rng, (uint32_t)server[i].at + 1);
                mark[i] = 0;
                for (int n = 0; n < S_CLIENTS; n++) {
                    if (client[n].c == NULL) {
                        s_connect(&client[n], &server[t_below(&rng, 2)]);
                    }
                }
            }
            break;
        }
        t_advance(server[i].w, t_below(&rng, 4) ? 10 : t_below(&rng, 6000));
        for (int n = 0; n < S_CLIENTS; n++) {
            if (t_below(&rng, 3)) {
                s_get(&client[n], SIZE_MAX);
            }
        }
    }
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 2; i++) {
            s_read(&src, &server[i], S_MOST);
            rtpush_source_end(&server[i].w->srv, rtpush_waiting(&server[i].w->srv),
                              src.list[src.count - 1].id);
        }
        for (int n = 0; n < S_CLIENTS; n++) {
            t_advance(client[n].server->w, 1000);
            s_get(&client[n], SIZE_MAX);
        }
    }
    for (int n = 0; n < S_CLIENTS; n++) {
        s_check_end(&client[n], client[n].server);
        s_sum.events += client[n].events;
        s_sum.gaps += client[n].gaps;
        s_sum.resets += client[n].resets;
        s_sum.moves += client[n].moves;
        s_cut(&client[n]);
    }
    for (int i = 0; i < 2; i++) {
        t_finish(server[i].w);
    }
    free(src.list);
    t_where[0] = 0;
}

static void outside_clients_that_move_see_every_event_once_or_are_told(U_STATE) {
    memset(&s_sum, 0, sizeof s_sum);
    for (uint32_t seed = 1; seed <= 30; seed++) {
        s_run(seed);
    }
    T_CHECK(s_sum.events > 2000 && s_sum.gaps > 50 && s_sum.resets > 50 && s_sum.moves > 500 &&
                s_sum.ends > 10,
            "%u events, %u gaps, %u resets, %u moves, %u who waited in vain", s_sum.events,
            s_sum.gaps, s_sum.resets, s_sum.moves, s_sum.ends);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(outside_ids_are_those_given),
        u_test(outside_duplicate_is_refused_and_changes_nothing),
        u_test(outside_loss_is_told_at_its_place),
        u_test(outside_bad_arguments_change_nothing),
        u_test(outside_server_has_no_numbers_of_its_own),
        u_test(outside_gap_of_own_numbers_is_their_distance),
        u_test(outside_needs_a_seed),
        u_test(outside_loss_is_told_also_to_who_expects_nothing),
        u_test(outside_position_is_given_by_a_keep_alive),
        u_test(outside_first_begins_with_the_oldest_event),
        u_test(outside_eviction_is_a_gap_up_to_what_was_evicted),
        u_test(outside_state_is_not_repeated_by_high_numbers),
        u_test(outside_revisions_that_run_out_begin_anew),
        u_test(outside_epoch_may_come_again),
        u_test(outside_servers_give_the_same_bytes),
        u_test(outside_position_of_64_bits_is_an_id),
        u_test(outside_full_spends_nothing),
        u_test(outside_id_in_front_of_the_head_waits),
        u_test(outside_keep_alive_of_one_that_waits_has_no_id),
        u_test(outside_other_epoch_waits_for_its_begin),
        u_test(outside_poll_that_waits_ends_with_the_id_it_came_with),
        u_test(outside_end_of_the_source_resets_who_is_in_front),
        u_test(outside_server_without_a_position_keeps_clients_waiting),
        u_test(outside_epoch_that_begins_at_the_same_number_ends_the_wait),
        u_test(outside_one_that_waits_is_told_that_it_expired_without_an_id),
        u_test(outside_poll_of_another_server_hides_no_value),
        u_test(outside_value_never_goes_back_at_another_server),
        u_test(outside_poll_is_not_behind_the_values_it_gives),
        u_test(outside_first_retry_is_jittered),
        u_test(outside_streams_end_in_slices),
        u_test(outside_reader_is_placed_without_walking_the_log),
        u_test(outside_address_behind_a_proxy_is_counted),
        u_test(outside_address_behind_a_proxy_has_its_own_rate),
        u_test(outside_client_may_move_at_any_byte),
        u_test(outside_clients_that_move_see_every_event_once_or_are_told),
    };
    return cmocka_run_group_tests_name("outside", tests, NULL, NULL);
}
