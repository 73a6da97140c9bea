// HTTP/1.1 (RFC 9110, RFC 9112) beyond the transcripts: bodies under back-pressure, long answers,
// late answers, limits at their edges.
#include "unit.h"

// -- heads ----------------------------------------------------------------------------------------

// RFC 9112 2.2: keep-alive is the default; a second request is read after the first is answered.
static void http_keeps_the_connection_for_the_next_request(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /hello}");
    u_is(p, "200 hello\n");
    for (int i = 0; i < 20; i++) {
        t_say(p->c, "{GET /files/again}");
        u_is(p, "200 again\n");
    }
    T_EQ(rtpush_get_counters(&w->srv)->requests, 21);
}

// RFC 9112 3: a target of every length around the buffer is served or answered 414, never else.
static void http_answers_414_from_a_certain_length_on(U_STATE) {
    int refused = 0;
    for (int len = 1; len < 600; len++) {
        char text[64];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "{GET /files/}");
        t_buf in = {0};
        t_puts(&in, "GET /files/");
        for (int i = 0; i < len; i++) {
            t_puts(&in, "p");
        }
        t_puts(&in, " HTTP/1.1\r\n" T_HOST "\r\n");
        u_peer *p = u_new(w);
        p->c = t_connect(w);
        t_feed(p->c, in.data, in.len);
        u_read(p);
        T_CHECK(p->cl.answers == 1, "length %d: %d answers", len, p->cl.answers);
        if (p->cl.status != 200) {
            T_CHECK(p->cl.status == 414 || (p->cl.status == 431 && refused == 0),
                    "length %d: status %d", len, p->cl.status);
            refused = 1;
        } else {
            T_CHECK(!refused, "length %d is served, a shorter one was not", len);
            T_EQ(p->cl.body.len, len);
        }
        t_buf_free(&in);
        u_free(p);
        t_finish(w);
    }
    assert_true(refused);
}

static void http_reads_a_700_byte_browser_head_with_512_bytes(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(
        w, "GET /keep HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: keep-alive\r\nCache-Control: "
           "max-age=0\r\nsec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
           "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n"
           "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
           "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\nAccept: "
           "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
           "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n"
           "Sec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
           "Accept-Language: de-DE,de;q=0.9,en;q=0.8\r\nCookie: theme=dark; sid=42; lang=de\r\n"
           "X-One: 1\r\n\r\n");
    u_expect(p, "200 |one=1 |cookie=42 ");
}

// Section 9.3.2 of RFC 9110: HEAD has the fields of GET, and nothing after them.
static void http_head_has_the_fields_of_get(U_STATE) {
    static const char *const paths[] = {"/", "/app.js", "/hello", "/big"};
    for (size_t i = 0; i < 4; i++) {
        char text[80];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "{GET %s}", paths[i]);
        u_peer *p = u_open(w, text);
        t_buf get = {0};
        t_put(&get, p->cl.head.data, p->cl.head.len);
        p->cl.head_only = 1;
        snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\n" T_HOST "\r\n", paths[i]);
        t_say(p->c, text);
        u_read(p);
        T_EQ(p->cl.answers, 2);
        T_CHECK(strcmp(t_text(&get), t_text(&p->cl.head)) == 0, "%s: HEAD says\n%s, GET says\n%s",
                paths[i], t_text(&p->cl.head), t_text(&get));
        t_buf_free(&get);
        u_free(p);
        t_finish(w);
    }
}

// Section 12.5.5 of RFC 9110: the answer depends on Accept-Encoding, so it says so.
static void http_file_with_two_forms_says_vary(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /}");
    T_CHECK(t_field_is(&p->cl, "Vary", "Origin, Accept-Encoding"), "%s", t_text(&p->cl.head));
    T_CHECK(t_field(&p->cl, "ETag") != NULL, "no ETag");
    T_CHECK(t_field_is(&p->cl, "Cache-Control", "no-cache"), "Cache-Control");
    T_CHECK(t_field_is(&p->cl, "Content-Type", "text/html; charset=utf-8"), "Content-Type");
}

static void http_reply_has_the_documented_defaults(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /hello}");
    T_CHECK(t_field_is(&p->cl, "Content-Type", "text/plain; charset=utf-8"), "Content-Type");
    T_CHECK(t_field_is(&p->cl, "Cache-Control", "no-store"), "Cache-Control");
}

// Section 4.4 of RFC 6455 and RFC 9110 15.5.22: 426 names the version and the protocol.
static void http_426_names_what_is_required(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "GET /ws HTTP/1.1\r\n" T_UPGRADE "Sec-WebSocket-Key: " T_KEY
                          "\r\nSec-WebSocket-Version: 8\r\n\r\n");
    T_EQ(p->cl.status, 426);
    T_CHECK(t_field_is(&p->cl, "Sec-WebSocket-Version", "13"), "no Sec-WebSocket-Version: 13");
    T_CHECK(t_field_is(&p->cl, "Upgrade", "websocket"), "no Upgrade: websocket");
    const char *connection = t_field(&p->cl, "Connection");
    T_CHECK(connection != NULL && strstr(connection, "pgrade") != NULL,
            "section 7.8 of RFC 9110: Upgrade must be listed in Connection, seen %s",
            connection ? connection : "nothing");
}

