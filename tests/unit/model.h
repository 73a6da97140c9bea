// model.h - a seeded simulation: readers of every kind against publishers of every kind, with
// stalls, short writes, late acknowledgements, lost bytes, drops and resumes, in small memory. In
// two of five runs the port is like that of POSIX: a kernel copies, rtpush_hooks.write sends all, a
// part or nothing, and some connections have a filter.
//
// A model client reads every byte. By what the clients get it checks invariants 1, 2, 6, 9, 10, 14,
// 18, 19 and 20 of rtpush.h, by looking into the server invariants 7 and 8. In every test, this one
// too, harness.h and client.h check invariants 3, 4, 5, 8, 11, 12, 15 and 16.
//
// m_run(seed) replays exactly.

#ifndef T_MODEL_H
#define T_MODEL_H

#include "client.h"

enum { M_SSE, M_RAW, M_TEXT, M_POLL, M_KINDS }; // RAW: bare WebSocket, TEXT: rtpush.1
enum { M_A, M_S, M_B, M_U, M_TOPICS };          // topics: events a and b, states s and u
enum { M_READERS = 7, M_RECORDS = 4096, M_PAYLOADS = 16384, M_PAYLOAD = 1024 };
enum { M_FILTERED = -1, M_HOLE = -2, M_OPEN = -3 };

typedef struct m_record {
    int topic;  // or M_HOLE: a sequence number without a record
    int wanted; // topic of the event that found no room
    uint32_t n; // payload number
} m_record;

typedef struct m_reader {
    struct m_sim *sim;
    int kind;
    uint32_t topics;
    t_conn *c;
    t_client cl;
    int open;    // between on_open and on_close
    int noticed; // the first notice was read
    int has_pos;
    uint32_t pos;     // last sequence number the client stands behind
    char last_id[64]; // to resume with, "" none
    int asked_any;    // it gave an id at the last connect
    int asked_bad;    // ... that cannot be read
    int asked_first;  // ... or "first"
    uint32_t state_seen[M_TOPICS];
    uint32_t raw_start; // RAW: newest event when it opened
    uint32_t raw_last;  // RAW: last event delivered
    uint32_t raw_got;
    uint32_t raw_missed; // sum of on_gap
    uint32_t echo_out;   // messages sent to the server, and echoes read
    uint32_t echo_in;
    uint32_t echo_len[64];
    uint32_t ping_out;
    uint32_t ping_in;
    uint32_t direct_out; // messages the server sent directly
    uint32_t direct_in;
    int part;     // a direct message in parts is under way
    int fragment; // the client is inside a fragmented message
    int polling;  // POLL: an answer is awaited
    uint32_t poll_answers;
    int stalled;
    int leaving;   // it sent a Close frame, or answered one
    uint32_t wait; // steps before it connects again
} m_reader;

typedef struct m_sim {
    t_world *w;
    t_rng rng;
    uint32_t seed;
    m_record records[M_RECORDS]; // by sequence number, from first_seq
    uint32_t first_seq;
    uint32_t count;
    uint32_t payloads;            // numbers given to payloads
    uint8_t topic_of[M_PAYLOADS]; // by payload number
    uint32_t state_n[M_TOPICS];   // newest value stored
    uint32_t full;
    m_reader readers[M_READERS];
    int interrupts; // publish from the unlock hook, one chance in this many
    int in_interrupt;
    int quiet; // no more publishing: everything must arrive
    int settling; // no more grants that end, no more ids that are no ids
    uint32_t cap;
    rtpush_route routes[3];
    rtpush_topic topics[M_TOPICS];
    uint32_t largest; // largest event payload
    uint32_t got;     // event records that clients read
} m_sim;

static m_sim *m_of(rtpush_server *srv) {
    return (m_sim *)t_world_of(srv)->extra;
}

static int m_trace; // 1: say what every reader reads

// -- payloads: the number says everything ---------------------------------------------------------

static size_t m_payload(const m_sim *sim, char letter, uint32_t n, size_t most, uint8_t *out) {
    t_rng rng = t_seed(sim->seed * 7919u + n);
    size_t len = (size_t)snprintf((char *)out, 16, "%c%lu;", letter, (unsigned long)n);
    size_t want = t_below(&rng, 8) == 0 ? most : len + t_below(&rng, 40);
    int lines = t_below(&rng, 3) == 0;
    want = want < most ? want : most;
    while (len < want) {
        uint32_t pick = t_below(&rng, 24);
        if (lines && pick < 3) {
            out[len++] = pick == 0 ? '\r' : '\n';
        } else if (pick == 3 && want - len >= 2) {
            out[len++] = 0xC3;
            out[len++] = 0xA9;
        } else if (pick == 4) {
            out[len++] = ' ';
        } else {
            out[len++] = (uint8_t)('a' + pick);
        }
    }
    return len;
}

static size_t m_most(const m_sim *sim, int topic) {
    return sim->topics[topic].kind == &rtpush_topic_state ? sim->topics[topic].max : sim->largest;
}

// WHATWG HTML 9.2.6: CR, LF and CRLF end a line; the client sees LF.
static size_t m_lines(uint8_t *data, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\r') {
            data[n++] = '\n';
            i += i + 1 < len && data[i + 1] == '\n';
        } else {
            data[n++] = data[i];
        }
    }
    return n;
}

// Checks a payload read from the wire; returns its number.
static uint32_t m_check_payload(const m_reader *r, int topic, const uint8_t *data, size_t len) {
    static uint8_t want[M_PAYLOAD + 1];
    const m_sim *sim = r->sim;
    char letter = sim->topics[topic].kind == &rtpush_topic_state ? 's' : 'e';
    T_CHECK(len >= 3 && data[0] == (uint8_t)letter, "a payload that was never published");
    uint32_t n = 0;
    for (size_t i = 1; i < len && data[i] >= '0' && data[i] <= '9'; i++) {
        n = n * 10 + data[i] - '0';
    }
    size_t want_len = m_payload(sim, letter, n, m_most(sim, topic), want);
    if (r->kind == M_SSE || r->kind == M_POLL) {
        want_len = m_lines(want, want_len);
    }
    T_CHECK(want_len == len && memcmp(want, data, len) == 0, "the bytes of payload %lu differ",
            (unsigned long)n);
    return n;
}

// -- what the server has: sequence numbers --------------------------------------------------------

static uint32_t m_last_seq(const m_sim *sim) {
    return sim->first_seq + sim->count - 1;
}

static m_record *m_record_at(m_sim *sim, uint32_t seq) {
    uint32_t at = seq - sim->first_seq;
    T_CHECK(at < sim->count, "sequence number %lu was never given", (unsigned long)seq);
    return &sim->records[at];
}

static m_record *m_new_record(m_sim *sim, int topic) {
    m_record *rec = &sim->records[sim->count++];
    T_CHECK(sim->count < M_RECORDS, "the simulation is too long");
    rec->topic = M_OPEN;
    rec->wanted = topic;
    rec->n = sim->payloads;
    return rec;
}

static uint32_t m_new_payload(m_sim *sim, int topic) {
    T_CHECK(sim->payloads + 1 < M_PAYLOADS, "the simulation is too long");
    sim->topic_of[++sim->payloads] = (uint8_t)topic;
    return sim->payloads;
}

