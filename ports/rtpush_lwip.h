// rtpush_lwip.h - v0.1 - rtpush.h on lwIP's raw TCP API - MIT-0 or public domain
//
// For NO_SYS=1, or inside tcpip_thread. No task, no allocation of its own: all memory is yours.
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     #define RTPUSH_LWIP_IMPLEMENTATION
//     #include "rtpush_lwip.h"     #include "rtpush_lwip.h"
//
// QUICK START
//     enum { CONNS = 8 };
//     static rtpush_lwip port;
//     static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(CONNS)];
//     ...
//     lwip_init();                                              // and netif_add ...
//     rtpush_lwip_desc desc = {0};
//     desc.slots = slots;
//     desc.slot_count = RTPUSH_LWIP_SLOTS(CONNS);
//     rtpush_lwip_init(&port, &desc);                           // each ERR_OK or an error of lwIP
//     rtpush_lwip_listen(&port, &srv, NULL, 80, 0);             // after rtpush_init(&srv, ...)
//     for (;;) {
//         drain_the_network_driver();                           // netif.input ...
//         sys_check_timeouts();
//         uint32_t ms = rtpush_lwip_poll(&port);                // sleep at most so long
//     }
//
// NEEDS
//     lwIP 2.1 or 2.2: LWIP_TCP and LWIP_CALLBACK_API 1, TCP_SND_BUF of two TCP_MSS or more,
//     sys_now(). Its tcp headers only: no sockets, no netconn, no altcp.
//     TCP_LISTEN_BACKLOG 1 is advised. With 0, lwIP's default, desc.backlog has no effect:
//     half-open connections may take every free PCB and those of idle keep-alive connections (lwIP
//     aborts these for a new one), for 20 s each. Streams stay.
//     Here: 3.1 KB of flash (Cortex-M3, -Os), 388 bytes and 24 for each slot.
//     A recipe for lwipopts.h, for C connections that each may have S records under way:
//         MEMP_NUM_TCP_PCB   C + 2    lwIP reuses those in TIME_WAIT first. With C alone, such as 5
//                            for the default of 5, one connection of a page that loads while old
//                            ones are closing may be refused, and the browser retries
//         MEMP_NUM_TCP_SEG   C * TCP_SND_BUF / TCP_MSS, and at least TCP_SND_QUEUELEN
//         MEMP_NUM_PBUF      C * S    each reference to the log or to flash costs one
//         MEM_SIZE           C * (S * 120 + the bytes copied)
//         TCP_WND            RTPUSH_LWIP_HOLD * TCP_MSS: more may be refused, and what lwIP drops
//                            behind that costs the peer a retransmission timeout
//         PBUF_POOL_SIZE     2 + twice what one TCP_WND needs
//     Too little memory makes it slow, never wrong: a failed allocation is tried again.
//     The log should hold 2 * rate * (RTO + RTT): its bytes are kept until acknowledged, and lwIP
//     begins with an RTO of 3 s.
//
// CONTEXT
//     Everything here and in rtpush.h is called where lwIP's core may be called: the main loop with
//     NO_SYS=1, else tcpip_thread or with LOCK_TCPIP_CORE held; LWIP_ASSERT_CORE_LOCKED checks it.
//     The exception is rtpush_publish_from(): set desc.publish_from, see there. With NO_SYS=1 it
//     needs your desc.lock and desc.unlock: lwIP's own may do nothing there (the Pico SDK's
//     sys_arch_protect is `return 0`) or may not nest. Without them rtpush_lwip_init fails
//     (rtpush_lwip_config_error), and rtpush_publish_from returns RTPUSH_ERR_STATE.
//     rtpush_lwip_poll() does the rest: timers, sending what was published, retries. Call it in
//     every iteration of the main loop and after publishing. Or set desc.timer, and lwIP's timers
//     call it: at once for what your callbacks publish; elsewhere use rtpush_publish_from, which
//     wakes the port, or call rtpush_lwip_poll after rtpush_publish. There call it before
//     rtpush_authorize, _reply and _close: the deadlines that they begin count from its last call.
//     Inside a callback of this port it returns 0 and does nothing.
//
// COPIES
//     A span of RTPUSH_LWIP_REFER bytes or more is given to lwIP by reference, not copied, if
//         it is STATIC (flash), or
//         it is HOLD (the log) and lwipopts.h says `#define PBUF_NEEDS_COPY(p) 1`.
//     That line makes lwIP's ARP queue copy. Without it the queue may still refer to the log after
//     tcp_abort, and bytes of another event would be sent in a valid segment; so without it the log
//     is copied. A driver that sends after linkoutput returned (DMA) has the same problem: with
//     such a driver leave the line out, or let the driver copy. LWIP_NETIF_TX_SINGLE_PBUF makes
//     lwIP copy all. Smaller spans are gathered in RTPUSH_LWIP_GATHER bytes of the port and copied
//     by one tcp_write: a reference would cost a pbuf and nearly the same time.
//
// MEMORY, BACK-PRESSURE
//     ERR_MEM loses nothing: the bytes stay where they are and are tried again when bytes of that
//     connection are acknowledged, by tcp_poll, and by rtpush_lwip_poll every RTPUSH_LWIP_RETRY_MS.
//     (With nothing in flight lwIP calls no callback.) If there is no pbuf for references, they are
//     tried once more as one copied segment.
//     Bytes that arrive go into the core at once; tcp_recved is called for exactly those it took.
//     The rest stays in its pbufs, at most RTPUSH_LWIP_HOLD for a connection; further pbufs are
//     refused, and lwIP delivers them again. When all together hold RTPUSH_LWIP_HOLD_ALL pbufs
//     (half the pool: others must be able to receive ACKs), the connection that would hold more is
//     reset.
//
// CLOSING
//     FIN from the core is tcp_shutdown(tx), then reading continues. After both FINs the port no
//     longer uses the PCB, since lwIP frees one in TIME_WAIT without a callback. A drop with reset
//     is tcp_abort; without, when all was acknowledged and the peer sends no FIN, tcp_close. In the
//     error callback lwIP has freed the PCB already: only the reference is cleared.
//     A PCB has TCP_PRIO_MIN until it carries a stream and TCP_PRIO_NORMAL then, that of a new one:
//     if lwIP runs out of PCBs it ends idle keep-alive connections, not streams.
//     FIN_WAIT_2 has no timeout in lwIP without tcp_close; the core's close_ms replaces it.
//
// OPTIONS (where the implementation is compiled)
//     RTPUSH_LWIP_REFER     (256) smallest span given by reference; 65,536 copies everything
//     RTPUSH_LWIP_GATHER    (256) also in the files that use the type rtpush_lwip
//     RTPUSH_LWIP_HOLD      (2) pbufs a connection may hold before it refuses more
//     RTPUSH_LWIP_HOLD_ALL  (PBUF_POOL_SIZE / 2) pbufs all connections may hold
//     RTPUSH_LWIP_RETRY_MS  (50)
//
// TESTED ON
//     lwIP 2.1.3 and 2.2.1 of Debian on x86-64: with NO_SYS=1 over a simulated wire, IPv4 and IPv6,
//     with Ethernet and without (tests/lwip/sim.c: loss, reordering, windows closed, the driver
//     full, every allocation failing; lwIP in an interrupt, as in the background mode of Pico's
//     SDK, at any instruction of rtpush_publish_from: tests/lwip/background.h); inside
//     tcpip_thread with IPv4, LWIP_TCPIP_CORE_LOCKING 0 and 1, while other threads publish, under
//     the thread sanitizer (tests/lwip/threads.c); and 2.1.3 in firmware on QEMU's lm3s6965evb,
//     mps2-an385 and mps2-an500 (tests/device).

