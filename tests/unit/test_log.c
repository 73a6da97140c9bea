// The event log: what is kept, what is told as a gap, who is evicted, publishing from elsewhere.
#define U_INSIDE
#include "unit.h"

static t_world *small_log(uint32_t size) {
    t_world *w = t_fixture();
    w->desc.log_size = size;
    w->desc.conn_count = 6;
    t_start(w);
    return w;
}

static void number(char text[24], int i) {
    snprintf(text, 24, "event %d", i);
}

static void publish_range(t_world *w, int from, int to) {
    for (int i = from; i <= to; i++) {
        char text[24];
        number(text, i);
        T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
    }
}

// Invariant 6: each event accepted and each one given up with FULL has the next number.
static void log_numbers_every_event(U_STATE) {
    t_world *w = small_log(512);
    for (uint32_t i = 1; i <= 500; i++) {
        rtpush_id before = rtpush_last_id(&w->srv);
        T_EQ(t_publish_text(w, i % 2 ? T_LOG : T_CHAT, "x"), RTPUSH_OK);
        rtpush_id after = rtpush_last_id(&w->srv);
        T_EQ(after.seq, before.seq + 1);
        T_EQ(after.epoch, 0x00C0FFEE);
    }
    T_EQ(rtpush_get_counters(&w->srv)->published, 500);
    T_EQ(rtpush_get_counters(&w->srv)->full, 0);
}

static void log_takes_up_to_a_quarter_of_itself(U_STATE) {
    static char text[70000];
    static const uint32_t large[] = {8192, 4 * 65536, 4 * (65535 + 17), 4 * (65535 + 21),
                                     4 * 70000};
    memset(text, 'q', sizeof text);
    for (uint32_t i = 0; i < 57 + 5; i++) {
        uint32_t size = i < 57 ? 256 + 68 * i : large[i - 57];
        t_world *w = small_log(size);
        size_t most = size / 16 * 4 - 18 < 65535 ? size / 16 * 4 - 18 : 65535;
        T_EQ(RTPUSH_EVENT_MAX(size), most);
        T_EQ(t_publish(w, T_LOG, text, most), RTPUSH_OK);
        T_EQ(t_publish(w, T_LOG, text, most + 1), RTPUSH_ERR_TOO_BIG);
        assert_null(rtpush_reserve(&w->srv, T_LOG, most + 1));
        u_peer *p = u_stream(w, "{WS /ws}");
        for (int k = 0; k < 20; k++) {
            T_EQ(t_publish(w, T_LOG, text, most), RTPUSH_OK);
            t_run(w);
            u_read(p);
            T_EQ(p->seen.len, most + 3);
            u_clear(p);
        }
        assert_non_null(rtpush_reserve(&w->srv, T_LOG, most));
        T_EQ(rtpush_commit(&w->srv, most), RTPUSH_OK);
        u_free(p);
        t_finish(w);
    }
}

// Publish validates once, so that one bad record cannot close every WebSocket.
static void log_refuses_text_that_is_not_utf8(U_STATE) {
    t_world *w = small_log(1024);
    T_EQ(t_publish_text(w, T_LOG, "\xC3"), RTPUSH_ERR_UTF8);
    T_EQ(t_publish_text(w, T_LOG, "a\xED\xA0\x80"), RTPUSH_ERR_UTF8);
    T_EQ(t_publish_text(w, T_TEMP, "\xFF"), RTPUSH_ERR_UTF8);
    T_EQ(t_publish_text(w, T_LOG, "\xC3\xA9"), RTPUSH_OK);
    T_EQ(rtpush_last_id(&w->srv).seq, 1);
}

static void log_carries_bytes_on_binary_topics(U_STATE) {
    static const rtpush_topic topics[] = {{"bin", &rtpush_topic_event, RTPUSH_BINARY, 0},
                                          {"binstate", &rtpush_topic_state, RTPUSH_BINARY, 20}};
    t_world *w = t_fixture();
    w->desc.topics = topics;
    w->desc.topic_count = 2;
    w->desc.route_count = T_R_EVENTS; // no SSE and no poll
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    u_peer *q = u_stream(w, "{WSP /ws rtpush.1}");
    T_EQ(t_publish(w, 0, "\x00\xFF\x80", 3), RTPUSH_OK);
    t_run(w);
    u_read(p);
    T_EQ(p->seen.len, 6);
    assert_memory_equal(p->seen.data, "2 \x00\xFF\x80\n", 6);
    u_clear(p);
    T_EQ(t_publish(w, 1, "\xFE", 1), RTPUSH_OK);
    t_run(w);
    u_is(p, "2 \xFE\n");
    u_expect(q, "2 00c0ffee-|bin\n|2 00c0ffee-|binstate\n");
}

// Sums of "...N" and counts, over what a reader saw.
static unsigned long told_gaps(const char *seen, const char *word) {
    unsigned long sum = 0;
    for (const char *at = seen; (at = strstr(at, word)) != NULL;) {
        at += strlen(word);
        sum += strtoul(at, NULL, 10);
    }
    return sum;
}

static unsigned long count_of(const char *seen, const char *word) {
    unsigned long count = 0;
    for (const char *at = seen; (at = strstr(at, word)) != NULL; at++) {
        count++;
    }
    return count;
}

// -- gaps -----------------------------------------------------------------------------------------

static void log_tells_a_stalled_reader_its_gap(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *all = u_stream(w, "{GET /events}");
    u_peer *raw = u_stream(w, "{WS /ws}");
    u_peer *tagged = u_stream(w, "{WSP /ws rtpush.1}");
    all->c->window = raw->c->window = tagged->c->window = 0;
    publish_range(w, 1, 200);
    t_run(w);
    all->c->window = raw->c->window = tagged->c->window = SIZE_MAX;
    t_run(w);
    u_read(all);
    u_read(tagged);
    u_read(raw);
    unsigned long gap = told_gaps(t_text(&all->seen), "rtpush: gap ");
    T_CHECK(gap > 0, "seen %.80s", t_text(&all->seen));
    T_EQ(count_of(t_text(&all->seen), "log: event ") + gap, 200);
    unsigned long tagged_gap = told_gaps(t_text(&tagged->seen), " rtpush\ngap ");
    T_EQ(count_of(t_text(&tagged->seen), " log\nevent ") + tagged_gap, 200);
    unsigned long raw_gap = t_app_of(w)->missed - gap - tagged_gap;
    T_EQ(count_of(t_text(&raw->seen), "1 event ") + raw_gap, 200);
    T_EQ(rtpush_get_counters(&w->srv)->missed, t_app_of(w)->missed);
    u_expect(all, "log: event 200\n");
    u_expect(raw, "1 event 200\n");
    T_CHECK(!t_ended(all->c) && !t_ended(raw->c), "a stalled reader was dropped");
}

