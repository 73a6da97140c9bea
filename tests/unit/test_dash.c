// ports/rtpush_dash.h: the table as JSON, and commands: what is right, what is out of range, and
// what somebody hostile would send.
#include "unit.h"

#define RTPUSH_JSON_IMPLEMENTATION
#include "../../ports/rtpush_json.h"
#define RTPUSH_DASH_IMPLEMENTATION
#include "../../ports/rtpush_dash.h"

enum { VALUE, LAMP, FAN, RESET, NAME, FIXED, WIDGETS };
static const rtpush_widget widgets[WIDGETS] = {
    [VALUE] = {"temp", "T \"in\"", "\xC2\xB0", "Climate", RTPUSH_DASH_GAUGE, 1, -100, 505},
    [LAMP] = {"led", "Lamp", NULL, NULL, RTPUSH_DASH_SWITCH, 0, 0, 1},
    [FAN] = {"fan.speed", "Fan", "%", NULL, RTPUSH_DASH_SLIDER, 1, -100, 1000},
    [RESET] = {"reset", "Reset", NULL, "Device", RTPUSH_DASH_BUTTON, 0, 0, 0},
    [NAME] = {"name", "Name", NULL, NULL, RTPUSH_DASH_TEXT, 0, 0, 8},
    [FIXED] = {"chat", "Fixed", NULL, NULL, RTPUSH_DASH_TEXT, 0, 0, 0},
};

static rtpush_command got;
static int refuse;
static int asked;
static int on_command(rtpush_server *srv, unsigned widget, int32_t value, const char *text) {
    (void)srv;
    got.widget = widget;
    got.value = value;
    snprintf(got.text, sizeof got.text, "%s", text);
    asked++;
    return refuse;
}
static const rtpush_dash dash = {"Dash", widgets, WIDGETS, on_command};

// From memory of exactly its size, so that a byte too far is found.
static int parse(const void *data, size_t len) {
    uint8_t *copy = (uint8_t *)malloc(len + 1);
    memcpy(copy + 1, data, len);
    memset(&got, 'x', sizeof got);
    int result = rtpush_dash_parse(&dash, copy + 1, len, &got);
    T_CHECK(memchr(got.text, '\0', sizeof got.text) != NULL, "text has no end");
    free(copy);
    return result;
}

#define ACCEPTS(json, index, number, words) \
    do { \
        T_CHECK(parse(json, sizeof(json) - 1) == RTPUSH_OK, "refused: %s", json); \
        T_EQ(got.widget, index); \
        T_EQ(got.value, number); \
        assert_string_equal(got.text, words); \
    } while (0)
