// platform.c - a program as one writes it for ESP-IDF or Zephyr, compiled against the headers in
// stubs/ (run.sh). It is not run; the core's implementation is another file of it.

#include "rtpush.h"
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "ports/rtpush_sockets.h"

#ifdef WANT_NO_RESET
#if RTPI_SOCKETS_RESET
#error "this platform cannot reset a connection"
#endif
#endif

void web_task(void *arg);

static rtpush_server srv;
static rtpush_sockets port;
static uint64_t memory[RTPUSH_WORDS(7, 512, 512, 4096, 1, 0)];
static uint64_t port_memory[RTPUSH_SOCKETS_WORDS(7)];

void web_task(void *arg) {
    static const int tags[] = {1};
    rtpush_desc desc = *(const rtpush_desc *)arg;
    rtpush_sockets_desc port_desc;
    memset(&port_desc, 0, sizeof(port_desc));
    desc.memory = memory;
    desc.memory_size = sizeof(memory);
    port_desc.memory = port_memory;
    port_desc.memory_size = sizeof(port_memory);
    port_desc.tls_tags = tags;
    port_desc.tls_tag_count = 1;
    if (rtpush_init(&srv, &desc) == RTPUSH_OK &&
        rtpush_sockets_init(&port, &srv, &port_desc) >= 0 &&
        rtpush_sockets_listen(&port, NULL, 80, 0) >= 0 &&
        rtpush_sockets_listen(&port, "::", 443, RTPUSH_LISTENER_SECURE) >= 0) {
        (void)rtpush_sockets_run(&port);
    }
    rtpush_sockets_close(&port);
}
