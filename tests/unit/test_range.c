// Answers of a known length: Content-Length for what is pulled, and ranges (RFC 9110 14) of files,
// static bodies and pulls.
#include "unit.h"

#define GET_WITH(path, fields) "GET " path " HTTP/1.1\r\n" T_HOST fields "\r\n\r\n"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static const char *etag; // of the answers below
static uint32_t pull_len;
static uint32_t pull_stop;   // the pull ends here, before its length
static uint32_t pull_more;   // ... or says so many bytes more than there is room for
static uint32_t pull_offset; // the next one it must be asked for
static uint32_t pull_end;    // ... and where it must end

static void reply_static(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    t_on_request(srv, req);
    response.body_static = 1;
    response.body = letters;
    response.len = 26;
    response.etag = etag;
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_OK);
}

static int pull_letters(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                        uint8_t *buf, size_t cap) {
    (void)srv;
    (void)conn;
    T_CHECK(user == letters, "another user pointer");
    T_EQ(offset, pull_offset);
    T_CHECK(cap > 0 && offset + cap <= pull_end, "asked for %lu bytes at %lu of %lu",
            (unsigned long)cap, (unsigned long)offset, (unsigned long)pull_end);
    if (offset >= pull_stop) {
        return 0;
    }
    for (size_t i = 0; i < cap; i++) {
        buf[i] = (uint8_t)letters[(offset + i) % 26];
    }
    pull_offset += (uint32_t)cap;
    return (int)(cap + pull_more);
}

static void reply_pull(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    t_on_request(srv, req);
    response.pull = pull_letters;
    response.len = pull_len;
    response.user = (void *)(uintptr_t)letters;
    response.etag = etag;
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_OK);
}

static t_world *range_world(void) {
    t_world *w = t_fixture();
    etag = NULL;
    pull_more = 0;
    pull_stop = UINT32_MAX;
    t_routes[T_R_BIG].on_request = reply_static;
    t_routes[T_R_PULL].on_request = reply_pull;
    t_routes[T_R_PULL].methods = RTPUSH_GET | RTPUSH_HEAD | RTPUSH_POST;
    return w;
}

// RFC 9110 14.1.2: what is satisfiable, what is not, what is ignored.
static void range_of_a_static_body_is_what_rfc_9110_says(U_STATE) {
    static const struct {
        const char *range;
        const char *content_range; // NULL: 200
        const char *body;
    } cases[] = {
        {"bytes=0-0", "bytes 0-0/26", "A"},
        {"bytes=0-25", "bytes 0-25/26", letters},
        {"bytes=25-25", "bytes 25-25/26", "Z"},
        {"bytes=3-5", "bytes 3-5/26", "DEF"},
        {"BYTES=3-5", "bytes 3-5/26", "DEF"},
        {"bytes=20-", "bytes 20-25/26", "UVWXYZ"},
        {"bytes=0-", "bytes 0-25/26", letters},
        {"bytes=20-26", "bytes 20-25/26", "UVWXYZ"},
        {"bytes=20-4294967295", "bytes 20-25/26", "UVWXYZ"},
        {"bytes=20-99999999999999999999", "bytes 20-25/26", "UVWXYZ"},
        {"bytes=-1", "bytes 25-25/26", "Z"},
        {"bytes=-26", "bytes 0-25/26", letters},
        {"bytes=-27", "bytes 0-25/26", letters},
        {"bytes=-99999999999999999999", "bytes 0-25/26", letters},
        {"bytes=00000000000000000003-0005", "bytes 3-5/26", "DEF"},
        {"bytes=26-", "bytes */26", ""},
        {"bytes=26-30", "bytes */26", ""},
        {"bytes=4294967295-", "bytes */26", ""},
        {"bytes=4294967296-", "bytes */26", ""},
        {"bytes=99999999999999999999-99999999999999999999", "bytes */26", ""},
        {"bytes=-0", "bytes */26", ""},
        {"bytes=5-3", NULL, letters}, // invalid: ignored
        {"bytes=-", NULL, letters},
        {"bytes=", NULL, letters},
        {"bytes", NULL, letters},
        {"bytes=1", NULL, letters},
        {"bytes=a-b", NULL, letters},
        {"bytes=1-b", NULL, letters},
        {"bytes=--1", NULL, letters},
        {"bytes=1--2", NULL, letters},
        {"bytes=1-2-3", NULL, letters},
        {"bytes= 1-2", NULL, letters},
        {"bytes =1-2", NULL, letters},
        {"bytes=1 -2", NULL, letters},
        {"bytes=+1-2", NULL, letters},
        {"bytes=0x1-2", NULL, letters},
        {"bytes:1-2", NULL, letters},
        {"xbytes=1-2", NULL, letters},
        {"lines=1-2", NULL, letters},
        {"bytes=0-1,3-4", NULL, letters}, // several: ignored
        {"bytes=0-1,", NULL, letters},
        {"bytes=0-1, 0-2", NULL, letters},
        {"", NULL, letters},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_world *w = range_world();
        char text[200];
        t_start(w);
        snprintf(text, sizeof text, GET_WITH("/big", "Range: %s"), cases[i].range);
        u_peer *p = u_open(w, text);
        const char *is = t_field(&p->cl, "Content-Range");
        int status = !cases[i].content_range ? 200 : *cases[i].body ? 206 : 416;
        T_CHECK(p->cl.status == status, "%s gets %d", cases[i].range, p->cl.status);
        T_CHECK(!is == !cases[i].content_range && (!is || !strcmp(is, cases[i].content_range)),
                "%s gives %s", cases[i].range, is ? is : "none");
        T_CHECK(p->cl.body.len == strlen(cases[i].body) &&
                    memcmp(p->cl.body.data, cases[i].body, p->cl.body.len) == 0,
                "%s gives %s", cases[i].range, t_text(&p->cl.body));
        T_CHECK(t_field_is(&p->cl, "Accept-Ranges", "bytes"), "no Accept-Ranges");
        u_clear(p);
        t_say(p->c, "{GET /hello}"); // kept, also after 416
        u_is(p, "200 hello\n");
        u_free(p);
        t_finish(w);
    }
}

