// rtpush_mbedtls.h - v0.1 - rtpush.h: TLS 1.2 and 1.3 by mbedTLS, a filter - MIT-0 or public domain
//
// A filter between any port and the core; the port needs no change. For where mbedTLS is in the
// firmware already (ESP-IDF, STM32), and for TLS 1.3.
//
// DO THIS
//     Beside it lies rtpush_tls.h, which it includes: what the TLS filters share. Its chapters are
//     PROTOCOL, RECORDS, THE POOL, BACK-PRESSURE, CLOSING and CERTIFICATES. In one C or C++ file,
//     behind rtpush.h and the port:
//     #define RTPUSH_MBEDTLS_IMPLEMENTATION
//     #include "rtpush_mbedtls.h"
//
// QUICK START
//     enum { CONNS = 8, TLS = 3 };
//     static rtpush_mbedtls tls;
//     static rtpush_mbedtls_slot slots[TLS];
//     static rtpush_mbedtls_link links[CONNS];
//     rtpush_mbedtls_desc desc = {0};
//     desc.chain = &chain; // mbedtls_x509_crt_parse reads PEM or DER
//     desc.key = &key;     // mbedtls_pk_parse_key
//     desc.slots = slots; desc.slot_count = TLS;
//     desc.links = links; desc.link_count = CONNS;
//     int error = rtpush_mbedtls_init(&tls, &srv, &desc);       // after rtpush_init(&srv, ...)
//     if (error) puts(rtpush_mbedtls_strerror(error));
//     rtpush_sockets_listen(&port, NULL, 443, RTPUSH_LISTENER_SECURE);  // or another port's
//
// NEEDS
//     mbedTLS 3.6: MBEDTLS_SSL_SRV_C with MBEDTLS_SSL_PROTO_TLS1_2, _TLS1_3 or both; for sessions
//     that resume MBEDTLS_SSL_SESSION_TICKETS, MBEDTLS_SSL_TICKET_C and GCM or ChaCha20-Poly1305;
//     for an RSA certificate in TLS 1.3 MBEDTLS_X509_RSASSA_PSS_SUPPORT. mbedTLS 4 by #if: 4.1 was
//     read, not tried. ESP-IDF: TLS 1.3 and ChaCha20 are off until CONFIG_MBEDTLS_SSL_PROTO_TLS1_3
//     and CONFIG_MBEDTLS_CHACHAPOLY_C; tickets need CONFIG_MBEDTLS_SERVER_SSL_SESSION_TICKETS.
//
// MEMORY
//     This file allocates nothing. mbedTLS does, by the allocator of the whole program: the heap,
//     what mbedtls_platform_set_calloc_free was given, or a static array (MBEDTLS_MEMORY_BUFFER_
//     ALLOC_C, mbedtls_memory_buffer_alloc_init). There is none for these connections alone;
//     slot_count limits what they take. If an allocation fails, its connection ends, others go on.
//     MBEDTLS_SSL_IN_CONTENT_LEN and _OUT_CONTENT_LEN are the plaintext bytes of one record. In:
//     see RECORDS, 16,384 or 4,096. Out: the certificate chain must fit in one; small costs 22 to
//     29 bytes a record, nothing else. ESP-IDF: CONFIG_MBEDTLS_ASYMMETRIC_CONTENT_LEN.
//
// COSTS ("make secure-bench": a server on a Cortex-M3 with lwIP, all -Os, in 4,096, out 2,048, both
//     versions compiled in, ECDSA P-256; a / b: key exchange by X25519 / P-256)
//                                                 TLS 1.2      TLS 1.3      rtpush_bearssl.h
//     instructions of a full handshake, million   32.5 / 27.4  32.8 / 27.7  12.1 / 18.6
//     ... of a resumed one                        0.4 / 0.4    26.2 / 21.1  0.6 / 0.6
//     RAM of a connection, KB, slot of 788 in it  8.0          10.1         10.1
//     ... during its handshake, KB                10.1 / 12.1  11.9 / 12.5  10.1
//     stack, KB                                   2.2          3.1          3.7
//     flash if it is compiled in alone, KB        75.1         92.2         30 to 46
//     Flash with both versions: 100.9, of them 3.8 this file; the C library's part included. RAM:
//     the heap's, with 8 bytes of the allocator's a block. A resumed handshake of TLS 1.3 exchanges
//     keys (psk_dhe_ke, RFC 8446 4.2.9). All runs inside rtpush_input, and nothing else meanwhile.
//
// RANDOM BYTES
//     desc.f_rng is of mbedTLS's kind: fills out with len bytes that nobody can guess, returns 0.
//     Without it PSA's generator is used, which TLS 1.3 takes in any case. That is seeded by
//     mbedtls_hardware_poll (MBEDTLS_ENTROPY_HARDWARE_ALT; ESP-IDF and STM32Cube have one), or it
//     is mbedtls_psa_external_get_random, or the operating system's. Without a source init fails.
//
// WHAT IT SPEAKS
//     TLS 1.3 (RFC 8446) and 1.2 (RFC 5246); PROTOCOL in rtpush_tls.h says how. The curves are
//     those compiled in. No early data (0-RTT). Sessions resume by tickets, which the client keeps
//     (RFC 5077, RFC 8446 2.2), without the certificate's key. Client certificates: their dates are
//     checked if MBEDTLS_HAVE_TIME_DATE is set; a device without a clock must not set it. After
//     close_notify a TLS 1.3 client may still read (RFC 8446 6.1): it counts as FIN. mbedTLS 3.6
//     does not know KeyUpdate: such a client is refused (RFC 8446 4.6.3).
//
// TESTED ON
//     mbedTLS 3.6.6, Debian 13's: tests/tls, the tests of rtpush_bearssl.h over both filters, by
//     BearSSL's client (1.2) and mbedTLS's (1.3) in memory, also with a heap that is too small.
//     Run over rtpush_lwip.h on an emulated Cortex-M3; compiled for M0+ and M7. Not run with
//     ESP-IDF or on a board.

