// rtpush_posix.h - v0.1 - rtpush.h on Linux, BSD, macOS: the event loop - MIT-0 or public domain
//
// One thread, one loop over epoll (Linux) or poll (everything else), any number of servers.
// No allocation: all memory is yours.
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     #define RTPUSH_POSIX_IMPLEMENTATION
//     #include "rtpush_posix.h"    #include "rtpush_posix.h"
//
// QUICK START
//     static rtpush_posix port;
//     static uint64_t memory[RTPUSH_POSIX_WORDS(32)]; // 32 connections
//     ...
//     rtpush_posix_desc desc = {0};
//     desc.memory = memory;
//     desc.memory_size = sizeof(memory);
//     rtpush_posix_init(&port, &desc);                        // each 0 or more, or -1 and errno
//     rtpush_posix_listen(&port, &srv, "0.0.0.0", 8080, 0);   // after rtpush_init(&srv, ...)
//     rtpush_posix_run(&port);                                // until rtpush_posix_stop(&port)
//
//     In a loop of your own: rtpush_posix_step() instead of run, whenever rtpush_posix_fd() is
//     readable, after calls that send (rtpush_publish, _send, _reply, _authorize, _close ...), and
//     no later than the milliseconds it returned.
//     After a long wait make one before rtpush_authorize, _reply and _close too: the deadlines that
//     they begin count from the last step.
//
// NEEDS
//     POSIX.1-2008 sockets and pthread mutexes (link with -pthread where the C library wants it).
//     The usual -std=gnu99 shows them. With -std=c99 define _GNU_SOURCE (Linux: also spares two
//     system calls a connection) or _POSIX_C_SOURCE=200809L before the first #include of the file.
//
// CONTEXT
//     One thread calls everything here and in rtpush.h, with two exceptions:
//     rtpush_publish_from() from any thread (not from a signal handler: it takes a mutex), and
//     rtpush_posix_stop() from any thread or signal handler.
//
// BUFFERS AND BACK-PRESSURE
//     Connections own no buffer here: all share a small pool (8 of 32 KiB). Bytes that arrive go
//     into a free buffer and from there into the core, which usually takes them all; then the
//     buffer is free at once. What the core leaves stays in the buffer, held by that connection and
//     offered again after progress; until then nothing more is read from it, the kernel's buffer
//     fills and TCP slows the peer down.
//     Sending: one send, or sendmsg of up to 64 spans. Bytes that are the same for many readers are
//     written once, into memory of the port (128 KB for the first server on the loop, of which
//     almost no page is touched without streams), and sent to each of them by one send. If one read
//     gives more input than the core's small buffers can answer at once, the answers are gathered
//     in a second buffer of the pool, so that one read is still answered by one write. The kernel
//     copies, so sent bytes of the log may be evicted at once. A short write means that its buffer
//     (send_buffer) is full: nothing more is asked of the core for that connection until the socket
//     is writable again, which is when a third of the buffer is free. send_buffer is small on
//     purpose: megabytes there would be stale data.
//     Given to the kernel is not delivered. When a deadline comes, or a connection is to be
//     evicted, the core asks how much the peer has not acknowledged (Linux: SIOCOUTQ; FIONWRITE or
//     SO_NWRITE where they exist). A reader is stalled when in the core's stall_ms not one byte was
//     acknowledged, and is then reset; one that takes 1 KB/s is served to its end. On a system that
//     cannot report this, stalled readers are not detected: a connection is closed as usual after
//     close_ms, and the kernel delivers the rest for as long as it decides.
//     While only one buffer of the pool is free, connections wait for another one before they are
//     read. If none is given back for 20 ms, or the pool has only one, they peek at their bytes in
//     the kernel (MSG_PEEK), remove what the core took and send without gathering. That is slower,
//     but peers that hold buffers because they do not read cannot block the other connections.
//
// CLOSING
//     FIN from the core is shutdown(SHUT_WR), which the kernel sends after the bytes it holds, then
//     reading continues until the core drops the connection. A reset is SO_LINGER {1, 0} and close,
//     for answers that must not look complete; otherwise close alone. A peer's FIN reaches the core
//     after all its bytes were taken; an error ends the connection at once.
//     TCP_USER_TIMEOUT (user_timeout_ms) is off by default: it also counts the time in which a slow
//     reader keeps its window closed (tcp(7)), and resets it. If set, let it be above stall_ms.
//
// FAIRNESS
//     A connection moves about 64 KiB in one step, then the others are served. A step takes at most
//     256 events, and 64 new connections for each listener. When descriptors run out, accepting
//     pauses for 100 ms.
//
// OPTIONS (where the implementation is compiled)
//     RTPUSH_POSIX_POLL     poll() on Linux too. rtpush_posix_fd() gives -1.
//     RTPUSH_POSIX_EVENTFD  1: eventfd wakes the loop, 0: a pipe. (1 on Linux)
//
// TESTED ON
//     Linux 6.18 x86-64, gcc 12 and clang 14, epoll and poll.

#ifndef RTPUSH_POSIX_H
#define RTPUSH_POSIX_H

#ifndef RTPUSH_H
#error "include rtpush.h before rtpush_posix.h"
#endif

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------

enum {
    RTPUSH_POSIX_SERVERS = 8,  // most servers on one loop
    RTPUSH_POSIX_LISTENERS = 8 // most listening sockets on one loop
};

typedef struct rtpush_posix rtpush_posix;

// Zero everywhere means the default in parentheses. The memory must outlive the port.
typedef struct rtpush_posix_desc {
    void *memory;          // 8-byte aligned: uint64_t[RTPUSH_POSIX_WORDS(connections)], or
    size_t memory_size;    // RTPUSH_POSIX_SIZE(conn_count, buffer_count, buffer_size) bytes
    uint32_t conn_count;   // (what fits) the conn_count of all its servers together
    uint32_t buffer_count; // (8) buffers shared by all connections, 1 to 65,535
    uint32_t buffer_size;  // (32,768) bytes of one, 256 to 16 MiB
    int send_buffer;       // (65,536) SO_SNDBUF in bytes, -1: the kernel's own choice
    int user_timeout_ms;   // (off) Linux: TCP_USER_TIMEOUT, above the stall_ms of all servers
    int backlog;           // (SOMAXCONN) connections waiting to be accepted
    uint32_t stop_ms;      // (5,000) after rtpush_posix_stop: time for connections to end
} rtpush_posix_desc;

// Prepares the loop. -1 and errno: EINVAL memory missing, misaligned or too small; or what the
// system said (EMFILE ...). Undone by rtpush_posix_close.
int rtpush_posix_init(rtpush_posix *port, const rtpush_posix_desc *desc);
// Puts a server that rtpush_init prepared on this loop; rtpush_posix_listen does it too. -1 and
// errno ENOSPC: more than RTPUSH_POSIX_SERVERS.
int rtpush_posix_add(rtpush_posix *port, rtpush_server *srv);
// Accepts connections for srv. host: an IPv4 or IPv6 address; NULL: 127.0.0.1, this machine only;
// "0.0.0.0" all IPv4; "::" all of both. number: the TCP port, 0 picks a free one. flags:
// RTPUSH_LISTENER_SECURE if TLS is terminated in front of it. Returns the TCP port, or -1 and
// errno.
int rtpush_posix_listen(rtpush_posix *port, rtpush_server *srv, const char *host, unsigned number,
                        unsigned flags);
// Readable when rtpush_posix_step has something to do; -1 with poll().
int rtpush_posix_fd(const rtpush_posix *port);
// One step of the loop: timers, I/O, what was published. Waits at most max_wait_ms (0 not at all,
// -1 until something is due). Returns the milliseconds until it must be called again at the latest,
// or -1: errno 0 after rtpush_posix_stop, else what the system said.
int rtpush_posix_step(rtpush_posix *port, int max_wait_ms);
// Runs steps until rtpush_posix_stop and the end of all connections: 0. -1 and errno: the system
// failed.
int rtpush_posix_run(rtpush_posix *port);
// Any thread or signal handler: begins shutdown. Listeners close, rtpush_shutdown tells the peers,
// and after stop_ms what is left is reset. Called twice: reset at once.
void rtpush_posix_stop(rtpush_posix *port);
// Ends what is still open (on_close is called) and gives every descriptor back: a reset, but for
// connections whose data was all sent; what these have not received is left to the kernel. No other
// thread may still publish or stop: the mutex and the waker are destroyed.
void rtpush_posix_close(rtpush_posix *port);

