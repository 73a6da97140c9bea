// faults.c - each socket function of ports/rtpush_sockets.h fails in turn, and what the port
// promises holds: an error that says what is wrong and no descriptor lost, or the others are still
// served. Client and server alternate in one thread, but for what other tasks may call. Built with
// poll and with select (run.sh). The last line is `N passed, N failed`.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifndef T_LINKED // run.sh links the core as an object to all forms
#define RTPUSH_IMPLEMENTATION
#endif
#include "rtpush.h"

enum { CONNS = 4, RX = 512, TX = 512, LOG = 4096, BIG = 300000 };

#include "../faults.h"

// -- the system calls ----------------------------------------------------------------------------

static size_t most_sent = 1u << 20;  // what one send takes
static size_t room = (size_t)-1;     // what all sends together take, then they would block
static int lost_fd = -1;             // what is sent on it is lost
static int waited_ms = -1;           // the longest wait since it was set to -1
static uint32_t ahead_ms;            // of the system's clock
static int no_clock;                 // 1: it stands, but for ahead_ms
static int lingers;                  // sockets that were closed by a reset
static int high_fd;                  // what accept returns is this or more
static int again;                    // 1: another task wants to wake the loop meanwhile
static int datagrams;                // to the waker
static int accepts;                  // sockets that accept has returned

static void wake_again(int fd);

static ssize_t fault_send(int fd, const void *data, size_t len, int flags) {
    if (fault_is_due("send")) {
        return -1;
    }
    wake_again(fd);
    if (fd == lost_fd) {
        return (ssize_t)len;
    }
    len = len < most_sent ? len : most_sent;
    if (len > 1 && room < len) {
        len = room;
    }
    if (len == 0) {
        errno = EAGAIN;
        return -1;
    }
    const ssize_t n = send(fd, data, len, flags);
    room -= n > 0 && room != (size_t)-1 ? (size_t)n : 0;
    return n;
}

static int fault_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    lingers += name == SO_LINGER;
    return setsockopt(fd, level, name, value, len);
}

static int fault_ioctl(int fd, unsigned long what, int *value) {
    return fault_is_due("ioctl") ? -1 : ioctl(fd, what, value);
}

static int fault_poll(struct pollfd *entries, nfds_t count, int wait_ms) {
    waited_ms = wait_ms > waited_ms ? wait_ms : waited_ms;
    for (nfds_t i = 1; i < count; i++) {
        for (nfds_t k = 0; k < i; k++) {
            CHECK(entries[i].fd != entries[k].fd); // each is waited for once
        }
    }
    return fault_is_due("wait") ? -1 : poll(entries, count, wait_ms);
}

static int fault_select(int top, fd_set *in, fd_set *out, fd_set *odd, struct timeval *wait) {
    const int wait_ms = (int)(wait->tv_sec * 1000 + wait->tv_usec / 1000);
    waited_ms = wait_ms > waited_ms ? wait_ms : waited_ms;
    return fault_is_due("wait") ? -1 : select(top, in, out, odd, wait);
}

static int fault_accept(int fd, struct sockaddr *from, socklen_t *len) {
    const int low = fault_is_due("accept") ? -1 : accept(fd, from, len);
    accepts += low >= 0;
    if (low < 0 || high_fd == 0) {
        return low;
    }
    const int made = fcntl(low, F_DUPFD, high_fd);
    close(low);
    return made;
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
    now->tv_sec += ahead_ms / 1000u;
    now->tv_nsec += no_clock ? (long)(ahead_ms % 1000u) * 1000000 : 0;
    return done;
}

FAULT(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))
FAULT(int, shutdown, (int fd, int how), (fd, how))
FAULT(int, socket, (int family, int type, int protocol), (family, type, protocol))
FAULT(int, bind, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
FAULT(int, connect, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
FAULT(int, getsockname, (int fd, struct sockaddr *own, socklen_t *len), (fd, own, len))

#define send(fd, data, len, flags) fault_send(fd, data, len, flags)
#define recv(fd, data, len, flags) fault_recv(fd, data, len, flags)
#define accept(fd, from, len) fault_accept(fd, from, len)
#define shutdown(fd, how) fault_shutdown(fd, how)
#define socket(family, type, protocol) fault_socket(family, type, protocol)
#define bind(fd, at, len) fault_bind(fd, at, len)
#define connect(fd, at, len) fault_connect(fd, at, len)
#define listen(fd, backlog) fault_listen(fd, backlog)
#define getsockname(fd, own, len) fault_getsockname(fd, own, len)
#define setsockopt(fd, level, name, value, len) fault_setsockopt(fd, level, name, value, len)
#define ioctl(fd, what, value) fault_ioctl(fd, what, value)
#define poll(entries, count, wait_ms) fault_poll(entries, count, wait_ms)
#define select(top, in, out, odd, wait) fault_select(top, in, out, odd, wait)
#define clock_gettime(which, now) fault_clock_gettime(which, now)
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "ports/rtpush_sockets.h"
#undef send
#undef recv
#undef accept
#undef shutdown
#undef socket
#undef bind
#undef connect
#undef listen
#undef getsockname
#undef setsockopt
#undef ioctl
#undef poll
#undef select
#undef clock_gettime

// -- a server, and clients in the same thread -----------------------------------------------------

static rtpush_server srv;
static rtpush_sockets port;
static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 1, 0)];
static uint64_t port_memory[RTPUSH_SOCKETS_WORDS(CONNS)];
static int number; // TCP port

static int events; // published for each message

static void wake_again(int fd) {
    if (fd == port.wake) {
        datagrams++;
    }
    if (fd == port.wake && again) {
        again = 0;
        port.asleep = 1; // the loop sleeps again
        rtpi_sockets_on_wake(&port);
    }
}

