// faults.c - each system call of ports/rtpush_posix.h fails in turn, and what the port promises
// holds: an error with its errno and no descriptor lost, or the others are still served. Client and
// server alternate in one thread. Built with epoll, with poll, with a pipe as waker and without
// accept4 (run.sh). The last line is `N passed, N failed`.

#ifndef FAULTS_POSIX_2008
#define _GNU_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifndef T_LINKED // run.sh links the core as an object to all forms
#define RTPUSH_IMPLEMENTATION
#endif
#include "rtpush.h"

enum { CONNS = 4, RX = 512, TX = 512, LOG = 8192, BUFFER = 1024, BIG = 600000 };

#include "../faults.h"

// -- the system calls ----------------------------------------------------------------------------

static int odd_fd = -1;     // a socket that takes odd_room bytes more and sends nothing
static long odd_room;
static int always_short;    // 1: send takes one byte at a time
static int waited_ms;       // what the loop was last willing to wait
static int no_clock;        // 1: it stands, but for clock_ahead_ms
static uint32_t clock_ahead_ms; // of the system's
static struct rlimit files; // the limit that getrlimit and setrlimit work on

// What a kernel with odd_room bytes of room takes of len.
static ssize_t odd_send(size_t len) {
    const size_t room = (size_t)odd_room < len ? (size_t)odd_room : len;
    odd_room -= (long)room;
    errno = EAGAIN;
    return room > 0 ? (ssize_t)room : -1;
}

static ssize_t fault_send(int fd, const void *data, size_t len, int flags) {
    if (fd == odd_fd) {
        return odd_send(len);
    }
    return fault_is_due("send") ? fault_result : send(fd, data, always_short ? 1 : len, flags);
}

static ssize_t fault_sendmsg(int fd, const struct msghdr *message, int flags) {
    size_t sum = 0;
    if (fd != odd_fd) {
        return fault_is_due("sendmsg") ? fault_result : sendmsg(fd, message, flags);
    }
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        sum += message->msg_iov[i].iov_len;
    }
    return odd_send(sum);
}

static int fault_fcntl(int fd, int what, ...) {
    int value;
    va_list list;
    va_start(list, what);
    value = what == F_GETFL ? 0 : va_arg(list, int);
    va_end(list);
    return fault_is_due("fcntl") ? (int)fault_result : fcntl(fd, what, value);
}

static int fault_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) {
    int made = fault_is_due("accept") ? (int)fault_result : accept(fd, from, len);
    if (made >= 0 && (flags & SOCK_NONBLOCK)) {
        fcntl(made, F_SETFL, O_NONBLOCK);
        fcntl(made, F_SETFD, FD_CLOEXEC);
    }
    return made;
}

static int fault_epoll_wait(int poller, struct epoll_event *events, int most, int wait_ms) {
    waited_ms = wait_ms;
    return fault_is_due("wait") ? (int)fault_result : epoll_wait(poller, events, most, wait_ms);
}

static int fault_poll(struct pollfd *entries, nfds_t count, int wait_ms) {
    waited_ms = wait_ms;
    return fault_is_due("wait") ? (int)fault_result : poll(entries, count, wait_ms);
}

static int backlog_seen; // of the last listen

static int fault_listen(int fd, int backlog) {
    backlog_seen = backlog;
    return fault_is_due("listen") ? (int)fault_result : listen(fd, backlog);
}

static int fault_clock_gettime(clockid_t which, struct timespec *now) {
    const int done = clock_gettime(which, now);
    if (no_clock) {
        memset(now, 0, sizeof *now);
    }
    now->tv_nsec += (long)(clock_ahead_ms % 1000u) * 1000000;
    now->tv_sec += clock_ahead_ms / 1000u + now->tv_nsec / 1000000000;
    now->tv_nsec %= 1000000000;
    return done;
}

static int fault_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *how) {
    return fault_is_due("mutex") ? (int)fault_result : pthread_mutex_init(mutex, how);
}

static int fault_getrlimit(int what, struct rlimit *limit) {
    (void)what;
    *limit = files;
    return fault_is_due("getrlimit") ? (int)fault_result : 0;
}

static int fault_setrlimit(int what, const struct rlimit *limit) {
    (void)what;
    if (fault_is_due("setrlimit")) {
        return (int)fault_result;
    }
    files = *limit;
    return 0;
}

FAULT(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))
FAULT(int, socket, (int family, int type, int protocol), (family, type, protocol))
FAULT(int, bind, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
FAULT(int, getsockname, (int fd, struct sockaddr *own, socklen_t *len), (fd, own, len))
FAULT(int, getpeername, (int fd, struct sockaddr *other, socklen_t *len), (fd, other, len))
FAULT(int, epoll_create1, (int flags), (flags))
FAULT(int, epoll_ctl, (int poller, int how, int fd, struct epoll_event *event),
      (poller, how, fd, event))
FAULT(int, eventfd, (unsigned value, int flags), (value, flags))
FAULT(int, pipe, (int ends[2]), (ends))
FAULT(int, ioctl, (int fd, unsigned long what, int *at), (fd, what, at))
FAULT(int, open, (const char *path, int flags), (path, flags))
FAULT(ssize_t, read, (int fd, void *data, size_t len), (fd, data, len))

#define recv(fd, data, len, flags) fault_recv(fd, data, len, flags)
#define send(fd, data, len, flags) fault_send(fd, data, len, flags)
#define sendmsg(fd, message, flags) fault_sendmsg(fd, message, flags)
#define accept(fd, from, len) fault_accept4(fd, from, len, 0)
#define accept4(fd, from, len, flags) fault_accept4(fd, from, len, flags)
#define socket(family, type, protocol) fault_socket(family, type, protocol)
#define bind(fd, at, len) fault_bind(fd, at, len)
#define listen(fd, backlog) fault_listen(fd, backlog)
#define getsockname(fd, own, len) fault_getsockname(fd, own, len)
#define getpeername(fd, other, len) fault_getpeername(fd, other, len)
#define fcntl(...) fault_fcntl(__VA_ARGS__)
#define epoll_create1(flags) fault_epoll_create1(flags)
#define epoll_ctl(poller, how, fd, event) fault_epoll_ctl(poller, how, fd, event)
#define epoll_wait(poller, events, most, ms) fault_epoll_wait(poller, events, most, ms)
#define poll(entries, count, ms) fault_poll(entries, count, ms)
#define eventfd(value, flags) fault_eventfd(value, flags)
#define pipe(ends) fault_pipe(ends)
#define pthread_mutex_init(mutex, how) fault_pthread_mutex_init(mutex, how)
#define ioctl(fd, what, at) fault_ioctl(fd, what, at)
#define open(path, flags) fault_open(path, flags)
#define read(fd, data, len) fault_read(fd, data, len)
#define getrlimit(what, limit) fault_getrlimit(what, limit)
#define setrlimit(what, limit) fault_setrlimit(what, limit)
#define clock_gettime(which, now) fault_clock_gettime(which, now)
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
#undef recv
#undef send
#undef sendmsg
#undef accept
#undef accept4
#undef socket
#undef bind
#undef listen
#undef getsockname
#undef getpeername
#undef fcntl
#undef epoll_create1
#undef epoll_ctl
#undef epoll_wait
#undef poll
#undef eventfd
#undef pipe
#undef pthread_mutex_init
#undef ioctl
#undef open
#undef read
#undef getrlimit
#undef setrlimit
#undef clock_gettime

// -- a server, and clients in the same thread -----------------------------------------------------

static rtpush_server srv;
static rtpush_posix port;
enum { MANY = 8000 };
static uint8_t many[MANY * 26]; // messages of 20 bytes
static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 1, 0)];
static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
static int number; // TCP port

