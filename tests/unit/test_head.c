// What the head decides: who may read a refusal, which sites may ask, which form of a file is sent,
// and where a person without a login is sent to.
#include "unit.h"

#define ORIGIN "Origin: https://app.example\r\n" // listed in desc.origins
#define ALLOWED "https://app.example"

static const char *allowed_of(const u_peer *p) {
    return t_field(&p->cl, "Access-Control-Allow-Origin");
}

static int same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

// -- refusals -------------------------------------------------------------------------------------

// WHATWG Fetch 3.2.3: without Access-Control-Allow-Origin a page sees "network error" and not the
// status. So what is wrong before Origin was read waits for it.
static void head_refusals_can_be_read_by_a_listed_origin(U_STATE) {
    static const struct {
        const char *request; // up to its last empty line
        int status;
        int why;
    } table[] = {
        {"BREW /hello HTTP/1.1\r\n" T_HOST, 501, RTPUSH_REASON_METHOD},
        {"{rep 300 M} /hello HTTP/1.1\r\n" T_HOST, 501, RTPUSH_REASON_METHOD},
        {"GET /hello{rep 600 x} HTTP/1.1\r\n" T_HOST, 414, RTPUSH_REASON_TOO_LONG},
        {"GET http://{rep 300 a}/hello HTTP/1.1\r\n" T_HOST, 414, RTPUSH_REASON_TOO_LONG},
        {"GET http://10.0.0.1/{rep 600 x} HTTP/1.1\r\n" T_HOST, 414, RTPUSH_REASON_TOO_LONG},
        {"GET /hello?{rep 9000 x} HTTP/1.1\r\n" T_HOST, 414, RTPUSH_REASON_TOO_LONG},
        {"GET /files/%zz HTTP/1.1\r\n" T_HOST, 400, RTPUSH_REASON_SYNTAX},
        {"GET /files/a%2Fb HTTP/1.1\r\n" T_HOST, 400, RTPUSH_REASON_SYNTAX},
        {"GET /files/../hello HTTP/1.1\r\n" T_HOST, 400, RTPUSH_REASON_SYNTAX},
        {"GET hello HTTP/1.1\r\n" T_HOST, 400, RTPUSH_REASON_SYNTAX},
        {"GET /keep HTTP/1.1\r\n" T_HOST "X-One: {rep 600 x}\r\n", 431, RTPUSH_REASON_TOO_LONG},
        {"GET /keep HTTP/1.1\r\n" T_HOST "Cookie: a=b; sid={rep 600 x}; c=d\r\n", 431,
         RTPUSH_REASON_TOO_LONG},
        {"POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 4294967295\r\n", 413,
         RTPUSH_REASON_BODY},
        {"POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 101\r\n", 413, RTPUSH_REASON_BODY},
        {"POST /echo HTTP/1.1\r\n" T_HOST "Transfer-Encoding: gzip\r\n", 501, RTPUSH_REASON_CODING},
        {"POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\nExpect: more\r\n", 417,
         RTPUSH_REASON_EXPECT},
        {"GET /nothing HTTP/1.1\r\n" T_HOST, 404, RTPUSH_REASON_NOT_FOUND},
        {"GET /events?topics=nothing HTTP/1.1\r\n" T_HOST, 404, RTPUSH_REASON_NOT_FOUND},
        {"GET /poll?timeout=x HTTP/1.1\r\n" T_HOST, 400, RTPUSH_REASON_SYNTAX},
        {"GET /ws?topics=% HTTP/1.1\r\n" T_WS_FIELDS, 400, RTPUSH_REASON_SYNTAX},
        {"DELETE /hello HTTP/1.1\r\n" T_HOST, 405, RTPUSH_REASON_METHOD},
        {"GET /ws HTTP/1.1\r\n" T_HOST, 426, RTPUSH_REASON_UPGRADE},
        {"GET /app.js HTTP/1.1\r\n" T_HOST "Accept-Encoding: br\r\n", 406, RTPUSH_REASON_ENCODING},
        {"GET /hello HTTP/1.1\r\nHost: evil.example\r\n", 421, RTPUSH_REASON_HOST},
        {"GET /hello HTTP/1.1\r\nHost: a b\r\n", 400, RTPUSH_REASON_SYNTAX},
        {"GET /hello HTTP/1.1\r\n", 400, RTPUSH_REASON_SYNTAX},
    };
    static const char *const origins[] = {ORIGIN, "Origin: https://evil.example\r\n", ""};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int origin = 0; origin < 3; origin++) {
            t_world *w = t_begin();
            u_peer *p = u_open(w, table[i].request);
            t_say(p->c, origins[origin]);
            u_is(p, ""); // nothing before the end of the head
            T_EQ(t_app_of(w)->refusals, 0);
            t_say(p->c, "\r\n");
            u_read(p);
            int foreign = origin == 1 && p->cl.status == 403;
            T_CHECK(p->cl.status == table[i].status || foreign, "%s%s: %d", table[i].request,
                    origins[origin], p->cl.status);
            T_CHECK(same_text(allowed_of(p), origin == 0 ? ALLOWED : NULL), "%s%s: allowed is %s",
                    table[i].request, origins[origin], allowed_of(p) ? allowed_of(p) : "absent");
            T_CHECK(t_app_of(w)->refused_why == (foreign ? RTPUSH_REASON_ORIGIN : table[i].why),
                    "%s: %s", table[i].request, t_why(t_app_of(w)->refused_why));
            T_EQ(t_app_of(w)->authorized, p->cl.status == 406 || p->cl.status == 426);
            T_EQ(t_app_of(w)->refusals, 1);
            T_CHECK(p->cl.body.len > 0 && strstr(t_text(&p->cl.body), "ended") == NULL,
                    "%d says: %s", p->cl.status, t_text(&p->cl.body));
            t_expect_events(w, "!request|!open");
            u_free(p);
            t_finish(w);
        }
    }
}

