// rtpush.h - v0.1 - push live data from a microcontroller to browsers - MIT-0 or public domain
//
// One C99 header: HTTP/1.1, WebSocket, Server-Sent Events and long polling over static pools.
// No allocation, no I/O, no clock, no globals: bytes go in, bytes come out, time is an argument.

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
    RTPUSH_LATER = 1,             // a callback's answer: not now, offer it again after progress
    RTPUSH_ERR_WOULD_BLOCK = -1,  // no room in the connection's tx bytes now; on_writable follows
    RTPUSH_ERR_FULL = -2,         // the log has no free margin; readers are told of the gap
    RTPUSH_ERR_TOO_BIG = -3,      // can never fit: the message names the limit in its comment
    RTPUSH_ERR_STALE = -4,        // the handle's connection has ended
    RTPUSH_ERR_STATE = -5,        // not allowed in this state (already answered, not a stream...)
    RTPUSH_ERR_ARGUMENT = -6,     // no such topic, null pointer, bad code, CR or LF in a header
    RTPUSH_ERR_UTF8 = -7,         // text that is not UTF-8: it would close every WebSocket
    RTPUSH_ERR_CONFIG = -8,       // rtpush_init: a value out of range; see rtpush_server.config_error
    RTPUSH_ERR_VERSION = -9,      // rtpush_init: this file was built with another rtpush.h
    RTPUSH_FIN = -20              // rtpush_output: finish sending (shut down the write side)
};

// Why a request was refused or a connection ended. Index of rtpush_counters.why[]; given to
// on_refuse and on_close. The peer's mistakes appear only here, never as a return code.
enum {
    RTPUSH_WHY_NONE,             // ended as both sides wanted
    RTPUSH_WHY_APP,              // the application closed, aborted or refused it
    RTPUSH_WHY_PEER_CLOSED,      // the peer ended the transport
    RTPUSH_WHY_TRANSPORT,        // the transport failed (reset, network error)
    RTPUSH_WHY_SHUTDOWN,         // rtpush_shutdown
    RTPUSH_WHY_TIMEOUT_HEAD,     // request head not complete in head_ms (408)
    RTPUSH_WHY_TIMEOUT_BODY,     // body slower than 4 KiB in body_ms (408)
    RTPUSH_WHY_TIMEOUT_IDLE,     // keep-alive connection unused for idle_ms
    RTPUSH_WHY_TIMEOUT_REPLY,    // the application did not answer in reply_ms (503)
    RTPUSH_WHY_TIMEOUT_PONG,     // no pong and no other byte for ping_ms after a ping
    RTPUSH_WHY_TIMEOUT_CLOSE,    // the peer did not finish closing in close_ms
    RTPUSH_WHY_STALLED,          // bytes queued and none acknowledged for stall_ms
    RTPUSH_WHY_EXPIRED,          // the authorisation's time is over (WebSocket 4401)
    RTPUSH_WHY_EVICTED_SLOT,     // an idle connection gave its slot to a new one
    RTPUSH_WHY_EVICTED_LOG,      // stood in the middle of a record that had to leave the log
    RTPUSH_WHY_NO_SLOT,          // every slot in use by live connections: reset at accept
    RTPUSH_WHY_PEER_LIMIT,       // more than max_per_peer connections: reset at accept
    RTPUSH_WHY_STREAM_LIMIT,     // max_streams reached (503, or 200 and a retry: for SSE)
    RTPUSH_WHY_RATE,             // too many requests (429)
    RTPUSH_WHY_SYNTAX,           // the head breaks RFC 9112 (400)
    RTPUSH_WHY_TOO_LONG,         // target (414), header or head (431)
    RTPUSH_WHY_VERSION,          // HTTP version not 1.0 or 1.1 (505)
    RTPUSH_WHY_METHOD,           // unknown method (501) or not this route's (405)
    RTPUSH_WHY_NOT_FOUND,        // no such route or topic (404)
    RTPUSH_WHY_HOST,             // foreign Host: DNS rebinding (421)
    RTPUSH_WHY_ORIGIN,           // foreign Origin: cross-site request (403)
    RTPUSH_WHY_LENGTH,           // Transfer-Encoding on a request (411)
    RTPUSH_WHY_BODY,             // body larger than the route takes (413)
    RTPUSH_WHY_EXPECT,           // Expect other than 100-continue (417)
    RTPUSH_WHY_UPGRADE,          // WebSocket route without a valid upgrade (400, 426)
    RTPUSH_WHY_WS_PROTOCOL,      // RFC 6455 broken by the peer (close 1002)
    RTPUSH_WHY_WS_UTF8,          // text message not UTF-8 (close 1007)
    RTPUSH_WHY_WS_TOO_BIG,       // message larger than the route takes (close 1009)
    RTPUSH_WHY_COUNT
};

