// The server's side of send(text, { ack: true }) of rtpush.js: what a page sends is done exactly
// once, however often its connection breaks, or the page is told that this is not known.
//
//     static once_table once;             // zeroed
//     once.epoch = desc.epoch;            // that of rtpush_init
//     once.act = act;                     // int act(server, text, len): a status, 200 for done
//
//     .on_message = on_message            // return once_message(&once, srv, conn, msg) of those
//                                         // that begin with '@'
//     .on_request = on_control            // once_request(&once, srv, req) of a POST
//
// A page numbers its texts, sends the next one only when the last one is answered, and repeats one
// with its number until then. So of each page the last number and its answer are all that has to be
// kept. Not known (409) is
//     another epoch: this server has restarted since, and may have done it before
//     a repetition of a page that is not here, when one was forgotten for another: perhaps this
//     a number before the last one: it was held up on the way, and its page has given it up
// Keep ONCE_PAGES above the pages that send within the time a proxy may hold up a request.

#ifndef ONCE_H
#define ONCE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ONCE_PAGES
#define ONCE_PAGES 16
#endif

enum { ONCE_KEY_MAX = 48 }; // "epoch-page-number": 8 + 1 + 16 + 1 + 10, and room

typedef struct once_page {
    char name[20];
    unsigned long number; // the last one done; 0: this place is free
    int status;           // what it was answered
    unsigned long used;   // order of use
} once_page;

typedef struct once_table {
    uint32_t epoch;
    int (*act)(rtpush_server *srv, const char *text, size_t len);
    once_page pages[ONCE_PAGES];
    unsigned long uses;
    int forgot; // a page had to give its place to another one
} once_table;

static once_page *once_find(once_table *t, const char *name, size_t len) {
    once_page *oldest = &t->pages[0];
    for (once_page *p = t->pages; p < t->pages + ONCE_PAGES; p++) {
        if (p->number > 0 && strlen(p->name) == len && memcmp(p->name, name, len) == 0) {
            return p;
        }
        oldest = p->used < oldest->used ? p : oldest;
    }
    t->forgot |= oldest->number > 0;
    oldest->number = 0;
    return oldest;
}

// The status of the text with this key: what act says, or said the first time.
static int once_do(once_table *t, rtpush_server *srv, const char *key, unsigned long tries,
                   const char *text, size_t len) {
    char *end;
    unsigned long number;
    const unsigned long epoch = strtoul(key, &end, 16);
    const char *name = end + 1;
    const char *dash = *end == '-' ? strchr(name, '-') : NULL;
    if (dash == NULL || dash == name || dash - name >= (int)sizeof t->pages[0].name ||
        (number = strtoul(dash + 1, &end, 10)) == 0 || *end != '\0' || tries == 0) {
        return 400;
    }
    if (epoch != t->epoch) {
        return 409;
    }
    once_page *p = once_find(t, name, (size_t)(dash - name));
    if (p->number == 0) {
        if (tries > 1 && t->forgot) {
            return 409;
        }
        memcpy(p->name, name, (size_t)(dash - name));
        p->name[dash - name] = '\0';
    }
    p->used = ++t->uses;
    if (number < p->number) {
        return 409;
    }
    if (number > p->number) {
        p->status = t->act(srv, text, len);
        p->number = number;
    }
    return p->status;
}

// "@KEY TRY LF text", answered "@KEY STATUS SP".
static int once_message(once_table *t, rtpush_server *srv, rtpush_handle conn,
                        const rtpush_message *msg) {
    char key[ONCE_KEY_MAX];
    char answer[ONCE_KEY_MAX + 8];
    const char *text = (const char *)msg->data;
    const char *line = (const char *)memchr(text, '\n', msg->len);
    const char *space = line ? (const char *)memchr(text, ' ', (size_t)(line - text)) : NULL;
    if (space == NULL || space - text >= (int)sizeof key) {
        return RTPUSH_OK; // not of rtpush.js
    }
    memcpy(key, text + 1, (size_t)(space - text - 1));
    key[space - text - 1] = '\0';
    const int status = once_do(t, srv, key, strtoul(space, NULL, 10), line + 1,
                               msg->len - (size_t)(line + 1 - text));
    const int len = snprintf(answer, sizeof answer, "@%s %d ", key, status);
    const int sent = rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, answer, (size_t)len);
    // Without room it comes again, and is not done again.
    return sent == RTPUSH_ERR_WOULD_BLOCK ? RTPUSH_RETRY : RTPUSH_OK;
}

// ?once=KEY&try=TRY and the text as the body. Without a key: done as often as it comes.
static void once_request(once_table *t, rtpush_server *srv, const rtpush_request *req) {
    char key[ONCE_KEY_MAX];
    char tries[12] = "0";
    int status;
    if (rtpush_query(req->query, "once", key, sizeof key) > 0) {
        (void)rtpush_query(req->query, "try", tries, sizeof tries);
        status = once_do(t, srv, key, strtoul(tries, NULL, 10), (const char *)req->body,
                         req->body_len);
    } else {
        status = t->act(srv, (const char *)req->body, req->body_len);
    }
    rtpush_reply_text(srv, req->conn, status, "");
}

#endif
