// rtpush_dash.h - v0.1 - rtpush.h: a live dashboard from a const table - MIT-0 or public domain
//
// The device describes its dashboard, a page draws it (browser/dash.html): values, gauges, charts,
// bars, logs, switches, sliders, buttons and texts, which move and command without any HTML of
// yours. No heap, no stdio, no floating point, no memory of its own: numbers are int32_t of which
// some digits are decimals. 2.7 KB of flash (Cortex-M3, gcc 12 -Os), the page another 9 KB.
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     #define RTPUSH_JSON_IMPLEMENTATION
//     #include "rtpush_json.h"     #include "rtpush_json.h"
//     #define RTPUSH_DASH_IMPLEMENTATION
//     #include "rtpush_dash.h"     #include "rtpush_dash.h"
//
// QUICK START: examples/widgets is a whole program
//     enum { TEMP, LAMP, TOPICS }; // the first widgets, in the order of the topics
//     static const rtpush_topic topics[] = {{"temp", &rtpush_topic_state, 0, 16},
//                                           {"lamp", &rtpush_topic_state, 0, 8}};
//     static const rtpush_widget widgets[] = {
//         {"temp", "Temperature", "\302\260C", "Climate", RTPUSH_DASH_GAUGE, 1, -100, 500},
//         {"lamp", "Lamp", NULL, "Light", RTPUSH_DASH_SWITCH, 0, 0, 1}};
//     static const rtpush_dash dash = {"Greenhouse", widgets, 2, on_command};
//     ... rtpush_dash_set(&srv, &dash, TEMP, 215); // 21.5 degrees, on every open page
//
//     static int on_command(rtpush_server *srv, unsigned widget, int32_t value, const char *text) {
//         board_lamp(value);
//         return rtpush_dash_set(srv, &dash, widget, value); // what it has become, for all pages
//     }
//     Three callbacks of routes pass on to it: rtpush_dash_table for "/dash.json",
//     rtpush_dash_message for the WebSocket, rtpush_dash_control for POST "/control".
//
// THE KINDS   what it shows                        min, max                it commands
//     VALUE   a number or a text                   -                       -
//     GAUGE   an arc                               its ends                -
//     BAR     a bar                                its ends                -
//     CHART   a line over time: rtpush_dash_point  of its axis; equal: free   -
//     LOG     lines: rtpush_dash_log               -                       -
//     SWITCH  on or off                            -                       0 or 1
//     SLIDER  a position                           its ends                min to max
//     BUTTON  its label; it needs no topic         -                       1
//     TEXT    a text                               max: bytes, 0: fixed    the text
//     CHART and LOG are best EVENT topics: a page that opens gets what the log still holds, one
//     that was away gets what it missed. The others are STATE topics of 16 bytes, texts of as many
//     as they are long as JSON.
//
// A COMMAND is a message {"name":value}: the topic of a widget and a number, true, false or a text
//     (RFC 8259, one member). It is checked against the table before on_command sees it.
//     Deviation: no exponents (RFC 8259 6), no more decimals than the widget has. Names and not
//     numbers: a page that is still open while the device starts with another table switches
//     nothing else.

#ifndef RTPUSH_DASH_H
#define RTPUSH_DASH_H

#ifndef RTPUSH_JSON_H
#error "include rtpush.h and rtpush_json.h before rtpush_dash.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RTPUSH_DASH_VALUE,
    RTPUSH_DASH_GAUGE,
    RTPUSH_DASH_BAR,
    RTPUSH_DASH_CHART,
    RTPUSH_DASH_LOG,
    RTPUSH_DASH_SWITCH,
    RTPUSH_DASH_SLIDER,
    RTPUSH_DASH_BUTTON,
    RTPUSH_DASH_TEXT
};

enum { RTPUSH_DASH_TEXT_MAX = 64 }; // most bytes of a text that a page sends

