// A source: where the gateway's events come from, and where it publishes them. One broker, one
// ordered stream, of which each event has a position that is the same for all gateways: its id.
//
// Two threads serve a source until the process ends, so that no broker's library runs in the loop:
//     reader     kind->read: connects, verifies, delivers events in order, until something fails;
//                then it is called again after a pause
//     publisher  kind->publish and kind->probe, one after the other, on a connection of its own
// The loop takes what they bring by source_next, whenever source_fd is readable. What the reader
// brings waits in a bounded queue: while it is full, the reader waits, and the broker keeps the
// rest. A slow loop loses nothing.

#ifndef SOURCE_H
#define SOURCE_H

#include "../../rtpush.h"

#include <pthread.h>
#include <stdint.h>

enum {
    SOURCE_KEY_MAX = 100,    // bytes of a message id
    SOURCE_WINDOW = 4096,    // positions in which an id that comes twice is dropped
    SOURCE_WAITING = 1024,   // messages and probes that wait for the publisher
    SOURCE_ITEMS = 4096,     // what waits for the loop,
    SOURCE_BYTES = 4 << 20,  // and its bytes
    SOURCE_DEAD_MS = 5000    // a broker that is silent for longer is away
};

// -- what the loop gets ---------------------------------------------------------------------------

enum {
    ITEM_EVENT,   // topic, id, lost, data
    ITEM_VALUE,   // topic, data: of a STATE topic, that came by no position behind the last one
    ITEM_ADVANCE, // id, lost: a position that brings nothing for readers
    ITEM_BEGIN,   // id: the log begins behind it; readers that stand before it have a gap
    ITEM_READY,   // everything that the source held when it was asked last has been delivered
    ITEM_AWAY,    // the source cannot be reached, or cannot be trusted now
    ITEM_BACK,    // it is read again; follows each ITEM_AWAY
    ITEM_RESULT,  // of source_publish: token, outcome, id where stored, data: text for a person
    ITEM_PROBED,  // of source_probe: token, outcome, id: the end of the stream
    ITEM_JOINED   // of source_join: data
};

enum {
    OUTCOME_STORED,
    OUTCOME_AWAY,    // not stored: it could not be sent
    OUTCOME_REFUSED, // not stored: the broker said no
    OUTCOME_UNKNOWN, // sent, and no answer came: it may be stored
    OUTCOME_AGAIN    // of one attempt: not stored, and the next attempt may succeed
};

typedef struct source_item {
    uint8_t kind;    // ITEM_...
    uint8_t outcome; // OUTCOME_...
    uint8_t behind;  // more follows at once: the reader is not at the end
    uint32_t topic;  // index in the gateway's table
    rtpush_id id;
    uint32_t lost;   // events between the last id and this one that nobody can give any more
    uint64_t token;
    uint32_t len;
    uint8_t *data;   // len bytes and a NUL; source_done frees it
} source_item;

// -- what a kind of source does -------------------------------------------------------------------

typedef struct source source;

typedef struct source_message {
    uint64_t token;
    int64_t deadline_ms; // by source_clock_ms
    uint32_t topic;
    uint32_t len;
    uint8_t *data;
    char key[SOURCE_KEY_MAX + 1]; // the message id: stored once, however often it is sent
    uint32_t chain;
    int first;
} source_message;

typedef struct source_kind {
    const char *scheme; // "redis": of redis://
    const char *example;
    // Prepares for a URL. NULL, having said why on stderr.
    void *(*open)(source *s, const char *url);
    // Reader's thread: one connection from its begin to its end. Returns why it ended.
    const char *(*read)(source *s);
    // Publisher's thread, one attempt: OUTCOME_..., at the message's deadline at the latest. *why
    // is for people. sent: an earlier attempt had no answer, so the message may be stored already.
    // NULL: this source takes nothing.
    int (*publish)(source *s, const source_message *m, int sent, rtpush_id *id,
                   const char **why);
    // Publisher's thread: the end of the stream now. 0, or -1: not known. NULL: the source has no
    // history, its ids are this gateway's alone.
    int (*probe)(source *s, rtpush_id *end);
} source_kind;

extern const source_kind source_redis;
extern const source_kind source_nats;
extern const source_kind source_rabbit;
extern const source_kind source_rabbits;
extern const source_kind source_kafka;
extern const source_kind source_http;
extern const source_kind source_https;
extern const source_kind source_lines; // these are feeds too: feed.h
extern const source_kind source_mqtt;
extern const source_kind source_mqtts;
extern const source_kind source_pubsub;
extern const source_kind source_core;

