// What only ports/rtpush_mbedtls.h has: tickets, mbedTLS's memory, TLS 1.3. Included by test_tls.c.

#ifndef T_ONLY_MBEDTLS_H
#define T_ONLY_MBEDTLS_H

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>

// -- sessions -------------------------------------------------------------------------------------

// A second connection of before's client, by the ticket it got.
static p_peer *again(t_world *w, const p_peer *before) {
    T_CHECK(before->m->has_session, "it got no ticket");
    p_peer *peer = p_dial(w);
    m_begin(peer->m, &before->m->session);
    p_run(peer);
    T_CHECK(p_open(peer), "error %d", p_error(peer));
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    return peer;
}

static const mbedtls_ssl_protocol_version versions[] = {MBEDTLS_SSL_VERSION_TLS1_2,
                                                        MBEDTLS_SSL_VERSION_TLS1_3};

static void tickets_resume_sessions_of_both_versions(U_STATE) {
    for (int i = 0; i < 2; i++) {
        p_version = versions[i];
        t_world *w = p_begin();
        p_peer *first = p_connect(w);
        const size_t full = first->c->out_total;
        p_say(first, "{GET /hello}"); // behind the handshake comes the ticket of TLS 1.3
        p_peer *second = again(w, first);
        T_EQ(p.tls.pool.count.resumed, 1);
        T_EQ(p.tls.pool.count.handshakes, 2);
        T_CHECK(second->c->out_total < full, "as long as a full handshake");
        p_hang_up(again(w, second));
        T_EQ(p.tls.pool.count.resumed, 2);
        p_hang_up(first);
        p_hang_up(second);
        p_finish(w);
    }
    p_version = 0;
}

// A ticket by a key that the server no longer has: a handshake in full.
static void other_tickets_shake_hands_in_full(U_STATE) {
    for (int i = 0; i < 2; i++) {
        p_version = versions[i];
        t_world *w = p_world();
        p_start(w);
        p_peer *first = p_connect(w);
        p_say(first, "{GET /hello}");
        mbedtls_ssl_ticket_free(&p.tls.tickets);
        mbedtls_ssl_ticket_init(&p.tls.tickets);
        T_EQ(mbedtls_ssl_ticket_setup(&p.tls.tickets, p_entropy, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                      86400), 0);
        p_hang_up(again(w, first));
        T_EQ(p.tls.pool.count.resumed, 0);
        T_EQ(p.tls.pool.count.failed, 0);
        p_hang_up(first);
        p_finish(w);
    }
    p_version = 0;
}

// Neither if they are switched off, nor where clients have certificates.
static void no_ticket_is_given_where_none_may_resume(U_STATE) {
    for (int i = 0; i < 4; i++) {
        p_version = versions[i / 2];
        t_world *w = p_world();
        if (i % 2 == 0) {
            p_no_sessions();
        } else {
            p_ask_clients(&p_ca);
            p.days = P_DAYS_1970 + (uint32_t)(time(NULL) / 86400) + 1;
        }
        p_start(w);
        p_peer *peer = p_dial(w);
        m_identify(peer->m, "client");
        p_handshake(peer, 0);
        p_run(peer);
        T_CHECK(p_open(peer), "error %d, the server's %d", p_error(peer),
                p.tls.pool.count.last_error);
        p_say(peer, "{GET /hello}");
        p_expect(peer, "hello");
        T_CHECK(p_version == MBEDTLS_SSL_VERSION_TLS1_2 || !peer->m->has_session, "a ticket");
        p_hang_up(peer);
        p_finish(w);
    }
    p_version = 0;
}

// -- TLS 1.3 --------------------------------------------------------------------------------------

