// What all sources share: the two threads, the queue to the loop, the window of message ids, URLs.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: clock_gettime, eventfd
#endif

#include "source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    SAY_AGAIN_MS = 10000,
    BACKOFF_FIRST_MS = 100, // of the reader, between connections
    BACKOFF_LAST_MS = 5000,
    ATTEMPT_FIRST_MS = 20, // of the publisher, between attempts at one message
    ATTEMPT_LAST_MS = 200
};

// -- small things ---------------------------------------------------------------------------------

int64_t source_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void source_sleep_ms(uint32_t ms) {
    struct timespec wait;
    wait.tv_sec = (time_t)(ms / 1000u);
    wait.tv_nsec = (long)(ms % 1000u) * 1000000l;
    while (nanosleep(&wait, &wait) < 0 && errno == EINTR) {
    }
}

void source_say(const source *s, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "gateway: %s: %s\n", s->kind->scheme, text);
}

int source_before(rtpush_id a, rtpush_id b) {
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.seq < b.seq;
}

uint64_t source_position_of(uint32_t epoch, rtpush_id id) {
    return (uint64_t)(id.epoch - epoch) * RTPUSH_SEQ_MAX + id.seq;
}

static uint32_t random_below(uint32_t limit, unsigned *seed) {
    return (uint32_t)((uint64_t)(unsigned)rand_r(seed) * limit / ((uint64_t)RAND_MAX + 1u));
}

void source_pause_begin(source_pause *pause) {
    pause->ms = BACKOFF_FIRST_MS;
    pause->seed = (unsigned)source_clock_ms() ^ (unsigned)getpid();
}

void source_pause_wait(source_pause *pause) {
    source_sleep_ms(pause->ms / 2u + random_below(pause->ms / 2u + 1u, &pause->seed));
    pause->ms = pause->ms * 2u < BACKOFF_LAST_MS ? pause->ms * 2u : BACKOFF_LAST_MS;
}

static void lock(source *s) {
    pthread_mutex_lock(&s->mutex);
}

static void unlock(source *s) {
    pthread_mutex_unlock(&s->mutex);
}

// -- the queue to the loop ------------------------------------------------------------------------

static void wake_loop(const source *s) {
    const uint64_t one = 1;
    const ssize_t n = write(s->fd, &one, sizeof(one));
    (void)n; // it fails only where the counter is full, and then the loop is awake
}

static uint8_t *copy_of(const void *data, size_t len) {
    uint8_t *copy = (uint8_t *)malloc(len + 1u);
    if (copy == NULL) {
        fputs("gateway: not enough memory\n", stderr);
        abort();
    }
    if (len > 0) {
        memcpy(copy, data, len);
    }
    copy[len] = '\0';
    return copy;
}

// Reader: waits while the queue is full, so that the broker is not read.
static void put_item(source *s, const source_item *item) {
    lock(s);
    while (s->items_count == SOURCE_ITEMS || s->items_bytes > SOURCE_BYTES) {
        pthread_cond_wait(&s->room, &s->mutex);
    }
    s->items[(s->items_first + s->items_count) % SOURCE_ITEMS] = *item;
    s->items_count++;
    s->items_bytes += item->len;
    unlock(s);
    wake_loop(s);
}

static void put_result(source *s, const source_item *item) {
    lock(s);
    // There is room: at most SOURCE_WAITING messages and one probe are under way, and the loop
    // takes all results before it adds a message.
    s->results[(s->results_first + s->results_count) % (2u * SOURCE_WAITING)] = *item;
    s->results_count++;
    unlock(s);
    wake_loop(s);
}

int source_fd(const source *s) {
    return s->fd;
}

int source_next(source *s, source_item *item, int skip_events) {
    int found = 0;
    lock(s);
    if (s->results_count > 0) {
        *item = s->results[s->results_first];
        s->results_first = (s->results_first + 1u) % (2u * SOURCE_WAITING);
        s->results_count--;
        found = 1;
    } else if (s->items_count > 0 && !skip_events) {
        *item = s->items[s->items_first];
        s->items_first = (s->items_first + 1u) % SOURCE_ITEMS;
        s->items_count--;
        s->items_bytes -= item->len;
        pthread_cond_signal(&s->room);
        found = 1;
    }
    unlock(s);
    return found;
}