// RFC 9112 2.2, 5.1, 5.2, 6.3: where two parsers could differ nothing more is read. The page of a
// listed origin may see it if Origin came before.
static void head_broken_framing_is_refused_at_once(U_STATE) {
    static const struct {
        const char *request;
        int status;
    } table[] = {
        {"X-One: a\n", 400},
        {"X-One: a\r-", 400},
        {"X-One : ", 400},
        {" folded", 400},
        {"X-One: a\r\n b", 400},
        {"Content-Length: 1\r\nContent-Length:", 400},
        {"Content-Length: 1\r\nTransfer-Encoding:", 400},
        {"Transfer-Encoding: chunked\r\nContent-Length:", 400},
        {"Content-Length: x\r", 400},
        {"Host:", 400},
        {"X-One: {hex 00}", 400},
        {"Other: {rep 17000 x}", 431},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int listed = 0; listed < 3; listed++) {
            t_world *w = t_begin();
            u_peer *p = u_open(w, listed == 2 ? "BREW /hello HTTP/1.1\r\n" T_HOST ORIGIN
                                  : listed    ? "POST /keep HTTP/1.1\r\n" T_HOST ORIGIN
                                              : "POST /keep HTTP/1.1\r\n" T_HOST);
            u_is(p, "");
            t_say(p->c, table[i].request);
            u_read(p);
            T_CHECK(p->cl.status == table[i].status, "%s: %d", table[i].request, p->cl.status);
            T_CHECK(same_text(allowed_of(p), listed ? ALLOWED : NULL), "%s: allowed is %s",
                    table[i].request, allowed_of(p) ? allowed_of(p) : "absent");
            T_CHECK(t_field_is(&p->cl, "Connection", "close"), "%s: kept", table[i].request);
            u_free(p);
            t_finish(w);
        }
    }
}

