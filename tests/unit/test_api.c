// The public functions: arguments, handles that outlive their connection, calls from inside
// callbacks, shutdown, two servers in one program. And the leaves everything stands on.
#define U_INSIDE
#include "unit.h"

// -- init -----------------------------------------------------------------------------------------

static uint64_t init_memory[RTPUSH_WORDS(2, 512, 512, 1024, 2, 20)];
static rtpush_server init_srv;

static void init_request(rtpush_server *srv, const rtpush_request *req) {
    rtpush_reply_text(srv, req->conn, 200, "");
}

// One that is good.
static rtpush_desc init_desc(void) {
    static const rtpush_topic topics[] = {{"a", &rtpush_topic_event, 0, 0},
                                          {"s", &rtpush_topic_state, 0, 20}};
    rtpush_desc d;
    t_fill_routes();
    memset(&d, 0, sizeof d);
    d.routes = t_routes;
    d.route_count = T_R_COUNT;
    d.topics = topics;
    d.topic_count = 2;
    d.memory = init_memory;
    d.memory_size = sizeof init_memory;
    d.conn_count = 2;
    d.log_size = 1024;
    d.epoch = 1;
    return d;
}

static void init_refuses(const rtpush_desc *d, const char *text) {
    T_CHECK(rtpush_init(&init_srv, d) == RTPUSH_ERR_CONFIG, "accepted: %s", text);
    T_CHECK(strcmp(rtpush_config_error(&init_srv), text) == 0, "%s\n    instead of %s",
            rtpush_config_error(&init_srv), text);
}

static void api_config_error_names_the_field_what_is_needed_and_what_was_given(U_STATE) {
    rtpush_desc good = init_desc();
    T_EQ(rtpush_init(&init_srv, &good), RTPUSH_OK);
    assert_string_equal(rtpush_config_error(&init_srv), "");
    char need[80];
    size_t bytes = 2 * (sizeof(rtpush_conn) + 1024) + 1024 + 2 * sizeof(rtpi_value) + 20;
#define REFUSES(change, text) \
    do { \
        rtpush_desc d = good; \
        change; \
        init_refuses(&d, text); \
    } while (0)
    REFUSES(d.conn_count = 0, "conn_count: at least 1 needed, 0 given");
    REFUSES(d.rx_size = 255, "rx_size: 256 to 65532 needed, 255 given");
    REFUSES(d.rx_size = 65533, "rx_size: 256 to 65532 needed, 65533 given");
    REFUSES(d.rx_size = 70000, "rx_size: 256 to 65532 needed, 70000 given");
    REFUSES(d.tx_size = 255, "tx_size: 256 to 65532 needed, 255 given");
    REFUSES(d.tx_size = 65533, "tx_size: 256 to 65532 needed, 65533 given");
    REFUSES(d.epoch = 0, "epoch: at least 1 needed, 0 given");
    REFUSES(d.log_size = 0, "log_size: at least 256 needed, 0 given");
    REFUSES(d.log_size = 255, "log_size: at least 256 needed, 252 given");
    REFUSES((d.topics++, d.topic_count = 1, d.log_size = 128),
            "log_size: at least 256 needed, 128 given");
    REFUSES(d.topic_count = 33, "topic_count: 0 to 32 needed, 33 given");
    REFUSES(d.route_count = 255, "route_count: 1 to 254 needed, 255 given");
    REFUSES(d.route_count = 300, "route_count: 1 to 254 needed, 300 given");
    REFUSES(d.route_count = 0, "route_count: 1 to 254 needed, 0 given");
    REFUSES(d.routes = NULL, "routes: a table needed, given: NULL");
    REFUSES(d.topics = NULL, "topics: a table needed, given: NULL");
    REFUSES(d.max_streams = 3, "max_streams: 0 to 2 needed, 3 given");
    REFUSES(d.rate_messages = 32001, "rate_messages: 1 to 32000 needed, 32001 given");
    REFUSES(d.rate_bytes = 2000001, "rate_bytes: 1 to 2000000 needed, 2000001 given");
    REFUSES(d.head_ms = 8000001, "head_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.body_ms = 8000001, "body_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.idle_ms = 8000001, "idle_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.reply_ms = 8000001, "reply_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.ping_ms = 8000001, "ping_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.stall_ms = 8000001, "stall_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.close_ms = 8000001, "close_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.keepalive_ms = 8000001, "keepalive_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.poll_ms = 8000001, "poll_ms: 0 to 8000000 needed, 8000001 given");
    REFUSES(d.retry_ms = 0xFFFFFFFFu, "retry_ms: 0 to 8000000 needed, 4294967295 given");
    REFUSES(d.memory = NULL, "memory: aligned to 8 needed, at 00000000 given");
    snprintf(need, sizeof need, "memory: aligned to 8 needed, at %08lx given",
             (unsigned long)(uint32_t)((uintptr_t)init_memory + 1));
    REFUSES(d.memory = (uint8_t *)init_memory + 1, need);
    snprintf(need, sizeof need, "memory_size: %lu bytes needed, %lu given", (unsigned long)bytes,
             (unsigned long)bytes - 1);
    REFUSES(d.memory_size = bytes - 1, need);
    snprintf(need, sizeof need, "memory_size: 4294967295 bytes needed, %lu given",
             (unsigned long)sizeof init_memory);
    REFUSES(d.conn_count = 0xFFFFFFFFu, need);
    good.rate_messages = good.rate_bytes = RTPUSH_UNLIMITED;
    good.max_streams = 2;
    good.head_ms = good.retry_ms = 8000000;
    good.memory_size = bytes;
    T_EQ(rtpush_init(&init_srv, &good), RTPUSH_OK);
}

