// rtpush.hpp - v0.1 - rtpush.h for C++11 and sketches - MIT-0 or public domain
//
// A thin layer: a call here is one or two of rtpush.h, whose manual is the manual. No heap, no
// exceptions, no standard library. A server is one object, which owns all of its memory.
//
// DO THIS, in the one file that serves
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"
//     #define RTPUSH_SOCKETS_IMPLEMENTATION   // or the port that suits: rtpush_posix.h (Linux),
//     #include "rtpush_sockets.h"             // rtpush_lwip.h; it decides what start() does
//     #include "rtpush.hpp"
//
// QUICK START
//     static constexpr rtpush_asset page = rtpush::asset("text/html; charset=utf-8", "<h1>...");
//     static rtpush::Server<8, 512, 512, 8192> server;     // connections, rx, tx, log
//
//     server.name("esp32");                                // http://esp32/ and http://esp32.local/
//     server.file("/", page);
//     server.events("/events");
//     server.websocket("/ws").message([](rtpush::Client c, const rtpush_message &m) {
//         return c.text("got it"); });                     // the answer, to this page alone
//     server.on("/led", RTPUSH_POST, [](rtpush::Request &r) { r.send(200, "text/plain", "ok"); });
//     server.state("temperature", 16);                     // the newest value, of 16 bytes at most
//     if (const char *wrong = server.start(80)) { print(wrong); }
//     for (;;) {
//         server.topic("temperature").publish("21.5");
//         server.step(100);                                // serves, waits at most 100 ms
//     }
//
// CALLBACKS are functions, or lambdas without capture. A Client may be kept: once its connection has
// ended each call gives RTPUSH_ERR_STALE.
//
// MEMORY. Declare a server static or global: it has no constructor and is .bss: the block of
// RTPUSH_WORDS, sizeof(rtpush_server), desc, the port's memory, and on 32 bit 80 bytes a route and
// 12 a topic. Sizes that cannot work are refused by the compiler, the rest by what start() returns.
//
// CONTEXT is that of the port: all calls in one task, publish_from() in any. With rtpush_lwip.h and
// an operating system that is tcpip_thread: call start() there, and lwIP's timers do the rest.
//
// TESTED ON x86-64 (run over the posix and sockets ports; g++, clang++; C++11, C++20), Cortex-M3,
// RV32IMAC, Xtensa LX106 and AVR (compiled by g++). Not yet on a board.

#ifndef RTPUSH_HPP
#define RTPUSH_HPP

#ifndef RTPUSH_H
#error "include rtpush.h, and the port, before rtpush.hpp"
#endif

#include <string.h>

// Differs at each boot, never 0. Where none is known set server.desc.epoch, or define this.
#if defined(RTPUSH_EPOCH)
#elif defined(ESP_PLATFORM)
#include <esp_random.h>
#define RTPUSH_EPOCH (esp_random() | 1u)
#elif defined(RTPUSH_POSIX_H)
#define RTPUSH_EPOCH rtpush_posix_epoch()
#elif defined(LWIP_RAND)
#define RTPUSH_EPOCH ((uint32_t)LWIP_RAND() | 1u)
#else
#define RTPUSH_EPOCH 0u
#endif

// >>private --------------------------------------------------------------------------------------
// What a route's callbacks in C++ are: rtpush_route.user points to one of these.

namespace rtpush { class Client; class Request; }

