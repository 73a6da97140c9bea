// client.h - the client: reads every byte the server sends and refuses what a standard forbids.
//
// One t_client reads one connection byte by byte: HTTP/1.1 answers (RFC 9112), an event stream
// (WHATWG HTML 9.2.6), WebSocket frames (RFC 6455 5). It is strict: a byte that a careful client
// would not accept fails the test at once, so every prefix of what is sent must parse.

#ifndef T_CLIENT_H
#define T_CLIENT_H

#include "harness.h"

enum {
    T_CL_HEAD,
    T_CL_LENGTH,
    T_CL_SIZE,
    T_CL_CHUNK,
    T_CL_CHUNK_CR,
    T_CL_CHUNK_LF,
    T_CL_TRAILER,
    T_CL_CLOSE,
    T_CL_FRAMES
};

typedef struct t_event { // one block of an event stream, or one rtpush.1 message
    char id[64];
    int has_id;
    char name[64];
    const uint8_t *data;
    size_t len;
    int has_data;
} t_event;

typedef struct t_client t_client;
struct t_client {
    void *user;
    // Called with each thing read; any may be NULL.
    void (*on_answer)(t_client *cl); // a whole answer: status, head, body
    void (*on_event)(t_client *cl, const t_event *ev);
    void (*on_comment)(t_client *cl);
    void (*on_frame)(t_client *cl, int fin, int opcode, const uint8_t *data, size_t len);
    void (*on_message)(t_client *cl, int opcode, const uint8_t *data, size_t len);

    int step;
    int head_only; // the request was HEAD
    t_buf head;    // status line and fields, with CRLFs
    int status;
    t_buf body;    // of the answer under way, or the last
    uint64_t left; // of Content-Length or chunk
    t_buf line;    // chunk size or trailer
    int answers;   // whole answers read
    int interim;   // 1xx answers read

    int sse; // the body is an event stream
    t_buf sse_line;
    t_buf sse_data;
    t_event event;
    int sse_cr;
    int sse_bom;
    unsigned long retry; // last retry: value
    int retry_count;
    int event_count;

    t_buf frame;
    t_buf message;
    int message_opcode; // under way, 0 none
    int closed;         // a Close frame was read
    int close_code;     // its code, 1005 none
    t_buf close_reason;
    int frame_count;
};

// -- UTF-8 (RFC 3629 4): the plain way, to compare with -------------------------------------------

static int t_utf8_valid(const uint8_t *s, size_t len) {
    for (size_t i = 0; i < len;) {
        uint32_t c = s[i];
        unsigned more = c < 0x80             ? 0
                        : (c & 0xE0) == 0xC0 ? 1
                        : (c & 0xF0) == 0xE0 ? 2
                        : (c & 0xF8) == 0xF0 ? 3
                                             : 9;
        static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
        if (more == 9 || len - i <= more) {
            return 0;
        }
        c &= more == 0 ? 0x7Fu : 0x3Fu >> more;
        for (unsigned k = 1; k <= more; k++) {
            if ((s[i + k] & 0xC0) != 0x80) {
                return 0;
            }
            c = c << 6 | (s[i + k] & 0x3Fu);
        }
        if (c < least[more] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
            return 0;
        }
        i += more + 1;
    }
    return 1;
}

// -- HTTP -----------------------------------------------------------------------------------------

static int t_lower(int c) {
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static int t_same_word(const char *a, const char *b, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (t_lower((unsigned char)a[i]) != t_lower((unsigned char)b[i])) {
            return 0;
        }
    }
    return 1;
}