#define REFUSES(json, error) \
    T_CHECK(parse(json, sizeof(json) - 1) == error, "%s is not %s", json, #error)

static void dash_reads_commands(void **state) {
    (void)state;
    ACCEPTS("{\"led\":true}", LAMP, 1, "");
    ACCEPTS("{\"led\":false}", LAMP, 0, "");
    ACCEPTS("{\"led\":1}", LAMP, 1, "");
    ACCEPTS(" \t\r\n{ \"led\" : 0 } \n", LAMP, 0, ""); // RFC 8259 2: white space
    ACCEPTS("{\"fan.speed\":21.5}", FAN, 215, "");
    ACCEPTS("{\"fan.speed\":21}", FAN, 210, "");
    ACCEPTS("{\"fan.speed\":21.500}", FAN, 215, "");
    ACCEPTS("{\"fan.speed\":-10.0}", FAN, -100, "");
    ACCEPTS("{\"fan.speed\":-0}", FAN, 0, "");
    ACCEPTS("{\"fan.speed\":100.0}", FAN, 1000, "");
    ACCEPTS("{\"reset\":true}", RESET, 1, "");
    ACCEPTS("{\"name\":\"\"}", NAME, 0, "");
    ACCEPTS("{\"name\":\"12345678\"}", NAME, 0, "12345678");
    ACCEPTS("{\"na\\u006De\":\"x\"}", NAME, 0, "x"); // RFC 8259 8.3: the same name
    // RFC 8259 7
    ACCEPTS("{\"name\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", NAME, 0, "\"\\/\b\f\n\r\t");
    ACCEPTS("{\"name\":\"\\u00e9\\u20AC\"}", NAME, 0, "\xC3\xA9\xE2\x82\xAC");
    ACCEPTS("{\"name\":\"\\uD83D\\uDE00\"}", NAME, 0, "\xF0\x9F\x98\x80");
    ACCEPTS("{\"name\":\"\\uD800\\uDC00\\uDBFF\\uDFFF\"}", NAME, 0, // the first and the last
            "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
    ACCEPTS("{\"name\":\"\\uD7FF\\uE000\"}", NAME, 0, "\xED\x9F\xBF\xEE\x80\x80"); // none
    ACCEPTS("{\"name\":\"\\u007f\\u0080\\u07ff\\u0800\"}", NAME, 0,
            "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80"); // RFC 3629 3
    ACCEPTS("{\"name\":\"\xF0\x9F\x98\x80\"}", NAME, 0, "\xF0\x9F\x98\x80");
}

static void dash_checks_the_range(void **state) {
    (void)state;
    REFUSES("{\"led\":2}", RTPUSH_DASH_RANGE);
    REFUSES("{\"led\":-1}", RTPUSH_DASH_RANGE);
    REFUSES("{\"led\":0.5}", RTPUSH_DASH_RANGE);
    REFUSES("{\"reset\":false}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":-10.1}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":100.1}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":21.55}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":2147483647}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":2147483648}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":-2147483649}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":429496729.7}", RTPUSH_DASH_RANGE); // 1 beyond 2^32, in tenths
    REFUSES("{\"fan.speed\":18446744073709551617}", RTPUSH_DASH_RANGE);
    REFUSES("{\"fan.speed\":99999999999999999999999999999999999999999.0}", RTPUSH_DASH_RANGE);
    REFUSES("{\"name\":\"123456789\"}", RTPUSH_DASH_RANGE);
    REFUSES("{\"name\":\"1234567\\u00e9\"}", RTPUSH_DASH_RANGE); // bytes, not characters
    char longest[200];
    for (int n = 60; n < 70; n++) { // around what command.text holds
        int len = snprintf(longest, sizeof longest, "{\"name\":\"%0*d\"}", n, 0);
        T_EQ(parse(longest, (size_t)len), RTPUSH_DASH_RANGE);
        longest[len - 3] = '\xFF';
        T_EQ(parse(longest, (size_t)len), RTPUSH_DASH_MALFORMED);
    }
}

static void dash_knows_what_takes_commands(void **state) {
    (void)state;
    REFUSES("{\"temp\":1}", RTPUSH_DASH_UNKNOWN);     // a gauge
    REFUSES("{\"chat\":\"x\"}", RTPUSH_DASH_UNKNOWN); // read only
    REFUSES("{\"\":1}", RTPUSH_DASH_UNKNOWN);
    REFUSES("{\"le\":1}", RTPUSH_DASH_UNKNOWN);
    REFUSES("{\"ledx\":1}", RTPUSH_DASH_UNKNOWN);
    REFUSES("{\"LED\":1}", RTPUSH_DASH_UNKNOWN);
    REFUSES("{\"01234567890123456789012345678901234567890123456789\":1}", RTPUSH_DASH_UNKNOWN);
    REFUSES("{\"led\":\"1\"}", RTPUSH_DASH_TYPE);
    REFUSES("{\"name\":1}", RTPUSH_DASH_TYPE);
    REFUSES("{\"name\":true}", RTPUSH_DASH_TYPE);
}

