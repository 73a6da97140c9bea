// Server CPU a message, over real sockets: starts build/echo, build/hub and a floor, drives example
// and floor in turns and prints what a message cost either, and the ratio. The floor is what a
// program can hardly do without: one recv and one send a message, frames unmasked a word at a time;
// for fan-out one send of prepared bytes a reader. bench.sh builds and runs this.
//
// Usage: load ECHO HUB [SLICE_MS [SLICES [WORD]]]      WORD: only rows whose title has it
//
// Server and client each get a processor of their own, if there are two. A slice ends when every
// answer is in, so CPU time and messages belong together. Every byte is checked.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // sched_setaffinity, accept4
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

enum {
    CONNS_MAX = 1000,
    SEGMENT = 1460,       // Ethernet's: loopback's 64 KB and delayed acknowledgements stall senders
    BUFFER = 1 << 18,     // one recv
    SLICES_MAX = 15,
    STALL_MS = 10000,     // nothing arrives: the server is broken
    BLOCK_HEAD = 4 + 17 + 10 + 6 // "id: " id "\nevent: a\n" "data: "
};

static void fail(const char *what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(EXIT_FAILURE);
}

static double now_s(clockid_t which) {
    struct timespec t;
    if (clock_gettime(which, &t) < 0) {
        fail("clock of a server that died");
    }
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Pins the caller to the first or the last processor it may use.
static int pin(int last) {
    cpu_set_t may;
    cpu_set_t one;
    int chosen = -1;
    if (sched_getaffinity(0, sizeof(may), &may) < 0) {
        return -1;
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &may) && (chosen < 0 || last)) {
            chosen = i;
        }
    }
    CPU_ZERO(&one);
    CPU_SET(chosen, &one);
    return sched_setaffinity(0, sizeof(one), &one) < 0 ? -1 : chosen;
}

// -- the floor ------------------------------------------------------------------------------------

// A peer of the floor. It echoes what comes, or publishes it to the readers, or is one.
typedef struct floor_peer {
    uint8_t kind; // FLOOR_...
    uint8_t head_len;
    uint8_t turn; // of the mask
    uint8_t head[FRAME_HEAD_MAX];
    uint8_t mask[8];
    uint64_t left;
    uint8_t *rest; // what the kernel did not take yet
    size_t rest_len;
} floor_peer;
enum { FLOOR_NEW, FLOOR_ECHO, FLOOR_PUBLISH, FLOOR_WS, FLOOR_SSE };
enum { FLOOR_FDS = CONNS_MAX + 64 };

static floor_peer peers[FLOOR_FDS];
static uint8_t floor_in[BUFFER];
static uint8_t floor_out[BUFFER];
static uint8_t floor_events[BUFFER * 2];
static uint32_t floor_seq;
static int floor_streams; // a reader of events came
static int floor_poll;

static void floor_send(int fd, const uint8_t *data, size_t len) {
    floor_peer *p = &peers[fd];
    const ssize_t n = p->rest_len > 0 ? 0 : send(fd, data, len, MSG_NOSIGNAL);
    const size_t sent = n > 0 ? (size_t)n : 0;
    if (sent == len) {
        return;
    }
    p->rest = (uint8_t *)realloc(p->rest, p->rest_len + len - sent);
    if (p->rest == NULL) {
        fail("floor: memory");
    }
    memcpy(p->rest + p->rest_len, data + sent, len - sent);
    p->rest_len += len - sent;
}

static void floor_flush(int fd) {
    floor_peer *p = &peers[fd];
    const ssize_t n = send(fd, p->rest, p->rest_len, MSG_NOSIGNAL);
    if (n > 0) {
        p->rest_len -= (size_t)n;
        memmove(p->rest, p->rest + n, p->rest_len);
    }
}

