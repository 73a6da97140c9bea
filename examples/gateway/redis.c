// redis://[[USER]:PASSWORD@]HOST[:6379]/KEY?maxlen=100000&durable=1: a Redis stream (Redis 7).
//
// An event is an entry E-N with the fields t (topic), m (message id) and d (data). E is the epoch
// and N counts from 1: the id of rtpush, so every gateway has the same. Redis refuses an entry of a
// lower E. That keeps out a gateway that has not heard of a new epoch yet. E-0, with the field
// epoch, is the marker of a new one, in order for all who read.
//
// Who decides on an epoch: one script, which runs in Redis alone, so that all gateways get the same
// answer. It begins a new epoch if the stream is missing, if its end is before what a gateway has
// seen, or if Redis has restarted without an append-only file, since it may have lost what was
// acknowledged. KEY:rtpush keeps the run_id that the epoch belongs to.
//
// Nothing in hiredis notices a silent broker or connects again: all deadlines are here.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "source.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PAGE = 256,     // entries of one answer
    BLOCK_MS = 2000 // XREAD waits so long, then the stream is looked at
};
// From this number on a new epoch begins. It is in the script too. What other gateways publish
// until they have heard of it fits below 2^32.
#define LAST_SEQ 4294901760u

// KEYS: stream, KEY:rtpush. ARGV: epoch and number that were seen, durable. Returns epoch and
// number of the end, and the milliseconds for which nothing may be published yet: two epochs that
// begin in the same second would have the same number. Not more than a second, or a clock that was
// set back would keep all from publishing until it is there again.
static const char agree_script[] =
    "local seen_e, seen_n, durable = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1' "
    "local time = redis.call('TIME') "
    "local now = tonumber(time[1]) "
    "local function wait(e) "
    "  local ms = (e + 1 - now) * 1000 - math.floor(tonumber(time[2]) / 1000) "
    "  return math.max(0, math.min(1000, ms)) "
    "end "
    "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') "
    "if string.find(redis.call('INFO', 'persistence'), 'aof_enabled:1', 1, true) then "
    "  durable = true "
    "end "
    "local e, n = 0, 0 "
    "local there = redis.call('EXISTS', KEYS[1]) == 1 "
    "if there then "
    "  local info = redis.call('XINFO', 'STREAM', KEYS[1]) "
    "  for i = 1, #info, 2 do "
    "    if info[i] == 'last-generated-id' then "
    "      local a, b = string.match(info[i + 1], '(%d+)-(%d+)') "
    "      e, n = tonumber(a), tonumber(b) "
    "    end "
    "  end "
    "  if e > 4294967294 or n > 4294967295 then "
    "    return redis.error_reply('the stream has ids that no gateway wrote') "
    "  end "
    "end "
    "local kept = redis.call('HGET', KEYS[2], 'run') "
    "if there and kept and (durable or kept == run) and n < 4294901760 and "
    "   (e > seen_e or (e == seen_e and n >= seen_n)) then "
    "  if kept ~= run then redis.call('HSET', KEYS[2], 'run', run) end "
    "  return {e, n, wait(e)} "
    "end "
    "e = math.max(now, e + 1, seen_e + 1, "
    "             tonumber(redis.call('HGET', KEYS[2], 'epoch') or 0) + 1) "
    "redis.call('XADD', KEYS[1], string.format('%.0f-0', e), 'epoch', string.format('%.0f', e)) "
    "redis.call('HSET', KEYS[2], 'run', run, 'epoch', string.format('%.0f', e)) "
    "return {e, 0, wait(e)} ";

// KEYS: KEY:values. ARGV: topic, epoch and number, data. Keeps a value, "E-N DATA", if none is kept
// that is newer. Returns that one, or nothing.
static const char keep_script[] =
    "local kept = redis.call('HGET', KEYS[1], ARGV[1]) "
    "local e, n = string.match(kept or '', '^(%d+)-(%d+) ') "
    "e, n = tonumber(e or 0), tonumber(n or 0) "
    "if e > tonumber(ARGV[2]) or (e == tonumber(ARGV[2]) and n >= tonumber(ARGV[3])) then "
    "  return kept "
    "end "
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '-' .. ARGV[3] .. ' ' .. ARGV[4]) "
    "return nil ";

