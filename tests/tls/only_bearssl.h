// What only ports/rtpush_bearssl.h has: its session cache, its generator, its PEM reader. Included
// by test_tls.c.

#ifndef T_ONLY_BEARSSL_H
#define T_ONLY_BEARSSL_H

// -- sessions -------------------------------------------------------------------------------------

static p_peer *again(t_world *w, const p_peer *before) {
    br_ssl_session_parameters session;
    br_ssl_engine_get_session_parameters(&before->ssl.eng, &session);
    p_peer *peer = p_dial(w);
    br_ssl_engine_set_session_parameters(p_engine(peer), &session);
    p_handshake(peer, 1);
    p_run(peer);
    T_CHECK(p_open(peer), "error %d", p_error(peer));
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    return peer;
}

static void resumes_a_session_without_public_keys(U_STATE) {
    t_world *w = p_begin();
    p_peer *first = p_connect(w);
    const size_t full = first->c->out_total;
    p_peer *second = again(w, first);
    T_EQ(p.tls.pool.count.resumed, 1);
    T_EQ(p.tls.pool.count.handshakes, 2);
    T_CHECK(second->c->out_total < full, "as long as a full handshake");
    p_hang_up(first);
    p_hang_up(second);
    p_finish(w);
}

static void unknown_and_forgotten_sessions_shake_hands_in_full(U_STATE) {
    t_world *w = p_begin();
    p_peer *first = p_connect(w);
    p_peer stranger = *first;
    memset(stranger.ssl.eng.session.session_id, 7, 32);
    p_hang_up(again(w, &stranger));
    T_EQ(p.tls.pool.count.resumed, 0);
    for (int i = 0; i < P_SESSIONS; i++) { // the cache has so many places
        p_hang_up(p_connect(w));
    }
    p_hang_up(again(w, first));
    T_EQ(p.tls.pool.count.resumed, 0);
    p_hang_up(first);
    p_finish(w);
}

static void without_memory_for_sessions_none_resumes(U_STATE) {
    t_world *w = p_world();
    p.desc.sessions = NULL;
    p_start(w);
    p_peer *first = p_connect(w);
    p_hang_up(again(w, first));
    T_EQ(p.tls.pool.count.resumed, 0);
    p_hang_up(first);
    p_finish(w);
}

// A session does not know until when the client's certificate is valid.
static void session_does_not_outlive_its_client_certificate(U_STATE) {
    t_world *w = world_with_client_certificates();
    p_start(w);
    p_peer *peer = dial_as(w, &p_client);
    T_CHECK(p_open(peer), "error %d, the server's %d", p_error(peer), p.tls.pool.count.last_error);
    p.days += 100 * 365;
    p_peer *later = p_dial(w);
    br_ssl_session_parameters session;
    br_ssl_engine_get_session_parameters(p_engine(peer), &session);
    br_ssl_engine_set_session_parameters(p_engine(later), &session);
    br_ssl_client_set_single_ec(&later->ssl, p_client.id.chain, p_client.id.chain_len,
                                br_skey_decoder_get_ec(&p_client.id.key), BR_KEYTYPE_SIGN,
                                BR_KEYTYPE_EC, &br_ec_p256_m31, br_ecdsa_i31_sign_asn1);
    p_handshake(later, 1);
    p_run(later);
    T_CHECK(!p_open(later) || t_ended(later->c), "it came in");
    T_EQ(p.tls.pool.count.handshakes, 1);
    p_hang_up(later);
    p_hang_up(peer);
    p_finish(w);
}

static void without_a_clock_the_system_s_time_counts(U_STATE) {
    t_world *w = world_with_client_certificates();
    p.desc.clock = NULL;
    p.days = 0;
    p_start(w);
    p_peer *peer = dial_as(w, &p_client);
    T_CHECK(p_open(peer), "error %d, the server's %d", p_error(peer), p.tls.pool.count.last_error);
    p_hang_up(peer);
    p_finish(w);
}

