// Plans of output that readers at the same place share (rtpush_hooks.sharing). Each use of one is
// compared with what the planner would make for that reader: RTPUSH_ASSERT in rtpi_shared_at.
#include "unit.h"

static t_world *shared_world(uint32_t log_size, uint32_t plan_size) {
    t_world *w = t_fixture();
    w->desc.log_size = log_size;
    w->desc.conn_count = 8;
    w->plan_size = plan_size;
    t_start(w);
    return w;
}

// What rtpush_output offers this connection; nothing of it is taken.
static int offered(t_conn *c, rtpush_span *spans, int max) {
    t_world *w = c->world;
    t_enter(w, T_IN_OUTPUT, c);
    int count = rtpush_output(&w->srv, c->conn, spans, max);
    if (count > 0) {
        T_EQ(rtpush_sent(&w->srv, c->conn, 0, 0), 1);
    }
    t_leave(w);
    return count;
}

static void plan_is_one_span_for_all_at_a_place(void **state) {
    (void)state;
    t_world *w = shared_world(4096, 1024);
    static const char *const hellos[] = {"{GET /events}", "{GET /events}", "{WS /ws}", "{WS /ws}",
                                         "{GET /events?topics=log}"};
    t_conn *c[5];
    rtpush_span spans[5][4];
    for (int i = 0; i < 5; i++) {
        c[i] = t_open(w, hellos[i]);
    }
    T_EQ(t_publish_text(w, T_LOG, "one\ntwo"), RTPUSH_OK);
    T_EQ(t_publish_text(w, T_LOG, "three"), RTPUSH_OK);
    t_tick(w);
    for (int i = 0; i < 5; i++) {
        T_EQ(offered(c[i], spans[i], 4), 1);
        T_EQ(spans[i][0].kind, RTPUSH_SPAN_COPY);
    }
    assert_ptr_equal(spans[0][0].data, spans[1][0].data);
    assert_ptr_equal(spans[2][0].data, spans[3][0].data);
    assert_ptr_not_equal(spans[0][0].data, spans[2][0].data);
    assert_ptr_not_equal(spans[0][0].data, spans[4][0].data); // another subscription
    T_EQ(spans[2][0].len, 2 + 7 + 2 + 5);
    t_run(w);
    for (int i = 0; i < 5; i++) {
        t_forget(c[i]);
    }
    t_finish(w);
}

// Something else is to be sent to this reader: a plan of its own.
static void plan_is_for_quiet_readers_only(void **state) {
    (void)state;
    t_world *w = shared_world(4096, 1024);
    rtpush_span spans[4];
    t_conn *a = t_open(w, "{WS /ws}");
    t_conn *b = t_open(w, "{WS /ws}");
    T_EQ(rtpush_send(&w->srv, b->handle, RTPUSH_TEXT_MESSAGE, "direct", 6), RTPUSH_OK);
    T_EQ(t_publish_text(w, T_LOG, "all"), RTPUSH_OK);
    t_tick(w);
    T_EQ(offered(a, spans, 4), 1);
    T_EQ(spans[0].kind, RTPUSH_SPAN_COPY);
    T_EQ(offered(b, spans, 4), 2);
    T_EQ(spans[1].kind, RTPUSH_SPAN_HOLD);
    t_run(w);
    t_forget(a);
    t_forget(b);
    t_finish(w);
}

// Alone a reader is not planned for in memory that nobody else looks at.
static void plan_of_the_only_reader_is_not_shared(void **state) {
    (void)state;
    t_world *w = shared_world(4096, 1024);
    rtpush_span spans[4];
    t_conn *c = t_open(w, "{WS /ws}");
    T_EQ(t_publish_text(w, T_LOG, "x"), RTPUSH_OK);
    t_tick(w);
    T_EQ(offered(c, spans, 4), 1);
    T_EQ(spans[0].kind, RTPUSH_SPAN_HOLD);
    t_run(w);
    t_forget(c);
    t_finish(w);
}

