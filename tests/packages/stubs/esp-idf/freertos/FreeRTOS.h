#pragma once
#include <stdint.h>
typedef int BaseType_t;
#define pdPASS 1
