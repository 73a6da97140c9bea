// Authorization: what authorize sees, what it may answer and when, which topics a stream may read
// later; and what clients can do that are refused.
#include "unit.h"

static int decide(t_world *w, rtpush_handle conn, int status, const rtpush_grant *grant) {
    t_enter(w, T_IN_API, NULL);
    int result = rtpush_authorize(&w->srv, conn, status, grant);
    t_leave(w);
    t_run_ready(w);
    return result;
}

static const rtpush_grant everything = {15, 0, NULL, NULL, 0};

static t_world *begin_later(void) {
    t_world *w = t_fixture();
    t_app_of(w)->decide = T_LATER;
    t_start(w);
    return w;
}

// A request for each kind of route, and what its answer begins with.
static const struct {
    const char *request;
    const char *answer;
} kinds[] = {
    {"{GET /}", "HTTP/1.1 200 |<<title>device"},
    {"{GET /hello}", "HTTP/1.1 200 |hello"},
    {"{GET /pull}", "HTTP/1.1 200 |abcdef"},
    {"{GET /files/a%20b}", "HTTP/1.1 200 |a b"},
    {"POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 5\r\n\r\nabcde", "HTTP/1.1 200 |abcde"},
    {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 600\r\n\r\n{rep 600 x}",
     "HTTP/1.1 200 |600 "},
    {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
     "HTTP/1.1 100 |HTTP/1.1 200 |3 "},
    {"{GET /events}", "HTTP/1.1 200 |data: fresh"},
    {"{GET /poll?timeout=0}", "HTTP/1.1 200 |data: fresh"},
    {"{WS /ws}{81:early}", "HTTP/1.1 101 |<81:early>"},
    {"{WSP /ws rtpush.1}", "HTTP/1.1 101 |Sec-WebSocket-Protocol: rtpush.1|rtpush\nfresh"},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void ask_nothing_is_written_before_the_decision(U_STATE) {
    for (size_t i = 0; i < KINDS; i++) {
        snprintf(t_where, sizeof t_where, "%s", kinds[i].request);
        t_world *w = begin_later();
        t_conn *c = t_open(w, kinds[i].request);
        t_advance(w, 25000);
        T_EQ(c->out_total, 0);
        T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
        t_expect_events(w, "!request|!open|!message|!upload");
        T_EQ(t_decide(w), RTPUSH_OK);
        t_advance(w, 1000);
        t_expect(c, kinds[i].answer);
        t_finish(w);
    }
    t_where[0] = 0;
}

// Every status, for every kind, decided at once, inside and later: the same bytes.
static void ask_refusals_are_the_same_whenever_they_come(U_STATE) {
    static const int said[] = {400, 401, 403, 404, 429, 503, 599};
    for (size_t i = 0; i < KINDS; i++) {
        for (size_t k = 0; k < sizeof said / sizeof said[0]; k++) {
            t_buf seen[3] = {{0}};
            for (int when = T_NOW; when <= T_LATER; when++) {
                t_world *w = t_fixture();
                t_app_of(w)->status = said[k];
                t_app_of(w)->decide = when;
                t_start(w);
                t_conn *c = t_open(w, kinds[i].request);
                t_decide(w);
                t_put(&seen[when], c->out.data, c->out.len);
                char event[80];
                snprintf(event, sizeof event, "refuse %d APP|!request|!open|!message|!upload",
                         said[k]);
                t_expect_events(w, event);
                t_finish(w);
            }
            T_CHECK(seen[0].len > 30, "%s: %d says nothing", kinds[i].request, said[k]);
            for (int when = T_INSIDE; when <= T_LATER; when++) {
                T_CHECK(strcmp(t_text(&seen[0]), t_text(&seen[when])) == 0, "%s: %d: %s",
                        kinds[i].request, said[k], t_text(&seen[when]));
            }
            for (int when = 0; when < 3; when++) {
                t_buf_free(&seen[when]);
            }
        }
    }
}

// WHATWG HTML 9.2.3: an EventSource that saw it would never come again, so it gets a retry.
static void ask_without_a_decision_the_answer_is_503_or_a_retry(U_STATE) {
    for (size_t i = 0; i < KINDS; i++) {
        t_world *w = begin_later();
        t_conn *c = t_open(w, kinds[i].request);
        rtpush_handle asked = t_app_of(w)->asked;
        c->manual_close = 1;
        t_advance(w, 31000);
        t_expect(c, strstr(kinds[i].request, "/events")
                        ? "HTTP/1.1 200 |Connection: close|\r\n\r\nretry: |!data:|!id:"
                        : "HTTP/1.1 503 |Connection: close|!HTTP/1.1 200|!open");
        T_EQ(t_app_of(w)->refused_why, RTPUSH_REASON_TIMEOUT_REPLY);
        T_EQ(decide(w, asked, 0, &everything), RTPUSH_ERR_STATE);
        t_advance(w, 10000);
        T_EQ(decide(w, asked, 0, &everything), RTPUSH_ERR_STALE);
        t_expect_events(w, "!request|!open|!message|!upload");
        t_finish(w);
    }
}

// A page that is refused on a WebSocket sees no status: it asks the same route by a plain request.
// So that is judged as well, and 426 only where it would be let in.
static void ask_a_websocket_route_is_judged_without_an_upgrade_too(U_STATE) {
    static const int said[] = {401, 403, 0};
    for (size_t i = 0; i < 3; i++) {
        for (int when = T_NOW; when <= T_LATER; when++) {
            t_world *w = t_fixture();
            char answer[80];
            t_app_of(w)->status = said[i];
            t_app_of(w)->decide = when;
            t_start(w);
            t_conn *c = t_open(w, "{GET /ws?topics=chat}");
            t_decide(w);
            snprintf(answer, sizeof answer, "HTTP/1.1 %d |!HTTP/1.1 101", said[i] ? said[i] : 426);
            t_expect(c, answer);
            T_EQ(t_app_of(w)->authorized, 1);
            t_expect_events(w, "!open|!message");
            T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
            t_finish(w);
        }
    }
}

static void ask_is_decided_once(U_STATE) {
    for (size_t i = 0; i < KINDS; i++) {
        t_world *w = begin_later();
        t_conn *c = t_open(w, kinds[i].request);
        rtpush_handle asked = t_app_of(w)->asked;
        rtpush_handle wrong = asked;
        static const int bad[] = {1, 200, 399, 600, -1, RTPUSH_PENDING};
        wrong.serial++;
        T_EQ(decide(w, wrong, 0, &everything), RTPUSH_ERR_STALE);
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            T_EQ(decide(w, asked, bad[k], NULL), RTPUSH_ERR_ARGUMENT);
        }
        T_EQ(decide(w, asked, 0, NULL), RTPUSH_ERR_ARGUMENT); // granted what?
        T_EQ(c->out_total, 0);
        c->hold_acks = 1; // the answer stays on its way, the handle good
        T_EQ(decide(w, asked, 0, &everything), RTPUSH_OK);
        T_EQ(decide(w, asked, 0, &everything), RTPUSH_ERR_STATE);
        T_EQ(decide(w, asked, 403, NULL), RTPUSH_ERR_STATE);
        t_finish(w);
    }
}