#ifndef RTPUSH_MBEDTLS_H
#define RTPUSH_MBEDTLS_H

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>

#include "rtpush_tls.h"

#if MBEDTLS_VERSION_NUMBER < 0x03060000
#error "mbedTLS 3.6 or later: 2.28 has no TLS 1.3, and is no longer maintained"
#endif

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------

// What rtpush_mbedtls_init returns besides RTPUSH_OK.
enum {
    RTPUSH_MBEDTLS_ERR_ENTROPY = -60, // no random bytes: TLS cannot start
    RTPUSH_MBEDTLS_ERR_KEY = -61,     // no certificate, or no key
    RTPUSH_MBEDTLS_ERR_MEMORY = -62,  // slots or links missing, or mbedTLS found no memory
    RTPUSH_MBEDTLS_ERR_ATTACH = -63   // the server has a filter
};

typedef struct rtpush_mbedtls rtpush_mbedtls;
typedef struct rtpush_mbedtls_slot rtpush_mbedtls_slot;
typedef rtpush_tls_link rtpush_mbedtls_link;
typedef rtpush_tls_counters rtpush_mbedtls_counters; // last_error: MBEDTLS_ERR_...

// Zero means the default in parentheses. Everything pointed to must outlive the server.
typedef struct rtpush_mbedtls_desc {
    mbedtls_x509_crt *chain; // the certificate, its issuers after it, the root left out
    mbedtls_pk_context *key; // its key
    rtpush_mbedtls_slot *slots; // one a TLS connection at a time
    uint32_t slot_count;
    rtpush_mbedtls_link *links; // one a connection of a secure listener: conn_count of the server
    uint32_t link_count;
    int (*f_rng)(void *p_rng, unsigned char *out, size_t len); // (PSA's; 4.x: PSA's always)
    void *p_rng;
    uint32_t max_handshakes; // (slot_count) at a time
    uint32_t give_way_ms;    // (1,000) see THE POOL, rtpush_tls.h
    uint32_t ticket_s;       // (86,400) how long a session may resume; UINT32_MAX: none does
    mbedtls_x509_crt *anchors; // client certificates: only those signed by one of these are
} rtpush_mbedtls_desc;         // accepted. (none is asked for)

// Attaches to srv, which rtpush_init prepared and which has no connection yet. desc is copied.
// Negative: rtpush_mbedtls_strerror says why.
int rtpush_mbedtls_init(rtpush_mbedtls *tls, rtpush_server *srv, const rtpush_mbedtls_desc *desc);
// Frees what init allocated, when no connection is left.
void rtpush_mbedtls_free(rtpush_mbedtls *tls);
const char *rtpush_mbedtls_strerror(int error);
const rtpush_mbedtls_counters *rtpush_mbedtls_get_counters(const rtpush_mbedtls *tls);

