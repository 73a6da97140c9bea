// A filter between the port and the core: what rtpush.h says of rtpush_filter and of the functions
// that are for it. This one copies, and changes no byte.
#include "unit.h"

enum { F_LINKS = 16 };

typedef struct f_link {
    void *port; // the port's own pointer: first
    int used;
    uint8_t data[2048]; // taken from the core, not yet by the transport: from `at` to `len`
    size_t at;
    size_t len;
    size_t owed;    // acknowledged, and not yet told
    size_t unacked; // taken by the transport
    int more;       // the core has more
    int fin;        // 1: the core has finished; 2: RTPUSH_FIN was passed on
    size_t passed;  // bytes that the transport took
} f_link;

static f_link f_links[F_LINKS];
static int f_closed;
static int f_hold; // 1: acknowledgements are told by f_tell

static void *f_open(void *ctx, rtpush_server *srv, rtpush_conn *conn, void *port) {
    (void)ctx;
    (void)srv;
    (void)conn;
    for (int i = 0; i < F_LINKS; i++) {
        if (!f_links[i].used) {
            memset(&f_links[i], 0, sizeof f_links[i]);
            f_links[i].used = 1;
            f_links[i].port = port;
            return &f_links[i];
        }
    }
    return NULL;
}

static void f_close(void *self) {
    T_CHECK(((f_link *)self)->used, "closed twice");
    ((f_link *)self)->used = 0;
    f_closed++;
}

static int f_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max) {
    f_link *link = (f_link *)rtpush_filter_self(conn);
    (void)max;
    if (link->at == link->len && link->fin == 0) {
        rtpush_span plain[4];
        link->at = link->len = 0;
        int count = rtpush_plain_output(srv, conn, plain, 4);
        link->fin = count == RTPUSH_FIN;
        for (int i = 0; i < count; i++) {
            size_t room = sizeof link->data - link->len;
            size_t n = plain[i].len < room ? plain[i].len : room;
            memcpy(link->data + link->len, plain[i].data, n);
            link->len += n;
        }
        link->more = count > 0 && rtpush_plain_sent(srv, conn, link->len, 0);
    }
    if (link->at < link->len) {
        spans[0].data = link->data + link->at;
        spans[0].len = (uint16_t)(link->len - link->at);
        spans[0].kind = RTPUSH_SPAN_COPY;
        return 1;
    }
    if (link->fin == 1 && link->unacked == 0) {
        link->fin = 2;
        return RTPUSH_FIN;
    }
    return 0;
}

static void f_tell(rtpush_server *srv, rtpush_conn *conn) {
    f_link *link = (f_link *)rtpush_filter_self(conn);
    size_t n = link->owed;
    link->owed = 0;
    rtpush_plain_acked(srv, conn, n);
}

static void f_acked(rtpush_server *srv, rtpush_conn *conn, size_t n) {
    f_link *link = (f_link *)rtpush_filter_self(conn);
    link->unacked -= n;
    link->owed += n;
    if (!f_hold) {
        f_tell(srv, conn);
    }
}

static int f_sent(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked) {
    f_link *link = (f_link *)rtpush_filter_self(conn);
    link->at += taken;
    link->unacked += taken;
    link->passed += taken;
    f_acked(srv, conn, acked);
    return link->at < link->len || link->more;
}

static const rtpush_filter f_filter = {
    NULL, f_open, f_close, rtpush_plain_input, rtpush_plain_eof, f_output, f_sent, f_acked};

static t_world *f_fixture(void) {
    memset(f_links, 0, sizeof f_links);
    f_closed = f_hold = 0;
    return t_fixture();
}

static void f_start(t_world *w) {
    t_start(w);
    T_EQ(rtpush_attach_filter(&w->srv, &f_filter), RTPUSH_OK);
}

static u_peer *f_peer(t_world *w, const char *text) {
    u_peer *p = u_new(w);
    p->c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1);
    T_CHECK(p->c != NULL, "not accepted");
    t_say(p->c, text);
    u_read(p);
    return p;
}

static int f_any(const rtpush_conn *conn) {
    (void)conn;
    return 1;
}

