// What lwIP needs from the compiler and the platform; see net.c.

#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <stddef.h>
#include <stdint.h>

uint32_t net_random(void);
void net_assert(const char *what);

#define LWIP_RAND() net_random()
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(what) net_assert(what)

#endif
