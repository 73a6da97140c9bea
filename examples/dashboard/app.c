// See app.h.

#include "app.h"

#include "dashboard_assets.h" // made from page/ by bundle.sh
#include "ports/rtpush_json.h"

#include <string.h>

enum {
    PERIOD_MIN_MS = 100,
    PERIOD_MAX_MS = 10000,
    SERVER_PERIOD_MS = 1000,
    BURST_MAX = 10000,
    BURST_MS = 10,   // between steps of a burst: more than a round trip on a local network
    ALARM_STREAK = 5 // samples: a single high sample raises no alarm
};

// -- publishing -----------------------------------------------------------------------------------

static void publish(app *a, unsigned topic, const rtpush_text *t) {
    // The sizes in app.h let every value fit. The one remaining error, no room in the log, is
    // counted by the server, and readers get a gap.
    if (!t->over) {
        (void)rtpush_publish(a->srv, topic, t->data, t->len);
    }
}

// One line for the log of every page. level: "info", "warn" or "good". `more` follows `words`.
static void log_line(app *a, const char *level, const char *words, const char *more) {
    char line[64];
    char out[160];
    rtpush_text whole = rtpush_json_begin(line, sizeof line - 1);
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&whole, "%s%s", words, more);
    line[whole.len] = '\0';
    rtpush_json(&t, "{\"t\":%U,\"level\":%q,\"text\":%q}", a->up_ms, level, line);
    publish(a, APP_LOG, &t);
}

static void log_number(app *a, const char *words, uint32_t number, const char *unit) {
    char more[24];
    rtpush_text t = rtpush_json_begin(more, sizeof more - 1);
    rtpush_json(&t, "%u%s", number, unit);
    more[t.len] = '\0';
    log_line(a, "info", words, more);
}

// -- STATE topics ---------------------------------------------------------------------------------

static void publish_device(app *a) {
    const sensors *s = &a->sensors;
    char out[APP_DEVICE_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"host\":%q,\"system\":%q,\"model\":%q", s->host, s->system, s->model);
    rtpush_json(&t, ",\"cores\":%u,\"ram\":%u", s->core_count, a->ram);
    rtpush_json(&t, ",\"log\":%u,\"slots\":%u}", a->log_size, a->max_conns);
    publish(a, APP_DEVICE, &t);
}

static void publish_cpu(app *a) {
    const sensors *s = &a->sensors;
    char out[APP_CPU_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"use\":%1,\"uptime\":%u,\"load\":[", (int32_t)s->cpu_permille, s->uptime_s);
    for (uint32_t i = 0; i < s->load_count; i++) {
        rtpush_json(&t, "%s%2", i > 0 ? "," : "", (int32_t)s->load_centi[i]);
    }
    rtpush_json(&t, "],\"cores\":[");
    for (uint32_t i = 0; i < s->core_count && i < SENSORS_MAX_CORES; i++) {
        rtpush_json(&t, "%s%1", i > 0 ? "," : "", (int32_t)s->core_permille[i]);
    }
    rtpush_json(&t, "]}");
    publish(a, APP_CPU, &t);
}

static void publish_memory(app *a) {
    const sensors *s = &a->sensors;
    char out[APP_MEMORY_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"total\":%u,\"available\":%u", s->mem_total_kib, s->mem_available_kib);
    rtpush_json(&t, ",\"cached\":%u,\"swap\":%u,\"swap_free\":%u}", s->mem_cached_kib,
                s->swap_total_kib, s->swap_free_kib);
    publish(a, APP_MEMORY, &t);
}

static void publish_network(app *a) {
    const sensors *s = &a->sensors;
    char out[APP_NETWORK_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"rx\":%u,\"tx\":%u", s->net_rx, s->net_tx);
    rtpush_json(&t, ",\"rx_total\":%U,\"tx_total\":%U", s->net_rx_total, s->net_tx_total);
    rtpush_json(&t, ",\"cards\":%u}", s->net_count);
    publish(a, APP_NETWORK, &t);
}

