// peer.h - the other end: a TLS client by BearSSL's client side, joined in memory to the filter
// under test, which stands between the port made of memory of tests/unit/harness.h and the core:
// rtpush_bearssl.h, with P_MBEDTLS rtpush_mbedtls.h. Certificates come from build/cert
// (ports/cert.sh, tests/tls/rsa.sh).

#ifndef T_PEER_H
#define T_PEER_H

#define U_INSIDE
#include "../unit/unit.h"

#ifdef P_MBEDTLS
#include "filter_mbedtls.h"
#else
#include "filter_bearssl.h"
#endif

static t_cert_ca p_ca, p_rsa_ca;

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
    p_load(&p_rsa_client, "rsa/client");
    T_EQ(t_cert_anchor(&p_ca, "build/cert"), 0);
    T_EQ(t_cert_anchor(&p_rsa_ca, "build/cert/rsa"), 0);
    p_filter_load();
}

// -- the server -----------------------------------------------------------------------------------

static t_world *p_world(void) {
    t_world *w = t_fixture();
    const unsigned seed = p.seed;
    memset(&p, 0, sizeof p);
    p.seed = seed;
    p_use(&p_ec);
    p.desc.slots = p.slots;
    p.desc.slot_count = 4;
    p.desc.links = p.links;
    p.desc.link_count = P_LINKS;
    p_filter_memory();
    w->desc.conn_count = 8;
    return w;
}

static void p_start(t_world *w) {
    t_start(w);
    T_EQ(p_filter_init(w), RTPUSH_OK);
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
    T_EQ(p.tls.pool.count.slots_used, 0);
    T_EQ(p.tls.pool.handshakes, 0);
    T_CHECK(p.tls.pool.wait_first == NULL, "somebody waits at the end");
    for (const rtpush_tls_link *l = p.tls.pool.free_first; l != NULL; l = l->next) {
        links++;
    }
    T_EQ(links, p.desc.link_count);
    for (uint32_t i = 0; i < p.desc.slot_count; i++) {
        const uint8_t *bytes = (const uint8_t *)&p.slots[i];
        for (size_t j = 0; j < sizeof p.slots[i]; j++) {
            T_CHECK(bytes[j] == 0, "a slot that is free still holds bytes");
        }
    }
    p_filter_end();
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
#ifdef P_MBEDTLS
    m_client *m; // instead of ssl
#endif
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
#ifdef P_MBEDTLS
    peer->m = p_version ? m_new(peer) : NULL;
#endif
    return peer;
}

#ifdef P_MBEDTLS
static int m_send(void *ctx, const unsigned char *from, size_t len) {
    t_put(&((m_client *)ctx)->peer->wire, from, len);
    return (int)len;
}

static int m_receive(void *ctx, unsigned char *to, size_t len) {
    t_buf *from = &((m_client *)ctx)->peer->c->out;
    const size_t n = len < from->len ? len : from->len;
    if (n == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(to, from->data, n);
    t_eat(from, n);
    return (int)n;
}

static int m_read(p_peer *peer) {
    m_client *m = peer->m;
    const size_t before = peer->c->out.len + peer->wire.len;
    uint8_t data[4096];
    int result = 0;
    p_heap.client = 1;
    if (m_alive(m) && !m->open) {
        result = mbedtls_ssl_handshake(&m->ssl);
        m->open = result == 0;
        if (m->open && mbedtls_ssl_get_version_number(&m->ssl) == MBEDTLS_SSL_VERSION_TLS1_2) {
            m->has_session = mbedtls_ssl_get_session(&m->ssl, &m->session) == 0;
        }
    }
    while (m_alive(m) && m->open && !peer->deaf && result >= 0) {
        result = mbedtls_ssl_read(&m->ssl, data, sizeof data);
        if (result > 0) {
            t_put(&peer->got, data, (size_t)result);
        } else if (result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            m_said(m, result);
            result = 0;
        }
    }
    if (result < 0) {
        m_said(m, result);
    }
    p_heap.client = 0;
    return peer->c->out.len + peer->wire.len != before;
}

static int m_fill(p_peer *peer) {
    size_t n = peer->want.len;
    if (!m_alive(peer->m) || !peer->m->open || n == 0) {
        return 0;
    }
    n = peer->record > 0 && n > peer->record ? peer->record : n;
    p_heap.client = 1;
    const int result = mbedtls_ssl_write(&peer->m->ssl, peer->want.data, n);
    p_heap.client = 0;
    T_CHECK(result > 0, "the client cannot write: %d", result);
    t_eat(&peer->want, (size_t)result);
    return 1;
}
#endif

static void p_handshake(p_peer *peer, int resume) {
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        p_heap.client = 1;
        m_begin(peer->m, NULL);
        p_heap.client = 0;
        return;
    }
#endif
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
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        return peer->m->error;
    }
#endif
    return br_ssl_engine_last_error(p_engine(peer));
}

static int p_closed(p_peer *peer) {
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        return peer->m->closed || peer->m->error != 0;
    }
#endif
    return br_ssl_engine_current_state(p_engine(peer)) == BR_SSL_CLOSED;
}

// It sends close_notify.
static void p_bye(p_peer *peer) {
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        (void)mbedtls_ssl_close_notify(&peer->m->ssl);
        return;
    }
#endif
    br_ssl_engine_close(p_engine(peer));
}

static int p_open(p_peer *peer) {
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        return peer->m->open && m_alive(peer->m);
    }
#endif
    return (br_ssl_engine_current_state(p_engine(peer)) & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) != 0;
}

// The wire to the client's engine. 1 if something moved.
static int p_read(p_peer *peer) {
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        return m_read(peer);
    }
#endif
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
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        return 0; // m_read has
    }
#endif
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
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        return m_fill(peer);
    }
#endif
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
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        return 0; // m_send has
    }
#endif
    size_t len = 0;
    const uint8_t *from = br_ssl_engine_sendrec_buf(p_engine(peer), &len);
    if (from == NULL) {
        return 0;
    }
    t_put(&peer->wire, from, len);
    br_ssl_engine_sendrec_ack(p_engine(peer), len);
    return 1;
}

// It sends internal_error, a fatal alert.
static void p_alert(p_peer *peer) {
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        T_EQ(mbedtls_ssl_send_alert_message(&peer->m->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                            MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR), 0);
        return;
    }
#endif
    peer->ssl.eng.record_type_out = 21; // alert
    t_expand(&peer->want, "{hex 0250}");
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
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        m_free(peer->m);
    }
#endif
    free(peer);
}

#endif // T_PEER_H
