// WebSocket (RFC 6455) beyond the transcripts: long messages, back-pressure, closing, liveness.
#define U_INSIDE
#include "unit.h"

// -- messages -------------------------------------------------------------------------------------

// RFC 6455 5.2: every length around the places where the header changes, and around the buffer.
static void ws_echoes_every_length_it_can_hold(U_STATE) {
    static char text[400];
    memset(text, 'e', sizeof text);
    t_world *w = t_fixture();
    w->desc.rate_messages = RTPUSH_UNLIMITED;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    w->quiet = 1;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    for (size_t len = 0; len <= 387; len++) {
        t_send_frame(p->c, 0x82, text, len);
        u_read(p);
        T_EQ(p->seen.len, len + 3);
        u_clear(p);
    }
    T_EQ(rtpush_get_counters(&w->srv)->messages_in, 388);
    T_EQ(rtpush_get_counters(&w->srv)->messages_out, 388);
}

static void ws_length_64_form_is_read(U_STATE) {
    static char text[70000];
    memset(text, 'L', sizeof text);
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /stream}");
    t_send_frame(p->c, 0x81, text, 65535);
    t_send_frame(p->c, 0x81, text, 65536);
    t_send_frame(p->c, 0x81, text, 70000);
    t_advance(w, 3000);
    t_expect_events(w, "message 1 65535 |message 1 65536 |message 1 70000 ");
}

static size_t g_streamed;
static uint32_t g_sum;
static int g_firsts;
static int g_lasts;
static int count_pieces(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)srv;
    (void)conn;
    for (size_t i = 0; i < msg->len; i++) {
        g_sum = g_sum * 31 + msg->data[i];
    }
    T_CHECK(msg->len > 0 || msg->last || msg->first, "an empty piece");
    g_streamed += msg->len;
    g_firsts += msg->first;
    g_lasts += msg->last;
    return RTPUSH_OK;
}

static void ws_message_of_16_mebibytes_streams_through(U_STATE) {
    enum { SIZE = 16 << 20, BLOCK = 8192 };
    static uint8_t block[BLOCK];
    t_world *w = t_fixture();
    t_routes[T_R_STREAM].on_message = count_pieces;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    w->desc.rx_size = 256;
    w->desc.tx_size = 256;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /stream}");
    g_streamed = 0;
    g_sum = 0;
    g_firsts = g_lasts = 0;
    t_says(p->c, "\x82\xFF");
    static const uint8_t rest[12] = {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}; // 2^24, mask 0
    t_feed(p->c, rest, sizeof rest);
    uint32_t sum = 0;
    for (size_t sent = 0; sent < SIZE; sent += BLOCK) {
        for (size_t i = 0; i < BLOCK; i++) {
            block[i] = (uint8_t)(sent / 7 + i * 13);
            sum = sum * 31 + block[i];
        }
        t_feed(p->c, block, BLOCK);
        T_EQ(p->c->in.len, 0);
    }
    T_EQ(g_streamed, SIZE);
    T_EQ(g_sum, sum);
    T_EQ(g_firsts, 1);
    T_EQ(g_lasts, 1);
}

static void ws_streamed_message_respects_max_message(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_STREAM].max_message = 1000;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /stream}");
    t_say(p->c, "{82*1000}{02*500}{80*500}");
    t_expect_events(w, "message 2 1000 |message 2 1000 ");
    t_say(p->c, "{02*500}{80*501}");
    u_expect(p, "8 1009");
    t_expect_events(w, "!message|close WS_TOO_BIG");
}

static void ws_smaller_max_message_is_kept(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_WS].max_message = 10;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    t_say(p->c, "{82*10}");
    u_is(p, "2 xxxxxxxxxx\n");
    t_say(p->c, "{82*11}");
    u_expect(p, "8 1009");
}

static void ws_ten_thousand_empty_continuations_are_one_message(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_messages = RTPUSH_UNLIMITED;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    t_say(p->c, "{01:a}");
    for (int i = 0; i < 10000; i++) {
        t_say(p->c, "{00:}");
    }
    t_say(p->c, "{80:z}");
    u_is(p, "1 az\n");
}

static void ws_message_left_for_later_comes_again(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    t_app_of(w)->later = 4;
    t_say(p->c, "{81:one}{89:p}{81:two}");
    t_advance(w, 4000);
    u_is(p, "1 one\n10 p\n1 two\n");
    t_app_of(w)->later = T_FOREVER;
    t_say(p->c, "{81:three}");
    t_advance(w, 1000);
    u_is(p, "");
    t_app_of(w)->later = 0;
    w->call = T_IN_API;
    T_EQ(rtpush_retry(&w->srv, p->c->handle), RTPUSH_OK);
    t_leave(w);
    t_run_ready(w);
    u_is(p, "1 three\n");
}

// A pong deadline is suspended while we ourselves refuse input.
static void ws_refusing_input_is_not_the_peers_silence(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    t_app_of(w)->later = T_FOREVER;
    t_say(p->c, "{81:one}");
    for (int i = 0; i < 100; i++) {
        t_advance(w, 1000);
        u_read(p);
        t_feed_only(p->c, "", 0);
        if (strstr(t_text(&p->seen), "9 ") != NULL) { // the pong stands behind the message
            p->seen.len = 0;
            t_say(p->c, "{8a:}");
        }
    }
    T_CHECK(!t_ended(p->c), "closed though the application refuses the input");
    t_app_of(w)->later = 0;
    t_advance(w, 1000);
    u_expect(p, "1 one");
}

// -- frames in the input --------------------------------------------------------------------------

