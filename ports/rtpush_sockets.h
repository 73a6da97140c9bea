// rtpush_sockets.h - v0.1 - rtpush.h on plain sockets, in a task of yours - MIT-0 or public domain
//
// For ESP-IDF and Arduino on ESP32, Zephyr, FreeRTOS with lwIP's sockets, Windows. On Linux, BSD
// and macOS, where it runs too, rtpush_posix.h is faster. No allocation: all memory is yours.
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     #define RTPUSH_SOCKETS_IMPLEMENTATION
//     #include "rtpush_sockets.h"  #include "rtpush_sockets.h"
//
// QUICK START
//     static rtpush_sockets port;
//     static uint64_t memory[RTPUSH_SOCKETS_WORDS(7)];      // 7 connections
//     ...                                 // in a task, when rtpush_init is done and the network up
//     rtpush_sockets_desc desc = {0};
//     desc.memory = memory;
//     desc.memory_size = sizeof(memory);
//     int result = rtpush_sockets_init(&port, &srv, &desc);
//     if (result >= 0) result = rtpush_sockets_listen(&port, NULL, 80, 0);
//     if (result >= 0) result = rtpush_sockets_run(&port);  // until rtpush_sockets_stop(&port)
//     puts(rtpush_sockets_strerror(result));                // names the option that is in the way
//
//     In a loop of your own: rtpush_sockets_step(&port, ms) while it returns 1. The task needs
//     2 KiB of stack beside what the system's sockets and your callbacks take.
//
// PLATFORMS (none was run on a board yet)
//     Linux              run here, with poll and with select. Others with BSD sockets: only read
//     Windows            run here: built by mingw-w64, run by wine. WSAStartup first; -lws2_32
//     lwIP 2.1, 2.2      RTPUSH_SOCKETS_LWIP; 2.2 run here, over its loop interface. Needs
//     (FreeRTOS ...)     lwip_select, sys_arch_protect, sys_now; LWIP_UDP, LWIP_NETIF_LOOPBACK and
//                        LWIP_HAVE_LOOPIF 1; MEMP_NUM_NETCONN of connections + 3 or more
//     ESP-IDF, Arduino   the same, by ESP_PLATFORM; compiled here against headers written for it.
//     on ESP32           CONFIG_LWIP_MAX_SOCKETS is 10 (Arduino 16): 7 connections (13).
//                        CONFIG_LWIP_SO_LINGER is off: no resets, see CLOSING
//     Zephyr 3.7 to 4.5  compiled here against headers written for it. CONFIG_NET_SOCKETS, NET_TCP,
//                        NET_UDP, NET_LOOPBACK; from 4.4 on NET_NAMESPACE_COMPAT_MODE.
//                        CONFIG_ZVFS_POLL_MAX (before: NET_SOCKETS_POLL_MAX), ZVFS_OPEN_MAX and
//                        NET_MAX_CONTEXTS: connections + 3. No resets, no half-close. TLS is the
//                        sockets': RTPUSH_LISTENER_SECURE, and desc.tls_tags names certificates
//
// CONTEXT
//     One task calls everything here and in rtpush.h, and callbacks run in it. They may print and
//     block for a moment: nobody else is served meanwhile. Any task or thread (no interrupt, no
//     signal handler: a lock is taken, a datagram sent) may call rtpush_publish_from,
//     rtpush_try_publish_from, rtpush_sockets_stop and rtpush_sockets_call. The last runs a
//     function in the loop, where all of rtpush.h may be called, so that a request is answered when
//     another task has done the work.
//
// BUFFERS AND BACK-PRESSURE
//     Each connection has a buffer (1 KiB; less works, with more calls) for bytes that the core has
//     not taken yet. While there are any nothing is read, and TCP slows the peer down. A buffer of
//     its own, because with two for all, two peers that do not read would block everybody. One more
//     joins small spans to one send. The system copies what is sent; a short send means that it has
//     no room, and the rest waits until there is. It does not say what the peer acknowledged: a
//     reader is stalled, and ended, when the system takes nothing for it for stall_ms.
//
// CLOSING
//     FIN is shutdown(), then reading goes on until the peer's FIN. Where that fails (Zephyr; the
//     peer is gone) the socket is closed at once. A reset is SO_LINGER {1, 0}. Where that is
//     missing rtpush_sockets_init returns RTPUSH_SOCKETS_NO_RESET: an answer that is aborted ends
//     by FIN, so that it was cut shows by its length or chunks alone, and for a stalled peer the
//     system keeps its buffer until TCP gives up.
//
// WAKING
//     A UDP socket of 127.0.0.1, connected to itself, wakes the loop; rtpush_sockets_init tries it.
//     It is used only while the loop sleeps. If a datagram is lost the loop wakes within 1 s.
//
// FAIRNESS
//     A connection makes at most 16 reads and 16 writes in a step, a listener accepts 8. When
//     sockets run out, accepting pauses for 100 ms.
//
// OPTIONS
//     RTPUSH_SOCKETS_LWIP    in every file that includes this one: lwIP's sockets
//     RTPUSH_SOCKETS_SELECT  in the implementation: select() instead of poll(); always with lwIP

#ifndef RTPUSH_SOCKETS_H
#define RTPUSH_SOCKETS_H

#ifndef RTPUSH_H
#error "include rtpush.h before rtpush_sockets.h"
#endif

// >>platforms: every name in which they differ. RTPI_SOCKETS(f) is the socket function f; MOST: how
// many sockets there can be, said by the option LIMIT (0: enough); RESET: SO_LINGER works.

