// Instructions a message: the core and the POSIX port over sockets that exist only here, so that
// nothing but user space is left, the same at each run. bench.sh runs it under callgrind, twice
// with different numbers of rounds: the difference is what the rounds cost, without start and
// handshakes.
//
// Usage: instructions SCENARIO ROUNDS     prints the number of messages, deliveries or requests
//        instructions --list              prints the scenarios: name, tab, what is counted
//
// The functions fake_* stand for system calls. bench.sh turns collection off inside them, and on
// in measured_*. They check every byte, which costs nothing that is counted.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // accept4, as the examples have it
#endif

#include "rtpush.h" // bench.sh compiles the core apart: its functions are told from these

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

#define NOINLINE __attribute__((noinline))

// -- sockets --------------------------------------------------------------------------------------

enum { CONNS_MAX = 128, LISTENER_FD = 900, POLLER_FD, WAKE_FD, FIRST_FD = 1000, INPUT_MAX = 65536 };
enum { SKIP_HEAD, FRAMES, EVENTS, ANSWERS }; // fake_socket.expect

typedef struct fake_socket {
    const uint8_t *in; // bytes to be received
    size_t in_len;
    uint32_t id;  // of epoll
    int8_t ended; // the peer has sent FIN
    int8_t news;  // epoll has something to tell
    int8_t open;
    uint8_t expect;
    uint8_t blocks;    // SKIP_HEAD: blank lines still to come
    uint8_t newlines;  // SKIP_HEAD: LFs in a row, CR aside
    uint8_t then;      // SKIP_HEAD: what follows it
    uint32_t answers;  // ANSWERS: complete ones
    size_t answer_len; // ANSWERS: bytes of the one under way
    frame_reader frames;
    sse_reader events;
} fake_socket;

static fake_socket sockets[CONNS_MAX];
static uint32_t socket_count;
static uint32_t accepted;  // sockets the server has taken
static uint32_t listen_id; // of epoll
static int listen_news;
static pattern sample; // what is sent and expected back
static char answer[8192]; // to the first request; all others are the same
static int answer_known;
static int broken;

static fake_socket *socket_of(int fd) {
    return &sockets[fd - FIRST_FD];
}

// Passes an answer's head (and the notice an event stream begins with). Returns bytes used.
static size_t skip_head(fake_socket *s, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\r') {
            s->newlines = (uint8_t)(data[i] == '\n' ? s->newlines + 1 : 0);
        }
        if (s->newlines == 2) {
            s->newlines = 0;
            if (--s->blocks == 0) {
                s->expect = s->then;
                return i + 1;
            }
        }
    }
    return len;
}

static void check_answer(fake_socket *s, const uint8_t *data, size_t len) {
    const size_t whole = strlen(answer);
    if (!answer_known && s == &sockets[0]) {
        broken |= whole + len >= sizeof(answer);
        strncat(answer, (const char *)data, broken ? 0 : len);
        s->answers = 1;
        return;
    }
    while (!broken && len > 0) {
        const size_t n = whole - s->answer_len < len ? whole - s->answer_len : len;
        broken |= memcmp(data, answer + s->answer_len, n) != 0;
        data += n;
        len -= n;
        s->answer_len += n;
        if (s->answer_len == whole) {
            s->answer_len = 0;
            s->answers++;
        }
    }
}

static void take(fake_socket *s, const uint8_t *data, size_t len) {
    const size_t used = s->expect == SKIP_HEAD ? skip_head(s, data, len) : 0;
    data += used;
    len -= used;
    if (len > 0 && s->expect == FRAMES) {
        broken |= frame_read(&s->frames, &sample, data, len) < 0;
    } else if (len > 0 && s->expect == EVENTS) {
        broken |= sse_read(&s->events, &sample, data, len) < 0;
    } else if (len > 0 && s->expect == ANSWERS) {
        check_answer(s, data, len);
    }
}

