// filter_bearssl.h - for peer.h: the filter under test is ports/rtpush_bearssl.h.

#ifndef T_FILTER_BEARSSL_H
#define T_FILTER_BEARSSL_H

// The system's source of random bytes, as the filter asks BearSSL for it: one of these.
#include <bearssl.h>
enum { P_SYSTEM, P_NO_SYSTEM, P_BROKEN_SYSTEM };
static int p_system;

static int p_broken_seeder(const br_prng_class **ctx) {
    (void)ctx;
    return 0;
}

static br_prng_seeder p_seeder(const char **name) {
    return p_system == P_SYSTEM      ? br_prng_seeder_system(name)
           : p_system == P_NO_SYSTEM ? NULL
                                     : p_broken_seeder;
}

#define br_prng_seeder_system p_seeder
#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "../../ports/rtpush_bearssl.h"
#undef br_prng_seeder_system

#include "certs.h"

enum { P_SLOTS = 8, P_LINKS = 48, P_SESSIONS = 4, P_STEP = 1 };
enum { P_IN = 16709, P_OUT = 16469 };
enum { P_SMALL_IN = 837 - 21 }; // most bytes in a record: 5 of its header, 16 of Poly1305
enum { P_MOST_IN = 16384 }; // without p_small
enum { P_TOO_MUCH = P_SMALL_IN + 1 };
#define P_TOO_LONG "{hex 15030100020216}" // the answer to such a hello
#define P_ALERT_LOST(peer) 0
#define P_SAME_CLOCK 0
#define P_CLIENT_ALERT(kind) ((kind) == 0 ? 40 : (kind) == 1 ? 48 : 42) // bad_certificate

enum { // last_error
    P_ERR_TOO_LARGE = BR_ERR_TOO_LARGE,
    P_ERR_BAD_LENGTH = BR_ERR_BAD_LENGTH,
    P_ERR_UNEXPECTED = BR_ERR_UNEXPECTED,
    P_ERR_BAD_FINISHED = BR_ERR_BAD_FINISHED,
    P_ERR_BAD_SIGNATURE = BR_ERR_BAD_SIGNATURE,
    P_ERR_BAD_RSA_SIGNATURE = BR_ERR_BAD_SIGNATURE,
    P_ERR_LARGE_RSA_SIGNATURE = BR_ERR_BAD_SIGNATURE,
    P_ERR_INTERNAL_ALERT = BR_ERR_RECV_FATAL_ALERT + 80 // it sent internal_error
};

typedef struct p_identity {
    rtpush_bearssl_identity id;
    uint8_t der[8192];
} p_identity;

static p_identity p_ec, p_rsa, p_client, p_stranger, p_rsa_client;

typedef struct p_box { // all memory of the filter under test
    rtpush_bearssl tls;
    rtpush_bearssl_desc desc; // change it between p_world and p_start
    rtpush_bearssl_slot slots[P_SLOTS];
    rtpush_bearssl_link links[P_LINKS];
    uint8_t *buffers;
    uint8_t sessions[P_SESSIONS * RTPUSH_BEARSSL_SESSION];
    br_x509_minimal_context x509[P_SLOTS];
    uint32_t days; // what the clock says, 0 unknown
    unsigned seed;
} p_box;

static p_box p;

static void p_filter_load(void) {
}

// The same bytes in every run, others in every world.
static int p_entropy(void *ctx, void *out, size_t len) {
    (void)ctx;
    T_EQ(len, 48); // what the desc promises
    p.seed++;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)out)[i] = (uint8_t)(p.seed * 31u + i * 7u);
    }
    return 1;
}

static int p_clock(void *ctx, uint32_t *days, uint32_t *seconds) {
    (void)ctx;
    *days = p.days;
    *seconds = 0;
    return p.days != 0;
}

static void p_use(const p_identity *identity) {
    T_EQ(rtpush_bearssl_identify(&p.desc, &identity->id), RTPUSH_OK);
}

static void p_filter_memory(void) {
    p.desc.in_size = P_IN;
    p.desc.out_size = P_OUT;
    p.desc.sessions = p.sessions;
    p.desc.sessions_size = sizeof p.sessions;
    p.desc.entropy = p_entropy;
}

// The smallest buffers.
static void p_small(void) {
    p.desc.in_size = 837;
    p.desc.out_size = 597;
}

// Buffers drawn by two numbers below 4. Returns the most bytes in a record.
static uint32_t p_sizes(uint32_t in, uint32_t out) {
    static const uint16_t ins[] = {837, 2077, 16413, 16709};
    static const uint16_t outs[] = {597, 1109, 2133, 16469};
    p.desc.in_size = ins[in];
    p.desc.out_size = outs[out];
    return p.desc.in_size < 16709 ? (uint32_t)p.desc.in_size - 29u : 16384u;
}

static void p_no_sessions(void) {
    p.desc.sessions = NULL;
}

static void p_ask_clients(const t_cert_ca *ca) {
    p.desc.anchors = &ca->anchor;
    p.desc.anchor_count = 1;
    p.desc.x509 = p.x509;
    p.desc.clock = p_clock;
}

static int p_filter_init(t_world *w) {
    p.desc.buffers_size =
        RTPUSH_BEARSSL_BUFFERS(p.desc.slot_count, p.desc.in_size, p.desc.out_size);
    p.buffers = (uint8_t *)malloc(p.desc.buffers_size);
    p.desc.buffers = p.buffers;
    memset(&p.tls, 0xee, sizeof p.tls); // memory need not be zero
    memset(p.slots, 0xee, sizeof p.slots);
    memset(p.links, 0xee, sizeof p.links);
    return rtpush_bearssl_init(&p.tls, &w->srv, &p.desc);
}

static void p_filter_end(void) {
    free(p.buffers);
}

#endif
