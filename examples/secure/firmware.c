// firmware - the example over TLS on a microcontroller with 64 KB of RAM
//
// The app.c and pages of secure.c, with lwIP and BearSSL: three TLS connections at a time, no heap.
// Drivers, loop and memory are those of examples/firmware; this file is what TLS adds: slots in
// RAM, a report of how long handshakes take, and random bytes.
//
// Build:  make secure-firmware
// Type:   make secure-firmware-run            and open https://127.0.0.1:8443/
// See:    each handshake on the serial line, with the cycles it took; without random bytes
//         (make secure-firmware-run SEED=none GUEST=80) why there is no TLS

#include "rtpush.h"
#include "ports/rtpush_bearssl.h"
#include "ports/rtpush_lwip.h"

#include "../firmware/board.h"
#include "../firmware/log.h"
#include "../firmware/net.h"
#include "../firmware/startup.h"
#include "app.h"
#include "cert/dev_cert.h" // made by "make cert"; a product needs its own key in each device

#include "lwip/stats.h"
#include "lwip/timeouts.h"

#include <string.h>

// A slot is 3.8 KB and its two buffers. Sizes that were measured in one record: ClientHello of
// Chromium up to 1,990 bytes, of openssl, curl and node 512; request head of Chromium with cookie
// up to 780, of others 100 to 300. An input buffer of 2,373 bytes has room for a ClientHello that
// is 300 bytes longer, or a head of 2,344. The output buffer is half as large: other messages are
// shorter, and a page takes several records anyway. One live page needs two slots: a WebSocket, and
// a connection for its requests. With three slots there can be two such pages, and somebody can
// still log in: STREAMS limits the streams to two.
enum {
    TLS_SLOTS = STREAMS + 1,
    TLS_IN = 2048 + 325,
    TLS_OUT = 1024 + 85,
    TLS_SESSIONS = 8,   // sessions that resume without public-key operations
    GIVE_WAY_MS = 2000, // more than a handshake takes at 12.5 MHz
    HTTPS_PORT = 443,
    REPORT_MS = 60000
};

// All memory there is, besides lwIP's pools and the stack.
static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(CONNS, APP_RX_SIZE, APP_TX_SIZE, APP_LOG_SIZE, APP_TOPIC_COUNT,
                                    APP_STATE_SUM)];
static rtpush_lwip port;
static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(CONNS)];
static rtpush_bearssl tls;
static rtpush_bearssl_slot tls_slots[TLS_SLOTS];
static rtpush_bearssl_link tls_links[CONNS];
static uint8_t tls_buffers[RTPUSH_BEARSSL_BUFFERS(TLS_SLOTS, TLS_IN, TLS_OUT)];
static uint8_t tls_sessions[TLS_SESSIONS * RTPUSH_BEARSSL_SESSION];
static br_hmac_drbg_context randoms;
static app example;

// Other sites that may ask for tickets, to show this device in their own pages.
static const char *const origins[] = {APP_ORIGIN, NULL};

static uint32_t busy; // cycles awake since the start

// -- random bytes ---------------------------------------------------------------------------------
// All of them are derived from a seed: 32 secret random bytes in keep_memory that are different at
// each start. Here QEMU's loader puts them there. A real device must have one of:
//   - a random number generator: read it here, no seed is needed;
//   - a seed in flash or EEPROM, random from the factory and of this device alone, that the boot
//     loader copies to keep_memory and *replaces before anything else is done*: a start with a seed
//     that was used before repeats its keys, so recorded sessions can be decrypted;
//   - noise (an ADC's last bits, oscillators against each other), measured and hashed, with enough
//     samples that 256 bits of it cannot be guessed.
// Not random enough: a serial number, a MAC address, the time, uninitialised RAM. Without a seed
// there is no TLS.

// 0: there is no seed.
static int random_start(void) {
    const uint32_t boots = boot_count(); // after a warm reset the seed may be the same
    const int seeded = boot_seeded();
    br_hmac_drbg_init(&randoms, &br_sha256_vtable, keep_memory.seed, sizeof keep_memory.seed);
    br_hmac_drbg_update(&randoms, &boots, sizeof boots);
    if (seeded) { // replace the seed, so that the next warm start has another one
        br_hmac_drbg_generate(&randoms, keep_memory.seed, sizeof keep_memory.seed);
    }
    return seeded;
}