typedef struct rtpush_server rtpush_server;
typedef struct rtpush_conn rtpush_conn;

// Names a connection for the application. A handle outlives its connection safely: used later it
// gives RTPUSH_ERR_STALE, also when the slot serves somebody else. {0,0} names nobody.
typedef struct rtpush_handle {
    uint32_t serial;
    uint32_t index;
} rtpush_handle;

// An event id, written "epoch-seq" as 8 + 1 + 8 hexadecimal digits.
typedef struct rtpush_id {
    uint32_t epoch;
    uint32_t seq;
} rtpush_id;
#define RTPUSH_ID_SIZE 18 // bytes of the text with its NUL

// -- topics: a const table, at most 32 ------------------------------------------------------------

enum { RTPUSH_EVENT, RTPUSH_STATE }; // rtpush_topic.kind
enum { RTPUSH_BINARY = 1 };          // rtpush_topic.flags: bytes, not text; WebSocket routes only

typedef struct rtpush_topic {
    const char *name; // 1 to 32 of A-Z a-z 0-9 - _ . ; must not begin with "rtpush"
    uint8_t kind;     // EVENT: every record, in order, from the log. STATE: the newest value
    uint8_t flags;    // RTPUSH_BINARY or 0
    uint16_t max;     // STATE: largest value in bytes; it must fit tx_size with its prefix
} rtpush_topic;

// -- routes: a const table, the first match wins --------------------------------------------------

// rtpush_route.kind
enum {
    RTPUSH_HANDLER,   // on_request answers with rtpush_reply, at once or later
    RTPUSH_ASSET,     // a file in const memory
    RTPUSH_WEBSOCKET, // RFC 6455; subscribed to `topics`
    RTPUSH_EVENTS,    // Server-Sent Events (WHATWG HTML 9.2)
    RTPUSH_POLL       // long polling: the same text, the response ends with what is there
};

// Methods, as bits for rtpush_route.methods and as rtpush_request.method.
enum {
    RTPUSH_GET = 1,
    RTPUSH_HEAD = 2,
    RTPUSH_POST = 4,
    RTPUSH_PUT = 8,
    RTPUSH_DELETE = 16,
    RTPUSH_PATCH = 32,
    RTPUSH_OPTIONS = 64 // answered by the library unless a HANDLER route names it
};

// rtpush_route.flags
enum {
    RTPUSH_STREAM_MESSAGES = 1, // WEBSOCKET: messages larger than the rx buffer come in pieces;
                                // without it such a message is closed with 1009
    RTPUSH_ANY_ORIGIN = 2       // skip the Origin check here. Risk: any web page its user visits
                                // can use this route
};

// A file for the ASSET kind. Everything stays valid for ever (const flash).
typedef struct rtpush_asset {
    const char *content_type;  // e.g. "text/html; charset=utf-8"
    const void *data;          // identity form, or NULL if only gzip is kept
    uint32_t len;              // bytes of it
    const void *gzip;          // precompressed form, or NULL; sent where the client takes gzip
    uint32_t gzip_len;         // bytes of it
    const char *etag;          // without quotes, A-Z a-z 0-9 - _ only; NULL: no ETag, no 304
    const char *cache_control; // NULL: "no-cache" (keep, but ask again)
} rtpush_asset;

