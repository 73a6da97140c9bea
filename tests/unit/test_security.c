// What an attacker on the network, or in a page its user visits, can try.
#include "unit.h"

static int status_of(t_world *w, unsigned flags, const char *request) {
    u_peer *p = u_new(w);
    p->c = t_connect_peer(w, flags, 5);
    t_say(p->c, request);
    u_read(p);
    int status = p->cl.status;
    u_free(p);
    t_run_ready(w);
    return status;
}

static int host_status(t_world *w, const char *host) {
    char text[300];
    snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n", host);
    return status_of(w, 0, text);
}

// DNS rebinding: a foreign name that resolves to us stays foreign.
static void security_host_must_be_ours(U_STATE) {
    static const char *const good[] = {
        "10.0.0.1",          "192.168.4.1:80", "[::1]",       "[fe80::1]:8080", "[::ffff:10.0.0.1]",
        "localhost",         "LOCALHOST",      "localhost:1", "device.local",   "DEVICE.LOCAL",
        "device.local:8080", "device.local.",  "127.0.0.1"};
    static const char *const bad[] = {"evil.example",
                                      "device.local.evil.example",
                                      "xdevice.local",
                                      "evil.example:80",
                                      "device-local",
                                      "devicexlocal",
                                      "device",
                                      "local",
                                      "localhost.evil.example",
                                      "notlocalhost",
                                      "10.0.0.1.evil.example",
                                      "1e100.net",
                                      "xn--lclhost-bta",
                                      "device.local:80@evil.example",
                                      "device.local,evil.example",
                                      "device.local evil.example",
                                      "http://device.local",
                                      "[::1",
                                      "::1",
                                      "[evil.example]",
                                      "*",
                                      "device.local..",
                                      "..",
                                      ":80",
                                      "device.local:80:80",
                                      "device.local/",
                                      "device.local?x",
                                      "device.local#x",
                                      "0x7f.0x0.0x0.0x1"};
    t_world *w = t_begin();
    w->quiet = 1;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        T_CHECK(host_status(w, good[i]) == 200, "Host: %s is refused", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int status = host_status(w, bad[i]);
        T_CHECK(status == 421 || status == 400, "Host: %s gets %d", bad[i], status);
    }
}

static void security_host_check_can_be_turned_off(U_STATE) {
    static const char *const any[] = {"*", NULL};
    t_world *w = t_fixture();
    w->desc.hosts = any;
    t_start(w);
    T_EQ(host_status(w, "whatever.example"), 200);
    T_EQ(host_status(w, "bad host"), 400); // nonsense stays nonsense
    t_finish(w);
    w = t_fixture();
    w->desc.hosts = NULL;
    t_start(w);
    T_EQ(host_status(w, "10.0.0.1"), 200);
    T_EQ(host_status(w, "device.local"), 421);
}

static int origin_status(t_world *w, unsigned flags, const char *host, const char *origin) {
    char text[500];
    snprintf(text, sizeof text,
             "POST /echo HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nContent-Length: 1\r\n\r\nx", host,
             origin);
    return status_of(w, flags, text);
}

static int socket_status(t_world *w, unsigned flags, const char *host, const char *origin) {
    char text[500];
    snprintf(text, sizeof text,
             "GET /ws HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " T_KEY
             "\r\n\r\n",
             host, origin);
    return status_of(w, flags, text);
}

