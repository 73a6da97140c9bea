// Counts and names of readers. All of it is the loop's.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEFT = 1024,           // names that have left a short time ago
    NAMES_MAX = 20000,     // of all gateways
    FRAGMENT_MAX = 65536   // bytes of a topic's part of the answer
};

typedef struct visitor {
    uint32_t topics;
    int open;
    char name[PRESENCE_NAME_MAX + 1];
} visitor;

typedef struct absent { // one that left, and may be on its way to another gateway
    uint32_t topics;
    int64_t since_ms;
    char name[PRESENCE_NAME_MAX + 1];
} absent;

typedef struct known { // a name of those that all gateways say
    char name[PRESENCE_NAME_MAX + 1];
    uint32_t topics;
} known;

static struct {
    const rtpush_topic *topics;
    uint32_t topic_count;
    uint32_t slots;
    int64_t period_ms;
    int named;
    visitor *visitors; // by slot
    absent left[LEFT];
    uint32_t left_next;
    int64_t said_ms;
    known *all;
    uint32_t all_count;
    int64_t joined_ms; // 0: never
    uint32_t gateways;
    int complete;
    uint64_t counts[32];
    char *fragments[32]; // JSON of each topic
} p;

// -- a text that grows up to a limit --------------------------------------------------------------

typedef struct text {
    char *data;
    size_t len;
    size_t cap;
    int over; // something did not fit
} text;

// All of it or nothing.
static void put(text *t, const char *data, size_t len) {
    if (t->over || t->len + len + 1u > t->cap) {
        t->over = 1;
        return;
    }
    memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}

static void put_word(text *t, const char *word) {
    put(t, word, strlen(word));
}

static void put_number(text *t, uint64_t value) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    put_word(t, digits);
}

// RFC 8259 7
static void put_json(text *t, const char *value) {
    put_word(t, "\"");
    for (const char *at = value; *at != '\0'; at++) {
        char escape[8];
        const unsigned c = (unsigned char)*at;
        if (c == '"' || c == '\\') {
            snprintf(escape, sizeof(escape), "\\%c", (int)c);
        } else if (c < 0x20u || c == 0x7Fu) {
            snprintf(escape, sizeof(escape), "\\u%04x", c);
        } else {
            snprintf(escape, sizeof(escape), "%c", (int)c);
        }
        put_word(t, escape);
    }
    put_word(t, "\"");
}

// -- what this gateway has ------------------------------------------------------------------------

int presence_start(const rtpush_topic *topics, uint32_t topic_count, uint32_t slots,
                   uint32_t period_s, int named) {
    p.topics = topics;
    p.topic_count = topic_count;
    p.slots = slots;
    p.period_ms = (int64_t)period_s * 1000;
    p.named = named;
    p.visitors = (visitor *)calloc(slots, sizeof(visitor));
    p.all = (known *)calloc(NAMES_MAX, sizeof(known));
    for (uint32_t i = 0; i < topic_count; i++) {
        p.fragments[i] = (char *)calloc(FRAGMENT_MAX, 1);
        if (p.fragments[i] == NULL) {
            return -1;
        }
    }
    return p.visitors != NULL && p.all != NULL ? 0 : -1;
}

void presence_expect(uint32_t slot, uint32_t topics, const char *name) {
    visitor *v = &p.visitors[slot];
    const size_t len = strlen(name);
    v->topics = topics;
    v->open = 0;
    v->name[0] = '\0';
    if (len <= PRESENCE_NAME_MAX && rtpush_utf8(0, name, len) == 0) {
        memcpy(v->name, name, len + 1u);
    }
}

void presence_opened(uint32_t slot) {
    p.visitors[slot].open = 1;
}

void presence_closed(uint32_t slot, int64_t now_ms) {
    visitor *v = &p.visitors[slot];
    if (v->open && v->name[0] != '\0') {
        absent *a = &p.left[p.left_next++ % LEFT];
        a->topics = v->topics;
        a->since_ms = now_ms;
        memcpy(a->name, v->name, sizeof(a->name));
    }
    v->open = 0;
}