#define RTPUSH_ROUTE_HEADERS 6 // most headers a route can ask to keep

// One request, as callbacks see it. Strings are NUL-terminated, live in the connection's rx bytes
// and end with the callback.
typedef struct rtpush_request {
    rtpush_handle conn;
    const struct rtpush_route *route;
    uint8_t method;          // RTPUSH_GET ...
    uint8_t secure;          // 1: came over a listener with TLS
    uint16_t body_len;       // bytes at body
    uint32_t content_length; // as announced; 0 without a body
    uint32_t peer;           // what the port gave to rtpush_accept
    uint32_t topics;         // stream routes: the topics asked for, a bit each
    const char *path;        // percent-decoded
    const char *rest;        // what '*' in route->path stands for, else ""
    const char *query;       // after '?', raw, else ""; read it with rtpush_query
    const char *host;        // Host, lower case not enforced; NULL only for HTTP/1.0
    const char *origin;      // NULL if absent
    const char *cookie;      // value of the cookie named by desc.cookie, NULL if absent
    const char *subprotocol; // the chosen one of route->subprotocols, NULL if none
    const char *headers[RTPUSH_ROUTE_HEADERS]; // values of route->headers, NULL where absent
    const uint8_t *body;     // whole body where the route has no on_body, else NULL
} rtpush_request;

// What the authorize hook grants. Comes filled with what was asked.
typedef struct rtpush_grant {
    uint32_t topics;    // may be reduced; a stream left with no topic it asked for is refused 403
    uint32_t expires_s; // stream ends after this many seconds (at most 8,000); 0: never
    void *user;         // becomes rtpush_user()
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
    uint8_t why;         // RTPUSH_WHY_...
    uint16_t code;       // WebSocket: the peer's close code, 1005 none given, 1006 no close frame
    const char *reason;  // WebSocket: the peer's reason, UTF-8, not terminated
    uint8_t reason_len;  // bytes of it, at most 123
} rtpush_closed;

