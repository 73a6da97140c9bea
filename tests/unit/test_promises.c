// Promises in >>api that no other program here tests: each test is one sentence, in the order of
// the header.
#define U_INSIDE
#include "unit.h"

static rtpush_request p_request; // as the last callback saw it; its strings were copied here:
static char p_text[200];
static void *p_user;

// -- what a request looks like --------------------------------------------------------------------

static void p_on_request(rtpush_server *srv, const rtpush_request *req) {
    t_life_begin(t_world_of(srv), req->conn, 2);
    p_request = *req;
    p_user = rtpush_user(srv, req->conn);
    snprintf(p_text, sizeof p_text, "%s|%s|%s|%s|%s", req->path, req->rest, req->query,
             req->host ? req->host : "NULL", (const char *)req->body);
    T_CHECK(req->body[req->body_len] == '\0', "no NUL behind the body");
    T_CHECK(rtpush_reply_text(srv, req->conn, 200, p_text) == RTPUSH_OK, "reply refused");
}

// "Strings are NUL-terminated", the body too, at each length that fits.
static void promise_strings_of_a_request_end_with_a_nul(U_STATE) {
    for (int len = 0; len <= 300; len += len < 20 ? 1 : 40) {
        t_world *w = t_fixture();
        char text[300];
        t_routes[T_R_ECHO].on_request = p_on_request;
        t_routes[T_R_ECHO].max_body = 511;
        t_start(w);
        memset(rtpi_rx(w->srv.conns), 'Q', 1024); // what an earlier request may have left
        snprintf(text, sizeof text,
                 "POST /echo?a=b HTTP/1.1\r\nHost: 10.0.0.1:80\r\nContent-Length: %d\r\n\r\n"
                 "{rep %d z}", len, len);
        u_peer *p = u_open(w, text);
        T_EQ(p->cl.status, 200);
        T_EQ(p_request.body_len, len);
        T_EQ(strlen(p_text), strlen("/echo||a=b|10.0.0.1:80|") + (size_t)(len < 170 ? len : 176));
        u_free(p);
        t_finish(w);
    }
}

static int p_on_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data, size_t len,
                     int last) {
    (void)data;
    (void)len;
    T_CHECK(req->body != NULL && req->body[0] == '\0' && req->body_len == 0, "a body in on_body");
    return last ? rtpush_reply_text(srv, req->conn, 200, "") : RTPUSH_OK;
}

static void promise_body_is_empty_where_it_is_not_whole(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].on_body = p_on_body;
    t_start(w);
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\n\r\nabc");
    u_expect(p, "200 \n");
}

// "host: Host in lower case; NULL only for HTTP/1.0", "rest: what '*' stands for, else """.
static void promise_host_and_rest_are_what_the_header_says(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_request = t_routes[T_R_FILES].on_request = p_on_request;
    t_start(w);
    u_peer *p = u_open(w, "GET /hello HTTP/1.0\r\n\r\n");
    u_free(p);
    assert_string_equal(p_text, "/hello|||NULL|");
    assert_null(p_request.host);
    p = u_open(w, "GET /files/a%20b/c?x=%20 HTTP/1.1\r\nHost: Device.LOCAL:8080\r\n\r\n");
    u_free(p);
    assert_string_equal(p_text, "/files/a b/c|a b/c|x=%20|device.local:8080|");
    T_CHECK(p_request.origin == NULL && p_request.cookie == NULL && p_request.subprotocol == NULL &&
                p_request.authorization == NULL && p_request.headers[0] == NULL,
            "absent ones are NULL");
}

// "secure: 1: came over a listener with TLS", "peer: what the port gave to rtpush_accept".
static void promise_peer_and_secure_are_what_accept_was_given(U_STATE) {
    for (unsigned secure = 0; secure < 2; secure++) {
        t_world *w = t_fixture();
        t_routes[T_R_HELLO].on_request = p_on_request;
        t_start(w);
        t_conn *c = t_connect_peer(w, secure ? RTPUSH_LISTENER_SECURE : 0, 0xC0A80102u);
        t_says(c, "GET /hello HTTP/1.1\r\n" T_HOST "\r\n");
        T_EQ(p_request.peer, 0xC0A80102u);
        T_EQ(p_request.secure, secure);
        T_EQ(p_request.method, RTPUSH_GET);
        assert_ptr_equal(p_request.route, &t_routes[T_R_HELLO]);
        t_finish(w);
    }
}

// -- grants ---------------------------------------------------------------------------------------

static int p_owner;

static int p_authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    t_app_of(t_world_of(srv))->authorized++;
    if (req->route->on_open) { // "Comes filled with what was asked."
        T_CHECK(grant->topics == req->topics, "the grant is not filled with what was asked");
    }
    T_CHECK(grant->expires_s == 0 && grant->user == NULL && grant->challenge == NULL &&
                grant->location == NULL && grant->known == 0, "the grant is not empty");
    grant->user = &p_owner;
    grant->expires_s = 9000;
    return 0;
}

static void promise_user_of_the_grant_is_the_connections(U_STATE) {
    t_world *w = t_fixture();
    w->desc.authorize = p_authorize;
    t_routes[T_R_HELLO].on_request = p_on_request;
    t_start(w);
    u_peer *p = u_open(w, "{GET /hello}");
    assert_ptr_equal(p_user, &p_owner);
    u_free(p);
    p = u_stream(w, "{WS /ws}");
    assert_ptr_equal(rtpush_user(&w->srv, t_app_of(w)->last), &p_owner);
    T_EQ(rtpush_set_user(&w->srv, t_app_of(w)->last, NULL), RTPUSH_OK);
    assert_null(rtpush_user(&w->srv, t_app_of(w)->last)); // "NULL if stale or unset"
    T_EQ(rtpush_rtt_ms(&w->srv, t_app_of(w)->last), -1);  // "-1 none yet"
    u_free(p);
    t_run_ready(w);
    assert_null(rtpush_user(&w->srv, t_app_of(w)->last));
    T_EQ(rtpush_set_user(&w->srv, t_app_of(w)->last, &p_owner), RTPUSH_ERR_STALE);
    T_EQ(rtpush_rtt_ms(&w->srv, t_app_of(w)->last), -1);
}

// "The route of the request, in every callback up to on_close": t_life_use and t_life_end compare
// it in each; here that it is the right one, and none where no route matched.
static void promise_route_of_a_handle(U_STATE) {
    static const struct {
        const char *says;
        int route;
    } of[] = {{"{WS /ws}", T_R_WS}, {"{GET /events}", T_R_EVENTS}, {"{GET /later}", T_R_LATER}};
    t_world *w = t_begin();
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        u_peer *p = u_open(w, of[i].says);
        rtpush_handle h = t_app_of(w)->last;
        assert_ptr_equal(rtpush_route_of(&w->srv, h), &t_routes[of[i].route]);
        u_free(p);
        t_run_ready(w);
        assert_null(rtpush_route_of(&w->srv, h)); // stale
    }
    t_conn *c = t_connect(w);
    T_CHECK(c->conn != NULL && rtpush_route_of(&w->srv, c->handle) == NULL, "no request, a route");
    t_says(c, "GET /");
    assert_null(rtpush_route_of(&w->srv, c->handle));
}

// "expires_s: stream ends after this many seconds (at most 8,000)".
static void promise_a_grant_of_more_than_8000_s_ends_after_8000(U_STATE) {
    t_world *w = t_fixture();
    w->desc.authorize = p_authorize;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events}");
    t_advance(w, 7990u * 1000u);
    T_CHECK(!t_ended(p->c), "it ends early");
    t_advance(w, 11u * 1000u);
    T_CHECK(t_ended(p->c), "it does not end");
}

// -- routes ---------------------------------------------------------------------------------------

// "methods: 0 means GET and HEAD"; "OPTIONS: answered by the library unless a HANDLER route names
// it"; "HEAD requests get the head alone".
static void promise_methods_of_a_route(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_request = p_on_request;
    t_routes[T_R_LATER].on_request = p_on_request;
    t_routes[T_R_LATER].methods = RTPUSH_OPTIONS;
    t_start(w);
    static const struct {
        const char *method;
        const char *path;
        int status;
    } cases[] = {{"GET", "/hello", 200}, {"HEAD", "/hello", 200}, {"POST", "/hello", 405},
                 {"DELETE", "/hello", 405}, {"OPTIONS", "/hello", 204}, {"OPTIONS", "/later", 200},
                 {"GET", "/later", 405}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[100];
        p_text[0] = '\0';
        snprintf(text, sizeof text, "%s %s HTTP/1.1\r\n" T_HOST "\r\n", cases[i].method,
                 cases[i].path);
        u_peer *p = u_new(w);
        p->c = t_connect(w);
        t_says(p->c, text);
        const char *wire = t_take(p->c);
        T_CHECK(atoi(wire + 9) == cases[i].status, "%s %s: %.12s", cases[i].method, cases[i].path,
                wire);
        T_CHECK((p_text[0] != '\0') == (cases[i].status == 200), "who answered %s %s?",
                cases[i].method, cases[i].path);
        const char *end = strstr(wire, "\r\n\r\n");
        T_CHECK(strcmp(cases[i].method, "HEAD") != 0 || end[4] == '\0', "a body behind HEAD");
        u_free(p);
    }
}

