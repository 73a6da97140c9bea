// rtpush and its ports, in an object of their own so that the map file tells their size.

#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_LWIP_IMPLEMENTATION
#include "ports/rtpush_lwip.h"
#define RTPUSH_JSON_IMPLEMENTATION
#include "ports/rtpush_json.h"
