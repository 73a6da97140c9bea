#pragma once
#include "freertos/FreeRTOS.h"
typedef void *TaskHandle_t;
BaseType_t xTaskCreate(void (*code)(void *), const char *name, uint32_t stack, void *arg,
                       unsigned priority, TaskHandle_t *handle);
void vTaskDelete(TaskHandle_t task);
