// The TLS filter: handshakes, records, both directions under pressure, the pool, every kind of end.
#include "peer.h"
#define RTPUSH_ACCESS_IMPLEMENTATION
#include "../../ports/rtpush_access.h"

#include <time.h>

static uint32_t counted(t_world *w, int why) {
    return rtpush_get_counters(&w->srv)->reasons[why];
}

// -- handshakes -----------------------------------------------------------------------------------

static void tls_answers_a_request(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "HTTP/1.1 200 |hello");
    p_say(peer, "{GET /big}");
    T_CHECK(peer->got.len > sizeof t_big, "only %lu bytes", (unsigned long)peer->got.len);
    T_CHECK(memcmp(peer->got.data + peer->got.len - sizeof t_big, t_big, sizeof t_big) == 0,
            "the body differs");
    T_EQ(p.tls.pool.count.begun, 1);
    T_EQ(p.tls.pool.count.handshakes, 1);
    T_EQ(p.tls.pool.count.slots_used, 1);
    p_hang_up(peer);
    p_finish(w);
}

static void tells_the_application_that_it_is_secure(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    // Origin is compared with the scheme: https here, and http is foreign.
    p_say(peer, "GET /ws HTTP/1.1\r\n" T_WS_FIELDS "Origin: http://10.0.0.1\r\n\r\n");
    p_expect(peer, "HTTP/1.1 403 ");
    p_hang_up(peer);
    peer = p_connect(w);
    p_say(peer, "GET /ws HTTP/1.1\r\n" T_WS_FIELDS "Origin: https://10.0.0.1\r\n\r\n");
    p_expect(peer, "HTTP/1.1 101 ");
    p_hang_up(peer);
    p_finish(w);
}

static void try_suite(uint16_t suite, int curve, const p_identity *identity) {
    t_world *w = p_world();
    p_use(identity);
    p_start(w);
    p_peer *peer = p_dial(w);
    br_ec_impl both = br_ec_all_m31;
    both.supported_curves = (uint32_t)1 << curve;
    br_ssl_engine_set_suites(p_engine(peer), &suite, 1);
    br_ssl_engine_set_ec(p_engine(peer), &both);
    p_handshake(peer, 0);
    p_run(peer);
    T_CHECK(p_open(peer), "suite %04x, curve %d: error %d", suite, curve, p_error(peer));
    T_EQ(peer->ssl.eng.session.cipher_suite, suite);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    p_hang_up(peer);
    p_finish(w);
}

static void speaks_both_suites_over_both_curves_with_both_keys(U_STATE) {
    const int curves[] = {BR_EC_curve25519, BR_EC_secp256r1};
    for (int i = 0; i < 2; i++) {
        if (curves[i] == BR_EC_secp256r1) { // an ECDSA client must know P-256 for the certificate
            try_suite(BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, curves[i], &p_ec);
            try_suite(BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, curves[i], &p_ec);
        }
        try_suite(BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, curves[i], &p_rsa);
        try_suite(BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, curves[i], &p_rsa);
    }
}

// PROTOCOL in rtpush_tls.h: of what both speak, the server's first. RFC 5246 7.4.1.3.
static void server_chooses_the_suite(U_STATE) {
    static const uint16_t suites[] = {BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                      BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256};
    t_world *w = p_begin();
    p_peer *peer = p_dial(w);
    br_ssl_engine_set_suites(p_engine(peer), suites, 2);
    p_handshake(peer, 0);
    p_run(peer);
    T_CHECK(p_open(peer), "error %d", p_error(peer));
    T_EQ(peer->ssl.eng.session.cipher_suite, suites[1]);
    p_hang_up(peer);
    p_finish(w);
}

// What must not be spoken, one by one: static key exchange, CBC, CCM, AES-256.
static void refuses_every_other_suite_with_handshake_failure(U_STATE) {
    const uint16_t suites[] = {BR_TLS_RSA_WITH_AES_128_GCM_SHA256,
                               BR_TLS_RSA_WITH_AES_128_CBC_SHA,
                               BR_TLS_RSA_WITH_3DES_EDE_CBC_SHA,
                               BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
                               BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
                               BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
                               BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
                               BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                               BR_TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256};
    for (int key = 0; key < 2; key++) {
        t_world *w = p_world();
        p_use(key ? &p_rsa : &p_ec);
        p_start(w);
        for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
            p_peer *peer = p_dial(w);
            br_ssl_engine_set_suites(p_engine(peer), &suites[i], 1);
            p_handshake(peer, 0);
            p_run(peer);
            T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 40);
            T_EQ(peer->c->out_total, 7); // one alert, once: RFC 5246 7.2.2
            T_CHECK(t_ended(peer->c), "the connection is still there");
            p_hang_up(peer);
        }
        t_run(w);
        T_EQ(counted(w, RTPUSH_REASON_TLS), sizeof suites / sizeof suites[0]);
        p_finish(w);
    }
}

// RFC 5246 7.2.2: protocol_version. The record's version is one the old client can read.
static void refuses_old_versions_with_protocol_version(U_STATE) {
    for (unsigned version = BR_TLS10; version <= BR_TLS11; version++) {
        t_world *w = p_begin();
        p_peer *peer = p_dial(w);
        br_ssl_engine_set_versions(p_engine(peer), version, version);
        p_handshake(peer, 0);
        p_run(peer);
        T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 70);
        T_CHECK(t_ended(peer->c), "the connection is still there");
        p_hang_up(peer);
        p_finish(w);
    }
}

// Hellos by hand: SSL 3.0 in a record of TLS, SSL 2.0, a version of its own, a record too large.
static void refuses_old_and_strange_hellos(U_STATE) {
    static const struct {
        const char *hello;
        const char *answer;
        int why;
    } table[] = {
        {"{hex 160300002f0100002b0300}{rep 32 r}{hex 000004c02b00ff0100}", "{hex 15}",
         RTPUSH_REASON_TLS},
        {"{hex 802e010002001500000010010080020080}{rep 40 r}", "HTTP/1.1 400 ",
         RTPUSH_REASON_SYNTAX},
        {"{hex 1609090005}hello", "{hex 15}", RTPUSH_REASON_TLS},
        {"{hex 1603017fff}hello", P_TOO_LONG, RTPUSH_REASON_TLS},
        {"{hex 160301000405000000}", "{hex 15}", RTPUSH_REASON_TLS},
        {"{hex 16030100024300}", "", RTPUSH_REASON_TLS},
    };
    for (size_t i = 0; i + 1 < sizeof table / sizeof table[0]; i++) {
        t_world *w = p_begin();
        snprintf(t_where, sizeof t_where, "hello %lu", (unsigned long)i);
        t_conn *c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1);
        t_say(c, table[i].hello);
        T_CHECK(t_ended(c), "the connection is still there");
        t_expect(c, table[i].answer);
        t_advance(w, 10000);
        T_EQ(counted(w, table[i].why), 1);
        t_forget(c);
        p_finish(w);
    }
    t_where[0] = 0;
}

// RFC 5246 7.4.9: Finished is over all messages as each side saw them. An attacker who takes a
// suite from the client's hello is told by decrypt_error.
static void hello_changed_on_the_way_gets_decrypt_error(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_dial(w);
    peer->writes = 0;
    p_handshake(peer, 0);
    (void)p_write(peer);
    T_CHECK(peer->wire.len > 46 && peer->wire.data[43] == 0, "not the hello of a new session");
    const size_t suites = (size_t)peer->wire.data[44] << 8 | peer->wire.data[45];
    peer->wire.data[46 + suites - 1] ^= 0x80; // the last of them
    peer->writes = SIZE_MAX;
    p_run(peer);
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 51);
    T_EQ(p.tls.pool.count.last_error, P_ERR_BAD_FINISHED);
    T_EQ(p.tls.pool.count.handshakes, 0);
    T_CHECK(t_ended(peer->c), "the connection is still there");
    p_hang_up(peer);
    p_finish(w);
}

// RFC 7301 3.2: no_application_protocol.
static void chooses_http_1_1_and_refuses_other_protocols(U_STATE) {
    const char *both[] = {"h2", "http/1.1"};
    const char *other[] = {"h2"};
    t_world *w = p_begin();
    p_peer *peer = p_dial(w);
    br_ssl_engine_set_protocol_names(p_engine(peer), both, 2);
    p_handshake(peer, 0);
    p_run(peer);
    T_CHECK(p_open(peer), "error %d", p_error(peer));
    assert_string_equal(br_ssl_engine_get_selected_protocol(p_engine(peer)), "http/1.1");
    p_hang_up(peer);
    peer = p_dial(w);
    br_ssl_engine_set_protocol_names(p_engine(peer), other, 1);
    p_handshake(peer, 0);
    p_run(peer);
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 120);
    T_EQ(peer->c->out_total, 7);
    p_hang_up(peer);
    p_finish(w);
}

// RFC 7918: a request behind the client's Finished, before it has seen ours.
static void request_may_come_before_our_finished(U_STATE) {
    for (int small = 0; small < 2; small++) {
        for (size_t window = 0; window < 900; window += 45) {
            t_world *w = p_world();
            if (small) {
                p_small();
                w->in_mode = T_RANDOM;
            }
            p_start(w);
            p_peer *peer = p_dial(w);
            p_false_start(peer, "{GET /hello}");
            peer->c->window = window; // for CCS, Finished and the answer
            p_run(peer);
            peer->c->window = SIZE_MAX;
            p_run(peer);
            T_EQ(p.tls.pool.count.failed, 0);
            p_expect(peer, "HTTP/1.1 200 |hello");
            p_hang_up(peer);
            p_finish(w);
        }
    }
}

