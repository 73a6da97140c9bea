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
//     stack  3.7 KB were seen at most, lwIP and examples/secure included ("make secure-bench")
//
// WHAT IT SPEAKS
//     TLS 1.2 only (RFC 5246), and what PROTOCOL in rtpush_tls.h says. ECDHE over X25519 or P-256;
//     an ECDSA key is of P-256. RFC 5746 is spoken. Sessions resume from desc.sessions: no
//     public-key work in a page's second connection.
//
// BUFFERS
//     Two for each TLS connection, not shared: a shared one deadlocks when both sides wait.
//     in_size   16,709 takes every record a peer may send (16,413 suffices for these ciphers).
//               What fits is in_size - 29 bytes of plaintext in one record: see RECORDS,
//               rtpush_tls.h. 16,709 where uploads or large messages are to be taken; 4,125 where
//               pages only send heads and messages below 4 KB; 2,077 where they come without many
//               cookies; 837 is the least, for clients you write yourself.
//     out_size  records we send are as large as fits, at least 597: 512 bytes of plaintext in each.
//               BearSSL knows the sizes 512, 1024, 2048, 4096, 16384 (+ 85), and takes the smaller
//               of out_size - 85 and in_size - 325. Small costs 29 bytes a record, nothing else.
//
// BESIDE THIS FILE
//     rtpush_tls.h, which this one includes: what the TLS filters share. Its chapters are PROTOCOL,
//     RECORDS, THE POOL, BACK-PRESSURE, CLOSING and CERTIFICATES. "make cert" writes its ECDSA
//     certificate as C too, for firmware: dev_chain and dev_key in build/cert/dev_cert.h;
//     rtpush_bearssl_pem reads text.
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

#include "rtpush_tls.h"

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
typedef rtpush_tls_link rtpush_bearssl_link;
typedef rtpush_tls_counters rtpush_bearssl_counters; // last_error: BR_ERR_...

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
    uint32_t give_way_ms;    // (1,000) see THE POOL, rtpush_tls.h

    // Client certificates: only those signed by one of these are accepted.
    const br_x509_trust_anchor *anchors; // NULL: none is asked for
    size_t anchor_count;
    br_x509_minimal_context *x509; // slot_count of them
    // Days since 1 January of year 0 (1970: 719,528) and seconds of the day; returns 1, or 0 if the
    // time is not known: then no client certificate is valid. (the system's time if there is one)
    int (*clock)(void *ctx, uint32_t *days, uint32_t *seconds);
} rtpush_bearssl_desc;

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

struct rtpush_bearssl_slot { // a TLS connection
    rtpush_tls_slot base;
    br_ssl_server_context ssl;
};

struct rtpush_bearssl {
    rtpush_tls_pool pool;
    rtpush_bearssl_desc desc;
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

typedef rtpush_bearssl rtpi_tls;
typedef rtpush_bearssl_slot rtpi_tls_slot;

enum { // of an engine: BearSSL's own bits
    RTPI_TLS_OUT = BR_SSL_SENDREC,
    RTPI_TLS_READY = BR_SSL_SENDAPP | BR_SSL_RECVAPP,
    RTPI_TLS_EOF_IN = 0, // RFC 5246 7.2.1: a close_notify ends both ways
    RTPI_TLS_CLOSED = BR_SSL_CLOSED
};

enum {
    RTPI_BEARSSL_ALERT = 21, // RFC 5246 6.2.1
    RTPI_BEARSSL_LEAST_IN = 512 + 325, // BearSSL, ssl_engine.c: MAX_IN_OVERHEAD, MAX_OUT_OVERHEAD
    RTPI_BEARSSL_LEAST_OUT = 512 + 85
};

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
    tls->pool.count.resumed += found != 0;
    return found;
}

static const br_ssl_session_cache_class rtpi_bearssl_cache = {
    sizeof(const br_ssl_session_cache_class *), rtpi_bearssl_save, rtpi_bearssl_load};

// >>engine ---------------------------------------------------------------------------------------

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
    // RFC 5246 7.4.4: names the authorities, so that a client with many certificates can choose.
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

