// What all feeds share: threads, the queues to the source, names and message ids.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: eventfd
#endif

#include "feed.h"

#include "../../ports/rtpush_posix.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SAY_AGAIN_MS = 10000, AGAIN_MS = 100, KEY_MAX = 64, STOP_MS = 1000 };
// Places of feed.said_ms behind those of BAD_...
enum { SAID_DROPPED = BAD_COUNT, SAID_REFUSED, SAID_RETAINED };
#define TOKEN_FEED (UINT64_C(1) << 63) // of ITEM_RESULT: then feed, then the message's number
#define TOKEN_SHIFT 56

static struct {
    feed *all[FEEDS_MAX];
    unsigned count;
    feed *local; // the source
    int fd;
    uint32_t name[2];
    uint32_t publish_ms;
} feeds;

static const feed_kind *const kinds[] = {
#ifdef GATEWAY_WITH_mqtt
    &feed_mqtt,
    &feed_mqtts,
#endif
#ifdef GATEWAY_WITH_pubsub
    &feed_pubsub,
#endif
#ifdef GATEWAY_WITH_core
    &feed_core,
#endif
    &feed_lines,
};

static void lock(feed *f) {
    pthread_mutex_lock(&f->mutex);
}

static void unlock(feed *f) {
    pthread_mutex_unlock(&f->mutex);
}

// -- lines ----------------------------------------------------------------------------------------

void feed_say(const feed *f, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (f->index == 0) {
        fprintf(stderr, "gateway: %s: %s\n", f->kind->scheme, text);
    } else {
        fprintf(stderr, "gateway: feed %u (%s): %s\n", f->index, f->kind->scheme, text);
    }
}

// Counts, and says so, unless it has said that a short time ago. name: of the message, or NULL.
static void count_and_say(feed *f, uint64_t *counter, uint64_t more, int which, const char *words,
                          const feed_message *m) {
    const int64_t now_ms = source_clock_ms();
    char name[65] = "";
    lock(f);
    *counter += more;
    const unsigned long long count = *counter;
    const int say = f->said_ms[which] == 0 || now_ms - f->said_ms[which] > SAY_AGAIN_MS;
    f->said_ms[which] = say ? now_ms : f->said_ms[which];
    unlock(f);
    if (!say) {
        return;
    }
    for (size_t i = 0; m != NULL && i < m->name_len && i + 1u < sizeof(name); i++) {
        name[i] = isprint((uint8_t)m->name[i]) ? m->name[i] : '?';
    }
    feed_say(f, "%s%s%s (%llu so far)", words, name[0] ? ": " : "", name, count);
}

// -- names ----------------------------------------------------------------------------------------

int feed_map(feed *f, const source_url *url, const char *filter, const char *wildcards,
             const char *separators) {
    const size_t len = strlen(filter);
    const size_t plain = strcspn(filter, wildcards);
    if (len == 0 || len >= sizeof(f->filter)) {
        return -1;
    }
    memcpy(f->filter, filter, len + 1u);
    f->separators = separators;
    f->fixed = 0;
    for (size_t i = 0; i < plain; i++) {
        f->fixed = strchr(separators, filter[i]) ? i + 1u : f->fixed;
    }
    const int to = rtpush_query(url->query, "topic", f->to, sizeof(f->to));
    if (to == RTPUSH_ERR_ARGUMENT) {
        f->to[0] = '\0';
    }
    return to < 0 && to != RTPUSH_ERR_ARGUMENT ? -1 : 0;
}

// The topic of a message. Returns its length, 0: it cannot be one.
static size_t map_name(const feed *f, const feed_message *m, char out[40]) {
    const size_t fixed = m->name_len >= f->fixed && memcmp(m->name, f->filter, f->fixed) == 0
                             ? f->fixed : 0;
    const size_t len = m->name_len - fixed;
    if (f->to[0] != '\0') {
        memcpy(out, f->to, sizeof(f->to));
        return strlen(out);
    }
    if (len == 0 || len >= 40u) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        const char c = m->name[fixed + i];
        out[i] = c != '\0' && strchr(f->separators, c) ? '.' : c;
    }
    out[len] = '\0';
    return len;
}

// The length of a message id that can be kept, 0: it has none.
static size_t usable_key(const feed_message *m) {
    for (size_t i = 0; m->key != NULL && i < m->key_len; i++) {
        if (m->key[i] < ' ' || m->key[i] > '~') {
            return 0;
        }
    }
    return m->key != NULL && m->key_len < SOURCE_KEY_MAX ? m->key_len : 0;
}

// -- what a feed brings ---------------------------------------------------------------------------

