// rtpush_bearssl.h - v0.1 - rtpush.h: TLS 1.2 by BearSSL, a filter - MIT-0 or public domain
//
// A filter between any port and the core; the port needs no change. No allocation: all memory is
// yours, and there are usually fewer TLS connections than connections.
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     ... the port ...             ... the port ...
//     #define RTPUSH_BEARSSL_IMPLEMENTATION
//     #include "rtpush_bearssl.h"  #include "rtpush_bearssl.h"
//
// QUICK START
//     enum { CONNS = 8, TLS = 3, IN = 16709, OUT = 2133 };
//     static rtpush_bearssl tls;
//     static rtpush_bearssl_slot slots[TLS];
//     static rtpush_bearssl_link links[CONNS];
//     static uint8_t buffers[RTPUSH_BEARSSL_BUFFERS(TLS, IN, OUT)];
//     static uint8_t sessions[8 * RTPUSH_BEARSSL_SESSION];
//     ...
//     rtpush_bearssl_desc desc = {0};
//     desc.chain = chain;        // "make cert" makes one; rtpush_bearssl_pem reads text
//     desc.chain_len = 1;
//     desc.ec_key = &key;
//     desc.slots = slots;     desc.slot_count = TLS;
//     desc.links = links;     desc.link_count = CONNS;
//     desc.buffers = buffers; desc.buffers_size = sizeof(buffers);
//     desc.in_size = IN;      desc.out_size = OUT;
//     desc.sessions = sessions; desc.sessions_size = sizeof(sessions);
//     desc.entropy = my_random_generator;            // not needed on an operating system
//     int error = rtpush_bearssl_init(&tls, &srv, &desc);       // after rtpush_init(&srv, ...)
//     if (error) puts(rtpush_bearssl_strerror(error));
//     rtpush_posix_listen(&port, &srv, "0.0.0.0", 443, RTPUSH_LISTENER_SECURE); // or _lwip_listen
//
// NEEDS
//     BearSSL 0.6 (Debian: libbearssl-dev). A source of random bytes: BearSSL's own on an operating
//     system, else desc.entropy; without one rtpush_bearssl_init fails, since keys that can be
//     guessed protect nothing.
//
// COSTS ("make size", Cortex-M3, gcc 12 -Os; BearSSL's part included)
//     flash  everything                                     46,175
//            without client certificates                    38,683
//            ... and RSA                                    36,467
//            ... and AES: ECDSA, ChaCha20, X25519, P-256    32,857
//            ... and X25519                                 30,045
//     RAM    448; 32 a connection; 3,800 + in_size + out_size a TLS connection; 100 a session;
//            3,048 more a TLS connection for client certificates
//     stack  3.2 KB were seen at most, lwIP included
//
// WHAT IT SPEAKS
//     TLS 1.2 only (RFC 5246). ECDHE over X25519 or P-256; ChaCha20-Poly1305, then AES-128-GCM; the
//     certificate ECDSA P-256 or RSA. No CBC, RC4, 3DES, no key exchange without forward secrecy,
//     no compression, no renegotiation (refused with a warning; RFC 5746 is spoken). ALPN http/1.1
//     and http/1.0; a client that offers only others is refused (RFC 7301 3.2). Server names are
//     ignored: there is one certificate. Sessions resume from desc.sessions: no public-key work in
//     a page's second connection. Client certificates are asked for where desc.anchors is set; then
//     no session resumes, since a session could outlive the client's certificate.
//
// BUFFERS
//     Two for each TLS connection, not shared: a shared one deadlocks when both sides wait.
//     in_size   16,709 takes every record a peer may send (16,413 suffices for these ciphers).
//               What fits is in_size - 29 bytes of plaintext in one record. A smaller one
//               depends on the peer: a server cannot make a browser send small records (only the
//               client can offer the extension of RFC 6066 4, and browsers do not). Browsers put a
//               request head in one record (0.5 to 2 KB, with many cookies more), and send bodies
//               and WebSocket messages in records as large as the message up to 16 KB. A larger
//               record ends the connection with the alert record_overflow: nothing of it was acted
//               upon. So: 16,709 where uploads or large messages are to be taken; 4,125 where pages
//               only send heads and messages below 4 KB; 2,077 where they come without many
//               cookies; 837 is the least, for clients you write yourself.
//     out_size  records we send are as large as fits, at least 597: 512 bytes of plaintext in each.
//               BearSSL knows the sizes 512, 1024, 2048, 4096, 16384 (+ 85), and takes the smaller
//               of out_size - 85 and in_size - 325. Small costs 29 bytes a record, nothing else.
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
//     "make cert" writes the ECDSA one as C too, for firmware: dev_chain and dev_key in
//     build/cert/dev_cert.h. Or keep PEM text and read it by rtpush_bearssl_pem.
//
// CONTEXT
//     That of rtpush.h. A handshake computes for a while inside rtpush_input (Cortex-M3: 12 million
//     instructions with X25519 and ECDSA, 72 with RSA-2048); nothing else runs then.
//
// OPTIONS (where the implementation is compiled; they save flash)
//     RTPUSH_BEARSSL_NO_RSA           no RSA certificate
//     RTPUSH_BEARSSL_NO_AES           ChaCha20-Poly1305 only (browsers have it)
//     RTPUSH_BEARSSL_NO_X25519        P-256 only
//     RTPUSH_BEARSSL_NO_CLIENT_CERTS  no client certificates
//
// TESTED ON
//     tests/tls: against BearSSL's client in memory (records of every size; split, cut and stuck at
//     every byte; random runs), over the POSIX port with openssl 3.0, curl, sslscan, ws, node
//     and Chromium, over lwIP 2.1 and 2.2 on a simulated wire with loss and failing allocations;
//     in firmware on QEMU's lm3s6965evb and mps2-an385 (examples/secure; every transcript of
//     tests/device; the dashboard with eight clients and Chromium).

#ifndef RTPUSH_BEARSSL_H
#define RTPUSH_BEARSSL_H

#ifndef RTPUSH_H
#error "include rtpush.h before rtpush_bearssl.h"
#endif

#include <bearssl.h>

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------

// What rtpush_bearssl_init and _pem return besides RTPUSH_OK.
enum {
    RTPUSH_BEARSSL_ERR_ENTROPY = -60, // no random bytes: TLS cannot start
    RTPUSH_BEARSSL_ERR_KEY = -61,     // no certificate, or not exactly one of the keys
    RTPUSH_BEARSSL_ERR_MEMORY = -62,  // slots, links, buffers or sessions missing or too small
    RTPUSH_BEARSSL_ERR_ATTACH = -63,  // the server has a filter
    RTPUSH_BEARSSL_ERR_PEM = -64      // text that is not PEM, or does not fit the memory
};

typedef struct rtpush_bearssl rtpush_bearssl;
typedef struct rtpush_bearssl_slot rtpush_bearssl_slot;
typedef struct rtpush_bearssl_link rtpush_bearssl_link;

