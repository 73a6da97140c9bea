// What main.c needs of a board: a clock, a serial line, a network card, a lamp and sleep. One file
// a board implements it.

#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

extern const char board_name[];  // as QEMU calls it
extern const char board_model[]; // processor

enum { BOARD_TICK_HZ = 1000 };
extern const uint32_t board_hz; // of the processor

// UART, network card, lamp off, SysTick, interrupts.
void board_init(void);
void board_put(char c);   // on the serial line; waits for room
void board_lamp(int on);  // the device output that the page switches

// The network card is a pair of FIFOs of 32-bit words. A frame in them follows two bytes of
// padding: with ETH_PAD_SIZE 2 that is how lwIP keeps it, with the IP header aligned.
extern volatile uint32_t *const board_eth_rx;
extern volatile uint32_t *const board_eth_tx;
uint64_t board_eth_mac(void); // the first byte lowest
// The bytes of the next frame received, 0 if there is none. If there is one, its first word has
// been read, into *first; (2 + length + 4 + 3) / 4 - 1 words remain, with the checksum at the end.
uint32_t board_eth_next(uint32_t *first);
// Begins a frame of that many bytes; the caller then writes (2 + length + 3) / 4 words. Returns the
// value for the two bytes of padding. The card has room: it sends faster than we write.
uint16_t board_eth_begin(uint32_t len);
void board_eth_end(void); // all words are written: send the frame

// The interrupt only disables the card's interrupt (board_eth_isr); the main loop empties the FIFO
// and enables it again (board_eth_listen).
void board_eth_isr(void);
void board_eth_listen(void);
int board_eth_pending(void); // a frame was received
extern const uint32_t board_eth_irq;

#endif