// What is wrong with a command; rtpush_dash_error says it in words.
enum {
    RTPUSH_DASH_MALFORMED = -111, // not {"name":value}
    RTPUSH_DASH_UNKNOWN = -112,   // no widget of that name takes commands
    RTPUSH_DASH_TYPE = -113,      // a text for a number, or the other way round
    RTPUSH_DASH_RANGE = -114      // outside of min and max, too many decimals, a text too long
};

typedef struct rtpush_widget {
    const char *topic; // name of its topic; of a button, of its command alone
    const char *label;
    const char *unit;  // NULL: none
    const char *group; // title of a card that begins here; NULL: in the card of the one before
    uint8_t kind;      // RTPUSH_DASH_...
    uint8_t decimals;  // 0 to 9: min, max and values are in units of the last one
    int32_t min;
    int32_t max;
} rtpush_widget;

// A command that has passed the checks. `value` as the table above says; `text` of a TEXT, else "".
// RTPUSH_OK, or a negative number: the page is told that it was refused.
typedef int (*rtpush_dash_on_command)(rtpush_server *srv, unsigned widget, int32_t value,
                                      const char *text);

typedef struct rtpush_dash {
    const char *title;
    const rtpush_widget *widgets; // each row as JSON must fit a quarter of tx_size
    unsigned count;
    rtpush_dash_on_command on_command; // NULL: nothing is commanded
} rtpush_dash;

// -- routes
// Answers with the table, for rtpush_handler; `dash` outlives the connection. Also checks: 500 if a
// widget names a topic that the server does not have, or has a kind or decimals that are none.
void rtpush_dash_table(rtpush_server *srv, const rtpush_request *req, const rtpush_dash *dash);
// From on_message, and from on_request of a POST route (max_body 256 is plenty): a command. What is
// wrong with it goes back to the page.
int rtpush_dash_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg,
                        const rtpush_dash *dash);
void rtpush_dash_control(rtpush_server *srv, const rtpush_request *req, const rtpush_dash *dash);

// -- publishing, in the loop's context; results as of rtpush_publish
int rtpush_dash_set(rtpush_server *srv, const rtpush_dash *dash, unsigned widget, int32_t value);
int rtpush_dash_text(rtpush_server *srv, const rtpush_dash *dash, unsigned widget,
                     const char *text); // at most 100 bytes as JSON
int rtpush_dash_point(rtpush_server *srv, const rtpush_dash *dash, unsigned widget, int32_t value);
// level: "info", "good", "warn" or "bad".
int rtpush_dash_log(rtpush_server *srv, const rtpush_dash *dash, unsigned widget, const char *level,
                    const char *text); // at most 140 bytes as JSON

// -- what they are made of: functions of the table alone
typedef struct rtpush_command {
    unsigned widget;
    int32_t value;
    char text[RTPUSH_DASH_TEXT_MAX + 1];
} rtpush_command;

// RTPUSH_OK, or what is wrong; `data` may hold anything.
int rtpush_dash_parse(const rtpush_dash *dash, const void *data, size_t len,
                      rtpush_command *command);
const char *rtpush_dash_error(int error);

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_DASH_H

#ifdef RTPUSH_DASH_IMPLEMENTATION
#ifndef RTPUSH_DASH_IMPLEMENTED
#define RTPUSH_DASH_IMPLEMENTED

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// -- reading JSON: `at` goes on to `end`; nothing behind `end` is looked at

typedef struct rtpi_dash_reader {
    const char *at;
    const char *end;
} rtpi_dash_reader;

static int rtpi_dash_next(const rtpi_dash_reader *r) { // 0 at the end: NUL is nowhere valid
    return r->at < r->end ? (uint8_t)*r->at : 0;
}

static void rtpi_dash_skip_blank(rtpi_dash_reader *r) { // RFC 8259 2
    int c;
    while ((c = rtpi_dash_next(r)) == ' ' || c == '\t' || c == '\n' || c == '\r') {
        r->at++;
    }
}

