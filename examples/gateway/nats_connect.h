// A connection to a NATS server, of nats.c (JetStream) and of core.c (without it).

#ifndef NATS_CONNECT_H
#define NATS_CONNECT_H

#include "source.h"

#include <nats/nats.h>
#include <stdio.h>
#include <string.h>

// Instead of a line of the library on stderr: the call that fails says it.
static inline void nats_no_line(natsConnection *nc, natsSubscription *sub, natsStatus err,
                                void *user) {
    (void)nc;
    (void)sub;
    (void)err;
    (void)user;
}

// What a call says that failed: of a connection its last error, which may be the cause, such as
// "Permissions Violation" of a time-out; nc NULL, there is none: that of the call.
static inline const char *nats_words(natsConnection *nc, natsStatus status) {
    natsStatus last = NATS_OK;
    const char *words = NULL;
    int known;
    if (nc != NULL) {
        known = natsConnection_GetLastError(nc, &words) != NATS_OK;
    } else {
        words = nats_GetLastError(&last);
        known = last == status;
    }
    if (!known || words == NULL || words[0] == '\0') {
        return natsStatus_GetText(status);
    }
    const char *end = words[0] == '(' ? strstr(words, "): ") : NULL; // "(conn.c:733): "
    return end != NULL ? end + 3 : words;
}

// ?tls=1: 1, without it 0, -1: it is neither. NATS begins TLS on the port that it has without.
static inline int nats_tls(const source_url *url) {
    const int64_t tls = source_url_number(url, "tls", 0);
    return tls == 0 || tls == 1 ? (int)tls : -1;
}

// One connection, which ends where it fails. ca: file of the authorities that TLS trusts.
static inline natsStatus nats_connect(const source_url *url, const char *ca, natsConnection **nc) {
    char server[sizeof(url->host) + 24];
    natsOptions *opts = NULL;
    natsStatus status = natsOptions_Create(&opts);
    snprintf(server, sizeof(server), strchr(url->host, ':') ? "nats://[%s]:%u" : "nats://%s:%u",
             url->host, (unsigned)url->port);
    if (status == NATS_OK) {
        status = natsOptions_SetURL(opts, server);
    }
    if (status == NATS_OK && url->user[0] != '\0') {
        status = natsOptions_SetUserInfo(opts, url->user, url->password);
    }
    if (status == NATS_OK && nats_tls(url)) {
        status = natsOptions_SetSecure(opts, true);
        if (status == NATS_OK) {
            status = natsOptions_LoadCATrustedCertificates(opts, ca);
        }
        if (status == NATS_OK) {
            status = natsOptions_SetExpectedHostname(opts, url->host);
        }
    }
    if (status == NATS_OK) {
        natsOptions_SetAllowReconnect(opts, false);
        natsOptions_SetTimeout(opts, SOURCE_DEAD_MS);
        natsOptions_SetPingInterval(opts, 1000);
        natsOptions_SetMaxPingsOut(opts, 3);
        natsOptions_SetErrorHandler(opts, nats_no_line, NULL);
        status = natsConnection_Connect(nc, opts);
    }
    natsOptions_Destroy(opts);
    return status;
}

#endif