#if defined(ESP_PLATFORM) && !defined(RTPUSH_SOCKETS_LWIP)
#define RTPUSH_SOCKETS_LWIP
#endif

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
typedef SOCKET rtpi_sockets_fd;
typedef WSAPOLLFD rtpi_sockets_entry;
typedef SRWLOCK rtpi_sockets_lock;
typedef u_long rtpi_sockets_one; // what FIONBIO takes
typedef int rtpi_sockets_len;
#define RTPI_SOCKETS(function) function
#define RTPI_SOCKETS_CLOSE closesocket
#define RTPI_SOCKETS_SHUT_WR SD_SEND
#define RTPI_SOCKETS_POLL WSAPoll
#define RTPI_SOCKETS_NONBLOCK(fd, one) ioctlsocket(fd, (long)FIONBIO, one)
#define RTPI_SOCKETS_ERROR WSAGetLastError()
#define RTPI_SOCKETS_E(name) WSA##name
#define RTPI_SOCKETS_NOW_MS() GetTickCount()
#define RTPI_SOCKETS_LOCK_INIT(lock) InitializeSRWLock(lock)
#define RTPI_SOCKETS_LOCK(lock) AcquireSRWLockExclusive(lock)
#define RTPI_SOCKETS_UNLOCK(lock) ReleaseSRWLockExclusive(lock)
#else
typedef int rtpi_sockets_fd;
typedef int rtpi_sockets_one;
typedef size_t rtpi_sockets_len;
#define RTPI_SOCKETS_ERROR errno
#define RTPI_SOCKETS_E(name) name
#endif
#if defined(_WIN32)
#elif defined(__ZEPHYR__)
#include <zephyr/kernel.h>
#include <zephyr/net/socket.h>
#include <zephyr/sys/fdtable.h>
typedef struct zsock_pollfd rtpi_sockets_entry;
typedef struct k_mutex rtpi_sockets_lock;
#define RTPI_SOCKETS(function) zsock_##function
#define RTPI_SOCKETS_CLOSE zsock_close
#define RTPI_SOCKETS_SHUT_WR ZSOCK_SHUT_WR
#define RTPI_SOCKETS_IN ZSOCK_POLLIN
#define RTPI_SOCKETS_OUT ZSOCK_POLLOUT
#define RTPI_SOCKETS_RESET 0
#ifdef CONFIG_ZVFS_POLL_MAX
#define RTPI_SOCKETS_MOST CONFIG_ZVFS_POLL_MAX
#define RTPI_SOCKETS_LIMIT "CONFIG_ZVFS_POLL_MAX"
#else
#define RTPI_SOCKETS_MOST CONFIG_NET_SOCKETS_POLL_MAX
#define RTPI_SOCKETS_LIMIT "CONFIG_NET_SOCKETS_POLL_MAX"
#endif
#define RTPI_SOCKETS_POLL(entries, count, ms) zsock_poll(entries, (int)(count), ms)
#define RTPI_SOCKETS_NONBLOCK(fd, one) zsock_fcntl(fd, ZVFS_F_SETFL, *(one) * ZVFS_O_NONBLOCK)
#define RTPI_SOCKETS_NOW_MS() k_uptime_get_32()
#define RTPI_SOCKETS_LOCK_INIT(lock) k_mutex_init(lock)
#define RTPI_SOCKETS_LOCK(lock) k_mutex_lock(lock, K_FOREVER)
#define RTPI_SOCKETS_UNLOCK(lock) k_mutex_unlock(lock)
#elif defined(RTPUSH_SOCKETS_LWIP)
#include <lwip/sockets.h>
#include <lwip/sys.h>
typedef struct rtpi_sockets_entry {
    int fd;
    short events;
    short revents;
} rtpi_sockets_entry;
typedef sys_prot_t rtpi_sockets_lock; // what sys_arch_protect returned; nothing is nested
#define RTPI_SOCKETS(function) lwip_##function
#define RTPI_SOCKETS_CLOSE lwip_close
#define RTPI_SOCKETS_IN 1
#define RTPI_SOCKETS_OUT 2
#define RTPI_SOCKETS_RESET LWIP_SO_LINGER
#define RTPI_SOCKETS_IPV6 LWIP_IPV6
#define RTPI_SOCKETS_MOST MEMP_NUM_NETCONN
#ifdef ESP_PLATFORM
#define RTPI_SOCKETS_LIMIT "CONFIG_LWIP_MAX_SOCKETS"
#else
#define RTPI_SOCKETS_LIMIT "MEMP_NUM_NETCONN"
#endif
#define RTPI_SOCKETS_NONBLOCK(fd, one) lwip_ioctl(fd, (long)FIONBIO, one)
#define RTPI_SOCKETS_NOW_MS() sys_now()
#define RTPI_SOCKETS_LOCK_INIT(lock) (*(lock) = 0)
#define RTPI_SOCKETS_LOCK(lock) (*(lock) = sys_arch_protect())
#define RTPI_SOCKETS_UNLOCK(lock) sys_arch_unprotect(*(lock))
#else
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
typedef struct pollfd rtpi_sockets_entry;
typedef pthread_mutex_t rtpi_sockets_lock;
#define RTPI_SOCKETS(function) function
#define RTPI_SOCKETS_CLOSE close
#ifndef RTPUSH_SOCKETS_SELECT
#define RTPI_SOCKETS_POLL poll
#endif
#define RTPI_SOCKETS_NONBLOCK(fd, one) ioctl(fd, FIONBIO, one)
#define RTPI_SOCKETS_NOW_MS() rtpi_sockets_clock_ms()
#define RTPI_SOCKETS_POSIX
#define RTPI_SOCKETS_LOCK_INIT(lock) (void)pthread_mutex_init(lock, NULL)
#define RTPI_SOCKETS_LOCK(lock) (void)pthread_mutex_lock(lock)
#define RTPI_SOCKETS_UNLOCK(lock) (void)pthread_mutex_unlock(lock)
#endif

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------

// What the functions return; rtpush_sockets.error then has the system's number.
enum {
    RTPUSH_SOCKETS_NO_RESET = 1,      // it works, but connections cannot be reset: see CLOSING
    RTPUSH_SOCKETS_ERR_ARGUMENT = -1, // memory missing, not aligned or too small; not an address
    RTPUSH_SOCKETS_ERR_LIMIT = -2,    // the platform allows fewer sockets
    RTPUSH_SOCKETS_ERR_SOCKET = -3,   // no socket to be had
    RTPUSH_SOCKETS_ERR_WAKE = -4,     // no UDP over 127.0.0.1
    RTPUSH_SOCKETS_ERR_BIND = -5,     // the TCP port is taken, or the address not ours
    RTPUSH_SOCKETS_ERR_FULL = -6,     // no more listeners; no more calls before the loop runs some
    RTPUSH_SOCKETS_ERR_WAIT = -7      // poll or select failed
};
enum { RTPUSH_SOCKETS_LISTENERS = 3, RTPUSH_SOCKETS_CALLS = 8 };

typedef struct rtpush_sockets rtpush_sockets;
typedef void (*rtpush_sockets_fn)(rtpush_server *srv, void *arg);

// Zero means the default in parentheses. What pointers point to outlives the port.
typedef struct rtpush_sockets_desc {
    void *memory;           // 8-byte aligned: uint64_t[RTPUSH_SOCKETS_WORDS(connections)], or
    size_t memory_size;     // RTPUSH_SOCKETS_SIZE(connections, buffer_size) bytes
    uint32_t buffer_size;   // (1,024) bytes of a connection's buffer, 64 to 65,535
    uint32_t stop_ms;       // (5,000) after rtpush_sockets_stop: time for connections to end
    int send_buffer;        // (the system's choice) SO_SNDBUF: PCs have megabytes, that get stale
    int backlog;            // (4) connections waiting to be accepted
    uint32_t tls_tag_count; // Zephyr: how many
    const int *tls_tags;    // ... sec_tag_t of certificates and keys
} rtpush_sockets_desc;