static void api_config_error_names_the_topic(U_STATE) {
    rtpush_topic topics[2];
    rtpush_desc d = init_desc();
    memcpy(topics, d.topics, sizeof topics);
    d.topics = topics;
    d.routes = &t_routes[T_R_HELLO];
    d.route_count = 1;
    static const struct {
        const char *name;
        const char *error;
    } cases[] = {
        {"", "topics[1].name: 1 to 32 of A-Za-z0-9-_. needed, given: "},
        {NULL, "topics[1].name: 1 to 32 of A-Za-z0-9-_. needed, given: NULL"},
        {"a b", "topics[1].name: 1 to 32 of A-Za-z0-9-_. needed, given: a b"},
        {"a\nb", "topics[1].name: 1 to 32 of A-Za-z0-9-_. needed, given: a\nb"},
        {"a,b", "topics[1].name: 1 to 32 of A-Za-z0-9-_. needed, given: a,b"},
        {"abcdefghijklmnopqrstuvwxyz0123456", // 33, of which there is room for 24
         "topics[1].name: 1 to 32 of A-Za-z0-9-_. needed, given: abcdefghijklmnopqrstuvwx"},
        {"rtpush", "topics[1].name: another one needed, given: rtpush"},
        {"rtpushx", "topics[1].name: another one needed, given: rtpushx"},
        {"a", "topics[1].name: another one needed, given: a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        topics[1].name = cases[i].name;
        init_refuses(&d, cases[i].error);
    }
    topics[1].name = "s";
    topics[1].max = 0;
    init_refuses(&d, "topics[1].max: 1 to 428 needed, 0 given");
    topics[1].max = 429;
    init_refuses(&d, "topics[1].max: 1 to 428 needed, 429 given");
    topics[1].max = 20;
    topics[1].kind = NULL;
    init_refuses(&d, "topics[1].kind: &rtpush_topic_event or _state needed, given: NULL");
    topics[1].kind = &rtpush_topic_state;
    T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
}

static void api_paths_that_no_request_can_have_are_refused(U_STATE) {
    static const char *const bad[] = {"", "x", "/api/:id", "/:id", "/{id}", "/a/<id>", "/*/x",
                                      "/a*b", "/a*", "*", "/a?b", "/a#b", "/a%20b", "/.", "/a/..",
                                      "/./a", "/a\nb", "/a\x7F", "/a\\b"};
    static const char *const good[] = {"/", "/*", "/a", "/a/*", "/a:b", "/a/b.c", "/a b",
                                       "/\xC3\xA4", "/...", "/a//b", "/a@b,c;d"};
    rtpush_route route;
    rtpush_desc d = init_desc();
    route = t_routes[T_R_HELLO];
    d.routes = &route;
    d.route_count = 1;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[120];
        route.path = bad[i];
        snprintf(text, sizeof text,
                 "routes[0].path: \"/exact\" or \"/prefix/*\" needed, given: %s", bad[i]);
        init_refuses(&d, text);
    }
    route.path = NULL;
    init_refuses(&d, "routes[0].path: \"/exact\" or \"/prefix/*\" needed, given: NULL");
    char longest[381]; // of targets, three quarters of rx_size less 5, are not answered 414
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[380] = '\0';
    route.path = longest;
    init_refuses(&d, "routes[0].path: 1 to 379 needed, 380 given");
    longest[379] = '\0';
    T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        route.path = good[i];
        T_CHECK(rtpush_init(&init_srv, &d) == RTPUSH_OK, "%s: %s", good[i],
                rtpush_config_error(&init_srv));
    }
}

static void api_routes_that_no_request_can_reach_are_refused(U_STATE) {
    static const char *const pairs[][2] = {{"/a", "/a"}, {"/*", "/a"}, {"/a/*", "/a/b"},
                                           {"/a/*", "/a/b/*"}, {"/a/*", "/a/"}, {"/*", "/"}};
    rtpush_route routes[2];
    rtpush_desc d = init_desc();
    routes[0] = routes[1] = t_routes[T_R_HELLO];
    d.routes = routes;
    d.route_count = 2;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[120];
        routes[0].path = pairs[i][0];
        routes[1].path = pairs[i][1];
        snprintf(text, sizeof text,
                 "routes[1].path: one that no earlier route takes needed, given: %s", pairs[i][1]);
        init_refuses(&d, text);
        if (strcmp(pairs[i][0], pairs[i][1]) != 0) {
            routes[0].path = pairs[i][1];
            routes[1].path = pairs[i][0];
            T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
        }
    }
}

static void api_config_error_names_the_route(U_STATE) {
    static const rtpush_topic binary[] = {{"a", &rtpush_topic_event, 0, 0},
                                          {"b", &rtpush_topic_event, RTPUSH_BINARY, 0}};
    static const char topics[] =
        "routes[0].topics: topics there are needed, given: others, or BINARY ones";
    static const char *const six[] = {"a", "b", "c", "d", "e", "f", NULL};
    static const char *const seven[] = {"a", "b", "c", "d", "e", "f", "g", NULL};
    static const char *const upper[] = {"x-Test", NULL};
    static const char *const known[] = {"x-a", "host", NULL};
    static const rtpush_asset no_data = {"text/plain", NULL, 0, NULL, 0, NULL, NULL};
    static const rtpush_asset no_type = {NULL, "x", 1, NULL, 0, NULL, NULL};
    static const rtpush_asset bad_tag = {"text/plain", "x", 1, NULL, 0, "\"v1\"", NULL};
    rtpush_route r;
    rtpush_desc d = init_desc();
    d.topics = binary;
    d.routes = &r;
    d.route_count = 1;
    memset(&r, 0, sizeof r);
    r.path = "/x";
    init_refuses(&d, "routes[0].kind: &rtpush_handler, _file ... needed, given: NULL");
    r.kind = &rtpush_handler;
    init_refuses(&d, "routes[0].on_request: a function needed, given: NULL");
    r.on_request = init_request;
    r.max_body = 1;
    init_refuses(&d,
                 "routes[0].kind: &rtpush_upload for a max_body needed, given: &rtpush_handler");
    r.kind = &rtpush_upload;
    r.max_body = 0;
    init_refuses(&d, "routes[0].max_body: 1 to 511 needed, 0 given");
    r.max_body = 512;
    init_refuses(&d, "routes[0].max_body: 1 to 511 needed, 512 given");
    r.max_body = 511;
    r.headers = seven;
    init_refuses(&d, "routes[0].headers: 0 to 6 needed, 7 given");
    r.headers = upper;
    init_refuses(&d, "routes[0].headers: lower case, not kept anyway needed, given: x-Test");
    r.headers = known;
    init_refuses(&d, "routes[0].headers: lower case, not kept anyway needed, given: host");
    r.headers = six;
    T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
    r.kind = &rtpush_file;
    r.methods = RTPUSH_GET;
    init_refuses(&d, "routes[0].methods: none for this kind needed, given: some");
    r.methods = 0;
    init_refuses(&d, "routes[0].asset: content_type and data or gzip needed, given: NULL");
    r.asset = &no_data;
    init_refuses(&d, "routes[0].asset: content_type and data or gzip needed, given: NULL");
    r.asset = &no_type;
    init_refuses(&d, "routes[0].asset: content_type and data or gzip needed, given: NULL");
    r.asset = &bad_tag;
    init_refuses(&d, "routes[0].asset: etag of A-Za-z0-9-_ needed, given: \"v1\"");
    for (int poll = 0; poll <= 1; poll++) { // bytes have no form there
        r.kind = poll ? &rtpush_poll : &rtpush_events;
        r.topics = 2;
        init_refuses(&d, topics);
        r.topics = 1;
        T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
    }
    d.topics = binary + 1; // none but bytes
    d.topic_count = 1;
    r.topics = 0;
    init_refuses(&d, topics);
    d.topics = binary;
    d.topic_count = 2;
    r.kind = &rtpush_websocket;
    r.topics = 4;
    init_refuses(&d, topics);
    r.topics = 3;
    r.max_message = 512 - 125 + 1;
    init_refuses(&d, "routes[0].max_message: 0 to 387 needed, 388 given");
    r.max_message--;
    T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
    r.piece = 1;
    init_refuses(&d, "routes[0].piece: 0 to 0 needed, 1 given");
    r.flags = RTPUSH_STREAM_MESSAGES;
    r.max_message = 1000000;
    T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
}

