// examples/firmware/main.c over TLS, where there is RAM for every connection and for any record.

#include "rtpush.h"
#include "ports/rtpush_lwip.h"

enum { TLS_SLOTS = CONNS, TLS_IN = 16384 + 325, TLS_OUT = 2048 + 85 };
#include "tls_listen.h"

#include "examples/firmware/main.c"
