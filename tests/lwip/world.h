// world.h - a server on the first lwIP, peers on the second, a wire between them, one clock.
//
// Nothing here waits: run_for() lets virtual time pass from one thing that is due to the next.
// After every step check_port() holds the port to what must always be so:
//   - bytes lwIP refers to (TCP_SND_BUF - snd_buf) are the bytes the core counts as unacknowledged;
//   - the receive window, what is held and what was refused add up to TCP_WND;
//   - pbufs held are counted rightly and stay within the limit;
//   - a stream has the higher priority;
// and the wire checks that FIN comes when everything was acknowledged, that no packet refers to
// memory it must not refer to, and that each byte which leaves, first or again, is the one that was
// given to tcp_write.

#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "../unit/model.h"
#include "sim.h"

#include <sys/wait.h>
#include <unistd.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"

enum { S_GET = M_KINDS, S_UP, S_PULL, S_BODY, S_KINDS }; // what a peer does, besides the model
enum { S_PORTS = 20000, S_FILE = 20000, S_PULLED = 30000, S_ANSWER = 3000 };
#define S_NEVER 0xFFFFFFFFu
#define S_HASH_A 0x2E400DCBu
#define S_HASH_B 0x2F400F5Eu

typedef struct s_packet {
    uint32_t due_ms;
    uint64_t order;
    int to_server;
    size_t len;
    uint8_t *data;
} s_packet;

typedef struct s_peer {
    m_reader m; // first: the model's callbacks get it
    int kind;
    int number;
    int address;   // SIM_V4 ...
    int live;      // connected or connecting
    int up;        // the handshake is over
    int fin;       // the server has finished
    int lost;      // the connection failed
    int paused;    // reads nothing: the window closes
    size_t unread; // bytes that wait in its window
    t_buf out;     // to be sent
    size_t body_at; // S_UP: bytes of the body queued so far
    uint16_t port;
    uint32_t window;
    uint32_t again_ms; // when it connects again
    uint32_t heard_ms; // when something came last
    uint32_t answers;  // whole ones, of all connections
    uint64_t bytes;    // received, of all connections
} s_peer;

// What the server says to one port of the peers.
typedef struct s_flow {
    t_buf given;    // to tcp_write
    uint32_t first; // sequence number of its first byte
    uint32_t acked; // highest ACK that reached the server
    int acked_any;
} s_flow;

#if defined(SIM_TINY) || defined(SIM_PICO)
enum { S_CONNS = MEMP_NUM_TCP_PCB };
#else
enum { S_CONNS = 10 };
#endif

typedef struct s_world {
    m_sim sim;
    t_world t;
    rtpush_lwip port;
    rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(S_CONNS)];
    rtpush_route routes[7];
    s_packet *packets;
    size_t packet_count;
    size_t packet_cap;
    uint64_t packet_order;
    uint32_t poll_ms; // when rtpush_lwip_poll wants to be called
    int poll_asked;
    s_peer peers[12];
    int peer_count;
    uint8_t owner[S_PORTS]; // peer + 1 of a client port
    uint16_t next_port;
    s_flow flows[S_PORTS];
    // the wire
    int ethernet;
    int needs_copy; // lwipopts.h has PBUF_NEEDS_COPY(p) 1
    uint32_t delay_ms;
    uint32_t jitter_ms;
    uint32_t loss;      // of 1,000
    uint32_t duplicate; // of 1,000
    int split;          // one of so many packets comes in two pbufs; 1: all, behind the header
    // allocations of the server's stack, and calls of tcp_write
    uint64_t allocs;
    uint64_t fail_from; // these fail: [fail_from, fail_to)
    uint64_t fail_to;
    int no_pcbs;          // 1: those of PCBs fail
    uint32_t fail_random; // of 1,000
    // seen on the wire
    uint32_t resets;     // sent by the server
    uint32_t fins;
    uint32_t pushes;     // data packets with PSH
    uint32_t data_packets;
    uint32_t writes;     // calls of tcp_write
    uint32_t log_refs;   // pieces sent from the log, from flash
    uint32_t file_refs;
    uint32_t wakes;
    uint32_t lock_checks; // LWIP_ASSERT_CORE_LOCKED
    uint32_t locks;
    rtpush_handle asked; // who asked for a body last
    int upload_later; // on_body answers RETRY so often, of 100
    int write_error;  // what tcp_write says, if not 0
    int write_errors; // how often it did
    int write_after;  // ... after so many more calls
    int close_error;  // what tcp_close says, if not 0, without closing
    int shutdown_error; // what tcp_shutdown says, if not 0, though it has sent FIN
    int asserts_expected; // assertions of lwIP or the port that the test wants
    const char *asserted; // the last one
    int gap_publishes;    // 1: on_gap writes the log over
    uint32_t gaps_told;   // calls of on_gap
    uint32_t slot_count;  // of the port; 0: one more than connections
    int driver_full;  // 1: the server's netif takes nothing
    int background;   // 1: lwIP is in an interrupt, see background.h
    int no_poll;      // 1: the main loop has forgotten rtpush_lwip_poll
    int strict;       // 1: every request must succeed
    int mute;         // 1: packets to the peers are lost
    int timer;        // desc.timer of the port
    int hog;          // 1: the application allocates every free PCB in a callback
} s_world;