// "For connections of secure listeners rtpush_input, _eof, _output, _sent and _acked go to the
// filter": all kinds of routes work through it, readers share plans with those beside it, and each
// object is closed once.
static void filter_passes_everything_on(U_STATE) {
    for (int shared = 0; shared < 2; shared++) {
        t_world *w = f_fixture();
        w->desc.conn_count = 8;
        w->plan_size = shared ? 1024 : 0;
        f_start(w);
        u_peer *p = f_peer(w, "{GET /hello}");
        u_expect(p, "200 hello\n");
        u_free(p);
        p = f_peer(w, "{GET /big}");
        T_EQ(p->cl.body.len, sizeof t_big);
        u_free(p);
        T_EQ(f_closed, 2);
        u_peer *ws = f_peer(w, "{WS /ws?topics=log}");
        u_peer *sse = f_peer(w, "{GET /events?topics=log}");
        u_peer *other = f_peer(w, "{GET /events?topics=log}");
        u_peer *beside = u_open(w, "{GET /events?topics=log}");
        u_clear(ws);
        u_clear(sse);
        u_clear(other);
        u_clear(beside);
        t_say(ws->c, "{81:echo}");
        u_is(ws, "1 echo\n");
        T_EQ(t_publish_text(w, T_LOG, "all"), RTPUSH_OK);
        t_run_ready(w);
        T_EQ(((f_link *)rtpush_filter_self(sse->c->conn))->passed, sse->c->out_total);
        T_EQ(((f_link *)rtpush_filter_self(other->c->conn))->passed, other->c->out_total);
        u_is(ws, "1 all\n");
        u_is(sse, "log: all\n");
        u_is(other, "log: all\n");
        u_is(beside, "log: all\n");
        t_eof(sse->c);
        T_CHECK(sse->c->fin, "no FIN through the filter");
        u_free(ws);
        u_free(sse);
        u_free(other);
        t_run_ready(w);
        T_EQ(f_closed, 5);
        u_free(beside);
        t_finish(w);
    }
}

// "0: all that was to be sent is sent, close as usual". What a filter has on its way between
// requests a port that copies knows; with another one it may be cut off, so that is a reset.
static void filter_evicted_between_requests_is_no_reset_where_the_port_knows(U_STATE) {
    for (int kernel = 0; kernel < 2; kernel++) {
        t_world *w = f_fixture();
        w->desc.conn_count = 1;
        w->kernel = kernel ? 60000 : 0;
        f_start(w);
        u_peer *p = f_peer(w, "{GET /hello}");
        u_expect(p, "200 hello\n");
        if (kernel) {
            t_arrive(p->c, 60000);
        }
        u_peer *newcomer = f_peer(w, "{GET /hello}");
        u_expect(newcomer, "200 hello\n");
        T_EQ(p->c->dropped, kernel ? 2 : 1);
        u_free(p);
        u_free(newcomer);
        t_finish(w);
    }
}

// "rtpush_plain_acked MUST wait until the transport acknowledged": until then nothing has arrived,
// whatever the kernel says, so the connection does not give way and no deadline cuts it.
static void filter_that_owes_an_acknowledgement_has_not_arrived(U_STATE) {
    t_world *w = f_fixture();
    w->desc.conn_count = 1;
    w->kernel = 60000;
    f_start(w);
    f_hold = 1;
    u_peer *p = f_peer(w, "{GET /hello}");
    u_expect(p, "200 hello\n");
    t_arrive(p->c, 60000);
    T_EQ(p->c->kernel, 0);
    T_CHECK(t_connect_peer(w, RTPUSH_LISTENER_SECURE, 7) == NULL, "it gave way");
    t_advance(w, 10000);
    T_CHECK(!t_ended(p->c), "ended with bytes on their way");
    f_tell(&w->srv, p->c->conn);
    t_conn *newcomer = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 7);
    T_CHECK(newcomer != NULL, "it does not give way");
    T_EQ(p->c->dropped, 2);
}

// rtpush_filter_gives_way: "for an idle one it is half a second".
static void filter_idle_ones_give_way_after_half_a_second(U_STATE) {
    t_world *w = f_fixture();
    w->desc.conn_count = 4;
    f_start(w);
    u_peer *idle = f_peer(w, "{GET /hello}");
    t_conn *waits = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 9);
    t_advance(w, 250);
    assert_null(rtpush_filter_gives_way(&w->srv, waits->conn, 1000, f_any));
    t_advance(w, 250);
    assert_ptr_equal(rtpush_filter_gives_way(&w->srv, waits->conn, 1000, f_any), idle->c->conn);
    t_forget(waits);
    u_free(idle);
    t_finish(w);
}

