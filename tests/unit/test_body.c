// Request bodies: chunked ones against a second decoder, pieces that wait, what a piece is told of
// the length, limits and deadlines.
#include "unit.h"

#define UPLOAD "POST /upload HTTP/1.1\r\n" T_HOST
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

// -- a decoder of its own: the whole body is there, and is read as RFC 9112 7.1 writes it ---------

typedef struct ref {
    const uint8_t *at;
    const uint8_t *end;
    t_buf body;
    int status; // 0 more is needed, 200 whole, else what it must be refused with
} ref;

// A line up to CR LF of bytes a field value may hold. Returns its length, or -1: status says why.
static long ref_line(ref *r, size_t most, int too_long) {
    size_t n = 0;
    while (r->at + n < r->end) {
        uint8_t c = r->at[n];
        if (c == '\r') {
            if (r->at + n + 1 == r->end) {
                return -1;
            }
            if (r->at[n + 1] == '\n') {
                return (long)n;
            }
            r->status = 400;
            return -1;
        }
        if (n >= most) {
            r->status = too_long;
            return -1;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            r->status = 400;
            return -1;
        }
        n++;
    }
    return -1;
}

// One chunk. Returns its size, or -1.
static long long ref_size(ref *r) {
    unsigned long long size = 0;
    int digits = 0;
    long rest;
    while (r->at < r->end && digits < 8 && t_hex(*r->at >= 'A' && *r->at <= 'F' ? *r->at + 32
                                                                                : *r->at) >= 0) {
        size = size * 16 + (unsigned)t_hex(t_lower(*r->at));
        r->at++;
        digits++;
    }
    if (r->at == r->end) {
        return -1;
    }
    if (digits == 0 || (*r->at != ';' && *r->at != '\r')) {
        r->status = 400;
        return -1;
    }
    rest = ref_line(r, 65, 400); // ';' and 64 bytes
    if (rest < 0) {
        return -1;
    }
    r->at += rest + 2;
    return (long long)size;
}

static int ref_is_name(const uint8_t *name, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (!(t_lower(name[i]) >= 'a' && t_lower(name[i]) <= 'z') &&
            !(name[i] >= '0' && name[i] <= '9') &&
            (name[i] == 0 || !strchr("!#$%&'*+-.^_`|~", name[i]))) {
            return 0;
        }
    }
    return len > 0;
}

static void ref_trailers(ref *r) {
    const uint8_t *begin = r->at;
    for (;;) {
        size_t left = 1024 - (size_t)(r->at - begin);
        const uint8_t *field = r->at;
        size_t name = 0;
        while (field + name < r->end && ref_is_name(field + name, 1) && name < left) {
            name++;
        }
        if (name == left) {
            r->status = field + name < r->end ? 431 : 0;
            return;
        }
        if (field + name == r->end) {
            return;
        }
        if (name == 0 && *field == '\r') {
            if (left < 2 && field + 1 < r->end) {
                r->status = 431;
            } else if (field + 1 < r->end) {
                r->status = field[1] == '\n' ? 200 : 400;
                r->at += 2;
            }
            return;
        }
        if (name == 0 || field[name] != ':') {
            r->status = 400;
            return;
        }
        r->at += name + 1;
        left -= name + 1;
        long rest = ref_line(r, left, 431);
        if (rest < 0) {
            return;
        }
        if ((size_t)rest + 2 > left) {
            r->status = 431;
            return;
        }
        r->at += rest + 2;
    }
}

static void ref_decode(ref *r, uint32_t max_body) {
    for (;;) {
        long long size = ref_size(r);
        if (size <= 0) {
            if (size == 0) {
                ref_trailers(r);
            }
            return;
        }
        if ((unsigned long long)size > max_body - r->body.len) {
            r->status = 413;
            return;
        }
        size_t there = (size_t)(r->end - r->at);
        size_t n = (unsigned long long)size < there ? (size_t)size : there;
        t_put(&r->body, r->at, n);
        r->at += n;
        for (int i = 0; i < 2; i++) {
            if (r->at == r->end) {
                return;
            }
            if (*r->at++ != "\r\n"[i]) {
                r->status = 400;
                return;
            }
        }
    }
}

