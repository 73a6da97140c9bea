// ports/rtpush_json.h: numbers, strings of any bytes, memory that is too small, the log.
#include "unit.h"

#ifndef RTPUSH_JSON_IMPLEMENTATION // it is where tests/unit.sh makes one file of programs
#define RTPUSH_JSON_IMPLEMENTATION
#include "../../ports/rtpush_json.h"
#endif

// Prints into memory of exactly `size` bytes, so that a byte too far is found; NUL-terminated in
// `out`. Returns `over`.
static char out[512];
static int print(size_t size, const char *format, ...) {
    char *memory = (char *)malloc(size + 1);
    rtpush_text t = rtpush_json_begin(memory + 1, size);
    va_list args;
    va_start(args, format);
    rtpush_json_list(&t, format, args);
    va_end(args);
    T_CHECK(t.len <= size && size < sizeof out, "wrote %u of %u", (unsigned)t.len, (unsigned)size);
    memcpy(out, memory + 1, t.len);
    out[t.len] = '\0';
    free(memory);
    return t.over;
}

#define PRINTS(text, ...) \
    do { \
        T_EQ(print(300, __VA_ARGS__), 0); \
        assert_string_equal(out, text); \
    } while (0)

static void json_prints_numbers(void **state) {
    (void)state;
    PRINTS("0 4294967295", "%u %u", (uint32_t)0, UINT32_MAX);
    PRINTS("0 18446744073709551615", "%U %U", (uint64_t)0, UINT64_MAX);
    PRINTS("0 2147483647 -2147483648 -1", "%d %d %d %d", (int32_t)0, INT32_MAX, INT32_MIN,
           (int32_t)-1);
    PRINTS("0.0 -0.5 0.5 21.5 -21.5 100.0", "%1 %1 %1 %1 %1 %1", (int32_t)0, (int32_t)-5,
           (int32_t)5, (int32_t)215, (int32_t)-215, (int32_t)1000);
    PRINTS("7 0.07 0.007 0.000000007", "%0 %2 %3 %9", (int32_t)7, (int32_t)7, (int32_t)7,
           (int32_t)7);
    PRINTS("0.0007 0.00007 0.000007 0.0000007 0.00000007", "%4 %5 %6 %7 %8", (int32_t)7,
           (int32_t)7, (int32_t)7, (int32_t)7, (int32_t)7);
    PRINTS("-2.147483648 -214748364.8", "%9 %1", INT32_MIN, INT32_MIN);
    PRINTS("0000000a deadbeef", "%x %x", (uint32_t)10, (uint32_t)0xDEADBEEFu);
    PRINTS("true false 100% [] ", "%b %b 100%% [] %", 2, 0);

    char memory[16];
    rtpush_text t = rtpush_json_begin(memory, sizeof memory);
    rtpush_json_number(&t, 1, 4000000000u); // RFC 8259 6: at most 9 decimals here
    assert_memory_equal(memory, "0.000000001", 11);
    T_EQ(t.len, 11);
}

