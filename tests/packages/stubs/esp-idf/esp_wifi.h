#pragma once
#include <stdint.h>
extern const char *const WIFI_EVENT;
enum { WIFI_EVENT_STA_START = 2, WIFI_EVENT_STA_DISCONNECTED = 5 };
typedef struct { int magic; } wifi_init_config_t;
#define WIFI_INIT_CONFIG_DEFAULT() {1}
typedef union { struct { uint8_t ssid[32]; uint8_t password[64]; } sta; } wifi_config_t;
typedef enum { WIFI_MODE_STA = 1 } wifi_mode_t;
typedef enum { WIFI_IF_STA } wifi_interface_t;
int esp_wifi_init(const wifi_init_config_t *config);
int esp_wifi_set_mode(wifi_mode_t mode);
int esp_wifi_set_config(wifi_interface_t interface, wifi_config_t *conf);
int esp_wifi_start(void);
int esp_wifi_connect(void);
#define CONFIG_WIFI_NAME "name"
#define CONFIG_WIFI_PASSWORD "password"