// Random, never 0: for rtpush_desc.epoch.
uint32_t rtpush_posix_epoch(void);
// What rtpush_request.peer is for a peer with this address, such as "10.0.0.7" or "2001:db8::7"; 0:
// not an address. An IPv6 address has that of its /64. For rtpush_set_peer.
uint32_t rtpush_posix_peer(const char *address);
// From authorize: the address that the request came from, as text; of an IPv4 client it is that,
// also where IPv6 is listened on. Unlike rtpush_request.peer it is exact, and rtpush_set_peer does
// not change it. Returns out, or NULL: none is known here.
enum { RTPUSH_POSIX_ADDRESS_SIZE = 46 }; // bytes with the NUL
const char *rtpush_posix_address(const rtpush_posix *port, char out[RTPUSH_POSIX_ADDRESS_SIZE]);
// Raises the limit of open files (RLIMIT_NOFILE) for `conns` connections as far as allowed.
// Returns for how many connections it suffices.
uint32_t rtpush_posix_raise_files(uint32_t conns);

// -- sizes: public only so that memory can be static; the fields are private ----------------------

typedef struct rtpi_posix_slot { // one connection
    rtpush_conn *conn;
    int fd;
    uint32_t next; // ready queue or free list, index of a slot
    uint32_t prev;
    uint16_t held;   // 1 + index of the buffer with bytes the core left, 0 none
    uint16_t staged; // 1 + index of the buffer with bytes the kernel did not take yet, 0 none
    uint8_t server;  // index
    uint8_t flags;   // RTPI_POSIX_...
} rtpi_posix_slot;

typedef struct rtpi_posix_buffer { // one buffer of the pool
    uint32_t used;                 // bytes taken: by the core, or by the kernel if staged
    uint32_t len;                  // bytes in it
    uint32_t next;                 // free list
} rtpi_posix_buffer;

typedef struct rtpi_posix_listener {
    int fd;
    uint8_t server;
    uint8_t flags;   // RTPUSH_LISTENER_...
    uint8_t pending; // 1: connections may be waiting
} rtpi_posix_listener;

#define RTPI_POSIX_FIXED ((size_t)RTPUSH_POSIX_LISTENERS + 1u) // polled besides connections
#define RTPI_POSIX_PLAN_SIZE 32768u // bytes of a shared plan (rtpush_hooks.plan_memory)
#define RTPUSH_POSIX_SIZE(conns, buffers, buffer_size) \
    (((size_t)(conns) + 1u) * (sizeof(rtpi_posix_slot) + sizeof(struct pollfd)) + \
     RTPI_POSIX_FIXED * sizeof(struct pollfd) + (size_t)RTPUSH_PLANS * RTPI_POSIX_PLAN_SIZE + \
     (size_t)(buffers) * (sizeof(rtpi_posix_buffer) + (size_t)(buffer_size)))
#define RTPUSH_POSIX_WORDS(conns) ((RTPUSH_POSIX_SIZE(conns, 8u, 32768u) + 7u) / 8u)

struct rtpush_posix {
    rtpi_posix_slot *slots;
    struct pollfd *polls; // poll(): one a slot, after those in use the waker and the listeners
    rtpi_posix_buffer *buffers;
    uint8_t *bytes; // of all buffers
    uint8_t *plans; // shared plans of the first server
    uint32_t slot_count;
    uint32_t slots_top;   // slots from here on were never used
    uint32_t slots_free;  // first of the free list
    uint32_t ready_first; // connections to serve in this or the next step
    uint32_t ready_last;
    uint32_t ready_count;
    uint32_t buffer_size;
    uint32_t own;           // index of the buffer that is read into
    uint32_t buffers_first; // first free one of the others
    uint32_t buffers_free;  // count
    uint32_t waiting;       // connections in the ready queue for which no buffer was free, at most
    uint32_t given_ms;      // when the last free one was taken, or one was given back
    uint32_t now_ms;
    uint32_t pause_ms; // when accepting goes on, if paused
    uint32_t stop_at_ms;
    uint32_t stop_ms;
    int send_buffer;
    int user_timeout_ms;
    int backlog;
    int asking;  // whose input the core is given now, or -1
    int poller;  // epoll, or -1
    int wake[2]; // read end, write end; the same with eventfd
    uint8_t server_count;
    uint8_t listener_count;
    uint8_t paused;   // out of descriptors
    uint8_t stopping; // rtpush_shutdown was called
    volatile sig_atomic_t stop; // 1: graceful, 2: at once
    pthread_mutex_t mutex;
    rtpush_server *servers[RTPUSH_POSIX_SERVERS];
    rtpi_posix_listener listeners[RTPUSH_POSIX_LISTENERS];
};

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_POSIX_H

// >>implementation -------------------------------------------------------------------------------

#ifdef RTPUSH_POSIX_IMPLEMENTATION

#include <unistd.h>

#if defined(__linux__) && !defined(_GNU_SOURCE) && !defined(_POSIX_C_SOURCE)
#error "with -std=c99 define _GNU_SOURCE before the first #include, or compile with -D_GNU_SOURCE"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

#if defined(__linux__) && !defined(RTPUSH_POSIX_POLL)
#define RTPI_POSIX_EPOLL 1
#include <sys/epoll.h>
#else
#define RTPI_POSIX_EPOLL 0
#endif

#ifndef RTPUSH_POSIX_EVENTFD
#ifdef __linux__
#define RTPUSH_POSIX_EVENTFD 1
#else
#define RTPUSH_POSIX_EVENTFD 0
#endif
#endif
#if RTPUSH_POSIX_EVENTFD
#include <sys/eventfd.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Terms. A slot is this port's record of one connection. The flags READ and WRITE say that the
// socket may have bytes or room; epoll tells changes only (EPOLLET), so they stay set until a
// system call has shown otherwise: no epoll_ctl after the first, and an echo is one recv and one
// send. Events are served one after the other. That may free slots of which further events tell,
// but uses none again: connections are accepted after all events.
//
// Invariants. A slot is in the ready queue if and only if QUEUED. Nothing is read while the core
// has left bytes (held or REFUSED): they are offered again when rtpush_next names the connection
// or something was sent, not when more arrives. Staged bytes go before all others: while there are
// any, nothing is written past them.

enum {
    RTPI_POSIX_READ = 1,     // there may be bytes to read
    RTPI_POSIX_WRITE = 2,    // there may be room to write
    RTPI_POSIX_HUP = 4,      // the peer has finished: read until 0, a short read proves nothing
    RTPI_POSIX_EOF = 8,      // the core was told of the end
    RTPI_POSIX_REFUSED = 16, // the core left bytes, and they are still in the kernel
    RTPI_POSIX_QUEUED = 32,  // in the ready queue
    RTPI_POSIX_ERROR = 64,   // the socket has failed
    RTPI_POSIX_FIN = 128     // nothing more is to be sent
};

enum {
    RTPI_POSIX_SPANS = 64,     // of one sendmsg; far below IOV_MAX everywhere
    RTPI_POSIX_EVENTS = 256,   // of one epoll_wait
    RTPI_POSIX_ACCEPTS = 64,   // of one listener and step
    RTPI_POSIX_BUDGET = 65536, // bytes of one connection and step
    RTPI_POSIX_CALL = 1024,    // bytes a system call counts for at least
    RTPI_POSIX_PAUSE_MS = 100, // without descriptors
    RTPI_POSIX_WAIT_MS = 20    // for a buffer
};

#define RTPI_POSIX_NONE 0xFFFFFFFFu
#define RTPI_POSIX_WAKE_ID 0xFFFFFFFFu     // epoll data: the waker
#define RTPI_POSIX_LISTENER_ID 0xFFFFFF00u // + index of the listener; below: index of a slot

#ifdef MSG_NOSIGNAL
#define RTPI_POSIX_NOSIGNAL MSG_NOSIGNAL
#else
#define RTPI_POSIX_NOSIGNAL 0 // macOS: SO_NOSIGPIPE on the socket instead
#endif

// rtpush_posix_stop comes from signal handlers and from other threads: volatile sig_atomic_t is
// right for the first, the compilers' atomics for the second.
static int rtpi_posix_stop_get(const rtpush_posix *port) {
#ifdef __GNUC__
    return (int)__atomic_load_n(&port->stop, __ATOMIC_ACQUIRE);
#else
    return (int)port->stop;
#endif
}

static void rtpi_posix_stop_set(rtpush_posix *port, int value) {
#ifdef __GNUC__
    __atomic_store_n(&port->stop, value, __ATOMIC_RELEASE);
#else
    port->stop = value;
#endif
}

