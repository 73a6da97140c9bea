// ESP-IDF 5.3 and later: the server runs in a task of its own, over plain sockets.

#include "app.h"
#include "ports/rtpush_sockets.h"

#include "driver/gpio.h"
#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "esp_wifi.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"

static const char TAG[] = "rtpush";
enum { LED_PIN = 2, STACK = 4096 };

static rtpush_sockets port;
static uint64_t port_memory[RTPUSH_SOCKETS_WORDS(APP_CONNECTIONS)];

void board_led(int on) {
    gpio_set_level((gpio_num_t)LED_PIN, on ? 1 : 0);
}

static void web_task(void *arg) {
    const char *wrong = "";
    rtpush_sockets_desc desc = {.memory = port_memory, .memory_size = sizeof port_memory};
    rtpush_server *srv = app_start(esp_random() | 1u, &wrong);
    int result = -1;
    (void)arg;
    if (srv == NULL) {
        ESP_LOGE(TAG, "%s", wrong);
    } else {
        result = rtpush_sockets_init(&port, srv, &desc);
        if (result >= 0) {
            result = rtpush_sockets_listen(&port, NULL, 80, 0);
        }
        while (result >= 0) {
            app_step((uint32_t)(esp_timer_get_time() / 1000));
            result = rtpush_sockets_step(&port, 100);
        }
        ESP_LOGE(TAG, "%s", rtpush_sockets_strerror(result));
    }
    vTaskDelete(NULL);
}

static void on_network(void *arg, esp_event_base_t base, int32_t id, void *data) {
    static int started;
    (void)arg;
    (void)data;
    if (base == IP_EVENT && id == IP_EVENT_STA_GOT_IP && !started) {
        started = xTaskCreate(web_task, "web", STACK, NULL, 5, NULL) == pdPASS;
    } else if (base == WIFI_EVENT) { // started, or the connection was lost
        esp_wifi_connect();
    }
}

void app_main(void) {
    const wifi_init_config_t init = WIFI_INIT_CONFIG_DEFAULT();
    wifi_config_t wifi = {.sta = {.ssid = CONFIG_WIFI_NAME, .password = CONFIG_WIFI_PASSWORD}};
    gpio_set_direction((gpio_num_t)LED_PIN, GPIO_MODE_OUTPUT);
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    esp_netif_create_default_wifi_sta();
    ESP_ERROR_CHECK(esp_wifi_init(&init));
    ESP_ERROR_CHECK(esp_event_handler_register(WIFI_EVENT, WIFI_EVENT_STA_START, on_network, NULL));
    ESP_ERROR_CHECK(
        esp_event_handler_register(WIFI_EVENT, WIFI_EVENT_STA_DISCONNECTED, on_network, NULL));
    ESP_ERROR_CHECK(esp_event_handler_register(IP_EVENT, IP_EVENT_STA_GOT_IP, on_network, NULL));
    ESP_ERROR_CHECK(esp_wifi_set_mode(WIFI_MODE_STA));
    ESP_ERROR_CHECK(esp_wifi_set_config(WIFI_IF_STA, &wifi));
    ESP_ERROR_CHECK(esp_wifi_start());
}