// "etag: NULL: no ETag, 304 to If-None-Match: * alone", "cache_control: NULL: no-cache".
static void promise_a_file_without_etag_is_always_sent(U_STATE) {
    static const rtpush_asset plain = {"text/plain", "abc", 3, NULL, 0, NULL, NULL};
    static const rtpush_asset kept = {"text/plain", "abc", 3, NULL, 0, "v1", "max-age=60"};
    t_world *w = t_fixture();
    t_routes[T_R_INDEX].asset = &plain;
    t_routes[T_R_GZIP].asset = &kept;
    t_start(w);
    t_conn *c = t_connect(w);
    t_says(c, "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: \"v1\"\r\n\r\n");
    const char *wire = t_take(c);
    T_CHECK(strncmp(wire, "HTTP/1.1 200", 12) == 0 && !strstr(wire, "ETag") &&
                strstr(wire, "Cache-Control: no-cache\r\n"), "%s", wire);
    t_says(c, "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: *\r\n\r\n");
    wire = t_take(c);
    T_CHECK(strncmp(wire, "HTTP/1.1 304", 12) == 0 && !strstr(wire, "ETag"), "%s", wire);
    t_says(c, "GET /app.js HTTP/1.1\r\n" T_HOST "If-None-Match: \"v1\"\r\n\r\n");
    wire = t_take(c);
    T_CHECK(strncmp(wire, "HTTP/1.1 304", 12) == 0 && strstr(wire, "ETag: \"v1\"\r\n") &&
                strstr(wire, "Cache-Control: max-age=60\r\n"), "%s", wire);
}

// -- desc -----------------------------------------------------------------------------------------

// "Zero everywhere means the default in parentheses."
static void promise_zero_means_the_documented_default(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 5;
    t_start(w);
    const rtpush_desc *d = &w->srv.desc;
    T_EQ(d->rx_size, 512);
    T_EQ(d->tx_size, 512);
    T_EQ(d->seed, d->epoch);
    T_EQ(d->max_streams, 4);
    T_EQ(d->rate_messages, 200);
    T_EQ(d->rate_bytes, 262144);
    T_EQ(d->head_ms, 10000);
    T_EQ(d->body_ms, 30000);
    T_EQ(d->idle_ms, 15000);
    T_EQ(d->reply_ms, 30000);
    T_EQ(d->ping_ms, 20000);
    T_EQ(d->stall_ms, 20000);
    T_EQ(d->close_ms, 2000);
    T_EQ(d->keepalive_ms, 5000);
    T_EQ(d->poll_ms, 25000);
    T_EQ(d->retry_ms, 2000);
    t_finish(w);
    w = t_fixture();
    w->desc.conn_count = 1;
    t_start(w);
    T_EQ(w->srv.desc.max_streams, 1); // "at least 1"
}

// "desc is copied."
static void promise_desc_may_be_forgotten_after_init(U_STATE) {
    t_world *w = t_fixture();
    t_start(w);
    memset(&w->desc, 0xEE, sizeof w->desc);
    u_peer *p = u_open(w, "{GET /hello}");
    u_expect(p, "200 hello\n");
}

// "max_streams: WebSocket + SSE + waiting polls".
static void promise_streams_of_all_kinds_count(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    w->desc.max_streams = 3;
    t_start(w);
    char path[80];
    char id[RTPUSH_ID_SIZE];
    u_stream(w, "{WS /ws}");
    u_stream(w, "{GET /events}");
    rtpush_id_format(rtpush_last_id(&w->srv), id);
    snprintf(path, sizeof path, "{GET /poll?topics=log&last_event_id=%s}", id);
    u_open(w, path);
    T_EQ(rtpush_get_counters(&w->srv)->streams, 3);
    u_peer *four = u_open(w, "{WS /ws}");
    T_EQ(four->cl.status, 503);
}

// -- counters -------------------------------------------------------------------------------------

static void promise_counters_count_what_they_say(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    w->desc.log_size = 1024;
    t_start(w);
    const rtpush_counters *n = rtpush_get_counters(&w->srv);
    T_EQ(n->accepted, 0);
    u_peer *ws = u_stream(w, "{WS /ws?topics=log,temp}");
    u_peer *sse = u_stream(w, "{GET /events?topics=log}");
    u_peer *plain = u_open(w, "{GET /hello}");
    n = rtpush_get_counters(&w->srv);
    T_EQ(n->accepted, 3);
    T_EQ(n->requests, 3);
    T_EQ(n->slots_used, 3);
    T_EQ(n->slots_high, 3);
    T_EQ(n->streams, 2);
    T_EQ(n->streams_high, 2);
    T_EQ(n->log_used, 0);
    uint32_t in = n->bytes_in;
    uint32_t out = n->bytes_out;
    t_buf frame = {0};
    t_expand(&frame, "{81:hello}");
    t_feed(ws->c, frame.data, frame.len);
    u_expect(ws, "1 hello\n"); // the echo
    n = rtpush_get_counters(&w->srv);
    T_EQ(n->messages_in, 1);
    T_EQ(n->messages_out, 1);
    T_EQ(n->bytes_in, in + frame.len);
    T_EQ(n->bytes_out, out + 2 + 5);
    t_buf_free(&frame);
    int topic_s = rtpush_topic_index(&w->srv, "temp");
    T_EQ(t_publish_text(w, 0, "event"), RTPUSH_OK);
    T_EQ(t_publish_text(w, (unsigned)topic_s, "value"), RTPUSH_OK);
    t_run_ready(w);
    n = rtpush_get_counters(&w->srv);
    T_EQ(n->published, 2);
    T_EQ(n->delivered, 2);   // one record to two readers
    T_EQ(n->states_sent, 1); // to the one that has the topic
    T_EQ(n->log_used, (16 + 5 + 2 + 3) & ~3);
    T_EQ(n->log_high, n->log_used);
    sse->c->window = 0; // a reader stops, and the log goes on
    for (int i = 0; i < 100; i++) {
        T_EQ(t_publish_text(w, 0, "another event of some length"), RTPUSH_OK);
        t_run_ready(w);
    }
    n = rtpush_get_counters(&w->srv);
    T_CHECK(n->log_used <= 1024 && n->log_high <= 1024 && n->log_used <= n->log_high, "the log");
    sse->c->window = SIZE_MAX;
    t_run(w);
    n = rtpush_get_counters(&w->srv);
    unsigned told = 0; // times on_gap was called
    for (const char *at = t_text(&w->events); (at = strstr(at, "\ngap ")) != NULL; at++) {
        told++;
    }
    T_CHECK(told > 0, "the reader kept up");
    T_EQ(n->gaps, told);
    T_EQ(n->missed, t_app_of(w)->missed);
    T_EQ(n->reasons[RTPUSH_REASON_EVICTED_LOG], 0);
    u_free(plain);
    u_free(sse);
    u_free(ws);
    t_run_ready(w); // slots are reaped between calls
    n = rtpush_get_counters(&w->srv);
    T_EQ(n->slots_used, 0);
    T_EQ(n->streams, 0);
    T_EQ(n->slots_high, 3);
    T_EQ(n->streams_high, 2);
    u_open(w, "GET /none HTTP/1.1\r\n" T_HOST "\r\n");
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_NOT_FOUND], 1);
}

// -- publishing and sending -----------------------------------------------------------------------

static void promise_topics_and_values_are_found(U_STATE) {
    t_world *w = t_begin();
    size_t len = 99;
    for (unsigned i = 0; i < w->desc.topic_count; i++) {
        T_EQ(rtpush_topic_index(&w->srv, t_topics[i].name), i);
    }
    T_EQ(rtpush_topic_index(&w->srv, "none"), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_topic_index(&w->srv, ""), RTPUSH_ERR_ARGUMENT);
    unsigned s = (unsigned)rtpush_topic_index(&w->srv, "temp");
    assert_null(rtpush_state_get(&w->srv, s, &len)); // "NULL if never published"
    T_EQ(len, 0);
    uint32_t before = rtpush_last_id(&w->srv).seq;
    T_EQ(t_publish_text(w, s, "v"), RTPUSH_OK);
    T_EQ(rtpush_last_id(&w->srv).seq, before); // "of the newest event"
    T_EQ(t_publish_text(w, 0, "e"), RTPUSH_OK);
    T_EQ(rtpush_last_id(&w->srv).seq, before + 1);
    T_EQ(rtpush_last_id(&w->srv).epoch, w->srv.desc.epoch);
    assert_memory_equal(rtpush_state_get(&w->srv, s, &len), "v", 1);
    T_EQ(len, 1);
    T_EQ(t_publish_text(w, s, ""), RTPUSH_OK); // a value of no bytes is one
    assert_non_null(rtpush_state_get(&w->srv, s, &len));
    T_EQ(len, 0);
    for (unsigned i = 0; i < 100; i += 99) { // an EVENT topic, and none
        len = 7;
        assert_null(rtpush_state_get(&w->srv, i, &len));
        T_EQ(len, 0);
    }
}

