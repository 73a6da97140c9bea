// Server-Sent Events (WHATWG HTML 9.2): the form of events, resuming, silence, the cap.
#include "unit.h"

#include <time.h>

static u_peer *resume(t_world *w, const char *path, const char *id) {
    char text[200];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" T_HOST "Last-Event-ID: %s\r\n\r\n", path, id);
    return u_open(w, text);
}

static void sse_head_tells_proxies_not_to_hold_it_back(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /events}");
    T_EQ(p->cl.status, 200);
    // RFC 9111 5.2.2.6: a proxy that compresses would hold events back.
    T_CHECK(t_field_is(&p->cl, "Cache-Control", "no-store, no-transform"), "Cache-Control");
    T_CHECK(t_field_is(&p->cl, "X-Accel-Buffering", "no"), "X-Accel-Buffering");
    T_CHECK(strncmp(t_field(&p->cl, "Content-Type"), "text/event-stream", 17) == 0, "type");
}

static void sse_first_block_is_the_notice_with_id_and_retry(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /events}");
    u_is(p, "rtpush: fresh 5\n"); // the answer itself never ends
    T_EQ(strlen(p->last_id), 17);
    T_EQ(p->last_id[8], '-');
    T_EQ(strspn(p->last_id, "0123456789abcdef-"), 17);
    T_EQ(p->cl.retry, 2000);
}

static void sse_delivers_name_id_and_data(U_STATE) {
    char id[RTPUSH_ID_SIZE];
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(t_publish_text(w, T_CHAT, "hello"), RTPUSH_OK);
    t_run(w);
    u_is(p, "chat: hello\n");
    assert_string_equal(p->last_id, rtpush_id_format(rtpush_last_id(&w->srv), id));
    T_EQ(t_publish_text(w, T_LOG, ""), RTPUSH_OK);
    T_EQ(t_publish_text(w, T_LOG, " leading and trailing "), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: \nlog:  leading and trailing \n");
}

// WHATWG HTML 9.2.6: CR, LF and CRLF end a line; each line becomes a data field of its own.
static void sse_splits_lines_of_every_kind(U_STATE) {
    static const char *const table[][2] = {
        {"a\nb", "a\nb"},
        {"a\rb", "a\nb"},
        {"a\r\nb", "a\nb"},
        {"\n", "\n"},
        {"\r\n", "\n"},
        {"\r", "\n"},
        {"a\n", "a\n"},
        {"\na", "\na"},
        {"a\n\nb", "a\n\nb"},
        {"a\r\rb", "a\n\nb"},
        {"a\n\rb", "a\n\nb"},
        {"a\r\n\r\nb", "a\n\nb"},
        {"\n\n\n", "\n\n\n"},
        {"a\r", "a\n"},
        {"data: x\nid: 1\n\nevent: y", "data: x\nid: 1\n\nevent: y"},
        {"\r\n\n\r", "\n\n\n"},
        {" a\n b", " a\n b"},
        {":\n:", ":\n:"},
        {"\nretry: 1\n", "\nretry: 1\n"},
    };
    for (int form = 0; form < 3; form++) {
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
            t_world *w = t_begin();
            w->bite = form == 2 ? 1 : 0;
            u_peer *p = u_stream(w, "{GET /events}");
            t_buf want = {0};
            t_puts(&want, form == 1 ? "temp: " : "log: ");
            t_puts(&want, table[i][1]);
            t_puts(&want, "\n");
            T_EQ(t_publish_text(w, form == 1 ? T_TEMP : T_LOG, table[i][0]), RTPUSH_OK);
            t_run(w);
            u_is(p, t_text(&want));
            t_buf_free(&want);
            u_free(p);
            t_finish(w);
        }
    }
}

