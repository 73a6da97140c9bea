// serve.h - what the tests' servers on real sockets do: say on which port, and serve until SIGINT
// or SIGTERM. Include it after rtpush.h and rtpush_posix.h.

#ifndef T_SERVE_H
#define T_SERVE_H

#include <signal.h>
#include <stdio.h>

static rtpush_posix port; // global for the signal handler
static volatile sig_atomic_t ended;

static void on_end(int number) {
    (void)number;
    ended = 1;
    rtpush_posix_stop(&port); // ends the wait
}

// `turn`, or NULL, is called after each step. Returns main's result.
static int serve(rtpush_server *srv, const rtpush_desc *desc, const rtpush_posix_desc *posix,
                 unsigned number, void (*turn)(rtpush_server *srv)) {
    if (rtpush_init(srv, desc) || rtpush_posix_init(&port, posix)) {
        fprintf(stderr, "not started: %s\n", rtpush_config_error(srv));
        return 1;
    }
    const int listening = rtpush_posix_listen(&port, srv, "127.0.0.1", number, 0);
    if (listening < 0) {
        perror("listen");
        return 1;
    }
    printf("listening on http://127.0.0.1:%d\n", listening);
    fflush(stdout);
    signal(SIGINT, on_end);
    signal(SIGTERM, on_end);
    while (!ended) {
        rtpush_posix_step(&port, 20);
        if (turn != NULL) {
            turn(srv);
        }
    }
    rtpush_posix_close(&port);
    return 0;
}

#endif // T_SERVE_H
