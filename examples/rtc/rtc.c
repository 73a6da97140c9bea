// rtc - the introduction of two pages that then talk without the device
//
// Shows WebSocket between pages: what one of the two in a room sends, the other one gets. It is the
// signalling of WebRTC: an offer, an answer, candidates. When the data channel is open both pages
// close their WebSockets, and the device has nothing more to do with it.
//
// Build:  make build/examples/rtc
// Type:   build/examples/rtc, and open the page twice with the same room
// See:    the messages go from page to page, also after the program was ended
//
// The device's own words are "alone", "call", "wait", "left"; what comes from a page is an object
// of JSON, of which it reads the first character alone: so no page can imitate the device.

#include "../shared/app.h"
#include "rtc_page.h"

enum { ROOMS = STREAMS / 2, NAME = 24 };
enum { RX = CONNS > 16 ? 2048 : 1024, TX = RX }; // an offer of a data channel has about 600 bytes

static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, 0, 0, 0)];
static struct {
    char name[NAME];      // of this room; counts while somebody is in it
    rtpush_handle who[2]; // serial 0: nobody
} rooms[ROOMS];

static int is(rtpush_handle a, rtpush_handle b) {
    return a.serial == b.serial && a.index == b.index;
}

// Where this connection is, as 2 * room + seat, or -1.
static int seat_of(rtpush_handle conn) {
    for (int seat = 0; seat < 2 * ROOMS; seat++) {
        if (is(rooms[seat / 2].who[seat % 2], conn)) {
            return seat;
        }
    }
    return -1;
}

static rtpush_handle *at(int seat) {
    return &rooms[seat / 2].who[seat % 2];
}

static void say(rtpush_server *srv, rtpush_handle conn, const char *word) {
    (void)rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, word, strlen(word));
}

// A seat in the room of this name, else in an empty one, or -1: they are full.
static int free_seat(const char *name) {
    int empty = -1;
    for (int i = 2 * ROOMS - 2; i >= 0; i -= 2) {
        const int people = (at(i)->serial != 0) + (at(i + 1)->serial != 0);
        if (people > 0 && strcmp(rooms[i / 2].name, name) == 0) {
            return people == 2 ? -1 : i + (at(i)->serial != 0);
        }
        empty = people == 0 ? i : empty;
    }
    return empty;
}

// A script does not see the status of a refused WebSocket, so it is told why by a close code.
static void on_open(rtpush_server *srv, const rtpush_request *req) {
    char name[NAME];
    if (rtpush_query(req->query, "room", name, sizeof name) < 1) {
        rtpush_close(srv, req->conn, 4000, "?room=NAME, of at most 23 bytes");
        return;
    }
    const int seat = free_seat(name);
    if (seat < 0) {
        rtpush_close(srv, req->conn, 4001, "this room is full, or all rooms are");
        return;
    }
    *at(seat) = req->conn;
    memcpy(rooms[seat / 2].name, name, sizeof name);
    if (at(seat ^ 1)->serial == 0) {
        say(srv, req->conn, "alone");
    } else {
        say(srv, req->conn, "wait");
        say(srv, *at(seat ^ 1), "call"); // makes the offer
    }
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const int seat = seat_of(conn);
    if (msg->opcode != RTPUSH_TEXT_MESSAGE || msg->len == 0 || msg->data[0] != '{') {
        rtpush_close(srv, conn, 1008, "objects of JSON only");
        return RTPUSH_OK;
    }
    // WOULD_BLOCK: the other one is slow, so this message comes again. Nobody there: dropped.
    return seat < 0 ? RTPUSH_OK
                    : rtpush_send(srv, *at(seat ^ 1), RTPUSH_TEXT_MESSAGE, msg->data, msg->len);
}

static void on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    const int seat = seat_of(conn);
    (void)closed;
    if (seat >= 0) {
        at(seat)->serial = 0;
        say(srv, *at(seat ^ 1), "left");
    }
}

static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_open = on_open, .on_message = on_message,
     .on_close = on_close},
    APP_PAGE,
};

const app example = {
    .name = "rtc",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .memory = memory,
             .memory_size = sizeof memory, .conn_count = CONNS, .max_streams = STREAMS,
             .rx_size = RX, .tx_size = TX}};
