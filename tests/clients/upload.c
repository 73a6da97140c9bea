// A server for bodies in both directions, for upload.test.mjs and proxies.test.mjs.
//
//   POST /form        multipart/form-data alone -> a line for each part: name, file name, type,
//                     length, checksum
//   POST PUT /image   application/octet-stream alone, at any rate -> "length checksum"
//   POST /slow        the same at 64 KiB a second; LATER now and then
//   POST /echo        up to 400 bytes of any type -> the same
//   GET  /pull/N      N bytes that are made as they are sent; /pull/N/chunked without a length
//   GET  /static      100,000 bytes from where they lie
//   GET  /who         the kept fields of the request: Host, X-Forwarded-For
//   GET  /events /ws /poll   topic a; a WebSocket is an echo;  POST /publish
//   GET  /seen        how many requests each route has had, in the order above
//
// Byte i of /pull and /static is (i * 7 + i / 251) % 256. Options: --port N, --idle-ms N.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "../../ports/rtpush_posix.h"
#define RTPUSH_MULTIPART_IMPLEMENTATION
#include "../../ports/rtpush_multipart.h"
#include "../serve.h"

enum { CONNS = 24, RX = 2048, TX = 2048, LOG = 65536, LIMIT = 8000000 };
enum { FORM, IMAGE, SLOW, ECHO_BODY, PULL, STATIC, WHO, EVENTS, WS, POLL, PUBLISH, SEEN, ROUTES };

static uint8_t fixed[100000];
static uint32_t seen[ROUTES];

static uint8_t byte_at(uint32_t i) {
    return (uint8_t)(i * 7u + i / 251u);
}

// -- one upload for each connection ---------------------------------------------------------------

typedef struct upload {
    rtpush_handle conn;
    uint32_t len;
    uint32_t sum; // FNV-1a
    int turn;
    rtpush_multipart form;
    char words[300];
    char report[1200];
    size_t reported;
} upload;

static upload uploads[CONNS];

static void sum_bytes(upload *u, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        u->sum = (u->sum ^ data[i]) * 16777619u;
    }
    u->len += (uint32_t)len;
}

static upload *upload_begin(rtpush_server *srv, const rtpush_request *req) {
    upload *u = &uploads[req->conn.index];
    memset(u, 0, sizeof *u);
    u->conn = req->conn;
    u->sum = 2166136261u;
    rtpush_set_user(srv, req->conn, u);
    return u;
}

static int on_part(void *ctx, int event, const rtpush_part *part, const uint8_t *data, size_t len) {
    upload *u = (upload *)ctx;
    if (event == RTPUSH_PART_BEGIN) {
        u->len = 0;
        u->sum = 2166136261u;
    } else if (event == RTPUSH_PART_DATA) {
        if (++u->turn % 64 == 0) {
            return RTPUSH_RETRY; // as if a flash were busy
        }
        sum_bytes(u, data, len);
    } else {
        const size_t room = sizeof(u->report) - u->reported;
        const int n = snprintf(u->report + u->reported, room, "%s|%s|%s|%lu|%08lx\n", part->name,
                               part->filename ? part->filename : "-",
                               part->content_type ? part->content_type : "-",
                               (unsigned long)u->len, (unsigned long)u->sum);
        if (n < 0 || (size_t)n >= room) {
            return RTPUSH_ERR_TOO_BIG;
        }
        u->reported += (size_t)n;
    }
    return RTPUSH_OK;
}

static void on_form(rtpush_server *srv, const rtpush_request *req) {
    upload *u = upload_begin(srv, req);
    seen[FORM]++;
    (void)rtpush_multipart_init(&u->form, req->content_type, u->words, sizeof u->words, on_part, u);
    if (req->content_length == 0) {
        rtpush_reply_text(srv, req->conn, 400, "no form");
    }
}

static int on_form_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                        size_t len, int last) {
    upload *u = (upload *)rtpush_user(srv, req->conn);
    const int result = rtpush_multipart_read(&u->form, data, len, last);
    if (result == RTPUSH_RETRY) {
        return result;
    }
    if (result < 0) {
        rtpush_reply_text(srv, req->conn, rtpush_multipart_status(result), "bad form");
    } else if (last) {
        rtpush_reply_text(srv, req->conn, 200, u->report);
    }
    return RTPUSH_OK;
}

static void on_image(rtpush_server *srv, const rtpush_request *req) {
    upload_begin(srv, req);
    seen[req->route->rate_bytes == RTPUSH_UNLIMITED ? IMAGE : SLOW]++;
    if (req->content_length == 0) {
        rtpush_reply_text(srv, req->conn, 200, "0 811c9dc5");
    }
}

static int on_image_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                         size_t len, int last) {
    upload *u = (upload *)rtpush_user(srv, req->conn);
    if (req->route->rate_bytes != RTPUSH_UNLIMITED && ++u->turn % 3 == 0) {
        rtpush_retry(srv, req->conn);
        return RTPUSH_RETRY;
    }
    sum_bytes(u, data, len);
    if (last) {
        char text[40];
        snprintf(text, sizeof text, "%lu %08lx", (unsigned long)u->len, (unsigned long)u->sum);
        rtpush_reply_text(srv, req->conn, 200, text);
    }
    return RTPUSH_OK;
}

// -- small routes ---------------------------------------------------------------------------------