static s_world *the;
static uint8_t s_file[S_FILE];

#include "secure.h"

static uint8_t s_byte(uint32_t at) // of every body
{
    return (uint8_t)(at * 7u + (at >> 8) * 13u);
}

// -- the wire -------------------------------------------------------------------------------------

uint32_t sim_clock_ms(void)
{
    return the->t.now_ms;
}

int sim_alloc_fails(int pcb)
{
    const uint64_t n = the->allocs++;
    return (pcb && the->no_pcbs) || (n >= the->fail_from && n < the->fail_to) ||
           (the->fail_random > 0 && t_below(&the->t.rng, 1000) < the->fail_random);
}

int sim_core_locked(void)
{
    the->lock_checks++;
    return !the->asserts_expected;
}

// What lwIP or the port found wrong: 1 if the test wants it so.
int sim_asserted(const char *what)
{
    the->asserted = what;
    return the->asserts_expected > 0 && the->asserts_expected-- > 0;
}

int sim_needs_copy(int is_volatile)
{
    return the->needs_copy || is_volatile;
}

// What lwIP may say, and never does: it tries again itself where there is no memory for FIN.
static err_t s_tcp_close(struct tcp_pcb *pcb)
{
    return the->close_error != 0 ? (err_t)the->close_error : tcp_close(pcb);
}

static err_t s_tcp_shutdown(struct tcp_pcb *pcb, int shut_rx, int shut_tx)
{
    const err_t err = tcp_shutdown(pcb, shut_rx, shut_tx);
    return the->shutdown_error != 0 && shut_tx ? (err_t)the->shutdown_error : err;
}

static err_t s_tcp_write(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags)
{
    the->writes++;
    if (the->write_error != 0 && the->write_after-- <= 0) {
        the->write_errors++;
        return (err_t)the->write_error;
    }
    const err_t err = sim_alloc_fails(0) ? (err_t)ERR_MEM : tcp_write(pcb, data, len, flags);
    if (err == ERR_OK) {
        t_put(&the->flows[pcb->remote_port].given, data, len);
    }
    return err;
}

static int s_within(const void *at, const void *start, size_t len)
{
    return (const uint8_t *)at >= (const uint8_t *)start &&
           (const uint8_t *)at < (const uint8_t *)start + len;
}

void sim_look(const void *at, size_t len)
{
    const rtpush_server *srv = &the->t.srv;
    const size_t conns = srv->desc.conn_count * (size_t)srv->conn_size;
    size_t values = srv->desc.topic_count * sizeof(*srv->state);
    for (unsigned i = 0; i < srv->desc.topic_count; i++) {
        values += srv->desc.topics[i].max;
    }
    T_CHECK(!s_within(at, srv->conns, conns), "lwIP refers to a connection's own bytes");
    T_CHECK(!s_within(at, srv->state, values), "lwIP refers to a value");
    T_CHECK(!s_within(at, &the->port, sizeof the->port), "lwIP refers to the port's buffer");
    if (len > 0 && s_within(at, srv->log, srv->desc.log_size)) {
        the->log_refs++;
    }
    if (len > 0 && s_within(at, s_file, sizeof s_file)) {
        the->file_refs++;
    }
#if defined(SIM_COPY) || defined(SIM_PICO)
    T_CHECK(the->log_refs + the->file_refs == 0, "not copied");
#endif
}

static uint32_t s_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// The TCP header in a packet, NULL if it has none; *end is the end of the packet.
static const uint8_t *s_tcp_of(const uint8_t *packet, size_t len, const uint8_t **end)
{
    const uint8_t *ip = packet + (the->ethernet ? 14 : 0);
    *end = packet + len;
    if (the->ethernet && ip[-2] == 8 && ip[-1] == 6) {
        return NULL; // ARP
    }
    if (ip[0] >> 4 == 6) {
        return ip[6] == 6 ? ip + 40 : NULL;
    }
    return ip[9] == 6 ? ip + 20 : NULL;
}

// What the server says, looked at as it leaves.
static void s_watch_server(const uint8_t *packet, size_t len)
{
    const uint8_t *end;
    const uint8_t *tcp = s_tcp_of(packet, len, &end);
    if (tcp == NULL) {
        return;
    }
    s_flow *flow = &the->flows[((uint32_t)tcp[2] << 8 | tcp[3]) % S_PORTS];
    const uint8_t *data = tcp + (tcp[12] >> 4) * 4;
    const size_t data_len = (size_t)(end - data);
    the->resets += (tcp[13] & TCP_RST) != 0;
    the->data_packets += data_len > 0;
    the->pushes += data_len > 0 && (tcp[13] & TCP_PSH) != 0;
    if (tcp[13] & TCP_SYN) {
        flow->first = s_word(tcp + 4) + 1;
        return;
    }
    if (data_len > 0) {
        const uint32_t at = s_word(tcp + 4) - flow->first;
        T_CHECK(at + data_len <= flow->given.len, "bytes leave that nobody gave");
        T_CHECK(memcmp(data, flow->given.data + at, data_len) == 0,
                "a valid segment leaves with bytes that are not those of its connection");
    }
    if (tcp[13] & TCP_FIN) {
        the->fins++;
        T_CHECK(data_len == 0 && flow->acked_any && flow->acked - s_word(tcp + 4) < 2,
                "FIN while data is unacknowledged");
    }
}