// One of the six marks, with the white space around it.
static int rtpi_dash_take(rtpi_dash_reader *r, int mark) {
    rtpi_dash_skip_blank(r);
    if (rtpi_dash_next(r) != mark) {
        return 0;
    }
    r->at++;
    rtpi_dash_skip_blank(r);
    return 1;
}

static int rtpi_dash_take_word(rtpi_dash_reader *r, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) {
        return 0;
    }
    r->at += len;
    return 1;
}

// The four digits of \uXXXX, or -1.
static int32_t rtpi_dash_hex4(rtpi_dash_reader *r) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int c = rtpi_dash_next(r);
        int lower = c | 0x20;
        int digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 87 : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
        r->at++;
    }
    return value;
}

// A character by its number, in UTF-8 (RFC 3629 3).
static void rtpi_dash_put_character(rtpush_text *t, uint32_t c) {
    uint8_t bytes[4];
    unsigned len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (unsigned i = len - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80u | (c & 0x3Fu));
        c >>= 6;
    }
    bytes[0] = (uint8_t)(len == 1 ? c : (0xF00u >> len & 0xF0u) | c);
    rtpush_text_put(t, bytes, len);
}

// RFC 8259 7: \uXXXX, where a surrogate needs its other half. 0: malformed. NUL is refused too: a
// text ends there, and what is behind it would have been checked for nothing.
static int rtpi_dash_unescape_number(rtpi_dash_reader *r, rtpush_text *t) {
    int32_t c = rtpi_dash_hex4(r);
    if (c >= 0xD800 && c < 0xDC00) {
        int32_t low = rtpi_dash_take_word(r, "\\u") ? rtpi_dash_hex4(r) : -1;
        if (low < 0xDC00 || low > 0xDFFF) {
            return 0;
        }
        c = 0x10000 + (c - 0xD800) * 0x400 + (low - 0xDC00);
    } else if (c <= 0 || (c >= 0xDC00 && c < 0xE000)) {
        return 0;
    }
    rtpi_dash_put_character(t, (uint32_t)c);
    return 1;
}

static int rtpi_dash_unescape(rtpi_dash_reader *r, rtpush_text *t) {
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    int c = rtpi_dash_next(r);
    r->at += c != 0;
    if (c == 'u') {
        return rtpi_dash_unescape_number(r, t);
    }
    for (size_t i = 0; i < sizeof letters - 1; i += 2) {
        if (letters[i] == c) {
            rtpush_text_put(t, &letters[i + 1], 1);
            return 1;
        }
    }
    return 0;
}

// A string of valid UTF-8 into t, NUL-terminated where it fits. 0: malformed.
static int rtpi_dash_string(rtpi_dash_reader *r, rtpush_text *t) {
    const char *from;
    if (rtpi_dash_next(r) != '"') {
        return 0;
    }
    from = ++r->at;
    for (;;) {
        int c = rtpi_dash_next(r);
        if (c < 0x20) {
            return 0; // a control character, or the end
        }
        r->at++;
        if (c == '"') {
            break;
        }
        if (c != '\\') {
            rtpush_text_put(t, r->at - 1, 1);
        } else if (!rtpi_dash_unescape(r, t)) {
            return 0;
        }
    }
    rtpush_text_put(t, "", 1);
    return rtpush_utf8(0, from, (size_t)(r->at - 1 - from)) == 0;
}

static int rtpi_dash_is_digit(int c) {
    return c >= '0' && c <= '9';
}

