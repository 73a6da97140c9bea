// The main of the examples on a PC. It holds what they have in common: options, all ports' code.
//
//     build/examples/NAME --port 8080
//
// APP_HEADER: the app.h of an example that does without the `example` of the one beside this file.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: sockets, epoll
#endif

#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
#define RTPUSH_JSON_IMPLEMENTATION
#include "ports/rtpush_json.h"

#ifdef APP_HEADER
#include APP_HEADER
static const struct {
    int (*option)(const char *name, const char *value);
    const char *usage;
    void (*command)(char **argv);
    void (*end)(void);
} example; // none of these
#else
#include "app.h"
#endif

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static rtpush_posix port; // not on the stack: the signal handler needs it

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
    fprintf(to,
            "usage: %s [--port NUMBER] [--host ADDRESS] [--name NAME]\n"
            "  --port NUMBER   TCP port (8080); 0 picks a free one\n"
            "  --host ADDRESS  address to listen on (127.0.0.1: this machine only)\n"
            "  --name NAME     a host name browsers reach it by, besides addresses\n%s",
            APP_NAME, example.usage != NULL ? example.usage : "");
}

static int parse_port(const char *text, unsigned *number) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    *number = (unsigned)value;
    return end != text && *end == '\0' && *text != '-' && value <= 65535;
}

static int parse_one(options *o, const char *name, const char *value) {
    if (strcmp(name, "--port") == 0) {
        return parse_port(value, &o->port);
    }
    if (strcmp(name, "--host") == 0) {
        o->host = value;
        return 1;
    }
    if (strcmp(name, "--name") == 0) {
        o->names[0] = value;
        return 1;
    }
    return example.option != NULL && example.option(name, value);
}

// Returns the TCP port, or -1.
static int start(const options *o) {
    static uint64_t memory[RTPUSH_POSIX_WORDS(APP_CONNS)];
    const rtpush_posix_desc desc = {.memory = memory, .memory_size = sizeof memory};
    const char *wrong;
    rtpush_server *srv = app_start(rtpush_posix_epoch(), o->names, &wrong);
    if (srv == NULL) {
        fprintf(stderr, "%s: %s\n", APP_NAME, wrong);
        return -1;
    }
    const int number = rtpush_posix_init(&port, &desc) < 0
                           ? -1
                           : rtpush_posix_listen(&port, srv, o->host, o->port, 0);
    if (number < 0) {
        fprintf(stderr, "%s: cannot listen on %s port %u: %s\n", APP_NAME, o->host, o->port,
                errno == EINVAL ? "not an address" : strerror(errno));
    }
    return number;
}

int main(int argc, char **argv) {
    options o = {.host = "127.0.0.1", .port = 8080};
    for (int i = 1; i < argc; i += 2) {
        if (example.command != NULL && i + 1 < argc && strcmp(argv[i], "--") == 0) {
            example.command(argv + i + 1);
            break;
        }
        if (i + 1 == argc || !parse_one(&o, argv[i], argv[i + 1])) {
            const int help = strcmp(argv[i], "--help") == 0;
            if (!help) {
                fprintf(stderr, "%s: cannot use %s %s\n", APP_NAME, argv[i],
                        i + 1 < argc ? argv[i + 1] : "without a value");
            }
            usage(help ? stdout : stderr);
            return help ? 0 : 2;
        }
    }
    const int number = start(&o);
    if (number < 0) {
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    const int ipv6 = strchr(o.host, ':') != NULL;
    printf("listening on http://%s%s%s:%d\n", ipv6 ? "[" : "", o.host, ipv6 ? "]" : "", number);
    fflush(stdout);
    while (rtpush_posix_step(&port, (int)app_step(now_ms())) >= 0) {
    }
    const int failed = errno != 0; // 0: it was told to end
    if (failed) {
        perror(APP_NAME);
    }
    rtpush_posix_close(&port);
    if (example.end != NULL) {
        example.end();
    }
    return failed;
}