// -- what a reader must see -----------------------------------------------------------------------

// The client now stands behind seq. Whatever it passes must be filtered or told.
static void m_advance_to(m_reader *r, uint32_t seq, int told) {
    m_sim *sim = r->sim;
    T_CHECK(!r->has_pos || seq - r->pos < 0x80000000u, "the id goes back from %lu to %lu",
            (unsigned long)r->pos, (unsigned long)seq);
    T_CHECK(seq - sim->first_seq + 1 <= sim->count, "an id of the future: %lu, last is %lu",
            (unsigned long)seq, (unsigned long)m_last_seq(sim));
    for (uint32_t s = r->pos + 1; r->has_pos && s != seq + 1; s++) {
        const m_record *rec = m_record_at(sim, s);
        T_CHECK(told || (rec->topic == M_HOLE && !(r->topics >> rec->wanted & 1)) ||
                    (rec->topic >= 0 && !(r->topics >> rec->topic & 1)),
                "event %lu of topic %d was passed without a word", (unsigned long)s, rec->topic);
        T_CHECK(rec->topic != M_OPEN, "a reader passed a record that is being written");
    }
    r->pos = seq;
    r->has_pos = 1;
}

static int m_parse_id(const char *id, rtpush_id *out) {
    unsigned long epoch;
    unsigned long seq;
    size_t len = strlen(id);
    int n = 0;
    if (len < 17 || sscanf(id, "%8lx-%8lx%n", &epoch, &seq, &n) != 2 || n != 17 ||
        (len > 17 && id[17] != '-')) {
        return 0;
    }
    out->epoch = (uint32_t)epoch;
    out->seq = (uint32_t)seq;
    return 1;
}

static void m_notice(m_reader *r, uint32_t seq, const char *data) {
    m_sim *sim = r->sim;
    unsigned long n = 0;
    int begins = !r->noticed;
    int first = begins || r->kind == M_POLL;
    if (strcmp(data, "expired") == 0) { // ends a stream, also before its first notice
        T_CHECK(r->kind == M_SSE, "expired, in words");
        m_advance_to(r, seq, 0);
        return;
    }
    char words[32];
    snprintf(words, sizeof words, "%s", data);
    char *period = strrchr(words, ' ');
    uint32_t keepalive_ms = sim->w->srv.desc.keepalive_ms;
    T_CHECK(period != NULL && (uint32_t)atoi(period) == (keepalive_ms + 999) / 1000,
            "the last word is not the keep-alive period: %s", data);
    *period = 0;
    data = words;
    r->noticed = 1;
    if (strcmp(data, "fresh") == 0) {
        T_CHECK(first && !r->asked_any, "fresh, but it was not");
        r->has_pos = sim->interrupts == 0;
        r->pos = r->raw_start; // what came since it opened must come
        m_advance_to(r, seq, 0);
    } else if (strcmp(data, "reset") == 0) {
        T_CHECK(r->asked_bad, "reset, though the id was good");
        r->asked_bad = 0;
        r->has_pos = sim->interrupts == 0;
        r->pos = r->raw_start; // it begins when it opened
        m_advance_to(r, seq, 0);
    } else if (sscanf(data, "replayed %lu", &n) == 1) { // one number, or it is the period
        T_CHECK(first && r->asked_any && !r->asked_bad, "replayed, but nothing was asked");
        m_advance_to(r, seq, 0);
        T_CHECK(n <= m_last_seq(sim) - seq, "replayed %lu, but only %lu can follow", n,
                (unsigned long)(m_last_seq(sim) - seq));
    } else if (sscanf(data, "gap %lu", &n) == 1) {
        if (begins && !r->asked_any) { // lost between its opening and its first notice
            r->has_pos = sim->interrupts == 0;
            r->pos = r->raw_start;
        }
        uint32_t before = r->pos;
        T_CHECK(n > 0, "a gap of nothing");
        T_CHECK(r->has_pos || r->asked_first || begins, "a gap from nowhere");
        int known = r->has_pos;
        m_advance_to(r, seq, 1);
        if (!known) {
            return;
        }
        T_CHECK(n <= r->pos - before, "a gap of %lu events over %lu sequence numbers", n,
                (unsigned long)(r->pos - before));
        uint32_t lost = 0;
        for (uint32_t s = before + 1; s != seq + 1; s++) {
            const m_record *rec = m_record_at(sim, s);
            lost += r->topics >> (rec->topic >= 0 ? rec->topic : rec->wanted) & 1;
        }
        T_CHECK(n >= lost, "a gap of %lu hides %lu lost events", n, (unsigned long)lost);
        if ((r->topics & (1u << M_A | 1u << M_B)) == (1u << M_A | 1u << M_B)) {
            T_CHECK(n == lost, "a reader of all topics is told %lu, lost are %lu", n,
                    (unsigned long)lost);
        }
    } else {
        T_FAIL("an unknown notice: %s", data);
    }
}

// One thing with an id: an event, a state, a notice, or an id alone.
static void m_item(m_reader *r, const char *id_text, const char *name, const uint8_t *data,
                   size_t len) {
    m_sim *sim = r->sim;
    rtpush_id id = {0, 0};
    if (m_trace) {
        printf("%s: id %s, name %s, %.*s\n", t_where, id_text ? id_text : "-", name, (int)len,
               data ? (const char *)data : "");
    }
    if (id_text != NULL) {
        T_CHECK(m_parse_id(id_text, &id), "a bad id: %s", id_text);
        T_CHECK(id.epoch == sim->w->desc.epoch, "the epoch of %s", id_text);
        snprintf(r->last_id, sizeof r->last_id, "%s", id_text);
    }
    if (strcmp(name, "rtpush") == 0) {
        T_CHECK(id_text != NULL, "a notice without an id");
        m_notice(r, id.seq, (const char *)data);
        return;
    }
    T_CHECK(r->noticed, "the first block is not a notice");
    if (name[0] == 0) { // an id alone: a keep-alive where the id has moved, or the end of a poll
        if (id_text != NULL) {
            T_CHECK(r->kind == M_POLL || id.seq != r->pos, "an id is given again: %s", id_text);
            m_advance_to(r, id.seq, 0);
        }
        return;
    }
    int topic = -1;
    for (int i = 0; i < M_TOPICS; i++) {
        topic = strcmp(name, sim->topics[i].name) == 0 ? i : topic;
    }
    T_CHECK(topic >= 0 && (r->topics >> topic & 1), "an event of topic %s, not subscribed", name);
    uint32_t n = m_check_payload(r, topic, data, len);
    if (sim->topics[topic].kind == &rtpush_topic_state) {
        T_CHECK(n >= r->state_seen[topic] && n <= sim->state_n[topic],
                "state %s goes from %lu to %lu, stored is %lu", name,
                (unsigned long)r->state_seen[topic], (unsigned long)n,
                (unsigned long)sim->state_n[topic]);
        r->state_seen[topic] = n;
        if (id_text != NULL) {
            m_advance_to(r, id.seq, 0);
        }
    } else {
        T_CHECK(id_text != NULL, "an event without an id");
        T_CHECK(id.seq != r->pos, "event %lu comes twice", (unsigned long)id.seq);
        m_advance_to(r, id.seq - 1, 0);
        sim->got++;
        m_record *rec = m_record_at(sim, id.seq);
        T_CHECK(rec->topic == topic && rec->n == n, "event %lu is another one",
                (unsigned long)id.seq);
        r->pos = id.seq;
    }
}