// KEYS: KEY:here, the names of gateways. ARGV: name, text, ms. Says the text for ms in a key of its
// own, and returns those of all. A name whose key is gone is removed.
static const char join_script[] =
    "redis.call('SET', KEYS[1] .. ':' .. ARGV[1], ARGV[2], 'PX', ARGV[3]) "
    "redis.call('SADD', KEYS[1], ARGV[1]) "
    "local all = {} "
    "for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do "
    "  local text = redis.call('GET', KEYS[1] .. ':' .. name) "
    "  if text then table.insert(all, text) else redis.call('SREM', KEYS[1], name) end "
    "end "
    "return all ";

typedef struct link { // one connection, of one thread
    redisContext *ctx;
    char why[200]; // that it failed
} link;

typedef struct redis {
    source_url url;
    char meta[160];
    char here[160];   // what gateways say of their readers
    char values[160]; // hash of the newest of each STATE topic
    uint32_t maxlen;
    uint32_t durable;

    link reader;
    rtpush_id at;         // newest position looked at
    rtpush_id keep_after; // what stands before or at it is remembered, not delivered
    uint32_t began;

    link publisher;
    uint32_t epoch;    // agreed; 0: not yet
    rtpush_id known;   // no message under way was stored at or before it
    int64_t ready_ms;  // nothing is published before
} redis;

// -- connections ----------------------------------------------------------------------------------

static const char *fail(link *l, const char *what, const char *detail) {
    snprintf(l->why, sizeof(l->why), "%s%s%s", what, detail[0] ? ": " : "", detail);
    if (l->ctx != NULL) {
        redisFree(l->ctx);
        l->ctx = NULL;
    }
    return l->why;
}

// What a command gave, or NULL: the connection has failed, or Redis said an error, and l->why says
// which. The connection is closed in both cases.
static redisReply *checked(link *l, void *given, const char *what) {
    redisReply *reply = (redisReply *)given;
    if (reply == NULL) {
        fail(l, what, l->ctx->err ? l->ctx->errstr : "no answer");
        return NULL;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        fail(l, what, reply->str);
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

static int link_open(const redis *r, link *l) {
    const struct timeval dead = {SOURCE_DEAD_MS / 1000, 0};
    redisReply *reply = NULL;
    l->ctx = redisConnectWithTimeout(r->url.host, r->url.port, dead);
    if (l->ctx == NULL || l->ctx->err) {
        fail(l, "connect", l->ctx ? l->ctx->errstr : "not enough memory");
        return -1;
    }
    redisSetTimeout(l->ctx, dead);
    if (r->url.password[0] == '\0') {
        return 0;
    }
    if (r->url.user[0] != '\0') {
        reply = checked(l, redisCommand(l->ctx, "AUTH %s %s", r->url.user, r->url.password),
                        "AUTH");
    } else {
        reply = checked(l, redisCommand(l->ctx, "AUTH %s", r->url.password), "AUTH");
    }
    if (reply == NULL) {
        return -1;
    }
    freeReplyObject(reply);
    return 0;
}

// "epoch-number" in decimal. 0: it is none that a gateway wrote.
static int id_parse(const redisReply *reply, rtpush_id *out) {
    char *end = NULL;
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS) {
        return 0;
    }
    const unsigned long long epoch = strtoull(reply->str, &end, 10);
    if (*end != '-') {
        return 0;
    }
    const unsigned long long seq = strtoull(end + 1, &end, 10);
    out->epoch = (uint32_t)epoch;
    out->seq = (uint32_t)seq;
    return *end == '\0' && epoch > 0 && epoch <= 0xFFFFFFFFu && seq <= 0xFFFFFFFFu;
}

// Runs the script: *end is where the stream ends. wait_ms: until one may publish, or NULL.
static int agree(source *s, link *l, rtpush_id *end, int64_t *wait_ms) {
    const redis *r = (const redis *)s->own;
    const rtpush_id seen = source_last(s);
    redisReply *reply = checked(
        l,
        redisCommand(l->ctx, "EVAL %s 2 %s %s %u %u %u", agree_script, r->url.path, r->meta,
                     (unsigned)seen.epoch, (unsigned)seen.seq, (unsigned)r->durable),
        "agreement on the epoch");
    if (reply == NULL) {
        return -1;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER ||
        reply->element[2]->type != REDIS_REPLY_INTEGER) {
        freeReplyObject(reply);
        fail(l, "agreement on the epoch", "an answer of another form");
        return -1;
    }
    end->epoch = (uint32_t)reply->element[0]->integer;
    end->seq = (uint32_t)reply->element[1]->integer;
    if (wait_ms != NULL) {
        *wait_ms = reply->element[2]->integer;
    }
    freeReplyObject(reply);
    return 0;
}

// -- entries --------------------------------------------------------------------------------------

// An entry is [id, [field, value, ...]]. 0: it has another form.
static int entry_parse(const redisReply *entry, source_event *out) {
    memset(out, 0, sizeof(*out));
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        !id_parse(entry->element[0], &out->id)) {
        return 0;
    }
    const redisReply *fields = entry->element[1];
    if (fields->type != REDIS_REPLY_ARRAY) { // deleted while it was read
        return 1;
    }
    const char *topic = NULL;
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *name = fields->element[i];
        const redisReply *value = fields->element[i + 1];
        if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING ||
            name->len != 1) {
            continue;
        }
        if (name->str[0] == 't') {
            topic = value->str;
            out->topic_len = (size_t)value->len;
        } else if (name->str[0] == 'm') {
            out->key = value->str;
            out->key_len = (size_t)value->len;
        } else if (name->str[0] == 'd') {
            out->data = value->str;
            out->len = (size_t)value->len;
        }
    }
    out->topic = out->data ? topic : NULL;
    return 1;
}