// ... "least_ms replaces the second there", for one without a request.
static void filter_says_how_old_one_must_be(U_STATE) {
    t_world *w = f_fixture();
    w->desc.conn_count = 4;
    f_start(w);
    t_conn *half = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 8);
    t_say(half, "GET /hello HTTP/1.1\r\nHost: 10");
    t_conn *waits = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 9);
    t_advance(w, 1500);
    assert_null(rtpush_filter_gives_way(&w->srv, waits->conn, 2000, f_any));
    assert_ptr_equal(rtpush_filter_gives_way(&w->srv, waits->conn, 1250, f_any), half->conn);
    t_forget(waits);
    t_forget(half);
    t_finish(w);
}

// rtpush_filter_gives_way: "NULL: none, or one ends already" - one that closes, once nothing of it
// is left to be sent or acknowledged. Until then another one gives way.
static void filter_waits_for_one_that_ends_only_if_it_has_nothing_left(U_STATE) {
    for (int stage = 0; stage < 3; stage++) {
        t_world *w = f_fixture();
        w->desc.conn_count = 4;
        f_start(w);
        u_peer *idle = f_peer(w, "{GET /hello}");
        u_peer *closing = f_peer(w, "{WS /ws?topics=log}");
        t_conn *waits = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 9);
        t_advance(w, 3000);
        f_hold = stage == 1;
        closing->c->window = stage == 0 ? 0 : SIZE_MAX;
        closing->c->hold_acks = 1;
        closing->c->manual_close = 1;
        if (stage < 2) {
            T_EQ(rtpush_send(&w->srv, closing->c->handle, 1, "last", 4), RTPUSH_OK);
        }
        if (stage == 1) {
            t_run(w);
        }
        rtpush_filter_end(&w->srv, closing->c->conn, RTPUSH_REASON_TLS);
        const rtpush_conn *gives =
            rtpush_filter_gives_way(&w->srv, waits->conn, 1000, f_any);
        if (stage < 2) {
            T_CHECK(gives == idle->c->conn, "stage %d: another one, or none", stage);
        } else {
            T_CHECK(gives == NULL, "one ends already");
        }
        f_hold = 0;
        closing->c->window = SIZE_MAX;
        t_forget(waits);
        u_free(idle);
        u_free(closing);
        t_finish(w);
    }
}

// "rtpush_filter_later: ... within about 250 ms" rtpush_next names it, also an event stream with
// nothing to send; what it sends meanwhile changes nothing.
static void filter_is_served_again_later(U_STATE) {
    t_world *w = f_fixture();
    f_start(w);
    u_peer *p = f_peer(w, "{GET /events?topics=log}");
    u_clear(p);
    rtpush_filter_later(&w->srv, p->c->conn);
    T_EQ(t_publish_text(w, T_LOG, "now"), RTPUSH_OK);
    t_run(w);
    u_is(p, "log: now\n");
    rtpush_filter_ready(&w->srv, p->c->conn);
    T_CHECK(t_next(w) == p->c->conn, "rtpush_next does not name it");
    t_run_ready(w);
}

// rtpush_filter_moved while it ends: it stays as it is.
static void filter_that_ends_makes_no_progress(U_STATE) {
    t_world *w = f_fixture();
    f_start(w);
    t_conn *c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1);
    rtpush_filter_moved(&w->srv, c->conn); // a handshake
    w->call = T_IN_API;
    rtpush_shutdown(&w->srv);
    t_leave(w);
    rtpush_filter_moved(&w->srv, c->conn); // "its handshake made progress", too late
    t_run(w);
    T_CHECK(c->fin, "it does not end");
    t_run_ready(w);
    T_EQ(c->dropped, 2);
}