// Line ends stay as they are; "data: " stands behind each, also behind the last.
static void sse_inserts_data_behind_each_line_end(U_STATE) {
    static const char *const table[][2] = {
        {"a\r\nb\rc\nd", "a\r\ndata: b\rdata: c\ndata: d\n\n"},
        {"\r\n\r\n", "\r\ndata: \r\ndata: \n\n"},
        {"\r\r\n", "\rdata: \r\ndata: \n\n"},
        {"\n\r", "\ndata: \rdata: \n\n"},
        {"a\r", "a\rdata: \n\n"},
    };
    for (size_t bite = 0; bite < 12; bite++) {
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
            t_world *w = t_begin();
            w->bite = bite;
            w->max_spans = 1 + (int)(bite % 4);
            t_conn *c = t_open(w, "{GET /events}");
            t_take(c);
            T_EQ(t_publish_text(w, T_LOG, table[i][0]), RTPUSH_OK);
            t_run(w);
            char want[128];
            snprintf(want, sizeof want, "id: 00c0ffee-00000001\nevent: log\ndata: %s",
                     table[i][1]);
            assert_string_equal(t_take(c), want);
            t_finish(w);
        }
    }
}

// CPU time of one reader for one event of so many line ends, the best of three.
static double cost_of_lines(size_t lines, const char *hello) {
    static char text[60000];
    double best = 0;
    memset(text, '\n', sizeof text);
    for (int round = 0; round < 3; round++) {
        t_world *w = t_fixture();
        w->desc.log_size = 4 * 65536;
        t_start(w);
        t_conn *c = t_open(w, hello);
        T_EQ(t_publish(w, T_LOG, text, lines), RTPUSH_OK);
        t_tick(w);
        size_t sum = 0;
        int count = 1;
        t_enter(w, T_IN_OUTPUT, c);
        clock_t start = clock();
        while (count > 0) {
            rtpush_span spans[16];
            size_t taken = 0;
            count = rtpush_output(&w->srv, c->conn, spans, 16);
            for (int i = 0; i < count; i++) {
                taken += spans[i].len;
            }
            if (taken > 0) {
                rtpush_sent(&w->srv, c->conn, taken, taken);
            }
            sum += taken;
        }
        double spent = (double)(clock() - start);
        t_leave(w);
        best = round == 0 || spent < best ? spent : best;
        T_CHECK(sum >= 7 * lines + 40, "only %lu bytes", (unsigned long)sum);
        t_forget(c);
        t_finish(w);
    }
    return best;
}

// Eight times the lines cost eight times the work, not its square: 64. 20 ms are the clock's own.
static void sse_many_lines_cost_their_number(U_STATE) {
    static const char *const hello[] = {"{GET /events}",
                                        "{GET /poll?last_event_id=00c0ffee-00000000}"};
    for (int kind = 0; kind < 2; kind++) {
        double few = cost_of_lines(7500, hello[kind]);
        double many = cost_of_lines(60000, hello[kind]);
        T_CHECK(many < 24 * few + CLOCKS_PER_SEC / 50,
                "7,500 lines take %.0f, 60,000 take %.0f", few, many);
    }
}

static void sse_carries_nul_bytes_as_they_are(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(t_publish(w, T_LOG, "a\0b", 3), RTPUSH_OK);
    t_run(w);
    u_read(p);
    T_CHECK(t_find(p->seen.data, p->seen.len, (const uint8_t *)"a\0b", 3) != NULL, "a NUL is lost");
}

// Wire bytes depend only on the record: they are the same whatever sizes are taken at a time.
static void sse_bytes_do_not_depend_on_output_sizes(U_STATE) {
    static const char *const texts[] = {"one", "two\nlines", "", "three\r\n\r\nlines", "\n"};
    t_buf whole = {0};
    for (size_t bite = 0; bite < 90; bite++) {
        t_world *w = t_begin();
        w->bite = bite;
        w->max_spans = bite % 3 == 0 ? 1 : 5;
        t_conn *c = t_open(w, "{GET /events}");
        c->hold_acks = bite % 2;
        for (size_t i = 0; i < 5; i++) {
            T_EQ(t_publish_text(w, i % 2 ? T_LOG : T_CHAT, texts[i]), RTPUSH_OK);
        }
        for (int i = 0; i < 50; i++) {
            t_run(w);
            t_ack(c, 1000);
        }
        if (bite == 0) {
            t_put(&whole, c->out.data, c->out.len);
        } else {
            T_EQ(c->out.len, whole.len);
            assert_memory_equal(c->out.data, whole.data, whole.len);
        }
        t_finish(w);
    }
    t_buf_free(&whole);
}

