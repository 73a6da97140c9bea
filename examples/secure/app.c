// See app.h.

#define RTPUSH_ACCESS_IMPLEMENTATION
#include "app.h"

#include "ports/rtpush_json.h"
#include "secure_assets.h" // made from page/ by bundle.sh

#include <string.h>

enum {
    READING_MS = 1000,
    SESSION_S = 3600, // if the login does not ask for another time
    SESSION_MAX_S = 7200,
    TICKET_S = 10,
    GUESSES = 5,   // wrong ones in a row, then
    GUESS_S = 10,  // one each so many seconds; beyond them one a second is judged
    LINES = 20,    // of each kind in a period, then their number alone
    PERIOD_S = 10,
    FORM_SIZE = 129, // of a login, with its NUL; no password is longer
    COMMAND_MAX = 64, // "note viewer " and a notification
    NAME_SIZE = 32   // of a token's subject
};

// How a stream was authorized, for rtpush_user: its session, and whether it is read-only.
#define VIEW_ONLY 0x80000000u

static const char *const role_names[APP_ROLE_COUNT] = {"viewer", "admin"};

enum { SHARED_TOPICS = 1u << APP_READING | 1u << APP_SWITCH | 1u << APP_LOG };

static const uint32_t role_topics[APP_ROLE_COUNT] = {
    SHARED_TOPICS | 1u << APP_INBOX_VIEWER,
    SHARED_TOPICS | 1u << APP_INBOX_ADMIN | 1u << APP_AUDIT};

static app *app_of(rtpush_server *srv) {
    return (app *)rtpush_server_user(srv);
}

// Seconds since the start, from 1: the monotonic clock of sessions and tickets.
static uint32_t now_s(const app *a) {
    return (uint32_t)(a->up_ms / 1000u) + 1;
}

// -- publishing -----------------------------------------------------------------------------------

static void publish(app *a, unsigned topic, const rtpush_text *t) {
    if (!t->over) {
        (void)rtpush_publish(a->srv, topic, t->data, t->len);
    }
}

// A line of the log or the audit: `words`, then `more`. A line of the audit is printed on the
// terminal too. No line ever holds a secret.
static void say(app *a, unsigned topic, const char *words, const char *more) {
    char line[80];
    char out[128];
    rtpush_text whole = rtpush_json_begin(line, sizeof line - 1);
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&whole, "%s%s", words, more);
    line[whole.len] = '\0';
    for (char *c = line; *c != '\0'; c++) { // a name must not hold line ends or terminal escapes
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
    }
    rtpush_json(&t, "{\"t\":%u,\"text\":%q}", now_s(a), line);
    publish(a, topic, &t);
    if (topic == APP_AUDIT && a->options.print != NULL) {
        a->options.print(line);
    }
}

// A client that sends many requests must not flood the terminal, or evict older lines of the log.
static int may_say(app *a, int quota) {
    return ++a->lines[quota] <= LINES;
}

static void say_peer(app *a, int quota, const char *words, uint32_t peer) {
    char from[24];
    rtpush_text t = rtpush_json_begin(from, sizeof from - 1);
    rtpush_json(&t, " from %u.%u.%u.%u", peer >> 24, peer >> 16 & 255u, peer >> 8 & 255u,
                peer & 255u);
    from[t.len] = '\0';
    if (may_say(a, quota)) {
        say(a, APP_AUDIT, words, from);
    }
}

// At the end of a period: how many lines were left out.
static void say_the_rest(app *a) {
    static const char *const what[APP_QUOTA_COUNT] = {
        [APP_REFUSED] = "refused",
        [APP_WRONG] = "wrong passwords",
        [APP_KNOWN] = "logins and tickets"};
    if (now_s(a) < a->period_s) {
        return;
    }
    a->period_s = now_s(a) + PERIOD_S;
    for (int i = 0; i < APP_QUOTA_COUNT; i++) {
        if (a->lines[i] > LINES) {
            char words[32];
            rtpush_text t = rtpush_json_begin(words, sizeof words - 1);
            rtpush_json(&t, ": %u more in %u s", a->lines[i] - LINES, (uint32_t)PERIOD_S);
            words[t.len] = '\0';
            say(a, APP_AUDIT, what[i], words);
        }
        a->lines[i] = 0;
    }
}

static void publish_switch(app *a) {
    char out[APP_SWITCH_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"on\":%b}", a->on);
    publish(a, APP_SWITCH, &t);
}

