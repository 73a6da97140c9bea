// kafka://HOST[:9092][,HOST2...]/TOPIC?config=FILE: a topic of Kafka with one partition.
//
// The key of a message is the event's topic, the header "message-id" its message id. An event's id
// is made of an epoch and its offset + 1. A jump of offsets is no loss: transactions and compaction
// leave them. What retention has deleted is one: then the first offset is above the one wanted.
//
// The epoch is in a second topic, TOPIC.epoch, in records "EPOCH FROM": the last one counts, and
// FROM is the first offset for which it was decided. Gateways that decide at the same time each
// append one, wait, and read which is the last. A new epoch begins if there is none, or if TOPIC
// is not the one that was read: it ends before what was seen, or has something else there.
//
// The library connects again by itself, and reads on at "its" offset, whatever is there now. So its
// connections are counted before anything comes through them: what was verified holds as long as
// that count stays, and what came by a later connection is dropped and read again.
//
// Both topics are made by an operator, who knows how often they are to be replicated.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    SAMPLE = 100,    // messages whose average size decides where the first read begins
    RUN = 256,       // with more than that to come, the reader is not at the end
    WAIT_MS = 200,   // a wait for a message; then errors are looked for
    CONNECT_MS = 150, // after that brokers that cannot be reached are away
    LATE_MS = 3000,  // after a turn that took longer, all is verified: this process was stopped
    PURGE_MS = 200,  // for the last word about a message that is given up
    SETTLE_MS = 300, // others that decide on an epoch have done so
    HASHED = 256,    // bytes of a message by which it is known again, with its time and key
    TRIES = 8        // of an agreement; errors of the topic without a message between them
};
#define EPOCH_LAST 0xFFFF0000u // positions of 64 bits go on in epochs behind it
#define HEADER "message-id"

typedef struct link { // one handle of the library, of one thread
    rd_kafka_t *rk;
    rd_kafka_topic_t *events;
    rd_kafka_topic_t *epochs;
    rd_kafka_queue_t *queue;  // what is read
    int events_read;          // it comes into the queue
    int epochs_read;
    unsigned connections;     // that were made; the library's threads count
    int trouble;              // an error was told
    int down;                 // no broker can be reached
    int reported;             // a message's delivery: status, error, offset
    rd_kafka_msg_status_t status;
    rd_kafka_resp_err_t error;
    int64_t offset;
    char heard[160]; // of errors
    char why[240];   // that it failed
} link;

typedef struct record { // of TOPIC.epoch
    uint32_t epoch;
    uint64_t from;
} record;

typedef struct kafka {
    char brokers[512];
    char topic[128];
    char epochs[140];
    rd_kafka_conf_t *conf; // what FILE says

    link reader;
    uint32_t base;       // epoch in which positions are counted from 1; 0: not begun
    int64_t epochs_at;   // offset in TOPIC.epoch behind the last that was read
    uint64_t at;         // newest position looked at: the next offset
    uint64_t keep_after; // up to here message ids are remembered, and nothing is delivered
    uint64_t hash;       // of the message at `at`; 0: not known

    link publisher;
    unsigned checked;      // its connections when it was verified,
    uint32_t checked_base; // and the epoch; 0: not verified
} kafka;

// -- handles --------------------------------------------------------------------------------------

static void consume_stop(link *l) {
    if (l->events_read) {
        rd_kafka_consume_stop(l->events, 0);
    }
    if (l->epochs_read) {
        rd_kafka_consume_stop(l->epochs, 0);
    }
    if (l->queue != NULL) {
        rd_kafka_queue_destroy(l->queue);
    }
    l->queue = NULL;
    l->events_read = 0;
    l->epochs_read = 0;
}

// Waits for the library's threads: no message may be kept.
static void link_close(link *l) {
    if (l->rk == NULL) {
        return;
    }
    consume_stop(l);
    if (l->events != NULL) {
        rd_kafka_topic_destroy(l->events);
    }
    if (l->epochs != NULL) {
        rd_kafka_topic_destroy(l->epochs);
    }
    rd_kafka_destroy(l->rk);
    l->rk = NULL;
    l->events = NULL;
    l->epochs = NULL;
}

static const char *fail_text(link *l, const char *what, const char *detail) {
    snprintf(l->why, sizeof(l->why), "%.60s: %.160s", what, detail);
    link_close(l);
    return l->why;
}