// What RFC 6455 5.2, 5.4 and 5.5 say of a whole header.
static unsigned header_model(const uint8_t *b, unsigned open, uint64_t *len) {
    const unsigned opcode = b[0] & 15u;
    const int size = (b[1] & 127) < 126 ? 0 : (b[1] & 127) == 126 ? 2 : 8;
    *len = b[1] & 127u;
    if (size > 0) {
        *len = 0;
        for (int i = 0; i < size; i++) {
            *len = *len << 8 | b[2 + i];
        }
    }
    if ((b[0] & 0x70) != 0 || !(b[1] & 0x80) || (opcode > 2 && opcode < 8) || opcode > 10 ||
        (opcode >= 8 && (size > 0 || !(b[0] & 0x80))) || (opcode == 0 && !open) ||
        ((opcode == 1 || opcode == 2) && open) || *len >> 63 || (size == 2 && *len < 126) ||
        (size == 8 && *len < 65536)) {
        return 1002;
    }
    return *len >> 32 ? 1009 : (unsigned)size + 6u;
}

static void ws_header_is_what_the_standard_says_at_each_length(void **state) {
    (void)state;
    t_rng rng = t_seed(7);
    for (int round = 0; round < 400000; round++) {
        uint8_t b[14];
        const unsigned open = t_below(&rng, 3);
        for (size_t i = 0; i < sizeof b; i++) {
            b[i] = t_below(&rng, 3) ? (uint8_t)t_rand(&rng) : 0;
        }
        b[0] = (uint8_t)round; // every pair of bytes at least once
        b[1] = (uint8_t)(round / 256);
        if (t_below(&rng, 2)) { // a length that 64 bits announce and 32 hold
            memset(b + 2, 0, 4);
        }
        uint64_t len;
        const unsigned want = header_model(b, open, &len);
        unsigned seen = 0;
        for (size_t have = 1; have <= sizeof b; have++) {
            uint32_t left = 0;
            void *release;
            const unsigned now = rtpi_ws_header(t_flush_end(b, have, &release), have, open, &left);
            free(release);
            T_CHECK(seen == 0 || now == seen, "%u after %u", now, seen);
            T_CHECK(now == 0 || now == want, "%u of %lu bytes, should be %u", now,
                    (unsigned long)have, want);
            T_CHECK(now == 0 || now > 14 || (now == have && left == len) || seen,
                    "a header of %u bytes shows at %lu", now, (unsigned long)have);
            seen = now;
        }
        T_EQ(seen, want);
    }
}

// A fault is told at the byte where it shows: what comes behind it cannot make it good.
static void ws_header_fault_shows_at_its_byte(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t len; // at which it shows
        unsigned code;
    } faults[] = {
        {"\xC1", 1, 1002},         {"\x83", 1, 1002},         {"\x09", 1, 1002},
        {"\x80", 1, 1002},         {"\x81\x05", 2, 1002},     {"\x89\xFE", 2, 1002},
        {"\x81\xFE\0\x7D", 4, 1002}, {"\x81\xFF\x80", 3, 1002}, {"\x81\xFF\x01", 3, 1009},
        {"\x81\xFF\0\0\0\x01", 6, 1009}, {"\x81\xFF\0\0\0\0\0\0\xFF\xFF", 10, 1002},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        uint32_t left;
        for (size_t have = 1; have <= faults[i].len; have++) {
            const unsigned code =
                rtpi_ws_header((const uint8_t *)faults[i].bytes, have, 0, &left);
            T_CHECK(code == (have < faults[i].len ? 0 : faults[i].code), "fault %lu: %u at %lu",
                    (unsigned long)i, code, (unsigned long)have);
        }
    }
}

// Where what on_message was given last stands: in the input, or in the connection's rx bytes.
typedef struct seen_piece {
    const uint8_t *data;
    size_t len;
    int first, last;
    int answers; // RTPUSH_RETRY so many times
    uint32_t sum; // of all that was taken
    size_t total;
    int pieces;
    int in_rx;
} seen_piece;

static seen_piece g_piece;

static int see_piece(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    const rtpush_conn *c = rtpi_resolve(srv, conn);
    g_piece.data = msg->data;
    g_piece.len = msg->len;
    g_piece.in_rx = msg->data == rtpi_rx(c);
    T_EQ(msg->first, g_piece.total == 0);
    if (g_piece.answers > 0) {
        g_piece.answers--;
        return RTPUSH_RETRY;
    }
    for (size_t i = 0; i < msg->len; i++) {
        g_piece.sum = g_piece.sum * 31 + msg->data[i];
    }
    g_piece.total = msg->last ? 0 : g_piece.total + msg->len;
    g_piece.pieces++;
    return RTPUSH_OK;
}

static u_peer *u_pieces(t_world **w, int index, uint16_t piece, int input_const) {
    *w = t_fixture();
    t_routes[index].on_message = see_piece;
    t_routes[index].piece = piece;
    (*w)->desc.rate_bytes = (*w)->desc.rate_messages = RTPUSH_UNLIMITED;
    (*w)->input_const = input_const;
    t_start(*w);
    memset(&g_piece, 0, sizeof g_piece);
    return u_stream(*w, index == T_R_WS ? "{WS /ws}" : "{WS /stream}");
}

static uint32_t sum_of(const uint8_t *data, size_t len) {
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum = sum * 31 + data[i];
    }
    return sum;
}

// A whole frame is handed over from the input, unless that may not be written to; what follows it
// and what is cut is gathered in rx.
static void ws_whole_frame_is_given_from_where_it_stands(void **state) {
    (void)state;
    for (int input_const = 0; input_const < 2; input_const++) {
        t_world *w;
        u_peer *p = u_pieces(&w, T_R_WS, 0, input_const);
        for (int len = 0; len <= 387; len++) {
            char text[20];
            snprintf(text, sizeof text, "{81*%d}", len);
            t_say(p->c, text);
            T_EQ(g_piece.len, len);
            T_EQ(g_piece.in_rx, input_const);
        }
        t_say(p->c, "{01:a}{80:bc}"); // in rx, where the first fragment waits
        T_EQ(g_piece.len, 3);
        T_EQ(g_piece.in_rx, 1);
        w->in_mode = T_BYTES;
        t_say(p->c, "{81:bytes}");
        T_EQ(g_piece.len, 5);
        T_EQ(g_piece.in_rx, 1);
        T_EQ(g_piece.pieces, 390);
        u_free(p);
        t_finish(w);
    }
}