// "ERR_STATE if first does not match what is open"; "opcode counts on the first"; "one at a time".
static void promise_parts_of_a_message_are_in_order(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws?topics=log}");
    rtpush_handle conn = t_app_of(w)->last;
    T_EQ(rtpush_send_part(&w->srv, conn, 1, "x", 1, 0, 0), RTPUSH_ERR_STATE);
    T_EQ(rtpush_send_part(&w->srv, conn, 1, "one ", 4, 1, 0), RTPUSH_OK);
    T_EQ(rtpush_send_part(&w->srv, conn, 1, "x", 1, 1, 0), RTPUSH_ERR_STATE);
    T_EQ(rtpush_send(&w->srv, conn, 1, "x", 1), RTPUSH_ERR_STATE);
    T_EQ(rtpush_send_part(&w->srv, conn, 2, "two", 3, 0, 1), RTPUSH_OK); // its opcode is ignored
    T_EQ(rtpush_send(&w->srv, conn, 2, "x", 1), RTPUSH_OK);
    t_run(w);
    u_expect(p, "1 one two\n2 x\n");
}

// "Newly added STATE topics bring their value, EVENT topics begin now."
static void promise_subscribed_event_topics_begin_now(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    rtpush_handle conn = t_app_of(w)->last;
    unsigned b = (unsigned)rtpush_topic_index(&w->srv, "chat");
    T_EQ(t_publish_text(w, b, "before"), RTPUSH_OK);
    t_run(w);
    T_EQ(rtpush_subscribe(&w->srv, conn, 1u | 1u << b), RTPUSH_OK);
    T_EQ(t_publish_text(w, b, "after"), RTPUSH_OK);
    t_run(w);
    u_expect(p, "chat: after\n");
}

// "code and reason (at most 123 bytes UTF-8, NULL none)".
static void promise_a_close_reason_has_123_bytes(U_STATE) {
    char reason[125];
    memset(reason, 'r', sizeof reason);
    reason[124] = '\0';
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    rtpush_handle conn = t_app_of(w)->last;
    T_EQ(rtpush_close(&w->srv, conn, 1000, reason), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_close(&w->srv, conn, 1000, "\xFF"), RTPUSH_ERR_ARGUMENT);
    reason[123] = '\0';
    T_EQ(rtpush_close(&w->srv, conn, 1000, reason), RTPUSH_OK);
    t_run(w);
    char seen[160];
    snprintf(seen, sizeof seen, "8 1000 %s\n", reason);
    u_expect(p, seen);
    u_free(p);
    p = u_stream(w, "{WS /ws}");
    T_EQ(rtpush_close(&w->srv, t_app_of(w)->last, 4000, NULL), RTPUSH_OK);
    t_run(w);
    u_expect(p, "8 4000 \n");
}

// "needed only to be quicker than 250 ms".
static void promise_what_was_left_for_later_comes_again_within_250_ms(U_STATE) {
    for (int resumed = 0; resumed < 2; resumed++) {
        t_world *w = t_begin();
        u_peer *p = u_stream(w, "{WS /ws}");
        t_app_of(w)->later = 1;
        t_buf frame = {0};
        t_expand(&frame, "{81:x}");
        t_feed(p->c, frame.data, frame.len);
        t_buf_free(&frame);
        u_expect(p, "");
        if (resumed) {
            T_EQ(rtpush_retry(&w->srv, t_app_of(w)->last), RTPUSH_OK);
            t_run_ready(w);
        } else {
            t_advance(w, 250);
        }
        u_expect(p, "1 x\n");
        u_free(p);
        t_finish(w);
    }
}

// -- answers --------------------------------------------------------------------------------------

static void p_copied_body(rtpush_server *srv, const rtpush_request *req) {
    char body[] = "copied";
    rtpush_response response = {0};
    t_life_begin(t_world_of(srv), req->conn, 2);
    response.body = body;
    response.len = 6;
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_OK);
    memset(body, '#', sizeof body); // "0: it is copied into the tx bytes"
}

static void promise_a_body_that_is_not_static_is_copied(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_request = p_copied_body;
    t_start(w);
    u_peer *p = u_open(w, "{GET /hello}");
    u_expect(p, "200 copied\n");
}

// -- the port's side ------------------------------------------------------------------------------

static void *p_open(void *ctx, rtpush_server *srv, rtpush_conn *conn, void *port) {
    (void)ctx;
    (void)srv;
    (void)conn;
    (void)port;
    return NULL; // "or NULL: reset it"
}

static void p_close(void *self) {
    (void)self;
}

// "ERR_ARGUMENT: NULL, or there is one"; a filter that has no room refuses the connection.
static void promise_a_filter_is_attached_once(U_STATE) {
    rtpush_filter filter;
    memset(&filter, 0, sizeof filter);
    filter.open = p_open;
    filter.close = p_close;
    t_world *w = t_begin();
    T_EQ(rtpush_attach_filter(&w->srv, NULL), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_attach_filter(&w->srv, &filter), RTPUSH_OK);
    T_EQ(rtpush_attach_filter(&w->srv, &filter), RTPUSH_ERR_ARGUMENT);
    assert_null(t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1));
    u_peer *p = u_open(w, "{GET /hello}"); // others do not go through it
    u_expect(p, "200 hello\n");
}

// "the same hooks again may be given at any time"
static void promise_hooks_may_be_attached_again(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    rtpush_hooks hooks = w->srv.hooks;
    T_EQ(t_publish_text(w, 0, "one"), RTPUSH_OK);
    t_enter(w, T_IN_ATTACH, NULL);
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_expect(p, "log: one\n");
}

// "yours: rtpush_server_user()"
static void promise_user_of_the_desc_is_the_servers(U_STATE) {
    t_world *w = t_begin();
    T_CHECK(rtpush_server_user(&w->srv) == w->srv.desc.user, "another");
    rtpush_desc desc = w->desc;
    rtpush_server other;
    int mine;
    desc.memory_size = w->srv.desc.memory_size;
    desc.memory = malloc(desc.memory_size);
    desc.user = &mine;
    T_EQ(rtpush_init(&other, &desc), RTPUSH_OK);
    T_CHECK(rtpush_server_user(&other) == &mine, "not what the desc said");
    desc.user = NULL;
    T_EQ(rtpush_init(&other, &desc), RTPUSH_OK);
    T_CHECK(rtpush_server_user(&other) == NULL, "what another desc said");
    free(desc.memory);
    t_finish(w);
}

