// rtpush_tls.h - v0.1 - rtpush.h: what the TLS filters share - MIT-0 or public domain
//
// Nothing to include yourself: rtpush_bearssl.h and rtpush_mbedtls.h do. Keep it beside the one you
// use. Here is what does not depend on the library: the pool of slots, who waits and who gives way,
// the way of bytes between port, library and core, every kind of end; and what users of both should
// read.
//
// PROTOCOL
//     ECDHE and authenticated encryption only: ChaCha20-Poly1305, then AES-128-GCM; the certificate
//     ECDSA or RSA. No CBC, RC4, 3DES, no key exchange without forward secrecy, no compression, no
//     renegotiation (refused with a warning). ALPN http/1.1 and http/1.0; a client that offers only
//     others is refused (RFC 7301 3.2). Server names are ignored: there is one certificate. Client
//     certificates are asked for where desc.anchors is set; then no session resumes, since a
//     session could outlive the client's certificate.
//
// RECORDS
//     A peer may send records of up to 16,384 bytes of plaintext, and each must fit in the buffer.
//     A smaller buffer depends on the peer: a server cannot make a browser send small records (only
//     the client can offer the extension of RFC 6066 4, and browsers do not). Browsers put a
//     request head in one record (0.5 to 2 KB, with many cookies more), and send bodies and
//     WebSocket messages in records as large as the message up to 16 KB. A larger record ends the
//     connection with the alert record_overflow: nothing of it was acted upon.
//
// THE POOL
//     A connection of a secure listener needs a link (small); it needs a slot only from its first
//     byte of TLS until its end. If no slot is free it waits, and the port keeps its bytes. While a
//     connection waits, another one gives way by the rules of rtpush.h, SLOTS: one whose handshake,
//     head or body made no progress for give_way_ms; one that is idle for half a second after an
//     answer (its browser can resume the session); or the oldest, at any age, of the address with
//     the most slots. Streams and answers never give way. The youngest waiting connection gets the
//     next slot; the last sixteen addresses whose slot brought no request come after all others. If
//     a handshake takes a third of a second to compute or more, set give_way_ms to slot_count times
//     that.
//     The port keeps the first flight of a waiting connection, 2 KB from Chromium. Over lwIP set
//     the receive window to RTPUSH_LWIP_HOLD segments: then the peer keeps the rest. max_handshakes
//     limits the handshakes at a time. A handshake has the core's idle_ms from accept as its
//     deadline, whatever arrives: one byte a second does not help an attacker.
//
// BACK-PRESSURE
//     Decrypted bytes go into the core at once; what it does not take stays in the engine, and then
//     no further ciphertext is taken from the port. The core is asked for plaintext only if a
//     record can be begun, for as much as fits; the record is closed when the core has no more.
//     Neither direction waits for the other. Plaintext counts as acknowledged for the core when the
//     whole record that carries it was acknowledged by the transport.
//
// CLOSING
//     FIN of the core becomes close_notify, then FIN when all is acknowledged. A peer's
//     close_notify is answered, and what was not sent is discarded (RFC 5246 7.2.1). FIN without
//     close_notify counts as the end of the peer's bytes: nothing that HTTP or WebSocket carries to
//     a server is ended by it, so a cut body or message is never taken as complete.
//     A protocol error gets its alert, then FIN; reason RTPUSH_REASON_TLS. Plain HTTP to this port
//     gets a 400 with an explanation.
//
// STACK
//     A handshake takes 3.2 KB with BearSSL and 3.5 KB with Mbed TLS on a Cortex-M3, lwIP included.
//     In tcpip_thread that is lwIP's: TCPIP_THREAD_STACKSIZE below RTPUSH_TLS_STACK (4,096) does
//     not compile. (0 is the default of lwIP's port to your system, not known here. Where the
//     system counts in words, define RTPUSH_TLS_STACK as 1024.) Beside an operating system
//     rtpush_sockets.h in a task of its own is the better way: a handshake stops all of lwIP else.
//
// CERTIFICATES
//     Plain, on the LAN      no TLS: anyone in the network can read the traffic. The core's checks
//                            of Host and Origin protect only against other web pages.
//     A private CA           "make cert" makes a CA and certificates for localhost, rtpush.local
//                            and the names in NAMES (DNS:device.lan,IP:192.168.1.5). Import ca.pem
//                            into each browser or phone, keep ca.key off the device. Without the
//                            import a page warns once, and wss: fails without a message.
//     A public name          a name in DNS that you own, its certificate by ACME's dns-01 on
//                            another machine, brought to the device every 60 days. The name may
//                            point to a private address. The chain: certificate, then issuers.