static const char *fail(link *l, const char *what, rd_kafka_resp_err_t error) {
    rd_kafka_poll(l->rk, 0);
    // Of an error that is not the broker's word, what was heard before has the reason.
    const int own = error <= RD_KAFKA_RESP_ERR__END || error == RD_KAFKA_RESP_ERR_NO_ERROR;
    return fail_text(l, what, own && l->heard[0] ? l->heard : rd_kafka_err2str(error));
}

static unsigned connections_of(const link *l) {
    return __atomic_load_n(&l->connections, __ATOMIC_ACQUIRE);
}

// In a thread of the library, before a connection is made.
static int on_connect(int fd, const struct sockaddr *addr, int len, const char *id, void *opaque) {
    link *l = (link *)opaque;
    (void)id;
    __atomic_add_fetch(&l->connections, 1u, __ATOMIC_ACQ_REL);
    return connect(fd, addr, (socklen_t)len) == 0 || errno == EINPROGRESS ? 0 : errno;
}

// The others are called in the thread that asks.
static void on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque) {
    link *l = (link *)opaque;
    (void)rk;
    l->trouble = 1;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        l->down = 1;
    } else if (l->heard[0] == '\0' || strcmp(reason, l->heard) < 0) { // of several always one,
        const char *end = strstr(reason, " (after "); // and not "17ms in state UP": said once
        snprintf(l->heard, sizeof(l->heard), "%.*s", end ? (int)(end - reason) : 150, reason);
    }
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    link *l = (link *)opaque;
    (void)rk;
    l->reported = 1;
    l->status = rd_kafka_message_status(m);
    l->error = m->err;
    l->offset = m->offset;
}

// Names and values, up to NULL. What FILE says of these does not count.
static const char *const reader_settings[] = {
    "auto.offset.reset", "error", "enable.partition.eof", "true", "enable.auto.commit", "false",
    "auto.commit.enable", "false", "enable.auto.offset.store", "false",
    "queued.max.messages.kbytes", "16384", NULL};
// A message that is sent again by the library could be stored twice, unknown to us.
static const char *const publisher_settings[] = {
    "acks", "all", "retries", "0", "linger.ms", "0", NULL};

static int link_open(const kafka *k, link *l, rd_kafka_type_t type) {
    const char *const both[] = {
        "bootstrap.servers", k->brokers, "reconnect.backoff.max.ms", "500",
        "socket.timeout.ms", "4000", // with what a fetch may wait, less than SOURCE_DEAD_MS
        "socket.connection.setup.timeout.ms", "4000",
        "api.version.request.timeout.ms", "4000", NULL};
    const char *const *const all[] = {
        both, type == RD_KAFKA_CONSUMER ? reader_settings : publisher_settings};
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(k->conf);
    char why[160] = "";
    int ok = 1;
    for (int i = 0; i < 2; i++) {
        for (const char *const *at = all[i]; ok && *at != NULL; at += 2) {
            ok = rd_kafka_conf_set(conf, at[0], at[1], why, sizeof(why)) == RD_KAFKA_CONF_OK;
        }
    }
    rd_kafka_conf_set_opaque(conf, l);
    rd_kafka_conf_set_connect_cb(conf, on_connect);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, NULL); // the call that fails says it
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    }
    l->trouble = l->down = 0;
    l->heard[0] = '\0';
    l->rk = ok ? rd_kafka_new(type, conf, why, sizeof(why)) : NULL; // takes conf over
    if (l->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        fail_text(l, "library", why);
        return -1;
    }
    l->events = rd_kafka_topic_new(l->rk, k->topic, NULL);
    l->epochs = rd_kafka_topic_new(l->rk, k->epochs, NULL);
    if (l->events == NULL || l->epochs == NULL) {
        fail(l, "topic", rd_kafka_last_error());
        return -1;
    }
    return 0;
}

// -- requests -------------------------------------------------------------------------------------

