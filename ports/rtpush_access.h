// rtpush_access.h - v0.1 - rtpush.h: tokens, cookies, tickets, Basic - MIT-0 or public domain
//
// Functions on strings, for desc.authorize and for login pages. They need no server and no
// connection: a program that only issues tokens can use them too. No allocation, no clock, no
// globals.
//
// DO THIS
//     In one C or C++ file:        In the others:
//     #define RTPUSH_IMPLEMENTATION
//     #include "rtpush.h"          #include "rtpush.h"
//     #define RTPUSH_ACCESS_IMPLEMENTATION
//     #include "rtpush_access.h"   #include "rtpush_access.h"
//     The linker drops what is not called, with -ffunction-sections -fdata-sections
//     -Wl,--gc-sections.
//
// CONTENTS
//     >>api      keys, JSON Web Tokens, signed values, tickets, Basic
//     >>text     base64 and hexadecimal digits, strict
//     >>sha256   and HMAC
//     >>json     parsed in place, from base64url
//     >>token    JSON Web Tokens
//     >>signed   signed values, cookies and tickets
//
// WHICH TO USE
//     Who             Scheme                             What it risks
//     own pages       a signed cookie: rtpush_sign and   works like a key until it expires, also
//                     _cookie at login, desc.cookie,     after a logout: keep its time short, or
//                     rtpush_verify. The browser sends   put a session number into it that logout
//                     it with streams too                removes. Without TLS it can be read
//     other pages     a ticket: POST with a token, then  is part of a URL, so it is valid once, for
//                     ?ticket= on the stream             seconds, until the next boot; name the
//                     (rtpush_ticket_issue, _redeem)     origin in desc.origins. The library never
//                                                        reports the query; do not log req->query
//     machines        a JWT: Authorization: Bearer,      the HS256 key also signs: who can verify
//                     rtpush_jwt_verify. HS256 alone,    can issue (not with ES256, for which TLS
//                     whatever the token says; or ES256  has the code). It needs Unix time, and
//                     by rtpush_bearssl_es256            is valid until exp
//     tools, curl     Basic: rtpush_basic_decode         the password itself with each request:
//                                                        only over TLS. Compare by _equal_text
//     Keys are 32 random bytes and more, one for each device: a key in the firmware image can be
//     read by anybody. While the clock is not set (now_s 0) nothing that expires is accepted.
//
// CONFORMANCE
//     RFC 7515, 7519 JWT    done: compact form, HS256, ES256 with BearSSL; exp, nbf, aud, iss.
//                           Refused: any other alg, crit, a name twice, no exp. Out of scope:
//                           encryption, key sets
//     RFC 7617 Basic        done: strict parser, no control characters
//     RFC 6265 cookies      done: values for Set-Cookie are checked
//     FIPS 180-4, RFC 2104  SHA-256 and HMAC, with the vectors of RFC 4231

#ifndef RTPUSH_ACCESS_H
#define RTPUSH_ACCESS_H

#ifndef RTPUSH_H
#error "include rtpush.h before rtpush_access.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

// >>api ------------------------------------------------------------------------------------------
// All state is in memory of yours, and time is an argument: now_s counts seconds, for tokens since
// 1970 (Unix), for the others by any monotonic clock. 0 means that there is no clock, and nothing
// that can expire is accepted. Besides the errors of rtpush.h they return those below; log them
// (rtpush_access_strerror), but answer all of them with 401.

enum {
    RTPUSH_ERR_TOKEN = -12,     // absent or malformed
    RTPUSH_ERR_ALGORITHM = -13, // the token names another algorithm, or crit
    RTPUSH_ERR_SIGNATURE = -14, // not signed with this key, or for another purpose
    RTPUSH_ERR_EXPIRED = -15,   // it has expired, or has no expiry
    RTPUSH_ERR_EARLY = -16,     // not valid yet (nbf)
    RTPUSH_ERR_AUDIENCE = -17,  // for somebody else (aud), or from somebody else (iss)
    RTPUSH_ERR_USED = -18       // a ticket that was redeemed, or that is too old to know
};
const char *rtpush_access_strerror(int error); // others as rtpush_strerror

// SHA-256 (FIPS 180-4), HMAC (RFC 2104) and a comparison in constant time.
void rtpush_sha256(const void *data, size_t len, uint8_t out[32]);
int rtpush_equal(const void *a, const void *b, size_t len);

typedef struct rtpush_key {
    const void *bytes; // random, secret, different in each device
    size_t len;        // at least 32 for all that follows (RFC 7518 3.2), else ERR_ARGUMENT
} rtpush_key;

void rtpush_hmac_sha256(const rtpush_key *key, const void *data, size_t len, uint8_t out[32]);

// A claim to be read from a token.
enum { RTPUSH_CLAIM_ABSENT, RTPUSH_CLAIM_TEXT, RTPUSH_CLAIM_NUMBER, RTPUSH_CLAIM_OTHER };
typedef struct rtpush_claim {
    const char *name;   // of at most 31 bytes
    char *text;         // buffer for a string, NUL-terminated; NULL: not wanted
    uint16_t text_size; // its size; a string that does not fit: ERR_TOO_BIG
    uint8_t kind;       // out: RTPUSH_CLAIM_...; ABSENT in a token that is refused
    uint32_t number;    // out, NUMBER: integers from 0 to 2^32 - 1; others are OTHER
} rtpush_claim;

// How a token is judged. Zero what you do not need.
typedef struct rtpush_jwt {
    rtpush_key key;        // HS256, whatever the token says
    uint32_t now_s;        // Unix time
    uint16_t leeway_s;     // difference of clocks tolerated
    uint8_t may_last;      // 1: a token without exp is accepted
    uint8_t claim_count;   // at most 16
    const char *aud;       // our name among the audiences; NULL: a token with aud is refused
    const char *iss;       // who must have issued it; NULL: whoever has the key
    rtpush_claim *claims;
    uint32_t left_s;       // out: seconds left, at least 1, for rtpush_grant.expires_s; 0: for ever
    // Another algorithm instead of HS256 and key, such as "ES256" (rtpush_bearssl_es256), whatever
    // the token says. check returns 1 if `signature` is good for the SHA-256 of what was signed.
    const char *alg;
    int (*check)(const void *ctx, const uint8_t hash[32], const uint8_t *signature, size_t len);
    const void *ctx;
} rtpush_jwt;