// A record that does not fit into the memory is planned for each reader, and so is no other.
static void plan_memory_may_be_too_small_for_a_record(void **state) {
    (void)state;
    static char text[300];
    t_world *w = shared_world(4096, 256);
    rtpush_span spans[4];
    memset(text, 'x', sizeof text);
    t_conn *a = t_open(w, "{WS /ws}");
    t_conn *b = t_open(w, "{WS /ws}");
    T_EQ(t_publish(w, T_LOG, text, sizeof text), RTPUSH_OK);
    t_tick(w);
    T_EQ(offered(a, spans, 4), 1);
    T_EQ(spans[0].kind, RTPUSH_SPAN_HOLD);
    t_run(w);
    T_EQ(t_publish(w, T_LOG, text, 100), RTPUSH_OK);
    T_EQ(t_publish(w, T_LOG, text, 200), RTPUSH_OK);
    t_tick(w);
    T_EQ(offered(b, spans, 4), 1);
    T_EQ(spans[0].len, 2 + 100); // whole records only
    t_run(w);
    T_EQ(a->out_total, b->out_total);
    t_forget(a);
    t_forget(b);
    t_finish(w);
}

enum { READERS = 7 };

// Random events, short writes, readers that stop and go on, in a small log: what each reader got.
static void script(uint32_t seed, uint32_t plan_size, t_buf got[READERS]) {
    static const char *const hellos[READERS] = {
        "{GET /events}", "{GET /events}", "{GET /events}", "{GET /events?topics=chat}",
        "{GET /events?topics=chat}", "{WS /ws}", "{WS /ws}"};
    t_world *w = shared_world(1024 + 64 * (seed % 7), plan_size);
    t_rng rng = t_seed(seed);
    t_conn *c[READERS];
    for (int i = 0; i < READERS; i++) {
        c[i] = t_open(w, hellos[i]);
    }
    for (int step = 0; step < 120; step++) {
        char text[64];
        size_t len = t_below(&rng, 60);
        for (size_t k = 0; k < len; k++) {
            text[k] = "abc\nd\re"[t_below(&rng, 7)];
        }
        T_EQ(t_publish(w, t_below(&rng, 8) ? t_below(&rng, 2) ? T_LOG : T_CHAT : T_TEMP, text,
                       len < 24 ? len : t_below(&rng, 2) ? len : 24) >= -10, 1);
        t_conn *some = c[t_below(&rng, READERS)];
        some->window = t_below(&rng, 3) ? SIZE_MAX : t_below(&rng, 200);
        if (t_below(&rng, 3) > 0) {
            t_run(w);
        }
    }
    for (int i = 0; i < READERS; i++) {
        c[i]->window = SIZE_MAX;
    }
    t_run(w);
    for (int i = 0; i < READERS; i++) {
        t_put(&got[i], c[i]->out.data, c[i]->out.len);
        t_forget(c[i]);
    }
    t_finish(w);
}

static void plan_shared_changes_no_byte(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        t_buf own[READERS];
        t_buf shared[READERS];
        memset(own, 0, sizeof own);
        memset(shared, 0, sizeof shared);
        script(seed, 0, own);
        script(seed, 256 + 64 * (seed % 5), shared);
        for (int i = 0; i < READERS; i++) {
            T_CHECK(own[i].len == shared[i].len &&
                        memcmp(own[i].data, shared[i].data, own[i].len) == 0,
                    "seed %lu, reader %d", (unsigned long)seed, i);
            t_buf_free(&own[i]);
            t_buf_free(&shared[i]);
        }
    }
}

static void plan_memory_is_checked(void **state) {
    (void)state;
    static uint64_t memory[4 * 32];
    t_world *w = shared_world(1024, 0);
    rtpush_hooks hooks = w->srv.hooks;
    hooks.sharing = &rtpush_shared_plans;
    hooks.plan_memory = memory;
    hooks.plan_size = 248;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
    hooks.plan_size = 257;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
    hooks.plan_size = 256;
    hooks.plan_memory = NULL;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
    hooks.plan_memory = memory;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_OK);
    hooks.write = t_hook_write; // "With sharing and pending"
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
    hooks.flags |= RTPUSH_COPIES;
    hooks.pending = t_hook_pending;
    hooks.sharing = NULL;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
    t_finish(w);
}