// For rtpush_jwt.check with .alg "ES256" (RFC 7518 3.4), with PSA: ctx is a psa_key_id_t of P-256.
int rtpush_mbedtls_es256(const void *ctx, const uint8_t hash[32], const uint8_t *signature,
                         size_t len);

// -- sizes: public only so that memory can be static; the fields are private ----------------------

enum { RTPUSH_MBEDTLS_PLAIN = 512 }; // decrypted bytes on their way to the core, a slot

struct rtpush_mbedtls_slot { // a TLS connection
    rtpush_tls_slot base;
    mbedtls_ssl_context ssl;
    const uint8_t *in;  // ciphertext of the port, during a call
    size_t in_len;
    const uint8_t *out; // ciphertext in the library's buffer that the port has not taken
    size_t out_len;
    size_t taken;       // ... before it: taken, and the library does not know
    int error;          // the library's last word
    uint16_t plain_at, plain_len; // of plain: what the core has not taken
    uint8_t state; // RTPI_TLS_READY ...
    uint8_t notes; // RTPI_MBEDTLS_...
    uint8_t alert; // to be sent; 0: none
    uint8_t plain[RTPUSH_MBEDTLS_PLAIN];
};

struct rtpush_mbedtls {
    rtpush_tls_pool pool;
    rtpush_mbedtls_desc desc;
    mbedtls_ssl_config config;
    mbedtls_ssl_ticket_context tickets;
    int suites[7];
};

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_MBEDTLS_H

// >>implementation -------------------------------------------------------------------------------

#ifdef RTPUSH_MBEDTLS_IMPLEMENTATION

#include <string.h>

#ifdef MBEDTLS_PSA_CRYPTO_CLIENT // so it is with MBEDTLS_PSA_CRYPTO_C
#include <mbedtls/psa_util.h>
#include <psa/crypto.h>
#endif

typedef rtpush_mbedtls rtpi_tls;
typedef rtpush_mbedtls_slot rtpi_tls_slot;

enum { RTPI_TLS_OUT = 1, RTPI_TLS_READY = 2, RTPI_TLS_EOF_IN = 4, RTPI_TLS_CLOSED = 8 };

enum {
    RTPI_MBEDTLS_NEW = 1,     // this call began a record
    RTPI_MBEDTLS_LAST = 2,    // the library believes that what is in `out` was sent
    RTPI_MBEDTLS_CLOSING = 4, // close_notify is due, or was sent
    RTPI_MBEDTLS_NOTIFIED = 8 // it was made
};

// >>engine ---------------------------------------------------------------------------------------

// mbedTLS calls rtpi_mbedtls_send with a pointer into its own buffer. That is what the port gets:
// no byte is copied. Until the port has taken all of it the library is told "not now" and keeps the
// record; then it asks again, and is told that it was sent.

