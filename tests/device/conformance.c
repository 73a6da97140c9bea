// See conformance.h. Paths, topics and answers are those of tests/unit/fixture.h.

#include "conformance.h"

#include <stdio.h>
#include <string.h>

#ifdef CONFORMANCE_TLS
#include "ports/rtpush_tls.h"
#endif

rtpush_server conformance_server;

enum { LOG, TEMP, CHAT, LED, TOPICS };

static const rtpush_topic topics[TOPICS] = {
    [LOG] = {"log", &rtpush_topic_event, 0, 0},
    [TEMP] = {"temp", &rtpush_topic_state, 0, 40},
    [CHAT] = {"chat", &rtpush_topic_event, 0, 0},
    [LED] = {"led", &rtpush_topic_state, 0, 40},
};

static const char index_html[] = "<!doctype html><title>device</title>";
static const uint8_t index_gz[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 'g', 'z', '1', '2'};
static const rtpush_asset index_asset = {"text/html; charset=utf-8",
                                         index_html,
                                         sizeof index_html - 1,
                                         index_gz,
                                         sizeof index_gz,
                                         "v1-abc",
                                         NULL};
static const rtpush_asset gzip_only = {"text/javascript", NULL, 0,           index_gz,
                                       sizeof index_gz,   NULL, "max-age=60"};

// An answer the application may refuse to give is a fault of the test: the peer misses it.
static void reply(rtpush_server *srv, const rtpush_request *req, const char *text) {
    (void)rtpush_reply_text(srv, req->conn, 200, text);
}

static void on_hello(rtpush_server *srv, const rtpush_request *req) {
    reply(srv, req, "hello");
}

static void on_echo(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    response.content_type = "application/octet-stream";
    response.body = req->body;
    response.len = req->body_len;
    (void)rtpush_reply(srv, req->conn, &response);
}

// One upload at a time is enough: bytes and a sum over them.
static uint32_t upload_len;
static uint32_t upload_sum;

static void on_upload(rtpush_server *srv, const rtpush_request *req) {
    (void)srv;
    (void)req;
    upload_len = 0;
    upload_sum = 0;
}

static int on_upload_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                          size_t len, int last) {
    for (size_t i = 0; i < len; i++) {
        upload_sum = upload_sum * 31u + data[i];
    }
    upload_len += (uint32_t)len;
    if (last) {
        char text[40];
        snprintf(text, sizeof text, "%lu %08lx", (unsigned long)upload_len,
                 (unsigned long)upload_sum);
        reply(srv, req, text);
    }
    return RTPUSH_OK;
}

static void on_later(rtpush_server *srv, const rtpush_request *req) {
    (void)srv; // never answered
    (void)req;
}

enum { PULL_LEN = 1000 };

static int pull_bytes(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                      uint8_t *buf, size_t cap) {
    const size_t n = PULL_LEN - offset < cap ? PULL_LEN - offset : cap;
    (void)srv;
    (void)conn;
    (void)user;
    for (size_t i = 0; i < n; i++) {
        buf[i] = (uint8_t)('a' + (offset + i) % 26);
    }
    return (int)n;
}

static void on_pull(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    response.pull = pull_bytes;
    (void)rtpush_reply(srv, req->conn, &response);
}

// 70,000 bytes, 'A' to 'Z' again and again: a board has no memory for them, so they are pulled.
static int big_bytes(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                     uint8_t *buf, size_t cap) {
    (void)srv, (void)conn, (void)user;
    for (size_t i = 0; i < cap; i++) {
        buf[i] = (uint8_t)('A' + (offset + i) % 26);
    }
    return (int)cap;
}

static void on_big(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response response = {0};
    response.pull = big_bytes;
    response.len = 70000;
    (void)rtpush_reply(srv, req->conn, &response);
}

static void on_files(rtpush_server *srv, const rtpush_request *req) {
    reply(srv, req, req->rest);
}

static void on_keep(rtpush_server *srv, const rtpush_request *req) {
    char text[400];
    snprintf(text, sizeof text, "host=%s one=%s two=%s auth=%s cookie=%s origin=%s",
             req->host ? req->host : "-", req->headers[0] ? req->headers[0] : "-",
             req->headers[1] ? req->headers[1] : "-", req->authorization ? req->authorization : "-",
             req->cookie ? req->cookie : "-", req->origin ? req->origin : "-");
    reply(srv, req, text);
}

