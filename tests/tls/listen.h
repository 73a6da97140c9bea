// listen.h - a server of this repository's examples, over TLS: Makefile builds build/hub-tls and
// build/echo-tls from them with rtpush_posix_listen replaced by tls_listen. Certificate and key are
// taken from build/cert, RTPUSH_TLS says which and how:
//     RTPUSH_TLS="ec"   or "rsa", and words after it: "slots=4 in=837 out=597 handshakes=1 ca"

#ifndef T_LISTEN_H
#define T_LISTEN_H

#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "../../ports/rtpush_bearssl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T_LINKS = 2048 };

static rtpush_bearssl t_tls;
static rtpush_bearssl_identity t_identity;
static rtpush_bearssl_link t_links[T_LINKS];
static unsigned char t_der[16384];
static unsigned char t_sessions[32 * RTPUSH_BEARSSL_SESSION];

static size_t t_read(const char *folder, const char *name, const char *suffix, char *out,
                     size_t cap) {
    char path[256];
    FILE *file;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, suffix);
    file = fopen(path, "rb");
    if (file) {
        len = fread(out, 1, cap, file);
        fclose(file);
    }
    return len;
}

static unsigned t_option(const char *options, const char *name, unsigned otherwise) {
    const char *at = strstr(options, name);
    return at ? (unsigned)strtoul(at + strlen(name), NULL, 10) : otherwise;
}

// The one CA that client certificates are asked of.
static int t_anchor(const char *folder, br_x509_trust_anchor *anchor) {
    static rtpush_bearssl_identity ca;
    static unsigned char der[4096];
    static br_x509_decoder_context decoder;
    static unsigned char name[256];
    static size_t name_len;
    static char text[8192];
    const size_t len = t_read(folder, "ca", "pem", text, sizeof text);
    if (rtpush_bearssl_pem(&ca, text, len, der, sizeof der) || ca.chain_len != 1) {
        return -1;
    }
    br_x509_decoder_init(&decoder, NULL, NULL);
    br_x509_decoder_push(&decoder, ca.chain[0].data, ca.chain[0].data_len);
    anchor->pkey = *br_x509_decoder_get_pkey(&decoder);
    anchor->flags = BR_X509_TA_CA;
    // The subject: its bytes are given to a callback of the decoder only, so the second of two
    // names in a self-signed certificate of ours is found by hand: it follows the validity.
    {
        const unsigned char *d = ca.chain[0].data;
        static const unsigned char cn[] = {0x06, 0x03, 0x55, 0x04, 0x03};
        const size_t size = ca.chain[0].data_len;
        size_t i;
        for (i = 0; i + 40 < size && name_len < 2; i++) {
            if (memcmp(d + i, cn, sizeof cn) == 0 && ++name_len == 2) {
                const unsigned char *begin = d + i - 6; // SEQUENCE, SET, SEQUENCE
                memcpy(name, begin, 2u + begin[1]);
                name_len = 2u + begin[1];
                break;
            }
        }
    }
    anchor->dn.data = name;
    anchor->dn.len = name_len;
    return name_len > 2 ? 0 : -1;
}

static int tls_listen(rtpush_posix *posix, rtpush_server *server, const char *host,
                      unsigned number, unsigned flags) {
    static char text[16384];
    static br_x509_trust_anchor anchor;
    const char *folder = getenv("RTPUSH_CERT") ? getenv("RTPUSH_CERT") : "build/cert";
    const char *options = getenv("RTPUSH_TLS") ? getenv("RTPUSH_TLS") : "ec";
    const char *name = strncmp(options, "rsa", 3) == 0 ? "rsa" : "ec";
    rtpush_bearssl_desc desc;
    int error;
    size_t len = t_read(folder, name, "pem", text, sizeof text);
    len += t_read(folder, name, "key", text + len, sizeof text - len);
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
        if (t_anchor(folder, &anchor) < 0) {
            fputs("tls: no CA\n", stderr);
            return -1;
        }
        desc.anchors = &anchor;
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

#endif