// The buffer is full of a record under way: no room for an alert behind it. FIN must do.
static void without_room_for_an_alert_the_connection_ends(U_STATE) {
    const uint16_t suite = BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    t_world *w = p_world();
    p.desc.in_size = 837;
    p.desc.out_size = 597;
    p_start(w);
    p_peer *peer = p_dial(w);
    br_ssl_engine_set_suites(p_engine(peer), &suite, 1);
    p_handshake(peer, 0);
    p_run(peer);
    T_CHECK(p_open(peer), "error %d", p_error(peer));
    peer->c->window = 0;
    p_say(peer, "{GET /big}"); // 512 bytes of it, and 29 around them
    peer->record = 837 - 20;
    t_expand(&peer->want, "{rep 3000 x}");
    p_run(peer);
    T_EQ(p.tls.pool.count.last_error, BR_ERR_TOO_LARGE);
    peer->c->window = SIZE_MAX;
    p_run(peer);
    T_CHECK(peer->got.len == 512 && !p_closed(peer), "not one record, and nothing behind it");
    T_CHECK(peer->c->fin, "no FIN");
    t_run(w);
    T_EQ(counted(w, RTPUSH_REASON_TLS), 1);
    p_hang_up(peer);
    p_finish(w);
}

// -- tokens ---------------------------------------------------------------------------------------

// Appendix A.3 of RFC 7515: the key, the token, its time.
#define A3_TOKEN \
    "eyJhbGciOiJFUzI1NiJ9." \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ." \
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
static unsigned char a3_point[65] = {
    4,   127, 205, 206, 39,  112, 246, 196, 93,  65,  131, 203, 238, 111, 219, 75,  123,
    88,  7,   51,  53,  123, 233, 239, 19,  186, 207, 110, 60,  123, 209, 84,  69,
    199, 241, 68,  205, 27,  189, 155, 126, 135, 44,  223, 237, 185, 238, 185, 244, 179,
    105, 93,  110, 169, 11,  36,  173, 138, 70,  35,  40,  133, 136, 229, 173};

static void es256_takes_the_example_of_rfc_7515(U_STATE) {
    const br_ec_public_key key = {BR_EC_secp256r1, a3_point, sizeof a3_point};
    rtpush_jwt jwt = {0};
    jwt.alg = "ES256";
    jwt.check = rtpush_bearssl_es256;
    jwt.ctx = &key;
    jwt.now_s = 1300819379;
    T_EQ(rtpush_jwt_verify(&jwt, A3_TOKEN), RTPUSH_OK);
    jwt.now_s++;
    T_EQ(rtpush_jwt_verify(&jwt, A3_TOKEN), RTPUSH_ERR_EXPIRED);
}

// Every character of the token changed, a signature cut or lengthened, another curve: never good.
// And the algorithm is ours: neither the same key nor the same bytes make it another one.
static void es256_refuses_all_else(U_STATE) {
    br_ec_public_key key = {BR_EC_secp256r1, a3_point, sizeof a3_point};
    char token[] = A3_TOKEN;
    rtpush_jwt jwt = {0};
    jwt.alg = "ES256";
    jwt.check = rtpush_bearssl_es256;
    jwt.ctx = &key;
    jwt.now_s = 1300819379;
    for (size_t i = 0; i + 1 < sizeof token; i += 5) {
        token[i] ^= 1;
        const int error = rtpush_jwt_verify(&jwt, token);
        T_CHECK(error == RTPUSH_ERR_SIGNATURE || error == RTPUSH_ERR_TOKEN, "character %lu: %d",
                (unsigned long)i, error);
        token[i] ^= 1;
    }
    T_EQ(rtpush_jwt_verify(&jwt, A3_TOKEN "AAAA"), RTPUSH_ERR_SIGNATURE);
    token[sizeof token - 5] = 0;
    T_EQ(rtpush_jwt_verify(&jwt, token), RTPUSH_ERR_SIGNATURE);
    jwt.alg = "ES384";
    T_EQ(rtpush_jwt_verify(&jwt, A3_TOKEN), RTPUSH_ERR_ALGORITHM);
    jwt.alg = NULL; // HS256, with the public key as the secret: the classic confusion
    jwt.key.bytes = a3_point;
    jwt.key.len = sizeof a3_point;
    T_EQ(rtpush_jwt_verify(&jwt, A3_TOKEN), RTPUSH_ERR_SIGNATURE);
    jwt.alg = "ES256";
    key.curve = BR_EC_secp384r1;
    T_EQ(rtpush_jwt_verify(&jwt, A3_TOKEN), RTPUSH_ERR_SIGNATURE);
    jwt.check = NULL;
    T_EQ(rtpush_jwt_verify(&jwt, A3_TOKEN), RTPUSH_ERR_ARGUMENT);
}