// Entries from one id on, or backwards. NULL: l->why.
static redisReply *range(const redis *r, link *l, const char *command, const char *from,
                         const char *to, unsigned count) {
    redisReply *reply = checked(l, redisCommand(l->ctx, "%s %s %s %s COUNT %u", command,
                                                r->url.path, from, to, count), command);
    if (reply != NULL && reply->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(reply);
        fail(l, command, "an answer of another form");
        return NULL;
    }
    return reply;
}

static void id_print(rtpush_id id, int exclusive, char out[32]) {
    snprintf(out, 32, "%s%lu-%lu", exclusive ? "(" : "", (unsigned long)id.epoch,
             (unsigned long)id.seq);
}

// -- values of STATE topics -----------------------------------------------------------------------

// Takes "E-N DATA" if it is from before an id, where events do not bring it.
static void take_value(source *s, uint32_t topic, const redisReply *kept, rtpush_id before) {
    source_event event;
    unsigned long epoch = 0;
    unsigned long seq = 0;
    int at = 0;
    if (kept->type != REDIS_REPLY_STRING) {
        return;
    }
    memset(&event, 0, sizeof(event));
    if (sscanf(kept->str, "%lu-%lu%n", &epoch, &seq, &at) == 2 && at < (int)kept->len &&
        kept->str[at] == ' ' && epoch <= 0xFFFFFFFFu && seq <= 0xFFFFFFFFu) {
        event.topic = s->desc.topics[topic].name;
        event.topic_len = strlen(event.topic);
        event.data = kept->str + at + 1;
        event.len = (size_t)kept->len - (size_t)at - 1u;
    }
    event.id.epoch = (uint32_t)epoch;
    event.id.seq = (uint32_t)seq;
    if (event.topic == NULL || source_before(event.id, before)) {
        source_take_value(s, &event, 1);
    }
}

// What is kept of all topics: an array, to be freed. NULL: l->why.
static redisReply *get_values(const source *s, const redis *r, link *l) {
    const char *args[2 + SOURCE_TOPICS] = {"HMGET", r->values};
    for (uint32_t i = 0; i < s->desc.topic_count; i++) {
        args[2 + i] = s->desc.topics[i].name;
    }
    redisReply *reply = checked(
        l, redisCommandArgv(l->ctx, 2 + (int)s->desc.topic_count, args, NULL), "HMGET");
    if (reply != NULL &&
        (reply->type != REDIS_REPLY_ARRAY || reply->elements != s->desc.topic_count)) {
        freeReplyObject(reply);
        fail(l, "HMGET", "an answer of another form");
        return NULL;
    }
    return reply;
}

static void take_values(source *s, const redisReply *values, rtpush_id before) {
    for (uint32_t topic = 0; topic < s->desc.topic_count; topic++) {
        if (source_is_state(s, topic)) {
            take_value(s, topic, values->element[topic], before);
        }
    }
}

