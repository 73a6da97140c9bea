// Slots: which connection gives way to a new one, in which order and when; tokens by address.

#include "unit.h"

enum { ALICE = 11, BOB = 12, MALLORY = 66, GUEST = 42, MANY = 1000 }; // addresses

#define BODY "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\n\r\nx"
#define UNFINISHED "POST /upload HTTP/1.1\r\n" T_HOST "Content-Length: 90000\r\n\r\nx"
#define HALF "GET /hello HTTP/1.1\r\nHost: 10"

static t_world *begin(uint32_t conns) {
    t_world *w = t_fixture();
    w->desc.conn_count = conns;
    w->desc.rate_messages = RTPUSH_UNLIMITED;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    t_start(w);
    return w;
}

// NULL: refused.
static t_conn *from(t_world *w, uint32_t peer, const char *text) {
    t_conn *c = t_connect_peer(w, 0, peer);
    if (c != NULL) {
        t_say(c, text);
    }
    return c;
}

static u_peer *peer_from(t_world *w, uint32_t peer, const char *text) {
    u_peer *p = u_new(w);
    p->c = from(w, peer, text);
    T_CHECK(p->c != NULL, "refused");
    u_read(p);
    return p;
}

static int gets_the_page(t_world *w, uint32_t peer) {
    t_conn *c = from(w, peer, "{GET /hello}");
    if (c == NULL) {
        return 0;
    }
    t_expect(c, "HTTP/1.1 200 |hello");
    t_forget(c);
    t_run(w);
    return 1;
}

static uint32_t evicted(t_world *w) {
    return rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_EVICTED_SLOT];
}

// -- the order ------------------------------------------------------------------------------------

// All in one tick, so no clock tells them apart: the order of arrival does.
static void slots_the_oldest_goes_first_without_a_clock(U_STATE) {
    t_world *w = begin(8);
    t_conn *c[8];
    for (uint32_t i = 0; i < 8; i++) {
        c[i] = from(w, MANY + i, "");
    }
    t_advance(w, 1500);
    for (int i = 0; i < 8; i++) {
        T_CHECK(from(w, MANY + 8 + (uint32_t)i, "") != NULL, "newcomer %d", i);
        for (int k = 0; k < 8; k++) {
            T_EQ(t_ended(c[k]), k <= i);
        }
    }
    T_CHECK(from(w, GUEST, "") == NULL, "one of this very moment gave way");
}

// Bytes alone are no progress: a connection that sends one now and then has the age of its last
// request.
static void slots_bytes_without_a_request_keep_no_slot(U_STATE) {
    t_world *w = begin(4);
    t_conn *slow = from(w, MANY, HALF);
    t_advance(w, 1500);
    t_conn *late[3];
    for (uint32_t i = 0; i < 3; i++) {
        late[i] = from(w, MANY + 1 + i, "");
    }
    for (int i = 0; i < 6; i++) {
        t_say(slow, "1");
        t_advance(w, 250);
    }
    T_CHECK(from(w, GUEST, "") != NULL, "nobody gave way");
    T_CHECK(t_ended(slow), "the one that trickles was kept");
    T_EQ(t_ended(late[0]) + t_ended(late[1]) + t_ended(late[2]), 0);
}

// A request renews it, and so do 4 KiB of a body; its handle stays what it was.
static void slots_an_upload_that_moves_is_not_the_oldest(U_STATE) {
    t_world *w = begin(3);
    t_conn *upload = from(w, ALICE, UNFINISHED);
    rtpush_handle handle = t_app_of(w)->last;
    t_advance(w, 1500);
    t_conn *silent = from(w, BOB, "");
    t_conn *third = from(w, MANY, "");
    t_buf bytes = {0};
    for (int i = 0; i < 4096; i++) {
        t_puts(&bytes, "x");
    }
    t_feed(upload, bytes.data, bytes.len);
    t_advance(w, 1500);
    T_CHECK(from(w, GUEST, "") != NULL, "nobody gave way");
    T_CHECK(!t_ended(upload) && t_ended(silent) && !t_ended(third), "who: %d %d %d",
            t_ended(upload), t_ended(silent), t_ended(third));
    T_EQ(rtpush_set_user(&w->srv, handle, w), RTPUSH_OK);
    T_EQ(rtpush_reply_text(&w->srv, handle, 200, "enough"), RTPUSH_OK);
    t_buf_free(&bytes);
    t_run(w);
    t_expect(upload, "HTTP/1.1 200 |enough");
}