// -- bodies ---------------------------------------------------------------------------------------

// RFC 9110 10.1.1: 100 first, then the body, then the answer.
static void http_expect_continue_is_answered_before_the_body(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "POST /echo HTTP/1.1\r\n" T_HOST
                          "Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n");
    T_EQ(p->cl.interim, 1);
    T_EQ(p->cl.answers, 0);
    t_says(p->c, "abc");
    u_is(p, "200 abc\n");
    t_say(p->c, "{GET /hello}");
    u_is(p, "200 hello\n");
    T_EQ(p->cl.interim, 1);
}

static void http_body_piece_left_for_later_comes_again(U_STATE) {
    t_world *w = t_begin();
    t_app_of(w)->later = 5;
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3000\r\n\r\n"
                          "{rep 3000 b}");
    t_advance(w, 5000);
    u_expect(p, "200 3000 ");
    t_expect_events(w, "uploaded 3000 ");
}

static void http_body_left_for_ever_ends_with_a_deadline(U_STATE) {
    t_world *w = t_begin();
    t_app_of(w)->later = T_FOREVER;
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3000\r\n\r\n"
                          "{rep 3000 b}");
    t_advance(w, 90000);
    u_read(p);
    T_CHECK(t_ended(p->c), "a request that is never served lives on");
}

static int refuse_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                       size_t len, int last) {
    (void)data;
    (void)len;
    (void)last;
    T_CHECK(rtpush_reply_text(srv, req->conn, 422, "enough") == RTPUSH_OK, "reply refused");
    return RTPUSH_OK;
}

// An answer before the body's end: the client gets it, and the rest is not read as a request.
static void http_early_answer_ends_the_upload(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].on_body = refuse_body;
    t_start(w);
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 5000\r\n\r\nabc");
    u_expect(p, "422 enough");
    t_say(p->c, "{GET /hello}{rep 4000 x}{GET /hello}");
    u_expect(p, "!hello");
    t_expect_events(w, "request POST|close |!request GET");
}

// -- answers --------------------------------------------------------------------------------------

static void http_late_answer_holds_back_the_pipelined_request(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /later}{GET /hello}");
    u_is(p, "");
    t_advance(w, 2000);
    t_expect_events(w, "request GET /later|!/hello");
    w->call = T_IN_API;
    T_EQ(rtpush_reply_text(&w->srv, t_app_of(w)->last, 200, "at last"), RTPUSH_OK);
    T_EQ(rtpush_reply_text(&w->srv, t_app_of(w)->last, 200, "twice"), RTPUSH_ERR_STATE);
    t_leave(w);
    t_run_ready(w);
    u_is(p, "200 at last\n200 hello\n");
}

static void http_long_static_body_is_sent_whole_in_small_windows(U_STATE) {
    for (int mode = 0; mode < 3; mode++) {
        t_world *w = t_begin();
        u_peer *p = u_new(w);
        p->c = t_connect(w);
        p->c->hold_acks = mode > 0;
        p->c->window = mode == 2 ? 0 : SIZE_MAX;
        t_say(p->c, "{GET /big}");
        for (int i = 0; i < 3000 && p->cl.answers == 0; i++) {
            if (mode == 2) {
                p->c->window += 37;
            }
            t_ack(p->c, 11 + p->c->unacked / 2);
            t_serve(p->c);
            u_read(p);
        }
        T_EQ(p->cl.answers, 1);
        T_EQ(p->cl.body.len, sizeof t_big);
        T_CHECK(memcmp(p->cl.body.data, t_big, sizeof t_big) == 0, "the body differs");
        u_free(p);
        t_finish(w);
    }
}

static void http_pulled_answer_is_whole_at_every_size(U_STATE) {
    for (uint32_t size = 0; size < 3000; size += size < 600 ? 1 : 97) {
        t_world *w = t_begin();
        t_app_of(w)->pull_size = size;
        w->bite = size % 5 ? 0 : 7;
        w->quiet = 1;
        u_peer *p = u_open(w, "{GET /pull}");
        T_CHECK(p->cl.answers == 1, "size %lu: no whole answer", (unsigned long)size);
        T_EQ(p->cl.body.len, size);
        for (uint32_t i = 0; i < size; i++) {
            T_CHECK(p->cl.body.data[i] == 'a' + i % 26, "byte %lu differs", (unsigned long)i);
        }
        u_free(p);
        t_finish(w);
    }
}

static void http_pull_may_say_later_and_resume(U_STATE) {
    t_world *w = t_begin();
    t_app_of(w)->pull_later = T_FOREVER;
    u_peer *p = u_open(w, "{GET /pull}");
    u_is(p, "");
    t_app_of(w)->pull_later = 0;
    w->call = T_IN_API;
    T_EQ(rtpush_retry(&w->srv, t_app_of(w)->last), RTPUSH_OK);
    t_leave(w);
    t_run_ready(w);
    u_expect(p, "200 abcdef");
    t_app_of(w)->pull_later = 3; // without rtpush_retry it is asked again by itself
    t_say(p->c, "{GET /pull}");
    t_advance(w, 2000);
    u_expect(p, "200 abcdef");
}