#ifndef RTPUSH_TLS_H
#define RTPUSH_TLS_H

#ifndef RTPUSH_H
#error "include rtpush.h before a TLS filter"
#endif

#ifndef RTPUSH_TLS_STACK
#define RTPUSH_TLS_STACK 4096
#endif
#ifdef RTPUSH_LWIP_H
#if !NO_SYS
// Bytes of tcpip_thread's stack. No #if: they may be an expression with a cast or sizeof.
struct rtpi_tls_stack {
    int lwipopts_h_TCPIP_THREAD_STACKSIZE_must_be_4096_or_more_for_TLS
        : (TCPIP_THREAD_STACKSIZE) == 0 || (TCPIP_THREAD_STACKSIZE) >= RTPUSH_TLS_STACK ? 1 : -1;
};
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------

typedef struct rtpush_tls_counters {
    uint32_t begun;      // handshakes
    uint32_t handshakes; // of them completed
    uint32_t resumed;    // of them without public-key work
    uint32_t failed;     // ended by a broken or refused protocol, see last_error
    uint32_t plain;      // first byte was not TLS
    uint32_t gave_way;   // handshakes and idle connections ended for others
    uint32_t waited;     // times a connection found no slot at first
    uint32_t slots_used; // now
    uint32_t slots_high; // most so far
    int last_error;      // the library's
} rtpush_tls_counters;

// -- sizes: public only so that memory can be static; the fields are private ----------------------

typedef struct rtpush_tls_slot rtpush_tls_slot;
typedef struct rtpush_tls_link rtpush_tls_link;

struct rtpush_tls_link { // a connection
    void *port;          // first: rtpush.h
    void *tls;           // the filter
    rtpush_conn *conn;     // NULL: free
    rtpush_tls_slot *slot; // NULL: none yet, or given back
    rtpush_tls_link *next; // free list, or those that wait for a slot
    uint32_t unacked;      // ciphertext that is not acknowledged
    const uint8_t *tail;   // what is sent after the engine's end: an alert or the 400
    uint16_t tail_len;
    uint8_t flags; // RTPI_TLS_...
};

struct rtpush_tls_slot { // a TLS connection: what a filter's slot begins with
    rtpush_tls_link *link; // NULL: free
    uint32_t answered;     // 1: the peer's first flight is complete
    uint32_t in_engine;    // plaintext bytes of the record being made or sent
    uint32_t on_wire;      // in records sent whole, beyond the mark
    uint32_t marked;       // ... before it: acknowledged when `left` more bytes are
    uint32_t left;
};

typedef struct rtpush_tls_pool {
    rtpush_filter filter;
    rtpush_server *srv;
    rtpush_tls_link *free_first;
    rtpush_tls_link *wait_first; // the one that came last
    uint32_t handshakes;         // under way
    uint32_t deferred_at;        // of deferred: which is overwritten next
    uint32_t deferred[16];       // addresses whose slot brought no request
    rtpush_tls_counters count;
} rtpush_tls_pool;

enum { // flags of a link
    RTPI_TLS_WAIT = 1,     // in the list of those that wait
    RTPI_TLS_OPEN = 2,     // the handshake is complete
    RTPI_TLS_EOF = 4,      // FIN of the peer arrived
    RTPI_TLS_EOF_TOLD = 8, // ... and the core knows
    RTPI_TLS_OVER = 16,
    RTPI_TLS_FIN = 32,
    RTPI_TLS_DONE = 64,
    RTPI_TLS_REFUSED = 128 // the port holds bytes that were not taken
};

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_TLS_H