// The key is always the example of the WebSocket standard, and so is its answer.
static void floor_handshake(int fd, size_t len) {
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char stream[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                                 "retry: 1\nid: 00000000-00000000\ndata: fresh\n\n";
    floor_in[len] = '\0';
    const char *head = (const char *)floor_in;
    peers[fd].kind = strstr(head, "/events") ? FLOOR_SSE
                     : strstr(head, "publish=") ? FLOOR_PUBLISH
                     : strstr(head, "/ws") ? FLOOR_WS : FLOOR_ECHO;
    if (peers[fd].kind == FLOOR_SSE) {
        floor_seq = 0;
        floor_streams = 1;
        floor_send(fd, (const uint8_t *)stream, sizeof(stream) - 1);
    } else {
        floor_send(fd, (const uint8_t *)upgrade, sizeof(upgrade) - 1);
    }
}

// The head of a masked frame, byte by byte; at its end the head of the answer. Returns its length.
static size_t floor_head(floor_peer *p, uint8_t byte, uint8_t *out) {
    p->head[p->head_len++] = byte;
    const int form = p->head_len > 1 ? p->head[1] & 127 : 0;
    const int size = 6 + (form == 126 ? 2 : form == 127 ? 8 : 0);
    if (p->head_len < 2 || p->head_len < size) {
        return 0;
    }
    p->left = form < 126 ? (uint64_t)form : 0;
    for (int i = 2; i < size - 4; i++) {
        p->left = p->left << 8 | p->head[i];
    }
    memcpy(p->mask, p->head + size - 4, 4);
    memcpy(p->mask + 4, p->mask, 4);
    p->turn = 0;
    p->head_len = 0;
    return frame_head(out, p->head[0] & 15, (size_t)p->left, NULL);
}

static void floor_unmask(floor_peer *p, uint8_t *out, const uint8_t *in, size_t len) {
    uint64_t mask;
    size_t i = 0;
    uint8_t turned[8];
    for (int k = 0; k < 8; k++) {
        turned[k] = p->mask[(p->turn + k) & 3];
    }
    memcpy(&mask, turned, 8);
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, in + i, 8);
        word ^= mask;
        memcpy(out + i, &word, 8);
    }
    for (; i < len; i++) {
        out[i] = in[i] ^ turned[i & 7];
    }
    p->turn = (uint8_t)((p->turn + len) & 3);
}

// Frames of a client into frames of a server. Returns their length in floor_out.
static size_t floor_frames(floor_peer *p, const uint8_t *in, size_t len) {
    size_t i = 0;
    size_t out = 0;
    while (i < len) {
        if (p->left == 0) {
            out += floor_head(p, in[i++], floor_out + out);
            continue;
        }
        const size_t n = p->left < len - i ? (size_t)p->left : len - i;
        floor_unmask(p, floor_out + out, in + i, n);
        out += n;
        i += n;
        p->left -= n;
    }
    return out;
}

// The frames as events with ids, once for all readers. Returns their length in floor_events.
static size_t floor_encode(size_t frames_len) {
    static const char text[] = "id: 00000000-00000000\nevent: a\ndata: ";
    size_t out = 0;
    for (size_t i = 0; i < frames_len;) {
        const size_t head = floor_out[i + 1] < 126 ? 2 : 4;
        const size_t len = head == 2 ? floor_out[i + 1]
                                     : (size_t)floor_out[i + 2] << 8 | floor_out[i + 3];
        memcpy(floor_events + out, text, BLOCK_HEAD);
        stamp_write(floor_events + out + 13, ++floor_seq);
        memcpy(floor_events + out + BLOCK_HEAD, floor_out + i + head, len);
        memcpy(floor_events + out + BLOCK_HEAD + len, "\n\n", 2);
        out += BLOCK_HEAD + len + 2;
        i += head + len;
    }
    return out;
}

static void floor_publish(size_t frames_len) {
    const size_t events_len = floor_streams ? floor_encode(frames_len) : 0;
    for (int fd = 0; fd < FLOOR_FDS; fd++) {
        if (peers[fd].kind == FLOOR_WS) {
            floor_send(fd, floor_out, frames_len);
        } else if (peers[fd].kind == FLOOR_SSE) {
            floor_send(fd, floor_events, events_len);
        }
    }
}

// A publisher's burst may arrive cut: what is whole is kept until its rest is there.
static void floor_read(int fd) {
    static uint8_t burst[BUFFER];
    static size_t burst_len;
    floor_peer *p = &peers[fd];
    const ssize_t n = recv(fd, floor_in, sizeof(floor_in) - 64, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(fd);
        free(p->rest);
        memset(p, 0, sizeof(*p));
        return;
    }
    if (n < 0) {
        return;
    }
    if (p->kind == FLOOR_NEW) {
        floor_handshake(fd, (size_t)n);
        return;
    }
    const size_t len = floor_frames(p, floor_in, (size_t)n);
    if (p->kind == FLOOR_ECHO) {
        floor_send(fd, floor_out, len);
    } else if (p->kind == FLOOR_PUBLISH && (p->left > 0 || p->head_len > 0 || burst_len > 0)) {
        memcpy(burst + burst_len, floor_out, len);
        burst_len += len;
        if (p->left == 0 && p->head_len == 0) {
            memcpy(floor_out, burst, burst_len);
            floor_publish(burst_len);
            burst_len = 0;
        }
    } else if (p->kind == FLOOR_PUBLISH) {
        floor_publish(len);
    }
}

