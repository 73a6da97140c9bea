// A vehicle steered by a joystick in the page: 60 messages a second each way, all binary.
//
// The page sends where its stick is, and each message is answered with its number: that gives the
// round trip. Where the vehicle is goes to every page as a STATE topic. Who holds the stick steers,
// one at a time. If for 200 ms nothing comes from there, for whatever reason, the motors stop: TCP
// may take minutes to notice that a link is dead.
//
// Build:  make build/examples/remote
// Type:   build/examples/remote, and open http://127.0.0.1:8080/ twice, side by side
// See:    drag the stick (or use the arrow keys) in one: the vehicle moves in both

#include "../shared/app.h"
#include "remote_page.h"

#include <stdlib.h>

enum { FIELD = 65535, SPEED = 4, INERTIA = 8, PERIOD_MS = 16, NOBODY = 255 };
enum { STEERED, COASTING, STOPPED }; // STOPPED: the link was silent while the stick was held
enum { VEHICLE, TOPICS, VEHICLE_SIZE = 8, STICK_SIZE = 4 };
enum { RX = 512, TX = 512 };

static const rtpush_topic topics[TOPICS] = {
    {"vehicle", &rtpush_topic_state, RTPUSH_BINARY, VEHICLE_SIZE},
};
static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, 0, TOPICS, VEHICLE_SIZE)];

static uint8_t driver = NOBODY;   // rtpush_handle.index
static uint8_t mode = COASTING;
static int stick_x, stick_y;      // -127 to 127
static int32_t x = FIELD / 2, y = FIELD / 2, speed_x, speed_y;
static uint32_t heard_ms;         // when the driver's last message came
static uint32_t silent_ms = 200;  // so long without one: stopped

static void let_go(uint8_t why) {
    driver = NOBODY;
    mode = why;
    stick_x = stick_y = 0;
}

// Number (16 bits, the low byte first), x, y. Answered with the number and 1: you steer, 0: not.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const uint8_t me = (uint8_t)conn.index;
    if (msg->opcode != RTPUSH_BINARY_MESSAGE || msg->len != STICK_SIZE) {
        return rtpush_close(srv, conn, 1008, "4 bytes: number, x, y"); // RFC 6455 7.4.1
    }
    const int to_x = (int8_t)msg->data[2], to_y = (int8_t)msg->data[3];
    const int held = to_x != 0 || to_y != 0;
    if (driver == NOBODY && held) {
        driver = me;
        mode = STEERED;
    }
    const uint8_t answer[] = {msg->data[0], msg->data[1], driver == me};
    if (driver == me) {
        heard_ms = rtpush_now_ms(srv);
        stick_x = to_x < -127 ? -127 : to_x;
        stick_y = to_y < -127 ? -127 : to_y;
        if (!held) {
            let_go(COASTING);
        }
    }
    // No room for it: it is left out. Sent later it would say that the link is slow, which is over.
    (void)rtpush_send(srv, conn, RTPUSH_BINARY_MESSAGE, answer, sizeof answer);
    return RTPUSH_OK;
}

static void on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    (void)srv;
    (void)closed;
    if (driver == conn.index) {
        let_go(STOPPED);
    }
}

static int32_t nearer(int32_t speed, int32_t wanted) {
    const int32_t by = (wanted - speed) / INERTIA;
    return by == 0 ? wanted : speed + by;
}

static int32_t move(int32_t at, int32_t *speed) {
    const int32_t to = at + *speed;
    if (to < 0 || to > FIELD) { // the wall
        *speed = 0;
        return to < 0 ? 0 : FIELD;
    }
    return to;
}

static void publish(rtpush_server *srv) {
    const uint8_t out[VEHICLE_SIZE] = {
        (uint8_t)x, (uint8_t)(x >> 8), (uint8_t)y, (uint8_t)(y >> 8),
        (uint8_t)stick_x, (uint8_t)stick_y, mode, driver};
    (void)rtpush_publish(srv, VEHICLE, out, sizeof out);
}

// Nothing moves and nobody steers: nothing is sent.
static uint32_t step(rtpush_server *srv, uint32_t now_ms) {
    static uint32_t due_ms;
    static uint8_t shown = NOBODY; // the mode that was published
    if ((int32_t)(due_ms - now_ms) > 0) {
        return due_ms - now_ms;
    }
    due_ms = now_ms + PERIOD_MS;
    if (driver != NOBODY && now_ms - heard_ms >= silent_ms) {
        let_go(STOPPED);
    }
    // Stopped is stopped: no more of the speed it had.
    speed_x = mode == STOPPED ? 0 : nearer(speed_x, stick_x * SPEED);
    speed_y = mode == STOPPED ? 0 : nearer(speed_y, stick_y * SPEED);
    x = move(x, &speed_x);
    y = move(y, &speed_y);
    if (mode == STEERED || speed_x != 0 || speed_y != 0 || shown != mode) {
        shown = mode;
        publish(srv);
    }
    return PERIOD_MS;
}

static int option(const char *name, const char *value) {
    silent_ms = (uint32_t)atoi(value);
    return strcmp(name, "--silent") == 0 && silent_ms > 0;
}

static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message, .on_close = on_close},
    APP_PAGE,
};

const app example = {
    .name = "remote",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .topics = topics,
             .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
             .conn_count = CONNS, .max_streams = STREAMS, .rx_size = RX, .tx_size = TX},
    .step = step, .option = option, .usage = "  --silent MS     stop after this (200)\n"};
