// A gateway: readers over WebSocket, Server-Sent Events and polling on one side, a broker's stream
// on the other. Any number of gateways on one stream give the same ids, so a reader that loses one
// goes on at another.
//
// Build:  make gateway                        (sh tests/install.sh gateway: what it needs)
// Type:   redis-server --port 6380 &
//         build/gateway --topics news,chat redis://127.0.0.1:6380/events &
//         build/gateway --topics news,chat --port 8082 redis://127.0.0.1:6380/events &
//         curl -N 'http://127.0.0.1:8081/events?topics=news'
//         and in another terminal
//         curl -d 'it works' http://127.0.0.1:8082/publish/news
// See:    the event of the second gateway at the first one. README.md has the rest.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: sockets, epoll
#endif

#define RTPUSH_GATEWAY // ids come from outside
#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "../../ports/rtpush_posix.h"
#define RTPUSH_ACCESS_IMPLEMENTATION
#include "../../ports/rtpush_access.h"

#include "feed.h"
#include "gateway.h"
#include "presence.h"
#include "trust.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

enum {
    TOPICS_MAX = 32,
    CLAIM_SIZE = TOPICS_MAX * 33, // all names in a claim of a token, of 32 bytes each
    NAME_SIZE = 256,      // of the sub of a token
    KEY_MAX = 64,         // bytes of an Idempotency-Key
    HEAD_SIZE = 2048,     // rx bytes for the request head beside the message: a token fits
    REPLY_SIZE = 768,     // tx bytes, at least: any answer, to an Origin of the longest host name
    VALUE_OVERHEAD = 84,  // ... beside a value: id, topic, field names
    TURN_ITEMS = 512,     // items of one turn of the loop, then the readers
    SLICE_MS = 20,        // streams are ended at most so often: all are looked through each time
    GATHER_STREAMS = 5000, // so many wait 1 ms for what follows an event
    PROBE_MS = 100,       // the source is asked for its end at most so often
    STOP_MS = 5000,       // what is still open then is closed
    STATUS_MS = 2000,     // away for less is not told
    STATUS_SIZE = 64      // bytes of the value of --status
};

static gateway g;
static rtpush_posix port; // global for the signal handler
static rtpush_topic topics[TOPICS_MAX];
static const char *origins[TOPICS_MAX + 1];
static uint8_t jwt_key[257]; // one more than it may have
static volatile sig_atomic_t asked_to_end; // how often

// -- access ---------------------------------------------------------------------------------------

// The topics of a claim, "a,b" or "*", as bits.
static uint32_t topics_of(rtpush_server *srv, char *names) {
    uint32_t bits = 0;
    if (strcmp(names, "*") == 0) {
        return 0xFFFFFFFFu;
    }
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        const int topic = rtpush_topic_index(srv, name);
        bits |= topic < 0 ? 0u : 1u << topic;
    }
    return bits;
}

// Verifies the token of a request: what it may read and publish. RTPUSH_OK or an error.
// name: its sub (RFC 7519 4.1.2), asked for with --presence alone.
static int check_token(rtpush_server *srv, const rtpush_request *req, uint32_t *may_read,
                       uint32_t *may_publish, uint32_t *left_s, char name[NAME_SIZE]) {
    char query[HEAD_SIZE];
    char read[CLAIM_SIZE] = "";
    char publish[CLAIM_SIZE] = "";
    rtpush_claim claims[3] = {{.name = "topics", .text = read, .text_size = sizeof(read)},
                              {.name = "publish", .text = publish, .text_size = sizeof(publish)},
                              {.name = "sub", .text = name, .text_size = NAME_SIZE}};
    rtpush_jwt jwt = {.key = {jwt_key, g.jwt_key_len},
                      .now_s = (uint32_t)time(NULL),
                      .leeway_s = 5,
                      .claim_count = g.opt.presence_s > 0 ? 3 : 2,
                      .aud = g.opt.jwt_aud[0] ? g.opt.jwt_aud : NULL,
                      .claims = claims};
    // A browser sends no header with an EventSource or a WebSocket: there it is ?token=.
    const char *token = rtpush_bearer(req->authorization);
    if (token == NULL && rtpush_query(req->query, "token", query, sizeof(query)) > 0) {
        token = query;
    }
    const int result = rtpush_jwt_verify(&jwt, token);
    if (result == RTPUSH_OK) {
        *may_read = topics_of(srv, read);
        *may_publish = topics_of(srv, publish);
        *left_s = jwt.left_s;
    }
    return result;
}

// The rtpush_user of a WebSocket: its topic to publish to, or NOTHING.
enum { NOTHING = TOPICS_MAX };
typedef struct client {
    int topic;
    int raw; // without rtpush.1: gaps are reported by on_gap alone
} client;
static client clients[2][TOPICS_MAX + 1]; // all possible values: [0] rtpush.1, [1] raw

