// As much of Arduino for ESP32 as the sketches of examples/ use, so that they run on this machine.
#ifndef T_ARDUINO_H
#define T_ARDUINO_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RTPUSH_EPOCH 0x1234u // the ESP32 has esp_random

// Macros of Arduino.h that a library must not trip over.
#define bit(b) (1UL << (b))
#define sq(x) ((x) * (x))
#define lowByte(w) ((uint8_t)((w) & 0xff))
#define interrupts() ((void)0)
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define round(x) ((x) >= 0 ? (long)((x) + 0.5) : (long)((x) - 0.5))

enum { LOW, HIGH, OUTPUT, WL_CONNECTED };

inline uint32_t millis() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}
inline void delay(uint32_t ms) { usleep(ms * 1000); }
inline void pinMode(uint8_t, uint8_t) {}
inline void digitalWrite(uint8_t pin, uint8_t level) {
    printf("pin %u is %s\n", pin, level == HIGH ? "high" : "low");
    fflush(stdout);
}

class String {
public:
    explicit String(unsigned long value) { snprintf(text, sizeof text, "%lu", value); }
    const char *c_str() const { return text; }
    unsigned length() const { return (unsigned)strlen(text); }

private:
    char text[24];
};

struct HardwareSerial {
    void begin(unsigned long) {}
    void println(const char *text) { fprintf(stderr, "%s\n", text); }
};
static HardwareSerial Serial;

void setup();
void loop();

#endif // T_ARDUINO_H
