// rules.h - one test for each rule of the port. Each ends with world_end: nothing may be left.

#ifndef SIM_RULES_H
#define SIM_RULES_H

typedef struct s_rule {
    const char *name;
    void (*run)(void);
} s_rule;

static s_world *r_world(uint32_t conns, uint32_t mtu)
{
    world_new(1);
    the->sim.quiet = 1; // the application never answers RETRY by chance
    the->strict = 1;
    the->t.desc.conn_count = conns;
    world_start(mtu, 0);
    return the;
}

static s_peer *r_peer(int kind)
{
    s_peer *p = world_peer(kind, 15);
    s_connect(p);
    return p;
}

// A peer that is there; streams have begun.
static s_peer *r_ready(int kind)
{
    s_peer *p = r_peer(kind);
    run_for(60);
    s_say(p);
    T_CHECK(p->up && !p->lost, "it did not connect");
    T_CHECK(kind == M_POLL || kind >= M_KINDS || p->m.open, "the stream did not open");
    return p;
}

// An event of exactly so many bytes. The model makes payloads from their number and the largest
// size, so one test uses one length.
static void r_publish(int topic, size_t len)
{
    static uint8_t text[M_PAYLOAD + 1];
    m_sim *sim = &the->sim;
    uint32_t n;
    sim->largest = (uint32_t)len;
    do {
        n = m_new_payload(sim, topic);
    } while (m_payload(sim, 'e', n, len, text) != len);
    m_record *rec = m_new_record(sim, topic);
    rec->n = n;
    m_published(sim, rec, topic, t_publish(&the->t, (unsigned)topic, text, len));
}

// -- sending --------------------------------------------------------------------------------------

static void r_overwrite_the_log(size_t len)
{
    for (uint32_t i = 0; i < 2 * the->t.desc.log_size / len; i++) {
        r_publish(M_A, len);
    }
}

static void r_log_by_reference(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    r_publish(M_A, 300);
    run_for(50);
#ifndef SIM_COPY
    T_CHECK(the->log_refs > 0, "300 bytes of the log were copied");
#endif
    T_CHECK(p->m.raw_got == 1, "it did not come");
    the->log_refs = 0;
    world_end();
}

static void r_small_is_copied(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    r_publish(M_A, 200);
    run_for(50);
    T_CHECK(p->m.raw_got == 1, "it did not come");
    T_CHECK(the->log_refs == 0, "200 bytes of the log were sent by reference");
    world_end();
}

// What lwIP has copied reserves no log: a reader that cannot acknowledge while its last events are
// evicted is kept, and gets a gap notice.
static void r_copies_reserve_no_log(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    r_publish(M_A, 200);
    run_for(1);
    the->mute = 1;
    r_publish(M_A, 200);
    r_overwrite_the_log(200);
    run_for(1000);
    the->mute = 0;
    run_for(8000);
    T_CHECK(the->log_refs == 0, "200 bytes of the log were sent by reference");
    T_CHECK(!p->lost, "the reader was dropped");
    T_CHECK(rtpush_get_counters(&the->t.srv)->gaps > 0, "it was not told");
    world_end();
}

// Without PBUF_NEEDS_COPY(p) 1 in lwipopts.h; this is what rtpush_lwip_init makes of it.
static void r_log_is_copied_if_need_be(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    T_CHECK(the->port.refer == 1, "PBUF_NEEDS_COPY was not seen");
    the->port.refer = 0;
    r_publish(M_A, 300);
    run_for(50);
    T_CHECK(the->log_refs == 0 && p->m.raw_got == 1, "the log was sent by reference");
    world_end();
}

static void r_flash_by_reference(void)
{
    r_world(8, 1500);
    s_peer *p = r_peer(S_GET);
    run_for(2000);
    T_CHECK(p->answers == 1, "no answer");
#ifndef SIM_COPY
    T_CHECK(the->file_refs > 10, "a file was copied");
#endif
    world_end();
}

// The first transmission is lost, and the log is overwritten. The retransmission must have the
// right bytes, or the connection must have been aborted.
static void r_referenced_bytes_stay(void)
{
    r_world(8, 1500);
    s_peer *p = world_peer(M_RAW, 1u << M_A);
    s_connect(p);
    run_for(60);
    r_publish(M_A, 400);
    the->loss = 1000;
    run_for(1);
    for (int i = 0; i < 8; i++) {
        r_publish(M_B, 400);
        run_for(1);
    }
    the->loss = 0;
    run_for(8000);
    T_CHECK(p->m.raw_got == 1 && !p->lost, "the event did not come");
    world_end();
}

// Fast retransmit takes a segment from before others that were sent. If the driver is full then, it
// is the last that waits, and lwIP would add the next write to it, at the wrong place.
static void r_nothing_follows_a_retransmission(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    the->loss = 1000;
    for (int i = 0; i < 5; i++) { // one lost and four that each bring the same ACK
        r_publish(M_A, 20);
        run_for(1);
        the->loss = 0;
    }
    the->driver_full = 1;
    run_for(20);
    r_publish(M_A, 20);
    run_for(1);
    the->driver_full = 0;
    run_for(3000);
    T_CHECK(p->m.raw_got == 6 && !p->lost, "%lu of 6 came", (unsigned long)p->m.raw_got);
    world_end();
}

// The same with a connection whose tcp_write failed in a callback: it is aborted by the next
// rtpush_lwip_poll, and lwIP may retransmit until then.
static void r_bytes_of_a_connection_to_abort_stay(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    r_publish(M_A, 300);
    the->mute = 1;
    run_for(1);
    T_CHECK(the->data_packets > 0, "nothing is in flight");
    the->no_poll = 1;
    the->write_error = ERR_CONN;
    t_frame(&p->out, 0x89, "?", 1); // the pong finds the error
    run_for(10);
    T_CHECK(the->write_errors == 1 && the->port.abort_count == 1, "no abort is scheduled");
    r_overwrite_the_log(300);
    run_for(5000);
    the->no_poll = 0;
    the->mute = 0;
    run_for(10);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    world_end();
}

static void r_connection_to_abort_is_not_served(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    the->no_poll = 1;
    the->write_error = ERR_CONN;
    t_frame(&p->out, 0x89, "?", 1);
    run_for(10);
    r_publish(M_A, 300);
    the->no_poll = 0;
    run_for(10);
    T_CHECK(the->write_errors == 1, "it is still served");
    T_CHECK(p->lost && the->resets == 1, "no reset came");
    world_end();
}