// -- resuming -------------------------------------------------------------------------------------

static void publish_numbers(t_world *w, int from, int to) {
    for (int i = from; i <= to; i++) {
        char text[16];
        snprintf(text, sizeof text, "n%d", i);
        T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
    }
}

static void sse_resume_replays_what_was_missed(U_STATE) {
    t_world *w = t_begin();
    char id[64];
    u_peer *p = u_open(w, "{GET /events}");
    publish_numbers(w, 1, 3);
    t_run(w);
    u_read(p);
    snprintf(id, sizeof id, "%s", p->last_id);
    u_free(p);
    publish_numbers(w, 4, 6);
    p = resume(w, "/events", id);
    u_is(p, "rtpush: replayed 3 5\nlog: n4\nlog: n5\nlog: n6\n");
    u_free(p);
    p = resume(w, "/events?topics=chat", id); // none of the three is of this topic
    u_is(p, "rtpush: replayed 0 5\n");
}

static void sse_resume_with_nothing_missed_says_so(U_STATE) {
    t_world *w = t_begin();
    char id[64];
    u_peer *p = u_open(w, "{GET /events}");
    publish_numbers(w, 1, 3);
    t_run(w);
    u_read(p);
    snprintf(id, sizeof id, "%s", p->last_id);
    u_free(p);
    p = resume(w, "/events", id);
    u_is(p, "rtpush: replayed 0 5\n");
    assert_string_equal(p->last_id, id);
}

// The page that never got an event resumes from the notice's id.
static void sse_resume_from_the_first_notice(U_STATE) {
    t_world *w = t_begin();
    char id[64];
    u_peer *p = u_open(w, "{GET /events}");
    snprintf(id, sizeof id, "%s", p->last_id);
    u_free(p);
    publish_numbers(w, 1, 2);
    p = resume(w, "/events", id);
    u_is(p, "rtpush: replayed 2 5\nlog: n1\nlog: n2\n");
}

static void sse_resume_past_the_tail_tells_the_gap(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 512;
    t_start(w);
    char id[64];
    u_peer *p = u_open(w, "{GET /events}");
    snprintf(id, sizeof id, "%s", p->last_id);
    u_free(p);
    publish_numbers(w, 1, 100);
    p = resume(w, "/events", id);
    u_read(p);
    unsigned long gap = 0;
    T_CHECK(sscanf(t_text(&p->seen), "rtpush: gap %lu 5\nlog: n", &gap) == 1, "seen %.40s",
            t_text(&p->seen));
    T_EQ(p->events, 1 + (100 - gap));
    char first[32];
    snprintf(first, sizeof first, "\nlog: n%lu\n", gap + 1);
    T_CHECK(strstr(t_text(&p->seen), first) != NULL, "the first one after a gap of %lu", gap);
    T_EQ(t_app_of(w)->missed, gap);
}

// The header is what the browser knows; the query is what the page put there once.
static void sse_header_wins_over_the_query(U_STATE) {
    t_world *w = t_begin();
    char id[64];
    char path[100];
    u_peer *p = u_open(w, "{GET /events}");
    publish_numbers(w, 1, 1);
    t_run(w);
    u_read(p);
    snprintf(path, sizeof path, "/events?last_event_id=%s", p->last_id);
    publish_numbers(w, 2, 3);
    t_run(w);
    u_read(p);
    snprintf(id, sizeof id, "%s", p->last_id);
    publish_numbers(w, 4, 4);
    u_free(p);
    p = resume(w, path, id);
    u_is(p, "rtpush: replayed 1 5\nlog: n4\n");
    u_free(p);
    char text[128];
    snprintf(text, sizeof text, "{GET %s}", path);
    p = u_open(w, text);
    u_is(p, "rtpush: replayed 3 5\nlog: n2\nlog: n3\nlog: n4\n");
}