static int rtpi_mbedtls_receive(void *ctx, unsigned char *to, size_t len) {
    rtpush_mbedtls_slot *slot = (rtpush_mbedtls_slot *)ctx;
    const size_t n = len < slot->in_len ? len : slot->in_len;
    if (n == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(to, slot->in, n);
    slot->in += n;
    slot->in_len -= n;
    return (int)n;
}

static int rtpi_mbedtls_send(void *ctx, const unsigned char *from, size_t len) {
    rtpush_mbedtls_slot *slot = (rtpush_mbedtls_slot *)ctx;
    const size_t taken = slot->taken;
    if (taken > 0) {
        slot->taken = 0;
        return (int)taken;
    }
    slot->notes |= slot->out_len == 0 ? RTPI_MBEDTLS_NEW : 0;
    slot->out = from;
    slot->out_len = len;
    // mbedTLS 3.6 makes the alert that ends a handshake again whenever it is told "not now". It
    // makes nothing behind it, so the buffer stays as it is.
    if (slot->ssl.MBEDTLS_PRIVATE(send_alert)) {
        slot->notes |= RTPI_MBEDTLS_LAST;
        return (int)len;
    }
    return MBEDTLS_ERR_SSL_WANT_WRITE;
}

// RFC 8446 6.2, RFC 5246 7.2.2: the alert for an error for which mbedTLS sends none, in a handshake
// or because a record was under way. What is not here is not the peer's fault: memory, the key.
static uint8_t rtpi_mbedtls_alert_of(int error) {
    static const struct {
        int error;
        uint8_t alert;
    } alerts[] = {
        {MBEDTLS_ERR_SSL_INVALID_MAC, MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC},
        {MBEDTLS_ERR_SSL_BAD_INPUT_DATA, MBEDTLS_SSL_ALERT_MSG_RECORD_OVERFLOW}, // more than fits
        {MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE, // RFC 5246 7.4.6
         MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE},
        {MBEDTLS_ERR_SSL_INVALID_RECORD, MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE},
        {MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE},
        {MBEDTLS_ERR_SSL_DECODE_ERROR, MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR},
        {MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER},
#ifdef MBEDTLS_ERR_ECP_VERIFY_FAILED
        {MBEDTLS_ERR_ECP_VERIFY_FAILED, MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR}, // RFC 5246 7.4.8
#endif
#ifdef MBEDTLS_ERR_RSA_VERIFY_FAILED
        {MBEDTLS_ERR_RSA_VERIFY_FAILED, MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR},
        {MBEDTLS_ERR_RSA_INVALID_PADDING, MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR},
        {MBEDTLS_ERR_RSA_PUBLIC_FAILED + MBEDTLS_ERR_MPI_BAD_INPUT_DATA, // above the modulus
         MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR},
#endif
    };
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        if (alerts[i].error == error) {
            return alerts[i].alert;
        }
    }
    return MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR;
}

static void rtpi_mbedtls_fail(rtpush_mbedtls_slot *slot, int error) {
    slot->error = error;
    slot->state |= RTPI_TLS_CLOSED;
}

// close_notify, if it is due and nothing is under way.
static void rtpi_mbedtls_notify(rtpush_mbedtls_slot *slot) {
    if ((slot->notes & (RTPI_MBEDTLS_CLOSING | RTPI_MBEDTLS_NOTIFIED)) == RTPI_MBEDTLS_CLOSING &&
        slot->out_len == 0) {
        slot->notes |= RTPI_MBEDTLS_NOTIFIED;
        (void)mbedtls_ssl_close_notify(&slot->ssl);
    }
}

// What the library said, if that is an end.
static void rtpi_mbedtls_said(rtpush_mbedtls_slot *slot, int result) {
    if (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE) {
        return;
    }
    if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY && (slot->state & RTPI_TLS_READY)) {
        if (mbedtls_ssl_get_version_number(&slot->ssl) == MBEDTLS_SSL_VERSION_TLS1_3) {
            slot->state |= RTPI_TLS_EOF_IN;
        } else {
            slot->notes |= RTPI_MBEDTLS_CLOSING; // RFC 5246 7.2.1: what was not sent is discarded
            slot->state |= RTPI_TLS_CLOSED;      // once ours has been sent
            rtpi_mbedtls_notify(slot);
        }
        return;
    }
    rtpi_mbedtls_fail(slot, result);
}

// Goes on with the handshake, or decrypts into plain, which is empty.
static void rtpi_mbedtls_run(rtpush_mbedtls_slot *slot) {
    int result = 0;
    slot->notes &= (uint8_t)~RTPI_MBEDTLS_NEW;
    if (!(slot->state & RTPI_TLS_READY)) {
        result = mbedtls_ssl_handshake(&slot->ssl);
        slot->state |= result == 0 ? RTPI_TLS_READY : 0;
    }
    if (result == 0) {
        result = mbedtls_ssl_read(&slot->ssl, slot->plain, sizeof(slot->plain));
        slot->plain_at = 0;
        slot->plain_len = (uint16_t)(result > 0 ? result : 0);
    }
    if (result < 0) {
        rtpi_mbedtls_said(slot, result);
    }
}

static void rtpi_tls_start(rtpush_mbedtls *tls, rtpush_mbedtls_slot *slot) {
    int result;
    mbedtls_ssl_init(&slot->ssl);
    result = mbedtls_ssl_setup(&slot->ssl, &tls->config);
    mbedtls_ssl_set_bio(&slot->ssl, slot, rtpi_mbedtls_send, rtpi_mbedtls_receive, NULL);
    if (result != 0) {
        rtpi_mbedtls_fail(slot, result);
    }
}

