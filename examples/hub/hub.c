// A hub: what one client publishes, all the others see, whichever of the three transports they
// use. The same event carries the same id on all of them, so that a reader that reconnects can
// ask for what it missed.
//
// Build:  cc -O2 -I../.. hub.c -o hub -lpthread          (or: make hub)
// Type:   ./hub --topics news,chat --state light
//         curl -N 'http://127.0.0.1:8081/events?topics=news,light'
//         and in another terminal
//         curl -d 'it works' http://127.0.0.1:8081/publish/news
//         curl -d 'on'       http://127.0.0.1:8081/publish/light
// See:    both in the first terminal, the event with its id. README.md lists every URL.
//
// There are no rate limits and no authorization, because load generators run against this program.
// Keep it on 127.0.0.1, or behind a proxy that authenticates.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: sockets, epoll
#endif

#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "../../ports/rtpush_posix.h"

#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOPICS_MAX = 32 };
#define HEAD_SIZE 512u   // rx bytes for the request head beside the message
#define REPLY_SIZE 2048u // tx bytes at least: /stats

static rtpush_posix port; // global for the signal handler
static rtpush_topic topics[TOPICS_MAX];
static unsigned topic_count;

// -- publishing -----------------------------------------------------------------------------------

static int status_of(int error) {
    switch (error) {
    case RTPUSH_ERR_TOO_BIG:
        return 413;
    case RTPUSH_ERR_UTF8:
        return 400;
    case RTPUSH_ERR_FULL:
        return 503;
    default:
        return 500;
    }
}

// POST /publish/NAME
static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    const int topic = rtpush_topic_index(srv, req->rest);
    if (topic < 0) {
        rtpush_reply_text(srv, req->conn, 404, "no such topic\n");
        return;
    }
    const int result = rtpush_publish(srv, (unsigned)topic, req->body, req->body_len);
    if (result < 0) {
        rtpush_reply_text(srv, req->conn, status_of(result), rtpush_strerror(result));
    } else if (topics[topic].kind == &rtpush_topic_state) {
        rtpush_reply_text(srv, req->conn, 200, "stored\n"); // a STATE value has no id
    } else {
        char id[RTPUSH_ID_SIZE];
        rtpush_reply_text(srv, req->conn, 200, rtpush_id_format(rtpush_last_id(srv), id));
    }
}

// GET /value/NAME: the newest value of a state, for what asks again and again and reads no stream.
static void on_value(rtpush_server *srv, const rtpush_request *req) {
    const int topic = rtpush_topic_index(srv, req->rest);
    size_t len = 0;
    const void *value = topic < 0 ? NULL : rtpush_state_get(srv, (unsigned)topic, &len);
    if (value == NULL) {
        rtpush_reply_text(srv, req->conn, 404, "no such state, or no value yet\n");
        return;
    }
    const rtpush_response answer = {.body = value, .len = (uint32_t)len};
    if (rtpush_reply(srv, req->conn, &answer) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

// The rtpush_user of a WebSocket: the topic it publishes to, if any, and whether it is raw (without
// rtpush.1), so that gaps are reported by on_gap alone.
typedef struct client {
    int topic; // or NOTHING
    int raw;
} client;
enum { NOTHING = TOPICS_MAX };
static client clients[2][TOPICS_MAX + 1]; // all possible values: [0] rtpush.1, [1] raw

// /ws?publish=NAME: looked up before the connection is upgraded.
static int authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    char name[40];
    int topic = NOTHING;
    if (req->route->kind != &rtpush_websocket) {
        return 0;
    }
    const int len = rtpush_query(req->query, "publish", name, sizeof(name));
    if (len != RTPUSH_ERR_ARGUMENT) { // else it only listens
        topic = len < 0 ? len : rtpush_topic_index(srv, name);
    }
    if (topic < 0) {
        return 404;
    }
    client *c = &clients[req->subprotocol == NULL][topic];
    c->topic = topic;
    c->raw = req->subprotocol == NULL;
    grant->user = c;
    return 0;
}

// A reader over rtpush.1 or an event stream got a notice. A raw one gets payloads only: it is
// closed with the number as reason, and may connect again.
static void on_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    const client *c = (const client *)rtpush_user(srv, conn);
    char reason[40];
    if (c->raw) {
        snprintf(reason, sizeof(reason), "missed %lu events", (unsigned long)missed);
        rtpush_close(srv, conn, 4000, reason); // RFC 6455 7.4.2: private use
    }
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const client *c = (const client *)rtpush_user(srv, conn);
    if (c->topic == NOTHING) {
        rtpush_close(srv, conn, 1008, "connect with ?publish=TOPIC to send");
        return RTPUSH_OK;
    }
    if (msg->opcode != RTPUSH_TEXT_MESSAGE) {
        rtpush_close(srv, conn, 1003, "topics carry text");
        return RTPUSH_OK;
    }
    const int result = rtpush_publish(srv, (unsigned)c->topic, msg->data, msg->len);
    if (result == RTPUSH_ERR_FULL) {
        return RTPUSH_RETRY; // this connection itself needs the oldest record
    }
    if (result < 0) {
        rtpush_close(srv, conn, 1009, rtpush_strerror(result));
    }
    return RTPUSH_OK;
}

