// fixture.h - the application the tests talk to: one route of each kind, four topics, and callbacks
// that write down what they saw.

#ifndef T_FIXTURE_H
#define T_FIXTURE_H

#include "client.h"

enum { T_LOG, T_TEMP, T_CHAT, T_LED }; // topics

static const rtpush_topic t_topics[] = {
    {"log", &rtpush_topic_event, 0, 0},
    {"temp", &rtpush_topic_state, 0, 40},
    {"chat", &rtpush_topic_event, 0, 0},
    {"led", &rtpush_topic_state, 0, 40},
};

static const char *const t_why_names[RTPUSH_REASON_COUNT] = {
    "NONE",          "APP",          "PEER_CLOSED",  "TRANSPORT",     "SHUTDOWN",
    "TIMEOUT_HEAD",  "TIMEOUT_BODY", "TIMEOUT_IDLE", "TIMEOUT_REPLY", "TIMEOUT_PONG",
    "TIMEOUT_CLOSE", "STALLED",      "EXPIRED",      "EVICTED_SLOT",  "EVICTED_LOG",
    "NO_SLOT",       "PEER_LIMIT",   "STREAM_LIMIT", "RATE",          "SYNTAX",
    "TOO_LONG",      "VERSION",      "METHOD",       "NOT_FOUND",     "HOST",
    "ORIGIN",        "CODING",       "BODY",         "EXPECT",        "UPGRADE",
    "WS_PROTOCOL",   "WS_UTF8",      "WS_TOO_BIG",   "ENCODING",      "TLS",
    "TX_SIZE",       "MEDIA_TYPE"};

static const char *t_why(int why) {
    return why >= 0 && why < RTPUSH_REASON_COUNT ? t_why_names[why] : "?";
}

static const char t_index_html[] = "<!doctype html><title>device</title>";
static const uint8_t t_index_gz[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 'g', 'z', '1', '2'};
static uint8_t t_big[70000]; // static body longer than a span

static const rtpush_asset t_index = {"text/html; charset=utf-8",
                                     t_index_html,
                                     sizeof t_index_html - 1,
                                     t_index_gz,
                                     sizeof t_index_gz,
                                     "v1-abc",
                                     NULL};
static const rtpush_asset t_gzip_only = {"text/javascript", NULL, 0,           t_index_gz,
                                         sizeof t_index_gz, NULL, "max-age=60"};

enum { T_NOW, T_INSIDE, T_LATER };

// What the application does with messages; tests may change it.
typedef struct t_app {
    t_world *next; // of t_worlds
    int later;             // on_message and on_body answer RTPUSH_RETRY while this is > 0
    int no_echo;           // on_message does not answer
    rtpush_handle last;    // the last connection a callback was called for
    t_buf upload;          // body pieces
    t_buf pieces;          // message pieces of /stream
    uint32_t pull_size;    // bytes /pull answers with
    int pull_later;        // pull says RTPUSH_RETRY this many times at each call
    int pull_fail_at;      // pull fails at this offset, -1 never
    uint32_t missed;       // sum of on_gap
    int writable;          // calls of on_writable
    int status;            // authorize answers this, if not 0
    uint32_t grant_topics; // authorize allows these, if not 0
    uint32_t expires_s;
    const char *challenge;
    int known;           // authorize knows who sends
    const char *location;
    int decide;          // T_NOW, T_INSIDE, T_LATER: when authorize decides
    rtpush_handle asked; // T_LATER: who waits
    rtpush_grant grant;  // ... and for what
    int authorized; // calls of authorize
    int refused;    // last status on_refuse saw
    int refused_why;
    int refusals;
} t_app;

static t_app *t_app_of(t_world *w) {
    return (t_app *)w->extra;
}

static void t_log_event(t_world *w, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (!w->quiet) {
        t_note(w, "%s", line);
    }
}

