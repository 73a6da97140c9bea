// client_mbedtls.h - for peer.h: a client by mbedTLS, since BearSSL's knows neither TLS 1.3 nor
// tickets. A p_peer has one where p_version is set when it is made.

#ifndef T_CLIENT_MBEDTLS_H
#define T_CLIENT_MBEDTLS_H

typedef struct m_client {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt chain; // its own certificate
    mbedtls_pk_context key;
    mbedtls_ssl_session session; // the last one it got
    struct p_peer *peer;
    int has_session;
    int started;
    int open;
    int closed; // close_notify came
    int error;
} m_client;

// 0: BearSSL's client, else MBEDTLS_SSL_VERSION_...
static mbedtls_ssl_protocol_version p_version;

static int m_send(void *ctx, const unsigned char *from, size_t len);
static int m_receive(void *ctx, unsigned char *to, size_t len);

static m_client *m_new(struct p_peer *peer) {
    m_client *m = (m_client *)calloc(1, sizeof *m);
    T_CHECK(m != NULL, "out of memory in the test");
    m->peer = peer;
    mbedtls_ssl_init(&m->ssl);
    mbedtls_ssl_config_init(&m->config);
    mbedtls_x509_crt_init(&m->chain);
    mbedtls_pk_init(&m->key);
    mbedtls_ssl_session_init(&m->session);
    T_EQ(mbedtls_ssl_config_defaults(&m->config, MBEDTLS_SSL_IS_CLIENT,
                                     MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT), 0);
    mbedtls_ssl_conf_rng(&m->config, p_entropy, NULL);
    mbedtls_ssl_conf_min_tls_version(&m->config, p_version);
    mbedtls_ssl_conf_max_tls_version(&m->config, p_version);
    mbedtls_ssl_conf_ca_chain(&m->config, &p_anchors, NULL);
    mbedtls_ssl_conf_authmode(&m->config, MBEDTLS_SSL_VERIFY_REQUIRED);
#ifdef MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &m->config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
    return m;
}

static void m_free(m_client *m) {
    mbedtls_ssl_free(&m->ssl);
    mbedtls_ssl_config_free(&m->config);
    mbedtls_x509_crt_free(&m->chain);
    mbedtls_pk_free(&m->key);
    mbedtls_ssl_session_free(&m->session);
    free(m);
}

// To be called before its handshake begins.
static void m_identify(m_client *m, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "build/cert/%s.pem", name);
    T_EQ(mbedtls_x509_crt_parse_file(&m->chain, path), 0);
    snprintf(path, sizeof path, "build/cert/%s.key", name);
    T_EQ(mbedtls_pk_parse_keyfile(&m->key, path, NULL, p_entropy, NULL), 0);
    T_EQ(mbedtls_ssl_conf_own_cert(&m->config, &m->chain, &m->key), 0);
}

static void m_begin(m_client *m, const mbedtls_ssl_session *session) {
    T_EQ(mbedtls_ssl_setup(&m->ssl, &m->config), 0);
    T_EQ(mbedtls_ssl_set_hostname(&m->ssl, "localhost"), 0);
    mbedtls_ssl_set_bio(&m->ssl, m, m_send, m_receive, NULL);
    if (session != NULL) {
        T_EQ(mbedtls_ssl_set_session(&m->ssl, session), 0);
    }
    m->started = 1;
}

static void m_said(m_client *m, int result) {
    if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        m->closed = 1;
    } else if (result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
        mbedtls_ssl_session_free(&m->session);
        mbedtls_ssl_session_init(&m->session);
        T_EQ(mbedtls_ssl_get_session(&m->ssl, &m->session), 0);
        m->has_session = 1;
    } else if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        m->error = BR_ERR_RECV_FATAL_ALERT + m->ssl.MBEDTLS_PRIVATE(in_msg)[1];
    } else if (result != MBEDTLS_ERR_SSL_WANT_READ) {
        m->error = result;
    }
}

static int m_alive(const m_client *m) {
    return m->started && !m->closed && m->error == 0;
}

#endif
