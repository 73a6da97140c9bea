// lwIP beside three TLS connections in 64 KB of RAM. Connections that wait for one of them, or are
// sent from port 80 to 443, need no more than lwIP's part.

#define CONNS 8
#define STREAMS 2
#define LISTENERS 2 // 80 and 443
#define MEM_SIZE (8 * 1024)
// A first flight of Chromium that waits for TLS keeps two buffers: four may wait, four receive.
#define PBUF_POOL_SIZE 12
#define RTPUSH_LWIP_HOLD_ALL 8
#include "../firmware/lwipopts.h"
