// Server CPU a message, over real sockets: starts servers, drives them alternately, and prints what
// a message cost each and the ratio to the first one. bench.sh builds and runs this.
//
// Usage: load [-t SLICE_MS] [-n SLICES] [-w WORD] [-o CSV] [-m] NAME[:echo|:push]=COMMAND ...
//        -w  only rows whose title has WORD
//        -o  writes the figures to this file too
//        -m  measures instead the memory of an idle WebSocket connection
//        :echo, :push  this server takes part in the echo or in the fan-out rows alone
//
// {conns} in a COMMAND becomes how many connections there may be. A server prints a line that ends
// with ":PORT" and has the paths of bare.c. Server and client have a processor each, if there are
// two. A slice ends when every answer has arrived, so CPU time and messages match. Every byte
// is checked.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // sched_setaffinity
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "load"
#include "frames.h"
#include "servers.h"

enum {
    SERVERS_MAX = 8,
    CONNS_MAX = 1000,
    SPARE = 100,       // connections a server may have beyond those of a row
    IDLE_FEW = 1000,
    IDLE_MAX = 5000,
    AT_ONCE = 50,      // connections opened
    BUFFER = 1 << 18,  // one recv
    SLICES_MAX = 99,
    SLICE_MS_MAX = 10000, // a server waits 20 s for a byte of a client before it pings
    STALL_MS = 10000      // nothing arrives: the server is broken
};

// -- servers --------------------------------------------------------------------------------------

enum { ECHO = 1, PUSH = 2 }; // server.kind: rows that it takes part in

static server servers[SERVERS_MAX];
static int server_count;

static void kill_servers(void) {
    for (int i = 0; i < server_count; i++) {
        server_kill(&servers[i]);
    }
}

// NAME[:echo|:push]=COMMAND
static int server_parse(server *s, char *text) {
    char *command = strchr(text, '=');
    if (command == NULL) {
        return -1;
    }
    *command++ = '\0';
    char *kind = strchr(text, ':');
    if (kind) {
        *kind++ = '\0';
    }
    s->kind = kind == NULL ? ECHO | PUSH : strcmp(kind, "echo") == 0 ? ECHO
             : strcmp(kind, "push") == 0 ? PUSH : 0;
    s->command = command;
    return s->kind && snprintf(s->name, sizeof(s->name), "%s", text) < (int)sizeof(s->name) ? 0
                                                                                             : -1;
}

// -- client ---------------------------------------------------------------------------------------

typedef struct conn {
    int fd;
    alive_filter alive;
    frame_reader frames;
    uint32_t base;   // stamp of its first message
    uint32_t sent;   // messages given to the kernel whole
    size_t part;     // bytes of the batch sent
    uint32_t goal;   // messages of the batch under way and all before
    int idle;        // its batch is answered and the slice over
    size_t received; // fan-out: bytes of the burst
} conn;

// One server's connections. All servers of a row are driven in turns.
typedef struct side {
    server *srv;
    conn conns[CONNS_MAX];
    int count;
    int poll;
    conn publisher; // fan-out
    int sse;
    uint32_t published;
    frame_reader reference_frames; // the first reader is read, the others are compared with it
    sse_reader reference_events;
    double cpu_us[SLICES_MAX];  // a message
    double rate_k[SLICES_MAX];  // thousand messages a second
    double ratio[SLICES_MAX];   // of cpu_us, to the first server's in the same round
} side;

static side sides[SERVERS_MAX];
static int side_count;
static pattern sample;
static uint8_t sample_bytes[16384];
static uint8_t batch[16 * (16384 + FRAME_HEAD_MAX)];
static size_t frame_len;
static uint8_t in[BUFFER];
static uint8_t burst_bytes[BUFFER];
static double slice_s = 0.25;
static int slices = 5;
static const char *only = "";
static FILE *csv;