static void s_watch_client(const uint8_t *packet, size_t len)
{
    const uint8_t *end;
    const uint8_t *tcp = s_tcp_of(packet, len, &end);
    if (tcp == NULL) {
        return;
    }
    s_flow *flow = &the->flows[((uint32_t)tcp[0] << 8 | tcp[1]) % S_PORTS];
    const uint32_t ack = s_word(tcp + 8);
    if ((tcp[13] & TCP_ACK) && (!flow->acked_any || ack - flow->acked < 0x80000000u)) {
        flow->acked = ack;
        flow->acked_any = 1;
    }
}

static void s_put_packet(int to_server, const uint8_t *packet, size_t len)
{
    if (the->packet_count == the->packet_cap) {
        the->packet_cap = the->packet_cap * 2 + 64;
        the->packets = (s_packet *)realloc(the->packets, the->packet_cap * sizeof *the->packets);
    }
    s_packet *p = &the->packets[the->packet_count++];
    p->due_ms = the->t.now_ms + the->delay_ms + t_below(&the->t.rng, the->jitter_ms + 1);
    p->order = the->packet_order++;
    p->to_server = to_server;
    p->len = len;
    p->data = (uint8_t *)malloc(len);
    memcpy(p->data, packet, len);
}

int sim_send(int to_server, const uint8_t *packet, size_t len)
{
    if (!to_server) {
        if (the->driver_full ||
            (the->fail_random > 0 && t_below(&the->t.rng, 1000) < the->fail_random)) {
            return 0;
        }
        s_watch_server(packet, len);
    }
    if (the->mute && !to_server) {
        return 1;
    }
    if (t_below(&the->t.rng, 1000) >= the->loss) {
        s_put_packet(to_server, packet, len);
    }
    if (t_below(&the->t.rng, 1000) < the->duplicate) {
        s_put_packet(to_server, packet, len);
    }
    return 1;
}

// Where the server's driver splits a packet: 0 not at all, else behind the TCP header, or later.
static size_t s_first(const uint8_t *packet, size_t len)
{
    const uint8_t *end;
    const uint8_t *tcp = s_tcp_of(packet, len, &end);
    if (tcp == NULL || the->split == 0 || t_below(&the->t.rng, (uint32_t)the->split) != 0) {
        return 0;
    }
    const size_t headers = (size_t)(tcp - packet) + (size_t)(tcp[12] >> 4) * 4;
    return the->split == 1 || t_below(&the->t.rng, 2) == 0
               ? headers : headers + t_below(&the->t.rng, (uint32_t)(len - headers) + 1);
}

// Brings the packets that are due, in order. Returns 1 if there was one.
static int s_deliver(void)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < the->packet_count; i++) {
        const s_packet *p = &the->packets[i];
        if ((int32_t)(p->due_ms - the->t.now_ms) <= 0 &&
            (best == SIZE_MAX ||
             (int32_t)(p->due_ms - the->packets[best].due_ms) < 0 ||
             (p->due_ms == the->packets[best].due_ms && p->order < the->packets[best].order))) {
            best = i;
        }
    }
    if (best == SIZE_MAX) {
        return 0;
    }
    const s_packet p = the->packets[best];
    the->packets[best] = the->packets[--the->packet_count];
    if (p.to_server) {
        s_watch_client(p.data, p.len);
        T_CHECK(server_packet(p.data, p.len, s_first(p.data, p.len)),
                "somebody wrote into a pbuf that is shared");
    } else {
        peers_packet(p.data, p.len, 0);
    }
    free(p.data);
    return 1;
}

// -- peers ----------------------------------------------------------------------------------------

static void s_say(const s_peer *p)
{
    static const char *const kinds[S_KINDS] = {"SSE", "raw WebSocket", "rtpush.1", "poll", "file",
                                               "upload", "pull", "body"};
    snprintf(t_where, sizeof t_where, "seed %lu, peer %d, %s, at %lu ms",
             (unsigned long)the->sim.seed, p->number, kinds[p->kind], (unsigned long)the->t.now_ms);
}

static void s_pump(s_peer *p)
{
    if (p->up) {
        s_out(p);
    }
    if (!p->paused && p->unread > 0) {
        const size_t n = p->unread < 60000 ? p->unread : 60000;
        p->unread -= n;
        peer_read(p->number, n);
    }
}

void sim_peer_connected(int peer)
{
    the->peers[peer].up = 1;
}