// Callbacks run inside rtpush_input, _sent, _tick, _next or the call that caused them, never from
// another context. They may call every function of this header but the port's side.
typedef struct rtpush_route {
    const char *path;     // "/exact" or "/prefix/*"
    uint8_t kind;         // RTPUSH_HANDLER ...
    uint8_t methods;      // HANDLER: RTPUSH_GET | ...; 0 means GET and HEAD
    uint8_t flags;        // RTPUSH_STREAM_MESSAGES ...
    uint32_t topics;      // streams: bit i allows topic i; 0 means all. ?topics=a,b picks of these
    uint32_t max_body;    // HANDLER: largest body in bytes, 0 none. Without on_body it must also
                          // fit rx_size beside the head
    uint32_t max_message; // WEBSOCKET: largest message in bytes; 0: what the rx buffer holds
                          // (rx_size - 125), or with STREAM_MESSAGES no limit
    const char *const *headers;      // request headers to keep, lower case, ended by NULL
    const char *const *subprotocols; // WEBSOCKET: those understood, ended by NULL; "rtpush.1"
                                     // is always understood
    const rtpush_asset *asset;       // ASSET
    void *user;                      // yours

    // HANDLER: answer with rtpush_reply now or within reply_ms. With on_body it is called at the
    // end of the head, before the body; without, when the body is whole.
    void (*on_request)(rtpush_server *srv, const rtpush_request *req);
    // HANDLER: a piece of the body as it arrives; last is 1 on the last one. RTPUSH_OK or
    // RTPUSH_LATER (the piece comes again). An answer given early ends the upload.
    int (*on_body)(rtpush_server *srv, const rtpush_request *req, const uint8_t *data, size_t len,
                   int last);
    // Streams: open, the first bytes may be sent. Closing from here is allowed.
    void (*on_open)(rtpush_server *srv, const rtpush_request *req);
    // WEBSOCKET: RTPUSH_OK takes it; RTPUSH_LATER leaves it, it comes again after progress and
    // nothing more is read meanwhile.
    int (*on_message)(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg);
    // WEBSOCKET: there is room again after RTPUSH_ERR_WOULD_BLOCK.
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
    const rtpush_topic *topics;
    uint8_t route_count; // at most 254
    uint8_t topic_count; // at most 32

    // Memory. sizeof and the macros below are constant, so static arrays show in the map file.
    rtpush_conn *conns;  // one slot a connection
    uint32_t conn_count; // at least 1
    void *bytes;         // RTPUSH_BYTES_SIZE(conn_count, rx_size, tx_size) bytes
    uint32_t bytes_size; // checked against that
    uint16_t rx_size;    // (512) receive bytes a connection, 256 to 65,532: request head, whole
                         // WebSocket messages of rx_size - 125
    uint16_t tx_size;    // (512) send bytes a connection, 256 to 65,532: answer head, direct sends,
                         // one STATE value; also the scratch SSE prefixes are written in
    void *log;           // 4-byte aligned; NULL without EVENT topics
    uint32_t log_size;   // bytes; a record takes at most a quarter, payload at most 65,535
    void *state;         // 4-byte aligned, RTPUSH_STATE_SIZE bytes; NULL without STATE topics
    uint32_t state_size; // bytes
    uint32_t epoch;      // differs at each boot (clock, boot counter, random), never 0
    uint32_t seed;       // any; spreads retry times. (epoch)

    // Who may come in.
    const char *const *hosts;   // names this device answers to besides IP literals and localhost,
                                // ended by NULL. "*" turns the check off: DNS rebinding
    const char *const *origins; // foreign origins allowed ("https://app.example"), ended by NULL
    const char *cookie;         // the one cookie to keep
    // Every request before a byte is written: 0 accepts, or a status from 400 to 599.
    int (*authorize)(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant);
    // A refusal was sent or a connection not accepted: for logs. status 0: no answer possible.
    void (*on_refuse)(rtpush_server *srv, uint32_t peer, int status, int why);

    // Limits.
    uint32_t max_streams;   // (conn_count - 1, at least 1) WebSocket + SSE + waiting polls
    uint32_t max_per_peer;  // (no cap) connections with the same peer value
    uint32_t rate_messages; // (200) requests and WebSocket frames a second a connection, burst
                            // twice that, at most 32,000; RTPUSH_UNLIMITED
    uint32_t rate_bytes;    // (262,144) body and message bytes a second, burst twice that, at most
                            // 2,000,000; RTPUSH_UNLIMITED

    // Deadlines in milliseconds, resolution 250, at most 8,000,000.
    uint32_t head_ms;      // (10,000) first byte to end of the request head
    uint32_t body_ms;      // (30,000) for each 4 KiB of a request body
    uint32_t idle_ms;      // (15,000) keep-alive connection without a request
    uint32_t reply_ms;     // (30,000) the application's time to answer
    uint32_t ping_ms;      // (20,000) WebSocket: silence before a ping, and then before the end
    uint32_t stall_ms;     // (20,000) bytes queued and none acknowledged
    uint32_t close_ms;     // (2,000) the peer's time to finish closing
    uint32_t keepalive_ms; // (15,000) SSE: longest silence
    uint32_t poll_ms;      // (25,000) longest wait of a long poll; ?timeout=S asks for less
    uint32_t retry_ms;     // (2,000) SSE reconnection time given to the browser

    void *user; // yours: rtpush_server_user()
} rtpush_desc;

#define RTPUSH_BYTES_SIZE(conns, rx_size, tx_size) \
    ((uint32_t)(conns) * ((uint32_t)(rx_size) + (uint32_t)(tx_size)))
// max_sum: the sum of rtpush_topic.max over all STATE topics.
#define RTPUSH_STATE_SIZE(topic_count, max_sum) ((uint32_t)(topic_count) * 16u + (uint32_t)(max_sum))