// A number of RFC 8259 6 in units of its last decimal. MALFORMED; RANGE: more than int32_t, or a
// decimal too many that is not 0.
static int rtpi_dash_number(rtpi_dash_reader *r, unsigned decimals, int32_t *value) {
    int minus = rtpi_dash_take_word(r, "-");
    const char *from = r->at;
    int64_t sum = 0;
    int too_far = 0;
    int point = 0;
    for (int c; rtpi_dash_is_digit(c = rtpi_dash_next(r)) || (c == '.' && !point && r->at > from);
         r->at++) {
        if (c == '.') {
            point = 1;
        } else if (!point || decimals > 0) {
            decimals -= point ? 1u : 0u;
            sum = sum * 10 + (c - '0');
            too_far |= sum > INT32_MAX;
            sum = too_far ? 0 : sum;
        } else {
            too_far |= c != '0';
        }
    }
    if (r->at == from || !rtpi_dash_is_digit((uint8_t)r->at[-1]) ||
        (*from == '0' && r->at - from > 1 && from[1] != '.')) {
        return RTPUSH_DASH_MALFORMED; // "", "1.", "01"
    }
    for (; decimals > 0; decimals--) {
        sum *= 10;
        too_far |= sum > INT32_MAX;
        sum = too_far ? 0 : sum;
    }
    *value = (int32_t)(minus ? -sum : sum);
    return too_far ? (int)RTPUSH_DASH_RANGE : RTPUSH_OK;
}

// -- commands

static int rtpi_dash_commands(const rtpush_widget *w) {
    return w->kind == RTPUSH_DASH_SWITCH || w->kind == RTPUSH_DASH_SLIDER ||
           w->kind == RTPUSH_DASH_BUTTON || (w->kind == RTPUSH_DASH_TEXT && w->max > 0);
}

static int rtpi_dash_find(const rtpush_dash *dash, const char *name) {
    for (unsigned i = 0; i < dash->count; i++) {
        if (rtpi_dash_commands(&dash->widgets[i]) && strcmp(dash->widgets[i].topic, name) == 0) {
            return (int)i;
        }
    }
    return RTPUSH_DASH_UNKNOWN;
}

// The value, whatever the widget wants: what is malformed is said before what is wrong. *is_text
// says what it was.
static int rtpi_dash_value(rtpi_dash_reader *r, unsigned decimals, rtpush_command *command,
                           int *is_text) {
    rtpush_text text = rtpush_json_begin(command->text, sizeof command->text);
    *is_text = rtpi_dash_next(r) == '"';
    command->value = 0;
    if (*is_text) {
        int good = rtpi_dash_string(r, &text);
        if (good && !text.over) {
            return RTPUSH_OK;
        }
        command->text[0] = '\0';
        return good ? RTPUSH_DASH_RANGE : RTPUSH_DASH_MALFORMED;
    }
    if (rtpi_dash_take_word(r, "true")) {
        command->value = 1;
        return RTPUSH_OK;
    }
    return rtpi_dash_take_word(r, "false") ? RTPUSH_OK
                                           : rtpi_dash_number(r, decimals, &command->value);
}

static int rtpi_dash_judge(const rtpush_widget *w, const rtpush_command *command, int is_text) {
    int32_t min = w->kind == RTPUSH_DASH_SLIDER ? w->min : w->kind == RTPUSH_DASH_BUTTON;
    int32_t max = w->kind == RTPUSH_DASH_SLIDER ? w->max : 1;
    if (is_text != (w->kind == RTPUSH_DASH_TEXT)) {
        return RTPUSH_DASH_TYPE;
    }
    if (is_text ? strlen(command->text) > (size_t)w->max
                : command->value < min || command->value > max) {
        return RTPUSH_DASH_RANGE;
    }
    return RTPUSH_OK;
}

int rtpush_dash_parse(const rtpush_dash *dash, const void *data, size_t len,
                      rtpush_command *command) {
    char name[33]; // most of a topic's name is 32
    rtpush_text text = rtpush_json_begin(name, sizeof name);
    rtpi_dash_reader r;
    int found;
    int is_text;
    int error;
    r.at = (const char *)data;
    r.end = r.at + len;
    command->text[0] = '\0';
    if (!rtpi_dash_take(&r, '{') || !rtpi_dash_string(&r, &text) || !rtpi_dash_take(&r, ':')) {
        return RTPUSH_DASH_MALFORMED;
    }
    // RFC 8259 8.3: names are compared unescaped.
    found = text.over ? RTPUSH_DASH_UNKNOWN : rtpi_dash_find(dash, name);
    command->widget = found < 0 ? 0 : (unsigned)found;
    error = rtpi_dash_value(&r, found < 0 ? 0 : dash->widgets[found].decimals, command, &is_text);
    if (error == RTPUSH_DASH_MALFORMED || !rtpi_dash_take(&r, '}') || r.at < r.end) {
        return RTPUSH_DASH_MALFORMED;
    }
    if (found < 0) {
        return found;
    }
    return error ? error : rtpi_dash_judge(&dash->widgets[found], command, is_text);
}

