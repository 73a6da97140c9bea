// Deadlines, on a virtual clock that also wraps and goes backwards. t_advance wakes only when
// rtpush_tick asked for it, so a deadline that is met is also one that was announced.
#include "unit.h"

// Advances in steps until the connection ended; returns how long it took.
static uint32_t until_ended(t_world *w, t_conn *c, uint32_t most_ms) {
    for (uint32_t ms = 0; ms <= most_ms; ms += 250) {
        if (t_ended(c) || c->out.len > 0) {
            return ms;
        }
        t_advance(w, 250);
    }
    return most_ms + 1;
}

static void expect_about(uint32_t ms, uint32_t want) {
    T_CHECK(ms >= want && ms <= want + 750, "after %lu ms, should be %lu", (unsigned long)ms,
            (unsigned long)want);
}

static void time_silent_connection_is_closed_after_idle_ms(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_connect(w);
    expect_about(until_ended(w, c, 60000), 15000);
    T_EQ(c->out.len, 0); // nobody asked anything
    t_run(w);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TIMEOUT_IDLE], 1);
}

static void time_kept_connection_is_closed_after_idle_ms(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_open(w, "{GET /hello}");
    t_take(c);
    expect_about(until_ended(w, c, 60000), 15000);
}

static void time_slow_head_is_answered_408(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_open(w, "GET /hello HTTP/1.1\r\nHo");
    expect_about(until_ended(w, c, 60000), 10000);
    t_expect(c, "HTTP/1.1 408 |Connection: close");
    t_expect_events(w, "refuse 408 TIMEOUT_HEAD|!request");
}

// One byte a second for ever: activity does not move the head's deadline.
static void time_trickled_head_is_answered_408(U_STATE) {
    static const char head[] = "GET /hello HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n";
    t_world *w = t_begin();
    t_conn *c = t_connect(w);
    int ms = 0;
    for (size_t i = 0; i < sizeof head - 1 && !t_ended(c) && c->out.len == 0; i++) {
        t_feed(c, head + i, 1);
        t_advance(w, 1000);
        ms += 1000;
    }
    T_CHECK(ms >= 10000 && ms <= 12000, "ended after %d ms", ms);
    t_expect(c, "HTTP/1.1 408 ");
}

static void time_slow_body_is_answered_408(U_STATE) {
    for (int known = 0; known < 2; known++) {
        t_world *w = t_begin();
        t_app_of(w)->known = known;
        t_conn *c = t_open(w, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 50\r\n\r\nabc");
        expect_about(until_ended(w, c, 90000), known ? 30000 : 10000);
        t_expect(c, "HTTP/1.1 408 ");
        t_finish(w);
    }
}

// 4 KiB in each body_ms is enough, less is not; of a sender that nobody knows in each head_ms.
static void time_trickled_body_is_answered_408(U_STATE) {
    for (int round = 0; round < 4; round++) {
        const int known = round / 2;
        const int fast = round % 2;
        t_world *w = t_begin();
        t_app_of(w)->known = known;
        t_conn *c = t_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 20000\r\n\r\n");
        int sent = 0;
        int seconds = 0;
        while (sent < 20000 && !t_ended(c) && c->out.len == 0) {
            int n = fast ? known ? 200 : 500 : known ? 20 : 200;
            n = n < 20000 - sent ? n : 20000 - sent;
            for (int i = 0; i < n; i++) {
                t_feed_only(c, "x", 1);
            }
            t_run(w);
            sent += n;
            t_advance(w, 1000);
            seconds++;
        }
        if (fast) {
            t_expect(c, "HTTP/1.1 200 |20000 ");
        } else {
            t_expect(c, "HTTP/1.1 408 ");
            T_CHECK(known ? seconds >= 29 && seconds <= 32 : seconds >= 9 && seconds <= 12,
                    "ended after %d s", seconds);
        }
        t_finish(w);
    }
}

static void time_application_that_does_not_answer_gives_503(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_open(w, "{GET /later}");
    expect_about(until_ended(w, c, 90000), 30000);
    t_expect(c, "HTTP/1.1 503 ");
    t_run(w);
    t_expect_events(w, "request GET /later|close TIMEOUT_REPLY");
    T_EQ(rtpush_reply_text(&w->srv, t_app_of(w)->last, 200, "late"), RTPUSH_ERR_STALE);
}

// "reply_ms: the application's time to answer", which begins at the end of a streamed body.
static void time_application_silent_behind_a_body_gives_503(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].on_body = u_take_quietly;
    t_start(w);
    t_conn *c = t_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\n\r\nab");
    t_advance(w, 5000);
    t_say(c, "c");
    expect_about(until_ended(w, c, 90000), 30000);
    t_expect(c, "HTTP/1.1 503 ");
}