// A segment waits for ARP when its connection ends and what it refers to is written over: the log,
// or an answer after on_close.
static void r_wait_for_arp(int needs_copy, int answer)
{
    const rtpush_handle none = {0, 0};
    world_new(1);
    the->sim.quiet = 1;
    the->ethernet = 1;
    the->needs_copy = needs_copy;
    world_start(1500, 0);
    s_peer *p = r_peer(answer ? S_BODY : M_RAW);
    t_buf asks = p->out;
    if (answer) {
        memset(&p->out, 0, sizeof p->out);
    }
    run_for(60);
    server_forget();
    the->data_packets = 0;
    the->mute = 1;
    if (answer) {
        p->out = asks;
    } else {
        r_publish(M_A, 300);
    }
    run_for(8);
    const rtpush_handle conn = answer ? the->asked : rtpush_next_stream(&the->t.srv, none);
    T_CHECK(rtpush_abort(&the->t.srv, conn) == RTPUSH_OK, "abort");
    run_for(5);
    r_overwrite_the_log(300);
    T_CHECK(the->data_packets == 0, "it did not wait");
    the->mute = 0;
    run_for(3000);
    T_CHECK(the->data_packets > 0, "it did not leave");
    world_end();
}

static void r_arp_copies(void)
{
    r_wait_for_arp(1, 0);
}

static void r_arp_does_not_copy(void)
{
    r_wait_for_arp(0, 0);
}

static void r_arp_does_not_copy_an_answer(void)
{
    r_wait_for_arp(0, 1);
}

// Three segments of one burst: the last says PSH.
static void r_push_ends_a_burst(void)
{
    r_world(8, 576);
    s_peer *p = r_ready(M_RAW);
    for (int i = 0; i < 3; i++) { // opens the congestion window
        r_publish(M_A, 500);
        run_for(100);
    }
    the->pushes = the->data_packets = 0;
    for (int i = 0; i < 3; i++) {
        r_publish(M_A, 500);
    }
    run_for(100);
    T_CHECK(p->m.raw_got == 6, "%lu came", (unsigned long)p->m.raw_got);
#ifdef SIM_HEAP
    T_CHECK(the->data_packets >= 3, "%lu packets", (unsigned long)the->data_packets);
    T_CHECK(the->pushes == 1, "%lu of %lu packets say PSH", (unsigned long)the->pushes,
            (unsigned long)the->data_packets);
#endif
    world_end();
}

// SSE: prefix, lines and payload of three events may be more than the eight spans of one call, but
// not of two.
static void r_small_spans_are_one_write(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_SSE);
    for (int i = 0; i < 3; i++) {
        r_publish(M_A, 12);
    }
    the->writes = 0;
    (void)rtpush_lwip_poll(&the->port);
    T_CHECK(the->writes == 1 || the->writes == 2, "%lu calls of tcp_write",
            (unsigned long)the->writes);
    run_for(50);
    T_CHECK(p->m.pos == m_last_seq(&the->sim), "the events did not come");
    world_end();
}

// A second event does not wait until the first is acknowledged (Nagle).
static void r_no_nagle(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    the->delay_ms = 100;
    r_publish(M_A, 20);
    run_for(10);
    r_publish(M_A, 20);
    run_for(115);
    T_CHECK(p->m.raw_got == 2, "%lu of 2 came", (unsigned long)p->m.raw_got);
    world_end();
}

#ifdef SIM_HEAP
// Events fill lwIP's buffer to the last byte while more of them are at hand.
static void r_buffer_is_filled_exactly(void)
{
    enum { WIRE = 584, FIT = 10, ALL = FIT + 5 };
    world_new(1);
    the->sim.quiet = 1;
    the->t.desc.log_size = 16384;
    world_start(1500, 0);
    T_CHECK(TCP_SND_BUF == WIRE * FIT, "other numbers are needed");
    s_peer *p = r_ready(M_RAW);
    run_for(500); // all is acknowledged
    the->mute = 1;
    for (int i = 0; i < ALL; i++) {
        r_publish(M_A, WIRE - 4);
    }
    (void)rtpush_lwip_poll(&the->port);
    T_CHECK(tcp_active_pcbs->snd_buf == 0, "%u bytes are free", tcp_active_pcbs->snd_buf);
    the->mute = 0;
    run_for(5000);
    T_CHECK(p->m.raw_got == ALL, "%lu came", (unsigned long)p->m.raw_got);
    world_end();
}
#endif

// The connection fails at the first, second ... write of several that are at hand: it is reset.
static void r_write_fails_in_between(void)
{
    static const int kinds[] = {M_SSE, M_RAW, S_GET};
    r_world(8, 1500);
    for (uint32_t i = 0; i < 9; i++) {
        s_peer *p = i < 6 ? r_ready(kinds[i / 3]) : r_peer(S_GET);
        run_for(3000);
        if (i >= 6) {
            T_CHECK(p->answers == 1, "no answer");
            s_request(p);
        }
        the->write_after = (int)(i % 3);
        the->write_error = ERR_CONN;
        for (int k = 0; k < 6 && i < 6; k++) {
            r_publish(M_A, 250);
        }
        run_for(100);
        T_CHECK((uint32_t)the->write_errors == i + 1, "run %lu: tried again", (unsigned long)i);
        T_CHECK(p->lost && the->resets == i + 1, "run %lu: no reset", (unsigned long)i);
        T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "a slot is kept");
        the->write_error = 0;
    }
    world_end();
}

static void r_pool_of_references_runs_out(void)
{
    enum { READERS = 9 };
    s_peer *p[READERS];
    r_world(10, 1500);
    for (int i = 0; i < READERS; i++) {
        p[i] = r_ready(M_RAW);
    }
    r_publish(M_A, 400);
    run_for(10); // delay 5: at once, not after the others' acknowledgements
    for (int i = 0; i < READERS; i++) {
        T_CHECK(p[i]->m.raw_got == 1, "reader %d waits", i);
    }
    world_end();
}

static void r_more_than_fits(void)
{
    r_world(8, 1500);
    s_peer *p = r_peer(S_PULL);
    s_peer *q = r_peer(S_GET);
    the->no_poll = 1; // `sent` alone must do
    run_for(3000);
    T_CHECK(p->answers == 1 && q->answers == 1, "`sent` does not go on");
    the->no_poll = 0;
    world_end();
}

// -- no memory ------------------------------------------------------------------------------------

static s_peer *r_without_memory(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    the->fail_from = the->allocs;
    the->fail_to = UINT64_MAX;
    r_publish(M_A, 300);
    run_for(300);
    T_CHECK(the->port.blocked == 1, "ERR_MEM went unnoticed");
    return p;
}