// RFC 9110 14.2: Range is for GET; 15.4.5 and 13.2.2: 304 comes before it.
static void range_is_for_get_alone(U_STATE) {
    static const char *const requests[] = {
        "HEAD /pull HTTP/1.1\r\n" T_HOST "Range: bytes=3-5\r\n\r\n",
        "POST /pull HTTP/1.1\r\n" T_HOST "Range: bytes=3-5\r\nContent-Length: 0\r\n\r\n",
        "HEAD / HTTP/1.1\r\n" T_HOST "Range: bytes=3-5\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        t_world *w = range_world();
        pull_len = pull_end = 26;
        pull_offset = 0;
        t_start(w);
        u_peer *p = u_new(w);
        p->c = t_connect(w);
        p->cl.head_only = requests[i][0] == 'H';
        t_says(p->c, requests[i]);
        u_read(p);
        T_EQ(p->cl.status, 200);
        T_CHECK(t_field(&p->cl, "Content-Range") == NULL, "a range of it");
        T_CHECK(i > 1 || t_field_is(&p->cl, "Content-Length", "26"), "another length");
        T_EQ(p->cl.body.len, p->cl.head_only ? 0 : 26);
        u_free(p);
        t_finish(w);
    }
    t_world *w = range_world();
    t_start(w);
    u_peer *p = u_open(w, GET_WITH("/", "Range: bytes=0-1\r\nIf-None-Match: \"v1-abc\""));
    T_EQ(p->cl.status, 304);
}

