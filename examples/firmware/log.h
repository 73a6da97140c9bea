// Lines on the serial port, each with the time since the start, of every application of these
// drivers. Formats: see ports/rtpush_json.h.

#ifndef LOG_H
#define LOG_H

#include "rtpush.h"

void log_uart(const char *format, ...);
// The program, the board, and how the RAM is divided.
void log_boot(const char *what);
// For rtpush_desc.on_refuse: a line, at most five a second.
void log_refused(rtpush_server *srv, uint32_t peer, int status, int why);
// Prints and then sleeps for ever.
void log_and_stop(const char *what, const char *why);

#endif
