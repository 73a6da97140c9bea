// A chat: history on joining, who is here, checked names, no spam.
//
// What was said is an EVENT topic: a page that joins asks for all that the log holds, one that was
// away for what it missed. Who is here is a STATE topic. A name belongs to the key that its page
// made up: so a page that lost its connection gets it back at once.
//
// Build:  make build/examples/chat
// Type:   build/examples/chat, and open http://127.0.0.1:8080/ twice, side by side
// See:    two names in the list, and what each writes on both

#include "../shared/app.h"
#include "ports/rtpush_json.h"
#include "chat_page.h"

enum { SAID, PEOPLE, TOPICS };
enum { KEY = 16, NAME_LEN = 24, TEXT_MAX = 300, SAID_MAX = 2 * TEXT_MAX + NAME_LEN + 50 };
enum { PEOPLE_MAX = CONNS * (NAME_LEN + 3) + 2, RX = 512, TX = PEOPLE_MAX + 112, LOG = 8192 };
enum { SAY_MS = 1000, BURST_MS = 5 * SAY_MS, REFUSALS_MAX = 20 }; // one a second, five at once

static const rtpush_topic topics[TOPICS] = {
    {"said", &rtpush_topic_event, 0, 0}, {"people", &rtpush_topic_state, 0, PEOPLE_MAX}};

typedef struct person {
    char name[NAME_LEN + 1]; // "": not yet
    uint8_t key[KEY], refusals; // in a row
    uint32_t since_ms, credit_ms; // of speech, at that time
} person;

static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, TOPICS, PEOPLE_MAX)];
static person people[CONNS]; // by rtpush_handle.index

static void publish_people(rtpush_server *srv) {
    static char out[PEOPLE_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    for (unsigned i = 0; i < CONNS; i++) {
        if (people[i].name[0] != '\0') {
            rtpush_json(&t, "%s%q", t.len > 0 ? "," : "[", people[i].name);
        }
    }
    rtpush_json(&t, t.len > 0 ? "]" : "[]");
    (void)rtpush_publish(srv, PEOPLE, out, t.len);
}

// Controls, and characters without a glyph or that turn text around: with them two names could look
// the same, and one line like several. The text is valid UTF-8 (RFC 6455 8.1).
static int has_hidden(const uint8_t *at, size_t len) {
    for (const uint8_t *end = at + len; at < end; at++) {
        const int c1 = at[0] == 0xC2 && (at[1] < 0xA0 || at[1] == 0xAD); // U+0080 to 9F, AD
        const int low = at[0] == 0xE2 && at[1] == 0x80 &&                // U+200B to F, 2028 to F
                        ((at[2] >= 0x8B && at[2] <= 0x8F) || (at[2] >= 0xA8 && at[2] <= 0xAF));
        const int high = at[0] == 0xE2 && at[1] == 0x81 && at[2] >= 0xA0 && at[2] <= 0xAF; // 206x
        const int bom = at[0] == 0xEF && at[1] == 0xBB && at[2] == 0xBF;
        if (at[0] < ' ' || at[0] == 127 || c1 || low || high || bom) {
            return 1;
        }
    }
    return 0;
}

// KEY digits, a space, the name. The answer.
static const char *take_name(rtpush_server *srv, person *me, const uint8_t *data, size_t len) {
    const uint8_t *name = data + KEY + 1;
    const size_t name_len = len - KEY - 1;
    if (len < KEY + 2 || data[KEY] != ' ' || name_len > NAME_LEN) {
        return "a name has 1 to 24 bytes";
    }
    if (name[0] == ' ' || name[name_len - 1] == ' ' || has_hidden(name, name_len) ||
        memchr(name, '"', name_len) != NULL || memchr(name, '\\', name_len) != NULL) {
        return "a name has no quotes, and no space around it";
    }
    for (person *p = people; p < people + CONNS; p++) {
        if (p != me && strlen(p->name) == name_len && memcmp(p->name, name, name_len) == 0) {
            if (memcmp(p->key, data, KEY) != 0) {
                return "this name is taken";
            }
            p->name[0] = '\0'; // the same page over an older connection
        }
    }
    memcpy(me->key, data, KEY);
    memcpy(me->name, name, name_len);
    me->name[name_len] = '\0';
    publish_people(srv);
    return "welcome";
}

static const char *say(rtpush_server *srv, person *me, const uint8_t *data, size_t len) {
    const uint32_t now = rtpush_now_ms(srv);
    if (me->name[0] == '\0' || len == 0 || len > TEXT_MAX || has_hidden(data, len)) {
        return me->name[0] == '\0' ? "first a name" : "a text has 1 to 300 bytes, no controls";
    }
    const uint32_t credit_ms = me->credit_ms + (now - me->since_ms);
    me->credit_ms = credit_ms < BURST_MS ? credit_ms : BURST_MS;
    me->since_ms = now;
    if (me->credit_ms < SAY_MS) {
        return "not so fast";
    }
    rtpush_text t = rtpush_json_reserve(srv, SAID, SAID_MAX);
    rtpush_json(&t, "{\"at\":%u,\"name\":%q,\"text\":", now, me->name);
    rtpush_json_string(&t, data, len);
    rtpush_json(&t, "}");
    if (rtpush_json_commit(srv, &t) < 0) {
        return "no room, again please"; // this connection itself holds the oldest event
    }
    me->credit_ms -= SAY_MS;
    return NULL;
}

// "name KEY NAME", "say TEXT". Only a refusal and a name are answered: a message whose answer finds
// no room comes again, and must not be said twice.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    person *me = &people[conn.index];
    const char *wrong;
    const int text = msg->opcode == RTPUSH_TEXT_MESSAGE; // so it is UTF-8
    if (text && msg->len > 5 && memcmp(msg->data, "name ", 5) == 0) {
        wrong = take_name(srv, me, msg->data + 5, msg->len - 5);
    } else if (text && msg->len > 4 && memcmp(msg->data, "say ", 4) == 0) {
        wrong = say(srv, me, msg->data + 4, msg->len - 4);
        me->refusals = wrong == NULL ? 0 : (uint8_t)(me->refusals + 1);
    } else {
        return rtpush_close(srv, conn, 1008, "unknown command"); // RFC 6455 7.4.1
    }
    if (me->refusals >= REFUSALS_MAX) {
        return rtpush_close(srv, conn, 1008, wrong);
    }
    return wrong == NULL ? RTPUSH_OK
                         : rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, wrong, strlen(wrong));
}

static void on_open(rtpush_server *srv, const rtpush_request *req) {
    people[req->conn.index] = (person){.since_ms = rtpush_now_ms(srv), .credit_ms = 2 * SAY_MS};
}

static void on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    (void)closed;
    people[conn.index].name[0] = '\0';
    publish_people(srv);
}

static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_open = on_open, .on_message = on_message,
     .on_close = on_close},
    APP_PAGE,
};

const app example = {
    .name = "chat",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .topics = topics,
             .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
             .conn_count = CONNS, .max_streams = STREAMS, .rx_size = RX, .tx_size = TX,
             .log_size = LOG}};
