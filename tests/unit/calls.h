// calls.h - an application whose callbacks all call a hook first, and one function that makes any
// call of the API on any connection. test_callbacks.c runs each in each; the fuzz target
// lets its input choose.

#ifndef T_CALLS_H
#define T_CALLS_H

#include "fixture.h"

// -- topics and routes ----------------------------------------------------------------------------

enum { C_EVENT, C_VALUE, C_BYTES, C_BLOB, C_TOPICS };

static const rtpush_topic c_topics[C_TOPICS] = {
    {"event", &rtpush_topic_event, 0, 0},
    {"value", &rtpush_topic_state, 0, 40},
    {"bytes", &rtpush_topic_event, RTPUSH_BINARY, 0},
    {"blob", &rtpush_topic_state, RTPUSH_BINARY, 24},
};

enum { // callbacks
    C_AUTHORIZE,
    C_REQUEST,
    C_BODY,
    C_OPEN,
    C_MESSAGE,
    C_WRITABLE,
    C_GAP,
    C_CLOSED,
    C_PULL,
    C_REFUSED,
    C_CALLBACKS
};

enum { C_DEFAULT = 1000 }; // a hook's answer: do what c_on_... does by itself

typedef struct c_app {
    t_world *w;
    int (*hook)(struct c_app *app, int at, rtpush_handle self);
    void *user;
    int depth;             // callbacks under way
    rtpush_handle self[8]; // ... and whose they are
    rtpush_handle known[16]; // handles callbacks were given, the newest at known_count - 1
    unsigned known_count;
    uint32_t number; // events published, in their text
    int calls[C_CALLBACKS];
} c_app;

static c_app *c_app_of(rtpush_server *srv) {
    return (c_app *)t_world_of(srv)->extra;
}

static void c_know(c_app *app, rtpush_handle conn) {
    for (unsigned i = 0; i < 16; i++) {
        if (t_same(app->known[i], conn)) {
            return;
        }
    }
    app->known[app->known_count++ % 16] = conn;
}

static int c_call(rtpush_server *srv, int at, rtpush_handle self) {
    c_app *app = c_app_of(srv);
    int answer = C_DEFAULT;
    T_CHECK(app->w->lock_depth == 0, "a callback under the lock");
    app->calls[at]++;
    if (self.serial != 0) {
        c_know(app, self);
    }
    if (app->hook != NULL && app->depth < 8) {
        app->self[app->depth++] = self;
        answer = app->hook(app, at, self);
        app->depth--;
    }
    return answer;
}

// -- what callbacks do by themselves --------------------------------------------------------------

static int c_authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    int answer = c_call(srv, C_AUTHORIZE, req->conn);
    if (answer == C_DEFAULT) {
        grant->topics = 15;
        answer = 0;
    }
    return answer;
}

static int c_pull(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset, uint8_t *buf,
                  size_t cap) {
    const uint32_t size = (uint32_t)(uintptr_t)user;
    int answer;
    t_life_use(t_world_of(srv), conn);
    T_CHECK(cap > 0, "pull with no room");
    answer = c_call(srv, C_PULL, conn);
    if (answer == C_DEFAULT) {
        size_t left = offset < size ? size - offset : 0;
        answer = (int)(left < cap ? left : cap);
    }
    if (answer > 0) {
        answer = (size_t)answer < cap ? answer : (int)cap;
        memset(buf, 'p', (size_t)answer);
    }
    return answer;
}

static void c_answer(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    int result;
    if (strcmp(req->path, "/pull") == 0) {
        response.pull = c_pull;
        response.user = (void *)(uintptr_t)700;
        response.len = req->conn.serial % 2 ? 700 : 0; // a length, or chunks
        response.etag = "pull";
    } else {
        response.body = "answer";
        response.len = 6;
    }
    result = rtpush_reply(srv, req->conn, &response);
    T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_STATE || result == RTPUSH_ERR_STALE,
            "rtpush_reply: %s", rtpush_strerror(result));
}

