// selftest - a page that tests the board which serves it, and prints one report
//
// Build:  Arduino IDE or PlatformIO, an ESP32 board; put your network's name and password below
// Type:   http://esp32.local/ or the address that the serial monitor shows
// See:    the report grow, and "All ok"; please send it in, also where something failed

#include <ESPmDNS.h>
#include <WiFi.h>
#define RTPUSH_IMPLEMENTATION
#include <rtpush.h>
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include <ports/rtpush_sockets.h>
#define RTPUSH_JSON_IMPLEMENTATION
#include <ports/rtpush_json.h>
#include <ports/rtpush.hpp> // RTPUSH_EPOCH
#include "app.h"

static const char NETWORK[] = "your network", PASSWORD[] = "its password";
static const char *const names[] = {"esp32", "esp32.local", nullptr};
static uint64_t memory[RTPUSH_SOCKETS_WORDS(APP_CONNS)];
static rtpush_sockets port;

void setup() {
  Serial.begin(115200);
  WiFi.begin(NETWORK, PASSWORD);
  while (WiFi.status() != WL_CONNECTED) {
    delay(100);
  }
  MDNS.begin("esp32");

  rtpush_sockets_desc desc = {};
  desc.memory = memory;
  desc.memory_size = sizeof memory;
  const char *wrong = "";
  rtpush_server *server = app_start(RTPUSH_EPOCH, names, &wrong);
  int ready = server == nullptr ? 0 : rtpush_sockets_init(&port, server, &desc);
  if (server != nullptr && ready >= 0) {
    ready = rtpush_sockets_listen(&port, nullptr, 80, 0);
  }
  Serial.println(server == nullptr ? wrong : ready < 0 ? rtpush_sockets_strerror(ready) : "ready");
  Serial.println(WiFi.localIP());
}

void loop() {
  rtpush_sockets_step(&port, (int)app_step(millis()));
}