static int on_message(rtpush_server *server, rtpush_handle conn, const rtpush_message *message) {
    const int result = rtpush_send(server, conn, message->opcode, message->data, message->len);
    for (int i = 0; result == RTPUSH_OK && i < events; i++) {
        CHECK(rtpush_publish(server, 0, big, 100) == RTPUSH_OK);
    }
    return result;
}

static const rtpush_topic topics[] = {{"log", &rtpush_topic_event, 0, 0}};
static const rtpush_route routes[] = {
    {.path = "/big", .kind = &rtpush_handler, .on_request = on_big, .on_close = on_close},
    {.path = "/hello", .kind = &rtpush_handler, .on_request = on_hello},
    {.path = "/later", .kind = &rtpush_handler, .on_request = on_later, .on_close = on_close},
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message, .on_close = on_close},
    {.path = "/events", .kind = &rtpush_events, .on_close = on_close},
};

static void init_server(void) {
    rtpush_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.routes = routes;
    desc.route_count = sizeof routes / sizeof routes[0];
    desc.topics = topics;
    desc.topic_count = 1;
    desc.memory = memory;
    desc.memory_size = sizeof memory;
    desc.conn_count = CONNS;
    desc.rx_size = RX;
    desc.tx_size = TX;
    desc.log_size = LOG;
    desc.epoch = 5;
    desc.rate_messages = RTPUSH_UNLIMITED;
    desc.rate_bytes = RTPUSH_UNLIMITED;
    CHECK(rtpush_init(&srv, &desc) == RTPUSH_OK);
}

static rtpush_sockets_desc port_desc(void) {
    rtpush_sockets_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.memory = port_memory;
    desc.memory_size = sizeof port_memory;
    desc.send_buffer = 8192;
    desc.backlog = 32;
    return desc;
}

static void begin_with(const rtpush_sockets_desc *desc, const char *host) {
    fault("", 0, 0, 0, -1);
    closed = 0;
    lingers = 0;
    init_server();
    CHECK(rtpush_sockets_init(&port, &srv, desc) == 0);
    number = rtpush_sockets_listen(&port, host, 0, 0);
    CHECK(number > 0);
}

static void begin(void) {
    const rtpush_sockets_desc desc = port_desc();
    begin_with(&desc, "127.0.0.1");
}

static void end(void) {
    fault("", 0, 0, 0, -1);
    most_sent = 1u << 20;
    room = (size_t)-1;
    lost_fd = -1;
    ahead_ms = 0;
    no_clock = 0;
    events = 0;
    rtpush_sockets_close(&port);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0);
}

static void steps(int count) {
    for (int i = 0; i < count; i++) {
        CHECK(rtpush_sockets_step(&port, 2) == 1);
    }
}