// RFC 7518 3.4: R and S of 32 octets each, no more and no less.
static void es256_takes_64_octets_alone(U_STATE) {
    const br_ec_public_key key = {BR_EC_secp256r1, a3_point, sizeof a3_point};
    const uint8_t hash[32] = {1};
    const uint8_t signature[80] = {1};
    for (size_t len = 0; len <= sizeof signature; len++) {
        T_EQ(rtpush_bearssl_es256(&key, hash, signature, len), 0);
    }
}

// -- init -----------------------------------------------------------------------------------------

static int no_entropy(void *ctx, void *out, size_t len) {
    (void)ctx;
    (void)out;
    (void)len;
    return 0;
}

static void without_entropy_it_does_not_start_and_says_why(U_STATE) {
    t_world *w = p_world();
    p_start(w);
    rtpush_bearssl tls;
    p.desc.entropy = no_entropy;
    T_EQ(rtpush_bearssl_init(&tls, &w->srv, &p.desc), RTPUSH_BEARSSL_ERR_ENTROPY);
    T_CHECK(strstr(rtpush_bearssl_strerror(RTPUSH_BEARSSL_ERR_ENTROPY), "random") != NULL,
            "it does not say why");
    p_finish(w);
}

// Without desc.entropy the system's, if it has one and that works.
static void without_system_entropy_it_does_not_start(U_STATE) {
    br_hmac_drbg_context first = {0};
    for (int i = 0; i < 2; i++) {
        t_world *w = p_world();
        p.desc.entropy = NULL;
        p_start(w);
        T_CHECK(memcmp(first.K, p.tls.random.K, sizeof first.K) != 0, "the same twice");
        first = p.tls.random;
        p_peer *peer = p_connect(w);
        p_say(peer, "{GET /hello}");
        p_expect(peer, "hello");
        p_hang_up(peer);
        p_finish(w);
    }
    for (p_system = P_NO_SYSTEM; p_system <= P_BROKEN_SYSTEM; p_system++) {
        t_world *w = p_begin();
        rtpush_bearssl tls;
        p.desc.entropy = NULL;
        T_EQ(rtpush_bearssl_init(&tls, &w->srv, &p.desc), RTPUSH_BEARSSL_ERR_ENTROPY);
        p_finish(w);
    }
    p_system = P_SYSTEM;
}

static void sizes_of_0_are_the_documented_ones(U_STATE) {
    t_world *w = p_world();
    p.desc.in_size = 16709;
    p.desc.out_size = 2133;
    t_start(w);
    p.desc.buffers_size = RTPUSH_BEARSSL_BUFFERS(p.desc.slot_count, 16709, 2133);
    p.desc.buffers = p.buffers = (uint8_t *)malloc(p.desc.buffers_size);
    p.desc.in_size = p.desc.out_size = 0;
    T_EQ(rtpush_bearssl_init(&p.tls, &w->srv, &p.desc), RTPUSH_OK);
    T_EQ(p.tls.desc.in_size, 16709);
    T_EQ(p.tls.desc.out_size, 2133);
    T_EQ(p.tls.desc.give_way_ms, 1000);
    T_EQ(p.tls.desc.max_handshakes, p.desc.slot_count);
    p_peer *peer = p_connect(w);
    upload(w, peer, 20000, 16384); // the largest records there are: RFC 5246 6.2.1
    T_EQ(rtpush_bearssl_get_counters(&p.tls)->handshakes, 1);
    p_hang_up(peer);
    p_finish(w);
}