// A port that copies and is asked what has arrived: rtpush_sent moves the reader by the whole plan.
static void plan_is_sent_by_a_port_that_copies(void **state) {
    (void)state;
    t_world *w = t_fixture();
    static const char *const hellos[] = {"{GET /events?topics=log}", "{GET /events?topics=log}",
                                         "{WS /ws?topics=log}", "{WS /ws?topics=log}"};
    u_peer *p[4];
    w->desc.conn_count = 8;
    w->desc.tx_size = 256;
    w->plan_size = 1024;
    w->kernel = 100000;
    t_start(w);
    for (int i = 0; i < 4; i++) {
        p[i] = u_stream(w, hellos[i]);
    }
    // One waits for room: it is told when all that went before is out, which is a plan's end.
    while (rtpush_send(&w->srv, p[3]->c->handle, RTPUSH_TEXT_MESSAGE, "direct", 6) == RTPUSH_OK) {
    }
    t_run(w);
    u_clear(p[3]);
    const uint32_t delivered = rtpush_get_counters(&w->srv)->delivered;
    const uint32_t bytes_out = rtpush_get_counters(&w->srv)->bytes_out;
    size_t taken = 0;
    for (int k = 0; k < 4; k++) {
        taken -= p[k]->c->out_total;
    }
    for (int i = 0; i < 5; i++) {
        T_EQ(t_publish_text(w, T_LOG, i % 2 ? "odd" : "even"), RTPUSH_OK);
        t_run(w);
        for (int k = 0; k < 4; k++) {
            u_is(p[k], k < 2   ? i % 2 ? "log: odd\n" : "log: even\n"
                       : i % 2 ? "1 odd\n" : "1 even\n");
            t_arrive(p[k]->c, 100000);
        }
        t_advance(w, 4000);
        u_read(p[0]);
        T_EQ(p[0]->alive, 0); // keepalive_ms begins with the last event
    }
    T_EQ(rtpush_get_counters(&w->srv)->delivered - delivered, 20);
    for (int k = 0; k < 4; k++) {
        taken += p[k]->c->out_total;
    }
    T_EQ(rtpush_get_counters(&w->srv)->bytes_out - bytes_out, taken);
    // "RTPUSH_RETRY: not taken, it comes again after progress": a plan that went out is some.
    t_app_of(w)->later = 1;
    t_say(p[2]->c, "{81:mine}");
    u_is(p[2], "");
    T_EQ(t_publish_text(w, T_LOG, "more"), RTPUSH_OK);
    t_run_ready(w);
    u_is(p[2], "1 more\n1 mine\n");
    p[0]->c->hold_acks = 1; // as the POSIX port where it gathers answers to one read
    T_EQ(t_publish_text(w, T_LOG, "held"), RTPUSH_OK);
    t_run_ready(w);
    u_is(p[0], "log: more\nlog: held\n");
    u_is(p[2], "1 held\n");
    T_CHECK(p[0]->c->conn->unacked > 0, "nobody acknowledged it");
    p[0]->c->hold_acks = 0;
    t_ack(p[0]->c, p[0]->c->unacked);
    T_EQ(p[0]->c->conn->unacked, 0);
    w->bite = 3; // taken in part, the rest is not lost
    T_EQ(t_publish_text(w, T_LOG, "last"), RTPUSH_OK);
    t_run_ready(w);
    u_is(p[2], "1 last\n");
    u_is(p[0], "log: last\n");
    w->bite = 0;
    T_EQ(t_app_of(w)->writable, 1);
    t_advance(w, 5500);
    u_read(p[0]);
    T_EQ(p[0]->alive, 1);
}

