// What startup.c knows of the processor and the image.

#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

// Set by link.ld. Their addresses count, not what is there.
extern uint8_t ram_start[], ram_end[], static_end[];  // all RAM; the end of .data and .bss
extern uint8_t stack_bottom[], stack_top[];

// Survives a reset that does not cut the power, and nobody clears it: the last 64 bytes of RAM.
typedef struct keep {
    uint8_t seed[32]; // random bytes that a programmer, a boot loader or QEMU puts here
    uint32_t magic;
    uint32_t boots;
    uint32_t spare[6];
} keep;
extern keep keep_memory;

uint32_t boot_count(void); // call it once: starts since the power came, from 1
int boot_seeded(void); // 1: somebody has put random bytes there
uint32_t stack_high(void); // most bytes of stack used so far

// Milliseconds, and processor cycles, since the start; both wrap.
uint32_t clock_ms(void);
uint32_t clock_cycles(void);

// Called every millisecond, in the interrupt; an application may define its own.
void clock_on_tick(void);

// The clock of a processor of that many hertz, and the network card's interrupt. After board_init:
// a card that was not told how may hold its line for ever.
void interrupts_init(uint32_t hz);

// Sleeps until `pending` says yes or the time has come; interrupts are masked when it is asked.
void sleep_until(uint32_t due_ms, int (*pending)(void));

#endif