void sim_peer_data(int peer, const uint8_t *data, size_t len)
{
    s_peer *p = &the->peers[peer];
    s_say(p);
    p->unread += len;
    p->bytes += len;
    p->heard_ms = the->t.now_ms;
    s_in(p, data, len);
}

void sim_peer_fin(int peer)
{
    s_say(&the->peers[peer]);
    the->peers[peer].fin = 1;
    t_client_end(&the->peers[peer].m.cl);
}

void sim_peer_gone(int peer)
{
    the->peers[peer].lost = 1;
}

static void s_leave(s_peer *p, int reset)
{
    if (reset) {
        peer_abort(p->number);
    } else {
        peer_forget(p->number);
    }
    p->live = 0;
    p->up = 0;
    p->out.len = 0;
}

static void s_check_body(s_peer *p, size_t len)
{
    const t_client *cl = &p->m.cl;
    T_CHECK(cl->body.len == len, "a body of %zu bytes instead of %zu", cl->body.len, len);
    for (size_t i = 0; i < cl->body.len; i++) {
        T_CHECK(cl->body.data[i] == s_byte((uint32_t)i), "byte %zu of the body differs", i);
    }
}

static void s_request(s_peer *p)
{
    char line[160];
    if (p->kind < M_KINDS) {
        m_hello(&p->m, &p->out);
        return;
    }
    static const char *const path[] = {"/file", "/up", "/pull", "/body"};
    snprintf(line, sizeof line, "%s %s HTTP/1.1\r\nHost: 10.0.0.1\r\n",
             p->kind == S_UP ? "POST" : "GET", path[p->kind - S_GET]);
    t_puts(&p->out, line);
    if (p->kind == S_UP) {
        uint8_t body[6000];
        const uint32_t len = 1 + t_below(&the->sim.rng, sizeof body);
        snprintf(line, sizeof line, "Content-Length: %lu\r\n\r\n", (unsigned long)len);
        for (uint32_t i = 0; i < len; i++) {
            body[i] = s_byte(i);
        }
        t_puts(&p->out, line);
        t_put(&p->out, body, len);
    } else {
        t_puts(&p->out, "\r\n");
    }
}

static void s_on_answer(t_client *cl)
{
    s_peer *p = (s_peer *)cl->user;
    p->answers++;
    if (cl->status == 408 && !the->strict) {
        return; // the wire was too slow for head_ms
    }
    if (p->kind < M_KINDS) {
        m_on_answer(cl);
        return;
    }
    if (cl->status != 200) {
        T_CHECK(!the->strict, "answered %d", cl->status);
        return;
    }
    if (p->kind == S_GET) {
        s_check_body(p, S_FILE);
    } else if (p->kind == S_PULL) {
        s_check_body(p, S_PULLED);
    } else if (p->kind == S_BODY) {
        s_check_body(p, S_ANSWER);
    }
}

// A poll that asked for nothing, and whose answer found no memory for long: events have come and
// gone since it opened, and it is told.
static void s_on_event(t_client *cl, const t_event *ev)
{
    s_peer *p = (s_peer *)cl->user;
    if (p->kind == M_POLL && !p->m.asked_any && strcmp(ev->name, "rtpush") == 0 &&
        strncmp((const char *)ev->data, "gap", 3) == 0) {
        p->m.asked_any = 1;
        p->m.has_pos = the->sim.interrupts == 0;
        p->m.pos = p->m.raw_start;
    }
    m_on_event(cl, ev);
}

static void s_on_frame(t_client *cl, int fin, int opcode, const uint8_t *data, size_t len)
{
    s_peer *p = (s_peer *)cl->user;
    if (opcode == 9) {
        t_frame(&p->out, 0x8A, data, len);
        return;
    }
    m_on_frame(cl, fin, opcode, data, len);
}

static void s_connect(s_peer *p)
{
    s_say(p);
    t_client_free(&p->m.cl);
    p->m.cl.user = &p->m;
    p->m.cl.on_answer = s_on_answer;
    p->m.cl.on_event = s_on_event;
    p->m.cl.on_message = m_on_message;
    p->m.cl.on_frame = s_on_frame;
    p->m.open = 0;
    p->m.polling = 0;
    p->m.part = p->m.fragment = 0;
    p->m.echo_in = p->m.echo_out = p->m.ping_in = p->m.ping_out = 0;
    p->m.direct_in = p->m.direct_out = 0;
    p->out.len = 0;
    p->fin = p->lost = p->up = p->paused = 0;
    p->unread = 0;
    p->port = the->next_port++;
    T_CHECK(p->port < S_PORTS, "the simulation is too long");
    the->owner[p->port] = (uint8_t)(p->number + 1);
    if (peer_connect(p->number, p->address, p->port, p->window) < 0) {
        p->again_ms = the->t.now_ms + 100;
        return;
    }
    p->live = 1;
    p->heard_ms = the->t.now_ms;
    s_secure_connect(p);
    s_request(p);
}

// -- the application ------------------------------------------------------------------------------

