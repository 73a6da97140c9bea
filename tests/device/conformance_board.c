// The conformance application as firmware: the transcripts over the wire to an emulated device.

#include "rtpush.h"
#include "ports/rtpush_lwip.h"

#include "board.h"
#include "conformance.h"
#include "log.h"
#include "net.h"
#include "startup.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/timeouts.h"

#include <errno.h>
#include <stdio.h>

enum { INTERRUPT_EVENTS = 2000, LOG_TOPIC = 0 };

static rtpush_lwip port;
static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(CONFORMANCE_CONNS)];

// newlib's snprintf refers to malloc, which must fail.
void *_sbrk(ptrdiff_t more);
void *_sbrk(ptrdiff_t more) {
    (void)more;
    errno = ENOMEM;
    return (void *)-1;
}

// What must be the same when the connections of the test have gone. PCBs in TIME_WAIT do not count:
// each connection of the test may leave one for 2 * TCP_MSL. The one that asks does.
void conformance_pools(char *out, size_t cap) {
    unsigned active = 0;
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        active++;
    }
    snprintf(out, cap, "pcb %u seg %u pbuf %u pool %u", active,
             (unsigned)lwip_stats.memp[MEMP_TCP_SEG]->used,
             (unsigned)lwip_stats.memp[MEMP_PBUF]->used,
             (unsigned)lwip_stats.memp[MEMP_PBUF_POOL]->used);
}

// -- GET /interrupt: then SysTick publishes one event a millisecond -------------------------------

static volatile uint32_t publish_left;
static volatile int woken;

void conformance_interrupt(void) {
    publish_left = INTERRUPT_EVENTS;
}

void clock_on_tick(void) {
    if (publish_left > 0) {
        char digits[4];
        uint32_t n = INTERRUPT_EVENTS - publish_left--;
        for (int i = 3; i >= 0; i--, n /= 10) {
            digits[i] = (char)('0' + n % 10);
        }
        // For an event without room in the log the readers get a gap notice.
        (void)rtpush_publish_from(&conformance_server, LOG_TOPIC, digits, sizeof digits);
    }
}

static void on_lock(void *ctx) {
    (void)ctx;
    __asm volatile("cpsid i" ::: "memory");
}

static void on_unlock(void *ctx) {
    (void)ctx;
    __asm volatile("cpsie i" ::: "memory");
}

static void on_wake(void *ctx) {
    (void)ctx;
    woken = 1;
}

static int is_pending(void) {
    return woken || net_pending();
}

int main(void) {
    const rtpush_lwip_desc desc = {.slots = slots,
                                   .slot_count = RTPUSH_LWIP_SLOTS(CONFORMANCE_CONNS),
                                   .publish_from = 1,
                                   .lock = on_lock,
                                   .unlock = on_unlock,
                                   .wake = on_wake};
    board_init();
    interrupts_init(board_hz);
    net_init(1);
    if (conformance_start() < 0 || rtpush_lwip_init(&port, &desc) != ERR_OK ||
        rtpush_lwip_listen(&port, &conformance_server, NULL, 80, 0) != ERR_OK) {
        log_and_stop("not started:", rtpush_config_error(&conformance_server));
    }
    for (;;) {
        woken = 0;
        net_receive();
        sys_check_timeouts();
        const uint32_t port_ms = rtpush_lwip_poll(&port);
        const uint32_t lwip_ms = sys_timeouts_sleeptime();
        const uint32_t ms = port_ms < lwip_ms ? port_ms : lwip_ms;
        if (ms > 0) {
            sleep_until(clock_ms() + (ms < 1000 ? ms : 1000), is_pending);
        }
    }
}