#define RTPUSH_BEARSSL_SESSION 100u // bytes of one remembered session
#define RTPUSH_BEARSSL_BUFFERS(slots, in_size, out_size) \
    ((size_t)(slots) * ((size_t)(in_size) + (size_t)(out_size)))

// Zero means the default in parentheses. Everything pointed to must outlive the server.
typedef struct rtpush_bearssl_desc {
    // The certificate, its issuers after it, the root left out; and its key, one of the two.
    const br_x509_certificate *chain;
    size_t chain_len;
    const br_ec_private_key *ec_key;   // P-256
    const br_rsa_private_key *rsa_key; // 2048 bits or more

    // Memory.
    rtpush_bearssl_slot *slots; // one a TLS connection at a time
    uint32_t slot_count;
    rtpush_bearssl_link *links; // one a connection of a secure listener: conn_count of the server
    uint32_t link_count;
    void *buffers;       // RTPUSH_BEARSSL_BUFFERS(slot_count, in_size, out_size)
    size_t buffers_size; // bytes
    uint16_t in_size;    // (16,709) 837 or more: see BUFFERS above
    uint16_t out_size;   // (2,133) 597 or more
    void *sessions;      // a multiple of RTPUSH_BEARSSL_SESSION bytes; NULL, anchors: none resumes
    size_t sessions_size;

    // Fills out with len random bytes that nobody can guess and returns 1, or 0. Called at init,
    // for 48 bytes. (BearSSL's: getrandom, RDRAND ...)
    int (*entropy)(void *ctx, void *out, size_t len);
    void *ctx; // of entropy and clock

    uint32_t max_handshakes; // (slot_count) at a time
    uint32_t give_way_ms;    // (1,000) see THE POOL above

    // Client certificates: only those signed by one of these are accepted.
    const br_x509_trust_anchor *anchors; // NULL: none is asked for
    size_t anchor_count;
    br_x509_minimal_context *x509; // slot_count of them
    // Days since 1 January of year 0 (1970: 719,528) and seconds of the day; returns 1, or 0 if the
    // time is not known: then no client certificate is valid. (the system's time if there is one)
    int (*clock)(void *ctx, uint32_t *days, uint32_t *seconds);
} rtpush_bearssl_desc;

typedef struct rtpush_bearssl_counters {
    uint32_t begun;      // handshakes
    uint32_t handshakes; // of them completed
    uint32_t resumed;    // of them without public-key work
    uint32_t failed;     // ended by a broken or refused protocol, see last_error
    uint32_t plain;      // first byte was not TLS
    uint32_t gave_way;   // handshakes and idle connections ended for others
    uint32_t waited;     // times a connection found no slot at first
    uint32_t slots_used; // now
    uint32_t slots_high; // most so far
    int last_error;      // BR_ERR_...
} rtpush_bearssl_counters;

// Prepares tls and attaches it to srv, which rtpush_init prepared and which has no connection yet.
// desc is copied. Negative: rtpush_bearssl_strerror says why.
int rtpush_bearssl_init(rtpush_bearssl *tls, rtpush_server *srv, const rtpush_bearssl_desc *desc);
const char *rtpush_bearssl_strerror(int error);
const rtpush_bearssl_counters *rtpush_bearssl_get_counters(const rtpush_bearssl *tls);

// For rtpush_jwt.check with .alg "ES256" (RFC 7518 3.4): ctx is a br_ec_public_key of P-256. The
// issuer alone can sign, unlike with HS256. Takes as long as half a handshake.
int rtpush_bearssl_es256(const void *ctx, const uint8_t hash[32], const uint8_t *signature,
                         size_t len);

// A certificate chain and its key out of PEM text.
enum { RTPUSH_BEARSSL_CHAIN = 4 }; // most certificates
typedef struct rtpush_bearssl_identity {
    br_x509_certificate chain[RTPUSH_BEARSSL_CHAIN];
    size_t chain_len;
    br_skey_decoder_context key; // br_skey_decoder_get_ec, _get_rsa
} rtpush_bearssl_identity;
// Reads every CERTIFICATE and the last PRIVATE KEY of the text (EC, RSA or PKCS #8). The
// certificates go to memory, which must outlive the server: three quarters of the text suffice.
// Call it again for a key in another file: id is only added to. Zero it first.
int rtpush_bearssl_pem(rtpush_bearssl_identity *id, const char *text, size_t len, void *memory,
                       size_t size);
// Sets chain, chain_len and the key of desc. RTPUSH_BEARSSL_ERR_KEY if something is missing.
int rtpush_bearssl_identify(rtpush_bearssl_desc *desc, const rtpush_bearssl_identity *id);

// -- sizes: public only so that memory can be static; the fields are private ----------------------

struct rtpush_bearssl_link { // a connection
    void *port;              // first: rtpush.h
    rtpush_bearssl *tls;
    rtpush_conn *conn;         // NULL: free
    rtpush_bearssl_slot *slot; // NULL: none yet, or given back
    rtpush_bearssl_link *next; // free list, or those that wait for a slot
    uint32_t unacked;          // ciphertext that is not acknowledged
    uint16_t tail_at;          // of what is sent after the engine's end: an alert or the 400
    uint16_t tail_len;
    uint8_t flags; // RTPI_BEARSSL_...
};

struct rtpush_bearssl_slot { // a TLS connection
    rtpush_bearssl_link *link; // NULL: free
    uint32_t answered;         // 1: the peer's first flight is complete
    uint32_t in_engine;        // plaintext bytes of the record being made or sent
    uint32_t on_wire;          // in records sent whole, beyond the mark
    uint32_t marked;           // ... before it: acknowledged when `left` more bytes are
    uint32_t left;
    br_ssl_server_context ssl;
};

struct rtpush_bearssl {
    rtpush_filter filter;
    rtpush_server *srv;
    rtpush_bearssl_desc desc;
    rtpush_bearssl_link *free_first;
    rtpush_bearssl_link *wait_first; // the one that came last
    uint32_t handshakes;             // under way
    uint32_t deferred_at;            // of deferred: which is overwritten next
    uint32_t deferred[16];           // addresses whose slot brought no request
    rtpush_bearssl_counters count;
    const br_ssl_session_cache_class *cache; // counts, and asks lru
    br_ssl_session_cache_lru lru;
    br_hmac_drbg_context random;
};

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_BEARSSL_H

// >>implementation -------------------------------------------------------------------------------

#ifdef RTPUSH_BEARSSL_IMPLEMENTATION

#include <string.h>

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
    RTPI_BEARSSL_WAIT = 1,     // in the list of those that wait
    RTPI_BEARSSL_OPEN = 2,     // the handshake is complete
    RTPI_BEARSSL_EOF = 4,      // FIN of the peer arrived
    RTPI_BEARSSL_EOF_TOLD = 8, // ... and the core knows
    RTPI_BEARSSL_OVER = 16,
    RTPI_BEARSSL_FIN = 32,
    RTPI_BEARSSL_DONE = 64,
    RTPI_BEARSSL_REFUSED = 128 // the port holds bytes that were not taken
};