static void dash_refuses_what_is_malformed(void **state) {
    (void)state;
    static const char *const table[] = {
        "",
        " ",
        "{",
        "{}",
        "[]",
        "1",
        "\"led\"",
        "led 1",
        "{led:1}",
        "{'led':1}",
        "{\"led\"}",
        "{\"led\":}",
        "{\"led\":1",
        "{\"led\":1}}",
        "{\"led\":1}x",
        "{\"led\":1,}",
        "{\"led\":1;}",
        "{\"led\":1,\"led\":0}",
        "{\"led\":1,\"fan.speed\":0}",
        "{\"led\":[1]}",
        "{\"led\":{}}",
        "{\"led\":null}",
        "{\"led\":True}",
        "{\"led\":truee}",
        "{\"led\":tru}",
        "{,\"led\":1}",
        "{{\"led\":1}}",
        "{\"led\"::1}",
        "{\"led\" 1}",
        "\xEF\xBB\xBF{\"led\":1}",
        // RFC 8259 6
        "{\"led\":01}",
        "{\"led\":-01}",
        "{\"led\":00}",
        "{\"led\":1.}",
        "{\"led\":.1}",
        "{\"led\":+1}",
        "{\"led\":--1}",
        "{\"led\":-}",
        "{\"led\":1e0}",
        "{\"led\":1E0}",
        "{\"led\":0x1}",
        "{\"led\":1.0.0}",
        "{\"led\":1 0}",
        "{\"led\":NaN}",
        "{\"led\":Infinity}",
        "{\"fan.speed\":-.5}",
        "{\"fan.speed\":1.-5}",
        // RFC 8259 7
        "{\"name\":\"}",
        "{\"name\":\"a\nb\"}",
        "{\"name\":\"a\tb\"}",
        "{\"name\":\"\x01\"}",
        "{\"name\":\"\\",
        "{\"name\":\"\\\"}",
        "{\"name\":\"\\x\"}",
        "{\"name\":\"\\u\"}",
        "{\"name\":\"\\u12\"}",
        "{\"name\":\"\\u12g4\"}",
        "{\"name\":\"\\U0041\"}",
        "{\"name\":\"\\u0000\"}",
        "{\"name\":\"\\uD83D\"}",
        "{\"name\":\"\\uDE00\"}",
        "{\"name\":\"\\uDC00\"}",
        "{\"name\":\"\\uDFFF\"}",
        "{\"name\":\"\\uD800\"}",
        "{\"name\":\"\\uDBFF\"}",
        "{\"name\":\"\\uD83D\\uDBFF\"}",
        "{\"name\":\"\\uD83D\\uE000\"}",
        "{\"name\":\"\\uD83D\\uD83D\"}",
        "{\"name\":\"\\uD83Dx\"}",
        "{\"name\":\"\\uD83D\\n\"}",
        "{\"name\":\"\\uD83D\\u",
        "{\"name\":\"\\uDE00\\uD83D\"}",
        "{\"name\":\"\\'\"}",
        // RFC 8259 8.1
        "{\"name\":\"\xFF\"}",
        "{\"name\":\"\xC3\"}",
        "{\"name\":\"\xC0\xAF\"}",
        "{\"name\":\"\xED\xA0\x80\"}",
        "{\"name\":\"\xF4\x90\x80\x80\"}",
        "{\"n\xFF\":1}",
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        T_CHECK(parse(table[i], strlen(table[i])) == RTPUSH_DASH_MALFORMED, "taken: %s", table[i]);
    }
    REFUSES("{\"led\":1}\0", RTPUSH_DASH_MALFORMED);
    REFUSES("{\"led\0\":1}", RTPUSH_DASH_MALFORMED);
    REFUSES("{\"led\":\0001}", RTPUSH_DASH_MALFORMED);
    REFUSES("\0", RTPUSH_DASH_MALFORMED);
}