// The peer leaves at every moment: by reset, and by FIN.
static void ask_the_peer_may_leave_meanwhile(U_STATE) {
    for (size_t i = 0; i < KINDS; i++) {
        for (int status = 0; status <= 403; status += 403) {
            t_world *w = begin_later();
            t_conn *c = t_open(w, kinds[i].request);
            t_app_of(w)->status = status;
            t_cut(c);
            T_EQ(t_decide(w), RTPUSH_ERR_STALE);
            t_run_ready(w); // reaped
            t_app_of(w)->asked = c->handle;
            T_EQ(t_decide(w), RTPUSH_ERR_STALE);
            t_expect_events(w, "!request|!open|!close");
            t_finish(w);
            // A client that has finished sending still gets an answer; a stream would read nobody.
            w = begin_later();
            c = t_open(w, kinds[i].request);
            t_app_of(w)->status = status;
            t_eof(c);
            T_EQ(c->out_total, 0);
            T_EQ(t_decide(w), RTPUSH_OK);
            t_eof(c); // behind the held frame or body
            t_advance(w, 3000);
            if (status || !strstr(kinds[i].request, "/poll")) {
                t_expect(c, status ? "HTTP/1.1 403 " : "HTTP/1.1 ");
            }
            T_CHECK(t_ended(c), "%s: it lives on", kinds[i].request);
            T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
            t_finish(w);
        }
    }
}