// Section 8 of RFC 9112: an answer that cannot be finished must not look finished.
static void http_pull_that_fails_never_looks_complete(U_STATE) {
    static const char *const heads[2] = {"{GET /pull}", "GET /pull HTTP/1.0\r\n\r\n"};
    for (int version = 0; version < 2; version++) {
        t_world *w = t_begin();
        t_app_of(w)->pull_fail_at = 400;
        u_peer *p = u_open(w, heads[version]);
        t_advance(w, 1000);
        u_read(p);
        T_EQ(p->cl.answers, 0);
        T_CHECK(p->c->dropped == 1, "the connection was not reset");
        t_expect_events(w, "close ");
        u_free(p);
        t_finish(w);
    }
}

static rtpush_response g_response;
static int g_result;
static void reply_global(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    g_result = rtpush_reply(srv, req->conn, &g_response);
    if (g_result != RTPUSH_OK) {
        T_CHECK(rtpush_reply_text(srv, req->conn, 500, "second try") == RTPUSH_OK,
                "after a refused answer another one must be possible");
    }
}

static t_world *reply_world(void) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_request = reply_global;
    t_start(w);
    return w;
}

// Response splitting: what the application sets must not hold CR, LF or NUL.
static void http_reply_refuses_line_ends_in_headers(U_STATE) {
    static const char *const bad[][3] = {
        {"X-A", "1\r\nSet-Cookie: a=b", NULL},
        {"X-A", "1\n", NULL},
        {"X-A", "\r", NULL},
        {"X-A\r\nX-B", "1", NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        t_world *w = reply_world();
        memset(&g_response, 0, sizeof g_response);
        g_response.headers = bad[i];
        u_peer *p = u_open(w, "{GET /hello}");
        T_EQ(g_result, RTPUSH_ERR_ARGUMENT);
        u_is(p, "500 second try\n");
        u_free(p);
        t_finish(w);
    }
    t_world *w = reply_world();
    memset(&g_response, 0, sizeof g_response);
    g_response.content_type = "text/plain\r\nX: y";
    u_open(w, "{GET /hello}");
    T_EQ(g_result, RTPUSH_ERR_ARGUMENT);
}

static void http_reply_sends_status_type_and_headers(U_STATE) {
    static const char *const headers[] = {"X-A", "one", "Set-Cookie", "sid=1; HttpOnly", NULL};
    t_world *w = reply_world();
    memset(&g_response, 0, sizeof g_response);
    g_response.status = 201;
    g_response.content_type = "application/json";
    g_response.cache_control = "max-age=5";
    g_response.headers = headers;
    g_response.body = "[1]";
    g_response.len = 3;
    u_peer *p = u_open(w, "{GET /hello}");
    T_EQ(g_result, RTPUSH_OK);
    u_is(p, "201 [1]\n");
    T_CHECK(t_field_is(&p->cl, "X-A", "one"), "X-A");
    T_CHECK(t_field_is(&p->cl, "Set-Cookie", "sid=1; HttpOnly"), "Set-Cookie");
    T_CHECK(t_field_is(&p->cl, "Content-Type", "application/json"), "Content-Type");
    T_CHECK(t_field_is(&p->cl, "Cache-Control", "max-age=5"), "Cache-Control");
}

// RFC 9112 6.2, 6.3: a second length, or what else contradicts a field of ours.
static void http_reply_refuses_headers_that_contradict_its_own(U_STATE) {
    static const char *const bad[][3] = {
        {"Content-Length", "5", NULL},       {"content-length", "0", NULL},
        {"Transfer-Encoding", "chunked", NULL}, {"TRANSFER-ENCODING", "identity", NULL},
        {"Connection", "close", NULL},       {"Upgrade", "h2c", NULL},
        {"Content-Type", "text/html", NULL}, {"cOntent-tYpe", "text/html", NULL},
        {"Cache-Control", "public", NULL},   {"X-Content-Type-Options", "nosniff", NULL},
        {"", "no name", NULL},               {"X A", "no token (RFC 9110 5.1)", NULL},
        {"X-A:", "no token", NULL},          {"X-A", NULL, NULL}};
    static const char *const good[][3] = {
        {"Content-Lengths", "5", NULL}, {"X-Connection", "close", NULL},
        {"Content-Encoding", "gzip", NULL}, {"Vary", "Cookie", NULL},
        {"!#$%&'*+-.^_`|~", "", NULL}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        t_world *w = reply_world();
        memset(&g_response, 0, sizeof g_response);
        g_response.headers = bad[i];
        u_peer *p = u_open(w, "{GET /hello}");
        T_CHECK(g_result == RTPUSH_ERR_ARGUMENT, "%s is sent", bad[i][0]);
        u_is(p, "500 second try\n");
        u_free(p);
        t_finish(w);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        t_world *w = reply_world();
        memset(&g_response, 0, sizeof g_response);
        g_response.headers = good[i];
        u_peer *p = u_open(w, "{GET /hello}");
        T_CHECK(g_result == RTPUSH_OK && t_field_is(&p->cl, good[i][0], good[i][1]),
                "%s is not sent", good[i][0]);
        u_free(p);
        t_finish(w);
    }
}

// An application that says itself who may read its answer is not contradicted by desc.origins.
static void http_reply_may_say_who_reads_it(U_STATE) {
    static const char *const headers[] = {"access-control-allow-ORIGIN", "*", NULL};
    t_world *w = reply_world();
    memset(&g_response, 0, sizeof g_response);
    g_response.headers = headers;
    u_peer *p = u_open(w, "GET /hello HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n\r\n");
    T_EQ(g_result, RTPUSH_OK);
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Origin", "*"), "the application's");
    T_CHECK(strstr(t_text(&p->cl.head), "app.example") == NULL, "ours beside it");
    T_CHECK(t_field(&p->cl, "Access-Control-Allow-Credentials") == NULL, "* with credentials");
    g_response.headers = NULL; // on the same connection ours are back
    t_say(p->c, "GET /hello HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n\r\n");
    u_read(p);
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Origin", "https://app.example"), "ours");
}

// RFC 9110 15: what an application may answer has its phrase.
static void http_every_status_has_its_phrase(U_STATE) {
    static const char *const phrases[] = {
        "200 OK", "201 Created", "202 Accepted", "203 Non-Authoritative Information",
        "204 No Content", "205 Reset Content", "206 Partial Content", "300 Multiple Choices",
        "301 Moved Permanently", "302 Found", "303 See Other", "304 Not Modified",
        "305 Use Proxy", "307 Temporary Redirect", "308 Permanent Redirect", "400 Bad Request",
        "401 Unauthorized", "402 Payment Required", "403 Forbidden", "404 Not Found",
        "405 Method Not Allowed", "406 Not Acceptable", "407 Proxy Authentication Required",
        "408 Request Timeout", "409 Conflict", "410 Gone", "411 Length Required",
        "412 Precondition Failed", "413 Content Too Large", "414 URI Too Long",
        "415 Unsupported Media Type", "416 Range Not Satisfiable", "417 Expectation Failed",
        "421 Misdirected Request", "422 Unprocessable Content", "423 Locked",
        "426 Upgrade Required", "428 Precondition Required", "429 Too Many Requests",
        "431 Request Header Fields Too Large", "451 Unavailable For Legal Reasons",
        "500 Internal Server Error", "501 Not Implemented", "502 Bad Gateway",
        "503 Service Unavailable", "504 Gateway Timeout", "505 HTTP Version Not Supported",
        "507 Insufficient Storage", "511 Network Authentication Required", "299 ", "599 "};
    char line[80];
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        t_world *w = reply_world();
        memset(&g_response, 0, sizeof g_response);
        g_response.status = (uint16_t)atoi(phrases[i]);
        snprintf(line, sizeof line, "HTTP/1.1 %s\r\n", phrases[i]);
        u_peer *p = u_open(w, "{GET /hello}{GET /files/next}");
        T_EQ(g_result, RTPUSH_OK);
        T_EQ(p->cl.answers, 2); // its length was understood
        t_say(p->c, "{GET /hello}");
        u_read(p);
        T_CHECK(strncmp(t_text(&p->cl.head), line, strlen(line)) == 0, "seen %.40s, not %s",
                t_text(&p->cl.head), line);
        u_free(p);
        t_finish(w);
    }
    static const uint16_t none[] = {1, 100, 101, 199, 600, 999, 65535};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        t_world *w = reply_world();
        memset(&g_response, 0, sizeof g_response);
        g_response.status = none[i];
        u_peer *p = u_open(w, "{GET /hello}");
        T_CHECK(g_result == RTPUSH_ERR_ARGUMENT, "status %d is sent", none[i]);
        u_free(p);
        t_finish(w);
    }
}