static uint32_t rtpi_posix_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

// 1 if the time `at` has come; right across the wrap.
static int rtpi_posix_reached(uint32_t now_ms, uint32_t at) {
    return (uint32_t)(now_ms - at) < 0x80000000u;
}

// Nothing now, and no failure. POSIX allows two names for it; where they are one number, asking for
// both is a comparison that never holds.
static int rtpi_posix_not_now(void) {
#if EAGAIN == EWOULDBLOCK
    return errno == EAGAIN;
#else
    return errno == EAGAIN || errno == EWOULDBLOCK;
#endif
}

static void rtpi_posix_option(int fd, int level, int name, int value) {
    // A failure costs only speed, so it is ignored.
    (void)setsockopt(fd, level, name, &value, (socklen_t)sizeof(value));
}

static int rtpi_posix_nonblocking(int fd) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return -1;
    }
    return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Closes with a reset: without it an aborted answer would look complete to the peer. What the
// kernel still holds is lost.
static void rtpi_posix_reset(int fd) {
    struct linger now;
    now.l_onoff = 1;
    now.l_linger = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, (socklen_t)sizeof(now));
    (void)close(fd);
}

// >>slots: free list, ready queue, buffers -------------------------------------------------------

static uint32_t rtpi_posix_index(const rtpush_posix *port, const rtpi_posix_slot *slot) {
    return (uint32_t)(slot - port->slots);
}

static void rtpi_posix_enqueue(rtpush_posix *port, rtpi_posix_slot *slot) {
    if (slot->flags & RTPI_POSIX_QUEUED) {
        return;
    }
    const uint32_t index = rtpi_posix_index(port, slot);
    slot->flags |= RTPI_POSIX_QUEUED;
    slot->next = RTPI_POSIX_NONE;
    slot->prev = port->ready_last;
    if (port->ready_last == RTPI_POSIX_NONE) {
        port->ready_first = index;
    } else {
        port->slots[port->ready_last].next = index;
    }
    port->ready_last = index;
    port->ready_count++;
}

static inline void rtpi_posix_dequeue(rtpush_posix *port, rtpi_posix_slot *slot) {
    if (!(slot->flags & RTPI_POSIX_QUEUED)) {
        return;
    }
    slot->flags &= (uint8_t)~RTPI_POSIX_QUEUED;
    if (slot->prev == RTPI_POSIX_NONE) {
        port->ready_first = slot->next;
    } else {
        port->slots[slot->prev].next = slot->next;
    }
    if (slot->next == RTPI_POSIX_NONE) {
        port->ready_last = slot->prev;
    } else {
        port->slots[slot->next].prev = slot->prev;
    }
    port->ready_count--;
    port->waiting -= port->waiting > 0; // perhaps it did
}

static uint32_t rtpi_posix_buffer_take(rtpush_posix *port) {
    const uint32_t index = port->buffers_first;
    port->buffers_first = port->buffers[index].next;
    port->buffers_free--;
    if (port->buffers_free == 0) {
        port->given_ms = port->now_ms;
    }
    return index;
}

static void rtpi_posix_buffer_give(rtpush_posix *port, uint32_t index) {
    port->buffers[index].next = port->buffers_first;
    port->buffers_first = index;
    port->buffers_free++;
    port->waiting = 0; // who waits for one may go on
    port->given_ms = port->now_ms;
}

static uint8_t *rtpi_posix_buffer_data(const rtpush_posix *port, uint32_t index) {
    return port->bytes + (size_t)index * port->buffer_size;
}

static rtpi_posix_slot *rtpi_posix_slot_take(rtpush_posix *port) {
    rtpi_posix_slot *slot = NULL;
    if (port->slots_free != RTPI_POSIX_NONE) {
        slot = &port->slots[port->slots_free];
        port->slots_free = slot->next;
    } else if (port->slots_top < port->slot_count) {
        slot = &port->slots[port->slots_top];
        port->slots_top++;
    } else {
        return NULL;
    }
    memset(slot, 0, sizeof(*slot));
    return slot;
}

// Releases all that the connection has. The core has freed its slot already.
static void rtpi_posix_slot_give(rtpush_posix *port, rtpi_posix_slot *slot, int reset) {
    rtpi_posix_dequeue(port, slot);
    if (slot->held > 0) {
        rtpi_posix_buffer_give(port, slot->held - 1u);
    }
    if (slot->staged > 0) {
        rtpi_posix_buffer_give(port, slot->staged - 1u);
    }
    if (reset) {
        rtpi_posix_reset(slot->fd);
    } else {
        (void)close(slot->fd);
    }
    slot->fd = -1;
    slot->conn = NULL;
#if !RTPI_POSIX_EPOLL
    port->polls[rtpi_posix_index(port, slot)].fd = -1;
#endif
    slot->next = port->slots_free;
    port->slots_free = rtpi_posix_index(port, slot);
    port->paused = 0; // a descriptor is free again
}

static rtpush_server *rtpi_posix_server(const rtpush_posix *port, const rtpi_posix_slot *slot) {
    return port->servers[slot->server];
}

static void rtpi_posix_gone(rtpush_posix *port, rtpi_posix_slot *slot) {
    rtpush_gone(rtpi_posix_server(port, slot), slot->conn);
    rtpi_posix_slot_give(port, slot, 0);
}

// >>hooks ----------------------------------------------------------------------------------------

static void rtpi_posix_on_drop(void *ctx, rtpush_conn *conn, void *slot, int reset) {
    (void)conn;
    rtpi_posix_slot_give((rtpush_posix *)ctx, (rtpi_posix_slot *)slot, reset);
}

// Bytes the peer has not acknowledged: those that are staged, and what the kernel holds, FIN
// included where it counts that.
static uint32_t rtpi_posix_on_pending(void *ctx, const rtpush_conn *conn, void *memory) {
    const rtpush_posix *port = (const rtpush_posix *)ctx;
    const rtpi_posix_slot *slot = (const rtpi_posix_slot *)memory;
    uint32_t staged = 0;
    int held = 0;
    (void)conn;
    if (slot->staged > 0) {
        const rtpi_posix_buffer *buffer = &port->buffers[slot->staged - 1u];
        staged = buffer->len - buffer->used;
    }
#if defined(SIOCOUTQ)
    const int failed = ioctl(slot->fd, SIOCOUTQ, &held);
#elif defined(FIONWRITE)
    const int failed = ioctl(slot->fd, FIONWRITE, &held);
#elif defined(SO_NWRITE)
    socklen_t len = (socklen_t)sizeof(held);
    const int failed = getsockopt(slot->fd, SOL_SOCKET, SO_NWRITE, &held, &len);
#else
    const int failed = -1;
#endif
    return staged + (failed ? 0u : (uint32_t)held);
}

// Async-signal-safe. A full pipe or counter means that the loop is about to run anyway.
static void rtpi_posix_on_wake(void *ctx) {
    const rtpush_posix *port = (const rtpush_posix *)ctx;
    const int saved_errno = errno;
#if RTPUSH_POSIX_EVENTFD
    const uint64_t one = 1;
    const ssize_t n = write(port->wake[1], &one, sizeof(one));
#else
    const char one = 1;
    const ssize_t n = write(port->wake[1], &one, 1);
#endif
    (void)n;
    errno = saved_errno;
}

static void rtpi_posix_woken(const rtpush_posix *port) {
    char sink[256];
    const ssize_t want = (ssize_t)sizeof(sink);
    ssize_t n;
    do {
        n = read(port->wake[0], sink, sizeof(sink));
    } while (n == want);
}

// Level-triggered poll() must ask only for events that are not known yet, or for none. epoll
// reports changes by itself: nothing to do.
static void rtpi_posix_rearm(rtpush_posix *port, const rtpi_posix_slot *slot) {
#if RTPI_POSIX_EPOLL
    (void)port;
    (void)slot;
#else
    struct pollfd *entry = &port->polls[rtpi_posix_index(port, slot)];
    const int known = slot->held > 0 || (slot->flags & (RTPI_POSIX_READ | RTPI_POSIX_EOF));
    const int events = (known ? 0 : POLLIN) | ((slot->flags & RTPI_POSIX_WRITE) ? 0 : POLLOUT);
    entry->events = (short)events;
    entry->fd = events ? slot->fd : -1; // POLLHUP cannot be masked otherwise
#endif
}

// 1 if a send failed for good, not just for now.
static int rtpi_posix_failed(ssize_t n) {
    return n < 0 && !rtpi_posix_not_now() && errno != ENOBUFS;
}

