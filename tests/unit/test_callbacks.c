// What the application may do inside callbacks, and what must hold after each.
#define U_INSIDE
#include "unit.h"

#include "calls.h"

// -- pending callbacks do not depend on the message under way -----------------------------

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

static void on_writable_comes_though_a_new_message_began(U_STATE) {
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

static void on_writable_comes_where_on_message_was_told_would_block(U_STATE) {
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

static void on_writable_does_not_come_where_nothing_may_be_sent(U_STATE) {
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
}

// -- on_message and on_body answer whether they took it -------------------------------------------

static int echo_by_return(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    return rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
}

static void a_message_whose_echo_would_block_comes_again(U_STATE) {
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

static void only_later_and_would_block_mean_not_taken(U_STATE) {
    for (int answer = 3; answer >= RTPUSH_FIN; answer--) {
        int again = answer == RTPUSH_RETRY || answer == RTPUSH_ERR_WOULD_BLOCK;
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
static void a_body_that_waits_spends_no_tokens(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_bytes = 4000; // a burst of 8000
    t_start(w);
    t_app_of(w)->later = 20;
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 2000\r\n\r\n"
                          "{rep 2000 b}");
    for (int i = 0; i < 20; i++) {
        T_EQ(rtpush_retry(&w->srv, p->c->handle), RTPUSH_OK);
        t_run_ready(w);
    }
    u_expect(p, "200 2000 ");
}

// -- one answer a request -------------------------------------------------------------------------

static rtpush_handle g_victim; // on_refuse is not told who it is about: an application may know
static int g_tried;
static void answer_in_on_refuse(rtpush_server *srv, uint32_t peer, int status, int why) {
    static const rtpush_grant all = {.topics = ~(uint32_t)0};
    (void)peer;
    (void)why;
    if (status != 0) {
        g_tried++;
        T_EQ(rtpush_reply_text(srv, g_victim, 200, "from on_refuse"), RTPUSH_ERR_STATE);
        T_EQ(rtpush_authorize(srv, g_victim, 0, &all), RTPUSH_ERR_STATE);
        T_EQ(rtpush_authorize(srv, g_victim, 403, NULL), RTPUSH_ERR_STATE);
    }
}

static int note_victim(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    (void)grant;
    g_victim = req->conn;
    return t_app_of(t_world_of(srv))->status;
}

// RFC 9112 9.3.2: answers stand in the order of requests, one for each.
static void a_refused_request_is_answered_once(U_STATE) {
    static const struct {
        const char *in;
        int status; // of authorize
        const char *out;
    } cases[] = {
        {"{GET /nope}{GET /hello}", 0, "404 no such path or topic\n200 hello\n"},
        {"{GET /hello}{GET /hello}", 403, "403 |403 "},
        {"{GET /later}{GET /hello}", 401, "401 |401 "},
        {"{GET /events}", 503, ""}, // 200 and a retry
        {"{WS /ws}{GET /hello}", 401, "401 |401 "},
        {"{GET /poll}{GET /hello}", 401, "401 |401 "},
        {"{GET /later}{GET /hello}", 0, "503 "},         // reply_ms
        {"{GET /hello}", RTPUSH_PENDING, "503 "},          // reply_ms of authorize
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
    static const rtpush_grant basic = {.challenge = "Basic realm=\"other\""};
    rtpush_handle other = g_other;
    (void)peer;
    (void)status;
    (void)why;
    g_other.serial = 0;
    if (other.serial != 0) {
        T_EQ(rtpush_authorize(srv, other, 401, &basic), RTPUSH_OK);
    }
}

// RFC 9110 15.5.2: the challenge of a 401 is its own, whatever on_refuse does meanwhile.
static void refusing_another_in_on_refuse_keeps_both_challenges(U_STATE) {
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
}

// -- every call in every callback -----------------------------------------------------------------
// Around the connection whose callback it is (self) stand others, one in each state that lasts.
// Each call is made in each callback, on self, on the others, and on all; also in a callback that a
// call made in the first. Whatever comes of it: all that is sent parses, nothing but FIN follows a
// Close, each request has at most one answer, on_close comes once and last, every slot is free at
// the end.

enum { O_RAW, O_TAGGED, O_EVENTS, O_POLL, O_WAIT, O_ASK, O_BODY, O_PULL, OTHERS };

#define AT_THE_END "{GET /poll?last_event_id=00c0ffee-00000000}" // a poll that waits

static const char *const others_say[OTHERS] = {
    "{WS /ws?topics=event,value}",
    "{WSP /ws?topics=event,value rtpush.1}",
    "{GET /events}",
    AT_THE_END,
    "{GET /get}", // never answered
    "{GET /get}", // never decided
    "PUT /put HTTP/1.1\r\n" T_HOST "Content-Length: 9\r\n\r\nbegun",
    "{GET /pull}",
};

typedef struct scene {
    const char *name;
    int at;            // the callback
    const char *opens; // said before
    const char *says;  // said to make it come
    void (*fires)(struct scene *s); // ... or done
    int status;                     // of authorize for `says`
    t_world *w;
    c_app *app;
    c_peer self;
    c_peer other[OTHERS];
    int armed;
    int action;
    int inner; // the action of a nested callback, -1 none
    int on;    // ON_...
    int made;  // calls made
} scene;

enum { ON_SELF, ON_OTHERS, ON_ALL, ONS };

static void act_on(scene *s, int action, rtpush_handle self) {
    if (s->on != ON_OTHERS) {
        (void)c_act(s->app, action, self.serial ? self : s->self.c->handle, 0);
    }
    for (int i = 0; i < OTHERS && s->on != ON_SELF; i++) {
        (void)c_act(s->app, action, s->other[i].c->handle, 0);
    }
    s->made++;
}

static int scene_hook(c_app *app, int at, rtpush_handle self) {
    scene *s = (scene *)app->user;
    if (s->armed == 1 && app->depth == 1 && at == s->at) {
        s->armed = s->inner >= 0 ? 2 : 3;
        act_on(s, s->action, self);
        s->armed = 3;
    } else if (s->armed == 2 && app->depth > 1) { // the first call made this one
        s->armed = 3;
        act_on(s, s->inner, self);
    }
    if (at == C_AUTHORIZE && app->depth == 1 && s->status != 0) {
        return s->status;
    }
    return C_DEFAULT;
}

static int others_hook(c_app *app, int at, rtpush_handle self) {
    scene *s = (scene *)app->user;
    (void)self;
    if (at == C_AUTHORIZE && s->status == O_ASK) {
        return RTPUSH_PENDING;
    }
    if (at == C_REQUEST && s->status == O_WAIT) {
        return 0; // no answer yet
    }
    if (at == C_PULL) {
        return RTPUSH_RETRY;
    }
    return C_DEFAULT;
}

static void scene_serve(scene *s) {
    t_run(s->w);
    c_watch(&s->self);
    for (int i = 0; i < OTHERS; i++) {
        c_watch(&s->other[i]);
    }
}

static void scene_begin(scene *s) {
    const int status = s->status;
    t_world *w = t_new();
    c_app *app = (c_app *)calloc(1, sizeof *app);
    if (w == NULL || app == NULL) {
        T_FAIL("out of memory in the test");
        return;
    }
    memset(&s->self, 0, sizeof s->self);
    memset(s->other, 0, sizeof s->other);
    s->w = w;
    s->app = app;
    w->extra = app;
    w->quiet = 1;
    w->desc.routes = c_routes;
    w->desc.route_count = sizeof c_routes / sizeof c_routes[0];
    w->desc.topics = c_topics;
    w->desc.topic_count = C_TOPICS;
    w->desc.conn_count = OTHERS + 1;
    w->desc.max_streams = OTHERS + 1;
    w->desc.log_size = 1024;
    w->desc.authorize = c_authorize;
    w->desc.on_refuse = c_on_refuse;
    app->w = w;
    app->user = s;
    app->hook = others_hook;
    t_start(w);
    for (int i = 0; i < OTHERS; i++) {
        s->status = i;
        s->other[i].c = t_connect(w);
        t_say(s->other[i].c, others_say[i]);
        c_watch(&s->other[i]);
    }
    s->status = status;
    s->made = 0;
    s->armed = 0;
    app->hook = scene_hook;
}

static void peer_end(c_peer *p) {
    t_learn_handle(p->c->world, p->c);
    c_watch(p);
    c_judge_end(p);
    t_client_free(&p->cl);
}

static void scene_end(scene *s) {
    s->app->hook = NULL;
    for (int i = 0; i < 4; i++) { // deadlines pass: whatever is open ends or goes on
        t_advance(s->w, 9000);
        scene_serve(s);
    }
    t_cut(s->self.c);
    t_run_ready(s->w);
    for (int i = 0; i < OTHERS; i++) { // streams that are left still read
        if (s->other[i].c->conn != NULL && i <= O_TAGGED) {
            t_send_close(s->other[i].c, 1000, "");
        }
        t_eof(s->other[i].c);
    }
    scene_serve(s);
    peer_end(&s->self);
    for (int i = 0; i < OTHERS; i++) {
        peer_end(&s->other[i]);
    }
    c_app *app = s->app;
    t_end(s->w);
    free(app);
}

static void scene_play(scene *s, int bite) {
    scene_begin(s);
    t_world *w = s->w;
    s->self.c = t_connect(w);
    c_watch(&s->self);
    if (s->opens != NULL) {
        const int status = s->status;
        s->status = 0;
        t_say(s->self.c, s->opens);
        c_watch(&s->self);
        s->status = status;
    }
    w->bite = (size_t)bite;
    w->in_mode = bite ? T_BYTES : T_WHOLE;
    s->armed = 1;
    if (s->says != NULL) {
        s->self.cl.head_only = strncmp(s->says, "HEAD ", 5) == 0;
        t_say(s->self.c, s->says);
    }
    if (s->fires != NULL) {
        s->fires(s);
    }
    scene_serve(s);
    T_CHECK(s->armed == 3 && s->made > 0, "the callback did not come");
    scene_end(s);
}

// -- how each callback is made to come ------------------------------------------------------------

static void lose_events(scene *s) {
    s->self.c->window = 0;
    s->armed = 0;
    for (int i = 0; i < 60; i++) {
        (void)c_publish(s->app, C_EVENT, 60, 0);
    }
    (void)c_publish(s->app, C_VALUE, 20, 0);
    s->armed = 1;
    s->self.c->window = SIZE_MAX;
    t_run(s->w);
}

static void lose_before_resume(scene *s) {
    s->armed = 0;
    for (int i = 0; i < 60; i++) {
        (void)c_publish(s->app, C_EVENT, 60, 0);
    }
    (void)c_publish(s->app, C_VALUE, 20, 0);
    t_run(s->w);
    s->armed = 1;
}

static void resume_events(scene *s) {
    lose_before_resume(s);
    t_say(s->self.c, "{GET /events?last_event_id=00c0ffee-00000002}");
}

static void resume_poll(scene *s) {
    lose_before_resume(s);
    t_say(s->self.c, "{GET /poll?last_event_id=00c0ffee-00000002}{GET /get}");
}

static void resume_tagged(scene *s) {
    lose_before_resume(s);
    t_say(s->self.c, "{WSP /ws?last_event_id=00c0ffee-00000002 rtpush.1}");
}

static void block_and_drain(scene *s) {
    s->self.c->window = 0;
    (void)c_fill(s->app, s->self.c->handle);
    t_say(s->self.c, "{01:a}");
    s->self.c->window = SIZE_MAX;
    t_run(s->w);
}

static void wait_35_s(scene *s) {
    t_advance(s->w, 35000);
}

static void reset_it(scene *s) {
    t_cut(s->self.c);
    t_run_ready(s->w);
}

static void abort_it(scene *s) {
    (void)rtpush_abort(&s->w->srv, s->self.c->handle);
    t_run_ready(s->w);
}

static void leave_it(scene *s) {
    t_eof(s->self.c);
}

static void one_more(scene *s) { // every slot is in use by what never gives way
    t_conn *c = t_connect_peer(s->w, 0, 7);
    T_CHECK(c == NULL, "there was a slot");
}

static scene scenes[] = {
    {.name = "authorize of a handler", .at = C_AUTHORIZE, .says = "{GET /get}{GET /get}"},
    {.name = "authorize of a file", .at = C_AUTHORIZE, .says = "{GET /}{GET /get}"},
    {.name = "authorize of a WebSocket", .at = C_AUTHORIZE, .says = "{WS /ws}{81:text}"},
    {.name = "authorize of an event stream", .at = C_AUTHORIZE, .says = "{GET /events}"},
    {.name = "authorize of a poll", .at = C_AUTHORIZE, .says = AT_THE_END "{GET /get}"},
    {.name = "authorize that refuses", .at = C_AUTHORIZE, .says = "{GET /get}{GET /get}",
     .status = 403},
    {.name = "authorize that waits", .at = C_AUTHORIZE, .says = "{GET /get}{GET /get}",
     .status = RTPUSH_PENDING},
    {.name = "on_request", .at = C_REQUEST, .says = "{GET /get}{GET /get}"},
    {.name = "on_request of HEAD", .at = C_REQUEST,
     .says = "HEAD /get HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n"},
    {.name = "on_request before the body", .at = C_REQUEST,
     .says = "PUT /put HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\n\r\nbody{GET /get}"},
    {.name = "on_request after the body", .at = C_REQUEST,
     .says = "POST /post HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\n\r\nbody{GET /get}"},
    {.name = "on_body, first piece", .at = C_BODY,
     .says = "PUT /put HTTP/1.1\r\n" T_HOST "Content-Length: 1004\r\n\r\nbody{rep 1000 y}"
             "{GET /get}"},
    {.name = "on_body, last piece", .at = C_BODY,
     .opens = "PUT /put HTTP/1.1\r\n" T_HOST "Content-Length: 8\r\n\r\nbody",
     .says = "body{GET /get}"},
    {.name = "on_open of a WebSocket", .at = C_OPEN, .says = "{WS /ws}{81:text}"},
    {.name = "on_open of rtpush.1", .at = C_OPEN, .says = "{WSP /ws rtpush.1}{81:text}"},
    {.name = "on_open of an event stream", .at = C_OPEN, .says = "{GET /events}"},
    {.name = "on_open of a poll", .at = C_OPEN,
     .says = "{GET /poll?last_event_id=00c0ffed-00000002}{GET /get}"},
    {.name = "on_open of a poll that waits", .at = C_OPEN, .says = AT_THE_END "{GET /get}"},
    {.name = "on_message", .at = C_MESSAGE, .opens = "{WS /ws}", .says = "{81:text}{82:more}"},
    {.name = "on_message of rtpush.1", .at = C_MESSAGE, .opens = "{WSP /ws rtpush.1}",
     .says = "{81:text}{82:more}"},
    {.name = "on_message, a ping behind it", .at = C_MESSAGE, .opens = "{WS /ws}",
     .says = "{01:te}{89:ping}{80:xt}{89:ping}{88#03e8}"},
    {.name = "on_message, a piece", .at = C_MESSAGE, .opens = "{WS /stream}",
     .says = "{82*1000}{81:text}"},
    {.name = "on_message, the last piece", .at = C_MESSAGE, .opens = "{WS /stream}{02:a}",
     .says = "{80:b}{81:text}"},
    {.name = "on_writable", .at = C_WRITABLE, .opens = "{WS /ws}", .fires = block_and_drain},
    {.name = "on_gap of a WebSocket", .at = C_GAP, .opens = "{WS /ws}", .fires = lose_events},
    {.name = "on_gap of rtpush.1", .at = C_GAP, .opens = "{WSP /ws rtpush.1}",
     .fires = lose_events},
    {.name = "on_gap of an event stream", .at = C_GAP, .opens = "{GET /events}",
     .fires = lose_events},
    {.name = "on_gap of a resumed event stream", .at = C_GAP, .fires = resume_events},
    {.name = "on_gap of a resumed rtpush.1", .at = C_GAP, .fires = resume_tagged},
    {.name = "on_gap of a poll", .at = C_GAP, .fires = resume_poll},
    {.name = "on_close of a handler", .at = C_CLOSED, .says = "{GET /get}{GET /get}"},
    {.name = "on_close of a handler that closes", .at = C_CLOSED,
     .says = "GET /get HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n"},
    {.name = "on_close of a WebSocket", .at = C_CLOSED, .opens = "{WS /ws}", .says = "{88#03e8}"},
    {.name = "on_close of a reset WebSocket", .at = C_CLOSED, .opens = "{WS /ws}",
     .fires = reset_it},
    {.name = "on_close of an aborted event stream", .at = C_CLOSED, .opens = "{GET /events}",
     .fires = abort_it},
    {.name = "on_close of an event stream that is left", .at = C_CLOSED, .opens = "{GET /events}",
     .fires = leave_it},
    {.name = "on_close of a poll", .at = C_CLOSED,
     .says = "{GET /poll?last_event_id=00c0ffed-00000002}{GET /get}"},
    {.name = "pull", .at = C_PULL, .says = "{GET /pull}{GET /get}"},
    {.name = "pull of HTTP/1.0", .at = C_PULL, .says = "GET /pull HTTP/1.0\r\n\r\n"},
    {.name = "on_refuse of 404", .at = C_REFUSED, .says = "{GET /nope}{GET /get}"},
    {.name = "on_refuse of 400", .at = C_REFUSED, .says = "nonsense\n"},
    {.name = "on_refuse of 426", .at = C_REFUSED, .says = "{GET /ws}{GET /get}"},
    {.name = "on_refuse of authorize", .at = C_REFUSED, .says = "{GET /get}{GET /get}",
     .status = 401},
    {.name = "on_refuse of not now", .at = C_REFUSED, .says = "{GET /events}", .status = 503},
    {.name = "on_refuse of a late decision", .at = C_REFUSED, .says = "{GET /get}{GET /get}",
     .status = RTPUSH_PENDING, .fires = wait_35_s},
    {.name = "on_refuse of a late head", .at = C_REFUSED, .says = "GET /ge", .fires = wait_35_s},
    {.name = "on_refuse of a late body", .at = C_REFUSED,
     .says = "PUT /put HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\n\r\n", .fires = wait_35_s},
    {.name = "on_refuse of one too many", .at = C_REFUSED, .opens = "{WS /ws}", .fires = one_more},
};
enum { SCENES = sizeof scenes / sizeof scenes[0] };

static void play(int index, int action, int inner, int on, int bite) {
    scene *s = &scenes[index];
    // A third has still every call in every callback, each on one of self, others and all. Of calls
    // inside a call a seventh has each in seven callbacks.
    if (u_part() && (index + action + inner + on) % (inner < 0 ? 3 : 7) != 0) {
        return;
    }
    static const char *const ons[ONS] = {"self", "others", "all"};
    s->action = action;
    s->inner = inner;
    s->on = on;
    snprintf(t_where, sizeof t_where, "%s: %s%s%s on %s, bite %d", s->name, c_action_names[action],
             inner >= 0 ? ", then " : "", inner >= 0 ? c_action_names[inner] : "", ons[on], bite);
    scene_play(s, bite);
    t_where[0] = '\0';
}

static void every_call_is_safe_in_every_callback(U_STATE) {
    for (int i = 0; i < SCENES; i++) {
        for (int action = 0; action < C_ACTIONS; action++) {
            for (int on = 0; on < ONS; on++) {
                play(i, action, -1, on, 0);
            }
            play(i, action, -1, ON_ALL, 1);
        }
    }
}

// Deciding for another makes its callbacks come inside: authorize's refusal, on_open, on_request.
static void every_call_is_safe_in_a_callback_inside_a_callback(U_STATE) {
    static const int outer[] = {C_DECIDE, C_DECIDE_NOT};
    for (int i = 0; i < SCENES; i++) {
        for (int k = 0; k < 2; k++) {
            for (int inner = 0; inner < C_ACTIONS; inner++) {
                play(i, outer[k], inner, ON_ALL, 0);
            }
        }
    }
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
        u_test(every_call_is_safe_in_every_callback),
        u_test(every_call_is_safe_in_a_callback_inside_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
