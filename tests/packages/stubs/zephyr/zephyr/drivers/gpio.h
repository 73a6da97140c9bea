// As much of Zephyr as examples/boards uses beside tests/sockets/stubs.
#pragma once
struct gpio_dt_spec { int pin; };
#define DT_ALIAS(name) name
#define GPIO_DT_SPEC_GET(node, property) {0}
#define GPIO_OUTPUT_INACTIVE 1
int gpio_pin_set_dt(const struct gpio_dt_spec *spec, int value);
int gpio_pin_configure_dt(const struct gpio_dt_spec *spec, unsigned flags);
