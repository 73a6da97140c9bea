// threads.c - the lwIP port inside tcpip_thread, for the thread sanitizer.
//
// lwIP runs its own thread over os/sys_arch.c. Threads publish by rtpush_publish_from as fast as
// they can, another one through lwIP's context, while clients in further threads (netconn) read by
// WebSocket, Server-Sent Events and polling. A reader knows from the ids what it must get next:
// every sequence number is an event it gets once, or one it is told as missed.
//
// The tests:
//     - time is stopped: what other threads publish arrives by the wake alone, and what a callback
//       publishes reaches every reader
//     - full speed: FULL results, holes and gaps add up for every reader
//     - the port closes and listens again while publishers run; readers resume
//     - a function of the port called in the wrong thread is an assertion

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_LWIP_IMPLEMENTATION
#include "ports/rtpush_lwip.h"

#include "lwip/api.h"
#include "lwip/stats.h"
#include "lwip/tcpip.h"

enum {
    READERS = 6, // two of each transport
    CONNS = 10,
    PUBLISHERS = 3, // the last one is the loop's
    EVENTS_MAX = 6000,
    RX = 512,
    TX = 1024,
    LOG = 16384,
    HANDLES = 256,
    PATIENCE_S = 60 // all of it; then something hangs
};
enum { TOPIC_EVENT, TOPIC_STATE_0, TOPIC_STATE_1, TOPIC_COUNT };
enum { WS, SSE, POLL };

static const rtpush_topic topics[] = {{.name = "event", .kind = &rtpush_topic_event},
                                      {.name = "s0", .kind = &rtpush_topic_state, .max = 32},
                                      {.name = "s1", .kind = &rtpush_topic_state, .max = 32}};

// One server with its port. Each test has its own; its memory stays, as a device's does.
typedef struct world {
    rtpush_server srv;
    rtpush_lwip port;
    rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(CONNS)];
    uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 3, 64)];
    uint16_t number;              // TCP port
    rtpush_handle handles[HANDLES]; // of all streams ever opened, the last ones
    uint32_t opened;
    uint32_t closed;
    uint32_t wakes; // own hooks only
    pthread_mutex_t mutex; // own hooks only
    int fast;       // publishers do not wait for each other
    uint32_t events; // of a publisher

    // What publishers tell, one each.
    uint32_t accepted[PUBLISHERS];
    uint32_t states[PUBLISHERS];
    uint32_t full[PUBLISHERS];
    uint8_t taken[PUBLISHERS][EVENTS_MAX];
} world;

typedef struct reader {
    world *w;
    int kind;
    pthread_t thread;
    struct netconn *conn;
    struct pbuf *piece; // bytes that arrived and are not yet read
    uint16_t piece_at;
    int chunked;
    uint32_t chunk_left;
    int known;      // 1: last is
    uint32_t epoch;
    uint32_t start; // the last id before this reader began
    uint32_t last;  // sequence number of the last id
    uint32_t rev;   // polls: of the last id
    int has_rev;
    uint32_t missed;
    uint32_t got;
    uint32_t next[PUBLISHERS]; // least number that may come
    uint32_t state[2];         // newest value
    uint32_t connects;
    uint8_t seen[PUBLISHERS][EVENTS_MAX];
    int ended;           // the last event came
    const char *fault;
} reader;

static pthread_mutex_t progress_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;
static int readers_known;     // under progress_mutex
static uint32_t events_seen;  // likewise, by all readers
static int passed;
static int failed;

static void verdict(const char *name, int good) {
    printf("%s %s\n", good ? "ok  " : "FAIL", name);
    passed += good != 0;
    failed += good == 0;
}

// -- lwIP's assertions ----------------------------------------------------------------------------

static __thread jmp_buf trap;
static __thread int trap_set;

void os_assert(const char *what, const char *file, int line) {
    if (trap_set && strcmp(what, "outside lwIP's context") == 0) {
        longjmp(trap, 1);
    }
    printf("lwIP asserts: %s (%s:%d)\n0 passed, 1 failed\n", what, file, line);
    fflush(stdout);
    abort();
}

static void on_hang(int signal_number) {
    static const char text[] = "FAIL nothing_hangs\n0 passed, 1 failed\n";
    (void)signal_number;
    (void)!write(1, text, sizeof text - 1);
    _exit(1);
}

