// What is common to all Cortex-M boards: vectors, memory before main, the clock, sleep, and the
// report of a fault. Names of registers are those of the Armv7-M manual.

#include "startup.h"

#include "board.h"

#include <string.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define SYST_CSR REG(0xE000E010u)
#define SYST_RVR REG(0xE000E014u)
#define SYST_CVR REG(0xE000E018u)
#define NVIC_ISER(irq) REG(0xE000E100u + 4u * ((irq) / 32u))
#define SCB_CFSR REG(0xE000ED28u)
#define SCB_HFSR REG(0xE000ED2Cu)
#define SCB_BFAR REG(0xE000ED38u)

enum { IRQS = 48, STACK_PAINT = 0x5A }; // interrupts 0 to 47: enough for these boards

extern uint8_t data_load[], data_start[], data_end[], bss_start[], bss_end[];
int main(void);

static volatile uint32_t ticks;
static uint32_t tick_cycles;

// -- before main ----------------------------------------------------------------------------------

// The stack is the lowest memory: an overflow overwrites nothing, it faults.
static void prepare_memory(void) {
    uint8_t *here;
    __asm volatile("mov %0, sp" : "=r"(here));
    for (uint8_t *p = stack_bottom; p < here - 16; p++) {
        *p = STACK_PAINT;
    }
    memcpy(data_start, data_load, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
}

__attribute__((noreturn)) static void on_reset(void) {
    prepare_memory();
    (void)main();
    for (;;) { // main does not return
    }
}

uint32_t boot_count(void) {
    enum { MAGIC = 0x72747073 };
    if (keep_memory.magic != MAGIC) {
        keep_memory.magic = MAGIC;
        keep_memory.boots = 0;
    }
    return ++keep_memory.boots;
}

int boot_seeded(void) {
    uint8_t any = 0;
    for (size_t i = 0; i < sizeof keep_memory.seed; i++) {
        any |= keep_memory.seed[i];
    }
    return any != 0;
}

uint32_t stack_high(void) {
    const uint8_t *p = stack_bottom;
    while (p < stack_top && *p == STACK_PAINT) {
        p++;
    }
    return (uint32_t)(stack_top - p);
}

// -- clock and sleep ------------------------------------------------------------------------------

__attribute__((weak)) void clock_on_tick(void) {
}

static void on_tick(void) {
    ticks++;
    clock_on_tick();
}

void interrupts_init(uint32_t hz) {
    tick_cycles = hz / BOARD_TICK_HZ;
    SYST_RVR = tick_cycles - 1u;
    SYST_CVR = 0;
    SYST_CSR = 7; // processor clock, interrupt, on
    NVIC_ISER(board_eth_irq) = 1u << (board_eth_irq % 32u);
}

uint32_t clock_ms(void) {
    return ticks;
}

uint32_t clock_cycles(void) {
    uint32_t now;
    uint32_t left;
    do { // the same tick before and after
        now = ticks;
        left = SYST_CVR;
    } while (now != ticks);
    return now * tick_cycles + (tick_cycles - 1u - left);
}

// wfi wakes for a pending interrupt even while interrupts are masked, so an interrupt between the
// call of `pending` and wfi is not lost. SysTick wakes it a thousand times a second to check the
// time.
void sleep_until(uint32_t due_ms, int (*pending)(void)) {
    for (int awake = 0; !awake;) {
        __asm volatile("cpsid i" ::: "memory");
        awake = pending() || (int32_t)(ticks - due_ms) >= 0;
        if (!awake) {
            __asm volatile("dsb\n\twfi" ::: "memory");
        }
        __asm volatile("cpsie i\n\tisb" ::: "memory");
    }
}

// -- faults ---------------------------------------------------------------------------------------

static void put_text(const char *text) {
    while (*text != '\0') {
        board_put(*text++);
    }
}

static void put_register(const char *name, uint32_t value) {
    put_text(name);
    for (int shift = 28; shift >= 0; shift -= 4) {
        board_put("0123456789abcdef"[value >> shift & 0xFu]);
    }
}

__attribute__((noreturn, used)) static void report_fault(const uint32_t *frame, uint32_t number) {
    put_text("\nfault: exception ");
    board_put((char)('0' + number / 10 % 10));
    board_put((char)('0' + number % 10));
    put_register(", cfsr ", SCB_CFSR);
    put_register(" hfsr ", SCB_HFSR);
    put_register(" bfar ", SCB_BFAR);
    put_register(" sp ", (uint32_t)frame);
    // The registers that the processor pushed, unless pushing them failed.
    if ((const uint8_t *)frame >= stack_bottom && (const uint8_t *)(frame + 8) <= stack_top) {
        static const char *const names[] = {"\n  r0 ", " r1 ", " r2 ",   " r3 ",
                                            " r12 ",  " lr ", "\n  pc ", " psr "};
        for (int i = 0; i < 8; i++) {
            put_register(names[i], frame[i]);
        }
    } else {
        put_text(": stack overflow");
    }
    put_text("\nstopped\n");
    for (;;) {
        __asm volatile("cpsid i\n\twfi");
    }
}

// On a separate stack: the fault may be an overflow of the main one.
__attribute__((naked)) static void on_fault(void) {
    __asm volatile("mrs r0, msp\n\t"
                   "mrs r1, ipsr\n\t"
                   "ldr r2, =stack_top\n\t"
                   "msr msp, r2\n\t"
                   "b report_fault");
}

// -- vectors --------------------------------------------------------------------------------------

typedef union vector {
    void (*call)(void);
    const void *stack;
} vector;

// The network card's interrupt; no other one is enabled.
static void on_irq(void) {
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    if (number == 16u + board_eth_irq) {
        board_eth_isr();
    }
}

#define FOUR(what) {what}, {what}, {what}, {what}
__attribute__((section(".vectors"), used)) static const vector vectors[16 + IRQS] = {
    {.stack = stack_top}, {on_reset}, FOUR(on_fault), FOUR(on_fault), FOUR(on_fault),
    {on_fault}, {on_tick},
    FOUR(on_irq), FOUR(on_irq), FOUR(on_irq), FOUR(on_irq), FOUR(on_irq), FOUR(on_irq),
    FOUR(on_irq), FOUR(on_irq), FOUR(on_irq), FOUR(on_irq), FOUR(on_irq), FOUR(on_irq)};