// Cross-site POST and WebSocket alike: only our own pages, and those listed.
static void security_origin_must_be_ours(U_STATE) {
    static const struct {
        unsigned flags;
        const char *host;
        const char *origin;
        int good;
    } table[] = {
        {0, "10.0.0.1", "http://10.0.0.1", 1},
        {0, "10.0.0.1:8080", "http://10.0.0.1:8080", 1},
        {0, "device.local", "http://device.local", 1},
        {0, "device.local", "http://DEVICE.local", 1},
        {1, "device.local", "https://device.local", 1},
        {0, "10.0.0.1", "https://app.example", 1},
        {1, "10.0.0.1", "https://app.example", 1},
        // RFC 6454 4: scheme, host and port; a port that is not named is that of the scheme.
        {0, "10.0.0.1:80", "http://10.0.0.1", 1},
        {0, "10.0.0.1", "http://10.0.0.1:80", 1},
        {0, "10.0.0.1:", "http://10.0.0.1", 1},
        {0, "192.168.1.5:443", "https://192.168.1.5", 1}, // nginx in front: proxy_set_header Host
        {0, "192.168.1.5", "https://192.168.1.5:443", 1},
        {1, "192.168.1.5:443", "https://192.168.1.5", 1},
        {0, "[::1]:80", "http://[::1]", 1},
        {0, "[::1]", "http://[::1]:80", 1},
        {0, "[::1]:8080", "http://[::1]:8080", 1},
        {0, "10.0.0.1", "https://app.example:443", 1},
        {0, "10.0.0.1", "https://App.Example", 1},
        {0, "10.0.0.1", "https://mixed.example", 1}, // listed in mixed case
        {0, "10.0.0.1", "https://port.example", 1},  // listed with the usual port
        {0, "10.0.0.1", "https://six.example:8443", 1},
        {0, "10.0.0.1", "capacitor://localhost", 1}, // listed: an application in a web view
        {0, "10.0.0.1", "https://six.example", 0},
        {0, "10.0.0.1", "https://six.example:443", 0},
        {0, "10.0.0.1", "http://port.example", 0},
        {0, "10.0.0.1", "http://port.example:443", 0},
        {0, "10.0.0.1", "https://port.example.evil", 0},
        {0, "10.0.0.1", "https://port.example443", 0},
        {0, "10.0.0.1", "https://port.example:4430", 0},
        {0, "10.0.0.1", "https://port.example:443:443", 0},
        {0, "10.0.0.1", "capacitor://localhosts", 0},
        {0, "10.0.0.1", "capacitor", 0},
        {0, "10.0.0.1", "https", 0},
        {0, "10.0.0.1", "https://", 0},
        {0, "10.0.0.1:443", "http://10.0.0.1", 0},
        {0, "10.0.0.1:80", "https://10.0.0.1", 0},
        {0, "10.0.0.1:443", "http://10.0.0.1:80", 0},
        {0, "10.0.0.1", "http://10.0.0.1:443", 0},
        {1, "10.0.0.1:80", "http://10.0.0.1", 0},
        {0, "10.0.0.1", "http://10.0.0.180", 0},
        {0, "10.0.0.1", "http://10.0.0.1:8", 0},
        {0, "10.0.0.1", "http://10.0.0.1::80", 0},
        {0, "[::1]", "http://[::1]80", 0},
        {0, "[::1]", "http://[::1", 0},
        {0, "[::1]", "http://[", 0},
        {0, "10.0.0.1", "http://10.0.0.2", 0},
        {0, "10.0.0.1", "http://10.0.0.1:81", 0},
        {0, "10.0.0.1:81", "http://10.0.0.1", 0},
        {1, "device.local", "http://device.local", 0}, // a downgraded page must not reach TLS
        {0, "device.local", "http://device.local.evil.example", 0},
        {0, "device.local", "http://evil.example/device.local", 0},
        {0, "device.local", "http://evil.example", 0},
        {0, "device.local", "http://xdevice.local", 0},
        {0, "device.local", "device.local", 0},
        {0, "device.local", "://device.local", 0},
        {0, "device.local", "ftp://device.local", 0},
        {0, "device.local", "null", 0},
        {0, "device.local", "", 0},
        {0, "device.local", "http://device.local@evil.example", 0},
        {0, "device.local", "https://app.example.evil", 0},
        {0, "device.local", "http://app.example", 0},
        {0, "device.local", "https://app.example:444", 0},
        {0, "device.local", "https://evil.example://device.local", 0},
        {0, "device.local", "http://device.local http://evil.example", 0},
    };
    static const char *const listed[] = {"https://app.example", "HTTPS://Mixed.Example",
                                         "https://port.example:443", "https://six.example:8443",
                                         "capacitor://localhost", NULL};
    t_world *w = t_fixture();
    w->desc.origins = listed;
    t_start(w);
    w->quiet = 1;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        unsigned flags = table[i].flags ? RTPUSH_LISTENER_SECURE : 0;
        int status = origin_status(w, flags, table[i].host, table[i].origin);
        T_CHECK(status == (table[i].good ? 200 : 403), "POST: Host %s, Origin %s gets %d",
                table[i].host, table[i].origin, status);
        status = socket_status(w, flags, table[i].host, table[i].origin);
        T_CHECK(status == (table[i].good ? 101 : 403), "WebSocket: Host %s, Origin %s gets %d",
                table[i].host, table[i].origin, status);
    }
}

