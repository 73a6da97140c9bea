// Counters of the main loop.

#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stdint.h>

typedef struct firmware_times {
    uint64_t cycles; // of the processor since the start
    uint64_t slept;  // of them asleep
    uint32_t turns;  // of the loop
} firmware_times;
extern firmware_times firmware_loop;

void firmware_report(void); // a line about memory and load on the serial port

#endif
