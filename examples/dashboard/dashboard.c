// dashboard - live sensors of the machine it runs on, in every browser that asks
//
// Shows STATE and EVENT topics over WebSocket, SSE and long polling, commands from the page, an
// application of its own (app.c) on the POSIX port's loop, and a page served from const memory.
//
// Build:  make dashboard  or by hand, from the top of the repository:
//         npm ci --prefix examples/dashboard --ignore-scripts     (optional: charts)
//         sh examples/dashboard/bundle.sh build/dashboard_assets.h
//         cc -std=c99 -O2 -Ibuild -I. examples/dashboard/*.c -o build/dashboard -lpthread
// Type:   build/dashboard, and open http://127.0.0.1:8080/ twice, side by side
// See:    numbers that move; the switch of one page moves the other's; stop the program and start
//         it again: the pages reconnect by themselves and say what they missed.

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

// All memory there is. The log holds about ten minutes of samples at one a second: a page that
// reconnects within that time misses nothing.
enum { CONNS = 64, STREAMS = 56, RX_SIZE = 512, TX_SIZE = 1024, LOG_SIZE = 64 * 1024 };
static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(CONNS, RX_SIZE, TX_SIZE, LOG_SIZE, APP_TOPIC_COUNT,
                                    APP_STATE_SUM)];
static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
static rtpush_posix port; // not on the stack: the signal handler needs it
static app dashboard;

typedef struct options {
    const char *host;
    unsigned port;
    const char *names[2]; // host names this server answers to, ended by NULL
} options;

static uint32_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

static void on_signal(int number) {
    (void)number;
    rtpush_posix_stop(&port);
}

static void usage(FILE *to) {
    fputs("usage: dashboard [--host ADDRESS] [--port NUMBER] [--name NAME]\n"
          "Live sensors of this machine, in the browser.\n\n"
          "  --host ADDRESS  address to listen on (127.0.0.1: this machine only);\n"
          "                  0.0.0.0 lets the whole network see and switch\n"
          "  --port NUMBER   TCP port (8080); 0 picks a free one\n"
          "  --name NAME     a host name browsers reach it by, besides addresses\n"
          "  --help          this text\n",
          to);
}

static int parse_port(const char *text, unsigned *number) {
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value > 65535) {
        return 0;
    }
    *number = (unsigned)value;
    return 1;
}

// 0 to go on; else the program ends with the exit status in *status.
static int parse(int argc, char **argv, options *o, int *status) {
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        int good = 0;
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            *status = 0;
            return 1;
        }
        if (value != NULL && strcmp(argv[i], "--host") == 0) {
            o->host = value;
            good = 1;
        } else if (value != NULL && strcmp(argv[i], "--port") == 0) {
            good = parse_port(value, &o->port);
        } else if (value != NULL && strcmp(argv[i], "--name") == 0) {
            o->names[0] = value;
            good = 1;
        }
        if (!good) {
            fprintf(stderr, "dashboard: cannot use \"%s\"\n", argv[i]);
            usage(stderr);
            *status = 2;
            return 1;
        }
    }
    return 0;
}

static int start_server(const options *o) {
    const rtpush_desc desc = {
        .routes = app_routes,
        .route_count = app_route_count,
        .topics = app_topics,
        .topic_count = APP_TOPIC_COUNT,
        .memory = memory,
        .memory_size = sizeof memory,
        .conn_count = CONNS,
        .rx_size = RX_SIZE,
        .tx_size = TX_SIZE,
        .log_size = LOG_SIZE,
        .epoch = rtpush_posix_epoch(),
        .hosts = o->names,
        .max_streams = STREAMS,
        .user = &dashboard,
    };
    const int result = rtpush_init(&server, &desc);
    if (result < 0) {
        fprintf(stderr, "dashboard: %s: %s\n", rtpush_strerror(result),
                rtpush_config_error(&server));
    }
    return result;
}

// Returns the TCP port, or -1.
static int start_port(const options *o) {
    const rtpush_posix_desc desc = {.memory = port_memory, .memory_size = sizeof port_memory};
    if (rtpush_posix_init(&port, &desc) < 0) {
        perror("dashboard: rtpush_posix_init");
        return -1;
    }
    const int number = rtpush_posix_listen(&port, &server, o->host, o->port, 0);
    if (number < 0) {
        fprintf(stderr, "dashboard: cannot listen on %s port %u: %s\n", o->host, o->port,
                errno == EINVAL ? "not an address" : strerror(errno));
        rtpush_posix_close(&port);
    }
    return number;
}

static int run(void) {
    for (;;) {
        const uint32_t wait_ms = app_step(&dashboard, now_ms());
        if (rtpush_posix_step(&port, (int)wait_ms) < 0) {
            break;
        }
    }
    if (errno != 0) {
        perror("dashboard: rtpush_posix_step");
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    options o = {.host = "127.0.0.1", .port = 8080};
    int status = 0;
    if (parse(argc, argv, &o, &status)) {
        return status;
    }
    if (start_server(&o) < 0) {
        return 1;
    }
    const int number = start_port(&o);
    if (number < 0) {
        return 1;
    }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    dashboard.ram = (uint32_t)(sizeof server + sizeof memory);
    dashboard.log_size = LOG_SIZE;
    dashboard.max_conns = CONNS;
    app_start(&dashboard, &server, now_ms());

    const int ipv6 = strchr(o.host, ':') != NULL;
    printf("listening on http://%s%s%s:%d\n", ipv6 ? "[" : "", o.host, ipv6 ? "]" : "", number);
    fflush(stdout);
    status = run();
    rtpush_posix_close(&port);
    return status;
}