// Not taken: it moves to rx, its input is taken, and what was behind it comes after it.
static void ws_whole_frame_left_for_later_waits_in_rx(void **state) {
    (void)state;
    static uint8_t text[387];
    t_rng rng = t_seed(4);
    for (size_t len = 0; len <= sizeof text; len += 43) {
        t_world *w;
        u_peer *p = u_pieces(&w, T_R_WS, 0, 0);
        for (size_t i = 0; i < len; i++) {
            text[i] = (uint8_t)t_rand(&rng);
        }
        g_piece.answers = 3;
        t_send_frame(p->c, 0x82, text, len);
        T_EQ(g_piece.pieces, 0);
        T_EQ(p->c->in.len, 0);
        t_advance(w, 1000);
        T_EQ(g_piece.pieces, 1);
        T_EQ(g_piece.in_rx, 1);
        T_EQ(g_piece.sum, sum_of(text, len));
        u_free(p);
        t_finish(w);
    }
}

// A piece larger than rx comes from the input; left for later it stays there, as it came (t_offer
// compares), and costs tokens once.
static void ws_large_piece_is_given_whole_and_left_as_it_came(void **state) {
    (void)state;
    static uint8_t text[9000];
    t_rng rng = t_seed(5);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)('a' + t_below(&rng, 26));
    }
    for (int later = 0; later < 4; later++) {
        t_world *w;
        u_peer *p = u_pieces(&w, T_R_STREAM, 4000, 0);
        g_piece.answers = later;
        t_send_frame(p->c, 0x81, text, 3999);
        T_EQ(p->c->in.len, later ? 3999 : 0);
        T_EQ(g_piece.in_rx, 0);
        t_advance(w, 1500);
        T_EQ(g_piece.pieces, 1);
        T_EQ(g_piece.len, 3999);
        T_EQ(g_piece.sum, sum_of(text, 3999));
        g_piece.sum = 0;
        g_piece.answers = later;
        t_send_frame(p->c, 0x81, text, 9000);
        t_advance(w, 1500);
        T_EQ(g_piece.pieces, 1 + 3);
        T_EQ(g_piece.len, 1000);
        T_EQ(g_piece.sum, sum_of(text, 9000));
        w->in_mode = T_BYTES; // nothing whole to hand over: as much as rx holds
        g_piece.sum = 0;
        t_send_frame(p->c, 0x81, text, 1000);
        T_EQ(g_piece.pieces, 4 + 3);
        T_EQ(g_piece.sum, sum_of(text, 1000));
        u_free(p);
        t_finish(w);
    }
}

// Without STREAM_MESSAGES a message is one piece, however its fragments fill rx.
static void ws_fragments_that_fill_rx_are_one_message(void **state) {
    (void)state;
    for (int input_const = 0; input_const < 2; input_const++) {
        t_world *w;
        u_peer *p = u_pieces(&w, T_R_WS, 0, input_const);
        t_say(p->c, "{02*387}{00:}{80:}");
        T_EQ(g_piece.pieces, 1);
        T_EQ(g_piece.len, 387);
        t_say(p->c, "{02*387}{00:x}");
        u_expect(p, "8 1009");
        u_free(p);
        t_finish(w);
    }
}

// Tokens do not depend on how the input is cut, nor on the way a message takes.
static void ws_tokens_are_the_same_however_a_message_is_cut(void **state) {
    (void)state;
    static uint8_t text[5000];
    static const uint16_t pieces[] = {0, 3000};
    for (size_t len = 0; len < sizeof text; len += len < 200 ? 1 : 977) {
        for (int way = 0; way < 16; way++) {
            t_world *w = t_fixture();
            t_routes[T_R_STREAM].on_message = see_piece;
            t_routes[T_R_STREAM].piece = pieces[way & 1];
            w->input_const = way >> 1 & 1;
            t_start(w);
            memset(&g_piece, 0, sizeof g_piece);
            u_peer *p = u_stream(w, "{WS /stream}");
            const uint16_t tokens = p->c->conn->tokens;
            const uint16_t byte_tokens = p->c->conn->byte_tokens;
            w->in_mode = way >> 2 & 1 ? T_BYTES : T_WHOLE;
            g_piece.answers = way >> 3;
            t_send_frame(p->c, 0x82, text, len);
            if (p->c->in.len > 0 || p->c->conn->rx_used > 0) {
                w->call = T_IN_API;
                T_EQ(rtpush_retry(&w->srv, p->c->handle), RTPUSH_OK);
                t_leave(w);
                t_run_ready(w);
            }
            T_CHECK(p->c->conn->tokens == tokens - 1, "a frame costs one token");
            T_CHECK(p->c->conn->byte_tokens == byte_tokens - (len + 63) / 64,
                    "%lu bytes, way %d: %d of %d", (unsigned long)len, way,
                    byte_tokens - p->c->conn->byte_tokens, (int)(len + 63) / 64);
            u_free(p);
            t_finish(w);
        }
    }
}

// -- UTF-8 (RFC 3629, RFC 6455 8.1) ---------------------------------------------------------------