static void wake_loop(void) {
    const uint64_t one = 1;
    const ssize_t n = write(feeds.fd, &one, sizeof(one));
    (void)n; // it fails only where the counter is full, and then the loop is awake
}

static feed_entry *entry_at(const feed *f, uint32_t i) {
    return &f->items[(f->items_first + i) % FEED_ITEMS];
}

// Removes one that has not been given to the source, the oldest of these.
static void drop_oldest(feed *f) {
    feed_entry *dropped = entry_at(f, f->flight);
    f->items_bytes -= dropped->len;
    f->newest[dropped->topic] = 0; // retained, it may come again
    free(dropped->data);
    for (uint32_t i = f->flight; i > 0; i--) {
        *entry_at(f, i) = *entry_at(f, i - 1u);
    }
    f->items_first = (f->items_first + 1u) % FEED_ITEMS;
    f->items_count--;
}

static int is_full(const feed *f, size_t len) {
    return f->items_count == FEED_ITEMS ||
           (f->items_count > f->flight && f->items_bytes + len > FEED_BYTES);
}

// Returns how many had to be dropped for it.
static uint32_t put_entry(feed *f, uint32_t topic, const feed_message *m) {
    const size_t key_len = usable_key(m);
    uint32_t dropped = 0;
    uint8_t *data = (uint8_t *)malloc(m->len + key_len + 2u);
    if (data == NULL) {
        return 1;
    }
    if (m->len > 0) {
        memcpy(data, m->data, m->len);
    }
    if (key_len > 0) {
        memcpy(data + m->len + 1u, m->key, key_len);
    }
    data[m->len] = '\0';
    data[m->len + 1u + key_len] = '\0';
    lock(f);
    while (is_full(f, m->len) && f->kind->waits) {
        pthread_cond_wait(&f->room, &f->mutex);
    }
    while (is_full(f, m->len)) {
        drop_oldest(f);
        dropped++;
    }
    feed_entry *e = entry_at(f, f->items_count);
    memset(e, 0, sizeof(*e));
    e->number = ++f->number;
    e->topic = topic;
    e->len = (uint32_t)m->len;
    e->data = data;
    e->key = key_len > 0 ? (char *)data + m->len + 1u : NULL;
    f->items_count++;
    f->items_bytes += e->len;
    unlock(f);
    return dropped;
}

static void deliver_local(feed *f, const feed_message *m, const char *topic, size_t topic_len) {
    source_event event;
    memset(&event, 0, sizeof(event));
    f->seq++;
    if (f->seq == 0) { // after 2^32 - 1 events
        f->seq = 1;
        f->epoch++;
    }
    event.id.epoch = f->epoch;
    event.id.seq = f->seq;
    event.topic = m->name != NULL ? topic : NULL;
    event.topic_len = topic_len;
    event.key = m->key;
    event.key_len = usable_key(m);
    event.data = m->data;
    event.len = m->len;
    source_deliver(f->s, &event);
}

// Of a STATE topic what is retained counts, unless this feed has brought it before: it would take
// the place of what others have published since.
static int is_news(feed *f, uint32_t topic, const feed_message *m) {
    uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a
    for (size_t i = 0; i < m->len; i++) {
        hash = (hash ^ (uint8_t)m->data[i]) * UINT64_C(1099511628211);
    }
    const int news = !m->retained || f->newest[topic] != hash;
    f->newest[topic] = hash;
    if (!news) {
        lock(f);
        f->count.retained++;
        unlock(f);
    }
    return news;
}

void feed_deliver(feed *f, const feed_message *m) {
    char topic[40] = "";
    source_event event;
    lock(f);
    f->count.received++;
    unlock(f);
    const size_t topic_len = m->name != NULL ? map_name(f, m, topic) : 0;
    memset(&event, 0, sizeof(event));
    event.topic = m->name != NULL ? topic : NULL;
    event.topic_len = topic_len;
    event.data = m->data;
    event.len = m->len;
    const int index = source_judge(f->s, &event);
    const int is_value = index >= 0 && source_is_state(f->s, (uint32_t)index);
    if (m->retained && !is_value) { // it comes again at each connection
        count_and_say(f, &f->count.retained, 1, SAID_RETAINED, "retained, no event", m);
    } else if (f->index == 0 && m->retained) {
        source_set_value(f->s, &event, 1);
    } else if (f->index == 0) {
        deliver_local(f, m, topic, topic_len);
    } else if (index < 0) {
        const int bad = -1 - index;
        char words[80];
        snprintf(words, sizeof(words), "not passed on, %s", source_bad_words(bad));
        count_and_say(f, &f->count.bad[bad], 1, bad, words, m);
    } else if (!is_value || is_news(f, (uint32_t)index, m)) {
        feed_dropped(f, put_entry(f, (uint32_t)index, m));
        wake_loop();
    }
}