// A body that was cut off while the application thought: nobody waits for its deadline.
static void ask_a_body_cut_off_meanwhile_ends_the_connection(U_STATE) {
    t_world *w = begin_later();
    t_conn *c = t_open(w, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 5\r\n\r\n");
    t_eof(c);
    T_EQ(t_decide(w), RTPUSH_OK);
    t_advance(w, 1000);
    T_CHECK(t_ended(c), "it waits for a body that cannot come");
    t_expect_events(w, "!request");
}

static void ask_the_connection_may_be_ended_instead(U_STATE) {
    for (int abort = 0; abort < 2; abort++) {
        t_world *w = begin_later();
        t_conn *c = t_open(w, "{GET /hello}{GET /hello}");
        rtpush_handle asked = t_app_of(w)->asked;
        w->call = T_IN_API;
        T_EQ(rtpush_reply_text(&w->srv, asked, 200, "x"), RTPUSH_ERR_STATE); // not yet its own
        T_EQ(rtpush_subscribe(&w->srv, asked, 1), RTPUSH_ERR_STATE);
        T_EQ(rtpush_send(&w->srv, asked, 1, "x", 1), RTPUSH_ERR_STATE);
        T_EQ(rtpush_retry(&w->srv, asked), RTPUSH_OK);
        T_EQ(abort ? rtpush_abort(&w->srv, asked) : rtpush_close(&w->srv, asked, 1000, NULL),
             RTPUSH_OK);
        t_leave(w);
        int result = decide(w, asked, 0, &everything);
        T_CHECK(result == RTPUSH_ERR_STATE || result == RTPUSH_ERR_STALE, "%d", result);
        T_CHECK(t_ended(c), "it lives on");
        T_EQ(c->out_total, 0);
        t_finish(w);
    }
}

static void ask_pipelined_requests_wait_in_order(U_STATE) {
    t_world *w = begin_later();
    t_conn *c = t_open(w, "{GET /files/1}POST /echo HTTP/1.1\r\n" T_HOST
                          "Content-Length: 3\r\n\r\ntwo{GET /files/3}{GET /poll?timeout=0}"
                          "{GET /files/5}");
    for (int i = 1; i <= 5; i++) {
        rtpush_handle asked = t_app_of(w)->asked;
        T_CHECK(asked.serial != 0, "request %d was not asked for", i);
        T_EQ(t_app_of(w)->authorized, i);
        t_app_of(w)->asked.serial = 0;
        T_EQ(decide(w, asked, i == 3 ? 403 : 0, i == 3 ? NULL : &t_app_of(w)->grant), RTPUSH_OK);
        t_advance(w, 500);
        T_EQ(decide(w, asked, 0, &everything), RTPUSH_ERR_STALE); // each has its own
    }
    t_expect(c, "\r\n\r\n1|HTTP/1.1 200 |\r\n\r\ntwo|HTTP/1.1 403 |HTTP/1.1 200 |data: fresh|"
                "HTTP/1.1 200 |\r\n\r\n5");
}

// The strings of the request are there again when it goes on, though others came in between.
static void ask_the_request_is_whole_when_it_goes_on(U_STATE) {
    t_world *w = begin_later();
    u_peer *p = u_open(w, "GET /keep?ticket=abc HTTP/1.1\r\n" T_HOST "Cookie: sid=s1\r\n"
                          "Authorization: Bearer t0\r\nX-One: 1\r\nX-Two: 2\r\n"
                          "Origin: http://10.0.0.1\r\n\r\n");
    rtpush_handle first = t_app_of(w)->asked;
    t_app_of(w)->decide = T_NOW;
    u_peer *q = u_open(w, "GET /keep?other HTTP/1.1\r\n" T_HOST "Cookie: sid=other\r\n\r\n");
    u_expect(q, "200 |cookie=other");
    T_EQ(decide(w, first, 0, &everything), RTPUSH_OK);
    u_is(p, "200 host=10.0.0.1 one=1 two=2 auth=Bearer t0 cookie=s1 origin=http://10.0.0.1\n");
    t_expect_events(w, "GET /keep?ticket=abc ");
}

static rtpush_handle waiting;

// Decides about another connection, then goes on to look at its own request.
static int authorize_another(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    t_app_of(t_world_of(srv))->authorized++;
    if (waiting.serial == 0) {
        waiting = req->conn;
        return RTPUSH_PENDING;
    }
    T_EQ(rtpush_authorize(srv, waiting, 0, &everything), RTPUSH_OK);
    assert_string_equal(req->path, "/files/second");
    assert_string_equal(req->query, "q=2");
    assert_string_equal(req->cookie, "c2");
    (void)grant;
    return 0;
}

static void ask_deciding_about_another_inside_authorize_is_fine(U_STATE) {
    t_world *w = t_fixture();
    w->desc.authorize = authorize_another;
    waiting.serial = 0;
    t_start(w);
    u_peer *p = u_open(w, "GET /files/first?q=1 HTTP/1.1\r\n" T_HOST "Cookie: sid=c1\r\n\r\n");
    u_peer *q = u_open(w, "GET /files/second?q=2 HTTP/1.1\r\n" T_HOST "Cookie: sid=c2\r\n\r\n");
    t_run(w);
    u_is(p, "200 first\n");
    u_is(q, "200 second\n");
}

static void ask_shutdown_does_not_wait_for_a_decision(U_STATE) {
    for (size_t i = 0; i < KINDS; i++) {
        t_world *w = begin_later();
        t_conn *c = t_open(w, kinds[i].request);
        w->call = T_IN_API;
        rtpush_shutdown(&w->srv);
        t_leave(w);
        T_EQ(t_decide(w), RTPUSH_OK);
        t_advance(w, 3000);
        T_CHECK(t_ended(c), "%s lives on", kinds[i].request);
        T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
        t_finish(w);
    }
}

static void ask_the_grant_of_a_later_decision_counts(U_STATE) {
    t_world *w = begin_later();
    u_peer *p = u_open(w, "{GET /events?topics=log,chat}");
    rtpush_grant grant;
    memset(&grant, 0, sizeof grant);
    grant.topics = 1u << T_CHAT | 1u << T_LED;
    grant.expires_s = 5;
    grant.user = w;
    T_EQ(t_app_of(w)->grant.topics, 15); // what the fixture would grant
    T_EQ(decide(w, t_app_of(w)->asked, 0, &grant), RTPUSH_OK);
    u_clear(p);
    t_publish_text(w, T_LOG, "secret");
    t_publish_text(w, T_CHAT, "public");
    t_run(w);
    u_is(p, "chat: public\n");
    T_CHECK(rtpush_user(&w->srv, p->c->handle) == w, "user");
    t_advance(w, 6000);
    u_is(p, "rtpush: expired\n");
    T_CHECK(t_ended(p->c), "it lives on");
    u_free(p);
    t_app_of(w)->asked.serial = 0;
    p = u_open(w, "{GET /events?topics=log}"); // zeroed: nothing was granted
    memset(&grant, 0, sizeof grant);
    T_EQ(decide(w, t_app_of(w)->asked, 0, &grant), RTPUSH_OK);
    u_expect(p, "403 ");
}

// -- topics, also later ---------------------------------------------------------------------------

static int subscribe(t_world *w, u_peer *p, uint32_t topics) {
    w->call = T_IN_API;
    int result = rtpush_subscribe(&w->srv, p->c->handle, topics);
    t_leave(w);
    return result;
}

static int authorize_as_asked(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    (void)req;
    (void)grant;
    t_app_of(t_world_of(srv))->authorized++;
    return 0;
}

// Nothing said about topics grants those that were asked for, and no others later.
static void ask_later_subscriptions_need_the_grant(U_STATE) {
    static const char *const requests[] = {"{GET /events?topics=log,temp}",
                                           "{WS /ws?topics=log,temp}"};
    for (int i = 0; i < 2; i++) {
        t_world *w = t_fixture();
        w->desc.authorize = authorize_as_asked;
        t_start(w);
        t_publish_text(w, T_LED, "secret");
        u_peer *p = u_stream(w, requests[i]);
        T_EQ(subscribe(w, p, 1u << T_LOG), RTPUSH_OK);
        T_EQ(subscribe(w, p, 0), RTPUSH_OK);
        T_EQ(subscribe(w, p, 1u << T_LOG | 1u << T_TEMP), RTPUSH_OK); // and back
        T_EQ(subscribe(w, p, 1u << T_CHAT), RTPUSH_ERR_ARGUMENT);
        T_EQ(subscribe(w, p, 1u << T_LOG | 1u << T_LED), RTPUSH_ERR_ARGUMENT);
        T_EQ(subscribe(w, p, ~0u), RTPUSH_ERR_ARGUMENT);
        t_publish_text(w, T_CHAT, "secret");
        t_publish_text(w, T_LED, "secret");
        t_publish_text(w, T_LOG, "public");
        t_run(w);
        u_expect(p, "public|!secret");
        u_free(p);
        t_finish(w);
    }
}

// A grant may be wider than what was asked: the rest is for later, but not wider than the route.
static void ask_a_grant_may_be_for_later(U_STATE) {
    for (int when = T_NOW; when <= T_LATER; when++) {
        t_world *w = t_fixture();
        t_app_of(w)->grant_topics = 1u << T_LOG | 1u << T_CHAT | 1u << T_LED | 1u << 31;
        t_app_of(w)->decide = when;
        t_routes[T_R_EVENTS].topics = 1u << T_LOG | 1u << T_TEMP | 1u << T_CHAT;
        t_start(w);
        u_peer *p = u_open(w, "{GET /events?topics=log,temp}");
        t_decide(w);
        u_clear(p);
        t_publish_text(w, T_CHAT, "not asked for");
        t_publish_text(w, T_TEMP, "not granted");
        t_publish_text(w, T_LOG, "one");
        t_run(w);
        u_is(p, "log: one\n");
        T_EQ(subscribe(w, p, 1u << T_CHAT), RTPUSH_OK);
        T_EQ(subscribe(w, p, 1u << T_TEMP), RTPUSH_ERR_ARGUMENT); // was asked for, not granted
        T_EQ(subscribe(w, p, 1u << T_LED), RTPUSH_ERR_ARGUMENT); // granted, not of the route
        T_EQ(subscribe(w, p, 1u << 31), RTPUSH_ERR_ARGUMENT);
        t_publish_text(w, T_CHAT, "now it is");
        t_run(w);
        u_is(p, "chat: now it is\n");
        u_free(p);
        t_finish(w);
    }
}

static void ask_without_a_hook_the_route_is_the_limit(U_STATE) {
    t_world *w = t_fixture();
    w->desc.authorize = NULL;
    t_routes[T_R_EVENTS].topics = 1u << T_LOG | 1u << T_TEMP;
    t_routes[T_R_EVENTS].on_open = NULL;
    t_routes[T_R_EVENTS].on_close = NULL;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    T_EQ(subscribe(w, p, 1u << T_TEMP), RTPUSH_OK);
    T_EQ(subscribe(w, p, 1u << T_CHAT), RTPUSH_ERR_ARGUMENT);
}

// -- what authorize sees and says -----------------------------------------------------------------

static t_buf seen_by_hook;

static int authorize_looks(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    char line[300];
    (void)grant;
    t_app_of(t_world_of(srv))->authorized++;
    snprintf(line, sizeof line, "%d %s?%s %s %s %s %s %s %lu", req->method, req->path, req->query,
             req->host ? req->host : "-", req->origin ? req->origin : "-",
             req->cookie ? req->cookie : "-", req->authorization ? req->authorization : "-",
             req->subprotocol ? req->subprotocol : "-", (unsigned long)req->peer);
    seen_by_hook.len = 0;
    t_puts(&seen_by_hook, line);
    return 401;
}

// Method, path, query, Host, Origin, cookie, Authorization, subprotocol, peer address,
// on every kind of route.
static void ask_authorize_sees_everything_on_every_route(U_STATE) {
    static const struct {
        const char *path;
        const char *method;
        int bit;
    } table[] = {{"/", "GET", RTPUSH_GET},          {"/hello", "HEAD", RTPUSH_HEAD},
                 {"/files/x", "GET", RTPUSH_GET},   {"/keep", "GET", RTPUSH_GET},
                 {"/echo", "PUT", RTPUSH_PUT},      {"/upload", "POST", RTPUSH_POST},
                 {"/events", "GET", RTPUSH_GET},    {"/poll", "GET", RTPUSH_GET},
                 {"/ws", "GET", RTPUSH_GET},        {"/stream", "GET", RTPUSH_GET}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[500];
        char want[200];
        int websocket = strcmp(table[i].path, "/ws") == 0 || strcmp(table[i].path, "/stream") == 0;
        t_world *w = t_fixture();
        w->desc.authorize = authorize_looks;
        t_start(w);
        snprintf(text, sizeof text,
                 "%s %s?ticket=q HTTP/1.1\r\n%sAuthorization: Basic Zm9vOmJhcg==\r\n"
                 "Cookie: a=b; sid=s\r\nOrigin: http://10.0.0.1\r\n%s\r\n",
                 table[i].method, table[i].path, websocket ? T_WS_FIELDS : T_HOST,
                 websocket ? "Sec-WebSocket-Protocol: unknown, chat\r\n" : "");
        u_peer *p = u_new(w);
        p->cl.head_only = table[i].bit == RTPUSH_HEAD;
        p->c = t_connect_peer(w, 0, 77);
        t_say(p->c, text);
        u_read(p);
        T_EQ(p->cl.status, 401);
        snprintf(want, sizeof want,
                 "%d %s?ticket=q 10.0.0.1 http://10.0.0.1 s Basic Zm9vOmJhcg== %s 77", table[i].bit,
                 table[i].path, websocket ? "chat" : "-");
        assert_string_equal(t_text(&seen_by_hook), want);
        u_free(p);
        t_finish(w);
    }
    t_buf_free(&seen_by_hook);
}

static void ask_authorization_comes_once_and_is_not_cut(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_open(w, "GET /keep HTTP/1.1\r\n" T_HOST
                          "Authorization: a\r\nAuthorization: b\r\n\r\n");
    t_expect(c, "HTTP/1.1 400 ");
    c = t_open(w, "GET /keep HTTP/1.1\r\n" T_HOST "Authorization: Bearer {rep 2000 x}\r\n\r\n");
    t_expect(c, "HTTP/1.1 431 ");
    c = t_open(w, "GET /keep HTTP/1.1\r\n" T_HOST "Authorization:\r\n\r\n");
    t_expect(c, "HTTP/1.1 200 |auth= ");
    T_EQ(t_app_of(w)->authorized, 1);
}

// RFC 9110 15.5.2: 401 says what would be let in; nothing else does.
static void ask_401_carries_a_challenge(U_STATE) {
    static const struct {
        const char *challenge;
        const char *field;
    } table[] = {{NULL, "Bearer"},
                 {"Basic realm=\"device\", charset=\"UTF-8\"",
                  "Basic realm=\"device\", charset=\"UTF-8\""},
                 {"Basic realm=\"x\"\r\nSet-Cookie: sid=evil", "Bearer"}};
    for (size_t i = 0; i < 3; i++) {
        for (int when = T_NOW; when <= T_LATER; when++) {
            t_world *w = t_fixture();
            t_app_of(w)->status = 401;
            t_app_of(w)->decide = when;
            t_app_of(w)->challenge = table[i].challenge;
            t_start(w);
            u_peer *p = u_open(w, "{WS /ws}");
            t_decide(w);
            u_read(p);
            T_EQ(p->cl.status, 401);
            T_CHECK(t_field_is(&p->cl, "WWW-Authenticate", table[i].field), "%s",
                    t_text(&p->cl.head));
            t_app_of(w)->status = 403;
            t_say(p->c, "{GET /hello}");
            t_decide(w);
            u_read(p);
            T_EQ(p->cl.status, 403);
            T_CHECK(t_field(&p->cl, "WWW-Authenticate") == NULL, "403 with a challenge");
            u_free(p);
            t_finish(w);
        }
    }
}

// A page of a listed origin must be able to read why it was refused.
static void ask_refusals_carry_cors(U_STATE) {
    for (int when = T_NOW; when <= T_LATER; when++) {
        t_world *w = t_fixture();
        t_app_of(w)->status = 401;
        t_app_of(w)->decide = when;
        t_start(w);
        u_peer *p = u_open(w, "GET /events HTTP/1.1\r\n" T_HOST
                              "Origin: https://app.example\r\n\r\n");
        t_decide(w);
        u_read(p);
        T_EQ(p->cl.status, 401);
        T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Origin", "https://app.example"), "CORS");
        T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Credentials", "true"), "CORS");
        T_CHECK(t_field_is(&p->cl, "Vary", "Origin"), "Vary");
        u_free(p);
        t_finish(w);
    }
}

// WHATWG Fetch 4.8: a preflight has no credentials, so nobody is asked; it names the methods and
// the headers of the route.
static void ask_preflight_names_what_the_route_takes(U_STATE) {
    t_world *w = t_fixture();
    t_app_of(w)->status = 401;
    t_start(w);
    u_peer *p = u_open(w, "OPTIONS /keep HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n"
                          "Access-Control-Request-Method: POST\r\n"
                          "Access-Control-Request-Headers: authorization,x-two\r\n\r\n");
    T_EQ(p->cl.status, 204);
    T_EQ(t_app_of(w)->authorized, 0);
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Origin", "https://app.example"), "origin");
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Credentials", "true"), "credentials");
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Headers",
                       "Content-Type, Last-Event-ID, Authorization, x-one, x-two"), "headers");
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Methods", "GET, POST, OPTIONS"), "methods");
    T_CHECK(t_field_is(&p->cl, "Vary", "Origin"), "Vary");
    t_say(p->c, "OPTIONS /keep HTTP/1.1\r\n" T_HOST "Origin: https://evil.example\r\n"
                "Access-Control-Request-Method: POST\r\n\r\n");
    u_read(p);
    T_EQ(p->cl.status, 403);
    T_CHECK(t_field(&p->cl, "Access-Control-Allow-Origin") == NULL, "a foreign origin may read");
}