// What the filter has in use, and who waits for it.
static int tls_pools(const rtpush_server *srv, char *out, size_t cap) {
#ifdef CONFORMANCE_TLS
    const rtpush_tls_pool *tls = srv->filter->ctx;
    unsigned links = 0;
    for (const rtpush_tls_link *l = tls->free_first; l != NULL; l = l->next) {
        links++;
    }
    return snprintf(out, cap, "tls slots %lu handshakes %lu links free %u waiting %d ",
                    (unsigned long)tls->count.slots_used, (unsigned long)tls->handshakes, links,
                    tls->wait_first != NULL);
#else
    (void)srv;
    (void)out;
    (void)cap;
    return 0;
#endif
}

static void on_pools(rtpush_server *srv, const rtpush_request *req) {
    const rtpush_counters *c = rtpush_get_counters(srv);
    char text[300];
    int len = snprintf(text, sizeof text, "slots %lu streams %lu ", (unsigned long)c->slots_used,
                       (unsigned long)c->streams);
    len += tls_pools(srv, text + len, sizeof text - (size_t)len);
    conformance_pools(text + len, sizeof text - (size_t)len);
    reply(srv, req, text);
}

static void on_interrupt(rtpush_server *srv, const rtpush_request *req) {
    conformance_interrupt();
    reply(srv, req, "started");
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const int sent = rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
    return sent == RTPUSH_ERR_WOULD_BLOCK ? RTPUSH_RETRY : RTPUSH_OK;
}

static int on_piece(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)srv;
    (void)conn;
    (void)msg;
    return RTPUSH_OK;
}

static const char *const keep_headers[] = {"x-one", "x-two", NULL};
static const char *const subprotocols[] = {"chat.v2", "chat", NULL};
static const char *const hosts[] = {"device.local", NULL};
static const char *const origins[] = {"https://app.example", NULL};

static const rtpush_route routes[] = {
    {.path = "/", .kind = &rtpush_download, .asset = &index_asset},
    {.path = "/app.js", .kind = &rtpush_download, .asset = &gzip_only},
    {.path = "/hello", .kind = &rtpush_handler, .on_request = on_hello},
    {.path = "/echo",
     .kind = &rtpush_upload,
     .methods = RTPUSH_POST | RTPUSH_PUT,
     .max_body = 100,
     .on_request = on_echo},
    {.path = "/upload",
     .kind = &rtpush_upload,
     .methods = RTPUSH_POST,
     .max_body = 100000,
     .on_request = on_upload,
     .on_body = on_upload_body},
    {.path = "/later", .kind = &rtpush_handler, .on_request = on_later},
    {.path = "/pull", .kind = &rtpush_handler, .on_request = on_pull},
    {.path = "/big", .kind = &rtpush_handler, .on_request = on_big},
    {.path = "/files/*", .kind = &rtpush_handler, .on_request = on_files},
    {.path = "/keep",
     .kind = &rtpush_handler,
     .methods = RTPUSH_GET | RTPUSH_POST,
     .headers = keep_headers,
     .on_request = on_keep},
    {.path = "/pools", .kind = &rtpush_handler, .on_request = on_pools},
    {.path = "/interrupt", .kind = &rtpush_handler, .on_request = on_interrupt},
    {.path = "/ws",
     .kind = &rtpush_websocket,
     .subprotocols = subprotocols,
     .on_message = on_message},
    {.path = "/stream",
     .kind = &rtpush_websocket,
     .flags = RTPUSH_STREAM_MESSAGES,
     .subprotocols = subprotocols,
     .on_message = on_piece},
    {.path = "/any",
     .kind = &rtpush_websocket,
     .flags = RTPUSH_ANY_ORIGIN,
     .subprotocols = subprotocols,
     .on_message = on_message},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/poll", .kind = &rtpush_poll},
};

enum { RX_SIZE = 512, TX_SIZE = 512, LOG_SIZE = 4096, STATE_SUM = 80 };
static uint64_t memory[RTPUSH_WORDS(CONFORMANCE_CONNS, RX_SIZE, TX_SIZE, LOG_SIZE, TOPICS,
                                    STATE_SUM)];

int conformance_start(void) {
    const rtpush_desc desc = {
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
        .topics = topics,
        .topic_count = TOPICS,
        .memory = memory,
        .memory_size = sizeof memory,
        .conn_count = CONFORMANCE_CONNS,
        .rx_size = RX_SIZE,
        .tx_size = TX_SIZE,
        .log_size = LOG_SIZE,
        .epoch = 0x00C0FFEE, // the transcripts know it
        .hosts = hosts,
        .origins = origins,
        .cookie = "sid",
    };
    return rtpush_init(&conformance_server, &desc);
}
