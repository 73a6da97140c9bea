// wire - the transcripts of tests/unit/transcripts.h over a real TCP connection, plain or by TLS
//
// Each conversation is sent whole, split in two, byte by byte if it is short, and broken off half
// way. What comes back must match as it does in the unit tests, and the connection must end or
// stay as the transcript says. At the end the server's pools must be as they were at the start.
//
// Over TLS a piece is a record (cut further where it is longer than RECORD), so the server gets
// exactly these pieces. An end must be told by close_notify (RFC 5246 7.2.1), then comes FIN. All
// connections but the first resume its session. Handshakes are broken off too.
//
// Usage: wire PORT [tls=RECORD[,tickets]] [PREFIX OF A TRANSCRIPT'S NAME]
// The server on 127.0.0.1:PORT runs tests/device/conformance.c, its certificate is of build/cert.

#define _GNU_SOURCE
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "ports/rtpush_bearssl.h"

#include "../tls/certs.h"
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
    SHORT = 300,       // bytes of a conversation that is also sent byte by byte
    SHAKE = 500        // bytes that a client sends in a handshake, at most
};

static unsigned port;
static int passed;
static int failed;

// The other end of TLS, one conversation after the other.
static struct {
    size_t record; // most plaintext bytes in one; 0: no TLS
    br_ssl_client_context ssl;
    br_x509_minimal_context x509;
    t_cert_ca ca;
    br_ssl_session_parameters session;
    uint8_t in[BR_SSL_BUFSIZE_INPUT];
    uint8_t out[BR_SSL_BUFSIZE_OUTPUT];
    int resumed; // handshakes
    int full;
    int tickets; // 1: none is resumed
} tls;

static br_ssl_engine_context *const engine = &tls.ssl.eng;

static uint32_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

typedef struct peer {
    int fd;
    int ended;           // FIN or reset came
    const char *wrong;   // with TLS, or NULL
    const uint8_t *data; // plain: what is still to be sent
    size_t len;
    size_t most; // bytes that may still be put on the wire
    t_buf out;
} peer;

// -- bytes on the wire, plain or ciphertext -------------------------------------------------------

static const uint8_t *next_out(const peer *p, size_t *len) {
    const uint8_t *from = p->data;
    *len = p->len;
    if (tls.record > 0) {
        *len = 0;
        from = br_ssl_engine_sendrec_buf(engine, len);
    }
    *len = *len < p->most ? *len : p->most;
    return from;
}

static void was_sent(peer *p, size_t n) {
    p->most -= n;
    if (tls.record > 0) {
        br_ssl_engine_sendrec_ack(engine, n);
    } else {
        p->data += n;
        p->len -= n;
    }
}

static void decrypt(peer *p, const uint8_t *bytes, size_t len) {
    while (len > 0 && p->wrong == NULL) {
        size_t n = 0;
        uint8_t *to = br_ssl_engine_recvrec_buf(engine, &n);
        if (to == NULL) {
            p->wrong = "(nothing after close_notify)";
            return;
        }
        n = n < len ? n : len;
        memcpy(to, bytes, n);
        br_ssl_engine_recvrec_ack(engine, n);
        bytes += n;
        len -= n;
        if (br_ssl_engine_last_error(engine) != BR_ERR_OK) {
            p->wrong = "(TLS without an error)";
        }
        const uint8_t *plain;
        while ((plain = br_ssl_engine_recvapp_buf(engine, &n)) != NULL) {
            t_put(&p->out, plain, n);
            br_ssl_engine_recvapp_ack(engine, n);
        }
    }
}

static int notified(void) {
    return br_ssl_engine_current_state(engine) == BR_SSL_CLOSED &&
           br_ssl_engine_last_error(engine) == BR_ERR_OK;
}

static void take_end(peer *p) {
    p->ended = 1;
    if (tls.record > 0 && p->wrong == NULL && !notified()) {
        p->wrong = "(close_notify before the end)";
    }
}

static void take_in(peer *p) {
    uint8_t bytes[4096];
    const ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);
    if (n <= 0) {
        take_end(p);
    } else if (tls.record > 0) {
        decrypt(p, bytes, (size_t)n);
    } else {
        t_put(&p->out, bytes, (size_t)n);
    }
}