// >>implementation: included by a filter's, in the middle of it -----------------------------------

#ifdef RTPI_TLS_IMPLEMENTATION

#ifdef RTPI_TLS_FILTER
#error "one TLS filter in a file: the other one belongs into another"
#endif
#define RTPI_TLS_FILTER

// The engine is what the library has for one connection. The filter has declared before this: the
// types rtpi_tls, its own struct, with the members pool (first) and desc, where slots, slot_count,
// links, link_count, max_handshakes and give_way_ms are; and rtpi_tls_slot, with the member base
// (first). And it has defined these functions:
//
//   rtpi_tls_start(tls, slot)           begins a handshake; the state tells if that fails
//   rtpi_tls_stop(slot)                 frees what start took, zeroes the slot: its keys too
//   rtpi_tls_state(slot)                bits that the filter defines: RTPI_TLS_OUT: there is
//                                       ciphertext to be sent; RTPI_TLS_READY: the handshake is
//                                       complete; RTPI_TLS_EOF_IN: the peer's bytes have ended,
//                                       ours may go on (RFC 8446 6.1); RTPI_TLS_CLOSED: both have
//   rtpi_tls_error(slot)                why it is CLOSED: 0, close_notify, or the library's number
//   rtpi_tls_alert(link, error)         makes the alert for it, if one is due and there is none:
//                                       for wire, or as the tail of link
//   rtpi_tls_feed(link, from, len)      takes ciphertext; returns how much, 0: not now
//   rtpi_tls_hungry(slot)               1: it would take some
//   rtpi_tls_plain(slot, &len)          decrypted bytes, or NULL
//   rtpi_tls_plain_taken(slot, n)
//   rtpi_tls_write(slot, spans, count)  takes plaintext; returns how much, 0: no room, -1: error;
//                                       the handshake is complete, and wire has nothing
//   rtpi_tls_flush(slot)                ends a record that is not full
//   rtpi_tls_close(slot)                sends close_notify behind what is under way
//   rtpi_tls_wire(slot, &len)           ciphertext to be sent, or NULL; also when it is CLOSED
//   rtpi_tls_wire_taken(slot, n)        1: with it went the last byte of a record

