// The conformance application on this machine: the transcripts over its own TCP. It prints
// "listening on http://127.0.0.1:PORT" and ends after five minutes or when it is told to.

#define _GNU_SOURCE
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"

#include "conformance.h"

#include <stdio.h>
#include <unistd.h>

#ifdef CONFORMANCE_TLS
#include "tests/tls/listen.h"
#define rtpush_posix_listen tls_listen
#endif

static rtpush_posix port;
static uint64_t memory[RTPUSH_POSIX_WORDS(CONFORMANCE_CONNS)];

void conformance_pools(char *out, size_t cap) {
    snprintf(out, cap, "-"); // the kernel's are not ours to count
}

void conformance_interrupt(void) {
    // tests/posix/threads.c is about that
}

int main(void) {
    const rtpush_posix_desc desc = {.memory = memory, .memory_size = sizeof memory};
    if (conformance_start() < 0 || rtpush_posix_init(&port, &desc) < 0) {
        fprintf(stderr, "conformance: %s\n", rtpush_config_error(&conformance_server));
        return 1;
    }
    const int number = rtpush_posix_listen(&port, &conformance_server, "127.0.0.1", 0, 0);
    if (number < 0) {
        perror("conformance: listen");
        return 1;
    }
    printf("listening on http://127.0.0.1:%d\n", number);
    fflush(stdout);
    alarm(300);
    return rtpush_posix_run(&port) < 0;
}
