// selftest - a page that tests the board which serves it, and prints one report
//
// app.c is the board, this file the POSIX program around it: to try the page, and to compare.
//
// Build:  make selftest
// Type:   build/selftest [PORT], and open http://127.0.0.1:8080/; 0 picks a free port
// See:    the report grow, and "All ok"

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: sockets, epoll
#endif

#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
#define RTPUSH_JSON_IMPLEMENTATION
#include "ports/rtpush_json.h"

#include "app.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t port_memory[RTPUSH_POSIX_WORDS(APP_CONNS)];
static rtpush_posix port;

static void on_signal(int number) {
    (void)number;
    rtpush_posix_stop(&port);
}

static uint32_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

int main(int argc, char **argv) {
    const rtpush_posix_desc desc = {.memory = port_memory, .memory_size = sizeof port_memory};
    const unsigned wanted = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 8080u;
    const char *wrong;
    rtpush_server *srv = app_start(rtpush_posix_epoch(), NULL, &wrong);
    if (srv == NULL) {
        fprintf(stderr, "selftest: %s\n", wrong);
        return 1;
    }
    const int ready = rtpush_posix_init(&port, &desc);
    const int number = ready < 0 ? -1 : rtpush_posix_listen(&port, srv, "127.0.0.1", wanted, 0);
    if (number < 0) {
        perror("selftest");
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    printf("listening on http://127.0.0.1:%d\n", number);
    fflush(stdout);
    while (rtpush_posix_step(&port, (int)app_step(now_ms())) >= 0) {
    }
    rtpush_posix_close(&port);
    return 0;
}