static void on_stop(rtpush_server *server, const rtpush_request *req) {
    rtpush_reply_text(server, req->conn, 200, "stopped");
    rtpush_posix_stop(&port);
}

enum { EVENT = 100 };
static uint8_t event[3 * TX]; // of which EVENT bytes are published as a rule

// Echoes. The second byte asks for so many events.
static int on_message(rtpush_server *server, rtpush_handle conn, const rtpush_message *message) {
    const int result = rtpush_send(server, conn, message->opcode, message->data, message->len);
    for (int i = 0; result == RTPUSH_OK && i < message->data[1]; i++) {
        CHECK(rtpush_publish(server, 0, event, EVENT) == RTPUSH_OK);
    }
    return result;
}

static const rtpush_topic topics[] = {{"log", &rtpush_topic_event, 0, 0}};
static rtpush_route routes[6];

// What on_hello's request came from, as authorize of examples asks.
static char seen_address[RTPUSH_POSIX_ADDRESS_SIZE];
static int authorize(rtpush_server *server, const rtpush_request *req, rtpush_grant *grant) {
    (void)server;
    (void)req;
    (void)grant;
    if (rtpush_posix_address(&port, seen_address) != seen_address) {
        strcpy(seen_address, "none");
    }
    return 0;
}

static void init_server(rtpush_server *server, void *at, size_t size) {
    rtpush_desc desc;
    memset(&desc, 0, sizeof desc);
    memset(routes, 0, sizeof routes);
    routes[0].path = "/big";
    routes[0].kind = &rtpush_handler;
    routes[0].on_request = on_big;
    routes[1].path = "/hello";
    routes[1].kind = &rtpush_handler;
    routes[1].on_request = on_hello;
    routes[2].path = "/later";
    routes[2].kind = &rtpush_handler;
    routes[2].on_request = on_later;
    routes[2].on_close = on_close;
    routes[3].path = "/ws";
    routes[3].kind = &rtpush_websocket;
    routes[3].on_message = on_message;
    routes[3].on_close = on_close;
    routes[4].path = "/events";
    routes[4].kind = &rtpush_events;
    routes[4].on_close = on_close;
    routes[5].path = "/stop";
    routes[5].kind = &rtpush_handler;
    routes[5].on_request = on_stop;
    desc.routes = routes;
    desc.authorize = authorize;
    desc.route_count = 6;
    desc.topics = topics;
    desc.topic_count = 1;
    desc.memory = at;
    desc.memory_size = size;
    desc.conn_count = CONNS;
    desc.rx_size = RX;
    desc.tx_size = TX;
    desc.log_size = LOG;
    desc.epoch = 5;
    desc.rate_messages = RTPUSH_UNLIMITED;
    desc.rate_bytes = RTPUSH_UNLIMITED;
    CHECK(rtpush_init(server, &desc) == RTPUSH_OK);
}

static rtpush_posix_desc port_desc(void) {
    rtpush_posix_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.memory = port_memory;
    desc.memory_size = sizeof port_memory;
    desc.conn_count = CONNS;
    desc.buffer_size = BUFFER;
    return desc;
}

static void begin_with(const rtpush_posix_desc *desc, const char *host) {
    fault("", 0, 0, 0, 0);
    closed = 0;
    memset(event, 'e', sizeof event);
    for (size_t i = 0; i < MANY; i++) {
        many[i * 26] = 0x82;
        many[i * 26 + 1] = 0x80 | 20;
    }
    init_server(&srv, memory, sizeof memory);
    CHECK(rtpush_posix_init(&port, desc) == 0);
    number = rtpush_posix_listen(&port, &srv, host, 0, 0);
    CHECK(number > 0);
}

static void begin(void) {
    const rtpush_posix_desc desc = port_desc();
    begin_with(&desc, NULL);
}

static void end(void) {
    fault("", 0, 0, 0, 0);
    always_short = 0;
    clock_ahead_ms = 0;
    no_clock = 0;
    odd_fd = -1;
    rtpush_posix_close(&port);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0);
}

static void steps(int count) {
    for (int i = 0; i < count; i++) {
        CHECK(rtpush_posix_step(&port, 2) >= 0);
    }
}