// -- GET /stats, GET /healthz ---------------------------------------------------------------------

#define COUNTER(name) \
    { #name, offsetof(rtpush_counters, name) }

static void on_stats(rtpush_server *srv, const rtpush_request *req) {
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
        COUNTER(accepted),  COUNTER(requests),     COUNTER(messages_in), COUNTER(messages_out),
        COUNTER(bytes_in),  COUNTER(bytes_out),    COUNTER(published),   COUNTER(full),
        COUNTER(delivered), COUNTER(states_sent),  COUNTER(gaps),        COUNTER(missed),
        COUNTER(log_used),  COUNTER(log_high),     COUNTER(slots_used),  COUNTER(slots_high),
        COUNTER(streams),   COUNTER(streams_high),
    };
    char json[REPLY_SIZE - 256u]; // the rest is for the head
    const uint8_t *counters = (const uint8_t *)rtpush_get_counters(srv);
    size_t len = 0;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        uint32_t value;
        memcpy(&value, counters + fields[i].offset, sizeof(value));
        len += (size_t)snprintf(json + len, sizeof(json) - len, "%s\"%s\":%lu", i ? "," : "{",
                                fields[i].name, (unsigned long)value);
    }
    len += (size_t)snprintf(json + len, sizeof(json) - len, ",\"why\":{");
    int some = 0;
    for (int why = 0; why < RTPUSH_REASON_COUNT; why++) {
        const uint32_t value = rtpush_get_counters(srv)->reasons[why];
        if (value > 0 && len + 80u < sizeof(json)) {
            len += (size_t)snprintf(json + len, sizeof(json) - len, "%s\"%s\":%lu", some ? "," : "",
                                    rtpush_reason_text(why), (unsigned long)value);
            some = 1;
        }
    }
    len += (size_t)snprintf(json + len, sizeof(json) - len, "}}\n");
    rtpush_response response = {0};
    response.content_type = "application/json";
    response.body = json;
    response.len = (uint32_t)len;
    if (rtpush_reply(srv, req->conn, &response) < 0) {
        rtpush_reply_text(srv, req->conn, 500, "the counters do not fit\n");
    }
}

static void on_healthz(rtpush_server *srv, const rtpush_request *req) {
    rtpush_reply_text(srv, req->conn, 200, "ok\n");
}

// -- command line and start -----------------------------------------------------------------------

typedef struct options {
    const char *host;
    unsigned number; // TCP port
    uint32_t conns;
    uint32_t log_size;
    uint32_t max_len; // largest message
    char *events;
    char *states;
} options;

static const char usage[] =
    "usage: hub [--port 8081] [--host 127.0.0.1] [--conns 1024] [--log 1048576] [--max 4096]\n"
    "           [--topics a,b,c] [--state x,y]\n"
    "--topics are events, each kept in the log of --log bytes; --state keep their newest value.\n"
    "--max is the largest message in bytes. --port 0 picks a free port.\n";

static int add_topics(char *names, const rtpush_topic_kind *kind, uint32_t max_len) {
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        if (topic_count == TOPICS_MAX) {
            fprintf(stderr, "hub: at most %d topics\n", TOPICS_MAX);
            return -1;
        }
        topics[topic_count].name = name;
        topics[topic_count].kind = kind;
        topics[topic_count].max = kind == &rtpush_topic_state ? (uint16_t)max_len : 0;
        topic_count++;
    }
    return 0;
}

static int set_number(uint32_t *out, const char *value) {
    char *end = NULL;
    const unsigned long number = strtoul(value, &end, 10);
    *out = (uint32_t)number;
    return end != value && *end == '\0' && *value != '-' && number <= 0xFFFFFFFFul;
}

static int set_option(options *out, const char *name, char *value) {
    uint32_t number = 0;
    if (strcmp(name, "--port") == 0 && set_number(&number, value) && number < 65536u) {
        out->number = number;
    } else if (strcmp(name, "--host") == 0) {
        out->host = value;
    } else if (strcmp(name, "--topics") == 0) {
        out->events = value;
    } else if (strcmp(name, "--state") == 0) {
        out->states = value;
    } else if (strcmp(name, "--conns") == 0) {
        return set_number(&out->conns, value) && out->conns > 0 && out->conns <= 200000u;
    } else if (strcmp(name, "--log") == 0) {
        return set_number(&out->log_size, value) && out->log_size <= 0x40000000u;
    } else if (strcmp(name, "--max") == 0) {
        return set_number(&out->max_len, value) && out->max_len > 0 && out->max_len <= 60000u;
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
            fprintf(stderr, "hub: cannot use %s %s\n%s", argv[i],
                    i + 1 < argc ? argv[i + 1] : "without a value", usage);
            return 1 + EXIT_FAILURE;
        }
    }
    if (add_topics(out->events, &rtpush_topic_event, 0) < 0 ||
        add_topics(out->states, &rtpush_topic_state, out->max_len) < 0) {
        return 1 + EXIT_FAILURE;
    }
    return 0;
}