// Keeps what is new. A newer one that another gateway has kept is taken where no event will bring
// it. -1: l->why.
static int keep_values(source *s, redis *r) {
    link *l = &r->reader;
    for (int topic = source_unkept(s, 0); topic >= 0; topic = source_unkept(s, topic + 1)) {
        source_value *v = &s->values[topic];
        rtpush_id behind = source_last(s);
        redisReply *reply = checked(
            l,
            redisCommand(l->ctx, "EVAL %s 1 %s %s %u %u %b", keep_script, r->values,
                         s->desc.topics[topic].name, (unsigned)v->id.epoch, (unsigned)v->id.seq,
                         v->data, (size_t)v->len),
            "to keep a value");
        if (reply == NULL) {
            return -1;
        }
        v->kept = 1;
        behind.seq++;
        take_value(s, (uint32_t)topic, reply, behind);
        freeReplyObject(reply);
    }
    return 0;
}

// -- reader ---------------------------------------------------------------------------------------

// One page backwards from `at`, which becomes its oldest id. Ends early where `bytes` would pass
// `limit`; returns the entries it counted, -1: l->why. A full page was counted whole.
static int page_back(const redis *r, link *l, rtpush_id *at, int first, size_t *bytes,
                     size_t limit) {
    char from[32];
    id_print(*at, !first, from);
    redisReply *reply = range(r, l, "XREVRANGE", from, "-", PAGE);
    if (reply == NULL) {
        return -1;
    }
    int count = 0;
    for (size_t i = 0; i < reply->elements; i++) {
        source_event event;
        if (!entry_parse(reply->element[i], &event)) {
            freeReplyObject(reply);
            fail(l, "XREVRANGE", "an entry of another form");
            return -1;
        }
        if (*bytes + event.len + 20u > limit) {
            break;
        }
        *bytes += event.len + 20u; // a record of the log
        *at = event.id;
        count++;
    }
    freeReplyObject(reply);
    return count;
}

// The first time: goes back from the end until three quarters of the log would be full, and then by
// as many positions as message ids are kept for.
static int find_begin(source *s, redis *r, rtpush_id end) {
    link *l = &r->reader;
    size_t bytes = 0;
    rtpush_id at = end;
    int count;
    int first = 1;
    do {
        count = page_back(r, l, &at, first, &bytes, s->desc.log_size / 4u * 3u);
        first = 0;
    } while (count == PAGE);
    if (count < 0) {
        return -1;
    }
    r->keep_after = at;
    if (bytes > 0 && at.seq > 0) {
        r->keep_after.seq--; // at itself is delivered
    }
    for (unsigned pages = 0; pages < SOURCE_WINDOW / PAGE; pages++) {
        bytes = 0;
        count = page_back(r, l, &at, 0, &bytes, (size_t)-1);
        if (count < 0) {
            return -1;
        }
        if (count < PAGE) {
            break;
        }
    }
    r->at = at;
    if (r->at.seq > 0) {
        r->at.seq--;
    }
    source_begin(s, r->keep_after);
    r->began = 1;
    return 0;
}

// Of the events before this one that are lost, values may be kept.
static int take_loss(source *s, redis *r, source_event *event) {
    rtpush_id before = event->id;
    redisReply *values = get_values(s, r, &r->reader);
    if (values == NULL) {
        return -1;
    }
    before.seq--;
    source_advance(s, before, event->lost);
    event->lost = 0;
    take_values(s, values, event->id);
    freeReplyObject(values);
    return 0;
}

static int take_entry(source *s, redis *r, const redisReply *entry, int behind) {
    source_event event;
    if (!entry_parse(entry, &event)) {
        fail(&r->reader, "XREAD", "an entry of another form");
        return -1;
    }
    if (event.id.epoch == r->keep_after.epoch ? event.id.seq <= r->keep_after.seq
                                               : event.id.epoch < r->keep_after.epoch) {
        source_remember(s, event.id, event.key, event.key_len);
        if (event.topic != NULL) {
            source_take_value(s, &event, 0);
        }
    } else if (event.id.seq == 0) { // the marker of a new epoch
        source_advance(s, event.id, 0);
    } else {
        const rtpush_id last = source_last(s);
        event.behind = (uint8_t)behind;
        event.lost = event.id.epoch == last.epoch && event.id.seq > last.seq
                         ? event.id.seq - last.seq - 1u : 0u;
        if (event.lost > 0 && source_has_state(s) && take_loss(s, r, &event) < 0) {
            return -1;
        }
        source_deliver(s, &event);
    }
    if (source_before(r->at, event.id)) {
        r->at = event.id;
    }
    return 0;
}