static int dial_with(const char *host, int kernel_buffer) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const int six = strchr(host, ':') != NULL;
    const int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    int done;
    if (kernel_buffer > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kernel_buffer, sizeof kernel_buffer);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kernel_buffer, sizeof kernel_buffer);
    }
    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    v4.sin_family = AF_INET;
    v4.sin_port = htons((uint16_t)number);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons((uint16_t)number);
    inet_pton(AF_INET, host, &v4.sin_addr);
    inet_pton(AF_INET6, host, &v6.sin6_addr);
    done = six ? connect(fd, (struct sockaddr *)&v6, sizeof v6)
               : connect(fd, (struct sockaddr *)&v4, sizeof v4);
    CHECK(done == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int dial_to(const char *host) {
    return dial_with(host, 0);
}

static int dial(void) {
    return dial_to("127.0.0.1");
}

// A client whose kernel takes little, so that the server's is full soon.
static int dial_small(void) {
    return dial_with("127.0.0.1", 2048);
}

static void say(int fd, const char *text) {
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

// The kernel has brought what was sent to the other end of it.
static void until(int fd, short events) {
    struct pollfd entry;
    entry.fd = fd;
    entry.events = events;
    CHECK(poll(&entry, 1, 2000) == 1);
}

// Serves and reads until the peer is quiet. Returns the bytes; -1 - bytes at the end, *error how.
static long drain(int fd, char *out, size_t size, int *error) {
    static char sink[65536];
    long total = 0;
    int quiet = 0;
    *error = 0;
    while (quiet < 12) {
        ssize_t got;
        if (rtpush_posix_step(&port, 1) < 0) {
            CHECK(!"the loop failed");
            return total;
        }
        got = recv(fd, sink, sizeof sink, 0);
        if (got > 0) {
            const size_t room = size - 1u > (size_t)total ? size - 1u - (size_t)total : 0;
            memcpy(out + (room ? total : 0), sink, room < (size_t)got ? room : (size_t)got);
            total += got;
            quiet = 0;
        } else if (got == 0 || errno != EAGAIN) {
            *error = got < 0 ? errno : 0;
            out[(size_t)total < size - 1u ? (size_t)total : size - 1u] = '\0';
            return -1 - total;
        } else {
            quiet++;
        }
    }
    out[(size_t)total < size - 1u ? (size_t)total : size - 1u] = '\0';
    return total;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"
static char text[70000];
static int error;

static int says_hello(int fd) {
    say(fd, GET("/hello"));
    drain(fd, text, sizeof text, &error);
    return strstr(text, " 200 ") != NULL && strstr(text, "hello") != NULL;
}

static void upgrade(int fd, const char *more) {
    char head[600];
    snprintf(head, sizeof head,
             "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", more);
    say(fd, head);
    drain(fd, text, sizeof text, &error);
    CHECK(strstr(text, " 101 ") != NULL);
}

// `count` masked messages of `len` bytes, whose second byte is `second`.
static void send_messages(int fd, int count, int len, int second) {
    uint8_t frame[200];
    memset(frame, 0, sizeof frame);
    frame[0] = 0x82;
    frame[1] = (uint8_t)(0x80 | len);
    frame[7] = (uint8_t)second;
    for (int i = 0; i < count; i++) {
        CHECK(send(fd, frame, (size_t)len + 6u, MSG_NOSIGNAL) == len + 6);
    }
}

static void send_frames(int fd, int count, int len) {
    send_messages(fd, count, len, 0);
}

// Sends of many messages what the kernels take, from *at on.
static void pour(int fd, size_t *at) {
    ssize_t n;
    do {
        n = send(fd, many + *at, sizeof many - *at, MSG_NOSIGNAL);
        *at += n > 0 ? (size_t)n : 0;
    } while (n > 0 && *at < sizeof many);
}

// -- the tests ------------------------------------------------------------------------------------

static void init_fails_for_each_call(void) {
    static const char *const calls[] = {"eventfd", "pipe", "fcntl", "epoll_create1",
                                        "epoll_ctl"};
    const rtpush_posix_desc desc = port_desc();
    const int before = descriptors();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (int skip = 0; skip < 8; skip++) {
            fault(calls[i], skip, 1, ENFILE, -1);
            if (rtpush_posix_init(&port, &desc) == 0) {
                CHECK(fault_hits == 0);
                rtpush_posix_close(&port);
                break;
            }
            CHECK(errno == ENFILE && fault_hits == 1);
            CHECK(descriptors() == before);
        }
    }
    fault("mutex", 0, 1, 0, EAGAIN);
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EAGAIN);
    CHECK(descriptors() == before);
}

static void init_refuses_memory(void) {
    rtpush_posix_desc desc = port_desc();
    static const uint32_t sizes[] = {255, 0x1000001};
    desc.memory = NULL;
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
    desc.memory = (char *)port_memory + 4;
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
    desc = port_desc();
    desc.buffer_count = 65536;
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
    for (int i = 0; i < 2; i++) {
        desc = port_desc();
        desc.buffer_size = sizes[i];
        CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
    }
    desc = port_desc();
    desc.memory_size = 100;
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
    desc = port_desc();
    desc.conn_count = 60000000;
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
    desc = port_desc();
    desc.memory_size = (size_t)-1; // more than there are numbers for connections
    desc.conn_count = 0xFFFFFF00u;
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
    desc = port_desc();
    desc.conn_count = 0;
    desc.memory_size = RTPUSH_POSIX_SIZE(0, 8, BUFFER);
    CHECK(rtpush_posix_init(&port, &desc) == -1 && errno == EINVAL);
}

static void listen_fails_for_each_call(void) {
    static const char *const calls[] = {"socket", "fcntl", "bind", "listen", "epoll_ctl",
                                        "getsockname"};
    begin();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (int skip = 0; skip < 3; skip++) {
            const int before = descriptors();
            fault(calls[i], skip, 1, ENOMEM, -1);
            const int result = rtpush_posix_listen(&port, &srv, "127.0.0.1", 0, 0);
            if (fault_hits == 0) {
                break;
            }
            CHECK(result == -1 && errno == ENOMEM);
            CHECK(descriptors() == before);
        }
    }
    fault("", 0, 0, 0, 0);
    CHECK(rtpush_posix_listen(&port, &srv, "nowhere", 0, 0) == -1 && errno == EINVAL);
    CHECK(rtpush_posix_listen(&port, &srv, NULL, 65536, 0) == -1 && errno == EINVAL);
    while (port.listener_count < RTPUSH_POSIX_LISTENERS) {
        CHECK(rtpush_posix_listen(&port, &srv, NULL, 0, 0) > 0);
    }
    CHECK(rtpush_posix_listen(&port, &srv, NULL, 0, 0) == -1 && errno == ENOSPC);
    const int fd = dial();
    CHECK(says_hello(fd));
    close(fd);
    end();
}

static void servers_are_counted(void) {
    static rtpush_server more[RTPUSH_POSIX_SERVERS];
    static uint64_t room[RTPUSH_POSIX_SERVERS][sizeof memory / 8];
    begin();
    CHECK(rtpush_posix_add(&port, &srv) == 0); // once more: nothing happens
    for (int i = 0; i < RTPUSH_POSIX_SERVERS; i++) {
        init_server(&more[i], room[i], sizeof memory);
        const int last = i == RTPUSH_POSIX_SERVERS - 1;
        CHECK(rtpush_posix_add(&port, &more[i]) == (last ? -1 : 0));
        CHECK(!last || errno == ENOSPC);
    }
    CHECK(rtpush_posix_listen(&port, &more[RTPUSH_POSIX_SERVERS - 1], NULL, 0, 0) == -1);
    CHECK(errno == ENOSPC);
    end();
}

static void accept_pauses_without_descriptors(void) {
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    for (int i = 0; i < 4; i++) {
        no_clock = 1;
        begin();
        fault("accept", 0, 1, errors[i], -1);
        const int fd = dial();
        steps(2);
        CHECK(fault_hits == 1 && port.paused);
        say(fd, GET("/hello"));
        CHECK(rtpush_posix_step(&port, 0) == 100 && port.paused);
        clock_ahead_ms += 100;
        steps(1);
        CHECK(!port.paused);
        drain(fd, text, sizeof text, &error);
        CHECK(strstr(text, "hello") != NULL);
        // A connection that ends gives a descriptor back: accepting goes on at once.
        fault("accept", 0, 1, errors[i], -1);
        const int other = dial();
        steps(1);
        CHECK(port.paused);
        close(fd);
        steps(3);
        CHECK(!port.paused && says_hello(other));
        close(other);
        end();
    }
}

