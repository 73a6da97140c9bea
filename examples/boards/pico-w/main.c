// Pico W, pico-sdk 2.x. The same main() serves both ways of the SDK:
//     pico_cyw43_arch_lwip_poll    lwIP runs in this loop, and so does every callback of rtpush
//     pico_cyw43_arch_lwip_threadsafe_background    lwIP and the callbacks run in a low-priority
//         interrupt, on the stack of what it interrupts; publish between cyw43_arch_lwip_begin and
//         _end, as here
// An interrupt or the other core sets a flag that this loop reads, or has the SDK call in lwIP's
// context (async_context_add_when_pending_worker).

#include "app.h"
#include "ports/rtpush_lwip.h"

#include "pico/cyw43_arch.h"
#include "pico/rand.h"
#include "pico/stdlib.h"

#include <stdio.h>

static rtpush_lwip port;
static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(APP_CONNECTIONS)];

void board_led(int on) {
    cyw43_arch_gpio_put(CYW43_WL_GPIO_LED_PIN, on != 0);
}

static int start(void) {
    const char *wrong = "";
    const rtpush_lwip_desc desc = {.slots = slots, .slot_count = sizeof slots / sizeof slots[0],
                                    .timer = 1}; // sends what callbacks publish
    rtpush_server *srv = app_start(get_rand_32() | 1u, &wrong);
    if (srv == NULL) {
        printf("rtpush_init: %s\n", wrong);
        return -1;
    }
    if (rtpush_lwip_init(&port, &desc) != ERR_OK) {
        printf("rtpush_lwip_init: %s\n", rtpush_lwip_config_error(&port));
        return -1;
    }
    return rtpush_lwip_listen(&port, srv, NULL, 80, 0) == ERR_OK ? 0 : -1;
}

int main(void) {
    stdio_init_all();
    if (cyw43_arch_init() != 0) {
        return 1;
    }
    cyw43_arch_enable_sta_mode();
    while (cyw43_arch_wifi_connect_timeout_ms(WIFI_NAME, WIFI_PASSWORD, CYW43_AUTH_WPA2_AES_PSK,
                                              30000) != 0) {
        printf("no network yet\n");
    }
    cyw43_arch_lwip_begin();
    const int started = start() == 0;
    cyw43_arch_lwip_end();
    if (!started) {
        return 1;
    }
    printf("http://%s/\n", ip4addr_ntoa(netif_ip4_addr(netif_default)));
    for (;;) {
        cyw43_arch_poll(); // does nothing in the background way
        cyw43_arch_lwip_begin();
        app_step(to_ms_since_boot(get_absolute_time()));
        const uint32_t ms = rtpush_lwip_poll(&port);
        cyw43_arch_lwip_end();
        cyw43_arch_wait_for_work_until(make_timeout_time_ms(ms < 50 ? ms : 50));
    }
}
