// mqtt://[USER:PASSWORD@]HOST[:1883]/FILTER?qos=1&session=NAME&v=5&topic=NAME, and mqtts://, by
// libmosquitto. MQTT keeps no history and gives its messages no id, so this is a feed, or a source
// whose ids are this gateway's own.
//
// "home/#" brings home/kitchen/temp as the topic kitchen.temp. What is retained is old when it
// comes, and comes again at each connection: it is no event, but may be a value. With session=NAME
// the broker keeps QoS 1 messages while the gateway is away, as many as it wants to. With v=5
// (MQTT 5) the user property "message-id" is the message id: then several gateways can have the
// same feed.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "feed.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid // glibc has no name for it
#endif

enum {
    KEEPALIVE_S = 5, // the least of the library: a silent broker is noticed within 10 s
    LOOP_MS = 500,
    SESSION_S = 86400 // MQTT 5: how long the broker keeps a session
};
#define REFUSED 0x80 // granted QoS of a SUBACK, from here on; MQTT 3.1.1 3.9.3

typedef struct mqtt {
    source_url url;
    const char *filter;
    char session[64];
    int qos;
    int tls;
    int v5;

    feed *f;
    int resumed; // the broker has kept our session
    int up;
    char why[200]; // that the connection has to end; "": it goes on
} mqtt;

// The library prepares TLS with the first connection that gets so far, without a lock.
static pthread_mutex_t tls_mutex = PTHREAD_MUTEX_INITIALIZER;
static int tls_prepared;

static void up(mqtt *q) {
    if (!q->up) {
        q->up = 1;
        feed_up(q->f, q->resumed && q->qos > 0);
    }
}

static void on_connect(struct mosquitto *m, void *user, int code, int flags,
                       const mosquitto_property *props) {
    mqtt *q = (mqtt *)user;
    (void)props;
    if (code != 0) {
        snprintf(q->why, sizeof(q->why), "CONNECT: %s",
                 q->v5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code));
        return;
    }
    q->resumed = flags & 1; // MQTT 3.1.1 3.2.2.2: session present
    const int result = mosquitto_subscribe(m, NULL, q->filter, q->qos);
    if (result != MOSQ_ERR_SUCCESS) {
        snprintf(q->why, sizeof(q->why), "SUBSCRIBE: %s", mosquitto_strerror(result));
    }
}

static void on_subscribe(struct mosquitto *m, void *user, int mid, int count, const int *granted) {
    mqtt *q = (mqtt *)user;
    (void)m;
    (void)mid;
    if (count != 1 || granted[0] >= REFUSED) {
        snprintf(q->why, sizeof(q->why), "SUBSCRIBE: refused by the broker");
    } else {
        up(q);
    }
}

static void on_disconnect(struct mosquitto *m, void *user, int code) {
    mqtt *q = (mqtt *)user;
    (void)m;
    if (q->why[0] == '\0' && code >= REFUSED) { // MQTT 5 3.14.2.1: said by the broker
        snprintf(q->why, sizeof(q->why), "DISCONNECT: %s", mosquitto_reason_string(code));
    }
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *in,
                       const mosquitto_property *props) {
    mqtt *q = (mqtt *)user;
    feed_message out;
    char *name = NULL;
    char *value = NULL;
    char *key = NULL;
    (void)m;
    memset(&out, 0, sizeof(out));
    out.name = in->topic;
    out.name_len = strlen(in->topic);
    out.data = in->payload ? (const char *)in->payload : "";
    out.len = (size_t)in->payloadlen;
    out.retained = in->retain;
    bool again = false;
    while (key == NULL &&
           (props = mosquitto_property_read_string_pair(props, MQTT_PROP_USER_PROPERTY, &name,
                                                        &value, again)) != NULL) {
        again = true;
        if (strcmp(name, "message-id") == 0) {
            key = value;
        } else {
            free(value);
        }
        free(name);
    }
    up(q); // what a session has kept may come before the answer to SUBSCRIBE
    out.key = key;
    out.key_len = key != NULL ? strlen(key) : 0;
    feed_deliver(q->f, &out);
    free(key);
}

// The library connects blocking, and to a host that does not answer the system tries for 2 minutes.
// So a timer's signal for this thread alone interrupts it after SOURCE_DEAD_MS: connect fails with
// EINTR, and the library tries the next address of the host, for as long. (Its connect that does
// not block takes no properties, and no second address.)

static void on_timer(int number) {
    (void)number; // it has interrupted what this thread waits for
}

static int start_timer(timer_t *timer) {
    struct sigaction action;
    struct sigevent event;
    const struct timespec dead = {SOURCE_DEAD_MS / 1000, SOURCE_DEAD_MS % 1000 * 1000000l};
    const struct itimerspec each = {dead, dead};
    memset(&action, 0, sizeof(action)); // without SA_RESTART
    memset(&event, 0, sizeof(event));
    action.sa_handler = on_timer;
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event.sigev_notify_thread_id = gettid();
    if (sigaction(SIGALRM, &action, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &event, timer) < 0) {
        return -1;
    }
    return timer_settime(*timer, 0, &each, NULL);
}

static int connect_within(const mqtt *q, struct mosquitto *m, const mosquitto_property *props) {
    timer_t timer;
    if (start_timer(&timer) < 0) {
        return MOSQ_ERR_ERRNO;
    }
    const int result =
        mosquitto_connect_bind_v5(m, q->url.host, q->url.port, KEEPALIVE_S, NULL, props);
    const int error = errno == EINTR ? ETIMEDOUT : errno;
    timer_delete(timer);
    errno = error;
    return result;
}