static void accept_goes_on_after_an_aborted_connection(void) {
    static const int errors[] = {ECONNABORTED, EINTR, EPROTO};
    for (int i = 0; i < 3; i++) {
        begin();
        fault("accept", 0, 1, errors[i], -1);
        const int fd = dial();
        CHECK(says_hello(fd));
        CHECK(fault_hits == 1);
        close(fd);
        end();
    }
}

static void connection_that_cannot_be_watched_is_reset(void) {
    static const char *const calls[] = {"epoll_ctl", "fcntl"};
    for (int i = 0; i < 2; i++) {
        for (int skip = 0; skip < 3; skip++) {
            begin();
            const int before = descriptors();
            fault(calls[i], skip, 1, ENOSPC, -1);
            const int fd = dial();
            steps(3);
            if (fault_hits > 0) {
                drain(fd, text, sizeof text, &error);
                CHECK(descriptors() == before + 1); // the client's
                CHECK(rtpush_get_counters(&srv)->slots_used == 0);
            }
            close(fd);
            end();
        }
    }
}

static void new_connection_is_reset_when_slots_are_full(void) {
    int fds[CONNS + 2];
    begin();
    for (int i = 0; i < CONNS; i++) {
        fds[i] = dial();
        say(fds[i], GET("/later"));
        steps(3);
    }
    for (int i = CONNS; i < CONNS + 2; i++) {
        fds[i] = dial();
        CHECK(drain(fds[i], text, sizeof text, &error) == -1 && error == ECONNRESET);
    }
    for (int i = 0; i < CONNS + 2; i++) {
        close(fds[i]);
    }
    end();
}

// The pool has room for fewer slots than the server: the port refuses by itself.
static void new_connection_is_reset_when_the_port_is_full(void) {
    rtpush_posix_desc desc = port_desc();
    desc.conn_count = 1;
    begin_with(&desc, NULL);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial();
        say(fds[i], GET("/later"));
        steps(3);
    }
    CHECK(drain(fds[2], text, sizeof text, &error) == -1 && error == ECONNRESET);
    CHECK(rtpush_get_counters(&srv)->slots_used == 2);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    end();
}

static void read_is_tried_again_or_ends(void) {
    begin();
    fault("recv", 0, 2, EINTR, -1);
    int fd = dial();
    CHECK(says_hello(fd) && fault_hits == 2);
    fault("recv", 0, 1, EWOULDBLOCK, -1);
    say(fd, GET("/hello"));
    steps(2);
    fault("recv", 0, 1, ETIMEDOUT, -1);
    say(fd, GET("/hello"));
    drain(fd, text, sizeof text, &error);
    CHECK(rtpush_get_counters(&srv)->reasons[RTPUSH_REASON_TRANSPORT] <= 1);
    close(fd);
    fd = dial();
    CHECK(says_hello(fd));
    fault("recv", 0, 1, ECONNRESET, -1);
    say(fd, GET("/hello"));
    steps(3);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0);
    close(fd);
    end();
}

static void write_is_tried_again_or_ends(void) {
    static const int errors[] = {EINTR, EAGAIN, ENOBUFS, EPIPE, ETIMEDOUT};
    static const char *const calls[] = {"send", "sendmsg"};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 5; i++) {
            begin();
            const int fd = dial();
            fault(calls[k], 0, 1, errors[i], -1);
            say(fd, k == 0 ? GET("/hello") : GET("/big"));
            drain(fd, text, sizeof text, &error);
            CHECK(fault_hits == 1);
            if (i == 0) {
                CHECK(strstr(text, " 200 ") != NULL);
            } else if (i > 2) {
                CHECK(rtpush_get_counters(&srv)->reasons[RTPUSH_REASON_TRANSPORT] == 1);
                CHECK(rtpush_get_counters(&srv)->slots_used == 0);
            }
            close(fd);
            end();
        }
    }
}

// Many small messages at once: their echoes are gathered in a second buffer.
static void gathered_answers_survive_faults(void) {
    static const int errors[] = {0, EINTR, EPIPE};
    for (int i = 0; i < 3; i++) {
        begin();
        const int fd = dial();
        upgrade(fd, "");
        fault("send", 0, 1, errors[i], -1);
        if (i == 0) {
            fault("", 0, 0, 0, 0);
        }
        send_frames(fd, 300, 20);
        const long got = drain(fd, text, sizeof text, &error);
        CHECK(errors[i] == EPIPE ? rtpush_get_counters(&srv)->slots_used == 0 : got == 300 * 22);
        close(fd);
        end();
    }
    begin(); // the kernel takes one byte a call
    const int fd = dial();
    upgrade(fd, "");
    always_short = 1;
    // They are gathered in the first buffer of the pool.
    const uint32_t own = port.buffers_first;
    const uint32_t next = port.buffers[own].next;
    port.buffers[0].next = port.buffers[next].next;
    port.buffers[next].next = 0;
    port.buffers_first = next;
    port.own = own;
    send_frames(fd, 60, 20);
    long got = 0;
    int first = 0;
    for (int i = 0; i < 3000 && got < 60 * 22; i++) {
        for (uint32_t k = 0; k < port.slots_top; k++) { // no event tells: the kernel is not full
            port.slots[k].flags |= RTPI_POSIX_WRITE;
            rtpi_posix_enqueue(&port, &port.slots[k]);
        }
        steps(1);
        first |= port.slots[0].staged == 1;
        const ssize_t n = recv(fd, text, sizeof text, 0);
        got += n > 0 ? n : 0;
    }
    CHECK(got == 60 * 22 && first);
    close(fd);
    end();
}

