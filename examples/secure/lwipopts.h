// lwIP beside three TLS connections in 64 KB of RAM. A connection that waits for a TLS slot, or is
// redirected from port 80 to 443, needs no memory but lwIP's.

#define CONNS 8
#define STREAMS 2
#define LISTENERS 2 // 80 and 443
#define MEM_SIZE (8 * 1024)
// A ClientHello of Chromium that waits for a TLS slot holds two buffers: four can wait while four
// more buffers receive.
#define PBUF_POOL_SIZE 12
#define RTPUSH_LWIP_HOLD_ALL 8
#include "../firmware/lwipopts.h"
