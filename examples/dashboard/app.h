// The dashboard itself: topics, routes, commands and timing. It uses no sockets, files or clocks:
// it gets a server, a time and numbers from sensors.h, so it is the same on a PC and in firmware.

#ifndef APP_H
#define APP_H

#include "rtpush.h"
#include "sensors.h"

// STATE topics carry what is true now; EVENT topics what happened, and resume after a break.
enum {
    APP_DEVICE,      // STATE: who this is; once
    APP_CPU,         // STATE
    APP_MEMORY,      // STATE
    APP_NETWORK,     // STATE
    APP_TEMPERATURE, // STATE
    APP_GAUGES,      // STATE: whatever else the machine counts
    APP_SERVER,      // STATE: rtpush's own counters
    APP_CONTROL,     // STATE: the switch, the period, pause
    APP_SAMPLE,      // EVENT: one point of the charts
    APP_LOG,         // EVENT: a line of the log
    APP_BURST,       // EVENT: many at once, to see what a slow or disconnected reader gets
    APP_TOPIC_COUNT
};

// Largest STATE values in bytes, with all cores, temperatures and gauges there can be.
enum {
    APP_DEVICE_MAX = 96 + SENSORS_HOST + SENSORS_SYSTEM + SENSORS_MODEL,
    APP_CPU_MAX = 96 + 6 * SENSORS_MAX_CORES, // "100.0,"
    APP_MEMORY_MAX = 128,
    APP_NETWORK_MAX = 128,
    APP_TEMPERATURE_MAX = 8 + 72 * SENSORS_MAX_TEMPS, // {"name":"...","c":-12.3,"simulated":true},
    APP_GAUGES_MAX = 8 + 48 * SENSORS_MAX_GAUGES,     // ["...","B",1234,1234,1234],
    APP_SERVER_MAX = 400,
    APP_CONTROL_MAX = 56,
    APP_STATE_SUM = APP_DEVICE_MAX + APP_CPU_MAX + APP_MEMORY_MAX + APP_NETWORK_MAX +
                    APP_TEMPERATURE_MAX + APP_GAUGES_MAX + APP_SERVER_MAX + APP_CONTROL_MAX
};

extern const rtpush_topic app_topics[APP_TOPIC_COUNT];

extern const rtpush_route app_routes[];
extern const uint8_t app_route_count;

typedef struct app_alarm {
    uint8_t raised;
    uint8_t streak; // samples in a row on the other side of the limit
} app_alarm;

typedef struct app {
    rtpush_server *srv;
    struct sensors sensors; // with its tag: in C++ the member hides the name of the type
    uint32_t ram;       // bytes given to the server, shown on the page
    uint32_t log_size;  // of them for the log
    uint32_t max_conns; // slots
    uint64_t up_ms;     // since app_start
    uint32_t last_ms;   // time of the last step
    uint32_t sample_ms; // when the next sample is due
    uint32_t server_ms; // when the counters are due
    uint32_t period_ms;
    uint32_t burst_ms;  // when the next step of a burst is due
    uint8_t on;         // the switch
    uint8_t paused;
    uint16_t burst_left; // events of the burst under way
    uint16_t burst_size;
    app_alarm cpu_alarm;
    app_alarm memory_alarm;
    app_alarm temperature_alarm;
} app;

// The server is initialised with app_routes, app_topics and `a` as desc.user.
void app_start(app *a, rtpush_server *srv, uint32_t now_ms);

// Takes samples and publishes what is due. Returns ms until it wants to be called again.
uint32_t app_step(app *a, uint32_t now_ms);

#endif