// -- bytes ----------------------------------------------------------------------------------------

static void handshake_and_request_pass_byte_by_byte(U_STATE) {
    t_world *w = p_begin();
    w->in_mode = T_BYTES;
    w->bite = 1;
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "HTTP/1.1 200 |hello");
    p_hang_up(peer);
    p_finish(w);
}

static void handshake_and_request_pass_at_every_split(U_STATE) {
    size_t total = 1;
    for (size_t at = 0; at < total; at += 3) { // one in three of some 700: the others run as seeds
        t_world *w = p_begin();
        snprintf(t_where, sizeof t_where, "split at %lu", (unsigned long)at);
        w->in_mode = T_SPLIT;
        w->split_at = at;
        p_peer *peer = p_connect(w);
        p_say(peer, "{GET /hello}");
        p_expect(peer, "HTTP/1.1 200 |hello");
        total = peer->c->in_total;
        p_hang_up(peer);
        p_finish(w);
    }
    t_where[0] = 0;
}

// An upload in records of n bytes each, and its sum in the answer.
static void upload(t_world *w, p_peer *peer, size_t total, size_t record) {
    char text[128];
    uint32_t sum = 0;
    snprintf(text, sizeof text, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: %lu\r\n\r\n",
             (unsigned long)total);
    peer->record = 0;
    p_say(peer, text);
    peer->record = record;
    for (size_t i = 0; i < total; i++) {
        uint8_t byte = (uint8_t)(i * 7 + i / 251);
        sum = sum * 31 + byte;
        t_put(&peer->want, &byte, 1);
    }
    p_run(peer);
    for (int i = 0; i < 40 && peer->want.len > 0; i++) { // tokens, LATER
        t_advance(w, 250);
        p_run(peer);
    }
    snprintf(text, sizeof text, "%lu %08lx", (unsigned long)total, (unsigned long)sum);
    p_expect(peer, text);
}

static void records_of_every_size_arrive(U_STATE) {
    t_world *w = p_world();
    w->desc.rate_bytes = w->desc.rate_messages = RTPUSH_UNLIMITED;
    p_start(w);
    p_peer *peer = p_connect(w);
    for (size_t size = 1; size <= P_MOST_IN; size += size < 600 ? 1 : size < 15000 ? 997 : 128) {
        snprintf(t_where, sizeof t_where, "records of %lu", (unsigned long)size);
        upload(w, peer, size < 16 ? 40 : size * 2 + 3, size);
    }
    t_where[0] = 0;
    p_hang_up(peer);
    p_finish(w);
}

static void answers_of_every_size_arrive(U_STATE) {
    for (int small = 0; small < 2; small++) {
        t_world *w = p_world();
        w->desc.rate_messages = RTPUSH_UNLIMITED;
        if (small) {
            p_small();
        }
        p_start(w);
        p_peer *peer = p_connect(w);
        for (uint32_t size = 0; size < 40000; size += size < 700 ? 1 : 1931) {
            t_app_of(w)->pull_size = size;
            p_say(peer, "{GET /pull}");
            T_CHECK(strstr(t_text(&peer->got), "\r\n0\r\n\r\n") != NULL, "no end, size %lu",
                    (unsigned long)size);
            t_eat(&peer->got, peer->got.len);
        }
        p_hang_up(peer);
        p_finish(w);
    }
}

// -- cut ------------------------------------------------------------------------------------------

enum { CUT_RESET, CUT_FIN, CUT_SILENCE, CUTS };

// A client that stops after `at` bytes. Afterwards everything is free.
static size_t cut_client(size_t at, int how) {
    t_world *w = p_begin();
    snprintf(t_where, sizeof t_where, "cut after %lu bytes, kind %d", (unsigned long)at, how);
    p_peer *peer = p_dial(w);
    peer->writes = at;
    p_handshake(peer, 0);
    p_say(peer, "{GET /hello}");
    size_t whole = peer->written + peer->wire.len;
    if (how == CUT_RESET) {
        t_cut(peer->c);
    } else if (how == CUT_FIN) {
        t_eof(peer->c);
        p_run(peer);
    }
    t_advance(w, 20000); // idle_ms or, behind a request, idle_ms again
    p_run(peer);
    t_advance(w, 20000);
    T_CHECK(peer->c->conn == NULL, "the connection is still there");
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
    T_EQ(p.tls.pool.count.slots_used, 0);
    p_hang_up(peer);
    p_finish(w);
    return whole;
}

static void handshake_cut_at_every_byte_leaves_all_free(U_STATE) {
    for (int how = 0; how < CUTS; how++) {
        for (size_t at = 0; at <= cut_client(at, how); at += P_STEP) {
        }
    }
    t_where[0] = 0;
}

// A client that takes no more than `at` bytes: the transport is full from there on.
static void server_flight_stuck_at_every_byte_leaves_all_free(U_STATE) {
    size_t total = 1;
    for (size_t at = 0; at < total; at += 2) {
        t_world *w = p_begin();
        snprintf(t_where, sizeof t_where, "stuck after %lu bytes", (unsigned long)at);
        p_peer *peer = p_dial(w);
        peer->c->window = at;
        p_handshake(peer, 0);
        p_say(peer, "{GET /hello}");
        if (p_open(peer) && peer->got.len > 0) {
            total = 0; // all of it arrived
        } else {
            total = at + 3;
        }
        t_advance(w, 60000); // idle_ms, or stall_ms if there was an answer
        if (total > 0) {
            T_CHECK(peer->c->conn == NULL, "the connection is still there");
        }
        p_hang_up(peer);
        p_finish(w);
    }
    t_where[0] = 0;
}

// -- back-pressure --------------------------------------------------------------------------------

static void echo_survives_small_windows_and_late_acknowledgements(U_STATE) {
    for (int small = 0; small < 2; small++) {
        t_world *w = p_world();
        w->desc.rate_bytes = w->desc.rate_messages = RTPUSH_UNLIMITED;
        if (small) {
            p_small();
        }
        p_start(w);
        p_peer *peer = p_connect(w);
        peer->record = 300;
        p_say(peer, "{WS /ws}");
        p_expect(peer, "HTTP/1.1 101 ");
        peer->c->hold_acks = 1;
        peer->c->window = 0;
        t_app_of(w)->later = 3;
        for (int i = 0; i < 200; i++) { // both sides are full of them
            t_expand(&peer->want, "{82*250}");
        }
        p_run(peer);
        T_CHECK(peer->want.len + peer->wire.len + peer->c->in.len > 0, "all was taken");
        for (int i = 0; i < 20000 && peer->got.len < 200 * 254; i++) {
            peer->c->window = 1 + (size_t)(i % 90);
            p_run(peer);
            t_ack(peer->c, 1 + (size_t)(i % 120));
            if (i % 50 == 0) {
                t_advance(w, 250);
            }
        }
        T_EQ(peer->got.len, 200 * 254);
        p_hang_up(peer);
        p_finish(w);
    }
}

// RFC 5246 7.2.1: data behind close_notify is ignored. What the engine does not take before its own
// close_notify is sent stays with the port, which asks for output until the end and behind it.
static void what_follows_close_notify_is_ignored(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    peer->c->manual_close = 1;
    p_bye(peer);
    (void)p_write(peer);
    t_expand(&peer->wire, "{rep 600 x}");
    peer->c->window = 0;
    (void)p_put(peer);
    (void)t_offer(peer->c);
    T_CHECK(peer->c->in.len > 0 && peer->c->refused, "the port holds nothing");
    peer->c->window = SIZE_MAX;
    while (t_push(peer->c)) {
    }
    T_CHECK(peer->c->fin && peer->c->conn != NULL, "no FIN");
    T_EQ(t_push(peer->c), 0);
    T_EQ(p.tls.pool.count.slots_used, 0);
    t_run(w);
    T_EQ(counted(w, RTPUSH_REASON_TLS), 0);
    while (p_read(peer)) {
    }
    T_CHECK(p_closed(peer) && p_error(peer) == BR_ERR_OK, "no close_notify");
    p_hang_up(peer);
    p_finish(w);
}

// The core refuses, the engine is full, the port holds the rest: it comes again by itself.
static void refused_input_is_offered_again(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{WS /ws}");
    p_expect(peer, "HTTP/1.1 101 ");
    t_app_of(w)->no_echo = 1; // nothing is sent that could wake the port
    t_app_of(w)->later = 1000;
    peer->record = 20;
    for (int i = 0; i < 40; i++) {
        t_expand(&peer->want, "{81:some message}");
    }
    p_run(peer);
    T_CHECK(peer->c->in.len > 0, "the port holds nothing");
    t_app_of(w)->later = 1;
    for (int i = 0; i < 8; i++) {
        t_advance(w, 250);
    }
    T_EQ(peer->c->in.len, 0);
    T_EQ(rtpush_get_counters(&w->srv)->messages_in, 40);
    p_hang_up(peer);
    p_finish(w);
}

// A port that asks only for output: what that made room for is named, and offered, at once.
static void output_that_makes_room_names_the_connection(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{WS /ws}");
    t_app_of(w)->no_echo = 1;
    t_app_of(w)->later = 1000;
    for (int i = 0; i < 40; i++) {
        peer->record = 20;
        t_expand(&peer->want, "{81:some message}");
    }
    p_run(peer);
    T_CHECK(peer->c->in.len > 0 && peer->c->refused, "the port holds nothing");
    t_app_of(w)->later = 0;
    t_push(peer->c);
    t_run_ready(w);
    T_EQ(peer->c->in.len, 0);
    T_EQ(rtpush_get_counters(&w->srv)->messages_in, 40);
    p_hang_up(peer);
    p_finish(w);
}

