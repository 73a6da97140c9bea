// The implementation of ports/rtpush_lwip.h, for build systems. Needs the program's lwipopts.h.
#include "rtpush.h"
#define RTPUSH_LWIP_IMPLEMENTATION
#include "ports/rtpush_lwip.h"
