// Flags and environment of the gateway: one table.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "options.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct option {
    const char *name;
    size_t offset; // in options
    uint32_t least; // of a number
    uint32_t most;  // 0: it is a text
    const char *fallback;
    const char *help;
} option;

#define FIELD(name) offsetof(options, name)
static const option table[] = {
    {"host", FIELD(host), 0, 0, "127.0.0.1", "address to listen on"},
    {"port", FIELD(port), 0, 65535, "8081", "TCP port; 0 picks a free one"},
    {"topics", FIELD(topics), 0, 0, "a,b,c", "topics that pass, at most 32"},
    {"state", FIELD(state), 0, 0, "", "more topics, of which only the newest value counts"},
    {"state-max", FIELD(state_max), 1, 60000, "512", "bytes of the largest value"},
    {"status", FIELD(status), 0, 0, "", "one more topic, whose value says if the source is away"},
    {"origins", FIELD(origins), 0, 0, "", "sites whose pages may connect: https://a,https://b"},
    {"conns", FIELD(conns), 1, 200000, "1024", "streams at a time"},
    {"log", FIELD(log_size), 4096, 0x40000000, "4194304", "bytes of the log that is replayed"},
    {"max", FIELD(max_len), 1, 60000, "4096", "bytes of the largest event"},
    {"publish-ms", FIELD(publish_ms), 100, 25000, "10000", "a POST is answered within"},
    {"check-ms", FIELD(check_ms), 0, 60000, "500", "how often the proxy asks for /healthz"},
    {"drain-s", FIELD(drain_s), 0, 600, "10", "after SIGTERM, streams are ended over this time"},
    {"away-s", FIELD(away_s), 1, 3600, "30", "healthy for so long without the source"},
    {"trust", FIELD(trust), 0, 0, "", "addresses of proxies that say who the client is"},
    {"trust-header", FIELD(trust_header), 0, 0, "x-forwarded-for", "... or forwarded (RFC 7239)"},
    {"per-peer", FIELD(per_peer), 0, 100000, "0", "connections of one client's address; 0: any"},
    {"presence", FIELD(presence_s), 0, 3600, "0", "seconds between two counts of who reads; 0: no "
                                                  "counts"},
    {"jwt-key", FIELD(jwt_key), 0, 0, "", "file with the HS256 key of tokens; without: no access "
                                          "control"},
    {"jwt-aud", FIELD(jwt_aud), 0, 0, "", "audience that tokens must name"},
    {"ca", FIELD(ca), 0, 0, "/etc/ssl/certs/ca-certificates.crt", "authorities that TLS to sources "
                                                                  "and feeds trusts"},
};
enum { OPTIONS = sizeof table / sizeof table[0] };

static void print_usage(FILE *to) {
    fputs("usage: gateway [OPTION VALUE]... SOURCE [--from FEED]...\n", to);
    for (unsigned i = 0; i < OPTIONS; i++) {
        fprintf(to, "  --%-11s %s (%s)\n", table[i].name, table[i].help,
                table[i].fallback[0] ? table[i].fallback : "none");
    }
    fputs("  --from        a feed, whose messages are published into the source; up to 8\n"
          "Each can come from the environment: GATEWAY_PUBLISH_MS=5000; GATEWAY_SOURCE too, and\n"
          "GATEWAY_FROM with spaces between the feeds.\n", to);
}

static int set(options *out, const option *o, const char *value) {
    char *at = (char *)out + o->offset;
    if (o->most == 0) {
        memcpy(at, &value, sizeof(value));
        return 1;
    }
    char *end = NULL;
    const unsigned long number = strtoul(value, &end, 10);
    const uint32_t narrow = (uint32_t)number;
    memcpy(at, &narrow, sizeof(narrow));
    return end != value && *end == '\0' && value[0] != '-' && number >= o->least &&
           number <= o->most;
}

static const char *from_environment(const char *name) {
    char full[40];
    snprintf(full, sizeof(full), "GATEWAY_%s", name);
    for (char *at = full; *at != '\0'; at++) {
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    }
    return getenv(full);
}

static int set_defaults(options *out) {
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < OPTIONS; i++) {
        const char *value = from_environment(table[i].name);
        if (!set(out, &table[i], value ? value : table[i].fallback)) {
            fprintf(stderr, "gateway: the environment's value for --%s: %s\n", table[i].name,
                    value ? value : table[i].fallback);
            return 0;
        }
    }
    out->source = from_environment("source");
    return 1;
}

static int add_feed(options *out, const char *url) {
    if (out->from_count == OPTIONS_FROM_MAX || url[0] == '\0') {
        fprintf(stderr, "gateway: --from: 1 to %d feeds\n", OPTIONS_FROM_MAX);
        return 0;
    }
    out->from[out->from_count++] = url;
    return 1;
}

// Those of the environment, where no flag names one. They stay until the process ends.
static int add_feeds_of_environment(options *out) {
    const char *value = from_environment("from");
    char *rest = NULL;
    if (out->from_count > 0 || value == NULL) {
        return 1;
    }
    char *all = strdup(value);
    for (char *url = all ? strtok_r(all, " ", &rest) : NULL; url != NULL;
         url = strtok_r(NULL, " ", &rest)) {
        if (!add_feed(out, url)) {
            return 0;
        }
    }
    return all != NULL;
}

static const option *find(const char *argument) {
    for (unsigned i = 0; i < OPTIONS; i++) {
        if (strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, table[i].name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

int options_parse(int argc, char **argv, options *out) {
    if (!set_defaults(out)) {
        return 1 + EXIT_FAILURE;
    }
    int named = 0;
    for (int i = 1; i < argc; i++) {
        const option *o = find(argv[i]);
        if (strcmp(argv[i], "--help") == 0) {
            print_usage(stdout);
            return 1 + EXIT_SUCCESS;
        }
        if (strcmp(argv[i], "--from") == 0 && i + 1 < argc) {
            if (!add_feed(out, argv[++i])) {
                return 1 + EXIT_FAILURE;
            }
        } else if (o != NULL && i + 1 < argc && set(out, o, argv[i + 1])) {
            i++;
        } else if (o == NULL && !named && (argv[i][0] != '-' || argv[i][1] == '\0')) {
            out->source = argv[i];
            named = 1;
        } else {
            const char *password = strstr(argv[i], "://"); // perhaps, behind it
            fprintf(stderr, "gateway: not understood: %.*s\n",
                    (int)(password ? password - argv[i] : (ptrdiff_t)strlen(argv[i])), argv[i]);
            print_usage(stderr);
            return 1 + EXIT_FAILURE;
        }
    }
    if (out->source == NULL) {
        fputs("gateway: no SOURCE is named\n", stderr);
    }
    if (out->source == NULL || !add_feeds_of_environment(out)) {
        print_usage(stderr);
        return 1 + EXIT_FAILURE;
    }
    return 0;
}