static void publish_temperature(app *a) {
    char out[APP_TEMPERATURE_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "[");
    for (uint32_t i = 0; i < a->sensors.temp_count; i++) {
        const sensors_temp *temp = &a->sensors.temps[i];
        rtpush_json(&t, "%s{\"name\":%q,\"c\":%1%s}", i > 0 ? "," : "", temp->name,
                    temp->milli_celsius / 100, temp->simulated ? ",\"simulated\":true" : "");
    }
    rtpush_json(&t, "]");
    publish(a, APP_TEMPERATURE, &t);
}

// [name, unit, value, high, size, simulated] each. Sending the names once a second costs less than
// a separate table of them, which would need a request of its own and could be missed.
static void publish_gauges(app *a) {
    char out[APP_GAUGES_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "[");
    for (uint32_t i = 0; i < a->sensors.gauge_count; i++) {
        const sensors_gauge *g = &a->sensors.gauges[i];
        rtpush_json(&t, "%s[%q,%q,%u,%u,%u%s]", i > 0 ? "," : "", g->name, g->unit, g->value,
                    g->high, g->size, g->simulated ? ",true" : "");
    }
    rtpush_json(&t, "]");
    publish(a, APP_GAUGES, &t);
}

static void publish_server(app *a) {
    const rtpush_counters *c = rtpush_get_counters(a->srv);
    uint32_t refused = 0;
    for (int why = RTPUSH_REASON_NO_SLOT; why <= RTPUSH_REASON_UPGRADE; why++) {
        refused += c->reasons[why];
    }
    char out[APP_SERVER_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"slots\":%u,\"slots_high\":%u", c->slots_used, c->slots_high);
    rtpush_json(&t, ",\"streams\":%u,\"accepted\":%u", c->streams, c->accepted);
    rtpush_json(&t, ",\"requests\":%u,\"messages\":%u", c->requests, c->messages_in);
    rtpush_json(&t, ",\"published\":%u,\"delivered\":%u", c->published, c->delivered);
    rtpush_json(&t, ",\"states\":%u,\"bytes_in\":%u", c->states_sent, c->bytes_in);
    rtpush_json(&t, ",\"bytes_out\":%u,\"gaps\":%u", c->bytes_out, c->gaps);
    rtpush_json(&t, ",\"missed\":%u,\"refused\":%u", c->missed, refused);
    rtpush_json(&t, ",\"log_used\":%u,\"log_high\":%u}", c->log_used, c->log_high);
    publish(a, APP_SERVER, &t);
}

static void publish_control(app *a) {
    char out[APP_CONTROL_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"on\":%b,\"paused\":%b,\"period\":%u}", a->on, a->paused, a->period_ms);
    publish(a, APP_CONTROL, &t);
}

// -- EVENT topics ---------------------------------------------------------------------------------

static uint32_t memory_permille(const sensors *s) {
    if (s->mem_total_kib == 0 || s->mem_available_kib > s->mem_total_kib) {
        return 0;
    }
    const uint64_t used = s->mem_total_kib - s->mem_available_kib;
    return (uint32_t)(used * 1000u / s->mem_total_kib);
}

static int32_t hottest(const sensors *s) {
    int32_t most = INT32_MIN;
    for (uint32_t i = 0; i < s->temp_count; i++) {
        most = s->temps[i].milli_celsius > most ? s->temps[i].milli_celsius : most;
    }
    return most;
}

// A point of the charts, written directly into the log. "p" is the time until the next point, so
// that a page can detect a missing one.
static void publish_sample(app *a) {
    const sensors *s = &a->sensors;
    rtpush_text t = rtpush_json_reserve(a->srv, APP_SAMPLE, 160);
    rtpush_json(&t, "{\"t\":%U,\"p\":%u,\"cpu\":%1", a->up_ms, a->period_ms,
                (int32_t)s->cpu_permille);
    rtpush_json(&t, ",\"mem\":%1", (int32_t)memory_permille(s));
    rtpush_json(&t, ",\"rx\":%u,\"tx\":%u", s->net_rx, s->net_tx);
    if (s->temp_count > 0) {
        rtpush_json(&t, ",\"temp\":%1", hottest(s) / 100);
    }
    rtpush_json(&t, "}");
    (void)rtpush_json_commit(a->srv, &t);
}