static void m_on_event(t_client *cl, const t_event *ev) {
    m_reader *r = (m_reader *)cl->user;
    int alive = ev->has_data && ev->len == 0 && strcmp(ev->name, "rtpush") == 0;
    m_item(r, ev->has_id ? ev->id : NULL, alive ? "" : ev->name, ev->has_data ? ev->data : NULL,
           ev->has_data ? ev->len : 0);
}

// RAW: order by payload number, since there is no id.
static void m_raw(m_reader *r, const uint8_t *data, size_t len) {
    m_sim *sim = r->sim;
    uint32_t n = (uint32_t)strtoul((const char *)data + 1, NULL, 10);
    T_CHECK(n > 0 && n <= sim->payloads, "payload %lu was never published", (unsigned long)n);
    int topic = sim->topic_of[n];
    T_CHECK(r->topics >> topic & 1, "topic %d is not subscribed", topic);
    m_check_payload(r, topic, data, len);
    if (data[0] == 's') {
        T_CHECK(n >= r->state_seen[topic] && n <= sim->state_n[topic],
                "state %d goes from %lu to %lu, stored is %lu", topic,
                (unsigned long)r->state_seen[topic], (unsigned long)n,
                (unsigned long)sim->state_n[topic]);
        r->state_seen[topic] = n;
        return;
    }
    uint32_t seq = r->raw_last + 1;
    while (seq != m_last_seq(sim) + 1 &&
           (m_record_at(sim, seq)->topic < 0 || m_record_at(sim, seq)->n != n)) {
        seq++;
    }
    T_CHECK(seq != m_last_seq(sim) + 1, "event payload %lu comes twice, late or from nowhere",
            (unsigned long)n);
    r->raw_last = seq;
    r->raw_got++;
    sim->got++;
}

static void m_on_message(t_client *cl, int opcode, const uint8_t *data, size_t len) {
    m_reader *r = (m_reader *)cl->user;
    int direct = opcode == 2;
    T_CHECK(len > 0 || (r->kind == M_TEXT && !direct), "an empty message");
    if (r->kind == M_TEXT) { // rtpush.1: what the application sent begins with "=", nothing else
        T_CHECK(direct == (len > 0 && data[0] == '='), "opcode %d, but it begins with %c", opcode,
                data[0]);
        data += direct;
        len -= (size_t)direct;
        if (!direct && len <= 17) { // a keep-alive
            char id[18];
            snprintf(id, sizeof id, "%.*s", (int)len, (const char *)data);
            m_item(r, len > 0 ? id : NULL, "", NULL, 0);
            return;
        }
    }
    if (direct && data[0] == 'm') { // an echo
        T_CHECK(r->echo_in < r->echo_out, "an echo of nothing");
        T_CHECK(len == r->echo_len[r->echo_in % 64], "an echo of %lu bytes, %lu were sent",
                (unsigned long)len, (unsigned long)r->echo_len[r->echo_in % 64]);
        uint8_t mark = (uint8_t)r->echo_in;
        for (size_t i = 1; i < len; i++) {
            T_CHECK(data[i] == (uint8_t)(mark + i), "a byte of the echo differs");
        }
        r->echo_in++;
        return;
    }
    if (direct && data[0] == 'd') { // sent directly
        T_CHECK(len >= 2 && data[1] == (uint8_t)r->direct_in, "direct messages out of order");
        r->direct_in++;
        return;
    }
    if (r->kind == M_RAW) {
        m_raw(r, data, len);
        return;
    }
    // rtpush.1: id SP topic LF payload
    const uint8_t *space = (const uint8_t *)memchr(data, ' ', len);
    const uint8_t *line = (const uint8_t *)memchr(data, '\n', len);
    char id[64];
    char name[64];
    static uint8_t payload[M_PAYLOAD + 64];
    T_CHECK(space != NULL && line != NULL && space < line, "not id SP topic LF: %.40s", data);
    T_CHECK(space - data < 64 && line - space < 64, "id or topic too long");
    snprintf(id, sizeof id, "%.*s", (int)(space - data), data);
    snprintf(name, sizeof name, "%.*s", (int)(line - space - 1), space + 1);
    size_t left = len - (size_t)(line + 1 - data);
    T_CHECK(left <= M_PAYLOAD, "a payload of %lu bytes", (unsigned long)left);
    memcpy(payload, line + 1, left);
    payload[left] = 0;
    m_item(r, id, name, payload, left);
}

static void m_on_frame(t_client *cl, int fin, int opcode, const uint8_t *data, size_t len) {
    m_reader *r = (m_reader *)cl->user;
    (void)fin;
    if (opcode == 8 && !r->leaving) { // RFC 6455 5.5.1: answer it
        t_buf out = {0};
        t_frame(&out, 0x88, data, len >= 2 ? 2 : 0);
        t_feed_only(r->c, out.data, out.len);
        t_buf_free(&out);
        r->leaving = 1;
    }
    if (opcode == 10) { // pong: in order, none lost
        uint8_t mark = (uint8_t)r->ping_in;
        T_CHECK(r->ping_in < r->ping_out, "a pong nobody asked for");
        T_CHECK(len > 0 && data[0] == mark, "a pong is lost: %d instead of %d", data[0], mark);
        r->ping_in++;
    }
    if (opcode == 9 && !r->leaving) {
        t_buf out = {0};
        t_frame(&out, 0x8A, data, len);
        t_feed_only(r->c, out.data, out.len); // served on the next turn
        t_buf_free(&out);
    }
}

static void m_on_answer(t_client *cl) {
    m_reader *r = (m_reader *)cl->user;
    m_sim *sim = r->sim;
    if (cl->status == 503 && r->kind != M_SSE) {
        return; // no stream free: again later
    }
    if (r->kind == M_RAW || r->kind == M_TEXT) {
        T_CHECK(cl->status == 101, "the upgrade was answered %d", cl->status);
    } else {
        T_CHECK(cl->status == 200, "the stream was answered %d", cl->status);
    }
    if (r->kind == M_POLL) {
        T_CHECK(r->polling, "an answer without a request");
        T_CHECK(cl->event_count > 0, "an answer to a poll without an id");
        r->polling = 0;
        r->poll_answers++;
        cl->event_count = 0;
        (void)sim;
    }
}

// -- the application ------------------------------------------------------------------------------

static void m_open(rtpush_server *srv, const rtpush_request *req) {
    m_sim *sim = m_of(srv);
    t_conn *c = t_conn_of(sim->w, req->conn);
    t_life_begin(sim->w, req->conn, 1);
    T_CHECK(c != NULL, "on_open for nobody");
    m_reader *r = (m_reader *)c->extra;
    T_CHECK(r != NULL && !r->open, "open twice");
    r->open = 1;
    r->raw_start = m_last_seq(sim);
    r->raw_last = r->raw_start;
    r->raw_got = 0;
    r->raw_missed = 0;
    T_CHECK(req->topics == r->topics, "topics %lx asked, %lx seen", (unsigned long)r->topics,
            (unsigned long)req->topics);
    const rtpush_counters *count = rtpush_get_counters(srv);
    T_CHECK(count->streams <= sim->cap, "%lu streams, the cap is %lu",
            (unsigned long)count->streams, (unsigned long)sim->cap);
}

