// What this machine's kernel knows about it, read from /proc and /sys. A firmware build replaces
// sensors.c and keeps this file: the rest of the dashboard sees only these numbers.

#ifndef SENSORS_H
#define SENSORS_H

#include <stdint.h>

enum {
    SENSORS_MAX_CORES = 64, // more are counted in the total, but not shown one by one
    SENSORS_MAX_TEMPS = 8,
    SENSORS_NAME = 24
};

typedef struct sensors_temp {
    char name[SENSORS_NAME];
    int32_t milli_celsius;
} sensors_temp;

typedef struct sensors {
    // Once, at the start.
    char host[64];
    char system[96]; // kernel and its version
    char model[64];  // processor, "" if unknown

    // At each sensors_read.
    uint32_t core_count;
    uint32_t cpu_permille; // use of all cores together since the last read
    uint16_t core_permille[SENSORS_MAX_CORES];
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

    // What the next read compares with.
    uint64_t last_busy[SENSORS_MAX_CORES + 1]; // clock ticks; [0] all together
    uint64_t last_all[SENSORS_MAX_CORES + 1];
    uint32_t last_ms;
    uint8_t ready; // a read came before
} sensors;

void sensors_init(sensors *s);

// Reads everything. now_ms: any millisecond counter that wraps at 2^32. What the machine does not
// tell stays 0: a value missing is no error.
void sensors_read(sensors *s, uint32_t now_ms);

#endif