static void floor_accept(int listener) {
    const int buffer = 65536;
    const int on = 1;
    for (;;) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        if (fd >= FLOOR_FDS) {
            fail("floor: too many connections");
        }
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.fd = fd}};
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)); // as the port's
        if (epoll_ctl(floor_poll, EPOLL_CTL_ADD, fd, &event) < 0) {
            fail("floor: epoll_ctl");
        }
    }
}

static void floor_run(int listener) {
    struct epoll_event events[256];
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = listener}};
    floor_poll = epoll_create1(0);
    if (floor_poll < 0 || epoll_ctl(floor_poll, EPOLL_CTL_ADD, listener, &event) < 0) {
        fail("floor: epoll");
    }
    for (;;) {
        const int count = epoll_wait(floor_poll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                floor_accept(listener);
                continue;
            }
            if ((events[i].events & EPOLLOUT) && peers[fd].rest_len > 0) {
                floor_flush(fd);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                floor_read(fd);
            }
        }
    }
}

// -- servers --------------------------------------------------------------------------------------

typedef struct server {
    pid_t pid;
    int port;
    clockid_t clock; // of its CPU time
} server;

static server servers[3];
static int server_count;

static void kill_servers(void) {
    for (int i = 0; i < server_count; i++) {
        (void)kill(servers[i].pid, SIGKILL);
    }
}

static void child_begin(void) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // no server outlives its client
    (void)pin(0);
}

static server *started(pid_t pid, int port) {
    server *s = &servers[server_count++];
    s->pid = pid;
    s->port = port;
    const int error = clock_getcpuclockid(pid, &s->clock);
    if (error) {
        errno = error;
        fail("clock of a server");
    }
    return s;
}

static server *floor_start(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0) {
        fail("floor: listen");
    }
    const pid_t pid = fork();
    if (pid < 0) {
        fail("fork");
    }
    if (pid == 0) {
        child_begin();
        server_count = 0; // they are not this process's to end
        floor_run(fd);
    }
    close(fd);
    return started(pid, ntohs(at.sin_port));
}

// Starts an example on a free port, which it prints: "listening on http://127.0.0.1:40123".
static server *example_start(const char *path) {
    int out[2];
    char line[200] = "";
    size_t len = 0;
    if (pipe(out) < 0) {
        fail("pipe");
    }
    const pid_t pid = fork();
    if (pid < 0) {
        fail("fork");
    }
    if (pid == 0) {
        child_begin();
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(out[0]);
        (void)close(out[1]);
        (void)execl(path, path, "--port", "0", "--conns", "1100", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    while (len < sizeof(line) - 1 && strchr(line, '\n') == NULL) {
        const ssize_t n = read(out[0], line + len, sizeof(line) - 1 - len);
        if (n <= 0) {
            errno = 0;
            fprintf(stderr, "load: %s\n", path);
            fail("did not start");
        }
        len += (size_t)n;
        line[len] = '\0';
    }
    close(out[0]);
    const char *colon = strrchr(line, ':');
    return started(pid, colon ? atoi(colon + 1) : 0);
}

// -- client ---------------------------------------------------------------------------------------

typedef struct conn {
    int fd;
    frame_reader frames;
    uint32_t base;   // stamp of its first message
    uint32_t sent;   // messages given to the kernel whole
    size_t part;     // bytes of the batch sent
    uint32_t goal;   // messages of the batch under way and all before
    int idle;        // its batch is answered and the slice over
    size_t received; // fan-out: bytes of the burst
} conn;

// One server's connections: two of these are driven in turns.
typedef struct side {
    server *srv;
    conn conns[CONNS_MAX];
    int count;
    int poll;
    int publisher;
    int sse;
    uint32_t published;
    frame_reader reference_frames; // the first reader is read, the others are compared with it
    sse_reader reference_events;
    double cpu_us[SLICES_MAX];  // a message
    double rate_k[SLICES_MAX];  // thousand messages a second
} side;

static side sides[2]; // the server, the floor
static pattern sample;
static uint8_t sample_bytes[16384];
static uint8_t batch[16 * (16384 + FRAME_HEAD_MAX)];
static size_t frame_len;
static uint8_t in[BUFFER];
static uint8_t burst_bytes[BUFFER];
static double slice_s = 0.25;
static int slices = 5;
static const char *only = "";

static int client_connect(const server *s) {
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int segment = SEGMENT;
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
        fail("connect");
    }
    return fd;
}

static void send_all(int fd, const void *data, size_t len) {
    for (size_t at = 0; at < len;) {
        const ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            fail("send");
        }
        at += (size_t)n;
    }
}

