// What ports/rtpush_sockets.h uses of Zephyr's header of this name.

#ifndef STUB_ZEPHYR_KERNEL_H
#define STUB_ZEPHYR_KERNEL_H

#include <stddef.h>
#include <stdint.h>

struct k_mutex {
    void *owner;
};
typedef struct {
    int64_t ticks;
} k_timeout_t;

#ifdef __cplusplus
#define K_FOREVER (k_timeout_t{-1})
extern "C" {
#else
#define K_FOREVER ((k_timeout_t){-1})
#endif
int k_mutex_init(struct k_mutex *mutex);
int k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout);
int k_mutex_unlock(struct k_mutex *mutex);
uint32_t k_uptime_get_32(void);
#ifdef __cplusplus
}
#endif

#endif // STUB_ZEPHYR_KERNEL_H
