// What a program does that has rtpush from a package: starts a server, serves for a moment, ends.
#ifdef USE_HEADERS // pkg-config: one file of the program has the implementation
#define _GNU_SOURCE
#define RTPUSH_IMPLEMENTATION
#define RTPUSH_POSIX_IMPLEMENTATION
#endif
#include <rtpush.h>
#include <ports/rtpush_posix.h>

#include <stdio.h>

enum { CONNS = 2, RX = 512, TX = 512, LOG = 256 };
static const rtpush_topic topics[] = {{"news", &rtpush_topic_event, 0, 0}};
static const rtpush_route routes[] = {{"/events", &rtpush_events}};
static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 1, 0)];
static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
static rtpush_server server;
static rtpush_posix port;

int main(void) {
    rtpush_desc desc = {0};
    rtpush_posix_desc posix = {0};
    desc.routes = routes;
    desc.route_count = 1;
    desc.topics = topics;
    desc.topic_count = 1;
    desc.memory = memory;
    desc.memory_size = sizeof memory;
    desc.conn_count = CONNS;
    desc.log_size = LOG;
    desc.epoch = rtpush_posix_epoch();
    posix.memory = port_memory;
    posix.memory_size = sizeof port_memory;
    if (rtpush_init(&server, &desc) || rtpush_posix_init(&port, &posix) ||
        rtpush_posix_listen(&port, &server, NULL, 0, 0) < 0) {
        fprintf(stderr, "not started: %s\n", rtpush_config_error(&server));
        return 1;
    }
    rtpush_publish(&server, 0, "hello", 5);
    rtpush_posix_step(&port, 0);
    rtpush_posix_close(&port);
    printf("rtpush %06x serves\n", RTPUSH_VERSION);
    return 0;
}