int source_behind(source *s) {
    lock(s);
    const int behind = s->items_count > 0 && s->items[s->items_first].behind;
    unlock(s);
    return behind;
}

void source_done(source_item *item) {
    free(item->data);
    item->data = NULL;
}

// -- the window of message ids --------------------------------------------------------------------
// A ring of the last SOURCE_WINDOW positions, with a table of lists for the lookup. A position
// counts whether it has a message id or not: so all gateways drop the same duplicates.

static uint32_t hash_of(const char *key, size_t len) { // FNV-1a
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (uint8_t)key[i]) * 16777619u;
    }
    return hash % SOURCE_WINDOW;
}

static source_seen *window_find(source *s, const char *key, size_t len) {
    for (uint32_t at = s->hashes[hash_of(key, len)]; at != 0; at = s->window[at - 1u].next) {
        source_seen *seen = &s->window[at - 1u];
        if (strlen(seen->key) == len && memcmp(seen->key, key, len) == 0) {
            return seen;
        }
    }
    return NULL;
}

static void window_put(source *s, rtpush_id id, const char *key, size_t len) {
    source_seen *seen = &s->window[s->window_next];
    if (seen->key[0] != '\0') { // the oldest leaves its list
        uint32_t *at = &s->hashes[hash_of(seen->key, strlen(seen->key))];
        while (*at != s->window_next + 1u) {
            at = &s->window[*at - 1u].next;
        }
        *at = seen->next;
    }
    memset(seen, 0, sizeof(*seen));
    seen->id = id;
    if (len > 0) {
        uint32_t *first = &s->hashes[hash_of(key, len)];
        memcpy(seen->key, key, len);
        seen->next = *first;
        *first = s->window_next + 1u;
    }
    s->window_next = (s->window_next + 1u) % SOURCE_WINDOW;
    pthread_cond_signal(&s->came);
}

// The length of a key that can be kept, else 0.
static size_t usable_key(const char *key, size_t len) {
    return key != NULL && len <= SOURCE_KEY_MAX && memchr(key, '\0', len) == NULL ? len : 0;
}

int source_find(source *s, const char *key, rtpush_id *id) {
    lock(s);
    const source_seen *seen = window_find(s, key, strlen(key));
    if (seen != NULL) {
        *id = seen->id;
    }
    unlock(s);
    return seen != NULL;
}

int source_wait(source *s, const char *key, rtpush_id *id, int64_t until_ms) {
    const source_seen *seen;
    struct timespec until;
    until.tv_sec = (time_t)(until_ms / 1000);
    until.tv_nsec = (long)(until_ms % 1000) * 1000000l;
    lock(s);
    while ((seen = window_find(s, key, strlen(key))) == NULL &&
           pthread_cond_timedwait(&s->came, &s->mutex, &until) == 0) {
    }
    if (seen != NULL) {
        *id = seen->id;
    }
    unlock(s);
    return seen != NULL;
}

void source_remember(source *s, rtpush_id id, const char *key, size_t key_len) {
    lock(s);
    window_put(s, id, key, usable_key(key, key_len));
    unlock(s);
}

// -- what the reader delivers ---------------------------------------------------------------------

rtpush_id source_last(source *s) {
    lock(s);
    const rtpush_id last = s->last;
    unlock(s);
    return last;
}

static void put_simple(source *s, uint8_t kind, rtpush_id id, uint32_t lost) {
    source_item item;
    memset(&item, 0, sizeof(item));
    item.kind = kind;
    item.id = id;
    item.lost = lost;
    put_item(s, &item);
}

void source_up(source *s) {
    lock(s);
    const int was_up = s->up;
    s->up = 1;
    s->count.connects++;
    unlock(s);
    if (!was_up) {
        source_say(s, "connected");
        put_simple(s, ITEM_BACK, source_last(s), 0);
    }
}

// In another epoch the broker may have lost what it kept.
static void forget_kept(source *s, rtpush_id id) {
    const int same = s->last.epoch == 0 || s->last.epoch == id.epoch;
    for (uint32_t topic = 0; topic < s->desc.topic_count && !same; topic++) {
        s->values[topic].kept = 0;
    }
}