// Counts since rtpush_init; they wrap. Read them in the loop context.
typedef struct rtpush_counters {
    uint32_t accepted;     // connections
    uint32_t requests;     // request heads understood
    uint32_t messages_in;  // WebSocket messages
    uint32_t messages_out; // WebSocket messages sent directly
    uint32_t bytes_in;     // taken by rtpush_input
    uint32_t bytes_out;    // reported by rtpush_sent
    uint32_t published;    // records and STATE values accepted
    uint32_t full;         // rtpush_publish_from found no free margin
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
    uint32_t why[RTPUSH_WHY_COUNT]; // refusals and ends, by reason
} rtpush_counters;

// Prepares srv over the memory in desc; nothing to release. desc is copied.
// RTPUSH_ERR_CONFIG: rtpush_config_error() says which field. RTPUSH_ERR_VERSION: this file and the
// implementation were built from different headers.
static inline int rtpush_init(rtpush_server *srv, const rtpush_desc *desc);
const char *rtpush_config_error(const rtpush_server *srv); // "" if none

// Loop context: appends an event or stores a STATE value, never waits for readers. len is at most
// topic max (STATE), a quarter of the log less 24 and 65,535 (EVENT). ERR_TOO_BIG, ERR_UTF8,
// ERR_ARGUMENT; ERR_FULL only from inside a callback whose own connection holds the last record.
int rtpush_publish(rtpush_server *srv, unsigned topic, const void *data, size_t len);
// Any context, interrupts included, if the port's lock hook allows it: as rtpush_publish, but never
// evicts: RTPUSH_ERR_FULL when the margin the loop keeps free (a quarter of the log) is used up;
// readers are then told of the gap.
int rtpush_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len);
// Loop context: room for up to `cap` bytes of an EVENT, to be printed in place; commit with the
// length used before returning to the loop (len 0 to cap). NULL: too big, or FULL. One at a time.
void *rtpush_reserve(rtpush_server *srv, unsigned topic, size_t cap);
int rtpush_commit(rtpush_server *srv, size_t len);
rtpush_id rtpush_last_id(const rtpush_server *srv); // of the newest event
char *rtpush_id_format(rtpush_id id, char out[RTPUSH_ID_SIZE]);
int rtpush_topic_index(const rtpush_server *srv, const char *name); // or ERR_ARGUMENT
// The stored STATE value; *len its bytes; NULL if never published. Ends with the next publish.
const void *rtpush_state_get(const rtpush_server *srv, unsigned topic, size_t *len);

// One whole WebSocket message to one connection. ERR_WOULD_BLOCK: on_writable follows.
// ERR_TOO_BIG: over tx_size - 4; send it in parts. Text must be UTF-8 (not checked).
int rtpush_send(rtpush_server *srv, rtpush_handle conn, int opcode, const void *data, size_t len);
// A message in parts, each a fragment; opcode counts on the first. Between first and last nothing
// published reaches this connection. ERR_STATE if first does not match what is open.
int rtpush_send_part(rtpush_server *srv, rtpush_handle conn, int opcode, const void *data,
                     size_t len, int first, int last);
// Most bytes one rtpush_send or _send_part would take now; 0 if none or not a WebSocket.
size_t rtpush_send_room(const rtpush_server *srv, rtpush_handle conn);

// Streams: changes the subscription. Newly added STATE topics bring their value, EVENT topics begin
// now. Bit i stands for topic i.
int rtpush_subscribe(rtpush_server *srv, rtpush_handle conn, uint32_t topics);
// Finishes politely: WebSocket sends code and reason (at most 123 bytes UTF-8, NULL none).
int rtpush_close(rtpush_server *srv, rtpush_handle conn, uint16_t code, const char *reason);
int rtpush_abort(rtpush_server *srv, rtpush_handle conn); // ends it at once, with a reset
// Offers again what a callback left with RTPUSH_LATER; needed only to be quicker than 250 ms.
int rtpush_resume(rtpush_server *srv, rtpush_handle conn);

// Fills buf with more of a long answer. RTPUSH_LATER: nothing yet (rtpush_resume when there is).
// Else the bytes written, 0 at the end, or a negative number to abort. offset: bytes so far.
typedef int (*rtpush_pull)(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                           uint8_t *buf, size_t cap);

