// Zephyr 3.7 and later: main is the task that serves. net_config waits for the network before it.

#include "app.h"
#include "ports/rtpush_sockets.h"

#include <zephyr/drivers/gpio.h>
#include <zephyr/kernel.h>
#include <zephyr/random/random.h>
#include <zephyr/sys/printk.h>

static const struct gpio_dt_spec led = GPIO_DT_SPEC_GET(DT_ALIAS(led0), gpios);
static rtpush_sockets port;
static uint64_t port_memory[RTPUSH_SOCKETS_WORDS(APP_CONNECTIONS)];

void board_led(int on) {
    (void)gpio_pin_set_dt(&led, on);
}

int main(void) {
    const char *wrong = "";
    rtpush_sockets_desc desc = {.memory = port_memory, .memory_size = sizeof port_memory};
    rtpush_server *srv = app_start(sys_rand32_get() | 1u, &wrong);
    int result;
    (void)gpio_pin_configure_dt(&led, GPIO_OUTPUT_INACTIVE);
    if (srv == NULL) {
        printk("rtpush_init: %s\n", wrong);
        return 1;
    }
    result = rtpush_sockets_init(&port, srv, &desc);
    if (result >= 0) {
        result = rtpush_sockets_listen(&port, NULL, 80, 0);
    }
    while (result >= 0) {
        app_step(k_uptime_get_32());
        result = rtpush_sockets_step(&port, 100);
    }
    printk("%s\n", rtpush_sockets_strerror(result));
    return 1;
}
