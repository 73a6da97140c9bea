// harness.h - a port made of memory around the core, for tests.
//
// It keeps the port's half of the contract in rtpush.h and watches the core's half. After every
// call into the core it checks what must always hold:
//   - bytes of a HOLD or STATIC span do not change between rtpush_sent and rtpush_acked;
//   - FIN is asked for once, and never while bytes are unacknowledged;
//   - rx_used, tx_head and tx_len stay inside their buffers, unacked equals sent less acked;
//   - drop comes only from the calls that may drop, and never for the connection being served;
//   - on_open comes first, on_close once and last, and all slots are free at the end.
//
// The clock is virtual. Input may be offered whole, byte by byte, split once or at random; output
// may be taken in small pieces, acknowledged late, or not at all. Everything is deterministic.
//
// Include it after rtpush.h with RTPUSH_IMPLEMENTATION. Define T_ABORT() first to say how a failed
// check ends the test (the default is exit).

#ifndef T_HARNESS_H
#define T_HARNESS_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__) && !defined(T_NO_MMAP)
#include <sys/mman.h>
#include <unistd.h>
#define T_GUARD 1
#else
#define T_GUARD 0
#endif

#ifndef T_ABORT
#define T_ABORT() exit(1)
#endif

// -- failures -------------------------------------------------------------------------------------

static char t_where[256]; // what is running, for the message: a transcript, a seed...

static void t_fail_at(const char *file, int line, const char *format, ...) {
    va_list args;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", t_where[0] ? " in: " : "", t_where);
    fflush(stderr);
    T_ABORT();
}

#define T_FAIL(...) t_fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define T_CHECK(condition, ...) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "not true: %s\n", #condition); \
            t_fail_at(__FILE__, __LINE__, __VA_ARGS__); \
        } \
    } while (0)

// -- random numbers: xorshift64*, seeded, the same on every machine -------------------------------

typedef struct t_rng {
    uint64_t state;
} t_rng;

static uint32_t t_rand(t_rng *rng) {
    rng->state ^= rng->state >> 12;
    rng->state ^= rng->state << 25;
    rng->state ^= rng->state >> 27;
    return (uint32_t)((rng->state * UINT64_C(2685821657736338717)) >> 32);
}

static uint32_t t_below(t_rng *rng, uint32_t n) // 0 to n - 1
{
    return n ? t_rand(rng) % n : 0;
}

static t_rng t_seed(uint32_t seed) {
    t_rng rng;
    rng.state = ((uint64_t)seed + 1u) * UINT64_C(0x9E3779B97F4A7C15);
    t_rand(&rng);
    t_rand(&rng);
    return rng;
}

// -- growing bytes --------------------------------------------------------------------------------

typedef struct t_buf {
    uint8_t *data; // always followed by a 0, so that text functions work
    size_t len;
    size_t eaten; // bytes in front of data, which t_eat took
    size_t cap;   // from the first of those
} t_buf;

static void t_put(t_buf *buf, const void *data, size_t len) {
    if (buf->eaten + buf->len + len + 1 > buf->cap) {
        size_t cap = (buf->len + len + 1) * 2 + 64;
        uint8_t *more = (uint8_t *)malloc(cap);
        if (more == NULL) {
            T_FAIL("out of memory in the test");
            return;
        }
        if (buf->data != NULL) {
            memcpy(more, buf->data, buf->len);
            free(buf->data - buf->eaten);
        }
        buf->data = more;
        buf->eaten = 0;
        buf->cap = cap;
    }
    if (len > 0) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = 0;
}

static void t_puts(t_buf *buf, const char *text) {
    t_put(buf, text, strlen(text));
}

static void t_eat(t_buf *buf, size_t n) // from the front
{
    if (n == 0) {
        return;
    }
    buf->data += n;
    buf->eaten += n;
    buf->len -= n;
    if (buf->len == 0) {
        buf->data -= buf->eaten;
        buf->eaten = 0;
        buf->data[0] = 0;
    }
}

static void t_buf_free(t_buf *buf) {
    free(buf->data != NULL ? buf->data - buf->eaten : NULL);
    memset(buf, 0, sizeof *buf);
}

static const char *t_text(const t_buf *buf) {
    return buf->data ? (const char *)buf->data : "";
}

// Places bytes so that the first byte after them cannot be read.
static uint8_t *t_flush_end(const void *bytes, size_t len, void **release) {
    *release = NULL;
#if T_GUARD
    static uint8_t *area;
    const size_t size = 1u << 17;
    if (area == NULL) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        void *map =
            mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED || mprotect((uint8_t *)map + size, page, PROT_NONE) != 0) {
            T_FAIL("no guard page");
            return NULL;
        }
        area = (uint8_t *)map;
    }
    if (len <= size) {
        if (len > 0) {
            memcpy(area + size - len, bytes, len);
        }
        return area + size - len;
    }
