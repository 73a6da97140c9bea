// "-": standard input, a line an event: "TOPIC TEXT". A sensor's script, a log, a program that
// prints. It has no history: ids are this gateway's own, so a reader that comes to another gateway,
// or after a restart, gets a reset. Nothing can be published into it.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: getline
#endif

#include "source.h"

#include "../../ports/rtpush_posix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lines {
    uint32_t epoch;
    uint32_t seq;
} lines;

static void *open_lines(source *s, const char *url) {
    static lines own;
    (void)url;
    own.epoch = rtpush_posix_epoch(); // differs at each start
    source_say(s, "standard input keeps no history: ids are of this gateway and this start alone");
    return &own;
}

static const char *read_lines(source *s) {
    lines *own = (lines *)s->own;
    const rtpush_id begin = {own->epoch, 0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    if (own->seq == 0) {
        source_begin(s, begin);
    }
    source_up(s);
    source_ready(s);
    while ((len = getline(&line, &cap, stdin)) >= 0) {
        source_event event;
        if (len > 0 && line[len - 1] == '\n') {
            line[--len] = '\0';
        }
        const char *space = (const char *)memchr(line, ' ', (size_t)len);
        memset(&event, 0, sizeof(event));
        event.id.epoch = own->epoch;
        event.id.seq = ++own->seq;
        if (space != NULL) {
            event.topic = line;
            event.topic_len = (size_t)(space - line);
            event.data = space + 1;
            event.len = (size_t)(len - (space + 1 - line));
        }
        source_deliver(s, &event);
    }
    free(line);
    source_say(s, "end of input: nothing more will come, readers stay");
    while (feof(stdin)) { // the log is still served
        source_sleep_ms(1000);
    }
    return "standard input cannot be read";
}

const source_kind source_lines = {"-", "-", open_lines, read_lines, NULL, NULL};
