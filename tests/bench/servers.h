// Servers that a benchmark starts, each on a processor, their CPU time and memory, and connections
// to them. The program defines PROGRAM, its name, before it includes this.

#ifndef BENCH_SERVERS_H
#define BENCH_SERVERS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 32 }; // of a command

typedef struct server {
    char name[32];
    char *command;
    int kind; // for the program that starts it
    pid_t pid;
    int port;
    clockid_t clock; // of its CPU time
} server;

static void fail(const char *what) {
    fprintf(stderr, PROGRAM ": %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(EXIT_FAILURE);
}

static double now_s(clockid_t which) {
    struct timespec t;
    if (clock_gettime(which, &t) < 0) {
        fail("clock of a server that ended");
    }
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Pins the caller to the first or the last processor it may use.
static int pin(int last) {
    cpu_set_t may;
    cpu_set_t one;
    int chosen = -1;
    if (sched_getaffinity(0, sizeof(may), &may) < 0) {
        return -1;
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &may) && (chosen < 0 || last)) {
            chosen = i;
        }
    }
    CPU_ZERO(&one);
    CPU_SET(chosen, &one);
    return sched_setaffinity(0, sizeof(one), &one) < 0 ? -1 : chosen;
}

// `conns` stands for the word {conns}.
static void server_exec(char *command, const char *conns, int last) {
    const char *words[WORDS_MAX + 1] = {NULL};
    int count = 0;
    for (char *w = strtok(command, " "); w && count < WORDS_MAX; w = strtok(NULL, " ")) {
        words[count++] = strcmp(w, "{conns}") == 0 ? conns : w;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // no server outlives its client
    (void)pin(last);
    (void)execvp(words[0], (char *const *)words);
    _exit(127);
}

// Starts it on a free port, which it prints: "listening on http://127.0.0.1:40123". It runs on the
// first or the last processor allowed.
static void server_start(server *s, int conns, int last) {
    int out[2];
    char number[16];
    char line[200] = "";
    size_t len = 0;
    (void)snprintf(number, sizeof(number), "%d", conns);
    if (pipe(out) < 0) {
        fail("pipe");
    }
    s->pid = fork();
    if (s->pid < 0) {
        fail("fork");
    }
    if (s->pid == 0) {
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(out[0]);
        (void)close(out[1]);
        server_exec(s->command, number, last);
    }
    close(out[1]);
    while (len < sizeof(line) - 1 && strchr(line, '\n') == NULL) {
        const ssize_t n = read(out[0], line + len, sizeof(line) - 1 - len);
        if (n <= 0) {
            errno = 0;
            fprintf(stderr, PROGRAM ": %s: %s\n", s->name, s->command);
            fail("did not start");
        }
        len += (size_t)n;
        line[len] = '\0';
    }
    const char *colon = strrchr(line, ':'); // the pipe stays open: it may print more
    s->port = colon ? atoi(colon + 1) : 0;
    const int error = clock_getcpuclockid(s->pid, &s->clock);
    if (error) {
        errno = error;
        fail("clock of a server");
    }
}

static void server_kill(server *s) {
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

static double resident(const server *s) {
    char path[64];
    unsigned long pages = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)s->pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%*u %lu", &pages) != 1) {
        fail(path);
    }
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

// -- connections to them --------------------------------------------------------------------------

// -1: nobody listens.
static int try_dial(int port) {
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    // Ethernet's: loopback's 64 KB and delayed acknowledgements stall senders.
    const int segment = 1460;
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0) {
        fail("socket");
    }
    if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int dial(int port) {
    const int fd = try_dial(port);
    if (fd < 0) {
        fail("connect");
    }
    return fd;
}

static void send_all(int fd, const void *data, size_t len) {
    for (size_t at = 0; at < len;) {
        const ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            fail("send");
        }
        at += (size_t)n;
    }
}

static int ask(int port, const char *path, int sse) {
    char text[400];
    const int fd = dial(port);
    const int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path,
                           sse ? "Accept: text/event-stream\r\n"
                               : "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    send_all(fd, text, (size_t)n);
    return fd;
}

#endif // BENCH_SERVERS_H