static int t_authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    t_world *w = t_world_of(srv);
    t_app *app = t_app_of(w);
    app->authorized++;
    T_CHECK(req->path != NULL && req->rest != NULL && req->query != NULL, "a null string");
    T_CHECK(req->route != NULL, "authorize before routing");
    grant->topics = app->grant_topics ? app->grant_topics : 15;
    grant->expires_s = app->expires_s;
    grant->challenge = app->challenge;
    grant->known = (uint8_t)app->known;
    grant->location = app->location;
    if (app->decide == T_INSIDE) {
        T_CHECK(rtpush_authorize(srv, req->conn, app->status, grant) == RTPUSH_OK, "decide inside");
        T_CHECK(rtpush_authorize(srv, req->conn, 0, grant) == RTPUSH_ERR_STATE, "decided twice");
        return RTPUSH_PENDING;
    }
    if (app->decide == T_LATER) {
        T_CHECK(app->asked.serial == 0, "a second question before the first is decided");
        app->asked = req->conn;
        app->grant = *grant;
        return RTPUSH_PENDING;
    }
    return app->status;
}

// Decides what waits, and what is asked for behind it.
static int t_decide(t_world *w) {
    t_app *app = t_app_of(w);
    int result = RTPUSH_ERR_STATE;
    for (int round = 0; app->asked.serial != 0; round++) {
        rtpush_handle conn = app->asked;
        T_CHECK(round < 100, "questions without end");
        app->asked.serial = 0;
        t_enter(w, T_IN_API, NULL);
        result = rtpush_authorize(&w->srv, conn, app->status, &app->grant);
        t_leave(w);
        t_run_ready(w);
    }
    return result;
}

static void t_on_refuse(rtpush_server *srv, uint32_t peer, int status, int why) {
    t_world *w = t_world_of(srv);
    t_app *app = t_app_of(w);
    (void)peer;
    app->refused = status;
    app->refused_why = why;
    app->refusals++;
    T_CHECK(why > 0 && why < RTPUSH_REASON_COUNT, "on_refuse: why %d", why);
    t_log_event(w, "refuse %d %s", status, t_why(why));
}

static void t_on_request(rtpush_server *srv, const rtpush_request *req) {
    t_world *w = t_world_of(srv);
    T_CHECK(t_app_of(w)->authorized > 0, "on_request before authorize");
    t_app_of(w)->last = req->conn;
    t_life_begin(w, req->conn, 2);
    t_log_event(w, "request %s %s?%s body=%.*s",
                req->method == RTPUSH_GET    ? "GET"
                : req->method == RTPUSH_HEAD ? "HEAD"
                : req->method == RTPUSH_POST ? "POST"
                : req->method == RTPUSH_PUT  ? "PUT"
                                             : "other",
                req->path, req->query, (int)req->body_len,
                req->body ? (const char *)req->body : "");
}

static void t_on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    t_world *w = t_world_of(srv);
    t_life_end(w, conn);
    T_CHECK(closed->close_reason_len <= 123, "a close reason of %d bytes",
            closed->close_reason_len);
    t_log_event(w, "close %s %d %.*s", t_why(closed->reason), closed->close_code,
                (int)closed->close_reason_len,
                closed->close_reason ? closed->close_reason : "");
}

static void t_hello(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    T_CHECK(rtpush_reply_text(srv, req->conn, 200, "hello") == RTPUSH_OK, "reply refused");
    T_CHECK(rtpush_reply_text(srv, req->conn, 200, "again") < 0, "a second answer was taken");
}

static void t_echo_body(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    t_on_request(srv, req);
    response.content_type = "application/octet-stream";
    response.body = req->body;
    response.len = req->body_len;
    T_CHECK(rtpush_reply(srv, req->conn, &response) == RTPUSH_OK, "reply refused");
}

static int t_on_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data, size_t len,
                     int last) {
    t_world *w = t_world_of(srv);
    t_app *app = t_app_of(w);
    t_life_use(w, req->conn);
    if (app->later > 0) {
        app->later--;
        return RTPUSH_RETRY;
    }
    t_put(&app->upload, data, len);
    if (last) {
        char text[40];
        uint32_t sum = 0;
        for (size_t i = 0; i < app->upload.len; i++) {
            sum = sum * 31 + app->upload.data[i];
        }
        snprintf(text, sizeof text, "%lu %08lx", (unsigned long)app->upload.len,
                 (unsigned long)sum);
        t_log_event(w, "uploaded %s", text);
        T_CHECK(rtpush_reply_text(srv, req->conn, 200, text) == RTPUSH_OK, "reply refused");
        app->upload.len = 0;
    }
    return RTPUSH_OK;
}