// Both curves through one table: what BearSSL's own table of all curves says of them.
static void two_curves_are_as_among_all(U_STATE) {
    const int curves[] = {BR_EC_secp256r1, BR_EC_curve25519};
    const br_ec_impl *all = &br_ec_all_m31;
    const br_ec_impl *two = rtpi_bearssl_ec();
    for (int i = 0; i < 2; i++) {
        size_t a = 0;
        size_t b = 0;
        const unsigned char *x = all->generator(curves[i], &a);
        const unsigned char *y = two->generator(curves[i], &b);
        T_CHECK(a == b && memcmp(x, y, a) == 0, "the generator of curve %d", curves[i]);
        x = all->order(curves[i], &a);
        y = two->order(curves[i], &b);
        T_CHECK(a == b && memcmp(x, y, a) == 0, "the order of curve %d", curves[i]);
        T_EQ(all->xoff(curves[i], &a), two->xoff(curves[i], &b));
        T_EQ(a, b);
    }
    T_EQ(two->supported_curves,
         (uint32_t)1 << BR_EC_secp256r1 | (uint32_t)1 << BR_EC_curve25519);
}

// What the entropy function gave is what the generator of all keys begins with, and nothing else.
static void entropy_reaches_the_generator(U_STATE) {
    br_hmac_drbg_context first;
    for (int i = 0; i < 3; i++) {
        t_world *w = p_world();
        p.seed = i < 2 ? 7 : 8;
        p_start(w);
        if (i == 0) {
            first = p.tls.random;
        }
        const int same = memcmp(first.K, p.tls.random.K, sizeof first.K) == 0;
        T_EQ(same, i < 2);
        p_peer *peer = p_connect(w);
        T_CHECK(memcmp(first.V, p.tls.random.V, sizeof first.V) != 0, "the same for each client");
        p_hang_up(peer);
        p_finish(w);
    }
}

static void init_names_what_is_missing(U_STATE) {
    t_world *w = p_world();
    p_start(w);
    const rtpush_bearssl_desc good = p.desc;
    rtpush_bearssl tls;
#define BAD(change, error) \
    do { \
        p.desc = good; \
        change; \
        T_EQ(rtpush_bearssl_init(&tls, &w->srv, &p.desc), error); \
        T_CHECK(rtpush_bearssl_strerror(error)[0] != 0, "no words"); \
    } while (0)
    BAD(p.desc.chain = NULL, RTPUSH_BEARSSL_ERR_KEY);
    BAD(p.desc.chain_len = 0, RTPUSH_BEARSSL_ERR_KEY);
    BAD(p.desc.ec_key = NULL, RTPUSH_BEARSSL_ERR_KEY);
    BAD(p.desc.rsa_key = br_skey_decoder_get_rsa(&p_rsa.id.key), RTPUSH_BEARSSL_ERR_KEY);
    br_ec_private_key other = *good.ec_key;
    other.curve = BR_EC_secp384r1;
    BAD(p.desc.ec_key = &other, RTPUSH_BEARSSL_ERR_KEY);
    BAD(p.desc.slots = NULL, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.slot_count = 0, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.links = NULL, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.link_count = 0, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.buffers = NULL, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.buffers_size--, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.in_size = 836, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.out_size = 596, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.sessions_size = 99, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.anchors = &p_ca.anchor, RTPUSH_BEARSSL_ERR_MEMORY);
    BAD(p.desc.give_way_ms = 1, RTPUSH_BEARSSL_ERR_ATTACH); // there is a filter
#undef BAD
    p.desc = good;
    assert_string_equal(rtpush_bearssl_strerror(RTPUSH_ERR_FULL), rtpush_strerror(RTPUSH_ERR_FULL));
    T_CHECK(strstr(rtpush_bearssl_strerror(RTPUSH_BEARSSL_ERR_PEM), "PEM") != NULL, "no words");
    p_finish(w);
}

