// Texas Instruments LM3S6965 (Stellaris), Cortex-M3, 256 KB flash, 64 KB RAM. Register names are
// those of its data sheet.

#include "board.h"

#define REG(address) (*(volatile uint32_t *)(address))

const char board_name[] = "lm3s6965evb";
const char board_model[] = "Cortex-M3, LM3S6965";
const uint32_t board_hz = 12500000; // the internal oscillator, as after reset
const uint32_t board_eth_irq = 42;

enum {
    UART0 = 0x4000C000,
    UART_DR = UART0,
    UART_FR = UART0 + 0x18,
    UART_FR_FULL = 1 << 5,
    UART_IBRD = UART0 + 0x24,
    UART_FBRD = UART0 + 0x28,
    UART_LCRH = UART0 + 0x2C,
    UART_CTL = UART0 + 0x30,

    MAC = 0x40048000,
    MAC_RIS = MAC, // also IACK
    MAC_IM = MAC + 0x04,
    MAC_RCTL = MAC + 0x08,
    MAC_TCTL = MAC + 0x0C,
    MAC_DATA = MAC + 0x10,
    MAC_IA0 = MAC + 0x14,
    MAC_IA1 = MAC + 0x18,
    MAC_THR = MAC + 0x1C,
    MAC_NP = MAC + 0x34,
    MAC_TR = MAC + 0x38,
    MAC_RX = 1 << 0, // in RIS and IM: a frame was received

    GPIO_A = 0x40004000,
    GPIO_F = 0x40025000,
    GPIO_DIR = 0x400,
    GPIO_AFSEL = 0x420,
    GPIO_DEN = 0x51C,
    PF0 = 1 << 0, // the status lamp; the address holds the mask of what a write changes
    GPIO_F_PF0 = GPIO_F + (PF0 << 2),

    RCGC1 = 0x400FE104,
    RCGC2 = 0x400FE108
};

volatile uint32_t *const board_eth_rx = &REG(MAC_DATA);
volatile uint32_t *const board_eth_tx = &REG(MAC_DATA);

static void uart_init(void) {
    REG(UART_CTL) = 0;
    REG(UART_IBRD) = 6; // 12.5 MHz / (16 * 115,200) = 6 + 50/64
    REG(UART_FBRD) = 50;
    REG(UART_LCRH) = 0x70; // 8 bits, FIFO
    REG(UART_CTL) = 0x301; // on, both ways
    REG(GPIO_A + GPIO_AFSEL) = 3; // PA0, PA1
    REG(GPIO_A + GPIO_DEN) = 3;
}

static void mac_init(void) {
    REG(MAC_IM) = 0;
    REG(MAC_RCTL) = 0x10; // empty the FIFO
    REG(MAC_RCTL) = 0x03; // receive, also multicast
    REG(MAC_TCTL) = 0x0F; // send, pad, checksum, duplex
    REG(MAC_THR) = 0x3F;  // not before the frame is whole
    REG(MAC_RIS) = 0xFF;  // acknowledges all
}

void board_init(void) {
    REG(RCGC1) |= 1u << 0;                                       // clock for UART0
    REG(RCGC2) |= 1u << 0 | 1u << 5 | 1u << 28 | 1u << 30;       // GPIO A and F, MAC, PHY
    (void)REG(RCGC2);                                            // read back: it takes some cycles
    uart_init();
    REG(GPIO_F + GPIO_DIR) |= PF0;
    REG(GPIO_F + GPIO_DEN) |= PF0;
    board_lamp(0);
    mac_init();
}

void board_put(char c) {
    while (REG(UART_FR) & UART_FR_FULL) {
    }
    REG(UART_DR) = (uint8_t)c;
}

void board_lamp(int on) {
    REG(GPIO_F_PF0) = on ? PF0 : 0;
}

uint64_t board_eth_mac(void) {
    const uint32_t low = REG(MAC_IA0);
    return (uint64_t)REG(MAC_IA1) << 32 | low;
}

// The first two bytes count themselves, the frame and its checksum.
uint32_t board_eth_next(uint32_t *first) {
    if (REG(MAC_NP) == 0) {
        return 0;
    }
    *first = REG(MAC_DATA);
    return (*first & 0xFFFFu) - 6u;
}

// The first two bytes are the length without the Ethernet header.
uint16_t board_eth_begin(uint32_t len) {
    while (REG(MAC_TR) & 1u) { // the previous frame is still being sent
    }
    return (uint16_t)(len - 14u);
}

void board_eth_end(void) {
    REG(MAC_TR) = 1;
}

void board_eth_isr(void) {
    REG(MAC_IM) = 0;
}

void board_eth_listen(void) {
    REG(MAC_RIS) = MAC_RX;
    REG(MAC_IM) = MAC_RX;
}

int board_eth_pending(void) {
    return REG(MAC_NP) != 0;
}
