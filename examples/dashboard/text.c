// See text.h.

#include "text.h"

static void add_char(text *t, char c) {
    if (t->len < t->cap) {
        t->out[t->len] = c;
    }
    t->len++;
}

static void add_string(text *t, const char *string) {
    for (; *string != '\0'; string++) {
        add_char(t, *string);
    }
}

// What is not plain ASCII becomes '?': these are names of machines and sensors.
static void add_quoted(text *t, const char *string) {
    add_char(t, '"');
    for (; *string != '\0'; string++) {
        const char c = *string;
        if (c == '"' || c == '\\') {
            add_char(t, '\\');
        }
        add_char(t, c >= 0x20 && c < 0x7F ? c : '?');
    }
    add_char(t, '"');
}

// At least `least` digits.
static void add_number(text *t, uint64_t value, int least) {
    char digits[20]; // 2^64 - 1 has 20
    int count = 0;
    while (value > 0 || count < least) {
        digits[count++] = (char)('0' + (int)(value % 10u));
        value /= 10u;
    }
    while (count > 0) {
        add_char(t, digits[--count]);
    }
}

static void add_hex(text *t, uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) {
        add_char(t, "0123456789abcdef"[value >> shift & 0xFu]);
    }
}

static void add_tenths(text *t, int32_t tenths) {
    const uint32_t size = tenths < 0 ? 0u - (uint32_t)tenths : (uint32_t)tenths;
    if (tenths < 0) {
        add_char(t, '-');
    }
    add_number(t, size / 10u, 1);
    add_char(t, '.');
    add_number(t, size % 10u, 1);
}

static void add_hundredths(text *t, uint32_t hundredths) {
    add_number(t, hundredths / 100u, 1);
    add_char(t, '.');
    add_number(t, hundredths % 100u, 2);
}

void text_add_list(text *t, const char *format, va_list args) {
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            add_char(t, *format);
            continue;
        }
        format++;
        switch (*format) {
        case 's': add_string(t, va_arg(args, const char *)); break;
        case 'q': add_quoted(t, va_arg(args, const char *)); break;
        case 'x': add_hex(t, va_arg(args, uint32_t)); break;
        case 'u': add_number(t, va_arg(args, uint32_t), 1); break;
        case 'U': add_number(t, va_arg(args, uint64_t), 1); break;
        case 't': add_tenths(t, va_arg(args, int32_t)); break;
        case 'h': add_hundredths(t, va_arg(args, uint32_t)); break;
        default: add_char(t, *format); break; // "%%"
        }
    }
}

void text_add(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    text_add_list(t, format, args);
    va_end(args);
}

int text_fits(const text *t) {
    return t->len <= t->cap;
}