static uint32_t random_word(void) {
    uint32_t word;
    br_hmac_drbg_generate(&randoms, &word, sizeof word);
    return word;
}

static int entropy(void *ctx, void *out, size_t len) {
    const int *seeded = ctx;
    br_hmac_drbg_generate(&randoms, out, len);
    return *seeded;
}

// -- without TLS ----------------------------------------------------------------------------------

static const char *no_tls_reason;

static void on_any(rtpush_server *srv, const rtpush_request *req) {
    if (rtpush_reply_text(srv, req->conn, 503, no_tls_reason) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

static const rtpush_route no_tls_routes[] = {
    {.path = "/*", .kind = &rtpush_handler, .methods = RTPUSH_GET, .on_request = on_any},
};

// -- the start ------------------------------------------------------------------------------------

static void on_output(int on) {
    board_lamp(on);
    log_uart("output %s", on ? "on" : "off");
}

static void on_audit(const char *line) {
    log_uart("audit: %s", line);
}

static void start_server(uint32_t epoch, int with_tls) {
    static const char *const hosts[] = {"rtpush.local", NULL};
    rtpush_desc desc = {
        .routes = app_routes,
        .route_count = APP_ROUTE_COUNT,
        .topics = app_topics,
        .topic_count = APP_TOPIC_COUNT,
        .hosts = hosts,
        .origins = origins,
        .cookie = APP_COOKIE,
        .authorize = app_authorize,
        .memory = memory,
        .memory_size = sizeof memory,
        .conn_count = CONNS,
        .rx_size = APP_RX_SIZE,
        .tx_size = APP_TX_SIZE,
        .log_size = APP_LOG_SIZE,
        .epoch = epoch,
        .max_streams = STREAMS,
        .on_refuse = log_refused,
        .user = &example,
    };
    if (!with_tls) {
        desc.routes = no_tls_routes;
        desc.route_count = 1;
        desc.authorize = NULL;
    }
    if (rtpush_init(&server, &desc) < 0) {
        log_and_stop("rtpush_init:", rtpush_config_error(&server));
    }
}

static int start_tls(int seeded) {
    const rtpush_bearssl_desc desc = {
        .chain = dev_chain,
        .chain_len = 1,
        .ec_key = &dev_key,
        .slots = tls_slots,
        .slot_count = TLS_SLOTS,
        .links = tls_links,
        .link_count = CONNS,
        .buffers = tls_buffers,
        .buffers_size = sizeof tls_buffers,
        .in_size = TLS_IN,
        .out_size = TLS_OUT,
        .sessions = tls_sessions,
        .sessions_size = sizeof tls_sessions,
        .entropy = entropy,
        .ctx = &seeded, // used in init only
        .give_way_ms = GIVE_WAY_MS,
    };
    return rtpush_bearssl_init(&tls, &server, &desc);
}

static void start_port(int with_tls) {
    const rtpush_lwip_desc desc = {.slots = slots, .slot_count = RTPUSH_LWIP_SLOTS(CONNS)};
    if (rtpush_lwip_init(&port, &desc) != ERR_OK ||
        rtpush_lwip_listen(&port, &server, NULL, 80, 0) != ERR_OK ||
        (with_tls && rtpush_lwip_listen(&port, &server, NULL, HTTPS_PORT,
                                        RTPUSH_LISTENER_SECURE) != ERR_OK)) {
        log_and_stop("rtpush_lwip_listen", "");
    }
}

static void start_app(void) {
    app_options options = {
        .origins = origins,
        .https_port = HTTPS_PORT,
        .output = on_output,
        .print = on_audit,
    };
    br_hmac_drbg_generate(&randoms, options.key, sizeof options.key);
    app_start(&example, &server, &options, clock_ms());
    memset(&options, 0, sizeof options);
}

// Returns 1 with TLS.
static int start(void) {
    board_init();
    interrupts_init(board_hz);
    log_boot("rtpush over TLS");
    const int seeded = random_start();
    const uint32_t epoch = random_word() | 1u;
    net_init(random_word());
    start_server(epoch, 1);
    const int error = start_tls(seeded);
    if (error != RTPUSH_OK) {
        no_tls_reason = rtpush_bearssl_strerror(error);
        log_uart("no TLS: %s", no_tls_reason);
        start_server(epoch, 0);
    }
    start_port(error == RTPUSH_OK);
    if (error == RTPUSH_OK) {
        start_app();
        log_uart("listening on https://%s/", net_address());
    }
    return error == RTPUSH_OK;
}

// -- the loop -------------------------------------------------------------------------------------

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static uint32_t turn(int with_tls) {
    net_receive();
    sys_check_timeouts();
    const uint32_t app_ms = with_tls ? app_step(&example, clock_ms()) : REPORT_MS;
    const uint32_t port_ms = rtpush_lwip_poll(&port); // after app_step, to send what it published
    return smaller(smaller(app_ms, port_ms), sys_timeouts_sleeptime());
}

// A line for each handshake: the cycles the processor was awake from its first byte to its end.
// Exact if nothing else happens meanwhile.
static void report_tls(uint32_t busy_before) {
    static rtpush_bearssl_counters last; // of resumed: at the last line
    static uint32_t begun;
    const rtpush_bearssl_counters *now = rtpush_bearssl_get_counters(&tls);
    if (now->begun != last.begun) {
        begun = busy_before;
    }
    if (now->handshakes != last.handshakes) {
        log_uart("tls: handshake %u, %s, %u cycles, slots %u of %u", now->handshakes,
                 now->resumed != last.resumed ? "resumed" : "full", busy - begun, now->slots_used,
                 (uint32_t)TLS_SLOTS);
        last.resumed = now->resumed;
    }
    if (now->failed != last.failed) {
        log_uart("tls: failed, BearSSL's error %u", (uint32_t)now->last_error);
    }
    last.begun = now->begun;
    last.handshakes = now->handshakes;
    last.failed = now->failed;
}

static void report(void) {
    const rtpush_counters *c = rtpush_get_counters(&server);
    const rtpush_bearssl_counters *t = rtpush_bearssl_get_counters(&tls);
    log_uart("connections %u, streams %u, stack high %u of %u", c->slots_used, c->streams,
             stack_high(), (uint32_t)(stack_top - stack_bottom));
    log_uart("tls: slots %u, handshakes %u, resumed %u, failed %u, gave way %u, waited %u",
             t->slots_used, t->handshakes, t->resumed, t->failed, t->gave_way, t->waited);
    log_uart("lwip: heap %u, segments %u, pbufs %u, buffers %u", (uint32_t)lwip_stats.mem.used,
             (uint32_t)lwip_stats.memp[MEMP_TCP_SEG]->used,
             (uint32_t)lwip_stats.memp[MEMP_PBUF]->used,
             (uint32_t)lwip_stats.memp[MEMP_PBUF_POOL]->used);
}

// Reports once a minute, and when the last connection has ended, at most once a second.
static void report_when_due(void) {
    static uint32_t due_ms;
    static uint32_t not_before_ms;
    static int was_active = 1; // there was a connection since the last report
    const int active = rtpush_get_counters(&server)->slots_used > 0;
    const uint32_t now_ms = clock_ms();
    was_active |= active;
    if ((int32_t)(now_ms - due_ms) >= 0 ||
        (!active && was_active && (int32_t)(now_ms - not_before_ms) >= 0)) {
        due_ms = now_ms + REPORT_MS;
        not_before_ms = now_ms + 1000;
        was_active = active;
        report();
    }
}

int main(void) {
    const int with_tls = start();
    for (;;) {
        const uint32_t begun = clock_cycles();
        const uint32_t before = busy;
        const uint32_t ms = turn(with_tls);
        busy += clock_cycles() - begun;
        report_tls(before);
        report_when_due();
        if (ms > 0) {
            sleep_until(clock_ms() + smaller(ms, 1000), net_pending);
        }
    }
}
