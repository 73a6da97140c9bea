// lwip.c - ports/rtpush_sockets.h over the sockets of real lwIP, as on FreeRTOS and ESP-IDF: the
// server in a thread, clients in others, over the loop interface. Built with lwIP's core locked by
// a mutex (and without SO_LINGER) and with messages to tcpip_thread (run.sh). The last line is
// `N passed, N failed`.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rtpush.h"
#define RTPUSH_SOCKETS_LWIP
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "ports/rtpush_sockets.h"

#include <lwip/stats.h>
#include <lwip/tcpip.h>

enum { CONNS = 6, RX = 512, TX = 1024, LOG = 32768, BIG = 200000, EVENTS = 400, PUBLISHERS = 2 };

static rtpush_server srv;
static rtpush_sockets port;
static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 1, 0)];
static uint64_t port_memory[RTPUSH_SOCKETS_WORDS(CONNS)];
static uint8_t big[BIG];
static int number; // TCP port, or the error
static int result; // of rtpush_sockets_run
static rtpush_handle waiting;
static int later; // requests of /later; under the port's lock
static int passed;
static int failed;

static void check(int holds, const char *what, int line) {
    passed += holds;
    failed += !holds;
    if (!holds) {
        printf("FAIL line %d: %s\n", line, what);
    }
}
#define CHECK(condition) check(!!(condition), #condition, __LINE__)

void os_assert(const char *what, const char *file, int line) { // of lwIP
    printf("FAIL %s:%d: %s\n", file, line, what);
    abort();
}

static void on_hello(rtpush_server *server, const rtpush_request *req) {
    rtpush_reply_text(server, req->conn, 200, "hello");
}

static void on_big(rtpush_server *server, const rtpush_request *req) {
    rtpush_response response;
    memset(&response, 0, sizeof response);
    response.body = big;
    response.len = BIG;
    response.body_static = 1;
    rtpush_reply(server, req->conn, &response);
}

static void on_later(rtpush_server *server, const rtpush_request *req) {
    (void)server;
    waiting = req->conn;
    rtpi_sockets_on_lock(&port);
    later++;
    rtpi_sockets_on_unlock(&port);
}

static int asked_later(void) {
    rtpi_sockets_on_lock(&port);
    const int count = later;
    rtpi_sockets_on_unlock(&port);
    return count;
}

static void answer(rtpush_server *server, void *conn) {
    rtpush_reply_text(server, *(rtpush_handle *)conn, 200, "late");
}

static const rtpush_topic topics[] = {{"log", &rtpush_topic_event, 0, 0}};
static const rtpush_route routes[] = {
    {.path = "/hello", .kind = &rtpush_handler, .on_request = on_hello},
    {.path = "/big", .kind = &rtpush_handler, .on_request = on_big},
    {.path = "/later", .kind = &rtpush_handler, .on_request = on_later},
    {.path = "/events", .kind = &rtpush_events},
};

static int start(size_t port_size) {
    rtpush_desc desc;
    rtpush_sockets_desc sockets;
    memset(&desc, 0, sizeof desc);
    memset(&sockets, 0, sizeof sockets);
    desc.routes = routes;
    desc.route_count = sizeof routes / sizeof routes[0];
    desc.topics = topics;
    desc.topic_count = 1;
    desc.memory = memory;
    desc.memory_size = sizeof memory;
    desc.conn_count = CONNS;
    desc.rx_size = RX;
    desc.tx_size = TX;
    desc.log_size = LOG;
    desc.epoch = 5;
    CHECK(rtpush_init(&srv, &desc) == RTPUSH_OK);
    static uint64_t larger[RTPUSH_SOCKETS_WORDS(CONNS + 10)];
    sockets.memory = port_size > sizeof port_memory ? larger : port_memory;
    sockets.memory_size = port_size;
    return rtpush_sockets_init(&port, &srv, &sockets);
}

static void *serve(void *unused) {
    (void)unused;
    result = rtpush_sockets_run(&port);
    return NULL;
}

static int dial(void) {
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = lwip_htons((u16_t)number);
    at.sin_addr.s_addr = lwip_htonl(0x7F000001u);
    const int fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience;
    patience.tv_sec = 20;
    patience.tv_usec = 0;
    (void)lwip_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (lwip_connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        lwip_close(fd);
        return -1;
    }
    return fd;
}

static void say(int fd, const char *path, const char *more) {
    char head[200];
    const int len = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                             path, more);
    CHECK(lwip_send(fd, head, (size_t)len, 0) == len);
}

// Reads to the end of the connection, or until `text` was there. Returns the bytes, or -1.
static long read_until(int fd, const char *text) {
    static char buffer[BIG + 1000];
    size_t len = 0;
    while (len < sizeof buffer - 1u) {
        const ssize_t n = lwip_recv(fd, buffer + len, sizeof buffer - 1u - len, 0);
        if (n <= 0) {
            return text == NULL && n == 0 ? (long)len : -1;
        }
        len += (size_t)n;
        buffer[len] = '\0';
        if (text != NULL && strstr(buffer, text) != NULL) {
            return (long)len;
        }
    }
    return -1;
}

