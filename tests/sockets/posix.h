// posix.h - the functions of ports/rtpush_posix.h by which an example starts, over
// ports/rtpush_sockets.h: takes its place in examples/echo and examples/hub, so that the client
// tests run against both. What ends the program (a signal; on Windows the end of its input) is
// awaited by a thread of its own.

#ifndef T_SOCKETS_POSIX_H
#define T_SOCKETS_POSIX_H

#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "../../ports/rtpush_sockets.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct rtpush_posix_desc {
    void *memory;
    size_t memory_size;
    uint32_t conn_count;
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint32_t stop_ms;
} rtpush_posix_desc;

typedef struct rtpush_posix {
    rtpush_sockets port;
    rtpush_sockets_desc desc;
} rtpush_posix;

#ifdef _WIN32
enum { T_BUFFER_SIZE = 8192 }; // each call takes wine long
#else
enum { T_BUFFER_SIZE = 1024 };
#endif
#define RTPUSH_POSIX_SIZE(conns, buffers, buffer_size) RTPUSH_SOCKETS_SIZE(conns, T_BUFFER_SIZE)
#define RTPUSH_POSIX_WORDS(conns) RTPUSH_SOCKETS_WORDS(conns)

static void rtpush_posix_stop(rtpush_posix *port) {
    rtpush_sockets_stop(&port->port);
}

#ifdef _WIN32

static DWORD WINAPI await_end(void *port) {
    while (getchar() != EOF) {
    }
    rtpush_posix_stop((rtpush_posix *)port);
    return 0;
}

static int start_await(rtpush_posix *port) {
    return CreateThread(NULL, 0, await_end, port, 0, NULL) == NULL;
}

static int start_system(void) {
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data);
}

static uint32_t process(void) {
    return (uint32_t)GetCurrentProcessId();
}

#else

static void *await_end(void *port) {
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    for (;;) {
        sigwait(&set, &number);
        rtpush_posix_stop((rtpush_posix *)port);
    }
    return NULL;
}

static int start_await(rtpush_posix *port) {
    pthread_t thread;
    return pthread_create(&thread, NULL, await_end, port) || pthread_detach(thread);
}

static int start_system(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return pthread_sigmask(SIG_BLOCK, &set, NULL); // for the thread
}

static uint32_t process(void) {
    return (uint32_t)getpid();
}

#endif

static int rtpush_posix_init(rtpush_posix *port, const rtpush_posix_desc *desc) {
    memset(port, 0, sizeof(*port));
    port->desc.memory = desc->memory;
    port->desc.memory_size = desc->memory_size;
    port->desc.buffer_size = T_BUFFER_SIZE;
    port->desc.stop_ms = desc->stop_ms;
    port->desc.send_buffer = 65536;
    port->desc.backlog = SOMAXCONN;
    return start_system();
}

// Starts the port at the first listener: before, the server is not known.
static int rtpush_posix_listen(rtpush_posix *port, rtpush_server *srv, const char *host,
                               unsigned number, unsigned flags) {
    int result = port->port.srv == NULL ? rtpush_sockets_init(&port->port, srv, &port->desc) : 0;
    if (result >= 0) {
        result = rtpush_sockets_listen(&port->port, host, number, flags);
    }
    if (result < 0) {
        fprintf(stderr, "%s (%d)\n", rtpush_sockets_strerror(result), port->port.error);
        errno = EINVAL;
        return -1;
    }
    return start_await(port) == 0 ? result : -1;
}

static int rtpush_posix_run(rtpush_posix *port) {
    return rtpush_sockets_run(&port->port);
}

static void rtpush_posix_close(rtpush_posix *port) {
    rtpush_sockets_close(&port->port);
}

static uint32_t rtpush_posix_epoch(void) {
    return ((uint32_t)time(NULL) * 1000003u ^ process() << 12) | 1u;
}

static inline uint32_t rtpush_posix_raise_files(uint32_t conns) {
    return conns;
}

#endif // T_SOCKETS_POSIX_H