static void m_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    m_sim *sim = m_of(srv);
    t_conn *c = t_conn_of(sim->w, conn);
    t_life_end(sim->w, conn);
    T_CHECK(c != NULL, "on_close for nobody");
    m_reader *r = (m_reader *)c->extra;
    r->open = 0;
    T_CHECK(closed->reason < RTPUSH_REASON_SYNTAX || closed->reason == RTPUSH_REASON_COUNT,
            "an honest client was closed for reason %d", closed->reason);
    T_CHECK(closed->reason != RTPUSH_REASON_STALLED || sim->w->kernel == 0 ||
                sim->w->now_ms - c->arrived_ms + 500 >= sim->w->desc.stall_ms,
            "stalled, though bytes arrived %lu ms ago",
            (unsigned long)(sim->w->now_ms - c->arrived_ms));
    T_CHECK(!sim->quiet || closed->reason == RTPUSH_REASON_TRANSPORT || r->kind == M_POLL ||
                closed->reason == RTPUSH_REASON_EXPIRED,
            "closed for reason %d though all was quiet", closed->reason);
}

static int m_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    m_sim *sim = m_of(srv);
    t_life_use(sim->w, conn);
    if (t_below(&sim->rng, 16) == 0 && !sim->quiet) {
        return RTPUSH_RETRY;
    }
    int result = rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
    if (result == RTPUSH_ERR_WOULD_BLOCK) {
        return RTPUSH_RETRY;
    }
    if (result == RTPUSH_ERR_STATE) { // a message in parts is under way
        return RTPUSH_RETRY;
    }
    T_CHECK(result == RTPUSH_OK, "the echo: %s", rtpush_strerror(result));
    return RTPUSH_OK;
}

static void m_publish_inside(m_sim *sim);

static void m_writable(rtpush_server *srv, rtpush_handle conn) {
    t_life_use(m_of(srv)->w, conn);
}

// What the application publishes here may be lost to this reader at once.
static void m_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    m_sim *sim = m_of(srv);
    t_conn *c = t_conn_of(sim->w, conn);
    t_life_use(sim->w, conn);
    T_CHECK(missed > 0, "a gap of nothing");
    ((m_reader *)c->extra)->raw_missed += missed;
    for (uint32_t i = t_below(&sim->rng, 3) ? 0 : t_below(&sim->rng, 60); i > 0; i--) {
        m_publish_inside(sim);
    }
}

static int m_authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    m_sim *sim = m_of(srv);
    (void)req;
    if (!sim->settling && t_below(&sim->rng, 3) == 0) {
        grant->expires_s = 1 + t_below(&sim->rng, 3);
    }
    return 0;
}

// -- publishing -----------------------------------------------------------------------------------

static void m_published(m_sim *sim, m_record *rec, int topic, int result) {
    if (result == RTPUSH_OK) {
        rec->topic = topic;
    } else {
        T_CHECK(result == RTPUSH_ERR_FULL, "publish: %s", rtpush_strerror(result));
        rec->topic = M_HOLE;
        sim->full++;
    }
}

static void m_publish_from(m_sim *sim, int topic) {
    uint8_t payload[M_PAYLOAD + 1];
    t_world *w = sim->w;
    uint32_t n = m_new_payload(sim, topic);
    int state = sim->topics[topic].kind == &rtpush_topic_state;
    size_t len = m_payload(sim, state ? 's' : 'e', n, m_most(sim, topic), payload);
    m_record *rec = NULL;
    uint32_t before = sim->state_n[topic];
    if (state) {
        sim->state_n[topic] = n;
    } else {
        rec = m_new_record(sim, topic);
        rec->n = n;
    }
    int nested = sim->in_interrupt;
    int tries = t_below(&sim->rng, 3) == 0;
    sim->in_interrupt |= tries; // or an interrupt after FULL would take the number meant for this
    int result = tries ? rtpush_try_publish_from(&w->srv, (unsigned)topic, payload, len)
                       : rtpush_publish_from(&w->srv, (unsigned)topic, payload, len);
    sim->in_interrupt = nested;
    if (tries && !state && result == RTPUSH_ERR_FULL) { // nothing happened
        sim->count--;
        return;
    }
    if (state) {
        T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_TOO_BIG, "publish_from: %s",
                rtpush_strerror(result)); // too big: many lines, each takes a "data: "
        if (result != RTPUSH_OK && sim->state_n[topic] == n) {
            sim->state_n[topic] = before;
        }
    } else {
        m_published(sim, rec, topic, result);
    }
}

// An interrupt between any two critical sections of the core.
static void m_unlock(t_world *w) {
    m_sim *sim = (m_sim *)w->extra;
    if (sim->interrupts == 0 || sim->in_interrupt || w->call == T_IN_PUBLISH || sim->quiet ||
        sim->count > M_RECORDS - 16 || sim->payloads > M_PAYLOADS - 16 ||
        t_below(&sim->rng, (uint32_t)sim->interrupts) != 0) {
        return;
    }
    sim->in_interrupt = 1;
    m_publish_from(sim, (int)t_below(&sim->rng, M_TOPICS));
    sim->in_interrupt = 0;
}

static void m_publish(m_sim *sim) {
    uint8_t payload[M_PAYLOAD + 1];
    t_world *w = sim->w;
    int topic = (int)t_below(&sim->rng, M_TOPICS);
    int state = sim->topics[topic].kind == &rtpush_topic_state;
    uint32_t way = t_below(&sim->rng, 8);
    if (way < 3 && w->srv.hooks.lock != NULL) {
        m_publish_from(sim, topic);
        return;
    }
    uint32_t n = m_new_payload(sim, topic);
    size_t len = m_payload(sim, state ? 's' : 'e', n, m_most(sim, topic), payload);
    if (state) {
        uint32_t before = sim->state_n[topic];
        sim->state_n[topic] = n;
        int result = t_publish(w, (unsigned)topic, payload, len);
        T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_TOO_BIG, "a state was refused: %s",
                rtpush_strerror(result));
        sim->state_n[topic] = result == RTPUSH_OK ? n : before;
        return;
    }
    m_record *rec = m_new_record(sim, topic);
    rec->n = n;
    if (way == 3) {
        size_t cap = len + t_below(&sim->rng, 20);
        cap = cap < sim->largest ? cap : sim->largest;
        t_enter(w, T_IN_PUBLISH, NULL);
        void *room = rtpush_reserve(&w->srv, (unsigned)topic, cap);
        T_CHECK(room != NULL, "reserve gave nothing in the loop");
        memset(room, 0xEE, cap);
        memcpy(room, payload, len);
        m_published(sim, rec, topic, rtpush_commit(&w->srv, len));
        t_leave(w);
    } else {
        m_published(sim, rec, topic, t_publish(w, (unsigned)topic, payload, len));
        T_CHECK(rec->topic != M_HOLE, "rtpush_publish said FULL in the loop");
    }
    t_enter(w, T_IN_PUBLISH, NULL); // no interrupt between the two
    rtpush_id id = rtpush_last_id(&w->srv); // invariant 6
    t_leave(w);
    T_CHECK(id.seq == m_last_seq(sim), "the event is number %lu, should be %lu",
            (unsigned long)id.seq, (unsigned long)m_last_seq(sim));
}