#endif
    uint8_t *copy = (uint8_t *)malloc(len ? len : 1); // exact, so that ASan sees an overrun
    if (copy != NULL && len > 0) {
        memcpy(copy, bytes, len);
    }
    *release = copy;
    return copy;
}

// -- the world: one server, its memory, its connections -------------------------------------------

#ifndef T_CONNS // a test with few connections is faster
#define T_CONNS 48
#define T_HANDLES 4096
#endif
enum { T_FOREVER = 1 << 30 };
enum { T_WHOLE, T_BYTES, T_SPLIT, T_RANDOM }; // how input is offered
enum {                                        // the call under way: only some may drop a connection
    T_IN_NONE,
    T_IN_ACCEPT,
    T_IN_INPUT,
    T_IN_EOF,
    T_IN_OUTPUT,
    T_IN_SENT,
    T_IN_ACKED,
    T_IN_GONE,
    T_IN_NEXT,
    T_IN_TICK,
    T_IN_PUBLISH,
    T_IN_ATTACH,
    T_IN_API
};

typedef struct t_sent_span { // bytes the transport still refers to
    const uint8_t *at;
    uint8_t *copy;
    size_t len;
    int kind;
} t_sent_span;

struct t_world;

typedef struct t_conn {
    struct t_world *world;
    rtpush_conn *conn;    // NULL once the transport is gone or dropped
    rtpush_handle handle; // the request or stream it carries now
    int used;
    int secure; // accepted with RTPUSH_LISTENER_SECURE
    t_buf in;        // sent by the peer, not yet taken by the core
    size_t in_total; // taken so far
    t_buf out;       // everything the core sent
    size_t out_total;
    size_t window; // bytes the transport still takes; SIZE_MAX: all
    size_t unacked;
    int hold_acks;  // 1: acknowledge only by t_ack
    int copies;     // 1: the transport copies what it takes, and says so
    size_t kernel;  // of w->kernel: bytes that the peer has not acknowledged
    size_t arrived; // ... that it has
    uint32_t arrived_ms; // ... when the last of those came, or it was accepted
    uint32_t told;       // ... most that the core can think is on its way
    uint32_t took_ms;    // when the transport took the last bytes
    int full;       // ... no room until a third is free
    int fin_held;   // ... FIN is behind them
    int more;              // the last rtpush_sent said so
    int refused;           // input is held until rtpush_next or rtpush_sent
    int eof_wanted; // the peer finished sending
    int eof_given;
    int manual_close; // 1: the peer does not answer FIN by itself
    int fin;          // the core asked for FIN
    int dropped;      // 1 drop with reset, 2 without
    int cut;          // the test ended the transport
    t_sent_span *held;
    size_t held_count;
    size_t held_cap;
    void *extra; // the test's own
} t_conn;

typedef struct t_life { // what the application was told about a handle
    rtpush_handle handle;
    const rtpush_route *route;
    int kind; // 1 stream opened, 2 handler request under way
    int closes;
} t_life;

typedef struct t_world {
    rtpush_server srv;
    rtpush_desc desc; // fill before t_start; memory is set there
    uint32_t now_ms;
    uint32_t sleep_ms; // what rtpush_tick said last
    int in_mode;
    size_t split_at; // T_SPLIT: offset of the split in each fed block
    size_t bite;     // most bytes one rtpush_sent reports; 0: all offered
    int max_spans;   // most spans asked for; 0: 4
    t_rng rng;       // T_RANDOM
    t_conn conns[T_CONNS];
    t_buf events; // what callbacks saw, one line each
    int call;     // T_IN_...
    t_conn *busy; // connection of that call
    t_life *lives;
    size_t life_count;
    size_t life_room; // of lives; grows up to T_HANDLES
    unsigned wakes;
    unsigned drops;
    unsigned writes; // by rtpush_hooks.write
    uint32_t shy;    // 0, or one of so many takes less than there is room for
    uint32_t taken;  // bytes, of all connections
    int lock_depth;
    void (*on_unlock)(struct t_world *w); // an interrupt's chance: runs after each unlock
    int quiet;                            // 1: callbacks of the fixture write no events
    uint64_t work;                        // calls made, to find endless loops
    uint32_t plan_size; // 0, or bytes of each shared plan
    void *plans;
    size_t kernel; // 0, or the transport is a kernel with so large a buffer for each connection:
                   // it copies, and its `pending` says what has not arrived (t_arrive)
    unsigned asked; // times it was
    int outside;     // desc.epoch stays 0: ids come from outside
    int input_const; // the transport's input must not be written to
    void *memory[3];
    void *extra; // the test's own
} t_world;

static t_world *t_world_of(rtpush_server *srv) {
    return (t_world *)rtpush_server_user(srv);
}

