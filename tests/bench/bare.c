// The minimum that a server must do, to compare with: one recv and one send a message, frames
// unmasked a word at a time; for fan-out one send of prepared bytes a reader. No HTTP, no limits,
// no checks, memory without bound for peers that do not read. load.c drives it like the others.
// Prints "listening on http://127.0.0.1:PORT".
//
//     /                      a WebSocket that echoes
//     /ws                    a WebSocket that gets what is published
//     /ws?publish=a          ... that publishes and gets nothing
//     /events                an event stream of what is published

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // accept4
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"

enum {
    FDS = 20000,
    BUFFER = 1 << 18,            // one recv
    BLOCK_HEAD = 4 + 17 + 10 + 6 // "id: " id "\nevent: a\n" "data: "
};

static void fail(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

// A connection. It echoes what comes, or publishes it to the readers, or is one.
typedef struct peer {
    uint8_t kind; // NEW ...
    uint8_t head_len;
    uint8_t turn; // of the mask
    uint8_t head[FRAME_HEAD_MAX];
    uint8_t mask[8];
    uint64_t left;
    uint8_t *rest; // what the kernel did not take yet
    size_t rest_len;
} peer;
enum { NEW, ECHO, PUBLISH, WS, SSE };

static peer peers[FDS];
static uint8_t received[BUFFER];
static uint8_t frames_out[BUFFER];
static uint8_t events_out[BUFFER * 2];
static uint32_t seq;
static int streams; // a reader of events came
static int fds_top; // no descriptor of a connection is higher
static int poller;

static void send_or_keep(int fd, const uint8_t *data, size_t len) {
    peer *p = &peers[fd];
    const ssize_t n = p->rest_len > 0 ? 0 : send(fd, data, len, MSG_NOSIGNAL);
    const size_t sent = n > 0 ? (size_t)n : 0;
    if (sent == len) {
        return;
    }
    p->rest = (uint8_t *)realloc(p->rest, p->rest_len + len - sent);
    if (p->rest == NULL) {
        fail("bare: memory");
    }
    memcpy(p->rest + p->rest_len, data + sent, len - sent);
    p->rest_len += len - sent;
}

static void send_kept(int fd) {
    peer *p = &peers[fd];
    const ssize_t n = send(fd, p->rest, p->rest_len, MSG_NOSIGNAL);
    if (n > 0) {
        p->rest_len -= (size_t)n;
        memmove(p->rest, p->rest + n, p->rest_len);
    }
}

// The key is always the example of the WebSocket standard, and so is its answer.
static void handshake(int fd, size_t len) {
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char stream[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                                 "retry: 1\nid: 00000000-00000000\ndata: fresh\n\n";
    received[len] = '\0';
    const char *head = (const char *)received;
    peers[fd].kind = strstr(head, "/events") ? SSE
                     : strstr(head, "publish=") ? PUBLISH
                     : strstr(head, "/ws") ? WS : ECHO;
    if (peers[fd].kind == SSE) {
        seq = 0;
        streams = 1;
        send_or_keep(fd, (const uint8_t *)stream, sizeof(stream) - 1);
    } else {
        send_or_keep(fd, (const uint8_t *)upgrade, sizeof(upgrade) - 1);
    }
}

// The head of a masked frame, byte by byte; at its end the head of the answer. Returns its length.
static size_t head_byte(peer *p, uint8_t byte, uint8_t *out) {
    p->head[p->head_len++] = byte;
    const int form = p->head_len > 1 ? p->head[1] & 127 : 0;
    const int size = 6 + (form == 126 ? 2 : form == 127 ? 8 : 0);
    if (p->head_len < 2 || p->head_len < size) {
        return 0;
    }
    p->left = form < 126 ? (uint64_t)form : 0;
    for (int i = 2; i < size - 4; i++) {
        p->left = p->left << 8 | p->head[i];
    }
    memcpy(p->mask, p->head + size - 4, 4);
    memcpy(p->mask + 4, p->mask, 4);
    p->turn = 0;
    p->head_len = 0;
    return frame_head(out, p->head[0] & 15, (size_t)p->left, NULL);
}

static void unmask(peer *p, uint8_t *out, const uint8_t *in, size_t len) {
    uint64_t mask;
    size_t i = 0;
    uint8_t turned[8];
    for (int k = 0; k < 8; k++) {
        turned[k] = p->mask[(p->turn + k) & 3];
    }
    memcpy(&mask, turned, 8);
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, in + i, 8);
        word ^= mask;
        memcpy(out + i, &word, 8);
    }
    for (; i < len; i++) {
        out[i] = in[i] ^ turned[i & 7];
    }
    p->turn = (uint8_t)((p->turn + len) & 3);
}

