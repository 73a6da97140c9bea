// minimal.c - a program that uses the side of the port and publish, and nothing else of the API.
// Its size is measured, it is not run. What a filter adds is put in at the marks.

#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
int main(void);
static rtpush_server srv;
static const rtpush_hooks hooks;
extern rtpush_desc desc; // placed by the linker script of a real program
rtpush_desc desc;
// TLS
int main(void)
{
    rtpush_span spans[4];
    rtpush_init(&srv, &desc);
    rtpush_attach(&srv, &hooks);
    // TLS_INIT
    rtpush_conn *conn = rtpush_accept(&srv, 0, 0, 0);
    for (uint32_t now = 0;; now += rtpush_tick(&srv, now)) {
        char byte = 0;
        rtpush_input(&srv, conn, &byte, 1);
        int n = rtpush_output(&srv, conn, spans, 4);
        if (n > 0) rtpush_sent(&srv, conn, spans[0].len, 0);
        rtpush_acked(&srv, conn, 1);
        rtpush_eof(&srv, conn);
        rtpush_gone(&srv, conn);
        conn = rtpush_next(&srv);
        rtpush_publish(&srv, 0, &byte, 1);
    }
}