static void t_note(t_world *w, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0) {
        t_put(&w->events, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
        t_puts(&w->events, "\n");
    }
}

static int t_same(rtpush_handle a, rtpush_handle b) {
    return a.serial == b.serial && a.index == b.index;
}

// Each request on a connection has a handle of its own.
static void t_learn_handle(t_world *w, t_conn *c) {
    if (c->used && c->conn != NULL) {
        c->handle = rtpush_conn_handle(&w->srv, c->conn);
    }
}

static t_conn *t_conn_of(t_world *w, rtpush_handle handle) {
    for (int i = T_CONNS - 1; i >= 0; i--) {
        t_learn_handle(w, &w->conns[i]);
        if (w->conns[i].used && t_same(w->conns[i].handle, handle)) {
            return &w->conns[i];
        }
    }
    return NULL;
}

// -- lives: on_open first, on_close once and last -------------------------------------------------

static t_life *t_life_find(t_world *w, rtpush_handle handle) {
    for (size_t i = w->life_count; i-- > 0;) {
        if (t_same(w->lives[i].handle, handle) && w->lives[i].closes == 0) {
            return &w->lives[i];
        }
    }
    return NULL;
}

static void t_life_begin(t_world *w, rtpush_handle handle, int kind) {
    T_CHECK(t_life_find(w, handle) == NULL, "a second begin before on_close");
    T_CHECK(handle.serial != 0 || handle.index != 0, "the handle {0,0} names nobody");
    if (w->life_count == T_HANDLES) { // forget the oldest half that has ended
        size_t kept = 0;
        for (size_t i = 0; i < w->life_count; i++) {
            if (w->lives[i].closes == 0 || i > w->life_count / 2) {
                w->lives[kept++] = w->lives[i];
            }
        }
        w->life_count = kept;
    } else if (w->life_count == w->life_room) {
        w->life_room = w->life_room == 0 ? 16 : 2 * w->life_room;
        w->lives = (t_life *)realloc(w->lives, w->life_room * sizeof *w->lives);
        T_CHECK(w->lives != NULL, "out of memory in the test");
    }
    t_life *life = &w->lives[w->life_count++];
    life->handle = handle;
    life->route = rtpush_route_of(&w->srv, handle);
    T_CHECK(life->route != NULL, "a callback, and no route");
    life->kind = kind;
    life->closes = 0;
}

// Invariant 15. In every callback the route is the one it began with.
static void t_life_use(t_world *w, rtpush_handle handle) {
    const t_life *life = t_life_find(w, handle);
    T_CHECK(life != NULL, "callback before on_open or after on_close");
    T_CHECK(life == NULL || rtpush_route_of(&w->srv, handle) == life->route, "another route");
}

static void t_life_end(t_world *w, rtpush_handle handle) {
    t_life *life = t_life_find(w, handle);
    T_CHECK(life != NULL, "on_close without on_open, or twice");
    if (life != NULL) {
        T_CHECK(rtpush_route_of(&w->srv, handle) == life->route, "another route in on_close");
        life->closes++;
    }
}

// -- checks after every call ----------------------------------------------------------------------

// Invariants 4, 8 and 11.
static void t_check_conn(t_world *w, t_conn *c) {
    for (size_t i = 0; i < c->held_count; i++) {
        const t_sent_span *span = &c->held[i];
        if (span->kind != RTPUSH_SPAN_COPY) {
            T_CHECK(memcmp(span->at, span->copy, span->len) == 0,
                    "bytes of a held span changed before they were acknowledged");
        }
    }
    if (c->conn != NULL) {
        T_CHECK(c->conn->tx_head <= c->conn->tx_len, "tx_head beyond tx_len");
        T_CHECK(c->conn->tx_len <= w->srv.desc.tx_size, "tx_len beyond tx_size");
        T_CHECK(c->conn->rx_used <= w->srv.desc.rx_size, "rx_used beyond rx_size");
        // Behind a filter the core counts plaintext, the port what it became.
        const int filtered = w->srv.filter != NULL && c->secure;
        T_CHECK(filtered || c->conn->unacked == c->unacked,
                "unacked %lu, the port counts %lu", (unsigned long)c->conn->unacked,
                (unsigned long)c->unacked);
    }
}

static void t_enter(t_world *w, int call, t_conn *c) {
    T_CHECK(w->call == T_IN_NONE, "the core called the port back into the core");
    T_CHECK(w->lock_depth == 0, "the lock is held over a call");
    w->call = call;
    w->busy = c;
    w->work++;
}

static void t_leave(t_world *w) {
    w->call = T_IN_NONE;
    w->busy = NULL;
    T_CHECK(w->lock_depth == 0, "the lock was not given back");
    for (int i = 0; i < T_CONNS; i++) {
        if (w->conns[i].used) {
            t_learn_handle(w, &w->conns[i]);
            t_check_conn(w, &w->conns[i]);
        }
    }
}