static void c_on_request(rtpush_server *srv, const rtpush_request *req) {
    t_life_begin(t_world_of(srv), req->conn, 2);
    if (c_call(srv, C_REQUEST, req->conn) == C_DEFAULT && !req->route->on_body) {
        c_answer(srv, req);
    }
}

static int c_on_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data, size_t len,
                     int last) {
    int answer;
    t_life_use(t_world_of(srv), req->conn);
    T_CHECK(len == 0 || data[0] + data[len - 1] >= 0, "bytes that can be read");
    answer = c_call(srv, C_BODY, req->conn);
    if (last && (answer == C_DEFAULT || answer == RTPUSH_OK)) {
        c_answer(srv, req);
    }
    return answer == C_DEFAULT ? RTPUSH_OK : answer;
}

static void c_on_open(rtpush_server *srv, const rtpush_request *req) {
    t_life_begin(t_world_of(srv), req->conn, 1);
    (void)c_call(srv, C_OPEN, req->conn);
}

static int c_on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    uint8_t copy[4096]; // what a callback does must not change it
    int answer;
    t_life_use(t_world_of(srv), conn);
    T_CHECK(msg->len <= sizeof copy, "a message larger than rx");
    memcpy(copy, msg->data, msg->len);
    answer = c_call(srv, C_MESSAGE, conn);
    T_CHECK(memcmp(copy, msg->data, msg->len) == 0, "a message changed while it was delivered");
    if (answer != C_DEFAULT) {
        return answer;
    }
    return rtpush_send_part(srv, conn, msg->opcode, msg->data, msg->len, msg->first, msg->last);
}

static void c_on_writable(rtpush_server *srv, rtpush_handle conn) {
    t_life_use(t_world_of(srv), conn);
    (void)c_call(srv, C_WRITABLE, conn);
}

static void c_on_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    t_life_use(t_world_of(srv), conn);
    T_CHECK(missed > 0, "a gap of nothing");
    (void)c_call(srv, C_GAP, conn);
}

static void c_on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    T_CHECK(closed->close_reason_len <= 123, "a close reason of %d bytes",
            closed->close_reason_len);
    t_life_end(t_world_of(srv), conn); // from here on no callback may come
    (void)c_call(srv, C_CLOSED, conn);
}

static void c_on_refuse(rtpush_server *srv, uint32_t peer, int status, int why) {
    rtpush_handle nobody = {0, 0};
    (void)peer;
    (void)status;
    T_CHECK(why > 0 && why < RTPUSH_REASON_COUNT, "on_refuse: why %d", why);
    (void)c_call(srv, C_REFUSED, nobody);
}

#define C_STREAM .on_open = c_on_open, .on_gap = c_on_gap, .on_close = c_on_close
#define C_WEBSOCKET \
    .kind = &rtpush_websocket, .on_message = c_on_message, .on_writable = c_on_writable, \
    .subprotocols = t_subprotocols, C_STREAM
#define C_HANDLER .on_request = c_on_request, .on_close = c_on_close
#define C_UPLOAD .kind = &rtpush_upload, C_HANDLER

static const rtpush_route c_routes[] = {
    {.path = "/", .kind = &rtpush_download, .asset = &t_index},
    {.path = "/get", .kind = &rtpush_handler, C_HANDLER},
    {.path = "/pull", .kind = &rtpush_handler, C_HANDLER},
    {.path = "/post", .methods = RTPUSH_POST, .max_body = 60, C_UPLOAD},
    {.path = "/put", .methods = RTPUSH_PUT, .max_body = 9000, .on_body = c_on_body, C_UPLOAD},
    {.path = "/ws", C_WEBSOCKET},
    {.path = "/stream", .flags = RTPUSH_STREAM_MESSAGES, C_WEBSOCKET},
    {.path = "/events", .kind = &rtpush_events, C_STREAM},
    {.path = "/poll", .kind = &rtpush_poll, C_STREAM},
    {.path = "/any/*", .methods = 127, .flags = RTPUSH_ANY_ORIGIN, .max_body = 20,
     .headers = t_keep_headers, C_UPLOAD},
};