// RFC 9110 15.3.6: 205 has no content.
static void http_205_takes_no_body(U_STATE) {
    t_world *w = reply_world();
    memset(&g_response, 0, sizeof g_response);
    g_response.status = 205;
    g_response.body = "x";
    g_response.len = 1;
    u_open(w, "{GET /hello}");
    T_EQ(g_result, RTPUSH_ERR_ARGUMENT);
}

// RFC 9110 8.6, 15.3.5: no body and no Content-Length with 204.
static void http_204_has_no_body(U_STATE) {
    t_world *w = reply_world();
    memset(&g_response, 0, sizeof g_response);
    g_response.status = 204;
    u_peer *p = u_open(w, "{GET /hello}{GET /files/next}");
    u_is(p, "204 \n200 next\n");
}

static void http_reply_too_big_sends_nothing(U_STATE) {
    static char body[2000];
    memset(body, 'b', sizeof body);
    int refused = 0;
    for (uint32_t len = 0; len < 700; len++) {
        t_world *w = reply_world();
        memset(&g_response, 0, sizeof g_response);
        g_response.body = body;
        g_response.len = len;
        u_peer *p = u_open(w, "{GET /hello}");
        if (g_result == RTPUSH_OK) {
            T_CHECK(!refused, "%lu bytes fit, fewer did not", (unsigned long)len);
            T_EQ(p->cl.status, 200);
            T_EQ(p->cl.body.len, len);
        } else {
            T_EQ(g_result, RTPUSH_ERR_TOO_BIG);
            T_EQ(p->cl.status, 500);
            refused = 1;
        }
        u_free(p);
        t_finish(w);
    }
    assert_true(refused);
}