static void slow_reader_is_told_of_the_gap_and_others_are_not_hurt(U_STATE) {
    t_world *w = p_world();
    w->desc.log_size = 4096;
    p_start(w);
    p_peer *slow = p_connect(w);
    p_peer *quick = p_connect(w);
    p_say(slow, "{GET /events?topics=log}");
    p_say(quick, "{GET /events?topics=log}");
    slow->c->window = 0;
    char text[128];
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "event %d %060d", i, i);
        T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
        p_run(quick);
        if (i % 100 == 0) {
            t_advance(w, 250);
        }
    }
    p_expect(quick, "event 0 |event 1 |event 1000 |event 1999 |!gap");
    T_CHECK(slow->c->conn != NULL, "the slow reader was dropped, not told");
    slow->c->window = SIZE_MAX;
    p_run(slow);
    p_expect(slow, "event 0 |gap |event 1999 ");
    p_hang_up(slow);
    p_hang_up(quick);
    p_finish(w);
}

static void reader_that_acknowledges_nothing_is_dropped_after_stall_ms(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /events?topics=log}");
    peer->c->hold_acks = 1;
    T_EQ(t_publish_text(w, T_LOG, "one"), RTPUSH_OK);
    p_run(peer);
    t_advance(w, 15000);
    T_CHECK(peer->c->conn != NULL, "dropped too early");
    t_advance(w, 10000);
    T_EQ(peer->c->dropped, 1);
    T_EQ(counted(w, RTPUSH_REASON_STALLED), 1);
    p_hang_up(peer);
    p_finish(w);
}

// An alert that the peer does not read is sent before all bytes of the core. That is a stall like
// any other: an answer, or a stream with keep-alives only, must not wait for it for ever.
static void alert_that_nobody_reads_does_not_keep_the_connection(U_STATE) {
    static const char *const texts[] = {"{GET /hello}", "{GET /events?topics=log}"};
    for (int i = 0; i < 2; i++) {
        t_world *w = p_begin();
        p_peer *peer = p_connect(w);
        if (i == 1) {
            p_say(peer, texts[i]);
        }
        peer->c->window = 0;
        if (i == 0) {
            t_expand(&peer->want, texts[i]);
            p_fill(peer);
            p_write(peer);
        }
        p_bye(peer);
        p_write(peer);
        p_put(peer);
        t_run(w);
        T_CHECK(peer->c->conn != NULL, "dropped at once");
        t_advance(w, 60000);
        T_CHECK(peer->c->conn == NULL, "%s: still there", texts[i]);
        T_EQ(counted(w, RTPUSH_REASON_STALLED), 1);
        p_hang_up(peer);
        p_finish(w);
    }
}

// What the core counts as on its way falls with the last byte of the ciphertext that carries it.
static void plaintext_counts_as_acknowledged_with_the_last_byte_of_its_record(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /events?topics=log}");
    peer->c->hold_acks = 1;
    T_EQ(t_publish_text(w, T_LOG, "one"), RTPUSH_OK);
    p_run(peer);
    const uint32_t one = peer->c->conn->unacked;
    T_CHECK(one > 0, "acknowledged already");
    T_EQ(t_publish_text(w, T_LOG, "two, and longer"), RTPUSH_OK);
    p_run(peer);
    const uint32_t both = peer->c->conn->unacked;
    T_CHECK(both > one, "nothing more is on its way");
    t_ack(peer->c, one + 20); // 21 bytes of ciphertext more than of plaintext: all but one
    T_EQ(peer->c->conn->unacked, both);
    t_ack(peer->c, 1);
    T_EQ(peer->c->conn->unacked, both - one);
    t_ack(peer->c, peer->c->unacked - 1);
    T_EQ(peer->c->conn->unacked, both - one);
    t_ack(peer->c, 1);
    T_EQ(peer->c->conn->unacked, 0);
    p_hang_up(peer);
    p_finish(w);
}

// The transport took all of a record but its last byte, and that much was acknowledged.
static void record_that_lacks_a_byte_is_not_acknowledged(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /events?topics=log}");
    const size_t before = peer->c->out_total;
    T_EQ(t_publish_text(w, T_LOG, "one"), RTPUSH_OK);
    p_run(peer);
    const size_t len = peer->c->out_total - before; // of a record that is as long
    T_EQ(peer->c->conn->unacked, 0);
    peer->c->hold_acks = 1;
    peer->c->window = len - 1;
    T_EQ(t_publish_text(w, T_LOG, "two"), RTPUSH_OK);
    p_run(peer);
    T_EQ(peer->c->unacked, len - 1);
    const uint32_t plain = peer->c->conn->unacked;
    T_CHECK(plain > 0, "nothing is on its way");
    t_ack(peer->c, len - 1);
    T_EQ(peer->c->conn->unacked, plain);
    peer->c->window = SIZE_MAX;
    p_run(peer);
    T_EQ(peer->c->unacked, 1);
    T_EQ(peer->c->conn->unacked, plain);
    t_ack(peer->c, 1);
    T_EQ(peer->c->conn->unacked, 0);
    p_expect(peer, "data: one|data: two");
    p_hang_up(peer);
    p_finish(w);
}

// A TCP acknowledgement is for all that came before it.
static void one_acknowledgement_of_several_records_counts_for_all_of_them(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /events?topics=log}");
    for (int i = 0; i < 3; i++) {
        peer->c->hold_acks = 1;
        T_EQ(t_publish_text(w, T_LOG, "one"), RTPUSH_OK);
        p_run(peer);
        T_EQ(t_publish_text(w, T_LOG, "two"), RTPUSH_OK);
        p_run(peer);
        T_CHECK(peer->c->conn->unacked > 0, "acknowledged already");
        t_ack(peer->c, peer->c->unacked);
        T_EQ(peer->c->conn->unacked, 0);
    }
    p_hang_up(peer);
    p_finish(w);
}

static void reader_that_acknowledges_late_is_not_dropped(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /events?topics=log}");
    peer->c->hold_acks = 1;
    for (int i = 0; i < 100; i++) { // never all of it, but again and again some
        T_EQ(t_publish_text(w, T_LOG, "one more"), RTPUSH_OK);
        p_run(peer);
        t_advance(w, 5000);
        t_ack(peer->c, peer->c->unacked / 2);
    }
    T_CHECK(peer->c->conn != NULL, "dropped though it acknowledged");
    p_hang_up(peer);
    p_finish(w);
}

// -- what breaks ----------------------------------------------------------------------------------

// RFC 5246 6.2.1: record_overflow. Nothing of the record reached the core.
static void record_larger_than_the_buffer_gets_its_alert(U_STATE) {
    if (P_TOO_MUCH > 16384) {
        return; // there is no such record
    }
    t_world *w = p_world();
    p_small();
    p_start(w);
    p_peer *peer = p_connect(w);
    upload(w, peer, 3000, P_SMALL_IN); // what fits exactly
    p_say(peer, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 3000\r\n\r\n");
    const uint32_t before = rtpush_get_counters(&w->srv)->bytes_in;
    peer->record = P_TOO_MUCH;
    t_expand(&peer->want, "{rep 3000 x}");
    p_run(peer);
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 22);
    T_EQ(rtpush_get_counters(&w->srv)->bytes_in, before);
    T_CHECK(t_ended(peer->c), "the connection is still there");
    t_run(w);
    T_EQ(counted(w, RTPUSH_REASON_TLS), 1);
    T_EQ(p.tls.pool.count.last_error, P_ERR_TOO_LARGE);
    p_hang_up(peer);
    p_finish(w);
}

// RFC 8446 5.2: no record is longer than 2^14 + 256 bytes, or in TLS 1.2 2^14 + 2048.
static void length_that_no_record_has_gets_record_overflow(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    peer->writes = peer->written;
    p_say(peer, "{GET /hello}");
    peer->wire.data[3] = 0x7f;
    peer->writes = SIZE_MAX;
    p_run(peer);
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 22);
    T_EQ(p.tls.pool.count.last_error, P_ERR_BAD_LENGTH);
    T_EQ(rtpush_get_counters(&w->srv)->requests, 0);
    T_CHECK(t_ended(peer->c), "the connection is still there");
    p_hang_up(peer);
    p_finish(w);
}

// The alert must not stand in the middle of a record that is being sent.
static void alert_waits_for_the_record_under_way(U_STATE) {
    if (P_TOO_MUCH > 16384) {
        return;
    }
    for (size_t window = 0; window < 700; window += 7) {
        t_world *w = p_world();
        p_small();
        p_start(w);
        p_peer *peer = p_connect(w);
        p_say(peer, "{WS /stream}");
        peer->c->window = window;
        t_expand(&peer->want, "{89*100}"); // a ping, so that there is something to send
        p_run(peer);
        T_EQ(t_publish_text(w, T_LOG, "a message of some length to be on its way to the client"),
             RTPUSH_OK);
        p_run(peer);
        t_expand(&peer->want, "{82*2000}");
        p_run(peer);
        peer->c->window = SIZE_MAX;
        p_run(peer);
        T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 22);
        T_CHECK(peer->c->fin, "no FIN behind the alert");
        p_hang_up(peer);
        p_finish(w);
    }
}