void feed_dropped(feed *f, uint64_t count) {
    if (count > 0) {
        count_and_say(f, &f->count.dropped, count, SAID_DROPPED,
                      "dropped, the source is slower or away", NULL);
    }
}

int feed_ended(feed *f) {
    lock(f);
    const int ended = f->ended;
    unlock(f);
    return ended;
}

// -- a feed as the source -------------------------------------------------------------------------

static const feed_kind *kind_of(const char *url) {
    const size_t len = strcmp(url, "-") == 0 ? 1u : strcspn(url, ":");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strlen(kinds[i]->scheme) == len && memcmp(kinds[i]->scheme, url, len) == 0) {
            return kinds[i];
        }
    }
    return NULL;
}

static feed *new_feed(const feed_kind *kind, source *s, unsigned index) {
    feed *f = (feed *)calloc(1, sizeof(*f));
    if (f == NULL || pthread_mutex_init(&f->mutex, NULL) != 0 ||
        pthread_cond_init(&f->room, NULL) != 0) {
        return NULL;
    }
    f->kind = kind;
    f->s = s;
    f->index = index;
    f->separators = ""; // of a kind without filters
    f->first = 1;
    return f;
}

void *feed_open_source(source *s, const char *url) {
    feed *f = new_feed(kind_of(url), s, 0);
    if (f == NULL) {
        source_say(s, "not enough memory");
        return NULL;
    }
    f->epoch = rtpush_posix_epoch(); // differs at each start
    f->own = f->kind->open(f, url);
    if (f->own == NULL) {
        return NULL;
    }
    feeds.local = f;
    feed_say(f, "no history is kept: ids are of this gateway and this start alone; elsewhere, and "
                "after a restart, readers are told reset");
    return f;
}

void feed_up(feed *f, int whole) {
    lock(f);
    f->count.connects++;
    f->count.up = 1;
    const int again = f->count.connects > 1;
    unlock(f);
    if (f->index > 0) {
        feed_say(f, "connected%s", again && !whole ? "; what came meanwhile is missing" : "");
        return;
    }
    if (!again) {
        const rtpush_id begin = {f->epoch, 0};
        source_begin(f->s, begin);
    }
    source_up(f->s);
    if (again && !whole) { // nobody knows how many: readers are told of one
        const rtpush_id id = {f->epoch, ++f->seq};
        source_advance(f->s, id, 1);
    }
    source_ready(f->s);
}

static const char *read_once(feed *f) {
    lock(f);
    f->running = !f->ended;
    unlock(f);
    const char *why = f->running ? f->kind->read(f) : "the gateway ends";
    lock(f);
    f->running = 0;
    f->count.up = 0;
    f->count.failures++;
    unlock(f);
    return why;
}

const char *feed_read_source(source *s) {
    return read_once((feed *)s->own);
}

// -- the thread of a feed -------------------------------------------------------------------------

static void *feed_forever(void *arg) {
    feed *f = (feed *)arg;
    source_pause pause;
    char said[200] = "";
    uint64_t connects = 0;
    source_pause_begin(&pause);
    while (!feed_ended(f)) {
        const char *why = read_once(f);
        const int was_up = f->count.connects != connects; // written by this thread
        connects = f->count.connects;
        if (feed_ended(f)) {
            break;
        }
        if (was_up) {
            source_pause_begin(&pause);
        }
        if (was_up || strcmp(said, why) != 0) { // once, not at each attempt
            feed_say(f, "away: %s", why);
            snprintf(said, sizeof(said), "%s", why);
        }
        source_pause_wait(&pause);
    }
    return NULL;
}

// -- the loop: from the queues to the source ------------------------------------------------------

static void pop_done(feed *f) {
    while (f->flight > 0 && entry_at(f, 0)->done) {
        f->items_bytes -= entry_at(f, 0)->len;
        free(entry_at(f, 0)->data);
        f->items_first = (f->items_first + 1u) % FEED_ITEMS;
        f->items_count--;
        f->flight--;
        pthread_cond_signal(&f->room);
    }
}

// All are answered, and one of them was not stored: what is left is given again, in order.
static void begin_again(feed *f, int64_t now_ms) {
    uint32_t left = f->flight;
    for (uint32_t i = f->flight; i > 0; i--) {
        feed_entry *e = entry_at(f, i - 1u);
        if (!e->done) {
            const feed_entry kept = *e;
            *e = *entry_at(f, left - 1u);
            *entry_at(f, left - 1u) = kept;
            left--;
        }
    }
    pop_done(f);
    f->flight = 0;
    f->failed = 0;
    f->first = 1;
    f->again_ms = now_ms + AGAIN_MS;
}