static void time_peer_that_does_not_finish_closing_is_closed(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_connect(w);
    c->manual_close = 1;
    t_say(c, "BREW / HTTP/1.1\r\n\r\n");
    T_EQ(c->fin, 1);
    uint32_t ms = 0;
    while (!c->dropped && ms < 60000) {
        t_advance(w, 250);
        ms += 250;
    }
    expect_about(ms, 2000);
    T_EQ(c->dropped, 2); // it has all bytes, and may still be reading them: no reset
}

// Bytes are queued and none is acknowledged: a reset, never a graceful close.
static void time_stalled_reader_is_aborted(U_STATE) {
    for (int kind = 0; kind < 5; kind++) {
        static const char *const hello[] = {"{GET /events}", "{WS /ws}", "{GET /poll}",
                                            "{GET /big}", "{GET /hello}"};
        for (int acks = 0; acks < 2; acks++) {
            t_world *w = t_begin();
            t_conn *c = t_connect(w);
            c->manual_close = 1;
            c->hold_acks = 1;
            c->window = acks ? SIZE_MAX : 0; // takes bytes and is silent, or takes none
            t_say(c, hello[kind]);
            uint32_t ms = 0;
            while (!c->dropped && ms < 90000) {
                t_publish_text(w, T_LOG, "x");
                t_advance(w, 250);
                ms += 250;
            }
            T_CHECK(ms >= 19750 && ms <= 21000, "%s is aborted after %lu ms", hello[kind],
                    (unsigned long)ms);
            T_EQ(c->dropped, 1);
            T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STALLED], 1);
            t_finish(w);
        }
    }
}

// A slow reader that acknowledges something is alive.
static void time_slow_reader_that_moves_is_kept(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_open(w, "{GET /events}");
    c->window = 0;
    for (int i = 0; i < 200; i++) {
        t_publish_text(w, T_LOG, "0123456789");
        c->window = 3;
        t_run(w);
        t_advance(w, 1000);
    }
    T_CHECK(!t_ended(c), "dropped though it reads 3 bytes a second");
}

// The longest access there is, slept through in one piece, and what is asked for beyond it.
static void time_access_ends_however_long_the_sleep(U_STATE) {
    static const uint32_t asked_s[] = {8000, 8001, 4294968, 4294967295u};
    for (size_t i = 0; i < 4; i++) {
        t_world *w = t_fixture();
        t_app_of(w)->expires_s = asked_s[i];
        t_start(w);
        u_peer *p = u_stream(w, "{GET /events}");
        w->now_ms += 8200000u;
        t_run(w);
        t_run(w);
        u_read(p);
        t_expect_events(w, "close EXPIRED");
        T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
        u_free(p);
        t_finish(w);
    }
}

static void time_authorisation_expires(U_STATE) {
    t_world *w = t_fixture();
    t_app_of(w)->expires_s = 60;
    w->desc.conn_count = 5;
    t_start(w);
    u_peer *ws = u_stream(w, "{WS /ws}");
    u_peer *sse = u_stream(w, "{GET /events}");
    u_open(w, "{GET /poll}");
    for (int i = 0; i < 59; i++) {
        t_advance(w, 1000);
        t_say(ws->c, "{8a:}");
    }
    T_CHECK(!t_ended(ws->c) && !t_ended(sse->c), "ended too early");
    t_advance(w, 2000);
    u_expect(ws, "8 4401");
    T_EQ(sse->c->fin, 1);
    t_advance(w, 4000);
    T_CHECK(t_ended(ws->c), "an expired WebSocket lives on");
    t_expect_events(w, "close EXPIRED");
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_EXPIRED], 2);
}

// Invariant 23: the same events at any position of the clock, also over the wrap at 2^32.
static void story(uint32_t start_ms, t_buf *out, t_buf *events) {
    t_world *w = t_fixture();
    w->now_ms = start_ms;
    w->desc.conn_count = 8;
    t_start(w);
    t_conn *idle = t_connect(w);
    t_conn *head = t_open(w, "GET / HT");
    t_conn *sse = t_open(w, "{GET /events}");
    t_conn *ws = t_open(w, "{WS /ws}");
    t_conn *later = t_open(w, "{GET /later}");
    for (int i = 0; i < 60; i++) {
        char text[64];
        snprintf(text, sizeof text, "%d: idle %d head %d sse %lu ws %d later %lu", i, t_ended(idle),
                 t_ended(head), (unsigned long)sse->out.len, t_ended(ws),
                 (unsigned long)later->out.len);
        t_note(w, "%s", text);
        t_advance(w, 1000);
    }
    t_put(out, sse->out.data, sse->out.len);
    t_put(events, w->events.data, w->events.len);
    t_finish(w);
}