static int t_pull_bytes(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                        uint8_t *buf, size_t cap) {
    t_world *w = t_world_of(srv);
    t_app *app = t_app_of(w);
    (void)user;
    t_life_use(w, conn);
    T_CHECK(cap > 0, "pull with no room");
    if (app->pull_later > 0) {
        app->pull_later--;
        return RTPUSH_RETRY;
    }
    if (app->pull_fail_at >= 0 && offset >= (uint32_t)app->pull_fail_at) {
        return -1;
    }
    size_t n = app->pull_size - offset < cap ? app->pull_size - offset : cap;
    if (app->pull_fail_at >= 0 && offset + n > (uint32_t)app->pull_fail_at) {
        n = (uint32_t)app->pull_fail_at - offset;
    }
    for (size_t i = 0; i < n; i++) {
        buf[i] = (uint8_t)('a' + (offset + i) % 26);
    }
    return (int)n;
}

static void t_pull(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    t_on_request(srv, req);
    response.pull = t_pull_bytes;
    T_CHECK(rtpush_reply(srv, req->conn, &response) == RTPUSH_OK, "reply refused");
}

static void t_rest(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    T_CHECK(rtpush_reply_text(srv, req->conn, 200, req->rest) == RTPUSH_OK, "reply refused");
}

static void t_keep(rtpush_server *srv, const rtpush_request *req) {
    char text[400];
    t_on_request(srv, req);
    snprintf(text, sizeof text, "host=%s one=%s two=%s auth=%s cookie=%s origin=%s",
             req->host ? req->host : "-", req->headers[0] ? req->headers[0] : "-",
             req->headers[1] ? req->headers[1] : "-", req->authorization ? req->authorization : "-",
             req->cookie ? req->cookie : "-", req->origin ? req->origin : "-");
    T_CHECK(rtpush_reply_text(srv, req->conn, 200, text) == RTPUSH_OK, "reply refused");
}

static void t_static(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    t_on_request(srv, req);
    for (size_t i = 0; i < sizeof t_big; i++) {
        t_big[i] = (uint8_t)('A' + i % 26);
    }
    response.body_static = 1;
    response.body = t_big;
    response.len = sizeof t_big;
    T_CHECK(rtpush_reply(srv, req->conn, &response) == RTPUSH_OK, "reply refused");
}

static void t_on_open(rtpush_server *srv, const rtpush_request *req) {
    t_world *w = t_world_of(srv);
    T_CHECK(t_app_of(w)->authorized > 0, "on_open before authorize");
    t_app_of(w)->last = req->conn;
    t_life_begin(w, req->conn, 1);
    t_log_event(w, "open %s %s topics=%lx", req->path, req->subprotocol ? req->subprotocol : "-",
                (unsigned long)req->topics);
}

static int t_on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    t_world *w = t_world_of(srv);
    t_app *app = t_app_of(w);
    t_life_use(w, conn);
    app->last = conn;
    T_CHECK(msg->first && msg->last, "a piece where whole messages were asked for");
    T_CHECK(msg->opcode != RTPUSH_TEXT_MESSAGE || t_utf8_valid(msg->data, msg->len),
            "RFC 6455 8.1: text that is not UTF-8 reached the application");
    if (app->later > 0) {
        app->later--;
        return RTPUSH_RETRY;
    }
    if (!app->no_echo) {
        int result = rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
        if (result == RTPUSH_ERR_WOULD_BLOCK) {
            return RTPUSH_RETRY;
        }
        T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_STATE, "send of the echo: %s",
                rtpush_strerror(result));
    }
    t_log_event(w, "message %d %lu %.40s", msg->opcode, (unsigned long)msg->len,
                msg->len ? (const char *)memchr(msg->data, 0, msg->len) ? "(binary)" : "" : "");
    if (msg->len > 0 && !w->quiet) {
        w->events.len--; // the line end
        t_put(&w->events, msg->data, msg->len < 40 ? msg->len : 40);
        t_puts(&w->events, "\n");
    }
    return RTPUSH_OK;
}

