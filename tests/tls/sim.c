// Random runs of the TLS filter, each exactly repeatable by its seed: a few clients that echo over
// WebSockets, with buffers, slots, records, windows, acknowledgements, deadlines and ends drawn at
// random. What comes back must be what was sent; in a run without accidents all of it. After every
// call the rules of tests/unit/harness.h hold, and at the end everything is free.
// Usage: sim SEEDS [FIRST]
#include "peer.h"

enum { S_CLIENTS = 5 };

typedef struct s_client {
    p_peer *peer; // NULL: not there
    int asked;    // the upgrade was sent
    int harmed;   // something was done that may cut it
    t_buf expected;
    size_t head; // bytes of the answer's head, 0 not seen yet
} s_client;

typedef struct s_run {
    t_world *w;
    t_rng rng;
    s_client clients[S_CLIENTS];
    int accidents; // 1: cuts, closes and floods happen
    uint32_t record; // most bytes in one
    uint32_t done;   // messages that came back
} s_run;

static uint32_t s_below(s_run *r, uint32_t n) {
    return t_below(&r->rng, n);
}

static void s_dial(s_run *r, s_client *c) {
    t_conn *conn = t_connect_peer(r->w, RTPUSH_LISTENER_SECURE, 1);
    if (conn == NULL) {
        return;
    }
    c->peer = p_make(conn);
    conn->hold_acks = (int)s_below(r, 2);
    conn->window = s_below(r, 2) ? SIZE_MAX : 0;
    c->peer->record = 1 + s_below(r, r->record);
    c->peer->slow = s_below(r, 3) ? 0 : 1 + s_below(r, 400);
    p_handshake(c->peer, 0);
}

static void s_leave(s_client *c) {
    p_hang_up(c->peer);
    t_buf_free(&c->expected);
    memset(c, 0, sizeof *c);
}

static void s_send(s_run *r, s_client *c) {
    uint8_t data[400];
    const size_t len = s_below(r, 3) ? s_below(r, 60) : s_below(r, 380);
    if (!c->asked) {
        t_expand(&c->peer->want, "{WS /ws}");
        c->asked = 1;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)t_rand(&r->rng);
    }
    t_frame(&c->peer->want, 0x82, data, len);
    t_put_server_frame(&c->expected, 0x82, data, len);
}

// What came must be the beginning of what was sent.
static void s_compare(s_client *c) {
    const t_buf *got = &c->peer->got;
    if (c->head == 0) {
        const char *end = strstr(t_text(got), "\r\n\r\n");
        if (end == NULL) {
            return;
        }
        T_CHECK(strncmp(t_text(got), "HTTP/1.1 101 ", 13) == 0, "answered %.20s", t_text(got));
        c->head = (size_t)(end - t_text(got)) + 4;
    }
    size_t n = 0;
    while (n < got->len - c->head && n < c->expected.len &&
           got->data[c->head + n] == c->expected.data[n]) {
        n++;
    }
    if (n < got->len - c->head) { // only a Close may come unasked, after it nothing is an echo
        T_CHECK(c->harmed && got->data[c->head + n] == 0x88, "an echo differs at %lu",
                (unsigned long)n);
    }
}

static void s_accident(s_run *r, s_client *c) {
    p_peer *peer = c->peer;
    c->harmed = 1;
    switch (s_below(r, 8)) {
    case 0:
        t_cut(peer->c);
        break;
    case 1:
        t_eof(peer->c);
        break;
    case 2:
        p_bye(peer);
        break;
    case 3: // nonsense on the wire
        t_put(&peer->wire, "\x17\x03\x03\x00\x20nonsense", 13);
        break;
    case 4:
        if (peer->wire.len > 0) {
            peer->wire.data[s_below(r, (uint32_t)peer->wire.len)] ^= 0x10;
        }
        break;
    case 5: // it says nothing more
        peer->writes = peer->written;
        break;
    case 6:
        if (peer->c->conn != NULL) {
            r->w->call = T_IN_API;
            (void)rtpush_close(&r->w->srv, peer->c->handle, 1000, "enough");
            t_leave(r->w);
        }
        break;
    default: // half a handshake by somebody else
        t_says(peer->c, "GET");
        break;
    }
}