// -- lwIP's context -------------------------------------------------------------------------------

typedef struct errand {
    void (*run)(world *w);
    world *w;
    sys_sem_t done;
} errand;

static void on_errand(void *memory) {
    errand *e = memory;
    e->run(e->w);
    sys_sem_signal(&e->done);
}

// Runs it where lwIP's core may be called, and waits.
static void in_core(world *w, void (*run)(world *w)) {
#if LWIP_TCPIP_CORE_LOCKING
    static uint32_t turn; // both ways
    if (__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % 2) {
        LOCK_TCPIP_CORE();
        run(w);
        UNLOCK_TCPIP_CORE();
        return;
    }
#endif
    errand e = {run, w, NULL};
    sys_sem_new(&e.done, 0);
    while (tcpip_callback(on_errand, &e) != ERR_OK) {
        sched_yield();
    }
    sys_sem_wait(&e.done);
    sys_sem_free(&e.done);
}

// -- server ---------------------------------------------------------------------------------------

static void on_open(rtpush_server *srv, const rtpush_request *req) {
    world *w = rtpush_server_user(srv);
    w->handles[w->opened++ % HANDLES] = req->conn;
}

static void on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    world *w = rtpush_server_user(srv);
    (void)conn;
    (void)closed;
    w->closed++;
}

static void note(world *w, unsigned me, uint32_t number, int answer) {
    if (answer == RTPUSH_OK) {
        w->accepted[me]++;
        w->taken[me][number] = 1;
    } else if (answer == RTPUSH_ERR_FULL) {
        w->full[me]++;
    } else {
        printf("     publishing fails: %s\n", rtpush_strerror(answer));
        failed++;
    }
}

// What one client says, all others hear.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    world *w = rtpush_server_user(srv);
    const uint32_t number = w->accepted[PUBLISHERS - 1];
    const int answer = rtpush_publish(srv, TOPIC_EVENT, msg->data, msg->len);
    (void)conn;
    if (answer == RTPUSH_ERR_FULL) {
        return RTPUSH_RETRY; // nothing happened
    }
    note(w, PUBLISHERS - 1, number, answer);
    return RTPUSH_OK;
}

static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_open = on_open, .on_message = on_message,
     .on_close = on_close},
    {.path = "/events", .kind = &rtpush_events, .on_open = on_open, .on_close = on_close},
    {.path = "/poll", .kind = &rtpush_poll, .on_open = on_open, .on_close = on_close}};

static void own_lock(void *ctx) {
    pthread_mutex_lock(&((world *)ctx)->mutex);
}

static void own_unlock(void *ctx) {
    pthread_mutex_unlock(&((world *)ctx)->mutex);
}

static void own_turn(void *ctx) {
    while (rtpush_lwip_poll(&((world *)ctx)->port) == 0) {
    }
}

static void own_wake(void *ctx) {
    world *w = ctx;
    __atomic_fetch_add(&w->wakes, 1, __ATOMIC_RELAXED);
    while (tcpip_try_callback(own_turn, w) != ERR_OK) {
        sched_yield();
    }
}

static err_t result; // of what ran in lwIP's context last

static void world_listen(world *w) {
    result = rtpush_lwip_listen(&w->port, &w->srv, NULL, w->number, 0);
}

static void world_open_with(world *w, int own_hooks) {
    rtpush_desc desc = {.routes = routes, .route_count = 3, .topics = topics,
                        .topic_count = TOPIC_COUNT, .memory = w->memory,
                        .memory_size = sizeof w->memory, .conn_count = CONNS,
                        .rx_size = RX, .tx_size = TX, .log_size = LOG, .epoch = w->number,
                        .rate_messages = RTPUSH_UNLIMITED, .user = w};
    rtpush_lwip_desc lwip = {.slots = w->slots, .slot_count = RTPUSH_LWIP_SLOTS(CONNS),
                             .publish_from = 1};
    lwip.timer = !own_hooks;
    if (own_hooks) {
        lwip.lock = own_lock;
        lwip.unlock = own_unlock;
        lwip.wake = own_wake;
        lwip.ctx = w;
        pthread_mutex_init(&w->mutex, NULL);
    }
    result = rtpush_init(&w->srv, &desc) == RTPUSH_OK ? rtpush_lwip_init(&w->port, &lwip) : ERR_ARG;
    if (result == ERR_OK) {
        world_listen(w);
    }
}

