// filter_mbedtls.h - for peer.h: the filter under test is ports/rtpush_mbedtls.h. BearSSL is only
// in the client, by rtpush_bearssl.h in a file of its own (bearssl.c). mbedTLS's memory is counted:
// at the end of each test it is what it was before. Any allocation can be made to fail.

#ifndef T_FILTER_MBEDTLS_H
#define T_FILTER_MBEDTLS_H

#include "../../ports/rtpush_bearssl.h"

#define RTPUSH_MBEDTLS_IMPLEMENTATION
#include "../../ports/rtpush_mbedtls.h"

#include <mbedtls/pk.h>
#include <mbedtls/platform.h>
#include <time.h>

#include "certs.h"

enum { P_SLOTS = 8, P_LINKS = 48, P_DAYS_1970 = 719528 };
#ifndef P_STEP // a handshake is cut after so many bytes, and as many more
#define P_STEP 9
#endif
enum { P_SMALL_IN = T_IN, P_MOST_IN = T_IN }; // most bytes in a record
enum { P_TOO_MUCH = T_IN + 1000 };
#define P_TOO_LONG "{hex 15030300020216}" // the answer to such a hello
// RFC 8446 6.2: behind its Finished a server's alert is by the keys of the application. mbedTLS 3.6
// sends it by those of the handshake, so a client without a certificate cannot read why.
#define P_CLIENT_ALERT(kind) ((kind) == 0 ? 40 : (kind) == 1 ? 48 : 46) // certificate_unknown
#define P_SAME_CLOCK (p_version != 0) // of both sides
#define P_ALERT_LOST(peer) (p_version && p_error(peer) == MBEDTLS_ERR_SSL_INVALID_MAC)

enum { // last_error
    P_ERR_TOO_LARGE = MBEDTLS_ERR_SSL_BAD_INPUT_DATA,
    P_ERR_BAD_LENGTH = MBEDTLS_ERR_SSL_BAD_INPUT_DATA,
    P_ERR_UNEXPECTED = MBEDTLS_ERR_SSL_INVALID_RECORD,
    P_ERR_BAD_FINISHED = MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE,
    P_ERR_BAD_SIGNATURE = MBEDTLS_ERR_ECP_VERIFY_FAILED,
    P_ERR_BAD_RSA_SIGNATURE = MBEDTLS_ERR_RSA_VERIFY_FAILED,
    P_ERR_LARGE_RSA_SIGNATURE = MBEDTLS_ERR_RSA_PUBLIC_FAILED + MBEDTLS_ERR_MPI_BAD_INPUT_DATA,
    P_ERR_INTERNAL_ALERT = MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE // it sent internal_error
};

typedef struct p_identity {
    rtpush_bearssl_identity id; // for the client
    uint8_t der[8192];
} p_identity;

static p_identity p_ec, p_rsa, p_client, p_stranger, p_rsa_client;

typedef struct p_keys { // for the server
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    int used;
} p_keys;

static p_keys p_ec_keys, p_rsa_keys;
static mbedtls_x509_crt p_anchors, p_rsa_anchors;
static struct {
    size_t used, most; // bytes
    size_t limit;      // no more; 0: as many as asked for
    size_t calls;
    size_t fail_at;    // this one fails; 0: none
    int client;        // the client calls: nothing fails
} p_heap;

typedef struct p_box { // all memory of the filter under test
    rtpush_mbedtls tls;
    rtpush_mbedtls_desc desc; // change it between p_world and p_start
    rtpush_mbedtls_slot slots[P_SLOTS];
    rtpush_mbedtls_link links[P_LINKS];
    uint32_t days; // what the clock says, 0 unknown
    int clock;     // 1: it is asked
    size_t heap; // bytes in use before
    unsigned seed;
} p_box;

static p_box p;

// The same bytes in every run, others in every call.
static int p_entropy(void *ctx, unsigned char *out, size_t len) {
    (void)ctx;
    p.seed++;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(p.seed * 31u + i * 7u);
    }
    return 0;
}

static mbedtls_time_t p_time(mbedtls_time_t *out) {
    const mbedtls_time_t now =
        !p.clock ? time(NULL) : p.days == 0 ? 0 : ((mbedtls_time_t)p.days - P_DAYS_1970) * 86400;
    if (out != NULL) {
        *out = now;
    }
    return now;
}