// What is refused already is held to the same deadline and length as any head.
static void head_refused_ones_do_not_live_on(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, "BREW /hello HTTP/1.1\r\n" T_HOST);
    t_advance(w, 9000);
    u_is(p, "");
    t_advance(w, 2000);
    u_read(p);
    T_EQ(p->cl.status, 408);
    u_free(p);
    t_finish(w);
    w = t_begin();
    p = u_open(w, "BREW /{rep 17000 x}");
    u_read(p);
    T_EQ(p->cl.status, 431);
}

// A 408 can be read where Origin came in time. Cut in its value, or before, it has not come.
static void head_timeout_can_be_read_where_origin_was(U_STATE) {
    static const struct {
        const char *begin;
        int listed;
    } table[] = {{"GET /hello HTTP/1.1\r\n" T_HOST ORIGIN, 1},
                 {"GET /hello HTTP/1.1\r\n" ORIGIN "Hos", 1},
                 {"GET /hello HTTP/1.1\r\n" ORIGIN "Host: 10.0", 1},
                 {"GET /keep HTTP/1.1\r\n" ORIGIN "X-One: some", 1},
                 {"GET http://10.0.0.1/keep HTTP/1.1\r\n" ORIGIN "Connection: a, b", 1},
                 {"GET /hello HTTP/1.1\r\n" T_HOST "Origin: https://app.example", 0},
                 {"GET /hello HTTP/1.1\r\n" T_HOST "Origin:", 0},
                 {"GET /hello HTTP/1.1\r\n" T_HOST "Origin: https://evil.example\r\n", 0},
                 {"GET /hello HTTP/1.1\r\n" T_HOST, 0},
                 {"GET http://10.0.0.1/hello?{rep 50 x}", 0},
                 {"G", 0},
                 {"\r", 0}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        t_world *w = t_begin();
        u_peer *p = u_open(w, table[i].begin);
        t_advance(w, 11000);
        u_read(p);
        T_CHECK(p->cl.status == 408, "%s: %d", table[i].begin, p->cl.status);
        T_CHECK(same_text(allowed_of(p), table[i].listed ? ALLOWED : NULL), "%s: allowed is %s",
                table[i].begin, allowed_of(p) ? allowed_of(p) : "absent");
        u_free(p);
        t_finish(w);
    }
}

// "Not now" of every kind, also of an event stream, which would give up for ever otherwise.
static void head_not_now_can_be_read_by_a_listed_origin(U_STATE) {
    static const char *const paths[] = {"/hello", "/events", "/poll", "/ws"};
    for (size_t i = 0; i < 4; i++) {
        char text[300];
        t_world *w = t_fixture();
        w->desc.rate_messages = 1; // a burst of two
        t_start(w);
        u_peer *p = u_open(w, "{GET /hello}{GET /hello}");
        u_clear(p);
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" T_WS_FIELDS ORIGIN "\r\n", paths[i]);
        t_say(p->c, text);
        u_read(p);
        T_EQ(p->cl.status, i == 1 ? 200 : 429);
        T_CHECK(same_text(allowed_of(p), ALLOWED), "%s over the rate", paths[i]);
        T_EQ(p->cl.retry_count, i == 1);
        u_free(p);
        t_finish(w);
        w = t_fixture();
        w->desc.max_streams = 1;
        t_start(w);
        u_peer *first = u_open(w, "{GET /events}");
        p = u_open(w, text);
        T_EQ(p->cl.status, i == 0 || i == 1 ? 200 : 503);
        T_CHECK(same_text(allowed_of(p), ALLOWED), "%s over max_streams", paths[i]);
        u_free(first);
        u_free(p);
        t_finish(w);
    }
    t_world *w = t_begin();
    u_peer *p = u_open(w, "GET /later HTTP/1.1\r\n" T_HOST ORIGIN "\r\n");
    t_advance(w, 31000);
    u_read(p);
    T_EQ(p->cl.status, 503);
    T_CHECK(same_text(allowed_of(p), ALLOWED), "no answer in reply_ms");
    u_free(p);
    t_finish(w);
    w = t_begin();
    p = u_open(w, "POST /echo HTTP/1.1\r\n" T_HOST ORIGIN "Content-Length: 9\r\n\r\nab");
    t_advance(w, 31000);
    u_read(p);
    T_EQ(p->cl.status, 408);
    T_CHECK(same_text(allowed_of(p), ALLOWED), "no body in body_ms");
}