// No prefix of a command is one, and no byte of it can be another without a result that is known.
static void dash_survives_cuts_and_changes(void **state) {
    (void)state;
    static const char *const table[] = {"{\"fan.speed\":-10.0}", "{\"led\":true}",
                                        "{\"name\":\"\\uD83D\\uDE00a\\n\"}"};
    t_rng rng = t_seed(3);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t len = strlen(table[i]);
        for (size_t cut = 0; cut < len; cut++) {
            T_EQ(parse(table[i], cut), RTPUSH_DASH_MALFORMED);
        }
        for (int round = 0; round < 30000; round++) {
            char copy[64];
            memcpy(copy, table[i], len);
            for (unsigned n = t_below(&rng, 4); n < 4; n++) {
                copy[t_below(&rng, (uint32_t)len)] = (char)t_below(&rng, 256);
            }
            int result = parse(copy, len);
            T_CHECK(result == RTPUSH_OK ||
                        (result <= RTPUSH_DASH_MALFORMED && result >= RTPUSH_DASH_RANGE),
                    "result %d", result);
            T_CHECK(result ||
                        (got.widget < WIDGETS && rtpush_utf8(0, got.text, strlen(got.text)) == 0),
                    "a command that is none: %.*s", (int)len, copy);
        }
    }
}

// -- behind routes --------------------------------------------------------------------------------

static void on_table(rtpush_server *srv, const rtpush_request *req) {
    rtpush_dash_table(srv, req, (const rtpush_dash *)req->route->user);
}
static void on_control(rtpush_server *srv, const rtpush_request *req) {
    rtpush_dash_control(srv, req, &dash);
}
static int on_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    return rtpush_dash_message(srv, conn, msg, &dash);
}

static const rtpush_topic topics[] = {{"temp", &rtpush_topic_state, 0, 16},
                                      {"led", &rtpush_topic_state, 0, 16},
                                      {"fan.speed", &rtpush_topic_event, 0, 0},
                                      {"name", &rtpush_topic_state, 0, 110},
                                      {"chat", &rtpush_topic_event, 0, 0}};
static const rtpush_widget lost[] = {{"temp", "", NULL, NULL, RTPUSH_DASH_VALUE, 0, 0, 0},
                                     {"gone", "", NULL, NULL, RTPUSH_DASH_VALUE, 0, 0, 0},
                                     {"temp", "", NULL, NULL, RTPUSH_DASH_VALUE, 0, 0, 0}};
static const rtpush_dash lost_dash = {"", lost, 3, NULL};
static rtpush_route routes[] = {
    {.path = "/dash.json", .kind = &rtpush_handler, .on_request = on_table, .user = (void *)&dash},
    {.path = "/lost", .kind = &rtpush_handler, .on_request = on_table, .user = (void *)&lost_dash},
    {.path = "/control",
     .kind = &rtpush_upload,
     .methods = RTPUSH_POST,
     .max_body = 256,
     .on_request = on_control},
    {.path = "/ws", .kind = &rtpush_websocket, .on_message = on_message},
    {.path = "/events", .kind = &rtpush_events},
};

static t_world *start(uint32_t tx_size) {
    t_world *w = t_fixture();
    w->desc.routes = routes;
    w->desc.route_count = sizeof routes / sizeof routes[0];
    w->desc.topics = topics;
    w->desc.topic_count = sizeof topics / sizeof topics[0];
    w->desc.tx_size = tx_size;
    t_start(w);
    return w;
}

static const char table_json[] =
    "{\"title\":\"Dash\",\"widgets\":["
    "{\"topic\":\"temp\",\"label\":\"T \\\"in\\\"\",\"kind\":\"gauge\",\"decimals\":1,"
    "\"min\":-10.0,\"max\":50.5,\"unit\":\"\xC2\xB0\",\"group\":\"Climate\"},"
    "{\"topic\":\"led\",\"label\":\"Lamp\",\"kind\":\"switch\",\"decimals\":0,\"min\":0,\"max\":1},"
    "{\"topic\":\"fan.speed\",\"label\":\"Fan\",\"kind\":\"slider\",\"decimals\":1,"
    "\"min\":-10.0,\"max\":100.0,\"unit\":\"%\"},"
    "{\"topic\":\"reset\",\"label\":\"Reset\",\"kind\":\"button\",\"decimals\":0,"
    "\"min\":0,\"max\":0,\"group\":\"Device\"},"
    "{\"topic\":\"name\",\"label\":\"Name\",\"kind\":\"text\",\"decimals\":0,\"min\":0,\"max\":8},"
    "{\"topic\":\"chat\",\"label\":\"Fixed\",\"kind\":\"text\",\"decimals\":0,\"min\":0,\"max\":0}]"
    ","
    "\"now\":";