void source_begin(source *s, rtpush_id before) {
    lock(s);
    forget_kept(s, before);
    s->last = before;
    unlock(s);
    put_simple(s, ITEM_BEGIN, before, 0);
}

void source_ready(source *s) {
    put_simple(s, ITEM_READY, source_last(s), 0);
}

// Takes a position over. 0: it is at or below the last one.
static int take_position(source *s, rtpush_id id, uint32_t lost) {
    lock(s);
    const int newer = s->last.epoch == 0 || source_before(s->last, id);
    if (newer) {
        forget_kept(s, id);
        s->last = id;
        s->count.received++;
        s->count.lost += lost;
    }
    unlock(s);
    return newer;
}

const char *source_bad_words(int bad) {
    static const char *const words[BAD_COUNT] = {
        "too large",           "not UTF-8", "a topic that is not in --topics",
        "not a gateway's event", "an id at or below the last one", "a duplicate"};
    return words[bad];
}

static void say_bad(source *s, const source_event *event, int bad) {
    const int64_t now_ms = source_clock_ms();
    lock(s);
    s->count.bad[bad]++;
    const unsigned long long count = s->count.bad[bad];
    unlock(s);
    if (bad != BAD_DUPLICATE && (s->said_ms[bad] == 0 || now_ms - s->said_ms[bad] > SAY_AGAIN_MS)) {
        s->said_ms[bad] = now_ms;
        source_say(s, "%08lx-%08lx not passed on: %s (%llu so far)", (unsigned long)event->id.epoch,
                   (unsigned long)event->id.seq, source_bad_words(bad), count);
    }
}

int source_is_state(const source *s, uint32_t topic) {
    return s->desc.topics[topic].kind == &rtpush_topic_state;
}

int source_has_state(const source *s) {
    for (uint32_t topic = 0; topic < s->desc.topic_count; topic++) {
        if (source_is_state(s, topic)) {
            return 1;
        }
    }
    return 0;
}

int source_fits(const source *s, uint32_t topic, const void *data, size_t len) {
    if (len > s->desc.max_len || !source_is_state(s, topic)) {
        return len <= s->desc.max_len;
    }
    size_t room = len; // in an event stream "data: " follows each line end (WHATWG HTML 9.2.6)
    for (size_t i = 0; i < len && len <= s->desc.topics[topic].max; i++) {
        const char c = ((const char *)data)[i];
        room += c == '\n' || c == '\r' ? 6u : 0u;
    }
    return len <= s->desc.topics[topic].max && room <= s->desc.value_room;
}

int source_judge(const source *s, const source_event *event) {
    if (event->topic == NULL) {
        return -1 - BAD_FORM;
    }
    uint32_t topic = 0;
    while (topic < s->desc.topic_count &&
           (strlen(s->desc.topics[topic].name) != event->topic_len ||
            memcmp(s->desc.topics[topic].name, event->topic, event->topic_len) != 0)) {
        topic++;
    }
    if (topic == s->desc.topic_count) {
        return -1 - BAD_TOPIC;
    }
    if (!source_fits(s, topic, event->data, event->len)) {
        return -1 - BAD_TOO_LARGE;
    }
    return rtpush_utf8(0, event->data, event->len) != 0 ? -1 - BAD_UTF8 : (int)topic;
}

// Takes a value over. 0: what is known is as new.
static int value_put(source *s, uint32_t topic, const source_event *event, int kept) {
    source_value *v = &s->values[topic];
    if (v->data != NULL && !source_before(v->id, event->id)) {
        return 0;
    }
    free(v->data);
    v->id = event->id;
    v->len = (uint32_t)event->len;
    v->data = copy_of(event->data, event->len);
    v->kept = kept;
    return 1;
}

static void put_value(source *s, uint32_t topic, const source_event *event) {
    source_item item;
    memset(&item, 0, sizeof(item));
    item.kind = ITEM_VALUE;
    item.topic = topic;
    item.len = (uint32_t)event->len;
    item.data = copy_of(event->data, event->len);
    put_item(s, &item);
}