static void t_release_held(t_conn *c) {
    for (size_t i = 0; i < c->held_count; i++) {
        free(c->held[i].copy);
    }
    c->held_count = 0;
    c->unacked = 0;
}

// -- hooks ----------------------------------------------------------------------------------------

static void t_hook_drop(void *ctx, rtpush_conn *conn, void *port, int reset) {
    t_world *w = (t_world *)ctx;
    t_conn *c = (t_conn *)port;
    T_CHECK(c->conn == conn, "drop for a connection that was gone");
    T_CHECK(w->call == T_IN_ACCEPT || w->call == T_IN_NEXT || w->call == T_IN_PUBLISH,
            "drop called from call %d, which may not drop", w->call);
    T_CHECK(w->busy == NULL || w->busy != c, "drop for the connection being served");
    T_CHECK(reset || c->unacked == 0, "closed as usual with bytes on their way");
    t_check_conn(w, c);
    t_learn_handle(w, c);
    c->conn = NULL;
    c->dropped = reset ? 1 : 2;
    w->drops++;
    t_release_held(c);
}

static uint32_t t_hook_pending(void *ctx, const rtpush_conn *conn, void *port) {
    t_world *w = (t_world *)ctx;
    t_conn *c = (t_conn *)port;
    T_CHECK(c->conn == conn, "asked for a connection that was gone");
    w->asked++;
    c->told = (uint32_t)c->kernel + (uint32_t)c->fin_held;
    return c->told;
}

static void t_hook_wake(void *ctx) {
    ((t_world *)ctx)->wakes++;
}

static void t_hook_lock(void *ctx) {
    t_world *w = (t_world *)ctx;
    T_CHECK(w->lock_depth == 0, "the lock was taken twice");
    w->lock_depth++;
}

static void t_hook_unlock(void *ctx) {
    t_world *w = (t_world *)ctx;
    T_CHECK(w->lock_depth == 1, "unlock without lock");
    w->lock_depth--;
    if (w->on_unlock != NULL) {
        w->on_unlock(w);
    }
}

// -- the port's work ------------------------------------------------------------------------------

// The peer has n bytes more: the transport refers to them no longer.
static void t_release_first(t_conn *c, size_t n) {
    size_t left = n;
    size_t whole = 0;
    while (left > 0 && whole < c->held_count) {
        t_sent_span *span = &c->held[whole];
        if (span->len > left) { // an acknowledgement inside a span
            memmove(span->copy, span->copy + left, span->len - left);
            span->at += left;
            span->len -= left;
            left = 0;
        } else {
            left -= span->len;
            free(span->copy);
            whole++;
        }
    }
    if (whole > 0) {
        memmove(c->held, c->held + whole, (c->held_count - whole) * sizeof *c->held);
        c->held_count -= whole;
    }
    c->unacked -= n;
}

static void t_ack(t_conn *c, size_t n) {
    t_world *w = c->world;
    if (n > c->unacked) {
        n = c->unacked;
    }
    if (n == 0 || c->conn == NULL) {
        return;
    }
    t_check_conn(w, c);
    t_release_first(c, n);
    t_enter(w, T_IN_ACKED, c);
    rtpush_acked(&w->srv, c->conn, n);
    t_leave(w);
}

static void t_hold(t_conn *c, const rtpush_span *span, size_t len) {
    if (c->held_count == c->held_cap) {
        size_t cap = c->held_cap * 2 + 8;
        t_sent_span *more = (t_sent_span *)realloc(c->held, cap * sizeof *more);
        if (more == NULL) {
            T_FAIL("out of memory in the test");
            return;
        }
        c->held = more;
        c->held_cap = cap;
    }
    t_sent_span *held = &c->held[c->held_count++];
    held->at = span->data;
    held->len = len;
    held->kind = span->kind;
    held->copy = (uint8_t *)malloc(len);
    if (held->copy != NULL) {
        memcpy(held->copy, span->data, len);
    }
}