// Pieces: first and last must nest, text must be valid as a whole.
static int t_on_piece(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    t_world *w = t_world_of(srv);
    t_app *app = t_app_of(w);
    t_life_use(w, conn);
    if (app->later > 0) {
        app->later--;
        return RTPUSH_RETRY;
    }
    if (msg->first) {
        app->pieces.len = 0;
    }
    t_put(&app->pieces, msg->data, msg->len);
    if (msg->last) {
        uint32_t sum = 0;
        for (size_t i = 0; i < app->pieces.len; i++) {
            sum = sum * 31 + app->pieces.data[i];
        }
        T_CHECK(msg->opcode != RTPUSH_TEXT_MESSAGE ||
                    t_utf8_valid(app->pieces.data, app->pieces.len),
                "RFC 6455 8.1: text that is not UTF-8 reached the application");
        t_log_event(w, "message %d %lu sum %08lx", msg->opcode, (unsigned long)app->pieces.len,
                    (unsigned long)sum);
    }
    return RTPUSH_OK;
}

static void t_on_writable(rtpush_server *srv, rtpush_handle conn) {
    t_world *w = t_world_of(srv);
    t_life_use(w, conn);
    t_app_of(w)->writable++;
}

static void t_on_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    t_world *w = t_world_of(srv);
    t_life_use(w, conn);
    T_CHECK(missed > 0, "a gap of nothing");
    t_app_of(w)->missed += missed;
    t_log_event(w, "gap %lu", (unsigned long)missed);
}

static const char *const t_keep_headers[] = {"x-one", "x-two", NULL};
static const char *const t_subprotocols[] = {"chat.v2", "chat", NULL};
static const char *const t_hosts[] = {"device.local", NULL};
static const char *const t_origins[] = {"https://app.example", NULL};

enum {
    T_R_INDEX,
    T_R_GZIP,
    T_R_HELLO,
    T_R_ECHO,
    T_R_UPLOAD,
    T_R_LATER,
    T_R_PULL,
    T_R_FILES,
    T_R_KEEP,
    T_R_BIG,
    T_R_WS,
    T_R_STREAM,
    T_R_ANY,
    T_R_EVENTS,
    T_R_POLL,
    T_R_COUNT
};

static rtpush_route t_routes[T_R_COUNT];

static void t_stream_route(rtpush_route *r, const char *path, const rtpush_kind *kind) {
    r->path = path;
    r->kind = kind;
    r->on_open = t_on_open;
    r->on_gap = t_on_gap;
    r->on_close = t_on_close;
    if (kind == &rtpush_websocket) {
        r->on_message = t_on_message;
        r->on_writable = t_on_writable;
        r->subprotocols = t_subprotocols;
    }
}

static rtpush_route *t_handler(int index, const char *path, int methods,
                               void (*on_request)(rtpush_server *, const rtpush_request *)) {
    rtpush_route *r = &t_routes[index];
    r->path = path;
    r->kind = &rtpush_handler;
    r->methods = (uint8_t)methods;
    r->on_request = on_request;
    r->on_close = t_on_close;
    return r;
}

static void t_upload(int index, const char *path, int methods,
                     void (*on_request)(rtpush_server *, const rtpush_request *),
                     uint32_t max_body) {
    rtpush_route *r = t_handler(index, path, methods, on_request);
    r->kind = &rtpush_upload;
    r->max_body = max_body;
}

