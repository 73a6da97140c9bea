// connection.c - the fuzz target: a whole server, its connections and its application.
//
// The input is a program. It chooses the sizes of a small server, then what the port does (accept,
// input in pieces, short writes, late acknowledgements, FIN, resets, time that jumps and goes back)
// and what the application does, outside callbacks and inside each of them (calls.h). All that the
// harness checks is checked after every call; peers parse all they get by the standards.
//
//   clang -fsanitize=fuzzer,address,undefined      libFuzzer, or AFL++ (afl-clang-fast)
//   gcc -DFUZZ_MAIN                                a program: FILE... runs each
//                                                  -w DIR writes seeds, most from transcripts.h
// Build and run by tests/fuzz/run.sh.

#define _DEFAULT_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T_ABORT() abort()
#define T_CONNS 6
#define T_HANDLES 256
#define RTPUSH_ASSERT(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "RTPUSH_ASSERT(%s)\n", #condition), abort()))

#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"

#include "../unit/calls.h"

// -- the input ------------------------------------------------------------------------------------

typedef struct f_input {
    const uint8_t *at;
    size_t left;
} f_input;

static unsigned f_byte(f_input *in) { // 0 at the end
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

// -- the world ------------------------------------------------------------------------------------

enum { F_PEERS = T_CONNS, F_NUMBERS = 4096, F_CALLS = 600 };

typedef struct f_peer {
    c_peer p;
    uint32_t serial; // of the reader the following is about
    uint32_t topics; // it subscribed to; 0: it changed, nothing is known
    uint32_t last;   // newest id it was given
    int begun;       // there is such a reader
    uint32_t told;   // missed, by the notice under way
    int tagged;
} f_peer;

typedef struct f_world {
    f_input in;
    t_world *w;
    c_app app;
    f_peer peers[F_PEERS];
    uint8_t topic_of[F_NUMBERS]; // of the event with this number
    int interrupts;              // publish at unlocks
    size_t interrupted;          // ... bytes of input that were left at the last
    int calls; // inside callbacks
} f_world;

static f_world f; // one at a time

static f_peer *f_peer_of(t_client *cl) {
    return (f_peer *)cl->user;
}

// -- ids never hide a gap -------------------------------------------------------------------------
// Of the numbers between two ids each must be: delivered, of a topic not subscribed to, or among
// those reported as missed. An id that skips others hides them: a reader that resumes from it never
// gets them.

static void f_on_id(f_peer *r, const char *id, int delivered, int forgiven) {
    char *end;
    uint32_t epoch = (uint32_t)strtoul(id, &end, 16);
    uint32_t seq = *end == '-' ? (uint32_t)strtoul(end + 1, NULL, 16) : 0;
    uint32_t lost = 0;
    T_CHECK(*end == '-' && epoch == 0x00C0FFEEu, "an id of another epoch: %s", id);
    T_CHECK(seq < f.w->srv.seq_next, "an id that was never given: %s", id);
    if (r->begun && !forgiven && r->topics != 0) {
        T_CHECK(seq >= r->last, "ids go back: %s after %lx", id, (unsigned long)r->last);
        T_CHECK(!delivered || seq > r->last, "delivered twice: %s", id);
        for (uint32_t n = r->last + 1; n <= seq - (delivered != 0) && n < F_NUMBERS; n++) {
            lost += r->topics >> f.topic_of[n] & 1u;
        }
        T_CHECK(lost <= r->told, "id %s hides %lu events, %lu told", id, (unsigned long)lost,
                (unsigned long)r->told);
    }
    r->begun = 1;
    r->last = seq;
    r->told = 0;
}

static void f_on_record(f_peer *r, const char *id, const char *topic, const char *data) {
    int forgiven = 0;
    if (strcmp(topic, "rtpush") == 0) {
        forgiven = strncmp(data, "reset", 5) == 0 || strncmp(data, "fresh", 5) == 0 || !r->begun;
        if (strncmp(data, "gap ", 4) == 0) {
            r->told = (uint32_t)strtoul(data + 4, NULL, 10);
        }
    }
    f_on_id(r, id, strcmp(topic, "event") == 0 || strcmp(topic, "bytes") == 0, forgiven);
}

static void f_on_event(t_client *cl, const t_event *ev) {
    if (ev->has_id) {
        f_on_record(f_peer_of(cl), ev->id, ev->name,
                    ev->data != NULL && ev->has_data ? (const char *)ev->data : "");
    }
}

static void f_on_message(t_client *cl, int opcode, const uint8_t *data, size_t len) {
    f_peer *r = f_peer_of(cl);
    char id[18];
    char topic[40];
    (void)opcode;
    if (!r->tagged || len == 0 || data[0] == '=') {
        return;
    }
    T_CHECK(len >= 17, "rtpush.1: a message without an id");
    memcpy(id, data, 17);
    id[17] = '\0';
    if (len == 17) {
        f_on_id(r, id, 0, 0);
        return;
    }
    const uint8_t *end = (const uint8_t *)memchr(data, '\n', len);
    T_CHECK(data[17] == ' ' && end != NULL && end - data < 50, "rtpush.1: no topic");
    snprintf(topic, sizeof topic, "%.*s", (int)(end - data - 18), (const char *)data + 18);
    f_on_record(r, id, topic, (const char *)end + 1);
}

// After each call: what each peer got, and who it is by now.
static void f_watch(void) {
    for (int i = 0; i < F_PEERS; i++) {
        f_peer *r = &f.peers[i];
        t_conn *c = r->p.c;
        if (c == NULL) {
            continue;
        }
        if (c->conn != NULL && rtpi_is_stream(c->conn)) {
            uint32_t topics = c->conn->out.stream.topics;
            if (r->serial != c->handle.serial) {
                r->serial = c->handle.serial;
                r->topics = topics;
                r->begun = 0;
                r->told = 0;
            }
            r->topics = r->topics == topics ? topics : 0;
            r->tagged = c->conn->state == RTPI_STREAM && c->conn->form == RTPI_FORM_TAGGED;
        }
        c_watch(&r->p);
        c_judge_end(&r->p);
    }
}

// -- the application ------------------------------------------------------------------------------

static rtpush_handle f_target(rtpush_handle self) {
    unsigned n = f_byte(&f.in);
    rtpush_handle none = {0, 0};
    if (n < 96) {
        return self;
    }
    if (n < 192) {
        return f.app.known[n % 16];
    }
    if (n < 250) {
        const f_peer *r = &f.peers[n % F_PEERS];
        return r->p.c != NULL ? r->p.c->handle : none;
    }
    none.serial = n; // made up
    none.index = f_byte(&f.in);
    return none;
}

static void f_act(rtpush_handle self) {
    unsigned action = f_byte(&f.in) % C_ACTIONS;
    rtpush_handle to = f_target(self);
    size_t size = action <= C_PUBLISH_FROM ? f_byte(&f.in) * 2u : 0;
    uint32_t next = f.w->srv.seq_next;
    if (action == C_SHUTDOWN && f_byte(&f.in) < 200) {
        return; // shutdown: rarely
    }
    if (f.interrupts && action == C_PUBLISH_BYTES) {
        action = C_PUBLISH;
    }
    for (int i = 0; i < F_PEERS && (action == C_SUBSCRIBE_NONE || action == C_SUBSCRIBE_ALL); i++) {
        if (f.peers[i].p.c != NULL && t_same(f.peers[i].p.c->handle, to)) {
            f.peers[i].serial = to.serial;
            f.peers[i].topics = 0;
        }
    }
    (void)c_act(&f.app, (int)action, to, size);
    if (action == C_PUBLISH_BYTES && f.w->srv.seq_next == next + 1 && next < F_NUMBERS) {
        f.topic_of[next] = C_BYTES;
    }
}

static int f_hook(c_app *app, int at, rtpush_handle self) {
    static const int answers[C_CALLBACKS][8] = {
        {0, RTPUSH_PENDING, 401, 403, 503, 429, 999, C_DEFAULT},             // authorize
        {0, 0, 0, C_DEFAULT, C_DEFAULT, C_DEFAULT, C_DEFAULT, C_DEFAULT},  // on_request
        {0, RTPUSH_RETRY, RTPUSH_ERR_WOULD_BLOCK, -3, C_DEFAULT, C_DEFAULT, RTPUSH_RETRY, 0},
        {0, 0, 0, 0, 0, 0, 0, 0},
        {0, RTPUSH_RETRY, RTPUSH_ERR_WOULD_BLOCK, -3, C_DEFAULT, C_DEFAULT, RTPUSH_RETRY, 0},
        {0, 0, 0, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, 0, 0, 0},
        {0, RTPUSH_RETRY, -1, 1, 3, 100, 9999, C_DEFAULT}, // pull
        {0, 0, 0, 0, 0, 0, 0, 0}};
    unsigned n = f_byte(&f.in);
    (void)app;
    if (n < 100) {
        return C_DEFAULT;
    }
    for (unsigned i = 0; i < n % 4 && f.calls < F_CALLS; i++) {
        f.calls++;
        f_act(self);
    }
    return answers[at][n / 4 % 8];
}

static void f_unlock(t_world *w) {
    (void)w;
    if (f.interrupts && f.interrupted != f.in.left && (f.in.left & 7u) == 0) {
        f.interrupted = f.in.left; // once where the input stands
        (void)c_publish(&f.app, C_EVENT, f.in.left % 60u, 1);
    }
}

// -- the port -------------------------------------------------------------------------------------

static const char *const f_says[] = {
    "{GET /get}",
    "{GET /}",
    "{GET /pull}",
    "{GET /nope}",
    "HEAD /get HTTP/1.1\r\n" T_HOST "\r\n",
    "GET /pull HTTP/1.0\r\n\r\n",
    "GET /get HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n",
    "POST /post HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\n\r\nbody",
    "PUT /put HTTP/1.1\r\n" T_HOST "Content-Length: 600\r\nExpect: 100-continue\r\n\r\n",
    "PUT /put HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n",
    "5\r\nchunk\r\n",
    "0\r\n\r\n",
    "{rep 300 b}",
    "OPTIONS /get HTTP/1.1\r\n" T_HOST "Origin: https://app.example\r\n\r\n",
    "{WS /ws}",
    "{WSP /ws rtpush.1}",
    "{WS /stream}",
    "{WSP /ws?topics=event,value rtpush.1}",
    "{GET /events}",
    "{GET /events?topics=event}",
    "{GET /events?last_event_id=00c0ffee-00000000}",
    "{GET /events?last_event_id=00c0ffee-00000004}",
    "{GET /events?last_event_id=00bad000-00000004}",
    "{WSP /ws?last_event_id=00c0ffee-00000003 rtpush.1}",
    "{GET /poll}",
    "{GET /poll?last_event_id=00c0ffee-00000000}",
    "{GET /poll?last_event_id=00c0ffee-00000005-00000002}",
    "{GET /poll?timeout=1&last_event_id=00c0ffee-00000009}",
    "GET /poll HTTP/1.0\r\n\r\n",
    "GET /any/x HTTP/1.1\r\n" T_HOST "Origin: https://evil.example\r\nX-One: 1\r\n\r\n",
    "{81:text}",
    "{01:te}",
    "{80:xt}",
    "{89:ping}",
    "{8A:pong}",
    "{88#03e8}",
    "{88:}",
    "{82*300}",
    "{81#ff}",
    "GET /events HTTP/1.1\r\n" T_HOST "Last-Event-ID: 00c0ffee-00000002\r\n\r\n",
};
enum { F_SAYS = sizeof f_says / sizeof f_says[0] };

static void f_accept(f_peer *r) {
    if (r->p.c != NULL) { // the peer's place is free once its transport is gone
        if (r->p.c->conn != NULL) {
            return;
        }
        t_client_free(&r->p.cl);
        t_forget(r->p.c);
    }
    memset(r, 0, sizeof *r);
    r->p.c = t_connect_peer(f.w, 0, f_byte(&f.in) % 4u);
    r->p.cl.user = r;
    r->p.cl.on_event = f_on_event;
    r->p.cl.on_message = f_on_message;
}

static void f_offer(f_peer *r) {
    (void)t_offer(r->p.c);
}

// A frame with any header, masked.
static void f_frame(t_conn *c) {
    static const uint8_t text[600] = "0123456789 \xC3\xA9";
    unsigned first = f_byte(&f.in);
    unsigned len = f_byte(&f.in);
    t_frame(&c->in, (int)first, text, len > 250 ? len * 2u : len);
}

static void f_raw(t_conn *c) {
    unsigned len = f_byte(&f.in) % 96u;
    for (unsigned i = 0; i < len && f.in.left > 0; i++) {
        uint8_t byte = (uint8_t)f_byte(&f.in);
        t_put(&c->in, &byte, 1);
    }
}

// Serves as a port does, but some of it only.
static void f_next(unsigned most) {
    for (unsigned i = 0; i < most; i++) {
        rtpush_conn *conn = t_next(f.w);
        if (conn == NULL) {
            return;
        }
        t_conn *c = (t_conn *)rtpush_port(conn);
        T_CHECK(c != NULL && c->conn == conn, "rtpush_next names a connection that is gone");
        c->refused = 0;
        (void)t_offer(c);
        f_watch();
        (void)t_push(c);
        f_watch();
    }
}

static void f_serve(f_peer *r) {
    for (int round = 0; round < 400 && r->p.c->conn != NULL; round++) {
        int moved = t_offer(r->p.c) > 0;
        f_watch();
        if (!t_push(r->p.c) && !moved) {
            return;
        }
        f_watch();
    }
}

static void f_peer_step(f_peer *r, unsigned verb) {
    t_conn *c = r->p.c;
    switch (verb) {
    case 1:
        t_expand(&c->in, f_says[f_byte(&f.in) % F_SAYS]);
        f_offer(r);
        break;
    case 2:
        t_expand(&c->in, f_says[f_byte(&f.in) % F_SAYS]);
        break;
    case 3:
        f_raw(c);
        f_offer(r);
        break;
    case 4:
        f_frame(c);
        f_offer(r);
        break;
    case 5:
        f_offer(r);
        break;
    case 6: // a short write
        f.w->bite = f_byte(&f.in) % 64u;
        (void)t_push(c);
        f.w->bite = 0;
        break;
    case 7:
        (void)t_push(c);
        break;
    case 8:
        t_ack(c, f_byte(&f.in) * 4u);
        break;
    case 9:
        c->hold_acks = !c->hold_acks;
        break;
    case 10:
        c->window = f_byte(&f.in) < 128 ? SIZE_MAX : f_byte(&f.in) * 2u;
        break;
    case 11:
        c->eof_wanted = 1;
        f_offer(r);
        break;
    case 12:
        t_cut(c);
        break;
    default:
        f_serve(r);
        break;
    }
}

static void f_step(void) {
    unsigned op = f_byte(&f.in);
    f_peer *r = &f.peers[(op >> 5) % F_PEERS];
    rtpush_handle none = {0, 0};
    unsigned verb = op & 31u;
    if (verb >= 1 && verb <= 14) {
        if (r->p.c == NULL || r->p.c->conn == NULL) {
            f_accept(r);
            f_watch();
        }
        if (r->p.c != NULL) {
            f_peer_step(r, verb);
        }
    } else if (verb == 15) { // in pieces of a byte, halves, or whole
        f.w->in_mode = (int)(op >> 5) % 2 ? T_BYTES : T_WHOLE;
    } else if (verb <= 18 && verb > 0) {
        f_next(verb == 16 ? 1u : 100u);
    } else if (verb == 19 || verb == 20) {
        f.w->now_ms += f_byte(&f.in) * (verb == 19 ? 20u : 500u);
        (void)t_tick(f.w);
    } else if (verb == 21) { // the clock goes back, or leaps
        f.w->now_ms += (op >> 5) % 2 ? 0xFFFFF000u : f_byte(&f.in) << 16;
        (void)t_tick(f.w);
    } else if (verb == 0) {
        f_accept(r);
    } else {
        int call = f.w->call;
        t_enter(f.w, T_IN_API, NULL);
        f_act(r->p.c != NULL ? r->p.c->handle : none);
        f.w->call = call;
        t_leave(f.w);
    }
    f_watch();
}

// -- one run --------------------------------------------------------------------------------------

static void f_begin(void) {
    static const uint16_t sizes[] = {256, 260, 300, 400, 512, 700, 1024, 2000};
    static const uint16_t logs[] = {256, 300, 512, 1000, 1024, 2048, 4096, 400};
    unsigned a = f_byte(&f.in);
    unsigned b = f_byte(&f.in);
    unsigned c = f_byte(&f.in);
    t_world *w = t_new();
    f.w = f.app.w = w;
    f.app.hook = f_hook;
    w->extra = &f.app;
    w->quiet = 1;
    w->desc.routes = c_routes;
    w->desc.route_count = sizeof c_routes / sizeof c_routes[0];
    w->desc.topics = c_topics;
    w->desc.topic_count = C_TOPICS;
    w->desc.hosts = t_hosts;
    w->desc.origins = t_origins;
    w->desc.authorize = c_authorize;
    w->desc.on_refuse = c_on_refuse;
    w->desc.conn_count = 1 + a % 5;
    w->desc.rx_size = sizes[a / 5 % 8];
    w->desc.tx_size = sizes[b % 8];
    w->desc.log_size = logs[b / 8 % 8] & ~3u;
    w->desc.max_streams = b & 64 ? 5 : 2;
    w->desc.rate_messages = c & 1 ? RTPUSH_UNLIMITED : c & 2 ? 3 : 0;
    w->desc.rate_bytes = c & 4 ? RTPUSH_UNLIMITED : c & 8 ? 300 : 0;
    w->desc.max_per_peer = c & 16 ? 2 : 0;
    f.interrupts = (c & 32) != 0;
    w->max_spans = c & 64 ? 1 : 0;
    w->on_unlock = f_unlock;
    w->desc.max_streams = w->desc.max_streams < w->desc.conn_count ? w->desc.max_streams
                                                                   : w->desc.conn_count;
    t_start(w);
}

static void f_end(void) {
    f.in.left = 0; // callbacks do what they do by themselves
    for (int i = 0; i < F_PEERS; i++) {
        if (f.peers[i].p.c != NULL && f.peers[i].p.c->conn != NULL) {
            f.peers[i].p.c->window = SIZE_MAX;
            f_serve(&f.peers[i]);
        }
    }
    f_next(1000);
    for (int i = 0; i < F_PEERS; i++) {
        t_client_free(&f.peers[i].p.cl);
    }
    t_end(f.w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    memset(&f, 0, sizeof f);
    f.in.at = data;
    f.in.left = size < 4096 ? size : 4096;
    f_begin();
    for (int i = 0; i < 1000 && f.in.left > 0; i++) {
        f_step();
    }
    f_end();
    return 0;
}

// -- as a program ---------------------------------------------------------------------------------

#ifdef FUZZ_MAIN
#include <sys/wait.h>

#include "../unit/transcripts.h"

// Five connections, 512 bytes each way, a log of 1 KiB, no limits of rates.
static const uint8_t begin[] = {24, 0x64, 5};

static void write_file(const char *folder, const char *name, const t_buf *seed) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "wb");
    T_CHECK(out != NULL, "%s cannot be written", path);
    if (out != NULL) {
        fwrite(seed->data, 1, seed->len, out);
        fclose(out);
    }
}