// Reads the answer's head and, of an event stream, the first block; nothing is published yet, so
// nothing follows. A stream that begins with an id of ours leaves its sequence number in events.
static void client_answer(int fd, int sse, sse_reader *events) {
    char answer[2048];
    size_t len = 0;
    const char *body = NULL;
    while (body == NULL || (sse && strstr(body, "\n\n") == NULL)) {
        const ssize_t got = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
        if (got <= 0) {
            fail("handshake");
        }
        len += (size_t)got;
        answer[len] = '\0';
        body = strstr(answer, "\r\n\r\n");
        body = body ? body + 4 : NULL;
    }
    errno = 0;
    if (strncmp(answer + 9, sse ? "200" : "101", 3) != 0) {
        fprintf(stderr, "%s", answer);
        fail("handshake: unexpected answer");
    }
    const char *id = strstr(answer, "\nid: ");
    if (sse) {
        events->foreign = id == NULL || id[5 + 8] != '-';
        events->seq = events->foreign ? 0 : (uint32_t)strtoul(id + 5 + 9, NULL, 16);
    }
}

// Opens connections that block, some at a time: one after the other each would wait for both
// processes to be scheduled.
static void client_open(const server *s, const char *path, int sse, sse_reader *events, int *fds,
                        int count) {
    for (int i = 0; i < count; i++) {
        fds[i] = ask(s->port, path, sse);
    }
    for (int i = 0; i < count; i++) {
        client_answer(fds[i], sse, events);
    }
}

static void no_wait(int fd) {
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        fail("fcntl");
    }
}

static void side_open(side *w, server *s, const char *path, int count, int sse) {
    int fds[AT_ONCE];
    memset(w, 0, sizeof(*w));
    w->srv = s;
    w->count = count;
    w->sse = sse;
    w->publisher.fd = -1;
    w->poll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        conn *c = &w->conns[i];
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = c}};
        if (i % AT_ONCE == 0) {
            client_open(s, path, sse, &w->reference_events, fds,
                        count - i < AT_ONCE ? count - i : AT_ONCE);
        }
        c->fd = fds[i % AT_ONCE];
        no_wait(c->fd);
        c->alive.sse = sse;
        c->base = (uint32_t)i << 20;
        c->frames.stamp = c->base;
        if (epoll_ctl(w->poll, EPOLL_CTL_ADD, c->fd, &event) < 0) {
            fail("epoll_ctl");
        }
    }
}

static void side_close(side *w) {
    for (int i = 0; i < w->count; i++) {
        close(w->conns[i].fd);
    }
    if (w->publisher.fd >= 0) {
        close(w->publisher.fd);
    }
    close(w->poll);
}

// RFC 6455 5.5.3: the last ping is answered. Not within a message that is sent in parts.
static void conn_pong(conn *c) {
    uint8_t frame[FRAME_HEAD_MAX + sizeof(c->alive.ping)];
    if (!c->alive.pong_due || c->part > 0) {
        return;
    }
    const size_t head = frame_head(frame, 10, c->alive.ping_len, frame_mask);
    for (size_t i = 0; i < c->alive.ping_len; i++) {
        frame[head + i] = c->alive.ping[i] ^ frame_mask[i & 3];
    }
    const ssize_t n = send(c->fd, frame, head + c->alive.ping_len, MSG_NOSIGNAL);
    if (n != (ssize_t)(head + c->alive.ping_len) && (n >= 0 || errno != EAGAIN)) {
        fail("pong");
    }
    c->alive.pong_due = n < 0;
}

// Receives into `in` what belongs to messages, and answers pings. Returns the bytes, -1 if there is
// nothing to receive.
static int conn_receive(conn *c, size_t max) {
    const ssize_t n = recv(c->fd, in, max, 0);
    if (n < 0 && errno == EAGAIN) {
        return -1;
    }
    errno = n == 0 ? 0 : errno;
    if (n <= 0) {
        fail("connection lost");
    }
    const int len = alive_take_out(&c->alive, in, (size_t)n);
    errno = 0;
    if (len < 0) {
        fail("closed by the server, or not a keep-alive");
    }
    conn_pong(c);
    return len;
}

// Between two slices nothing is under way but pings, keep-alives and what a server tells a
// publisher.
static void side_answer_pings(side *w) {
    for (int i = -1; i < w->count; i++) {
        conn *c = i < 0 ? &w->publisher : &w->conns[i];
        int n = c->fd < 0 ? -1 : 0;
        while (n >= 0) {
            n = conn_receive(c, sizeof(in));
            errno = 0;
            if (n > 0 && c != &w->publisher) {
                fail("a message that nobody sent");
            }
        }
    }
}