// Offers held input. Returns bytes taken.
static size_t t_offer(t_conn *c) {
    t_world *w = c->world;
    size_t taken = 0;
    while (c->conn != NULL && c->in.len > 0 && !c->refused) {
        size_t len = c->in.len;
        if (w->in_mode == T_BYTES) {
            len = 1;
        } else if (w->in_mode == T_SPLIT && c->in_total < w->split_at) {
            size_t first = w->split_at - c->in_total;
            len = first < len ? first : len;
        } else if (w->in_mode == T_RANDOM) {
            len = 1 + t_below(&w->rng, (uint32_t)(len < 97 ? len : 97));
            len = len < c->in.len ? len : c->in.len;
        }
        void *release;
        uint8_t *at = t_flush_end(c->in.data, len, &release);
        t_enter(w, T_IN_INPUT, c);
        size_t n = rtpush_input(&w->srv, c->conn, at, len);
        T_CHECK(n <= len, "rtpush_input took more than it was given");
        size_t kept = w->input_const ? 0 : n; // what is not taken is as it came
        T_CHECK(memcmp(at + kept, c->in.data + kept, len - kept) == 0,
                "rtpush_input changed its input");
        memset(at, 0xEE, len); // a message ends with its callback
        free(release);
        t_leave(w);
        t_eat(&c->in, n);
        c->in_total += n;
        taken += n;
        c->refused = n < len; // back-pressure: the rest comes again, unchanged, when asked for
    }
    if (c->conn != NULL && c->in.len == 0 && c->eof_wanted && !c->eof_given) {
        c->eof_given = 1;
        t_enter(w, T_IN_EOF, c);
        rtpush_eof(&w->srv, c->conn);
        t_leave(w);
        taken++;
    }
    return taken;
}

// Bytes that the transport takes now.
static size_t t_limit(const t_conn *c) {
    const t_world *w = c->world;
    size_t limit = w->bite > 0 && w->bite < c->window ? w->bite : c->window;
    if (w->kernel > 0) {
        size_t room = c->full ? 0 : w->kernel - c->kernel;
        limit = limit < room ? limit : room;
    }
    return limit;
}

// It took so many.
static void t_took(t_conn *c, size_t n) {
    t_world *w = c->world;
    c->out_total += n;
    w->taken += (uint32_t)n;
    c->took_ms = n > 0 ? w->now_ms : c->took_ms;
    if (w->kernel > 0) {
        c->kernel += n;
        c->told += (uint32_t)n;
        c->full |= c->kernel == w->kernel;
    }
    if (c->window != SIZE_MAX) {
        c->window -= n;
    }
    if (n > 0) {
        c->refused = 0;
    }
}

// rtpush_hooks.write. Bytes that are not acknowledged are those that the port has gathered and not
// sent: they go first.
static uint32_t t_hook_write(void *ctx, void *port, const uint8_t *data, uint32_t len) {
    t_world *w = (t_world *)ctx;
    t_conn *c = (t_conn *)port;
    T_CHECK(c->world == w, "a write of what is for a filter");
    T_CHECK(c->conn != NULL && !c->fin, "a write to a connection that has ended");
    T_CHECK(len > 0 && len <= 65532, "a write of %lu bytes", (unsigned long)len);
    if (w->on_unlock != NULL) { // others publish meanwhile
        w->on_unlock(w);
    }
    if (c->hold_acks || c->unacked > 0 || c->refused) {
        return 0;
    }
    size_t n = t_limit(c);
    if (n < len) {
        c->more = 1; // it comes when there is room
    }
    n = n < len ? n : len;
    if (w->shy > 0 && t_below(&w->rng, w->shy) == 0) { // a signal came
        n = t_below(&w->rng, 2) ? 0 : t_below(&w->rng, (uint32_t)n);
    }
    t_put(&c->out, data, n);
    t_took(c, n);
    w->writes++;
    return (uint32_t)n;
}

// rtpush_sent, acknowledging all at once now and then. What it answered must be true.
static void t_tell(t_conn *c, size_t taken) {
    t_world *w = c->world;
    size_t acked = c->hold_acks || (w->kernel == 0 && w->work % 2) ? 0 : c->unacked;
    w->call = T_IN_SENT; // checks of unacked wait until the core knows
    w->busy = c;
    t_release_first(c, acked);
    c->more = rtpush_sent(&w->srv, c->conn, taken, acked);
    t_leave(w);
    if (!c->more && w->work % 3 == 0) {
        rtpush_span span;
        t_enter(w, T_IN_OUTPUT, c);
        T_CHECK(rtpush_output(&w->srv, c->conn, &span, 1) == 0,
                "rtpush_sent said that there is nothing more");
        t_leave(w);
    }
}