static void t_fill_routes(void) {
    memset(t_routes, 0, sizeof t_routes);
    t_routes[T_R_INDEX].path = "/";
    t_routes[T_R_INDEX].kind = &rtpush_download;
    t_routes[T_R_INDEX].asset = &t_index;
    t_routes[T_R_GZIP].path = "/app.js";
    t_routes[T_R_GZIP].kind = &rtpush_download;
    t_routes[T_R_GZIP].asset = &t_gzip_only;
    t_handler(T_R_HELLO, "/hello", 0, t_hello);
    t_upload(T_R_ECHO, "/echo", RTPUSH_POST | RTPUSH_PUT, t_echo_body, 100);
    t_upload(T_R_UPLOAD, "/upload", RTPUSH_POST, t_on_request, 100000);
    t_routes[T_R_UPLOAD].on_body = t_on_body;
    t_handler(T_R_LATER, "/later", RTPUSH_GET | RTPUSH_HEAD, t_on_request);
    t_handler(T_R_PULL, "/pull", 0, t_pull);
    t_handler(T_R_FILES, "/files/*", 0, t_rest);
    t_handler(T_R_KEEP, "/keep", RTPUSH_GET | RTPUSH_POST, t_keep)->headers = t_keep_headers;
    t_handler(T_R_BIG, "/big", 0, t_static);
    t_stream_route(&t_routes[T_R_WS], "/ws", &rtpush_websocket);
    t_stream_route(&t_routes[T_R_STREAM], "/stream", &rtpush_websocket);
    t_routes[T_R_STREAM].flags = RTPUSH_STREAM_MESSAGES;
    t_routes[T_R_STREAM].on_message = t_on_piece;
    t_stream_route(&t_routes[T_R_ANY], "/any", &rtpush_websocket);
    t_routes[T_R_ANY].flags = RTPUSH_ANY_ORIGIN;
    t_stream_route(&t_routes[T_R_EVENTS], "/events", &rtpush_events);
    t_stream_route(&t_routes[T_R_POLL], "/poll", &rtpush_poll);
}

static t_world *t_worlds; // those that t_finish did not end yet

// A world with the fixture in its desc; change it, then t_start.
static t_world *t_fixture(void) {
    t_world *w = t_new();
    t_app *app = (t_app *)calloc(1, sizeof *app);
    if (w == NULL || app == NULL) {
        T_FAIL("out of memory in the test");
        return NULL;
    }
    t_fill_routes();
    app->next = t_worlds;
    t_worlds = w;
    app->pull_fail_at = -1;
    app->pull_size = 1000;
    w->extra = app;
    w->desc.routes = t_routes;
    w->desc.route_count = T_R_COUNT;
    w->desc.topics = t_topics;
    w->desc.topic_count = 4;
    w->desc.hosts = t_hosts;
    w->desc.origins = t_origins;
    w->desc.cookie = "sid";
    w->desc.authorize = t_authorize;
    w->desc.on_refuse = t_on_refuse;
    return w;
}

static void t_finish(t_world *w) {
    t_app *app = t_app_of(w);
    t_world **at = &t_worlds;
    while (*at != w) {
        at = &t_app_of(*at)->next;
    }
    *at = app->next;
    t_end(w);
    t_buf_free(&app->upload);
    t_buf_free(&app->pieces);
    free(app);
}

static t_world *t_begin(void) {
    t_world *w = t_fixture();
    t_start(w);
    return w;
}

// -- the small language of the tests --------------------------------------------------------------
//   {GET /x}      a complete GET with Host: 10.0.0.1         {WS /x}  a complete upgrade
//   {WSP /x name} the same, asking for subprotocol `name`
//   {81:text}     a masked frame with first byte 81          {81#c3a9} the payload in hex
//   {82*300}      a masked frame of 300 x                    {hex 00ff} bytes as they are
//   {rep 300 a}   300 times a
//   <81:text> <88#03e8> <82*5>   an unmasked frame, as the server sends it
//   <88#03ea (without >)         in a pattern: a Close with this code and any reason
//   {{ and << stand for themselves.

#define T_HOST "Host: 10.0.0.1\r\n"
#define T_KEY "dGhlIHNhbXBsZSBub25jZQ=="        // section 1.3 of RFC 6455
#define T_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // section 1.3 of RFC 6455
#define T_UPGRADE T_HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define T_WS_FIELDS T_UPGRADE "Sec-WebSocket-Key: " T_KEY "\r\nSec-WebSocket-Version: 13\r\n"