// Why an event was not passed on, or was passed on with something missing.
enum {
    BAD_TOO_LARGE,
    BAD_UTF8,
    BAD_TOPIC,     // not in --topics: not an error where several applications share a stream
    BAD_FORM,      // not an event of a gateway
    BAD_ID,        // at or below the last one
    BAD_DUPLICATE, // its message id came before
    BAD_COUNT
};

typedef struct source_counters {
    uint64_t received; // positions
    uint64_t lost;
    uint64_t connects; // times the source was connected and verified
    uint64_t failures; // ends of a connection, attempts included
    uint64_t bad[BAD_COUNT];
    uint32_t up;       // 1: connected and verified now
    uint32_t queued;   // items that wait for the loop
    uint32_t waiting;  // messages that wait for the publisher
} source_counters;

typedef struct source_desc {
    const rtpush_topic *topics;
    uint32_t topic_count;
    uint32_t max_len;  // bytes of an event
    uint32_t log_size; // of the gateway, of which the first read fills three quarters
    uint32_t value_room; // bytes of a value, with 6 more for each line end
    const char *ca;      // file of the authorities that TLS trusts, in PEM
} source_desc;

typedef struct source_seen { // one place of the window
    char key[SOURCE_KEY_MAX + 1];
    rtpush_id id;
    uint32_t next; // of the same hash, 1 + index
} source_seen;

enum { SOURCE_TOPICS = 32, SOURCE_KEEP_MS = 1000 };

typedef struct source_value { // the newest of a STATE topic
    rtpush_id id; // its position; epoch 0: none is known, or the source does not number values
    uint32_t len;
    uint8_t *data; // NULL: none
    int kept;      // the broker has it where it stays when the stream has dropped it
} source_value;

struct source {
    const source_kind *kind;
    void *own; // of the kind
    source_desc desc;
    int fd;

    pthread_mutex_t mutex; // all below, but what the reader alone uses
    pthread_cond_t room;   // the loop took something
    pthread_cond_t work;   // there is something for the publisher
    pthread_cond_t came;   // the reader put a message id into the window
    source_item items[SOURCE_ITEMS];
    uint32_t items_first;
    uint32_t items_count;
    uint32_t items_bytes;
    source_item results[2 * SOURCE_WAITING]; // of the publisher, which never waits for the loop
    uint32_t results_first;
    uint32_t results_count;
    source_message messages[SOURCE_WAITING];
    uint32_t messages_first;
    uint32_t messages_count;
    uint64_t probe; // token, 0: none wanted
    char *say;      // of source_join, NULL: nothing to be said
    char said_by[20];
    uint32_t say_ms;
    int up;         // the reader is connected and verified
    rtpush_id last; // newest position delivered; epoch 0: none yet
    source_seen window[SOURCE_WINDOW];
    uint32_t hashes[SOURCE_WINDOW]; // 1 + index of the newest with this hash, 0 none
    uint32_t window_next;
    source_counters count;

    source_value values[SOURCE_TOPICS]; // reader
    int64_t kept_ms;            // reader: when it kept values last
    int64_t said_ms[BAD_COUNT]; // reader: when a line was written last
    uint32_t broken; // publisher: bits of chains of which a message was not stored
    pthread_t reader;
    pthread_t publisher;
};

// -- for the loop ---------------------------------------------------------------------------------

// The kind of a URL, "-" or NULL. Prints the URLs that are understood where it is none.
const source_kind *source_kind_of(const char *url);
// Starts both threads. -1, having said why.
int source_start(source *s, const char *url, const source_desc *desc);
int source_fd(const source *s);
// Takes the next item. 0: none now. skip_events: only what is not in the order of events.
int source_next(source *s, source_item *item, int skip_events);
// Is the next of the ordered items one that the reader will follow with more at once?
int source_behind(source *s);
void source_done(source_item *item);
// Publishes: ITEM_RESULT follows, with this token. -1: too many wait already, or it is away.
int source_publish(source *s, uint64_t token, uint32_t topic, const char *key, const void *data,
                   uint32_t len, uint32_t within_ms);
// The same, in order. chain, 1 to 31: once a message of it was not stored, neither are those behind
// it, until one that is the first again.
typedef struct source_order {
    uint32_t chain; // 0: of none
    int first;
} source_order;
int source_publish_ordered(source *s, uint64_t token, source_order order, uint32_t topic,
                           const char *key, const void *data, uint32_t len, uint32_t within_ms);