// The message id: of the topic, as that of a POST. One that begins with its topic was made by a
// gateway: kept as it is, or an event that came back would be another one.
static void id_of_message(const feed *f, const feed_entry *e, char out[SOURCE_KEY_MAX + 1]) {
    const char *topic = f->s->desc.topics[e->topic].name;
    const size_t len = strlen(topic);
    if (e->key != NULL && strncmp(e->key, topic, len) == 0 && e->key[len] == ' ') {
        snprintf(out, SOURCE_KEY_MAX + 1, "%s", e->key);
    } else if (e->key != NULL && strlen(e->key) <= KEY_MAX) {
        snprintf(out, SOURCE_KEY_MAX + 1, "%s %s", topic, e->key);
    } else { // this gateway and start, the feed, and a count
        snprintf(out, SOURCE_KEY_MAX + 1, "%s %08lx%08lx-f%u-%llu", topic,
                 (unsigned long)feeds.name[0], (unsigned long)feeds.name[1], f->index,
                 (unsigned long long)e->number);
    }
}

// Gives one to the source. 0: not now.
static int give(feed *f, feed_entry *e) {
    char key[SOURCE_KEY_MAX + 1];
    rtpush_id id;
    id_of_message(f, e, key);
    if (f->flight == 0 && e->key != NULL && source_find(f->s, key, &id)) {
        e->done = 1; // another gateway was faster
        f->count.bad[BAD_DUPLICATE]++;
        f->flight = 1;
        pop_done(f);
        return 1;
    }
    const uint64_t token = TOKEN_FEED | (uint64_t)f->index << TOKEN_SHIFT | e->number;
    const source_order order = {f->index, f->first};
    if (source_publish_ordered(f->s, token, order, e->topic, key, e->data, e->len,
                               feeds.publish_ms) < 0) {
        return 0;
    }
    f->first = 0;
    f->flight++;
    f->open++;
    return 1;
}

void feeds_step(int64_t now_ms) {
    uint64_t sink;
    if (feeds.count == 0) {
        return;
    }
    if (read(feeds.fd, &sink, sizeof(sink)) < 0) {
        sink = 0; // EAGAIN: nothing new, but there may be more than the last turn gave
    }
    for (unsigned i = 0; i < feeds.count; i++) {
        feed *f = feeds.all[i];
        lock(f);
        while (!f->failed && now_ms >= f->again_ms && f->flight < FEED_FLIGHT &&
               f->flight < f->items_count && give(f, entry_at(f, f->flight))) {
        }
        unlock(f);
    }
}

int feeds_result(const source_item *item) {
    if (!(item->token & TOKEN_FEED)) {
        return 0;
    }
    feed *f = feeds.all[(item->token >> TOKEN_SHIFT & 0x7Fu) - 1u];
    const uint64_t number = item->token & ((UINT64_C(1) << TOKEN_SHIFT) - 1u);
    char words[200];
    int refused = 0;
    lock(f);
    f->open--;
    for (uint32_t i = 0; i < f->flight; i++) {
        feed_entry *e = entry_at(f, i);
        if (e->number == number) {
            e->done = item->outcome == OUTCOME_STORED || item->outcome == OUTCOME_REFUSED;
            f->failed |= !e->done;
            f->count.published += item->outcome == OUTCOME_STORED;
            refused = item->outcome == OUTCOME_REFUSED;
        }
    }
    if (f->failed && f->open == 0) {
        begin_again(f, source_clock_ms());
    } else if (!f->failed) {
        pop_done(f);
    }
    unlock(f);
    if (refused) {
        snprintf(words, sizeof(words), "the source refused a message: %s", (char *)item->data);
        count_and_say(f, &f->count.refused, 1, SAID_REFUSED, words, NULL);
    }
    return 1;
}

void feeds_end(void) {
    for (unsigned i = 0; i < feeds.count; i++) {
        lock(feeds.all[i]);
        feeds.all[i]->ended = 1;
        unlock(feeds.all[i]);
    }
}

uint32_t feeds_left(void) {
    uint32_t left = 0;
    for (unsigned i = 0; i < feeds.count; i++) {
        lock(feeds.all[i]);
        left += feeds.all[i]->items_count;
        unlock(feeds.all[i]);
    }
    return left;
}

static int is_running(feed *f) { // a read of standard input cannot be ended
    lock(f);
    const int running = f->running && !f->kind->waits;
    unlock(f);
    return running;
}

