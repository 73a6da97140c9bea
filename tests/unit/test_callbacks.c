// What the application may do inside callbacks, and what must hold after each.
#include "unit.h"

// -- what a connection is owed does not depend on the message under way ---------------------------

// Sends until it would block.
static void fill(t_world *w, rtpush_handle conn) {
    int sent = 0;
    while (rtpush_send(&w->srv, conn, 1, "0123456789", 10) == RTPUSH_OK) {
        T_CHECK(++sent < 100, "512 bytes never fill up");
    }
    T_EQ(rtpush_send(&w->srv, conn, 1, "0123456789", 10), RTPUSH_ERR_WOULD_BLOCK);
}

static void drain(t_conn *c) {
    c->window = SIZE_MAX;
    t_serve(c);
    t_run_ready(c->world);
}

static void on_writable_comes_though_a_new_message_began(void **state) {
    (void)state;
    // None, whole ones, fragments, a ping between fragments, and half a frame.
    static const char *const says[] = {"",
                                       "{81:a}",
                                       "{81:a}{82:b}",
                                       "{01:a}",
                                       "{01:a}{80:b}",
                                       "{01:a}{89:p}{80:b}",
                                       "{89:p}",
                                       "{hex 81}",
                                       "{hex 8185}"};
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
        t_world *w = t_begin();
        t_app_of(w)->no_echo = 1;
        u_peer *p = u_stream(w, "{WS /ws}");
        p->c->window = 0;
        w->call = T_IN_API;
        fill(w, p->c->handle);
        t_leave(w);
        t_say(p->c, says[i]);
        T_EQ(t_app_of(w)->writable, 0);
        drain(p->c);
        T_EQ(t_app_of(w)->writable, 1);
        u_free(p);
        t_finish(w);
    }
}

static int g_blocked;
static int fill_inside(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)msg;
    g_blocked++;
    fill(t_world_of(srv), conn);
    return RTPUSH_OK; // taken; on_writable tells when to go on
}

static void on_writable_comes_where_on_message_was_told_would_block(void **state) {
    (void)state;
    static const char *const says[] = {"{81:a}", "{81:a}{81:b}", "{01:a}{80:b}", "{81:a}{01:b}"};
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
        t_world *w = t_fixture();
        t_routes[T_R_WS].on_message = fill_inside;
        t_start(w);
        u_peer *p = u_stream(w, "{WS /ws}");
        p->c->window = 0;
        g_blocked = 0;
        t_say(p->c, says[i]);
        T_CHECK(g_blocked > 0, "on_message was not called");
        T_EQ(t_app_of(w)->writable, 0);
        drain(p->c);
        T_EQ(t_app_of(w)->writable, 1);
        u_free(p);
        t_finish(w);
    }
}

static void on_writable_does_not_come_where_nothing_may_be_sent(void **state) {
    (void)state;
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    w->call = T_IN_API;
    fill(w, p->c->handle);
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, NULL), RTPUSH_OK);
    t_leave(w);
    drain(p->c);
    T_EQ(t_app_of(w)->writable, 0);
    u_expect(p, "8 1000");
    u_free(p);
    t_finish(w);
}

// -- on_message and on_body answer whether they took it -------------------------------------------

static int echo_by_return(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    return rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
}

static void a_message_whose_echo_would_block_comes_again(void **state) {
    (void)state;
    t_world *w = t_fixture();
    t_routes[T_R_WS].on_message = echo_by_return;
    w->desc.tx_size = 256;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    t_buf expected = {0};
    p->c->window = 0;
    for (int i = 0; i < 40; i++) {
        char text[20];
        t_buf in = {0};
        snprintf(text, sizeof text, "message %d", i);
        t_puts(&expected, "1 ");
        t_puts(&expected, text);
        t_puts(&expected, "\n");
        t_frame(&in, 0x81, text, strlen(text));
        t_feed(p->c, in.data, in.len);
        t_buf_free(&in);
    }
    T_CHECK(p->c->in.len > 0, "everything was read");
    drain(p->c);
    u_is(p, t_text(&expected));
    T_EQ(rtpush_get_counters(&w->srv)->messages_in, 40);
    t_buf_free(&expected);
    u_free(p);
    t_finish(w);
}

static int g_answer;
static int g_calls;
static int answer_first(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)srv;
    (void)conn;
    (void)msg;
    return g_calls++ == 0 ? g_answer : RTPUSH_OK;
}

static int answer_first_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                             size_t len, int last) {
    (void)data;
    T_EQ(len, 4);
    if (g_calls++ == 0) {
        return g_answer;
    }
    return last ? rtpush_reply_text(srv, req->conn, 200, "whole") : RTPUSH_OK;
}

static void only_later_and_would_block_mean_not_taken(void **state) {
    (void)state;
    for (int answer = 3; answer >= RTPUSH_FIN; answer--) {
        int again = answer == RTPUSH_LATER || answer == RTPUSH_ERR_WOULD_BLOCK;
        t_world *w = t_fixture();
        t_routes[T_R_WS].on_message = answer_first;
        t_routes[T_R_UPLOAD].on_body = answer_first_body;
        t_start(w);
        u_peer *p = u_stream(w, "{WS /ws}");
        g_answer = answer;
        g_calls = 0;
        t_say(p->c, "{81:text}");
        t_advance(w, 500);
        T_EQ(g_calls, 1 + again);
        u_free(p);
        p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\n\r\n");
        g_calls = 0;
        t_say(p->c, "body");
        t_advance(w, 500);
        T_EQ(g_calls, 1 + again);
        u_is(p, again ? "200 whole\n" : "");
        u_free(p);
        t_finish(w);
    }
}