// Invariant 21: no callback before Host, Origin and syntax are judged.
static void security_nothing_is_asked_for_a_foreign_request(U_STATE) {
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "Origin: http://evil.example\r\n\r\n",
        "GET /ws HTTP/1.1\r\n" T_WS_FIELDS "Origin: http://evil.example\r\n\r\n",
        "GET /events HTTP/1.1\r\n" T_HOST "Origin: null\r\n\r\n",
        "GET /poll HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "POST /upload HTTP/1.1\r\n" T_HOST "Origin: null\r\nContent-Length: 3\r\n\r\nabc",
        "GET /nothing HTTP/1.1\r\n" T_HOST "\r\n",
        "POST /hello HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "X : y\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 101\r\n\r\n",
        "GET /ws HTTP/1.1\r\n" T_HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        t_world *w = t_begin();
        int status = status_of(w, 0, requests[i]);
        T_CHECK(status >= 400, "request %lu gets %d", (unsigned long)i, status);
        T_EQ(t_app_of(w)->authorized, 0);
        T_EQ(t_app_of(w)->refusals, 1);
        T_EQ(t_app_of(w)->refused, status);
        t_expect_events(w, "!request|!open|!message");
        t_finish(w);
    }
}

// One hook for every request before a byte is written: whatever it says is answered.
static void security_authorize_decides_for_every_kind(U_STATE) {
    static const char *const requests[] = {
        "{GET /}",
        "{GET /hello}",
        "{GET /events}",
        "{WS /ws}",
        "{GET /poll}",
        "{GET /pull}",
        "{GET /files/x}",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n\r\nx",
        "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n\r\nx"};
    static const int said[] = {401, 403, 404, 429, 503, 599, 400, 1, 200, -5, 600};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        for (size_t k = 0; k < sizeof said / sizeof said[0]; k++) {
            t_world *w = t_begin();
            t_app_of(w)->status = said[k];
            int status = status_of(w, 0, requests[i]);
            int want = said[k] >= 400 && said[k] <= 599 ? said[k] : 500;
            if (strstr(requests[i], "/events") && (want == 429 || want == 503)) {
                want = 200; // WHATWG HTML 9.2.3: else an EventSource gives up for ever
            }
            T_CHECK(status == want, "%s: %d becomes %d", requests[i], said[k], status);
            T_EQ(t_app_of(w)->authorized, 1);
            T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
            t_expect_events(w, "!request|!open|!message");
            t_finish(w);
        }
    }
}

// ... also of those that are not the usual one: each way to a route leads past the hook.
static void security_authorize_is_asked_for_every_form_of_a_request(U_STATE) {
    static const char *const requests[] = {
        "HEAD /hello HTTP/1.1\r\n" T_HOST "\r\n",
        "HEAD / HTTP/1.1\r\n" T_HOST "\r\n",
        "HEAD /events HTTP/1.1\r\n" T_HOST "\r\n",
        "HEAD /poll HTTP/1.1\r\n" T_HOST "\r\n",
        "GET /hello HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /events HTTP/1.0\r\n\r\n",
        "GET /poll HTTP/1.0\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" T_WS_FIELDS "\r\n",
        "GET /events HTTP/1.1\r\n" T_WS_FIELDS "\r\n",
        "GET http://localhost/hello HTTP/1.1\r\n" T_HOST "\r\n",
        "GET /%68ello HTTP/1.1\r\n" T_HOST "\r\n",
        "\r\nGET /hello HTTP/1.1\r\n" T_HOST "\r\n",
        "GET / HTTP/1.1\r\n" T_HOST "If-None-Match: *\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        t_world *w = t_begin();
        t_app_of(w)->status = 401;
        int status = status_of(w, 0, requests[i]);
        T_CHECK(status == 401, "%s: %d", requests[i], status);
        T_EQ(t_app_of(w)->authorized, 1);
        t_expect_events(w, "!request|!open|!message");
        t_finish(w);
    }
    t_world *w = t_begin(); // behind another, each anew
    t_app_of(w)->status = 401;
    T_EQ(status_of(w, 0, "{GET /hello}{GET /}{GET /hello}"), 401);
    T_EQ(t_app_of(w)->authorized, 3);
    t_expect_events(w, "!request|!open|!message");
}

