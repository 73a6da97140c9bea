// Thousands of readers of one stream of events: what a delivery costs the server, how long an event
// is under way until each reader has it, and what a reader takes of the server's memory.
// bench.sh builds and runs this.
//
// Usage: crowd [-r READERS] [-n ROUNDS] [-w WORD] [-o CSV] -b REDIS_PORT:PID -v COMMAND
//              NAME:HOW[COUNT]=COMMAND ...
//        -w  only rows whose title has WORD
//        -b  the Redis that events go through
//        -v  starts the server through which events are published, for HOW = via
//        HOW: where an event is published:
//            self   a WebSocket of the server itself, /ws?publish=a
//            via    ... of the server -v
//            redis  the stream `ev` of Redis
//        COUNT: that many processes of COMMAND share the readers
//
// {conns} in a COMMAND becomes how many connections there may be. A server prints a line that ends
// with ":PORT" and has the paths /events?topics=a and /ws?topics=a. A server runs on the first
// processor, of several each second one on the last, where also this, Redis and -v run. Servers
// take turns, one round after the other: figures are medians of the rounds, ratios are of the same
// round.
//
// An event is sent when all readers have the last one, and not before its time; only in the row
// "20 a second" it is sent by time alone. A reader checks that each number is behind the last.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // sched_setaffinity
#endif

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PROGRAM "crowd"
#include "frames.h"
#include "servers.h"

enum {
    SERVERS_MAX = 8,
    PARTS_MAX = 4,      // processes that share the readers
    READERS_MAX = 18000,
    SPARE = 100,
    AT_ONCE = 50,       // connections opened
    EVENT_LEN = 64,     // 8 digits: number, 16: when it was sent, in ns; the rest is filled
    LINE_MAX_LEN = 128, // a longer one is none of ours
    BUFFER = 1 << 16,
    BURST = 16,
    ROUNDS_MAX = 9,
    SLOT_US = 20,       // of the histogram of latencies
    SLOTS = 500000,     // so up to 10 s
    STALL_MS = 15000    // nothing arrives: what is missing is lost
};

typedef struct reader {
    int fd;
    int sse;
    uint32_t next;    // number of the event that it expects
    uint32_t known;   // it has had one
    uint64_t left;    // WebSocket: of the frame's payload
    uint8_t head[FRAME_HEAD_MAX];
    uint8_t head_len;
    uint8_t line_len;
    uint8_t line[LINE_MAX_LEN]; // SSE: a line; WebSocket: a payload; that is not complete
} reader;

enum { SELF, VIA, REDIS };

typedef struct side { // a server of COUNT processes
    server parts[PARTS_MAX];
    int count;
} side;

// Of one row, server and round.
typedef struct figures {
    double us;        // CPU of the server, a delivery
    double of_first;  // ... to the first server's
    double of_last;
    double p50_ms;
    double p99_ms;
    double p99_of_first;
    double delivered; // percent
    double open_us;   // CPU of the server, a reader that connects
    double rss;       // bytes a reader
    double broker_us; // CPU of Redis, an event
} figures;
enum { FIGURES = sizeof(figures) / sizeof(double) };

static const struct {
    const char *title;
    int burst;
    int steps;
    int every_ms;
    int by_time; // does not wait for readers
} patterns[] = {
    {"one at a time", 1, 10, 250, 0},
    {"16 at once", BURST, 5, 500, 0},
    {"20 a second", 1, 60, 50, 1},
};
enum { PATTERNS = sizeof(patterns) / sizeof(patterns[0]), ROWS = 2 * PATTERNS };

static side sides[SERVERS_MAX];
static int side_count;
static server via;
static server redis;
static reader readers[READERS_MAX];
static int reader_count = 9000;
static int rounds = 3;
static const char *only = "";
static figures results[ROWS][SERVERS_MAX][ROUNDS_MAX];

static int poller;
static const char *server_name; // of the one that is measured
static int publisher; // a socket
static int how;       // ... of this kind
static char epoch[24]; // of the stream in Redis
static uint32_t published;
static uint64_t taken;   // events that readers have
static uint64_t missing; // ... that they have not and will not have
static uint32_t *slots;  // NULL: not measuring
static uint8_t in[BUFFER];