typedef struct rtpush_response {
    uint16_t status;             // 0 means 200
    uint8_t body_static;         // 1: body stays valid until on_close and is sent from where it is;
                                 // 0: it is copied into the tx bytes and must fit
    const char *content_type;    // NULL: "text/plain; charset=utf-8"
    const char *cache_control;   // NULL: "no-store"
    const char *const *headers;  // name, value, name, value, ..., NULL
    const void *body;
    uint32_t len;                // bytes of body
    rtpush_pull pull;            // instead of body: an answer of any length, sent in chunks
    void *user;                  // given to pull
} rtpush_response;

// Answers a HANDLER request, once. ERR_TOO_BIG: head (and copied body) do not fit tx_size; nothing
// was sent. ERR_ARGUMENT: a header holds CR, LF or NUL. HEAD requests get the head alone.
int rtpush_reply(rtpush_server *srv, rtpush_handle conn, const rtpush_response *response);
int rtpush_reply_text(rtpush_server *srv, rtpush_handle conn, int status, const char *text);

// A parameter of a raw query, percent-decoded into out and NUL-terminated. Returns its length;
// ERR_ARGUMENT if absent or malformed, ERR_TOO_BIG if it does not fit cap.
int rtpush_query(const char *query, const char *name, char *out, size_t cap);

void *rtpush_user(const rtpush_server *srv, rtpush_handle conn); // NULL if stale or unset
int rtpush_set_user(rtpush_server *srv, rtpush_handle conn, void *user);
int32_t rtpush_rtt_ms(const rtpush_server *srv, rtpush_handle conn); // last ping; -1 none yet
void *rtpush_server_user(const rtpush_server *srv);
const rtpush_counters *rtpush_get_counters(rtpush_server *srv);
// Iterates over open streams: start with {0,0}; returns {0,0} at the end.
rtpush_handle rtpush_next_stream(const rtpush_server *srv, rtpush_handle after);

// Begins the end: new connections are refused, WebSockets get 1001, SSE a jittered retry:, the rest
// finish what they do. Done when rtpush_get_counters()->slots_used is 0.
void rtpush_shutdown(rtpush_server *srv);
const char *rtpush_strerror(int error); // RTPUSH_ERR_...
const char *rtpush_why(int why);        // RTPUSH_WHY_...

// -- the port's side ------------------------------------------------------------------------------
// One context calls all of this, one call at a time. A connection exists from rtpush_accept until
// the port calls rtpush_gone or the core calls drop; the pointer must not be used after either.
// drop is called only from rtpush_accept, _next, _tick, _publish, _reserve and _attach, and never
// for the connection whose rtpush_input, _sent, _eof ... is under way.
//
// The loop:  tick; while ((c = rtpush_next())) serve c; sleep until tick's answer or I/O.
// Serve c:   offer held input; output and send until 0 spans or the transport blocks; repeat while
//            either moved.

typedef struct rtpush_hooks {
    void *ctx;
    // Ends the transport now, without calling back into the core. reset 1: abort (RST); 0: both
    // sides have finished, close quietly.
    void (*drop)(void *ctx, rtpush_conn *conn, void *port, int reset);
    // Called from rtpush_publish_from, perhaps in an interrupt: make the loop run soon. Or NULL.
    void (*wake)(void *ctx);
    // Short critical section against rtpush_publish_from. NULL: only one context publishes.
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
} rtpush_hooks;

enum { RTPUSH_SPAN_COPY, RTPUSH_SPAN_HOLD, RTPUSH_SPAN_STATIC };
typedef struct rtpush_span {
    const uint8_t *data;
    uint16_t len;  // never 0; long bodies come as several spans
    uint8_t kind;  // COPY: valid until the next core call. HOLD: unchanged until acknowledged.
} rtpush_span;     // STATIC: for ever

enum { RTPUSH_LISTENER_SECURE = 1 }; // rtpush_accept flags: the listener speaks TLS