// RFC 9110 14: a range counts the bytes of the form that is sent.
static void range_of_a_file_is_of_the_form_that_is_sent(U_STATE) {
    static const struct {
        const char *fields;
        int status;
        const char *body;
        const char *tag;
    } cases[] = {
        {"Range: bytes=10-16", 206, "html><", "\"v1-abc\""},
        {"Range: bytes=14-20\r\nAccept-Encoding: gzip", 416, "", "\"v1-abc-gz\""},
        {"Range: bytes=10-13\r\nAccept-Encoding: gzip;q=0", 206, "html", "\"v1-abc\""},
        {"Range: bytes=10-13\r\nAccept-Encoding: gzip", 206, "gz12", "\"v1-abc-gz\""},
        {"Range: bytes=-4\r\nAccept-Encoding: gzip", 206, "gz12", "\"v1-abc-gz\""},
        {"Range: bytes=10-13\r\nIf-Range: \"v1-abc\"", 206, "html", "\"v1-abc\""},
        {"If-Range: \"v1-abc\"\r\nRange: bytes=10-13", 206, "html", "\"v1-abc\""},
        {"Range: bytes=10-13\r\nIf-Range: \"v1-abc-gz\"", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=-4\r\nAccept-Encoding: gzip\r\nIf-Range: \"v1-abc-gz\"", 206, "gz12",
         "\"v1-abc-gz\""},
        // RFC 9110 13.1.5: compared strongly, and a date is not known.
        {"Range: bytes=10-13\r\nIf-Range: W/\"v1-abc\"", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=10-13\r\nIf-Range: \"v1-ab\"", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=10-13\r\nIf-Range: \"v1-abcd\"", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=10-13\r\nIf-Range: v1-abc", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=10-13\r\nIf-Range:", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=10-13\r\nIf-Range: *", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=10-13\r\nIf-Range: Sat, 29 Oct 1994 19:43:31 GMT", 200, t_index_html,
         "\"v1-abc\""},
        {"Range: bytes=99-\r\nIf-Range: \"other\"", 200, t_index_html, "\"v1-abc\""},
        // What does not fit the arena is not forgotten: the condition does not hold.
        {"Range: bytes=10-13\r\nIf-Range: \"v1-abc{rep 600 x}\"", 200, t_index_html, "\"v1-abc\""},
        {"Range: bytes=0-1{rep 600 ,}", 200, t_index_html, "\"v1-abc\""},
        {"If-Range: \"v1-abc\"", 200, t_index_html, "\"v1-abc\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_world *w = range_world();
        char text[300];
        t_start(w);
        snprintf(text, sizeof text, GET_WITH("/", "%s"), cases[i].fields);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == cases[i].status, "%s gets %d", cases[i].fields, p->cl.status);
        T_CHECK(strncmp(t_text(&p->cl.body), cases[i].body, strlen(cases[i].body)) == 0,
                "%s gives %s", cases[i].fields, t_text(&p->cl.body));
        T_CHECK(t_field_is(&p->cl, "ETag", cases[i].tag), "%s: another ETag", cases[i].fields);
        T_CHECK(t_field_is(&p->cl, "Vary", "Origin, Accept-Encoding"), "no Vary");
        T_CHECK(!t_field(&p->cl, "Content-Encoding") == !strstr(cases[i].tag, "-gz"),
                "%s: Content-Encoding", cases[i].fields);
        T_CHECK(t_field_is(&p->cl, "Accept-Ranges", "bytes"), "no Accept-Ranges");
        u_free(p);
        t_finish(w);
    }
}

static void range_needs_a_tag_of_the_application_for_if_range(U_STATE) {
    for (int with = 0; with < 2; with++) {
        t_world *w = range_world();
        etag = with ? "e1" : NULL;
        t_start(w);
        u_peer *p = u_open(w, GET_WITH("/big", "Range: bytes=1-2\r\nIf-Range: \"e1\""));
        T_EQ(p->cl.status, with ? 206 : 200);
        T_EQ(t_field(&p->cl, "ETag") != NULL, with);
        u_free(p);
        p = u_open(w, GET_WITH("/big", "Range: bytes=1-2\r\nIf-Range: \"\""));
        T_EQ(p->cl.status, 200);
        u_free(p);
        t_finish(w);
    }
}

// A copied body, an unknown length and any other status have no ranges.
static void range_is_ignored_where_there_is_none(U_STATE) {
    t_world *w = range_world();
    t_start(w);
    u_peer *p = u_open(w, GET_WITH("/hello", "Range: bytes=1-2"));
    u_is(p, "200 hello\n");
    T_CHECK(t_field(&p->cl, "Accept-Ranges") == NULL, "Accept-Ranges on a copied body");
    t_say(p->c, GET_WITH("/nothing", "Range: bytes=1-2"));
    u_expect(p, "404 no such path");
    u_free(p);
    t_finish(w);
    w = t_begin(); // the fixture's pull, in chunks
    p = u_open(w, GET_WITH("/pull", "Range: bytes=1-2"));
    T_EQ(p->cl.status, 200);
    T_EQ(p->cl.body.len, 1000);
    T_CHECK(t_field(&p->cl, "Accept-Ranges") == NULL, "Accept-Ranges without a length");
}

static void check_pull(uint32_t len, uint32_t from, uint32_t to, int mode) {
    t_world *w = range_world();
    char text[200];
    w->desc.tx_size = mode % 2 ? 512 : 2048;
    w->bite = mode < 2 ? 0 : 7;
    t_start(w);
    pull_len = len;
    pull_offset = from;
    pull_end = to;
    snprintf(text, sizeof text, GET_WITH("/pull", "Range: bytes=%lu-%lu"), (unsigned long)from,
             (unsigned long)to - 1);
    u_peer *p = u_open(w, text);
    T_EQ(p->cl.status, 206);
    T_CHECK(t_field(&p->cl, "Transfer-Encoding") == NULL, "in chunks");
    T_EQ(p->cl.body.len, to - from);
    T_EQ(pull_offset, to);
    for (uint32_t i = from; i < to; i++) {
        T_CHECK(p->cl.body.data[i - from] == (uint8_t)letters[i % 26], "byte %lu differs",
                (unsigned long)i);
    }
    u_clear(p);
    t_say(p->c, "{GET /hello}");
    u_is(p, "200 hello\n");
    u_free(p);
    t_finish(w);
}