// The remaining bytes of the core are discarded, and the end does not wait for them.
static void what_is_queued_behind_an_alert_is_discarded(U_STATE) {
    t_world *w = p_world();
    p_small();
    w->desc.rate_bytes = w->desc.rate_messages = RTPUSH_UNLIMITED;
    p_start(w);
    p_peer *peer = p_connect(w);
    p_say(peer, "{WS /ws}");
    p_expect(peer, "HTTP/1.1 101 ");
    peer->c->window = 0;
    for (int i = 0; i < 20; i++) { // more than the engine takes
        static const uint8_t data[100];
        const int sent = rtpush_send(&w->srv, peer->c->handle, RTPUSH_BINARY_MESSAGE, data, 100);
        T_CHECK(sent == RTPUSH_OK || sent == RTPUSH_ERR_WOULD_BLOCK, "send says %d", sent);
        (void)t_push(peer->c);
    }
    peer->ssl.eng.record_type_out = 24; // heartbeat
    t_expand(&peer->want, "{82*10}");
    p_run(peer);
    T_EQ(p.tls.pool.count.last_error, P_ERR_UNEXPECTED);
    peer->c->window = SIZE_MAX;
    p_run(peer);
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 10);
    T_CHECK(peer->got.len < 6 * 102, "more than the engine had");
    T_CHECK(peer->c->fin, "no FIN");
    t_run(w);
    t_expect_events(w, "close TLS");
    p_hang_up(peer);
    p_finish(w);
}

// The engine has room for less than there is to say, in many pieces: nothing is lost between.
static void many_small_events_pass_through_a_small_buffer(U_STATE) {
    t_world *w = p_world();
    char text[80];
    p_small();
    w->max_spans = 16;
    p_start(w);
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /events?topics=log}");
    p_expect(peer, "HTTP/1.1 200 ");
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "event %d of forty, %0*d", i, 1 + i * 7 % 40, 0);
        T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
    }
    p_run(peer);
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "data: event %d of forty, %0*d\n\n", i, 1 + i * 7 % 40, 0);
        const char *at = strstr(t_text(&peer->got), text);
        T_CHECK(at != NULL, "event %d is not there", i);
        t_eat(&peer->got, (size_t)(at - t_text(&peer->got)) + strlen(text));
    }
    p_hang_up(peer);
    p_finish(w);
}

// Data of an event that is longer than what is put together with its neighbours.
static void long_events_arrive_whole(U_STATE) {
    for (int size = 400; size < 2000; size += 90) {
        static char text[2048];
        t_world *w = p_world();
        w->desc.log_size = 16384;
        p_start(w);
        p_peer *peer = p_connect(w);
        p_say(peer, "{GET /events?topics=log}");
        p_expect(peer, "HTTP/1.1 200 ");
        for (int i = 0; i < 2; i++) {
            snprintf(text, sizeof text, "%0*d", size, i);
            T_EQ(t_publish_text(w, T_LOG, text), RTPUSH_OK);
        }
        p_run(peer);
        for (int i = 0; i < 2; i++) {
            snprintf(text, sizeof text, "data: %0*d\n\n", size, i);
            T_CHECK(strstr(t_text(&peer->got), text) != NULL, "%d bytes differ", size);
        }
        p_hang_up(peer);
        p_finish(w);
    }
}

static void empty_input_has_no_effect(U_STATE) {
    t_world *w = p_begin();
    t_conn *c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1);
    t_conn *plain = t_connect(w);
    T_EQ(rtpush_input(&w->srv, c->conn, "", 0), 0);
    T_EQ(rtpush_input(&w->srv, plain->conn, "", 0), 0);
    T_EQ(p.tls.pool.count.slots_used, 0);
    T_CHECK(p.tls.pool.wait_first == NULL, "it asks for a slot");
    t_forget(c);
    t_forget(plain);
    p_finish(w);
}

// RFC 5246 7.2.2: bad_record_mac, wherever the bit is wrong.
static void changed_record_gets_bad_record_mac(U_STATE) {
    for (unsigned at = 5; at < 60; at += 6) {
        t_world *w = p_begin();
        p_peer *peer = p_connect(w);
        peer->writes = peer->written;
        p_say(peer, "{GET /hello}");
        peer->wire.data[at] ^= 1;
        peer->writes = SIZE_MAX;
        p_run(peer);
        T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 20);
        T_EQ(rtpush_get_counters(&w->srv)->requests, 0);
        p_hang_up(peer);
        p_finish(w);
    }
}

// A record with one bit changed on its way.
static void say_changed(p_peer *peer) {
    peer->writes = peer->written;
    t_expand(&peer->want, "{81:hello}");
    p_run(peer);
    peer->wire.data[9] ^= 1;
    peer->writes = SIZE_MAX;
    p_run(peer);
    T_EQ(p.tls.pool.count.failed, 1);
}

// A WebSocket, of whose record so many bytes have gone.
static p_peer *within_a_record(t_world *w, size_t window) {
    p_peer *peer = p_connect(w);
    p_say(peer, "{WS /stream}");
    p_expect(peer, "HTTP/1.1 101 ");
    peer->c->window = window;
    T_EQ(t_publish_text(w, T_LOG, "on its way"), RTPUSH_OK);
    t_run_ready(w);
    return peer;
}

// ... and while a record of the server is under way: the alert follows its last byte.
static void changed_record_gets_its_alert_behind_the_record_under_way(U_STATE) {
    for (size_t window = 1; window < 9; window += 2) {
        t_world *w = p_begin();
        p_peer *peer = within_a_record(w, window);
        say_changed(peer);
        T_EQ(p_error(peer), 0);
        peer->c->window = SIZE_MAX;
        p_run(peer);
        p_expect(peer, "on its way");
        T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 20);
        T_CHECK(peer->c->fin, "no FIN behind the alert");
        T_EQ(rtpush_get_counters(&w->srv)->messages_in, 0);
        t_run(w);
        T_EQ(counted(w, RTPUSH_REASON_TLS), 1);
        p_hang_up(peer);
        p_finish(w);
    }
}

// ... and behind flights that are not acknowledged: what they carried is lost, and not on its way.
static void changed_record_gets_its_alert_behind_what_is_not_acknowledged(U_STATE) {
    for (int flights = 1; flights < 4; flights++) {
        t_world *w = p_begin();
        p_peer *peer = p_connect(w);
        p_say(peer, "{WS /stream}");
        p_expect(peer, "HTTP/1.1 101 ");
        peer->c->hold_acks = 1;
        for (int i = 0; i < flights; i++) {
            T_EQ(t_publish_text(w, T_LOG, "on its way"), RTPUSH_OK);
            p_run(peer);
        }
        T_CHECK(peer->c->conn->unacked > 0, "acknowledged already");
        say_changed(peer);
        T_EQ(peer->c->conn->unacked, 0);
        T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 20);
        T_CHECK(!peer->c->fin, "FIN before the acknowledgement");
        t_ack(peer->c, peer->c->unacked);
        p_run(peer);
        T_CHECK(peer->c->fin, "no FIN behind the alert");
        p_hang_up(peer);
        p_finish(w);
    }
}

// RFC 8446 6.2, RFC 5246 7.2.2: a fatal alert ends the connection, and is not answered.
static void fatal_alert_of_the_client_is_not_answered(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    const size_t before = peer->c->out_total;
    p_alert(peer);
    p_run(peer);
    T_EQ(peer->c->out_total, before);
    T_CHECK(t_ended(peer->c), "the connection is still there");
    t_run(w);
    T_EQ(counted(w, RTPUSH_REASON_TLS), 1);
    T_EQ(p.tls.pool.count.failed, 1);
    T_EQ(p.tls.pool.count.last_error, P_ERR_INTERNAL_ALERT);
    p_hang_up(peer);
    p_finish(w);
}

// RFC 5246 7.2.2: no_renegotiation is a warning; the connection goes on.
static void renegotiation_is_refused_and_the_connection_goes_on(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    peer->writes = peer->written;
    T_CHECK(br_ssl_engine_renegotiate(p_engine(peer)), "the client does not renegotiate");
    peer->writes = SIZE_MAX;
    p_run(peer);
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 100); // BearSSL's client takes it as the end
    T_CHECK(peer->c->conn != NULL && !t_ended(peer->c), "the server ended the connection");
    T_EQ(p.tls.pool.count.handshakes, 1);
    T_EQ(p.tls.pool.count.failed, 0);
    p_hang_up(peer);
    p_finish(w);
}

// A part of a hello, and later the rest: what is to be said is said in between and afterwards.
static void incomplete_renegotiation_delays_nothing(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /events?topics=log}");
    p_expect(peer, "HTTP/1.1 200 ");
    peer->ssl.eng.record_type_out = 22; // handshake
    p_say(peer, "{hex 010000060303}");
    T_EQ(t_publish_text(w, T_LOG, "in between"), RTPUSH_OK);
    p_run(peer);
    p_expect(peer, "in between");
    p_say(peer, "{hex 00000000}");
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 100); // no_renegotiation, the client's end
    T_EQ(t_publish_text(w, T_LOG, "afterwards"), RTPUSH_OK);
    t_run(w);
    T_EQ(rtpush_get_counters(&w->srv)->delivered, 2);
    T_EQ(p.tls.pool.count.failed, 0);
    p_hang_up(peer);
    p_finish(w);
}

static void other_records_after_the_handshake_get_unexpected_message(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    peer->ssl.eng.record_type_out = 24; // heartbeat
    p_say(peer, "{GET /hello}");
    T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 10);
    T_CHECK(t_ended(peer->c), "the connection is still there");
    p_hang_up(peer);
    p_finish(w);
}