// One rtpush_output and rtpush_sent. Returns 1 if something moved; c->more: there is more.
static int t_push(t_conn *c) {
    t_world *w = c->world;
    rtpush_span spans[16];
    int max = w->max_spans ? w->max_spans : 4;
    if (c->conn == NULL) {
        return 0;
    }
    memset(spans, 0, sizeof spans);
    t_enter(w, T_IN_OUTPUT, c);
    int n = rtpush_output(&w->srv, c->conn, spans, max);
    t_leave(w);
    if (n == RTPUSH_FIN) {
        T_CHECK(c->unacked == 0, "FIN while %lu bytes are unacknowledged",
                (unsigned long)c->unacked);
        T_CHECK(!c->fin, "FIN twice");
        c->fin = 1;
        if (!c->manual_close && w->kernel == 0) {
            c->eof_wanted = 1;
        }
    }
    T_CHECK(n >= 0 || n == RTPUSH_FIN, "rtpush_output returned %d", n);
    T_CHECK(n <= max, "more spans than there was room for");
    T_CHECK(n <= 0 || !c->fin, "bytes after FIN");
    const size_t limit = t_limit(c);
    size_t sum = 0;
    for (int i = 0; i < n; i++) {
        T_CHECK(spans[i].len > 0 && spans[i].data != NULL, "an empty span");
        T_CHECK(spans[i].len <= 65532, "a span of %u bytes", spans[i].len);
        T_CHECK(spans[i].kind <= RTPUSH_SPAN_STATIC, "a span of unknown kind");
        size_t take = limit - sum < spans[i].len ? limit - sum : spans[i].len;
        if (take > 0) {
            t_put(&c->out, spans[i].data, take);
            if (!c->copies && w->kernel == 0) {
                t_hold(c, &spans[i], take);
            }
            sum += take;
        }
    }
    t_took(c, sum);
    c->fin_held |= w->kernel > 0 && n == RTPUSH_FIN;
    c->more = n == RTPUSH_FIN;
    if (n > 0) {
        t_check_conn(w, c);
        c->unacked += sum;
        t_tell(c, sum);
    }
    if (c->copies) {
        rtpush_copied(&w->srv, c->conn);
    }
    if (!c->hold_acks) {
        t_ack(c, c->unacked);
    }
    return sum > 0 || n == RTPUSH_FIN;
}

static int t_has_room(const t_conn *c) {
    return c->window > 0 && (c->world->kernel == 0 || !c->full);
}

// rtpush_push. Returns 1 if it says that all was sent, which must be true.
static int t_write(t_conn *c) {
    t_world *w = c->world;
    if (c->conn == NULL) {
        return 0;
    }
    if (w->srv.hooks.write == NULL) {
        return rtpush_push(&w->srv, c->conn);
    }
    t_enter(w, T_IN_OUTPUT, c);
    int all = rtpush_push(&w->srv, c->conn);
    t_leave(w);
    if (all) {
        rtpush_span span;
        t_enter(w, T_IN_OUTPUT, c);
        T_CHECK(rtpush_output(&w->srv, c->conn, &span, 1) == 0,
                "rtpush_push said that all was sent");
        t_leave(w);
    }
    return all;
}

static void t_serve(t_conn *c) {
    int moved = 1;
    for (int round = 0; moved && c->conn != NULL; round++) {
        T_CHECK(round < 200000, "one connection never comes to rest");
        moved = t_offer(c) > 0;
        if (t_write(c)) {
            continue; // there is nothing more
        }
        do {
            c->more = 0;
            moved |= t_push(c);
        } while (c->more && c->conn != NULL && t_has_room(c));
    }
}

static rtpush_conn *t_next(t_world *w) {
    t_enter(w, T_IN_NEXT, NULL);
    rtpush_conn *conn = rtpush_next(&w->srv);
    t_leave(w);
    return conn;
}

// Serves what rtpush_next names until it names nobody.
static void t_run_ready(t_world *w) {
    for (int round = 0;; round++) {
        T_CHECK(round < 200000, "rtpush_next never ends");
        rtpush_conn *conn = t_next(w);
        if (conn == NULL) {
            return;
        }
        t_conn *c = (t_conn *)rtpush_port(conn);
        T_CHECK(c != NULL && c->conn == conn, "rtpush_next names a connection that is gone");
        c->refused = 0;
        t_serve(c);
    }
}

static uint32_t t_tick(t_world *w) {
    t_enter(w, T_IN_TICK, NULL);
    w->sleep_ms = rtpush_tick(&w->srv, w->now_ms);
    t_leave(w);
    return w->sleep_ms;
}

// One turn of the loop: time, then every connection that has something to do. Connections with
// input waiting or a window open are served as a port would on I/O.
static void t_run(t_world *w) {
    t_tick(w);
    for (int i = 0; i < T_CONNS; i++) {
        t_conn *c = &w->conns[i];
        if (c->used && c->conn != NULL) {
            t_serve(c);
        }
    }
    t_run_ready(w);
}

// Lets ms pass, waking only when the core asked to be woken: a tick that oversleeps shows.
static void t_advance(t_world *w, uint32_t ms) {
    uint32_t left = ms;
    for (int round = 0;; round++) {
        T_CHECK(round < 200000, "rtpush_tick asks to be called without end");
        uint32_t sleep = t_tick(w); // the loop of rtpush.h: tick, serve, sleep
        t_run_ready(w);
        if (left == 0) {
            return;
        }
        if (sleep > left) {
            sleep = left;
        }
        if (sleep == 0) {
            sleep = 1;
        }
        w->now_ms += sleep;
        left -= sleep;
    }
}

