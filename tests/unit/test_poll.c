// Long polling: one answer covers what is there, ends with an id, and the next request goes on.
#include "unit.h"

static void poll_again(u_peer *p, const char *more) {
    char text[200];
    snprintf(text, sizeof text, "{GET /poll?last_event_id=%s%s}", p->last_id, more);
    t_say(p->c, text);
    u_read(p);
}

static void poll_first_answer_is_fresh_and_ends_with_an_id(U_STATE) {
    t_world *w = t_begin();
    t_publish_text(w, T_TEMP, "21");
    u_peer *p = u_open(w, "{GET /poll}");
    T_CHECK(t_field_is(&p->cl, "Transfer-Encoding", "chunked"), "not chunked");
    // RFC 9111 5.2.2.6: a proxy that compresses would hold events back.
    T_CHECK(t_field_is(&p->cl, "Cache-Control", "no-store, no-transform"), "Cache-Control");
    T_EQ(p->cl.answers, 1);
    T_EQ(p->ids, 1);
    u_expect(p, "rtpush: fresh 5\n|temp: 21\n|200 ");
    T_CHECK(strlen(p->last_id) == 17 || strlen(p->last_id) == 26, "id %s", p->last_id);
    t_expect_events(w, "open /poll|close NONE");
}

static void poll_waits_for_an_event(U_STATE) {
    t_world *w = t_begin();
    t_publish_text(w, T_TEMP, "21");
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    poll_again(p, "");
    t_advance(w, 5000);
    u_is(p, "");
    T_EQ(p->cl.answers, 1);
    T_EQ(rtpush_get_counters(&w->srv)->streams, 1);
    t_publish_text(w, T_LOG, "news");
    t_run(w);
    u_expect(p, "log: news\n|200 ");
    T_EQ(p->cl.answers, 2);
    T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
    poll_again(p, "");
    t_publish_text(w, T_TEMP, "22");
    t_run(w);
    u_expect(p, "temp: 22\n|200 ");
}

// An id that says nothing about STATE would be answered at once, for ever.
static void poll_does_not_spin(U_STATE) {
    t_world *w = t_begin();
    t_publish_text(w, T_TEMP, "21");
    t_publish_text(w, T_LOG, "one");
    u_peer *p = u_open(w, "{GET /poll}");
    int answers = 0;
    for (int i = 0; i < 60; i++) { // the page asks again as soon as it is answered
        u_read(p);
        if (p->cl.answers > answers) {
            answers = p->cl.answers;
            poll_again(p, "");
        }
        t_advance(w, 1000);
    }
    T_CHECK(answers >= 2 && answers <= 4, "%d answers in a minute of quiet", answers);
}

static void poll_ends_empty_after_poll_ms_with_the_id(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    char id[64];
    snprintf(id, sizeof id, "%s", p->last_id);
    poll_again(p, "");
    t_advance(w, 24000);
    T_EQ(p->cl.answers, 1);
    t_advance(w, 2000);
    u_read(p);
    T_EQ(p->cl.answers, 2);
    T_EQ(p->ids, 1);
    u_expect(p, "!log:|!temp:|!fresh|!reset|!gap|200 ");
    assert_string_equal(p->last_id, id);
}

static void poll_may_ask_to_wait_less(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    poll_again(p, "&timeout=3");
    t_advance(w, 2500);
    u_read(p);
    T_EQ(p->cl.answers, 1);
    t_advance(w, 1200);
    u_read(p);
    T_EQ(p->cl.answers, 2);
    poll_again(p, "&timeout=0");
    t_advance(w, 500);
    u_read(p);
    T_EQ(p->cl.answers, 3);
    static const char *const odd[] = {"&timeout=99999", "&timeout=26", "&timeout=4294967296"};
    for (size_t i = 0; i < 3; i++) { // no longer than poll_ms
        int before = p->cl.answers;
        poll_again(p, odd[i]);
        t_advance(w, 20000);
        u_read(p);
        T_CHECK(p->cl.answers == before, "%s is answered at once", odd[i]);
        t_advance(w, 6500);
        u_read(p);
        T_CHECK(p->cl.answers == before + 1, "%s: no answer within poll_ms", odd[i]);
    }
}

