// Runs examples/boards/stm32-freertos on this machine: the HAL.
#include "main.h"

#include <stdio.h>
#include <time.h>

RNG_HandleTypeDef hrng;
void web_start(void);

void HAL_GPIO_WritePin(int port, uint16_t pin, GPIO_PinState state) {
    printf("pin %d.%u is %s\n", port, pin, state == GPIO_PIN_SET ? "high" : "low");
    fflush(stdout);
}

int HAL_RNG_GenerateRandomNumber(RNG_HandleTypeDef *rng, uint32_t *number) {
    (void)rng;
    *number = (uint32_t)time(NULL);
    return 0;
}

uint32_t HAL_GetTick(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int main(void) {
    printf("listening on http://127.0.0.1:%d\n", BOARD_PORT);
    fflush(stdout);
    web_start(); // does not return
    return 1;
}