static void rtpi_tls_stop(rtpush_mbedtls_slot *slot) {
    mbedtls_ssl_free(&slot->ssl);
    memset(slot, 0, sizeof(*slot));
}

static unsigned rtpi_tls_state(rtpush_mbedtls_slot *slot) {
    const unsigned mask = slot->error == 0 ? RTPI_TLS_CLOSED : 0; // close_notify goes first
    return slot->out_len > 0 ? (slot->state & ~mask) | RTPI_TLS_OUT : slot->state;
}

static int rtpi_tls_error(rtpush_mbedtls_slot *slot) {
    return slot->error;
}

static void rtpi_tls_alert(rtpush_tls_link *link, int error) {
    rtpush_mbedtls_slot *slot = (rtpush_mbedtls_slot *)(void *)link->slot;
    if (!(slot->notes & RTPI_MBEDTLS_NEW) && error != MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        slot->alert = rtpi_mbedtls_alert_of(error); // rtpi_tls_wire makes it
    }
}

static int rtpi_tls_hungry(rtpush_mbedtls_slot *slot) {
    return !(slot->state & RTPI_TLS_CLOSED) && slot->plain_at == slot->plain_len &&
           ((slot->state & RTPI_TLS_READY) || slot->out_len == 0);
}

static size_t rtpi_tls_feed(rtpush_tls_link *link, const uint8_t *from, size_t len) {
    rtpush_mbedtls_slot *slot = (rtpush_mbedtls_slot *)(void *)link->slot;
    if (slot->state & RTPI_TLS_EOF_IN) {
        return len; // RFC 8446 6.1: what follows close_notify is ignored
    }
    if (!rtpi_tls_hungry(slot)) {
        return 0;
    }
    slot->in = from;
    slot->in_len = len;
    rtpi_mbedtls_run(slot);
    len -= slot->in_len;
    slot->in_len = 0;
    return len;
}

static uint8_t *rtpi_tls_plain(rtpush_mbedtls_slot *slot, size_t *len) {
    if (rtpi_tls_hungry(slot) && mbedtls_ssl_get_bytes_avail(&slot->ssl) > 0) {
        rtpi_mbedtls_run(slot); // the rest of a record
    }
    *len = (size_t)slot->plain_len - slot->plain_at;
    return *len > 0 ? slot->plain + slot->plain_at : NULL;
}

static void rtpi_tls_plain_taken(rtpush_mbedtls_slot *slot, size_t n) {
    slot->plain_at = (uint16_t)(slot->plain_at + n);
}

// A long span is a record; short ones are put together in one, so that an event is one.
static int rtpi_tls_write(rtpush_mbedtls_slot *slot, const rtpush_span *spans, int count) {
    uint8_t record[512];
    const uint8_t *from = (const uint8_t *)spans[0].data;
    size_t len = spans[0].len;
    const size_t most = (size_t)mbedtls_ssl_get_max_out_record_payload(&slot->ssl);
    int result;
    if (count > 1 && len < sizeof(record)) {
        from = record;
        len = 0;
    }
    for (int i = 0; i < count && from == record; i++) {
        const size_t room = sizeof(record) - len;
        const size_t n = spans[i].len < room ? spans[i].len : room;
        memcpy(record + len, spans[i].data, n);
        len += n;
    }
    len = len > most ? most : len;
    slot->notes &= (uint8_t)~RTPI_MBEDTLS_NEW;
    result = mbedtls_ssl_write(&slot->ssl, from, len);
    if (result != MBEDTLS_ERR_SSL_WANT_WRITE) { // what rtpi_mbedtls_send says to a record
        // RFC 8446 5.3, RFC 5246 6.1: the sequence number is at its end, or memory is.
        rtpi_mbedtls_fail(slot, result);
        return -1;
    }
    return (int)len;
}

static void rtpi_tls_close(rtpush_mbedtls_slot *slot) {
    slot->notes |= RTPI_MBEDTLS_CLOSING;
    rtpi_mbedtls_notify(slot);
}

static const uint8_t *rtpi_tls_wire(rtpush_mbedtls_slot *slot, size_t *len) {
    if (slot->out_len == 0 && slot->alert != 0) {
        (void)mbedtls_ssl_send_alert_message(&slot->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                             slot->alert);
        slot->alert = 0;
    }
    *len = slot->out_len;
    return slot->out;
}