#ifndef RTPUSH_LWIP_H
#define RTPUSH_LWIP_H

#ifndef RTPUSH_H
#error "include rtpush.h before rtpush_lwip.h"
#endif

#include "lwip/init.h"
#include "lwip/opt.h"
#include "lwip/pbuf.h"
#include "lwip/sys.h"
#include "lwip/tcp.h"

#if LWIP_VERSION_MAJOR != 2 || LWIP_VERSION_MINOR < 1
#error "rtpush_lwip.h needs lwIP 2.1 or 2.2"
#endif
#if !LWIP_TCP
#error "lwipopts.h: LWIP_TCP must be 1"
#endif
#if !LWIP_CALLBACK_API
#error "lwipopts.h: LWIP_CALLBACK_API must be 1 (and LWIP_EVENT_API 0)"
#endif
#if TCP_SND_BUF < 2 * TCP_MSS
#error "lwipopts.h: TCP_SND_BUF must be 2 * TCP_MSS or more"
#endif

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------

// 1, if there are PCBs enough. Else the compiler says which line of lwipopts.h to change.
#if defined(__cplusplus)
} // extern "C"
template <bool enough> struct rtpi_lwip_pcbs {
    static_assert(enough, "lwipopts.h: MEMP_NUM_TCP_PCB must be as many as connections, or more");
    enum { one = 1 };
};
extern "C" {
#define RTPI_LWIP_ONE_IF(enough) ((unsigned)rtpi_lwip_pcbs<(enough)>::one)
#else // a width of 0 or less is an error that names the field
#define RTPI_LWIP_ONE_IF(enough) \
    (sizeof(struct { char one; \
        int lwipopts_h_MEMP_NUM_TCP_PCB_must_be_as_many_as_connections_or_more \
            : (enough) ? 1 : -1; }) > 0u ? 1u : 0u)
#endif

#ifndef RTPUSH_LWIP_GATHER
#define RTPUSH_LWIP_GATHER 256
#endif

// 1: lwIP's own lock works. It may be macros without functions.
#if !NO_SYS && SYS_LIGHTWEIGHT_PROT
#define RTPI_LWIP_PROTECT 1
#else
#define RTPI_LWIP_PROTECT 0
#endif

enum { RTPUSH_LWIP_LISTENERS = 4 }; // most listening PCBs of one port

typedef struct rtpush_lwip rtpush_lwip;
typedef struct rtpush_lwip_slot rtpush_lwip_slot;

// Slots for that many connections, a constant: one more, since rtpush_accept may evict only once
// the new one has its slot.
#define RTPUSH_LWIP_SLOTS(conns) \
    ((conns) + RTPI_LWIP_ONE_IF((conns) <= MEMP_NUM_TCP_PCB || MEMP_MEM_MALLOC))

// Zero everywhere means the default in parentheses. The slots must outlive the port.
typedef struct rtpush_lwip_desc {
    rtpush_lwip_slot *slots;
    uint32_t slot_count; // RTPUSH_LWIP_SLOTS(the conn_count of all its servers together)
    uint8_t backlog;     // (slot_count, at most 255) connections not yet established. Without
                         // TCP_LISTEN_BACKLOG there is no limit
    uint8_t timer;       // 1: calls rtpush_lwip_poll by sys_timeout, with NO_SYS=0 also on wake.
                         // Takes one of MEMP_NUM_SYS_TIMEOUT
    uint8_t publish_from; // 1: rtpush_publish_from is used. Costs a quarter of the log, see LIMITS
                          // in rtpush.h. Needs lock and unlock; or NO_SYS 0 and
                          // SYS_LIGHTWEIGHT_PROT 1
    // Against rtpush_publish_from, a few instructions long: mask the interrupts it is called from.
    // It need not nest. (With NO_SYS=0: SYS_ARCH_PROTECT)
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    // Something was published: make rtpush_lwip_poll run soon; may be called in an interrupt. (with
    // desc.timer and NO_SYS=0: a message to tcpip_thread, by tasks only; else nothing)
    void (*wake)(void *ctx);
    void *ctx;
} rtpush_lwip_desc;

// Prepares the port; once, while nobody publishes. ERR_ARG: rtpush_lwip_config_error says why.
err_t rtpush_lwip_init(rtpush_lwip *port, const rtpush_lwip_desc *desc);
const char *rtpush_lwip_config_error(const rtpush_lwip *port); // "" if none
// Accepts connections for srv. addr: local address, NULL any. flags: RTPUSH_LISTENER_SECURE if
// TLS is terminated in front of it. ERR_MEM, ERR_ARG: over RTPUSH_LWIP_LISTENERS, or ERR_USE:
// without SO_REUSE in lwipopts.h also while old connections are in TIME_WAIT.
err_t rtpush_lwip_listen(rtpush_lwip *port, rtpush_server *srv, const ip_addr_t *addr,
                         uint16_t number, unsigned flags);
// One step: timers, sending what was published, retries after ERR_MEM. Returns the milliseconds
// until it must be called again at the latest.
uint32_t rtpush_lwip_poll(rtpush_lwip *port);
// Resets every connection and gives every PCB back; on_close is called. Not inside a callback. Then
// rtpush_lwip_listen may be called again. Other contexts may publish meanwhile; the memory of the
// port must stay valid while they do, and until tcpip_thread has processed their messages.
void rtpush_lwip_close(rtpush_lwip *port);

// -- sizes: public only so that memory can be static; the fields are private ----------------------

struct rtpush_lwip_slot { // one connection
    rtpush_lwip *port;
    rtpush_conn *conn;
    struct tcp_pcb *pcb; // NULL: detached from its PCB, and the core has not dropped it yet
    struct pbuf *held;   // bytes the core left
    rtpush_lwip_slot *next; // free list
    uint16_t pbufs;      // counted in port->held: those held, and those refused last
    uint8_t listener;    // index
    uint8_t flags;       // RTPI_LWIP_...
};

typedef struct rtpi_lwip_listener {
    rtpush_lwip *port;
    rtpush_server *srv;
    struct tcp_pcb *pcb;
    uint8_t flags; // RTPUSH_LISTENER_...
} rtpi_lwip_listener;

struct rtpush_lwip {
    rtpush_lwip_desc desc;
    const char *config_error;
    rtpush_lwip_slot *free_first;
    uint32_t retry_ms;    // when blocked slots are tried again
    uint32_t retry_at;    // slot to begin with, so that none is always the last
    rtpush_lwip_slot *first; // the others wait for it, see rtpi_lwip_waits; or NULL
    uint32_t blocked;     // slots that wait for memory
    uint32_t held;        // pbufs
    uint32_t abort_count; // slots whose PCB is to be aborted
    uint8_t depth;        // callbacks under way
    uint8_t refer;        // 1: lwIP may refer to the log
    uint8_t soon;         // 1: the timer is set to now
    uint8_t listener_count;
    rtpi_lwip_listener listeners[RTPUSH_LWIP_LISTENERS];
#if RTPI_LWIP_PROTECT
    SYS_ARCH_DECL_PROTECT(level); // of whoever holds the lock
#endif
    uint8_t gather[RTPUSH_LWIP_GATHER];
};

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_LWIP_H

// >>implementation -------------------------------------------------------------------------------

#ifdef RTPUSH_LWIP_IMPLEMENTATION

#include <string.h>

#include "lwip/ip_addr.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"
#if !NO_SYS
#include "lwip/tcpip.h"
#endif

#ifndef RTPUSH_LWIP_REFER
#define RTPUSH_LWIP_REFER 256
#endif
#ifndef RTPUSH_LWIP_HOLD
#define RTPUSH_LWIP_HOLD 2
#endif
#ifndef RTPUSH_LWIP_HOLD_ALL
#define RTPUSH_LWIP_HOLD_ALL (PBUF_POOL_SIZE / 2)
#endif
#ifndef RTPUSH_LWIP_RETRY_MS
#define RTPUSH_LWIP_RETRY_MS 50
#endif
#if RTPUSH_LWIP_HOLD < 1 || RTPUSH_LWIP_HOLD_ALL < 1
#error "lwipopts.h: PBUF_POOL_SIZE must be 2 or more (or define RTPUSH_LWIP_HOLD_ALL)"
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Terms. A slot joins one PCB and one connection of the core. It is given back when the core
// dropped the connection or was told that it is gone, whichever comes first.
//
// Who may free a PCB, and when we know:
//     lwIP, on reset, timeout or want of PCBs    on_error is called, the PCB is gone already
//     lwIP, in TIME_WAIT or LAST_ACK             without a callback: so the slot is detached from
//                                                its PCB as soon as both sides have sent FIN
//     we, in the drop hook                       never for the PCB whose callback is under way: the
//                                                core does not drop the connection it is called
//                                                for, and rtpush_lwip_poll does nothing inside
//     we, when it holds too much or tcp_write    by the next rtpush_lwip_poll (schedule_abort), so
//     fails                                      never inside a callback
//
// Invariants. pcb->rcv_wnd and the bytes held or refused add up to TCP_WND. No FIN while lwIP
// refers to a byte of ours (the core waits for that). held is not empty only if the core refused
// its first byte since the last progress.

enum {
    RTPI_LWIP_BLOCKED = 1,  // waits for memory: counted in port->blocked
    RTPI_LWIP_PEER_FIN = 2, // the peer has finished, perhaps behind bytes held
    RTPI_LWIP_EOF = 4,      // the core was told
    RTPI_LWIP_FIN = 8,      // we have finished
    RTPI_LWIP_ABORT = 16,   // to be aborted: counted in port->abort_count
    RTPI_LWIP_REFERS = 32   // lwIP refers to bytes of ours until all is acknowledged
};

enum { RTPI_LWIP_SPANS = 8, RTPI_LWIP_FAILED = -1 };

static rtpush_server *rtpi_lwip_server(const rtpush_lwip_slot *slot) {
    return slot->port->listeners[slot->listener].srv;
}

// 1 if the time `at` has come; right across the wrap.
static int rtpi_lwip_reached(uint32_t now_ms, uint32_t at) {
    return (uint32_t)(now_ms - at) < 0x80000000u;
}

// >>slots ----------------------------------------------------------------------------------------

static rtpush_lwip_slot *rtpi_lwip_slot_take(rtpush_lwip *port, uint8_t listener) {
    rtpush_lwip_slot *slot = port->free_first;
    if (slot != NULL) {
        port->free_first = slot->next;
        memset(slot, 0, sizeof(*slot));
        slot->port = port;
        slot->listener = listener;
    }
    return slot;
}

static void rtpi_lwip_set_blocked(rtpush_lwip_slot *slot, int blocked) {
    rtpush_lwip *port = slot->port;
    if (!blocked == !(slot->flags & RTPI_LWIP_BLOCKED)) {
        return;
    }
    if (!blocked) {
        slot->flags &= (uint8_t)~RTPI_LWIP_BLOCKED;
        port->blocked--;
        return;
    }
    if (port->blocked == 0) {
        port->retry_ms = sys_now() + RTPUSH_LWIP_RETRY_MS;
    }
    slot->flags |= RTPI_LWIP_BLOCKED;
    port->blocked++;
}

static void rtpi_lwip_count(rtpush_lwip_slot *slot, uint32_t pbufs) {
    slot->port->held += pbufs - slot->pbufs;
    slot->pbufs = (uint16_t)pbufs;
}

static uint32_t rtpi_lwip_clen(const struct pbuf *p) {
    return p != NULL ? pbuf_clen(p) : 0u;
}

// Counts the pbufs held by us, and those that lwIP keeps because we refused them (`refused`).
static void rtpi_lwip_recount(rtpush_lwip_slot *slot, uint32_t refused) {
    rtpi_lwip_count(slot, rtpi_lwip_clen(slot->held) +
                              rtpi_lwip_clen(slot->pcb->refused_data) + refused);
}

// Gives back the pbufs and the place in the counts.
static void rtpi_lwip_slot_clear(rtpush_lwip_slot *slot) {
    if (slot->held != NULL) {
        pbuf_free(slot->held);
        slot->held = NULL;
    }
    rtpi_lwip_count(slot, 0);
    rtpi_lwip_set_blocked(slot, 0);
    if (slot->flags & RTPI_LWIP_ABORT) {
        slot->flags &= (uint8_t)~RTPI_LWIP_ABORT;
        slot->port->abort_count--;
    }
}

static void rtpi_lwip_slot_give(rtpush_lwip_slot *slot) {
    rtpush_lwip *port = slot->port;
    rtpi_lwip_slot_clear(slot);
    slot->conn = NULL;
    slot->pcb = NULL;
    slot->next = port->free_first;
    port->free_first = slot;
}

// lwIP will not call us for this PCB again.
static struct tcp_pcb *rtpi_lwip_release(rtpush_lwip_slot *slot) {
    struct tcp_pcb *pcb = slot->pcb;
    slot->pcb = NULL;
    if (pcb != NULL) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_sent(pcb, NULL);
        tcp_err(pcb, NULL);
        tcp_poll(pcb, NULL, 0);
    }
    return pcb;
}