// Verifies a JSON Web Token (RFC 7519) in compact form. The signature is checked first, so a forged
// token is not parsed further. token may be NULL. RTPUSH_OK or an error.
int rtpush_jwt_verify(rtpush_jwt *jwt, const char *token);
// The token of "Authorization: Bearer token" (RFC 6750 2.1), or NULL. authorization may be NULL.
const char *rtpush_bearer(const char *authorization);

// Signs a short value for a cookie or a link: out becomes "expiry.value.signature", RTPUSH_SIGNED
// bytes and the value. The purpose ("session") is signed too: what was made for one is refused for
// another. value: printable ASCII without space " , ; \ (RFC 6265 4.1.1). Returns the length.
#define RTPUSH_SIGNED 54 // with the NUL
int rtpush_sign(const rtpush_key *key, const char *purpose, const char *value,
                uint32_t expires_at_s, char *out, size_t cap);
// Gives the value back, NUL-terminated, and its length. left_s: seconds left, or NULL. text may be
// NULL.
int rtpush_verify(const rtpush_key *key, const char *purpose, const char *text, uint32_t now_s,
                  char *value, size_t cap, uint32_t *left_s);
// The value of a Set-Cookie field that scripts and other sites cannot use: HttpOnly,
// SameSite=Strict, Path=/, and Secure. max_age_s 0 removes the cookie. Returns the length.
int rtpush_cookie(const char *name, const char *value, uint32_t max_age_s, int secure, char *out,
                  size_t cap);

// Tickets: an EventSource and a WebSocket cannot send a header, and others may see a URL. So
// "?ticket=" is valid once, for seconds, and until the next boot.
#define RTPUSH_TICKET_WINDOW 256u // tickets not yet redeemed; one more invalidates the oldest
#define RTPUSH_TICKET_SIZE 55     // bytes of the text with its NUL
typedef struct rtpush_tickets {
    rtpush_key key; // yours to set
    uint32_t epoch; // yours to set: as rtpush_desc.epoch, never the same at two boots
    uint32_t next;  // this and the rest: 0 at the start
    uint32_t used[RTPUSH_TICKET_WINDOW / 32u];
} rtpush_tickets;
// topics and user have no meaning here; redeeming returns them. ERR_ARGUMENT: the key is short.
int rtpush_ticket_issue(rtpush_tickets *tickets, uint32_t topics, uint32_t user,
                        uint32_t expires_at_s, char out[RTPUSH_TICKET_SIZE]);
int rtpush_ticket_redeem(rtpush_tickets *tickets, const char *text, uint32_t now_s,
                         uint32_t *topics, uint32_t *user);

// Basic credentials (RFC 7617): out becomes "user" NUL "password" NUL, *password points at the
// second; NULL after an error. Returns the length of user. authorization may be NULL.
int rtpush_basic_decode(const char *authorization, char *out, size_t cap, const char **password);
// Compares a given text with a secret one; the time depends only on the given one.
int rtpush_equal_text(const char *given, const char *secret);

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_ACCESS_H

// =================================================================================================
#ifdef RTPUSH_ACCESS_IMPLEMENTATION
#ifndef RTPUSH_ACCESS_IMPLEMENTED
#define RTPUSH_ACCESS_IMPLEMENTED

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

const char *rtpush_access_strerror(int error) {
    static const char *const words[] = {
        "no token, or malformed", "wrong algorithm", "wrong signature", "expired",
        "not valid yet", "wrong audience or issuer", "used before"};
    return error <= RTPUSH_ERR_TOKEN && error >= RTPUSH_ERR_USED
               ? words[RTPUSH_ERR_TOKEN - error] : rtpush_strerror(error);
}

// >>text ------------------------------------------------------------------------------------------
// Base64 is strict: exactly one text is accepted for the same bytes (RFC 4648 3.5).

// Bytes of a text in base64, one after the other.
typedef struct rtpi_base64 {
    const char *at;
    const char *end;
    uint32_t bits; // the lowest `have` bits are not returned yet
    uint8_t have;
    uint8_t url;
} rtpi_base64;

enum { RTPI_END = -1, RTPI_BAD = -2 }; // instead of a byte

// 64: not a base64 character.
static unsigned rtpi_base64_value(uint8_t c, int url) {
    if (c >= '0' && c <= '9') {
        return c - '0' + 52u;
    }
    if ((c | 0x20u) >= 'a' && (c | 0x20u) <= 'z') {
        return (c | 0x20u) - 'a' + (c & 0x20u ? 26u : 0u);
    }
    return c == (url ? '-' : '+') ? 62u : c == (url ? '_' : '/') ? 63u : 64u;
}

static int rtpi_base64_next(rtpi_base64 *b) {
    while (b->have < 8) {
        unsigned value;
        if (b->at == b->end) { // the remaining bits are less than a character, and 0: RFC 4648 3.5
            return b->have < 6 && (b->bits & ((1u << b->have) - 1u)) == 0 ? RTPI_END : RTPI_BAD;
        }
        value = rtpi_base64_value((uint8_t)*b->at++, b->url);
        if (value > 63) {
            return RTPI_BAD;
        }
        b->bits = b->bits << 6 | value;
        b->have = (uint8_t)(b->have + 6);
    }
    b->have = (uint8_t)(b->have - 8);
    return (int)(b->bits >> b->have & 255u);
}

// Value of a hexadecimal digit, or 16.
static unsigned rtpi_access_nibble(uint8_t c) {
    unsigned letter = (c | 0x20u) - 'a';
    return c >= '0' && c <= '9' ? c - (unsigned)'0' : letter < 6 ? letter + 10u : 16u;
}

// Reads exactly 8 hexadecimal digits. Returns 0 at the first other character.
static int rtpi_access_get_hex(const char *text, uint32_t *value) {
    unsigned i;
    *value = 0;
    for (i = 0; i < 8; i++) {
        unsigned nibble = rtpi_access_nibble((uint8_t)text[i]);
        if (nibble > 15) {
            return 0;
        }
        *value = *value << 4 | nibble;
    }
    return 1;
}

static void rtpi_access_put(rtpush_text *t, const char *text) {
    rtpush_text_put(t, text, strlen(text));
}

static int rtpi_access_end(rtpush_text *t) { // NUL-terminates; the length or ERR_TOO_BIG
    int len = (int)t->len;
    rtpush_text_put(t, "", 1);
    return t->over ? RTPUSH_ERR_TOO_BIG : len;
}

// >>sha256 ----------------------------------------------------------------------------------------
// FIPS 180-4 6.2 and RFC 2104. The schedule is a ring of 16 words: 64 bytes of
// stack instead of 256. Time does not depend on the data: it selects no branch and indexes no
// table.