void source_take_value(source *s, const source_event *event, int kept) {
    const int topic = source_judge(s, event);
    if (topic == -1 - BAD_TOPIC || (topic >= 0 && !source_is_state(s, (uint32_t)topic))) {
        return;
    }
    if (topic < 0) {
        say_bad(s, event, -1 - topic);
    } else if (value_put(s, (uint32_t)topic, event, kept)) {
        put_value(s, (uint32_t)topic, event);
    }
}

void source_set_value(source *s, const source_event *event, int again) {
    const int topic = source_judge(s, event);
    if (topic < 0) {
        say_bad(s, event, -1 - topic);
        return;
    }
    source_value *v = &s->values[topic];
    if (!again || v->data == NULL || v->len != event->len ||
        memcmp(v->data, event->data, event->len) != 0) {
        free(v->data);
        v->len = (uint32_t)event->len;
        v->data = copy_of(event->data, event->len);
        put_value(s, (uint32_t)topic, event);
    }
}

int source_unkept(source *s, int from) {
    const int64_t now_ms = source_clock_ms();
    if (from == 0 && s->kept_ms != 0 && now_ms - s->kept_ms < SOURCE_KEEP_MS) {
        return -1;
    }
    for (int topic = from; topic < (int)s->desc.topic_count; topic++) {
        if (s->values[topic].data != NULL && !s->values[topic].kept) {
            s->kept_ms = now_ms;
            return topic;
        }
    }
    return -1;
}

void source_deliver(source *s, const source_event *event) {
    if (!take_position(s, event->id, event->lost)) {
        say_bad(s, event, BAD_ID);
        return;
    }
    const size_t key_len = usable_key(event->key, event->key_len);
    lock(s);
    const int twice = key_len > 0 && window_find(s, event->key, key_len) != NULL;
    window_put(s, event->id, event->key, twice ? 0 : key_len);
    unlock(s);
    const int topic = twice ? -1 - BAD_DUPLICATE : source_judge(s, event);
    const int passed = topic >= 0 && source_is_state(s, (uint32_t)topic) &&
                       !value_put(s, (uint32_t)topic, event, 0);
    source_item item;
    memset(&item, 0, sizeof(item));
    item.kind = ITEM_ADVANCE;
    item.id = event->id;
    item.lost = event->lost;
    item.behind = event->behind;
    if (topic < 0) {
        const int bad = -1 - topic;
        item.lost += bad == BAD_TOO_LARGE || bad == BAD_UTF8; // readers of its topic miss one
        say_bad(s, event, bad);
    } else if (!passed) {
        item.kind = ITEM_EVENT;
        item.topic = (uint32_t)topic;
        item.len = (uint32_t)event->len;
        item.data = copy_of(event->data, event->len);
    }
    put_item(s, &item);
}

void source_advance(source *s, rtpush_id id, uint32_t lost) {
    if (take_position(s, id, lost)) {
        put_simple(s, ITEM_ADVANCE, id, lost);
    }
}

// -- the reader's thread --------------------------------------------------------------------------

static void *read_forever(void *arg) {
    source *s = (source *)arg;
    source_pause pause;
    char said[200] = "";
    source_pause_begin(&pause);
    for (;;) {
        const char *why = s->kind->read(s);
        lock(s);
        const int was_up = s->up;
        s->up = 0;
        s->count.failures++;
        unlock(s);
        if (was_up) {
            source_pause_begin(&pause);
            put_simple(s, ITEM_AWAY, source_last(s), 0);
        }
        if (was_up || strcmp(said, why) != 0) { // once, not at each attempt
            source_say(s, "away: %s", why);
            snprintf(said, sizeof(said), "%s", why);
        }
        source_pause_wait(&pause);
    }
    return NULL;
}

// -- the publisher's thread -----------------------------------------------------------------------

// Is it behind one of its chain that was not stored?
static int is_broken(source *s, const source_message *m) {
    const uint32_t bit = m->chain != 0 ? 1u << m->chain : 0;
    s->broken &= m->first ? ~bit : ~0u;
    return (s->broken & bit) != 0;
}