// Every sequence of one, two and three bytes, and the edges of four, against the plain validator.
static void ws_text_is_checked_like_the_plain_validator(U_STATE) {
    static const uint8_t edge[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2,
                                   0xDF, 0xE0, 0xED, 0xEE, 0xEF, 0xF0, 0xF3, 0xF4, 0xF5, 0xFF};
    enum { N = sizeof edge };
    t_world *w = NULL;
    u_peer *p = NULL;
    for (uint32_t i = 0; i < N * N * N * N; i++) {
        uint8_t text[4] = {edge[i % N], edge[i / N % N], edge[i / N / N % N], edge[i / N / N / N]};
        if (text[3] != 0x41 && i % 7 != 0 && text[0] < 0xF0) {
            continue; // four bytes matter behind F0 to F4; the rest is sampled
        }
        if (w == NULL) {
            w = t_fixture();
            w->desc.rate_messages = RTPUSH_UNLIMITED;
            w->desc.rate_bytes = RTPUSH_UNLIMITED;
            w->quiet = 1;
            t_start(w);
            p = u_stream(w, "{WS /ws}");
        }
        int valid = t_utf8_valid(text, 4);
        if (!valid && u_part() && i % 3 != 0) {
            continue; // each of these needs a server of its own
        }
        t_send_frame(p->c, 0x81, text, 4);
        T_CHECK(valid == !t_ended(p->c), "%02x %02x %02x %02x: valid is %d", text[0], text[1],
                text[2], text[3], valid);
        if (valid) {
            u_clear(p);
        } else {
            u_expect(p, "8 1007");
            u_free(p);
            t_finish(w);
            w = NULL;
        }
    }
    if (w != NULL) {
        u_free(p);
        t_finish(w);
    }
}

static void ws_text_is_checked_over_every_split_into_fragments(U_STATE) {
    static const char good[] = "\x24\xC2\xA2\xE0\xA4\xB9\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x8D\x88"
                               "\xF4\x8F\xBF\xBF";
    size_t len = sizeof good - 1;
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            t_world *w = t_begin();
            u_peer *p = u_stream(w, "{WS /ws}");
            t_send_frame(p->c, 0x01, good, a);
            t_send_frame(p->c, 0x00, good + a, b - a);
            t_send_frame(p->c, 0x80, good + b, len - b);
            u_read(p);
            T_CHECK(p->seen.len == len + 3, "split at %lu and %lu", (unsigned long)a,
                    (unsigned long)b);
            u_free(p);
            t_finish(w);
        }
    }
}

// -- control frames and back-pressure -------------------------------------------------------------

// Pongs are not lost when tx is full; reading stops instead.
static void ws_pongs_survive_back_pressure(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_messages = RTPUSH_UNLIMITED;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    char want[8000] = "";
    for (int i = 0; i < 100; i++) {
        char text[80];
        snprintf(text, sizeof text, "{89:ping number %d}", i);
        t_say(p->c, text);
        snprintf(text, sizeof text, "10 ping number %d\n", i);
        strcat(want, text);
    }
    T_CHECK(p->c->in.len > 0, "a hundred pongs do not fit 512 bytes: reading must stop");
    u_is(p, "");
    for (int i = 0; i < 400; i++) {
        p->c->window = 9;
        t_serve(p->c);
        t_run_ready(w);
    }
    u_is(p, want);
}

static void ws_echo_survives_back_pressure(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_messages = RTPUSH_UNLIMITED;
    w->desc.rate_bytes = RTPUSH_UNLIMITED;
    w->quiet = 1;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    t_buf want = {0};
    for (int i = 0; i < 60; i++) {
        char text[80];
        snprintf(text, sizeof text, "echo %d ...............", i);
        t_send_text(p->c, text);
        t_puts(&want, "1 ");
        t_puts(&want, text);
        t_puts(&want, "\n");
    }
    p->c->window = SIZE_MAX;
    t_serve(p->c);
    t_run_ready(w);
    t_advance(w, 1000);
    u_is(p, t_text(&want));
    T_CHECK(t_app_of(w)->writable > 0, "on_writable was not called after WOULD_BLOCK");
    t_buf_free(&want);
}

static void ws_send_says_would_block_and_then_writable(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    int sent = 0;
    w->call = T_IN_API;
    for (;;) {
        size_t room = rtpush_send_room(&w->srv, p->c->handle);
        int result = rtpush_send(&w->srv, p->c->handle, 1, "0123456789", 10);
        T_EQ(result == RTPUSH_OK, room >= 10);
        if (result != RTPUSH_OK) {
            T_EQ(result, RTPUSH_ERR_WOULD_BLOCK);
            break;
        }
        sent++;
        T_CHECK(sent < 100, "512 bytes never fill up");
    }
    t_leave(w);
    T_CHECK(sent >= 20, "only %d messages of 12 bytes fit 512", sent);
    T_EQ(t_app_of(w)->writable, 0);
    p->c->window = SIZE_MAX;
    t_serve(p->c);
    t_run_ready(w);
    T_EQ(t_app_of(w)->writable, 1);
    u_read(p);
    T_EQ(p->seen.len, (size_t)sent * 13);
    T_EQ(rtpush_get_counters(&w->srv)->messages_out, sent);
}

static void ws_send_room_is_what_send_takes(U_STATE) {
    static char text[600];
    memset(text, 'r', sizeof text);
    for (size_t i = 0; i < 2 * 506; i++) {
        const size_t first = i / 2;
        t_world *w = t_begin();
        u_peer *p = u_stream(w, i % 2 ? "{WS /ws}" : "{WSP /ws rtpush.1}");
        p->c->window = 0;
        w->call = T_IN_API;
        T_EQ(rtpush_send(&w->srv, p->c->handle, 1, text, first), RTPUSH_OK);
        size_t room = rtpush_send_room(&w->srv, p->c->handle);
        T_CHECK(room < 512, "room for %lu", (unsigned long)room);
        int more = rtpush_send(&w->srv, p->c->handle, 2, text, room + 1);
        T_CHECK(more == RTPUSH_ERR_WOULD_BLOCK || more == RTPUSH_ERR_TOO_BIG,
                "room was %lu, one more gave %d", (unsigned long)room, more);
        if (room > 0) {
            T_EQ(rtpush_send(&w->srv, p->c->handle, 2, text, room), RTPUSH_OK);
        }
        t_leave(w);
        u_free(p);
        t_finish(w);
    }
}