static void world_open(world *w) {
    world_open_with(w, 0);
}

static void world_open_own(world *w) {
    world_open_with(w, 1);
}

static int world_closed_well;

// What must hold as soon as the port is closed.
static void world_close(world *w) {
    rtpush_lwip_close(&w->port);
    const uint32_t known = w->opened < HANDLES ? w->opened : HANDLES;
    int good = w->opened == w->closed && rtpush_get_counters(&w->srv)->slots_used == 0 &&
               rtpush_get_counters(&w->srv)->streams == 0;
    for (uint32_t i = 0; i < known; i++) {
        good &= rtpush_send(&w->srv, w->handles[i], RTPUSH_TEXT_MESSAGE, "x", 1) ==
                    RTPUSH_ERR_STALE &&
                rtpush_close(&w->srv, w->handles[i], 1000, NULL) == RTPUSH_ERR_STALE &&
                rtpush_subscribe(&w->srv, w->handles[i], 1) == RTPUSH_ERR_STALE &&
                rtpush_abort(&w->srv, w->handles[i]) == RTPUSH_ERR_STALE;
    }
    world_closed_well &= good;
}

// -- a client: bytes ------------------------------------------------------------------------------

static int raw_byte(reader *r) {
    while (r->piece == NULL || r->piece_at == r->piece->len) {
        if (r->piece != NULL) {
            r->piece = pbuf_free_header(r->piece, r->piece_at);
        } else if (netconn_recv_tcp_pbuf(r->conn, &r->piece) != ERR_OK) {
            r->piece = NULL;
            return -1;
        }
        r->piece_at = 0;
    }
    return ((const uint8_t *)r->piece->payload)[r->piece_at++];
}

// A line without its end. Returns its length, -1 at the end of the connection.
static int raw_line(reader *r, char *line, int cap) {
    int len = 0;
    for (;;) {
        const int byte = raw_byte(r);
        if (byte < 0) {
            return -1;
        }
        if (byte == '\n') {
            len -= len > 0 && line[len - 1] == '\r';
            line[len] = '\0';
            return len;
        }
        if (len + 1 < cap) {
            line[len++] = (char)byte;
        }
    }
}

enum { CONNECTION_ENDS = -1, ANSWER_ENDS = -2 };

// A byte of an answer's body.
static int body_byte(reader *r) {
    char line[64];
    if (!r->chunked) {
        return raw_byte(r);
    }
    if (r->chunk_left == 0) {
        if (raw_line(r, line, sizeof line) < 0) {
            return CONNECTION_ENDS;
        }
        r->chunk_left = (uint32_t)strtoul(line, NULL, 16);
        if (r->chunk_left == 0) {
            return raw_line(r, line, sizeof line) < 0 ? CONNECTION_ENDS : ANSWER_ENDS;
        }
    }
    const int byte = raw_byte(r);
    if (--r->chunk_left == 0 && byte >= 0 && raw_line(r, line, sizeof line) < 0) {
        return CONNECTION_ENDS;
    }
    return byte;
}

static int body_line(reader *r, char *line, int cap) {
    int len = 0;
    for (;;) {
        const int byte = body_byte(r);
        if (byte < 0) {
            return byte;
        }
        if (byte == '\n') {
            line[len] = '\0';
            return len;
        }
        if (len + 1 < cap) {
            line[len++] = (char)byte;
        }
    }
}

// -- a client: what it is promised ----------------------------------------------------------------

// An event's text: who, number, and letters that follow from both.
static int event_text(char *text, unsigned from, uint32_t number, int fast) {
    int len = sprintf(text, "%u %u ", from, number);
    const uint32_t letters = fast ? number * 37u % 700u : 8u;
    for (uint32_t i = 0; i < letters; i++) {
        text[len++] = (char)('a' + (from + number + i) % 26u);
    }
    text[len] = '\0';
    return len;
}