static void dash_sends_its_table_in_pieces_of_any_size(void **state) {
    (void)state;
    for (uint32_t tx_size = 512; tx_size <= 2048; tx_size += 64) {
        t_world *w = start(tx_size);
        u_peer *p = u_open(w, "{GET /dash.json}");
        for (int i = 0; i < 200 && !strstr(u_read(p), "now"); i++) {
            t_advance(w, 300); // more than the clock of the answer's beginning
        }
        T_CHECK(strncmp(u_read(p), "200 ", 4) == 0, "%s", u_read(p));
        T_CHECK(strncmp(u_read(p) + 4, table_json, sizeof table_json - 1) == 0, "%u: %s",
                (unsigned)tx_size, u_read(p));
        u_free(p);
        t_finish(w);
    }
}

static void dash_names_the_kinds(void **state) {
    (void)state;
    static const char *const names[] = {"value",  "gauge",  "bar",    "chart", "log",
                                        "switch", "slider", "button", "text"};
    T_EQ(RTPUSH_DASH_TEXT, 8);
    for (uint8_t kind = 0; kind <= RTPUSH_DASH_TEXT; kind++) {
        const rtpush_widget w = {"t", "l", NULL, NULL, kind, 0, 0, 0};
        char out[200];
        char want[40];
        rtpush_text t = rtpush_json_begin(out, sizeof out - 1);
        rtpi_dash_put_row(&t, &w);
        out[t.len] = '\0';
        snprintf(want, sizeof want, "\"kind\":\"%s\",", names[kind]);
        T_CHECK(strstr(out, want) != NULL, "%s has no %s", out, want);
    }
}

static void dash_refuses_a_table_without_its_topic(void **state) {
    (void)state;
    t_world *w = start(1024);
    u_peer *p = u_open(w, "{GET /lost}");
    u_is(p, "500 a widget has no topic, or a wrong kind\n");
    u_free(p);
    t_finish(w);
}

static void dash_commands_come_over_both_ways(void **state) {
    (void)state;
    t_world *w = start(1024);
    u_peer *ws = u_stream(w, "{WS /ws}");
    u_peer *post = u_open(w, "POST /control HTTP/1.1\r\n" T_HOST "Content-Length: 12\r\n\r\n"
                             "{{\"led\":true}");
    u_is(post, "200 \n");
    T_EQ(got.widget, LAMP);
    T_EQ(got.value, 1);
    got.value = 7;
    t_says(post->c, "POST /control HTTP/1.1\r\n" T_HOST "Content-Length: 9\r\n\r\n{\"led\":7}");
    u_is(post, "400 out of range\n");
    T_EQ(got.value, 7); // on_command was not asked

    t_send_frame(ws->c, 0x81, "{\"name\":\"x\"}", 12);
    t_run(w);
    u_is(ws, "");
    assert_string_equal(got.text, "x");
    t_send_frame(ws->c, 0x81, "{}", 2);
    t_run(w);
    u_is(ws, "1 not {\"name\":value}\n");
    refuse = RTPUSH_ERR_STATE;
    t_send_frame(ws->c, 0x81, "{\"led\":1}", 9);
    t_run(w);
    refuse = 0;
    u_is(ws, "1 refused by the device\n");
    t_send_frame(ws->c, 0x01, "{\"led\"", 6);
    t_send_frame(ws->c, 0x80, ":1}", 3);
    t_run(w);
    u_is(ws, "");
    T_EQ(got.widget, LAMP);
    u_free(ws);
    u_free(post);
    t_finish(w);
}