// [[key, [entry, ...]]]. Returns the entries, -1: l->why.
static int take_page(source *s, redis *r, const redisReply *reply) {
    if (reply->type == REDIS_REPLY_NIL) {
        return 0;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
        reply->element[0]->type != REDIS_REPLY_ARRAY || reply->element[0]->elements != 2 ||
        reply->element[0]->element[1]->type != REDIS_REPLY_ARRAY) {
        fail(&r->reader, "XREAD", "an answer of another form");
        return -1;
    }
    const redisReply *entries = reply->element[0]->element[1];
    for (size_t i = 0; i < entries->elements; i++) {
        if (take_entry(s, r, entries->element[i], entries->elements == PAGE) < 0) {
            return -1;
        }
    }
    return (int)entries->elements;
}

static int read_page(source *s, redis *r, int block) {
    link *l = &r->reader;
    char from[32];
    id_print(r->at, 0, from);
    redisReply *reply = checked(
        l, block ? redisCommand(l->ctx, "XREAD BLOCK %d COUNT %d STREAMS %s %s", BLOCK_MS, PAGE,
                                r->url.path, from)
                 : redisCommand(l->ctx, "XREAD COUNT %d STREAMS %s %s", PAGE, r->url.path, from),
        "XREAD");
    if (reply == NULL) {
        return -1;
    }
    const rtpush_id before = r->at;
    const int count = take_page(s, r, reply);
    freeReplyObject(reply);
    if (count > 0 && !source_before(before, r->at)) { // no Redis: it would come again at once
        fail(l, "XREAD", "ids that go back");
        return -1;
    }
    return count;
}

// Agrees on the epoch and, the first time, finds where to begin. The values are asked for before
// the end: none is from behind it, and nobody is let in before that is reached.
static int begin(source *s, redis *r, rtpush_id *end) {
    link *l = &r->reader;
    redisReply *values = NULL;
    if (!r->began && source_has_state(s)) {
        values = get_values(s, r, l);
        if (values == NULL) {
            return -1;
        }
    }
    int result = agree(s, l, end, NULL);
    if (result == 0 && !r->began) {
        result = find_begin(s, r, *end);
    }
    if (result == 0 && values != NULL) {
        rtpush_id behind = *end;
        behind.seq++;
        take_values(s, values, behind);
    }
    if (values != NULL) {
        freeReplyObject(values);
    }
    return result;
}

static const char *read_redis(source *s) {
    redis *r = (redis *)s->own;
    link *l = &r->reader;
    rtpush_id end;
    int count;
    if (link_open(r, l) < 0 || begin(s, r, &end) < 0) {
        return l->why;
    }
    source_up(s);
    do {
        count = read_page(s, r, 0);
    } while (count > 0);
    if (count == 0) {
        source_ready(s);
    }
    while (count >= 0) {
        count = keep_values(s, r) < 0 ? -1 : read_page(s, r, 1);
        // Nothing came: the stream may have been deleted and begun again with lower ids, for which
        // XREAD does not wake.
        if (count == 0 && agree(s, l, &end, NULL) < 0) {
            count = -1;
        }
    }
    return l->why;
}

// -- publisher ------------------------------------------------------------------------------------

static int publisher_open(source *s, redis *r) {
    link *l = &r->publisher;
    rtpush_id end;
    int64_t wait_ms = 0;
    if ((l->ctx == NULL && link_open(r, l) < 0) || agree(s, l, &end, &wait_ms) < 0) {
        return -1;
    }
    r->epoch = end.epoch;
    r->ready_ms = source_clock_ms() + wait_ms;
    return 0;
}

// After an answer that did not come: is the message in the stream? 1, 0, or -1: not known.
static int look_for(const source *s, redis *r, const source_message *m, rtpush_id *id) {
    link *l = &r->publisher;
    rtpush_id at = r->known;
    const size_t key_len = strlen(m->key);
    (void)s;
    for (;;) {
        char from[32];
        id_print(at, 1, from);
        redisReply *reply = range(r, l, "XRANGE", from, "+", PAGE);
        if (reply == NULL) {
            return -1;
        }
        for (size_t i = 0; i < reply->elements; i++) {
            source_event event;
            if (entry_parse(reply->element[i], &event)) {
                at = event.id;
                if (event.key_len == key_len && key_len > 0 &&
                    memcmp(event.key, m->key, key_len) == 0) {
                    *id = event.id;
                    freeReplyObject(reply);
                    return 1;
                }
            }
        }
        const int more = reply->elements == PAGE;
        freeReplyObject(reply);
        if (!more) {
            return 0;
        }
    }
}