static void tls_1_3_is_what_both_choose(U_STATE) {
    for (int rsa = 0; rsa < 2; rsa++) {
        t_world *w = p_world();
        p_use(rsa ? &p_rsa : &p_ec);
        p_start(w);
        p_version = MBEDTLS_SSL_VERSION_TLS1_3;
        p_peer *peer = p_dial(w);
        mbedtls_ssl_conf_min_tls_version(&peer->m->config, MBEDTLS_SSL_VERSION_TLS1_2);
        p_handshake(peer, 0);
        p_run(peer);
        T_CHECK(p_open(peer), "error %d", p_error(peer));
        T_EQ(mbedtls_ssl_get_version_number(&peer->m->ssl), MBEDTLS_SSL_VERSION_TLS1_3);
        T_EQ(mbedtls_ssl_get_ciphersuite_id_from_ssl(&peer->m->ssl),
             MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256);
        p_say(peer, "{GET /hello}");
        p_expect(peer, "hello");
        p_hang_up(peer);
        p_finish(w);
    }
    p_version = 0;
}

// RFC 8446 6.1: close_notify ends the peer's bytes only. What it asked for is answered.
static void after_close_notify_the_answer_still_comes(U_STATE) {
    t_world *w = p_begin();
    p_version = MBEDTLS_SSL_VERSION_TLS1_3;
    p_peer *peer = p_connect(w);
    peer->c->window = 0;
    t_expand(&peer->want, "{GET /big}");
    p_run(peer);
    p_bye(peer);
    t_expand(&peer->wire, "{rep 600 x}"); // and what follows is ignored
    p_run(peer);
    T_CHECK(!peer->c->fin && peer->c->in.len == 0, "the port holds %lu bytes",
            (unsigned long)peer->c->in.len);
    peer->c->window = SIZE_MAX;
    p_run(peer);
    T_CHECK(peer->got.len > sizeof t_big, "only %lu bytes", (unsigned long)peer->got.len);
    T_CHECK(peer->m->closed && peer->m->error == 0, "no close_notify");
    T_CHECK(peer->c->fin, "no FIN");
    T_EQ(p.tls.pool.count.failed, 0);
    p_hang_up(peer);
    p_finish(w);
    p_version = 0;
}

// -- memory ---------------------------------------------------------------------------------------

enum { ALL = 100000 }; // bytes, more than a connection takes

// The heap has so many bytes for a connection, or its allocation number fail_at fails. Whatever
// fails: this connection ends, nothing is lost, and with memory again the next one is served. What
// the client is told is internal_error (RFC 8446 6.2), if anything can be sent; mbedTLS says of its
// ECDH that the client's key could not be decoded.
static int without_memory(size_t bytes, size_t fail_at) {
    t_world *w = p_begin();
    snprintf(t_where, sizeof t_where, "%lu bytes, allocation %lu fails", (unsigned long)bytes,
             (unsigned long)fail_at);
    p_peer *peer = p_dial(w);
    p_heap.client = 1;
    p_handshake(peer, 0);
    p_heap.client = 0;
    p_heap.limit = p_heap.used + bytes;
    p_heap.calls = 0;
    p_heap.fail_at = fail_at;
    p_run(peer);
    p_say(peer, "{GET /hello}");
    p_heap.limit = p_heap.fail_at = 0;
    const int served = peer->got.len > 0;
    T_CHECK(served || p.tls.pool.count.failed == 1, "neither served nor failed");
    T_CHECK(served || t_ended(peer->c), "the connection is still there");
    const int alert =
        p.tls.pool.count.last_error == MBEDTLS_ERR_SSL_DECODE_ERROR ? 50 : 80;
    T_CHECK(served || p_error(peer) == 0 || p_error(peer) == BR_ERR_RECV_FATAL_ALERT + alert ||
            P_ALERT_LOST(peer), "error %d, the server's %d", p_error(peer),
            p.tls.pool.count.last_error);
    T_EQ(rtpush_get_counters(&w->srv)->requests, (uint32_t)served);
    p_hang_up(peer);
    peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    p_hang_up(peer);
    p_finish(w);
    t_where[0] = 0;
    return served;
}

