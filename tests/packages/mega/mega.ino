// A sketch for a board without a network, so without a port: the library is found and compiled.
#define RTPUSH_IMPLEMENTATION
#include <rtpush.h>
#include <ports/rtpush.hpp>

static rtpush::Server<1, 256, 256, 256, 2, 2, 16> server;

void setup() {
    Serial.begin(115200);
    server.name("mega");
    server.on("/", [](rtpush::Request &request) { request.send(200, "text/plain", "hello"); });
    server.state("value", 8);
    server.desc.epoch = 1;
    const char *wrong = server.begin();
    Serial.println(wrong != nullptr ? wrong : "ready");
}

void loop() {
    server.topic("value").publish(String(millis()));
}