// The value of a field in a head ("" if empty), copied to a static place; NULL if absent.
static const char *t_field_of(const char *head, const char *name) {
    static char value[4][512];
    static unsigned turn;
    size_t len = strlen(name);
    for (const char *p = strstr(head, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
        p += 2;
        if (t_same_word(p, name, strlen(p) < len ? strlen(p) + 1 : len) && p[len] == ':') {
            const char *v = p + len + 1;
            size_t n = 0;
            char *out = value[turn++ % 4];
            while (*v == ' ') {
                v++;
            }
            while (v[n] != '\r' && v[n] != 0 && n < 511) {
                out[n] = v[n];
                n++;
            }
            out[n] = 0;
            return out;
        }
    }
    return NULL;
}

static const char *t_field(const t_client *cl, const char *name) {
    return t_field_of(t_text(&cl->head), name);
}

static int t_field_is(const t_client *cl, const char *name, const char *value) {
    const char *found = t_field(cl, name);
    return found != NULL && strlen(found) == strlen(value) &&
           t_same_word(found, value, strlen(value));
}

static void t_check_head(const t_client *cl) {
    const char *head = t_text(&cl->head);
    static const char *const single[] = {
        "Content-Length", "Transfer-Encoding",    "Content-Type", "Connection",
        "Upgrade",        "Sec-WebSocket-Accept", "ETag",         "Cache-Control"};
    T_CHECK(strlen(head) == cl->head.len, "NUL in an answer's head");
    T_CHECK(strncmp(head, "HTTP/1.1 ", 9) == 0, "the status line is not HTTP/1.1: %.20s", head);
    T_CHECK(head[9] >= '1' && head[9] <= '5' && head[12] == ' ', "bad status line: %.40s", head);
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        int count = 0;
        for (const char *p = strstr(head, "\r\n"); p != NULL; p = strstr(p + 2, "\r\n")) {
            size_t len = strlen(single[i]);
            count += t_same_word(p + 2, single[i], strlen(p + 2) < len ? 1 : len) &&
                     strlen(p + 2) > len && p[2 + len] == ':';
        }
        T_CHECK(count <= 1, "field %s given %d times", single[i], count);
    }
    for (const char *p = head; *p != 0; p++) { // RFC 9112 2.2: no bare CR or LF
        T_CHECK(*p != '\n' || p[-1] == '\r', "bare LF in a head");
        T_CHECK(*p != '\r' || p[1] == '\n', "bare CR in a head");
    }
    for (const char *p = strstr(head, "\r\n"); p != NULL && p[2] != '\r';
         p = strstr(p + 2, "\r\n")) {
        size_t name = strcspn(p + 2, ":\r\n ");
        T_CHECK(name > 0 && p[2 + name] == ':', "a field line without a name: %.30s", p + 2);
    }
}

static void t_answer_done(t_client *cl) {
    cl->answers++;
    cl->step = T_CL_HEAD;
    if (cl->on_answer != NULL) {
        cl->on_answer(cl);
    }
}

// RFC 9112 6.3: where the body ends.
static void t_head_done(t_client *cl) {
    t_check_head(cl);
    cl->status = atoi(t_text(&cl->head) + 9);
    cl->body.len = 0;
    t_put(&cl->body, "", 0);
    const char *coding = t_field(cl, "Transfer-Encoding");
    const char *length = t_field(cl, "Content-Length");
    const char *type = t_field(cl, "Content-Type");
    T_CHECK(coding == NULL || length == NULL, "both Transfer-Encoding and Content-Length");
    cl->sse = type != NULL && strncmp(type, "text/event-stream", 17) == 0;
    if (cl->status == 101) {
        T_CHECK(coding == NULL && length == NULL, "a body announced on 101");
        cl->step = T_CL_FRAMES;
        cl->answers++;
        if (cl->on_answer != NULL) {
            cl->on_answer(cl);
        }
    } else if (cl->status < 200) {
        cl->interim++;
        cl->step = T_CL_HEAD;
    } else if (cl->head_only || cl->status == 204 || cl->status == 304) {
        T_CHECK(cl->status != 204 || (coding == NULL && length == NULL),
                "RFC 9110 8.6: no Content-Length with 204");
        t_answer_done(cl);
    } else if (coding != NULL) {
        T_CHECK(strcmp(coding, "chunked") == 0, "Transfer-Encoding: %s", coding);
        cl->step = T_CL_SIZE;
        cl->line.len = 0;
    } else if (length != NULL) {
        T_CHECK(*length >= '0' && *length <= '9', "Content-Length: %s", length);
        cl->left = strtoul(length, NULL, 10);
        cl->step = T_CL_LENGTH;
        if (cl->left == 0) {
            t_answer_done(cl);
        }
    } else {
        T_CHECK(t_field_is(cl, "Connection", "close"),
                "a body that ends at close without Connection: close");
        cl->step = T_CL_CLOSE;
    }
}