// Waits for a broker. A topic must be there, with one partition: several have no common order.
static int verify_topic(link *l, rd_kafka_topic_t *topic) {
    const struct rd_kafka_metadata *data = NULL;
    const char *name = rd_kafka_topic_name(topic);
    char what[160];
    int count = 0;
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__TIMED_OUT;
    int64_t wait_ms = CONNECT_MS / 3; // each time longer, for a broker that answers slowly
    for (int64_t spent_ms = 0; spent_ms < SOURCE_DEAD_MS; spent_ms += wait_ms, wait_ms *= 2) {
        error = rd_kafka_metadata(l->rk, 0, topic, &data, (int)wait_ms);
        rd_kafka_poll(l->rk, 0);
        if ((error != RD_KAFKA_RESP_ERR__TIMED_OUT && error != RD_KAFKA_RESP_ERR__TRANSPORT) ||
            (l->down && spent_ms + wait_ms >= CONNECT_MS)) {
            break;
        }
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        error = data->topic_cnt == 1 ? data->topics[0].err : RD_KAFKA_RESP_ERR__BAD_MSG;
        count = data->topic_cnt == 1 ? data->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(data);
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && count == 1) {
        return 0;
    }
    snprintf(what, sizeof(what), "topic %s", name);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(what, sizeof(what), "topic %s has %d partitions", name, count);
        fail_text(l, what, "it must have one");
    } else {
        fail(l, what, error);
    }
    return -1;
}

// The first offset of a topic that is there, and the one that its next message will have.
static int find_ends(link *l, const char *topic, int64_t *first, int64_t *end) {
    const rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(l->rk, topic, 0, first, end, SOURCE_DEAD_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(l, topic, error);
        return -1;
    }
    return 0;
}

static int consume(link *l, rd_kafka_topic_t *topic, int64_t offset) {
    l->queue = l->queue ? l->queue : rd_kafka_queue_new(l->rk);
    if (rd_kafka_consume_start_queue(topic, 0, offset, l->queue) < 0) {
        fail(l, "consume", rd_kafka_last_error());
        return -1;
    }
    if (topic == l->events) {
        l->events_read = 1;
    } else {
        l->epochs_read = 1;
    }
    return 0;
}

// The next message, or the end of a topic, or its error. NULL: none came, or trouble.
static rd_kafka_message_t *next_of(link *l, int64_t until_ms) {
    rd_kafka_message_t *m = NULL;
    while (m == NULL && !l->trouble) {
        const int64_t left_ms = until_ms - source_clock_ms();
        m = rd_kafka_consume_queue(l->queue, left_ms < 0 ? 0 : left_ms < WAIT_MS ? (int)left_ms
                                                                                 : (int)WAIT_MS);
        rd_kafka_poll(l->rk, 0); // errors
        if (left_ms <= 0) {
            break;
        }
    }
    return m;
}

// The next message, or the end of a topic, which must come. NULL: l->why.
static rd_kafka_message_t *demand(link *l, const char *what) {
    const int64_t until_ms = source_clock_ms() + SOURCE_DEAD_MS;
    rd_kafka_message_t *m;
    do { // trouble may be of another broker
        l->trouble = 0;
        m = next_of(l, until_ms);
    } while (m == NULL && !l->down && source_clock_ms() < until_ms);
    if (m == NULL) {
        fail(l, what, RD_KAFKA_RESP_ERR__TIMED_OUT);
    } else if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        const rd_kafka_resp_err_t error = m->err;
        rd_kafka_message_destroy(m);
        fail(l, what, error);
        m = NULL;
    }
    return m;
}

static uint64_t hash_of(const rd_kafka_message_t *m) { // FNV-1a, never 0
    const int64_t stamp = rd_kafka_message_timestamp(m, NULL);
    const void *parts[3] = {m->key, m->payload, &stamp};
    const size_t lens[3] = {m->key_len, m->len < HASHED ? m->len : HASHED, sizeof(stamp)};
    uint64_t hash = UINT64_C(14695981039346656037);
    for (int part = 0; part < 3; part++) {
        for (size_t i = 0; parts[part] != NULL && i < lens[part]; i++) {
            hash = (hash ^ ((const uint8_t *)parts[part])[i]) * UINT64_C(1099511628211);
        }
    }
    return hash ? hash : 1u;
}

// The last word about a message: OUTCOME_...
static int outcome_of(link *l) {
    if (l->error == RD_KAFKA_RESP_ERR_NO_ERROR && l->status == RD_KAFKA_MSG_STATUS_PERSISTED) {
        return OUTCOME_STORED;
    }
    snprintf(l->why, sizeof(l->why), "publish: %s", rd_kafka_err2str(l->error));
    if (l->status != RD_KAFKA_MSG_STATUS_NOT_PERSISTED) {
        return OUTCOME_UNKNOWN;
    }
    switch (l->error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return OUTCOME_REFUSED;
    default: // such as a broker that is not the leader any more
        return OUTCOME_AGAIN;
    }
}