// Both sides have sent FIN. Not tcp_close: with bytes still held it would send a reset, and the
// reset would take our last answer with it (RFC 9112 9.6).
static void rtpi_lwip_detach(rtpush_lwip_slot *slot) {
    (void)tcp_shutdown(rtpi_lwip_release(slot), 1, 0);
}

// Schedules an abort: the next rtpush_lwip_poll aborts the PCB, outside of all callbacks, since
// lwIP reads a PCB after its recv callback returned ERR_ABRT for bytes that were refused before
// (tcp_in.c, 2.1.3 and 2.2.1). The core gets rtpush_gone then, not now: until the abort lwIP may
// retransmit bytes it refers to, and the core would let others overwrite them.
static void rtpi_lwip_schedule_abort(rtpush_lwip_slot *slot) {
    rtpi_lwip_slot_clear(slot);
    slot->flags |= RTPI_LWIP_ABORT;
    slot->port->abort_count++;
}

// >>hooks ----------------------------------------------------------------------------------------

static void rtpi_lwip_on_drop(void *ctx, rtpush_conn *conn, void *memory, int reset) {
    rtpush_lwip_slot *slot = (rtpush_lwip_slot *)memory;
    struct tcp_pcb *pcb = rtpi_lwip_release(slot);
    (void)ctx;
    (void)conn;
    rtpi_lwip_slot_give(slot);
    // Not a reset where all was sent: it is acknowledged, but the peer may still be reading it. The
    // PCB has TCP_PRIO_MIN, so lwIP frees it before any other when it runs out of them.
    if (pcb != NULL && (reset || tcp_close(pcb) != ERR_OK)) {
        tcp_abort(pcb);
    }
}