// What is not understood is refused: 0.5 was not "no limit".
static void poll_refuses_a_timeout_that_is_no_number(U_STATE) {
    static const char *const odd[] = {"-1", "x", "", "0.5", "1e3", "+5", "%", "5%zz", "5%0", " 5",
                                      "5s", "0x5", "5&timeout=5", "1&%74imeout=2", "000000000005"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        char text[80];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "{GET /poll?timeout=%s}", odd[i]);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == 400, "timeout=%s is answered %d", odd[i], p->cl.status);
        T_EQ(t_app_of(w)->authorized, 0);
        T_EQ(t_app_of(w)->refused_why, RTPUSH_REASON_SYNTAX);
        u_free(p);
        t_finish(w);
    }
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /poll?t%69meout=%30}");
    u_clear(p);
    poll_again(p, "&t%69meout=%30"); // decoded as any other
    t_advance(w, 500);
    u_read(p);
    T_EQ(p->cl.answers, 2);
}

static void poll_gets_all_events_once(U_STATE) {
    t_world *w = t_begin();
    t_rng rng = t_seed(5);
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    int published = 0;
    int seen = 0;
    int asked = 0;
    for (int step = 0; step < 600; step++) {
        if (!asked) {
            p->cl.answers = 0;
            poll_again(p, "");
            asked = 1;
        }
        for (uint32_t i = t_below(&rng, 4); i > 0 && step < 550; i--) {
            char text[32];
            snprintf(text, sizeof text, "%d", published++);
            T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
        }
        t_run(w);
        u_read(p);
        for (const char *at = t_text(&p->seen); (at = strstr(at, "log: ")) != NULL; at++) {
            T_EQ(atoi(at + 5), seen);
            seen++;
        }
        asked = p->cl.answers == 0;
        u_clear(p);
    }
    T_EQ(seen, published);
    T_EQ(t_app_of(w)->missed, 0);
}

static void poll_tells_gap_and_reset(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 512;
    t_start(w);
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    for (int i = 0; i < 100; i++) {
        t_publish_text(w, T_LOG, "0123456789");
    }
    poll_again(p, "");
    u_expect(p, "rtpush: gap |log: 0123456789|200 ");
    snprintf(p->last_id, sizeof p->last_id, "12345678-00000001");
    poll_again(p, "");
    u_expect(p, "rtpush: reset 5\n|200 ");
    snprintf(p->last_id, sizeof p->last_id, "nonsense");
    poll_again(p, "");
    u_expect(p, "rtpush: reset 5\n|200 ");
    poll_again(p, "");
    u_is(p, ""); // and goes on from there
}

static void poll_of_http_1_0_ends_at_the_close(U_STATE) {
    t_world *w = t_begin();
    t_publish_text(w, T_TEMP, "21");
    u_peer *p = u_open(w, "GET /poll HTTP/1.0\r\n\r\n");
    T_CHECK(t_field(&p->cl, "Transfer-Encoding") == NULL, "chunks for HTTP/1.0");
    T_EQ(p->c->fin, 1);
    t_client_end(&p->cl);
    u_expect(p, "rtpush: fresh 5\n|temp: 21\n|200 ");
    T_EQ(strlen(p->last_id), 26);
}

// Answers of every pace and size must be valid chunks; the strict client reads every byte.
static void poll_chunks_hold_what_they_say(U_STATE) {
    static const char *const texts[] = {"",       "x",          "a\nb", "a\r\nb\r\n",
                                        "\n\n\n", "plain text", "\r",   "\xC3\xA9\n\xC3\xA9"};
    for (size_t bite = 0; bite < 40; bite++) {
        t_world *w = t_begin();
        w->bite = bite;
        w->max_spans = 1 + (int)bite % 4;
        u_peer *p = u_open(w, "{GET /poll}");
        u_clear(p);
        for (size_t i = 0; i < 8; i++) {
            t_publish_text(w, T_LOG, texts[i]);
            t_publish_text(w, T_TEMP, texts[7 - i]);
        }
        poll_again(p, "");
        T_EQ(p->cl.answers, 2);
        u_expect(p, "log: \n|log: x\n|log: a\nb\n|log: a\nb\n\n|log: \n\n\n\n|log: plain text\n|"
                    "log: \n\n|log: \xC3\xA9\n\xC3\xA9\n");
        u_free(p);
        t_finish(w);
    }
}

