// sys_arch.c - lwIP's operating system is POSIX threads. Two things are for the tests: time can
// be stopped, so that nothing happens by a timer; and a core function called from the wrong
// thread is an assertion (LWIP_ASSERT_CORE_LOCKED).

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "lwip/opt.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"

enum { SLICE_MS = 20 }; // longest wait before time is read again

static pthread_mutex_t protect = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t clock_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t clock_lost; // ms for which time was stopped
static uint32_t clock_still_at;
static int clock_still;
static pthread_t tcpip_thread_id;
static int tcpip_thread_known;

// -- time -----------------------------------------------------------------------------------------

static uint32_t real_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000u + (uint32_t)(now.tv_nsec / 1000000);
}

u32_t sys_now(void) {
    pthread_mutex_lock(&clock_mutex);
    const uint32_t now = (clock_still ? clock_still_at : real_ms()) - clock_lost;
    pthread_mutex_unlock(&clock_mutex);
    return now;
}

void os_freeze(int still) {
    pthread_mutex_lock(&clock_mutex);
    if (still && !clock_still) {
        clock_still_at = real_ms();
    } else if (!still && clock_still) {
        clock_lost += real_ms() - clock_still_at;
    }
    clock_still = still;
    pthread_mutex_unlock(&clock_mutex);
}

uint32_t os_random(void) {
    static uint32_t x = 2463534242u; // under lwIP's core lock
    x ^= x << 13;
    x ^= x >> 17;
    return x ^= x << 5;
}

// Waits for `ready`, not longer than SLICE_MS.
static void wait_slice(pthread_cond_t *ready, pthread_mutex_t *mutex) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += SLICE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(ready, mutex, &until);
}

// -- who may call the core ------------------------------------------------------------------------

void os_mark_tcpip_thread(void) {
    tcpip_thread_id = pthread_self();
    __atomic_store_n(&tcpip_thread_known, 1, __ATOMIC_RELEASE);
}

int os_in_tcpip_thread(void) {
    return pthread_equal(pthread_self(), tcpip_thread_id);
}

struct os_mutex {
    pthread_mutex_t mutex;
    pthread_t owner;
    int held;
};

void os_check_core(void) {
    int allowed;
    if (!__atomic_load_n(&tcpip_thread_known, __ATOMIC_ACQUIRE)) {
        return; // lwIP is not up yet
    }
#if LWIP_TCPIP_CORE_LOCKING
    // What another thread writes there meanwhile cannot be our own id.
    allowed = __atomic_load_n(&lock_tcpip_core->held, __ATOMIC_ACQUIRE) &&
              pthread_equal(__atomic_load_n(&lock_tcpip_core->owner, __ATOMIC_RELAXED),
                            pthread_self());
#else
    allowed = os_in_tcpip_thread();
#endif
    LWIP_ASSERT("outside lwIP's context", allowed);
}

err_t sys_mutex_new(sys_mutex_t *mutex) {
    *mutex = calloc(1, sizeof **mutex);
    pthread_mutex_init(&(*mutex)->mutex, NULL);
    return ERR_OK;
}

void sys_mutex_lock(sys_mutex_t *mutex) {
    pthread_mutex_lock(&(*mutex)->mutex);
    __atomic_store_n(&(*mutex)->owner, pthread_self(), __ATOMIC_RELAXED);
    __atomic_store_n(&(*mutex)->held, 1, __ATOMIC_RELEASE);
}

void sys_mutex_unlock(sys_mutex_t *mutex) {
    __atomic_store_n(&(*mutex)->held, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&(*mutex)->mutex);
}

void sys_mutex_free(sys_mutex_t *mutex) {
    pthread_mutex_destroy(&(*mutex)->mutex);
    free(*mutex);
}

sys_prot_t sys_arch_protect(void) {
    pthread_mutex_lock(&protect);
    return 0;
}

void sys_arch_unprotect(sys_prot_t level) {
    (void)level;
    pthread_mutex_unlock(&protect);
}

// -- semaphores -----------------------------------------------------------------------------------

struct os_sem {
    pthread_mutex_t mutex;
    pthread_cond_t ready;
    unsigned count;
};

err_t sys_sem_new(sys_sem_t *sem, u8_t count) {
    *sem = calloc(1, sizeof **sem);
    pthread_mutex_init(&(*sem)->mutex, NULL);
    pthread_cond_init(&(*sem)->ready, NULL);
    (*sem)->count = count;
    return ERR_OK;
}

