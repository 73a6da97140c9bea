// sys_arch.h - lwIP's view of POSIX threads, and what threads.c may do with them.
#ifndef OS_SYS_ARCH_H
#define OS_SYS_ARCH_H

#include <pthread.h>
#include <stdint.h>

typedef struct os_mutex *sys_mutex_t;
typedef struct os_sem *sys_sem_t;
typedef struct os_mbox *sys_mbox_t;
typedef pthread_t sys_thread_t;
typedef int sys_prot_t;

#define sys_mutex_valid(m) (*(m) != NULL)
#define sys_mutex_set_invalid(m) (*(m) = NULL)
#define sys_sem_valid(s) (*(s) != NULL)
#define sys_sem_valid_val(s) ((s) != NULL)
#define sys_sem_set_invalid(s) (*(s) = NULL)
#define sys_sem_set_invalid_val(s) ((s) = NULL)
#define sys_mbox_valid(m) (*(m) != NULL)
#define sys_mbox_valid_val(m) ((m) != NULL)
#define sys_mbox_set_invalid(m) (*(m) = NULL)
#define sys_mbox_set_invalid_val(m) ((m) = NULL)

void os_mark_tcpip_thread(void);
#define LWIP_MARK_TCPIP_THREAD() os_mark_tcpip_thread()
int os_in_tcpip_thread(void);

// 1: time is stopped: sys_now() does not change and no wait ends by its timeout. 0: it continues.
void os_freeze(int still);

#endif // OS_SYS_ARCH_H
