#ifndef T_WIFI_H
#define T_WIFI_H

#include "Arduino.h"

struct WiFiClass {
    void begin(const char *, const char *) {}
    int status() { return WL_CONNECTED; }
    const char *localIP() { return "127.0.0.1"; }
};
static WiFiClass WiFi;

#endif // T_WIFI_H