// Sends what the core has for a connection of which nothing is held, staged or to be read. The
// connection cannot end here: after a failure the core names it, and the next send fails for sure.
static uint32_t rtpi_posix_on_write(void *ctx, void *memory, const uint8_t *data, uint32_t len) {
    const int flags = RTPI_POSIX_READ | RTPI_POSIX_WRITE | RTPI_POSIX_ERROR;
    rtpi_posix_slot *slot = (rtpi_posix_slot *)memory;
    if ((slot->flags & flags) != RTPI_POSIX_WRITE || (slot->held | slot->staged) != 0) {
        return 0;
    }
    const ssize_t n = send(slot->fd, data, len, RTPI_POSIX_NOSIGNAL);
    if (n == (ssize_t)len) {
        return len;
    }
    if (!rtpi_posix_failed(n)) {
        slot->flags &= (uint8_t)~RTPI_POSIX_WRITE; // until the kernel reports room
        rtpi_posix_rearm((rtpush_posix *)ctx, slot);
    } else if (errno != EINTR) {
        (void)shutdown(slot->fd, SHUT_RDWR);
    }
    return n > 0 ? (uint32_t)n : 0;
}

static void rtpi_posix_on_lock(void *ctx) {
    (void)pthread_mutex_lock(&((rtpush_posix *)ctx)->mutex);
}

static void rtpi_posix_on_unlock(void *ctx) {
    (void)pthread_mutex_unlock(&((rtpush_posix *)ctx)->mutex);
}

// >>input ----------------------------------------------------------------------------------------

static size_t rtpi_posix_give(rtpush_posix *port, const rtpi_posix_slot *slot, uint8_t *data,
                              size_t len) {
    port->asking = slot->fd;
    const size_t taken = rtpush_input(rtpi_posix_server(port, slot), slot->conn, data, len);
    port->asking = -1;
    return taken;
}

// Offers what the core left in the connection's buffer. Returns bytes taken.
static size_t rtpi_posix_offer(rtpush_posix *port, rtpi_posix_slot *slot) {
    const uint32_t index = slot->held - 1u;
    rtpi_posix_buffer *buffer = &port->buffers[index];
    uint8_t *data = rtpi_posix_buffer_data(port, index) + buffer->used;
    const size_t left = buffer->len - buffer->used;
    const size_t taken = rtpi_posix_give(port, slot, data, left);
    buffer->used += (uint32_t)taken;
    if (taken == left) {
        slot->held = 0;
        rtpi_posix_buffer_give(port, index);
    }
    return taken;
}

// recv found the end or an error. Returns 1 if the core was told of the end, 0 if there is nothing
// to read, -1 if the connection is gone.
static int rtpi_posix_read_end(rtpush_posix *port, rtpi_posix_slot *slot, ssize_t got) {
    if (got == 0) {
        slot->flags &= (uint8_t)~RTPI_POSIX_READ;
        slot->flags |= RTPI_POSIX_EOF;
        rtpush_eof(rtpi_posix_server(port, slot), slot->conn);
        return 1;
    }
    if (rtpi_posix_not_now()) {
        slot->flags &= (uint8_t) ~(RTPI_POSIX_READ | RTPI_POSIX_REFUSED);
        return 0;
    }
    if (errno == EINTR) {
        return 1;
    }
    rtpi_posix_gone(port, slot);
    return -1;
}

// After MSG_PEEK: removes the bytes that the core took. The data buffer is free for it.
static int rtpi_posix_remove(rtpush_posix *port, rtpi_posix_slot *slot, uint8_t *data,
                             size_t taken) {
    while (taken > 0) {
        const ssize_t n = recv(slot->fd, data, taken, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            rtpi_posix_gone(port, slot);
            return -1;
        }
        taken -= (size_t)n;
    }
    return 0;
}

// One read into the pool and on into the core. Returns the bytes taken (1 for the end), 0 if none,
// -1 if the connection is gone.
static inline int rtpi_posix_read(rtpush_posix *port, rtpi_posix_slot *slot) {
    const int peek = port->buffers_free == 0;
    if (peek && port->now_ms - port->given_ms < (uint32_t)RTPI_POSIX_WAIT_MS) {
        port->waiting += !(slot->flags & RTPI_POSIX_QUEUED);
        rtpi_posix_enqueue(port, slot);
        return 0;
    }
    const uint32_t index = port->own;
    uint8_t *data = rtpi_posix_buffer_data(port, index);
    const ssize_t got = recv(slot->fd, data, port->buffer_size, peek ? MSG_PEEK : 0);
    if (got <= 0) {
        return rtpi_posix_read_end(port, slot, got);
    }
    // epoll(7): a short read shows that the socket is empty, and the next bytes bring an event.
    const size_t len = (size_t)got;
    slot->flags &= (uint8_t)~RTPI_POSIX_REFUSED;
    if (len < port->buffer_size && !(slot->flags & RTPI_POSIX_HUP)) {
        slot->flags &= (uint8_t)~RTPI_POSIX_READ;
    }
    const size_t taken = rtpi_posix_give(port, slot, data, len);
    if (peek) {
        if (rtpi_posix_remove(port, slot, data, taken)) {
            return -1;
        }
        if (taken < len) {
            slot->flags |= RTPI_POSIX_READ | RTPI_POSIX_REFUSED;
        }
    } else if (taken < len) {
        port->buffers[index].used = (uint32_t)taken;
        port->buffers[index].len = (uint32_t)len;
        slot->held = (uint16_t)(index + 1u);
        port->own = rtpi_posix_buffer_take(port);
    }
    return (int)taken;
}

// What was left before, else one read. Returns as rtpi_posix_read.
static int rtpi_posix_feed(rtpush_posix *port, rtpi_posix_slot *slot, int *budget) {
    if (slot->held > 0) {
        const size_t taken = rtpi_posix_offer(port, slot);
        if (taken > 0) {
            return (int)taken;
        }
    }
    const int stuck = slot->held > 0 || (slot->flags & RTPI_POSIX_EOF);
    const int unread = stuck || (slot->flags & RTPI_POSIX_REFUSED);
    if (unread && (slot->flags & RTPI_POSIX_ERROR)) {
        rtpi_posix_gone(port, slot); // nobody will read the error from the socket
        return -1;
    }
    if (stuck || !(slot->flags & RTPI_POSIX_READ)) {
        return 0;
    }
    const int taken = rtpi_posix_read(port, slot);
    *budget -= taken > RTPI_POSIX_CALL ? taken : RTPI_POSIX_CALL;
    return taken;
}

// >>output ---------------------------------------------------------------------------------------

// Hands spans to the kernel. Returns what it took or -1 and errno; *total is what there was.
static ssize_t rtpi_posix_send_many(int fd, const rtpush_span *spans, int count, size_t *total) {
    struct iovec parts[RTPI_POSIX_SPANS];
    struct msghdr message;
    size_t sum = 0;
    for (int i = 0; i < count; i++) {
        parts[i].iov_base = (void *)(uintptr_t)spans[i].data; // sendmsg does not write to it
        parts[i].iov_len = spans[i].len;
        sum += spans[i].len;
    }
    memset(&message, 0, sizeof(message));
    message.msg_iov = parts;
    message.msg_iovlen = (unsigned)count;
    *total = sum;
    return sendmsg(fd, &message, RTPI_POSIX_NOSIGNAL);
}

// A write of n bytes, fewer than there were, or -1 and errno. Returns as rtpi_posix_write.
static int rtpi_posix_wrote_part(rtpush_posix *port, rtpi_posix_slot *slot, ssize_t n, int *more) {
    const int again = n < 0 && errno == EINTR;
    const int failed = !again && rtpi_posix_failed(n);
    const size_t sent = n > 0 ? (size_t)n : 0;
    if (!again) {
        slot->flags &= (uint8_t)~RTPI_POSIX_WRITE; // until the kernel reports room
    }
    // The kernel has its own copy.
    *more = rtpush_sent(rtpi_posix_server(port, slot), slot->conn, sent, sent);
    if (failed) {
        rtpi_posix_gone(port, slot);
        return -1;
    }
    return (int)sent;
}

// One write. Returns the bytes sent, 0 if the kernel is full or a signal came first, -1 if the
// connection is gone; *more: what rtpush_sent returned.
static inline int rtpi_posix_write(rtpush_posix *port, rtpi_posix_slot *slot,
                                   const rtpush_span *spans, int count, int *more) {
    size_t total = spans[0].len;
    const ssize_t n = count == 1 ? send(slot->fd, spans[0].data, total, RTPI_POSIX_NOSIGNAL)
                                 : rtpi_posix_send_many(slot->fd, spans, count, &total);
    if (n != (ssize_t)total) {
        return rtpi_posix_wrote_part(port, slot, n, more);
    }
    *more = rtpush_sent(rtpi_posix_server(port, slot), slot->conn, total, total);
    return (int)total;
}

