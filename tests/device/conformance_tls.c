// conformance_board.c over TLS, in 64 KB of RAM: records of 2,048 bytes from the peer.

#include "rtpush.h"
#include "ports/rtpush_lwip.h"

enum { TLS_SLOTS = 3, TLS_IN = 2048 + 325, TLS_OUT = 1024 + 85 };
#include "tls_listen.h"

#include "conformance_board.c"