typedef struct rtpi_sha256 {
    uint32_t h[8];
    uint8_t block[64];
    uint64_t total; // bytes
} rtpi_sha256;

static uint32_t rtpi_rotate_right(uint32_t x, unsigned n) {
    return (x >> n) | (uint32_t)(x << (32u - n));
}

static void rtpi_sha256_block(rtpi_sha256 *s) {
    static const uint32_t k[64] = {
        0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u,
        0xAB1C5ED5u, 0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu,
        0x9BDC06A7u, 0xC19BF174u, 0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu,
        0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu, 0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u,
        0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u, 0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu,
        0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u, 0xA2BFE8A1u, 0xA81A664Bu,
        0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u, 0x19A4C116u,
        0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
        0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u,
        0xC67178F2u};
    uint32_t w[16];
    uint32_t a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3];
    uint32_t e = s->h[4], f = s->h[5], g = s->h[6], h = s->h[7];
    unsigned i;
    for (i = 0; i < 64; i++) {
        uint32_t t1, t2;
        if (i < 16) {
            w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
                   (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
        } else {
            t1 = w[(i + 14) & 15u];
            t2 = w[(i + 1) & 15u];
            w[i & 15u] += (rtpi_rotate_right(t1, 17) ^ rtpi_rotate_right(t1, 19) ^ t1 >> 10) +
                          w[(i + 9) & 15u] +
                          (rtpi_rotate_right(t2, 7) ^ rtpi_rotate_right(t2, 18) ^ t2 >> 3);
        }
        t1 = h + k[i] + w[i & 15u] + ((e & f) ^ (~e & g)) +
             (rtpi_rotate_right(e, 6) ^ rtpi_rotate_right(e, 11) ^ rtpi_rotate_right(e, 25));
        t2 = ((a & b) ^ (a & c) ^ (b & c)) +
             (rtpi_rotate_right(a, 2) ^ rtpi_rotate_right(a, 13) ^ rtpi_rotate_right(a, 22));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    s->h[0] += a;
    s->h[1] += b;
    s->h[2] += c;
    s->h[3] += d;
    s->h[4] += e;
    s->h[5] += f;
    s->h[6] += g;
    s->h[7] += h;
}

static void rtpi_sha256_begin(rtpi_sha256 *s) {
    static const uint32_t h[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                                  0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
    memcpy(s->h, h, sizeof h);
    s->total = 0;
}

static void rtpi_sha256_add(rtpi_sha256 *s, const void *data, size_t len) {
    const uint8_t *from = (const uint8_t *)data;
    while (len > 0) {
        size_t used = (size_t)(s->total & 63u);
        size_t n = len < 64 - used ? len : 64 - used;
        memcpy(s->block + used, from, n);
        s->total += n;
        from += n;
        len -= n;
        if (used + n == 64) {
            rtpi_sha256_block(s);
        }
    }
}

static void rtpi_sha256_end(rtpi_sha256 *s, uint8_t out[32]) {
    uint32_t length[2]; // in bits
    unsigned used = (unsigned)(s->total & 63u);
    unsigned i;
    length[0] = (uint32_t)(s->total >> 29);
    length[1] = (uint32_t)(s->total << 3);
    memset(s->block + used, 0, 64u - used);
    s->block[used] = 0x80;
    if (used >= 56) { // no room for the 8 bytes of length
        rtpi_sha256_block(s);
        memset(s->block, 0, sizeof s->block);
    }
    for (i = 0; i < 8; i++) {
        s->block[56 + i] = (uint8_t)(length[i / 4] >> (24u - 8u * (i & 3u)));
    }
    rtpi_sha256_block(s);
    for (i = 0; i < 32; i++) {
        out[i] = (uint8_t)(s->h[i / 4] >> (24u - 8u * (i & 3u)));
    }
}

void rtpush_sha256(const void *data, size_t len, uint8_t out[32]) {
    rtpi_sha256 s;
    rtpi_sha256_begin(&s);
    rtpi_sha256_add(&s, data, len);
    rtpi_sha256_end(&s, out);
}

// RFC 2104 2: begins a hash with the key, padded to a block and mixed with `pad`.
static void rtpi_hmac_pad(rtpi_sha256 *s, const rtpush_key *key, uint8_t pad) {
    unsigned i;
    rtpi_sha256_begin(s);
    if (key->len > sizeof s->block) {
        rtpi_sha256_add(s, key->bytes, key->len);
        rtpi_sha256_end(s, s->block);
        memset(s->block + 32, 0, 32);
        rtpi_sha256_begin(s);
    } else {
        memset(s->block, 0, sizeof s->block);
        if (key->len > 0) {
            memcpy(s->block, key->bytes, key->len);
        }
    }
    for (i = 0; i < sizeof s->block; i++) {
        s->block[i] ^= pad;
    }
    s->total = sizeof s->block;
    rtpi_sha256_block(s);
}

static void rtpi_hmac_begin(rtpi_sha256 *s, const rtpush_key *key) {
    rtpi_hmac_pad(s, key, 0x36);
}

static void rtpi_hmac_end(rtpi_sha256 *s, const rtpush_key *key, uint8_t out[32]) {
    rtpi_sha256_end(s, out);
    rtpi_hmac_pad(s, key, 0x5C);
    rtpi_sha256_add(s, out, 32);
    rtpi_sha256_end(s, out);
}

void rtpush_hmac_sha256(const rtpush_key *key, const void *data, size_t len, uint8_t out[32]) {
    rtpi_sha256 s;
    rtpi_hmac_begin(&s, key);
    rtpi_sha256_add(&s, data, len);
    rtpi_hmac_end(&s, key, out);
}

// volatile: the compiler must not add an early exit.
int rtpush_equal(const void *a, const void *b, size_t len) {
    const volatile uint8_t *x = (const volatile uint8_t *)a;
    const volatile uint8_t *y = (const volatile uint8_t *)b;
    unsigned differs = 0;
    while (len-- > 0) {
        differs |= (unsigned)*x++ ^ *y++;
    }
    return differs == 0;
}

int rtpush_equal_text(const char *given, const char *secret) {
    const volatile uint8_t *x = (const volatile uint8_t *)given;
    const volatile uint8_t *y = (const volatile uint8_t *)secret;
    size_t given_len = strlen(given);
    size_t secret_len = strlen(secret);
    unsigned differs = given_len != secret_len;
    size_t i;
    for (i = 0; i < given_len; i++) {
        differs |= (unsigned)x[i] ^ y[i < secret_len ? i : secret_len];
    }
    return differs == 0;
}

// Signed text begins with its purpose ("rtpush.sign" NUL purpose NUL text), so a signature for one
// purpose is not valid for another, and not for a token, whose text has no NUL.

static int rtpi_key_good(const rtpush_key *key) {
    return key->bytes != NULL && key->len >= 32; // RFC 7518 3.2: as long as the hash at least
}

static void rtpi_mac(const rtpush_key *key, const char *kind, const char *purpose,
                     const char *text, size_t len, uint8_t mac[32]) {
    rtpi_sha256 s;
    rtpi_hmac_begin(&s, key);
    rtpi_sha256_add(&s, kind, strlen(kind) + 1);
    rtpi_sha256_add(&s, purpose, strlen(purpose) + 1);
    rtpi_sha256_add(&s, text, len);
    rtpi_hmac_end(&s, key, mac);
}

// Is the text behind at this signature, all of it or the first mac_len bytes?
static int rtpi_mac_is(const char *text, const uint8_t *mac, size_t mac_len) {
    uint8_t right[44];
    rtpush_text t = {NULL, sizeof right, 0, 0};
    t.data = right;
    rtpush_text_base64(&t, mac, mac_len, 1);
    return strlen(text) == t.len && rtpush_equal(text, right, t.len);
}

// >>json ------------------------------------------------------------------------------------------
// A token's JSON (RFC 8259) is parsed in place, from base64url, a byte at a time: no copy, no
// recursion, 8 levels of nesting. A duplicate of a member that the caller asks for is refused,
// since two parsers could use different ones (RFC 8725 2.4).

typedef struct rtpi_parse {
    rtpi_base64 from;
    int c;             // the current byte, RTPI_END or RTPI_BAD
    uint32_t number;   // the last one, without sign and fraction; saturates
    uint8_t rough;     // RTPI_ROUGH_...: what `number` does not represent
    uint8_t differs;   // the last string is not `match`
    const char *match; // strings are compared with it, or NULL
    char *out;         // buffer of cap bytes for strings
    size_t cap;
    size_t len; // of the last string
} rtpi_parse;

enum { RTPI_ROUGH_SIGN = 1, RTPI_ROUGH_FRACTION = 2, RTPI_ROUGH_POWER = 4, RTPI_ROUGH_BIG = 8 };

#define RTPI_JSON_DEPTH 8u
#define RTPI_CLAIM_ROUGH (RTPUSH_CLAIM_OTHER + 1) // a number that `number` does not represent

static void rtpi_parse_step(rtpi_parse *j) {
    j->c = rtpi_base64_next(&j->from);
}

static void rtpi_parse_begin(rtpi_parse *j, const char *at, const char *end) {
    memset(j, 0, sizeof *j);
    j->from.at = at;
    j->from.end = end;
    j->from.url = 1;
    rtpi_parse_step(j);
}

// Sets the buffer for the strings of the next value.
static void rtpi_parse_sink(rtpi_parse *j, char *out, size_t cap, const char *match) {
    j->out = out;
    j->cap = cap;
    j->match = match;
    j->len = 0;
}

static void rtpi_parse_space(rtpi_parse *j) {
    while (j->c == ' ' || j->c == '\t' || j->c == '\n' || j->c == '\r') {
        rtpi_parse_step(j);
    }
}

// If the current byte is c, goes to the next one and returns 1.
static int rtpi_parse_pass(rtpi_parse *j, int c) {
    rtpi_parse_space(j);
    if (j->c != c) {
        return 0;
    }
    rtpi_parse_step(j);
    return 1;
}

static void rtpi_parse_put(rtpi_parse *j, unsigned byte) { // never 0, so it ends no match too late
    if (j->match && !j->differs) {
        j->differs = (uint8_t)j->match[j->len] != byte;
    }
    if (j->len < j->cap) {
        j->out[j->len] = (char)byte;
    }
    j->len++;
}

// Four hexadecimal digits, or 0.
static unsigned rtpi_parse_hex(rtpi_parse *j) {
    unsigned value = 0;
    unsigned i;
    for (i = 0; i < 4; i++) {
        unsigned digit;
        rtpi_parse_step(j);
        digit = j->c < 0 ? 16u : rtpi_access_nibble((uint8_t)j->c);
        if (digit > 15) {
            return 0;
        }
        value = value << 4 | digit;
    }
    return value;
}

// RFC 8259 7: an escape, after its backslash. NUL and lone surrogates are refused.
static int rtpi_parse_escape(rtpi_parse *j) {
    static const char plain[] = "\"\\/bfnrt";
    static const char meaning[] = "\"\\/\b\f\n\r\t";
    uint32_t code;
    const char *at;
    rtpi_parse_step(j);
    if (j->c != 'u') {
        at = j->c > 0 ? strchr(plain, j->c) : NULL;
        if (at) {
            rtpi_parse_put(j, (uint8_t)meaning[at - plain]);
        }
        return at != NULL;
    }
    code = rtpi_parse_hex(j);
    if (code >= 0xD800u && code <= 0xDFFFu) {
        uint32_t low = 0;
        rtpi_parse_step(j);
        if (j->c == '\\') {
            rtpi_parse_step(j);
            low = j->c == 'u' ? rtpi_parse_hex(j) : 0;
        }
        if (code > 0xDBFFu || low < 0xDC00u || low > 0xDFFFu) {
            return 0;
        }
        code = 0x10000u + ((code - 0xD800u) << 10) + (low - 0xDC00u);
    }
    if (code < 0x80u) {
        rtpi_parse_put(j, (unsigned)code);
        return code != 0;
    }
    if (code < 0x800u) {
        rtpi_parse_put(j, 0xC0u | (unsigned)(code >> 6));
    } else {
        if (code < 0x10000u) {
            rtpi_parse_put(j, 0xE0u | (unsigned)(code >> 12));
        } else {
            rtpi_parse_put(j, 0xF0u | (unsigned)(code >> 18));
            rtpi_parse_put(j, 0x80u | (unsigned)(code >> 12 & 63u));
        }
        rtpi_parse_put(j, 0x80u | (unsigned)(code >> 6 & 63u));
    }
    rtpi_parse_put(j, 0x80u | (unsigned)(code & 63u));
    return 1;
}

// A string; j->c is its first quotation mark.
static int rtpi_parse_string(rtpi_parse *j) {
    unsigned utf8 = 0; // between characters
    j->len = 0;
    j->differs = 0;
    if (j->c != '"') {
        return 0;
    }
    for (;;) {
        uint8_t byte;
        rtpi_parse_step(j);
        if (j->c == '"' || j->c < 0x20) { // also the end of the text
            break;
        }
        if (j->c == '\\') {
            if (utf8 != 0 || !rtpi_parse_escape(j)) {
                return 0;
            }
            continue;
        }
        byte = (uint8_t)j->c;
        utf8 = rtpush_utf8(utf8, &byte, 1);
        rtpi_parse_put(j, byte);
    }
    if (j->c != '"' || utf8 != 0) {
        return 0;
    }
    if (j->match && !j->differs) {
        j->differs = j->match[j->len] != '\0';
    }
    rtpi_parse_step(j);
    return 1;
}

// Digits, at least one; their value.
static int rtpi_parse_digits(rtpi_parse *j, uint32_t *value) {
    int any = 0;
    *value = 0;
    for (; j->c >= '0' && j->c <= '9'; any = 1, rtpi_parse_step(j)) {
        unsigned digit = (unsigned)j->c - '0';
        if (*value > (~(uint32_t)0 - digit) / 10u) {
            j->rough |= RTPI_ROUGH_BIG;
        }
        *value = j->rough & RTPI_ROUGH_BIG ? ~(uint32_t)0 : *value * 10u + digit;
    }
    return any;
}

// RFC 8259 6
static int rtpi_parse_number(rtpi_parse *j) {
    uint32_t rest;
    int zero;
    j->rough = 0;
    if (j->c == '-') {
        j->rough = RTPI_ROUGH_SIGN;
        rtpi_parse_step(j);
    }
    zero = j->c == '0';
    if (zero) { // no digit may follow
        j->number = 0;
        rtpi_parse_step(j);
    } else if (!rtpi_parse_digits(j, &j->number)) {
        return 0;
    }
    if (j->c == '.') {
        unsigned rough = j->rough;
        rtpi_parse_step(j);
        if (!rtpi_parse_digits(j, &rest)) {
            return 0;
        }
        j->rough = (uint8_t)(rough | RTPI_ROUGH_FRACTION);
    }
    if (j->c == 'e' || j->c == 'E') {
        j->rough |= RTPI_ROUGH_POWER;
        rtpi_parse_step(j);
        if (j->c == '+' || j->c == '-') {
            rtpi_parse_step(j);
        }
        return rtpi_parse_digits(j, &rest);
    }
    return 1;
}

// A value that is not an object or array. Returns RTPUSH_CLAIM_..., ABSENT if it is malformed.
static int rtpi_parse_scalar(rtpi_parse *j) {
    const char *word = j->c == 't' ? "true" : j->c == 'f' ? "false" : "null";
    if (j->c == '"') {
        return rtpi_parse_string(j) ? RTPUSH_CLAIM_TEXT : RTPUSH_CLAIM_ABSENT;
    }
    if (j->c == '-' || (j->c >= '0' && j->c <= '9')) {
        return !rtpi_parse_number(j) ? RTPUSH_CLAIM_ABSENT
               : j->rough           ? RTPI_CLAIM_ROUGH : RTPUSH_CLAIM_NUMBER;
    }
    for (; *word != '\0'; word++) {
        if (j->c != *word) {
            return RTPUSH_CLAIM_ABSENT;
        }
        rtpi_parse_step(j);
    }
    return RTPUSH_CLAIM_OTHER;
}

// The name of a member and its colon.
static int rtpi_parse_name(rtpi_parse *j) {
    rtpi_parse_space(j);
    return rtpi_parse_string(j) && rtpi_parse_pass(j, ':');
}

// A value of any type; the contents of an object or array are checked, not kept.
static int rtpi_parse_value(rtpi_parse *j) {
    uint32_t objects = 0; // a bit for each level: is it an object?
    unsigned depth = 0;
    int kind;
    do {
        int open = 0; // a level was opened, and may end at once
        rtpi_parse_space(j);
        if (j->c == '{' || j->c == '[') {
            objects = objects << 1 | (j->c == '{');
            open = 1;
            kind = RTPUSH_CLAIM_OTHER;
            rtpi_parse_sink(j, NULL, 0, NULL);
            if (++depth > RTPI_JSON_DEPTH) {
                return RTPUSH_CLAIM_ABSENT;
            }
            rtpi_parse_step(j);
        } else {
            kind = rtpi_parse_scalar(j);
            if (kind == RTPUSH_CLAIM_ABSENT || depth == 0) {
                return kind;
            }
        }
        while (depth > 0 && rtpi_parse_pass(j, objects & 1u ? '}' : ']')) {
            objects >>= 1;
            depth--;
            open = 0;
        }
        if (depth > 0 && ((!open && !rtpi_parse_pass(j, ',')) ||
                          ((objects & 1u) && !rtpi_parse_name(j)))) {
            return RTPUSH_CLAIM_ABSENT;
        }
    } while (depth > 0);
    return RTPUSH_CLAIM_OTHER;
}

// Goes to the next member of the object, which is the whole text. 1: its value is next; 0: the text
// has ended; negative: malformed. A name too long for cap is not one of the caller's.
static int rtpi_parse_member(rtpi_parse *j, int first, char *name, size_t cap) {
    if (first && !rtpi_parse_pass(j, '{')) {
        return RTPUSH_ERR_TOKEN;
    }
    if (rtpi_parse_pass(j, '}')) {
        rtpi_parse_space(j);
        return j->c == RTPI_END ? 0 : RTPUSH_ERR_TOKEN;
    }
    rtpi_parse_sink(j, name, cap - 1, NULL);
    if ((!first && !rtpi_parse_pass(j, ',')) || !rtpi_parse_name(j)) {
        return RTPUSH_ERR_TOKEN;
    }
    name[j->len < cap ? j->len : 0] = '\0';
    rtpi_parse_sink(j, NULL, 0, NULL);
    return 1;
}

// >>token -----------------------------------------------------------------------------------------
// RFC 7515, 7519. The signature is checked before the claims are parsed.

// RFC 7515 4.1.1, 4.1.11: alg must be ours; crit is refused, and other members are ignored.
static int rtpi_jwt_header(const char *at, const char *end, const char *ours) {
    rtpi_parse j;
    char name[8];
    int seen = 0;
    int more;
    rtpi_parse_begin(&j, at, end);
    while ((more = rtpi_parse_member(&j, !seen, name, sizeof name)) > 0) {
        int alg = strcmp(name, "alg") == 0;
        int kind;
        rtpi_parse_sink(&j, NULL, 0, alg ? ours : NULL);
        kind = rtpi_parse_value(&j);
        if (kind == RTPUSH_CLAIM_ABSENT || (alg && (seen & 2))) {
            return RTPUSH_ERR_TOKEN;
        }
        if (strcmp(name, "crit") == 0 || (alg && (kind != RTPUSH_CLAIM_TEXT || j.differs))) {
            return RTPUSH_ERR_ALGORITHM;
        }
        seen |= alg ? 3 : 1;
    }
    return more < 0 ? more : seen & 2 ? 0 : RTPUSH_ERR_ALGORITHM;
}

// The claims that decide whether a token is valid.
typedef struct rtpi_claims {
    uint32_t seen; // a bit for each of rtpi_registered, then for each of the caller's
    uint32_t exp;
    uint32_t nbf;
    uint8_t aud; // ours
    uint8_t iss;
} rtpi_claims;

enum { RTPI_CLAIM_EXP, RTPI_CLAIM_NBF, RTPI_CLAIM_AUD, RTPI_CLAIM_ISS, RTPI_CLAIM_USER };
static const char rtpi_registered[4][4] = {"exp", "nbf", "aud", "iss"}; // RTPI_CLAIM_EXP ...

// RFC 7519 2: a NumericDate may have a fraction, which is cut off. An exponent is refused: it is
// not used in practice, and would need floating point.
static int rtpi_jwt_date(const rtpi_parse *j, int kind, uint32_t *date) {
    if ((kind != RTPUSH_CLAIM_NUMBER && kind != RTPI_CLAIM_ROUGH) ||
        (j->rough & RTPI_ROUGH_POWER)) {
        return RTPUSH_ERR_TOKEN;
    }
    *date = j->rough & RTPI_ROUGH_SIGN ? 0 : j->number;
    return 0;
}

// RFC 7519 4.1.3: one audience, or, from its '[' on, an array of them.
static int rtpi_jwt_audience(rtpi_parse *j, const char *aud, uint8_t *ours) {
    rtpi_parse_step(j); // the '['
    if (rtpi_parse_pass(j, ']')) {
        return 0;
    }
    do {
        rtpi_parse_space(j);
        rtpi_parse_sink(j, NULL, 0, aud);
        if (!rtpi_parse_string(j)) {
            return RTPUSH_ERR_TOKEN;
        }
        *ours |= aud && !j->differs;
    } while (rtpi_parse_pass(j, ','));
    return rtpi_parse_pass(j, ']') ? 0 : RTPUSH_ERR_TOKEN;
}

// One member of the payload: `own` is the caller's claim of this name, or NULL.
static int rtpi_jwt_claim(const rtpush_jwt *jwt, rtpi_parse *j, unsigned which, rtpush_claim *own,
                          rtpi_claims *found) {
    int kind;
    rtpi_parse_space(j);
    if (which == RTPI_CLAIM_AUD && j->c == '[') {
        if (own) {
            own->kind = RTPUSH_CLAIM_OTHER;
        }
        return rtpi_jwt_audience(j, jwt->aud, &found->aud);
    }
    rtpi_parse_sink(j, own ? own->text : NULL, own && own->text ? own->text_size : 0,
                   which == RTPI_CLAIM_AUD ? jwt->aud : which == RTPI_CLAIM_ISS ? jwt->iss : NULL);
    kind = rtpi_parse_value(j);
    if (kind == RTPUSH_CLAIM_ABSENT) {
        return RTPUSH_ERR_TOKEN;
    }
    if (own) {
        own->kind = (uint8_t)(kind == RTPI_CLAIM_ROUGH ? RTPUSH_CLAIM_OTHER : kind);
        own->number = kind == RTPUSH_CLAIM_NUMBER ? j->number : 0;
        if (kind == RTPUSH_CLAIM_TEXT && own->text) {
            if (j->len >= own->text_size) {
                return RTPUSH_ERR_TOO_BIG;
            }
            own->text[j->len] = '\0';
        }
    }
    if (which == RTPI_CLAIM_EXP || which == RTPI_CLAIM_NBF) {
        return rtpi_jwt_date(j, kind, which == RTPI_CLAIM_EXP ? &found->exp : &found->nbf);
    }
    if (which <= RTPI_CLAIM_ISS && kind != RTPUSH_CLAIM_TEXT) {
        return RTPUSH_ERR_TOKEN;
    }
    if (which == RTPI_CLAIM_AUD) {
        found->aud = j->match && !j->differs;
    } else if (which == RTPI_CLAIM_ISS) {
        found->iss = j->match && !j->differs;
    }
    return 0;
}

// RFC 7519 4.1.3 to 4.1.5: aud, exp, nbf. Differences, since sums of times could exceed 2^32.
static int rtpi_jwt_judge(rtpush_jwt *jwt, const rtpi_claims *found) {
    uint32_t now = jwt->now_s;
    if (found->seen >> RTPI_CLAIM_AUD & 1u ? !found->aud : jwt->aud != NULL) {
        return RTPUSH_ERR_AUDIENCE;
    }
    if (jwt->iss && !found->iss) {
        return RTPUSH_ERR_AUDIENCE;
    }
    if (found->nbf > now && found->nbf - now > jwt->leeway_s) {
        return RTPUSH_ERR_EARLY;
    }
    if (!(found->seen >> RTPI_CLAIM_EXP & 1u)) {
        return jwt->may_last ? 0 : RTPUSH_ERR_EXPIRED;
    }
    // RFC 7519 4.1.4: on or after exp it must not be accepted
    if (now == 0 || (now >= found->exp && now - found->exp >= jwt->leeway_s)) {
        return RTPUSH_ERR_EXPIRED;
    }
    jwt->left_s = found->exp > now ? found->exp - now : 1;
    return RTPUSH_OK;
}

static int rtpi_jwt_payload(rtpush_jwt *jwt, const char *at, const char *end) {
    rtpi_claims found;
    rtpi_parse j;
    char name[32];
    int first = 1;
    int more;
    memset(&found, 0, sizeof found);
    rtpi_parse_begin(&j, at, end);
    while ((more = rtpi_parse_member(&j, first, name, sizeof name)) > 0) {
        unsigned which = 0;
        rtpush_claim *own = NULL;
        unsigned i;
        uint32_t bits;
        int error;
        while (which < RTPI_CLAIM_USER && strcmp(rtpi_registered[which], name) != 0) {
            which++;
        }
        bits = which < RTPI_CLAIM_USER ? 1u << which : 0;
        for (i = 0; i < jwt->claim_count && *name != '\0'; i++) {
            if (strcmp(jwt->claims[i].name, name) == 0) {
                own = &jwt->claims[i];
                bits |= (uint32_t)1 << (RTPI_CLAIM_USER + i);
            }
        }
        error = found.seen & bits ? RTPUSH_ERR_TOKEN : rtpi_jwt_claim(jwt, &j, which, own, &found);
        if (error) {
            return error;
        }
        found.seen |= bits;
        first = 0;
    }
    return more < 0 ? more : rtpi_jwt_judge(jwt, &found);
}

// A refused token gives no claims.
static void rtpi_jwt_forget(rtpush_jwt *jwt) {
    unsigned i;
    for (i = 0; i < jwt->claim_count; i++) {
        rtpush_claim *claim = &jwt->claims[i];
        claim->kind = RTPUSH_CLAIM_ABSENT;
        claim->number = 0;
        if (claim->text && claim->text_size > 0) {
            claim->text[0] = '\0';
        }
    }
    jwt->left_s = 0;
}

// RFC 7518 3.4: a signature of ES256 has 64 bytes. Other lengths, and text that is not base64url,
// are refused.
static int rtpi_jwt_checked(const rtpush_jwt *jwt, const uint8_t hash[32], const char *text) {
    uint8_t signature[64];
    size_t len = 0;
    int byte;
    rtpi_base64 b;
    memset(&b, 0, sizeof b);
    b.at = text;
    b.end = text + strlen(text);
    b.url = 1;
    while ((byte = rtpi_base64_next(&b)) >= 0 && len < sizeof signature) {
        signature[len++] = (uint8_t)byte;
    }
    return byte == RTPI_END && jwt->check(jwt->ctx, hash, signature, len) == 1;
}

// Whether `signature` is that of the text before it. A separate function, so that its stack is free
// when the claims are parsed.
static int rtpi_jwt_signed(const rtpush_jwt *jwt, const char *token, const char *signature) {
    rtpi_sha256 s;
    uint8_t hash[32];
    if (jwt->alg) {
        rtpi_sha256_begin(&s);
    } else {
        rtpi_hmac_begin(&s, &jwt->key); // not in a function of its own: this is the deepest stack
    }
    rtpi_sha256_add(&s, token, (size_t)(signature - token));
    if (jwt->alg) {
        rtpi_sha256_end(&s, hash);
        return rtpi_jwt_checked(jwt, hash, signature + 1);
    }
    rtpi_hmac_end(&s, &jwt->key, hash);
    return rtpi_mac_is(signature + 1, hash, sizeof hash);
}

int rtpush_jwt_verify(rtpush_jwt *jwt, const char *token) {
    const char *payload = token ? strchr(token, '.') : NULL;
    const char *signature = payload ? strchr(payload + 1, '.') : NULL;
    int error;
    rtpi_jwt_forget(jwt);
    if (!(jwt->alg ? jwt->check != NULL : rtpi_key_good(&jwt->key)) || jwt->claim_count > 16) {
        return RTPUSH_ERR_ARGUMENT;
    }
    if (!signature || strchr(signature + 1, '.')) {
        return RTPUSH_ERR_TOKEN; // RFC 7515 7.1: three parts
    }
    if (!rtpi_jwt_signed(jwt, token, signature)) {
        return RTPUSH_ERR_SIGNATURE;
    }
    error = rtpi_jwt_header(token, payload, jwt->alg ? jwt->alg : "HS256");
    error = error ? error : rtpi_jwt_payload(jwt, payload + 1, signature);
    if (error) {
        rtpi_jwt_forget(jwt);
    }
    return error;
}

// The text after a scheme (given in lower case) in Authorization, or NULL. RFC 9110 11.4: the case
// of a scheme does not matter.
static const char *rtpi_credentials(const char *authorization, const char *scheme) {
    const char *at = authorization;
    if (!at) {
        return NULL;
    }
    for (; *scheme != '\0'; scheme++, at++) { // letters only, so NUL does not match
        if ((*at | 0x20) != *scheme) {
            return NULL;
        }
    }
    return *at == ' ' ? at + strspn(at, " ") : NULL;
}

const char *rtpush_bearer(const char *authorization) {
    return rtpi_credentials(authorization, "bearer");
}

// RFC 7617 2: user-id ":" password in base64; no control characters.
int rtpush_basic_decode(const char *authorization, char *out, size_t cap, const char **password) {
    const char *text = rtpi_credentials(authorization, "basic");
    size_t len = text ? strlen(text) : 0;
    size_t used = 0;
    size_t user = 0;
    const char *second = NULL; // the password; returned only if all is valid
    rtpi_base64 b;
    int c;
    memset(&b, 0, sizeof b);
    *password = NULL;
    if (len == 0 || len % 4 != 0) {
        return RTPUSH_ERR_TOKEN;
    }
    b.at = text;
    b.end = text + len - (text[len - 1] == '=') - (text[len - 1] == '=' && text[len - 2] == '=');
    while ((c = rtpi_base64_next(&b)) >= 0x20 && c != 0x7F) {
        if (used + 1 >= cap) {
            return RTPUSH_ERR_TOO_BIG;
        }
        out[used++] = (char)c;
        if (c == ':' && !second) {
            user = used - 1;
            out[user] = '\0';
            second = out + used;
        }
    }
    if (c != RTPI_END || !second) {
        return RTPUSH_ERR_TOKEN;
    }
    out[used] = '\0';
    *password = second;
    return (int)user;
}

// >>signed ----------------------------------------------------------------------------------------
// A value, its expiry and a signature over both; and tickets, which are valid once.

// RFC 6265 4.1.1: the characters that a cookie's value may have.
static int rtpi_cookie_clean(const char *value) {
    for (; *value != '\0'; value++) {
        if (*value <= ' ' || *value > '~' || strchr("\",;\\", *value)) {
            return 0;
        }
    }
    return 1;
}

#define RTPI_MAC_TEXT 43u // 32 bytes in base64url

int rtpush_sign(const rtpush_key *key, const char *purpose, const char *value,
                uint32_t expires_at_s, char *out, size_t cap) {
    rtpush_text t = {NULL, 0, 0, 0};
    uint8_t mac[32];
    if (!rtpi_key_good(key) || !rtpi_cookie_clean(value)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    t.data = (uint8_t *)out;
    t.cap = (uint32_t)cap;
    rtpush_text_hex(&t, expires_at_s);
    rtpi_access_put(&t, ".");
    rtpi_access_put(&t, value);
    rtpi_mac(key, "rtpush.sign", purpose, out, (size_t)t.len, mac);
    rtpi_access_put(&t, ".");
    rtpush_text_base64(&t, mac, sizeof mac, 1);
    return rtpi_access_end(&t);
}

int rtpush_verify(const rtpush_key *key, const char *purpose, const char *text, uint32_t now_s,
                  char *value, size_t cap, uint32_t *left_s) {
    size_t len = text ? strlen(text) : 0;
    uint32_t expires;
    uint8_t mac[32];
    if (!rtpi_key_good(key)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    if (len < RTPUSH_SIGNED - 1u || text[8] != '.' || text[len - RTPI_MAC_TEXT - 1] != '.' ||
        !rtpi_access_get_hex(text, &expires)) {
        return RTPUSH_ERR_TOKEN;
    }
    len -= RTPI_MAC_TEXT + 1;
    rtpi_mac(key, "rtpush.sign", purpose, text, len, mac);
    if (!rtpi_mac_is(text + len + 1, mac, sizeof mac)) {
        return RTPUSH_ERR_SIGNATURE;
    }
    if (now_s == 0 || now_s >= expires) {
        return RTPUSH_ERR_EXPIRED;
    }
    len -= 9;
    if (len >= cap) {
        return RTPUSH_ERR_TOO_BIG;
    }
    memcpy(value, text + 9, len);
    value[len] = '\0';
    if (left_s) {
        *left_s = expires - now_s;
    }
    return (int)len;
}

int rtpush_cookie(const char *name, const char *value, uint32_t max_age_s, int secure, char *out,
                  size_t cap) {
    rtpush_text t = {NULL, 0, 0, 0};
    if (*name == '\0' || strchr(name, '=') || !rtpi_cookie_clean(name) ||
        !rtpi_cookie_clean(value)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    t.data = (uint8_t *)out;
    t.cap = (uint32_t)cap;
    rtpi_access_put(&t, name);
    rtpi_access_put(&t, "=");
    rtpi_access_put(&t, value);
    rtpi_access_put(&t, "; Max-Age=");
    rtpush_text_decimal(&t, max_age_s);
    rtpi_access_put(&t, "; Path=/; HttpOnly; SameSite=Strict");
    rtpi_access_put(&t, secure ? "; Secure" : "");
    return rtpi_access_end(&t);
}

// A ticket: serial, end, topics and user as 8 digits each, then half of the signature, 16 bytes
// (RFC 2104 5), with the epoch as the purpose.
#define RTPI_TICKET_TEXT 32u
#define RTPI_TICKET_MAC 16u

static void rtpi_ticket_mac(const rtpush_tickets *tickets, const char *text, uint8_t mac[32]) {
    char epoch[9];
    rtpush_text t = {NULL, sizeof epoch, 0, 0};
    t.data = (uint8_t *)epoch;
    rtpush_text_hex(&t, tickets->epoch);
    (void)rtpi_access_end(&t);
    rtpi_mac(&tickets->key, "rtpush.ticket", epoch, text, RTPI_TICKET_TEXT, mac);
}

static uint32_t *rtpi_ticket_word(rtpush_tickets *tickets, uint32_t serial) {
    return &tickets->used[serial / 32u % (RTPUSH_TICKET_WINDOW / 32u)];
}

int rtpush_ticket_issue(rtpush_tickets *tickets, uint32_t topics, uint32_t user,
                        uint32_t expires_at_s, char out[RTPUSH_TICKET_SIZE]) {
    rtpush_text t = {NULL, RTPUSH_TICKET_SIZE, 0, 0};
    uint32_t serial = tickets->next;
    uint8_t mac[32];
    if (!rtpi_key_good(&tickets->key)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    t.data = (uint8_t *)out;
    rtpush_text_hex(&t, serial);
    rtpush_text_hex(&t, expires_at_s);
    rtpush_text_hex(&t, topics);
    rtpush_text_hex(&t, user);
    rtpi_ticket_mac(tickets, out, mac);
    rtpush_text_base64(&t, mac, RTPI_TICKET_MAC, 1);
    *rtpi_ticket_word(tickets, serial) &= ~((uint32_t)1 << serial % 32u);
    tickets->next = serial + 1;
    (void)rtpi_access_end(&t); // it always fits
    return RTPUSH_OK;
}

int rtpush_ticket_redeem(rtpush_tickets *tickets, const char *text, uint32_t now_s,
                         uint32_t *topics, uint32_t *user) {
    uint32_t field[4]; // serial, end, topics, user
    uint8_t mac[32];
    uint32_t *word;
    uint32_t bit;
    unsigned i;
    if (!rtpi_key_good(&tickets->key)) {
        return RTPUSH_ERR_ARGUMENT;
    }
    if (!text || strlen(text) != RTPUSH_TICKET_SIZE - 1u) {
        return RTPUSH_ERR_TOKEN;
    }
    rtpi_ticket_mac(tickets, text, mac);
    if (!rtpi_mac_is(text + RTPI_TICKET_TEXT, mac, RTPI_TICKET_MAC)) {
        return RTPUSH_ERR_SIGNATURE;
    }
    for (i = 0; i < 4; i++) {
        if (!rtpi_access_get_hex(text + 8 * i, &field[i])) {
            return RTPUSH_ERR_TOKEN;
        }
    }
    if (now_s == 0 || now_s >= field[1]) {
        return RTPUSH_ERR_EXPIRED;
    }
    word = rtpi_ticket_word(tickets, field[0]);
    bit = (uint32_t)1 << field[0] % 32u;
    // Outside the window its bit belongs to a newer ticket: report it as used.
    if ((uint32_t)(tickets->next - 1 - field[0]) >= RTPUSH_TICKET_WINDOW || (*word & bit)) {
        return RTPUSH_ERR_USED;
    }
    *word |= bit;
    *topics = field[2];
    *user = field[3];
    return RTPUSH_OK;
}

#ifdef __cplusplus
}
#endif

#endif // RTPUSH_ACCESS_IMPLEMENTED
#endif // RTPUSH_ACCESS_IMPLEMENTATION

// MIT-0 or public domain (Unlicense), your choice: the text is at the end of rtpush.h.