// A preflight is no request of its own: it spends no token, with what it asks for there would be
// two. One that the application answers is a request.
static void head_preflights_spend_no_token(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_messages = 1;
    t_handler(T_R_LATER, "/own", RTPUSH_GET | RTPUSH_OPTIONS, t_hello);
    t_start(w);
    u_peer *p = u_new(w);
    p->c = t_connect(w);
    for (int i = 0; i < 10; i++) {
        t_say(p->c, "OPTIONS /echo HTTP/1.1\r\n" T_HOST ORIGIN "\r\n");
        u_read(p);
        T_EQ(p->cl.status, 204);
        T_CHECK(same_text(allowed_of(p), ALLOWED), "the preflight");
    }
    u_clear(p);
    t_say(p->c, "{GET /hello}{GET /hello}");
    u_is(p, "200 hello\n200 hello\n");
    t_say(p->c, "OPTIONS * HTTP/1.1\r\n" T_HOST "\r\n");
    u_is(p, "204 \n");
    t_say(p->c, "OPTIONS /own HTTP/1.1\r\n" T_HOST "\r\n");
    u_expect(p, "429 ");
}

// -- other sites ----------------------------------------------------------------------------------

// W3C Fetch Metadata, where a browser sends it (to https and localhost): images, scripts and forms
// of other sites carry no Origin.
static void head_other_sites_reach_files_alone(U_STATE) {
    enum { FILES = 1, HANDLERS = 2, STREAMS = 4, ALL = 7 };
    static const struct {
        const char *fields;
        int reach;
    } table[] = {
        {"", ALL}, // not a browser, or plain http on the LAN
        {"Sec-Fetch-Site: same-origin\r\n", ALL},
        {"Sec-Fetch-Site: none\r\nSec-Fetch-Dest: document\r\n", ALL}, // typed, or a bookmark
        {"Sec-Fetch-Site: none\r\n", ALL},
        {"Sec-Fetch-Site: cross-site\r\n", FILES},
        {"Sec-Fetch-Site: same-site\r\n", FILES}, // another port, another device of the domain
        {"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
         FILES},
        {"Sec-Fetch-Dest: script\r\nSec-Fetch-Site: cross-site\r\n", FILES},
        {"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
         FILES},
        // A link that a person followed: pages, not streams.
        {"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
         FILES | HANDLERS},
        {"Sec-Fetch-Dest: document\r\nSec-Fetch-Site: same-site\r\n", FILES | HANDLERS},
        {"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: document\r\nOrigin: null\r\n", FILES},
        {"Sec-Fetch-Site: cross-site\r\n" ORIGIN, ALL},
        {ORIGIN "Sec-Fetch-Site: same-site\r\n", ALL},
        {"Sec-Fetch-Site: cross-site\r\nOrigin: http://evil.example\r\n", FILES},
        {"Sec-Fetch-Site: same-origin\r\nOrigin: http://evil.example\r\n", FILES},
        {"Sec-Fetch-Site: none\r\nOrigin: http://evil.example\r\n", FILES},
        {"Sec-Fetch-Site: same-origin\r\nOrigin: http://10.0.0.1\r\n", ALL},
        {"Sec-Fetch-Site: cross-site\r\nOrigin: http://10.0.0.1\r\n", FILES},
        // A form of our own page under Referrer-Policy: no-referrer.
        {"Sec-Fetch-Site: same-origin\r\nOrigin: null\r\n", ALL},
        {"Sec-Fetch-Site: none\r\nOrigin: null\r\n", FILES},
        {"Origin: null\r\n", FILES},
        {"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\nOrigin: null\r\n", FILES},
        {"Sec-Fetch-Site: same-origin, cross-site\r\n", FILES},
        // W3C Fetch Metadata 2: values that are not known are ignored, those of other fields too.
        {"Sec-Fetch-Site: some-other-site\r\n", ALL},
        {"Sec-Fetch-Dest: cross-site\r\nSec-Fetch-Mode: cross-site\r\n", ALL},
        {"Sec-Fetch-Dest: same-origin\r\nOrigin: null\r\n", FILES},
        {"Sec-Fetch-Site: cross-site, document\r\n", FILES},
        {"X-Sec-Fetch-Site: cross-site\r\n", ALL},
    };
    static const struct {
        const char *path;
        int kind;
        int good;
    } routes[] = {{"/", FILES, 200},      {"/hello", HANDLERS, 200}, {"/nothing", HANDLERS, 404},
                  {"/events", STREAMS, 200}, {"/poll", STREAMS, 200},   {"/ws", STREAMS, 101},
                  {"/any", ALL, 101}}; // RTPUSH_ANY_ORIGIN
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (size_t r = 0; r < sizeof routes / sizeof routes[0]; r++) {
            char text[400];
            t_world *w = t_begin();
            snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" T_WS_FIELDS "%s\r\n", routes[r].path,
                     table[i].fields);
            u_peer *p = u_open(w, text);
            int good = routes[r].kind == ALL || (table[i].reach & routes[r].kind);
            T_CHECK(p->cl.status == (good ? routes[r].good : 403), "%s with %s: %d",
                    routes[r].path, table[i].fields, p->cl.status);
            T_EQ(t_app_of(w)->authorized, good && p->cl.status != 404);
            T_CHECK(good || t_app_of(w)->refused_why == RTPUSH_REASON_ORIGIN, "%s",
                    t_why(t_app_of(w)->refused_why));
            u_free(p);
            t_finish(w);
        }
        // What changes something, a link does not reach either, nor a form of another site.
        char text[400];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n%s\r\nx",
                 table[i].fields);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == (table[i].reach == ALL ? 200 : 403), "POST with %s: %d",
                table[i].fields, p->cl.status);
        u_free(p);
        t_finish(w);
    }
}