static int t_hex(int c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void t_put_hex(t_buf *out, const char *from, const char *end) {
    for (; from + 1 < end; from += 2) {
        uint8_t byte = (uint8_t)(t_hex(from[0]) << 4 | t_hex(from[1]));
        t_put(out, &byte, 1);
    }
}

static void t_put_server_frame(t_buf *out, int first, const void *data, size_t len) {
    uint8_t head[4] = {(uint8_t)first, (uint8_t)len, 0, 0};
    if (len > 125) {
        head[1] = 126;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
    }
    t_put(out, head, len > 125 ? 4 : 2);
    t_put(out, data, len);
}

static void t_expand_frame(t_buf *out, const char *at, const char *end, int masked) {
    t_buf payload = {0};
    int first = t_hex(at[0]) << 4 | t_hex(at[1]);
    t_put(&payload, "", 0);
    if (at[2] == ':') {
        t_put(&payload, at + 3, (size_t)(end - at - 3));
    } else if (at[2] == '#') {
        t_put_hex(&payload, at + 3, end);
    } else {
        for (long n = strtol(at + 3, NULL, 10); n > 0; n--) {
            t_puts(&payload, "x");
        }
    }
    if (masked) {
        t_frame(out, first, payload.data, payload.len);
    } else {
        t_put_server_frame(out, first, payload.data, payload.len);
    }
    t_buf_free(&payload);
}

static void t_expand_word(t_buf *out, const char *at, const char *end) {
    size_t len = (size_t)(end - at);
    if (strncmp(at, "GET ", 4) == 0) {
        t_put(out, at, len);
        t_puts(out, " HTTP/1.1\r\n" T_HOST "\r\n");
    } else if (strncmp(at, "WS ", 3) == 0) {
        t_puts(out, "GET ");
        t_put(out, at + 3, len - 3);
        t_puts(out, " HTTP/1.1\r\n" T_WS_FIELDS "\r\n");
    } else if (strncmp(at, "WSP ", 4) == 0) {
        const char *space = strchr(at + 4, ' ');
        t_puts(out, "GET ");
        t_put(out, at + 4, (size_t)(space - at - 4));
        t_puts(out, " HTTP/1.1\r\n" T_WS_FIELDS "Sec-WebSocket-Protocol:");
        t_put(out, space, (size_t)(end - space));
        t_puts(out, "\r\n\r\n");
    } else if (strncmp(at, "hex ", 4) == 0) {
        t_put_hex(out, at + 4, end);
    } else if (strncmp(at, "rep ", 4) == 0) {
        char *c;
        for (long n = strtol(at + 4, &c, 10); n > 0; n--) {
            t_put(out, c + 1, 1);
        }
    } else {
        t_expand_frame(out, at, end, 1);
    }
}

static void t_expand_n(t_buf *out, const char *text, size_t len) {
    const char *stop = text + len;
    t_put(out, "", 0);
    for (const char *p = text; p < stop; p++) {
        const char *end;
        if ((*p == '{' || *p == '<') && p + 1 < stop && p[1] == *p) {
            t_put(out, p++, 1);
        } else if (*p == '{' && (end = (const char *)memchr(p, '}', (size_t)(stop - p))) != NULL) {
            t_expand_word(out, p + 1, end);
            p = end;
        } else if (*p == '<' && (end = (const char *)memchr(p, '>', (size_t)(stop - p))) != NULL) {
            t_expand_frame(out, p + 1, end, 0);
            p = end;
        } else {
            t_put(out, p, 1);
        }
    }
}

static void t_expand(t_buf *out, const char *text) {
    t_expand_n(out, text, strlen(text));
}

// Sends text of that language.
static void t_say(t_conn *c, const char *text) {
    t_buf in = {0};
    t_expand(&in, text);
    t_feed(c, in.data, in.len);
    t_buf_free(&in);
}

// A Close frame with this code and any reason, as the server sends it.
static const uint8_t *t_find_close(const uint8_t *hay, size_t hay_len, const uint8_t *code) {
    for (size_t i = 0; i + 4 <= hay_len; i++) {
        if (hay[i] == 0x88 && hay[i + 1] < 126 && memcmp(hay + i + 2, code, 2) == 0) {
            return hay + i;
        }
    }
    return NULL;
}

static const uint8_t *t_find(const uint8_t *hay, size_t hay_len, const uint8_t *needle,
                             size_t len) {
    if (len == 8 && memcmp(needle, "<88#", 4) == 0) { // <88#03ea without >
        t_buf code = {0};
        t_put_hex(&code, (const char *)needle + 4, (const char *)needle + 8);
        const uint8_t *found = t_find_close(hay, hay_len, code.data);
        t_buf_free(&code);
        return found;
    }
    for (size_t i = 0; len <= hay_len && i <= hay_len - len; i++) {
        if (memcmp(hay + i, needle, len) == 0) {
            return hay + i;
        }
    }
    return NULL;
}

// Does out match the pattern? Pieces between | must occur in this order, each may offer choices
// with ~; a piece that begins with ! must not occur at all. Returns the piece that fails, or NULL.
static const char *t_match(const uint8_t *out, size_t out_len, const char *pattern) {
    static char failed[200];
    size_t at = 0;
    while (*pattern != 0) {
        size_t len = strcspn(pattern, "|");
        int not_wanted = *pattern == '!';
        int ok = not_wanted;
        size_t best = 0;
        for (size_t i = (size_t)not_wanted; i <= len;) {
            size_t part = i;
            while (part < len && pattern[part] != '~') {
                part++;
            }
            t_buf needle = {0};
            t_expand_n(&needle, pattern + i, part - i);
            size_t from = not_wanted ? 0 : at;
            const uint8_t *begin = from > 0 ? out + from : out; // out may be NULL
            const uint8_t *found = t_find(begin, out_len - from, needle.data, needle.len);
            if (found != NULL && !not_wanted) {
                ok = 1;
                best = (size_t)(found - out) + needle.len;
            } else if (found != NULL) {
                ok = 0;
            }
            t_buf_free(&needle);
            i = part + 1;
        }
        if (!ok) {
            snprintf(failed, sizeof failed, "%.*s", (int)(len < 199 ? len : 199), pattern);
            return failed;
        }
        at = not_wanted ? at : best;
        pattern += len + (pattern[len] == '|');
    }
    return NULL;
}

static void t_show(const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len && i < 1500; i++) {
        int c = bytes[i];
        if (c == '\n') {
            fputs("\\n\n", stderr);
        } else if (c == '\r') {
            fputs("\\r", stderr);
        } else if (c >= 32 && c < 127) {
            fputc(c, stderr);
        } else {
            fprintf(stderr, "\\x%02x", (unsigned)c);
        }
    }
    fputc('\n', stderr);
}