static int rtpi_tls_wire_taken(rtpush_mbedtls_slot *slot, size_t n) {
    slot->out += n;
    slot->out_len -= n;
    slot->taken += n;
    if (slot->out_len > 0) {
        return 0;
    }
    if (slot->notes & RTPI_MBEDTLS_LAST) {
        slot->taken = 0;
    } else { // this makes an alert only if nothing is left to be sent, and all of that was taken
        (void)mbedtls_ssl_send_alert_message(&slot->ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING,
                                             MBEDTLS_SSL_ALERT_MSG_CLOSE_NOTIFY);
    }
    rtpi_mbedtls_notify(slot);
    if (!(slot->state & (RTPI_TLS_READY | RTPI_TLS_CLOSED))) {
        rtpi_mbedtls_run(slot); // the rest of the flight
    }
    return 1;
}

static void rtpi_tls_flush(rtpush_mbedtls_slot *slot) {
    (void)slot; // no record waits for more
}

#define RTPI_TLS_IMPLEMENTATION
#include "rtpush_tls.h"

// >>tickets: mbedTLS's, with the successes counted -----------------------------------------------

#if defined(MBEDTLS_SSL_TICKET_C) && defined(MBEDTLS_SSL_SESSION_TICKETS)
#define RTPI_MBEDTLS_TICKETS
static int rtpi_mbedtls_ticket(void *ctx, mbedtls_ssl_session *session, unsigned char *ticket,
                               size_t len) {
    const int result = mbedtls_ssl_ticket_parse(ctx, session, ticket, len);
    uint8_t *tls = (uint8_t *)ctx - offsetof(rtpush_mbedtls, tickets);
    ((rtpush_mbedtls *)(void *)tls)->pool.count.resumed += result == 0;
    return result;
}

static int rtpi_mbedtls_tickets(rtpush_mbedtls *tls) {
    int result;
    if (tls->desc.anchors != NULL || tls->desc.ticket_s == UINT32_MAX) {
        return 0;
    }
#if MBEDTLS_VERSION_NUMBER >= 0x04000000
    result = mbedtls_ssl_ticket_setup(&tls->tickets, PSA_ALG_GCM, PSA_KEY_TYPE_AES, 256,
                                      tls->desc.ticket_s);
#else
    result = mbedtls_ssl_ticket_setup(&tls->tickets, tls->desc.f_rng, tls->desc.p_rng,
#ifdef MBEDTLS_GCM_C
                                      MBEDTLS_CIPHER_AES_256_GCM,
#else
                                      MBEDTLS_CIPHER_CHACHA20_POLY1305,
#endif
                                      tls->desc.ticket_s);
#endif
    mbedtls_ssl_conf_session_tickets_cb(&tls->config, mbedtls_ssl_ticket_write,
                                        rtpi_mbedtls_ticket, &tls->tickets);
    return result;
}
#endif

// >>public ---------------------------------------------------------------------------------------
#ifdef MBEDTLS_PSA_CRYPTO_CLIENT
int rtpush_mbedtls_es256(const void *ctx, const uint8_t hash[32], const uint8_t *signature,
                         size_t len) {
    return len == 64 && psa_verify_hash(*(const psa_key_id_t *)ctx, PSA_ALG_ECDSA(PSA_ALG_SHA_256),
                                        hash, 32, signature, len) == PSA_SUCCESS;
}
#endif

// Chooses and tries the generator. RTPUSH_OK, or what init returns.
static int rtpi_mbedtls_seed(rtpush_mbedtls_desc *d) {
    uint8_t some[16];
#ifdef MBEDTLS_PSA_CRYPTO_CLIENT // TLS 1.3 computes by PSA
    psa_status_t status = psa_crypto_init();
    status = status != PSA_SUCCESS ? status : psa_generate_random(some, sizeof(some));
    if (status != PSA_SUCCESS) {
        return status == PSA_ERROR_INSUFFICIENT_MEMORY ? RTPUSH_MBEDTLS_ERR_MEMORY
                                                       : RTPUSH_MBEDTLS_ERR_ENTROPY;
    }
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    d->f_rng = d->f_rng != NULL ? d->f_rng : mbedtls_psa_get_random;
#endif
#else
    if (d->f_rng == NULL) {
        return RTPUSH_MBEDTLS_ERR_ENTROPY;
    }
#endif
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    return d->f_rng(d->p_rng, some, sizeof(some)) ? (int)RTPUSH_MBEDTLS_ERR_ENTROPY : RTPUSH_OK;
#else
    (void)d;
    return RTPUSH_OK;
#endif
}

