// threads.c - publishing from other threads through the POSIX port, for the thread sanitizer.
//
// Two threads publish by rtpush_publish_from, EVENT and STATE topics, while the loop serves readers
// over real sockets. Each reader checks what it is promised: events of one publisher in order,
// every event delivered or told as missed. Then a loop is stopped from another thread while a
// request waits for its answer.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"

enum { CONNS = 8, READERS = 3, PUBLISHERS = 2, EVENTS = 3000, RX = 512, TX = 1024, LOG = 16384 };

static const rtpush_topic topics[] = {{.name = "event", .kind = &rtpush_topic_event},
                                      {.name = "state", .kind = &rtpush_topic_state, .max = 32},
                                      {.name = "end", .kind = &rtpush_topic_state, .max = 32}};
static int asked; // atomic

static void on_later(rtpush_server *server, const rtpush_request *request) {
    (void)server;
    (void)request;
    __atomic_store_n(&asked, 1, __ATOMIC_RELEASE); // and never answers
}

static int closed;

static void on_close(rtpush_server *server, rtpush_handle conn, const rtpush_closed *how) {
    (void)server;
    (void)conn;
    (void)how;
    closed++;
}

static const rtpush_route routes[] = {{.path = "/events", .kind = &rtpush_events},
                                      {.path = "/later", .kind = &rtpush_handler,
                                        .on_request = on_later, .on_close = on_close}};
static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 3, 64)];
static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
static rtpush_server srv;
static rtpush_posix port;
static int number; // TCP port

typedef struct reader {
    pthread_t thread;
    const char *fault; // NULL: all is well
    uint32_t events;
    uint32_t missed;
} reader;

static void *publisher(void *argument) {
    const unsigned me = *(unsigned *)argument;
    for (unsigned i = 0; i < EVENTS; i++) {
        char text[32];
        const int len = snprintf(text, sizeof text, "%u %u", me, i);
        rtpush_publish_from(&srv, 0, text, (size_t)len);
        rtpush_publish_from(&srv, 1, text, (size_t)len);
        if (i % 50 == 0) {
            usleep(1000); // the loop shall see many states, not one burst
        }
    }
    return NULL;
}

// One line of the stream. 1 at the end of it.
static int take_line(reader *r, const char *line, int *kind, unsigned last[PUBLISHERS],
                     uint32_t *seq) {
    unsigned from = 0;
    unsigned value = 0;
    if (sscanf(line, "id: %*8x-%8x", &value) == 1) {
        if (value < *seq) {
            r->fault = "an id goes back";
        }
        *seq = value;
    } else if (strncmp(line, "event: ", 7) == 0) {
        *kind = line[7]; // e, s, r(tpush); the topic end is told from event by its second letter
        *kind = strcmp(line + 7, "end") == 0 ? 'x' : *kind;
    } else if (sscanf(line, "data: gap %u", &value) == 1) {
        r->missed += value;
    } else if (*kind == 'e' && sscanf(line, "data: %u %u", &from, &value) == 2) {
        if (from >= PUBLISHERS || (last[from] != 0 && value + 1 <= last[from])) {
            r->fault = "an event comes late or twice";
            return 1;
        }
        last[from] = value + 1;
        r->events++;
    } else if (*kind == 'x' && strncmp(line, "data: ", 6) == 0) {
        return 1;
    }
    return r->fault != NULL;
}

static void *read_stream(void *argument) {
    reader *r = argument;
    static const char request[] = "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    struct timeval patience = {.tv_sec = 60, .tv_usec = 0};
    unsigned last[PUBLISHERS] = {0};
    uint32_t seq = 0;
    int kind = 0;
    char line[256];
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    FILE *stream = fdopen(fd, "r");
    r->fault = "cannot connect";
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        write(fd, request, sizeof request - 1) == (ssize_t)(sizeof request - 1)) {
        r->fault = "the stream ends early";
        while (fgets(line, sizeof line, stream)) {
            line[strcspn(line, "\r\n")] = '\0';
            r->fault = NULL;
            if (take_line(r, line, &kind, last, &seq)) {
                break;
            }
            r->fault = "the stream ends early";
        }
    }
    fclose(stream);
    return NULL;
}