static void take_event(reader *r, uint32_t seq, const char *data) {
    char expected[800];
    unsigned from;
    uint32_t number;
    if (seq != r->last + 1) {
        r->fault = "an event comes twice, late, or after a gap that was not told";
        return;
    }
    r->last = seq;
    r->got++;
    if (strcmp(data, "end") == 0) {
        r->ended = 1;
        return;
    }
    if (sscanf(data, "%u %u", &from, &number) != 2 || from >= PUBLISHERS ||
        number >= EVENTS_MAX) {
        r->fault = "an event that nobody published";
        return;
    }
    event_text(expected, from, number, r->w->fast);
    if (strcmp(data, expected) != 0 || number < r->next[from]) {
        r->fault = number < r->next[from] ? "events of one publisher out of order"
                                          : "an event's bytes are not what was published";
        return;
    }
    r->next[from] = number + 1;
    r->seen[from][number] = 1;
    pthread_mutex_lock(&progress_mutex);
    events_seen++;
    pthread_cond_broadcast(&progress);
    pthread_mutex_unlock(&progress_mutex);
}

static void take_notice(reader *r, uint32_t seq, const char *data) {
    unsigned count = 0;
    if (sscanf(data, "gap %u", &count) == 1) {
        r->missed += count;
        r->last = r->known ? r->last + count : seq;
    } else if (strncmp(data, "reset", 5) == 0) {
        r->fault = "a reset";
    }
    if (!r->known) {
        r->known = 1;
        r->start = seq - count;
        r->last = seq;
        pthread_mutex_lock(&progress_mutex);
        readers_known++;
        pthread_cond_broadcast(&progress);
        pthread_mutex_unlock(&progress_mutex);
    }
}

// Anything with an id: events, values, notices.
static void take(reader *r, uint32_t epoch, uint32_t seq, const char *topic, const char *data) {
    r->epoch = epoch;
    if (strcmp(topic, "event") == 0) {
        take_event(r, seq, data);
        return;
    }
    if (strcmp(topic, "rtpush") == 0) {
        take_notice(r, seq, data);
    } else if (topic[0] == 's') {
        const uint32_t value = (uint32_t)strtoul(data, NULL, 10);
        uint32_t *newest = &r->state[topic[1] - '0'];
        r->fault = value < *newest ? "a value goes back" : r->fault;
        *newest = value;
    }
    if (seq != r->last && r->fault == NULL) {
        r->fault = "an id that says another place than the reader's";
    }
}

static int finished(const reader *r) {
    const uint32_t last = r->w->fast ? r->w->events - 1u : 0u; // no values in lockstep
    return r->fault != NULL || (r->ended && r->state[0] == last && r->state[1] == last);
}

// -- a client: its transports ---------------------------------------------------------------------

static int connect_to(reader *r, const char *path, const char *more) {
    char request[512];
    char position[64] = "";
    ip_addr_t address;
    if (r->known) {
        sprintf(position, r->has_rev ? "?last_event_id=%08x-%08x-%08x" : "?last_event_id=%08x-%08x",
                r->epoch, r->last, r->rev);
    }
    const int len = sprintf(request, "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path,
                            position, more);
    if (r->conn == NULL) {
        IP_ADDR4(&address, 127, 0, 0, 1);
        r->conn = netconn_new(NETCONN_TCP);
        if (r->conn == NULL) {
            return 0;
        }
        netconn_set_recvtimeout(r->conn, 3000);
        r->connects++;
        if (netconn_connect(r->conn, &address, r->w->number) != ERR_OK) {
            return 0;
        }
    }
    return netconn_write(r->conn, request, (size_t)len, NETCONN_COPY) == ERR_OK;
}

static void disconnect(reader *r) {
    if (r->piece != NULL) {
        pbuf_free(r->piece);
        r->piece = NULL;
    }
    if (r->conn != NULL) {
        netconn_delete(r->conn);
        r->conn = NULL;
    }
}

// Reads the head; 0 if it is not this status.
static int answered(reader *r, const char *status) {
    char line[256];
    if (raw_line(r, line, sizeof line) < 0) {
        return 0;
    }
    if (strstr(line, status) == NULL) {
        printf("     %s\n", line);
        r->fault = "a request is refused";
        return 0;
    }
    r->chunked = 0;
    r->chunk_left = 0;
    for (;;) {
        const int len = raw_line(r, line, sizeof line);
        if (len <= 0) {
            return len == 0;
        }
        r->chunked |= strstr(line, "chunked") != NULL;
    }
}

static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: rtpush.1\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