static int connect_to(const mqtt *q, struct mosquitto *m) {
    mosquitto_property *props = NULL;
    int result = MOSQ_ERR_SUCCESS;
    if (q->v5 && q->session[0] != '\0') {
        result = mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_S);
    }
    const int alone = q->tls && !__atomic_load_n(&tls_prepared, __ATOMIC_ACQUIRE);
    if (alone) {
        pthread_mutex_lock(&tls_mutex);
    }
    if (result == MOSQ_ERR_SUCCESS) {
        result = connect_within(q, m, props);
    }
    if (alone) {
        if (result == MOSQ_ERR_SUCCESS || result == MOSQ_ERR_TLS) {
            __atomic_store_n(&tls_prepared, 1, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&tls_mutex);
    }
    mosquitto_property_free_all(&props);
    return result;
}

// Until something fails, which is said in q->why, or the feed is ended.
static void run(mqtt *q, struct mosquitto *m) {
    int result = connect_to(q, m);
    const int64_t deadline_ms = source_clock_ms() + SOURCE_DEAD_MS;
    while (result == MOSQ_ERR_SUCCESS && q->why[0] == '\0' && !feed_ended(q->f)) {
        result = mosquitto_loop(m, LOOP_MS, 1);
        if (!q->up && source_clock_ms() > deadline_ms && q->why[0] == '\0') {
            snprintf(q->why, sizeof(q->why), "no answer to CONNECT");
        }
    }
    if (q->why[0] == '\0' && result != MOSQ_ERR_SUCCESS) {
        snprintf(q->why, sizeof(q->why), "%s",
                 result == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(result));
    }
    mosquitto_disconnect(m);
}

static int prepare(const mqtt *q, struct mosquitto *m) {
    int result = mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION,
                                      q->v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    if (result == MOSQ_ERR_SUCCESS && q->url.user[0] != '\0') {
        result = mosquitto_username_pw_set(m, q->url.user, q->url.password);
    }
    if (result == MOSQ_ERR_SUCCESS && q->tls) {
        result = mosquitto_tls_set(m, q->f->s->desc.ca, NULL, NULL, NULL, NULL);
    }
    mosquitto_connect_v5_callback_set(m, on_connect); // of MQTT 3.1.1 too
    mosquitto_subscribe_callback_set(m, on_subscribe);
    mosquitto_disconnect_callback_set(m, on_disconnect);
    mosquitto_message_v5_callback_set(m, on_message);
    return result;
}

static const char *read_mqtt(feed *f) {
    mqtt *q = (mqtt *)f->own;
    q->f = f;
    q->why[0] = '\0';
    q->up = 0;
    q->resumed = 0;
    struct mosquitto *m =
        mosquitto_new(q->session[0] ? q->session : NULL, q->session[0] == '\0', q);
    const int result = m ? prepare(q, m) : MOSQ_ERR_NOMEM;
    if (result == MOSQ_ERR_SUCCESS) {
        run(q, m);
    } else {
        snprintf(q->why, sizeof(q->why), "%s", mosquitto_strerror(result));
    }
    mosquitto_destroy(m);
    return q->why;
}

// -- options --------------------------------------------------------------------------------------

// A text of the query. 0: it does not fit.
static int text_of(const source_url *url, const char *name, char *out, size_t cap) {
    const int len = rtpush_query(url->query, name, out, cap);
    if (len == RTPUSH_ERR_ARGUMENT) {
        out[0] = '\0';
    }
    return len >= 0 || len == RTPUSH_ERR_ARGUMENT;
}

// "$share/GROUP/FILTER": the broker gives each message to one of the group.
static const char *plain_filter(const char *filter) {
    const char *group_end = strncmp(filter, "$share/", 7) == 0 ? strchr(filter + 7, '/') : NULL;
    return group_end ? group_end + 1 : filter;
}

static void *open_mqtt(feed *f, const char *url) {
    mqtt *q = (mqtt *)calloc(1, sizeof(*q));
    if (q == NULL || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
        feed_say(f, "not enough memory");
        return NULL;
    }
    q->tls = f->kind == &feed_mqtts;
    int bad = source_url_split(url, q->tls ? 8883 : 1883, &q->url) < 0;
    const int64_t qos = bad ? -1 : source_url_number(&q->url, "qos", 1);
    const int64_t version = bad ? -1 : source_url_number(&q->url, "v", 4);
    q->filter = q->url.path;
    bad = bad || qos < 0 || qos > 1 || version < 4 || version > 5 ||
          !text_of(&q->url, "session", q->session, sizeof(q->session)) ||
          mosquitto_sub_topic_check(q->filter) != MOSQ_ERR_SUCCESS ||
          feed_map(f, &q->url, plain_filter(q->filter), "#+", "/") < 0;
    if (bad) {
        feed_say(f, "expected %s", f->kind->example);
        return NULL;
    }
    q->qos = (int)qos;
    q->v5 = version == 5;
    return q;
}

#define EXAMPLE "://[USER:PASSWORD@]HOST/TOPIC/FILTER?qos=1&session=NAME&v=5&topic=NAME"
const feed_kind feed_mqtt = {"mqtt", "mqtt" EXAMPLE, 0, open_mqtt, read_mqtt};
const feed_kind feed_mqtts = {"mqtts", "mqtts" EXAMPLE, 0, open_mqtt, read_mqtt};
const source_kind source_mqtt = {"mqtt", "mqtt" EXAMPLE, feed_open_source, feed_read_source, NULL,
                                 NULL};
const source_kind source_mqtts = {"mqtts", "mqtts" EXAMPLE, feed_open_source,
                                  feed_read_source, NULL, NULL};