// "{0,0} names nobody."
static void promise_the_zero_handle_names_nobody(U_STATE) {
    t_world *w = t_begin();
    u_stream(w, "{WS /ws}");
    rtpush_handle none = {0, 0};
    rtpush_handle far = {t_app_of(w)->last.serial, 0xFFFFFFFFu};
    T_EQ(rtpush_send(&w->srv, none, 1, "x", 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_abort(&w->srv, none), RTPUSH_ERR_STALE);
    T_EQ(rtpush_send(&w->srv, far, 1, "x", 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_send_room(&w->srv, far), 0);
}

// "EVENT topics begin where this reader stands: now, or, if it is behind, with the first event that
// it has not come to."
static void promise_of_a_topic_added_to_a_reader_that_is_behind(U_STATE) {
    for (int behind = 0; behind < 2; behind++) {
        t_world *w = t_begin();
        u_peer *p = u_open(w, "{GET /events?topics=log}");
        u_clear(p);
        p->c->window = behind ? 0 : SIZE_MAX;
        T_EQ(t_publish_text(w, T_LOG, "one"), RTPUSH_OK);
        T_EQ(t_publish_text(w, T_CHAT, "before"), RTPUSH_OK);
        t_run(w);
        w->call = T_IN_API;
        T_EQ(rtpush_subscribe(&w->srv, t_app_of(w)->last, 1u << T_LOG | 1u << T_CHAT), RTPUSH_OK);
        t_leave(w);
        T_EQ(t_publish_text(w, T_CHAT, "after"), RTPUSH_OK);
        p->c->window = SIZE_MAX;
        t_run(w);
        u_is(p, behind ? "log: one\nchat: before\nchat: after\n" : "log: one\nchat: after\n");
        u_free(p);
        t_finish(w);
    }
}

// "ERR_ARGUMENT: ... a header that has CR or LF": nor any other control character but a tab.
static void promise_of_header_values_without_control_characters(U_STATE) {
    for (int c = 1; c < 256; c++) {
        char place[4] = {'/', (char)c, 'x', '\0'};
        t_world *w = t_begin();
        t_app_of(w)->status = 303;
        t_app_of(w)->location = place;
        u_peer *p = u_open(w, "{GET /}");
        T_CHECK(p->cl.status == ((c < 0x20 && c != '\t') || c == 0x7F ? 500 : 303),
                "byte %d in a location: %d", c, p->cl.status);
        u_free(p);
        t_finish(w);
    }
}

// -- what need not be given -----------------------------------------------------------------------

// "hosts: names this device answers to besides IP literals and localhost", "origins: foreign
// origins allowed", "cookie: the one cookie to keep": none. Nor topics, nor any hook.
static void promise_of_a_server_without_options(U_STATE) {
    t_world *w = t_fixture();
    w->desc.topics = NULL;
    w->desc.topic_count = 0;
    w->desc.hosts = w->desc.origins = NULL;
    w->desc.cookie = NULL;
    w->desc.authorize = NULL;
    w->desc.on_refuse = NULL;
    w->desc.conn_count = 8;
    t_routes[T_R_WS].on_writable = NULL;
    t_start(w);
    t_app_of(w)->authorized = 1; // nobody asks
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
        {"GET /hello HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200},
        {"GET /hello HTTP/1.1\r\nHost: device.local\r\n\r\n", 421},
        {"POST /echo HTTP/1.1\r\n" T_HOST "Origin: http://10.0.0.1\r\nContent-Length: 0\r\n\r\n",
         200},
        {"POST /echo HTTP/1.1\r\n" T_HOST
         "Origin: https://app.example\r\nContent-Length: 0\r\n\r\n", 403},
        {"{GET /none}", 404},
        {"{GET /events?topics=log}", 404},
        {"{GET /poll?timeout=1&topics=log}", 404},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        u_peer *p = u_open(w, cases[i].text);
        T_CHECK(p->cl.status == cases[i].status, "%s: %d", cases[i].text, p->cl.status);
        u_free(p);
    }
    u_peer *p = u_open(w, "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: sid=1\r\n\r\n");
    u_expect(p, "200 |cookie=-");
    u_free(p);
    p = u_open(w, "{GET /events}");
    u_is(p, "rtpush: fresh 5\n");
    u_peer *ws = u_stream(w, "{WS /ws}");
    t_say(ws->c, "{81:echo}");
    u_is(ws, "1 echo\n");
    while (rtpush_send(&w->srv, ws->c->handle, 1, "more", 4) == RTPUSH_OK) {
    }
    t_run(w); // there is room again, and no on_writable
    u_expect(ws, "1 more\n");
}

// Callbacks of streams need not be there: a gap is told by the notice alone.
static void promise_of_streams_without_callbacks(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 512;
    t_routes[T_R_EVENTS].on_gap = NULL;
    t_routes[T_R_EVENTS].on_open = NULL;
    t_routes[T_R_EVENTS].on_close = NULL;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events?topics=log}");
    p->c->window = 0;
    for (int i = 0; i < 50; i++) {
        T_EQ(t_publish_text(w, T_LOG, "an event"), RTPUSH_OK);
    }
    p->c->window = SIZE_MAX;
    t_run(w);
    u_expect(p, "rtpush: gap |log: an event\n");
    T_EQ(rtpush_get_counters(&w->srv)->gaps, 1);
}

// Only events: a poll needs no sweep over values, and ends with what there is.
static void promise_of_a_server_without_state_topics(U_STATE) {
    t_world *w = t_fixture();
    w->desc.topic_count = 1;
    t_start(w);
    T_EQ(t_publish_text(w, T_LOG, "one"), RTPUSH_OK);
    u_peer *p = u_open(w, "{GET /poll?last_event_id=first}");
    u_is(p, "rtpush: replayed 1 5\nlog: one\n200 \n");
    assert_string_equal(p->last_id, "00c0ffee-00000001-00000000");
}

// "at most 32 topics", "Bit i stands for topic i": also the last.
static void promise_of_32_topics(U_STATE) {
    static char names[32][4];
    static rtpush_topic topics[33];
    for (int i = 0; i < 32; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i % 100);
        topics[i].name = names[i];
        topics[i].kind = i % 2 ? &rtpush_topic_event : &rtpush_topic_state;
        topics[i].max = i % 2 ? 0 : 8;
    }
    t_world *w = t_fixture();
    w->desc.topics = topics;
    w->desc.topic_count = 32;
    w->desc.authorize = NULL;
    t_start(w);
    t_app_of(w)->authorized = 1;
    u_peer *all = u_stream(w, "{GET /events}");
    u_peer *last = u_stream(w, "{GET /events?topics=t31,t30}");
    for (unsigned i = 0; i < 32; i += i < 29 ? 29 : 1) {
        T_EQ(t_publish_text(w, i, names[i]), RTPUSH_OK);
        t_run(w);
    }
    u_is(all, "t0: t0\nt29: t29\nt30: t30\nt31: t31\n");
    u_is(last, "t30: t30\nt31: t31\n");
}

// RTPUSH_ID_SIZE: "epoch-seq", and of a poll with a third number: what has more is none of ours.
static void promise_an_id_has_three_numbers_at_most(U_STATE) {
    static const char *const ids[] = {"00c0ffee-00000000-00000000-00000000",
                                      "00c0ffee-00000000-", "00c0ffee"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[200];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: %s\r\n\r\n",
                 ids[i]);
        u_peer *p = u_open(w, text);
        u_is(p, "rtpush: reset 5\n");
        u_free(p);
        t_finish(w);
    }
}

// -- requests -------------------------------------------------------------------------------------

static void promise_of_requests_that_standards_name(U_STATE) {
    static const char *const hosts[] = {"d", "device.local", NULL};
    static const char *const pictures[] = {"image/png", NULL};
    static const rtpush_asset empty = {"text/plain", "", 0, NULL, 0, "e", NULL};
    static const rtpush_asset plain = {"text/plain", "abcdef", 6, NULL, 0, "p", NULL};
    static const struct {
        const char *text;
        int status;
        const char *has;
        const char *has_not;
    } cases[] = {
        // RFC 9110 4.2.1: an empty host identifier is invalid
        {"GET http:///hello HTTP/1.1\r\n" T_HOST "\r\n", 400, "", ""},
        // RFC 9110 9.3.7: the server as a whole; WHATWG Fetch 3.2.2: a preflight
        {"OPTIONS * HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n\r\n", 204,
         "Access-Control-Allow-Methods: GET", ""},
        // RFC 9110 10.1.1: an expectation in HTTP/1.0 is ignored
        {"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
         "100 Continue"},
        // RFC 9110 14.5: Content-Range alone is refused in a PUT
        {"PUT /echo HTTP/1.1\r\n" T_HOST "X-Other: 1\r\nContent-Length: 0\r\n\r\n", 200, "", ""},
        {"PUT /echo HTTP/1.1\r\n" T_HOST "Content-Range: bytes 0-0/9\r\nContent-Length: 1\r\n\r\nx",
         400, "", ""},
        // fields that say nothing to a file, and nothing to a WebSocket
        {"GET / HTTP/1.1\r\n" T_HOST "Sec-WebSocket-Protocol: x\r\n\r\n", 200, "ETag", ""},
        {"GET /ws HTTP/1.1\r\n" T_WS_FIELDS "Accept-Encoding: gzip, deflate, br\r\n\r\n", 101, "",
         "Sec-WebSocket-Protocol"},
        // RFC 9110 8.8.3: W/ is one mark
        {"GET / HTTP/1.1\r\n" T_HOST "If-None-Match: W/\"p\"\r\n\r\n", 304, "", ""},
        {"GET / HTTP/1.1\r\n" T_HOST "If-None-Match: W\"p\"\r\n\r\n", 200, "abcdef", ""},
        // RFC 9110 12.5.3: gzip is not there
        {"GET / HTTP/1.1\r\n" T_HOST "Accept-Encoding: gzip\r\n\r\n", 200, "abcdef",
         "Content-Encoding"},
        // "rtpush_file": a Range is for rtpush_download
        {"GET / HTTP/1.1\r\n" T_HOST "Range: bytes=0-1\r\n\r\n", 200, "abcdef", "Range"},
        {"GET /app.js HTTP/1.1\r\n" T_HOST "Range: bytes=-5\r\n\r\n", 200, "Content-Length: 0",
         "Content-Range"},
        // RFC 9110 15.5.16: as long as the type that is taken
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Type: image/gif\r\nContent-Length: 1\r\n\r\nx",
         415, "Accept: image/png", ""},
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Type: image/png\r\nContent-Length: 1\r\n\r\nx",
         200, "", ""},
        // desc.hosts: names, of one letter too; the root's dot is none
        {"GET /hello HTTP/1.1\r\nHost: d\r\n\r\n", 200, "hello", ""},
        {"GET /hello HTTP/1.1\r\nHost: D.:80\r\n\r\n", 200, "hello", ""},
        {"GET /hello HTTP/1.1\r\nHost: e\r\n\r\n", 421, "", ""},
        {"GET /hello HTTP/1.1\r\nHost: .\r\n\r\n", 421, "", ""},
        // "An unknown topic is answered 404": so is none at all
        {"{GET /events?topics=}", 404, "", ""},
        {"{WS /ws?topics=,}", 404, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_world *w = t_fixture();
        w->desc.hosts = hosts;
        t_routes[T_R_INDEX].kind = &rtpush_file;
        t_routes[T_R_INDEX].asset = &plain;
        t_routes[T_R_GZIP].asset = &empty;
        t_routes[T_R_UPLOAD].body_types = pictures;
        t_start(w);
        t_conn *c = t_open(w, cases[i].text);
        const char *wire = t_take(c);
        T_CHECK(atoi(wire + 9) == cases[i].status && strstr(wire, cases[i].has) &&
                    (!*cases[i].has_not || !strstr(wire, cases[i].has_not)),
                "%s: %s", cases[i].text, wire);
        t_finish(w);
    }
}

