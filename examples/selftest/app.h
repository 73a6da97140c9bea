// The device of the self-test, without sockets and clocks: the same on a PC, in firmware and in a
// sketch.

#ifndef APP_H
#define APP_H

#include "rtpush.h"

#define APP_NAME "selftest"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef ARDUINO
enum { APP_CONNS = 7, APP_STREAMS = 5 }; // an ESP32 has 10 to 16 sockets
#else
enum { APP_CONNS = 16, APP_STREAMS = 10 };
#endif

// The server, in static memory of its own. NULL: it cannot be; *wrong says why.
rtpush_server *app_start(uint32_t epoch, const char *const *hosts, const char **wrong);

// What is due: call it again after so many milliseconds.
uint32_t app_step(uint32_t now_ms);

#ifdef __cplusplus
}
#endif

#endif