static void range_of_a_pull_begins_and_ends_where_it_says(U_STATE) {
    t_rng rng = t_seed(7);
    for (int i = 0; i < 200; i++) {
        uint32_t len = 1 + t_below(&rng, 5000);
        uint32_t from = t_below(&rng, len);
        check_pull(len, from, from + 1 + t_below(&rng, len - from), i % 4);
    }
    check_pull(UINT32_MAX, UINT32_MAX - 3000, UINT32_MAX, 0);
}

static void pull_of_a_known_length_has_content_length(U_STATE) {
    static const uint32_t lens[] = {1, 255, 256, 512, 5000};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        for (int http10 = 0; http10 < 2; http10++) {
            t_world *w = range_world();
            char length[16];
            t_start(w);
            pull_len = pull_end = lens[i];
            pull_offset = 0;
            u_peer *p = u_open(w, http10 ? "GET /pull HTTP/1.0\r\n\r\n" : "{GET /pull}");
            snprintf(length, sizeof length, "%lu", (unsigned long)lens[i]);
            T_CHECK(t_field_is(&p->cl, "Content-Length", length), "no length");
            T_EQ(p->cl.answers, 1);
            T_EQ(p->cl.body.len, lens[i]);
            T_EQ(t_ended(p->c), http10);
            t_expect_events(w, "close NONE");
            u_free(p);
            t_finish(w);
        }
    }
}

// A peer must never take what is cut short, or something else behind it, for the whole.
static void pull_of_another_length_is_aborted(U_STATE) {
    for (int more = 0; more < 2; more++) {
        t_world *w = range_world();
        t_start(w);
        pull_len = pull_end = 3000;
        pull_offset = 0;
        pull_more = (uint32_t)more;
        pull_stop = more ? UINT32_MAX : 700;
        u_peer *p = u_open(w, "{GET /pull}{GET /hello}");
        T_EQ(p->cl.answers, 0);
        T_CHECK(p->cl.body.len < 3000, "%lu bytes", (unsigned long)p->cl.body.len);
        T_EQ(p->c->dropped, 1);
        t_expect_events(w, "close APP|!GET /hello");
        u_free(p);
        t_finish(w);
    }
}

static void reply_again(rtpush_server *srv, const rtpush_request *req) {
    static const char *const long_field[] = {"X-Long", t_index_html, NULL};
    static const char *const bad[][3] = {{"ETag", "\"x\"", NULL},
                                         {"accept-ranges", "none", NULL},
                                         {"Content-Range", "bytes 0-1/2", NULL}};
    rtpush_response response = {0};
    char text[300];
    const char *fields[3] = {"X-Long", text, NULL};
    t_on_request(srv, req);
    response.body_static = 1;
    response.body = letters;
    response.len = 26;
    response.etag = "a\"b";
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_ERR_ARGUMENT);
    response.etag = "a\r\nb";
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_ERR_ARGUMENT);
    response.etag = "e1";
    for (size_t i = 0; i < 3; i++) {
        response.headers = bad[i];
        T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_ERR_ARGUMENT);
    }
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    response.headers = fields;
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_ERR_TOO_BIG);
    response.headers = long_field;
    T_EQ(rtpush_reply(srv, req->conn, &response), RTPUSH_OK);
}

// An answer that was refused leaves the range as it was asked for.
static void range_is_there_for_a_second_answer(U_STATE) {
    t_world *w = range_world();
    t_routes[T_R_BIG].on_request = reply_again;
    w->desc.tx_size = 400;
    t_start(w);
    u_peer *p = u_open(w, GET_WITH("/big", "Range: bytes=1-2\r\nIf-Range: \"e1\""));
    u_is(p, "206 BC\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(range_of_a_static_body_is_what_rfc_9110_says),
        u_test(range_is_for_get_alone),
        u_test(range_of_a_file_is_of_the_form_that_is_sent),
        u_test(range_needs_a_tag_of_the_application_for_if_range),
        u_test(range_is_ignored_where_there_is_none),
        u_test(range_of_a_pull_begins_and_ends_where_it_says),
        u_test(pull_of_a_known_length_has_content_length),
        u_test(pull_of_another_length_is_aborted),
        u_test(range_is_there_for_a_second_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