// "content_type: routes with max_body; NULL if absent".
static void promise_content_type_is_for_bodies(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_request = t_routes[T_R_ECHO].on_request = p_on_request;
    t_start(w);
    u_free(u_open(w, "GET /hello HTTP/1.1\r\n" T_HOST "Content-Type: a/b\r\n\r\n"));
    assert_string_equal(p_text, "/hello|||10.0.0.1|");
    assert_null(p_request.content_type);
    u_free(u_open(w, "POST /echo HTTP/1.1\r\n" T_HOST
                     "Content-Type: a/b\r\nContent-Length: 0\r\n\r\n"));
    assert_non_null(p_request.content_type);
    u_free(u_open(w, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\n\r\n"));
    assert_null(p_request.content_type);
}

// "RTPUSH_REASON_TOO_LONG: target (414), header or head (431)": what is kept fits rx_size or is
// refused, at each length, and nothing of it is lost in silence. RFC 9112 3.2.2: the authority of
// an absolute target is kept too.
static void promise_what_does_not_fit_rx_size_is_refused(U_STATE) {
    static const char *const forms[] = {
        "GET http://device-with-a-name-of-sixty-characters-and-some-more.local/hello?{rep %d q} "
        "HTTP/1.1\r\n" T_HOST "\r\n",
        "GET /keep HTTP/1.1\r\n" T_HOST "X-One: {rep %d 1}\r\nX-Two: two\r\n\r\n",
        "GET /keep HTTP/1.1\r\n" T_HOST "X-One: {rep %d 1}\r\nCookie: other={rep 90 o}; sid=s\r\n"
        "\r\n",
        "GET /keep HTTP/1.1\r\n" T_HOST "X-One: {rep %d 1}\r\nCookie: sid=s\r\n\r\n",
    };
    static const char *const wants[] = {"hello", "two=two", "cookie=s", "cookie=s"};
    static const char *const hosts[] = {
        "device-with-a-name-of-sixty-characters-and-some-more.local", NULL};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        int refused = 0;
        for (int len = 1; len < 260; len++) {
            char text[300];
            t_world *w = t_fixture();
            w->desc.rx_size = 256;
            w->desc.tx_size = 1024;
            w->desc.hosts = hosts;
            t_start(w);
            snprintf(text, sizeof text, forms[i], len);
            u_peer *p = u_open(w, text);
            T_CHECK((p->cl.status == 200 && !refused) || p->cl.status == 431 ||
                        (p->cl.status == 414 && i == 0),
                    "form %lu with %d: %d", (unsigned long)i, len, p->cl.status);
            T_CHECK(p->cl.status != 200 || strstr(t_text(&p->cl.body), wants[i]), "%s lost at %d",
                    wants[i], len);
            refused = p->cl.status != 200;
            u_free(p);
            t_finish(w);
        }
        assert_true(refused);
    }
}

// -- refusals and answers -------------------------------------------------------------------------

// "0 accepts, or a status from 400 to 599, or 302 or 303 with grant->location": each of them is the
// answer, whatever the route is; anything else lets nobody in.
static void promise_authorize_may_answer_any_error(U_STATE) {
    static const char *const texts[] = {
        "{GET /hello}", "{GET /}", "{WS /ws}",
        "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n\r\nx"};
    for (int status = -2; status < 700; status++) {
        t_world *w = t_fixture();
        w->desc.conn_count = 8;
        t_routes[T_R_HELLO].on_request = t_routes[T_R_UPLOAD].on_request = p_on_request;
        t_start(w);
        t_app_of(w)->status = status;
        t_app_of(w)->location = "/login";
        p_text[0] = '\0';
        const int good = (status >= 400 && status < 600) || status == 302 || status == 303;
        // A body left unread adds "close" to the Connection of a 426: a list (RFC 9110 5.3) in two
        // lines, which the client of these tests does not take.
        for (size_t i = 0; i < (status == 426 ? 3 : 4) && status != 0; i++) {
            u_peer *p = u_open(w, texts[i]);
            T_CHECK(p->cl.status == (good ? status : 500), "%d is answered %d", status,
                    p->cl.status);
            T_CHECK(p->cl.status > 303 || t_field_is(&p->cl, "Location", "/login"),
                    "no Location");
            T_EQ(p_text[0], '\0');
            u_free(p);
        }
        t_finish(w);
    }
}

static uint32_t p_refused;

static void p_on_refuse(rtpush_server *srv, uint32_t peer, int status, int reason) {
    (void)srv;
    (void)status;
    (void)reason;
    p_refused = peer;
}

// "on_refuse: a request was refused or a connection not accepted": of which peer.
static void promise_on_refuse_is_told_the_peer(U_STATE) {
    t_world *w = t_fixture();
    w->desc.on_refuse = p_on_refuse;
    w->desc.max_per_peer = 1;
    t_start(w);
    t_conn *c = t_connect_peer(w, 0, 0xC0A80105u);
    t_says(c, "GET /none HTTP/1.1\r\n" T_HOST "\r\n");
    T_EQ(p_refused, 0xC0A80105u);
    p_refused = 0;
    assert_null(t_connect_peer(w, 0, 0xC0A80105u));
    T_EQ(p_refused, 0xC0A80105u);
}

static int p_asked;

static int p_count(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    (void)req;
    (void)grant;
    t_app_of(t_world_of(srv))->authorized++;
    p_asked++;
    return 0;
}

// "Each request that a route accepts (no 404, 405, 413, 415, OPTIONS) is authorized": nobody is
// asked about the others.
static void promise_what_no_route_accepts_is_not_authorized(U_STATE) {
    static const char *const pictures[] = {"image/png", NULL};
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"{GET /none}", 404},
        {"DELETE /hello HTTP/1.1\r\n" T_HOST "\r\n", 405},
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Type: image/png\r\nContent-Length: 11\r\n"
         "\r\n01234567890", 413},
        {"POST /keep HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n\r\nx", 413},
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Type: image/gif\r\nContent-Length: 1\r\n\r\nx",
         415},
        {"OPTIONS /hello HTTP/1.1\r\n" T_HOST "\r\n", 204},
        {"OPTIONS * HTTP/1.1\r\n" T_HOST "\r\n", 204},
        {"{GET /hello}", 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_world *w = t_fixture();
        w->desc.authorize = p_count;
        t_routes[T_R_UPLOAD].max_body = 10;
        t_routes[T_R_UPLOAD].body_types = pictures;
        t_start(w);
        p_asked = 0;
        t_conn *c = t_connect(w);
        t_say(c, cases[i].text);
        const char *wire = t_take(c);
        T_CHECK(atoi(wire + 9) == cases[i].status, "%s: %s", cases[i].text, wire);
        T_CHECK(p_asked == (cases[i].status == 200), "%s: asked %d times", cases[i].text, p_asked);
        t_finish(w);
    }
}

static rtpush_response p_response;
static int p_result;

static void p_reply(rtpush_server *srv, const rtpush_request *req) {
    t_life_begin(t_world_of(srv), req->conn, 2);
    p_result = rtpush_reply(srv, req->conn, &p_response);
    if (p_result != RTPUSH_OK) { // "nothing was sent": it can still be answered
        T_EQ(rtpush_reply_text(srv, req->conn, 299, "other"), RTPUSH_OK);
    }
}

static int p_pull(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset, uint8_t *buf,
                  size_t cap) {
    (void)srv;
    (void)conn;
    (void)user;
    memcpy(buf, "pulled", cap < 6 ? cap : 6);
    return offset == 0 ? 6 : 0;
}

static u_peer *p_answer(const rtpush_response *response) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_request = p_reply;
    t_start(w);
    p_response = *response;
    return u_open(w, "{GET /hello}");
}

// "status: 200 to 599; 0 means 200": each is sent with its body, whole. RFC 9110 6.4.1: but for 204
// and 304; 15.3.6: of a 205 it is refused.
static void promise_reply_with_any_status(U_STATE) {
    for (int kind = 0; kind < 3; kind++) {
        for (unsigned status = 0; status < 700; status++) {
            rtpush_response r = {0};
            r.status = (uint16_t)status;
            r.body = kind < 2 ? "text" : NULL;
            r.len = kind < 2 ? 4 : 0;
            r.body_static = kind == 1;
            r.pull = kind == 2 ? p_pull : NULL;
            u_peer *p = p_answer(&r);
            const int bad = (status > 0 && status < 200) || status > 599 || status == 205;
            const int bare = status == 204 || status == 304;
            T_EQ(p_result, bad ? RTPUSH_ERR_ARGUMENT : RTPUSH_OK);
            T_EQ(p->cl.status, bad ? 299 : status ? status : 200);
            char want[40];
            snprintf(want, sizeof want, "%d %s\n", p->cl.status,
                     bad ? "other" : bare ? "" : kind < 2 ? "text" : "pulled");
            u_is(p, want);
            u_free(p);
            t_finish(t_worlds);
        }
    }
}

