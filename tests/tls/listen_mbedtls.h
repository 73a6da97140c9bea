// listen_mbedtls.h - for listen.h: tls_listen by rtpush_mbedtls.h, with the same words. Buffers are
// the library's, so "in" and "out" have no effect.

#ifndef T_LISTEN_MBEDTLS_H
#define T_LISTEN_MBEDTLS_H

#define RTPUSH_MBEDTLS_IMPLEMENTATION
#include "../../ports/rtpush_mbedtls.h"

#include <mbedtls/pk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T_LINKS = 2048 };

static rtpush_mbedtls t_tls;
static rtpush_mbedtls_link t_links[T_LINKS];
static mbedtls_x509_crt t_chain, t_anchors;
static mbedtls_pk_context t_key;

static unsigned t_option(const char *options, const char *name, unsigned otherwise) {
    const char *at = strstr(options, name);
    return at ? (unsigned)strtoul(at + strlen(name), NULL, 10) : otherwise;
}

// Reads the files of `name`. 0, or what mbedTLS says.
static int t_read(const char *name) {
    char path[256];
    int error;
    mbedtls_x509_crt_init(&t_chain);
    mbedtls_x509_crt_init(&t_anchors);
    mbedtls_pk_init(&t_key);
    snprintf(path, sizeof path, "build/cert/%s.pem", name);
    error = mbedtls_x509_crt_parse_file(&t_chain, path);
    snprintf(path, sizeof path, "build/cert/%s.key", name);
    error = error ? error
                  : mbedtls_pk_parse_keyfile(&t_key, path, NULL, mbedtls_psa_get_random,
                                             MBEDTLS_PSA_RANDOM_STATE);
    return error ? error : mbedtls_x509_crt_parse_file(&t_anchors, "build/cert/ca.pem");
}

static int tls_listen(rtpush_posix *posix, rtpush_server *server, const char *host,
                      unsigned number, unsigned flags) {
    const char *options = getenv("RTPUSH_TLS") ? getenv("RTPUSH_TLS") : "ec";
    rtpush_mbedtls_desc desc;
    int error;
    memset(&desc, 0, sizeof desc);
    error = psa_crypto_init() != PSA_SUCCESS ||
            t_read(strncmp(options, "rsa", 3) == 0 ? "rsa" : "ec") != 0;
    if (error) {
        fputs("tls: no random bytes, or build/cert cannot be read\n", stderr);
        return -1;
    }
    desc.chain = &t_chain;
    desc.key = &t_key;
    desc.slot_count = t_option(options, "slots=", 64);
    desc.slots = (rtpush_mbedtls_slot *)calloc(desc.slot_count, sizeof(rtpush_mbedtls_slot));
    desc.links = t_links;
    desc.link_count = T_LINKS;
    desc.max_handshakes = t_option(options, "handshakes=", 0);
    desc.anchors = strstr(options, " ca") ? &t_anchors : NULL;
    error = rtpush_mbedtls_init(&t_tls, server, &desc);
    if (error) {
        fprintf(stderr, "tls: %s\n", rtpush_mbedtls_strerror(error));
        return -1;
    }
    return rtpush_posix_listen(posix, server, host, number, flags | RTPUSH_LISTENER_SECURE);
}

#endif