// -- forms of a file ------------------------------------------------------------------------------

// RFC 9110 12.4.2, 12.5.3, 8.4.1.3.
static void head_accept_encoding_weighs_both_forms(U_STATE) {
    static const struct {
        const char *accept; // NULL: no such field
        char both;          // which form of a file that has both: i, g, or - for 406
        char gzip_only;
    } table[] = {
        {NULL, 'i', 'g'},
        {"", 'i', '-'}, // no coding is wanted
        {"gzip", 'g', 'g'},
        {"GZIP", 'g', 'g'},
        {"x-gzip", 'g', 'g'},
        {"*", 'g', 'g'},
        {"br, *", 'g', 'g'},
        {"br", 'i', '-'},
        {"identity", 'i', '-'},
        {"gzip, deflate, br, zstd", 'g', 'g'},
        {"gzip;q=0", 'i', '-'},
        {"x-gzip;q=0", 'i', '-'},
        {"gzip;q=0.000", 'i', '-'},
        {"gzip;q=0, *", 'i', '-'},
        {"*, gzip;q=0", 'i', '-'},
        {"gzip;q=0, *;q=0", '-', '-'},
        {"gzip, *;q=0", 'g', 'g'},
        {"*;q=0", '-', '-'},
        {"*;q=0, identity", 'i', '-'},
        {"identity;q=0", '-', '-'},
        {"identity;q=0, gzip", 'g', 'g'},
        {"identity;q=0, *", 'g', 'g'},
        {"identity;q=0, gzip;q=0.001", 'g', 'g'},
        {"gzip;q=0.5", 'g', 'g'}, // identity is not named: acceptable, and last
        {"gzip;q=0.001", 'g', 'g'},
        {"gzip;q=0.5, identity", 'i', 'g'},
        {"gzip;q=0.5, identity;q=0.5", 'g', 'g'},
        {"gzip;q=0.5, identity;q=0.501", 'i', 'g'},
        {"gzip;q=0.51, identity;q=0.5", 'g', 'g'},
        {"gzip ; q=0.5 , identity ; q=0.4", 'g', 'g'},
        {"gzip;Q=0.2, identity;Q=0.3", 'i', 'g'},
        {"gzip;q=0.5, *;q=0.8", 'i', 'g'},
        {"*;q=0.5", 'g', 'g'},
        {"gzip;q=1.000, identity;q=1", 'g', 'g'},
        {"gzip;q=0.0009, *;q=0", '-', '-'}, // three digits count
        {"gzip;q=x", 'i', '-'},
        {"gzip;q=", 'i', '-'},
        {"gzip;q=7", 'g', 'g'},
        {"gzipx, agzip, x-gzipp", 'i', '-'},
        {",,gzip,,", 'g', 'g'},
        {"{rep 2000 x}, gzip", 'g', 'g'},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int only = 0; only < 2; only++) {
            char text[200];
            t_world *w = t_begin();
            snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" T_HOST "%s%s%s\r\n",
                     only ? "/app.js" : "/", table[i].accept ? "Accept-Encoding: " : "",
                     table[i].accept ? table[i].accept : "", table[i].accept ? "\r\n" : "");
            u_peer *p = u_open(w, text);
            int coded = t_field(&p->cl, "Content-Encoding") != NULL;
            char seen = p->cl.status == 406 ? '-' : coded ? 'g' : 'i';
            char want = only ? table[i].gzip_only : table[i].both;
            T_CHECK(seen == want, "%s of %s: %c, not %c",
                    table[i].accept ? table[i].accept : "(no field)", only ? "/app.js" : "/", seen,
                    want);
            T_EQ(t_app_of(w)->authorized, 1);
            u_free(p);
            t_finish(w);
        }
    }
    // Decided later, and over several lines of the field.
    t_world *w = t_begin();
    t_app_of(w)->decide = T_LATER;
    u_peer *p = u_open(w, "GET / HTTP/1.1\r\n" T_HOST "Accept-Encoding: identity;q=0.1\r\n"
                          "Accept-Encoding: gzip;q=0.2\r\n\r\n{GET /}");
    u_is(p, "");
    t_decide(w);
    u_read(p);
    T_EQ(p->cl.answers, 2);
    T_CHECK(t_find(p->seen.data, p->seen.len, (const uint8_t *)"gz12", 4) != NULL, "not gzip");
    T_CHECK(t_field(&p->cl, "Content-Encoding") == NULL, "of the last request's wishes");
}

