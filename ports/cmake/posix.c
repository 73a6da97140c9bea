// The implementation of ports/rtpush_posix.h, for build systems.
#define _GNU_SOURCE // see NEEDS there
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