// Prepares the loop for a server that rtpush_init prepared. 0, RTPUSH_SOCKETS_NO_RESET or an error.
int rtpush_sockets_init(rtpush_sockets *port, rtpush_server *srv, const rtpush_sockets_desc *desc);
// Accepts connections. host: an IPv4 or IPv6 address; NULL or "0.0.0.0": all IPv4; "::": all IPv6,
// and IPv4 where the system maps it. number: the TCP port, 0 picks a free one. flags:
// RTPUSH_LISTENER_SECURE. Returns the TCP port, or an error.
int rtpush_sockets_listen(rtpush_sockets *port, const char *host, unsigned number, unsigned flags);
// One step: calls, timers, what was published, I/O. Waits at most max_wait_ms, -1: until there is
// something to do. Returns 1; 0 after rtpush_sockets_stop and the end of all connections; ERR_WAIT.
int rtpush_sockets_step(rtpush_sockets *port, int max_wait_ms);
// Steps until that returns 0 or ERR_WAIT.
int rtpush_sockets_run(rtpush_sockets *port);
// Any task: fn(srv, arg) runs in the loop, in the order of the calls. 0 or ERR_FULL. What has not
// run when the loop ends does not run.
int rtpush_sockets_call(rtpush_sockets *port, rtpush_sockets_fn fn, void *arg);
// Any task: listeners close, peers are told (rtpush_shutdown), after stop_ms what is left is reset.
// Called twice: reset at once.
void rtpush_sockets_stop(rtpush_sockets *port);
// Ends what is still open (on_close is called) and gives every socket back. No other task may use
// the port any more. Then rtpush_init and rtpush_sockets_init may begin again.
void rtpush_sockets_close(rtpush_sockets *port);
// Of what is returned above. Names the options of the platform.
const char *rtpush_sockets_strerror(int error);

// -- sizes: public only so that memory can be static; the fields are private, but `error` ---------

typedef struct rtpi_sockets_slot { // one connection
    rtpush_conn *conn;             // NULL: free
    rtpi_sockets_fd fd;
    uint16_t used; // bytes of its buffer that the core took
    uint16_t len;  // bytes in it; 0 when all are taken
    uint8_t flags; // RTPI_SOCKETS_...
} rtpi_sockets_slot;

// One slot more than connections: rtpush_accept evicts one only for another that has its slot.
#define RTPUSH_SOCKETS_SIZE(conns, buffer_size) \
    (((size_t)(conns) + 1u) * (sizeof(rtpi_sockets_slot) + sizeof(rtpi_sockets_entry)) + \
     (RTPUSH_SOCKETS_LISTENERS + 1u) * sizeof(rtpi_sockets_entry) + \
     ((size_t)(conns) + 2u) * (size_t)(buffer_size))
#define RTPUSH_SOCKETS_WORDS(conns) ((RTPUSH_SOCKETS_SIZE(conns, 1024u) + 7u) / 8u)

struct rtpush_sockets {
    rtpush_server *srv;
    rtpi_sockets_slot *slots;
    rtpi_sockets_entry *entries; // what is waited for: the waker, listeners, connections
    uint8_t *bytes;              // the slots' buffers, then one to join spans
    rtpush_sockets_desc desc;
    uint32_t slot_count;
    uint32_t now_ms;
    uint32_t pause_ms; // when accepting goes on, if paused
    uint32_t stop_at_ms;
    int error;
    rtpi_sockets_fd wake;
    rtpi_sockets_fd listeners[RTPUSH_SOCKETS_LISTENERS];
    uint8_t listener_flags[RTPUSH_SOCKETS_LISTENERS]; // RTPUSH_LISTENER_...
    uint8_t listener_count;
    uint8_t paused;   // out of sockets
    uint8_t stopping; // rtpush_shutdown was called
    rtpi_sockets_lock lock; // for what follows, and for rtpush_publish_from
    uint8_t stop;      // 1: graceful, 2: at once
    uint8_t signalled; // since the last wait: do not sleep
    uint8_t asleep;    // a datagram is needed
    uint8_t sending;   // a task sends it ...
    uint8_t again;     // ... and then one more
    uint8_t call_first;
    uint8_t call_count;
    rtpush_sockets_fn call_fn[RTPUSH_SOCKETS_CALLS];
    void *call_arg[RTPUSH_SOCKETS_CALLS];
};

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_SOCKETS_H

// >>implementation -------------------------------------------------------------------------------

#ifdef RTPUSH_SOCKETS_IMPLEMENTATION

#include <errno.h>
#include <string.h>
#include <time.h>
#ifndef _WIN32
#include <unistd.h>
#endif

#ifndef RTPI_SOCKETS_IN
#define RTPI_SOCKETS_IN POLLIN
#define RTPI_SOCKETS_OUT POLLOUT
#endif
#ifndef RTPI_SOCKETS_SHUT_WR
#define RTPI_SOCKETS_SHUT_WR SHUT_WR
#endif
#ifndef RTPI_SOCKETS_RESET
#define RTPI_SOCKETS_RESET 1
#endif
#ifndef RTPI_SOCKETS_IPV6
#define RTPI_SOCKETS_IPV6 1
#endif
#ifndef RTPI_SOCKETS_MOST
#define RTPI_SOCKETS_MOST 0
#define RTPI_SOCKETS_LIMIT "the system's limit"
#endif
#ifdef MSG_NOSIGNAL
#define RTPI_SOCKETS_NOSIGNAL MSG_NOSIGNAL
#else
#define RTPI_SOCKETS_NOSIGNAL 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

// What a wait reports is noted in the slots first, and the core is called when all is noted: a slot
// that was given to another connection meanwhile has no notes. While a buffer holds bytes nothing
// is read; they are offered when rtpush_next names the connection, and after something was sent.
enum {
    RTPI_SOCKETS_READABLE = 1,
    RTPI_SOCKETS_BLOCKED = 2, // no room to send
    RTPI_SOCKETS_RETRY = 4,   // ... for want of memory: of that no event comes, so try again soon
    RTPI_SOCKETS_EOF = 8,     // the core was told of the end
    RTPI_SOCKETS_FIN = 16,    // nothing more is to be sent
    RTPI_SOCKETS_SERVE = 32   // in this step, or the next
};
enum {
    RTPI_SOCKETS_SPANS = 8,
    RTPI_SOCKETS_TURNS = 16,
    RTPI_SOCKETS_ACCEPTS = 8,
    RTPI_SOCKETS_SLEEP_MS = 1000,
    RTPI_SOCKETS_RETRY_MS = 20,
    RTPI_SOCKETS_PAUSE_MS = 100
};

typedef union rtpi_sockets_address {
    struct sockaddr any;
    struct sockaddr_in v4;
#if RTPI_SOCKETS_IPV6
    struct sockaddr_in6 v6;
#endif
} rtpi_sockets_address;

static const rtpi_sockets_fd rtpi_sockets_none = (rtpi_sockets_fd)-1;

#ifdef RTPI_SOCKETS_POSIX
static uint32_t rtpi_sockets_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}
#endif

