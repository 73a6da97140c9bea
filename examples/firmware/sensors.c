// Measurements of the device, for sensors.h. Only the temperature is not measured: these boards
// have no thermometer, so it is made up, and marked as simulated.

#include "../dashboard/sensors.h"

#include "board.h"
#include "firmware.h"
#include "log.h"
#include "net.h"
#include "startup.h"

#include "lwip/init.h"
#include "lwip/stats.h"

#include <string.h>

static uint64_t last_cycles;
static uint64_t last_slept;

static void add_gauge(sensors *s, const char *name, const char *unit, uint32_t value, uint32_t high,
                      uint32_t size) {
    if (s->gauge_count < SENSORS_MAX_GAUGES) {
        s->gauges[s->gauge_count++] = (sensors_gauge){
            .name = name, .unit = unit, .value = value, .high = high, .size = size};
    }
}

static uint32_t add_pool(sensors *s, const char *name, const char *unit,
                         const struct stats_mem *pool) {
    add_gauge(s, name, unit, pool->used, pool->max, pool->avail);
    return pool->err;
}

static void read_gauges(sensors *s) {
    const uint32_t high = stack_high();
    uint32_t failed = 0;
    s->gauge_count = 0;
    add_gauge(s, "Stack", "B", high, 0, (uint32_t)(stack_top - stack_bottom));
    failed += add_pool(s, "lwIP heap", "B", &lwip_stats.mem);
    failed += add_pool(s, "TCP connections", "", lwip_stats.memp[MEMP_TCP_PCB]);
    failed += add_pool(s, "TCP segments", "", lwip_stats.memp[MEMP_TCP_SEG]);
    failed += add_pool(s, "References", "", lwip_stats.memp[MEMP_PBUF]);
    failed += add_pool(s, "Receive buffers", "", lwip_stats.memp[MEMP_PBUF_POOL]);
    add_gauge(s, "Out of memory", "", failed, 0, 0);
    add_gauge(s, "Packets in", "", net_count.frames_in, 0, 0);
    add_gauge(s, "Packets out", "", net_count.frames_out, 0, 0);
    add_gauge(s, "Packets dropped", "", net_count.frames_dropped, 0, 0);
}

// The part of the time since the last read that the loop was awake.
static void read_load(sensors *s) {
    const uint64_t cycles = firmware_loop.cycles - last_cycles;
    const uint64_t slept = firmware_loop.slept - last_slept;
    last_cycles = firmware_loop.cycles;
    last_slept = firmware_loop.slept;
    s->cpu_permille = cycles > 0 ? (uint32_t)((cycles - slept) * 1000u / cycles) : 0;
    s->core_permille[0] = (uint16_t)s->cpu_permille;
    s->uptime_s = (uint32_t)(firmware_loop.cycles / board_hz);
}

static void read_memory(sensors *s) {
    const uint32_t total = (uint32_t)(ram_end - ram_start);
    const uint32_t used = (uint32_t)(static_end - stack_top) + sizeof(keep) + stack_high();
    s->mem_total_kib = total / 1024u;
    s->mem_available_kib = (total - used) / 1024u;
}

static uint32_t rate(uint64_t now, uint64_t before, uint32_t ms) {
    return ms > 0 ? (uint32_t)((now - before) * 1000u / ms) : 0;
}

static void read_network(sensors *s, uint32_t ms) {
    s->net_rx = rate(net_count.bytes_in, s->net_rx_total, ms);
    s->net_tx = rate(net_count.bytes_out, s->net_tx_total, ms);
    s->net_rx_total = net_count.bytes_in;
    s->net_tx_total = net_count.bytes_out;
    s->net_count = 1;
}

// A wave between 18 and 30 degrees every 60 s, of two parabolas.
static void invent_temperature(sensors *s, uint32_t now_ms) {
    enum { PERIOD = 60000, HALF = PERIOD / 2, MIDDLE = 24000, SWING = 6000 };
    const int32_t x = (int32_t)(now_ms % HALF);
    const int32_t arc = (int32_t)((int64_t)4 * SWING * x * (HALF - x) / ((int64_t)HALF * HALF));
    s->temp_count = 1;
    s->temps[0].simulated = 1;
    memcpy(s->temps[0].name, "Thermometer", sizeof "Thermometer");
    s->temps[0].milli_celsius = now_ms % PERIOD < HALF ? MIDDLE + arc : MIDDLE - arc;
}

void sensors_init(sensors *s) {
    static const char lwip_name[] = "lwIP " LWIP_VERSION_STRING ", no operating system";
    memset(s, 0, sizeof *s);
    memcpy(s->host, board_name, strlen(board_name) + 1);
    memcpy(s->model, board_model, strlen(board_model) + 1);
    memcpy(s->system, lwip_name, sizeof lwip_name);
    s->core_count = 1;
}

void sensors_read(sensors *s, uint32_t now_ms) {
    const uint32_t elapsed_ms = now_ms - s->last_ms;
    s->last_ms = now_ms;
    read_load(s);
    read_memory(s);
    read_network(s, elapsed_ms);
    invent_temperature(s, now_ms);
    read_gauges(s);
    s->ready = 1;
}

void sensors_output(sensors *s, int on) {
    s->output = on != 0;
    board_lamp(on);
    log_uart("output %s", on ? "on" : "off");
    firmware_report();
}