// Section 12.5.5 of RFC 9110: what may be kept and depends on Origin says so, also to those whose
// request had none.
static void ask_cacheable_answers_vary_by_origin(U_STATE) {
    t_world *w = t_begin();
    t_conn *c = t_open(w, "{GET /}");
    t_expect(c, "\r\nVary: Origin, Accept-Encoding\r\n");
    t_say(c, "GET / HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n\r\n");
    t_expect(c, "Access-Control-Allow-Origin: https://app.example\r\n|\r\nVary: Origin\r\n");
    t_say(c, "GET / HTTP/1.1\r\n" T_HOST "Origin: https://evil.example\r\n\r\n");
    t_expect(c, "!Access-Control|\r\nVary: Origin");
    t_say(c, "{GET /hello}");
    t_expect(c, "HTTP/1.1 200 |Cache-Control: no-store|!Vary");
}

// A query may hold a ticket. It is shown to nobody: not to the peer, not to on_refuse (which
// is given no string), not by the words of a refusal.
static void ask_a_refusal_does_not_repeat_the_query(U_STATE) {
    static const char *const requests[] = {
        "{GET /nothing?ticket=SECRET}", "{GET /events?ticket=SECRET&topics=none}",
        "{GET /ws?ticket=SECRET}", "POST /hello?ticket=SECRET HTTP/1.1\r\n" T_HOST "\r\n",
        "GET /events?ticket=SECRET HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /events?ticket=SECRET HTTP/1.1\r\n" T_HOST "Origin: http://evil.example\r\n\r\n",
        "{GET /events?ticket=SECRET}", "{GET /poll?ticket=SECRET}", "{WS /ws?ticket=SECRET}",
        "GET /hello?ticket=SECRET HTTP/9.9\r\n\r\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        t_world *w = t_fixture();
        t_app_of(w)->status = 401;
        t_start(w);
        t_conn *c = t_open(w, requests[i]);
        t_expect(c, "HTTP/1.1 4~HTTP/1.1 5|!SECRET");
        t_expect_events(w, "refuse |!SECRET");
        t_finish(w);
    }
}

