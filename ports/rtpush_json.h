// rtpush_json.h - v0.1 - rtpush.h: JSON into fixed memory - MIT-0 or public domain
//
// Writes JSON (RFC 8259) on the text writer of rtpush.h: into the log itself (rtpush_reserve) or
// into a buffer of yours. No printf, no heap, no floating point, no memory of its own; 1.0 KB of
// flash if all of it is used (Cortex-M3, gcc 12 -Os), and a linker that collects sections keeps
// only what is called.
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     #define RTPUSH_JSON_IMPLEMENTATION
//     #include "rtpush_json.h"     #include "rtpush_json.h"
//
// QUICK START
//     char out[64];
//     rtpush_text t = rtpush_json_begin(out, sizeof out);
//     rtpush_json(&t, "{\"name\":%q,\"celsius\":%1,\"alarm\":%b}", name, tenths, tenths > 800);
//     if (!t.over) rtpush_publish(&srv, TEMP, out, t.len); // {"name":"oven","celsius":21.5,...
//
//     rtpush_json_event(&srv, SAMPLE, 64, "[%U,%1]", up_ms, tenths); // straight into the log
//
// FORMATS
//     %q   a string of JSON with its quotes, NULL is null
//     %s   a text as it is: JSON that is already encoded
//     %u   uint32_t      %d   int32_t      %U   uint64_t      %x   uint32_t, 8 hexadecimal digits
//     %0 to %9           int32_t with that many decimals: -15 by %1 is -1.5
//     %b   int: true or false              %%   a percent sign
//     Arguments must have exactly these types: cast others, as with printf. The rest of the format
//     is not checked: quotes, commas and brackets are yours.
//
// STRINGS
//     RFC 8259 7      '"', '\' and the controls below U+0020 are escaped, and nothing else
//     RFC 8259 8.1    the output is UTF-8: a byte of a string that is not part of a valid character
//                     becomes U+FFFD, so that any memory may be printed and any parser accepts it

#ifndef RTPUSH_JSON_H
#define RTPUSH_JSON_H

#ifndef RTPUSH_H
#error "include rtpush.h before rtpush_json.h"
#endif

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

// A writer over `size` bytes. It writes no NUL, and never past the end. If something does not fit,
// `over` is set, the part that fits is written, and nothing after it.
static inline rtpush_text rtpush_json_begin(void *memory, size_t size) {
    rtpush_text text;
    text.data = (uint8_t *)memory;
    text.cap = (uint32_t)size;
    text.len = 0;
    text.over = 0;
    return text;
}

void rtpush_json(rtpush_text *text, const char *format, ...);
void rtpush_json_list(rtpush_text *text, const char *format, va_list args);

// The functions behind the formats.
void rtpush_json_string(rtpush_text *text, const void *data, size_t len);     // with its quotes
void rtpush_json_number(rtpush_text *text, int32_t value, unsigned decimals); // 0 to 9
void rtpush_json_unsigned(rtpush_text *text, uint64_t value);