namespace rtpi {

struct Callbacks {
    union {
        void (*request)(rtpush::Request &request);
        int (*message)(rtpush::Client client, const rtpush_message &message);
        void (*heard)(rtpush::Client client, const rtpush_message &message);
    };
    union {
        void (*open)(rtpush::Request &request);
        int (*body)(rtpush::Request &request, const uint8_t *data, size_t len, int last);
    };
    void (*close)(rtpush::Client client, const rtpush_closed &closed);
};

// What start() needs of a port: its memory, how it listens, one step.
#if defined(RTPUSH_SOCKETS_H)
template <uint32_t Connections> struct Port {
    rtpush_sockets port;
    uint64_t memory[RTPUSH_SOCKETS_WORDS(Connections)];
    const char *listen(rtpush_server *srv, uint16_t number, const char *host) {
        rtpush_sockets_desc desc = rtpush_sockets_desc();
        desc.memory = memory;
        desc.memory_size = sizeof memory;
        int result = rtpush_sockets_init(&port, srv, &desc);
        if (result >= 0) {
            result = rtpush_sockets_listen(&port, host, number, 0);
        }
        return result < 0 ? rtpush_sockets_strerror(result) : nullptr;
    }
    void step(int max_wait_ms) { rtpush_sockets_step(&port, max_wait_ms); }
};
#elif defined(RTPUSH_POSIX_H)
template <uint32_t Connections> struct Port {
    rtpush_posix port;
    uint64_t memory[RTPUSH_POSIX_WORDS(Connections)];
    const char *listen(rtpush_server *srv, uint16_t number, const char *host) {
        rtpush_posix_desc desc = rtpush_posix_desc();
        desc.memory = memory;
        desc.memory_size = sizeof memory;
        return rtpush_posix_init(&port, &desc) != 0 ||
                       rtpush_posix_listen(&port, srv, host ? host : "0.0.0.0", number, 0) < 0
                   ? "cannot listen: see errno" : nullptr;
    }
    void step(int max_wait_ms) { rtpush_posix_step(&port, max_wait_ms); }
};
#elif defined(RTPUSH_LWIP_H)
template <uint32_t Connections> struct Port {
    rtpush_lwip port;
    rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(Connections)];
    const char *listen(rtpush_server *srv, uint16_t number, const char *) { // on all addresses
        rtpush_lwip_desc desc = rtpush_lwip_desc();
        desc.slots = slots;
        desc.slot_count = sizeof slots / sizeof slots[0];
        desc.timer = NO_SYS == 0;
        return rtpush_lwip_init(&port, &desc) != ERR_OK ? rtpush_lwip_config_error(&port)
               : rtpush_lwip_listen(&port, srv, NULL, number, 0) != ERR_OK
                   ? "cannot listen: MEMP_NUM_TCP_PCB_LISTEN, or the port is in use" : nullptr;
    }
    void step(int) { rtpush_lwip_poll(&port); } // the driver decides when to sleep
};
#else
template <uint32_t> struct Port {}; // begin() alone: the port is the user's
#endif

} // namespace rtpi

// >>api ------------------------------------------------------------------------------------------

namespace rtpush {

// A file in flash, from a literal. ports/assets.sh makes them from files, with gzip and ETag.
template <size_t N>
constexpr rtpush_asset asset(const char *type, const char (&text)[N], const char *etag = nullptr) {
    return rtpush_asset{type, text, (uint32_t)(N - 1), nullptr, 0, etag, nullptr};
}

// A connection. What these return is RTPUSH_OK, or an error of the function of rtpush.h they call.
class Client {
public:
    constexpr Client() : srv(nullptr), conn() {}
    Client(rtpush_server *server, rtpush_handle handle) : srv(server), conn(handle) {}

    // WebSocket: a message to this one alone.
    int text(const char *data) { return text(data, strlen(data)); }
    int text(const void *data, size_t len) {
        return rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, data, len);
    }
    int binary(const void *data, size_t len) {
        return rtpush_send(srv, conn, RTPUSH_BINARY_MESSAGE, data, len);
    }
    // Streams: ends it.
    int close(uint16_t code = 1000, const char *why = nullptr) {
        return rtpush_close(srv, conn, code, why);
    }
    int subscribe(uint32_t topics) { return rtpush_subscribe(srv, conn, topics); }
    // HTTP: the answer, at once or within reply_ms, once. The body is copied and must fit tx: what
    // does not is RTPUSH_ERR_TOO_BIG, and a shorter answer can be sent instead.
    int send(int status, const char *type = nullptr, const char *body = "") {
        rtpush_response response = rtpush_response();
        response.status = (uint16_t)status;
        response.content_type = type;
        response.body = body;
        response.len = (uint32_t)strlen(body);
        return send(response);
    }
    int send(const rtpush_response &response) { return rtpush_reply(srv, conn, &response); }
    void *user() const { return rtpush_user(srv, conn); }
    int user(void *mine) { return rtpush_set_user(srv, conn, mine); }
    rtpush_handle handle() const { return conn; }
private:
    rtpush_server *srv;
    rtpush_handle conn;
};

// A request, in its callback only: all of rtpush_request by ->, such as r->path and r->peer.
class Request : public Client {
public:
    Request(rtpush_server *s, const rtpush_request *r) : Client(s, r->conn), req(r) {}
    const rtpush_request *operator->() const { return req; }
    const char *body() const { return (const char *)req->body; } // ends with a NUL
    // A parameter of the query. Of a form: rtpush_query(request.body(), name, out, cap).
    int param(const char *name, char *out, size_t cap) const {
        return rtpush_query(req->query, name, out, cap);
    }
private:
    const rtpush_request *req;
};