static void sse_ids_in_upper_case_or_shortened_do_no_harm(U_STATE) {
    static const char *const bad[] = {"00c0ffee-0000000",
                                      "00c0ffee00000000",
                                      "00c0ffee-0000000g",
                                      "-",
                                      "00c0ffee-",
                                      "0",
                                      "00c0ffee-00000000-",
                                      "00c0ffee-00000000-0000000",
                                      "00c0ffee-00000000-00000000x",
                                      "00c0ffee_00000000",
                                      "00000000-00000000",
                                      "ffffffff-ffffffff",
                                      "00c0ffee-ffffffff",
                                      "00c0ffee-7fffffff",
                                      "00c0ffee-80000000",
                                      "\xC3\xA9",
                                      "00c0ffee-00000000,x",
                                      "00c0ffee-00000001ABCDEFGHI",
                                      "00c0ffee-00000001-0000000x",
                                      "00c0ffee-00000001 00000000",
                                      "00c0ffee-00000001-00000001", // a revision never given
                                      "First",
                                      "firstx"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        t_world *w = t_begin();
        publish_numbers(w, 1, 3);
        u_peer *p = resume(w, "/events", bad[i]);
        u_is(p, "rtpush: reset 5\n"); // and begins now
        T_EQ(strlen(p->last_id), 17);
        publish_numbers(w, 4, 4);
        t_run(w);
        u_is(p, "log: n4\n");
        u_free(p);
        t_finish(w);
    }
}