static s_peer *s_peer_of(rtpush_server *srv, rtpush_handle conn)
{
    const rtpush_lwip_slot *slot =
        (const rtpush_lwip_slot *)rtpush_port(rtpi_conn_at(srv, conn.index));
    if (slot == NULL || slot->pcb == NULL) {
        return NULL;
    }
    s_peer *p = &the->peers[the->owner[slot->pcb->remote_port] - 1];
    return p->live && p->port == slot->pcb->remote_port ? p : NULL;
}

// background.h
static uint32_t s_records_open(void); // 1: the newest is being written, by what was interrupted
static void s_interrupt_point(void);

static void s_open(rtpush_server *srv, const rtpush_request *req)
{
    // 10.0.0.2, and FNV-1a of the eight bytes fd00::1 and fd00::2 begin with: one for each /64.
    static const uint32_t values[SIM_ADDRESSES] = {0x0A000002, S_HASH_A, S_HASH_A, S_HASH_B};
    s_peer *p = s_peer_of(srv, req->conn);
    t_life_begin(&the->t, req->conn, 1);
    rtpush_set_user(srv, req->conn, p);
    if (p == NULL) {
        return; // it has left since
    }
    T_CHECK(req->peer == values[p->address], "the peer value is %lx", (unsigned long)req->peer);
    p->m.open = 1;
    p->m.raw_start = m_last_seq(&the->sim) - s_records_open();
    p->m.raw_last = p->m.raw_start;
    p->m.raw_got = 0;
    p->m.raw_missed = 0;
}

static void s_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed)
{
    (void)srv;
    t_life_end(&the->t, conn);
    T_CHECK(closed->reason < RTPUSH_REASON_SYNTAX || closed->reason == RTPUSH_REASON_STREAM_LIMIT,
            "an honest peer was closed: %s", rtpush_reason_text(closed->reason));
}

static int s_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg)
{
    t_life_use(&the->t, conn);
    if (t_below(&the->sim.rng, 100) < 10 && !the->sim.quiet) {
        return RTPUSH_RETRY;
    }
    if (the->port.depth == 0 || rtpush_lwip_poll(&the->port) != 0) {
        T_FAIL("rtpush_lwip_poll inside a callback does something");
    }
    const int result = rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
    return result == RTPUSH_OK ? RTPUSH_OK : RTPUSH_RETRY;
}

// Not by the model: nobody is to get these.
static void s_write_log_over(void)
{
    static const uint8_t text[201] = {0};
    for (uint32_t i = 0; i < the->t.desc.log_size / 200; i++) {
        T_CHECK(rtpush_publish(&the->t.srv, i == 0 ? M_B : M_A, text, 200) == RTPUSH_OK, "publish");
    }
}

static void s_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed)
{
    s_peer *p = (s_peer *)rtpush_user(srv, conn);
    t_life_use(&the->t, conn);
    the->gaps_told++;
    if (p != NULL) {
        p->m.raw_missed += missed;
    }
    if (the->gap_publishes) {
        s_write_log_over();
    }
}

static uint32_t s_uploaded[64]; // by slot: bytes so far, and announced
static uint32_t s_announced[64];

static void s_on_request(rtpush_server *srv, const rtpush_request *req)
{
    (void)srv;
    t_life_begin(&the->t, req->conn, 2);
    s_uploaded[req->conn.index] = 0;
    s_announced[req->conn.index] = req->content_length;
}

static int s_on_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                     size_t len, int last)
{
    if (!the->sim.quiet && (int)t_below(&the->sim.rng, 100) < the->upload_later) {
        return RTPUSH_RETRY;
    }
    for (size_t i = 0; i < len; i++) {
        T_CHECK(data[i] == s_byte(s_uploaded[req->conn.index]++), "an uploaded byte differs");
    }
    if (last) {
        T_CHECK(s_uploaded[req->conn.index] == s_announced[req->conn.index],
                "an upload is incomplete");
        rtpush_reply_text(srv, req->conn, 200, "thanks");
    }
    return RTPUSH_OK;
}

static int s_pull(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                  uint8_t *buf, size_t cap)
{
    (void)srv;
    (void)conn;
    (void)user;
    size_t n = S_PULLED - offset;
    n = n < cap ? n : cap;
    for (size_t i = 0; i < n; i++) {
        buf[i] = s_byte(offset + (uint32_t)i);
    }
    return (int)n;
}

static void s_on_pull(rtpush_server *srv, const rtpush_request *req)
{
    struct tcp_pcb *mine[12] = {NULL};
    rtpush_response response = {0};
    response.pull = s_pull;
    for (int i = 0; i < 12 && the->hog; i++) {
        mine[i] = tcp_new();
    }
    for (int i = 0; i < 12; i++) {
        if (mine[i] != NULL) {
            tcp_abort(mine[i]);
        }
    }
    t_life_begin(&the->t, req->conn, 2);
    T_CHECK(rtpush_reply(srv, req->conn, &response) == RTPUSH_OK, "the reply was refused");
}