// What is published. Made by Server::state, event and topic.
class Topic {
public:
    constexpr Topic() : srv(nullptr), index(0) {}
    Topic(rtpush_server *server, unsigned topic) : srv(server), index(topic) {}
    int publish(const void *data, size_t len) { return rtpush_publish(srv, index, data, len); }
    int publish(const char *text) { return publish(text, strlen(text)); }
    // Arduino's String, and what else has c_str() and length().
    template <class Text> auto publish(const Text &text) -> decltype((int)text.length()) {
        return publish(text.c_str(), text.length());
    }
    // Any task: see rtpush_publish_from.
    int publish_from(const void *data, size_t len) {
        return rtpush_publish_from(srv, index, data, len);
    }
    uint32_t mask() const { return (uint32_t)1 << index; } // rtpush_route.topics, Client::subscribe
private:
    rtpush_server *srv;
    unsigned index;
};

// An entry of the route table. All of rtpush_route by ->: server.on(...)->headers = ..., or
// server.events(...)->on_gap = [](rtpush_server *srv, rtpush_handle conn, uint32_t missed) { ... };
class Route {
public:
    explicit Route(rtpush_route *entry) : route(entry) {}
    rtpush_route *operator->() const { return route; }

    Route request(unsigned methods, void (*call)(Request &request)) { // Server::on
        mine()->request = call;
        route->methods = (uint8_t)methods;
        route->on_request = [](rtpush_server *srv, const rtpush_request *req) {
            Request request(srv, req);
            of(srv, req->conn)->request(request);
        };
        return *this;
    }
    // WEBSOCKET: a message; RTPUSH_RETRY or RTPUSH_ERR_WOULD_BLOCK: it comes again.
    Route message(int (*call)(Client client, const rtpush_message &message)) {
        mine()->message = call;
        route->on_message = [](rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
            return of(srv, conn)->message(Client(srv, conn), *msg);
        };
        return *this;
    }
    Route message(void (*call)(Client client, const rtpush_message &message)) {
        mine()->heard = call;
        route->on_message = [](rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
            of(srv, conn)->heard(Client(srv, conn), *msg);
            return (int)RTPUSH_OK;
        };
        return *this;
    }
    // Streams: a page has come, and has gone (HTTP: the answer is out, or lost).
    Route open(void (*call)(Request &request)) {
        mine()->open = call;
        route->on_open = [](rtpush_server *srv, const rtpush_request *req) {
            Request request(srv, req);
            of(srv, req->conn)->open(request);
        };
        return *this;
    }
    Route close(void (*call)(Client client, const rtpush_closed &closed)) {
        mine()->close = call;
        route->on_close = [](rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
            of(srv, conn)->close(Client(srv, conn), *closed);
        };
        return *this;
    }
    // HTTP: it takes a body of at most max bytes, which is whole in Request::body ...
    Route body(uint32_t max) {
        route->kind = &rtpush_upload;
        route->max_body = max;
        return *this;
    }
    // ... or comes piece by piece, and may be of any length. See rtpush_route.on_body.
    Route body(uint32_t max, int (*call)(Request &request, const uint8_t *data, size_t len,
                                         int last)) {
        mine()->body = call;
        route->on_body = [](rtpush_server *srv, const rtpush_request *req, const uint8_t *data,
                            size_t len, int last) {
            Request request(srv, req);
            return of(srv, req->conn)->body(request, data, len, last);
        };
        return body(max);
    }
private:
    rtpush_route *route;
    rtpi::Callbacks *mine() const { return (rtpi::Callbacks *)route->user; }
    static const rtpi::Callbacks *of(rtpush_server *srv, rtpush_handle conn) {
        return (const rtpi::Callbacks *)rtpush_route_of(srv, conn)->user;
    }
};

// State: the sum of what the STATE topics take.
template <uint32_t Connections, uint32_t Rx = 512, uint32_t Tx = 512, uint32_t Log = 4096,
          uint32_t Routes = 16, uint32_t Topics = 16, uint32_t State = 512>