// Attempts until it is stored or refused, or the deadline is over. A message that could not be sent
// at all is not waited for: the client is told at once, and may go to another gateway.
static int publish_until(source *s, const source_message *m, rtpush_id *id, const char **why) {
    uint32_t pause_ms = ATTEMPT_FIRST_MS;
    int sent = 0;
    while (source_clock_ms() < m->deadline_ms) {
        const int outcome = s->kind->publish(s, m, sent, id, why);
        if (outcome == OUTCOME_STORED || outcome == OUTCOME_REFUSED ||
            (outcome == OUTCOME_AWAY && !sent)) {
            return outcome;
        }
        sent |= outcome == OUTCOME_UNKNOWN;
        source_sleep_ms(pause_ms);
        pause_ms = pause_ms * 2u < ATTEMPT_LAST_MS ? pause_ms * 2u : ATTEMPT_LAST_MS;
    }
    return sent ? OUTCOME_UNKNOWN : OUTCOME_AWAY;
}

static void answer(source *s, const source_message *m) {
    source_item item;
    const char *why = "";
    const int broken = is_broken(s, m);
    memset(&item, 0, sizeof(item));
    item.kind = ITEM_RESULT;
    item.token = m->token;
    item.outcome = OUTCOME_AWAY;
    if (!broken) {
        item.outcome = (uint8_t)publish_until(s, m, &item.id, &why);
    }
    if (m->chain != 0 && (item.outcome == OUTCOME_AWAY || item.outcome == OUTCOME_UNKNOWN)) {
        s->broken |= 1u << m->chain;
    }
    item.len = (uint32_t)strlen(why);
    item.data = copy_of(why, item.len);
    put_result(s, &item);
    free(m->data);
}

static void answer_probe(source *s, uint64_t token) {
    source_item item;
    memset(&item, 0, sizeof(item));
    item.kind = ITEM_PROBED;
    item.token = token;
    item.outcome = s->kind->probe(s, &item.id) == 0 ? OUTCOME_STORED : OUTCOME_UNKNOWN;
    put_result(s, &item);
}

typedef int join_function(source *s, const char *text, const char *name, uint32_t ms,
                          source_joined *all);

static join_function *join_of(const source_kind *kind) {
#ifdef GATEWAY_WITH_redis
    if (kind == &source_redis) {
        return redis_join;
    }
#endif
#ifdef GATEWAY_WITH_nats
    if (kind == &source_nats) {
        return nats_join;
    }
#endif
    (void)kind;
    return NULL;
}

void source_joined_add(source_joined *all, const char *text, size_t len) {
    if (all->len + len + 2u > SOURCE_BYTES) { // "+": something is missing
        if (all->len + 2u <= SOURCE_BYTES + 4u) {
            memcpy(all->data + all->len, "+\n", 2);
            all->len += 2u;
        }
        return;
    }
    memcpy(all->data + all->len, text, len);
    all->data[all->len + len] = '\n'; // whatever it ends with
    all->len += len + 1u;
}

static void answer_join(source *s, char *say) {
    source_item item;
    source_joined all = {(char *)malloc(SOURCE_BYTES + 4u), 0};
    if (all.data != NULL && join_of(s->kind)(s, say, s->said_by, s->say_ms, &all) == 0) {
        memset(&item, 0, sizeof(item));
        item.kind = ITEM_JOINED;
        item.len = (uint32_t)all.len;
        item.data = copy_of(all.data, all.len);
        put_result(s, &item);
    }
    free(all.data);
    free(say);
}

static void *publish_forever(void *arg) {
    source *s = (source *)arg;
    for (;;) {
        source_message m;
        memset(&m, 0, sizeof(m));
        lock(s);
        while (s->probe == 0 && s->say == NULL && s->messages_count == 0) {
            pthread_cond_wait(&s->work, &s->mutex);
        }
        const uint64_t probe = s->probe;
        char *say = probe == 0 ? s->say : NULL;
        s->probe = 0;
        if (say != NULL) {
            s->say = NULL;
        } else if (s->messages_count > 0) {
            m = s->messages[s->messages_first];
        }
        unlock(s);
        if (probe != 0) {
            answer_probe(s, probe);
            continue;
        }
        if (say != NULL) {
            answer_join(s, say);
            continue;
        }
        answer(s, &m);
        lock(s);
        s->messages_first = (s->messages_first + 1u) % SOURCE_WAITING;
        s->messages_count--; // not before its result is there
        unlock(s);
    }
    return NULL;
}