static void rtpi_lwip_on_lock(void *ctx) {
    rtpush_lwip *port = (rtpush_lwip *)ctx;
    if (port->desc.lock != NULL) {
        port->desc.lock(port->desc.ctx);
        return;
    }
#if RTPI_LWIP_PROTECT
    SYS_ARCH_PROTECT(port->level);
#endif
}

static void rtpi_lwip_on_unlock(void *ctx) {
    rtpush_lwip *port = (rtpush_lwip *)ctx;
    if (port->desc.unlock != NULL) {
        port->desc.unlock(port->desc.ctx);
        return;
    }
#if RTPI_LWIP_PROTECT
    SYS_ARCH_UNPROTECT(port->level);
#endif
}

// >>input ----------------------------------------------------------------------------------------

// Removes n bytes from the first pbuf of a chain, and frees an empty one, also for n = 0: lwIP
// passes empty ones if a driver splits headers from data, and after trimming bytes that it had
// already.
static struct pbuf *rtpi_lwip_consume(struct pbuf *first, uint16_t n) {
    struct pbuf *next = first->next;
    if (n < first->len) {
        (void)pbuf_remove_header(first, n);
        return first;
    }
    first->next = NULL;
    pbuf_free(first);
    return next;
}

// Offers what is held.
static void rtpi_lwip_feed(rtpush_lwip_slot *slot) {
    rtpush_server *srv = rtpi_lwip_server(slot);
    uint32_t sum = 0;
    while (slot->held != NULL) {
        const struct pbuf *first = slot->held;
        const uint16_t len = first->len;
        const size_t taken = len ? rtpush_input(srv, slot->conn, first->payload, len) : 0u;
        slot->held = rtpi_lwip_consume(slot->held, (uint16_t)taken);
        sum += (uint32_t)taken;
        if (taken < len) {
            break;
        }
    }
    rtpi_lwip_recount(slot, 0);
    // Exactly what was taken, once: it is the flow control.
    if (sum > 0) {
#if LWIP_WND_SCALE // otherwise at most a window of 65,535 bytes was held
        for (; sum > 0xFFFFu; sum -= 0xFFFFu) {
            tcp_recved(slot->pcb, 0xFFFFu);
        }
#endif
        tcp_recved(slot->pcb, (u16_t)sum);
    }
    if (slot->held == NULL && (slot->flags & RTPI_LWIP_PEER_FIN) &&
        !(slot->flags & RTPI_LWIP_EOF)) {
        slot->flags |= RTPI_LWIP_EOF;
        rtpush_eof(srv, slot->conn);
    }
}

// >>output ---------------------------------------------------------------------------------------
// TCP_WRITE_FLAG_MORE (no PSH, more follows at once) goes with references only: with a copy it
// makes lwIP allocate a whole segment in advance, which on a small heap costs more than a PSH does.