void sys_sem_signal(sys_sem_t *sem) {
    pthread_mutex_lock(&(*sem)->mutex);
    (*sem)->count++;
    pthread_cond_signal(&(*sem)->ready);
    pthread_mutex_unlock(&(*sem)->mutex);
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout) {
    struct os_sem *s = *sem;
    const uint32_t began = sys_now();
    u32_t result = 0;
    pthread_mutex_lock(&s->mutex);
    while (s->count == 0 && result == 0) {
        if (timeout != 0 && sys_now() - began >= timeout) {
            result = SYS_ARCH_TIMEOUT;
        } else {
            wait_slice(&s->ready, &s->mutex);
        }
    }
    s->count -= result == 0;
    pthread_mutex_unlock(&s->mutex);
    return result;
}

void sys_sem_free(sys_sem_t *sem) {
    pthread_mutex_destroy(&(*sem)->mutex);
    pthread_cond_destroy(&(*sem)->ready);
    free(*sem);
}

// -- mailboxes ------------------------------------------------------------------------------------

struct os_mbox {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    pthread_cond_t emptied;
    unsigned size;
    unsigned count;
    unsigned first;
    void *mail[];
};

err_t sys_mbox_new(sys_mbox_t *mbox, int size) {
    *mbox = calloc(1, sizeof **mbox + (size_t)size * sizeof(void *));
    pthread_mutex_init(&(*mbox)->mutex, NULL);
    pthread_cond_init(&(*mbox)->filled, NULL);
    pthread_cond_init(&(*mbox)->emptied, NULL);
    (*mbox)->size = (unsigned)size;
    return ERR_OK;
}

static err_t put_mail(struct os_mbox *m, void *mail, int patient) {
    pthread_mutex_lock(&m->mutex);
    while (patient && m->count == m->size) {
        pthread_cond_wait(&m->emptied, &m->mutex);
    }
    const int room = m->count < m->size;
    if (room) {
        m->mail[(m->first + m->count) % m->size] = mail;
        m->count++;
        pthread_cond_signal(&m->filled);
    }
    pthread_mutex_unlock(&m->mutex);
    return room ? ERR_OK : ERR_MEM;
}

static void take_mail(struct os_mbox *m, void **mail) {
    if (mail != NULL) {
        *mail = m->mail[m->first];
    }
    m->first = (m->first + 1) % m->size;
    m->count--;
    pthread_cond_signal(&m->emptied);
}

void sys_mbox_post(sys_mbox_t *mbox, void *mail) {
    put_mail(*mbox, mail, 1);
}

err_t sys_mbox_trypost(sys_mbox_t *mbox, void *mail) {
    return put_mail(*mbox, mail, 0);
}

err_t sys_mbox_trypost_fromisr(sys_mbox_t *mbox, void *mail) {
    return put_mail(*mbox, mail, 0);
}

u32_t sys_arch_mbox_fetch(sys_mbox_t *mbox, void **mail, u32_t timeout) {
    struct os_mbox *m = *mbox;
    const uint32_t began = sys_now();
    u32_t result = 0;
    pthread_mutex_lock(&m->mutex);
    while (m->count == 0 && result == 0) {
        if (timeout != 0 && sys_now() - began >= timeout) {
            result = SYS_ARCH_TIMEOUT;
        } else {
            wait_slice(&m->filled, &m->mutex);
        }
    }
    if (result == 0) {
        take_mail(m, mail);
    }
    pthread_mutex_unlock(&m->mutex);
    return result;
}

u32_t sys_arch_mbox_tryfetch(sys_mbox_t *mbox, void **mail) {
    struct os_mbox *m = *mbox;
    pthread_mutex_lock(&m->mutex);
    const int found = m->count > 0;
    if (found) {
        take_mail(m, mail);
    }
    pthread_mutex_unlock(&m->mutex);
    return found ? 0 : SYS_MBOX_EMPTY;
}

void sys_mbox_free(sys_mbox_t *mbox) {
    pthread_mutex_destroy(&(*mbox)->mutex);
    pthread_cond_destroy(&(*mbox)->filled);
    pthread_cond_destroy(&(*mbox)->emptied);
    free(*mbox);
}

// -- threads --------------------------------------------------------------------------------------

typedef struct os_start {
    lwip_thread_fn run;
    void *argument;
} os_start;

static void *start(void *memory) {
    const os_start begin = *(os_start *)memory;
    free(memory);
    begin.run(begin.argument);
    return NULL;
}

sys_thread_t sys_thread_new(const char *name, lwip_thread_fn run, void *argument, int stack,
                            int priority) {
    pthread_t thread;
    os_start *begin = malloc(sizeof *begin);
    (void)name;
    (void)stack;
    (void)priority;
    begin->run = run;
    begin->argument = argument;
    if (pthread_create(&thread, NULL, start, begin) != 0) {
        LWIP_ASSERT("no thread", 0);
    }
    return thread;
}

void sys_init(void) {
}