// Writes what is staged. -1 if the connection is gone.
static int rtpi_posix_push(rtpush_posix *port, rtpi_posix_slot *slot) {
    if (!(slot->flags & RTPI_POSIX_WRITE)) {
        return 0;
    }
    const uint32_t index = slot->staged - 1u;
    rtpi_posix_buffer *buffer = &port->buffers[index];
    const uint8_t *data = rtpi_posix_buffer_data(port, index) + buffer->used;
    ssize_t n = 0;
    do {
        n = send(slot->fd, data, buffer->len - buffer->used, RTPI_POSIX_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (rtpi_posix_failed(n)) {
        rtpi_posix_gone(port, slot);
        return -1;
    }
    buffer->used += n > 0 ? (uint32_t)n : 0u;
    if (buffer->used < buffer->len) {
        slot->flags &= (uint8_t)~RTPI_POSIX_WRITE;
        return 0;
    }
    slot->staged = 0;
    rtpi_posix_buffer_give(port, index);
    rtpush_acked(rtpi_posix_server(port, slot), slot->conn, 1);
    return 0;
}

// Copies spans into the connection's buffer, so that one write can send all answers to one
// read. The core gets them acknowledged except for one byte: until that is acknowledged too it does
// not ask for FIN, and its stall timer runs. Returns what
// rtpi_posix_write does.
static int rtpi_posix_stage(rtpush_posix *port, rtpi_posix_slot *slot, const rtpush_span *spans,
                            int count, int *more) {
    rtpush_server *srv = rtpi_posix_server(port, slot);
    size_t taken = 0;
    size_t kept = 0;
    if (slot->staged == 0) {
        slot->staged = (uint16_t)(rtpi_posix_buffer_take(port) + 1u);
        port->buffers[slot->staged - 1u].used = 0;
        port->buffers[slot->staged - 1u].len = 0;
        kept = 1;
    }
    rtpi_posix_buffer *buffer = &port->buffers[slot->staged - 1u];
    uint8_t *data = rtpi_posix_buffer_data(port, slot->staged - 1u);
    for (int i = 0; i < count && buffer->len < port->buffer_size; i++) {
        const uint32_t room = port->buffer_size - buffer->len;
        const uint32_t len = spans[i].len < room ? spans[i].len : room;
        memcpy(data + buffer->len, spans[i].data, len);
        buffer->len += len;
        taken += len;
    }
    const int full = buffer->len == port->buffer_size;
    *more = rtpush_sent(srv, slot->conn, taken, taken - kept);
    if (full && rtpi_posix_push(port, slot) < 0) {
        return -1;
    }
    return (int)taken;
}

// The core has nothing to be sent now, or asks for FIN.
static void rtpi_posix_nothing(rtpi_posix_slot *slot, int count) {
    if (count == RTPUSH_FIN) {
        slot->flags |= RTPI_POSIX_FIN;
        (void)shutdown(slot->fd, SHUT_WR); // an error shows at the next read
    }
}

// Sends until the core has nothing more, the kernel is full or the budget is used up. Returns 1 if
// bytes moved, 0 if not, -1 if the connection is gone.
static int rtpi_posix_flush(rtpush_posix *port, rtpi_posix_slot *slot, int *budget) {
    rtpush_server *srv = rtpi_posix_server(port, slot);
    rtpush_span spans[RTPI_POSIX_SPANS];
    int moved = 0;
    int more = 1;
    while (more && *budget > 0 && (slot->flags & RTPI_POSIX_WRITE)) {
        const int count = rtpush_output(srv, slot->conn, spans, RTPI_POSIX_SPANS);
        if (count <= 0) {
            rtpi_posix_nothing(slot, count);
            break;
        }
        // Bytes still to be offered will most likely produce more output.
        const int stage = slot->staged > 0 || (slot->held > 0 && port->buffers_free > 0);
        const int sent = stage ? rtpi_posix_stage(port, slot, spans, count, &more)
                               : rtpi_posix_write(port, slot, spans, count, &more);
        if (sent < 0) {
            return -1;
        }
        *budget -= sent > RTPI_POSIX_CALL ? sent : RTPI_POSIX_CALL;
        moved |= sent > 0;
    }
    return moved;
}

// Input and output of one connection until neither makes progress or the budget is used up; then it
// is queued for the next step.
static void rtpi_posix_serve(rtpush_posix *port, rtpi_posix_slot *slot) {
    int budget = RTPI_POSIX_BUDGET;
    if (slot->staged > 0 && rtpi_posix_push(port, slot) < 0) { // from an earlier step
        return;
    }
    for (int first = 1;; first = 0) {
        const int in = rtpi_posix_feed(port, slot, &budget);
        if (in < 0) {
            return;
        }
        if (in == 0 && !first) {
            break;
        }
        const int out = rtpi_posix_flush(port, slot, &budget);
        if (out < 0) {
            return;
        }
        if (budget <= 0) {
            rtpi_posix_enqueue(port, slot);
            break;
        }
        // What was refused is offered again only after something was sent.
        if (out == 0 && (in == 0 || slot->held > 0 || (slot->flags & RTPI_POSIX_REFUSED))) {
            break;
        }
    }
    if (slot->staged > 0 && rtpi_posix_push(port, slot) < 0) {
        return;
    }
    rtpi_posix_rearm(port, slot);
}

// A connection of which something was reported. Mostly one read brings all there is, and one write
// answers it.
static void rtpi_posix_answer(rtpush_posix *port, rtpi_posix_slot *slot) {
    const int reads = (slot->flags & RTPI_POSIX_READ) && (slot->held | slot->staged) == 0;
    if (reads && rtpi_posix_read(port, slot) < 0) {
        return;
    }
    if (!rtpush_push(rtpi_posix_server(port, slot), slot->conn)) {
        rtpi_posix_serve(port, slot);
        return;
    }
    rtpi_posix_rearm(port, slot);
}

// >>events: what the system reports --------------------------------------------------------------

// Notes events and serves the connection, unless it waits in the queue for that. One whose bytes
// the core refused is not served when more arrive.
static inline void rtpi_posix_mark(rtpush_posix *port, rtpi_posix_slot *slot, uint8_t seen) {
    const uint8_t before = slot->flags;
    if (slot->conn == NULL) {
        return; // it was dropped a moment ago
    }
    slot->flags |= seen;
    const int stuck = slot->held > 0 || (before & (RTPI_POSIX_EOF | RTPI_POSIX_REFUSED));
    if (!(before & RTPI_POSIX_QUEUED) &&
        (((seen & RTPI_POSIX_READ) && !stuck) || (seen & RTPI_POSIX_ERROR) ||
         ((seen & RTPI_POSIX_WRITE) && !(before & RTPI_POSIX_WRITE)))) {
        rtpi_posix_answer(port, slot);
    }
}

static uint32_t rtpi_posix_tick(rtpush_posix *port) {
    uint32_t due_ms = RTPI_POSIX_NONE;
    for (uint32_t i = 0; i < port->server_count; i++) {
        const uint32_t ms = rtpush_tick(port->servers[i], port->now_ms);
        due_ms = ms < due_ms ? ms : due_ms;
    }
    return due_ms;
}

// The wait is over. The core must know the time before it is told of events: it may have been long.
static void rtpi_posix_waited(rtpush_posix *port) {
    port->now_ms = rtpi_posix_clock_ms();
    (void)rtpi_posix_tick(port);
    port->waiting = 0;
}

#if RTPI_POSIX_EPOLL

static int rtpi_posix_poller_add(const rtpush_posix *port, int fd, uint32_t events, uint32_t id) {
    struct epoll_event event;
    memset(&event, 0, sizeof(event));
    event.events = events;
    event.data.u32 = id;
    return epoll_ctl(port->poller, EPOLL_CTL_ADD, fd, &event);
}

static int rtpi_posix_watch(rtpush_posix *port, const rtpi_posix_slot *slot) {
    return rtpi_posix_poller_add(port, slot->fd,
                                 (uint32_t)EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 rtpi_posix_index(port, slot));
}

static void rtpi_posix_event(rtpush_posix *port, const struct epoll_event *event) {
    const uint32_t id = event->data.u32;
    if (id == RTPI_POSIX_WAKE_ID) {
        rtpi_posix_woken(port);
        return;
    }
    if (id >= RTPI_POSIX_LISTENER_ID) {
        port->listeners[id - RTPI_POSIX_LISTENER_ID].pending = 1;
        return;
    }
    const uint32_t ends = (uint32_t)EPOLLHUP | EPOLLERR;
    uint8_t seen = event->events & EPOLLIN ? RTPI_POSIX_READ : 0;
    if (event->events & EPOLLOUT) {
        seen |= RTPI_POSIX_WRITE;
    }
    if (event->events & (EPOLLRDHUP | ends)) {
        seen |= RTPI_POSIX_READ | RTPI_POSIX_HUP;
        seen |= event->events & ends ? RTPI_POSIX_WRITE : 0;
        seen |= event->events & EPOLLERR ? RTPI_POSIX_ERROR : 0;
    }
    rtpi_posix_mark(port, &port->slots[id], seen);
}

static int rtpi_posix_wait(rtpush_posix *port, int wait_ms) {
    struct epoll_event events[RTPI_POSIX_EVENTS];
    const int count = epoll_wait(port->poller, events, RTPI_POSIX_EVENTS, wait_ms);
    if (count < 0 && errno != EINTR) {
        return -1;
    }
    rtpi_posix_waited(port);
    for (int i = 0; i < count; i++) {
        rtpi_posix_event(port, &events[i]);
    }
    return 0;
}

#else

static int rtpi_posix_watch(rtpush_posix *port, const rtpi_posix_slot *slot) {
    rtpi_posix_rearm(port, slot);
    return 0;
}

static void rtpi_posix_event(rtpush_posix *port, rtpi_posix_slot *slot, int events) {
    const int ends = POLLHUP | POLLERR | POLLNVAL;
    uint8_t seen = 0;
    if (events & (POLLIN | ends)) {
        seen |= RTPI_POSIX_READ;
    }
    if (events & (POLLOUT | ends)) {
        seen |= RTPI_POSIX_WRITE;
    }
    if (events & (POLLERR | POLLNVAL)) {
        seen |= RTPI_POSIX_ERROR;
    }
    rtpi_posix_rearm(port, slot);
    rtpi_posix_mark(port, slot, seen);
}

// The array is kept as short as the sockets are many: poll() refuses more entries than descriptors
// are allowed.
static int rtpi_posix_wait(rtpush_posix *port, int wait_ms) {
    const uint32_t top = port->slots_top;
    struct pollfd *others = port->polls + top;
    others[0].fd = port->wake[0];
    others[0].events = POLLIN;
    for (uint32_t i = 0; i < port->listener_count; i++) {
        others[1u + i].fd = port->listeners[i].pending ? -1 : port->listeners[i].fd;
        others[1u + i].events = POLLIN;
    }
    const uint32_t all = top + 1u + port->listener_count;
    int count = poll(port->polls, (nfds_t)all, wait_ms);
    if (count < 0 && errno != EINTR) {
        return -1;
    }
    rtpi_posix_waited(port);
    if (count < 0) {
        return 0;
    }
    if (others[0].revents != 0) {
        rtpi_posix_woken(port);
    }
    for (uint32_t i = 0; i < port->listener_count; i++) {
        port->listeners[i].pending |= others[1u + i].revents != 0;
    }
    for (uint32_t i = 0; i < top && count > 0; i++) {
        if (port->polls[i].fd >= 0 && port->polls[i].revents != 0) {
            count--;
            rtpi_posix_event(port, &port->slots[i], port->polls[i].revents);
        }
    }
    return 0;
}

#endif

// >>accept ---------------------------------------------------------------------------------------

// Equal for peers of one network: an IPv4 address, or for IPv6 a hash (FNV-1a) of the /64, the
// network from which one subscriber can choose addresses. Never 0.
static uint32_t rtpi_posix_peer(const struct sockaddr_storage *from) {
    uint32_t peer = 0;
    if (from->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof(v4));
        peer = ntohl(v4.sin_addr.s_addr);
    } else if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof(v6));
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            memcpy(&peer, &v6.sin6_addr.s6_addr[12], sizeof(peer));
            peer = ntohl(peer);
        } else {
            peer = 2166136261u;
            for (int i = 0; i < 8; i++) {
                peer = (peer ^ v6.sin6_addr.s6_addr[i]) * 16777619u;
            }
        }
    }
    return peer ? peer : 1u;
}

