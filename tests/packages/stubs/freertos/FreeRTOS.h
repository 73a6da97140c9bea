// As much of FreeRTOS as examples/boards uses: on this machine a task runs where it is created.
#pragma once
#include <stdint.h>
typedef int BaseType_t;
#define pdPASS 1