static void ws_send_too_big_is_an_error_of_its_own(U_STATE) {
    static char text[600];
    memset(text, 'r', sizeof text);
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    w->call = T_IN_API;
    T_EQ(rtpush_send(&w->srv, p->c->handle, 1, text, 509), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_send(&w->srv, p->c->handle, 1, text, 508), RTPUSH_OK);
    T_EQ(rtpush_send(&w->srv, p->c->handle, 0, text, 5), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_send(&w->srv, p->c->handle, 8, text, 5), RTPUSH_ERR_ARGUMENT);
    t_leave(w);
    t_serve(p->c);
    u_read(p);
    T_EQ(p->seen.len, 511);
}

// rtpush.1: what the application sends begins with "=", whatever it holds, so that it can look like
// no record, notice or position: the text here is another user's, who wrote a notice into it.
static void ws_tagged_direct_message_cannot_look_like_a_record(U_STATE) {
    static const char evil[] = "00000000-0 rtpush\nreset";
    for (int opcode = 1; opcode <= 2; opcode++) {
        t_world *w = t_begin();
        u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
        u_peer *raw = u_stream(w, "{WS /ws}");
        char want[80];
        w->call = T_IN_API;
        T_EQ(rtpush_send(&w->srv, p->c->handle, opcode, evil, sizeof evil - 1), RTPUSH_OK);
        T_EQ(rtpush_send(&w->srv, raw->c->handle, opcode, evil, sizeof evil - 1), RTPUSH_OK);
        T_EQ(rtpush_send(&w->srv, p->c->handle, opcode, "", 0), RTPUSH_OK);
        // In fragments the first begins with it, also an empty one; no other does.
        T_EQ(rtpush_send_part(&w->srv, p->c->handle, opcode, evil, 5, 1, 0), RTPUSH_OK);
        T_EQ(rtpush_send_part(&w->srv, p->c->handle, opcode, evil + 5, 5, 0, 0), RTPUSH_OK);
        T_EQ(rtpush_send_part(&w->srv, p->c->handle, opcode, "", 0, 0, 1), RTPUSH_OK);
        T_EQ(rtpush_send_part(&w->srv, p->c->handle, opcode, "", 0, 1, 0), RTPUSH_OK);
        T_EQ(rtpush_send_part(&w->srv, p->c->handle, opcode, evil, 1, 0, 1), RTPUSH_OK);
        t_leave(w);
        t_run(w);
        snprintf(want, sizeof want, "%d =%s\n%d =\n%d =00000000-0\n%d =0\n", opcode, evil, opcode,
                 opcode, opcode);
        u_is(p, want);
        snprintf(want, sizeof want, "%d %s\n", opcode, evil);
        u_is(raw, want);
        t_say(p->c, "{81:from the client}"); // unchanged in this direction; the echo has it again
        t_expect_events(w, "message 1 15 from the client");
        u_is(p, "1 =from the client\n");
        u_free(p);
        u_free(raw);
        t_finish(w);
    }
}

static void ws_tagged_send_too_big_is_one_byte_less(U_STATE) {
    static char text[600];
    memset(text, 'r', sizeof text);
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
    w->call = T_IN_API;
    T_EQ(rtpush_send_room(&w->srv, p->c->handle), 507);
    T_EQ(rtpush_send(&w->srv, p->c->handle, 1, text, 508), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, text, 508, 1, 0), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, text, 507, 1, 0), RTPUSH_OK);
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, text, 509, 0, 1), RTPUSH_ERR_TOO_BIG);
    t_leave(w);
    t_run(w);
    w->call = T_IN_API;
    T_EQ(rtpush_send_room(&w->srv, p->c->handle), 508); // what follows has no prefix
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, text, 508, 0, 1), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_read(p);
    T_EQ(p->seen.len, 3 + 1 + 507 + 508);
}

// RFC 6455 5.4: fragments of one message, nothing published between them, control frames may be.
static void ws_message_in_parts_is_not_interrupted(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    rtpush_handle h = p->c->handle;
    w->call = T_IN_API;
    T_EQ(rtpush_send_part(&w->srv, h, 1, "x", 1, 0, 0), RTPUSH_ERR_STATE);
    T_EQ(rtpush_send_part(&w->srv, h, 1, "one ", 4, 1, 0), RTPUSH_OK);
    T_EQ(rtpush_send(&w->srv, h, 1, "direct", 6), RTPUSH_ERR_STATE);
    T_EQ(rtpush_send_part(&w->srv, h, 1, "x", 1, 1, 0), RTPUSH_ERR_STATE);
    t_leave(w);
    T_EQ(t_publish_text(w, T_LOG, "published"), RTPUSH_OK);
    T_EQ(t_publish_text(w, T_TEMP, "state"), RTPUSH_OK);
    t_run(w);
    t_say(p->c, "{89:p}");
    u_is(p, "10 p\n");
    w->call = T_IN_API;
    T_EQ(rtpush_send_part(&w->srv, h, 1, "", 0, 0, 0), RTPUSH_OK);
    T_EQ(rtpush_send_part(&w->srv, h, 1, "two", 3, 0, 1), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_expect(p, "1 one two\n|1 ");
    w->call = T_IN_API;
    T_EQ(rtpush_send_part(&w->srv, h, 2, "whole", 5, 1, 1), RTPUSH_OK);
    T_EQ(rtpush_send(&w->srv, h, 1, "direct", 6), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_expect(p, "2 whole\n1 direct\n");
}

static void ws_published_records_come_after_the_parts(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    w->call = T_IN_API;
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, "a", 1, 1, 0), RTPUSH_OK);
    t_leave(w);
    t_publish_text(w, T_LOG, "L");
    t_run(w);
    u_is(p, "");
    w->call = T_IN_API;
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, "b", 1, 0, 1), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_is(p, "1 ab\n1 L\n");
}

// -- Close (RFC 6455 7) ---------------------------------------------------------------------------