// -- redirects to a login page --------------------------------------------------------------------

// RFC 9110 15.4.3, 15.4.4: a person who is not logged in gets to the page where that is done.
static void head_authorize_may_redirect(U_STATE) {
    static const char *const requests[] = {
        "{GET /}", "{GET /hello}", "{GET /events}", "{GET /poll}", "{WS /ws}",
        "HEAD / HTTP/1.1\r\n" T_HOST "\r\n",
        "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n\r\nx"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        for (int status = 302; status <= 303; status++) {
            for (int decide = T_NOW; decide <= T_LATER; decide++) {
                t_world *w = t_begin();
                t_app_of(w)->status = status;
                t_app_of(w)->location = "/login?to=%2F";
                t_app_of(w)->decide = decide;
                u_peer *p = u_new(w);
                p->cl.head_only = strncmp(requests[i], "HEAD", 4) == 0;
                p->c = t_open(w, requests[i]);
                t_decide(w);
                u_read(p);
                T_CHECK(p->cl.status == status, "%s: %d", requests[i], p->cl.status);
                T_CHECK(t_field_is(&p->cl, "Location", "/login?to=%2F"), "no Location");
                T_CHECK(t_field_is(&p->cl, "Cache-Control", "no-store"), "it may be kept");
                T_CHECK(t_field(&p->cl, "WWW-Authenticate") == NULL, "a challenge beside it");
                T_EQ(t_app_of(w)->refused, status);
                T_EQ(t_app_of(w)->refused_why, RTPUSH_REASON_APP);
                T_EQ(rtpush_get_counters(&w->srv)->streams, 0);
                t_expect_events(w, "!request|!open");
                u_free(p);
                t_finish(w);
            }
        }
    }
}