static void r_no_memory_poll(void)
{
    s_peer *p = r_without_memory();
    the->fail_to = 0;
    const rtpush_lwip_slot *slot = NULL;
    for (uint32_t i = 0; i < the->port.desc.slot_count; i++) {
        slot = the->slots[i].conn != NULL ? &the->slots[i] : slot;
    }
    tcp_poll(slot->pcb, NULL, 0);
    run_for(RTPUSH_LWIP_RETRY_MS + 10);
    T_CHECK(p->m.raw_got == 1, "rtpush_lwip_poll does not try again");
    world_end();
}

static void r_no_memory_tcp_poll(void)
{
    s_peer *p = r_without_memory();
    the->fail_to = 0;
    the->no_poll = 1;
    run_for(1100);
    T_CHECK(p->m.raw_got == 1, "tcp_poll does not try again");
    the->no_poll = 0;
    world_end();
}

static void r_no_memory_for_fin(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_SSE);
    rtpush_handle none = {0, 0};
    run_for(400); // all is acknowledged: FIN is next
    the->fail_from = the->allocs;
    the->fail_to = UINT64_MAX;
    rtpush_close(&the->t.srv, rtpush_next_stream(&the->t.srv, none), 1000, NULL);
    run_for(300);
    the->fail_to = 0;
    run_for(1000);
    T_CHECK(p->fin && the->resets == 0, "no FIN came");
    world_end();
}

// lwIP serves a connection whose bytes were acknowledged as soon as memory is free. So memory for
// one write goes to the one with nothing in flight, also where the other has waited longer.
static void r_memory_goes_to_one_without_bytes_in_flight(void)
{
    r_world(8, 1500);
    s_peer *busy = world_peer(M_RAW, 1u << M_A);
    s_connect(busy);
    run_for(60);
    s_peer *idle = world_peer(M_RAW, 1u << M_B);
    s_connect(idle);
    run_for(2000); // all is acknowledged
    the->mute = 1;
    r_publish(M_A, 20);
    run_for(1);
    the->write_error = ERR_MEM;
    r_publish(M_A, 20);
    run_for(2 * RTPUSH_LWIP_RETRY_MS);
    T_CHECK(the->port.blocked == 1, "no connection with bytes in flight waits");
    r_publish(M_B, 20);
    run_for(2 * RTPUSH_LWIP_RETRY_MS);
    while ((the->t.now_ms & 1024u) == 0 || (the->t.now_ms & 1023u) > 512) {
        run_for(1); // not the half of the time in which nobody goes first
    }
    T_CHECK(the->port.blocked == 2, "%lu wait", (unsigned long)the->port.blocked);
    the->mute = 0;
    the->write_after = 1;
    run_for(RTPUSH_LWIP_RETRY_MS + 2 * the->delay_ms);
    T_CHECK(idle->m.raw_got == 1, "the other one got the memory");
    the->write_error = 0;
    run_for(8000);
    T_CHECK(busy->m.raw_got == 2, "%lu of 2 came", (unsigned long)busy->m.raw_got);
    world_end();
}

// -- receiving ------------------------------------------------------------------------------------

static void r_window_follows_what_was_taken(void)
{
    r_world(8, 1500);
    the->sim.quiet = 0;
    the->upload_later = 100;
    s_peer *p = r_peer(S_UP);
    uint8_t body[9000] = {0};
    p->out.len = 0;
    t_puts(&p->out, "POST /up HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 9000\r\n\r\n");
    for (uint32_t i = 0; i < sizeof body; i++) {
        body[i] = s_byte(i);
    }
    t_put(&p->out, body, sizeof body);
    run_for(3000);
    const struct tcp_pcb *pcb = tcp_active_pcbs;
    T_CHECK(pcb->rcv_wnd < TCP_WND / 2, "the window stays open: %lu", (unsigned long)pcb->rcv_wnd);
    T_CHECK(p->answers == 0, "an answer to an upload nobody took");
    the->upload_later = 0;
    run_for(4000);
    T_CHECK(p->answers == 1, "the upload does not go on");
    T_CHECK(tcp_active_pcbs->rcv_wnd == TCP_WND, "the window stays at %lu",
            (unsigned long)tcp_active_pcbs->rcv_wnd);
    world_end();
}

// A driver that splits headers from data leaves a first pbuf without a byte of it; and lwIP makes
// such when it cuts off what it has already.
static void r_empty_pbufs(void)
{
    world_new(1);
    the->sim.quiet = 1;
    the->split = 1;
    world_start(1500, 0);
    s_peer *p = r_peer(S_UP);
    s_peer *q = r_ready(M_RAW);
    r_publish(M_A, 30);
    run_for(500);
    T_CHECK(p->answers == 1 && q->m.raw_got == 1, "answers %lu", (unsigned long)p->answers);
    world_end();
}

// Many connections that each make the server hold bytes: some are reset, the others live.
static void r_pbufs_held_are_few(void)
{
    r_world(8, 1500);
    s_peer *reader = r_ready(M_RAW);
    the->sim.quiet = 0;
    the->strict = 0;
    the->upload_later = 100;
    for (int i = 0; i < 6; i++) {
        s_peer *p = r_peer(S_UP);
        p->out.len = 0;
        t_puts(&p->out, "POST /up HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 9000\r\n\r\n");
        run_for(30);
        for (int k = 0; k < 12; k++) {
            t_puts(&p->out, "x"); // a packet of one byte
            run_for(20);
        }
    }
    T_CHECK(the->resets > 0, "nobody was reset");
    T_CHECK(the->port.held <= PBUF_POOL_SIZE / 2, "%lu pbufs held", (unsigned long)the->port.held);
    r_publish(M_A, 300);
    run_for(100);
    T_CHECK(reader->m.raw_got == 1 && !reader->lost, "an innocent reader suffers");
    world_end();
}

static void r_fin_behind_unread_bytes(void)
{
    r_world(8, 1500);
    the->sim.quiet = 0;
    the->upload_later = 100;
    s_peer *p = r_peer(S_UP);
    p->out.len = 0;
    t_puts(&p->out, "POST /up HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 3\r\n\r\n");
    const uint8_t body[3] = {s_byte(0), s_byte(1), s_byte(2)};
    t_put(&p->out, body, 3);
    run_for(50);
    peer_fin(p->number);
    run_for(500);
    T_CHECK(p->answers == 0 && !p->fin && !p->lost, "it ended before its bytes were taken");
    the->upload_later = 0;
    run_for(1000);
    T_CHECK(p->answers == 1 && p->fin && the->resets == 0, "the answer did not come");
    world_end();
}