// -- those who are not let in ---------------------------------------------------------------------

// One address opens all it can: others still come in, and streams live on.
static void ask_a_flood_from_one_address_meets_its_cap(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 10;
    w->desc.max_streams = 9;
    w->desc.max_per_peer = 3;
    t_start(w);
    u_peer *reader = u_new(w);
    reader->c = t_connect_peer(w, 0, 42);
    t_say(reader->c, "{GET /events}");
    u_clear(reader);
    int refused = 0;
    for (int i = 0; i < 100; i++) {
        t_conn *c = t_connect_peer(w, 0, 666);
        refused += c == NULL;
        if (c) {
            t_say(c, "GET /hel");
        }
    }
    T_EQ(refused, 97);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_PEER_LIMIT], 97);
    t_conn *guest = t_connect_peer(w, 0, 43);
    T_CHECK(guest != NULL, "another address is refused");
    t_say(guest, "{GET /hello}");
    t_expect(guest, "HTTP/1.1 200 |hello");
    t_publish_text(w, T_LOG, "still here");
    t_run(w);
    u_is(reader, "log: still here\n");
    t_advance(w, 15000); // the flood's heads have met their deadline: it may try again
    T_CHECK(t_connect_peer(w, 0, 666) != NULL, "refused for ever");
}

// From many addresses: connections without a request are evicted first, streams never.
static void ask_a_flood_from_many_addresses_hurts_no_stream(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 8;
    w->desc.max_streams = 4;
    t_start(w);
    u_peer *readers[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = u_stream(w, i % 2 ? "{WS /ws}" : "{GET /events}");
    }
    for (uint32_t i = 0; i < 150; i++) {
        t_conn *c = t_connect_peer(w, 0, 1000 + i);
        if (c != NULL) { // else all are younger than a second
            t_say(c, i % 3 == 0 ? "GET /slow HTTP/1.1\r\nX: " : i % 3 == 1 ? "G" : "");
        }
        if (i % 10 == 9) {
            t_advance(w, 1250);
            t_conn *guest = t_connect_peer(w, 0, 5);
            T_CHECK(guest != NULL, "a guest is refused");
            t_say(guest, "{GET /hello}");
            t_expect(guest, "HTTP/1.1 200 |hello");
            t_forget(guest);
        }
        for (int k = 0; k < T_CONNS; k++) { // those evicted make room in the test
            if (w->conns[k].used && w->conns[k].conn == NULL) {
                t_forget(&w->conns[k]);
            }
        }
        t_advance(w, 100);
    }
    T_CHECK(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_EVICTED_SLOT] > 40,
            "who was evicted? %u",
            (unsigned)rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_EVICTED_SLOT]);
    t_publish_text(w, T_CHAT, "still here");
    t_run(w);
    for (int i = 0; i < 4; i++) {
        u_expect(readers[i], i % 2 ? "1 still here\n" : "chat: still here\n");
        u_free(readers[i]);
    }
}

