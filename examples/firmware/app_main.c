// app_main - firmware around an application of app.h: no operating system, no heap
//
// For applications that need a server and a clock alone: examples/widgets, examples/selftest. The
// folder of app.h is given by -I, so this file is the same for both.
//
// Build:  make widgets-firmware           or make selftest-firmware
// Type:   make widgets-firmware-run       and open http://127.0.0.1:8080/
// See:    what the program on a PC shows, from the board

#include "rtpush.h"
#include "ports/rtpush_lwip.h"

#include "board.h"
#include "log.h"
#include "net.h"
#include "startup.h"
#include "app.h"

#include "lwip/timeouts.h"

static rtpush_lwip port;
static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(APP_CONNS)];

// Differs at each boot: a counter that survives a warm reset, and what seed there is.
static uint32_t epoch(void) {
    uint32_t hash = 2166136261u ^ boot_count();
    for (unsigned i = 0; i < sizeof keep_memory.seed; i++) { // FNV-1a
        hash = (hash ^ keep_memory.seed[i]) * 16777619u;
    }
    return hash != 0 ? hash : 1;
}

static void start(void) {
    const rtpush_lwip_desc desc = {.slots = slots, .slot_count = RTPUSH_LWIP_SLOTS(APP_CONNS)};
    const char *wrong = "";
    board_init();
    interrupts_init(board_hz);
    log_boot(APP_NAME);
    const uint32_t boot = epoch();
    net_init(boot);
    rtpush_server *srv = app_start(boot, NULL, &wrong);
    if (srv == NULL || rtpush_lwip_init(&port, &desc) != ERR_OK ||
        rtpush_lwip_listen(&port, srv, NULL, 80, 0) != ERR_OK) {
        log_and_stop("cannot listen", wrong);
    }
    log_uart("listening on http://%s/", net_address());
}

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

int main(void) {
    start();
    for (;;) {
        net_receive();
        sys_check_timeouts();
        uint32_t wait_ms = app_step(clock_ms());
        wait_ms = smaller(wait_ms, rtpush_lwip_poll(&port)); // after it: what it published leaves
        wait_ms = smaller(wait_ms, sys_timeouts_sleeptime());
        if (wait_ms > 0) {
            sleep_until(clock_ms() + wait_ms, net_pending);
        }
    }
}