// Waits for events; a server that is silent for long is broken.
static int wait_events(const side *w, struct epoll_event *events, int max) {
    const int count = epoll_wait(w->poll, events, max, STALL_MS);
    if (count == 0 || (count < 0 && errno != EINTR)) {
        errno = 0;
        fprintf(stderr, "load: %s\n", w->srv->name);
        fail("no answer");
    }
    return count;
}

static void sample_set(size_t len, int opcode) {
    pattern_fill(sample_bytes, len, opcode, 0);
    sample.data = sample_bytes;
    sample.len = len;
    sample.opcode = opcode;
    frame_len = frame_write(batch, &sample, 0, frame_mask);
    for (int i = 1; i < 16; i++) {
        memcpy(batch + (size_t)i * frame_len, batch, frame_len);
    }
}

static void batch_stamp(uint32_t stamp, int count) {
    const size_t head = frame_len - sample.len;
    for (int i = 0; i < count; i++) {
        frame_stamp(batch + (size_t)i * frame_len + head, frame_mask, stamp + (uint32_t)i);
    }
}

// Sends what is missing of a connection's batch. The bytes follow from connection and number, so
// nothing is kept of what the kernel did not take.
static void echo_send(conn *c, int depth) {
    const size_t whole = (size_t)depth * frame_len;
    if (c->sent == c->goal) {
        return;
    }
    batch_stamp(c->base + c->sent, depth);
    const ssize_t n = send(c->fd, batch + c->part, whole - c->part, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        fail("send");
    }
    c->part += n > 0 ? (size_t)n : 0;
    if (c->part == whole) {
        c->part = 0;
        c->sent = c->goal;
        conn_pong(c);
    }
}

static void echo_receive(conn *c) {
    int n;
    while ((n = conn_receive(c, sizeof(in))) >= 0) {
        if (frame_read(&c->frames, &sample, in, (size_t)n) < 0) {
            errno = 0;
            fail("echo: wrong bytes");
        }
        if (n < (int)sizeof(in)) {
            return;
        }
    }
}

// Every connection has a batch of `depth` messages in flight and sends the next one when the last
// answer is in, until the time is over; then the answers still missing are awaited.
static uint64_t echo_slice(side *w, int depth) {
    struct epoll_event events[256];
    const double end = now_s(CLOCK_MONOTONIC) + slice_s;
    int busy = w->count;
    int over = 0;
    uint64_t messages = 0;
    for (int i = 0; i < w->count; i++) {
        w->conns[i].idle = 0;
        w->conns[i].goal += (uint32_t)depth;
        echo_send(&w->conns[i], depth);
    }
    while (busy > 0) {
        const int count = wait_events(w, events, 256);
        over = over || now_s(CLOCK_MONOTONIC) > end;
        for (int i = 0; i < count; i++) {
            conn *c = (conn *)events[i].data.ptr;
            echo_receive(c);
            if (c->idle || c->frames.wholes < c->goal) {
                echo_send(c, depth);
                continue;
            }
            messages += (uint64_t)depth;
            c->idle = over;
            busy -= over;
            if (!over) {
                c->goal += (uint32_t)depth;
                echo_send(c, depth);
            }
        }
    }
    return messages;
}

// Connections that are opened and ended by the client, some at a time.
static uint64_t upgrade_slice(side *w, int count) {
    int fds[AT_ONCE];
    const double end = now_s(CLOCK_MONOTONIC) + slice_s;
    uint64_t connections = 0;
    do {
        client_open(w->srv, "/", 0, NULL, fds, count);
        for (int i = 0; i < count; i++) {
            (void)shutdown(fds[i], SHUT_WR);
        }
        for (int i = 0; i < count; i++) {
            while (recv(fds[i], in, sizeof(in), 0) > 0) { // until the server ends it too
            }
            close(fds[i]);
        }
        connections += (uint64_t)count;
    } while (now_s(CLOCK_MONOTONIC) < end);
    return connections;
}

// -- fan-out --------------------------------------------------------------------------------------

