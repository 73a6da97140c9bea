// What only ports/rtpush_mbedtls.h has: tickets, mbedTLS's memory, TLS 1.3. Included by test_tls.c.

#ifndef T_ONLY_MBEDTLS_H
#define T_ONLY_MBEDTLS_H

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
            p_ask_clients(NULL);
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

// The heap has so many bytes less than a connection needs. Whatever fails: this connection ends,
// nothing is lost, and with memory again the next one is served.
static size_t without_memory(size_t missing) {
    static const size_t most = 60000; // of what a connection takes
    void *rest[64];
    size_t count = 0;
    t_world *w = p_begin();
    const size_t used = p_heap_now();
    snprintf(t_where, sizeof t_where, "%lu bytes less", (unsigned long)missing);
    p_peer *peer = p_dial(w);
    for (size_t size = P_HEAP; size >= 64; size /= 2) { // all there is
        while (count < 63 && (rest[count] = mbedtls_calloc(1, size)) != NULL) {
            count++;
        }
    }
    mbedtls_free(rest[0]); // the largest, less what is missing
    rest[0] = mbedtls_calloc(1, P_HEAP / 2 - (missing < most ? most - missing : 0));
    p_handshake(peer, 0);
    p_say(peer, "{GET /hello}");
    const int served = peer->got.len > 0;
    T_CHECK(served || p.tls.pool.count.failed == 1, "neither served nor failed");
    T_CHECK(served || t_ended(peer->c), "the connection is still there");
    T_EQ(rtpush_get_counters(&w->srv)->requests, (uint32_t)served);
    p_hang_up(peer);
    for (size_t i = 0; i < count; i++) {
        mbedtls_free(rest[i]);
    }
    T_EQ(p_heap_now(), used);
    peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    p_hang_up(peer);
    p_finish(w);
    t_where[0] = 0;
    return (size_t)served;
}

static void connection_without_memory_ends_alone(U_STATE) {
    size_t served = 0;
    size_t refused = 0;
    for (size_t missing = 0; missing <= 60000; missing += 401) {
        const size_t good = without_memory(missing);
        served += good;
        refused += !good;
    }
    T_CHECK(served > 20 && refused > 20, "%lu served, %lu refused", (unsigned long)served,
            (unsigned long)refused);
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

// The static array of mbedtls_memory_buffer_alloc_init, on this machine of 64 bits.
static void print_high_water(U_STATE) {
    for (int i = 0; i < 2; i++) {
        size_t most = 0;
        size_t blocks = 0;
        t_world *w = p_begin(); // BearSSL's client takes none of it
        const size_t before = p_heap_now();
        mbedtls_memory_buffer_alloc_max_reset();
        p_peer *peer = p_connect(w);
        mbedtls_memory_buffer_alloc_max_get(&most, &blocks);
        printf("heap of one connection: %lu bytes in the handshake, %lu then\n",
               (unsigned long)(most - before), (unsigned long)(p_heap_now() - before));
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
    u_test(connection_without_memory_ends_alone), \
    u_test(es256_takes_what_its_key_signed_and_nothing_else), \
    u_test(init_names_what_is_missing), \
    u_test(psa_gives_random_bytes), \
    u_test(print_high_water)

// What a client that speaks TLS 1.3 sees of the tests of test_tls.c; those left out are about
// records of TLS 1.2, or need no handshake.
#define P_TLS_1_3_TESTS \
    u_test(tls_answers_a_request), \
    u_test(tells_the_application_that_it_is_secure), \
    u_test(handshake_and_request_pass_byte_by_byte), \
    u_test(handshake_and_request_pass_at_every_split), \
    u_test(records_of_every_size_arrive), \
    u_test(answers_of_every_size_arrive), \
    u_test(handshake_cut_at_every_byte_leaves_all_free), \
    u_test(server_flight_stuck_at_every_byte_leaves_all_free), \
    u_test(echo_survives_small_windows_and_late_acknowledgements), \
    u_test(refused_input_is_offered_again), \
    u_test(output_that_makes_room_names_the_connection), \
    u_test(slow_reader_is_told_of_the_gap_and_others_are_not_hurt), \
    u_test(reader_that_acknowledges_nothing_is_dropped_after_stall_ms), \
    u_test(one_acknowledgement_of_several_records_counts_for_all_of_them), \
    u_test(reader_that_acknowledges_late_is_not_dropped), \
    u_test(record_larger_than_the_buffer_gets_its_alert), \
    u_test(alert_waits_for_the_record_under_way), \
    u_test(many_small_events_pass_through_a_small_buffer), \
    u_test(changed_record_gets_bad_record_mac), \
    u_test(close_notify_of_the_client_is_answered), \
    u_test(close_of_the_server_sends_close_notify_before_fin), \
    u_test(peer_that_ends_before_it_acknowledged_our_close_notify_gets_fin), \
    u_test(input_is_delivered_without_output), \
    u_test(fin_without_close_notify_is_a_truncation), \
    u_test(eof_comes_after_what_the_core_refused), \
    u_test(shutdown_sends_close_and_close_notify), \
    u_test(six_connections_of_a_browser_share_three_slots), \
    u_test(client_certificate_of_our_ca_is_accepted), \
    u_test(other_clients_are_refused)

#endif
