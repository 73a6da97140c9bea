// The blocks of code in chapter ACCESS of rtpush.h, with what they leave to the reader around
// them. tests/snippets.sh takes them out of the manual. Exit status 0: they do what it says.
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#define RTPUSH_ACCESS_IMPLEMENTATION
#include "ports/rtpush_access.h"

#include <string.h>

// -- the first: the authorize hook

static const rtpush_key key = {"the key of the tests has 32 byte", 32};

static uint32_t unix_time(void) {
    return 1700000000u;
}

static uint32_t topics_of(const char *name) {
    return strcmp(name, "ann") == 0 ? 3u : 0u;
}

int authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant);
#include "access_1.inc"

// -- the second: a client that asks for a topic

static int refused;

static int begins(const rtpush_message *msg, const char *text) {
    return msg->len >= strlen(text) && memcmp(msg->data, text, strlen(text)) == 0;
}

static void refuse(void) {
    refused++;
}

static void on_command(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg,
                       const char *name, uint32_t now) {
#include "access_2.inc"
}

int main(void) {
    static const rtpush_asset page = {"text/plain", "", 0};
    static const rtpush_route routes[] = {{"/ws", &rtpush_websocket},
                                          {"/", &rtpush_file, 0, 0, &page},
                                          {"/login", &rtpush_file, 0, 0, &page}};
    static const rtpush_topic topics[] = {{"a", &rtpush_topic_event}};
    static uint64_t memory[RTPUSH_WORDS(1, 512, 512, 256, 1, 0)];
    static rtpush_server srv;
    rtpush_desc desc = {0};
    rtpush_request req;
    rtpush_grant grant;
    rtpush_message msg = {(const uint8_t *)"subscribe a", 11, RTPUSH_TEXT_MESSAGE, 1, 1};
    rtpush_handle nobody = {1, 0};
    char cookie[100];
    memset(&req, 0, sizeof req);
    memset(&grant, 0, sizeof grant);
    req.route = &routes[0]; // no file: 401 and not the login page
    if (authorize(&srv, &req, &grant) != 401 || strcmp(grant.challenge, "Bearer") != 0) {
        return 2; // without a cookie
    }
    req.route = &routes[1];
    if (authorize(&srv, &req, &grant) != 303 || strcmp(grant.location, "/login") != 0) {
        return 7; // a person goes to the login page
    }
    req.route = &routes[2];
    if (authorize(&srv, &req, &grant) != 0 || grant.known) {
        return 8; // which is shown to all
    }
    req.route = &routes[1];
    if (rtpush_sign(&key, "session", "ann", unix_time() + 60, cookie, sizeof cookie) < 0) {
        return 3;
    }
    req.cookie = cookie;
    if (authorize(&srv, &req, &grant) != 0 || grant.topics != 3 || grant.expires_s != 60 ||
        !grant.known) {
        return 4;
    }
    desc.routes = routes;
    desc.route_count = 3;
    desc.topics = topics;
    desc.topic_count = 1;
    desc.memory = memory;
    desc.memory_size = sizeof memory;
    desc.conn_count = 1;
    desc.log_size = 256;
    desc.epoch = 1;
    if (rtpush_init(&srv, &desc) != RTPUSH_OK) {
        return 5;
    }
    on_command(&srv, nobody, &msg, "none", 0); // no such topic, then no such connection
    on_command(&srv, nobody, &msg, "a", 0);
    return refused == 2 ? 0 : 6;
}
