// libwebsockets 4 as a peer to compare with: the paths of bare.c. Each message is one lws_write, as
// it must be; events of a stream are gathered. Its own loop, with poll(): libuv's and libev's took
// longer. Prints "listening on http://127.0.0.1:PORT".
//
// Build:  cc -O2 lws.c -o lws -lwebsockets

#include <libwebsockets.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNS = 6000, RING = 64, MESSAGE_MAX = 16384, GATHER = 65536, BLOCK = 64 };
enum { PLAIN, ECHO, READER, PUBLISHER, STREAM }; // session.kind

typedef struct message {
    struct message *next;
    size_t len;
    int binary;
    unsigned char data[]; // after LWS_PRE bytes of room
} message;

typedef struct session {
    struct session *next; // of all that are sent what is published
    struct lws *wsi;
    int kind;
    unsigned tail; // published messages sent
    message *first; // to be echoed
    message *last;
    message *part; // whose end has not come
} session;

// What was published last; readers that have not got it all are no more than a burst behind.
static struct {
    size_t len;
    unsigned char data[LWS_PRE + MESSAGE_MAX];
} ring[RING];
static unsigned published;
static session *sessions;

static message *received(session *s, const void *in, size_t len) {
    message *m = s->part;
    const size_t before = m ? m->len : 0;
    m = (message *)realloc(m, sizeof(message) + LWS_PRE + before + len);
    if (m == NULL) {
        exit(EXIT_FAILURE);
    }
    memcpy(m->data + LWS_PRE + before, in, len);
    m->len = before + len;
    m->next = NULL;
    m->binary = lws_frame_is_binary(s->wsi);
    s->part = lws_is_final_fragment(s->wsi) && lws_remaining_packet_payload(s->wsi) == 0 ? NULL : m;
    return s->part ? NULL : m;
}

static void publish(const message *m) {
    ring[published % RING].len = m->len;
    memcpy(ring[published % RING].data + LWS_PRE, m->data + LWS_PRE, m->len);
    published++;
    for (session *s = sessions; s; s = s->next) {
        lws_callback_on_writable(s->wsi);
    }
}

