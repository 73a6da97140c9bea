// rtpush_access.h: each function against vectors of the standards, against the results of other
// programs for the same input, and against what an attacker would send.
#include "unit.h"
#define RTPUSH_ACCESS_IMPLEMENTATION
#include "../../ports/rtpush_access.h"

static const char key_text[] = "0123456789abcdef0123456789abcdef";
static const rtpush_key key = {key_text, 32};
static const rtpush_key other_key = {"fedcba9876543210fedcba9876543210", 32};

static void hex_is(const uint8_t *digest, const char *hex) {
    t_buf want = {0};
    t_put_hex(&want, hex, hex + strlen(hex));
    T_EQ(want.len, 32);
    T_CHECK(memcmp(digest, want.data, 32) == 0, "not %s", hex);
    t_buf_free(&want);
}

// -- SHA-256 and HMAC -----------------------------------------------------------------------------

static void access_sha256_matches_the_vectors(U_STATE) {
    static const struct {
        const char *text;
        const char *digest;
    } table[] = {
        // FIPS 180-4, the examples of NIST
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
         "lmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    uint8_t digest[32];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        rtpush_sha256(table[i].text, strlen(table[i].text), digest);
        hex_is(digest, table[i].digest);
    }
    t_buf million = {0};
    for (int i = 0; i < 20000; i++) {
        t_puts(&million, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    }
    rtpush_sha256(million.data, million.len, digest);
    hex_is(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    t_buf_free(&million);
    rtpush_sha256(NULL, 0, digest);
    hex_is(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// Each length from 0 to 300 behind the digest of the one before; the end as Python's hashlib has.
static void access_sha256_is_right_at_every_length(U_STATE) {
    uint8_t text[400];
    uint8_t digest[32];
    size_t before = 0;
    for (size_t n = 0; n <= 300; n++) {
        if (before) {
            memcpy(text, digest, 32);
        }
        for (size_t i = 0; i < n; i++) {
            text[before + i] = (uint8_t)(i * 7 + n);
        }
        rtpush_sha256(text, before + n, digest);
        before = 32;
    }
    hex_is(digest, "e484fcdde81a538984df24b900f0f51cf7aec4292e8513cf1f6c14ad91c4b4df");
}

// Section 4 of RFC 4231: its seven test cases, the fifth as far as it is truncated there.
static void access_hmac_matches_rfc_4231(U_STATE) {
    static const char long_data[] =
        "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
        "65204b6579202d2048617368204b"
        "6579204669727374";
    static const char longer_data[] =
        "5468697320697320612074657374207573696e672061206c6172676572207468"
        "616e20626c6f636b2d73697a6520"
        "6b657920616e642061206c6172676572207468616e20626c6f636b2d73697a65"
        "20646174612e20546865206b6579"
        "206e6565647320746f20626520686173686564206265666f7265206265696e67"
        "20757365642062792074686520484d"
        "414320616c676f726974686d2e";
    static const struct {
        int key_byte; // repeated key_len times; -1: the key as hex
        int key_len;
        const char *key;
        const char *data;
        const char *mac;
    } table[] = {
        {0x0b, 20, NULL, "4869205468657265",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {-1, 0, "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {0xaa, 20, NULL,
         "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
         "dddddddddddddddddddddddddddd"
         "dddddddd",
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {-1, 0, "0102030405060708090a0b0c0d0e0f10111213141516171819",
         "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
         "cdcdcdcdcdcdcdcdcdcdcdcdcdcd"
         "cdcdcdcd",
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {0x0c, 20, NULL, "546573742057697468205472756e636174696f6e",
         "a3b6167473100ee06e0c796c2955552b"},
        {0xaa, 131, NULL, long_data,
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {0xaa, 131, NULL, longer_data,
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        t_buf k = {0};
        t_buf data = {0};
        t_buf want = {0};
        uint8_t mac[32];
        for (int n = 0; n < table[i].key_len; n++) {
            uint8_t byte = (uint8_t)table[i].key_byte;
            t_put(&k, &byte, 1);
        }
        if (table[i].key) {
            t_put_hex(&k, table[i].key, table[i].key + strlen(table[i].key));
        }
        t_put_hex(&data, table[i].data, table[i].data + strlen(table[i].data));
        t_put_hex(&want, table[i].mac, table[i].mac + strlen(table[i].mac));
        rtpush_key with = {k.data, k.len};
        rtpush_hmac_sha256(&with, data.data, data.len, mac);
        T_CHECK(memcmp(mac, want.data, want.len) == 0, "case %lu", (unsigned long)i + 1);
        t_buf_free(&k);
        t_buf_free(&data);
        t_buf_free(&want);
    }
}

// Keys of 0 to 140 bytes, each over the code of the one before; the end as Python's hmac has it.
static void access_hmac_is_right_for_every_key_length(U_STATE) {
    uint8_t bytes[140];
    uint8_t text[32 + 140];
    uint8_t mac[32];
    size_t before = 0;
    for (size_t n = 0; n <= 140; n++) {
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (uint8_t)(i * 5 + n);
        }
        if (before) {
            memcpy(text, mac, 32);
        }
        memset(text + before, (int)n, n);
        rtpush_key with = {n ? bytes : NULL, n};
        rtpush_hmac_sha256(&with, text, before + n, mac);
        before = 32;
    }
    hex_is(mac, "65e70d0b01fd753e43a70a5d51d583bde1be9a215c81f85bf843bc76894994aa");
}

static void access_equal_sees_every_difference(U_STATE) {
    uint8_t a[40];
    uint8_t b[40];
    for (size_t len = 0; len < 40; len++) {
        memset(a, 'x', sizeof a);
        memset(b, 'x', sizeof b);
        T_CHECK(rtpush_equal(a, b, len), "equal, %lu bytes", (unsigned long)len);
        for (size_t at = 0; at < 40; at++) {
            for (int bit = 0; bit < 8; bit++) {
                b[at] ^= (uint8_t)(1 << bit);
                T_EQ(rtpush_equal(a, b, len), at >= len);
                b[at] ^= (uint8_t)(1 << bit);
            }
        }
    }
}

static void access_equal_text_wants_the_same_length(U_STATE) {
    static const char *const texts[] = {"", "s", "se", "secret", "secreT", "secret1",
                                        "secretsecret", "Secret", "\xC3\xA9"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            T_EQ(rtpush_equal_text(texts[i], texts[k]), i == k);
        }
    }
}

// -- tokens ---------------------------------------------------------------------------------------

static void put_base64url(t_buf *out, const void *data, size_t len) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *bytes = (const uint8_t *)data;
    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++) {
            value = value << 1 | (i < len * 8 ? bytes[i / 8] >> (7 - i % 8) & 1u : 0);
        }
        t_put(out, letters + value, 1);
    }
}

static void put_signature(t_buf *token, const rtpush_key *with) {
    uint8_t mac[32];
    rtpush_hmac_sha256(with, token->data, token->len, mac);
    t_puts(token, ".");
    put_base64url(token, mac, 32);
}

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

// A token with this header and payload, signed well, whatever they say.
static const char *token_of(const char *header, const char *payload) {
    static t_buf token;
    token.len = 0;
    put_base64url(&token, header, strlen(header));
    t_puts(&token, ".");
    put_base64url(&token, payload, strlen(payload));
    put_signature(&token, &key);
    return t_text(&token);
}

static rtpush_jwt judge(void) {
    rtpush_jwt jwt;
    memset(&jwt, 0, sizeof jwt);
    jwt.key = key;
    jwt.now_s = 1000;
    return jwt;
}

static int verify(const char *payload) {
    rtpush_jwt jwt = judge();
    return rtpush_jwt_verify(&jwt, token_of(HS256, payload));
}

// Appendix A.1 of RFC 7515, which is also section 3.1 of RFC 7519.
#define A1_HEADER "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
#define A1_PAYLOAD \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define A1_SIGNATURE "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
static const uint8_t a1_key[64] = {
    3,   35,  53,  75,  43,  15,  165, 188, 131, 126, 6,   101, 119, 123, 166, 143,
    90,  179, 40,  230, 240, 84,  201, 40,  169, 15,  132, 178, 210, 80,  46,  191,
    211, 251, 90,  146, 210, 6,   71,  239, 150, 138, 180, 195, 119, 98,  61,  34,
    61,  46,  33,  114, 5,   46,  79,  8,   192, 205, 154, 245, 103, 208, 128, 163};

static rtpush_jwt judge_a1(void) {
    rtpush_jwt jwt;
    memset(&jwt, 0, sizeof jwt);
    jwt.key.bytes = a1_key;
    jwt.key.len = sizeof a1_key;
    jwt.now_s = 1300819379;
    return jwt;
}

static void access_jwt_takes_the_example_of_rfc_7515(U_STATE) {
    char iss[8];
    rtpush_claim claims[2] = {{"iss", iss, sizeof iss, 0, 0},
                              {"http://example.com/is_root", NULL, 0, 0, 0}};
    rtpush_jwt jwt = judge_a1();
    jwt.claims = claims;
    jwt.claim_count = 2;
    jwt.iss = "joe";
    T_EQ(rtpush_jwt_verify(&jwt, A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE), RTPUSH_OK);
    T_EQ(claims[0].kind, RTPUSH_CLAIM_TEXT);
    assert_string_equal(iss, "joe");
    T_EQ(claims[1].kind, RTPUSH_CLAIM_OTHER);
    T_EQ(jwt.left_s, 1);
    jwt.now_s++; // RFC 7519 4.1.4: on or after exp it is not accepted
    T_EQ(rtpush_jwt_verify(&jwt, A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE), RTPUSH_ERR_EXPIRED);
    T_EQ(claims[0].kind, RTPUSH_CLAIM_ABSENT);
    assert_string_equal(iss, "");
}

// Every bit of every character of a good token changed: never accepted.
static void access_jwt_notices_every_changed_bit(U_STATE) {
    char token[] = A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE;
    rtpush_jwt jwt = judge_a1();
    for (size_t i = 0; token[i] != '\0'; i++) {
        for (int bit = 0; bit < 8; bit++) {
            token[i] = (char)(token[i] ^ (1 << bit));
            int error = rtpush_jwt_verify(&jwt, token);
            T_CHECK(error == RTPUSH_ERR_SIGNATURE || error == RTPUSH_ERR_TOKEN,
                    "character %lu, bit %d: %d", (unsigned long)i, bit, error);
            token[i] = (char)(token[i] ^ (1 << bit));
        }
    }
    T_EQ(rtpush_jwt_verify(&jwt, token), RTPUSH_OK);
}

// Bearer with 0, 1, 2 and 4 dots, alg=none, and whatever else is no signature.
static void access_jwt_refuses_what_is_not_signed(U_STATE) {
    static const struct {
        const char *token;
        int error;
    } table[] = {
        {NULL, RTPUSH_ERR_TOKEN},
        {"", RTPUSH_ERR_TOKEN},
        {"a", RTPUSH_ERR_TOKEN},
        {".", RTPUSH_ERR_TOKEN},
        {"..", RTPUSH_ERR_SIGNATURE},
        {"...", RTPUSH_ERR_TOKEN},
        {"....", RTPUSH_ERR_TOKEN},
        {A1_HEADER, RTPUSH_ERR_TOKEN},
        {A1_HEADER "." A1_PAYLOAD, RTPUSH_ERR_TOKEN},
        {A1_HEADER "." A1_PAYLOAD ".", RTPUSH_ERR_SIGNATURE},
        {A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE ".", RTPUSH_ERR_TOKEN},
        {A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE "." A1_SIGNATURE, RTPUSH_ERR_TOKEN},
        {A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE "..", RTPUSH_ERR_TOKEN},
        {A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE "=", RTPUSH_ERR_SIGNATURE},
        {A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE " ", RTPUSH_ERR_SIGNATURE},
        {A1_HEADER "." A1_PAYLOAD ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX",
         RTPUSH_ERR_SIGNATURE}, // a prefix of the right one
        {A1_HEADER "." A1_PAYLOAD ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl",
         RTPUSH_ERR_SIGNATURE}, // other spare bits, the same bytes to a lenient decoder
        {A1_HEADER "." A1_PAYLOAD ".dBjftJeZ4CVP+mB92K27uhbUJU1p1r/wW1gFWFOEjXk",
         RTPUSH_ERR_SIGNATURE}, // the other alphabet
        {" " A1_HEADER "." A1_PAYLOAD "." A1_SIGNATURE, RTPUSH_ERR_SIGNATURE},
        // Section 6.1 of RFC 7519: unsecured
        {"eyJhbGciOiJub25lIn0." A1_PAYLOAD ".", RTPUSH_ERR_SIGNATURE},
        {"eyJhbGciOiJub25lIn0." A1_PAYLOAD "." A1_SIGNATURE, RTPUSH_ERR_SIGNATURE},
        {"eyJhbGciOiJub25lIn0." A1_PAYLOAD, RTPUSH_ERR_TOKEN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        rtpush_jwt jwt = judge_a1();
        int error = rtpush_jwt_verify(&jwt, table[i].token);
        T_CHECK(error == table[i].error, "%s: %d", table[i].token ? table[i].token : "(none)",
                error);
    }
}

// The algorithm is the server's, also where the token is signed well.
static void access_jwt_algorithm_is_fixed(U_STATE) {
    static const struct {
        const char *header;
        int error;
    } table[] = {
        {"{\"alg\":\"HS256\"}", RTPUSH_OK},
        {" {\"alg\" : \"HS256\" , \"kid\":\"1\"} ", RTPUSH_OK},
        {"{\"kid\":{\"alg\":\"none\"},\"alg\":\"HS256\"}", RTPUSH_OK},
        {"{\"alg\":\"\\u0048S256\"}", RTPUSH_OK}, // the same string, otherwise written
        {"{\"alg\":\"none\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"None\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"hs256\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"HS2567\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"HS25\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"HS512\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"RS256\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":null}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":256}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":[\"HS256\"]}", RTPUSH_ERR_ALGORITHM},
        {"{\"Alg\":\"HS256\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"typ\":\"JWT\"}", RTPUSH_ERR_ALGORITHM},
        {"{}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", RTPUSH_ERR_ALGORITHM},
        {"{\"crit\":[],\"alg\":\"HS256\"}", RTPUSH_ERR_ALGORITHM},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", RTPUSH_ERR_TOKEN},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", RTPUSH_ERR_TOKEN},
        {"", RTPUSH_ERR_TOKEN},
        {"\"alg\"", RTPUSH_ERR_TOKEN},
        {"[{\"alg\":\"HS256\"}]", RTPUSH_ERR_TOKEN},
        {"{\"alg\":\"HS256\"", RTPUSH_ERR_TOKEN},
        {"{\"alg\":\"HS256\"}}", RTPUSH_ERR_TOKEN},
        {"{\"alg\":\"HS256\"}{", RTPUSH_ERR_TOKEN},
        {"{\"alg\":\"HS256\",}", RTPUSH_ERR_TOKEN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        rtpush_jwt jwt = judge();
        int error = rtpush_jwt_verify(&jwt, token_of(table[i].header, "{\"exp\":2000}"));
        T_CHECK(error == table[i].error, "%s: %d", table[i].header, error);
    }
}

// RFC 7519 4.1.3 to 4.1.5
static void access_jwt_judges_the_claims(U_STATE) {
    static const struct {
        const char *payload;
        const char *aud;
        const char *iss;
        int leeway;
        int may_last;
        int error;
        uint32_t left_s;
    } table[] = {
        {"{\"exp\":1001}", NULL, NULL, 0, 0, RTPUSH_OK, 1},
        {"{\"exp\":1000}", NULL, NULL, 0, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{\"exp\":1000.9}", NULL, NULL, 0, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{\"exp\":1001.5}", NULL, NULL, 0, 0, RTPUSH_OK, 1},
        {"{\"exp\":0}", NULL, NULL, 0, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{\"exp\":-2000}", NULL, NULL, 0, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{\"exp\":2e3}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":\"2000\"}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":true}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":null}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":[2000]}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":[99999999999]}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":99999999999999999999}", NULL, NULL, 0, 0, RTPUSH_OK, 4294966295u},
        {"{}", NULL, NULL, 0, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{}", NULL, NULL, 0, 1, RTPUSH_OK, 0},
        {"{\"exp\":990}", NULL, NULL, 10, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{\"exp\":991}", NULL, NULL, 10, 0, RTPUSH_OK, 1},
        {"{\"exp\":991}", NULL, NULL, 10, 1, RTPUSH_OK, 1},
        {"{\"exp\":1}", NULL, NULL, 65535, 0, RTPUSH_OK, 1},
        {"{\"exp\":2000,\"nbf\":1000}", NULL, NULL, 0, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"nbf\":1001}", NULL, NULL, 0, 0, RTPUSH_ERR_EARLY, 0},
        {"{\"exp\":2000,\"nbf\":1010}", NULL, NULL, 10, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"nbf\":1011}", NULL, NULL, 10, 0, RTPUSH_ERR_EARLY, 0},
        {"{\"exp\":2000,\"nbf\":99999999999}", NULL, NULL, 10, 0, RTPUSH_ERR_EARLY, 0},
        {"{\"exp\":2000,\"nbf\":-5}", NULL, NULL, 0, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"nbf\":\"1\"}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":\"dev\"}", "dev", NULL, 0, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"aud\":\"dev\"}", NULL, NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000}", "dev", NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"aud\":\"de\"}", "dev", NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"aud\":\"devi\"}", "dev", NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"aud\":\"\"}", "dev", NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"aud\":[]}", "dev", NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"aud\":[\"a\",\"b\"]}", "dev", NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"aud\":[\"a\",\"dev\"]}", "dev", NULL, 0, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"aud\": [ \"dev\" , \"b\" ] }", "dev", NULL, 0, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"aud\":[\"dev\"]}", NULL, NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"aud\":[\"dev\",1]}", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":[\"dev\"", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":[\"dev\",]}", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":[,\"dev\"]}", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":[[\"dev\"]]}", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":{\"dev\":\"dev\"}}", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":7}", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"iss\":\"me\"}", NULL, "me", 0, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"iss\":\"me\"}", NULL, NULL, 0, 0, RTPUSH_OK, 1000},
        {"{\"exp\":2000,\"iss\":\"you\"}", NULL, "me", 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000}", NULL, "me", 0, 0, RTPUSH_ERR_AUDIENCE, 0},
        {"{\"exp\":2000,\"iss\":[\"me\"]}", NULL, "me", 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"iss\":1}", NULL, "me", 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"iss\":\"m\\u0065\"}", NULL, "me", 0, 0, RTPUSH_OK, 1000},
        // The same name twice: which one would the next program take?
        {"{\"exp\":2000,\"exp\":2000}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":900,\"e\\u0078p\":2000}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"nbf\":1,\"nbf\":1}", NULL, NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"aud\":\"dev\",\"aud\":\"dev\"}", "dev", NULL, 0, 0, RTPUSH_ERR_TOKEN, 0},
        {"{\"exp\":2000,\"iss\":\"me\",\"iss\":\"me\"}", NULL, "me", 0, 0, RTPUSH_ERR_TOKEN, 0},
        // Not ours: in an object inside, in another case
        {"{\"a\":{\"exp\":2000}}", NULL, NULL, 0, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{\"Exp\":2000}", NULL, NULL, 0, 0, RTPUSH_ERR_EXPIRED, 0},
        {"{\"a\":{\"aud\":\"dev\"},\"exp\":2000}", "dev", NULL, 0, 0, RTPUSH_ERR_AUDIENCE, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        rtpush_jwt jwt = judge();
        jwt.aud = table[i].aud;
        jwt.iss = table[i].iss;
        jwt.leeway_s = (uint16_t)table[i].leeway;
        jwt.may_last = (uint8_t)table[i].may_last;
        int error = rtpush_jwt_verify(&jwt, token_of(HS256, table[i].payload));
        T_CHECK(error == table[i].error, "%s: %d", table[i].payload, error);
        T_CHECK(jwt.left_s == table[i].left_s, "%s: %lu s left", table[i].payload,
                (unsigned long)jwt.left_s);
    }
}

// A signature that another judges gets its bytes and the SHA-256 of what was signed.
typedef struct judged {
    int calls;
    int says;
    size_t len;
    uint8_t signature[64];
    uint8_t hash[32];
} judged;

static int judge_signature(const void *ctx, const uint8_t hash[32], const uint8_t *signature,
                           size_t len) {
    judged *seen = (judged *)(uintptr_t)ctx;
    seen->calls++;
    seen->len = len;
    memcpy(seen->signature, signature, len);
    memcpy(seen->hash, hash, 32);
    return seen->says;
}

// RFC 7518 3.4: base64url of at most 64 bytes; all else is none, and nobody is asked.
static void access_jwt_asks_another_for_the_signature(U_STATE) {
    static const char header[] = "{\"alg\":\"ES256\"}";
    uint8_t signature[70];
    for (size_t len = 0; len <= sizeof signature; len++) {
        t_buf token = {0};
        judged seen = {0};
        rtpush_jwt jwt = judge();
        uint8_t hash[32];
        rtpi_sha256 s;
        signature[len - (len > 0)] = (uint8_t)(len > 0 ? (len - 1) * 7 : 0); // 0 is one too
        put_base64url(&token, header, sizeof header - 1);
        t_puts(&token, ".");
        put_base64url(&token, "{\"exp\":2000}", 12);
        rtpi_sha256_begin(&s);
        rtpi_sha256_add(&s, token.data, token.len);
        rtpi_sha256_end(&s, hash);
        t_puts(&token, ".");
        put_base64url(&token, signature, len);
        jwt.alg = "ES256";
        jwt.check = judge_signature;
        jwt.ctx = &seen;
        seen.says = 1;
        T_EQ(rtpush_jwt_verify(&jwt, t_text(&token)), len <= 64 ? 0 : RTPUSH_ERR_SIGNATURE);
        T_EQ(seen.calls, len <= 64);
        if (len <= 64) {
            T_EQ(seen.len, len);
            T_CHECK(memcmp(seen.signature, signature, len) == 0, "other bytes");
            T_CHECK(memcmp(seen.hash, hash, 32) == 0, "the hash of something else");
        }
        for (seen.says = -1; seen.says <= 2; seen.says += seen.says == 0 ? 2 : 1) { // 1 alone
            T_EQ(rtpush_jwt_verify(&jwt, t_text(&token)), RTPUSH_ERR_SIGNATURE);
        }
        seen.says = 1;
        t_puts(&token, "!");
        T_EQ(rtpush_jwt_verify(&jwt, t_text(&token)), RTPUSH_ERR_SIGNATURE);
        jwt.check = NULL;
        T_EQ(rtpush_jwt_verify(&jwt, t_text(&token)), RTPUSH_ERR_ARGUMENT);
        t_buf_free(&token);
    }
}

// An array is no text: who asks for the claim is told that it is something else.
static void access_jwt_gives_an_array_of_audiences_as_other(U_STATE) {
    char text[8] = "before";
    rtpush_claim claim;
    rtpush_jwt jwt = judge();
    memset(&claim, 0, sizeof claim);
    claim.name = "aud";
    claim.text = text;
    claim.text_size = sizeof text;
    jwt.claims = &claim;
    jwt.claim_count = 1;
    jwt.aud = "me";
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"exp\":2000,\"aud\":[\"you\",\"me\"]}")),
         RTPUSH_OK);
    T_EQ(claim.kind, RTPUSH_CLAIM_OTHER);
    assert_string_equal(text, "");
}

static void access_errors_have_words(U_STATE) {
    for (int error = RTPUSH_ERR_TOKEN; error >= RTPUSH_ERR_USED; error--) {
        T_CHECK(rtpush_access_strerror(error)[0] != '\0', "error %d has none", error);
    }
    assert_string_equal(rtpush_access_strerror(RTPUSH_ERR_FULL), rtpush_strerror(RTPUSH_ERR_FULL));
    assert_string_equal(rtpush_access_strerror(RTPUSH_ERR_USED - 1),
                        rtpush_strerror(RTPUSH_ERR_USED - 1));
}

// A device that does not know the time must not take 1970 for it.
static void access_without_a_clock_nothing_that_expires_is_accepted(U_STATE) {
    char text[100];
    char value[20];
    char ticket[RTPUSH_TICKET_SIZE];
    uint32_t topics;
    uint32_t user;
    rtpush_jwt jwt = judge();
    rtpush_tickets tickets = {key, 1, 0, {0}};
    jwt.now_s = 0;
    jwt.may_last = 1;
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"exp\":4000000000}")), RTPUSH_ERR_EXPIRED);
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"nbf\":1}")), RTPUSH_ERR_EARLY);
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{}")), RTPUSH_OK);
    T_CHECK(rtpush_sign(&key, "p", "v", 4000000000u, text, sizeof text) > 0, "not signed");
    T_EQ(rtpush_verify(&key, "p", text, 0, value, sizeof value, NULL), RTPUSH_ERR_EXPIRED);
    T_EQ(rtpush_ticket_issue(&tickets, 1, 1, 4000000000u, ticket), RTPUSH_OK);
    T_EQ(rtpush_ticket_redeem(&tickets, ticket, 0, &topics, &user), RTPUSH_ERR_EXPIRED);
}

static void access_jwt_gives_the_claims_asked_for(U_STATE) {
    char sub[8];
    char role[4];
    char none = '?';
    rtpush_claim claims[6] = {{"sub", sub, sizeof sub, 9, 9}, {"role", role, sizeof role, 9, 9},
                              {"level", NULL, 0, 9, 9},       {"topics", NULL, 0, 9, 9},
                              {"gone", &none, 1, 9, 9},        {"exp", NULL, 0, 9, 9}};
    rtpush_jwt jwt = judge();
    jwt.claims = claims;
    jwt.claim_count = 6;
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"role\":\"a\\t\\u00e9\",\"level\":4294967295,"
                                                 "\"sub\":\"1234567\",\"topics\":[1,{\"sub\":2}],"
                                                 "\"exp\":2000}")), RTPUSH_ERR_TOO_BIG); // role
    T_EQ(claims[2].kind, RTPUSH_CLAIM_ABSENT);
    assert_string_equal(sub, "");
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"role\":\"\\t\\u00e9\",\"level\":4294967295,"
                                                 "\"sub\":\"1234567\",\"topics\":[1,{\"sub\":2}],"
                                                 "\"exp\":2000}")), RTPUSH_OK);
    assert_string_equal(sub, "1234567");
    assert_string_equal(role, "\t\xC3\xA9");
    T_EQ(claims[0].kind, RTPUSH_CLAIM_TEXT);
    T_EQ(claims[2].kind, RTPUSH_CLAIM_NUMBER);
    T_EQ(claims[2].number, 4294967295u);
    T_EQ(claims[3].kind, RTPUSH_CLAIM_OTHER);
    T_EQ(claims[4].kind, RTPUSH_CLAIM_ABSENT);
    T_EQ(none, '\0');
    T_EQ(claims[5].number, 2000);
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"exp\":2000,"
                                                 "\"sub\":\"\\u20ac\\ud83d\\ude00\"}")), RTPUSH_OK);
    assert_string_equal(sub, "\xE2\x82\xAC\xF0\x9F\x98\x80"); // RFC 3629 3
    static const struct {
        const char *level;
        int kind;
    } numbers[] = {{"0", RTPUSH_CLAIM_NUMBER},  {"4294967296", RTPUSH_CLAIM_OTHER},
                   {"-1", RTPUSH_CLAIM_OTHER},  {"1.0", RTPUSH_CLAIM_OTHER},
                   {"1e0", RTPUSH_CLAIM_OTHER}, {"true", RTPUSH_CLAIM_OTHER},
                   {"null", RTPUSH_CLAIM_OTHER}, {"{}", RTPUSH_CLAIM_OTHER},
                   {"\"1\"", RTPUSH_CLAIM_TEXT}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char payload[80];
        snprintf(payload, sizeof payload, "{\"exp\":2000,\"level\":%s}", numbers[i].level);
        T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, payload)), RTPUSH_OK);
        T_CHECK(claims[2].kind == numbers[i].kind, "%s is of kind %d", payload, claims[2].kind);
        T_EQ(claims[2].number, 0);
    }
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"sub\":\"a\",\"exp\":2000,\"sub\":\"b\"}")),
         RTPUSH_ERR_TOKEN);
    // A longer name is another one, however it begins.
    claims[0].name = "abcdefghijklmnopqrstuvwxyzABCDE";
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"exp\":2000,"
                                                 "\"abcdefghijklmnopqrstuvwxyzABCDEF\":\"x\"}")),
         RTPUSH_OK);
    T_EQ(claims[0].kind, RTPUSH_CLAIM_ABSENT);
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"exp\":2000,"
                                                 "\"abcdefghijklmnopqrstuvwxyzABCDE\":\"x\"}")),
         RTPUSH_OK);
    T_EQ(claims[0].kind, RTPUSH_CLAIM_TEXT);
}

