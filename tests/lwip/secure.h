// secure.h - what a peer says and hears on the wire: as it is or, with SIM_TLS, through TLS: the
// filter rtpush_bearssl.h between core and port, with SIM_MBEDTLS too rtpush_mbedtls.h, and
// BearSSL's client side at each peer. Included by world.h after its types. Certificates come from
// build/cert.

#ifndef SIM_SECURE_H
#define SIM_SECURE_H

#ifndef SIM_TLS

enum { S_LISTENER = 0 };

static void s_secure_start(void)
{
}

static void s_secure_connect(s_peer *p)
{
    (void)p;
}

static void s_secure_end(void)
{
}

static void s_out(s_peer *p)
{
    t_eat(&p->out, peer_send(p->number, p->out.data, p->out.len));
}

static void s_in(s_peer *p, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        t_client_byte(&p->m.cl, data[i]);
    }
}

static int s_agrees(const rtpush_conn *c, uint32_t unsent)
{
    return c->unacked == unsent;
}

#else

#ifndef SIM_MBEDTLS
#define RTPUSH_BEARSSL_IMPLEMENTATION
#endif
#include "../../ports/rtpush_bearssl.h"
#include "../tls/certs.h"

enum { S_LISTENER = RTPUSH_LISTENER_SECURE };
enum { S_TLS_SLOTS = 10, S_TLS_IN = 1200, S_TLS_OUT = 800, S_TLS_RECORD = 1000 };

typedef struct s_engine { // of one peer
    br_ssl_client_context ssl;
    br_x509_minimal_context x509;
    br_ssl_session_parameters session;
    uint8_t in[BR_SSL_BUFSIZE_INPUT];
    uint8_t out[BR_SSL_BUFSIZE_OUTPUT];
    int known; // 1: there is a session to resume
} s_engine;

static t_cert_ca s_tls_ca;
static s_engine s_engines[12];
static rtpush_tls_link s_tls_links[S_TLS_SLOTS];

#ifdef SIM_MBEDTLS

#define RTPUSH_MBEDTLS_IMPLEMENTATION
#include "../../ports/rtpush_mbedtls.h"

enum { S_TLS_ALERTED = MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE };

static rtpush_mbedtls s_tls;
static rtpush_mbedtls_slot s_tls_slots[S_TLS_SLOTS];
static mbedtls_x509_crt s_tls_chain;
static mbedtls_pk_context s_tls_key;

// The same bytes in every run of a seed.
static int s_tls_random(void *ctx, unsigned char *out, size_t len)
{
    static uint32_t state = 1;
    (void)ctx;
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525u + 1013904223u; // Numerical Recipes
        out[i] = (uint8_t)(state >> 24);
    }
    return 0;
}

static void s_secure_filter(void)
{
    rtpush_mbedtls_desc d;
    memset(&d, 0, sizeof d);
    mbedtls_x509_crt_init(&s_tls_chain);
    mbedtls_pk_init(&s_tls_key);
    T_CHECK(mbedtls_x509_crt_parse_file(&s_tls_chain, "build/cert/ec.pem") == 0, "ec.pem");
    T_CHECK(mbedtls_pk_parse_keyfile(&s_tls_key, "build/cert/ec.key", NULL, s_tls_random, NULL) ==
                0, "ec.key");
    d.chain = &s_tls_chain;
    d.key = &s_tls_key;
    d.slots = s_tls_slots;
    d.links = s_tls_links;
    d.slot_count = d.link_count = S_TLS_SLOTS;
    d.f_rng = s_tls_random;
    T_CHECK(rtpush_mbedtls_init(&s_tls, &the->t.srv, &d) == 0, "rtpush_mbedtls_init");
}

#else

enum { S_TLS_ALERTED = BR_ERR_RECV_FATAL_ALERT };

static rtpush_bearssl s_tls;
static rtpush_bearssl_slot s_tls_slots[S_TLS_SLOTS];
static uint8_t s_tls_buffers[RTPUSH_BEARSSL_BUFFERS(S_TLS_SLOTS, S_TLS_IN, S_TLS_OUT)];
static uint8_t s_tls_sessions[8 * RTPUSH_BEARSSL_SESSION];
static rtpush_bearssl_identity s_tls_identity;

