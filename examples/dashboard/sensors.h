// Measurements of the machine, and its one output. sensors.c reads them from /proc and /sys; the
// firmware has its own implementation of this file: the rest of the dashboard sees only these
// numbers. What a machine does not measure stays 0 or empty and is not shown.

#ifndef SENSORS_H
#define SENSORS_H

#include <stdint.h>

// How many of each there can be: a microcontroller makes them smaller on the compiler's command
// line, the same for all files.
#ifndef SENSORS_MAX_CORES
#define SENSORS_MAX_CORES 64 // more are counted in the total, but not shown one by one
#endif
#ifndef SENSORS_MAX_TEMPS
#define SENSORS_MAX_TEMPS 8
#endif
#ifndef SENSORS_MAX_GAUGES
#define SENSORS_MAX_GAUGES 4
#endif

enum { SENSORS_HOST = 64, SENSORS_SYSTEM = 96, SENSORS_MODEL = 64, SENSORS_NAME = 24 };

typedef struct sensors_temp {
    char name[SENSORS_NAME];
    int32_t milli_celsius;
    uint8_t simulated; // 1: made up by software; the page says so wherever it is shown
} sensors_temp;

// Anything else that has a number: a pool, a counter, a stack.
typedef struct sensors_gauge {
    const char *name; // name and unit: 18 bytes together
    const char *unit; // "B" for bytes, "" for things
    uint32_t value;
    uint32_t high; // most so far, 0: not known
    uint32_t size; // most there can be, 0: no limit
    uint8_t simulated;
} sensors_gauge;

typedef struct sensors {
    // Once, at the start.
    char host[SENSORS_HOST];
    char system[SENSORS_SYSTEM]; // kernel and its version
    char model[SENSORS_MODEL];   // processor, "" if unknown

    // At each sensors_read.
    uint32_t core_count;
    uint32_t cpu_permille; // use of all cores together since the last read
    uint16_t core_permille[SENSORS_MAX_CORES];
    uint32_t load_count;    // 3 or 0
    uint32_t load_centi[3]; // load average over 1, 5 and 15 minutes, hundredths
    uint32_t uptime_s;
    uint32_t mem_total_kib; // 0: unknown
    uint32_t mem_available_kib;
    uint32_t mem_cached_kib;
    uint32_t swap_total_kib;
    uint32_t swap_free_kib;
    uint32_t net_rx; // bytes a second, all network cards together, without loopback
    uint32_t net_tx;
    uint64_t net_rx_total; // bytes
    uint64_t net_tx_total;
    uint32_t net_count; // cards counted
    uint32_t temp_count;
    sensors_temp temps[SENSORS_MAX_TEMPS];
    uint32_t gauge_count;
    sensors_gauge gauges[SENSORS_MAX_GAUGES];

    uint8_t output; // as sensors_output left it

    // What the next read compares with.
    uint64_t last_busy[SENSORS_MAX_CORES + 1]; // clock ticks; [0] all together
    uint64_t last_all[SENSORS_MAX_CORES + 1];
    uint32_t last_ms;
    uint8_t ready; // there was a read before
} sensors;

void sensors_init(sensors *s);

// Reads everything. now_ms: any millisecond counter that wraps at 2^32.
void sensors_read(sensors *s, uint32_t now_ms);

// The switch of the page: drives a pin or a relay where there is one.
void sensors_output(sensors *s, int on);

#endif