// It has finished behind bytes that the application never takes: the answer that its time is over
// comes whole, with FIN, and what lwIP may free now is not touched again.
static void r_bytes_never_taken_before_fin(void)
{
    r_world(8, 1500);
    the->sim.quiet = 0;
    the->upload_later = 100;
    the->strict = 0;
    s_peer *p = r_peer(S_UP);
    p->out.len = 0;
    t_puts(&p->out, "POST /up HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 3\r\n\r\nabc");
    run_for(50);
    peer_fin(p->number);
    run_for(60000);
    T_CHECK(p->answers == 1 && p->m.cl.status == 503, "answers %lu, status %d",
            (unsigned long)p->answers, p->m.cl.status);
    T_CHECK(p->fin && the->resets == 0, "no FIN");
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    world_end();
}

// -- the end of connections -----------------------------------------------------------------------

static void r_reset_by_the_peer(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    r_publish(M_A, 400);
    run_for(1); // in flight
    s_leave(p, 1);
    run_for(50);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    T_CHECK(the->resets == 0, "a reset for a reset");
    world_end();
}

static void r_abort_is_a_reset(void)
{
    rtpush_handle none = {0, 0};
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    T_CHECK(rtpush_abort(&the->t.srv, rtpush_next_stream(&the->t.srv, none)) == RTPUSH_OK, "abort");
    run_for(20);
    T_CHECK(p->lost && the->resets == 1, "no reset came");
    world_end();
}

// lwIP says that it cannot close, though it could wait: the connection is reset, so that no PCB
// stays that nobody knows.
static void r_close_that_fails_is_a_reset(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(S_GET);
    run_for(2000);
    T_CHECK(p->answers == 1, "no answer");
    the->close_error = ERR_MEM;
    for (int i = 0; i < 8; i++) { // idle, so it gives way
        r_peer(M_RAW);
        run_for(300);
    }
    T_CHECK(p->lost && the->resets == 1, "%lu resets", (unsigned long)the->resets);
    the->close_error = 0;
    world_end();
}

// The connection is to be aborted, and its peer finishes before that: lwIP may free the PCB now.
static void r_finishes_before_the_abort(int port_closes)
{
    r_world(8, 1500);
    s_peer *p = r_peer(S_GET);
    p->out.len = 0;
    the->shutdown_error = ERR_MEM;
    t_puts(&p->out, "GET /file HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 500 && the->port.abort_count == 0; i++) {
        the->no_poll = p->answers > 0; // or it is aborted at once
        run_for(5);
    }
    T_CHECK(the->port.abort_count == 1 && p->answers == 1, "no abort is scheduled");
    the->shutdown_error = 0;
    run_for(100);
    T_CHECK(p->fin, "FIN did not come");
    if (port_closes == 0) {
        peer_fin(p->number);
        run_for(100);
    }
    const rtpush_lwip_slot *slot = NULL;
    for (uint32_t i = 0; i < the->port.desc.slot_count; i++) {
        slot = the->slots[i].conn != NULL ? &the->slots[i] : slot;
    }
    T_CHECK(slot != NULL && (slot->pcb == NULL) == !port_closes, "its PCB");
    if (port_closes) {
        rtpush_lwip_close(&the->port);
    }
    the->no_poll = 0;
    run_for(100);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    T_CHECK(the->resets == (uint32_t)port_closes, "%lu resets", (unsigned long)the->resets);
    world_end();
}

static void r_abort_and_finished(void)
{
    r_finishes_before_the_abort(0);
}

static void r_abort_and_port_closes(void)
{
    r_finishes_before_the_abort(1);
}

static void r_close(int peer_first)
{
    r_world(8, 1500);
    s_peer *p = r_peer(S_GET);
    p->out.len = 0;
    t_puts(&p->out, "GET /file HTTP/1.1\r\nHost: 10.0.0.1\r\n");
    t_puts(&p->out, peer_first ? "\r\n" : "Connection: close\r\n\r\n");
    run_for(12);
    if (peer_first) {
        peer_fin(p->number);
    }
    run_for(1500);
    T_CHECK(p->answers == 1 && p->fin, "answers %lu fin %d", (unsigned long)p->answers, p->fin);
    s_leave(p, 0);
    run_for(100);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    T_CHECK(the->resets == 0 && the->fins > 0, "a reset instead of FIN");
    world_end();
}

// Both sides have sent FIN, and the core has not reaped the connection yet: it is not served.
static void r_finished_is_not_served(void)
{
    r_world(8, 1500);
    s_peer *p = r_peer(S_GET);
    p->out.len = 0;
    t_puts(&p->out, "GET /file HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n");
    run_for(1500);
    the->no_poll = 1;
    peer_fin(p->number);
    run_for(50);
    rtpush_lwip_slot *slot = NULL;
    for (uint32_t i = 0; i < the->port.desc.slot_count; i++) {
        slot = the->slots[i].conn != NULL ? &the->slots[i] : slot;
    }
    T_CHECK(slot != NULL && slot->pcb == NULL, "its PCB is kept");
    rtpi_lwip_serve(slot, 0);
    the->no_poll = 0;
    run_for(50);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    T_CHECK(the->resets == 0, "a reset");
    world_end();
}

static void r_close_first(void)
{
    r_close(0);
}

static void r_close_second(void)
{
    r_close(1);
}

// A peer that has everything and sends no FIN is closed after close_ms without a reset (RFC 9112
// 9.6): it may still be reading, and some systems discard received data when a reset comes.
static void r_no_reset_for_a_peer_that_sends_no_fin(void)
{
    r_world(8, 1500);
    s_peer *p = r_peer(S_GET);
    p->out.len = 0;
    t_puts(&p->out, "GET /file HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n");
    run_for(1500);
    T_CHECK(p->answers == 1 && p->fin, "answers %lu fin %d", (unsigned long)p->answers, p->fin);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 1, "it is not waited for");
    run_for(3000);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    T_CHECK(the->resets == 0 && !p->lost, "a reset");
    s_leave(p, 0);
    world_end();
}

// Refused in the middle of its upload: bytes still come when FIN is out, and a reset would take the
// answer with it (RFC 9112 9.6).
static void r_reading_goes_on_after_fin(void)
{
    static const uint8_t body[20000];
    r_world(8, 1500);
    the->strict = 0;
    s_peer *p = r_peer(S_UP);
    p->out.len = 0;
    t_puts(&p->out, "POST /up HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 200000\r\n\r\n");
    run_for(500); // the peer acknowledges late
    T_CHECK(p->answers == 1 && p->m.cl.status == 413 && p->fin, "answers %lu status %d fin %d",
            (unsigned long)p->answers, p->m.cl.status, p->fin);
    t_put(&p->out, body, sizeof body);
    run_for(1000);
    T_CHECK(p->out.len == 0 && !p->lost && the->resets == 0, "reset while it sends");
    peer_fin(p->number);
    run_for(100);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "the slot is not free");
    T_CHECK(the->resets == 0, "a reset at the end");
    world_end();
}