static void http_reply_may_wait_behind_an_unread_one(U_STATE) {
    t_world *w = t_begin(); // tx still holds the first answer when the second request is read
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    p->c->window = 0;
    t_say(p->c, "{GET /hello}{GET /hello}{GET /hello}{GET /hello}{GET /hello}{GET /hello}");
    u_is(p, "");
    p->c->window = SIZE_MAX;
    t_serve(p->c);
    t_run_ready(w);
    u_is(p, "200 hello\n200 hello\n200 hello\n200 hello\n200 hello\n200 hello\n");
}

// -- rate and room --------------------------------------------------------------------------------

static void http_answers_429_to_a_flood(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_messages = 10;
    w->quiet = 1;
    t_start(w);
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    int limited = 0;
    for (int i = 0; i < 50 && !t_ended(p->c); i++) {
        t_say(p->c, "{GET /hello}");
        u_read(p);
        limited += p->cl.status == 429;
        T_CHECK(p->cl.status == 200 || p->cl.status == 429, "status %d", p->cl.status);
        T_CHECK(i >= 20 || p->cl.status == 200, "limited at request %d, burst is 20", i);
    }
    assert_true(limited > 0);
}

static void http_accept_evicts_an_idle_connection_when_slots_are_out(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 3;
    t_start(w);
    u_peer *stream = u_stream(w, "{GET /events}");
    u_peer *idle = u_open(w, "{GET /hello}");
    t_advance(w, 1000);
    u_peer *silent = u_open(w, ""); // connected, nothing said
    t_advance(w, 1000);
    u_peer *late = u_open(w, "{GET /hello}");
    u_is(late, "200 hello\n");
    T_CHECK(!t_ended(stream->c), "a stream was evicted");
    T_EQ(t_ended(idle->c) + t_ended(silent->c), 1);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_EVICTED_SLOT], 1);
}

static void http_accept_refuses_when_every_slot_is_busy(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 2;
    w->desc.max_streams = 2;
    t_start(w);
    u_stream(w, "{GET /events}");
    u_peer *b = u_stream(w, "{WS /ws}");
    for (int i = 0; i < 1000; i++) {
        T_CHECK(t_connect_peer(w, 0, 7) == NULL, "a third connection in two slots");
    }
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_NO_SLOT], 1000);
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 2);
    t_send_text(b->c, "alive");
    u_is(b, "1 alive\n");
}

static void http_max_per_peer_counts_each_address(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    w->desc.max_per_peer = 2;
    t_start(w);
    t_conn *a = t_connect_peer(w, 0, 77);
    assert_non_null(a);
    assert_non_null(t_connect_peer(w, 0, 77));
    assert_null(t_connect_peer(w, 0, 77));
    assert_non_null(t_connect_peer(w, 0, 78));
    t_cut(a);
    t_run_ready(w);
    assert_non_null(t_connect_peer(w, 0, 77));
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_PEER_LIMIT], 1);
}

static void http_handler_connection_cut_is_told_once(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "{GET /later}");
    rtpush_handle handle = t_app_of(w)->last;
    t_cut(p->c);
    t_run_ready(w);
    t_expect_events(w, "request GET /later|close TRANSPORT~close PEER_CLOSED");
    T_EQ(rtpush_reply_text(&w->srv, handle, 200, "nobody"), RTPUSH_ERR_STALE);
}

// RFC 9112 9.6: half-close after the request: the answer still goes out.
static void http_peer_that_half_closes_gets_its_answer(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    t_buf in = {0};
    t_expand(&in, "{GET /big}");
    p->c->window = 100;
    t_feed_only(p->c, in.data, in.len);
    t_eof(p->c);
    p->c->window = SIZE_MAX;
    t_serve(p->c);
    t_run_ready(w);
    u_read(p);
    T_EQ(p->cl.answers, 1);
    T_EQ(p->cl.body.len, sizeof t_big);
    t_advance(w, 3000);
    T_CHECK(t_ended(p->c), "the connection stays after both sides are done");
    t_buf_free(&in);
}