// Frames of a client into frames of a server. Returns their length in frames_out.
static size_t echo_frames(peer *p, const uint8_t *in, size_t len) {
    size_t i = 0;
    size_t out = 0;
    while (i < len) {
        if (p->left == 0) {
            out += head_byte(p, in[i++], frames_out + out);
            continue;
        }
        const size_t n = p->left < len - i ? (size_t)p->left : len - i;
        unmask(p, frames_out + out, in + i, n);
        out += n;
        i += n;
        p->left -= n;
    }
    return out;
}

// The frames as events with ids, once for all readers. Returns their length in events_out.
static size_t encode_events(size_t frames_len) {
    static const char text[] = "id: 00000000-00000000\nevent: a\ndata: ";
    size_t out = 0;
    for (size_t i = 0; i < frames_len;) {
        const size_t head = frames_out[i + 1] < 126 ? 2 : 4;
        const size_t len = head == 2 ? frames_out[i + 1]
                                     : (size_t)frames_out[i + 2] << 8 | frames_out[i + 3];
        memcpy(events_out + out, text, BLOCK_HEAD);
        stamp_write(events_out + out + 13, ++seq);
        memcpy(events_out + out + BLOCK_HEAD, frames_out + i + head, len);
        memcpy(events_out + out + BLOCK_HEAD + len, "\n\n", 2);
        out += BLOCK_HEAD + len + 2;
        i += head + len;
    }
    return out;
}

static void publish(size_t frames_len) {
    const size_t events_len = streams ? encode_events(frames_len) : 0;
    for (int fd = 0; fd <= fds_top; fd++) {
        if (peers[fd].kind == WS) {
            send_or_keep(fd, frames_out, frames_len);
        } else if (peers[fd].kind == SSE) {
            send_or_keep(fd, events_out, events_len);
        }
    }
}

// A publisher's burst may arrive cut: what is whole is kept until its rest is there.
static void serve(int fd) {
    static uint8_t burst[BUFFER];
    static size_t burst_len;
    peer *p = &peers[fd];
    const ssize_t n = recv(fd, received, sizeof(received) - 64, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(fd);
        free(p->rest);
        memset(p, 0, sizeof(*p));
        return;
    }
    if (n < 0) {
        return;
    }
    if (p->kind == NEW) {
        handshake(fd, (size_t)n);
        return;
    }
    const size_t len = echo_frames(p, received, (size_t)n);
    if (p->kind == ECHO) {
        send_or_keep(fd, frames_out, len);
    } else if (p->kind == PUBLISH && (p->left > 0 || p->head_len > 0 || burst_len > 0)) {
        memcpy(burst + burst_len, frames_out, len);
        burst_len += len;
        if (p->left == 0 && p->head_len == 0) {
            memcpy(frames_out, burst, burst_len);
            publish(burst_len);
            burst_len = 0;
        }
    } else if (p->kind == PUBLISH) {
        publish(len);
    }
}

static void accept_all(int listener) {
    const int buffer = 65536;
    const int on = 1;
    for (;;) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        if (fd >= FDS) {
            fail("bare: too many connections");
        }
        fds_top = fd > fds_top ? fd : fds_top;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.fd = fd}};
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)); // as the port's
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) {
            fail("bare: epoll_ctl");
        }
    }
}

static void run(int listener) {
    struct epoll_event events[256];
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = listener}};
    poller = epoll_create1(0);
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0) {
        fail("bare: epoll");
    }
    for (;;) {
        const int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(listener);
                continue;
            }
            if ((events[i].events & EPOLLOUT) && peers[fd].rest_len > 0) {
                send_kept(fd);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                serve(fd);
            }
        }
    }
}

int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < FDS ? files.rlim_max : FDS;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0) {
        fail("bare: listen");
    }
    printf("listening on http://127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
    run(fd);
}