#ifdef __cplusplus
extern "C" {
#endif

// Terms. A link's life:
//
//   no slot, nothing heard -> [WAIT for a slot] -> handshake -> OPEN -> FIN -> DONE
//                    |                                 |          |
//                    +---------------------------------+----------+-> OVER -> FIN -> DONE
//
// OVER: the engine has ended, by an error, an alert or close_notify of the peer, or was never
// started (plain HTTP). Then further output of the core is discarded, as if sent and acknowledged,
// until it asks for FIN; only the tail is still sent: an alert, or the 400. FIN: the core has
// finished; close_notify is being sent if the engine has not ended. DONE: the port was asked for
// FIN.
//
// Acknowledgements. Plaintext is in_engine until its record was handed over to the last byte, then
// on_wire. One mark says that `marked` bytes are acknowledged with the next `left` bytes of
// ciphertext; at that moment all that is on_wire becomes the next mark. It lags by at most two
// flights, and needs no list of records.

enum {
    RTPI_TLS_SPANS = 8,
    RTPI_TLS_DEFERRED = 16,
    RTPI_TLS_HANDSHAKE = 0x16 // RFC 5246 6.2.1: type of a record that carries a ClientHello
};

static const char rtpi_tls_hint[] = "HTTP/1.1 400 Bad Request\r\n"
                                    "Content-Type: text/plain; charset=utf-8\r\n"
                                    "Content-Length: 51\r\n"
                                    "Connection: close\r\n\r\n"
                                    "This port speaks HTTPS: begin with https: or wss:.\n";

// >>pool -----------------------------------------------------------------------------------------

static rtpi_tls_slot *rtpi_tls_engine(const rtpush_tls_link *link) {
    return (rtpi_tls_slot *)(void *)link->slot; // base is its first member
}

static rtpush_tls_link *rtpi_tls_self(const rtpush_conn *conn) {
    return (rtpush_tls_link *)rtpush_filter_self(conn);
}

static rtpi_tls *rtpi_tls_of(const rtpush_tls_link *link) {
    return (rtpi_tls *)link->tls;
}

static void rtpi_tls_wait(rtpush_tls_link *link) {
    if (!(link->flags & RTPI_TLS_WAIT)) {
        link->flags |= RTPI_TLS_WAIT;
        link->next = rtpi_tls_of(link)->pool.wait_first;
        rtpi_tls_of(link)->pool.wait_first = link;
    }
}

static void rtpi_tls_unwait(rtpush_tls_link *link) {
    rtpush_tls_link **at = &rtpi_tls_of(link)->pool.wait_first;
    if (!(link->flags & RTPI_TLS_WAIT)) {
        return;
    }
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    link->flags &= (uint8_t)~RTPI_TLS_WAIT;
}

static int rtpi_tls_is_deferred(const rtpush_tls_link *link) {
    const uint32_t peer = rtpush_filter_peer(link->conn);
    int deferred = 0;
    for (unsigned i = 0; i < RTPI_TLS_DEFERRED; i++) {
        deferred |= peer != 0 && peer == rtpi_tls_of(link)->pool.deferred[i];
    }
    return deferred;
}

// The connection that gets the next slot: the youngest, since its peer is the most likely to be
// still there, and should not wait for all earlier ones. Addresses whose slot brought no request
// come after all others, so that an attacker gets one slot for each address, and then only slots
// that no other connection waits for.
static rtpush_tls_link *rtpi_tls_next(const rtpi_tls *tls) {
    rtpush_tls_link *link = tls->pool.wait_first;
    while (link != NULL && rtpi_tls_is_deferred(link)) {
        link = link->next;
    }
    return link != NULL ? link : tls->pool.wait_first;
}

// Whether it holds what others wait for: a slot, or while slots are free, one of max_handshakes.
static int rtpi_tls_holds(const rtpush_conn *conn) {
    const rtpush_tls_link *link = rtpi_tls_self(conn);
    const rtpi_tls *tls = rtpi_tls_of(link);
    return link->slot != NULL && (tls->pool.count.slots_used == tls->desc.slot_count ||
                                  !(link->flags & RTPI_TLS_OPEN));
}

static rtpi_tls_slot *rtpi_tls_free_slot(const rtpi_tls *tls) {
    for (uint32_t i = 0; i < tls->desc.slot_count; i++) {
        if (tls->desc.slots[i].base.link == NULL) {
            return &tls->desc.slots[i];
        }
    }
    return NULL;
}

// Gives free slots to those that wait.
static void rtpi_tls_assign(rtpi_tls *tls) {
    while (tls->pool.wait_first != NULL && tls->pool.handshakes < tls->desc.max_handshakes) {
        rtpi_tls_slot *slot = rtpi_tls_free_slot(tls);
        rtpush_tls_link *link = rtpi_tls_next(tls);
        if (slot == NULL) {
            return;
        }
        rtpi_tls_unwait(link);
        slot->base.link = link;
        link->slot = &slot->base;
        tls->pool.handshakes++;
        tls->pool.count.begun++;
        tls->pool.count.slots_used++;
        if (tls->pool.count.slots_used > tls->pool.count.slots_high) {
            tls->pool.count.slots_high = tls->pool.count.slots_used;
        }
        rtpi_tls_start(tls, slot);
        rtpush_filter_moved(tls->pool.srv, link->conn);
        rtpush_filter_ready(tls->pool.srv, link->conn);
    }
}

// Its handshake is complete or has ended: it no longer counts for max_handshakes.
static void rtpi_tls_handshake_done(rtpush_tls_link *link) {
    if (!(link->flags & RTPI_TLS_OPEN)) {
        link->flags |= RTPI_TLS_OPEN;
        rtpi_tls_of(link)->pool.handshakes--;
    }
}

static void rtpi_tls_slot_give(rtpush_tls_link *link) {
    if (link->slot == NULL) {
        return;
    }
    rtpi_tls_handshake_done(link);
    rtpi_tls_stop(rtpi_tls_engine(link));
    link->slot = NULL;
    rtpi_tls_of(link)->pool.count.slots_used--;
    rtpi_tls_assign(rtpi_tls_of(link));
}

// This link waits: ends another connection, if the rules of SLOTS allow it.
static void rtpi_tls_make_way(rtpush_tls_link *link) {
    rtpi_tls *tls = rtpi_tls_of(link);
    rtpush_conn *conn = rtpush_filter_gives_way(tls->pool.srv, link->conn, tls->desc.give_way_ms,
                                                rtpi_tls_holds);
    if (conn == NULL) {
        return;
    }
    if (!(rtpi_tls_self(conn)->flags & (RTPI_TLS_OVER | RTPI_TLS_FIN))) {
        tls->pool.count.gave_way++;
        if (!rtpush_filter_idle(conn) && !rtpi_tls_is_deferred(rtpi_tls_self(conn))) {
            tls->pool.deferred[tls->pool.deferred_at++ % RTPI_TLS_DEFERRED] =
                rtpush_filter_peer(conn);
        }
    }
    rtpush_filter_evict(tls->pool.srv, conn);
}

// >>pump -----------------------------------------------------------------------------------------

// The engine has ended, or there was none. Plaintext that is not acknowledged is lost.
static void rtpi_tls_over(rtpush_tls_link *link, int why) {
    rtpi_tls *tls = rtpi_tls_of(link);
    rtpush_tls_slot *slot = link->slot;
    link->flags |= RTPI_TLS_OVER;
    // First: an acknowledgement must not look like success.
    rtpush_filter_end(tls->pool.srv, link->conn, why);
    if (slot != NULL) {
        const uint32_t lost = slot->in_engine + slot->on_wire + slot->marked;
        slot->in_engine = slot->on_wire = slot->marked = slot->left = 0;
        rtpi_tls_handshake_done(link);
        rtpush_plain_acked(tls->pool.srv, link->conn, lost);
    }
}

// To be called after each call of the engine: notes the end of the handshake and of the engine.
// Returns 1 if the engine has ended.
static int rtpi_tls_look(rtpush_tls_link *link) {
    rtpi_tls *tls = rtpi_tls_of(link);
    const unsigned state = rtpi_tls_state(rtpi_tls_engine(link));
    int error;
    if ((state & RTPI_TLS_OUT) && !link->slot->answered) {
        link->slot->answered = 1;
        rtpush_filter_moved(tls->pool.srv, link->conn);
    }
    if ((state & RTPI_TLS_READY) && !(link->flags & RTPI_TLS_OPEN)) {
        rtpush_filter_moved(tls->pool.srv, link->conn);
        tls->pool.count.handshakes++;
        rtpi_tls_handshake_done(link);
        rtpi_tls_assign(tls);
    }
    if (state & RTPI_TLS_EOF_IN) {
        link->flags |= RTPI_TLS_EOF;
    }
    if (!(state & RTPI_TLS_CLOSED)) {
        return 0;
    }
    error = rtpi_tls_error(rtpi_tls_engine(link));
    if (error == 0) { // close_notify of the peer, and ours is sent
        rtpi_tls_over(link, RTPUSH_REASON_PEER_CLOSED);
        return 1;
    }
    tls->pool.count.failed++;
    tls->pool.count.last_error = error;
    rtpi_tls_alert(link, error);
    rtpi_tls_over(link, RTPUSH_REASON_TLS);
    return 1;
}

// Decrypted bytes to the core, and the end behind them. Returns 1 if something moved.
static int rtpi_tls_deliver(rtpush_tls_link *link) {
    rtpush_server *srv = rtpi_tls_of(link)->pool.srv;
    int moved = 0;
    size_t len = 0;
    if (link->slot != NULL && !(link->flags & RTPI_TLS_OVER)) {
        uint8_t *data = rtpi_tls_plain(rtpi_tls_engine(link), &len);
        while (data != NULL) {
            const size_t taken = rtpush_plain_input(srv, link->conn, data, len);
            if (taken > 0) {
                rtpi_tls_plain_taken(rtpi_tls_engine(link), taken);
                moved = 1;
            }
            if (taken < len) {
                return moved;
            }
            data = rtpi_tls_plain(rtpi_tls_engine(link), &len);
        }
    }
    if ((link->flags & (RTPI_TLS_EOF | RTPI_TLS_EOF_TOLD)) == RTPI_TLS_EOF) {
        link->flags |= RTPI_TLS_EOF_TOLD;
        rtpush_plain_eof(srv, link->conn);
    }
    return moved;
}

// Asks the core for plaintext, as much as the engine takes; without an engine it is discarded.
// Before the end of the handshake there is no room, and the core can only ask for FIN. Returns 1 if
// something moved.
static int rtpi_tls_collect(rtpush_tls_link *link) {
    rtpush_server *srv = rtpi_tls_of(link)->pool.srv;
    const int over = link->slot == NULL || (link->flags & RTPI_TLS_OVER);
    rtpush_span spans[RTPI_TLS_SPANS];
    int taken = 0;
    int count;
    if (link->flags & RTPI_TLS_FIN) {
        return 0;
    }
    count = rtpush_plain_output(srv, link->conn, spans, RTPI_TLS_SPANS);
    if (count > 0 && !over) {
        taken = rtpi_tls_write(rtpi_tls_engine(link), spans, count);
        if (taken < 0) {
            (void)rtpi_tls_look(link);
            return 1;
        }
    }
    for (int i = 0; i < count && over; i++) {
        taken += spans[i].len;
    }
    if (count > 0) { // asked again anyway
        (void)rtpush_plain_sent(srv, link->conn, (size_t)taken, over ? (size_t)taken : 0u);
    }
    if (count == RTPUSH_FIN) {
        link->flags |= RTPI_TLS_FIN;
        rtpi_tls_unwait(link); // it must not keep a slot
        if (!over) {
            rtpi_tls_close(rtpi_tls_engine(link));
        }
        return 0;
    }
    if (!over) {
        link->slot->in_engine += (uint32_t)taken;
    }
    return taken > 0;
}

// What the port may send now, *len 0 if nothing.
static const uint8_t *rtpi_tls_pending(rtpush_tls_link *link, size_t *len) {
    *len = link->tail_len;
    return link->tail_len > 0 || link->slot == NULL ? link->tail
                                                    : rtpi_tls_wire(rtpi_tls_engine(link), len);
}

// All that is on_wire becomes the next mark, if there is none.
static void rtpi_tls_mark(rtpush_tls_link *link) {
    rtpush_tls_slot *slot = link->slot;
    if (slot->left == 0 && slot->on_wire > 0) {
        slot->marked = slot->on_wire;
        slot->on_wire = 0;
        slot->left = link->unacked;
    }
}

// >>filter: what the core calls for the port -----------------------------------------------------

static void *rtpi_tls_open(void *ctx, rtpush_server *srv, rtpush_conn *conn, void *port) {
    rtpi_tls *tls = (rtpi_tls *)ctx;
    rtpush_tls_link *link = tls->pool.free_first;
    (void)srv;
    if (link == NULL) {
        return NULL;
    }
    tls->pool.free_first = link->next;
    memset(link, 0, sizeof(*link));
    link->port = port;
    link->tls = tls;
    link->conn = conn;
    return link;
}

static void rtpi_tls_close_link(void *self) {
    rtpush_tls_link *link = (rtpush_tls_link *)self;
    rtpi_tls_unwait(link);
    rtpi_tls_slot_give(link);
    link->conn = NULL;
    link->next = rtpi_tls_of(link)->pool.free_first;
    rtpi_tls_of(link)->pool.free_first = link;
}

// The first bytes of a connection. Returns 1 if it has a slot now.
static int rtpi_tls_begin(rtpush_tls_link *link, uint8_t first) {
    rtpi_tls *tls = rtpi_tls_of(link);
    const int is_new = !(link->flags & RTPI_TLS_WAIT);
    if (first != RTPI_TLS_HANDSHAKE) {
        tls->pool.count.plain++;
        link->tail = (const uint8_t *)rtpi_tls_hint;
        link->tail_len = sizeof(rtpi_tls_hint) - 1u;
        rtpi_tls_over(link, RTPUSH_REASON_SYNTAX);
        return 0;
    }
    rtpi_tls_wait(link);
    rtpi_tls_assign(tls);
    if (link->slot == NULL) {
        tls->pool.count.waited += is_new != 0;
        rtpi_tls_make_way(link);
        rtpush_filter_later(tls->pool.srv, link->conn);
    }
    return link->slot != NULL;
}

static size_t rtpi_tls_input(rtpush_server *srv, rtpush_conn *conn, void *bytes, size_t len) {
    rtpush_tls_link *link = rtpi_tls_self(conn);
    const uint8_t *from = (const uint8_t *)bytes;
    size_t taken = 0;
    (void)srv;
    if (len == 0) {
        return 0;
    }
    if (link->slot == NULL && !(link->flags & (RTPI_TLS_OVER | RTPI_TLS_FIN)) &&
        !rtpi_tls_begin(link, from[0]) && !(link->flags & RTPI_TLS_OVER)) {
        return 0;
    }
    link->flags &= (uint8_t)~RTPI_TLS_REFUSED;
    while (taken < len && !(link->flags & (RTPI_TLS_OVER | RTPI_TLS_FIN))) {
        const size_t n = rtpi_tls_feed(link, from + taken, len - taken);
        taken += n;
        if (!rtpi_tls_look(link) && !rtpi_tls_deliver(link) && n == 0) {
            link->flags |= RTPI_TLS_REFUSED;
            return taken;
        }
    }
    return len; // all, or the rest is discarded
}

static void rtpi_tls_eof(rtpush_server *srv, rtpush_conn *conn) {
    rtpush_tls_link *link = rtpi_tls_self(conn);
    (void)srv;
    link->flags |= RTPI_TLS_EOF;
    (void)rtpi_tls_deliver(link);
}

static int rtpi_tls_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max) {
    rtpush_tls_link *link = rtpi_tls_self(conn);
    const uint8_t *data;
    size_t len = 0;
    (void)max;
    do {
        data = rtpi_tls_pending(link, &len);
        if (len > 0) {
            break;
        }
        (void)rtpi_tls_deliver(link);
    } while (rtpi_tls_collect(link));
    if (len == 0 && link->slot != NULL && !(link->flags & RTPI_TLS_OVER)) {
        rtpi_tls_flush(rtpi_tls_engine(link));
        data = rtpi_tls_pending(link, &len);
    }
    if (len > 0) {
        spans[0].data = data;
        spans[0].len = (uint16_t)len; // a record at most: RFC 8446 5.2
        spans[0].kind = RTPUSH_SPAN_COPY;
        return 1;
    }
    if ((link->flags & RTPI_TLS_REFUSED) && link->slot != NULL &&
        rtpi_tls_hungry(rtpi_tls_engine(link))) {
        link->flags &= (uint8_t)~RTPI_TLS_REFUSED;
        rtpush_filter_ready(srv, conn); // the port does not know that there is room again
    }
    if ((link->flags & RTPI_TLS_FIN) && !(link->flags & RTPI_TLS_DONE) && link->unacked == 0) {
        link->flags |= RTPI_TLS_DONE;
        rtpi_tls_slot_give(link);
        return RTPUSH_FIN;
    }
    return 0;
}