static void rtpi_tls_start(rtpush_bearssl *tls, rtpush_bearssl_slot *slot) {
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
    // RFC 5246 7.4.1.3: the suite is the first of ours that the client has.
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
static void rtpi_tls_alert(rtpush_tls_link *link, int error) {
    br_ssl_engine_context *eng = &((rtpush_bearssl_slot *)(void *)link->slot)->ssl.eng;
    const size_t rest = eng->oxa == eng->oxb ? eng->oxc - eng->oxa : 0u;
    size_t from;
    size_t end = eng->obuf_len - 5u;
    size_t len = 2;
    uint8_t *record;
    if (error >= BR_ERR_RECV_FATAL_ALERT) {
        return; // the peer's, or one that was sent
    }
    memmove(eng->obuf, eng->obuf + eng->oxa, rest);
    link->tail = eng->obuf;
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

static void rtpi_tls_stop(rtpush_bearssl_slot *slot) {
    memset(slot, 0, sizeof(rtpush_bearssl_slot));
}

static unsigned rtpi_tls_state(rtpush_bearssl_slot *slot) {
    return br_ssl_engine_current_state(&slot->ssl.eng);
}

static int rtpi_tls_error(rtpush_bearssl_slot *slot) {
    return br_ssl_engine_last_error(&slot->ssl.eng);
}

static int rtpi_tls_hungry(rtpush_bearssl_slot *slot) {
    return (br_ssl_engine_current_state(&slot->ssl.eng) & BR_SSL_RECVREC) != 0;
}

static size_t rtpi_tls_feed(rtpush_tls_link *link, const uint8_t *from, size_t len) {
    br_ssl_engine_context *eng = &((rtpush_bearssl_slot *)(void *)link->slot)->ssl.eng;
    size_t room = 0;
    uint8_t *to = br_ssl_engine_sendrec_buf(eng, &room); // not to be sent yet
    // RFC 7918: browsers send a request behind their Finished without waiting for ours, and BearSSL
    // takes no application data before it has written its own.
    if (to != NULL && !(link->flags & RTPI_TLS_OPEN)) {
        return 0;
    }
    to = br_ssl_engine_recvrec_buf(eng, &room);
    if (to == NULL) {
        return 0;
    }
    room = room < len ? room : len;
    memcpy(to, from, room);
    br_ssl_engine_recvrec_ack(eng, room);
    return room;
}

// A record's plaintext is in our buffer until it is acknowledged.
static uint8_t *rtpi_tls_plain(rtpush_bearssl_slot *slot, size_t *len) {
    return br_ssl_engine_recvapp_buf(&slot->ssl.eng, len);
}

static void rtpi_tls_plain_taken(rtpush_bearssl_slot *slot, size_t n) {
    br_ssl_engine_recvapp_ack(&slot->ssl.eng, n);
}

static int rtpi_tls_write(rtpush_bearssl_slot *slot, const rtpush_span *spans, int count) {
    br_ssl_engine_context *eng = &slot->ssl.eng;
    size_t room = 0;
    size_t taken = 0;
    uint8_t *to = br_ssl_engine_sendapp_buf(eng, &room);
    for (int i = 0; i < count && taken < room; i++) {
        const size_t len = spans[i].len < room - taken ? spans[i].len : room - taken;
        memcpy(to + taken, spans[i].data, len);
        taken += len;
    }
    if (taken > 0) {
        br_ssl_engine_sendapp_ack(eng, taken);
    }
    return (int)taken;
}

static void rtpi_tls_flush(rtpush_bearssl_slot *slot) {
    br_ssl_engine_flush(&slot->ssl.eng, 0);
}

static void rtpi_tls_close(rtpush_bearssl_slot *slot) {
    br_ssl_engine_close(&slot->ssl.eng);
}

static const uint8_t *rtpi_tls_wire(rtpush_bearssl_slot *slot, size_t *len) {
    return br_ssl_engine_sendrec_buf(&slot->ssl.eng, len);
}

static int rtpi_tls_wire_taken(rtpush_bearssl_slot *slot, size_t n) {
    br_ssl_engine_context *eng = &slot->ssl.eng;
    size_t len = 0;
    br_ssl_engine_sendrec_ack(eng, n);
    return br_ssl_engine_sendrec_buf(eng, &len) == NULL;
}

#define RTPI_TLS_IMPLEMENTATION
#include "rtpush_tls.h"

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

static int rtpi_bearssl_check(rtpush_bearssl *tls) {
    const rtpush_bearssl_desc *d = &tls->desc;
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
    if (!rtpi_tls_check(tls) || d->buffers == NULL || d->in_size < (int)RTPI_BEARSSL_LEAST_IN ||
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
    *d = *desc;
    d->in_size = (uint16_t)(d->in_size ? d->in_size : 16384u + 325u);
    d->out_size = (uint16_t)(d->out_size ? d->out_size : 2048u + 85u);
    error = rtpi_bearssl_check(tls);
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
    if (rtpi_tls_attach(tls, srv) != RTPUSH_OK) {
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
    return &tls->pool.count;
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_BEARSSL_IMPLEMENTATION