static void connection_without_memory_ends_alone(U_STATE) {
    size_t served = 0;
    size_t refused = 0;
    const size_t most = 3 * (T_IN + 5000); // T_IN and 5 to 8 KB are enough
    for (size_t bytes = most; bytes > most / 90; bytes -= most / 90) {
        const int good = without_memory(bytes, 0);
        served += good;
        refused += !good;
    }
    T_CHECK(served > 20 && refused > 20, "%lu served, %lu refused", (unsigned long)served,
            (unsigned long)refused);
}

static void connection_whose_allocation_fails_ends_alone(U_STATE) {
    size_t refused = 0;
    for (size_t k = 1; k < 4000; k += k < 60 ? 1 : k / 20) {
        refused += !without_memory(ALL, k);
    }
    T_CHECK(refused > 60, "%lu refused", (unsigned long)refused);
}

// The same of init, at each of its allocations.
static void init_without_memory_says_so_and_frees_all(U_STATE) {
    t_world *w = p_world();
    size_t k = 0;
    int error = 0;
    t_start(w);
    do {
        p_heap.calls = 0;
        p_heap.fail_at = ++k;
        error = p_filter_init(w);
        p_heap.fail_at = 0;
        T_CHECK(error == RTPUSH_OK || error == RTPUSH_MBEDTLS_ERR_MEMORY, "%lu: error %d",
                (unsigned long)k, error);
        T_CHECK(error == RTPUSH_OK || p_heap.used == p.heap, "%lu: not all is free",
                (unsigned long)k);
    } while (error != RTPUSH_OK);
    T_EQ(p_heap.calls, k - 1);
    T_CHECK(k > 3, "only %lu allocations", (unsigned long)k - 1);
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    p_hang_up(peer);
    p_finish(w);
}

// -- tokens ---------------------------------------------------------------------------------------