static NOINLINE ssize_t fake_recv(int fd, void *out, size_t cap, int flags) {
    fake_socket *s = socket_of(fd);
    const size_t n = s->in_len < cap ? s->in_len : cap;
    if (n == 0 && !s->ended) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(out, s->in, n);
    if (!(flags & MSG_PEEK)) {
        s->in += n;
        s->in_len -= n;
    }
    return (ssize_t)n;
}

static NOINLINE ssize_t fake_send(int fd, const void *data, size_t len) {
    take(socket_of(fd), (const uint8_t *)data, len);
    return (ssize_t)len;
}

static NOINLINE ssize_t fake_sendmsg(int fd, const struct msghdr *msg) {
    ssize_t sum = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        take(socket_of(fd), (const uint8_t *)msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
        sum += (ssize_t)msg->msg_iov[i].iov_len;
    }
    return sum;
}

static NOINLINE int fake_epoll_ctl(int fd, const struct epoll_event *event) {
    if (fd == LISTENER_FD) {
        listen_id = event->data.u32;
    } else if (fd >= FIRST_FD) {
        socket_of(fd)->id = event->data.u32;
        socket_of(fd)->news = 1;
    }
    return 0;
}

static NOINLINE int fake_epoll_wait(struct epoll_event *events, int max) {
    int count = 0;
    if (listen_news) {
        listen_news = 0;
        events[count].events = EPOLLIN;
        events[count++].data.u32 = listen_id;
    }
    for (uint32_t i = 0; i < socket_count && count < max; i++) {
        fake_socket *s = &sockets[i];
        if (s->open && s->news) {
            const uint32_t in = s->in_len > 0 || s->ended ? EPOLLIN : 0u;
            events[count].events = EPOLLOUT | in | (s->ended ? EPOLLRDHUP : 0u);
            events[count++].data.u32 = s->id;
            s->news = 0;
        }
    }
    return count;
}

static NOINLINE int fake_accept(struct sockaddr *from) {
    if (accepted == socket_count) {
        errno = EAGAIN;
        return -1;
    }
    from->sa_family = AF_INET;
    sockets[accepted].open = 1;
    return FIRST_FD + (int)accepted++;
}

static NOINLINE int fake_close(int fd) {
    if (fd >= FIRST_FD) {
        socket_of(fd)->open = 0;
    }
    return 0;
}

static NOINLINE int fake_fd(int fd) {
    return fd;
}

// Stands still: no keep-alive or ping falls into what is measured.
static NOINLINE int fake_clock(struct timespec *now) {
    now->tv_sec = 1000;
    now->tv_nsec = 0;
    return 0;
}

static NOINLINE ssize_t fake_read(void) {
    errno = EAGAIN;
    return -1;
}

// From here on the port calls these.
#define accept4(fd, from, len, flags) ((void)(fd), (void)(len), fake_accept(from))
#define bind(fd, at, len) ((void)(at), (void)(len), fake_fd(fd) < 0 ? -1 : 0)
#define clock_gettime(which, now) fake_clock(now)
#define close(fd) fake_close(fd)
#define epoll_create1(flags) fake_fd(POLLER_FD)
#define epoll_ctl(poller, what, fd, event) ((void)(poller), fake_epoll_ctl(fd, event))
#define epoll_wait(poller, events, max, wait_ms) \
    ((void)(poller), (void)(wait_ms), fake_epoll_wait(events, max))
#define eventfd(value, flags) fake_fd(WAKE_FD)
#define fcntl(fd, ...) (fake_fd(fd) < 0 ? -1 : 0)
#define getsockname(fd, at, len) (memset(at, 0, *(len)), fake_fd(fd) < 0 ? -1 : 0)
#define listen(fd, backlog) (fake_fd(fd) < 0 ? -1 : 0)
#define read(fd, data, len) ((void)(fd), (void)(data), fake_read())
#define recv(fd, data, len, flags) fake_recv(fd, data, len, flags)
#define send(fd, data, len, flags) fake_send(fd, data, len)
#define sendmsg(fd, message, flags) fake_sendmsg(fd, message)
#define setsockopt(fd, level, name, value, len) \
    ((void)(level), (void)(name), (void)(value), fake_fd(fd))