// -- no id hides a gap ----------------------------------------------------------------------------
// Invariant 2: no id lies beyond a gap that was not told, so that a reader which resumes from the
// last id it got has each event or is told.

// Reads all that comes before a cut, resumes, and counts: each event came, or was told as a gap.
static void expect_all_or_told(t_world *w, u_peer *p, unsigned long published) {
    char text[128];
    u_read(p);
    unsigned long sum = count_of(t_text(&p->seen), "log: event ") +
                        told_gaps(t_text(&p->seen), "rtpush: gap ");
    T_CHECK(p->last_id[0] != 0, "no id");
    snprintf(text, sizeof text, "{GET /events?last_event_id=%s}", p->last_id);
    u_free(p);
    p = u_open(w, text);
    u_read(p);
    sum += count_of(t_text(&p->seen), "log: event ") +
           told_gaps(t_text(&p->seen), "rtpush: gap ");
    T_EQ(sum, published);
    u_free(p);
}

// The grant of a reader whose socket takes nothing ends, and the log has gone on meanwhile: the
// port asks for no output then. "expired" has the id before the gap.
static void log_expired_has_no_id_behind_a_gap(U_STATE) {
    t_world *w = small_log(1024);
    t_app_of(w)->expires_s = 5;
    u_peer *p = u_open(w, "{GET /events}");
    t_app_of(w)->expires_s = 0;
    for (int i = 0; i < 10; i++) {
        publish_range(w, 1 + 10 * i, 10 + 10 * i);
        T_CHECK(t_next(w) == p->c->conn, "the reader is not named");
    }
    w->now_ms += 6000;
    t_tick(w);
    t_run(w);
    u_read(p);
    T_CHECK(strstr(t_text(&p->seen), "rtpush: expired\n") != NULL, "seen %s", t_text(&p->seen));
    expect_all_or_told(w, p, 100);
}

static int g_in_gap; // events that on_gap publishes
static void publish_in_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    t_world *w = t_world_of(srv);
    t_on_gap(srv, conn, missed);
    for (; g_in_gap > 0; g_in_gap--) {
        T_EQ(t_publish_inside(w, T_LOG, "event in on_gap", 15), RTPUSH_OK);
    }
}

// on_gap publishes so much that what follows is lost too: the value that is sent next has the id
// before that second gap. Cut after every byte.
static void log_value_after_on_gap_that_publishes_has_no_id_behind_a_gap(U_STATE) {
    size_t total = 0;
    for (size_t cut = 0; cut == 0 || cut <= total; cut++) {
        t_world *w = small_log(1024);
        t_routes[T_R_EVENTS].on_gap = publish_in_gap;
        u_peer *p = u_open(w, "{GET /events}");
        size_t before = p->c->out_total;
        p->c->window = 0;
        publish_range(w, 1, 100);
        t_run(w);
        t_publish_text(w, T_TEMP, "21.5");
        g_in_gap = 60;
        p->c->window = cut;
        t_run(w);
        if (cut == 0) { // how much it is in all
            p->c->window = SIZE_MAX;
            t_run(w);
            total = p->c->out_total - before;
        }
        expect_all_or_told(w, p, 160);
        t_finish(w);
    }
    T_CHECK(total > 300, "only %lu bytes", (unsigned long)total);
}

// What is lost behind a reset that waits for room is told after it.
static void log_gap_behind_a_reset_is_told(U_STATE) {
    static const char *const hello[] = {
        "{GET /events?last_event_id=00c0ffee-00000777}",
        "{WSP /ws?last_event_id=00c0ffee-00000777 rtpush.1}",
        "{WS /ws?last_event_id=00c0ffee-00000777}",
    };
    for (int i = 0; i < 3; i++) {
        t_world *w = small_log(1024);
        u_peer *p = u_new(w);
        t_buf ask = {0};
        t_expand(&ask, hello[i]);
        p->c = t_connect(w);
        t_feed_only(p->c, ask.data, ask.len);
        t_offer(p->c); // read, and not yet served
        publish_range(w, 1, 100);
        t_run(w);
        t_buf_free(&ask);
        u_read(p);
        const char *seen = t_text(&p->seen);
        T_EQ(count_of(seen, "event ") + t_app_of(w)->missed, 100);
        T_CHECK(t_app_of(w)->missed > 0, "nothing was lost");
        if (i < 2) {
            T_CHECK(strstr(seen, "reset ") != NULL && strstr(seen, "gap ") > strstr(seen, "reset "),
                    "seen %.200s", seen);
        }
        u_free(p);
        t_finish(w);
    }
}

// The pump moves cursors past what does not concern them even when the transport is blocked.
static void log_filtered_reader_has_no_gap_in_other_topics(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events?topics=chat}");
    p->c->window = 0;
    for (int i = 0; i < 20; i++) {
        publish_range(w, 1, 10);
        t_run(w);
    }
    p->c->window = SIZE_MAX;
    t_publish_text(w, T_CHAT, "after all");
    t_run(w);
    u_is(p, "chat: after all\n");
    T_EQ(t_app_of(w)->missed, 0);
}

static uint32_t passed_by_one_call(t_world *w, u_peer *p) {
    const rtpi_stream *s = &p->c->conn->out.stream;
    uint32_t before = s->seq;
    rtpush_span spans[4];
    t_enter(w, T_IN_OUTPUT, p->c);
    int n = rtpush_output(&w->srv, p->c->conn, spans, 4);
    T_CHECK(n >= 0, "output: %d", n);
    if (n > 0) {
        T_EQ(rtpush_sent(&w->srv, p->c->conn, 0, 0), 1);
    }
    t_leave(w);
    return s->seq - before;
}

// A reader of few events in a long log: its place is found by a bounded step at a time, and others
// are served in between.
static void log_a_call_passes_at_most_64_records(U_STATE) {
    t_world *w = small_log(1 << 18);
    t_publish_text(w, T_CHAT, "first");
    publish_range(w, 1, 3000);
    t_publish_text(w, T_CHAT, "last");
    u_peer *other = u_stream(w, "{GET /events?topics=log}");
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    static const char ask[] = "GET /events?topics=chat&last_event_id=00c0ffee-00000001 HTTP/1.1\r\n"
        T_HOST "\r\n";
    t_feed_only(p->c, ask, sizeof ask - 1);
    t_offer(p->c); // read, and not yet served
    uint32_t steps = 0;
    for (; p->c->conn->out.stream.seq < 3002; steps++) {
        uint32_t passed = passed_by_one_call(w, p);
        T_CHECK(passed > 0 && passed <= 64, "one call passes %lu records", (unsigned long)passed);
        T_CHECK(steps < 100, "no end");
        if (steps == 5) { // the loop names both
            publish_range(w, 3001, 3001);
            int named = 0;
            for (int k = 0; k < 6 && named == 0; k++) {
                named = t_next(w) == other->c->conn;
            }
            T_CHECK(named, "a reader that looks for its place keeps the others waiting");
            t_serve(other->c);
            u_is(other, "log: event 3001\n");
        }
    }
    T_CHECK(steps >= 3000 / 64 - 2, "%lu steps", (unsigned long)steps);
    t_run(w);
    u_expect(p, "rtpush: replayed |chat: last\n");
    u_free(p);
    // None of its topic is there: no step at all, and the next event comes as ever.
    p = u_open(w, "{GET /events?topics=chat&last_event_id=00c0ffee-00000bba}");
    u_is(p, "rtpush: replayed 0 5\n");
    T_EQ(p->c->conn->out.stream.seq, rtpush_last_id(&w->srv).seq + 1);
    t_publish_text(w, T_CHAT, "new");
    t_run(w);
    u_is(p, "chat: new\n");
}