enum { P_BLOCK = 16 }; // before each block: its bytes, and what keeps it aligned

static void *p_calloc(size_t count, size_t size) {
    const size_t bytes = count * size;
    p_heap.calls += !p_heap.client;
    if (!p_heap.client && (p_heap.calls == p_heap.fail_at ||
                           (p_heap.limit > 0 && p_heap.used + bytes > p_heap.limit))) {
        return NULL;
    }
    uint8_t *block = (uint8_t *)calloc(1, P_BLOCK + bytes);
    T_CHECK(block != NULL, "out of memory in the test");
    memcpy(block, &bytes, sizeof bytes);
    p_heap.used += bytes;
    p_heap.most = p_heap.used > p_heap.most ? p_heap.used : p_heap.most;
    return block + P_BLOCK;
}

static void p_free(void *data) {
    size_t bytes;
    if (data != NULL) {
        memcpy(&bytes, (uint8_t *)data - P_BLOCK, sizeof bytes);
        p_heap.used -= bytes;
        free((uint8_t *)data - P_BLOCK);
    }
}

static void p_keys_load(p_keys *keys, const char *name) {
    char path[64];
    mbedtls_x509_crt_init(&keys->chain);
    mbedtls_pk_init(&keys->key);
    snprintf(path, sizeof path, "build/cert/%s.pem", name);
    T_EQ(mbedtls_x509_crt_parse_file(&keys->chain, path), 0);
    snprintf(path, sizeof path, "build/cert/%s.key", name);
    T_EQ(mbedtls_pk_parse_keyfile(&keys->key, path, NULL, p_entropy, NULL), 0);
}

static void p_filter_load(void) {
    mbedtls_platform_set_calloc_free(p_calloc, p_free);
    mbedtls_platform_set_time(p_time);
    T_EQ(psa_crypto_init(), PSA_SUCCESS);
    p_keys_load(&p_ec_keys, "ec");
    p_keys_load(&p_rsa_keys, "rsa");
    mbedtls_x509_crt_init(&p_anchors);
    mbedtls_x509_crt_init(&p_rsa_anchors);
    T_EQ(mbedtls_x509_crt_parse_file(&p_anchors, "build/cert/ca.pem"), 0);
    T_EQ(mbedtls_x509_crt_parse_file(&p_rsa_anchors, "build/cert/rsa/ca.pem"), 0);
}

static void p_use(const p_identity *identity) {
    p_keys *keys = identity == &p_rsa ? &p_rsa_keys : &p_ec_keys;
    p.desc.chain = &keys->chain;
    p.desc.key = &keys->key;
}

static void p_filter_memory(void) {
    p.desc.f_rng = p_entropy;
    p.heap = p_heap.used;
}

static void p_small(void) { // the library decides it
}

static uint32_t p_sizes(uint32_t in, uint32_t out) {
    (void)in;
    (void)out;
    return T_IN;
}

static void p_no_sessions(void) {
    p.desc.ticket_s = UINT32_MAX;
}

static void p_ask_clients(const t_cert_ca *ca) {
    p.desc.anchors = ca->anchor.pkey.key_type == BR_KEYTYPE_RSA ? &p_rsa_anchors : &p_anchors;
    p.clock = 1;
}

#include "client_mbedtls.h"

static int p_filter_init(t_world *w) {
    memset(&p.tls, 0xee, sizeof p.tls); // memory need not be zero
    memset(p.slots, 0xee, sizeof p.slots);
    memset(p.links, 0xee, sizeof p.links);
    return rtpush_mbedtls_init(&p.tls, &w->srv, &p.desc);
}

// With its first signatures a key takes some memory for good, and that of an RSA CA with the first
// one that it checks.
static void p_filter_end(void) {
    static int rsa_ca_used;
    p_keys *keys = p.tls.desc.key == &p_rsa_keys.key ? &p_rsa_keys : &p_ec_keys;
    rtpush_mbedtls_free(&p.tls);
    if (keys->used < 3 && p.tls.pool.count.begun > 0) {
        keys->used++;
        p.heap = p_heap.used;
    }
    if (p.tls.desc.anchors == &p_rsa_anchors && !rsa_ca_used) {
        rsa_ca_used = 1;
        p.heap = p_heap.used;
    }
    T_EQ(p_heap.used, p.heap);
}

#endif