static void es256_takes_what_its_key_signed_and_nothing_else(U_STATE) {
    psa_key_attributes_t about = PSA_KEY_ATTRIBUTES_INIT;
    psa_key_id_t key = 0;
    uint8_t hash[32] = {1, 2, 3};
    uint8_t signature[80] = {0};
    size_t len = 0;
    psa_set_key_type(&about, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_bits(&about, 256);
    psa_set_key_algorithm(&about, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&about, PSA_KEY_USAGE_SIGN_HASH | PSA_KEY_USAGE_VERIFY_HASH);
    T_EQ(psa_generate_key(&about, &key), PSA_SUCCESS);
    T_EQ(psa_sign_hash(key, PSA_ALG_ECDSA(PSA_ALG_SHA_256), hash, 32, signature, 64, &len),
         PSA_SUCCESS);
    T_EQ(rtpush_mbedtls_es256(&key, hash, signature, 64), 1);
    T_EQ(rtpush_mbedtls_es256(&key, hash, signature, 63), 0);
    T_EQ(rtpush_mbedtls_es256(&key, hash, signature, 65), 0);
    for (size_t i = 0; i < 64; i += 7) {
        signature[i] ^= 1;
        T_EQ(rtpush_mbedtls_es256(&key, hash, signature, 64), 0);
        signature[i] ^= 1;
    }
    hash[0] ^= 1;
    T_EQ(rtpush_mbedtls_es256(&key, hash, signature, 64), 0);
    psa_destroy_key(key);
}

// -- init -----------------------------------------------------------------------------------------

static int no_entropy(void *ctx, unsigned char *out, size_t len) {
    (void)ctx;
    (void)out;
    (void)len;
    return -1;
}

static void init_names_what_is_missing(U_STATE) {
    t_world *w = p_world();
    p_start(w);
    const rtpush_mbedtls_desc good = p.desc;
    static rtpush_mbedtls tls;
#define BAD(change, error) \
    do { \
        p.desc = good; \
        change; \
        T_EQ(rtpush_mbedtls_init(&tls, &w->srv, &p.desc), error); \
        T_CHECK(rtpush_mbedtls_strerror(error)[0] != 0, "no words"); \
    } while (0)
    BAD(p.desc.chain = NULL, RTPUSH_MBEDTLS_ERR_KEY);
    BAD(p.desc.key = NULL, RTPUSH_MBEDTLS_ERR_KEY);
    BAD(p.desc.slots = NULL, RTPUSH_MBEDTLS_ERR_MEMORY);
    BAD(p.desc.slot_count = 0, RTPUSH_MBEDTLS_ERR_MEMORY);
    BAD(p.desc.links = NULL, RTPUSH_MBEDTLS_ERR_MEMORY);
    BAD(p.desc.link_count = 0, RTPUSH_MBEDTLS_ERR_MEMORY);
    BAD(p.desc.f_rng = no_entropy, RTPUSH_MBEDTLS_ERR_ENTROPY);
    BAD(p.desc.give_way_ms = 1, RTPUSH_MBEDTLS_ERR_ATTACH); // there is a filter
#undef BAD
    p.desc = good;
    T_EQ(p.tls.desc.give_way_ms, 1000);
    T_EQ(p.tls.desc.ticket_s, 86400);
    T_EQ(p.tls.desc.max_handshakes, p.desc.slot_count);
    assert_string_equal(rtpush_mbedtls_strerror(RTPUSH_ERR_FULL), rtpush_strerror(RTPUSH_ERR_FULL));
    T_CHECK(strstr(rtpush_mbedtls_strerror(RTPUSH_MBEDTLS_ERR_ENTROPY), "random") != NULL,
            "it does not say why");
    p_finish(w);
}

// Without desc.f_rng PSA's generator.
static void psa_gives_random_bytes(U_STATE) {
    t_world *w = p_world();
    p.desc.f_rng = NULL;
    p_start(w);
    T_CHECK(p.tls.desc.f_rng == mbedtls_psa_get_random, "another one");
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    T_EQ(rtpush_mbedtls_get_counters(&p.tls)->handshakes, 1);
    p_hang_up(peer);
    p_finish(w);
}

// PSA's generator has no source, or one that ends later.
psa_status_t mbedtls_psa_crypto_configure_entropy_sources( // library/psa_crypto_invasive.h
    void (*entropy_init)(mbedtls_entropy_context *ctx),
    void (*entropy_free)(mbedtls_entropy_context *ctx));

static int source_ended;

static int source(void *ctx, unsigned char *out, size_t len, size_t *got) {
    *got = len;
    return source_ended ? MBEDTLS_ERR_ENTROPY_SOURCE_FAILED : p_entropy(ctx, out, len);
}

static void source_begin(mbedtls_entropy_context *ctx) {
    mbedtls_entropy_init(ctx);
    ctx->MBEDTLS_PRIVATE(source_count) = 0; // not the system's
    T_EQ(mbedtls_entropy_add_source(ctx, source, NULL, 32, MBEDTLS_ENTROPY_SOURCE_STRONG), 0);
}

static void init_without_entropy_says_so(U_STATE) {
    t_world *w = p_world();
    uint8_t some[16];
    mbedtls_psa_crypto_free();
    T_EQ(mbedtls_psa_crypto_configure_entropy_sources(source_begin, mbedtls_entropy_free),
         PSA_SUCCESS);
    t_start(w);
    source_ended = 1;
    T_EQ(p_filter_init(w), RTPUSH_MBEDTLS_ERR_ENTROPY); // it cannot begin
    source_ended = 0;
    T_EQ(mbedtls_psa_crypto_configure_entropy_sources(source_begin, mbedtls_entropy_free),
         PSA_SUCCESS);
    T_EQ(psa_crypto_init(), PSA_SUCCESS);
    source_ended = 1;
    for (int i = 0; i < MBEDTLS_CTR_DRBG_RESEED_INTERVAL; i++) {
        (void)psa_generate_random(some, sizeof some);
    }
    T_EQ(p_filter_init(w), RTPUSH_MBEDTLS_ERR_ENTROPY); // it cannot go on
    source_ended = 0;
    T_EQ(p_filter_init(w), RTPUSH_OK);
    mbedtls_psa_crypto_free(); // forgets the source
    T_EQ(psa_crypto_init(), PSA_SUCCESS);
    p_finish(w);
}

// -- ends of the library --------------------------------------------------------------------------

// RFC 8446 5.3, RFC 5246 6.1: sequence numbers do not wrap. With the last one the connection ends,
// and no second record is made with a number that was used.
static void connection_ends_with_the_last_sequence_number(U_STATE) {
    for (int i = 0; i < 2; i++) {
        p_version = versions[i];
        t_world *w = p_begin();
        p_peer *peer = p_connect(w);
        p_say(peer, "{WS /stream}");
        p_expect(peer, "HTTP/1.1 101 ");
        memset(p.slots[0].ssl.MBEDTLS_PRIVATE(cur_out_ctr), 0xff, 8);
        peer->deaf = 1; // it knows nothing of that number
        const size_t before = peer->c->out_total;
        T_EQ(t_publish_text(w, T_LOG, "one"), RTPUSH_OK);
        T_EQ(t_publish_text(w, T_LOG, "two"), RTPUSH_OK);
        t_run_ready(w);
        T_EQ(p.tls.pool.count.last_error, MBEDTLS_ERR_SSL_COUNTER_WRAPPING);
        const size_t sent = peer->c->out_total - before;
        const uint8_t *record = peer->c->out.data + peer->c->out.len - sent;
        T_CHECK(sent > 5 && (size_t)(record[3] << 8 | record[4]) == sent - 5, "not one record");
        T_CHECK(peer->c->fin, "no FIN");
        t_run(w);
        t_expect_events(w, "close TLS");
        p_hang_up(peer);
        p_finish(w);
    }
    p_version = 0;
}

// Messages of a handshake that mbedTLS refuses without an alert of its own. RFC 5246 7.2.2.
static uint8_t *message_in(t_buf *wire, uint8_t type) {
    for (size_t at = 0; at + 9 < wire->len;) {
        const size_t end = at + 5 + ((size_t)wire->data[at + 3] << 8 | wire->data[at + 4]);
        for (size_t m = at + 5; wire->data[at] == 22 && m + 4 <= end && end <= wire->len;) {
            if (wire->data[m] == type) {
                return wire->data + m + 4;
            }
            m += 4 + ((size_t)wire->data[m + 1] << 16 | (size_t)wire->data[m + 2] << 8 |
                      wire->data[m + 3]);
        }
        at = end;
    }
    t_fail_at(__FILE__, __LINE__, "no such message");
    return NULL;
}

static void broken_messages_of_a_handshake_get_their_alert(U_STATE) {
    enum { CLIENT_KEY_EXCHANGE = 16, CERTIFICATE_VERIFY = 15 };
    for (int i = 0; i < 2; i++) {
        t_world *w = p_world();
        p_ask_clients(&p_ca);
        p.days = P_DAYS_1970 + (uint32_t)(time(NULL) / 86400) + 1;
        p_start(w);
        p_peer *peer = p_dial(w);
        br_ssl_client_set_single_ec(&peer->ssl, p_client.id.chain, p_client.id.chain_len,
                                    br_skey_decoder_get_ec(&p_client.id.key), BR_KEYTYPE_SIGN,
                                    BR_KEYTYPE_EC, &br_ec_p256_m31, br_ecdsa_i31_sign_asn1);
        p_handshake(peer, 0);
        (void)p_write(peer);
        (void)p_put(peer);
        peer->writes = peer->written;
        p_run(peer);
        if (i == 0) {
            *message_in(&peer->wire, CLIENT_KEY_EXCHANGE) ^= 0x80; // the length of the point
        } else {
            *message_in(&peer->wire, CERTIFICATE_VERIFY) = 0x63; // no hash has this number
        }
        peer->writes = SIZE_MAX;
        p_run(peer);
        T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + (i == 0 ? 50 : 47));
        T_EQ(p.tls.pool.count.last_error,
             i == 0 ? MBEDTLS_ERR_SSL_DECODE_ERROR : MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER);
        T_CHECK(t_ended(peer->c), "the connection is still there");
        p_hang_up(peer);
        p_finish(w);
    }
}