// Was a message with this id delivered, in the window?
int source_find(source *s, const char *key, rtpush_id *id);
// The same, and waits for it until the time given, by source_clock_ms.
int source_wait(source *s, const char *key, rtpush_id *id, int64_t until_ms);
// Asks for the end of the stream: ITEM_PROBED follows.
void source_probe(source *s, uint64_t token);
// Has this source a broker that can do that?
int source_joins(const source *s);
// Says `text`, which it takes, to all gateways on this source, for ms and under this one's name.
// ITEM_JOINED follows, unless the broker is away: what all of them say, one behind the other.
void source_join(source *s, char *text, const char *name, uint32_t ms);
void source_get_counters(source *s, source_counters *out);

// -- for kinds ------------------------------------------------------------------------------------

int64_t source_clock_ms(void); // monotonic
void source_sleep_ms(uint32_t ms);
void source_say(const source *s, const char *format, ...);
rtpush_id source_last(source *s);
// The reader is connected and has verified that it goes on where it was.
void source_up(source *s);
// The first position to be delivered follows this one.
void source_begin(source *s, rtpush_id before);
// All that was there at the last look has been delivered.
void source_ready(source *s);

// An event as it came: checked, counted, its message id looked up and kept, then delivered or, with
// the reason counted, passed as a position without an event. Waits while the queue is full.
typedef struct source_event {
    rtpush_id id;
    const char *topic; // NULL: not of the form that gateways write
    size_t topic_len;
    const char *key;   // message id, NULL none
    size_t key_len;
    const char *data;
    size_t len;
    uint32_t lost;
    uint8_t behind;
} source_event;
void source_deliver(source *s, const source_event *event);
// The index of the event's topic, or -1 - BAD_...
int source_judge(const source *s, const source_event *event);
const char *source_bad_words(int bad);
// May the event's data be one of its topic?
int source_fits(const source *s, uint32_t topic, const void *data, size_t len);
// What all gateways say, bounded. Publisher's thread: says `text` of the gateway `name` for ms,
// then adds what each says. -1: away.
typedef struct source_joined {
    char *data;
    size_t len;
} source_joined;
void source_joined_add(source_joined *all, const char *text, size_t len);
int redis_join(source *s, const char *text, const char *name, uint32_t ms, source_joined *all);
int nats_join(source *s, const char *text, const char *name, uint32_t ms, source_joined *all);

// Values of STATE topics. They are events like others, but the newest of each outlives the stream:
// kinds keep it in the broker (source_unkept) and read it where the stream does not bring it, at
// the start and after a loss (source_take_value). One that is older than what is known is passed
// over, so none goes back.
int source_is_state(const source *s, uint32_t topic);
int source_has_state(const source *s);
// A value that was kept, with its position. kept: what is to be noted.
void source_take_value(source *s, const source_event *event, int kept);
// A value of a source that gives it no position. again: it comes for the first time on this
// connection, so it may be the one that is known.
void source_set_value(source *s, const source_event *event, int again);
// The next topic, from `from` on, whose value is to be kept, at most once in SOURCE_KEEP_MS each;
// -1: none now. Kinds set `kept` and ask on behind it.
int source_unkept(source *s, int from);
// A position without an event.
void source_advance(source *s, rtpush_id id, uint32_t lost);
// Keeps the message id of an event before the first one that is delivered.
void source_remember(source *s, rtpush_id id, const char *key, size_t key_len);

// The position of an id that rtpush_id_at made.
uint64_t source_position_of(uint32_t epoch, rtpush_id id);
// Is a before b, both written by one source?
int source_before(rtpush_id a, rtpush_id b);

// Pauses between attempts: longer each time, and of random length, so that many gateways do not
// come back at once.
typedef struct source_pause {
    uint32_t ms;
    unsigned seed;
} source_pause;
void source_pause_begin(source_pause *pause);
void source_pause_wait(source_pause *pause);

// "scheme://user:password@host:port/path?query" in parts, "" where absent.
typedef struct source_url {
    char user[64];
    char password[128];
    char host[128];
    char path[128]; // without the first slash
    char query[256];
    uint16_t port;
} source_url;
int source_url_split(const char *url, uint16_t port, source_url *out);
// A number of the query; `otherwise` where it is absent; -1 where it is not a number.
int64_t source_url_number(const source_url *url, const char *name, int64_t otherwise);

#endif
