// wire - the transcripts of tests/unit/transcripts.h over a real TCP connection
//
// Each conversation is had whole, cut in two, byte by byte where it is short, and broken off in the
// middle. What comes back must match as it does in the unit tests, and the connection must end or
// stay as the transcript says. At the end the server's pools must be as they were at the start.
//
// Usage: wire PORT [PREFIX OF A TRANSCRIPT'S NAME]
// The server on 127.0.0.1:PORT runs tests/device/conformance.c.

#define _GNU_SOURCE
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"

#include "transcripts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_MS = 20000, // until the whole answer is there, on a busy machine
    SILENCE_MS = 25,   // a connection that stays is given this long to say something wrong
    SHORT = 300        // bytes of a conversation that is also sent byte by byte
};

static unsigned port;
static int passed;
static int failed;

static uint32_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

typedef struct peer {
    int fd;
    int ended; // FIN or reset came
    t_buf out;
} peer;

// Patient: an emulated network's backlog is one connection, and what is over it is reset.
static int peer_open(peer *p) {
    const uint32_t began = clock_ms();
    struct sockaddr_in to;
    memset(p, 0, sizeof *p);
    t_put(&p->out, "", 0);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    do {
        const int on = 1;
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(p->fd, (const struct sockaddr *)&to, sizeof to) == 0) {
            return 1;
        }
        close(p->fd);
        usleep(20000);
    } while (clock_ms() - began < ANSWER_MS);
    fprintf(stderr, "wire: cannot connect to 127.0.0.1:%u\n", port);
    return 0;
}

static void peer_close(peer *p, int reset) {
    if (reset) {
        const struct linger now = {1, 0};
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(p->fd);
    t_buf_free(&p->out);
}

// Takes what arrives within wait_ms, or at once. 1 if something did.
static int peer_read(peer *p, int wait_ms) {
    struct pollfd wait = {p->fd, POLLIN, 0};
    char bytes[4096];
    if (p->ended || poll(&wait, 1, wait_ms) <= 0) {
        return 0;
    }
    const ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);
    if (n <= 0) {
        p->ended = 1;
    } else {
        t_put(&p->out, bytes, (size_t)n);
    }
    return 1;
}

// A server that refuses closes while we still send: that is no failure.
static void peer_write(peer *p, const uint8_t *data, size_t len) {
    while (len > 0 && !p->ended) {
        struct pollfd wait = {p->fd, POLLIN | POLLOUT, 0};
        if (poll(&wait, 1, ANSWER_MS) <= 0) {
            return;
        }
        if (wait.revents & POLLIN) {
            (void)peer_read(p, 0);
        }
        if (wait.revents & POLLOUT) {
            const ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN) {
                return;
            }
            data += n > 0 ? n : 0;
            len -= n > 0 ? (size_t)n : 0;
        }
        if (wait.revents & (POLLERR | POLLHUP)) {
            while (peer_read(p, 0)) {
                // the answer that came before the end
            }
            return;
        }
    }
}

// Whether there is nothing more to wait for: all that must come is there, and the end if it must.
static int arrived(const peer *p, const t_script *s) {
    return t_match(p->out.data, p->out.len, s->out) == NULL && (s->end != T_CLOSES || p->ended);
}

static const char *judge(peer *p, const t_script *s) {
    const uint32_t began = clock_ms();
    while (!arrived(p, s) && !p->ended && clock_ms() - began < ANSWER_MS) {
        (void)peer_read(p, 100);
    }
    if (s->end == T_STAYS) { // still silent, still there
        while (peer_read(p, SILENCE_MS)) {
            // more of the answer
        }
    }
    const char *missing = t_match(p->out.data, p->out.len, s->out);
    if (missing != NULL) {
        return missing;
    }
    if (s->end != T_EITHER && p->ended != (s->end == T_CLOSES)) {
        return p->ended ? "(the server closed)" : "(the server did not close)";
    }
    return NULL;
}