// -- what the application saw ---------------------------------------------------------------------

typedef struct seen {
    t_buf data;
    int pieces;
    int last;
    int later;          // answer LATER every time a piece is new, once
    int offered;        // ... this one was
    uint32_t announced; // content_length in on_request
    uint32_t left;      // ... of the last piece
    int closed_why;
} seen;

static seen app;

static void on_upload(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    app.announced = req->content_length;
}

static int on_piece(rtpush_server *srv, const rtpush_request *req, const uint8_t *data, size_t len,
                    int last) {
    T_CHECK(!app.last, "a piece behind the last one");
    T_CHECK(len > 0 || last, "an empty piece that is not the last");
    T_CHECK(data != NULL, "no pointer to a piece");
    if (app.later && !app.offered) {
        app.offered = 1;
        return RTPUSH_RETRY;
    }
    app.offered = 0;
    t_put(&app.data, data, len);
    app.pieces++;
    app.last = last;
    if (app.announced == RTPUSH_LENGTH_UNKNOWN) {
        T_EQ(req->content_length, last ? 0 : RTPUSH_LENGTH_UNKNOWN);
        T_CHECK(!last || len == 0, "the last piece of a chunked body holds bytes");
    } else {
        T_EQ(req->content_length, app.announced - app.data.len);
        T_EQ(last, req->content_length == 0);
    }
    if (last) {
        T_CHECK(rtpush_reply_text(srv, req->conn, 200, "done") == RTPUSH_OK, "reply refused");
    }
    return RTPUSH_OK;
}

static void on_end(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    t_on_close(srv, conn, closed);
    app.closed_why = closed->reason;
}

static t_world *body_world(uint32_t max_body) {
    t_world *w = t_fixture();
    t_buf_free(&app.data);
    memset(&app, 0, sizeof app);
    app.closed_why = -1;
    t_routes[T_R_UPLOAD].on_request = on_upload;
    t_routes[T_R_UPLOAD].on_body = on_piece;
    t_routes[T_R_UPLOAD].on_close = on_end;
    t_routes[T_R_UPLOAD].max_body = max_body;
    w->desc.rate_messages = RTPUSH_UNLIMITED;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    w->quiet = 1;
    return w;
}

static void put_text(t_buf *out, t_rng *rng, const char *letters, size_t most) {
    size_t n = t_below(rng, (uint32_t)most + 1);
    for (size_t i = 0; i < n; i++) {
        t_put(out, letters + t_below(rng, (uint32_t)strlen(letters)), 1);
    }
}

// A chunked body; most are valid.
static void make_body(t_buf *out, t_rng *rng) {
    char line[32];
    int chunks = (int)t_below(rng, 4);
    for (int i = 0; i < chunks; i++) {
        size_t size = t_below(rng, 40) + 1;
        snprintf(line, sizeof line, t_below(rng, 2) ? "%lx" : "%03lX", (unsigned long)size);
        t_puts(out, line);
        if (t_below(rng, 4) == 0) {
            t_puts(out, ";");
            put_text(out, rng, "ab=\";, \t", 70);
        }
        t_puts(out, "\r\n");
        for (size_t k = 0; k < size; k++) {
            t_put(out, "ab\r\n0;G:" + t_below(rng, 8), 1);
        }
        t_puts(out, "\r\n");
    }
    t_puts(out, t_below(rng, 3) ? "0" : "0;last");
    t_puts(out, "\r\n");
    for (int n = (int)t_below(rng, 3); n > 0; n--) {
        t_puts(out, "X");
        put_text(out, rng, "ab-", 20);
        t_puts(out, ":");
        put_text(out, rng, "xy: \t;", t_below(rng, 8) == 0 ? 1100 : 30);
        t_puts(out, "\r\n");
    }
    t_puts(out, "\r\n");
}