// A user who opens the TLS port by http must get an explanation.
static void http_to_the_tls_port_is_answered_400(U_STATE) {
    t_world *w = p_begin();
    const char *const texts[] = {"{GET /}", "{WS /ws}", "G", "\r\n", "{hex 00}", "{rep 5000 x}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        t_conn *c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1);
        t_say(c, texts[i]);
        T_CHECK(strlen(strstr(t_text(&c->out), "\r\n\r\n") + 4) == 51, "Content-Length is wrong");
        t_expect(c, "HTTP/1.1 400 Bad Request\r\n|Connection: close\r\n|https:");
        T_CHECK(c->fin, "no FIN");
        t_advance(w, 1000);
        T_EQ(c->dropped, 2);
        t_forget(c);
    }
    T_EQ(p.tls.pool.count.plain, 6);
    T_EQ(counted(w, RTPUSH_REASON_SYNTAX), 6);
    T_EQ(rtpush_get_counters(&w->srv)->requests, 0);
    p_finish(w);
}

static void hint_passes_through_the_smallest_window(U_STATE) {
    t_world *w = p_begin();
    t_conn *c = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1);
    w->bite = 1;
    c->hold_acks = 1;
    t_says(c, "GET / HTTP/1.1\r\n");
    t_expect(c, "HTTP/1.1 400 |wss:.\n");
    T_CHECK(!c->fin, "FIN before the acknowledgement");
    t_ack(c, c->unacked);
    t_run_ready(w); // the acknowledgement itself must bring it
    T_CHECK(c->fin, "no FIN");
    t_forget(c);
    p_finish(w);
}

static void tls_to_the_plain_port_is_refused(U_STATE) {
    t_world *w = p_begin();
    t_conn *c = t_connect(w);
    p_peer *peer = p_make(c);
    p_handshake(peer, 0);
    p_run(peer);
    T_EQ(p_error(peer), BR_ERR_UNSUPPORTED_VERSION); // "HTTP/" is no record
    T_CHECK(t_ended(c), "the connection is still there");
    T_EQ(rtpush_get_counters(&w->srv)->requests, 0);
    T_EQ(p.tls.pool.count.slots_high, 0);
    p_hang_up(peer);
    p_finish(w);
}

// -- ends -----------------------------------------------------------------------------------------

static void close_notify_of_the_client_is_answered(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    p_bye(peer);
    p_run(peer);
    T_CHECK(p_closed(peer), "no close_notify");
    T_EQ(p_error(peer), BR_ERR_OK);
    T_CHECK(peer->c->fin, "no FIN");
    t_run(w);
    T_EQ(peer->c->dropped, 2);
    T_EQ(counted(w, RTPUSH_REASON_PEER_CLOSED), 1);
    T_EQ(counted(w, RTPUSH_REASON_TLS), 0);
    p_hang_up(peer);
    p_finish(w);
}

// RFC 5246 7.2.1: what was not sent yet is discarded, the stream ends.
static void close_notify_ends_a_stream_in_the_middle(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{WS /ws}");
    peer->c->window = 100;
    t_app_of(w)->no_echo = 1;
    t_expand(&peer->want, "{81:last words}");
    p_run(peer);
    p_bye(peer);
    p_run(peer);
    T_EQ(rtpush_get_counters(&w->srv)->messages_in, 1);
    t_run(w);
    t_advance(w, 5000);
    t_expect_events(w, "open /ws|message 1 10 last words|close PEER_CLOSED 1006");
    p_hang_up(peer);
    p_finish(w);
}

// ... behind the record that is under way.
static void close_notify_during_a_record_is_answered_behind_it(U_STATE) {
    for (size_t window = 1; window < 30; window += 4) {
        t_world *w = p_begin();
        p_peer *peer = within_a_record(w, window);
        p_bye(peer);
        p_run(peer);
        T_CHECK(!peer->c->fin, "FIN in a record");
        peer->c->window = SIZE_MAX;
        p_run(peer);
        T_CHECK(p_closed(peer) && p_error(peer) == 0, "no close_notify");
        T_CHECK(peer->c->fin, "no FIN");
        T_EQ(p.tls.pool.count.failed, 0);
        p_hang_up(peer);
        p_finish(w);
    }
}

static void close_of_the_server_sends_close_notify_before_fin(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    peer->c->hold_acks = 1;
    p_say(peer, "GET /hello HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n");
    p_expect(peer, "hello");
    T_CHECK(!peer->c->fin, "FIN before the acknowledgement");
    for (int i = 0; i < 10 && !peer->c->fin; i++) {
        t_ack(peer->c, peer->c->unacked);
        p_run(peer);
    }
    T_CHECK(peer->c->fin, "no FIN");
    T_EQ(p_error(peer), BR_ERR_OK);
    T_CHECK(p_closed(peer), "no close_notify");
    T_EQ(p.tls.pool.count.slots_used, 0); // free for another as soon as FIN was asked for
    p_hang_up(peer);
    p_finish(w);
}

static void peer_that_ends_before_it_acknowledged_our_close_notify_gets_fin(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    peer->c->hold_acks = 1;
    p_say(peer, "GET /hello HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n");
    t_ack(peer->c, peer->c->unacked); // the core has finished; close_notify is on its way
    p_run(peer);
    T_CHECK(p_closed(peer) && !peer->c->fin, "no close_notify, or FIN already");
    t_eof(peer->c);
    T_CHECK(peer->c->conn != NULL, "closed before FIN");
    t_ack(peer->c, peer->c->unacked);
    t_run_ready(w);
    T_CHECK(peer->c->fin, "no FIN");
    T_EQ(peer->c->dropped, 2);
    p_hang_up(peer);
    p_finish(w);
}

// A port whose transport is full asks for no output: what arrives must reach the core all the same.
static void input_is_delivered_without_output(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{WS /ws}");
    t_app_of(w)->no_echo = 1;
    t_expand(&peer->want, "{81:hello}");
    p_fill(peer);
    p_write(peer);
    p_put(peer);
    t_offer(peer->c);
    T_EQ(rtpush_get_counters(&w->srv)->messages_in, 1);
    p_hang_up(peer);
    p_finish(w);
}

// FIN alone may be an attacker's: a message cut by it is not taken as complete.
static void fin_without_close_notify_is_a_truncation(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 10\r\n\r\nhalf");
    t_eof(peer->c);
    p_run(peer);
    t_run(w);
    t_expect_events(w, "close PEER_CLOSED|!uploaded");
    p_hang_up(peer);
    peer = p_connect(w); // a request that is whole is answered all the same (RFC 9112 9.6)
    t_expand(&peer->want, "{GET /hello}");
    peer->c->manual_close = 1;
    p_fill(peer);
    p_write(peer);
    p_put(peer);
    t_eof(peer->c);
    p_run(peer);
    p_expect(peer, "hello");
    T_CHECK(p_closed(peer) && p_error(peer) == BR_ERR_OK, "no close_notify");
    p_hang_up(peer);
    p_finish(w);
}

static void eof_comes_after_what_the_core_refused(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_say(peer, "{WS /ws}");
    t_app_of(w)->later = 1000;
    t_app_of(w)->no_echo = 1;
    p_say(peer, "{81:first}");
    p_say(peer, "{81:second}"); // the core has the first one only
    t_eof(peer->c);
    T_EQ(peer->c->eof_given, 1);
    t_app_of(w)->later = 0;
    t_advance(w, 2000);
    t_expect_events(w, "message 1 5 first|message 1 6 second|close PEER_CLOSED");
    p_hang_up(peer);
    p_finish(w);
}

static void shutdown_sends_close_and_close_notify(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_connect(w);
    p_peer *half = p_dial(w); // in the middle of its handshake
    half->writes = 20;
    p_handshake(half, 0);
    p_run(half);
    p_say(peer, "{WS /ws}");
    p_expect(peer, "HTTP/1.1 101 ");
    w->call = T_IN_API;
    rtpush_shutdown(&w->srv);
    t_leave(w);
    t_run(w);
    p_run(peer);
    p_expect(peer, "<88#03e9");
    p_say(peer, "{88#03e9}");
    T_CHECK(p_closed(peer) && p_error(peer) == BR_ERR_OK, "no close_notify");
    t_advance(w, 5000);
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
    p_hang_up(peer);
    p_hang_up(half);
    p_finish(w);
}

// -- the pool -------------------------------------------------------------------------------------

// A client that has sent `bytes` of its handshake and no more.
static p_peer *half_open(t_world *w, size_t bytes) {
    p_peer *peer = p_dial(w);
    peer->writes = bytes;
    p_handshake(peer, 0);
    p_run(peer);
    return peer;
}

// A server with one TLS slot, and a client in it that has said `text`.
static p_peer *only_slot_taken(t_world *w, const char *text) {
    p.desc.slot_count = 1;
    p_start(w);
    p_peer *first = p_connect(w);
    p_say(first, text);
    return first;
}

// A client that has sent what it can of a handshake.
static p_peer *another_client(t_world *w) {
    p_peer *peer = p_dial(w);
    p_handshake(peer, 0);
    p_run(peer);
    return peer;
}

static void connection_waits_for_a_slot_and_gets_it(U_STATE) {
    t_world *w = p_world();
    p_peer *first = only_slot_taken(w, "{WS /ws}");
    p_peer *second = another_client(w);
    T_CHECK(!p_open(second) && !t_ended(second->c), "it does not wait");
    T_EQ(p.tls.pool.count.waited, 1);
    t_advance(w, 10000); // a stream never gives way
    T_CHECK(!p_open(second) && !t_ended(second->c), "it does not wait");
    T_CHECK(first->c->conn != NULL, "the stream gave way");
    t_cut(first->c);
    t_run(w);
    p_say(second, "{GET /hello}");
    p_expect(second, "hello");
    p_hang_up(first);
    p_hang_up(second);
    p_finish(w);
}

