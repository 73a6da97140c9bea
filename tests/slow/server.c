// server.c - what tests/slow/readers.py reads slowly: long answers on every transport. Built plain
// with epoll, and with -DSLOW_TLS over TLS with poll().
// Usage: server ADDRESS PORT [NAME=VALUE...], NAME: conns idle close stall ping (milliseconds)

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
#ifdef SLOW_TLS
#include "tests/tls/listen.h"
#endif

enum { CONNS = 64, RX = 2048, TX = 2048, LOG = 160 * 1024, EVENTS = 101, EVENT = 1000 };

static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 1, 0)];
static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
static uint8_t file[101000];
static rtpush_server srv;
static rtpush_posix port;

static uint32_t bytes_wanted(const rtpush_request *req) {
    char text[12];
    const int len = rtpush_query(req->query, "bytes", text, sizeof text);
    const unsigned long bytes = len > 0 ? strtoul(text, NULL, 10) : sizeof file;
    return bytes < sizeof file ? (uint32_t)bytes : (uint32_t)sizeof file;
}

// GET /file?bytes=N: from where it lies.
static void on_file(rtpush_server *server, const rtpush_request *req) {
    rtpush_response response;
    memset(&response, 0, sizeof response);
    response.body = file;
    response.len = bytes_wanted(req);
    response.body_static = 1;
    rtpush_reply(server, req->conn, &response);
}

static int pull(rtpush_server *server, rtpush_handle conn, void *user, uint32_t offset,
                uint8_t *buf, size_t cap) {
    const size_t left = (size_t)(uintptr_t)user - offset;
    const size_t len = left < cap ? left : cap;
    (void)server;
    (void)conn;
    memcpy(buf, file + offset, len);
    return (int)len;
}

// GET /pull?bytes=N: a piece at a time.
static void on_pull(rtpush_server *server, const rtpush_request *req) {
    rtpush_response response;
    memset(&response, 0, sizeof response);
    response.pull = pull;
    response.user = (void *)(uintptr_t)bytes_wanted(req);
    rtpush_reply(server, req->conn, &response);
}

static void on_open(rtpush_server *server, const rtpush_request *req) {
    rtpush_set_user(server, req->conn, file);
}

// GET /end: every event stream ends.
static void on_end(rtpush_server *server, const rtpush_request *req) {
    rtpush_handle stream = {0, 0};
    rtpush_reply_text(server, req->conn, 200, "ended\n");
    while ((stream = rtpush_next_stream(server, stream)).serial != 0) {
        if (rtpush_user(server, stream) == file) {
            rtpush_close(server, stream, 1000, "end");
        }
    }
}

static int on_message(rtpush_server *server, rtpush_handle conn, const rtpush_message *message) {
    return rtpush_send(server, conn, message->opcode, message->data, message->len);
}

static const rtpush_topic topics[] = {{.name = "log", .kind = &rtpush_topic_event}};
static const rtpush_route routes[] = {
    {.path = "/file", .kind = &rtpush_handler, .on_request = on_file},
    {.path = "/pull", .kind = &rtpush_handler, .on_request = on_pull},
    {.path = "/end", .kind = &rtpush_handler, .on_request = on_end},
    {.path = "/events", .kind = &rtpush_events, .on_open = on_open},
    {.path = "/poll", .kind = &rtpush_poll},
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
};

static uint32_t option(int argc, char **argv, const char *name, uint32_t otherwise) {
    for (int i = 3; i < argc; i++) {
        const size_t len = strlen(name);
        if (strncmp(argv[i], name, len) == 0 && argv[i][len] == '=') {
            return (uint32_t)strtoul(argv[i] + len + 1, NULL, 10);
        }
    }
    return otherwise;
}

static int publish(void) {
    char event[EVENT + 1];
    for (int i = 0; i < EVENTS; i++) {
        memset(event, 'e', EVENT);
        const int len = snprintf(event, sizeof event, "%06d", i);
        event[len] = ' ';
        if (rtpush_publish(&srv, 0, event, EVENT) < 0) {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    rtpush_desc desc;
    rtpush_posix_desc posix;
    int number;
    if (argc < 3) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    memset(&desc, 0, sizeof desc);
    memset(&posix, 0, sizeof posix);
    for (size_t i = 0; i < sizeof file; i++) {
        file[i] = (uint8_t)('a' + i % 23);
    }
    desc.routes = routes;
    desc.route_count = sizeof routes / sizeof routes[0];
    desc.topics = topics;
    desc.topic_count = 1;
    desc.memory = memory;
    desc.memory_size = sizeof memory;
    desc.conn_count = option(argc, argv, "conns", CONNS);
    desc.rx_size = RX;
    desc.tx_size = TX;
    desc.log_size = LOG;
    desc.epoch = 7; // readers.py knows it
    desc.rate_messages = RTPUSH_UNLIMITED;
    desc.rate_bytes = RTPUSH_UNLIMITED;
    desc.idle_ms = option(argc, argv, "idle", 0);
    desc.close_ms = option(argc, argv, "close", 0);
    desc.stall_ms = option(argc, argv, "stall", 0);
    desc.ping_ms = option(argc, argv, "ping", 0);
    posix.memory = port_memory;
    posix.memory_size = sizeof port_memory;
    if (rtpush_init(&srv, &desc) || rtpush_posix_init(&port, &posix)) {
        fprintf(stderr, "server: %s\n", rtpush_config_error(&srv));
        return 1;
    }
#ifdef SLOW_TLS
    number = tls_listen(&port, &srv, argv[1], (unsigned)atoi(argv[2]), 0);
#else
    number = rtpush_posix_listen(&port, &srv, argv[1], (unsigned)atoi(argv[2]), 0);
#endif
    if (number < 0 || publish() < 0) {
        perror("server");
        return 1;
    }
    printf("%d\n", number);
    fflush(stdout);
    return rtpush_posix_run(&port) == 0 ? 0 : 1;
}