// -- a connection's life --------------------------------------------------------------------------

static t_conn *t_connect_peer(t_world *w, unsigned flags, uint32_t peer) {
    t_conn *c = NULL;
    for (int i = 0; i < T_CONNS && c == NULL; i++) {
        if (!w->conns[i].used) {
            c = &w->conns[i];
        }
    }
    if (c == NULL) {
        T_FAIL("the test opens too many connections");
        return NULL;
    }
    memset(c, 0, sizeof *c);
    c->world = w;
    c->secure = (flags & RTPUSH_LISTENER_SECURE) != 0;
    c->window = SIZE_MAX;
    t_enter(w, T_IN_ACCEPT, NULL);
    c->conn = rtpush_accept(&w->srv, flags, peer, c);
    if (c->conn == NULL) {
        t_leave(w);
        return NULL;
    }
    c->used = 1;
    c->arrived_ms = w->now_ms;
    c->handle = rtpush_conn_handle(&w->srv, c->conn);
    T_CHECK(rtpush_port(c->conn) == c, "rtpush_port gives another pointer");
    t_leave(w);
    return c;
}

static t_conn *t_connect(t_world *w) {
    t_conn *c = t_connect_peer(w, 0, 1);
    T_CHECK(c != NULL, "rtpush_accept refused");
    return c;
}

// The transport dies: reset by the peer, or a network error.
static void t_cut(t_conn *c) {
    t_world *w = c->world;
    c->cut = 1;
    if (c->conn != NULL) {
        rtpush_conn *conn = c->conn;
        t_learn_handle(w, c);
        t_release_held(c);
        c->conn = NULL;
        t_enter(w, T_IN_GONE, c);
        rtpush_gone(&w->srv, conn);
        t_leave(w);
    }
}

// Forgets a connection that ended, so that its place can be used again.
static void t_forget(t_conn *c) {
    t_cut(c);
    t_release_held(c);
    free(c->held);
    t_buf_free(&c->in);
    t_buf_free(&c->out);
    memset(c, 0, sizeof *c);
}

static void t_feed_only(t_conn *c, const void *bytes, size_t len) {
    t_put(&c->in, bytes, len);
}

static void t_feed(t_conn *c, const void *bytes, size_t len) {
    t_feed_only(c, bytes, len);
    t_serve(c);
    t_run_ready(c->world);
}

static void t_says(t_conn *c, const char *text) {
    t_feed(c, text, strlen(text));
}

// The peer acknowledges n bytes of what the kernel holds, and FIN behind the last of them; also
// after the connection was closed, unless that was a reset.
static void t_arrive(t_conn *c, size_t n) {
    t_world *w = c->world;
    if (c->dropped == 1 || c->cut) {
        return;
    }
    n = n < c->kernel ? n : c->kernel;
    c->kernel -= n;
    c->arrived += n;
    c->arrived_ms = n > 0 ? w->now_ms : c->arrived_ms;
    if (c->kernel == 0 && c->fin_held) {
        c->fin_held = 0;
        c->eof_wanted |= !c->manual_close;
    }
    if (c->kernel <= w->kernel * 2u / 3u) { // as Linux tells of room
        c->full = 0;
    }
    t_serve(c);
    t_run_ready(w);
}

static void t_eof(t_conn *c) {
    c->eof_wanted = 1;
    t_serve(c);
    t_run_ready(c->world);
}

// What the core sent since the last t_take. Ends with the next t_take or t_forget.
static const char *t_take(t_conn *c) {
    static t_buf last;
    last.len = 0;
    t_put(&last, c->out.data, c->out.len);
    t_eat(&c->out, c->out.len);
    return t_text(&last);
}

static int t_ended(const t_conn *c) // by the server: FIN or drop
{
    return c->fin || c->dropped;
}

// -- publishing, with the checks around it --------------------------------------------------------

static int t_publish(t_world *w, unsigned topic, const void *data, size_t len) {
    t_enter(w, T_IN_PUBLISH, NULL);
    int result = rtpush_publish(&w->srv, topic, data, len);
    t_leave(w);
    return result;
}

static int t_publish_text(t_world *w, unsigned topic, const char *text) {
    return t_publish(w, topic, text, strlen(text));
}

// The same from inside a callback.
static int t_publish_inside(t_world *w, unsigned topic, const void *data, size_t len) {
    int call = w->call;
    w->call = T_IN_PUBLISH; // may drop others, not the connection being served
    int result = rtpush_publish(&w->srv, topic, data, len);
    w->call = call;
    return result;
}

// -- begin and end --------------------------------------------------------------------------------

// A part of the server's memory in a block of its own, at whose ends the sanitizers look.
static void *t_apart(t_world *w, int i, const void *part, size_t size) {
    w->memory[i] = malloc(size);
    memcpy(w->memory[i], part, size);
    return w->memory[i];
}