// Counts a request that came through a proxy for the client that this names. 0, or the status that
// refuses it. A proxy's connection may bring requests of many clients.
static int take_client(rtpush_server *srv, const rtpush_request *req) {
    char proxy[RTPUSH_POSIX_ADDRESS_SIZE];
    if (g.opt.trust[0] == '\0' || rtpush_posix_address(&port, proxy) == NULL || !trust_is(proxy)) {
        return 0;
    }
    const char *value = req->headers[req->route->kind == &rtpush_upload]; // behind its own
    const uint32_t peer = value ? trust_client(value, g.forwarded) : 0;
    return rtpush_set_peer(srv, req->conn, peer ? peer : rtpush_posix_peer(proxy),
                           peer ? g.opt.per_peer : 0) == RTPUSH_ERR_FULL ? 429 : 0;
}

static uint32_t *readable; // by slot: the topics that a GET /presence may see

static int is_stream(const rtpush_request *req) {
    const rtpush_kind *kind = req->route->kind;
    return kind == &rtpush_websocket || kind == &rtpush_events || kind == &rtpush_poll;
}

static void on_presence(rtpush_server *srv, const rtpush_request *req);

static int authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    char sub[NAME_SIZE] = "";
    uint32_t may_publish = 0xFFFFFFFFu;
    char name[40];
    const int status = take_client(srv, req);
    if (status != 0) {
        return status;
    }
    const int presence = req->route->on_request == on_presence;
    if (!is_stream(req) && !presence && req->route->kind != &rtpush_upload) {
        return 0; // /healthz and /metrics: the proxy keeps the world from them
    }
    uint32_t may_read = 0xFFFFFFFFu;
    if (g.jwt_key_len > 0) {
        if (check_token(srv, req, &may_read, &may_publish, &grant->expires_s, sub) != RTPUSH_OK) {
            return 401;
        }
        grant->topics &= may_read;
        grant->known = 1;
    }
    may_publish &= ~g.status_bit;
    if (presence) {
        readable[req->conn.index] = may_read;
        return 0;
    }
    if (is_stream(req) && g.opt.presence_s > 0) {
        presence_expect(req->conn.index, grant->topics, sub);
    }
    if (is_stream(req) && !g.was_ready) {
        return 503; // or it would get the past as if it came now
    }
    if (req->route->kind == &rtpush_upload) {
        const int topic = rtpush_topic_index(srv, req->rest);
        return topic >= 0 && !(may_publish >> topic & 1u) ? 403 : 0;
    }
    if (req->route->kind == &rtpush_websocket) {
        int topic = NOTHING;
        const int len = rtpush_query(req->query, "publish", name, sizeof(name));
        if (len != RTPUSH_ERR_ARGUMENT) { // else it only listens
            topic = len < 0 ? len : rtpush_topic_index(srv, name);
        }
        if (topic < 0) {
            return 404;
        }
        if (topic != NOTHING && !(may_publish >> topic & 1u)) {
            return 403;
        }
        client *c = &clients[req->subprotocol == NULL][topic];
        c->topic = topic;
        c->raw = req->subprotocol == NULL;
        grant->user = c;
    }
    return 0;
}

// -- publishing -----------------------------------------------------------------------------------
// A POST waits for what the source says. Its deadline is kept here too, so that a source that hangs
// keeps nobody.

typedef struct waiter {
    uint64_t token; // 0: free
    rtpush_handle conn;
    int64_t deadline_ms;
    int websocket; // nobody waits for an answer, but is told where it went wrong
    char key[KEY_MAX + 1];
} waiter;
static waiter waiters[SOURCE_WAITING];
static uint64_t serial;

static void reply_with(rtpush_server *srv, rtpush_handle conn, int status, const char *text,
                       const char *name, const char *value) {
    const char *headers[3] = {name, value, NULL};
    rtpush_response response;
    memset(&response, 0, sizeof(response));
    response.status = (uint16_t)status;
    response.headers = headers;
    response.body = text;
    response.len = (uint32_t)strlen(text);
    if (rtpush_reply(srv, conn, &response) == RTPUSH_ERR_TOO_BIG) {
        rtpush_reply_text(srv, conn, status, "");
    }
}

static void reply_id(rtpush_server *srv, rtpush_handle conn, rtpush_id id) {
    char text[RTPUSH_ID_SIZE];
    rtpush_reply_text(srv, conn, 200, rtpush_id_format(id, text));
}

static void finish(waiter *w, int outcome, rtpush_id id, const char *why) {
    char text[300];
    w->token = 0;
    g.published[outcome]++;
    if (w->websocket) {
        if (outcome != OUTCOME_STORED) {
            rtpush_close(&g.srv, w->conn, 1013, // RFC 6455 7.4.1, IANA: try again later
                         outcome == OUTCOME_UNKNOWN ? "it is not known whether it was published"
                                                    : "not published");
        }
        return;
    }
    switch (outcome) {
    case OUTCOME_STORED:
        reply_id(&g.srv, w->conn, id);
        break;
    case OUTCOME_UNKNOWN:
        reply_with(&g.srv, w->conn, 504, "unknown: repeat it with the same Idempotency-Key\n",
                   "Idempotency-Key", w->key);
        break;
    default:
        snprintf(text, sizeof(text), "not stored: %s\n", why[0] ? why : "the source is away");
        reply_with(&g.srv, w->conn, 503, text, "Retry-After", "1");
        break;
    }
}