// ERR_ARGUMENT: "a header that has CR or LF, is no token or is one of those above", or a body that
// is not there.
static void promise_reply_refuses_what_it_cannot_write(U_STATE) {
    static const char *const bad[][3] = {{"X-A", "a\r\nX-B: b", NULL}, {"X-A", "a\nb", NULL},
                                         {"X A", "a", NULL},           {"", "a", NULL},
                                         {"X-A\r", "a", NULL},         {"X-A", NULL, NULL},
                                         {"Content-Length", "4", NULL}};
    rtpush_response r;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0] + 5; i++) {
        memset(&r, 0, sizeof r);
        r.body = "text";
        r.len = 4;
        switch (i) {
        case 0: r.cache_control = "no-store\r\n"; break;
        case 1: r.content_type = "a/b\n"; break;
        case 2: r.etag = "a\"b"; break;
        case 3: r.etag = "a\rb"; break;
        case 4: r.body = NULL; break;
        default: r.headers = bad[i - 5]; break;
        }
        u_peer *p = p_answer(&r);
        T_CHECK(p_result == RTPUSH_ERR_ARGUMENT, "case %lu was taken", (unsigned long)i);
        u_is(p, "299 other\n");
        u_free(p);
        t_finish(t_worlds);
    }
}

static void p_bare(rtpush_server *srv, const rtpush_request *req) {
    t_life_begin(t_world_of(srv), req->conn, 2);
    T_EQ(rtpush_reply_text(srv, req->conn, 204, NULL), RTPUSH_OK);
    T_EQ(rtpush_reply_text(srv, req->conn, 200, "again"), RTPUSH_ERR_STATE); // "once"
}

static void promise_reply_text_of_nothing(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_request = p_bare;
    t_start(w);
    u_peer *p = u_open(w, "{GET /hello}");
    u_is(p, "204 \n");
}

// "RTPUSH_REASON_TX_SIZE: an answer's head does not fit desc.tx_size (500)": those that the library
// writes, too.
static void promise_of_heads_that_do_not_fit_tx_size(U_STATE) {
    static char origin[200] = "https://";
    static char name[160];
    static const char *const origins[] = {origin, NULL};
    static const char *const names[] = {name, NULL};
    static const char *const forms[] = {
        "GET /events HTTP/1.1\r\n" T_HOST "Origin: %s\r\n\r\n",
        "HEAD /events HTTP/1.1\r\n" T_HOST "Origin: %s\r\n\r\n",
        "GET /poll?timeout=0 HTTP/1.1\r\n" T_HOST "Origin: %s\r\n\r\n",
        "HEAD /poll HTTP/1.1\r\n" T_HOST "Origin: %s\r\n\r\n",
        "OPTIONS /events HTTP/1.1\r\n" T_HOST "Origin: %s\r\n\r\n",
        "GET /ws HTTP/1.1\r\n" T_WS_FIELDS "Sec-WebSocket-Protocol: %s\r\n\r\n"};
    memset(origin + 8, 'o', 100);
    memset(name, 'n', 150);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char text[500];
        t_world *w = t_fixture();
        w->desc.rx_size = 1024;
        w->desc.tx_size = 256;
        w->desc.origins = origins;
        t_routes[T_R_WS].subprotocols = names;
        t_start(w);
        snprintf(text, sizeof text, forms[i], i == 5 ? name : origin);
        t_conn *c = t_open(w, text);
        t_run(w);
        T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
        T_CHECK(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TX_SIZE] >= 1, "%s: %s", text,
                t_take(c));
        t_advance(w, 30000);
        T_CHECK(c->conn == NULL || c->fin || c->dropped || c->conn->state == RTPI_HEAD,
                "it is not ended");
        t_finish(w);
    }
}

// RFC 9110 9.3.2: "200 and a retry:" to a HEAD is the head alone.
static void promise_not_now_to_head_is_the_head(U_STATE) {
    t_world *w = t_fixture();
    w->desc.max_streams = 1;
    t_start(w);
    u_stream(w, "{GET /events}");
    t_conn *c = t_open(w, "HEAD /events HTTP/1.1\r\n" T_HOST "\r\n");
    const char *wire = t_take(c);
    T_CHECK(strncmp(wire, "HTTP/1.1 200 ", 13) == 0, "%s", wire);
    assert_string_equal(strstr(wire, "\r\n\r\n"), "\r\n\r\n");
    c = t_open(w, "{GET /events}");
    T_CHECK(strstr(t_take(c), "\r\n\r\nretry: ") != NULL, "no retry");
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_STREAM_LIMIT], 2);
}

// -- ends -----------------------------------------------------------------------------------------

// "Begins shutdown: ... the rest finish what they do": a request whose head has begun, too.
static void promise_shutdown_lets_a_request_finish(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "GET /hello HTTP/1.1\r\n");
    t_enter(w, T_IN_API, NULL);
    rtpush_shutdown(&w->srv);
    t_leave(w);
    t_say(p->c, T_HOST "\r\n");
    u_is(p, "200 hello\n");
    T_CHECK(t_field_is(&p->cl, "Connection", "close"), "it promises to go on");
    T_EQ(p->c->fin, 1);
    t_run_ready(w);
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
}

// ... but opens no stream: an event stream is to come again, elsewhere.
static void promise_shutdown_opens_no_stream(U_STATE) {
    t_world *w = t_begin();
    u_peer *sse = u_open(w, "GET /events HTTP/1.1\r\n");
    u_peer *ws = u_open(w, "GET /ws HTTP/1.1\r\n");
    t_enter(w, T_IN_API, NULL);
    rtpush_shutdown(&w->srv);
    t_leave(w);
    t_say(sse->c, T_HOST "\r\n");
    t_say(ws->c, T_WS_FIELDS "\r\n");
    u_read(sse);
    u_read(ws);
    T_EQ(sse->cl.status, 200);
    T_EQ(sse->cl.retry_count, 1);
    T_EQ(sse->c->fin, 1);
    T_EQ(ws->cl.status, 503);
    T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
}

// "retry_ms: SSE reconnection time given to the browser": in the first block, and as the least of
// those that spread.
static void promise_retry_ms_is_given_to_the_browser(U_STATE) {
    t_world *w = t_fixture();
    w->desc.retry_ms = 3000;
    w->desc.max_streams = 1;
    t_start(w);
    t_conn *c = t_open(w, "{GET /events}");
    T_CHECK(strstr(t_take(c), "retry: 3000\n") != NULL, "another time");
    t_conn *late = t_open(w, "{GET /events}");
    const char *at = strstr(t_take(late), "retry: ");
    T_CHECK(at != NULL && atoi(at + 7) >= 3000 && atoi(at + 7) <= 15000, "%s", at ? at : "none");
    t_enter(w, T_IN_API, NULL);
    rtpush_shutdown(&w->srv);
    t_leave(w);
    t_run(w);
    at = strstr(t_take(c), "retry: ");
    T_CHECK(at != NULL && atoi(at + 7) >= 3000 && atoi(at + 7) <= 6000, "%s", at ? at : "none");
}

// "rtpush_close: a graceful close": an answer under way comes first, whole, and then the end.
static void promise_close_lets_an_answer_come_first(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    p->c->window = 400;
    t_say(p->c, "{GET /big}");
    T_EQ(p->c->conn->state, RTPI_REPLY);
    t_enter(w, T_IN_API, NULL);
    T_EQ(rtpush_close(&w->srv, rtpush_conn_handle(&w->srv, p->c->conn), 1000, NULL), RTPUSH_OK);
    t_leave(w);
    p->c->window = SIZE_MAX;
    t_run(w);
    u_read(p);
    T_EQ(p->cl.answers, 1);
    T_EQ(p->c->fin, 1);
}

// "rtpush_abort: ends it at once, with a reset": between requests too, where nothing is to be sent.
static void promise_abort_between_requests_is_a_reset(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /hello}");
    t_enter(w, T_IN_API, NULL);
    T_EQ(rtpush_abort(&w->srv, rtpush_conn_handle(&w->srv, p->c->conn)), RTPUSH_OK);
    t_leave(w);
    t_run_ready(w);
    T_EQ(p->c->dropped, 1);
}

