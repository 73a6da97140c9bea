// redis+pubsub://[[USER]:PASSWORD@]HOST[:6379]/PATTERN?topic=NAME: Redis Pub/Sub, by hiredis. It
// keeps no history and gives its messages no id, so this is a feed, or a source whose ids are this
// gateway's own. Give it to one gateway: of several each would publish every message.
//
// PATTERN is one of PSUBSCRIBE, "ev:*". ev:kitchen:temp becomes the topic kitchen.temp.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "feed.h"

#include <hiredis/hiredis.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PING_MS = 2000 };

typedef struct pubsub {
    source_url url;
    redisContext *ctx;
    int subscribed;
    int64_t heard_ms;
    int64_t asked_ms;
} pubsub;

static const char *fail(feed *f, const char *what, const char *detail) {
    snprintf(f->why, sizeof(f->why), "%s: %s", what, detail);
    return f->why;
}

static int is_text(const redisReply *reply, const char *text) {
    return (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
           (text == NULL || strcmp(reply->str, text) == 0);
}

// ["pmessage", pattern, channel, data], ["psubscribe", pattern, 1] or ["pong", ""]. 0: f->why.
static int take(feed *f, pubsub *p, const redisReply *reply) {
    feed_message m;
    if (reply->type == REDIS_REPLY_ERROR) {
        fail(f, p->subscribed ? "Redis" : "PSUBSCRIBE", reply->str);
        return 0;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
        !is_text(reply->element[0], NULL)) {
        fail(f, "Redis", "an answer of another form");
        return 0;
    }
    if (is_text(reply->element[0], "psubscribe")) {
        p->subscribed = 1;
        feed_up(f, 0);
    } else if (is_text(reply->element[0], "pmessage") && reply->elements == 4 &&
               is_text(reply->element[2], NULL) && is_text(reply->element[3], NULL)) {
        memset(&m, 0, sizeof(m));
        m.name = reply->element[2]->str;
        m.name_len = (size_t)reply->element[2]->len;
        m.data = reply->element[3]->str;
        m.len = (size_t)reply->element[3]->len;
        feed_deliver(f, &m);
    }
    return 1;
}

// All answers that are there. 0: f->why.
static int take_all(feed *f, pubsub *p) {
    int result = 1;
    while (result) {
        void *reply = NULL;
        if (redisGetReplyFromReader(p->ctx, &reply) != REDIS_OK) {
            fail(f, "Redis", p->ctx->errstr);
            return 0;
        }
        if (reply == NULL) {
            break;
        }
        result = take(f, p, (const redisReply *)reply);
        freeReplyObject(reply);
    }
    return result;
}

// What was appended. 0: f->why.
static int send_all(feed *f, pubsub *p) {
    int done = 0;
    while (!done) {
        if (redisBufferWrite(p->ctx, &done) != REDIS_OK) {
            fail(f, "Redis", p->ctx->errstr);
            return 0;
        }
    }
    return 1;
}

// Waits for a while. Nothing in hiredis notices a silent server: it is asked. 0: f->why.
static int wait_more(feed *f, pubsub *p) {
    struct pollfd fd = {p->ctx->fd, POLLIN, 0};
    const int ready = poll(&fd, 1, 500);
    const int64_t now_ms = source_clock_ms();
    if (ready > 0) {
        p->heard_ms = now_ms;
        if (redisBufferRead(p->ctx) != REDIS_OK) {
            fail(f, "Redis", p->ctx->errstr);
            return 0;
        }
        return 1;
    }
    if (now_ms - p->heard_ms > SOURCE_DEAD_MS) {
        fail(f, "Redis", "silent");
        return 0;
    }
    if (now_ms - p->heard_ms > PING_MS && now_ms - p->asked_ms > PING_MS) {
        p->asked_ms = now_ms;
        redisAppendCommand(p->ctx, "PING");
        return send_all(f, p);
    }
    return 1;
}

static int connect_to(feed *f, pubsub *p) {
    const struct timeval dead = {SOURCE_DEAD_MS / 1000, 0};
    redisReply *reply = NULL;
    p->ctx = redisConnectWithTimeout(p->url.host, p->url.port, dead);
    if (p->ctx == NULL || p->ctx->err) {
        fail(f, "connect", p->ctx ? p->ctx->errstr : "not enough memory");
        return 0;
    }
    redisSetTimeout(p->ctx, dead);
    if (p->url.password[0] != '\0') {
        reply = (redisReply *)(p->url.user[0] ? redisCommand(p->ctx, "AUTH %s %s", p->url.user,
                                                             p->url.password)
                                              : redisCommand(p->ctx, "AUTH %s", p->url.password));
        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            fail(f, "AUTH", reply ? reply->str : p->ctx->errstr);
            freeReplyObject(reply);
            return 0;
        }
        freeReplyObject(reply);
    }
    p->heard_ms = source_clock_ms();
    redisAppendCommand(p->ctx, "PSUBSCRIBE %s", p->url.path);
    return send_all(f, p);
}

static const char *read_pubsub(feed *f) {
    pubsub *p = (pubsub *)f->own;
    p->subscribed = 0;
    int going = connect_to(f, p);
    while (going && !feed_ended(f)) {
        going = take_all(f, p) && wait_more(f, p);
    }
    if (p->ctx != NULL) {
        redisFree(p->ctx);
        p->ctx = NULL;
    }
    return f->why;
}

static void *open_pubsub(feed *f, const char *url) {
    pubsub *p = (pubsub *)calloc(1, sizeof(*p));
    if (p == NULL) {
        feed_say(f, "not enough memory");
        return NULL;
    }
    if (source_url_split(url, 6379, &p->url) < 0 ||
        feed_map(f, &p->url, p->url.path, "*?[\\", ":/.") < 0) {
        feed_say(f, "expected %s", f->kind->example);
        return NULL;
    }
    return p;
}

#define EXAMPLE "redis+pubsub://[[USER]:PASSWORD@]HOST[:6379]/PATTERN?topic=NAME"
const feed_kind feed_pubsub = {"redis+pubsub", EXAMPLE, 0, open_pubsub, read_pubsub};
const source_kind source_pubsub = {"redis+pubsub", EXAMPLE, feed_open_source, feed_read_source,
                                   NULL, NULL};