#define shutdown(fd, how) fake_fd(fd)
#define socket(family, type, protocol) fake_fd(LISTENER_FD)
#define write(fd, data, len) ((void)(fd), (void)(data), (ssize_t)(len))

#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"

// -- server ---------------------------------------------------------------------------------------

// As examples/echo has it, and a log for the hub's part; or buffers that hold 16 KiB messages.
enum { SLOTS = CONNS_MAX + 2, RX = 1280, TX = 2800, LOG = 1 << 20, STATE_MAX = 256 };
enum { WHOLE = 16384 + 256, FILE_LEN = 4096 };

static uint64_t memory[RTPUSH_WORDS(SLOTS, WHOLE, WHOLE, LOG, 2, STATE_MAX)];
static uint64_t port_memory[RTPUSH_POSIX_WORDS(SLOTS)];
static rtpush_server srv;
static rtpush_posix port;

static int on_message(rtpush_server *server, rtpush_handle conn, const rtpush_message *msg) {
    int result = 0;
    if (msg->first && msg->last) {
        result = rtpush_send(server, conn, msg->opcode, msg->data, msg->len);
    } else {
        result =
            rtpush_send_part(server, conn, msg->opcode, msg->data, msg->len, msg->first, msg->last);
    }
    return result == RTPUSH_ERR_WOULD_BLOCK ? RTPUSH_RETRY : RTPUSH_OK;
}

static void on_request(rtpush_server *server, const rtpush_request *req) {
    rtpush_reply_text(server, req->conn, 200, "ok\n");
}

static char file_bytes[FILE_LEN + 1]; // text, so that strlen tells an answer's length
static const rtpush_asset file = {
    .content_type = "text/plain", .data = file_bytes, .len = FILE_LEN, .etag = "1"};
static const rtpush_topic topics[] = {{.name = "a", .kind = &rtpush_topic_event},
                                      {.name = "s", .kind = &rtpush_topic_state, .max = STATE_MAX}};
static rtpush_route routes[] = {
    {.path = "/", .kind = &rtpush_websocket, .flags = RTPUSH_STREAM_MESSAGES, .topics = 1,
     .on_message = on_message},
    {.path = "/events", .kind = &rtpush_events, .topics = 1},
    {.path = "/healthz", .kind = &rtpush_handler, .on_request = on_request},
    {.path = "/file", .kind = &rtpush_file, .asset = &file},
};

static int start(uint32_t rx_size, uint32_t tx_size) {
    const rtpush_desc desc = {.routes = routes,
                              .route_count = sizeof(routes) / sizeof(routes[0]),
                              .topics = topics,
                              .topic_count = sizeof(topics) / sizeof(topics[0]),
                              .memory = memory,
                              .memory_size = sizeof(memory),
                              .conn_count = SLOTS,
                              .rx_size = rx_size,
                              .tx_size = tx_size,
                              .log_size = LOG,
                              .epoch = 0x1234ABCD,
                              .max_streams = SLOTS - 1,
                              .rate_messages = RTPUSH_UNLIMITED,
                              .rate_bytes = RTPUSH_UNLIMITED};
    const rtpush_posix_desc port_desc = {.memory = port_memory,
                                         .memory_size = sizeof(port_memory)};
    routes[0].piece = tx_size == WHOLE ? 16384 : 0; // whole, from the port's buffer
    if (rtpush_init(&srv, &desc) < 0) {
        fprintf(stderr, "instructions: %s\n", rtpush_config_error(&srv));
        return -1;
    }
    return rtpush_posix_init(&port, &port_desc) < 0 ||
                   rtpush_posix_listen(&port, &srv, "127.0.0.1", 80, 0) < 0 ? -1 : 0;
}

