// What looks at every byte of a message, against the plainest form of it: random data at each
// offset and length around the steps, each place of the mask, and text that breaks anywhere.
// test_kernels_narrow.c is the same for processors where size counts.
#define U_INSIDE
#include "unit.h"

enum { ROOM = 400 };

static void random_bytes(t_rng *rng, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)t_rand(rng);
    }
}

// RFC 6455 5.3: octet i of the payload is XORed with octet i modulo 4 of the key.
static void unmask_is_the_plain_one(void **state) {
    (void)state;
    t_rng rng = t_seed(1);
    uint8_t in[ROOM], out[ROOM], mask[4];
    for (size_t offset = 0; offset < 17; offset++) {
        for (size_t len = 0; len <= 200; len++) {
            random_bytes(&rng, in, sizeof in);
            random_bytes(&rng, out, sizeof out);
            random_bytes(&rng, mask, sizeof mask);
            uint8_t before[ROOM];
            memcpy(before, out, sizeof out);
            uint32_t word;
            memcpy(&word, mask, 4);
            word = rtpi_unmask(out + offset, in + 3, len, word);
            for (size_t i = 0; i < ROOM; i++) {
                const int inside = i >= offset && i < offset + len;
                const uint8_t want = inside ? (uint8_t)(in[i - offset + 3] ^ mask[(i - offset) % 4])
                                            : before[i];
                T_CHECK(out[i] == want, "offset %lu, length %lu: byte %lu", (unsigned long)offset,
                        (unsigned long)len, (unsigned long)i);
            }
            uint8_t turned[4];
            memcpy(turned, &word, 4);
            for (size_t i = 0; i < 4; i++) {
                T_CHECK(turned[i] == mask[(len + i) % 4], "the mask behind %lu bytes",
                        (unsigned long)len);
            }
        }
    }
}

// In place, cut anywhere; and twice is as it came.
static void unmask_in_place_and_cut_is_the_same(void **state) {
    (void)state;
    t_rng rng = t_seed(2);
    uint8_t in[ROOM], whole[ROOM], cut[ROOM];
    for (int round = 0; round < 4000; round++) {
        const size_t len = t_below(&rng, ROOM);
        const size_t at = len ? t_below(&rng, (uint32_t)len) : 0;
        uint32_t mask = t_rand(&rng);
        random_bytes(&rng, in, sizeof in);
        memcpy(cut, in, sizeof in);
        (void)rtpi_unmask(whole, in, len, mask);
        const uint32_t turned = rtpi_unmask(cut, cut, at, mask);
        (void)rtpi_unmask(cut + at, cut + at, len - at, turned);
        T_CHECK(memcmp(whole, cut, len) == 0, "length %lu cut at %lu", (unsigned long)len,
                (unsigned long)at);
        (void)rtpi_unmask(cut, cut, len, mask);
        T_CHECK(memcmp(in, cut, sizeof in) == 0, "twice, length %lu", (unsigned long)len);
    }
}

// A byte at a time no step of several is taken.
static unsigned utf8_by_bytes(unsigned utf8, const uint8_t *text, size_t len) {
    for (size_t i = 0; i < len && utf8 != RTPUSH_UTF8_BAD; i++) {
        utf8 = rtpush_utf8(utf8, text + i, 1);
    }
    return utf8;
}

static size_t put_character(t_rng *rng, uint8_t *out, unsigned bytes) {
    static const uint32_t low[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint32_t high[] = {0, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
    uint32_t code = low[bytes] + t_below(rng, high[bytes] - low[bytes] + 1u);
    if (code >= 0xD800 && code < 0xE000) {
        code = 0x20AC;
    }
    if (bytes == 1) {
        out[0] = (uint8_t)code;
        return 1;
    }
    for (unsigned i = bytes; i-- > 1; code >>= 6) {
        out[i] = (uint8_t)(0x80 | (code & 63u));
    }
    out[0] = (uint8_t)((0xF00u >> bytes & 0xF0u) | code);
    return bytes;
}

// Runs of characters of one length each, as text is; then one byte of it is changed.
static void utf8_in_steps_is_that_by_bytes(void **state) {
    (void)state;
    t_rng rng = t_seed(3);
    uint8_t text[ROOM];
    for (int round = 0; round < 20000; round++) {
        size_t len = 0;
        while (len < ROOM - 8 && t_below(&rng, 40) > 0) {
            const unsigned bytes = 1 + t_below(&rng, 4);
            for (unsigned n = 1 + t_below(&rng, 40); n > 0 && len < ROOM - 8; n--) {
                len += put_character(&rng, text + len, bytes);
            }
        }
        T_EQ(rtpush_utf8(0, text, len), 0);
        T_EQ(t_utf8_valid(text, len), 1);
        if (len > 0) {
            const size_t at = t_below(&rng, (uint32_t)len);
            text[at] = (uint8_t)t_rand(&rng);
            len -= t_below(&rng, 4) < len ? t_below(&rng, 4) % len : 0;
        }
        T_CHECK(rtpush_utf8(0, text, len) == utf8_by_bytes(0, text, len), "round %d", round);
        T_CHECK((rtpush_utf8(0, text, len) == 0) == t_utf8_valid(text, len), "round %d", round);
        const size_t cut = len ? t_below(&rng, (uint32_t)len) : 0;
        T_EQ(rtpush_utf8(rtpush_utf8(0, text, cut), text + cut, len - cut),
             utf8_by_bytes(0, text, len));
    }
}

// Each pair of bytes at each place of a run of characters of two bytes, and of ASCII.
static void utf8_every_pair_in_a_run_is_judged(void **state) {
    (void)state;
    uint8_t text[2][72];
    for (size_t i = 0; i < sizeof text[0]; i++) {
        text[0][i] = i % 2 ? 0x80 : 0xD0;
        text[1][i] = 'a';
    }
    for (int run = 0; run < 2; run++) {
        for (size_t at = 0; at < 16; at++) {
            for (unsigned pair = 0; pair < 0x10000u; pair++) {
                uint8_t *p = text[run] + at;
                const uint8_t kept[2] = {p[0], p[1]};
                p[0] = (uint8_t)(pair >> 8);
                p[1] = (uint8_t)pair;
                T_CHECK(rtpush_utf8(0, text[run], 72) == utf8_by_bytes(0, text[run], 72),
                        "%04x at %lu", pair, (unsigned long)at);
                p[0] = kept[0];
                p[1] = kept[1];
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(unmask_is_the_plain_one),
        u_test(unmask_in_place_and_cut_is_the_same),
        u_test(utf8_in_steps_is_that_by_bytes),
        u_test(utf8_every_pair_in_a_run_is_judged),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