// On this machine of 64 bits.
static void print_high_water(U_STATE) {
    for (int i = 0; i < 2; i++) {
        t_world *w = p_begin(); // BearSSL's client takes none of it
        const size_t before = p_heap.most = p_heap.used;
        p_peer *peer = p_connect(w);
        printf("heap of one connection: %lu bytes in the handshake, %lu then\n",
               (unsigned long)(p_heap.most - before), (unsigned long)(p_heap.used - before));
        p_hang_up(peer);
        p_finish(w);
    }
}

#define P_ONLY_TESTS \
    u_test(tickets_resume_sessions_of_both_versions), \
    u_test(other_tickets_shake_hands_in_full), \
    u_test(no_ticket_is_given_where_none_may_resume), \
    u_test(tls_1_3_is_what_both_choose), \
    u_test(after_close_notify_the_answer_still_comes), \
    u_test(init_without_memory_says_so_and_frees_all), \
    u_test(init_without_entropy_says_so), \
    u_test(connection_ends_with_the_last_sequence_number), \
    u_test(broken_messages_of_a_handshake_get_their_alert), \
    u_test(es256_takes_what_its_key_signed_and_nothing_else), \
    u_test(init_names_what_is_missing), \
    u_test(psa_gives_random_bytes), \
    u_test(print_high_water), \
    u_test(connection_without_memory_ends_alone), \
    u_test(connection_whose_allocation_fails_ends_alone)