// -- event stream (WHATWG HTML 9.2.6) -------------------------------------------------------------

static void t_sse_dispatch(t_client *cl) {
    t_event *ev = &cl->event;
    if (!ev->has_data && !ev->has_id && ev->name[0] == 0) {
        return; // an empty block: end of a comment
    }
    if (cl->sse_data.len > 0) {
        cl->sse_data.len--; // the last line end
        cl->sse_data.data[cl->sse_data.len] = 0;
    }
    T_CHECK(t_utf8_valid(cl->sse_data.data, cl->sse_data.len), "the event's data is not UTF-8");
    ev->data = cl->sse_data.data;
    ev->len = cl->sse_data.len;
    cl->event_count++;
    if (cl->on_event != NULL) {
        cl->on_event(cl, ev);
    }
    cl->sse_data.len = 0;
    memset(ev, 0, sizeof *ev);
}

static void t_sse_line(t_client *cl) {
    const char *line = t_text(&cl->sse_line);
    size_t len = cl->sse_line.len;
    if (len == 0) {
        t_sse_dispatch(cl);
        return;
    }
    const char *colon = (const char *)memchr(line, ':', len);
    if (colon == line) {
        if (cl->on_comment != NULL) {
            cl->on_comment(cl);
        }
        return;
    }
    // Only a keep-alive has fields without a space or, for data, a colon: its data is empty.
    int alive = strcmp(line, "event:rtpush") == 0 ||
                (strcmp(cl->event.name, "rtpush") == 0 && !cl->sse_data.len);
    if (alive && strcmp(line, "data") == 0) {
        cl->event.has_data = 1;
        return;
    }
    T_CHECK(colon != NULL, "a field without a colon in the event stream: %.40s", line);
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1;
    // Everything else has one space; without it a leading space of the data would be lost.
    T_CHECK(*value == ' ' || (alive && line[0] != 'd'), "no space after the colon: %.40s", line);
    value += *value == ' ';
    size_t value_len = len - (size_t)(value - line);
    if (name == 4 && memcmp(line, "data", 4) == 0) {
        cl->event.has_data = 1;
        t_put(&cl->sse_data, value, value_len);
        t_puts(&cl->sse_data, "\n");
    } else if (name == 5 && memcmp(line, "event", 5) == 0) {
        T_CHECK(value_len > 0 && value_len < sizeof cl->event.name, "event name: %s", value);
        snprintf(cl->event.name, sizeof cl->event.name, "%s", value);
    } else if (name == 2 && memcmp(line, "id", 2) == 0) {
        T_CHECK(value_len < sizeof cl->event.id && strlen(value) == value_len, "id: %s", value);
        snprintf(cl->event.id, sizeof cl->event.id, "%s", value);
        cl->event.has_id = 1;
    } else if (name == 5 && memcmp(line, "retry", 5) == 0) {
        T_CHECK(value_len > 0 && strspn(value, "0123456789") == value_len, "retry: %s", value);
        cl->retry = strtoul(value, NULL, 10);
        cl->retry_count++;
    } else {
        T_FAIL("unknown field in the event stream: %.40s", line);
    }
}

static void t_sse_byte(t_client *cl, uint8_t byte) {
    if (byte == '\n' && cl->sse_cr) {
        cl->sse_cr = 0;
        return;
    }
    cl->sse_cr = byte == '\r';
    if (byte == '\r' || byte == '\n') {
        t_sse_line(cl);
        cl->sse_line.len = 0;
        t_put(&cl->sse_line, "", 0);
    } else {
        t_put(&cl->sse_line, &byte, 1);
    }
}

// -- WebSocket (RFC 6455 5, server to client) -----------------------------------------------------

