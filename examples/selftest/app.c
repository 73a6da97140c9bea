// Answers the page, which does the tests: echoes, counts, sends bytes that it can check, publishes
// what it asks for. Needs nothing of the board but the network.

#include "app.h"
#include "ports/rtpush_json.h"
#include "selftest_assets.h" // the page, made by bundle.sh

#include <stdlib.h>
#include <string.h>

#ifdef __has_include
#if __has_include("lwip/init.h")
#include "lwip/init.h"
#include "lwip/opt.h"
#endif
#endif

// -DAPP_BOARD=NAME names the board, where the framework does not.
#define TEXT(name) TEXT_OF(name)
#define TEXT_OF(name) #name
#if defined(APP_BOARD)
static const char board[] = TEXT(APP_BOARD);
#elif defined(ARDUINO_BOARD)
static const char board[] = ARDUINO_BOARD;
#elif defined(__linux__)
static const char board[] = "Linux";
#else
static const char board[] = "";
#endif

enum { UPTIME, BURST, TOPICS };
enum { RX = 512, TX = 768, LOG_SIZE = 4096, UPTIME_MAX = 12 };
enum { PUBLISH_MAX = 2000, EVENT_MAX = 400, DOWNLOAD_MAX = 8 << 20 };

static const rtpush_topic topics[TOPICS] = {
    {"uptime", &rtpush_topic_state, 0, UPTIME_MAX},
    {"burst", &rtpush_topic_event, 0, 0},
};
static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(APP_CONNS, RX, TX, LOG_SIZE, TOPICS, UPTIME_MAX)];
static uint32_t up_s;

// A number of the query, at most `most`.
static uint32_t number(const rtpush_request *req, const char *name, uint32_t most) {
    char text[12] = "";
    (void)rtpush_query(req->query, name, text, sizeof text);
    const unsigned long value = strtoul(text, NULL, 10);
    return value < most ? (uint32_t)value : most;
}

static void on_info(rtpush_server *srv, const rtpush_request *req) {
    const rtpush_counters *c = rtpush_get_counters(srv);
    char text[480];
    rtpush_text t = rtpush_json_begin(text, sizeof text - 1);
    rtpush_json(&t, "{\"board\":%q,\"version\":\"%x\",\"up_s\":%u,\"connections\":%u,", board,
                (uint32_t)RTPUSH_VERSION, up_s, (uint32_t)APP_CONNS);
    rtpush_json(&t, "\"streams\":%u,\"rx\":%u,\"tx\":%u,\"log\":%u,", (uint32_t)APP_STREAMS,
                (uint32_t)RX, (uint32_t)TX, (uint32_t)LOG_SIZE);
#ifdef LWIP_VERSION_STRING
    rtpush_json(&t, "\"lwip\":\"%s, NO_SYS %u, MSS %u, WND %u, SND_BUF %u, PCBs %u\",",
                LWIP_VERSION_STRING, (uint32_t)NO_SYS, (uint32_t)TCP_MSS, (uint32_t)TCP_WND,
                (uint32_t)TCP_SND_BUF, (uint32_t)MEMP_NUM_TCP_PCB);
#endif
    rtpush_json(&t, "\"slots_used\":%u,\"slots_high\":%u,\"streams_high\":%u,\"gaps\":%u}",
                c->slots_used, c->slots_high, c->streams_high, c->gaps);
    text[t.len] = '\0';
    (void)rtpush_reply_text(srv, req->conn, t.over ? 500 : 200, text);
}

// Bytes that the page can check.
static int pull_pattern(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                        uint8_t *buf, size_t cap) {
    (void)srv, (void)conn, (void)user;
    for (size_t i = 0; i < cap; i++, offset++) {
        buf[i] = (uint8_t)(offset ^ offset >> 8);
    }
    return (int)cap;
}

static void on_download(rtpush_server *srv, const rtpush_request *req) {
    rtpush_response answer = {0};
    answer.content_type = "application/octet-stream";
    answer.pull = pull_pattern;
    answer.len = number(req, "n", DOWNLOAD_MAX);
    (void)rtpush_reply(srv, req->conn, &answer);
}

// Length and checksum; the page uploads one at a time.
static struct {
    uint32_t len, sum;
} upload;

