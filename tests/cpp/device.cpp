// A device in C++ that uses every call of ports/rtpush.hpp, for the compilers (tests/cpp/run.sh) and
// for real clients (tests/clients/cpp.test.mjs). Without a port it has begin() alone.
#ifndef T_LINKED // with the core in an object
#define RTPUSH_IMPLEMENTATION
#endif
#include "rtpush.h"
#if defined(WITH_SOCKETS)
#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "ports/rtpush_sockets.h"
#elif defined(WITH_LWIP)
#define RTPUSH_LWIP_IMPLEMENTATION
#include "ports/rtpush_lwip.h"
#elif defined(WITH_POSIX)
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
#endif
#include "ports/rtpush.hpp"

static constexpr rtpush_asset page =
    rtpush::asset("text/html; charset=utf-8", "<!doctype html><title>C++</title>", "v1");
static rtpush::Server<8, 512, 512, 4096, 12, 4, 64> server;
static rtpush::Topic level, record;
static rtpush::Client waiting; // answered later, from another route
static unsigned opened, gone, missed_events, room; // what callbacks have seen

struct String { // as far as Topic::publish needs Arduino's
    const char *text;
    const char *c_str() const { return text; }
    unsigned length() const { return (unsigned)strlen(text); }
};

static int count_pieces(rtpush::Request &request, const uint8_t *data, size_t len, int last) {
    static size_t bytes;
    (void)data;
    bytes += len;
    if (last) {
        char text[2] = {(char)('0' + bytes / 1000), '\0'};
        bytes = 0;
        return request.send(200, "text/plain", text);
    }
    return RTPUSH_OK;
}

static void routes_of_http() {
    server.file("/", page);
    server.on("/hello", [](rtpush::Request &request) {
        char name[16];
        if (request.param("name", name, sizeof name) < 0) {
            request.send(400);
        } else {
            request.send(200, "text/plain", name);
        }
    });
    server.on("/form", RTPUSH_POST, [](rtpush::Request &request) {
        char value[16];
        request.send(rtpush_query(request.body(), "level", value, sizeof value) >= 0 &&
                     level.publish(value) == RTPUSH_OK ? 200 : 400);
    }).body(64);
    server.on("/upload", RTPUSH_POST, [](rtpush::Request &request) {
        if (request->content_length == 0) {
            request.send(200, "text/plain", "nothing");
        }
    }).body(100000, count_pieces);
    server.on("/later", [](rtpush::Request &request) { waiting = request; })
        .close([](rtpush::Client, const rtpush_closed &) { gone++; });
    server.on("/now", [](rtpush::Request &request) {
        request.send(waiting.send(200, "text/plain", "at last") == RTPUSH_OK ? 200 : 409);
    });
    server.on("/state", [](rtpush::Request &request) {
        char text[] = "0 0 0 0";
        text[0] = (char)('0' + opened % 10);
        text[2] = (char)('0' + gone % 10);
        text[4] = missed_events != 0 ? '1' : '0';
        text[6] = room != 0 ? '1' : '0';
        request.send(200, "text/plain", text);
    });
}

static void routes_of_streams() {
    server.websocket("/echo").message([](rtpush::Client client, const rtpush_message &message) {
        return message.opcode == RTPUSH_TEXT_MESSAGE ? client.text(message.data, message.len)
                                                     : client.binary(message.data, message.len);
    })->topics = record.mask();
    rtpush::Route log = server.websocket("/log").open([](rtpush::Request &request) {
        opened++;
        request.user(&opened);
        request.text(request->path);
    }).message([](rtpush::Client client, const rtpush_message &message) {
        if (message.len == 3 && client.user() == &opened) { // "bye"
            client.close(4000, "bye");
        } else if (message.len == 5) { // "flood"
            while (client.text("0123456789012345678901234567890123456789") == RTPUSH_OK) { }
        } else {
            record.publish(message.data, message.len);
        }
    }).close([](rtpush::Client, const rtpush_closed &closed) {
        gone += closed.close_code != 0;
    });
    log->on_writable = [](rtpush_server *, rtpush_handle) { room++; };
    log->on_gap = [](rtpush_server *, rtpush_handle, uint32_t missed) {
        missed_events += (unsigned)missed;
    };
    server.events("/events")->topics = level.mask();
    server.poll("/poll");
}

// nullptr, or what is wrong.
static const char *setup_device(unsigned number) {
    server.name("device");
    level = server.state("level", 16);
    record = server.event("record");
    routes_of_http();
    routes_of_streams();
    server.desc.max_streams = 6;
#if defined(WITH_SOCKETS) || defined(WITH_LWIP) || defined(WITH_POSIX)
    const char *wrong = server.start((uint16_t)number, "127.0.0.1");
#else
    (void)number;
    server.desc.epoch = 1;
    const char *wrong = server.begin();
#endif
    level.publish(String{"1"});
    return wrong;
}

#if defined(WITH_SOCKETS) || defined(WITH_POSIX)
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t ended;

int main(int argc, char **argv) {
    const unsigned number = argc > 1 ? (unsigned)atoi(argv[1]) : 8080;
    signal(SIGTERM, [](int) { ended = 1; });
    const char *wrong = setup_device(number);
    if (wrong != nullptr) {
        fprintf(stderr, "%s\n", wrong);
        return 1;
    }
    printf("listening on http://127.0.0.1:%u\n", number);
    fflush(stdout);
    while (!ended) {
        server.step(20);
    }
}
#else
int main() {
    for (const char *wrong = setup_device(80); wrong == nullptr;) {
        record.publish_from("from an interrupt", 17);
        server.topic("level").publish("2");
#ifdef WITH_LWIP
        server.step();
#else
        (void)rtpush_tick(server.c(), 0);
#endif
    }
}
#endif