enum { EVENTS, WS, POLL, PUBLISH, VALUE, STATS, HEALTHZ, ROUTES };
static rtpush_route routes[ROUTES] = {
    // Not const: --max becomes max_body of PUBLISH and max_message of WS.
    [EVENTS] = {.path = "/events", .kind = &rtpush_events},
    [WS] = {.path = "/ws",
            .kind = &rtpush_websocket,
            .on_message = on_message,
            .on_gap = on_gap},
    [POLL] = {.path = "/poll", .kind = &rtpush_poll},
    [PUBLISH] = {.path = "/publish/*",
                 .kind = &rtpush_upload,
                 .methods = RTPUSH_POST,
                 .on_request = on_publish},
    [VALUE] = {.path = "/value/*", .kind = &rtpush_handler, .on_request = on_value},
    [STATS] = {.path = "/stats", .kind = &rtpush_handler, .on_request = on_stats},
    [HEALTHZ] = {.path = "/healthz", .kind = &rtpush_handler, .on_request = on_healthz},
};

// The server over memory taken once: the sizes come from the command line. Zeroed pages that no
// connection uses are never touched.
static int start_server(rtpush_server *srv, const options *opt, uint32_t slots) {
    uint32_t events = 0;
    for (unsigned i = 0; i < topic_count; i++) {
        events += topics[i].kind == &rtpush_topic_event;
    }
    const uint32_t states = topic_count - events;
    rtpush_desc desc = {0};
    routes[PUBLISH].max_body = opt->max_len;
    routes[WS].max_message = opt->max_len;
    desc.routes = routes;
    desc.route_count = ROUTES;
    desc.topics = topics;
    desc.topic_count = topic_count;
    desc.conn_count = slots;
    desc.rx_size = opt->max_len + HEAD_SIZE;
    desc.tx_size = REPLY_SIZE + (states ? opt->max_len : 0);
    desc.log_size = events ? opt->log_size / 4u * 4u : 0;
    const size_t words = RTPUSH_WORDS(slots, desc.rx_size, desc.tx_size, desc.log_size, topic_count,
                                      states * opt->max_len);
    desc.memory = calloc(words, 8);
    desc.memory_size = words * 8;
    desc.epoch = rtpush_posix_epoch();
    desc.authorize = authorize;
    desc.max_streams = opt->conns;
    desc.rate_messages = RTPUSH_UNLIMITED;
    desc.rate_bytes = RTPUSH_UNLIMITED;
    if (!desc.memory) {
        fputs("hub: not enough memory\n", stderr);
        return -1;
    }
    const int result = rtpush_init(srv, &desc);
    if (result < 0) {
        fprintf(stderr, "hub: %s: %s\n", rtpush_strerror(result), rtpush_config_error(srv));
        return -1;
    }
    return 0;
}

static int start_port(rtpush_server *srv, const options *opt, uint32_t slots) {
    rtpush_posix_desc desc = {0};
    desc.buffer_count = 64; // of 32 KiB, for peers that stop reading in the middle of something
    desc.buffer_size = 32768;
    desc.memory_size = RTPUSH_POSIX_SIZE(slots, desc.buffer_count, desc.buffer_size) + 7u;
    desc.memory = calloc(desc.memory_size, 1);
    desc.conn_count = slots;
    if (!desc.memory) {
        fputs("hub: not enough memory\n", stderr);
        return -1;
    }
    if (rtpush_posix_raise_files(slots) < slots) {
        fputs("hub: warning: fewer files than connections allowed (ulimit -n)\n", stderr);
    }
    if (rtpush_posix_init(&port, &desc) < 0) {
        perror("hub: init");
        return -1;
    }
    const int number = rtpush_posix_listen(&port, srv, opt->host, opt->number, 0);
    if (number < 0) {
        fprintf(stderr, "hub: cannot listen on %s port %u: %s\n", opt->host, opt->number,
                errno == EINVAL ? "not an address" : strerror(errno));
        return -1;
    }
    const int v6 = strchr(opt->host, ':') != NULL;
    printf("listening on http://%s%s%s:%d\n", v6 ? "[" : "", opt->host, v6 ? "]" : "", number);
    fflush(stdout);
    return 0;
}

static void on_signal(int number) {
    (void)number;
    rtpush_posix_stop(&port);
}

int main(int argc, char **argv) {
    static rtpush_server srv;
    static char events[] = "a,b,c";
    static char states[] = "";
    options opt = {"127.0.0.1", 8081, 1024, 1048576, 4096, events, states};
    const int done = parse(argc, argv, &opt);
    if (done) {
        return done - 1;
    }
    const uint32_t slots = opt.conns + 8u; // some for plain requests beside the streams
    if (start_server(&srv, &opt, slots) < 0 || start_port(&srv, &opt, slots) < 0) {
        return EXIT_FAILURE;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (rtpush_posix_run(&port) < 0) {
        perror("hub: run");
        return EXIT_FAILURE;
    }
    rtpush_posix_close(&port);
    return EXIT_SUCCESS;
}
