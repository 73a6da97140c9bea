// A feed: messages of a protocol that keeps no history, such as MQTT. A gateway publishes what a
// feed brings into its source, which numbers it:
//     build/gateway redis://127.0.0.1:6380/events --from 'mqtt://127.0.0.1/home/#'
// Alone, a feed can be the source itself. Then the gateway counts, and its ids are nobody else's:
// a reader that comes to another gateway, or after a restart, is told reset.
//
// Each feed has a thread, which runs kind->read until something fails, and again after a pause. A
// feed hands over by a bounded queue. If the source is slower, or away, the queue keeps the newest
// messages and counts what it drops; of a kind that can wait (standard input) nothing is dropped.
// The loop takes from the queue, in order: feeds_step gives up to FEED_FLIGHT messages of each feed
// to the source, and feeds_result hears how it went. A message that was not stored is given again
// with the same message id, and nothing of its feed is stored before it.

#ifndef FEED_H
#define FEED_H

#include "source.h"

#include <pthread.h>
#include <stdint.h>

enum {
    FEEDS_MAX = 8,
    FEED_ITEMS = 4096,    // messages that wait for the source,
    FEED_BYTES = 4 << 20, // and their bytes
    FEED_FLIGHT = 32,     // messages of a feed that the source has at a time
    FEED_FILTER_MAX = 128
};

typedef struct feed feed;

typedef struct feed_kind {
    const char *scheme;
    const char *example;
    int waits; // the protocol holds what there is no room for
    // Prepares for a URL: calls feed_map. NULL, having said why.
    void *(*open)(feed *f, const char *url);
    // The feed's thread: one connection from its begin to its end, or until feed_ended. Returns why
    // it ended.
    const char *(*read)(feed *f);
} feed_kind;

extern const feed_kind feed_lines;
extern const feed_kind feed_mqtt;
extern const feed_kind feed_mqtts;
extern const feed_kind feed_pubsub;
extern const feed_kind feed_core;

typedef struct feed_counters {
    uint64_t received;
    uint64_t published; // stored by the source
    uint64_t dropped;   // there was no room
    uint64_t refused;   // by the source
    uint64_t retained;  // old when they came: no events, and values that it had brought
    uint64_t bad[BAD_COUNT];
    uint64_t connects;
    uint64_t failures;
    uint32_t up;
    uint32_t queued;
} feed_counters;

typedef struct feed_entry { // a message that waits
    uint64_t number;
    uint32_t topic;
    uint32_t len;
    uint8_t *data;
    char *key; // behind the data. NULL: it came without one
    int done;  // stored or refused
} feed_entry;

struct feed {
    const feed_kind *kind;
    void *own;      // of the kind
    source *s;      // that it is, or that it feeds
    unsigned index; // 1, 2 ... of those that feed a source; 0: it is the source
    char filter[FEED_FILTER_MAX];
    size_t fixed;           // bytes of a name up to the part that becomes the topic
    const char *separators; // which become dots
    char to[40];            // all messages go to this topic; "": by their name
    char why[200];          // for the kind: why read ended

    uint64_t newest[SOURCE_TOPICS]; // hashes of values that it brought

    uint32_t epoch; // as the source
    uint32_t seq;

    pthread_t thread;
    pthread_mutex_t mutex; // all below
    pthread_cond_t room;
    feed_entry *items; // FEED_ITEMS
    uint32_t items_first;
    uint32_t items_count;
    uint32_t items_bytes;
    uint32_t flight; // of the first, given to the source
    uint32_t open;   // ... and not answered
    int failed;      // one was not stored: they are given again, once all are answered
    int first;       // the next one is the first since
    int64_t again_ms;
    uint64_t number;
    int ended;
    int running; // in kind->read
    feed_counters count;
    int64_t said_ms[BAD_COUNT + 3];
};

// -- for the loop ---------------------------------------------------------------------------------

// Starts the feeds of a source that has been started. -1, having said why. source_url: to see that
// the source is not fed with its own events. name: begins the message ids.
int feeds_start(source *s, const char *source_url, const char *const *urls, unsigned count,
                const uint32_t name[2], uint32_t publish_ms);
int feeds_fd(void); // readable: call feeds_step
void feeds_step(int64_t now_ms);
// 1: it is the answer to a message of a feed.
int feeds_result(const source_item *item);
// Takes nothing more from the feeds; what waits is published.
void feeds_end(void);
// After feeds_end: is one still connected, or does a message wait?
int feeds_busy(void);
// Waits until the feeds have left their brokers, for a second at most.
void feeds_stop(void);
// How many messages wait.
uint32_t feeds_left(void);
// The feed that is the source, if it is one, and then the others. NULL: there is no such.
feed *feeds_at(unsigned i);
void feed_get_counters(feed *f, feed_counters *out);

// -- for kinds ------------------------------------------------------------------------------------

typedef struct feed_message {
    const char *name; // MQTT topic, channel or subject
    size_t name_len;
    const char *key; // message id, NULL none
    size_t key_len;
    const char *data;
    size_t len;
    int retained; // not new
} feed_message;

// What is subscribed to, and how a name becomes a topic: without the part of the filter before its
// first wildcard, up to the last separator; then each separator becomes a dot. ?topic= of the URL
// goes before. 0, or -1 where the filter is none.
int feed_map(feed *f, const source_url *url, const char *filter, const char *wildcards,
             const char *separators);
void feed_say(const feed *f, const char *format, ...);
// Connected. whole: nothing that came meanwhile is missing.
void feed_up(feed *f, int whole);
void feed_deliver(feed *f, const feed_message *m);
// Messages that the library or the broker says it has dropped.
void feed_dropped(feed *f, uint64_t count);
int feed_ended(feed *f);

// source_kind.open and .read of a feed as the source.
void *feed_open_source(source *s, const char *url);
const char *feed_read_source(source *s);

#endif
