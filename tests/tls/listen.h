// listen.h - a server of this repository over TLS: tls_listen stands for rtpush_posix_listen.
// Makefile builds build/NAME-tls from the examples so. Certificate and key are taken from
// build/cert, RTPUSH_TLS says which and how:
//     RTPUSH_TLS="ec"   or "rsa", and words after it: "slots=4 in=837 out=597 handshakes=1 ca"
// With T_MBEDTLS by rtpush_mbedtls.h (build/NAME-mbedtls), else by rtpush_bearssl.h.

#ifndef T_LISTEN_H
#define T_LISTEN_H

#ifdef T_MBEDTLS
#include "listen_mbedtls.h"
#else

#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "../../ports/rtpush_bearssl.h"

#include "certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T_LINKS = 2048 };

static rtpush_bearssl t_tls;
static rtpush_bearssl_identity t_identity;
static rtpush_bearssl_link t_links[T_LINKS];
static unsigned char t_der[16384];
static unsigned char t_sessions[32 * RTPUSH_BEARSSL_SESSION];

static unsigned t_option(const char *options, const char *name, unsigned otherwise) {
    const char *at = strstr(options, name);
    return at ? (unsigned)strtoul(at + strlen(name), NULL, 10) : otherwise;
}

static int tls_listen(rtpush_posix *posix, rtpush_server *server, const char *host,
                      unsigned number, unsigned flags) {
    static char text[16384];
    static t_cert_ca ca;
    const char *folder = getenv("RTPUSH_CERT") ? getenv("RTPUSH_CERT") : "build/cert";
    const char *options = getenv("RTPUSH_TLS") ? getenv("RTPUSH_TLS") : "ec";
    const char *name = strncmp(options, "rsa", 3) == 0 ? "rsa" : "ec";
    rtpush_bearssl_desc desc;
    int error;
    size_t len = t_cert_file(folder, name, "pem", text, sizeof text);
    len += t_cert_file(folder, name, "key", text + len, sizeof text - len);
    memset(&desc, 0, sizeof desc);
    error = rtpush_bearssl_pem(&t_identity, text, len, t_der, sizeof t_der);
    if (error == 0) {
        error = rtpush_bearssl_identify(&desc, &t_identity);
    }
    desc.slot_count = t_option(options, "slots=", 64);
    desc.slots = (rtpush_bearssl_slot *)calloc(desc.slot_count, sizeof(rtpush_bearssl_slot));
    desc.links = t_links;
    desc.link_count = T_LINKS;
    desc.in_size = (uint16_t)t_option(options, "in=", 16709);
    desc.out_size = (uint16_t)t_option(options, "out=", 16469);
    desc.buffers_size = RTPUSH_BEARSSL_BUFFERS(desc.slot_count, desc.in_size, desc.out_size);
    desc.buffers = malloc(desc.buffers_size);
    desc.max_handshakes = t_option(options, "handshakes=", 0);
    desc.sessions = t_sessions;
    desc.sessions_size = sizeof t_sessions;
    if (strstr(options, " ca")) {
        if (t_cert_anchor(&ca, folder) < 0) {
            fputs("tls: no CA\n", stderr);
            return -1;
        }
        desc.anchors = &ca.anchor;
        desc.anchor_count = 1;
        desc.x509 =
            (br_x509_minimal_context *)calloc(desc.slot_count, sizeof(br_x509_minimal_context));
    }
    if (error == 0) {
        error = rtpush_bearssl_init(&t_tls, server, &desc);
    }
    if (error) {
        fprintf(stderr, "tls: %s\n", rtpush_bearssl_strerror(error));
        return -1;
    }
    return rtpush_posix_listen(posix, server, host, number, flags | RTPUSH_LISTENER_SECURE);
}

#endif // T_MBEDTLS
#endif