static void read_websocket(reader *r) {
    static __thread char text[1200];
    if (!connect_to(r, "/ws", upgrade) || !answered(r, " 101 ")) {
        return;
    }
    while (!finished(r)) {
        unsigned epoch;
        unsigned seq;
        char topic[8];
        const int first = raw_byte(r);
        int len = raw_byte(r);
        if (len == 126) {
            len = raw_byte(r) << 8;
            len |= raw_byte(r);
        }
        if (first < 0 || len < 0) {
            return;
        }
        for (int i = 0; i < len && i < (int)sizeof text - 1; i++) {
            text[i] = (char)raw_byte(r);
            text[i + 1] = '\0';
        }
        if (r->piece == NULL) {
            return;
        }
        if (len == 0) {
            continue; // a keep-alive
        }
        const char *data = strchr(text, '\n');
        if (first != 0x81 || data == NULL ||
            sscanf(text, "%8x-%8x %7[a-z0-9]", &epoch, &seq, topic) != 3) {
            r->fault = "a frame that was not expected";
            return;
        }
        take(r, epoch, seq, topic, data + 1);
    }
}

// Events until the answer or the connection ends.
static int read_events(reader *r) {
    static __thread char line[1200];
    static __thread char data[1200];
    char topic[16] = "";
    unsigned epoch = 0;
    unsigned seq = 0;
    unsigned rev;
    while (!finished(r) || r->kind == POLL) { // a poll's answer is read to its end
        const int len = body_line(r, line, sizeof line);
        if (len < 0) {
            return len;
        }
        if (len == 0 && (topic[0] != '\0' || seq != 0)) {
            take(r, epoch, seq, topic, data);
            topic[0] = data[0] = '\0';
            seq = 0;
        } else if (strncmp(line, "event: ", 7) == 0) {
            sscanf(line + 7, "%15s", topic);
        } else if (strncmp(line, "data: ", 6) == 0) {
            strcpy(data, line + 6);
        } else if (sscanf(line, "id: %8x-%8x-%8x", &epoch, &seq, &rev) == 3) {
            r->rev = rev;
            r->has_rev = 1;
        } else {
            sscanf(line, "id: %8x-%8x", &epoch, &seq);
        }
        if (r->fault != NULL) {
            break;
        }
    }
    return CONNECTION_ENDS;
}

static void read_polls(reader *r) {
    int answers = 0;
    while (!finished(r)) {
        // Now and then the server ends the connection, and stays in TIME_WAIT.
        const int leave = ++answers % 16 == 0;
        if (!connect_to(r, "/poll", leave ? "Connection: close\r\n" : "") ||
            !answered(r, " 200 ") || read_events(r) != ANSWER_ENDS) {
            return;
        }
        if (leave) {
            disconnect(r);
        }
    }
}

static void *read_all(void *argument) {
    reader *r = argument;
    while (!finished(r)) {
        if (r->kind == WS) {
            read_websocket(r);
        } else if (r->kind == POLL) {
            read_polls(r);
        } else if (connect_to(r, "/events", "") && answered(r, " 200 ")) {
            (void)read_events(r);
        }
        disconnect(r);
        if (!finished(r)) {
            usleep(1000); // the server is closed at the moment
        }
    }
    return NULL;
}

static void readers_start(world *w, reader *readers) {
    readers_known = 0;
    events_seen = 0;
    for (int i = 0; i < READERS; i++) {
        memset(&readers[i], 0, sizeof readers[i]);
        readers[i].w = w;
        readers[i].kind = i % 3;
        pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
    }
}

// Ends when every reader has the end, and judges.
static void readers_judge(world *w, reader *readers) {
    int faults = 0;
    int told = 1;
    int taken = 1;
    uint32_t got = 0;
    const uint32_t seq = rtpush_last_id(&w->srv).seq;
    for (int i = 0; i < READERS; i++) {
        reader *r = &readers[i];
        pthread_join(r->thread, NULL);
        if (r->fault != NULL) {
            printf("     reader %d, after %u events: %s\n", i, r->got, r->fault);
            faults++;
        }
        got += r->got;
        told &= r->got + r->missed == seq - r->start;
        for (uint32_t k = 0; k < PUBLISHERS * (uint32_t)EVENTS_MAX; k++) {
            taken &= !(&r->seen[0][0])[k] || (&w->taken[0][0])[k];
        }
    }
    verdict("every_reader_gets_events_once_and_in_order", faults == 0 && got > READERS);
    verdict("events_delivered_and_told_as_missed_are_all_there_are", told);
    verdict("what_was_refused_as_FULL_is_never_delivered", taken);
}