// The first reader's bytes are checked by their meaning and become the reference for the others.
static size_t burst_reference(side *w) {
    size_t len = 0;
    conn *first = &w->conns[0];
    const uint32_t goal = w->published;
    struct pollfd readable = {.fd = first->fd, .events = POLLIN};
    while ((w->sse ? w->reference_events.wholes : w->reference_frames.wholes) < goal) {
        if (poll(&readable, 1, STALL_MS) <= 0) {
            errno = 0;
            fail("no delivery");
        }
        const int got = conn_receive(first, sizeof(in));
        const size_t n = got > 0 ? (size_t)got : 0;
        errno = 0;
        if (len + n > sizeof(burst_bytes) ||
            (w->sse ? sse_read(&w->reference_events, &sample, in, n)
                    : frame_read(&w->reference_frames, &sample, in, n)) < 0) {
            fail("delivery: wrong bytes");
        }
        memcpy(burst_bytes + len, in, n);
        len += n;
    }
    return len;
}

// 1 when this reader has the whole burst.
static int burst_receive(conn *c, size_t len) {
    const int n = conn_receive(c, sizeof(in));
    errno = 0;
    if (n <= 0) {
        return 0;
    }
    if (c->received + (size_t)n > len || memcmp(in, burst_bytes + c->received, (size_t)n) != 0) {
        fail("delivery: not what the first reader got");
    }
    c->received += (size_t)n;
    return c->received == len;
}

static uint64_t push_slice(side *w, int burst) {
    struct epoll_event events[256];
    const double end = now_s(CLOCK_MONOTONIC) + slice_s;
    uint64_t messages = 0;
    do {
        batch_stamp(w->published, burst);
        send_all(w->publisher.fd, batch, (size_t)burst * frame_len);
        w->published += (uint32_t)burst;
        const size_t len = burst_reference(w);
        int missing = w->count - 1;
        for (int i = 1; i < w->count; i++) {
            w->conns[i].received = 0;
        }
        for (int i = 1; i < w->count; i++) { // most of it is there; the rest is waited for
            missing -= burst_receive(&w->conns[i], len);
        }
        while (missing > 0) {
            const int count = wait_events(w, events, 256);
            for (int i = 0; i < count; i++) {
                conn *c = (conn *)events[i].data.ptr;
                if (c != &w->conns[0] && c->received < len) {
                    missing -= burst_receive(c, len);
                }
            }
        }
        messages += (uint64_t)burst * (uint64_t)w->count;
    } while (now_s(CLOCK_MONOTONIC) < end);
    return messages;
}

// -- measuring ------------------------------------------------------------------------------------

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

// The value that `part` of them are below: 0.5 is the median.
static double quantile(const double *values, double part) {
    double sorted[SLICES_MAX];
    memcpy(sorted, values, (size_t)slices * sizeof(double));
    qsort(sorted, (size_t)slices, sizeof(double), ascending);
    const double at = part * (slices - 1);
    const int i = (int)at;
    const double next = sorted[i + 1 < slices ? i + 1 : i];
    return sorted[i] + (at - i) * (next - sorted[i]);
}

static void measure_slice(side *w, uint64_t (*slice)(side *, int), int depth, int i) {
    for (int k = 0; k < side_count; k++) {
        side_answer_pings(&sides[k]);
    }
    const double cpu = now_s(w->srv->clock);
    const double began = now_s(CLOCK_MONOTONIC);
    const double messages = (double)slice(w, depth);
    if (i >= 0) {
        w->cpu_us[i] = (now_s(w->srv->clock) - cpu) * 1e6 / messages;
        w->rate_k[i] = messages / (now_s(CLOCK_MONOTONIC) - began) / 1e3;
        w->ratio[i] = w->cpu_us[i] / sides[0].cpu_us[i];
    }
}

// Alternating slices of all servers, so that other load on the machine affects all of them.
static void measure(const char *title, uint64_t (*slice)(side *, int), int depth) {
    printf("%-40s", title);
    fflush(stdout);
    for (int i = -1; i < slices; i++) { // the first is for warming up
        for (int k = 0; k < side_count; k++) {
            measure_slice(&sides[k], slice, depth, i);
        }
    }
    for (int k = 0; k < side_count; k++) {
        const side *w = &sides[k];
        printf(k == 0 ? " %8.2f" : " %9.2f %5.2f", quantile(w->cpu_us, 0.5),
               quantile(w->ratio, 0.5));
        if (csv) {
            fprintf(csv, "\"%s\",%s,%.3f,%.3f,%.3f,%.3f,%.1f\n", title, w->srv->name,
                    quantile(w->cpu_us, 0.5), quantile(w->cpu_us, 0.25),
                    quantile(w->cpu_us, 0.75), quantile(w->ratio, 0.5),
                    quantile(w->rate_k, 0.5));
            fflush(csv);
        }
        side_close(&sides[k]);
    }
    printf("\n");
    fflush(stdout);
}