// A reader whose socket takes nothing is not looked at again and again: what is behind its next
// record can wait.
static void log_blocked_reader_lets_the_loop_sleep(U_STATE) {
    t_world *w = small_log(1 << 16);
    u_peer *p = u_stream(w, "{GET /events?topics=chat}");
    p->c->window = 0;
    t_publish_text(w, T_CHAT, "next");
    publish_range(w, 1, 1000);
    t_publish_text(w, T_CHAT, "last");
    t_run(w); // ends
    T_CHECK(t_tick(w) > 1000, "the loop does not sleep");
    p->c->window = SIZE_MAX;
    t_run(w);
    u_is(p, "chat: next\nchat: last\n");
}

// The index names a record at most 16 before the number looked for, wherever the ring wraps and
// where numbers are missing.
static void log_finds_any_number(U_STATE) {
    t_rng rng = t_seed(11);
    for (uint32_t size = 256; size <= 65536; size = size * 2 + 4 * t_below(&rng, 30)) {
        t_world *w = small_log(size);
        const rtpush_server *srv = &w->srv;
        uint32_t within = size < 2048 ? 32 : 16;
        for (int round = 0; round < 60; round++) {
            static char text[64];
            int count = 1 + (int)t_below(&rng, size / 100);
            for (int i = 0; i < count; i++) {
                size_t len = t_below(&rng, round % 3 == 0 ? 1 : 40);
                if (t_below(&rng, 10) == 0) { // until it is full, and some more
                    for (int k = 0; k < 4;) {
                        k += rtpush_publish_from(&w->srv, T_LOG, text, len) != RTPUSH_OK;
                    }
                } else {
                    T_EQ(t_publish(w, T_LOG, text, len), RTPUSH_OK);
                }
            }
            t_run(w);
            for (uint32_t seq = srv->tail_seq; seq < srv->limit_rec; seq++) {
                uint32_t off = rtpi_seek(srv, seq);
                uint32_t steps = 0;
                T_CHECK(rtpi_record_at(srv, off)->seq <= seq, "a place behind number %lu",
                        (unsigned long)seq);
                while (rtpi_record_at(srv, off)->seq < seq) {
                    off += rtpi_record_at(srv, off)->size4 * 4u;
                    off = off == srv->limit_wrap ? 0 : off;
                    steps++;
                }
                T_CHECK(steps <= within, "log of %lu bytes: %lu records from the place found to "
                        "number %lu", (unsigned long)size, (unsigned long)steps,
                        (unsigned long)seq);
            }
        }
        t_finish(w);
    }
}

// Invariant 13: one stalled reader changes nobody else's bytes.
static void log_stalled_reader_changes_nothing_for_others(U_STATE) {
    t_buf alone = {0};
    for (int stalled = 0; stalled < 2; stalled++) {
        t_world *w = small_log(1024);
        t_conn *good = t_open(w, "{GET /events}");
        t_conn *bad = stalled ? t_open(w, "{WS /ws}") : NULL;
        t_conn *worse = stalled ? t_open(w, "{GET /events}") : NULL;
        if (stalled) {
            bad->window = 30; // stops inside a record
            worse->window = 0;
        }
        for (int i = 0; i < 200; i++) {
            publish_range(w, i, i);
            if (i % 7 == 0) {
                t_publish_text(w, T_TEMP, "21.5");
            }
            t_run(w);
        }
        if (!stalled) {
            t_put(&alone, good->out.data, good->out.len);
        } else {
            T_EQ(good->out.len, alone.len);
            assert_memory_equal(good->out.data, alone.data, alone.len);
        }
        t_finish(w);
    }
    t_buf_free(&alone);
}

// -- eviction -------------------------------------------------------------------------------------

// A reader stopped inside a record that fits its tx keeps its connection: the rest moves there.
static void log_rest_of_a_record_moves_into_tx(U_STATE) {
    for (size_t stop = 0; stop < 60; stop++) {
        t_world *w = small_log(1024);
        u_peer *p = u_stream(w, stop % 2 ? "{WS /ws}" : "{GET /events}");
        p->c->window = stop;
        publish_range(w, 1, 1);
        t_run(w);
        publish_range(w, 2, 100);
        t_run(w);
        publish_range(w, 101, 200);
        T_CHECK(!t_ended(p->c), "dropped with %lu bytes of the first record sent",
                (unsigned long)stop);
        p->c->window = SIZE_MAX;
        t_run(w);
        u_read(p);
        if (stop > 0) {
            T_CHECK(strstr(t_text(&p->seen), "event 1\n") != NULL, "the record is not finished");
        }
        T_CHECK(strstr(t_text(&p->seen), "event 200\n") != NULL, "the newest is missing");
        u_free(p);
        t_finish(w);
    }
}

// Bytes the transport still refers to may not change: the reader in their way is dropped, not they.
static void log_unacknowledged_bytes_are_not_overwritten(U_STATE) {
    static char text[300];
    memset(text, 'h', 200);
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{WS /ws}");
    u_peer *q = u_stream(w, "{WS /ws}");
    p->c->hold_acks = 1;
    T_EQ(t_publish(w, T_LOG, text, 200), RTPUSH_OK);
    t_run(w);
    T_CHECK(p->c->unacked > 200, "nothing is on its way");
    for (int i = 0; i < 10; i++) { // the harness watches the held bytes
        T_EQ(t_publish(w, T_LOG, text, 200), RTPUSH_OK);
        t_run(w);
    }
    T_EQ(p->c->dropped, 1);
    t_expect_events(w, "close EVICTED_LOG");
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_EVICTED_LOG], 1);
    T_CHECK(!t_ended(q->c), "another reader was dropped");
}