// -- publishers -----------------------------------------------------------------------------------

typedef struct publisher {
    world *w;
    unsigned me;
    pthread_t thread;
} publisher;

static void *publish_fast(void *argument) {
    publisher *p = argument;
    world *w = p->w;
    char text[800];
    for (uint32_t i = 0; i < w->events; i++) {
        const int len = event_text(text, p->me, i, 1);
        note(w, p->me, i, rtpush_publish_from(&w->srv, TOPIC_EVENT, text, (size_t)len));
        if (i % 4 == 0 || i + 1 == w->events) {
            const int digits = sprintf(text, "%u", i);
            w->states[p->me] += rtpush_publish_from(&w->srv, TOPIC_STATE_0 + p->me, text,
                                                    (size_t)digits) == RTPUSH_OK;
        }
        if (i % 64 == 0) {
            usleep(200); // or the others would only see FULL
        }
    }
    return NULL;
}

// In lwIP's context: a few events by rtpush_publish and in place. With FULL nothing happened, and
// the number comes again.
static void publish_in_core(world *w) {
    char text[800];
    static const unsigned me = PUBLISHERS - 1;
    for (int k = 0; k < 4; k++) {
        const uint32_t number = w->accepted[me];
        const int len = event_text(text, me, number, 1);
        int answer = RTPUSH_ERR_FULL;
        if (k % 2 == 0) {
            answer = rtpush_publish(&w->srv, TOPIC_EVENT, text, (size_t)len);
        } else {
            void *room = rtpush_reserve(&w->srv, TOPIC_EVENT, (size_t)len + 50u);
            if (room != NULL) {
                memcpy(room, text, (size_t)len);
                answer = rtpush_commit(&w->srv, (size_t)len);
            }
        }
        if (answer != RTPUSH_ERR_FULL) {
            note(w, me, number, answer);
        }
    }
    (void)rtpush_lwip_poll(&w->port);
}

static void *publish_loop(void *argument) {
    world *w = ((publisher *)argument)->w;
    for (uint32_t i = 0; i < w->events / 4; i += 4) {
        in_core(w, publish_in_core);
        usleep(200);
    }
    return NULL;
}

static void publish_end(world *w) {
    const int answer = rtpush_publish(&w->srv, TOPIC_EVENT, "end", 3);
    (void)rtpush_lwip_poll(&w->port);
    result = answer == RTPUSH_OK ? ERR_OK : ERR_VAL;
}

static void publishers_run(world *w, publisher *publishers) {
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i].w = w;
        publishers[i].me = i;
        pthread_create(&publishers[i].thread, NULL,
                       i + 1 < PUBLISHERS ? publish_fast : publish_loop, &publishers[i]);
    }
}

static void publishers_end(world *w, publisher *publishers) {
    for (int i = 0; i < PUBLISHERS; i++) {
        pthread_join(publishers[i].thread, NULL);
    }
    in_core(w, publish_end);
    verdict("with_the_others_done_the_loop_finds_room", result == ERR_OK);
}

static rtpush_counters counters;

static void count(world *w) {
    counters = *rtpush_get_counters(&w->srv);
}

// Invariant 6.
static void judge_counts(world *w) {
    uint32_t accepted = 1; // the end
    uint32_t states = 0;
    uint32_t full = 0;
    for (int i = 0; i < PUBLISHERS; i++) {
        accepted += w->accepted[i];
        states += w->states[i];
        full += w->full[i];
    }
    in_core(w, count);
    verdict("sequence_numbers_are_events_accepted_and_FULL_results",
            rtpush_last_id(&w->srv).seq == accepted + full && counters.full == full &&
                counters.published == accepted + states);
    printf("     %u accepted, %u FULL, %u delivered, %u gaps, %u values\n", accepted, full,
           counters.delivered, counters.gaps, counters.states_sent);
}

// -- the tests ------------------------------------------------------------------------------------

