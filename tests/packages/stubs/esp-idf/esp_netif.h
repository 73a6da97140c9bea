#pragma once
typedef struct esp_netif_obj esp_netif_t;
extern const char *const IP_EVENT;
enum { IP_EVENT_STA_GOT_IP };
int esp_netif_init(void);
esp_netif_t *esp_netif_create_default_wifi_sta(void);