// A transport that copies refers to nothing, so a reader that does not acknowledge in time stays,
// and is told what it missed once it can be told.
static void log_copied_bytes_reserve_no_log(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    p->c->hold_acks = 1;
    p->c->copies = 1;
    p->c->window = 100;
    publish_range(w, 0, 299);
    t_run(w);
    publish_range(w, 300, 599);
    t_run(w);
    T_CHECK(p->c->unacked > 0, "nothing is on its way");
    T_CHECK(!t_ended(p->c), "dropped though nothing of it is held");
    t_ack(p->c, p->c->unacked);
    p->c->window = SIZE_MAX;
    p->c->hold_acks = 0;
    t_serve(p->c);
    t_run(w);
    T_CHECK(t_app_of(w)->missed > 500, "missed %lu", (unsigned long)t_app_of(w)->missed);
    u_expect(p, "rtpush: gap ");
}

// A copy spares the log, not the deadline: who acknowledges nothing is stalled.
static void log_copied_bytes_must_be_acknowledged_in_time(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    p->c->hold_acks = 1;
    p->c->copies = 1;
    publish_range(w, 0, 1);
    t_run(w);
    t_advance(w, 25000);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STALLED], 1);
    T_CHECK(t_ended(p->c), "it lives on");
}

// What the transport would not take has left the log, and nothing is on its way: nothing is owed,
// so nobody is stalled. A raw WebSocket hears of the gap through its application alone.
static void log_a_reader_with_nothing_unacknowledged_is_not_stalled(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    publish_range(w, 0, 0);
    t_run(w);
    T_CHECK(rtpush_subscribe(&w->srv, rtpush_conn_handle(&w->srv, p->c->conn), 0) == RTPUSH_OK,
            "not subscribed");
    publish_range(w, 1, 299);
    t_run(w);
    T_CHECK(t_app_of(w)->missed > 0, "it was told of no gap");
    p->c->window = SIZE_MAX;
    t_advance(w, 21000);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STALLED], 0);
    T_CHECK(!t_ended(p->c), "it was dropped");
}

static void log_acknowledged_bytes_reserve_no_log(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->hold_acks = 1;
    for (int i = 0; i < 500; i++) {
        publish_range(w, i, i);
        t_run(w);
        if (i % 3 == 0) {
            t_ack(p->c, p->c->unacked);
        }
    }
    T_CHECK(!t_ended(p->c), "dropped though it acknowledges");
    T_EQ(t_app_of(w)->missed, 0);
}

// Acknowledgements that end anywhere, interleaved with pongs: at most two flights late.
static void log_partial_acknowledgements_release_in_the_end(U_STATE) {
    t_world *w = small_log(2048);
    t_rng rng = t_seed(7);
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->hold_acks = 1;
    for (int i = 0; i < 2000; i++) {
        publish_range(w, i, i);
        if (i % 5 == 0) {
            t_say(p->c, "{89:ping}");
        }
        t_run(w);
        while (p->c->unacked > 200) { // a window of 200 bytes
            t_ack(p->c, 1 + t_below(&rng, 90));
        }
    }
    T_CHECK(!t_ended(p->c), "dropped though at most 200 bytes were unacknowledged");
}

// A large record that stands half sent cannot move into tx: that reader is dropped and resumes.
static void log_reader_inside_a_large_record_is_dropped_and_resumes(U_STATE) {
    static char text[1000];
    char id[64];
    memset(text, 'L', sizeof text);
    t_world *w = small_log(8192);
    u_peer *p = u_stream(w, "{GET /events}");
    publish_range(w, 1, 1);
    t_run(w);
    u_is(p, "log: event 1\n");
    snprintf(id, sizeof id, "%s", p->last_id);
    p->c->window = 100;
    T_EQ(t_publish(w, T_LOG, text, 900), RTPUSH_OK);
    t_run(w);
    for (int i = 0; i < 12; i++) {
        T_EQ(t_publish(w, T_LOG, text, 900), RTPUSH_OK);
        t_run(w);
    }
    T_EQ(p->c->dropped, 1);
    t_run(w);
    t_expect_events(w, "close EVICTED_LOG");
    u_free(p);
    char hello[200];
    snprintf(hello, sizeof hello, "{GET /events?last_event_id=%s}", id);
    p = u_open(w, hello);
    u_expect(p, "rtpush: gap |log: LLLL");
    T_EQ(t_app_of(w)->missed + 0u, t_app_of(w)->missed);
}

static int g_full;
static t_conn *g_holder; // holds what the connection being served holds
static void publish_big(rtpush_server *srv, rtpush_handle conn) {
    static char text[400];
    t_world *w = t_world_of(srv);
    (void)conn;
    memset(text, 'w', sizeof text);
    for (int i = 0; i < 8; i++) {
        uint32_t before = rtpush_last_id(srv).seq;
        int result = t_publish_inside(w, T_LOG, text, 230);
        T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_FULL, "publish: %d", result);
        T_EQ(rtpush_last_id(srv).seq - before, result == RTPUSH_OK); // FULL spends no number
        if (result == RTPUSH_ERR_FULL) {
            g_full++;
            T_EQ(g_holder->dropped, 0);
            assert_null(rtpush_reserve(srv, T_LOG, 230));
            T_EQ(rtpush_last_id(srv).seq, before);
        }
    }
}

// The connection being served is never dropped during its own service, and nobody for nothing.
static void log_publishing_inside_callbacks_never_drops_the_connection_being_served(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_WS].on_writable = publish_big;
    w->desc.log_size = 1024;
    t_start(w);
    u_peer *other = u_stream(w, "{GET /events?topics=log}"); // in an earlier slot
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->hold_acks = other->c->hold_acks = 1;
    g_holder = other->c;
    t_publish_text(w, T_LOG, "0123456789012345678901234567890123456789");
    t_run(w); // both hold the first record
    p->c->window = 0;
    w->call = T_IN_API;
    while (rtpush_send(&w->srv, p->c->handle, 1, "xxxxxxxxxxxxxxxx", 16) == RTPUSH_OK) {
    }
    t_leave(w);
    p->c->window = SIZE_MAX;
    g_full = 0;
    t_run(w);
    t_ack(p->c, 1); // on_writable publishes while this one is served and holds the first record
    t_ack(p->c, p->c->unacked);
    t_run(w);
    T_CHECK(g_full > 0, "there was always room");
    T_EQ(rtpush_get_counters(&w->srv)->full, 0);
}

// -- from other contexts --------------------------------------------------------------------------