// "@NAME TOPIC TOPIC LF", or nothing if it does not fit.
static void put_named(text *t, const char *name, uint32_t topics) {
    const size_t before = t->len;
    if (name[0] == '\0') {
        return;
    }
    put_word(t, "@");
    for (const char *at = name; *at != '\0'; at++) {
        char escape[4];
        const unsigned c = (unsigned char)*at;
        snprintf(escape, sizeof(escape), c <= ' ' || c == '%' || c == 0x7Fu ? "%%%02X" : "%c", c);
        put_word(t, escape);
    }
    for (uint32_t i = 0; i < p.topic_count; i++) {
        if (topics >> i & 1u) {
            put_word(t, " ");
            put_word(t, p.topics[i].name);
        }
    }
    put_word(t, "\n");
    if (t->over) {
        t->len = before;
        t->data[before] = '\0';
    }
}

char *presence_say(int64_t now_ms) {
    uint32_t counts[32] = {0};
    text t = {NULL, 0, PRESENCE_DOC_MAX - 2, 0};
    if (p.period_ms == 0 || (p.said_ms != 0 && now_ms - p.said_ms < p.period_ms) ||
        (t.data = (char *)calloc(PRESENCE_DOC_MAX, 1)) == NULL) {
        return NULL;
    }
    p.said_ms = now_ms;
    put_word(&t, "!\n");
    for (uint32_t i = 0; i < p.slots; i++) {
        for (uint32_t topic = 0; topic < p.topic_count && p.visitors[i].open; topic++) {
            counts[topic] += p.visitors[i].topics >> topic & 1u;
        }
    }
    for (uint32_t topic = 0; topic < p.topic_count; topic++) {
        put_word(&t, p.topics[topic].name);
        put_word(&t, " ");
        put_number(&t, counts[topic]);
        put_word(&t, "\n");
    }
    for (uint32_t i = 0; i < p.slots && !t.over; i++) {
        if (p.visitors[i].open) {
            put_named(&t, p.visitors[i].name, p.visitors[i].topics);
        }
    }
    for (uint32_t i = 0; i < LEFT && !t.over; i++) {
        if (p.left[i].since_ms != 0 && now_ms - p.left[i].since_ms < 2 * p.period_ms) {
            put_named(&t, p.left[i].name, p.left[i].topics);
        }
    }
    if (t.over) {
        memcpy(t.data + t.len, "+\n", 3);
    }
    return t.data;
}

// -- what all have --------------------------------------------------------------------------------

static int by_name(const void *a, const void *b) {
    return strcmp(((const known *)a)->name, ((const known *)b)->name);
}

// A topic's bit of a word, 0: none of ours.
static uint32_t topic_bit(const char *at, size_t len) {
    for (uint32_t i = 0; i < p.topic_count; i++) {
        if (strlen(p.topics[i].name) == len && memcmp(p.topics[i].name, at, len) == 0) {
            return 1u << i;
        }
    }
    return 0;
}

// Percent-decoded. 0: it is no name.
static int decode(const char *at, size_t len, char out[PRESENCE_NAME_MAX + 1]) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned c = (unsigned char)at[i];
        if (c == '%') {
            char digits[3] = {0};
            char *end = NULL;
            if (len - i < 3u) {
                return 0;
            }
            memcpy(digits, at + i + 1, 2);
            c = (unsigned)strtoul(digits, &end, 16);
            if (end != digits + 2) {
                return 0;
            }
            i += 2;
        }
        if (n == PRESENCE_NAME_MAX || c == 0) {
            return 0;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0 && rtpush_utf8(0, out, n) == 0;
}

// "@NAME TOPIC TOPIC", without its end.
static void take_name(const char *at, size_t len) {
    const char *space = (const char *)memchr(at, ' ', len);
    if (!p.named || space == NULL) {
        return;
    }
    if (p.all_count == NAMES_MAX) {
        p.complete = 0;
        return;
    }
    known *k = &p.all[p.all_count];
    const char *end = at + len;
    if (!decode(at + 1, (size_t)(space - at) - 1u, k->name)) {
        return;
    }
    k->topics = 0;
    while (space < end) {
        const char *word = space + 1;
        space = (const char *)memchr(word, ' ', (size_t)(end - word));
        space = space ? space : end;
        k->topics |= topic_bit(word, (size_t)(space - word));
    }
    p.all_count++;
}