// "published: records and STATE values accepted": a record that was reserved counts when it is
// committed, and one that is refused then does not.
static void promise_a_commit_is_published_once(U_STATE) {
    t_world *w = t_begin();
    const uint32_t before = rtpush_get_counters(&w->srv)->published;
    char *room = (char *)rtpush_reserve(&w->srv, T_LOG, 100);
    T_EQ(rtpush_get_counters(&w->srv)->published, before);
    memcpy(room, "reserved", 8);
    T_EQ(rtpush_commit(&w->srv, 8), RTPUSH_OK);
    T_EQ(rtpush_get_counters(&w->srv)->published, before + 1);
    T_EQ(rtpush_get_counters(&w->srv)->log_used, (16 + 8 + 2 + 3) & ~3); // not of 100
    room = (char *)rtpush_reserve(&w->srv, T_LOG, 8);
    room[0] = (char)0xFF;
    T_EQ(rtpush_commit(&w->srv, 1), RTPUSH_ERR_UTF8);
    (void)rtpush_reserve(&w->srv, T_LOG, 8);
    T_EQ(rtpush_commit(&w->srv, 9), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_get_counters(&w->srv)->published, before + 1);
}

// "seed: any; spreads retry times. (epoch)": another seed, other times; the same seed, the same.
static void promise_seed_spreads_retry_times(U_STATE) {
    static const uint32_t seeds[] = {0, 0x00C0FFEE, 1, 2};
    char times[4][40];
    for (int i = 0; i < 4; i++) {
        t_world *w = t_fixture();
        w->desc.seed = seeds[i];
        t_start(w);
        u_peer *p = u_stream(w, "{GET /events}");
        t_take(p->c);
        t_enter(w, T_IN_API, NULL);
        rtpush_shutdown(&w->srv);
        t_leave(w);
        t_run(w);
        const char *at = strstr(t_take(p->c), "retry: ");
        assert_non_null(at);
        snprintf(times[i], sizeof times[i], "%s", at);
        T_CHECK(atoi(at + 7) >= 2000 && atoi(at + 7) <= 4000, "%s", at);
        u_free(p);
        t_finish(w);
    }
    assert_string_equal(times[0], times[1]); // the epoch
    assert_string_not_equal(times[1], times[2]);
    assert_string_not_equal(times[2], times[3]);
}

// "A connection exists until the port calls rtpush_gone or the core calls drop": it may die in the
// transport before the core has dropped what the application aborted. One on_close, and no drop.
static void promise_gone_may_come_before_drop(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    t_enter(w, T_IN_API, NULL);
    T_EQ(rtpush_abort(&w->srv, p->c->handle), RTPUSH_OK);
    t_leave(w);
    t_cut(p->c);
    t_run_ready(w);
    T_EQ(p->c->dropped, 0);
    t_expect_events(w, "close APP");
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TRANSPORT], 0);
}

// "Evicting a record drops the connections that still need it": one that was aborted and not yet
// dropped, too, for its bytes will change.
static void promise_an_aborted_holder_is_dropped_by_publish(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 512;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws?topics=log}");
    p->c->hold_acks = 1;
    T_EQ(t_publish_text(w, T_LOG, "held"), RTPUSH_OK);
    t_run(w);
    t_enter(w, T_IN_API, NULL);
    T_EQ(rtpush_abort(&w->srv, p->c->handle), RTPUSH_OK);
    t_leave(w);
    for (int i = 0; i < 40 && !p->c->dropped; i++) {
        T_EQ(t_publish_text(w, T_LOG, "others"), RTPUSH_OK);
    }
    T_EQ(p->c->dropped, 1);
    t_run_ready(w);
    t_expect_events(w, "close APP");
}

// "{0,0} is no connection", also when the numbers of handles begin again.
static void promise_no_handle_is_the_zero_handle(U_STATE) {
    t_world *w = t_begin();
    w->srv.serial = 0xFFFFFFFCu;
    for (int i = 0; i < 8; i++) {
        u_peer *p = u_open(w, "{GET /hello}");
        u_is(p, "200 hello\n");
        T_CHECK(p->c->handle.serial != 0, "a handle of serial 0");
        u_free(p);
        t_run_ready(w);
    }
}

static int p_gaps;

static void p_abort_on_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    (void)missed;
    p_gaps++;
    T_EQ(rtpush_abort(srv, conn), RTPUSH_OK);
}

// "Callbacks may call anything": on_gap, inside a poll's answer, may end it. So the answer has no
// end that would make it look whole.
static void promise_on_gap_may_abort_a_poll(U_STATE) {
    t_world *w = t_fixture();
    w->desc.log_size = 2048;
    t_routes[T_R_POLL].on_gap = p_abort_on_gap;
    t_start(w);
    p_gaps = 0;
    for (int i = 0; i < 20; i++) {
        T_EQ(t_publish_text(w, T_LOG, "an event of some forty bytes, so to say"), RTPUSH_OK);
    }
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    p->c->window = 700;
    p->c->copies = 1;
    t_say(p->c, "{GET /poll?topics=log&last_event_id=00c0ffee-00000001}");
    for (int i = 0; i < 60; i++) {
        T_EQ(t_publish_text(w, T_LOG, "an event of some forty bytes, so to say"), RTPUSH_OK);
    }
    T_EQ(p_gaps, 0);
    p->c->window = SIZE_MAX;
    t_run(w);
    T_EQ(p_gaps, 1);
    T_EQ(p->c->dropped, 1);
    T_CHECK(strstr(t_take(p->c), "\r\n0\r\n\r\n") == NULL, "it looks whole");
}

static int p_messages;

static int p_later_abort(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)msg;
    if (p_messages++ == 0) {
        return RTPUSH_RETRY;
    }
    T_EQ(rtpush_abort(srv, conn), RTPUSH_OK);
    return RTPUSH_OK;
}

// ... and so may on_message when the message it has left comes again.
static void promise_on_message_may_abort_what_it_left(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_WS].on_message = p_later_abort;
    t_start(w);
    p_messages = 0;
    u_peer *p = u_stream(w, "{WS /ws}");
    t_say(p->c, "{81:x}");
    T_EQ(p_messages, 1);
    t_enter(w, T_IN_API, NULL);
    T_EQ(rtpush_retry(&w->srv, p->c->handle), RTPUSH_OK);
    t_leave(w);
    t_run_ready(w);
    T_EQ(p_messages, 2);
    T_EQ(p->c->dropped, 1);
}

// -- WebSockets -----------------------------------------------------------------------------------

// RFC 6455 5.5.3: "a Pong frame MAY be sent unsolicited", and measures nothing.
static void promise_rtt_is_of_our_pings_alone(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    t_say(p->c, "{8a:abcd}");
    T_EQ(rtpush_rtt_ms(&w->srv, p->c->handle), -1);
    t_say(p->c, "{8a:}{81:x}");
    u_is(p, "1 x\n");
    T_EQ(rtpush_rtt_ms(&w->srv, p->c->handle), -1);
    u_peer *sse = u_stream(w, "{GET /events}");
    T_EQ(rtpush_rtt_ms(&w->srv, sse->c->handle), -1);
}

// RFC 6455 5.5.1: behind the peer's Close nothing counts, and ours answers it, also when tx is full
// at that time.
static void promise_a_close_is_answered_when_there_is_room(U_STATE) {
    char text[252];
    memset(text, 'f', sizeof text);
    for (int fill = 246; fill <= 252; fill++) {
        t_world *w = t_fixture();
        w->desc.tx_size = 256;
        t_start(w);
        u_peer *p = u_stream(w, "{WS /ws}");
        p->c->window = 0;
        T_EQ(rtpush_send(&w->srv, p->c->handle, 2, text, (size_t)fill), RTPUSH_OK);
        t_say(p->c, "{88#03e8}{81:not read}");
        T_EQ(p->c->in.len, 0); // taken, so that the peer's FIN can come
        p->c->window = SIZE_MAX;
        t_run(w);
        u_read(p);
        T_EQ(p->seen.len, 2 + (size_t)fill + 1 + 8);
        T_CHECK(strstr(t_text(&p->seen), "\n8 1000 \n") != NULL, "no Close");
        T_EQ(p->c->fin, 1);
        T_CHECK(strstr(t_text(&w->events), "not read") == NULL, "it was read");
        u_free(p);
        t_finish(w);
    }
}

// "ping_ms: silence before a ping": it waits for room, and does not follow a Close.
static void promise_a_ping_waits_for_room_and_follows_no_close(U_STATE) {
    char text[252];
    memset(text, 'f', sizeof text);
    for (int closes = 0; closes < 2; closes++) {
        t_world *w = t_fixture();
        w->desc.tx_size = 256;
        w->desc.stall_ms = 100000;
        t_start(w);
        u_peer *p = u_stream(w, "{WS /ws}");
        p->c->window = closes ? SIZE_MAX : 0;
        if (!closes) {
            T_EQ(rtpush_send(&w->srv, p->c->handle, 2, text, sizeof text), RTPUSH_OK);
            t_advance(w, 21000);
            p->c->window = SIZE_MAX;
            t_run(w);
            u_expect(p, "2 fff|\n9 ");
        } else {
            w->now_ms += 20500;
            t_tick(w); // a ping is due
            t_enter(w, T_IN_API, NULL);
            T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, NULL), RTPUSH_OK);
            t_leave(w);
            t_run(w);
            u_is(p, "8 1000 \n");
        }
        u_free(p);
        t_finish(w);
    }
}