// Response splitting, a redirect to nowhere, other statuses below 400: never sent.
static void head_redirects_need_a_location(U_STATE) {
    static const struct {
        int status;
        const char *location;
    } table[] = {{302, NULL},   {303, NULL},  {302, ""},         {302, "/a\r\nX: y"},
                 {303, "/a\n"}, {303, "\r"},  {301, "/login"},   {304, "/login"},
                 {307, "/login"}, {308, "/login"}, {300, "/login"}, {200, "/login"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        t_world *w = t_begin();
        t_app_of(w)->status = table[i].status;
        t_app_of(w)->location = table[i].location;
        u_peer *p = u_open(w, "{GET /hello}");
        T_CHECK(p->cl.status == 500, "%d to %s: %d", table[i].status,
                table[i].location ? table[i].location : "(nowhere)", p->cl.status);
        T_CHECK(t_field(&p->cl, "Location") == NULL, "a Location is sent");
        u_free(p);
        t_finish(w);
        w = t_begin();
        t_app_of(w)->decide = T_LATER;
        p = u_open(w, "{GET /hello}");
        rtpush_grant grant = t_app_of(w)->grant;
        grant.location = table[i].location;
        t_enter(w, T_IN_API, NULL);
        T_EQ(rtpush_authorize(&w->srv, t_app_of(w)->asked, table[i].status, &grant),
             RTPUSH_ERR_ARGUMENT);
        T_EQ(rtpush_authorize(&w->srv, t_app_of(w)->asked, table[i].status, NULL),
             RTPUSH_ERR_ARGUMENT);
        t_leave(w);
        t_decide(w); // it still waits, and may be decided
        u_is(p, "200 hello\n");
        u_free(p);
        t_finish(w);
    }
}

// What a person reads says what to do, and what an application refuses names no reason of ours.
static void head_refusals_of_the_application_say_something(U_STATE) {
    static const struct {
        int status;
        const char *text;
    } table[] = {{401, "401 log in: this needs credentials\n"},
                 {403, "403 Forbidden\n"},
                 {404, "404 Not Found\n"},
                 {402, "402 Payment Required\n"},
                 {429, "429 Too Many Requests\n"},
                 {503, "503 Service Unavailable\n"},
                 {599, "599 \n"},
                 {302, "302 Found\n"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        t_world *w = t_begin();
        t_app_of(w)->status = table[i].status;
        t_app_of(w)->location = "/login";
        u_peer *p = u_open(w, "{GET /hello}");
        u_is(p, table[i].text);
        u_free(p);
        t_finish(w);
    }
}

// A location or challenge that does not fit tx_size is not cut, and the peer is answered.
static void head_refusals_that_do_not_fit_are_500(U_STATE) {
    static char longer[600];
    memset(longer, 'a', sizeof longer - 1);
    longer[0] = '/';
    static const int statuses[] = {302, 303, 401};
    for (size_t i = 0; i < 3; i++) {
        t_world *w = t_begin();
        t_app_of(w)->status = statuses[i];
        t_app_of(w)->location = t_app_of(w)->challenge = longer;
        u_peer *p = u_open(w, "{GET /hello}");
        T_EQ(p->cl.answers, 1);
        T_EQ(p->cl.status, 500);
        T_EQ(t_app_of(w)->refused, 500);
        u_free(p);
        t_finish(w);
    }
}

// The longest text of all must be one that the smallest tx_size has room for.
static void head_refusals_fit_the_smallest_buffers(U_STATE) {
    for (int why = 1; why < RTPUSH_REASON_COUNT; why++) {
        T_CHECK(strlen(rtpush_reason_text(why)) > 2 && strlen(rtpush_reason_text(why)) < 64,
                "%d: %s", why, rtpush_reason_text(why));
    }
    t_world *w = t_fixture();
    w->desc.tx_size = w->desc.rx_size = 256;
    t_start(w);
    u_peer *p = u_open(w, "GET /hello{rep 600 x} HTTP/1.1\r\n" T_HOST "\r\n");
    u_expect(p, "414 request line");
}

// Another site chooses path and query. What it fills with them must not hide Sec-Fetch-Site.
static void head_a_long_query_does_not_hide_the_site(U_STATE) {
    for (int len = 100; len < 400; len++) {
        char query[400] = "";
        char text[700];
        t_world *w = t_fixture();
        memset(query, 'q', (size_t)len);
        w->desc.rx_size = 512;
        t_start(w);
        snprintf(text, sizeof text,
                 "GET /keep?%s HTTP/1.1\r\n" T_HOST "X-One: {rep 110 x}\r\n"
                 "Sec-Fetch-Site: cross-site\r\n\r\n", query);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == 403 || p->cl.status == 414 || p->cl.status == 431,
                "a query of %d bytes is answered %d", len, p->cl.status);
        T_EQ(t_app_of(w)->authorized, 0);
        u_free(p);
        t_finish(w);
    }
}

// RFC 9112 3: a target longer than can be read is answered 414, however long it is.
static void head_target_beyond_the_limit_of_a_head_is_414(U_STATE) {
    static const char *const targets[] = {"/{rep 17000 x}", "/hello?{rep 17000 x}",
                                          "http://10.0.0.1/{rep 17000 x}", "{rep 17000 x}"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        char text[80];
        t_world *w = t_begin();
        snprintf(text, sizeof text, "GET %s", targets[i]);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == 414, "%s: %d", targets[i], p->cl.status);
        T_EQ(t_app_of(w)->refused_why, RTPUSH_REASON_TOO_LONG);
        u_free(p);
        t_finish(w);
    }
}

