// As much of pico-sdk's pico/stdlib.h as examples/boards uses; so are the other files here.
#pragma once
#include <stdbool.h>
#include <stdint.h>
typedef uint64_t absolute_time_t;
bool stdio_init_all(void);
absolute_time_t get_absolute_time(void);
uint32_t to_ms_since_boot(absolute_time_t t);
absolute_time_t make_timeout_time_ms(uint32_t ms);
