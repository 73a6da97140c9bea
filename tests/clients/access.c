// A server with authentication, for access.test.mjs: Basic, a session cookie, tokens, tickets for
// the streams, and decisions that come later.
//
//   GET  /login       Basic alice:open sesame -> Set-Cookie sid, signed, for SESSION_S seconds
//   GET  /me          cookie or token -> the name
//   POST /ticket      cookie or token -> a ticket for TICKET_S seconds
//   GET  /events /ws /poll   cookie, token or ?ticket=; alice reads all topics, others a
//   GET  /later/N     decided after N steps of the loop: N even accepts, odd refuses 403
//   POST /publish/a   open, for the test
//   GET  /stats       open: refusals by reason
//
// Options: --port N, --per-peer N (max_per_peer), --rate N (rate_messages), --head-ms N. `key`
// signs everything, the token's audience is "device".

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../rtpush.h"
#define RTPUSH_ACCESS_IMPLEMENTATION
#include "../../ports/rtpush_access.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "../../ports/rtpush_posix.h"
#include "../serve.h"

enum { CONNS = 24, RX = 1024, TX = 1024, LOG = 16384, SESSION_S = 4, TICKET_S = 5, WAITING = 16 };
static const rtpush_key key = {"the key of the tests has 32 byte", 32};
static const rtpush_topic topics[] = {{.name = "a", .kind = &rtpush_topic_event},
                                      {.name = "b", .kind = &rtpush_topic_event}};
static rtpush_tickets tickets;
static struct {
    rtpush_handle conn;
    int turns;
    int status;
} waiting[WAITING];

static uint32_t now_s(void) {
    return (uint32_t)time(NULL);
}

// -- authentication: the name, and how long it is valid; or negative ------------------------------

typedef struct identity {
    char name[32];
    uint32_t left_s;
} identity;

static int by_cookie(const rtpush_request *req, identity *who) {
    return rtpush_verify(&key, "session", req->cookie, now_s(), who->name, sizeof(who->name),
                         &who->left_s);
}

static int by_token(const rtpush_request *req, identity *who) {
    rtpush_claim sub = {.name = "sub", .text = who->name, .text_size = sizeof(who->name)};
    rtpush_jwt jwt = {.key = key, .now_s = now_s(), .aud = "device", .claims = &sub,
                      .claim_count = 1};
    const int error = rtpush_jwt_verify(&jwt, rtpush_bearer(req->authorization));
    who->left_s = jwt.left_s;
    return error ? error : sub.kind == RTPUSH_CLAIM_TEXT ? 0 : RTPUSH_ERR_TOKEN;
}

static int by_password(const rtpush_request *req, identity *who) {
    const char *password;
    const int error =
        rtpush_basic_decode(req->authorization, who->name, sizeof(who->name), &password);
    who->left_s = SESSION_S;
    if (error < 0) {
        return error;
    }
    // Both are compared: a wrong name takes as long as a wrong password.
    const int good = rtpush_equal_text(who->name, "alice") &
                     rtpush_equal_text(password, "open sesame");
    return good ? 0 : RTPUSH_ERR_SIGNATURE;
}

static uint32_t topics_of(const char *name) {
    return strcmp(name, "alice") == 0 ? 3 : 1;
}

// -- the hook -------------------------------------------------------------------------------------

static int authorize_stream(const rtpush_request *req, rtpush_grant *grant) {
    identity who;
    char ticket[RTPUSH_TICKET_SIZE];
    uint32_t user;
    grant->expires_s = SESSION_S;
    if (rtpush_query(req->query, "ticket", ticket, sizeof(ticket)) > 0) {
        return rtpush_ticket_redeem(&tickets, ticket, now_s(), &grant->topics, &user) ? 401 : 0;
    }
    if (by_cookie(req, &who) < 0 && by_token(req, &who) < 0) {
        return 401;
    }
    grant->topics = topics_of(who.name);
    grant->expires_s = who.left_s;
    return 0;
}

static int authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    identity who;
    (void)srv;
    if (strcmp(req->path, "/login") == 0) {
        grant->challenge = "Basic realm=\"device\", charset=\"UTF-8\"";
        return by_password(req, &who) < 0 ? 401 : 0;
    }
    if (strcmp(req->path, "/me") == 0 || strcmp(req->path, "/ticket") == 0) {
        return by_cookie(req, &who) < 0 && by_token(req, &who) < 0 ? 401 : 0;
    }
    if (req->topics != 0) {
        return authorize_stream(req, grant);
    }
    for (int i = 0; strncmp(req->path, "/later/", 7) == 0; i++) {
        if (i == WAITING) {
            return 503;
        }
        if (waiting[i].conn.serial == 0) {
            waiting[i].conn = req->conn;
            waiting[i].turns = atoi(req->rest);
            waiting[i].status = waiting[i].turns % 2 ? 403 : 0;
            return RTPUSH_PENDING;
        }
    }
    return 0;
}

static void decide(rtpush_server *srv) {
    const rtpush_grant grant = {.topics = 0};
    for (int i = 0; i < WAITING; i++) {
        if (waiting[i].conn.serial && waiting[i].turns-- <= 0) {
            rtpush_authorize(srv, waiting[i].conn, waiting[i].status, &grant);
            waiting[i].conn.serial = 0;
        }
    }
}

// -- handlers -------------------------------------------------------------------------------------

