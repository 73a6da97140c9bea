// cc.h - what lwIP needs from the compiler and the platform, on the host.
#ifndef SIM_CC_H
#define SIM_CC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
uint32_t sim_lwip_rand(void);
void sim_lwip_assert(const char *what, const char *file, int line);
void *sim_lwip_malloc(size_t size);
void *sim_lwip_calloc(size_t count, size_t size);
void sim_lwip_free(void *memory);
#ifdef __cplusplus
}
#endif

#define LWIP_RAND() sim_lwip_rand()
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(what) sim_lwip_assert(what, __FILE__, __LINE__)
#define mem_clib_malloc sim_lwip_malloc
#define mem_clib_calloc sim_lwip_calloc
#define mem_clib_free sim_lwip_free

#endif // SIM_CC_H