static void ws_application_closes_and_the_peer_answers(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    w->call = T_IN_API;
    T_EQ(rtpush_close(&w->srv, p->c->handle, 4000, "enough"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_is(p, "8 4000 enough\n");
    T_EQ(p->c->fin, 0); // RFC 6455 7.1.1: both Close frames first
    t_send_close(p->c, 4000, "");
    T_EQ(p->c->fin, 1);
    t_run(w);
    T_EQ(p->c->dropped, 2);
    t_expect_events(w, "close APP 4000");
}

static void ws_application_closes_and_the_peer_never_answers(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->manual_close = 1;
    w->call = T_IN_API;
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, NULL), RTPUSH_OK);
    T_CHECK(rtpush_send(&w->srv, p->c->handle, 1, "late", 4) < 0, "sent after close");
    t_leave(w);
    t_run(w);
    t_advance(w, 6000);
    T_CHECK(p->c->dropped, "the connection stays open behind an unanswered Close");
    u_expect(p, "8 1000 ");
    t_expect_events(w, "close ");
}

// What the peer sent before it saw our Close is read until its Close comes, and not delivered
// after on_close.
static void ws_close_waits_behind_unsent_messages(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    w->call = T_IN_API;
    T_EQ(rtpush_send(&w->srv, p->c->handle, 1, "last words", 10), RTPUSH_OK);
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, "bye"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    p->c->window = SIZE_MAX;
    t_serve(p->c);
    t_run_ready(w);
    u_is(p, "1 last words\n8 1000 bye\n");
}

// rtpush_close: "where both do not fit behind what tx holds now, the code alone".
static void ws_close_with_full_tx_still_sends_close(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 0;
    w->call = T_IN_API;
    while (rtpush_send(&w->srv, p->c->handle, 1, "0", 1) == RTPUSH_OK) {
    }
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1001, "going"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    p->c->window = SIZE_MAX;
    t_serve(p->c);
    t_run_ready(w);
    u_expect(p, "1 0\n|8 1001 \n");
}

static void ws_close_finishes_the_record_it_is_in(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->window = 20;
    t_publish_text(w, T_LOG, "a record that does not fit the window at all");
    t_run(w);
    w->call = T_IN_API;
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, NULL), RTPUSH_OK);
    t_leave(w);
    p->c->window = SIZE_MAX;
    t_run(w);
    u_is(p, "1 a record that does not fit the window at all\n8 1000 \n");
}

// RFC 6455 7.4: codes that must not be sent are refused; so is a reason that is too long.
static void ws_close_refuses_codes_that_must_not_be_sent(U_STATE) {
    static const uint16_t bad[] = {1, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 65535};
    static char reason[125];
    memset(reason, 'r', 124);
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    w->call = T_IN_API;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        T_CHECK(rtpush_close(&w->srv, p->c->handle, bad[i], NULL) == RTPUSH_ERR_ARGUMENT,
                "code %d was taken", bad[i]);
    }
    T_CHECK(rtpush_close(&w->srv, p->c->handle, 1000, reason) < 0, "124 bytes of reason");
    T_CHECK(rtpush_close(&w->srv, p->c->handle, 1000, "\xFF") < 0, "a reason that is not UTF-8");
    reason[123] = 0;
    T_EQ(rtpush_close(&w->srv, p->c->handle, 1000, reason), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_expect(p, "8 1000 rrrrrrr");
}

static void ws_failed_connection_sends_close_then_fin_and_waits(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    p->c->manual_close = 1;
    t_say(p->c, "{83:x}{81:not any more}");
    u_expect(p, "8 1002");
    T_EQ(p->c->fin, 1);
    t_say(p->c, "{81:ignored}{rep 3000 x}");
    T_EQ(p->c->in.len, 0);
    t_advance(w, 5000);
    T_EQ(p->c->dropped, 2);
    t_expect_events(w, "!message|close WS_PROTOCOL");
}

static void ws_peer_vanishing_is_told_as_1006(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    t_eof(p->c); // section 7.1.5 of RFC 6455: no Close frame
    t_advance(w, 3000);
    t_expect_events(w, "close PEER_CLOSED 1006");
    T_CHECK(t_ended(p->c), "stays after the peer finished");
    u_free(p);
    t_finish(w);
    w = t_begin();
    p = u_stream(w, "{WS /ws}");
    t_cut(p->c);
    t_run_ready(w);
    t_expect_events(w, "close TRANSPORT 1006");
}

// -- liveness -------------------------------------------------------------------------------------

static void ws_ping_measures_the_round_trip(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    T_EQ(rtpush_rtt_ms(&w->srv, p->c->handle), -1);
    t_advance(w, 19000);
    u_is(p, "");
    t_advance(w, 2500);
    u_read(p);
    T_CHECK(strncmp(t_text(&p->seen), "9 ", 2) == 0, "no ping after 20 s of silence");
    uint8_t payload[125];
    size_t len = p->seen.len - 3;
    memcpy(payload, p->seen.data + 2, len);
    w->now_ms += 30;
    t_tick(w);
    t_send_frame(p->c, 0x8A, payload, len);
    uint32_t sent_ms;
    memcpy(&sent_ms, payload, sizeof sent_ms);
    T_EQ(rtpush_rtt_ms(&w->srv, p->c->handle), w->now_ms - sent_ms);
    T_CHECK(w->now_ms - sent_ms >= 30, "the ping was sent at %lu", (unsigned long)sent_ms);
    u_clear(p);
    t_advance(w, 15000);
    T_CHECK(!t_ended(p->c), "closed though the pong came");
}