static void log_publish_from_says_full_and_readers_hear_of_it(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    int ok = 0;
    int full = 0;
    for (int i = 0; i < 100; i++) { // the loop does not run meanwhile
        char text[24];
        number(text, i);
        int result = rtpush_publish_from(&w->srv, T_LOG, text, strlen(text));
        T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_FULL, "publish_from: %d", result);
        T_CHECK(result != RTPUSH_OK || full == 0, "room again without the loop");
        ok += result == RTPUSH_OK;
        full += result == RTPUSH_ERR_FULL;
    }
    T_CHECK(ok >= 5 && full > 0, "%d accepted, %d refused", ok, full);
    T_EQ(w->wakes, 1); // wake once
    T_EQ(rtpush_last_id(&w->srv).seq, 100);
    T_EQ(rtpush_get_counters(&w->srv)->full, full);
    T_EQ(rtpush_get_counters(&w->srv)->published, ok);
    t_run(w);
    t_publish_text(w, T_LOG, "last");
    t_run(w);
    u_read(p);
    const char *told = strstr(t_text(&p->seen), "rtpush: gap ");
    const char *last = strstr(t_text(&p->seen), "log: last\n");
    T_CHECK(told != NULL && last != NULL && told < last, "seen %s", t_text(&p->seen));
    T_CHECK((int)t_app_of(w)->missed >= full, "%lu told, %d found no room",
            (unsigned long)t_app_of(w)->missed, full);
    unsigned events = 0; // each of the 101 was delivered or told
    for (const char *at = t_text(&p->seen); (at = strstr(at, "log: ")) != NULL; at++) {
        events++;
    }
    T_EQ(events + t_app_of(w)->missed, 101);
    int result = rtpush_publish_from(&w->srv, T_LOG, "x", 1); // the loop made room
    T_EQ(result, RTPUSH_OK);
    T_EQ(w->wakes, 2);
}

// FULL spends no number where the caller tries again: no reader is told of a gap.
static void log_try_publish_from_spends_no_number(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    int waits = 0;
    for (int i = 0; i < 200;) {
        char text[24];
        number(text, i);
        int result = rtpush_try_publish_from(&w->srv, T_LOG, text, strlen(text));
        T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_FULL, "publish: %d", result);
        i += result == RTPUSH_OK;
        T_EQ(rtpush_last_id(&w->srv).seq, i);
        if (result == RTPUSH_ERR_FULL) {
            T_EQ(w->wakes, ++waits); // so that the loop makes room
            t_run(w);
        }
    }
    t_run(w);
    T_CHECK(waits > 3, "FULL only %d times", waits);
    T_EQ(rtpush_get_counters(&w->srv)->full, 0);
    T_EQ(t_app_of(w)->missed, 0);
    u_read(p);
    T_EQ(p->events, 200);
    T_EQ(rtpush_try_publish_from(&w->srv, 99, "x", 1), RTPUSH_ERR_ARGUMENT);
}

// The loop keeps a margin free: a burst of that size always finds room.
static void log_keeps_a_quarter_free_for_other_contexts(U_STATE) {
    static char text[400];
    memset(text, 'm', sizeof text);
    t_world *w = small_log(1024);
    for (int i = 0; i < 300; i++) {
        t_publish(w, T_LOG, text, 1 + (size_t)(i * 37) % 150);
        t_run(w);
        int result = rtpush_publish_from(&w->srv, T_LOG, text, 256 - 24);
        T_CHECK(result == RTPUSH_OK, "burst %d found no room", i);
        t_run(w);
    }
}

// "While rtpush_publish_from may be used (the port has a lock hook)": else nothing is kept free.
static void log_keeps_nothing_free_where_the_loop_alone_publishes(U_STATE) {
    t_world *w = small_log(1024);
    rtpush_hooks hooks = w->srv.hooks;
    hooks.lock = hooks.unlock = NULL;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_OK);
    for (int i = 0; i < 40; i++) {
        T_EQ(t_publish_text(w, T_LOG, "an event of some forty bytes, so to say"), RTPUSH_OK);
        t_run(w);
    }
    T_CHECK(rtpush_get_counters(&w->srv)->log_used > 1024 * 3 / 4, "%lu bytes are used",
            (unsigned long)rtpush_get_counters(&w->srv)->log_used);
}

static int g_nested;
static void nested_publish(t_world *w) {
    if (g_nested > 0) {
        g_nested--;
        T_EQ(rtpush_publish_from(&w->srv, T_CHAT, "nested", 6), RTPUSH_OK);
    }
}

// An interrupt between claim and copy: its event has the later number and comes later.
static void log_interrupt_inside_a_publish_keeps_the_order(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    w->on_unlock = nested_publish;
    g_nested = 1;
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "outer", 5), RTPUSH_OK);
    w->on_unlock = NULL;
    t_run(w);
    u_is(p, "log: outer\nchat: nested\n");
}

static int g_taking; // unlocks until the interrupt comes
static void take_inside(t_world *w) {
    if (g_taking-- == 0) {
        while (rtpush_publish_from(&w->srv, T_CHAT, "01234567890123456789", 20) == RTPUSH_OK) {
        }
    }
}

// An interrupt that takes all the room there is, at any point inside the loop's own publishing: the
// room that was made is claimed under the same lock.
static void log_room_made_by_the_loop_is_not_taken_by_an_interrupt(U_STATE) {
    for (int reserved = 0; reserved < 2; reserved++) {
        t_world *w = small_log(1024);
        w->on_unlock = take_inside;
        for (int i = 0; i < 40; i++) {
            g_taking = i % 20;
            w->call = T_IN_PUBLISH;
            if (reserved) {
                void *room = rtpush_reserve(&w->srv, T_LOG, 200);
                T_CHECK(room != NULL, "an interrupt after %d unlocks took the room", i % 20);
                memset(room, 'r', 200);
                T_EQ(rtpush_commit(&w->srv, 200), RTPUSH_OK);
            } else {
                T_EQ(rtpush_publish(&w->srv, T_LOG, "published", 9), RTPUSH_OK);
            }
            t_leave(w);
        }
        w->on_unlock = NULL;
        T_EQ(rtpush_last_id(&w->srv).seq,
             rtpush_get_counters(&w->srv)->published + rtpush_get_counters(&w->srv)->full);
        t_run(w);
        t_finish(w);
    }
}

static int g_serving;
static void serve_inside(t_world *w) {
    if (g_serving == 0) { // the first unlock is after the claim: the record is OPEN
        g_serving = 1;
        t_run(w);
        T_EQ(t_publish_text(w, T_CHAT, "behind"), RTPUSH_OK);
        t_run(w);
        t_advance(w, 20000);
    }
}

// Invariant 10: another task was interrupted while it copies; the loop runs, readers wait.
static void log_no_reader_passes_a_record_being_written(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    u_peer *q = u_stream(w, "{WS /ws}");
    w->on_unlock = serve_inside;
    g_serving = 0;
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "slow", 4), RTPUSH_OK);
    w->on_unlock = NULL;
    u_expect(p, "!slow|!behind");
    u_expect(q, "!slow|!behind");
    t_run(w);
    u_is(p, "log: slow\nchat: behind\n");
    u_is(q, "1 slow\n1 behind\n");
}