// Set on the listener, inherited by its connections on Linux; elsewhere on each of them.
static void rtpi_posix_tune(const rtpush_posix *port, int fd) {
    rtpi_posix_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (port->send_buffer > 0) {
        rtpi_posix_option(fd, SOL_SOCKET, SO_SNDBUF, port->send_buffer);
    }
#ifdef TCP_USER_TIMEOUT
    if (port->user_timeout_ms > 0) {
        rtpi_posix_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, port->user_timeout_ms);
    }
#endif
#ifdef SO_NOSIGPIPE
    rtpi_posix_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
}

static int rtpi_posix_accept_one(const rtpush_posix *port, int listener, struct sockaddr *from,
                                 socklen_t *len) {
#if defined(__linux__) && defined(_GNU_SOURCE)
    (void)port;
    return accept4(listener, from, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    const int fd = accept(listener, from, len);
    if (fd < 0) {
        return -1;
    }
    if (rtpi_posix_nonblocking(fd) < 0) {
        (void)close(fd);
        errno = ECONNABORTED;
        return -1;
    }
#ifndef __linux__
    rtpi_posix_tune(port, fd);
#else
    (void)port;
#endif
    return fd;
#endif
}

static void rtpi_posix_admit(rtpush_posix *port, const rtpi_posix_listener *listener, int fd,
                             uint32_t peer) {
    rtpi_posix_slot *slot = rtpi_posix_slot_take(port);
    if (slot == NULL) {
        rtpi_posix_reset(fd);
        return;
    }
    slot->fd = fd;
    slot->server = listener->server;
    slot->flags = RTPI_POSIX_WRITE;
    slot->conn = rtpush_accept(port->servers[listener->server], listener->flags, peer, slot);
    if (slot->conn == NULL) {
        rtpi_posix_slot_give(port, slot, 1);
        return;
    }
    if (rtpi_posix_watch(port, slot) < 0) {
        rtpush_gone(rtpi_posix_server(port, slot), slot->conn);
        rtpi_posix_slot_give(port, slot, 1);
    }
}

// Accepts until no connection waits or the limit of a step is reached; then `pending` stays set.
static void rtpi_posix_accept(rtpush_posix *port, rtpi_posix_listener *listener) {
    for (int i = 0; i < RTPI_POSIX_ACCEPTS; i++) {
        struct sockaddr_storage from;
        socklen_t len = (socklen_t)sizeof(from);
        memset(&from, 0, sizeof(from));
        const int fd =
            rtpi_posix_accept_one(port, listener->fd, (struct sockaddr *)(void *)&from, &len);
        if (fd >= 0) {
            rtpi_posix_admit(port, listener, fd, rtpi_posix_peer(&from));
            continue;
        }
        if (rtpi_posix_not_now()) {
            listener->pending = 0;
            return;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            port->paused = 1;
            port->pause_ms = port->now_ms + RTPI_POSIX_PAUSE_MS;
            return;
        }
        // Anything else is about that one connection (accept(2): ECONNABORTED and the like).
    }
}

// >>turn -----------------------------------------------------------------------------------------

// Serves what the core names.
static void rtpi_posix_drain(rtpush_posix *port) {
    for (uint32_t i = 0; i < port->server_count; i++) {
        // Bounded: one reader faster than its log could otherwise starve the others.
        for (uint32_t left = port->slot_count; left > 0; left--) {
            rtpush_conn *conn = rtpush_next(port->servers[i]);
            if (conn == NULL) {
                break;
            }
            rtpi_posix_serve(port, (rtpi_posix_slot *)rtpush_port(conn));
        }
    }
}

// Milliseconds until stopping needs a step: none, if rtpush_posix_stop came during this one.
static uint32_t rtpi_posix_stop_due(const rtpush_posix *port) {
    if (rtpi_posix_stop_get(port) > port->stopping) {
        return 0;
    }
    if (!port->stopping) {
        return RTPI_POSIX_NONE;
    }
    return rtpi_posix_reached(port->now_ms, port->stop_at_ms) ? 0
                                                              : port->stop_at_ms - port->now_ms;
}

// What was published, and timers, until nothing can be done without waiting. Returns the
// milliseconds until something is due.
static int rtpi_posix_settle(rtpush_posix *port) {
    uint32_t due_ms = 0;
    for (int i = 0; i < 2 && due_ms == 0; i++) { // a timer may bring something to send
        rtpi_posix_drain(port);
        due_ms = rtpi_posix_tick(port);
    }
    if (port->ready_count > port->waiting) {
        return 0;
    }
    if (port->waiting > 0 && due_ms > (uint32_t)RTPI_POSIX_WAIT_MS) {
        due_ms = (uint32_t)RTPI_POSIX_WAIT_MS;
    }
    for (uint32_t i = 0; i < port->listener_count; i++) {
        const uint32_t retry_ms = port->paused ? (uint32_t)RTPI_POSIX_PAUSE_MS : 0u;
        if (port->listeners[i].pending && retry_ms < due_ms) {
            due_ms = retry_ms;
        }
    }
    const uint32_t stop_ms = rtpi_posix_stop_due(port);
    due_ms = stop_ms < due_ms ? stop_ms : due_ms;
    return due_ms > INT_MAX ? INT_MAX : (int)due_ms;
}

// Waits, then does what became possible. Returns as rtpi_posix_settle, or -1 and errno.
static int rtpi_posix_turn(rtpush_posix *port, int wait_ms) {
    uint32_t left = port->ready_count; // none twice in a step
    if (rtpi_posix_wait(port, wait_ms == INT_MAX ? -1 : wait_ms) < 0) {
        return -1;
    }
    for (; left > 0 && port->ready_count > 0; left--) {
        rtpi_posix_slot *slot = &port->slots[port->ready_first];
        rtpi_posix_dequeue(port, slot);
        rtpi_posix_answer(port, slot);
    }
    if (port->paused && rtpi_posix_reached(port->now_ms, port->pause_ms)) {
        port->paused = 0;
    }
    for (uint32_t i = 0; i < port->listener_count && !port->paused; i++) {
        if (port->listeners[i].pending) {
            rtpi_posix_accept(port, &port->listeners[i]);
        }
    }
    return rtpi_posix_settle(port);
}

static void rtpi_posix_close_listeners(rtpush_posix *port) {
    for (uint32_t i = 0; i < port->listener_count; i++) {
        (void)close(port->listeners[i].fd);
    }
    port->listener_count = 0;
}

static void rtpi_posix_reset_all(rtpush_posix *port) {
    int any = 0;
    for (uint32_t i = 0; i < port->slots_top; i++) {
        rtpi_posix_slot *slot = &port->slots[i];
        if (slot->conn != NULL) {
            rtpush_gone(rtpi_posix_server(port, slot), slot->conn);
            rtpi_posix_slot_give(port, slot, !(slot->flags & RTPI_POSIX_FIN));
            any = 1;
        }
    }
    for (uint32_t i = 0; i < port->server_count && any; i++) {
        (void)rtpush_next(port->servers[i]); // reaps all: on_close is called
    }
}

// After rtpush_posix_stop: begins shutdown. Returns 1 when it is complete.
static int rtpi_posix_stopped(rtpush_posix *port) {
    if (rtpi_posix_stop_get(port) == 0) {
        return 0;
    }
    if (!port->stopping) {
        port->stopping = 1;
        port->stop_at_ms = port->now_ms + port->stop_ms;
        rtpi_posix_close_listeners(port);
        for (uint32_t i = 0; i < port->server_count; i++) {
            rtpush_shutdown(port->servers[i]);
        }
        (void)rtpi_posix_settle(port);
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < port->server_count; i++) {
        used += rtpush_get_counters(port->servers[i])->slots_used;
    }
    if (used > 0 && rtpi_posix_stop_get(port) < 2 &&
        !rtpi_posix_reached(port->now_ms, port->stop_at_ms)) {
        return 0;
    }
    rtpi_posix_reset_all(port);
    return 1;
}

// >>public ---------------------------------------------------------------------------------------

static int rtpi_posix_open(rtpush_posix *port) {
    port->poller = -1;
#if RTPUSH_POSIX_EVENTFD
    port->wake[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    port->wake[1] = port->wake[0];
    if (port->wake[0] < 0) {
        return -1;
    }
#else
    if (pipe(port->wake) < 0) {
        port->wake[0] = -1;
        return -1;
    }
    if (rtpi_posix_nonblocking(port->wake[0]) < 0 || rtpi_posix_nonblocking(port->wake[1]) < 0) {
        return -1;
    }
#endif
#if RTPI_POSIX_EPOLL
    port->poller = epoll_create1(EPOLL_CLOEXEC);
    if (port->poller < 0) {
        return -1;
    }
    return rtpi_posix_poller_add(port, port->wake[0], (uint32_t)EPOLLIN | EPOLLET,
                                 RTPI_POSIX_WAKE_ID);
#else
    return 0;
#endif
}

// Cuts desc->memory into its parts, strictest alignment first. -1 if it does not suffice.
static int rtpi_posix_divide(rtpush_posix *port, const rtpush_posix_desc *desc) {
    const uint32_t buffers = desc->buffer_count ? desc->buffer_count : 8u;
    const uint32_t size = desc->buffer_size ? desc->buffer_size : 32768u;
    if (desc->memory == NULL || (uintptr_t)desc->memory % 8u != 0 || buffers > 0xFFFFu ||
        size < 256u || size > 0x1000000u) {
        return -1;
    }
    const size_t least = RTPUSH_POSIX_SIZE(0u, buffers, size);
    if (desc->memory_size < least) {
        return -1;
    }
    const size_t fit = (desc->memory_size - least) / (RTPUSH_POSIX_SIZE(1u, buffers, size) - least);
    const uint32_t conns = desc->conn_count ? desc->conn_count : (uint32_t)fit;
    if (conns == 0 || conns > fit || conns >= RTPI_POSIX_LISTENER_ID) {
        return -1;
    }
    // One slot more than connections: rtpush_accept may evict only once the new one has its slot.
    port->slot_count = conns + 1u;
    port->buffer_size = size;
    port->plans = (uint8_t *)desc->memory;
    for (uint32_t i = 0; i < RTPUSH_PLANS; i++) { // the rest stays untouched
        memset(port->plans + i * RTPI_POSIX_PLAN_SIZE, 0, 64);
    }
    port->slots = (rtpi_posix_slot *)(void *)(port->plans + RTPUSH_PLANS * RTPI_POSIX_PLAN_SIZE);
    port->buffers = (rtpi_posix_buffer *)(void *)(port->slots + port->slot_count);
    port->polls = (struct pollfd *)(void *)(port->buffers + buffers);
    port->bytes = (uint8_t *)(port->polls + port->slot_count + RTPI_POSIX_FIXED);
    for (uint32_t i = buffers; i > 1; i--) {
        rtpi_posix_buffer_give(port, i - 1u);
    }
    port->own = 0;
    return 0;
}

int rtpush_posix_init(rtpush_posix *port, const rtpush_posix_desc *desc) {
    memset(port, 0, sizeof(*port));
    port->asking = -1;
    port->slots_free = RTPI_POSIX_NONE;
    port->ready_first = RTPI_POSIX_NONE;
    port->ready_last = RTPI_POSIX_NONE;
    port->buffers_first = RTPI_POSIX_NONE;
    port->poller = -1;
    port->wake[0] = -1;
    port->wake[1] = -1;
    if (rtpi_posix_divide(port, desc) < 0) {
        errno = EINVAL;
        return -1;
    }
    port->send_buffer = desc->send_buffer ? desc->send_buffer : 65536;
    port->user_timeout_ms = desc->user_timeout_ms;
    port->backlog = desc->backlog ? desc->backlog : SOMAXCONN;
    port->stop_ms = desc->stop_ms ? desc->stop_ms : 5000u;
    port->now_ms = rtpi_posix_clock_ms();
    const int error = pthread_mutex_init(&port->mutex, NULL);
    if (error) {
        errno = error;
        return -1;
    }
    if (rtpi_posix_open(port) < 0) {
        const int saved_errno = errno;
        rtpush_posix_close(port);
        errno = saved_errno;
        return -1;
    }
    return 0;
}

// Index of a server, added if it is new; -1 and errno.
static int rtpi_posix_server_index(rtpush_posix *port, rtpush_server *srv) {
    for (int i = 0; i < port->server_count; i++) {
        if (port->servers[i] == srv) {
            return i;
        }
    }
    if (port->server_count == RTPUSH_POSIX_SERVERS) {
        errno = ENOSPC;
        return -1;
    }
    rtpush_hooks hooks;
    memset(&hooks, 0, sizeof(hooks));
    hooks.ctx = port;
    hooks.drop = rtpi_posix_on_drop;
    hooks.wake = rtpi_posix_on_wake;
    hooks.lock = rtpi_posix_on_lock;
    hooks.unlock = rtpi_posix_on_unlock;
    hooks.pending = rtpi_posix_on_pending;
    hooks.flags = RTPUSH_COPIES;
    if (port->server_count == 0) {
        hooks.sharing = &rtpush_shared_plans;
        hooks.write = rtpi_posix_on_write;
        hooks.plan_memory = port->plans;
        hooks.plan_size = RTPI_POSIX_PLAN_SIZE;
    }
    (void)rtpush_attach(srv, &hooks); // fails only for incomplete hooks
    (void)rtpush_tick(srv, port->now_ms);
    port->servers[port->server_count] = srv;
    port->server_count++;
    return port->server_count - 1;
}

int rtpush_posix_add(rtpush_posix *port, rtpush_server *srv) {
    return rtpi_posix_server_index(port, srv) < 0 ? -1 : 0;
}

// Text to address. Returns its length, 0 if it is none.
static socklen_t rtpi_posix_address(const char *host, unsigned number,
                                    struct sockaddr_storage *out) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memset(out, 0, sizeof(*out));
    memset(&v4, 0, sizeof(v4));
    memset(&v6, 0, sizeof(v6));
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons((uint16_t)number);
        memcpy(out, &v4, sizeof(v4));
        return (socklen_t)sizeof(v4);
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons((uint16_t)number);
        memcpy(out, &v6, sizeof(v6));
        return (socklen_t)sizeof(v6);
    }
    return 0;
}