// The message id: topic and key, which has no space. So who may publish to one topic cannot use up
// the keys of another.
static void id_of_message(char out[SOURCE_KEY_MAX + 1], unsigned topic, const char *key) {
    snprintf(out, SOURCE_KEY_MAX + 1, "%s %s", topics[topic].name, key);
}

// Gives a message to the source. -1: not now.
static int submit(rtpush_handle conn, int websocket, unsigned topic, const char *key,
                  const void *data, uint32_t len) {
    waiter *w = NULL;
    char id[SOURCE_KEY_MAX + 1];
    for (unsigned i = 0; i < SOURCE_WAITING && w == NULL; i++) {
        w = waiters[(serial + i) % SOURCE_WAITING].token == 0
                ? &waiters[(serial + i) % SOURCE_WAITING] : NULL;
    }
    if (w == NULL) {
        return -1;
    }
    serial++;
    memset(w, 0, sizeof(*w));
    w->conn = conn;
    w->websocket = websocket;
    w->deadline_ms = source_clock_ms() + g.opt.publish_ms;
    if (key != NULL) {
        snprintf(w->key, sizeof(w->key), "%s", key);
    } else { // this gateway and start, and a count
        snprintf(w->key, sizeof(w->key), "%08" PRIx32 "%08" PRIx32 "-%" PRIu64, g.name[0],
                 g.name[1], serial);
    }
    const uint64_t token = serial << 16 | (uint64_t)(w - waiters);
    id_of_message(id, topic, w->key);
    if (source_publish(&g.source, token, topic, id, data, len, g.opt.publish_ms) < 0) {
        return -1;
    }
    w->token = token;
    return 0;
}

static void on_result(const source_item *item) {
    waiter *w = &waiters[item->token & 0xFFFFu];
    if (w->token == item->token) { // else its deadline has passed
        finish(w, item->outcome, item->id, (const char *)item->data);
    }
}

static void end_late_waiters(int64_t now_ms) {
    const rtpush_id none = {0, 0};
    if (now_ms - g.waiters_ms < 20) {
        return; // not at each turn
    }
    g.waiters_ms = now_ms;
    for (waiter *w = waiters; w < waiters + SOURCE_WAITING; w++) {
        if (w->token != 0 && now_ms >= w->deadline_ms) {
            finish(w, OUTCOME_UNKNOWN, none, "");
        }
    }
}

// 1 to KEY_MAX of printable ASCII.
static int is_key(const char *key) {
    const size_t len = strlen(key);
    for (size_t i = 0; i < len; i++) {
        if (key[i] <= ' ' || key[i] > '~') {
            return 0;
        }
    }
    return len > 0 && len <= KEY_MAX;
}

// POST /publish/NAME
static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    const int topic = rtpush_topic_index(srv, req->rest);
    const char *key = req->headers[0];
    char message[SOURCE_KEY_MAX + 1];
    rtpush_id id;
    if (topic < 0) {
        rtpush_reply_text(srv, req->conn, 404, "no such topic\n");
        return;
    }
    id_of_message(message, (unsigned)topic, key ? key : "");
    if (key != NULL && !is_key(key)) {
        rtpush_reply_text(srv, req->conn, 400, "Idempotency-Key: 1 to 64 printable characters\n");
    } else if (rtpush_utf8(0, req->body, req->body_len) != 0) {
        rtpush_reply_text(srv, req->conn, 400, "not UTF-8\n");
    } else if (!source_fits(&g.source, (uint32_t)topic, req->body, req->body_len)) {
        rtpush_reply_text(srv, req->conn, 413, "larger than a value may be\n");
    } else if (key != NULL && source_find(&g.source, message, &id)) {
        reply_id(srv, req->conn, id); // it was stored before
    } else if (submit(req->conn, 0, (unsigned)topic, key, req->body, req->body_len) < 0) {
        g.published[OUTCOME_AWAY]++;
        reply_with(srv, req->conn, 503, "not stored: the source is away or busy\n", "Retry-After",
                   "1");
    }
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const client *c = (const client *)rtpush_user(srv, conn);
    if (c->topic == NOTHING) {
        rtpush_close(srv, conn, 1008, "connect with ?publish=TOPIC to send");
    } else if (msg->opcode != RTPUSH_TEXT_MESSAGE) {
        rtpush_close(srv, conn, 1003, "topics carry text");
    } else if (!source_fits(&g.source, (uint32_t)c->topic, msg->data, msg->len)) {
        rtpush_close(srv, conn, 1009, "larger than a value may be");
    } else if (submit(conn, 1, (unsigned)c->topic, NULL, msg->data, (uint32_t)msg->len) < 0) {
        if (g.away_since_ms == 0) {
            return RTPUSH_RETRY; // many wait: the peer is slowed down
        }
        rtpush_close(srv, conn, 1013, "not published: the source is away");
    }
    return RTPUSH_OK;
}