static void api_hosts_and_origins_that_no_browser_sends_are_refused(U_STATE) {
    static const char *const bad_origins[] = {"app.example", "https://app.example/", "null",
                                              "https://app.example/page", "*", "://x", "",
                                              "https://", "https://a b", "https:app.example"};
    static const char *const good_origins[] = {"https://app.example", "http://10.0.0.1:8080",
                                               "https://App.Example", "http://[fe80::1]:81",
                                               "capacitor://localhost"};
    static const char *const bad_hosts[] = {"", "http://esp32.local", "esp32.local:80", "a b",
                                            "esp32.local.", "*.local", "[::1]"};
    static const char *const good_hosts[] = {"esp32.local", "ESP32", "*", "my_device"};
    const char *list[3] = {NULL, NULL, NULL};
    char text[120];
    rtpush_desc d = init_desc();
    d.origins = list;
    list[0] = "https://good.example";
    for (size_t i = 0; i < sizeof bad_origins / sizeof bad_origins[0]; i++) {
        list[1] = bad_origins[i];
        snprintf(text, sizeof text, "origins[1]: scheme://host[:port] needed, given: %s", list[1]);
        init_refuses(&d, text);
    }
    for (size_t i = 0; i < sizeof good_origins / sizeof good_origins[0]; i++) {
        list[1] = good_origins[i];
        T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
    }
    d.origins = NULL;
    d.hosts = list;
    list[1] = NULL;
    for (size_t i = 0; i < sizeof bad_hosts / sizeof bad_hosts[0]; i++) {
        list[0] = bad_hosts[i];
        snprintf(text, sizeof text, "hosts[0]: a name without port, or * needed, given: %s",
                 list[0]);
        init_refuses(&d, text);
    }
    for (size_t i = 0; i < sizeof good_hosts / sizeof good_hosts[0]; i++) {
        list[0] = good_hosts[i];
        T_EQ(rtpush_init(&init_srv, &d), RTPUSH_OK);
    }
}

// What the macro counts suffices exactly, whatever the numbers are.
static void api_words_are_what_init_needs(U_STATE) {
    t_rng rng = t_seed(5);
    for (int run = 0; run < 500; run++) {
        rtpush_topic topics[8];
        rtpush_route route;
        char names[8][4];
        rtpush_desc d = init_desc();
        uint32_t sum = 0;
        int events = 0;
        t_fill_routes();
        route = t_routes[T_R_HELLO];
        memset(topics, 0, sizeof topics);
        d.routes = &route;
        d.route_count = 1;
        d.topics = topics;
        d.topic_count = (uint8_t)t_below(&rng, 9);
        for (unsigned i = 0; i < d.topic_count; i++) {
            snprintf(names[i], sizeof names[i], "t%u", i);
            topics[i].name = names[i];
            int state = (int)t_below(&rng, 2);
            topics[i].kind = state ? &rtpush_topic_state : &rtpush_topic_event;
            topics[i].max = (uint16_t)(state ? 1 + t_below(&rng, 150) : 0);
            sum += topics[i].max;
            events |= topics[i].kind == &rtpush_topic_event;
        }
        d.conn_count = 1 + t_below(&rng, 9);
        d.rx_size = (uint16_t)(256 + t_below(&rng, 300));
        d.tx_size = (uint16_t)(256 + t_below(&rng, 300));
        d.log_size = events ? 256 + 4 * t_below(&rng, 100) : 0;
        size_t words = RTPUSH_WORDS(d.conn_count, d.rx_size, d.tx_size, d.log_size, d.topic_count,
                                    sum);
        uint64_t *memory = (uint64_t *)malloc(words * 8);
        d.memory = memory;
        d.memory_size = words * 8;
        memset(memory, 0xA5, words * 8);
        T_CHECK(rtpush_init(&init_srv, &d) == RTPUSH_OK, "%s", rtpush_config_error(&init_srv));
        const uint8_t *unused = (const uint8_t *)memory;
        while (unused < init_srv.log && *unused == 0xA5) {
            unused++;
        }
        T_CHECK(unused == init_srv.log, "init writes to a connection, which takes memory of a PC");
        T_CHECK((uint8_t *)(init_srv.state + d.topic_count) + sum <= (uint8_t *)(memory + words),
                "the parts pass the end");
        d.memory_size -= 8;
        T_EQ(rtpush_init(&init_srv, &d), RTPUSH_ERR_CONFIG);
        free(memory);
    }
    T_CHECK(RTPUSH_WORDS(0xFFFFFFFFu, 65532, 65532, 0, 0, 0) > 0x7FFFFFFFu / 8, "it wraps");
}

// A gateway's may be more: 1,000,000 connections with 2 + 2 KiB.
static void api_memory_may_be_more_than_4_gib(U_STATE) {
    static const uint32_t indices[] = {0, 1, 32735, 32736, 999999};
    rtpush_server srv;
    memset(&srv, 0, sizeof srv);
    srv.conns = (rtpush_conn *)init_memory;
    srv.conn_size = (uint32_t)RTPI_CONN_SIZE((uint64_t)65532 + 65532);
    for (size_t i = 0; i < sizeof indices / sizeof *indices && sizeof(size_t) > 4; i++) {
        const uintptr_t at = (uintptr_t)srv.conns + (uintptr_t)indices[i] * srv.conn_size;
        T_EQ(rtpi_conn_index(&srv, (const rtpush_conn *)at), indices[i]);
    }
}

