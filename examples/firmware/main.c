// firmware - the dashboard on a microcontroller with 64 KB of RAM: no operating system, no heap
//
// The same app.c and page as examples/dashboard, over lwIP's raw API. This file is the rest of the
// firmware: all its memory, the server, the loop.
//
// Build:  make firmware                       (Debian: installs what is missing)
// Type:   make firmware-run                   and open http://127.0.0.1:8080/ in several windows
// See:    the device's own load, pools and packets live; the switch of one page moves the others'
//         and prints "output on" on the serial line, here the terminal

#include "rtpush.h"
#include "ports/rtpush_lwip.h"

#include "../dashboard/app.h"
#include "board.h"
#include "firmware.h"
#include "log.h"
#include "net.h"
#include "startup.h"

#include "lwip/timeouts.h"

enum {
    RX_SIZE = 512,
    TX_SIZE = 576, // the largest STATE value and 84
    LOG_SIZE = 8 * 1024,
    REPORT_MS = 60000
};

// All memory there is, besides lwIP's pools and the stack.
static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(CONNS, RX_SIZE, TX_SIZE, LOG_SIZE, APP_TOPIC_COUNT,
                                    APP_STATE_SUM)];
static rtpush_lwip port;
static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(CONNS)];
static app dashboard;

firmware_times firmware_loop;

// -- the serial line ------------------------------------------------------------------------------

void firmware_report(void) {
    const uint32_t size = (uint32_t)(stack_top - stack_bottom);
    const rtpush_counters *c = rtpush_get_counters(&server);
    log_uart("stack high %u of %u, streams %u, connections %u, loop turns %u", stack_high(), size,
             c->streams, c->slots_used, firmware_loop.turns);
}

// -- the start ------------------------------------------------------------------------------------

static uint32_t mix(uint32_t hash, const void *data, size_t len) {
    const uint8_t *byte = data;
    for (size_t i = 0; i < len; i++) { // FNV-1a
        hash = (hash ^ byte[i]) * 16777619u;
    }
    return hash;
}

// Event ids of this boot must differ from those of the last one, or a page would resume at the
// wrong event. There is no clock and no random generator here. Instead there is a counter that
// survives a warm reset, and random bytes that were put into RAM before the start.
static uint32_t boot_number(void) {
    const uint32_t boots = boot_count();
    if (!boot_seeded()) {
        log_uart("no seed: after a power cycle the event ids begin as they did before");
    }
    const uint32_t hash =
        mix(mix(2166136261u, keep_memory.seed, sizeof keep_memory.seed), &boots, sizeof boots);
    return hash != 0 ? hash : 1;
}

static void start_server(uint32_t epoch) {
    const rtpush_desc desc = {
        .routes = app_routes,
        .route_count = app_route_count,
        .topics = app_topics,
        .topic_count = APP_TOPIC_COUNT,
        .memory = memory,
        .memory_size = sizeof memory,
        .conn_count = CONNS,
        .rx_size = RX_SIZE,
        .tx_size = TX_SIZE,
        .log_size = LOG_SIZE,
        .epoch = epoch,
        .max_streams = STREAMS,
        .on_refuse = log_refused,
        .user = &dashboard,
    };
    if (rtpush_init(&server, &desc) < 0) {
        log_and_stop("rtpush_init:", rtpush_config_error(&server));
    }
}

static void start_port(void) {
    const rtpush_lwip_desc desc = {.slots = slots, .slot_count = RTPUSH_LWIP_SLOTS(CONNS)};
    if (rtpush_lwip_init(&port, &desc) != ERR_OK ||
        rtpush_lwip_listen(&port, &server, NULL, 80, 0) != ERR_OK) {
        log_and_stop("rtpush_lwip_listen", "");
    }
}

static void start(void) {
    board_init();
    interrupts_init(board_hz);
    log_boot("rtpush firmware");
    const uint32_t epoch = boot_number();
    log_uart("boot %u, epoch %x", keep_memory.boots, epoch);
    net_init(epoch);
    start_server(epoch);
    start_port();
    dashboard.ram = (uint32_t)(sizeof server + sizeof memory);
    dashboard.log_size = LOG_SIZE;
    dashboard.max_conns = CONNS;
    app_start(&dashboard, &server, clock_ms());
    log_uart("listening on http://%s/", net_address());
}

// -- the loop -------------------------------------------------------------------------------------

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

// Does everything that is due. Returns the time until the next deadline.
static uint32_t turn(void) {
    net_receive();
    sys_check_timeouts();
    const uint32_t app_ms = app_step(&dashboard, clock_ms());
    const uint32_t port_ms = rtpush_lwip_poll(&port); // after app_step, to send what it published
    return smaller(smaller(app_ms, port_ms), sys_timeouts_sleeptime());
}

static void sleep(uint32_t ms) {
    const uint32_t begun = clock_cycles();
    if (ms > 0) {
        sleep_until(clock_ms() + smaller(ms, REPORT_MS), net_pending);
    }
    firmware_loop.slept += clock_cycles() - begun;
}

int main(void) {
    uint32_t report_ms = REPORT_MS;
    uint32_t last = 0;
    start();
    for (;;) {
        sleep(turn());
        const uint32_t now = clock_cycles();
        firmware_loop.cycles += now - last;
        last = now;
        firmware_loop.turns++;
        if ((int32_t)(clock_ms() - report_ms) >= 0) {
            report_ms += REPORT_MS;
            firmware_report();
        }
    }
}