// Changes, removes or inserts a byte of those that could mean something.
static void spoil(t_buf *out, t_rng *rng) {
    static const char bytes[] = "\r\n;: 0aFg\t\x01\x7F\x80";
    size_t at = t_below(rng, (uint32_t)out->len);
    uint8_t byte = (uint8_t)bytes[t_below(rng, sizeof bytes)]; // with its NUL
    switch (t_below(rng, 3)) {
    case 0:
        out->data[at] = byte;
        break;
    case 1:
        memmove(out->data + at, out->data + at + 1, out->len - at - 1);
        out->len--;
        break;
    default:
        t_put(out, &byte, 1);
        memmove(out->data + at + 1, out->data + at, out->len - at - 1);
        out->data[at] = byte;
        break;
    }
}

static void compare_body(const t_buf *body, uint32_t seed, int mode, int later) {
    t_world *w = body_world(100);
    ref r = {body->data, body->data + body->len, {0}, 0};
    ref_decode(&r, 100);
    w->in_mode = mode;
    t_start(w);
    app.later = later;
    u_peer *p = u_open(w, UPLOAD CHUNKED);
    t_feed(p->c, body->data, r.status == 200 ? (size_t)(r.at - body->data) : body->len);
    for (int i = 0; later && i < 20; i++) {
        t_advance(w, 300);
    }
    u_read(p);
    T_CHECK(p->cl.status == r.status, "seed %lu mode %d: %d, should be %d", (unsigned long)seed,
            mode, p->cl.status, r.status);
    T_CHECK(app.data.len == r.body.len && (r.body.len == 0 ||
            memcmp(app.data.data, r.body.data, r.body.len) == 0), "seed %lu mode %d: other bytes",
            (unsigned long)seed, mode);
    T_CHECK(app.last == (r.status == 200), "seed %lu: the last piece", (unsigned long)seed);
    T_EQ(app.announced, RTPUSH_LENGTH_UNKNOWN);
    if (r.status == 200) { // exactly at its end: the next request is read
        t_say(p->c, "{GET /hello}");
        u_expect(p, "200 done|200 hello");
    } else if (r.status > 200) {
        T_EQ(t_ended(p->c), 1);
        t_say(p->c, "{GET /hello}");
        u_expect(p, "!hello");
        T_EQ(app.closed_why, r.status == 413   ? RTPUSH_REASON_BODY
                             : r.status == 431 ? RTPUSH_REASON_TOO_LONG
                                               : RTPUSH_REASON_SYNTAX);
    }
    t_buf_free(&r.body);
    u_free(p);
    t_finish(w);
}

static void body_chunked_is_read_as_a_second_decoder_does(U_STATE) {
    for (uint32_t seed = 1; seed <= (u_part() ? 1000 : 3000); seed++) {
        t_rng rng = t_seed(seed);
        t_buf body = {0};
        make_body(&body, &rng);
        for (int n = (int)t_below(&rng, 3); n > 0; n--) {
            spoil(&body, &rng);
        }
        compare_body(&body, seed, seed % 2 ? T_WHOLE : T_BYTES, 0);
        if (seed % 10 == 0) {
            compare_body(&body, seed, T_WHOLE, 1);
        }
        t_buf_free(&body);
    }
}

// A piece that waits is whole and in its place when it comes again, the last one too.
static void body_chunked_pieces_left_for_later_come_again(U_STATE) {
    for (int mode = T_WHOLE; mode <= T_BYTES; mode++) {
        t_world *w = body_world(1000);
        w->in_mode = mode;
        t_start(w);
        app.later = 1;
        u_peer *p = u_open(w, UPLOAD CHUNKED "3\r\nabc\r\n2;x\r\nde\r\n0\r\nX: y\r\n\r\n"
                              "{GET /hello}");
        T_EQ(app.pieces, 0);
        t_advance(w, 10000);
        assert_string_equal(t_text(&app.data), "abcde");
        T_EQ(app.pieces, mode == T_WHOLE ? 3 : 6);
        u_is(p, "200 done\n200 hello\n");
        u_free(p);
        t_finish(w);
    }
}

static void body_length_of_a_piece_is_what_comes_behind_it(U_STATE) {
    for (int mode = T_WHOLE; mode <= T_BYTES; mode++) {
        t_world *w = body_world(1000);
        w->in_mode = mode;
        t_start(w);
        u_peer *p = u_open(w, UPLOAD "Content-Length: 10\r\n\r\nabcde");
        T_EQ(app.announced, 10);
        T_EQ(app.last, 0);
        t_says(p->c, "fghij"); // on_piece compares
        T_EQ(app.last, 1);
        T_EQ(app.data.len, 10);
        u_is(p, "200 done\n");
        u_free(p);
        t_finish(w);
    }
}