static void wait_for_streams(world *w, uint32_t count_wanted) {
    do {
        usleep(2000);
        in_core(w, count);
    } while (counters.streams < count_wanted);
}

static int close_world(world *w) {
    world_closed_well = 1;
    in_core(w, world_close);
    return world_closed_well;
}

static pthread_barrier_t round_begins;

static void *publish_rounds(void *argument) {
    publisher *p = argument;
    char text[64];
    for (uint32_t i = 0; i < p->w->events; i++) {
        pthread_barrier_wait(&round_begins);
        const int len = event_text(text, p->me, i, 0);
        note(p->w, p->me, i, rtpush_publish_from(&p->w->srv, TOPIC_EVENT, text, (size_t)len));
    }
    return NULL;
}

static void wait_for_events(uint32_t wanted) {
    pthread_mutex_lock(&progress_mutex);
    while (events_seen < wanted) {
        pthread_cond_wait(&progress, &progress_mutex);
    }
    pthread_mutex_unlock(&progress_mutex);
}

enum { TALKS = 100 };
static reader talker;

// Or its second message would wait for the acknowledgement of the first, which waits for a timer.
static void talk_at_once(world *w) {
    (void)w;
    tcp_nagle_disable(talker.conn->pcb.tcp);
}

// A client sends messages, which on_message publishes: each reaches every reader before the next.
static void talk(void) {
    char frame[80] = {(char)0x81}; // masked with zeros
    const uint32_t before = events_seen;
    for (uint32_t i = 0; i < TALKS; i++) {
        const int len = event_text(frame + 6, PUBLISHERS - 1, i, 0);
        frame[1] = (char)(0x80 | len);
        netconn_write(talker.conn, frame, (size_t)len + 6u, NETCONN_COPY);
        wait_for_events(before + (i + 1) * READERS);
    }
}

// Time stands still, so no timer comes; a round ends when every reader has its events. A wake that
// is lost ends the test by on_hang.
static void wake_alone(world *w, reader *readers) {
    publisher publishers[2];
    const int talks = w->port.desc.timer; // else it is the application that calls the port
    w->events = 250;
    readers_start(w, readers);
    wait_for_streams(w, READERS);
    memset(&talker, 0, sizeof talker);
    talker.w = w;
    verdict("a_client_that_only_talks_is_connected",
            connect_to(&talker, "/ws?topics=s1", upgrade) && answered(&talker, " 101 "));
    in_core(w, talk_at_once);
    os_freeze(1);
    pthread_barrier_init(&round_begins, NULL, 3);
    for (unsigned i = 0; i < 2; i++) {
        publishers[i].w = w;
        publishers[i].me = i;
        pthread_create(&publishers[i].thread, NULL, publish_rounds, &publishers[i]);
    }
    for (uint32_t i = 0; i < w->events; i++) {
        pthread_barrier_wait(&round_begins);
        wait_for_events((i + 1) * 2 * READERS);
    }
    if (talks) {
        talk();
    }
    os_freeze(0);
    disconnect(&talker);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(publishers[i].thread, NULL);
    }
    in_core(w, publish_end);
    readers_judge(w, readers);
    judge_counts(w);
}

static void full_speed(world *w, reader *readers) {
    publisher publishers[PUBLISHERS];
    w->fast = 1;
    w->events = 4000;
    readers_start(w, readers);
    wait_for_streams(w, READERS);
    publishers_run(w, publishers);
    publishers_end(w, publishers);
    readers_judge(w, readers);
    judge_counts(w);
}

// The port closes and listens again, several times, while publishers continue.
static void close_and_reopen(world *w, reader *readers) {
    publisher publishers[PUBLISHERS];
    uint32_t connects = 0;
    int closed_well = 1;
    int reopened = 1;
    w->fast = 1;
    w->events = 6000;
    readers_start(w, readers);
    wait_for_streams(w, READERS);
    publishers_run(w, publishers);
    for (int i = 0; i < 40; i++) {
        closed_well &= close_world(w);
        usleep(i % 4 * 500u);
        in_core(w, world_listen);
        reopened &= result == ERR_OK;
        usleep(2000u + i % 5 * 3000u);
    }
    publishers_end(w, publishers);
    readers_judge(w, readers);
    judge_counts(w);
    for (int i = 0; i < READERS; i++) {
        connects += readers[i].connects;
    }
    verdict("closing_ends_every_stream_once_and_makes_its_handle_stale", closed_well);
    verdict("a_closed_port_listens_again_under_the_same_number", reopened);
    verdict("readers_came_back_and_resumed", connects > 2 * READERS);
}

