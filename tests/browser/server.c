// What tests/browser/page.test.mjs connects to: each kind of stream, a page without content, the
// page's script, also as a classic one (sh ports/page.sh build/page, else there is none); what is
// refused can be changed while it runs.
//     cc -std=c99 -I. tests/browser/server.c ports/cmake/core.c -o build/page-server -lpthread
//     build/page-server --port 0 --keepalive 1000
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
#include "examples/upstream/once.h"
#include "../serve.h"

enum { CONNS = 32, RX = 1024, TX = 1024, LOG = 16384, LOG_MAX = 1 << 20, SCRIPT_MAX = 65536 };

static int refusal;       // 0, or the status of each stream
static unsigned asked;    // streams asked for, refused ones too
static unsigned missing;  // requests answered 404
static once_table once;

static const char page[] = "<!doctype html><title>rtpush</title><link rel=icon href=data:,>";
static const char worker[] =
    "import * as rtpush from './rtpush.js';\n"
    "const transport = new URL(import.meta.url).searchParams.get('transport');\n"
    "rtpush.connect({ topics: ['a'], transports: [rtpush[transport]],\n"
    "    onState: ({ state }) => postMessage({ state }),\n"
    "    onEvent: (topic, data) => postMessage({ topic, data }) });\n";
static char script[SCRIPT_MAX];
static char classic[SCRIPT_MAX] = "throw new Error('not built')";

static const rtpush_asset index_html = {
    .content_type = "text/html; charset=utf-8", .data = page, .len = sizeof(page) - 1};
static const rtpush_asset worker_js = {
    .content_type = "text/javascript", .data = worker, .len = sizeof(worker) - 1};
static rtpush_asset rtpush_js = {.content_type = "text/javascript", .data = script};
static rtpush_asset classic_js = {
    .content_type = "text/javascript", .data = classic, .len = 28}; // the words above

static int authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    (void)srv;
    (void)grant;
    if (!req->topics) {
        return 0;
    }
    asked++;
    return refusal;
}

static void on_refuse(rtpush_server *srv, uint32_t peer, int status, int why) {
    (void)srv;
    (void)peer;
    (void)why;
    missing += status == 404;
}

// What a page sends upstream: an event of topic a.
static int act(rtpush_server *srv, const char *text, size_t len) {
    return rtpush_publish(srv, 0, text, len) < 0 ? 500 : 200;
}

static void on_control(rtpush_server *srv, const rtpush_request *req) {
    once_request(&once, srv, req);
}

// POST /publish/TOPIC
static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    const int topic = rtpush_topic_index(srv, req->rest);
    const int result = topic < 0 ? topic
                                 : rtpush_publish(srv, (unsigned)topic, req->body, req->body_len);
    rtpush_reply_text(srv, req->conn, result < 0 ? 500 : 200, rtpush_strerror(result));
}

// POST /refuse/401, /refuse/0
static void on_refusal(rtpush_server *srv, const rtpush_request *req) {
    refusal = atoi(req->rest);
    rtpush_reply_text(srv, req->conn, 200, "");
}

// GET /counts: streams asked for, requests answered 404, streams that are open
static void on_counts(rtpush_server *srv, const rtpush_request *req) {
    char text[64];
    const rtpush_counters *n = rtpush_get_counters(srv);
    snprintf(text, sizeof(text), "%u %u %u", asked, missing, (unsigned)n->streams);
    rtpush_reply_text(srv, req->conn, 200, text);
}

// A message is sent back, one that is to be acknowledged is done.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    if (msg->len > 0 && msg->data[0] == '@') {
        return once_message(&once, srv, conn, msg);
    }
    return rtpush_send(srv, conn, msg->opcode, msg->data, msg->len) == RTPUSH_ERR_WOULD_BLOCK
               ? RTPUSH_RETRY : RTPUSH_OK;
}

// Nobody asks for h: its events move the position of the others.
static const rtpush_topic topics[] = {
    {.name = "a", .kind = &rtpush_topic_event},
    {.name = "b", .kind = &rtpush_topic_event},
    {.name = "h", .kind = &rtpush_topic_event},
    {.name = "s", .kind = &rtpush_topic_state, .max = 64},
    {.name = "t", .kind = &rtpush_topic_state, .max = 64},
};
static const char *const hosts[] = {"device.test", NULL}; // plain http: no secure context
enum { TOPICS = sizeof(topics) / sizeof(topics[0]), STATES = 2 * 64 };
static const rtpush_route routes[] = {
    {.path = "/", .kind = &rtpush_file, .asset = &index_html},
    {.path = "/rtpush.js", .kind = &rtpush_file, .asset = &rtpush_js},
    {.path = "/rtpush.iife.js", .kind = &rtpush_file, .asset = &classic_js},
    {.path = "/worker.js", .kind = &rtpush_file, .asset = &worker_js},
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/poll", .kind = &rtpush_poll},
    {.path = "/control", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 64,
     .on_request = on_control},
    {.path = "/publish/*", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 64,
     .on_request = on_publish},
    {.path = "/refuse/*", .kind = &rtpush_handler, .methods = RTPUSH_POST,
     .on_request = on_refusal},
    {.path = "/counts", .kind = &rtpush_handler, .on_request = on_counts},
};

// 0: there is no such file
static uint32_t load(const char *name, char *out) {
    FILE *file = fopen(name, "rb");
    uint32_t len = 0;
    if (file != NULL) {
        len = (uint32_t)fread(out, 1, SCRIPT_MAX, file);
        fclose(file);
    }
    return len;
}

int main(int argc, char **argv) {
    static rtpush_server srv;
    static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG_MAX, TOPICS, STATES)];
    static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
    rtpush_desc desc = {.routes = routes, .route_count = sizeof(routes) / sizeof(routes[0]),
                        .topics = topics, .topic_count = TOPICS, .memory = memory,
                        .memory_size = sizeof(memory), .conn_count = CONNS,
                        .rx_size = RX, .tx_size = TX, .log_size = LOG,
                        .epoch = rtpush_posix_epoch(), .authorize = authorize,
                        .on_refuse = on_refuse, .hosts = hosts};
    const rtpush_posix_desc posix = {.memory = port_memory, .memory_size = sizeof(port_memory)};
    unsigned number = 0;
    once.epoch = desc.epoch;
    once.act = act;
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--port") == 0) {
            number = value;
        } else if (strcmp(argv[i], "--keepalive") == 0) {
            desc.keepalive_ms = value;
        } else if (strcmp(argv[i], "--log") == 0 && value <= LOG_MAX) {
            desc.log_size = value;
        }
    }
    rtpush_js.len = load("ports/browser/rtpush.js", script);
    if (rtpush_js.len == 0) {
        perror("ports/browser/rtpush.js");
        return 1;
    }
    const uint32_t classic_len = load("build/page/rtpush.iife.js", classic);
    classic_js.len = classic_len > 0 ? classic_len : classic_js.len;
    return serve(&srv, &desc, &posix, number, NULL);
}