// From a callback: FULL where the connection being served holds the oldest record, and nothing
// happened then.
static void m_publish_inside(m_sim *sim) {
    uint8_t payload[M_PAYLOAD + 1];
    int topic = t_below(&sim->rng, 2) ? M_A : M_B;
    if (sim->quiet || sim->count > M_RECORDS - 64 || sim->payloads > M_PAYLOADS - 64) {
        return;
    }
    uint32_t n = m_new_payload(sim, topic);
    size_t len = m_payload(sim, 'e', n, m_most(sim, topic), payload);
    m_record *rec = m_new_record(sim, topic);
    int result = t_publish_inside(sim->w, (unsigned)topic, payload, len);
    if (result == RTPUSH_ERR_FULL) {
        sim->count--;
    } else {
        m_published(sim, rec, topic, result);
    }
}

static void m_direct(m_sim *sim, m_reader *r) {
    uint8_t data[80];
    t_world *w = sim->w;
    if (!r->open || r->c == NULL || r->leaving || (r->kind != M_RAW && r->kind != M_TEXT)) {
        return;
    }
    size_t len = 2 + t_below(&sim->rng, 70);
    memset(data, 'x', len);
    data[0] = 'd';
    data[1] = (uint8_t)r->direct_out;
    w->call = T_IN_API;
    int result;
    if (r->part || t_below(&sim->rng, 4) == 0) {
        int first = !r->part;
        int last = t_below(&sim->rng, 2) == 0;
        result = rtpush_send_part(&w->srv, r->c->handle, 2, data, len, first, last);
        if (result == RTPUSH_OK) {
            r->part = !last;
            r->direct_out += (uint32_t)last;
        }
    } else {
        size_t room = rtpush_send_room(&w->srv, r->c->handle);
        result = rtpush_send(&w->srv, r->c->handle, 2, data, len);
        T_CHECK(result == RTPUSH_OK || len > room || result == RTPUSH_ERR_STATE ||
                    result == RTPUSH_ERR_STALE,
                "room for %lu, %lu bytes gave %d", (unsigned long)room, (unsigned long)len, result);
        r->direct_out += result == RTPUSH_OK;
    }
    T_CHECK(result == RTPUSH_OK || result == RTPUSH_ERR_WOULD_BLOCK || result == RTPUSH_ERR_STATE ||
                result == RTPUSH_ERR_STALE, // killed, not yet reaped
            "a direct message: %s", rtpush_strerror(result));
    t_leave(w);
}

// -- a filter that changes nothing ----------------------------------------------------------------

typedef struct m_link {
    void *port; // the port's own pointer: first
} m_link;

static void *m_link_open(void *ctx, rtpush_server *srv, rtpush_conn *conn, void *port) {
    m_link *link = (m_link *)calloc(1, sizeof *link);
    (void)ctx;
    (void)srv;
    (void)conn;
    link->port = port;
    return link;
}

// The core may write to what a filter gives it, but not to what the port gave.
static size_t m_link_input(rtpush_server *srv, rtpush_conn *conn, void *bytes, size_t len) {
    uint8_t *copy = (uint8_t *)malloc(len);
    memcpy(copy, bytes, len);
    size_t taken = rtpush_plain_input(srv, conn, copy, len);
    free(copy);
    return taken;
}

static const rtpush_filter m_filter = {NULL,
                                       m_link_open,
                                       free,
                                       m_link_input,
                                       rtpush_plain_eof,
                                       rtpush_plain_output,
                                       rtpush_plain_sent,
                                       rtpush_plain_acked};

// -- readers come and go --------------------------------------------------------------------------

static void m_say_where(const m_reader *r) {
    static const char *const kinds[M_KINDS] = {"SSE", "raw WebSocket", "rtpush.1", "poll"};
    snprintf(t_where, sizeof t_where, "seed %lu, reader %d, %s", (unsigned long)r->sim->seed,
             (int)(r - r->sim->readers), kinds[r->kind]);
}

