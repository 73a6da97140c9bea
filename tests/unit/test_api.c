// The public functions: arguments, handles that outlive their connection, calls from inside
// callbacks, shutdown, two servers in one program. And the leaves everything stands on.
#include "unit.h"

// -- init -----------------------------------------------------------------------------------------

static void api_init_names_the_field_that_is_wrong(void **state) {
    (void)state;
    static uint64_t memory[RTPUSH_WORDS(2, 512, 512, 1024, 2, 20)];
    static const rtpush_topic good[] = {{"a", RTPUSH_EVENT, 0, 0}, {"s", RTPUSH_STATE, 0, 20}};
    static const rtpush_topic binary[] = {{"a", RTPUSH_EVENT, RTPUSH_BINARY, 0}};
    static const rtpush_topic names[][1] = {
        {{"", 0, 0, 0}},       {{NULL, 0, 0, 0}},
        {{"rtpush", 0, 0, 0}}, {{"rtpushx", 0, 0, 0}},
        {{"a b", 0, 0, 0}},    {{"a\nb", 0, 0, 0}},
        {{"a,b", 0, 0, 0}},    {{"abcdefghijklmnopqrstuvwxyz0123456", 0, 0, 0}}};
    static const rtpush_topic no_max[] = {{"s", RTPUSH_STATE, 0, 0}};
    static const rtpush_topic big_max[] = {{"s", RTPUSH_STATE, 0, 600}};
    t_fill_routes();
    rtpush_desc base;
    memset(&base, 0, sizeof base);
    base.routes = t_routes;
    base.route_count = T_R_COUNT;
    base.topics = good;
    base.topic_count = 2;
    base.memory = memory;
    base.memory_size = sizeof memory;
    base.conn_count = 2;
    base.log_size = 1024;
    base.epoch = 1;
    static rtpush_server srv;
    T_EQ(rtpush_init(&srv, &base), RTPUSH_OK);
    assert_string_equal(rtpush_config_error(&srv), "");
    enum { CASES = 26 };
    for (int i = 0; i < CASES; i++) {
        rtpush_desc d = base;
        rtpush_route routes[1];
        memcpy(routes, t_routes, sizeof routes);
        switch (i) {
        case 0:
            d.epoch = 0;
            break;
        case 1:
            d.memory = NULL;
            break;
        case 2:
            d.conn_count = 0;
            break;
        case 3:
            d.memory_size = 0;
            break;
        case 4:
            d.memory_size -= 8;
            break;
        case 5:
            d.rx_size = 255;
            break;
        case 6:
            d.tx_size = 255;
            break;
        case 7:
            d.rx_size = 65533;
            break;
        case 8:
            d.log_size = 0;
            break;
        case 9:
            d.log_size = 1022;
            break;
        case 10:
            d.log_size = 100;
            break;
        case 11:
            d.conn_count = 3;
            break;
        case 12:
            d.memory = (uint8_t *)memory + 1;
            break;
        case 13:
            d.conn_count = 0xFFFFFFFFu;
            break;
        case 14:
            d.topic_count = 33;
            break;
        case 15:
            d.topics = NULL;
            break;
        case 16:
            d.routes = NULL;
            break;
        case 17: // fall through
        case 18: // bytes on an event stream or a poll
            d.topics = binary;
            d.topic_count = 1;
            routes[0] = t_routes[i == 17 ? T_R_EVENTS : T_R_POLL];
            routes[0].topics = 1;
            d.routes = routes;
            d.route_count = 1;
            break;
        case 19: // fall through
        case 20: // fall through
        case 21: // fall through
        case 22: // fall through
        case 23:
            d.topics = names[i - 17];
            d.topic_count = 1;
            break;
        case 24:
            d.topics = no_max;
            d.topic_count = 1;
            break;
        default:
            d.topics = big_max;
            d.topic_count = 1;
            break;
        }
        T_CHECK(rtpush_init(&srv, &d) == RTPUSH_ERR_CONFIG, "case %d was accepted", i);
        T_CHECK(strlen(rtpush_config_error(&srv)) > 0, "case %d has no name", i);
    }
    for (size_t i = 0; i < 8; i++) {
        rtpush_desc d = base;
        d.topics = names[i];
        d.topic_count = 1;
        T_EQ(rtpush_init(&srv, &d), RTPUSH_ERR_CONFIG);
    }
}