// "request head 16 KiB in all": one byte more is 431, in whatever pieces it comes.
static void head_of_16_kib_is_read_and_no_more(U_STATE) {
    static const char start[] = "GET /hello HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Long: ";
    for (int more = 0; more < 2; more++) {
        for (int mode = 0; mode < 2; mode++) {
            char text[120];
            t_world *w = t_begin();
            w->in_mode = mode ? T_BYTES : T_WHOLE;
            snprintf(text, sizeof text, "%s{rep %d x}\r\n\r\n", start,
                     16384 + more - (int)(sizeof start - 1 + 4));
            u_peer *p = u_open(w, text);
            T_EQ(p->cl.status, more ? 431 : 200);
            u_free(p);
            t_finish(w);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(head_refusals_can_be_read_by_a_listed_origin),
        u_test(head_broken_framing_is_refused_at_once),
        u_test(head_refused_ones_do_not_live_on),
        u_test(head_timeout_can_be_read_where_origin_was),
        u_test(head_not_now_can_be_read_by_a_listed_origin),
        u_test(head_preflights_spend_no_token),
        u_test(head_other_sites_reach_files_alone),
        u_test(head_accept_encoding_weighs_both_forms),
        u_test(head_authorize_may_redirect),
        u_test(head_redirects_need_a_location),
        u_test(head_refusals_of_the_application_say_something),
        u_test(head_refusals_that_do_not_fit_are_500),
        u_test(head_refusals_fit_the_smallest_buffers),
        u_test(head_a_long_query_does_not_hide_the_site),
        u_test(head_target_beyond_the_limit_of_a_head_is_414),
        u_test(head_of_16_kib_is_read_and_no_more),
    };
    return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