// 0 if all went well. Errors are put together: which step failed is not told.
static int rtpi_mbedtls_configure(rtpush_mbedtls *tls) {
    // RFC 8446 B.4, RFC 7905, RFC 5289: ECDHE and authenticated encryption only.
    static const int suites[] = {MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
                                 MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                                 MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                                 MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                                 MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                 MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256};
    const rtpush_mbedtls_desc *d = &tls->desc;
    mbedtls_ssl_config *config = &tls->config;
    size_t known = 0;
    int result;
    mbedtls_ssl_config_init(config);
    result = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_SERVER,
                                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) { // of those compiled in
        if (mbedtls_ssl_get_ciphersuite_name(suites[i])[0] == 'T') { // TLS..., else "unknown"
            tls->suites[known++] = suites[i];
        }
    }
    mbedtls_ssl_conf_ciphersuites(config, tls->suites);
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    mbedtls_ssl_conf_rng(config, d->f_rng, d->p_rng);
#endif
#ifdef MBEDTLS_SSL_ALPN
    static const char *const protocols[] = {"http/1.1", "http/1.0", NULL}; // RFC 7301 6
    result |= mbedtls_ssl_conf_alpn_protocols(config, (const char **)(uintptr_t)protocols);
#endif
    if (d->anchors != NULL) {
        mbedtls_ssl_conf_ca_chain(config, d->anchors, NULL);
        mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    }
    result |= mbedtls_ssl_conf_own_cert(config, d->chain, d->key);
#ifdef RTPI_MBEDTLS_TICKETS
    mbedtls_ssl_ticket_init(&tls->tickets);
    result |= rtpi_mbedtls_tickets(tls);
#endif
    return result;
}

int rtpush_mbedtls_init(rtpush_mbedtls *tls, rtpush_server *srv, const rtpush_mbedtls_desc *desc) {
    int error;
    memset(tls, 0, sizeof(*tls));
    tls->desc = *desc;
    tls->desc.ticket_s = desc->ticket_s ? desc->ticket_s : 86400u;
    if (desc->chain == NULL || desc->key == NULL) {
        return RTPUSH_MBEDTLS_ERR_KEY;
    }
    if (!rtpi_tls_check(tls)) {
        return RTPUSH_MBEDTLS_ERR_MEMORY;
    }
    error = rtpi_mbedtls_seed(&tls->desc);
    if (error != RTPUSH_OK) {
        return error;
    }
    error = rtpi_mbedtls_configure(tls) != 0            ? (int)RTPUSH_MBEDTLS_ERR_MEMORY
            : rtpi_tls_attach(tls, srv) != RTPUSH_OK ? (int)RTPUSH_MBEDTLS_ERR_ATTACH
                                                     : (int)RTPUSH_OK;
    if (error != RTPUSH_OK) {
        rtpush_mbedtls_free(tls);
    }
    return error;
}

void rtpush_mbedtls_free(rtpush_mbedtls *tls) {
    mbedtls_ssl_config_free(&tls->config);
#ifdef RTPI_MBEDTLS_TICKETS
    mbedtls_ssl_ticket_free(&tls->tickets);
#endif
}

const char *rtpush_mbedtls_strerror(int error) {
    static const char *const words[] = {
        "no random bytes: set desc.f_rng, or give PSA a source; else TLS protects nothing",
        "desc.chain and desc.key must be set",
        "slots or links missing, or mbedTLS found no memory for its configuration",
        "this server has a filter"};
    return error <= RTPUSH_MBEDTLS_ERR_ENTROPY && error >= RTPUSH_MBEDTLS_ERR_ATTACH
               ? words[RTPUSH_MBEDTLS_ERR_ENTROPY - error]
               : rtpush_strerror(error);
}

const rtpush_mbedtls_counters *rtpush_mbedtls_get_counters(const rtpush_mbedtls *tls) {
    return &tls->pool.count;
}

#endif // RTPUSH_MBEDTLS_IMPLEMENTATION