static void publish_reading(app *a) {
    const rtpush_counters *c = rtpush_get_counters(a->srv);
    char out[APP_READING_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"up\":%u,\"streams\":%u,\"slots\":%u", now_s(a), c->streams, c->slots_used);
    rtpush_json(&t, ",\"requests\":%u,\"refused\":%u}", c->requests, c->reasons[RTPUSH_REASON_APP]);
    publish(a, APP_READING, &t);
}

// A page that gets this asks for GET /inbox. All of them have the value, whenever they connect.
static void publish_inbox(app *a, unsigned user) {
    char out[APP_INBOX_MAX];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json(&t, "{\"last\":%u,\"unread\":%u,\"lost\":%u}", a->box.last,
                (uint32_t)inbox_unread(&a->box, user), (uint32_t)a->box.lost[user]);
    publish(a, APP_INBOX_VIEWER + user, &t);
}

static const uint8_t to_admin = 1u << APP_ADMIN;
static const uint8_t to_all = (1u << APP_ROLE_COUNT) - 1u;

static const char *notify(app *a, uint8_t to, const char *text) {
    if (inbox_add(&a->box, to, text, now_s(a)) < 0) {
        return "a notification has 1 to 49 bytes";
    }
    for (unsigned user = 0; user < APP_ROLE_COUNT; user++) {
        publish_inbox(a, user); // if it was for others, its lost may have changed
    }
    return NULL;
}

// -- sessions: a table, so that a logout ends one -------------------------------------------------

static app_session *session_find(app *a, uint32_t serial) {
    for (int i = 0; serial != 0 && i < APP_SESSIONS; i++) {
        app_session *s = &a->sessions[i];
        if (s->serial == serial && s->until_s > now_s(a)) {
            return s;
        }
    }
    return NULL;
}

static void session_end(app *a, app_session *s) {
    rtpush_handle none = {0, 0};
    rtpush_handle conn = none;
    const uint32_t serial = s->serial;
    memset(s, 0, sizeof *s);
    while ((conn = rtpush_next_stream(a->srv, conn)).serial != 0) {
        const uint32_t user = (uint32_t)(uintptr_t)rtpush_user(a->srv, conn);
        if ((user & ~VIEW_ONLY) == serial) {
            (void)rtpush_close(a->srv, conn, 4401, "logged out");
        }
    }
}

// When the entry may be reused by this role: entries of higher roles after all others. Otherwise
// viewers could end the sessions of all admins.
static uint32_t session_rank(const app *a, const app_session *s, uint8_t role) {
    return s->until_s + (s->until_s > now_s(a) && s->role > role ? SESSION_MAX_S : 0);
}

// Uses the entry that ends first: a free one, an expired one, or the oldest session.
static app_session *session_begin(app *a, uint8_t role, uint32_t seconds) {
    app_session *s = &a->sessions[0];
    for (int i = 1; i < APP_SESSIONS; i++) {
        app_session *other = &a->sessions[i];
        s = session_rank(a, other, role) < session_rank(a, s, role) ? other : s;
    }
    if (s->serial != 0) {
        session_end(a, s);
    }
    s->serial = ++a->session_serial;
    s->until_s = now_s(a) + seconds;
    s->role = role;
    return s;
}

