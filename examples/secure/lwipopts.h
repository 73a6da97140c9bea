// lwIP beside two TLS connections in 64 KB of RAM.

#define CONNS 8
#define STREAMS 7
#define LISTENERS 2 // 80 and 443
#define MEM_SIZE (8 * 1024)
#include "../firmware/lwipopts.h"