// An id that was given and cannot be read is a reset, however it is written in the query. None, or
// an empty one, is a new reader.
static void sse_id_in_a_query_is_read_whole_or_refused(U_STATE) {
    static const char *const table[][2] = {
        {"%", "reset 5"},
        {"%zz", "reset 5"},
        {"%0", "reset 5"},
        {"%00", "reset 5"},
        {"a%00b", "reset 5"},
        {"00c0ffee-00000003%", "reset 5"},
        {"00c0ffee-00000003%00", "reset 5"},
        {"00c0ffee-00000003ABCDEFGHI", "reset 5"},
        {"00c0ffee-00000003-0000000x", "reset 5"},
        {"00c0ffee-00000003-00000000-", "reset 5"},
        {"00c0ffee-00000003-00000000-00000000-00000000", "reset 5"},
        {"00c0ffee-00000003+", "reset 5"},
        {"0", "reset 5"},
        {"%66irs", "reset 5"},
        {"00c0ffee-00000003", "replayed 1 5\nlog: n4"},
        {"00c0ffee-00000003-00000000", "replayed 1 5\nlog: n4"},
        {"%300c0ffee-%30000000%33", "replayed 1 5\nlog: n4"},
        {"", "fresh 5"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[200];
        char want[64];
        t_world *w = t_begin();
        publish_numbers(w, 1, 4);
        snprintf(text, sizeof text, "{GET /events?last_event_id=%s}", table[i][0]);
        snprintf(want, sizeof want, "rtpush: %s\n", table[i][1]);
        u_peer *p = u_open(w, text);
        u_is(p, want);
        u_free(p);
        t_finish(w);
    }
}

// All that the log holds, from its oldest event on: asked for by the client, or by the route for
// who brings no id.
static void sse_first_replays_all_that_the_log_holds(U_STATE) {
    static const char *const ask[] = {"{GET /events?last_event_id=first}",
                                      "GET /events HTTP/1.1\r\n" T_HOST
                                      "Last-Event-ID: first\r\n\r\n",
                                      "{GET /events}", "{GET /events?last_event_id=}"};
    for (int i = 0; i < 4; i++) {
        for (int wrapped = 0; wrapped < 2; wrapped++) {
            t_world *w = t_fixture();
            w->desc.log_size = 512;
            t_routes[T_R_EVENTS].flags = i >= 2 ? RTPUSH_FROM_FIRST : 0;
            t_start(w);
            u_peer *p = u_open(w, ask[i]);
            u_is(p, "rtpush: replayed 0 5\n"); // it is empty
            u_free(p);
            int count = wrapped ? 100 : 3;
            publish_numbers(w, 1, count);
            p = u_open(w, ask[i]);
            int replayed = 0;
            int oldest = 0;
            T_CHECK(sscanf(u_read(p), "rtpush: replayed %d 5\nlog: n%d\n", &replayed, &oldest) == 2,
                    "seen %.60s", t_text(&p->seen));
            T_EQ(p->events, 1 + replayed);
            T_EQ(oldest, count + 1 - replayed);
            T_CHECK(wrapped ? replayed > 8 : replayed == 3, "%d of %d", replayed, count);
            T_EQ(t_app_of(w)->missed, 0); // what a newcomer never had is no gap
            u_clear(p);
            publish_numbers(w, count + 1, count + 1);
            t_run(w);
            T_EQ(p->events, 0);
            u_read(p);
            T_EQ(p->events, 1);
            char text[200];
            snprintf(text, sizeof text, "{GET /events?last_event_id=%s}", p->last_id);
            u_free(p);
            p = u_open(w, text); // with an id it resumes, also on such a route
            u_is(p, "rtpush: replayed 0 5\n");
            u_free(p);
            p = u_open(w, "{GET /events?last_event_id=0}"); // and is told if that cannot be
            u_is(p, "rtpush: reset 5\n");
            u_free(p);
            t_finish(w);
        }
    }
}

static void sse_id_of_a_later_event_than_any_is_reset(U_STATE) {
    t_world *w = t_begin();
    publish_numbers(w, 1, 3);
    rtpush_id id = rtpush_last_id(&w->srv);
    char text[RTPUSH_ID_SIZE];
    u_peer *p = resume(w, "/events", rtpush_id_format(id, text));
    u_is(p, "rtpush: replayed 0 5\n");
    u_free(p);
    id.seq++;
    p = resume(w, "/events", rtpush_id_format(id, text));
    u_is(p, "rtpush: reset 5\n");
}

// Invariant 18: cut after every byte of a stream; the resumed reader has everything, once.
static void sse_resume_after_a_cut_at_any_byte(U_STATE) {
    static const char *const texts[] = {"one", "two\nlines", "three", "", "five \r\n x"};
    size_t total = 0;
    for (size_t cut = 0; cut == 0 || cut <= total; cut++) {
        t_world *w = t_begin();
        char id[64];
        u_peer *p = u_new(w);
        p->c = t_open(w, "{GET /events}");
        for (size_t i = 0; i < 5; i++) {
            T_EQ(t_publish_text(w, T_LOG, texts[i]), RTPUSH_OK);
            t_run(w);
        }
        total = p->c->out.len;
        p->c->out.len = cut; // the rest never arrived
        u_read(p);
        unsigned got = p->events;
        snprintf(id, sizeof id, "%s", p->last_id);
        t_buf seen = {0};
        t_puts(&seen, t_text(&p->seen));
        u_free(p);
        p = id[0] ? resume(w, "/events", id) : u_open(w, "{GET /events}");
        u_read(p);
        if (id[0]) {
            char notice[40];
            snprintf(notice, sizeof notice, "rtpush: replayed %u 5\n", 5 - (got - 1));
            T_CHECK(strncmp(t_text(&p->seen), notice, strlen(notice)) == 0, "cut at %lu: %.30s",
                    (unsigned long)cut, t_text(&p->seen));
            t_puts(&seen, t_text(&p->seen) + strlen(notice));
            T_CHECK(strcmp(t_text(&seen), "rtpush: fresh 5\nlog: one\nlog: two\nlines\nlog: three\n"
                                          "log: \nlog: five \n x\n") == 0,
                    "cut at %lu:\n%s", (unsigned long)cut, t_text(&seen));
        }
        t_buf_free(&seen);
        u_free(p);
        t_finish(w);
    }
    T_CHECK(total > 300, "only %lu bytes", (unsigned long)total);
}

// -- silence --------------------------------------------------------------------------------------

// A comment would be enough for proxies, but scripts do not see it, nor a dead link by its absence.
// WHATWG HTML 9.2.6: a field without a colon has an empty value, and empty data is an event.
static void sse_keep_alive_is_seen_by_scripts_and_keeps_the_id_fresh(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events?topics=chat}");
    char id[RTPUSH_ID_SIZE];
    size_t before = p->c->out_total;
    t_advance(w, 4750);
    u_read(p);
    T_EQ(p->alive, 0);
    t_advance(w, 750);
    u_read(p);
    T_EQ(p->alive, 1);
    T_EQ(p->ids, 0); // it has not moved
    T_EQ(p->c->out_total - before, sizeof "event:rtpush\ndata\n\n" - 1);
    T_EQ(p->events, 0);
    publish_numbers(w, 1, 5); // of another topic: nothing to see
    before = p->c->out_total;
    t_advance(w, 5500);
    u_read(p);
    T_EQ(p->alive, 2);
    T_EQ(p->ids, 1);
    T_EQ(p->c->out_total - before, 19 + sizeof "id:00000000-00000000\n" - 1);
    assert_string_equal(p->last_id, rtpush_id_format(rtpush_last_id(&w->srv), id));
    t_advance(w, 5500);
    u_read(p);
    T_EQ(p->alive, 3);
    T_EQ(p->ids, 1);
    publish_numbers(w, 6, 6); // what the reader is sent brings the id, so no keep-alive must
    T_EQ(t_publish_text(w, T_CHAT, "hello"), RTPUSH_OK);
    t_run(w);
    u_expect(p, "chat: hello\n");
    t_advance(w, 60000);
    u_read(p);
    T_CHECK(p->alive >= 10 && p->alive <= 12, "%u keep-alives in 60 s", p->alive);
    T_EQ(p->ids, 0);
    assert_string_equal(p->last_id, rtpush_id_format(rtpush_last_id(&w->srv), id));
}