// -- every call of the API ------------------------------------------------------------------------

enum {
    C_PUBLISH,
    C_PUBLISH_LINES,
    C_PUBLISH_BYTES,
    C_PUBLISH_BIG, // evicts many
    C_FLOOD,       // evicts all
    C_PUBLISH_VALUE,
    C_PUBLISH_BLOB,
    C_PUBLISH_FROM,
    C_RESERVE,
    C_SEND,
    C_SEND_FILL, // until it would block
    C_PART_FIRST,
    C_PART_LAST,
    C_CLOSE,
    C_CLOSE_REASON,
    C_ABORT,
    C_REPLY,
    C_REPLY_STATIC,
    C_REPLY_PULL,
    C_REPLY_WRONG,
    C_DECIDE,
    C_DECIDE_SOON, // with a grant that expires
    C_DECIDE_NOT,
    C_SUBSCRIBE_NONE,
    C_SUBSCRIBE_ALL,
    C_RESUME,
    C_SET_USER,
    C_READ, // all that changes nothing
    C_SHUTDOWN,
    C_ACTIONS
};

static const char *const c_action_names[C_ACTIONS] = {
    "publish",      "publish lines",  "publish bytes",  "publish big",   "flood",
    "value",        "blob",           "publish from",   "reserve",       "send",
    "send fill",    "part first",     "part last",      "close",         "close with reason",
    "abort",        "reply",          "reply static",   "reply pull",    "reply wrong",
    "decide",       "decide soon",    "decide not",     "subscribe none", "subscribe all",
    "resume",       "set user",       "read",           "shutdown"};

// Publishes; others may be dropped meanwhile, never the connection being served.
static int c_publish(c_app *app, unsigned topic, size_t len, int from) {
    static const char line[] = "one\ntwo\r\nthree\r";
    t_world *w = app->w;
    char text[600];
    int call = w->call;
    int result;
    int n = snprintf(text, sizeof text, "%lu ", (unsigned long)app->number + 1);
    for (size_t i = (size_t)n; i < len; i++) {
        text[i] = topic == C_EVENT && len == 99 ? line[i % (sizeof line - 1)] : 'e';
    }
    len = len < (size_t)n ? (size_t)n : len;
    w->call = T_IN_PUBLISH;
    result = from ? rtpush_publish_from(&w->srv, topic, text, len)
                  : rtpush_publish(&w->srv, topic, text, len);
    w->call = call;
    if (topic == C_EVENT || topic == C_BYTES) {
        app->number += result == RTPUSH_OK;
    }
    return result;
}

static int c_reserve(c_app *app) {
    t_world *w = app->w;
    int call = w->call;
    void *at;
    w->call = T_IN_PUBLISH;
    at = rtpush_reserve(&w->srv, C_EVENT, 20);
    w->call = call;
    if (at == NULL) {
        return RTPUSH_ERR_FULL;
    }
    T_CHECK(rtpush_reserve(&w->srv, C_EVENT, 20) == NULL, "two reserved at a time");
    memcpy(at, "reserved", 8);
    return rtpush_commit(&w->srv, 8);
}

static int c_reply(c_app *app, int action, rtpush_handle conn) {
    static const char *const good[] = {"X-Name", "value", NULL};
    static const char *const bad[] = {"X-Name", "a\r\nb: c", NULL};
    rtpush_response response = {0};
    response.headers = action == C_REPLY_WRONG ? bad : good;
    response.body = t_index_html;
    response.len = 20;
    response.body_static = action == C_REPLY_STATIC;
    if (action == C_REPLY_PULL) {
        response.body = NULL;
        response.len = conn.serial % 2 ? 300 : 0;
        response.pull = c_pull;
        response.user = (void *)(uintptr_t)300;
    }
    return rtpush_reply(&app->w->srv, conn, &response);
}

