// The client's address from X-Forwarded-For or Forwarded.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: strncasecmp
#endif

#include "trust.h"

#include "../../rtpush.h"

#include "../../ports/rtpush_posix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PROXIES_MAX = 32, ADDRESS_SIZE = RTPUSH_POSIX_ADDRESS_SIZE };

static char proxies[PROXIES_MAX][ADDRESS_SIZE];
static unsigned proxy_count;

int trust_is(const char *address) {
    for (unsigned i = 0; i < proxy_count; i++) {
        if (strcmp(proxies[i], address) == 0) {
            return 1;
        }
    }
    return 0;
}

// The one text of an address that can be written in several ways. 0: it is none.
static int normalize(char text[ADDRESS_SIZE]) {
    uint8_t bytes[16];
    const int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    return inet_pton(family, text, bytes) == 1 &&
           inet_ntop(family, bytes, text, ADDRESS_SIZE) != NULL;
}

int trust_set(const char *addresses) {
    for (const char *at = addresses; *at != '\0';) {
        char name[ADDRESS_SIZE] = "";
        const size_t len = strcspn(at, ",");
        if (len < sizeof(name)) {
            memcpy(name, at, len);
        }
        if (!normalize(name) || proxy_count == PROXIES_MAX) {
            fprintf(stderr, "gateway: --trust: %.*s: at most %d IP addresses, with commas\n",
                    (int)len, at, (int)PROXIES_MAX);
            return -1;
        }
        memcpy(proxies[proxy_count++], name, sizeof(name));
        at += len + (at[len] == ',');
    }
    return 0;
}

static int is_space(char c) {
    return c == ' ' || c == '\t';
}

// "192.0.2.7", "192.0.2.7:80", "2001:db8::7", "[2001:db8::7]:80": the address, "" if it is none.
static void take_address(const char *at, size_t len, char out[ADDRESS_SIZE]) {
    size_t end = len;
    const char *colon = (const char *)memchr(at, ':', len);
    const char *bracket = (const char *)memchr(at, ']', len);
    if (len > 0 && at[0] == '[' && bracket != NULL) {
        end = (size_t)(bracket - ++at);
    } else if (colon != NULL && memchr(colon + 1, ':', (size_t)(at + len - colon) - 1u) == NULL) {
        end = (size_t)(colon - at); // a port
    }
    memset(out, 0, ADDRESS_SIZE);
    if (end < ADDRESS_SIZE) {
        memcpy(out, at, end);
    }
    if (!normalize(out)) {
        out[0] = '\0';
    }
}

// RFC 7239 4: the value of for= in an element: pairs with semicolons, the name in any case, the
// value a token or quoted. A quoted one with an escape is none of an address.
static void take_for(const char *at, size_t len, char out[ADDRESS_SIZE]) {
    const char *end = at + len;
    out[0] = '\0';
    while (at < end) {
        const char *stop = at;
        for (int quoted = 0; stop < end && (quoted || *stop != ';'); stop++) {
            quoted ^= *stop == '"';
        }
        while (at < stop && is_space(*at)) {
            at++;
        }
        if (stop - at > 4 && strncasecmp(at, "for=", 4) == 0) {
            const char *last = stop;
            while (is_space(last[-1])) {
                last--;
            }
            at += 4;
            const int quoted = last - at >= 2 && *at == '"' && last[-1] == '"';
            take_address(at + quoted, (size_t)(last - at) - 2u * (unsigned)quoted, out);
            return;
        }
        at = stop + (stop < end);
    }
}

uint32_t trust_client(const char *value, int forwarded) {
    const char *end = value + strlen(value);
    char client[ADDRESS_SIZE];
    for (;;) {
        const char *at = end;
        for (int quoted = 0; at > value && (quoted || at[-1] != ','); at--) {
            quoted ^= forwarded && at[-1] == '"';
        }
        const char *first = at;
        const char *last = end;
        while (first < last && is_space(*first)) {
            first++;
        }
        while (first < last && is_space(last[-1])) {
            last--;
        }
        if (forwarded) {
            take_for(first, (size_t)(last - first), client);
        } else {
            take_address(first, (size_t)(last - first), client);
        }
        if (!trust_is(client) || at == value) {
            return client[0] != '\0' ? rtpush_posix_peer(client) : 0;
        }
        end = at - 1;
    }
}
