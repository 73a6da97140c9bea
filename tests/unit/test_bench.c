// tests/bench/frames.h: what keeps a connection alive is taken out of a server's bytes wherever
// they are cut, and nothing else is.
#include "unit.h"

#include "../bench/frames.h"

// Runs `in` through the filter in two parts. Returns the length left in `out`, or -1.
static int filtered(alive_filter *f, const char *in, size_t len, size_t cut, uint8_t *out) {
    uint8_t second[256];
    memcpy(out, in, cut);
    memcpy(second, in + cut, len - cut);
    const int a = alive_take_out(f, out, cut);
    const int b = a < 0 ? -1 : alive_take_out(f, second, len - cut);
    if (b > 0) {
        memcpy(out + a, second, (size_t)b);
    }
    return b < 0 ? -1 : a + b;
}

static void cuts_give(int sse, const char *in, size_t len, const char *left, size_t left_len) {
    for (size_t cut = 0; cut <= len; cut++) {
        uint8_t out[256];
        alive_filter f = {.sse = sse};
        const int n = filtered(&f, in, len, cut, out);
        assert_int_equal(n, left_len);
        assert_memory_equal(out, left, left_len);
    }
}

// RFC 6455 5.5.3: the answer to a ping has its payload.
static void bench_takes_pings_out_at_every_cut(void **state) {
    static const char in[] = "\x81\x02hi\x89\x04ping\x01\x01x\x8A\x01y\x80\x00\x89\x00";
    static const char left[] = "\x81\x02hi\x01\x01x\x80\x00";
    (void)state;
    cuts_give(0, in, sizeof(in) - 1, left, sizeof(left) - 1);
    alive_filter f = {.sse = 0};
    uint8_t out[256];
    assert_int_equal(filtered(&f, in, 10, 0, out), 4);
    assert_true(f.pong_due && f.ping_len == 4 && memcmp(f.ping, "ping", 4) == 0);
}

static void bench_keeps_long_frames_and_notices_a_close(void **state) {
    char in[4 + 126 + 4] = "\x82\x7E\x00\x7E";
    uint8_t out[256];
    (void)state;
    memset(in + 4, 0x88, 126);
    memcpy(in + 130, "\x88\x02\x03\xE8", 4);
    cuts_give(0, in, 130, in, 130);
    for (size_t cut = 0; cut <= sizeof(in); cut++) {
        alive_filter f = {.sse = 0};
        assert_int_equal(filtered(&f, in, sizeof(in), cut, out), -1);
    }
}

static void bench_takes_keepalives_out_of_streams_at_every_cut(void **state) {
    static const char in[] = ": hi\n\nid: 1\nevent: a\ndata: e:\n\nevent:rtpush\ndata\n\n"
                             "event:rtpush\ndata\n\nid: 2\ndata: :\n\n:\n\n";
    static const char left[] = "id: 1\nevent: a\ndata: e:\n\nid: 2\ndata: :\n\n";
    (void)state;
    cuts_give(1, in, sizeof(in) - 1, left, sizeof(left) - 1);
}

static void bench_refuses_a_notice_of_lost_events(void **state) {
    static const char in[] = "event:rtpush\ndata:gap 3\n\n";
    uint8_t out[256];
    (void)state;
    for (size_t cut = 0; cut < sizeof(in); cut++) {
        alive_filter f = {.sse = 1};
        assert_int_equal(filtered(&f, in, sizeof(in) - 1, cut, out), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bench_takes_pings_out_at_every_cut),
        cmocka_unit_test(bench_keeps_long_frames_and_notices_a_close),
        cmocka_unit_test(bench_takes_keepalives_out_of_streams_at_every_cut),
        cmocka_unit_test(bench_refuses_a_notice_of_lost_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
