// http://HOST/events?topics=a,b: the event stream of another rtpush, such as a device. It serves
// one reader, this gateway, which serves all others. Its ids, gaps and resets are passed on as they
// are, so several gateways on one device agree without a broker. Nothing is published into it.
//
// A STATE topic of the device must be named in the URL and by --state. Its values have no ids of
// their own: each gateway gives its readers the newest that it was sent.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "source.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MAX = 66000 }; // bytes of an event as rtpush sends it, and more

// One request for an event stream, of one thread.
typedef struct stream {
    source *s;
    CURL *curl;
    int only_notice; // a probe: ends with the first notice
    int ended;       // by us
    uint32_t values; // bits of STATE topics that came
    int reset;       // the server began anew: ask for all it has
    rtpush_id notice; // id of the first notice, epoch 0: none yet
    int64_t heard_ms;
    int64_t dead_ms; // silence after which it is away
    char why[CURL_ERROR_SIZE + 44];

    // WHATWG HTML 9.2.6
    char line[BLOCK_MAX];
    size_t line_len;
    int line_over; // it does not fit
    int was_cr;
    char data[BLOCK_MAX];
    size_t data_len;
    int data_over;
    char name[40];
    char id[40]; // kept until another one comes
} stream;

typedef struct http {
    char url[600];
    char from_first[640];
    stream reader;
    stream prober;
    rtpush_id end; // of the stream when the reader connected
    int ready;
} http;

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

// "epoch-seq", 8 and 8 hexadecimal digits. 0: it is none.
static int id_parse(const char *text, rtpush_id *out) {
    char *end = NULL;
    if (strlen(text) != 17u || strspn(text, "0123456789abcdef") != 8u || text[8] != '-' ||
        strspn(text + 9, "0123456789abcdef") != 8u) {
        return 0;
    }
    out->epoch = (uint32_t)strtoul(text, &end, 16);
    out->seq = (uint32_t)strtoul(text + 9, &end, 16);
    return out->epoch != 0;
}

// -- blocks of the stream -------------------------------------------------------------------------

static void check_ready(stream *t) {
    http *h = (http *)t->s->own;
    if (!h->ready && !source_before(source_last(t->s), h->end)) {
        h->ready = 1;
        source_ready(t->s);
    }
}

// "fresh 5", "replayed 3 5", "gap 7 5", "reset 5", or nothing: a keep-alive. 0: end the stream.
static int take_notice(stream *t) {
    char word[12] = "";
    unsigned long first = 0;
    unsigned long second = 0;
    rtpush_id id;
    const int known = id_parse(t->id, &id);
    const int words = sscanf(t->data, "%11s %lu %lu", word, &first, &second);
    if (words <= 0 || !known) { // a keep-alive has the id if that has moved
        if (known && t->notice.epoch != 0) {
            source_advance(t->s, id, 0);
        }
        return 1;
    }
    const unsigned long period_s = words == 3 ? second : first;
    t->dead_ms = most(SOURCE_DEAD_MS, 3000 * (int64_t)(period_s < 3600 ? period_s : 3600));
    const int is_first = t->notice.epoch == 0;
    if (is_first) {
        t->notice = id;
    }
    if (t->only_notice) {
        return 0;
    }
    const rtpush_id last = source_last(t->s);
    if (strcmp(word, "reset") == 0) {
        t->reset = 1;
        return 0;
    }
    if (is_first) {
        source_up(t->s);
        if (last.epoch != id.epoch) { // the first time, or after a reset
            source_begin(t->s, id);
        }
    }
    if (strcmp(word, "gap") == 0 && last.epoch == id.epoch && id.seq > last.seq) {
        const uint32_t most_lost = id.seq - last.seq;
        source_advance(t->s, id, first < most_lost ? (uint32_t)first : most_lost);
    }
    return 1;
}

static int take_block(stream *t) {
    source_event event;
    memset(&event, 0, sizeof(event));
    if (t->data_len == 0 && !t->data_over && strcmp(t->name, "rtpush") != 0) {
        return 1; // WHATWG HTML 9.2.6: without data it is no event
    }
    if (t->data_len > 0) {
        t->data_len--; // the last LF
    }
    t->data[t->data_len] = '\0';
    if (strcmp(t->name, "rtpush") == 0) {
        return take_notice(t);
    }
    if (t->notice.epoch == 0 || !id_parse(t->id, &event.id)) {
        snprintf(t->why, sizeof(t->why), "not the event stream of a rtpush");
        return 0;
    }
    event.topic = t->name;
    event.topic_len = strlen(t->name);
    event.data = t->data;
    event.len = t->data_over ? (size_t)-1 : t->data_len; // judged before it is looked at
    event.behind = (uint8_t)!((http *)t->s->own)->ready;
    const int topic = source_judge(t->s, &event);
    if (topic >= 0 && source_is_state(t->s, (uint32_t)topic)) { // its id is that of the last event
        source_set_value(t->s, &event, !(t->values >> topic & 1u));
        t->values |= 1u << topic;
    } else {
        source_deliver(t->s, &event);
    }
    return 1;
}

static void keep(char *out, size_t cap, const char *value) {
    const size_t len = strlen(value);
    value = len < cap ? value : "?"; // too long: no name and no id of ours
    memcpy(out, value, len < cap ? len + 1u : 2u);
}