// Raised after some samples above `high`, ended after some below `low`: hysteresis.
static void watch(app *a, app_alarm *alarm, const char *what, int32_t value, int32_t high,
                  int32_t low) {
    const int crossed = alarm->raised ? value < low : value > high;
    alarm->streak = crossed ? (uint8_t)(alarm->streak + 1) : 0;
    if (alarm->streak < ALARM_STREAK) {
        return;
    }
    alarm->streak = 0;
    alarm->raised = !alarm->raised;
    log_line(a, alarm->raised ? "warn" : "good", what,
             alarm->raised ? " is high" : " is back to normal");
}

static void watch_all(app *a) {
    const sensors *s = &a->sensors;
    watch(a, &a->cpu_alarm, "Processor use", (int32_t)s->cpu_permille, 900, 700);
    watch(a, &a->memory_alarm, "Memory use", (int32_t)memory_permille(s), 900, 850);
    if (s->temp_count > 0) {
        watch(a, &a->temperature_alarm, "Temperature", hottest(s), 85000, 75000);
    }
}

// -- commands: "on 1", "pause 1", "period 500", "burst 1000" --------------------------------------

// The number after `name` and a space, which must be all there is; -1 if it is another command.
static int32_t command_value(const char *data, size_t len, const char *name) {
    const size_t name_len = strlen(name);
    if (len < name_len + 2 || len > name_len + 6 || memcmp(data, name, name_len) != 0 ||
        data[name_len] != ' ') {
        return -1;
    }
    int32_t value = 0;
    for (size_t i = name_len + 1; i < len; i++) {
        if (data[i] < '0' || data[i] > '9') {
            return -1;
        }
        value = value * 10 + (data[i] - '0');
    }
    return value;
}

static void set_on(app *a, int32_t value) {
    if (a->on != (value != 0)) {
        a->on = value != 0;
        sensors_output(&a->sensors, a->on);
        publish_control(a);
        log_line(a, "info", "Output switched ", a->on ? "on" : "off");
    }
}

static void set_paused(app *a, int32_t value) {
    if (a->paused != (value != 0)) {
        a->paused = value != 0;
        a->sample_ms = a->last_ms;
        publish_control(a);
        log_line(a, "info", "Sampling ", a->paused ? "paused" : "goes on");
    }
}

static void set_period(app *a, int32_t value) {
    if (a->period_ms != (uint32_t)value) {
        a->period_ms = (uint32_t)value;
        a->sample_ms = a->last_ms;
        publish_control(a);
        log_number(a, "Sample period set to ", a->period_ms, " ms");
    }
}

// Returns NULL, or what is wrong with the command.
static const char *command(app *a, const char *data, size_t len) {
    int32_t value;
    if ((value = command_value(data, len, "on")) >= 0) {
        set_on(a, value);
    } else if ((value = command_value(data, len, "pause")) >= 0) {
        set_paused(a, value);
    } else if ((value = command_value(data, len, "period")) >= 0) {
        if (value < PERIOD_MIN_MS || value > PERIOD_MAX_MS) {
            return "period: 100 to 10000 ms";
        }
        set_period(a, value);
    } else if ((value = command_value(data, len, "burst")) >= 0) {
        if (value == 0 || value > BURST_MAX) {
            return "burst: 1 to 10000 events";
        }
        a->burst_left = a->burst_size = (uint16_t)value;
        a->burst_ms = a->last_ms;
        log_number(a, "Burst of ", (uint32_t)value, " events");
    } else {
        return "no such command";
    }
    return NULL;
}

// -- callbacks ------------------------------------------------------------------------------------

static app *app_of(rtpush_server *srv) {
    return (app *)rtpush_server_user(srv);
}

