// See log.h.

#include "log.h"

#include "ports/rtpush_json.h"

#include "board.h"
#include "startup.h"

enum { REFUSED_LINES = 5 }; // in a second

void log_uart(const char *format, ...) {
    char line[128];
    rtpush_text t = rtpush_json_begin(line, sizeof line);
    const uint32_t now_ms = clock_ms();
    va_list args;
    va_start(args, format);
    rtpush_json(&t, "[%u.%u%u%u] ", now_ms / 1000u, now_ms / 100u % 10u, now_ms / 10u % 10u,
                now_ms % 10u);
    rtpush_json_list(&t, format, args);
    va_end(args);
    for (size_t i = 0; i < t.len; i++) {
        board_put(line[i]);
    }
    board_put('\n');
}

void log_boot(const char *what) {
    log_uart("%s on %s, %s", what, board_name, board_model);
    log_uart("ram %u: static %u, stack %u, free %u", (uint32_t)(ram_end - ram_start),
             (uint32_t)(static_end - stack_top), (uint32_t)(stack_top - stack_bottom),
             (uint32_t)(ram_end - static_end) - (uint32_t)sizeof(keep));
}

// Sending a line takes time: of many refusals in a second only the number is printed. Otherwise a
// client that is refused often would delay the loop.
void log_refused(rtpush_server *srv, uint32_t peer, int status, int why) {
    static uint32_t second, lines;
    const uint32_t now_s = clock_ms() / 1000u;
    (void)srv;
    if (now_s != second) {
        if (lines > REFUSED_LINES) {
            log_uart("refused: %u more in a second", lines - REFUSED_LINES);
        }
        second = now_s;
        lines = 0;
    }
    if (++lines > REFUSED_LINES) {
        return;
    }
    log_uart("refused %u.%u.%u.%u: %u, %s", peer >> 24, peer >> 16 & 255u, peer >> 8 & 255u,
             peer & 255u, (uint32_t)status, rtpush_reason_text(why));
}

void log_and_stop(const char *what, const char *why) {
    log_uart("stopped: %s %s", what, why);
    for (;;) {
        __asm volatile("wfi");
    }
}