// RFC 8259: what is no JSON is no token, also in members nobody asks for.
static void access_jwt_reads_json_strictly(U_STATE) {
    static const char *const good[] = {
        "{\"exp\":2000,\"x\":0}", "{\"exp\":2000,\"x\":-0}", "{\"exp\":2000,\"x\":1.50}",
        "{\"exp\":2000,\"x\":-1.5E+30}", "{\"exp\":2000,\"x\":1e-5}", "{\"exp\":2000,\"x\":false}",
        "{\"exp\":2000,\"x\":[]}", "{\"exp\":2000,\"x\":{}}", "{\"exp\":2000,\"x\":[[],{}]}",
        "{\"exp\":2000,\"x\":[[[[[[[[]]]]]]]]}", // 8 levels
        "{\"exp\":2000,\"x\":{\"a\":[1,\"]}\",{\"b\":null}],\"c\":\"}\"}}",
        "\t{\r\n\"exp\" : 2000 ,\"\":\"\" } \n",
        "{\"exp\":2000,\"x\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
        "{\"exp\":2000,\"x\":\"\\ud83d\\ude00\\uFFFD\"}",
        "{\"exp\":2000,\"x\":\"\\ud800\\udc00\\udbff\\udfff\\ud7ff\\ue000\"}",
        "{\"exp\":2000,\"x\":\"\xF0\x9F\x98\x80\"}",
        "{\"exp\":2000,\"\\ud83d\\ude00\":1}", "{\"exp\":2000,\"x\":\"\x7F\"}",
        "{\"exp\":2000,\"x\":\"a b\"}"};
    static const char *const bad[] = {
        "", " ", "1", "null", "\"exp\"", "[\"exp\",2000]", "{", "{\"", "{\"exp", "{\"exp\"",
        "{\"exp\":", "{\"exp\":2000", "{\"exp\":2000,", "{\"exp\":2000,}", "{,\"exp\":2000}",
        "{\"exp\":2000},", "{\"exp\":2000}x", "{\"exp\":2000}{}", "{\"exp\" 2000}",
        "{\"exp\":2000 \"x\":1}", "{exp:2000}", "{'exp':2000}", "{\"exp\":2000,\"x\"}",
        "{\"exp\":2000,:1}", "{:1,\"exp\":2000}",
        "{\"exp\":2000,1:1}", "{\"exp\":02000}", "{\"exp\":+2000}", "{\"exp\":2000.}",
        "{\"exp\":.5}", "{\"exp\":0x7d0}", "{\"exp\":2000,\"x\":-}", "{\"exp\":2000,\"x\":1e}",
        "{\"exp\":2000,\"x\":1e+}", "{\"exp\":2000,\"x\":NaN}", "{\"exp\":2000,\"x\":tru}",
        "{\"exp\":2000,\"x\":truex}", "{\"exp\":2000,\"x\":TRUE}", "{\"exp\":2000,\"x\":nulll}",
        "{\"exp\":2000,\"x\":[}", "{\"exp\":2000,\"x\":[1,]}", "{\"exp\":2000,\"x\":[,1]}",
        "{\"exp\":2000,\"x\":[1 2]}", "{\"exp\":2000,\"x\":[1}}", "{\"exp\":2000,\"x\":{]}",
        "{\"exp\":2000,\"x\":{\"a\"}}", "{\"exp\":2000,\"x\":{\"a\":}}", "{\"exp\":2000,\"x\":{1}}",
        "{\"exp\":2000,\"x\":{\"a\":1,}}", "{\"exp\":2000,\"x\":[[[[[[[[[]]]]]]]]]}", // 9 levels
        "{\"exp\":2000,\"x\":\"\n\"}", "{\"exp\":2000,\"x\":\"\t\"}",
        "{\"exp\":2000,\"x\":\"\x01\"}",
        "{\"exp\":2000,\"x\":\"\\x\"}", "{\"exp\":2000,\"x\":\"\\u12\"}",
        "{\"exp\":2000,\"x\":\"\\u12G4\"}", "{\"exp\":2000,\"x\":\"\\u0000\"}",
        "{\"exp\":2000,\"x\":\"\\ud83d\"}", "{\"exp\":2000,\"x\":\"\\ud83d\\u0041\"}",
        "{\"exp\":2000,\"x\":\"\\ud800\"}", "{\"exp\":2000,\"x\":\"\\udfff\"}",
        "{\"exp\":2000,\"x\":\"\\udc00\\udc00\"}", "{\"exp\":2000,\"x\":\"\\ud800\\udbff\"}",
        "{\"exp\":2000,\"x\":\"\\ud800\\ue000\"}",
        "{\"exp\":2000,\"x\":\"\\ude00\\ud83d\"}", "{\"exp\":2000,\"x\":\"\\ud83dx\"}",
        "{\"exp\":2000,\"x\":\"\x80\"}", "{\"exp\":2000,\"x\":\"\xC0\x80\"}",
        "{\"exp\":2000,\"x\":\"\xE2\x82\"}", "{\"exp\":2000,\"x\":\"\xE2\\u0041\"}",
        "{\"exp\":2000,\"x\":\"\xED\xA0\x80\"}", "{\"exp\":2000,\"x\":\"abc}",
        "{\"exp\":2000,\"x\":\"\\",
        "\xEF\xBB\xBF{\"exp\":2000}", "{\"exp\":2000,\"exp\xE2\":1}", "{\"exp\":2000}\f",
        "{\"exp\":2000,\"x\":/**/1}", "{\"exp\":2000\xC2\xA0}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        T_CHECK(verify(good[i]) == RTPUSH_OK, "%s: %d", good[i], verify(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        T_CHECK(verify(bad[i]) == RTPUSH_ERR_TOKEN, "%s: %d", bad[i], verify(bad[i]));
    }
}

