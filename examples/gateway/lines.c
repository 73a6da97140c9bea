// "-": standard input, a line an event: "TOPIC TEXT". A sensor's script, a log, a program that
// prints. While the source is away it is not read, so the program that writes waits.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // with -std=c99: getline
#endif

#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_lines(feed *f, const char *url) {
    (void)url;
    return f;
}

static const char *read_lines(feed *f) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    feed_up(f, 1);
    while ((len = getline(&line, &cap, stdin)) >= 0) {
        feed_message m;
        if (len > 0 && line[len - 1] == '\n') {
            line[--len] = '\0';
        }
        const char *space = (const char *)memchr(line, ' ', (size_t)len);
        memset(&m, 0, sizeof(m));
        if (space != NULL) {
            m.name = line;
            m.name_len = (size_t)(space - line);
            m.data = space + 1;
            m.len = (size_t)(len - (space + 1 - line));
        }
        feed_deliver(f, &m);
    }
    free(line);
    feed_say(f, "end of input: nothing more will come, readers stay");
    while (feof(stdin)) { // the log is still served
        source_sleep_ms(1000);
    }
    return "standard input cannot be read";
}

const feed_kind feed_lines = {"-", "-", 1, open_lines, read_lines};
const source_kind source_lines = {"-", "-", feed_open_source, feed_read_source, NULL, NULL};