class Server {
    static_assert(Connections >= 1, "Connections: at least 1");
    static_assert(Rx >= 256 && Rx <= 65532, "Rx: 256 to 65,532");
    static_assert(Tx >= 256 && Tx <= 65532, "Tx: 256 to 65,532");
    static_assert(Log == 0 || Log >= 256, "Log: 0 (no events) or at least 256");
    static_assert(Routes >= 1 && Routes <= 254, "Routes: 1 to 254");
    static_assert(Topics >= 1 && Topics <= 32, "Topics: 1 to 32");

public:
    rtpush_desc desc; // what has no function here: server.desc.authorize = ..., .max_streams = ...

    // The name under which browsers find the device, before begin: NAME and NAME.local, or one with
    // a dot as it is. Others are answered 421, for they may be DNS rebinding; addresses always work.
    void name(const char *text) {
        size_t len = strlen(text);
        hosts[0] = text;
        if (strchr(text, '.') == nullptr && len + sizeof ".local" <= sizeof local) {
            memcpy(local, text, len);
            memcpy(local + len, ".local", sizeof ".local");
            hosts[1] = local;
        }
    }

    // HTTP. methods: RTPUSH_GET | RTPUSH_POST ..., 0: GET and HEAD.
    Route on(const char *path, unsigned methods, void (*call)(Request &request)) {
        return add(path, &rtpush_handler).request(methods, call);
    }
    Route on(const char *path, void (*call)(Request &request)) { return on(path, 0, call); }
    Route file(const char *path, const rtpush_asset &asset) { // the asset outlives the server
        Route route = add(path, &rtpush_file);
        route->asset = &asset;
        return route;
    }
    Route websocket(const char *path) { return add(path, &rtpush_websocket); }
    Route events(const char *path) { return add(path, &rtpush_events); }
    Route poll(const char *path) { return add(path, &rtpush_poll); }

    // Topics: before begin. STATE: the newest value, of at most max bytes. EVENT: every record.
    Topic state(const char *name, uint16_t max) { return add(name, &rtpush_topic_state, max); }
    Topic event(const char *name) { return add(name, &rtpush_topic_event, 0); }
    Topic topic(const char *name) { // one of these, by its name; publish says if there is none
        return Topic(&srv, (unsigned)rtpush_topic_index(&srv, name));
    }

    // nullptr, or what is wrong. start() also listens, on all addresses or that of host. Both once.
    const char *begin() {
        if (route_count > Routes || topic_count > Topics) {
            return "more routes or topics than Server<> was given";
        }
        desc.routes = routes;
        desc.route_count = route_count;
        desc.topics = topics;
        desc.topic_count = topic_count;
        desc.memory = memory;
        desc.memory_size = sizeof memory;
        desc.conn_count = Connections;
        desc.rx_size = Rx;
        desc.tx_size = Tx;
        desc.log_size = Log;
        desc.epoch = desc.epoch != 0 ? desc.epoch : RTPUSH_EPOCH;
        desc.hosts = hosts[0] != nullptr && desc.hosts == nullptr ? hosts : desc.hosts;
        return rtpush_init(&srv, &desc) == RTPUSH_OK ? nullptr : rtpush_config_error(&srv);
    }
    const char *start(uint16_t number, const char *host = nullptr) {
        const char *wrong = begin();
        return wrong != nullptr ? wrong : port.listen(&srv, number, host);
    }
    void step(int max_wait_ms = 0) { port.step(max_wait_ms); }
    rtpush_server *c() { return &srv; } // for every function of rtpush.h

private:
    rtpush_server srv;
    uint32_t route_count;
    uint32_t topic_count;
    const char *hosts[3];
    char local[40];
    rtpush_route routes[Routes];
    rtpi::Callbacks callbacks[Routes];
    rtpush_topic topics[Topics];
    uint64_t memory[RTPUSH_WORDS(Connections, Rx, Tx, Log, Topics, State)];
    rtpi::Port<Connections> port;

    // One too many takes the place of the last; begin() says so.
    Route add(const char *path, const rtpush_kind *kind) {
        uint32_t i = route_count < Routes ? route_count : Routes - 1;
        route_count++;
        routes[i] = rtpush_route();
        callbacks[i] = rtpi::Callbacks();
        routes[i].path = path;
        routes[i].kind = kind;
        routes[i].user = &callbacks[i];
        return Route(&routes[i]);
    }
    Topic add(const char *name, const rtpush_topic_kind *kind, uint16_t max) {
        uint32_t i = topic_count < Topics ? topic_count : Topics - 1;
        topic_count++;
        topics[i] = rtpush_topic{name, kind, 0, max};
        return Topic(&srv, i);
    }
};

} // namespace rtpush

#endif // RTPUSH_HPP