// What is left of the body would be taken for a request.
static void body_chunked_answered_early_ends_the_connection(U_STATE) {
    t_world *w = body_world(1000);
    t_routes[T_R_UPLOAD].on_request = t_hello;
    t_start(w);
    u_peer *p = u_open(w, UPLOAD CHUNKED "3\r\nabc\r\n{GET /hello}");
    u_is(p, "200 hello\n");
    T_EQ(t_ended(p->c), 1);
    T_EQ(app.pieces, 0);
    t_says(p->c, "0\r\n\r\n");
    t_say(p->c, "{GET /hello}");
    u_is(p, "");
}

// RFC 9110 10.1.1: an immediate final status, or 100. Who reads 100 would begin to send what nobody
// wants.
static void body_answered_at_its_head_is_not_asked_for(U_STATE) {
    static const char *const lengths[] = {"Content-Length: 900\r\n\r\n", CHUNKED};
    for (int i = 0; i < 4; i++) {
        t_world *w = body_world(1000);
        char text[200];
        if (i < 2) {
            t_routes[T_R_UPLOAD].on_request = t_hello;
        }
        t_app_of(w)->decide = i & 1 ? T_LATER : T_NOW;
        t_start(w);
        snprintf(text, sizeof text, UPLOAD "Expect: 100-continue\r\n%s", lengths[i & 1]);
        u_peer *p = u_open(w, text);
        if (i & 1) {
            T_EQ(t_decide(w), RTPUSH_OK);
        }
        u_is(p, i < 2 ? "200 hello\n" : "");
        T_EQ(p->cl.interim, i < 2 ? 0 : 1);
        T_EQ(t_ended(p->c), i < 2);
        u_free(p);
        t_finish(w);
    }
}

// 4 KiB in each body_ms, of data: sizes and extensions do not count.
static void body_chunked_must_move(U_STATE) {
    t_world *w = body_world(1000000);
    w->desc.body_ms = 5000;
    t_start(w);
    u_peer *p = u_open(w, UPLOAD CHUNKED);
    for (int i = 0; i < 10; i++) { // 1 KiB a second
        t_say(p->c, "400\r\n{rep 1024 x}\r\n");
        t_advance(w, 1000);
    }
    T_EQ(t_ended(p->c), 0);
    T_EQ(app.data.len, 10240);
    for (int i = 0; i < 100 && !t_ended(p->c); i++) { // and now one byte, of 68
        t_say(p->c, "1;{rep 60 e}\r\nx\r\n");
        t_advance(w, 100);
    }
    T_EQ(t_ended(p->c), 1);
    u_expect(p, "408 ");
    T_EQ(app.closed_why, RTPUSH_REASON_TIMEOUT_BODY);
}

static void put_two_chunks(char *text, size_t size, int len) {
    snprintf(text, size,
             "POST /echo HTTP/1.1\r\n" T_HOST CHUNKED "64\r\n{rep 100 y}\r\n"
             "%x\r\n{rep %d z}\r\n0\r\n\r\n", (unsigned)len - 100, len - 100);
}

// Without on_body the size of each chunk is judged before it is stored.
static void body_chunked_must_fit_beside_its_head(U_STATE) {
    u_body_must_fit(put_two_chunks);
}

// A piece that waits is paid once.
static void body_piece_left_for_later_costs_no_rate(U_STATE) {
    t_world *w = body_world(100000);
    w->desc.rate_bytes = 4000;
    t_start(w);
    t_routes[T_R_UPLOAD].on_body = t_on_body;
    t_app_of(w)->later = 20;
    u_peer *p = u_open(w, UPLOAD "Content-Length: 4000\r\n\r\n{rep 4000 x}");
    for (int i = 0; i < 20; i++) { // within one second, so there is no refill
        w->call = T_IN_API;
        T_EQ(rtpush_retry(&w->srv, p->c->handle), RTPUSH_OK);
        t_leave(w);
        t_run(w);
    }
    u_expect(p, "200 4000 ");
}