int source_publish_ordered(source *s, uint64_t token, source_order order, uint32_t topic,
                           const char *key, const void *data, uint32_t len, uint32_t within_ms) {
    int result = -1;
    lock(s);
    if (s->up && s->messages_count < SOURCE_WAITING && s->results_count < SOURCE_WAITING) {
        source_message *m =
            &s->messages[(s->messages_first + s->messages_count) % SOURCE_WAITING];
        m->token = token;
        m->deadline_ms = source_clock_ms() + within_ms;
        m->topic = topic;
        m->chain = order.chain;
        m->first = order.first;
        m->len = len;
        m->data = copy_of(data, len);
        snprintf(m->key, sizeof(m->key), "%s", key);
        s->messages_count++;
        pthread_cond_signal(&s->work);
        result = 0;
    }
    unlock(s);
    return result;
}

int source_publish(source *s, uint64_t token, uint32_t topic, const char *key, const void *data,
                   uint32_t len, uint32_t within_ms) {
    const source_order none = {0, 0};
    return source_publish_ordered(s, token, none, topic, key, data, len, within_ms);
}

void source_probe(source *s, uint64_t token) {
    lock(s);
    s->probe = token;
    pthread_cond_signal(&s->work);
    unlock(s);
}

int source_joins(const source *s) {
    return join_of(s->kind) != NULL;
}

void source_join(source *s, char *text, const char *name, uint32_t ms) {
    lock(s);
    free(s->say); // of the last period, if the publisher is busy
    s->say = text;
    s->say_ms = ms;
    snprintf(s->said_by, sizeof(s->said_by), "%s", name);
    pthread_cond_signal(&s->work);
    unlock(s);
}

void source_get_counters(source *s, source_counters *out) {
    lock(s);
    *out = s->count;
    out->up = (uint32_t)s->up;
    out->queued = s->items_count;
    out->waiting = s->messages_count;
    unlock(s);
}

// -- start ----------------------------------------------------------------------------------------

static const source_kind *const kinds[] = {
#ifdef GATEWAY_WITH_redis
    &source_redis,
#endif
#ifdef GATEWAY_WITH_nats
    &source_nats,
#endif
#ifdef GATEWAY_WITH_rabbit
    &source_rabbit,
    &source_rabbits,
#endif
#ifdef GATEWAY_WITH_kafka
    &source_kafka,
#endif
#ifdef GATEWAY_WITH_http
    &source_http,
    &source_https,
#endif
#ifdef GATEWAY_WITH_mqtt
    &source_mqtt,
    &source_mqtts,
#endif
#ifdef GATEWAY_WITH_pubsub
    &source_pubsub,
#endif
#ifdef GATEWAY_WITH_core
    &source_core,
#endif
    &source_lines,
};

const source_kind *source_kind_of(const char *url) {
    const size_t len = strcmp(url, "-") == 0 ? 1u : strcspn(url, ":");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strlen(kinds[i]->scheme) == len && memcmp(kinds[i]->scheme, url, len) == 0) {
            return kinds[i];
        }
    }
    fprintf(stderr, "gateway: %.*s: no such source; this program was built with\n", (int)len,
            url); // its scheme alone: the rest may have a password
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fprintf(stderr, "    %s\n", kinds[i]->example);
    }
    return NULL;
}

static int start_threads(source *s) {
    if (pthread_create(&s->reader, NULL, read_forever, s) != 0) {
        return -1;
    }
    if (s->kind->publish != NULL || s->kind->probe != NULL) { // of "-" there is none
        return pthread_create(&s->publisher, NULL, publish_forever, s) == 0 ? 0 : -1;
    }
    return 0;
}

