// What a TLS handshake by mbedTLS costs on a Cortex-M3: instructions, heap and stack, for tls.py.
// An application of examples/firmware's drivers for mps2-an385, with ports/rtpush_mbedtls.h; what
// examples/secure/firmware.c says on its serial line of each handshake, this one says too.

#include "rtpush.h"
#include "ports/rtpush_lwip.h"
#define RTPUSH_MBEDTLS_IMPLEMENTATION
#include "ports/rtpush_mbedtls.h"

#include "board.h"
#include "log.h"
#include "net.h"
#include "startup.h"

#include <bearssl.h> // types alone: dev_cert.h is made for it
#include "cert/dev_cert.h"

#include <mbedtls/platform.h>
#include <mbedtls/sha256.h>

#include "lwip/timeouts.h"

#include <stdlib.h>
#include <string.h>

enum { CONNS_HERE = 4, RX_SIZE = 512, TX_SIZE = 512, HEAP = 96 * 1024 };

static rtpush_server server;
static uint64_t memory[RTPUSH_WORDS(CONNS_HERE, RX_SIZE, TX_SIZE, 0, 0, 0)];
static rtpush_lwip port;
static rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(CONNS_HERE)];
static rtpush_mbedtls tls;
static rtpush_mbedtls_slot tls_slots[CONNS_HERE];
static rtpush_mbedtls_link tls_links[CONNS_HERE];
static mbedtls_x509_crt chain;
static mbedtls_pk_context key;
static uint32_t busy; // cycles awake since the start

// -- the heap: the C library's, in an array, counted ----------------------------------------------

static uint64_t heap[HEAP / 8];
static struct {
    size_t used;
    size_t most;
    size_t rest; // used while there is no connection
} count;

void *_sbrk(ptrdiff_t more);
void *_sbrk(ptrdiff_t more) {
    static size_t end;
    if (more < 0 || (size_t)more > sizeof heap - end) {
        return (void *)-1;
    }
    end += (size_t)more;
    return (uint8_t *)heap + end - more;
}

// Bytes as the caller asked for them, and 8 for the allocator, in which their number is kept here.
enum { BLOCK = 8 };

static void *count_calloc(size_t n, size_t size) {
    const size_t bytes = BLOCK + n * size; // mbedTLS multiplies nothing large
    uint8_t *block = malloc(bytes);
    if (block == NULL) {
        return NULL;
    }
    memset(block, 0, bytes);
    memcpy(block, &bytes, sizeof bytes);
    count.used += bytes;
    count.most = count.used > count.most ? count.used : count.most;
    return block + BLOCK;
}

static void count_free(void *data) {
    if (data != NULL) {
        size_t bytes;
        uint8_t *block = (uint8_t *)data - BLOCK;
        memcpy(&bytes, block, sizeof bytes);
        count.used -= bytes;
        free(block);
    }
}

// -- random bytes: SHA-256 of the seed that QEMU puts into RAM, and a counter ---------------------

static int my_random(void *ctx, unsigned char *out, size_t len) {
    static uint32_t number;
    unsigned char in[sizeof keep_memory.seed + sizeof number];
    unsigned char hash[32];
    int error = !boot_seeded();
    (void)ctx;
    memcpy(in, keep_memory.seed, sizeof keep_memory.seed);
    while (len > 0 && error == 0) {
        const size_t n = len < sizeof hash ? len : sizeof hash;
        number++;
        memcpy(in + sizeof keep_memory.seed, &number, sizeof number);
        error = mbedtls_sha256(in, sizeof in, hash, 0);
        memcpy(out, hash, n);
        out += n;
        len -= n;
    }
    return error;
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
                                             uint8_t *out, size_t size, size_t *len) {
    *len = size;
    return my_random(context, out, size) == 0 ? PSA_SUCCESS : PSA_ERROR_INSUFFICIENT_ENTROPY;
}

// -- the server -----------------------------------------------------------------------------------

static void on_request(rtpush_server *srv, const rtpush_request *req) {
    if (rtpush_reply_text(srv, req->conn, 200, "ok") < 0) {
        rtpush_abort(srv, req->conn);
    }
}