// Sends a request, reads its head and, of an event stream, the first block; nothing is published
// yet, so nothing follows. Leaves the sequence number of the stream's first id in *seq.
static int client_open(const server *s, const char *path, int sse, uint32_t *seq) {
    char text[400];
    char answer[1024];
    size_t len = 0;
    int whole = 0;
    const int fd = client_connect(s);
    const int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path,
                           sse ? ""
                               : "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    send_all(fd, text, (size_t)n);
    while (!whole) {
        const ssize_t got = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
        if (got <= 0) {
            fail("handshake");
        }
        len += (size_t)got;
        answer[len] = '\0';
        whole = strcmp(answer + len - (sse ? 2 : 4), sse ? "\n\n" : "\r\n\r\n") == 0;
    }
    const char *id = strstr(answer, "\nid: ");
    errno = 0;
    if (strncmp(answer + 9, sse ? "200" : "101", 3) != 0 || (sse && id == NULL)) {
        fprintf(stderr, "%s", answer);
        fail("handshake: unexpected answer");
    }
    *seq = id ? (uint32_t)strtoul(id + 5 + 9, NULL, 16) : 0;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        fail("fcntl");
    }
    return fd;
}

static void side_open(side *w, server *s, const char *path, int count, int sse) {
    uint32_t seq = 0;
    memset(w, 0, sizeof(*w));
    w->srv = s;
    w->count = count;
    w->sse = sse;
    w->publisher = -1;
    w->poll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        conn *c = &w->conns[i];
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = c}};
        c->fd = client_open(s, path, sse, &seq);
        c->base = (uint32_t)i << 20;
        c->frames.stamp = c->base;
        if (epoll_ctl(w->poll, EPOLL_CTL_ADD, c->fd, &event) < 0) {
            fail("epoll_ctl");
        }
    }
    w->reference_events.seq = seq;
}

static void side_close(side *w) {
    for (int i = 0; i < w->count; i++) {
        close(w->conns[i].fd);
    }
    if (w->publisher >= 0) {
        close(w->publisher);
    }
    close(w->poll);
}

// Waits for events; a server that is silent for long is broken.
static int wait_events(const side *w, struct epoll_event *events, int max) {
    const int count = epoll_wait(w->poll, events, max, STALL_MS);
    if (count == 0 || (count < 0 && errno != EINTR)) {
        errno = 0;
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
    }
}

