// faults.h - what faults.c of the ports share: system calls that fail in turn, the handlers of the
// server under test, and how a test is checked and run. Include it after rtpush.h, and after BIG,
// the bytes of the answer to /big, is an enumerator; before the port, whose calls FAULT replaces.

#ifndef T_FAULTS_H
#define T_FAULTS_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

// -- the fault: call `skip` + 1 of this name gives `result` and errno, `times` times --------------

static const char *fault_name = "";
static int fault_skip;
static int fault_times;
static int fault_error;
static long fault_result;
static int fault_hits;

static void fault(const char *name, int skip, int times, int error, long result) {
    fault_name = name;
    fault_skip = skip;
    fault_times = times;
    fault_error = error;
    fault_result = result;
    fault_hits = 0;
}

static int fault_is_due(const char *name) {
    if (strcmp(name, fault_name) != 0 || fault_skip-- > 0 || fault_times-- <= 0) {
        return 0;
    }
    fault_hits++;
    errno = fault_error;
    return 1;
}

// The system call NAME, or the fault.
#define FAULT(type, name, parameters, arguments) \
    static type fault_##name parameters { \
        return fault_is_due(#name) ? (type)fault_result : (type)name arguments; \
    }

// -- checks ---------------------------------------------------------------------------------------

static const char *test_name = "";
static int wrong; // in this test

static void check(int holds, const char *what, int line) {
    if (!holds) {
        printf("FAIL %s, line %d: %s (errno %d)\n", test_name, line, what, errno);
        wrong = 1;
    }
}
#define CHECK(condition) check(!!(condition), #condition, __LINE__)

static int descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static int option_of(int fd, int level, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    CHECK(getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}

// -- the server's handlers ------------------------------------------------------------------------

static uint8_t big[BIG];
static int closed; // calls of on_close
static uint32_t seen_peer;
static int seen_secure;
static rtpush_handle waiting; // of /later

static void on_close(rtpush_server *server, rtpush_handle conn, const rtpush_closed *how) {
    (void)server;
    (void)conn;
    (void)how;
    closed++;
}

static void on_big(rtpush_server *server, const rtpush_request *req) {
    rtpush_response response;
    memset(&response, 0, sizeof response);
    response.body = big;
    response.len = BIG;
    response.body_static = 1;
    seen_peer = req->peer;
    rtpush_reply(server, req->conn, &response);
}

static void on_hello(rtpush_server *server, const rtpush_request *req) {
    seen_peer = req->peer;
    seen_secure = req->secure;
    rtpush_reply_text(server, req->conn, 200, "hello");
}

static void on_later(rtpush_server *server, const rtpush_request *req) {
    (void)server;
    waiting = req->conn;
}

// -- running --------------------------------------------------------------------------------------

typedef struct fault_test {
    const char *name;
    void (*run)(void);
} fault_test;
#define TEST(name) {#name, name}

// Each must leave as many descriptors as it found. Returns main's result.
static int run_tests(const fault_test *tests, size_t count) {
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < count; i++) {
        const int before = descriptors();
        test_name = tests[i].name;
        wrong = 0;
        tests[i].run();
        CHECK(descriptors() == before);
        failed += wrong;
    }
    printf("%d passed, %d failed\n", (int)count - failed, failed);
    return failed > 0;
}

#endif
