// selftest - a page that tests the board which serves it, and prints one report
//
// app.c is the board, this file the POSIX program around it: to try the page, and to compare.
//
// Build:  make selftest
// Type:   build/selftest, and open http://127.0.0.1:8080/; --port 0 picks a free port
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

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

// usage: selftest [--port NUMBER]     8080; 0 picks a free one; the word --port may be left out.
// The port; otherwise -1 with the exit status of the program in *status.
static long wanted_port(int argc, char **argv, int *status) {
    const int at = argc > 1 && strcmp(argv[1], "--port") == 0 ? 2 : 1;
    char *end = NULL;
    if (argc == 1) {
        return 8080;
    }
    if (argc == at + 1) {
        const unsigned long number = strtoul(argv[at], &end, 10);
        if (end != argv[at] && *end == '\0' && *argv[at] != '-' && number <= 65535) {
            return (long)number;
        }
    }
    *status = strcmp(argv[1], "--help") == 0 ? 0 : 2;
    fputs("usage: selftest [--port NUMBER]\n"
          "  --port NUMBER   TCP port on 127.0.0.1 (8080); 0 picks a free one\n",
          *status == 0 ? stdout : stderr);
    return -1;
}

int main(int argc, char **argv) {
    const rtpush_posix_desc desc = {.memory = port_memory, .memory_size = sizeof port_memory};
    const char *wrong;
    int status = 0;
    const long wanted = wanted_port(argc, argv, &status);
    if (wanted < 0) {
        return status;
    }
    rtpush_server *srv = app_start(rtpush_posix_epoch(), NULL, &wrong);
    if (srv == NULL) {
        fprintf(stderr, "selftest: %s\n", wrong);
        return 1;
    }
    const int ready = rtpush_posix_init(&port, &desc);
    const int number = ready < 0
                           ? -1
                           : rtpush_posix_listen(&port, srv, "127.0.0.1", (unsigned)wanted, 0);
    if (number < 0) {
        fprintf(stderr, "selftest: cannot listen on 127.0.0.1 port %ld: %s\n", wanted,
                strerror(errno));
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
