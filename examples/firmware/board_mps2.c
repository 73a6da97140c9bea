// Arm MPS2 with the FPGA images AN385 (Cortex-M3) and AN500 (Cortex-M7), Ethernet by an SMSC
// LAN9118. Register names are those of AN385 and of LAN9118's data sheet.

#include "board.h"

#define REG(address) (*(volatile uint32_t *)(address))

#ifdef BOARD_AN500
const char board_name[] = "mps2-an500";
const char board_model[] = "Cortex-M7, MPS2";
#define LAN 0xA0000000u
#else
const char board_name[] = "mps2-an385";
const char board_model[] = "Cortex-M3, MPS2";
#define LAN 0x40200000u
#endif
const uint32_t board_hz = 25000000;
const uint32_t board_eth_irq = 13;

enum {
    UART0 = 0x40004000,
    UART_DATA = UART0,
    UART_STATE = UART0 + 4,
    UART_STATE_FULL = 1 << 0,
    UART_CTRL = UART0 + 8,
    UART_BAUDDIV = UART0 + 16,

    FPGAIO_LED = 0x40028000,

    RX_STATUS = 0x40, // offsets of LAN9118's registers
    IRQ_CFG = 0x54,
    INT_STS = 0x58,
    INT_EN = 0x5C,
    INT_RSFL = 1 << 3, // a status waits: a frame was received
    FIFO_INT = 0x68,
    RX_CFG = 0x6C,
    TX_CFG = 0x70,
    HW_CFG = 0x74,
    RX_FIFO_INF = 0x7C,
    MAC_CSR_CMD = 0xA4,
    MAC_CSR_DATA = 0xA8,
    MAC_CR = 1, // registers behind MAC_CSR
    MAC_ADDRH = 2,
    MAC_ADDRL = 3
};

#define LAN_REG(offset) REG(LAN + (uint32_t)(offset))

volatile uint32_t *const board_eth_rx = &LAN_REG(0x00);
volatile uint32_t *const board_eth_tx = &LAN_REG(0x20);

static void mac_write(uint32_t number, uint32_t value) {
    LAN_REG(MAC_CSR_DATA) = value;
    LAN_REG(MAC_CSR_CMD) = 0x80000000u | number;
    while (LAN_REG(MAC_CSR_CMD) & 0x80000000u) {
    }
}

static uint32_t mac_read(uint32_t number) {
    LAN_REG(MAC_CSR_CMD) = 0xC0000000u | number;
    while (LAN_REG(MAC_CSR_CMD) & 0x80000000u) {
    }
    return LAN_REG(MAC_CSR_DATA);
}

static void lan_init(void) {
    LAN_REG(HW_CFG) = 1; // reset
    while (LAN_REG(HW_CFG) & 1u) {
    }
    LAN_REG(HW_CFG) = 0x00050000; // 5 KB for what is sent
    LAN_REG(INT_EN) = 0;
    LAN_REG(INT_STS) = 0xFFFFFFFFu;
    LAN_REG(IRQ_CFG) = 0x111; // on, active high, push-pull
    LAN_REG(FIFO_INT) = 0x48000000;
    LAN_REG(RX_CFG) = 2 << 8; // two bytes of padding
    LAN_REG(TX_CFG) = 2;      // on
    mac_write(MAC_CR, 0x10000C); // full duplex, send, receive
}

void board_init(void) {
    REG(UART_BAUDDIV) = 217; // 25 MHz / 115,200
    REG(UART_CTRL) = 1;      // send
    board_lamp(0);
    lan_init();
}

void board_put(char c) {
    while (REG(UART_STATE) & UART_STATE_FULL) {
    }
    REG(UART_DATA) = (uint8_t)c;
}

void board_lamp(int on) {
    REG(FPGAIO_LED) = on ? 1u : 0u;
}

uint64_t board_eth_mac(void) {
    const uint32_t low = mac_read(MAC_ADDRL);
    return (uint64_t)mac_read(MAC_ADDRH) << 32 | low;
}

uint32_t board_eth_next(uint32_t *first) {
    if (!board_eth_pending()) {
        return 0;
    }
    const uint32_t len = LAN_REG(RX_STATUS) >> 16 & 0x3FFFu; // with the checksum
    *first = *board_eth_rx;
    return len - 4u;
}

uint16_t board_eth_begin(uint32_t len) {
    *board_eth_tx = 2u << 16 | 1u << 13 | 1u << 12 | len; // after 2 bytes; first and last segment
    *board_eth_tx = len << 16 | len;
    return 0;
}

void board_eth_end(void) {
    // The card sends as soon as it has all words.
}

void board_eth_isr(void) {
    LAN_REG(INT_EN) = 0;
}

void board_eth_listen(void) {
    LAN_REG(INT_STS) = INT_RSFL;
    LAN_REG(INT_EN) = INT_RSFL;
}

int board_eth_pending(void) {
    return (LAN_REG(RX_FIFO_INF) >> 16 & 0xFFu) != 0;
}