// -- what is measured -----------------------------------------------------------------------------

// callgrind counts what runs inside these.
static NOINLINE int measured_turn(void) {
    const int wait_ms = rtpush_posix_step(&port, 0);
    return wait_ms < 0;
}

static NOINLINE int measured_publish(const uint8_t *data, size_t len) {
    const int result = rtpush_publish(&srv, 0, data, len);
    return result < 0;
}

static NOINLINE int measured_publish_from(const uint8_t *data, size_t len) {
    const int result = rtpush_publish_from(&srv, 0, data, len);
    return result < 0;
}

// -- scenarios ------------------------------------------------------------------------------------

// What Chrome sends for new WebSocket(): 496 bytes, most of them of no interest here.
static const char chrome_head[] =
    "GET / HTTP/1.1\r\n"
    "Host: 127.0.0.1:9001\r\n"
    "Connection: Upgrade\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36\r\n"
    "Upgrade: websocket\r\n"
    "Origin: http://127.0.0.1:9001\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    "\r\n";
// The least a WebSocket client sends.
static const char short_head[] =
    "GET / HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\n"
    "Connection: Upgrade\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char events_head[] = "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
static const char plain_head[] =
    "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nUser-Agent: curl/7.88.1\r\n"
    "Accept: */*\r\n\r\n";
static const char file_head[] =
    "GET /file HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nUser-Agent: curl/7.88.1\r\n"
    "Accept: */*\r\n\r\n";

typedef struct scenario {
    const char *name;
    const char *title;
    void (*run)(const struct scenario *sc, uint32_t rounds);
    const char *head;
    size_t len;   // of a message
    int opcode;
    int wide;     // text beyond ASCII
    uint32_t conns;
    uint32_t burst; // messages in flight, or published at once
    uint32_t rx;
    uint32_t tx;
} scenario;

static uint8_t pattern_bytes[INPUT_MAX];
static uint8_t input[INPUT_MAX];
static uint64_t counted;

static void give(uint32_t i, const void *data, size_t len) {
    sockets[i].in = (const uint8_t *)data;
    sockets[i].in_len = len;
    sockets[i].news = 1;
}

static void turn(void) {
    broken |= measured_turn();
}

// Until the server has taken and answered everything.
static void turns(void) {
    int busy = 1;
    for (int i = 0; busy && i < 1000; i++) {
        turn();
        busy = listen_news;
        for (uint32_t k = 0; k < socket_count; k++) {
            busy |= sockets[k].open && (sockets[k].in_len > 0 || sockets[k].news);
        }
    }
    broken |= busy;
}

static void connect_all(const scenario *sc) {
    const int sse = sc->head == events_head;
    sample.data = pattern_bytes;
    sample.len = sc->len;
    sample.opcode = sc->opcode;
    pattern_fill(pattern_bytes, sc->len, sc->opcode, sc->wide);
    socket_count = sc->conns;
    listen_news = 1;
    for (uint32_t i = 0; i < sc->conns; i++) {
        sockets[i].expect = sc->head == plain_head || sc->head == file_head ? ANSWERS : SKIP_HEAD;
        sockets[i].then = sse ? EVENTS : FRAMES;
        sockets[i].blocks = sse ? 2 : 1; // the head, and the notice
        sockets[i].in = (const uint8_t *)sc->head;
        sockets[i].in_len = strlen(sc->head);
    }
    turns();
}

static void run_echo(const scenario *sc, uint32_t rounds) {
    connect_all(sc);
    for (uint32_t round = 0; round < rounds; round++) {
        size_t len = 0;
        for (uint32_t i = 0; i < sc->burst; i++) {
            len += frame_write(input + len, &sample, round * sc->burst + i, frame_mask);
        }
        for (uint32_t i = 0; i < sc->conns; i++) {
            give(i, input, len);
        }
        turns();
    }
    for (uint32_t i = 0; i < sc->conns; i++) {
        broken |= sockets[i].frames.wholes != rounds * sc->burst;
        counted += sockets[i].frames.wholes;
    }
}