// Sends one message, and waits for the report: l->offset if it is stored.
static int send_one(link *l, rd_kafka_topic_t *topic, const char *key, const char *id,
                    const void *data, size_t len, int64_t until_ms) {
    rd_kafka_vu_t parts[6];
    memset(parts, 0, sizeof(parts));
    parts[0].vtype = RD_KAFKA_VTYPE_RKT;
    parts[0].u.rkt = topic;
    parts[1].vtype = RD_KAFKA_VTYPE_PARTITION;
    parts[1].u.i32 = 0;
    parts[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[2].u.i = RD_KAFKA_MSG_F_COPY;
    parts[3].vtype = RD_KAFKA_VTYPE_KEY;
    memcpy(&parts[3].u.mem.ptr, &key, sizeof(key)); // it is only read
    parts[3].u.mem.size = strlen(key);
    parts[4].vtype = RD_KAFKA_VTYPE_VALUE;
    memcpy(&parts[4].u.mem.ptr, &data, sizeof(data));
    parts[4].u.mem.size = len;
    // Not VTYPE_HEADER: librdkafka 2.0.2 releases that twice if it does not take the message.
    parts[5].vtype = RD_KAFKA_VTYPE_HEADERS;
    parts[5].u.headers = rd_kafka_headers_new(1);
    rd_kafka_header_add(parts[5].u.headers, HEADER, -1, id, -1);
    l->reported = 0;
    rd_kafka_error_t *error = rd_kafka_produceva(l->rk, parts, 6);
    if (error != NULL) { // not taken
        rd_kafka_headers_destroy(parts[5].u.headers);
        l->status = RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
        l->error = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        return outcome_of(l);
    }
    const int64_t dead_ms = source_clock_ms() + SOURCE_DEAD_MS;
    until_ms = until_ms < dead_ms ? until_ms : dead_ms;
    for (int given_up = 0; !l->reported;) {
        const int64_t left_ms = until_ms - source_clock_ms();
        if (left_ms > 0 && (given_up || !l->down)) {
            rd_kafka_poll(l->rk, (int)left_ms);
        } else if (given_up) {
            fail_text(l, "publish", "no answer");
            return OUTCOME_UNKNOWN;
        } else { // it is reported whether it was sent
            given_up = 1;
            until_ms = source_clock_ms() + PURGE_MS;
            rd_kafka_purge(l->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        }
    }
    return outcome_of(l);
}

// -- the epoch ------------------------------------------------------------------------------------

typedef struct look { // what the broker said
    unsigned connections; // before it was asked
    record now;
    int64_t epochs_end;
    int64_t first; // offset
    int64_t end;
    int same; // what was read is in it
} look;

static void take_record(const rd_kafka_message_t *m, record *newest) {
    char words[40] = "";
    record found = {0, 0};
    if (m->payload != NULL && m->len < sizeof(words)) {
        memcpy(words, m->payload, m->len);
    }
    if (sscanf(words, "%" SCNu32 " %" SCNu64, &found.epoch, &found.from) == 2 &&
        found.epoch > 0 && found.epoch < EPOCH_LAST) {
        *newest = found;
    }
}

// Reads TOPIC.epoch from its first message to its end.
static int read_records(const kafka *k, link *l, look *out) {
    int64_t first;
    if (find_ends(l, k->epochs, &first, &out->epochs_end) < 0) {
        return -1;
    }
    if (first == out->epochs_end) {
        return 0;
    }
    if (consume(l, l->epochs, first) < 0) {
        return -1;
    }
    for (int over = 0; !over;) { // the library tells of an end only after a wait
        rd_kafka_message_t *m = demand(l, k->epochs);
        if (m == NULL) {
            return -1;
        }
        over = m->err || m->offset + 1 >= out->epochs_end;
        if (!m->err) {
            take_record(m, &out->now);
        }
        rd_kafka_message_destroy(m);
    }
    consume_stop(l);
    return 0;
}

// Is what stands at the last position still what was read there? 1, 0, or -1: l->why.
static int is_same(const kafka *k, link *l, const look *seen) {
    if (k->at == 0 || (uint64_t)seen->end < k->at) {
        return k->at == 0;
    }
    if (k->hash == 0 || (uint64_t)seen->first >= k->at) { // it cannot be compared
        return 1;
    }
    if (consume(l, l->events, (int64_t)k->at - 1) < 0) {
        return -1;
    }
    rd_kafka_message_t *m = demand(l, k->topic);
    if (m == NULL) {
        return -1;
    }
    // Another offset: compaction has removed it.
    const int same = m->err || (uint64_t)m->offset + 1u != k->at || hash_of(m) == k->hash;
    rd_kafka_message_destroy(m);
    consume_stop(l);
    return same;
}

static int look_at(const kafka *k, link *l, look *out) {
    memset(out, 0, sizeof(*out));
    l->trouble = l->down = 0;
    l->heard[0] = '\0';
    out->connections = connections_of(l);
    if (verify_topic(l, l->events) < 0 || verify_topic(l, l->epochs) < 0 ||
        read_records(k, l, out) < 0 || find_ends(l, k->topic, &out->first, &out->end) < 0) {
        return -1;
    }
    out->same = is_same(k, l, out);
    return out->same < 0 ? -1 : 0;
}

static int is_fine(const kafka *k, const look *seen) {
    return seen->now.epoch > 0 && seen->now.from <= (uint64_t)seen->end &&
           (seen->now.epoch > k->base || (seen->now.epoch == k->base && seen->same));
}

// Appends a new epoch, by a handle of its own.
static int decide(const kafka *k, link *l, const look *seen) {
    link writer;
    char words[40];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint32_t last = seen->now.epoch > k->base ? seen->now.epoch : k->base;
    const uint32_t epoch = (uint32_t)now.tv_sec > last ? (uint32_t)now.tv_sec : last + 1u;
    const int64_t from = k->base == 0 && seen->now.epoch == 0 ? 0 : seen->end;
    snprintf(words, sizeof(words), "%" PRIu32 " %" PRId64, epoch, from);
    memset(&writer, 0, sizeof(writer));
    if (link_open(k, &writer, RD_KAFKA_PRODUCER) == 0 &&
        send_one(&writer, writer.epochs, k->topic, "epoch", words, strlen(words),
                 source_clock_ms() + SOURCE_DEAD_MS) == OUTCOME_STORED) {
        link_close(&writer);
        source_sleep_ms(SETTLE_MS);
        return 0;
    }
    link_close(&writer);
    fail_text(l, k->epochs, writer.why);
    return -1;
}

// Looks at the topics; *out holds while its connections do.
static int agree(const kafka *k, link *l, look *out) {
    int doubts = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        struct timespec now;
        if (look_at(k, l, out) < 0) {
            return -1;
        }
        if (connections_of(l) != out->connections) {
            continue; // the answers may be of two brokers
        }
        if (is_fine(k, out)) {
            return 0;
        }
        if (doubts++ == 0) { // all gateways see it at the same time: one is to be the first
            clock_gettime(CLOCK_REALTIME, &now);
            source_sleep_ms((uint32_t)(now.tv_nsec / 1000 % SETTLE_MS));
        } else if (decide(k, l, out) < 0) {
            return -1;
        }
    }
    fail_text(l, k->topic, "no agreement on an epoch");
    return -1;
}

// -- reader ---------------------------------------------------------------------------------------

// The first time: as many of the newest as fill three quarters of the log, by their average size.
static int find_begin(const source *s, kafka *k, const look *seen) {
    link *l = &k->reader;
    const uint64_t first = (uint64_t)seen->first;
    const uint64_t end = (uint64_t)seen->end;
    uint64_t sum = 0;
    uint64_t count = 0;
    k->at = k->keep_after = end;
    if (first == end) {
        return 0;
    }
    if (consume(l, l->events, (int64_t)(end - first > SAMPLE ? end - SAMPLE : first)) < 0) {
        return -1;
    }
    for (int over = 0; !over;) {
        rd_kafka_message_t *m = demand(l, k->topic);
        if (m == NULL) {
            return -1;
        }
        over = m->err || m->offset + 1 >= seen->end;
        sum += m->err ? 0u : m->len + 20u; // a record of the log
        count += m->err ? 0u : 1u;
        rd_kafka_message_destroy(m);
    }
    consume_stop(l);
    const uint64_t room = s->desc.log_size / 4u * 3u / (count ? sum / count + 1u : 1u);
    k->keep_after = end - first > room ? end - room : first;
    k->at = k->keep_after - first > SOURCE_WINDOW ? k->keep_after - SOURCE_WINDOW : first;
    return 0;
}

static int begin_epoch(source *s, kafka *k, const look *seen) {
    if (k->base == 0) {
        if (find_begin(s, k, seen) < 0) {
            return -1;
        }
    } else { // from where it was decided on, or from where the reader is, if that is behind it
        const uint64_t first = (uint64_t)seen->first;
        k->at = seen->same && k->at > seen->now.from ? k->at : seen->now.from;
        k->at = k->at > first ? k->at : first;
        k->keep_after = k->at;
    }
    k->hash = 0;
    __atomic_store_n(&k->base, seen->now.epoch, __ATOMIC_RELEASE);
    source_begin(s, rtpush_id_at(k->base, k->keep_after));
    return 0;
}

// Passes over the positions up to this one: retention has deleted them, or they are no messages.
static void pass_over(source *s, kafka *k, int64_t to, int deleted) {
    const uint64_t from = k->at > k->keep_after ? k->at : k->keep_after;
    const uint64_t n = to > 0 ? (uint64_t)to : 0u;
    if (n <= k->at) {
        return;
    }
    k->at = n;
    k->hash = 0;
    if (n > from) {
        const uint64_t lost = deleted ? n - from : 0u;
        source_advance(s, rtpush_id_at(k->base, n),
                       lost < 0xFFFFFFFFu ? (uint32_t)lost : 0xFFFFFFFFu);
    }
}

// Verifies the topics and reads on in them. -1: l->why.
static int attach(source *s, kafka *k, look *seen) {
    link *l = &k->reader;
    if (agree(k, l, seen) < 0) {
        return -1;
    }
    if (seen->now.epoch != k->base && begin_epoch(s, k, seen) < 0) {
        return -1;
    }
    pass_over(s, k, seen->first, 1);
    __atomic_store_n(&k->epochs_at, seen->epochs_end, __ATOMIC_RELEASE);
    return consume(l, l->epochs, seen->epochs_end) < 0 || consume(l, l->events, (int64_t)k->at) < 0
               ? -1 : 0;
}

static void take_message(source *s, kafka *k, const rd_kafka_message_t *m) {
    const uint64_t n = (uint64_t)m->offset + 1u;
    rd_kafka_headers_t *headers = NULL;
    const void *key = NULL;
    source_event event;
    int64_t first = 0;
    int64_t end = 0;
    if (n <= k->at) {
        return;
    }
    k->at = n;
    k->hash = hash_of(m);
    memset(&event, 0, sizeof(event));
    event.id = rtpush_id_at(k->base, n);
    if (rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_header_get_last(headers, HEADER, &key, &event.key_len) ==
            RD_KAFKA_RESP_ERR_NO_ERROR) {
        event.key = (const char *)key;
    }
    if (n <= k->keep_after) {
        source_remember(s, event.id, event.key, event.key_len);
        return;
    }
    rd_kafka_get_watermark_offsets(k->reader.rk, k->topic, 0, &first, &end); // as known here
    event.topic = (const char *)m->key;
    event.topic_len = m->key_len;
    event.data = m->payload ? (const char *)m->payload : "";
    event.len = m->payload ? m->len : 0u;
    event.behind = end > 0 && n + RUN < (uint64_t)end;
    source_deliver(s, &event);
}

enum { LOOK, TROUBLE, FAILED };

// Until the topics are to be looked at again, or the handle fails. *ready: all was delivered once.
static int follow(source *s, kafka *k, const look *began, int *ready) {
    link *l = &k->reader;
    int64_t turn_ms = source_clock_ms();
    int result = -1;
    while (result < 0) {
        if (!*ready && k->at >= (uint64_t)began->end) {
            *ready = 1;
            source_ready(s);
        }
        rd_kafka_message_t *m = next_of(l, source_clock_ms() + WAIT_MS);
        const int64_t now_ms = source_clock_ms();
        const int late = now_ms - turn_ms > LATE_MS;
        turn_ms = now_ms;
        if (l->down) {
            result = FAILED;
        } else if (l->trouble || late || connections_of(l) != began->connections) {
            result = LOOK; // without what came
        } else if (m != NULL && m->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
                   m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            snprintf(l->heard, sizeof(l->heard), "%.150s", rd_kafka_message_errstr(m));
            result = TROUBLE;
        } else if (m != NULL && m->rkt == l->epochs) {
            record now = {k->base, 0};
            if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                take_record(m, &now);
            }
            if (now.epoch != k->base) {
                result = LOOK;
            } else {
                __atomic_store_n(&k->epochs_at, m->offset + (m->err ? 0 : 1), __ATOMIC_RELEASE);
            }
        } else if (m != NULL && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            pass_over(s, k, m->offset, 0); // it may be behind marks of transactions
        } else if (m != NULL) {
            take_message(s, k, m);
        }
        if (m != NULL) {
            rd_kafka_message_destroy(m);
        }
    }
    return result;
}