// Everything the connection was sent since the last t_take must match; then it is forgotten.
static void t_expect_at(const char *file, int line, t_conn *c, const char *pattern) {
    const char *failed = t_match(c->out.data, c->out.len, pattern);
    if (failed != NULL) {
        fprintf(stderr, "expected %s, seen %lu bytes:\n", failed, (unsigned long)c->out.len);
        t_show(c->out.data, c->out.len);
        t_fail_at(file, line, "output differs");
    }
    t_eat(&c->out, c->out.len);
}
#define t_expect(c, pattern) t_expect_at(__FILE__, __LINE__, c, pattern)

static void t_expect_events_at(const char *file, int line, t_world *w, const char *pattern) {
    const char *failed = t_match(w->events.data, w->events.len, pattern);
    if (failed != NULL) {
        fprintf(stderr, "expected event %s, seen:\n%s", failed, t_text(&w->events));
        t_fail_at(file, line, "events differ");
    }
    w->events.len = 0;
    t_put(&w->events, "", 0);
}
#define t_expect_events(w, pattern) t_expect_events_at(__FILE__, __LINE__, w, pattern)

// Opens a connection and says text.
static t_conn *t_open(t_world *w, const char *text) {
    t_conn *c = t_connect(w);
    t_say(c, text);
    return c;
}

#endif // T_FIXTURE_H
