// Flags and environment of the gateway.

#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

enum { OPTIONS_FROM_MAX = 8 };

typedef struct options {
    const char *source;
    const char *from[OPTIONS_FROM_MAX]; // feeds
    uint32_t from_count;
    const char *host;
    const char *topics;  // a,b,c
    const char *state;   // ... of which only the newest value counts
    const char *status;  // one more of these, of this gateway alone; "": none
    const char *origins; // other sites whose pages may read, with commas
    const char *jwt_key; // a file
    const char *jwt_aud;
    const char *ca; // a file
    const char *trust;        // addresses of proxies, with commas
    const char *trust_header; // x-forwarded-for or forwarded
    uint32_t port;
    uint32_t conns;
    uint32_t log_size;
    uint32_t max_len;
    uint32_t state_max;
    uint32_t publish_ms;
    uint32_t check_ms;
    uint32_t drain_s;
    uint32_t away_s;
    uint32_t per_peer;
    uint32_t presence_s;
} options;

// 0, or the exit status + 1: it has printed why, or the help. What a flag does not say, the
// environment does: --log is GATEWAY_LOG.
int options_parse(int argc, char **argv, options *out);

#endif