#ifndef RTPI_SOCKETS_POLL
// poll() by select(). An error is an event of every kind that was asked for.
static int rtpi_sockets_select(rtpi_sockets_entry *entries, unsigned count, int wait_ms) {
    fd_set in;
    fd_set out;
    struct timeval wait;
    int top = 0;
    FD_ZERO(&in);
    FD_ZERO(&out);
    memset(&wait, 0, sizeof(wait));
    wait.tv_sec = wait_ms / 1000;
    wait.tv_usec = wait_ms % 1000 * 1000;
    for (unsigned i = 0; i < count; i++) {
        if (entries[i].events & RTPI_SOCKETS_IN) {
            FD_SET(entries[i].fd, &in);
        }
        if (entries[i].events & RTPI_SOCKETS_OUT) {
            FD_SET(entries[i].fd, &out);
        }
        top = entries[i].fd > top ? entries[i].fd : top;
    }
    const int ready = RTPI_SOCKETS(select)(top + 1, &in, &out, NULL, &wait);
    for (unsigned i = 0; i < count; i++) {
        const int seen = (FD_ISSET(entries[i].fd, &in) ? RTPI_SOCKETS_IN : 0) |
                         (FD_ISSET(entries[i].fd, &out) ? RTPI_SOCKETS_OUT : 0);
        entries[i].revents = (short)(ready > 0 ? seen : 0);
    }
    return ready;
}
#define RTPI_SOCKETS_POLL rtpi_sockets_select
#define RTPI_SOCKETS_FITS(fd) ((fd) < FD_SETSIZE)
#else
#define RTPI_SOCKETS_FITS(fd) 1
#endif

static int rtpi_sockets_reached(uint32_t now_ms, uint32_t at) { // right across the wrap
    return (uint32_t)(now_ms - at) < 0x80000000u;
}

static int rtpi_sockets_not_now(int error) {
    return error == RTPI_SOCKETS_E(EWOULDBLOCK) || error == RTPI_SOCKETS_E(EINTR);
}

static int rtpi_sockets_no_room(int error) { // for another socket, or for bytes
    return error == RTPI_SOCKETS_E(EMFILE) || error == RTPI_SOCKETS_E(ENOBUFS) ||
           error == ENFILE || error == ENOMEM;
}

static int rtpi_sockets_fail(rtpush_sockets *port, int result) {
    port->error = (int)RTPI_SOCKETS_ERROR;
    return result;
}

static int rtpi_sockets_nonblocking(rtpi_sockets_fd fd) {
    rtpi_sockets_one one = 1;
    return RTPI_SOCKETS_NONBLOCK(fd, &one) < 0 ? -1 : 0;
}

// A failure costs only speed, so it is ignored.
static void rtpi_sockets_option(rtpi_sockets_fd fd, int level, int name, int value) {
    (void)RTPI_SOCKETS(setsockopt)(fd, level, name, (const char *)&value, sizeof(value));
}

// Closes the socket; the core has freed the connection already.
static void rtpi_sockets_release(rtpush_sockets *port, rtpi_sockets_slot *slot, int reset) {
#if RTPI_SOCKETS_RESET
    if (reset) { // without it an aborted answer would look complete
        struct linger now;
        now.l_onoff = 1;
        now.l_linger = 0;
        (void)RTPI_SOCKETS(setsockopt)(slot->fd, SOL_SOCKET, SO_LINGER, (const char *)&now,
                                       sizeof(now));
    }
#endif
    (void)reset;
    (void)RTPI_SOCKETS_CLOSE(slot->fd);
    memset(slot, 0, sizeof(*slot));
    port->paused = 0; // a socket is free again
}

static int rtpi_sockets_gone(rtpush_sockets *port, rtpi_sockets_slot *slot, int reset) {
    rtpush_gone(port->srv, slot->conn);
    rtpi_sockets_release(port, slot, reset);
    return -1;
}

// >>hooks ----------------------------------------------------------------------------------------

static void rtpi_sockets_on_drop(void *ctx, rtpush_conn *conn, void *slot, int reset) {
    (void)conn;
    rtpi_sockets_release((rtpush_sockets *)ctx, (rtpi_sockets_slot *)slot, reset);
}

static uint32_t rtpi_sockets_on_pending(void *ctx, const rtpush_conn *conn, void *slot) {
    (void)ctx;
    (void)conn;
    (void)slot;
    return 0; // these systems do not say
}

static void rtpi_sockets_on_lock(void *ctx) {
    RTPI_SOCKETS_LOCK(&((rtpush_sockets *)ctx)->lock);
}

static void rtpi_sockets_on_unlock(void *ctx) {
    RTPI_SOCKETS_UNLOCK(&((rtpush_sockets *)ctx)->lock);
}

// The loop does not sleep before it has looked at everything again. lwIP allows one task at a time
// to send on a socket: who finds another one sending leaves the second datagram to it.
static void rtpi_sockets_on_wake(void *ctx) {
    rtpush_sockets *port = (rtpush_sockets *)ctx;
    rtpi_sockets_on_lock(port);
    int needed = port->asleep;
    port->asleep = 0;
    port->signalled = 1;
    if (needed && port->sending) {
        port->again = 1;
        needed = 0;
    }
    port->sending = (uint8_t)(port->sending || needed);
    rtpi_sockets_on_unlock(port);
    while (needed) {
        (void)RTPI_SOCKETS(send)(port->wake, "", 1, RTPI_SOCKETS_NOSIGNAL);
        rtpi_sockets_on_lock(port);
        needed = port->again;
        port->sending = port->again;
        port->again = 0;
        rtpi_sockets_on_unlock(port);
    }
}

// >>connections ----------------------------------------------------------------------------------

// Offers what the core left, else reads once. Returns bytes taken, 1 for the end, 0 for nothing, -1
// if the connection is gone.
static int rtpi_sockets_feed(rtpush_sockets *port, rtpi_sockets_slot *slot) {
    const uint32_t size = port->desc.buffer_size;
    uint8_t *buffer = port->bytes + (size_t)(slot - port->slots) * size;
    if (slot->len == 0) {
        if (!(slot->flags & RTPI_SOCKETS_READABLE)) {
            return 0;
        }
        const long got =
            (long)RTPI_SOCKETS(recv)(slot->fd, (char *)buffer, (rtpi_sockets_len)size, 0);
        if (got < (long)size) { // all there was; the next wait tells of more
            slot->flags &= (uint8_t)~RTPI_SOCKETS_READABLE;
        }
        if (got == 0) {
            slot->flags |= RTPI_SOCKETS_EOF;
            rtpush_eof(port->srv, slot->conn);
            return 1;
        }
        if (got < 0) {
            return rtpi_sockets_not_now((int)RTPI_SOCKETS_ERROR) ? 0
                                                                 : rtpi_sockets_gone(port, slot, 0);
        }
        slot->used = 0;
        slot->len = (uint16_t)got;
    }
    const size_t left = (size_t)slot->len - slot->used;
    const size_t taken = rtpush_input(port->srv, slot->conn, buffer + slot->used, left);
    slot->used = (uint16_t)(slot->used + taken);
    if (taken == left) {
        slot->len = 0;
    }
    return (int)taken;
}