static void pem_takes_whole_files_and_refuses_broken_ones(U_STATE) {
    static char text[16384];
    static uint8_t der[8192];
    static rtpush_bearssl_identity id;
    size_t len = p_file("rsa", "pem", text, sizeof text);
    len += p_file("rsa", "key", text + len, sizeof text - len);
    rtpush_bearssl_desc desc;
    memset(&desc, 0, sizeof desc);
    memset(&id, 0, sizeof id);
    T_EQ(rtpush_bearssl_identify(&desc, &id), RTPUSH_BEARSSL_ERR_KEY);
    T_EQ(rtpush_bearssl_pem(&id, text, len, der, sizeof der), RTPUSH_OK);
    T_EQ(rtpush_bearssl_identify(&desc, &id), RTPUSH_OK);
    T_CHECK(desc.rsa_key != NULL && desc.ec_key == NULL && desc.chain_len == 1, "no RSA key");
    const size_t used = id.chain[0].data_len;
    memset(&id, 0, sizeof id);
    T_EQ(rtpush_bearssl_pem(&id, text, len, der, used), RTPUSH_OK); // fits exactly
    for (size_t size = 0; size < used; size++) {
        memset(&id, 0, sizeof id);
        T_EQ(rtpush_bearssl_pem(&id, text, len, der, size), RTPUSH_BEARSSL_ERR_PEM);
    }
    memset(&id, 0, sizeof id);
    text[100] = '!';
    T_EQ(rtpush_bearssl_pem(&id, text, len, der, sizeof der), RTPUSH_BEARSSL_ERR_PEM);
    memset(&id, 0, sizeof id);
    len = p_file("ec", "pem", text, sizeof text);
    for (int i = 0; i < RTPUSH_BEARSSL_CHAIN; i++) {
        T_EQ(rtpush_bearssl_pem(&id, text, len, der, sizeof der), RTPUSH_OK);
    }
    T_EQ(rtpush_bearssl_pem(&id, text, len, der, sizeof der), RTPUSH_BEARSSL_ERR_PEM);
}

// A chain of several in one text: each is where it was put, and they fill the memory exactly.
static void pem_takes_a_chain(U_STATE) {
    static char text[16384];
    static uint8_t der[8192];
    static rtpush_bearssl_identity id;
    const p_identity *parts[] = {&p_ec, &p_rsa, &p_client};
    static const char *const names[] = {"ec", "rsa", "client"};
    size_t len = 0;
    size_t used = 0;
    size_t first = 0;
    for (int i = 0; i < 3; i++) {
        len += p_file(names[i], "pem", text + len, sizeof text - len);
        first = i == 0 ? len : first;
        used += parts[i]->id.chain[0].data_len;
    }
    for (size_t size = used - 1; size <= used; size++) {
        memset(&id, 0, sizeof id);
        T_EQ(rtpush_bearssl_pem(&id, text, len, der, size),
             size < used ? RTPUSH_BEARSSL_ERR_PEM : RTPUSH_OK);
    }
    T_EQ(id.chain_len, 3);
    static rtpush_bearssl_identity cut; // what is behind the length that is given is not read
    T_EQ(rtpush_bearssl_pem(&cut, text, first - 10, der, sizeof der), RTPUSH_OK);
    T_EQ(cut.chain_len, 0);
    for (int i = 0; i < 3; i++) {
        const br_x509_certificate *one = &parts[i]->id.chain[0];
        T_EQ(id.chain[i].data_len, one->data_len);
        T_CHECK(memcmp(id.chain[i].data, one->data, one->data_len) == 0, "number %d differs", i);
    }
}

