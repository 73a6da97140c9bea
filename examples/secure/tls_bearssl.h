// tls_bearssl.h - TLS of secure.c by BearSSL: no heap. A connection takes 23 KB here, most of it a
// buffer for the largest record; the firmware has three of 7 KB.

#ifndef TLS_BEARSSL_H
#define TLS_BEARSSL_H

#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "ports/rtpush_bearssl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TLS_IN = 16709, TLS_OUT = 2133 };
static rtpush_bearssl tls;
static rtpush_bearssl_slot tls_slots[CONNS];
static rtpush_bearssl_link tls_links[CONNS];
static uint8_t tls_buffers[RTPUSH_BEARSSL_BUFFERS(CONNS, TLS_IN, TLS_OUT)];
static uint8_t tls_sessions[16 * RTPUSH_BEARSSL_SESSION];
static rtpush_bearssl_identity identity;
static uint8_t certificates[12 * 1024];

static int read_pem(const char *path) {
    static char text[16 * 1024];
    static size_t used; // of certificates: the second file may bring some too
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "secure: %s: %s%s\n", path, strerror(errno),
                errno == ENOENT ? " (\"make cert\" makes build/cert)" : "");
        return -1;
    }
    const size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    const int error =
        rtpush_bearssl_pem(&identity, text, len, certificates + used, sizeof certificates - used);
    memset(text, 0, sizeof text);
    for (size_t i = used = 0; i < identity.chain_len; i++) {
        used += identity.chain[i].data_len;
    }
    if (error < 0) {
        fprintf(stderr, "secure: %s: %s\n", path, rtpush_bearssl_strerror(error));
    }
    return error;
}

static int start_tls(const char *cert, const char *key) {
    rtpush_bearssl_desc desc = {
        .slots = tls_slots,
        .slot_count = CONNS,
        .links = tls_links,
        .link_count = CONNS,
        .buffers = tls_buffers,
        .buffers_size = sizeof tls_buffers,
        .in_size = TLS_IN,
        .out_size = TLS_OUT,
        .sessions = tls_sessions,
        .sessions_size = sizeof tls_sessions,
    };
    if (read_pem(cert) < 0 || (strcmp(cert, key) != 0 && read_pem(key) < 0)) {
        return -1;
    }
    int error = rtpush_bearssl_identify(&desc, &identity);
    error = error ? error : rtpush_bearssl_init(&tls, &server, &desc);
    if (error < 0) {
        fprintf(stderr, "secure: TLS: %s\n", rtpush_bearssl_strerror(error));
    }
    return error;
}

#endif