static void on_echo(rtpush_server *srv, const rtpush_request *req) {
    const rtpush_response response = {.content_type = "application/octet-stream",
                                      .body = req->body, .len = req->body_len};
    seen[ECHO_BODY]++;
    rtpush_reply(srv, req->conn, &response);
}

static int pull_bytes(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                      uint8_t *buf, size_t cap) {
    const uint32_t len = (uint32_t)(uintptr_t)user;
    uint32_t n = 0;
    (void)srv;
    (void)conn;
    for (; n < cap && offset + n < len; n++) {
        buf[n] = byte_at(offset + n);
    }
    return (int)n;
}

static void on_pull(rtpush_server *srv, const rtpush_request *req) {
    char *end;
    const uint32_t len = (uint32_t)strtoul(req->rest, &end, 10);
    const rtpush_response response = {.content_type = "application/octet-stream",
                                      .len = strcmp(end, "/chunked") == 0 ? 0 : len,
                                      .pull = pull_bytes, .user = (void *)(uintptr_t)len,
                                      .etag = req->rest[0] >= '0' ? "pull-1" : NULL};
    seen[PULL]++;
    rtpush_reply(srv, req->conn, &response);
}

static void on_static(rtpush_server *srv, const rtpush_request *req) {
    const rtpush_response response = {.body_static = 1, .content_type = "application/octet-stream",
                                      .body = fixed, .len = sizeof(fixed), .etag = "static-1"};
    seen[STATIC]++;
    rtpush_reply(srv, req->conn, &response);
}

static void on_who(rtpush_server *srv, const rtpush_request *req) {
    char text[600];
    seen[WHO]++;
    snprintf(text, sizeof text, "host=%s\nforwarded=%s\n", req->host ? req->host : "",
             req->headers[0] ? req->headers[0] : "");
    rtpush_reply_text(srv, req->conn, 200, text);
}

static void on_seen(rtpush_server *srv, const rtpush_request *req) {
    char text[200] = "";
    size_t len = 0;
    for (int i = 0; i < ROUTES; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%lu ", (unsigned long)seen[i]);
    }
    rtpush_reply_text(srv, req->conn, 200, text);
}

static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    seen[PUBLISH]++;
    const int result = rtpush_publish(srv, 0, req->body, req->body_len);
    rtpush_reply_text(srv, req->conn, result < 0 ? 400 : 200, rtpush_strerror(result));
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    return rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
}

static void on_open(rtpush_server *srv, const rtpush_request *req) {
    (void)srv;
    seen[req->route->kind == &rtpush_events ? EVENTS : req->route->kind == &rtpush_poll ? POLL
                                                                                      : WS]++;
}

static const rtpush_topic topics[] = {{.name = "a", .kind = &rtpush_topic_event}};
static const char *const form_types[] = {"multipart/form-data", NULL};
static const char *const image_types[] = {"application/octet-stream", NULL};
static const char *const who_fields[] = {"x-forwarded-for", NULL};

static const rtpush_route routes[] = {
    {.path = "/form", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = LIMIT,
     .rate_bytes = RTPUSH_UNLIMITED, .body_types = form_types, .on_request = on_form,
     .on_body = on_form_body},
    {.path = "/image", .kind = &rtpush_upload, .methods = RTPUSH_POST | RTPUSH_PUT,
     .max_body = LIMIT, .rate_bytes = RTPUSH_UNLIMITED, .body_types = image_types,
     .on_request = on_image, .on_body = on_image_body},
    {.path = "/slow", .kind = &rtpush_upload, .methods = RTPUSH_POST | RTPUSH_PUT,
     .max_body = LIMIT, .rate_bytes = 65536, .body_types = image_types, .on_request = on_image,
     .on_body = on_image_body},
    {.path = "/echo", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 400,
     .on_request = on_echo},
    {.path = "/pull/*", .kind = &rtpush_handler, .on_request = on_pull},
    {.path = "/static", .kind = &rtpush_handler, .on_request = on_static},
    {.path = "/who", .kind = &rtpush_handler, .headers = who_fields, .on_request = on_who},
    {.path = "/events", .kind = &rtpush_events, .on_open = on_open},
    {.path = "/ws", .kind = &rtpush_websocket, .on_open = on_open, .on_message = on_message},
    {.path = "/poll", .kind = &rtpush_poll, .on_open = on_open},
    {.path = "/publish", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 400,
     .on_request = on_publish},
    {.path = "/seen", .kind = &rtpush_handler, .on_request = on_seen},
};

int main(int argc, char **argv) {
    static rtpush_server srv;
    static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 1, 0)];
    static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
    rtpush_desc desc = {.routes = routes, .route_count = sizeof(routes) / sizeof(routes[0]),
                        .topics = topics, .topic_count = 1, .memory = memory,
                        .memory_size = sizeof(memory), .conn_count = CONNS, .rx_size = RX,
                        .tx_size = TX, .log_size = LOG, .epoch = rtpush_posix_epoch(),
                        .rate_messages = 10000};
    const rtpush_posix_desc posix = {.memory = port_memory, .memory_size = sizeof(port_memory)};
    unsigned number = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--port") == 0) {
            number = value;
        } else if (strcmp(argv[i], "--idle-ms") == 0) {
            desc.idle_ms = value;
        }
    }
    for (uint32_t i = 0; i < sizeof(fixed); i++) {
        fixed[i] = byte_at(i);
    }
    return serve(&srv, &desc, &posix, number, NULL);
}