static void end_all(void) {
    for (int k = 0; k < side_count; k++) {
        for (int i = 0; i < PARTS_MAX; i++) {
            server_kill(&sides[k].parts[i]);
        }
    }
    server_kill(&via);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// -- events ---------------------------------------------------------------------------------------

static uint64_t hex(const uint8_t *text, int len) {
    uint64_t value = 0;
    for (int i = 0; i < len; i++) {
        const uint8_t c = text[i];
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

static void event_write(uint8_t *out, uint32_t number, uint64_t at_ns) {
    char text[32];
    pattern_fill(out, EVENT_LEN, FRAME_TEXT, 0);
    (void)snprintf(text, sizeof(text), "%08lx%016llx", (unsigned long)number,
                   (unsigned long long)at_ns);
    memcpy(out, text, 24);
}

static void event_take(reader *r, const uint8_t *data, uint64_t at_ns) {
    const uint32_t number = (uint32_t)hex(data, 8);
    const uint64_t sent_ns = hex(data + 8, 16);
    if (r->known && number < r->next) {
        errno = 0;
        fail("an event out of order");
    }
    missing += r->known ? number - r->next : 0;
    r->known = 1;
    r->next = number + 1;
    taken++;
    if (slots) {
        const uint64_t slot = (at_ns - sent_ns) / 1000u / SLOT_US;
        slots[slot < SLOTS ? slot : SLOTS - 1]++;
    }
}

// -- what readers get -----------------------------------------------------------------------------

static void line_take(reader *r, const uint8_t *line, size_t len, uint64_t at_ns) {
    if (len == EVENT_LEN + 6 && memcmp(line, "data: ", 6) == 0) {
        event_take(r, line + 6, at_ns);
    }
}

static void sse_take(reader *r, const uint8_t *data, size_t len, uint64_t at_ns) {
    while (len > 0) {
        const uint8_t *end = (const uint8_t *)memchr(data, '\n', len);
        const size_t n = end ? (size_t)(end - data) : len;
        if (r->line_len == 0 && end) {
            line_take(r, data, n, at_ns);
        } else {
            const size_t room = LINE_MAX_LEN - (size_t)r->line_len;
            memcpy(r->line + r->line_len, data, n < room ? n : room);
            r->line_len = (uint8_t)(r->line_len + (n < room ? n : room));
            if (end) {
                line_take(r, r->line, r->line_len, at_ns);
            }
        }
        r->line_len = end ? 0 : r->line_len;
        data += n + (end != NULL);
        len -= n + (end != NULL);
    }
}

// RFC 6455 5.5.3: a ping is answered.
static void frame_take(reader *r, uint64_t at_ns) {
    uint8_t frame[FRAME_HEAD_MAX + LINE_MAX_LEN];
    const int opcode = r->head[0] & 15;
    if (opcode == 1 && r->line_len == EVENT_LEN) {
        event_take(r, r->line, at_ns);
    } else if (opcode == 9) {
        const size_t head = frame_head(frame, 10, r->line_len, frame_mask);
        for (size_t i = 0; i < r->line_len; i++) {
            frame[head + i] = r->line[i] ^ frame_mask[i & 3];
        }
        (void)send(r->fd, frame, head + r->line_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else if (opcode == 8) {
        errno = 0;
        fail("closed by the server");
    }
    r->head_len = 0;
    r->line_len = 0;
}

static void ws_take(reader *r, const uint8_t *data, size_t len, uint64_t at_ns) {
    for (size_t i = 0; i < len;) {
        const int form = r->head_len > 1 ? r->head[1] & 127 : 0;
        const int size = form == 126 ? 4 : form == 127 ? 10 : 2;
        if (r->head_len < size) {
            r->head[r->head_len++] = data[i++];
            if (r->head_len == 2 && (r->head[1] & 127) < 126) {
                r->left = r->head[1] & 127;
            } else if (r->head_len == 4 && (r->head[1] & 127) == 126) {
                r->left = (uint64_t)(r->head[2] << 8 | r->head[3]);
            } else {
                continue;
            }
        } else {
            const size_t n = r->left < len - i ? (size_t)r->left : len - i;
            const size_t room = LINE_MAX_LEN - (size_t)r->line_len;
            memcpy(r->line + r->line_len, data + i, n < room ? n : room);
            r->line_len = (uint8_t)(r->line_len + (n < room ? n : room));
            r->left -= n;
            i += n;
        }
        if (r->left == 0) {
            frame_take(r, at_ns);
        }
    }
}

static void reader_take(reader *r, const uint8_t *data, size_t len) {
    const uint64_t at_ns = now_ns();
    if (r->sse) {
        sse_take(r, data, len, at_ns);
    } else {
        ws_take(r, data, len, at_ns);
    }
}

// Takes what has arrived within so many ms. 0: nothing has.
static int readers_take(int ms) {
    struct epoll_event events[256];
    const int count = epoll_wait(poller, events, 256, ms);
    for (int i = 0; i < count; i++) {
        reader *r = (reader *)events[i].data.ptr;
        const ssize_t n = recv(r ? r->fd : publisher, in, sizeof(in), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            errno = n == 0 ? 0 : errno;
            fprintf(stderr, "crowd: %s, %llu of all events taken\n", server_name,
                    (unsigned long long)taken);
            fail(r ? "connection of a reader" : "connection of the publisher");
        }
        if (r == NULL && how == REDIS && n > 0 && memchr(in, '-', 1)) {
            fail("XADD");
        }
        if (r && n > 0) {
            reader_take(r, in, (size_t)n);
        }
    }
    return count;
}

// -- connections ----------------------------------------------------------------------------------

// Reads the head of an answer. Its status; what followed it is left in `in`, of *more bytes.
static int answer(int fd, size_t *more) {
    size_t len = 0;
    for (;;) {
        const ssize_t n = recv(fd, in + len, sizeof(in) - 1 - len, 0);
        if (n <= 0) {
            fail("handshake");
        }
        len += (size_t)n;
        in[len] = '\0';
        const char *end = strstr((const char *)in, "\r\n\r\n");
        if (end) {
            const int status = atoi((const char *)in + 9);
            const size_t head = (size_t)(end + 4 - (const char *)in);
            *more = len - head;
            memmove(in, in + head, *more);
            return status;
        }
    }
}

static void watch(int fd, reader *r) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = r}};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) {
        fail("epoll_ctl");
    }
}

// nchan.sh prints its port before nginx listens, and answers 503 until it has Redis. A gateway
// first has to catch up with its source.
static void wait_ready(const server *s) {
    size_t more;
    for (int i = 0; i < 200; i++) {
        int fd = try_dial(s->port);
        if (fd >= 0) {
            close(fd);
            fd = ask(s->port, s->kind == REDIS ? "/healthz" : "/events", 1);
            const int status = answer(fd, &more);
            close(fd);
            if (status == 200) {
                return;
            }
        }
        usleep(50000);
    }
    errno = 0;
    fail("not ready");
}

static void readers_open(const side *s, int sse) {
    memset(readers, 0, sizeof(readers));
    for (int i = 0; i < reader_count; i++) {
        readers[i].sse = sse;
        readers[i].fd = ask(s->parts[i % s->count].port, sse ? "/events?topics=a" : "/ws?topics=a",
                            sse);
        if (i % AT_ONCE != AT_ONCE - 1 && i != reader_count - 1) {
            continue;
        }
        for (int k = i - i % AT_ONCE; k <= i; k++) {
            size_t more;
            const int status = answer(readers[k].fd, &more);
            errno = 0;
            if (status != (sse ? 200 : 101)) {
                fprintf(stderr, "crowd: %s answers %d: %.200s\n", server_name, status, in);
                fail("handshake");
            }
            reader_take(&readers[k], in, more);
            watch(readers[k].fd, &readers[k]);
        }
    }
}

// Resets, so that no port waits for the end of the connection.
static void readers_close(void) {
    const struct linger now = {1, 0};
    for (int i = 0; i < reader_count; i++) {
        (void)setsockopt(readers[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(readers[i].fd);
    }
}

// -- publishing -----------------------------------------------------------------------------------

// The epoch of the stream in Redis is the first part of its newest id.
static void redis_epoch(void) {
    static const char command[] = "XREVRANGE ev + - COUNT 1\r\n";
    char text[400] = "";
    send_all(publisher, command, sizeof(command) - 1);
    const ssize_t n = recv(publisher, text, sizeof(text) - 1, 0);
    const char *dash = n > 0 ? strchr(text, '-') : NULL;
    const char *from = dash;
    while (from && from > text && from[-1] >= '0' && from[-1] <= '9') {
        from--;
    }
    if (dash == NULL || dash - from > 20) {
        errno = 0;
        fail("no stream in Redis");
    }
    (void)snprintf(epoch, sizeof(epoch), "%.*s", (int)(dash - from), from);
}

static void publisher_open(const side *s) {
    size_t more;
    how = s->parts[0].kind;
    if (how == REDIS) {
        publisher = dial(redis.port);
        redis_epoch();
    } else {
        publisher = ask(how == VIA ? via.port : s->parts[0].port, "/ws?topics=b&publish=a", 0);
        if (answer(publisher, &more) != 101) {
            fail("publisher");
        }
    }
    watch(publisher, NULL);
}

static void publish(int count) {
    static uint8_t out[BURST * 400];
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        uint8_t event[EVENT_LEN];
        event_write(event, published++, now_ns());
        if (how == REDIS) {
            const int head = snprintf((char *)out + len, 300,
                                      "*11\r\n$4\r\nXADD\r\n$2\r\nev\r\n$10\r\nNOMKSTREAM\r\n"
                                      "$6\r\nMAXLEN\r\n$1\r\n~\r\n$6\r\n100000\r\n$%d\r\n%s-*\r\n"
                                      "$1\r\nt\r\n$1\r\na\r\n$1\r\nd\r\n$%d\r\n",
                                      (int)strlen(epoch) + 2, epoch, EVENT_LEN);
            len += (size_t)head;
            memcpy(out + len, event, EVENT_LEN);
            memcpy(out + len + EVENT_LEN, "\r\n", 2);
            len += EVENT_LEN + 2;
        } else {
            len += frame_head(out + len, FRAME_TEXT, EVENT_LEN, frame_mask);
            for (int k = 0; k < EVENT_LEN; k++) {
                out[len++] = event[k] ^ frame_mask[k & 3];
            }
        }
    }
    send_all(publisher, out, len);
}

// -- measuring ------------------------------------------------------------------------------------

// Takes until all have everything, or nothing comes any more.
static void take_all(uint64_t all) {
    while (taken + missing < all && readers_take(STALL_MS) > 0) {
    }
}

// Until all readers have the same event: a subscription may be late.
static void warm_up(void) {
    for (int i = 0; i < 5; i++) {
        const uint64_t end_ns = now_ns() + 3000000000u;
        taken = 0;
        publish(1);
        while (taken < (uint64_t)reader_count && now_ns() < end_ns) {
            (void)readers_take(100);
        }
        if (taken == (uint64_t)reader_count) {
            return;
        }
    }
    errno = 0;
    fail("events do not reach all readers");
}

static double cpu_s(const side *s) {
    double sum = 0;
    for (int i = 0; i < s->count; i++) {
        sum += now_s(s->parts[i].clock);
    }
    return sum;
}

static double rss(const side *s) {
    double sum = 0;
    for (int i = 0; i < s->count; i++) {
        sum += resident(&s->parts[i]);
    }
    return sum;
}

static double slot_ms(double part) {
    uint64_t all = 0;
    uint64_t sum = 0;
    for (int i = 0; i < SLOTS; i++) {
        all += slots[i];
    }
    for (int i = 0; i < SLOTS; i++) {
        sum += slots[i];
        if (all > 0 && (double)sum >= part * (double)all) {
            return (i + 1) * (SLOT_US / 1e3);
        }
    }
    return 0;
}

static void row(const side *s, int p, figures *f) {
    static uint32_t counts[SLOTS];
    const double cpu = cpu_s(s);
    const double broker = now_s(redis.clock);
    const uint32_t events = (uint32_t)(patterns[p].burst * patterns[p].steps);
    uint64_t next_ns = now_ns();
    uint64_t all = 0;
    memset(counts, 0, sizeof(counts));
    slots = counts;
    taken = missing = 0;
    for (int i = 0; i < patterns[p].steps; i++) {
        publish(patterns[p].burst);
        all += (uint64_t)patterns[p].burst * (uint64_t)reader_count;
        next_ns += (uint64_t)patterns[p].every_ms * 1000000u;
        if (!patterns[p].by_time) {
            take_all(all);
        }
        for (uint64_t at = now_ns(); at < next_ns; at = now_ns()) {
            (void)readers_take((int)((next_ns - at) / 1000000u) + 1);
        }
        next_ns = patterns[p].by_time ? next_ns : now_ns();
    }
    take_all(all);
    f->us = (cpu_s(s) - cpu) * 1e6 / (double)taken;
    f->broker_us = (now_s(redis.clock) - broker) * 1e6 / events;
    f->p50_ms = slot_ms(0.5);
    f->p99_ms = slot_ms(0.99);
    f->delivered = (double)taken * 100 / (double)all;
    slots = NULL;
}

static void title_of(int index, char *out, size_t size) {
    (void)snprintf(out, size, "%s, %s", index < PATTERNS ? "SSE" : "WebSocket",
                   patterns[index % PATTERNS].title);
}

static int wanted(int index) {
    char title[60];
    title_of(index, title, sizeof(title));
    return strstr(title, only) != NULL;
}

// One server, one transport: started, its rows, ended.
static void visit(int k, int sse, int round) {
    side *s = &sides[k];
    const int first = sse ? 0 : PATTERNS;
    int any = 0;
    for (int p = 0; p < PATTERNS; p++) {
        any |= wanted(first + p);
    }
    if (!any) {
        return;
    }
    for (int i = 0; i < s->count; i++) {
        server_start(&s->parts[i], reader_count / s->count + SPARE, i % 2);
        wait_ready(&s->parts[i]);
    }
    server_name = s->parts[0].name;
    poller = epoll_create1(EPOLL_CLOEXEC);
    const double before = rss(s);
    const double began = cpu_s(s);
    readers_open(s, sse);
    const double open_us = (cpu_s(s) - began) * 1e6 / reader_count;
    publisher_open(s);
    warm_up();
    for (int p = 0; p < PATTERNS; p++) {
        if (wanted(first + p)) {
            row(s, p, &results[first + p][k][round]);
        }
    }
    for (int p = 0; p < PATTERNS; p++) {
        results[first + p][k][round].open_us = open_us;
        results[first + p][k][round].rss = (rss(s) - before) / reader_count;
    }
    readers_close();
    close(publisher);
    close(poller);
    for (int i = 0; i < s->count; i++) {
        server_kill(&s->parts[i]);
    }
}

// -- printing -------------------------------------------------------------------------------------

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(int index, int k, int field) {
    double values[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        memcpy(&values[i], (const char *)&results[index][k][i] + (size_t)field * sizeof(double),
               sizeof(double));
    }
    qsort(values, (size_t)rounds, sizeof(double), ascending);
    return (values[(rounds - 1) / 2] + values[rounds / 2]) / 2;
}

static void print_all(FILE *csv) {
    static const char *const heads[FIGURES] = {"us",       "of first", "of last",
                                               "p50 ms",   "p99 ms",   "of first",
                                               "% of all", "open us",  "RSS",
                                               "broker us"};
    for (int index = 0; index < ROWS; index++) {
        char title[60];
        title_of(index, title, sizeof(title));
        if (!wanted(index)) {
            continue;
        }
        printf("\n%-28s", title);
        for (int i = 0; i < FIGURES; i++) {
            printf(" %9s", heads[i]);
        }
        printf("\n");
        for (int k = 0; k < side_count; k++) {
            for (int i = 0; i < rounds; i++) {
                figures *f = &results[index][k][i];
                f->of_first = f->us / results[index][0][i].us;
                f->of_last = f->us / results[index][side_count - 1][i].us;
                f->p99_of_first = f->p99_ms / results[index][0][i].p99_ms;
            }
            printf("    %-24s", sides[k].parts[0].name);
            if (csv) {
                fprintf(csv, "\"%s\",%s", title, sides[k].parts[0].name);
            }
            for (int i = 0; i < FIGURES; i++) {
                const double value = median(index, k, i);
                printf(" %9.*f", value < 100 ? 2 : 0, value);
                if (csv) {
                    fprintf(csv, ",%.3f", value);
                }
            }
            printf("\n");
            if (csv) {
                fprintf(csv, "\n");
            }
        }
    }
}

// -- start ----------------------------------------------------------------------------------------

// NAME:HOW[COUNT]=COMMAND
static int side_parse(side *s, char *text) {
    static const char *const words[] = {"self", "via", "redis"};
    char *command = strchr(text, '=');
    char *kind = command ? memchr(text, ':', (size_t)(command - text)) : NULL;
    if (kind == NULL) {
        return -1;
    }
    *command++ = '\0';
    *kind++ = '\0';
    for (int i = 0; i < 3; i++) {
        const size_t len = strlen(words[i]);
        if (strncmp(kind, words[i], len) == 0) {
            s->count = kind[len] ? atoi(kind + len) : 1;
            for (int k = 0; k < PARTS_MAX; k++) {
                s->parts[k].kind = i;
                s->parts[k].command = command;
                (void)snprintf(s->parts[k].name, sizeof(s->parts[k].name), "%s", text);
            }
            return s->count >= 1 && s->count <= PARTS_MAX ? 0 : -1;
        }
    }
    return -1;
}

static int usage(void) {
    fputs("usage: crowd [-r READERS] [-n ROUNDS] [-w WORD] [-o CSV] -b REDIS_PORT:PID -v COMMAND "
          "NAME:HOW[COUNT]=COMMAND ...\n",
          stderr);
    return EXIT_FAILURE;
}

static void raise_files(void) {
    struct rlimit files = {0, 0};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    errno = 0;
    if (files.rlim_cur < (rlim_t)reader_count + SPARE) {
        fail("too few files allowed (ulimit -n)");
    }
}

int main(int argc, char **argv) {
    FILE *csv = NULL;
    int option;
    while ((option = getopt(argc, argv, "r:n:w:o:b:v:")) != -1) {
        switch (option) {
            case 'r': reader_count = atoi(optarg); break;
            case 'n': rounds = atoi(optarg); break;
            case 'w': only = optarg; break;
            case 'o':
                if ((csv = fopen(optarg, "w")) == NULL) {
                    fail(optarg);
                }
                break;
            case 'b':
                redis.port = atoi(optarg);
                redis.pid = strchr(optarg, ':') ? (pid_t)atoi(strchr(optarg, ':') + 1) : 0;
                break;
            case 'v': via.command = optarg; break;
            default: return usage();
        }
    }
    for (; optind < argc && side_count < SERVERS_MAX; optind++, side_count++) {
        if (side_parse(&sides[side_count], argv[optind]) < 0) {
            return usage();
        }
    }
    if (side_count == 0 || optind < argc || redis.pid == 0 || reader_count < 1 ||
        reader_count > READERS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
        return usage();
    }
    raise_files();
    if (clock_getcpuclockid(redis.pid, &redis.clock) != 0) {
        fail("clock of Redis");
    }
    (void)atexit(end_all);
    if (via.command) {
        (void)snprintf(via.name, sizeof(via.name), "via");
        server_start(&via, SPARE, 1);
        wait_ready(&via);
    }
    printf("%d readers, client on processor %d, servers on the first; medians of %d rounds\n",
           reader_count, pin(1), rounds);
    for (int round = 0; round < rounds; round++) {
        for (int k = 0; k < side_count; k++) {
            visit(k, 1, round);
            visit(k, 0, round);
        }
    }
    if (csv) {
        fputs("row,server,us,of_first,of_last,p50_ms,p99_ms,p99_of_first,delivered,open_us,rss,"
              "broker_us\n",
              csv);
    }
    print_all(csv);
    if (csv && fclose(csv) != 0) {
        fail("the file of figures");
    }
    return EXIT_SUCCESS;
}