static int c_fill(c_app *app, rtpush_handle conn) {
    int result = RTPUSH_OK;
    for (int i = 0; result == RTPUSH_OK; i++) {
        T_CHECK(i < 1000, "tx never fills up");
        result = rtpush_send(&app->w->srv, conn, RTPUSH_TEXT_MESSAGE, "0123456789abcdef", 16);
    }
    return result;
}

static int c_read_all(c_app *app, rtpush_handle conn) {
    rtpush_server *srv = &app->w->srv;
    size_t len = 0;
    rtpush_handle h = {0, 0};
    unsigned streams = 0;
    const rtpush_counters *count = rtpush_get_counters(srv);
    for (h = rtpush_next_stream(srv, h); h.serial != 0; h = rtpush_next_stream(srv, h)) {
        streams++;
    }
    T_CHECK(streams == count->streams, "%u streams, counted %u", streams, (unsigned)count->streams);
    (void)rtpush_send_room(srv, conn);
    (void)rtpush_user(srv, conn);
    (void)rtpush_route_of(srv, conn);
    (void)rtpush_rtt_ms(srv, conn);
    (void)rtpush_last_id(srv);
    (void)rtpush_state_get(srv, C_VALUE, &len);
    return RTPUSH_OK;
}

// Errors that an action may give; all may succeed.
#define C_ERR(n) (1u << -(n))
static const unsigned c_gone = C_ERR(RTPUSH_ERR_STALE) | C_ERR(RTPUSH_ERR_STATE);

static void c_expect(int action, int result, unsigned allowed) {
    T_CHECK(result == RTPUSH_OK || (result < 0 && result > -32 && (allowed >> -result & 1u)),
            "%s gave %s", c_action_names[action], rtpush_strerror(result));
}

// Makes one call. size: of a publish, where it is not 0.
static int c_act(c_app *app, int action, rtpush_handle conn, size_t size) {
    static const rtpush_grant all = {.topics = ~(uint32_t)0};
    static const rtpush_grant soon = {.topics = ~(uint32_t)0, .expires_s = 1};
    rtpush_server *srv = &app->w->srv;
    const unsigned full = C_ERR(RTPUSH_ERR_FULL) | C_ERR(RTPUSH_ERR_TOO_BIG);
    const unsigned block = c_gone | C_ERR(RTPUSH_ERR_WOULD_BLOCK);
    unsigned allowed = c_gone;
    int result = RTPUSH_OK;
    switch (action) {
    case C_PUBLISH:
    case C_PUBLISH_LINES:
    case C_PUBLISH_BIG:
        result = c_publish(app, C_EVENT,
                           size ? size : action == C_PUBLISH_LINES ? 99u
                                         : action == C_PUBLISH_BIG ? 200u : 0u, 0);
        allowed = full;
        break;
    case C_PUBLISH_BYTES:
        result = c_publish(app, C_BYTES, size, 0);
        allowed = full;
        break;
    case C_FLOOD:
        for (int i = 0; i < 40 && (result == RTPUSH_OK || result == RTPUSH_ERR_FULL); i++) {
            result = c_publish(app, C_EVENT, 50, 0);
        }
        allowed = full;
        break;
    case C_PUBLISH_VALUE:
    case C_PUBLISH_BLOB:
        result = c_publish(app, action == C_PUBLISH_VALUE ? C_VALUE : C_BLOB, size % 24u, 0);
        allowed = 0;
        break;
    case C_PUBLISH_FROM:
        result = c_publish(app, C_EVENT, size, 1);
        allowed = full;
        break;
    case C_RESERVE:
        result = c_reserve(app);
        allowed = full;
        break;
    case C_SEND:
        result = rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, "direct", 6);
        allowed = block;
        break;
    case C_SEND_FILL:
        result = c_fill(app, conn);
        allowed = block;
        break;
    case C_PART_FIRST:
    case C_PART_LAST:
        result = rtpush_send_part(srv, conn, RTPUSH_BINARY_MESSAGE, "part", 4,
                                  action == C_PART_FIRST, action == C_PART_LAST);
        allowed = block;
        break;
    case C_CLOSE:
        result = rtpush_close(srv, conn, 1000, NULL);
        break;
    case C_CLOSE_REASON:
        result = rtpush_close(srv, conn, 4000, "too slow");
        break;
    case C_ABORT:
        result = rtpush_abort(srv, conn);
        break;
    case C_REPLY:
    case C_REPLY_STATIC:
    case C_REPLY_PULL:
    case C_REPLY_WRONG:
        result = c_reply(app, action, conn);
        T_CHECK(action != C_REPLY_WRONG || result < 0, "a header with a line end was taken");
        allowed = c_gone | C_ERR(RTPUSH_ERR_ARGUMENT);
        break;
    case C_DECIDE:
        result = rtpush_authorize(srv, conn, 0, &all);
        break;
    case C_DECIDE_SOON:
        result = rtpush_authorize(srv, conn, 0, &soon);
        break;
    case C_DECIDE_NOT:
        result = rtpush_authorize(srv, conn, 401, NULL);
        break;
    case C_SUBSCRIBE_NONE:
    case C_SUBSCRIBE_ALL:
        result = rtpush_subscribe(srv, conn, action == C_SUBSCRIBE_NONE ? 0u : 15u);
        allowed = c_gone | C_ERR(RTPUSH_ERR_ARGUMENT); // bytes: to WebSockets only
        break;
    case C_RESUME:
        result = rtpush_retry(srv, conn);
        break;
    case C_SET_USER:
        result = rtpush_set_user(srv, conn, app);
        break;
    case C_READ:
        result = c_read_all(app, conn);
        break;
    default:
        rtpush_shutdown(srv);
        break;
    }
    c_expect(action, result, allowed);
    return result;
}