static uint32_t hex_value(const char *digits) {
    uint32_t value = 0;
    for (; *digits != '\0'; digits++) {
        const char c = *digits;
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

// -- authentication -------------------------------------------------------------------------------

typedef struct identity {
    app_session *session; // NULL: none, the client has a token
    uint32_t topics;
    uint32_t left_s;
    char name[NAME_SIZE];
} identity;

static int by_session(app *a, app_session *s, identity *who) {
    if (s == NULL) {
        return 0;
    }
    who->session = s;
    who->topics = role_topics[s->role];
    who->left_s = s->until_s - now_s(a);
    memcpy(who->name, role_names[s->role], strlen(role_names[s->role]) + 1);
    return 1;
}

// A page of a listed origin can be same-site (another port of this host); then the browser sends
// the cookie too. The cookie is for our own pages only: other origins need a token.
static int is_foreign(const app *a, const rtpush_request *req) {
    for (int i = 0; req->origin != NULL && a->options.origins != NULL; i++) {
        if (a->options.origins[i] == NULL) {
            break;
        }
        if (strcmp(a->options.origins[i], req->origin) == 0) {
            return 1;
        }
    }
    return 0;
}

static int by_cookie(app *a, const rtpush_request *req, identity *who) {
    char serial[12];
    return !is_foreign(a, req) &&
           rtpush_verify(&a->key, "session", req->cookie, now_s(a), serial, sizeof serial, NULL) >=
               0 &&
           by_session(a, session_find(a, hex_value(serial)), who);
}

// Checked against Unix time, not our own clock, since another server issued it. Without Unix time
// every token is refused.
static int by_token(app *a, const rtpush_request *req, identity *who) {
    rtpush_claim sub = {.name = "sub", .text = who->name, .text_size = sizeof who->name};
    rtpush_jwt jwt = {.key = a->options.token_key,
                      .now_s = a->boot_s > 0 ? a->boot_s + now_s(a) : 0,
                      .claim_count = 1,
                      .aud = APP_AUDIENCE,
                      .claims = &sub};
    if (rtpush_jwt_verify(&jwt, rtpush_bearer(req->authorization)) < 0) {
        return 0;
    }
    who->session = NULL;
    who->topics = SHARED_TOPICS;
    who->left_s = jwt.left_s;
    return sub.kind == RTPUSH_CLAIM_TEXT;
}

// The owner in a ticket: the serial of a session, or this bit and the expiry of a token.
#define OF_TOKEN 0x80000000u

static int by_ticket(app *a, const char *ticket, identity *who) {
    uint32_t topics;
    uint32_t owner;
    if (rtpush_ticket_redeem(&a->tickets, ticket, now_s(a), &topics, &owner) < 0) {
        return 0;
    }
    if (owner & OF_TOKEN) {
        const uint32_t until_s = owner & ~OF_TOKEN;
        who->left_s = until_s > now_s(a) ? until_s - now_s(a) : 0;
        who->topics = topics;
        return who->left_s > 0;
    }
    const int good = by_session(a, session_find(a, owner), who);
    who->topics &= topics;
    return good;
}

// A stream: if there is a ticket, it alone decides; otherwise the cookie.
static int authorize_stream(app *a, const rtpush_request *req, rtpush_grant *grant) {
    char ticket[RTPUSH_TICKET_SIZE];
    identity who = {.session = NULL};
    uint32_t view_only = 0;
    const int len = rtpush_query(req->query, "ticket", ticket, sizeof ticket);
    if (len == RTPUSH_ERR_ARGUMENT) {
        if (!by_cookie(a, req, &who)) {
            return 401;
        }
    } else {
        if (len < 0 || !by_ticket(a, ticket, &who)) {
            return 401;
        }
        view_only = VIEW_ONLY;
    }
    grant->topics &= who.topics; // "?topics=audit" of a viewer: 403
    grant->expires_s = who.left_s;
    grant->user = (void *)(uintptr_t)(view_only | (who.session ? who.session->serial : 0));
    return 0;
}

// -- guessing: a bucket for each group of addresses -----------------------------------------------
// Only wrong passwords take from a bucket: each moves full_s by GUESS_S. When a bucket is empty,
// one try a second is still checked. Otherwise an attacker who guesses now and then would lock out
// the right password for all behind the same address. A wrong try is then answered like one that
// was not checked. Addresses are mapped to buckets with a secret salt, so the tries of all
// addresses together are bounded too, and no table can be filled up. Open sessions are not
// affected.

static app_bucket *bucket_of(app *a, uint32_t peer) {
    return &a->buckets[((peer ^ a->salt) * 2654435761u) >> 28]; // of 16
}

static int is_empty(const app *a, const app_bucket *bucket) {
    return bucket->full_s > now_s(a) + (GUESSES - 1) * GUESS_S;
}

// Is this try checked?
static int may_guess(const app *a, app_bucket *bucket) {
    const uint32_t now = now_s(a);
    if (!is_empty(a, bucket)) {
        return 1;
    }
    if (bucket->judged_s == now) {
        return 0;
    }
    bucket->judged_s = now;
    return 1;
}

static void spend(const app *a, app_bucket *bucket) {
    const uint32_t now = now_s(a);
    bucket->full_s = (bucket->full_s > now ? bucket->full_s : now) + GUESS_S;
}

static void hash_password(const app *a, const char *password, uint8_t out[32]) {
    char salted[9 + FORM_SIZE] = "password:";
    const size_t len = strlen(password);
    const size_t used = len < sizeof salted - 9 ? len : sizeof salted - 9;
    memcpy(salted + 9, password, used);
    rtpush_hmac_sha256(&a->key, salted, 9 + used, out);
}

// The role whose password it is, or -1. All are compared, each in constant time.
static int role_of(const app *a, const char *password) {
    uint8_t hash[32];
    int found = -1;
    hash_password(a, password, hash);
    for (int role = 0; role < APP_ROLE_COUNT; role++) {
        found = rtpush_equal(hash, a->passwords[role], sizeof hash) ? role : found;
    }
    return found;
}

// As much as fits, NUL-terminated. A request without a body has no data.
static void copy_text(char *out, size_t cap, const void *data, size_t len) {
    len = len < cap ? len : cap - 1;
    if (len > 0) {
        memcpy(out, data, len);
    }
    out[len] = '\0';
}

// A decimal number that is all of the text; most if it is larger, 0 if it is none.
static uint32_t decimal_value(const char *digits, uint32_t most) {
    uint64_t value = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++) {
        value = value * 10u + (uint32_t)(*digits - '0');
        value = value > most ? most : value;
    }
    return *digits == '\0' ? (uint32_t)value : 0;
}

// -- commands: "on 1", "on 0", "clock 1767225600", "note all TEXT", "read 3 5" --------------------

static void set_on(app *a, int on) {
    if (a->on != on) {
        a->on = (uint8_t)on;
        if (a->options.output != NULL) {
            a->options.output(on);
        }
        publish_switch(a);
        say(a, APP_LOG, "The output was switched ", on ? "on" : "off");
        (void)notify(a, to_all,
                     on ? "The output was switched on" : "The output was switched off");
    }
}

// A device without a clock gets the time of day from the page of an admin, once: if it could be set
// back, expired tokens would be valid again.
static const char *set_clock(app *a, uint32_t unix_s) {
    if (a->boot_s > 0) {
        return "the clock is set";
    }
    if (unix_s <= now_s(a) || unix_s >= 0xF0000000u) { // 2097: it must not wrap soon
        return "clock: seconds since 1970";
    }
    a->boot_s = unix_s - now_s(a);
    say(a, APP_AUDIT, "an admin set the clock", "");
    return NULL;
}

// "viewer TEXT", "admin TEXT", "all TEXT"
static const char *note(app *a, const char *words) {
    for (int role = 0; role <= APP_ROLE_COUNT; role++) {
        const char *name = role < APP_ROLE_COUNT ? role_names[role] : "all";
        const size_t len = strlen(name);
        if (strncmp(words, name, len) == 0 && words[len] == ' ') {
            return notify(a, role < APP_ROLE_COUNT ? (uint8_t)(1u << role) : to_all,
                          words + len + 1);
        }
    }
    return "note: viewer, admin or all";
}

// "FIRST LAST": this user has read those notifications.
static const char *read_notes(app *a, unsigned user, char *words) {
    char *second = strchr(words, ' ');
    if (second == NULL) {
        return "read: two numbers";
    }
    *second++ = '\0';
    if (inbox_read(&a->box, user, decimal_value(words, UINT32_MAX),
                   decimal_value(second, UINT32_MAX))) {
        publish_inbox(a, user);
    }
    return NULL;
}

static const char not_allowed[] = "only an admin may do that";

// Returns NULL, or what is wrong with the command.
static const char *command(app *a, const app_session *s, const void *data, size_t len) {
    char line[COMMAND_MAX + 1];
    if (s == NULL || len > COMMAND_MAX) {
        return s == NULL ? not_allowed : "too long";
    }
    copy_text(line, sizeof line, data, len);
    if (strncmp(line, "read ", 5) == 0) {
        return read_notes(a, s->role, line + 5);
    }
    if (s->role != APP_ADMIN) {
        return not_allowed;
    }
    if (strcmp(line, "on 1") == 0 || strcmp(line, "on 0") == 0) {
        set_on(a, line[3] == '1');
        return NULL;
    }
    if (strncmp(line, "clock ", 6) == 0) {
        return set_clock(a, decimal_value(line + 6, UINT32_MAX));
    }
    return strncmp(line, "note ", 5) == 0 ? note(a, line + 5) : "no such command";
}

// A secret of `len` characters with 5 bits each, derived from the key; printed for the owner. At
// most 52, since a hash has 256 bits.
static const char *make_secret(const app *a, const char *what, char *out, size_t len) {
    char line[96];
    uint8_t hash[32];
    rtpush_text t = rtpush_json_begin(line, sizeof line - 1);
    rtpush_hmac_sha256(&a->key, what, strlen(what), hash);
    for (size_t i = 0; i < len; i++) {
        const size_t bit = 5 * i;
        const unsigned two = (unsigned)hash[bit / 8] << 8 | (bit < 248 ? hash[bit / 8 + 1] : 0u);
        out[i] = "abcdefghijkmnpqrstuvwxyz23456789"[two >> (11 - bit % 8) & 31u];
    }
    out[len] = '\0';
    if (a->options.print != NULL) {
        rtpush_json(&t, "%s: %s", what, out);
        line[t.len] = '\0';
        a->options.print(line);
    }
    return out;
}

// -- handlers -------------------------------------------------------------------------------------

static void reply(rtpush_server *srv, const rtpush_request *req, const rtpush_response *answer) {
    if (rtpush_reply(srv, req->conn, answer) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

static void reply_text(rtpush_server *srv, const rtpush_request *req, int status,
                       const char *words) {
    if (rtpush_reply_text(srv, req->conn, status, words) < 0) {
        rtpush_abort(srv, req->conn);
    }
}

// On a plain listener: to the same host, the https port. The library has checked Host.
static void redirect(rtpush_server *srv, const rtpush_request *req) {
    char location[128];
    char host[80] = "";
    const app *a = app_of(srv);
    const size_t len = req->host ? strlen(req->host) : 0;
    if (a->options.https_port == 0 || len == 0 || len >= sizeof host) {
        reply_text(srv, req, 400, "This device speaks HTTPS: begin with https:\n");
        return;
    }
    memcpy(host, req->host, len + 1);
    char *port = strrchr(host, ':');
    if (port != NULL && strchr(port, ']') == NULL) { // not inside an IPv6 address
        *port = '\0';
    }
    rtpush_text t = rtpush_json_begin(location, sizeof location - 1);
    rtpush_json(&t, "https://%s:%u/", host, (uint32_t)a->options.https_port);
    location[t.len] = '\0';
    const char *headers[] = {"Location", location, NULL};
    const rtpush_response answer = {.status = 301, .headers = headers};
    reply(srv, req, &answer);
}

// GET /: the page, the login, or from http a redirect to https.
static void on_page(rtpush_server *srv, const rtpush_request *req) {
    static const char *const headers[] = {
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        "Referrer-Policy", "same-origin", // "no-referrer" would make the form's Origin null
        NULL};
    identity who;
    if (!req->secure) {
        redirect(srv, req);
        return;
    }
    const rtpush_asset *page =
        by_cookie(app_of(srv), req, &who) ? &asset_dashboard_html : &asset_login_html;
    const rtpush_response answer = {.body_static = 1,
                                    .content_type = page->content_type,
                                    .headers = headers,
                                    .body = page->data,
                                    .len = page->len};
    reply(srv, req, &answer);
}

// "Set-Cookie", and a redirect to "/". value "" removes the cookie.
static void reply_cookie(rtpush_server *srv, const rtpush_request *req, const char *value,
                         uint32_t max_age_s) {
    char cookie[192];
    if (rtpush_cookie(APP_COOKIE, value, max_age_s, 1, cookie, sizeof cookie) < 0) {
        rtpush_abort(srv, req->conn); // never: the buffer fits
        return;
    }
    const char *headers[] = {"Set-Cookie", cookie, "Location", "/", NULL};
    const rtpush_response answer = {.status = 303, .headers = headers};
    reply(srv, req, &answer);
}

static void log_in(rtpush_server *srv, const rtpush_request *req, uint8_t role, uint32_t stay_s) {
    app *a = app_of(srv);
    char value[9];
    char cookie[RTPUSH_SIGNED + sizeof value];
    const app_session *s = session_begin(a, role, stay_s);
    rtpush_text t = rtpush_json_begin(value, sizeof value - 1);
    rtpush_json(&t, "%x", s->serial);
    value[t.len] = '\0';
    if (rtpush_sign(&a->key, "session", value, s->until_s, cookie, sizeof cookie) < 0) {
        rtpush_abort(srv, req->conn); // no key: no login
        return;
    }
    say_peer(a, APP_KNOWN, role == APP_ADMIN ? "an admin logged in" : "a viewer logged in",
             req->peer);
    reply_cookie(srv, req, cookie, stay_s);
}

static void refuse_guess(rtpush_server *srv, const rtpush_request *req) {
    static const char *const headers[] = {"Retry-After", "1", NULL};
    const rtpush_response later = {
        .status = 429, .headers = headers, .body = "too many tries, wait a little\n", .len = 30};
    reply(srv, req, &later);
}

static void refuse_password(rtpush_server *srv, const rtpush_request *req) {
    static const char *const headers[] = {"WWW-Authenticate", "Bearer", NULL}; // RFC 9110 15.5.2
    const rtpush_response no = {
        .status = 401, .headers = headers, .body = "wrong password\n", .len = 15};
    reply(srv, req, &no);
}

// POST /login: password=...&seconds=..., as a form sends it.
static void on_login(rtpush_server *srv, const rtpush_request *req) {
    app *a = app_of(srv);
    char form[FORM_SIZE];
    char password[FORM_SIZE];
    char seconds[8];
    app_bucket *bucket = bucket_of(a, req->peer);
    if (!may_guess(a, bucket)) {
        refuse_guess(srv, req);
        return;
    }
    copy_text(form, sizeof form, req->body, req->body_len);
    const int len = rtpush_query(form, "password", password, sizeof password);
    const int role = len > 0 ? role_of(a, password) : -1;
    if (role < 0) {
        say_peer(a, APP_WRONG, "wrong password", req->peer);
        if (is_empty(a, bucket)) {
            (void)notify(a, to_admin, "Somebody is guessing passwords");
            refuse_guess(srv, req);
        } else {
            spend(a, bucket);
            refuse_password(srv, req);
        }
        return;
    }
    uint32_t stay_s = SESSION_S;
    if (rtpush_query(form, "seconds", seconds, sizeof seconds) > 0) {
        stay_s = decimal_value(seconds, SESSION_MAX_S);
    }
    log_in(srv, req, (uint8_t)role, stay_s > 0 ? stay_s : (uint32_t)SESSION_S);
}

// POST /logout: removes the session and ends its streams.
static void on_logout(rtpush_server *srv, const rtpush_request *req) {
    app *a = app_of(srv);
    identity who;
    if (by_cookie(a, req, &who)) {
        say_peer(a, APP_KNOWN,
                 who.session->role == APP_ADMIN ? "an admin logged out" : "a viewer logged out",
                 req->peer);
        session_end(a, who.session);
    }
    reply_cookie(srv, req, "", 0);
}

// GET /session: the page requests it when its stream ended. At 401 it shows the login. The id is
// from before the first event: a stream that resumes there gets all that the log still holds.
static void on_session(rtpush_server *srv, const rtpush_request *req) {
    app *a = app_of(srv);
    identity who;
    char id[RTPUSH_ID_SIZE];
    char out[96];
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_id first = rtpush_last_id(srv);
    first.seq = 0;
    if (!by_cookie(a, req, &who)) {
        reply_text(srv, req, 401, "");
        return;
    }
    rtpush_json(&t, "{\"role\":%q,\"left\":%u,\"id\":%q,\"clock\":%s}", who.name, who.left_s,
                rtpush_id_format(first, id), a->boot_s > 0 ? "true" : "false");
    const rtpush_response answer = {.content_type = "application/json", .body = out, .len = t.len};
    reply(srv, req, &answer);
}

// A JSON array, newest first, in pieces of whole notifications. The connection's user value is
// where the answer is: the rest are those with ids below it. Others may be added meanwhile.
static int pull_inbox(rtpush_server *srv, rtpush_handle conn, void *user, uint32_t offset,
                      uint8_t *buf, size_t cap) {
    app *a = app_of(srv);
    const unsigned role = (unsigned)(uintptr_t)user;
    uint32_t at = (uint32_t)(uintptr_t)rtpush_user(srv, conn);
    rtpush_text t = rtpush_json_begin(buf, cap);
    rtpush_json(&t, offset == 0 ? "[" : "");
    while (at != 0) { // 0: complete
        const inbox_note *next = inbox_before(&a->box, role, at);
        const uint32_t len = t.len;
        if (next != NULL) {
            rtpush_json(&t, "%s{\"id\":%u,\"t\":%u,\"read\":%b,\"text\":%q}",
                        offset + len > 1 ? "," : "", next->id, next->at_s,
                        !(next->unread >> role & 1u), next->text);
        } else {
            rtpush_json(&t, "]");
        }
        if (t.over) {
            t.len = len;
            break;
        }
        at = next != NULL ? next->id : 0;
    }
    (void)rtpush_set_user(srv, conn, (void *)(uintptr_t)at);
    return t.len > 0 || at == 0 ? (int)t.len : RTPUSH_RETRY; // there will be more room
}

// GET /inbox: the notifications of this user.
static void on_inbox(rtpush_server *srv, const rtpush_request *req) {
    app *a = app_of(srv);
    identity who;
    if (!by_cookie(a, req, &who)) {
        reply_text(srv, req, 401, "");
        return;
    }
    const rtpush_response answer = {.content_type = "application/json",
                                    .pull = pull_inbox,
                                    .user = (void *)(uintptr_t)who.session->role};
    (void)rtpush_set_user(srv, req->conn, (void *)(uintptr_t)(a->box.last + 1));
    reply(srv, req, &answer);
}

// POST /ticket: our own page authenticates by its cookie, a page of another origin by a token.
static void on_ticket(rtpush_server *srv, const rtpush_request *req) {
    app *a = app_of(srv);
    identity who;
    char ticket[RTPUSH_TICKET_SIZE];
    if (!by_cookie(a, req, &who) && !by_token(a, req, &who)) {
        reply_text(srv, req, 401, "");
        return;
    }
    const uint32_t until_s = (now_s(a) + who.left_s) & ~OF_TOKEN;
    if (rtpush_ticket_issue(&a->tickets, who.topics,
                            who.session ? who.session->serial : OF_TOKEN | until_s,
                            now_s(a) + TICKET_S, ticket) < 0) {
        rtpush_abort(srv, req->conn); // no key
        return;
    }
    if (may_say(a, APP_KNOWN)) {
        say(a, APP_AUDIT, "a ticket for ", who.name);
    }
    reply_text(srv, req, 200, ticket);
}

// POST /control: commands of pages without a WebSocket.
static void on_control(rtpush_server *srv, const rtpush_request *req) {
    app *a = app_of(srv);
    identity who;
    const app_session *s = by_cookie(a, req, &who) ? who.session : NULL;
    const char *wrong = command(a, s, req->body, req->body_len);
    const rtpush_response done = {.status = 204};
    if (wrong == NULL) {
        reply(srv, req, &done);
    } else {
        reply_text(srv, req, wrong == not_allowed ? 403 : 400, wrong);
    }
}

// The same commands, and "ping N", which the page sends to measure the round trip.
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    app *a = app_of(srv);
    char answer[48];
    rtpush_text t = rtpush_json_begin(answer, sizeof answer);
    if (msg->len >= 5 && msg->len < 24 && memcmp(msg->data, "ping ", 5) == 0) {
        memcpy(answer, msg->data, msg->len);
        memcpy(answer, "pong", 4);
        t.len = (uint32_t)msg->len;
    } else {
        // A stream that a ticket opened has a serial that no session has, so it is read-only.
        const uint32_t user = (uint32_t)(uintptr_t)rtpush_user(srv, conn);
        const char *wrong = command(a, session_find(a, user), msg->data, msg->len);
        if (wrong == NULL) {
            return RTPUSH_OK;
        }
        rtpush_json(&t, "error %s", wrong);
    }
    return rtpush_send(srv, conn, RTPUSH_TEXT_MESSAGE, answer, t.len);
}

// -- tables ---------------------------------------------------------------------------------------

const rtpush_topic app_topics[APP_TOPIC_COUNT] = {
    [APP_READING] = {"reading", &rtpush_topic_state, 0, APP_READING_MAX},
    [APP_SWITCH] = {"switch", &rtpush_topic_state, 0, APP_SWITCH_MAX},
    [APP_LOG] = {"log", &rtpush_topic_event, 0, 0},
    [APP_AUDIT] = {"audit", &rtpush_topic_event, 0, 0},
    [APP_INBOX_VIEWER] = {"inbox.viewer", &rtpush_topic_state, 0, APP_INBOX_MAX},
    [APP_INBOX_ADMIN] = {"inbox.admin", &rtpush_topic_state, 0, APP_INBOX_MAX},
};

enum {
    AT_PAGE,
    AT_APP_JS,
    AT_RTPUSH_JS,
    AT_STYLE,
    AT_LOGIN,
    AT_LOGOUT,
    AT_SESSION,
    AT_INBOX,
    AT_TICKET,
    AT_CONTROL,
    AT_WS,
    AT_EVENTS,
    AT_POLL
};

const rtpush_route app_routes[APP_ROUTE_COUNT] = {
    [AT_PAGE] = {.path = "/", .kind = &rtpush_handler, .on_request = on_page},
    [AT_APP_JS] = {.path = "/app.js", .kind = &rtpush_file, .asset = &asset_app_js},
    [AT_RTPUSH_JS] = {.path = "/rtpush.js", .kind = &rtpush_file, .asset = &asset_rtpush_js},
    [AT_STYLE] = {.path = "/style.css", .kind = &rtpush_file, .asset = &asset_style_css},
    [AT_LOGIN] = {.path = "/login",
                  .kind = &rtpush_upload,
                  .methods = RTPUSH_POST,
                  .max_body = FORM_SIZE - 1,
                  .on_request = on_login},
    [AT_LOGOUT] = {.path = "/logout",
                   .kind = &rtpush_handler,
                   .methods = RTPUSH_POST,
                   .on_request = on_logout},
    [AT_SESSION] = {.path = "/session", .kind = &rtpush_handler, .on_request = on_session},
    [AT_INBOX] = {.path = "/inbox", .kind = &rtpush_handler, .on_request = on_inbox},
    [AT_TICKET] = {.path = "/ticket",
                   .kind = &rtpush_handler,
                   .methods = RTPUSH_POST,
                   .on_request = on_ticket},
    [AT_CONTROL] = {.path = "/control",
                    .kind = &rtpush_upload,
                    .methods = RTPUSH_POST,
                    .max_body = COMMAND_MAX,
                    .on_request = on_control},
    [AT_WS] = {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
    [AT_EVENTS] = {.path = "/events", .kind = &rtpush_events},
    [AT_POLL] = {.path = "/poll", .kind = &rtpush_poll},
};

// -- public ---------------------------------------------------------------------------------------

int app_authorize(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    app *a = app_of(srv);
    identity who;
    const int at = (int)(req->route - app_routes);
    if (!req->secure) {
        return at == AT_PAGE ? 0 : 403; // the page redirects to https
    }
    switch (at) {
    case AT_PAGE:
    case AT_APP_JS: // no secrets in them
    case AT_RTPUSH_JS:
    case AT_STYLE: return 0;
    case AT_LOGIN:
    case AT_LOGOUT: return is_foreign(a, req) ? 403 : 0; // no other site logs our user in or out
    case AT_TICKET: return by_cookie(a, req, &who) || by_token(a, req, &who) ? 0 : 401;
    case AT_SESSION:
    case AT_INBOX:
    case AT_CONTROL:
        grant->known = (uint8_t)by_cookie(a, req, &who);
        return grant->known ? 0 : 401;
    default: return authorize_stream(a, req, grant);
    }
}

// Never print the query, which may hold a ticket. The library does not pass it here.
void app_refused(app *a, uint32_t peer, int status, int why) {
    char line[96];
    rtpush_text t = rtpush_json_begin(line, sizeof line - 1);
    if (a->options.print != NULL && may_say(a, APP_REFUSED)) {
        rtpush_json(&t, "refused %u.%u.%u.%u: %u, %s", peer >> 24, peer >> 16 & 255u,
                    peer >> 8 & 255u, peer & 255u, (uint32_t)status, rtpush_reason_text(why));
        line[t.len] = '\0';
        a->options.print(line);
    }
}

static void start_keys(app *a) {
    static const char *const what[APP_ROLE_COUNT] = {"viewer password", "admin password"};
    uint8_t hash[32];
    char made[17];
    a->key.bytes = a->options.key;
    a->key.len = sizeof a->options.key;
    a->tickets.key = a->key;
    a->tickets.epoch = rtpush_last_id(a->srv).epoch;
    for (int role = 0; role < APP_ROLE_COUNT; role++) {
        const char *given = a->options.passwords[role];
        hash_password(a, given ? given : make_secret(a, what[role], made, sizeof made - 1),
                      a->passwords[role]);
        a->options.passwords[role] = NULL;
    }
    if (a->options.token_key.len == 0) {
        a->options.token_key.bytes =
            make_secret(a, "token key", a->token_key, sizeof a->token_key - 1);
        a->options.token_key.len = sizeof a->token_key - 1;
    }
    rtpush_hmac_sha256(&a->key, "buckets", 7, hash);
    memcpy(&a->salt, hash, sizeof a->salt);
}

void app_start(app *a, rtpush_server *srv, const app_options *options, uint32_t now_ms) {
    memset(a, 0, sizeof *a);
    a->srv = srv;
    a->options = *options;
    a->last_ms = a->reading_ms = now_ms;
    a->boot_s = options->unix_s > 0 ? options->unix_s - now_s(a) : 0;
    start_keys(a);
    publish_switch(a);
    for (unsigned user = 0; user < APP_ROLE_COUNT; user++) {
        publish_inbox(a, user);
    }
    say(a, APP_LOG, "The device started", "");
}

uint32_t app_step(app *a, uint32_t now_ms) {
    a->up_ms += now_ms - a->last_ms;
    a->last_ms = now_ms;
    say_the_rest(a);
    if ((int32_t)(now_ms - a->reading_ms) >= 0) {
        a->reading_ms = now_ms + READING_MS;
        publish_reading(a);
    }
    return a->reading_ms - now_ms;
}