// A body that the application leaves for later for too long: the peer is not to blame.
static void body_left_for_later_too_long_is_503(U_STATE) {
    t_world *w = body_world(100000);
    w->desc.body_ms = 5000;
    t_start(w);
    t_routes[T_R_UPLOAD].on_body = t_on_body;
    t_app_of(w)->later = 1000;
    u_peer *p = u_open(w, UPLOAD "Content-Length: 3\r\n\r\nabc");
    for (int i = 0; i < 24 && !t_ended(p->c); i++) {
        t_advance(w, 250);
    }
    u_expect(p, "503 ");
    T_EQ(t_app_of(w)->refused_why, RTPUSH_REASON_TIMEOUT_REPLY);
    t_app_of(w)->later = 0;
}

// -- media types and rates ------------------------------------------------------------------------

static const char *const firmware_types[] = {"application/octet-stream", "application/x-firmware",
                                             NULL};

// RFC 9110 15.5.16: before the application hears of it, and before 100 Continue.
static void body_of_another_type_is_415(U_STATE) {
    static const struct {
        const char *field;
        int status;
    } cases[] = {
        {"Content-Type: application/octet-stream\r\n", 200},
        {"content-type:APPLICATION/Octet-Stream\r\n", 200},
        {"Content-Type: application/x-firmware; v=2\r\n", 200},
        {"Content-Type: application/x-firmware;v=2\r\n", 200},
        {"Content-Type: application/x-firmware ; v=2\r\n", 200},
        {"", 200}, // curl -T
        {"Content-Type: multipart/form-data; boundary=x\r\n", 415},
        {"Content-Type: application/octet-strea\r\n", 415},
        {"Content-Type: application/octet-streams\r\n", 415},
        {"Content-Type: application/octet-stream, text/plain\r\n", 415},
        {"Content-Type: text/plain; application/octet-stream\r\n", 415},
        {"Content-Type: application/x-www-form-urlencoded\r\n", 415}, // curl --data-binary
        {"Content-Type:\r\n", 415},
        {"Content-Type: ;\r\n", 415},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            t_world *w = body_world(1000);
            char text[300];
            t_routes[T_R_UPLOAD].body_types = firmware_types;
            w->quiet = 0;
            t_start(w);
            snprintf(text, sizeof text, UPLOAD "%sExpect: 100-continue\r\n%s", cases[i].field,
                     chunked ? CHUNKED "3\r\nabc\r\n0\r\n\r\n"
                             : "Content-Length: 3\r\n\r\nabc");
            u_peer *p = u_open(w, text);
            T_CHECK(p->cl.status == cases[i].status, "%s gets %d", cases[i].field, p->cl.status);
            T_EQ(app.last, cases[i].status == 200);
            T_EQ(p->cl.interim, cases[i].status == 200);
            if (cases[i].status == 415) {
                T_CHECK(t_field_is(&p->cl, "Accept", "application/octet-stream"), "no Accept");
                T_EQ(t_app_of(w)->refused_why, RTPUSH_REASON_MEDIA_TYPE);
                T_EQ(t_ended(p->c), 1);
                t_expect_events(w, "!request");
            }
            u_free(p);
            t_finish(w);
        }
    }
}

static const char *const asked_for[] = {"content-encoding", "content-range", NULL};