// A raw WebSocket gets payloads only: it is closed with the number as reason, and may come again.
static void on_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    const client *c = (const client *)rtpush_user(srv, conn);
    char reason[40];
    if (c->raw) {
        snprintf(reason, sizeof(reason), "missed %lu events", (unsigned long)missed);
        rtpush_close(srv, conn, 4000, reason); // RFC 6455 7.4.2: private use
    }
}

// -- what the source brings -----------------------------------------------------------------------

// What waits for the source's answer about its end: readers whose id this log has not reached yet.
static void on_probed(const source_item *item) {
    g.probing = 0;
    if (item->outcome == OUTCOME_STORED) {
        rtpush_source_end(&g.srv, (uint32_t)item->token, item->id);
    }
}

// Asks the source for its end while readers wait in front of the log, at most every PROBE_MS. A
// source without history ends with what the reader has taken from it.
static void probe(int64_t now_ms) {
    if (g.probing || now_ms - g.probed_ms < PROBE_MS) {
        return;
    }
    const uint32_t mark = rtpush_waiting(&g.srv);
    if (mark == 0) {
        return;
    }
    g.probed_ms = now_ms;
    if (g.source.kind->probe == NULL) {
        rtpush_source_end(&g.srv, mark, source_last(&g.source));
    } else {
        g.probing = 1;
        source_probe(&g.source, mark);
    }
}

static void take_item(const source_item *item) {
    int result = 0;
    switch (item->kind) {
    case ITEM_EVENT:
        result = rtpush_publish_id(&g.srv, item->topic, item->id, item->lost, item->data,
                                   item->len);
        break;
    case ITEM_VALUE:
        result = rtpush_publish(&g.srv, item->topic, item->data, item->len);
        break;
    case ITEM_ADVANCE:
    case ITEM_BEGIN:
        result = rtpush_advance(&g.srv, item->id, item->lost);
        break;
    case ITEM_READY:
        if (!g.was_ready) {
            fputs("gateway: ready\n", stderr);
        }
        g.was_ready = 1;
        g.late_since_ms = 0;
        break;
    case ITEM_AWAY:
        g.away_since_ms = source_clock_ms();
        g.late_since_ms = g.late_since_ms ? g.late_since_ms : g.away_since_ms;
        break;
    case ITEM_BACK:
        g.away_since_ms = 0;
        break;
    case ITEM_JOINED:
        presence_join((const char *)item->data, item->len, source_clock_ms());
        break;
    case ITEM_RESULT:
        if (!feeds_result(item)) {
            on_result(item);
        }
        break;
    default: // ITEM_PROBED
        on_probed(item);
        break;
    }
    if (result < 0 && result != RTPUSH_ERR_OLD) { // what a source delivers was judged before
        fprintf(stderr, "gateway: %08" PRIx32 "-%08" PRIx32 ": %s\n", item->id.epoch,
                item->id.seq, rtpush_strerror(result));
    }
}

// While the source has more at once than readers can be sent, half a log a second: faster, and
// those that keep up with the network would still be lapped by the log.
static int may_take(int64_t now_ms) {
    const int64_t rate = g.opt.log_size / 2u; // bytes a second
    if (!source_behind(&g.source) || rtpush_get_counters(&g.srv)->streams == 0) {
        return 1;
    }
    g.pace_bytes += (now_ms - g.paced_ms) * rate / 1000;
    g.pace_bytes = g.pace_bytes < rate / 4 ? g.pace_bytes : rate / 4;
    g.paced_ms = now_ms;
    return g.pace_bytes > 0;
}

// Takes what waits, at most TURN_ITEMS. Returns the milliseconds after which there is more to take,
// -1: when the source wakes the loop.
static int take_items(int64_t now_ms) {
    source_item item;
    uint64_t sink;
    if (read(source_fd(&g.source), &sink, sizeof(sink)) < 0) {
        sink = 0; // EAGAIN: nothing new, but there may be more than the last turn took
    }
    for (unsigned i = 0; i < TURN_ITEMS; i++) {
        const int paced = !may_take(now_ms);
        if (!source_next(&g.source, &item, paced)) {
            return paced ? 10 : -1;
        }
        take_item(&item);
        if (item.behind) {
            g.pace_bytes -= (int64_t)item.len + 20;
        }
        source_done(&item);
    }
    return 0;
}

// -- the topic of --status ------------------------------------------------------------------------
// Whether what readers get here is current: a value of this gateway, which has no position in the
// source. A page that goes to another gateway gets that one's: values are not counted by event ids,
// and the third part of a poll's id counts only where it was given (desc.seed).

enum { STATUS_NONE, STATUS_UP, STATUS_AWAY }; // what was told last

