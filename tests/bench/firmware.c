// What a broadcast and an echo cost on a Cortex-M: instructions and memory, for firmware.py. An
// application of examples/firmware's drivers for mps2-an385, whose timer counts when QEMU's does.
//
//     /ws        echoes; receives the topic
//     /publish   one event of 1 KiB, soon; /result then says what it cost
//     /begin     from here the loop's instructions are counted; /result says how many

#include "rtpush.h"
#include "ports/rtpush_lwip.h"

#include "board.h"
#include "log.h"
#include "net.h"
#include "startup.h"

#include "lwip/stats.h"
#include "lwip/timeouts.h"

#include <string.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define TIMER_CTRL REG(0x40000000u) // CMSDK timer 0, 25 MHz, counts down
#define TIMER_VALUE REG(0x40000004u)
#define TIMER_RELOAD REG(0x40000008u)

enum { SLOTS = 10, RX_SIZE = 512, TX_SIZE = 512, LOG_SIZE = 8192, EVENT = 1024, QUIET_MS = 300 };

static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(SLOTS, RX_SIZE, TX_SIZE, LOG_SIZE, 1, 0)];
static rtpush_lwip port;
static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(SLOTS)];

static char event[EVENT];
static uint32_t publish_ms; // 0: not now
static uint32_t published;    // times
static uint32_t publish_ticks;
static uint32_t loop_ticks;
static uint32_t heap;
static uint32_t segments;
static uint32_t references;

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const int sent = rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
    return sent == RTPUSH_ERR_WOULD_BLOCK ? RTPUSH_RETRY : RTPUSH_OK;
}

static void answer(rtpush_server *srv, const rtpush_request *req, const rtpush_text *t) {
    const rtpush_response response = {.body = t->data, .len = t->len};
    if (rtpush_reply(srv, req->conn, &response) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    const rtpush_text t = {NULL, 0, 0, 0};
    publish_ms = clock_ms() + QUIET_MS; // not before this answer is acknowledged
    answer(srv, req, &t);
}

static void on_begin(rtpush_server *srv, const rtpush_request *req) {
    const rtpush_text t = {NULL, 0, 0, 0};
    loop_ticks = 0;
    answer(srv, req, &t);
}

static void on_result(rtpush_server *srv, const rtpush_request *req) {
    const uint32_t numbers[] = {published, loop_ticks, publish_ticks, heap, segments, references};
    uint8_t out[80];
    rtpush_text t = {out, sizeof out, 0, 0};
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        rtpush_text_put(&t, " ", 1);
        rtpush_text_decimal(&t, numbers[i]);
    }
    answer(srv, req, &t);
}

static const rtpush_topic topics[] = {{.name = "event", .kind = &rtpush_topic_event}};
static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
    {.path = "/publish", .kind = &rtpush_handler, .on_request = on_publish},
    {.path = "/begin", .kind = &rtpush_handler, .on_request = on_begin},
    {.path = "/result", .kind = &rtpush_handler, .on_request = on_result},
};

// firmware.py counts what runs in publish and in turn. From the call of rtpush_publish until the
// frames for all readers are in the network card. Nothing is received meanwhile, so nothing is
// freed: what lwIP uses more afterwards is what it took.
__attribute__((noinline)) static void publish(void) {
    const struct stats_mem *const *pool = (const struct stats_mem *const *)lwip_stats.memp;
    heap = lwip_stats.mem.used;
    segments = pool[MEMP_TCP_SEG]->used;
    references = pool[MEMP_PBUF]->used;
    const uint32_t before = TIMER_VALUE;
    (void)rtpush_publish(&server, 0, event, sizeof event);
    (void)rtpush_lwip_poll(&port);
    publish_ticks = before - TIMER_VALUE;
    published++;
    heap = lwip_stats.mem.used - heap;
    segments = pool[MEMP_TCP_SEG]->used - segments;
    references = pool[MEMP_PBUF]->used - references;
}

__attribute__((noinline)) static uint32_t turn(void) {
    const uint32_t before = TIMER_VALUE;
    net_receive();
    sys_check_timeouts();
    const uint32_t port_ms = rtpush_lwip_poll(&port);
    const uint32_t lwip_ms = sys_timeouts_sleeptime();
    loop_ticks += before - TIMER_VALUE;
    return port_ms < lwip_ms ? port_ms : lwip_ms;
}

static int start(void) {
    const rtpush_desc desc = {
        .routes = routes, .route_count = sizeof routes / sizeof routes[0],
        .topics = topics, .topic_count = 1,
        .memory = memory, .memory_size = sizeof memory, .conn_count = SLOTS,
        .rx_size = RX_SIZE, .tx_size = TX_SIZE, .log_size = LOG_SIZE,
        .epoch = 1,
        .rate_messages = RTPUSH_UNLIMITED,
        .ping_ms = 8000000,
    };
    const rtpush_lwip_desc lwip = {.slots = slots, .slot_count = RTPUSH_LWIP_SLOTS(SLOTS)};
    return rtpush_init(&server, &desc) < 0 || rtpush_lwip_init(&port, &lwip) != ERR_OK ||
           rtpush_lwip_listen(&port, &server, NULL, 80, 0) != ERR_OK;
}

int main(void) {
    board_init();
    interrupts_init(board_hz);
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = 1;
    net_init(1);
    memset(event, 'x', sizeof event);
    if (start()) {
        log_and_stop("not started:", rtpush_config_error(&server));
    }
    for (;;) {
        const uint32_t ms = turn();
        if (publish_ms != 0 && (int32_t)(clock_ms() - publish_ms) >= 0) {
            publish_ms = 0;
            publish();
        } else if (ms > 0) {
            sleep_until(clock_ms() + (ms < 50 ? ms : 50), net_pending);
        }
    }
}