// 1 if the unsent segments end at the next byte of the stream. tcp_write appends to the last unsent
// segment without a check (2.1.3, 2.2.1): after a fast retransmit that the driver refused, that
// segment comes before others that were sent, and our bytes would get a wrong sequence number.
static int rtpi_lwip_in_order(const struct tcp_pcb *pcb) {
    const struct tcp_seg *last = pcb->unsent;
    while (last != NULL && last->next != NULL) {
        last = last->next;
    }
    return last == NULL || lwip_ntohl(last->tcphdr->seqno) + last->len == pcb->snd_lbb;
}

// Memory that is free again goes to a connection whose bytes were acknowledged, since lwIP calls it
// at once. On a small heap one with nothing in flight would never get any. rtpi_lwip_retry finds
// such a connection, and half of the time the others wait for it. Half, because their own bytes in
// flight may keep the memory for as long as a dead peer is waited for.
static int rtpi_lwip_waits(const rtpush_lwip_slot *slot) {
    const rtpush_lwip_slot *first = slot->port->first;
    return first != NULL && first != slot && (sys_now() & 1024u) != 0;
}

// Writes len bytes or fewer. Returns how many, RTPI_LWIP_FAILED if the connection must be aborted.
static int rtpi_lwip_write(rtpush_lwip_slot *slot, const uint8_t *data, uint32_t want, int refer,
                           int more) {
    rtpush_lwip *port = slot->port;
    struct tcp_pcb *pcb = slot->pcb;
    const uint32_t room = tcp_sndbuf(pcb);
    const uint32_t most = want < room ? want : room;
    u16_t len = (u16_t)most; // a span has no more
    u8_t flags = TCP_WRITE_FLAG_COPY;
    err_t err;
    if (len == 0) {
        return 0;
    }
    if (rtpi_lwip_waits(slot)) {
        rtpi_lwip_set_blocked(slot, 1);
        return 0;
    }
    if (refer && most >= RTPUSH_LWIP_REFER) {
        flags = more && len == want ? TCP_WRITE_FLAG_MORE : 0;
    }
    if (!rtpi_lwip_in_order(pcb)) {
        (void)tcp_output(pcb); // a retry: it may succeed
        if (!rtpi_lwip_in_order(pcb)) {
            rtpi_lwip_set_blocked(slot, 1);
            return 0;
        }
    }
    err = tcp_write(pcb, data, len, flags);
    if (err == ERR_MEM && (!(flags & TCP_WRITE_FLAG_COPY) || len > tcp_mss(pcb))) {
        // tcp_write takes all or nothing: if memory is short, one segment may still succeed.
        len = len < tcp_mss(pcb) ? len : tcp_mss(pcb);
        flags = TCP_WRITE_FLAG_COPY;
        err = tcp_write(pcb, data, len, flags);
    }
    if (err == ERR_OK) {
        if (!(flags & TCP_WRITE_FLAG_COPY)) {
            slot->flags |= RTPI_LWIP_REFERS;
        }
        if (port->first == slot) {
            port->first = NULL;
        }
        return len;
    }
    if (err != ERR_MEM) {
        return RTPI_LWIP_FAILED;
    }
    rtpi_lwip_set_blocked(slot, 1);
    return 0;
}

// Whether a span is to be referred to, not copied.
static int rtpi_lwip_refers(const rtpush_lwip *port, const rtpush_span *span) {
    const uint32_t len = span->len;
    return len >= RTPUSH_LWIP_REFER &&
           (span->kind == RTPUSH_SPAN_STATIC || (span->kind == RTPUSH_SPAN_HOLD && port->refer));
}

// Writes spans, small ones gathered. Returns the bytes lwIP took; *total is what there was.
static int rtpi_lwip_write_spans(rtpush_lwip_slot *slot, const rtpush_span *spans, int count,
                                 uint32_t *total) {
    rtpush_lwip *port = slot->port;
    uint32_t sum = 0;
    uint32_t gathered = 0;
    int sent = 0;
    for (int i = 0; i < count; i++) {
        const rtpush_span *span = &spans[i];
        const int gather = !rtpi_lwip_refers(port, span) && span->len <= sizeof(port->gather);
        sum += span->len;
        if (gathered > 0 && (!gather || gathered + span->len > sizeof(port->gather))) {
            const int n = rtpi_lwip_write(slot, port->gather, gathered, 0, 1);
            if (n < 0 || (uint32_t)n < gathered) {
                *total = sum;
                return n < 0 ? n : sent + n;
            }
            sent += n;
            gathered = 0;
        }
        if (gather) {
            memcpy(port->gather + gathered, span->data, span->len);
            gathered += span->len;
        } else {
            const int n = rtpi_lwip_write(slot, span->data, span->len,
                                          rtpi_lwip_refers(port, span), i + 1 < count);
            if (n < (int)span->len) {
                *total = sum;
                return n < 0 ? n : sent + n;
            }
            sent += n;
        }
    }
    *total = sum;
    if (gathered > 0) {
        const int n = rtpi_lwip_write(slot, port->gather, gathered, 0, 0);
        return n < 0 ? n : sent + n;
    }
    return sent;
}

// Sends until the core has nothing more or lwIP takes nothing more. Returns 1 if bytes moved, 0 if
// not, RTPI_LWIP_FAILED.
static int rtpi_lwip_flush(rtpush_lwip_slot *slot) {
    rtpush_server *srv = rtpi_lwip_server(slot);
    rtpush_span spans[RTPI_LWIP_SPANS];
    int moved = 0;
    int more = 1;
    rtpi_lwip_set_blocked(slot, 0);
    while (more && tcp_sndbuf(slot->pcb) > 0) { // otherwise the sent callback comes
        uint32_t total = 0;
        const int count = rtpush_output(srv, slot->conn, spans, RTPI_LWIP_SPANS);
        int sent = 0;
        if (count > 0) {
            sent = rtpi_lwip_write_spans(slot, spans, count, &total);
            more = rtpush_sent(srv, slot->conn, sent > 0 ? (size_t)sent : 0u, 0);
        }
        if (!(slot->flags & RTPI_LWIP_REFERS)) {
            rtpush_copied(srv, slot->conn);
        }
        if (sent < 0) {
            return RTPI_LWIP_FAILED;
        }
        moved |= sent > 0;
        if (count == RTPUSH_FIN) {
            slot->flags |= RTPI_LWIP_FIN;
            if (tcp_shutdown(slot->pcb, 0, 1) != ERR_OK) { // no memory: lwIP tries again itself
                return RTPI_LWIP_FAILED;
            }
        }
        if (count <= 0 || (uint32_t)sent < total) {
            break;
        }
    }
    if (moved) {
        (void)tcp_output(slot->pcb); // if it fails, lwIP's timers send
    }
    return moved;
}