static void dash_publishes_what_the_page_reads(void **state) {
    (void)state;
    t_world *w = start(1024);
    u_peer *p = u_stream(w, "{GET /events}");
    T_EQ(rtpush_dash_set(&w->srv, &dash, VALUE, -15), RTPUSH_OK);
    T_EQ(rtpush_dash_text(&w->srv, &dash, NAME, "a\"b"), RTPUSH_OK);
    t_run(w);
    u_is(p, "temp: -1.5\nname: \"a\\\"b\"\n");
    u_free(p);
    T_EQ(rtpush_dash_set(&w->srv, &dash, RESET, 1), RTPUSH_ERR_ARGUMENT); // it has no topic
    T_EQ(rtpush_dash_set(&w->srv, &dash, WIDGETS, 1), RTPUSH_ERR_ARGUMENT);
    char text[200];
    memset(text, 'x', sizeof text);
    text[199] = '\0';
    T_EQ(rtpush_dash_text(&w->srv, &dash, NAME, text), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_dash_log(&w->srv, &dash, FIXED, "warn", text), RTPUSH_ERR_TOO_BIG);
    // "at most 140 bytes as JSON", and 100 of a text: what is between the quotation marks
    text[140] = '\0';
    T_EQ(rtpush_dash_log(&w->srv, &dash, FIXED, "warn", text), RTPUSH_OK);
    text[101] = '\0';
    T_EQ(rtpush_dash_text(&w->srv, &dash, NAME, text), RTPUSH_ERR_TOO_BIG);
    text[100] = '\0';
    T_EQ(rtpush_dash_text(&w->srv, &dash, NAME, text), RTPUSH_OK);
    t_finish(w);
}

// What is refused is said in words, once for a message in pieces ("longer than rx_size, and no
// command").
static void dash_says_what_is_wrong(void **state) {
    (void)state;
    char large[900];
    t_world *w = start(1024);
    u_peer *ws = u_stream(w, "{WS /ws}");
    t_send_frame(ws->c, 0x81, "{\"none\":1}", 10);
    t_run(w);
    u_is(ws, "1 no such control\n");
    t_send_frame(ws->c, 0x81, "{\"led\":\"on\"}", 12);
    t_run(w);
    u_is(ws, "1 another type of value is needed\n");
    u_free(ws);
    t_finish(w);
    routes[3].flags = RTPUSH_STREAM_MESSAGES;
    w = start(1024);
    ws = u_stream(w, "{WS /ws}");
    memset(large, ' ', sizeof large);
    memcpy(large + sizeof large - 9, "{\"led\":1}", 9);
    got.value = 7;
    t_send_frame(ws->c, 0x81, large, sizeof large);
    t_run(w);
    u_is(ws, "1 not {\"name\":value}\n");
    T_EQ(got.value, 7);
    routes[3].flags = 0;
}

// One command is one call, also if its page reads no answers: a wrong PIN counts once.
static void dash_asks_once_for_a_command(void **state) {
    (void)state;
    t_world *w = start(256);
    u_peer *ws = u_stream(w, "{WS /ws}");
    ws->c->window = 0;
    w->call = T_IN_API;
    while (rtpush_send(&w->srv, ws->c->handle, 1, "xxxxxxxx", 8) == RTPUSH_OK) {
    }
    t_leave(w);
    asked = 0;
    refuse = RTPUSH_ERR_STATE;
    t_send_frame(ws->c, 0x81, "{\"led\":1}", 9);
    t_advance(w, 3000);
    T_CHECK(asked <= 1, "asked %d times", asked);
    ws->c->window = SIZE_MAX;
    t_advance(w, 1000);
    refuse = 0;
    T_EQ(asked, 1);
    u_expect(ws, "1 refused by the device\n");
}

// "on_command: NULL: nothing is commanded"
static void on_no_command(rtpush_server *srv, const rtpush_request *req) {
    static const rtpush_dash mute = {"Dash", widgets, WIDGETS, NULL};
    rtpush_dash_control(srv, req, &mute);
}

static void dash_without_on_command_takes_none(void **state) {
    (void)state;
    routes[2].on_request = on_no_command;
    t_world *w = start(1024);
    u_peer *p = u_open(w, "POST /control HTTP/1.1\r\n" T_HOST "Content-Length: 9\r\n\r\n"
                          "{{\"led\":1}");
    u_is(p, "400 no such control\n");
    routes[2].on_request = on_control;
}