static int says_hello(void) {
    const int fd = dial();
    if (fd < 0) {
        return 0;
    }
    say(fd, "/hello", "");
    const long got = read_until(fd, "hello");
    lwip_close(fd);
    return got > 0;
}

static void *publish(void *unused) {
    (void)unused;
    for (int i = 0; i < EVENTS; i++) {
        (void)rtpush_publish_from(&srv, 0, "news", 4);
        if (i % 10 == 0) {
            usleep(1000); // the loop shall fall asleep in between
        }
    }
    return NULL;
}

// Events and losses that a reader of the stream is told of, until both make up `all`.
static long read_events(int fd, long all) {
    static char line[65536];
    size_t len = 0;
    long told = 0;
    while (told < all && len < sizeof line - 1u) {
        const ssize_t n = lwip_recv(fd, line + len, sizeof line - 1u - len, 0);
        if (n <= 0) {
            return -1;
        }
        len += (size_t)n;
        line[len] = '\0';
        for (char *end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
            unsigned missed = 0;
            told += strncmp(line, "data: news", 10) == 0;
            told += sscanf(line, "data: gap %u", &missed) == 1 ? (long)missed : 0;
            len -= (size_t)(end + 1 - line);
            memmove(line, end + 1, len + 1u);
        }
    }
    return told;
}

static void requests(void) {
    int good = 0;
    for (int i = 0; i < 40; i++) {
        good += says_hello();
    }
    CHECK(good == 40);
    const int fd = dial();
    say(fd, "/big", "Connection: close\r\n");
    CHECK(read_until(fd, NULL) > BIG);
    lwip_close(fd);
}

// Some read nothing, some go in the middle of an answer, and there are more than slots.
static void a_crowd(void) {
    int fd[CONNS + 2];
    for (int i = 0; i < CONNS + 2; i++) {
        fd[i] = dial();
        if (fd[i] >= 0 && i % 2 == 0) {
            char head[] = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
            (void)lwip_send(fd[i], head, sizeof head - 1u, 0);
        }
    }
    usleep(100000);
    for (int i = 0; i < CONNS + 2; i++) {
        if (fd[i] >= 0) {
            lwip_close(fd[i]); // with unread data: a reset
        }
    }
    int served = 0;
    for (int i = 0; i < 100 && !served; i++) {
        served = says_hello();
        usleep(served ? 0 : 50000);
    }
    CHECK(served);
}

static void other_tasks(void) {
    pthread_t publisher[PUBLISHERS];
    const int reader = dial();
    say(reader, "/events", "");
    CHECK(read_until(reader, "fresh") > 0);
    for (int i = 0; i < PUBLISHERS; i++) {
        pthread_create(&publisher[i], NULL, publish, NULL);
    }
    CHECK(read_events(reader, PUBLISHERS * EVENTS) == PUBLISHERS * EVENTS);
    for (int i = 0; i < PUBLISHERS; i++) {
        pthread_join(publisher[i], NULL);
    }
    lwip_close(reader);
    const int before = asked_later();
    const int fd = dial();
    say(fd, "/later", "");
    for (int i = 0; i < 400 && asked_later() == before; i++) {
        usleep(10000);
    }
    CHECK(asked_later() == before + 1);
    CHECK(rtpush_sockets_call(&port, answer, &waiting) == 0);
    CHECK(read_until(fd, "late") > 0);
    lwip_close(fd);
}

int main(void) {
    tcpip_init(NULL, NULL);
    CHECK(start(RTPUSH_SOCKETS_SIZE(CONNS + 8, 1024)) == RTPUSH_SOCKETS_ERR_LIMIT);
    CHECK(strstr(rtpush_sockets_strerror(RTPUSH_SOCKETS_ERR_LIMIT), "MEMP_NUM_NETCONN") != NULL);
    rtpush_sockets_close(&port);
    CHECK(start(RTPUSH_SOCKETS_SIZE(CONNS + 7, 1024)) >= 0); // connections, waker, one listener
    CHECK(rtpush_sockets_listen(&port, NULL, 0, 0) > 0);
    CHECK(rtpush_sockets_listen(&port, NULL, 0, 0) == RTPUSH_SOCKETS_ERR_LIMIT);
    rtpush_sockets_close(&port);
    for (int round = 0; round < 2; round++) {
        pthread_t loop;
        CHECK(start(sizeof port_memory) == (LWIP_SO_LINGER ? 0 : RTPUSH_SOCKETS_NO_RESET));
        number = rtpush_sockets_listen(&port, NULL, 0, 0);
        CHECK(number > 0);
        pthread_create(&loop, NULL, serve, NULL);
        requests();
        a_crowd();
        other_tasks();
        rtpush_sockets_stop(&port);
        pthread_join(loop, NULL);
        CHECK(result == 0);
        rtpush_sockets_close(&port);
        CHECK(rtpush_get_counters(&srv)->slots_used == 0);
    }
    CHECK(lwip_stats.memp[MEMP_NETCONN]->used == 0);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