static void tell_status(int64_t now_ms) {
    char text[STATUS_SIZE];
    if (g.status_bit == 0 || !g.was_ready) {
        return; // before that nobody reads
    }
    const int64_t late_ms = g.late_since_ms != 0 ? now_ms - g.late_since_ms : 0;
    const int status = g.late_since_ms == 0    ? STATUS_UP
                       : late_ms >= STATUS_MS ? STATUS_AWAY : g.status;
    if (status == g.status) {
        return;
    }
    snprintf(text, sizeof(text), "{\"source\":\"%s\",\"since\":%lld}",
             status == STATUS_AWAY ? "away" : "up", (long long)time(NULL) - late_ms / 1000);
    if (rtpush_publish(&g.srv, g.topic_count - 1u, text, strlen(text)) == RTPUSH_OK) {
        g.status = status;
    }
}

// -- GET /presence --------------------------------------------------------------------------------

static void on_open(rtpush_server *srv, const rtpush_request *req) {
    (void)srv;
    presence_opened(req->conn.index);
}

static void on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    (void)srv;
    (void)closed;
    presence_closed(conn.index, source_clock_ms());
}

// The topics of ?topics=a,b; without, all that may be read. 0, or a status.
static int asked_topics(rtpush_server *srv, const rtpush_request *req, uint32_t *topics_out) {
    char names[CLAIM_SIZE];
    char *rest = NULL;
    const uint32_t may = readable[req->conn.index];
    const int len = rtpush_query(req->query, "topics", names, sizeof(names));
    *topics_out = len == RTPUSH_ERR_ARGUMENT ? may : 0;
    if (len < 0) {
        return len == RTPUSH_ERR_ARGUMENT ? 0 : 400;
    }
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        const int topic = rtpush_topic_index(srv, name);
        if (topic < 0) {
            return 404;
        }
        if (!(may >> topic & 1u)) {
            return 403;
        }
        *topics_out |= 1u << topic;
    }
    return 0;
}

static void on_presence(rtpush_server *srv, const rtpush_request *req) {
    uint32_t wanted = 0;
    const int status = g.opt.presence_s == 0 ? 404 : asked_topics(srv, req, &wanted);
    char *answer = status == 0 ? presence_answer(wanted, source_clock_ms()) : NULL;
    rtpush_response response;
    if (status != 0) {
        rtpush_reply_text(srv, req->conn, status, "");
    } else if (answer == NULL) {
        reply_with(srv, req->conn, 503, "not known: the source is away\n", "Retry-After", "1");
    } else {
        rtpush_set_user(srv, req->conn, answer); // until on_close, which is that of /metrics
        memset(&response, 0, sizeof(response));
        response.content_type = "application/json";
        response.body = answer;
        response.len = (uint32_t)strlen(answer);
        response.body_static = 1;
        rtpush_reply(srv, req->conn, &response);
    }
}

// Says anew who reads here, when it is time.
static void say_presence(int64_t now_ms) {
    char name[20];
    char *text = presence_say(now_ms);
    if (text == NULL) {
        return;
    }
    if (!source_joins(&g.source)) { // no other gateway has this source in common
        presence_join(text, strlen(text), now_ms);
        free(text);
        return;
    }
    snprintf(name, sizeof(name), "%08" PRIx32 "%08" PRIx32, g.name[0], g.name[1]);
    source_join(&g.source, text, name, 3000u * g.opt.presence_s);
}

// -- GET /healthz ---------------------------------------------------------------------------------
// 200: send new readers. 404: no new ones, those that are here stay. Never 503: a proxy would cut
// the streams, and it is not known which side of the network is cut off.

static int64_t away_ms(void) {
    return (int64_t)g.opt.away_s * 1000;
}

static void on_healthz(rtpush_server *srv, const rtpush_request *req) {
    const char *why = "ok\n";
    if (g.draining_since_ms != 0) {
        why = "draining\n";
    } else if (!g.was_ready) {
        why = "not caught up yet\n";
    } else if (g.late_since_ms != 0 && source_clock_ms() - g.late_since_ms > away_ms()) {
        why = "the source is away\n";
    }
    rtpush_reply_text(srv, req->conn, why[0] == 'o' ? 200 : 404, why);
}

// -- start ----------------------------------------------------------------------------------------

static int add_topics(char *names, const rtpush_topic_kind *kind) {
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (g.topic_count == TOPICS_MAX) {
            fprintf(stderr, "gateway: at most %d topics\n", TOPICS_MAX);
            return -1;
        }
        topics[g.topic_count].name = name;
        topics[g.topic_count].kind = kind;
        topics[g.topic_count].max = kind == &rtpush_topic_state ? (uint16_t)g.opt.state_max : 0;
        g.topic_count++;
    }
    return 0;
}

// The last of the table: the source and its feeds do not know it.
static int add_status(const char *name) {
    if (name[0] == '\0') {
        return 0;
    }
    if (g.topic_count == TOPICS_MAX) {
        fprintf(stderr, "gateway: --status: at most %d topics\n", TOPICS_MAX);
        return -1;
    }
    topics[g.topic_count].name = name;
    topics[g.topic_count].kind = &rtpush_topic_state;
    topics[g.topic_count].max = STATUS_SIZE;
    g.status_bit = 1u << g.topic_count;
    g.topic_count++;
    return 0;
}

