// GET /metrics: the counters in the text format of Prometheus, version 0.0.4.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "feed.h"
#include "gateway.h"

#include <stddef.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 32768 };

typedef struct text {
    char *data;
    size_t len;
} text;

static void put(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(t->data + t->len, TEXT_SIZE - t->len, format, args);
    va_end(args);
    t->len += n > 0 && (size_t)n < TEXT_SIZE - t->len ? (size_t)n : 0; // else it is left out
}

static void put_one(text *t, const char *name, const char *type, const char *help,
                    unsigned long long value) {
    put(t, "# HELP rtpush_%s %s\n# TYPE rtpush_%s %s\nrtpush_%s %llu\n", name, help, name, type,
        name, value);
}

#define COUNT(field, type, help) \
    { #field, type, help, offsetof(rtpush_counters, field) }

static void put_server(text *t, const rtpush_counters *c) {
    static const struct {
        const char *name;
        const char *type;
        const char *help;
        size_t offset;
    } fields[] = {
        COUNT(accepted, "counter", "connections"),
        COUNT(requests, "counter", "request heads understood"),
        COUNT(messages_in, "counter", "WebSocket messages"),
        COUNT(bytes_in, "counter", "bytes received, modulo 2^32"),
        COUNT(bytes_out, "counter", "bytes sent, modulo 2^32"),
        COUNT(published, "counter", "events taken into the log"),
        COUNT(delivered, "counter", "events completed to readers"),
        COUNT(gaps, "counter", "times a reader was told of a gap"),
        COUNT(missed, "counter", "events in those gaps"),
        COUNT(log_used, "gauge", "bytes of the log in use"),
        COUNT(slots_used, "gauge", "connections now"),
        COUNT(streams, "gauge", "streams now"),
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        uint32_t value;
        memcpy(&value, (const uint8_t *)c + fields[i].offset, sizeof(value));
        put_one(t, fields[i].name, fields[i].type, fields[i].help, value);
    }
    put(t, "# HELP rtpush_ended refusals and ends of connections\n# TYPE rtpush_ended counter\n");
    for (int why = 0; why < RTPUSH_REASON_COUNT; why++) {
        if (c->reasons[why] > 0) {
            put(t, "rtpush_ended{reason=\"%s\"} %lu\n", rtpush_reason_text(why),
                (unsigned long)c->reasons[why]);
        }
    }
}

static const char *const bad_names[BAD_COUNT] = {"too_large", "not_utf8", "topic",
                                                 "form",      "id",       "duplicate"};

static void put_source(text *t, gateway *g) {
    static const char *const outcomes[4] = {"stored", "away", "refused", "unknown"};
    source_counters c;
    source_get_counters(&g->source, &c);
    put_one(t, "source_up", "gauge", "1: connected and verified", c.up);
    put_one(t, "source_ready", "gauge", "1: caught up", g->was_ready && g->late_since_ms == 0);
    put_one(t, "source_received", "counter", "positions read", c.received);
    put_one(t, "source_lost", "counter", "events that the source could not give", c.lost);
    put_one(t, "source_connects", "counter", "connections that were verified", c.connects);
    put_one(t, "source_failures", "counter", "connections that failed", c.failures);
    put_one(t, "source_queued", "gauge", "items that wait for the loop", c.queued);
    put_one(t, "publish_waiting", "gauge", "messages that wait for the source", c.waiting);
    put(t, "# HELP rtpush_source_bad events not passed on\n# TYPE rtpush_source_bad counter\n");
    for (int i = 0; i < BAD_COUNT; i++) {
        put(t, "rtpush_source_bad{why=\"%s\"} %llu\n", bad_names[i], (unsigned long long)c.bad[i]);
    }
    put(t, "# HELP rtpush_publish messages, by outcome\n# TYPE rtpush_publish counter\n");
    for (int i = 0; i < 4; i++) {
        put(t, "rtpush_publish{outcome=\"%s\"} %llu\n", outcomes[i],
            (unsigned long long)g->published[i]);
    }
}

static void put_feeds(text *t) {
    static const char *const names[] = {"received", "published", "dropped",  "refused",
                                        "retained", "connects",  "failures", "up", "queued"};
    enum { COUNTERS = 7, NAMES = 9 }; // the others are gauges
    feed_counters c;
    for (unsigned n = 0; n < NAMES && feeds_at(0) != NULL; n++) {
        put(t, "# HELP rtpush_feed_%s by number of the feed; 0: it is the source\n"
               "# TYPE rtpush_feed_%s %s\n", names[n], names[n],
            n < COUNTERS ? "counter" : "gauge");
        for (unsigned i = 0; feeds_at(i) != NULL; i++) {
            feed_get_counters(feeds_at(i), &c);
            const uint64_t values[NAMES] = {c.received, c.published, c.dropped,  c.refused,
                                            c.retained, c.connects,  c.failures, c.up, c.queued};
            put(t, "rtpush_feed_%s{feed=\"%u\"} %llu\n", names[n], feeds_at(i)->index,
                (unsigned long long)values[n]);
        }
    }
    for (int why = 0; why < BAD_COUNT && feeds_at(0) != NULL; why++) {
        put(t, "# HELP rtpush_feed_%s messages not passed on\n# TYPE rtpush_feed_%s counter\n",
            bad_names[why], bad_names[why]);
        for (unsigned i = 0; feeds_at(i) != NULL; i++) {
            feed_get_counters(feeds_at(i), &c);
            put(t, "rtpush_feed_%s{feed=\"%u\"} %llu\n", bad_names[why], feeds_at(i)->index,
                (unsigned long long)c.bad[why]);
        }
    }
}

void metrics_on_request(rtpush_server *srv, const rtpush_request *req) {
    gateway *g = (gateway *)req->route->user;
    text t = {(char *)malloc(TEXT_SIZE), 0};
    rtpush_response response;
    if (t.data == NULL) {
        rtpush_reply_text(srv, req->conn, 503, "not enough memory\n");
        return;
    }
    put_server(&t, rtpush_get_counters(srv));
    put_source(&t, g);
    put_feeds(&t);
    rtpush_set_user(srv, req->conn, t.data); // until on_close
    memset(&response, 0, sizeof(response));
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = t.data;
    response.len = (uint32_t)t.len;
    response.body_static = 1;
    rtpush_reply(srv, req->conn, &response);
}

void metrics_on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    (void)closed;
    free(rtpush_user(srv, conn));
}