// The application calls rtpush_lwip_poll in on_message (s_message does).
static void r_poll_inside_a_callback(void)
{
    r_world(8, 1500);
    s_peer *p = r_ready(M_RAW);
    const uint8_t message[2] = {'m', 1};
    p->m.echo_len[0] = 2;
    p->m.echo_out = 1;
    t_frame(&p->out, 0x82, message, 2);
    run_for(100);
    T_CHECK(p->m.echo_in == 1 && !p->lost, "no echo");
    world_end();
}

static void r_many_short_connections(void)
{
    r_world(8, 1500);
    s_peer *p = world_peer(S_GET, 15);
    for (int i = 0; i < 40; i++) {
        s_connect(p);
        p->out.len = 0;
        t_puts(&p->out, "GET /file HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n");
        for (int k = 0; k < 100 && !p->fin; k++) {
            run_for(20);
        }
        T_CHECK(p->answers == (uint32_t)i + 1, "connection %d got no answer", i);
        s_leave(p, 0);
    }
    T_CHECK(the->resets == 0, "resets");
    world_end();
}

static void r_port_closes(void)
{
    s_peer *p[4];
    r_world(8, 1500);
    for (int i = 0; i < 4; i++) {
        p[i] = r_ready(i == 3 ? S_GET : M_RAW);
    }
    rtpush_lwip_close(&the->port);
    T_CHECK(rtpush_get_counters(&the->t.srv)->slots_used == 0, "slots are not free");
    run_for(50);
    for (int i = 0; i < 4; i++) {
        T_CHECK(p[i]->lost, "peer %d was not told", i);
    }
    world_end();
}

// -- accepting ------------------------------------------------------------------------------------

static void r_pool_is_full(void)
{
    r_world(3, 1500);
    s_peer *a = r_ready(M_RAW);
    s_peer *b = r_ready(M_RAW);
    s_peer *c = r_peer(S_PULL); // in the middle of an answer: not to be evicted
    c->paused = 1;
    run_for(100);
    s_peer *d = r_peer(S_GET);
    run_for(100);
    T_CHECK(d->lost && the->resets > 0, "the fourth was not reset");
    T_CHECK(!a->lost && !b->lost && !c->lost, "one of the first was lost");
    c->paused = 0;
    run_for(3000);
    T_CHECK(c->answers == 1, "the third got no answer");
    world_end();
}

// Fewer slots than connections: the port itself resets who finds none.
static void r_port_is_full(void)
{
    world_new(1);
    the->sim.quiet = 1;
    the->slot_count = 2;
    world_start(1500, 0);
    s_peer *a = r_ready(M_RAW);
    s_peer *b = r_ready(M_RAW);
    s_peer *c = r_peer(S_GET);
    run_for(100);
    T_CHECK(c->lost && the->resets > 0, "the third was not reset");
    T_CHECK(!a->lost && !b->lost, "one of the first was lost");
    T_CHECK(rtpush_get_counters(&the->t.srv)->accepted == 2, "the core saw it");
    world_end();
}

// lwIP finds no memory for a PCB, and says so in the accept callback.
static void r_no_pcb_for_a_new_connection(void)
{
    r_world(8, 1500);
    s_peer *stream = r_ready(M_RAW);
    s_peer *idle = r_ready(S_GET);
    run_for(2000);
    the->no_pcbs = 1;
    s_peer *p = r_peer(S_GET);
    run_for(100);
    T_CHECK(!p->up, "it connected without memory");
    T_CHECK(idle->lost, "an idle connection should have gone");
    the->no_pcbs = 0;
    run_for(8000);
    T_CHECK(p->answers == 1 && !stream->lost, "answers %lu, the stream is lost: %d",
            (unsigned long)p->answers, stream->lost);
    world_end();
}

// Packets to the peers are lost: the server sees SYNs and no ACK.
static void r_half_open(void)
{
    char what[200];
    r_world(3, 1500);
    the->mute = 1;
    for (int i = 0; i < 12; i++) {
        r_peer(S_GET);
        run_for(10);
    }
    const size_t in_use = server_in_use(what, sizeof what);
    // A PCB and a SYN|ACK each, the listener; heap counts as one.
    T_CHECK(in_use <= 2 * 4 + 2, "half-open connections take%s", what);
    the->mute = 0;
    world_end();
}

#if LWIP_IPV6
static void r_peers_are_networks(void)
{
    ip_addr_t at;
    r_world(8, 1500);
    IP_ADDR6(&at, 0, 0, lwip_htonl(0xFFFF), lwip_htonl(0x0A000002)); // ::ffff:10.0.0.2
    T_CHECK(rtpi_lwip_peer(&at) == 0x0A000002, "mapped: %lx", (unsigned long)rtpi_lwip_peer(&at));
    IP_ADDR6(&at, lwip_htonl(0xFD000000), 0, lwip_htonl(0xFFFF), lwip_htonl(1)); // looks so
    const uint32_t one = rtpi_lwip_peer(&at);
    IP_ADDR6(&at, lwip_htonl(0xFD000000), 0, lwip_htonl(7), lwip_htonl(8));
    T_CHECK(rtpi_lwip_peer(&at) == one, "one network is two");
    IP_ADDR6(&at, 0, lwip_htonl(1), lwip_htonl(0xFFFF), 0);
    const uint32_t other = rtpi_lwip_peer(&at);
    IP_ADDR6(&at, 0, 0, 0, lwip_htonl(1));
    T_CHECK(rtpi_lwip_peer(&at) != other, "two networks are one");
    IP_ADDR6(&at, 0, 0, lwip_htonl(0xFFFF), 0);
    T_CHECK(rtpi_lwip_peer(&at) == 1, "0 is nobody");
    IP_ADDR4(&at, 0, 0, 0, 0);
    T_CHECK(rtpi_lwip_peer(&at) == 1, "0 is nobody");
    world_end();
}