static uint32_t state_bytes(void) {
    uint32_t bytes = 0;
    for (uint32_t topic = 0; topic < g.topic_count; topic++) {
        bytes += topics[topic].max;
    }
    return bytes;
}

static int add_origins(char *names) {
    unsigned count = 0;
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (count == TOPICS_MAX) {
            fprintf(stderr, "gateway: at most %d origins\n", TOPICS_MAX);
            return -1;
        }
        origins[count++] = name;
    }
    return 0;
}

static int set_trust(void) {
    g.forwarded = strcmp(g.opt.trust_header, "forwarded") == 0;
    if (!g.forwarded && strcmp(g.opt.trust_header, "x-forwarded-for") != 0) {
        fputs("gateway: --trust-header is x-forwarded-for or forwarded\n", stderr);
        return -1;
    }
    return trust_set(g.opt.trust);
}

static int read_key(const char *path) {
    FILE *file = path[0] ? fopen(path, "rb") : NULL;
    if (path[0] == '\0') {
        return 0;
    }
    if (file == NULL) {
        perror(path);
        return -1;
    }
    g.jwt_key_len = fread(jwt_key, 1, sizeof(jwt_key), file);
    fclose(file);
    while (g.jwt_key_len > 0 && jwt_key[g.jwt_key_len - 1u] == '\n') {
        g.jwt_key_len--;
    }
    if (g.jwt_key_len < 32u || g.jwt_key_len == sizeof(jwt_key)) { // RFC 7518 3.2
        fprintf(stderr, "gateway: %s: a key of 32 to %d bytes is needed\n", path,
                (int)sizeof(jwt_key) - 1);
        return -1;
    }
    return 0;
}

static const char *address_headers[] = {NULL, NULL}; // with --trust, and last here:
static const char *post_headers[] = {"idempotency-key", NULL, NULL};
enum { EVENTS, WS, POLL, METRICS, HEALTHZ, PRESENCE, PUBLISH, ROUTES }; // the last may be left out
static rtpush_route routes[ROUTES] = {
    // Not const: --max becomes max_body of PUBLISH and max_message of WS.
    [EVENTS] = {.path = "/events", .kind = &rtpush_events},
    [WS] = {.path = "/ws",
            .kind = &rtpush_websocket,
            .on_message = on_message,
            .on_gap = on_gap},
    [POLL] = {.path = "/poll", .kind = &rtpush_poll},
    [METRICS] = {.path = "/metrics",
                 .kind = &rtpush_handler,
                 .user = &g,
                 .on_request = metrics_on_request,
                 .on_close = metrics_on_close},
    [HEALTHZ] = {.path = "/healthz", .kind = &rtpush_handler, .on_request = on_healthz},
    [PRESENCE] = {.path = "/presence",
                  .kind = &rtpush_handler,
                  .on_request = on_presence,
                  .on_close = metrics_on_close},
    [PUBLISH] = {.path = "/publish/*",
                 .kind = &rtpush_upload,
                 .methods = RTPUSH_POST,
                 .headers = post_headers,
                 .on_request = on_publish},
};

// A value is sent from there, with its line ends: a dozen lines and more fit beside the largest.
static uint32_t tx_size(void) {
    const uint32_t needed = state_bytes() == 0 ? 0 : g.opt.state_max + VALUE_OVERHEAD + 6u * 16u;
    return needed < REPLY_SIZE ? REPLY_SIZE : (needed + 3u) / 4u * 4u;
}

static int start_server(uint32_t slots) {
    static const char *const any[] = {"*", NULL}; // the proxy's name is not ours to know
    rtpush_desc desc;
    memset(&desc, 0, sizeof(desc));
    if (g.opt.trust[0] != '\0') {
        address_headers[0] = post_headers[1] = g.opt.trust_header;
    }
    for (int i = 0; i < PUBLISH; i++) {
        routes[i].headers = address_headers;
    }
    for (int i = EVENTS; i <= POLL && g.opt.presence_s > 0; i++) {
        routes[i].on_open = on_open;
        routes[i].on_close = on_close;
    }
    readable = (uint32_t *)calloc(slots, sizeof(*readable));
    if (g.opt.presence_s > 0 && presence_start(topics, g.topic_count, slots, g.opt.presence_s,
                                               g.jwt_key_len > 0) < 0) {
        readable = NULL;
    }
    routes[PUBLISH].max_body = g.opt.max_len;
    routes[WS].max_message = g.opt.max_len;
    desc.routes = routes;
    desc.route_count = g.source.kind->publish ? ROUTES : PUBLISH;
    desc.topics = topics;
    desc.topic_count = g.topic_count;
    desc.conn_count = slots;
    desc.rx_size = g.opt.max_len + HEAD_SIZE;
    desc.tx_size = tx_size();
    desc.log_size = g.opt.log_size / 4u * 4u;
    const size_t words = RTPUSH_WORDS(slots, desc.rx_size, desc.tx_size, desc.log_size,
                                      g.topic_count, state_bytes());
    desc.memory = calloc(words, 8);
    desc.memory_size = words * 8;
    desc.epoch = 0; // the source says it
    desc.seed = g.name[0];
    desc.hosts = any;
    desc.origins = origins;
    desc.authorize = authorize;
    desc.max_streams = g.opt.conns;
    desc.max_per_peer = g.opt.trust[0] != '\0' ? 0 : g.opt.per_peer; // else by take_client
    // Behind a proxy all peers have one address.
    desc.rate_messages = RTPUSH_UNLIMITED;
    desc.rate_bytes = RTPUSH_UNLIMITED;
    if (!desc.memory || !readable) {
        fputs("gateway: not enough memory\n", stderr);
        return -1;
    }
    const int result = rtpush_init(&g.srv, &desc);
    if (result < 0) {
        fprintf(stderr, "gateway: %s: %s\n", rtpush_strerror(result),
                rtpush_config_error(&g.srv));
        return -1;
    }
    return 0;
}