// A reader has got part of a record that is too long for tx. A message of another connection
// publishes so many events that this record is evicted: the reader is dropped while it waits in the
// ready queue, alone or behind another, or while the system has reported that it sent something.
static void reader_is_evicted_while_it_is_to_be_served(void) {
    enum { ALONE, BEHIND, REPORTED };
    for (int where = ALONE; where <= REPORTED; where++) {
        begin();
        const int busy = dial();
        upgrade(busy, "");
        const int other = dial();
        upgrade(other, "");
        const int reader = dial();
        say(reader, GET("/events"));
        drain(reader, text, sizeof text, &error);
        odd_fd = port.slots[2].fd;
        odd_room = TX + 100;
        CHECK(rtpush_publish(&srv, 0, event, sizeof event) == RTPUSH_OK);
        drain(busy, text, sizeof text, &error);
        drain(other, text, sizeof text, &error);
        CHECK(port.slots[2].conn->out.stream.part != 0 && port.ready_count == 0);
        send_messages(busy, 1, 20, 2 * LOG / EVENT);
        until(port.slots[0].fd, POLLIN);
        if (where == REPORTED) {
            say(reader, "x");
            until(port.slots[2].fd, POLLIN);
        } else { // as if these events had come in this order
            port.slots[0].flags |= RTPI_POSIX_READ;
            port.slots[2].flags |= RTPI_POSIX_WRITE;
            for (int i = 0; i < 3; i += where == BEHIND ? 1 : 2) {
                rtpi_posix_enqueue(&port, &port.slots[i]);
            }
        }
        steps(1);
        CHECK(rtpush_get_counters(&srv)->reasons[RTPUSH_REASON_EVICTED_LOG] == 1);
        CHECK(rtpush_get_counters(&srv)->slots_used == 2 && closed == 1);
        CHECK(port.ready_count == 0 && port.ready_first == RTPI_POSIX_NONE);
        CHECK(drain(reader, text, sizeof text, &error) == -1 && error == ECONNRESET);
        drain(busy, text, sizeof text, &error);
        drain(other, text, sizeof text, &error);
        send_frames(busy, 1, 20);
        CHECK(drain(busy, text, sizeof text, &error) == 22);
        close(busy);
        close(other);
        close(reader);
        end();
    }
}

// The request and the peer's end come together: the answer is sent, then the connection ends.
static void request_and_end_in_one_segment(void) {
    begin();
    const int fd = dial();
    say(fd, GET("/hello"));
    shutdown(fd, SHUT_WR);
    CHECK(drain(fd, text, sizeof text, &error) < -5 && error == 0);
    CHECK(strstr(text, "hello") != NULL);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0);
    close(fd);
    end();
}

// More arrives while the kernel is full and the core holds what it could not take: nothing is lost.
// With a fault the write that comes when there is room again fails, and the connection ends.
static void full_kernel_and_held_bytes(void) {
    static const int errors[] = {0, EINTR, EPIPE};
    for (int i = 0; i < 3; i++) {
        for (uint32_t buffers = 1; buffers < 5; buffers++) {
            rtpush_posix_desc desc = port_desc();
            desc.buffer_count = buffers;
            desc.send_buffer = 4096;
            begin_with(&desc, NULL);
            const int fd = dial_small();
            size_t at = 0;
            long got = 0;
            upgrade(fd, "");
            for (int k = 0; k < 20; k++) {
                pour(fd, &at);
                steps(2);
            }
            CHECK(at < sizeof many); // both kernels are full
            CHECK(rtpush_get_counters(&srv)->messages_in > 10);
            if (i > 0) {
                fault("send", 0, 1, errors[i], -1);
            }
            while (got >= 0 && got < MANY * 22) {
                const long more = drain(fd, text, sizeof text, &error);
                CHECK(more != 0);
                got = more > 0 ? got + more : -1;
                pour(fd, &at);
            }
            CHECK(i == 0 || buffers == 1 || fault_hits == 1); // one buffer: sendmsg alone
            if (fault_hits > 0 && errors[i] == EPIPE) {
                CHECK(got < 0 && closed == 1);
                CHECK(rtpush_get_counters(&srv)->slots_used == 0);
            } else {
                CHECK(got == MANY * 22);
            }
            close(fd);
            end();
        }
    }
}

// With one buffer connections look at their bytes in the kernel (MSG_PEEK).
static void pool_of_one_buffer_serves(void) {
    rtpush_posix_desc desc = port_desc();
    desc.buffer_count = 1;
    for (int i = 0; i < 4; i++) {
        begin_with(&desc, NULL);
        int fd = dial();
        CHECK(says_hello(fd));
        say(fd, GET("/later")); // what follows is refused and stays in the kernel
        say(fd, GET("/hello"));
        steps(3);
        CHECK(rtpush_reply_text(&srv, waiting, 200, "late") == RTPUSH_OK);
        drain(fd, text, sizeof text, &error);
        CHECK(strstr(text, "late") != NULL && strstr(text, "hello") != NULL);
        const int ws = dial();
        upgrade(ws, "");
        send_frames(ws, 200, 20);
        CHECK(drain(ws, text, sizeof text, &error) == 200 * 22);
        // The second recv removes what was taken.
        fault("recv", 1, 1, i == 1 ? EINTR : ECONNRESET, i == 2 ? 0 : -1);
        if (i > 0) {
            say(fd, GET("/hello"));
            drain(fd, text, sizeof text, &error);
            CHECK(fault_hits == 1);
            CHECK(rtpush_get_counters(&srv)->slots_used == (i == 1 ? 2u : 1u));
        }
        close(fd);
        close(ws);
        end();
    }
}

// While the others hold all buffers but one a connection waits for one of them, without work, and
// if none comes it is served all the same.
static void connections_wait_for_a_buffer(void) {
    for (int way = 0; way < 2; way++) {
        rtpush_posix_desc desc = port_desc();
        desc.buffer_count = 2;
        no_clock = 1;
        begin_with(&desc, NULL);
        const int holder = dial();
        const int other = dial();
        CHECK(says_hello(other));
        clock_ahead_ms = 1000; // the wait begins when the last buffer is taken
        say(holder, GET("/later")); // what follows is refused and stays in the buffer
        say(holder, GET("/hello"));
        steps(3);
        CHECK(port.buffers_free == 0);
        say(other, GET("/hello"));
        steps(5);
        CHECK(port.waiting == 1 && recv(other, text, sizeof text, 0) < 0);
        CHECK(rtpush_posix_step(&port, 0) == 20); // not at once
        int ms = 20;
        for (int i = 0; i < 2000 && ms == 20; i++) { // a deadline of the core that comes before
            port.given_ms = port.now_ms;
            clock_ahead_ms += 10;
            ms = rtpush_posix_step(&port, 0);
        }
        CHECK(ms < 20 && port.waiting == 1);
        if (way == 0) {
            CHECK(rtpush_reply_text(&srv, waiting, 200, "late") == RTPUSH_OK);
        } else {
            port.given_ms = port.now_ms - 20u;
        }
        CHECK(drain(other, text, sizeof text, &error) > 0);
        CHECK(strstr(text, "hello") != NULL && port.waiting == 0);
        CHECK(port.buffers_free == (way == 0 ? 1u : 0u));
        close(holder);
        close(other);
        end();
    }
}

