// WebSocket echo: every message comes back, text as text and binary as binary, of any size, in
// 4 KiB of memory a connection. Messages longer than the buffer pass through in pieces. While a
// client does not read, nothing more is read from it.
//
// Build:  cc -O2 -I../.. echo.c -o echo -lpthread        (or: make echo)
// Type:   ./echo --port 9001
//         then, in a browser's console:
//             ws = new WebSocket("ws://127.0.0.1:9001/")
//             ws.onmessage = (e) => console.log(e.data)
//             ws.send("hello")
// See:    "hello" in the console.
//
// The rate limits are off and there are many slots, because load generators and conformance suites
// run against this program.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: sockets, epoll
#endif

#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "../../ports/rtpush_posix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Together below 4 KiB. A piece is at most RX_SIZE bytes, so one and its frame header always fit
// into empty tx bytes; two often do, which halves the system calls of a long message.
#define RX_SIZE 1280u
#define TX_SIZE 2800u

// Buffers of the port, shared by all connections: many peers may stop reading in the middle of a
// long message, and each holds two of these meanwhile.
#define BUFFERS 64u
#define BUFFER_SIZE 32768u

static rtpush_posix port; // global for the signal handler

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    int result = 0;
    if (msg->first && msg->last) {
        result = rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
    } else {
        result =
            rtpush_send_part(srv, conn, msg->opcode, msg->data, msg->len, msg->first, msg->last);
    }
    if (result < 0 && result != RTPUSH_ERR_WOULD_BLOCK) {
        fprintf(stderr, "echo: %s\n", rtpush_strerror(result));
        rtpush_abort(srv, conn);
    }
    return result; // WOULD_BLOCK: it comes again when the queued bytes are sent
}

static const rtpush_route routes[] = {
    {.path = "/",
     .kind = &rtpush_websocket,
     .flags = RTPUSH_STREAM_MESSAGES,
     .on_message = on_message},
};

static void on_signal(int number) {
    (void)number;
    rtpush_posix_stop(&port);
}

typedef struct options {
    const char *host;
    unsigned number; // TCP port
    uint32_t conns;
} options;

static const char usage[] = "usage: echo [--port 9001] [--host 127.0.0.1] [--conns 1024]\n"
                            "WebSocket echo at /. --port 0 picks a free port.\n"
                            "--conns: WebSockets at a time, up to 500000.\n";

static int set_number(uint32_t *out, const char *value, uint32_t least, uint32_t most) {
    char *end = NULL;
    const unsigned long number = strtoul(value, &end, 10);
    *out = (uint32_t)number;
    return end != value && *end == '\0' && *value != '-' && number >= least && number <= most;
}

static int set_option(options *out, const char *name, const char *value) {
    uint32_t number = 0;
    if (strcmp(name, "--port") == 0 && set_number(&number, value, 0, 65535)) {
        out->number = number;
    } else if (strcmp(name, "--host") == 0) {
        out->host = value;
    } else if (strcmp(name, "--conns") == 0) {
        return set_number(&out->conns, value, 1, 500000);
    } else {
        return 0;
    }
    return 1;
}

// 0, or the exit status + 1.
static int parse(int argc, char **argv, options *out) {
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 1 + EXIT_SUCCESS;
        }
        if (i + 1 == argc || !set_option(out, argv[i], argv[i + 1])) {
            fprintf(stderr, "echo: cannot use %s %s\n%s", argv[i],
                    i + 1 < argc ? argv[i + 1] : "without a value", usage);
            return 1 + EXIT_FAILURE;
        }
    }
    return 0;
}

// All memory, once: the number of connections comes from the command line. Zeroed pages that no
// connection uses are never touched.
static int start(rtpush_server *srv, const options *opt) {
    const uint32_t slots = opt->conns + 1u; // one for a plain request beside the streams
    const size_t words = RTPUSH_WORDS(slots, RX_SIZE, TX_SIZE, 0, 0, 0);
    const rtpush_desc desc = {.routes = routes,
                              .route_count = 1,
                              .memory = calloc(words, 8),
                              .memory_size = words * 8,
                              .conn_count = slots,
                              .rx_size = RX_SIZE,
                              .tx_size = TX_SIZE,
                              .epoch = rtpush_posix_epoch(),
                              .max_streams = opt->conns,
                              .rate_messages = RTPUSH_UNLIMITED,
                              .rate_bytes = RTPUSH_UNLIMITED};
    const size_t memory_size = RTPUSH_POSIX_SIZE(slots, BUFFERS, BUFFER_SIZE) + 7u;
    const rtpush_posix_desc port_desc = {.memory = calloc(memory_size, 1),
                                         .memory_size = memory_size,
                                         .conn_count = slots,
                                         .buffer_count = BUFFERS,
                                         .buffer_size = BUFFER_SIZE};
    if (!desc.memory || !port_desc.memory) {
        fputs("echo: not enough memory for so many connections\n", stderr);
        return -1;
    }
    if (rtpush_posix_raise_files(slots) < slots) {
        fputs("echo: warning: fewer files than connections allowed (ulimit -n)\n", stderr);
    }
    const int result = rtpush_init(srv, &desc);
    if (result < 0) {
        fprintf(stderr, "echo: %s: %s\n", rtpush_strerror(result), rtpush_config_error(srv));
        return -1;
    }
    if (rtpush_posix_init(&port, &port_desc) < 0) {
        perror("echo: init");
        return -1;
    }
    const int number = rtpush_posix_listen(&port, srv, opt->host, opt->number, 0);
    if (number < 0) {
        fprintf(stderr, "echo: cannot listen on %s port %u: %s\n", opt->host, opt->number,
                errno == EINVAL ? "not an address" : strerror(errno));
        return -1;
    }
    const int v6 = strchr(opt->host, ':') != NULL;
    printf("listening on ws://%s%s%s:%d/\n", v6 ? "[" : "", opt->host, v6 ? "]" : "", number);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv) {
    static rtpush_server srv;
    options opt = {"127.0.0.1", 9001, 1024};
    const int done = parse(argc, argv, &opt);
    if (done) {
        return done - 1;
    }
    if (start(&srv, &opt) < 0) {
        return EXIT_FAILURE;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (rtpush_posix_run(&port) < 0) {
        perror("echo: run");
        return EXIT_FAILURE;
    }
    rtpush_posix_close(&port);
    return EXIT_SUCCESS;
}