static int start_port(uint32_t slots) {
    rtpush_posix_desc desc;
    memset(&desc, 0, sizeof(desc));
    desc.buffer_count = 64; // of 32 KiB, for peers that stop reading in the middle of something
    desc.buffer_size = 32768;
    desc.memory_size = RTPUSH_POSIX_SIZE(slots, desc.buffer_count, desc.buffer_size) + 7u;
    desc.memory = calloc(desc.memory_size, 1);
    desc.conn_count = slots;
    desc.stop_ms = STOP_MS;
    if (!desc.memory) {
        fputs("gateway: not enough memory\n", stderr);
        return -1;
    }
    if (rtpush_posix_raise_files(slots + 16u) < slots + 16u) {
        fputs("gateway: warning: fewer files than connections allowed (ulimit -n)\n", stderr);
    }
    if (rtpush_posix_init(&port, &desc) < 0) {
        perror("gateway: init");
        return -1;
    }
    const int number = rtpush_posix_listen(&port, &g.srv, g.opt.host, g.opt.port, 0);
    if (number < 0) {
        fprintf(stderr, "gateway: cannot listen on %s port %u: %s\n", g.opt.host,
                (unsigned)g.opt.port,
                errno == EINVAL ? "not an address" : strerror(errno));
        return -1;
    }
    const int v6 = strchr(g.opt.host, ':') != NULL;
    printf("listening on http://%s%s%s:%d\n", v6 ? "[" : "", g.opt.host, v6 ? "]" : "", number);
    fflush(stdout);
    return 0;
}

// -- the loop, and its end ------------------------------------------------------------------------
// SIGTERM or SIGINT: /healthz says 404, and after two checks the proxy sends nobody new. Then the
// streams end, a part at a time, so that other gateways are not overrun. Once more: at once.

static void on_signal(int number) {
    (void)number;
    asked_to_end = asked_to_end + 1;
    if (asked_to_end > 1) {
        rtpush_posix_stop(&port);
    }
}

// Ends the streams over --drain-s. Returns 1 when all are gone, or the time is over.
static int end_streams(int64_t since_ms, int64_t now_ms) {
    const int64_t total_ms = (int64_t)g.opt.drain_s * 1000;
    const int64_t passed_ms = now_ms - since_ms;
    const int over = passed_ms >= total_ms;
    const uint32_t streams = rtpush_get_counters(&g.srv)->streams;
    if (streams == 0) {
        return over || !feeds_busy();
    }
    if (g.slice_of_ms != since_ms) { // the first time
        g.slice_of_ms = since_ms;
        g.slice_total = streams;
        g.slice_ended = 0;
    }
    if (now_ms - g.slice_ms < SLICE_MS && !over) {
        return 0;
    }
    g.slice_ms = now_ms;
    const uint32_t due = over ? g.slice_total
                              : (uint32_t)((int64_t)g.slice_total * passed_ms / total_ms);
    if (g.slice_ended < due) { // with 1001 (RFC 6455 7.4.1), or a retry: of its own
        rtpush_end_streams(&g.srv, due - g.slice_ended);
        g.slice_ended = due; // one that has left by itself counts as ended
    }
    return over;
}

// The port closes what is still open after STOP_MS: a POST is answered before that.
static void stop(int64_t now_ms) {
    const int64_t deadline_ms = now_ms + STOP_MS / 2;
    g.stopped = 1;
    for (waiter *w = waiters; w < waiters + SOURCE_WAITING; w++) {
        w->deadline_ms = w->deadline_ms < deadline_ms ? w->deadline_ms : deadline_ms;
    }
    rtpush_posix_stop(&port);
}