// One send of as much as one call can take. Returns what the system took, or -1; *len: what it was
// offered.
static long rtpi_sockets_send(rtpush_sockets *port, rtpi_sockets_fd fd, const rtpush_span *spans,
                              int count, size_t *len) {
    const uint32_t size = port->desc.buffer_size;
    const uint8_t *data = spans[0].data;
    *len = spans[0].len;
    if (count > 1 && *len < size) {
        uint8_t *joined = port->bytes + (size_t)port->slot_count * size;
        data = joined;
        *len = 0;
        for (int i = 0; i < count; i++) {
            const size_t room = size - *len;
            const size_t part = spans[i].len < room ? spans[i].len : room;
            memcpy(joined + *len, spans[i].data, part);
            *len += part;
        }
    }
    return (long)RTPI_SOCKETS(send)(fd, (const char *)data, (rtpi_sockets_len)*len,
                                    RTPI_SOCKETS_NOSIGNAL);
}

// Sends until the core has nothing more, the system no room, or *turns are used up. Returns 1 if
// bytes moved, 0 if not, -1 if the connection is gone.
static int rtpi_sockets_flush(rtpush_sockets *port, rtpi_sockets_slot *slot, int *turns) {
    rtpush_span spans[RTPI_SOCKETS_SPANS];
    int moved = 0;
    int more = 1;
    for (; more && *turns > 0 && !(slot->flags & RTPI_SOCKETS_BLOCKED); (*turns)--) {
        const int count = rtpush_output(port->srv, slot->conn, spans, RTPI_SOCKETS_SPANS);
        if (count == RTPUSH_FIN) {
            slot->flags |= RTPI_SOCKETS_FIN;
            if (RTPI_SOCKETS(shutdown)(slot->fd, RTPI_SOCKETS_SHUT_WR) < 0) {
                return rtpi_sockets_gone(port, slot, 0);
            }
        }
        if (count <= 0) {
            break;
        }
        size_t len = 0;
        const long n = rtpi_sockets_send(port, slot->fd, spans, count, &len);
        const int error = n < 0 ? (int)RTPI_SOCKETS_ERROR : 0;
        const size_t sent = n > 0 ? (size_t)n : 0;
        if (sent < len) {
            slot->flags |= RTPI_SOCKETS_BLOCKED;
        }
        if (rtpi_sockets_no_room(error)) {
            slot->flags |= RTPI_SOCKETS_RETRY;
        }
        more = rtpush_sent(port->srv, slot->conn, sent, sent); // the system has its own copy
        if (n < 0 && !rtpi_sockets_not_now(error) && !rtpi_sockets_no_room(error)) {
            return rtpi_sockets_gone(port, slot, 0);
        }
        moved |= sent > 0;
    }
    return moved;
}

// Input and output of one connection until neither makes progress or its turns are used up.
static void rtpi_sockets_serve(rtpush_sockets *port, rtpi_sockets_slot *slot) {
    int turns = RTPI_SOCKETS_TURNS;
    slot->flags &= (uint8_t)~RTPI_SOCKETS_SERVE;
    for (int reads = 0; reads < RTPI_SOCKETS_TURNS && turns > 0; reads++) {
        const int in = rtpi_sockets_feed(port, slot);
        const int out = in < 0 ? -1 : rtpi_sockets_flush(port, slot, &turns);
        if (out < 0) {
            return;
        }
        // What was left is offered again only after something was sent.
        if (turns > 0 && out == 0 && (in == 0 || slot->len > 0)) {
            return;
        }
    }
    slot->flags |= RTPI_SOCKETS_SERVE;
}

// Equal for peers of one network: an IPv4 address, or for IPv6 a hash (FNV-1a) of the /64, in which
// one subscriber can choose addresses. 0: unknown.
static uint32_t rtpi_sockets_peer(const rtpi_sockets_address *from) {
    uint32_t peer = 0;
    if (from->any.sa_family == AF_INET) {
        memcpy(&peer, &from->v4.sin_addr, sizeof(peer));
    }
#if RTPI_SOCKETS_IPV6
    if (from->any.sa_family == AF_INET6) {
        static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
        uint8_t bytes[16];
        memcpy(bytes, &from->v6.sin6_addr, sizeof(bytes));
        if (memcmp(bytes, mapped, sizeof(mapped)) == 0) { // the same as over IPv4
            memcpy(&peer, bytes + sizeof(mapped), sizeof(peer));
            return peer;
        }
        peer = 2166136261u;
        for (int i = 0; i < 8; i++) {
            peer = (peer ^ bytes[i]) * 16777619u;
        }
    }
#endif
    return peer;
}

static void rtpi_sockets_admit(rtpush_sockets *port, rtpi_sockets_fd fd, unsigned flags,
                               uint32_t peer) {
    rtpi_sockets_slot none;
    rtpi_sockets_slot *slot = &none;
    for (uint32_t i = 0; i < port->slot_count && slot == &none; i++) {
        slot = port->slots[i].conn == NULL ? &port->slots[i] : slot;
    }
    memset(slot, 0, sizeof(*slot));
    slot->fd = fd;
    rtpi_sockets_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (port->desc.send_buffer > 0) {
        rtpi_sockets_option(fd, SOL_SOCKET, SO_SNDBUF, port->desc.send_buffer);
    }
    if (slot != &none && rtpi_sockets_nonblocking(fd) == 0 && RTPI_SOCKETS_FITS(fd)) {
        slot->conn = rtpush_accept(port->srv, flags, peer, slot);
    }
    if (slot->conn == NULL) {
        rtpi_sockets_release(port, slot, 1);
    }
}

static void rtpi_sockets_accept(rtpush_sockets *port, unsigned index) {
    for (int i = 0; i < RTPI_SOCKETS_ACCEPTS && !port->paused; i++) {
        rtpi_sockets_address from;
        socklen_t len = (socklen_t)sizeof(from);
        memset(&from, 0, sizeof(from));
        const rtpi_sockets_fd fd =
            RTPI_SOCKETS(accept)(port->listeners[index], &from.any, &len);
        if (fd != rtpi_sockets_none) {
            rtpi_sockets_admit(port, fd, port->listener_flags[index], rtpi_sockets_peer(&from));
            continue;
        }
        const int error = (int)RTPI_SOCKETS_ERROR;
        if (rtpi_sockets_not_now(error)) {
            return;
        }
        if (rtpi_sockets_no_room(error)) {
            port->paused = 1;
            port->pause_ms = port->now_ms + RTPI_SOCKETS_PAUSE_MS;
        } // else it is about that one connection (ECONNABORTED ...)
    }
}

// >>step -----------------------------------------------------------------------------------------

static unsigned rtpi_sockets_expect(rtpush_sockets *port, unsigned at, rtpi_sockets_fd fd,
                                    int events) {
    port->entries[at].fd = fd;
    port->entries[at].events = (short)events;
    port->entries[at].revents = 0;
    return at + (events != 0);
}