// rtpush.1: an empty message, or the id alone where that has moved. A raw WebSocket carries what
// the application sends and nothing else.
static void ws_tagged_keep_alive_is_a_message_and_raw_has_none(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WSP /ws?topics=chat rtpush.1}");
    u_peer *raw = u_stream(w, "{WS /ws?topics=chat}");
    char id[RTPUSH_ID_SIZE];
    size_t before = p->c->out_total;
    t_advance(w, 4750);
    u_read(p);
    T_EQ(p->alive, 0);
    t_advance(w, 750);
    u_read(p);
    T_EQ(p->alive, 1);
    T_EQ(p->ids, 0);
    T_EQ(p->c->out_total - before, 2);
    T_EQ(t_publish_text(w, T_LOG, "of another topic"), RTPUSH_OK);
    t_run(w);
    before = p->c->out_total;
    t_advance(w, 5500);
    u_read(p);
    T_EQ(p->alive, 2);
    T_EQ(p->ids, 1);
    T_EQ(p->c->out_total - before, 19);
    assert_string_equal(p->last_id, rtpush_id_format(rtpush_last_id(&w->srv), id));
    T_EQ(t_publish_text(w, T_LOG, "of another topic"), RTPUSH_OK);
    T_EQ(t_publish_text(w, T_CHAT, "hello"), RTPUSH_OK);
    t_advance(w, 5500);
    u_expect(p, "1 00c0ffee-00000003 chat\nhello\n");
    u_is(raw, "1 hello\n"); // and no ping yet
    T_EQ(p->ids, 0);
}

// Keep-alives do not hide a dead peer: it is pinged after ping_ms as ever, and answers count.
static void ws_tagged_without_pong_is_aborted(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
    u_peer *alive = u_stream(w, "{WSP /ws rtpush.1}");
    for (int i = 0; i < 39; i++) {
        t_advance(w, 1000);
        t_say(alive->c, i % 15 == 0 ? "{8a:}" : "");
    }
    u_read(p);
    T_CHECK(strncmp(t_text(&p->seen), "9 ", 2) == 0, "no ping after 20 s of silence");
    T_CHECK(p->alive >= 6 && p->alive <= 8, "%u keep-alives in 39 s", p->alive);
    T_CHECK(!t_ended(p->c), "aborted before the pong was due");
    t_advance(w, 3000);
    T_EQ(p->c->dropped, 1);
    t_expect_events(w, "close TIMEOUT_PONG 1006");
    t_say(alive->c, "{8a:}");
    t_advance(w, 2000);
    u_read(alive);
    T_CHECK(!t_ended(alive->c), "one that is heard of is aborted too");
    T_CHECK(strstr(t_text(&alive->seen), "9 ") == NULL, "one that is heard of is pinged");
}

// Between the parts of a message no other may come (RFC 6455 5.4): the keep-alive waits for the
// last. None comes behind a Close, and none puts its deadline off.
static void ws_tagged_keep_alive_waits_for_parts_and_ends_with_close(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
    w->call = T_IN_API;
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, "a", 1, 1, 0), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    size_t before = p->c->out_total;
    t_advance(w, 12000);
    T_EQ(p->c->out_total, before);
    w->call = T_IN_API;
    T_EQ(rtpush_send_part(&w->srv, p->c->handle, 1, "b", 1, 0, 1), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_read(p);
    T_EQ(p->alive, 1);
    u_is(p, "1 =ab\n");
    p->c->manual_close = 1;
    w->call = T_IN_API;
    T_EQ(rtpush_close(&w->srv, p->c->handle, 4000, "end"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    t_advance(w, 1500);
    T_CHECK(!t_ended(p->c), "ended before close_ms");
    t_advance(w, 1500);
    T_EQ(p->c->fin, 1); // RFC 6455 7.1.1: the server ends TCP
    t_advance(w, 3000);
    T_EQ(p->c->dropped, 2);
    u_read(p);
    T_EQ(p->alive, 0);
    u_is(p, "8 4000 end\n");
}

static void ws_without_pong_the_connection_is_aborted(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    t_advance(w, 39000);
    T_CHECK(!t_ended(p->c), "aborted before the pong was due");
    t_advance(w, 3000);
    T_EQ(p->c->dropped, 1); // no graceful close to a dead peer
    t_expect_events(w, "close TIMEOUT_PONG 1006");
}

static void ws_any_byte_counts_as_alive(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    for (int i = 0; i < 30; i++) {
        t_advance(w, 10000);
        t_say(p->c, "{82:x}");
    }
    u_expect(p, "!9 ");
    T_CHECK(!t_ended(p->c), "an active connection was closed");
}

static void ws_flood_is_slowed_or_refused_but_nothing_is_lost_silently(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_messages = 10;
    w->quiet = 1;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    t_buf in = {0};
    for (int i = 0; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof text, "{81:n%d.}", i);
        t_expand(&in, text);
    }
    t_feed(p->c, in.data, in.len);
    u_read(p);
    T_CHECK(strstr(t_text(&p->seen), "n60.") == NULL, "60 messages at once at 10 a second");
    for (int i = 0; i < 15 && !t_ended(p->c); i++) {
        t_advance(w, 1000);
    }
    u_read(p);
    T_CHECK(t_ended(p->c) || strstr(t_text(&p->seen), "n99.") != NULL,
            "held messages were never taken");
    t_buf_free(&in);
}

static void ws_rate_of_bytes_slows_and_loses_nothing(U_STATE) {
    t_world *w = t_fixture();
    w->desc.rate_bytes = 1000;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /ws}");
    t_say(p->c, "{82*380}{82*381}{82*382}{82*383}{82*384}{82*385}{82*386}{82*387}{81:end}");
    T_CHECK(p->c->in.len > 500, "%lu bytes held back", (unsigned long)p->c->in.len);
    t_advance(w, 5000);
    u_expect(p, "2 xxx|1 end\n");
    t_expect_events(w, "message 2 380|message 2 381|message 2 382|message 2 383|message 2 384|"
                       "message 2 385|message 2 386|message 2 387|message 1 3 end");
}

static void ws_piece_left_for_later_comes_again(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /stream}");
    for (int later = 0; later < 6; later++) {
        t_app_of(w)->later = later;
        t_say(p->c, "{02*900}{89:p}{80*900}{81:next}");
        t_advance(w, 3000);
        t_expect_events(w, "message 2 1800 sum |message 1 4 sum ");
        u_expect(p, "10 p");
    }
}