// A reader that opens, and one that resumes, while a record is being written: no gap, nothing lost.
static u_peer *g_opened;
static void open_inside(t_world *w) {
    if (g_serving == 0) {
        g_serving = 1;
        g_opened = u_open(w, "{GET /events}");
    }
}

static void log_reader_opening_during_a_write_gets_that_record_or_begins_after_it(U_STATE) {
    t_world *w = small_log(1024);
    publish_range(w, 1, 3);
    w->on_unlock = open_inside;
    g_serving = 0;
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "written", 7), RTPUSH_OK);
    w->on_unlock = NULL;
    t_run(w);
    t_publish_text(w, T_LOG, "next");
    t_run(w);
    u_expect(g_opened, "rtpush: fresh 5|log: next|!gap");
}

// -- reserve and commit ---------------------------------------------------------------------------

static void log_reserve_prints_in_place(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    for (int i = 0; i < 100; i++) {
        char *room = (char *)rtpush_reserve(&w->srv, T_LOG, 64);
        assert_non_null(room);
        assert_null(rtpush_reserve(&w->srv, T_LOG, 8)); // one at a time
        int n = snprintf(room, 64, "{\"n\":%d}", i);
        T_EQ(rtpush_commit(&w->srv, (size_t)n), RTPUSH_OK);
        T_EQ(rtpush_commit(&w->srv, 1), RTPUSH_ERR_STATE);
        t_run(w);
        char want[40];
        snprintf(want, sizeof want, "log: {\"n\":%d}\n", i);
        u_is(p, want);
    }
}

static void log_reserve_refuses_what_cannot_be(U_STATE) {
    t_world *w = small_log(1024);
    assert_null(rtpush_reserve(&w->srv, 9, 8));
    assert_null(rtpush_reserve(&w->srv, T_TEMP, 8));
    assert_null(rtpush_reserve(&w->srv, T_LOG, 300));
    T_EQ(rtpush_commit(&w->srv, 0), RTPUSH_ERR_STATE);
    u_peer *p = u_stream(w, "{GET /events}");
    char *room = (char *)rtpush_reserve(&w->srv, T_LOG, 4);
    assert_non_null(room);
    memcpy(room, "\xFF\xFF\xFF\xFF", 4);
    T_EQ(rtpush_commit(&w->srv, 4), RTPUSH_ERR_UTF8); // and is nobody's
    room = (char *)rtpush_reserve(&w->srv, T_LOG, 4);
    assert_non_null(room);
    T_EQ(rtpush_commit(&w->srv, 5), RTPUSH_ERR_TOO_BIG);
    room = (char *)rtpush_reserve(&w->srv, T_LOG, 4);
    assert_non_null(room);
    T_EQ(rtpush_commit(&w->srv, 0), RTPUSH_OK); // an empty event
    t_publish_text(w, T_LOG, "good");
    t_run(w);
    u_expect(p, "log: \nlog: good\n");
}

static void log_interrupts_between_reserve_and_commit_wait(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    char *room = (char *)rtpush_reserve(&w->srv, T_LOG, 100);
    assert_non_null(room);
    T_EQ(rtpush_publish_from(&w->srv, T_CHAT, "isr", 3), RTPUSH_OK);
    memcpy(room, "printed", 7);
    T_EQ(rtpush_commit(&w->srv, 7), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: printed\nchat: isr\n");
    for (int i = 0; i < 50; i++) { // the space left over by the short commit is no trouble
        publish_range(w, i, i);
        t_run(w);
    }
    u_read(p);
    T_EQ(p->events, 50);
}

// A reader stopped inside a large record, whose tx then fills, must come out of it again.
static void log_full_tx_behind_a_record_in_progress_is_no_deadlock(U_STATE) {
    static char text[500];
    memset(text, 'L', sizeof text);
    for (size_t stop = 1; stop < 480; stop += 7) {
        t_world *w = t_fixture();
        w->desc.log_size = 4096;
        w->desc.tx_size = 256;
        w->quiet = 1;
        t_start(w);
        u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
        p->c->window = stop;
        T_EQ(t_publish(w, T_LOG, text, 450), RTPUSH_OK);
        t_run(w);
        w->call = T_IN_API;
        while (rtpush_send(&w->srv, p->c->handle, 1, "0123456789", 10) == RTPUSH_OK) {
        }
        while (rtpush_send(&w->srv, p->c->handle, 1, "", 0) == RTPUSH_OK) {
        }
        t_leave(w);
        t_publish_text(w, T_TEMP, "21.5");
        p->c->window = SIZE_MAX;
        t_run(w);
        u_read(p);
        T_CHECK(strstr(t_text(&p->seen), " log\nLLLL") != NULL &&
                    strstr(t_text(&p->seen), " temp\n21.5") != NULL,
                "stopped after %lu bytes: seen %lu", (unsigned long)stop,
                (unsigned long)p->seen.len);
        u_free(p);
        t_finish(w);
    }
}

// Many sizes through a small ring: every wrap position.
static void log_wraps_at_every_position(U_STATE) {
    t_world *w = small_log(512);
    t_rng rng = t_seed(3);
    u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
    u_clear(p);
    for (int i = 0; i < 5000; i++) {
        char text[128];
        size_t len = t_below(&rng, 105);
        memset(text, 'a' + i % 26, len);
        int result =
            i % 3 ? t_publish(w, T_LOG, text, len) : rtpush_publish_from(&w->srv, T_LOG, text, len);
        T_EQ(result, RTPUSH_OK);
        t_run(w);
        u_read(p);
        T_CHECK(p->seen.len == 2 + 17 + 1 + 4 + len + 1, "event %d: %s", i, t_text(&p->seen));
        u_clear(p);
    }
    T_EQ(t_app_of(w)->missed, 0);
}

// Sequence numbers end before 2^32: a new epoch, and readers are told to begin anew.
static void log_sequence_end_begins_a_new_epoch(U_STATE) {
    t_world *w = small_log(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    char old[64];
    snprintf(old, sizeof old, "%s", p->last_id);
    t_publish_text(w, T_TEMP, "20.5");
    t_run(w);
    u_is(p, "temp: 20.5\n");
    // As if four billion events had passed: every place that counts them moves on.
    uint32_t by = 0xFFFF0000u - w->srv.seq_next;
    w->srv.seq_next += by;
    w->srv.done_seq += by;
    w->srv.done_rec += by;
    w->srv.tail_seq += by;
    w->srv.limit_seq += by;
    w->srv.limit_rec += by;
    p->c->conn->out.stream.seq += by;
    publish_range(w, 1, 3);
    t_run(w);
    t_run(w);
    u_expect(p, "rtpush: reset 5\n|temp: 20.5\n"); // told, and the values again
    T_EQ(rtpush_last_id(&w->srv).epoch, 0x00C0FFEF);
    publish_range(w, 4, 4);
    t_run(w);
    u_is(p, "log: event 4\n");
    T_CHECK(strncmp(p->last_id, "00c0ffef-", 9) == 0, "the id is %s", p->last_id);
    u_free(p);
    char text[128];
    snprintf(text, sizeof text, "{GET /events?last_event_id=%s}", old);
    p = u_open(w, text);
    u_expect(p, "rtpush: reset 5\n|temp: 20.5");
}

static void fill_unlocked(t_world *w) {
    if (g_serving == 0) {
        g_serving = 1;
        for (int i = 0; i < 60; i++) { // the record being written cannot leave
            int result = t_publish_text(w, T_CHAT, "0123456789012345678901234567890123456789");
            T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_FULL, "publish: %d", result);
            t_run(w);
        }
    }
}

// The oldest record is still being written: nothing behind it can be evicted or read.
static void log_full_behind_a_record_being_written_tells_the_gap(U_STATE) {
    t_world *w = small_log(512);
    u_peer *p = u_stream(w, "{GET /events}");
    u_peer *q = u_stream(w, "{GET /events?topics=log}");
    q->c->window = 0;
    publish_range(w, 1, 5);
    w->on_unlock = fill_unlocked;
    g_serving = 0;
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "slow", 4), RTPUSH_OK);
    w->on_unlock = NULL;
    t_run(w);
    q->c->window = SIZE_MAX;
    t_publish_text(w, T_LOG, "last");
    t_run(w);
    u_read(p);
    unsigned long events =
        count_of(t_text(&p->seen), "log: ") + count_of(t_text(&p->seen), "chat: ");
    T_EQ(events + told_gaps(t_text(&p->seen), "rtpush: gap "), rtpush_last_id(&w->srv).seq);
    u_expect(p, "log: last\n");
    u_expect(q, "log: last\n");
}

