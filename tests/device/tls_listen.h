// tls_listen.h - firmware of this repository over TLS: included behind rtpush_lwip.h and before its
// main file, it makes rtpush_lwip_listen there listen on port 443 with the filter, whatever port it
// names. The sizes are the includer's: TLS_SLOTS, TLS_IN, TLS_OUT.

#ifndef TLS_LISTEN_H
#define TLS_LISTEN_H

#include "ports/rtpush_bearssl.h"

#include "build/cert/dev_cert.h"
#include "log.h"
#include "startup.h"

enum { TLS_LINKS = 16, TLS_SESSIONS = 8 };

static rtpush_bearssl tls;
static rtpush_bearssl_slot tls_slots[TLS_SLOTS];
static rtpush_bearssl_link tls_links[TLS_LINKS];
static uint8_t tls_buffers[RTPUSH_BEARSSL_BUFFERS(TLS_SLOTS, TLS_IN, TLS_OUT)];
static uint8_t tls_sessions[TLS_SESSIONS * RTPUSH_BEARSSL_SESSION];

// See examples/secure/firmware.c for what a device needs; here QEMU puts random bytes into RAM.
static int tls_entropy(void *ctx, void *out, size_t len) {
    br_hmac_drbg_context random;
    (void)ctx;
    br_hmac_drbg_init(&random, &br_sha256_vtable, keep_memory.seed, sizeof keep_memory.seed);
    br_hmac_drbg_update(&random, &keep_memory.boots, sizeof keep_memory.boots);
    br_hmac_drbg_generate(&random, out, len);
    return boot_seeded();
}

static err_t tls_listen(rtpush_lwip *port, rtpush_server *srv, const ip_addr_t *addr,
                        uint16_t number, unsigned flags) {
    const rtpush_bearssl_desc desc = {
        .chain = dev_chain,
        .chain_len = 1,
        .ec_key = &dev_key,
        .slots = tls_slots,
        .slot_count = TLS_SLOTS,
        .links = tls_links,
        .link_count = TLS_LINKS,
        .buffers = tls_buffers,
        .buffers_size = sizeof tls_buffers,
        .in_size = TLS_IN,
        .out_size = TLS_OUT,
        .sessions = tls_sessions,
        .sessions_size = sizeof tls_sessions,
        .entropy = tls_entropy,
    };
    const int error = rtpush_bearssl_init(&tls, srv, &desc);
    (void)number;
    if (error != RTPUSH_OK) {
        log_uart("no TLS: %s", rtpush_bearssl_strerror(error));
        return ERR_VAL;
    }
    return rtpush_lwip_listen(port, srv, addr, 443, flags | RTPUSH_LISTENER_SECURE);
}
#define rtpush_lwip_listen tls_listen

#endif
