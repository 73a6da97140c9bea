// Stands in for pico_cyw43_arch, whose Wi-Fi driver is in no package: the SDK's own lwIP and
// async_context below it are real. Only what examples/boards/pico-w calls.
#ifndef PICO_CYW43_ARCH_H
#define PICO_CYW43_ARCH_H

#include "lwip/ip4_addr.h"
#include "lwip/netif.h"
#include "pico/lwip_nosys.h"
#include "pico/time.h"

enum { CYW43_WL_GPIO_LED_PIN = 0, CYW43_AUTH_WPA2_AES_PSK = 4 };

#ifdef STANDIN_BACKGROUND
#include "pico/async_context_threadsafe_background.h"
static async_context_threadsafe_background_t standin;
static inline bool standin_init(void) {
    return async_context_threadsafe_background_init_with_defaults(&standin);
}
static inline void cyw43_arch_poll(void) {}
static inline void cyw43_arch_wait_for_work_until(absolute_time_t until) {
    sleep_until(until);
}
#else
#include "pico/async_context_poll.h"
static async_context_poll_t standin;
static inline bool standin_init(void) {
    return async_context_poll_init_with_defaults(&standin);
}
static inline void cyw43_arch_poll(void) {
    async_context_poll(&standin.core);
}
static inline void cyw43_arch_wait_for_work_until(absolute_time_t until) {
    async_context_wait_for_work_until(&standin.core, until);
}
#endif

static inline int cyw43_arch_init(void) {
    return standin_init() && lwip_nosys_init(&standin.core) ? 0 : -1;
}
static inline void cyw43_arch_enable_sta_mode(void) {}
static inline int cyw43_arch_wifi_connect_timeout_ms(const char *ssid, const char *password,
                                                     uint32_t auth, uint32_t ms) {
    return ssid != NULL && password != NULL && auth != 0 && ms != 0 ? 0 : -1;
}
static inline void cyw43_arch_lwip_begin(void) {
    async_context_acquire_lock_blocking(&standin.core);
}
static inline void cyw43_arch_lwip_end(void) {
    async_context_release_lock(&standin.core);
}
static inline void cyw43_arch_gpio_put(unsigned pin, bool on) {
    (void)pin;
    (void)on;
}

#endif