static void on_upload(rtpush_server *srv, const rtpush_request *req) {
    (void)srv, (void)req;
    upload.len = upload.sum = 0;
}

static int on_upload_body(rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                          size_t len, int last) {
    for (size_t i = 0; i < len; i++) {
        upload.sum = upload.sum * 31u + data[i];
    }
    upload.len += (uint32_t)len;
    if (last) {
        char text[32];
        rtpush_text t = rtpush_json_begin(text, sizeof text - 1);
        rtpush_json(&t, "%u %u", upload.len, upload.sum);
        text[t.len] = '\0';
        (void)rtpush_reply_text(srv, req->conn, 200, text);
    }
    return RTPUSH_OK;
}

// POST publish?n=N&size=S: N events of S bytes that begin with their number.
static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    const uint32_t count = number(req, "n", PUBLISH_MAX);
    const uint32_t size = number(req, "size", EVENT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        rtpush_text t = rtpush_json_reserve(srv, BURST, EVENT_MAX);
        rtpush_json(&t, "%u ", i);
        while (!t.over && t.len < size) {
            rtpush_json(&t, ".");
        }
        if (rtpush_json_commit(srv, &t) != RTPUSH_OK) {
            (void)rtpush_reply_text(srv, req->conn, 503, "no room in the log");
            return;
        }
    }
    (void)rtpush_reply_text(srv, req->conn, 200, "published");
}

// Ends every stream: pages have to come back by themselves.
static void on_drop(rtpush_server *srv, const rtpush_request *req) {
    const rtpush_handle none = {0, 0};
    for (rtpush_handle s = rtpush_next_stream(srv, none), next; s.serial != 0; s = next) {
        next = rtpush_next_stream(srv, s);
        (void)rtpush_abort(srv, s);
    }
    (void)rtpush_reply_text(srv, req->conn, 200, "dropped");
}

static void on_echo_open(rtpush_server *srv, const rtpush_request *req) {
    (void)rtpush_subscribe(srv, req->conn, 0); // no events among the echoes
}

static int on_echo(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    return msg->first && msg->last ? rtpush_send(srv, conn, msg->opcode, msg->data, msg->len)
                                   : rtpush_send_part(srv, conn, msg->opcode, msg->data, msg->len,
                                                      msg->first, msg->last);
}

static const rtpush_route routes[] = {
    {.path = "/info", .kind = &rtpush_handler, .on_request = on_info},
    {.path = "/download", .kind = &rtpush_handler, .on_request = on_download},
    {.path = "/upload", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 1 << 20,
     .on_request = on_upload, .on_body = on_upload_body},
    {.path = "/publish", .kind = &rtpush_handler, .methods = RTPUSH_POST, .on_request = on_publish},
    {.path = "/drop", .kind = &rtpush_handler, .methods = RTPUSH_POST, .on_request = on_drop},
    {.path = "/echo", .kind = &rtpush_websocket, .flags = RTPUSH_STREAM_MESSAGES,
     .on_open = on_echo_open, .on_message = on_echo},
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_echo},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/poll", .kind = &rtpush_poll},
    SELFTEST_ROUTES,
};

rtpush_server *app_start(uint32_t epoch, const char *const *hosts, const char **wrong) {
    const rtpush_desc desc = {
        .routes = routes, .route_count = sizeof routes / sizeof routes[0],
        .topics = topics, .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
        .conn_count = APP_CONNS, .rx_size = RX, .tx_size = TX, .log_size = LOG_SIZE,
        .epoch = epoch, .hosts = hosts, .max_streams = APP_STREAMS,
        .rate_messages = RTPUSH_UNLIMITED, .rate_bytes = RTPUSH_UNLIMITED};
    const int result = rtpush_init(&server, &desc);
    *wrong = rtpush_config_error(&server);
    return result == RTPUSH_OK ? &server : NULL;
}

uint32_t app_step(uint32_t now_ms) {
    static uint32_t due_ms;
    if ((int32_t)(now_ms - due_ms) >= 0) {
        char text[UPTIME_MAX];
        rtpush_text t = rtpush_json_begin(text, sizeof text);
        due_ms = now_ms + 1000;
        rtpush_json(&t, "%u", up_s++);
        (void)rtpush_publish(&server, UPTIME, text, t.len);
    }
    return due_ms - now_ms;
}