// What is offered again was not paid: else an application that waits empties the bucket.
static void a_body_that_waits_spends_no_tokens(void **state) {
    (void)state;
    t_world *w = t_fixture();
    w->desc.rate_bytes = 4000; // a burst of 8000
    t_start(w);
    t_app_of(w)->later = 20;
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 2000\r\n\r\n"
                          "{rep 2000 b}");
    for (int i = 0; i < 20; i++) {
        T_EQ(rtpush_resume(&w->srv, p->c->handle), RTPUSH_OK);
        t_run_ready(w);
    }
    u_expect(p, "200 2000 ");
    u_free(p);
    t_finish(w);
}

// -- one answer a request -------------------------------------------------------------------------

static rtpush_handle g_victim; // on_refuse is not told who it is about: an application may know
static int g_tried;
static void answer_in_on_refuse(rtpush_server *srv, uint32_t peer, int status, int why) {
    static const rtpush_grant all = {~(uint32_t)0, 0, NULL, NULL};
    (void)peer;
    (void)why;
    if (status != 0) {
        g_tried++;
        T_EQ(rtpush_reply_text(srv, g_victim, 200, "from on_refuse"), RTPUSH_ERR_STATE);
        T_EQ(rtpush_decide(srv, g_victim, 0, &all), RTPUSH_ERR_STATE);
        T_EQ(rtpush_decide(srv, g_victim, 403, NULL), RTPUSH_ERR_STATE);
    }
}

static int note_victim(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    (void)grant;
    g_victim = req->conn;
    return t_app_of(t_world_of(srv))->status;
}

// RFC 9112 9.3.2: answers stand in the order of requests, one for each.
static void a_refused_request_is_answered_once(void **state) {
    (void)state;
    static const struct {
        const char *in;
        int status; // of authorize
        const char *out;
    } cases[] = {
        {"{GET /nope}{GET /hello}", 0, "404 not found\n200 hello\n"},
        {"{GET /hello}{GET /hello}", 403, "403 |403 "},
        {"{GET /later}{GET /hello}", 401, "401 |401 "},
        {"{GET /events}", 503, ""}, // 200 and a retry
        {"{WS /ws}{GET /hello}", 401, "401 |401 "},
        {"{GET /poll}{GET /hello}", 401, "401 |401 "},
        {"{GET /later}{GET /hello}", 0, "503 "},         // reply_ms
        {"{GET /hello}", RTPUSH_LATER, "503 "},          // reply_ms of authorize
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\n\r\nx", 0, "408 "},
        {"GET /hel", 0, "408 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(t_where, sizeof t_where, "%.100s", cases[i].in);
        t_world *w = t_fixture();
        w->quiet = 1;
        w->desc.authorize = note_victim;
        w->desc.on_refuse = answer_in_on_refuse;
        t_start(w);
        t_app_of(w)->authorized = 1;
        t_app_of(w)->status = cases[i].status;
        g_tried = 0;
        g_victim.serial = 0;
        u_peer *p = u_new(w);
        p->c = t_connect(w);
        g_victim = p->c->handle;
        t_say(p->c, cases[i].in);
        t_advance(w, 31000);
        T_CHECK(g_tried > 0, "on_refuse was not called");
        u_read(p);
        int answers = p->cl.answers;
        u_expect(p, cases[i].out);
        T_CHECK(answers <= 2, "%d answers to two requests", answers);
        u_free(p);
        t_finish(w);
    }
    t_where[0] = '\0';
}

static rtpush_handle g_other;
static void refuse_another(rtpush_server *srv, uint32_t peer, int status, int why) {
    static const rtpush_grant basic = {0, 0, NULL, "Basic realm=\"other\""};
    rtpush_handle other = g_other;
    (void)peer;
    (void)status;
    (void)why;
    g_other.serial = 0;
    if (other.serial != 0) {
        T_EQ(rtpush_decide(srv, other, 401, &basic), RTPUSH_OK);
    }
}

// RFC 9110 15.5.2: the challenge of a 401 is its own, whatever on_refuse does meanwhile.
static void refusing_another_in_on_refuse_keeps_both_challenges(void **state) {
    (void)state;
    t_world *w = t_fixture();
    w->desc.on_refuse = refuse_another;
    t_start(w);
    t_app_of(w)->decide = T_LATER;
    u_peer *other = u_open(w, "{GET /hello}");
    g_other = t_app_of(w)->asked;
    t_app_of(w)->asked.serial = 0;
    t_app_of(w)->decide = T_NOW;
    t_app_of(w)->status = 401;
    u_peer *p = u_open(w, "{GET /hello}");
    T_CHECK(t_field_is(&p->cl, "WWW-Authenticate", "Bearer"), "another's challenge");
    u_read(other);
    T_EQ(other->cl.status, 401);
    T_CHECK(t_field_is(&other->cl, "WWW-Authenticate", "Basic realm=\"other\""), "not its own");
    u_free(p);
    u_free(other);
    t_finish(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(on_writable_comes_though_a_new_message_began),
        u_test(on_writable_comes_where_on_message_was_told_would_block),
        u_test(on_writable_does_not_come_where_nothing_may_be_sent),
        u_test(a_message_whose_echo_would_block_comes_again),
        u_test(only_later_and_would_block_mean_not_taken),
        u_test(a_body_that_waits_spends_no_tokens),
        u_test(a_refused_request_is_answered_once),
        u_test(refusing_another_in_on_refuse_keeps_both_challenges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