// lwIP must abort idle keep-alive connections before streams. Returns 1 for a stream.
static int rtpi_lwip_is_stream(const rtpush_lwip_slot *slot) {
    rtpush_server *srv = rtpi_lwip_server(slot);
    const rtpush_handle own = rtpush_conn_handle(srv, slot->conn);
    rtpush_handle before = {0, 0};
    rtpush_handle found;
    if (own.index > 0) {
        before.serial = 1;
        before.index = own.index - 1u;
    }
    found = rtpush_next_stream(srv, before);
    return found.serial != 0 && found.index == own.index;
}

// Input and output of one connection until neither makes progress; TCP_SND_BUF limits it. acked:
// bytes that lwIP has freed just now.
static void rtpi_lwip_serve(rtpush_lwip_slot *slot, uint32_t acked) {
    int moved;
    // Without a PCB both sides have finished, and the core only has to reap it.
    if ((slot->flags & RTPI_LWIP_ABORT) || slot->pcb == NULL) {
        return;
    }
    // A callback of the application may allocate a PCB, and lwIP must not abort this one for it.
    tcp_setprio(slot->pcb, TCP_PRIO_NORMAL);
    slot->port->depth++;
    if (acked > 0) {
        rtpush_acked(rtpi_lwip_server(slot), slot->conn, acked);
    }
    do {
        rtpi_lwip_feed(slot);
        moved = rtpi_lwip_flush(slot);
    } while (moved > 0 && slot->held != NULL);
    slot->port->depth--;
    if (moved < 0) {
        rtpi_lwip_schedule_abort(slot);
        return;
    }
    if (!rtpi_lwip_is_stream(slot)) {
        tcp_setprio(slot->pcb, TCP_PRIO_MIN);
    }
    if ((slot->flags & RTPI_LWIP_PEER_FIN) && (slot->flags & RTPI_LWIP_FIN)) {
        rtpi_lwip_detach(slot);
    }
}

// >>turn -----------------------------------------------------------------------------------------

// Retries connections that wait for memory, beginning with another one each time.
static void rtpi_lwip_retry(rtpush_lwip *port, uint32_t now_ms) {
    if (port->blocked == 0 || !rtpi_lwip_reached(now_ms, port->retry_ms)) {
        return;
    }
    port->retry_ms = now_ms + RTPUSH_LWIP_RETRY_MS;
    port->retry_at = (port->retry_at + 1u) % port->desc.slot_count;
    if (port->first != NULL && !(port->first->flags & RTPI_LWIP_BLOCKED)) {
        port->first = NULL;
    }
    for (uint32_t i = 0; i < port->desc.slot_count; i++) {
        rtpush_lwip_slot *slot =
            &port->desc.slots[(port->retry_at + i) % port->desc.slot_count];
        if (slot->flags & RTPI_LWIP_BLOCKED) {
            rtpi_lwip_serve(slot, 0);
        }
        if (port->first == NULL && (slot->flags & RTPI_LWIP_BLOCKED) && slot->pcb != NULL &&
            tcp_sndqueuelen(slot->pcb) == 0) {
            port->first = slot;
        }
    }
}

static void rtpi_lwip_abort_scheduled(rtpush_lwip *port) {
    for (uint32_t i = 0; i < port->desc.slot_count && port->abort_count > 0; i++) {
        rtpush_lwip_slot *slot = &port->desc.slots[i];
        if (slot->flags & RTPI_LWIP_ABORT) {
            rtpush_server *srv = rtpi_lwip_server(slot);
            rtpush_conn *conn = slot->conn;
            struct tcp_pcb *pcb = rtpi_lwip_release(slot);
            rtpi_lwip_slot_give(slot);
            if (pcb != NULL) {
                tcp_abort(pcb);
            }
            rtpush_gone(srv, conn);
        }
    }
}

// Each server once: it may have several listeners.
static rtpush_server *rtpi_lwip_nth_server(const rtpush_lwip *port, uint32_t index) {
    for (uint32_t i = 0; i < index; i++) {
        if (port->listeners[i].srv == port->listeners[index].srv) {
            return NULL;
        }
    }
    return port->listeners[index].srv;
}

uint32_t rtpush_lwip_poll(rtpush_lwip *port) {
    const uint32_t now_ms = sys_now();
    uint32_t due_ms = 0xFFFFFFFFu;
    LWIP_ASSERT_CORE_LOCKED();
    if (port->depth > 0) {
        return 0;
    }
    port->depth++;
    for (uint32_t i = 0; i < port->listener_count; i++) {
        rtpush_server *srv = rtpi_lwip_nth_server(port, i);
        if (srv == NULL) {
            continue;
        }
        (void)rtpush_tick(srv, now_ms);
        // Bounded: one reader faster than its log could otherwise starve the others.
        for (uint32_t left = 2u * port->desc.slot_count; left > 0; left--) {
            rtpush_conn *conn = rtpush_next(srv);
            if (conn == NULL) {
                break;
            }
            rtpi_lwip_serve((rtpush_lwip_slot *)rtpush_port(conn), 0);
        }
    }
    rtpi_lwip_retry(port, now_ms);
    rtpi_lwip_abort_scheduled(port);
    for (uint32_t i = 0; i < port->listener_count; i++) {
        rtpush_server *srv = rtpi_lwip_nth_server(port, i);
        const uint32_t ms = srv != NULL ? rtpush_tick(srv, now_ms) : due_ms;
        due_ms = ms < due_ms ? ms : due_ms;
    }
    port->depth--;
    if (port->blocked > 0 && port->retry_ms - now_ms < due_ms) {
        due_ms = port->retry_ms - now_ms; // in the future: one that was reached was set again
    }
    return due_ms;
}

#if LWIP_TIMERS
// Calls itself again when something is due; with rtpush_publish_from also 4 times a second, in case
// a wake was lost.
static void rtpi_lwip_on_timer(void *ctx) {
    rtpush_lwip *port = (rtpush_lwip *)ctx;
    const uint32_t most_ms = port->desc.publish_from ? 250u : 1000u;
    uint32_t due_ms;
    if (port->listener_count == 0) {
        return; // a message that was under way when the port was closed
    }
    due_ms = rtpush_lwip_poll(port);
    sys_untimeout(rtpi_lwip_on_timer, port); // if it was called by a message
    port->soon = 0;
    sys_timeout(due_ms < 1u ? 1u : due_ms < most_ms ? due_ms : most_ms, rtpi_lwip_on_timer, port);
}
#endif

