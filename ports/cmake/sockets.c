// The implementation of ports/rtpush_sockets.h, for build systems.
#define _GNU_SOURCE // Linux with -std=c99
#include "rtpush.h"
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "ports/rtpush_sockets.h"