// An answer that is valid until on_close and no longer.
static void s_on_body_asked(rtpush_server *srv, const rtpush_request *req)
{
    rtpush_response response = {0};
    uint8_t *body = (uint8_t *)malloc(S_ANSWER);
    for (uint32_t i = 0; i < S_ANSWER; i++) {
        body[i] = s_byte(i);
    }
    response.body = body;
    response.len = S_ANSWER;
    response.body_static = 1;
    t_life_begin(&the->t, req->conn, 2);
    rtpush_set_user(srv, req->conn, body);
    the->asked = req->conn;
    T_CHECK(rtpush_reply(srv, req->conn, &response) == RTPUSH_OK, "the reply was refused");
}

static void s_body_closed(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed)
{
    uint8_t *body = (uint8_t *)rtpush_user(srv, conn);
    memset(body, 0xEE, S_ANSWER);
    free(body);
    s_close(srv, conn, closed);
}

// -- hooks of the user ----------------------------------------------------------------------------

static void s_lock(void *ctx)
{
    s_world *w = (s_world *)ctx;
    s_interrupt_point();
    w->locks++;
    T_CHECK(w->t.lock_depth++ == 0, "the lock was taken twice");
}

static void s_unlock(void *ctx)
{
    s_world *w = (s_world *)ctx;
    T_CHECK(w->t.lock_depth-- == 1, "unlock without lock");
    s_interrupt_point();
}

static void s_wake(void *ctx)
{
    ((s_world *)ctx)->wakes++;
    ((s_world *)ctx)->poll_asked = 1;
}

// -- what must always hold ------------------------------------------------------------------------

static int s_is_stream(const rtpush_conn *c)
{
    return c->state == RTPI_STREAM;
}

// As T_CHECK; where it was is written only if it fails: this is looked at all the time.
#define S_CHECK(slot, condition, ...) \
    do { \
        if (!(condition)) { \
            snprintf(t_where, sizeof t_where, "seed %lu, slot %d, at %lu ms", \
                     (unsigned long)the->sim.seed, (int)((slot) - the->slots), \
                     (unsigned long)the->t.now_ms); \
            T_CHECK(condition, __VA_ARGS__); \
        } \
    } while (0)

static void s_check_slot(const rtpush_lwip_slot *slot)
{
    const struct tcp_pcb *pcb = slot->pcb;
    if (slot->flags & RTPI_LWIP_ABORT) {
        return; // only waits to be aborted
    }
    const uint32_t unsent = (uint32_t)(TCP_SND_BUF - pcb->snd_buf);
    uint32_t held = slot->held ? slot->held->tot_len : 0;
    held += pcb->refused_data ? pcb->refused_data->tot_len : 0;
    S_CHECK(slot, pcb->state != TIME_WAIT && pcb->state != CLOSED, "a PCB that may vanish is kept");
    if (slot->conn->state < RTPI_DEAD) {
        S_CHECK(slot, s_agrees(slot->conn, unsent), "unacked %lu, lwIP refers to %lu",
                (unsigned long)slot->conn->unacked, (unsigned long)unsent);
    }
    S_CHECK(slot, slot->pbufs == rtpi_lwip_clen(slot->held) + rtpi_lwip_clen(pcb->refused_data),
            "%u pbufs counted for a connection", slot->pbufs);
    if (pcb->state == ESTABLISHED) {
        S_CHECK(slot, pcb->rcv_wnd + held == TCP_WND, "a window of %lu and %lu held",
                (unsigned long)pcb->rcv_wnd, (unsigned long)held);
    }
    S_CHECK(slot, pcb->flags & TF_NODELAY, "Nagle is on");
}

static void s_check_port(void)
{
    uint32_t held = 0;
    uint32_t blocked = 0;
    uint32_t aborts = 0;
    T_CHECK(the->port.depth == 0, "depth");
    for (uint32_t i = 0; i < the->port.desc.slot_count; i++) {
        const rtpush_lwip_slot *slot = &the->slots[i];
        if (slot->conn == NULL) {
            continue;
        }
        S_CHECK(slot, rtpush_port(slot->conn) == slot, "the core has another port pointer");
        held += slot->pbufs;
        blocked += (slot->flags & RTPI_LWIP_BLOCKED) != 0;
        aborts += (slot->flags & RTPI_LWIP_ABORT) != 0;
        if (slot->pcb != NULL) {
            s_check_slot(slot);
        }
    }
    T_CHECK(held == the->port.held, "held pbufs: %lu counted, %lu there",
            (unsigned long)the->port.held, (unsigned long)held);
    T_CHECK(held <= PBUF_POOL_SIZE / 2, "%lu pbufs are held", (unsigned long)held);
    T_CHECK(blocked == the->port.blocked, "blocked slots: counted wrongly");
    T_CHECK(aborts == the->port.abort_count, "abort_count is wrong");
}

// The priority follows at the next service, so this is looked at when nothing is ready.
static void s_check_prio(void)
{
    for (uint32_t i = 0; i < the->port.desc.slot_count; i++) {
        const rtpush_lwip_slot *slot = &the->slots[i];
        if (slot->conn != NULL && slot->pcb != NULL && slot->conn->state < RTPI_DEAD) {
            T_CHECK(slot->pcb->prio == (s_is_stream(slot->conn) ? TCP_PRIO_NORMAL : TCP_PRIO_MIN),
                    "priority %d of a connection in state %d", slot->pcb->prio, slot->conn->state);
        }
    }
}

