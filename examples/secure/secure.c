// secure - a device behind TLS and a login: https and wss, a signed cookie, tickets for the pages
// of other sites, two roles. The application (app.c) uses no sockets, files and clocks; the
// firmware uses the same. This file is the rest: options, keys, certificate, memory, the loop.
//
// Build:  make secure        (Debian: libbearssl-dev; make cert makes a certificate to try with)
//         make secure TLS=mbedtls    the same by mbedTLS 3.6, with TLS 1.3
// Type:   make secure-run    and open https://127.0.0.1:8443/ in two windows, one of them private
// See:    a login; the passwords stand on the terminal. A viewer sees, an admin switches and reads
//         the audit. Log out in one window: its stream ends, the other's goes on.

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

// All memory there is, with that of TLS.
enum { CONNS = 32, STREAMS = 24, LOG_SIZE = 16 * 1024, ORIGINS = 4 };
static rtpush_server server;

// start_tls and its memory.
#ifdef SECURE_MBEDTLS
#include "tls_mbedtls.h"
#else
#include "tls_bearssl.h"
#endif

static uint64_t memory[RTPUSH_WORDS(CONNS, APP_RX_SIZE, APP_TX_SIZE, LOG_SIZE, APP_TOPIC_COUNT,
                                    APP_STATE_SUM)];
static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
static rtpush_posix port; // not on the stack: the signal handler needs it
static app device;

