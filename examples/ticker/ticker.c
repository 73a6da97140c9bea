// Prices at 1 kHz and a feed of trades, over every transport there is, side by side.
//
// 50 prices are STATE: five in each of ten topics, since a server has at most 32. Whatever a reader
// can take, it gets the newest; nothing is kept for it. Trades are EVENTs: each counts, also a
// later one that corrects it. A page that was away gets those it missed.
//
// Build:  make build/examples/ticker
// Type:   build/examples/ticker, and open http://127.0.0.1:8080/
// See:    age of a price, updates and bytes a second by WebSocket, SSE, long and short polling

#include "../shared/app.h"
#include "ports/rtpush_json.h"
#include "ticker_page.h"

#include <stdlib.h>

enum { PRICES = 50, GROUP = 5, GROUPS = PRICES / GROUP, TRADES = GROUPS, TOPICS };
enum { GROUP_MAX = 80, ALL_MAX = 11 + PRICES * 11, BEHIND_MAX_MS = 5000 };
enum { TRADE_MS = 100, FIX_EVERY = 8, FIX_BACK = 5 }; // each 8th trade corrects the 5th before it
enum { RX = 512, TX = 1024, LOG = CONNS > 16 ? 8192 : 4096, MESSAGES_S = 2000 };

#define PRICE(n) {"p" #n, &rtpush_topic_state, 0, GROUP_MAX}
static const rtpush_topic topics[TOPICS] = {
    PRICE(0), PRICE(1), PRICE(2), PRICE(3), PRICE(4), PRICE(5), PRICE(6), PRICE(7), PRICE(8),
    PRICE(9), {"trade", &rtpush_topic_event, 0, 0},
};
static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, TOPICS, GROUPS * GROUP_MAX)];
static uint32_t prices[PRICES]; // in hundredths
static uint32_t random_state = 1;
static uint32_t rate = 1000; // moves a second
static uint32_t moves;       // since the start, until last_ms
static uint32_t last_ms;

static uint32_t random_below(uint32_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 16) % n;
}

// "MS a b c d e": when it was, on the device's clock, and the prices from `first` on.
static void print(rtpush_text *t, uint32_t first, uint32_t count, uint32_t now_ms) {
    rtpush_text_decimal(t, now_ms);
    for (uint32_t i = first; i < first + count; i++) {
        rtpush_text_put(t, " ", 1);
        rtpush_text_decimal(t, prices[i]);
    }
}

static void publish_group(rtpush_server *srv, uint32_t group, uint32_t now_ms) {
    uint8_t out[GROUP_MAX];
    rtpush_text t = {out, sizeof out, 0, 0};
    print(&t, group * GROUP, GROUP, now_ms);
    (void)rtpush_publish(srv, group, out, t.len);
}

// One price moves. Never below 1.00, so that it always may fall.
static void move_price(rtpush_server *srv, uint32_t now_ms) {
    const uint32_t i = random_below(PRICES);
    prices[i] += random_below(41);
    prices[i] -= prices[i] > 120 ? 20 : 0;
    moves++;
    publish_group(srv, i / GROUP, now_ms);
}

static void publish_trade(rtpush_server *srv) {
    static uint32_t number;
    const uint32_t i = random_below(PRICES);
    const uint32_t size = 1 + random_below(900);
    if (++number % FIX_EVERY == 0) {
        (void)rtpush_json_event(srv, TRADES, 80, "{\"n\":%u,\"fix\":%u,\"size\":%u}", number,
                                number - FIX_BACK, size);
    } else {
        (void)rtpush_json_event(srv, TRADES, 80, "{\"n\":%u,\"i\":%u,\"p\":%2,\"size\":%u}", number,
                                i, (int32_t)prices[i], size);
    }
}

// Short polling: everything, each time.
static void on_prices(rtpush_server *srv, const rtpush_request *req) {
    uint8_t out[ALL_MAX];
    rtpush_text t = {out, sizeof out, 0, 0};
    print(&t, 0, PRICES, rtpush_now_ms(srv));
    const rtpush_response all = {.body = out, .len = t.len};
    if (rtpush_reply(srv, req->conn, &all) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

// "time" asks for the device's time, which a page compares with its own, for the moves that were
// made and until when.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    uint8_t out[32];
    rtpush_text t = {out, sizeof out, 0, 0};
    if (msg->opcode != RTPUSH_TEXT_MESSAGE || msg->len != 4 || memcmp(msg->data, "time", 4) != 0) {
        return rtpush_close(srv, conn, 1008, "unknown command"); // RFC 6455 7.4.1
    }
    rtpush_text_decimal(&t, rtpush_now_ms(srv));
    rtpush_text_put(&t, " ", 1);
    rtpush_text_decimal(&t, last_ms);
    rtpush_text_put(&t, " ", 1);
    rtpush_text_decimal(&t, moves);
    return rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, out, t.len);
}

static void start(rtpush_server *srv) {
    for (uint32_t i = 0; i < PRICES; i++) {
        prices[i] = 1000 + 531 * i;
    }
    for (uint32_t group = 0; group < GROUPS; group++) {
        publish_group(srv, group, rtpush_now_ms(srv));
    }
}

// The moves of the time that has passed: late ones are made up for, of 5 s at most.
static uint32_t step(rtpush_server *srv, uint32_t now_ms) {
    static uint32_t trade_ms, owed; // thousandths of a move
    const uint32_t passed = last_ms != 0 ? now_ms - last_ms : 0;
    owed += (passed < BEHIND_MAX_MS ? passed : BEHIND_MAX_MS) * rate;
    for (; owed >= 1000; owed -= 1000) {
        move_price(srv, now_ms);
    }
    last_ms = now_ms;
    if ((int32_t)(now_ms - trade_ms) >= 0) {
        trade_ms = now_ms + TRADE_MS;
        publish_trade(srv);
    }
    return 1;
}

static int option(const char *name, const char *value) {
    rate = (uint32_t)atoi(value);
    return strcmp(name, "--rate") == 0 && rate > 0 && rate <= 10000;
}

static const rtpush_route routes[] = {
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/poll", .kind = &rtpush_poll},
    {.path = "/prices", .kind = &rtpush_handler, .on_request = on_prices},
    APP_PAGE,
};

const app example = {
    .name = "ticker",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .topics = topics,
             .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
             .conn_count = CONNS, .max_streams = STREAMS, .rx_size = RX, .tx_size = TX,
             .log_size = LOG, .rate_messages = MESSAGES_S},
    .start = start, .step = step, .option = option,
    .usage = "  --rate N        moves a second (1000)\n"};