// The period is the last word of each notice, in seconds, rounded up: a page waits for longer,
// never for less.
static void sse_keep_alive_follows_the_configuration(U_STATE) {
    static const uint32_t table[][2] = {{3000, 3}, {250, 1}, {1001, 2}, {8000000, 8000}, {0, 5}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        t_world *w = t_fixture();
        char notice[40];
        w->desc.keepalive_ms = table[i][0];
        t_start(w);
        u_peer *p = u_open(w, "{GET /events}");
        snprintf(notice, sizeof notice, "rtpush: fresh %lu\n", (unsigned long)table[i][1]);
        u_is(p, notice);
        t_advance(w, 31000);
        u_read(p);
        unsigned most = 31000 / (table[i][0] ? table[i][0] : 5000);
        T_CHECK(p->alive <= most && p->alive * 2 >= most, "%u keep-alives in 31 s every %lu ms",
                p->alive, (unsigned long)table[i][0]);
        u_free(p);
        t_finish(w);
    }
}

// -- the cap --------------------------------------------------------------------------------------

// An EventSource does not reconnect after any status but 200 (WHATWG HTML 9.2.3).
static void sse_over_max_streams_gets_200_and_retry(U_STATE) {
    t_world *w = t_fixture();
    w->desc.max_streams = 2;
    w->desc.conn_count = 6;
    t_start(w);
    u_peer *a = u_stream(w, "{GET /events}");
    u_peer *b = u_stream(w, "{WS /ws}");
    u_peer *c = u_open(w, "{GET /events}");
    T_EQ(c->cl.status, 200);
    T_EQ(c->cl.retry_count, 1);
    T_CHECK(c->cl.retry >= 2000, "retry: %lu", c->cl.retry);
    T_EQ(c->c->fin, 1);
    T_EQ(c->events, 0);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STREAM_LIMIT], 1);
    u_peer *d = u_open(w, "{GET /events}"); // jittered, or they all come back at once
    T_CHECK(d->cl.retry >= 2000, "retry: %lu", d->cl.retry);
    T_CHECK(c->cl.retry != d->cl.retry, "both are told %lu", c->cl.retry);
    u_peer *e = u_open(w, "{WS /ws}");
    T_EQ(e->cl.status, 503);
    T_CHECK(t_field(&e->cl, "Retry-After") != NULL, "503 without Retry-After");
    u_peer *f = u_open(w, "{GET /poll}");
    T_EQ(f->cl.status, 503);
    u_peer *g = u_open(w, "{GET /hello}"); // a plain request always finds room
    u_is(g, "200 hello\n");
    u_free(a);
    u_free(b);
    t_run_ready(w);
    u_peer *h = u_open(w, "{GET /events}");
    u_expect(h, "rtpush: fresh");
}

