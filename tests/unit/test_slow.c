// Slow readers that acknowledge, where the transport is a kernel that takes bytes long before the
// peer has them (rtpush_hooks.pending). Virtual time, the default deadlines. RFC 9112 9.6 and RFC
// 6455 7.1.1: a connection is closed in stages, so that the last bytes arrive.
#include "unit.h"

enum { KERNEL = 60000, FILE_SIZE = 70000, PULL_SIZE = 101000, EVENTS = 60, EVENT_SIZE = 1000 };

static const char close_file[] = "GET /big HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n";
static const char old_file[] = "GET /big HTTP/1.0\r\n\r\n";
static const char kept_file[] = "{GET /big}";
static const char close_pull[] = "GET /pull HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n";
static const char kept_pull[] = "{GET /pull}";
static const char close_poll[] =
    "GET /poll?topics=log&last_event_id=00c0ffee-00000000 HTTP/1.1\r\n" T_HOST
    "Connection: close\r\n\r\n";
static const char old_poll[] =
    "GET /poll?topics=log&last_event_id=00c0ffee-00000000 HTTP/1.0\r\n" T_HOST "\r\n";
static const char *const texts[] = {close_file, old_file,  kept_file, close_pull,
                                    kept_pull,  close_poll, old_poll};
enum { TEXTS = sizeof texts / sizeof texts[0] };

static void publish(t_world *w, int number) {
    char event[EVENT_SIZE + 1];
    memset(event, 'e', sizeof event - 1);
    event[sizeof event - 1] = '\0';
    snprintf(event, sizeof event, "%06d", number);
    event[6] = ' ';
    T_CHECK(t_publish(w, T_LOG, event, EVENT_SIZE) == RTPUSH_OK, "publish refused");
}

static t_world *kernel_world(uint32_t conn_count) {
    t_world *w = t_fixture();
    w->kernel = KERNEL;
    w->desc.conn_count = conn_count;
    w->desc.log_size = 128 * 1024;
    w->desc.rx_size = w->desc.tx_size = 2048;
    t_app_of(w)->pull_size = PULL_SIZE;
    t_start(w);
    w->max_spans = 16;
    for (int i = 0; i < EVENTS; i++) {
        publish(w, i);
    }
    return w;
}

// The peer's TCP acknowledges so many bytes a second until nothing is left, and then everything the
// core has for it has arrived. Returns the milliseconds.
static uint32_t read_slowly(t_world *w, t_conn *c, size_t bytes_a_second) {
    uint32_t ms = 0;
    for (; ms < 600000; ms += 1000) {
        if (c->kernel + (size_t)c->fin_held == 0) {
            break;
        }
        t_arrive(c, bytes_a_second);
        t_advance(w, 1000);
    }
    T_CHECK(c->dropped != 1, "reset after %lu ms with %lu of %lu bytes", (unsigned long)ms,
            (unsigned long)c->arrived, (unsigned long)c->out_total);
    T_EQ(c->arrived, c->out_total);
    return ms;
}

static void slow_every_answer_arrives_whole(U_STATE) {
    static const size_t rates[] = {1000, 4000, 25000};
    for (size_t r = 0; r < 3; r++) {
        for (int i = 0; i < TEXTS; i++) {
            t_world *w = kernel_world(4);
            u_peer *p = u_new(w);
            p->c = t_open(w, texts[i]);
            const int kept = texts[i] == kept_file || texts[i] == kept_pull;
            const uint32_t ms = read_slowly(w, p->c, rates[r]);
            T_CHECK(ms * rates[r] / 1000 >= 50000, "the kernel held little");
            const int file = strncmp(u_read(p), "200 ", 4) == 0;
            T_CHECK(p->cl.status == 200 && (file || p->events >= EVENTS),
                    "the answer is not whole: %s at %lu B/s", texts[i], (unsigned long)rates[r]);
            T_EQ(p->c->fin, !kept);
            if (kept) {
                t_advance(w, 14000);
                T_EQ(p->c->fin, 0);
                t_advance(w, 17000);
                T_EQ(p->c->fin, 1);
                T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TIMEOUT_IDLE], 0);
                t_arrive(p->c, 0);
                T_EQ(p->c->dropped, 2);
            } else {
                T_EQ(p->c->dropped, 2);
            }
            u_free(p);
            t_finish(w);
        }
    }
}