static int close_piece(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    (void)msg;
    rtpush_abort(srv, conn);
    return RTPUSH_OK;
}

static void ws_abort_inside_a_streamed_message_is_safe(U_STATE) {
    t_world *w = t_fixture();
    t_routes[T_R_STREAM].on_message = close_piece;
    t_start(w);
    u_peer *p = u_stream(w, "{WS /stream}");
    t_say(p->c, "{02*900}{80*900}{81:next}");
    t_run(w);
    T_EQ(p->c->dropped, 1);
}

// RFC 6455 5.2: an rtpush.1 message is its record and a prefix, so it may need the 64-bit length.
static void ws_tagged_record_of_65535_bytes_arrives(U_STATE) {
    static char text[65535];
    memset(text, 'T', sizeof text);
    t_world *w = t_fixture();
    w->desc.log_size = 4 * 70000;
    t_start(w);
    u_peer *p = u_stream(w, "{WSP /ws rtpush.1}");
    for (size_t len = 65535; len > 65490; len -= 7) {
        T_EQ(t_publish(w, T_LOG, text, len), RTPUSH_OK);
        t_run(w);
        u_read(p);
        T_EQ(p->seen.len, 2 + 17 + 1 + 3 + 1 + len + 1);
        u_clear(p);
    }
}

static void close_at_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    t_on_gap(srv, conn, missed);
    rtpush_close(srv, conn, 4000, "too slow");
}

static void abort_at_gap(rtpush_server *srv, rtpush_handle conn, uint32_t missed) {
    t_on_gap(srv, conn, missed);
    rtpush_abort(srv, conn);
}

static void ws_reader_may_be_ended_at_its_gap(U_STATE) {
    for (int way = 0; way < 6; way++) {
        static const char *const hello[] = {"{WS /ws}", "{WSP /ws rtpush.1}", "{GET /events}"};
        t_world *w = t_fixture();
        t_routes[T_R_WS].on_gap = t_routes[T_R_EVENTS].on_gap =
            way % 2 ? close_at_gap : abort_at_gap;
        w->desc.log_size = 512;
        t_start(w);
        u_peer *p = u_stream(w, hello[way / 2]);
        p->c->window = 3;
        for (int i = 0; i < 100; i++) {
            t_publish_text(w, T_LOG, "0123456789");
            t_run(w);
        }
        p->c->window = SIZE_MAX;
        t_run(w);
        u_read(p);
        if (way % 2 && way < 4) {
            T_CHECK(strstr(t_text(&p->seen), "8 4000 ") != NULL, "no Close: %s", t_text(&p->seen));
        }
        t_advance(w, 5000);
        T_CHECK(t_ended(p->c), "lives on");
        u_free(p);
        t_finish(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(ws_echoes_every_length_it_can_hold),
        u_test(ws_length_64_form_is_read),
        u_test(ws_message_of_16_mebibytes_streams_through),
        u_test(ws_streamed_message_respects_max_message),
        u_test(ws_smaller_max_message_is_kept),
        u_test(ws_ten_thousand_empty_continuations_are_one_message),
        u_test(ws_message_left_for_later_comes_again),
        u_test(ws_refusing_input_is_not_the_peers_silence),
        u_test(ws_header_is_what_the_standard_says_at_each_length),
        u_test(ws_header_fault_shows_at_its_byte),
        u_test(ws_whole_frame_is_given_from_where_it_stands),
        u_test(ws_whole_frame_left_for_later_waits_in_rx),
        u_test(ws_large_piece_is_given_whole_and_left_as_it_came),
        u_test(ws_fragments_that_fill_rx_are_one_message),
        u_test(ws_tokens_are_the_same_however_a_message_is_cut),
        u_test(ws_text_is_checked_like_the_plain_validator),
        u_test(ws_text_is_checked_over_every_split_into_fragments),
        u_test(ws_pongs_survive_back_pressure),
        u_test(ws_echo_survives_back_pressure),
        u_test(ws_send_says_would_block_and_then_writable),
        u_test(ws_send_room_is_what_send_takes),
        u_test(ws_tagged_direct_message_cannot_look_like_a_record),
        u_test(ws_tagged_send_too_big_is_one_byte_less),
        u_test(ws_send_too_big_is_an_error_of_its_own),
        u_test(ws_message_in_parts_is_not_interrupted),
        u_test(ws_published_records_come_after_the_parts),
        u_test(ws_application_closes_and_the_peer_answers),
        u_test(ws_application_closes_and_the_peer_never_answers),
        u_test(ws_close_waits_behind_unsent_messages),
        u_test(ws_close_with_full_tx_still_sends_close),
        u_test(ws_close_finishes_the_record_it_is_in),
        u_test(ws_close_refuses_codes_that_must_not_be_sent),
        u_test(ws_failed_connection_sends_close_then_fin_and_waits),
        u_test(ws_peer_vanishing_is_told_as_1006),
        u_test(ws_ping_measures_the_round_trip),
        u_test(ws_tagged_keep_alive_is_a_message_and_raw_has_none),
        u_test(ws_tagged_without_pong_is_aborted),
        u_test(ws_tagged_keep_alive_waits_for_parts_and_ends_with_close),
        u_test(ws_without_pong_the_connection_is_aborted),
        u_test(ws_any_byte_counts_as_alive),
        u_test(ws_flood_is_slowed_or_refused_but_nothing_is_lost_silently),
        u_test(ws_rate_of_bytes_slows_and_loses_nothing),
        u_test(ws_piece_left_for_later_comes_again),
        u_test(ws_abort_inside_a_streamed_message_is_safe),
        u_test(ws_tagged_record_of_65535_bytes_arrives),
        u_test(ws_reader_may_be_ended_at_its_gap),
    };
    return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