static void promise_send_refuses_what_it_cannot_send(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    rtpush_handle conn = p->c->handle;
    T_EQ(rtpush_send(&w->srv, conn, 1, NULL, 1), RTPUSH_ERR_ARGUMENT); // "null pointer"
    T_EQ(rtpush_send(&w->srv, conn, 0, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_send(&w->srv, conn, 8, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_send(&w->srv, conn, 2, NULL, 0), RTPUSH_OK);
    t_run(w);
    u_is(p, "2 \n");
}

// -- the port -------------------------------------------------------------------------------------

static unsigned p_locks;

static void p_lock(void *ctx) {
    (void)ctx;
    p_locks++;
}

// rtpush_hooks: what must be there, and what may be NULL.
static void promise_of_hooks(U_STATE) {
    t_world *w = t_begin();
    rtpush_hooks hooks = w->srv.hooks;
    T_EQ(rtpush_attach(&w->srv, NULL), RTPUSH_ERR_ARGUMENT);
    hooks.drop = NULL;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
    hooks = w->srv.hooks;
    hooks.unlock = NULL;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_ERR_ARGUMENT);
    hooks.lock = NULL; // "NULL: that is refused, one context publishes"
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_OK);
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "x", 1), RTPUSH_ERR_STATE);
    T_EQ(rtpush_publish(&w->srv, T_LOG, "x", 1), RTPUSH_OK);
    hooks.lock = hooks.unlock = p_lock;
    hooks.wake = NULL; // "Or NULL"
    p_locks = 0;
    T_EQ(rtpush_attach(&w->srv, &hooks), RTPUSH_OK);
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "y", 1), RTPUSH_OK);
    T_CHECK(p_locks > 0 && p_locks % 2 == 0, "%u calls of the lock", p_locks);
    T_EQ(w->wakes, 0);
    T_EQ(rtpush_get_counters(&w->srv)->published, 2);
}

// "rtpush_attach: before rtpush_publish_from is called": a port without hooks serves.
static void promise_of_a_port_without_hooks(U_STATE) {
    t_world *w = t_fixture();
    T_EQ(t_init(w), RTPUSH_OK);
    (void)rtpush_tick(&w->srv, 1000);
    int mine;
    rtpush_conn *c = rtpush_accept(&w->srv, 0, 1, &mine);
    char text[] = "GET /hello HTTP/1.0\r\n\r\n";
    rtpush_span span;
    T_EQ(rtpush_input(&w->srv, c, text, sizeof text - 1), sizeof text - 1);
    T_EQ(rtpush_output(&w->srv, c, &span, 1), 1);
    (void)rtpush_sent(&w->srv, c, span.len, span.len);
    T_EQ(rtpush_output(&w->srv, c, &span, 1), RTPUSH_FIN);
    rtpush_acked(&w->srv, c, 1); // as lwIP counts the FIN
    rtpush_eof(&w->srv, c);
    assert_null(rtpush_next(&w->srv));
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
    t_tick(w);
}

// "max_per_peer: connections with the same peer value", "0 unknown": of which nothing is known.
static void promise_unknown_peers_are_not_counted_together(U_STATE) {
    t_world *w = t_fixture();
    w->desc.max_per_peer = 1;
    t_start(w);
    assert_non_null(t_connect_peer(w, 0, 0));
    assert_non_null(t_connect_peer(w, 0, 0));
    assert_non_null(t_connect_peer(w, 0, 5));
    assert_null(t_connect_peer(w, 0, 5));
    T_EQ(t_app_of(w)->refused_why, RTPUSH_REASON_PEER_LIMIT);
}

static void promise_an_upload_needs_on_request(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].on_request = NULL;
    T_EQ(t_init(w), RTPUSH_ERR_CONFIG);
    assert_string_equal(rtpush_config_error(&w->srv),
                        "routes[4].on_request: a function needed, given: NULL");
    t_routes[T_R_UPLOAD].on_request = t_on_request;
    t_start(w);
}

// "headers: of one that comes twice the last line counts"; "max_body: of others any is answered
// 413, a chunked one also if it is empty".
static void promise_of_fields_and_bodies_of_a_route(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "GET /keep HTTP/1.1\r\n" T_HOST
                          "X-One: a\r\nX-Two: b\r\nX-One: c\r\n\r\n");
    u_expect(p, "200 |one=c two=b");
    u_free(p);
    p = u_open(w, "POST /keep HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\n\r\n");
    T_EQ(p->cl.status, 200);
    u_free(p);
    p = u_open(w, "POST /keep HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    T_EQ(p->cl.status, 413);
}

// rtpush_config_error: "ends with the next rtpush_init of srv", and "srv is not started".
static void promise_an_error_ends_with_the_next_init(U_STATE) {
    t_world *w = t_fixture();
    w->desc.max_streams = 99;
    T_EQ(t_init(w), RTPUSH_ERR_CONFIG);
    assert_string_equal(rtpush_config_error(&w->srv), "max_streams: 0 to 4 needed, 99 given");
    w->desc.max_streams = 0;
    t_start(w);
    assert_string_equal(rtpush_config_error(&w->srv), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(promise_strings_of_a_request_end_with_a_nul),
        u_test(promise_body_is_empty_where_it_is_not_whole),
        u_test(promise_host_and_rest_are_what_the_header_says),
        u_test(promise_peer_and_secure_are_what_accept_was_given),
        u_test(promise_user_of_the_grant_is_the_connections),
        u_test(promise_route_of_a_handle),
        u_test(promise_a_grant_of_more_than_8000_s_ends_after_8000),
        u_test(promise_methods_of_a_route),
        u_test(promise_a_file_without_etag_is_always_sent),
        u_test(promise_zero_means_the_documented_default),
        u_test(promise_desc_may_be_forgotten_after_init),
        u_test(promise_streams_of_all_kinds_count),
        u_test(promise_counters_count_what_they_say),
        u_test(promise_topics_and_values_are_found),
        u_test(promise_parts_of_a_message_are_in_order),
        u_test(promise_subscribed_event_topics_begin_now),
        u_test(promise_a_close_reason_has_123_bytes),
        u_test(promise_what_was_left_for_later_comes_again_within_250_ms),
        u_test(promise_a_body_that_is_not_static_is_copied),
        u_test(promise_a_filter_is_attached_once),
        u_test(promise_hooks_may_be_attached_again),
        u_test(promise_user_of_the_desc_is_the_servers),
        u_test(promise_the_zero_handle_names_nobody),
        u_test(promise_of_a_topic_added_to_a_reader_that_is_behind),
        u_test(promise_of_header_values_without_control_characters),
        u_test(promise_of_a_server_without_options),
        u_test(promise_of_streams_without_callbacks),
        u_test(promise_of_a_server_without_state_topics),
        u_test(promise_of_32_topics),
        u_test(promise_an_id_has_three_numbers_at_most),
        u_test(promise_of_requests_that_standards_name),
        u_test(promise_content_type_is_for_bodies),
        u_test(promise_what_does_not_fit_rx_size_is_refused),
        u_test(promise_authorize_may_answer_any_error),
        u_test(promise_on_refuse_is_told_the_peer),
        u_test(promise_what_no_route_accepts_is_not_authorized),
        u_test(promise_reply_with_any_status),
        u_test(promise_reply_refuses_what_it_cannot_write),
        u_test(promise_reply_text_of_nothing),
        u_test(promise_of_heads_that_do_not_fit_tx_size),
        u_test(promise_not_now_to_head_is_the_head),
        u_test(promise_shutdown_lets_a_request_finish),
        u_test(promise_shutdown_opens_no_stream),
        u_test(promise_retry_ms_is_given_to_the_browser),
        u_test(promise_close_lets_an_answer_come_first),
        u_test(promise_abort_between_requests_is_a_reset),
        u_test(promise_a_commit_is_published_once),
        u_test(promise_seed_spreads_retry_times),
        u_test(promise_gone_may_come_before_drop),
        u_test(promise_an_aborted_holder_is_dropped_by_publish),
        u_test(promise_no_handle_is_the_zero_handle),
        u_test(promise_on_gap_may_abort_a_poll),
        u_test(promise_on_message_may_abort_what_it_left),
        u_test(promise_rtt_is_of_our_pings_alone),
        u_test(promise_a_close_is_answered_when_there_is_room),
        u_test(promise_a_ping_waits_for_room_and_follows_no_close),
        u_test(promise_send_refuses_what_it_cannot_send),
        u_test(promise_of_hooks),
        u_test(promise_of_a_port_without_hooks),
        u_test(promise_unknown_peers_are_not_counted_together),
        u_test(promise_an_upload_needs_on_request),
        u_test(promise_of_fields_and_bodies_of_a_route),
        u_test(promise_an_error_ends_with_the_next_init),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