static int subscribe_to_chat(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)msg;
    T_EQ(rtpush_subscribe(srv, conn, 1u << T_CHAT), RTPUSH_OK);
    return RTPUSH_OK;
}

// The record that was begun is finished, whatever the topics say meanwhile.
static void log_unsubscribing_inside_a_record_finishes_it(U_STATE) {
    static char text[700];
    memset(text, 'u', sizeof text);
    for (size_t stop = 1; stop < 700; stop += 11) {
        t_world *w = t_fixture();
        t_routes[T_R_WS].on_message = subscribe_to_chat;
        t_start(w);
        u_peer *p = u_stream(w, stop % 2 ? "{WS /ws}" : "{WSP /ws rtpush.1}");
        p->c->window = stop;
        T_EQ(t_publish(w, T_LOG, text, sizeof text), RTPUSH_OK);
        T_EQ(t_publish_text(w, T_LOG, "not any more"), RTPUSH_OK);
        t_run(w);
        t_send_text(p->c, "chat, please");
        T_EQ(t_publish_text(w, T_CHAT, "chat begins"), RTPUSH_OK);
        p->c->window = SIZE_MAX;
        t_run(w);
        u_expect(p, "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\n|chat begins\n|!not any more");
        u_free(p);
        t_finish(w);
    }
}

static void log_random_subscriptions_deliver_whole_records(U_STATE) {
    t_rng rng = t_seed(99);
    for (int round = 0; round < 60; round++) {
        static const char *const hello[] = {"{WS /ws}", "{WSP /ws rtpush.1}", "{GET /events}"};
        t_world *w = t_fixture();
        w->desc.log_size = 1024 + 4 * t_below(&rng, 300);
        w->desc.tx_size = 256;
        w->desc.conn_count = 3;
        w->quiet = 1;
        w->bite = t_below(&rng, 2) ? 0 : 1 + t_below(&rng, 50);
        t_start(w);
        u_peer *p = u_stream(w, hello[round % 3]);
        for (int i = 0; i < 200; i++) {
            char text[230];
            size_t len = t_below(&rng, 220);
            memset(text, 'r', len);
            t_publish(w, t_below(&rng, 2) ? T_LOG : T_CHAT, text, len);
            t_publish(w, t_below(&rng, 2) ? T_TEMP : T_LED, text, len % 40);
            if (p->c->conn == NULL) {
                u_free(p);
                t_run_ready(w);
                p = u_stream(w, hello[round % 3]);
            }
            p->c->hold_acks = i % 3 == 0;
            t_ack(p->c, t_below(&rng, 300));
            p->c->window = t_below(&rng, 200);
            t_run(w);
            w->call = T_IN_API;
            int result = rtpush_subscribe(&w->srv, p->c->handle, t_below(&rng, 16));
            T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_STALE, "subscribe: %d", result);
            t_leave(w);
            t_run(w);
            u_read(p); // the strict client refuses a broken record
            for (const char *at = t_text(&p->seen); round % 3 == 2 && *at != 0; at++) {
                T_CHECK(strchr("loghatedrpusmfc: \n0123456789", *at) != NULL, "foreign bytes: %s",
                        t_text(&p->seen));
            }
            u_clear(p);
        }
        u_free(p);
        t_finish(w);
    }
}


// A reader that resumes at the newest number looks at no record before. What it begins with may be
// evicted, and its place written over, before it looks.
static void log_reader_that_resumes_at_the_end_survives_evictions(U_STATE) {
    static const char *const says[] = {"{GET /poll?last_event_id=00c0ffee-%08x}",
                                       "{GET /events?last_event_id=00c0ffee-%08x}"};
    for (unsigned before = 1; before < 40; before++) {
        for (unsigned more = 1; more < 40; more++) {
            char text[80];
            t_world *w = t_fixture();
            w->desc.log_size = 1024;
            w->quiet = 1;
            t_start(w);
            for (unsigned i = 0; i < before; i++) {
                T_EQ(t_publish(w, T_LOG, "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", 34 - i % 5), 0);
            }
            snprintf(text, sizeof text, says[more % 2], before);
            u_peer *p = u_new(w);
            p->c = t_connect(w);
            p->c->window = 0;
            t_tick(w);
            t_buf in = {0};
            t_expand(&in, text);
            t_feed_only(p->c, in.data, in.len);
            t_offer(p->c);
            for (unsigned i = 0; i < more; i++) {
                T_EQ(t_publish(w, T_LOG, "ffffffffffffffffffffffffffffffff", 30 - i % 7), 0);
            }
            p->c->window = SIZE_MAX;
            t_run(w);
            u_read(p);
            T_EQ(rtpush_get_counters(&w->srv)->missed + p->events - 1, more);
            t_buf_free(&in);
            u_free(p);
            t_finish(w);
        }
    }
}