enum {
    RTPI_BEARSSL_SPANS = 8,
    RTPI_BEARSSL_DEFERRED = 16,
    RTPI_BEARSSL_HANDSHAKE = 0x16, // RFC 5246 6.2.1: type of a record that carries a ClientHello
    RTPI_BEARSSL_ALERT = 21,
    RTPI_BEARSSL_LEAST_IN = 512 + 325, // BearSSL, ssl_engine.c: MAX_IN_OVERHEAD, MAX_OUT_OVERHEAD
    RTPI_BEARSSL_LEAST_OUT = 512 + 85
};

static const char rtpi_bearssl_hint[] = "HTTP/1.1 400 Bad Request\r\n"
                                        "Content-Type: text/plain; charset=utf-8\r\n"
                                        "Content-Length: 51\r\n"
                                        "Connection: close\r\n\r\n"
                                        "This port speaks HTTPS: begin with https: or wss:.\n";

// >>curves: only two of BearSSL's, so that the others are not linked -----------------------------

#ifdef __ARM_ARCH_6M__ // multiplies to 32 bits only
#define RTPI_BEARSSL_P256 br_ec_p256_m15
#define RTPI_BEARSSL_X25519 br_ec_c25519_m15
#else
#define RTPI_BEARSSL_P256 br_ec_p256_m31
#define RTPI_BEARSSL_X25519 br_ec_c25519_m31
#endif

#ifndef RTPUSH_BEARSSL_NO_X25519
static const br_ec_impl *rtpi_bearssl_curve(int curve) {
    return curve == BR_EC_curve25519 ? &RTPI_BEARSSL_X25519 : &RTPI_BEARSSL_P256;
}

static const unsigned char *rtpi_bearssl_generator(int curve, size_t *len) {
    return rtpi_bearssl_curve(curve)->generator(curve, len);
}

static const unsigned char *rtpi_bearssl_order(int curve, size_t *len) {
    return rtpi_bearssl_curve(curve)->order(curve, len);
}

static size_t rtpi_bearssl_xoff(int curve, size_t *len) {
    return rtpi_bearssl_curve(curve)->xoff(curve, len);
}

static uint32_t rtpi_bearssl_mul(unsigned char *point, size_t point_len, const unsigned char *x,
                                 size_t x_len, int curve) {
    return rtpi_bearssl_curve(curve)->mul(point, point_len, x, x_len, curve);
}

static size_t rtpi_bearssl_mulgen(unsigned char *out, const unsigned char *x, size_t x_len,
                                  int curve) {
    return rtpi_bearssl_curve(curve)->mulgen(out, x, x_len, curve);
}

static uint32_t rtpi_bearssl_muladd(unsigned char *a, const unsigned char *b, size_t len,
                                    const unsigned char *x, size_t x_len, const unsigned char *y,
                                    size_t y_len, int curve) {
    return rtpi_bearssl_curve(curve)->muladd(a, b, len, x, x_len, y, y_len, curve);
}

static const br_ec_impl rtpi_bearssl_both = {
    (uint32_t)1 << BR_EC_secp256r1 | (uint32_t)1 << BR_EC_curve25519,
    rtpi_bearssl_generator, rtpi_bearssl_order, rtpi_bearssl_xoff,
    rtpi_bearssl_mul, rtpi_bearssl_mulgen, rtpi_bearssl_muladd};
#endif

static const br_ec_impl *rtpi_bearssl_ec(void) {
#ifdef RTPUSH_BEARSSL_NO_X25519
    return &RTPI_BEARSSL_P256;
#else
    return &rtpi_bearssl_both;
#endif
}

// >>sessions: BearSSL's cache, with the successes counted ----------------------------------------

static rtpush_bearssl *rtpi_bearssl_of_cache(const br_ssl_session_cache_class **cache) {
    return (rtpush_bearssl *)(void *)((uint8_t *)(void *)cache - offsetof(rtpush_bearssl, cache));
}

static void rtpi_bearssl_save(const br_ssl_session_cache_class **cache, br_ssl_server_context *ssl,
                              const br_ssl_session_parameters *session) {
    rtpush_bearssl *tls = rtpi_bearssl_of_cache(cache);
    tls->lru.vtable->save(&tls->lru.vtable, ssl, session);
}

static int rtpi_bearssl_load(const br_ssl_session_cache_class **cache, br_ssl_server_context *ssl,
                             br_ssl_session_parameters *session) {
    rtpush_bearssl *tls = rtpi_bearssl_of_cache(cache);
    const int found = tls->lru.vtable->load(&tls->lru.vtable, ssl, session);
    tls->count.resumed += found != 0;
    return found;
}

static const br_ssl_session_cache_class rtpi_bearssl_cache = {
    sizeof(const br_ssl_session_cache_class *), rtpi_bearssl_save, rtpi_bearssl_load};

// >>engine ---------------------------------------------------------------------------------------

static br_ssl_engine_context *rtpi_bearssl_engine(const rtpush_bearssl_link *link) {
    return &link->slot->ssl.eng;
}