// RFC 9112 9.6: close in steps, so that the last answer is not lost to a reset.
static void http_closing_reads_on_until_the_peer_finishes(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    p->c->manual_close = 1;
    t_say(p->c, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 5000\r\n\r\n");
    u_expect(p, "413 ");
    T_EQ(p->c->fin, 1);
    T_EQ(p->c->dropped, 0);
    t_say(p->c, "{rep 5000 x}"); // still on its way: taken and thrown away
    T_EQ(p->c->in.len, 0);
    T_EQ(p->c->dropped, 0);
    t_eof(p->c);
    t_run(w);
    T_EQ(p->c->dropped, 2);
}

static void http_fin_waits_for_every_acknowledgement(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    p->c->hold_acks = 1;
    t_say(p->c, "BREW / HTTP/1.1\r\n\r\n");
    u_read(p);
    T_EQ(p->c->fin, 0);
    t_ack(p->c, p->c->unacked - 1);
    t_serve(p->c);
    T_EQ(p->c->fin, 0);
    t_ack(p->c, 1);
    t_serve(p->c);
    t_run_ready(w);
    T_EQ(p->c->fin, 1);
}

static void http_query_reads_parameters(U_STATE) {
    char out[16];
    T_EQ(rtpush_query("a=1&b=two", "b", out, sizeof out), 3);
    assert_string_equal(out, "two");
    T_EQ(rtpush_query("a=1&b=two", "a", out, sizeof out), 1);
    T_EQ(rtpush_query("ab=1&b=2", "b", out, sizeof out), 1);
    assert_string_equal(out, "2");
    T_EQ(rtpush_query("a=%41%20b", "a", out, sizeof out), 3);
    assert_string_equal(out, "A b");
    out[0] = '#';
    T_EQ(rtpush_query("a=", "a", out, 0), RTPUSH_ERR_ARGUMENT);
    T_EQ(out[0], '#');
    T_EQ(rtpush_query("a=", "a", out, sizeof out), 0);
    assert_string_equal(out, "");
    T_EQ(rtpush_query("a=1", "b", out, sizeof out), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_query("", "b", out, sizeof out), RTPUSH_ERR_ARGUMENT);
    static const char *const malformed[] = {"a=%4", "a=%", "a=%zz", "a=%00", "a=%0&b=1", "a=b%1f",
                                            "a=%7F", "a=1&a=2", "a=&a=", "a=1&b=2&a", "a=1&%61=2"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        int result = rtpush_query(malformed[i], "a", out, sizeof out);
        T_CHECK(result == RTPUSH_ERR_MALFORMED, "%s: %d", malformed[i], result);
    }
    T_EQ(rtpush_query("a=0123456789abcdef", "a", out, sizeof out), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_query("a=0123456789abcde", "a", out, sizeof out), 15);
    T_EQ(rtpush_query("x=1&a=5", "a", out, 2), 1);
    T_EQ(rtpush_query("x=1&a=55", "a", out, 2), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_query("a=%35", "a", out, 2), 1); // decoded it fits
    // Names are decoded as values are; what is decoded is never a separator.
    static const char *const five[] = {"%61b=5", "a%62=5", "%61%62=5", "ab=%35", "x&ab=5",
                                       "&&ab=5&", "%zz=1&ab=5", "ab%3D=1&ab=5", "ab%26=1&ab=5",
                                       "abc=1&a=2&ab=5", "x=ab&ab=5", "a%2=1&ab=5"};
    for (size_t i = 0; i < sizeof five / sizeof five[0]; i++) {
        T_CHECK(rtpush_query(five[i], "ab", out, sizeof out) == 1 && out[0] == '5', "%s", five[i]);
    }
    static const char *const none[] = {"", "&", "a", "abc", "ab%3D5", "x=ab", "a=b", "AB=5", "=ab",
                                       "a%62c=5", "%=5", "a%"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        T_CHECK(rtpush_query(none[i], "ab", out, sizeof out) == RTPUSH_ERR_ARGUMENT, "%s", none[i]);
    }
    T_EQ(rtpush_query("ab", "ab", out, sizeof out), 0); // a name alone has an empty value
    T_EQ(rtpush_query("x&ab&y", "ab", out, sizeof out), 0);
    T_EQ(rtpush_query("a+b=1", "a b", out, sizeof out), 1);
    T_EQ(rtpush_query("a=%26%3D%2B%25", "a", out, sizeof out), 4);
    assert_string_equal(out, "&=+%");
}

// -- less usual ways ------------------------------------------------------------------------------

// Section 8.8.3.3 of RFC 9110: each encoding is a representation with a tag of its own.
static void http_gzip_form_has_its_own_etag(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "GET / HTTP/1.1\r\n" T_HOST "Accept-Encoding: gzip\r\n\r\n");
    char gzip[64];
    char text[300];
    snprintf(gzip, sizeof gzip, "%s", t_field(&p->cl, "ETag"));
    t_say(p->c, "{GET /}");
    u_clear(p);
    T_CHECK(strcmp(gzip, t_field(&p->cl, "ETag")) != 0, "both forms have the tag %s", gzip);
    snprintf(text, sizeof text,
             "GET / HTTP/1.1\r\n" T_HOST "Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n\r\n",
             gzip);
    t_say(p->c, text);
    u_expect(p, "304 ");
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: %s\r\n\r\n", gzip);
    t_say(p->c, text); // the tag is of a form this client did not ask for
    u_expect(p, "200 ");
}

// RFC 9110 12.5.3: 406 only where the field was sent and leaves nothing we have.
static void http_406_when_gzip_is_excluded(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "GET /app.js HTTP/1.1\r\n" T_HOST "Accept-Encoding: br\r\n\r\n");
    u_expect(p, "406 ");
    t_say(p->c, "GET /app.js HTTP/1.1\r\n" T_HOST "Accept-Encoding: gzip;q=0.5\r\n\r\n");
    u_expect(p, "200 ");
}

// WHATWG Fetch 3.2: a listed origin is told that it may read; a foreign one hears nothing of it.
static void http_cors_headers_are_for_listed_origins_only(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "OPTIONS /echo HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n"
                          "Access-Control-Request-Method: PUT\r\n\r\n");
    T_CHECK(p->cl.status == 204 || p->cl.status == 200, "the preflight gets %d", p->cl.status);
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Origin", "https://app.example"), "origin");
    const char *methods = t_field(&p->cl, "Access-Control-Allow-Methods");
    T_CHECK(methods != NULL && strstr(methods, "PUT") != NULL, "methods: %s",
            methods ? methods : "none");
    t_say(p->c, "GET /hello HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n\r\n");
    u_expect(p, "200 hello");
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Origin", "https://app.example"), "origin");
    T_CHECK(t_field_is(&p->cl, "Vary", "Origin"), "section 12.5.5 of RFC 9110: Vary");
    t_say(p->c, "GET /events HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n\r\n");
    u_read(p);
    T_CHECK(t_field_is(&p->cl, "Access-Control-Allow-Origin", "https://app.example"), "events");
    u_free(p);
    p = u_open(w, "OPTIONS /echo HTTP/1.1\r\n" T_HOST "Origin: http://evil.example\r\n"
                  "Access-Control-Request-Method: PUT\r\n\r\n");
    u_expect(p, "403 ");
    T_CHECK(t_field(&p->cl, "Access-Control-Allow-Origin") == NULL, "a foreign origin may read");
}