static void connection_that_waits_too_long_is_closed(U_STATE) {
    t_world *w = p_world();
    p_peer *first = only_slot_taken(w, "{WS /ws}");
    p_peer *second = another_client(w);
    t_advance(w, 20000);
    T_CHECK(t_ended(second->c), "it still waits");
    T_CHECK(p.tls.pool.wait_first == NULL, "it is still in the list");
    p_hang_up(second);
    p_hang_up(first);
    p_finish(w);
}

// Its FIN is not acknowledged yet, but it gets no slot any more; the next in the queue does.
static void connection_that_waited_too_long_gets_no_slot(U_STATE) {
    t_world *w = p_world();
    w->desc.close_ms = 8000;
    p_peer *first = only_slot_taken(w, "{WS /ws}");
    p_peer *second = p_dial(w);
    second->c->manual_close = 1;
    p_handshake(second, 0);
    p_run(second);
    t_advance(w, 10000);
    p_peer *third = another_client(w);
    t_advance(w, 6000);
    T_CHECK(second->c->fin && second->c->conn != NULL, "the second was not asked to end");
    t_cut(first->c);
    t_run(w);
    p_run(third);
    T_CHECK(p_open(third), "the slot was given to one that has ended");
    T_EQ(p.tls.pool.count.begun, 2);
    p_hang_up(first);
    p_hang_up(second);
    p_hang_up(third);
    p_finish(w);
}

// A peer that vanished does not acknowledge close_notify. The slot waits for that only close_ms: by
// stall_ms those that wait for the slot would be closed themselves (idle_ms is shorter).
static void slot_of_a_vanished_peer_is_freed_after_close_ms(U_STATE) {
    t_world *w = p_world();
    p_peer *first = only_slot_taken(w, "{GET /hello}");
    first->c->hold_acks = 1;
    p_peer *second = p_dial(w);
    p_handshake(second, 0);
    for (int quarters = 0; quarters < 24 && !p_open(second); quarters++) {
        p_run(second);
        t_advance(w, 250);
    }
    T_CHECK(p_open(second), "the slot still waits for an acknowledgement");
    T_EQ(first->c->dropped, 1);
    p_hang_up(first);
    p_hang_up(second);
    p_finish(w);
}

// The one slot is taken by a connection that said `text`; somebody else comes. In how many quarter
// seconds does it give way?
static int quarters_until_it_gives_way(const char *text) {
    t_world *w = p_world();
    int quarters = 0;
    p_peer *first = only_slot_taken(w, text);
    p_peer *second = another_client(w);
    T_CHECK(!p_open(second), "it does not wait");
    for (; quarters < 30 && !p_open(second); quarters++) { // both sides live on
        t_advance(w, 250);
        p_run(first);
        p_run(second);
    }
    T_CHECK(p_closed(first) && p_error(first) == BR_ERR_OK, "it did not go with close_notify");
    T_EQ(p.tls.pool.count.gave_way, 1);
    p_hang_up(first);
    p_hang_up(second);
    p_finish(w);
    return quarters;
}

static void idle_connection_gives_way_soon_after_its_answer_and_late_before(U_STATE) {
    const int served = quarters_until_it_gives_way("{GET /hello}");
    T_CHECK(served >= 1 && served <= 3, "not after a half second");
    const int silent = quarters_until_it_gives_way("");
    T_CHECK(silent >= 4 && silent <= 7, "not after give_way_ms");
}

static void request_under_way_has_give_way_ms(U_STATE) {
    t_world *w = p_world();
    p.desc.give_way_ms = 2000;
    p_peer *first = only_slot_taken(w, "{GET /hello}");
    p_say(first, "GET /hel"); // the next one, not yet whole
    p_peer *second = another_client(w);
    for (int i = 0; i < 7; i++) {
        t_advance(w, 250);
        p_run(first);
        p_run(second);
    }
    T_EQ(p.tls.pool.count.gave_way, 0);
    p_say(first, "lo HTTP/1.1\r\nHost: localhost\r\n\r\n");
    p_expect(first, "hello");
    p_hang_up(first);
    p_hang_up(second);
    p_finish(w);
}

// After its handshake it sends something and stops: a waiting connection soon gets the slot.
static void connection_without_progress_gives_way(U_STATE) {
    const char *const kinds[] = {
        "G", "GET /hello HTTP/1.1\r\nHost: lo",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nx",
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\nx",
        "{GET /hello}G",
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const int quarters = quarters_until_it_gives_way(kinds[i]);
        T_CHECK(quarters >= 4 && quarters <= 7, "kind %lu: %d quarters", (unsigned long)i,
                quarters);
    }
}

// "made no progress for give_way_ms": of a handshake a whole first flight is progress, and bytes
// behind it, or of the answer read one by one, are none.
static void bytes_behind_the_first_flight_are_no_progress(U_STATE) {
    t_world *w = p_world();
    p.desc.slot_count = 1;
    p_start(w);
    p_peer *first = p_dial(w);
    p_handshake(first, 0);
    first->writes = 20;
    p_run(first);
    t_advance(w, 700);
    first->c->window = 0;
    first->writes = SIZE_MAX;
    p_run(first);
    p_peer *second = another_client(w);
    T_CHECK(!p_open(second), "it does not wait");
    int quarters = 0;
    for (; quarters < 12 && p.tls.pool.count.gave_way == 0; quarters++) {
        first->c->window = 1;
        t_feed(first->c, "\x16", 1);
        t_serve(first->c);
        t_advance(w, 250);
        p_run(second);
    }
    T_CHECK(quarters >= 4 && quarters <= 6, "%d quarters", quarters);
    p_hang_up(first);
    p_hang_up(second);
    p_finish(w);
}

enum { P_MALLORY = 66, P_MANY = 1000, P_CONNS = 16 };

// A handshake and a head byte of this address, or NULL if it is refused.
static p_peer *attacker(t_world *w, uint32_t address) {
    p_peer *peer = p_dial_from(w, address);
    if (peer != NULL) {
        p_handshake(peer, 0);
        p_run(peer);
    }
    return peer;
}

// After each event: an attacker with a slot sends "G"; one that lost its slot connects again.
static void attackers_go_on(t_world *w, p_peer *peers[P_CONNS], int addresses) {
    for (int i = 0; i < P_CONNS; i++) {
        if (peers[i] != NULL && t_ended(peers[i]->c)) {
            p_hang_up(peers[i]);
            peers[i] = NULL;
        }
        if (peers[i] == NULL) {
            peers[i] = attacker(w, addresses == 1 ? P_MALLORY : P_MANY + (uint32_t)i);
        }
        if (peers[i] != NULL) {
            p_run(peers[i]);
            if (p_open(peers[i]) && !peers[i]->said) {
                peers[i]->said = 1;
                p_say(peers[i], "G");
            }
        }
    }
}

// ms until a client of another address has its page.
static uint32_t page_under_attack(t_world *w, p_peer *peers[P_CONNS], int addresses) {
    p_peer *guest = NULL;
    uint32_t ms = 0;
    for (; ms < 20000; ms += 50) {
        if (guest != NULL && t_ended(guest->c)) {
            p_hang_up(guest);
            guest = NULL;
        }
        if (guest == NULL) {
            guest = attacker(w, 42);
        }
        if (guest != NULL) {
            p_run(guest);
            if (p_open(guest)) {
                p_say(guest, "{GET /hello}");
                p_run(guest);
                break;
            }
        }
        attackers_go_on(w, peers, addresses);
        t_advance(w, 50);
    }
    T_CHECK(guest != NULL && guest->got.len > 0, "no page in 20 s");
    p_expect(guest, "hello");
    p_hang_up(guest);
    return ms;
}

static void under_attack(int addresses, uint32_t limit_ms) {
    t_world *w = p_world();
    p_peer *peers[P_CONNS] = {NULL};
    w->desc.conn_count = P_CONNS;
    p.desc.slot_count = 3;
    p_start(w);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 30; i++) {
            attackers_go_on(w, peers, addresses);
            t_advance(w, 50);
        }
        const uint32_t ms = page_under_attack(w, peers, addresses);
        T_CHECK(ms <= limit_ms, "round %d: a page after %lu ms", round, (unsigned long)ms);
    }
    for (int i = 0; i < P_CONNS; i++) {
        if (peers[i] != NULL) {
            p_hang_up(peers[i]);
        }
    }
    p_finish(w);
}

static void one_address_on_every_slot_keeps_nobody_out(U_STATE) {
    under_attack(1, 1000);
}

static void many_addresses_on_every_slot_keep_nobody_out_for_long(U_STATE) {
    under_attack(P_CONNS, 5000);
}

// All at once, and each gets its answer.
static void six_connections_of_a_browser_share_three_slots(U_STATE) {
    t_world *w = p_world();
    p_peer *peers[6];
    p.desc.slot_count = 3;
    p_start(w);
    for (int i = 0; i < 6; i++) {
        peers[i] = p_dial(w);
        p_handshake(peers[i], 0);
    }
    int served = 0;
    for (int quarters = 0; quarters < 20 && served < 6; quarters++) {
        served = 0;
        for (int i = 0; i < 6; i++) {
            p_run(peers[i]);
            if (p_open(peers[i]) && !peers[i]->said) {
                peers[i]->said = 1;
                p_say(peers[i], "{GET /hello}");
            }
            served += peers[i]->got.len > 0;
        }
        t_advance(w, 250);
    }
    T_EQ(served, 6);
    for (int i = 0; i < 6; i++) {
        p_expect(peers[i], "hello");
        p_hang_up(peers[i]);
    }
    p_finish(w);
}