static void security_authorize_reduces_the_topics(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    t_app_of(w)->grant_topics = 1u << T_CHAT;
    t_start(w);
    t_publish_text(w, T_TEMP, "secret");
    u_peer *p = u_stream(w, "{GET /events}");
    u_peer *q = u_stream(w, "{WS /ws}");
    t_publish_text(w, T_LOG, "secret");
    t_publish_text(w, T_CHAT, "public");
    t_publish_text(w, T_LED, "secret");
    t_run(w);
    u_is(p, "chat: public\n");
    u_is(q, "1 public\n");
    T_EQ(status_of(w, 0, "{GET /events?topics=log}"), 403); // nothing left of what was asked
    T_EQ(status_of(w, 0, "{GET /events?topics=nothing}"), 404);
}

static void security_route_limits_its_topics(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_EVENTS].topics = 1u << T_LOG | 1u << T_TEMP;
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events}");
    t_publish_text(w, T_CHAT, "not here");
    t_publish_text(w, T_LOG, "here");
    t_run(w);
    u_is(p, "log: here\n");
    T_CHECK(status_of(w, 0, "{GET /events?topics=chat}") >= 400, "a topic of another route");
    T_CHECK(status_of(w, 0, "{GET /events?topics=log,chat}") >= 400, "one of two is not allowed");
    w->call = T_IN_API; // subscribing reaches no further than the route
    int result = rtpush_subscribe(&w->srv, p->c->handle, 1u << T_CHAT);
    t_leave(w);
    t_publish_text(w, T_CHAT, "not here either");
    t_run(w);
    (void)result;
    u_expect(p, "!not here");
}

// Bytes behind an answer that closes are never a request, whatever the two sides think of lengths.
static void security_smuggled_requests_are_not_read(U_STATE) {
    static const char *const heads[] = {
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding : chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding\r\n : chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "X: y\r\n Transfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: xchunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding:\x0B chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "tRANSFER-eNCODING: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nab",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0;\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n65\r\n",
        "POST /hello HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\nX: y\r\n\r\n0\r\nX\n\r\n",
        "POST /echo HTTP/1.0\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 0, 40\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 0x0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 4294967296\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 18446744073709551616\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length : 0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 101\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "Content-Length: 40\r\n\r\n",
        "GET /ws HTTP/1.1\r\n" T_WS_FIELDS "Content-Length: 40\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: 10.0.0.1\n\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "\n",
        "GET /hello HTTP/1.1\r\n" T_HOST "\r\r\n",
        "POST /hello HTTP/1.1\r\n" T_HOST "Content-Length: 40\r\n\r\n",
        "POST /nothing HTTP/1.1\r\n" T_HOST "Content-Length: 40\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        for (int mode = T_WHOLE; mode <= T_BYTES; mode++) {
            t_world *w = t_fixture();
            w->in_mode = mode;
            t_start(w);
            u_peer *p = u_open(w, heads[i]);
            t_say(p->c, "{GET /files/smuggled}{GET /files/smuggled}{GET /files/smuggled}");
            u_read(p);
            T_CHECK(p->cl.status >= 400, "head %lu gets %d", (unsigned long)i, p->cl.status);
            T_EQ(p->cl.answers, 1);
            T_EQ(p->c->fin, 1);
            t_expect_events(w, "!smuggled");
            u_free(p);
            t_finish(w);
        }
    }
}

// A body is not read further than its length says.
static void security_body_ends_where_its_length_says(U_STATE) {
    for (int len = 0; len <= 40; len++) {
        char text[200];
        t_world *w = t_begin();
        snprintf(text, sizeof text,
                 "POST /echo HTTP/1.1\r\n" T_HOST
                 "Content-Length: %d\r\n\r\n{rep %d b}{GET /hello}",
                 len, len);
        u_peer *p = u_open(w, text);
        u_read(p);
        T_EQ(p->cl.answers, 2);
        u_expect(p, "200 hello");
        u_free(p);
        t_finish(w);
    }
}

// The first of two cookies counts: cookie tossing from a sibling subdomain adds a later one.
static void security_second_cookie_of_the_name_is_ignored(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: sid=good; sid=evil\r\n\r\n");
    u_expect(p, "cookie=good |!evil");
    t_say(p->c, "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: sid=good\r\nCookie: sid=evil\r\n\r\n");
    u_expect(p, "cookie=good |!evil~400 ");
    t_say(p->c, "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: xsid=evil; sid =evil; SID=evil\r\n\r\n");
    u_expect(p, "cookie=- ");
    t_say(p->c, "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: sid=\r\n\r\n");
    u_expect(p, "cookie= ");
}

