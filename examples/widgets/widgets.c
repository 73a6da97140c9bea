// widgets - a live dashboard of a device, without a line of HTML
//
// Shows ports/rtpush_dash.h: a const table becomes gauges, charts, switches, sliders and a log in
// every browser. app.c is the device, this file the POSIX program around it.
//
// Build:  make widgets    or by hand, from the top of the repository:
//         sh ports/dash.sh build/widgets_assets.h examples/dashboard/node_modules/uplot
//         cc -std=c99 -O2 -Ibuild -I. examples/widgets/app.c examples/widgets/widgets.c -o widgets
// Type:   build/widgets, and open http://127.0.0.1:8080/ twice, side by side
// See:    the lamp of one page moves the other's, and the temperature follows

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
static rtpush_posix port; // not on the stack: the signal handler needs it

static void on_signal(int number) {
    (void)number;
    rtpush_posix_stop(&port);
}

static uint32_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

// usage: widgets [--port NUMBER]     8080; 0 picks a free one; the word --port may be left out.
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
    fputs("usage: widgets [--port NUMBER]\n"
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
        fprintf(stderr, "widgets: %s\n", wrong);
        return 1;
    }
    const int number = rtpush_posix_init(&port, &desc) < 0
                           ? -1
                           : rtpush_posix_listen(&port, srv, "127.0.0.1", (unsigned)wanted, 0);
    if (number < 0) {
        fprintf(stderr, "widgets: cannot listen on 127.0.0.1 port %ld: %s\n", wanted,
                strerror(errno));
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    printf("listening on http://127.0.0.1:%d\n", number);
    fflush(stdout);
    errno = 0;
    while (rtpush_posix_step(&port, (int)app_step(now_ms())) >= 0) {
    }
    rtpush_posix_close(&port);
    return errno != 0;
}