static void slow_echo_and_close_arrive(U_STATE) {
    static const size_t rates[] = {1000, 25000};
    for (size_t r = 0; r < 2; r++) {
        t_world *w = kernel_world(4);
        w->quiet = 1;
        w->desc.rate_messages = RTPUSH_UNLIMITED;
        u_peer *p = u_stream(w, "{WS /ws}");
        t_arrive(p->c, KERNEL);
        for (int i = 0; i < 120; i++) {
            t_say(p->c, "{82*1000}");
        }
        t_say(p->c, "{88#03e8}");
        T_CHECK(p->c->kernel == KERNEL, "it all went at once");
        read_slowly(w, p->c, rates[r]);
        u_read(p);
        T_CHECK(p->seen.len > 120 * 1000 && strstr(u_read(p) + p->seen.len - 10, "8 1000"),
                "echo or Close are missing");
        T_EQ(p->c->dropped, 2);
        u_free(p);
        t_finish(w);
    }
}

// A Close of ours stands behind all that the peer has not read yet. close_ms is the peer's time to
// answer it, not ours to deliver it.
static void slow_close_of_ours_arrives(U_STATE) {
    for (int answers = 0; answers < 2; answers++) {
        t_world *w = kernel_world(4);
        u_peer *p = u_stream(w, "{WS /ws}");
        t_arrive(p->c, KERNEL);
        p->c->manual_close = 1;
        for (int i = 0; i < 100; i++) {
            publish(w, i);
        }
        t_run(w);
        t_enter(w, T_IN_API, NULL);
        T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, "bye"), RTPUSH_OK);
        t_leave(w);
        t_run(w);
        while (p->c->kernel > 0) {
            t_arrive(p->c, 1000);
            t_advance(w, 1000);
            T_CHECK(!p->c->dropped && !p->c->fin, "ended with %lu bytes on their way",
                    (unsigned long)p->c->kernel);
        }
        u_read(p);
        T_CHECK(strstr(u_read(p), "8 1000 bye") != NULL, "no Close");
        if (answers) {
            t_say(p->c, "{88#03e8}");
            T_EQ(p->c->fin, 1);
            t_arrive(p->c, 0);
            t_eof(p->c);
        } else {
            t_advance(w, 4750);
            T_EQ(p->c->fin, 1); // RFC 6455 7.1.1: the server ends TCP
            t_arrive(p->c, 0);
            t_advance(w, 4750);
            T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_APP], 1);
        }
        T_EQ(p->c->dropped, 2);
        u_free(p);
        t_finish(w);
    }
}

static void slow_event_stream_ends_whole(U_STATE) {
    t_world *w = kernel_world(4);
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    for (int i = 0; i < 90; i++) {
        publish(w, i);
        t_run(w);
    }
    t_enter(w, T_IN_API, NULL);
    rtpush_shutdown(&w->srv);
    t_leave(w);
    t_run(w);
    read_slowly(w, p->c, 1000);
    u_read(p);
    T_CHECK(p->events >= 55 && p->c->fin, "%u events", p->events);
    T_EQ(p->c->dropped, 2);
}

// Acknowledged is what the peer's TCP has acknowledged, on each transport, whether the bytes wait
// in the kernel or before it.
static void slow_reader_that_stops_is_reset_after_stall_ms(U_STATE) {
    for (int i = 0; i < TEXTS + 3; i++) {
        for (int reads = 0; reads < 2; reads++) {
            t_world *w = kernel_world(4);
            const char *text = i < TEXTS    ? texts[i]
                               : i == TEXTS ? "{GET /events}"
                                            : i == TEXTS + 1 ? "{WS /ws}" : "{GET /hello}";
            t_conn *c = t_open(w, text);
            c->manual_close = 1;
            for (int s = 0; reads && s < 7; s++) {
                t_arrive(c, 10);
                t_advance(w, 7000);
            }
            T_CHECK(!c->dropped, "reset though it reads");
            uint32_t ms = 0;
            while (!c->dropped && ms < 90000) {
                publish(w, (int)ms);
                t_advance(w, 250);
                ms += 250;
            }
            T_CHECK(ms >= (reads ? 12750u : 19750u) && ms <= 26000, "%s: reset after %lu ms",
                    text, (unsigned long)ms);
            T_EQ(c->dropped, 1);
            T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STALLED], 1);
            t_finish(w);
        }
    }
}