int rtpush_attach(rtpush_server *srv, const rtpush_hooks *hooks);
// A new connection. peer: any number equal for equal addresses (0 unknown). port: the port's own
// pointer, handed back by rtpush_port. NULL: none free, reset it.
rtpush_conn *rtpush_accept(rtpush_server *srv, unsigned flags, uint32_t peer, void *port);
// Bytes that arrived. Returns how many were taken; offer the rest again, unchanged, when the
// connection comes from rtpush_next or after rtpush_sent.
size_t rtpush_input(rtpush_server *srv, rtpush_conn *conn, const void *bytes, size_t len);
// The peer finished sending and all bytes were taken.
void rtpush_eof(rtpush_server *srv, rtpush_conn *conn);
// What to send: fills up to max spans, returns how many (0: nothing now) or RTPUSH_FIN (once).
// MUST be followed by rtpush_sent (also with 0) before any other call into this server.
int rtpush_output(rtpush_server *srv, rtpush_conn *conn, rtpush_span *spans, int max);
void rtpush_sent(rtpush_server *srv, rtpush_conn *conn, size_t n);  // taken by the transport
void rtpush_acked(rtpush_server *srv, rtpush_conn *conn, size_t n); // no longer referred to
void rtpush_gone(rtpush_server *srv, rtpush_conn *conn);            // the transport has died
// Next connection that has something to do (output, or held input to offer again), or NULL.
rtpush_conn *rtpush_next(rtpush_server *srv);
// Time: any millisecond counter that wraps at 2^32; going back counts as 0. Returns ms until the
// next deadline (0xFFFFFFFF none).
uint32_t rtpush_tick(rtpush_server *srv, uint32_t now_ms);
void *rtpush_port(const rtpush_conn *conn);
rtpush_handle rtpush_conn_handle(const rtpush_server *srv, const rtpush_conn *conn);

// -- sizes: public only so that memory can be static; the fields are private ----------------------

typedef struct rtpi_stream { // SSE, poll and WebSocket: where this reader stands
    uint32_t topics;         // subscribed, a bit each
    uint32_t seq;            // next sequence number to look at: this decides
    uint32_t off;            // where it should be in the log: only a cache
    uint32_t part;           // bytes already sent of the record at seq
    uint32_t missed;         // skipped and not yet told
    uint32_t sweep_prev;     // STATE revisions up to here were given
    uint32_t sweep_now;      // revision at the start of the sweep under way
    uint32_t stop;           // poll: the answer ends before this sequence number
    uint32_t replay;         // events the first notice announces
    uint8_t sweep_i;         // next topic of the sweep
    uint8_t notice;          // RTPI_NOTICE_...
    uint8_t form;            // RTPI_FORM_...: how records are written for this reader
    uint8_t ping;            // 1 a ping is due, 2 it was sent
} rtpi_stream;

typedef struct rtpi_reply { // an HTTP answer
    const uint8_t *body;    // static body, or NULL
    rtpush_pull pull;
    void *user;
    uint32_t left; // bytes left of body, or pulled so far
} rtpi_reply;

typedef struct rtpi_http { // the request as it arrives
    uint32_t candidates;   // names that still match, a bit each
    uint32_t seen;         // headers seen, a bit each
    uint32_t length;       // Content-Length, then bytes of body left
    uint16_t total;        // bytes of head so far
    uint16_t mark;         // arena offset: of the value being kept, then of the body
    uint16_t bits;         // RTPI_B_...
    uint8_t step;          // RTPI_S_...
    uint8_t pos;           // bytes of the name matched
    uint8_t header;        // RTPI_H_... being read
    uint8_t method;        // RTPUSH_GET ...
    uint8_t subprotocol;   // 1 + index chosen, 255 is rtpush.1
} rtpi_http;

typedef struct rtpi_ws { // the frame as it arrives
    uint32_t left;       // payload bytes left of this frame
    uint32_t total;      // payload bytes of this message before this frame
    uint8_t mask[4];     // rotated so that [0] is next
    uint8_t step;        // header bytes read, or RTPI_WS_PAYLOAD
    uint8_t first;       // first header byte: FIN and opcode
    uint8_t opcode;      // of the message under way, 0 none
    uint8_t utf8;        // validator state
    uint8_t control_len; // bytes of control payload gathered
    uint8_t bits;        // RTPI_WS_...
} rtpi_ws;