// 4 slots, a WebSocket, somebody's idle connection: six connections of one browser in one tick.
static void slots_six_connections_at_once_do_not_evict_one_another(U_STATE) {
    t_world *w = begin(4);
    u_peer *socket = peer_from(w, ALICE, "{WS /ws}");
    u_peer *idle = peer_from(w, BOB, "{GET /hello}");
    t_conn *six[6];
    int got = 0;
    t_advance(w, 3000);
    for (int i = 0; i < 6; i++) {
        six[i] = from(w, GUEST, "");
        got += six[i] != NULL;
    }
    T_EQ(got, 3); // two were free, one was idle
    T_CHECK(t_ended(idle->c), "the idle connection was kept");
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_NO_SLOT], 3);
    for (int i = 0; i < 3; i++) {
        T_CHECK(!t_ended(six[i]), "connection %d fell to the next", i);
        t_say(six[i], "{GET /hello}");
        t_expect(six[i], "HTTP/1.1 200 |hello");
    }
    t_send_text(socket->c, "alive");
    u_expect(socket, "1 alive\n");
}

// -- the rules ------------------------------------------------------------------------------------

static void slots_a_connection_that_waits_for_fin_goes_first(U_STATE) {
    t_world *w = begin(3);
    t_conn *idle = from(w, ALICE, "{GET /hello}");
    t_conn *silent = from(w, BOB, "");
    t_advance(w, 2000);
    t_conn *closing = t_connect_peer(w, 0, MANY);
    closing->manual_close = 1;
    t_say(closing, "BREW / HTTP/1.1\r\n\r\n");
    T_EQ(closing->fin, 1);
    T_CHECK(from(w, GUEST, "") != NULL, "nobody gave way");
    T_CHECK(closing->dropped && !t_ended(idle) && !t_ended(silent), "somebody else gave way");
}

// RFC 9112 9.5: a server may close at any time, so those of whom there are too many go at
// once, whatever their age.
static void slots_the_oldest_of_the_address_that_has_most_goes_at_any_age(U_STATE) {
    t_world *w = begin(8);
    t_conn *other[3];
    t_conn *many[5];
    for (uint32_t i = 0; i < 3; i++) {
        other[i] = from(w, ALICE + i, "");
    }
    for (int i = 0; i < 5; i++) {
        many[i] = from(w, MALLORY, "");
    }
    T_CHECK(from(w, MALLORY, "") == NULL, "it evicted itself within a second");
    t_conn *guest = from(w, GUEST, "");
    T_CHECK(guest != NULL && t_ended(many[0]) && !t_ended(many[1]), "the oldest of five");
    T_EQ(t_ended(other[0]) + t_ended(other[1]) + t_ended(other[2]), 0);
    T_CHECK(from(w, GUEST, "") == NULL, "half is no majority");
}

// The address 0 is no address: a port that knows none has no majority.
static void slots_unknown_addresses_have_no_majority(U_STATE) {
    t_world *w = begin(4);
    for (int i = 0; i < 4; i++) {
        (void)from(w, 0, "");
    }
    T_CHECK(from(w, GUEST, "") == NULL, "evicted at any age");
    t_advance(w, 1500);
    T_CHECK(from(w, GUEST, "") != NULL, "nobody gave way after a second");
}