static int add(const source *s, redis *r, const source_message *m, rtpush_id *id,
               const char **why) {
    link *l = &r->publisher;
    int outcome = OUTCOME_REFUSED;
    redisReply *reply = (redisReply *)redisCommand(
        l->ctx, "XADD %s NOMKSTREAM MAXLEN ~ %u %u-* t %s m %s d %b", r->url.path,
        (unsigned)r->maxlen, (unsigned)r->epoch, s->desc.topics[m->topic].name, m->key, m->data,
        (size_t)m->len);
    if (reply == NULL) {
        *why = fail(l, "XADD", l->ctx->errstr);
        return OUTCOME_UNKNOWN;
    }
    if (reply->type == REDIS_REPLY_NIL) { // the stream was deleted
        outcome = OUTCOME_AGAIN;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        snprintf(l->why, sizeof(l->why), "%s", reply->str);
        *why = l->why;
        outcome = strstr(reply->str, "equal or smaller") ? OUTCOME_AGAIN : OUTCOME_REFUSED;
    } else if (id_parse(reply, id)) {
        outcome = OUTCOME_STORED;
        r->known = *id;
        r->epoch = id->seq < LAST_SEQ ? r->epoch : 0u;
    }
    freeReplyObject(reply);
    return outcome;
}

static int publish_redis(source *s, const source_message *m, int sent, rtpush_id *id,
                         const char **why) {
    redis *r = (redis *)s->own;
    if (!sent) {
        r->known = source_before(r->known, source_last(s)) ? source_last(s) : r->known;
    }
    if (r->publisher.ctx == NULL || r->epoch == 0) {
        r->epoch = 0;
        if (publisher_open(s, r) < 0) {
            *why = r->publisher.why;
            return OUTCOME_AWAY;
        }
    }
    if (source_clock_ms() < r->ready_ms) {
        return OUTCOME_AGAIN;
    }
    const int found = sent ? look_for(s, r, m, id) : 0;
    if (found != 0) {
        return found > 0 ? OUTCOME_STORED : OUTCOME_AGAIN;
    }
    const int outcome = add(s, r, m, id, why);
    if (outcome == OUTCOME_AGAIN || outcome == OUTCOME_UNKNOWN) {
        r->epoch = 0; // agreed anew first
    }
    return outcome;
}

static int probe_redis(source *s, rtpush_id *end) {
    redis *r = (redis *)s->own;
    link *l = &r->publisher;
    if (l->ctx == NULL && link_open(r, l) < 0) {
        return -1;
    }
    return agree(s, l, end, NULL);
}

int redis_join(source *s, const char *text, const char *name, uint32_t ms, source_joined *all) {
    redis *r = (redis *)s->own;
    link *l = &r->publisher;
    if (l->ctx == NULL && link_open(r, l) < 0) {
        return -1;
    }
    redisReply *reply = checked(l, redisCommand(l->ctx, "EVAL %s 1 %s %s %s %u", join_script,
                                                r->here, name, text, (unsigned)ms), "presence");
    if (reply == NULL) {
        return -1;
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_STRING) {
            source_joined_add(all, reply->element[i]->str, (size_t)reply->element[i]->len);
        }
    }
    freeReplyObject(reply);
    return 0;
}

// -- options --------------------------------------------------------------------------------------

static void *open_redis(source *s, const char *url) {
    static redis own;
    const int bad = source_url_split(url, 6379, &own.url) < 0;
    const int64_t maxlen = bad ? -1 : source_url_number(&own.url, "maxlen", 100000);
    const int64_t durable = bad ? -1 : source_url_number(&own.url, "durable", 0);
    if (maxlen < SOURCE_WINDOW || durable < 0 || durable > 1) {
        source_say(s, "expected %s, maxlen at least %d", source_redis.example, SOURCE_WINDOW);
        return NULL;
    }
    if (own.url.path[0] == '\0') {
        memcpy(own.url.path, "events", 7);
    }
    snprintf(own.here, sizeof(own.here), "%s:here", own.url.path);
    snprintf(own.values, sizeof(own.values), "%s:values", own.url.path);
    snprintf(own.meta, sizeof(own.meta), "%s:rtpush", own.url.path);
    own.maxlen = (uint32_t)maxlen;
    own.durable = (uint32_t)durable;
    return &own;
}

const source_kind source_redis = {
    "redis", "redis://[[USER]:PASSWORD@]HOST[:6379]/KEY?maxlen=100000&durable=0",
    open_redis, read_redis, publish_redis, probe_redis};