static void rtpi_tls_acked(rtpush_server *srv, rtpush_conn *conn, size_t n) {
    rtpush_tls_link *link = rtpi_tls_self(conn);
    rtpush_tls_slot *slot = link->slot;
    uint32_t acked;
    link->unacked -= n < link->unacked ? (uint32_t)n : link->unacked;
    if (link->unacked == 0 && (link->flags & RTPI_TLS_FIN)) {
        rtpush_filter_ready(srv, conn); // FIN is next
    }
    if (slot == NULL) {
        return;
    }
    if (n < slot->left) {
        slot->left -= (uint32_t)n;
        return;
    }
    acked = slot->marked;
    slot->marked = slot->left = 0;
    if (link->unacked == 0) { // records behind the mark too: nothing is left to mark them by
        acked += slot->on_wire;
        slot->on_wire = 0;
    }
    rtpi_tls_mark(link);
    if (acked > 0) {
        rtpush_plain_acked(srv, conn, acked); // last: callbacks run in it
    }
}

// The transport has taken n of the bytes given to the port.
static void rtpi_tls_taken(rtpush_tls_link *link, size_t n) {
    link->unacked += (uint32_t)n;
    if (link->tail_len > 0) {
        link->tail += n;
        link->tail_len = (uint16_t)(link->tail_len - n);
        return;
    }
    if (rtpi_tls_wire_taken(rtpi_tls_engine(link), n)) {
        link->slot->on_wire += link->slot->in_engine;
        link->slot->in_engine = 0;
    }
    if (!(link->flags & RTPI_TLS_OVER)) {
        rtpi_tls_mark(link);
        (void)rtpi_tls_look(link);
    }
}