static void s_turn(s_run *r) {
    t_world *w = r->w;
    s_client *c = &r->clients[s_below(r, S_CLIENTS)];
    const uint32_t what = s_below(r, 100);
    if (c->peer == NULL) {
        s_dial(r, c);
        return;
    }
    if (what < 25) {
        s_send(r, c);
    } else if (what < 60) {
        (void)p_step(c->peer);
    } else if (what < 70) {
        if (c->peer->c->window != SIZE_MAX) {
            c->peer->c->window = s_below(r, 3000);
        }
        t_ack(c->peer->c, s_below(r, 2) ? c->peer->c->unacked : s_below(r, 200));
    } else if (what < 78) {
        t_advance(w, s_below(r, 120));
    } else if (what < 82) {
        t_app_of(w)->later = (int)s_below(r, 4);
    } else if (what < 84) {
        w->bite = s_below(r, 2) ? 0 : 1 + s_below(r, 500);
    } else if (what < 86) {
        c->peer->deaf = (int)s_below(r, 2);
    } else if (what == 86 && r->accidents) {
        s_accident(r, c);
    } else if (what == 87 && c->peer->c->conn == NULL) {
        s_leave(c);
        return;
    }
    s_compare(c);
}

// Runs without accidents until nothing moves: all that was sent must have come back.
static void s_calm(s_run *r) {
    t_world *w = r->w;
    w->bite = 0;
    t_app_of(w)->later = 0;
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < S_CLIENTS; i++) {
            s_client *c = &r->clients[i];
            if (c->peer != NULL) {
                c->peer->c->window = SIZE_MAX;
                c->peer->c->hold_acks = 0;
                c->peer->deaf = 0;
                c->peer->slow = 0;
                t_ack(c->peer->c, c->peer->c->unacked);
                p_run(c->peer);
                s_compare(c);
            }
        }
        t_advance(w, 250);
    }
}

static void s_one(uint32_t seed) {
    s_run run;
    s_run *r = &run;
    memset(r, 0, sizeof *r);
    r->rng = t_seed(seed);
    snprintf(t_where, sizeof t_where, "seed %lu", (unsigned long)seed);
    p.seed = seed;
    r->w = p_world();
    r->accidents = (int)s_below(r, 2);
    r->w->quiet = 1;
    r->w->desc.rate_bytes = r->w->desc.rate_messages = RTPUSH_UNLIMITED;
    r->w->desc.ping_ms = r->w->desc.stall_ms = r->w->desc.idle_ms = 600000;
    r->w->desc.head_ms = 600000;
    r->w->desc.conn_count = 6 + s_below(r, 3);
    r->w->desc.max_streams = 6;
    p.desc.slot_count = r->accidents ? 2 + s_below(r, 4) : S_CLIENTS;
    p.desc.max_handshakes = 1 + s_below(r, p.desc.slot_count);
    const uint32_t in = s_below(r, 4);
    r->record = p_sizes(in, s_below(r, 4));
    if (!r->accidents) {
        p.desc.give_way_ms = 1000000; // slow ones are not in anybody's way
    }
    p_start(r->w);
    r->w->in_mode = s_below(r, 3) ? T_RANDOM : T_WHOLE;
    r->w->rng = t_seed(seed + 1);
    const uint32_t turns = 200 + s_below(r, 600);
    for (uint32_t i = 0; i < turns; i++) {
        s_turn(r);
    }
    s_calm(r);
    for (int i = 0; i < S_CLIENTS; i++) {
        s_client *c = &r->clients[i];
        if (c->peer == NULL) {
            continue;
        }
        if (!r->accidents && c->asked) {
            T_CHECK(c->peer->got.len == c->head + c->expected.len && c->head > 0,
                    "%lu bytes of %lu came back", (unsigned long)(c->peer->got.len - c->head),
                    (unsigned long)c->expected.len);
        }
        s_leave(c);
    }
    p_finish(r->w);
    t_where[0] = 0;
}

int main(int argc, char **argv) {
    const uint32_t seeds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
    const uint32_t first = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    p_load_all();
    for (uint32_t i = 0; i < seeds; i++) {
        s_one(first + i);
    }
    printf("%lu passed, 0 failed\n", (unsigned long)seeds);
    return 0;
}