// The kernel takes event after event for a peer that has vanished: that is no progress.
static void slow_vanished_reader_of_a_stream_is_found(U_STATE) {
    for (int ws = 0; ws < 2; ws++) {
        t_world *w = kernel_world(4);
        t_conn *c = t_open(w, ws ? "{WS /ws?topics=chat}" : "{GET /events?topics=chat}");
        t_arrive(c, KERNEL);
        t_advance(w, 6000);
        uint32_t ms = 0;
        while (!c->dropped && ms < 90000) {
            t_publish_text(w, T_CHAT, "small");
            t_advance(w, 250);
            ms += 250;
        }
        T_CHECK(c->kernel < KERNEL / 2, "the kernel was full");
        T_CHECK(ms >= 19000 && ms <= 26000, "found after %lu ms", (unsigned long)ms);
        t_finish(w);
    }
}

// Two slots, both with an answer on its way: who comes is refused, however often. When an answer
// has arrived its connection gives its slot, without a reset.
static void slow_answer_on_its_way_is_never_evicted(U_STATE) {
    static const char *const held[] = {kept_file, close_file};
    for (int i = 0; i < 2; i++) {
        t_world *w = kernel_world(2);
        t_conn *c[2];
        for (int k = 0; k < 2; k++) {
            c[k] = t_open(w, held[i]);
            c[k]->manual_close = 1;
            t_arrive(c[k], KERNEL / 3 + 1000); // the core has nothing left
            T_CHECK(c[k]->kernel > 45000, "it is through");
        }
        for (int k = 0; k < 30; k++) {
            t_advance(w, 500);
            T_CHECK(t_connect_peer(w, 0, 7) == NULL, "a slot was free");
            t_arrive(c[0], 500);
            t_arrive(c[1], 500);
        }
        T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_NO_SLOT], 30);
        T_CHECK(!c[0]->dropped && !c[1]->dropped, "evicted with bytes on their way");
        t_arrive(c[1], KERNEL);
        t_conn *newcomer = t_connect_peer(w, 0, 7);
        T_CHECK(newcomer != NULL, "refused, though one is idle");
        T_EQ(c[1]->dropped, 2);
        T_EQ(c[0]->dropped, 0);
        t_finish(w);
    }
}

// A ping waits behind 60 KB that take a minute. The time for its answer begins when it has arrived.
static void slow_ping_behind_much_is_no_timeout(U_STATE) {
    t_world *w = kernel_world(4);
    u_peer *p = u_stream(w, "{WS /ws?topics=log}");
    t_arrive(p->c, KERNEL);
    t_advance(w, 6000);
    for (int i = 0; i < 58; i++) {
        publish(w, i);
    }
    t_run(w);
    for (int s = 0; s < 200 && strstr(u_read(p), "\n9 ") == NULL; s++) {
        t_arrive(p->c, 1000);
        t_advance(w, 1000);
        T_CHECK(!p->c->dropped, "dropped after %d s: %s", s, t_text(&w->events));
    }
    T_CHECK(strstr(u_read(p), "9 ") != NULL, "no ping came");
    t_say(p->c, "{8a:}");
    t_advance(w, 10000);
    T_CHECK(!p->c->dropped, "dropped after its pong");
    // It answers no ping any more, and reads all the same.
    uint32_t ms = 0;
    for (; ms < 120000 && !p->c->dropped; ms += 1000) {
        t_arrive(p->c, KERNEL);
        t_advance(w, 1000);
    }
    T_CHECK(p->c->dropped == 1 && ms >= 29000, "dropped after %lu ms", (unsigned long)ms);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TIMEOUT_PONG], 1);
}