static void sse_peer_that_half_closes_is_gone(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    t_eof(p->c);
    t_advance(w, 3000);
    T_CHECK(t_ended(p->c), "a reader that closed is still served");
    t_expect_events(w, "close PEER_CLOSED");
}

static void sse_bytes_from_the_reader_are_discarded(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    t_say(p->c, "{GET /hello}{rep 5000 x}");
    T_EQ(p->c->in.len, 0);
    t_expect_events(w, "!request");
    publish_numbers(w, 1, 1);
    t_run(w);
    u_is(p, "log: n1\n");
}

// One reader for all parameters: names and values are decoded, parameters of one name are joined.
static void sse_topics_are_read_however_they_are_written(U_STATE) {
    static const struct {
        const char *query;
        int status;
        unsigned topics;
    } table[] = {
        {"", 200, 15},
        {"?", 200, 15},
        {"?x=1", 200, 15},
        {"?topics=log", 200, 1u << T_LOG},
        {"?topics=log,chat", 200, 1u << T_LOG | 1u << T_CHAT},
        {"?topics=log%2Cchat", 200, 1u << T_LOG | 1u << T_CHAT},
        {"?topics=log%2cchat%2Cled", 200, 1u << T_LOG | 1u << T_CHAT | 1u << T_LED},
        {"?topics=%6Cog,%63hat", 200, 1u << T_LOG | 1u << T_CHAT},
        {"?%74opics=log", 200, 1u << T_LOG},
        {"?topics=log&topics=chat", 200, 1u << T_LOG | 1u << T_CHAT},
        {"?topics=log&x=1&topic%73=led,chat", 200, 1u << T_LOG | 1u << T_CHAT | 1u << T_LED},
        {"?topics=log,&topics=,chat,", 200, 1u << T_LOG | 1u << T_CHAT},
        {"?topics=log,log", 200, 1u << T_LOG},
        {"?topics=", 404, 0},
        {"?topics", 404, 0},
        {"?topics=,", 404, 0},
        {"?topics=lo", 404, 0},
        {"?topics=logg", 404, 0},
        {"?topics=log,nothing", 404, 0},
        {"?topics=log&topics=nothing", 404, 0},
        {"?topics=nothing&topics=log", 404, 0},
        {"?topics=LOG", 404, 0},
        {"?topics=log%20", 404, 0},
        {"?topics=log+", 404, 0},
        {"?topics=%", 400, 0},
        {"?topics=log%", 400, 0},
        {"?topics=log,%zz", 400, 0},
        {"?topics=log&topics=%0", 400, 0},
        {"?topics=log%00", 400, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[160];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "{GET /events%s}", table[i].query);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == table[i].status, "%s: %d", table[i].query, p->cl.status);
        if (table[i].status == 200) {
            snprintf(text, sizeof text, "open /events - topics=%x\n", table[i].topics);
            t_expect_events(w, text);
        } else {
            T_EQ(t_app_of(w)->authorized, 0);
            T_EQ(t_app_of(w)->refused_why,
                 p->cl.status == 404 ? RTPUSH_REASON_NOT_FOUND : RTPUSH_REASON_SYNTAX);
        }
        u_free(p);
        t_finish(w);
    }
}

