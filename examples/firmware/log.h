// Lines on the serial port, each with the time since the start. Formats: see text.h.

#ifndef LOG_H
#define LOG_H

void log_uart(const char *format, ...);

#endif