// The socket fails while the core holds bytes: nobody would read the error from it.
static void error_behind_held_bytes_ends_the_connection(void) {
    for (int one = 0; one < 2; one++) {
        rtpush_posix_desc desc = port_desc();
        struct linger now = {1, 0};
        desc.buffer_count = one ? 1 : 8;
        begin_with(&desc, NULL);
        const int fd = dial();
        say(fd, GET("/later"));
        say(fd, GET("/hello"));
        steps(3);
        CHECK(rtpush_get_counters(&srv)->slots_used == 1);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd); // a reset
        steps(4);
        if (!RTPI_POSIX_EPOLL) { // poll() is asked about nothing while bytes are held: a send tells
            (void)rtpush_reply_text(&srv, waiting, 200, "late");
            steps(4);
        }
        CHECK(rtpush_get_counters(&srv)->slots_used == 0 && closed == 1);
        end();
    }
}

static void waiting_fails(void) {
    begin();
    fault("wait", 0, 1, EINTR, -1);
    CHECK(rtpush_posix_step(&port, 0) >= 0 && fault_hits == 1);
    fault("wait", 0, 1, EBADF, -1);
    CHECK(rtpush_posix_step(&port, 0) == -1 && errno == EBADF);
    fault("wait", 0, 1, EBADF, -1);
    CHECK(rtpush_posix_run(&port) == -1 && errno == EBADF);
    end();
}

static void addresses_of_ipv6_and_mapped_ones(void) {
    const rtpush_posix_desc desc = port_desc();
    begin_with(&desc, "::1");
    int fd = dial_to("::1");
    CHECK(says_hello(fd));
    uint32_t hash = 2166136261u;
    for (int i = 0; i < 8; i++) {
        hash = hash * 16777619u; // ::/64
    }
    CHECK(seen_peer == hash && rtpush_posix_peer("::1") == hash);
    CHECK(strcmp(seen_address, "::1") == 0);
    close(fd);
    end();
    begin_with(&desc, "::");
    fd = dial();
    CHECK(says_hello(fd));
    CHECK(seen_peer == 0x7F000001u && rtpush_posix_peer("127.0.0.1") == seen_peer);
    CHECK(strcmp(seen_address, "127.0.0.1") == 0); // not as an IPv6 address
    close(fd);
    end();
    begin();
    fd = dial();
    CHECK(says_hello(fd));
    CHECK(strcmp(seen_address, "127.0.0.1") == 0);
    char none_here[RTPUSH_POSIX_ADDRESS_SIZE];
    CHECK(rtpush_posix_address(&port, none_here) == NULL); // no request is asking
    fault("getpeername", 0, 1, ENOTCONN, -1);
    CHECK(says_hello(fd));
    CHECK(strcmp(seen_address, "none") == 0);
    close(fd);
    end();
    CHECK(rtpush_posix_peer("proxy.lan") == 0);
    struct sockaddr_storage none;
    memset(&none, 0, sizeof none);
    CHECK(rtpi_posix_peer(&none) == 1);
}

// A read brings more than the core's buffers answer at once, and the answers more than the second
// buffer holds: it is sent when it is full. With a fault that write fails.
static void gathered_answers_that_fill_the_buffer(void) {
    for (int skip = -1; skip < 4; skip++) {
        begin();
        const int fd = dial();
        upgrade(fd, "");
        send_messages(fd, 39, 20, 5);
        if (skip >= 0) {
            fault("send", skip, 1, EPIPE, -1);
        }
        const long got = drain(fd, text, sizeof text, &error);
        if (fault_hits > 0) {
            CHECK(got < 0 && closed == 1);
            CHECK(rtpush_get_counters(&srv)->slots_used == 0);
        } else {
            CHECK(got >= 39 * 22 + 5 * (EVENT + 2)); // events: or a gap, the log is small
        }
        CHECK(skip != 0 || fault_hits == 1);
        close(fd);
        end();
    }
}

static void reset_of_an_idle_connection(void) {
    struct linger now = {1, 0};
    begin();
    const int fd = dial();
    upgrade(fd, "");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    steps(2);
    CHECK(rtpush_get_counters(&srv)->reasons[RTPUSH_REASON_TRANSPORT] == 1);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0 && closed == 1);
    end();
}

// More new connections than one step accepts: the rest are accepted in the next, without an event.
static void accepts_are_limited_in_each_step(void) {
    enum { CROWD = RTPI_POSIX_ACCEPTS + 6 };
    int fds[CROWD];
    int served = 0;
    begin();
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dial();
    }
    CHECK(rtpush_posix_step(&port, 0) == 0);
    CHECK(port.listeners[0].pending);
    steps(1);
    CHECK(!port.listeners[0].pending);
    for (int i = 0; i < CROWD; i++) {
        const long got = drain(fds[i], text, sizeof text, &error);
        CHECK(got == 0 || (got == -1 && error == ECONNRESET));
        served += got == 0;
    }
    CHECK(served == CONNS);
    for (int i = 0; i < CROWD; i++) {
        close(fds[i]);
    }
    end();
}

// Deadlines come on time while accepting is paused, and nothing sleeps past the end of the pause.
static void pause_does_not_delay_deadlines(void) {
    begin();
    const int idle = dial();
    CHECK(says_hello(idle));
    fault("accept", 0, 100000, EMFILE, -1);
    const int fd = dial();
    while (recv(idle, text, sizeof text, 0) != 0 && clock_ahead_ms < 40000) {
        const int ms = rtpush_posix_step(&port, 0);
        CHECK(ms >= 0 && ms <= RTPI_POSIX_PAUSE_MS);
        clock_ahead_ms += ms < 10 ? 10 : (uint32_t)ms;
    }
    // idle_ms behind the first look at what has arrived, which comes after a quarter of stall_ms.
    CHECK(clock_ahead_ms >= 20000 && clock_ahead_ms < 20800);
    close(idle);
    fault("", 0, 0, 0, 0);
    CHECK(says_hello(fd));
    CHECK(rtpush_get_counters(&srv)->reasons[RTPUSH_REASON_TIMEOUT_IDLE] == 1);
    close(fd);
    end();
}

// Hundreds of wakes are read at once: the next turn has nothing to read.
static void wakes_are_read_whole(void) {
    struct pollfd entry;
    begin();
    for (int i = 0; i < 600; i++) {
        srv.hooks.wake(srv.hooks.ctx);
    }
    entry.fd = port.wake[0];
    entry.events = POLLIN;
    CHECK(poll(&entry, 1, 0) == 1);
    steps(1);
    CHECK(poll(&entry, 1, 0) == 0);
    end();
}

static void loop_without_servers_waits_for_a_wake(void) {
    const rtpush_posix_desc desc = port_desc();
    CHECK(rtpush_posix_init(&port, &desc) == 0);
    rtpi_posix_on_wake(&port); // or it would wait for ever
    CHECK(rtpush_posix_step(&port, -1) == INT_MAX);
    CHECK(waited_ms == -1);
    rtpush_posix_stop(&port);
    CHECK(rtpush_posix_run(&port) == 0);
    rtpush_posix_close(&port);
}