#ifndef RTPUSH_BEARSSL_NO_CLIENT_CERTS
static void rtpi_bearssl_ask_client(const rtpush_bearssl *tls, rtpush_bearssl_slot *slot) {
    const rtpush_bearssl_desc *d = &tls->desc;
    br_x509_minimal_context *x509 = &d->x509[slot - d->slots];
    uint32_t days = 0;
    uint32_t seconds = 0;
    br_x509_minimal_init(x509, &br_sha256_vtable, d->anchors, d->anchor_count);
    br_x509_minimal_set_hash(x509, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_ecdsa(x509, rtpi_bearssl_ec(), br_ecdsa_vrfy_asn1_get_default());
    br_ssl_engine_set_ecdsa(&slot->ssl.eng, br_ecdsa_vrfy_asn1_get_default());
#ifndef RTPUSH_BEARSSL_NO_RSA
    br_x509_minimal_set_rsa(x509, br_rsa_pkcs1_vrfy_get_default());
    br_ssl_engine_set_rsavrfy(&slot->ssl.eng, br_rsa_pkcs1_vrfy_get_default());
#endif
    if (d->clock != NULL) {
        // A time before all certificates: none is valid then.
        const int known = d->clock(d->ctx, &days, &seconds);
        br_x509_minimal_set_time(x509, known ? days : 1u, known ? seconds : 0u);
    }
    br_ssl_engine_set_x509(&slot->ssl.eng, &x509->vtable);
    br_ssl_server_set_trust_anchor_names_alt(&slot->ssl, d->anchors, d->anchor_count);
}
#endif

static void rtpi_bearssl_set_key(const rtpush_bearssl_desc *d, br_ssl_server_context *ssl) {
    // RFC 7905, RFC 5289: ECDHE and authenticated encryption only.
    static const uint16_t ec_suites[] = {BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                                         BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256};
#ifdef RTPUSH_BEARSSL_NO_AES
    const size_t suites = 1;
#else
    const size_t suites = 2;
    br_ssl_engine_set_default_aes_gcm(&ssl->eng);
#endif
    br_ssl_engine_set_default_chapol(&ssl->eng);
#ifndef RTPUSH_BEARSSL_NO_RSA
    if (d->rsa_key != NULL) {
        static const uint16_t rsa_suites[] = {BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                                              BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256};
        br_ssl_engine_set_suites(&ssl->eng, rsa_suites, suites);
        br_ssl_server_set_single_rsa(ssl, d->chain, d->chain_len, d->rsa_key, BR_KEYTYPE_SIGN, 0,
                                     br_rsa_pkcs1_sign_get_default());
        return;
    }
#endif
    br_ssl_engine_set_suites(&ssl->eng, ec_suites, suites);
    br_ssl_server_set_single_ec(ssl, d->chain, d->chain_len, d->ec_key, BR_KEYTYPE_SIGN, 0,
                                rtpi_bearssl_ec(), br_ecdsa_sign_asn1_get_default());
}

static void rtpi_bearssl_start(rtpush_bearssl *tls, rtpush_bearssl_slot *slot) {
    static const char *const protocols[] = {"http/1.1", "http/1.0"}; // RFC 7301 6
    const rtpush_bearssl_desc *d = &tls->desc;
    br_ssl_server_context *ssl = &slot->ssl;
    br_ssl_engine_context *eng = &ssl->eng;
    const size_t pair = (size_t)d->in_size + d->out_size;
    uint8_t *in = (uint8_t *)d->buffers + (size_t)(slot - d->slots) * pair;
    uint8_t seed[32];
    br_ssl_server_zero(ssl);
    br_ssl_engine_set_versions(eng, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_ec(eng, rtpi_bearssl_ec());
    rtpi_bearssl_set_key(d, ssl);
    br_ssl_engine_set_hash(eng, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_prf_sha256(eng, &br_tls12_sha256_prf);
    br_ssl_engine_set_protocol_names(eng, (const char **)(uintptr_t)protocols, 2); // only read
    br_ssl_engine_add_flags(eng, BR_OPT_ENFORCE_SERVER_PREFERENCES | BR_OPT_NO_RENEGOTIATION |
                                     BR_OPT_FAIL_ON_ALPN_MISMATCH);
#ifndef RTPUSH_BEARSSL_NO_CLIENT_CERTS
    if (d->anchors != NULL) {
        rtpi_bearssl_ask_client(tls, slot);
    }
#endif
    if (d->sessions != NULL && d->anchors == NULL) {
        br_ssl_server_set_cache(ssl, &tls->cache);
    }
    br_ssl_engine_set_buffers_bidi(eng, in, d->in_size, in + d->in_size, d->out_size);
    br_hmac_drbg_generate(&tls->random, seed, sizeof(seed));
    br_ssl_engine_inject_entropy(eng, seed, sizeof(seed));
    memset(seed, 0, sizeof(seed));
    (void)br_ssl_server_reset(ssl); // sets BearSSL's flag that entropy was given
    // RFC 5246 E.1: the version of records before one is agreed on. BearSSL 0.6 leaves it 0, and a
    // client too old for us could not read the alert that tells it so.
    eng->version_out = BR_TLS10;
}

// RFC 5246 7.2.2: the alert for an error for which BearSSL sends none.
static uint8_t rtpi_bearssl_alert_of(int error) {
    switch (error) {
    case BR_ERR_BAD_MAC:
        return 20; // bad_record_mac
    case BR_ERR_BAD_LENGTH:
    case BR_ERR_TOO_LARGE:
        return 22; // record_overflow
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION:
        return 70; // protocol_version
    case BR_ERR_UNEXPECTED:
    case BR_ERR_UNKNOWN_TYPE:
    case BR_ERR_BAD_CCS:
        return 10; // unexpected_message
    case BR_ERR_BAD_FINISHED:  // RFC 5246 7.4.9
    case BR_ERR_BAD_SIGNATURE: // RFC 5246 7.4.8
        return 51; // decrypt_error
    default:
        break;
    }
    if (error >= BR_ERR_X509_OK) {
        return error == BR_ERR_X509_NOT_TRUSTED ? 48 : 42; // unknown_ca, bad_certificate
    }
    return 40; // handshake_failure
}

// The engine failed without an alert: makes one. A record that it has begun to send is finished
// first, or the alert would be in the middle of it.
// This looks into BearSSL's context (0.6), which has no function for it.
static void rtpi_bearssl_make_alert(rtpush_bearssl_link *link, int error) {
    br_ssl_engine_context *eng = rtpi_bearssl_engine(link);
    const size_t rest = eng->oxa == eng->oxb ? eng->oxc - eng->oxa : 0u;
    size_t from;
    size_t end = eng->obuf_len - 5u;
    size_t len = 2;
    uint8_t *record;
    memmove(eng->obuf, eng->obuf + eng->oxa, rest);
    link->tail_at = 0;
    link->tail_len = (uint16_t)rest;
    if (rest + 64u > eng->obuf_len) {
        return; // 5 + 8 + 2 + 16 bytes, and BearSSL's margin: FIN alone
    }
    from = rest + 5u;
    eng->out.vtable->max_plaintext(&eng->out.vtable, &from, &end);
    eng->obuf[from] = 2; // fatal
    eng->obuf[from + 1u] = rtpi_bearssl_alert_of(error);
    record = eng->out.vtable->encrypt(&eng->out.vtable, RTPI_BEARSSL_ALERT, eng->version_out,
                                      eng->obuf + from, &len);
    memmove(eng->obuf + rest, record, len);
    link->tail_len = (uint16_t)(rest + len);
}

// >>pool -----------------------------------------------------------------------------------------

static rtpush_bearssl_link *rtpi_bearssl_self(const rtpush_conn *conn) {
    return (rtpush_bearssl_link *)rtpush_filter_self(conn);
}

static void rtpi_bearssl_wait(rtpush_bearssl_link *link) {
    if (!(link->flags & RTPI_BEARSSL_WAIT)) {
        link->flags |= RTPI_BEARSSL_WAIT;
        link->next = link->tls->wait_first;
        link->tls->wait_first = link;
    }
}

static void rtpi_bearssl_unwait(rtpush_bearssl_link *link) {
    rtpush_bearssl_link **at = &link->tls->wait_first;
    if (!(link->flags & RTPI_BEARSSL_WAIT)) {
        return;
    }
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    link->flags &= (uint8_t)~RTPI_BEARSSL_WAIT;
}

static int rtpi_bearssl_is_deferred(const rtpush_bearssl_link *link) {
    const uint32_t peer = rtpush_filter_peer(link->conn);
    int deferred = 0;
    for (unsigned i = 0; i < RTPI_BEARSSL_DEFERRED; i++) {
        deferred |= peer != 0 && peer == link->tls->deferred[i];
    }
    return deferred;
}

// The connection that gets the next slot: the youngest, since its peer is the most likely to be
// still there, and should not wait for all earlier ones. Addresses whose slot brought no request
// come after all others, so that an attacker gets one slot for each address, and then only slots
// that no other connection waits for.
static rtpush_bearssl_link *rtpi_bearssl_next(const rtpush_bearssl *tls) {
    rtpush_bearssl_link *link = tls->wait_first;
    while (link != NULL && rtpi_bearssl_is_deferred(link)) {
        link = link->next;
    }
    return link != NULL ? link : tls->wait_first;
}

// Whether it holds what others wait for: a slot, or while slots are free, one of max_handshakes.
static int rtpi_bearssl_holds(const rtpush_conn *conn) {
    const rtpush_bearssl_link *link = rtpi_bearssl_self(conn);
    const rtpush_bearssl *tls = link->tls;
    return link->slot != NULL && (tls->count.slots_used == tls->desc.slot_count ||
                                  !(link->flags & RTPI_BEARSSL_OPEN));
}

static rtpush_bearssl_slot *rtpi_bearssl_free_slot(const rtpush_bearssl *tls) {
    for (uint32_t i = 0; i < tls->desc.slot_count; i++) {
        if (tls->desc.slots[i].link == NULL) {
            return &tls->desc.slots[i];
        }
    }
    return NULL;
}

// Gives free slots to those that wait.
static void rtpi_bearssl_assign(rtpush_bearssl *tls) {
    while (tls->wait_first != NULL && tls->handshakes < tls->desc.max_handshakes) {
        rtpush_bearssl_slot *slot = rtpi_bearssl_free_slot(tls);
        rtpush_bearssl_link *link = rtpi_bearssl_next(tls);
        if (slot == NULL) {
            return;
        }
        rtpi_bearssl_unwait(link);
        slot->link = link;
        link->slot = slot;
        tls->handshakes++;
        tls->count.begun++;
        tls->count.slots_used++;
        if (tls->count.slots_used > tls->count.slots_high) {
            tls->count.slots_high = tls->count.slots_used;
        }
        rtpi_bearssl_start(tls, slot);
        rtpush_filter_moved(tls->srv, link->conn);
        rtpush_filter_ready(tls->srv, link->conn);
    }
}

// Its handshake is complete or has ended: it no longer counts for max_handshakes.
static void rtpi_bearssl_handshake_done(rtpush_bearssl_link *link) {
    if (!(link->flags & RTPI_BEARSSL_OPEN)) {
        link->flags |= RTPI_BEARSSL_OPEN;
        link->tls->handshakes--;
    }
}

static void rtpi_bearssl_slot_give(rtpush_bearssl_link *link) {
    rtpush_bearssl_slot *slot = link->slot;
    if (slot == NULL) {
        return;
    }
    rtpi_bearssl_handshake_done(link);
    memset(slot, 0, sizeof(*slot)); // its keys too
    link->slot = NULL;
    link->tls->count.slots_used--;
    rtpi_bearssl_assign(link->tls);
}

// This link waits: ends another connection, if the rules of SLOTS allow it.
static void rtpi_bearssl_make_way(rtpush_bearssl_link *link) {
    rtpush_bearssl *tls = link->tls;
    rtpush_conn *conn = rtpush_filter_gives_way(tls->srv, link->conn, tls->desc.give_way_ms,
                                                rtpi_bearssl_holds);
    if (conn == NULL) {
        return;
    }
    if (!(rtpi_bearssl_self(conn)->flags & (RTPI_BEARSSL_OVER | RTPI_BEARSSL_FIN))) {
        tls->count.gave_way++;
        if (!rtpush_filter_idle(conn) && !rtpi_bearssl_is_deferred(rtpi_bearssl_self(conn))) {
            tls->deferred[tls->deferred_at++ % RTPI_BEARSSL_DEFERRED] = rtpush_filter_peer(conn);
        }
    }
    rtpush_filter_evict(tls->srv, conn);
}

// >>pump -----------------------------------------------------------------------------------------

// The engine has ended, or there was none. Plaintext that is not acknowledged is lost.
static void rtpi_bearssl_over(rtpush_bearssl_link *link, int why) {
    rtpush_bearssl *tls = link->tls;
    rtpush_bearssl_slot *slot = link->slot;
    link->flags |= RTPI_BEARSSL_OVER;
    rtpush_filter_end(tls->srv, link->conn, why); // first: an acknowledgement must not look like
    if (slot != NULL) {                           // success
        const uint32_t lost = slot->in_engine + slot->on_wire + slot->marked;
        slot->in_engine = slot->on_wire = slot->marked = slot->left = 0;
        rtpi_bearssl_handshake_done(link);
        rtpush_plain_acked(tls->srv, link->conn, lost);
    }
}

// To be called after each call of the engine: notes the end of the handshake and of the engine.
// Returns 1 if the engine has ended.
static int rtpi_bearssl_look(rtpush_bearssl_link *link) {
    rtpush_bearssl *tls = link->tls;
    br_ssl_engine_context *eng = rtpi_bearssl_engine(link);
    const unsigned state = br_ssl_engine_current_state(eng);
    int error;
    if ((state & BR_SSL_SENDREC) && !link->slot->answered) {
        link->slot->answered = 1;
        rtpush_filter_moved(tls->srv, link->conn);
    }
    if ((state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) && !(link->flags & RTPI_BEARSSL_OPEN)) {
        rtpush_filter_moved(tls->srv, link->conn);
        tls->count.handshakes++;
        rtpi_bearssl_handshake_done(link);
        rtpi_bearssl_assign(tls);
    }
    if (state != BR_SSL_CLOSED) {
        return 0;
    }
    error = br_ssl_engine_last_error(eng);
    if (error == BR_ERR_OK) { // close_notify of the peer, and ours is sent
        rtpi_bearssl_over(link, RTPUSH_REASON_PEER_CLOSED);
        return 1;
    }
    tls->count.failed++;
    tls->count.last_error = error;
    if (error < BR_ERR_RECV_FATAL_ALERT) {
        rtpi_bearssl_make_alert(link, error);
    }
    rtpi_bearssl_over(link, RTPUSH_REASON_TLS);
    return 1;
}

// Decrypted bytes to the core, and the end behind them. Returns 1 if something moved.
static int rtpi_bearssl_deliver(rtpush_bearssl_link *link) {
    rtpush_server *srv = link->tls->srv;
    int moved = 0;
    size_t len = 0;
    if (link->slot != NULL && !(link->flags & RTPI_BEARSSL_OVER)) {
        br_ssl_engine_context *eng = rtpi_bearssl_engine(link);
        uint8_t *data = br_ssl_engine_recvapp_buf(eng, &len);
        while (data != NULL) { // the record's plaintext is in our buffer until it is acknowledged
            const size_t taken = rtpush_plain_input(srv, link->conn, data, len);
            if (taken > 0) {
                br_ssl_engine_recvapp_ack(eng, taken);
                moved = 1;
            }
            if (taken < len) {
                return moved;
            }
            data = br_ssl_engine_recvapp_buf(eng, &len);
        }
    }
    if ((link->flags & (RTPI_BEARSSL_EOF | RTPI_BEARSSL_EOF_TOLD)) == RTPI_BEARSSL_EOF) {
        link->flags |= RTPI_BEARSSL_EOF_TOLD;
        rtpush_plain_eof(srv, link->conn);
    }
    return moved;
}

// Asks the core for plaintext, as much as fits into the engine; without an engine it is discarded.
// Before the end of the handshake there is no room, and the core can only ask for FIN. Returns 1 if
// something moved.
static int rtpi_bearssl_collect(rtpush_bearssl_link *link) {
    rtpush_server *srv = link->tls->srv;
    const int over = link->slot == NULL || (link->flags & RTPI_BEARSSL_OVER);
    rtpush_span spans[RTPI_BEARSSL_SPANS];
    uint8_t *to = NULL;
    size_t room = 0;
    size_t taken = 0;
    int count;
    if (link->flags & RTPI_BEARSSL_FIN) {
        return 0;
    }
    if (!over) {
        to = br_ssl_engine_sendapp_buf(rtpi_bearssl_engine(link), &room);
    }
    count = rtpush_plain_output(srv, link->conn, spans, RTPI_BEARSSL_SPANS);
    for (int i = 0; i < count; i++) {
        const size_t len = spans[i].len < room - taken || over ? spans[i].len : room - taken;
        if (to != NULL && len > 0) {
            memcpy(to + taken, spans[i].data, len);
        }
        taken += len;
    }
    if (count > 0) {
        (void)rtpush_plain_sent(srv, link->conn, taken, over ? taken : 0u); // asked again anyway
    }
    if (count == RTPUSH_FIN) {
        link->flags |= RTPI_BEARSSL_FIN;
        rtpi_bearssl_unwait(link); // it must not keep a slot
        if (!over) {
            br_ssl_engine_close(rtpi_bearssl_engine(link));
        }
        return 0;
    }
    if (!over && taken > 0) {
        br_ssl_engine_sendapp_ack(rtpi_bearssl_engine(link), taken);
        link->slot->in_engine += (uint32_t)taken;
    }
    return taken > 0;
}

// What the port may send now, *len 0 if nothing.
static const uint8_t *rtpi_bearssl_pending(const rtpush_bearssl_link *link, size_t *len) {
    *len = 0;
    if (link->flags & RTPI_BEARSSL_OVER) {
        *len = (size_t)link->tail_len - link->tail_at;
        return (link->slot != NULL ? rtpi_bearssl_engine(link)->obuf
                                   : (const uint8_t *)rtpi_bearssl_hint) + link->tail_at;
    }
    return link->slot != NULL ? br_ssl_engine_sendrec_buf(rtpi_bearssl_engine(link), len) : NULL;
}

// All that is on_wire becomes the next mark, if there is none.
static void rtpi_bearssl_mark(rtpush_bearssl_link *link) {
    rtpush_bearssl_slot *slot = link->slot;
    if (slot->left == 0 && slot->on_wire > 0) {
        slot->marked = slot->on_wire;
        slot->on_wire = 0;
        slot->left = link->unacked;
    }
}

// >>filter: what the core calls for the port -----------------------------------------------------

static void *rtpi_bearssl_open(void *ctx, rtpush_server *srv, rtpush_conn *conn, void *port) {
    rtpush_bearssl *tls = (rtpush_bearssl *)ctx;
    rtpush_bearssl_link *link = tls->free_first;
    (void)srv;
    if (link == NULL) {
        return NULL;
    }
    tls->free_first = link->next;
    memset(link, 0, sizeof(*link));
    link->port = port;
    link->tls = tls;
    link->conn = conn;
    return link;
}

static void rtpi_bearssl_close(void *self) {
    rtpush_bearssl_link *link = (rtpush_bearssl_link *)self;
    rtpi_bearssl_unwait(link);
    rtpi_bearssl_slot_give(link);
    link->conn = NULL;
    link->next = link->tls->free_first;
    link->tls->free_first = link;
}

// The first bytes of a connection. Returns 1 if it has a slot now.
static int rtpi_bearssl_begin(rtpush_bearssl_link *link, uint8_t first) {
    rtpush_bearssl *tls = link->tls;
    const int is_new = !(link->flags & RTPI_BEARSSL_WAIT);
    if (first != RTPI_BEARSSL_HANDSHAKE) {
        tls->count.plain++;
        link->tail_len = sizeof(rtpi_bearssl_hint) - 1u;
        rtpi_bearssl_over(link, RTPUSH_REASON_SYNTAX);
        return 0;
    }
    rtpi_bearssl_wait(link);
    rtpi_bearssl_assign(tls);
    if (link->slot == NULL) {
        tls->count.waited += is_new != 0;
        rtpi_bearssl_make_way(link);
        rtpush_filter_later(tls->srv, link->conn);
    }
    return link->slot != NULL;
}

static size_t rtpi_bearssl_input(rtpush_server *srv, rtpush_conn *conn, void *bytes,
                                 size_t len) {
    rtpush_bearssl_link *link = rtpi_bearssl_self(conn);
    const uint8_t *from = (const uint8_t *)bytes;
    size_t taken = 0;
    (void)srv;
    if (len == 0) {
        return 0;
    }
    if (link->slot == NULL && !(link->flags & (RTPI_BEARSSL_OVER | RTPI_BEARSSL_FIN)) &&
        !rtpi_bearssl_begin(link, from[0]) && !(link->flags & RTPI_BEARSSL_OVER)) {
        return 0;
    }
    link->flags &= (uint8_t)~RTPI_BEARSSL_REFUSED;
    while (taken < len && !(link->flags & (RTPI_BEARSSL_OVER | RTPI_BEARSSL_FIN))) {
        br_ssl_engine_context *eng = rtpi_bearssl_engine(link);
        size_t room = 0;
        uint8_t *to = br_ssl_engine_sendrec_buf(eng, &room);
        // RFC 7918: browsers send a request behind their Finished without waiting for ours, and
        // BearSSL takes no application data before it has written its own.
        to = to != NULL && !(link->flags & RTPI_BEARSSL_OPEN)
                 ? NULL : br_ssl_engine_recvrec_buf(eng, &room);
        if (to == NULL && !rtpi_bearssl_deliver(link)) {
            link->flags |= RTPI_BEARSSL_REFUSED;
            return taken;
        }
        if (to != NULL) {
            room = room < len - taken ? room : len - taken;
            memcpy(to, from + taken, room);
            taken += room;
            br_ssl_engine_recvrec_ack(eng, room);
            if (!rtpi_bearssl_look(link)) {
                (void)rtpi_bearssl_deliver(link);
            }
        }
    }
    return len; // all, or the rest is discarded
}

static void rtpi_bearssl_eof(rtpush_server *srv, rtpush_conn *conn) {
    rtpush_bearssl_link *link = rtpi_bearssl_self(conn);
    (void)srv;
    link->flags |= RTPI_BEARSSL_EOF;
    (void)rtpi_bearssl_deliver(link);
}

static int rtpi_bearssl_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans,
                               int max) {
    rtpush_bearssl_link *link = rtpi_bearssl_self(conn);
    const uint8_t *data;
    size_t len = 0;
    (void)max;
    do {
        data = rtpi_bearssl_pending(link, &len);
        if (len > 0) {
            break;
        }
        (void)rtpi_bearssl_deliver(link);
    } while (rtpi_bearssl_collect(link));
    if (len == 0 && link->slot != NULL && !(link->flags & RTPI_BEARSSL_OVER)) {
        br_ssl_engine_flush(rtpi_bearssl_engine(link), 0);
        data = rtpi_bearssl_pending(link, &len);
    }
    if (len > 0) {
        spans[0].data = data;
        spans[0].len = (uint16_t)len; // of a buffer of out_size bytes, a uint16_t
        spans[0].kind = RTPUSH_SPAN_COPY;
        return 1;
    }
    if ((link->flags & RTPI_BEARSSL_REFUSED) && link->slot != NULL &&
        (br_ssl_engine_current_state(rtpi_bearssl_engine(link)) & BR_SSL_RECVREC)) {
        link->flags &= (uint8_t)~RTPI_BEARSSL_REFUSED;
        rtpush_filter_ready(srv, conn); // the port does not know that there is room again
    }
    if ((link->flags & RTPI_BEARSSL_FIN) && !(link->flags & RTPI_BEARSSL_DONE) &&
        link->unacked == 0) {
        link->flags |= RTPI_BEARSSL_DONE;
        rtpi_bearssl_slot_give(link);
        return RTPUSH_FIN;
    }
    return 0;
}


static void rtpi_bearssl_acked(rtpush_server *srv, rtpush_conn *conn, size_t n) {
    rtpush_bearssl_link *link = rtpi_bearssl_self(conn);
    rtpush_bearssl_slot *slot = link->slot;
    uint32_t acked;
    link->unacked -= n < link->unacked ? (uint32_t)n : link->unacked;
    if (link->unacked == 0 && (link->flags & RTPI_BEARSSL_FIN)) {
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
    rtpi_bearssl_mark(link);
    if (acked > 0) {
        rtpush_plain_acked(srv, conn, acked); // last: callbacks run in it
    }
}

// The transport has taken n of the bytes given to the port.
static void rtpi_bearssl_taken(rtpush_bearssl_link *link, size_t n) {
    size_t len = 0;
    link->unacked += (uint32_t)n;
    if (link->flags & RTPI_BEARSSL_OVER) {
        link->tail_at = (uint16_t)(link->tail_at + n);
        return;
    }
    br_ssl_engine_sendrec_ack(rtpi_bearssl_engine(link), n);
    if (br_ssl_engine_sendrec_buf(rtpi_bearssl_engine(link), &len) == NULL) {
        link->slot->on_wire += link->slot->in_engine;
        link->slot->in_engine = 0;
    }
    rtpi_bearssl_mark(link);
    (void)rtpi_bearssl_look(link);
}

// Always returns that there may be more: in the engine, or in the core. Asking again costs little
// compared with a record.
static int rtpi_bearssl_sent(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked) {
    if (taken > 0) {
        rtpi_bearssl_taken(rtpi_bearssl_self(conn), taken);
    }
    if (acked > 0) {
        rtpi_bearssl_acked(srv, conn, acked);
    }
    return 1;
}

// >>pem ------------------------------------------------------------------------------------------

typedef struct rtpi_bearssl_sink { // where decoded bytes go
    uint8_t *at;
    size_t room;
    size_t len;
    br_skey_decoder_context *key;
} rtpi_bearssl_sink;

static void rtpi_bearssl_on_cert(void *ctx, const void *data, size_t len) {
    rtpi_bearssl_sink *sink = (rtpi_bearssl_sink *)ctx;
    if (len <= sink->room - sink->len && sink->at != NULL) {
        memcpy(sink->at + sink->len, data, len);
        sink->len += len;
    } else {
        sink->at = NULL; // does not fit
    }
}

static void rtpi_bearssl_on_key(void *ctx, const void *data, size_t len) {
    br_skey_decoder_push(((rtpi_bearssl_sink *)ctx)->key, data, len);
}

// The name of a PEM block, as BearSSL gives it, in capitals: RFC 5958, RFC 5915, RFC 8017 A.1.2.
static int rtpi_bearssl_is_key(const char *name) {
    return strcmp(name, "PRIVATE KEY") == 0 || strcmp(name, "EC PRIVATE KEY") == 0 ||
           strcmp(name, "RSA PRIVATE KEY") == 0;
}

// Begins a block. 0 if there are too many.
static int rtpi_bearssl_block(rtpush_bearssl_identity *id, br_pem_decoder_context *pem,
                              rtpi_bearssl_sink *sink) {
    const char *name = br_pem_decoder_name(pem);
    sink->len = 0;
    br_pem_decoder_setdest(pem, NULL, NULL);
    if (strcmp(name, "CERTIFICATE") == 0) {
        br_pem_decoder_setdest(pem, rtpi_bearssl_on_cert, sink);
        return id->chain_len < RTPUSH_BEARSSL_CHAIN;
    }
    if (rtpi_bearssl_is_key(name)) {
        br_skey_decoder_init(&id->key);
        br_pem_decoder_setdest(pem, rtpi_bearssl_on_key, sink);
    }
    return 1;
}

static void rtpi_bearssl_block_end(rtpush_bearssl_identity *id, rtpi_bearssl_sink *sink) {
    if (sink->len > 0 && sink->at != NULL) {
        id->chain[id->chain_len].data = sink->at;
        id->chain[id->chain_len].data_len = sink->len;
        id->chain_len++;
        sink->at += sink->len;
        sink->room -= sink->len;
        sink->len = 0;
    }
}

// >>public ---------------------------------------------------------------------------------------

int rtpush_bearssl_es256(const void *ctx, const uint8_t hash[32], const uint8_t *signature,
                         size_t len) {
    const br_ec_public_key *key = (const br_ec_public_key *)ctx;
    return key->curve == BR_EC_secp256r1 && len == 64 &&
           br_ecdsa_vrfy_raw_get_default()(&RTPI_BEARSSL_P256, hash, 32, key, signature, len) == 1;
}

int rtpush_bearssl_pem(rtpush_bearssl_identity *id, const char *text, size_t len, void *memory,
                       size_t size) {
    br_pem_decoder_context pem;
    rtpi_bearssl_sink sink;
    size_t used = 0;
    memset(&sink, 0, sizeof(sink));
    sink.at = (uint8_t *)memory;
    sink.room = size;
    sink.key = &id->key;
    br_pem_decoder_init(&pem);
    while (used < len) {
        used += br_pem_decoder_push(&pem, text + used, len - used);
        switch (br_pem_decoder_event(&pem)) {
        case BR_PEM_BEGIN_OBJ:
            if (!rtpi_bearssl_block(id, &pem, &sink)) {
                return RTPUSH_BEARSSL_ERR_PEM;
            }
            break;
        case BR_PEM_END_OBJ:
            rtpi_bearssl_block_end(id, &sink);
            break;
        case BR_PEM_ERROR:
            return RTPUSH_BEARSSL_ERR_PEM;
        default:
            break;
        }
        if (sink.at == NULL) {
            return RTPUSH_BEARSSL_ERR_PEM;
        }
    }
    return RTPUSH_OK;
}

int rtpush_bearssl_identify(rtpush_bearssl_desc *desc, const rtpush_bearssl_identity *id) {
    desc->chain = id->chain;
    desc->chain_len = id->chain_len;
    desc->ec_key = NULL;
    desc->rsa_key = NULL;
    if (br_skey_decoder_last_error(&id->key) == 0) {
        desc->ec_key = br_skey_decoder_get_ec(&id->key);
        desc->rsa_key = br_skey_decoder_get_rsa(&id->key);
    }
    if (id->chain_len == 0 || !desc->ec_key == !desc->rsa_key) {
        return RTPUSH_BEARSSL_ERR_KEY;
    }
    return RTPUSH_OK;
}

// Seeds the generator that seeds those of the connections. 0: there is no entropy.
static int rtpi_bearssl_seed(rtpush_bearssl *tls) {
    const rtpush_bearssl_desc *d = &tls->desc;
    uint8_t seed[48];
    int good;
    br_hmac_drbg_init(&tls->random, &br_sha256_vtable, NULL, 0);
    if (d->entropy != NULL) {
        memset(seed, 0, sizeof(seed));
        good = d->entropy(d->ctx, seed, sizeof(seed));
        br_hmac_drbg_update(&tls->random, seed, sizeof(seed));
        memset(seed, 0, sizeof(seed));
    } else {
        const br_prng_seeder system = br_prng_seeder_system(NULL);
        good = system != 0 && system(&tls->random.vtable);
    }
    return good;
}

static int rtpi_bearssl_check(const rtpush_bearssl_desc *d) {
    if (d->chain == NULL || d->chain_len == 0 || !d->ec_key == !d->rsa_key) {
        return RTPUSH_BEARSSL_ERR_KEY;
    }
#ifdef RTPUSH_BEARSSL_NO_RSA
    if (d->rsa_key != NULL) {
        return RTPUSH_BEARSSL_ERR_KEY;
    }
#endif
    if (d->ec_key != NULL && d->ec_key->curve != BR_EC_secp256r1) {
        return RTPUSH_BEARSSL_ERR_KEY;
    }
    if (d->slots == NULL || d->slot_count == 0 || d->links == NULL || d->link_count == 0 ||
        d->buffers == NULL || d->in_size < (int)RTPI_BEARSSL_LEAST_IN ||
        d->out_size < (int)RTPI_BEARSSL_LEAST_OUT ||
        d->buffers_size < RTPUSH_BEARSSL_BUFFERS(d->slot_count, d->in_size, d->out_size) ||
        (d->sessions != NULL && d->sessions_size < RTPUSH_BEARSSL_SESSION) ||
        (d->anchors != NULL && d->x509 == NULL)) {
        return RTPUSH_BEARSSL_ERR_MEMORY;
    }
    return RTPUSH_OK;
}

int rtpush_bearssl_init(rtpush_bearssl *tls, rtpush_server *srv, const rtpush_bearssl_desc *desc) {
    rtpush_bearssl_desc *d = &tls->desc;
    int error;
    memset(tls, 0, sizeof(*tls));
    tls->srv = srv;
    *d = *desc;
    d->in_size = (uint16_t)(d->in_size ? d->in_size : 16384u + 325u);
    d->out_size = (uint16_t)(d->out_size ? d->out_size : 2048u + 85u);
    d->give_way_ms = d->give_way_ms ? d->give_way_ms : 1000u;
    d->max_handshakes = d->max_handshakes ? d->max_handshakes : d->slot_count;
    error = rtpi_bearssl_check(d);
    if (error) {
        return error;
    }
    if (!rtpi_bearssl_seed(tls)) {
        return RTPUSH_BEARSSL_ERR_ENTROPY;
    }
    if (d->sessions != NULL) {
        br_ssl_session_cache_lru_init(&tls->lru, (unsigned char *)d->sessions, d->sessions_size);
        tls->cache = &rtpi_bearssl_cache;
    }
    memset(d->slots, 0, d->slot_count * sizeof(*d->slots));
    memset(d->links, 0, d->link_count * sizeof(*d->links));
    for (uint32_t i = d->link_count; i > 0; i--) {
        d->links[i - 1u].next = tls->free_first;
        tls->free_first = &d->links[i - 1u];
    }
    tls->filter.ctx = tls;
    tls->filter.open = rtpi_bearssl_open;
    tls->filter.close = rtpi_bearssl_close;
    tls->filter.input = rtpi_bearssl_input;
    tls->filter.eof = rtpi_bearssl_eof;
    tls->filter.output = rtpi_bearssl_output;
    tls->filter.sent = rtpi_bearssl_sent;
    tls->filter.acked = rtpi_bearssl_acked;
    if (rtpush_attach_filter(srv, &tls->filter) != RTPUSH_OK) {
        return RTPUSH_BEARSSL_ERR_ATTACH;
    }
    return RTPUSH_OK;
}

const char *rtpush_bearssl_strerror(int error) {
    switch (error) {
    case RTPUSH_BEARSSL_ERR_ENTROPY:
        return "no source of random bytes: set desc.entropy; without one TLS protects nothing";
    case RTPUSH_BEARSSL_ERR_KEY:
        return "desc.chain, and one of desc.ec_key (P-256) and desc.rsa_key, must be set";
    case RTPUSH_BEARSSL_ERR_MEMORY:
        return "slots, links, buffers, sessions or x509 missing or too small";
    case RTPUSH_BEARSSL_ERR_ATTACH:
        return "this server has a filter";
    case RTPUSH_BEARSSL_ERR_PEM:
        return "not PEM, more certificates than RTPUSH_BEARSSL_CHAIN, or too large for memory";
    default:
        return rtpush_strerror(error);
    }
}

const rtpush_bearssl_counters *rtpush_bearssl_get_counters(const rtpush_bearssl *tls) {
    return &tls->count;
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_BEARSSL_IMPLEMENTATION