// One round of what the socket is ready for, within wait_ms or at once. A server that refuses
// closes while we still send: that is no failure. Returns 1 if something came, the end too.
static int peer_step(peer *p, int wait_ms) {
    size_t len;
    const uint8_t *from = next_out(p, &len);
    struct pollfd wait = {p->fd, (short)(len > 0 ? POLLIN | POLLOUT : POLLIN), 0};
    if (p->ended || poll(&wait, 1, wait_ms) <= 0) {
        return 0;
    }
    if (wait.revents & POLLOUT) {
        const ssize_t n = send(p->fd, from, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            was_sent(p, (size_t)n);
        } else if (n < 0 && errno != EAGAIN) {
            p->most = 0;
        }
    }
    if (wait.revents & (POLLIN | POLLERR | POLLHUP)) { // the answer that came before the end first
        take_in(p);
        return 1;
    }
    return 0;
}

static int leaves(const peer *p) {
    size_t len;
    (void)next_out(p, &len);
    return len > 0;
}

static void flush(peer *p) {
    const uint32_t began = clock_ms();
    while (leaves(p) && !p->ended && clock_ms() - began < ANSWER_MS) {
        (void)peer_step(p, 100);
    }
}

static void write_records(peer *p, const uint8_t *data, size_t len) {
    while (len > 0 && !p->ended) {
        size_t n = 0;
        uint8_t *to = br_ssl_engine_sendapp_buf(engine, &n);
        if (to == NULL) { // the server has closed
            return;
        }
        n = n < len ? n : len;
        n = n < tls.record ? n : tls.record;
        memcpy(to, data, n);
        br_ssl_engine_sendapp_ack(engine, n);
        br_ssl_engine_flush(engine, 0);
        data += n;
        len -= n;
        flush(p);
    }
}

// As one piece: a segment if TCP sees it so, a record or the fewest that hold it.
static void peer_write(peer *p, const uint8_t *data, size_t len) {
    if (tls.record > 0) {
        write_records(p, data, len);
        return;
    }
    p->data = data;
    p->len = len;
    flush(p);
}

// -- a connection ---------------------------------------------------------------------------------

