// app.h - the device of every project of examples/boards: an LED and the time since the start

#ifndef APP_H
#define APP_H

#include "rtpush.h"

// ESP-IDF and Zephyr set these by Kconfig, others as they like.
#ifdef CONFIG_RTPUSH_CONNECTIONS
#define APP_CONNECTIONS CONFIG_RTPUSH_CONNECTIONS
#define APP_RX_SIZE CONFIG_RTPUSH_RX_SIZE
#define APP_TX_SIZE CONFIG_RTPUSH_TX_SIZE
#define APP_LOG_SIZE CONFIG_RTPUSH_LOG_SIZE
#else
#ifndef APP_CONNECTIONS
#define APP_CONNECTIONS 4
#endif
#define APP_RX_SIZE 512
#define APP_TX_SIZE 512
#define APP_LOG_SIZE 2048
#endif

// Prepares the server; NULL, and what is wrong, if it cannot. epoch: differs at each boot, never 0.
rtpush_server *app_start(uint32_t epoch, const char **wrong);
// Publishes what has changed, once a second. In the task that serves.
void app_step(uint32_t now_ms);

void board_led(int on); // the board's

#endif // APP_H