static void s_secure_filter(void)
{
    static char text[8192];
    static uint8_t der[8192];
    rtpush_bearssl_desc d;
    size_t len = t_cert_file("build/cert", "ec", "pem", text, sizeof text);
    len += t_cert_file("build/cert", "ec", "key", text + len, sizeof text - len);
    T_CHECK(rtpush_bearssl_pem(&s_tls_identity, text, len, der, sizeof der) == 0, "ec.pem");
    memset(&d, 0, sizeof d);
    T_CHECK(rtpush_bearssl_identify(&d, &s_tls_identity) == 0, "ec.key");
    d.slots = s_tls_slots;
    d.links = s_tls_links;
    d.slot_count = d.link_count = S_TLS_SLOTS;
    d.buffers = s_tls_buffers;
    d.buffers_size = sizeof s_tls_buffers;
    d.in_size = S_TLS_IN;
    d.out_size = S_TLS_OUT;
    d.sessions = s_tls_sessions;
    d.sessions_size = sizeof s_tls_sessions;
    T_CHECK(rtpush_bearssl_init(&s_tls, &the->t.srv, &d) == 0, "rtpush_bearssl_init");
}

#endif

static void s_secure_start(void)
{
    T_CHECK(t_cert_anchor(&s_tls_ca, "build/cert") == 0, "build/cert/ca.pem: make cert");
    s_secure_filter();
}

static void s_secure_connect(s_peer *p)
{
    s_engine *e = &s_engines[p->number];
    br_ssl_client_init_full(&e->ssl, &e->x509, &s_tls_ca.anchor, 1);
    br_ssl_engine_set_versions(&e->ssl.eng, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_buffers_bidi(&e->ssl.eng, e->in, sizeof e->in, e->out, sizeof e->out);
    if (e->known) {
        br_ssl_engine_set_session_parameters(&e->ssl.eng, &e->session);
    }
    T_CHECK(br_ssl_client_reset(&e->ssl, "localhost", e->known), "the client does not start");
}

static void s_secure_end(void)
{
    const rtpush_tls_pool *pool = &s_tls.pool;
    // Over a slow, lossy wire a run may end before a handshake is complete: nobody missed an event.
    T_CHECK(pool->count.begun > 0, "nobody spoke TLS");
    T_CHECK(pool->count.slots_used == 0 && pool->handshakes == 0 && pool->wait_first == NULL,
            "TLS slots are not free");
    // BearSSL's numbers from this one on are alerts that came, mbedTLS has one for all.
    T_CHECK(S_TLS_ALERTED > 0 ? pool->count.last_error < S_TLS_ALERTED
                              : pool->count.last_error != S_TLS_ALERTED,
            "an honest peer sent an alert: %d", pool->count.last_error);
}

static void s_out(s_peer *p)
{
    br_ssl_engine_context *eng = &s_engines[p->number].ssl.eng;
    for (;;) {
        size_t room = 0;
        uint8_t *to = br_ssl_engine_sendapp_buf(eng, &room);
        size_t n = p->out.len < S_TLS_RECORD ? p->out.len : S_TLS_RECORD;
        n = n < room ? n : room;
        if (to != NULL && n > 0) {
            memcpy(to, p->out.data, n);
            t_eat(&p->out, n);
            br_ssl_engine_sendapp_ack(eng, n);
            br_ssl_engine_flush(eng, 0);
        }
        const uint8_t *from = br_ssl_engine_sendrec_buf(eng, &room);
        n = from != NULL ? peer_send(p->number, from, room) : 0;
        if (n == 0) {
            return;
        }
        br_ssl_engine_sendrec_ack(eng, n);
    }
}

static void s_in(s_peer *p, const uint8_t *data, size_t len)
{
    s_engine *e = &s_engines[p->number];
    br_ssl_engine_context *eng = &e->ssl.eng;
    while (len > 0) {
        size_t room = 0;
        uint8_t *to = br_ssl_engine_recvrec_buf(eng, &room);
        if (to == NULL) {
            T_CHECK(br_ssl_engine_last_error(eng) == BR_ERR_OK, "the peer's TLS ends: %d",
                    br_ssl_engine_last_error(eng));
            return; // after close_notify
        }
        room = room < len ? room : len;
        memcpy(to, data, room);
        br_ssl_engine_recvrec_ack(eng, room);
        data += room;
        len -= room;
        while ((to = br_ssl_engine_recvapp_buf(eng, &room)) != NULL) {
            for (size_t i = 0; i < room; i++) {
                t_client_byte(&p->m.cl, to[i]);
            }
            br_ssl_engine_recvapp_ack(eng, room);
            br_ssl_engine_get_session_parameters(eng, &e->session);
            e->known = 1;
        }
    }
}

// The core counts plaintext; what lwIP refers to is what the filter made of it.
static int s_agrees(const rtpush_conn *c, uint32_t unsent)
{
    return ((const rtpush_tls_link *)rtpush_filter_self(c))->unacked == unsent;
}

#endif // SIM_TLS
#endif // SIM_SECURE_H
