// Promises in >>api that no other program here tests: each test is one sentence, in the order of
// the header.
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
        memset(w->srv.bytes, 'Q', 2048); // what an earlier request may have left
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
    assert_null(rtpush_state_get(&w->srv, 0, &len)); // an EVENT topic has none
    assert_null(rtpush_state_get(&w->srv, 99, &len));
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