static void time_wraps_at_2_32_without_a_trace(U_STATE) {
    t_buf out = {0};
    t_buf events = {0};
    story(1000, &out, &events);
    T_CHECK(strstr(t_text(&events), "close TIMEOUT_PONG") != NULL, "the story is dull:\n%s",
            t_text(&events));
    static const uint32_t starts[] = {
        0,           0xFFFFFFFFu,          0xFFFFFFFFu - 500u,  0xFFFFB1E0u,
        0x80000000u, 0x7FFFFFFFu - 20000u, 0xFFFFFFFFu - 41000u};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        t_buf out2 = {0};
        t_buf events2 = {0};
        story(starts[i], &out2, &events2);
        T_CHECK(strcmp(t_text(&events), t_text(&events2)) == 0, "from %lu on:\n%s\ninstead of\n%s",
                (unsigned long)starts[i], t_text(&events2), t_text(&events));
        T_EQ(out.len, out2.len);
        t_buf_free(&out2);
        t_buf_free(&events2);
    }
    t_buf_free(&out);
    t_buf_free(&events);
}

static void time_going_back_only_delays(U_STATE) {
    t_world *w = t_begin();
    w->now_ms = 1000000;
    t_tick(w);
    t_conn *c = t_open(w, "{WS /ws}");
    t_conn *idle = t_connect(w);
    for (int i = 0; i < 50; i++) {
        w->now_ms -= 10000; // someone sets the clock
        t_run(w);
        T_CHECK(w->sleep_ms <= 60000, "sleeps %lu ms", (unsigned long)w->sleep_ms);
    }
    T_CHECK(!t_ended(c) && !t_ended(idle), "ended though no time passed");
    t_take(c);
    t_advance(w, 16000);
    T_CHECK(t_ended(idle), "the deadline never came");
    t_advance(w, 30000);
    T_CHECK(t_ended(c), "the pong's deadline never came");
}

static void time_long_sleep_counts(U_STATE) {
    static const uint32_t jumps[] = {60000, 3600000, 8191000, 9000000, 86400000, 0x7FFFFFFF};
    for (size_t i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
        t_world *w = t_begin();
        t_conn *idle = t_connect(w);
        t_conn *ws = t_open(w, "{WS /ws}");
        w->now_ms += jumps[i]; // the machine was suspended
        t_run(w);
        T_CHECK(t_ended(idle), "an idle connection outlives a sleep of %lu ms",
                (unsigned long)jumps[i]);
        t_advance(w, 25000);
        T_CHECK(t_ended(ws), "a silent WebSocket outlives a sleep of %lu ms",
                (unsigned long)jumps[i]);
        t_finish(w);
    }
}

// Two hours and more: 16-bit quarter seconds wrap, nothing else happens.
static void time_streams_live_for_a_day(U_STATE) {
    t_world *w = t_begin();
    u_peer *sse = u_stream(w, "{GET /events}");
    u_peer *ws = u_stream(w, "{WS /ws}");
    w->quiet = 1;
    for (int i = 0; i < 24 * 60; i++) {
        t_advance(w, 60000 - 41000);
        t_send_text(ws->c, "alive");
        t_advance(w, 19000);
        t_send_text(ws->c, "alive");
        t_advance(w, 19000);
        t_send_text(ws->c, "alive");
        t_advance(w, 3000);
        if (i % 30 == 0) {
            t_publish_text(w, T_TEMP, i % 60 ? "20" : "21");
            t_publish_text(w, T_LOG, "half an hour");
            t_run(w);
            u_expect(sse, "half an hour");
        }
        u_clear(sse);
        u_clear(ws);
        T_CHECK(!t_ended(sse->c) && !t_ended(ws->c), "ended in minute %d", i);
    }
}

// A stream that is silent for hours must not be taken for stalled when it speaks again.
static void time_quiet_for_hours_is_not_stalled(U_STATE) {
    for (uint32_t hours = 1; hours < 12; hours++) {
        t_world *w = t_fixture();
        w->desc.keepalive_ms = 8000000;
        w->desc.ping_ms = 8000000;
        t_start(w);
        u_peer *p = u_stream(w, "{GET /events}");
        for (uint32_t i = 0; i < hours * 60; i++) {
            t_advance(w, 60000);
        }
        u_clear(p);
        p->c->hold_acks = 1;
        t_publish_text(w, T_LOG, "after hours");
        t_run(w);
        t_advance(w, 10000);
        T_CHECK(!t_ended(p->c), "taken for stalled after %lu hours", (unsigned long)hours);
        t_advance(w, 12000);
        T_CHECK(p->c->dropped == 1, "not taken for stalled, though it is");
        u_free(p);
        t_finish(w);
    }
}