// Before the first row of a kind that is measured.
static void print_head(const char *what, int kind) {
    static int printed;
    int first = 1;
    if (printed & kind) {
        return;
    }
    printed |= kind;
    printf("\n%-40s", what);
    for (int i = 0; i < server_count; i++) {
        if (servers[i].kind & kind) {
            printf(first ? " %8.8s" : " %9.9s ratio", servers[i].name);
            first = 0;
        }
    }
    printf("\n");
}

static const char *size_text(size_t len) {
    return len == 20 ? "20 B" : len == 64 ? "64 B" : len == 1024 ? "1 KiB" : "16 KiB";
}

// Sides of the servers that take part in echo rows, each with so many connections.
static void echo_sides(int conns) {
    print_head("Echo: us of the server a message", ECHO);
    side_count = 0;
    for (int k = 0; k < server_count; k++) {
        if (servers[k].kind & ECHO) {
            side_open(&sides[side_count++], &servers[k], "/", conns, 0);
        }
    }
}

static void echo_all(void) {
    static const struct {
        size_t len;
        int opcode;
        int conns;
        int depth;
    } rows[] = {
        {20, FRAME_BINARY, 100, 1},     {20, FRAME_BINARY, 1000, 1},
        {20, FRAME_BINARY, 100, 16},    {20, FRAME_BINARY, 1000, 16},
        {1024, FRAME_BINARY, 100, 1},   {1024, FRAME_BINARY, 1000, 1},
        {1024, FRAME_BINARY, 100, 16},  {1024, FRAME_BINARY, 1000, 16},
        {1024, FRAME_TEXT, 100, 1},     {16384, FRAME_BINARY, 100, 1},
        {16384, FRAME_BINARY, 1000, 1}, {16384, FRAME_BINARY, 100, 16},
        {16384, FRAME_BINARY, 1000, 16},
    };
    static const char upgrade[] = "accept, upgrade, close: a connection";
    char title[80];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)snprintf(title, sizeof(title), "%s%s, %d connections, %d in flight",
                       size_text(rows[i].len), rows[i].opcode == FRAME_TEXT ? " text" : "",
                       rows[i].conns, rows[i].depth);
        if (strstr(title, only)) {
            sample_set(rows[i].len, rows[i].opcode);
            echo_sides(rows[i].conns);
            measure(title, echo_slice, rows[i].depth);
        }
    }
    if (strstr(upgrade, only)) {
        echo_sides(0);
        measure(upgrade, upgrade_slice, AT_ONCE);
    }
}

static void push_all(void) {
    char title[80];
    for (int row = 0; row < 8; row++) {
        const int sse = row >= 4;
        const size_t len = row / 2 % 2 ? 1024 : 64;
        const int burst = row % 2 ? 16 : 1;
        (void)snprintf(title, sizeof(title), "%s %s, bursts of %d", sse ? "SSE" : "WebSocket",
                       size_text(len), burst);
        if (strstr(title, only) == NULL) {
            continue;
        }
        print_head("Fan-out to 1000: us of the server a delivery", PUSH);
        sample_set(len, FRAME_TEXT);
        side_count = 0;
        for (int k = 0; k < server_count; k++) {
            if (!(servers[k].kind & PUSH)) {
                continue;
            }
            side *w = &sides[side_count++];
            side_open(w, &servers[k], sse ? "/events?topics=a" : "/ws?topics=a", CONNS_MAX, sse);
            // It subscribes to a topic on which nothing is published.
            client_open(&servers[k], "/ws?topics=b&publish=a", 0, NULL, &w->publisher.fd, 1);
            no_wait(w->publisher.fd);
        }
        measure(title, push_slice, burst);
    }
}

// -- memory ---------------------------------------------------------------------------------------