// Nothing kept of one request may show in the next, nor of one connection in the next.
static void security_nothing_leaks_into_the_next_request(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 1;
    t_start(w);
    u_peer *p = u_open(w, "GET /keep HTTP/1.1\r\n" T_HOST "Cookie: sid=secret\r\nX-One: secret\r\n"
                          "Authorization: secret\r\nOrigin: http://10.0.0.1\r\n\r\n");
    u_expect(p, "one=secret two=- auth=secret cookie=secret");
    t_say(p->c, "{GET /keep}");
    u_is(p, "200 host=10.0.0.1 one=- two=- auth=- cookie=- origin=-\n");
    u_free(p);
    t_run_ready(w);
    p = u_open(w, "{GET /keep}");
    u_is(p, "200 host=10.0.0.1 one=- two=- auth=- cookie=- origin=-\n");
}

static void security_absolute_form_of_any_length_is_safe(U_STATE) {
    for (size_t host = 1; host < 330; host += host < 150 ? 1 : 13) {
        for (size_t path = 0; path < 300; path += 23) {
            t_world *w = t_begin();
            w->quiet = 1;
            t_buf in = {0};
            t_puts(&in, "GET http://");
            for (size_t i = 0; i < host; i++) {
                t_puts(&in, i % 4 == 3 ? "." : "1");
            }
            t_puts(&in, path == 0 ? "?q" : "/files/");
            for (size_t i = 0; i < path; i++) {
                t_puts(&in, "p");
            }
            t_puts(&in, " HTTP/1.1\r\nHost: evil.example\r\n\r\n");
            t_conn *c = t_connect(w);
            t_feed(c, in.data, in.len);
            T_CHECK(t_match(c->out.data, c->out.len,
                            "HTTP/1.1 200 ~HTTP/1.1 414 ~HTTP/1.1 431 ~HTTP/1.1 400 ") == NULL,
                    "host of %lu, path of %lu: %.60s", (unsigned long)host, (unsigned long)path,
                    t_text(&c->out));
            t_buf_free(&in);
            t_finish(w);
        }
    }
}

// Good transcripts with bytes changed, removed and doubled at random: whatever comes, nothing
// breaks, and every slot is free in the end.
static void security_mutated_input_breaks_nothing(U_STATE) {
    static const char *const seeds[] = {
        "{WSP /ws chat, rtpush.1}{01:abc}{89:p}{80:def}{88#03e8}",
        "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 20\r\n\r\n{rep 20 x}{GET /hello}",
        "GET http://10.0.0.1/keep?a=%41 HTTP/1.1\r\n" T_HOST "Cookie: a=b; sid=x\r\nX-One: 1\r\n"
        "If-None-Match: \"x\"\r\nAccept-Encoding: gzip;q=1\r\n\r\n{GET /pull}",
        "GET /events?topics=log,temp&last_event_id=00c0ffee-00000001 HTTP/1.1\r\n" T_HOST
        "Last-Event-ID: 00c0ffee-00000002\r\nOrigin: http://10.0.0.1\r\n\r\n",
        "{GET /poll?timeout=1&last_event_id=00c0ffee-00000002-00000001}{GET /}",
        "{WS /stream}{82*700}{01#e282}{00#ac}{80:x}{8a:q}",
    };
    t_rng rng = t_seed(2024);
    for (int round = 0; round < (u_part() ? 2000 : 6000); round++) {
        snprintf(t_where, sizeof t_where, "round %d", round);
        t_world *w = t_fixture();
        w->quiet = 1;
        w->in_mode = round % 3 == 0 ? T_RANDOM : round % 3 == 1 ? T_BYTES : T_WHOLE;
        w->rng = t_seed((uint32_t)round);
        w->bite = round % 4 == 0 ? 11 : 0;
        t_start(w);
        t_publish_text(w, T_LOG, "one");
        t_publish_text(w, T_LOG, "two\nlines");
        t_publish_text(w, T_TEMP, "21");
        t_buf in = {0};
        t_expand(&in, seeds[t_below(&rng, 6)]);
        for (uint32_t i = 1 + t_below(&rng, 4); i > 0 && in.len > 2; i--) {
            size_t at = t_below(&rng, (uint32_t)in.len);
            switch (t_below(&rng, 5)) {
            case 0:
                in.data[at] = (uint8_t)t_rand(&rng);
                break;
            case 1:
                in.data[at] ^= (uint8_t)(1u << t_below(&rng, 8));
                break;
            case 2:
                memmove(in.data + at, in.data + at + 1, in.len - at - 1);
                in.len--;
                break;
            case 3:
                in.len = at + 1;
                break;
            default: {
                uint8_t copy[64];
                size_t n = in.len - at < 64 ? in.len - at : 64;
                memcpy(copy, in.data + at, n);
                t_put(&in, copy, n);
                break;
            }
            }
        }
        t_conn *c = t_connect(w);
        t_feed(c, in.data, in.len);
        t_publish_text(w, T_LOG, "three");
        t_run(w);
        if (round % 2) {
            t_eof(c);
        }
        t_advance(w, 3000);
        t_buf_free(&in);
        t_finish(w);
    }
    t_where[0] = 0;
}