static int rtpi_sockets_events(const rtpi_sockets_slot *slot) {
    const int blocked = slot->flags & (RTPI_SOCKETS_BLOCKED | RTPI_SOCKETS_RETRY);
    const int reads = slot->conn != NULL && slot->len == 0 && !(slot->flags & RTPI_SOCKETS_EOF);
    return (reads ? RTPI_SOCKETS_IN : 0) | (blocked == RTPI_SOCKETS_BLOCKED ? RTPI_SOCKETS_OUT : 0);
}

// Notes in the slot what the wait has shown. An error or hang-up is an event of either kind.
static void rtpi_sockets_note(rtpi_sockets_slot *slot, int seen) {
    if (seen & ~RTPI_SOCKETS_OUT) {
        slot->flags |= RTPI_SOCKETS_READABLE | RTPI_SOCKETS_SERVE;
    }
    if ((seen & ~RTPI_SOCKETS_IN) || (slot->flags & RTPI_SOCKETS_RETRY)) {
        slot->flags &= (uint8_t)~(RTPI_SOCKETS_BLOCKED | RTPI_SOCKETS_RETRY);
        slot->flags |= RTPI_SOCKETS_SERVE;
    }
}

// Before a wait, and with 0 after it. Returns how long to wait: not at all if there was news.
static int rtpi_sockets_asleep(rtpush_sockets *port, uint32_t wait_ms) {
    rtpi_sockets_on_lock(port);
    port->asleep = wait_ms > 0 && !port->signalled;
    port->signalled = 0;
    const int asleep = port->asleep;
    rtpi_sockets_on_unlock(port);
    return asleep ? (int)wait_ms : 0;
}

// Waits, and notes what has happened. Returns the listeners with connections, a bit each, or -1.
static int rtpi_sockets_wait(rtpush_sockets *port, uint32_t wait_ms) {
    unsigned count = rtpi_sockets_expect(port, 0, port->wake, RTPI_SOCKETS_IN);
    unsigned at = 1;
    int ready = 0;
    char sink[4];
    for (unsigned i = 0; i < port->listener_count && !port->paused; i++) {
        count = rtpi_sockets_expect(port, count, port->listeners[i], RTPI_SOCKETS_IN);
    }
    for (uint32_t i = 0; i < port->slot_count; i++) {
        const rtpi_sockets_slot *slot = &port->slots[i];
        count = rtpi_sockets_expect(port, count, slot->fd, rtpi_sockets_events(slot));
    }
    const int slept = RTPI_SOCKETS_POLL(port->entries, count, rtpi_sockets_asleep(port, wait_ms));
    const int error = slept < 0 ? (int)RTPI_SOCKETS_ERROR : 0;
    (void)rtpi_sockets_asleep(port, 0);
    if (slept < 0 && !rtpi_sockets_not_now(error)) {
        port->error = error;
        return RTPUSH_SOCKETS_ERR_WAIT;
    }
    if (slept > 0 && port->entries[0].revents) {
        while (RTPI_SOCKETS(recv)(port->wake, sink, sizeof(sink), 0) > 0) {
        }
    }
    for (unsigned i = 0; i < port->listener_count && !port->paused; i++, at++) {
        ready |= slept > 0 && port->entries[at].revents ? 1 << i : 0;
    }
    for (uint32_t i = 0; i < port->slot_count; i++) {
        const int events = rtpi_sockets_events(&port->slots[i]);
        rtpi_sockets_note(&port->slots[i], events && slept > 0 ? port->entries[at].revents : 0);
        at += events != 0;
    }
    return ready;
}

// How long it may wait.
static uint32_t rtpi_sockets_wait_ms(const rtpush_sockets *port, uint32_t due_ms, int max_ms) {
    uint32_t ms = RTPI_SOCKETS_SLEEP_MS;
    if (due_ms < ms) {
        ms = due_ms;
    }
    if (max_ms >= 0 && (uint32_t)max_ms < ms) {
        ms = (uint32_t)max_ms;
    }
    if (port->paused && ms > RTPI_SOCKETS_PAUSE_MS) {
        ms = RTPI_SOCKETS_PAUSE_MS;
    }
    if (port->stopping && ms > port->stop_at_ms - port->now_ms) {
        ms = port->stop_at_ms - port->now_ms;
    }
    for (uint32_t i = 0; i < port->slot_count && ms > 0; i++) {
        if (port->slots[i].flags & RTPI_SOCKETS_SERVE) {
            ms = 0;
        } else if ((port->slots[i].flags & RTPI_SOCKETS_RETRY) && ms > RTPI_SOCKETS_RETRY_MS) {
            ms = RTPI_SOCKETS_RETRY_MS;
        }
    }
    return ms;
}

// Runs what rtpush_sockets_call has left. Returns how to stop.
static int rtpi_sockets_calls(rtpush_sockets *port) {
    int stop = 0;
    for (int i = 0; i < RTPUSH_SOCKETS_CALLS; i++) {
        rtpi_sockets_on_lock(port);
        const unsigned first = port->call_first;
        const int any = port->call_count > 0;
        port->call_first = (uint8_t)((first + (unsigned)any) % RTPUSH_SOCKETS_CALLS);
        port->call_count = (uint8_t)(port->call_count - any);
        const rtpush_sockets_fn fn = port->call_fn[first];
        void *arg = port->call_arg[first];
        stop = port->stop;
        rtpi_sockets_on_unlock(port);
        if (!any) {
            break;
        }
        fn(port->srv, arg);
    }
    return stop;
}

// Serves what the core names, until nothing can be done without waiting. Bounded, because a reader
// may be faster than its log. Returns the milliseconds until something is due.
static uint32_t rtpi_sockets_settle(rtpush_sockets *port) {
    uint32_t due_ms = 0;
    for (int i = 0; i < 2 && due_ms == 0; i++) { // a timer may bring something to send
        rtpush_conn *conn = rtpush_next(port->srv);
        for (uint32_t left = port->slot_count; conn != NULL; left--) {
            rtpi_sockets_serve(port, (rtpi_sockets_slot *)rtpush_port(conn));
            conn = left > 0 ? rtpush_next(port->srv) : NULL;
        }
        due_ms = rtpush_tick(port->srv, port->now_ms);
    }
    return due_ms;
}

static void rtpi_sockets_close_listeners(rtpush_sockets *port) {
    while (port->listener_count > 0) {
        port->listener_count--;
        (void)RTPI_SOCKETS_CLOSE(port->listeners[port->listener_count]);
    }
}

static void rtpi_sockets_end_all(rtpush_sockets *port) {
    for (uint32_t i = 0; i < port->slot_count; i++) {
        if (port->slots[i].conn != NULL) {
            (void)rtpi_sockets_gone(port, &port->slots[i],
                                    !(port->slots[i].flags & RTPI_SOCKETS_FIN));
        }
    }
    (void)rtpush_next(port->srv); // reaps all: on_close is called
}