static void t_close_frame(t_client *cl, const uint8_t *data, size_t len) {
    T_CHECK(len != 1, "RFC 6455 5.5.1: a Close body of one byte");
    cl->closed = 1;
    cl->close_code = 1005;
    if (len >= 2) {
        cl->close_code = data[0] << 8 | data[1];
        int code = cl->close_code;
        T_CHECK((code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
                    (code >= 3000 && code <= 4999),
                "RFC 6455 7.4: close code %d must not be sent", code);
        T_CHECK(t_utf8_valid(data + 2, len - 2), "RFC 6455 5.5.1: the reason is not UTF-8");
        cl->close_reason.len = 0;
        t_put(&cl->close_reason, data + 2, len - 2);
    }
}

static void t_frame_done(t_client *cl, int first, const uint8_t *data, size_t len) {
    int opcode = first & 15;
    int fin = first >> 7;
    cl->frame_count++;
    if (opcode >= 8) {
        T_CHECK(fin && len <= 125, "RFC 6455 5.5: control frame fragmented or too long");
    }
    if (cl->on_frame != NULL) {
        cl->on_frame(cl, fin, opcode, data, len);
    }
    if (opcode == 8) {
        t_close_frame(cl, data, len);
        return;
    }
    if (opcode == 9 || opcode == 10) {
        return;
    }
    if (opcode == 0) {
        T_CHECK(cl->message_opcode != 0, "RFC 6455 5.4: continuation of nothing");
    } else {
        T_CHECK(cl->message_opcode == 0, "RFC 6455 5.4: a message inside a message");
        cl->message_opcode = opcode;
        cl->message.len = 0;
    }
    t_put(&cl->message, data, len);
    if (fin) {
        T_CHECK(cl->message_opcode != 1 || t_utf8_valid(cl->message.data, cl->message.len),
                "RFC 6455 8.1: a text message that is not UTF-8");
        int kind = cl->message_opcode;
        cl->message_opcode = 0;
        if (cl->on_message != NULL) {
            cl->on_message(cl, kind, cl->message.data, cl->message.len);
        }
    }
}

static void t_frame_byte(t_client *cl, uint8_t byte) {
    T_CHECK(!cl->closed, "RFC 6455 5.5.1: bytes after a Close frame");
    t_put(&cl->frame, &byte, 1);
    const uint8_t *f = cl->frame.data;
    size_t have = cl->frame.len;
    int opcode = f[0] & 15;
    T_CHECK((f[0] & 0x70) == 0, "RFC 6455 5.2: a reserved bit is set");
    T_CHECK(opcode <= 2 || (opcode >= 8 && opcode <= 10), "RFC 6455 5.2: opcode %d", opcode);
    if (have < 2) {
        return;
    }
    T_CHECK((f[1] & 0x80) == 0, "RFC 6455 5.1: a server must not mask");
    size_t head = f[1] == 126 ? 4 : f[1] == 127 ? 10 : 2;
    if (have < head) {
        return;
    }
    uint64_t len = f[1];
    if (head > 2) {
        len = 0;
        for (size_t i = 2; i < head; i++) {
            len = len << 8 | f[i];
        }
        T_CHECK(len >= (head == 4 ? 126u : 65536u), "RFC 6455 5.2: length not in minimal form");
    }
    if (have == head + len) {
        cl->frame.len = 0;
        t_frame_done(cl, f[0], f + head, (size_t)len);
    }
}

// -- all of it ------------------------------------------------------------------------------------

static void t_body_byte(t_client *cl, uint8_t byte) {
    t_put(&cl->body, &byte, 1);
    if (cl->sse) {
        t_sse_byte(cl, byte);
    }
}

static void t_chunk_size(t_client *cl) {
    const char *line = t_text(&cl->line);
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    T_CHECK(digits > 0 && line[digits] == '\r', "chunk size: %.20s", line);
    cl->left = strtoul(line, NULL, 16);
    cl->step = cl->left > 0 ? T_CL_CHUNK : T_CL_TRAILER;
    cl->line.len = 0;
}

static void t_client_byte(t_client *cl, uint8_t byte) {
    switch (cl->step) {
    case T_CL_HEAD:
        if (cl->head.len >= 4 && memcmp(cl->head.data + cl->head.len - 4, "\r\n\r\n", 4) == 0) {
            cl->head.len = 0; // the last answer's
        }
        t_put(&cl->head, &byte, 1);
        if (cl->head.len >= 4 && memcmp(cl->head.data + cl->head.len - 4, "\r\n\r\n", 4) == 0) {
            t_head_done(cl);
        }
        break;
    case T_CL_LENGTH:
        t_body_byte(cl, byte);
        if (--cl->left == 0) {
            t_answer_done(cl);
        }
        break;
    case T_CL_SIZE:
        t_put(&cl->line, &byte, 1);
        if (byte == '\n') {
            t_chunk_size(cl);
        }
        break;
    case T_CL_CHUNK:
        t_body_byte(cl, byte);
        if (--cl->left == 0) {
            cl->step = T_CL_CHUNK_CR;
        }
        break;
    case T_CL_CHUNK_CR:
        T_CHECK(byte == '\r', "no CR after a chunk");
        cl->step = T_CL_CHUNK_LF;
        break;
    case T_CL_CHUNK_LF:
        T_CHECK(byte == '\n', "no LF after a chunk");
        cl->step = T_CL_SIZE;
        break;
    case T_CL_TRAILER:
        t_put(&cl->line, &byte, 1);
        if (cl->line.len == 2) {
            T_CHECK(memcmp(cl->line.data, "\r\n", 2) == 0, "a trailer, or no CRLF at the end");
            t_answer_done(cl);
        }
        break;
    case T_CL_CLOSE:
        t_body_byte(cl, byte);
        break;
    default:
        t_frame_byte(cl, byte);
        break;
    }
}

// Reads what came since the last call.
static void t_client_read(t_client *cl, t_conn *c) {
    t_buf out = c->out; // callbacks may feed the connection
    memset(&c->out, 0, sizeof c->out);
    for (size_t i = 0; i < out.len; i++) {
        t_client_byte(cl, out.data[i]);
    }
    t_buf_free(&out);
}

// The connection ended in order: a body that ends at close is whole now.
static void t_client_end(t_client *cl) {
    if (cl->step == T_CL_CLOSE) {
        t_answer_done(cl);
    }
}

static void t_client_free(t_client *cl) {
    t_buf_free(&cl->head);
    t_buf_free(&cl->body);
    t_buf_free(&cl->line);
    t_buf_free(&cl->sse_line);
    t_buf_free(&cl->sse_data);
    t_buf_free(&cl->frame);
    t_buf_free(&cl->message);
    t_buf_free(&cl->close_reason);
    memset(cl, 0, sizeof *cl);
}

// -- what a client sends --------------------------------------------------------------------------

// One masked frame (RFC 6455 5.2), appended. first: FIN, RSV and opcode.
static void t_frame(t_buf *out, int first, const void *data, size_t len) {
    static const uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D}; // section 5.7 of RFC 6455
    uint8_t head[14];
    size_t n = 0;
    head[n++] = (uint8_t)first;
    if (len < 126) {
        head[n++] = (uint8_t)(0x80 | len);
    } else if (len < 65536) {
        head[n++] = 0x80 | 126;
        head[n++] = (uint8_t)(len >> 8);
        head[n++] = (uint8_t)len;
    } else {
        head[n++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) {
            head[n++] = (uint8_t)((uint64_t)len >> shift);
        }
    }
    memcpy(head + n, key, 4);
    t_put(out, head, n + 4);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)(((const uint8_t *)data)[i] ^ key[i & 3]);
        t_put(out, &byte, 1);
    }
}

static void t_send_frame(t_conn *c, int first, const void *data, size_t len) {
    t_buf out = {0};
    t_frame(&out, first, data, len);
    t_feed(c, out.data, out.len);
    t_buf_free(&out);
}

static void t_send_text(t_conn *c, const char *text) {
    t_send_frame(c, 0x81, text, strlen(text));
}

static void t_send_close(t_conn *c, int code, const char *reason) {
    uint8_t body[125];
    size_t len = strlen(reason);
    body[0] = (uint8_t)(code >> 8);
    body[1] = (uint8_t)code;
    memcpy(body + 2, reason, len);
    t_send_frame(c, 0x88, body, len + 2);
}

#endif // T_CLIENT_H