// "A 64th of it is the index by which a reader that resumes is placed": whatever size the log has
// and whatever id it brings, it gets each event behind that, or is told how many it missed.
static void log_of_any_size_is_resumed_at_any_id(U_STATE) {
    enum { COUNT = 50 }; // in 508 bytes two of every 16th, and one entry of the index
    for (uint32_t log_size = 256; log_size <= 1100; log_size += 12) {
        t_world *w = t_fixture();
        w->desc.log_size = log_size;
        w->quiet = 1;
        t_start(w);
        for (int i = 1; i <= COUNT; i++) {
            char text[3];
            snprintf(text, sizeof text, "%02x", (unsigned)i);
            T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
        }
        for (int id = 1; id < COUNT; id += 1 + (id < COUNT - 30) * 7) {
            char text[80];
            t_app_of(w)->missed = 0;
            snprintf(text, sizeof text, "{GET /events?topics=log&last_event_id=00c0ffee-%08x}",
                     (unsigned)id);
            u_peer *p = u_open(w, text);
            const char *at = strstr(u_read(p), "\nlog: ");
            unsigned next = (unsigned)id + t_app_of(w)->missed + 1;
            for (; at != NULL; at = strstr(at + 1, "\nlog: "), next++) {
                T_EQ(strtoul(at + 6, NULL, 16), next);
            }
            T_EQ(next, COUNT + 1);
            u_free(p);
            t_run_ready(w);
        }
        t_finish(w);
    }
}

// WHATWG HTML 9.2.6. A line of more than what is looked through at a time, between others.
static void log_event_with_a_very_long_line_arrives(U_STATE) {
    static char text[20100];
    memset(text, 'x', sizeof text);
    for (int window = 0; window < 2; window++) {
        t_world *w = t_fixture();
        w->desc.log_size = 100000;
        w->bite = window ? 1000 : 0;
        t_start(w);
        u_peer *p = u_stream(w, "{GET /events?topics=log}");
        text[10] = text[20000] = '\n';
        text[15000] = 'y';
        T_EQ(t_publish(w, T_LOG, text, sizeof text - 1), RTPUSH_OK);
        t_run(w);
        u_read(p);
        T_EQ(p->seen.len, 5 + sizeof text - 1 + 1);
        T_CHECK(memcmp(p->seen.data + 5, text, sizeof text - 1) == 0, "another text");
        u_free(p);
        t_finish(w);
    }
}

// RTPUSH_ERR_FULL calls wake, also where no event was accepted since the loop looked last.
static void log_full_wakes_the_loop(U_STATE) {
    for (int again = 0; again < 2; again++) {
        t_world *w = small_log(1024);
        for (int i = 0; i < 100; i++) {
            T_EQ(t_publish_text(w, T_LOG, "twenty bytes of text"), RTPUSH_OK);
        }
        T_EQ(w->wakes, 0);
        T_EQ(again ? rtpush_try_publish_from(&w->srv, T_LOG, "twenty bytes of text", 20)
                   : rtpush_publish_from(&w->srv, T_LOG, "twenty bytes of text", 20),
             RTPUSH_ERR_FULL);
        T_EQ(w->wakes, 1);
        t_finish(w);
    }
}

// log_used is what the events in the log take, wherever it begins and ends in its memory.
static void log_used_is_what_its_events_take(U_STATE) {
    t_world *w = small_log(1024);
    char text[100];
    memset(text, 'u', sizeof text);
    for (int i = 0; i < 60; i++) {
        T_EQ(t_publish(w, T_LOG, text, (size_t)(1 + i * 17 % 90)), RTPUSH_OK);
        t_run(w);
        u_peer *p = u_open(w, "{GET /events?last_event_id=first}");
        uint32_t used = 0;
        int k = i;
        for (const char *at = u_read(p); (at = strstr(at, "log: ")) != NULL; at++) {
            used += (uint32_t)(16 + 1 + k-- * 17 % 90 + 2 + 3) & ~3u;
        }
        T_CHECK(k < i, "no event after %d", i);
        T_EQ(rtpush_get_counters(&w->srv)->log_used, used);
        u_free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(log_numbers_every_event),
        u_test(log_takes_up_to_a_quarter_of_itself),
        u_test(log_refuses_text_that_is_not_utf8),
        u_test(log_carries_bytes_on_binary_topics),
        u_test(log_tells_a_stalled_reader_its_gap),
        u_test(log_expired_has_no_id_behind_a_gap),
        u_test(log_value_after_on_gap_that_publishes_has_no_id_behind_a_gap),
        u_test(log_gap_behind_a_reset_is_told),
        u_test(log_filtered_reader_has_no_gap_in_other_topics),
        u_test(log_a_call_passes_at_most_64_records),
        u_test(log_blocked_reader_lets_the_loop_sleep),
        u_test(log_finds_any_number),
        u_test(log_stalled_reader_changes_nothing_for_others),
        u_test(log_rest_of_a_record_moves_into_tx),
        u_test(log_unacknowledged_bytes_are_not_overwritten),
        u_test(log_copied_bytes_reserve_no_log),
        u_test(log_copied_bytes_must_be_acknowledged_in_time),
        u_test(log_a_reader_with_nothing_unacknowledged_is_not_stalled),
        u_test(log_acknowledged_bytes_reserve_no_log),
        u_test(log_partial_acknowledgements_release_in_the_end),
        u_test(log_reader_inside_a_large_record_is_dropped_and_resumes),
        u_test(log_publishing_inside_callbacks_never_drops_the_connection_being_served),
        u_test(log_publish_from_says_full_and_readers_hear_of_it),
        u_test(log_try_publish_from_spends_no_number),
        u_test(log_keeps_a_quarter_free_for_other_contexts),
        u_test(log_keeps_nothing_free_where_the_loop_alone_publishes),
        u_test(log_interrupt_inside_a_publish_keeps_the_order),
        u_test(log_room_made_by_the_loop_is_not_taken_by_an_interrupt),
        u_test(log_no_reader_passes_a_record_being_written),
        u_test(log_reader_opening_during_a_write_gets_that_record_or_begins_after_it),
        u_test(log_full_behind_a_record_being_written_tells_the_gap),
        u_test(log_reserve_prints_in_place),
        u_test(log_reserve_refuses_what_cannot_be),
        u_test(log_interrupts_between_reserve_and_commit_wait),
        u_test(log_full_tx_behind_a_record_in_progress_is_no_deadlock),
        u_test(log_wraps_at_every_position),
        u_test(log_unsubscribing_inside_a_record_finishes_it),
        u_test(log_random_subscriptions_deliver_whole_records),
        u_test(log_sequence_end_begins_a_new_epoch),
        u_test(log_reader_that_resumes_at_the_end_survives_evictions),
        u_test(log_of_any_size_is_resumed_at_any_id),
        u_test(log_event_with_a_very_long_line_arrives),
        u_test(log_full_wakes_the_loop),
        u_test(log_used_is_what_its_events_take),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