static void json_prints_strings_as_rfc_8259_says(void **state) {
    (void)state;
    PRINTS("\"\" null \"plain /<>&'\"", "%q %q %q", "", (const char *)NULL, "plain /<>&'");
    PRINTS("plain \"\\", "%s", "plain \"\\"); // as it is
    // RFC 8259 7: quotation mark, reverse solidus, controls; U+007F and more need none.
    PRINTS("\"\\\"\\\\\\b\\f\\n\\r\\t\"", "%q", "\"\\\b\f\n\r\t");
    PRINTS("\"\\u0001\\u000b\\u001f\x7F\"", "%q", "\x01\x0B\x1F\x7F");
    PRINTS("\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\"", "%q",
           "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
    rtpush_text t = rtpush_json_begin(out, sizeof out);
    rtpush_json_string(&t, "a\0b", 3);
    assert_memory_equal(out, "\"a\\u0000b\"", 10);
    T_EQ(t.len, 10);
}

#define SUB "\xEF\xBF\xBD" // U+FFFD, the replacement

static void json_replaces_what_is_not_utf8(void **state) {
    (void)state;
    static const char *const table[][2] = {
        {"\x80", SUB},
        {"\xFF", SUB},
        {"\xC3", SUB},
        {"\xC3(", SUB "("},
        {"a\xE2\x82", "a" SUB SUB},
        {"\xC0\xAF", SUB SUB},                 // overlong
        {"\xED\xA0\x80", SUB SUB SUB},         // a surrogate
        {"\xF4\x90\x80\x80", SUB SUB SUB SUB}, // beyond U+10FFFF
        {"\xF0\x9F\x98", SUB SUB SUB},         // cut
        {"\xC3\xA9\xA9", "\xC3\xA9" SUB},      // one byte more
        {"\xE2\x82\xAC\x80\"", "\xE2\x82\xAC" SUB "\\\""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char want[64];
        snprintf(want, sizeof want, "\"%s\"", table[i][1]);
        PRINTS(want, "%q", table[i][0]);
    }
}

// Reads a string of JSON by the grammar of RFC 8259 7; 0 if it is none.
static int is_json_string(const char *at, size_t len) {
    const char *end = at + len;
    if (len < 2 || *at++ != '"' || *--end != '"' || rtpush_utf8(0, at, (size_t)(end - at)) != 0) {
        return 0;
    }
    while (at < end) {
        if ((uint8_t)*at < 0x20 || *at == '"') {
            return 0;
        }
        if (*at == '\\' && at[1] == 'u') {
            if (end - at < 6 || strspn(at + 2, "0123456789abcdef") < 4) {
                return 0;
            }
            at += 6;
        } else if (*at == '\\') {
            if (end - at < 2 || !strchr("\"\\bfnrt", at[1])) {
                return 0;
            }
            at += 2;
        } else {
            at++;
        }
    }
    return 1;
}

static void json_of_any_bytes_is_json(void **state) {
    (void)state;
    t_rng rng = t_seed(7);
    static const char often[] = "\"\\\n\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xED\xA0\xF4\x90";
    for (int round = 0; round < 20000; round++) {
        size_t len = t_below(&rng, 24);
        uint8_t *bytes = (uint8_t *)malloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(t_below(&rng, 2) ? often[t_below(&rng, sizeof often - 1)]
                                                  : (char)t_below(&rng, 256));
        }
        rtpush_text t = rtpush_json_begin(out, sizeof out - 1);
        rtpush_json_string(&t, bytes, len);
        out[t.len] = '\0';
        T_CHECK(!t.over && is_json_string(out, t.len), "no string: %s", out);
        if (rtpush_utf8(0, bytes, len) == 0) {
            T_CHECK(strstr(out, SUB) == NULL, "replaced what is right");
        }
        free(bytes);
    }
}

static void json_that_does_not_fit_is_a_prefix_and_says_so(void **state) {
    (void)state;
    char whole[64];
    PRINTS("[\"a\\u0001\xC3\xA9\",-12.5,true,18446744073709551615]", "[%q,%1,%b,%U]",
           "a\x01\xC3\xA9", (int32_t)-125, 1, UINT64_MAX);
    size_t len = strlen(out);
    memcpy(whole, out, len);
    for (size_t size = 0; size <= len; size++) {
        T_EQ(print(size, "[%q,%1,%b,%U]", "a\x01\xC3\xA9", (int32_t)-125, 1, UINT64_MAX),
             size < len);
        T_EQ(strlen(out), size);
        assert_memory_equal(out, whole, size);
    }
    // What was over stays so, though there is room.
    char memory[8];
    rtpush_text t = rtpush_json_begin(memory, sizeof memory);
    rtpush_text_put(&t, "123456789", 9);
    rtpush_json(&t, "1");
    T_EQ(t.over, 1);
    T_EQ(t.len, 0);
}

static void json_goes_straight_into_the_log(void **state) {
    (void)state;
    t_world *w = t_fixture();
    t_start(w);
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(rtpush_json_event(&w->srv, 0, 16, "[%u,%q]", (uint32_t)1, "a"), RTPUSH_OK);
    T_EQ(rtpush_json_event(&w->srv, 0, 4, "[%u,%q]", (uint32_t)2, "b"), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_json_event(&w->srv, 0, 1000000, "[]"), RTPUSH_ERR_FULL);
    rtpush_text t = rtpush_json_reserve(&w->srv, 0, 16);
    rtpush_json(&t, "[");
    rtpush_json(&t, "%u]", (uint32_t)3);
    T_EQ(rtpush_json_commit(&w->srv, &t), RTPUSH_OK);
    t_run(w);
    (void)u_read(p);
    T_CHECK(strstr(t_text(&p->seen), "[1,\"a\"]") && strstr(t_text(&p->seen), "[3]"), "seen: %s",
            t_text(&p->seen));
    T_CHECK(!strstr(t_text(&p->seen), "[2"), "half of an event: %s", t_text(&p->seen));
    u_free(p);
    t_finish(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(json_prints_numbers),
        u_test(json_prints_strings_as_rfc_8259_says),
        u_test(json_replaces_what_is_not_utf8),
        u_test(json_of_any_bytes_is_json),
        u_test(json_that_does_not_fit_is_a_prefix_and_says_so),
        u_test(json_goes_straight_into_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