// Always returns that there may be more: in the engine, or in the core. Asking again costs little
// compared with a record.
static int rtpi_tls_sent(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked) {
    if (taken > 0) {
        rtpi_tls_taken(rtpi_tls_self(conn), taken);
    }
    if (acked > 0) {
        rtpi_tls_acked(srv, conn, acked);
    }
    return 1;
}

// >>init -----------------------------------------------------------------------------------------

// The limits of desc that the pool needs: 1 if they are complete.
static int rtpi_tls_check(rtpi_tls *tls) {
    tls->desc.give_way_ms = tls->desc.give_way_ms ? tls->desc.give_way_ms : 1000u;
    tls->desc.max_handshakes =
        tls->desc.max_handshakes ? tls->desc.max_handshakes : tls->desc.slot_count;
    return tls->desc.slots != NULL && tls->desc.slot_count > 0 && tls->desc.links != NULL &&
           tls->desc.link_count > 0;
}

// The last step of a filter's init. What rtpush_attach_filter says.
static int rtpi_tls_attach(rtpi_tls *tls, rtpush_server *srv) {
    rtpush_tls_pool *pool = &tls->pool;
    pool->srv = srv;
    memset(tls->desc.slots, 0, tls->desc.slot_count * sizeof(*tls->desc.slots));
    memset(tls->desc.links, 0, tls->desc.link_count * sizeof(*tls->desc.links));
    for (uint32_t i = tls->desc.link_count; i > 0; i--) {
        tls->desc.links[i - 1u].next = pool->free_first;
        pool->free_first = &tls->desc.links[i - 1u];
    }
    pool->filter.ctx = tls;
    pool->filter.open = rtpi_tls_open;
    pool->filter.close = rtpi_tls_close_link;
    pool->filter.input = rtpi_tls_input;
    pool->filter.eof = rtpi_tls_eof;
    pool->filter.output = rtpi_tls_output;
    pool->filter.sent = rtpi_tls_sent;
    pool->filter.acked = rtpi_tls_acked;
    return rtpush_attach_filter(srv, &pool->filter);
}

#ifdef __cplusplus
}
#endif

#endif // RTPI_TLS_IMPLEMENTATION
