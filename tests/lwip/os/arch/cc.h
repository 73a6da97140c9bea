// cc.h - what lwIP needs from the compiler and the platform, on the host with threads.
#ifndef OS_CC_H
#define OS_CC_H

#include <stddef.h>
#include <stdint.h>

uint32_t os_random(void);
void os_assert(const char *what, const char *file, int line);

#define LWIP_RAND() os_random()
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(what) os_assert(what, __FILE__, __LINE__)

#endif // OS_CC_H
