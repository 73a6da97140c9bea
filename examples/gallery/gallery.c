// One page with the way to all examples that run. Started by run.sh, which is "make gallery".
//
//     build/examples/gallery --run board=8081 --run chat=8082

#include "../shared/app.h"
#include "gallery_page.h"

enum { RX = 512, TX = 1024, LIST_MAX = 600 };

static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, 0, 0, 0)];
static char list[LIST_MAX]; // "board=8081 chat=8082"

static int option(const char *name, const char *value) {
    const size_t used = strlen(list);
    const size_t len = strlen(value);
    if (strcmp(name, "--run") != 0 || used + len + 2 > sizeof list) {
        return 0;
    }
    char *end = list + used;
    if (used > 0) {
        *end++ = ' ';
    }
    memcpy(end, value, len + 1);
    return 1;
}

static void on_list(rtpush_server *srv, const rtpush_request *req) {
    (void)rtpush_reply_text(srv, req->conn, 200, list);
}

static const rtpush_route routes[] = {
    {.path = "/list", .kind = &rtpush_handler, .on_request = on_list},
    APP_PAGE,
};

const app example = {
    .name = "gallery",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .memory = memory,
             .memory_size = sizeof memory, .conn_count = CONNS, .rx_size = RX, .tx_size = TX},
    .option = option,
    .usage = "  --run NAME=PORT an example that runs\n",
};