// After each callback of lwIP: what the application did there may concern other connections, which
// must not wait for the timer. (Not in its callback: rtpush_lwip_poll may free any PCB.)
static void rtpi_lwip_left(rtpush_lwip *port) {
#if LWIP_TIMERS
    if (port->desc.timer && !port->soon) {
        port->soon = 1;
        sys_untimeout(rtpi_lwip_on_timer, port);
        sys_timeout(0, rtpi_lwip_on_timer, port);
    }
#else
    (void)port;
#endif
}

static void rtpi_lwip_on_wake(void *ctx) {
    rtpush_lwip *port = (rtpush_lwip *)ctx;
    if (port->desc.wake != NULL) {
        port->desc.wake(port->desc.ctx);
        return;
    }
#if !NO_SYS && LWIP_TIMERS
    if (port->desc.timer) {
        (void)tcpip_try_callback(rtpi_lwip_on_timer, port); // no room: the timer comes
    }
#endif
}

// >>callbacks: called by lwIP --------------------------------------------------------------------

static err_t rtpi_lwip_on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    rtpush_lwip_slot *slot = (rtpush_lwip_slot *)arg;
    rtpush_lwip *port = slot->port;
    const uint32_t arrived = rtpi_lwip_clen(p);
    uint32_t before;
    (void)pcb;
    (void)err; // always ERR_OK
    rtpi_lwip_recount(slot, 0); // lwIP delivers again what was refused
    before = slot->pbufs;
    if (p == NULL) {
        slot->flags |= RTPI_LWIP_PEER_FIN;
    }
    if (slot->flags & RTPI_LWIP_ABORT) {
        if (p != NULL) {
            pbuf_free(p);
        } else if (slot->flags & RTPI_LWIP_FIN) { // TIME_WAIT now: lwIP may free it
            rtpi_lwip_detach(slot);
        }
        return ERR_OK;
    }
    if (before >= RTPUSH_LWIP_HOLD && p != NULL) {
        if (port->held + arrived > RTPUSH_LWIP_HOLD_ALL) {
            rtpi_lwip_schedule_abort(slot);
            rtpi_lwip_left(port);
            pbuf_free(p);
            return ERR_OK;
        }
        rtpi_lwip_recount(slot, arrived);
        return ERR_MEM; // lwIP keeps it and delivers it again
    }
    if (slot->held != NULL && p != NULL) {
        pbuf_cat(slot->held, p);
    } else if (p != NULL) {
        slot->held = p;
    }
    rtpi_lwip_serve(slot, 0);
    rtpi_lwip_left(port);
    // Attack: many connections make us hold some pbufs each, until none is left to receive an ACK.
    if (slot->pbufs > before && port->held > RTPUSH_LWIP_HOLD_ALL) {
        rtpi_lwip_schedule_abort(slot);
    }
    return ERR_OK;
}

static err_t rtpi_lwip_on_sent(void *arg, struct tcp_pcb *pcb, u16_t len) {
    rtpush_lwip_slot *slot = (rtpush_lwip_slot *)arg;
    // len counts whole segments that lwIP has freed: it no longer refers to these bytes.
    if (pcb->unacked == NULL && pcb->unsent == NULL) {
        slot->flags &= (uint8_t)~RTPI_LWIP_REFERS;
    }
    rtpi_lwip_serve(slot, len);
    rtpi_lwip_left(slot->port);
    return ERR_OK;
}

static err_t rtpi_lwip_on_poll(void *arg, struct tcp_pcb *pcb) {
    rtpush_lwip_slot *slot = (rtpush_lwip_slot *)arg;
    (void)pcb;
    if (slot->flags & RTPI_LWIP_BLOCKED) {
        rtpi_lwip_serve(slot, 0);
    }
    return ERR_OK;
}

// The PCB is freed already: nothing of it may be touched.
static void rtpi_lwip_on_error(void *arg, err_t err) {
    rtpush_lwip_slot *slot = (rtpush_lwip_slot *)arg;
    rtpush_server *srv = rtpi_lwip_server(slot);
    rtpush_conn *conn = slot->conn;
    (void)err;
    rtpi_lwip_slot_give(slot);
    rtpush_gone(srv, conn);
    rtpi_lwip_left(slot->port); // it is to be reaped
}

// Equal for peers of one network: an IPv4 address, or for IPv6 a hash (FNV-1a) of the /64, the
// network from which one subscriber can choose addresses. Never 0.
static uint32_t rtpi_lwip_peer(const ip_addr_t *from) {
    uint32_t peer = 0;
#if LWIP_IPV6
    if (IP_IS_V6_VAL(*from)) {
        const ip6_addr_t *v6 = ip_2_ip6(from);
        if (ip6_addr_isipv4mappedipv6(v6)) {
            peer = lwip_ntohl(v6->addr[3]);
        } else {
            peer = 2166136261u;
            for (int i = 0; i < 8; i++) {
                const uint32_t word = lwip_ntohl(v6->addr[i / 4]);
                peer = (peer ^ (word >> (24 - 8 * (i % 4)) & 0xFFu)) * 16777619u;
            }
        }
    }
#endif
#if LWIP_IPV4
    if (IP_IS_V4_VAL(*from)) {
        peer = lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(from)));
    }
#endif
    return peer ? peer : 1u;
}

// An error returned from here makes lwIP reset the connection.
static err_t rtpi_lwip_on_accept(void *arg, struct tcp_pcb *pcb, err_t err) {
    rtpi_lwip_listener *listener = (rtpi_lwip_listener *)arg;
    rtpush_lwip *port = listener->port;
    rtpush_lwip_slot *slot;
    if (err != ERR_OK) { // lwIP had no PCB: there is nothing to reset
        return ERR_VAL;
    }
    slot = rtpi_lwip_slot_take(port, (uint8_t)(listener - port->listeners));
    if (slot == NULL) {
        return ERR_MEM;
    }
    port->depth++;
    slot->conn = rtpush_accept(listener->srv, listener->flags, rtpi_lwip_peer(&pcb->remote_ip),
                               slot);
    port->depth--;
    if (slot->conn == NULL) {
        rtpi_lwip_slot_give(slot);
        return ERR_MEM;
    }
    slot->pcb = pcb;
    tcp_arg(pcb, slot);
    tcp_recv(pcb, rtpi_lwip_on_recv);
    tcp_sent(pcb, rtpi_lwip_on_sent);
    tcp_err(pcb, rtpi_lwip_on_error);
    tcp_poll(pcb, rtpi_lwip_on_poll, 1);
    tcp_setprio(pcb, TCP_PRIO_MIN);
    tcp_nagle_disable(pcb); // a frame would wait for the acknowledgement of the last one
    return ERR_OK;
}