// A route without a limit of its own: the sum of head and body must not wrap in 32 bits.
static void security_length_near_2_32_does_not_wrap(U_STATE) {
    static const char *const lengths[] = {"4294967295", "4294967294", "4294967200", "4294966784",
                                          "4294967296", "4294967299", "2147483648",
                                          "18446744073709551615", "99999999999999999999"};
    for (int streamed = 0; streamed < 2; streamed++) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            char text[200];
            t_world *w = t_fixture();
            t_routes[T_R_UPLOAD].max_body = RTPUSH_UNLIMITED;
            if (!streamed) {
                t_routes[T_R_UPLOAD].max_body = 511; // the most that may be configured
                t_routes[T_R_UPLOAD].on_body = NULL;
            }
            w->quiet = 1;
            t_start(w);
            snprintf(text, sizeof text,
                     "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: %s\r\n\r\n{rep 3000 x}",
                     lengths[i]);
            u_peer *p = u_open(w, text);
            int may_wait = streamed && strlen(lengths[i]) == 10 &&
                           strcmp(lengths[i], "4294967295") < 0; // it may come
            T_CHECK(p->cl.status == 413 || p->cl.status == 400 || (may_wait && p->cl.status == 0),
                    "a length of %s, %s, gets %d", lengths[i], streamed ? "in pieces" : "whole",
                    p->cl.status);
            u_free(p);
            t_finish(w);
        }
    }
}

// Section 9.3.2 of RFC 9110: bytes behind the answer to HEAD would be taken for the next answer.
static void security_head_never_has_a_body(U_STATE) {
    static const char *const paths[] = {"/", "/app.js", "/hello", "/pull", "/files/x", "/keep",
                                        "/big", "/ws", "/stream", "/events", "/poll", "/nothing",
                                        "/poll?last_event_id=00c0ffee-00000000", "/poll?topics=no",
                                        "/echo", "/upload", "/later"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char text[160];
        t_world *w = t_begin();
        u_peer *p = u_new(w);
        p->cl.head_only = 1;
        snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\n" T_HOST "\r\n", paths[i]);
        p->c = t_open(w, text);
        t_publish_text(w, T_LOG, "news");
        t_run(w);
        if (strcmp(paths[i], "/later") == 0) {
            w->call = T_IN_API;
            T_EQ(rtpush_reply_text(&w->srv, t_app_of(w)->last, 200, "body"), RTPUSH_OK);
            t_leave(w);
            t_run(w);
        }
        u_read(p);
        T_CHECK(p->cl.answers == 1, "%s: %d answers", paths[i], p->cl.answers);
        if (!t_ended(p->c)) {
            t_say(p->c, "HEAD /hello HTTP/1.1\r\n" T_HOST "\r\n");
            u_read(p); // the strict client takes a body for a bad status line
            T_CHECK(p->cl.answers == 2 && p->cl.status == 200, "%s: status %d behind it", paths[i],
                    p->cl.status);
        }
        u_free(p);
        t_finish(w);
    }
}