static void one_gives_way_at_a_time(U_STATE) {
    t_world *w = p_world();
    p.desc.slot_count = 2;
    p_start(w);
    p_peer *first = p_connect(w);
    p_peer *second = p_connect(w);
    first->c->hold_acks = second->c->hold_acks = 1; // its close_notify stays unacknowledged
    p_peer *third = another_client(w);
    for (int i = 0; i < 16; i++) {
        t_advance(w, 250);
    }
    T_EQ(p.tls.pool.count.gave_way, 1);
    p_hang_up(first);
    p_hang_up(second);
    p_hang_up(third);
    p_finish(w);
}

static void half_handshakes_on_every_slot_give_way_to_a_real_one(U_STATE) {
    for (size_t bytes = 1; bytes < 400; bytes += 57) {
        t_world *w = p_world();
        w->desc.conn_count = 16;
        p_start(w);
        p_peer *halves[4];
        t_advance(w, 5000);
        for (int i = 0; i < 4; i++) {
            halves[i] = half_open(w, bytes);
        }
        T_EQ(p.tls.pool.count.slots_used, 4);
        T_EQ(p.tls.pool.count.slots_high, 4);
        p_peer *peer = p_dial(w);
        p_handshake(peer, 0);
        p_run(peer);
        t_advance(w, 750); // they have give_way_ms for it
        T_EQ(p.tls.pool.count.gave_way, 0);
        for (int i = 0; i < 30; i++) {
            p_run(peer);
            t_advance(w, 250);
        }
        T_CHECK(p_open(peer), "the handshake never came to its turn");
        T_CHECK(p.tls.pool.count.gave_way >= 1, "nobody gave way");
        for (int i = 0; i < 4; i++) {
            p_hang_up(halves[i]);
        }
        p_hang_up(peer);
        p_finish(w);
    }
}

// A thousand of them, while a stream lives and real clients come in between.
static void a_thousand_half_open_handshakes_hurt_no_stream(U_STATE) {
    t_world *w = p_world();
    w->desc.conn_count = 8;
    p_start(w);
    p_peer *stream = p_connect(w);
    p_say(stream, "{WS /ws}");
    p_expect(stream, "HTTP/1.1 101 ");
    p_peer *halves[40] = {0};
    unsigned served = 0;
    for (unsigned i = 0; i < 1000; i++) {
        p_peer **place = &halves[i % 40];
        if (*place != NULL) {
            p_hang_up(*place);
        }
        *place = half_open(w, 1 + i % 300);
        t_advance(w, 300);
        if (i % 100 == 99) {
            p_peer *peer = p_dial(w);
            p_handshake(peer, 0);
            for (int j = 0; j < 40 && peer->c->conn != NULL && peer->got.len == 0; j++) {
                p_say(peer, p_open(peer) ? "{GET /hello}" : "");
                t_advance(w, 250);
            }
            served += peer->got.len > 0;
            p_hang_up(peer);
        }
        if (i % 50 == 0) { // ping_ms
            p_say(stream, "{81:alive}");
            p_expect(stream, "<81:alive>");
        }
    }
    T_EQ(served, 10);
    T_CHECK(stream->c->conn != NULL, "the stream was lost");
    T_CHECK(p.tls.pool.count.slots_high <= 4, "more slots than there are");
    for (int i = 0; i < 40; i++) {
        if (halves[i] != NULL) {
            p_hang_up(halves[i]);
        }
    }
    p_hang_up(stream);
    p_finish(w);
}

// A byte now and then is no progress: the deadline is for the whole handshake.
static void handshake_a_byte_a_second_ends_at_the_deadline(U_STATE) {
    t_world *w = p_begin();
    p_peer *peer = p_dial(w);
    peer->slow = 1;
    p_handshake(peer, 0);
    int seconds = 0;
    while (peer->c->conn != NULL && seconds < 100) {
        p_step(peer);
        t_advance(w, 1000);
        seconds++;
    }
    T_CHECK(seconds >= 14 && seconds <= 20, "it took %d s", seconds);
    T_EQ(p.tls.pool.count.slots_used, 0);
    T_EQ(counted(w, RTPUSH_REASON_TIMEOUT_IDLE), 1);
    p_hang_up(peer);
    p_finish(w);
}

static void connections_that_say_nothing_take_no_slot(U_STATE) {
    t_world *w = p_begin();
    t_conn *quiet[6];
    for (int i = 0; i < 6; i++) {
        quiet[i] = t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1);
    }
    T_EQ(p.tls.pool.count.slots_used, 0);
    p_peer *peer = p_connect(w);
    p_hang_up(peer);
    t_advance(w, 30000);
    for (int i = 0; i < 6; i++) {
        T_CHECK(quiet[i]->conn == NULL, "it is still there");
        t_forget(quiet[i]);
    }
    p_finish(w);
}

static void no_more_handshakes_at_a_time_than_asked_for(U_STATE) {
    t_world *w = p_world();
    p.desc.max_handshakes = 1;
    p_start(w);
    p_peer *half = half_open(w, 50);
    p_peer *peer = p_dial(w);
    p_handshake(peer, 0);
    p_run(peer);
    T_CHECK(!p_open(peer), "two at a time");
    T_EQ(p.tls.pool.handshakes, 1);
    half->writes = SIZE_MAX; // the first goes on, and with its end the second begins
    p_run(half);
    T_CHECK(p_open(half), "error %d", p_error(half));
    p_run(peer);
    T_CHECK(p_open(peer), "the second never began");
    t_advance(w, 1000); // the open ones are idle for longer
    p_peer *stale = half_open(w, 50);
    p_peer *third = p_dial(w);
    p_handshake(third, 0);
    for (int i = 0; i < 20; i++) {
        p_run(third);
        t_advance(w, 250);
    }
    T_CHECK(p_open(third), "a half handshake keeps the others out");
    T_CHECK(!t_ended(half->c) && !t_ended(peer->c), "the wrong ones gave way");
    T_EQ(p.tls.pool.count.gave_way, 1);
    p_hang_up(stale);
    p_hang_up(third);
    p_hang_up(half);
    p_hang_up(peer);
    p_finish(w);
}

// Peers without an address do not share one: the loss of a slot by one does not count for another.
static void peers_without_an_address_are_not_one_address(U_STATE) {
    for (uint32_t address = 0; address < 2; address++) {
        t_world *w = p_world();
        p.desc.slot_count = 1;
        p_start(w);
        p_peer *half = p_dial_from(w, address);
        half->writes = 50;
        p_handshake(half, 0);
        p_run(half);
        p_peer *older = p_dial_from(w, 7);
        p_handshake(older, 0);
        p_run(older);
        p_peer *youngest = p_dial_from(w, address);
        p_handshake(youngest, 0);
        for (int i = 0; i < 8 && p.tls.pool.count.begun < 2; i++) {
            p_run(older);
            p_run(youngest);
            t_advance(w, 250);
        }
        T_EQ(p.tls.pool.count.gave_way, 1);
        p_run(older);
        p_run(youngest);
        T_EQ(p_open(youngest), address == 0); // else its address comes after all others
        T_EQ(p_open(older), address != 0);
        p_hang_up(half);
        p_hang_up(older);
        p_hang_up(youngest);
        p_finish(w);
    }
}

static void without_a_link_the_connection_is_reset(U_STATE) {
    t_world *w = p_world();
    p.desc.link_count = 2;
    p_start(w);
    p_peer *a = p_connect(w);
    p_peer *b = p_connect(w);
    T_CHECK(t_connect_peer(w, RTPUSH_LISTENER_SECURE, 1) == NULL, "accepted");
    T_EQ(counted(w, RTPUSH_REASON_NO_SLOT), 1);
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 2);
    t_conn *plain = t_connect(w); // others have room
    t_say(plain, "{GET /hello}");
    t_expect(plain, "hello");
    t_forget(plain);
    p_hang_up(a);
    p_peer *c = p_connect(w);
    p_hang_up(b);
    p_hang_up(c);
    p_finish(w);
}

// -- client certificates --------------------------------------------------------------------------

enum { DAYS_1970 = 719528 };

static t_world *world_with_client_certificates(void) {
    t_world *w = p_world();
    p_ask_clients(&p_ca);
    p.days = DAYS_1970 + (uint32_t)(time(NULL) / 86400) + 1;
    return w;
}

static p_peer *dial_as(t_world *w, const p_identity *who) {
    p_peer *peer = p_dial(w);
#ifdef P_MBEDTLS
    if (peer->m != NULL) {
        if (who != NULL) {
            m_identify(peer->m, who == &p_client ? "client" : "stranger");
        }
        who = NULL;
    }
#endif
    const br_rsa_private_key *rsa = who != NULL ? br_skey_decoder_get_rsa(&who->id.key) : NULL;
    if (rsa != NULL) {
        br_ssl_client_set_single_rsa(&peer->ssl, who->id.chain, who->id.chain_len, rsa,
                                     br_rsa_pkcs1_sign_get_default());
    } else if (who != NULL) {
        br_ssl_client_set_single_ec(&peer->ssl, who->id.chain, who->id.chain_len,
                                    br_skey_decoder_get_ec(&who->id.key), BR_KEYTYPE_SIGN,
                                    BR_KEYTYPE_EC, &br_ec_p256_m31, br_ecdsa_i31_sign_asn1);
    }
    p_handshake(peer, 0);
    p_run(peer);
    return peer;
}

