// Text into memory of fixed size. printf would do, but a microcontroller's pulls in the heap, or
// kilobytes of stack, or cannot print 64 bits; this is what the dashboard needs of it.

#ifndef TEXT_H
#define TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct text {
    char *out; // not terminated
    size_t cap;
    size_t len; // beyond cap: it did not fit
} text;

// %s string             %q string as JSON, quotes included     %x uint32_t, 8 hexadecimal digits
// %u uint32_t           %U uint64_t                            %t int32_t of tenths, "-12.3"
// %h uint32_t of hundredths, "0.07"
void text_add(text *t, const char *format, ...);
void text_add_list(text *t, const char *format, va_list args);

// 1 if everything fitted.
int text_fits(const text *t);

#endif
