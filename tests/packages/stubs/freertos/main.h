// As much of what STM32CubeMX writes as examples/boards uses.
#pragma once
#include <stdint.h>
typedef enum { GPIO_PIN_RESET, GPIO_PIN_SET } GPIO_PinState;
typedef struct { int instance; } RNG_HandleTypeDef;
extern RNG_HandleTypeDef hrng;
#define LED_GPIO_Port 0
#define LED_Pin 1
void HAL_GPIO_WritePin(int port, uint16_t pin, GPIO_PinState state);
int HAL_RNG_GenerateRandomNumber(RNG_HandleTypeDef *rng, uint32_t *number);
uint32_t HAL_GetTick(void);
