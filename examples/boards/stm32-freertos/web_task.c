// STM32Cube with FreeRTOS and lwIP: call web_start() at the end of StartDefaultTask, after
// MX_LWIP_Init. Add this file, ../app/app.c and ports/cmake/core.c to the project; the include
// paths are ../app and the repository; define RTPUSH_SOCKETS_LWIP for the whole project.

#include "app.h"
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "ports/rtpush_sockets.h"

#include "FreeRTOS.h"
#include "task.h"

#include "main.h" // CubeMX: HAL, LED_GPIO_Port, LED_Pin, hrng

enum { STACK_WORDS = 1024, PRIORITY = 2 };

static rtpush_sockets port;
static uint64_t port_memory[RTPUSH_SOCKETS_WORDS(APP_CONNECTIONS)];

void web_start(void);

void board_led(int on) {
    HAL_GPIO_WritePin(LED_GPIO_Port, LED_Pin, on ? GPIO_PIN_SET : GPIO_PIN_RESET);
}

static void web_task(void *arg) {
    const char *wrong = "";
    uint32_t boot = 0;
    rtpush_sockets_desc desc = {.memory = port_memory, .memory_size = sizeof port_memory};
    rtpush_server *srv;
    int result = -1;
    (void)arg;
    HAL_RNG_GenerateRandomNumber(&hrng, &boot); // no RNG: a counter in a backup register
    srv = app_start(boot | 1u, &wrong);
    if (srv != NULL) {
        result = rtpush_sockets_init(&port, srv, &desc);
        if (result >= 0) {
            result = rtpush_sockets_listen(&port, NULL, 80, 0);
        }
        while (result >= 0) {
            app_step(HAL_GetTick());
            result = rtpush_sockets_step(&port, 100);
        }
        wrong = rtpush_sockets_strerror(result);
    }
    (void)wrong; // look here with the debugger, or print it
    vTaskDelete(NULL);
}

void web_start(void) {
    (void)xTaskCreate(web_task, "web", STACK_WORDS, NULL, PRIORITY, NULL);
}
