// As much of ESP-IDF's driver/gpio.h as examples/boards uses; so are the other files here.
#pragma once
#include <stdint.h>
typedef int esp_err_t;
typedef int gpio_num_t;
typedef enum { GPIO_MODE_OUTPUT = 2 } gpio_mode_t;
esp_err_t gpio_set_level(gpio_num_t gpio_num, uint32_t level);
esp_err_t gpio_set_direction(gpio_num_t gpio_num, gpio_mode_t mode);
