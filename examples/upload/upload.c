// upload - a firmware update that goes on where it was cut
//
// Shows POST with a body that is stored as it arrives, STATE for progress, EVENT for a log. The
// device says at which offset it goes on, so a piece that was cut, sent twice or sent by somebody
// else costs nothing. What lies in the bank is hashed before it counts.
//
// Build:  make build/examples/upload
// Type:   build/examples/upload, open the page, choose a file, take the network away meanwhile
// See:    it goes on at the byte where it was cut. README.md does the same by curl

#include "../shared/app.h"
#include "ports/rtpush_json.h"
#define RTPUSH_ACCESS_IMPLEMENTATION
#include "ports/rtpush_access.h"
#include "upload_page.h"

enum { BANK = CONNS > 16 ? 4 << 20 : 8 << 10 }; // bytes of the largest image
enum { PROGRESS, LOG, TOPICS };
enum { RX = 512, TX = 640, LOG_SIZE = 2048, VALUE = 96, PIECE = 16384, LEFT_MS = 10000 };
enum { IDLE, RECEIVING, DONE, WRONG };
static const char *const words[] = {"idle", "receiving", "done", "wrong hash"};

static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG_SIZE, TOPICS, VALUE)];
static uint8_t bank[BANK];
static struct {
    uint32_t at, size;    // bytes that are there, and of the whole image
    uint32_t moved_ms;    // when the last ones came
    rtpush_handle writer; // the one request whose body is being stored; serial 0: none
    int state;
    char hash[65]; // it must have
} image;

static const rtpush_topic topics[TOPICS] = {
    {"progress", &rtpush_topic_state, 0, VALUE}, {"log", &rtpush_topic_event, 0, 0}};

static void say(rtpush_server *srv, const char *text, uint32_t n) {
    (void)rtpush_json_event(srv, LOG, 80, "%s%u", text, n);
}

// The answer of each route, and what pages are told: where the image stands.
static void tell(rtpush_server *srv, const rtpush_request *req, uint16_t status) {
    char line[VALUE];
    rtpush_text out = rtpush_json_begin(line, sizeof line);
    rtpush_json(&out, "{\"at\":%u,\"size\":%u,\"piece\":%u,\"state\":%q}", image.at, image.size,
                (uint32_t)PIECE, words[image.state]);
    (void)rtpush_publish(srv, PROGRESS, line, out.len);
    if (req != NULL) {
        const rtpush_response response = {.status = status, .content_type = "application/json",
                                          .body = line, .len = out.len};
        (void)rtpush_reply(srv, req->conn, &response);
    }
}

// A parameter that is a number of at most 9 digits, or UINT32_MAX.
static uint32_t number(const rtpush_request *req, const char *name) {
    char text[10];
    uint32_t value = 0;
    const int len = rtpush_query(req->query, name, text, sizeof text);
    for (int i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return UINT32_MAX;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    return len > 0 ? value : UINT32_MAX;
}

// POST /begin?size=N&sha256=HEX: where to go on. While something comes, or came less than LEFT_MS
// ago, nobody else can begin with another image.
static void on_begin(rtpush_server *srv, const rtpush_request *req) {
    char hash[65] = "";
    const uint32_t size = number(req, "size");
    const int len = rtpush_query(req->query, "sha256", hash, sizeof hash);
    if (size == 0 || size > BANK || len != 64 || strspn(hash, "0123456789abcdef") != 64) {
        rtpush_reply_text(srv, req->conn, 400, "no sha256, or a size that the bank does not have");
    } else if ((image.state == RECEIVING || image.state == DONE) &&
               image.size == size && strcmp(image.hash, hash) == 0) {
        tell(srv, req, 200); // it goes on, or is here already
    } else if (image.state == RECEIVING &&
               (image.writer.serial != 0 || rtpush_now_ms(srv) - image.moved_ms < LEFT_MS)) {
        rtpush_reply_text(srv, req->conn, 409, "another update is under way");
    } else {
        image.state = RECEIVING;
        image.at = 0;
        image.size = size;
        image.moved_ms = rtpush_now_ms(srv);
        memcpy(image.hash, hash, sizeof hash);
        say(srv, "Begins; bytes: ", size);
        tell(srv, req, 200);
    }
}

// All of it is in the bank: its hash says whether it counts.
static void judge(rtpush_server *srv) {
    uint8_t sum[32];
    char hex[65];
    rtpush_text out = {(uint8_t *)hex, sizeof hex, 0, 0};
    rtpush_sha256(bank, image.size, sum);
    for (int i = 0; i < 32; i += 4) {
        rtpush_text_hex(&out, (uint32_t)sum[i] << 24 | (uint32_t)sum[i + 1] << 16 |
                                  (uint32_t)sum[i + 2] << 8 | sum[i + 3]);
    }
    image.state = memcmp(hex, image.hash, 64) == 0 ? DONE : WRONG;
    say(srv, image.state == DONE ? "The hash is right, it would be started; bytes: "
                                 : "The hash is wrong, all is discarded; bytes: ", image.size);
}

// POST /piece?at=N: refused with where it goes on, if that is elsewhere or somebody else sends.
static void on_piece(rtpush_server *srv, const rtpush_request *req) {
    if (image.state != RECEIVING || image.writer.serial != 0 || number(req, "at") != image.at ||
        req->content_length == 0) {
        tell(srv, req, 409);
    } else {
        image.writer = req->conn;
    }
}

static int on_bytes(rtpush_server *srv, const rtpush_request *req, const uint8_t *data, size_t len,
                    int last) {
    if (len > image.size - image.at) {
        tell(srv, req, 409); // more than the size it named
        return RTPUSH_OK;
    }
    memcpy(bank + image.at, data, len);
    image.at += (uint32_t)len;
    image.moved_ms = rtpush_now_ms(srv);
    if (len > 0 && image.at == image.size) {
        judge(srv);
    }
    tell(srv, last ? req : NULL, image.state == WRONG ? 422 : 200);
    return RTPUSH_OK;
}

// The answer is out, or the connection is lost: what came stays.
static void on_end(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    if (memcmp(&image.writer, &conn, sizeof conn) == 0) {
        image.writer.serial = 0;
        if (closed->reason != RTPUSH_REASON_NONE) {
            say(srv, "Cut at ", image.at);
        }
    }
}

static void start(rtpush_server *srv) {
    tell(srv, NULL, 0);
}

static const char *const types[] = {"application/octet-stream", NULL};
static const rtpush_route routes[] = {
    {.path = "/events", .kind = &rtpush_events, .flags = RTPUSH_FROM_FIRST},
    {.path = "/begin", .kind = &rtpush_handler, .methods = RTPUSH_POST, .on_request = on_begin},
    {.path = "/piece", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = PIECE,
     .rate_bytes = RTPUSH_UNLIMITED, .body_types = types, .on_request = on_piece,
     .on_body = on_bytes, .on_close = on_end},
    APP_PAGE,
};

const app example = {
    .name = "upload",
    .desc = {.routes = routes, .route_count = APP_COUNT(routes), .topics = topics,
             .topic_count = TOPICS, .memory = memory, .memory_size = sizeof memory,
             .conn_count = CONNS, .max_streams = STREAMS, .rx_size = RX, .tx_size = TX,
             .log_size = LOG_SIZE},
    .start = start};