// A line: a field, or the end of a block. 0: end the stream.
static int take_line(stream *t) {
    int result = 1;
    t->line[t->line_len] = '\0';
    char *value = (char *)memchr(t->line, ':', t->line_len);
    if (t->line_len == 0) {
        result = take_block(t);
        if (!t->only_notice && result && t->notice.epoch != 0) {
            check_ready(t);
        }
        t->data_len = 0;
        t->data_over = 0;
        t->name[0] = '\0';
    } else if (value != NULL) {
        *value++ = '\0';
        value += *value == ' ';
        const size_t len = t->line_len - (size_t)(value - t->line);
        if (strcmp(t->line, "event") == 0) {
            keep(t->name, sizeof(t->name), value);
        } else if (strcmp(t->line, "id") == 0) {
            keep(t->id, sizeof(t->id), value);
        } else if (strcmp(t->line, "data") == 0) {
            t->data_over |= t->line_over || t->data_len + len + 2u > sizeof(t->data);
            if (!t->data_over) {
                memcpy(t->data + t->data_len, value, len);
                t->data_len += len;
                t->data[t->data_len++] = '\n';
            }
        }
    } else if (strcmp(t->line, "data") == 0 && t->data_len + 1u < sizeof(t->data)) {
        t->data[t->data_len++] = '\n';
    }
    t->line_len = 0;
    t->line_over = 0;
    return result;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *user) {
    stream *t = (stream *)user;
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_TYPE, &type);
    if (status != 200 || type == NULL || strncmp(type, "text/event-stream", 17) != 0) {
        snprintf(t->why, sizeof(t->why), "status %ld, %s", status, type ? type : "no type");
        return 0;
    }
    t->heard_ms = source_clock_ms();
    for (size_t i = 0; i < size * count; i++) {
        const char c = bytes[i];
        const int second = t->was_cr && c == '\n'; // CR LF ends one line
        t->was_cr = c == '\r';
        if (second) {
            continue;
        }
        if (c != '\n' && c != '\r') {
            t->line_over |= t->line_len + 1u == sizeof(t->line);
            if (!t->line_over) {
                t->line[t->line_len++] = c;
            }
        } else if (!take_line(t)) {
            t->ended = 1;
            return 0;
        }
    }
    t->heard_ms = source_clock_ms(); // it may have waited for the loop: that is no silence
    return size * count;
}

static int on_time(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const stream *t = (const stream *)user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return source_clock_ms() - t->heard_ms > t->dead_ms;
}

// Runs one request to its end. t->why says how it ended.
static void get(stream *t, const char *url, const char *last_id) {
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
    char field[64];
    char error[CURL_ERROR_SIZE] = "";
    if (last_id[0] != '\0') {
        snprintf(field, sizeof(field), "Last-Event-ID: %s", last_id);
        headers = curl_slist_append(headers, field);
    }
    t->curl = curl_easy_init();
    t->heard_ms = source_clock_ms();
    t->dead_ms = SOURCE_DEAD_MS;
    if (t->curl == NULL || headers == NULL) {
        snprintf(t->why, sizeof(t->why), "not enough memory");
        curl_slist_free_all(headers);
        return;
    }
    curl_easy_setopt(t->curl, CURLOPT_URL, url);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_CAINFO, t->s->desc.ca);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L); // threads
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)SOURCE_DEAD_MS);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, on_time);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
    const CURLcode code = curl_easy_perform(t->curl);
    if (t->why[0] == '\0') {
        const char *what = error[0] ? error : curl_easy_strerror(code);
        what = code == CURLE_ABORTED_BY_CALLBACK ? "silent" : what;
        snprintf(t->why, sizeof(t->why), "%s", code == CURLE_OK ? "the stream ended" : what);
    }
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(headers);
}

static void stream_begin(stream *t, source *s, int only_notice) {
    memset(t, 0, sizeof(*t));
    t->s = s;
    t->only_notice = only_notice;
}

// -- reader and publisher -------------------------------------------------------------------------

// The first notice of a reader without an id has that of the newest event.
static int end_of(source *s, stream *t, rtpush_id *end) {
    stream_begin(t, s, 1);
    get(t, ((http *)s->own)->url, "");
    *end = t->notice;
    return t->notice.epoch != 0 ? 0 : -1;
}

static int probe_http(source *s, rtpush_id *end) {
    return end_of(s, &((http *)s->own)->prober, end);
}

static const char *read_http(source *s) {
    http *h = (http *)s->own;
    stream *t = &h->reader;
    char last_id[RTPUSH_ID_SIZE] = "";
    int again;
    do {
        if (end_of(s, t, &h->end) < 0) {
            return t->why;
        }
        const rtpush_id last = source_last(s);
        const int same = last.epoch == h->end.epoch;
        h->ready = 0;
        stream_begin(t, s, 0);
        // Another epoch: everything it has now is new.
        get(t, same ? h->url : h->from_first, same ? rtpush_id_format(last, last_id) : "");
        again = t->reset;
    } while (again);
    return t->why;
}

static void *open_http(source *s, const char *url) {
    static http own;
    source_url parts;
    const uint16_t port = 80;
    if (strlen(url) >= sizeof(own.url) || source_url_split(url, port, &parts) < 0 ||
        curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        source_say(s, "expected %s", s->kind->example);
        return NULL;
    }
    snprintf(own.url, sizeof(own.url), "%s", url);
    snprintf(own.from_first, sizeof(own.from_first), "%s%clast_event_id=first", url,
             strchr(url, '?') ? '&' : '?');
    return &own;
}

const source_kind source_http = {"http", "http://HOST/events?topics=a,b (a rtpush)", open_http,
                                 read_http, NULL, probe_http};
const source_kind source_https = {"https", "https://HOST/events?topics=a,b", open_http, read_http,
                                  NULL, probe_http};