static void *conduct(void *argument) {
    reader *readers = argument;
    pthread_t threads[PUBLISHERS];
    unsigned names[PUBLISHERS];
    for (int i = 0; i < READERS; i++) {
        pthread_create(&readers[i].thread, NULL, read_stream, &readers[i]);
    }
    usleep(300000); // they are connected; one that is not yet begins later, which is as right
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        names[i] = i;
        pthread_create(&threads[i], NULL, publisher, &names[i]);
    }
    for (int i = 0; i < PUBLISHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    usleep(500000);
    rtpush_publish_from(&srv, 2, "end", 3);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
    }
    rtpush_posix_stop(&port);
    return NULL;
}

// Asks what is never answered; stops the loop once it sleeps.
static void *stop_in_sleep(void *argument) {
    static const char request[] = "GET /later HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        write(fd, request, sizeof request - 1) < 0) {
        perror("connect");
    }
    while (!__atomic_load_n(&asked, __ATOMIC_ACQUIRE)) {
        usleep(1000);
    }
    usleep(50000);
    rtpush_posix_stop(&port);
    *(int *)argument = fd;
    return NULL;
}

static int failed;

static int verdict(const char *name, int passed) {
    printf("%s %s\n", passed ? "ok  " : "FAIL", name);
    return passed ? 0 : 1;
}

// All other deadlines are hours away: only stop_ms can end it. Without it the alarm does.
static int stop_ends_in_time(rtpush_desc *desc, rtpush_posix_desc *posix) {
    pthread_t thread;
    int fd = -1;
    desc->reply_ms = desc->head_ms = desc->idle_ms = 8000000;
    posix->stop_ms = 100;
    if (rtpush_init(&srv, desc) || rtpush_posix_init(&port, posix) ||
        (number = rtpush_posix_listen(&port, &srv, "127.0.0.1", 0, 0)) < 0) {
        return 0;
    }
    pthread_create(&thread, NULL, stop_in_sleep, &fd);
    const int ended = rtpush_posix_run(&port);
    pthread_join(thread, NULL);
    failed += verdict("what_stop_resets_is_closed_for_the_application_too",
                      closed == 1 && rtpush_get_counters(&srv)->slots_used == 0);
    rtpush_posix_close(&port);
    close(fd);
    return ended == 0;
}

int main(void) {
    reader readers[READERS] = {{0}};
    pthread_t conductor;
    rtpush_desc desc = {.routes = routes, .route_count = 2, .topics = topics, .topic_count = 3,
                        .memory = memory, .memory_size = sizeof memory, .conn_count = CONNS,
                        .rx_size = RX, .tx_size = TX, .log_size = LOG,
                        .epoch = rtpush_posix_epoch()};
    rtpush_posix_desc posix = {.memory = port_memory, .memory_size = sizeof port_memory};
    if (rtpush_init(&srv, &desc) || rtpush_posix_init(&port, &posix) ||
        (number = rtpush_posix_listen(&port, &srv, "127.0.0.1", 0, 0)) < 0) {
        fprintf(stderr, "not started: %s\n", rtpush_config_error(&srv));
        puts("0 passed, 1 failed");
        return 1;
    }
    pthread_create(&conductor, NULL, conduct, readers);
    failed += verdict("loop_ends_in_order", rtpush_posix_run(&port) == 0);
    pthread_join(conductor, NULL);
    for (int i = 0; i < READERS; i++) {
        if (readers[i].fault) {
            printf("     reader %d: %s\n", i, readers[i].fault);
        }
        failed += verdict("reader_gets_events_in_order_to_the_end",
                          !readers[i].fault && readers[i].events > 0);
        failed += verdict("every_event_is_delivered_or_told_as_missed",
                          readers[i].events + readers[i].missed == PUBLISHERS * EVENTS);
    }
    failed += verdict("all_slots_are_free", rtpush_get_counters(&srv)->slots_used == 0);
    rtpush_posix_close(&port);
    alarm(30);
    failed += verdict("a_loop_that_is_stopped_waits_for_stop_ms_only",
                      stop_ends_in_time(&desc, &posix));
    printf("%d passed, %d failed\n", 4 + 2 * READERS - failed, failed);
    return failed != 0;
}
