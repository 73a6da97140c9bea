// The implementation of rtpush.h, for build systems that compile it once.
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