// After rtpush_sockets_stop: begins shutdown. Returns 1 when it is complete.
static int rtpi_sockets_stopped(rtpush_sockets *port, int stop) {
    if (stop == 0) {
        return 0;
    }
    if (!port->stopping) {
        port->stopping = 1;
        port->stop_at_ms = port->now_ms + port->desc.stop_ms;
        rtpi_sockets_close_listeners(port);
        rtpush_shutdown(port->srv);
        (void)rtpi_sockets_settle(port);
    }
    if (rtpush_get_counters(port->srv)->slots_used > 0 && stop < 2 &&
        !rtpi_sockets_reached(port->now_ms, port->stop_at_ms)) {
        return 0;
    }
    rtpi_sockets_end_all(port);
    return 1;
}

// >>public ---------------------------------------------------------------------------------------

// Text to address. Returns its length, 0 if it is none.
static socklen_t rtpi_sockets_parse(const char *host, unsigned number, rtpi_sockets_address *at) {
    const uint8_t network[2] = {(uint8_t)(number >> 8), (uint8_t)number};
    memset(at, 0, sizeof(*at));
    if (RTPI_SOCKETS(inet_pton)(AF_INET, host, &at->v4.sin_addr) == 1) {
        at->v4.sin_family = AF_INET;
        memcpy(&at->v4.sin_port, network, sizeof(network));
        return (socklen_t)sizeof(at->v4);
    }
#if RTPI_SOCKETS_IPV6
    if (RTPI_SOCKETS(inet_pton)(AF_INET6, host, &at->v6.sin6_addr) == 1) {
        at->v6.sin6_family = AF_INET6;
        memcpy(&at->v6.sin6_port, network, sizeof(network));
        return (socklen_t)sizeof(at->v6);
    }
#endif
    return 0;
}

// Binds, and makes the socket non-blocking. Returns the port it has, or -1; *at: its address.
static int rtpi_sockets_bind(rtpi_sockets_fd fd, rtpi_sockets_address *at, socklen_t len) {
    uint8_t network[2];
    if (RTPI_SOCKETS(bind)(fd, &at->any, len) < 0 || rtpi_sockets_nonblocking(fd) < 0 ||
        RTPI_SOCKETS(getsockname)(fd, &at->any, &len) < 0) {
        return -1;
    }
    memcpy(network, &at->v4.sin_port, sizeof(network));
#if RTPI_SOCKETS_IPV6
    if (at->any.sa_family == AF_INET6) {
        memcpy(network, &at->v6.sin6_port, sizeof(network));
    }
#endif
    return network[0] << 8 | network[1];
}