const char *rtpush_dash_error(int error) {
    switch (error) {
    case RTPUSH_DASH_MALFORMED:
        return "not {\"name\":value}";
    case RTPUSH_DASH_UNKNOWN:
        return "no such control";
    case RTPUSH_DASH_TYPE:
        return "another type of value is needed";
    case RTPUSH_DASH_RANGE:
        return "out of range";
    default:
        return "refused by the device";
    }
}

// What is wrong in words, or NULL.
static const char *rtpi_dash_run(rtpush_server *srv, const rtpush_dash *dash, const void *data,
                                 size_t len) {
    rtpush_command command;
    int error = rtpush_dash_parse(dash, data, len, &command);
    if (!error && dash->on_command) {
        error = dash->on_command(srv, command.widget, command.value, command.text);
    } else if (!error) {
        error = RTPUSH_DASH_UNKNOWN;
    }
    return error < 0 ? rtpush_dash_error(error) : NULL;
}

#define RTPI_DASH_ANSWER_MAX 32u // bytes of a text of rtpush_dash_error

int rtpush_dash_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg,
                        const rtpush_dash *dash) {
    const char *wrong;
    // on_command is asked once, so not before the longest answer has room.
    if (rtpush_send_room(srv, conn) < RTPI_DASH_ANSWER_MAX) {
        return RTPUSH_RETRY;
    }
    // One in pieces is longer than rx_size, and no command.
    wrong = msg->first && msg->last ? rtpi_dash_run(srv, dash, msg->data, msg->len)
                                    : rtpush_dash_error(RTPUSH_DASH_MALFORMED);
    if (wrong && msg->last) {
        (void)rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, wrong, strlen(wrong));
    }
    return RTPUSH_OK;
}

void rtpush_dash_control(rtpush_server *srv, const rtpush_request *req, const rtpush_dash *dash) {
    const char *wrong = rtpi_dash_run(srv, dash, req->body, req->body_len);
    if (rtpush_reply_text(srv, req->conn, wrong ? 400 : 200, wrong ? wrong : "") < 0) {
        (void)rtpush_abort(srv, req->conn);
    }
}

// -- the table

static void rtpi_dash_put_row(rtpush_text *t, const rtpush_widget *w) {
    static const char kinds[] =
        "value\0 gauge\0 bar\0   chart\0 log\0   switch\0slider\0button\0text";
    rtpush_json(t, "{\"topic\":%q,\"label\":%q,\"kind\":%q,\"decimals\":%u", w->topic, w->label,
                kinds + w->kind * 7u, (uint32_t)w->decimals);
    rtpush_json(t, ",\"min\":");
    rtpush_json_number(t, w->min, w->decimals);
    rtpush_json(t, ",\"max\":");
    rtpush_json_number(t, w->max, w->decimals);
    if (w->unit) {
        rtpush_json(t, ",\"unit\":%q", w->unit);
    }
    if (w->group) {
        rtpush_json(t, ",\"group\":%q", w->group);
    }
    rtpush_json(t, "}");
}

// Piece i of the table: 0 the head, then a row each, then the end, whose length may change.
static void rtpi_dash_put_piece(rtpush_text *t, const rtpush_server *srv, const rtpush_dash *dash,
                                unsigned i) {
    if (i == 0) {
        rtpush_json(t, "{\"title\":%q,\"widgets\":[", dash->title);
    } else if (i <= dash->count) {
        rtpush_json(t, i > 1 ? "," : "");
        rtpi_dash_put_row(t, &dash->widgets[i - 1]);
    } else {
        rtpush_json(t, "],\"now\":%u}", rtpush_now_ms(srv));
    }
}