// The key alone, in the three forms there are (RFC 5958, RFC 5915, RFC 8017 A.1.2), between other
// blocks and lines, as openssl writes them.
static void pem_takes_keys_in_every_form(U_STATE) {
    static const char about[] = "Bag Attributes\n    friendlyName: device\n"
                                "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                                "-----END EC PARAMETERS-----\n";
    static char text[16384];
    static uint8_t der[8192];
    static uint8_t key[4096];
    static unsigned char n[512], d[512];
    static rtpush_bearssl_identity id;
    const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(&p_rsa.id.key);
    br_rsa_public_key pub = {n, 0, NULL, 0};
    unsigned char e[4] = {0, 1, 0, 1};
    rtpush_bearssl_desc desc; // with the key of the form before, which must not stay
    memset(&desc, 0, sizeof desc);
    pub.nlen = br_rsa_compute_modulus_get_default()(n, rsa);
    // 65537: what openssl takes when it is told nothing (ports/cert.sh). BearSSL cannot compute it
    // for every key: br_rsa_compute_pubexp wants both primes to be 3 modulo 4.
    pub.e = e;
    pub.elen = sizeof e;
    const size_t dlen = br_rsa_compute_privexp_get_default()(d, rsa, 65537);
    T_CHECK(dlen != 0, "no private exponent");
    for (int form = 0; form < 4; form++) {
        const int ec = form % 2 == 0;
        size_t len = p_file(ec ? "ec" : "rsa", "pem", text, sizeof text);
        memset(&id, 0, sizeof id);
        T_EQ(rtpush_bearssl_pem(&id, text, len, der, sizeof der), RTPUSH_OK);
        T_EQ(rtpush_bearssl_identify(&desc, &id), RTPUSH_BEARSSL_ERR_KEY); // it has none yet
        memcpy(text, about, sizeof about);
        len = sizeof about - 1;
        if (form < 2) {
            len += p_file(ec ? "ec" : "rsa", "key", text + len, sizeof text - len);
        } else {
            const size_t bytes =
                ec ? br_encode_ec_raw_der(key, br_skey_decoder_get_ec(&p_ec.id.key), NULL)
                   : br_encode_rsa_raw_der(key, rsa, &pub, d, dlen);
            len += br_pem_encode(text + len, key, bytes, ec ? "EC PRIVATE KEY" : "RSA PRIVATE KEY",
                                 0);
        }
        memcpy(text + len, "\n(end)\n", 7);
        T_EQ(rtpush_bearssl_pem(&id, text, len + 7, der, sizeof der), RTPUSH_OK);
        T_EQ(rtpush_bearssl_identify(&desc, &id), RTPUSH_OK);
        T_EQ(id.chain_len, 1);
        T_CHECK((desc.ec_key != NULL) == ec && (desc.rsa_key != NULL) == !ec, "form %d", form);
    }
}

#define P_ONLY_TESTS \
    u_test(resumes_a_session_without_public_keys), \
    u_test(unknown_and_forgotten_sessions_shake_hands_in_full), \
    u_test(without_memory_for_sessions_none_resumes), \
    u_test(session_does_not_outlive_its_client_certificate), \
    u_test(without_a_clock_the_system_s_time_counts), \
    u_test(without_room_for_an_alert_the_connection_ends), \
    u_test(es256_takes_the_example_of_rfc_7515), \
    u_test(es256_refuses_all_else), \
    u_test(es256_takes_64_octets_alone), \
    u_test(without_entropy_it_does_not_start_and_says_why), \
    u_test(without_system_entropy_it_does_not_start), \
    u_test(sizes_of_0_are_the_documented_ones), \
    u_test(two_curves_are_as_among_all), \
    u_test(entropy_reaches_the_generator), \
    u_test(init_names_what_is_missing), \
    u_test(pem_takes_whole_files_and_refuses_broken_ones), \
    u_test(pem_takes_a_chain), \
    u_test(pem_takes_keys_in_every_form)

#endif