static void put_whole_body(char *text, size_t size, int len) {
    snprintf(text, size, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: %d\r\n\r\n{rep %d z}",
             len, len);
}

static void http_body_must_fit_beside_its_head(U_STATE) {
    u_body_must_fit(put_whole_body);
}

static void http_upload_may_be_answered_after_its_end(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].on_body = NULL;
    t_routes[T_R_UPLOAD].max_body = 100;
    t_start(w);
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\n\r\nabc");
    u_is(p, "");
    t_expect_events(w, "request POST /upload? body=abc");
    w->call = T_IN_API;
    T_EQ(rtpush_reply_text(&w->srv, t_app_of(w)->last, 200, "thanks"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_is(p, "200 thanks\n");
}

static void http_streamed_upload_may_be_answered_after_its_end(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].on_body = u_take_quietly;
    t_start(w);
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\n\r\nabc"
                          "{GET /hello}");
    t_advance(w, 3000);
    u_is(p, "");
    w->call = T_IN_API;
    T_EQ(rtpush_reply_text(&w->srv, t_app_of(w)->last, 200, "thanks"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_is(p, "200 thanks\n200 hello\n");
}

static void http_rate_of_bytes_slows_an_upload(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_bytes = 1000;
    t_start(w);
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 8000\r\n\r\n"
                          "{rep 8000 s}");
    T_CHECK(p->c->in.len > 5000, "%lu bytes held back, the burst is 2,000",
            (unsigned long)p->c->in.len);
    t_advance(w, 2500);
    u_is(p, "");
    t_advance(w, 8000);
    u_expect(p, "200 8000 ");
}

static void http_pull_that_never_comes_is_cut_off(U_STATE) {
    t_world *w = t_begin();
    t_app_of(w)->pull_size = 100000;
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    t_app_of(w)->pull_later = T_FOREVER;
    t_say(p->c, "{GET /pull}");
    t_advance(w, 28000);
    T_CHECK(!t_ended(p->c), "cut off too early");
    t_advance(w, 30000);
    T_EQ(p->c->dropped, 1);
    t_expect_events(w, "close TIMEOUT_REPLY~close STALLED");
}

static void abort_in_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    t_on_close(srv, conn, closed);
    rtpush_abort(srv, conn);
}

static void http_on_close_of_a_request_may_abort(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_HELLO].on_close = abort_in_close;
    t_start(w);
    u_peer *p = u_open(w, "{GET /hello}{GET /hello}");
    t_run(w);
    u_expect(p, "200 hello");
    T_CHECK(t_ended(p->c), "not aborted");
}

static void http_file_whose_head_does_not_fit_is_500(U_STATE) {
    static char type[300];
    static rtpush_asset big;
    memset(type, 't', sizeof type - 1);
    big = t_index;
    big.content_type = type;
    t_world *w = t_fixture();
    t_routes[T_R_INDEX].asset = &big;
    w->desc.tx_size = 256;
    t_start(w);
    u_peer *p = u_open(w, "{GET /}");
    u_expect(p, "500 ");
}

static void http_head_of_an_event_stream_ends(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_new(w);
    p->cl.head_only = 1;
    p->c = t_open(w, "HEAD /events HTTP/1.1\r\n" T_HOST "\r\n");
    u_read(p);
    T_EQ(p->cl.answers, 1);
    T_CHECK(p->cl.status == 200 || p->cl.status == 405, "status %d", p->cl.status);
    T_EQ(p->cl.head.len > 0, 1);
    T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
}

static void http_query_plus_is_a_space(U_STATE) {
    char out[16];
    T_EQ(rtpush_query("a=1+2%2B3", "a", out, sizeof out), 5);
    assert_string_equal(out, "1 2+3");
    T_EQ(rtpush_query("a=1", "a", out, 0), RTPUSH_ERR_ARGUMENT);
}

// lwIP drops a segment that it cannot give us, with the acknowledgement in it that the answer waits
// for.
static void http_answer_that_closes_takes_what_comes_behind_it(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    p->c->hold_acks = 1;
    t_say(p->c, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 5000\r\n\r\n");
    u_expect(p, "413 ");
    T_EQ(p->c->fin, 0);
    t_say(p->c, "{rep 5000 x}");
    T_EQ(p->c->in.len, 0);
    t_ack(p->c, p->c->unacked);
    t_run(w);
    T_EQ(p->c->fin, 1);
}

static int pull_in_two(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                       uint8_t *buf, size_t cap) {
    t_app *app = t_app_of(t_world_of(srv));
    (void)conn;
    (void)user;
    (void)cap;
    if (offset == 0) {
        memcpy(buf, "data", 4);
        return 4;
    }
    if (app->pull_later > 0) {
        app->pull_later--;
        return RTPUSH_RETRY;
    }
    return 0;
}

static void reply_in_two(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    t_on_request(srv, req);
    response.pull = pull_in_two;
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_OK);
}