// One connection is nobody's majority: two that meet in the last slot do not throw out each other.
// Eight pages of one address open within a second, each with connections that it keeps: a newcomer
// gets the slot of one between requests, however young. It would show its user an error.
static void slots_a_young_connection_between_requests_gives_way(U_STATE) {
    t_world *w = begin(4);
    for (int i = 0; i < 40; i++) {
        t_conn *c = from(w, ALICE, "{GET /hello}");
        T_CHECK(c != NULL, "newcomer %d is refused", i);
        t_expect(c, "HTTP/1.1 200 |hello");
    }
    T_EQ(evicted(w), 36);
}

static void slots_a_single_connection_is_kept_for_a_second(U_STATE) {
    t_world *w = begin(2);
    peer_from(w, ALICE, "{GET /events}");
    t_conn *first = from(w, BOB, "");
    T_CHECK(from(w, GUEST, "") == NULL && !t_ended(first), "it was thrown out at once");
    t_advance(w, 1000);
    T_CHECK(from(w, GUEST, "") == NULL && !t_ended(first), "it was thrown out within a second");
    t_advance(w, 250);
    T_CHECK(from(w, GUEST, "") != NULL && t_ended(first), "it was kept");
}

// While fewer than three quarters of the places are unproved the proved make room, oldest first;
// from then on those that are not proved do.
static void slots_a_quarter_is_kept_for_proved_connections(U_STATE) {
    t_world *w = begin(8);
    t_conn *proved[4];
    t_conn *unproved[4];
    for (uint32_t i = 0; i < 4; i++) {
        unproved[i] = from(w, MANY + i, HALF);
    }
    for (uint32_t i = 0; i < 4; i++) {
        proved[i] = from(w, ALICE + i, "{GET /hello}");
    }
    t_advance(w, 1500);
    for (uint32_t i = 0; i < 4; i++) {
        T_CHECK(from(w, MANY + 10 + i, HALF) != NULL, "newcomer %lu", (unsigned long)i);
        t_advance(w, 1500);
    }
    T_CHECK(t_ended(proved[0]) && t_ended(proved[1]), "the oldest proved");
    T_CHECK(!t_ended(proved[2]) && !t_ended(proved[3]), "more than two of the proved went");
    T_CHECK(t_ended(unproved[0]) && t_ended(unproved[1]), "then the oldest unproved");
    T_EQ(t_ended(unproved[2]) + t_ended(unproved[3]), 0);
}

// ... of the slots that are not streams: here of four.
static void slots_of_streams_do_not_count_for_the_quarter(U_STATE) {
    t_world *w = begin(8);
    t_conn *unproved[3];
    for (uint32_t i = 0; i < 4; i++) {
        from(w, ALICE + 100 + i, "{GET /events}");
    }
    t_conn *idle = from(w, BOB, "{GET /hello}");
    for (uint32_t i = 0; i < 3; i++) {
        unproved[i] = from(w, MANY + i, HALF);
    }
    t_advance(w, 1500);
    T_CHECK(from(w, GUEST, HALF) != NULL, "nobody gives way");
    T_CHECK(t_ended(unproved[0]) && !t_ended(idle), "not the oldest unproved");
}

// Streams, answers, and what waits for the application have no age.
static void slots_what_is_never_taken(U_STATE) {
    t_world *w = begin(8);
    t_conn *c[8];
    char poll[80];
    char id[RTPUSH_ID_SIZE];
    t_publish_text(w, T_LOG, "one");
    snprintf(poll, sizeof poll, "{GET /poll?topics=log&last_event_id=%s}",
             rtpush_id_format(rtpush_last_id(&w->srv), id));
    c[0] = from(w, MALLORY, "{GET /events}");
    c[1] = from(w, MALLORY, "{WS /ws}");
    c[2] = from(w, MALLORY, poll); // waits
    c[3] = from(w, MALLORY, "{GET /later}");
    c[4] = t_connect_peer(w, 0, MALLORY);
    c[4]->window = 100; // reads nothing: the answer is under way
    t_say(c[4], "{GET /big}");
    t_app_of(w)->later = 1 << 20;
    c[5] = from(w, MALLORY, UNFINISHED); // on_body answers RETRY
    t_app_of(w)->decide = T_LATER;
    c[6] = from(w, MALLORY, "{GET /hello}"); // authorize too
    t_app_of(w)->decide = T_NOW;
    c[7] = t_connect_peer(w, 0, MALLORY);
    c[7]->window = 20; // its last answer is not yet with the peer
    t_say(c[7], "GET /hello HTTP/1.1\r\n" T_HOST "Connection: close\r\n\r\n");
    for (int i = 0; i < 6; i++) {
        t_advance(w, 1000);
        for (int k = 0; k < 8; k++) {
            T_CHECK(!t_ended(c[k]), "connection %d ended after %d s", k, i + 1);
        }
        T_CHECK(from(w, GUEST, "") == NULL, "somebody gave way after %d s", i + 1);
    }
    for (int i = 0; i < 8; i++) {
        T_CHECK(!t_ended(c[i]), "connection %d was taken", i);
    }
    t_app_of(w)->later = 0;
}