static void m_hello(m_reader *r, t_buf *out) {
    m_sim *sim = r->sim;
    static const char *const path[M_KINDS] = {"/ev", "/ws", "/ws", "/poll"};
    int header = r->kind == M_SSE && r->last_id[0] != 0 && t_below(&sim->rng, 2) == 0;
    int given = r->last_id[0] != 0 && r->kind != M_RAW;
    char id[80];
    rtpush_id last;
    snprintf(id, sizeof id, "%s", r->last_id);
    r->asked_bad = r->asked_first = 0;
    if (given && !r->has_pos && m_parse_id(r->last_id, &last)) { // the bad one brought nothing
        r->pos = last.seq;
        r->has_pos = 1;
    }
    if (given && !sim->settling && t_below(&sim->rng, 16) == 0) {
        r->asked_first = (int)t_below(&sim->rng, 2);
        r->asked_bad = !r->asked_first;
        snprintf(id, sizeof id, "%s%s", r->asked_bad ? r->last_id : "first",
                 r->asked_bad ? "-zzzzzzzz" : "");
        r->has_pos = 0; // from here on all begins anew
        r->pos = sim->first_seq - 1;
    }
    t_puts(out, "GET ");
    t_puts(out, path[r->kind]);
    t_puts(out, "?topics=");
    for (int i = 0, first = 1; i < M_TOPICS; i++) {
        if (r->topics >> i & 1) {
            t_puts(out, first ? "" : ",");
            t_puts(out, sim->topics[i].name);
            first = 0;
        }
    }
    if (given && !header) {
        t_puts(out, "&last_event_id=");
        t_puts(out, id);
    }
    t_puts(out, " HTTP/1.1\r\nHost: 10.0.0.1\r\n");
    if (header) {
        t_puts(out, "Last-Event-ID: ");
        t_puts(out, id);
        t_puts(out, "\r\n");
    }
    if (r->kind == M_RAW || r->kind == M_TEXT) {
        t_puts(out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    }
    if (r->kind == M_TEXT) {
        t_puts(out, "Sec-WebSocket-Protocol: rtpush.1\r\n");
    }
    t_puts(out, "\r\n");
    if (m_trace) {
        printf("%s: asks\n%s", t_where, t_text(out));
    }
    r->asked_any = given;
    r->noticed = r->kind == M_POLL && given; // a poll that resumes well gets events, no notice
    r->polling = 1;
}

static void m_connect(m_reader *r) {
    m_sim *sim = r->sim;
    m_say_where(r);
    t_buf out = {0};
    int secure = sim->w->srv.filter != NULL && t_below(&sim->rng, 4) == 0;
    t_conn *c = t_connect_peer(sim->w, secure ? RTPUSH_LISTENER_SECURE : 0, 1);
    if (c == NULL) {
        r->wait = 3;
        return;
    }
    t_client_free(&r->cl);
    r->cl.user = r;
    r->cl.on_answer = m_on_answer;
    r->cl.on_event = m_on_event;
    r->cl.on_message = m_on_message;
    r->cl.on_frame = m_on_frame;
    r->c = c;
    c->extra = r;
    c->hold_acks = t_below(&sim->rng, 3) != 0;
    c->window = t_below(&sim->rng, 3) ? 200 : SIZE_MAX;
    r->stalled = 0;
    r->leaving = 0;
    r->part = 0;
    r->fragment = 0;
    r->echo_in = r->echo_out = r->ping_in = r->ping_out = r->direct_in = r->direct_out = 0;
    m_hello(r, &out);
    sim->in_interrupt = 1; // where the reader begins must be known
    t_feed(c, out.data, out.len);
    sim->in_interrupt = 0;
    t_buf_free(&out);
}

static void m_lose(m_reader *r, int lose_bytes) {
    m_sim *sim = r->sim;
    t_conn *c = r->c;
    t_run_ready(sim->w);                // on_close may come with the next turn
    if (lose_bytes && c->out.len > 0) { // what was sent need not have arrived
        c->out.len -= t_below(&sim->rng, (uint32_t)c->out.len + 1);
    }
    t_client_read(&r->cl, c);
    t_cut(c);
    t_run_ready(sim->w);
    T_CHECK(!r->open, "on_close did not come with rtpush_gone");
    t_forget(c);
    r->c = NULL;
    r->wait = t_below(&sim->rng, 12);
}

static void m_reader_reads(m_reader *r) {
    t_conn *c = r->c;
    m_say_where(r);
    t_client_read(&r->cl, c);
    if (c->fin || c->dropped) { // over the cap, evicted, stalled...
        T_CHECK(r->kind != M_SSE || r->cl.status != 503, // invariant 20
                "an event stream got 503");
        m_lose(r, 0);
    } else if (r->kind == M_POLL && !r->polling && !c->eof_wanted &&
               t_below(&r->sim->rng, 3) == 0) {
        t_buf out = {0};
        m_hello(r, &out);
        t_feed_only(c, out.data, out.len);
        t_buf_free(&out);
    }
}

static void m_client_sends(m_sim *sim, m_reader *r) {
    uint8_t data[200];
    t_buf out = {0};
    if ((r->kind != M_RAW && r->kind != M_TEXT) || r->cl.step != T_CL_FRAMES || r->c->in.len > 0 ||
        r->echo_out - r->echo_in > 60 || r->leaving || r->cl.closed || r->c->eof_wanted) {
        return;
    }
    if (t_below(&sim->rng, 3) == 0) {
        size_t len = 1 + t_below(&sim->rng, 100);
        memset(data, 'p', len);
        data[0] = (uint8_t)r->ping_out++;
        t_frame(&out, 0x89, data, len);
    } else if (r->fragment == 0) {
        size_t len = 1 + t_below(&sim->rng, 100);
        data[0] = 'm';
        for (size_t i = 1; i < len; i++) {
            data[i] = (uint8_t)(r->echo_out + i);
        }
        r->echo_len[r->echo_out % 64] = (uint32_t)len;
        r->echo_out++;
        size_t cut = t_below(&sim->rng, (uint32_t)len + 1);
        if (cut == len || cut == 0) {
            t_frame(&out, 0x82, data, len);
        } else {
            t_frame(&out, 0x02, data, cut);
            if (t_below(&sim->rng, 2) == 0) {
                uint8_t ping = (uint8_t)r->ping_out++;
                t_frame(&out, 0x89, &ping, 1);
            }
            t_frame(&out, 0x80, data + cut, len - cut);
        }
    }
    t_feed_only(r->c, out.data, out.len);
    t_buf_free(&out);
}

// One of the two sides finishes in order.
static void m_close_gracefully(m_sim *sim, m_reader *r) {
    t_world *w = sim->w;
    if (t_below(&sim->rng, 2) == 0) {
        r->c->eof_wanted = 1;
    } else if (t_below(&sim->rng, 2) == 0 && r->cl.step == T_CL_FRAMES && r->c->in.len == 0) {
        t_buf out = {0};
        t_frame(&out, 0x88, "\x03\xE8", 2);
        t_feed_only(r->c, out.data, out.len);
        t_buf_free(&out);
        r->leaving = 1;
    } else if (r->open) {
        w->call = T_IN_API;
        rtpush_close(&w->srv, r->c->handle, 1000, "enough");
        t_leave(w);
    }
}

static void m_reader_step(m_sim *sim, m_reader *r) {
    if (r->c == NULL) {
        if (r->wait > 0) {
            r->wait--;
        } else {
            m_connect(r);
        }
        return;
    }
    switch (t_below(&sim->rng, 12)) {
    case 0:
        r->stalled = t_below(&sim->rng, 3) == 0;
        break;
    case 1:
        if (t_below(&sim->rng, 4) == 0) {
            m_lose(r, 1);
            return;
        }
        break;
    case 2:
        m_client_sends(sim, r);
        break;
    case 3:
        m_direct(sim, r);
        break;
    case 4:
        if (t_below(&sim->rng, 12) == 0) {
            m_close_gracefully(sim, r);
        }
        break;
    default:
        break;
    }
    if (!r->stalled) {
        if (r->c->window != SIZE_MAX) {
            r->c->window += t_below(&sim->rng, 120);
        }
        if (r->c->hold_acks && t_below(&sim->rng, 2) == 0) {
            t_ack(r->c, 1 + t_below(&sim->rng, (uint32_t)r->c->unacked + 1));
        }
        if (sim->w->kernel > 0) {
            uint32_t most = t_below(&sim->rng, 3) ? 30 : (uint32_t)sim->w->kernel;
            r->c->hold_acks = t_below(&sim->rng, 4) == 0; // the port gathers for a while
            t_arrive(r->c, 1 + t_below(&sim->rng, most));
        }
    }
    if (t_below(&sim->rng, 2) == 0) {
        t_serve(r->c);
    }
    m_reader_reads(r);
}

// -- private invariants ---------------------------------------------------------------------------

static void m_check_log(m_sim *sim) {
    const rtpush_server *srv = &sim->w->srv;
    (void)srv;
    for (int i = 0; i < M_READERS; i++) {
        const m_reader *r = &sim->readers[i];
        if (r->c == NULL || r->c->conn == NULL || !rtpi_is_stream(r->c->conn)) {
            continue;
        }
        m_say_where(r);
        const rtpush_conn *conn = r->c->conn;
        const rtpi_stream *st = &conn->out.stream;
        if (r->c->kernel > 0) { // else a reader that stalls is not seen, or one that does not is
            T_CHECK(conn->flags & RTPI_F_PENDING, "bytes are on their way, and nobody watches");
            T_CHECK(conn->mark.pending == r->c->told, "%lu bytes may be on their way, it knows %lu",
                    (unsigned long)r->c->told, (unsigned long)conn->mark.pending);
        }
        if (rtpi_is_websocket(conn) && !(conn->flags & RTPI_F_RETRY)) { // rtpush_next was here
            T_CHECK(!(conn->in.ws.bits & RTPI_WS_DELIVER), "a message is not handed over");
            T_CHECK(sim->w->kernel == 0 || r->c->unacked > 0 || rtpi_tx_queued(conn) > 0 ||
                        r->c->more || !t_has_room(r->c) ||
                        (conn->flags & RTPI_F_CLOSE_SENT) ||
                        !(conn->todo & (RTPI_TODO_PONG | RTPI_TODO_WRITABLE)),
                    "a pong or on_writable is owed, and there is room");
        }
        // Invariant 2.
        T_CHECK(st->gap_from < st->seq, "a gap that does not end before the cursor");
        T_CHECK(st->gap_from == 0 || st->part == 0, "a record begun before a gap is told");
        T_CHECK(sim->w->kernel == 0 || conn->mark_seq == 0, "it holds what was copied");
        if (conn->mark_seq != 0) { // invariant 8
            T_CHECK((int32_t)(st->seq - conn->hold_seq) >= 0, "hold is ahead of the cursor");
            T_CHECK((int32_t)(conn->mark_seq - conn->hold_seq) >= 0, "mark is behind hold");
        }
        if (st->part > 0) { // invariant 7
            T_CHECK((int32_t)(st->seq - srv->tail_seq) >= 0, "mid-record behind the tail");
        }
    }
}

// A keep-alive comes keepalive_ms after the last bytes, not before.
static void m_tick(m_sim *sim) {
    int before[M_READERS];
    for (int i = 0; i < M_READERS; i++) {
        const t_conn *c = sim->readers[i].c;
        before[i] = c != NULL && c->conn != NULL ? c->conn->todo & RTPI_TODO_ALIVE : 0;
    }
    t_tick(sim->w);
    for (int i = 0; i < M_READERS; i++) {
        const m_reader *r = &sim->readers[i];
        if (r->kind == M_SSE && r->c != NULL && r->c->conn != NULL && rtpi_is_open(r->c->conn) &&
            !before[i] && (r->c->conn->todo & RTPI_TODO_ALIVE)) {
            m_say_where(r);
            T_CHECK(sim->w->now_ms - r->c->took_ms + 500 >= sim->w->desc.keepalive_ms,
                    "a keep-alive %lu ms after the last bytes",
                    (unsigned long)(sim->w->now_ms - r->c->took_ms));
        }
    }
}

// What rtpush_next did not name has nothing to send, if the transport has room, and takes nothing.
static void m_check_named(m_sim *sim) {
    const m_reader *r = &sim->readers[t_below(&sim->rng, M_READERS)];
    t_conn *c = r->c;
    if (sim->interrupts != 0 || c == NULL || c->conn == NULL || !rtpi_is_open(c->conn) ||
        c->more || !t_has_room(c)) {
        return;
    }
    rtpush_span span;
    m_say_where(r);
    if (c->refused && !(c->conn->flags & RTPI_F_RETRY)) {
        c->refused = 0;
        T_CHECK(t_offer(c) == 0, "rtpush_next forgot held input");
    }
    t_enter(sim->w, T_IN_OUTPUT, c);
    T_CHECK(rtpush_output(&sim->w->srv, c->conn, &span, 1) == 0, "rtpush_next forgot a connection");
    t_leave(sim->w);
}

// -- the end: everything must have arrived --------------------------------------------------------

static void m_settle(m_sim *sim) {
    for (int i = (int)sim->cap; i < M_READERS; i++) { // more would not find a stream
        if (sim->readers[i].c != NULL) {
            m_lose(&sim->readers[i], 0);
        }
    }
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < M_READERS; i++) {
            m_reader *r = &sim->readers[i];
            if (r->c == NULL && i < (int)sim->cap) {
                r->wait = 0;
                m_connect(r);
            }
            if (r->c == NULL) {
                continue;
            }
            r->c->window = SIZE_MAX;
            r->c->hold_acks = 0;
            t_ack(r->c, r->c->unacked);
            t_arrive(r->c, r->c->kernel);
            t_serve(r->c);
            t_run_ready(sim->w);
            m_reader_reads(r);
            if (r->c != NULL) {
                t_serve(r->c); // what it said in answer
            }
        }
        t_advance(sim->w, 300);
    }
}