// One event of an EVENT topic, written directly into the log; it may have up to `most` bytes. Loop
// context. RTPUSH_OK; ERR_FULL: no room, as of rtpush_reserve; ERR_TOO_BIG: it was longer, and
// nothing is published. The other two functions do it in steps: a writer over the reserved room,
// and the end of it. If there is no room, the writer takes nothing and commit returns the error.
rtpush_text rtpush_json_reserve(rtpush_server *srv, unsigned topic, size_t most);
int rtpush_json_commit(rtpush_server *srv, const rtpush_text *text);
int rtpush_json_event(rtpush_server *srv, unsigned topic, size_t most, const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_JSON_H

#ifdef RTPUSH_JSON_IMPLEMENTATION
#ifndef RTPUSH_JSON_IMPLEMENTED
#define RTPUSH_JSON_IMPLEMENTED

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Writes as much as fits: the beginning of a log line that is too long is still useful.
static void rtpi_json_put(rtpush_text *t, const void *data, size_t len) {
    size_t room = t->cap - t->len;
    rtpush_text_put(t, data, len < room ? len : room);
    if (len > room) {
        t->over = 1;
    }
}

static void rtpi_json_put_text(rtpush_text *t, const char *text) {
    rtpi_json_put(t, text, strlen(text));
}

// Bytes of the character at the begin of `data`, 0 if it is not valid (RFC 3629 4).
static size_t rtpi_json_character(const uint8_t *data, size_t len) {
    size_t n = 1;
    while (n < len && n < 4 && (data[n] & 0xC0u) == 0x80u && data[0] >= 0xC0) {
        n++;
    }
    for (; n > 0; n--) {
        if (rtpush_utf8(0, data, n) == 0) {
            return n;
        }
    }
    return 0;
}

static void rtpi_json_escape(rtpush_text *t, uint8_t byte) {
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    char escaped[6] = {'\\', 'u', '0', '0', '0', '0'};
    for (size_t i = 0; i < sizeof letters - 1; i += 2) {
        if ((uint8_t)letters[i] == byte) {
            escaped[1] = letters[i + 1];
            rtpi_json_put(t, escaped, 2);
            return;
        }
    }
    escaped[4] = (char)('0' + (byte >> 4));
    escaped[5] = "0123456789abcdef"[byte & 15u];
    rtpi_json_put(t, escaped, 6);
}

void rtpush_json_string(rtpush_text *text, const void *data, size_t len) {
    const uint8_t *at = (const uint8_t *)data;
    rtpi_json_put(text, "\"", 1);
    while (len > 0 && !text->over) {
        size_t n = rtpi_json_character(at, len);
        if (n == 0) {
            rtpi_json_put(text, "\xEF\xBF\xBD", 3); // U+FFFD
            n = 1;
        } else if (*at < 0x20 || *at == '"' || *at == '\\') {
            rtpi_json_escape(text, *at);
        } else {
            rtpi_json_put(text, at, n);
        }
        at += n;
        len -= n;
    }
    rtpi_json_put(text, "\"", 1);
}

// With a point before the last `decimals` digits, and at least one digit before that.
static void rtpi_json_digits(rtpush_text *t, uint64_t value, unsigned decimals) {
    char digits[21]; // 2^64 - 1 has 20, and a point
    unsigned i = sizeof digits;
    unsigned written = 0;
    do {
        if (written == decimals && decimals > 0) {
            digits[--i] = '.';
        }
        digits[--i] = (char)('0' + (unsigned)(value % 10u));
        value /= 10u;
        written++;
    } while (value > 0 || written <= decimals);
    rtpi_json_put(t, digits + i, sizeof digits - i);
}

void rtpush_json_unsigned(rtpush_text *text, uint64_t value) {
    rtpi_json_digits(text, value, 0);
}

void rtpush_json_number(rtpush_text *text, int32_t value, unsigned decimals) {
    if (value < 0) {
        rtpi_json_put(text, "-", 1);
    }
    rtpi_json_digits(text, value < 0 ? 0u - (uint32_t)value : (uint32_t)value,
                     decimals < 9 ? decimals : 9);
}

static void rtpi_json_null_or_string(rtpush_text *t, const char *string) {
    if (string) {
        rtpush_json_string(t, string, strlen(string));
    } else {
        rtpi_json_put_text(t, "null");
    }
}

static void rtpi_json_hex(rtpush_text *t, uint32_t value) {
    uint8_t digits[8];
    rtpush_text hex = rtpush_json_begin(digits, sizeof digits);
    rtpush_text_hex(&hex, value);
    rtpi_json_put(t, digits, sizeof digits);
}

void rtpush_json_list(rtpush_text *text, const char *format, va_list args) {
    while (*format != '\0') {
        size_t plain = strcspn(format, "%");
        rtpi_json_put(text, format, plain);
        format += plain;
        if (*format == '\0' || *++format == '\0') {
            return;
        }
        switch (*format) {
        case 'q':
            rtpi_json_null_or_string(text, va_arg(args, const char *));
            break;
        case 's':
            rtpi_json_put_text(text, va_arg(args, const char *));
            break;
        case 'u':
            rtpush_json_unsigned(text, va_arg(args, uint32_t));
            break;
        case 'U':
            rtpush_json_unsigned(text, va_arg(args, uint64_t));
            break;
        case 'd':
            rtpush_json_number(text, va_arg(args, int32_t), 0);
            break;
        case 'x':
            rtpi_json_hex(text, va_arg(args, uint32_t));
            break;
        case 'b':
            rtpi_json_put_text(text, va_arg(args, int) ? "true" : "false");
            break;
        case '%':
            rtpi_json_put(text, format, 1);
            break;
        default: // a digit
            rtpush_json_number(text, va_arg(args, int32_t), (unsigned)(*format - '0'));
            break;
        }
        format++;
    }
}

void rtpush_json(rtpush_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    rtpush_json_list(text, format, args);
    va_end(args);
}

rtpush_text rtpush_json_reserve(rtpush_server *srv, unsigned topic, size_t most) {
    rtpush_text text = rtpush_json_begin(rtpush_reserve(srv, topic, most), most);
    if (!text.data) {
        text.cap = 0;
    }
    return text;
}

int rtpush_json_commit(rtpush_server *srv, const rtpush_text *text) {
    if (!text->data) {
        return RTPUSH_ERR_FULL;
    }
    // More than was reserved makes the record void, ERR_TOO_BIG: half of it is no JSON.
    return rtpush_commit(srv, text->over ? (size_t)text->cap + 1 : text->len);
}

int rtpush_json_event(rtpush_server *srv, unsigned topic, size_t most, const char *format, ...) {
    va_list args;
    rtpush_text text = rtpush_json_reserve(srv, topic, most);
    va_start(args, format);
    rtpush_json_list(&text, format, args);
    va_end(args);
    return rtpush_json_commit(srv, &text);
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_JSON_IMPLEMENTED
#endif // RTPUSH_JSON_IMPLEMENTATION

// MIT-0 or public domain (Unlicense), your choice: the text is at the end of rtpush.h.
