// The application part of the example: authentication, and what each role may read and do. It uses
// no sockets, TLS, files, clocks or random generators: it gets a server, keys and the time, so it
// is the same on a PC and in firmware. It takes about 1 KB of RAM, half of it for notifications.

#ifndef APP_H
#define APP_H

#include "rtpush.h"
#include "ports/rtpush_access.h"

#include "inbox.h"

enum {
    APP_READING, // STATE: the device's numbers
    APP_SWITCH,  // STATE: is the output on
    APP_LOG,     // EVENT: what happened
    APP_AUDIT,   // EVENT: logins, wrong passwords, refusals; for admins alone
    // STATE, one for each role, in their order: the notifications of this user have changed
    APP_INBOX_VIEWER,
    APP_INBOX_ADMIN,
    APP_TOPIC_COUNT
};
enum { APP_READING_MAX = 112, APP_SWITCH_MAX = 16, APP_INBOX_MAX = 48 };
enum { APP_STATE_SUM = APP_READING_MAX + APP_SWITCH_MAX + (int)INBOX_USERS * APP_INBOX_MAX };
extern const rtpush_topic app_topics[APP_TOPIC_COUNT];

enum { APP_ROUTE_COUNT = 13 };
extern const rtpush_route app_routes[APP_ROUTE_COUNT];

// The least the server needs: a request head with a cookie, a ticket or a token of 350 bytes fits.
enum { APP_RX_SIZE = 768, APP_TX_SIZE = 640, APP_LOG_SIZE = 2048 };

// __Host-: browsers accept it only over TLS and only from this host (RFC 6265bis 4.1.3.2).
#define APP_COOKIE "__Host-session"
#define APP_AUDIENCE "device" // aud of the tokens
#define APP_ORIGIN "https://app.example" // another site, for firmware and tests

enum { APP_VIEWER, APP_ADMIN, APP_ROLE_COUNT = INBOX_USERS }; // each role is one user
enum { APP_KEY_SIZE = 32, APP_SESSIONS = 8, APP_BUCKETS = 16 };
enum { APP_REFUSED, APP_WRONG, APP_KNOWN, APP_QUOTA_COUNT }; // lines that a request causes

typedef struct app_options {
    uint8_t key[APP_KEY_SIZE];             // random, new at each boot: sessions end with it
    rtpush_key token_key;                  // other servers sign tokens with it, 32 bytes or
                                           // more; len 0: made from the key and printed
    const char *passwords[APP_ROLE_COUNT]; // NULL: made from the key and printed
    const char *const *origins;            // the same list as desc.origins
    uint32_t unix_s;                       // Unix time; 0: not known until an admin's page sets it
    unsigned https_port;                   // where a plain listener sends browsers; 0: nowhere
    void (*output)(int on);                // the switch was changed; or NULL
    void (*print)(const char *line);       // lines of the audit, and generated secrets, for
                                           // the owner's terminal; or NULL
} app_options;

typedef struct app_session {
    uint32_t serial;  // as in the cookie; 0: none
    uint32_t until_s; // 0: free
    uint8_t role;
} app_session;

typedef struct app_bucket { // wrong passwords of a group of addresses
    uint32_t full_s;   // when it will be full again
    uint32_t judged_s; // when a try was last checked with the bucket empty
} app_bucket;

typedef struct app {
    rtpush_server *srv;
    app_options options; // without the passwords
    rtpush_key key;      // options.key
    rtpush_tickets tickets;
    uint8_t passwords[APP_ROLE_COUNT][32]; // hashed with the key
    char token_key[53];                    // if it was generated
    app_session sessions[APP_SESSIONS];
    uint32_t session_serial;
    uint32_t salt; // of the addresses
    app_bucket buckets[APP_BUCKETS];
    inbox box;
    uint32_t lines[APP_QUOTA_COUNT]; // in the period under way
    uint32_t period_s;               // its end
    uint64_t up_ms;
    uint32_t last_ms;
    uint32_t reading_ms; // when the next is due
    uint32_t boot_s;     // Unix time of app_start, 0: not known
    uint8_t on;
} app;

// For rtpush_desc, with .user = a, .cookie = APP_COOKIE and .origins as in the options.
int app_authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant);

// After rtpush_init and before the first connection. options is copied, but not what it points to;
// the passwords are hashed and not needed afterwards.
void app_start(app *a, rtpush_server *srv, const app_options *options, uint32_t now_ms);

// For rtpush_desc.on_refuse: prints a line, or for many refusals only their number.
void app_refused(app *a, uint32_t peer, int status, int why);

// Publishes what is due. Returns ms until it wants to be called again.
uint32_t app_step(app *a, uint32_t now_ms);

#endif