static void api_init_notices_another_header(U_STATE) {
    static rtpush_server srv;
    rtpush_desc d;
    memset(&d, 0, sizeof d);
    T_EQ(rtpush_init_sized(&srv, &d, sizeof srv + 4, sizeof(rtpush_conn), RTPUSH_VERSION),
         RTPUSH_ERR_VERSION);
    T_EQ(rtpush_init_sized(&srv, &d, sizeof srv, sizeof(rtpush_conn) + 4, RTPUSH_VERSION),
         RTPUSH_ERR_VERSION);
    T_EQ(rtpush_init_sized(&srv, &d, sizeof srv, sizeof(rtpush_conn), RTPUSH_VERSION + 1),
         RTPUSH_ERR_VERSION);
    // The other header's server may be smaller than ours: not a byte is written behind it.
    rtpush_server *small = (rtpush_server *)malloc(1);
    T_EQ(rtpush_init_sized(small, &d, 1, sizeof(rtpush_conn), RTPUSH_VERSION), RTPUSH_ERR_VERSION);
    assert_string_equal(rtpush_config_error(small),
                        "rtpush.h: this file was built with another one");
    free(small);
    memset(&srv, 0, sizeof srv);
    assert_string_equal(rtpush_config_error(&srv), ""); // before init
}

static void api_errors_and_reasons_have_words(U_STATE) {
    for (int error = RTPUSH_ERR_MALFORMED; error <= 0; error++) {
        T_CHECK(strlen(rtpush_strerror(error)) > 1, "no words for error %d", error);
        for (int other = RTPUSH_ERR_MALFORMED; other < error; other++) {
            T_CHECK(strcmp(rtpush_strerror(error), rtpush_strerror(other)) != 0,
                    "%d and %d are the same words", error, other);
        }
    }
    assert_non_null(rtpush_strerror(-1000));
    assert_non_null(rtpush_strerror(1000));
    for (int why = 0; why < RTPUSH_REASON_COUNT; why++) {
        T_CHECK(strlen(rtpush_reason_text(why)) > 1, "no words for reason %d", why);
        for (int other = 0; other < why; other++) {
            T_CHECK(strcmp(rtpush_reason_text(why), rtpush_reason_text(other)) != 0, "%d and %d",
                    why, other);
        }
    }
    assert_non_null(rtpush_reason_text(-1));
    assert_non_null(rtpush_reason_text(RTPUSH_REASON_COUNT));
}