// Returns -1 when the connection failed.
static int on_writable(session *s) {
    while (s->kind == ECHO && s->first && !lws_send_pipe_choked(s->wsi)) {
        message *m = s->first;
        const int sent = lws_write(s->wsi, m->data + LWS_PRE, m->len,
                                   m->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
        s->first = m->next;
        free(m);
        if (sent < 0) {
            return -1;
        }
    }
    while (s->kind == READER && s->tail != published && !lws_send_pipe_choked(s->wsi)) {
        unsigned char *data = ring[s->tail % RING].data + LWS_PRE;
        if (lws_write(s->wsi, data, ring[s->tail % RING].len, LWS_WRITE_TEXT) < 0) {
            return -1;
        }
        s->tail++;
    }
    if (s->first || (s->kind == READER && s->tail != published)) {
        lws_callback_on_writable(s->wsi);
    }
    return 0;
}

// An answer is written at once where nothing waits and the kernel has room: that takes a quarter
// less time than asking for LWS_CALLBACK_SERVER_WRITEABLE. Returns -1 when the connection failed.
static int on_receive(session *s, const void *in, size_t len) {
    message *m = received(s, in, len);
    if (m == NULL) {
        return 0;
    }
    if (s->kind == PUBLISHER) {
        publish(m);
    }
    if (s->kind != ECHO) {
        free(m);
        return 0;
    }
    *(s->first ? &s->last->next : &s->first) = m;
    s->last = m;
    return on_writable(s);
}

static int on_stream_writable(session *s) {
    static unsigned char out[LWS_PRE + GATHER];
    size_t len = 0;
    while (s->tail != published && len + ring[s->tail % RING].len + BLOCK < GATHER) {
        const size_t n = ring[s->tail % RING].len;
        len += (size_t)sprintf((char *)out + LWS_PRE + len,
                               "id: 00000000-%08x\nevent: a\ndata: ", s->tail + 1);
        memcpy(out + LWS_PRE + len, ring[s->tail % RING].data + LWS_PRE, n);
        memcpy(out + LWS_PRE + len + n, "\n\n", 2);
        len += n + 2;
        s->tail++;
    }
    if (len > 0 && lws_write(s->wsi, out + LWS_PRE, len, LWS_WRITE_HTTP) < 0) {
        return -1;
    }
    if (s->tail != published) {
        lws_callback_on_writable(s->wsi);
    }
    return 0;
}

static void subscribe(session *s, int kind) {
    s->kind = kind;
    s->tail = published;
    s->next = sessions;
    sessions = s;
}

static int on_events(struct lws *wsi, session *s) {
    unsigned char out[LWS_PRE + 2048];
    unsigned char *at = out + LWS_PRE;
    unsigned char *const end = out + sizeof(out) - 1;
    s->wsi = wsi;
    subscribe(s, STREAM);
    if (lws_add_http_common_headers(wsi, 200, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN,
                                    &at, end) ||
        lws_finalize_write_http_header(wsi, out + LWS_PRE, &at, end)) {
        return -1;
    }
    lws_http_mark_sse(wsi);
    const int len = sprintf((char *)out + LWS_PRE, "retry: 1\nid: 00000000-%08x\ndata: fresh\n\n",
                            published);
    return lws_write(wsi, out + LWS_PRE, (size_t)len, LWS_WRITE_HTTP) < 0 ? -1 : 0;
}

static void on_open(struct lws *wsi, session *s) {
    char text[64] = "";
    s->wsi = wsi;
    (void)lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_GET_URI);
    if (strcmp(text, "/ws") != 0) {
        s->kind = ECHO;
    } else if (lws_get_urlarg_by_name(wsi, "publish=", text, sizeof(text))) {
        s->kind = PUBLISHER;
    } else {
        subscribe(s, READER);
    }
}

static void on_close(session *s) {
    for (session **at = &sessions; *at; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    while (s->first) {
        message *m = s->first;
        s->first = m->next;
        free(m);
    }
    free(s->part);
    memset(s, 0, sizeof(*s));
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len) {
    session *s = (session *)user;
    switch (reason) {
        case LWS_CALLBACK_HTTP:
            return strcmp((const char *)in, "/events") == 0 ? on_events(wsi, s) : -1;
        case LWS_CALLBACK_HTTP_WRITEABLE:
            return s->kind == STREAM ? on_stream_writable(s) : 0;
        case LWS_CALLBACK_ESTABLISHED:
            on_open(wsi, s);
            return 0;
        case LWS_CALLBACK_RECEIVE:
            return on_receive(s, in, len);
        case LWS_CALLBACK_SERVER_WRITEABLE:
            return on_writable(s);
        case LWS_CALLBACK_CLOSED:
        case LWS_CALLBACK_CLOSED_HTTP:
            if (s) {
                on_close(s);
            }
            return 0;
        default:
            return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static const struct lws_protocols protocols[] = {
    {"bench", callback, sizeof(session), MESSAGE_MAX, 0, NULL, 0}, {NULL, NULL, 0, 0, 0, NULL, 0}};

int main(void) {
    struct lws_context_creation_info info;
    memset(&info, 0, sizeof(info));
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8 |
                    LWS_SERVER_OPTION_DISABLE_IPV6;
    info.fd_limit_per_thread = CONNS;
    info.pt_serv_buf_size = GATHER;
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    struct lws_vhost *vhost = context ? lws_create_vhost(context, &info) : NULL;
    if (vhost == NULL) {
        fputs("lws: not started\n", stderr);
        return EXIT_FAILURE;
    }
    printf("listening on http://127.0.0.1:%d\n", lws_get_vhost_listen_port(vhost));
    fflush(stdout);
    lws_set_log_level(0, NULL); // lws_http_mark_sse complains about each HTTP/1.1 connection
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return EXIT_SUCCESS;
}