static void api_init_notices_another_header(void **state) {
    (void)state;
    static rtpush_server srv;
    rtpush_desc d;
    memset(&d, 0, sizeof d);
    T_EQ(rtpush_init_sized(&srv, &d, sizeof srv + 4, sizeof(rtpush_conn), RTPUSH_VERSION),
         RTPUSH_ERR_VERSION);
    T_EQ(rtpush_init_sized(&srv, &d, sizeof srv, sizeof(rtpush_conn) + 4, RTPUSH_VERSION),
         RTPUSH_ERR_VERSION);
    T_EQ(rtpush_init_sized(&srv, &d, sizeof srv, sizeof(rtpush_conn), RTPUSH_VERSION + 1),
         RTPUSH_ERR_VERSION);
}

static void api_errors_and_reasons_have_words(void **state) {
    (void)state;
    for (int error = RTPUSH_ERR_MALFORMED; error <= 0; error++) {
        T_CHECK(strlen(rtpush_strerror(error)) > 1, "no words for error %d", error);
        for (int other = RTPUSH_ERR_MALFORMED; other < error; other++) {
            T_CHECK(strcmp(rtpush_strerror(error), rtpush_strerror(other)) != 0,
                    "%d and %d are the same words", error, other);
        }
    }
    assert_non_null(rtpush_strerror(-1000));
    assert_non_null(rtpush_strerror(1000));
    for (int why = 0; why < RTPUSH_WHY_COUNT; why++) {
        T_CHECK(strlen(rtpush_why(why)) > 1, "no words for reason %d", why);
        for (int other = 0; other < why; other++) {
            T_CHECK(strcmp(rtpush_why(why), rtpush_why(other)) != 0, "%d and %d", why, other);
        }
    }
    assert_non_null(rtpush_why(-1));
    assert_non_null(rtpush_why(RTPUSH_WHY_COUNT));
}