// "TOPIC COUNT"
static void take_count(const char *at, size_t len) {
    const char *space = (const char *)memchr(at, ' ', len);
    char digits[12] = "";
    if (space == NULL || (size_t)(at + len - space) > sizeof(digits)) {
        return;
    }
    memcpy(digits, space + 1, (size_t)(at + len - space) - 1u);
    const uint32_t bit = topic_bit(at, (size_t)(space - at));
    for (uint32_t topic = 0; topic < p.topic_count; topic++) {
        if (bit >> topic & 1u) {
            p.counts[topic] += (uint32_t)strtoul(digits, NULL, 10);
        }
    }
}

// "NAME":{"count":3,"names":["ann","bob"]}
static void write_fragment(uint32_t topic) {
    text t = {p.fragments[topic], 0, FRAGMENT_MAX - 2, 0};
    int first = 1;
    put_json(&t, p.topics[topic].name);
    put_word(&t, ":{\"count\":");
    put_number(&t, p.counts[topic]);
    if (p.named) {
        put_word(&t, ",\"names\":[");
        for (uint32_t i = 0; i < p.all_count && !t.over; i++) {
            if (p.all[i].topics >> topic & 1u) {
                const size_t before = t.len;
                put_word(&t, first ? "" : ",");
                put_json(&t, p.all[i].name);
                t.len = t.over ? before : t.len;
                first = 0;
            }
        }
        p.complete &= !t.over;
        t.over = 0;
        t.cap++;
        put_word(&t, "]");
    }
    t.cap = FRAGMENT_MAX;
    put_word(&t, "}");
}

void presence_join(const char *joined, size_t len, int64_t now_ms) {
    const char *end = joined + len;
    p.all_count = 0;
    p.gateways = 0;
    p.complete = 1;
    memset(p.counts, 0, sizeof(p.counts));
    for (const char *at = joined; at < end;) {
        const char *stop = (const char *)memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((stop ? stop : end) - at);
        if (n > 0 && at[0] == '@') {
            take_name(at, n);
        } else if (n > 0 && at[0] == '!') {
            p.gateways++;
        } else if (n > 0 && at[0] == '+') {
            p.complete = 0;
        } else {
            take_count(at, n);
        }
        at += n + 1u;
    }
    qsort(p.all, p.all_count, sizeof(known), by_name);
    uint32_t unique = 0;
    for (uint32_t i = 0; i < p.all_count; i++) {
        if (unique > 0 && strcmp(p.all[unique - 1u].name, p.all[i].name) == 0) {
            p.all[unique - 1u].topics |= p.all[i].topics;
        } else {
            p.all[unique++] = p.all[i];
        }
    }
    p.all_count = unique;
    for (uint32_t topic = 0; topic < p.topic_count; topic++) {
        write_fragment(topic);
    }
    p.joined_ms = now_ms;
}

char *presence_answer(uint32_t topics, int64_t now_ms) {
    text t = {NULL, 0, 128, 0};
    int first = 1;
    if (p.joined_ms == 0 || now_ms - p.joined_ms > 3 * p.period_ms) {
        return NULL;
    }
    for (uint32_t topic = 0; topic < p.topic_count; topic++) {
        t.cap += topics >> topic & 1u ? strlen(p.fragments[topic]) + 1u : 0u;
    }
    t.data = (char *)malloc(t.cap);
    if (t.data == NULL) {
        return NULL;
    }
    put_word(&t, "{\"gateways\":");
    put_number(&t, p.gateways);
    put_word(&t, p.complete ? ",\"complete\":true" : ",\"complete\":false");
    put_word(&t, ",\"topics\":{");
    for (uint32_t topic = 0; topic < p.topic_count; topic++) {
        if (topics >> topic & 1u) {
            put_word(&t, first ? "" : ",");
            put_word(&t, p.fragments[topic]);
            first = 0;
        }
    }
    put_word(&t, "}}\n");
    return t.data;
}