struct rtpush_conn {
    uint32_t serial;
    void *port;
    void *user;
    uint32_t peer;
    uint32_t next; // ready list, or free list
    uint8_t state; // RTPI_FREE ...
    uint8_t route; // index, 255 none
    uint8_t why;   // RTPUSH_WHY_... once it ends
    uint8_t reason_len;
    uint16_t flags;   // RTPI_F_...
    uint16_t code;    // WebSocket close code received, or to send
    uint16_t due;     // quarter seconds: deadline of this state
    uint16_t heard;   // last byte received
    uint16_t moved;   // last acknowledgement, or when the queue began
    uint16_t expires; // end of the authorisation
    uint16_t rx_used;
    uint16_t tx_head;
    uint16_t tx_len; // end of the bytes queued
    uint16_t tokens;
    uint16_t byte_tokens; // in 64 bytes
    uint16_t token_at;    // quarter second of the last refill
    uint16_t rtt_ms;
    uint32_t unacked;  // bytes the transport may still refer to
    uint32_t hold_seq; // oldest record among them
    uint32_t mark_seq; // records before it are free after mark_left more bytes; 0 no hold
    uint32_t mark_left;
    union {
        rtpi_http http;
        rtpi_ws ws;
    } in;
    union {
        rtpi_stream stream;
        rtpi_reply reply;
    } out;
};

struct rtpush_server {
    rtpush_desc desc;
    rtpush_hooks hooks;
    rtpush_counters count;
    const char *config_error;

    uint32_t now_ms;
    uint32_t carry_ms; // of the quarter second under way
    uint32_t quarter;  // quarter seconds since init
    uint32_t scan_at;  // quarter of the next scan; scan_armed says whether there is one
    uint32_t random;

    uint32_t free_first; // slots: index + 1, 0 ends the list
    uint32_t slots_top;  // slots ever used
    uint32_t ready_first;
    uint32_t ready_last;
    uint32_t sweep_at; // next slot to look at after a publish
    uint32_t serial;
    rtpush_conn *busy; // whose rtpush_input, _sent ... is under way

    // Log. Written under the lock: head, wrap, used, undone, seq_next, done_*, rev.
    // Written by the loop alone: tail, tail_seq, limit_*, hold_floor.
    uint32_t epoch;
    uint32_t seq_next;     // sequence number of the next event
    uint32_t head;         // where the next record goes
    uint32_t tail;         // oldest record
    uint32_t wrap;         // where the ring jumps to 0; log_size if it does not
    uint32_t used;         // records
    uint32_t undone;       // records from done_off on
    uint32_t done_seq;     // every record before it is complete
    uint32_t done_rec;     // sequence number after the last complete record
    uint32_t done_off;
    uint32_t tail_seq;
    uint32_t limit_seq;    // the loop's copy of done_*: readers stop here
    uint32_t limit_rec;
    uint32_t limit_off;
    uint32_t limit_wrap;
    uint32_t hold_floor;   // no connection holds a record before it
    uint32_t reserved_off; // record being reserved
    uint32_t rev;          // newest STATE revision
    uint32_t state_topics; // a bit for each STATE topic
    uint32_t text_topics;  // a bit for each topic that is not binary

    // What the last rtpush_output offered, for rtpush_sent.
    uint32_t plan_total;   // bytes
    uint32_t plan_tx;      // of them from tx
    uint32_t plan_body;    // of them from a static body
    uint32_t plan_seq;     // cursor when all of it is sent
    uint32_t plan_off;
    uint32_t plan_first;   // first record offered, 0 none
    uint32_t plan_records; // records completed then

    uint8_t reserved; // 1: between reserve and commit
    uint8_t swept;    // 0: something was published since the last sweep
    uint8_t woken;    // wake was called since the last look
    uint8_t started;  // the clock was set
    uint8_t scan_armed;
    uint8_t shut;
    uint8_t reserved_topic;
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