// Prepares one block of memory the way a user would, of exactly the documented size; once it is
// cut into parts, each of them moves.
static int t_init(t_world *w) {
    rtpush_desc *d = &w->desc;
    uint32_t rx = d->rx_size ? d->rx_size : 512u;
    uint32_t tx = d->tx_size ? d->tx_size : 512u;
    uint32_t sum = 0;
    int events = 0;
    for (unsigned i = 0; i < d->topic_count; i++) {
        if (d->topics[i].kind == &rtpush_topic_state) {
            sum += d->topics[i].max;
        } else {
            events = 1;
        }
    }
    if (d->conn_count == 0) {
        d->conn_count = 4;
    }
    if (events && d->log_size == 0) {
        d->log_size = 4096;
    }
    d->memory_size = 8 * RTPUSH_WORDS(d->conn_count, rx, tx, d->log_size, d->topic_count, sum);
    d->memory = malloc(d->memory_size);
    memset(d->memory, 0xA5, d->memory_size); // nothing may rely on zeros
    memset(&w->srv, 0xA5, sizeof w->srv);
    if (d->epoch == 0 && !w->outside) {
        d->epoch = 0x00C0FFEEu;
    }
    d->user = w;
    int result = rtpush_init(&w->srv, d);
    if (result == RTPUSH_OK) {
        rtpush_server *s = &w->srv;
        s->conns = (rtpush_conn *)t_apart(w, 0, s->conns, d->conn_count * (size_t)s->conn_size);
        s->slots_end = s->sweep_at = s->conns;
        s->log = (uint8_t *)t_apart(w, 1, s->log, d->log_size);
        s->state = (rtpi_value *)t_apart(w, 2, s->state, d->topic_count * sizeof *s->state + sum);
    }
    free(d->memory);
    return result;
}

static t_world *t_new(void) {
    t_world *w = (t_world *)calloc(1, sizeof *w);
    if (w == NULL) {
        T_FAIL("out of memory in the test");
        return NULL;
    }
    w->now_ms = 1000;
    w->rng = t_seed(1);
    return w;
}

static void t_start(t_world *w) {
    int result = t_init(w);
    T_CHECK(result == RTPUSH_OK, "rtpush_init: %s (%s)", rtpush_strerror(result),
            rtpush_config_error(&w->srv));
    rtpush_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.ctx = w;
    hooks.drop = t_hook_drop;
    hooks.wake = t_hook_wake;
    hooks.lock = t_hook_lock;
    hooks.unlock = t_hook_unlock;
    if (w->kernel > 0) {
        hooks.pending = t_hook_pending;
        hooks.flags = RTPUSH_COPIES;
    }
    if (w->input_const) {
        hooks.flags |= RTPUSH_INPUT_CONST;
    }
    if (w->plan_size > 0) {
        w->plans = calloc(RTPUSH_PLANS, w->plan_size);
        hooks.sharing = &rtpush_shared_plans;
        hooks.write = w->kernel > 0 ? t_hook_write : NULL;
        hooks.plan_memory = w->plans;
        hooks.plan_size = w->plan_size;
    }
    t_enter(w, T_IN_ATTACH, NULL);
    T_CHECK(rtpush_attach(&w->srv, &hooks) == RTPUSH_OK, "rtpush_attach failed");
    t_leave(w);
    t_tick(w);
}

static void t_free(t_world *w) {
    for (int i = 0; i < T_CONNS; i++) {
        if (w->conns[i].used) {
            t_forget(&w->conns[i]);
        }
    }
    for (int i = 0; i < 3; i++) {
        free(w->memory[i]);
    }
    t_buf_free(&w->events);
    free(w->plans);
    free(w->lives);
    free(w);
}

// Every test ends here: whatever is open is cut, and then every slot must be free.
static void t_end(t_world *w) {
    for (int i = 0; i < T_CONNS; i++) {
        if (w->conns[i].used) {
            t_cut(&w->conns[i]);
        }
    }
    t_run_ready(w);
    const rtpush_counters *count = rtpush_get_counters(&w->srv);
    T_CHECK(count->slots_used == 0, "%lu slots are not free at the end",
            (unsigned long)count->slots_used);
    T_CHECK(count->streams == 0, "%lu streams are left at the end", (unsigned long)count->streams);
    rtpush_handle none = {0, 0};
    none = rtpush_next_stream(&w->srv, none);
    T_CHECK(none.serial == 0 && none.index == 0, "rtpush_next_stream finds one at the end");
    for (size_t i = 0; i < w->life_count; i++) {
        T_CHECK(w->lives[i].closes == 1, "a connection ended without on_close");
    }
    t_free(w);
}

#endif // T_HARNESS_H