// What a client that speaks TLS 1.3 sees of the tests of test_tls.c; those left out are about
// records of TLS 1.2, or need no handshake.
#define P_TLS_1_3_TESTS \
    u_test(tls_answers_a_request), \
    u_test(tells_the_application_that_it_is_secure), \
    u_test(handshake_and_request_pass_byte_by_byte), \
    u_test(records_of_every_size_arrive), \
    u_test(answers_of_every_size_arrive), \
    u_test(echo_survives_small_windows_and_late_acknowledgements), \
    u_test(refused_input_is_offered_again), \
    u_test(output_that_makes_room_names_the_connection), \
    u_test(slow_reader_is_told_of_the_gap_and_others_are_not_hurt), \
    u_test(reader_that_acknowledges_nothing_is_dropped_after_stall_ms), \
    u_test(record_that_lacks_a_byte_is_not_acknowledged), \
    u_test(one_acknowledgement_of_several_records_counts_for_all_of_them), \
    u_test(reader_that_acknowledges_late_is_not_dropped), \
    u_test(length_that_no_record_has_gets_record_overflow), \
    u_test(many_small_events_pass_through_a_small_buffer), \
    u_test(long_events_arrive_whole), \
    u_test(changed_record_gets_bad_record_mac), \
    u_test(changed_record_gets_its_alert_behind_the_record_under_way), \
    u_test(fatal_alert_of_the_client_is_not_answered), \
    u_test(close_notify_of_the_client_is_answered), \
    u_test(close_notify_during_a_record_is_answered_behind_it), \
    u_test(close_of_the_server_sends_close_notify_before_fin), \
    u_test(peer_that_ends_before_it_acknowledged_our_close_notify_gets_fin), \
    u_test(input_is_delivered_without_output), \
    u_test(fin_without_close_notify_is_a_truncation), \
    u_test(eof_comes_after_what_the_core_refused), \
    u_test(shutdown_sends_close_and_close_notify), \
    u_test(six_connections_of_a_browser_share_three_slots), \
    u_test(client_certificate_of_our_ca_is_accepted), \
    u_test(other_clients_are_refused), \
    u_test(handshake_and_request_pass_at_every_split), \
    u_test(handshake_cut_at_every_byte_leaves_all_free), \
    u_test(server_flight_stuck_at_every_byte_leaves_all_free), \
    u_test(connection_without_memory_ends_alone), \
    u_test(connection_whose_allocation_fails_ends_alone)

#endif