// >>public ---------------------------------------------------------------------------------------

const char *rtpush_lwip_config_error(const rtpush_lwip *port) {
    return port->config_error != NULL ? port->config_error : "";
}

// What is wrong with a desc, or NULL.
static const char *rtpi_lwip_check(const rtpush_lwip_desc *desc) {
    if (desc->slots == NULL || desc->slot_count < 2) {
        return "slots: RTPUSH_LWIP_SLOTS(connections) of them";
    }
    if (!desc->lock != !desc->unlock) {
        return "lock, unlock: both or none";
    }
    if (desc->publish_from && desc->lock == NULL && !RTPI_LWIP_PROTECT) {
        return NO_SYS ? "publish_from: with NO_SYS=1 set lock and unlock"
                      : "publish_from: set lock and unlock, or lwipopts.h: SYS_LIGHTWEIGHT_PROT 1";
    }
    if (desc->timer && !LWIP_TIMERS) {
        return "timer: LWIP_TIMERS must be 1 in lwipopts.h";
    }
    return NULL;
}

err_t rtpush_lwip_init(rtpush_lwip *port, const rtpush_lwip_desc *desc) {
    struct pbuf rom;
    LWIP_ASSERT_CORE_LOCKED();
    memset(port, 0, sizeof(*port));
    port->config_error = rtpi_lwip_check(desc);
    if (port->config_error != NULL) {
        return ERR_ARG;
    }
    port->desc = *desc;
    if (desc->backlog == 0) {
        port->desc.backlog = (uint8_t)(desc->slot_count < 255u ? desc->slot_count : 255u);
    }
    for (uint32_t i = desc->slot_count; i > 0; i--) {
        desc->slots[i - 1u].port = port;
        desc->slots[i - 1u].held = NULL;
        desc->slots[i - 1u].pbufs = 0;
        desc->slots[i - 1u].flags = 0;
        rtpi_lwip_slot_give(&desc->slots[i - 1u]);
    }
    // What tcp_write makes of a reference; would the ARP queue copy it?
    memset(&rom, 0, sizeof(rom));
    rom.type_internal = (u8_t)PBUF_ROM;
    port->refer = PBUF_NEEDS_COPY(&rom) ? 1 : 0;
    return ERR_OK;
}

static void rtpi_lwip_attach(rtpush_lwip *port, rtpush_server *srv) {
    rtpush_hooks hooks;
    for (uint32_t i = 0; i < port->listener_count; i++) {
        if (port->listeners[i].srv == srv) {
            return;
        }
    }
    memset(&hooks, 0, sizeof(hooks));
    hooks.ctx = port;
    hooks.drop = rtpi_lwip_on_drop;
    hooks.flags = RTPUSH_INPUT_CONST; // a pbuf may be shared, or refer to memory of its driver
    if (port->desc.publish_from) {
        hooks.wake = rtpi_lwip_on_wake;
        hooks.lock = rtpi_lwip_on_lock;
        hooks.unlock = rtpi_lwip_on_unlock;
    }
    (void)rtpush_attach(srv, &hooks); // fails only for incomplete hooks
    (void)rtpush_tick(srv, sys_now());
}

err_t rtpush_lwip_listen(rtpush_lwip *port, rtpush_server *srv, const ip_addr_t *addr,
                         uint16_t number, unsigned flags) {
    rtpi_lwip_listener *listener = &port->listeners[port->listener_count];
    struct tcp_pcb *pcb;
    err_t err;
    LWIP_ASSERT_CORE_LOCKED();
    if (port->listener_count == RTPUSH_LWIP_LISTENERS) {
        return ERR_ARG;
    }
    rtpi_lwip_attach(port, srv);
    pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
    if (pcb == NULL) {
        return ERR_MEM;
    }
#if SO_REUSE
    ip_set_option(pcb, SOF_REUSEADDR);
#endif
    err = tcp_bind(pcb, addr != NULL ? addr : IP_ANY_TYPE, number);
    if (err == ERR_OK) {
        // Another PCB, a smaller one; on success the first is freed.
        listener->pcb = tcp_listen_with_backlog_and_err(pcb, port->desc.backlog, &err);
    }
    if (err != ERR_OK) {
        tcp_abort(pcb);
        return err;
    }
    listener->port = port;
    listener->srv = srv;
    listener->flags = (uint8_t)flags;
#if LWIP_TIMERS
    if (port->desc.timer && port->listener_count == 0) {
        sys_timeout(1, rtpi_lwip_on_timer, port);
    }
#endif
    port->listener_count++;
    tcp_arg(listener->pcb, listener);
    tcp_accept(listener->pcb, rtpi_lwip_on_accept);
    return ERR_OK;
}

void rtpush_lwip_close(rtpush_lwip *port) {
    LWIP_ASSERT_CORE_LOCKED();
    LWIP_ASSERT("rtpush_lwip_close inside a callback", port->depth == 0);
#if LWIP_TIMERS
    if (port->desc.timer) {
        sys_untimeout(rtpi_lwip_on_timer, port);
        port->soon = 0;
    }
#endif
    for (uint32_t i = 0; i < port->listener_count; i++) {
        (void)tcp_close(port->listeners[i].pcb); // a listener's never fails
    }
    for (uint32_t i = 0; i < port->desc.slot_count; i++) {
        if (port->desc.slots[i].conn != NULL &&
            !(port->desc.slots[i].flags & RTPI_LWIP_ABORT)) {
            rtpi_lwip_schedule_abort(&port->desc.slots[i]);
        }
    }
    rtpi_lwip_abort_scheduled(port);
    for (uint32_t i = 0; i < port->listener_count; i++) {
        rtpush_server *srv = rtpi_lwip_nth_server(port, i);
        if (srv != NULL) {
            (void)rtpush_next(srv); // reaps all: no connection is left
        }
    }
    port->listener_count = 0;
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_LWIP_IMPLEMENTATION
