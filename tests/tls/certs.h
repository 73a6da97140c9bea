// certs.h - what ports/cert.sh made, as BearSSL wants it. Needs ports/rtpush_bearssl.h.

#ifndef T_CERTS_H
#define T_CERTS_H

#include <stdio.h>
#include <string.h>

// The bytes of FOLDER/NAME.SUFFIX; 0 if it cannot be read, or does not fit.
static size_t t_cert_file(const char *folder, const char *name, const char *suffix, char *out,
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
    return len < cap ? len : 0;
}

typedef struct t_cert_ca { // all that an anchor refers to
    br_x509_trust_anchor anchor;
    rtpush_bearssl_identity pem;
    br_x509_decoder_context decoder;
    unsigned char der[4096];
    unsigned char name[256];
    int too_long;
} t_cert_ca;

static void t_cert_on_name(void *ctx, const void *data, size_t len) {
    t_cert_ca *ca = (t_cert_ca *)ctx;
    if (len > sizeof ca->name - ca->anchor.dn.len) {
        ca->too_long = 1;
        return;
    }
    memcpy(ca->name + ca->anchor.dn.len, data, len);
    ca->anchor.dn.len += len;
}

// The CA of the folder as an anchor. 0, or negative. ca must stay where it is.
static int t_cert_anchor(t_cert_ca *ca, const char *folder) {
    static char text[8192];
    const size_t len = t_cert_file(folder, "ca", "pem", text, sizeof text);
    const br_x509_pkey *key;
    memset(ca, 0, sizeof *ca);
    if (rtpush_bearssl_pem(&ca->pem, text, len, ca->der, sizeof ca->der) ||
        ca->pem.chain_len != 1) {
        return -1;
    }
    ca->anchor.dn.data = ca->name;
    br_x509_decoder_init(&ca->decoder, t_cert_on_name, ca);
    br_x509_decoder_push(&ca->decoder, ca->pem.chain[0].data, ca->pem.chain[0].data_len);
    key = br_x509_decoder_get_pkey(&ca->decoder);
    if (key == NULL || ca->too_long) {
        return -1;
    }
    ca->anchor.pkey = *key;
    ca->anchor.flags = BR_X509_TA_CA;
    return 0;
}

#endif
