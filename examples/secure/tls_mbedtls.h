// tls_mbedtls.h - TLS 1.3 and 1.2 of secure.c by mbedTLS 3.6. Its heap is a static array, so that
// memory is fixed here too; a firmware that has a heap leaves that line out.

#ifndef TLS_MBEDTLS_H
#define TLS_MBEDTLS_H

#define RTPUSH_MBEDTLS_IMPLEMENTATION
#include "ports/rtpush_mbedtls.h"

#include <errno.h>
#include <mbedtls/memory_buffer_alloc.h>
#include <mbedtls/pk.h>
#include <stdio.h>

enum { TLS_HEAP = 64 * 1024 + CONNS * 28 * 1024 }; // 23 KB while it shakes hands, 20 then
static unsigned char tls_heap[TLS_HEAP];
static rtpush_mbedtls tls;
static rtpush_mbedtls_slot tls_slots[CONNS];
static rtpush_mbedtls_link tls_links[CONNS];
static mbedtls_x509_crt tls_chain;
static mbedtls_pk_context tls_key;

// What mbedTLS says of a file: 1, or the message is printed.
static int is_read(const char *path, int error) {
    if (error == MBEDTLS_ERR_PK_FILE_IO_ERROR || error == MBEDTLS_ERR_X509_FILE_IO_ERROR) {
        fprintf(stderr, "secure: %s: %s%s\n", path, strerror(errno),
                errno == ENOENT ? " (\"make cert\" makes build/cert)" : "");
    } else if (error != 0) {
        fprintf(stderr, "secure: TLS: %s: mbedTLS says -0x%04x\n", path, (unsigned)-error);
    }
    return error == 0;
}

static int start_tls(const char *cert, const char *key) {
    const rtpush_mbedtls_desc desc = {
        .chain = &tls_chain,
        .key = &tls_key,
        .slots = tls_slots,
        .slot_count = CONNS,
        .links = tls_links,
        .link_count = CONNS,
    };
    mbedtls_memory_buffer_alloc_init(tls_heap, sizeof tls_heap);
    if (psa_crypto_init() != PSA_SUCCESS) {
        fputs("secure: TLS: no random bytes\n", stderr);
        return -1;
    }
    mbedtls_x509_crt_init(&tls_chain);
    mbedtls_pk_init(&tls_key);
    if (!is_read(cert, mbedtls_x509_crt_parse_file(&tls_chain, cert)) ||
        !is_read(key, mbedtls_pk_parse_keyfile(&tls_key, key, NULL, mbedtls_psa_get_random,
                                               MBEDTLS_PSA_RANDOM_STATE))) {
        return -1;
    }
    int error = rtpush_mbedtls_init(&tls, &server, &desc);
    if (error < 0) {
        fprintf(stderr, "secure: TLS: %s\n", rtpush_mbedtls_strerror(error));
    }
    return error;
}

#endif