// What a peer says in a transcript.
static void write_transcript(const char *folder, const t_script *script) {
    t_buf in = {0};
    t_buf seed = {0};
    t_expand(&in, script->in);
    t_put(&seed, begin, sizeof begin);
    t_put(&seed, "\0\0", 2); // accept
    for (size_t at = 0; at < in.len && at < 800;) {
        uint8_t head[2] = {3, (uint8_t)(in.len - at < 95 ? in.len - at : 95)};
        t_put(&seed, head, 2);
        t_put(&seed, in.data + at, head[1]);
        at += head[1];
        // Callbacks find zeros, which let them do what they do by themselves.
        t_put(&seed, "\0\0\0\0\x0D\0\0\0", 8);
    }
    write_file(folder, script->name, &seed);
    t_buf_free(&in);
    t_buf_free(&seed);
}

// A stream that loses events; the callback that tells it makes a call.
static void write_gap(const char *folder, unsigned says, unsigned action) {
    char name[64];
    t_buf seed = {0};
    const uint8_t program[] = {1, 0, (uint8_t)says, 0, 0, 13, 0, 0, // opens, is served
                               31, C_FLOOD, 0, 0, 31, C_PUBLISH_VALUE, 0, 9,
                               19, 1, 13, 101, (uint8_t)action, 0, 30, // on_gap
                               0, 0, 0, 0, 1, 34, 0, 0, 13, 0, 0};
    t_put(&seed, begin, sizeof begin);
    t_put(&seed, program, sizeof program);
    snprintf(name, sizeof name, "gap_%u_%u", says, action);
    write_file(folder, name, &seed);
    t_buf_free(&seed);
}