static void m_check_settled(m_sim *sim) {
    for (int i = 0; i < (int)sim->cap && i < M_READERS; i++) {
        m_reader *r = &sim->readers[i];
        m_say_where(r);
        T_CHECK(r->c != NULL && (r->open || r->kind == M_POLL), "a reader stays out");
        if (r->part) { // a message in parts holds everything back: nothing more to ask
            continue;
        }
        T_CHECK(r->c->in.len == 0, "refused input was never taken (invariant 14): flags %x step %d",
                r->c->conn->flags, r->c->conn->in.ws.bits);
        T_CHECK(r->echo_in == r->echo_out && r->ping_in == r->ping_out, "an echo or pong is lost");
        T_CHECK(r->direct_in == r->direct_out, "a direct message is lost");
        for (int t = 0; t < M_TOPICS; t++) {
            T_CHECK(sim->topics[t].kind != &rtpush_topic_state || !(r->topics >> t & 1) ||
                        r->state_seen[t] == sim->state_n[t],
                    "reader %d has state %lu of %s, stored is %lu", i,
                    (unsigned long)r->state_seen[t], sim->topics[t].name,
                    (unsigned long)sim->state_n[t]);
        }
        if (r->kind == M_RAW) {
            uint32_t subscribed = 0;
            for (uint32_t s = r->raw_start + 1; s != m_last_seq(sim) + 1; s++) {
                const m_record *rec = m_record_at(sim, s);
                subscribed += r->topics >> (rec->topic >= 0 ? rec->topic : rec->wanted) & 1;
            }
            int all = (r->topics & (1u << M_A | 1u << M_B)) == (1u << M_A | 1u << M_B);
            T_CHECK(r->raw_got + r->raw_missed >= subscribed &&
                        (!all || r->raw_got + r->raw_missed == subscribed),
                    "raw reader: %lu delivered, %lu missed, %lu published",
                    (unsigned long)r->raw_got, (unsigned long)r->raw_missed,
                    (unsigned long)subscribed);
        } else {
            uint32_t pos = r->pos;
            m_advance_to(r, m_last_seq(sim), 0); // nothing subscribed may be missing
            r->pos = pos;
        }
    }
}

static void m_check_quiet(m_sim *sim) {
    uint32_t answers[M_READERS];
    for (int i = 0; i < M_READERS; i++) {
        answers[i] = sim->readers[i].poll_answers;
    }
    for (int round = 0; round < 17; round++) { // 17 s: a keep-alive passes, a poll may end once
        t_advance(sim->w, 1000);
        for (int i = 0; i < M_READERS; i++) {
            if (sim->readers[i].c != NULL) {
                t_serve(sim->readers[i].c);
                t_arrive(sim->readers[i].c, sim->readers[i].c->kernel);
                m_reader_reads(&sim->readers[i]);
            }
        }
        t_run_ready(sim->w);
    }
    for (int i = 0; i < (int)sim->cap && i < M_READERS; i++) {
        m_reader *r = &sim->readers[i];
        T_CHECK(r->poll_answers - answers[i] <= 2, "a poll spins: %lu answers in quiet",
                (unsigned long)(r->poll_answers - answers[i]));
        if (r->kind == M_SSE && !r->part) {
            T_CHECK(r->pos == m_last_seq(sim), "the keep-alive left the id at %lu, newest is %lu",
                    (unsigned long)r->pos, (unsigned long)m_last_seq(sim));
        }
    }
}