// A body whose sender authorize knows counts as proved, so it is not taken before strangers' are.
static void slots_a_known_sender_counts_as_proved(U_STATE) {
    t_world *w = begin(4);
    t_conn *c[4];
    for (uint32_t i = 0; i < 4; i++) {
        t_app_of(w)->known = i == 0;
        c[i] = from(w, MANY + i, BODY);
    }
    t_advance(w, 1500);
    T_CHECK(from(w, GUEST, "") != NULL, "nobody gave way");
    T_CHECK(!t_ended(c[0]) && t_ended(c[1]), "three of four are unknown: the oldest of these");
}

// -- every slot under attack ----------------------------------------------------------------------

static const char *const unfinished[] = {
    "", "G", HALF, BODY, UNFINISHED,
    "{GET /hello}",                    // idle
    "{GET /hello}" HALF,               // half a second head
    "{GET /hello}" BODY,               // a second request without its body
    "POST /echo HTTP/1.1\r\n" T_HOST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n",
};
enum { HEADS = sizeof unfinished / sizeof *unfinished, SLOTS = 16 };

// Attackers that come again whenever they lose their slot.
static void attack(t_world *w, t_conn *c[SLOTS], int addresses, const char *text) {
    for (int i = 0; i < SLOTS; i++) {
        if (c[i] != NULL && c[i]->conn == NULL) {
            t_forget(c[i]);
            c[i] = NULL;
        }
        if (c[i] == NULL) {
            c[i] = from(w, addresses == 1 ? MALLORY : MANY + (uint32_t)i, text);
        }
    }
}

// From one address: a page opens at once, each time.
static void slots_an_attack_from_one_address_keeps_nobody_out(U_STATE) {
    for (int kind = 0; kind < HEADS; kind++) {
        t_world *w = begin(SLOTS);
        t_conn *c[SLOTS] = {NULL};
        for (uint32_t i = 0; i < 100; i++) {
            attack(w, c, 1, unfinished[kind]);
            T_CHECK(gets_the_page(w, GUEST), "kind %d: no slot, time %lu", kind, (unsigned long)i);
            t_advance(w, i % 7 * 40);
        }
        T_CHECK(evicted(w) >= 90, "kind %d: %lu evicted", kind, (unsigned long)evicted(w));
        t_finish(w);
    }
}

// From as many addresses as there are slots: a page opens within 5 s.
static void slots_an_attack_from_many_addresses_keeps_nobody_out_for_long(U_STATE) {
    for (int kind = 0; kind < HEADS; kind++) {
        t_world *w = begin(SLOTS);
        t_conn *c[SLOTS] = {NULL};
        for (int i = 0; i < 10; i++) {
            uint32_t ms = 0;
            attack(w, c, SLOTS, unfinished[kind]);
            t_advance(w, 400);
            while (!gets_the_page(w, GUEST)) {
                attack(w, c, SLOTS, unfinished[kind]);
                t_advance(w, 50);
                ms += 50;
                T_CHECK(ms <= 5000, "kind %d: no page within 5 s, time %d", kind, i);
            }
        }
        t_finish(w);
    }
}