static void s_dump(void)
{
    for (uint32_t i = 0; i < the->port.desc.slot_count; i++) {
        const rtpush_lwip_slot *slot = &the->slots[i];
        const rtpush_conn *c = slot->conn;
        const struct tcp_pcb *pcb = slot->pcb;
        if (c != NULL) {
            fprintf(stderr, "slot %lu: flags %x pbufs %u; core state %u flags %x unacked %lu tx %u",
                    (unsigned long)i, slot->flags, slot->pbufs, c->state, c->flags,
                    (unsigned long)c->unacked, c->tx_len - c->tx_head);
        }
        if (c != NULL && pcb != NULL) {
            fprintf(stderr, "; pcb port %u state %d flags %x sndbuf %u queue %u wnd %u cwnd %u "
                            "rto %d rtime %d nrtx %u unsent %d unacked %d persist %u/%u refused %d",
                    pcb->remote_port, pcb->state, pcb->flags, pcb->snd_buf, pcb->snd_queuelen,
                    pcb->snd_wnd, pcb->cwnd, pcb->rto, pcb->rtime, pcb->nrtx, pcb->unsent != NULL,
                    pcb->unacked != NULL, pcb->persist_cnt, pcb->persist_backoff,
                    pcb->refused_data != NULL);
        }
        if (c != NULL) {
            fputc('\n', stderr);
        }
    }
    for (int i = 0; i < the->peer_count; i++) {
        const s_peer *p = &the->peers[i];
        fprintf(stderr, "peer %d: kind %d port %u live %d up %d fin %d lost %d out %zu unread %zu "
                        "window %lu step %d\n", i, p->kind, p->port, p->live, p->up, p->fin,
                p->lost, p->out.len, p->unread, (unsigned long)p->window, p->m.cl.step);
    }
}

// -- time -----------------------------------------------------------------------------------------