static const rtpush_route routes[] = {
    {.path = "/session", .kind = &rtpush_handler, .methods = RTPUSH_GET, .on_request = on_request},
};

static void start_tls(void) {
    const rtpush_mbedtls_desc desc = {
        .chain = &chain, .key = &key,
        .slots = tls_slots, .slot_count = CONNS_HERE,
        .links = tls_links, .link_count = CONNS_HERE,
        .f_rng = my_random,
    };
    int error = mbedtls_platform_set_calloc_free(count_calloc, count_free);
    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&key);
    error |= mbedtls_x509_crt_parse_der_nocopy(&chain, dev_chain[0].data, dev_chain[0].data_len);
    error |= mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    error |= mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), dev_key.x,
                                  dev_key.xlen);
    error |= mbedtls_ecp_keypair_calc_public(mbedtls_pk_ec(key), my_random, NULL);
    if (error != 0) {
        log_and_stop("no TLS:", "mbedTLS does not take the certificate or the key");
    }
    error = rtpush_mbedtls_init(&tls, &server, &desc);
    if (error != RTPUSH_OK) {
        log_and_stop("no TLS:", rtpush_mbedtls_strerror(error));
    }
}

static void start(void) {
    const rtpush_desc desc = {
        .routes = routes, .route_count = sizeof routes / sizeof routes[0],
        .memory = memory, .memory_size = sizeof memory, .conn_count = CONNS_HERE,
        .rx_size = RX_SIZE, .tx_size = TX_SIZE, .epoch = 1,
    };
    const rtpush_lwip_desc lwip = {.slots = slots, .slot_count = RTPUSH_LWIP_SLOTS(CONNS_HERE)};
    if (rtpush_init(&server, &desc) < 0) {
        log_and_stop("rtpush_init:", rtpush_config_error(&server));
    }
    start_tls();
    if (rtpush_lwip_init(&port, &lwip) != ERR_OK ||
        rtpush_lwip_listen(&port, &server, NULL, 443, RTPUSH_LISTENER_SECURE) != ERR_OK) {
        log_and_stop("rtpush_lwip_listen", "");
    }
}

static uint32_t turn(void) {
    net_receive();
    sys_check_timeouts();
    const uint32_t port_ms = rtpush_lwip_poll(&port);
    const uint32_t lwip_ms = sys_timeouts_sleeptime();
    return port_ms < lwip_ms ? port_ms : lwip_ms;
}

// tls.py makes one connection after the other.
static void report_handshake(uint32_t busy_before) {
    static rtpush_mbedtls_counters last; // of resumed: at the last line
    static uint32_t begun;
    const rtpush_mbedtls_counters now = *rtpush_mbedtls_get_counters(&tls);
    if (now.begun != last.begun) {
        begun = busy_before;
    }
    if (now.handshakes != last.handshakes) {
        log_uart("tls: handshake %u, %s, %u cycles", now.handshakes,
                 now.resumed != last.resumed ? "resumed" : "full", busy - begun);
        last.resumed = now.resumed;
    }
    if (now.failed != last.failed) {
        log_uart("tls: failed, mbedTLS's error %d", (int32_t)now.last_error);
    }
    last.begun = now.begun;
    last.handshakes = now.handshakes;
    last.failed = now.failed;
}

// When a connection has ended: what it had of the heap before its end, and at most.
static void report_memory(void) {
    static size_t open;
    if (rtpush_mbedtls_get_counters(&tls)->slots_used > 0) {
        open = count.used;
        return;
    }
    if (open > 0) {
        log_uart("heap %u, at most %u, stack high %u", (uint32_t)(open - count.rest),
                 (uint32_t)(count.most - count.rest), stack_high());
    }
    open = 0;
    count.most = count.rest = count.used;
}

int main(void) {
    board_init();
    interrupts_init(board_hz);
    net_init(1);
    start();
    log_uart("listening");
    for (;;) {
        const uint32_t begun = clock_cycles();
        const uint32_t before = busy;
        const uint32_t ms = turn();
        busy += clock_cycles() - begun;
        report_handshake(before);
        report_memory();
        if (ms > 0) {
            sleep_until(clock_ms() + (ms < 1000 ? ms : 1000), net_pending);
        }
    }
}