// -- tokens belong to addresses -------------------------------------------------------------------

static t_world *begin_rates(uint32_t conns) {
    t_world *w = t_fixture();
    w->desc.conn_count = conns;
    w->desc.rate_messages = 10;
    w->desc.rate_bytes = 6400;
    t_start(w);
    return w;
}

// Requests, each on a connection of its own; how many were served.
static int served(t_world *w, uint32_t peer, int requests) {
    int n = 0;
    for (int i = 0; i < requests; i++) {
        t_conn *c = from(w, peer, "{GET /hello}");
        n += c != NULL && strncmp(t_take(c), "HTTP/1.1 200 ", 13) == 0;
        if (c != NULL) {
            t_forget(c);
            t_run(w);
        }
    }
    return n;
}

static void slots_reconnecting_gives_no_new_tokens(U_STATE) {
    t_world *w = begin_rates(32);
    T_EQ(served(w, MALLORY, 50), 20); // the burst
    T_EQ(served(w, GUEST, 5), 5);     // another address has its own
    T_EQ(served(w, MALLORY, 5), 0);
    t_advance(w, 1000);
    T_EQ(served(w, MALLORY, 50), 10);
    t_advance(w, 63000); // and time fills it again, however long it was
    T_EQ(served(w, MALLORY, 50), 20);
    t_advance(w, 255000);
    T_EQ(served(w, MALLORY, 50), 20);
}

// ... those of a route's own rate, where the server has none.
static void slots_reconnecting_gives_no_new_tokens_of_a_route(U_STATE) {
    const char *upload = "POST /upload HTTP/1.1\r\n" T_HOST
                         "Content-Length: 2000\r\n\r\n{rep 2000 x}";
    t_world *w = t_fixture();
    w->desc.rate_messages = w->desc.rate_bytes = RTPUSH_UNLIMITED;
    t_routes[T_R_UPLOAD].rate_bytes = 1000;
    t_start(w);
    t_conn *c = from(w, MALLORY, upload); // the burst
    t_expect(c, "HTTP/1.1 200 |2000 ");
    c = from(w, MALLORY, upload);
    T_CHECK(c->in.len > 1000, "%lu bytes held back", (unsigned long)c->in.len);
    t_expect(from(w, GUEST, upload), "HTTP/1.1 200 |2000 ");
}

// A second connection that saves tokens does not give its address more.
static void slots_saved_tokens_do_not_add_up_for_an_address(U_STATE) {
    t_world *w = begin_rates(8);
    t_conn *rich = from(w, MALLORY, "{GET /hello}");
    int all = 0;
    for (int i = 0; i < 8; i++) {
        all += served(w, MALLORY, 20);
        t_say(rich, "{GET /hello}");
    }
    T_CHECK(all <= 20, "%d requests in one second", all);
}

// A busy connection takes all tokens of its address, each second. A newcomer behind the same NAT or
// proxy waits for the next second and is served: no 429 for its first request.
static void slots_a_busy_connection_does_not_lock_out_its_address(U_STATE) {
    t_world *w = begin_rates(12);
    u_peer *busy = peer_from(w, GUEST, "{WS /ws}");
    for (int i = 0; i < 20; i++) {
        for (int n = 0; n < 25; n++) { // more than the rate allows, and than the burst
            t_say(busy->c, "{8A:x}");
        }
        t_conn *c = from(w, GUEST, "{GET /hello}");
        T_CHECK(c != NULL, "refused");
        for (int quarter = 0; quarter < 5; quarter++) { // a second, and a tick
            t_advance(w, 250);
        }
        t_expect(c, "HTTP/1.1 200 |hello");
        t_forget(c);
        t_run(w);
    }
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_RATE], 0);
}

// Two requests a second on new connections, far below the rate, are served for ever.
static void slots_tokens_fill_up_over_reconnects(U_STATE) {
    t_world *w = begin_rates(4);
    for (int i = 0; i < 200; i++) {
        T_EQ(served(w, GUEST, 1), 1);
        t_advance(w, 500);
    }
}