static void run_push(const scenario *sc, uint32_t rounds) {
    connect_all(sc);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < sc->burst; i++) {
            frame_stamp(pattern_bytes, NULL, round * sc->burst + i);
            broken |= measured_publish(pattern_bytes, sc->len);
        }
        turn();
    }
    for (uint32_t i = 0; i < sc->conns; i++) {
        const fake_socket *s = &sockets[i];
        const uint32_t wholes = s->expect == EVENTS ? s->events.wholes : s->frames.wholes;
        broken |= wholes != rounds * sc->burst;
        counted += wholes;
    }
}

enum { PUBLISHED = 64 }; // a turn

static void no_lock(void *ctx) {
    (void)ctx;
}

static void no_drop(void *ctx, rtpush_conn *conn, void *at, int reset) {
    (void)ctx;
    (void)conn;
    (void)at;
    (void)reset;
}

static void run_publish(const scenario *sc, uint32_t rounds) {
    if (!sc->burst) { // without the hooks rtpush_publish_from is refused
        rtpush_hooks hooks;
        memset(&hooks, 0, sizeof(hooks));
        hooks.drop = no_drop;
        hooks.lock = no_lock;
        hooks.unlock = no_lock;
        broken |= rtpush_attach(&srv, &hooks) != RTPUSH_OK;
    }
    connect_all(sc);
    for (uint32_t round = 0; round < rounds; round++) {
        for (int i = 0; i < PUBLISHED; i++) {
            broken |= sc->burst ? measured_publish(pattern_bytes, sc->len)
                                : measured_publish_from(pattern_bytes, sc->len);
        }
        turn();
    }
    counted = (uint64_t)rounds * PUBLISHED;
}

// A browser's upgrade on a new connection, which then goes away.
static void run_upgrade(const scenario *sc, uint32_t rounds) {
    for (uint32_t round = 0; round < rounds; round++) {
        memset(sockets, 0, sizeof(sockets));
        accepted = 0;
        connect_all(sc);
        for (uint32_t i = 0; i < sc->conns; i++) {
            broken |= sockets[i].expect != FRAMES || !sockets[i].open;
            sockets[i].ended = 1;
            sockets[i].news = 1;
        }
        turns();
        for (uint32_t i = 0; i < sc->conns; i++) {
            broken |= sockets[i].open;
        }
        counted += sc->conns;
    }
}

// One request after the other on connections that are kept.
static void run_request(const scenario *sc, uint32_t rounds) {
    connect_all(sc);
    answer_known = 1;
    const char *body = strstr(answer, "\r\n\r\n");
    broken |= strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) != 0 || body == NULL ||
              strcmp(body + 4, sc->head == file_head ? file_bytes : "ok\n") != 0;
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < sc->conns; i++) {
            give(i, sc->head, strlen(sc->head));
        }
        turns();
    }
    for (uint32_t i = 0; i < sc->conns; i++) {
        broken |= sockets[i].answers != rounds + 1 || sockets[i].answer_len != 0;
        counted += sockets[i].answers;
    }
}

#define ECHO(name, title, len, opcode, wide, burst, rx, tx) \
    { name, title, run_echo, chrome_head, len, opcode, wide, 16, burst, rx, tx }
#define PUSH(name, title, head, len, readers, burst) \
    { name, title, run_push, head, len, FRAME_TEXT, 0, readers, burst, RX, TX }
#define REST(name, title, run, head, conns, burst) \
    { name, title, run, head, 64, FRAME_TEXT, 0, conns, burst, RX, TX }