// A message is a command, or "ping N", which the page sends to measure the round trip.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const char *data = (const char *)msg->data;
    char answer[40];
    rtpush_text t = rtpush_json_begin(answer, sizeof answer);
    if (msg->len >= 5 && msg->len < 24 && memcmp(data, "ping ", 5) == 0) {
        memcpy(answer, data, msg->len);
        memcpy(answer, "pong", 4);
        t.len = (uint32_t)msg->len;
    } else {
        const char *wrong = command(app_of(srv), data, msg->len);
        if (wrong == NULL) {
            return RTPUSH_OK;
        }
        rtpush_json(&t, "error %s", wrong);
    }
    return rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, answer, t.len);
}

// POST /control: the same commands for pages without a WebSocket.
static void on_control(rtpush_server *srv, const rtpush_request *req) {
    const char *wrong = command(app_of(srv), (const char *)req->body, req->body_len);
    const rtpush_response done = {.status = 204};
    const int sent = wrong == NULL ? rtpush_reply(srv, req->conn, &done)
                                   : rtpush_reply_text(srv, req->conn, 400, wrong);
    if (sent < 0) {
        rtpush_abort(srv, req->conn);
    }
}

// GET /ping answers with the newest id: a page sees by it that its stream is of an earlier boot.
static void on_ping(rtpush_server *srv, const rtpush_request *req) {
    char id[RTPUSH_ID_SIZE];
    if (rtpush_reply_text(srv, req->conn, 200, rtpush_id_format(rtpush_last_id(srv), id)) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

// GET /start: where a new page begins. An id from before the first event makes the server replay
// all that its log still holds: the charts are full at once, and cost no memory of their own.
static void on_start(rtpush_server *srv, const rtpush_request *req) {
    char id[RTPUSH_ID_SIZE];
    char out[64];
    rtpush_id first = rtpush_last_id(srv);
    first.seq = 0;
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"id\":%q,\"up\":%U}", rtpush_id_format(first, id), app_of(srv)->up_ms);
    const rtpush_response answer = {.content_type = "application/json", .body = out, .len = t.len};
    if (rtpush_reply(srv, req->conn, &answer) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

static void log_open(app *a, const rtpush_request *req, const char *transport) {
    char id[48];
    const int len = rtpush_query(req->query, "last_event_id", id, sizeof id);
    const int newcomer = len < 17 || memcmp(id + 8, "-00000000", 9) == 0; // see on_start
    log_line(a, "info", newcomer ? "A page opened over " : "A page came back over ", transport);
}

static void on_open_websocket(rtpush_server *srv, const rtpush_request *req) {
    log_open(app_of(srv), req, "WebSocket");
}

static void on_open_events(rtpush_server *srv, const rtpush_request *req) {
    log_open(app_of(srv), req, "SSE");
}

// Long polls are not logged: each answer is a stream of its own, its log line would be an event
// that answers the next poll, and so on for ever.

static void on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    (void)conn;
    const int agreed = closed->reason == RTPUSH_REASON_NONE;
    log_line(app_of(srv), "info", agreed ? "A page left" : "A page left: ",
             agreed ? "" : rtpush_reason_text(closed->reason));
}

// -- tables ---------------------------------------------------------------------------------------

const rtpush_topic app_topics[APP_TOPIC_COUNT] = {
    [APP_DEVICE] = {"device", &rtpush_topic_state, 0, APP_DEVICE_MAX},
    [APP_CPU] = {"cpu", &rtpush_topic_state, 0, APP_CPU_MAX},
    [APP_MEMORY] = {"memory", &rtpush_topic_state, 0, APP_MEMORY_MAX},
    [APP_NETWORK] = {"network", &rtpush_topic_state, 0, APP_NETWORK_MAX},
    [APP_TEMPERATURE] = {"temperature", &rtpush_topic_state, 0, APP_TEMPERATURE_MAX},
    [APP_GAUGES] = {"gauges", &rtpush_topic_state, 0, APP_GAUGES_MAX},
    [APP_SERVER] = {"server", &rtpush_topic_state, 0, APP_SERVER_MAX},
    [APP_CONTROL] = {"control", &rtpush_topic_state, 0, APP_CONTROL_MAX},
    [APP_SAMPLE] = {"sample", &rtpush_topic_event, 0, 0},
    [APP_LOG] = {"log", &rtpush_topic_event, 0, 0},
    [APP_BURST] = {"burst", &rtpush_topic_event, 0, 0},
};

const rtpush_route app_routes[] = {
    DASHBOARD_PAGE,
    {.path = "/ws",
     .kind = &rtpush_websocket,
     .on_open = on_open_websocket,
     .on_message = on_message,
     .on_close = on_close},
    {.path = "/events", .kind = &rtpush_events, .on_open = on_open_events, .on_close = on_close},
    {.path = "/poll", .kind = &rtpush_poll},
    {.path = "/control",
     .kind = &rtpush_upload,
     .methods = RTPUSH_POST,
     .max_body = 64,
     .on_request = on_control},
    {.path = "/ping", .kind = &rtpush_handler, .on_request = on_ping},
    {.path = "/start", .kind = &rtpush_handler, .on_request = on_start},
};
const uint8_t app_route_count = sizeof app_routes / sizeof *app_routes;

// -- public ---------------------------------------------------------------------------------------

static int is_due(uint32_t now_ms, uint32_t due_ms) {
    return (int32_t)(now_ms - due_ms) >= 0;
}

// The first multiple of the period after now: one late sample does not shift the following ones.
static uint32_t next_due(uint32_t due_ms, uint32_t period_ms, uint32_t now_ms) {
    due_ms += period_ms;
    return is_due(now_ms, due_ms) ? now_ms + period_ms : due_ms;
}

static void take_sample(app *a, uint32_t now_ms) {
    sensors_read(&a->sensors, now_ms);
    publish_cpu(a);
    publish_memory(a);
    publish_network(a);
    publish_temperature(a);
    publish_gauges(a);
    publish_sample(a);
    watch_all(a);
}

// In steps of about a tenth of the log: sent events stay in the log until readers acknowledge them,
// and evicting a record drops the readers that still need it.
static void step_burst(app *a) {
    enum { RECORD = 48 }; // bytes of log, about
    const uint32_t step = a->log_size / (10 * RECORD) + 1;
    for (uint32_t i = 0; i < step && a->burst_left > 0; i++) {
        char out[40];
        rtpush_text t = rtpush_json_begin(out, sizeof out);
        const uint32_t number = 1u + a->burst_size - a->burst_left;
        rtpush_json(&t, "{\"n\":%u,\"of\":%u}", number, (uint32_t)a->burst_size);
        publish(a, APP_BURST, &t);
        a->burst_left--;
    }
}

void app_start(app *a, rtpush_server *srv, uint32_t now_ms) {
    a->srv = srv;
    a->period_ms = 1000;
    a->last_ms = now_ms;
    a->sample_ms = now_ms + 200; // rates need two readings
    a->server_ms = now_ms;
    sensors_init(&a->sensors);
    sensors_read(&a->sensors, now_ms);
    publish_device(a);
    publish_control(a);
    log_line(a, "good", "Server started", "");
}

uint32_t app_step(app *a, uint32_t now_ms) {
    a->up_ms += now_ms - a->last_ms;
    a->last_ms = now_ms;
    if (!a->paused && is_due(now_ms, a->sample_ms)) {
        a->sample_ms = next_due(a->sample_ms, a->period_ms, now_ms);
        take_sample(a, now_ms);
    }
    if (is_due(now_ms, a->server_ms)) {
        a->server_ms = next_due(a->server_ms, SERVER_PERIOD_MS, now_ms);
        publish_server(a);
    }
    if (a->burst_left > 0) {
        if (is_due(now_ms, a->burst_ms)) {
            a->burst_ms = now_ms + BURST_MS;
            step_burst(a);
        }
        return a->burst_ms - now_ms; // next step of the burst; samples can be that late
    }
    const uint32_t to_server = a->server_ms - now_ms;
    const uint32_t to_sample = a->sample_ms - now_ms;
    return a->paused || to_server < to_sample ? to_server : to_sample;
}