static const char *read_kafka(source *s) {
    kafka *k = (kafka *)s->own;
    link *l = &k->reader;
    int ready = 0;
    int troubles = 0;
    look began;
    if (link_open(k, l, RD_KAFKA_CONSUMER) < 0) {
        return l->why;
    }
    while (attach(s, k, &began) == 0) {
        const uint64_t at = k->at;
        source_up(s);
        const int result = follow(s, k, &began, &ready);
        if (result == FAILED) {
            fail(l, "read", RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
            break;
        }
        troubles = result != TROUBLE ? 0 : k->at > at ? 1 : troubles + 1;
        if (troubles == TRIES) { // such as a message that cannot be decoded
            fail(l, "read", RD_KAFKA_RESP_ERR_NO_ERROR);
            break;
        }
        consume_stop(l);
    }
    link_close(l);
    return l->why;
}

// -- publisher ------------------------------------------------------------------------------------

static int is_checked(const kafka *k) {
    return k->publisher.rk != NULL && k->checked_base != 0 &&
           k->checked_base == __atomic_load_n(&k->base, __ATOMIC_ACQUIRE) &&
           k->checked == connections_of(&k->publisher);
}

// Is this the log that the reader has, and does it know the epoch? 1: *end, for as long as the
// connections stay. 0: it is about to notice. -1: l->why.
static int check_log(source *s, kafka *k, rtpush_id *end) {
    link *l = &k->publisher;
    const unsigned connections = connections_of(l);
    const uint32_t base = __atomic_load_n(&k->base, __ATOMIC_ACQUIRE);
    const rtpush_id last = source_last(s); // before the broker says its end, which grows
    int64_t first;
    int64_t log_end;
    int64_t epochs_end;
    k->checked_base = 0;
    if (find_ends(l, k->topic, &first, &log_end) < 0 ||
        find_ends(l, k->epochs, &first, &epochs_end) < 0) {
        return -1;
    }
    if (base == 0 || epochs_end != __atomic_load_n(&k->epochs_at, __ATOMIC_ACQUIRE) ||
        (last.epoch >= base && source_position_of(base, last) > (uint64_t)log_end) ||
        connections != connections_of(l) || base != __atomic_load_n(&k->base, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    k->checked = connections;
    k->checked_base = base;
    *end = rtpush_id_at(base, (uint64_t)log_end);
    return 1;
}

static int publisher_open(kafka *k) {
    link *l = &k->publisher;
    if (l->rk != NULL) {
        rd_kafka_poll(l->rk, 0); // errors since the last message
    }
    if (l->down) {
        link_close(l);
    }
    return l->rk != NULL || (link_open(k, l, RD_KAFKA_PRODUCER) == 0 &&
                             verify_topic(l, l->events) == 0) ? 0 : -1;
}

static int probe_kafka(source *s, rtpush_id *end) {
    kafka *k = (kafka *)s->own;
    return publisher_open(k) == 0 && check_log(s, k, end) > 0 ? 0 : -1;
}

// Reads on to an end. 1: the message was found before it.
static int look_for(source *s, const source_message *m, rtpush_id end, rtpush_id *id) {
    while (!source_find(s, m->key, id)) {
        if (!source_before(source_last(s), end)) {
            return source_find(s, m->key, id);
        }
        if (source_clock_ms() >= m->deadline_ms) {
            return -1;
        }
        source_sleep_ms(5);
    }
    return 1;
}

// The report says under which offset it was stored, but not in which epoch: that is known if the
// connection is the one that was verified, else the reader says it.
static int publish_kafka(source *s, const source_message *m, int sent, rtpush_id *id,
                         const char **why) {
    kafka *k = (kafka *)s->own;
    link *l = &k->publisher;
    if (publisher_open(k) < 0) {
        *why = l->why;
        return OUTCOME_AWAY;
    }
    if (sent || !is_checked(k)) {
        rtpush_id end;
        const int checked = check_log(s, k, &end);
        *why = l->why;
        if (checked <= 0) {
            return checked < 0 ? OUTCOME_AWAY : OUTCOME_AGAIN;
        }
        const int found = sent ? look_for(s, m, end, id) : 0;
        if (found != 0) {
            return found > 0 ? OUTCOME_STORED : OUTCOME_AGAIN;
        }
    }
    const int outcome = send_one(l, l->events, s->desc.topics[m->topic].name, m->key, m->data,
                                 m->len, m->deadline_ms);
    *why = l->why;
    if (outcome == OUTCOME_STORED) {
        const int known = is_checked(k);
        if (known) {
            *id = rtpush_id_at(k->checked_base, (uint64_t)l->offset + 1u);
        }
        return known || source_wait(s, m->key, id, m->deadline_ms) ? outcome : OUTCOME_UNKNOWN;
    }
    // What a handle may still do is over with it. One that was not allowed something remembers.
    if (outcome == OUTCOME_UNKNOWN || l->error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        link_close(l);
    }
    k->checked_base = 0;
    return outcome;
}

// -- options --------------------------------------------------------------------------------------

// Lines NAME=VALUE, of the properties of librdkafka, and comments that begin with "#".
static int read_config(source *s, rd_kafka_conf_t *conf, const char *path) {
    char line[1000];
    char why[160] = "";
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        source_say(s, "%s: %s", path, strerror(errno));
        return -1;
    }
    int count = 0;
    int ok = 1;
    while (ok && fgets(line, sizeof(line), file) != NULL) {
        char *value = strchr(line, '=');
        count++;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        if (value == NULL) {
            ok = 0;
            snprintf(why, sizeof(why), "expected NAME=VALUE");
        } else {
            *value = '\0';
            ok = rd_kafka_conf_set(conf, line, value + 1, why, sizeof(why)) == RD_KAFKA_CONF_OK;
        }
    }
    fclose(file);
    if (!ok) {
        source_say(s, "%s, line %d: %s", path, count, why);
    }
    return ok ? 0 : -1;
}

// The hosts, then the rest as of any other URL.
static int split(kafka *k, const char *url, source_url *out) {
    char rest[512];
    const char *hosts = strstr(url, "://");
    const size_t len = hosts != NULL ? strcspn(hosts + 3, "/?") : 0u;
    if (len >= sizeof(k->brokers) || (len > 0 && memchr(hosts + 3, '@', len) != NULL) ||
        hosts == NULL || snprintf(rest, sizeof(rest), "kafka://x%s", hosts + 3 + len) >= 512) {
        return -1;
    }
    snprintf(k->brokers, sizeof(k->brokers), "%.*s", len > 0 ? (int)len : 9,
             len > 0 ? hosts + 3 : "127.0.0.1");
    return source_url_split(rest, 9092, out);
}

static void *open_kafka(source *s, const char *url) {
    static kafka own;
    source_url parts;
    char path[256] = "";
    const int bad = split(&own, url, &parts) < 0;
    const int config = bad ? -1 : rtpush_query(parts.query, "config", path, sizeof(path));
    if (bad || (config <= 0 && config != RTPUSH_ERR_ARGUMENT) ||
        strpbrk(parts.path, "/ \t\r\n") != NULL) {
        source_say(s, "expected %s; a user and a password are in that file", s->kind->example);
        return NULL;
    }
    snprintf(own.topic, sizeof(own.topic), "%s", parts.path[0] ? parts.path : "events");
    snprintf(own.epochs, sizeof(own.epochs), "%s.epoch", own.topic);
    own.conf = rd_kafka_conf_new();
    rd_kafka_conf_set(own.conf, "ssl.ca.location", s->desc.ca, NULL, 0);
    if (config > 0 && read_config(s, own.conf, path) < 0) {
        return NULL;
    }
    return &own;
}

const source_kind source_kafka = {"kafka", "kafka://HOST[:9092][,HOST2...]/TOPIC?config=FILE",
                                  open_kafka, read_kafka, publish_kafka, probe_kafka};
