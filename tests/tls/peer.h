// peer.h - the other end: a TLS client by BearSSL's client side, joined in memory to the filter
// under test, which stands between the port made of memory of tests/unit/harness.h and the core.
// Certificates come from build/cert (ports/cert.sh).

#ifndef T_PEER_H
#define T_PEER_H

#include "../unit/unit.h"

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

enum { P_SLOTS = 8, P_LINKS = 48, P_SESSIONS = 4 };
enum { P_IN = 16709, P_OUT = 16469 };

// -- certificates ---------------------------------------------------------------------------------

typedef struct p_identity {
    rtpush_bearssl_identity id;
    uint8_t der[8192];
} p_identity;

static p_identity p_ec, p_rsa, p_client, p_stranger;
static t_cert_ca p_ca;

static size_t p_file(const char *name, const char *suffix, char *out, size_t cap) {
    const size_t len = t_cert_file("build/cert", name, suffix, out, cap);
    T_CHECK(len > 0, "build/cert/%s.%s is missing: make cert", name, suffix);
    return len;
}

static void p_load(p_identity *to, const char *name) {
    static char text[8192];
    memset(to, 0, sizeof *to);
    size_t len = p_file(name, "pem", text, sizeof text);
    len += p_file(name, "key", text + len, sizeof text - len);
    T_EQ(rtpush_bearssl_pem(&to->id, text, len, to->der, sizeof to->der), RTPUSH_OK);
    T_EQ(to->id.chain_len, 1);
}

static void p_load_all(void) {
    p_load(&p_ec, "ec");
    p_load(&p_rsa, "rsa");
    p_load(&p_client, "client");
    p_load(&p_stranger, "stranger");
    T_EQ(t_cert_anchor(&p_ca, "build/cert"), 0);
}

// -- the server -----------------------------------------------------------------------------------

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