// Does this function of the port notice that it is called here?
static int refused(void (*run)(world *w), world *w) {
    trap_set = 1;
    if (setjmp(trap) != 0) {
        trap_set = 0;
        return 1;
    }
    run(w);
    trap_set = 0;
    return 0;
}

static void wrong_init(world *w) {
    rtpush_lwip_desc desc = {.slots = w->slots, .slot_count = RTPUSH_LWIP_SLOTS(CONNS)};
    (void)rtpush_lwip_init(&w->port, &desc);
}

static void wrong_poll(world *w) {
    (void)rtpush_lwip_poll(&w->port);
}

static void wrong_close(world *w) {
    rtpush_lwip_close(&w->port);
}

static void wrong_thread(world *w) {
    verdict("init_in_another_thread_is_an_assertion", refused(wrong_init, w));
    verdict("listen_in_another_thread_is_an_assertion", refused(world_listen, w));
    verdict("poll_in_another_thread_is_an_assertion", refused(wrong_poll, w));
    verdict("close_in_another_thread_is_an_assertion", refused(wrong_close, w));
#if LWIP_TCPIP_CORE_LOCKING
    LOCK_TCPIP_CORE();
    verdict("with_the_core_locked_another_thread_may_poll", !refused(wrong_poll, w));
    UNLOCK_TCPIP_CORE();
#endif
}

static uint32_t timers;
static uint32_t messages;
static uint32_t listeners;

static void count_memory(world *w) {
    (void)w;
    timers = lwip_stats.memp[MEMP_SYS_TIMEOUT]->used;
    messages = lwip_stats.memp[MEMP_TCPIP_MSG_API]->used;
    listeners = lwip_stats.memp[MEMP_TCP_PCB_LISTEN]->used;
}

// A port that the application polls by itself, without a wake hook: there is nobody to tell.
static int silent;
static void wake_nobody(world *w) {
    static rtpush_lwip port;
    static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(1)];
    rtpush_lwip_desc desc = {.slots = slots, .slot_count = RTPUSH_LWIP_SLOTS(1), .publish_from = 1};
    count_memory(w);
    const uint32_t before = messages;
    silent = rtpush_lwip_init(&port, &desc) == ERR_OK;
    rtpi_lwip_on_wake(&port);
    count_memory(w);
    silent = silent && messages == before;
}

static void on_ready(void *argument) {
    sys_sem_signal(argument);
}

enum { WORLDS = 4 };
static world worlds[WORLDS];
static reader readers[READERS];

int main(void) {
    static void (*const tests[WORLDS])(world *w, reader *readers) = {wake_alone, wake_alone,
                                                                     full_speed, close_and_reopen};
    sys_sem_t ready;
    signal(SIGALRM, on_hang);
    alarm(PATIENCE_S);
    setvbuf(stdout, NULL, _IOLBF, 0);
    sys_sem_new(&ready, 0);
    tcpip_init(on_ready, &ready);
    sys_sem_wait(&ready);
    sys_sem_free(&ready);
    in_core(NULL, count_memory);
    const uint32_t timers_before = timers;
    in_core(NULL, wake_nobody);
    verdict("without_timer_and_hook_a_wake_sends_nothing", silent);
    for (int i = 0; i < WORLDS; i++) {
        world *w = &worlds[i];
        w->number = (uint16_t)(8000 + i);
        in_core(w, i == 1 ? world_open_own : world_open);
        verdict("the_port_opens", result == ERR_OK);
        tests[i](w, readers);
        if (i == 0) {
            wrong_thread(w);
        }
        verdict("the_port_closes_with_all_slots_free", close_world(w));
        verdict("own_hooks_are_called", (i == 1) == (w->wakes > 0));
    }
    usleep(50000); // a late message or timer would come now
    in_core(NULL, count_memory);
    verdict("closed_ports_keep_no_timer", timers <= timers_before + 1); // TCP's own
    verdict("closed_ports_keep_no_message", messages <= 1); // that of in_core
    verdict("closed_ports_keep_no_listener", listeners == 0);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