static const scenario scenarios[] = {
    ECHO("echo-20", "echo 20 B", 20, FRAME_BINARY, 0, 1, RX, TX),
    ECHO("echo-20-16", "echo 20 B, 16 in flight", 20, FRAME_BINARY, 0, 16, RX, TX),
    ECHO("echo-1k", "echo 1 KiB", 1024, FRAME_BINARY, 0, 1, RX, TX),
    ECHO("echo-1k-16", "echo 1 KiB, 16 in flight", 1024, FRAME_BINARY, 0, 16, RX, TX),
    ECHO("echo-1k-text", "echo 1 KiB text, ASCII", 1024, FRAME_TEXT, 0, 1, RX, TX),
    ECHO("echo-1k-wide", "echo 1 KiB text, Cyrillic", 1024, FRAME_TEXT, 1, 1, RX, TX),
    ECHO("echo-16k", "echo 16 KiB, in pieces", 16384, FRAME_BINARY, 0, 1, RX, TX),
    ECHO("echo-16k-tx", "echo 16 KiB, tx holds it", 16384, FRAME_BINARY, 0, 1, RX, WHOLE),
    ECHO("echo-16k-rx-tx", "echo 16 KiB, rx and tx hold it", 16384, FRAME_BINARY, 0, 1, WHOLE,
         WHOLE),
    PUSH("ws-1", "WebSocket 64 B, single", chrome_head, 64, 100, 1),
    PUSH("ws-16", "WebSocket 64 B, bursts of 16", chrome_head, 64, 100, 16),
    PUSH("ws-1k-16", "WebSocket 1 KiB, bursts of 16", chrome_head, 1024, 100, 16),
    PUSH("ws-1-alone", "WebSocket 64 B, single, 1 reader", chrome_head, 64, 1, 1),
    PUSH("ws-16-alone", "WebSocket 64 B, bursts of 16, 1 reader", chrome_head, 64, 1, 16),
    PUSH("sse-1", "SSE 64 B, single", events_head, 64, 100, 1),
    PUSH("sse-16", "SSE 64 B, bursts of 16", events_head, 64, 100, 16),
    PUSH("sse-1k-16", "SSE 1 KiB, bursts of 16", events_head, 1024, 100, 16),
    PUSH("sse-1-alone", "SSE 64 B, single, 1 reader", events_head, 64, 1, 1),
    PUSH("sse-16-alone", "SSE 64 B, bursts of 16, 1 reader", events_head, 64, 1, 16),
    REST("publish", "publish 64 B", run_publish, events_head, 0, 1),
    REST("publish-from", "publish_from 64 B", run_publish, events_head, 0, 0),
    REST("file", "GET of a 4 KiB file, connection kept", run_request, file_head, 16, 1),
    REST("get", "GET with a handler, connection kept", run_request, plain_head, 16, 1),
    REST("upgrade", "accept, upgrade, close", run_upgrade, short_head, 16, 1),
    REST("upgrade-chrome", "accept, Chrome's upgrade, close", run_upgrade, chrome_head, 16, 1),
};
enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < SCENARIOS; i++) {
            printf("%s\t%s\n", scenarios[i].name, scenarios[i].title);
        }
        return EXIT_SUCCESS;
    }
    for (int i = 0; argc == 3 && i < SCENARIOS; i++) {
        if (strcmp(argv[1], scenarios[i].name) != 0) {
            continue;
        }
        memset(file_bytes, 'x', FILE_LEN);
        if (start(scenarios[i].rx, scenarios[i].tx) < 0) {
            return EXIT_FAILURE;
        }
        scenarios[i].run(&scenarios[i], (uint32_t)strtoul(argv[2], NULL, 10));
        if (broken) {
            fprintf(stderr, "instructions: %s: wrong bytes, or too few\n", argv[1]);
            return EXIT_FAILURE;
        }
        printf("%llu\n", (unsigned long long)counted);
        return EXIT_SUCCESS;
    }
    fputs("usage: instructions SCENARIO ROUNDS | --list\n", stderr);
    return EXIT_FAILURE;
}