// RFC 4648 5 without padding, and one text alone for the same bytes: also in the parts that are
// signed, where only a broken issuer writes it otherwise.
static void access_jwt_reads_base64url_strictly(U_STATE) {
    static const struct {
        const char *head; // header '.' payload
        int error;
    } table[] = {
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9", RTPUSH_OK},
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9IA", RTPUSH_OK},          // 1 byte more: a space
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9IB", RTPUSH_ERR_TOKEN},   // spare bits
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9IP", RTPUSH_ERR_TOKEN},
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9ICB", RTPUSH_ERR_TOKEN},
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9I", RTPUSH_ERR_TOKEN},    // half a byte
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9IA==", RTPUSH_ERR_TOKEN}, // padding
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9=", RTPUSH_ERR_TOKEN},
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9\n", RTPUSH_ERR_TOKEN},
        {"eyJhbGciOiJIUzI1NiJ9. eyJleHAiOjIwMDB9", RTPUSH_ERR_TOKEN},
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDAsIngiOiI/Pz8ifQ", RTPUSH_ERR_TOKEN}, // '/'
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDAsIngiOiI+Pz8ifQ", RTPUSH_ERR_TOKEN}, // '+'
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDAsIngiOiI_Pz8ifQ", RTPUSH_OK},
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9\xC3", RTPUSH_ERR_TOKEN},
        {"eyJhbGciOiJIUzI1NiJ9=.eyJleHAiOjIwMDB9", RTPUSH_ERR_TOKEN},
        {".eyJleHAiOjIwMDB9", RTPUSH_ERR_TOKEN},
        {"eyJhbGciOiJIUzI1NiJ9.", RTPUSH_ERR_TOKEN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        rtpush_jwt jwt = judge();
        t_buf token = {0};
        t_puts(&token, table[i].head);
        put_signature(&token, &key);
        int error = rtpush_jwt_verify(&jwt, t_text(&token));
        T_CHECK(error == table[i].error, "%s: %d", table[i].head, error);
        t_buf_free(&token);
    }
}

static void access_short_keys_are_refused(U_STATE) {
    rtpush_jwt jwt = judge();
    rtpush_key bad[2] = {{key_text, 31}, {NULL, 32}};
    char out[100];
    uint32_t number;
    for (int i = 0; i < 2; i++) {
        rtpush_tickets tickets = {bad[i], 1, 0, {0}};
        jwt.key = bad[i];
        T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"exp\":2000}")), RTPUSH_ERR_ARGUMENT);
        T_EQ(rtpush_sign(&bad[i], "p", "v", 2000, out, sizeof out), RTPUSH_ERR_ARGUMENT);
        T_EQ(rtpush_verify(&bad[i], "p", "x", 1, out, sizeof out, NULL), RTPUSH_ERR_ARGUMENT);
        T_EQ(rtpush_ticket_issue(&tickets, 1, 1, 2000, out), RTPUSH_ERR_ARGUMENT);
        T_EQ(rtpush_ticket_redeem(&tickets, "x", 1, &number, &number), RTPUSH_ERR_ARGUMENT);
    }
    jwt.key = key;
    jwt.claim_count = 17;
    rtpush_claim claims[17];
    memset(claims, 0, sizeof claims);
    jwt.claims = claims;
    T_EQ(rtpush_jwt_verify(&jwt, token_of(HS256, "{\"exp\":2000}")), RTPUSH_ERR_ARGUMENT);
}