typedef struct options {
    const char *host;
    unsigned port;
    int plain; // a second port, which redirects to https; -1: none
    const char *cert;
    const char *key;
    const char *names[2];               // host names this server answers to, ended by NULL
    const char *origins[ORIGINS + 1]; // other sites that may ask for tickets, ended by NULL
    int clockless;
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

// -- what the application says --------------------------------------------------------------------

static void print(const char *line) {
    printf("%s\n", line);
    fflush(stdout);
}

static void output(int on) {
    print(on ? "output on" : "output off");
}

static void on_refuse(rtpush_server *srv, uint32_t peer, int status, int why) {
    (void)srv;
    app_refused(&device, peer, status, why);
}

// -- options --------------------------------------------------------------------------------------

static void usage(FILE *to) {
    fputs("usage: secure [OPTION VALUE]...\n"
          "A device behind TLS and a login.\n\n"
          "  --host ADDRESS   address to listen on (127.0.0.1: this machine only)\n"
          "  --port NUMBER    TCP port of https (8443); 0 picks a free one\n"
          "  --plain NUMBER   also a port of http, which sends browsers to the other\n"
          "  --cert FILE      certificate and its issuers, PEM (build/cert/ec.pem)\n"
          "  --key FILE       its key, PEM (build/cert/ec.key)\n"
          "  --name NAME      a host name browsers reach it by, besides addresses\n"
          "  --origin ORIGIN  another site that may ask for tickets, as https://app.example;\n"
          "                   up to four times\n"
          "  --clock no       as a device that does not know the time of day\n"
          "  --help           this text\n\n"
          "Environment, so that they do not show in ps; what is not given is made and printed:\n"
          "  RTPUSH_ADMIN, RTPUSH_VIEWER   passwords\n"
          "  RTPUSH_TOKEN_KEY              key of the tokens, 32 characters or more\n",
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

static int parse_one(options *o, const char *name, const char *value) {
    unsigned number;
    if (strcmp(name, "--port") == 0) {
        return parse_port(value, &o->port);
    }
    if (strcmp(name, "--plain") == 0) {
        const int good = parse_port(value, &number);
        o->plain = good ? (int)number : -1;
        return good;
    }
    if (strcmp(name, "--origin") == 0) {
        int i = 0;
        while (i < ORIGINS && o->origins[i] != NULL) {
            i++;
        }
        o->origins[i] = i < ORIGINS ? value : NULL;
        return i < ORIGINS;
    }
    if (strcmp(name, "--clock") == 0) {
        o->clockless = strcmp(value, "no") == 0;
        return o->clockless;
    }
    const char **text = strcmp(name, "--host") == 0   ? &o->host
                        : strcmp(name, "--cert") == 0 ? &o->cert
                        : strcmp(name, "--key") == 0  ? &o->key
                        : strcmp(name, "--name") == 0 ? &o->names[0]
                                                      : NULL;
    if (text != NULL) {
        *text = value;
    }
    return text != NULL;
}

// 0 to go on; else the program ends with the exit status in *status.
static int parse(int argc, char **argv, options *o, int *status) {
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            *status = 0;
            return 1;
        }
        if (i + 1 >= argc || !parse_one(o, argv[i], argv[i + 1])) {
            fprintf(stderr, "secure: cannot use \"%s\"\n", argv[i]);
            usage(stderr);
            *status = 2;
            return 1;
        }
    }
    return 0;
}

// -- keys -----------------------------------------------------------------------------------------

static int random_bytes(void *out, size_t len) {
    FILE *file = fopen("/dev/urandom", "rb");
    const size_t got = file != NULL ? fread(out, 1, len, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    return got == len ? 0 : -1;
}

// Secrets that are not given are made and printed by the application.
static int make_keys(app_options *keys) {
    const char *token_key = getenv("RTPUSH_TOKEN_KEY");
    keys->passwords[APP_ADMIN] = getenv("RTPUSH_ADMIN");
    keys->passwords[APP_VIEWER] = getenv("RTPUSH_VIEWER");
    if (token_key != NULL) {
        keys->token_key.bytes = token_key;
        keys->token_key.len = strlen(token_key);
    }
    if (token_key != NULL && keys->token_key.len < APP_KEY_SIZE) {
        fputs("secure: RTPUSH_TOKEN_KEY: 32 characters or more\n", stderr);
        return -1;
    }
    if (random_bytes(keys->key, sizeof keys->key) < 0) {
        fputs("secure: no random bytes: a key that can be guessed is none\n", stderr);
        return -1;
    }
    return 0;
}

// -- the start ------------------------------------------------------------------------------------

static int start_server(const options *o) {
    const rtpush_desc desc = {
        .routes = app_routes,
        .route_count = APP_ROUTE_COUNT,
        .topics = app_topics,
        .topic_count = APP_TOPIC_COUNT,
        .memory = memory,
        .memory_size = sizeof memory,
        .conn_count = CONNS,
        .rx_size = APP_RX_SIZE,
        .tx_size = APP_TX_SIZE,
        .log_size = LOG_SIZE,
        .epoch = rtpush_posix_epoch(),
        .hosts = o->names,
        .origins = o->origins,
        .cookie = APP_COOKIE,
        .authorize = app_authorize,
        .on_refuse = on_refuse,
        .max_streams = STREAMS,
        .user = &device,
    };
    const int result = rtpush_init(&server, &desc);
    if (result < 0) {
        fprintf(stderr, "secure: %s: %s\n", rtpush_strerror(result), rtpush_config_error(&server));
    }
    return result;
}

static int listen_on(const options *o, unsigned number, unsigned flags) {
    const int got = rtpush_posix_listen(&port, &server, o->host, number, flags);
    if (got < 0) {
        fprintf(stderr, "secure: cannot listen on %s port %u: %s\n", o->host, number,
                errno == EINVAL ? "not an address" : strerror(errno));
        rtpush_posix_close(&port);
    }
    return got;
}

// Returns the TCP port of https, or -1.
static int start_port(const options *o) {
    const rtpush_posix_desc desc = {.memory = port_memory, .memory_size = sizeof port_memory};
    if (rtpush_posix_init(&port, &desc) < 0) {
        perror("secure: rtpush_posix_init");
        return -1;
    }
    const int number = listen_on(o, o->port, RTPUSH_LISTENER_SECURE);
    if (number >= 0 && o->plain >= 0) {
        const int plain = listen_on(o, (unsigned)o->plain, 0);
        if (plain < 0) {
            return -1;
        }
        printf("plain, only to say where to go: http port %d\n", plain);
    }
    return number;
}

static int run(void) {
    for (;;) {
        const uint32_t wait_ms = app_step(&device, now_ms());
        if (rtpush_posix_step(&port, (int)wait_ms) < 0) {
            break;
        }
    }
    if (errno != 0) {
        perror("secure: rtpush_posix_step");
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    options o = {.host = "127.0.0.1", .port = 8443, .plain = -1, .cert = "build/cert/ec.pem",
                 .key = "build/cert/ec.key"};
    app_options keys = {.origins = o.origins, .output = output, .print = print};
    int status = 0;
    if (parse(argc, argv, &o, &status)) {
        return status;
    }
    if (make_keys(&keys) < 0) {
        return 1;
    }
    keys.unix_s = o.clockless ? 0 : (uint32_t)time(NULL);
    if (start_server(&o) < 0 || start_tls(o.cert, o.key) < 0) {
        return 1;
    }
    const int number = start_port(&o);
    if (number < 0) {
        return 1;
    }
    keys.https_port = (unsigned)number;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    app_start(&device, &server, &keys, now_ms());

    const int ipv6 = strchr(o.host, ':') != NULL;
    printf("listening on https://%s%s%s:%d\n", ipv6 ? "[" : "", o.host, ipv6 ? "]" : "", number);
    fflush(stdout);
    status = run();
    rtpush_posix_close(&port);
    return status;
}