// Everything was sent and acknowledged before the application says that this was all.
static void http_pull_that_ends_late_ends_in_order(U_STATE) {
    static const char *const requests[] = {"GET /pull HTTP/1.0\r\n\r\n", "{GET /pull}",
                                           "GET /pull HTTP/1.1\r\n" T_HOST
                                           "Connection: close\r\n\r\n"};
    for (int i = 0; i < 3; i++) {
        t_world *w = t_fixture();
        t_routes[T_R_PULL].on_request = reply_in_two;
        t_app_of(w)->pull_later = 6;
        t_start(w);
        u_peer *p = u_open(w, requests[i]);
        t_advance(w, 4000);
        if (i != 1) {
            T_EQ(p->c->fin, 1);
            T_CHECK(p->c->dropped != 1, "reset instead of finished");
        }
        u_read(p);
        t_client_end(&p->cl);
        u_expect(p, "200 data\n");
        t_expect_events(w, "close NONE");
        u_free(p);
        t_finish(w);
    }
}


static void pull_without_content(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    t_on_request(srv, req);
    response.status = req->query[0] == '3' ? 304 : 204;
    response.pull = t_pull_bytes;
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_OK);
}

// RFC 9112 6.1: no Transfer-Encoding in a 204, which has no content; 6.3: nor has a 304.
static void http_pull_of_a_status_without_content_has_no_chunks(U_STATE) {
    static const char *const requests[] = {"{GET /hello}", "{GET /hello?304}"};
    for (size_t i = 0; i < 2; i++) {
        t_world *w = t_fixture();
        t_routes[T_R_HELLO].on_request = pull_without_content;
        t_start(w);
        u_peer *p = u_open(w, requests[i]);
        T_EQ(p->cl.status, i ? 304 : 204);
        T_CHECK(t_field(&p->cl, "Transfer-Encoding") == NULL, "chunks without content");
        T_CHECK(t_field(&p->cl, "Content-Length") == NULL, "a length without content");
        t_say(p->c, requests[i]);
        u_read(p);
        T_EQ(p->cl.answers, 2);
        u_free(p);
        t_finish(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(http_keeps_the_connection_for_the_next_request),
        u_test(http_answers_414_from_a_certain_length_on),
        u_test(http_reads_a_700_byte_browser_head_with_512_bytes),
        u_test(http_head_has_the_fields_of_get),
        u_test(http_file_with_two_forms_says_vary),
        u_test(http_reply_has_the_documented_defaults),
        u_test(http_426_names_what_is_required),
        u_test(http_expect_continue_is_answered_before_the_body),
        u_test(http_body_piece_left_for_later_comes_again),
        u_test(http_body_left_for_ever_ends_with_a_deadline),
        u_test(http_early_answer_ends_the_upload),
        u_test(http_late_answer_holds_back_the_pipelined_request),
        u_test(http_long_static_body_is_sent_whole_in_small_windows),
        u_test(http_pulled_answer_is_whole_at_every_size),
        u_test(http_pull_may_say_later_and_resume),
        u_test(http_pull_that_fails_never_looks_complete),
        u_test(http_reply_refuses_line_ends_in_headers),
        u_test(http_reply_sends_status_type_and_headers),
        u_test(http_reply_refuses_headers_that_contradict_its_own),
        u_test(http_reply_may_say_who_reads_it),
        u_test(http_every_status_has_its_phrase),
        u_test(http_205_takes_no_body),
        u_test(http_204_has_no_body),
        u_test(http_reply_too_big_sends_nothing),
        u_test(http_reply_may_wait_behind_an_unread_one),
        u_test(http_answers_429_to_a_flood),
        u_test(http_accept_evicts_an_idle_connection_when_slots_are_out),
        u_test(http_accept_refuses_when_every_slot_is_busy),
        u_test(http_max_per_peer_counts_each_address),
        u_test(http_handler_connection_cut_is_told_once),
        u_test(http_peer_that_half_closes_gets_its_answer),
        u_test(http_closing_reads_on_until_the_peer_finishes),
        u_test(http_fin_waits_for_every_acknowledgement),
        u_test(http_query_reads_parameters),
        u_test(http_gzip_form_has_its_own_etag),
        u_test(http_406_when_gzip_is_excluded),
        u_test(http_cors_headers_are_for_listed_origins_only),
        u_test(http_body_must_fit_beside_its_head),
        u_test(http_upload_may_be_answered_after_its_end),
        u_test(http_streamed_upload_may_be_answered_after_its_end),
        u_test(http_rate_of_bytes_slows_an_upload),
        u_test(http_pull_that_never_comes_is_cut_off),
        u_test(http_answer_that_closes_takes_what_comes_behind_it),
        u_test(http_pull_that_ends_late_ends_in_order),
        u_test(http_on_close_of_a_request_may_abort),
        u_test(http_file_whose_head_does_not_fit_is_500),
        u_test(http_head_of_an_event_stream_ends),
        u_test(http_query_plus_is_a_space),
        u_test(http_pull_of_a_status_without_content_has_no_chunks),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
