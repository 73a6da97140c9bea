// amqp://[USER:PASSWORD@]HOST[:5672]/STREAM?maxbytes=100000000, amqps:// (5671): a stream queue of
// RabbitMQ (3.10).
//
// An event of a topic goes to the exchange amq.topic with the routing key STREAM.TOPIC. The queue
// STREAM is bound to it by "STREAM.#". Its message id is the property message-id. Its id is made of
// an epoch and its offset + 1. A mark is a message that is no event: the routing key STREAM, a
// message id that begins with "mark ", and the sender's epoch as the body. AMQP 0-9-1 says neither
// where a stream ends nor under which offset a message was stored. A mark that comes back says the
// first, and a message that comes back the second.
//
// The epoch is in a second stream, STREAM.epoch, in records "EPOCH FROM": the largest one counts,
// and FROM is the first offset for which it was decided. Who decides has the exclusive queue
// STREAM.lock, so that one gateway decides at a time. A new epoch begins if the stream is missing,
// or is not the one that was read: it ends before what was seen, or has something else there.
//
// Only "no queue" means that a stream is missing. A broker that is starting says 404 as well.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "source.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

enum {
    PREFETCH = 256,     // messages that the broker sends before it is acknowledged
    ACK_EACH = 64,      // messages of one acknowledgement
    SAMPLE = 100,       // messages whose average size decides where the first read begins
    RUN = 256,          // messages without a pause: the reader is not at the end
    PAUSE_MS = 2,       // that is one
    WAIT_MS = 1000,     // a wait for a message
    PROBE_MS = 2000,    // a mark comes back within this
    HEARTBEAT_S = 2,    // of the reader: after twice that a silent broker is away
    CHANNELS = 32       // numbers, used in turn: a late frame is not taken for one of a new channel
};
#define EPOCH_BYTES 4000000 // of STREAM.epoch
#define MARK "mark "

enum { GOT_MESSAGE, GOT_RETURN, GOT_ACK, GOT_NACK, GOT_CANCEL, GOT_NOTHING, GOT_FAILURE };

typedef struct got { // what came, copied
    int kind;
    amqp_channel_t channel;
    uint64_t tag;
    int64_t offset; // -1: it has none
    uint64_t size;  // of the body, of which `len` bytes are in the link's buffer
    size_t len;
    char topic[256]; // routing key, which is a short string
    size_t topic_len;
    char key[256];
    size_t key_len;
} got;

typedef struct link { // one connection, of one thread
    amqp_connection_state_t conn;
    amqp_channel_t newest;   // channel that was opened; one at a time is in use
    int blocked;             // the broker said that it takes nothing now
    uint64_t published;      // in the publisher's channel, which counts from 1
    char *data;              // of the message that came last: `room` bytes and a NUL
    size_t room;
    char why[200]; // that it failed
} link;

typedef struct record { // of STREAM.epoch
    uint32_t epoch;
    uint64_t from;
} record;

typedef struct rabbit {
    source_url url;
    int tls;
    const char *ca;
    char vhost[128];
    char prefix[140]; // STREAM.
    char epochs[140]; // STREAM.epoch
    char lock[140];   // STREAM.lock
    uint32_t maxbytes;
    uint64_t name; // random: begins the marks of this start
    uint32_t marks;

    link reader;
    uint32_t base;       // epoch in which positions are counted from 1; 0: not begun
    uint32_t looked;     // largest epoch for which the records were read
    uint64_t at;         // newest position looked at
    uint64_t keep_after; // up to here message ids are remembered, and nothing is delivered
    uint64_t hash;       // of the message at `at`; 0: not known
    int begin_due;       // source_begin waits for the first message, which says where it begins
    amqp_channel_t consumer;
    uint32_t unacked;
    uint32_t run;        // messages without a pause

    link publisher;
} rabbit;

static const char no_room[] = "the broker has no memory or disk left";

static amqp_bytes_t bytes_of(const char *text) {
    return amqp_cstring_bytes(text);
}

// -- connections ----------------------------------------------------------------------------------

static void link_close(link *l) {
    if (l->conn != NULL) { // without a close at the protocol: under an alarm no answer comes
        amqp_destroy_connection(l->conn);
        l->conn = NULL;
    }
}

static const char *fail(link *l, const char *what, const char *detail) {
    snprintf(l->why, sizeof(l->why), "%s: %s", what, detail);
    link_close(l);
    return l->why;
}

static const char *fail_text(link *l, const char *what, amqp_bytes_t text) {
    char detail[160];
    snprintf(detail, sizeof(detail), "%.*s", (int)(text.len < 150 ? text.len : 150),
             (const char *)text.bytes);
    return fail(l, what, detail);
}

// What the last request was answered: 0, the code of an error that closed its channel, whose text
// is in l->why, or -1: the connection is closed.
static int answered(link *l, amqp_channel_t channel, const char *what, amqp_rpc_reply_t reply) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return 0;
    }
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = (const amqp_channel_close_t *)reply.reply.decoded;
        amqp_channel_close_ok_t ok;
        const int code = close->reply_code;
        memset(&ok, 0, sizeof(ok));
        snprintf(l->why, sizeof(l->why), "%s: %.*s", what,
                 (int)(close->reply_text.len < 150 ? close->reply_text.len : 150),
                 (const char *)close->reply_text.bytes);
        amqp_send_method(l->conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
        return code > 0 ? code : -1;
    }
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = (const amqp_connection_close_t *)reply.reply.decoded;
        fail_text(l, what, close->reply_text);
    } else {
        fail(l, what, reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                          ? amqp_error_string2(reply.library_error) : "an unexpected answer");
    }
    return -1;
}