static void handler_stops_the_loop(void) {
    begin();
    const int fd = dial();
    say(fd, "GET /stop HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    shutdown(fd, SHUT_WR);
    CHECK(rtpush_posix_run(&port) == 0);
    CHECK(recv(fd, text, sizeof text, 0) > 0 && strstr(text, "stopped") != NULL);
    CHECK(recv(fd, text, sizeof text, 0) == 0);
    close(fd);
    end();
}

// In a loop of one's own that does not wait for the descriptor, and with poll() there is none.
static void step_in_which_it_is_stopped_is_due_again_at_once(void) {
    rtpush_posix_desc desc = port_desc();
    desc.stop_ms = 200;
    begin_with(&desc, NULL);
    const int waits = dial();
    say(waits, GET("/later")); // it never ends by itself
    steps(3);
    const int fd = dial();
    say(fd, GET("/stop"));
    int ms = 1;
    for (int i = 0; i < 10 && !rtpi_posix_stop_get(&port); i++) {
        ms = rtpush_posix_step(&port, 0);
    }
    CHECK(rtpi_posix_stop_get(&port) == 1 && ms == 0);
    ms = rtpush_posix_step(&port, 0);
    CHECK(ms > 0 && ms <= 200);
    usleep(250000);
    port.now_ms = rtpi_posix_clock_ms(); // as behind a wait that took longer than it should
    CHECK(rtpi_posix_settle(&port) == 0);
    CHECK(rtpush_posix_step(&port, 0) == -1 && errno == 0);
    close(fd);
    close(waits);
    end();
}

static uint32_t peer_of(const char *address) {
    struct sockaddr_storage at;
    CHECK(rtpi_posix_address(address, 1, &at) > 0);
    return rtpi_posix_peer(&at);
}

static void peers_are_networks(void) {
    CHECK(peer_of("192.0.2.7") == 0xC0000207u);
    CHECK(peer_of("::ffff:192.0.2.7") == 0xC0000207u);
    CHECK(peer_of("0.0.0.0") == 1u); // 0 would be nobody
    CHECK(peer_of("2001:db8::1") == peer_of("2001:db8::ffff:c000:207")); // one /64
    CHECK(peer_of("2001:db8::1") != peer_of("2001:db8:0:1::1"));
    CHECK(peer_of("0:0:0:1::1") != peer_of("::1")); // looks mapped at first
    CHECK(peer_of("0:0:1::ffff:0:1") != peer_of("::ffff:0.0.0.1"));
    CHECK(peer_of("::fffe:c000:207") == peer_of("::1"));
}

// What the peer has not acknowledged: 0 where the system cannot say.
static void pending_counts_the_kernel_and_what_is_staged(void) {
    begin();
    const int fd = dial();
    say(fd, GET("/big"));
    steps(5);
    rtpi_posix_slot *slot = &port.slots[0];
    const uint32_t held = rtpi_posix_on_pending(&port, slot->conn, slot);
    CHECK(held > 0);
    for (uint16_t i = 0; i <= 3; i += 3) { // the first buffer is no exception
        port.buffers[i].len = 50;
        port.buffers[i].used = 20;
        slot->staged = (uint16_t)(i + 1);
        CHECK(rtpi_posix_on_pending(&port, slot->conn, slot) == held + 30);
    }
    fault("ioctl", 0, 1, EINVAL, -1);
    CHECK(rtpi_posix_on_pending(&port, slot->conn, slot) == 30 && fault_hits == 1);
    slot->staged = 0;
    close(fd);
    end();
}

// An answer for which everything was said is left to the kernel, also when the program ends.
static void close_leaves_finished_answers_to_the_kernel(void) {
    begin();
    const int whole = dial();
    const int cut = dial();
    say(whole, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    say(cut, GET("/big"));
    steps(5);
    end();
    ssize_t got = recv(whole, text, sizeof text, 0);
    CHECK(got > 0 && recv(whole, text, sizeof text, 0) == 0);
    do {
        got = recv(cut, text, sizeof text, 0);
    } while (got > 0);
    CHECK(got == -1 && errno == ECONNRESET);
    close(whole);
    close(cut);
}

static void run_ends_after_stop(void) {
    for (int way = 0; way < 3; way++) {
        rtpush_posix_desc desc = port_desc();
        desc.stop_ms = 300;
        begin_with(&desc, NULL);
        const int fd = dial();
        say(fd, GET("/later")); // it never ends by itself
        steps(3);
        const int ws = dial();
        upgrade(ws, "");
        rtpush_posix_stop(&port);
        if (way == 1) {
            rtpush_posix_stop(&port); // at once
        }
        if (way == 2) { // by steps
            int ms;
            do {
                ms = rtpush_posix_step(&port, -1);
            } while (ms >= 0);
            CHECK(errno == 0);
        } else {
            CHECK(rtpush_posix_run(&port) == 0);
        }
        CHECK(rtpush_get_counters(&srv)->slots_used == 0 && closed == 2);
        close(fd);
        close(ws);
        end();
    }
}

static void options_may_be_left_to_the_kernel(void) {
    rtpush_posix_desc desc = port_desc();
    desc.send_buffer = -1;
    desc.user_timeout_ms = 60000;
    desc.backlog = 3;
    desc.buffer_size = 0;
    desc.conn_count = 0;
    begin_with(&desc, "127.0.0.1");
    const int fd = dial();
    CHECK(says_hello(fd));
    CHECK(rtpush_posix_fd(&port) == port.poller);
    close(fd);
    end();
}

// What the desc says reaches the sockets. Linux reports a send buffer of twice what was asked for.
static void sockets_have_what_the_desc_says(void) {
    for (int own = 0; own < 2; own++) {
        rtpush_posix_desc desc = port_desc();
        struct sockaddr_in at;
        socklen_t len = sizeof at;
        desc.send_buffer = own ? 8192 : 0;
        desc.user_timeout_ms = own ? 60000 : 0;
        desc.backlog = own ? 3 : 0;
        begin_with(&desc, NULL);
        const int second = rtpush_posix_listen(&port, &srv, NULL, 0, RTPUSH_LISTENER_SECURE);
        const int fd = dial();
        steps(2);
        number = second;
        const int secure = dial();
        steps(2);
        const int listener = port.listeners[0].fd;
        const int conn = port.slots[0].fd;
        CHECK(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
        CHECK(at.sin_addr.s_addr == htonl(INADDR_LOOPBACK)); // NULL: this machine alone
        CHECK(option_of(listener, SOL_SOCKET, SO_REUSEADDR) != 0);
        CHECK(backlog_seen == (own ? 3 : SOMAXCONN));
        CHECK(option_of(conn, IPPROTO_TCP, TCP_NODELAY) != 0);
        CHECK(option_of(conn, SOL_SOCKET, SO_SNDBUF) == 2 * (own ? 8192 : 65536));
        CHECK(option_of(conn, IPPROTO_TCP, TCP_USER_TIMEOUT) == (own ? 60000 : 0));
        CHECK((fcntl(conn, F_GETFL) & O_NONBLOCK) && (fcntl(listener, F_GETFL) & O_NONBLOCK));
        CHECK(fcntl(conn, F_GETFD) == FD_CLOEXEC && fcntl(listener, F_GETFD) == FD_CLOEXEC);
        CHECK(says_hello(fd) && !seen_secure);
        CHECK(says_hello(secure) && seen_secure);
        close(fd);
        close(secure);
        end();
    }
}

// A write to a socket that is shut down raises SIGPIPE, which would end the program.
static void writes_raise_no_signal(void) {
    for (int many = 0; many < 2; many++) {
        begin();
        const int fd = dial();
        steps(2);
        CHECK(shutdown(port.slots[0].fd, SHUT_WR) == 0);
        say(fd, many ? GET("/big") : GET("/hello")); // sendmsg, send
        steps(3);
        CHECK(rtpush_get_counters(&srv)->slots_used == 0);
        close(fd);
        end();
    }
}

// A signal handler may stop the loop: errno of what it interrupted is kept.
static void stop_keeps_errno(void) {
    begin();
    for (int i = 0; i < 70000; i++) { // until a pipe is full
        errno = ERANGE;
        rtpi_posix_on_wake(&port);
        CHECK(errno == ERANGE);
        i += errno == ERANGE ? 0 : 70000;
    }
    end();
}

static void epoch_is_never_0(void) {
    fault("", 0, 0, 0, 0);
    CHECK(rtpush_posix_epoch() != 0);
    fault("open", 0, 1, ENOENT, -1);
    CHECK(rtpush_posix_epoch() != 0);
    fault("read", 0, 1, EIO, -1);
    CHECK(rtpush_posix_epoch() != 0);
    fault("open", 0, 1, ENOENT, -1);
    no_clock = 1;
    CHECK(rtpush_posix_epoch() == 1);
    no_clock = 0;
}

static void files_are_raised_as_far_as_allowed(void) {
    static const struct {
        rlim_t now, most;
        uint32_t conns, want;
    } cases[] = {
        {1024, 4096, 100, 100},       {50, 4096, 100, 100},   {50, 90, 100, 66},
        {50, RLIM_INFINITY, 100, 100}, {10, 10, 100, 0},       {RLIM_INFINITY, RLIM_INFINITY, 9, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        files.rlim_cur = cases[i].now;
        files.rlim_max = cases[i].most;
        CHECK(rtpush_posix_raise_files(cases[i].conns) == cases[i].want);
    }
    fault("getrlimit", 0, 1, EINVAL, -1);
    CHECK(rtpush_posix_raise_files(5) == 0);
    files.rlim_cur = 50;
    files.rlim_max = 4096;
    fault("setrlimit", 0, 1, EPERM, -1);
    CHECK(rtpush_posix_raise_files(100) == 26);
}

// Each message brings an event, so its connection always has something to do, and the kernel takes
// all of it: a step ends nevertheless, and others are served in it.
static void endless_work_of_one_connection_does_not_starve_others(void) {
    enum { MESSAGE = 26 + 22 + EVENT + 4, TURN = RTPI_POSIX_BUDGET / MESSAGE };
    size_t at = 0;
    begin();
    const int fd = dial();
    const int other = dial();
    upgrade(fd, "");
    odd_fd = port.slots[0].fd;
    odd_room = LONG_MAX;
    for (size_t i = 0; i < MANY; i++) {
        many[i * 26 + 7] = 1;
    }
    pour(fd, &at);
    CHECK(at > (1 + 2 * CONNS) * TURN * 26u);
    say(other, GET("/hello"));
    steps(1);
    CHECK(rtpush_get_counters(&srv)->messages_in < 1 + 2 * (CONNS + 1) * TURN);
    CHECK(recv(other, text, sizeof text, 0) > 0 && strstr(text, "hello") != NULL);
    while (rtpush_get_counters(&srv)->messages_in < at / 26) {
        steps(1);
    }
    close(fd);
    close(other);
    end();
}

// More to do than a turn allows: a large answer and a crowd.
static void steps_are_bounded(void) {
    begin();
    const int fd = dial();
    const int other = dial();
    say(fd, GET("/big"));
    say(other, GET("/big"));
    CHECK(drain(fd, text, sizeof text, &error) > BIG);
    CHECK(drain(other, text, sizeof text, &error) > BIG);
    close(fd);
    close(other);
    end();
}

static const fault_test tests[] = {
    TEST(init_fails_for_each_call),
    TEST(init_refuses_memory),
    TEST(listen_fails_for_each_call),
    TEST(servers_are_counted),
    TEST(accept_pauses_without_descriptors),
    TEST(accept_goes_on_after_an_aborted_connection),
    TEST(connection_that_cannot_be_watched_is_reset),
    TEST(new_connection_is_reset_when_slots_are_full),
    TEST(new_connection_is_reset_when_the_port_is_full),
    TEST(read_is_tried_again_or_ends),
    TEST(write_is_tried_again_or_ends),
    TEST(gathered_answers_survive_faults),
    TEST(reader_is_evicted_while_it_is_to_be_served),
    TEST(request_and_end_in_one_segment),
    TEST(full_kernel_and_held_bytes),
    TEST(pool_of_one_buffer_serves),
    TEST(connections_wait_for_a_buffer),
    TEST(error_behind_held_bytes_ends_the_connection),
    TEST(waiting_fails),
    TEST(addresses_of_ipv6_and_mapped_ones),
    TEST(gathered_answers_that_fill_the_buffer),
    TEST(reset_of_an_idle_connection),
    TEST(accepts_are_limited_in_each_step),
    TEST(pause_does_not_delay_deadlines),
    TEST(wakes_are_read_whole),
    TEST(loop_without_servers_waits_for_a_wake),
    TEST(handler_stops_the_loop),
    TEST(step_in_which_it_is_stopped_is_due_again_at_once),
    TEST(peers_are_networks),
    TEST(pending_counts_the_kernel_and_what_is_staged),
    TEST(close_leaves_finished_answers_to_the_kernel),
    TEST(run_ends_after_stop),
    TEST(options_may_be_left_to_the_kernel),
    TEST(sockets_have_what_the_desc_says),
    TEST(writes_raise_no_signal),
    TEST(stop_keeps_errno),
    TEST(epoch_is_never_0),
    TEST(files_are_raised_as_far_as_allowed),
    TEST(steps_are_bounded),
    TEST(endless_work_of_one_connection_does_not_starve_others),
};

int main(void) {
    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