// An answer that does not fit tx is another answer, or the end: never silence.
static void security_answers_that_do_not_fit_end_the_request(U_STATE) {
    static const char *const origins[] = {
        "https://app.example.with-a-rather-long-name.example.org", NULL};
    static const char *const requests[] = {"OPTIONS /hello", "GET /poll", "GET /events",
                                           "GET /hello", "GET /", "GET /nothing",
                                           "POST /hello", "GET /ws"};
    for (int full = 0; full < 2; full++) {
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
            char text[300];
            t_world *w = t_fixture();
            w->desc.origins = origins;
            w->desc.tx_size = 256;
            w->desc.max_streams = 1;
            t_routes[T_R_HELLO].on_request = t_on_request; // never answered: 503
            t_routes[T_R_PULL].on_request = t_on_request;
            t_start(w);
            t_conn *other = full ? t_open(w, "{GET /events}") : NULL;
            snprintf(text, sizeof text, "%s HTTP/1.1\r\n" T_HOST "Origin: %s\r\n\r\n", requests[i],
                     origins[0]);
            t_conn *c = t_open(w, text);
            t_advance(w, 70000);
            T_CHECK(t_ended(c) || c->out.len > 0, "%s: neither answer nor end", requests[i]);
            T_CHECK(t_ended(c) || rtpush_get_counters(&w->srv)->streams > 0,
                    "%s: a slot is lost", requests[i]);
            (void)other;
            t_finish(w);
        }
    }
}

static int answer_and_later(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                            size_t len, int last) {
    (void)data;
    (void)len;
    if (last) {
        T_EQ(rtpush_reply_text(srv, req->conn, 200, "done"), RTPUSH_OK);
    }
    return RTPUSH_RETRY;
}

// A piece answered and left for later at once must not come back as a request.
static void security_body_is_never_read_as_a_request(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].on_body = answer_and_later;
    t_start(w);
    u_peer *p = u_open(w, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 44\r\n\r\n"
                          "GET /files/smuggled HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
    t_advance(w, 2000);
    u_expect(p, "200 done\n|!smuggled");
    t_expect_events(w, "request POST|!smuggled");
}

// What the application sees is what was asked, at every length.
static void security_absolute_form_keeps_the_path(U_STATE) {
    for (size_t host = 7; host < 250; host += 3) {
        for (size_t path = 1; path < 90; path += 4) {
            t_world *w = t_begin();
            w->quiet = 1;
            t_buf in = {0};
            t_puts(&in, "GET http://");
            for (size_t i = 0; i < host; i++) {
                t_puts(&in, i % 4 == 3 ? "." : "1");
            }
            t_puts(&in, "/files/");
            for (size_t i = 0; i < path; i++) {
                t_puts(&in, "%61");
            }
            t_puts(&in, "END HTTP/1.1\r\n" T_HOST "\r\n");
            u_peer *p = u_new(w);
            p->c = t_connect(w);
            t_feed(p->c, in.data, in.len);
            u_read(p);
            if (p->cl.status == 200) {
                T_EQ(p->cl.body.len, path + 3);
                for (size_t i = 0; i < path; i++) {
                    T_CHECK(p->cl.body.data[i] == 'a', "the path was changed: %s",
                            t_text(&p->cl.body));
                }
                T_CHECK(strcmp(t_text(&p->cl.body) + path, "END") == 0, "%s",
                        t_text(&p->cl.body));
            } else {
                T_CHECK(p->cl.status == 414 || p->cl.status == 431, "status %d", p->cl.status);
            }
            t_buf_free(&in);
            u_free(p);
            t_finish(w);
        }
    }
}


int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(security_host_must_be_ours),
        u_test(security_host_check_can_be_turned_off),
        u_test(security_origin_must_be_ours),
        u_test(security_nothing_is_asked_for_a_foreign_request),
        u_test(security_authorize_decides_for_every_kind),
        u_test(security_authorize_is_asked_for_every_form_of_a_request),
        u_test(security_authorize_reduces_the_topics),
        u_test(security_route_limits_its_topics),
        u_test(security_smuggled_requests_are_not_read),
        u_test(security_body_ends_where_its_length_says),
        u_test(security_second_cookie_of_the_name_is_ignored),
        u_test(security_nothing_leaks_into_the_next_request),
        u_test(security_absolute_form_of_any_length_is_safe),
        u_test(security_length_near_2_32_does_not_wrap),
        u_test(security_head_never_has_a_body),
        u_test(security_answers_that_do_not_fit_end_the_request),
        u_test(security_body_is_never_read_as_a_request),
        u_test(security_absolute_form_keeps_the_path),
        u_test(security_mutated_input_breaks_nothing),
    };
    return cmocka_run_group_tests_name("security", tests, NULL, NULL);
}