// The port is asked when a deadline comes, not for each send.
static void slow_hook_is_asked_rarely(U_STATE) {
    t_world *w = kernel_world(4);
    t_conn *c = t_open(w, "{GET /events?topics=chat}");
    for (int i = 0; i < 400; i++) {
        t_publish_text(w, T_CHAT, "x");
        t_run(w);
        t_arrive(c, KERNEL);
        t_advance(w, 250);
    }
    T_CHECK(w->asked >= 15 && w->asked <= 25, "asked %u times in 100 s", w->asked);
}

static void slow_pending_needs_a_port_that_copies(U_STATE) {
    t_world *w = t_begin();
    rtpush_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.drop = t_hook_drop;
    hooks.pending = t_hook_pending;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
}

// The kernel takes nothing, because the peer's window is closed from the beginning.
static void slow_peer_that_takes_nothing_is_reset_after_stall_ms(U_STATE) {
    t_world *w = kernel_world(4);
    t_conn *c = t_connect(w);
    c->window = 0;
    t_say(c, "{GET /hello}");
    t_advance(w, 19000);
    T_EQ(c->dropped, 0);
    t_advance(w, 8000);
    T_EQ(c->dropped, 1);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STALLED], 1);
}

// reply_ms is "the application's time to answer": while bytes of the answer are on their way to the
// peer, stall_ms is its limit.
static void slow_peer_of_a_pull_is_not_the_applications_fault(U_STATE) {
    t_world *w = t_fixture();
    w->desc.stall_ms = 100000;
    w->desc.reply_ms = 10000;
    t_app_of(w)->pull_size = 100000;
    t_start(w);
    t_conn *c = t_connect(w);
    c->hold_acks = 1;
    t_app_of(w)->pull_fail_at = -1;
    c->window = 2000;
    t_say(c, "{GET /pull}");
    t_app_of(w)->pull_later = T_FOREVER;
    c->window = SIZE_MAX;
    t_run(w);
    t_advance(w, 60000);
    T_EQ(c->dropped, 0);
    c->hold_acks = 0;
    t_ack(c, c->unacked);
    t_advance(w, 21000);
    T_EQ(c->dropped, 1);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TIMEOUT_REPLY], 1);
}

// RFC 6455 7.1.1: a connection that closes sends all first, however slowly the peer reads.
static void slow_reader_gets_all_before_the_end(U_STATE) {
    t_world *w = t_begin();
    char text[400];
    memset(text, 'q', sizeof text);
    u_peer *p = u_stream(w, "{WS /ws?topics=log}");
    p->c->window = 0;
    T_EQ(rtpush_send(&w->srv, p->c->handle, RTPUSH_TEXT_MESSAGE, text, sizeof text), RTPUSH_OK);
    t_say(p->c, "{88#03e8}");
    rtpush_span spans[1];
    t_enter(w, T_IN_OUTPUT, p->c);
    T_EQ(rtpush_output(&w->srv, p->c->conn, spans, 0), 0); // "fills up to max spans": no FIN either
    t_leave(w);
    for (int i = 0; i < 45 && !p->c->fin; i++) {
        T_EQ(p->c->dropped, 0);
        p->c->window = 10;
        t_run(w);
        t_advance(w, 15000);
    }
    T_EQ(p->c->fin, 1);
    u_read(p);
    T_EQ(p->seen.len, 2 + sizeof text + 1 + strlen("8 1000 \n"));
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STALLED], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(slow_every_answer_arrives_whole),
        u_test(slow_echo_and_close_arrive),
        u_test(slow_close_of_ours_arrives),
        u_test(slow_event_stream_ends_whole),
        u_test(slow_reader_that_stops_is_reset_after_stall_ms),
        u_test(slow_vanished_reader_of_a_stream_is_found),
        u_test(slow_answer_on_its_way_is_never_evicted),
        u_test(slow_ping_behind_much_is_no_timeout),
        u_test(slow_hook_is_asked_rarely),
        u_test(slow_pending_needs_a_port_that_copies),
        u_test(slow_peer_that_takes_nothing_is_reset_after_stall_ms),
        u_test(slow_peer_of_a_pull_is_not_the_applications_fault),
        u_test(slow_reader_gets_all_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