// Slots that wait for the application are taken until reply_ms, not longer; streams are unaffected.
static void ask_questions_without_an_answer_end(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    t_start(w);
    u_peer *reader = u_stream(w, "{GET /events}");
    t_app_of(w)->decide = T_LATER;
    for (int i = 0; i < 5; i++) {
        t_conn *c = t_open(w, "{GET /hello}");
        t_app_of(w)->asked.serial = 0; // forgotten
        (void)c;
    }
    T_CHECK(t_connect_peer(w, 0, 1) == NULL, "a slot that waits was given away");
    t_publish_text(w, T_LOG, "one");
    t_run(w);
    u_is(reader, "log: one\n");
    t_advance(w, 34000);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TIMEOUT_REPLY], 5);
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 1);
}

// Slowloris, a byte a second on every slot, in the head and in the body: each ends by its deadline,
// whatever it sends, and is told why.
static void ask_slowloris_on_every_slot_ends_in_time(U_STATE) {
    for (int body = 0; body < 2; body++) {
        t_world *w = t_fixture();
        w->desc.conn_count = 8;
        t_start(w);
        t_conn *c[8];
        for (int i = 0; i < 8; i++) {
            c[i] = t_open(w, body ? "POST /upload HTTP/1.1\r\n" T_HOST
                                    "Content-Length: 90000\r\n\r\n"
                                  : "GET /hello HTTP/1.1\r\nX-Slow: ");
        }
        int limit = 11;
        for (int s = 0; s < limit; s++) {
            T_CHECK(s > limit - 4 || !t_ended(c[0]), "ended after %d s", s);
            for (int i = 0; i < 8; i++) {
                if (c[i]->conn != NULL) {
                    t_feed(c[i], "x", 1);
                }
            }
            t_advance(w, 1000);
        }
        for (int i = 0; i < 8; i++) {
            T_CHECK(t_ended(c[i]), "slot %d is still held", i);
            t_expect(c[i], "HTTP/1.1 408 ");
        }
        t_advance(w, 5000);
        T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
        t_finish(w);
    }
}