// Over Ethernet and without, events reach a peer at each address.
static void r_ipv6(int ethernet)
{
    s_peer *p[SIM_ADDRESSES];
    world_new(1);
    the->sim.quiet = 1;
    the->ethernet = ethernet;
    world_start(1500, 0);
    for (int i = 0; i < SIM_ADDRESSES; i++) {
        p[i] = world_peer(M_RAW, 15);
        p[i]->address = i;
        s_connect(p[i]); // s_open looks at the peer value
    }
    run_for(200);
    r_publish(M_A, 300);
    run_for(50);
    for (int i = 0; i < SIM_ADDRESSES; i++) {
        T_CHECK(p[i]->m.raw_got == 1, "it did not come to address %d", i);
    }
    world_end();
}

static void r_ipv6_without_ethernet(void)
{
    r_ipv6(0);
}

static void r_ipv6_over_ethernet(void)
{
    r_ipv6(1);
}

// One subscriber can use all addresses of a /64: they share one limit. Another /64 has its own.
static void r_network_is_one_peer(void)
{
    static const int address[4] = {SIM_V6_A1, SIM_V6_A2, SIM_V6_B, SIM_V4};
    s_peer *p[4];
    world_new(1);
    the->sim.quiet = 1;
    the->t.desc.max_per_peer = 1;
    world_start(1500, 0);
    for (int i = 0; i < 4; i++) {
        p[i] = world_peer(M_RAW, 15);
        p[i]->address = address[i];
        s_connect(p[i]);
        run_for(100);
        T_CHECK(p[i]->lost == (i == 1), "address %d: lost %d", address[i], p[i]->lost);
    }
    world_end();
}
#endif

#ifndef SIM_HEAP
// 10 PCBs: 5 streams, 5 idle connections, and one more comes.
static void r_idle_goes_before_a_stream(void)
{
    s_peer *p[11];
    r_world(10, 1500);
    for (int i = 0; i < 10; i++) {
        p[i] = r_ready(i < 5 ? M_SSE : S_GET);
        run_for(2500);
        T_CHECK(i < 5 || p[i]->answers == 1, "no answer");
    }
    p[10] = r_peer(S_GET);
    run_for(9000);
    int lost = 0;
    for (int i = 0; i < 10; i++) {
        lost += p[i]->lost;
        T_CHECK(i >= 5 || !p[i]->lost, "stream %d was lost", i);
    }
    T_CHECK(lost > 0 && p[10]->answers == 1, "%d lost, %lu answers", lost,
            (unsigned long)p[10]->answers);
    s_check_prio();
    world_end();
}

// An application that makes PCBs of its own in a callback must not lose the one it is called for.
static void r_callback_takes_pcbs(void)
{
    r_world(8, 1500);
    s_peer *idle = r_ready(S_GET);
    run_for(2000);
    s_peer *p = r_peer(S_PULL);
    the->hog = 1;
    run_for(3000);
    T_CHECK(p->answers == 1 && !p->lost, "its own connection was taken");
    T_CHECK(idle->lost, "the idle one should have gone");
    world_end();
}
#endif

// -- other contexts -------------------------------------------------------------------------------

#if defined(SIM_SMALL) && !defined(__SANITIZE_ADDRESS__)
// Publishes to M_A or M_S; lwIP's interrupt comes at instruction `at` of it. 0: it ended before.
static int r_publish_interrupted(int topic, uint32_t at)
{
    uint8_t text[M_PAYLOAD + 1];
    const int state = topic == M_S;
    const uint32_t strikes = b.strikes;
    const uint32_t n = m_new_payload(&the->sim, topic);
    const size_t len =
        m_payload(&the->sim, state ? 's' : 'e', n, m_most(&the->sim, topic), text);
    m_record *rec = state ? NULL : m_new_record(&the->sim, topic);
    if (state) {
        the->sim.state_n[topic] = n;
    } else {
        rec->n = n;
    }
    const int result = b_publish(rtpush_publish_from, (unsigned)topic, text, len, at, 0);
    T_CHECK(result == RTPUSH_OK, "publish_from: %d", result);
    if (!state) {
        m_published(&the->sim, rec, topic, result);
    }
    return b.strikes > strikes;
}

// At each instruction in turn (SIM_STRIDE=3: each third), also where the loop has evictions to
// make: the readers get every event once and in order, and no value that is half an old one.
static void r_interrupt_at_every_instruction(void)
{
    static const int topics[] = {M_A, M_S};
    const char *stride = getenv("SIM_STRIDE");
    const uint32_t step = stride != NULL ? (uint32_t)strtoul(stride, NULL, 0) : 1;
    world_new(1);
    the->sim.quiet = the->strict = 1;
    the->timer = 1;
    world_start(1500, 1);
    the->sim.largest = 20; // bytes of an event
    s_peer *readers[2] = {r_ready(M_SSE), r_ready(M_TEXT)};
    for (int i = 0; i < 2; i++) {
        uint32_t at = 0;
        do {
            for (uint32_t more = at / step % 5 + (uint32_t)i == 0 ? 8 : 0; more > 0; more--) {
                m_publish_from(&the->sim, M_A); // without a step of the loop
            }
            the->t.now_ms += at / step % 3; // packets are due, or not
            at += step;
            if (!r_publish_interrupted(topics[i], at)) {
                break;
            }
            run_for(12);
        } while (at < 100000);
        T_CHECK(!B_STEPS || at > 100, "only %lu instructions", (unsigned long)at);
        run_for(12);
    }
    for (int i = 0; i < 2; i++) {
        s_say(readers[i]);
        T_CHECK(readers[i]->m.pos == m_last_seq(&the->sim), "an event is missing");
        T_CHECK(readers[i]->m.state_seen[M_S] == the->sim.state_n[M_S], "an old value");
    }
    world_end();
}
#endif

static void r_publish_from(void)
{
    world_new(1);
    the->sim.quiet = 1;
    world_start(1500, 1);
    s_peer *p = r_ready(M_RAW);
    the->wakes = the->locks = 0;
    m_publish_from(&the->sim, M_A);
    T_CHECK(the->locks > 0, "the lock was not taken");
    T_CHECK(the->wakes == 1, "%lu wakes", (unsigned long)the->wakes);
    T_CHECK(the->t.lock_depth == 0, "the lock is held");
    run_for(50);
    T_CHECK(p->m.raw_got == 1, "it did not come");
    world_end();
}

static void r_timer(void)
{
    world_new(1);
    the->sim.quiet = 1;
    the->timer = 1;
    the->no_poll = 1;
    world_start(1500, 0);
    s_peer *p = r_ready(M_RAW);
    run_for(2000); // no callback sets the timer now but its own
    r_publish(M_A, 300);
    run_for(1100);
    T_CHECK(p->m.raw_got == 1, "it did not come");
    world_end();
}