enum { WHOLE, SPLIT, BYTES, WAYS };
static const char *const way_names[WAYS] = {"whole", "split", "byte by byte"};

static void send_in(peer *p, const t_buf *in, int way, uint32_t random) {
    size_t at = 0;
    if (way == SPLIT) {
        at = 1 + random % (in->len - 1);
        peer_write(p, in->data, at);
        (void)peer_read(p, 2); // so that two segments are made of it
    }
    while (way == BYTES && at < in->len) {
        peer_write(p, in->data + at, 1);
        at++;
    }
    peer_write(p, in->data + at, in->len - at);
}

static void converse(const t_script *s, const t_buf *in, int way, uint32_t random) {
    peer p;
    if (!peer_open(&p)) {
        failed++;
        return;
    }
    send_in(&p, in, way, random);
    const char *wrong = judge(&p, s);
    if (wrong == NULL) {
        passed++;
    } else {
        failed++;
        fprintf(stderr, "FAIL %s, %s: expected %s, seen%s:\n", s->name, way_names[way], wrong,
                p.ended ? " until the end" : "");
        t_show(p.out.data, p.out.len);
    }
    peer_close(&p, random & 1u);
}

// Says a part of it, and is gone: by FIN or by reset.
static void break_off(const t_buf *in, uint32_t random) {
    peer p;
    if (peer_open(&p)) {
        peer_write(&p, in->data, random % in->len);
        (void)peer_read(&p, (int)(random >> 8) % 3);
        peer_close(&p, random >> 16 & 1u);
    }
}

static int pools(t_buf *text) {
    static const char request[] =
        "GET /pools HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    const uint32_t began = clock_ms();
    peer p;
    if (!peer_open(&p)) {
        return 0;
    }
    peer_write(&p, (const uint8_t *)request, sizeof request - 1);
    while (!p.ended && clock_ms() - began < ANSWER_MS) {
        (void)peer_read(&p, 100);
    }
    text->len = 0;
    const char *body = strstr(t_text(&p.out), "\r\n\r\n");
    t_puts(text, body != NULL ? body + 4 : "no answer");
    peer_close(&p, 0);
    return strncmp(t_text(text), "slots ", 6) == 0;
}

// Connections that were broken off may take their deadlines to go.
static void compare_pools(const char *before) {
    const uint32_t began = clock_ms();
    t_buf after = {0};
    do {
        usleep(100000);
    } while (pools(&after) && strcmp(before, t_text(&after)) != 0 &&
             clock_ms() - began < 3 * ANSWER_MS);
    if (strcmp(before, t_text(&after)) == 0) {
        passed++;
    } else {
        failed++;
        fprintf(stderr, "FAIL pools_are_as_before: %s; before: %s\n", t_text(&after), before);
    }
    t_buf_free(&after);
}

int main(int argc, char **argv) {
    t_rng rng = t_seed(1);
    t_buf before = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: wire PORT [PREFIX]\n");
        return 2;
    }
    port = (unsigned)atoi(argv[1]);
    if (!pools(&before)) {
        fprintf(stderr, "wire: GET /pools: %s\n", t_text(&before));
        printf("0 passed, 1 failed\n");
        return 1;
    }
    for (size_t i = 0; i < T_SCRIPT_COUNT && failed < 20; i++) {
        const t_script *s = &t_scripts[i];
        t_buf in = {0};
        if (argc > 2 && strncmp(s->name, argv[2], strlen(argv[2])) != 0) {
            continue;
        }
        t_expand(&in, s->in);
        converse(s, &in, WHOLE, t_rand(&rng));
        if (in.len > 1) {
            converse(s, &in, SPLIT, t_rand(&rng));
            break_off(&in, t_rand(&rng));
        }
        if (in.len <= SHORT) {
            converse(s, &in, BYTES, t_rand(&rng));
        }
        t_buf_free(&in);
    }
    compare_pools(t_text(&before));
    printf("pools: %s\n%d passed, %d failed\n", t_text(&before), passed, failed);
    t_buf_free(&before);
    return failed > 0;
}