static void write_seeds(const char *folder) {
    for (size_t i = 0; i < sizeof t_scripts / sizeof t_scripts[0]; i++) {
        write_transcript(folder, &t_scripts[i]);
    }
    for (unsigned says = 14; says < 26; says++) { // the streams of f_says
        for (unsigned action = 0; action < C_ACTIONS; action += 1 + (says > 19)) {
            write_gap(folder, says, action);
        }
    }
}

static int run_file(const char *path) {
    static uint8_t data[1 << 16];
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        fprintf(stderr, "%s cannot be read\n", path);
        return 1;
    }
    size_t len = fread(data, 1, sizeof data, in);
    fclose(in);
    snprintf(t_where, sizeof t_where, "%s", path);
    uint8_t *copy = (uint8_t *)malloc(len ? len : 1); // exact, so that an overrun shows
    if (copy != NULL) {
        memcpy(copy, data, len);
        LLVMFuzzerTestOneInput(copy, len);
    }
    free(copy);
    return 0;
}

int main(int argc, char **argv) {
    int failed = 0;
    if (argc == 3 && strcmp(argv[1], "-w") == 0) {
        write_seeds(argv[2]);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        fflush(NULL);
        pid_t child = fork(); // one that fails hides no other
        int status = 1;
        if (child == 0) {
            _exit(run_file(argv[i]));
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            printf("FAIL %s\n", argv[i]);
            failed++;
        }
    }
    printf("%d passed, %d failed\n", argc - 1 - failed, failed);
    return failed != 0;
}
#endif