static void client_certificate_of_our_ca_is_accepted(U_STATE) {
    t_world *w = world_with_client_certificates();
    p_start(w);
    p_peer *peer = dial_as(w, &p_client);
    T_CHECK(p_open(peer), "error %d, the server's %d", p_error(peer), p.tls.pool.count.last_error);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    p_hang_up(peer);
    p_finish(w);
}

// A CA of RSA, and a client with an RSA key.
static void client_certificate_may_be_of_rsa(U_STATE) {
    t_world *w = world_with_client_certificates();
    p_ask_clients(&p_rsa_ca);
    p_start(w);
    p_peer *peer = dial_as(w, &p_rsa_client);
    T_CHECK(p_open(peer), "error %d, the server's %d", p_error(peer), p.tls.pool.count.last_error);
    p_say(peer, "{GET /hello}");
    p_expect(peer, "hello");
    p_hang_up(peer);
    p_finish(w);
}

// RFC 5246 7.4.4: the request for a certificate names the authorities that are accepted, so that a
// browser can offer the right one of many.
static void client_is_told_which_authority_is_accepted(U_STATE) {
    t_world *w = world_with_client_certificates();
    int named = 0;
    p_start(w);
    p_peer *peer = p_dial(w);
    peer->reads = 0;
    p_handshake(peer, 0);
    p_run(peer);
    const t_buf *flight = &peer->c->out;
    const size_t len = p_ca.anchor.dn.len;
    for (size_t i = 0; i + 2 + len <= flight->len; i++) {
        named |= flight->data[i] == 0 && flight->data[i + 1] == len &&
                 memcmp(flight->data + i + 2, p_ca.anchor.dn.data, len) == 0;
    }
    T_CHECK(named, "its name is not in the %lu bytes of the flight", (unsigned long)flight->len);
    p_hang_up(peer);
    p_finish(w);
}

// RFC 5246 7.4.8: a client must prove that it has the key of its certificate: decrypt_error.
static void stolen_client_certificate_gets_decrypt_error(U_STATE) {
    for (int i = 0; i < 12; i++) { // of RSA many: some are numbers above the modulus, some not
        const int rsa = i > 0;
        p_identity thief = rsa ? p_rsa_client : p_client;
        t_world *w = world_with_client_certificates();
        p_ask_clients(rsa ? &p_rsa_ca : &p_ca);
        p_start(w);
        thief.id.key = rsa ? p_rsa.id.key : p_stranger.id.key;
        p_peer *peer = dial_as(w, &thief);
        T_EQ(p_error(peer), BR_ERR_RECV_FATAL_ALERT + 51);
        const int error = p.tls.pool.count.last_error;
        T_CHECK(rsa ? error == P_ERR_BAD_RSA_SIGNATURE || error == P_ERR_LARGE_RSA_SIGNATURE
                    : error == P_ERR_BAD_SIGNATURE, "the error %d", error);
        T_EQ(p.tls.pool.count.handshakes, 0);
        p_hang_up(peer);
        p_finish(w);
    }
}

// RFC 5246 7.2.2: without a certificate handshake_failure, by another authority unknown_ca.
static void other_clients_are_refused(U_STATE) {
    for (int i = 0; i < (P_SAME_CLOCK ? 2 : 3); i++) {
        t_world *w = world_with_client_certificates();
        if (i == 2) {
            p.days = 0; // no clock: nothing is valid
        }
        p_start(w);
        p_peer *peer = dial_as(w, i == 0 ? NULL : i == 1 ? &p_stranger : &p_client);
        T_CHECK(!p_open(peer) || t_ended(peer->c), "kind %d came in", i);
        T_CHECK(p_error(peer) == BR_ERR_RECV_FATAL_ALERT + P_CLIENT_ALERT(i) || P_ALERT_LOST(peer),
                "kind %d: alert %d", i, p_error(peer) - BR_ERR_RECV_FATAL_ALERT);
        T_EQ(p.tls.pool.count.handshakes, 0);
        T_EQ(rtpush_get_counters(&w->srv)->requests, 0);
        p_hang_up(peer);
        p_finish(w);
    }
}

#ifdef P_MBEDTLS
#include "only_mbedtls.h"
#else
#include "only_bearssl.h"
#endif

static int setup(void **state) {
    (void)state;
    p_load_all();
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        u_test(tls_answers_a_request),
        u_test(tells_the_application_that_it_is_secure),
        u_test(speaks_both_suites_over_both_curves_with_both_keys),
        u_test(server_chooses_the_suite),
        u_test(refuses_every_other_suite_with_handshake_failure),
        u_test(refuses_old_versions_with_protocol_version),
        u_test(refuses_old_and_strange_hellos),
        u_test(hello_changed_on_the_way_gets_decrypt_error),
        u_test(chooses_http_1_1_and_refuses_other_protocols),
        u_test(request_may_come_before_our_finished),
        u_test(handshake_and_request_pass_byte_by_byte),
        u_test(records_of_every_size_arrive),
        u_test(answers_of_every_size_arrive),
        u_test(echo_survives_small_windows_and_late_acknowledgements),
        u_test(what_follows_close_notify_is_ignored),
        u_test(refused_input_is_offered_again),
        u_test(output_that_makes_room_names_the_connection),
        u_test(slow_reader_is_told_of_the_gap_and_others_are_not_hurt),
        u_test(reader_that_acknowledges_nothing_is_dropped_after_stall_ms),
        u_test(plaintext_counts_as_acknowledged_with_the_last_byte_of_its_record),
        u_test(record_that_lacks_a_byte_is_not_acknowledged),
        u_test(one_acknowledgement_of_several_records_counts_for_all_of_them),
        u_test(reader_that_acknowledges_late_is_not_dropped),
        u_test(alert_that_nobody_reads_does_not_keep_the_connection),
        u_test(record_larger_than_the_buffer_gets_its_alert),
        u_test(length_that_no_record_has_gets_record_overflow),
        u_test(what_is_queued_behind_an_alert_is_discarded),
        u_test(many_small_events_pass_through_a_small_buffer),
        u_test(long_events_arrive_whole),
        u_test(empty_input_has_no_effect),
        u_test(changed_record_gets_bad_record_mac),
        u_test(changed_record_gets_its_alert_behind_the_record_under_way),
        u_test(changed_record_gets_its_alert_behind_what_is_not_acknowledged),
        u_test(fatal_alert_of_the_client_is_not_answered),
        u_test(renegotiation_is_refused_and_the_connection_goes_on),
        u_test(incomplete_renegotiation_delays_nothing),
        u_test(other_records_after_the_handshake_get_unexpected_message),
        u_test(http_to_the_tls_port_is_answered_400),
        u_test(hint_passes_through_the_smallest_window),
        u_test(tls_to_the_plain_port_is_refused),
        u_test(close_notify_of_the_client_is_answered),
        u_test(close_notify_during_a_record_is_answered_behind_it),
        u_test(close_notify_ends_a_stream_in_the_middle),
        u_test(close_of_the_server_sends_close_notify_before_fin),
        u_test(peer_that_ends_before_it_acknowledged_our_close_notify_gets_fin),
        u_test(input_is_delivered_without_output),
        u_test(fin_without_close_notify_is_a_truncation),
        u_test(eof_comes_after_what_the_core_refused),
        u_test(shutdown_sends_close_and_close_notify),
        u_test(connection_waits_for_a_slot_and_gets_it),
        u_test(connection_that_waits_too_long_is_closed),
        u_test(connection_that_waited_too_long_gets_no_slot),
        u_test(slot_of_a_vanished_peer_is_freed_after_close_ms),
        u_test(idle_connection_gives_way_soon_after_its_answer_and_late_before),
        u_test(request_under_way_has_give_way_ms),
        u_test(connection_without_progress_gives_way),
        u_test(bytes_behind_the_first_flight_are_no_progress),
        u_test(one_address_on_every_slot_keeps_nobody_out),
        u_test(six_connections_of_a_browser_share_three_slots),
        u_test(one_gives_way_at_a_time),
        u_test(half_handshakes_on_every_slot_give_way_to_a_real_one),
        u_test(handshake_a_byte_a_second_ends_at_the_deadline),
        u_test(connections_that_say_nothing_take_no_slot),
        u_test(no_more_handshakes_at_a_time_than_asked_for),
        u_test(peers_without_an_address_are_not_one_address),
        u_test(without_a_link_the_connection_is_reset),
        u_test(client_certificate_of_our_ca_is_accepted),
        u_test(client_certificate_may_be_of_rsa),
        u_test(client_is_told_which_authority_is_accepted),
        u_test(stolen_client_certificate_gets_decrypt_error),
        u_test(other_clients_are_refused),
        P_ONLY_TESTS,
        // What takes longest comes last: a fault is found sooner.
        u_test(handshake_and_request_pass_at_every_split),
        u_test(handshake_cut_at_every_byte_leaves_all_free),
        u_test(server_flight_stuck_at_every_byte_leaves_all_free),
        u_test(alert_waits_for_the_record_under_way),
        u_test(many_addresses_on_every_slot_keep_nobody_out_for_long),
        u_test(a_thousand_half_open_handshakes_hurt_no_stream),
    };
#ifdef P_MBEDTLS
    const struct CMUnitTest tls_1_3[] = {P_TLS_1_3_TESTS};
    if (argc > 1 && strcmp(argv[1], "1.3") == 0) {
        p_version = MBEDTLS_SSL_VERSION_TLS1_3;
        return cmocka_run_group_tests_name("tls 1.3", tls_1_3, setup, NULL);
    }
#else
    (void)argc;
    (void)argv;
#endif
    return cmocka_run_group_tests_name("tls", tests, setup, NULL);
}