// The TCP port a socket is bound to, or -1.
static int rtpi_posix_bound(int fd) {
    struct sockaddr_storage own;
    socklen_t len = (socklen_t)sizeof(own);
    if (getsockname(fd, (struct sockaddr *)(void *)&own, &len) < 0) {
        return -1;
    }
    if (own.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &own, sizeof(v4));
        return ntohs(v4.sin_port);
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, &own, sizeof(v6));
    return ntohs(v6.sin6_port);
}

static int rtpi_posix_bind(const rtpush_posix *port, int fd, const struct sockaddr_storage *at,
                           socklen_t len) {
    if (rtpi_posix_nonblocking(fd) < 0) {
        return -1;
    }
    rtpi_posix_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); // or a restart waits for TIME_WAIT
    if (at->ss_family == AF_INET6) {
        rtpi_posix_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0); // "::" takes IPv4 as well
    }
    rtpi_posix_tune(port, fd);
    if (bind(fd, (const struct sockaddr *)(const void *)at, len) < 0) {
        return -1;
    }
    return listen(fd, port->backlog);
}

int rtpush_posix_listen(rtpush_posix *port, rtpush_server *srv, const char *host, unsigned number,
                        unsigned flags) {
    struct sockaddr_storage at;
    const socklen_t len = rtpi_posix_address(host ? host : "127.0.0.1", number, &at);
    if (len == 0 || number > 65535u) {
        errno = EINVAL;
        return -1;
    }
    if (port->listener_count == RTPUSH_POSIX_LISTENERS) {
        errno = ENOSPC;
        return -1;
    }
    const int server = rtpi_posix_server_index(port, srv);
    if (server < 0) {
        return -1;
    }
    const int fd = socket(at.ss_family, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    int failed = rtpi_posix_bind(port, fd, &at, len) < 0;
#if RTPI_POSIX_EPOLL
    failed = failed || rtpi_posix_poller_add(port, fd, (uint32_t)EPOLLIN | EPOLLET,
                                             RTPI_POSIX_LISTENER_ID + port->listener_count) < 0;
#endif
    const int bound = failed ? -1 : rtpi_posix_bound(fd);
    if (bound < 0) {
        const int saved_errno = errno;
        (void)close(fd);
        errno = saved_errno;
        return -1;
    }
    rtpi_posix_listener *listener = &port->listeners[port->listener_count];
    listener->fd = fd;
    listener->server = (uint8_t)server;
    listener->flags = (uint8_t)flags;
    listener->pending = 0;
    port->listener_count++;
    return bound;
}

int rtpush_posix_fd(const rtpush_posix *port) {
    return port->poller;
}

int rtpush_posix_step(rtpush_posix *port, int max_wait_ms) {
    port->now_ms = rtpi_posix_clock_ms();
    if (rtpi_posix_stopped(port)) {
        errno = 0;
        return -1;
    }
    // Without a wait all is done behind it.
    int wait_ms = max_wait_ms == 0 ? 0 : rtpi_posix_settle(port);
    if (max_wait_ms >= 0 && max_wait_ms < wait_ms) {
        wait_ms = max_wait_ms;
    }
    return rtpi_posix_turn(port, wait_ms);
}

int rtpush_posix_run(rtpush_posix *port) {
    int wait_ms = rtpush_posix_step(port, 0);
    while (wait_ms >= 0) {
        // Nobody else runs in between: no need for the first half of a step. But stopping brings
        // a deadline that wait_ms does not know.
        wait_ms = rtpi_posix_stop_get(port) != 0 ? rtpush_posix_step(port, -1)
                                                 : rtpi_posix_turn(port, wait_ms);
    }
    return errno == 0 ? 0 : -1;
}

void rtpush_posix_stop(rtpush_posix *port) {
    rtpi_posix_stop_set(port, rtpi_posix_stop_get(port) ? 2 : 1);
    rtpi_posix_on_wake(port);
}

void rtpush_posix_close(rtpush_posix *port) {
    rtpi_posix_reset_all(port);
    rtpi_posix_close_listeners(port);
    if (port->poller >= 0) {
        (void)close(port->poller);
    }
    if (port->wake[0] >= 0) {
        (void)close(port->wake[0]);
    }
    if (port->wake[1] >= 0 && port->wake[1] != port->wake[0]) {
        (void)close(port->wake[1]);
    }
    port->poller = -1;
    port->wake[0] = -1;
    port->wake[1] = -1;
    port->server_count = 0;
    (void)pthread_mutex_destroy(&port->mutex);
}

uint32_t rtpush_posix_epoch(void) {
    uint32_t epoch = 0;
    const int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &epoch, sizeof(epoch)) != (ssize_t)sizeof(epoch)) {
            epoch = 0;
        }
        (void)close(fd);
    }
    if (epoch == 0) { // no such device: two starts in the same microsecond have the same epoch
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        epoch = (uint32_t)now.tv_sec * 1000003u + (uint32_t)now.tv_nsec / 1000u;
    }
    return epoch ? epoch : 1u;
}

