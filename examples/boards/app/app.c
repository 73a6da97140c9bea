// The device: it shows its uptime on every open page, and each page can switch its LED.

#include "app.h"

#include <string.h>

enum { UPTIME, LED, EVENTS, TOPICS };
enum { STATE_BYTES = 12 + 4 };

static const rtpush_topic topics[TOPICS] = {
    {"uptime", &rtpush_topic_state, 0, 12},
    {"led", &rtpush_topic_state, 0, 4},
    {"log", &rtpush_topic_event, 0, 0},
};

static const char page[] =
    "<!doctype html><title>rtpush</title><meta name=viewport content='width=device-width'>"
    "<link rel=icon href=data:,><p>Up for <b id=uptime>...</b> s, LED <b id=led>...</b>"
    "<p><button onclick='led(1)'>On</button> <button onclick='led(0)'>Off</button>"
    "<pre id=log></pre>"
    "<script>const led = (on) => fetch('/led?on=' + on, { method: 'POST' });"
    "const id = (name) => document.getElementById(name);"
    "const events = new EventSource('/events');"
    "for (const n of ['uptime', 'led'])"
    " events.addEventListener(n, (e) => { id(n).textContent = e.data; });"
    "events.addEventListener('log', (e) => id('log').append(e.data + '\\n'));</script>";
static const rtpush_asset index_html = {
    "text/html; charset=utf-8", page, sizeof page - 1, NULL, 0, NULL, NULL};

static void on_led(rtpush_server *srv, const rtpush_request *req) {
    char on[2];
    if (rtpush_query(req->query, "on", on, sizeof on) != 1 || (on[0] != '0' && on[0] != '1')) {
        (void)rtpush_reply_text(srv, req->conn, 400, "?on=0 or ?on=1\n");
        return;
    }
    const char *state = on[0] == '1' ? "on" : "off";
    board_led(on[0] == '1');
    (void)rtpush_publish(srv, LED, state, strlen(state));
    (void)rtpush_publish(srv, EVENTS, state, strlen(state));
    (void)rtpush_reply_text(srv, req->conn, 200, state);
}

static const rtpush_route routes[] = {
    {.path = "/", .kind = &rtpush_file, .asset = &index_html},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/led", .kind = &rtpush_handler, .methods = RTPUSH_POST, .on_request = on_led},
};
static const char *const names[] = {"rtpush", "rtpush.local", NULL}; // besides addresses

static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(APP_CONNECTIONS, APP_RX_SIZE, APP_TX_SIZE, APP_LOG_SIZE, TOPICS,
                                    STATE_BYTES)];

rtpush_server *app_start(uint32_t epoch, const char **wrong) {
    const rtpush_desc desc = {
        .routes = routes, .route_count = sizeof routes / sizeof routes[0],
        .topics = topics, .topic_count = TOPICS,
        .memory = memory, .memory_size = sizeof memory,
        .conn_count = APP_CONNECTIONS, .rx_size = APP_RX_SIZE, .tx_size = APP_TX_SIZE,
        .log_size = APP_LOG_SIZE, .epoch = epoch, .hosts = names};
    const int result = rtpush_init(&server, &desc);
    *wrong = rtpush_config_error(&server);
    return result == RTPUSH_OK ? &server : NULL;
}

void app_step(uint32_t now_ms) {
    static uint32_t due_ms, seconds;
    uint8_t digits[10];
    rtpush_text text = {digits, sizeof digits, 0, 0};
    if ((int32_t)(now_ms - due_ms) >= 0) {
        due_ms = now_ms + 1000;
        rtpush_text_decimal(&text, seconds++);
        (void)rtpush_publish(&server, UPTIME, text.data, text.len);
    }
}