// -- a peer that reads and judges -----------------------------------------------------------------

typedef struct c_peer {
    t_client cl;
    t_conn *c;
    uint32_t serial; // of the request or stream it was seen in last
    int serials;     // ... and how many there were
} c_peer;

// To be called after each call into the core that may finish an answer or give bytes.
static void c_watch(c_peer *p) {
    t_conn *c = p->c;
    if (c->handle.serial != p->serial) {
        p->serial = c->handle.serial;
        p->serials++;
    }
    // What the client parser cannot know: an answer to HEAD has no body. While it waits to be sent
    // the request is still there.
    if (c->conn != NULL && p->cl.step == T_CL_HEAD &&
        (c->conn->state == RTPI_REPLY ||
         (c->conn->state == RTPI_STREAM && c->conn->form > RTPI_FORM_TAGGED))) {
        p->cl.head_only = c->conn->in.http.method == RTPUSH_HEAD;
    }
    t_client_read(&p->cl, c);
    T_CHECK(p->cl.answers + (p->cl.step != T_CL_HEAD && p->cl.step != T_CL_FRAMES) <= p->serials,
            "%d answers to %d requests", p->cl.answers, p->serials);
}

// FIN stands where something ends: never inside a frame, a head or a counted body.
static void c_judge_end(const c_peer *p) {
    const t_client *cl = &p->cl;
    size_t head = cl->head.len;
    if (p->c->fin) {
        T_CHECK(cl->step != T_CL_FRAMES || cl->frame.len == 0, "FIN inside a frame");
        T_CHECK(cl->step == T_CL_FRAMES || cl->step == T_CL_HEAD || cl->step == T_CL_CLOSE,
                "FIN inside a body");
        T_CHECK(cl->step != T_CL_HEAD || head == 0 ||
                    memcmp(cl->head.data + head - 4, "\r\n\r\n", 4) == 0,
                "FIN inside a head");
    }
}

#endif // T_CALLS_H