// Answers that cannot be given are no answers: the connection ends.
static void dash_ends_what_it_cannot_answer(void **state) {
    (void)state;
    static char origin[120] = "https://";
    static const char *const origins[] = {origin, NULL};
    memset(origin + 8, 'o', 90);
    for (int post = 0; post < 2; post++) {
        char text[300];
        t_world *w = t_fixture();
        w->desc.routes = routes;
        w->desc.route_count = sizeof routes / sizeof routes[0];
        w->desc.topics = topics;
        w->desc.topic_count = sizeof topics / sizeof topics[0];
        w->desc.tx_size = 256;
        w->desc.origins = origins;
        t_start(w);
        snprintf(text, sizeof text, "%s HTTP/1.1\r\n" T_HOST "Origin: %s\r\nContent-Length: %d"
                 "\r\n\r\n%s", post ? "POST /control" : "GET /dash.json", origin, post ? 9 : 0,
                 post ? "{\"led\":1}" : "");
        t_conn *c = t_connect(w);
        t_says(c, text);
        T_EQ(c->dropped, 1);
        T_EQ(c->out_total, 0);
        t_finish(w);
    }
}

// "each row as JSON must fit a quarter of tx_size", kinds and decimals are those of the header.
static void dash_refuses_rows_that_cannot_be_sent(void **state) {
    (void)state;
    static char label[400];
    static rtpush_widget row = {"temp", label, NULL, NULL, RTPUSH_DASH_VALUE, 0, 0, 0};
    static const rtpush_dash one = {"", &row, 1, NULL};
    memset(label, 'l', sizeof label - 1);
    routes[1].user = (void *)&one;
    t_world *w = start(300);
    t_conn *c = t_open(w, "{GET /lost}");
    t_advance(w, 31000);
    T_EQ(c->dropped, 1);
    T_EQ(rtpush_get_counters(&w->srv)->reasons[RTPUSH_REASON_TIMEOUT_REPLY], 1);
    t_finish(w);
    for (int i = 0; i < 2; i++) {
        row.kind = i ? RTPUSH_DASH_VALUE : RTPUSH_DASH_TEXT + 1;
        row.decimals = i ? 10 : 0;
        w = start(1024);
        u_peer *p = u_open(w, "{GET /lost}");
        u_is(p, "500 a widget has no topic, or a wrong kind\n");
        u_free(p);
        t_finish(w);
    }
    routes[1].user = (void *)&lost_dash;
}

// "CHART: a line over time: rtpush_dash_point"
static void dash_points_have_a_time(void **state) {
    (void)state;
    t_world *w = start(1024);
    t_app_of(w)->grant_topics = 31;
    u_peer *p = u_stream(w, "{GET /events}");
    t_advance(w, 234);
    T_EQ(rtpush_dash_point(&w->srv, &dash, FAN, -5), RTPUSH_OK);
    T_EQ(rtpush_dash_log(&w->srv, &dash, FIXED, "warn", "a\nb"), RTPUSH_OK);
    t_run(w);
    u_is(p, "fan.speed: [1234,-0.5]\nchat: [1234,\"warn\",\"a\\nb\"]\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(dash_reads_commands),
        u_test(dash_checks_the_range),
        u_test(dash_knows_what_takes_commands),
        u_test(dash_refuses_what_is_malformed),
        u_test(dash_survives_cuts_and_changes),
        u_test(dash_names_the_kinds),
        u_test(dash_sends_its_table_in_pieces_of_any_size),
        u_test(dash_refuses_a_table_without_its_topic),
        u_test(dash_commands_come_over_both_ways),
        u_test(dash_publishes_what_the_page_reads),
        u_test(dash_says_what_is_wrong),
        u_test(dash_asks_once_for_a_command),
        u_test(dash_without_on_command_takes_none),
        u_test(dash_ends_what_it_cannot_answer),
        u_test(dash_refuses_rows_that_cannot_be_sent),
        u_test(dash_points_have_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