static void api_publish_checks_its_arguments(U_STATE) {
    t_world *w = t_begin();
    T_EQ(t_publish(w, 4, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(t_publish(w, 0xFFFFFFFFu, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(t_publish(w, T_LOG, NULL, 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(t_publish(w, T_LOG, NULL, 0), RTPUSH_OK);
    T_EQ(t_publish(w, T_LOG, "x", (size_t)-1), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_publish_from(&w->srv, 4, "x", 1), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_publish_from(&w->srv, T_LOG, "\xFF", 1), RTPUSH_ERR_UTF8);
    T_EQ(rtpush_publish_from(&w->srv, T_TEMP, "x", 100), RTPUSH_ERR_TOO_BIG);
    T_EQ(rtpush_last_id(&w->srv).seq, 1);
    T_EQ(rtpush_topic_index(&w->srv, "log"), T_LOG);
    T_EQ(rtpush_topic_index(&w->srv, "led"), T_LED);
    T_EQ(rtpush_topic_index(&w->srv, "lo"), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_topic_index(&w->srv, "logs"), RTPUSH_ERR_ARGUMENT);
    T_EQ(rtpush_topic_index(&w->srv, ""), RTPUSH_ERR_ARGUMENT);
}

static void api_id_is_written_in_hexadecimal(U_STATE) {
    char text[RTPUSH_ID_SIZE];
    rtpush_id id = {0x00C0FFEE, 0xDEADBEEF};
    assert_string_equal(rtpush_id_format(id, text), "00c0ffee-deadbeef");
    id.epoch = 0;
    id.seq = 1;
    assert_string_equal(rtpush_id_format(id, text), "00000000-00000001");
}

// -- handles --------------------------------------------------------------------------------------

static void expect_stale(t_world *w, rtpush_handle h) {
    rtpush_response response;
    memset(&response, 0, sizeof response);
    T_EQ(rtpush_send(&w->srv, h, 1, "x", 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_send_part(&w->srv, h, 1, "x", 1, 1, 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_send_room(&w->srv, h), 0);
    T_EQ(rtpush_subscribe(&w->srv, h, 1), RTPUSH_ERR_STALE);
    T_EQ(rtpush_close(&w->srv, h, 1000, NULL), RTPUSH_ERR_STALE);
    T_EQ(rtpush_abort(&w->srv, h), RTPUSH_ERR_STALE);
    T_EQ(rtpush_retry(&w->srv, h), RTPUSH_ERR_STALE);
    T_EQ(rtpush_reply(&w->srv, h, &response), RTPUSH_ERR_STALE);
    T_EQ(rtpush_reply_text(&w->srv, h, 200, "x"), RTPUSH_ERR_STALE);
    T_EQ(rtpush_set_user(&w->srv, h, w), RTPUSH_ERR_STALE);
    assert_null(rtpush_user(&w->srv, h));
    assert_null(rtpush_route_of(&w->srv, h));
    T_EQ(rtpush_rtt_ms(&w->srv, h), -1);
}

// Invariant 16: also when the slot serves somebody else.
static void api_stale_handles_are_errors(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 1;
    t_start(w);
    rtpush_handle none = {0, 0};
    rtpush_handle wild = {0xDEADBEEF, 0xFFFFFFFF};
    rtpush_handle near = {1, 1};
    expect_stale(w, none);
    expect_stale(w, wild);
    expect_stale(w, near);
    for (int i = 0; i < 50; i++) {
        u_peer *p = u_stream(w, "{WS /ws}");
        rtpush_handle h = p->c->handle;
        T_EQ(rtpush_set_user(&w->srv, h, p), RTPUSH_OK);
        assert_ptr_equal(rtpush_user(&w->srv, h), p);
        u_free(p);
        t_run_ready(w);
        expect_stale(w, h);
        p = u_stream(w, "{WS /ws}");
        expect_stale(w, h);
        assert_null(rtpush_user(&w->srv, p->c->handle)); // nothing of one reaches the next
        T_EQ(rtpush_rtt_ms(&w->srv, p->c->handle), -1);
        t_send_text(p->c, "still here");
        u_is(p, "1 still here\n");
        u_free(p);
        t_run_ready(w);
    }
}

static void api_wrong_kind_of_connection_is_an_error(U_STATE) {
    t_world *w = t_begin();
    u_peer *sse = u_stream(w, "{GET /events}");
    u_peer *later = u_open(w, "{GET /later}");
    rtpush_handle h = sse->c->handle;
    w->call = T_IN_API;
    T_CHECK(rtpush_send(&w->srv, h, 1, "x", 1) == RTPUSH_ERR_STATE, "sent to an event stream");
    T_CHECK(rtpush_send_part(&w->srv, h, 1, "x", 1, 1, 1) == RTPUSH_ERR_STATE, "part");
    T_EQ(rtpush_send_room(&w->srv, h), 0);
    T_CHECK(rtpush_reply_text(&w->srv, h, 200, "x") == RTPUSH_ERR_STATE, "reply to a stream");
    T_CHECK(rtpush_subscribe(&w->srv, later->c->handle, 1) == RTPUSH_ERR_STATE, "subscribe");
    T_CHECK(rtpush_send(&w->srv, later->c->handle, 1, "x", 1) == RTPUSH_ERR_STATE, "send");
    T_EQ(rtpush_reply_text(&w->srv, later->c->handle, 200, "ok"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_is(later, "200 ok\n");
}

static void api_iterates_over_open_streams(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 6;
    t_start(w);
    u_peer *a = u_stream(w, "{WS /ws}");
    u_open(w, "{GET /hello}");
    u_peer *b = u_stream(w, "{GET /events}");
    int found_a = 0;
    int found_b = 0;
    int count = 0;
    rtpush_handle at = {0, 0};
    for (at = rtpush_next_stream(&w->srv, at); at.serial != 0 || at.index != 0;
         at = rtpush_next_stream(&w->srv, at)) {
        found_a += t_same(at, a->c->handle);
        found_b += t_same(at, b->c->handle);
        count++;
    }
    T_EQ(count, 2);
    T_EQ(found_a, 1);
    T_EQ(found_b, 1);
}

// -- inside callbacks -----------------------------------------------------------------------------

static int g_action;
static int g_at; // 0 on_open, 1 on_message, 2 on_close, 3 on_writable
static int g_guard;

static void act(rtpush_server *srv, rtpush_handle self) {
    t_world *w = t_world_of(srv);
    rtpush_handle at = {0, 0};
    if (g_guard++ > 20) {
        return;
    }
    switch (g_action) {
    case 0:
        rtpush_close(srv, self, 1000, "self");
        break;
    case 1:
        rtpush_abort(srv, self);
        break;
    case 2: // everybody
        for (at = rtpush_next_stream(srv, at); at.serial != 0; at = rtpush_next_stream(srv, at)) {
            rtpush_close(srv, at, 1001, NULL);
        }
        break;
    case 3:
        for (at = rtpush_next_stream(srv, at); at.serial != 0; at = rtpush_next_stream(srv, at)) {
            rtpush_abort(srv, at);
        }
        break;
    case 4:
        for (int i = 0; i < 10; i++) {
            t_publish_inside(w, T_LOG, "0123456789012345678901234567890123456789", 40);
            t_publish_inside(w, T_TEMP, "22", 2);
        }
        break;
    case 5:
        rtpush_subscribe(srv, self, 1u << T_TEMP);
        rtpush_subscribe(srv, self, 0);
        rtpush_subscribe(srv, self, 15);
        break;
    case 6:
        rtpush_shutdown(srv);
        break;
    case 7:
        rtpush_send(srv, self, 1, "from inside", 11);
        rtpush_retry(srv, self);
        break;
    case 8:
        rtpush_close(srv, self, 1000, "self");
        rtpush_abort(srv, self);
        rtpush_close(srv, self, 1000, "again");
        break;
    default:
        rtpush_set_user(srv, self, &g_action);
        rtpush_reply_text(srv, self, 200, "not a request");
        break;
    }
}

static void act_open(rtpush_server *srv, const rtpush_request *req) {
    t_on_open(srv, req);
    if (g_at == 0) {
        act(srv, req->conn);
        // The request stays readable to the end of the callback.
        T_CHECK(strlen(req->path) >= 3, "the path is gone: %s", req->path);
    }
}

static int act_message(rtpush_server *srv, rtpush_handle conn, const rtpush_message *msg) {
    uint8_t copy[400];
    size_t len = msg->len < sizeof copy ? msg->len : sizeof copy;
    memcpy(copy, msg->data, len);
    t_life_use(t_world_of(srv), conn);
    if (g_at == 1) {
        act(srv, conn);
        T_CHECK(memcmp(copy, msg->data, len) == 0, "the message changed under the callback");
    }
    return RTPUSH_OK;
}

static void act_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed) {
    t_on_close(srv, conn, closed);
    if (g_at == 2) {
        act(srv, conn);
    }
}

static void act_writable(rtpush_server *srv, rtpush_handle conn) {
    t_life_use(t_world_of(srv), conn);
    if (g_at == 3) {
        act(srv, conn);
    }
}

static void callback_story(int at, int action, int kind) {
    static const char *const hello[] = {"{WS /ws}", "{GET /events}", "{WSP /ws rtpush.1}"};
    snprintf(t_where, sizeof t_where, "callback %d, action %d, %s", at, action, hello[kind]);
    t_world *w = t_fixture();
    g_at = 9;
    g_guard = 0;
    g_action = action;
    t_routes[T_R_WS].on_open = t_routes[T_R_EVENTS].on_open = act_open;
    t_routes[T_R_WS].on_close = t_routes[T_R_EVENTS].on_close = act_close;
    t_routes[T_R_WS].on_message = act_message;
    t_routes[T_R_WS].on_writable = act_writable;
    w->desc.log_size = 512;
    w->desc.conn_count = 5;
    t_start(w);
    t_conn *other = t_open(w, "{WS /ws}");
    t_conn *third = t_open(w, "{GET /events}");
    third->hold_acks = 1;
    t_publish_text(w, T_LOG, "before");
    t_run(w);
    g_at = at;
    t_conn *c = t_connect(w);
    c->hold_acks = 1;
    t_say(c, hello[kind]);
    t_publish_text(w, T_LOG, "event");
    t_run(w);
    if (kind != 1) {
        t_say(c, "{81:hello}{89:p}{81:again}");
        c->window = 0;
        w->call = T_IN_API;
        while (rtpush_send(&w->srv, c->handle, 1, "xxxxxxxxxxxxxxxxxxxx", 20) == RTPUSH_OK) {
        }
        t_leave(w);
        c->window = SIZE_MAX;
        t_run(w);
    }
    for (int i = 0; i < 20; i++) {
        t_ack(c, c->unacked);
        t_ack(third, third->unacked);
        t_run(w);
    }
    t_cut(c);
    t_run(w);
    t_advance(w, 5000);
    (void)other;
    t_finish(w);
    t_where[0] = 0;
}

static void api_anything_may_be_called_from_any_callback(U_STATE) {
    for (int at = 0; at < 4; at++) {
        for (int action = 0; action < 10; action++) {
            for (int kind = 0; kind < 3; kind++) {
                callback_story(at, action, kind);
            }
        }
    }
}

static void abort_all(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    rtpush_abort(srv, req->conn);
    T_CHECK(rtpush_reply_text(srv, req->conn, 200, "too late") < 0, "reply after abort");
}

static void close_first(rtpush_server *srv, const rtpush_request *req) {
    t_on_request(srv, req);
    T_EQ(rtpush_reply_text(srv, req->conn, 200, "bye"), RTPUSH_OK);
    T_EQ(rtpush_close(srv, req->conn, 0, NULL), RTPUSH_OK);
}

static void api_handler_may_abort_or_close_its_own_request(U_STATE) {
    for (int i = 0; i < 2; i++) {
        t_world *w = t_fixture();
        t_routes[T_R_HELLO].on_request = i ? close_first : abort_all;
        t_start(w);
        u_peer *p = u_open(w, "{GET /hello}{GET /files/more}");
        t_run(w);
        u_is(p, i ? "200 bye\n" : "");
        T_CHECK(t_ended(p->c), "the connection lives on");
        T_EQ(p->c->dropped, i ? 2 : 1);
        u_free(p);
        t_finish(w);
    }
}

static void api_abort_resets_at_once(U_STATE) {
    t_world *w = t_begin();
    u_peer *p = u_stream(w, "{WS /ws}");
    w->call = T_IN_NEXT; // may drop
    T_EQ(rtpush_abort(&w->srv, p->c->handle), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    T_EQ(p->c->dropped, 1);
    t_expect_events(w, "close APP 1006");
}

// -- shutdown -------------------------------------------------------------------------------------

static void api_shutdown_closes_all_gracefully(U_STATE) {
    t_world *w = t_fixture();
    w->desc.conn_count = 8;
    t_start(w);
    u_peer *ws = u_stream(w, "{WS /ws}");
    u_peer *sse = u_stream(w, "{GET /events}");
    u_peer *poll = u_open(w, "{GET /poll}");
    u_clear(poll);
    char text[120];
    snprintf(text, sizeof text, "{GET /poll?last_event_id=%s}", poll->last_id);
    t_say(poll->c, text);
    u_peer *idle = u_open(w, "{GET /hello}");
    u_peer *silent = u_open(w, "");
    u_peer *later = u_open(w, "{GET /later}");
    unsigned long before = sse->cl.retry_count;
    w->call = T_IN_API;
    rtpush_shutdown(&w->srv);
    t_leave(w);
    t_run(w);
    assert_null(t_connect_peer(w, 0, 1));
    u_expect(ws, "8 1001");
    u_read(sse);
    T_EQ(sse->cl.retry_count, before + 1);
    T_CHECK(sse->cl.retry >= 2000, "retry: %lu", sse->cl.retry);
    T_EQ(sse->c->fin, 1);
    u_read(poll);
    T_EQ(poll->cl.answers, 2);
    T_EQ(idle->c->fin, 1);
    T_EQ(silent->c->fin, 1);
    w->call = T_IN_API;
    T_EQ(rtpush_reply_text(&w->srv, later->c->handle, 200, "finished"), RTPUSH_OK);
    t_leave(w);
    t_run(w);
    u_expect(later, "200 finished");
    T_CHECK(t_field_is(&later->cl, "Connection", "close"), "keeps the connection in shutdown");
    t_send_close(ws->c, 1001, "");
    t_advance(w, 5000);
    T_EQ(rtpush_get_counters(&w->srv)->slots_used, 0);
}

// -- two servers ----------------------------------------------------------------------------------

static void server_story(t_world *w, int step) {
    char text[64];
    snprintf(text, sizeof text, "step %d", step);
    switch (step % 5) {
    case 0:
        t_open(w, step % 2 ? "{WS /ws}{81:hello}" : "{GET /events}");
        break;
    case 1:
    case 2:
        t_publish_text(w, step % 3 ? T_LOG : T_TEMP, text);
        break;
    case 3:
        t_advance(w, 700);
        break;
    default:
        t_run(w);
        break;
    }
}

static void collect(const t_world *w, t_buf *out) {
    for (int i = 0; i < T_CONNS; i++) {
        if (w->conns[i].used) {
            t_put(out, w->conns[i].out.data, w->conns[i].out.len);
        }
    }
    t_put(out, w->events.data, w->events.len);
}

// Invariant 22: two servers in one run are two runs.
static void api_two_servers_do_not_know_each_other(U_STATE) {
    t_buf alone[2] = {{0}, {0}};
    t_buf both[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        t_world *w = t_fixture();
        w->desc.conn_count = 12;
        t_start(w);
        for (int step = 0; step < 50; step++) {
            server_story(w, step + i);
        }
        collect(w, &alone[i]);
        t_finish(w);
    }
    t_world *w[2];
    for (int i = 0; i < 2; i++) {
        w[i] = t_fixture();
        w[i]->desc.conn_count = 12;
        t_start(w[i]);
    }
    for (int step = 0; step < 50; step++) {
        server_story(w[0], step);
        server_story(w[1], step + 1);
    }
    for (int i = 0; i < 2; i++) {
        collect(w[i], &both[i]);
        T_EQ(alone[i].len, both[i].len);
        assert_memory_equal(alone[i].data, both[i].data, both[i].len);
        t_buf_free(&alone[i]);
        t_buf_free(&both[i]);
        t_finish(w[i]);
    }
}

static void api_works_without_optional_hooks_and_callbacks(U_STATE) {
    static rtpush_server srv;
    static uint64_t memory[RTPUSH_WORDS(2, 256, 256, 256, 1, 0)];
    static const rtpush_topic topics[] = {{"t", &rtpush_topic_event, 0, 0}};
    static rtpush_route routes[2];
    memset(routes, 0, sizeof routes);
    routes[0].path = "/ws";
    routes[0].kind = &rtpush_websocket;
    routes[1].path = "/events";
    routes[1].kind = &rtpush_events;
    rtpush_desc d;
    memset(&d, 0, sizeof d);
    d.routes = routes;
    d.route_count = 2;
    d.topics = topics;
    d.topic_count = 1;
    d.memory = memory;
    d.memory_size = sizeof memory;
    d.conn_count = 2;
    d.rx_size = d.tx_size = 256;
    d.log_size = 256;
    d.epoch = 7;
    T_EQ(rtpush_init(&srv, &d), RTPUSH_OK);
    t_world *w = t_new(); // only its drop hook
    rtpush_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.drop = t_hook_drop;
    hooks.ctx = w;
    T_EQ(rtpush_attach(&srv, &hooks), RTPUSH_OK);
    rtpush_tick(&srv, 5);
    t_conn *c = &w->conns[0];
    c->world = w;
    c->conn = rtpush_accept(&srv, 0, 0, c);
    assert_non_null(c->conn);
    t_buf in = {0};
    t_expand(&in, "{WS /ws}{81:nobody listens}{89:p}");
    T_EQ(rtpush_input(&srv, c->conn, in.data, in.len), in.len);
    T_EQ(rtpush_publish(&srv, 0, "x", 1), RTPUSH_OK);
    T_EQ(rtpush_publish_from(&srv, 0, "y", 1), RTPUSH_ERR_STATE); // no lock hook
    t_buf out = {0};
    while (rtpush_next(&srv) != NULL) {
        rtpush_span spans[8];
        int n;
        while ((n = rtpush_output(&srv, c->conn, spans, 8)) > 0) {
            size_t sum = 0;
            for (int i = 0; i < n; i++) {
                t_put(&out, spans[i].data, spans[i].len);
                sum += spans[i].len;
            }
            rtpush_sent(&srv, c->conn, sum, sum);
        }
    }
    T_CHECK(t_match(out.data, out.len, "HTTP/1.1 101 |<8a:p>|<81:x>") == NULL, "%s",
            t_text(&out));
    rtpush_gone(&srv, c->conn);
    assert_null(rtpush_next(&srv));
    T_EQ(rtpush_get_counters(&srv)->slots_used, 0);
    t_buf_free(&in);
    t_buf_free(&out);
    t_free(w);
}

// -- leaves ---------------------------------------------------------------------------------------

// FIPS 180-4 and section 7.3 of RFC 3174, and every length around the padding's edges.
static void leaf_sha1_matches_the_vectors(U_STATE) {
    static const char *const table[][2] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
         "b37a4f2cc0624f1690f64606cf385945b2bec4ea"}, // section 1.3 of RFC 6455
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "m"
         "nopqrsmnopqrstnopqrstu",
         "a49b2446a02c645bf419f995b67091253a04a259"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t digest[20];
        char hex[41];
        uint8_t data[256]; // it is padded in place
        memcpy(data, table[i][0], strlen(table[i][0]));
        rtpi_sha1(data, strlen(table[i][0]), digest);
        for (int k = 0; k < 20; k++) {
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        }
        assert_string_equal(hex, table[i][1]);
    }
}

// Section 10 of RFC 4648.
static void leaf_base64_matches_the_vectors(U_STATE) {
    static const char *const table[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < 7; i++) {
        uint8_t out[32];
        rtpush_text t;
        memset(&t, 0, sizeof t);
        t.data = out;
        t.cap = sizeof out;
        rtpi_put_base64(&t, (const uint8_t *)table[i][0], strlen(table[i][0]), 0);
        T_EQ(t.len, strlen(table[i][1]));
        assert_memory_equal(out, table[i][1], t.len);
        t.len = 0; // with url, no padding
        rtpi_put_base64(&t, (const uint8_t *)table[i][0], strlen(table[i][0]), 1);
        T_EQ(t.len, strcspn(table[i][1], "="));
        assert_memory_equal(out, table[i][1], t.len);
    }
}

// The validator at every split gives what it gives whole, and what the plain one says.
// rtpush_text: whole or not at all, and after the first thing that does not fit nothing more.
static void text_writer_fills_memory_to_the_last_byte_and_not_beyond(U_STATE) {
    char memory[24];
    for (uint32_t cap = 0; cap <= 20; cap++) {
        rtpush_text t = {(uint8_t *)memory, cap, 0, 0};
        memset(memory, '#', sizeof memory);
        rtpush_text_put(&t, "ab", 2);
        rtpush_text_decimal(&t, 4294967295u);
        rtpush_text_hex(&t, 0x00C0FFEEu);
        static const char all[] = "ab429496729500c0ffee";
        T_EQ(t.over, cap < 20);
        T_EQ(t.len, cap < 2 ? 0 : cap < 12 ? 2 : cap < 20 ? 12 : 20);
        assert_memory_equal(memory, all, t.len);
        T_CHECK(memory[cap] == '#', "a byte behind %lu", (unsigned long)cap);
        rtpush_text_put(&t, "", 0);
        T_EQ(t.over, cap < 20);
    }
    rtpush_text t = {(uint8_t *)memory, sizeof memory, 0, 0};
    rtpush_text_base64(&t, "\xFB\xFF", 2, 0); // RFC 4648 4, then 5 without padding
    rtpush_text_base64(&t, "\xFB\xFF", 2, 1);
    T_EQ(t.len, 7);
    assert_memory_equal(memory, "+/8=-_8", 7);
}

// rtpush_utf8: the same at every cut, RFC 3629.
static void utf8_can_stop_at_any_byte(U_STATE) {
    static const char good[] = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z";
    static const char *const bad[] = {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80",
                                      "\xFF", "a\xE2\x28\xA1"};
    for (size_t cut = 0; cut <= sizeof good - 1; cut++) {
        unsigned s = rtpush_utf8(0, good, cut);
        T_CHECK(s != RTPUSH_UTF8_BAD, "bad at %lu", (unsigned long)cut);
        T_EQ(rtpush_utf8(s, good + cut, sizeof good - 1 - cut), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        T_EQ(rtpush_utf8(0, bad[i], strlen(bad[i])), RTPUSH_UTF8_BAD);
        T_EQ(rtpush_utf8(RTPUSH_UTF8_BAD, "a", 1), RTPUSH_UTF8_BAD);
    }
}

static void leaf_utf8_at_every_split(U_STATE) {
    t_rng rng = t_seed(42);
    for (int round = 0; round < 200000; round++) {
        uint8_t text[12];
        size_t len = 1 + t_below(&rng, 11);
        for (size_t i = 0; i < len; i++) {
            static const uint8_t edge[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                           0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
                                           0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
            text[i] = edge[t_below(&rng, sizeof edge)];
        }
        int valid = t_utf8_valid(text, len);
        unsigned whole = rtpi_utf8(RTPI_UTF8_OK, text, len);
        T_CHECK((whole == RTPI_UTF8_OK) == valid, "round %d: %u, valid %d", round, whole, valid);
        for (size_t at = 0; at <= len; at++) {
            unsigned part = rtpi_utf8(RTPI_UTF8_OK, text, at);
            part = rtpi_utf8((uint8_t)part, text + at, len - at);
            T_CHECK(part == whole, "round %d: split at %lu", round, (unsigned long)at);
        }
    }
}

static int g_authorize_way;
static int authorize_and_end(rtpush_server *srv, const rtpush_request *req, rtpush_grant *grant) {
    t_authorize(srv, req, grant);
    if (g_authorize_way == 0) {
        rtpush_close(srv, req->conn, 1000, NULL);
    } else if (g_authorize_way == 1) {
        rtpush_abort(srv, req->conn);
    } else if (g_authorize_way == 2) {
        rtpush_shutdown(srv);
    }
    return g_authorize_way == 3 ? 403 : 0;
}

// A connection that was ended in authorize stays ended.
static void api_authorize_may_end_the_connection(U_STATE) {
    static const char *const requests[] = {"{GET /}", "{GET /hello}", "{WS /ws}{81:x}",
                                           "{GET /events}", "{GET /poll}", "{GET /pull}",
                                           "POST /upload HTTP/1.1\r\n" T_HOST
                                           "Content-Length: 3\r\n\r\nabc"};
    for (g_authorize_way = 0; g_authorize_way < 4; g_authorize_way++) {
        for (size_t i = 0; i < 7; i++) {
            snprintf(t_where, sizeof t_where, "way %d, %s", g_authorize_way, requests[i]);
            t_world *w = t_fixture();
            w->desc.authorize = authorize_and_end;
            t_start(w);
            t_conn *c = t_open(w, requests[i]);
            t_run(w);
            if (g_authorize_way < 2) {
                t_expect_events(w, "!request|!open|!message");
                T_CHECK(t_ended(c), "lives on");
            }
            t_advance(w, 30000);
            T_CHECK(rtpush_get_counters(&w->srv)->streams <= 1, "streams");
            t_finish(w);
        }
    }
    t_where[0] = 0;
}

static int g_open_way;
static void end_in_open(rtpush_server *srv, const rtpush_request *req) {
    t_on_open(srv, req);
    if (g_open_way == 0) {
        T_EQ(rtpush_close(srv, req->conn, 4000, "not today"), RTPUSH_OK);
    } else if (g_open_way == 1) {
        T_EQ(rtpush_abort(srv, req->conn), RTPUSH_OK);
    } else {
        while (rtpush_send(srv, req->conn, 1, "0123456789", 10) == RTPUSH_OK) {
        }
        while (rtpush_send(srv, req->conn, 1, "", 0) == RTPUSH_OK) {
        }
        T_EQ(rtpush_close(srv, req->conn, 4000, "not today"), RTPUSH_OK);
    }
}

// RFC 6455 7.4: closed in on_open: the code given, also when tx is full; 1006 where none was sent.
static void api_stream_may_be_ended_in_on_open(U_STATE) {
    for (g_open_way = 0; g_open_way < 3; g_open_way++) {
        t_world *w = t_fixture();
        t_routes[T_R_WS].on_open = end_in_open;
        t_start(w);
        u_peer *p = u_open(w, "{WS /ws}{81:early}");
        t_run(w);
        if (g_open_way == 1) {
            T_EQ(p->c->dropped, 1);
            t_expect_events(w, "open|close APP 1006|!message");
        } else {
            u_expect(p, "8 4000 ");
            t_send_close(p->c, 4000, "");
            t_run(w);
            t_expect_events(w, "open|close APP 4000|!message");
        }
        u_free(p);
        t_finish(w);
    }
}


int main(void) {
    const struct CMUnitTest tests[] = {
        u_test(api_config_error_names_the_field_what_is_needed_and_what_was_given),
        u_test(api_config_error_names_the_topic),
        u_test(api_paths_that_no_request_can_have_are_refused),
        u_test(api_routes_that_no_request_can_reach_are_refused),
        u_test(api_config_error_names_the_route),
        u_test(api_hosts_and_origins_that_no_browser_sends_are_refused),
        u_test(api_words_are_what_init_needs),
        u_test(api_memory_may_be_more_than_4_gib),
        u_test(api_init_notices_another_header),
        u_test(api_errors_and_reasons_have_words),
        u_test(api_publish_checks_its_arguments),
        u_test(api_id_is_written_in_hexadecimal),
        u_test(api_stale_handles_are_errors),
        u_test(api_wrong_kind_of_connection_is_an_error),
        u_test(api_iterates_over_open_streams),
        u_test(api_anything_may_be_called_from_any_callback),
        u_test(api_authorize_may_end_the_connection),
        u_test(api_stream_may_be_ended_in_on_open),
        u_test(api_handler_may_abort_or_close_its_own_request),
        u_test(api_abort_resets_at_once),
        u_test(api_shutdown_closes_all_gracefully),
        u_test(api_two_servers_do_not_know_each_other),
        u_test(api_works_without_optional_hooks_and_callbacks),
        u_test(leaf_sha1_matches_the_vectors),
        u_test(leaf_base64_matches_the_vectors),
        u_test(text_writer_fills_memory_to_the_last_byte_and_not_beyond),
        u_test(utf8_can_stop_at_any_byte),
        u_test(leaf_utf8_at_every_split),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