int feeds_busy(void) {
    int busy = feeds_left() > 0;
    for (unsigned i = 0; i < feeds.count; i++) {
        busy |= is_running(feeds.all[i]);
    }
    return busy;
}

void feeds_stop(void) {
    const int64_t deadline_ms = source_clock_ms() + STOP_MS;
    feeds_end();
    if (feeds.local != NULL) {
        lock(feeds.local);
        feeds.local->ended = 1;
        unlock(feeds.local);
    }
    int running = 1;
    while (running && source_clock_ms() < deadline_ms) {
        running = feeds.local != NULL && is_running(feeds.local);
        for (unsigned i = 0; i < feeds.count; i++) {
            running |= is_running(feeds.all[i]);
        }
        source_sleep_ms(running ? 10 : 0);
    }
}

feed *feeds_at(unsigned i) {
    if (feeds.local != NULL) {
        if (i == 0) {
            return feeds.local;
        }
        i--;
    }
    return i < feeds.count ? feeds.all[i] : NULL;
}

void feed_get_counters(feed *f, feed_counters *out) {
    pthread_mutex_lock(&f->mutex);
    *out = f->count;
    out->queued = f->items_count;
    pthread_mutex_unlock(&f->mutex);
}

// -- start ----------------------------------------------------------------------------------------

// Is this feed what the source publishes? The MQTT topics of nats-server are its subjects. Which of
// its ports is the MQTT listener cannot be known here.
static int is_own(const source *s, const char *source_url_text, const feed *f, const char *url) {
    source_url from;
    source_url to;
    const char *at = f->filter;
    const int core = strcmp(f->kind->scheme, "nats+core") == 0;
    if (strcmp(s->kind->scheme, "nats") != 0 ||
        (!core && strncmp(f->kind->scheme, "mqtt", 4) != 0) ||
        source_url_split(url, 4222, &from) < 0 ||
        source_url_split(source_url_text, 4222, &to) < 0 ||
        strcmp(from.host, to.host) != 0 || (core && from.port != to.port) ||
        (!core && source_url_number(&from, "other", 0) == 1)) {
        return 0;
    }
    const char *stream = to.path[0] ? to.path : "events";
    const size_t len = strcspn(at, "/.");
    return (len == strlen(stream) && memcmp(at, stream, len) == 0) ||
           (len == 1 && strchr("#+*>", *at) != NULL);
}

static int start_one(source *s, const char *source_url_text, const char *url) {
    const feed_kind *kind = kind_of(url);
    if (kind == NULL) {
        fprintf(stderr, "gateway: %.*s: no such feed; this program was built with\n",
                (int)strcspn(url, ":"), url); // the rest may have a password
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            fprintf(stderr, "    %s\n", kinds[i]->example);
        }
        return -1;
    }
    feed *f = new_feed(kind, s, feeds.count + 1u);
    feeds.all[feeds.count] = f;
    if (f != NULL) {
        f->items = (feed_entry *)calloc(FEED_ITEMS, sizeof(*f->items));
    }
    if (f == NULL || f->items == NULL) {
        fputs("gateway: not enough memory\n", stderr);
        return -1;
    }
    f->own = kind->open(f, url);
    if (f->own == NULL) {
        return -1;
    }
    if (is_own(s, source_url_text, f, url)) {
        feed_say(f, "it brings what the source publishes: that would have no end%s",
                 f->kind->scheme[0] == 'm' ? "; other=1 in its URL says that it is another broker"
                                           : "");
        return -1;
    }
    feeds.count++;
    return 0;
}

int feeds_start(source *s, const char *source_url_text, const char *const *urls, unsigned count,
                const uint32_t name[2], uint32_t publish_ms) {
    feeds.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    feeds.name[0] = name[0];
    feeds.name[1] = name[1];
    feeds.publish_ms = publish_ms;
    if (feeds.fd < 0) {
        perror("gateway: feeds");
        return -1;
    }
    if (count > 0 && s->kind->publish == NULL) {
        fputs("gateway: --from: nothing can be published into this source\n", stderr);
        return -1;
    }
    for (unsigned i = 0; i < count; i++) {
        if (start_one(s, source_url_text, urls[i]) < 0) {
            return -1;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (pthread_create(&feeds.all[i]->thread, NULL, feed_forever, feeds.all[i]) != 0) {
            perror("gateway: feeds");
            return -1;
        }
        pthread_detach(feeds.all[i]->thread); // nothing waits for one that cannot be ended
    }
    return 0;
}

int feeds_fd(void) {
    return feeds.fd;
}