// RFC 9110 8.4, 14.5: a compressed body, and a part of one, are not stored as the whole; but if the
// application asks for the field, it knows.
static void body_that_is_coded_or_a_part_is_refused(U_STATE) {
    static const struct {
        const char *request;
        int status;  // without `headers`
        int untyped; // ... and without body_types
    } cases[] = {
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Encoding: gzip\r\n", 415, 200},
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Encoding: identity\r\n", 415, 200},
        {"PUT /upload HTTP/1.1\r\n" T_HOST "Content-Range: bytes 0-2/9\r\n", 400, 400},
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Range: bytes 0-2/9\r\n", 200, 200},
        {"POST /upload HTTP/1.1\r\n" T_HOST "Content-Encodin: gzip\r\n", 200, 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int how = 0; how < 3; how++) {
            t_world *w = body_world(1000);
            char text[300];
            t_routes[T_R_UPLOAD].methods = RTPUSH_POST | RTPUSH_PUT;
            t_routes[T_R_UPLOAD].body_types = how < 2 ? firmware_types : NULL;
            t_routes[T_R_UPLOAD].headers = how == 1 ? asked_for : NULL;
            t_start(w);
            snprintf(text, sizeof text, "%sContent-Length: 3\r\n\r\nabc", cases[i].request);
            u_peer *p = u_open(w, text);
            int status = how == 0 ? cases[i].status : how == 1 ? 200 : cases[i].untyped;
            T_CHECK(p->cl.status == status, "%s gets %d, should be %d", cases[i].request,
                    p->cl.status, status);
            T_EQ(app.last, status == 200);
            u_free(p);
            t_finish(w);
        }
    }
}

// What has no body has no type; and where none is named any will do, and is told.
static void body_type_is_told_and_asked_only_of_a_body(U_STATE) {
    t_world *w = body_world(1000);
    t_routes[T_R_UPLOAD].body_types = firmware_types;
    t_routes[T_R_UPLOAD].on_request = t_hello;
    t_start(w);
    u_peer *p = u_open(w, UPLOAD "Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n");
    u_is(p, "200 hello\n");
    t_say(p->c, UPLOAD "Content-Type: a/b\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n");
    u_expect(p, "400 ");
}

static const char *type_seen;

static void keep_type(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    T_CHECK(req->content_type == type_seen || strcmp(req->content_type, type_seen) == 0,
            "another type");
    T_EQ(rtpush_reply_text(srv, req->conn, 200, req->content_type ? "typed" : "bare"), RTPUSH_OK);
}

static void body_type_reaches_the_application(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_ECHO].on_request = keep_type;
    t_start(w);
    type_seen = "Multipart/Form-Data; boundary=aB";
    u_peer *p = u_open(w, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n"
                          "Content-Type:  Multipart/Form-Data; boundary=aB \r\n\r\nx");
    u_is(p, "200 typed\n");
    type_seen = NULL;
    t_say(p->c, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 1\r\n\r\nx");
    u_is(p, "200 bare\n");
}

// What 415 says fits the smallest tx, whatever the list.
static void body_415_of_many_types_fits(U_STATE) {
    static const char *const many[] = {"application/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                       "application/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                                       "application/ccccccccccccccccccccccccccccccccccccccccc",
                                       NULL};
    t_world *w = body_world(1000);
    t_routes[T_R_UPLOAD].body_types = many;
    w->desc.tx_size = 320;
    t_start(w);
    u_peer *p = u_open(w, UPLOAD "Content-Length: 3\r\n\r\nabc");
    u_expect(p, "415 media type");
    T_CHECK(t_field_is(&p->cl, "Accept", many[0]), "the first type is not named");
}

static void body_rate_of_a_route_is_its_own(U_STATE) {
    static const uint32_t rates[] = {0, 200000, RTPUSH_UNLIMITED};
    for (size_t i = 0; i < 3; i++) {
        t_world *w = body_world(1000000);
        w->desc.rate_bytes = 1000;
        t_routes[T_R_UPLOAD].rate_bytes = rates[i];
        t_start(w);
        t_routes[T_R_UPLOAD].on_body = t_on_body;
        u_peer *p = u_open(w, UPLOAD "Content-Length: 90000\r\n\r\n{rep 90000 x}");
        t_advance(w, 1500);
        u_expect(p, i == 0 ? "!200" : "200 90000 ");
        t_advance(w, 3000);
        // Behind it the server's rate counts again.
        if (i > 0) {
            t_routes[T_R_ECHO].max_body = 300;
            for (int n = 0; n < 40; n++) {
                t_say(p->c, "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 256\r\n\r\n"
                            "{rep 256 y}");
            }
            T_CHECK(p->c->in.len > 5000, "%lu bytes held back", (unsigned long)p->c->in.len);
        }
        u_free(p);
        t_finish(w);
    }
}