// Connections that have had one message echoed.
static void idle_open(const server *s, int *fds, int count) {
    client_open(s, "/", 0, NULL, fds, count);
    for (int i = 0; i < count; i++) {
        send_all(fds[i], batch, frame_len);
    }
    for (int i = 0; i < count; i++) {
        frame_reader frames;
        memset(&frames, 0, sizeof(frames));
        while (frames.wholes == 0) {
            const ssize_t n = recv(fds[i], in, sizeof(in), 0);
            if (n <= 0 || frame_read(&frames, &sample, in, (size_t)n) < 0) {
                fail("echo");
            }
        }
    }
}

// Resident bytes of a server that was started for so many connections and has them all.
static double idle_resident(server *s, int count) {
    static int fds[IDLE_MAX];
    server_start(s, count + SPARE, 0);
    for (int i = 0; i < count; i += AT_ONCE) {
        idle_open(s, fds + i, AT_ONCE);
    }
    const double bytes = resident(s);
    for (int i = 0; i < count; i++) {
        close(fds[i]);
    }
    server_kill(s);
    return bytes;
}

// The difference between many and few connections: what does not grow with them is not in it.
static void memory_all(int most) {
    const int many = most - most % AT_ONCE;
    const int more = many - IDLE_FEW;
    errno = 0;
    if (more <= 0) {
        fail("too few files allowed (ulimit -n)");
    }
    sample_set(1024, FRAME_BINARY);
    printf("\nIdle WebSocket after one echo of 1 KiB: resident bytes, %d against %d\n", many,
           IDLE_FEW);
    for (int k = 0; k < server_count; k++) {
        const double few_bytes = idle_resident(&servers[k], IDLE_FEW);
        const double each = (idle_resident(&servers[k], many) - few_bytes) / more;
        printf("%-40s %8.0f\n", servers[k].name, each);
        fflush(stdout);
        if (csv) {
            fprintf(csv, "%s,%d,%.0f\n", servers[k].name, more, each);
        }
    }
}

// Returns how many connections there may be.
static int raise_files(void) {
    const rlim_t own = 64;
    struct rlimit files = {0, 0};
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
        fail("getrlimit");
    }
    const rlim_t wanted = IDLE_MAX + SERVERS_MAX * CONNS_MAX;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    return files.rlim_cur > IDLE_MAX + own ? IDLE_MAX : (int)(files.rlim_cur - own);
}

static int usage(void) {
    fputs("usage: load [-t SLICE_MS] [-n SLICES] [-w WORD] [-o CSV] [-m] "
          "NAME[:echo|:push]=COMMAND ...\n",
          stderr);
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const char *path = NULL;
    int memory = 0;
    int option;
    while ((option = getopt(argc, argv, "t:n:w:o:m")) != -1) {
        switch (option) {
            case 't': slice_s = atof(optarg) / 1e3; break;
            case 'n': slices = atoi(optarg); break;
            case 'w': only = optarg; break;
            case 'o': path = optarg; break;
            case 'm': memory = 1; break;
            default: return usage();
        }
    }
    if (slice_s <= 0 || slice_s * 1e3 > SLICE_MS_MAX || slices < 1 || slices > SLICES_MAX) {
        fprintf(stderr, "load: SLICE_MS from 1 to %d, SLICES to %d\n", SLICE_MS_MAX, SLICES_MAX);
        return EXIT_FAILURE;
    }
    if (path && (csv = fopen(path, "w")) == NULL) {
        fail(path);
    }
    for (; optind < argc && server_count < SERVERS_MAX; optind++, server_count++) {
        if (server_parse(&servers[server_count], argv[optind]) < 0) {
            return usage();
        }
    }
    if (server_count == 0 || optind < argc) {
        return usage();
    }
    const int most = raise_files();
    (void)atexit(kill_servers);
    for (int i = 0; !memory && i < server_count; i++) {
        server_start(&servers[i], CONNS_MAX + SPARE, 0);
    }
    const int processor = pin(1);
    if (memory) {
        if (csv) {
            fputs("server,connections,bytes\n", csv);
        }
        memory_all(most);
        return EXIT_SUCCESS;
    }
    if (csv) {
        fputs("row,server,us,us_quarter,us_three_quarters,ratio,thousand_a_second\n", csv);
    }
    printf("Client on processor %d, servers on the first; medians of %d slices of %.0f ms\n",
           processor, slices, slice_s * 1e3);
    echo_all();
    push_all();
    return EXIT_SUCCESS;
}
