#pragma once
#include "lwip/netif.h"
#include "pico/stdlib.h"
#define CYW43_WL_GPIO_LED_PIN 0
#define CYW43_AUTH_WPA2_AES_PSK 0x00400004
#define WIFI_NAME "name"
#define WIFI_PASSWORD "password"
int cyw43_arch_init(void);
void cyw43_arch_enable_sta_mode(void);
int cyw43_arch_wifi_connect_timeout_ms(const char *ssid, const char *pw, uint32_t auth,
                                       uint32_t timeout);
void cyw43_arch_gpio_put(unsigned int wl_gpio, bool value);
void cyw43_arch_poll(void);
void cyw43_arch_wait_for_work_until(absolute_time_t until);