// Two packets before the timer comes, a second listener, a message that comes after the end.
static void r_timer_is_one(void)
{
    world_new(1);
    the->sim.quiet = 1;
    the->timer = 1;
    the->no_poll = 1;
    world_start(1500, 0);
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, NULL, 81, 0) == ERR_OK, "81");
    s_peer *p = r_ready(M_RAW);
    for (int i = 0; i < 2; i++) {
        const uint8_t number = (uint8_t)p->m.ping_out++;
        t_frame(&p->out, 0x89, &number, 1);
        s_pump(p);
    }
    the->t.now_ms += 50;
    while (s_deliver()) {
    }
    T_CHECK(the->port.soon == 1, "the timer was not set");
    run_for(100);
    T_CHECK(the->port.soon == 0, "the timer did not come");
    s_leave(p, 0);
    run_for(20000);
    rtpush_lwip_close(&the->port);
    rtpi_lwip_on_timer(&the->port);
    rtpi_lwip_on_wake(&the->port);
    the->timer = 0;
    world_end(); // no timer is left
}

// A reader that loses what its own on_gap publishes has something to do for ever. A poll ends
// nevertheless, wants to be called at once, and others are served in it.
static void r_poll_is_bounded(int timer)
{
    world_new(1);
    the->sim.quiet = 1;
    the->timer = timer;
    the->no_poll = timer;
    the->t.desc.conn_count = 3;
    world_start(1500, 0);
    s_peer *p = world_peer(M_RAW, 1u << M_B);
    s_connect(p);
    run_for(timer ? 1500 : 60);
    T_CHECK(p->m.open, "the stream did not open");
    the->gap_publishes = 1;
    s_write_log_over();
    if (timer) {
        for (int i = 0; i < 1100 && the->gaps_told == 0; i++) {
            run_for(1);
        }
        run_for(20);
        T_CHECK(the->gaps_told > 4 * the->port.desc.slot_count, "%lu gaps: it does not come again",
                (unsigned long)the->gaps_told);
    } else {
        T_CHECK(rtpush_lwip_poll(&the->port) == 0, "nothing is due");
        T_CHECK(the->gaps_told > 2 && the->gaps_told <= 2 * the->port.desc.slot_count, "%lu gaps",
                (unsigned long)the->gaps_told);
    }
    the->gap_publishes = 0;
    run_for(1500);
    world_end();
}

static void r_poll_ends(void)
{
    r_poll_is_bounded(0);
}

static void r_poll_of_the_timer_ends(void)
{
    r_poll_is_bounded(1);
}

static void r_two_servers(void)
{
    static rtpush_server second;
    static uint64_t memory[RTPUSH_WORDS(2, 512, 512, 1024, M_TOPICS, 200)];
    rtpush_desc d;
    r_world(8, 1500);
    d = the->t.desc;
    d.memory = memory;
    d.memory_size = sizeof memory;
    d.conn_count = 2;
    d.log_size = 1024;
    T_CHECK(rtpush_init(&second, &d) == RTPUSH_OK, "%s", rtpush_config_error(&second));
    T_CHECK(rtpush_lwip_listen(&the->port, &second, NULL, 81, 0) == ERR_OK, "81");
    T_CHECK(rtpush_lwip_listen(&the->port, &second, NULL, 82, 0) == ERR_OK, "82");
    s_peer *p = r_ready(M_RAW);
    r_publish(M_A, 30);
    run_for(50);
    T_CHECK(p->m.raw_got == 1, "it did not come");
    T_CHECK(rtpush_now_ms(&second) == the->t.now_ms, "the second has no time");
    world_end();
}

// Where lwIP's core is not locked, each function of the port says so before it does anything.
static void r_context_is_asserted(void)
{
    rtpush_lwip_desc d = {0};
    static rtpush_lwip other;
    r_world(8, 1500);
    run_for(100);
    the->lock_checks = 0;
    (void)rtpush_lwip_poll(&the->port);
    T_CHECK(the->lock_checks == 1, "rtpush_lwip_poll");
    (void)rtpush_lwip_init(&other, &d);
    T_CHECK(the->lock_checks == 2, "rtpush_lwip_init");
    other.listener_count = RTPUSH_LWIP_LISTENERS;
    (void)rtpush_lwip_listen(&other, &the->t.srv, NULL, 81, 0);
    T_CHECK(the->lock_checks == 3, "rtpush_lwip_listen");
    other.listener_count = 0;
    rtpush_lwip_close(&other);
    T_CHECK(the->lock_checks == 4, "rtpush_lwip_close");
    static const char context[] = "outside lwIP's context";
    for (int i = 0; i < 4; i++) {
        the->asserts_expected = 1;
        the->asserted = "";
        if (i == 0) {
            (void)rtpush_lwip_poll(&the->port);
        } else if (i == 1) {
            (void)rtpush_lwip_init(&other, &d);
        } else if (i == 2) {
            other.listener_count = RTPUSH_LWIP_LISTENERS;
            (void)rtpush_lwip_listen(&other, &the->t.srv, NULL, 81, 0);
            other.listener_count = 0;
        } else {
            rtpush_lwip_close(&other);
        }
        T_CHECK(strcmp(the->asserted, context) == 0, "function %d: %s", i, the->asserted);
    }
    memset(&other, 0, sizeof other);
    other.depth = 1;
    the->asserts_expected = 2;
    rtpush_lwip_close(&other);
    T_CHECK(strcmp(the->asserted, "rtpush_lwip_close inside a callback") == 0, "close inside");
    T_CHECK(the->asserts_expected == 0, "not both");
    world_end();
}