// A name longer than any topic's is not cut to one that exists.
static void sse_topic_names_are_not_cut(U_STATE) {
    static const rtpush_topic topics[] = {
        {"abcdefghijklmnopqrstuvwxyz123456", &rtpush_topic_event, 0, 0},
        {"b", &rtpush_topic_event, 0, 0}};
    static const struct {
        const char *names;
        int status;
    } table[] = {{"abcdefghijklmnopqrstuvwxyz123456", 200},
                 {"b,abcdefghijklmnopqrstuvwxyz123456,b", 200},
                 {"abcdefghijklmnopqrstuvwxyz1234567", 404},
                 {"abcdefghijklmnopqrstuvwxyz123456b", 404},
                 {"abcdefghijklmnopqrstuvwxyz12345678,b", 404}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[160];
        t_world *w = t_fixture();
        w->desc.topics = topics;
        w->desc.topic_count = 2;
        t_start(w);
        snprintf(text, sizeof text, "{GET /events?topics=%s}", table[i].names);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == table[i].status, "%s: %d", table[i].names, p->cl.status);
        u_free(p);
        t_finish(w);
    }
}

// An id that cannot be read was given all the same: the page must not believe that it missed
// nothing. A 400 would end its EventSource for ever (WHATWG HTML 9.2.3).
static void sse_id_that_cannot_be_read_is_reset(U_STATE) {
    static const char *const ids[] = {"%", "%zz", "%0", "%00", "a%00b", "a&last_event_id=a"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[160];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "{GET /events?last_event_id=%s}", ids[i]);
        u_peer *p = u_open(w, text);
        u_expect(p, "rtpush: reset 5\n");
        u_free(p);
        t_finish(w);
    }
}

static void sse_close_by_the_application_ends_in_order(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events}");
    p->c->window = 10;
    publish_numbers(w, 1, 1);
    t_run(w);
    w->call = T_IN_API;
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, NULL), RTPUSH_OK);
    t_leave(w);
    p->c->window = SIZE_MAX;
    t_run(w);
    u_is(p, "log: n1\n"); // the record that was begun is finished
    T_EQ(p->c->fin, 1);
    t_run(w);
    t_expect_events(w, "close APP");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(sse_head_tells_proxies_not_to_hold_it_back),
        u_test(sse_first_block_is_the_notice_with_id_and_retry),
        u_test(sse_delivers_name_id_and_data),
        u_test(sse_splits_lines_of_every_kind),
        u_test(sse_inserts_data_behind_each_line_end),
        u_test(sse_many_lines_cost_their_number),
        u_test(sse_carries_nul_bytes_as_they_are),
        u_test(sse_bytes_do_not_depend_on_output_sizes),
        u_test(sse_resume_replays_what_was_missed),
        u_test(sse_resume_with_nothing_missed_says_so),
        u_test(sse_resume_from_the_first_notice),
        u_test(sse_resume_past_the_tail_tells_the_gap),
        u_test(sse_header_wins_over_the_query),
        u_test(sse_ids_in_upper_case_or_shortened_do_no_harm),
        u_test(sse_id_in_a_query_is_read_whole_or_refused),
        u_test(sse_first_replays_all_that_the_log_holds),
        u_test(sse_id_of_a_later_event_than_any_is_reset),
        u_test(sse_resume_after_a_cut_at_any_byte),
        u_test(sse_keep_alive_is_seen_by_scripts_and_keeps_the_id_fresh),
        u_test(sse_keep_alive_follows_the_configuration),
        u_test(sse_over_max_streams_gets_200_and_retry),
        u_test(sse_peer_that_half_closes_is_gone),
        u_test(sse_bytes_from_the_reader_are_discarded),
        u_test(sse_topics_are_read_however_they_are_written),
        u_test(sse_topic_names_are_not_cut),
        u_test(sse_id_that_cannot_be_read_is_reset),
        u_test(sse_close_by_the_application_ends_in_order),
    };
    return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