// Tries again: the backlog of an emulated network is one connection, and others are reset.
static int dial(peer *p) {
    const uint32_t began = clock_ms();
    struct sockaddr_in to;
    memset(p, 0, sizeof *p);
    p->most = SIZE_MAX;
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

static int shake_begin(void) {
    br_ssl_engine_set_session_parameters(engine, &tls.session);
    return br_ssl_client_reset(&tls.ssl, "localhost", 1);
}

// Until the handshake is complete, broken, or `most` bytes have been sent for it.
static int shake(peer *p) {
    const uint32_t began = clock_ms();
    br_ssl_session_parameters now;
    while (!(br_ssl_engine_current_state(engine) & BR_SSL_SENDAPP)) {
        if (p->most == 0 || p->ended || p->wrong || clock_ms() - began > ANSWER_MS) {
            return 0;
        }
        (void)peer_step(p, 100);
    }
    br_ssl_engine_get_session_parameters(engine, &now);
    if (memcmp(now.master_secret, tls.session.master_secret, sizeof now.master_secret) == 0) {
        tls.resumed++;
    } else {
        tls.full++;
    }
    tls.session = now;
    return 1;
}

static int peer_open(peer *p) {
    if (!dial(p)) {
        return 0;
    }
    if (tls.record == 0 || (shake_begin() && shake(p))) {
        return 1;
    }
    fprintf(stderr, "wire: no handshake: %s, BearSSL's error %d\n",
            p->wrong ? p->wrong : p->ended ? "the server closed" : "no answer",
            br_ssl_engine_last_error(engine));
    close(p->fd);
    t_buf_free(&p->out);
    return 0;
}

// The peer ends the connection. Plain: FIN or reset; by TLS also with close_notify.
static void peer_close(peer *p, uint32_t random) {
    if (random & 1u) {
        const struct linger now = {1, 0};
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    } else if (tls.record > 0 && (random & 2u)) {
        br_ssl_engine_close(engine);
        flush(p);
    }
    close(p->fd);
    t_buf_free(&p->out);
}

// -- conversations --------------------------------------------------------------------------------

// Whether there is nothing more to wait for: all that must come is there, and the end if it must.
static int arrived(const peer *p, const t_script *s) {
    return t_match(p->out.data, p->out.len, s->out) == NULL && (s->end != T_CLOSES || p->ended);
}

static const char *judge(peer *p, const t_script *s) {
    const uint32_t began = clock_ms();
    while (!arrived(p, s) && !p->ended && clock_ms() - began < ANSWER_MS) {
        (void)peer_step(p, 100);
    }
    if (s->end == T_STAYS) { // still silent, still there
        while (peer_step(p, SILENCE_MS)) {
            // more of the answer
        }
    }
    const char *missing = t_match(p->out.data, p->out.len, s->out);
    if (missing != NULL) {
        return missing;
    }
    if (p->wrong != NULL) {
        return p->wrong;
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
        (void)peer_step(p, 2); // so that two segments are made of it
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
    peer_close(&p, random);
}

// Sends a part of it and ends, by FIN or by reset.
static void break_off(const t_buf *in, uint32_t random) {
    peer p;
    if (peer_open(&p)) {
        peer_write(&p, in->data, random % in->len);
        (void)peer_step(&p, (int)(random >> 8) % 3);
        peer_close(&p, random >> 16 & 1u);
    }
}

static void break_off_handshake(uint32_t random) {
    peer p;
    if (dial(&p)) {
        p.most = random % SHAKE;
        if (shake_begin()) {
            (void)shake(&p);
        }
        (void)peer_step(&p, (int)(random >> 8) % 3);
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
        (void)peer_step(&p, 100);
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

static int start_tls(size_t record) {
    tls.record = record;
    if (record == 0 || t_cert_anchor(&tls.ca, "build/cert") < 0) {
        fprintf(stderr, "wire: no CA in build/cert, or no tls=RECORD\n");
        return 0;
    }
    br_ssl_client_init_full(&tls.ssl, &tls.x509, &tls.ca.anchor, 1);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_buffers_bidi(engine, tls.in, sizeof tls.in, tls.out, sizeof tls.out);
    return 1;
}

// The page of a secure listener came by https: else its Origin is that of another (RFC 6454 4).
static void expand(t_buf *in, const t_script *s) {
    static const char plain[] = "Origin: http://";
    const char *at;
    t_buf text = {0};
    size_t done = 0;
    t_expand(&text, s->in);
    while (tls.record > 0 && (at = memmem(text.data + done, text.len - done, plain,
                                          sizeof plain - 1)) != NULL) {
        const size_t end = (size_t)(at - (const char *)text.data) + sizeof "Origin: http" - 1;
        t_put(in, text.data + done, end - done);
        t_puts(in, "s");
        done = end;
    }
    t_put(in, text.data + done, text.len - done);
    t_buf_free(&text);
}

// One full handshake is enough, for all of them; unless sessions are in tickets, which BearSSL does
// not know.
static void check_handshakes(void) {
    const int good = tls.tickets ? tls.full > 0 && tls.resumed == 0
                                 : tls.full == 1 && tls.resumed > 0;
    passed += good;
    failed += !good;
    fprintf(good ? stdout : stderr, "%shandshakes: %d full, %d resumed\n",
            good ? "" : "FAIL sessions_are_resumed: ", tls.full, tls.resumed);
}

int main(int argc, char **argv) {
    t_rng rng = t_seed(1);
    t_buf before = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: wire PORT [tls=RECORD[,tickets]] [PREFIX]\n");
        return 2;
    }
    port = (unsigned)atoi(argv[1]);
    if (argc > 2 && strncmp(argv[2], "tls=", 4) == 0) {
        if (!start_tls((size_t)atoi(argv[2] + 4))) {
            return 2;
        }
        tls.tickets = strstr(argv[2], ",tickets") != NULL;
        argc--;
        argv++;
    }
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
        expand(&in, s);
        converse(s, &in, WHOLE, t_rand(&rng));
        if (in.len > 1) {
            converse(s, &in, SPLIT, t_rand(&rng));
            break_off(&in, t_rand(&rng));
        }
        if (tls.record > 0) {
            break_off_handshake(t_rand(&rng));
        }
        if (in.len <= SHORT) {
            converse(s, &in, BYTES, t_rand(&rng));
        }
        t_buf_free(&in);
    }
    compare_pools(t_text(&before));
    if (tls.record > 0) {
        check_handshakes();
    }
    printf("pools: %s\n%d passed, %d failed\n", t_text(&before), passed, failed);
    t_buf_free(&before);
    return failed > 0;
}