// "rtpush_filter_idle: 1: between requests", "rtpush_filter_peer", and rtpush_now_ms, "of the last
// rtpush_tick".
static void filter_is_told_about_its_connections(U_STATE) {
    t_world *w = f_fixture();
    f_start(w);
    t_conn *c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 0xC0A80107u);
    T_EQ(rtpush_filter_peer(c->conn), 0xC0A80107u);
    T_EQ(rtpush_filter_idle(c->conn), 0); // no request was completed
    t_say(c, "{GET /hello}");
    T_EQ(rtpush_filter_idle(c->conn), 1);
    t_says(c, "GET /hello HTTP/1.1\r\n");
    T_EQ(rtpush_filter_idle(c->conn), 0);
    t_says(c, T_HOST "\r\n");
    T_EQ(rtpush_filter_idle(c->conn), 1);
    t_say(c, "{GET /later}");
    T_EQ(rtpush_filter_idle(c->conn), 0);
    T_EQ(rtpush_now_ms(&w->srv), w->now_ms);
    w->now_ms += 100;
    T_EQ(rtpush_now_ms(&w->srv), w->now_ms - 100);
    t_tick(w);
    T_EQ(rtpush_now_ms(&w->srv), w->now_ms);
}

// rtpush_filter_end: "what is queued, then FIN", for its reason. rtpush_filter_evict: "gracefully,
// or at once if only its peer's end is waited for".
static void filter_ends_its_connections(U_STATE) {
    for (int evict = 0; evict < 3; evict++) {
        t_world *w = f_fixture();
        f_start(w);
        u_peer *p = f_peer(w, "{WS /ws}");
        u_clear(p);
        p->c->manual_close = 1;
        T_EQ(rtpush_send(&w->srv, p->c->handle, RTPUSH_TEXT_MESSAGE, "queued", 6), RTPUSH_OK);
        if (evict) {
            rtpush_filter_evict(&w->srv, p->c->conn);
        } else {
            rtpush_filter_end(&w->srv, p->c->conn, RTPUSH_REASON_TLS);
        }
        t_run(w);
        u_is(p, "1 queued\n");
        T_EQ(p->c->fin, 1);
        T_EQ(p->c->dropped, 0);
        if (evict == 2) { // it waits for the peer's FIN
            rtpush_filter_evict(&w->srv, p->c->conn);
            t_run_ready(w);
            T_EQ(p->c->dropped, 1); // what the filter itself still had to say is cut off
        } else {
            t_eof(p->c);
            T_EQ(p->c->dropped, 2);
        }
        T_EQ(rtpush_get_counters(&w->srv)->reasons[evict ? RTPUSH_REASON_EVICTED_SLOT
                                                         : RTPUSH_REASON_TLS], 1);
        u_free(p);
        t_finish(w);
    }
}

static uint8_t f_plain[256]; // what a filter decrypted: its own memory
static const uint8_t *f_seen;

static size_t f_input(rtpush_server *srv, rtpush_conn *conn, uint8_t *bytes, size_t len) {
    size_t n = len < sizeof f_plain ? len : sizeof f_plain;
    memcpy(f_plain, bytes, n);
    return rtpush_plain_input(srv, conn, f_plain, n);
}

static int f_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)srv;
    (void)conn;
    f_seen = msg->data;
    return RTPUSH_OK;
}

// A whole frame is unmasked where it stands, also over a transport that says INPUT_CONST: what a
// filter hands on is the filter's.
static void filter_may_have_its_input_written_to(U_STATE) {
    static const rtpush_filter copying = {NULL,     f_open, f_close, f_input, rtpush_plain_eof,
                                          f_output, f_sent, f_acked};
    t_world *w = f_fixture();
    t_routes[T_R_WS].on_message = f_message;
    w->input_const = 1;
    t_start(w);
    T_EQ(rtpush_attach_filter(&w->srv, &copying), RTPUSH_OK);
    u_peer *p = f_peer(w, "{WS /ws}");
    t_say(p->c, "{81:in place}");
    T_CHECK(f_seen >= f_plain && f_seen < f_plain + sizeof f_plain, "the message was copied");
    u_free(p);
    t_finish(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(filter_passes_everything_on),
        u_test(filter_evicted_between_requests_is_no_reset_where_the_port_knows),
        u_test(filter_that_owes_an_acknowledgement_has_not_arrived),
        u_test(filter_idle_ones_give_way_after_half_a_second),
        u_test(filter_says_how_old_one_must_be),
        u_test(filter_waits_for_one_that_ends_only_if_it_has_nothing_left),
        u_test(filter_is_served_again_later),
        u_test(filter_that_ends_makes_no_progress),
        u_test(filter_is_told_about_its_connections),
        u_test(filter_ends_its_connections),
        u_test(filter_may_have_its_input_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
