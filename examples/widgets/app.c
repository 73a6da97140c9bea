// A greenhouse, simulated: the lamp warms it, the fan cools it. Everything that a page shows and
// commands is in the table below; there is no HTML.

#define RTPUSH_DASH_IMPLEMENTATION
#include "app.h"
#include "ports/rtpush_json.h"
#include "ports/rtpush_dash.h"
#include "widgets_assets.h" // the page, made by ports/dash.sh

enum { TEMP, PAGES, HUMIDITY, TRACE, LAMP, FAN, NAME, RESET, LOG, WIDGETS, TOPICS = WIDGETS - 1 };
enum { RX = 512, TX = 768, LOG_SIZE = 8192, VALUES = 5 * 16 + 100, STEP_MS = 500 };

static const rtpush_topic topics[TOPICS] = { // a button needs none
    {"temp", &rtpush_topic_state, 0, 16},     {"pages", &rtpush_topic_state, 0, 16},
    {"humidity", &rtpush_topic_state, 0, 16}, {"trace", &rtpush_topic_event, 0, 0},
    {"lamp", &rtpush_topic_state, 0, 16},     {"fan", &rtpush_topic_state, 0, 16},
    {"name", &rtpush_topic_state, 0, 100},    {"log", &rtpush_topic_event, 0, 0},
};
static const rtpush_widget widgets[WIDGETS] = {
    [TEMP] = {"temp", "Temperature", "°C", "Climate", RTPUSH_DASH_GAUGE, 1, 0, 400},
    [PAGES] = {"pages", "Pages open", NULL, NULL, RTPUSH_DASH_VALUE, 0, 0, 0},
    [HUMIDITY] = {"humidity", "Humidity", "%", NULL, RTPUSH_DASH_BAR, 0, 0, 100},
    [TRACE] = {"trace", "Temperature", "°C", "History", RTPUSH_DASH_CHART, 1, 0, 0},
    [LAMP] = {"lamp", "Lamp", NULL, "Control", RTPUSH_DASH_SWITCH, 0, 0, 1},
    [FAN] = {"fan", "Fan", "%", NULL, RTPUSH_DASH_SLIDER, 0, 0, 100},
    [NAME] = {"name", "Name", NULL, NULL, RTPUSH_DASH_TEXT, 0, 0, 32},
    [RESET] = {"reset", "Back to 20 °C", NULL, NULL, RTPUSH_DASH_BUTTON, 0, 0, 0},
    [LOG] = {"log", "Log", NULL, "Log", RTPUSH_DASH_LOG, 0, 0, 0},
};

static int on_command(rtpush_server *srv, unsigned widget, int32_t value, const char *text);
static const rtpush_dash dash = {"Greenhouse (simulated)", widgets, WIDGETS, on_command};
static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(APP_CONNS, RX, TX, LOG_SIZE, TOPICS, VALUES)];
static int32_t now[WIDGETS] = {200, 0, 55}; // as the table has them: 20.0 °C, no pages, 55 %

static int on_command(rtpush_server *srv, unsigned widget, int32_t value, const char *text) {
    now[widget] = value;
    switch (widget) {
    case NAME: return rtpush_dash_text(srv, &dash, NAME, text);
    case RESET: now[TEMP] = 200; return rtpush_dash_log(srv, &dash, LOG, "good", "Back to 20 °C");
    case LAMP: (void)rtpush_dash_log(srv, &dash, LOG, "info", value ? "Lamp on" : "Lamp off");
    } // what it has become, for every page:
    return rtpush_dash_set(srv, &dash, widget, value);
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    return rtpush_dash_message(srv, conn, msg, &dash);
}
static void on_control(rtpush_server *srv, const rtpush_request *req) {
    rtpush_dash_control(srv, req, &dash);
}
static void on_table(rtpush_server *srv, const rtpush_request *req) {
    rtpush_dash_table(srv, req, &dash);
}
static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/poll", .kind = &rtpush_poll},
    {.path = "/control", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 256,
     .on_request = on_control},
    {.path = "/dash.json", .kind = &rtpush_handler, .on_request = on_table},
    DASH_ROUTES,
};

rtpush_server *app_start(uint32_t epoch, const char *const *hosts, const char **wrong) {
    const rtpush_desc desc = {
        .routes = routes, .route_count = sizeof routes / sizeof routes[0],
        .topics = topics, .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
        .conn_count = APP_CONNS, .rx_size = RX, .tx_size = TX, .log_size = LOG_SIZE,
        .epoch = epoch, .hosts = hosts, .max_streams = APP_STREAMS};
    const int result = rtpush_init(&server, &desc);
    *wrong = rtpush_config_error(&server);
    if (result == RTPUSH_OK) {
        (void)rtpush_dash_set(&server, &dash, LAMP, now[LAMP]);
        (void)rtpush_dash_set(&server, &dash, FAN, now[FAN]);
        (void)rtpush_dash_text(&server, &dash, NAME, "Greenhouse 1");
        (void)rtpush_dash_log(&server, &dash, LOG, "good", "Started");
    }
    return result == RTPUSH_OK ? &server : NULL;
}

uint32_t app_step(uint32_t now_ms) {
    static uint32_t due_ms;
    if ((int32_t)(now_ms - due_ms) >= 0) {
        due_ms = now_ms + STEP_MS;
        now[TEMP] += (180 + 120 * now[LAMP] - now[FAN] - now[TEMP]) / 8 + (int32_t)(now_ms % 3) - 1;
        now[HUMIDITY] = 70 - now[TEMP] / 12;
        now[PAGES] = (int32_t)rtpush_get_counters(&server)->streams;
        for (unsigned i = TEMP; i <= HUMIDITY; i++) {
            (void)rtpush_dash_set(&server, &dash, i, now[i]);
        }
        (void)rtpush_dash_point(&server, &dash, TRACE, now[TEMP]);
    }
    return due_ms - now_ms;
}