static void access_bearer_finds_the_token(U_STATE) {
    static const struct {
        const char *field;
        const char *token;
    } table[] = {
        {NULL, NULL},           {"", NULL},           {"Bearer", NULL},      {"Bearer x", "x"},
        {"bearer x.y.z", "x.y.z"}, {"BEARER   x", "x"}, {"Bearerx", NULL},     {"Bearer\tx", NULL},
        {"Basic x", NULL},      {"Bear x", NULL},     {"Bearer ", ""},       {" Bearer x", NULL},
        {"Bearers x", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *token = rtpush_bearer(table[i].field);
        T_CHECK((token == NULL) == (table[i].token == NULL) &&
                    (!token || strcmp(token, table[i].token) == 0),
                "%s: %s", table[i].field ? table[i].field : "(none)", token ? token : "(none)");
    }
}

// -- Basic ----------------------------------------------------------------------------------------

// RFC 7617 2: its example; and empty, `Basic`, a prefix, bad base64.
static void access_basic_is_read_strictly(U_STATE) {
    static const struct {
        const char *field;
        const char *user; // NULL: refused
        const char *password;
    } table[] = {
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"},
        {"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"},
        {"Basic dGVzdDoxMjPCow==", "test", "123\xC2\xA3"}, // UTF-8
        {"Basic Og==", "", ""},
        {"Basic YTo=", "a", ""},
        {"Basic OmI=", "", "b"},
        {"Basic YTpiOmM=", "a", "b:c"}, // the first colon divides
        {"Basic YTo/Pz8=", "a", "???"}, // RFC 4648 4: all of the alphabet
        {"Basic YTo+Pj4=", "a", ">>>"},
        {NULL, NULL, NULL},
        {"", NULL, NULL},
        {"Basic", NULL, NULL},
        {"Basic ", NULL, NULL},
        {"BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL, NULL},
        {"Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL, NULL},
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=", NULL, NULL}, // padding cut
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", NULL, NULL},
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==", NULL, NULL}, // spare bits
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZ===", NULL, NULL},
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== ", NULL, NULL},
        {"Basic QWxhZGRpbjpv cGVuIHNlc2FtZQ==", NULL, NULL},
        {"Basic QWxhZGRpbg==", NULL, NULL}, // no colon
        {"Basic ====", NULL, NULL},
        {"Basic YTpi-_==", NULL, NULL}, // the other alphabet
        {"Basic YQA6Yg==", NULL, NULL}, // NUL in the name
        {"Basic YTpiAGM=", NULL, NULL}, // NUL in the password
        {"Basic YTpiCg==", NULL, NULL}, // line end
        {"Basic YTpifw==", NULL, NULL}, // DEL
        {"Basic YTpi\xFF\xFF\xFF\xFF", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char out[32];
        const char *password = "?";
        int n = rtpush_basic_decode(table[i].field, out, sizeof out, &password);
        const char *name = table[i].field ? table[i].field : "(none)";
        if (table[i].user) {
            T_CHECK(n == (int)strlen(table[i].user), "%s: %d", name, n);
            assert_string_equal(out, table[i].user);
            assert_string_equal(password, table[i].password);
        } else {
            T_CHECK(n == RTPUSH_ERR_TOKEN && password == NULL, "%s: %d", name, n);
        }
    }
}

static void access_basic_needs_room_for_all_of_it(U_STATE) {
    const char *password;
    for (size_t cap = 0; cap < 24; cap++) {
        char *out = (char *)malloc(cap + 1); // exact but for a byte that must stay
        out[cap] = '#';
        int n = rtpush_basic_decode("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", out, cap, &password);
        T_EQ(n, cap < 20 ? RTPUSH_ERR_TOO_BIG : 7);
        T_EQ(password == NULL, cap < 20); // never half of one
        T_EQ(out[cap], '#');
        free(out);
    }
}

// -- signed values --------------------------------------------------------------------------------

// The texts are what Python's hmac makes of the construction described in the code.
static void access_signed_value_is_what_others_compute(U_STATE) {
    char text[100];
    char ticket[RTPUSH_TICKET_SIZE];
    rtpush_tickets tickets = {key, 0x00C0FFEE, 0, {0}};
    T_EQ(rtpush_sign(&key, "session", "alice", 0x66000000, text, sizeof text),
         RTPUSH_SIGNED - 1 + 5);
    assert_string_equal(text, "66000000.alice.cgHa-p-UNKX9f3TcoM_2rntcg838vmJi9XipdFbvxnU");
    T_EQ(rtpush_ticket_issue(&tickets, 5, 42, 0x66000000, ticket), RTPUSH_OK);
    assert_string_equal(ticket, "0000000066000000000000050000002ai9lTPttO1ND_Vxk4aexRYQ");
}

static void access_signed_value_comes_back_until_it_expires(U_STATE) {
    char text[100];
    char value[20];
    uint32_t left = 0;
    int len = rtpush_sign(&key, "session", "alice", 2000, text, sizeof text);
    T_EQ(len, (int)strlen(text));
    T_EQ(rtpush_verify(&key, "session", text, 1990, value, sizeof value, &left), 5);
    assert_string_equal(value, "alice");
    T_EQ(left, 10);
    T_EQ(rtpush_verify(&key, "session", text, 1999, value, sizeof value, &left), 5);
    T_EQ(rtpush_verify(&key, "session", text, 2000, value, sizeof value, &left),
         RTPUSH_ERR_EXPIRED);
    T_EQ(rtpush_verify(&key, "session", text, 0xFFFFFFFFu, value, sizeof value, NULL),
         RTPUSH_ERR_EXPIRED);
    T_EQ(rtpush_verify(&key, "session", text, 1990, value, 6, NULL), 5);
    T_EQ(rtpush_verify(&key, "session", text, 1990, value, 5, NULL), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_verify(&key, "session", text, 1990, value, 0, NULL), RTPUSH_ERR_TOO_BIG);
    len = rtpush_sign(&key, "session", "", 2000, text, RTPUSH_SIGNED);
    T_EQ(len, RTPUSH_SIGNED - 1);
    T_EQ(rtpush_verify(&key, "session", text, 1990, value, sizeof value, NULL), 0);
}

// A cookie must not serve as a ticket, a password link not as a session.
static void access_signed_value_is_good_for_its_purpose_alone(U_STATE) {
    static const char *const purposes[] = {"session", "session2", "Session", "", "sessio",
                                           "rtpush.sign", "rtpush.ticket"};
    char text[100];
    char value[20];
    for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++) {
        T_CHECK(rtpush_sign(&key, purposes[i], "alice", 2000, text, sizeof text) > 0, "sign");
        for (size_t k = 0; k < sizeof purposes / sizeof purposes[0]; k++) {
            T_EQ(rtpush_verify(&key, purposes[k], text, 1990, value, sizeof value, NULL),
                 i == k ? 5 : RTPUSH_ERR_SIGNATURE);
        }
        T_EQ(rtpush_verify(&other_key, purposes[i], text, 1990, value, sizeof value, NULL),
             RTPUSH_ERR_SIGNATURE);
    }
    // Nor does the place where purpose and value meet move.
    char shifted[100];
    T_CHECK(rtpush_sign(&key, "a", "bvalue", 2000, text, sizeof text) > 0, "sign");
    snprintf(shifted, sizeof shifted, "000007d0.value%s", text + 15);
    T_EQ(rtpush_verify(&key, "ab", shifted, 1990, value, sizeof value, NULL),
         RTPUSH_ERR_SIGNATURE);
    // A token signed with the same key is no signed value, nor the other way round.
    rtpush_jwt jwt = judge();
    T_CHECK(rtpush_jwt_verify(&jwt, text) != RTPUSH_OK, "a signed value is taken for a token");
    T_CHECK(rtpush_verify(&key, "session", token_of(HS256, "{\"exp\":2000}"), 1990, value,
                          sizeof value, NULL) < 0, "a token is taken for a signed value");
}

static void access_signed_value_notices_every_changed_bit(U_STATE) {
    char text[100];
    char value[40];
    T_CHECK(rtpush_sign(&key, "session", "alice", 2000, text, sizeof text) > 0, "sign");
    for (size_t i = 0; text[i] != '\0'; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            T_CHECK(rtpush_verify(&key, "session", text, 1990, value, sizeof value, NULL) < 0,
                    "character %lu, bit %d", (unsigned long)i, bit);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    }
    for (size_t len = 0; len <= strlen(text); len++) { // prefixes, in exact memory
        char *part = (char *)malloc(len + 1);
        memcpy(part, text, len);
        part[len] = '\0';
        T_EQ(rtpush_verify(&key, "session", part, 1990, value, sizeof value, NULL) < 0,
             len < strlen(text));
        free(part);
    }
    T_EQ(rtpush_verify(&key, "session", NULL, 1990, value, sizeof value, NULL), RTPUSH_ERR_TOKEN);
    strcat(text, "x");
    T_CHECK(rtpush_verify(&key, "session", text, 1990, value, sizeof value, NULL) < 0, "longer");
}

// RFC 6265 4.1.1: a value that would need quoting, or could add an attribute, is refused.
static void access_cookie_values_are_clean(U_STATE) {
    static const char *const bad[] = {"a b", "a;b", "a,b", "a\"b", "a\\b", "a\tb", "a\r\nb", "\x7F",
                                      "\xC3\xA9", "a; Domain=evil.example"};
    char out[120];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        T_EQ(rtpush_sign(&key, "p", bad[i], 2000, out, sizeof out), RTPUSH_ERR_ARGUMENT);
        T_EQ(rtpush_cookie("sid", bad[i], 10, 0, out, sizeof out), RTPUSH_ERR_ARGUMENT);
        T_EQ(rtpush_cookie(bad[i], "v", 10, 0, out, sizeof out), RTPUSH_ERR_ARGUMENT);
    }
    T_EQ(rtpush_cookie("", "v", 10, 0, out, sizeof out), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_cookie("a=b", "v", 10, 0, out, sizeof out), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_cookie("sid", "abc", 3600, 0, out, sizeof out), 56);
    assert_string_equal(out, "sid=abc; Max-Age=3600; Path=/; HttpOnly; SameSite=Strict");
    rtpush_cookie("__Host-sid", "", 0, 1, out, sizeof out);
    assert_string_equal(out, "__Host-sid=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict; Secure");
    int len = (int)strlen(out);
    for (int cap = 0; cap <= len; cap++) {
        T_EQ(rtpush_cookie("__Host-sid", "", 0, 1, out, (size_t)cap), RTPUSH_ERR_TOO_BIG);
    }
    T_EQ(rtpush_cookie("__Host-sid", "", 0, 1, out, (size_t)len + 1), len);
    for (int cap = 0; cap < RTPUSH_SIGNED + 1; cap++) {
        T_EQ(rtpush_sign(&key, "p", "v", 2000, out, (size_t)cap), RTPUSH_ERR_TOO_BIG);
    }
    T_EQ(rtpush_sign(&key, "p", "v", 2000, out, RTPUSH_SIGNED + 1), RTPUSH_SIGNED);
}

// -- tickets --------------------------------------------------------------------------------------

static int redeem(rtpush_tickets *tickets, const char *text) {
    uint32_t topics = 77;
    uint32_t user = 77;
    int error = rtpush_ticket_redeem(tickets, text, 1000, &topics, &user);
    T_CHECK(error == RTPUSH_OK ? topics == 5 && user == 0xFFFFFFFFu : topics == 77 && user == 77,
            "topics %lx, user %lx", (unsigned long)topics, (unsigned long)user);
    return error;
}

static void access_ticket_holds_once(U_STATE) {
    char text[RTPUSH_TICKET_SIZE];
    rtpush_tickets tickets = {key, 7, 0, {0}};
    for (int i = 0; i < 1000; i++) {
        T_EQ(rtpush_ticket_issue(&tickets, 5, 0xFFFFFFFFu, 1010, text), RTPUSH_OK);
        T_EQ(strlen(text), RTPUSH_TICKET_SIZE - 1);
        T_EQ(redeem(&tickets, text), RTPUSH_OK);
        T_EQ(redeem(&tickets, text), RTPUSH_ERR_USED);
    }
    T_EQ(redeem(&tickets, text), RTPUSH_ERR_USED);
}

static void access_ticket_expires_and_is_not_used_up_by_that(U_STATE) {
    char text[RTPUSH_TICKET_SIZE];
    uint32_t number;
    rtpush_tickets tickets = {key, 7, 0, {0}};
    T_EQ(rtpush_ticket_issue(&tickets, 5, 0xFFFFFFFFu, 1001, text), RTPUSH_OK);
    T_EQ(rtpush_ticket_redeem(&tickets, text, 1001, &number, &number), RTPUSH_ERR_EXPIRED);
    T_EQ(redeem(&tickets, text), RTPUSH_OK);
}

// Who has the key may sign anything: what is no ticket is malformed all the same.
static void access_ticket_signed_but_malformed(U_STATE) {
    for (size_t at = 0; at < RTPI_TICKET_TEXT; at++) {
        char text[RTPUSH_TICKET_SIZE];
        uint8_t mac[32];
        t_buf end = {0};
        rtpush_tickets tickets = {key, 7, 0, {0}};
        T_EQ(rtpush_ticket_issue(&tickets, 5, 0xFFFFFFFFu, 1010, text), RTPUSH_OK);
        text[at] = 'g';
        rtpi_ticket_mac(&tickets, text, mac);
        put_base64url(&end, mac, RTPI_TICKET_MAC);
        memcpy(text + RTPI_TICKET_TEXT, end.data, end.len);
        T_EQ(redeem(&tickets, text), RTPUSH_ERR_TOKEN);
        t_buf_free(&end);
    }
}

// Another boot, another key, another server: none of their tickets is good here.
static void access_ticket_ends_with_the_boot(U_STATE) {
    char text[RTPUSH_TICKET_SIZE];
    rtpush_tickets first = {key, 7, 0, {0}};
    rtpush_tickets later = {key, 8, 0, {0}};
    rtpush_tickets foreign = {other_key, 7, 0, {0}};
    T_EQ(rtpush_ticket_issue(&first, 5, 0xFFFFFFFFu, 1010, text), RTPUSH_OK);
    T_EQ(rtpush_ticket_issue(&later, 5, 1, 1010, (char[RTPUSH_TICKET_SIZE]){0}), RTPUSH_OK);
    T_EQ(redeem(&later, text), RTPUSH_ERR_SIGNATURE);
    T_EQ(redeem(&foreign, text), RTPUSH_ERR_SIGNATURE);
    T_EQ(redeem(&first, text), RTPUSH_OK);
}

// The window: 256 may wait; one more makes the oldest void, and nothing else.
static void access_ticket_window_forgets_the_oldest(U_STATE) {
    static char text[RTPUSH_TICKET_WINDOW + 40][RTPUSH_TICKET_SIZE];
    for (uint32_t start = 0; start < 3; start++) {
        rtpush_tickets tickets = {key, 7, 0, {0}};
        tickets.next = start == 0 ? 0 : start == 1 ? 1000 : 0xFFFFFF80u; // also over the wrap
        for (unsigned i = 0; i < RTPUSH_TICKET_WINDOW + 40; i++) {
            T_EQ(rtpush_ticket_issue(&tickets, 5, 0xFFFFFFFFu, 1010, text[i]), RTPUSH_OK);
        }
        for (unsigned i = 0; i < RTPUSH_TICKET_WINDOW + 40; i++) {
            T_EQ(redeem(&tickets, text[i]), i < 40 ? RTPUSH_ERR_USED : RTPUSH_OK);
        }
        for (unsigned i = 0; i < RTPUSH_TICKET_WINDOW + 40; i++) {
            T_EQ(redeem(&tickets, text[i]), RTPUSH_ERR_USED);
        }
    }
}

static void access_ticket_notices_every_changed_bit(U_STATE) {
    char text[RTPUSH_TICKET_SIZE + 1];
    rtpush_tickets tickets = {key, 7, 0, {0}};
    T_EQ(rtpush_ticket_issue(&tickets, 5, 0xFFFFFFFFu, 1010, text), RTPUSH_OK);
    for (size_t i = 0; text[i] != '\0'; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            int error = redeem(&tickets, text);
            T_CHECK(error == RTPUSH_ERR_SIGNATURE || error == RTPUSH_ERR_TOKEN, "%d", error);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    }
    for (size_t len = 0; len < RTPUSH_TICKET_SIZE - 1; len++) {
        char *part = (char *)malloc(len + 1);
        memcpy(part, text, len);
        part[len] = '\0';
        T_EQ(redeem(&tickets, part), RTPUSH_ERR_TOKEN);
        free(part);
    }
    T_EQ(redeem(&tickets, NULL), RTPUSH_ERR_TOKEN);
    T_EQ(redeem(&tickets, text), RTPUSH_OK);
    strcat(text, "A");
    T_EQ(redeem(&tickets, text), RTPUSH_ERR_TOKEN);
}

// -- anything at all ------------------------------------------------------------------------------

static size_t mutate(t_rng *rng, uint8_t *text, size_t len, size_t cap) {
    for (uint32_t i = 1 + t_below(rng, 4); i > 0; i--) {
        size_t at = len ? t_below(rng, (uint32_t)len) : 0;
        switch (t_below(rng, 5)) {
        case 0:
            text[at] = (uint8_t)(1 + t_below(rng, 255));
            break;
        case 1:
            text[at] = (uint8_t)"\"{}[]:,\\u0123eE.-x"[t_below(rng, 18)];
            break;
        case 2:
            memmove(text + at, text + at + 1, len - at);
            len -= len > 1;
            break;
        case 3:
            len = at + 1;
            break;
        default:
            if (len + 16 < cap && len > at) {
                size_t n = len - at < 16 ? len - at : 16;
                memmove(text + at + n, text + at, len - at);
                len += n;
            }
            break;
        }
        text[len] = 0;
    }
    return len;
}

// What else an application can call is said in the words of rtpush_strerror.
static void access_errors_have_words_of_their_own(U_STATE) {
    for (int error = RTPUSH_ERR_USED; error <= RTPUSH_ERR_TOKEN; error++) {
        T_CHECK(rtpush_access_strerror(error)[0] != '\0', "no words for %d", error);
        T_CHECK(rtpush_strerror(error)[0] == '\0', "rtpush.h has words for %d too", error);
        for (int other = RTPUSH_ERR_USED; other < error; other++) {
            T_CHECK(strcmp(rtpush_access_strerror(error), rtpush_access_strerror(other)) != 0,
                    "%d and %d read alike", error, other);
        }
    }
    assert_string_equal(rtpush_access_strerror(RTPUSH_ERR_TOO_BIG),
                        rtpush_strerror(RTPUSH_ERR_TOO_BIG));
    assert_string_equal(rtpush_access_strerror(RTPUSH_OK), rtpush_strerror(RTPUSH_OK));
}

// What stands behind a signature is read whatever it is, in memory that ends with it.
static void access_mutated_input_breaks_nothing(U_STATE) {
    static const char *const payloads[] = {
        "{\"exp\":2000,\"sub\":\"al\\u00efce\\ud83d\\ude00\",\"aud\":[\"a\",\"dev\"],\"nbf\":1.5}",
        "{\"x\":{\"a\":[1,-2.5e3,{\"b\":null}],\"c\":[[],{}]},\"iss\":\"me\",\"exp\":2000,\"n\":7}",
        "{ \"sub\" : \"\\\"\\\\\\/\\b\" , \"exp\" : 99999999999 , \"t\" : true , \"f\" : false }"};
    static const char *const fields[] = {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Bearer a.b.c"};
    t_rng rng = t_seed(7);
    rtpush_tickets tickets = {key, 7, 0, {0}};
    unsigned accepted = 0;
    const int rounds = u_part() ? 13000 : 40000;
    for (int round = 0; round < rounds; round++) {
        uint8_t text[512];
        char sub[8];
        const char *password;
        uint32_t number;
        rtpush_claim claims[2] = {{"sub", sub, sizeof sub, 0, 0}, {"n", NULL, 0, 0, 0}};
        rtpush_jwt jwt = judge();
        t_buf token = {0};
        jwt.claims = claims;
        jwt.claim_count = 2;
        jwt.aud = round % 3 == 0 ? "dev" : NULL;
        size_t len = strlen(payloads[round % 3]);
        memcpy(text, payloads[round % 3], len + 1);
        len = mutate(&rng, text, len, sizeof text);
        t_puts(&token, "eyJhbGciOiJIUzI1NiJ9.");
        put_base64url(&token, text, len);
        if (round % 5 == 0) { // what is signed is not even base64url
            uint8_t coded[1024];
            memcpy(coded, token.data, token.len + 1);
            len = mutate(&rng, coded, token.len, sizeof coded);
            token.len = 0;
            t_put(&token, coded, len);
        }
        put_signature(&token, &key);
        int error = rtpush_jwt_verify(&jwt, t_text(&token));
        T_CHECK(error <= 0 && rtpush_access_strerror(error)[0] != '\0', "round %d: %d", round,
                error);
        T_CHECK(error == 0 || claims[0].kind == RTPUSH_CLAIM_ABSENT, "a refused token speaks");
        T_CHECK(memchr(sub, 0, sizeof sub) != NULL, "not terminated");
        accepted += error == 0;
        t_buf_free(&token);

        len = strlen(fields[round % 2]);
        memcpy(text, fields[round % 2], len + 1);
        len = mutate(&rng, text, len, sizeof text);
        char *exact = (char *)malloc(len + 1);
        memcpy(exact, text, len + 1);
        (void)rtpush_basic_decode(exact, sub, sizeof sub, &password);
        T_CHECK(rtpush_jwt_verify(&jwt, rtpush_bearer(exact)) < 0, "accepted %s", exact);
        T_CHECK(rtpush_verify(&key, "p", exact, 1, sub, sizeof sub, NULL) < 0, "accepted");
        T_CHECK(rtpush_ticket_redeem(&tickets, exact, 1, &number, &number) < 0, "accepted");
        free(exact);
    }
    T_CHECK(accepted > (unsigned)rounds / 80, "only %u were accepted: the test looks at nothing",
            accepted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(access_sha256_matches_the_vectors),
        u_test(access_sha256_is_right_at_every_length),
        u_test(access_hmac_matches_rfc_4231),
        u_test(access_hmac_is_right_for_every_key_length),
        u_test(access_equal_sees_every_difference),
        u_test(access_equal_text_wants_the_same_length),
        u_test(access_jwt_takes_the_example_of_rfc_7515),
        u_test(access_jwt_notices_every_changed_bit),
        u_test(access_jwt_refuses_what_is_not_signed),
        u_test(access_jwt_algorithm_is_fixed),
        u_test(access_jwt_judges_the_claims),
        u_test(access_jwt_asks_another_for_the_signature),
        u_test(access_jwt_gives_an_array_of_audiences_as_other),
        u_test(access_errors_have_words),
        u_test(access_without_a_clock_nothing_that_expires_is_accepted),
        u_test(access_jwt_gives_the_claims_asked_for),
        u_test(access_jwt_reads_json_strictly),
        u_test(access_jwt_reads_base64url_strictly),
        u_test(access_short_keys_are_refused),
        u_test(access_bearer_finds_the_token),
        u_test(access_basic_is_read_strictly),
        u_test(access_basic_needs_room_for_all_of_it),
        u_test(access_signed_value_is_what_others_compute),
        u_test(access_signed_value_comes_back_until_it_expires),
        u_test(access_signed_value_is_good_for_its_purpose_alone),
        u_test(access_signed_value_notices_every_changed_bit),
        u_test(access_cookie_values_are_clean),
        u_test(access_ticket_holds_once),
        u_test(access_ticket_signed_but_malformed),
        u_test(access_ticket_expires_and_is_not_used_up_by_that),
        u_test(access_ticket_ends_with_the_boot),
        u_test(access_ticket_window_forgets_the_oldest),
        u_test(access_ticket_notices_every_changed_bit),
        u_test(access_errors_have_words_of_their_own),
        u_test(access_mutated_input_breaks_nothing),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
