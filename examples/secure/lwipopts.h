// lwIP beside three TLS connections in 64 KB of RAM. Connections that wait for one of them, or are
// sent from port 80 to 443, need no more than lwIP's part.

#define CONNS 8
#define STREAMS 2
#define LISTENERS 2 // 80 and 443
#define MEM_SIZE (8 * 1024)
#include "../firmware/lwipopts.h"