static void echo_receive(conn *c) {
    for (;;) {
        const ssize_t n = recv(c->fd, in, sizeof(in), 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        errno = n == 0 ? 0 : errno;
        if (n <= 0) {
            fail("connection lost");
        }
        if (frame_read(&c->frames, &sample, in, (size_t)n) < 0) {
            errno = 0;
            fail("echo: wrong bytes");
        }
        if (n < (ssize_t)sizeof(in)) {
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

// -- fan-out --------------------------------------------------------------------------------------

// The first reader's bytes are checked by their meaning and become the reference for the others.
static size_t burst_reference(side *w) {
    size_t len = 0;
    const uint32_t goal = w->published;
    struct pollfd readable = {.fd = w->conns[0].fd, .events = POLLIN};
    while ((w->sse ? w->reference_events.wholes : w->reference_frames.wholes) < goal) {
        if (poll(&readable, 1, STALL_MS) <= 0) {
            errno = 0;
            fail("no delivery");
        }
        const ssize_t n = recv(w->conns[0].fd, burst_bytes + len, sizeof(burst_bytes) - len, 0);
        errno = 0;
        if (n <= 0) {
            fail("reader lost");
        }
        const int bad = w->sse
                            ? sse_read(&w->reference_events, &sample, burst_bytes + len, (size_t)n)
                            : frame_read(&w->reference_frames, &sample, burst_bytes + len,
                                         (size_t)n);
        if (bad) {
            fail("delivery: wrong bytes");
        }
        len += (size_t)n;
    }
    return len;
}

static int burst_receive(conn *c, size_t len) {
    const ssize_t n = recv(c->fd, in, sizeof(in), 0);
    if (n < 0 && errno == EAGAIN) {
        return 0;
    }
    errno = 0;
    if (n <= 0) {
        fail("reader lost");
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
        send_all(w->publisher, batch, (size_t)burst * frame_len);
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

static double median(const double *values, int count) {
    double sorted[SLICES_MAX];
    memcpy(sorted, values, (size_t)count * sizeof(double));
    qsort(sorted, (size_t)count, sizeof(double), ascending);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

// Slices of the server and of the floor in turns, so that a noisy machine is noisy for both.
static void measure(const char *title, uint64_t (*slice)(side *, int), int depth) {
    double ratio[SLICES_MAX];
    for (int i = -1; i < slices; i++) { // the first is for warming up
        for (int k = 0; k < 2; k++) {
            side *w = &sides[k];
            const double cpu = now_s(w->srv->clock);
            const double began = now_s(CLOCK_MONOTONIC);
            const double messages = (double)slice(w, depth);
            if (i >= 0) {
                w->cpu_us[i] = (now_s(w->srv->clock) - cpu) * 1e6 / messages;
                w->rate_k[i] = messages / (now_s(CLOCK_MONOTONIC) - began) / 1e3;
            }
        }
        if (i >= 0) {
            ratio[i] = sides[0].cpu_us[i] / sides[1].cpu_us[i];
        }
    }
    printf("%-44s %8.2f %8.2f %8.2f %9.0f %9.0f\n", title, median(sides[0].cpu_us, slices),
           median(sides[1].cpu_us, slices), median(ratio, slices), median(sides[0].rate_k, slices),
           median(sides[1].rate_k, slices));
    fflush(stdout);
}

static void print_head(const char *what) {
    printf("%-44s %8s %8s %8s %9s %9s\n", what, "us", "floor us", "ratio", "k/s", "floor k/s");
}

static const char *size_text(size_t len) {
    return len == 20 ? "20 B" : len == 64 ? "64 B" : len == 1024 ? "1 KiB" : "16 KiB";
}

static void echo_all(server *echo, server *bottom) {
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
    char title[80];
    print_head("Echo: server CPU a message");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)snprintf(title, sizeof(title), "%s%s, %d connections, %d in flight",
                       size_text(rows[i].len), rows[i].opcode == FRAME_TEXT ? " text" : "",
                       rows[i].conns, rows[i].depth);
        if (strstr(title, only) == NULL) {
            continue;
        }
        sample_set(rows[i].len, rows[i].opcode);
        side_open(&sides[0], echo, "/", rows[i].conns, 0);
        side_open(&sides[1], bottom, "/", rows[i].conns, 0);
        measure(title, echo_slice, rows[i].depth);
        side_close(&sides[0]);
        side_close(&sides[1]);
    }
}

static void push_all(server *hub, server *bottom) {
    char title[80];
    print_head("Fan-out to 1000: server CPU a delivery");
    for (int row = 0; row < 8; row++) {
        const int sse = row >= 4;
        const size_t len = row / 2 % 2 ? 1024 : 64;
        const int burst = row % 2 ? 16 : 1;
        uint32_t seq = 0;
        (void)snprintf(title, sizeof(title), "%s %s, bursts of %d", sse ? "SSE" : "WebSocket",
                       size_text(len), burst);
        if (strstr(title, only) == NULL) {
            continue;
        }
        sample_set(len, FRAME_TEXT);
        for (int k = 0; k < 2; k++) {
            server *s = k == 0 ? hub : bottom;
            side_open(&sides[k], s, sse ? "/events?topics=a" : "/ws?topics=a", CONNS_MAX, sse);
            // It subscribes to a topic on which nothing is published.
            sides[k].publisher = client_open(s, "/ws?topics=b&publish=a", 0, &seq);
            if (fcntl(sides[k].publisher, F_SETFL, 0) < 0) {
                fail("fcntl");
            }
        }
        measure(title, push_slice, burst);
        side_close(&sides[0]);
        side_close(&sides[1]);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fputs("usage: load ECHO HUB [SLICE_MS [SLICES [WORD]]]\n", stderr);
        return EXIT_FAILURE;
    }
    slice_s = argc > 3 ? atof(argv[3]) / 1e3 : slice_s;
    slices = argc > 4 ? atoi(argv[4]) : slices;
    only = argc > 5 ? argv[5] : only;
    if (slice_s <= 0 || slices < 1 || slices > SLICES_MAX) {
        fputs("load: SLICE_MS above 0, SLICES from 1 to 15\n", stderr);
        return EXIT_FAILURE;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 4096) {
        files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)atexit(kill_servers);
    server *echo = example_start(argv[1]);
    server *hub = example_start(argv[2]);
    server *bottom = floor_start();
    printf("Client on processor %d, servers on the first; medians of %d slices of %.0f ms\n",
           pin(1), slices, slice_s * 1e3);
    echo_all(echo, bottom);
    printf("\n");
    push_all(hub, bottom);
    return EXIT_SUCCESS;
}