static void r_bad_arguments(void)
{
    rtpush_lwip_desc d = {0};
    r_world(8, 1500);
    static rtpush_lwip other;
    T_CHECK(rtpush_lwip_init(&other, &d) == ERR_ARG, "no slots");
    static rtpush_lwip_slot many[300];
    d.slots = many;
    d.slot_count = 1;
    T_CHECK(rtpush_lwip_init(&other, &d) == ERR_ARG, "one slot");
    T_CHECK(rtpush_lwip_config_error(&other)[0] == 's', "one slot");
    for (uint32_t i = 0; i < 3; i++) { // 0: as many as slots
        static const uint32_t slots[] = {9, 300, 300}, asked[] = {0, 0, 3}, want[] = {9, 255, 3};
        d.slot_count = slots[i];
        d.backlog = (uint8_t)asked[i];
        T_CHECK(rtpush_lwip_init(&other, &d) == ERR_OK && other.desc.backlog == want[i],
                "a backlog of %u", other.desc.backlog);
    }
    d.slots = many;
    d.slot_count = 9;
    d.publish_from = 1;
    T_CHECK(rtpush_lwip_init(&other, &d) == ERR_ARG, "publish_from without a lock");
    T_CHECK(strcmp(rtpush_lwip_config_error(&other),
                   "publish_from: with NO_SYS=1 set lock and unlock") == 0, "without a word");
    T_CHECK(strcmp(rtpush_lwip_config_error(&the->port), "") == 0, "a word too much");
    T_CHECK(rtpush_publish_from(&the->t.srv, 0, "x", 1) == RTPUSH_ERR_STATE,
            "rtpush_publish_from without a lock");
    d.lock = s_lock;
    T_CHECK(rtpush_lwip_init(&other, &d) == ERR_ARG, "lock without unlock");
    T_CHECK(rtpush_lwip_config_error(&other)[0] == 'l', "lock without unlock");
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, NULL, 80, 0) == ERR_USE, "port 80 twice");
    the->no_pcbs = 1;
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, NULL, 81, 0) == ERR_MEM, "no PCB");
    the->no_pcbs = 0;
    ip_addr_t own;
    IP_ADDR4(&own, 10, 0, 0, 1);
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, &own, 81, 0) == ERR_OK, "81");
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, NULL, 82, 0) == ERR_OK, "82");
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, NULL, 83, 0) == ERR_OK, "83");
    T_CHECK(rtpush_lwip_listen(&the->port, &the->t.srv, NULL, 84, 0) == ERR_ARG, "a fifth");
    s_peer *p = r_ready(M_RAW);
    r_publish(M_A, 30);
    run_for(50);
    T_CHECK(p->m.raw_got == 1, "it did not come");
    world_end();
}

static const s_rule rules[] = {
    {"log_is_sent_by_reference", r_log_by_reference},
    {"copies_spare_the_log", r_copies_reserve_no_log},
    {"small_spans_are_copied", r_small_is_copied},
    {"log_is_copied_if_the_arp_queue_does_not", r_log_is_copied_if_need_be},
    {"flash_is_sent_by_reference", r_flash_by_reference},
    {"bytes_referred_to_stay_until_acknowledged", r_referenced_bytes_stay},
    {"nothing_is_added_to_a_retransmission", r_nothing_follows_a_retransmission},
    {"bytes_of_a_connection_to_abort_stay_too", r_bytes_of_a_connection_to_abort_stay},
    {"connection_to_abort_is_not_served", r_connection_to_abort_is_not_served},
    {"bytes_that_wait_for_arp_stay", r_arp_copies},
    {"log_is_copied_if_arp_does_not_copy", r_arp_does_not_copy},
    {"answer_is_copied_if_arp_does_not_copy", r_arp_does_not_copy_an_answer},
    {"push_ends_a_burst", r_push_ends_a_burst},
    {"small_spans_are_one_write", r_small_spans_are_one_write},
    {"no_event_waits_for_an_acknowledgement", r_no_nagle},
    {"nobody_waits_because_references_ran_out", r_pool_of_references_runs_out},
    {"sent_goes_on_sending", r_more_than_fits},
    {"failed_write_is_a_reset", r_write_fails_in_between},
#ifdef SIM_HEAP
    {"buffer_is_filled_exactly", r_buffer_is_filled_exactly},
#endif
    {"no_memory_is_tried_again_by_poll", r_no_memory_poll},
    {"no_memory_is_tried_again_by_tcp_poll", r_no_memory_tcp_poll},
    {"no_memory_for_fin", r_no_memory_for_fin},
    {"memory_goes_to_who_has_nothing_in_flight", r_memory_goes_to_one_without_bytes_in_flight},
    {"window_follows_what_was_taken", r_window_follows_what_was_taken},
    {"empty_pbufs_are_passed_over", r_empty_pbufs},
    {"pbufs_held_are_few", r_pbufs_held_are_few},
    {"fin_waits_behind_unread_bytes", r_fin_behind_unread_bytes},
    {"bytes_never_taken_do_not_keep_the_answer", r_bytes_never_taken_before_fin},
    {"reset_by_the_peer_frees_the_slot", r_reset_by_the_peer},
    {"abort_is_a_reset", r_abort_is_a_reset},
    {"close_that_fails_is_a_reset", r_close_that_fails_is_a_reset},
    {"connection_to_abort_may_finish_by_itself", r_abort_and_finished},
    {"port_closes_a_connection_to_abort", r_abort_and_port_closes},
    {"close_is_no_reset", r_close_first},
    {"close_after_the_peer_is_no_reset", r_close_second},
    {"finished_connection_is_not_served", r_finished_is_not_served},
    {"who_does_not_finish_is_not_reset", r_no_reset_for_a_peer_that_sends_no_fin},
    {"reading_goes_on_after_fin", r_reading_goes_on_after_fin},
    {"poll_inside_a_callback_does_nothing", r_poll_inside_a_callback},
    {"many_short_connections", r_many_short_connections},
    {"port_closes_everything", r_port_closes},
    {"full_pool_resets_the_newcomer", r_pool_is_full},
    {"full_port_resets_the_newcomer", r_port_is_full},
    {"no_pcb_for_a_newcomer_harms_nobody", r_no_pcb_for_a_new_connection},
    {"half_open_connections_are_few", r_half_open},
#if LWIP_IPV6
    {"ipv6_carries_events", r_ipv6_without_ethernet},
    {"peers_are_networks", r_peers_are_networks},
    {"ipv6_over_ethernet_carries_events", r_ipv6_over_ethernet},
    {"addresses_of_one_network_are_one_peer", r_network_is_one_peer},
#endif
#ifndef SIM_HEAP
    {"idle_connection_goes_before_a_stream", r_idle_goes_before_a_stream},
    {"callback_that_takes_pcbs_keeps_its_own", r_callback_takes_pcbs},
#endif
    {"publish_from_wakes_the_loop", r_publish_from},
#if defined(SIM_SMALL) && !defined(__SANITIZE_ADDRESS__) // others have no other instructions
    {"interrupt_at_every_instruction", r_interrupt_at_every_instruction},
#endif
    {"lwip_timers_do_instead_of_the_loop", r_timer},
    {"timer_is_set_once", r_timer_is_one},
    {"poll_ends", r_poll_ends},
    {"poll_of_the_timer_ends", r_poll_of_the_timer_ends},
    {"two_servers_on_one_port", r_two_servers},
    {"wrong_context_is_asserted", r_context_is_asserted},
    {"bad_arguments_are_refused", r_bad_arguments},
    {NULL, NULL}};

#endif // SIM_RULES_H