// "rtpush_next and rtpush_push send by it what a stream has in one span", and nothing else.
static void plan_and_tx_are_written_at_once(void **state) {
    (void)state;
    t_world *w = t_fixture();
    w->desc.conn_count = 8;
    w->plan_size = 1024;
    w->kernel = 100000;
    t_start(w);
    u_peer *a = u_stream(w, "{WS /ws?topics=log}");
    u_peer *b = u_stream(w, "{WS /ws?topics=log}");
    T_EQ(rtpush_push(&w->srv, a->c->conn), 0); // there is nothing
    w->writes = 0;
    T_EQ(t_publish_text(w, T_LOG, "x"), RTPUSH_OK);
    assert_null(t_next(w));
    T_EQ(w->writes, 2);
    u_is(a, "1 x\n");
    u_is(b, "1 x\n");
    T_EQ(rtpush_send(&w->srv, a->c->handle, RTPUSH_TEXT_MESSAGE, "tx", 2), RTPUSH_OK);
    T_EQ(rtpush_push(&w->srv, a->c->conn), 1);
    T_EQ(w->writes, 3);
    assert_null(t_next(w)); // it is no longer named for that
    u_is(a, "1 tx\n");
    a->c->window = 3; // in part: the rest is asked for
    T_EQ(rtpush_send(&w->srv, a->c->handle, RTPUSH_TEXT_MESSAGE, "part", 4), RTPUSH_OK);
    T_EQ(rtpush_push(&w->srv, a->c->conn), 0);
    T_EQ(w->writes, 4);
    a->c->window = SIZE_MAX;
    t_run(w);
    u_is(a, "1 part\n");
    T_EQ(w->writes, 5);
    T_EQ(rtpush_send(&w->srv, a->c->handle, RTPUSH_TEXT_MESSAGE, "both", 4), RTPUSH_OK);
    T_EQ(t_publish_text(w, T_LOG, "y"), RTPUSH_OK);
    t_tick(w);
    T_EQ(rtpush_push(&w->srv, a->c->conn), 0); // two spans
    T_EQ(w->writes, 5);
    t_run(w);
    u_is(a, "1 both\n1 y\n");
    u_is(b, "1 y\n");
}

// What is alone in tx is written at once, but a message that waits for on_message comes with it: a
// connection is not passed over for having sent all.
static void plan_written_tx_leaves_no_message_behind(U_STATE) {
    for (int pushed = 0; pushed < 2; pushed++) {
        t_world *w = t_fixture();
        w->plan_size = 1024;
        w->kernel = 100000;
        t_start(w);
        u_peer *p = u_stream(w, "{WS /ws}");
        t_app_of(w)->later = 1;
        t_say(p->c, "{81:mine}");
        u_is(p, "");
        w->now_ms += 600; // the scan ends the wait
        t_tick(w);
        T_EQ(rtpush_send(&w->srv, p->c->handle, RTPUSH_TEXT_MESSAGE, "tx", 2), RTPUSH_OK);
        T_EQ(pushed ? rtpush_push(&w->srv, p->c->conn) : 0, pushed);
        t_run_ready(w);
        u_is(p, "1 tx\n1 mine\n");
        u_free(p);
        t_finish(w);
    }
}

// Nor is tx all that there is while a pong or a Close waits for room in it.
static void plan_written_tx_leaves_no_control_frame_behind(U_STATE) {
    for (int close = 0; close < 2; close++) {
        t_world *w = t_fixture();
        w->desc.tx_size = 256;
        w->plan_size = 1024;
        w->kernel = 100000;
        t_start(w);
        u_peer *p = u_stream(w, "{WS /ws}");
        p->c->window = 0;
        while (rtpush_send(&w->srv, p->c->handle, RTPUSH_TEXT_MESSAGE, "x", 1) == RTPUSH_OK) {
        }
        if (close) {
            T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, "enough"), RTPUSH_OK);
        } else {
            t_say(p->c, "{89:enough}");
        }
        t_run_ready(w);
        u_is(p, "");
        p->c->window = SIZE_MAX;
        t_serve(p->c); // its socket is writable
        t_run_ready(w);
        T_CHECK(strstr(u_read(p), close ? "8 1000" : "10 enough") != NULL, "%s", u_read(p));
        u_free(p);
        t_finish(w);
    }
}

