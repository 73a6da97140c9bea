// What tests/browser/page.test.mjs connects to: each kind of stream, a page without content, the
// page's script; what is refused can be changed while it runs.
//     cc -std=c99 -I. tests/browser/server.c -o build/page-server
//     build/page-server --port 0 --keepalive 1000
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
#include "../serve.h"

enum { CONNS = 32, RX = 1024, TX = 1024, LOG = 16384, SCRIPT_MAX = 65536 };

static int refusal;       // 0, or the status of each stream
static unsigned asked;    // streams asked for, refused ones too
static unsigned missing;  // requests answered 404

static const char page[] = "<!doctype html><title>rtpush</title><link rel=icon href=data:,>";
static const char worker[] =
    "import * as rtpush from './rtpush.js';\n"
    "const transport = new URL(import.meta.url).searchParams.get('transport');\n"
    "rtpush.connect({ topics: ['a'], transports: [rtpush[transport]],\n"
    "    onState: ({ state }) => postMessage({ state }),\n"
    "    onEvent: (topic, data) => postMessage({ topic, data }) });\n";
static char script[SCRIPT_MAX];

static const rtpush_asset index_html = {
    .content_type = "text/html; charset=utf-8", .data = page, .len = sizeof(page) - 1};
static const rtpush_asset worker_js = {
    .content_type = "text/javascript", .data = worker, .len = sizeof(worker) - 1};
static rtpush_asset rtpush_js = {.content_type = "text/javascript", .data = script};

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

// POST /publish: an event of topic a.
static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    const int result = rtpush_publish(srv, 0, req->body, req->body_len);
    rtpush_reply_text(srv, req->conn, result < 0 ? 500 : 200, rtpush_strerror(result));
}

// POST /refuse/401, /refuse/0
static void on_refusal(rtpush_server *srv, const rtpush_request *req) {
    refusal = atoi(req->rest);
    rtpush_reply_text(srv, req->conn, 200, "");
}

// GET /counts: streams asked for, and requests answered 404
static void on_counts(rtpush_server *srv, const rtpush_request *req) {
    char text[64];
    snprintf(text, sizeof(text), "%u %u", asked, missing);
    rtpush_reply_text(srv, req->conn, 200, text);
}

// A message is sent back.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    return rtpush_send(srv, conn, msg->opcode, msg->data, msg->len) == RTPUSH_ERR_WOULD_BLOCK
               ? RTPUSH_RETRY : RTPUSH_OK;
}

static const rtpush_topic topics[] = {{.name = "a", .kind = &rtpush_topic_event}};
static const rtpush_route routes[] = {
    {.path = "/", .kind = &rtpush_file, .asset = &index_html},
    {.path = "/rtpush.js", .kind = &rtpush_file, .asset = &rtpush_js},
    {.path = "/worker.js", .kind = &rtpush_file, .asset = &worker_js},
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/poll", .kind = &rtpush_poll},
    {.path = "/control", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 64,
     .on_request = on_publish},
    {.path = "/publish", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 64,
     .on_request = on_publish},
    {.path = "/refuse/*", .kind = &rtpush_handler, .methods = RTPUSH_POST,
     .on_request = on_refusal},
    {.path = "/counts", .kind = &rtpush_handler, .on_request = on_counts},
};

int main(int argc, char **argv) {
    static rtpush_server srv;
    static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 1, 0)];
    static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
    rtpush_desc desc = {.routes = routes, .route_count = sizeof(routes) / sizeof(routes[0]),
                        .topics = topics, .topic_count = 1, .memory = memory,
                        .memory_size = sizeof(memory), .conn_count = CONNS,
                        .rx_size = RX, .tx_size = TX, .log_size = LOG,
                        .epoch = rtpush_posix_epoch(), .authorize = authorize,
                        .on_refuse = on_refuse};
    const rtpush_posix_desc posix = {.memory = port_memory, .memory_size = sizeof(port_memory)};
    unsigned number = 0;
    FILE *file = fopen("ports/browser/rtpush.js", "rb");
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--port") == 0) {
            number = value;
        } else if (strcmp(argv[i], "--keepalive") == 0) {
            desc.keepalive_ms = value;
        }
    }
    if (file == NULL || (rtpush_js.len = (uint32_t)fread(script, 1, SCRIPT_MAX, file)) == 0) {
        perror("ports/browser/rtpush.js");
        return 1;
    }
    fclose(file);
    return serve(&srv, &desc, &posix, number, NULL);
}