static int start_conditions(source *s) {
    pthread_condattr_t monotonic;
    const int ok = pthread_condattr_init(&monotonic) == 0 &&
                   pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
                   pthread_mutex_init(&s->mutex, NULL) == 0 &&
                   pthread_cond_init(&s->room, NULL) == 0 &&
                   pthread_cond_init(&s->work, NULL) == 0 &&
                   pthread_cond_init(&s->came, &monotonic) == 0;
    return ok ? 0 : -1;
}

int source_start(source *s, const char *url, const source_desc *desc) {
    memset(s, 0, sizeof(*s));
    s->desc = *desc;
    s->kind = source_kind_of(url);
    if (s->kind == NULL) {
        return -1;
    }
    s->own = s->kind->open(s, url);
    if (s->own == NULL) {
        return -1;
    }
    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->fd < 0 || start_conditions(s) < 0 || start_threads(s) < 0) {
        perror("gateway: source");
        return -1;
    }
    return 0;
}

// -- URLs -----------------------------------------------------------------------------------------

// Copies up to `end`, percent-decoded; 0 if it does not fit or an escape is broken.
static int copy_part(char *out, size_t cap, const char *at, const char *end) {
    size_t len = 0;
    while (at < end) {
        unsigned value = (uint8_t)*at++;
        if (value == '%') {
            char digits[3] = {0};
            char *stop = NULL;
            if (end - at < 2) {
                return 0;
            }
            memcpy(digits, at, 2);
            value = (unsigned)strtoul(digits, &stop, 16);
            if (stop != digits + 2 || value == 0) {
                return 0;
            }
            at += 2;
        }
        if (len + 1u >= cap) {
            return 0;
        }
        out[len++] = (char)value;
    }
    out[len] = '\0';
    return 1;
}

static const char *find_or(const char *at, const char *end, int c) {
    while (at < end && *at != c) {
        at++;
    }
    return at;
}

// host, host:port, [v6]:port
static int split_host(const char *at, const char *end, source_url *out) {
    const char *name_end;
    if (at < end && *at == '[') {
        at++;
        name_end = find_or(at, end, ']');
        if (name_end == end) {
            return 0;
        }
    } else {
        name_end = find_or(at, end, ':');
    }
    if (!copy_part(out->host, sizeof(out->host), at, name_end)) {
        return 0;
    }
    const char *colon = find_or(name_end, end, ':');
    if (colon < end) {
        char *stop = NULL;
        const unsigned long port = strtoul(colon + 1, &stop, 10);
        if (stop != end || port == 0 || port > 65535ul) {
            return 0;
        }
        out->port = (uint16_t)port;
    }
    return 1;
}

int source_url_split(const char *url, uint16_t port, source_url *out) {
    const char *at = strstr(url, "://");
    memset(out, 0, sizeof(*out));
    out->port = port;
    if (at == NULL) {
        return -1;
    }
    at += 3;
    const char *end = at + strlen(at);
    const char *query = find_or(at, end, '?');
    const char *path = find_or(at, query, '/');
    const char *host = find_or(at, path, '@');
    if (host < path) { // user:password@
        const char *colon = find_or(at, host, ':');
        if (!copy_part(out->user, sizeof(out->user), at, colon) ||
            (colon < host && !copy_part(out->password, sizeof(out->password), colon + 1, host))) {
            return -1;
        }
        at = host + 1;
    }
    if (!split_host(at, path, out) ||
        (path < query && !copy_part(out->path, sizeof(out->path), path + 1, query)) ||
        (query < end && (size_t)(end - query) > sizeof(out->query))) {
        return -1;
    }
    if (query < end) {
        memcpy(out->query, query + 1, (size_t)(end - query)); // with its NUL
    }
    if (out->host[0] == '\0') {
        memcpy(out->host, "127.0.0.1", 10);
    }
    return 0;
}

int64_t source_url_number(const source_url *url, const char *name, int64_t otherwise) {
    char text[24];
    char *end = NULL;
    const int len = rtpush_query(url->query, name, text, sizeof(text));
    if (len == RTPUSH_ERR_ARGUMENT) {
        return otherwise;
    }
    const unsigned long value = len > 0 ? strtoul(text, &end, 10) : 0;
    return len > 0 && *end == '\0' && text[0] != '-' && value <= 0xFFFFFFFFul ? (int64_t)value : -1;
}