// The waker, and whether it works.
static int rtpi_sockets_open_wake(rtpush_sockets *port) {
    rtpi_sockets_address at;
    const socklen_t len = rtpi_sockets_parse("127.0.0.1", 0, &at);
    port->wake = RTPI_SOCKETS(socket)(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    if (port->wake == rtpi_sockets_none || !RTPI_SOCKETS_FITS(port->wake)) {
        return rtpi_sockets_fail(port, RTPUSH_SOCKETS_ERR_SOCKET);
    }
    if (rtpi_sockets_bind(port->wake, &at, len) < 0 ||
        RTPI_SOCKETS(connect)(port->wake, &at.any, len) < 0 ||
        RTPI_SOCKETS(send)(port->wake, "", 1, RTPI_SOCKETS_NOSIGNAL) < 0 ||
        rtpi_sockets_wait(port, RTPI_SOCKETS_SLEEP_MS) < 0) {
        return rtpi_sockets_fail(port, RTPUSH_SOCKETS_ERR_WAKE);
    }
    return port->entries[0].revents ? 0 : RTPUSH_SOCKETS_ERR_WAKE;
}

// Cuts the memory into its parts, strictest alignment first. Returns 0 or an error.
static int rtpi_sockets_divide(rtpush_sockets *port) {
    const rtpush_sockets_desc *desc = &port->desc;
    const size_t least = RTPUSH_SOCKETS_SIZE(0u, desc->buffer_size);
    if (desc->memory == NULL || (uintptr_t)desc->memory % 8u != 0 || desc->buffer_size < 64u ||
        desc->buffer_size > 0xFFFFu || desc->memory_size < least) {
        return RTPUSH_SOCKETS_ERR_ARGUMENT;
    }
    const size_t each = RTPUSH_SOCKETS_SIZE(1u, desc->buffer_size) - least;
    port->slot_count = (uint32_t)((desc->memory_size - least) / each) + 1u;
    port->slots = (rtpi_sockets_slot *)desc->memory;
    port->entries = (rtpi_sockets_entry *)(void *)(port->slots + port->slot_count);
    port->bytes = (uint8_t *)(port->entries + port->slot_count + RTPUSH_SOCKETS_LISTENERS + 1u);
    memset(port->slots, 0, port->slot_count * sizeof(*port->slots));
    return port->slot_count < 2u ? RTPUSH_SOCKETS_ERR_ARGUMENT : 0;
}

// Beside connections there are the waker and at least one listener.
static int rtpi_sockets_exceed(const rtpush_sockets *port, unsigned listeners) {
    return RTPI_SOCKETS_MOST > 0 && port->slot_count + 1u + listeners > RTPI_SOCKETS_MOST;
}

int rtpush_sockets_init(rtpush_sockets *port, rtpush_server *srv, const rtpush_sockets_desc *desc) {
    rtpush_hooks hooks;
    memset(port, 0, sizeof(*port));
    memset(&hooks, 0, sizeof(hooks));
    port->wake = rtpi_sockets_none;
    port->srv = srv;
    port->desc = *desc;
    port->desc.buffer_size = desc->buffer_size ? desc->buffer_size : 1024u;
    port->desc.stop_ms = desc->stop_ms ? desc->stop_ms : 5000u;
    port->desc.backlog = desc->backlog ? desc->backlog : 4;
    RTPI_SOCKETS_LOCK_INIT(&port->lock);
    int result = rtpi_sockets_divide(port);
    if (result == 0 && rtpi_sockets_exceed(port, 1)) {
        result = RTPUSH_SOCKETS_ERR_LIMIT;
    }
    if (result == 0) {
        result = rtpi_sockets_open_wake(port);
    }
    if (result < 0) {
        port->slot_count = 0;
        rtpush_sockets_close(port);
        return result;
    }
    hooks.ctx = port;
    hooks.drop = rtpi_sockets_on_drop;
    hooks.wake = rtpi_sockets_on_wake;
    hooks.lock = rtpi_sockets_on_lock;
    hooks.unlock = rtpi_sockets_on_unlock;
    hooks.pending = rtpi_sockets_on_pending;
    hooks.flags = RTPUSH_COPIES;
    (void)rtpush_attach(srv, &hooks); // fails only for incomplete hooks
    port->now_ms = RTPI_SOCKETS_NOW_MS();
    (void)rtpush_tick(srv, port->now_ms);
    return RTPI_SOCKETS_RESET ? 0 : RTPUSH_SOCKETS_NO_RESET;
}

// The listening socket, without an address.
static rtpi_sockets_fd rtpi_sockets_open(const rtpush_sockets *port, int family, unsigned flags) {
#if defined(__ZEPHYR__) && defined(CONFIG_NET_SOCKETS_SOCKOPT_TLS)
    if ((flags & RTPUSH_LISTENER_SECURE) && port->desc.tls_tag_count > 0) {
        const rtpi_sockets_fd fd = zsock_socket(family, SOCK_STREAM, IPPROTO_TLS_1_2);
        const size_t size = port->desc.tls_tag_count * sizeof(int);
        if (fd >= 0 && zsock_setsockopt(fd, SOL_TLS, TLS_SEC_TAG_LIST, port->desc.tls_tags, size)) {
            (void)zsock_close(fd);
            return -1;
        }
        return fd;
    }
#endif
    (void)port;
    (void)flags;
    return RTPI_SOCKETS(socket)(family, SOCK_STREAM, IPPROTO_TCP);
}

int rtpush_sockets_listen(rtpush_sockets *port, const char *host, unsigned number, unsigned flags) {
    rtpi_sockets_address at;
    const socklen_t len = rtpi_sockets_parse(host ? host : "0.0.0.0", number, &at);
    const unsigned index = port->listener_count;
    if (len == 0 || number > 65535u) {
        return RTPUSH_SOCKETS_ERR_ARGUMENT;
    }
    if (index == RTPUSH_SOCKETS_LISTENERS) {
        return RTPUSH_SOCKETS_ERR_FULL;
    }
    if (rtpi_sockets_exceed(port, index + 1u)) {
        return RTPUSH_SOCKETS_ERR_LIMIT;
    }
    const rtpi_sockets_fd fd = rtpi_sockets_open(port, at.any.sa_family, flags);
    if (fd == rtpi_sockets_none || !RTPI_SOCKETS_FITS(fd)) {
        if (fd != rtpi_sockets_none) {
            (void)RTPI_SOCKETS_CLOSE(fd);
        }
        return rtpi_sockets_fail(port, RTPUSH_SOCKETS_ERR_SOCKET);
    }
#ifndef _WIN32 // where it would let two programs have the same port
    rtpi_sockets_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); // or a restart waits for TIME_WAIT
#endif
#if RTPI_SOCKETS_IPV6
    if (at.any.sa_family == AF_INET6) {
        rtpi_sockets_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
#endif
    const int bound = rtpi_sockets_bind(fd, &at, len);
    if (bound < 0 || RTPI_SOCKETS(listen)(fd, port->desc.backlog) < 0) {
        (void)rtpi_sockets_fail(port, 0);
        (void)RTPI_SOCKETS_CLOSE(fd);
        return RTPUSH_SOCKETS_ERR_BIND;
    }
    port->listeners[index] = fd;
    port->listener_flags[index] = (uint8_t)flags;
    port->listener_count++;
    return bound;
}

int rtpush_sockets_step(rtpush_sockets *port, int max_wait_ms) {
    port->now_ms = RTPI_SOCKETS_NOW_MS();
    (void)rtpush_tick(port->srv, port->now_ms);
    if (rtpi_sockets_stopped(port, rtpi_sockets_calls(port))) {
        return 0;
    }
    const uint32_t due_ms = rtpi_sockets_settle(port);
    const int ready = rtpi_sockets_wait(port, rtpi_sockets_wait_ms(port, due_ms, max_wait_ms));
    if (ready < 0) {
        return ready;
    }
    // The core must know the time before it records these events: the wait may have been long.
    port->now_ms = RTPI_SOCKETS_NOW_MS();
    (void)rtpush_tick(port->srv, port->now_ms);
    for (uint32_t i = 0; i < port->slot_count; i++) {
        if (port->slots[i].flags & RTPI_SOCKETS_SERVE) {
            rtpi_sockets_serve(port, &port->slots[i]);
        }
    }
    port->paused = port->paused && !rtpi_sockets_reached(port->now_ms, port->pause_ms);
    for (unsigned i = 0; i < port->listener_count; i++) {
        if (ready >> i & 1) {
            rtpi_sockets_accept(port, i);
        }
    }
    return 1;
}

int rtpush_sockets_run(rtpush_sockets *port) {
    int result = 1;
    while (result > 0) {
        result = rtpush_sockets_step(port, -1);
    }
    return result;
}

int rtpush_sockets_call(rtpush_sockets *port, rtpush_sockets_fn fn, void *arg) {
    rtpi_sockets_on_lock(port);
    const unsigned count = port->call_count;
    const unsigned at = (port->call_first + count) % RTPUSH_SOCKETS_CALLS;
    if (count < RTPUSH_SOCKETS_CALLS) {
        port->call_fn[at] = fn;
        port->call_arg[at] = arg;
        port->call_count = (uint8_t)(count + 1u);
    }
    rtpi_sockets_on_unlock(port);
    rtpi_sockets_on_wake(port);
    return count < RTPUSH_SOCKETS_CALLS ? 0 : RTPUSH_SOCKETS_ERR_FULL;
}

void rtpush_sockets_stop(rtpush_sockets *port) {
    rtpi_sockets_on_lock(port);
    port->stop = port->stop ? 2 : 1;
    rtpi_sockets_on_unlock(port);
    rtpi_sockets_on_wake(port);
}

void rtpush_sockets_close(rtpush_sockets *port) {
    rtpi_sockets_end_all(port);
    rtpi_sockets_close_listeners(port);
    if (port->wake != rtpi_sockets_none) {
        (void)RTPI_SOCKETS_CLOSE(port->wake);
        port->wake = rtpi_sockets_none;
    }
    port->slot_count = 0;
}

const char *rtpush_sockets_strerror(int error) {
    switch (error) {
    case RTPUSH_SOCKETS_ERR_ARGUMENT:
        return "memory missing, misaligned or too small, or not an address";
    case RTPUSH_SOCKETS_ERR_LIMIT:
        return RTPI_SOCKETS_LIMIT " must be at least connections + listeners + 2";
    case RTPUSH_SOCKETS_ERR_SOCKET:
        return "no more sockets: " RTPI_SOCKETS_LIMIT;
    case RTPUSH_SOCKETS_ERR_WAKE:
        return "no UDP over 127.0.0.1: LWIP_NETIF_LOOPBACK, CONFIG_(LWIP_NETIF|NET)_LOOPBACK";
    case RTPUSH_SOCKETS_ERR_BIND:
        return "the TCP port is taken, or the address is not ours";
    case RTPUSH_SOCKETS_ERR_FULL:
        return "too many listeners or calls";
    case RTPUSH_SOCKETS_ERR_WAIT:
        return "waiting failed: " RTPI_SOCKETS_LIMIT;
    default:
        return error > 0 ? "works, without resets: (CONFIG_)LWIP_SO_LINGER" : "";
    }
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_SOCKETS_IMPLEMENTATION
