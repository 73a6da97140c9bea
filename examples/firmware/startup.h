// The processor and the image: what startup.c gives to the rest.

#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

// Set by link.ld. Their addresses are the values, not their contents.
extern uint8_t ram_start[], ram_end[], static_end[];  // all RAM; the end of .data and .bss
extern uint8_t stack_bottom[], stack_top[];

// The last 64 bytes of RAM: never cleared, so they survive a warm reset.
typedef struct keep {
    uint8_t seed[32]; // random bytes that a programmer, a boot loader or QEMU puts here
    uint32_t magic;
    uint32_t boots;
    uint32_t spare[6];
} keep;
extern keep keep_memory;

uint32_t boot_count(void); // call it once: boots since power-on, from 1
int boot_seeded(void); // 1: random bytes were put there
uint32_t stack_high(void); // most bytes of stack used so far

// Milliseconds, and processor cycles, since the start; both wrap.
uint32_t clock_ms(void);
uint32_t clock_cycles(void);

// Called every millisecond, in the interrupt; an application may define its own.
void clock_on_tick(void);

// Starts SysTick for a processor of that many hertz, and enables the network card's interrupt.
// After board_init: before it the card may hold its interrupt line active for ever.
void interrupts_init(uint32_t hz);

// Sleeps until `pending` returns 1 or until due_ms; calls `pending` with interrupts masked.
void sleep_until(uint32_t due_ms, int (*pending)(void));

#endif