static void poll_peer_that_leaves_frees_the_stream(U_STATE) {
    for (int half = 0; half < 2; half++) {
        t_world *w = t_begin();
        u_peer *p = u_open(w, "{GET /poll}");
        u_clear(p);
        poll_again(p, "");
        T_EQ(rtpush_get_counters(&w->srv)->streams, 1);
        if (half) {
            t_eof(p->c);
            t_advance(w, 3000);
        } else {
            t_cut(p->c);
            t_run_ready(w);
        }
        T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
        T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
        u_free(p);
        t_finish(w);
    }
}

static void poll_pipelined_requests_wait_their_turn(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    char text[200];
    snprintf(text, sizeof text, "{GET /poll?last_event_id=%s}{GET /hello}", p->last_id);
    t_say(p->c, text);
    u_is(p, "");
    t_publish_text(w, T_LOG, "news");
    t_run(w);
    u_expect(p, "log: news\n200 \n200 hello\n");
}

static void poll_closed_by_the_application_is_answered(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /poll}");
    u_clear(p);
    poll_again(p, "");
    w->call = T_IN_API;
    T_EQ(rtpush_close(&w->srv, t_app_of(w)->last, 0, NULL), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_read(p);
    T_EQ(p->cl.answers, 2);
    T_EQ(p->ids, 1);
}

// RFC 9112 9.6: a client that has finished sending may still read. It gets a whole answer, with the
// last chunk: at once where it waited, and the rest where it has begun.
static void poll_of_a_half_closed_client_is_answered_whole(U_STATE) {
    for (size_t window = 0; window < 300; window += 11) {
        t_world *w = t_begin();
        u_peer *p = u_new(w);
        p->c = t_connect(w);
        t_say(p->c, "{GET /poll?last_event_id=00c0ffee-00000000}");
        p->c->window = window;
        if (window > 0) {
            T_EQ(t_publish_text(w, T_LOG, "event"), RTPUSH_OK);
            t_run(w);
        }
        t_eof(p->c);
        p->c->window = SIZE_MAX;
        t_run(w);
        u_read(p);
        T_EQ(p->cl.answers, 1);
        T_EQ(p->cl.status, 200);
        T_CHECK(p->c->fin, "the connection did not end");
        u_free(p);
        t_finish(w);
    }
}

// An answer that has begun goes on by itself over records that are not for this reader, also if
// nothing is published meanwhile.
static void poll_answer_goes_on_over_records_of_other_topics(U_STATE) {
    static const int others[] = {0, 10, 63, 64, 65, 127, 128, 129, 1000};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        t_world *w = t_fixture();
        w->desc.log_size = 1u << 18;
        t_start(w);
        u_peer *p = u_open(w, "{GET /poll?topics=log}");
        u_clear(p);
        for (int round = 0; round < 2; round++) {
            T_EQ(t_publish_text(w, T_LOG, round ? "last" : "first"), RTPUSH_OK);
            for (int n = 0; n < others[i]; n++) {
                T_EQ(t_publish_text(w, T_CHAT, "not for this reader"), RTPUSH_OK);
            }
        }
        t_run(w); // the loop has seen all of them
        poll_again(p, "&topics=log");
        T_CHECK(p->cl.answers == 2, "%d records between: %s", others[i], t_text(&p->seen));
        u_expect(p, "log: first\nlog: last\n|200 ");
        u_clear(p);
        poll_again(p, "&topics=log"); // the id is behind all of them: it waits
        T_EQ(p->cl.answers, 2);
        u_free(p);
        t_finish(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(poll_first_answer_is_fresh_and_ends_with_an_id),
        u_test(poll_waits_for_an_event),
        u_test(poll_does_not_spin),
        u_test(poll_ends_empty_after_poll_ms_with_the_id),
        u_test(poll_may_ask_to_wait_less),
        u_test(poll_refuses_a_timeout_that_is_no_number),
        u_test(poll_gets_all_events_once),
        u_test(poll_tells_gap_and_reset),
        u_test(poll_of_http_1_0_ends_at_the_close),
        u_test(poll_chunks_hold_what_they_say),
        u_test(poll_peer_that_leaves_frees_the_stream),
        u_test(poll_pipelined_requests_wait_their_turn),
        u_test(poll_closed_by_the_application_is_answered),
        u_test(poll_of_a_half_closed_client_is_answered_whole),
        u_test(poll_answer_goes_on_over_records_of_other_topics),
    };
    return cmocka_run_group_tests_name("poll", tests, NULL, NULL);
}