// The same bytes in every run, others in every world.
static int p_entropy(void *ctx, void *out, size_t len) {
    (void)ctx;
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

static t_world *p_world(void) {
    t_world *w = t_fixture();
    const unsigned seed = p.seed;
    memset(&p, 0, sizeof p);
    p.seed = seed;
    T_EQ(rtpush_bearssl_identify(&p.desc, &p_ec.id), RTPUSH_OK);
    p.desc.slots = p.slots;
    p.desc.slot_count = 4;
    p.desc.links = p.links;
    p.desc.link_count = P_LINKS;
    p.desc.in_size = P_IN;
    p.desc.out_size = P_OUT;
    p.desc.sessions = p.sessions;
    p.desc.sessions_size = sizeof p.sessions;
    p.desc.entropy = p_entropy;
    w->desc.conn_count = 8;
    return w;
}

static void p_start(t_world *w) {
    t_start(w);
    p.desc.buffers_size =
        RTPUSH_BEARSSL_BUFFERS(p.desc.slot_count, p.desc.in_size, p.desc.out_size);
    p.buffers = (uint8_t *)malloc(p.desc.buffers_size);
    p.desc.buffers = p.buffers;
    T_EQ(rtpush_bearssl_init(&p.tls, &w->srv, &p.desc), RTPUSH_OK);
}

static t_world *p_begin(void) {
    t_world *w = p_world();
    p_start(w);
    return w;
}

// Cuts what is open; then every slot and every link must be free.
static void p_finish(t_world *w) {
    t_finish(w);
    unsigned links = 0;
    T_EQ(p.tls.count.slots_used, 0);
    T_EQ(p.tls.handshakes, 0);
    T_CHECK(p.tls.wait_first == NULL, "somebody waits at the end");
    for (const rtpush_bearssl_link *l = p.tls.free_first; l != NULL; l = l->next) {
        links++;
    }
    T_EQ(links, p.desc.link_count);
    for (uint32_t i = 0; i < p.desc.slot_count; i++) {
        const uint8_t *bytes = (const uint8_t *)&p.slots[i];
        for (size_t j = 0; j < sizeof p.slots[i]; j++) {
            T_CHECK(bytes[j] == 0, "a slot that is free still holds bytes");
        }
    }
    free(p.buffers);
}

// -- the client -----------------------------------------------------------------------------------

typedef struct p_peer {
    t_conn *c;
    br_ssl_client_context ssl;
    br_x509_minimal_context x509;
    uint8_t in[BR_SSL_BUFSIZE_INPUT];
    uint8_t out[BR_SSL_BUFSIZE_OUTPUT];
    t_buf want;      // plaintext to be sent
    t_buf got;       // plaintext received
    size_t record;   // most plaintext bytes in a record; 0: as many as fit
    size_t reads;    // most bytes taken from the wire in all; SIZE_MAX: all
    size_t writes;   // most bytes put on the wire in all
    size_t written;  // so far
    size_t slow;     // bytes put on the wire by one p_step; 0: all
    int deaf;        // 1: does not read what it decrypted
    int said;        // for the test: it said what it had to say
    t_buf wire;      // made, not yet put on the wire
} p_peer;

static p_peer *p_make(t_conn *c) {
    p_peer *peer = (p_peer *)calloc(1, sizeof *peer);
    T_CHECK(peer != NULL, "out of memory in the test");
    peer->c = c;
    peer->reads = peer->writes = SIZE_MAX;
    br_ssl_client_init_full(&peer->ssl, &peer->x509, &p_ca.anchor, 1);
    br_ssl_engine_set_versions(&peer->ssl.eng, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_buffers_bidi(&peer->ssl.eng, peer->in, sizeof peer->in, peer->out,
                                   sizeof peer->out);
    t_put(&peer->got, "", 0);
    return peer;
}

static void p_handshake(p_peer *peer, int resume) {
    T_CHECK(br_ssl_client_reset(&peer->ssl, "localhost", resume), "the client does not start");
}

// Of this address; NULL: refused.
static p_peer *p_dial_from(t_world *w, uint32_t address) {
    t_conn *c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, address);
    return c != NULL ? p_make(c) : NULL;
}

static p_peer *p_dial(t_world *w) {
    p_peer *peer = p_dial_from(w, 1);
    T_CHECK(peer != NULL, "rtpush_accept refused");
    return peer;
}

static br_ssl_engine_context *p_engine(p_peer *peer) {
    return &peer->ssl.eng;
}

static int p_error(p_peer *peer) {
    return br_ssl_engine_last_error(p_engine(peer));
}

static int p_closed(p_peer *peer) {
    return br_ssl_engine_current_state(p_engine(peer)) == BR_SSL_CLOSED;
}

static int p_open(p_peer *peer) {
    return (br_ssl_engine_current_state(p_engine(peer)) & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) != 0;
}

// The wire to the client's engine. 1 if something moved.
static int p_read(p_peer *peer) {
    size_t room = 0;
    uint8_t *to = br_ssl_engine_recvrec_buf(p_engine(peer), &room);
    size_t n = peer->c->out.len;
    n = n < room ? n : room;
    n = n < peer->reads ? n : peer->reads;
    if (to == NULL || n == 0) {
        return 0;
    }
    memcpy(to, peer->c->out.data, n);
    t_eat(&peer->c->out, n);
    peer->reads -= peer->reads == SIZE_MAX ? 0 : n;
    br_ssl_engine_recvrec_ack(p_engine(peer), n);
    return 1;
}

static int p_take(p_peer *peer) {
    size_t len = 0;
    const uint8_t *from = br_ssl_engine_recvapp_buf(p_engine(peer), &len);
    if (from == NULL || peer->deaf) {
        return 0;
    }
    t_put(&peer->got, from, len);
    br_ssl_engine_recvapp_ack(p_engine(peer), len);
    return 1;
}

static int p_fill(p_peer *peer) {
    size_t room = 0;
    uint8_t *to = br_ssl_engine_sendapp_buf(p_engine(peer), &room);
    size_t n = peer->want.len < room ? peer->want.len : room;
    if (peer->record > 0 && n > peer->record) {
        n = peer->record;
    }
    if (to == NULL || n == 0) {
        return 0;
    }
    memcpy(to, peer->want.data, n);
    t_eat(&peer->want, n);
    br_ssl_engine_sendapp_ack(p_engine(peer), n);
    br_ssl_engine_flush(p_engine(peer), 0);
    return 1;
}

static int p_write(p_peer *peer) {
    size_t len = 0;
    const uint8_t *from = br_ssl_engine_sendrec_buf(p_engine(peer), &len);
    if (from == NULL) {
        return 0;
    }
    t_put(&peer->wire, from, len);
    br_ssl_engine_sendrec_ack(p_engine(peer), len);
    return 1;
}

// What was made goes to the server, within the limits set.
static int p_put(p_peer *peer) {
    size_t n = peer->wire.len;
    n = n < peer->writes - peer->written ? n : peer->writes - peer->written;
    n = peer->slow > 0 && n > peer->slow ? peer->slow : n;
    if (n == 0 || peer->c->conn == NULL) {
        return 0;
    }
    peer->written += n;
    t_feed_only(peer->c, peer->wire.data, n);
    t_eat(&peer->wire, n);
    return 1;
}

// One round of everything; 1 if something moved.
static int p_step(p_peer *peer) {
    int moved = p_read(peer);
    moved |= p_take(peer);
    moved |= p_fill(peer);
    moved |= p_write(peer);
    moved |= p_put(peer);
    const size_t in = peer->c->in.len;
    const size_t out = peer->c->out_total;
    if (peer->c->conn != NULL) {
        t_serve(peer->c);
    }
    t_run_ready(peer->c->world);
    return moved || peer->c->in.len != in || peer->c->out_total != out;
}

static void p_run(p_peer *peer) {
    for (int round = 0; p_step(peer); round++) {
        T_CHECK(round < 2000000, "client and server never come to rest");
    }
}

static void p_say(p_peer *peer, const char *text) {
    t_expand(&peer->want, text);
    p_run(peer);
}

// Does the handshake up to its Finished and writes text after it, without waiting for the server's,
// as browsers do (RFC 7918). BearSSL's client cannot; the test changes its context.
static void p_false_start(p_peer *peer, const char *text) {
    br_ssl_engine_context *eng = p_engine(peer);
    t_buf plain = {0};
    p_handshake(peer, 0);
    peer->writes = 0;
    while (p_write(peer)) {
    }
    peer->writes = SIZE_MAX;
    (void)p_put(peer);
    t_serve(peer->c);
    peer->writes = peer->written;
    for (int i = 0; i < 200; i++) {
        (void)p_read(peer);
        (void)p_write(peer);
    }
    T_CHECK(peer->wire.len > 80, "the client does not answer the server's hello");
    t_expand(&plain, text);
    eng->application_data = 1;
    eng->record_type_out = 23; // application data
    size_t room = 0;
    uint8_t *to = br_ssl_engine_sendapp_buf(eng, &room);
    T_CHECK(to != NULL && room >= plain.len, "the client cannot write");
    memcpy(to, plain.data, plain.len);
    br_ssl_engine_sendapp_ack(eng, plain.len);
    br_ssl_engine_flush(eng, 0);
    (void)p_write(peer);
    eng->application_data = 0;
    peer->writes = SIZE_MAX;
    t_buf_free(&plain);
}

// Connects and does the handshake.
static p_peer *p_connect(t_world *w) {
    p_peer *peer = p_dial(w);
    p_handshake(peer, 0);
    p_run(peer);
    T_CHECK(p_open(peer), "no handshake: error %d", p_error(peer));
    return peer;
}

static void p_expect_at(const char *file, int line, p_peer *peer, const char *pattern) {
    const char *failed = t_match(peer->got.data, peer->got.len, pattern);
    if (failed != NULL) {
        fprintf(stderr, "expected %s, seen %lu bytes:\n", failed, (unsigned long)peer->got.len);
        t_show(peer->got.data, peer->got.len);
        t_fail_at(file, line, "output differs");
    }
    t_eat(&peer->got, peer->got.len);
}
#define p_expect(peer, pattern) p_expect_at(__FILE__, __LINE__, peer, pattern)

static void p_hang_up(p_peer *peer) {
    if (peer->c->used) {
        t_forget(peer->c);
    }
    t_buf_free(&peer->want);
    t_buf_free(&peer->got);
    t_buf_free(&peer->wire);
    free(peer);
}

#endif // T_PEER_H