// The sleep that tick grants must not be longer than the nearest deadline even if serving a
// connection after it made a nearer one.
static void time_tick_never_oversleeps(U_STATE) {
    t_world *w = t_begin();
    t_conn *sse = t_open(w, "{GET /events}"); // keep-alive in 15 s
    t_run(w);
    t_conn *c = t_connect(w);
    c->manual_close = 1;
    t_advance(w, 1000);
    t_say(c, "BREW / HTTP/1.1\r\n\r\n"); // closing: 2 s
    t_tick(w);
    T_CHECK(w->sleep_ms <= 2500, "sleeps %lu ms, the closing deadline is in 2 s",
            (unsigned long)w->sleep_ms);
    (void)sse;
}

static void time_without_connections_there_is_nothing_to_wait_for(U_STATE) {
    t_world *w = t_begin();
    T_EQ(t_tick(w), 0xFFFFFFFF);
    t_conn *c = t_connect(w);
    T_CHECK(t_tick(w) <= 15250, "sleeps %lu ms", (unsigned long)w->sleep_ms);
    t_cut(c);
    t_run(w);
    for (int i = 0; i < 200; i++) {
        t_advance(w, 250);
    }
    T_EQ(t_tick(w), 0xFFFFFFFF);
}

static void time_closing_connection_that_stalls_is_aborted(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_open(w, "{GET /events}");
    c->hold_acks = 1;
    c->manual_close = 1;
    t_publish_text(w, T_LOG, "unacknowledged");
    t_run(w);
    w->call = T_IN_API;
    T_EQ(rtpush_close(&w->srv, c->handle, 1000, NULL), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    T_EQ(c->fin, 0);
    uint32_t ms = 0;
    while (!c->dropped && ms < 90000) {
        t_advance(w, 250);
        ms += 250;
    }
    T_CHECK(ms <= 21000, "aborted after %lu ms", (unsigned long)ms);
}

static void time_authorisation_of_a_poll_expires(U_STATE) {
    t_world *w = t_fixture();
    t_app_of(w)->expires_s = 5;
    t_start(w);
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    char text[120];
    snprintf(text, sizeof text, "{GET /poll?last_event_id=%s}", p->last_id);
    t_say(p->c, text);
    t_advance(w, 6000);
    u_read(p);
    T_EQ(p->cl.answers, 2); // ends there; the next request is authorised anew
    T_EQ(t_app_of(w)->authorized, 2);
}

// "ms until the next deadline": the deadline stands still while the time goes on, also within one
// quarter second.
static void time_next_deadline_stands_still(U_STATE) {
    t_world *w = t_begin();
    t_open(w, "GET /hello HTTP/1.1\r\nHo");
    const uint32_t deadline = w->now_ms + t_tick(w);
    const uint32_t begin = w->now_ms;
    T_CHECK(deadline > begin + 1000, "it is at once");
    for (w->now_ms = begin + 1; w->now_ms < begin + 1000; w->now_ms += 37) {
        T_EQ(w->now_ms + t_tick(w), deadline);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(time_access_ends_however_long_the_sleep),
        u_test(time_silent_connection_is_closed_after_idle_ms),
        u_test(time_kept_connection_is_closed_after_idle_ms),
        u_test(time_slow_head_is_answered_408),
        u_test(time_trickled_head_is_answered_408),
        u_test(time_slow_body_is_answered_408),
        u_test(time_trickled_body_is_answered_408),
        u_test(time_application_that_does_not_answer_gives_503),
        u_test(time_application_silent_behind_a_body_gives_503),
        u_test(time_peer_that_does_not_finish_closing_is_closed),
        u_test(time_stalled_reader_is_aborted),
        u_test(time_slow_reader_that_moves_is_kept),
        u_test(time_authorisation_expires),
        u_test(time_wraps_at_2_32_without_a_trace),
        u_test(time_going_back_only_delays),
        u_test(time_long_sleep_counts),
        u_test(time_streams_live_for_a_day),
        u_test(time_quiet_for_hours_is_not_stalled),
        u_test(time_tick_never_oversleeps),
        u_test(time_without_connections_there_is_nothing_to_wait_for),
        u_test(time_closing_connection_that_stalls_is_aborted),
        u_test(time_authorisation_of_a_poll_expires),
        u_test(time_next_deadline_stands_still),
    };
    return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