// Messages faster than rate_messages and rate_bytes: the peer is held back by TCP, and in the end
// every one has arrived, whole and in order.
static void ask_message_spam_is_held_back_not_lost(U_STATE) {
    for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
        t_world *w = t_fixture();
        w->desc.rate_messages = by_bytes ? RTPUSH_UNLIMITED : 20;
        w->desc.rate_bytes = by_bytes ? 2000 : RTPUSH_UNLIMITED;
        w->desc.ping_ms = 100000;
        t_start(w);
        u_peer *p = u_stream(w, "{WS /ws}");
        u_peer *other = u_stream(w, "{WS /ws}");
        t_buf want = {0};
        for (int i = 0; i < 200; i++) {
            char text[120];
            snprintf(text, sizeof text, "%d %0100d", i, i);
            t_send_text(p->c, text);
            t_puts(&want, "1 ");
            t_puts(&want, text);
            t_puts(&want, "\n");
        }
        uint32_t taken = rtpush_get_counters(&w->srv)->messages_in;
        T_CHECK(taken <= 41, "%lu were taken at once", (unsigned long)taken);
        T_CHECK(p->c->in.len > 10000, "the rest was taken: where is it?");
        t_send_text(other->c, "not held back");
        u_is(other, "1 not held back\n");
        for (int s = 0; s < 30; s++) {
            uint32_t before = rtpush_get_counters(&w->srv)->messages_in;
            t_advance(w, 1000);
            uint32_t got = rtpush_get_counters(&w->srv)->messages_in - before;
            T_CHECK(got <= 41, "%lu in one second", (unsigned long)got);
        }
        T_EQ(p->c->in.len, 0);
        T_CHECK(strcmp(u_read(p), t_text(&want)) == 0, "lost or changed");
        t_buf_free(&want);
        u_free(p);
        u_free(other);
        t_finish(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(ask_nothing_is_written_before_the_decision),
        u_test(ask_refusals_are_the_same_whenever_they_come),
        u_test(ask_without_a_decision_the_answer_is_503_or_a_retry),
        u_test(ask_a_websocket_route_is_judged_without_an_upgrade_too),
        u_test(ask_is_decided_once),
        u_test(ask_the_peer_may_leave_meanwhile),
        u_test(ask_a_body_cut_off_meanwhile_ends_the_connection),
        u_test(ask_the_connection_may_be_ended_instead),
        u_test(ask_pipelined_requests_wait_in_order),
        u_test(ask_the_request_is_whole_when_it_goes_on),
        u_test(ask_deciding_about_another_inside_authorize_is_fine),
        u_test(ask_shutdown_does_not_wait_for_a_decision),
        u_test(ask_the_grant_of_a_later_decision_counts),
        u_test(ask_later_subscriptions_need_the_grant),
        u_test(ask_a_grant_may_be_for_later),
        u_test(ask_without_a_hook_the_route_is_the_limit),
        u_test(ask_authorize_sees_everything_on_every_route),
        u_test(ask_authorization_comes_once_and_is_not_cut),
        u_test(ask_401_carries_a_challenge),
        u_test(ask_refusals_carry_cors),
        u_test(ask_preflight_names_what_the_route_takes),
        u_test(ask_cacheable_answers_vary_by_origin),
        u_test(ask_a_refusal_does_not_repeat_the_query),
        u_test(ask_a_flood_from_one_address_meets_its_cap),
        u_test(ask_a_flood_from_many_addresses_hurts_no_stream),
        u_test(ask_questions_without_an_answer_end),
        u_test(ask_slowloris_on_every_slot_ends_in_time),
        u_test(ask_message_spam_is_held_back_not_lost),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