uint32_t rtpush_posix_peer(const char *address) {
    struct sockaddr_storage storage;
    return rtpi_posix_address(address, 0, &storage) == 0 ? 0 : rtpi_posix_peer(&storage);
}

const char *rtpush_posix_address(const rtpush_posix *port, char out[RTPUSH_POSIX_ADDRESS_SIZE]) {
    struct sockaddr_storage from;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    socklen_t len = (socklen_t)sizeof(from);
    memset(&from, 0, sizeof(from));
    if (port->asking < 0 ||
        getpeername(port->asking, (struct sockaddr *)(void *)&from, &len) < 0) {
        return NULL;
    }
    memcpy(&v4, &from, sizeof(v4));
    memcpy(&v6, &from, sizeof(v6));
    if (from.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        return inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], out, RTPUSH_POSIX_ADDRESS_SIZE);
    }
    return from.ss_family == AF_INET6
               ? inet_ntop(AF_INET6, &v6.sin6_addr, out, RTPUSH_POSIX_ADDRESS_SIZE)
               : inet_ntop(AF_INET, &v4.sin_addr, out, RTPUSH_POSIX_ADDRESS_SIZE);
}

uint32_t rtpush_posix_raise_files(uint32_t conns) {
    const rlim_t own = 16u + RTPUSH_POSIX_LISTENERS; // stdio, epoll, waker and some to spare
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return 0;
    }
    const rlim_t want = (rlim_t)conns + own;
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < want) {
        const rlim_t before = limit.rlim_cur;
        const int capped = limit.rlim_max != RLIM_INFINITY && limit.rlim_max < want;
        limit.rlim_cur = capped ? limit.rlim_max : want;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            limit.rlim_cur = before;
        }
    }
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= want) {
        return conns;
    }
    return limit.rlim_cur > own ? (uint32_t)(limit.rlim_cur - own) : 0u;
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_POSIX_IMPLEMENTATION