static void on_login(rtpush_server *srv, const rtpush_request *req) {
    char value[RTPUSH_SIGNED + sizeof "alice"];
    char cookie[200];
    const char *headers[] = {"Set-Cookie", cookie, NULL};
    rtpush_response response = {.body = "in\n", .len = 3, .headers = headers};
    rtpush_sign(&key, "session", "alice", now_s() + SESSION_S, value, sizeof(value));
    rtpush_cookie("sid", value, SESSION_S, req->secure, cookie, sizeof(cookie));
    rtpush_reply(srv, req->conn, &response);
}

static void name_of(const rtpush_request *req, identity *who) {
    if (by_cookie(req, who) < 0) {
        (void)by_token(req, who);
    }
}

static void on_me(rtpush_server *srv, const rtpush_request *req) {
    identity who;
    name_of(req, &who);
    rtpush_reply_text(srv, req->conn, 200, who.name);
}

static void on_ticket(rtpush_server *srv, const rtpush_request *req) {
    identity who;
    char text[RTPUSH_TICKET_SIZE];
    name_of(req, &who);
    rtpush_ticket_issue(&tickets, topics_of(who.name), 0, now_s() + TICKET_S, text);
    rtpush_reply_text(srv, req->conn, 200, text);
}

// The fields for client, host and page, as a proxy passes them on.
static void on_seen(rtpush_server *srv, const rtpush_request *req) {
    char text[400];
    snprintf(text, sizeof(text), "for=%s host=%s origin=%s",
             req->headers[0] ? req->headers[0] : "-", req->host ? req->host : "-",
             req->origin ? req->origin : "-");
    rtpush_reply_text(srv, req->conn, 200, text);
}

static void on_later(rtpush_server *srv, const rtpush_request *req) {
    rtpush_reply_text(srv, req->conn, 200, req->rest);
}

static void on_publish(rtpush_server *srv, const rtpush_request *req) {
    rtpush_publish(srv, strcmp(req->rest, "b") == 0, req->body, req->body_len);
    rtpush_reply_text(srv, req->conn, 200, "published\n");
}

static void on_stats(rtpush_server *srv, const rtpush_request *req) {
    char text[600];
    const rtpush_counters *count = rtpush_get_counters(srv);
    int len = snprintf(text, sizeof(text), "{\"slots\":%u,\"streams\":%u",
                       (unsigned)count->slots_used, (unsigned)count->streams);
    for (int why = 0; why < RTPUSH_REASON_COUNT; why++) {
        if (count->reasons[why]) {
            len += snprintf(text + len, sizeof(text) - (size_t)len, ",\"%s\":%u",
                            rtpush_reason_text(why),
                            (unsigned)count->reasons[why]);
        }
    }
    snprintf(text + len, sizeof(text) - (size_t)len, "}");
    rtpush_reply_text(srv, req->conn, 200, text);
}

static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    // "subscribe b": asked for later; what was not granted is refused.
    if (msg->len == 11 && memcmp(msg->data, "subscribe ", 10) == 0) {
        const uint32_t wanted = msg->data[10] == 'b' ? 3 : 1;
        const char *text = rtpush_subscribe(srv, conn, wanted) == RTPUSH_OK ? "yes" : "no";
        return rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, text, strlen(text));
    }
    return rtpush_send(srv, conn, msg->opcode, msg->data, msg->len);
}

static const char *const seen_headers[] = {"x-forwarded-for", NULL};

static const rtpush_route routes[] = {
    {.path = "/login", .kind = &rtpush_handler, .on_request = on_login},
    {.path = "/me", .kind = &rtpush_handler, .on_request = on_me},
    {.path = "/seen", .kind = &rtpush_handler, .methods = RTPUSH_GET | RTPUSH_POST,
     .headers = seen_headers, .on_request = on_seen},
    {.path = "/ticket", .kind = &rtpush_handler, .methods = RTPUSH_POST, .on_request = on_ticket},
    {.path = "/later/*", .kind = &rtpush_handler, .on_request = on_later},
    {.path = "/publish/*", .kind = &rtpush_upload, .methods = RTPUSH_POST, .max_body = 200,
     .on_request = on_publish},
    {.path = "/stats", .kind = &rtpush_handler, .on_request = on_stats},
    {.path = "/events", .kind = &rtpush_events},
    {.path = "/poll", .kind = &rtpush_poll},
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
};

int main(int argc, char **argv) {
    static rtpush_server srv;
    static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, 2, 0)];
    static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
    rtpush_desc desc = {.routes = routes, .route_count = sizeof(routes) / sizeof(routes[0]),
                        .topics = topics, .topic_count = 2, .memory = memory,
                        .memory_size = sizeof(memory), .conn_count = CONNS,
                        .rx_size = RX, .tx_size = TX, .log_size = LOG,
                        .epoch = rtpush_posix_epoch(), .cookie = "sid", .authorize = authorize};
    const rtpush_posix_desc posix = {.memory = port_memory,
                                     .memory_size = sizeof(port_memory)};
    unsigned number = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--port") == 0) {
            number = value;
        } else if (strcmp(argv[i], "--per-peer") == 0) {
            desc.max_per_peer = value;
        } else if (strcmp(argv[i], "--rate") == 0) {
            desc.rate_messages = value;
        } else if (strcmp(argv[i], "--head-ms") == 0) {
            desc.head_ms = value;
        }
    }
    tickets.key = key;
    tickets.epoch = desc.epoch;
    return serve(&srv, &desc, &posix, number, decide);
}
