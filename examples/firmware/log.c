// See log.h.

#include "log.h"

#include "../dashboard/text.h"
#include "board.h"
#include "startup.h"

void log_uart(const char *format, ...) {
    char line[128];
    text t = {line, sizeof line, 0};
    const uint32_t now_ms = clock_ms();
    va_list args;
    va_start(args, format);
    text_add(&t, "[%u.%u%u%u] ", now_ms / 1000u, now_ms / 100u % 10u, now_ms / 10u % 10u,
             now_ms % 10u);
    text_add_list(&t, format, args);
    va_end(args);
    const size_t len = text_fits(&t) ? t.len : t.cap;
    for (size_t i = 0; i < len; i++) {
        board_put(line[i]);
    }
    board_put('\n');
}