// Whole pieces only, so that no place inside one need be remembered: `offset` is where one begins,
// and those before it are printed again to find it.
static int rtpi_dash_pull(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                          uint8_t *buf, size_t cap) {
    const rtpush_dash *dash = (const rtpush_dash *)user;
    rtpush_text t = rtpush_json_begin(buf, cap);
    (void)conn;
    for (unsigned i = 0; i < dash->count + 2; i++) {
        uint32_t len = t.len;
        rtpi_dash_put_piece(&t, srv, dash, i);
        if (t.over) {
            return len > 0 ? (int)len : RTPUSH_RETRY; // more room comes, or reply_ms ends it
        }
        if (offset > 0) {
            offset -= t.len < offset ? t.len : offset;
            t.len = 0;
        }
    }
    return (int)t.len;
}

void rtpush_dash_table(rtpush_server *srv, const rtpush_request *req, const rtpush_dash *dash) {
    rtpush_response response;
    int error = 0;
    for (unsigned i = 0; i < dash->count; i++) {
        const rtpush_widget *w = &dash->widgets[i];
        error |= w->kind > RTPUSH_DASH_TEXT || w->decimals > 9 ||
                 (w->kind != RTPUSH_DASH_BUTTON && rtpush_topic_index(srv, w->topic) < 0);
    }
    memset(&response, 0, sizeof response);
    response.content_type = "application/json";
    response.pull = rtpi_dash_pull;
    response.user = (void *)(uintptr_t)dash;
    error = error ? rtpush_reply_text(srv, req->conn, 500, "a widget has no topic, or a wrong kind")
                  : rtpush_reply(srv, req->conn, &response);
    if (error < 0) {
        (void)rtpush_abort(srv, req->conn);
    }
}

// -- publishing

static int rtpi_dash_publish(rtpush_server *srv, const rtpush_dash *dash, unsigned widget,
                             const rtpush_text *t) {
    int topic = widget < dash->count ? rtpush_topic_index(srv, dash->widgets[widget].topic)
                                     : RTPUSH_ERR_ARGUMENT;
    return topic < 0 ? topic
           : t->over ? RTPUSH_ERR_TOO_BIG
                     : rtpush_publish(srv, (unsigned)topic, t->data, t->len);
}

static unsigned rtpi_dash_decimals(const rtpush_dash *dash, unsigned widget) {
    return widget < dash->count ? dash->widgets[widget].decimals : 0u;
}

int rtpush_dash_set(rtpush_server *srv, const rtpush_dash *dash, unsigned widget, int32_t value) {
    char out[16];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json_number(&t, value, rtpi_dash_decimals(dash, widget));
    return rtpi_dash_publish(srv, dash, widget, &t);
}

int rtpush_dash_text(rtpush_server *srv, const rtpush_dash *dash, unsigned widget,
                     const char *text) {
    char out[102];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json_string(&t, text, strlen(text));
    return rtpi_dash_publish(srv, dash, widget, &t);
}

int rtpush_dash_point(rtpush_server *srv, const rtpush_dash *dash, unsigned widget, int32_t value) {
    char out[32];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "[%u,", rtpush_now_ms(srv));
    rtpush_json_number(&t, value, rtpi_dash_decimals(dash, widget));
    rtpush_json(&t, "]");
    return rtpi_dash_publish(srv, dash, widget, &t);
}

int rtpush_dash_log(rtpush_server *srv, const rtpush_dash *dash, unsigned widget, const char *level,
                    const char *text) {
    char out[170];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "[%u,%q,%q]", rtpush_now_ms(srv), level, text);
    return rtpi_dash_publish(srv, dash, widget, &t);
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_DASH_IMPLEMENTED
#endif // RTPUSH_DASH_IMPLEMENTATION

// MIT-0 or public domain (Unlicense), your choice: the text is at the end of rtpush.h.
