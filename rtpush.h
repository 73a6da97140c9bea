// rtpush.h - v0.1 - push live data from a microcontroller to browsers - MIT-0 or public domain
//
// HTTP/1.1, WebSocket, Server-Sent Events and long polling over static connection pools. One C99
// header; no allocation, no I/O, no clock, no globals: bytes go in, bytes come out, time is an
// argument. Licence at the end of the file.
//
// DO THIS
//     In ONE C or C++ file, before the include:     #define RTPUSH_IMPLEMENTATION
//     In that file and all others:                  #include "rtpush.h"
//     And a port that moves the bytes:              #include "ports/rtpush_posix.h"
//
// CONTENTS
//     >>api      types, options of a server, functions; the port's side; kinds; sizes
//     >>text     a writer over fixed memory, small text helpers
//     >>base64   of the opening handshake and for the application
//     >>sha1     the opening handshake's answer
//     >>utf8     a validator that can stop at any byte
//     >>time     quarter seconds
//     >>conn     the states of a connection, two ways to end one, the ready list, tx bytes
//     >>slots    whose slot a newcomer gets; tokens
//     >>log      the ring of events: who may touch what, readers, holders, eviction
//     >>state    the newest value of each STATE topic
//     >>wire     how a record looks on each transport
//     >>reader   cursor, sweep, notices
//     >>plan     spans for the port, and what was sent
//     >>head     the request head, by fields
//     >>reply    answers and refusals
//     >>request  from a complete head to what the kind of the route does
//     >>check    what must hold of a configuration
//     Kinds of routes. Another one is one more section, and no other changes:
//     >>handler  rtpush_handler, rtpush_upload; bodies
//     >>file     rtpush_file, rtpush_download
//     >>events   rtpush_events
//     >>poll     rtpush_poll
//     >>websocket  rtpush_websocket: frames, control frames, the closing handshake
//     >>init     defaults, the rest of the checks, the parts of the memory
//     >>serve    the port's side: input, output, sent, next, tick
//     >>public   the functions of >>api for the application
//     "grep -n '>>' rtpush.h" finds them.
//
// QUICK START
//     #include <stdio.h>
//     #include <time.h>
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"
//     #define RTPUSH_POSIX_IMPLEMENTATION
//     #include "ports/rtpush_posix.h"
//
//     static const char page[] =
//         "<!doctype html><title>rtpush</title><link rel=icon href=data:,>"
//         "<h1 id=n>...</h1><script>"
//         "new EventSource('/events').addEventListener('time', e => n.textContent = e.data)"
//         "</script>";
//     static const rtpush_asset index_html = {"text/html; charset=utf-8", page, sizeof page - 1};
//     static const rtpush_topic topics[] = {{"time", &rtpush_topic_state, 0, 32}}; // 32 bytes
//     static const rtpush_route routes[] = {
//         {"/", &rtpush_file, 0, 0, &index_html},
//         {"/events", &rtpush_events},
//     };
//     static const char *const names[] = {"clock.local", NULL}; // besides addresses, localhost
//
//     enum { CONNS = 8, RX = 512, TX = 512, LOG = 0, TOPICS = 1, STATE = 32 };
//     static uint64_t memory[RTPUSH_WORDS(CONNS, RX, TX, LOG, TOPICS, STATE)]; // all there is
//     static uint64_t port_memory[RTPUSH_POSIX_WORDS(CONNS)];
//     static rtpush_server srv;
//     static rtpush_posix port;
//
//     int main(void) {
//         rtpush_desc desc = {0};
//         rtpush_posix_desc posix = {0};
//         desc.routes = routes;
//         desc.route_count = sizeof routes / sizeof routes[0];
//         desc.topics = topics;
//         desc.topic_count = TOPICS;
//         desc.memory = memory;
//         desc.memory_size = sizeof memory;
//         desc.conn_count = CONNS;
//         desc.rx_size = RX;
//         desc.tx_size = TX;
//         desc.log_size = LOG;
//         desc.epoch = rtpush_posix_epoch();
//         desc.hosts = names;
//         posix.memory = port_memory;
//         posix.memory_size = sizeof port_memory;
//         if (rtpush_init(&srv, &desc)) {
//             fprintf(stderr, "rtpush_init: %s\n", rtpush_config_error(&srv));
//             return 1;
//         }
//         if (rtpush_posix_init(&port, &posix) ||
//             rtpush_posix_listen(&port, &srv, "127.0.0.1", 8080, 0) < 0) {
//             perror("127.0.0.1:8080"); // such as "Address already in use"
//             return 1;
//         }
//         puts("http://127.0.0.1:8080");
//         for (time_t last = 0;;) {
//             time_t now = time(NULL);
//             if (now != last) { // by the clock: turns of this loop take any time
//                 char text[32];
//                 size_t len = strftime(text, sizeof text, "%H:%M:%S", localtime(&now));
//                 rtpush_publish(&srv, 0, text, len);
//                 last = now;
//             }
//             rtpush_posix_step(&port, 100); // serves; returns early if there is much to do
//         }
//     }
//
// MODEL
//                    rtpush_publish, _send, _reply ...
//     application ------------------------------------->  core  (this file)
//           ^      on_request, on_message, on_open ...     |  ^
//           +----------------------------------------------+  | accept, input, output, sent,
//                                                             | acked, eof, gone, next, tick
//     browsers <------ TCP (lwIP, POSIX sockets) ------>  port (ports/)
//
//     connection  a slot: request head, WebSocket, event stream or poll, one after the other
//     route       what a path is, a const table: a HANDLER (rtpush_handler, rtpush_upload), an
//                 ASSET (rtpush_file, rtpush_download), or a stream: WEBSOCKET
//                 (rtpush_websocket), EVENTS (rtpush_events), POLL (rtpush_poll)
//     topic       what is published. EVENT topics share one log, every record counts and has an id;
//                 a STATE topic is one value, of which the newest counts. A const table, at most 32
//     log         a ring of records, each encoded once for all readers
//     reader      an open stream: a cursor into the log and a sweep over the values. Costs no
//                 memory a message, however slow it is
//     gap         events that a reader missed because they were evicted; it gets their number
//     notice      an event named rtpush that begins a stream ("fresh", "replayed n", "gap n",
//                 "reset") or reports a later gap ("gap n"). Its last word is keepalive_ms in
//                 seconds, rounded up: "replayed 3 5". Raw WebSockets get no notice: on_gap is
//                 called
//     keep-alive  after keepalive_ms of silence: an event named rtpush without data, or an empty
//                 message of rtpush.1; with the reader's id if that has moved
//     epoch       differs at each boot, so an id of the last boot is recognised: "reset"
//
//     Which transport: WebSocket where both sides send, SSE where the server mainly sends (the
//     browser reconnects and resumes by itself), polling where a proxy blocks the other two.
//     On a WebSocket a message is the bare payload, or has the form of the subprotocol rtpush.1
//     (below). In an event stream the event's name is the topic.
//     A stream takes ?topics=a,b and ?last_event_id=ID; a poll ?timeout=S too, and is asked again
//     with the last id it got, unchanged: the one that ends the answer is longer than those of
//     events, because it also says which STATE values were given. last_event_id=first begins at the
//     oldest event of the log. Names and values of a query are percent-decoded; ?topics=a&topics=b
//     is ?topics=a,b. An unknown topic is answered 404; broken escapes, a timeout given twice or
//     not as a number of whole seconds 400. If an id cannot be parsed, or is of another epoch, the
//     notice is "reset", and the stream begins now.
//
//     rtpush.1, from the server, text or binary, one message each:
//         id SP topic LF payload   a record, a STATE value, or a notice (topic rtpush)
//         id                       the reader's position has moved, without a record
//         (nothing)                keep-alive
//         = data                   what the application sent: rtpush_send writes the "=" before
//                                  its data, so these can look like nothing of the above
//     Messages of a client have no prefix and go to the application as they are.
//
//     Liveness. On an event stream and a WebSocket with rtpush.1 a page's script sees something at
//     least every keepalive_ms. A page that saw nothing for twice that can show it, and after four
//     times it reconnects (ports/browser/rtpush.js does). An event that takes longer than that to
//     arrive, and a message sent in parts, look like silence. On a raw WebSocket a script sees only
//     the application's messages. The server detects dead peers by pings and acknowledgements.
//
// MEMORY
//     One block of yours, given to rtpush_init: RTPUSH_WORDS computes its size from plain numbers.
//     On 32-bit Cortex-M, in bytes:
//         server       about 730, beside the block
//         connection   120 + rx_size + tx_size, rounded up to 4
//         log          log_size: a record is 18 + payload, rounded up to 4
//         topics       12 a topic + the sum of max over the STATE topics
//         stack        deepest call under 512, callbacks not counted ("make stack")
//     Eight clients with 512 + 512 and a log of 8 KiB: 17 KiB. "make size" prints the flash.
//     rx_size bounds what is kept of a request head (path, query, Host, Origin, Authorization, one
//     cookie, the headers a route names; other fields are discarded, so a browser's long head fits;
//     a token takes 200 bytes and more) and whole WebSocket messages (rx_size - 125). tx_size
//     bounds the answer's head, a STATE value and one direct send.
//
// LIFETIMES AND CONTEXT
//     Everything the desc points to outlives the server. Strings of a request and bytes of a
//     message end with the callback. A handle may be kept for ever: later it is RTPUSH_ERR_STALE.
//     One context (the loop) makes all calls; callbacks run in it. rtpush_publish_from and
//     rtpush_try_publish_from are the exception: any thread or interrupt that the port's lock hook
//     covers. Callbacks may call anything but the port's side: close this connection, another one,
//     all of them, publish. Slots are freed between calls: no connection is freed during a
//     callback.
//     Several servers in one program share nothing.
//
// ACCESS
//     Without an authorize hook anyone on the network may read and call everything; only pages of
//     other sites are refused (Host, Origin, Sec-Fetch-Site). With it each request that a route
//     accepts (no 404, 405, 413, 415, OPTIONS) is authorized before a byte is written: 0, a status,
//     or RTPUSH_PENDING and rtpush_authorize within reply_ms. It runs for files too. Answer all
//     failures alike, 401 (or 303 to the login page, where a person opens a page), and count them
//     by req->peer: 5, then one more every 10 s; beyond that 429. Count only failures, and still
//     check one try a second: otherwise a client that fails every 10 s locks out all others behind
//     the same address (examples/secure).
//
//     Other sites. Host must be a literal address, localhost or one of desc.hosts (421); Origin, if
//     there is one, our own or one of desc.origins (403). Images, scripts and links of other sites
//     have no Origin, but browsers send Sec-Fetch-Site with them. Requests that are cross-site or
//     same-site reach only files (ASSET, by GET); a link that is followed (GET with Sec-Fetch-Dest:
//     document) also reaches a HANDLER. Browsers send this field to https and localhost, and not to
//     http://192.168.1.5: there any site can make its visitors send a GET. So a GET must change
//     nothing; use POST for that, whose Origin is always checked.
//
//     ports/rtpush_access.h has signed cookies, tickets, JSON Web Tokens and Basic credentials, and
//     says what each risks. With a signed cookie:
//
//         int authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
//             char name[32];
//             (void)srv;
//             if (strcmp(req->route->path, "/login") == 0) {
//                 return 0; // page and form, or it would be sent to itself
//             }
//             grant->challenge = "Bearer"; // what a 401 asks for
//             if (rtpush_verify(&key, "session", req->cookie, unix_time(), name, sizeof name,
//                               &grant->expires_s) < 0) {
//                 grant->location = "/login"; // the route above
//                 return req->route->kind == &rtpush_file ? 303 : 401;
//             }
//             grant->known = 1; // its uploads may take body_ms
//             grant->topics = topics_of(name); // now and later
//             return 0;
//         }
//
//     Topics. grant->topics is all that this stream may ever read. It begins with those it asked
//     for; rtpush_subscribe, which the application calls, gives it others of these and never more,
//     so a message of yours that asks for a topic needs no second check:
//         if (begins(msg, "subscribe ")) { // e.g. over rtpush.1
//             int topic = rtpush_topic_index(srv, name);
//             if (topic < 0 || rtpush_subscribe(srv, conn, now | 1u << topic) < 0) refuse();
//         }
//     expires_s ends a stream: a WebSocket with 4401, an event stream with "expired" as a notice, a
//     poll with its answer. An EventSource does not reconnect after a 401; ports/browser/rtpush.js
//     does, with a new ticket each time.
//
// SLOTS
//     If no slot is free, a new connection gets the slot of another one, which gives way: it is
//     closed. A connection can give way between requests, or with an unfinished TLS handshake, head
//     or body. The first of these that exists gives way:
//       1. one that only waits for the peer's FIN;
//       2. if more than half of those that can give way are of one address, which is not the new
//          one's: the oldest of that address;
//       3. while connections that never completed a request have less than three quarters of the
//          slots that are not streams: the oldest idle one;
//       4. the oldest that never completed a request, if it is older than a second.
//     Otherwise the new connection is reset. Age counts from the last progress: a request, 4 KiB of
//     a body, a flight of a handshake. Streams, answers under way and requests that wait for the
//     application never give way; max_streams reserves slots for other connections. So if one
//     address holds every slot with something unfinished, a page opens at once; if as many
//     addresses as slots do, within seconds. A sender that authorize knows (grant->known) counts as
//     one that completed a request.
//
// ERRORS
//     Functions return RTPUSH_OK or more, or a negative RTPUSH_ERR_...: your mistake, or something
//     you must wait for. The PEER's mistakes are never return codes: a bad request is answered with
//     its status, a bad frame with its close code, and the reason (RTPUSH_REASON_...) goes to
//     on_refuse or on_close and is counted. RTPUSH_ASSERT(condition) finds mistakes of a port;
//     define it.
//
// CONFORMANCE
//     RFC 9112 HTTP/1.1     done: 1.0 and 1.1, keep-alive, pipelining, absolute-form, chunked
//                           answers and request bodies, Expect. Refused: transfer codings other
//                           than chunked (501), chunked beside Content-Length or in HTTP/1.0, bare
//                           LF or CR, folded lines, space before a colon, HTTP/2 (505). Ignored:
//                           chunk extensions, trailers
//     RFC 3986 targets      done: percent-decoded once. Refused: dot segments, '\' and, what RFC
//                           3986 2.2 allows, %2F and %5C in a path (400): such data go in a query
//     RFC 9110 semantics    done: GET HEAD POST PUT DELETE PATCH OPTIONS, If-None-Match, gzip,
//                           Allow, Retry-After, weights of Accept-Encoding, a single range of bytes
//                           with If-Range by ETag: of files (of the form that is sent), static
//                           bodies and pulls with a length. Several ranges are answered 200 with
//                           all. Out of scope: dates (there is no clock), trailers, CONNECT, TRACE
//     RFC 6455 WebSocket    done: all of the server's side. Out of scope: extensions (compression)
//     WHATWG HTML 9.2 SSE   done: id, event, data, retry, comments, Last-Event-ID
//     WHATWG Fetch, CORS    done: desc.origins and preflight (which spends no token). Refusals can
//                           be read by these origins too, but not where Origin did not come: a 408
//                           or 431 before it, a 400 for broken framing before it
//     W3C Fetch Metadata    done: Sec-Fetch-Site, and Sec-Fetch-Dest: document
//     RFC 6454, rebinding   done: foreign Origin 403, foreign Host 421, by default. Origins are
//                           scheme, host and port with its default, in any case
//     RFC 6265 cookies      done: one named cookie is kept, the first of its name
//
// LIMITS
//     32 topics, 254 routes, 6 kept headers and 254 subprotocols a route; request head 16 KiB in
//     all; in a chunked body 8 digits a size, 64 bytes of extensions a chunk, 1 KiB of trailers;
//     payload of an event 65,535 bytes and a quarter of the log less 18 (RTPUSH_EVENT_MAX); a
//     WebSocket frame below 4 GiB (messages may be longer in fragments); deadlines up to 8,000 s in
//     steps of 250 ms. After about 4.29 * 10^9 events the epoch changes and readers are told
//     "reset". The counts of "gap n" and "replayed n" are exact for a reader of all topics and
//     upper bounds for others. Order: events in sequence for each reader, a STATE topic never goes
//     back; nothing is promised between the two, nor between a direct send and a publish. While
//     rtpush_publish_from may be used (the port has a lock hook) a quarter of the log is kept free
//     for it.
//
// OPTIONS
//     Only where RTPUSH_IMPLEMENTATION is defined; no option changes a public type. What is not
//     used needs no option: kinds of routes and topics that no table names, and functions that
//     nobody calls, are left out by the linker (-ffunction-sections -fdata-sections,
//     -Wl,--gc-sections).
//     RTPUSH_ASSERT(c)      (nothing) called with what must hold
//     RTPUSH_NO_TEXT        leaves out texts: rtpush_reason_text, rtpush_strerror and status
//                           phrases are "", rtpush_config_error gives the field alone
//     RTPUSH_GATEWAY        adds what a server needs that is one of several, or has thousands of
//                           readers: ids from outside (rtpush_publish_id), rtpush_end_streams,
//                           rtpush_set_peer; and the first retry: of an event stream is
//                           randomized, up to twice retry_ms
//     RTPUSH_NO_CHECKS      leaves out rtpush_init's checks but that of the memory: for an image
//                           whose desc, routes and topics have passed them

#ifndef RTPUSH_H
#define RTPUSH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------

#define RTPUSH_VERSION 0x000100u // 0.1.0

// What functions return: 0 or a positive count is success, each failure has its own number.
// rtpush_strerror() turns it into words.
enum {
    RTPUSH_OK = 0,
    RTPUSH_RETRY = -10,           // a callback's answer: not taken, offer it again after progress
    RTPUSH_PENDING = -21,         // authorize's answer: rtpush_authorize tells it later
    RTPUSH_ERR_WOULD_BLOCK = -1,  // no room in the connection's tx bytes now; on_writable follows
    RTPUSH_ERR_FULL = -2,         // the log has no room now: see the function that returns it
    RTPUSH_ERR_TOO_BIG = -3,      // can never fit: the message names the limit in its comment
    RTPUSH_ERR_STALE = -4,        // the handle's connection has ended
    RTPUSH_ERR_STATE = -5,        // not allowed in this state (already answered, not a stream...)
    RTPUSH_ERR_ARGUMENT = -6,     // no such topic, null pointer, bad code, CR or LF in a header
    RTPUSH_ERR_UTF8 = -7,         // text that is not UTF-8: it would close every WebSocket
    RTPUSH_ERR_CONFIG = -8,       // rtpush_init: a value out of range: rtpush_config_error()
    RTPUSH_ERR_VERSION = -9,      // rtpush_init: this file was built with another rtpush.h
    RTPUSH_ERR_MALFORMED = -11,   // a parameter of a query that cannot be read, or comes twice
    RTPUSH_ERR_OLD = -22,         // rtpush_publish_id, rtpush_advance: the log has come to that id
    // -12 to -19 are those of ports/rtpush_access.h.
    RTPUSH_FIN = -20              // rtpush_output: finish sending (shut down the write side)
};

// Why a request was refused or a connection ended. Index of rtpush_counters.reasons[]; given to
// on_refuse and on_close. The peer's mistakes appear only here, never as a return code.
enum {
    RTPUSH_REASON_NONE,             // ended as both sides wanted
    RTPUSH_REASON_APP,              // the application closed, aborted or refused it
    RTPUSH_REASON_PEER_CLOSED,      // the peer ended the transport
    RTPUSH_REASON_TRANSPORT,        // the transport failed (reset, network error)
    RTPUSH_REASON_SHUTDOWN,         // rtpush_shutdown
    RTPUSH_REASON_TIMEOUT_HEAD,     // request head not complete in head_ms (408)
    RTPUSH_REASON_TIMEOUT_BODY,     // body slower than body_ms allows (408)
    RTPUSH_REASON_TIMEOUT_IDLE,     // keep-alive connection unused for idle_ms
    RTPUSH_REASON_TIMEOUT_REPLY,   // the application did not answer in reply_ms, or left a body for
                                 // later until its deadline (503)
    RTPUSH_REASON_TIMEOUT_PONG,     // no pong and no other byte for ping_ms after a ping
    RTPUSH_REASON_TIMEOUT_CLOSE,    // the peer did not finish closing in close_ms
    RTPUSH_REASON_STALLED,          // bytes queued and none acknowledged for stall_ms
    RTPUSH_REASON_EXPIRED,          // the authorization expired (WebSocket 4401)
    RTPUSH_REASON_EVICTED_SLOT,   // idle, or its head or body does not come: a new one has its slot
    RTPUSH_REASON_EVICTED_LOG,      // was sent part of a record that had to be evicted
    RTPUSH_REASON_NO_SLOT,          // no connection could give way, see SLOTS: reset at accept
    RTPUSH_REASON_PEER_LIMIT,       // more than max_per_peer connections: reset at accept
    RTPUSH_REASON_STREAM_LIMIT,     // max_streams reached (503, or 200 and a retry: for SSE)
    RTPUSH_REASON_RATE,             // too many requests (429)
    RTPUSH_REASON_SYNTAX,         // the head breaks RFC 9112, or path or query cannot be read (400)
    RTPUSH_REASON_TOO_LONG,         // target (414), header or head (431)
    RTPUSH_REASON_VERSION,          // major HTTP version not 1 (505)
    RTPUSH_REASON_METHOD,           // unknown method (501) or not this route's (405)
    RTPUSH_REASON_NOT_FOUND,        // no such route or topic (404)
    RTPUSH_REASON_HOST,             // foreign Host: DNS rebinding (421)
    RTPUSH_REASON_ORIGIN,           // foreign Origin or Sec-Fetch-Site: cross-site request (403)
    RTPUSH_REASON_CODING,           // a transfer coding other than chunked (501)
    RTPUSH_REASON_BODY,             // body larger than the route takes (413)
    RTPUSH_REASON_EXPECT,           // Expect other than 100-continue (417)
    RTPUSH_REASON_UPGRADE,          // WebSocket route without a valid upgrade (400, 426)
    RTPUSH_REASON_WS_PROTOCOL,      // RFC 6455 broken by the peer (close 1002)
    RTPUSH_REASON_WS_UTF8,          // text message not UTF-8 (close 1007)
    RTPUSH_REASON_WS_TOO_BIG,       // message larger than the route takes (close 1009)
    RTPUSH_REASON_ENCODING,         // the asset has no form that the client accepts (406)
    RTPUSH_REASON_TLS,            // a filter: the peer broke or failed its protocol, RFC 5246 7.2.2
    RTPUSH_REASON_TX_SIZE,          // an answer's head does not fit desc.tx_size (500)
    RTPUSH_REASON_MEDIA_TYPE,       // a body of a type that the route does not take (415)
    RTPUSH_REASON_COUNT
};

typedef struct rtpush_server rtpush_server;
typedef struct rtpush_conn rtpush_conn;

// Names a connection for the application. A handle outlives its connection safely: used later it
// gives RTPUSH_ERR_STALE, also when the slot has a new connection. {0,0} is no connection.
typedef struct rtpush_handle {
    uint32_t serial;
    uint32_t index; // of its slot, from 0 to conn_count - 1: an array of yours may have an element
} rtpush_handle;    // for each. Between on_open and on_close nobody else has it

// An event id, written "epoch-seq" as 8 + 1 + 8 hexadecimal digits.
typedef struct rtpush_id {
    uint32_t epoch;
    uint32_t seq;
} rtpush_id;
#define RTPUSH_ID_SIZE 18 // bytes of the text with its NUL

// -- topics: a const table, at most 32 ------------------------------------------------------------

// What is published on a topic, rtpush_topic.kind. What no topic names is not linked: link with
// -Wl,--gc-sections objects compiled with -ffunction-sections -fdata-sections, or with -flto.
typedef struct rtpush_topic_kind rtpush_topic_kind;
extern const rtpush_topic_kind rtpush_topic_event; // every record, in order, from the log
extern const rtpush_topic_kind rtpush_topic_state; // one value, of which the newest counts

enum { RTPUSH_BINARY = 1 }; // rtpush_topic.flags: bytes, not text; WebSocket routes only

typedef struct rtpush_topic {
    const char *name;              // 1 to 32 of A-Z a-z 0-9 - _ . ; must not begin with "rtpush"
    const rtpush_topic_kind *kind; // &rtpush_topic_event or &rtpush_topic_state
    uint8_t flags;                 // RTPUSH_BINARY or 0
    uint16_t max; // STATE: largest value in bytes, at most tx_size - 84. So is a text with 6 bytes
                  // for each of its line ends, which an event stream needs: else ERR_TOO_BIG
} rtpush_topic;

// -- routes: a const table, the first match wins --------------------------------------------------

// What a route is, rtpush_route.kind. Kinds are constants of which a route table holds the address,
// and what no route names is not linked, as said of topics above.
typedef struct rtpush_kind rtpush_kind;
extern const rtpush_kind rtpush_handler;   // on_request answers with rtpush_reply, at once or later
extern const rtpush_kind rtpush_upload;    // HANDLER with request bodies: max_body, on_body
extern const rtpush_kind rtpush_file;      // ASSET, a file in const memory
extern const rtpush_kind rtpush_download;  // ASSET of which a part can be asked for (Range)
extern const rtpush_kind rtpush_websocket; // RFC 6455; subscribed to `topics`
extern const rtpush_kind rtpush_events;    // Server-Sent Events (WHATWG HTML 9.2)
extern const rtpush_kind rtpush_poll;      // long polling: the same text, ends with what is there

// Methods, as bits for rtpush_route.methods and as rtpush_request.method.
enum {
    RTPUSH_GET = 1,
    RTPUSH_HEAD = 2,
    RTPUSH_POST = 4,
    RTPUSH_PUT = 8,
    RTPUSH_DELETE = 16,
    RTPUSH_PATCH = 32,
    RTPUSH_OPTIONS = 64 // answered by the library unless a handler's route names it
};

// rtpush_route.flags
enum {
    RTPUSH_STREAM_MESSAGES = 1, // WEBSOCKET: messages larger than the rx buffer come in pieces;
                                // without it such a message is closed with 1009
    RTPUSH_ANY_ORIGIN = 2,      // skip the checks of Origin and Sec-Fetch-Site here. Risk: any web
                                // page its user visits can use this route
    RTPUSH_FROM_FIRST = 4       // streams: who brings no id gets all that the log holds, from the
                                // oldest event on, as with ?last_event_id=first
};

// A file, for rtpush_file and rtpush_download. Everything stays valid for ever (const flash).
typedef struct rtpush_asset {
    const char *content_type;  // e.g. "text/html; charset=utf-8"
    const void *data;          // identity form, or NULL if only gzip is kept
    uint32_t len;              // bytes of it
    const void *gzip;          // precompressed form, or NULL; sent where the client takes gzip
    uint32_t gzip_len;         // bytes of it
    const char *etag;          // without quotes, A-Z a-z 0-9 - _ only; NULL: no ETag, 304 to
                               // "If-None-Match: *" alone
    const char *cache_control; // NULL: "no-cache" (keep, but ask again)
} rtpush_asset;

#define RTPUSH_ROUTE_HEADERS 6 // most headers a route can ask to keep
#define RTPUSH_LENGTH_UNKNOWN 0xFFFFFFFFu // rtpush_request.content_length

// One request, as callbacks see it. Strings are NUL-terminated, live in the connection's rx bytes
// and end with the callback.
typedef struct rtpush_request {
    rtpush_handle conn;
    const struct rtpush_route *route;
    uint8_t method;          // RTPUSH_GET ...
    uint8_t secure;          // 1: came over a listener with TLS
    uint16_t body_len;       // bytes at body
    uint32_t content_length; // bytes of the body; in on_body those behind this piece. A chunked
                             // body: RTPUSH_LENGTH_UNKNOWN until its last piece
    uint32_t peer;           // what the port gave to rtpush_accept
    uint32_t topics;         // stream routes: the topics asked for, a bit each
    const char *path;        // percent-decoded, once; each '/' in it is a separator
    const char *rest;        // what '*' in route->path stands for, else ""
    const char *query;       // after '?', raw, else ""; read it with rtpush_query
    const char *host;        // Host in lower case; NULL only for HTTP/1.0
    const char *origin;      // NULL if absent
    const char *cookie;      // value of the cookie named by desc.cookie, NULL if absent
    const char *authorization; // value of Authorization, NULL if absent
    const char *content_type; // routes with max_body: value of Content-Type, NULL if absent
    const char *subprotocol; // the chosen one of route->subprotocols, NULL if none
    const char *headers[RTPUSH_ROUTE_HEADERS]; // values of route->headers, NULL where absent
    const uint8_t *body;     // the whole body, and a NUL behind it, in on_request of a route that
                             // has no on_body; else ""
} rtpush_request;

// What the authorize hook grants. Comes filled with what was asked.
typedef struct rtpush_grant {
    uint32_t topics;    // all this stream may ever read: it begins with those it asked for (none of
                        // them: refused 403), rtpush_subscribe gives it others of these later
    uint32_t expires_s; // stream ends after this many seconds (at most 8,000); 0: never
    void *user;         // becomes rtpush_user()
    const char *challenge; // of a refusal with 401: the value of WWW-Authenticate. NULL: "Bearer",
                           // which browsers do not ask their user about, as they do for "Basic
                           // realm=..."
    const char *location;  // of a refusal with 302 or 303: the value of Location, such as "/login"
    uint8_t known; // 1: authorize knows who sends this, so its body may take body_ms. 0: anybody
                   // might: as long as a head, and its slot goes to a newcomer first
} rtpush_grant;

// A WebSocket message or, with RTPUSH_STREAM_MESSAGES, a piece of one.
enum { RTPUSH_TEXT_MESSAGE = 1, RTPUSH_BINARY_MESSAGE = 2 }; // opcodes of RFC 6455 5.2
typedef struct rtpush_message {
    const uint8_t *data; // unmasked; text is valid UTF-8 as a whole (a piece may end inside one
    size_t len;          // character). Ends with the callback
    uint8_t opcode;      // RTPUSH_TEXT_MESSAGE or RTPUSH_BINARY_MESSAGE
    uint8_t first;       // 1 on the first piece
    uint8_t last;        // 1 on the last piece
} rtpush_message;

// How a stream or a HANDLER request ended.
typedef struct rtpush_closed {
    uint8_t reason;         // RTPUSH_REASON_...
    uint16_t close_code;   // WebSocket: the peer's close code, 1005 none given, 1006 no close frame
    const char *close_reason;  // WebSocket: the peer's reason, UTF-8, not terminated
    uint8_t close_reason_len;  // bytes of it, at most 123
} rtpush_closed;

// Callbacks run inside rtpush_input, _sent, _tick, _next or the call that caused them, never from
// another context. They may call every function of this header but the port's side.
typedef struct rtpush_route {
    const char *path;     // "/exact" or "/prefix/*", without percent signs; refused at init if no
                          // request can have it or an earlier route takes it
    const rtpush_kind *kind; // &rtpush_handler ...
    uint8_t methods;      // HANDLER: RTPUSH_GET | ...; 0 means GET and HEAD
    uint8_t flags;        // RTPUSH_STREAM_MESSAGES ...
    const rtpush_asset *asset; // rtpush_file, rtpush_download
    uint32_t topics;      // streams: bit i allows topic i; 0 means all. ?topics=a,b picks of these
    uint32_t max_body;    // rtpush_upload: largest body in bytes; of others any is answered 413, a
                          // chunked one also if it is empty. Without on_body it must be below
                          // rx_size, where a body and its NUL must fit beside the head
    uint32_t rate_bytes;  // rtpush_upload, WEBSOCKET: as rtpush_desc.rate_bytes, for this route; 0:
                          // that. By the server's default an upload of 5 MB takes 18 s
    uint32_t max_message; // WEBSOCKET: largest message in bytes, at most what the rx buffer holds
                          // (rx_size - 125), which 0 means; with STREAM_MESSAGES any, 0: no limit
    uint16_t piece;       // WEBSOCKET with STREAM_MESSAGES: the largest piece that on_message is
                          // given where the port's buffer holds more than the rx buffer takes
                          // (rx_size - 125), which 0 means. An echo of it needs tx_size of 4 bytes
                          // more
    const char *const *headers;      // request headers to keep, lower case, ended by NULL. Of one
                                     // that comes twice the last line counts
    const char *const *subprotocols; // WEBSOCKET: those understood, ended by NULL; "rtpush.1"
                                     // is always understood
    const char *const *body_types;   // rtpush_upload: media types a body may have, lower case,
                                     // without parameters, ended by NULL: others are answered 415.
                                     // One without Content-Type is application/octet-stream.
                                     // NULL: any. Name them where bytes are stored as they come:
                                     // a form or "curl -F" sends multipart/form-data, which has
                                     // fields before and behind the file (ports/rtpush_multipart.h)
                                     // With a list a body with Content-Encoding is 415 too; a PUT
                                     // with Content-Range is always 400. Unless `headers` name it
    void *user;                      // yours

    // HANDLER: answer with rtpush_reply now or within reply_ms. With on_body it is called at the
    // end of the head, before the body; without, when the body is whole. A request without a body
    // (content_length 0) brings no on_body: answer it here.
    void (*on_request)(rtpush_server *srv, const rtpush_request *req);
    // rtpush_upload: a piece of the body as it arrives; last is 1 on the last one, which for a
    // chunked body is empty: only then the end is known. RTPUSH_RETRY or RTPUSH_ERR_WOULD_BLOCK:
    // not taken, it comes again after progress. Whatever else it returns: taken. An answer given
    // early ends the upload.
    int (*on_body)(rtpush_server *srv, const rtpush_request *req, const uint8_t *data, size_t len,
                   int last);
    // Streams: open, the first bytes may be sent. Closing from here is allowed.
    void (*on_open)(rtpush_server *srv, const rtpush_request *req);
    // WEBSOCKET: RTPUSH_RETRY or RTPUSH_ERR_WOULD_BLOCK: not taken, it comes again after progress
    // and nothing more is read meanwhile. Whatever else it returns: taken. So an echo is
    // "return rtpush_send(srv, conn, msg->opcode, msg->data, msg->len)". What was done before such
    // a return is done again: after a publish return something else. One that was left is lost
    // with the connection, also where the peer ends TCP without a Close (RFC 6455 7.1.5: 1006).
    int (*on_message)(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg);
    // WEBSOCKET: there is room again after RTPUSH_ERR_WOULD_BLOCK, wherever that was answered.
    void (*on_writable)(rtpush_server *srv, rtpush_handle conn);
    // Streams: `missed` events were skipped for this reader (exact if it reads every topic).
    void (*on_gap)(rtpush_server *srv, rtpush_handle conn, uint32_t missed);
    // Streams: once after on_open, the last callback. HANDLER: once after on_request, when the
    // answer is out or the connection is lost.
    void (*on_close)(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed);
} rtpush_route;

// -- the server -----------------------------------------------------------------------------------

#define RTPUSH_UNLIMITED 0xFFFFFFFFu // for the limits below that say so

// Zero everywhere means the default in parentheses. Everything pointed to must outlive the server.
typedef struct rtpush_desc {
    const rtpush_route *routes;
    uint32_t route_count; // at least 1, at most 254
    const rtpush_topic *topics;
    uint32_t topic_count; // at most 32

    // Memory: one block for everything. RTPUSH_WORDS below says how large.
    void *memory;        // 8-byte aligned; need not be zeroed
    size_t memory_size;  // bytes
    uint32_t conn_count; // slots: most connections at a time, at least 1
    uint32_t rx_size;    // (512) receive bytes a connection, 256 to 65,532: request head, whole
                         // WebSocket messages of rx_size - 125
    uint32_t tx_size;    // (512) send bytes a connection, 256 to 65,532: answer head, direct sends,
                         // one STATE value; also the scratch SSE prefixes are written in
    uint32_t log_size;   // bytes for events, at least 256, rounded down to a multiple of 4; 0
                         // without EVENT topics. A record takes at most a quarter:
                         // RTPUSH_EVENT_MAX. A 64th of it is the index by which a reader that
                         // resumes is placed
    uint32_t epoch;      // differs at each boot (clock, boot counter, random), never 0; but 0 where
                         // ids come from outside: see rtpush_publish_id
    uint32_t seed;       // any; spreads retry times. (epoch)

    // Authorization and origins.
    const char *const *hosts;   // names this device answers to besides IP literals and localhost,
                                // without ports, ended by NULL. "*" turns the check off: DNS
                                // rebinding
    const char *const *origins; // foreign origins allowed ("https://app.example"), ended by NULL:
                                // scheme, host and port, and nothing behind
    const char *cookie;         // the one cookie to keep
    // Every request before a byte is written: 0 accepts, or a status from 400 to 599, or 302 or 303
    // with grant->location (for what a person opens; not for streams and scripts). RTPUSH_PENDING:
    // the request waits for rtpush_authorize, at most reply_ms, then it is answered 503. (429 and
    // 503 become 200 and a retry: on an EVENTS route, or an EventSource would never come again.)
    int (*authorize)(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant);
    // A request was refused or a connection not accepted: for logs. status 0: no answer possible.
    // The answer is made already: rtpush_reply and rtpush_authorize give ERR_STATE.
    void (*on_refuse)(rtpush_server *srv, uint32_t peer, int status, int reason);

    // Limits.
    uint32_t max_streams;   // (conn_count - 1, at least 1) WebSocket + SSE + waiting polls; at most
                            // conn_count
    uint32_t max_per_peer;  // (no cap) connections with the same peer value. With a cap, or with a
                            // rate below, accepting one looks at all slots
    uint32_t rate_messages; // (200) requests and WebSocket frames a second a connection, burst
                            // twice that, at most 32,000; RTPUSH_UNLIMITED. A new connection has no
                            // more left than the others of its address, those just ended included;
                            // without any its first request waits for the next second, later ones
                            // are answered 429
    uint32_t rate_bytes;    // (262,144) body and message bytes a second, burst twice that, at most
                            // 2,000,000; RTPUSH_UNLIMITED. By address too

    // Deadlines in milliseconds, resolution 250, at most 8,000,000 (else refused at init).
    uint32_t head_ms;      // (10,000) first byte to end of the request head
    uint32_t body_ms;      // (30,000) for each 4 KiB of a request body, chunk sizes not counted,
                           // whose sender authorize knows (grant->known); others: head_ms at most.
                           // By a rate below 4 KiB in this time longer bodies end with 408
    uint32_t idle_ms;      // (15,000) keep-alive connection without a request, its answer arrived
    uint32_t reply_ms;     // (30,000) the application's time to answer
    uint32_t ping_ms;      // (20,000) WebSocket: silence before a ping, and then before the end
    uint32_t stall_ms;     // (20,000) bytes on their way and none acknowledged: the one reset for
                           // slow readers. Where acknowledgements are asked for (POSIX) it comes
                           // up to a quarter of this later
    uint32_t close_ms;     // (2,000) the peer's time to finish closing, once it has every byte
    uint32_t keepalive_ms; // (5,000) SSE and rtpush.1: longest silence that a page's script sees
    uint32_t poll_ms;      // (25,000) longest wait of a long poll; ?timeout=S, whole seconds, asks
                           // for less
    uint32_t retry_ms;     // (2,000) SSE reconnection time given to the browser

    void *user; // yours: rtpush_server_user()
} rtpush_desc;

// All memory of a server, for desc.memory: a constant where its arguments are, so that a static
// array shows in the map file.
//     static uint64_t memory[RTPUSH_WORDS(CONNS, RX_SIZE, TX_SIZE, LOG_SIZE, TOPICS, STATE_BYTES)];
// The first four are the fields of the same names (conn_count, rx_size ...), topics is topic_count,
// of both kinds, and state_bytes the sum of rtpush_topic.max over the STATE topics. The result is a
// size_t; what none can count becomes one so large that no array and no calloc takes it.
#define RTPUSH_WORDS(conns, rx_size, tx_size, log_size, topics, state_bytes) \
    RTPI_SIZE_T(RTPI_WORDS(conns, rx_size, tx_size, log_size, topics, state_bytes))
#define RTPI_SIZE_T(n) ((n) < (size_t)-1 / 8u ? (size_t)(n) : (size_t)-1 / 8u)
#define RTPI_WORDS(conns, rx_size, tx_size, log_size, topics, state_bytes) \
    (((uint64_t)(conns) * RTPI_CONN_SIZE((uint64_t)(rx_size) + (tx_size)) + (uint64_t)(topics) * \
      sizeof(rtpi_value) + (uint64_t)(log_size) + (uint64_t)(state_bytes) + 7u) / 8u)
#define RTPI_CONN_SIZE(bytes) /* a connection, with its rx and tx behind it */ \
    (((bytes) + sizeof(rtpush_conn) + sizeof(void *) - 1u) / sizeof(void *) * sizeof(void *))

// The largest payload of an event: a record is 16 + payload + 2, rounded up to 4, and takes at most
// a quarter of the log.
#define RTPUSH_EVENT_MAX(log_size) \
    ((log_size) / 16u * 4u - 18u < 65535u ? (log_size) / 16u * 4u - 18u : 65535u)

// Counts since rtpush_init; they wrap. Read them in the loop context.
typedef struct rtpush_counters {
    uint32_t accepted;     // connections
    uint32_t requests;     // request heads understood
    uint32_t messages_in;  // WebSocket messages
    uint32_t messages_out; // WebSocket messages sent directly
    uint32_t bytes_in;     // taken by rtpush_input
    uint32_t bytes_out;    // reported by rtpush_sent
    uint32_t published;    // records and STATE values accepted
    uint32_t full;         // events dropped by rtpush_publish_from, since there was no room
    uint32_t delivered;    // records completed to readers
    uint32_t states_sent;  // STATE values given to readers
    uint32_t gaps;         // times a reader was told of a gap
    uint32_t missed;       // events in those gaps
    uint32_t log_used;     // bytes now
    uint32_t log_high;     // most so far
    uint32_t slots_used;   // connections now
    uint32_t slots_high;   // most so far
    uint32_t streams;      // streams now
    uint32_t streams_high; // most so far
    uint32_t reasons[RTPUSH_REASON_COUNT]; // refusals and ends, by reason
} rtpush_counters;

// Prepares srv over the memory in desc; nothing to release. desc is copied.
// RTPUSH_ERR_CONFIG: rtpush_config_error() names the field, what is needed and what was given; srv
// is not started. RTPUSH_ERR_VERSION: this file and the implementation were built from different
// headers.
static inline int rtpush_init(rtpush_server *srv, const rtpush_desc *desc);
// "memory_size: 13104 bytes needed, 12288 given", "" if there is none; never NULL. Ends with the
// next rtpush_init of srv.
const char *rtpush_config_error(const rtpush_server *srv);

// Loop context: appends an event or stores a STATE value, never waits for readers. len is at most
// topic max (STATE) or RTPUSH_EVENT_MAX(log_size) (EVENT). ERR_TOO_BIG, ERR_UTF8, ERR_ARGUMENT;
// ERR_FULL only if the oldest record cannot go: the connection whose callback this is called from
// needs it, or it is not complete (rtpush_reserve, a rtpush_publish_from that was interrupted):
// nothing is published, try again.
int rtpush_publish(rtpush_server *srv, unsigned topic, const void *data, size_t len);
// Any context, interrupts included, if the port's lock hook allows it: as rtpush_publish, but never
// evicts. RTPUSH_ERR_FULL when the margin the loop keeps free (a quarter of the log) is used up:
// the event is dropped, and readers of its topic get a gap. ERR_STATE: the port has no
// lock hook (rtpush_lwip.h: set desc.publish_from).
int rtpush_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len);
// The same for a caller that tries again: with RTPUSH_ERR_FULL nothing happened.
int rtpush_try_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len);
// Loop context: room for up to `cap` bytes of an EVENT, to be printed in place; commit with the
// length used before returning to the loop (len 0 to cap). NULL: too big, or no room as
// rtpush_publish says. One at a time.
void *rtpush_reserve(rtpush_server *srv, unsigned topic, size_t cap);
int rtpush_commit(rtpush_server *srv, size_t len);
rtpush_id rtpush_last_id(const rtpush_server *srv); // of the newest event
char *rtpush_id_format(rtpush_id id, char out[RTPUSH_ID_SIZE]);
int rtpush_topic_index(const rtpush_server *srv, const char *name); // or ERR_ARGUMENT
// The stored STATE value; *len its bytes; NULL if never published. Ends with the next publish: not
// for a topic that rtpush_publish_from stores.
const void *rtpush_state_get(const rtpush_server *srv, unsigned topic, size_t *len);

// One whole WebSocket message to one connection; over rtpush.1 it begins with "=" on the wire.
// ERR_WOULD_BLOCK: on_writable follows. ERR_TOO_BIG: over tx_size - 4 (rtpush.1: tx_size - 5); send
// it in parts. Text must be UTF-8 (not checked).
int rtpush_send(rtpush_server *srv, rtpush_handle conn, int opcode, const void *data, size_t len);
// A message in parts, each a fragment; opcode counts on the first. Between first and last nothing
// published reaches this connection. ERR_STATE if first does not match what is open.
int rtpush_send_part(rtpush_server *srv, rtpush_handle conn, int opcode, const void *data,
                     size_t len, int first, int last);
// Most bytes one rtpush_send or _send_part would take now; 0 if none or not a WebSocket.
size_t rtpush_send_room(const rtpush_server *srv, rtpush_handle conn);

// What authorize left for later, decided as it would have been there; also from inside it. status 0
// with a grant, whose topics are yours to set here (those asked for, or more: see rtpush_grant), or
// what authorize may answer; then grant may be NULL, unless it names a location. ERR_STALE: the
// peer has left; ERR_STATE: it does not wait any more.
int rtpush_authorize(rtpush_server *srv, rtpush_handle conn, int status, const rtpush_grant *grant);
// Streams: changes the subscription. Newly added STATE topics bring their value; EVENT topics begin
// where this reader stands: now, or, if it is behind, with the first event that it has not come to.
// Bit i stands for topic i. ERR_ARGUMENT: one that was not granted (rtpush_grant.topics; without an
// authorize hook: not of this route).
int rtpush_subscribe(rtpush_server *srv, rtpush_handle conn, uint32_t topics);
// A graceful close: a WebSocket sends code and reason (at most 123 bytes UTF-8, NULL none), or,
// where both do not fit behind what tx holds now, the code alone, once it does.
int rtpush_close(rtpush_server *srv, rtpush_handle conn, uint16_t code, const char *close_reason);
int rtpush_abort(rtpush_server *srv, rtpush_handle conn); // ends it at once, with a reset
// Offers again what a callback answered with RTPUSH_RETRY; only needed to be faster than 250 ms.
int rtpush_retry(rtpush_server *srv, rtpush_handle conn);

// Fills buf with more of a long answer. RTPUSH_RETRY: nothing yet (rtpush_retry when there is).
// Else the bytes written, at least 1 and at most cap; 0 at the end, or a negative number to abort.
// offset: of the next byte, which is not 0 at first where a range was asked for. Of an answer with
// a length no more than that is asked for; an end before it aborts the connection.
typedef int (*rtpush_pull)(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                           uint8_t *buf, size_t cap);

typedef struct rtpush_response {
    uint16_t status;             // 200 to 599; 0 means 200
    uint8_t body_static;         // 1: body stays valid until on_close and is sent from where it is;
                                 // 0: it is copied into the tx bytes and must fit
    const char *content_type;    // NULL: "text/plain; charset=utf-8"
    const char *cache_control;   // NULL: "no-store"
    const char *const *headers;  // name, value, name, value, ..., NULL: others than those this
                                 // library writes: the two above, ETag, Content-Length,
                                 // Connection, Transfer-Encoding, Upgrade, Accept-Ranges,
                                 // Content-Range, X-Content-Type-Options
    const void *body;
    uint32_t len;                // bytes of body, or of what pull brings
    rtpush_pull pull;            // instead of body: an answer that is made piece by piece. With len
                                 // 0 its length is not known, and it is sent in chunks
    void *user;                  // given to pull
    const char *etag;            // without quotes, or NULL: the same for the same bytes alone. Only
                                 // with it a client can ask for the rest safely (If-Range)
} rtpush_response;

// Answers a HANDLER request, once. ERR_TOO_BIG: head (and copied body) do not fit tx_size, of which
// a 100 Continue that is not out yet takes 25 bytes; nothing was sent. ERR_ARGUMENT: a status out
// of range, a header that has CR or LF, is no token or is one of those above, len without a body,
// or a body for a 205 (RFC 9110 15.3.6). HEAD requests get the head alone.
// Access-Control-Allow-Origin among the headers takes the place of what desc.origins brings (an
// ANY_ORIGIN route may say "*"). A static body and a pull with len, answered 200 to a GET that asks
// for a range, are answered 206 with that part, or 416.
int rtpush_reply(rtpush_server *srv, rtpush_handle conn, const rtpush_response *response);
// The same with a body that is copied; text NULL: none.
int rtpush_reply_text(rtpush_server *srv, rtpush_handle conn, int status, const char *text);

// A parameter of a raw query, percent-decoded into out and NUL-terminated. Returns its length;
// ERR_ARGUMENT if absent, ERR_TOO_BIG if it does not fit cap, ERR_MALFORMED if an escape is broken
// or a control character, or if the parameter comes twice.
int rtpush_query(const char *query, const char *name, char *out, size_t cap);

void *rtpush_user(const rtpush_server *srv, rtpush_handle conn); // NULL if stale or unset
int rtpush_set_user(rtpush_server *srv, rtpush_handle conn, void *user);
// The route of the request, in every callback up to on_close: where callbacks of several routes
// share a function, its `user` tells them apart. NULL if stale, or if no route has this path.
const rtpush_route *rtpush_route_of(const rtpush_server *srv, rtpush_handle conn);
int32_t rtpush_rtt_ms(const rtpush_server *srv, rtpush_handle conn); // last ping; -1 none yet
void *rtpush_server_user(const rtpush_server *srv);
const rtpush_counters *rtpush_get_counters(rtpush_server *srv);
// Iterates over open streams: start with {0,0}; returns {0,0} at the end.
rtpush_handle rtpush_next_stream(const rtpush_server *srv, rtpush_handle after);

// Begins shutdown: new connections are refused, WebSockets get 1001, SSE a jittered retry:, the
// rest finish what they do. Done when rtpush_get_counters()->slots_used is 0.
void rtpush_shutdown(rtpush_server *srv);
const char *rtpush_strerror(int error); // RTPUSH_ERR_...
const char *rtpush_reason_text(int reason);        // RTPUSH_REASON_...

// -- servers behind a load balancer, ids from outside ---------------------------------------------
// With RTPUSH_GATEWAY. Ids come from outside where desc.epoch is 0 (desc.seed is not then: another
// one on each server and at each start). Servers that are fed from one ordered source, such as a
// broker's stream, give the same ids, so a client that loses one server goes on at another. The log
// has no epoch, and the id 0-0, before the source's first position. It has no numbers of its own:
// of an EVENT topic rtpush_publish and _publish_from are ERR_STATE, rtpush_reserve is NULL. A STATE
// topic may be stored by them too: a value of this server alone. All of this in the loop context.

// Numbers of a position go from 1 to this (2^32 - 1 is used inside).
#define RTPUSH_SEQ_MAX 0xFFFFFFFEu
// The id of position n, from 1 on, of a source that counts with 64 bits: epoch + (n - 1) /
// RTPUSH_SEQ_MAX, and 1 + (n - 1) % RTPUSH_SEQ_MAX. n 0: what is before the first, number 0.
rtpush_id rtpush_id_at(uint32_t epoch, uint64_t n);

// Appends the event at position id. Of a STATE topic: stores the value, and the head of the log
// moves to id. Positions that were jumped over are no loss, but `lost` of them, which readers are
// told as a gap before this event: those that are here, and those that resume from before it later.
// In another epoch, higher or lower, the log begins anew with id, and all readers are told "reset".
// What was before the first position of an epoch is not known here, and a gap for who resumes from
// there. ERR_STATE: desc.epoch is not 0. ERR_ARGUMENT: no such topic, no such id, lost more than
// the positions between. ERR_OLD: same epoch, and the log has come to id: a duplicate. ERR_TOO_BIG,
// ERR_UTF8: not for readers; rtpush_advance can say that one more was lost. ERR_FULL: as in
// rtpush_publish. With an error nothing happened.
int rtpush_publish_id(rtpush_server *srv, unsigned topic, rtpush_id id, uint32_t lost,
                      const void *data, size_t len);
// The source has come to id without anything for the log there: a marker, an event of another
// topic. The head moves, so that ids do not grow old. `lost` of the positions up to id, id
// included, were lost. In another epoch the log begins anew behind id, whose number may be 0 there:
// nothing is before the next position. Errors as above.
int rtpush_advance(rtpush_server *srv, rtpush_id id, uint32_t lost);

// A client that was further at another server, or in another epoch, waits here: its stream or poll
// is open, with keep-alives, but without a notice, value or id, until the log has come to its id
// (then "replayed 0") or rtpush_source_end says that it will not. A poll whose time is over ends
// with the id that it came with.
// Does anybody wait? 0: no. Else what rtpush_source_end is given with the answer of the source, if
// that was asked after this call.
uint32_t rtpush_waiting(rtpush_server *srv);
// The source ends with position `end`, or its epoch has none yet (number 0). Who waited when
// rtpush_waiting returned `mark`, for an id above it or of another epoch, is told "reset" and goes
// on at the head of this server. Returns how many.
int rtpush_source_end(rtpush_server *srv, uint32_t mark, rtpush_id end);

// Ends up to `most` streams and polls as rtpush_shutdown ends all, so that not all clients come
// back at once. Returns how many: 0 if there are no more. New ones are accepted.
uint32_t rtpush_end_streams(rtpush_server *srv, uint32_t most);
// The connection speaks for another address than the port saw: what is counted by address is
// counted for `peer` from now on; rtpush_request.peer says it from the next request on. For a
// proxy: from authorize, with what its X-Forwarded-For says (rtpush_route.headers), and only if
// req->peer is a proxy of yours: anybody can send this field, and whoever is believed can take any
// address, to escape a limit or to use up another's. A limit of requests holds as far as a proxy
// gives each client a connection of its own, as for streams. desc.max_per_peer counts at accept,
// where all are the proxy's: leave it out. ERR_STALE. ERR_FULL: the address has `most` connections
// (0: no cap) without this one; nothing is changed.
int rtpush_set_peer(rtpush_server *srv, rtpush_handle conn, uint32_t peer, uint32_t most);

// -- text: a writer over memory of yours ----------------------------------------------------------
// Appends to it, and remembers when something did not fit: write all of a text first, then look at
// `over` once. Also for room in the log: rtpush_reserve.

typedef struct rtpush_text { // begin with {data, cap, 0, 0}
    uint8_t *data;
    uint32_t cap; // bytes there
    uint32_t len; // bytes written
    uint8_t over; // 1: something did not fit; nothing more is written
} rtpush_text;

void rtpush_text_put(rtpush_text *text, const void *data, size_t len);
void rtpush_text_decimal(rtpush_text *text, uint32_t value);
void rtpush_text_hex(rtpush_text *text, uint32_t value); // 8 digits, in lower case
// RFC 4648 4 with padding, or with url 1 RFC 4648 5 without.
void rtpush_text_base64(rtpush_text *text, const void *data, size_t len, int url);
// Validates UTF-8 (RFC 3629) piece by piece: 0 at the beginning, then what the last call returned;
// 0 between characters, RTPUSH_UTF8_BAD at the first byte that cannot be right.
enum { RTPUSH_UTF8_BAD = 8 };
unsigned rtpush_utf8(unsigned state, const void *data, size_t len);

// -- the port's side ------------------------------------------------------------------------------
// One context calls all of this, one call at a time. A connection exists from rtpush_accept until
// the port calls rtpush_gone or the core calls drop; the pointer must not be used after either.
// drop is called only from rtpush_accept, _next, _publish and _reserve, and never for the
// connection whose rtpush_input, _sent, _eof ... is under way.
//
// The loop:  tick; while ((c = rtpush_next())) serve c; sleep until tick's answer or I/O.
// Serve c:   offer held input; output, send and rtpush_sent while that returns 1 and the transport
//            takes all; repeat while there is held input and something was sent.

typedef struct rtpush_hooks {
    void *ctx;
    // Ends the transport now, without calling back into the core. reset 1: abort (RST); 0: all that
    // was to be sent is sent, close as usual, and what the transport still holds is delivered.
    void (*drop)(void *ctx, rtpush_conn *conn, void *port, int reset);
    // Called from rtpush_publish_from, perhaps in an interrupt: make the loop run soon. Or NULL.
    void (*wake)(void *ctx);
    // Short critical section against rtpush_publish_from. NULL: that is refused, one context
    // publishes.
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    // With RTPUSH_COPIES, or NULL: bytes of this connection that the port has taken and the peer's
    // TCP has not acknowledged. Asked when a deadline comes or a connection is to be evicted, not
    // for each send; MUST NOT call the core. Where a system cannot say, 0: then a drop without
    // reset must let the transport deliver what it holds.
    uint32_t (*pending)(void *ctx, const rtpush_conn *conn, void *port);
    unsigned flags; // RTPUSH_COPIES ...
    // &rtpush_shared_plans, or NULL. With it readers that stand at the same place are offered the
    // same span, written once to plan_memory: each costs a few instructions, not a plan of its own.
    // That are RTPUSH_PLANS times plan_size bytes, 8-byte aligned, for this server alone, the first
    // 64 of each zero; plan_size is a multiple of 8, at least 256. A span has at most 65,532 bytes.
    const struct rtpush_sharing *sharing;
    // With sharing and pending, or NULL: sends bytes at once, unless others must go first or held
    // input is to be offered. Returns how many were taken. MUST NOT call the core. rtpush_next and
    // rtpush_push send by it what a stream has in one span: so rtpush_next names fewer connections.
    uint32_t (*write)(void *ctx, void *port, const uint8_t *data, uint32_t len);
    void *plan_memory;
    uint32_t plan_size;
} rtpush_hooks;

enum { RTPUSH_PLANS = 4 }; // one for each transport and set of topics

// For rtpush_hooks.sharing. What a port does not name its linker drops.
typedef struct rtpush_sharing rtpush_sharing;
extern const rtpush_sharing rtpush_shared_plans;

// rtpush_hooks.flags. COPIES: what rtpush_sent tells of was copied. So HOLD bytes need not last and
// are acknowledged at once: that says then that the transport has room, not that the peer has
// the bytes. That is asked by `pending`: no deadline that could cut an answer ends a connection
// while bytes still reach the peer. INPUT_CONST: what rtpush_input is given must not be written to;
// messages are copied into rx before they are unmasked.
enum { RTPUSH_COPIES = 1, RTPUSH_INPUT_CONST = 2 };

enum { RTPUSH_SPAN_COPY, RTPUSH_SPAN_HOLD, RTPUSH_SPAN_STATIC };
typedef struct rtpush_span {
    const uint8_t *data;
    uint16_t len;  // never 0; long bodies come as several spans
    uint8_t kind;  // COPY: valid until the next core call. HOLD: unchanged until acknowledged.
} rtpush_span;     // STATIC: for ever

// rtpush_accept flags: TLS, by the filter if one is attached, else by something in front of us
enum { RTPUSH_LISTENER_SECURE = 1 };

// Before rtpush_publish_from is called; the same hooks again may be given at any time.
int rtpush_attach(rtpush_server *srv, const rtpush_hooks *hooks);
// A new connection. peer: any number equal for equal addresses (0 unknown). port: the port's own
// pointer, handed back by rtpush_port. NULL: none free, reset it.
rtpush_conn *rtpush_accept(rtpush_server *srv, unsigned flags, uint32_t peer, void *port);
// Bytes that arrived. Returns how many were taken. Those may have been changed (a message is
// unmasked where it stands) unless the hooks say INPUT_CONST; the others are as they came. Offer
// them again when the connection comes from rtpush_next or after rtpush_sent.
size_t rtpush_input(rtpush_server *srv, rtpush_conn *conn, void *bytes, size_t len);
// The peer finished sending and all bytes were taken.
void rtpush_eof(rtpush_server *srv, rtpush_conn *conn);
// What to send: fills up to max spans, returns how many (0: nothing now) or RTPUSH_FIN (once).
// Spans MUST be followed by rtpush_sent, before any other call into this server.
int rtpush_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max);
// Of the bytes offered `taken` were taken by the transport, 0 to all, and `acked` of those taken so
// far are acknowledged now (no longer referred to). Returns 1: there is more, ask again when the
// transport has room; 0: not before rtpush_next names it.
int rtpush_sent(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked);
// May come before rtpush_output, which need not follow after 1: all was sent, by hooks.write.
int rtpush_push(rtpush_server *srv, rtpush_conn *conn);
void rtpush_acked(rtpush_server *srv, rtpush_conn *conn, size_t n); // acknowledged later
// May follow rtpush_sent, for a port that copies some spans and refers to others: it has copied
// every HOLD byte of this connection that is not acknowledged, so these bytes may be evicted.
// Without it (or RTPUSH_COPIES) a reader that is slow to acknowledge is dropped when its last
// records are evicted; with it, it gets a gap notice. rtpush_acked is required all the same:
// stalled readers are detected by it.
void rtpush_copied(rtpush_server *srv, rtpush_conn *conn);
void rtpush_gone(rtpush_server *srv, rtpush_conn *conn);            // the transport has died
// Next connection that has something to do (output, or held input to offer again), or NULL.
rtpush_conn *rtpush_next(rtpush_server *srv);
// Time: any millisecond counter that wraps at 2^32; going back counts as 0. Returns ms until the
// next deadline (0xFFFFFFFF none). Deadlines that other calls begin count from the last one: after
// a wait this comes first.
uint32_t rtpush_tick(rtpush_server *srv, uint32_t now_ms);
void *rtpush_port(const rtpush_conn *conn);
rtpush_handle rtpush_conn_handle(const rtpush_server *srv, const rtpush_conn *conn);

// -- a filter between the port and this file: TLS (ports/rtpush_bearssl.h) ------------------------
// Ports do not know of it. For connections of secure listeners rtpush_input, _eof, _output, _sent
// and _acked go to the filter, under the same rules, and the filter uses rtpush_plain_* for what is
// inside, whose input is the filter's own memory and may be written to. What it took by
// rtpush_plain_sent it MUST have copied. rtpush_plain_acked MUST wait until
// the transport acknowledged the bytes that carry it, or stalled readers are not seen and FIN is
// early.

typedef struct rtpush_filter {
    void *ctx;
    // A new connection: the filter's own object for it, given back by rtpush_filter_self, or NULL:
    // reset it. The object MUST begin with `void *port`, set to port.
    void *(*open)(void *ctx, rtpush_server *srv, rtpush_conn *conn, void *port);
    void (*close)(void *self); // once, last: dropped or gone; calls nothing for this connection
    size_t (*input)(rtpush_server *srv, rtpush_conn *conn, void *bytes, size_t len);
    void (*eof)(rtpush_server *srv, rtpush_conn *conn);
    int (*output)(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max);
    int (*sent)(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked);
    void (*acked)(rtpush_server *srv, rtpush_conn *conn, size_t n);
} rtpush_filter;

// After rtpush_init, before the first connection; filter outlives srv. ERR_ARGUMENT: NULL, or
// there is one.
int rtpush_attach_filter(rtpush_server *srv, const rtpush_filter *filter);
void *rtpush_filter_self(const rtpush_conn *conn);
size_t rtpush_plain_input(rtpush_server *srv, rtpush_conn *conn, void *bytes, size_t len);
void rtpush_plain_eof(rtpush_server *srv, rtpush_conn *conn);
int rtpush_plain_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max);
int rtpush_plain_sent(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked);
void rtpush_plain_acked(rtpush_server *srv, rtpush_conn *conn, size_t n);
// Serve it soon: rtpush_next will name it, and the port offers again what was not taken.
void rtpush_filter_ready(rtpush_server *srv, rtpush_conn *conn);
void rtpush_filter_later(rtpush_server *srv, rtpush_conn *conn); // ... within about 250 ms
// Begins a graceful close for a reason RTPUSH_REASON_...: what is queued, then FIN.
void rtpush_filter_end(rtpush_server *srv, rtpush_conn *conn, int reason);
// For a pool of the filter's own, smaller than the server's (TLS):
void rtpush_filter_moved(rtpush_server *srv, rtpush_conn *conn); // its handshake made progress
int rtpush_filter_idle(const rtpush_conn *conn);                 // 1: between requests
uint32_t rtpush_filter_peer(const rtpush_conn *conn);
// The connection that gives way to conn, which waits, by the rules of SLOTS among the filter's
// connections for which `of` returns 1. least_ms replaces the second there; for an idle one it is
// half a second. NULL: none, or one ends already.
rtpush_conn *rtpush_filter_gives_way(rtpush_server *srv, const rtpush_conn *conn,
                                     uint32_t least_ms, int (*of)(const rtpush_conn *conn));
// Ends it: gracefully, or at once if only its peer's end is waited for.
void rtpush_filter_evict(rtpush_server *srv, rtpush_conn *conn);
uint32_t rtpush_now_ms(const rtpush_server *srv); // of the last rtpush_tick

// -- kinds: in what routes and topics differ ------------------------------------------------------
// Public only so that tables can be constant. The core calls these and knows no kind by name, so
// another kind needs no change to it. NULL: what stands in parentheses.

struct rtpi_range;

struct rtpush_kind {
    uint8_t flags;   // RTPI_KIND_...
    uint8_t methods; // RTPUSH_GET ...: what it answers if the route does not say
    // rtpush_init. 0: the route is wrong, and the text of the error is written. (right)
    int (*check)(rtpush_server *srv, const rtpush_route *route);
    // The value of a request field, or an element of a list: what of the body, say, is asked for.
    unsigned (*field)(const rtpush_server *srv, rtpush_conn *conn, unsigned header, char *value);
    // The head is complete, nobody was asked: 0, or what it is refused with. (0)
    unsigned (*judge)(rtpush_server *srv, rtpush_conn *conn, rtpush_request *req);
    // It is authorized: answers, waits, or becomes a stream. 0, or what it is refused with.
    unsigned (*open)(rtpush_server *srv, rtpush_conn *conn, rtpush_request *req);
    // Bytes of a body or for a stream: how many were taken; len 0: again what was left. (discarded)
    size_t (*input)(rtpush_server *srv, rtpush_conn *conn, uint8_t *data, size_t len);
    // Puts into tx what a stream sends before records, or more of a pulled answer. 0: no output.
    int (*fill)(rtpush_server *srv, rtpush_conn *conn);
    // The scan of deadlines visits an open stream; `due` may have come. (nothing)
    void (*timer)(rtpush_server *srv, rtpush_conn *conn);
    // Ends an open stream gracefully. (what is queued, then the end)
    void (*close)(rtpush_server *srv, rtpush_conn *conn, uint16_t code, const char *close_reason,
                  uint8_t reason);
    // Bytes of an open stream were sent or acknowledged. (nothing)
    void (*progress)(rtpush_server *srv, rtpush_conn *conn);
    // Adds to what on_close is told. (nothing)
    void (*closed)(const rtpush_server *srv, const rtpush_conn *conn, rtpush_closed *closed);
    // The part of its body that a GET asks for: 200 (all), 206, 416. (200)
    unsigned (*range)(const rtpush_conn *conn, const char *etag, int gzip,
                      struct rtpi_range *range);
};

struct rtpush_sharing {
    int (*output)(rtpush_server *srv, rtpush_conn *conn, rtpush_span *span); // 0: plan by itself
    int (*push)(rtpush_server *srv, rtpush_conn *conn); // as rtpush_push
};

struct rtpush_topic_kind {
    uint8_t flags; // RTPI_TOPIC_...
    // Data that is checked; the log is not locked. `by`: RTPI_BY_...
    int (*publish)(rtpush_server *srv, unsigned topic, const void *data, size_t len, int by);
    // Puts values newer than the reader's last sweep into tx. (nothing)
    void (*sweep)(rtpush_server *srv, rtpush_conn *conn);
};

// -- sizes: public only so that memory can be static; the fields are private ----------------------

typedef struct rtpi_value { // one a topic
    uint32_t rev;           // STATE: its revision, 0: never published. EVENT: its newest number up
                            // to the limit, 0 none (written by the loop alone)
    uint32_t off;           // STATE: of the bytes, from the table's beginning
    uint32_t len;           // STATE
} rtpi_value;

typedef struct rtpi_stream { // SSE, poll and WebSocket: where this reader stands
    uint32_t topics;         // subscribed, a bit each
    uint32_t seq;            // next sequence number to look at: this decides
    uint32_t off;            // where it should be in the log: only a cache
    uint32_t part;           // how much of the record at seq is sent, as RTPI_PART; 0: nothing
    uint32_t gap_from;       // first number skipped and not yet told, or 0
    uint32_t sweep_prev;     // STATE revisions up to here were given
    union {
        uint32_t replay;     // until the first notice: numbers before it are told as replayed
        uint32_t sweep;      // while rtpush_conn.sweep_i > 0: the newest revision at its start
    } end;
} rtpi_stream;

typedef struct rtpi_wait { // ... that waits for the log to come to its id; as rtpi_stream, where
    uint32_t topics;       // the names are the same
    uint32_t seq;          // the next number after its id
    uint32_t since;        // srv->serial when it began to wait
    uint32_t part;         // 0
    uint32_t floor;        // it may have seen values up to this number
    uint32_t sweep_prev;
    uint32_t epoch;        // of its id
} rtpi_wait;

typedef struct rtpi_plan { // what rtpush_output offers: the rest of a record or tx, then records
    uint32_t total;        // bytes
    uint32_t first;        // first record, 0 none
    uint32_t seq;          // cursor when all of it is sent
    uint32_t off;
    uint32_t part;         // ... bytes of the record there, as RTPI_PART
    uint16_t tx;           // bytes from tx
    uint16_t records;      // records completed
} rtpi_plan;

typedef struct rtpi_shared { // a plan for all readers at one place, in hooks.plan_memory
    uint32_t seq;            // the place: cursor,
    uint32_t topics;         // subscription,
    uint32_t log_changes;    // what the log holds,
    uint32_t form;           // and form
    rtpi_plan plan;          // total 0: no record fits; the bytes follow
} rtpi_shared;

typedef struct rtpi_answer { // an HTTP answer
    const uint8_t *body;    // static body, or NULL
    rtpush_pull pull;
    void *user;
    uint32_t at;   // the next byte of the body, or to be pulled
    uint32_t to;   // behind the last one; 0: not known, of a pull
} rtpi_answer;

typedef struct rtpi_rank { // the order of giving way: rtpi_gives_way
    uint32_t order; // HEAD to WAIT: srv->serial at the last progress of the connection
    uint32_t since; // ... and the quarter second of it. FREE, LINGER: when that began
    uint8_t proved; // ... a request was completed on it
    uint8_t known;  // ... authorize knows who sends this request
} rtpi_rank;

typedef struct rtpi_asked { // what the head says, until it is answered: HEAD and ASK
    rtpi_rank rank;         // the same as out.rank
    uint16_t accepts[3];    // Accept-Encoding, weight in thousandths + 1 or 0: RTPI_ACCEPTS_...
    uint8_t site;           // Sec-Fetch-...: RTPI_SITE_...
    uint32_t topics;        // of ?topics: rtpi_ask
} rtpi_asked;

typedef struct rtpi_http { // the request as it arrives
    uint8_t step;          // RTPI_S_...
    uint8_t pos;           // bytes of the token, chunk size or chunk extension being read
    uint8_t header;        // RTPI_H_... being read
    uint8_t method;        // RTPUSH_GET ...
    uint8_t subprotocol;   // 1 + index chosen, 255 is rtpush.1
    uint8_t refusal;       // RTPI_NO of what is refused when the head is complete; 0 nothing
    uint16_t section;      // bytes so far of the header section, in BODY of the trailer section
    uint16_t kept;         // bytes of the arena that are kept: the value being read stands behind
                           // them, in BODY the body
    uint16_t bits;         // RTPI_B_...
    uint32_t seen;         // headers seen, a bit each
    uint32_t left;         // bytes of the body still to come; of a chunked one, of this chunk
    union {
        uint32_t taken;    // [BODY] bytes of the body so far
        uint32_t poll_end; // [STREAM, a poll's answer] it ends before this sequence number
    } at;
} rtpi_http;

typedef struct rtpi_ws { // the frame as it arrives
    uint8_t header_len;  // bytes of a header that is not whole; in the control bytes of rx
    uint8_t first;       // first byte of the frame read last: FIN and opcode
    uint8_t opcode;      // of the message under way, 0 none
    uint8_t utf8;        // validator state of its text; of a binary message never begun
    uint8_t control_len; // bytes of control payload in the control bytes of rx
    uint8_t bits;        // RTPI_WS_...
    uint16_t close_code; // of a Close of ours that waits for room
    uint16_t code;       // of the peer's Close
    uint16_t rtt_ms;     // last round trip + 1, 0 none
    uint32_t mask;       // of the frame under way, as it lies in memory; its first byte is next
    uint32_t left;       // payload bytes left of this frame; 0: a header is next
    uint32_t total;      // payload bytes of this message, those left included; modulo 2^32
} rtpi_ws;

// Small fields first: 16-bit Thumb instructions reach bytes up to offset 31, halves to 62. Each
// field: what it says; [in which states it counts, all but FREE if none is named: who writes it].
struct rtpush_conn {
    uint8_t state;    // RTPI_FREE ...: the table in >>conn
    uint8_t route;    // its index, 255 none [HEAD to STREAM: the target's end, in >>head]
    uint8_t reason;   // RTPUSH_REASON_... of the end [CLOSING to RESET, and while on_close is owed:
                      // rtpi_set_reason, the first counts]
    uint8_t token_at; // second of the last refill of tokens [FREE too: >>slots]
    uint8_t sweep_i;  // next topic of the sweep, 0 none under way [STREAM: >>state, >>reader]
    uint8_t notice;   // RTPI_NOTICE_... that is due [STREAM: >>reader]
    uint8_t form;     // RTPI_FORM_...: how records are written [STREAM, CLOSING: kind->open]
    uint8_t todo;     // RTPI_TODO_...: what is owed [STREAM: the section that owes it]
    union {
        rtpi_http http; // [HEAD to REPLY, and streams but WebSockets]
        rtpi_ws ws;     // [WebSockets in STREAM and after it]
    } in;
    uint16_t flags;   // RTPI_F_...
    uint16_t due;     // quarter second: deadline of this state. In STREAM that of kind->timer: the
                      // next keep-alive, a poll's answer, the end of the closing handshake
    uint16_t heard;   // quarter second from which the peer's silence counts: its last byte, or our
                      // ping [WebSockets in STREAM: >>websocket, rtpush_plain_input]
    uint16_t moved;   // quarter second from which the lack of acknowledgements counts
                      // [while RTPI_F_PENDING is set: rtpi_pending, rtpi_arrived, acked]
    uint16_t expires; // quarter second of the end of the authorisation [while RTPI_F_EXPIRES]
    uint16_t rx_used; // bytes of the arena, of a body gathered, or of a message gathered
    uint16_t tx_head; // first byte queued in tx
    uint16_t tx_len;  // end of the bytes queued: rtpi_tx_commit
    uint16_t tokens;      // requests and frames it may still cost [FREE too: >>slots]
    uint16_t byte_tokens; // ... bytes, in blocks of 64
    union {
        rtpi_rank rank;     // [FREE to WAIT, LINGER: >>slots, rtpi_achieved]
        rtpi_asked asked;   // [HEAD and ASK: >>head]; begins with rank
        rtpi_answer reply;  // [REPLY: >>reply]
        rtpi_stream stream; // [STREAM, CLOSING: >>reader]
        rtpi_wait wait;     // [STREAM with RTPI_NOTICE_WAITS: >>reader]
    } out;
    uint32_t serial;   // of the handle; 0: free
    uint32_t granted;  // topics it may subscribe to, now and later [STREAM: rtpi_authorized]
    void *port;        // the port's, with RTPI_F_FILTERED the filter's; NULL once dropped or gone
    void *user;        // the application's
    uint32_t peer;     // the port's number of the address [FREE too]
    rtpush_conn *next; // in the ready list, or [FREE] in the free list
    uint32_t unacked;  // bytes the transport may still refer to: sent, acked
    uint32_t hold_seq; // oldest record among them [while mark_seq is not 0: >>plan]
    uint32_t mark_seq; // records before it are free after mark.left more bytes; 0 no hold
    union {
        uint32_t left;    // without RTPUSH_COPIES
        uint32_t pending; // with hooks.pending: most that the peer may not have acknowledged
    } mark;
};

// Hot fields first, as above: 32-bit loads reach offset 124.
struct rtpush_server {
    uint8_t config;    // RTPI_CONFIG_...: written by rtpush_init, which may not know the rest
    uint8_t reserved;  // 1: between reserve and commit
    uint8_t state_changed;      // a STATE value was stored since the last look (under the lock)
    uint8_t sweep_due; // streams are to be looked through
    uint8_t woken;     // wake was called since the last look
    uint8_t started;   // the clock was set
    uint8_t scan_armed;
    uint8_t shut;
    uint8_t epoch_due; // sequence numbers are near their end
    uint8_t passes; // records that the call under way may still pass for nothing
    uint8_t carry_ms; // of the quarter second under way
    uint8_t waiting;  // RTPUSH_GATEWAY: a reader may wait for the log to come to its id

    uint32_t quarter;  // quarter seconds since init
    rtpush_conn *busy; // whose rtpush_input, _sent ... is under way
    rtpush_conn *slots_end; // slots from here on were never used
    uint32_t conn_size; // from one rtpush_conn to the next: rx and tx stand between them
    rtpush_conn *free_first; // the slot that has been free for longest
    rtpush_conn *ready_first;
    const rtpush_filter *filter;

    // Parts of desc.memory, in this order.
    rtpush_conn *conns; // rtpi_conn_at
    uint8_t *log;
    rtpi_value *state;  // one a topic, then their bytes

    // Log. Written under the lock: head, wrap, used, undone, seq_next, done_*, lost, rev,
    // published, full.
    // Written by the loop alone: tail, tail_seq, limit_*, hold_floor, noted, evicted.
    uint32_t epoch;
    uint32_t seq_next;     // sequence number of the next event
    uint32_t head;         // where the next record goes
    uint32_t tail;         // oldest record
    uint32_t wrap;         // where the ring jumps to 0; its end if it does not
    uint32_t used;         // records
    uint32_t open_records;       // records from done_off on
    uint32_t done_seq;     // every record before it is complete
    uint32_t done_rec;     // sequence number after the last complete record
    uint32_t done_off;
    uint32_t tail_seq;
    uint32_t limit_seq;    // the loop's copy of done_*: readers stop here
    uint32_t limit_rec;
    uint32_t limit_off;
    uint32_t hold_floor;   // no connection holds a record before it
    uint32_t rev;          // newest STATE revision
    uint32_t state_topics; // a bit for each STATE topic

    rtpi_plan plan; // of the last rtpush_output, for rtpush_sent
    rtpi_shared *shared;  // the plan used last, in hooks.plan_memory
    uint32_t log_changes; // counter: what readers may get of the log has changed

    rtpush_desc desc;

    uint32_t now_ms;
    uint32_t limit_wrap;
    uint32_t limit_rev;
    uint32_t limit_lost;
    uint32_t lost;         // number after the newest dropped event; 0 none
    uint32_t noted;        // records up to the limit, since the epoch began
    uint32_t evicted;      // of them
    union {
        uint32_t reserved_off; // own numbers: record being reserved
        uint32_t base_seq;     // ids from outside: events before it are not here
    } numbers;
    uint32_t published;    // for the counters
    uint32_t full;
    uint32_t text_topics;  // a bit for each topic that is not binary

    uint32_t scan_at;  // quarter of the next scan; scan_armed says whether there is one
    uint32_t random;
    rtpush_conn *sweep_at; // next slot to look at after a publish
    uint32_t serial; // counter of progress; the last number given
    rtpush_conn *ready_last;
    rtpush_conn *free_last;
    const char *advice;     // of the refusal being written: challenge of a 401, else location
    void (*sweep)(rtpush_server *srv, rtpush_conn *conn); // of the topics' kinds, NULL none
    rtpush_hooks hooks;
    rtpush_text text;     // the writer over the tx bytes of one connection: rtpi_tx_open
    rtpush_counters count;
    union { // no callback comes between rtpush_output and the rtpush_sent that must follow
        rtpush_request request; // in rtpush_input: of the connection being served
        uint8_t prefix[80]; // until rtpush_sent: of the first record (RTPI_PREFIX_MAX). Before
                            // rtpush_init succeeds: the text of an error
    } now;
};

int rtpush_init_sized(rtpush_server *srv, const rtpush_desc *desc, size_t server_size,
                      size_t conn_size, uint32_t version);

static inline int rtpush_init(rtpush_server *srv, const rtpush_desc *desc) {
    return rtpush_init_sized(srv, desc, sizeof(rtpush_server), sizeof(rtpush_conn),
                             RTPUSH_VERSION);
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_H

// =================================================================================================
#ifdef RTPUSH_IMPLEMENTATION
#ifndef RTPUSH_IMPLEMENTED
#define RTPUSH_IMPLEMENTED

#include <stdarg.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Errors of this file or of its port, never of the peer's input. You may define it.
#ifdef RTPUSH_ASSERT
#define RTPI_ASSERTS
#else
#define RTPUSH_ASSERT(condition) ((void)0)
#endif

// THE MAP
// Sections stand bottom up: each uses only those above it, and what differs between kinds of routes
// and topics is called through their constants (rtpush_kind, rtpush_topic_kind). So a further kind
// is a section of its own, between >>request and >>serve, and changes no other. The table of the
// states of a connection and of the two ways to end one opens >>conn.
//
// From the transport to the application:
//   rtpush_input              a filter, if there is one, and then                    >>serve
//     rtpi_input              what the state of the connection says:
//       HEAD                  rtpi_head_input: fields to the arena                   >>head
//                             rtpi_head_done: who asks, what for; authorize          >>request
//                             kind->open: an answer, a body to read, or a stream
//       BODY                  kind->input: rtpi_body_input, then on_body               >>handler
//       STREAM                kind->input: rtpi_ws_input, then on_message            >>websocket
//   rtpush_send, rtpush_reply write to the tx bytes and make the connection ready    >>public
//
// From a publish to the wire:
//   rtpush_publish            kind->publish of the topic: a record in the log        >>log
//                             or a value, under the lock                             >>state
//   rtpush_next               takes over how far the log goes (rtpi_sync), names who is
//                             ready and then the streams that have something new     >>serve
//   rtpush_output             kind->fill: notice, control frames, values go to tx;   >>reader
//                             then spans over the rest of a record, tx and records   >>plan
//   rtpush_sent, _acked       move the cursor; free what the log held for the peer   >>plan
//
// INVARIANTS
// Comments and tests cite these by number. In brackets: the function that asserts it, or the test.
//  1 Each number below a reader's cursor is exactly one of: delivered, of a topic it does not
//    subscribe to, told as a gap, without an event. [m_check_settled]
//  2 No id that a client gets lies beyond a gap it was not told of. [rtpi_reader_id]
//  3 What a client gets parses at every length; nothing follows a Close frame. [t_client_byte]
//  4 No byte of a HOLD or STATIC span changes until it is acknowledged. [t_check_conn]
//  5 No FIN while bytes are unacknowledged. [t_push]
//  6 Numbers used = events accepted + events given up with FULL. [log_numbers_every_event]
//  7 No reader is inside a record that was evicted. [m_check_log]
//  8 hold_seq <= mark_seq, hold_seq <= the cursor, unacked = sent - acknowledged. [m_check_log]
//  9 A STATE topic never goes back to an older value; in the end every reader has the stored one.
//    [state_after_quiet_everyone_has_the_value]
// 10 No reader passes a record being written. [log_no_reader_passes_a_record_being_written]
// 11 tx never overflows; what goes into it enters whole or not at all. [t_check_conn]
// 12 Input that is not taken is unchanged; the result does not depend on how it is split.
//    [t_offer, t_script_splits]
// 13 A stalled reader changes nobody else's bytes. [log_stalled_reader_changes_nothing_for_others]
// 14 Input that is refused is taken after progress. [m_check_settled]
// 15 on_open comes first, on_close once and last. [t_life_use, t_life_end]
// 16 A handle of a connection that has ended is RTPUSH_ERR_STALE; after the end of all connections
//    all slots are free. [api_stale_handles_are_errors, t_end]
// 17 Every state but an open stream has a deadline; tick names the nearest. [t_cut_once]
// 18 A client that resumes after a cut at any byte gets every event once, or is told of a gap.
//    [sse_resume_after_a_cut_at_any_byte]
// 19 Within an epoch a reader's ids never go back. [m_advance_to]
// 20 At most max_streams streams; no event stream is refused with 503. [m_open, m_reader_reads]
// 21 No callback before Host and Origin are judged.
//    [security_nothing_is_asked_for_a_foreign_request]
// 22 Two servers in one program are independent. [api_two_servers_do_not_know_each_other]
// 23 A clock that wraps changes nothing, one that goes back only delays.
//    [time_wraps_at_2_32_without_a_trace, time_going_back_only_delays]
// 24 A shared plan has the planner's bytes.
//    [rtpi_shared_right, plan_shared_changes_no_byte, m_check_settled]

// With -Os gcc inlines a function with one caller, or a small one, and then spills registers. The
// functions with this mark are smaller if not inlined, by 660 bytes together on a Cortex-M3.
#if defined(__GNUC__) && defined(__OPTIMIZE_SIZE__)
#define RTPI_APART __attribute__((noinline))
#else
#define RTPI_APART
#endif

// What each message or delivery passes is `static inline`: gcc -O2 inlines it also where several
// functions call it. With -Os that changes nothing.

// The buffers of an inlined function stay on the stack while its caller calls others. The functions
// with this mark have a frame of their own, which has ended by then.
#if defined(__GNUC__)
#define RTPI_OWN_FRAME __attribute__((noinline))
#else
#define RTPI_OWN_FRAME
#endif

// What must hold when this file is compiled: orders that two places rely on.
#define RTPI_HOLDS(name, condition) typedef char rtpi_check_##name[(condition) ? 1 : -1]

// >>text ------------------------------------------------------------------------------------------
// A writer appends to memory of fixed size and remembers if something did not fit, so that a whole
// text is written first and checked once: if rtpush_text.over is set, discard it.

static void rtpi_put(rtpush_text *t, const void *data, size_t len) {
    if (t->over || len > t->cap - t->len) {
        t->over = 1;
        return;
    }
    if (len > 0) {
        memmove(t->data + t->len, data, len); // rtpi_put_value: from further on in the same memory
    }
    t->len += (uint32_t)len;
}

static void rtpi_put_text(rtpush_text *t, const char *text) {
    rtpi_put(t, text, strlen(text));
}

RTPI_APART static void rtpi_hex(uint8_t out[8], uint32_t value) {
    unsigned i = 8;
    while (i > 0) {
        out[--i] = (uint8_t)"0123456789abcdef"[value & 15u];
        value >>= 4;
    }
}

RTPI_APART static void rtpi_put_hex(rtpush_text *t, uint32_t value) {
    uint8_t digits[8];
    rtpi_hex(digits, value);
    rtpi_put(t, digits, sizeof digits);
}

static void rtpi_put_decimal(rtpush_text *t, uint32_t value) {
    char digits[10]; // 2^32 has 10
    unsigned i = sizeof digits;
    do {
        digits[--i] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value > 0);
    rtpi_put(t, digits + i, sizeof digits - i);
}

// %s a text, %d a uint32_t in decimal, %x one in 8 hexadecimal digits. What stands between %? and
// %; is left out where the int for %? is 0. Nothing else.
static void rtpi_format(rtpush_text *t, const char *format, ...) {
    va_list args;
    int on = 1;
    va_start(args, format);
    for (;;) {
        const char *next = strchr(format, '%');
        const char *text;
        uint32_t value;
        if (on) {
            rtpi_put(t, format, next ? (size_t)(next - format) : strlen(format));
        }
        if (!next) {
            break;
        }
        format = next + 1;
        switch (*format) {
        case '?':
            on = va_arg(args, int);
            break;
        case ';':
            on = 1;
            break;
        case 's':
            text = va_arg(args, const char *);
            if (on) {
                rtpi_put_text(t, text);
            }
            break;
        default:
            value = va_arg(args, uint32_t);
            if (on && *format == 'd') {
                rtpi_put_decimal(t, value);
            } else if (on) {
                rtpi_put_hex(t, value);
            }
            break;
        }
        format++;
    }
    va_end(args);
}

// The n-th of a sequence of NUL-terminated texts, which is smaller than a table of pointers.
static const char *rtpi_strlist_at(const char *texts, unsigned n) {
    while (n-- > 0) {
        texts += strlen(texts) + 1;
    }
    return texts;
}

// The index of a text in such a sequence; its length if it is none. An empty text ends it.
static unsigned rtpi_strlist_index(const char *texts, const char *text) {
    unsigned i = 0;
    while (*texts != '\0' && strcmp(texts, text) != 0) {
        texts += strlen(texts) + 1;
        i++;
    }
    return i;
}

// The index of a text in a list that NULL ends, or -1.
static int rtpi_find(const char *const *list, const char *text) {
    int i;
    for (i = 0; list && list[i]; i++) {
        if (strcmp(list[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

static uint8_t rtpi_lower(uint8_t c) {
    return (c >= 'A' && c <= 'Z') ? (uint8_t)(c + 32) : c;
}

// Does a text in any case start with len bytes at lower, which are in lower case?
static int rtpi_starts(const char *text, const char *lower, size_t len) {
    size_t i = 0;
    while (i < len && rtpi_lower((uint8_t)text[i]) == (uint8_t)lower[i]) {
        i++;
    }
    return i == len;
}

// ... and end there?
static int rtpi_is(const char *lower, size_t len, const char *text) {
    return rtpi_starts(text, lower, len) && text[len] == '\0';
}

static void rtpi_lower_all(uint8_t *text, size_t len) {
    size_t i;
    for (i = 0; i < len; i++) {
        text[i] = rtpi_lower(text[i]);
    }
}

// Classes of bytes. NUL is in none of them.
enum {
    RTPI_C_VALUE = 1,  // RFC 9110 5.5: a field's value. No control character but the tab
    RTPI_C_LIST = 2,   // ... but ',': an element of a list
    RTPI_C_PAIRS = 4,  // ... but ';': a pair of Cookie
    RTPI_C_TARGET = 8, // RFC 3986: what may stand in a request's target
    RTPI_C_TOKEN = 16, // RFC 9110 5.6.2
    RTPI_C_NAME = 32,  // A-Z a-z 0-9 - _ . as in the names of hosts and topics
    RTPI_C_BASE64 = 64,
    RTPI_C_VALUES = RTPI_C_VALUE | RTPI_C_LIST | RTPI_C_PAIRS,
    RTPI_C_X = RTPI_C_VALUES | RTPI_C_TARGET,
    RTPI_C_T = RTPI_C_X | RTPI_C_TOKEN,
    RTPI_C_N = RTPI_C_T | RTPI_C_NAME,
    RTPI_C_A = RTPI_C_N | RTPI_C_BASE64
};

static const uint8_t rtpi_classes[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, RTPI_C_VALUES, 0, 0, 0, 0, 0, 0, // a tab
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    RTPI_C_VALUES, RTPI_C_T, RTPI_C_X, RTPI_C_T - RTPI_C_TARGET, // blank ! " #
    RTPI_C_T, RTPI_C_T, RTPI_C_T, RTPI_C_T, RTPI_C_X, RTPI_C_X, RTPI_C_T, // $%&'()*
    RTPI_C_T | RTPI_C_BASE64, RTPI_C_X - RTPI_C_LIST, RTPI_C_N, RTPI_C_N, // +,-.
    RTPI_C_X | RTPI_C_BASE64,                                             // /
    RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, // 0 to 7
    RTPI_C_A, RTPI_C_A, RTPI_C_X, RTPI_C_X - RTPI_C_PAIRS,                          // 8 9 : ;
    RTPI_C_X, RTPI_C_X, RTPI_C_X, RTPI_C_X, RTPI_C_X,                               // <=>?@
    RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, // A to H
    RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, // I to P
    RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, // Q to X
    RTPI_C_A, RTPI_C_A, RTPI_C_X, RTPI_C_X, RTPI_C_X, RTPI_C_T, RTPI_C_N, RTPI_C_T, // YZ[\]^_`
    RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, // a to h
    RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, // i to p
    RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, RTPI_C_A, // q to x
    RTPI_C_A, RTPI_C_A, RTPI_C_X, RTPI_C_T, RTPI_C_X, RTPI_C_T, 0,                  // yz{|}~
};

static inline unsigned rtpi_byte_is(uint8_t byte, unsigned classes) {
    return (byte < 128 ? rtpi_classes[byte] : (unsigned)RTPI_C_VALUES) & classes;
}

// How many of the bytes at data are of these classes.
static inline size_t rtpi_run(const void *data, size_t len, unsigned classes) {
    const uint8_t *at = (const uint8_t *)data;
    size_t n = 0;
    while (n < len && rtpi_byte_is(at[n], classes)) {
        n++;
    }
    return n;
}

// ... of a text that NUL ends.
RTPI_APART static size_t rtpi_text_run(const char *text, unsigned classes) {
    return rtpi_run(text, ~(size_t)0, classes);
}

// Value of a hexadecimal digit, or 16.
static unsigned rtpi_hex_value(uint8_t c) {
    unsigned digit = (unsigned)c - '0';
    unsigned letter = (c | 0x20u) - 'a';
    return digit < 10 ? digit : letter < 6 ? letter + 10 : 16u;
}

// Reads exactly `digits` hexadecimal digits. Returns 0 at the first other character.
static int rtpi_get_hex(const char *text, unsigned digits, uint32_t *value) {
    *value = 0;
    while (digits-- > 0) {
        unsigned nibble = rtpi_hex_value((uint8_t)*text++);
        if (nibble > 15) {
            return 0;
        }
        *value = (*value << 4) | nibble;
    }
    return 1;
}

// Reads decimal digits; returns where they end. Values beyond 32 bits become 2^32 - 1.
static const char *rtpi_digits(const char *text, uint32_t *value) {
    unsigned digit;
    *value = 0;
    while ((digit = (unsigned)(uint8_t)*text - '0') < 10) {
        *value = *value > (~(uint32_t)0 - digit) / 10u ? ~(uint32_t)0 : *value * 10u + digit;
        text++;
    }
    return text;
}

// Reads a number of decimal digits alone; 0 if there is anything else.
static int rtpi_get_decimal(const char *text, uint32_t *value) {
    const char *end = rtpi_digits(text, value);
    return end > text && *end == '\0';
}

// The next byte, percent-decoded (RFC 3986 2.1); -1 where '%' is not followed by two digits or
// stands for a control character (an attacker's %00 would end the string early).
static int rtpi_unescape(const char **at) {
    uint32_t value = (uint8_t)*(*at)++;
    if (value == '%') {
        if (!rtpi_get_hex(*at, 2, &value) || value < 0x20 || value == 0x7F) {
            return -1;
        }
        *at += 2;
    }
    return (int)value;
}

// ... of a name or value in a query: 0 at its end, which is '&', the end of the query, or `stop`.
static int rtpi_query_byte(const char **at, char stop) {
    char c = **at;
    if (c == '\0' || c == '&' || c == stop) {
        return 0;
    }
    if (c == '+') {
        (*at)++;
        return ' ';
    }
    return rtpi_unescape(at);
}

// The raw value of the first parameter of that name from `query` on, or NULL. Names are decoded as
// values are. A name without '=' has an empty value.
static const char *rtpi_query_find(const char *query, const char *name) {
    for (;; query++) {
        const char *n = name;
        while (*n != '\0' && rtpi_query_byte(&query, '=') == (uint8_t)*n) {
            n++;
        }
        if (*n == '\0' && (*query == '=' || *query == '&' || *query == '\0')) {
            return query + (*query == '=');
        }
        query += strcspn(query, "&");
        if (*query == '\0') {
            return NULL;
        }
    }
}

// >>base64 ----------------------------------------------------------------------------------------
// RFC 4648 4 and, with `url`, RFC 4648 5 without padding.

static const char rtpi_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void rtpi_put_base64(rtpush_text *t, const uint8_t *data, size_t len, int url) {
    size_t n;
    for (n = 0; n * 3 < len * 4; n++) { // a character for each 6 bits begun
        const size_t at = n * 3 / 4;
        unsigned two = (unsigned)data[at] << 8 | (at + 1 < len ? data[at + 1] : 0u);
        unsigned value = two >> (10u - (n * 6 & 7u)) & 63u;
        rtpi_put(t, url && value > 61 ? &"-_"[value - 62] : &rtpi_letters[value], 1);
    }
    for (; !url && n % 4 != 0; n++) {
        rtpi_put(t, "=", 1);
    }
}

// >>sha1 ------------------------------------------------------------------------------------------
// FIPS 180-4 6.1, for Sec-WebSocket-Accept only, where it protects nothing (RFC 6455 10.8). The
// message schedule is kept as a ring of 16 words: 64 bytes of stack instead of 320.

static uint32_t rtpi_rotate_left(uint32_t x, unsigned n) {
    return (uint32_t)(x << n) | (x >> (32u - n));
}

// Where size does not count all rounds are unrolled, or the ring's indices take longer than they.
#if defined(__OPTIMIZE_SIZE__) || !defined(__GNUC__)
#define RTPI_UNROLLED
#elif defined(__clang__)
#define RTPI_UNROLLED _Pragma("clang loop unroll(full)")
#elif __GNUC__ >= 8
#define RTPI_UNROLLED _Pragma("GCC unroll 80")
#else
#define RTPI_UNROLLED
#endif

RTPI_OWN_FRAME static void rtpi_sha1_block(uint32_t h[5], const uint8_t *block) {
    static const uint32_t k[4] = {0x5A827999u, 0x6ED9EBA1u, 0x8F1BBCDCu, 0xCA62C1D6u};
    uint32_t w[16];
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    unsigned i;
    for (i = 0; i < 16; i++, block += 4) {
        w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
               block[3];
    }
    RTPI_UNROLLED
    for (i = 0; i < 80; i++) {
        uint32_t word = w[i & 15u];
        uint32_t f = b ^ c ^ d;
        if (i < 20) {
            f = d ^ (b & (c ^ d));
        } else if (i >= 40 && i < 60) {
            f = (b & c) | (d & (b | c));
        }
        f += rtpi_rotate_left(a, 5) + e + k[i / 20] + word;
        // The word for 16 rounds later takes its place.
        w[i & 15u] = rtpi_rotate_left(w[(i + 13) & 15u] ^ w[(i + 8) & 15u] ^ w[(i + 2) & 15u] ^
                                          word, 1);
        e = d;
        d = c;
        c = rtpi_rotate_left(b, 30);
        b = a;
        a = f;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

// Pads the data, less than 8 KiB, where it stands: there is room for 72 bytes behind it.
static void rtpi_sha1(uint8_t *data, size_t len, uint8_t digest[20]) {
    uint32_t h[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    size_t end = (len + 8) / 64 * 64 + 64; // 0x80 and the 8 bytes of length fit before it
    size_t at = 0;
    unsigned i;
    memset(data + len, 0, end - len);
    data[len] = 0x80;
    // The length in bits ends the message: 8 bytes, of which 2 can be other than 0 here.
    data[end - 2] = (uint8_t)(len >> 5);
    data[end - 1] = (uint8_t)(len << 3);
    do {
        rtpi_sha1_block(h, data + at);
        at += 64;
    } while (at < end);
    for (i = 0; i < 20; i++) {
        digest[i] = (uint8_t)(h[i / 4] >> (24u - 8u * (i & 3u)));
    }
}

// >>utf8 ------------------------------------------------------------------------------------------
// The loops over every byte of a message: unmasking and UTF-8. If size does not matter and words
// have 64 bits, a step takes 8 bytes or more.

#ifndef RTPI_WIDE
#if !defined(__OPTIMIZE_SIZE__) && SIZE_MAX > 0xFFFFFFFFu
#define RTPI_WIDE 1
#else
#define RTPI_WIDE 0
#endif
#endif

#if RTPI_WIDE
static uint64_t rtpi_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

// The bits of 64 bytes, of all words together.
static uint64_t rtpi_bits_of_64(const uint8_t *at) {
    return rtpi_word(at) | rtpi_word(at + 8) | rtpi_word(at + 16) | rtpi_word(at + 24) |
           rtpi_word(at + 32) | rtpi_word(at + 40) | rtpi_word(at + 48) | rtpi_word(at + 56);
}
#endif

#if RTPI_WIDE
static void rtpi_word_put(uint8_t *at, uint64_t word) {
    memcpy(at, &word, sizeof word);
}

// rtpi_unmask in steps of 64, which compilers make vectors of, 8 and 4. Returns how many bytes
// these are.
static inline size_t rtpi_unmask_wide(uint8_t *out, const uint8_t *in, size_t len, uint64_t mask) {
    size_t i = 0;
    for (; i < len - len % 64; i += 64) {
        const uint64_t a = rtpi_word(in + i) ^ mask;
        const uint64_t b = rtpi_word(in + i + 8) ^ mask;
        const uint64_t c = rtpi_word(in + i + 16) ^ mask;
        const uint64_t d = rtpi_word(in + i + 24) ^ mask;
        const uint64_t e = rtpi_word(in + i + 32) ^ mask;
        const uint64_t f = rtpi_word(in + i + 40) ^ mask;
        const uint64_t g = rtpi_word(in + i + 48) ^ mask;
        const uint64_t h = rtpi_word(in + i + 56) ^ mask;
        rtpi_word_put(out + i, a);
        rtpi_word_put(out + i + 8, b);
        rtpi_word_put(out + i + 16, c);
        rtpi_word_put(out + i + 24, d);
        rtpi_word_put(out + i + 32, e);
        rtpi_word_put(out + i + 40, f);
        rtpi_word_put(out + i + 48, g);
        rtpi_word_put(out + i + 56, h);
    }
    for (; i < len - len % 8; i += 8) {
        rtpi_word_put(out + i, rtpi_word(in + i) ^ mask);
    }
    if (len & 4) {
        uint32_t half;
        memcpy(&half, in + i, 4);
        half ^= (uint32_t)mask; // both halves are the frame's
        memcpy(out + i, &half, 4);
        i += 4;
    }
    return i;
}
#endif

// RFC 3629 4 (and Unicode table 3-7): a validator that can stop at any byte. Its state says what
// the next byte must be; the four special states exclude overlong forms, surrogates and what lies
// above U+10FFFF at the first byte where that shows, so bad text fails fast (RFC 6455 8.1).

enum {
    RTPI_UTF8_OK,    // between characters
    RTPI_UTF8_TAIL1, // one more 80..BF
    RTPI_UTF8_TAIL2,
    RTPI_UTF8_TAIL3,
    RTPI_UTF8_E0, // A0..BF then one tail
    RTPI_UTF8_ED, // 80..9F then one tail
    RTPI_UTF8_F0, // 90..BF then two
    RTPI_UTF8_F4, // 80..8F then two
    RTPI_UTF8_BAD = RTPUSH_UTF8_BAD
};

static uint8_t rtpi_utf8_lead(uint8_t c) {
    static const uint8_t longer[] = { // E0 to F4
        RTPI_UTF8_E0,    RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2,
        RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2,
        RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2, RTPI_UTF8_TAIL2, RTPI_UTF8_ED,    RTPI_UTF8_TAIL2,
        RTPI_UTF8_TAIL2, RTPI_UTF8_F0,    RTPI_UTF8_TAIL3, RTPI_UTF8_TAIL3, RTPI_UTF8_TAIL3,
        RTPI_UTF8_F4};
    if (c < 0xE0) {
        return c < 0x80 ? RTPI_UTF8_OK : c < 0xC2 ? RTPI_UTF8_BAD : RTPI_UTF8_TAIL1;
    }
    return c > 0xF4 ? (uint8_t)RTPI_UTF8_BAD : longer[c - 0xE0];
}

static uint8_t rtpi_utf8_tail(uint8_t state, uint8_t c) {
    static const uint8_t low[] = {0, 0x80, 0x80, 0x80, 0xA0, 0x80, 0x90, 0x80};
    static const uint8_t high[] = {0, 0xBF, 0xBF, 0xBF, 0xBF, 0x9F, 0xBF, 0x8F};
    static const uint8_t next[] = {0, RTPI_UTF8_OK, RTPI_UTF8_TAIL1, RTPI_UTF8_TAIL2,
                                   RTPI_UTF8_TAIL1, RTPI_UTF8_TAIL1, RTPI_UTF8_TAIL2,
                                   RTPI_UTF8_TAIL2};
    return (c < low[state] || c > high[state]) ? (uint8_t)RTPI_UTF8_BAD : next[state];
}

// Passes whole characters: ASCII a word at a time, since nearly all text is, and where size does
// not count those of two and three bytes. Returns where it stops: near the end, or where more must
// be looked at.
static const uint8_t *rtpi_utf8_run(const uint8_t *data, const uint8_t *end) {
#if RTPI_WIDE
    const uint64_t ones = ~(uint64_t)0 / 255u; // in each byte
    uint64_t leads; // ... that begins a character of two
    memcpy(&leads, "\1\0\1\0\1\0\1", 8);
    while (end - data >= 8) {
        if (data[0] < 0x80) {
            while (end - data >= 64 && !(rtpi_bits_of_64(data) & ones * 0x80u)) {
                data += 64;
            }
            while (end - data >= 8 && !(rtpi_word(data) & ones * 0x80u)) {
                data += 8;
            }
            while (data < end && data[0] < 0x80) {
                data++;
            }
        } else if (data[0] < 0xE0) { // C2..DF 80..BF, four of them or one
            const uint64_t word = rtpi_word(data) ^ (ones * 0x80u + leads * 0x40u);
            if (!(word & (ones * 0xC0u + leads * 0x20u)) &&
                (((word & leads * 0x1Eu) + leads * 0x7Eu) & leads * 0x80u) == leads * 0x80u) {
                data += 8;
            } else if (data[0] >= 0xC2 && (data[1] & 0xC0) == 0x80) {
                data += 2;
            } else {
                break;
            }
        } else if (data[0] != 0xE0 && data[0] < 0xF0 && data[0] != 0xED &&
                   (data[1] & 0xC0) == 0x80 && (data[2] & 0xC0) == 0x80) {
            data += 3;
        } else {
            break;
        }
    }
#else
    while ((size_t)(end - data) >= sizeof(size_t)) {
        size_t word;
        memcpy(&word, data, sizeof word);
        if (word & (size_t)(~(size_t)0 / 255u * 0x80u)) {
            break;
        }
        data += sizeof word;
    }
#endif
    return data;
}

// Advances the state over len bytes; stops at the first bad one.
static uint8_t rtpi_utf8(uint8_t state, const uint8_t *data, size_t len) {
    const uint8_t *end = len > 0 ? data + len : data; // NULL is fine for nothing
    while (data < end && state != RTPI_UTF8_BAD) {
        if (state != RTPI_UTF8_OK) {
            state = rtpi_utf8_tail(state, *data++);
            continue;
        }
        data = rtpi_utf8_run(data, end);
        if (data < end) {
            state = rtpi_utf8_lead(*data++);
        }
    }
    return state;
}

// >>time ------------------------------------------------------------------------------------------
// Time is an argument of rtpush_tick. Deadlines are quarter seconds in 16 bits; activity only
// stamps them, and one scan visits the slots when the nearest deadline comes (>>serve).

// Compared by difference: right for 2 hours 16 minutes.
static uint16_t rtpi_quarters(uint32_t ms) {
    return (uint16_t)((ms + 249u) / 250u);
}

// So much later; one quarter more, since the one under way has partly passed.
RTPI_APART static uint16_t rtpi_later(uint16_t quarter, uint32_t ms) {
    return (uint16_t)(quarter + rtpi_quarters(ms) + 1u);
}

static int rtpi_passed(const rtpush_server *srv, uint16_t quarter) {
    return (uint16_t)((uint16_t)srv->quarter - quarter) < 0x8000u;
}

static void rtpi_scan_by(rtpush_server *srv, uint32_t quarter) {
    if (!srv->scan_armed || (uint32_t)(srv->scan_at - quarter) < 0x80000000u) {
        srv->scan_at = quarter;
        srv->scan_armed = 1;
    }
}

// One quarter more than asked: the quarter under way has partly passed.
static uint16_t rtpi_after(rtpush_server *srv, uint32_t ms) {
    uint32_t quarter = srv->quarter + rtpi_quarters(ms) + 1u;
    rtpi_scan_by(srv, quarter);
    return (uint16_t)quarter;
}

static void rtpi_scan_at16(rtpush_server *srv, uint16_t quarter) {
    uint16_t wait = (uint16_t)(quarter - (uint16_t)srv->quarter);
    rtpi_scan_by(srv, srv->quarter + (wait == 0 || wait >= 0x8000u ? 1u : wait));
}

// >>conn ------------------------------------------------------------------------------------------
// The states of a slot, and what ends each:
//
//   state    what it waits for           left by                          to
//   FREE     a connection                rtpush_accept                    HEAD
//   HEAD     a request's head            its end; idle_ms; head_ms (408)  ASK, CLOSING, REPLY
//   ASK      authorize                   its answer; reply_ms (503)       BODY WAIT STREAM REPLY
//   BODY     the body                    its end; body_ms (408)           WAIT, REPLY
//   WAIT     the application's answer    rtpush_reply; reply_ms (503)     REPLY
//   REPLY    the answer to be sent       its last acknowledgement         HEAD, CLOSING
//   STREAM   what the route's kind says  a poll's answer                  REPLY
//   CLOSING  all to be acknowledged      RTPUSH_FIN to the port           LINGER
//   LINGER   the peer's FIN              rtpush_eof; close_ms             DEAD
//   DEAD     the reaper, which closes    rtpush_next, _accept             FREE
//   RESET    ... which resets            rtpush_next, _accept             FREE
//
// Every refusal goes to REPLY. There are two ways to end a connection: gracefully, from every state
// before CLOSING (rtpi_end: to CLOSING, after the answer under way), and at once, from all but
// FREE, DEAD and RESET (rtpi_end_at_once: to DEAD or RESET). Bytes queued of which none is
// acknowledged for stall_ms end each state at once.
//
// CLOSING sends what is queued and waits until all of it is acknowledged, then asks for FIN. LINGER
// reads and discards until the peer's FIN: closing with unread input would send a reset, after
// which the peer may discard our last answer unread (RFC 9112 9.6).
// Nothing frees a slot but rtpi_reap, called from rtpush_next and rtpush_accept at depth 0. So no
// slot is freed during a callback or a port's call. The ready list holds the dead slots too, until
// they are freed.
//
// A callback may end, answer, close or subscribe any connection, its own too, and publish. So a
// callback is the last thing that its function does, and so is a call of that function, up to one
// that reads the state anew (RTPI_CHECKED where something follows: the function returns whether to
// go on as before, and no caller ignores it). rtpi_stands says what must be as it was.

enum {
    RTPI_FREE,
    RTPI_HEAD,
    RTPI_ASK, // authorize is asked, perhaps for long
    RTPI_BODY,
    RTPI_WAIT,
    RTPI_REPLY,
    RTPI_STREAM, // the route's kind says what it is
    RTPI_CLOSING,
    RTPI_LINGER,
    RTPI_DEAD,  // its transport is closed as usual
    RTPI_RESET  // ... is reset
};

// rtpush_conn.flags
enum {
    RTPI_F_READY = 0x0001,      // in the ready list
    RTPI_F_OPENED = 0x0002,     // on_close must still be called
    RTPI_F_REFUSED = 0x0004,    // the port holds input for us
    RTPI_F_RETRY = 0x0008,      // a callback answered RETRY
    RTPI_F_THROTTLED = 0x0010,  // out of tokens
    RTPI_F_PENDING = 0x0020,    // bytes are not acknowledged: `moved` counts
    RTPI_F_CLOSE_DUE = 0x0040,  // a WebSocket Close waits for room
    RTPI_F_CLOSE_SENT = 0x0080, // it is queued: no data frame may follow
    RTPI_F_PARTS = 0x0100,      // a fragmented direct message is open
    RTPI_F_FILTERED = 0x0200,   // `port` is the filter's object, which begins with the port's own
    RTPI_F_FIN = 0x0400,        // FIN was asked for
    RTPI_F_EOF = 0x0800,        // the peer's FIN came
    RTPI_F_SECURE = 0x1000,     // TLS
    RTPI_F_EXPIRES = 0x2000,    // `expires` counts
    RTPI_F_KEEP = 0x4000        // keep the connection after the answer
};
#define RTPI_F_ANSWER 0x8000u // poll: the answer has begun
#define RTPI_F_BLOCKED ((unsigned)(RTPI_F_CLOSE_SENT | RTPI_F_PARTS)) // no data frame may begin

// rtpush_conn.todo
enum {
    RTPI_TODO_NOW = 1,       // what kind->fill makes without anything new: a ping, a poll's answer
    RTPI_TODO_DONE = 2,      // WebSocket: the ping is out
    RTPI_TODO_RECORD = 4,    // a value went last: if a record waits, it is next
    RTPI_TODO_PONG = 8,      // WebSocket: the control payload waits for room to be sent back
    RTPI_TODO_WRITABLE = 16, // WebSocket: on_writable is owed
    RTPI_TODO_ALIVE = 32,    // a keep-alive
    RTPI_TODO_ID = 64,       // the reader's id has moved since it was given one
    RTPI_TODO_SWEPT = 128    // poll: its sweep is over
};

// rtpush_kind.flags
enum {
    RTPI_KIND_STREAM = 1,
    RTPI_KIND_TWO_WAY = 4,    // ... on which both sides send: of bytes too
    RTPI_KIND_NOT_NOW = 8,    // "not now" is 200 and a retry:
    RTPI_KIND_FOREIGN = 16,   // a GET from any site may have it
    RTPI_KIND_LINKED = 32,    // ... that follows a link
    RTPI_KIND_METHODS = 64,   // the route may name its methods
    RTPI_KIND_BODY = 128      // takes request bodies
};

enum { RTPI_TOPIC_VALUE = 1 }; // rtpush_topic_kind.flags: the newest value counts

// rtpush_conn.form, see >>wire
enum { RTPI_FORM_RAW, RTPI_FORM_TAGGED, RTPI_FORM_SSE, RTPI_FORM_TEXT, RTPI_FORM_CHUNK };

#define RTPI_NO_ROUTE 255u
#define RTPI_CONTROL_MAX 125u // RFC 6455 5.5: payload of a control frame, at the end of rx

static rtpush_conn *rtpi_conn_at(const rtpush_server *srv, uint32_t index) {
    return (rtpush_conn *)(void *)((uint8_t *)srv->conns + (size_t)index * srv->conn_size);
}

static rtpush_conn *rtpi_conn_after(const rtpush_server *srv, const rtpush_conn *c) {
    return (rtpush_conn *)((uintptr_t)c + (uintptr_t)srv->conn_size);
}

static uint32_t rtpi_conn_index(const rtpush_server *srv, const rtpush_conn *c) {
    return (uint32_t)(((uintptr_t)c - (uintptr_t)srv->conns) / srv->conn_size); // 4 GiB and more
}

RTPI_APART static rtpush_handle rtpi_handle(const rtpush_server *srv, const rtpush_conn *c) {
    rtpush_handle h;
    h.serial = c->serial;
    h.index = rtpi_conn_index(srv, c);
    return h;
}

// rx and then tx stand behind the connection.
static uint8_t *rtpi_rx(const rtpush_conn *c) {
    return (uint8_t *)(uintptr_t)(c + 1);
}

static uint8_t *rtpi_tx(const rtpush_server *srv, const rtpush_conn *c) {
    return rtpi_rx(c) + srv->desc.rx_size;
}

static const rtpush_route *rtpi_route(const rtpush_server *srv, const rtpush_conn *c) {
    return (c->route == RTPI_NO_ROUTE) ? NULL : &srv->desc.routes[c->route];
}

static int rtpi_is_dead(const rtpush_conn *c) {
    return c->state >= RTPI_DEAD;
}

// The connection of a handle, also in DEAD or RESET before it is reaped, or NULL.
static rtpush_conn *rtpi_resolve(const rtpush_server *srv, rtpush_handle h) {
    rtpush_conn *c = h.index < srv->desc.conn_count ? rtpi_conn_at(srv, h.index) : NULL;
    return (c && c < srv->slots_end && h.serial != 0 && c->serial == h.serial) ? c : NULL;
}

// ... not a dead one.
static rtpush_conn *rtpi_resolve_live(const rtpush_server *srv, rtpush_handle h) {
    rtpush_conn *c = rtpi_resolve(srv, h);
    return c && !rtpi_is_dead(c) ? c : NULL;
}

static int rtpi_has(const rtpush_conn *c, unsigned flag) {
    return (c->flags & flag) != 0;
}

static void rtpi_set(rtpush_conn *c, unsigned flag) {
    c->flags = (uint16_t)(c->flags | flag);
}

static void rtpi_clear(rtpush_conn *c, unsigned flag) {
    c->flags = (uint16_t)(c->flags & ~flag);
}

static const rtpush_kind *rtpi_kind(const rtpush_server *srv, const rtpush_conn *c) {
    return srv->desc.routes[c->route].kind;
}

static int rtpi_kind_has(const rtpush_server *srv, const rtpush_conn *c, unsigned flag) {
    return c->route != RTPI_NO_ROUTE && (rtpi_kind(srv, c)->flags & flag) != 0;
}

static int rtpi_is_stream(const rtpush_conn *c) {
    return c->state == RTPI_STREAM;
}

// One that stays open until it is closed: no poll.
static int rtpi_is_open(const rtpush_conn *c) {
    return c->state == RTPI_STREAM && c->form <= RTPI_FORM_SSE;
}

static int rtpi_is_websocket(const rtpush_conn *c) {
    return c->state == RTPI_STREAM && c->form <= RTPI_FORM_TAGGED;
}

// May the application send on it?
static int rtpi_may_send(const rtpush_conn *c) {
    return rtpi_is_websocket(c) && !rtpi_has(c, RTPI_F_CLOSE_SENT | RTPI_F_CLOSE_DUE);
}

// Does the port's side of this connection belong to the filter?
static int rtpi_filtered(const rtpush_conn *c) {
    return rtpi_has(c, RTPI_F_FILTERED);
}

// Proved: it completed a request, or authorize knows the sender of the one under way.
static int rtpi_is_proved(const rtpush_conn *c) {
    return c->out.rank.proved || c->out.rank.known;
}

// Is `out` a stream? A connection that closes may still have to send the rest of a record.
static int rtpi_has_cursor(const rtpush_conn *c) {
    return c->state >= RTPI_STREAM && c->state <= RTPI_CLOSING;
}

static void rtpi_ready(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_has(c, RTPI_F_READY)) {
        return;
    }
    rtpi_set(c, RTPI_F_READY);
    c->next = NULL;
    if (srv->ready_first) {
        srv->ready_last->next = c;
    } else {
        srv->ready_first = c;
    }
    srv->ready_last = c;
}

static rtpush_conn *rtpi_ready_pop(rtpush_server *srv) {
    rtpush_conn *c = srv->ready_first;
    if (c) {
        srv->ready_first = c->next;
        rtpi_clear(c, RTPI_F_READY);
    }
    return c;
}

RTPI_APART static void rtpi_state(rtpush_server *srv, rtpush_conn *c, uint8_t state, uint32_t ms) {
    c->state = state;
    c->due = rtpi_after(srv, ms);
}

static void rtpi_set_reason(rtpush_conn *c, uint8_t reason) {
    if (c->reason == RTPUSH_REASON_NONE) { // keep the first reason
        c->reason = reason;
    }
}

static void rtpi_stream_ended(rtpush_server *srv, const rtpush_conn *c) {
    if (rtpi_is_stream(c)) {
        srv->count.streams--;
    }
}

#if defined(__GNUC__)
#define RTPI_CHECKED __attribute__((warn_unused_result))
#else
#define RTPI_CHECKED
#endif

// What a caller may rely on after a callback: the connection, its state, and whether data may
// begin.
static uint32_t rtpi_stands(const rtpush_conn *c) {
    const unsigned blocks = RTPI_F_CLOSE_SENT | RTPI_F_CLOSE_DUE | RTPI_F_PARTS;
    return c->serial << 12 ^ (c->flags & blocks) ^ c->state;
}

// The port's own pointer, behind the filter's object if there is one.
static void *rtpi_port(const rtpush_conn *c) {
    return rtpi_filtered(c) ? *(void **)c->port : c->port;
}

// Removes the filter for good. The port's own pointer remains.
static void rtpi_unfilter(rtpush_server *srv, rtpush_conn *c) {
    void *self = c->port;
    if (rtpi_filtered(c)) {
        c->port = *(void **)self;
        rtpi_clear(c, RTPI_F_FILTERED);
        srv->filter->close(self);
    }
}

static void rtpi_drop(rtpush_server *srv, rtpush_conn *c, int reset) {
    rtpi_unfilter(srv, c);
    if (c->port && srv->hooks.drop) {
        srv->hooks.drop(srv->hooks.ctx, c, c->port, reset);
    }
    c->port = NULL;
}

// The first of the two ways to end a connection: at once, from every state. The reaper drops the
// transport, since the port may be working on it. Where nothing is left to be sent that is no
// reset: the peer may still be reading what it has received, and some systems discard that when a
// reset comes. (What a filter has on its way in HEAD only a port that copies knows.)
static void rtpi_end_at_once(rtpush_server *srv, rtpush_conn *c, uint8_t reason) {
    int all_sent = c->state == RTPI_LINGER
                       ? rtpi_has(c, RTPI_F_FIN)
                       : c->state == RTPI_HEAD && (!rtpi_filtered(c) || srv->hooks.pending);
    RTPUSH_ASSERT(c->state != RTPI_FREE);
    if (rtpi_is_dead(c)) {
        return;
    }
    rtpi_stream_ended(srv, c);
    rtpi_set_reason(c, reason);
    c->state = all_sent && reason != RTPUSH_REASON_STALLED ? RTPI_DEAD : RTPI_RESET;
    rtpi_ready(srv, c);
}

static uint32_t rtpi_tx_queued(const rtpush_conn *c) {
    return (uint32_t)c->tx_len - c->tx_head;
}

// Has the transport taken all output?
static int rtpi_drained(const rtpush_conn *c) {
    if (rtpi_tx_queued(c) > 0) {
        return 0;
    }
    if (c->state == RTPI_REPLY) {
        return c->out.reply.body == NULL || c->out.reply.at == c->out.reply.to;
    }
    return !rtpi_has_cursor(c) || c->out.stream.part == 0;
}

// The quarter second of the next check of `moved`: after stall_ms if the port reports
// acknowledgements, four times in it if the port must be asked.
static uint16_t rtpi_look_at(const rtpush_server *srv, const rtpush_conn *c) {
    uint32_t ms = srv->desc.stall_ms;
    return rtpi_later(c->moved, srv->hooks.pending ? ms / 4u : ms);
}

// There is output for the peer. `moved` counts until all of it is acknowledged.
static void rtpi_pending(rtpush_server *srv, rtpush_conn *c) {
    if (!rtpi_has(c, RTPI_F_PENDING)) {
        rtpi_set(c, RTPI_F_PENDING);
        c->moved = (uint16_t)srv->quarter;
        rtpi_scan_by(srv, srv->quarter + (uint16_t)(rtpi_look_at(srv, c) - c->moved));
    }
}

// All was acknowledged, as far as the port reports. If it copies it must be asked.
static void rtpi_settled(const rtpush_server *srv, rtpush_conn *c) {
    if (!srv->hooks.pending) {
        rtpi_clear(c, RTPI_F_PENDING);
    }
}

// Has the peer acknowledged all output? Bytes in a kernel's buffer are not delivered: the port is
// asked, and new acknowledgements since the last check are progress. While the answer is no, a
// deadline that could cut off output (RFC 9112 9.6, RFC 6455 7.1.1) begins again, and the
// connection does not give way; without progress stall_ms ends it.
static int rtpi_arrived(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_has(c, RTPI_F_PENDING) && srv->hooks.pending) {
        uint32_t left = srv->hooks.pending(srv->hooks.ctx, c, rtpi_port(c));
        if (left < c->mark.pending) {
            c->moved = (uint16_t)srv->quarter;
        }
        c->mark.pending = left;
        if (left == 0 && c->unacked == 0 && rtpi_drained(c)) {
            rtpi_clear(c, RTPI_F_PENDING);
        }
    }
    return !rtpi_has(c, RTPI_F_PENDING);
}

// All output is queued: CLOSING ends after it.
static void rtpi_begin_closing(rtpush_server *srv, rtpush_conn *c, uint8_t reason) {
    RTPUSH_ASSERT(c->state != RTPI_FREE);
    if (c->state >= RTPI_CLOSING) {
        return;
    }
    rtpi_stream_ended(srv, c);
    if (!rtpi_is_stream(c)) {
        memset(&c->out, 0, sizeof c->out); // from here on `out` is a stream, perhaps an empty one
    }
    rtpi_set_reason(c, reason);
    rtpi_state(srv, c, RTPI_CLOSING, srv->desc.stall_ms);
    rtpi_pending(srv, c);
    rtpi_ready(srv, c);
}

// The second: gracefully, from every state before CLOSING. A stream ends as its kind does, a poll
// that waits by its answer, and an answer under way comes first. `code` and `reason` are for a
// WebSocket.
static void rtpi_end(rtpush_server *srv, rtpush_conn *c, uint16_t code, const char *close_reason,
                     uint8_t reason) {
    if (c->state == RTPI_STREAM && rtpi_kind(srv, c)->close) {
        rtpi_kind(srv, c)->close(srv, c, code, close_reason, reason);
    } else if (c->state == RTPI_REPLY) {
        rtpi_ready(srv, c);
    } else {
        rtpi_begin_closing(srv, c, reason);
    }
}

static void rtpi_high(uint32_t *most, uint32_t now) {
    if (now > *most) {
        *most = now;
    }
}

// A callback answered RETRY: it is asked again after progress, and in any case by the next scan.
static void rtpi_retry_later(rtpush_server *srv, rtpush_conn *c) {
    rtpi_set(c, RTPI_F_RETRY);
    rtpi_scan_by(srv, srv->quarter + 1u);
}

// What on_message and on_body answer: may it come again? A send that would block says so too, or
// what "return rtpush_send(...)" was to echo would be lost.
static int rtpi_not_taken(int answer) {
    return answer == RTPUSH_RETRY || answer == RTPUSH_ERR_WOULD_BLOCK;
}

// on_close, once, if it is owed. Is the state what it was?
RTPI_CHECKED static int rtpi_say_closed(rtpush_server *srv, rtpush_conn *c) {
    const rtpush_route *route = rtpi_route(srv, c);
    const uint8_t state = c->state;
    rtpush_closed closed;
    if (!rtpi_has(c, RTPI_F_OPENED)) {
        return 1;
    }
    rtpi_clear(c, RTPI_F_OPENED);
    memset(&closed, 0, sizeof closed);
    closed.reason = c->reason;
    if (route->kind->closed) {
        route->kind->closed(srv, c, &closed);
    }
    if (route->on_close) {
        route->on_close(srv, rtpi_handle(srv, c), &closed);
    }
    return c->state == state;
}

// Nothing of one connection may reach the next, but what is left of the tokens of its address
// (rtpi_tokens_begin). Behind all other free slots: the longer it stays free, the longer the
// address is remembered.
RTPI_APART static void rtpi_slot_free(rtpush_server *srv, rtpush_conn *c) {
    uint32_t peer = c->peer;
    uint16_t tokens = c->tokens;
    uint16_t byte_tokens = c->byte_tokens;
    uint8_t token_at = c->token_at;
    memset(c, 0, sizeof *c);
    c->peer = peer;
    c->tokens = tokens;
    c->byte_tokens = byte_tokens;
    c->token_at = token_at;
    c->out.rank.since = srv->quarter;
    if (srv->free_first) {
        srv->free_last->next = c;
    } else {
        srv->free_first = c;
    }
    srv->free_last = c;
}

// The one place where a connection becomes a free slot.
static void rtpi_reap(rtpush_server *srv, rtpush_conn *c) {
    int dead;
    rtpi_drop(srv, c, c->state == RTPI_RESET);
    srv->count.reasons[c->reason]++;
    dead = rtpi_say_closed(srv, c);
    (void)dead;
    RTPUSH_ASSERT(dead); // nothing changes a state after DEAD
    rtpi_slot_free(srv, c);
    srv->count.slots_used--;
}

static uint32_t rtpi_random(rtpush_server *srv) { // xorshift: randomizes retries only
    uint32_t x = srv->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    srv->random = x;
    return x;
}

// tx is linear: bytes queued are [tx_head, tx_len). Before writing they move to the front. Returns
// where that is.
static inline uint8_t *rtpi_tx_front(const rtpush_server *srv, rtpush_conn *c) {
    uint8_t *tx = rtpi_tx(srv, c);
    if (c->tx_head > 0) {
        c->tx_len = (uint16_t)(c->tx_len - c->tx_head);
        if (c->tx_len > 0) {
            memmove(tx, tx + c->tx_head, c->tx_len);
        }
        c->tx_head = 0;
    }
    return tx;
}

// There is one writer in a server, so no callback may come between open and commit.
static rtpush_text *rtpi_tx_open(rtpush_server *srv, rtpush_conn *c) {
    rtpush_text *t = &srv->text;
    t->data = rtpi_tx_front(srv, c);
    t->cap = srv->desc.tx_size;
    t->len = c->tx_len;
    t->over = 0;
    return t;
}

// Whole or not at all (invariant 11).
static int rtpi_tx_commit(rtpush_conn *c, const rtpush_text *t) {
    if (!t->over) {
        c->tx_len = (uint16_t)t->len;
    }
    return !t->over;
}

// A deadline that begins when everything has arrived has come. 0: it has not, and is set anew.
static int rtpi_over(rtpush_server *srv, rtpush_conn *c, uint32_t ms) {
    if (!rtpi_arrived(srv, c)) {
        c->due = rtpi_after(srv, ms);
        return 0;
    }
    c->due = rtpi_later(c->moved, ms);
    return rtpi_passed(srv, c->due);
}

// >>slots -----------------------------------------------------------------------------------------
// Which connection loses its slot to a new one: the chapter SLOTS has the rules. What a connection
// achieved last decides, so a byte now and then keeps no slot. Tokens limit what a peer may cost.
// They belong to addresses, so connecting again brings no new ones.

enum {
    RTPI_YOUNG = 4,      // quarter seconds in which a slot is not taken: rtpi_gives_way
    RTPI_REMEMBERED = 16 // free slots, each with an address: if memory never used is left
};

RTPI_APART static uint16_t rtpi_refilled(uint32_t tokens, uint32_t rate, uint32_t seconds) {
    rate = rate < 32767u ? rate : 32767u; // unlimited: a route with a rate begins with a full one
    tokens += rate * seconds;
    return (uint16_t)(tokens > 2 * rate ? 2 * rate : tokens);
}

// Token buckets, refilled at each second of the server's clock; unlimited ones are not used.
// They never go below zero: a frame takes its token when its header is complete, its bytes take
// theirs as they arrive. A route with a rate of its own uses the bucket of the connection, filled
// at that rate.
#define RTPI_RATE_BYTES_MAX 2000000u // twice that is 62,500 blocks

static uint32_t rtpi_rate_bytes(const rtpush_server *srv, const rtpush_conn *c) {
    if ((c->state == RTPI_BODY || c->state == RTPI_STREAM) && rtpi_route(srv, c)->rate_bytes > 0) {
        return rtpi_route(srv, c)->rate_bytes;
    }
    return srv->desc.rate_bytes;
}

static void rtpi_tokens_refill(const rtpush_server *srv, rtpush_conn *c) {
    uint32_t seconds = (uint8_t)(srv->quarter / 4u - c->token_at); // modulo 256: enough
    if (seconds > 0) { // else this second's are there
        c->token_at = (uint8_t)(srv->quarter / 4u);
        seconds = seconds < 2 ? seconds : 2; // the burst
        c->tokens = rtpi_refilled(c->tokens, srv->desc.rate_messages, seconds);
        c->byte_tokens = rtpi_refilled(c->byte_tokens, rtpi_rate_bytes(srv, c) / 64u + 1u, seconds);
    }
}

static void rtpi_throttle(rtpush_server *srv, rtpush_conn *c) {
    rtpi_set(c, RTPI_F_THROTTLED);
    rtpi_scan_by(srv, (srv->quarter | 3u) + 1u); // the next second
}

static int rtpi_has_token(rtpush_server *srv, rtpush_conn *c) {
    if (srv->desc.rate_messages == RTPUSH_UNLIMITED) {
        return 1;
    }
    rtpi_tokens_refill(srv, c);
    if (c->tokens == 0) {
        rtpi_throttle(srv, c);
    }
    return c->tokens > 0;
}

static inline int rtpi_token_take(rtpush_server *srv, rtpush_conn *c) {
    if (!rtpi_has_token(srv, c)) {
        return 0;
    }
    c->tokens--; // of one without a limit it is never looked at
    return 1;
}

// Returns how many of n bytes from `at` on are allowed now, and takes their tokens. Each block of
// 64 bytes, counted from byte 0, takes one token, so splitting does not matter.
static inline size_t rtpi_bytes_take(rtpush_server *srv, rtpush_conn *c, uint32_t at, size_t n) {
    uint32_t rate = rtpi_rate_bytes(srv, c);
    uint32_t paid = (0u - at) % 64u; // the rest of the block begun before
    if (rate == RTPUSH_UNLIMITED || n <= paid) {
        return n;
    }
    rtpi_tokens_refill(srv, c);
    c->byte_tokens = rtpi_refilled(c->byte_tokens, rate / 64u + 1u, 0); // the burst of this route
    if (n > paid + c->byte_tokens * 64u) {
        n = paid + c->byte_tokens * 64u;
        rtpi_throttle(srv, c);
    }
    c->byte_tokens = (uint16_t)(c->byte_tokens - (n - paid + 63u) / 64u);
    return n;
}

// Is the body of this connection left for later by the application? Not if tokens are what it waits
// for: those of what on_body leaves are given back (rtpi_body_input). So who sends faster than the
// rate keeps no slot by that.
static int rtpi_body_waits(const rtpush_server *srv, const rtpush_conn *c) {
    return rtpi_has(c, RTPI_F_REFUSED) &&
           (c->byte_tokens > 0 || rtpi_rate_bytes(srv, c) == RTPUSH_UNLIMITED);
}

// Can it give way? Yes within a head or a body, or between requests. No if it waits for the
// application, is a stream, or has an answer that is not acknowledged.
static int rtpi_may_take(rtpush_server *srv, rtpush_conn *c) {
    return (c->state == RTPI_HEAD || (c->state == RTPI_BODY && !rtpi_body_waits(srv, c))) &&
           rtpi_arrived(srv, c);
}

// Those of a filter's pool; without one all.
typedef int (*rtpi_those)(const rtpush_conn *conn);

static int rtpi_is_of(const rtpush_conn *c, rtpi_those of) {
    return !of || (rtpi_filtered(c) && of(c));
}

// The address that more than half of those come from whose slots may be taken, if there is one;
// else any. Boyer and Moore's majority vote: it needs no memory.
static uint32_t rtpi_majority(rtpush_server *srv, rtpi_those of) {
    rtpush_conn *c;
    uint32_t peer = 0;
    int32_t votes = 0;
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (rtpi_is_of(c, of) && rtpi_may_take(srv, c)) {
            if (votes == 0) {
                peer = c->peer;
            }
            votes += peer == c->peer ? 1 : -1;
        }
    }
    return peer;
}

RTPI_APART static void rtpi_older(rtpush_conn **oldest, rtpush_conn *c) {
    if (!*oldest || (*oldest)->out.rank.order - c->out.rank.order < 0x80000000u) {
        *oldest = c;
    }
}

// Is it between requests?
static int rtpi_is_idle(const rtpush_conn *c) {
    return c->state == RTPI_HEAD && c->in.http.section == 0 && c->out.rank.proved;
}

// Is it older than so many quarter seconds? One between requests need not be: its peer can repeat a
// request on another connection (RFC 9112 9.3.1), while the user of a new connection that is reset
// sees an error. In a pool it has half a second, since a new handshake costs more.
RTPI_APART static int rtpi_is_old(const rtpush_server *srv, const rtpush_conn *c, rtpi_those of,
                                  uint32_t young) {
    if (!of && rtpi_is_idle(c)) {
        return 1;
    }
    return srv->quarter - c->out.rank.since > (of && rtpi_is_idle(c) ? 1u : young);
}

// The connection that gives way to a new one of this address (RFC 9112 9.5: at any time). Age
// counts from the last progress, so a byte now and then keeps no slot. The first of these that
// exists:
//   1  one that only waits for the peer's FIN, with all output acknowledged;
//   2  if most of those that can give way belong to one other address: the oldest of these;
//   3  while the unproved have less than three quarters of the slots that are not streams: the
//      oldest proved one;
//   4  the oldest unproved one.
// In 4 none younger than a second, in 3 none with a request under way: connections that a browser
// opens at the same time do not evict one another. NULL: none, or one of the pool ends already.
static rtpush_conn *rtpi_gives_way(rtpush_server *srv, uint32_t peer, rtpi_those of,
                                   uint32_t young) {
    rtpush_conn *oldest[2] = {NULL, NULL}; // not proved, proved
    rtpush_conn *of_many = NULL;
    rtpush_conn *c;
    uint32_t many = rtpi_majority(srv, of);
    uint32_t same = 0; // of that address
    uint32_t all = 0;
    uint32_t places = 0;
    uint32_t unproved = 0;
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (!rtpi_is_of(c, of)) {
            continue;
        }
        if (c->state == RTPI_LINGER && (!of || srv->quarter - c->out.rank.since > 1)) {
            if (rtpi_arrived(srv, c)) {
                return c;
            }
        } else if (of && (rtpi_is_dead(c) || (c->state >= RTPI_CLOSING &&
                                                    c->unacked == 0 && rtpi_drained(c)))) {
            return NULL;
        }
        places += !rtpi_is_stream(c);
        if (rtpi_may_take(srv, c)) {
            all++;
            unproved += !rtpi_is_proved(c);
            if (c->peer == many) {
                same++;
                rtpi_older(&of_many, c);
            }
            if (rtpi_is_old(srv, c, of, young)) {
                rtpi_older(&oldest[rtpi_is_proved(c)], c);
            }
        }
    }
    if (same > 1 && same > all / 2u && many != 0 && many != peer) {
        return of_many;
    }
    return oldest[1] && unproved * 4u < places * 3u ? oldest[1] : oldest[0];
}

// Reaps all in DEAD and RESET; the others go back to the ready list in their order.
static void rtpi_reap_dead(rtpush_server *srv) {
    rtpush_conn *last = srv->ready_last;
    rtpush_conn *c;
    do {
        c = rtpi_ready_pop(srv);
        if (c && rtpi_is_dead(c)) {
            rtpi_reap(srv, c);
        } else if (c) {
            rtpi_ready(srv, c);
        }
    } while (c && c != last);
}

static rtpush_conn *rtpi_slot_take(rtpush_server *srv, uint32_t peer) {
    rtpush_conn *c;
    uint32_t touched = rtpi_conn_index(srv, srv->slots_end);
    if (touched < srv->desc.conn_count && touched - srv->count.slots_used < RTPI_REMEMBERED) {
        c = srv->slots_end;
        srv->slots_end = rtpi_conn_after(srv, c);
        memset(c, 0, sizeof *c);
        return c;
    }
    if (!srv->free_first) {
        rtpi_reap_dead(srv);
    }
    if (!srv->free_first && (c = rtpi_gives_way(srv, peer, NULL, RTPI_YOUNG)) != NULL) {
        rtpi_end_at_once(srv, c, RTPUSH_REASON_EVICTED_SLOT);
        rtpi_reap_dead(srv);
    }
    c = srv->free_first;
    if (c) {
        srv->free_first = c->next;
        c->next = NULL;
    }
    return c;
}

static int rtpi_has_rates(const rtpush_server *srv) {
    const rtpush_route *route = srv->desc.routes;
    const rtpush_route *end = route + srv->desc.route_count;
    while (route < end && (route->rate_bytes == 0 || route->rate_bytes == RTPUSH_UNLIMITED)) {
        route++;
    }
    return route < end || srv->desc.rate_messages != RTPUSH_UNLIMITED ||
           srv->desc.rate_bytes != RTPUSH_UNLIMITED;
}

// Tokens belong to addresses, so that reconnecting gives no new ones. A new connection begins
// with as few as any slot of its address has left, used or free. Those that were not looked at for
// two seconds are full again. Without limits thousands of slots are not looked through.
static void rtpi_tokens_begin(rtpush_server *srv, rtpush_conn *conn, uint32_t peer) {
    rtpush_conn *c;
    conn->peer = peer;
    conn->token_at = (uint8_t)(srv->quarter / 4u - 2u);
    conn->tokens = conn->byte_tokens = 0;
    rtpi_tokens_refill(srv, conn);
    c = peer != 0 && rtpi_has_rates(srv) ? srv->conns : srv->slots_end;
    for (; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        // token_at has only 8 bits, so of a free one it says something for some time alone.
        uint8_t seconds = (uint8_t)(srv->quarter / 4u - c->token_at);
        if (c->peer == peer && seconds < 2 &&
            (c->state != RTPI_FREE || srv->quarter - c->out.rank.since < 12u)) {
            if (seconds > 0) {
                rtpi_tokens_refill(srv, c);
            }
            conn->tokens = c->tokens < conn->tokens ? c->tokens : conn->tokens;
            conn->byte_tokens =
                c->byte_tokens < conn->byte_tokens ? c->byte_tokens : conn->byte_tokens;
        }
    }
}

// >>log -------------------------------------------------------------------------------------------
// A ring of records, oldest at tail, next one at head; each stands in one piece, 4-byte aligned. At
// `wrap` the ring jumps to offset 0 (wrap is its end while it does not). No record takes more
// than a quarter, so room is made before the last one goes: the ring is only empty at first.
//
//   record: seq 4 | size4 2 | len 2 | lines 2 | topic 1 | flags 1 | ws 4 | payload len | "\n\n"
//
// ws holds the WebSocket frame header, right-aligned against the payload, so that a raw WebSocket
// reader's whole frame is one span; "\n\n" ends an SSE event in the same way; lines counts the line
// ends of a text, so that its length in an event stream is known. Encoded once.
//
// The last 64th of the log's memory is the index: the offset of every 16th record. To find a number
// is a binary search there and at most 16 records on (32 where the log is below 2 KiB), also where
// numbers jump. Index and newest number of each topic are noted in rtpi_sync, by the loop alone.
//
// Access. rtpush_publish_from may interrupt the loop at any point: between lock and
// unlock it claims a sequence number and space, copies outside, and marks the record DONE under the
// lock again. Readers stop at the first record that is not DONE (invariant 10); the loop takes its
// own copy of that limit in rtpi_sync, once a step, and works without the lock below it.
//
// Sequence numbers decide everything; offsets are only caches. Room is looked for before a number
// is taken, so a retried event uses one number. An event that rtpush_publish_from drops uses its
// number without a record: a gap to readers, like a record that was evicted before they read it.
//
// Holders: a transport may still refer to bytes of records it was given (HOLD spans), and a reader
// in the middle of a record needs the rest. Evicting a record drops the connections that still need
// it; their clients resume. hold_floor is a lower bound of all held records: an eviction looks
// through the slots only when it reaches it.

typedef struct rtpi_record {
    uint32_t seq;
    uint16_t size4; // whole record in units of 4 bytes
    uint16_t len;   // payload
    uint16_t lines; // line ends; 0 of bytes
    uint8_t topic;
    uint8_t flags;
    uint8_t ws[4];
} rtpi_record;

// rtpi_record.flags. VOID: no reader gets it. LOST: a gap up to its number; the payload is a count
enum { RTPI_REC_DONE = 1, RTPI_REC_VOID = 2, RTPI_REC_LOST = 4 };

// Do ids come from outside (rtpush_publish_id)?
#ifdef RTPUSH_GATEWAY
#define RTPI_OUTSIDE(srv) ((srv)->desc.epoch == 0)
#else
#define RTPI_OUTSIDE(srv) 0
#endif

// Sequence numbers and revisions end well before 2^32: then a new epoch begins.
#ifndef RTPI_SEQ_END
#define RTPI_SEQ_END 0xFFFF0000u
#endif

static void rtpi_lock(const rtpush_server *srv) {
    if (srv->hooks.lock) {
        srv->hooks.lock(srv->hooks.ctx);
    }
}

static void rtpi_unlock(const rtpush_server *srv) {
    if (srv->hooks.unlock) {
        srv->hooks.unlock(srv->hooks.ctx);
    }
}

static uint32_t rtpi_all_topics(const rtpush_server *srv) { // a bit for each
    return srv->desc.topic_count < 32 ? ((uint32_t)1 << srv->desc.topic_count) - 1u : ~(uint32_t)0;
}

static rtpi_record *rtpi_record_at(const rtpush_server *srv, uint32_t off) {
    return (rtpi_record *)(void *)(srv->log + off);
}

static const uint8_t *rtpi_payload(const rtpi_record *rec) {
    return (const uint8_t *)rec + sizeof(rtpi_record);
}

static uint8_t *rtpi_payload_open(rtpi_record *rec) { // while it is being written
    return (uint8_t *)rec + sizeof(rtpi_record);
}

static uint32_t rtpi_record_size(uint32_t len) {
    return ((uint32_t)sizeof(rtpi_record) + len + 2u + 3u) & ~3u;
}

RTPI_APART static uint32_t rtpi_record_max(const rtpush_server *srv) { // largest payload
    return RTPUSH_EVENT_MAX(srv->desc.log_size);
}

#define RTPI_INSERT_LEN 6u // "data: ", which an event stream has behind each line end

// Has a line of the text its end right before byte i? WHATWG HTML 9.2.5: CR LF is one line end, CR
// and LF alone are one each.
static int rtpi_line_ended(const uint8_t *data, uint32_t len, uint32_t i) {
    if (i == 0 || i > len) {
        return 0;
    }
    return data[i - 1] == '\n' || (data[i - 1] == '\r' && (i == len || data[i] != '\n'));
}

static uint32_t rtpi_count_lines(const uint8_t *data, uint32_t len) {
    uint32_t lines = 0;
    uint32_t i;
    for (i = 1; i <= len; i++) {
        lines += (uint32_t)rtpi_line_ended(data, len, i);
    }
    return lines;
}

static uint32_t rtpi_index_len(uint32_t log_size) { // entries, of 4 bytes: at least 1
    return log_size / 256u;
}

static uint32_t rtpi_ring_size(const rtpush_server *srv) { // bytes of the log that hold records
    return srv->desc.log_size - 4u * rtpi_index_len(srv->desc.log_size);
}

// Where `need` bytes could go now, or ~0. Called under the lock.
static uint32_t rtpi_log_fit(const rtpush_server *srv, uint32_t need) {
    if (srv->used == 0) {
        return 0;
    }
    if (srv->head > srv->tail) {
        if (need <= rtpi_ring_size(srv) - srv->head) {
            return srv->head;
        }
        return need <= srv->tail ? 0 : ~(uint32_t)0;
    }
    return need <= srv->tail - srv->head ? srv->head : ~(uint32_t)0;
}

#define RTPI_INDEX_STEP 16u // records

static uint32_t *rtpi_index_at(const rtpush_server *srv, uint32_t entry) {
    return (uint32_t *)(void *)(srv->log + rtpi_ring_size(srv)) +
           entry % rtpi_index_len(srv->desc.log_size);
}

// Notes the records from the old limit up to number `end` and moves the limit there. They are
// complete, and nothing before the limit was evicted meanwhile but records before tail_seq.
static void rtpi_note_records(rtpush_server *srv, uint32_t end) {
    if (srv->limit_rec <= srv->tail_seq) {
        srv->limit_off = srv->tail;
    }
    while (srv->limit_rec < end) {
        const rtpi_record *rec;
        if (srv->limit_off == srv->limit_wrap) {
            srv->limit_off = 0;
        }
        rec = rtpi_record_at(srv, srv->limit_off);
        RTPUSH_ASSERT(rec->size4 > 0 && rec->seq >= srv->limit_rec);
        if (srv->noted % RTPI_INDEX_STEP == 0) {
            *rtpi_index_at(srv, srv->noted / RTPI_INDEX_STEP) = srv->limit_off;
        }
        srv->noted++;
        if (!(rec->flags & RTPI_REC_VOID)) {
            srv->state[rec->topic].rev = rec->seq;
        }
        srv->limit_rec = rec->seq + 1;
        srv->limit_off += (uint32_t)rec->size4 * 4u;
    }
}

// Numbers begin with 1, in an empty ring.
RTPI_APART static void rtpi_log_clear(rtpush_server *srv) {
    srv->seq_next = srv->done_seq = srv->done_rec = srv->tail_seq = srv->limit_rec = 1;
    srv->head = srv->tail = srv->done_off = srv->used = 0;
    srv->lost = srv->noted = srv->evicted = 0;
    srv->wrap = rtpi_ring_size(srv);
    srv->log_changes++;
}

// The loop's own copy of how far readers may go.
static void rtpi_sync(rtpush_server *srv) {
    uint32_t end;
    uint32_t off;
    rtpi_lock(srv);
    if (srv->state_changed || srv->limit_seq != srv->done_seq) {
        srv->state_changed = 0;
        srv->sweep_due = 1;
        srv->log_changes++;
    }
    srv->limit_seq = srv->done_seq;
    end = srv->done_rec;
    off = srv->done_off;
    srv->limit_wrap = srv->wrap;
    srv->limit_lost = srv->lost;
    srv->limit_rev = srv->rev;
    srv->woken = 0;
    srv->epoch_due = srv->open_records == 0 &&
                     ((!RTPI_OUTSIDE(srv) && srv->seq_next > RTPI_SEQ_END) ||
                      srv->rev > RTPI_SEQ_END);
    srv->count.published = srv->published;
    srv->count.full = srv->full;
    srv->count.log_used = srv->used == 0 ? 0
                          : srv->head > srv->tail ? srv->head - srv->tail
                                                  : srv->head + srv->wrap - srv->tail;
    rtpi_unlock(srv);
    rtpi_high(&srv->count.log_high, srv->count.log_used);
    rtpi_note_records(srv, end);
    srv->limit_off = off;
}

// Where to look for number seq: the offset of the last record in the index before it or of it, or
// the oldest one.
static uint32_t rtpi_seek(const rtpush_server *srv, uint32_t seq) {
    uint32_t most = rtpi_index_len(srv->desc.log_size);
    uint32_t low = (srv->evicted + RTPI_INDEX_STEP - 1) / RTPI_INDEX_STEP;
    uint32_t high = (srv->noted + RTPI_INDEX_STEP - 1) / RTPI_INDEX_STEP;
    uint32_t off = srv->tail;
    if (high > low + most) {
        low = high - most; // older entries were written over
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2u;
        uint32_t at = *rtpi_index_at(srv, middle);
        if (rtpi_record_at(srv, at)->seq <= seq) {
            off = at;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return off;
}

// The place of number seq, or of what comes next. A record before it will not do: it may be evicted
// before the reader looks.
static uint32_t rtpi_seek_to(const rtpush_server *srv, uint32_t seq) {
    uint32_t off = srv->limit_off;
    if (seq < srv->limit_rec) {
        off = rtpi_seek(srv, seq);
        while (rtpi_record_at(srv, off)->seq < seq) {
            off += (uint32_t)rtpi_record_at(srv, off)->size4 * 4u;
            off = off == srv->limit_wrap ? 0 : off;
        }
    }
    return off;
}

// The oldest record this connection may need unchanged, or 0: the first that the transport may
// refer to, or the one it is in the middle of. A dropped transport (port NULL) needs none.
static uint32_t rtpi_held(const rtpush_conn *c) {
    uint32_t held = c->mark_seq ? c->hold_seq : 0;
    if (held == 0 && rtpi_has_cursor(c) && c->out.stream.part > 0) {
        held = c->out.stream.seq; // else it is not before what the transport refers to
    }
    return c->port ? held : 0;
}

#define RTPI_ALL_RECORDS (~(uint32_t)0)

// Does it need record `seq`? Nothing beyond the cursor was ever given.
static int rtpi_holds(const rtpush_conn *c, uint32_t seq) {
    uint32_t held = rtpi_held(c);
    if (held == 0 || held > seq) {
        return 0;
    }
    return seq == RTPI_ALL_RECORDS || !rtpi_has_cursor(c) ||
           seq < c->out.stream.seq + (c->out.stream.part > 0);
}

static void rtpi_hold_from(rtpush_server *srv, uint32_t seq) {
    if (seq < srv->hold_floor) {
        srv->hold_floor = seq;
    }
}

// Drops the connections that hold record `seq`, or any. 0: none, since one of them is being served
// now.
static int rtpi_release(rtpush_server *srv, uint32_t seq) {
    uint32_t floor = ~(uint32_t)0;
    rtpush_conn *c;
    if (srv->busy && rtpi_holds(srv->busy, seq)) {
        return 0;
    }
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (rtpi_holds(c, seq)) {
            rtpi_end_at_once(srv, c, RTPUSH_REASON_EVICTED_LOG);
            rtpi_drop(srv, c, 1); // at once: the bytes will change
        } else {
            uint32_t held = rtpi_held(c);
            held = held > seq ? held : seq + 1;
            floor = rtpi_held(c) != 0 && held < floor ? held : floor;
        }
    }
    srv->hold_floor = floor;
    return 1;
}

// Loop only. 0 when nothing more can go.
static int rtpi_evict(rtpush_server *srv) {
    uint32_t seq;
    if (srv->tail_seq >= srv->limit_rec) {
        return 0; // empty, or the oldest is not complete
    }
    seq = rtpi_record_at(srv, srv->tail)->seq;
    if (srv->hold_floor <= seq && !rtpi_release(srv, seq)) {
        return 0;
    }
    rtpi_lock(srv);
    srv->tail += (uint32_t)rtpi_record_at(srv, srv->tail)->size4 * 4u;
    srv->used--;
    if (srv->tail == srv->wrap) {
        srv->tail = 0;
        srv->wrap = rtpi_ring_size(srv);
    }
    srv->tail_seq = rtpi_record_at(srv, srv->tail)->seq;
    rtpi_unlock(srv);
    if (RTPI_OUTSIDE(srv)) {
        srv->numbers.base_seq = seq + 1;
    }
    srv->evicted++;
    srv->log_changes++;
    return 1;
}

// Evicts until `need` bytes fit, or nothing more can go. Returns where they go, or ~0. Leaves the
// log locked, or another context would take the room before it is claimed.
static uint32_t rtpi_make_room(rtpush_server *srv, uint32_t need) {
    int more = 1;
    for (;;) {
        uint32_t off;
        rtpi_lock(srv);
        off = rtpi_log_fit(srv, need);
        if (!more || off != ~(uint32_t)0) {
            return off;
        }
        rtpi_unlock(srv);
        rtpi_sync(srv);
        more = rtpi_evict(srv);
    }
}

// Under the lock: takes the space at `off`, where there is some, and then a sequence number.
static rtpi_record *rtpi_claim(rtpush_server *srv, uint32_t off, unsigned topic, uint32_t len) {
    uint32_t size = rtpi_record_size(len);
    rtpi_record *rec;
    if (off == ~(uint32_t)0) {
        return NULL;
    }
    if (off == 0 && srv->head != 0) {
        srv->wrap = srv->head;
        if (srv->open_records == 0) {
            srv->done_off = 0;
        }
    }
    rec = rtpi_record_at(srv, off);
    rec->seq = srv->seq_next++;
    rec->size4 = (uint16_t)(size / 4u);
    rec->len = (uint16_t)len;
    rec->topic = (uint8_t)topic;
    rec->flags = 0;
    srv->head = off + size;
    srv->used++;
    srv->open_records++;
    return rec;
}

// Under the lock: drops an event that has no room. Its number is used.
static void rtpi_give_up(rtpush_server *srv) {
    srv->lost = ++srv->seq_next;
    srv->full++;
    if (srv->open_records == 0) {
        srv->done_seq = srv->seq_next; // at the end: nothing to wait for
    }
}

static unsigned rtpi_opcode(const rtpush_topic *topic) { // RFC 6455 5.2
    return (topic->flags & RTPUSH_BINARY) ? RTPUSH_BINARY_MESSAGE : RTPUSH_TEXT_MESSAGE;
}

// Bytes of the extended length (RFC 6455 5.2: the shortest form).
static unsigned rtpi_length_bytes(uint32_t len) {
    return len < 126 ? 0 : len < 65536u ? 2 : 8;
}

// The header of a frame of ours, so that it ends at `end`. Returns where it begins.
static uint8_t *rtpi_frame_header(uint8_t *end, unsigned first, uint32_t len) {
    uint8_t *at = end - 2 - rtpi_length_bytes(len);
    at[0] = (uint8_t)first;
    at[1] = (uint8_t)(len < 126 ? len : len < 65536u ? 126u : 127u);
    for (; end > at + 2; len >>= 8) {
        *--end = (uint8_t)len;
    }
    return at;
}

// Frame header, line count, end of event: what is computed once for all readers.
static void rtpi_encode(const rtpush_server *srv, rtpi_record *rec) {
    uint8_t *payload = rtpi_payload_open(rec);
    unsigned opcode = rtpi_opcode(&srv->desc.topics[rec->topic]);
    (void)rtpi_frame_header(rec->ws + sizeof rec->ws, 0x80u | opcode, rec->len);
    rec->lines = 0;
    if (opcode == RTPUSH_TEXT_MESSAGE &&
        (memchr(payload, '\n', rec->len) || memchr(payload, '\r', rec->len))) {
        rec->lines = (uint16_t)rtpi_count_lines(payload, rec->len);
    }
    payload[rec->len] = '\n';
    payload[rec->len + 1] = '\n';
}

// Under the lock: the record is complete; readers may go on to the next one that is not.
static void rtpi_done(rtpush_server *srv, rtpi_record *rec) {
    rec->flags |= RTPI_REC_DONE;
    while (srv->open_records > 0) {
        const rtpi_record *next;
        if (srv->done_off == srv->wrap) {
            srv->done_off = 0;
        }
        next = rtpi_record_at(srv, srv->done_off);
        if (!(next->flags & RTPI_REC_DONE)) {
            return;
        }
        srv->done_rec = next->seq + 1;
        srv->done_seq = next->seq + 1;
        srv->done_off += (uint32_t)next->size4 * 4u;
        srv->open_records--;
    }
    srv->done_seq = srv->seq_next;
}

static int rtpi_topic_check(const rtpush_server *srv, unsigned topic, const void *data,
                            size_t len) {
    const rtpush_topic *t;
    if (topic >= srv->desc.topic_count || (data == NULL && len > 0)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    t = &srv->desc.topics[topic];
    if (len > (t->kind->flags & RTPI_TOPIC_VALUE ? t->max : rtpi_record_max(srv))) {
        return RTPUSH_ERR_TOO_BIG;
    }
    // Checked once here, or one bad record would close every WebSocket (RFC 6455 8.1).
    if (!(t->flags & RTPUSH_BINARY) &&
        rtpi_utf8(RTPI_UTF8_OK, (const uint8_t *)data, len) != RTPI_UTF8_OK) {
        return RTPUSH_ERR_UTF8;
    }
    return RTPUSH_OK;
}

// The caller of publish, which decides what happens if there is no room.
enum {
    RTPI_BY_LOOP, // evicts; the caller tries again
    RTPI_BY_TRY,  // any context; the caller tries again
    RTPI_BY_ANY   // any context; the event is given up
};

// Once topic and data are checked.
static int rtpi_append(rtpush_server *srv, unsigned topic, const void *data, size_t len, int by) {
    uint32_t size = rtpi_record_size((uint32_t)len);
    rtpi_record *rec;
    uint32_t off;
    if (by == RTPI_BY_LOOP) {
        off = rtpi_make_room(srv, size);
    } else {
        rtpi_lock(srv);
        off = rtpi_log_fit(srv, size);
    }
    rec = rtpi_claim(srv, off, topic, (uint32_t)len);
    if (!rec && by == RTPI_BY_ANY) {
        rtpi_give_up(srv);
    }
    rtpi_unlock(srv);
    if (!rec) {
        return RTPUSH_ERR_FULL;
    }
    if (len > 0) {
        memcpy(rtpi_payload_open(rec), data, len);
    }
    rtpi_encode(srv, rec);
    rtpi_lock(srv);
    srv->published++;
    rtpi_done(srv, rec);
    rtpi_unlock(srv);
    return RTPUSH_OK;
}

const rtpush_topic_kind rtpush_topic_event = {0, rtpi_append, NULL};

#ifdef RTPUSH_GATEWAY
// Ids from outside. Numbers are given, and what is between those of two records is no loss. A loss
// is a record of its own in front of the event, or alone: LOST, with the number of events as its
// payload. It takes the last number of those that were lost, so each reader either has it before
// its cursor, and was told, or will pass it. What was evicted is a loss up to base_seq, and what
// the epoch had before the first number here.

// The log begins anew with number `first`.
static void rtpi_log_begin(rtpush_server *srv, uint32_t first) {
    rtpi_log_clear(srv);
    srv->seq_next = srv->done_seq = srv->done_rec = srv->tail_seq = srv->limit_rec = first;
    srv->numbers.base_seq = first;
}

// A record with number `seq`, above the head, for which there is room.
static void rtpi_append_id(rtpush_server *srv, uint32_t seq, unsigned topic, const void *data,
                           uint32_t len, unsigned flags) {
    rtpi_record *rec;
    rtpi_lock(srv);
    if (srv->used == 0) {
        srv->tail_seq = seq;
    }
    srv->seq_next = seq;
    rec = rtpi_claim(srv, rtpi_log_fit(srv, rtpi_record_size(len)), topic, len);
    rtpi_unlock(srv);
    RTPUSH_ASSERT(rec);
    if (len > 0) {
        memcpy(rtpi_payload_open(rec), data, len);
    }
    rtpi_encode(srv, rec);
    rtpi_lock(srv);
    rec->flags |= (uint8_t)flags;
    srv->published += flags == 0;
    rtpi_done(srv, rec);
    rtpi_unlock(srv);
}

// The head moves to number `seq`, up to which `lost` events were lost: there is room for a record
// of that. A log without records tells of no loss.
static void rtpi_advance_to(rtpush_server *srv, uint32_t seq, uint32_t lost) {
    if (lost > 0 && rtpi_ring_size(srv) > 0) {
        rtpi_append_id(srv, seq, 0, &lost, sizeof lost, RTPI_REC_VOID | RTPI_REC_LOST);
        lost = seq + 1;
    }
    rtpi_lock(srv);
    srv->lost = lost > 0 ? lost : srv->lost;
    srv->seq_next = srv->done_seq = seq + 1;
    rtpi_unlock(srv);
}
#endif

// >>state -----------------------------------------------------------------------------------------
// One value a STATE topic, replaced in place. Every change gets the next revision, of one counter
// for all topics. A reader's sweep visits each of its topics once and takes those newer than the
// last sweep: bounded work, the newest value, and never an older one after it (invariant 9).

static rtpi_value *rtpi_value_at(const rtpush_server *srv, unsigned topic) {
    return srv->state + topic;
}

static uint8_t *rtpi_value_data(const rtpush_server *srv, const rtpi_value *v) {
    return (uint8_t *)srv->state + v->off;
}

// Bytes of tx an SSE reader can need beside the value: chunk size and end 12, "id: " id LF 22,
// "event: " name LF 8 + 32, "data: " LF LF 8; 2 spare.
#define RTPI_VALUE_OVERHEAD 84u

// Can the value ever be sent? Text grows in an event stream by each line end. Bytes have no form
// there, and max fits.
static inline int rtpi_value_fits(const rtpush_server *srv, unsigned topic, const void *data,
                                  size_t len) {
    return (srv->desc.topics[topic].flags & RTPUSH_BINARY) ||
           len + RTPI_INSERT_LEN * rtpi_count_lines((const uint8_t *)data, (uint32_t)len) +
                   RTPI_VALUE_OVERHEAD <= srv->desc.tx_size;
}

static int rtpi_state_set(rtpush_server *srv, unsigned topic, const void *data, size_t len,
                          int by) {
    rtpi_value *v = rtpi_value_at(srv, topic);
    (void)by; // there is always room
    if (!rtpi_value_fits(srv, topic, data, len)) {
        return RTPUSH_ERR_TOO_BIG;
    }
    rtpi_lock(srv);
    if (len > 0) {
        memcpy(rtpi_value_data(srv, v), data, len);
    }
    v->len = (uint32_t)len;
    v->rev = ++srv->rev;
    srv->published++;
    srv->state_changed = 1;
    rtpi_unlock(srv);
    return RTPUSH_OK;
}

// Is any of this reader's values newer than its last sweep? Usually not, which needs no lock and
// counts as a sweep without values.
static int rtpi_state_newer(const rtpush_server *srv, rtpi_stream *s) {
    uint32_t wanted = s->sweep_prev < srv->limit_rev ? s->topics & srv->state_topics : 0;
    int newer = 0;
    unsigned i;
    if (wanted != 0) {
        rtpi_lock(srv);
        for (i = 0; wanted != 0; i++, wanted >>= 1) {
            newer |= (wanted & 1u) && rtpi_value_at(srv, i)->rev > s->sweep_prev;
        }
        rtpi_unlock(srv);
        s->sweep_prev = newer ? s->sweep_prev : srv->limit_rev;
    }
    return newer;
}

// >>wire ------------------------------------------------------------------------------------------
// The encoding of a record, value or notice on each transport. For records it is a pure function
// (record, form, what is already sent) -> spans.
//
//   RAW     frame header and payload as they stand in the log
//   TAGGED  rtpush.1: frame header, "id SP topic LF", payload (a direct message: "=", data)
//   SSE     "id: id\nevent: topic\ndata: " payload "\n\n". Line ends of the payload stay as they
//           are (WHATWG HTML 9.2.6: CR, LF and CR LF end a line), "data: " is inserted behind each
//   TEXT    the same, in an answer that ends: long poll of HTTP/1.0
//   CHUNK   ... of HTTP/1.1, as one chunk (RFC 9112 7.1)
//
// So the length of an event is prefix + payload + 2 + 6 * lines. Where a reader stands inside a
// record is stored: bytes sent of prefix and record, and of the insert due there (6: all of it).
// Nothing is scanned but what is offered next.

// rtpush_conn.notice: the notice that a reader gets first
enum {
    RTPI_NOTICE_NONE,
    RTPI_NOTICE_REPLAYED, // a poll that missed nothing waits: no reason to answer
    RTPI_NOTICE_FRESH,
    RTPI_NOTICE_RESET,
    RTPI_NOTICE_WAITS // none yet: see rtpi_wait_begin
};

// rtpi_stream.part
#define RTPI_PART(bytes, inserted) ((bytes) << 3 | (inserted))
#define RTPI_PART_BYTES(part) ((part) >> 3)
#define RTPI_PART_INSERTED(part) ((part) & 7u)

#define RTPI_SPAN_MAX 0xFFFCu
#define RTPI_RUN_MAX 8192u // bytes looked through for a line end; then what was found is offered
// Chunk size 10, "id: " 4 + 17, "\nevent: " 8 + 32, "\ndata: " 7; 2 spare.
#define RTPI_PREFIX_MAX 80u

typedef struct rtpi_emit {
    rtpush_span *spans; // NULL: they are only counted, up to `most` bytes in all
    rtpush_text *to;      // instead of spans: append the bytes here
    int max;
    int count;
    uint32_t most;     // bytes of a span
    uint32_t given;    // bytes in spans
    uint32_t skip;     // bytes of prefix and record that were sent before, of what is to come
    uint32_t bytes;    // ... sent before, or emitted
    uint32_t inserted; // of the insert due behind them
    uint8_t full;      // there is more than spans can hold
    uint8_t form;      // RTPI_FORM_...
} rtpi_emit;

// Returns how many bytes found room.
static uint32_t rtpi_emit_bytes(rtpi_emit *e, const void *data, uint32_t len, uint8_t kind) {
    rtpush_span *span;
    if (len == 0) {
        return 0;
    }
    if (e->to) {
        rtpi_put(e->to, data, (size_t)len);
        return len;
    }
    if (e->full || e->count >= e->max) {
        e->full = 1;
        return 0;
    }
    if (len > e->most) {
        len = e->most;
        e->full = 1; // the rest is for the next rtpush_output
    }
    e->given += len;
    if (!e->spans) {
        e->most -= len;
        return len;
    }
    span = &e->spans[e->count++];
    span->data = (const uint8_t *)data;
    span->len = (uint16_t)len;
    span->kind = kind;
    return len;
}

// A piece of prefix or record.
static void rtpi_emit_piece(rtpi_emit *e, const void *data, uint32_t len, uint8_t kind) {
    uint32_t skip = e->skip < len ? e->skip : len;
    e->skip -= skip;
    e->bytes += rtpi_emit_bytes(e, (const uint8_t *)data + skip, len - skip, kind);
}

static void rtpi_put_frame_header(rtpush_text *t, unsigned first, uint32_t len) {
    uint8_t header[10];
    uint8_t *end = header + sizeof header;
    const uint8_t *at = rtpi_frame_header(end, first, len);
    rtpi_put(t, at, (size_t)(end - at));
}

// A payload with line ends, an insert behind each. `behind` bytes that follow it are sent too: the
// "\n\n" in the log.
static void rtpi_emit_lines(rtpi_emit *e, const uint8_t *data, uint32_t len, uint32_t behind) {
    static const char insert[] = "data: ";
    uint32_t all = len + behind;
    uint32_t i = e->skip < all ? e->skip : all;
    e->skip -= i;
    while (!e->full) {
        uint32_t end;
        uint32_t given;
        if (e->inserted < RTPI_INSERT_LEN && rtpi_line_ended(data, len, i)) {
            e->inserted += rtpi_emit_bytes(e, insert + e->inserted, RTPI_INSERT_LEN - e->inserted,
                                           RTPUSH_SPAN_STATIC);
            continue;
        }
        if (i == all) {
            return;
        }
        end = i;
        do {
            end++;
        } while (end < all && end - i < RTPI_RUN_MAX && !rtpi_line_ended(data, len, end));
        given = rtpi_emit_bytes(e, data + i, end - i, RTPUSH_SPAN_HOLD);
        e->bytes += given;
        if (given > 0) {
            e->inserted = 0;
        }
        i += given;
        if (e->spans && i < len && !rtpi_line_ended(data, len, i)) {
            e->full = 1; // a long line: what a slow transport leaves is looked through again
        }
    }
}

// Bytes of what rtpi_put_prefix writes. In TAGGED the name is followed by LF, in the others by LF
// and "data: "; before it stand what RTPI_PREFIX_MAX counts.
static uint32_t rtpi_prefix_len(uint8_t form, const rtpush_topic *topic, uint32_t len) {
    static const uint8_t fixed[] = {0, 2 + 17 + 1 + 1, 4 + 17 + 8 + 7, 4 + 17 + 8 + 7,
                                    10 + 4 + 17 + 8 + 7};
    uint32_t prefix_len = fixed[form] + (uint32_t)strlen(topic->name);
    return prefix_len +
           (form == RTPI_FORM_TAGGED ? rtpi_length_bytes(prefix_len - 2u + len) : 0);
}

// What stands before the payload, in every form but RAW. The id is the reader's position, so that a
// page that reconnects resumes there.
static void rtpi_put_prefix(const rtpush_server *srv, rtpush_text *t, uint8_t form, uint32_t seq,
                            const rtpush_topic *topic, uint32_t len, uint32_t lines) {
    uint8_t id[] = "id: 00000000-00000000\nevent: ";
    uint32_t name_len = (uint32_t)strlen(topic->name);
    if (form == RTPI_FORM_TAGGED) {
        rtpi_put_frame_header(t, 0x80u | rtpi_opcode(topic), 17u + 1u + name_len + 1u + len);
        rtpi_format(t, "%x-%x %s\n", srv->epoch, seq, topic->name);
        return;
    }
    if (form == RTPI_FORM_CHUNK) { // leading zeros are allowed (RFC 9112 7.1)
        rtpi_format(t, "%x\r\n",
                    4u + 17u + 8u + name_len + 7u + len + RTPI_INSERT_LEN * lines + 2u);
    }
    // Not through rtpi_format: this is most of what a delivery costs.
    rtpi_hex(id + 4, srv->epoch);
    rtpi_hex(id + 13, seq);
    rtpi_put(t, id, sizeof id - 1);
    rtpi_put(t, topic->name, name_len);
    rtpi_put(t, "\ndata: ", 7);
}

// Emits what is left of a record, whose place e->skip, bytes and inserted say. `t` takes its prefix
// and must live as long as the spans; on overflow nothing is emitted and t->over is set. NULL where
// bytes are only counted.
static void rtpi_wire(const rtpush_server *srv, const rtpi_record *rec, rtpush_text *t,
                      rtpi_emit *e) {
    const uint8_t *payload = rtpi_payload(rec);
    const rtpush_topic *topic = &srv->desc.topics[rec->topic];
    const uint8_t *prefix = payload; // counted, not looked at
    uint32_t prefix_len;
    uint8_t form = e->form;
    if (form == RTPI_FORM_RAW) {
        uint32_t header = rec->len < 126 ? 2u : 4u;
        rtpi_emit_piece(e, payload - header, rec->len + header, RTPUSH_SPAN_HOLD);
        return;
    }
    if (t) {
        prefix = t->data + t->len;
        prefix_len = t->len;
        rtpi_put_prefix(srv, t, form, rec->seq, topic, rec->len, rec->lines);
        if (t->over) {
            return;
        }
        prefix_len = t->len - prefix_len;
    } else {
        prefix_len = rtpi_prefix_len(form, topic, rec->len);
    }
    if (!t || t != e->to) { // there it stands already
        rtpi_emit_piece(e, prefix, prefix_len, RTPUSH_SPAN_COPY);
    }
    if (form == RTPI_FORM_TAGGED) {
        rtpi_emit_piece(e, payload, rec->len, RTPUSH_SPAN_HOLD);
        return;
    }
    if (rec->lines == 0) {
        rtpi_emit_piece(e, payload, (uint32_t)rec->len + 2u, RTPUSH_SPAN_HOLD);
    } else {
        rtpi_emit_lines(e, payload, rec->len, 2);
    }
    if (form == RTPI_FORM_CHUNK) {
        rtpi_emit_piece(e, "\r\n", 2, RTPUSH_SPAN_STATIC);
    }
}

RTPI_APART static void rtpi_emit_from(rtpi_emit *e, uint32_t part) {
    e->skip = e->bytes = RTPI_PART_BYTES(part);
    e->inserted = RTPI_PART_INSERTED(part);
}

// The last id this reader may be given: all up to it was delivered, told as a gap, or is not for
// this reader. Inside a record it is that record's: the id is sent behind its end. An id beyond a
// gap that was not reported would hide it from a reader that resumes there (invariant 2).
static uint32_t rtpi_reader_id(const rtpi_stream *s) {
    RTPUSH_ASSERT(s->gap_from < s->seq && (s->part == 0 || s->gap_from == 0));
    return s->part > 0 ? s->seq : (s->gap_from ? s->gap_from : s->seq) - 1;
}

// A device tells each of its few pages the same. Of thousands each comes back at another time.
#ifdef RTPUSH_GATEWAY
#define RTPI_RETRY_MS(srv) \
    ((srv)->desc.retry_ms + rtpi_random(srv) % ((srv)->desc.retry_ms + 1u))
#else
#define RTPI_RETRY_MS(srv) ((srv)->desc.retry_ms)
#endif

// Notices look like events of a topic; no topic of the user's may have that name.
static const rtpush_topic rtpi_notice = {"rtpush", &rtpush_topic_event, 0, 0};

#ifdef RTPUSH_GATEWAY
// What stands before a notice or a value. A value is as new as the head: if its reader is not there
// yet, the third word of the id says so, and another server waits until it has come so far. (A poll
// has all records up to there in the same answer.)
static void rtpi_put_event_prefix(const rtpush_server *srv, rtpush_text *t, uint8_t form,
                                  uint32_t id, const rtpush_topic *topic, uint32_t len,
                                  uint32_t lines) {
    const uint32_t head = srv->seq_next - 1;
    if (!RTPI_OUTSIDE(srv) || topic == &rtpi_notice || form > RTPI_FORM_SSE || id >= head) {
        rtpi_put_prefix(srv, t, form, id, topic, len, lines);
        return;
    }
    if (form == RTPI_FORM_TAGGED) {
        rtpi_put_frame_header(t, 0x80u | rtpi_opcode(topic),
                              26u + 1u + (uint32_t)strlen(topic->name) + 1u + len);
    }
    rtpi_format(t, form == RTPI_FORM_TAGGED ? "%x-%x-%x %s\n"
                                            : "id: %x-%x-%x\nevent: %s\ndata: ",
                srv->epoch, id, head, topic->name);
}
#define RTPI_PUT_EVENT_PREFIX rtpi_put_event_prefix
#else
#define RTPI_PUT_EVENT_PREFIX rtpi_put_prefix
#endif

// Writes a notice or a STATE value for this reader into tx. 0: no room now.
static int rtpi_put_event(rtpush_server *srv, rtpush_conn *c, const rtpush_topic *topic,
                          const uint8_t *data, uint32_t len) {
    const rtpi_stream *s = &c->out.stream;
    rtpush_text *t = rtpi_tx_open(srv, c);
    int text = c->form > RTPI_FORM_TAGGED;
    rtpi_emit e;
    if (c->form == RTPI_FORM_RAW) {
        rtpi_put_frame_header(t, 0x80u | rtpi_opcode(topic), len);
    } else {
        if (c->form == RTPI_FORM_SSE && c->notice != RTPI_NOTICE_NONE) {
            rtpi_format(t, "retry: %d\n", RTPI_RETRY_MS(srv));
        }
        RTPI_PUT_EVENT_PREFIX(srv, t, c->form, rtpi_reader_id(s), topic, len,
                              text ? rtpi_count_lines(data, len) : 0);
    }
    if (text) {
        memset(&e, 0, sizeof e);
        e.to = t;
        rtpi_emit_lines(&e, data, len, 0);
        rtpi_put_text(t, c->form == RTPI_FORM_CHUNK ? "\n\n\r\n" : "\n\n");
    } else {
        rtpi_put(t, data, (size_t)len);
    }
    if (!rtpi_tx_commit(c, t)) {
        return 0;
    }
    c->todo &= (uint8_t)~RTPI_TODO_ID;
    return 1;
}

// >>reader ----------------------------------------------------------------------------------------
// A reader: a cursor in the log, a sweep over the STATE values, and one notice that has to be told
// first.
//
//   Order of output: rest of the record in progress | tx (notice, values, control) | records.
//
// A gap begins at gap_from and ends before the cursor. While it is not told the cursor moves only
// by losing more, and no id from gap_from on is given (rtpi_reader_id). So each number from where
// the reader began up to its cursor is exactly one of: delivered, not for this reader, in a gap.
// How much is missed is a distance in numbers, and so is what is replayed.
//
// The work of a call is bounded: it passes at most RTPI_PASSES records that are not for this
// reader. If there is none for it up to the limit, the cursor goes there at once.

#ifndef RTPI_PASSES
#define RTPI_PASSES 64u
#endif

static void rtpi_reader_lose(rtpi_stream *s, uint32_t to) { // all numbers from the cursor to `to`
    if (s->seq != to && s->gap_from == 0) {
        s->gap_from = s->seq;
    }
    s->seq = to;
}

// Moves the cursor to `to`: what is between was lost, but where ids come from outside.
static inline void rtpi_reader_pass(const rtpush_server *srv, rtpi_stream *s, uint32_t to) {
    (void)srv;
    if (RTPI_OUTSIDE(srv)) {
        s->seq = to;
    } else {
        rtpi_reader_lose(s, to);
    }
}

// May there be an event for this reader from its cursor to the limit, or one that was given up?
static int rtpi_reader_expects(const rtpush_server *srv, const rtpi_stream *s) {
    uint32_t topics = s->topics & rtpi_all_topics(srv) & ~srv->state_topics;
    int expects = s->seq < srv->limit_lost;
    unsigned i;
    for (i = 0; topics != 0 && !expects; i++, topics >>= 1) {
        expects = (topics & 1u) && srv->state[i].rev >= s->seq;
    }
    return expects;
}

#ifdef RTPUSH_GATEWAY
// Is the reader where events of this server are? Else a gap is told first.
static int rtpi_reader_here(const rtpush_server *srv, rtpi_stream *s) {
    if (s->seq < srv->numbers.base_seq) {
        rtpi_reader_lose(s, srv->numbers.base_seq);
    }
    return s->gap_from == 0;
}

// How many events the gap before the cursor has: those of a loss that the log knows, and what was
// evicted, of which the distance is an upper bound.
static uint32_t rtpi_missed(const rtpush_server *srv, const rtpi_stream *s) {
    const uint32_t base = srv->numbers.base_seq;
    uint32_t missed = 0;
    uint32_t lost;
    if (!RTPI_OUTSIDE(srv)) {
        return s->seq - s->gap_from;
    }
    if (s->gap_from < base) {
        missed = (base < s->seq ? base : s->seq) - s->gap_from;
    }
    if (s->seq > base) { // so it ends with a record of a loss
        memcpy(&lost, rtpi_payload(rtpi_record_at(srv, rtpi_seek_to(srv, s->seq - 1))),
               sizeof lost);
        missed += lost;
    }
    return missed;
}
#define RTPI_READER_HERE(srv, s) (!RTPI_OUTSIDE(srv) || rtpi_reader_here(srv, s))
#define RTPI_MISSED(srv, s) rtpi_missed(srv, s)
#else
#define RTPI_READER_HERE(srv, s) 1
#define RTPI_MISSED(srv, s) ((s)->seq - (s)->gap_from)
#endif

// The next record for this reader, or NULL; moves the cursor past what does not concern it and what
// is gone, which must be told before the record. Offsets are believed only where the sequence
// number agrees. With NULL and the cursor before the limit there is more to look at.
static const rtpi_record *rtpi_reader_next(rtpush_server *srv, rtpi_stream *s) {
    int first = 1;
    if (s->part > 0) {
        return rtpi_record_at(srv, s->off); // begun: whatever its topic, it is next
    }
    while (s->seq < srv->limit_seq) {
        const rtpi_record *rec;
        if (!RTPI_READER_HERE(srv, s)) {
            return NULL;
        }
        if (s->seq <= srv->tail_seq) {
            if (srv->tail_seq >= srv->limit_seq) { // what is left is not complete yet
                rtpi_reader_pass(srv, s, srv->limit_seq);
                break;
            }
            rtpi_reader_pass(srv, s, srv->tail_seq);
            s->off = srv->tail;
        }
        if (s->seq >= srv->limit_rec) { // up to the limit all were given up
            rtpi_reader_pass(srv, s, srv->limit_seq);
            break;
        }
        if (s->off == srv->limit_wrap) {
            s->off = 0;
        }
        rec = rtpi_record_at(srv, s->off);
        RTPUSH_ASSERT(rec->size4 > 0 && rec->seq >= s->seq);
        if (RTPI_OUTSIDE(srv) && (rec->flags & RTPI_REC_LOST)) {
            rtpi_reader_lose(s, rec->seq + 1);
            s->off += (uint32_t)rec->size4 * 4u;
            return NULL;
        }
        rtpi_reader_pass(srv, s, rec->seq);
        if ((s->topics >> rec->topic & 1u) && !(rec->flags & RTPI_REC_VOID)) {
            return rec;
        }
        if (s->gap_from != 0) {
            return NULL; // the gap is told first
        }
        if (first && !rtpi_reader_expects(srv, s)) {
            s->seq = srv->limit_seq;
            break;
        }
        first = 0;
        if (srv->passes == 0) {
            return NULL;
        }
        srv->passes--;
        s->seq++;
        s->off += (uint32_t)rec->size4 * 4u;
    }
    s->off = srv->limit_off;
    return NULL;
}

// The same for a connection. An id that moves past what does not concern the reader is given with
// the next keep-alive, if with nothing before.
static const rtpi_record *rtpi_next_record(rtpush_server *srv, rtpush_conn *c) {
    uint32_t seq = c->out.stream.seq;
    const rtpi_record *rec = rtpi_reader_next(srv, &c->out.stream);
    c->todo |= (uint8_t)(c->out.stream.seq != seq ? RTPI_TODO_ID : 0);
    return rec;
}

static void rtpi_reader_advance(rtpi_stream *s, const rtpi_record *rec) {
    RTPUSH_ASSERT(s->gap_from == 0 && s->seq == rec->seq);
    s->seq = rec->seq + 1;
    s->off += (uint32_t)rec->size4 * 4u;
    s->part = 0;
}

// A raw WebSocket has no keep-alive of its own: its `due` is then no deadline of anything.
static uint32_t rtpi_keepalive_ms(const rtpush_server *srv, uint8_t form) {
    return form == RTPI_FORM_RAW ? srv->desc.ping_ms : srv->desc.keepalive_ms;
}

// Words of an id: epoch, number, and after a poll the revision of the values. Where ids come from
// outside, a poll's fourth says on which server (desc.seed), and three are those of a value: it may
// be as new as the number that is the third.
#ifdef RTPUSH_GATEWAY
#define RTPI_ID_WORDS 4u
#else
#define RTPI_ID_WORDS 3u
#endif
#define RTPI_ID_SIZE (9u * RTPI_ID_WORDS) // bytes of the longest with its NUL

// Parses words of 8 digits, with "-" between. Returns how many, 0 if it is no id. What is absent is
// unchanged.
static unsigned rtpi_get_id(const char *text, uint32_t words[RTPI_ID_WORDS]) {
    unsigned n = 0;
    do {
        if (n == RTPI_ID_WORDS || !rtpi_get_hex(text, 8, &words[n++])) {
            return 0;
        }
        text += 9;
    } while (text[-1] == '-');
    return n > 1 && text[-1] == '\0' ? n : 0;
}

#ifdef RTPUSH_GATEWAY
// Where ids come from outside a client may have been further at another server, or in an epoch that
// has not begun here. Then it waits (RTPI_NOTICE_WAITS): nothing but keep-alives without an id, so
// nothing goes back. It ends when the log has come there, or by rtpush_source_end.

// Does this reader still wait? If not any more, it is placed.
static int rtpi_waits(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    const rtpi_wait *w = &c->out.wait;
    if (c->notice != RTPI_NOTICE_WAITS) {
        return 0;
    }
    if (w->epoch != srv->epoch || w->seq > srv->limit_seq || w->floor >= srv->limit_seq) {
        return 1;
    }
    c->notice = RTPI_NOTICE_REPLAYED;
    s->gap_from = 0;
    s->end.replay = 0;
    s->off = rtpi_seek_to(srv, s->seq);
    return 0;
}

// A new reader at the limit resumes from an id. If that is of no server, it stays there: reset.
static void rtpi_wait_begin(rtpush_server *srv, rtpush_conn *c, const char *text) {
    rtpi_wait *w = &c->out.wait;
    uint32_t id[RTPI_ID_WORDS] = {0, 0, 0, 0};
    unsigned words = rtpi_get_id(text, id);
    uint32_t third = words == 3 ? id[2] : 0;
    if (words == 0 || (id[0] == 0 && srv->epoch != 0) || id[1] > RTPUSH_SEQ_MAX ||
        third > RTPUSH_SEQ_MAX) {
        return;
    }
    srv->serial = srv->serial + 1 ? srv->serial + 1 : 1;
    srv->waiting = 1;
    c->notice = RTPI_NOTICE_WAITS;
    w->since = srv->serial;
    w->epoch = id[0];
    w->seq = id[1] + 1;
    w->floor = third;
    w->sweep_prev = id[3] == srv->desc.seed && id[2] <= srv->limit_rev ? id[2] : 0;
    if (!rtpi_waits(srv, c)) {
        c->out.stream.end.replay = srv->limit_seq;
    }
}
#define RTPI_WAITS(srv, c) (RTPI_OUTSIDE(srv) && rtpi_waits(srv, c))
#define RTPI_WAIT_BEGIN(srv, c, text) rtpi_wait_begin(srv, c, text)
#else
#define RTPI_WAITS(srv, c) 0
#define RTPI_WAIT_BEGIN(srv, c, text) (void)0
#endif

// Sets the position of a new reader. `text` is what it resumes from: an id, "first", or NULL. Any
// other text, and an id that was never given, is a reset: its earlier position is not known.
static void rtpi_reader_start(rtpush_server *srv, rtpush_conn *c, const char *text) {
    rtpi_stream *s = &c->out.stream;
    int first = text && strcmp(text, "first") == 0;
    uint32_t id[RTPI_ID_WORDS] = {0, 0, 0};
    s->seq = s->end.replay = srv->limit_seq;
    s->off = srv->limit_off;
    c->notice = RTPI_NOTICE_FRESH;
    if (text && !first) {
        c->notice = RTPI_NOTICE_RESET;
        if (RTPI_OUTSIDE(srv)) {
            RTPI_WAIT_BEGIN(srv, c, text);
        } else if (rtpi_get_id(text, id) && id[0] == srv->epoch && id[1] < srv->limit_seq &&
            id[2] <= srv->limit_rev) {
            c->notice = RTPI_NOTICE_REPLAYED;
            s->sweep_prev = id[2];
            s->seq = id[1] + 1;
            s->off = rtpi_seek_to(srv, s->seq);
        }
    } else if (first || (rtpi_route(srv, c)->flags & RTPUSH_FROM_FIRST)) {
        c->notice = RTPI_NOTICE_REPLAYED;
        if (srv->tail_seq < s->seq) {
            s->seq = srv->tail_seq;
        }
    }
}

// What this reader has does not count any more: it goes on from number `seq`, at `off`.
static inline void rtpi_reader_reset(rtpush_server *srv, rtpush_conn *c, uint32_t seq,
                                     uint32_t off) {
    rtpi_stream *s = &c->out.stream;
    s->seq = seq;
    s->off = off;
    s->gap_from = 0;
    s->sweep_prev = 0;
    c->sweep_i = 0;
    c->notice = RTPI_NOTICE_RESET;
    rtpi_ready(srv, c);
}

// Does event `seq` belong to what this reader gets? Of a poll's answer those that were there when
// it began.
static int rtpi_reader_gets(const rtpush_conn *c, uint32_t seq) {
    return c->form <= RTPI_FORM_SSE || seq < c->in.http.at.poll_end;
}

static int rtpi_reader_blocked(const rtpush_conn *c) { // may no data frame begin now?
    return rtpi_has(c, RTPI_F_BLOCKED);
}

// Is there anything new for this reader? A stream's first notice is told when it begins, a poll's
// only if something was missed.
static int rtpi_stream_changed(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    if (RTPI_WAITS(srv, c)) {
        return 0;
    }
    if (rtpi_next_record(srv, c) != NULL || s->gap_from != 0) {
        return 1;
    }
    if (s->seq < srv->limit_seq) {
        srv->sweep_due = 1; // others first; then it continues from there
    }
    return c->notice > (rtpi_is_open(c) ? RTPI_NOTICE_NONE : RTPI_NOTICE_REPLAYED) ||
           rtpi_state_newer(srv, s);
}

// Has it nothing to send but what is queued in tx, and records? A few compares say so, of most
// readers most of the time. `but`: RTPI_F_ of those that the caller does not want either; with
// RTPI_F_RETRY none that is to be called or served when bytes went out (rtpi_progress_due).
static inline int rtpi_reader_quiet(const rtpush_server *srv, const rtpush_conn *c, unsigned but) {
    const rtpi_stream *s = &c->out.stream;
    unsigned owed = but & RTPI_F_RETRY ? RTPI_TODO_PONG | RTPI_TODO_WRITABLE : 0;
    unsigned flags = c->flags & (but | RTPI_F_CLOSE_DUE);
    unsigned todo = c->todo & (RTPI_TODO_NOW | RTPI_TODO_ALIVE | owed);
    return (s->part | s->gap_from | flags | todo | c->notice | c->sweep_i) == 0 &&
           (s->sweep_prev >= srv->limit_rev || (s->topics & srv->state_topics) == 0);
}

// Is what is queued in tx all that this stream has to send? Then it has seen all records.
RTPI_APART static int rtpi_only_tx(const rtpush_server *srv, const rtpush_conn *c) {
    return c->out.stream.seq >= srv->limit_seq && rtpi_reader_quiet(srv, c, 0);
}

// Are whole records all it has to send?
static inline int rtpi_only_records(const rtpush_server *srv, const rtpush_conn *c, unsigned but) {
    return rtpi_tx_queued(c) == 0 && rtpi_reader_quiet(srv, c, but | RTPI_F_BLOCKED);
}

// Puts the notice that is due into tx. 0: no room now, or on_gap changed what may follow. Its id is
// after the gap that it reports. A gap after a reset is reported separately. on_gap reports gaps to
// the application, for raw WebSockets it is the only report.
RTPI_CHECKED static int rtpi_put_notice(rtpush_server *srv, rtpush_conn *c) {
    const rtpush_route *route = rtpi_route(srv, c);
    rtpi_stream *s = &c->out.stream;
    uint8_t buffer[28]; // "replayed " 9 + 10, " 8000" 5
    rtpush_text text = {buffer, sizeof buffer, 0, 0};
    const uint32_t from = s->gap_from;
    uint32_t missed = 0;
    uint32_t replayed = s->end.replay > s->seq ? s->end.replay - s->seq : 0;
    unsigned word = c->notice;
    const uint32_t before = rtpi_stands(c);
    if (from > 0 && word != RTPI_NOTICE_RESET) {
        missed = RTPI_MISSED(srv, s);
        word = RTPI_NOTICE_NONE; // of a poll that missed something no other is needed
        s->gap_from = 0;
    }
    rtpi_format(&text, "%s%? %d%; %d", rtpi_strlist_at("gap\0replayed\0fresh\0reset", word),
                word <= RTPI_NOTICE_REPLAYED, missed > 0 ? missed : replayed,
                (srv->desc.keepalive_ms + 999u) / 1000u);
    if (c->form != RTPI_FORM_RAW &&
        !rtpi_put_event(srv, c, &rtpi_notice, buffer, text.len)) {
        s->gap_from = from;
        return 0;
    }
    c->notice = RTPI_NOTICE_NONE;
    if (missed > 0) {
        srv->count.gaps++;
        srv->count.missed += missed;
        if (route->on_gap) {
            route->on_gap(srv, rtpi_handle(srv, c), missed);
        }
    }
    return rtpi_stands(c) == before;
}

// Writes one STATE value into tx if it is newer than the last sweep. 0: no room now. Under the lock
// its bytes are only copied, to the end of tx; from there they are written where they belong. What
// is written never comes to a byte that is still to be read, if all of it fits.
static int rtpi_put_value(rtpush_server *srv, rtpush_conn *c, unsigned topic) {
    const rtpi_value *v = rtpi_value_at(srv, topic);
    const rtpush_text *t = rtpi_tx_open(srv, c);
    uint8_t *copy = t->data + t->cap;
    uint32_t len;
    int newer;
    int fits;
    rtpi_lock(srv);
    newer = v->rev > c->out.stream.sweep_prev;
    len = v->len;
    fits = newer && len <= t->cap - t->len;
    if (fits && len > 0) {
        copy -= len;
        memcpy(copy, rtpi_value_data(srv, v), (size_t)len);
    }
    rtpi_unlock(srv);
    if (!fits || !rtpi_put_event(srv, c, &srv->desc.topics[topic], copy, len)) {
        return !newer;
    }
    srv->count.states_sent++;
    c->todo |= RTPI_TODO_RECORD;
    return 1;
}

// Copies values newer than the last sweep into tx while they fit. If records wait too, values and
// records alternate, one each, so that neither delays the other for long.
static void rtpi_put_values(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    const rtpi_record *rec;
    int record;
    if (c->todo & RTPI_TODO_SWEPT) {
        return; // one sweep an answer
    }
    rec = rtpi_next_record(srv, c);
    record = rec && rtpi_reader_gets(c, rec->seq);
    while (c->sweep_i > 0 || rtpi_state_newer(srv, s)) {
        if (c->sweep_i == 0) {
            s->end.sweep = srv->limit_rev;
        }
        for (; c->sweep_i < srv->desc.topic_count; c->sweep_i++) {
            if (!((s->topics & srv->state_topics) >> c->sweep_i & 1u)) {
                continue;
            }
            if ((record && (c->todo & RTPI_TODO_RECORD)) || !rtpi_put_value(srv, c, c->sweep_i)) {
                return;
            }
        }
        s->sweep_prev = s->end.sweep;
        c->sweep_i = 0;
    }
    if (rtpi_has(c, RTPI_F_ANSWER)) {
        c->todo |= RTPI_TODO_SWEPT;
        if (RTPI_OUTSIDE(srv)) { // the values may be as new as the head
            c->in.http.at.poll_end = srv->seq_next;
        }
    }
}

const rtpush_topic_kind rtpush_topic_state = {RTPI_TOPIC_VALUE, rtpi_state_set, rtpi_put_values};

// A keep-alive that a script sees, unlike a comment or a ping: in an event stream 19 bytes and,
// with an id, 21 more (WHATWG HTML 9.2.6: a data field without a value is data), over rtpush.1 a
// message of 2 bytes or 19. It also prevents timeouts of proxies, and updates the id if no event
// was for this reader.
static void rtpi_put_keepalive(rtpush_server *srv, rtpush_conn *c) {
    rtpush_text *t = rtpi_tx_open(srv, c);
    int moved = (c->todo & RTPI_TODO_ID) != 0;
    int sse = c->form == RTPI_FORM_SSE;
    if (!sse) {
        rtpi_put_frame_header(t, 0x80u + RTPUSH_TEXT_MESSAGE, moved ? 17u : 0);
    }
    rtpi_format(t, sse ? "event:rtpush\ndata\n%?id:%x-%x\n%;\n" : "%?%x-%x%;", moved, srv->epoch,
                RTPI_OUTSIDE(srv) && !moved ? 0 : rtpi_reader_id(&c->out.stream));
    if (rtpi_tx_commit(c, t)) {
        c->todo &= (uint8_t)~(RTPI_TODO_ALIVE | RTPI_TODO_ID);
    }
}

// Fills tx with what goes before the next record.
static int rtpi_stream_fill(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    if (rtpi_reader_blocked(c)) {
        return 1;
    }
    if (RTPI_WAITS(srv, c)) {
        if (c->todo & RTPI_TODO_ALIVE) {
            rtpi_put_keepalive(srv, c);
        }
        return 1;
    }
    (void)rtpi_next_record(srv, c); // computes the number of missed events
    while (c->notice != RTPI_NOTICE_NONE || s->gap_from != 0) { // so s->part is 0
        if (!rtpi_put_notice(srv, c)) {
            return 1;
        }
    }
    if (c->todo & RTPI_TODO_ALIVE) {
        rtpi_put_keepalive(srv, c);
    }
    if (srv->sweep) {
        srv->sweep(srv, c);
    }
    return 1;
}

// >>plan ------------------------------------------------------------------------------------------
// rtpush_output makes spans and remembers in the server what they stand for, the plan; rtpush_sent,
// which must follow, moves the connection by as much as the transport took. All of it is the common
// case and costs a few assignments; of part of it the lengths of records say where the reader is.
//
// Order: the rest of the record in progress, tx, records. What goes before records (control frames,
// notice, keep-alive, values) is put into tx when rtpush_output is asked; mostly that is nothing.
// The cursor itself keeps what was decided: rtpush_next moves it to the record that is next, where
// rtpush_output finds it at once.

static void rtpi_emit_tx(rtpush_server *srv, rtpush_conn *c, rtpi_emit *e) {
    uint32_t before = e->given;
    rtpi_emit_bytes(e, rtpi_tx(srv, c) + c->tx_head, rtpi_tx_queued(c), RTPUSH_SPAN_COPY);
    srv->plan.tx = (uint16_t)(e->given - before);
}

// Emits the record at the cursor from byte `part` on and moves the cursor past it, or `part` to
// where the spans end. 0: no more spans, or no room for a prefix.
static int rtpi_emit_record(rtpush_server *srv, rtpi_stream *at, const rtpi_record *rec,
                            rtpush_text *scratch, rtpi_emit *e) {
    rtpi_plan *plan = &srv->plan;
    if (e->count >= e->max) {
        return 0;
    }
    rtpi_emit_from(e, at->part);
    e->full = 0;
    rtpi_wire(srv, rec, scratch, e);
    if (scratch->over) {
        scratch->over = 0;
        return 0;
    }
    plan->first = plan->first ? plan->first : rec->seq;
    if (e->full) {
        at->part = RTPI_PART(e->bytes, e->inserted);
    } else {
        rtpi_reader_advance(at, rec);
        plan->records++;
    }
    plan->seq = at->seq;
    plan->off = at->off;
    plan->part = at->part;
    return !e->full;
}

static void rtpi_output_stream(rtpush_server *srv, rtpush_conn *c, rtpi_emit *e) {
    rtpi_stream at = c->out.stream;
    const rtpi_record *rec;
    rtpush_text first = {srv->now.prefix, sizeof srv->now.prefix, 0, 0}; // tx may be full
    rtpush_text tx = {NULL, srv->desc.tx_size, c->tx_len, 0};    // the prefixes of the others
    int open = 1;
    e->form = c->form;
    if (at.part > 0) {
        open = rtpi_emit_record(srv, &at, rtpi_record_at(srv, at.off), &first, e);
    }
    if (open) {
        rtpi_emit_tx(srv, c, e);
        open = !rtpi_reader_blocked(c) && rtpi_is_stream(c) && c->notice == RTPI_NOTICE_NONE &&
               !e->full;
    }
    tx.data = rtpi_tx(srv, c);
    while (open && (rec = rtpi_reader_next(srv, &at)) != NULL) {
        if (at.gap_from != 0 || !rtpi_reader_gets(c, rec->seq)) {
            break; // the gap is told first
        }
        open = rtpi_emit_record(srv, &at, rec, first.len == 0 ? &first : &tx, e);
    }
}

// Shared plans. Readers with the same cursor, topics and form that have nothing but records to send
// get the same bytes. So the bytes for the first of them are written into memory of the port, whole
// records only, and the others are offered the same span. Streams that end with the records there
// are (polls) have their own plans. A plan is void when the log changed (records came or were
// evicted), or another plan was written over it.
//
// With hooks.write the core hands such a plan to the transport itself, and what is alone in tx:
// rtpi_push in >>serve. That is all of rtpush_next, _output and _sent for most readers, and costs
// little more than the write.

// Of whole 64-bit words. Behind the last is the first.
static rtpi_shared *rtpi_shared_after(const rtpush_server *srv, rtpi_shared *shared) {
    uint8_t *first = (uint8_t *)srv->hooks.plan_memory;
    uint8_t *next = (uint8_t *)shared + srv->hooks.plan_size;
    return (rtpi_shared *)(void *)(next < first + RTPUSH_PLANS * srv->hooks.plan_size ? next
                                                                                     : first);
}

#ifdef RTPI_ASSERTS
// Invariant 24: has the shared plan the bytes that a plan of this reader's own would have?
static int rtpi_shared_right(rtpush_server *srv, const rtpush_conn *c, const rtpi_shared *shared) {
    const uint8_t *bytes = (const uint8_t *)(shared + 1);
    rtpi_stream at = c->out.stream;
    uint32_t left = shared->plan.total;
    srv->passes = RTPI_PASSES;
    while (left > 0) {
        uint8_t memory[RTPI_PREFIX_MAX];
        rtpush_text prefix = {memory, sizeof memory, 0, 0};
        const rtpi_record *rec = rtpi_reader_next(srv, &at);
        rtpush_span span;
        rtpi_emit e;
        if (!rec || at.gap_from != 0) {
            return 0;
        }
        memset(&e, 0, sizeof e);
        e.spans = &span;
        e.max = 1;
        e.most = RTPI_SPAN_MAX;
        e.form = c->form;
        rtpi_emit_from(&e, at.part);
        rtpi_wire(srv, rec, &prefix, &e);
        if (e.count == 0 || span.len > left || memcmp(span.data, bytes, span.len) != 0) {
            return 0;
        }
        bytes += span.len;
        left -= span.len;
        at.part = RTPI_PART(e.bytes, e.inserted);
        if (!e.full) {
            rtpi_reader_advance(&at, rec);
        }
    }
    return rtpi_only_records(srv, c, 0) && at.part == 0 && at.seq == shared->plan.seq &&
           at.off == shared->plan.off;
}
#endif

// Writes the plan for a reader's place: as many records as fit.
RTPI_OWN_FRAME static void rtpi_shared_write(rtpush_server *srv, const rtpush_conn *c,
                                             rtpi_shared *shared) {
    rtpi_stream at = c->out.stream;
    rtpush_text t = {NULL, srv->hooks.plan_size - (uint32_t)sizeof *shared, 0, 0};
    const rtpi_record *rec;
    rtpi_emit e;
    memset(&e, 0, sizeof e);
    memset(&srv->plan, 0, sizeof srv->plan);
    shared->log_changes = srv->log_changes;
    shared->seq = at.seq;
    shared->topics = at.topics;
    shared->form = e.form = c->form;
    t.data = (uint8_t *)(shared + 1);
    t.cap = t.cap < RTPI_SPAN_MAX ? t.cap : RTPI_SPAN_MAX;
    e.to = &t;
    e.max = 1;
    srv->passes = RTPI_PASSES;
    do {
        srv->plan.total = t.len;
        rec = rtpi_reader_next(srv, &at);
    } while (rec && at.gap_from == 0 && rtpi_emit_record(srv, &at, rec, &t, &e));
    shared->plan = srv->plan;
}

static inline int rtpi_shared_is(const rtpush_server *srv, const rtpush_conn *c,
                                 const rtpi_shared *shared) {
    const rtpi_stream *s = &c->out.stream;
    return shared->seq == s->seq && shared->log_changes == srv->log_changes &&
           shared->form == c->form && shared->topics == s->topics;
}

// The plan of this position is not the one used last: finds it, or writes it over a plan that is
// not the one used last. 0: there is none for it.
RTPI_OWN_FRAME static int rtpi_shared_find(rtpush_server *srv, const rtpush_conn *c) {
    rtpi_shared *shared = srv->shared;
    unsigned i;
    if (!rtpi_is_open(c) || srv->count.streams < 2 || c->out.stream.seq < srv->tail_seq) {
        return 0;
    }
    for (i = 1; i < RTPUSH_PLANS; i++) {
        shared = rtpi_shared_after(srv, shared);
        if (rtpi_shared_is(srv, c, shared)) {
            srv->shared = shared;
            return 1;
        }
    }
    srv->shared = rtpi_shared_after(srv, srv->shared);
    rtpi_shared_write(srv, c, srv->shared);
    return 1;
}

// The plan of this reader's position, if it has only records to send and these stand in one.
static inline const rtpi_shared *rtpi_shared_at(rtpush_server *srv, const rtpush_conn *c,
                                                unsigned but) {
    if (!rtpi_only_records(srv, c, but) ||
        (!rtpi_shared_is(srv, c, srv->shared) && !rtpi_shared_find(srv, c))) {
        return NULL;
    }
    RTPUSH_ASSERT(srv->shared->plan.total == 0 || rtpi_shared_right(srv, c, srv->shared));
    return srv->shared->plan.total > 0 ? srv->shared : NULL;
}

// The shared plan of this reader's position.
static int rtpi_shared_output(rtpush_server *srv, rtpush_conn *c, rtpush_span *span) {
    const rtpi_shared *shared = rtpi_shared_at(srv, c, 0);
    if (!shared) {
        return 0;
    }
    srv->plan = shared->plan;
    span->data = (const uint8_t *)(shared + 1);
    span->len = (uint16_t)shared->plan.total;
    span->kind = RTPUSH_SPAN_COPY;
    return 1;
}

// Has this stream anything to send, or records to examine?
static inline int rtpi_stream_work(rtpush_server *srv, rtpush_conn *c) {
    const rtpi_stream *s = &c->out.stream;
    if (rtpi_tx_queued(c) > 0) {
        return 1;
    }
    if (rtpi_only_tx(srv, c)) {
        return 0;
    }
    srv->passes = RTPI_PASSES;
    return s->part > 0 || (c->todo & RTPI_TODO_NOW) || rtpi_has(c, RTPI_F_CLOSE_DUE) ||
           (!rtpi_reader_blocked(c) && ((c->todo & RTPI_TODO_ALIVE) ||
                                        rtpi_stream_changed(srv, c) ||
                                        (s->seq < srv->limit_seq &&
                                         !RTPI_WAITS(srv, c))));
}

// Counts what is left of the record at a reader's cursor, up to `most` bytes: e->full if there is
// more.
static void rtpi_count_rest(const rtpush_server *srv, const rtpush_conn *c, const rtpi_record *rec,
                            uint32_t most, rtpi_emit *e) {
    memset(e, 0, sizeof *e);
    e->form = c->form;
    e->max = 1;
    e->most = most;
    rtpi_emit_from(e, c->out.stream.part);
    rtpi_wire(srv, rec, NULL, e);
}

// Moves a reader past the record at its cursor, or by n bytes of it. Returns how many of the n
// remain.
static uint32_t rtpi_move_record(rtpush_server *srv, rtpush_conn *c, const rtpi_record *rec,
                                 uint32_t n) {
    rtpi_stream *s = &c->out.stream;
    rtpi_emit e;
    rtpi_count_rest(srv, c, rec, n, &e);
    if (e.full) {
        s->part = RTPI_PART(e.bytes, e.inserted);
    } else {
        rtpi_reader_advance(s, rec);
        srv->count.delivered++;
    }
    return n - e.given;
}

// Moves a connection by n bytes, fewer than the plan has.
static void rtpi_move_part(rtpush_server *srv, rtpush_conn *c, uint32_t n) {
    rtpi_stream *s = &c->out.stream;
    uint32_t tx;
    if (s->part > 0) {
        n = rtpi_move_record(srv, c, rtpi_record_at(srv, s->off), n);
    }
    tx = n < srv->plan.tx ? n : srv->plan.tx;
    c->tx_head = (uint16_t)(c->tx_head + tx);
    n -= tx;
    srv->passes = RTPI_PASSES; // at least as many as the plan had
    while (n > 0) {
        n = rtpi_move_record(srv, c, rtpi_reader_next(srv, s), n);
    }
}

static void rtpi_move_all(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    const rtpi_plan *plan = &srv->plan;
    c->tx_head = (uint16_t)(c->tx_head + plan->tx);
    srv->count.delivered += plan->records;
    s->seq = plan->seq;
    s->off = plan->off;
    s->part = plan->part;
}

// A reader stopped in the middle of a record: if the rest fits, it moves into tx, before what is
// there, and the log may forget the record. With line ends, whose places are not known, it must fit
// at most: so what is left is looked through once at the most.
static void rtpi_keep_rest(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    const rtpi_record *rec = rtpi_record_at(srv, s->off);
    uint32_t room = srv->desc.tx_size - rtpi_tx_queued(c);
    uint32_t most = (uint32_t)rec->len + RTPI_PREFIX_MAX + 4u - RTPI_PART_BYTES(s->part);
    rtpush_text prefix = {srv->now.prefix, sizeof srv->now.prefix, 0, 0};
    rtpush_text *t;
    rtpi_emit e;
    uint32_t rest;
    if (rec->lines > 0 && most + RTPI_INSERT_LEN * (rec->lines < most ? rec->lines : most) > room) {
        return;
    }
    rtpi_count_rest(srv, c, rec, room, &e);
    if (e.full) {
        return;
    }
    rest = e.given;
    t = rtpi_tx_open(srv, c);
    memmove(t->data + rest, t->data, (size_t)t->len);
    c->tx_len = (uint16_t)(c->tx_len + rest);
    t->len = 0;
    e.to = t;
    rtpi_emit_from(&e, s->part);
    rtpi_wire(srv, rec, &prefix, &e);
    rtpi_reader_advance(s, rec);
    srv->count.delivered++;
}

// After n bytes of a plan with records went out: where the reader stands, and which of them the
// transport may refer to.
static void rtpi_sent_stream(rtpush_server *srv, rtpush_conn *c, uint32_t n) {
    rtpi_stream *s = &c->out.stream;
    uint32_t before = s->part > 0 ? 0 : srv->plan.tx; // bytes of no record
    if (n == srv->plan.total) {
        rtpi_move_all(srv, c);
    } else {
        rtpi_move_part(srv, c, n);
    }
    if (n > before) {
        c->todo &= (uint8_t)~(RTPI_TODO_RECORD | RTPI_TODO_ID);
        if (c->mark_seq == 0 && !(srv->hooks.flags & RTPUSH_COPIES) && !rtpi_filtered(c)) {
            c->hold_seq = srv->plan.first;
            c->mark_seq = s->seq;
            c->mark.left = c->unacked;
        }
        rtpi_hold_from(srv, srv->plan.first);
    }
    if (s->part > 0) {
        rtpi_keep_rest(srv, c);
    }
}

// Does a stream wait for room or for an acknowledgement?
static int rtpi_progress_due(const rtpush_conn *c) {
    return rtpi_has(c, RTPI_F_RETRY) || (c->todo & (RTPI_TODO_PONG | RTPI_TODO_WRITABLE));
}

// >>head ------------------------------------------------------------------------------------------
// A request's head is read by runs: bytes that belong together are found and copied at once, and
// one byte ends them (blank, colon, CR, a list's separator). What the end of the input cuts goes on
// with the next: the result does not depend on the cut. Method, version and field names stand in tx
// until they are whole; it is empty until there is an answer. What somebody asks for is kept in
// an arena, the rx bytes: path NUL query NUL, then for each kept value its tag and text. Values
// that are judged at once, or are of no known field, use its free end.
//
//   METHOD -> TARGET -> PROTOCOL -> LF   (before it an empty line may stand, RFC 9112 2.2)
//   NAME   at line start: CR ends the head, LF -> REQUEST; else a field's name -> VALUE
//   VALUE  read whole, or a list element by element; CR -> LF -> NAME
//
// A chunked body (RFC 9112 7.1) goes on with the same steps, a byte at a time but for the data:
//
//   SIZE   hexadecimal digits, at most 8; ';' -> EXTENSION; CR -> LF -> DATA, of 0 TRAILER
//   EXTENSION  at most 64 bytes, skipped; CR as above
//   DATA       the data of the chunk, CR -> LF -> SIZE
//   TRAILER    at line start: CR -> LF -> DONE, else TRAILER_NAME -> TRAILER_VALUE -> LF
//              -> TRAILER; at most 1 KiB together, discarded
//
// Deliberately strict: what two parsers could read differently (bare LF, space before a colon,
// folded lines, two lengths, a length beside Transfer-Encoding, a second coding) is refused, so
// nothing can be smuggled past a proxy in front of us (RFC 9112 11.2). Every refusal in the head or
// in the body closes the connection.
// Broken framing, another major version and a head over 16 KiB are refused at once. Other refusals
// wait in rtpi_http.refusal for the end of the head: then Origin is known, and a page of
// desc.origins can read the status (WHATWG Fetch 3.2.3) instead of "network error".

// Fields of a request that this library reads: what they are called, and how their values are read.
//   VALUE LIST PAIRS  whole, or an element of a list, or a pair, at a time: classes of bytes
//   LOWER     case means nothing there: it is put in lower case
//   SINGLE    RFC 9110 5.3: what is no list must not come twice. Of those that a route names the
//             last line counts: a proxy adds one to what it was given
//   OPTIONAL  one that does not fit rx_size is as if it were not there: elements nobody knows may
//             be of any length. Of the others each that does not fit is refused, or whoever fills
//             the arena, by a long query say, could hide what speaks against the request
// The first are those of rtpush_request, in its order (RTPI_HOLDS at rtpi_request).
#define RTPI_FIELDS(X) \
    X(HOST, "host", RTPI_C_VALUE | RTPI_LOWER | RTPI_SINGLE) \
    X(ORIGIN, "origin", RTPI_C_VALUE | RTPI_LOWER | RTPI_SINGLE) \
    X(COOKIE, "cookie", RTPI_C_PAIRS) \
    X(AUTHORIZATION, "authorization", RTPI_C_VALUE | RTPI_SINGLE) \
    X(CONTENT_TYPE, "content-type", RTPI_C_VALUE | RTPI_SINGLE) \
    X(KEY, "sec-websocket-key", RTPI_C_VALUE | RTPI_SINGLE) \
    X(LAST_EVENT_ID, "last-event-id", RTPI_C_VALUE | RTPI_SINGLE) \
    X(LENGTH, "content-length", RTPI_C_VALUE | RTPI_SINGLE) \
    X(TRANSFER_ENCODING, "transfer-encoding", RTPI_C_VALUE | RTPI_LOWER | RTPI_SINGLE) \
    X(EXPECT, "expect", RTPI_C_LIST | RTPI_LOWER | RTPI_OPTIONAL) \
    X(CONNECTION, "connection", RTPI_C_LIST | RTPI_LOWER | RTPI_OPTIONAL) \
    X(UPGRADE, "upgrade", RTPI_C_LIST | RTPI_LOWER | RTPI_OPTIONAL) \
    X(VERSION, "sec-websocket-version", RTPI_C_VALUE | RTPI_SINGLE) \
    X(PROTOCOL, "sec-websocket-protocol", RTPI_C_LIST | RTPI_OPTIONAL) \
    X(NONE_MATCH, "if-none-match", RTPI_C_LIST | RTPI_OPTIONAL) \
    X(ACCEPT_ENCODING, "accept-encoding", RTPI_C_LIST | RTPI_LOWER | RTPI_OPTIONAL) \
    X(RANGE, "range", RTPI_C_VALUE | RTPI_SINGLE | RTPI_OPTIONAL) \
    X(IF_RANGE, "if-range", RTPI_C_VALUE | RTPI_SINGLE | RTPI_OPTIONAL) \
    X(FETCH_SITE, "sec-fetch-site", RTPI_C_LIST) \
    X(FETCH_DEST, "sec-fetch-dest", RTPI_C_LIST | RTPI_OPTIONAL)
#define RTPI_FIELD_ENUM(field, name, rules) RTPI_H_##field,
enum { RTPI_FIELDS(RTPI_FIELD_ENUM) RTPI_H_ROUTE }; // the first of the route's own
#define RTPI_LOWER 8u
#define RTPI_SINGLE 16u
#define RTPI_OPTIONAL 32u

// rtpi_http.header: the value is skipped.
#define RTPI_H_UNKNOWN ((unsigned)RTPI_H_ROUTE + RTPUSH_ROUTE_HEADERS)

// Values that are a bit, of rtpi_http.bits, then of rtpi_asked.site.
#define RTPI_FIELD_WORDS(X) \
    X(CONTINUE, EXPECT, "100-continue") \
    X(CLOSE, CONNECTION, "close") \
    X(UPGRADE, CONNECTION, "upgrade") \
    X(WEBSOCKET, UPGRADE, "websocket") \
    X(VERSION13, VERSION, "13") \
    X(SAME_ORIGIN, FETCH_SITE, "same-origin") \
    X(SAME_SITE, FETCH_SITE, "same-site") \
    X(CROSS_SITE, FETCH_SITE, "cross-site") \
    X(DOCUMENT, FETCH_DEST, "document")
#define RTPI_WORD_ENUM(word, field, text) RTPI_W_##word,
enum { RTPI_FIELD_WORDS(RTPI_WORD_ENUM) RTPI_W_COUNT };

// rtpi_http.bits
enum {
    RTPI_B_CONTINUE = 1 << RTPI_W_CONTINUE,   // Expect: 100-continue
    RTPI_B_CLOSE = 1 << RTPI_W_CLOSE,         // Connection: close
    RTPI_B_UPGRADE = 1 << RTPI_W_UPGRADE,     // Connection: upgrade
    RTPI_B_WEBSOCKET = 1 << RTPI_W_WEBSOCKET, // Upgrade: websocket
    RTPI_B_VERSION13 = 1 << RTPI_W_VERSION13, // Sec-WebSocket-Version: 13
    RTPI_B_MATCH = 0x0040,      // If-None-Match names the asset's ETag
    RTPI_B_MATCH_GZIP = 0x0080, // ... that of its gzip form
    RTPI_B_HTTP10 = 0x0100,
    RTPI_B_OVER = 0x0200,     // the value being read did not fit
    RTPI_B_CORS = 0x0400,     // a foreign origin from desc.origins
    RTPI_B_STAR = 0x0800,     // OPTIONS *
    RTPI_B_ABSOLUTE = 0x1000, // the target named the host (RFC 9112 3.2.2)
    RTPI_B_CHUNKED = 0x2000,  // the answer is chunked
    RTPI_B_COOKIE = 0x4000    // desc.cookie is kept
};
// The body is the application's, and ends with on_close. No enumerator: int may have 16 bits.
#define RTPI_B_HOLD 0x8000u

// rtpi_asked.site, as W3C Fetch Metadata names it. "none", a user's own doing, and values that are
// not known say nothing.
#define RTPI_SITE_BIT (1u << RTPI_W_SAME_ORIGIN) // the words before are bits of rtpi_http.bits
#define RTPI_SITE(word) (1 << (RTPI_W_##word - RTPI_W_SAME_ORIGIN))
enum {
    RTPI_SITE_OWN = RTPI_SITE(SAME_ORIGIN),
    RTPI_SITE_FOREIGN = RTPI_SITE(SAME_SITE) | RTPI_SITE(CROSS_SITE),
    RTPI_SITE_DOCUMENT = RTPI_SITE(DOCUMENT) // for the top of a tab: a link was followed
};

// rtpi_asked.accepts: by the codings of Accept-Encoding.
#define RTPI_CODINGS(X) X(GZIP, "gzip") X(ANY, "*") X(IDENTITY, "identity")
#define RTPI_CODING_ENUM(coding, name) RTPI_ACCEPTS_##coding,
#define RTPI_CODING_NAME(coding, name) name "\0"
enum { RTPI_CODINGS(RTPI_CODING_ENUM) RTPI_ACCEPTS_COUNT };

// The kept value of a header, or NULL. The arena: path NUL query NUL, then tag value NUL ...
static const char *rtpi_kept(const rtpush_conn *c, unsigned header) {
    const char *at = (const char *)rtpi_rx(c);
    const char *end = at + c->in.http.kept;
    at = rtpi_strlist_at(at, 2);
    while (at < end) {
        if ((uint8_t)*at == header) {
            return at + 1;
        }
        at += strlen(at) + 1;
    }
    return NULL;
}

// rtpi_http.step: what is read, see >>head.
enum {
    RTPI_S_METHOD, // a head: to a token
    RTPI_S_NAME,
    RTPI_S_PROTOCOL,
    RTPI_S_TARGET, // to the arena
    RTPI_S_VALUE,
    RTPI_S_REQUEST, // it is complete
    RTPI_S_SIZE,    // a chunked body
    RTPI_S_EXTENSION,
    RTPI_S_DATA,
    RTPI_S_TRAILER,
    RTPI_S_TRAILER_NAME,
    RTPI_S_TRAILER_VALUE,
    RTPI_S_DONE,     // it is complete
    RTPI_S_LF = 0x80 // CR was read: LF must follow, then comes the step beside this bit
};

static int rtpi_is_chunked(const rtpush_conn *c) {
    return (int)(c->in.http.seen >> RTPI_H_TRANSFER_ENCODING & 1u);
}

// Is some of the body still to come?
static int rtpi_body_due(const rtpush_conn *c) {
    return c->in.http.left > 0 || (rtpi_is_chunked(c) && c->in.http.step != RTPI_S_DONE);
}

// What the functions below return: 0, or the status to refuse with, less 300: a Thumb instruction
// holds a constant of 8 bits.
#define RTPI_NO(status) ((status) - 300u)
// ... for another reason than that of the status
#define RTPI_NO_FOR(refusal, reason) ((refusal) | (unsigned)(reason) << 9)

#define RTPI_METHODS(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(PATCH) X(OPTIONS)
#define RTPI_METHOD_ENUM(method) RTPI_M_##method,
#define RTPI_METHOD_NAME(method) #method "\0"
#define RTPI_METHOD_CHECK(method) RTPI_HOLDS(method, 1 << RTPI_M_##method == RTPUSH_##method);
enum { RTPI_METHODS(RTPI_METHOD_ENUM) RTPI_METHOD_COUNT };
static const char rtpi_methods[] = RTPI_METHODS(RTPI_METHOD_NAME);
RTPI_METHODS(RTPI_METHOD_CHECK)

#define RTPI_HEAD_MAX 16384u // bytes of a whole head, kept or not
#define RTPI_TOKEN_MAX 254u  // with its NUL it fits the smallest tx_size
#define RTPI_TOPIC_MAX 32u   // longest name of a topic
#define RTPI_KEEP 1u         // a value's verdict beside 0 (forget it) and RTPI_NO

#define RTPI_FIELD_NAME(field, name, rules) name "\0"
#define RTPI_FIELD_LEN(field, name, rules) (uint8_t)(sizeof name - 1u),
#define RTPI_FIELD_RULES(field, name, rules) (uint8_t)(rules),
static const char rtpi_names[] = RTPI_FIELDS(RTPI_FIELD_NAME);
static const uint8_t rtpi_name_lens[] = {RTPI_FIELDS(RTPI_FIELD_LEN)};
static const uint8_t rtpi_rules[] = {
    RTPI_FIELDS(RTPI_FIELD_RULES) // then those of the route, and all others
    RTPI_C_VALUE, RTPI_C_VALUE, RTPI_C_VALUE, RTPI_C_VALUE, RTPI_C_VALUE, RTPI_C_VALUE,
    RTPI_C_VALUE | RTPI_OPTIONAL
};
RTPI_HOLDS(rules, sizeof rtpi_rules == RTPI_H_UNKNOWN + 1u);

#define RTPI_WORD_FIELD(word, field, text) RTPI_H_##field,
#define RTPI_WORD_TEXT(word, field, text) text "\0"
static const uint8_t rtpi_word_fields[] = {RTPI_FIELD_WORDS(RTPI_WORD_FIELD)};

#define RTPI_HEADER_BIT(header) ((uint32_t)1 << (header)) // int may have 16 bits

static int rtpi_is_blank(uint8_t c) { // RFC 9110 5.6.3
    return c == ' ' || c == '\t';
}

// The field of a name in lower case; RTPI_H_ROUTE if it is none of ours.
static unsigned rtpi_field(const char *name, size_t len) {
    const char *known = rtpi_names;
    unsigned i = 0;
    while (i < RTPI_H_ROUTE &&
           (rtpi_name_lens[i] != len || *known != *name || memcmp(known, name, len) != 0)) {
        known += rtpi_name_lens[i++] + 1u;
    }
    return i;
}

// The word of a field that a value is; RTPI_W_COUNT if it is none.
static unsigned rtpi_field_word(unsigned header, const char *v) {
    unsigned i = 0;
    while (i < RTPI_W_COUNT && (rtpi_word_fields[i] != header ||
                                strcmp(rtpi_strlist_at(RTPI_FIELD_WORDS(RTPI_WORD_TEXT), i),
                                       v) != 0)) {
        i++;
    }
    return i;
}

// The token is complete.
static char *rtpi_token(const rtpush_server *srv, rtpush_conn *c) {
    char *token = (char *)rtpi_tx(srv, c);
    token[c->in.http.pos] = '\0';
    c->in.http.pos = 0;
    return token;
}

// Appends to the arena what fits, leaving a byte for the NUL. Is that all?
static int rtpi_keep(const rtpush_server *srv, rtpush_conn *c, const void *data, size_t len) {
    uint32_t used = c->rx_used + 1u;
    size_t room = srv->desc.rx_size > used ? (size_t)(srv->desc.rx_size - used) : 0;
    size_t n = len < room ? len : room;
    memcpy(rtpi_rx(c) + c->rx_used, data, n);
    c->rx_used = (uint16_t)(c->rx_used + n);
    return n == len;
}

// The first of what is wrong is what the peer is told.
static void rtpi_refuse_at_end(rtpush_conn *c, unsigned refusal) {
    if (c->in.http.refusal == 0) {
        c->in.http.refusal = (uint8_t)refusal;
    }
}

static unsigned rtpi_method_done(const rtpush_server *srv, rtpush_conn *c) {
    rtpi_http *h = &c->in.http;
    h->method = (uint8_t)(1u << rtpi_strlist_index(rtpi_methods, rtpi_token(srv, c)));
    h->step = RTPI_S_TARGET;
    return h->method < 1u << RTPI_METHOD_COUNT ? 0 : RTPI_NO(501);
}

// Decodes the path from `at` up to `end`, where no digit stands, to `path`, which is not behind it;
// returns its new end, or NULL.
// Deviation: an escaped '/' is data (RFC 3986 2.2). Here it is refused: the application could not
// tell it from a separator, and what a proxy forbids by path (/admin/) would be reached as
// /admin%2F. So is '\', which a file system may take for a separator.
static char *rtpi_path_decode(char *path, const char *at, const char *end) {
    while (at < end) {
        int plain = *at == '/';
        int c = rtpi_unescape(&at);
        if (c < 0 || c == '\\' || (c == '/' && !plain)) {
            return NULL;
        }
        *path++ = (char)c;
    }
    return path;
}

static int rtpi_path_plain(const char *path) { // no "." or ".." segment: clients remove them
    while ((path = strchr(path, '/')) != NULL) { // not strstr: 1 KB of newlib
        path++;
        if (*path != '.') {
            continue;
        }
        path += path[1] == '.' ? 2 : 1;
        if (*path == '/' || *path == '\0') {
            return 0;
        }
    }
    return 1;
}

static uint8_t rtpi_route_find(const rtpush_server *srv, const char *path) {
    unsigned i;
    for (i = 0; i < srv->desc.route_count; i++) {
        const char *pattern = srv->desc.routes[i].path;
        const char *at = path;
        while (*pattern == *at && *at != '\0' && *at != '*') { // RFC 3986 3.3: a path may have one
            pattern++;
            at++;
        }
        if (*pattern == *at || (*pattern == '*' && pattern[1] == '\0')) {
            return (uint8_t)i;
        }
    }
    return RTPI_NO_ROUTE;
}

// The length of the scheme an absolute target or an origin begins with, 0 if it is none of ours.
static size_t rtpi_scheme(const char *text) {
    return strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
}

// The target is whole, in the arena: cut it into path and query, decode the path, find the route.
RTPI_APART static unsigned rtpi_target_done(const rtpush_server *srv, rtpush_conn *c) {
    const uint32_t size = srv->desc.rx_size;
    rtpi_http *h = &c->in.http;
    char *target = (char *)rtpi_rx(c);
    char *authority = (char *)rtpi_tx(srv, c);
    const char *last = target + c->rx_used;
    char *path = target;
    const char *query;
    size_t len = 0; // of the authority
    target[c->rx_used] = '\0';
    if (strcmp(path, "*") == 0 && h->method == RTPUSH_OPTIONS) {
        h->bits |= RTPI_B_STAR;
    } else if (*path != '/') { // RFC 9112 3.2.2: absolute, the authority counts as Host
        rtpi_lower_all((uint8_t *)path, 8);
        path += rtpi_scheme(path);
        len = strcspn(path, "/?");
        if (path == target || len == 0) { // RFC 9110 4.2.1: a host is needed
            return RTPI_NO(400);
        }
        if (len > RTPI_TOKEN_MAX) {
            return RTPI_NO(414);
        }
        memcpy(authority, path, len);
        rtpi_lower_all((uint8_t *)authority, len);
        path += len;
        if (*path != '/') {
            *--path = '/';
        }
        h->bits |= RTPI_B_ABSOLUTE;
    }
    if (h->bits & RTPI_B_OVER || // the rest is for Host, Origin and the key
        (uint32_t)(last - path) >= size / 4u * 3u - 4u) {
        return RTPI_NO(414);
    }
    query = path + strcspn(path, "?");
    path = rtpi_path_decode(target, path, query);
    if (!path) {
        return RTPI_NO(400);
    }
    query += *query == '?';
    *path++ = '\0';
    memmove(path, query, (size_t)(last + 1 - query));
    path += last + 1 - query;
    if (len > 0) {
        // It fit before, with the scheme in place of the tag and two NULs.
        RTPUSH_ASSERT((size_t)(path - target) + len + 2u <= size);
        *path++ = RTPI_H_HOST;
        memcpy(path, authority, len);
        path += len;
        *path++ = '\0';
    }
    c->rx_used = (uint16_t)(path - target);
    c->route = rtpi_route_find(srv, target);
    return rtpi_path_plain(target) ? 0 : RTPI_NO(400);
}

static unsigned rtpi_target_end(const rtpush_server *srv, rtpush_conn *c) {
    if (c->rx_used == 0) {
        return RTPI_NO(400);
    }
    c->in.http.step = RTPI_S_PROTOCOL;
    rtpi_refuse_at_end(c, rtpi_target_done(srv, c));
    c->in.http.bits &= (uint16_t)~RTPI_B_OVER;
    if (c->in.http.refusal) { // it is refused already, the rest is not needed
        memset(rtpi_rx(c), 0, 2);
        c->rx_used = 2;
        c->route = RTPI_NO_ROUTE;
    }
    return 0;
}

static unsigned rtpi_protocol_done(const rtpush_server *srv, rtpush_conn *c) {
    rtpi_http *h = &c->in.http;
    const char *v = rtpi_token(srv, c);
    h->step = RTPI_S_LF | RTPI_S_NAME;
    if (strncmp(v, "HTTP/", 5) != 0 || rtpi_hex_value((uint8_t)v[5]) > 9 || v[6] != '.' ||
        rtpi_hex_value((uint8_t)v[7]) > 9) {
        return RTPI_NO(400);
    }
    if (v[7] == '0') {
        h->bits |= RTPI_B_HTTP10;
    }
    return v[5] == '1' ? 0 : RTPI_NO(505); // RFC 9110 2.5: a higher minor version is served as 1.1
}

// Fields that change what the bytes of a body are, where the application does not ask for them: a
// part of a file, or a compressed one, is not to be stored as the whole.
static unsigned rtpi_body_disguise(unsigned method, const rtpush_route *route, const char *name) {
    if (method == RTPUSH_PUT && strcmp(name, "content-range") == 0) {
        return RTPI_NO(400); // RFC 9110 14.5
    }
    return route->body_types && strcmp(name, "content-encoding") == 0
               ? RTPI_NO(415) : 0u; // RFC 9110 8.4
}

// The name is complete: decides what to do with the value.
RTPI_APART static unsigned rtpi_name_done(const rtpush_server *srv, rtpush_conn *c) {
    const uint32_t lengths =
        RTPI_HEADER_BIT(RTPI_H_TRANSFER_ENCODING) | RTPI_HEADER_BIT(RTPI_H_LENGTH);
    rtpi_http *h = &c->in.http;
    const rtpush_route *route = rtpi_route(srv, c);
    size_t len = h->pos;
    char *name = rtpi_token(srv, c);
    unsigned header;
    uint32_t bits;
    rtpi_lower_all((uint8_t *)name, len);
    header = rtpi_field(name, len);
    h->step = RTPI_S_VALUE;
    h->kept = c->rx_used++; // of its tag
    h->header = (uint8_t)RTPI_H_UNKNOWN;
    if (header == RTPI_H_ROUTE) {
        int own;
        if (!route) {
            return 0; // it is answered 404
        }
        own = rtpi_find(route->headers, name);
        if (own < 0) {
            return rtpi_body_disguise(h->method, route, name);
        }
        header += (unsigned)own;
    } else if (header == RTPI_H_COOKIE && !srv->desc.cookie) {
        return 0;
    }
    // RFC 9112 6.3: a length beside a coding, and a coding in HTTP/1.0 (RFC 9112 6.1), may be
    // refused: two parsers would not agree where such a body ends.
    bits = RTPI_HEADER_BIT(header);
    if (((rtpi_rules[header] & RTPI_SINGLE) &&
         (h->seen & (bits & lengths ? lengths : bits))) ||
        (header == RTPI_H_TRANSFER_ENCODING && (h->bits & RTPI_B_HTTP10))) {
        return RTPI_NO(400);
    }
    h->seen |= bits;
    h->header = (uint8_t)header;
    return 0;
}

// The first pair of that name counts: a host of the same domain may have set the second (RFC 6265
// 8.6).
static unsigned rtpi_match_cookie(const rtpush_server *srv, rtpi_http *h, char *v) {
    const char *name = srv->desc.cookie;
    size_t len = strlen(name);
    if ((h->bits & RTPI_B_COOKIE) || strncmp(v, name, len) != 0 || v[len] != '=') {
        return 0;
    }
    h->bits |= RTPI_B_COOKIE;
    memmove(v, v + len + 1, strlen(v + len));
    return RTPI_KEEP;
}

// How many bytes at text may stand in a host's or topic's name.
static size_t rtpi_name_len(const char *text) {
    return rtpi_text_run(text, RTPI_C_NAME);
}

// Splits "name[:port]". Returns the length of the name, 0 if it is no valid host (RFC 3986 3.2.2).
static size_t rtpi_host_name(const char *host) {
    size_t len = rtpi_name_len(host);
    const char *port;
    if (host[0] == '[') {
        len = strspn(host + 1, "0123456789abcdef:.") + 2;
        if (len < 4 || host[len - 1] != ']') {
            return 0;
        }
    }
    port = host + len;
    if (*port == ':') {
        port += 1 + strspn(port + 1, "0123456789");
    }
    return *port == '\0' ? len : 0;
}

// A whole value, or one element of a list. Some are only looked at, the others stay in the arena.
static unsigned rtpi_judge(const rtpush_server *srv, rtpush_conn *c, char *v) {
    rtpi_http *h = &c->in.http;
    const rtpush_route *route = rtpi_route(srv, c);
    unsigned word = 1u << rtpi_field_word(h->header, v);
    h->bits = (uint16_t)(h->bits | (word & (RTPI_SITE_BIT - 1u)));
    switch (h->header) {
    case RTPI_H_LENGTH: // RFC 9110 8.6: digits only
        if (!rtpi_get_decimal(v, &h->left)) {
            return RTPI_NO(400);
        }
        return h->left == ~(uint32_t)0 ? RTPI_NO(413) : 0;
    case RTPI_H_TRANSFER_ENCODING: // RFC 9112 6.1; with a second coding it is not this text
        return strcmp(v, "chunked") == 0 ? 0 : RTPI_NO(501);
    case RTPI_H_EXPECT: // RFC 9110 10.1.1
        return word == RTPI_B_CONTINUE ? 0 : RTPI_NO(417);
    case RTPI_H_CONNECTION:
    case RTPI_H_UPGRADE:
    case RTPI_H_VERSION:
        return 0;
    case RTPI_H_FETCH_SITE:
    case RTPI_H_FETCH_DEST:
        c->out.asked.site = (uint8_t)(c->out.asked.site | word / RTPI_SITE_BIT);
        return 0;
    case RTPI_H_ACCEPT_ENCODING:
    case RTPI_H_NONE_MATCH:
    case RTPI_H_PROTOCOL:
        return route && route->kind->field ? route->kind->field(srv, c, h->header, v) : 0;
    case RTPI_H_COOKIE:
        return rtpi_match_cookie(srv, h, v);
    case RTPI_H_HOST:
        // RFC 9112 3.2: an invalid one is refused also where the target's counts (3.2.2).
        return !(h->bits & RTPI_B_ABSOLUTE) ? RTPI_KEEP : rtpi_host_name(v) > 0 ? 0 : RTPI_NO(400);
    case RTPI_H_CONTENT_TYPE:
        return rtpi_kind_has(srv, c, RTPI_KIND_BODY) ? RTPI_KEEP : 0;
    case RTPI_H_RANGE: // RFC 9110 14.2: of GET alone; and of what may have a range
    case RTPI_H_IF_RANGE:
        return h->method == RTPUSH_GET && route && route->kind->range ? RTPI_KEEP : 0;
    default:
        return h->header != RTPI_H_UNKNOWN;
    }
}

// The end of a value or list element, which stands behind its tag, behind what is kept.
RTPI_APART static unsigned rtpi_value_done(const rtpush_server *srv, rtpush_conn *c) {
    rtpi_http *h = &c->in.http;
    char *tag = (char *)rtpi_rx(c) + h->kept;
    unsigned rules = rtpi_rules[h->header];
    unsigned len = c->rx_used - (unsigned)h->kept; // with the tag
    unsigned over = h->bits & RTPI_B_OVER;
    unsigned verdict;
    h->bits &= (uint16_t)~RTPI_B_OVER;
    c->rx_used = h->kept;
    if (len == 1 && !over) {
        if (!(rules & RTPI_C_VALUE)) {
            return 0; // RFC 9110 5.6.1: an empty element says nothing
        }
        over = h->kept + 2u > srv->desc.rx_size;
    }
    // A pair of another name may be of any length; one that is cut in its name may be the wanted.
    if (over && (h->header != RTPI_H_COOKIE ||
                 strncmp(tag + 1, srv->desc.cookie, len - 1u) == 0)) {
        return rules & RTPI_OPTIONAL ? 0 : RTPI_NO(431);
    }
    while (len > 1 && rtpi_is_blank((uint8_t)tag[len - 1u])) {
        len--;
    }
    if (rules & RTPI_LOWER) {
        rtpi_lower_all((uint8_t *)tag + 1, len - 1u);
    }
    *tag = (char)h->header;
    tag[len] = '\0';
    verdict = rtpi_judge(srv, c, tag + 1);
    if (verdict != RTPI_KEEP) {
        return verdict;
    }
    if (over) {
        return RTPI_NO(431);
    }
    h->kept = c->rx_used = (uint16_t)(h->kept + strlen(tag + 1) + 2u);
    return 0;
}

// More of a name, or of the first line to a token, of the target and of values to the arena. White
// space before a value is none of it.
RTPI_APART static unsigned rtpi_run_done(const rtpush_server *srv, rtpush_conn *c,
                                         const uint8_t *data, size_t len) {
    rtpi_http *h = &c->in.http;
    size_t room = RTPI_TOKEN_MAX - (size_t)h->pos;
    if (h->step >= RTPI_S_TARGET) {
        for (; c->rx_used == h->kept + 1u && len > 0 && rtpi_is_blank(*data); len--) {
            data++;
        }
        if (!rtpi_keep(srv, c, data, len)) {
            h->bits |= RTPI_B_OVER;
        }
        return 0;
    }
    len = len < room ? len : room; // a longer one is not known
    memcpy(rtpi_tx(srv, c) + h->pos, data, len);
    h->pos = (uint8_t)(h->pos + len);
    return h->step == RTPI_S_PROTOCOL && h->pos > 8 ? RTPI_NO(400) : 0u; // "HTTP/1.1"
}

// A byte that ends a run, or a value or element. Returns 0 or RTPI_NO.
RTPI_APART static unsigned rtpi_head_cut(const rtpush_server *srv, rtpush_conn *c, uint8_t byte) {
    rtpi_http *h = &c->in.http;
    unsigned verdict;
    if (h->step & RTPI_S_LF) { // RFC 9112 2.2: a bare CR is no line end
        h->step &= (uint8_t)~RTPI_S_LF;
        return byte == '\n' ? 0 : RTPI_NO(400);
    }
    switch (h->step) {
    case RTPI_S_METHOD:
        if (byte == ' ' && h->pos > 0) {
            return rtpi_method_done(srv, c);
        }
        if (byte == '\r' && h->pos == 0 && h->section == 0) {
            h->step = RTPI_S_LF | RTPI_S_METHOD; // RFC 9112 2.2: an empty line is ignored
            return 0;
        }
        return RTPI_NO(400); // also a TLS hello on the plain port
    case RTPI_S_NAME:
        if (byte == '\r' && h->pos == 0) {
            h->step = RTPI_S_LF | RTPI_S_REQUEST;
            return 0;
        }
        // RFC 9112 5.1 and 5.2: no space before the colon, no folded line, no empty name.
        return byte == ':' && h->pos > 0 ? rtpi_name_done(srv, c) : RTPI_NO(400);
    case RTPI_S_TARGET: // RFC 3986: no other byte may stand in it
        return byte == ' ' ? rtpi_target_end(srv, c) : RTPI_NO(400);
    case RTPI_S_PROTOCOL:
        return byte == '\r' ? rtpi_protocol_done(srv, c) : RTPI_NO(400);
    default:
        break;
    }
    if (byte == '\r') {
        h->step = RTPI_S_LF | RTPI_S_NAME;
    } else if (!rtpi_byte_is(byte, RTPI_C_VALUE)) {
        return RTPI_NO(400);
    }
    verdict = rtpi_value_done(srv, c);
    c->rx_used = (uint16_t)(c->rx_used + (byte != '\r')); // the tag of the next
    return verdict;
}

#if RTPI_WIDE
// How many bytes, in eights, have no control character among them.
static size_t rtpi_run_wide(const uint8_t *data, size_t len) {
    const uint64_t ones = ~(uint64_t)0 / 255u; // in each byte
    size_t n = 0;
    while (len - n >= 8) {
        const uint64_t word = rtpi_word(data + n);
        const uint64_t del = word ^ ones * 0x7Fu; // 0 for that
        if ((((word - ones * 0x20u) & ~word) | ((del - ones) & ~del)) & ones * 0x80u) {
            break;
        }
        n += 8;
    }
    return n;
}
#endif

// Runs, and what ends them: up to the last LF of the head, or where the input ends or something is
// refused. Returns 0 or RTPI_NO; h->section says how far it is.
RTPI_OWN_FRAME static unsigned rtpi_head_run(const rtpush_server *srv, rtpush_conn *c,
                                             const uint8_t *data, size_t len) {
    static const uint8_t classes[] = {RTPI_C_TOKEN, RTPI_C_TOKEN, RTPI_C_TARGET, RTPI_C_TARGET};
    rtpi_http *h = &c->in.http;
    const uint8_t *end = data + len;
    unsigned refusal = 0;
    do {
        if (h->step <= RTPI_S_VALUE) {
            unsigned of = h->step == RTPI_S_VALUE ? rtpi_rules[h->header] & RTPI_C_VALUES
                                                  : classes[h->step];
            size_t n = 0;
#if RTPI_WIDE
            n = of & RTPI_C_VALUE ? rtpi_run_wide(data, (size_t)(end - data)) : 0;
#endif
            n += rtpi_run(data + n, (size_t)(end - data) - n, of);
            refusal = rtpi_run_done(srv, c, data, n);
            h->section = (uint16_t)(h->section + n);
            data += n;
        }
        if (data < end && refusal == 0) {
            refusal = rtpi_head_cut(srv, c, *data++);
            h->section++;
        }
    } while (data < end && refusal == 0 && (h->step & ~(unsigned)RTPI_S_LF) != RTPI_S_REQUEST);
    return refusal;
}

// >>reply -----------------------------------------------------------------------------------------
// An answer is a head in tx, then a copied body in tx, a static one sent from where it lies, or one
// that is pulled into tx piece by piece. What does not fit is refused before a byte of it is sent.

// Statuses that this library refuses with, and why: RFC 9110 15, RFC 6585.
#define RTPI_REFUSALS(X) \
    X(400, SYNTAX, "Bad Request") \
    X(403, ORIGIN, "Forbidden") \
    X(404, NOT_FOUND, "Not Found") \
    X(405, METHOD, "Method Not Allowed") \
    X(406, ENCODING, "Not Acceptable") \
    X(408, TIMEOUT_HEAD, "Request Timeout") \
    X(413, BODY, "Content Too Large") \
    X(414, TOO_LONG, "URI Too Long") \
    X(415, MEDIA_TYPE, "Unsupported Media Type") \
    X(417, EXPECT, "Expectation Failed") \
    X(421, HOST, "Misdirected Request") \
    X(426, UPGRADE, "Upgrade Required") \
    X(429, RATE, "Too Many Requests") \
    X(431, TOO_LONG, "Request Header Fields Too Large") \
    X(500, TX_SIZE, "Internal Server Error") \
    X(501, METHOD, "Not Implemented") \
    X(503, STREAM_LIMIT, "Service Unavailable") \
    X(505, VERSION, "HTTP Version Not Supported")

// The others with a phrase: RFC 9110 15, RFC 6585, RFC 7725, 423 and 507 of RFC 4918.
#define RTPI_STATUSES(X) \
    X(201, APP, "Created") \
    X(202, APP, "Accepted") \
    X(203, APP, "Non-Authoritative Information") \
    X(204, APP, "No Content") \
    X(205, APP, "Reset Content") \
    X(206, APP, "Partial Content") \
    X(300, APP, "Multiple Choices") \
    X(301, APP, "Moved Permanently") \
    X(302, APP, "Found") \
    X(303, APP, "See Other") \
    X(304, APP, "Not Modified") \
    X(305, APP, "Use Proxy") \
    X(307, APP, "Temporary Redirect") \
    X(308, APP, "Permanent Redirect") \
    X(401, APP, "Unauthorized") \
    X(402, APP, "Payment Required") \
    X(407, APP, "Proxy Authentication Required") \
    X(409, APP, "Conflict") \
    X(410, APP, "Gone") \
    X(411, APP, "Length Required") \
    X(412, APP, "Precondition Failed") \
    X(416, APP, "Range Not Satisfiable") \
    X(422, APP, "Unprocessable Content") \
    X(423, APP, "Locked") \
    X(428, APP, "Precondition Required") \
    X(451, APP, "Unavailable For Legal Reasons") \
    X(502, APP, "Bad Gateway") \
    X(504, APP, "Gateway Timeout") \
    X(507, APP, "Insufficient Storage") \
    X(511, APP, "Network Authentication Required")
#define RTPI_STATUS_CODE(status, reason, phrase) status,
#define RTPI_STATUS_REASON(status, reason, phrase) RTPUSH_REASON_##reason,
#define RTPI_STATUS_PHRASE(status, reason, phrase) phrase "\0"

static const uint16_t rtpi_statuses[] = {RTPI_REFUSALS(RTPI_STATUS_CODE)
                                         RTPI_STATUSES(RTPI_STATUS_CODE)};
static const uint8_t rtpi_reasons[] = {RTPI_REFUSALS(RTPI_STATUS_REASON)};
#define RTPI_STATUS_COUNT (sizeof rtpi_statuses / sizeof rtpi_statuses[0])

static unsigned rtpi_status_index(unsigned status) {
    unsigned i = 0;
    while (i < RTPI_STATUS_COUNT && rtpi_statuses[i] != status) {
        i++;
    }
    return i;
}

#ifdef RTPUSH_NO_TEXT
#define RTPI_TEXT(texts, n) ((void)(n), "")
#define RTPI_SAY(text) ""
#else
#define RTPI_TEXT(texts, n) rtpi_strlist_at(texts, n)
#define RTPI_SAY(text) text
#endif

static const char *rtpi_status_phrase(unsigned status) { // RFC 9112 4: may be empty
    return status == 200 ? RTPI_SAY("OK") :
           RTPI_TEXT(RTPI_REFUSALS(RTPI_STATUS_PHRASE) RTPI_STATUSES(RTPI_STATUS_PHRASE),
                     rtpi_status_index(status));
}

static uint8_t rtpi_refusal_reason(unsigned status) {
    unsigned i = rtpi_status_index(status);
    return i < sizeof rtpi_reasons ? rtpi_reasons[i] : (uint8_t)RTPUSH_REASON_APP;
}

static unsigned rtpi_route_methods(const rtpush_route *route) {
    unsigned methods = !route          ? RTPUSH_GET | RTPUSH_HEAD
                       : route->methods ? route->methods : route->kind->methods;
    return methods | RTPUSH_OPTIONS;
}

// RFC 9110 10.2.1
static void rtpi_put_allow(rtpush_text *t, const char *name, const rtpush_route *route) {
    const unsigned methods = rtpi_route_methods(route);
    const char *comma = ": ";
    unsigned i;
    rtpi_put_text(t, name);
    for (i = 0; i < RTPI_METHOD_COUNT; i++) {
        if (methods >> i & 1u) {
            rtpi_put_text(t, comma);
            rtpi_put_text(t, rtpi_strlist_at(rtpi_methods, i));
            comma = ", ";
        }
    }
    rtpi_put_text(t, "\r\n");
}

// Opens tx with the status line and the fields every answer has. The caller adds its own and the
// empty line.
static rtpush_text *rtpi_put_head(rtpush_server *srv, rtpush_conn *c, unsigned status,
                                const char *type, const char *cache, int cors) {
    rtpush_text *t = rtpi_tx_open(srv, c);
    rtpi_format(t, "HTTP/1.1 %d %s\r\nCache-Control: %s\r\n", (uint32_t)status,
                rtpi_status_phrase(status), cache);
    if (type) {
        rtpi_format(t, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\n", type);
    }
    if (!rtpi_has(c, RTPI_F_KEEP)) {
        rtpi_put_text(t, "Connection: close\r\n");
    }
    if (cors) { // WHATWG Fetch 3.2.3
        rtpi_format(t,
                    "Access-Control-Allow-Origin: %s\r\nAccess-Control-Allow-Credentials: true\r\n"
                    "Vary: Origin\r\n",
                    rtpi_kept(c, RTPI_H_ORIGIN));
    }
    return t;
}

static void rtpi_begin_reply(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream_ended(srv, c);
    memset(&c->out, 0, sizeof c->out);
    rtpi_clear(c, RTPI_F_RETRY); // of on_body: nothing waits for it any more
    rtpi_state(srv, c, RTPI_REPLY, srv->desc.stall_ms);
    rtpi_ready(srv, c);
}

// What reasons are in words.
#define RTPI_REASONS(X) \
    X(NONE, "ended") \
    X(APP, "ended by the application") \
    X(PEER_CLOSED, "closed by the peer") \
    X(TRANSPORT, "transport failed") \
    X(SHUTDOWN, "shutdown") \
    X(TIMEOUT_HEAD, "request head too slow") \
    X(TIMEOUT_BODY, "request body too slow") \
    X(TIMEOUT_IDLE, "idle too long") \
    X(TIMEOUT_REPLY, "no answer from the application") \
    X(TIMEOUT_PONG, "no pong") \
    X(TIMEOUT_CLOSE, "closing too slow") \
    X(STALLED, "stalled reader") \
    X(EXPIRED, "access expired") \
    X(EVICTED_SLOT, "slot given to another") \
    X(EVICTED_LOG, "too slow for the log") \
    X(NO_SLOT, "no slot free") \
    X(PEER_LIMIT, "too many connections of this peer") \
    X(STREAM_LIMIT, "too many streams") \
    X(RATE, "too many requests") \
    X(SYNTAX, "malformed request line, path, query or field") \
    X(TOO_LONG, "request line or field too long: see desc.rx_size") \
    X(VERSION, "HTTP version is not 1.0 or 1.1") \
    X(METHOD, "method not known or not allowed here") \
    X(NOT_FOUND, "no such path or topic") \
    X(HOST, "unknown Host: add the name to desc.hosts") \
    X(ORIGIN, "from another site: see desc.origins") \
    X(CODING, "transfer coding is not chunked") \
    X(BODY, "body too large") \
    X(EXPECT, "Expect is not 100-continue") \
    X(UPGRADE, "not a WebSocket upgrade") \
    X(WS_PROTOCOL, "WebSocket protocol error") \
    X(WS_UTF8, "text is not UTF-8") \
    X(WS_TOO_BIG, "message too large") \
    X(ENCODING, "Accept-Encoding excludes what there is") \
    X(TLS, "TLS failed") \
    X(TX_SIZE, "answer does not fit desc.tx_size") \
    X(MEDIA_TYPE, "media type of the body")
#define RTPI_REASON_ENUM(reason, text) RTPI_REASON_##reason,
#define RTPI_REASON_TEXT(reason, text) text "\0"
#define RTPI_REASON_CHECK(reason, text) \
    RTPI_HOLDS(reason, (int)RTPI_REASON_##reason == (int)RTPUSH_REASON_##reason);
enum { RTPI_REASONS(RTPI_REASON_ENUM) RTPI_REASON_COUNT };
RTPI_REASONS(RTPI_REASON_CHECK)
RTPI_HOLDS(why_count, (int)RTPI_REASON_COUNT == (int)RTPUSH_REASON_COUNT);

const char *rtpush_reason_text(int reason) {
    if (reason < 0 || reason >= RTPUSH_REASON_COUNT) {
        return "";
    }
    return RTPI_TEXT(RTPI_REASONS(RTPI_REASON_TEXT), (unsigned)reason);
}

// RFC 9110 5.5: no line may be injected. NULL is clean.
static int rtpi_header_clean(const char *text) {
    return !text || text[rtpi_text_run(text, RTPI_C_VALUE)] == '\0';
}

// Fields that this library writes: the application's would stand beside ours and contradict them.
// Of two lengths each side of a connection could believe another one (RFC 9112 6.2, 6.3).
static const char rtpi_own_names[] =
    "content-length\0transfer-encoding\0connection\0upgrade\0content-type\0"
    "x-content-type-options\0cache-control\0etag\0accept-ranges\0content-range\0";
// ... but for these: an answer of an application that gives one of them gets none of ours.
static const char rtpi_cors_names[] =
    "access-control-allow-origin\0access-control-allow-credentials\0";

// Is the name one of texts that stand one behind the other, in any case?
static int rtpi_is_one_of(const char *lower, const char *name) {
    size_t len;
    for (; (len = strlen(lower)) > 0; lower += len + 1) {
        if (rtpi_is(lower, len, name)) {
            return 1;
        }
    }
    return 0;
}

static int rtpi_field_name_ok(const char *name) { // RFC 9110 5.1: a token
    size_t len = rtpi_text_run(name, RTPI_C_TOKEN);
    return len > 0 && name[len] == '\0' && !rtpi_is_one_of(rtpi_own_names, name);
}

// May the application give this answer? Returns whether it gets the fields of CORS, which is `cors`
// unless it has its own, or -1: it may not.
RTPI_APART static int rtpi_reply_check(const rtpush_response *r, unsigned status, int cors,
                                       int own) {
    const char *const *h;
    for (h = own ? NULL : r->headers; h && h[0]; h += 2) {
        if (!rtpi_field_name_ok(h[0]) || !h[1] || !rtpi_header_clean(h[1])) {
            return -1; // also a name without a value
        }
        cors = rtpi_is_one_of(rtpi_cors_names, h[0]) ? 0 : cors;
    }
    return status >= 200 && status <= 599 && rtpi_header_clean(r->content_type) &&
                   rtpi_header_clean(r->cache_control) && rtpi_header_clean(r->etag) &&
                   !(r->etag && strchr(r->etag, '"')) && (r->len == 0 || r->body || r->pull) &&
                   (status != 205 || (r->len == 0 && !r->pull)) // RFC 9110 15.3.6: no content
               ? cors : -1;
}

// Is v the strong tag of this form? RFC 9110 8.8.3: each coding is a representation of its own.
static int rtpi_is_etag(const char *v, const char *etag, int gzip) {
    size_t len = etag ? strlen(etag) : 0;
    return len > 0 && v[0] == '"' && strncmp(v + 1, etag, len) == 0 &&
           strcmp(v + 1 + len, gzip ? "-gz\"" : "\"") == 0;
}

// What of a body is sent: bytes from .. to - 1. What the head says of it is a format, given from,
// to - 1 and the length of the whole body.
typedef struct rtpi_range {
    uint32_t from;
    uint32_t to;
    const char *fields;
} rtpi_range;

// RFC 9110 14.1.2, one range alone of `len` bytes. 206, 416, or 200 for all: it is malformed or of
// another unit, or there are several, which would have to be answered with a form of their own.
static unsigned rtpi_range_read(const char *v, uint32_t len, rtpi_range *range) {
    uint32_t first, last;
    const char *dash;
    const char *end;
    if (!rtpi_starts(v, "bytes=", 6)) {
        return 200;
    }
    v += 6;
    dash = rtpi_digits(v, &first);
    if (*dash != '-') {
        return 200;
    }
    end = rtpi_digits(dash + 1, &last);
    if (*end != '\0' || (dash == v && (end == dash + 1 || len == 0))) {
        return 200;
    }
    if (dash == v) { // the last bytes; none is 416
        first = last < len ? len - last : 0;
    }
    if (dash == v || end == dash + 1) {
        last = ~(uint32_t)0;
    }
    if (last < first) {
        return 200;
    }
    if (first >= len) {
        return 416;
    }
    range->from = first;
    range->to = last < len ? last + 1u : len;
    return 206;
}

// The range that a GET asks for, of a body that is answered 200. RFC 9110 13.1.5: with If-Range
// only if the tag is the body's; a date never is.
RTPI_APART static unsigned rtpi_range_asked(const rtpush_conn *c, const char *etag, int gzip,
                                            rtpi_range *range) {
    const char *asked = rtpi_kept(c, RTPI_H_RANGE);
    const char *tag = rtpi_kept(c, RTPI_H_IF_RANGE);
    unsigned status = 200;
    if (asked && (!(c->in.http.seen >> RTPI_H_IF_RANGE & 1u) ||
                  (tag && rtpi_is_etag(tag, etag, gzip)))) {
        status = rtpi_range_read(asked, range->to, range);
    }
    range->fields = "Accept-Ranges: bytes\r\n"; // RFC 9110 14.3, 14.4
    if (status == 206) {
        range->fields = "Content-Range: bytes %d-%d/%d\r\nAccept-Ranges: bytes\r\n";
    } else if (status == 416) {
        range->fields = "Content-Range: bytes */%d\r\nAccept-Ranges: bytes\r\n";
        range->from = range->to; // nothing
    }
    return status;
}

enum { RTPI_OWN = 1, RTPI_OWN_GZIP = 2 }; // an answer of the library; the gzip form of a file

// What the library's own answers say beside the common fields.
RTPI_APART static void rtpi_put_own_fields(const rtpush_server *srv, const rtpush_conn *c,
                                           rtpush_text *t, unsigned status) {
    const rtpush_route *route = rtpi_route(srv, c);
    const char *format;
    const char *const *h;
    switch (RTPI_NO(status)) {
    case RTPI_NO(204): // RFC 9110 9.3.7: OPTIONS; also the preflight of an origin in desc.origins
        if (c->in.http.bits & RTPI_B_CORS) {
            rtpi_put_allow(t, "Access-Control-Allow-Methods", route);
            rtpi_put_text(t, "Access-Control-Allow-Headers: Content-Type, Last-Event-ID, "
                             "Authorization");
            for (h = route ? route->headers : NULL; h && *h; h++) {
                rtpi_format(t, ", %s", *h);
            }
            rtpi_put_text(t, "\r\n");
        }
        rtpi_put_allow(t, "Allow", route);
        return;
    case RTPI_NO(405): // RFC 9110 15.5.6
        rtpi_put_allow(t, "Allow", route);
        return;
    case RTPI_NO(415): // RFC 9110 15.5.16, 12.5.1
        for (h = route->body_types; h && *h && t->len + strlen(*h) + 64u < t->cap; h++) {
            rtpi_format(t, "Accept: %s\r\n", *h);
        }
        return;
    case RTPI_NO(302):
    case RTPI_NO(303):
        format = "Location: %s\r\n";
        break;
    case RTPI_NO(401): // RFC 9110 15.5.2: it must name a challenge
        format = "WWW-Authenticate: %s\r\n";
        break;
    case RTPI_NO(426): // RFC 9110 15.5.22, RFC 6455 4.2.2
        format = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        break;
    case RTPI_NO(429):
    case RTPI_NO(503):
        format = "Retry-After: 2\r\n";
        break;
    default:
        return;
    }
    rtpi_format(t, format, srv->advice);
}

// The answer's head is written: what follows it.
static void rtpi_reply_body(rtpush_server *srv, rtpush_conn *c, const rtpush_response *r, int own,
                            const rtpi_range *range) {
    rtpi_answer *answer = &c->out.reply;
    answer->at = range->from;
    answer->to = range->to;
    if (r->pull) {
        answer->pull = r->pull;
        answer->user = r->user;
        c->due = rtpi_after(srv, srv->desc.reply_ms);
    } else if (r->body_static) {
        answer->body = (const uint8_t *)r->body;
        c->in.http.bits |= own ? 0 : RTPI_B_HOLD;
    }
}

// What follows the head of an answer, and what that says of it.
enum {
    RTPI_HAS_BODY = 1, // bytes follow
    RTPI_HAS_TYPE = 2,
    RTPI_HAS_LENGTH = 4,
    RTPI_HAS_CHUNKS = 8,
    RTPI_HAS_END = 16 // the end of the connection is its end
};

static unsigned rtpi_framing(const rtpush_conn *c, const rtpush_response *r, unsigned status) {
    unsigned has = RTPI_HAS_TYPE;
    if (status == 204 || status == 304) {
        return 0; // RFC 9110 6.4.1
    }
    if (c->in.http.method != RTPUSH_HEAD) {
        has |= RTPI_HAS_BODY;
    }
    if (!r->pull || r->len > 0) {
        return has | RTPI_HAS_LENGTH;
    }
    return has | (c->in.http.bits & RTPI_B_HTTP10 ? RTPI_HAS_END : RTPI_HAS_CHUNKS);
}

#define RTPI_CHUNKED "Transfer-Encoding: chunked\r\n\r\n" // the last field

// Writes an answer, the application's or, with `own`, the library's.
static int rtpi_reply(rtpush_server *srv, rtpush_conn *c, const rtpush_response *r, int own) {
    unsigned status = r->status ? r->status : 200u;
    unsigned has = rtpi_framing(c, r, status);
    int cors = rtpi_reply_check(r, status, c->in.http.bits & RTPI_B_CORS, own);
    rtpi_range range = {0, r->len, NULL};
    const char *const *h;
    rtpush_text *t;
    if (cors < 0) {
        return RTPUSH_ERR_ARGUMENT;
    }
    if (status == 200 && (has & RTPI_HAS_LENGTH) && (r->pull || r->body_static) &&
        rtpi_kind(srv, c)->range) {
        status = rtpi_kind(srv, c)->range(c, r->etag, own == RTPI_OWN_GZIP, &range);
        if (status == 416) { // not one of the application's, which has the body it gives
            has &= ~(unsigned)RTPI_HAS_BODY;
        }
    }
    if ((has & RTPI_HAS_END) || rtpi_body_due(c)) { // the rest of an upload is left unread
        rtpi_clear(c, RTPI_F_KEEP);
    }
    t = rtpi_put_head(srv, c, status,
                      !(has & RTPI_HAS_TYPE) ? NULL
                      : r->content_type      ? r->content_type : "text/plain; charset=utf-8",
                      r->cache_control ? r->cache_control : "no-store", cors);
    for (h = r->headers; h && h[0]; h += 2) {
        rtpi_format(t, "%s: %s\r\n", h[0], h[1]);
    }
    if (r->etag) {
        rtpi_format(t, "ETag: \"%s%s\"\r\n", r->etag, own == RTPI_OWN_GZIP ? "-gz" : "");
    }
    if (own) {
        rtpi_put_own_fields(srv, c, t, r->status);
    }
    if (range.fields) {
        rtpi_format(t, range.fields, range.from, range.to - 1u, r->len);
    }
    rtpi_format(t, has & RTPI_HAS_LENGTH ? "Content-Length: %d\r\n\r\n"
                   : has & RTPI_HAS_CHUNKS ? RTPI_CHUNKED : "\r\n", range.to - range.from);
    if ((has & RTPI_HAS_BODY) && !r->body_static && !r->pull) {
        rtpi_put(t, r->body, (size_t)r->len);
    }
    if (!rtpi_tx_commit(c, t)) {
        return RTPUSH_ERR_TOO_BIG;
    }
    rtpi_begin_reply(srv, c);
    if (has & RTPI_HAS_BODY) {
        rtpi_reply_body(srv, c, r, own, &range);
        if (has & RTPI_HAS_CHUNKS) {
            c->in.http.bits |= RTPI_B_CHUNKED;
        }
    }
    return RTPUSH_OK;
}

// The head of an SSE or poll answer.
static int rtpi_put_stream_head(rtpush_server *srv, rtpush_conn *c, int chunked) {
    rtpush_text *t = rtpi_put_head(srv, c, 200, "text/event-stream", "no-store, no-transform",
                                 c->in.http.bits & RTPI_B_CORS);
    // A proxy must not hold it back, neither nginx nor one that compresses (RFC 9111 5.2.2.6).
    rtpi_format(t, "X-Accel-Buffering: no\r\n%s", chunked ? RTPI_CHUNKED : "\r\n");
    return rtpi_tx_commit(c, t);
}

// "retry: ms LF LF", randomized up to `times` the usual time, so that not all reconnect at once.
static void rtpi_put_retry(rtpush_server *srv, rtpush_conn *c, uint32_t times) {
    rtpush_text *t = rtpi_tx_open(srv, c);
    rtpi_format(t, "retry: %d\n\n",
                srv->desc.retry_ms + rtpi_random(srv) % (times * srv->desc.retry_ms + 1u));
    (void)rtpi_tx_commit(c, t);
}

// An EventSource never reconnects after a status other than 200 (WHATWG HTML 9.2.3). So "not now"
// is a 200 with a retry time, which then ends.
static int rtpi_not_now(rtpush_server *srv, rtpush_conn *c, unsigned status) {
    if ((status != 429 && status != 503) || !rtpi_kind_has(srv, c, RTPI_KIND_NOT_NOW)) {
        return 0;
    }
    rtpi_clear(c, RTPI_F_KEEP);
    if (!rtpi_put_stream_head(srv, c, 0)) {
        return 0;
    }
    if (c->in.http.method != RTPUSH_HEAD) {
        rtpi_put_retry(srv, c, 4);
    }
    rtpi_begin_reply(srv, c);
    return 1;
}

// The text for the peer's user. For a refusal by the application it is only the phrase.
static const char *rtpi_refusal_text(unsigned status, uint8_t reason) {
    return reason != RTPUSH_REASON_APP ? rtpush_reason_text(reason)
           : status == 401       ? RTPI_SAY("log in: this needs credentials")
                                 : rtpi_status_phrase(status);
}

// Answers with an error. The rest of what the peer sends with this request is never interpreted
// where the connection does not keep. RFC 9112 9.3.2: one answer a request. So on_refuse comes
// last: by then it is answered, and cannot be answered or decided once more.
static void rtpi_refuse(rtpush_server *srv, rtpush_conn *c, unsigned refusal) {
    const unsigned status = (refusal & 511u) + 300u;
    uint8_t reason = (uint8_t)(refusal >> 9);
    rtpush_response r;
    if (reason == RTPUSH_REASON_NONE) {
        reason = status == 501 && c->in.http.method < 1u << RTPI_METHOD_COUNT
                     ? (uint8_t)RTPUSH_REASON_CODING : rtpi_refusal_reason(status);
    }
    srv->count.reasons[reason]++;
    if (rtpi_has(c, RTPI_F_OPENED)) {
        rtpi_set_reason(c, reason); // for on_close
    }
    memset(&r, 0, sizeof r);
    r.status = (uint16_t)status;
    r.body_static = 1;
    r.body = rtpi_refusal_text(status, reason);
    r.len = (uint32_t)strlen((const char *)r.body);
    if (!rtpi_not_now(srv, c, status) && rtpi_reply(srv, c, &r, RTPI_OWN) != RTPUSH_OK) {
        r.status = 500; // without what does not fit: a long challenge or location
        if (rtpi_reply(srv, c, &r, RTPI_OWN) != RTPUSH_OK) {
            rtpi_begin_closing(srv, c, reason);
        }
    }
    if (srv->desc.on_refuse) {
        srv->desc.on_refuse(srv, c->peer, (int)r.status, reason);
    }
}

static void rtpi_reply_options(rtpush_server *srv, rtpush_conn *c) {
    rtpush_response r;
    memset(&r, 0, sizeof r);
    r.status = 204;
    if (rtpi_reply(srv, c, &r, RTPI_OWN) != RTPUSH_OK) {
        rtpi_refuse(srv, c, RTPI_NO(500)); // the head does not fit tx_size
    }
}

// This connection made progress: gives it the next number of srv->serial.
RTPI_APART static uint32_t rtpi_achieved(rtpush_server *srv, rtpush_conn *c) {
    if (++srv->serial == 0) {
        srv->serial = 1; // 0 names nobody
    }
    c->out.rank.order = srv->serial;
    c->out.rank.since = srv->quarter;
    return srv->serial;
}

// Ready for the next request on this connection; proved: for one that is not the first.
static void rtpi_await_request(rtpush_server *srv, rtpush_conn *c, int proved) {
    memset(&c->in, 0, sizeof c->in);
    memset(&c->out, 0, sizeof c->out);
    c->route = RTPI_NO_ROUTE;
    c->rx_used = c->tx_head = c->tx_len = 0;
    c->reason = RTPUSH_REASON_NONE;
    c->user = NULL;
    c->out.rank.proved = (uint8_t)proved;
    c->serial = rtpi_achieved(srv, c);
    rtpi_clear(c, RTPI_F_ANSWER);
    rtpi_clear(c, RTPI_F_KEEP | RTPI_F_OPENED | RTPI_F_RETRY | RTPI_F_EXPIRES);
    rtpi_state(srv, c, RTPI_HEAD, srv->desc.idle_ms);
}

// The answer is out.
static void rtpi_http_done(rtpush_server *srv, rtpush_conn *c) {
    if (!rtpi_say_closed(srv, c)) {
        return; // on_close ended it
    }
    if (rtpi_has(c, RTPI_F_KEEP) && !rtpi_has(c, RTPI_F_EOF)) { // not after rtpush_shutdown
        rtpi_await_request(srv, c, 1);
        if (rtpi_has(c, RTPI_F_REFUSED)) { // the port holds the next request
            rtpi_ready(srv, c);
        }
    } else {
        c->reason = RTPUSH_REASON_NONE; // a refusal was counted when it was given
        rtpi_begin_closing(srv, c, RTPUSH_REASON_NONE);
    }
}

// >>request ---------------------------------------------------------------------------------------
// From a complete head to an answer or a stream, in this order: who the request is for and who sent
// it (Host, Origin, Sec-Fetch-Site), a token, what was wrong in the head, what the route takes, the
// kind's own judgement, authorize, and then the kind opens it. Nobody is called back before the
// first of these (invariant 21), and each refusal is an answer.

// DNS rebinding: a page of evil.example whose name now points here is same-origin with us in its
// browser, but its requests still say Host: evil.example. Literal addresses cannot be rebound.
static unsigned rtpi_host_check(const rtpush_server *srv, const char *host) {
    const char *const *listed = srv->desc.hosts;
    size_t len = rtpi_host_name(host);
    if (len == 0) {
        return RTPI_NO(400);
    }
    if (host[0] == '[' || (host[0] != '.' && strspn(host, "0123456789.") == len) ||
        rtpi_find(listed, "*") >= 0) {
        return 0;
    }
    if (len > 1 && host[len - 1] == '.') { // the root's dot changes no name
        len--;
    }
    for (; listed && *listed; listed++) {
        if (rtpi_is(host, len, *listed)) {
            return 0;
        }
    }
    return rtpi_is(host, len, "localhost") ? 0 : RTPI_NO(421);
}

// The port behind a host, with its colon. RFC 3986 3.2.3: an empty one is the usual one.
static const char *rtpi_port_or(const char *port, const char *usual) {
    return *port == '\0' || strcmp(port, ":") == 0 ? usual : port;
}

// Are both, in any case, the same host and port? `usual` is the port where none is given, with its
// colon.
static int rtpi_same_authority(const char *lower, const char *text, const char *usual) {
    size_t len = strcspn(lower, lower[0] == '[' ? "]" : ":");
    len += lower[len] == ']';
    return rtpi_starts(text, lower, len) &&
           strcmp(rtpi_port_or(lower + len, usual), rtpi_port_or(text + len, usual)) == 0;
}

// 0 foreign, 1 same origin, 2 in desc.origins. RFC 6454 4 and 5: scheme, host and port all count,
// and a port that is not named is that of the scheme. Over a plain listener an https page of the
// same authority (a proxy adds TLS) counts too.
static int rtpi_origin_check(const rtpush_server *srv, const rtpush_conn *c, const char *origin,
                             const char *host) {
    size_t scheme = rtpi_scheme(origin);
    const char *usual = scheme == 8 ? ":443" : scheme == 7 ? ":80" : "";
    const char *const *listed;
    for (listed = srv->desc.origins; listed && *listed; listed++) {
        if (rtpi_starts(*listed, origin, scheme) &&
            rtpi_same_authority(origin + scheme, *listed + scheme, usual)) {
            return 2;
        }
    }
    return scheme > 0 && host && rtpi_same_authority(origin + scheme, host, usual) &&
           (scheme == 8 || !rtpi_has(c, RTPI_F_SECURE));
}

// Where the request has the first fields of RTPI_FIELDS.
#define RTPI_REQUEST_AT(tag) (offsetof(rtpush_request, host) + (tag) * sizeof(const char *))
RTPI_HOLDS(origin, offsetof(rtpush_request, origin) == RTPI_REQUEST_AT(RTPI_H_ORIGIN));
RTPI_HOLDS(cookie, offsetof(rtpush_request, cookie) == RTPI_REQUEST_AT(RTPI_H_COOKIE));
RTPI_HOLDS(authorization,
           offsetof(rtpush_request, authorization) == RTPI_REQUEST_AT(RTPI_H_AUTHORIZATION));
RTPI_HOLDS(content_type,
           offsetof(rtpush_request, content_type) == RTPI_REQUEST_AT(RTPI_H_CONTENT_TYPE));

static void rtpi_request(const rtpush_server *srv, const rtpush_conn *c, rtpush_request *req) {
    const rtpi_http *h = &c->in.http;
    const rtpush_route *route = rtpi_route(srv, c);
    const char *at = (const char *)rtpi_rx(c);
    const char *end = at + h->kept;
    size_t prefix = route ? strlen(route->path) : 0;
    memset(req, 0, sizeof *req);
    req->conn = rtpi_handle(srv, c);
    req->route = route;
    req->method = h->method;
    req->secure = (uint8_t)rtpi_has(c, RTPI_F_SECURE);
    req->content_length = rtpi_is_chunked(c) ? RTPUSH_LENGTH_UNKNOWN : h->left;
    req->peer = c->peer;
    req->path = at;
    req->body = (const uint8_t *)"";
    req->rest = (prefix > 0 && route->path[prefix - 1] == '*') ? at + prefix - 1 : "";
    req->query = rtpi_strlist_at(at, 1);
    for (at = rtpi_strlist_at(req->query, 1); at < end; at += strlen(at) + 1) {
        unsigned tag = (uint8_t)*at++;
        if (tag >= RTPI_H_ROUTE) {
            req->headers[tag - RTPI_H_ROUTE] = at;
        } else if (tag <= RTPI_H_CONTENT_TYPE) {
            memcpy((uint8_t *)req + RTPI_REQUEST_AT(tag), &at, sizeof at);
        }
    }
    if (h->subprotocol == 255) {
        req->subprotocol = "rtpush.1";
    } else if (h->subprotocol > 0) {
        req->subprotocol = route->subprotocols[h->subprotocol - 1];
    }
}

// The index of a topic, or -1.
static int rtpi_topic_find(const rtpush_server *srv, const char *name, size_t len) {
    int i;
    for (i = 0; i < (int)srv->desc.topic_count; i++) {
        const char *known = srv->desc.topics[i].name;
        if (strncmp(known, name, len) == 0 && known[len] == '\0') {
            return i;
        }
    }
    return -1;
}

// The topics a route allows: bytes have no form in an event stream.
RTPI_APART static uint32_t rtpi_route_topics(const rtpush_server *srv, const rtpush_route *route) {
    uint32_t topics =
        route->kind->flags & RTPI_KIND_TWO_WAY ? rtpi_all_topics(srv) : srv->text_topics;
    return route->topics ? topics & route->topics : topics;
}

// ?topics=a,b as bits, of all parameters of that name together; all of the route's if there is
// none. Returns 0, or why it is refused.
static unsigned rtpi_topics_asked(const rtpush_server *srv, const rtpush_route *route,
                                  const char *query, uint32_t *topics) {
    uint32_t allowed = rtpi_route_topics(srv, route);
    const char *at = rtpi_query_find(query, "topics");
    char name[RTPI_TOPIC_MAX + 1]; // a longer one is none of ours
    *topics = at ? 0 : allowed;
    while (at) {
        size_t n = 0;
        int c; // browsers write a comma as %2C
        while ((c = rtpi_query_byte(&at, '&')) > 0 && c != ',' && n < sizeof name) {
            name[n++] = (char)c;
        }
        if (c < 0) {
            return RTPI_NO(400);
        }
        if (n > 0) {
            int i = rtpi_topic_find(srv, name, n);
            if (i < 0 || !(allowed >> i & 1u)) {
                return RTPI_NO(404);
            }
            *topics |= (uint32_t)1 << i;
        }
        at = c == 0 ? rtpi_query_find(at, "topics") : at;
    }
    return 0;
}

// The id a client resumes from: the header wins, it is newer than the page's URL.
static const char *rtpi_resume_id(const rtpush_conn *c, const char *query,
                                  char out[RTPI_ID_SIZE]) {
    const char *id = rtpi_kept(c, RTPI_H_LAST_EVENT_ID);
    int n;
    if (id && *id) {
        return id;
    }
    n = rtpush_query(query, "last_event_id", out, RTPI_ID_SIZE);
    // One that cannot be read is an id all the same, and none of ours: reset.
    return n > 0 ? out : n < 0 && n != RTPUSH_ERR_ARGUMENT ? "" : NULL;
}

static int rtpi_stream_room(const rtpush_server *srv) {
    return !srv->shut && srv->count.streams < srv->desc.max_streams;
}

// Turns the request into a reader. tx already holds the head; `ms` is its first deadline.
static unsigned rtpi_stream_open(rtpush_server *srv, rtpush_conn *c, uint8_t form, uint32_t ms,
                                 const rtpush_request *req) {
    char id[RTPI_ID_SIZE];
    const char *resume = rtpi_resume_id(c, req->query, id);
    memset(&c->out, 0, sizeof c->out);
    rtpi_sync(srv);
    c->out.stream.topics = req->topics;
    c->form = form;
    c->todo = c->sweep_i = 0;
    rtpi_reader_start(srv, c, resume);
    if (form <= RTPI_FORM_TAGGED) { // frames take the place of the request
        memset(&c->in, 0, sizeof c->in);
        c->rx_used = 0;
        c->heard = (uint16_t)srv->quarter;
        c->in.ws.code = 1006;
        (void)rtpi_after(srv, srv->desc.ping_ms);
    }
    rtpi_set(c, RTPI_F_OPENED);
    srv->count.streams++;
    rtpi_high(&srv->count.streams_high, srv->count.streams);
    rtpi_state(srv, c, RTPI_STREAM, ms);
    rtpi_ready(srv, c);
    if (req->route->on_open) {
        req->route->on_open(srv, req);
    }
    return 0;
}

// What is authorised goes to its kind. 0, or what it is refused with.
static unsigned rtpi_take_request(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    if (rtpi_kind_has(srv, c, RTPI_KIND_STREAM) && !rtpi_stream_room(srv)) {
        return RTPI_NO(503);
    }
    return req->route->kind->open(srv, c, req);
}

// Does a page of desc.origins ask? Then it may read the answer, whatever that is.
RTPI_APART static int rtpi_cors_check(const rtpush_server *srv, rtpush_conn *c, const char *origin,
                           const char *host) {
    int known = rtpi_origin_check(srv, c, origin, host);
    if (known == 2) {
        c->in.http.bits |= RTPI_B_CORS;
    }
    return known;
}

// Cross-site requests: forged ones, hijacked WebSockets. Files may be shown everywhere; a link to
// what a HANDLER answers must work, and a GET is safe (RFC 9110 9.2.1) or should be.
static unsigned rtpi_site_check(const rtpush_conn *c, const rtpush_request *req, int origin) {
    const rtpush_route *route = req->route;
    unsigned site = c->out.asked.site;
    int safe = (req->method & (RTPUSH_GET | RTPUSH_HEAD)) != 0;
    if (origin == 2 || (route && ((route->flags & RTPUSH_ANY_ORIGIN) ||
                                  ((route->kind->flags & RTPI_KIND_FOREIGN) && safe)))) {
        return 0;
    }
    if (site & RTPI_SITE_FOREIGN) { // also without Origin: <img>, <script>, <form method=get>
        return (site & RTPI_SITE_DOCUMENT) && safe && !req->origin &&
                       (!route || (route->kind->flags & RTPI_KIND_LINKED))
                   ? 0 : RTPI_NO(403);
    }
    // A form under Referrer-Policy: no-referrer says "null" of our own page as of others.
    return origin || ((site & RTPI_SITE_OWN) && strcmp(req->origin, "null") == 0) ? 0
                                                                                  : RTPI_NO(403);
}

// Host and Origin of the request, checked before everything else and before any callback.
RTPI_APART static unsigned rtpi_sender_check(const rtpush_server *srv, rtpush_conn *c,
                                             const rtpush_request *req) {
    int origin = req->origin ? rtpi_cors_check(srv, c, req->origin, req->host) : 1;
    unsigned refusal = 0;
    if (!(c->in.http.seen >> RTPI_H_HOST & 1u) && !(c->in.http.bits & RTPI_B_HTTP10)) {
        return RTPI_NO(400); // RFC 9112 3.2: also where the target names the host
    }
    if (req->host) {
        refusal = rtpi_host_check(srv, req->host);
    }
    return refusal ? refusal : rtpi_site_check(c, req, origin);
}

// What the route does not take.
RTPI_APART static unsigned rtpi_request_check(const rtpush_conn *c, const rtpush_request *req) {
    const rtpush_route *route = req->route;
    if (c->in.http.bits & RTPI_B_STAR) {
        return 0;
    }
    if (!route) {
        return RTPI_NO(404);
    }
    if (!(req->method & rtpi_route_methods(route))) {
        return RTPI_NO(405);
    }
    return rtpi_body_due(c) && !(route->kind->flags & RTPI_KIND_BODY) ? RTPI_NO(413) : 0u;
}

// A stream names topics that are there.
RTPI_OWN_FRAME static unsigned rtpi_judge_stream(rtpush_server *srv, rtpush_conn *c,
                                                 rtpush_request *req) {
    unsigned refusal = rtpi_topics_asked(srv, req->route, req->query, &req->topics);
    (void)c;
    if (refusal) {
        return refusal;
    }
    return req->topics == 0 && srv->desc.topic_count > 0 ? RTPI_NO(404) : 0u;
}

static int rtpi_is_redirect(int status) { // RFC 9110 15.4.3, 15.4.4
    return status == 302 || status == 303;
}

// What a request may be refused with: an error, or where the login page is.
static int rtpi_may_refuse(int status, const rtpush_grant *grant) {
    return rtpi_is_redirect(status)
               ? grant && grant->location && *grant->location && rtpi_header_clean(grant->location)
               : status >= 400 && status <= 599;
}

// Does the request go on? As the grant says; else it was refused.
static int rtpi_authorized(rtpush_server *srv, rtpush_conn *c, rtpush_request *req, int status,
                        const rtpush_grant *grant) {
    if (status == 0 && req->topics != 0) {
        req->topics &= grant->topics;
        status = req->topics == 0 ? 403 : 0;
    }
    if (status != 0) {
        srv->advice = rtpi_is_redirect(status) ? grant->location
                      : grant && grant->challenge && rtpi_header_clean(grant->challenge)
                          ? grant->challenge : "Bearer";
        status = rtpi_may_refuse(status, grant) ? status : 500;
        rtpi_refuse(srv, c, RTPI_NO_FOR(RTPI_NO((unsigned)status), RTPUSH_REASON_APP));
        return 0;
    }
    c->granted = grant->topics & rtpi_route_topics(srv, req->route);
    c->user = grant->user;
    c->out.rank.known = grant->known;
    if (grant->expires_s > 0) {
        c->expires = rtpi_after(srv, grant->expires_s > 8000u ? 8000000u
                                                              : grant->expires_s * 1000u);
        rtpi_set(c, RTPI_F_EXPIRES);
    }
    return 1;
}

static int rtpi_ask(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    rtpush_grant grant;
    int status = 0;
    memset(&grant, 0, sizeof grant);
    grant.topics = ~(uint32_t)0;
    rtpi_state(srv, c, RTPI_ASK, srv->desc.reply_ms);
    c->out.asked.topics = req->topics; // for rtpush_authorize
    if (srv->desc.authorize) {
        grant.topics = req->topics;
        status = srv->desc.authorize(srv, req, &grant);
    }
    return status != RTPUSH_PENDING && c->state == RTPI_ASK && // else it decided or ended it itself
           rtpi_authorized(srv, c, req, status, &grant);
}

// The head is complete.
static void rtpi_head_done(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    rtpi_http *h = &c->in.http;
    unsigned refusal;
    int options; // answered here
    h->kept = c->rx_used;
    srv->count.requests++;
    if (!(h->bits & (RTPI_B_HTTP10 | RTPI_B_CLOSE)) && !srv->shut) {
        rtpi_set(c, RTPI_F_KEEP);
    }
    rtpi_request(srv, c, req);
    options = req->method == RTPUSH_OPTIONS &&
              (!req->route || !(req->route->methods & RTPUSH_OPTIONS));
    refusal = rtpi_sender_check(srv, c, req);
    if (!options && !rtpi_token_take(srv, c)) { // a preflight is no request of its own
        rtpi_clear(c, RTPI_F_KEEP | RTPI_F_THROTTLED);
        refusal = RTPI_NO(429);
    } else if (c->in.http.refusal) {
        rtpi_clear(c, RTPI_F_KEEP);
        refusal = c->in.http.refusal; // first: the host of a refused target is not known
    } else if (refusal == 0) {
        refusal = rtpi_request_check(c, req);
    }
    if (refusal == 0 && options) {
        rtpi_reply_options(srv, c);
        return;
    }
    if (refusal == 0 && req->route->kind->judge) {
        refusal = req->route->kind->judge(srv, c, req);
    }
    if (refusal == 0 && rtpi_ask(srv, c, req)) {
        refusal = rtpi_take_request(srv, c, req);
    }
    if (refusal) {
        rtpi_refuse(srv, c, refusal);
    }
}

// What is refused before the head is complete, or because a deadline has come. The connection is
// not kept. Origin counts if it was read before.
static void rtpi_refuse_late(rtpush_server *srv, rtpush_conn *c, unsigned refusal) {
    const char *origin = NULL;
    if (c->in.http.seen >> RTPI_H_ORIGIN & 1u) { // so the target is whole
        origin = rtpi_kept(c, RTPI_H_ORIGIN);
    }
    if (origin) {
        (void)rtpi_cors_check(srv, c, origin, NULL);
    }
    rtpi_clear(c, RTPI_F_KEEP);
    rtpi_refuse(srv, c, refusal);
}

RTPI_OWN_FRAME static size_t rtpi_head_input(rtpush_server *srv, rtpush_conn *c,
                                             const uint8_t *data, size_t len) {
    rtpi_http *h = &c->in.http;
    size_t i = 0;
    if (h->section == 0) {
        c->due = rtpi_after(srv, srv->desc.head_ms); // from its first byte on
    }
    while (i < len && c->state == RTPI_HEAD) {
        unsigned before = h->section;
        size_t most = RTPI_HEAD_MAX + 1u - before;
        int last = h->step == (RTPI_S_LF | RTPI_S_REQUEST);
        unsigned refusal;
        // A new connection has no more tokens than others of its address have left. Its first
        // request waits for the next second instead of a 429: else one busy connection would lock
        // out all others behind the same NAT or proxy.
        if (last && !rtpi_is_proved(c) && !rtpi_has_token(srv, c)) {
            break;
        }
        refusal = rtpi_head_run(srv, c, data + i, len - i < most ? len - i : most);
        i += h->section - before;
        if (refusal != RTPI_NO(400) && refusal != RTPI_NO(505)) {
            rtpi_refuse_at_end(c, refusal);
            refusal = 0;
        }
        if (refusal == 0 && h->section > RTPI_HEAD_MAX) { // RFC 9112 3: of a target 414
            rtpi_refuse_at_end(c, h->step == RTPI_S_TARGET ? RTPI_NO(414) : 0u);
            refusal = c->in.http.refusal == RTPI_NO(414) ? RTPI_NO(414) : RTPI_NO(431);
        }
        if (refusal) {
            rtpi_refuse_late(srv, c, refusal);
        } else if (last) {
            rtpi_head_done(srv, c, &srv->now.request);
        }
    }
    return i;
}

// >>check -----------------------------------------------------------------------------------------
// The configuration is checked once and as a whole: what the rest relies on, and what can never
// work (a path no request can have, an origin no browser sends, a limit beyond what
// the memory holds). Each error names the field, what is needed and what was given. Its text stands
// in the memory of the server, which is not started: in srv->now.prefix. It begins with the entry
// that is looked at, if it is one of a table, so that no check needs to know which that is.

enum { RTPI_CONFIG_GOOD, RTPI_CONFIG_WRONG, RTPI_CONFIG_VERSION }; // rtpush_server.config

// What is checked next: entry i of a table, or with NULL rtpush_desc itself.
RTPI_APART static void rtpi_check_at(rtpush_server *srv, const char *table, unsigned i) {
    rtpush_text *t = &srv->text;
    memset(srv->now.prefix, 0, sizeof srv->now.prefix);
    t->data = srv->now.prefix;
    t->cap = (uint32_t)sizeof srv->now.prefix - 1u; // a zero ends it
    t->len = 0;
    if (table) {
        rtpi_format(t, "%s[%d]", table, (uint32_t)i);
    }
}

// Begins the text of an error, with the field.
RTPI_APART static rtpush_text *rtpi_error(rtpush_server *srv, const char *field) {
    srv->config = RTPI_CONFIG_WRONG;
    rtpi_put_text(&srv->text, field);
    return &srv->text;
}

#ifndef RTPUSH_NO_CHECKS
// Is a number in its range?
RTPI_APART static int rtpi_in_range(rtpush_server *srv, const char *field, uint32_t given,
                                    uint32_t least, uint32_t most) {
    if (given >= least && given <= most) {
        return 1;
    }
    rtpi_format(rtpi_error(srv, field),
                most == ~(uint32_t)0 ? RTPI_SAY(": at least %d needed, %d given")
                                     : RTPI_SAY(": %d to %d needed, %d given"),
                least, most == ~(uint32_t)0 ? given : most, given);
    return 0;
}

#define RTPI_RULE(field, rule) field RTPI_SAY(": " rule)

// A rule does not hold. Its text names the field and what is needed; that of `given` is cut where
// room ends. Returns 0.
RTPI_APART static int rtpi_wrong(rtpush_server *srv, const char *rule, const char *given) {
    rtpush_text *t = rtpi_error(srv, rule);
    size_t len;
    rtpi_put_text(t, RTPI_SAY(" needed, given: "));
    given = given ? given : "NULL";
    len = strlen(given);
    rtpi_put(t, given, len < t->cap - t->len ? len : t->cap - t->len);
    return 0;
}

// What kinds of route need, and cannot use.
static int rtpi_check_request(rtpush_server *srv, const rtpush_route *r) {
    return r->on_request || rtpi_wrong(srv, RTPI_RULE(".on_request", "a function"), NULL);
}

static int rtpi_check_handler(rtpush_server *srv, const rtpush_route *r) {
    if (r->max_body > 0) {
        return rtpi_wrong(srv, RTPI_RULE(".kind", "&rtpush_upload for a max_body"),
                          RTPI_SAY("&rtpush_handler"));
    }
    return rtpi_check_request(srv, r);
}

static int rtpi_check_upload(rtpush_server *srv, const rtpush_route *r) {
    return rtpi_check_request(srv, r) &&
           rtpi_in_range(srv, ".max_body", r->max_body, 1,
                         r->on_body ? ~(uint32_t)0 : srv->desc.rx_size - 1u); // its NUL
}

static int rtpi_check_file(rtpush_server *srv, const rtpush_route *r) {
    const rtpush_asset *a = r->asset;
    if (!a || !a->content_type || !(a->data || a->gzip)) {
        return rtpi_wrong(srv, RTPI_RULE(".asset", "content_type and data or gzip"), NULL);
    }
    return !a->etag || a->etag[rtpi_name_len(a->etag)] == '\0' ||
           rtpi_wrong(srv, RTPI_RULE(".asset", "etag of A-Za-z0-9-_"), a->etag);
}

// Bytes have no form in an event stream: a mask that names them is a mistake. So is a stream of a
// server that has no others: each request would be answered 404.
static int rtpi_check_stream(rtpush_server *srv, const rtpush_route *r) {
    int two_way = (r->kind->flags & RTPI_KIND_TWO_WAY) != 0;
    uint32_t topics = two_way ? rtpi_all_topics(srv) : srv->text_topics;
    return ((r->topics & ~topics) == 0 && (topics != 0 || srv->desc.topic_count == 0)) ||
           rtpi_wrong(srv, RTPI_RULE(".topics", "topics there are"),
                      RTPI_SAY("others, or BINARY ones"));
}

static int rtpi_check_websocket(rtpush_server *srv, const rtpush_route *r) {
    return rtpi_check_stream(srv, r) &&
           ((r->flags & RTPUSH_STREAM_MESSAGES) ||
            (rtpi_in_range(srv, ".max_message", r->max_message, 0,
                           srv->desc.rx_size - RTPI_CONTROL_MAX) &&
             rtpi_in_range(srv, ".piece", r->piece, 0, 0)));
}

#define RTPI_CHECK(function) function
#else
#define RTPI_CHECK(function) NULL
#endif // RTPUSH_NO_CHECKS

// >>handler ---------------------------------------------------------------------------------------
// A route of the application: on_request answers, at once or later, and bodies are given to on_body
// as they arrive. A kind without bodies (rtpush_handler) and one with them (rtpush_upload).

static unsigned rtpi_open_handler(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    rtpi_set(c, RTPI_F_OPENED);
    rtpi_state(srv, c, RTPI_WAIT, srv->desc.reply_ms);
    req->route->on_request(srv, req);
    return 0;
}

// Only senders that the application knows may take body_ms for a body; others have head_ms, so that
// they cannot hold a slot for long.
static uint32_t rtpi_body_ms(const rtpush_server *srv, const rtpush_conn *c) {
    const rtpush_desc *d = &srv->desc;
    return c->out.rank.known || d->body_ms < d->head_ms ? d->body_ms : d->head_ms;
}

// RFC 9110 10.1.1: only when a body is still to come and will be read.
static void rtpi_put_continue(rtpush_server *srv, rtpush_conn *c) {
    rtpush_text *t = rtpi_tx_open(srv, c);
    rtpi_put_text(t, "HTTP/1.1 100 Continue\r\n\r\n");
    (void)rtpi_tx_commit(c, t);
    rtpi_ready(srv, c);
}

static unsigned rtpi_open_upload(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    const rtpush_route *route = req->route;
    if (!rtpi_body_due(c)) {
        return rtpi_open_handler(srv, c, req);
    }
    rtpi_state(srv, c, RTPI_BODY, rtpi_body_ms(srv, c));
    c->in.http.step = rtpi_is_chunked(c) ? RTPI_S_SIZE : RTPI_S_DATA;
    c->in.http.section = 0;
    if (route->on_body) { // else on_request comes with the whole body
        rtpi_set(c, RTPI_F_OPENED);
        route->on_request(srv, req);
    }
    // RFC 9110 10.1.1: either a final status or 100, also where on_request answers at once.
    if (c->state == RTPI_BODY && c->in.http.bits & RTPI_B_CONTINUE &&
        !(c->in.http.bits & RTPI_B_HTTP10)) {
        rtpi_put_continue(srv, c);
    }
    return 0;
}

// Does the route take that much more of a body?
static int rtpi_body_fits(const rtpush_server *srv, const rtpush_conn *c, uint32_t more) {
    const rtpush_route *route = rtpi_route(srv, c);
    return more <= route->max_body - c->in.http.at.taken &&
           (route->on_body || more == 0 || // a NUL follows the whole body
            more < srv->desc.rx_size - (uint32_t)c->rx_used);
}

// Is the body of a type that the route takes? RFC 9110 8.3: without Content-Type a recipient may
// assume application/octet-stream.
static int rtpi_type_fits(const rtpush_request *req) {
    const char *const *known = req->route->body_types;
    const char *type = req->content_type ? req->content_type : "application/octet-stream";
    size_t len = strcspn(type, "; \t");
    while (known && *known && !(strlen(*known) == len && rtpi_starts(type, *known, len))) {
        known++;
    }
    return !known || *known;
}

// Is the body one that the route takes? Of a chunked one it is known that it must take one.
static unsigned rtpi_judge_upload(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    if (!rtpi_body_fits(srv, c, rtpi_is_chunked(c) ? 1u : c->in.http.left)) {
        return RTPI_NO(413);
    }
    return rtpi_body_due(c) && !rtpi_type_fits(req) ? RTPI_NO(415) : 0u;
}

#define RTPI_CHUNK_DIGITS 8u     // a size of 32 bits; leading zeros count
#define RTPI_EXTENSION_MAX 64u   // RFC 9112 7.1.1: a limit to what is skipped
#define RTPI_TRAILER_MAX 1024u   // RFC 9112 7.1.2: may be discarded
#define RTPI_BODY_END 1u         // the byte ends the body: beside 0 and RTPI_NO

// A piece of the body, to on_body or into the arena. 0: the application takes it later.
static int rtpi_body_piece(rtpush_server *srv, rtpush_conn *c, const uint8_t *data, size_t len,
                           int last) {
    rtpush_request *req = &srv->now.request;
    rtpi_http *h = &c->in.http;
    const rtpush_route *route = rtpi_route(srv, c);
    rtpi_request(srv, c, req);
    req->content_length = last ? 0 : req->content_length;
    if (!route->on_body) {
        memcpy(rtpi_rx(c) + c->rx_used, data, len);
        c->rx_used = (uint16_t)(c->rx_used + len);
    } else if (rtpi_not_taken(route->on_body(srv, req, data, len, last)) &&
               c->state == RTPI_BODY) { // once answered there is nothing to wait for
        rtpi_retry_later(srv, c);
        return 0;
    }
    if (c->state != RTPI_BODY) {
        return 1;
    }
    h->at.taken += (uint32_t)len;
    if (h->at.taken / 4096u != (h->at.taken - (uint32_t)len) / 4096u) {
        c->due = rtpi_after(srv, rtpi_body_ms(srv, c)); // slowloris: 4 KiB in each body_ms
        (void)rtpi_achieved(srv, c);
    }
    if (last && route->on_body) {
        rtpi_state(srv, c, RTPI_WAIT, srv->desc.reply_ms);
    } else if (last) {
        req->body = rtpi_rx(c) + h->kept;
        rtpi_rx(c)[c->rx_used] = '\0'; // rtpi_body_fits left room for it
        req->body_len = (uint16_t)(c->rx_used - h->kept);
        req->content_length = req->body_len;
        (void)rtpi_open_handler(srv, c, req);
    }
    return 1;
}

// A byte of a chunked body that is no data. Returns 0, RTPI_BODY_END or RTPI_NO.
static unsigned rtpi_chunk_byte(const rtpush_server *srv, rtpush_conn *c, uint8_t byte) {
    // By steps from SIZE on: what may stand there in any number, and what follows CR LF.
    static const uint8_t classes[] = {0, RTPI_C_VALUE, 0, RTPI_C_TOKEN, RTPI_C_TOKEN, RTPI_C_VALUE};
    static const uint8_t follows[] = {RTPI_S_DATA, RTPI_S_DATA, RTPI_S_SIZE, RTPI_S_DONE, 0,
                                      RTPI_S_TRAILER};
    rtpi_http *h = &c->in.http;
    unsigned step = h->step & ~(unsigned)RTPI_S_LF;
    unsigned digit = rtpi_hex_value(byte);
    if (step >= RTPI_S_TRAILER && h->section++ > RTPI_TRAILER_MAX) { // and the LF before them
        return RTPI_NO(431);
    }
    if (h->step & RTPI_S_LF) {
        h->step = (uint8_t)step;
        return byte != '\n'            ? RTPI_NO(400)
               : step == RTPI_S_DONE ? RTPI_BODY_END
               : step != RTPI_S_DATA || rtpi_body_fits(srv, c, h->left) ? 0u : RTPI_NO(413);
    }
    if (rtpi_byte_is(byte, classes[step - RTPI_S_SIZE])) {
        h->step = (uint8_t)(step + (step == RTPI_S_TRAILER)); // its name
        return step == RTPI_S_EXTENSION && ++h->pos > RTPI_EXTENSION_MAX ? RTPI_NO(400) : 0u;
    }
    if (step == RTPI_S_SIZE && digit < 16 && h->pos < RTPI_CHUNK_DIGITS) {
        h->left = h->left << 4 | digit;
        h->pos++;
        return 0;
    }
    // Deviation: RFC 9112 7.1.1 allows white space before ';'. Nobody sends it but who looks for
    // parsers that differ.
    if ((step == RTPI_S_SIZE && byte == ';' && h->pos > 0) ||
        (step == RTPI_S_TRAILER_NAME && byte == ':')) {
        h->pos = 0;
        h->step++;
        return 0;
    }
    if (byte != '\r' || step == RTPI_S_TRAILER_NAME || (step == RTPI_S_SIZE && h->pos == 0)) {
        return RTPI_NO(400);
    }
    h->pos = 0;
    h->step = follows[step - RTPI_S_SIZE];
    if (h->step == RTPI_S_DATA && h->left == 0) {
        h->step = RTPI_S_TRAILER; // of size 0 is the last chunk
    }
    h->step |= RTPI_S_LF;
    return 0;
}

// Data, of the body or of a chunk. Returns how much was taken.
static size_t rtpi_body_data(rtpush_server *srv, rtpush_conn *c, const uint8_t *data,
                             size_t len) {
    rtpi_http *h = &c->in.http;
    uint32_t before = h->left;
    if (len > before) {
        len = (size_t)before;
    }
    h->left -= (uint32_t)len;
    if (!rtpi_body_piece(srv, c, data, len, h->left == 0 && !rtpi_is_chunked(c))) {
        h->left = before;
        return 0;
    }
    return len;
}

static size_t rtpi_chunk_input(rtpush_server *srv, rtpush_conn *c, const uint8_t *byte) {
    unsigned result = rtpi_chunk_byte(srv, c, *byte);
    if (result == RTPI_BODY_END) {
        if (!rtpi_body_piece(srv, c, byte, 0, 1)) { // an answer given now keeps the connection
            c->in.http.step = RTPI_S_LF | RTPI_S_DONE; // it comes again, and counts once
            c->in.http.section--;
            return 0;
        }
    } else if (result != 0) {
        rtpi_clear(c, RTPI_F_KEEP);
        rtpi_refuse(srv, c, result);
    }
    return 1;
}

static size_t rtpi_body_input(rtpush_server *srv, rtpush_conn *c, uint8_t *data,
                              size_t len) {
    int limited = rtpi_rate_bytes(srv, c) != RTPUSH_UNLIMITED;
    size_t paid;
    size_t n = 1;
    size_t i = 0;
    if (!rtpi_is_chunked(c) && len > c->in.http.left) {
        len = (size_t)c->in.http.left; // the next request is behind it
    }
    paid = rtpi_bytes_take(srv, c, 0, len);
    while (i < paid && n > 0 && c->state == RTPI_BODY) {
        n = c->in.http.left > 0 && c->in.http.step == RTPI_S_DATA
                ? rtpi_body_data(srv, c, data + i, paid - i)
                : rtpi_chunk_input(srv, c, data + i);
        i += n;
    }
    if (limited) { // only so many were taken
        c->byte_tokens = (uint16_t)(c->byte_tokens + (paid + 63u) / 64u - (i + 63u) / 64u);
    }
    return i;
}

// Calls the application for more of a long answer, while tx has room worth asking for.
RTPI_APART static int rtpi_pull_fill(rtpush_server *srv, rtpush_conn *c) {
    rtpi_answer *r = &c->out.reply;
    int chunked = (c->in.http.bits & RTPI_B_CHUNKED) != 0;
    uint32_t head = chunked ? 10u : 0;      // 8 digits and "\r\n"
    uint32_t tail = chunked ? 2u + 5u : 0u; // "\r\n" and the last chunk
    while (r->pull && !rtpi_has(c, RTPI_F_RETRY)) {
        rtpush_text *t = rtpi_tx_open(srv, c);
        uint32_t room = t->cap - t->len;
        int n;
        if (room < head + tail + srv->desc.tx_size / 4u) {
            return 1;
        }
        room -= head + tail;
        room = room > 32767u ? 32767u : room;
        room = r->to > 0 && room > r->to - r->at ? r->to - r->at : room;
        n = r->pull(srv, rtpi_handle(srv, c), r->user, r->at, t->data + t->len + head,
                    (size_t)room);
        if (c->state != RTPI_REPLY) {
            return 1;
        }
        if (n == RTPUSH_RETRY) {
            rtpi_retry_later(srv, c);
            return 1;
        }
        if (n < 0 || (uint32_t)n > room || (n == 0 && r->to > 0)) {
            // Cut short: the peer must not take it as complete.
            rtpi_end_at_once(srv, c, RTPUSH_REASON_APP);
            return 1;
        }
        c->due = rtpi_after(srv, srv->desc.reply_ms);
        r->at += (uint32_t)n;
        t = rtpi_tx_open(srv, c); // the callback may have written elsewhere
        if (chunked && n > 0) {
            rtpi_format(t, "%x\r\n", (uint32_t)n);
        }
        t->len += (uint32_t)n;
        if (chunked) {
            rtpi_put_text(t, n == 0 ? "0\r\n\r\n" : "\r\n");
        }
        if (n == 0 || (r->to > 0 && r->at == r->to)) {
            r->pull = NULL;
        }
        (void)rtpi_tx_commit(c, t);
    }
    return 1;
}

#define RTPI_KIND_ANSWERED ((uint8_t)(RTPUSH_GET | RTPUSH_HEAD))

const rtpush_kind rtpush_handler = {
    RTPI_KIND_LINKED | RTPI_KIND_METHODS, RTPI_KIND_ANSWERED, RTPI_CHECK(rtpi_check_handler), NULL,
    NULL, rtpi_open_handler, NULL, rtpi_pull_fill, NULL, NULL, NULL, NULL, rtpi_range_asked};

const rtpush_kind rtpush_upload = {
    RTPI_KIND_LINKED | RTPI_KIND_METHODS | RTPI_KIND_BODY, RTPI_KIND_ANSWERED,
    RTPI_CHECK(rtpi_check_upload), NULL, rtpi_judge_upload, rtpi_open_upload, rtpi_body_input,
    rtpi_pull_fill, NULL, NULL, NULL, NULL, rtpi_range_asked};

// >>file ------------------------------------------------------------------------------------------
// Files in const memory: RFC 9110 8.4 (Content-Encoding), 12.5.3 (weights), 13.1.2 (If-None-Match),
// 15.4.5 (304). rtpush_download answers Range too (RFC 9110 14), as handlers do.

// RFC 9110 8.4 (Content-Encoding), 13.1.2 (If-None-Match), 15.4.5 (304).
// RFC 9110 12.5.3: of the forms there are, the one the client weighs more, gzip where it weighs
// them alike. Without the field all are acceptable. Identity, if it is not named, comes last.
// Returns 0, or why it is refused.
RTPI_OWN_FRAME static unsigned rtpi_reply_asset(rtpush_server *srv, rtpush_conn *c,
                                                const rtpush_asset *a) {
    // An asset may be kept, so it varies by Origin also where none was sent: a cache must not give
    // the answer without Access-Control-Allow-Origin to a page that needs it.
    static const char *const fields[] = {"Content-Encoding", "gzip", "Vary",
                                         "Origin, Accept-Encoding", NULL, "Vary", "Origin", NULL};
    const uint16_t *accepts = c->out.asked.accepts;
    unsigned any = accepts[RTPI_ACCEPTS_ANY];
    unsigned zipped = accepts[RTPI_ACCEPTS_GZIP] ? accepts[RTPI_ACCEPTS_GZIP] : any;
    unsigned plain = accepts[RTPI_ACCEPTS_IDENTITY] ? accepts[RTPI_ACCEPTS_IDENTITY] : any;
    unsigned bits = c->in.http.bits;
    int gzip;
    rtpush_response r;
    memset(&r, 0, sizeof r);
    if (!(c->in.http.seen >> RTPI_H_ACCEPT_ENCODING & 1u)) {
        gzip = !a->data;
    } else {
        gzip = a->gzip && zipped > 1 && (!a->data || zipped >= plain);
    }
    if (!gzip && (!a->data || plain == 1)) { // 1: a weight of 0
        return RTPI_NO(406);
    }
    r.status = bits & (gzip ? RTPI_B_MATCH_GZIP : RTPI_B_MATCH) ? 304 : 200;
    r.body_static = 1;
    r.content_type = a->content_type;
    r.cache_control = a->cache_control ? a->cache_control : "no-cache";
    r.body = gzip ? a->gzip : a->data;
    r.len = gzip ? a->gzip_len : a->len;
    r.etag = a->etag;
    r.headers = gzip ? fields : a->gzip ? fields + 2 : fields + 5;
    return rtpi_reply(srv, c, &r, gzip ? RTPI_OWN_GZIP : RTPI_OWN) == RTPUSH_OK ? 0 : RTPI_NO(500);
}

// An ETag in If-None-Match against the asset's (RFC 9110 13.1.2: weak comparison).
static unsigned rtpi_match_etag(const rtpush_asset *a, const char *v) {
    if (strcmp(v, "*") == 0) {
        return RTPI_B_MATCH | RTPI_B_MATCH_GZIP;
    }
    v += v[0] == 'W' && v[1] == '/' ? 2 : 0;
    return rtpi_is_etag(v, a->etag, 0)   ? (unsigned)RTPI_B_MATCH
           : rtpi_is_etag(v, a->etag, 1) ? (unsigned)RTPI_B_MATCH_GZIP : 0u;
}

// The weight of a list's element in thousandths, from its parameters (RFC 9110 12.4.2). What is no
// weight is 0.
static unsigned rtpi_weight(const char *parameters) {
    const char *at = strchr(parameters, '=');
    unsigned weight = 0;
    unsigned unit = 1000;
    if (!at) {
        return unit;
    }
    while (unit > 0 && rtpi_hex_value((uint8_t)*++at) < 10) {
        weight += unit * rtpi_hex_value((uint8_t)*at);
        unit /= 10u;
        at += at[1] == '.';
    }
    return weight > 1000 ? 1000 : weight;
}

// An element of Accept-Encoding (RFC 9110 12.5.3), to its place in rtpi_asked.
RTPI_APART static void rtpi_accept_coding(rtpi_asked *asked, char *v) {
    size_t len = strcspn(v, "; \t");
    unsigned weight = rtpi_weight(v + len);
    unsigned coding;
    v[len] = '\0';
    // RFC 9110 8.4.1.3: x-gzip is gzip, which is the first.
    coding = rtpi_strlist_index(RTPI_CODINGS(RTPI_CODING_NAME) "x-gzip\0", v);
    if (coding <= RTPI_ACCEPTS_COUNT) {
        asked->accepts[coding % RTPI_ACCEPTS_COUNT] = (uint16_t)(weight + 1u);
    }
}

// What forms of a file the client takes, and has.
static unsigned rtpi_file_field(const rtpush_server *srv, rtpush_conn *c, unsigned header,
                                char *v) {
    if (header == RTPI_H_ACCEPT_ENCODING) {
        rtpi_accept_coding(&c->out.asked, v);
    } else if (header == RTPI_H_NONE_MATCH) {
        c->in.http.bits = (uint16_t)(c->in.http.bits |
                                     rtpi_match_etag(rtpi_route(srv, c)->asset, v));
    }
    return 0;
}

static unsigned rtpi_open_file(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    return rtpi_reply_asset(srv, c, req->route->asset);
}

const rtpush_kind rtpush_file = {
    RTPI_KIND_FOREIGN, RTPI_KIND_ANSWERED, RTPI_CHECK(rtpi_check_file), rtpi_file_field, NULL,
    rtpi_open_file, NULL, NULL, NULL, NULL, NULL, NULL, NULL};

const rtpush_kind rtpush_download = {
    RTPI_KIND_FOREIGN, RTPI_KIND_ANSWERED, RTPI_CHECK(rtpi_check_file), rtpi_file_field, NULL,
    rtpi_open_file, NULL, NULL, NULL, NULL, NULL, NULL, rtpi_range_asked};

// >>events ----------------------------------------------------------------------------------------
// Server-Sent Events (WHATWG HTML 9.2): a response that does not end, of which each record is one
// event. The client sends nothing more; what it sends is discarded.

static unsigned rtpi_open_events(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    rtpi_clear(c, RTPI_F_KEEP); // the stream ends with the connection: no chunks needed
    if (!rtpi_put_stream_head(srv, c, 0)) {
        return RTPI_NO(500);
    }
    if (req->method == RTPUSH_HEAD) { // RFC 9110 9.3.2
        rtpi_begin_reply(srv, c);
        return 0;
    }
    return rtpi_stream_open(srv, c, RTPI_FORM_SSE, srv->desc.keepalive_ms, req);
}

// Of event streams and WebSockets: is a keep-alive due?
static void rtpi_keepalive_timer(rtpush_server *srv, rtpush_conn *c) {
    if (!rtpi_passed(srv, c->due)) {
        return;
    }
    c->due = rtpi_after(srv, rtpi_keepalive_ms(srv, c->form));
    if (c->form != RTPI_FORM_RAW) {
        c->todo |= RTPI_TODO_ALIVE;
        rtpi_pending(srv, c);
        rtpi_ready(srv, c);
    }
}

static void rtpi_events_close(rtpush_server *srv, rtpush_conn *c, uint16_t code,
                              const char *close_reason, uint8_t reason) {
    (void)code;
    (void)close_reason;
    if (reason == RTPUSH_REASON_SHUTDOWN) {
        rtpi_put_retry(srv, c, 1);
    } else if (reason == RTPUSH_REASON_EXPIRED && RTPI_WAITS(srv, c)) {
        rtpush_text *t = rtpi_tx_open(srv, c); // its id is not one of ours
        rtpi_put_text(t, "event: rtpush\ndata: expired\n\n");
        (void)rtpi_tx_commit(c, t);
    } else if (reason == RTPUSH_REASON_EXPIRED) {
        (void)rtpi_put_event(srv, c, &rtpi_notice, (const uint8_t *)"expired", 7);
    }
    rtpi_begin_closing(srv, c, reason);
}

const rtpush_kind rtpush_events = {
    RTPI_KIND_STREAM | RTPI_KIND_NOT_NOW, RTPI_KIND_ANSWERED, RTPI_CHECK(rtpi_check_stream), NULL,
    rtpi_judge_stream, rtpi_open_events, NULL, rtpi_stream_fill, rtpi_keepalive_timer,
    rtpi_events_close, NULL, NULL, NULL};

// >>poll ------------------------------------------------------------------------------------------
// Long polling: a reader that lives for one answer. It waits until there is something for it or its
// time is over, then gets a notice if one is due, one sweep of the values and the records before
// `poll_end`, and ends with the id to ask on from.

// How long ?timeout=S, in whole seconds, lets a poll wait. 0 if it is none.
RTPI_OWN_FRAME static int rtpi_poll_wait(const rtpush_server *srv, const char *query,
                                         uint32_t *wait_ms) {
    char text[12];
    uint32_t seconds;
    int len = rtpush_query(query, "timeout", text, sizeof text);
    *wait_ms = srv->desc.poll_ms;
    if (len == RTPUSH_ERR_ARGUMENT) {
        return 1; // absent
    }
    if (len <= 0 || !rtpi_get_decimal(text, &seconds)) {
        return 0;
    }
    if (seconds <= *wait_ms / 1000u) {
        *wait_ms = seconds * 1000u;
    }
    return 1;
}

static unsigned rtpi_open_poll(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    int chunked = !(c->in.http.bits & RTPI_B_HTTP10);
    uint32_t wait_ms;
    (void)rtpi_poll_wait(srv, req->query, &wait_ms); // judged before
    if (!chunked) {
        rtpi_clear(c, RTPI_F_KEEP);
    }
    if (req->method == RTPUSH_HEAD && rtpi_put_stream_head(srv, c, chunked)) {
        rtpi_begin_reply(srv, c);
        return 0;
    }
    return rtpi_stream_open(srv, c, chunked ? RTPI_FORM_CHUNK : RTPI_FORM_TEXT, wait_ms, req);
}

// Its ?timeout is a number, and it names topics that are there.
static unsigned rtpi_judge_poll(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    uint32_t wait_ms;
    return rtpi_poll_wait(srv, req->query, &wait_ms) ? rtpi_judge_stream(srv, c, req)
                                                     : RTPI_NO(400);
}

#ifdef RTPUSH_GATEWAY
// ... where ids come from outside. One that waits ends with the id it came with.
static int rtpi_put_poll_end_id(const rtpush_server *srv, rtpush_conn *c, rtpush_text *t) {
    const rtpi_wait *w = &c->out.wait;
    int chunked = c->form == RTPI_FORM_CHUNK;
    int waits = c->notice == RTPI_NOTICE_WAITS;
    uint32_t floor = waits ? w->floor : 0;
    // 0x20 as below, and a word of 9 more
    rtpi_format(t, "%?%s\r\n%;id: %x-%x-%x%?-%x%;\n\n%?\r\n0\r\n\r\n%;", chunked,
                floor ? "20" : "29", waits ? w->epoch : srv->epoch,
                waits ? w->seq - 1 : rtpi_reader_id(&c->out.stream), floor ? floor : w->sweep_prev,
                floor == 0, srv->desc.seed, chunked);
    return rtpi_tx_commit(c, t);
}
#define RTPI_PUT_POLL_END_ID(srv, c, t) rtpi_put_poll_end_id(srv, c, t)
#else
#define RTPI_PUT_POLL_END_ID(srv, c, t) 0
#endif

// Poll: the end of the answer. Its id has the STATE revision too: without it the next poll would be
// answered at once, and so on for ever.
static int rtpi_put_poll_end(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    rtpush_text *t = rtpi_tx_open(srv, c);
    int chunked = c->form == RTPI_FORM_CHUNK; // 0x20 = "id: " 4 + 26 + LF LF 2
    if (RTPI_OUTSIDE(srv)) {
        return RTPI_PUT_POLL_END_ID(srv, c, t);
    }
    rtpi_format(t, chunked ? "20\r\nid: %x-%x-%x\n\n\r\n0\r\n\r\n" : "id: %x-%x-%x\n\n",
                srv->epoch, rtpi_reader_id(s), s->sweep_prev);
    return rtpi_tx_commit(c, t);
}

// Begins or ends the answer to a poll. 0: not yet.
static int rtpi_output_poll(rtpush_server *srv, rtpush_conn *c) {
    rtpi_stream *s = &c->out.stream;
    const rtpi_record *rec;
    srv->passes = RTPI_PASSES;
    if (!rtpi_has(c, RTPI_F_ANSWER)) {
        if (!(c->todo & RTPI_TODO_NOW) && !rtpi_stream_changed(srv, c)) {
            return 0;
        }
        if (!rtpi_put_stream_head(srv, c, c->form == RTPI_FORM_CHUNK)) {
            rtpi_refuse(srv, c, RTPI_NO(500)); // the head does not fit tx_size
            return 1;
        }
        rtpi_set(c, RTPI_F_ANSWER);
        c->todo = srv->sweep ? 0 : RTPI_TODO_SWEPT;
    }
    if (RTPI_WAITS(srv, c)) { // its time is over
        if (rtpi_put_poll_end(srv, c)) {
            rtpi_begin_reply(srv, c);
        }
        return 1;
    }
    if (c->notice != RTPI_NOTICE_NONE) { // so once: the first notice
        c->in.http.at.poll_end = srv->limit_seq;
        (void)rtpi_reader_next(srv, s);
        if (!rtpi_put_notice(srv, c)) {
            return 1;
        }
    }
    rtpi_stream_fill(srv, c);
    if (c->state != RTPI_STREAM || s->part > 0 || s->gap_from != 0 ||
        !(c->todo & RTPI_TODO_SWEPT)) {
        return 1;
    }
    rec = rtpi_reader_next(srv, s);
    if (s->gap_from != 0 || rtpi_reader_gets(c, s->seq)) {
        if (rec == NULL) { // more records to examine: others first
            srv->sweep_due = 1;
        }
    } else if (rtpi_put_poll_end(srv, c)) {
        rtpi_begin_reply(srv, c);
    }
    return 1;
}

// A waiting poll is answered now with what there is; an answer that has begun goes on.
static void rtpi_poll_answer(rtpush_server *srv, rtpush_conn *c) {
    if (!rtpi_has(c, RTPI_F_ANSWER)) {
        c->todo |= RTPI_TODO_NOW;
    }
    rtpi_ready(srv, c);
}

static size_t rtpi_poll_input(rtpush_server *srv, rtpush_conn *c, uint8_t *data, size_t len) {
    (void)srv;
    (void)c;
    (void)data;
    (void)len;
    return 0; // the next request waits until this one is answered
}

static void rtpi_poll_timer(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_passed(srv, c->due)) {
        rtpi_poll_answer(srv, c);
        rtpi_pending(srv, c);
        c->due = rtpi_after(srv, srv->desc.stall_ms);
    }
}

static void rtpi_poll_close(rtpush_server *srv, rtpush_conn *c, uint16_t code,
                            const char *close_reason, uint8_t reason) {
    (void)code;
    (void)close_reason;
    (void)reason;
    rtpi_poll_answer(srv, c);
}

const rtpush_kind rtpush_poll = {
    RTPI_KIND_STREAM, RTPI_KIND_ANSWERED, RTPI_CHECK(rtpi_check_stream), NULL,
    rtpi_judge_poll, rtpi_open_poll, rtpi_poll_input, rtpi_output_poll, rtpi_poll_timer,
    rtpi_poll_close, NULL, NULL, NULL};

// >>websocket -------------------------------------------------------------------------------------
// RFC 6455 5. rtpi_ws_header reads a frame's header from the bytes that are there. It judges each
// byte as soon as it is, so a broken peer is told at once, and it does not matter where the input
// is cut: what is there of a header waits in the last 125 of the rx bytes. Those else hold the
// payload of a control frame, which may come between the fragments of a message (5.4); while a pong
// waits for room in tx nothing is read. The other rx bytes gather data.
//
//   left 0    a header is next -> rtpi_ws_frame
//   else      payload: of a control frame -> kept, and acted on at its end
//                      of a message -> given from the input where it stands, if nothing waits in rx
//                      and it is the rest of the message or, with STREAM_MESSAGES, fills rx at
//                      least; else gathered in rx until it is so
//
// What the application does not take now waits in rx; a piece that is larger is masked again and
// stays with the port. No further byte is read then: TCP holds the peer back, and with it our own
// pong deadline. After each step the state is read again: rtpi_ws_input.

// RFC 6455 4.1: the key is 16 bytes in base64, so 22 characters and "==".
static int rtpi_ws_key_valid(const char *key) {
    return rtpi_text_run(key, RTPI_C_BASE64) == 22 && strcmp(key + 22, "==") == 0;
}

// RFC 6455 5.3: copies and unmasks; `out` may be `in`. The mask is a word as it lies in memory, its
// first byte is for the next byte of payload. Returns the mask for what follows.
static inline uint32_t rtpi_unmask(uint8_t *out, const uint8_t *in, size_t len, uint32_t mask) {
    uint8_t twice[8];
    size_t i = 0;
#if RTPI_WIDE
    i = rtpi_unmask_wide(out, in, len, (uint64_t)mask << 32 | mask);
#endif
    for (; i < len - len % 4; i += 4) {
        uint32_t word;
        memcpy(&word, in + i, 4);
        word ^= mask;
        memcpy(out + i, &word, 4);
    }
    memcpy(twice, &mask, 4);
    memcpy(twice + 4, &mask, 4);
    for (; i < len; i++) {
        out[i] = (uint8_t)(in[i] ^ twice[i & 3u]);
    }
    memcpy(&mask, twice + (len & 3u), 4); // turned to the byte behind them
    return mask;
}

// rtpi_ws.bits: of the message under way. What the connection owes is in rtpush_conn.todo.
enum {
    RTPI_WS_PIECE = 1,   // a first piece of this message was delivered
    RTPI_WS_DELIVER = 2, // rx holds a piece the application has not taken
    RTPI_WS_CLOSED = 4   // the peer's Close came, or it is given up: nothing is read any more
};

// RFC 6455 4.2.2: the client's first that we know.
static unsigned rtpi_websocket_field(const rtpush_server *srv, rtpush_conn *c, unsigned header,
                                     char *v) {
    rtpi_http *h = &c->in.http;
    if (header == RTPI_H_PROTOCOL && h->subprotocol == 0) {
        int i = rtpi_find(rtpi_route(srv, c)->subprotocols, v);
        h->subprotocol = i >= 0 ? (uint8_t)(i + 1) : strcmp(v, "rtpush.1") == 0 ? 255 : 0;
    }
    return 0;
}

// RFC 6455 4.2.1: what a valid opening handshake has.
static unsigned rtpi_upgrade_check(const rtpush_conn *c) {
    unsigned bits = c->in.http.bits;
    const char *key = rtpi_kept(c, RTPI_H_KEY);
    if (!(bits & RTPI_B_VERSION13) && (c->in.http.seen >> RTPI_H_VERSION & 1u)) {
        return RTPI_NO(426); // RFC 6455 4.4
    }
    return (bits & (RTPI_B_HTTP10 | RTPI_B_UPGRADE | RTPI_B_VERSION13)) ==
                       (RTPI_B_UPGRADE | RTPI_B_VERSION13) &&
                   key && rtpi_ws_key_valid(key)
               ? 0 : RTPI_NO(400);
}

RTPI_OWN_FRAME static int rtpi_put_upgrade(rtpush_server *srv, rtpush_conn *c,
                                           const rtpush_request *req) {
    uint8_t digest[20];
    // RFC 6455 4.2.2 /5.4: SHA-1 of key and GUID, put together where the answer goes (tx_size is
    // 256 at least).
    rtpush_text *t = rtpi_tx_open(srv, c);
    rtpi_format(t, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", rtpi_kept(c, RTPI_H_KEY));
    rtpi_sha1(t->data, (size_t)t->len, digest);
    t->len = 0;
    rtpi_put_text(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    rtpi_put_base64(t, digest, sizeof digest, 0);
    rtpi_format(t, "\r\n%?Sec-WebSocket-Protocol: %s\r\n%;\r\n", req->subprotocol != NULL,
                req->subprotocol);
    return rtpi_tx_commit(c, t);
}

static unsigned rtpi_open_websocket(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    uint8_t form = c->in.http.subprotocol == 255 ? RTPI_FORM_TAGGED : RTPI_FORM_RAW;
    if (!(c->in.http.bits & RTPI_B_WEBSOCKET)) { // RFC 9110 15.5.22
        return RTPI_NO(426);
    }
    return rtpi_put_upgrade(srv, c, req)
               ? rtpi_stream_open(srv, c, form, rtpi_keepalive_ms(srv, form), req)
               : RTPI_NO(500);
}

// Without an upgrade it is judged all the same, and refused later: a page that is not told the
// status of a WebSocket learns by a plain request whether it is let in.
static unsigned rtpi_judge_websocket(rtpush_server *srv, rtpush_conn *c, rtpush_request *req) {
    unsigned refusal = c->in.http.bits & RTPI_B_WEBSOCKET ? rtpi_upgrade_check(c) : 0;
    return refusal ? RTPI_NO_FOR(refusal, RTPUSH_REASON_UPGRADE) : rtpi_judge_stream(srv, c, req);
}

#define RTPI_WS_HEADER_MAX 14u // 2, length 8, mask 4

static uint32_t rtpi_ws_room(const rtpush_server *srv) {
    return srv->desc.rx_size - RTPI_CONTROL_MAX;
}

// The bytes for the payload of a control frame, or for a header.
static uint8_t *rtpi_ws_kept(const rtpush_server *srv, const rtpush_conn *c) {
    return rtpi_tx(srv, c) - RTPI_CONTROL_MAX;
}

// May a piece be handed over from the input? Nothing stands before it, and it may be written to.
static int rtpi_ws_may_give(const rtpush_server *srv, const rtpush_conn *c) {
    return c->rx_used == 0 && (rtpi_filtered(c) || !(srv->hooks.flags & RTPUSH_INPUT_CONST));
}

// Queues a frame. Returns where the caller writes its payload at once. NULL: no room now.
static inline uint8_t *rtpi_ws_put(const rtpush_server *srv, rtpush_conn *c, unsigned first,
                                   uint32_t len) {
    uint32_t size = 2u + rtpi_length_bytes(len) + len;
    uint8_t *end;
    if (size > srv->desc.tx_size - rtpi_tx_queued(c)) {
        return NULL;
    }
    end = rtpi_tx_front(srv, c) + c->tx_len + size;
    c->tx_len = (uint16_t)(c->tx_len + size);
    (void)rtpi_frame_header(end - len, first, len);
    return end - len;
}

// Queues a Close frame (RFC 6455 5.5.1). Code 1005: one without a body.
static int rtpi_ws_put_close(rtpush_server *srv, rtpush_conn *c, unsigned code,
                             const char *close_reason) {
    uint32_t len = close_reason ? (uint32_t)strlen(close_reason) : 0;
    uint8_t *to = rtpi_ws_put(srv, c, 0x88, code == 1005 ? 0 : len + 2u);
    if (!to) {
        return 0;
    }
    if (code != 1005) {
        to[0] = (uint8_t)(code >> 8);
        to[1] = (uint8_t)code;
        memcpy(to + 2, close_reason ? close_reason : "", len);
    }
    rtpi_set(c, RTPI_F_CLOSE_SENT);
    rtpi_clear(c, RTPI_F_CLOSE_DUE);
    return 1;
}

// Both sides have sent Close, or we failed the connection: the server ends TCP (RFC 6455 7.1.1).
static void rtpi_ws_closed(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_has(c, RTPI_F_CLOSE_SENT) && (c->in.ws.bits & RTPI_WS_CLOSED)) {
        rtpi_begin_closing(srv, c, c->reason);
    }
}

// Begins or answers the closing handshake. Without room now it is sent, bare, when there is.
static void rtpi_ws_close(rtpush_server *srv, rtpush_conn *c, uint16_t code,
                          const char *close_reason, uint8_t reason) {
    if (!rtpi_has(c, RTPI_F_CLOSE_SENT | RTPI_F_CLOSE_DUE)) {
        rtpi_set_reason(c, reason);
        if (!rtpi_ws_put_close(srv, c, code, close_reason)) {
            rtpi_set(c, RTPI_F_CLOSE_DUE);
            c->in.ws.close_code = code;
        }
        c->due = rtpi_after(srv, srv->desc.close_ms);
        rtpi_pending(srv, c);
        rtpi_ready(srv, c);
    }
    rtpi_ws_closed(srv, c);
}

// RFC 6455 7.1.7: fail the connection. What came before the fault has been answered.
static void rtpi_ws_fail(rtpush_server *srv, rtpush_conn *c, unsigned code) {
    uint8_t reason = code == 1007   ? RTPUSH_REASON_WS_UTF8
                  : code == 1009 ? RTPUSH_REASON_WS_TOO_BIG : RTPUSH_REASON_WS_PROTOCOL;
    c->in.ws.bits = RTPI_WS_CLOSED;
    rtpi_ws_close(srv, c, (uint16_t)code, NULL, reason);
}

// RFC 6455 7.4.1 and 7.4.2: codes that may stand in a frame; 1012 to 1014 came by the registry.
static int rtpi_ws_code_valid(unsigned code) {
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static uint32_t rtpi_ws_max(const rtpush_server *srv, const rtpush_route *route) {
    return route->max_message > 0                     ? route->max_message
           : route->flags & RTPUSH_STREAM_MESSAGES ? ~(uint32_t)0 : rtpi_ws_room(srv);
}

// Reads the header of a frame from the bytes there are; `open` is the opcode of the message under
// way, 0 none. Returns the bytes of the header, 0 if more are needed, or the close code to fail
// with.
RTPI_APART static unsigned rtpi_ws_header(const uint8_t *at, size_t len, unsigned open,
                                          uint32_t *left) {
    const unsigned opcode = at[0] & 15u;
    const unsigned allowed = open ? 0x0701u : 0x0706u; // 5.4: a continuation only inside a message
    unsigned size = 2;
    unsigned i;
    if ((at[0] & 0x70) || !(allowed >> opcode & 1u) || (opcode >= 8 && !(at[0] & 0x80))) {
        return 1002; // RFC 6455 5.2: RSV without an extension, a reserved opcode; 5.5: a control
    }                // frame in fragments
    if (len < 2) {
        return 0;
    }
    *left = at[1] & 127u;
    if (!(at[1] & 0x80) || (opcode >= 8 && *left > RTPI_CONTROL_MAX)) {
        return 1002; // RFC 6455 5.1: a client must mask; 5.5
    }
    if (*left > 125) { // 5.2: network order, the shortest form only
        size = *left == 126 ? 4u : 10u;
        for (*left = 0, i = 2; i < size && i < len; i++) {
            *left = *left << 8 | at[i];
            if (size == 10 && i < 6 && *left > 0) { // the first bit must be 0; 1009: over 32 bits
                return i == 2 && *left > 127 ? 1002 : 1009;
            }
        }
        if (i == size && *left < (size == 4 ? 126u : 65536u)) {
            return 1002;
        }
    }
    return len < size + 4 ? 0 : size + 4;
}

// Do n more bytes end the message?
static unsigned rtpi_ws_last(const rtpi_ws *w, size_t n) {
    return w->left == n && w->first >= 0x80;
}

// Hands a piece to the application. 0: not taken, or the stream has ended.
RTPI_CHECKED static inline int rtpi_ws_give(rtpush_server *srv, rtpush_conn *c, const uint8_t *data,
                                            size_t len, unsigned last) {
    rtpi_ws *w = &c->in.ws;
    const rtpush_route *route = &srv->desc.routes[c->route];
    rtpush_message m;
    m.data = data;
    m.len = len;
    m.opcode = w->opcode;
    m.first = !(w->bits & RTPI_WS_PIECE);
    m.last = (uint8_t)last;
    if (!rtpi_has(c, RTPI_F_CLOSE_SENT | RTPI_F_CLOSE_DUE) && route->on_message &&
        rtpi_not_taken(route->on_message(srv, rtpi_handle(srv, c), &m))) {
        rtpi_retry_later(srv, c);
        return 0;
    }
    if (c->state != RTPI_STREAM) {
        return 0;
    }
    w->bits = RTPI_WS_PIECE;
    if (last) {
        srv->count.messages_in++;
        w->opcode = 0;
    }
    return 1;
}

// Hands over or sends what waits.
static inline void rtpi_ws_flush(rtpush_server *srv, rtpush_conn *c) {
    const rtpi_ws *w = &c->in.ws;
    if (w->bits & RTPI_WS_DELIVER) {
        if (!rtpi_ws_give(srv, c, rtpi_rx(c), c->rx_used, rtpi_ws_last(w, 0))) {
            return;
        }
        c->rx_used = 0;
    }
    if (c->todo & RTPI_TODO_PONG) { // RFC 6455 5.5.3: the ping's own payload
        if (!rtpi_has(c, RTPI_F_CLOSE_SENT)) {
            uint8_t *to = rtpi_ws_put(srv, c, 0x8A, w->control_len);
            if (!to) {
                return;
            }
            memcpy(to, rtpi_ws_kept(srv, c), w->control_len);
        }
        c->todo &= (uint8_t)~RTPI_TODO_PONG;
        rtpi_ready(srv, c);
    }
}

// RFC 6455 5.5.1: the peer's Close.
static void rtpi_ws_close_frame(rtpush_server *srv, rtpush_conn *c, const uint8_t *payload) {
    size_t len = c->in.ws.control_len;
    unsigned code = 1005;
    unsigned fail = len == 1 ? 1002 : 0;
    if (len >= 2) {
        code = (unsigned)payload[0] << 8 | payload[1];
        fail = !rtpi_ws_code_valid(code) ? 1002
               : rtpi_utf8(RTPI_UTF8_OK, payload + 2, len - 2) != RTPI_UTF8_OK ? 1007 : 0u;
    }
    if (fail) {
        rtpi_ws_fail(srv, c, fail);
        return;
    }
    c->in.ws.code = (uint16_t)code;
    c->in.ws.bits = RTPI_WS_CLOSED;
    rtpi_ws_close(srv, c, (uint16_t)code, NULL, RTPUSH_REASON_NONE);
}

// Takes n bytes of a control frame and acts on one that is whole.
static void rtpi_ws_control(rtpush_server *srv, rtpush_conn *c, const uint8_t *from, size_t n) {
    rtpi_ws *w = &c->in.ws;
    uint8_t *p = rtpi_ws_kept(srv, c);
    w->mask = rtpi_unmask(p + w->control_len, from, n, w->mask);
    w->control_len = (uint8_t)(w->control_len + n);
    w->left -= (uint32_t)n;
    if (w->left > 0) {
        return;
    }
    if (w->first == 0x88) {
        rtpi_ws_close_frame(srv, c, p);
    } else if (w->first == 0x89) {
        c->todo |= RTPI_TODO_PONG;
        rtpi_ws_flush(srv, c);
    } else if (w->control_len == 4) { // RFC 6455 5.5.3: an answer to our ping, or to none
        uint32_t rtt;
        memcpy(&rtt, p, sizeof rtt);
        rtt = srv->now_ms - rtt;
        w->rtt_ms = rtt < 60000u ? (uint16_t)(rtt + 1u) : w->rtt_ms;
    }
}

// Begins the frame whose header is complete. 0: its message is larger than the route takes.
static int rtpi_ws_begin(const rtpush_server *srv, rtpush_conn *c, uint8_t first,
                              uint32_t left) {
    rtpi_ws *w = &c->in.ws;
    uint32_t max = rtpi_ws_max(srv, &srv->desc.routes[c->route]);
    w->first = first;
    w->left = left;
    w->header_len = w->control_len = 0;
    if (first & 8) {
        return 1;
    }
    if (first & 15) {
        w->opcode = first & 15;
        w->utf8 = RTPI_UTF8_OK;
        w->total = 0;
        w->bits = 0;
    }
    if (max != ~(uint32_t)0 && left > max - w->total) {
        return 0; // total never passes max
    }
    w->total += left;
    return 1;
}

// Takes data of a message, of which n bytes are there: in place, or to rx. Returns how many.
static size_t rtpi_ws_data(rtpush_server *srv, rtpush_conn *c, uint8_t *from, size_t n) {
    rtpi_ws *w = &c->in.ws;
    const rtpush_route *route = &srv->desc.routes[c->route];
    const uint32_t room = rtpi_ws_room(srv) - c->rx_used;
    const uint16_t tokens = c->byte_tokens;
    uint32_t most = room;
    uint8_t *rx = rtpi_rx(c);
    uint8_t *to = rx + c->rx_used;
    uint8_t utf8 = w->utf8;
    uint32_t mask;
    unsigned last, piece;
    if (rtpi_ws_may_give(srv, c)) {
        most = route->piece > room ? route->piece : room;
        to = from;
    }
    n = rtpi_bytes_take(srv, c, w->total - w->left, n < most ? n : most);
    last = rtpi_ws_last(w, n);
    piece = last || (n >= room && (route->flags & RTPUSH_STREAM_MESSAGES));
    to = piece ? to : rx + c->rx_used;
    mask = rtpi_unmask(to, from, n, w->mask);
    if (w->opcode == RTPUSH_TEXT_MESSAGE) {
        utf8 = rtpi_utf8(utf8, to, n);
    }
    if (utf8 == RTPI_UTF8_BAD || (last && utf8 != RTPI_UTF8_OK)) {
        rtpi_ws_fail(srv, c, 1007);
        return n;
    }
    if (to == from) {
        piece = 0; // handed over, or for later
        if (!rtpi_ws_give(srv, c, from, n, last)) {
            if (n > room) { // as it came
                (void)rtpi_unmask(from, from, n, w->mask);
                c->byte_tokens = tokens;
                return 0;
            }
            memcpy(rx, from, n);
            c->rx_used = (uint16_t)n;
            w->bits |= RTPI_WS_DELIVER;
        }
    } else {
        c->rx_used = (uint16_t)(c->rx_used + n);
    }
    w->mask = mask;
    w->utf8 = utf8;
    w->left -= (uint32_t)n;
    if (piece) {
        w->bits |= RTPI_WS_DELIVER;
        rtpi_ws_flush(srv, c);
    }
    return n;
}

// Reads a header, as far as it is there. Returns how many bytes it took.
RTPI_APART static size_t rtpi_ws_frame(rtpush_server *srv, rtpush_conn *c, uint8_t *data,
                                       size_t len) {
    rtpi_ws *w = &c->in.ws;
    const uint8_t *header = data;
    unsigned before = w->header_len;
    uint32_t left;
    unsigned size;
    if (before > 0 || len < RTPI_WS_HEADER_MAX) {
        uint8_t *kept = rtpi_ws_kept(srv, c);
        len = len < RTPI_WS_HEADER_MAX - before ? len : RTPI_WS_HEADER_MAX - before;
        memcpy(kept + before, header, len);
        header = kept;
    }
    size = rtpi_ws_header(header, before + len, w->opcode, &left);
    if (size == 0) {
        w->header_len = (uint8_t)(before + len);
        return len;
    }
    if (size > RTPI_WS_HEADER_MAX) {
        rtpi_ws_fail(srv, c, size);
        return len;
    }
    if (!rtpi_token_take(srv, c)) {
        return 0; // a frame is paid when its header is complete
    }
    memcpy(&w->mask, header + size - 4, 4);
    if (!rtpi_ws_begin(srv, c, header[0], left)) {
        rtpi_ws_fail(srv, c, 1009);
    }
    return size - before;
}

#if RTPI_WIDE
// Takes the tokens of a frame and its n bytes, or none and returns 0.
static inline int rtpi_ws_pay(rtpush_server *srv, rtpush_conn *c, uint32_t n) {
    const uint16_t tokens = c->byte_tokens;
    if (!rtpi_token_take(srv, c)) {
        return 0;
    }
    if (rtpi_bytes_take(srv, c, 0, n) < n) {
        c->byte_tokens = tokens;
        c->tokens++;
        return 0;
    }
    return 1;
}

// Most messages: one frame, whole in the input and no larger than the rx bytes, with nothing of
// another under way. Does what the functions above do, without their questions: those that only
// the first needs are asked once. Returns how many bytes it took; the rest those must look at.
static inline size_t rtpi_ws_wholes(rtpush_server *srv, rtpush_conn *c, uint8_t *data,
                                    size_t len) {
    const rtpush_route *route = &srv->desc.routes[c->route];
    const uint32_t room = rtpi_ws_room(srv);
    const uint32_t max = route->max_message - 1u < room ? route->max_message : room; // 0: none
    const int limited = srv->desc.rate_messages != RTPUSH_UNLIMITED ||
                        rtpi_rate_bytes(srv, c) != RTPUSH_UNLIMITED;
    const rtpush_handle conn = rtpi_handle(srv, c);
    rtpi_ws *w = &c->in.ws;
    rtpush_message m;
    size_t at = 0;
    m.first = m.last = 1;
    if ((w->header_len | w->opcode) != 0 || w->left != 0 || !rtpi_ws_may_give(srv, c)) {
        return 0;
    }
    while (len - at >= 8) {
        uint8_t *frame = data + at;
        uint32_t n = frame[1] - 128u; // 5.1: masked
        uint32_t size = 6;
        uint32_t mask;
        size_t i;
        if (n >= 126) {
            if (n > 126) {
                break;
            }
            n = (uint32_t)frame[2] << 8 | frame[3];
            n = n < 126 ? ~(uint32_t)0 : n; // 5.2: not the shortest form
            size = 8;
        }
        m.opcode = frame[0] & 15;
        if (frame[0] - 0x81u > 1u || n > max || n > len - at - size || // 5.2: FIN, text or binary
            (limited && !rtpi_ws_pay(srv, c, n))) {
            break;
        }
        memcpy(&mask, frame + size - 4, 4);
        frame += size;
        at += size + n;
        i = rtpi_unmask_wide(frame, frame, n, (uint64_t)mask << 32 | mask);
        for (; i < n; i++) {
            frame[i] ^= (frame - 4)[i & 3u];
        }
        if (m.opcode == RTPUSH_TEXT_MESSAGE && rtpi_utf8(RTPI_UTF8_OK, frame, n) != RTPI_UTF8_OK) {
            rtpi_ws_fail(srv, c, 1007);
            break;
        }
        m.data = frame;
        m.len = n;
        if (!rtpi_has(c, RTPI_F_CLOSE_SENT | RTPI_F_CLOSE_DUE) && route->on_message &&
            rtpi_not_taken(route->on_message(srv, conn, &m))) {
            rtpi_retry_later(srv, c);
            w->first = (uint8_t)(0x80u | m.opcode);
            w->opcode = m.opcode;
            w->utf8 = RTPI_UTF8_OK;
            w->bits = RTPI_WS_DELIVER;
            memcpy(rtpi_rx(c), frame, n);
            c->rx_used = (uint16_t)n;
            break;
        }
        if (c->state != RTPI_STREAM) {
            break;
        }
        srv->count.messages_in++;
    }
    return at;
}
#endif

// Is nothing more to be read now? After a callback anything may have happened.
static int rtpi_ws_stopped(const rtpush_conn *c) {
    return c->state != RTPI_STREAM || (c->todo & RTPI_TODO_PONG) ||
           (c->in.ws.bits & (RTPI_WS_DELIVER | RTPI_WS_CLOSED));
}

static size_t rtpi_ws_input(rtpush_server *srv, rtpush_conn *c, uint8_t *data, size_t len) {
    const rtpi_ws *w = &c->in.ws;
    size_t i = 0;
    size_t n;
    if (!RTPI_WIDE || rtpi_ws_stopped(c)) { // where size counts it asks itself
        rtpi_ws_flush(srv, c);
    }
#if RTPI_WIDE
    if (!rtpi_ws_stopped(c)) {
        i = rtpi_ws_wholes(srv, c, data, len);
        if (i == len) {
            return len;
        }
    }
#endif
    while (i < len && !rtpi_ws_stopped(c)) {
        if (w->left == 0) {
            n = rtpi_ws_frame(srv, c, data + i, len - i);
            i += n;
            if (n == 0 || w->header_len > 0 || (w->bits & RTPI_WS_CLOSED)) {
                break;
            }
        }
        n = len - i < w->left ? len - i : (size_t)w->left; // 0: an empty frame, or no more input
        if (w->first & 8) {
            rtpi_ws_control(srv, c, data + i, n);
        } else {
            n = rtpi_ws_data(srv, c, data + i, n);
        }
        i += n;
        if (n == 0 && w->left > 0) {
            break;
        }
    }
    if (c->state != RTPI_STREAM || (w->bits & RTPI_WS_CLOSED)) {
        return len; // the rest is discarded
    }
    return i;
}

// Control frames of our own that are due.
static void rtpi_ws_put_control(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_has(c, RTPI_F_CLOSE_DUE) &&
        rtpi_ws_put_close(srv, c, c->in.ws.close_code, NULL)) {
        rtpi_ws_closed(srv, c);
    } else if ((c->todo & RTPI_TODO_NOW) && !rtpi_has(c, RTPI_F_CLOSE_SENT)) {
        uint8_t *to = rtpi_ws_put(srv, c, 0x89, 4);
        if (to) {
            memcpy(to, &srv->now_ms, 4); // comes back in the pong: the round-trip time
            c->todo = (uint8_t)((c->todo & ~RTPI_TODO_NOW) | RTPI_TODO_DONE);
            c->heard = (uint16_t)srv->quarter;
        }
    }
}

// After ping_ms of silence a WebSocket gets a ping; after as long again it is ended at once.
static void rtpi_websocket_timer(rtpush_server *srv, rtpush_conn *c) {
    const uint32_t wait = srv->desc.ping_ms;
    if (rtpi_has(c, RTPI_F_CLOSE_SENT | RTPI_F_CLOSE_DUE)) {
        if (rtpi_passed(srv, c->due) && rtpi_over(srv, c, srv->desc.close_ms)) {
            rtpi_begin_closing(srv, c, RTPUSH_REASON_TIMEOUT_CLOSE);
        }
        return;
    }
    if (rtpi_passed(srv, rtpi_later(c->heard, wait))) {
        if (!(c->todo & (RTPI_TODO_NOW | RTPI_TODO_DONE))) {
            c->todo |= RTPI_TODO_NOW;
            rtpi_ready(srv, c);
        } else if (!rtpi_has(c, RTPI_F_REFUSED) &&
                   ((rtpi_arrived(srv, c) && !srv->hooks.pending) ||
                    rtpi_passed(srv, rtpi_later(c->moved, wait)))) {
            rtpi_end_at_once(srv, c, RTPUSH_REASON_TIMEOUT_PONG);
            return;
        } // else we do not read its pong, or the ping is behind what it reads slowly, or has come
          // through a moment ago
        c->heard = (uint16_t)srv->quarter;
    }
    rtpi_scan_at16(srv, rtpi_later(c->heard, wait));
    rtpi_keepalive_timer(srv, c);
}

static int rtpi_websocket_fill(rtpush_server *srv, rtpush_conn *c) {
    rtpi_ws_put_control(srv, c);
    return rtpi_stream_fill(srv, c); // nothing behind a Close
}

static void rtpi_websocket_close(rtpush_server *srv, rtpush_conn *c, uint16_t code,
                                 const char *close_reason, uint8_t reason) {
    if (reason == RTPUSH_REASON_PEER_CLOSED) { // RFC 6455 7.1.5: 1006
        rtpi_begin_closing(srv, c, reason);
    } else {
        rtpi_ws_close(srv, c, code, close_reason, reason);
    }
}

static void rtpi_websocket_progress(rtpush_server *srv, rtpush_conn *c) {
    const rtpush_route *route = rtpi_route(srv, c);
    if (rtpi_has(c, RTPI_F_RETRY) || (c->todo & RTPI_TODO_PONG)) {
        rtpi_clear(c, RTPI_F_RETRY);
        rtpi_ready(srv, c);
    }
    if ((c->todo & RTPI_TODO_WRITABLE) && rtpi_tx_queued(c) <= srv->desc.tx_size / 2u) {
        c->todo &= (uint8_t)~RTPI_TODO_WRITABLE;
        if (route->on_writable && rtpi_may_send(c)) {
            route->on_writable(srv, rtpi_handle(srv, c));
        }
    }
}

static void rtpi_websocket_closed(const rtpush_server *srv, const rtpush_conn *c,
                                  rtpush_closed *closed) {
    closed->close_code = c->in.ws.code;
    // Its Close is the last frame that was read.
    if (closed->close_code != 1005 && closed->close_code != 1006) {
        closed->close_reason = (const char *)rtpi_tx(srv, c) - RTPI_CONTROL_MAX + 2;
        closed->close_reason_len = (uint8_t)(c->in.ws.control_len - 2);
    }
}

const rtpush_kind rtpush_websocket = {
    RTPI_KIND_STREAM | RTPI_KIND_TWO_WAY, RTPUSH_GET, RTPI_CHECK(rtpi_check_websocket),
    rtpi_websocket_field, rtpi_judge_websocket, rtpi_open_websocket, rtpi_ws_input,
    rtpi_websocket_fill, rtpi_websocket_timer, rtpi_websocket_close, rtpi_websocket_progress,
    rtpi_websocket_closed, NULL};

// >>init ------------------------------------------------------------------------------------------
// The rest of the checks, defaults, and the parts of the memory.

// The times of rtpush_desc, one behind the other, and their defaults in quarter seconds.
#define RTPI_TIMES(X) \
    X(head_ms, 40) \
    X(body_ms, 120) \
    X(idle_ms, 60) \
    X(reply_ms, 120) \
    X(ping_ms, 80) \
    X(stall_ms, 80) \
    X(close_ms, 8) \
    X(keepalive_ms, 20) \
    X(poll_ms, 100) \
    X(retry_ms, 8)
#define RTPI_TIME_ENUM(field, quarters) RTPI_T_##field,
#define RTPI_TIME_DEFAULT(field, quarters) quarters,
#define RTPI_TIME_NAME(field, quarters) #field "\0"
#define RTPI_TIME_AT(i) (offsetof(rtpush_desc, head_ms) + (size_t)(i) * sizeof(uint32_t))
#define RTPI_TIME_CHECK(field, quarters) \
    RTPI_HOLDS(field, offsetof(rtpush_desc, field) == RTPI_TIME_AT(RTPI_T_##field));
enum { RTPI_TIMES(RTPI_TIME_ENUM) RTPI_TIME_COUNT };
RTPI_TIMES(RTPI_TIME_CHECK)

RTPI_APART static void rtpi_defaults(rtpush_desc *d) {
    static const uint8_t times[] = {RTPI_TIMES(RTPI_TIME_DEFAULT)};
    unsigned i;
    for (i = 0; i < RTPI_TIME_COUNT; i++) {
        uint32_t ms;
        memcpy(&ms, (uint8_t *)d + RTPI_TIME_AT(i), sizeof ms);
        ms = ms ? ms : times[i] * 250u;
        memcpy((uint8_t *)d + RTPI_TIME_AT(i), &ms, sizeof ms);
    }
    d->rx_size = d->rx_size ? d->rx_size : 512u;
    d->tx_size = d->tx_size ? d->tx_size : 512u;
    d->log_size &= ~(uint32_t)3u;
    d->seed = d->seed ? d->seed : d->epoch;
    d->rate_messages = d->rate_messages ? d->rate_messages : 200u;
    d->rate_bytes = d->rate_bytes ? d->rate_bytes : 262144u;
    if (d->max_streams == 0) {
        d->max_streams = d->conn_count > 1 ? d->conn_count - 1 : 1;
    }
}

// Returns the bytes of all values.
static uint32_t rtpi_topic_masks(rtpush_server *srv) {
    uint32_t bytes = 0;
    unsigned i;
    for (i = 0; i < srv->desc.topic_count; i++) {
        const rtpush_topic *t = &srv->desc.topics[i];
        uint32_t bit = (uint32_t)1 << i;
        srv->text_topics |= t->flags & RTPUSH_BINARY ? 0u : bit;
        if (t->kind->flags & RTPI_TOPIC_VALUE) {
            srv->state_topics |= bit;
            bytes += t->max;
        }
        srv->sweep = t->kind->sweep ? t->kind->sweep : srv->sweep;
    }
    return bytes;
}

#ifndef RTPUSH_NO_CHECKS
static int rtpi_check_topic(rtpush_server *srv, unsigned i) {
    const rtpush_topic *t = &srv->desc.topics[i];
    size_t len = t->name ? rtpi_name_len(t->name) : 0;
    rtpi_check_at(srv, "topics", i);
    if (len == 0 || len > RTPI_TOPIC_MAX || t->name[len] != '\0') {
        return rtpi_wrong(srv, RTPI_RULE(".name", "1 to 32 of A-Za-z0-9-_."), t->name);
    }
    if (strncmp(t->name, "rtpush", 6) == 0 || rtpi_topic_find(srv, t->name, len) != (int)i) {
        return rtpi_wrong(srv, RTPI_RULE(".name", "another one"), t->name);
    }
    if (!t->kind) {
        return rtpi_wrong(srv, RTPI_RULE(".kind", "&rtpush_topic_event or _state"), NULL);
    }
    if (t->kind->flags & RTPI_TOPIC_VALUE) {
        return rtpi_in_range(srv, ".max", t->max, 1, srv->desc.tx_size - RTPI_VALUE_OVERHEAD);
    }
    rtpi_check_at(srv, NULL, 0);
    return rtpi_in_range(srv, "log_size", srv->desc.log_size, 256, ~(uint32_t)0);
}

// Can a request have this path? It stands without percent signs, since requests are decoded before
// they are compared; '*' is its last segment or nowhere. What begins a segment in the notation of
// parameters (":id", "{id}", "<id>") is none here.
static int rtpi_path_good(const char *path) {
    const char *at;
    if (!path || *path != '/' || !rtpi_path_plain(path)) {
        return 0;
    }
    for (at = path; *at; at++) {
        if ((uint8_t)*at < 0x20 || strchr("?#%\\\x7F", *at) ||
            (*at == '/' && at[1] != '\0' && strchr(":{<", at[1])) ||
            (*at == '*' && (at[-1] != '/' || at[1] != '\0'))) {
            return 0;
        }
    }
    return 1;
}

static int rtpi_check_route(rtpush_server *srv, unsigned i) {
    const rtpush_route *r = &srv->desc.routes[i];
    const char *const *h;
    uint32_t headers = 0;
    rtpi_check_at(srv, "routes", i);
    if (!rtpi_path_good(r->path)) {
        return rtpi_wrong(srv, RTPI_RULE(".path", "\"/exact\" or \"/prefix/*\""), r->path);
    }
    if (rtpi_route_find(srv, r->path) != i) {
        return rtpi_wrong(srv, RTPI_RULE(".path", "one that no earlier route takes"), r->path);
    }
    if (!rtpi_in_range(srv, ".path", (uint32_t)strlen(r->path), 1, // bytes: rtpi_target_done
                       srv->desc.rx_size / 4u * 3u - 5u)) {
        return 0;
    }
    if (!r->kind) {
        return rtpi_wrong(srv, RTPI_RULE(".kind", "&rtpush_handler, _file ..."), NULL);
    }
    if (r->methods && !(r->kind->flags & RTPI_KIND_METHODS)) {
        return rtpi_wrong(srv, RTPI_RULE(".methods", "none for this kind"), RTPI_SAY("some"));
    }
    for (h = r->headers; h && *h; h++, headers++) { // those kept anyway have their own fields
        size_t len = strlen(*h);
        if (rtpi_field(*h, len) != RTPI_H_ROUTE || !rtpi_is(*h, len, *h)) {
            return rtpi_wrong(srv, RTPI_RULE(".headers", "lower case, not kept anyway"), *h);
        }
    }
    return rtpi_in_range(srv, ".headers", headers, 0, RTPUSH_ROUTE_HEADERS) &&
           (r->rate_bytes == RTPUSH_UNLIMITED ||
            rtpi_in_range(srv, ".rate_bytes", r->rate_bytes, 0, RTPI_RATE_BYTES_MAX)) &&
           (!r->kind->check || r->kind->check(srv, r));
}

// An origin as browsers send it: scheme, host and port, nothing behind (RFC 6454 6.1).
static int rtpi_origin_good(const char *origin) {
    const char *at = strchr(origin, ':');
    return at && at > origin && strncmp(at, "://", 3) == 0 && rtpi_host_name(at + 3) > 0;
}

// A name without scheme and port, or "*".
static int rtpi_host_good(const char *host) {
    size_t len = rtpi_name_len(host);
    return strcmp(host, "*") == 0 || (len > 0 && host[len] == '\0' && host[len - 1] != '.');
}

// Are the texts of a list, which NULL ends, as `good` says?
static int rtpi_check_list(rtpush_server *srv, const char *name, const char *const *list,
                           int (*good)(const char *), const char *rule) {
    unsigned i;
    for (i = 0; list && list[i]; i++) {
        if (!good(list[i])) {
            rtpi_check_at(srv, name, i);
            return rtpi_wrong(srv, rule, list[i]);
        }
    }
    return 1;
}

// The range of a number of rtpush_desc, or of several that stand one behind the other.
typedef struct rtpi_limit {
    uint8_t at;    // where the first is: bytes
    uint8_t count; // 0: one that may also be RTPUSH_UNLIMITED
    uint16_t least;
    uint32_t most;
} rtpi_limit;

#ifdef RTPUSH_GATEWAY
#define RTPI_EPOCH_LEAST 0
#else
#define RTPI_EPOCH_LEAST 1
#endif
#define RTPI_LIMITS(X) \
    X(conn_count, 1, 1, ~(uint32_t)0) \
    X(rx_size, 1, 256, 65532u) \
    X(tx_size, 1, 256, 65532u) \
    X(epoch, 1, RTPI_EPOCH_LEAST, ~(uint32_t)0) \
    X(rate_messages, 0, 1, 32000u) \
    X(rate_bytes, 0, 1, RTPI_RATE_BYTES_MAX) \
    X(route_count, 1, 1, 254) \
    X(topic_count, 1, 0, 32)
#define RTPI_LIMIT_ROW(field, count, least, most) \
    {(uint8_t)offsetof(rtpush_desc, field), count, least, most},
#define RTPI_LIMIT_NAME(field, count, least, most) #field "\0"

static int rtpi_check_numbers(rtpush_server *srv) {
    static const rtpi_limit limits[] = {RTPI_LIMITS(RTPI_LIMIT_ROW) // and all times
                                        RTPI_LIMIT_ROW(head_ms, RTPI_TIME_COUNT, 0, 8000000u)};
    const rtpush_desc *d = &srv->desc;
    const char *name = RTPI_LIMITS(RTPI_LIMIT_NAME) RTPI_TIMES(RTPI_TIME_NAME);
    const rtpi_limit *l;
    for (l = limits; l < limits + sizeof limits / sizeof limits[0]; l++) {
        const uint8_t *at = (const uint8_t *)d + l->at;
        unsigned i = 0;
        do {
            uint32_t given;
            memcpy(&given, at, sizeof given);
            if ((l->count > 0 || given != RTPUSH_UNLIMITED) &&
                !rtpi_in_range(srv, name, given, l->least, l->most)) {
                return 0;
            }
            at += sizeof given;
            name = rtpi_strlist_at(name, 1);
        } while (++i < l->count);
    }
    if (!d->routes || (!d->topics && d->topic_count > 0)) {
        return rtpi_wrong(srv, d->routes ? RTPI_RULE("topics", "a table")
                                         : RTPI_RULE("routes", "a table"), NULL);
    }
    if (RTPI_OUTSIDE(srv) && !rtpi_in_range(srv, "seed", d->seed, 1, ~(uint32_t)0)) {
        return 0;
    }
    return (d->log_size == 0 || rtpi_in_range(srv, "log_size", d->log_size, 256, ~(uint32_t)0)) &&
           rtpi_in_range(srv, "max_streams", d->max_streams, 0, d->conn_count);
}

static int rtpi_check_topics(rtpush_server *srv) {
    unsigned i = 0;
    while (i < srv->desc.topic_count && rtpi_check_topic(srv, i)) {
        i++;
    }
    return i == srv->desc.topic_count;
}

static int rtpi_check_routes(rtpush_server *srv) {
    unsigned i = 0;
    while (i < srv->desc.route_count && rtpi_check_route(srv, i)) {
        i++;
    }
    return i == srv->desc.route_count;
}
#endif // RTPUSH_NO_CHECKS

static int rtpi_is_state(const rtpush_server *srv, unsigned topic) {
    return (int)(srv->state_topics >> topic & 1u);
}

// Cuts desc.memory into its parts: those with pointers first, then those of words, then bytes, so
// that each is aligned by the size of what is before it. `values`: bytes of the STATE values. No
// connection is written to before it is used: on a PC the others take no memory.
static int rtpi_lay_out(rtpush_server *srv, uint32_t values) {
    const rtpush_desc *d = &srv->desc;
    uint32_t off = (uint32_t)(d->topic_count * sizeof(rtpi_value));
    uint64_t need; // as RTPI_WORDS counts it
    unsigned i;
    srv->conn_size = (uint32_t)RTPI_CONN_SIZE(d->rx_size + d->tx_size);
    need = (uint64_t)d->conn_count * srv->conn_size + d->log_size + off + values;
    rtpi_check_at(srv, NULL, 0);
    if (!d->memory || ((uintptr_t)d->memory & (sizeof(void *) - 1u))) {
        rtpi_format(rtpi_error(srv, "memory"), RTPI_SAY(": aligned to 8 needed, at %x given"),
                    (uint32_t)(uintptr_t)d->memory);
        return 0;
    }
    if (d->memory_size < need) {
        rtpi_format(rtpi_error(srv, "memory_size"), RTPI_SAY(": %d bytes needed, %d given"),
                    need >> 32 ? ~(uint32_t)0 : (uint32_t)need, (uint32_t)d->memory_size);
        return 0;
    }
    srv->conns = (rtpush_conn *)d->memory;
    srv->log = (uint8_t *)rtpi_conn_at(srv, d->conn_count);
    srv->state = (rtpi_value *)(void *)(srv->log + d->log_size);
    for (i = 0; i < d->topic_count; i++) {
        rtpi_value *v = rtpi_value_at(srv, i);
        v->rev = 0;
        v->len = 0;
        v->off = off;
        off += rtpi_is_state(srv, i) ? d->topics[i].max : 0u;
    }
    return 1;
}

int rtpush_init_sized(rtpush_server *srv, const rtpush_desc *desc, size_t server_size,
                      size_t conn_size, uint32_t version) {
    uint32_t values;
    if (server_size != sizeof *srv || conn_size != sizeof(rtpush_conn) ||
        version != RTPUSH_VERSION) {
        srv->config = RTPI_CONFIG_VERSION; // the first byte of both
        return RTPUSH_ERR_VERSION;
    }
    memset(srv, 0, sizeof *srv);
    srv->desc = *desc;
    rtpi_defaults(&srv->desc);
#ifndef RTPUSH_NO_CHECKS
    rtpi_check_at(srv, NULL, 0);
    if (!rtpi_check_numbers(srv) || !rtpi_check_topics(srv)) {
        return RTPUSH_ERR_CONFIG;
    }
#endif
    values = rtpi_topic_masks(srv);
#ifndef RTPUSH_NO_CHECKS
    if (!rtpi_check_routes(srv) ||
        !rtpi_check_list(srv, "hosts", desc->hosts, rtpi_host_good,
                         RTPI_RULE("", "a name without port, or *")) ||
        !rtpi_check_list(srv, "origins", desc->origins, rtpi_origin_good,
                         RTPI_RULE("", "scheme://host[:port]"))) {
        return RTPUSH_ERR_CONFIG;
    }
#endif
    if (!rtpi_lay_out(srv, values)) {
        return RTPUSH_ERR_CONFIG;
    }
    srv->slots_end = srv->sweep_at = srv->conns;
    srv->random = srv->desc.seed;
    srv->epoch = srv->desc.epoch;
    rtpi_log_clear(srv);
    srv->hold_floor = ~(uint32_t)0;
    rtpi_sync(srv);
    srv->sweep_due = 0; // no connection is open
    return RTPUSH_OK;
}

const char *rtpush_config_error(const rtpush_server *srv) {
    return srv->config == RTPI_CONFIG_WRONG      ? (const char *)srv->now.prefix
           : srv->config == RTPI_CONFIG_VERSION ? "rtpush.h: this file was built with another one"
                                                : "";
}

// >>serve -----------------------------------------------------------------------------------------
// The port's side: bytes in, spans out, what was sent and acknowledged, who is next, and time. No
// argument is checked: a port keeps the rules of >>api. `busy` names the connection whose call is
// under way; meanwhile its slot is not freed and its transport is not dropped.

// After bytes went out or were acknowledged.
static inline void rtpi_progress(rtpush_server *srv, rtpush_conn *c) {
    if (c->unacked == 0 && (c->state != RTPI_STREAM || !srv->hooks.pending) && rtpi_drained(c)) {
        rtpi_settled(srv, c);
        if (c->state == RTPI_REPLY && !c->out.reply.pull) {
            rtpi_http_done(srv, c);
        } else if (c->state == RTPI_CLOSING) {
            rtpi_ready(srv, c); // FIN is next
        }
    }
    if (c->state == RTPI_STREAM && rtpi_progress_due(c) && rtpi_kind(srv, c)->progress) {
        rtpi_kind(srv, c)->progress(srv, c);
    }
}

static void rtpi_expire(rtpush_server *srv, rtpush_conn *c) {
    rtpi_clear(c, RTPI_F_EXPIRES);
    if (rtpi_is_stream(c)) {
        rtpi_end(srv, c, 4401, "expired", RTPUSH_REASON_EXPIRED);
    }
}

// What ends the wait of a state that is no stream. From its deadline on an answer is watched
// (rtpi_pending) also if nobody asked for it: a filter's own bytes may stand before it, with a peer
// that reads none.
RTPI_APART static void rtpi_due(rtpush_server *srv, rtpush_conn *c) {
    if (c->state == RTPI_HEAD && c->in.http.section == 0) {
        if (rtpi_over(srv, c, srv->desc.idle_ms)) {
            rtpi_begin_closing(srv, c, RTPUSH_REASON_TIMEOUT_IDLE);
        }
    } else if (c->state == RTPI_HEAD) {
        rtpi_refuse_late(srv, c, RTPI_NO_FOR(RTPI_NO(408), RTPUSH_REASON_TIMEOUT_HEAD));
    } else if (c->state == RTPI_BODY && !rtpi_body_waits(srv, c)) {
        rtpi_refuse_late(srv, c, RTPI_NO_FOR(RTPI_NO(408), RTPUSH_REASON_TIMEOUT_BODY));
    } else if (c->state < RTPI_REPLY) { // the application's fault: on_body may have answered RETRY
        rtpi_refuse_late(srv, c, RTPI_NO_FOR(RTPI_NO(503), RTPUSH_REASON_TIMEOUT_REPLY));
    } else if (c->state == RTPI_LINGER) {
        if (rtpi_over(srv, c, srv->desc.close_ms)) {
            rtpi_end_at_once(srv, c, RTPUSH_REASON_TIMEOUT_CLOSE);
        }
    } else if (c->state == RTPI_REPLY && c->out.reply.pull && rtpi_tx_queued(c) == 0 &&
               rtpi_arrived(srv, c)) {
        rtpi_end_at_once(srv, c, RTPUSH_REASON_TIMEOUT_REPLY); // begun, so no status can say it
    } else {
        c->due = rtpi_after(srv, srv->desc.reply_ms); // `moved` watches the peer
        rtpi_pending(srv, c);
    }
}

RTPI_APART static void rtpi_scan_conn(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_has(c, RTPI_F_RETRY | RTPI_F_THROTTLED)) {
        rtpi_clear(c, RTPI_F_RETRY | RTPI_F_THROTTLED);
        rtpi_ready(srv, c);
    }
    if (rtpi_has(c, RTPI_F_PENDING) && rtpi_passed(srv, rtpi_look_at(srv, c)) &&
        !rtpi_arrived(srv, c) &&
        rtpi_passed(srv, rtpi_later(c->moved, srv->desc.stall_ms))) {
        rtpi_end_at_once(srv, c, RTPUSH_REASON_STALLED);
        return;
    }
    if (rtpi_has(c, RTPI_F_PENDING)) {
        rtpi_scan_at16(srv, rtpi_look_at(srv, c));
    }
    if (rtpi_has(c, RTPI_F_EXPIRES)) {
        if (rtpi_passed(srv, c->expires)) {
            rtpi_expire(srv, c);
        } else {
            rtpi_scan_at16(srv, c->expires);
        }
    }
    if (c->state == RTPI_STREAM) {
        if (rtpi_kind(srv, c)->timer) {
            rtpi_kind(srv, c)->timer(srv, c);
        }
    } else if (rtpi_passed(srv, c->due)) {
        rtpi_due(srv, c);
    }
    if (!rtpi_is_dead(c)) {
        rtpi_scan_at16(srv, c->due);
    }
}

static void rtpi_scan(rtpush_server *srv) {
    rtpush_conn *c;
    srv->scan_armed = 0;
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (c->state != RTPI_FREE && !rtpi_is_dead(c)) {
            rtpi_scan_conn(srv, c);
        }
    }
}

// The log begins anew with number `first`, for all but who waits for that.
static void rtpi_reset_readers(rtpush_server *srv, uint32_t first) {
    rtpush_conn *c;
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (rtpi_is_stream(c) && !(RTPI_OUTSIDE(srv) && c->notice == RTPI_NOTICE_WAITS)) {
            rtpi_reader_reset(srv, c, first, 0);
        }
    }
}

// Numbers the values anew, from 1. Under the lock.
static void rtpi_new_revisions(rtpush_server *srv) {
    unsigned topic;
    srv->rev = 0;
    for (topic = 0; topic < srv->desc.topic_count; topic++) {
        rtpi_value *v = rtpi_value_at(srv, topic);
        v->rev = v->rev != 0 && (srv->state_topics >> topic & 1u) ? ++srv->rev : 0;
    }
}

#ifdef RTPUSH_GATEWAY
// Ids from outside: an epoch begins, here with number `first`. 0: the connection being served holds
// a record. Who waits goes on waiting.
static int rtpi_begin_epoch(rtpush_server *srv, uint32_t epoch, uint32_t first) {
    unsigned i;
    if (!rtpi_release(srv, RTPI_ALL_RECORDS)) {
        return 0;
    }
    rtpi_lock(srv);
    srv->epoch = epoch;
    rtpi_log_begin(srv, first);
    rtpi_new_revisions(srv);
    rtpi_unlock(srv);
    for (i = 0; srv->hooks.sharing && i < RTPUSH_PLANS; i++) { // an epoch may come again
        memset((uint8_t *)srv->hooks.plan_memory + i * srv->hooks.plan_size, 0,
               sizeof(rtpi_shared));
    }
    rtpi_sync(srv);
    srv->sweep_due = 1; // who waits may wait for this epoch
    rtpi_reset_readers(srv, first);
    return 1;
}

// Revisions are near their end: all get all values again.
static void rtpi_begin_revisions(rtpush_server *srv) {
    rtpush_conn *c;
    rtpi_lock(srv);
    rtpi_new_revisions(srv);
    rtpi_unlock(srv);
    rtpi_sync(srv);
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (rtpi_is_stream(c)) {
            c->out.stream.sweep_prev = 0;
            c->sweep_i = 0;
            rtpi_ready(srv, c);
        }
    }
}
#define RTPI_BEGIN_REVISIONS(srv) rtpi_begin_revisions(srv)
#else
#define RTPI_BEGIN_REVISIONS(srv) (void)0
#endif

// Sequence numbers are near their end: begins a new epoch.
static void rtpi_new_epoch(rtpush_server *srv) {
    uint32_t epoch = srv->epoch + 1 ? srv->epoch + 1 : 1;
    if (RTPI_OUTSIDE(srv)) {
        RTPI_BEGIN_REVISIONS(srv);
        return;
    }
    (void)rtpi_release(srv, RTPI_ALL_RECORDS); // none is being served
    rtpi_lock(srv);
    if (srv->open_records > 0) { // claimed since rtpi_sync looked: there are 65,536 numbers left
        rtpi_unlock(srv);
        return;
    }
    srv->epoch = epoch;
    rtpi_log_clear(srv);
    rtpi_new_revisions(srv);
    rtpi_unlock(srv);
    rtpi_sync(srv);
    rtpi_reset_readers(srv, 1);
}

// The peer has sent FIN. If more of a request was expected, or the peer reads no more of a stream,
// the connection ends. A half-closed client still gets its answer (RFC 9112 9.6).
static void rtpi_cut_off(rtpush_server *srv, rtpush_conn *c) {
    if (c->state == RTPI_HEAD || c->state == RTPI_BODY || rtpi_is_stream(c)) {
        rtpi_end(srv, c, 1006, NULL, RTPUSH_REASON_PEER_CLOSED); // a poll's answer is whole
    }
}

int rtpush_attach(rtpush_server *srv, const rtpush_hooks *hooks) {
    if (!hooks || !hooks->drop || !hooks->lock != !hooks->unlock ||
        (hooks->pending && !(hooks->flags & RTPUSH_COPIES)) ||
        (hooks->write && (!hooks->pending || !hooks->sharing)) ||
        (hooks->sharing && (!hooks->plan_memory || hooks->plan_size < 256 ||
                            hooks->plan_size % 8u != 0))) {
        return RTPUSH_ERR_ARGUMENT;
    }
    if (memcmp(&srv->hooks, hooks, sizeof *hooks) != 0) { // else other contexts may be publishing
        srv->hooks = *hooks;
        srv->shared = (rtpi_shared *)hooks->plan_memory;
    }
    return RTPUSH_OK;
}

// Has this address all the connections it may have?
static int rtpi_peer_full(const rtpush_server *srv, uint32_t peer, uint32_t most) {
    const rtpush_conn *c;
    uint32_t same = 0;
    if (peer == 0 || most == 0) {
        return 0;
    }
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        same += c->state != RTPI_FREE && c->peer == peer;
    }
    return same >= most;
}

// A slot with its transport, and the filter's object if it is for one; NULL: there is none.
static rtpush_conn *rtpi_slot_open(rtpush_server *srv, unsigned flags, uint32_t peer, void *port) {
    rtpush_conn *c = rtpi_slot_take(srv, peer);
    if (!c) {
        return NULL;
    }
    c->port = port;
    if (flags & RTPUSH_LISTENER_SECURE) {
        rtpi_set(c, RTPI_F_SECURE);
        if (srv->filter) {
            rtpi_set(c, RTPI_F_FILTERED);
            c->port = srv->filter->open(srv->filter->ctx, srv, c, port);
            if (!c->port) {
                rtpi_slot_free(srv, c);
                return NULL;
            }
        }
    }
    return c;
}

rtpush_conn *rtpush_accept(rtpush_server *srv, unsigned flags, uint32_t peer, void *port) {
    rtpush_conn *c = NULL;
    int reason = RTPUSH_REASON_SHUTDOWN;
    if (!srv->shut) {
        reason = rtpi_peer_full(srv, peer, srv->desc.max_per_peer) ? RTPUSH_REASON_PEER_LIMIT
                                                                   : RTPUSH_REASON_NO_SLOT;
    }
    if (reason == RTPUSH_REASON_NO_SLOT) {
        c = rtpi_slot_open(srv, flags, peer, port);
    }
    if (!c) {
        srv->count.reasons[reason]++;
        if (srv->desc.on_refuse) {
            srv->desc.on_refuse(srv, peer, 0, reason);
        }
        return NULL;
    }
    rtpi_tokens_begin(srv, c, peer);
    c->moved = (uint16_t)srv->quarter;
    srv->count.accepted++;
    srv->count.slots_used++;
    rtpi_high(&srv->count.slots_high, srv->count.slots_used);
    rtpi_await_request(srv, c, 0);
    return c;
}

// Bytes for a connection in its present state; a state that ends in between goes on with the rest.
RTPI_APART static size_t rtpi_input(rtpush_server *srv, rtpush_conn *c, uint8_t *data,
                                    size_t len) {
    switch (c->state) {
    case RTPI_HEAD:
        return rtpi_head_input(srv, c, data, len);
    case RTPI_BODY:
    case RTPI_STREAM:
        return rtpi_kind(srv, c)->input ? rtpi_kind(srv, c)->input(srv, c, data, len) : len;
    case RTPI_REPLY:
        // Behind an answer that closes nothing is read, but taken: what a transport refuses may
        // carry the acknowledgement that this answer waits for (lwIP drops such a segment whole).
        return rtpi_has(c, RTPI_F_KEEP) ? 0 : len;
    case RTPI_ASK:
    case RTPI_WAIT:
        return 0; // the next request waits until this one is answered
    default:
        return len; // nothing more is expected: read and discard
    }
}

size_t rtpush_plain_input(rtpush_server *srv, rtpush_conn *conn, void *bytes, size_t len) {
    uint8_t *data = (uint8_t *)bytes;
    size_t taken = 0;
    srv->busy = conn;
    rtpi_clear(conn, RTPI_F_REFUSED);
    while (taken < len) {
        uint8_t state = conn->state;
        size_t n = rtpi_input(srv, conn, data + taken, len - taken);
        taken += n;
        if (conn->state == state) {
            break;
        }
    }
    if (taken > 0) {
        if (rtpi_is_websocket(conn)) {
            conn->heard = (uint16_t)srv->quarter;
            conn->todo &= (uint8_t)~(RTPI_TODO_NOW | RTPI_TODO_DONE); // no ping is needed
        }
        srv->count.bytes_in += (uint32_t)taken;
    }
    if (taken < len) {
        rtpi_set(conn, RTPI_F_REFUSED);
    }
    srv->busy = NULL;
    return taken;
}

void rtpush_plain_eof(rtpush_server *srv, rtpush_conn *conn) {
    srv->busy = conn;
    rtpi_set(conn, RTPI_F_EOF);
    if (conn->state != RTPI_LINGER) {
        rtpi_cut_off(srv, conn);
    } else if (rtpi_has(conn, RTPI_F_FIN)) { // else a filter's own last bytes are to be sent first
        rtpi_end_at_once(srv, conn, conn->reason);
    }
    srv->busy = NULL;
}

// Puts into tx what route->kind sends before records. 0: nothing is to be sent now.
static int rtpi_output_fill(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_is_stream(c) || (c->state == RTPI_REPLY && c->out.reply.pull)) {
        return rtpi_kind(srv, c)->fill(srv, c);
    }
    return 1;
}

// Nothing is to be sent; returns RTPUSH_FIN if a closing connection is complete.
static int rtpi_output_nothing(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_is_open(c) && !rtpi_reader_blocked(c) && !RTPI_WAITS(srv, c) &&
        c->out.stream.seq < srv->limit_seq) {
        srv->sweep_due = 1; // more records to pass than one call may: others first
    }
    if (c->unacked > 0) {
        return 0;
    }
    if (c->state == RTPI_REPLY) {
        rtpi_progress(srv, c); // a pull may end without a byte
    }
    rtpi_settled(srv, c); // what was to be sent was discarded
    if (c->state != RTPI_CLOSING || !rtpi_drained(c)) {
        return 0;
    }
    rtpi_state(srv, c, RTPI_LINGER, srv->desc.close_ms);
    c->out.rank.since = srv->quarter;
    return RTPUSH_FIN; // a filter sends its own last bytes (close_notify) before it
}

// The spans of what is next, in a plan of this connection's own. Apart, so that its frame is not
// below what fills tx.
RTPI_OWN_FRAME static int rtpi_output_own(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans,
                                          int max) {
    rtpi_emit e;
    memset(&e, 0, sizeof e);
    e.spans = spans;
    e.max = max;
    e.most = RTPI_SPAN_MAX;
    if (rtpi_has_cursor(conn)) {
        rtpi_output_stream(srv, conn, &e);
    } else if (conn->state < RTPI_STREAM) {
        rtpi_emit_tx(srv, conn, &e);
        if (conn->state == RTPI_REPLY && conn->out.reply.body) {
            const rtpi_answer *reply = &conn->out.reply;
            rtpi_emit_bytes(&e, reply->body + reply->at, reply->to - reply->at,
                            conn->in.http.bits & RTPI_B_HOLD ? RTPUSH_SPAN_HOLD
                                                             : RTPUSH_SPAN_STATIC);
        }
    }
    srv->plan.total = e.given;
    return e.count;
}

// The plan of what is queued in tx, and of nothing else.
static int rtpi_output_tx(rtpush_server *srv, const rtpush_conn *c, rtpush_span *span) {
    srv->plan.tx = (uint16_t)rtpi_tx_queued(c);
    srv->plan.total = srv->plan.tx;
    span->data = rtpi_tx(srv, c) + c->tx_head;
    span->len = srv->plan.tx;
    span->kind = RTPUSH_SPAN_COPY;
    return 1;
}

int rtpush_plain_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max) {
    int count = 0;
    memset(&srv->plan, 0, sizeof srv->plan);
    if (rtpi_is_open(conn) && rtpi_tx_queued(conn) > 0 && rtpi_only_tx(srv, conn)) {
        count = rtpi_output_tx(srv, conn, spans);
    } else if (srv->hooks.sharing && rtpi_is_stream(conn) &&
               conn->out.stream.seq < srv->limit_seq) {
        count = srv->hooks.sharing->output(srv, conn, spans);
    }
    if (count == 0) {
        srv->passes = RTPI_PASSES;
        srv->busy = conn;
        count = rtpi_output_fill(srv, conn) ? rtpi_output_own(srv, conn, spans, max) : 0;
    }
    if (count == 0) {
        count = rtpi_output_nothing(srv, conn);
    }
    srv->busy = NULL;
    return count;
}

// The next keep-alive is later than it was. The scan for that comes, and goes on.
static void rtpi_keepalive_later(const rtpush_server *srv, rtpush_conn *c) {
    c->due = rtpi_later((uint16_t)srv->quarter, srv->desc.keepalive_ms);
}

// Advances by the bytes that the transport took.
static void rtpi_take(rtpush_server *srv, rtpush_conn *c, uint32_t taken) {
    srv->count.bytes_out += taken;
    c->unacked += taken;
    if (srv->plan.first != 0) {
        rtpi_sent_stream(srv, c, taken);
    } else {
        uint32_t tx = taken < srv->plan.tx ? taken : srv->plan.tx;
        c->tx_head = (uint16_t)(c->tx_head + tx);
        if (taken > tx) { // of a body
            c->out.reply.at += taken - tx;
        }
    }
    if (c->form == RTPI_FORM_SSE && rtpi_is_open(c)) {
        rtpi_keepalive_later(srv, c);
    }
}

// Bytes that the transport no longer refers to.
static inline void rtpi_acknowledge(rtpush_server *srv, rtpush_conn *c, size_t n) {
    uint32_t acked = n > c->unacked ? c->unacked : (uint32_t)n;
    c->unacked -= acked;
    if (acked > 0 && !srv->hooks.pending) {
        c->moved = (uint16_t)srv->quarter;
    }
    if (c->mark_seq != 0) {
        if (c->unacked == 0) {
            c->mark_seq = 0;
        } else if (acked >= c->mark.left) {
            uint32_t seq = rtpi_has_cursor(c) ? c->out.stream.seq : 0;
            c->hold_seq = c->mark_seq;
            c->mark_seq = seq > c->mark_seq ? seq : c->mark_seq;
            c->mark.left = c->unacked;
            rtpi_hold_from(srv, c->hold_seq);
        } else {
            c->mark.left -= acked;
        }
    }
    if (acked > 0) {
        rtpi_progress(srv, c);
    }
}

// Could rtpush_output have bytes now?
static int rtpi_has_output(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_is_open(c)) {
        return rtpi_stream_work(srv, c);
    }
    return c->state >= RTPI_REPLY || rtpi_tx_queued(c) > 0;
}

int rtpush_plain_sent(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked) {
    RTPUSH_ASSERT(taken <= srv->plan.total);
    srv->busy = conn;
    if (taken > 0) {
        rtpi_take(srv, conn, (uint32_t)taken);
    }
    rtpi_pending(srv, conn); // sent, or left for later
    srv->plan.total = 0;
    if (acked > 0) {
        rtpi_acknowledge(srv, conn, acked);
    }
    srv->busy = NULL;
    return rtpi_has_output(srv, conn);
}

// If a shared plan or tx is all that a stream has to send: one write, and a few assignments if all
// of it is taken. 1: nothing is left to be sent, and nobody waits for that. 0: rtpush_output must
// look.
static int rtpi_push(rtpush_server *srv, rtpush_conn *c) {
    const unsigned but = RTPI_F_FILTERED | RTPI_F_REFUSED | RTPI_F_RETRY;
    rtpi_stream *s = &c->out.stream;
    const rtpi_shared *shared = NULL;
    const uint8_t *data;
    uint32_t len, taken;
    if (!rtpi_is_stream(c)) {
        return 0;
    }
    if (s->seq < srv->limit_seq) {
        shared = rtpi_shared_at(srv, c, but);
        if (!shared) {
            return 0;
        }
        data = (const uint8_t *)(shared + 1);
        len = shared->plan.total;
    } else {
        data = rtpi_tx(srv, c) + c->tx_head;
        len = rtpi_tx_queued(c);
        if (len == 0 || !rtpi_is_open(c) || !rtpi_reader_quiet(srv, c, but)) {
            return 0;
        }
    }
    taken = srv->hooks.write(srv->hooks.ctx, c->port, data, len);
    c->mark.pending += taken;
    if (taken < len) {
        memset(&srv->plan, 0, sizeof srv->plan);
        if (shared) {
            srv->plan = shared->plan;
        } else {
            srv->plan.tx = (uint16_t)len;
            srv->plan.total = len;
        }
        (void)rtpush_plain_sent(srv, c, taken, taken);
        return 0;
    }
    srv->count.bytes_out += len;
    if (shared) {
        srv->count.delivered += shared->plan.records;
        s->seq = shared->plan.seq;
        s->off = shared->plan.off;
        c->todo &= (uint8_t)~(RTPI_TODO_RECORD | RTPI_TODO_ID);
    } else {
        c->tx_head = c->tx_len;
    }
    if (c->form == RTPI_FORM_SSE) {
        rtpi_keepalive_later(srv, c);
    }
    rtpi_pending(srv, c);
    return !shared || shared->plan.seq >= srv->limit_seq;
}

const rtpush_sharing rtpush_shared_plans = {rtpi_shared_output, rtpi_push};

// Is there nothing left to do for it? Only with hooks.write.
static inline int rtpi_pushed(rtpush_server *srv, rtpush_conn *c) {
    return srv->hooks.write && srv->hooks.sharing->push(srv, c);
}

void rtpush_plain_acked(rtpush_server *srv, rtpush_conn *conn, size_t n) {
    srv->busy = conn;
    rtpi_acknowledge(srv, conn, n);
    srv->busy = NULL;
}

size_t rtpush_input(rtpush_server *srv, rtpush_conn *conn, void *bytes, size_t len) {
    return rtpi_filtered(conn) ? srv->filter->input(srv, conn, bytes, len)
                               : rtpush_plain_input(srv, conn, bytes, len);
}

void rtpush_eof(rtpush_server *srv, rtpush_conn *conn) {
    if (rtpi_filtered(conn)) {
        srv->filter->eof(srv, conn);
    } else {
        rtpush_plain_eof(srv, conn);
    }
}

int rtpush_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max) {
    int count = rtpi_filtered(conn) ? srv->filter->output(srv, conn, spans, max)
                                    : rtpush_plain_output(srv, conn, spans, max);
    if (count == RTPUSH_FIN) {
        rtpi_set(conn, RTPI_F_FIN);
        if (rtpi_has(conn, RTPI_F_EOF)) {
            rtpi_end_at_once(srv, conn, conn->reason); // both sides have finished
        }
    }
    return count;
}

int rtpush_sent(rtpush_server *srv, rtpush_conn *conn, size_t taken, size_t acked) {
    if (srv->hooks.pending) {
        conn->mark.pending += (uint32_t)taken;
    }
    return rtpi_filtered(conn) ? srv->filter->sent(srv, conn, taken, acked)
                               : rtpush_plain_sent(srv, conn, taken, acked);
}

int rtpush_push(rtpush_server *srv, rtpush_conn *conn) {
    if (!rtpi_pushed(srv, conn)) {
        return 0;
    }
    // What made it ready, an echo say, is sent: rtpush_next need not name it.
    if (srv->ready_first == conn &&
        !(rtpi_is_websocket(conn) && (conn->in.ws.bits & RTPI_WS_DELIVER))) {
        (void)rtpi_ready_pop(srv);
    }
    return 1;
}

void rtpush_acked(rtpush_server *srv, rtpush_conn *conn, size_t n) {
    if (rtpi_filtered(conn)) {
        srv->filter->acked(srv, conn, n);
    } else {
        rtpush_plain_acked(srv, conn, n);
    }
}

void rtpush_copied(rtpush_server *srv, rtpush_conn *conn) {
    (void)srv;
    conn->mark_seq = 0;
}

void rtpush_gone(rtpush_server *srv, rtpush_conn *conn) {
    rtpi_unfilter(srv, conn);
    conn->port = NULL;
    rtpi_end_at_once(srv, conn, conn->state == RTPI_LINGER ? conn->reason
                                                           : (uint8_t)RTPUSH_REASON_TRANSPORT);
}

// Hands over what on_message left. 0: it aborted the connection, which is in the list again.
RTPI_CHECKED static int rtpi_flush(rtpush_server *srv, rtpush_conn *c) {
    if (rtpi_is_websocket(c) && !rtpi_has(c, RTPI_F_RETRY) &&
        ((c->in.ws.bits & RTPI_WS_DELIVER) || (c->todo & RTPI_TODO_PONG))) {
        srv->busy = c;
        (void)rtpi_kind(srv, c)->input(srv, c, NULL, 0);
        srv->busy = NULL;
    }
    return !rtpi_is_dead(c);
}

rtpush_conn *rtpush_next(rtpush_server *srv) {
    rtpush_conn *c;
    for (;;) {
        while ((c = rtpi_ready_pop(srv)) != NULL) {
            if (rtpi_is_dead(c)) {
                rtpi_reap(srv, c);
                continue;
            }
            if (!rtpi_flush(srv, c) || rtpi_pushed(srv, c)) {
                continue;
            }
            // What made it ready, an echo for example, may have been sent; a filter may have more.
            if (!rtpi_has(c, RTPI_F_REFUSED) && (rtpi_is_open(c) || !rtpi_filtered(c)) &&
                !rtpi_has_output(srv, c)) {
                continue;
            }
            return c;
        }
        while (srv->sweep_at < srv->slots_end) {
            c = srv->sweep_at;
            srv->sweep_at = rtpi_conn_after(srv, c);
            if (!rtpi_pushed(srv, c) && rtpi_is_stream(c) && rtpi_stream_work(srv, c)) {
                return c;
            }
        }
        rtpi_sync(srv);
        if (srv->epoch_due) {
            rtpi_new_epoch(srv);
        }
        if (srv->sweep_due) {
            srv->sweep_due = 0;
            srv->sweep_at = srv->conns;
            continue;
        }
        // The ready list is empty: evict records, to make room for rtpush_publish_from.
        if (srv->hooks.lock && srv->desc.log_size > 0 && !RTPI_OUTSIDE(srv)) {
            (void)rtpi_make_room(srv, rtpi_record_size(rtpi_record_max(srv)));
            rtpi_unlock(srv);
        }
        if (!srv->ready_first) {
            return NULL;
        }
    }
}

uint32_t rtpush_tick(rtpush_server *srv, uint32_t now_ms) {
    uint32_t elapsed = now_ms - srv->now_ms;
    if (!srv->started || elapsed >= 0x80000000u) { // the first call, or time went back
        elapsed = 0;
        srv->started = 1;
    }
    if (elapsed > 0x7F00u * 250u) {
        elapsed = 0x7F00u * 250u; // deadlines are 16 bits wide
    }
    srv->now_ms = now_ms;
    elapsed += srv->carry_ms;
    srv->quarter += elapsed / 250u;
    srv->carry_ms = (uint8_t)(elapsed % 250u);
    if (srv->scan_armed && (uint32_t)(srv->quarter - srv->scan_at) < 0x80000000u) {
        rtpi_scan(srv);
    }
    rtpi_sync(srv);
    if (srv->ready_first || srv->sweep_at < srv->slots_end || srv->sweep_due) {
        return 0;
    }
    return srv->scan_armed ? (srv->scan_at - srv->quarter) * 250u - srv->carry_ms : 0xFFFFFFFFu;
}

void *rtpush_port(const rtpush_conn *conn) {
    return rtpi_port(conn);
}

rtpush_handle rtpush_conn_handle(const rtpush_server *srv, const rtpush_conn *conn) {
    return rtpi_handle(srv, conn);
}

int rtpush_attach_filter(rtpush_server *srv, const rtpush_filter *filter) {
    if (!filter || srv->filter) {
        return RTPUSH_ERR_ARGUMENT;
    }
    srv->filter = filter;
    return RTPUSH_OK;
}

void *rtpush_filter_self(const rtpush_conn *conn) {
    return conn->port;
}

void rtpush_filter_ready(rtpush_server *srv, rtpush_conn *conn) {
    if (rtpi_is_stream(conn)) {
        rtpi_set(conn, RTPI_F_REFUSED); // so rtpush_next names it also with nothing to send
    }
    rtpi_ready(srv, conn);
}

void rtpush_filter_later(rtpush_server *srv, rtpush_conn *conn) {
    rtpi_retry_later(srv, conn);
}

void rtpush_filter_end(rtpush_server *srv, rtpush_conn *conn, int reason) {
    rtpi_begin_closing(srv, conn, (uint8_t)reason);
}

void rtpush_filter_moved(rtpush_server *srv, rtpush_conn *conn) {
    if (conn->state == RTPI_HEAD) {
        (void)rtpi_achieved(srv, conn);
    }
}

int rtpush_filter_idle(const rtpush_conn *conn) {
    return rtpi_is_idle(conn);
}

uint32_t rtpush_filter_peer(const rtpush_conn *conn) {
    return conn->peer;
}

rtpush_conn *rtpush_filter_gives_way(rtpush_server *srv, const rtpush_conn *conn,
                                     uint32_t least_ms, int (*of)(const rtpush_conn *conn)) {
    return rtpi_gives_way(srv, conn->peer, of, rtpi_quarters(least_ms));
}

void rtpush_filter_evict(rtpush_server *srv, rtpush_conn *conn) {
    if (conn->state == RTPI_LINGER) {
        rtpi_clear(conn, RTPI_F_FIN); // the filter's own is not out: a reset
        rtpi_end_at_once(srv, conn, conn->reason);
    } else {
        rtpi_begin_closing(srv, conn, RTPUSH_REASON_EVICTED_SLOT);
    }
}

uint32_t rtpush_now_ms(const rtpush_server *srv) {
    return srv->now_ms;
}

// >>public ----------------------------------------------------------------------------------------
// These check arguments, resolve the handle, and call the sections above.

// What errors are in words, from 0 down.
#define RTPI_ERRORS(X) \
    X(OK, "ok") \
    X(ERR_WOULD_BLOCK, "no room now") \
    X(ERR_FULL, "log full") \
    X(ERR_TOO_BIG, "too big") \
    X(ERR_STALE, "the connection has ended") \
    X(ERR_STATE, "wrong state") \
    X(ERR_ARGUMENT, "bad argument") \
    X(ERR_UTF8, "not UTF-8") \
    X(ERR_CONFIG, "bad configuration") \
    X(ERR_VERSION, "built with another rtpush.h") \
    X(RETRY, "not taken: offer it again") \
    X(ERR_MALFORMED, "malformed, or given twice")
#define RTPI_ERROR_ENUM(error, text) RTPI_E_##error,
#define RTPI_ERROR_TEXT(error, text) text "\0"
#define RTPI_ERROR_CHECK(error, text) \
    RTPI_HOLDS(error, -(int)RTPI_E_##error == (int)RTPUSH_##error);
enum { RTPI_ERRORS(RTPI_ERROR_ENUM) RTPI_ERROR_COUNT };
RTPI_ERRORS(RTPI_ERROR_CHECK)

const char *rtpush_strerror(int error) {
#ifdef RTPUSH_GATEWAY
    if (error == RTPUSH_ERR_OLD) {
        return RTPI_TEXT("the log has come to that id\0", 0);
    }
#endif
    if (error > 0 || error <= -(int)RTPI_ERROR_COUNT) {
        return "";
    }
    return RTPI_TEXT(RTPI_ERRORS(RTPI_ERROR_TEXT), (unsigned)-error);
}

void *rtpush_server_user(const rtpush_server *srv) {
    return srv->desc.user;
}

void rtpush_text_put(rtpush_text *text, const void *data, size_t len) {
    rtpi_put(text, data, len);
}

void rtpush_text_decimal(rtpush_text *text, uint32_t value) {
    rtpi_put_decimal(text, value);
}

void rtpush_text_hex(rtpush_text *text, uint32_t value) {
    rtpi_put_hex(text, value);
}

void rtpush_text_base64(rtpush_text *text, const void *data, size_t len, int url) {
    rtpi_put_base64(text, (const uint8_t *)data, len, url);
}

unsigned rtpush_utf8(unsigned state, const void *data, size_t len) {
    return rtpi_utf8((uint8_t)state, (const uint8_t *)data, len);
}

static int rtpi_publish(rtpush_server *srv, unsigned topic, const void *data, size_t len, int by) {
    int error = rtpi_topic_check(srv, topic, data, len);
    if (error) {
        return error;
    }
    if (RTPI_OUTSIDE(srv) && !rtpi_is_state(srv, topic)) {
        return RTPUSH_ERR_STATE;
    }
    return srv->desc.topics[topic].kind->publish(srv, topic, data, len, by);
}

int rtpush_publish(rtpush_server *srv, unsigned topic, const void *data, size_t len) {
    return rtpi_publish(srv, topic, data, len, RTPI_BY_LOOP);
}

static int rtpi_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len,
                             int by) {
    int error = RTPUSH_ERR_STATE;
    int wake;
    if (!srv->hooks.lock) {
        return error;
    }
    error = rtpi_publish(srv, topic, data, len, by);
    rtpi_lock(srv);
    wake = !srv->woken; // also when it was FULL: the loop makes room
    srv->woken = 1;
    rtpi_unlock(srv);
    if (wake && srv->hooks.wake) {
        srv->hooks.wake(srv->hooks.ctx);
    }
    return error;
}

int rtpush_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len) {
    return rtpi_publish_from(srv, topic, data, len, RTPI_BY_ANY);
}

int rtpush_try_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len) {
    return rtpi_publish_from(srv, topic, data, len, RTPI_BY_TRY);
}

void *rtpush_reserve(rtpush_server *srv, unsigned topic, size_t cap) {
    rtpi_record *rec;
    if (srv->reserved || topic >= srv->desc.topic_count || rtpi_is_state(srv, topic) ||
        cap > rtpi_record_max(srv) || RTPI_OUTSIDE(srv)) {
        return NULL;
    }
    rec = rtpi_claim(srv, rtpi_make_room(srv, rtpi_record_size((uint32_t)cap)), topic,
                     (uint32_t)cap);
    rtpi_unlock(srv);
    if (!rec) {
        return NULL;
    }
    srv->reserved = 1;
    srv->numbers.reserved_off = (uint32_t)((uint8_t *)rec - srv->log);
    return rtpi_payload_open(rec);
}

int rtpush_commit(rtpush_server *srv, size_t len) {
    rtpi_record *rec;
    int error = RTPUSH_OK;
    uint32_t size;
    if (!srv->reserved) {
        return RTPUSH_ERR_STATE;
    }
    rec = rtpi_record_at(srv, srv->numbers.reserved_off);
    srv->reserved = 0;
    if (len > rec->len) {
        error = RTPUSH_ERR_TOO_BIG;
    } else {
        error = rtpi_topic_check(srv, rec->topic, rtpi_payload(rec), len);
    }
    rec->len = (uint16_t)(error ? 0 : len);
    rtpi_encode(srv, rec);
    size = rtpi_record_size(rec->len);
    rtpi_lock(srv);
    if (srv->head == srv->numbers.reserved_off + (uint32_t)rec->size4 * 4u) { // nothing follows it
        rec->size4 = (uint16_t)(size / 4u);
        srv->head = srv->numbers.reserved_off + size;
    }
    if (error) {
        rec->flags |= RTPI_REC_VOID;
    } else {
        srv->published++;
    }
    rtpi_done(srv, rec);
    rtpi_unlock(srv);
    return error;
}

rtpush_id rtpush_last_id(const rtpush_server *srv) {
    rtpush_id id;
    rtpi_lock(srv);
    id.epoch = srv->epoch;
    id.seq = srv->seq_next - 1;
    rtpi_unlock(srv);
    return id;
}

char *rtpush_id_format(rtpush_id id, char out[RTPUSH_ID_SIZE]) {
    rtpush_text t = {NULL, RTPUSH_ID_SIZE, 0, 0};
    t.data = (uint8_t *)out;
    rtpi_format(&t, "%x-%x", id.epoch, id.seq);
    out[17] = '\0';
    return out;
}

int rtpush_topic_index(const rtpush_server *srv, const char *name) {
    int i = rtpi_topic_find(srv, name, strlen(name));
    return i < 0 ? RTPUSH_ERR_ARGUMENT : i;
}

const void *rtpush_state_get(const rtpush_server *srv, unsigned topic, size_t *len) {
    if (topic < srv->desc.topic_count && rtpi_is_state(srv, topic)) {
        const rtpi_value *v = rtpi_value_at(srv, topic);
        *len = (size_t)v->len;
        return v->rev ? rtpi_value_data(srv, v) : NULL;
    }
    *len = 0;
    return NULL;
}

// rtpush.1: a direct message begins with "=", which no id begins with, so that data of the
// application can look like no record, notice or position, whoever wrote them. Bytes of that before
// the next part: a later fragment continues what has begun.
static uint32_t rtpi_tag_len(const rtpush_conn *c) {
    return c->form == RTPI_FORM_TAGGED && !rtpi_has(c, RTPI_F_PARTS);
}

static inline int rtpi_send(rtpush_server *srv, rtpush_handle conn, int opcode, const void *data,
                            size_t len, int first, int last) {
    rtpush_conn *c = rtpi_resolve_live(srv, conn);
    uint32_t tag;
    uint8_t *to;
    if ((opcode != RTPUSH_TEXT_MESSAGE && opcode != RTPUSH_BINARY_MESSAGE) || (!data && len > 0)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    if (!rtpi_may_send(c) || rtpi_has(c, RTPI_F_PARTS) == (first != 0)) {
        return RTPUSH_ERR_STATE; // RFC 6455 5.4: fragments of one message at a time
    }
    tag = rtpi_tag_len(c);
    if (len > srv->desc.tx_size - 4u - tag) {
        return RTPUSH_ERR_TOO_BIG;
    }
    to = rtpi_ws_put(srv, c, (last ? 0x80u : 0) | (first ? (unsigned)opcode : 0),
                     tag + (uint32_t)len);
    if (!to) {
        c->todo |= RTPI_TODO_WRITABLE;
        return RTPUSH_ERR_WOULD_BLOCK;
    }
    if (tag > 0) {
        to[0] = '=';
    }
    if (len > 0) {
        memcpy(to + tag, data, len);
    }
    rtpi_ready(srv, c);
    srv->count.messages_out += last != 0;
    if (!last) {
        rtpi_set(c, RTPI_F_PARTS);
    } else if (!first) {
        rtpi_clear(c, RTPI_F_PARTS);
    }
    return RTPUSH_OK;
}

int rtpush_send(rtpush_server *srv, rtpush_handle conn, int opcode, const void *data, size_t len) {
    return rtpi_send(srv, conn, opcode, data, len, 1, 1);
}

int rtpush_send_part(rtpush_server *srv, rtpush_handle conn, int opcode, const void *data,
                     size_t len, int first, int last) {
    return rtpi_send(srv, conn, opcode, data, len, first, last);
}

size_t rtpush_send_room(const rtpush_server *srv, rtpush_handle conn) {
    const rtpush_conn *c = rtpi_resolve_live(srv, conn);
    uint32_t room = c && rtpi_may_send(c) ? srv->desc.tx_size - rtpi_tx_queued(c) : 0;
    uint32_t used = c ? 2u + rtpi_tag_len(c) : 0; // the shorter header announces 125 bytes at most
    if (room >= 130u) {
        used += 2u;
    } else if (room > 127u) {
        room = 127u;
    }
    return room > used ? (size_t)(room - used) : 0;
}

int rtpush_subscribe(rtpush_server *srv, rtpush_handle conn, uint32_t topics) {
    rtpush_conn *c = rtpi_resolve(srv, conn);
    rtpi_stream *s;
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    if (!rtpi_is_stream(c)) {
        return RTPUSH_ERR_STATE;
    }
    if ((topics & ~c->granted) != 0) {
        return RTPUSH_ERR_ARGUMENT;
    }
    s = &c->out.stream;
    if (topics & ~s->topics & srv->state_topics) {
        s->sweep_prev = 0; // all values again: simpler than a mark a topic
        c->sweep_i = 0;
    }
    s->topics = topics;
    rtpi_ready(srv, c);
    return RTPUSH_OK;
}

int rtpush_authorize(rtpush_server *srv, rtpush_handle conn, int status,
                     const rtpush_grant *grant) {
    rtpush_conn *c = rtpi_resolve_live(srv, conn);
    rtpush_request req; // not the server's: this may run inside a callback that was given that one
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    if (c->state != RTPI_ASK) {
        return RTPUSH_ERR_STATE;
    }
    if (status == 0 ? !grant : !rtpi_may_refuse(status, grant)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    rtpi_request(srv, c, &req);
    req.topics = c->out.asked.topics;
    if (rtpi_authorized(srv, c, &req, status, grant)) {
        unsigned refusal = rtpi_take_request(srv, c, &req);
        if (refusal) {
            rtpi_refuse(srv, c, refusal);
        }
    }
    if (rtpi_has(c, RTPI_F_EOF)) {
        rtpi_cut_off(srv, c);
    }
    rtpi_ready(srv, c); // the port may hold a body, frames, the next request
    return RTPUSH_OK;
}

int rtpush_close(rtpush_server *srv, rtpush_handle conn, uint16_t code, const char *close_reason) {
    rtpush_conn *c = rtpi_resolve_live(srv, conn);
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    if (rtpi_is_websocket(c)) {
        size_t len = close_reason ? strlen(close_reason) : 0;
        if (!rtpi_ws_code_valid(code) || len > 123 ||
            rtpi_utf8(RTPI_UTF8_OK, (const uint8_t *)close_reason, len) != RTPI_UTF8_OK) {
            return RTPUSH_ERR_ARGUMENT;
        }
    }
    rtpi_clear(c, RTPI_F_KEEP);
    rtpi_end(srv, c, code, close_reason, RTPUSH_REASON_APP);
    return RTPUSH_OK;
}

int rtpush_abort(rtpush_server *srv, rtpush_handle conn) {
    rtpush_conn *c = rtpi_resolve_live(srv, conn);
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    rtpi_end_at_once(srv, c, RTPUSH_REASON_APP);
    c->state = RTPI_RESET; // also where nothing is to be sent
    return RTPUSH_OK;
}

int rtpush_retry(rtpush_server *srv, rtpush_handle conn) {
    rtpush_conn *c = rtpi_resolve_live(srv, conn);
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    rtpi_clear(c, RTPI_F_RETRY);
    rtpi_ready(srv, c);
    return RTPUSH_OK;
}

int rtpush_reply(rtpush_server *srv, rtpush_handle conn, const rtpush_response *response) {
    rtpush_conn *c = rtpi_resolve_live(srv, conn);
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    if (c->state != RTPI_WAIT && c->state != RTPI_BODY) {
        return RTPUSH_ERR_STATE;
    }
    return rtpi_reply(srv, c, response, 0);
}

int rtpush_reply_text(rtpush_server *srv, rtpush_handle conn, int status, const char *text) {
    rtpush_response r;
    memset(&r, 0, sizeof r);
    r.status = (uint16_t)status;
    r.body = text;
    r.len = text ? (uint32_t)strlen(text) : 0;
    return rtpush_reply(srv, conn, &r);
}

int rtpush_query(const char *query, const char *name, char *out, size_t cap) {
    const char *value = rtpi_query_find(query, name);
    size_t len = 0;
    int c;
    if (!value || cap == 0) {
        return RTPUSH_ERR_ARGUMENT;
    }
    while ((c = rtpi_query_byte(&value, '&')) > 0) {
        if (len + 1 >= cap) {
            return RTPUSH_ERR_TOO_BIG;
        }
        out[len++] = (char)c;
    }
    if (c < 0 || rtpi_query_find(value, name)) {
        return RTPUSH_ERR_MALFORMED;
    }
    out[len] = '\0';
    return (int)len;
}

void *rtpush_user(const rtpush_server *srv, rtpush_handle conn) {
    const rtpush_conn *c = rtpi_resolve(srv, conn);
    return c ? c->user : NULL;
}

int rtpush_set_user(rtpush_server *srv, rtpush_handle conn, void *user) {
    rtpush_conn *c = rtpi_resolve(srv, conn);
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    c->user = user;
    return RTPUSH_OK;
}

const rtpush_route *rtpush_route_of(const rtpush_server *srv, rtpush_handle conn) {
    const rtpush_conn *c = rtpi_resolve(srv, conn);
    return c ? rtpi_route(srv, c) : NULL;
}

int32_t rtpush_rtt_ms(const rtpush_server *srv, rtpush_handle conn) {
    const rtpush_conn *c = rtpi_resolve(srv, conn);
    return c && rtpi_is_websocket(c) ? (int32_t)c->in.ws.rtt_ms - 1 : -1;
}

const rtpush_counters *rtpush_get_counters(rtpush_server *srv) {
    rtpi_sync(srv);
    return &srv->count;
}

rtpush_handle rtpush_next_stream(const rtpush_server *srv, rtpush_handle after) {
    uint32_t i = after.serial ? after.index + 1 : 0;
    rtpush_handle none = {0, 0};
    const rtpush_conn *c = i < srv->desc.conn_count ? rtpi_conn_at(srv, i) : srv->slots_end;
    for (; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (rtpi_is_stream(c)) {
            return rtpi_handle(srv, c);
        }
    }
    return none;
}

#ifdef RTPUSH_GATEWAY
rtpush_id rtpush_id_at(uint32_t epoch, uint64_t n) {
    rtpush_id id = {0, 0};
    id.epoch = epoch;
    if (n > 0) {
        id.epoch += (uint32_t)((n - 1) / RTPUSH_SEQ_MAX);
        id.seq = 1 + (uint32_t)((n - 1) % RTPUSH_SEQ_MAX);
    }
    return id;
}

// May the head move to this id? `own`: 1 if something is there, 0 if not.
static int rtpi_id_check(const rtpush_server *srv, rtpush_id id, uint32_t lost, uint32_t own) {
    const uint32_t head = id.epoch == srv->epoch ? srv->seq_next - 1 : 0;
    if (!RTPI_OUTSIDE(srv)) {
        return RTPUSH_ERR_STATE;
    }
    if (id.epoch == 0 || id.seq > RTPUSH_SEQ_MAX || id.seq < own) {
        return RTPUSH_ERR_ARGUMENT;
    }
    if (id.epoch == srv->epoch && id.seq <= head) {
        return RTPUSH_ERR_OLD;
    }
    return lost > id.seq - head - own ? RTPUSH_ERR_ARGUMENT : RTPUSH_OK;
}

// Makes room for `need` bytes of records, in a new epoch in its empty log, which begins with number
// `first`. 0: no room, and nothing happened.
static int rtpi_id_room(rtpush_server *srv, uint32_t epoch, uint32_t first, uint32_t need) {
    uint32_t off;
    if (epoch != srv->epoch) {
        return rtpi_begin_epoch(srv, epoch, first);
    }
    if (need == 0) {
        return 1;
    }
    off = rtpi_make_room(srv, need);
    rtpi_unlock(srv);
    return off != ~(uint32_t)0;
}

int rtpush_publish_id(rtpush_server *srv, unsigned topic, rtpush_id id, uint32_t lost,
                      const void *data, size_t len) {
    int error = rtpi_id_check(srv, id, lost, 1);
    uint32_t need = lost > 0 && rtpi_ring_size(srv) > 0 ? rtpi_record_size(sizeof lost) : 0;
    int value;
    if (error || (error = rtpi_topic_check(srv, topic, data, len)) != 0) {
        return error;
    }
    value = rtpi_is_state(srv, topic);
    if (value && !rtpi_value_fits(srv, topic, data, len)) {
        return RTPUSH_ERR_TOO_BIG;
    }
    need += value ? 0 : rtpi_record_size((uint32_t)len);
    lost = id.epoch == srv->epoch ? lost : 0; // who comes from before gets a gap anyway
    if (!rtpi_id_room(srv, id.epoch, id.seq, need)) {
        return RTPUSH_ERR_FULL;
    }
    if (lost > 0) {
        rtpi_advance_to(srv, id.seq - 1, lost);
    }
    if (value) {
        rtpi_advance_to(srv, id.seq, 0);
        return srv->desc.topics[topic].kind->publish(srv, topic, data, len, RTPI_BY_LOOP);
    }
    rtpi_append_id(srv, id.seq, topic, data, (uint32_t)len, 0);
    return RTPUSH_OK;
}

int rtpush_advance(rtpush_server *srv, rtpush_id id, uint32_t lost) {
    int error = rtpi_id_check(srv, id, lost, 0);
    if (error) {
        return error;
    }
    lost = id.epoch == srv->epoch ? lost : 0;
    if (!rtpi_id_room(srv, id.epoch, id.seq + 1,
                      lost > 0 && rtpi_ring_size(srv) > 0 ? rtpi_record_size(sizeof lost) : 0)) {
        return RTPUSH_ERR_FULL;
    }
    rtpi_advance_to(srv, id.seq, lost);
    return RTPUSH_OK;
}

uint32_t rtpush_waiting(rtpush_server *srv) {
    const rtpush_conn *c = srv->waiting ? srv->conns : srv->slots_end;
    for (; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        if (rtpi_is_stream(c) && c->notice == RTPI_NOTICE_WAITS) {
            return srv->serial;
        }
    }
    srv->waiting = 0;
    return 0;
}

int rtpush_source_end(rtpush_server *srv, uint32_t mark, rtpush_id end) {
    rtpush_conn *c;
    int resets = 0;
    rtpi_sync(srv);
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        const rtpi_wait *w = &c->out.wait;
        if (rtpi_is_stream(c) && rtpi_waits(srv, c) && mark - w->since < 0x80000000u &&
            (w->epoch != end.epoch || w->seq - 1 > end.seq || w->floor > end.seq)) {
            rtpi_reader_reset(srv, c, srv->limit_seq, srv->limit_off);
            resets++;
        }
    }
    return resets;
}

uint32_t rtpush_end_streams(rtpush_server *srv, uint32_t most) {
    rtpush_conn *c;
    uint32_t ended = 0;
    for (c = srv->conns; c < srv->slots_end && ended < most; c = rtpi_conn_after(srv, c)) {
        const int ends = rtpi_has(c, RTPI_F_CLOSE_SENT | RTPI_F_CLOSE_DUE) ||
                         (!rtpi_is_open(c) &&
                          (rtpi_has(c, RTPI_F_ANSWER) || (c->todo & RTPI_TODO_NOW)));
        if (rtpi_is_stream(c) && !ends) {
            rtpi_end(srv, c, 1001, NULL, RTPUSH_REASON_SHUTDOWN);
            ended++;
        }
    }
    return ended;
}

int rtpush_set_peer(rtpush_server *srv, rtpush_handle conn, uint32_t peer, uint32_t most) {
    rtpush_conn *c = rtpi_resolve_live(srv, conn);
    if (!c) {
        return RTPUSH_ERR_STALE;
    }
    if (c->peer != peer) {
        if (rtpi_peer_full(srv, peer, most)) {
            return RTPUSH_ERR_FULL;
        }
        rtpi_tokens_begin(srv, c, peer);
    }
    return RTPUSH_OK;
}
#endif

void rtpush_shutdown(rtpush_server *srv) {
    rtpush_conn *c;
    srv->shut = 1;
    for (c = srv->conns; c < srv->slots_end; c = rtpi_conn_after(srv, c)) {
        rtpi_clear(c, RTPI_F_KEEP);
        if (rtpi_is_stream(c) || (c->state == RTPI_HEAD && c->in.http.section == 0)) {
            rtpi_end(srv, c, 1001, NULL, RTPUSH_REASON_SHUTDOWN); // RFC 6455 7.4.1: going away
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_IMPLEMENTED
#endif // RTPUSH_IMPLEMENTATION

// LICENCE
// rtpush is available under two licences; choose the one you prefer.
//
// -------------------------------------------------------------------------------
// Choice 1: MIT No Attribution (MIT-0)
//
// Copyright 2026 the rtpush authors
//
// Permission is hereby granted, free of charge, to any person obtaining a copy of
// this software and associated documentation files (the "Software"), to deal in
// the Software without restriction, including without limitation the rights to
// use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies
// of the Software, and to permit persons to whom the Software is furnished to do
// so.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
// IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
// FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
// AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
// LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
// OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
// SOFTWARE.
//
// -------------------------------------------------------------------------------
// Choice 2: The Unlicense (public domain)
//
// This is free and unencumbered software released into the public domain.
//
// Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
// software, either in source code form or as a compiled binary, for any purpose,
// commercial or non-commercial, and by any means.
//
// In jurisdictions that recognize copyright laws, the author or authors of this
// software dedicate any and all copyright interest in the software to the public
// domain. We make this dedication for the benefit of the public at large and to
// the detriment of our heirs and successors. We intend this dedication to be an
// overt act of relinquishment in perpetuity of all present and future rights to
// this software under copyright law.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
// IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
// FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
// AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
// ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
// WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
//
// For more information, please refer to <https://unlicense.org/>