static uint32_t s_sooner(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void s_poll(void)
{
    if (!the->no_poll && (!the->background || the->poll_asked)) {
        the->poll_asked = 0;
        const uint32_t ms = rtpush_lwip_poll(&the->port);
        the->poll_ms = the->t.now_ms + s_sooner(ms, 1u << 30);
    }
}

// Everything that can happen now. Returns ms until the next thing.
static uint32_t s_step(void)
{
    for (int i = 0; i < 400 && s_deliver(); i++) {
        s_check_port();
    }
    uint32_t wait = s_sooner(server_timers(), peers_timers());
    s_poll();
    s_check_port();
    for (int i = 0; i < the->peer_count; i++) {
        s_pump(&the->peers[i]);
    }
    for (size_t i = 0; i < the->packet_count; i++) {
        const int32_t ms = (int32_t)(the->packets[i].due_ms - the->t.now_ms);
        wait = s_sooner(wait, ms > 0 ? (uint32_t)ms : 0);
    }
    if (!the->no_poll && !the->background) { // there lwIP's timers do it
        const int32_t ms = (int32_t)(the->poll_ms - the->t.now_ms);
        wait = s_sooner(wait, ms > 0 ? (uint32_t)ms : 0);
    }
    return wait;
}

static void run_for(uint32_t ms)
{
    while (ms > 0) {
        uint32_t wait = s_step();
        wait = wait < 1 ? 1 : s_sooner(wait, ms);
        the->t.now_ms += wait;
        ms -= wait;
    }
    (void)s_step();
}

// -- begin and end --------------------------------------------------------------------------------

static void s_routes(void)
{
    static const rtpush_asset file = {"application/octet-stream", s_file, S_FILE, NULL, 0, NULL,
                                      NULL};
    static const char *const paths[7] = {"/ev", "/ws",   "/poll", "/file",
                                         "/up", "/pull", "/body"};
    static const rtpush_kind *const kinds[7] = {
        &rtpush_events, &rtpush_websocket, &rtpush_poll, &rtpush_file, &rtpush_upload,
        &rtpush_handler, &rtpush_handler};
    for (uint32_t i = 0; i < S_FILE; i++) {
        s_file[i] = s_byte(i);
    }
    for (int i = 0; i < 7; i++) {
        rtpush_route *r = &the->routes[i];
        r->path = paths[i];
        r->kind = kinds[i];
        r->on_open = i < 3 ? s_open : NULL;
        r->on_close = i == 3 ? NULL : s_close;
        r->on_gap = s_gap;
    }
    the->routes[1].on_message = s_message;
    the->routes[3].asset = &file;
    the->routes[4].methods = RTPUSH_POST;
    the->routes[4].max_body = 100000;
    the->routes[4].on_request = s_on_request;
    the->routes[4].on_body = s_on_body;
    the->routes[5].on_request = s_on_pull;
    the->routes[6].on_request = s_on_body_asked;
    the->routes[6].on_close = s_body_closed;
}

static void s_topics(uint32_t state_max)
{
    static const char *const names[M_TOPICS] = {"a", "s", "b", "u"};
    for (int i = 0; i < M_TOPICS; i++) {
        the->sim.topics[i].name = names[i];
        the->sim.topics[i].kind = i == M_S || i == M_U ? &rtpush_topic_state : &rtpush_topic_event;
    }
    the->sim.topics[M_S].max = 24;
    the->sim.topics[M_U].max = (uint16_t)state_max;
}

// A world with the defaults below; change desc and the wire before world_start.
static s_world *world_new(uint32_t seed)
{
    the = (s_world *)calloc(1, sizeof *the);
    rtpush_desc *d = &the->t.desc;
    the->t.rng = t_seed(seed + 1000003u);
    the->t.now_ms = 1000;
    the->t.extra = &the->sim;
    the->sim.seed = seed;
    the->sim.rng = t_seed(seed);
    the->sim.w = &the->t;
    the->t.lives = (t_life *)calloc(T_HANDLES, sizeof *the->t.lives);
    the->next_port = 10000;
    the->delay_ms = 5;
    the->needs_copy = 1;
    s_topics(60);
    s_routes();
    d->routes = the->routes;
    d->route_count = 7;
    d->topics = the->sim.topics;
    d->topic_count = M_TOPICS;
    d->conn_count = 8;
    d->rx_size = 512;
    d->tx_size = 512;
    d->log_size = 4096;
    d->rate_messages = RTPUSH_UNLIMITED;
    d->rate_bytes = RTPUSH_UNLIMITED;
    d->epoch = 0x10000000u + seed;
    d->user = &the->t;
    return the;
}

static void world_start(uint32_t mtu, int publish_from)
{
    rtpush_desc *d = &the->t.desc;
    rtpush_lwip_desc p = {0};
    const uint32_t sum = 24u + the->sim.topics[M_U].max;
    d->memory_size =
        8 * RTPUSH_WORDS(d->conn_count, d->rx_size, d->tx_size, d->log_size, M_TOPICS, sum);
    d->memory = calloc(d->memory_size, 1);
    the->sim.largest = d->log_size / 4 - 24;
    the->sim.largest = the->sim.largest < M_PAYLOAD - 2 ? the->sim.largest : M_PAYLOAD - 2;
    T_CHECK(rtpush_init(&the->t.srv, d) == RTPUSH_OK, "not started: %s",
            rtpush_config_error(&the->t.srv));
    the->t.srv.desc.user = &the->t;
    s_secure_start();
    server_start(mtu, the->ethernet ? SIM_ETHERNET : 0);
    peers_start(mtu, the->ethernet ? SIM_ETHERNET : 0);
    p.slots = the->slots;
    p.slot_count = the->slot_count ? the->slot_count : d->conn_count + 1;
    p.publish_from = (uint8_t)publish_from;
    if (publish_from) {
        p.lock = s_lock;
        p.unlock = s_unlock;
    }
    p.timer = (uint8_t)the->timer;
    p.wake = s_wake;
    p.ctx = the;
    T_CHECK(rtpush_lwip_init(&the->port, &p) == ERR_OK, "rtpush_lwip_init");
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, NULL, 80, S_LISTENER) == ERR_OK, "listen");
    the->sim.cap = the->t.srv.desc.max_streams;
    the->sim.first_seq = rtpush_last_id(&the->t.srv).seq;
    the->sim.records[0].topic = M_HOLE;
    the->sim.count = 1;
    the->allocs = 0;
}

static s_peer *world_peer(int kind, uint32_t topics)
{
    s_peer *p = &the->peers[the->peer_count];
    p->number = the->peer_count++;
    p->kind = kind;
    p->window = 0xFFFF;
    p->m.sim = &the->sim;
    p->m.kind = kind < M_KINDS ? kind : M_SSE;
    p->m.topics = topics;
    return p;
}

// All is over: nothing may be left, in the core, the port and both stacks.
static void world_end(void)
{
    char what[200];
    the->loss = 0;
    the->fail_random = 0;
    for (int i = 0; i < the->peer_count; i++) {
        if (the->peers[i].live) {
            s_leave(&the->peers[i], i % 2);
        }
    }
    run_for(60000);
    snprintf(t_where, sizeof t_where, "seed %lu, at the end", (unsigned long)the->sim.seed);
    const rtpush_counters *count = rtpush_get_counters(&the->t.srv);
    T_CHECK(count->slots_used == 0, "%lu slots are not free", (unsigned long)count->slots_used);
    T_CHECK(the->port.held == 0 && the->port.blocked == 0, "the port holds something");
    s_secure_end();
    for (size_t i = 0; i < the->t.life_count; i++) {
        T_CHECK(the->t.lives[i].closes == 1, "on_close is missing");
    }
    rtpush_lwip_close(&the->port);
    run_for(200000);
    T_CHECK(server_in_use(what, sizeof what) == 0, "the server's lwIP keeps%s", what);
    T_CHECK(peers_in_use(what, sizeof what) == 0, "the peers' lwIP keeps%s", what);
}

#endif // SIM_WORLD_H
