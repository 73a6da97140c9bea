// The dashboard, without sockets and clocks: the same on a PC and in firmware.

#ifndef APP_H
#define APP_H

#include "rtpush.h"

#define APP_NAME "widgets"
enum { APP_CONNS = 16, APP_STREAMS = 10 };

// The server, in static memory of its own. NULL: it cannot be; *wrong says why.
rtpush_server *app_start(uint32_t epoch, const char *const *hosts, const char **wrong);

// What is due: call it again after so many milliseconds.
uint32_t app_step(uint32_t now_ms);

#endif