static int dial_to(const char *host, int to) {
    rtpi_sockets_address at;
    const socklen_t len = rtpi_sockets_parse(host, (unsigned)to, &at);
    const int fd = socket(at.any.sa_family, SOCK_STREAM, 0);
    const int small = 4096; // so that the server's kernel is full soon
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    CHECK(connect(fd, &at.any, len) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int dial(void) {
    return dial_to("127.0.0.1", number);
}

static void say(int fd, const char *text) {
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static char text[4096]; // the first bytes that drain has read
static int error;       // errno of the end it has found

// Serves and reads until the peer is quiet. Returns the bytes; -1 - bytes at the end.
static long drain(int fd) {
    static char sink[65536];
    long total = 0;
    int quiet = 0;
    memset(text, 0, sizeof text);
    while (quiet < 12) {
        CHECK(rtpush_sockets_step(&port, 1) == 1);
        const ssize_t got = recv(fd, sink, sizeof sink, 0);
        if (got > 0) {
            const size_t left = sizeof text - 1u > (size_t)total ? sizeof text - 1u - (size_t)total
                                                                : 0;
            memcpy(text + (left ? total : 0), sink, left < (size_t)got ? left : (size_t)got);
            total += got;
            quiet = 0;
        } else if (got == 0 || errno != EAGAIN) {
            error = got < 0 ? errno : 0;
            return -1 - total;
        } else {
            quiet++;
        }
    }
    return total;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static int says_hello(int fd) {
    say(fd, GET("/hello"));
    (void)drain(fd);
    return strstr(text, " 200 ") != NULL && strstr(text, "hello") != NULL;
}

static int serves(void) { // a new connection
    const int fd = dial();
    const int served = says_hello(fd);
    close(fd);
    steps(3);
    return served;
}

static void upgrade(int fd) {
    say(fd, "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    (void)drain(fd);
    CHECK(strstr(text, " 101 ") != NULL);
}

// -- the tests ------------------------------------------------------------------------------------

static void init_refuses_memory(void) {
    rtpush_sockets_desc desc = port_desc();
    init_server();
    desc.memory = NULL;
    CHECK(rtpush_sockets_init(&port, &srv, &desc) == RTPUSH_SOCKETS_ERR_ARGUMENT);
    desc.memory = (char *)port_memory + 4;
    CHECK(rtpush_sockets_init(&port, &srv, &desc) == RTPUSH_SOCKETS_ERR_ARGUMENT);
    for (int i = 0; i < 4; i++) {
        static const uint32_t sizes[] = {63, 65536, 1024, 1024};
        static const size_t bytes[] = {sizeof port_memory, 1u << 20,
                                       RTPUSH_SOCKETS_SIZE(1, 1024) - 1u, 8};
        desc = port_desc();
        desc.buffer_size = sizes[i];
        desc.memory_size = bytes[i];
        CHECK(rtpush_sockets_init(&port, &srv, &desc) == RTPUSH_SOCKETS_ERR_ARGUMENT);
    }
    desc = port_desc();
    desc.memory_size = RTPUSH_SOCKETS_SIZE(1, 1024);
    CHECK(rtpush_sockets_init(&port, &srv, &desc) == 0);
    rtpush_sockets_close(&port);
}

static void parts_of_the_memory_do_not_overlap(void) {
    for (uint32_t conns = 1; conns < 6; conns++) {
        for (uint32_t size = 64; size < 68; size++) {
            const size_t bytes = RTPUSH_SOCKETS_SIZE(conns, size);
            rtpush_sockets other;
            memset(&other, 0, sizeof other);
            other.desc.memory = port_memory;
            other.desc.memory_size = bytes;
            other.desc.buffer_size = size;
            CHECK(rtpi_sockets_divide(&other) == 0 && other.slot_count == conns + 1u);
            const uint32_t entries = other.slot_count + RTPUSH_SOCKETS_LISTENERS + 1u;
            CHECK((void *)(other.slots + other.slot_count) <= (void *)other.entries);
            CHECK((void *)(other.entries + entries) <= (void *)other.bytes);
            CHECK(other.bytes + (other.slot_count + 1u) * size <= (uint8_t *)port_memory + bytes);
        }
    }
}

static void init_fails_for_each_call(void) {
    static const char *const calls[] = {"socket", "bind", "ioctl", "getsockname", "connect", "send",
                                        "wait"};
    const rtpush_sockets_desc desc = port_desc();
    const int before = descriptors();
    init_server();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fault(calls[i], 0, 1, ENOBUFS, -1);
        CHECK(rtpush_sockets_init(&port, &srv, &desc) ==
              (i == 0 ? RTPUSH_SOCKETS_ERR_SOCKET : RTPUSH_SOCKETS_ERR_WAKE));
        CHECK(port.error == ENOBUFS && fault_hits == 1);
        CHECK(descriptors() == before);
    }
}

// What does not arrive is found at the start, not when the first event is late.
static void init_tries_the_waker(void) {
    const rtpush_sockets_desc desc = port_desc();
    init_server();
    fault("", 0, 0, 0, -1);
    lost_fd = dup(0); // the lowest free number: the waker gets it
    close(lost_fd);
    CHECK(rtpush_sockets_init(&port, &srv, &desc) == RTPUSH_SOCKETS_ERR_WAKE);
    lost_fd = -1;
    CHECK(strstr(rtpush_sockets_strerror(RTPUSH_SOCKETS_ERR_WAKE), "LOOPBACK") != NULL);
}

static void listen_fails_for_each_call(void) {
    static const char *const calls[] = {"socket", "bind", "ioctl", "getsockname", "listen"};
    begin();
    const int before = descriptors();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fault(calls[i], 0, 1, EACCES, -1);
        CHECK(rtpush_sockets_listen(&port, NULL, 0, 0) ==
              (i == 0 ? RTPUSH_SOCKETS_ERR_SOCKET : RTPUSH_SOCKETS_ERR_BIND));
        CHECK(port.error == EACCES && descriptors() == before);
    }
    CHECK(rtpush_sockets_listen(&port, "localhost", 0, 0) == RTPUSH_SOCKETS_ERR_ARGUMENT);
    CHECK(rtpush_sockets_listen(&port, NULL, 65536, 0) == RTPUSH_SOCKETS_ERR_ARGUMENT);
    CHECK(rtpush_sockets_listen(&port, "127.0.0.1", (unsigned)number, 0) ==
          RTPUSH_SOCKETS_ERR_BIND);
    end();
}

static void listeners_are_counted_and_all_serve(void) {
    int numbers[RTPUSH_SOCKETS_LISTENERS];
    begin();
    numbers[0] = number;
    for (int i = 1; i < RTPUSH_SOCKETS_LISTENERS; i++) {
        numbers[i] = rtpush_sockets_listen(&port, NULL, 0, 0);
        CHECK(numbers[i] > 0 && numbers[i] != numbers[i - 1]);
    }
    CHECK(rtpush_sockets_listen(&port, NULL, 0, 0) == RTPUSH_SOCKETS_ERR_FULL);
    for (int i = 0; i < RTPUSH_SOCKETS_LISTENERS; i++) {
        number = numbers[i];
        CHECK(serves());
    }
    end();
}

static void addresses_of_ipv6_and_mapped_ones(void) {
    const rtpush_sockets_desc desc = port_desc();
    begin_with(&desc, "::");
    const int four = dial_to("127.0.0.1", number);
    CHECK(says_hello(four));
    const uint32_t mapped = seen_peer;
    const int six = dial_to("::1", number);
    CHECK(says_hello(six));
    CHECK(seen_peer != 0 && seen_peer != mapped);
    const int plain = rtpush_sockets_listen(&port, "127.0.0.1", 0, 0);
    const int other = dial_to("127.0.0.1", plain);
    CHECK(says_hello(other));
    CHECK(seen_peer == mapped); // one peer, whichever way it comes
    close(four);
    close(six);
    close(other);
    end();
}

static void accept_pauses_without_descriptors(void) {
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    for (int i = 0; i < 4; i++) {
        no_clock = 1;
        begin();
        const int fd = dial();
        fault("accept", 0, 1, errors[i], -1);
        steps(2);
        CHECK(fault_hits == 1 && rtpush_get_counters(&srv)->accepted == 0);
        waited_ms = -1;
        CHECK(rtpush_sockets_step(&port, -1) == 1); // sleeps for the pause, not for ever
        CHECK(waited_ms > 0 && waited_ms <= 100);
        CHECK(rtpush_get_counters(&srv)->accepted == 0);
        ahead_ms += 100;
        steps(2);
        CHECK(says_hello(fd));
        // A connection that ends gives a socket back: accepting goes on at once.
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
    begin();
    const int fd = dial();
    fault("accept", 0, 1, ECONNABORTED, -1);
    CHECK(says_hello(fd));
    CHECK(fault_hits == 1);
    close(fd);
    end();
}

static void a_connection_that_cannot_be_set_up_is_reset(void) {
    begin();
    fault("ioctl", 0, 1, EINVAL, -1);
    const int fd = dial();
    steps(3);
    CHECK(drain(fd) == -1 && error == ECONNRESET);
    close(fd);
    end();
}

// RTPUSH_SOCKETS_SIZE has one slot more: the newcomer of a full server is decided on by the core.
static void a_newcomer_to_a_full_port_is_judged_by_the_core(void) {
    int fd[CONNS + 1];
    begin();
    for (int i = 0; i <= CONNS; i++) {
        fd[i] = dial();
        steps(3);
    }
    CHECK(rtpush_get_counters(&srv)->slots_used == CONNS);
    CHECK(drain(fd[CONNS]) == -1 && error == ECONNRESET); // nobody is a second old
    for (int i = 0; i <= CONNS; i++) {
        close(fd[i]);
    }
    end();
}

// The memory has room for fewer connections than the server: the port refuses by itself.
static void a_newcomer_without_a_slot_of_the_port_is_reset(void) {
    rtpush_sockets_desc desc = port_desc();
    int fd[3];
    desc.memory_size = RTPUSH_SOCKETS_SIZE(1, 1024);
    begin_with(&desc, "127.0.0.1");
    for (int i = 0; i < 3; i++) {
        fd[i] = dial();
        say(fd[i], GET("/later"));
        steps(3);
    }
    CHECK(rtpush_get_counters(&srv)->accepted == 2);
    CHECK(drain(fd[2]) == -1 && error == ECONNRESET);
    for (int i = 0; i < 3; i++) {
        close(fd[i]);
    }
    end();
}

static void set_files(rlim_t most) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = most;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
}

// Descriptors beyond select()'s. Returns how many there may be otherwise.
static rlim_t more_files(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    set_files(FD_SETSIZE + 100);
    return files.rlim_cur;
}

// select() has room for sockets below FD_SETSIZE: others are reset, and the rest is served.
static void a_socket_that_select_cannot_wait_for_is_reset(void) {
    const rlim_t before = more_files();
    begin();
    high_fd = FD_SETSIZE;
    const int high = dial();
    steps(3);
    CHECK(RTPI_SOCKETS_FITS(FD_SETSIZE) ? says_hello(high)
                                        : drain(high) == -1 && error == ECONNRESET);
    high_fd = 0;
    close(high);
    steps(2);
    CHECK(serves());
    set_files(before);
    end();
}

static int low_fds[FD_SETSIZE];
static int low_count;

// All descriptors below FD_SETSIZE are in use from here on.
static void use_low_descriptors(void) {
    int fd;
    while ((fd = fcntl(2, F_DUPFD, 3)) >= 0 && fd < FD_SETSIZE) {
        low_fds[low_count++] = fd;
    }
    close(fd);
}

// The waker and listeners neither: FD_SET would write behind the set.
static void a_socket_of_its_own_that_select_cannot_wait_for_is_an_error(void) {
    const int wanted = RTPI_SOCKETS_FITS(FD_SETSIZE) ? 0 : RTPUSH_SOCKETS_ERR_SOCKET;
    const rtpush_sockets_desc desc = port_desc();
    const rlim_t before = more_files();
    begin();
    use_low_descriptors();
    const int bound = rtpush_sockets_listen(&port, "127.0.0.1", 0, 0);
    CHECK(wanted ? bound == wanted : bound > 0);
    end();
    use_low_descriptors();
    CHECK(rtpush_sockets_init(&port, &srv, &desc) == wanted);
    rtpush_sockets_close(&port);
    while (low_count > 0) {
        close(low_fds[--low_count]);
    }
    set_files(before);
}

static uint32_t peer_of(const char *address) {
    rtpi_sockets_address at;
    CHECK(rtpi_sockets_parse(address, 1, &at) > 0);
    return rtpi_sockets_peer(&at);
}

static void peers_are_networks(void) {
    rtpi_sockets_address none;
    memset(&none, 0, sizeof none);
    CHECK(rtpi_sockets_peer(&none) == 0); // unknown
    CHECK(peer_of("192.0.2.7") == peer_of("::ffff:192.0.2.7"));
    CHECK(peer_of("192.0.2.7") != peer_of("192.0.2.8"));
    CHECK(peer_of("2001:db8::1") == peer_of("2001:db8::ffff:c000:207")); // one /64
    CHECK(peer_of("2001:db8::1") != peer_of("2001:db8:0:1::1"));
    CHECK(peer_of("::fffe:c000:207") == peer_of("::1"));
}

// The least buffer, and every option left to the system: spans larger than the buffer, and more of
// them than it holds.
static void the_least_buffer_serves(void) {
    rtpush_sockets_desc desc = port_desc();
    desc.buffer_size = 64;
    desc.send_buffer = 0;
    desc.backlog = 0;
    begin_with(&desc, NULL);
    const int fd = dial();
    CHECK(says_hello(fd));
    upgrade(fd);
    static char event[200];
    for (int i = 0; i < 8; i++) {
        memset(event, 'a' + i, sizeof event);
        CHECK(rtpush_publish(&srv, 0, event, i % 2 ? sizeof event : 10) == RTPUSH_OK);
    }
    CHECK(drain(fd) == 4 * (2 + 10) + 4 * (4 + 200));
    const char *at = text;
    for (int i = 0; i < 8; i++) { // what was joined is whole, and in order
        const size_t len = i % 2 ? sizeof event : 10;
        memset(event, 'a' + i, sizeof event);
        at += i % 2 ? 4 : 2;
        CHECK(memcmp(at, event, len) == 0);
        at += len;
    }
    const int other = dial();
    say(other, GET("/big"));
    CHECK(drain(other) > BIG);
    close(fd);
    close(other);
    end();
}

// What the desc says reaches the sockets. Linux reports a send buffer of twice what was asked for.
static void sockets_have_what_the_desc_says(void) {
    for (int own = 0; own < 2; own++) {
        rtpush_sockets_desc desc = port_desc();
        struct sockaddr_in at;
        socklen_t len = sizeof at;
        desc.send_buffer = own ? 8192 : 0;
        desc.backlog = own ? 3 : 0;
        begin_with(&desc, NULL);
        const int second = rtpush_sockets_listen(&port, NULL, 0, RTPUSH_LISTENER_SECURE);
        const int fd = dial();
        steps(2);
        number = second;
        const int secure = dial();
        steps(2);
        const int listener = port.listeners[0];
        CHECK(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
        CHECK(at.sin_addr.s_addr == htonl(INADDR_ANY)); // NULL: all
        CHECK(option_of(listener, SOL_SOCKET, SO_REUSEADDR) != 0);
        CHECK(backlog_seen == (own ? 3 : 4));
        CHECK(option_of(port.slots[0].fd, IPPROTO_TCP, TCP_NODELAY) != 0);
        CHECK((option_of(port.slots[0].fd, SOL_SOCKET, SO_SNDBUF) == 2 * 8192) == own);
        CHECK(says_hello(fd) && !seen_secure);
        CHECK(says_hello(secure) && seen_secure);
        close(fd);
        close(secure);
        end();
    }
}

// A write to a socket that is shut down raises SIGPIPE, which would end the program.
static void writes_raise_no_signal(void) {
    begin();
    const int fd = dial();
    steps(2);
    CHECK(shutdown(port.slots[0].fd, SHUT_WR) == 0);
    say(fd, GET("/hello"));
    steps(3);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0);
    close(fd);
    end();
}

static void read_is_tried_again_or_ends(void) {
    static const int later[] = {EAGAIN, EINTR};
    for (int i = 0; i < 2; i++) {
        begin();
        const int fd = dial();
        steps(2);
        fault("recv", 0, 1, later[i], -1);
        CHECK(says_hello(fd) && fault_hits == 1);
        close(fd);
        end();
    }
    begin();
    const int fd = dial();
    say(fd, GET("/later"));
    steps(3);
    fault("recv", 0, 1, ECONNRESET, -1);
    say(fd, "x");
    steps(3);
    CHECK(closed == 1 && rtpush_get_counters(&srv)->slots_used == 0);
    close(fd);
    end();
}

static void write_is_tried_again_or_ends(void) {
    static const int later[] = {EAGAIN, EINTR, ENOBUFS, ENOMEM};
    for (int i = 0; i < 4; i++) {
        begin();
        const int fd = dial();
        say(fd, GET("/big"));
        fault("send", 3, 2, later[i], -1);
        CHECK(drain(fd) > BIG && fault_hits == 2);
        close(fd);
        end();
    }
    begin();
    const int fd = dial();
    say(fd, GET("/big"));
    fault("send", 1, 1, EPIPE, -1);
    steps(8);
    CHECK(closed == 1 && rtpush_get_counters(&srv)->slots_used == 0);
    close(fd);
    end();
}

// Without memory no event says when there is some again.
static void want_of_memory_is_not_waited_for(void) {
    begin();
    const int fd = dial();
    say(fd, GET("/hello"));
    fault("send", 0, 1, ENOBUFS, -1);
    for (int i = 0; i < 5 && fault_hits == 0; i++) {
        steps(1);
    }
    waited_ms = -1;
    CHECK(rtpush_sockets_step(&port, -1) == 1);
    CHECK(waited_ms > 0 && waited_ms <= 20);
    CHECK(drain(fd) > 0 && strstr(text, "hello") != NULL);
    close(fd);
    end();
}

static void short_writes_lose_nothing(void) {
    begin();
    const int fd = dial();
    for (size_t most = 1; most < 400; most = most * 3u + 1u) {
        most_sent = most;
        say(fd, GET("/hello"));
        CHECK(drain(fd) > 0 && strstr(text, "hello") != NULL);
    }
    most_sent = 7;
    upgrade(fd);
    for (int i = 0; i < 40; i++) {
        static const uint8_t frame[] = {0x82, 0x84, 0, 0, 0, 0, 'a', 'b', 'c', 'd'};
        CHECK(send(fd, frame, sizeof frame, 0) == (ssize_t)sizeof frame);
    }
    CHECK(drain(fd) == 40 * 6 && memcmp(text + 39 * 6, "\x82\x04" "abcd", 6) == 0);
    close(fd);
    end();
}

// The core takes no more messages than it can answer; the rest stays in the buffer and the kernel.
static void held_bytes_are_offered_after_progress(void) {
    enum { MESSAGES = 400, LEN = 100 };
    static uint8_t frames[MESSAGES][LEN + 6];
    size_t at = 0;
    long got = 0;
    begin();
    const int fd = dial();
    const int other = dial();
    upgrade(fd);
    for (int i = 0; i < MESSAGES; i++) {
        frames[i][0] = 0x82;
        frames[i][1] = 0x80 | LEN;
        frames[i][6] = (uint8_t)i;
    }
    room = 0;
    for (int i = 0; i < 50 && at < sizeof frames; i++) {
        const ssize_t n = send(fd, (uint8_t *)frames + at, sizeof frames - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        steps(1);
    }
    CHECK(rtpush_get_counters(&srv)->messages_in < 20);
    waited_ms = -1;
    CHECK(rtpush_sockets_step(&port, 5) == 1); // what is held does not keep the loop awake
    CHECK(waited_ms == 5);
    int held = 0;
    for (uint32_t i = 0; i < port.slot_count; i++) {
        held += port.slots[i].len > 0 && !(rtpi_sockets_events(&port.slots[i]) & RTPI_SOCKETS_IN);
    }
    CHECK(held == 1);
    room = (size_t)-1;
    CHECK(says_hello(other)); // and the others are served
    while (at < sizeof frames || got < MESSAGES * (LEN + 2)) {
        const ssize_t n = send(fd, (uint8_t *)frames + at, sizeof frames - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        const long part = drain(fd);
        CHECK(part > 0 || n > 0);
        if (wrong) {
            break;
        }
        got += part;
    }
    CHECK(got == MESSAGES * (LEN + 2));
    close(fd);
    close(other);
    end();
}

// Where there is no half-close the connection is closed, which the peer sees as FIN.
static void shutdown_that_fails_closes(void) {
    begin();
    const int fd = dial();
    fault("shutdown", 0, 1, ENOTSUP, -1);
    say(fd, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(drain(fd) < -1 && error == 0 && strstr(text, "hello") != NULL);
    CHECK(fault_hits == 1 && lingers == 0);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0);
    close(fd);
    end();
}

// RFC 9112 9.6: FIN first, then what the peer still sends is read and discarded.
static void close_waits_for_the_peer(void) {
    begin();
    const int fd = dial();
    say(fd, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(drain(fd) < -1 && error == 0);
    CHECK(rtpush_get_counters(&srv)->slots_used == 1);
    say(fd, "more that nobody wants");
    steps(3);
    shutdown(fd, SHUT_WR);
    steps(3);
    CHECK(rtpush_get_counters(&srv)->slots_used == 0 && lingers == 0);
    close(fd);
    end();
}

// RFC 9112 9.6: a reset would take the answer with it.
static void rtpush_sockets_close_resets_none_that_has_its_fin(void) {
    begin();
    const int fd = dial();
    say(fd, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    steps(3);
    CHECK(rtpush_get_counters(&srv)->slots_used == 1);
    rtpush_sockets_close(&port);
    CHECK(lingers == 0);
    const ssize_t got = recv(fd, text, sizeof text - 1u, 0);
    text[got > 0 ? got : 0] = '\0';
    CHECK(strstr(text, "hello") != NULL && recv(fd, text, sizeof text, 0) == 0);
    close(fd);
    end();
}

static void request_and_end_in_one_segment(void) {
    begin();
    const int fd = dial();
    say(fd, GET("/hello"));
    shutdown(fd, SHUT_WR);
    CHECK(drain(fd) < -1 && error == 0 && strstr(text, "hello") != NULL);
    close(fd);
    end();
}

// The peer has finished, and waits for its answer.
static void a_half_closed_peer_gets_its_answer(void) {
    begin();
    const int fd = dial();
    say(fd, GET("/later"));
    shutdown(fd, SHUT_WR);
    steps(3);
    waited_ms = -1;
    steps(1); // its end, which is still to be read, is not waited for
    CHECK(waited_ms > 0);
    CHECK(rtpush_reply_text(&srv, waiting, 200, "late") == RTPUSH_OK);
    CHECK(drain(fd) < -1 && error == 0 && strstr(text, "late") != NULL);
    close(fd);
    end();
}

static void an_aborted_answer_is_reset(void) {
    begin();
    const int fd = dial();
    say(fd, GET("/later"));
    steps(3);
    rtpush_abort(&srv, waiting);
    CHECK(drain(fd) == -1 && error == ECONNRESET && lingers == 1);
    close(fd);
    end();
}

// A reader that takes nothing is ended after stall_ms, and the others do not notice.
static void a_stalled_reader_is_reset(void) {
    begin();
    const int fd = dial();
    const int other = dial();
    say(fd, GET("/big"));
    steps(20);
    for (int i = 0; i < 30 && closed == 0; i++) {
        ahead_ms += 1000;
        steps(2);
        CHECK(says_hello(other));
    }
    CHECK(closed == 1 && rtpush_get_counters(&srv)->reasons[RTPUSH_REASON_STALLED] == 1);
    close(fd);
    close(other);
    end();
}

static void waiting_fails(void) {
    begin();
    fault("wait", 0, 1, EINTR, -1);
    CHECK(rtpush_sockets_step(&port, 0) == 1 && fault_hits == 1);
    fault("wait", 0, 1, EINVAL, -1);
    CHECK(rtpush_sockets_step(&port, 0) == RTPUSH_SOCKETS_ERR_WAIT && port.error == EINVAL);
    fault("wait", 1, 1, ENOMEM, -1);
    waited_ms = -1;
    CHECK(rtpush_sockets_run(&port) == RTPUSH_SOCKETS_ERR_WAIT);
    CHECK(waited_ms > 100); // it sleeps where nothing is to be done
    end();
}

static void the_clock_wraps(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint32_t now_ms = (uint32_t)((uint64_t)now.tv_sec * 1000u);
    ahead_ms = (0u - now_ms) / 1000u * 1000u - 3000u;
    begin();
    const int fd = dial();
    for (int i = 0; i < 6; i++) {
        CHECK(says_hello(fd));
        ahead_ms += 1000;
    }
    CHECK(port.now_ms < 10000u);
    close(fd);
    end();
}

static void loop_sleeps_a_second_at_most(void) {
    begin();
    waited_ms = -1;
    CHECK(rtpush_sockets_step(&port, -1) == 1);
    CHECK(waited_ms > 100 && waited_ms <= 1000);
    end();
}

// -- what other tasks may call --------------------------------------------------------------------

static int answered;

static void answer(rtpush_server *server, void *arg) {
    answered++;
    rtpush_reply_text(server, *(rtpush_handle *)arg, 200, "late");
}

static void *call_answer(void *unused) {
    usleep(30000);
    (void)unused;
    CHECK(rtpush_sockets_call(&port, answer, &waiting) == 0);
    return NULL;
}

static void *publish(void *unused) {
    usleep(30000);
    (void)unused;
    CHECK(rtpush_publish_from(&srv, 0, "news", 4) == RTPUSH_OK);
    return NULL;
}

static void *stop(void *unused) {
    usleep(30000);
    (void)unused;
    rtpush_sockets_stop(&port);
    return NULL;
}

// One long wait is ended by what the thread does.
static void another_task_wakes_the_loop(void) {
    pthread_t thread;
    begin();
    const int fd = dial();
    const int reader = dial();
    say(reader, GET("/events"));
    say(fd, GET("/later"));
    (void)drain(reader);
    answered = 0;
    pthread_create(&thread, NULL, call_answer, NULL);
    for (int i = 0; i < 4 && answered == 0; i++) {
        CHECK(rtpush_sockets_step(&port, 600) == 1);
    }
    pthread_join(thread, NULL);
    CHECK(answered == 1 && drain(fd) > 0 && strstr(text, "late") != NULL);
    pthread_create(&thread, NULL, publish, NULL);
    CHECK(rtpush_sockets_step(&port, 600) == 1);
    pthread_join(thread, NULL);
    CHECK(drain(reader) > 0 && strstr(text, "data: news") != NULL);
    close(fd);
    close(reader);
    end();
}

static void a_lost_datagram_delays_by_a_second(void) {
    pthread_t thread;
    begin();
    const int fd = dial();
    say(fd, GET("/later"));
    (void)drain(fd);
    answered = 0;
    lost_fd = port.wake;
    pthread_create(&thread, NULL, call_answer, NULL);
    for (int i = 0; i < 3 && answered == 0; i++) {
        CHECK(rtpush_sockets_step(&port, -1) == 1);
    }
    pthread_join(thread, NULL);
    CHECK(answered == 1);
    close(fd);
    end();
}

// lwIP: one task at a time may send on a socket. Who finds another one there leaves it the second
// datagram, and nobody sends while the loop is awake.
static void tasks_that_wake_send_one_after_the_other(void) {
    begin();
    datagrams = 0;
    rtpi_sockets_on_wake(&port);
    CHECK(datagrams == 0 && port.signalled); // it looks again before it sleeps
    waited_ms = -1;
    CHECK(rtpush_sockets_step(&port, 50) == 1 && waited_ms == 0);
    port.asleep = 1;
    again = 1;
    rtpi_sockets_on_wake(&port);
    CHECK(datagrams == 2 && !again && !port.sending && !port.again && !port.asleep);
    steps(1);
    end();
}

static int order[2 * RTPUSH_SOCKETS_CALLS];
static int order_count;

static void note(rtpush_server *server, void *arg) {
    (void)server;
    order[order_count] = *(int *)arg;
    order_count++;
    if (order_count == 1) { // one more from inside
        CHECK(rtpush_sockets_call(&port, note, arg) == 0);
    }
}

static void calls_run_in_order_and_are_counted(void) {
    static int numbers[RTPUSH_SOCKETS_CALLS + 1];
    begin();
    order_count = 0;
    for (int i = 0; i < RTPUSH_SOCKETS_CALLS; i++) {
        numbers[i] = i;
        CHECK(rtpush_sockets_call(&port, note, &numbers[i]) == 0);
    }
    CHECK(rtpush_sockets_call(&port, note, &numbers[0]) == RTPUSH_SOCKETS_ERR_FULL);
    CHECK(order_count == 0);
    waited_ms = -1;
    CHECK(rtpush_sockets_step(&port, -1) == 1);
    CHECK(order_count == RTPUSH_SOCKETS_CALLS && waited_ms == 0); // a step runs so many
    steps(1);
    CHECK(order_count == RTPUSH_SOCKETS_CALLS + 1);
    for (int i = 0; i < RTPUSH_SOCKETS_CALLS; i++) {
        CHECK(order[i] == i);
    }
    end();
}

static void stop_says_good_bye_and_the_port_begins_again(void) {
    pthread_t thread;
    for (int round = 0; round < 2; round++) {
        begin();
        const int fd = dial();
        upgrade(fd);
        pthread_create(&thread, NULL, stop, NULL);
        for (int i = 0; i < 50 && !port.stopping; i++) {
            CHECK(rtpush_sockets_step(&port, 600) == 1);
        }
        pthread_join(thread, NULL);
        CHECK(drain(fd) >= 4 && (uint8_t)text[0] == 0x88); // RFC 6455 7.4.1: 1001
        close(fd);
        CHECK(rtpush_sockets_run(&port) == 0 && closed == 1);
        end();
    }
}

static void stop_has_a_deadline_and_twice_is_at_once(void) {
    begin();
    const int fd = dial();
    say(fd, GET("/later"));
    (void)drain(fd);
    rtpush_sockets_stop(&port);
    steps(3);
    CHECK(closed == 0);
    ahead_ms += 6000;
    CHECK(rtpush_sockets_step(&port, 0) == 0 && closed == 1);
    close(fd);
    end();
    begin();
    const int again = dial();
    say(again, GET("/later"));
    (void)drain(again);
    rtpush_sockets_stop(&port);
    steps(1);
    rtpush_sockets_stop(&port);
    CHECK(rtpush_sockets_step(&port, 0) == 0 && closed == 1 && lingers == 1);
    close(again);
    end();
}

static void stop_wakes_at_its_deadline(void) {
    rtpush_sockets_desc desc = port_desc();
    desc.stop_ms = 300;
    no_clock = 1;
    ahead_ms = 5000;
    begin_with(&desc, "127.0.0.1");
    const int fd = dial();
    say(fd, GET("/later"));
    (void)drain(fd);
    rtpush_sockets_stop(&port);
    steps(1);
    waited_ms = -1;
    CHECK(rtpush_sockets_step(&port, -1) == 1 && waited_ms == 300);
    ahead_ms += 299;
    CHECK(rtpush_sockets_step(&port, -1) == 1 && closed == 0);
    ahead_ms++;
    CHECK(rtpush_sockets_step(&port, -1) == 0 && closed == 1);
    close(fd);
    end();
}

// The system takes all, and there is always more: a step has 16 writes of each connection before
// its wait, and 16 behind it.
static void writes_of_a_step_are_bounded(void) {
    rtpush_sockets_desc desc = port_desc();
    desc.buffer_size = 64; // each event is sent by a call of its own
    begin_with(&desc, "127.0.0.1");
    const int fd = dial();
    upgrade(fd);
    lost_fd = port.slots[0].fd;
    for (int i = 0; i < 33; i++) {
        CHECK(rtpush_publish(&srv, 0, big, 100) == RTPUSH_OK);
    }
    const uint32_t before = rtpush_get_counters(&srv)->bytes_out;
    steps(1);
    CHECK(rtpush_get_counters(&srv)->bytes_out - before == 32 * 102);
    steps(1);
    CHECK(rtpush_get_counters(&srv)->bytes_out - before == 33 * 102);
    close(fd);
    end();
}

// Each message brings an event, so its connection always has something to do: a step ends
// nevertheless, and others are served in it.
static void endless_work_of_one_connection_does_not_starve_others(void) {
    enum { MANY = 20000 };
    static uint8_t many[MANY][26]; // messages of 20 bytes
    size_t at = 0;
    begin();
    const int fd = dial();
    const int other = dial();
    upgrade(fd);
    lost_fd = port.slots[0].fd;
    events = 1;
    for (int i = 0; i < MANY; i++) {
        many[i][0] = 0x82;
        many[i][1] = 0x80 | 20;
    }
    ssize_t n;
    do {
        n = send(fd, (uint8_t *)many + at, sizeof many - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
    } while (n > 0 && at < sizeof many);
    say(other, GET("/hello"));
    steps(2);
    CHECK(rtpush_get_counters(&srv)->messages_in < at / 26);
    CHECK(recv(other, text, sizeof text, 0) > 0 && strstr(text, "hello") != NULL);
    close(fd);
    close(other);
    end();
}

// The largest answer and a crowd: nobody has all of a step.
static void steps_are_bounded(void) {
    int fd[20];
    begin();
    const int greedy = dial();
    say(greedy, GET("/big"));
    steps(1);
    most_sent = 16;
    fault("send", 0, 0, 0, -1);
    const uint32_t before = rtpush_get_counters(&srv)->bytes_out;
    steps(1);
    CHECK(rtpush_get_counters(&srv)->bytes_out - before <= 16u * 2u * 16u);
    most_sent = 1u << 20;
    for (int i = 0; i < 20; i++) {
        fd[i] = dial();
    }
    accepts = 0;
    CHECK(rtpush_sockets_step(&port, 0) == 1);
    CHECK(accepts == 8);
    steps(5);
    for (int i = 0; i < 20; i++) {
        close(fd[i]);
    }
    close(greedy);
    end();
}

static void every_result_has_a_text(void) {
    for (int i = RTPUSH_SOCKETS_ERR_WAIT; i < 0; i++) {
        CHECK(rtpush_sockets_strerror(i)[0] != '\0');
    }
    CHECK(strstr(rtpush_sockets_strerror(RTPUSH_SOCKETS_NO_RESET), "LWIP_SO_LINGER") != NULL);
    CHECK(rtpush_sockets_strerror(0)[0] == '\0');
}

static const fault_test tests[] = {
    TEST(init_refuses_memory),
    TEST(parts_of_the_memory_do_not_overlap),
    TEST(init_fails_for_each_call),
    TEST(init_tries_the_waker),
    TEST(listen_fails_for_each_call),
    TEST(listeners_are_counted_and_all_serve),
    TEST(addresses_of_ipv6_and_mapped_ones),
    TEST(accept_pauses_without_descriptors),
    TEST(accept_goes_on_after_an_aborted_connection),
    TEST(a_connection_that_cannot_be_set_up_is_reset),
    TEST(a_newcomer_to_a_full_port_is_judged_by_the_core),
    TEST(a_newcomer_without_a_slot_of_the_port_is_reset),
    TEST(a_socket_that_select_cannot_wait_for_is_reset),
    TEST(a_socket_of_its_own_that_select_cannot_wait_for_is_an_error),
    TEST(peers_are_networks),
    TEST(the_least_buffer_serves),
    TEST(sockets_have_what_the_desc_says),
    TEST(writes_raise_no_signal),
    TEST(read_is_tried_again_or_ends),
    TEST(write_is_tried_again_or_ends),
    TEST(want_of_memory_is_not_waited_for),
    TEST(short_writes_lose_nothing),
    TEST(held_bytes_are_offered_after_progress),
    TEST(shutdown_that_fails_closes),
    TEST(close_waits_for_the_peer),
    TEST(rtpush_sockets_close_resets_none_that_has_its_fin),
    TEST(request_and_end_in_one_segment),
    TEST(a_half_closed_peer_gets_its_answer),
    TEST(an_aborted_answer_is_reset),
    TEST(a_stalled_reader_is_reset),
    TEST(waiting_fails),
    TEST(the_clock_wraps),
    TEST(loop_sleeps_a_second_at_most),
    TEST(another_task_wakes_the_loop),
    TEST(a_lost_datagram_delays_by_a_second),
    TEST(tasks_that_wake_send_one_after_the_other),
    TEST(calls_run_in_order_and_are_counted),
    TEST(stop_says_good_bye_and_the_port_begins_again),
    TEST(stop_has_a_deadline_and_twice_is_at_once),
    TEST(stop_wakes_at_its_deadline),
    TEST(writes_of_a_step_are_bounded),
    TEST(endless_work_of_one_connection_does_not_starve_others),
    TEST(steps_are_bounded),
    TEST(every_result_has_a_text),
};

int main(void) {
    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
