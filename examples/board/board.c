// A whiteboard and lines of text that everybody edits. The last writer of a cell or line wins.
//
// Each row of cells and each line is a STATE topic: who joins late or was away gets what the board
// is now, who reads slowly gets the newest, and there is no log. What others point at is a STATE
// topic too: at most 20 times a second, however many move.
//
// Build:  make build/examples/board
// Type:   build/examples/board, and open http://127.0.0.1:8080/ twice, side by side
// See:    what one page draws and writes on the other, with both pointers

#include "../shared/app.h"
#include "board_page.h"

enum { WIDTH = 36, HEIGHT = 24, COLOURS = 8, LINES = 6, LINE_MAX = 120 };
enum { ROW_0, LINE_0 = HEIGHT, POINTERS = LINE_0 + LINES, TOPICS };
enum { CELL = 3, CELLS_MAX = 64, POINTER = 3, POINTERS_MS = 50, NOWHERE = 255 };
enum { STATE_BYTES = HEIGHT * WIDTH + LINES * LINE_MAX + CONNS * POINTER };
enum { RX = 512, TX = 512 };

#define ROW(n) {"row" #n, &rtpush_topic_state, RTPUSH_BINARY, WIDTH}
#define LINE(n) {"line" #n, &rtpush_topic_state, 0, LINE_MAX}
static const rtpush_topic topics[TOPICS] = {
    ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7), ROW(8), ROW(9), ROW(10),
    ROW(11), ROW(12), ROW(13), ROW(14), ROW(15), ROW(16), ROW(17), ROW(18), ROW(19), ROW(20),
    ROW(21), ROW(22), ROW(23), LINE(0), LINE(1), LINE(2), LINE(3), LINE(4), LINE(5),
    {"pointers", &rtpush_topic_state, RTPUSH_BINARY, CONNS * POINTER},
};

typedef struct guest {
    uint8_t here, x, y; // what it points at; x NOWHERE: nothing
} guest;

static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, 0, TOPICS, STATE_BYTES)];
static uint8_t cells[HEIGHT][WIDTH]; // colours
static guest guests[CONNS]; // by rtpush_handle.index
static uint8_t moved; // 1: the pointers are to be published

// 'p' and x, y, colour of each cell. All or nothing: what is wrong, or NULL.
static const char *paint(rtpush_server *srv, const uint8_t *data, size_t len) {
    uint32_t rows = 0;
    if (len % CELL != 0 || len > CELL * CELLS_MAX) {
        return "cells: x, y, colour, at most 64";
    }
    for (size_t i = 0; i < len; i += CELL) {
        if (data[i] >= WIDTH || data[i + 1] >= HEIGHT || data[i + 2] >= COLOURS) {
            return "no such cell or colour";
        }
    }
    for (size_t i = 0; i < len; i += CELL) {
        cells[data[i + 1]][data[i]] = data[i + 2];
        rows |= 1u << data[i + 1];
    }
    for (unsigned y = 0; y < HEIGHT; y++) {
        if (rows & 1u << y) {
            (void)rtpush_publish(srv, ROW_0 + y, cells[y], WIDTH);
        }
    }
    return NULL;
}

// The digit of a line, and what it is now.
static const char *write_line(rtpush_server *srv, const uint8_t *data, size_t len) {
    if (data[0] < '0' || data[0] >= '0' + LINES || len - 1 > LINE_MAX) {
        return "a line: its digit, at most 120 bytes";
    }
    for (size_t i = 1; i < len; i++) {
        if (data[i] < ' ' || data[i] == 127) {
            return "no controls in a line";
        }
    }
    (void)rtpush_publish(srv, LINE_0 + data[0] - '0', data + 1, len - 1);
    return NULL;
}

static const char *point(guest *g, const uint8_t *data, size_t len) {
    if (len != 2 || (data[0] != NOWHERE && data[0] >= WIDTH) || data[1] >= HEIGHT) {
        return "no such cell";
    }
    g->x = data[0];
    g->y = data[1];
    moved = 1;
    return NULL;
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const char *wrong = "unknown command";
    if (msg->len > 0 && msg->opcode == RTPUSH_TEXT_MESSAGE) {
        wrong = write_line(srv, msg->data, msg->len);
    } else if (msg->len > 0 && msg->data[0] == 'p') {
        wrong = paint(srv, msg->data + 1, msg->len - 1);
    } else if (msg->len > 0 && msg->data[0] == 'm') {
        wrong = point(&guests[conn.index], msg->data + 1, msg->len - 1);
    }
    return wrong == NULL ? RTPUSH_OK : rtpush_close(srv, conn, 1008, wrong); // RFC 6455 7.4.1
}

// The page is told its number.
static void on_open(rtpush_server *srv, const rtpush_request *req) {
    const uint8_t number = (uint8_t)req->conn.index;
    guests[number] = (guest){1, NOWHERE, 0};
    (void)rtpush_send(srv, req->conn, RTPUSH_BINARY_MESSAGE, &number, 1);
}

static void on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    (void)srv;
    (void)closed;
    guests[conn.index] = (guest){0};
    moved = 1;
}

static void start(rtpush_server *srv) {
    for (unsigned y = 0; y < HEIGHT; y++) {
        (void)rtpush_publish(srv, ROW_0 + y, cells[y], WIDTH);
    }
}

static uint32_t step(rtpush_server *srv, uint32_t now_ms) {
    static uint32_t due_ms;
    uint8_t out[CONNS * POINTER];
    size_t len = 0;
    if (!moved || (int32_t)(due_ms - now_ms) > 0) {
        return POINTERS_MS / 2;
    }
    for (uint8_t i = 0; i < CONNS; i++) {
        if (guests[i].here && guests[i].x != NOWHERE) {
            out[len++] = i;
            out[len++] = guests[i].x;
            out[len++] = guests[i].y;
        }
    }
    moved = 0;
    due_ms = now_ms + POINTERS_MS;
    (void)rtpush_publish(srv, POINTERS, out, len);
    return POINTERS_MS;
}

static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_open = on_open, .on_message = on_message,
     .on_close = on_close},
    APP_PAGE,
};

const app example = {
    .name = "board",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .topics = topics,
             .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
             .conn_count = CONNS, .max_streams = STREAMS, .rx_size = RX, .tx_size = TX},
    .start = start, .step = step};
