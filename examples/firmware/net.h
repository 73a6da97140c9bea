// lwIP on the board's network card.

#ifndef NET_H
#define NET_H

#include <stdint.h>

typedef struct net_counters {
    uint32_t frames_in;
    uint32_t frames_out;
    uint32_t frames_dropped; // received, but there was no buffer
    uint64_t bytes_in;
    uint64_t bytes_out;
} net_counters;
extern net_counters net_count;

// seed: any number that differs at each boot.
void net_init(uint32_t seed);
const char *net_address(void);
// Reads frames that the card has received, at most a few, so that timers and the rest also run.
void net_receive(void);
int net_pending(void); // there is more; if not, the card's interrupt is on

#endif