// What is counted at the end of a run.
static void m_check_counters(const m_sim *sim) {
    const rtpush_counters *count = rtpush_get_counters(&sim->w->srv);
    T_CHECK(count->bytes_out == sim->w->taken, "bytes_out is %lu, %lu were taken",
            (unsigned long)count->bytes_out, (unsigned long)sim->w->taken);
    T_CHECK(count->delivered >= sim->got, "delivered is %lu, clients read %lu",
            (unsigned long)count->delivered, (unsigned long)sim->got);
}

// -- one run --------------------------------------------------------------------------------------

// A port as that of POSIX. Its numbers are drawn apart: the other runs do not depend on them.
static void m_copying_port(t_world *w, uint32_t seed) {
    t_rng rng = t_seed(seed + 2000003u);
    if (t_below(&rng, 5) >= 2) {
        return;
    }
    w->kernel = 200 + t_below(&rng, 3000);
    w->plan_size = 256 + 8 * t_below(&rng, 100);
    w->shy = t_below(&rng, 3) ? 2 + t_below(&rng, 20) : 0;
    w->input_const = t_below(&rng, 3) == 0;
    w->desc.stall_ms = 1000 + t_below(&rng, 5000);
    w->desc.keepalive_ms = 1000 + t_below(&rng, 4000);
    w->desc.ping_ms = 3000 + t_below(&rng, 5000);
}

static void m_setup(m_sim *sim) {
    t_world *w = sim->w;
    static const char *const names[M_TOPICS] = {"a", "s", "b", "u"};
    for (int i = 0; i < M_TOPICS; i++) {
        sim->topics[i].name = names[i];
        sim->topics[i].kind = i == M_S || i == M_U ? &rtpush_topic_state : &rtpush_topic_event;
    }
    sim->topics[M_S].max = 24;
    sim->topics[M_U].max = (uint16_t)(16 + t_below(&sim->rng, 100));
    static const char *const paths[3] = {"/ev", "/ws", "/poll"};
    static const rtpush_kind *const kinds[3] = {&rtpush_events, &rtpush_websocket, &rtpush_poll};
    for (int i = 0; i < 3; i++) {
        sim->routes[i].path = paths[i];
        sim->routes[i].kind = kinds[i];
        sim->routes[i].on_open = m_open;
        sim->routes[i].on_close = m_close;
        sim->routes[i].on_gap = m_gap;
        sim->routes[i].on_message = kinds[i] == &rtpush_websocket ? m_message : NULL;
        sim->routes[i].on_writable = kinds[i] == &rtpush_websocket ? m_writable : NULL;
    }
    w->desc.routes = sim->routes;
    w->desc.route_count = 3;
    w->desc.topics = sim->topics;
    w->desc.topic_count = M_TOPICS;
    w->desc.conn_count = 4 + t_below(&sim->rng, 6);
    w->desc.rx_size = (uint16_t)(256 + 4 * t_below(&sim->rng, 64));
    w->desc.tx_size = (uint16_t)(256 + 4 * t_below(&sim->rng, 64));
    w->desc.log_size = 512 + 4 * t_below(&sim->rng, 500);
    w->desc.rate_messages = RTPUSH_UNLIMITED;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    w->desc.epoch = 0x10000000u + sim->seed;
    w->desc.authorize = m_authorize;
    w->in_mode = T_RANDOM;
    w->bite = t_below(&sim->rng, 2) ? 0 : 1 + t_below(&sim->rng, 60);
    w->max_spans = 1 + (int)t_below(&sim->rng, 6);
    w->now_ms = t_below(&sim->rng, 4) ? 1000 : 0xFFFFFFFFu - t_below(&sim->rng, 20000);
    w->plan_size = t_below(&sim->rng, 3) ? 256 + 8 * t_below(&sim->rng, 100) : 0;
    m_copying_port(w, sim->seed);
    w->extra = sim;
    w->on_unlock = m_unlock;
    sim->interrupts = t_below(&sim->rng, 2) ? 0 : 5 + (int)t_below(&sim->rng, 60);
    sim->largest = w->desc.log_size / 4 - 24;
    sim->largest = sim->largest < M_PAYLOAD - 2 ? sim->largest : M_PAYLOAD - 2;
    sim->quiet = 1; // no interrupts during init
    t_start(w);
    if (w->kernel > 0) {
        T_CHECK(rtpush_attach_filter(&w->srv, &m_filter) == RTPUSH_OK, "the filter");
    }
    sim->cap = w->desc.conn_count - 1;
    rtpush_id last = rtpush_last_id(&w->srv);
    sim->quiet = 0;
    sim->first_seq = last.seq; // records[0] stands for what was before
    sim->records[0].topic = M_HOLE;
    sim->count = 1;
    for (int i = 0; i < M_READERS; i++) {
        m_reader *r = &sim->readers[i];
        r->sim = sim;
        r->kind = (int)t_below(&sim->rng, M_KINDS);
        r->topics = t_below(&sim->rng, 2) ? 15 : 1 + t_below(&sim->rng, 15);
        r->wait = t_below(&sim->rng, 20);
    }
}

static void m_run(uint32_t seed) {
    m_sim *sim = (m_sim *)calloc(1, sizeof *sim);
    snprintf(t_where, sizeof t_where, "seed %lu", (unsigned long)seed);
    if (sim == NULL) {
        T_FAIL("out of memory in the test");
        return;
    }
    sim->seed = seed;
    sim->rng = t_seed(seed);
    sim->w = t_new();
    sim->w->rng = t_seed(seed + 1000003u);
    m_setup(sim);
    uint32_t steps = 60 + t_below(&sim->rng, 300);
    uint32_t busy = 1 + t_below(&sim->rng, 5);
    for (uint32_t step = 0;
         step < steps && sim->count < M_RECORDS - 64 && sim->payloads < M_PAYLOADS - 64; step++) {
        for (uint32_t i = t_below(&sim->rng, busy); i > 0; i--) {
            m_publish(sim);
        }
        for (int i = 0; i < M_READERS; i++) {
            m_reader_step(sim, &sim->readers[i]);
        }
        if (t_below(&sim->rng, 3) == 0) {
            sim->w->now_ms += t_below(&sim->rng, t_below(&sim->rng, 20) ? 300 : 9000);
            m_tick(sim);
        }
        t_run_ready(sim->w);
        m_check_log(sim);
        m_check_named(sim);
    }
    sim->interrupts = 0;
    sim->settling = 1;
    sim->w->bite = 0;
    m_settle(sim);
    m_settle(sim);
    sim->quiet = 1;
    m_settle(sim);
    m_check_settled(sim);
    m_check_quiet(sim);
    m_check_counters(sim);
    for (int i = 0; i < M_READERS; i++) {
        t_client_free(&sim->readers[i].cl);
    }
    t_end(sim->w);
    free(sim);
    t_where[0] = 0;
}

#endif // T_MODEL_H