// ... its burst too.
static void body_rate_of_a_route_may_be_lower(U_STATE) {
    t_world *w = body_world(1000000);
    w->desc.rate_bytes = 0; // 262,144
    t_routes[T_R_UPLOAD].rate_bytes = 1000;
    t_start(w);
    t_routes[T_R_UPLOAD].on_body = t_on_body;
    u_peer *p = u_open(w, UPLOAD "Content-Length: 8000\r\n\r\n{rep 8000 x}");
    T_CHECK(p->c->in.len > 5000, "%lu bytes held back, the burst is 2,000",
            (unsigned long)p->c->in.len);
    t_advance(w, 10000);
    u_expect(p, "200 8000 ");
}

// The sender would keep the rate, and is told too slow: 4 KiB take longer than body_ms gives.
static void body_rate_below_4_KiB_in_the_time_of_a_body_is_408(U_STATE) {
    static const uint32_t rates[] = {300, 500};
    for (size_t i = 0; i < 2; i++) {
        t_world *w = body_world(1000000);
        t_routes[T_R_UPLOAD].rate_bytes = rates[i];
        t_start(w);
        t_routes[T_R_UPLOAD].on_body = t_on_body;
        u_peer *p = u_open(w, UPLOAD "Content-Length: 20000\r\n\r\n{rep 20000 x}");
        t_advance(w, 60000);
        u_expect(p, i == 0 ? "408 request body too slow" : "200 20000 ");
        u_free(p);
        t_finish(w);
    }
}

static void body_rate_beyond_the_limit_is_a_config_error(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_UPLOAD].rate_bytes = 2000001;
    T_EQ(t_init(w), RTPUSH_ERR_CONFIG);
    assert_string_equal(rtpush_config_error(&w->srv),
                        "routes[4].rate_bytes: 0 to 2000000 needed, 2000001 given");
    t_routes[T_R_UPLOAD].rate_bytes = 2000000;
    t_start(w);
}

// The byte that ends a chunked body comes again as often as the application says later. It counts
// once as a byte of the trailers.
static void body_end_left_for_later_is_no_trailer(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_open(w, UPLOAD CHUNKED "3\r\nabc\r\n");
    T_EQ(t_app_of(w)->upload.len, 3);
    t_app_of(w)->later = 1100;
    t_say(p->c, "0\r\n\r\n{GET /hello}");
    for (int i = 0; i < 1100; i++) {
        w->call = T_IN_API;
        T_EQ(rtpush_retry(&w->srv, t_app_of(w)->last), RTPUSH_OK);
        t_leave(w);
        t_run_ready(w);
    }
    u_expect(p, "200 3 |200 hello\n");
}

// With no limit of the server a route's own still begins with its burst.
static void body_rate_of_a_route_begins_full_without_a_limit_of_the_server(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    t_routes[T_R_UPLOAD].rate_bytes = 64000;
    t_start(w);
    u_peer *p = u_open(w, UPLOAD "Content-Length: 1000\r\n\r\n{rep 1000 x}");
    u_expect(p, "200 1000 ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(body_chunked_is_read_as_a_second_decoder_does),
        u_test(body_chunked_pieces_left_for_later_come_again),
        u_test(body_length_of_a_piece_is_what_comes_behind_it),
        u_test(body_chunked_answered_early_ends_the_connection),
        u_test(body_answered_at_its_head_is_not_asked_for),
        u_test(body_chunked_must_move),
        u_test(body_chunked_must_fit_beside_its_head),
        u_test(body_piece_left_for_later_costs_no_rate),
        u_test(body_left_for_later_too_long_is_503),
        u_test(body_of_another_type_is_415),
        u_test(body_that_is_coded_or_a_part_is_refused),
        u_test(body_type_is_told_and_asked_only_of_a_body),
        u_test(body_type_reaches_the_application),
        u_test(body_415_of_many_types_fits),
        u_test(body_rate_of_a_route_is_its_own),
        u_test(body_rate_of_a_route_may_be_lower),
        u_test(body_rate_below_4_KiB_in_the_time_of_a_body_is_408),
        u_test(body_rate_beyond_the_limit_is_a_config_error),
        u_test(body_end_left_for_later_is_no_trailer),
        u_test(body_rate_of_a_route_begins_full_without_a_limit_of_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
