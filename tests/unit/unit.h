// unit.h - what every cmocka program here begins with. Test names are sentences.

#ifndef T_UNIT_H
#define T_UNIT_H

#define _DEFAULT_SOURCE // mmap

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define T_ABORT() fail_msg("%s", "see above")

// Most programs use the public API alone and are linked with one core, core.c: compiling it takes
// longer than they run. One that looks inside, or changes the core by a macro, defines U_INSIDE.
#define RTPUSH_ASSERT(condition) assert(condition)
#ifdef U_INSIDE
#define RTPUSH_IMPLEMENTATION
#endif
#include "../../rtpush.h"

#include "fixture.h"

// 1 in `make check`: a program that tries each of very many cases tries some of them.
static inline int u_quick(void) {
    const char *value = getenv("RTPUSH_QUICK");
    return value != NULL && strcmp(value, "1") == 0;
}

// 1 in `make test` and `make check`: of a product of cases that only test-long tries whole, a part.
static inline int u_part(void) {
    const char *value = getenv("RTPUSH_PART");
    return value != NULL && strcmp(value, "1") == 0;
}

#define T_EQ(a, b) \
    do { \
        long long t_a = (long long)(a); \
        long long t_b = (long long)(b); \
        T_CHECK(t_a == t_b, "%s is %lld, should be %s = %lld", #a, t_a, #b, t_b); \
    } while (0)

// -- a peer that reads what it gets and writes it down --------------------------------------------
// answers: "200 body"    frames: "1 text" "8 1000" "9 ping"    events: "name: data", id in last_id

typedef struct u_peer {
    struct u_peer *next; // of u_peers
    t_world *w;
    t_conn *c;
    t_client cl;
    t_buf seen;
    char last_id[64];
    unsigned comments;
    unsigned ids;    // blocks with an id alone, keep-alives with an id
    unsigned alive;  // keep-alives, which are not written down
    unsigned events; // blocks with data
} u_peer;

static void u_on_answer(t_client *cl) {
    u_peer *p = (u_peer *)cl->user;
    char line[16];
    snprintf(line, sizeof line, "%d ", cl->status);
    t_puts(&p->seen, line);
    if (!cl->sse && cl->step != T_CL_FRAMES) {
        t_put(&p->seen, cl->body.data, cl->body.len);
    }
    t_puts(&p->seen, "\n");
}

static void u_on_event(t_client *cl, const t_event *ev) {
    u_peer *p = (u_peer *)cl->user;
    if (ev->has_id) {
        snprintf(p->last_id, sizeof p->last_id, "%s", ev->id);
    }
    int alive = ev->has_data && ev->len == 0 && strcmp(ev->name, "rtpush") == 0;
    p->alive += alive;
    p->ids += ev->has_id && (alive || !ev->has_data);
    if (alive || !ev->has_data) {
        return;
    }
    p->events++;
    t_puts(&p->seen, ev->name);
    t_puts(&p->seen, ": ");
    t_put(&p->seen, ev->data, ev->len);
    t_puts(&p->seen, "\n");
}

static void u_on_comment(t_client *cl) {
    ((u_peer *)cl->user)->comments++;
}

static void u_on_frame(t_client *cl, int fin, int opcode, const uint8_t *data, size_t len) {
    u_peer *p = (u_peer *)cl->user;
    char line[32];
    (void)fin;
    if (opcode == 8) {
        snprintf(line, sizeof line, "8 %d ", len >= 2 ? data[0] << 8 | data[1] : 1005);
        t_puts(&p->seen, line);
        t_put(&p->seen, data + 2, len >= 2 ? len - 2 : 0);
        t_puts(&p->seen, "\n");
    } else if (opcode > 8) {
        snprintf(line, sizeof line, "%d ", opcode);
        t_puts(&p->seen, line);
        t_put(&p->seen, data, len);
        t_puts(&p->seen, "\n");
    }
}

static void u_on_message(t_client *cl, int opcode, const uint8_t *data, size_t len) {
    u_peer *p = (u_peer *)cl->user;
    if (t_field_is(cl, "Sec-WebSocket-Protocol", "rtpush.1")) {
        if (len > 17 && data[0] != '=') {
            snprintf(p->last_id, sizeof p->last_id, "%.17s", (const char *)data);
        } else if (len == 17 && data[8] == '-') {
            snprintf(p->last_id, sizeof p->last_id, "%.17s", (const char *)data);
            p->ids++;
            p->alive++;
            return;
        } else if (len == 0) {
            p->alive++;
            return;
        }
    }
    t_puts(&p->seen, opcode == 1 ? "1 " : "2 ");
    t_put(&p->seen, data, len);
    t_puts(&p->seen, "\n");
}

// Everything seen since u_clear.
static const char *u_read(u_peer *p) {
    t_client_read(&p->cl, p->c);
    return t_text(&p->seen);
}

static void u_clear(u_peer *p) {
    u_read(p);
    p->seen.len = 0;
    t_put(&p->seen, "", 0);
    p->ids = p->alive = p->events = p->comments = 0;
}

static u_peer *u_peers; // those that u_free did not free yet

static u_peer *u_new(t_world *w) {
    u_peer *p = (u_peer *)calloc(1, sizeof *p);
    if (p == NULL) {
        T_FAIL("out of memory in the test");
        return NULL;
    }
    p->next = u_peers;
    u_peers = p;
    p->w = w;
    p->cl.user = p;
    p->cl.on_answer = u_on_answer;
    p->cl.on_event = u_on_event;
    p->cl.on_comment = u_on_comment;
    p->cl.on_frame = u_on_frame;
    p->cl.on_message = u_on_message;
    t_put(&p->seen, "", 0);
    return p;
}

// Connects, says text in the language of fixture.h, reads the answer.
static u_peer *u_open(t_world *w, const char *text) {
    u_peer *p = u_new(w);
    p->c = t_open(w, text);
    u_read(p);
    return p;
}

// The same, and forgets the answer and the first notice.
static u_peer *u_stream(t_world *w, const char *text) {
    u_peer *p = u_open(w, text);
    T_CHECK(p->cl.status == 200 || p->cl.status == 101, "%s was answered %d", text, p->cl.status);
    u_clear(p);
    return p;
}

static void u_free(u_peer *p) {
    u_peer **at = &u_peers;
    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    t_client_free(&p->cl);
    t_buf_free(&p->seen);
    if (p->c != NULL && p->c->used) {
        t_forget(p->c);
    }
    free(p);
}

static void u_expect_at(const char *file, int line, u_peer *p, const char *pattern) {
    u_read(p);
    const char *failed = t_match(p->seen.data, p->seen.len, pattern);
    if (failed != NULL) {
        fprintf(stderr, "expected %s, seen:\n", failed);
        t_show(p->seen.data, p->seen.len);
        t_fail_at(file, line, "the peer sees something else");
    }
    u_clear(p);
}
#define u_expect(p, pattern) u_expect_at(__FILE__, __LINE__, p, pattern)

static void u_is_at(const char *file, int line, u_peer *p, const char *text) {
    if (strcmp(u_read(p), text) != 0) {
        fprintf(stderr, "expected:\n");
        t_show((const uint8_t *)text, strlen(text));
        fprintf(stderr, "seen:\n");
        t_show(p->seen.data, p->seen.len);
        t_fail_at(file, line, "the peer sees something else");
    }
    u_clear(p);
}
// Exactly this was seen, nothing more.
#define u_is(p, text) u_is_at(__FILE__, __LINE__, p, text)

// Bodies of 400 to 520 bytes to /echo, which `put` writes as requests: they come back whole, and
// from the first that does not fit beside its head on all are refused.
static void u_body_must_fit(void (*put)(char *text, size_t size, int len)) {
    int refused = 0;
    for (int len = 400; len <= 520; len++) {
        t_world *w = t_fixture();
        t_routes[T_R_ECHO].max_body = 511;
        w->desc.tx_size = 1024;
        t_start(w);
        char text[200];
        put(text, sizeof text, len);
        u_peer *p = u_open(w, text);
        T_CHECK(p->cl.status == (refused ? 413 : 200) || (!refused && p->cl.status == 413),
                "%d bytes get %d", len, p->cl.status);
        refused = p->cl.status == 413;
        T_CHECK(refused || p->cl.body.len == (size_t)len, "the body differs");
        u_free(p);
        t_finish(w);
    }
    assert_true(refused);
}

// After each test: the peers and worlds that it left open end, and all slots are free.
static int u_teardown(void **state) {
    (void)state;
    while (u_peers != NULL) {
        u_free(u_peers);
    }
    while (t_worlds != NULL) {
        t_finish(t_worlds);
    }
    return 0;
}

#define U_STATE void **state __attribute__((unused)) // what cmocka gives to a test
#define u_test(name) cmocka_unit_test_teardown(name, u_teardown)

// An on_body that takes what comes and says nothing.
static int u_take_quietly(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                          size_t len, int last) {
    (void)srv;
    (void)req;
    (void)data;
    (void)len;
    (void)last;
    return RTPUSH_OK;
}

#endif // T_UNIT_H