static void api_publish_checks_its_arguments(void **state) {
    (void)state;
    t_world *w = t_begin();
    T_EQ(t_publish(w, 4, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(t_publish(w, 0xFFFFFFFFu, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(t_publish(w, T_LOG, NULL, 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(t_publish(w, T_LOG, NULL, 0), RTPUSH_OK);
    T_EQ(t_publish(w, T_LOG, "x", (size_t)-1), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_publish_from(&w->srv, 4, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "\xFF", 1), RTPUSH_ERR_UTF8);
    T_EQ(rtpush_publish_from(&w->srv, T_TEMP, "x", 100), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_last_id(&w->srv).seq, 1);
    T_EQ(rtpush_topic_index(&w->srv, "log"), T_LOG);
    T_EQ(rtpush_topic_index(&w->srv, "led"), T_LED);
    T_EQ(rtpush_topic_index(&w->srv, "lo"), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_topic_index(&w->srv, "logs"), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_topic_index(&w->srv, ""), RTPUSH_ERR_ARGUMENT);
    t_finish(w);
}

static void api_id_is_written_in_hexadecimal(void **state) {
    (void)state;
    char text[RTPUSH_ID_SIZE];
    rtpush_id id = {0x00C0FFEE, 0xDEADBEEF};
    assert_string_equal(rtpush_id_format(id, text), "00c0ffee-deadbeef");
    id.epoch = 0;
    id.seq = 1;
    assert_string_equal(rtpush_id_format(id, text), "00000000-00000001");
}

// -- handles --------------------------------------------------------------------------------------

static void expect_stale(t_world *w, rtpush_handle h) {
    rtpush_response response;
    memset(&response, 0, sizeof response);
    T_EQ(rtpush_send(&w->srv, h, 1, "x", 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_send_part(&w->srv, h, 1, "x", 1, 1, 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_send_room(&w->srv, h), 0);
    T_EQ(rtpush_subscribe(&w->srv, h, 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_close(&w->srv, h, 1000, NULL), RTPUSH_ERR_STALE);
    T_EQ(rtpush_abort(&w->srv, h), RTPUSH_ERR_STALE);
    T_EQ(rtpush_resume(&w->srv, h), RTPUSH_ERR_STALE);
    T_EQ(rtpush_reply(&w->srv, h, &response), RTPUSH_ERR_STALE);
    T_EQ(rtpush_reply_text(&w->srv, h, 200, "x"), RTPUSH_ERR_STALE);
    T_EQ(rtpush_set_user(&w->srv, h, w), RTPUSH_ERR_STALE);
    assert_null(rtpush_user(&w->srv, h));
    T_EQ(rtpush_rtt_ms(&w->srv, h), -1);
}

// Invariant 16: also when the slot serves somebody else.
static void api_stale_handles_are_errors(void **state) {
    (void)state;
    t_world *w = t_fixture();
    w->desc.conn_count = 1;
    t_start(w);
    rtpush_handle none = {0, 0};
    rtpush_handle wild = {0xDEADBEEF, 0xFFFFFFFF};
    rtpush_handle near = {1, 1};
    expect_stale(w, none);
    expect_stale(w, wild);
    expect_stale(w, near);
    for (int i = 0; i < 50; i++) {
        u_peer *p = u_stream(w, "{WS /ws}");
        rtpush_handle h = p->c->handle;
        T_EQ(rtpush_set_user(&w->srv, h, p), RTPUSH_OK);
        assert_ptr_equal(rtpush_user(&w->srv, h), p);
        u_free(p);
        t_run_ready(w);
        expect_stale(w, h);
        p = u_stream(w, "{WS /ws}");
        expect_stale(w, h);
        assert_null(rtpush_user(&w->srv, p->c->handle)); // nothing of one reaches the next
        T_EQ(rtpush_rtt_ms(&w->srv, p->c->handle), -1);
        t_send_text(p->c, "still here");
        u_is(p, "1 still here\n");
        u_free(p);
        t_run_ready(w);
    }
    t_finish(w);
}

static void api_wrong_kind_of_connection_is_an_error(void **state) {
    (void)state;
    t_world *w = t_begin();
    u_peer *sse = u_stream(w, "{GET /events}");
    u_peer *later = u_open(w, "{GET /later}");
    rtpush_handle h = sse->c->handle;
    w->call = T_IN_API;
    T_CHECK(rtpush_send(&w->srv, h, 1, "x", 1) == RTPUSH_ERR_STATE, "sent to an event stream");
    T_CHECK(rtpush_send_part(&w->srv, h, 1, "x", 1, 1, 1) == RTPUSH_ERR_STATE, "part");
    T_EQ(rtpush_send_room(&w->srv, h), 0);
    T_CHECK(rtpush_reply_text(&w->srv, h, 200, "x") == RTPUSH_ERR_STATE, "reply to a stream");
    T_CHECK(rtpush_subscribe(&w->srv, later->c->handle, 1) == RTPUSH_ERR_STATE, "subscribe");
    T_CHECK(rtpush_send(&w->srv, later->c->handle, 1, "x", 1) == RTPUSH_ERR_STATE, "send");
    T_EQ(rtpush_reply_text(&w->srv, later->c->handle, 200, "ok"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_is(later, "200 ok\n");
    u_free(sse);
    u_free(later);
    t_finish(w);
}

static void api_iterates_over_open_streams(void **state) {
    (void)state;
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    t_start(w);
    u_peer *a = u_stream(w, "{WS /ws}");
    u_peer *plain = u_open(w, "{GET /hello}");
    u_peer *b = u_stream(w, "{GET /events}");
    int found_a = 0;
    int found_b = 0;
    int count = 0;
    rtpush_handle at = {0, 0};
    for (at = rtpush_next_stream(&w->srv, at); at.serial != 0 || at.index != 0;
         at = rtpush_next_stream(&w->srv, at)) {
        found_a += t_same(at, a->c->handle);
        found_b += t_same(at, b->c->handle);
        count++;
    }
    T_EQ(count, 2);
    T_EQ(found_a, 1);
    T_EQ(found_b, 1);
    u_free(a);
    u_free(b);
    u_free(plain);
    t_finish(w);
}

// -- inside callbacks -----------------------------------------------------------------------------

static int g_action;
static int g_at; // 0 on_open, 1 on_message, 2 on_close, 3 on_writable
static int g_guard;

static void act(rtpush_server *srv, rtpush_handle self) {
    t_world *w = t_world_of(srv);
    rtpush_handle at = {0, 0};
    if (g_guard++ > 20) {
        return;
    }
    switch (g_action) {
    case 0:
        rtpush_close(srv, self, 1000, "self");
        break;
    case 1:
        rtpush_abort(srv, self);
        break;
    case 2: // everybody
        for (at = rtpush_next_stream(srv, at); at.serial != 0; at = rtpush_next_stream(srv, at)) {
            rtpush_close(srv, at, 1001, NULL);
        }
        break;
    case 3:
        for (at = rtpush_next_stream(srv, at); at.serial != 0; at = rtpush_next_stream(srv, at)) {
            rtpush_abort(srv, at);
        }
        break;
    case 4:
        for (int i = 0; i < 10; i++) {
            t_publish_inside(w, T_LOG, "0123456789012345678901234567890123456789", 40);
            t_publish_inside(w, T_TEMP, "22", 2);
        }
        break;
    case 5:
        rtpush_subscribe(srv, self, 1u << T_TEMP);
        rtpush_subscribe(srv, self, 0);
        rtpush_subscribe(srv, self, 15);
        break;
    case 6:
        rtpush_shutdown(srv);
        break;
    case 7:
        rtpush_send(srv, self, 1, "from inside", 11);
        rtpush_resume(srv, self);
        break;
    case 8:
        rtpush_close(srv, self, 1000, "self");
        rtpush_abort(srv, self);
        rtpush_close(srv, self, 1000, "again");
        break;
    default:
        rtpush_set_user(srv, self, &g_action);
        rtpush_reply_text(srv, self, 200, "not a request");
        break;
    }
}

static void act_open(rtpush_server *srv, const rtpush_request *req) {
    t_on_open(srv, req);
    if (g_at == 0) {
        act(srv, req->conn);
        // The request stays readable to the end of the callback.
        T_CHECK(strlen(req->path) >= 3, "the path is gone: %s", req->path);
    }
}

static int act_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    uint8_t copy[400];
    size_t len = msg->len < sizeof copy ? msg->len : sizeof copy;
    memcpy(copy, msg->data, len);
    t_life_use(t_world_of(srv), conn);
    if (g_at == 1) {
        act(srv, conn);
        T_CHECK(memcmp(copy, msg->data, len) == 0, "the message changed under the callback");
    }
    return RTPUSH_OK;
}

static void act_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    t_on_close(srv, conn, closed);
    if (g_at == 2) {
        act(srv, conn);
    }
}

static void act_writable(rtpush_server *srv, rtpush_handle conn) {
    t_life_use(t_world_of(srv), conn);
    if (g_at == 3) {
        act(srv, conn);
    }
}

static void callback_story(int at, int action, int kind) {
    static const char *const hello[] = {"{WS /ws}", "{GET /events}", "{WSP /ws rtpush.1}"};
    snprintf(t_where, sizeof t_where, "callback %d, action %d, %s", at, action, hello[kind]);
    t_world *w = t_fixture();
    g_at = 9;
    g_guard = 0;
    g_action = action;
    t_routes[T_R_WS].on_open = t_routes[T_R_EVENTS].on_open = act_open;
    t_routes[T_R_WS].on_close = t_routes[T_R_EVENTS].on_close = act_close;
    t_routes[T_R_WS].on_message = act_message;
    t_routes[T_R_WS].on_writable = act_writable;
    w->desc.log_size = 512;
    w->desc.conn_count = 5;
    t_start(w);
    t_conn *other = t_open(w, "{WS /ws}");
    t_conn *third = t_open(w, "{GET /events}");
    third->hold_acks = 1;
    t_publish_text(w, T_LOG, "before");
    t_run(w);
    g_at = at;
    t_conn *c = t_connect(w);
    c->hold_acks = 1;
    t_say(c, hello[kind]);
    t_publish_text(w, T_LOG, "event");
    t_run(w);
    if (kind != 1) {
        t_say(c, "{81:hello}{89:p}{81:again}");
        c->window = 0;
        w->call = T_IN_API;
        while (rtpush_send(&w->srv, c->handle, 1, "xxxxxxxxxxxxxxxxxxxx", 20) == RTPUSH_OK) {
        }
        t_leave(w);
        c->window = SIZE_MAX;
        t_run(w);
    }
    for (int i = 0; i < 20; i++) {
        t_ack(c, c->unacked);
        t_ack(third, third->unacked);
        t_run(w);
    }
    t_cut(c);
    t_run(w);
    t_advance(w, 5000);
    (void)other;
    t_finish(w);
    t_where[0] = 0;
}

static void api_anything_may_be_called_from_any_callback(void **state) {
    (void)state;
    for (int at = 0; at < 4; at++) {
        for (int action = 0; action < 10; action++) {
            for (int kind = 0; kind < 3; kind++) {
                callback_story(at, action, kind);
            }
        }
    }
}

static void abort_all(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    rtpush_abort(srv, req->conn);
    T_CHECK(rtpush_reply_text(srv, req->conn, 200, "too late") < 0, "reply after abort");
}

static void close_first(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    T_EQ(rtpush_reply_text(srv, req->conn, 200, "bye"), RTPUSH_OK);
    T_EQ(rtpush_close(srv, req->conn, 0, NULL), RTPUSH_OK);
}

static void api_handler_may_abort_or_close_its_own_request(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        t_world *w = t_fixture();
        t_routes[T_R_HELLO].on_request = i ? close_first : abort_all;
        t_start(w);
        u_peer *p = u_open(w, "{GET /hello}{GET /files/more}");
        t_run(w);
        u_is(p, i ? "200 bye\n" : "");
        T_CHECK(t_ended(p->c), "the connection lives on");
        T_EQ(p->c->dropped, i ? 2 : 1);
        u_free(p);
        t_finish(w);
    }
}

static void api_abort_resets_at_once(void **state) {
    (void)state;
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    w->call = T_IN_NEXT; // may drop
    T_EQ(rtpush_abort(&w->srv, p->c->handle), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    T_EQ(p->c->dropped, 1);
    t_expect_events(w, "close APP 1006");
    u_free(p);
    t_finish(w);
}

// -- shutdown -------------------------------------------------------------------------------------

static void api_shutdown_ends_everything_politely(void **state) {
    (void)state;
    t_world *w = t_fixture();
    w->desc.conn_count = 8;
    t_start(w);
    u_peer *ws = u_stream(w, "{WS /ws}");
    u_peer *sse = u_stream(w, "{GET /events}");
    u_peer *poll = u_open(w, "{GET /poll}");
    u_clear(poll);
    char text[120];
    snprintf(text, sizeof text, "{GET /poll?last_event_id=%s}", poll->last_id);
    t_say(poll->c, text);
    u_peer *idle = u_open(w, "{GET /hello}");
    u_peer *silent = u_open(w, "");
    u_peer *later = u_open(w, "{GET /later}");
    unsigned long before = sse->cl.retry_count;
    w->call = T_IN_API;
    rtpush_shutdown(&w->srv);
    t_leave(w);
    t_run(w);
    assert_null(t_connect_peer(w, 0, 1));
    u_expect(ws, "8 1001");
    u_read(sse);
    T_EQ(sse->cl.retry_count, before + 1);
    T_CHECK(sse->cl.retry >= 2000, "retry: %lu", sse->cl.retry);
    T_EQ(sse->c->fin, 1);
    u_read(poll);
    T_EQ(poll->cl.answers, 2);
    T_EQ(idle->c->fin, 1);
    T_EQ(silent->c->fin, 1);
    w->call = T_IN_API;
    T_EQ(rtpush_reply_text(&w->srv, later->c->handle, 200, "finished"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_expect(later, "200 finished");
    T_CHECK(t_field_is(&later->cl, "Connection", "close"), "keeps the connection in shutdown");
    t_send_close(ws->c, 1001, "");
    t_advance(w, 5000);
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
    u_free(ws);
    u_free(sse);
    u_free(poll);
    u_free(idle);
    u_free(silent);
    u_free(later);
    t_finish(w);
}

// -- two servers ----------------------------------------------------------------------------------

static void server_story(t_world *w, int step) {
    char text[64];
    snprintf(text, sizeof text, "step %d", step);
    switch (step % 5) {
    case 0:
        t_open(w, step % 2 ? "{WS /ws}{81:hello}" : "{GET /events}");
        break;
    case 1:
    case 2:
        t_publish_text(w, step % 3 ? T_LOG : T_TEMP, text);
        break;
    case 3:
        t_advance(w, 700);
        break;
    default:
        t_run(w);
        break;
    }
}

static void collect(const t_world *w, t_buf *out) {
    for (int i = 0; i < T_CONNS; i++) {
        if (w->conns[i].used) {
            t_put(out, w->conns[i].out.data, w->conns[i].out.len);
        }
    }
    t_put(out, w->events.data, w->events.len);
}

// Invariant 22: two servers in one run are two runs.
static void api_two_servers_do_not_know_each_other(void **state) {
    (void)state;
    t_buf alone[2] = {{0}, {0}};
    t_buf both[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        t_world *w = t_fixture();
        w->desc.conn_count = 12;
        t_start(w);
        for (int step = 0; step < 50; step++) {
            server_story(w, step + i);
        }
        collect(w, &alone[i]);
        t_finish(w);
    }
    t_world *w[2];
    for (int i = 0; i < 2; i++) {
        w[i] = t_fixture();
        w[i]->desc.conn_count = 12;
        t_start(w[i]);
    }
    for (int step = 0; step < 50; step++) {
        server_story(w[0], step);
        server_story(w[1], step + 1);
    }
    for (int i = 0; i < 2; i++) {
        collect(w[i], &both[i]);
        T_EQ(alone[i].len, both[i].len);
        assert_memory_equal(alone[i].data, both[i].data, both[i].len);
        t_buf_free(&alone[i]);
        t_buf_free(&both[i]);
        t_finish(w[i]);
    }
}

static void api_works_without_optional_hooks_and_callbacks(void **state) {
    (void)state;
    static rtpush_server srv;
    static uint64_t memory[RTPUSH_WORDS(2, 256, 256, 256, 1, 0)];
    static const rtpush_topic topics[] = {{"t", RTPUSH_EVENT, 0, 0}};
    static rtpush_route routes[2];
    memset(routes, 0, sizeof routes);
    routes[0].path = "/ws";
    routes[0].kind = RTPUSH_WEBSOCKET;
    routes[1].path = "/events";
    routes[1].kind = RTPUSH_EVENTS;
    rtpush_desc d;
    memset(&d, 0, sizeof d);
    d.routes = routes;
    d.route_count = 2;
    d.topics = topics;
    d.topic_count = 1;
    d.memory = memory;
    d.memory_size = sizeof memory;
    d.conn_count = 2;
    d.rx_size = d.tx_size = 256;
    d.log_size = 256;
    d.epoch = 7;
    T_EQ(rtpush_init(&srv, &d), RTPUSH_OK);
    t_world *w = t_new(); // only its drop hook
    rtpush_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.drop = t_hook_drop;
    hooks.ctx = w;
    T_EQ(rtpush_attach(&srv, &hooks), RTPUSH_OK);
    rtpush_tick(&srv, 5);
    t_conn *c = &w->conns[0];
    c->world = w;
    c->conn = rtpush_accept(&srv, 0, 0, c);
    assert_non_null(c->conn);
    t_buf in = {0};
    t_expand(&in, "{WS /ws}{81:nobody listens}{89:p}");
    T_EQ(rtpush_input(&srv, c->conn, in.data, in.len), in.len);
    T_EQ(rtpush_publish(&srv, 0, "x", 1), RTPUSH_OK);
    T_EQ(rtpush_publish_from(&srv, 0, "y", 1), RTPUSH_OK);
    t_buf out = {0};
    while (rtpush_next(&srv) != NULL) {
        rtpush_span spans[8];
        int n;
        while ((n = rtpush_output(&srv, c->conn, spans, 8)) > 0) {
            size_t sum = 0;
            for (int i = 0; i < n; i++) {
                t_put(&out, spans[i].data, spans[i].len);
                sum += spans[i].len;
            }
            rtpush_sent(&srv, c->conn, sum);
            rtpush_acked(&srv, c->conn, sum);
        }
        rtpush_sent(&srv, c->conn, 0);
    }
    T_CHECK(t_match(out.data, out.len, "HTTP/1.1 101 |<8a:p>|<81:x><81:y>") == NULL, "%s",
            t_text(&out));
    rtpush_gone(&srv, c->conn);
    assert_null(rtpush_next(&srv));
    T_EQ(rtpush_get_counters(&srv)->slots_used, 0);
    t_buf_free(&in);
    t_buf_free(&out);
    t_free(w);
}

// -- leaves ---------------------------------------------------------------------------------------

// FIPS 180-4 and section 7.3 of RFC 3174, and every length around the padding's edges.
static void leaf_sha1_matches_the_vectors(void **state) {
    (void)state;
    static const char *const table[][2] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
         "b37a4f2cc0624f1690f64606cf385945b2bec4ea"}, // section 1.3 of RFC 6455
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "m"
         "nopqrsmnopqrstnopqrstu",
         "a49b2446a02c645bf419f995b67091253a04a259"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t digest[20];
        char hex[41];
        uint8_t data[256]; // it is padded in place
        memcpy(data, table[i][0], strlen(table[i][0]));
        rtpi_sha1(data, strlen(table[i][0]), digest);
        for (int k = 0; k < 20; k++) {
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        }
        assert_string_equal(hex, table[i][1]);
    }
}

// Section 10 of RFC 4648.
static void leaf_base64_matches_the_vectors(void **state) {
    (void)state;
    static const char *const table[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < 7; i++) {
        uint8_t out[32];
        rtpi_text t;
        memset(&t, 0, sizeof t);
        t.data = out;
        t.cap = sizeof out;
        rtpi_put_base64(&t, (const uint8_t *)table[i][0], strlen(table[i][0]), 0);
        T_EQ(t.len, strlen(table[i][1]));
        assert_memory_equal(out, table[i][1], t.len);
        t.len = 0; // with url, no padding
        rtpi_put_base64(&t, (const uint8_t *)table[i][0], strlen(table[i][0]), 1);
        T_EQ(t.len, strcspn(table[i][1], "="));
        assert_memory_equal(out, table[i][1], t.len);
    }
}

// The validator at every split gives what it gives whole, and what the plain one says.
static void leaf_utf8_at_every_split(void **state) {
    (void)state;
    t_rng rng = t_seed(42);
    for (int round = 0; round < 200000; round++) {
        uint8_t text[12];
        size_t len = 1 + t_below(&rng, 11);
        for (size_t i = 0; i < len; i++) {
            static const uint8_t edge[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                           0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
                                           0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
            text[i] = edge[t_below(&rng, sizeof edge)];
        }
        int valid = t_utf8_valid(text, len);
        unsigned whole = rtpi_utf8(RTPI_UTF8_OK, text, len);
        T_CHECK((whole == RTPI_UTF8_OK) == valid, "round %d: %u, valid %d", round, whole, valid);
        for (size_t at = 0; at <= len; at++) {
            unsigned part = rtpi_utf8(RTPI_UTF8_OK, text, at);
            part = rtpi_utf8((uint8_t)part, text + at, len - at);
            T_CHECK(part == whole, "round %d: split at %lu", round, (unsigned long)at);
        }
    }
}

static int g_authorize_way;
static int authorize_and_end(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    t_authorize(srv, req, grant);
    if (g_authorize_way == 0) {
        rtpush_close(srv, req->conn, 1000, NULL);
    } else if (g_authorize_way == 1) {
        rtpush_abort(srv, req->conn);
    } else if (g_authorize_way == 2) {
        rtpush_shutdown(srv);
    }
    return g_authorize_way == 3 ? 403 : 0;
}

// A connection that was ended in authorize stays ended.
static void api_authorize_may_end_the_connection(void **state) {
    (void)state;
    static const char *const requests[] = {"{GET /}", "{GET /hello}", "{WS /ws}{81:x}",
                                           "{GET /events}", "{GET /poll}", "{GET /pull}",
                                           "POST /upload HTTP/1.1\r\n" T_HOST
                                           "Content-Length: 3\r\n\r\nabc"};
    for (g_authorize_way = 0; g_authorize_way < 4; g_authorize_way++) {
        for (size_t i = 0; i < 7; i++) {
            snprintf(t_where, sizeof t_where, "way %d, %s", g_authorize_way, requests[i]);
            t_world *w = t_fixture();
            w->desc.authorize = authorize_and_end;
            t_start(w);
            t_conn *c = t_open(w, requests[i]);
            t_run(w);
            if (g_authorize_way < 2) {
                t_expect_events(w, "!request|!open|!message");
                T_CHECK(t_ended(c), "lives on");
            }
            t_advance(w, 30000);
            T_CHECK(rtpush_get_counters(&w->srv)->streams <= 1, "streams");
            t_finish(w);
        }
    }
    t_where[0] = 0;
}

static int g_open_way;
static void end_in_open(rtpush_server *srv, const rtpush_request *req) {
    t_on_open(srv, req);
    if (g_open_way == 0) {
        T_EQ(rtpush_close(srv, req->conn, 4000, "not today"), RTPUSH_OK);
    } else if (g_open_way == 1) {
        T_EQ(rtpush_abort(srv, req->conn), RTPUSH_OK);
    } else {
        while (rtpush_send(srv, req->conn, 1, "0123456789", 10) == RTPUSH_OK) {
        }
        while (rtpush_send(srv, req->conn, 1, "", 0) == RTPUSH_OK) {
        }
        T_EQ(rtpush_close(srv, req->conn, 4000, "not today"), RTPUSH_OK);
    }
}

// RFC 6455 7.4: closed in on_open: the code given, also when tx is full; 1006 where none was sent.
static void api_stream_may_be_ended_in_on_open(void **state) {
    (void)state;
    for (g_open_way = 0; g_open_way < 3; g_open_way++) {
        t_world *w = t_fixture();
        t_routes[T_R_WS].on_open = end_in_open;
        t_start(w);
        u_peer *p = u_open(w, "{WS /ws}{81:early}");
        t_run(w);
        if (g_open_way == 1) {
            T_EQ(p->c->dropped, 1);
            t_expect_events(w, "open|close APP 1006|!message");
        } else {
            u_expect(p, "8 4000 ");
            t_send_close(p->c, 4000, "");
            t_run(w);
            t_expect_events(w, "open|close APP 4000|!message");
        }
        u_free(p);
        t_finish(w);
    }
}


int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(api_init_names_the_field_that_is_wrong),
        u_test(api_init_notices_another_header),
        u_test(api_errors_and_reasons_have_words),
        u_test(api_publish_checks_its_arguments),
        u_test(api_id_is_written_in_hexadecimal),
        u_test(api_stale_handles_are_errors),
        u_test(api_wrong_kind_of_connection_is_an_error),
        u_test(api_iterates_over_open_streams),
        u_test(api_anything_may_be_called_from_any_callback),
        u_test(api_authorize_may_end_the_connection),
        u_test(api_stream_may_be_ended_in_on_open),
        u_test(api_handler_may_abort_or_close_its_own_request),
        u_test(api_abort_resets_at_once),
        u_test(api_shutdown_ends_everything_politely),
        u_test(api_two_servers_do_not_know_each_other),
        u_test(api_works_without_optional_hooks_and_callbacks),
        u_test(leaf_sha1_matches_the_vectors),
        u_test(leaf_base64_matches_the_vectors),
        u_test(leaf_utf8_at_every_split),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