static void drain(int64_t now_ms) {
    if (asked_to_end > 0 && g.draining_since_ms == 0) {
        g.draining_since_ms = now_ms;
        feeds_end();
        fputs("gateway: draining\n", stderr);
    }
    if (g.draining_since_ms != 0 && !g.stopped) {
        const int64_t begin_ms = g.draining_since_ms + 2 * (int64_t)g.opt.check_ms;
        if (now_ms >= begin_ms && end_streams(begin_ms, now_ms)) {
            stop(now_ms);
        }
    } else if (g.away_since_ms != 0 && now_ms - g.away_since_ms > 2 * away_ms()) {
        (void)end_streams(g.away_since_ms + 2 * away_ms(), now_ms); // the proxy has other gateways
    }
}

static int least(int a, int b) {
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

// An event to 5,000 readers takes 25 ms and more, and one that comes a moment later as long again.
// So the first waits for a small part of that time, and what has come then goes out in one send.
static void gather(int source_has) {
    const uint32_t ms = rtpush_get_counters(&g.srv)->streams / GATHER_STREAMS;
    if (source_has && ms > 0) {
        source_sleep_ms(ms);
    }
}

static int run(void) {
    struct pollfd fds[3] = {{rtpush_posix_fd(&port), POLLIN, 0},
                            {source_fd(&g.source), POLLIN, 0},
                            {feeds_fd(), POLLIN, 0}};
    int wait_ms = 0;
    while (wait_ms >= 0) {
        if (poll(fds, 3, least(wait_ms, 100)) < 0 && errno != EINTR) {
            return -1;
        }
        gather(fds[1].revents & POLLIN);
        const int64_t now_ms = source_clock_ms();
        const int more_ms = take_items(now_ms);
        feeds_step(now_ms);
        end_late_waiters(now_ms);
        say_presence(now_ms);
        tell_status(now_ms);
        probe(now_ms);
        drain(now_ms);
        wait_ms = rtpush_posix_step(&port, 0);
        wait_ms = wait_ms < 0 ? wait_ms : least(wait_ms, more_ms);
    }
    return errno == 0 ? 0 : -1;
}

// Ends without what libraries do at exit(): the threads of the source run until the end, and would
// use what OpenSSL has released then. Not fflush(NULL): it waits for the lock of stdin, which the
// feed "-" holds while it reads.
static void end_process(int status) {
    fflush(stdout);
    fflush(stderr);
#ifdef __SANITIZE_ADDRESS__
    __lsan_do_leak_check(); // this is done at exit() as well
#endif
    _exit(status);
}

int main(int argc, char **argv) {
    static char topic_names[32 * 34];
    static char state_names[32 * 34];
    static char origin_names[2048];
    const int done = options_parse(argc, argv, &g.opt);
    if (done) {
        return done - 1;
    }
    if (strlen(g.opt.topics) >= sizeof(topic_names) ||
        strlen(g.opt.state) >= sizeof(state_names) ||
        strlen(g.opt.origins) >= sizeof(origin_names)) { // one cut off might be another site's
        fputs("gateway: --topics, --state or --origins is too long\n", stderr);
        return EXIT_FAILURE;
    }
    memcpy(topic_names, g.opt.topics, strlen(g.opt.topics) + 1u);
    memcpy(state_names, g.opt.state, strlen(g.opt.state) + 1u);
    memcpy(origin_names, g.opt.origins, strlen(g.opt.origins) + 1u);
    if (add_topics(topic_names, &rtpush_topic_event) < 0 ||
        add_topics(state_names, &rtpush_topic_state) < 0 || add_status(g.opt.status) < 0 ||
        add_origins(origin_names) < 0 || set_trust() < 0 || read_key(g.opt.jwt_key) < 0) {
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN); // hiredis writes to connections that have ended
    g.name[0] = rtpush_posix_epoch();
    g.name[1] = rtpush_posix_epoch();
    const uint32_t source_topics = g.topic_count - (g.status_bit != 0);
    source_desc desc = {topics, source_topics, RTPUSH_EVENT_MAX(g.opt.log_size / 4u * 4u),
                        g.opt.log_size, tx_size() - VALUE_OVERHEAD, g.opt.ca};
    desc.max_len = desc.max_len < g.opt.max_len ? desc.max_len : g.opt.max_len;
    const uint32_t slots = g.opt.conns + 64u; // some for plain requests beside the streams
    if (source_start(&g.source, g.opt.source, &desc) < 0 ||
        feeds_start(&g.source, g.opt.source, g.opt.from, g.opt.from_count, g.name,
                    g.opt.publish_ms) < 0 ||
        start_server(slots) < 0 || start_port(slots) < 0) {
        end_process(EXIT_FAILURE); // the source may have begun
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (run() < 0) {
        perror("gateway: run");
        end_process(EXIT_FAILURE);
    }
    feeds_stop();
    rtpush_posix_close(&port);
    if (feeds_left() > 0) {
        fprintf(stderr, "gateway: %lu messages of feeds were not published\n",
                (unsigned long)feeds_left());
    }
    end_process(EXIT_SUCCESS);
}
