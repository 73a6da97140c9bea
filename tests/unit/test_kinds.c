// A kind of route that the core does not know: what rtpush.h says of rtpush_kind. Every operation
// that is NULL has the common behaviour.

#define U_INSIDE
#include "unit.h"

// -- a redirect: an answer and nothing else -------------------------------------------------------

static unsigned k_open_moved(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    static const char *const fields[] = {"Location", "/new", NULL};
    rtpush_response r;
    (void)req;
    memset(&r, 0, sizeof r);
    r.status = 301;
    r.headers = fields;
    return rtpi_reply(srv, c, &r, 0) == RTPUSH_OK ? 0 : RTPI_NO(500);
}

static const rtpush_kind k_moved = {
    0, RTPUSH_GET | RTPUSH_HEAD, NULL, NULL, NULL, k_open_moved, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL};

// -- a stream that counts what its client sends, and has no timer and no way of its own to end ----

static size_t k_bytes;

static size_t k_count(rtpush_server *srv, rtpush_conn *c, uint8_t *data, size_t len) {
    (void)srv;
    (void)c;
    (void)data;
    k_bytes += len;
    return len;
}

static unsigned k_judge(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    return strcmp(req->query, "none") == 0 ? RTPI_NO(410) : rtpi_judge_stream(srv, c, req);
}

static const rtpush_kind k_counted = {
    RTPI_KIND_STREAM, RTPUSH_GET, NULL, NULL, k_judge, rtpi_open_events, k_count, rtpi_stream_fill,
    NULL, NULL, NULL, NULL, NULL};

// A kind that checks its route, and refuses all of them.
static int k_check(rtpush_server *srv, const rtpush_route *route) {
    (void)route;
    return rtpi_wrong(srv, RTPI_RULE(".user", "a colour"), NULL);
}

static const rtpush_kind k_checked = {
    0, RTPUSH_GET, k_check, NULL, NULL, k_open_moved, NULL, NULL, NULL, NULL, NULL, NULL, NULL};

static t_world *k_begin(const rtpush_kind *kind) {
    t_world *w = t_fixture();
    rtpush_route *r = &t_routes[T_R_HELLO];
    memset(r, 0, sizeof *r);
    r->path = "/hello";
    r->kind = kind;
    k_bytes = 0;
    return w;
}

static void kinds_one_of_the_program_answers(U_STATE) {
    t_world *w = k_begin(&k_moved);
    t_start(w);
    u_peer *p = u_open(w, "{GET /hello}");
    T_EQ(p->cl.status, 301);
    T_CHECK(t_field_is(&p->cl, "Location", "/new"), "the Location");
    t_say(p->c, "{GET /big}"); // the connection is kept
    u_read(p);
    T_EQ(p->cl.status, 200);
    p = u_open(w, "POST /hello HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\n\r\n");
    T_EQ(p->cl.status, 405);
    p = u_open(w, "GET /hello HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\n\r\nabc");
    T_EQ(p->cl.status, 413); // without a body of its own
}

static void kinds_one_of_the_program_is_a_stream(U_STATE) {
    t_world *w = k_begin(&k_counted);
    t_start(w);
    u_peer *p = u_open(w, "{GET /hello?none}");
    T_EQ(p->cl.status, 410);
    p = u_stream(w, "{GET /hello}");
    T_EQ(rtpush_get_counters(&w->srv)->streams, 1);
    t_say(p->c, "12345");
    T_EQ(k_bytes, 5);
    T_EQ(t_publish_text(w, 0, "one"), RTPUSH_OK);
    t_run(w);
    u_expect(p, "log: one");
    t_advance(w, 60000);
    u_read(p);
    T_EQ(p->alive, 0); // no timer, so no keep-alive
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, NULL), RTPUSH_OK);
    t_run(w);
    T_CHECK(p->c->fin, "it ends gracefully without an operation for that");
    T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
}

static void kinds_one_of_the_program_may_check_its_route(U_STATE) {
    t_world *w = k_begin(&k_checked);
    T_EQ(t_init(w), RTPUSH_ERR_CONFIG);
    assert_string_equal(rtpush_config_error(&w->srv),
                        "routes[2].user: a colour needed, given: NULL");
    t_routes[T_R_HELLO].kind = &k_moved;
    t_start(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(kinds_one_of_the_program_answers),
        u_test(kinds_one_of_the_program_is_a_stream),
        u_test(kinds_one_of_the_program_may_check_its_route),
    };
    return cmocka_run_group_tests_name("kinds", tests, NULL, NULL);
}
