// nats+core://[USER:PASSWORD@]HOST[:4222]/SUBJECT?queue=GROUP&topic=NAME&tls=1: NATS without
// JetStream, by nats.c. It keeps no history, so this is a feed, or a source whose ids are this
// gateway's own.
//
// "ev.>" brings ev.kitchen.temp as the topic kitchen.temp. A header Nats-Msg-Id is the message id:
// then several gateways can have the same feed. So can they in a queue group, of which each message
// goes to one; the order of what went to two is then not kept.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "feed.h"
#include "nats_connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 500 };

typedef struct core {
    source_url url;
    char queue[64];
} core;

static const char *fail(feed *f, const char *what, natsConnection *nc, natsStatus status) {
    snprintf(f->why, sizeof(f->why), "%s: %s", what, nats_words(nc, status));
    return f->why;
}

static void take(feed *f, natsMsg *msg) {
    feed_message m;
    memset(&m, 0, sizeof(m));
    m.name = natsMsg_GetSubject(msg);
    m.name_len = strlen(m.name);
    m.data = natsMsg_GetData(msg) ? natsMsg_GetData(msg) : "";
    m.len = (size_t)natsMsg_GetDataLength(msg);
    if (natsMsgHeader_Get(msg, "Nats-Msg-Id", &m.key) == NATS_OK && m.key != NULL) {
        m.key_len = strlen(m.key);
    } else {
        m.key = NULL;
    }
    feed_deliver(f, &m);
}

// Messages until something fails. The library drops what it has no room for, and counts.
static natsStatus take_all(feed *f, natsSubscription *sub) {
    natsStatus status = NATS_OK;
    int64_t known = 0;
    while ((status == NATS_OK || status == NATS_TIMEOUT || status == NATS_SLOW_CONSUMER) &&
           !feed_ended(f)) {
        natsMsg *msg = NULL;
        int64_t dropped = 0;
        status = natsSubscription_NextMsg(&msg, sub, WAIT_MS);
        if (status == NATS_OK) {
            take(f, msg);
            natsMsg_Destroy(msg);
        }
        if (natsSubscription_GetDropped(sub, &dropped) == NATS_OK && dropped > known) {
            feed_dropped(f, (uint64_t)(dropped - known));
            known = dropped;
        }
    }
    return status;
}

static const char *read_core(feed *f) {
    const core *c = (const core *)f->own;
    natsConnection *nc = NULL;
    natsSubscription *sub = NULL;
    const char *what = "connect";
    const char *detail = NULL;
    natsStatus status = nats_connect(&c->url, f->s->desc.ca, &nc);
    if (status == NATS_OK) {
        what = "subscribe";
        status = c->queue[0] ? natsConnection_QueueSubscribeSync(&sub, nc, f->filter, c->queue)
                             : natsConnection_SubscribeSync(&sub, nc, f->filter);
    }
    if (status == NATS_OK) { // what the server says about the subscription comes before its PONG
        status = natsConnection_FlushTimeout(nc, SOURCE_DEAD_MS);
    }
    if (status == NATS_OK) {
        status = natsConnection_GetLastError(nc, &detail); // such as "Permissions Violation"
    }
    if (status == NATS_OK) {
        feed_up(f, 0);
        what = "read";
        status = take_all(f, sub);
    }
    fail(f, what, nc, status);
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    return f->why;
}

static void *open_core(feed *f, const char *url) {
    core *c = (core *)calloc(1, sizeof(*c));
    if (c == NULL) {
        feed_say(f, "not enough memory");
        return NULL;
    }
    const int bad = source_url_split(url, 4222, &c->url) < 0;
    const int queue = bad ? -1 : rtpush_query(c->url.query, "queue", c->queue, sizeof(c->queue));
    if (bad || (queue < 0 && queue != RTPUSH_ERR_ARGUMENT) || nats_tls(&c->url) < 0 ||
        strpbrk(c->url.path, " \t\r\n") != NULL ||
        feed_map(f, &c->url, c->url.path, "*>", ".") < 0) {
        feed_say(f, "expected %s", f->kind->example);
        return NULL;
    }
    c->queue[0] = queue < 0 ? '\0' : c->queue[0];
    return c;
}

#define EXAMPLE "nats+core://[USER:PASSWORD@]HOST[:4222]/SUBJECT?queue=GROUP&topic=NAME&tls=1"
const feed_kind feed_core = {"nats+core", EXAMPLE, 0, open_core, read_core};
const source_kind source_core = {"nats+core", EXAMPLE, feed_open_source, feed_read_source, NULL,
                                 NULL};