enum { FAR = 200 }; // events: more than three calls pass (RTPI_PASSES)

// One call passes so many events of other topics and no more. Then the reader is looked at again,
// also where nothing was sent that rtpush_sent could tell of: behind what was written at once...
static void plan_far_behind_a_written_one_comes(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 8;
    w->desc.log_size = 16384;
    w->plan_size = 1024;
    w->kernel = 100000;
    t_start(w);
    u_peer *a = u_stream(w, "{WS /ws?topics=chat}");
    u_peer *b = u_stream(w, "{WS /ws?topics=chat}");
    a->c->window = 0;
    T_EQ(t_publish_text(w, T_CHAT, "near"), RTPUSH_OK);
    for (int i = 0; i < FAR; i++) {
        T_EQ(t_publish_text(w, T_LOG, "x"), RTPUSH_OK);
    }
    T_EQ(t_publish_text(w, T_CHAT, "far"), RTPUSH_OK);
    t_run_ready(w);
    u_is(b, "1 near\n1 far\n");
    u_is(a, "");
    a->c->window = SIZE_MAX;
    t_serve(a->c); // its socket is writable
    u_is(a, "1 near\n");
    T_EQ(t_tick(w), 0);
    t_run_ready(w);
    u_is(a, "1 far\n");
}

// ... and behind a gap, of which a raw WebSocket gets no byte.
static void plan_far_behind_a_gap_comes(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 4096;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws?topics=chat}");
    T_EQ(t_publish_text(w, T_CHAT, "lost"), RTPUSH_OK);
    for (int i = 0; i < 2 * FAR; i++) {
        T_EQ(t_publish_text(w, T_LOG, "x"), RTPUSH_OK);
    }
    T_EQ(t_publish_text(w, T_CHAT, "far"), RTPUSH_OK);
    t_run_ready(w);
    T_CHECK(t_app_of(w)->missed > 0, "there is no gap");
    u_is(p, "1 far\n");
}

// "records completed to readers": each once, however many writes it takes, and where its rest waits
// in tx.
static void plan_parts_are_delivered_once(U_STATE) {
    static const size_t bites[] = {1, 7, 64, 150, 400};
    for (size_t b = 0; b < sizeof bites / sizeof bites[0]; b++) {
        t_world *w = t_fixture();
        char text[101];
        memset(text, 'p', sizeof text - 1);
        text[sizeof text - 1] = 0;
        w->bite = bites[b];
        t_start(w);
        u_peer *sse = u_stream(w, "{GET /events?topics=log}");
        u_peer *ws = u_stream(w, "{WS /ws?topics=log}");
        for (int i = 0; i < 12; i++) {
            sse->c->window = ws->c->window = i % 3 == 2 ? SIZE_MAX : (size_t)i * 30;
            T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
            t_run(w);
        }
        sse->c->window = ws->c->window = SIZE_MAX;
        t_run(w);
        u_read(sse);
        u_read(ws);
        T_EQ(sse->events, 12);
        T_EQ(ws->seen.len, 12 * (sizeof text + 2)); // "1 ", the text, a line end
        T_EQ(rtpush_get_counters(&w->srv)->delivered, 24);
        u_free(sse);
        u_free(ws);
        t_finish(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(plan_is_one_span_for_all_at_a_place),
        u_test(plan_is_for_quiet_readers_only),
        u_test(plan_of_the_only_reader_is_not_shared),
        u_test(plan_memory_may_be_too_small_for_a_record),
        u_test(plan_shared_changes_no_byte),
        u_test(plan_memory_is_checked),
        u_test(plan_is_sent_by_a_port_that_copies),
        u_test(plan_and_tx_are_written_at_once),
        u_test(plan_written_tx_leaves_no_message_behind),
        u_test(plan_written_tx_leaves_no_control_frame_behind),
        u_test(plan_far_behind_a_written_one_comes),
        u_test(plan_far_behind_a_gap_comes),
        u_test(plan_parts_are_delivered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