static void slots_bytes_are_counted_over_reconnects(U_STATE) {
    t_world *w = begin_rates(4);
    uint32_t taken = 0;
    for (int i = 0; i < 10; i++) {
        t_conn *c = from(w, MALLORY, UNFINISHED);
        for (int k = 0; k < 100 && c->in.len == 0; k++) {
            t_say(c, "{rep 64 x}");
        }
        taken += (uint32_t)t_app_of(w)->upload.len;
        t_app_of(w)->upload.len = 0;
        t_forget(c);
        t_run(w);
    }
    T_CHECK(taken > 12000 && taken <= 13000, "%lu bytes in one second", (unsigned long)taken);
}

// What a body waits for then is its tokens, not the application.
static void slots_a_body_faster_than_its_rate_gives_way(U_STATE) {
    static const char *const floods[] = {
        UNFINISHED "{rep 20000 x}",
        "POST /upload HTTP/1.1\r\n" T_HOST "Transfer-Encoding: chunked\r\n\r\n"
        "15000\r\n{rep 20000 x}"};
    for (int i = 0; i < 4; i++) {
        t_world *w = begin_rates(SLOTS);
        t_conn *c[SLOTS] = {NULL};
        t_app_of(w)->later = i < 2 ? 0 : 1 << 20;
        for (int k = 0; k < 20; k++) {
            attack(w, c, 1, floods[i % 2]);
            T_EQ(gets_the_page(w, GUEST), i < 2);
            t_advance(w, 350);
        }
        t_app_of(w)->later = 0;
        t_finish(w);
    }
}

// An address is remembered while other slots are free: the one that has been free for longest is
// used next.
static void slots_free_ones_are_used_oldest_first(U_STATE) {
    t_world *w = begin_rates(6);
    T_EQ(served(w, MALLORY, 20), 20);
    for (uint32_t i = 0; i < 5; i++) {
        T_EQ(served(w, MANY + i, 1), 1);
        T_EQ(served(w, MALLORY, 1), 0);
    }
}

static void slots_an_unknown_address_has_tokens_of_its_own(U_STATE) {
    t_world *w = begin_rates(2);
    T_EQ(served(w, 0, 50), 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(slots_the_oldest_goes_first_without_a_clock),
        u_test(slots_bytes_without_a_request_keep_no_slot),
        u_test(slots_an_upload_that_moves_is_not_the_oldest),
        u_test(slots_six_connections_at_once_do_not_evict_one_another),
        u_test(slots_a_connection_that_waits_for_fin_goes_first),
        u_test(slots_the_oldest_of_the_address_that_has_most_goes_at_any_age),
        u_test(slots_unknown_addresses_have_no_majority),
        u_test(slots_a_young_connection_between_requests_gives_way),
        u_test(slots_a_single_connection_is_kept_for_a_second),
        u_test(slots_a_quarter_is_kept_for_proved_connections),
        u_test(slots_of_streams_do_not_count_for_the_quarter),
        u_test(slots_what_is_never_taken),
        u_test(slots_a_known_sender_counts_as_proved),
        u_test(slots_an_attack_from_one_address_keeps_nobody_out),
        u_test(slots_an_attack_from_many_addresses_keeps_nobody_out_for_long),
        u_test(slots_reconnecting_gives_no_new_tokens),
        u_test(slots_reconnecting_gives_no_new_tokens_of_a_route),
        u_test(slots_saved_tokens_do_not_add_up_for_an_address),
        u_test(slots_a_busy_connection_does_not_lock_out_its_address),
        u_test(slots_tokens_fill_up_over_reconnects),
        u_test(slots_bytes_are_counted_over_reconnects),
        u_test(slots_a_body_faster_than_its_rate_gives_way),
        u_test(slots_free_ones_are_used_oldest_first),
        u_test(slots_an_unknown_address_has_tokens_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
