// arduino - a value that every open page sees live, and an LED that every page switches
//
// Build:  Arduino IDE or PlatformIO, an ESP32 board; put your network's name and password below
// Type:   http://esp32.local/ or the address that the serial monitor shows
// See:    the seconds since the start; the LED's state, the same on all pages

#include <ESPmDNS.h>
#include <WiFi.h>
#define RTPUSH_IMPLEMENTATION
#include <rtpush.h>
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include <ports/rtpush_sockets.h>
#include <ports/rtpush.hpp>

static const char NETWORK[] = "your network", PASSWORD[] = "its password";
static const uint8_t LED = 2; // its pin

static constexpr rtpush_asset page = rtpush::asset("text/html; charset=utf-8", R"HTML(<!doctype html>
<title>ESP32</title><meta name=viewport content="width=device-width"><link rel=icon href=data:,>
<p>Up for <b id=uptime>...</b> s, LED <b id=led>...</b>
<p><button onclick="set(1)">On</button> <button onclick="set(0)">Off</button>
<script>
const set = (on) => fetch('/led?on=' + on, { method: 'POST' });
const events = new EventSource('/events');
for (const id of ['uptime', 'led']) {
  events.addEventListener(id, (e) => { document.getElementById(id).textContent = e.data; });
}
</script>)HTML");
static rtpush::Server<7> server; // 7 connections, 25 KB

void setup() {
  Serial.begin(115200);
  pinMode(LED, OUTPUT);
  WiFi.begin(NETWORK, PASSWORD);
  while (WiFi.status() != WL_CONNECTED) {
    delay(100);
  }
  MDNS.begin("esp32");

  server.name("esp32");
  server.file("/", page);
  server.events("/events");
  server.state("uptime", 12); // the newest value, of 12 bytes at most, for every page
  server.state("led", 4);
  server.on("/led", RTPUSH_POST, [](rtpush::Request &request) {
    char on[2];
    if (request.param("on", on, sizeof on) != 1) {
      request.send(400, "text/plain", "?on=0 or ?on=1\n");
      return;
    }
    digitalWrite(LED, on[0] == '1' ? HIGH : LOW);
    server.topic("led").publish(on[0] == '1' ? "on" : "off");
    request.send(204);
  });
  if (const char *wrong = server.start(80)) {
    Serial.println(wrong);
  }
  Serial.println(WiFi.localIP());
}

void loop() {
  static uint32_t last = 0;
  if (millis() - last >= 1000) {
    last = millis();
    server.topic("uptime").publish(String(last / 1000));
  }
  server.step(100); // serves, and waits at most 100 ms
}