// As above, where every error ends the connection.
static int refused(link *l, const char *what) {
    const int code = answered(l, 0, what, amqp_get_rpc_reply(l->conn));
    if (code > 0) {
        link_close(l);
    }
    return code != 0;
}

static amqp_socket_t *socket_for(const rabbit *r, amqp_connection_state_t conn) {
    if (!r->tls) {
        return amqp_tcp_socket_new(conn);
    }
    amqp_socket_t *socket = amqp_ssl_socket_new(conn);
    if (socket != NULL) {
        amqp_ssl_socket_set_verify_peer(socket, 1);
        amqp_ssl_socket_set_verify_hostname(socket, 1);
        if (amqp_ssl_socket_set_cacert(socket, r->ca) != AMQP_STATUS_OK) {
            return NULL; // it ends with the connection
        }
    }
    return socket;
}

static int link_open(const rabbit *r, link *l, int heartbeat_s) {
    const struct timeval dead = {SOURCE_DEAD_MS / 1000, 0};
    const unsigned dead_ms = SOURCE_DEAD_MS;
    amqp_table_entry_t can[2];
    amqp_table_entry_t property;
    amqp_table_t properties = {1, &property};
    memset(can, 0, sizeof(can));
    memset(&property, 0, sizeof(property));
    can[0].key = bytes_of("consumer_cancel_notify");
    can[1].key = bytes_of("connection.blocked");
    for (int i = 0; i < 2; i++) {
        can[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
        can[i].value.value.boolean = 1;
    }
    property.key = bytes_of("capabilities");
    property.value.kind = AMQP_FIELD_KIND_TABLE;
    property.value.value.table.num_entries = 2;
    property.value.value.table.entries = can;

    l->conn = amqp_new_connection();
    l->newest = 0;
    l->blocked = 0;
    l->published = 0;
    amqp_socket_t *socket = l->conn ? socket_for(r, l->conn) : NULL;
    if (socket == NULL) {
        fail(l, "connect", r->tls ? "not enough memory, or --ca is no file of certificates"
                                  : "not enough memory");
        return -1;
    }
    amqp_set_handshake_timeout(l->conn, &dead);
    amqp_set_rpc_timeout(l->conn, &dead);
    const int status = amqp_socket_open_noblock(socket, r->url.host, r->url.port, &dead);
    if (status != AMQP_STATUS_OK) {
        fail(l, "connect", amqp_error_string2(status));
        return -1;
    }
    // A send to a broker that takes nothing ends, too.
    setsockopt(amqp_get_sockfd(l->conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
    const amqp_rpc_reply_t reply = amqp_login_with_properties(
        l->conn, r->vhost, 0, AMQP_DEFAULT_FRAME_SIZE, heartbeat_s, &properties,
        AMQP_SASL_METHOD_PLAIN, r->url.user[0] ? r->url.user : "guest",
        r->url.user[0] ? r->url.password : "guest");
    if (answered(l, 0, "login", reply) != 0) {
        link_close(l);
        return -1;
    }
    return 0;
}

// A new channel, 0: l->why.
static amqp_channel_t channel_open(link *l) {
    const amqp_channel_t channel = (amqp_channel_t)(l->newest % CHANNELS + 1u);
    l->newest = channel;
    amqp_channel_open(l->conn, channel);
    return refused(l, "channel") ? 0 : channel;
}

// What is under way in it is dropped when it comes.
static int channel_close(link *l, amqp_channel_t channel) {
    const int code =
        answered(l, channel, "channel", amqp_channel_close(l->conn, channel, AMQP_REPLY_SUCCESS));
    return code < 0 ? -1 : 0;
}

// -- what comes -----------------------------------------------------------------------------------

static void copy_text(char *out, size_t *len, amqp_bytes_t text) {
    *len = text.len < 256 ? text.len : 0u; // both are short strings
    memcpy(out, text.bytes, *len);
    out[*len] = '\0';
}

static void take_header(got *out, const amqp_frame_t *frame) {
    const amqp_basic_properties_t *p =
        (const amqp_basic_properties_t *)frame->payload.properties.decoded;
    out->size = frame->payload.properties.body_size;
    if (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) {
        copy_text(out->key, &out->key_len, p->message_id);
    }
    if (p->_flags & AMQP_BASIC_HEADERS_FLAG) {
        for (int i = 0; i < p->headers.num_entries; i++) {
            const amqp_table_entry_t *e = &p->headers.entries[i];
            if (e->key.len == 15 && memcmp(e->key.bytes, "x-stream-offset", 15) == 0 &&
                (e->value.kind == AMQP_FIELD_KIND_I64 || e->value.kind == AMQP_FIELD_KIND_U64)) {
                out->offset = e->value.value.i64;
            }
        }
    }
}

static void note_blocked(link *l, const amqp_frame_t *frame) {
    const amqp_method_number_t id = frame->payload.method.id;
    if (id == AMQP_CONNECTION_BLOCKED_METHOD || id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        l->blocked = id == AMQP_CONNECTION_BLOCKED_METHOD;
    }
}

// The next frame of a message. Only one channel of a connection is in use at a time, so what comes
// in others is of no use any more.
static int receive_frame(link *l, amqp_channel_t channel, uint8_t type, amqp_frame_t *frame) {
    const struct timeval dead = {SOURCE_DEAD_MS / 1000, 0};
    for (;;) {
        const int status = amqp_simple_wait_frame_noblock(l->conn, frame, &dead);
        if (status != AMQP_STATUS_OK) {
            fail(l, "a message", amqp_error_string2(status));
            return -1;
        }
        if (frame->channel == channel) {
            break;
        }
        if (frame->frame_type == AMQP_FRAME_METHOD) {
            note_blocked(l, frame);
        }
    }
    if (frame->frame_type != type) {
        fail(l, "a message", "its content did not follow");
        return -1;
    }
    return 0;
}

// Header and body of a message. Of one that is larger than the buffer only the size is kept.
static int receive_content(link *l, got *out) {
    amqp_frame_t frame;
    uint64_t have = 0;
    if (receive_frame(l, out->channel, AMQP_FRAME_HEADER, &frame) < 0) {
        return -1;
    }
    take_header(out, &frame);
    while (have < out->size) {
        amqp_maybe_release_buffers(l->conn);
        if (receive_frame(l, out->channel, AMQP_FRAME_BODY, &frame) < 0) {
            return -1;
        }
        const amqp_bytes_t part = frame.payload.body_fragment;
        if (have + part.len <= l->room) {
            memcpy(l->data + have, part.bytes, part.len);
            out->len = (size_t)have + part.len;
        }
        have += part.len;
    }
    l->data[out->len] = '\0';
    return 0;
}

// Looks at a method of the broker. GOT_NOTHING: it says nothing to the caller.
static int take_method(link *l, const amqp_frame_t *frame, got *out) {
    const amqp_method_t *m = &frame->payload.method;
    out->channel = frame->channel;
    switch (m->id) {
    case AMQP_BASIC_DELIVER_METHOD: {
        const amqp_basic_deliver_t *deliver = (const amqp_basic_deliver_t *)m->decoded;
        out->tag = deliver->delivery_tag;
        copy_text(out->topic, &out->topic_len, deliver->routing_key);
        return receive_content(l, out) < 0 ? GOT_FAILURE : GOT_MESSAGE;
    }
    case AMQP_BASIC_RETURN_METHOD:
        return receive_content(l, out) < 0 ? GOT_FAILURE : GOT_RETURN;
    case AMQP_BASIC_ACK_METHOD:
        out->tag = ((const amqp_basic_ack_t *)m->decoded)->delivery_tag;
        return GOT_ACK;
    case AMQP_BASIC_NACK_METHOD:
        out->tag = ((const amqp_basic_nack_t *)m->decoded)->delivery_tag;
        return GOT_NACK;
    case AMQP_BASIC_CANCEL_METHOD:
        return GOT_CANCEL;
    case AMQP_CHANNEL_CLOSE_METHOD:
        fail_text(l, "channel closed", ((const amqp_channel_close_t *)m->decoded)->reply_text);
        return GOT_FAILURE;
    case AMQP_CONNECTION_CLOSE_METHOD:
        fail_text(l, "closed", ((const amqp_connection_close_t *)m->decoded)->reply_text);
        return GOT_FAILURE;
    default:
        note_blocked(l, frame);
        return GOT_NOTHING;
    }
}

// What comes next, or GOT_NOTHING after so many milliseconds. GOT_FAILURE: l->why.
static int receive(link *l, int64_t within_ms, got *out) {
    const int64_t until_ms = source_clock_ms() + within_ms;
    memset(out, 0, sizeof(*out));
    out->kind = GOT_NOTHING;
    while (out->kind == GOT_NOTHING) {
        amqp_frame_t frame;
        struct timeval left = {0, 0};
        const int64_t left_ms = until_ms - source_clock_ms();
        if (left_ms > 0) {
            left.tv_sec = (time_t)(left_ms / 1000);
            left.tv_usec = (suseconds_t)(left_ms % 1000 * 1000);
        }
        amqp_maybe_release_buffers(l->conn);
        const int status = amqp_simple_wait_frame_noblock(l->conn, &frame, &left);
        if (status == AMQP_STATUS_TIMEOUT) {
            break;
        }
        if (status != AMQP_STATUS_OK) {
            fail(l, "receive", amqp_error_string2(status));
            out->kind = GOT_FAILURE;
        } else if (frame.frame_type == AMQP_FRAME_METHOD) { // else of a channel that was closed
            out->offset = -1;
            out->kind = take_method(l, &frame, out);
        }
    }
    return out->kind;
}

static uint64_t hash_of(const link *l, const got *m) { // FNV-1a, never 0
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < m->key_len; i++) {
        hash = (hash ^ (uint8_t)m->key[i]) * 1099511628211u;
    }
    for (size_t i = 0; i < m->len; i++) {
        hash = (hash ^ (uint8_t)l->data[i]) * 1099511628211u;
    }
    return hash ? hash : 1u;
}

// -- requests -------------------------------------------------------------------------------------

static void table_add(amqp_table_t *table, const char *key, const char *text, int64_t number) {
    amqp_table_entry_t *e = &table->entries[table->num_entries++];
    e->key = bytes_of(key);
    if (text != NULL) {
        e->value.kind = AMQP_FIELD_KIND_UTF8;
        e->value.value.bytes = bytes_of(text);
    } else {
        e->value.kind = AMQP_FIELD_KIND_I64;
        e->value.value.i64 = number;
    }
}

// A new channel that reads a stream from "first" or "next", or with NULL from an offset. 0: l->why;
// a queue that is no stream is refused by RabbitMQ.
static amqp_channel_t consume(link *l, const char *stream, const char *from, uint64_t offset,
                              uint16_t prefetch) {
    amqp_table_entry_t entries[1];
    amqp_table_t arguments = {0, entries};
    const amqp_channel_t channel = channel_open(l);
    if (channel == 0) {
        return 0;
    }
    table_add(&arguments, "x-stream-offset", from, (int64_t)offset);
    amqp_basic_qos(l->conn, channel, 0, prefetch, 0);
    if (refused(l, "prefetch")) {
        return 0;
    }
    amqp_basic_consume(l->conn, channel, bytes_of(stream), amqp_empty_bytes, 0, 0, 0, arguments);
    return refused(l, "consume") ? 0 : channel;
}

// The next message of a channel, acknowledged. GOT_MESSAGE, GOT_RETURN, or GOT_FAILURE: l->why.
static int next_of(link *l, amqp_channel_t channel, int64_t until_ms, got *out) {
    for (;;) {
        const int64_t left_ms = until_ms - source_clock_ms();
        const int kind = receive(l, left_ms > 0 ? left_ms : 0, out);
        if (kind == GOT_NOTHING) {
            fail(l, "a mark", l->blocked ? no_room : "it did not come back");
            return GOT_FAILURE;
        }
        if (kind == GOT_CANCEL && out->channel == channel) {
            fail(l, "consume", "the stream was deleted");
            return GOT_FAILURE;
        }
        if (kind == GOT_MESSAGE && out->channel == channel) {
            if (out->offset < 0) {
                fail(l, "consume", "a message without an offset");
                return GOT_FAILURE;
            }
            amqp_basic_ack(l->conn, channel, out->tag, 0);
            return kind;
        }
        if (kind == GOT_RETURN || kind == GOT_FAILURE) {
            return kind;
        }
    }
}

static int publish_on(link *l, amqp_channel_t channel, const char *exchange, const char *to,
                      const char *key, const void *data, size_t len) {
    amqp_basic_properties_t properties;
    amqp_bytes_t body;
    memset(&properties, 0, sizeof(properties));
    properties._flags = AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties.message_id = bytes_of(key);
    properties.delivery_mode = 2;
    memcpy(&body.bytes, &data, sizeof(data)); // it is only read
    body.len = len;
    const int status = amqp_basic_publish(l->conn, channel, bytes_of(exchange), bytes_of(to), 1, 0,
                                          &properties, body);
    if (status != AMQP_STATUS_OK) {
        fail(l, "publish", amqp_error_string2(status));
        return -1;
    }
    return 0;
}

static void mark_key(rabbit *r, char out[SOURCE_KEY_MAX + 1]) {
    const unsigned count = __atomic_add_fetch(&r->marks, 1u, __ATOMIC_RELAXED);
    snprintf(out, SOURCE_KEY_MAX + 1, MARK "%016" PRIx64 " %u", r->name, count);
}

// Publishes a mark with these words to a stream and reads on in a channel until it comes back. Each
// message is shown to look(), if there is one. GOT_MESSAGE: *end is its offset. GOT_RETURN: the
// stream is missing. GOT_FAILURE: l->why.
static int mark_on(rabbit *r, link *l, amqp_channel_t channel, const char *stream,
                   const char *words, void (*look)(const link *l, const got *m, void *arg),
                   void *arg, uint64_t *end) {
    const int64_t until_ms = source_clock_ms() + SOURCE_DEAD_MS;
    char key[SOURCE_KEY_MAX + 1];
    got m;
    mark_key(r, key);
    if (publish_on(l, channel, "", stream, key, words, strlen(words)) < 0) {
        return GOT_FAILURE;
    }
    for (;;) {
        const int kind = next_of(l, channel, until_ms, &m);
        if (kind != GOT_MESSAGE) {
            return kind;
        }
        if (look != NULL) {
            look(l, &m, arg);
        }
        if (strcmp(m.key, key) == 0) {
            *end = (uint64_t)m.offset;
            return kind;
        }
    }
}

// -- the epoch ------------------------------------------------------------------------------------

// Makes a stream that is missing. One that is there may have other limits.
static int declare(link *l, const char *stream, uint32_t maxbytes) {
    amqp_table_entry_t entries[3];
    amqp_table_t arguments = {0, entries};
    const amqp_channel_t channel = channel_open(l);
    if (channel == 0) {
        return -1;
    }
    table_add(&arguments, "x-queue-type", "stream", 0);
    table_add(&arguments, "x-max-length-bytes", NULL, maxbytes);
    table_add(&arguments, "x-stream-max-segment-size-bytes", NULL, maxbytes / 8u);
    amqp_queue_declare(l->conn, channel, bytes_of(stream), 0, 1, 0, 0, arguments);
    const int code = answered(l, channel, "declare", amqp_get_rpc_reply(l->conn));
    if (code == AMQP_PRECONDITION_FAILED && strstr(l->why, "x-queue-type") == NULL) {
        return 0;
    }
    if (code != 0) {
        link_close(l);
        return -1;
    }
    return channel_close(l, channel);
}

// 1: there and bound to its topics, 0: missing, -1: l->why.
static int is_there(const rabbit *r, link *l) {
    char pattern[160];
    const amqp_channel_t channel = channel_open(l);
    if (channel == 0) {
        return -1;
    }
    amqp_queue_declare(l->conn, channel, bytes_of(r->url.path), 1, 1, 0, 0, amqp_empty_table);
    const int code = answered(l, channel, "the stream", amqp_get_rpc_reply(l->conn));
    if (code == AMQP_NOT_FOUND && strstr(l->why, "no queue") != NULL) {
        return 0;
    }
    if (code != 0) { // such as 404, "home node is down or inaccessible"
        link_close(l);
        return -1;
    }
    snprintf(pattern, sizeof(pattern), "%s#", r->prefix);
    amqp_queue_bind(l->conn, channel, bytes_of(r->url.path), bytes_of("amq.topic"),
                    bytes_of(pattern), amqp_empty_table);
    return refused(l, "bind") || channel_close(l, channel) < 0 ? -1 : 1;
}

typedef struct records {
    record newest;
    uint64_t after; // messages since it was seen last
} records;

static void look_record(const link *l, const got *m, void *arg) {
    records *all = (records *)arg;
    record found = {0, 0};
    const int ok = m->len < 40 && sscanf(l->data, "%" SCNu32 " %" SCNu64, &found.epoch,
                                         &found.from) == 2;
    all->after++;
    if (ok && found.epoch > 0 && found.epoch >= all->newest.epoch) {
        all->newest = found;
        all->after = 0;
    }
}

// Appends a record to STREAM.epoch, or with epoch 0 a mark, and reads it from its first message to
// that one: *out is the newest.
static int read_records(rabbit *r, link *l, record append, record *out) {
    records all;
    uint64_t end;
    char words[60];
    memset(&all, 0, sizeof(all));
    if (declare(l, r->epochs, EPOCH_BYTES) < 0) {
        return -1;
    }
    for (;;) {
        const amqp_channel_t channel = consume(l, r->epochs, "first", 0, PREFETCH);
        if (channel == 0) {
            return -1;
        }
        snprintf(words, sizeof(words), "%" PRIu32 " %" PRIu64, append.epoch, append.from);
        const int kind = mark_on(r, l, channel, r->epochs, words, look_record, &all, &end);
        if (kind != GOT_MESSAGE) {
            if (kind == GOT_RETURN) {
                fail(l, "epoch", "its stream was deleted");
            }
            return -1;
        }
        if (channel_close(l, channel) < 0) {
            return -1;
        }
        if (all.newest.epoch == 0 || all.after < 1000) {
            *out = all.newest;
            return 0;
        }
        append = all.newest; // so that it is not lost with the oldest of the marks
    }
}

// The lock is an exclusive queue: it ends with this connection at the latest. 0: taken.
static int take_lock(const rabbit *r, link *l) {
    const int64_t until_ms = source_clock_ms() + SOURCE_DEAD_MS;
    for (;;) {
        const amqp_channel_t channel = channel_open(l);
        if (channel == 0) {
            return -1;
        }
        amqp_queue_declare(l->conn, channel, bytes_of(r->lock), 0, 0, 1, 1, amqp_empty_table);
        const int code = answered(l, channel, "lock", amqp_get_rpc_reply(l->conn));
        if (code == 0) {
            return channel_close(l, channel);
        }
        if (code != AMQP_RESOURCE_LOCKED || source_clock_ms() > until_ms) {
            link_close(l);
            return -1;
        }
        source_sleep_ms(20);
    }
}

static int give_lock(const rabbit *r, link *l) {
    const amqp_channel_t channel = channel_open(l);
    if (channel == 0) {
        return -1;
    }
    amqp_queue_delete(l->conn, channel, bytes_of(r->lock), 0, 0);
    return refused(l, "lock") ? -1 : channel_close(l, channel);
}

// Where the stream ends: *end is the offset of a mark that was put there. 0: it is missing.
static int find_end(rabbit *r, link *l, uint32_t epoch, uint64_t *end) {
    char words[20];
    const amqp_channel_t channel = consume(l, r->url.path, "next", 0, PREFETCH);
    if (channel == 0) {
        return -1;
    }
    snprintf(words, sizeof(words), "%" PRIu32, epoch);
    const int kind = mark_on(r, l, channel, r->url.path, words, NULL, NULL, end);
    if (kind == GOT_FAILURE || channel_close(l, channel) < 0) {
        return -1;
    }
    return kind == GOT_MESSAGE;
}

// Is what stands at the last position still what was read there? 1, 0, or -1: l->why.
static int is_same(const rabbit *r, link *l, uint64_t end) {
    got m;
    if (r->at == 0 || r->hash == 0) {
        return 1;
    }
    if (end < r->at) { // the mark is not behind it
        return 0;
    }
    const amqp_channel_t channel = consume(l, r->url.path, NULL, r->at - 1u, 1);
    if (channel == 0 ||
        next_of(l, channel, source_clock_ms() + SOURCE_DEAD_MS, &m) != GOT_MESSAGE) {
        return -1;
    }
    const int same = (uint64_t)m.offset + 1u != r->at || hash_of(l, &m) == r->hash;
    return channel_close(l, channel) < 0 ? -1 : same; // what is gone cannot be compared
}

typedef struct look { // what the stream said
    record now;
    int there;
    int same;     // what was read is in it
    uint64_t end; // offset of a mark
} look;

static int look_at(rabbit *r, link *l, look *out) {
    const record none = {0, 0};
    memset(out, 0, sizeof(*out));
    if (read_records(r, l, none, &out->now) < 0) {
        return -1;
    }
    out->there = is_there(r, l);
    if (out->there > 0) {
        out->there = find_end(r, l, out->now.epoch, &out->end);
    }
    if (out->there > 0) {
        out->same = is_same(r, l, out->end);
    }
    return out->there < 0 || out->same < 0 ? -1 : 0;
}

static int is_fine(const rabbit *r, const look *seen) {
    return seen->there && seen->now.epoch > 0 &&
           (seen->now.epoch > r->base || (seen->now.epoch == r->base && seen->same));
}

// Under the lock: a new epoch, and a stream if there is none.
static int decide(rabbit *r, link *l, look *seen) {
    record next;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint32_t last = seen->now.epoch > r->base ? seen->now.epoch : r->base;
    next.epoch = (uint32_t)now.tv_sec > last ? (uint32_t)now.tv_sec : last + 1u;
    next.from = seen->there ? seen->end + 1u : 0u;
    if (read_records(r, l, next, &seen->now) < 0) {
        return -1;
    }
    if (!seen->there) {
        if (next.epoch == (uint32_t)now.tv_sec) { // or two of one second would have one epoch
            source_sleep_ms((uint32_t)(1000 - now.tv_nsec / 1000000));
        }
        if (declare(l, r->url.path, r->maxbytes) < 0 || is_there(r, l) < 0) {
            return -1;
        }
        seen->same = 0;
    }
    // This mark tells those who read the stream of the new epoch.
    seen->there = find_end(r, l, next.epoch, &seen->end);
    if (seen->there == 0) {
        fail(l, "the stream", "deleted meanwhile");
    }
    return seen->there > 0 ? 0 : -1;
}

// Looks at stream and epoch; *out holds for this connection.
static int agree(rabbit *r, link *l, look *out) {
    if (look_at(r, l, out) < 0) {
        return -1;
    }
    if (is_fine(r, out)) {
        return 0;
    }
    if (take_lock(r, l) < 0 || look_at(r, l, out) < 0 ||
        (!is_fine(r, out) && decide(r, l, out) < 0)) {
        return -1;
    }
    return give_lock(r, l);
}

// -- reader ---------------------------------------------------------------------------------------

static void look_size(const link *l, const got *m, void *arg) {
    uint64_t *sum = (uint64_t *)arg;
    (void)l;
    *sum += m->len + 20u; // a record of the log
}

// The first time: as many of the newest as fill three quarters of the log, by their average size.
static int find_begin(source *s, rabbit *r, const look *seen) {
    link *l = &r->reader;
    const uint64_t last = seen->end + 1u; // position of the mark
    const uint64_t first = last > SAMPLE ? last - SAMPLE : 0u;
    uint64_t sum = 0;
    uint64_t count = 0;
    got m;
    const amqp_channel_t channel = consume(l, r->url.path, NULL, first, SAMPLE + 1);
    if (channel == 0) {
        return -1;
    }
    do {
        if (next_of(l, channel, source_clock_ms() + SOURCE_DEAD_MS, &m) != GOT_MESSAGE) {
            return -1;
        }
        look_size(l, &m, &sum);
        count++;
    } while ((uint64_t)m.offset < seen->end);
    const uint64_t room = s->desc.log_size / 4u * 3u / (sum / count + 1u);
    r->keep_after = last > room ? last - room : 0u;
    r->at = r->keep_after > SOURCE_WINDOW ? r->keep_after - SOURCE_WINDOW : 0u;
    return channel_close(l, channel);
}

static int begin_epoch(source *s, rabbit *r, const look *seen) {
    if (r->base == 0) {
        if (find_begin(s, r, seen) < 0) {
            return -1;
        }
    } else { // from where it was decided on, or from where the reader is, if that is behind it
        r->at = seen->same && r->at > seen->now.from ? r->at : seen->now.from;
        r->keep_after = r->at;
    }
    r->hash = 0;
    r->begin_due = 1;
    __atomic_store_n(&r->base, seen->now.epoch, __ATOMIC_RELEASE);
    return 0;
}

// Verifies the stream and reads on in it. -1: l->why.
static int attach(source *s, rabbit *r, look *seen) {
    link *l = &r->reader;
    if (agree(r, l, seen) < 0 ||
        (seen->now.epoch != r->base && begin_epoch(s, r, seen) < 0)) {
        return -1;
    }
    r->looked = seen->now.epoch > r->looked ? seen->now.epoch : r->looked;
    r->unacked = 0;
    r->run = 0;
    r->consumer = consume(l, r->url.path, NULL, r->at, PREFETCH);
    return r->consumer == 0 ? -1 : 0;
}

// Does the mark at hand tell of a later epoch?
static int is_later(rabbit *r) {
    const unsigned long long epoch = strtoull(r->reader.data, NULL, 10);
    if (epoch <= r->base || epoch <= r->looked || epoch > 0xFFFFFFFFu) {
        return 0;
    }
    r->looked = (uint32_t)epoch; // once, whatever the records say
    return 1;
}

// Delivers one message. 1: the epoch is to be looked at.
static int take_message(source *s, rabbit *r, const got *m, uint64_t end) {
    const link *l = &r->reader;
    const uint64_t n = (uint64_t)m->offset + 1u;
    const size_t prefix = strlen(r->prefix);
    source_event event;
    if (n <= r->at) {
        return 0;
    }
    if (r->begin_due && n > r->keep_after) { // what is before it is gone, or not wanted
        r->begin_due = 0;
        r->keep_after = n - 1u > r->at ? n - 1u : r->keep_after;
        r->at = r->keep_after;
        source_begin(s, rtpush_id_at(r->base, r->keep_after));
    }
    const uint64_t jump = n - r->at - 1u;
    const int is_mark = strcmp(m->topic, r->url.path) == 0 &&
                        strncmp(m->key, MARK, sizeof(MARK) - 1u) == 0;
    memset(&event, 0, sizeof(event));
    event.id = rtpush_id_at(r->base, n);
    event.key = m->key_len > 0 ? m->key : NULL;
    event.key_len = m->key_len;
    r->at = n;
    r->hash = hash_of(l, m);
    if (n <= r->keep_after) {
        source_remember(s, event.id, event.key, event.key_len);
        return 0;
    }
    // One offset is spent where a segment of the stream begins. Of more, some were messages.
    event.lost = jump <= 1 ? 0u : jump < 0xFFFFFFFFu ? (uint32_t)jump : 0xFFFFFFFFu;
    if (is_mark) {
        source_advance(s, event.id, event.lost);
        source_remember(s, event.id, event.key, event.key_len);
        return is_later(r);
    }
    if (m->topic_len > prefix && memcmp(m->topic, r->prefix, prefix) == 0) {
        event.topic = m->topic + prefix;
        event.topic_len = m->topic_len - prefix;
    }
    event.data = l->data;
    event.len = m->size > l->room ? l->room : m->len; // room is one more than an event may have
    event.behind = r->run > RUN || n + RUN < end;
    source_deliver(s, &event);
    return 0;
}

enum { LOOK, FAILED };

// Until the stream is to be looked at again, or the connection fails.
static int follow(source *s, rabbit *r, const look *began) {
    link *l = &r->reader;
    int ready = 0;
    got m;
    for (;;) {
        if (!ready && r->at > began->end) {
            ready = 1;
            source_ready(s);
        }
        const int64_t asked_ms = source_clock_ms();
        const int kind = receive(l, WAIT_MS, &m);
        r->run = source_clock_ms() - asked_ms < PAUSE_MS ? r->run + 1u : 0u;
        if (kind == GOT_FAILURE) {
            return FAILED;
        }
        if (kind == GOT_CANCEL && m.channel == r->consumer) { // the stream was deleted
            return channel_close(l, r->consumer) < 0 ? FAILED : LOOK;
        }
        if (kind != GOT_MESSAGE || m.channel != r->consumer) {
            continue;
        }
        if (m.offset < 0) {
            fail(l, "consume", "a message without an offset");
            return FAILED;
        }
        if (take_message(s, r, &m, began->end)) {
            return channel_close(l, r->consumer) < 0 ? FAILED : LOOK;
        }
        if (++r->unacked == ACK_EACH) {
            r->unacked = 0;
            amqp_basic_ack(l->conn, r->consumer, m.tag, 1); // if it fails, so does the next receive
        }
    }
}

static const char *read_rabbit(source *s) {
    rabbit *r = (rabbit *)s->own;
    look began;
    if (link_open(r, &r->reader, HEARTBEAT_S) == 0) {
        while (attach(s, r, &began) == 0) {
            source_up(s);
            if (follow(s, r, &began) == FAILED) {
                break;
            }
        }
    }
    link_close(&r->reader);
    return r->reader.why;
}

// -- publisher ------------------------------------------------------------------------------------
// Its connection has no heartbeats, since nothing reads it between messages: deadlines do instead.

enum { PUBLISHER = 1 }; // its channel

static int publisher_open(rabbit *r) {
    link *l = &r->publisher;
    got m;
    while (l->conn != NULL && receive(l, 0, &m) != GOT_NOTHING) {
        // An answer to a message whose deadline was over, or the end of the connection.
    }
    if (l->conn != NULL) {
        return 0;
    }
    if (link_open(r, l, 0) < 0 || channel_open(l) != PUBLISHER) {
        return -1;
    }
    amqp_confirm_select(l->conn, PUBLISHER);
    return refused(l, "confirms") ? -1 : 0;
}

// Sends, and waits for the broker's word: OUTCOME_STORED, or _AGAIN: there was no queue for it. The
// broker confirms such a message as well, after it has returned it.
static int send_one(link *l, const char *exchange, const char *to, const char *key,
                    const void *data, size_t len, int64_t until_ms) {
    const int64_t dead_ms = source_clock_ms() + SOURCE_DEAD_MS;
    int outcome = OUTCOME_STORED;
    got m;
    until_ms = until_ms < dead_ms ? until_ms : dead_ms;
    if (publish_on(l, PUBLISHER, exchange, to, key, data, len) < 0) {
        return OUTCOME_UNKNOWN;
    }
    const uint64_t tag = ++l->published;
    for (;;) {
        const int64_t left_ms = until_ms - source_clock_ms();
        const int kind = receive(l, left_ms > 0 ? left_ms : 0, &m);
        if (kind == GOT_RETURN && strcmp(m.key, key) == 0) {
            outcome = OUTCOME_AGAIN;
        } else if (kind == GOT_ACK && m.tag >= tag) {
            return outcome;
        } else if (kind == GOT_NACK && m.tag >= tag) {
            snprintf(l->why, sizeof(l->why), "publish: the broker failed");
            return OUTCOME_UNKNOWN;
        } else if (kind == GOT_NOTHING) {
            if (!l->blocked) { // else it is answered when the alarm is over
                fail(l, "publish", "no answer");
            }
            return OUTCOME_UNKNOWN;
        } else if (kind == GOT_FAILURE) {
            return OUTCOME_UNKNOWN;
        }
    }
}

// A mark that came back through the reader: the stream's end, and everything before is in the
// window. 0, or -1.
static int probe_rabbit(source *s, rtpush_id *end) {
    rabbit *r = (rabbit *)s->own;
    const int64_t until_ms = source_clock_ms() + PROBE_MS;
    char key[SOURCE_KEY_MAX + 1];
    char words[20];
    if (publisher_open(r) < 0 || r->publisher.blocked) {
        return -1;
    }
    mark_key(r, key);
    snprintf(words, sizeof(words), "%" PRIu32, __atomic_load_n(&r->base, __ATOMIC_ACQUIRE));
    return send_one(&r->publisher, "", r->url.path, key, words, strlen(words), until_ms) ==
                       OUTCOME_STORED &&
                   source_wait(s, key, end, until_ms)
               ? 0 : -1;
}

// It is stored once the reader has it, which says its id as well. Sent again after no answer came,
// it may be in the stream twice: then all gateways drop the second.
static int publish_rabbit(source *s, const source_message *m, int sent, rtpush_id *id,
                          const char **why) {
    rabbit *r = (rabbit *)s->own;
    link *l = &r->publisher;
    char to[SOURCE_KEY_MAX + 150];
    if (publisher_open(r) < 0) {
        *why = l->why;
        return OUTCOME_AWAY;
    }
    if (l->blocked) {
        *why = no_room;
        return OUTCOME_AWAY;
    }
    if (sent) {
        rtpush_id end;
        if (probe_rabbit(s, &end) < 0) {
            return OUTCOME_AGAIN;
        }
        if (source_find(s, m->key, id)) {
            return OUTCOME_STORED;
        }
    }
    snprintf(to, sizeof(to), "%s%s", r->prefix, s->desc.topics[m->topic].name);
    const int outcome = send_one(l, "amq.topic", to, m->key, m->data, m->len, m->deadline_ms);
    *why = outcome == OUTCOME_AGAIN ? "there is no such stream" : l->why;
    if (outcome != OUTCOME_STORED) {
        return outcome;
    }
    return source_wait(s, m->key, id, m->deadline_ms) ? OUTCOME_STORED : OUTCOME_UNKNOWN;
}

// -- options --------------------------------------------------------------------------------------

static void *open_rabbit(source *s, const char *url) {
    static rabbit own;
    own.tls = s->kind == &source_rabbits;
    own.ca = s->desc.ca;
    const int bad = source_url_split(url, own.tls ? 5671 : 5672, &own.url) < 0;
    const int64_t maxbytes = bad ? -1 : source_url_number(&own.url, "maxbytes", 100000000);
    const int vhost =
        bad ? 0 : rtpush_query(own.url.query, "vhost", own.vhost, sizeof(own.vhost));
    if (maxbytes < 8000 || maxbytes > 0x7FFFFFFF || (vhost <= 0 && vhost != RTPUSH_ERR_ARGUMENT)) {
        source_say(s, "expected %s, maxbytes at least 8000", s->kind->example);
        return NULL;
    }
    if (own.url.path[0] == '\0') {
        memcpy(own.url.path, "events", 7);
    }
    if (strpbrk(own.url.path, "*#") != NULL) {
        source_say(s, "a stream whose name has * or # would be bound to foreign topics");
        return NULL;
    }
    if (vhost == RTPUSH_ERR_ARGUMENT) {
        memcpy(own.vhost, "/", 2);
    }
    snprintf(own.prefix, sizeof(own.prefix), "%s.", own.url.path);
    snprintf(own.epochs, sizeof(own.epochs), "%s.epoch", own.url.path);
    snprintf(own.lock, sizeof(own.lock), "%s.lock", own.url.path);
    own.maxbytes = (uint32_t)maxbytes;
    own.reader.room = own.publisher.room = s->desc.max_len + 1u;
    own.reader.data = (char *)malloc(own.reader.room + 1u);
    own.publisher.data = (char *)malloc(own.publisher.room + 1u);
    if (own.reader.data == NULL || own.publisher.data == NULL ||
        getrandom(&own.name, sizeof(own.name), 0) != (ssize_t)sizeof(own.name)) {
        source_say(s, "not enough memory, or no random number");
        return NULL;
    }
    return &own;
}

#define EXAMPLE "/STREAM?maxbytes=100000000&vhost=/"
const source_kind source_rabbit = {"amqp", "amqp://[USER:PASSWORD@]HOST[:5672]" EXAMPLE,
                                   open_rabbit, read_rabbit, publish_rabbit, probe_rabbit};
const source_kind source_rabbits = {"amqps", "amqps://[USER:PASSWORD@]HOST[:5671]" EXAMPLE,
                                    open_rabbit, read_rabbit, publish_rabbit, probe_rabbit};
