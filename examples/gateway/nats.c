// nats://[USER:PASSWORD@]HOST[:4222]/STREAM?maxlen=100000&memory=0&tls=1: a stream of JetStream
// (nats-server 2.9).
//
// An event of a topic has the subject STREAM.TOPIC and the message id as Nats-Msg-Id, by which the
// server drops repetitions for two minutes. Its id is made of the stream's sequence number and an
// epoch: the second in which the stream was created. If the stream went back (an older copy of its
// files), the gateways agree on a larger epoch by compare-and-set in the KV bucket "rtpush_epochs",
// key STREAM: "EPOCH CREATED".
//
// The library's own reconnection and its ordered consumer are not used: they put a new stream
// behind an old one without a word. Here each connection is new, and verified before it is trusted.
// Messages are pulled, so the server keeps what the gateway has no room for.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "nats_connect.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PAGE = 256,    // messages of one fetch
    WAIT_MS = 1000 // a fetch waits so long, then the stream is looked at
};
#define NEVER UINT64_MAX
#define BUCKET "rtpush_epochs"
#define VALUES "rtpush_values" // the newest of each STATE topic, key STREAM.TOPIC: "E-N DATA"
#define NS 1000000000 // of a second

typedef struct link { // one connection, of one thread
    natsConnection *nc;
    jsCtx *js;
    char why[200]; // that it failed
} link;

typedef struct look { // what the stream said
    uint32_t epoch;
    int64_t created_ns;
    uint64_t first;
    uint64_t last;
    uint64_t bytes;
    uint64_t count;
} look;

typedef struct jetstream {
    source_url url;
    const char *ca;
    char subjects[140]; // STREAM.>
    uint32_t maxlen;
    int memory;

    link reader;
    uint32_t base;         // epoch in which positions are counted from 1; 0: not begun
    int64_t created_ns;    // of the stream that is read
    uint64_t at;           // newest position looked at
    uint64_t keep_after;   // up to here message ids are remembered, and nothing is delivered
    uint64_t doubted;      // a jump from here was seen once; NEVER: none

    link publisher;
    look agreed;           // by the publisher; epoch 0: not yet
    int64_t ready_ms;      // nothing is published before
} jetstream;

// -- connections ----------------------------------------------------------------------------------

static void link_close(link *l) {
    jsCtx_Destroy(l->js);
    natsConnection_Destroy(l->nc);
    l->js = NULL;
    l->nc = NULL;
}

static const char *fail(link *l, const char *what, natsStatus status) {
    snprintf(l->why, sizeof(l->why), "%s: %s", what, nats_words(l->nc, status));
    link_close(l);
    return l->why;
}

static int link_open(const jetstream *n, link *l) {
    jsOptions js;
    natsStatus status = nats_connect(&n->url, n->ca, &l->nc);
    if (status == NATS_OK) {
        jsOptions_Init(&js);
        js.Wait = SOURCE_DEAD_MS;
        status = natsConnection_JetStream(&l->js, l->nc, &js);
    }
    if (status != NATS_OK) {
        fail(l, "connect", status);
        return -1;
    }
    return 0;
}

// -- the epoch ------------------------------------------------------------------------------------

static natsStatus create_stream(const jetstream *n, link *l, jsStreamInfo **info) {
    const char *subjects[1];
    jsStreamConfig config;
    jsErrCode code;
    jsStreamConfig_Init(&config);
    subjects[0] = n->subjects;
    config.Name = n->url.path;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.MaxMsgs = n->maxlen;
    config.Storage = n->memory ? js_MemoryStorage : js_FileStorage;
    config.Duplicates = 120 * (int64_t)NS;
    return js_AddStream(info, l->js, &config, NULL, &code);
}

// Looks at the stream; one that is missing is made.
static int look_at(const jetstream *n, link *l, look *out) {
    jsStreamInfo *info = NULL;
    jsErrCode code = (jsErrCode)0;
    natsStatus status = js_GetStreamInfo(&info, l->js, n->url.path, NULL, &code);
    if (status == NATS_NOT_FOUND) {
        status = create_stream(n, l, &info);
    }
    if (status != NATS_OK) { // another gateway may have made it at the same time: tried again
        fail(l, "the stream", status);
        return -1;
    }
    out->created_ns = info->Created;
    out->first = info->State.FirstSeq;
    out->last = info->State.LastSeq;
    out->bytes = info->State.Bytes;
    out->count = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return 0;
}

// The record of the epoch, if there is one. *revision 0: none.
static natsStatus read_record(const jetstream *n, kvStore *kv, uint32_t *epoch, int64_t *created_ns,
                              uint64_t *revision) {
    kvEntry *entry = NULL;
    const natsStatus status = kvStore_Get(&entry, kv, n->url.path);
    *epoch = 0;
    *created_ns = 0;
    *revision = 0;
    if (status == NATS_OK) {
        const char *text = kvEntry_ValueString(entry);
        if (text == NULL || sscanf(text, "%" SCNu32 " %" SCNd64, epoch, created_ns) != 2) {
            *epoch = 0;
        }
        *revision = kvEntry_Revision(entry);
        kvEntry_Destroy(entry);
    }
    return status == NATS_NOT_FOUND ? NATS_OK : status;
}

static natsStatus open_bucket(const jetstream *n, link *l, const char *name, int64_t ttl_ns,
                              kvStore **kv) {
    kvConfig config;
    natsStatus status = js_KeyValue(kv, l->js, name);
    if (status == NATS_NOT_FOUND) {
        kvConfig_Init(&config);
        config.Bucket = name;
        config.History = 1;
        config.TTL = ttl_ns;
        config.StorageType = n->memory || ttl_ns > 0 ? js_MemoryStorage : js_FileStorage;
        status = js_CreateKeyValue(kv, l->js, &config);
    }
    return status;
}

// Decides on the epoch of what look_at saw. `seen` is the newest that this gateway has delivered.
static natsStatus agree_on(const jetstream *n, kvStore *kv, rtpush_id seen, uint32_t base,
                           look *out) {
    char text[48];
    uint32_t epoch;
    int64_t created_ns;
    uint64_t revision;
    const natsStatus status = read_record(n, kv, &epoch, &created_ns, &revision);
    if (status != NATS_OK) {
        return status;
    }
    const uint32_t created_s = (uint32_t)(out->created_ns / NS);
    const int known = epoch != 0 && created_ns == out->created_ns;
    out->epoch = known ? epoch : created_s > epoch ? created_s : epoch + 1u;
    // Went back: below what was seen in this epoch, or in a later one.
    if (base > out->epoch || (base != 0 && base == out->epoch && seen.epoch >= base &&
                              source_position_of(base, seen) > out->last)) {
        out->epoch = base + 1u > created_s ? base + 1u : created_s;
    } else if (known || out->epoch == created_s) {
        return NATS_OK; // nothing to write
    }
    snprintf(text, sizeof(text), "%" PRIu32 " %" PRId64, out->epoch, out->created_ns);
    return revision == 0 ? kvStore_CreateString(NULL, kv, n->url.path, text)
                         : kvStore_UpdateString(NULL, kv, n->url.path, text, revision);
}

// Where the stream ends, in which epoch. Of gateways that write at the same time one succeeds, and
// the others read what it wrote.
static int agree(source *s, link *l, look *out) {
    const jetstream *n = (const jetstream *)s->own;
    kvStore *kv = NULL;
    const uint32_t base = __atomic_load_n(&n->base, __ATOMIC_ACQUIRE);
    const rtpush_id seen = source_last(s); // before the stream says its end, which grows
    if (look_at(n, l, out) < 0) {
        return -1;
    }
    natsStatus status = open_bucket(n, l, BUCKET, 0, &kv);
    for (int tries = 0; status == NATS_OK && tries < 5; tries++) {
        status = agree_on(n, kv, seen, base, out);
        if (status == NATS_OK) {
            break;
        }
        status = tries < 4 ? NATS_OK : status; // it was written meanwhile, perhaps
    }
    kvStore_Destroy(kv);
    if (status != NATS_OK) {
        fail(l, "agreement on the epoch", status);
        return -1;
    }
    return 0;
}

// -- values of STATE topics -----------------------------------------------------------------------

static void key_of(const source *s, const jetstream *n, uint32_t topic, char out[200]) {
    snprintf(out, 200, "%s.%s", n->url.path, s->desc.topics[topic].name);
}

static void event_of_topic(const source *s, uint32_t topic, source_event *out) {
    memset(out, 0, sizeof(*out));
    out->topic = s->desc.topics[topic].name;
    out->topic_len = strlen(out->topic);
}

// Takes "E-N DATA" if it is from before an id, where events do not bring it.
static void take_kept(source *s, uint32_t topic, kvEntry *entry, rtpush_id before) {
    source_event event;
    unsigned long epoch = 0;
    unsigned long seq = 0;
    char number[24] = "";
    int at = 0;
    const char *text = (const char *)kvEntry_Value(entry);
    const int len = kvEntry_ValueLen(entry);
    event_of_topic(s, topic, &event);
    if (text != NULL && len > 0) {
        memcpy(number, text, (size_t)len < sizeof(number) - 1u ? (size_t)len : sizeof(number) - 1u);
    }
    if (sscanf(number, "%lu-%lu%n", &epoch, &seq, &at) == 2 && at < len && number[at] == ' ') {
        event.data = text + at + 1;
        event.len = (size_t)(len - at - 1);
    } else {
        event.topic = NULL;
    }
    event.id.epoch = (uint32_t)epoch;
    event.id.seq = (uint32_t)seq;
    if (event.topic == NULL || source_before(event.id, before)) {
        source_take_value(s, &event, 1);
    }
}

// The newest of each topic that the stream has, and what is kept, from before an id.
static natsStatus take_values(source *s, const jetstream *n, uint32_t base, rtpush_id before) {
    kvStore *kv = NULL;
    natsStatus status = open_bucket(n, &((jetstream *)s->own)->reader, VALUES, 0, &kv);
    for (uint32_t topic = 0; status == NATS_OK && topic < s->desc.topic_count; topic++) {
        char key[200];
        kvEntry *entry = NULL;
        natsMsg *msg = NULL;
        jsErrCode code;
        source_event event;
        if (!source_is_state(s, topic)) {
            continue;
        }
        key_of(s, n, topic, key);
        status = js_GetLastMsg(&msg, n->reader.js, n->url.path, key, NULL, &code);
        if (status == NATS_OK) {
            event_of_topic(s, topic, &event);
            event.id = rtpush_id_at(base, natsMsg_GetSequence(msg));
            event.data = natsMsg_GetData(msg) ? natsMsg_GetData(msg) : "";
            event.len = (size_t)natsMsg_GetDataLength(msg);
            if (source_before(event.id, before)) {
                source_take_value(s, &event, 0);
            }
            natsMsg_Destroy(msg);
        }
        status = status == NATS_NOT_FOUND ? NATS_OK : status;
        if (status == NATS_OK) {
            status = kvStore_Get(&entry, kv, key);
        }
        if (status == NATS_OK) {
            take_kept(s, topic, entry, before);
            kvEntry_Destroy(entry);
        }
        status = status == NATS_NOT_FOUND ? NATS_OK : status;
    }
    kvStore_Destroy(kv);
    return status;
}

static natsStatus keep_value(source *s, kvStore *kv, uint32_t topic, const char *key) {
    source_value *v = &s->values[topic];
    kvEntry *entry = NULL;
    uint64_t revision = 0;
    rtpush_id behind = source_last(s);
    natsStatus status = kvStore_Get(&entry, kv, key);
    behind.seq++;
    if (status == NATS_OK) { // one that is newer is taken: then ours is kept by it
        take_kept(s, topic, entry, behind);
        revision = kvEntry_Revision(entry);
        unsigned long epoch = 0;
        unsigned long seq = 0;
        const char *text = kvEntry_ValueString(entry);
        if (text != NULL && sscanf(text, "%lu-%lu ", &epoch, &seq) == 2 &&
            (epoch > v->id.epoch || (epoch == v->id.epoch && seq >= v->id.seq))) {
            v->kept = 1;
        }
        kvEntry_Destroy(entry);
    }
    if (status != NATS_OK && status != NATS_NOT_FOUND) {
        return status;
    }
    if (!v->kept) {
        char *text = (char *)malloc(v->len + 24u);
        if (text == NULL) {
            return NATS_NO_MEMORY;
        }
        const int at = snprintf(text, 24, "%lu-%lu ", (unsigned long)v->id.epoch,
                                (unsigned long)v->id.seq);
        memcpy(text + at, v->data, v->len);
        status = revision == 0 ? kvStore_Create(NULL, kv, key, text, at + (int)v->len)
                               : kvStore_Update(NULL, kv, key, text, at + (int)v->len, revision);
        free(text);
        v->kept = status == NATS_OK; // else another gateway was faster: looked at again
    }
    return NATS_OK;
}

// Keeps what is new in the bucket. 0: l->why.
static int keep_values(source *s, const jetstream *n, link *l) {
    int topic = source_unkept(s, 0);
    kvStore *kv = NULL;
    if (topic < 0) {
        return 1;
    }
    natsStatus status = open_bucket(n, l, VALUES, 0, &kv);
    for (; status == NATS_OK && topic >= 0; topic = source_unkept(s, topic + 1)) {
        char key[200];
        key_of(s, n, (uint32_t)topic, key);
        status = keep_value(s, kv, (uint32_t)topic, key);
    }
    kvStore_Destroy(kv);
    if (status != NATS_OK) {
        fail(l, "to keep a value", status);
    }
    return status == NATS_OK;
}

// Of the events before this one that are lost, some may be values that are kept.
static natsStatus take_loss(source *s, const jetstream *n, rtpush_id behind, uint32_t lost) {
    rtpush_id last = behind;
    last.seq--;
    source_advance(s, last, lost);
    return take_values(s, n, n->base, behind);
}

// -- reader ---------------------------------------------------------------------------------------

// The first time: as many of the newest as fill three quarters of the log, by the average size.
static void find_begin(source *s, jetstream *n, const look *seen) {
    const uint64_t each = seen->count ? seen->bytes / seen->count + 1u : 1u;
    const uint64_t room = s->desc.log_size / 4u * 3u / each;
    const uint64_t first = seen->first ? seen->first : 1u;
    n->keep_after = seen->last > room ? seen->last - room : 0u;
    n->keep_after = n->keep_after + 1u < first ? first - 1u : n->keep_after;
    n->at = n->keep_after > SOURCE_WINDOW ? n->keep_after - SOURCE_WINDOW : 0u;
}

static void begin_epoch(source *s, jetstream *n, const look *seen) {
    rtpush_id id = {seen->epoch, 0};
    if (n->base == 0) {
        find_begin(s, n, seen);
    } else { // a new stream from its first message on, or one that went back from its end on
        n->keep_after = seen->created_ns == n->created_ns ? seen->last : 0u;
        n->at = n->keep_after;
    }
    n->created_ns = seen->created_ns;
    __atomic_store_n(&n->base, seen->epoch, __ATOMIC_RELEASE);
    if (n->keep_after > 0) {
        id = rtpush_id_at(seen->epoch, n->keep_after);
    }
    source_begin(s, id);
}

static natsStatus subscribe(const jetstream *n, link *l, natsSubscription **sub) {
    jsSubOptions options;
    jsErrCode code;
    natsSubscription_Destroy(*sub);
    *sub = NULL;
    jsSubOptions_Init(&options);
    options.Stream = n->url.path;
    options.Config.DeliverPolicy = js_DeliverByStartSequence;
    options.Config.OptStartSeq = n->at + 1u;
    options.Config.AckPolicy = js_AckNone;
    options.Config.MemoryStorage = true;
    options.Config.InactiveThreshold = 60 * (int64_t)NS;
    return js_PullSubscribe(sub, l->js, n->subjects, NULL, NULL, &options, &code);
}

enum { TAKEN, AGAIN, FAILED }; // AGAIN: subscribe anew from n->at

// Delivers one message. *pending: how many are behind it.
static int take_message(source *s, jetstream *n, natsMsg *msg, uint64_t *pending) {
    jsMsgMetaData *meta = NULL;
    source_event event;
    const size_t prefix = strlen(n->url.path) + 1u;
    if (natsMsg_GetMetaData(&meta, msg) != NATS_OK) {
        return FAILED;
    }
    const uint64_t seq = meta->Sequence.Stream;
    const uint64_t from = n->at > n->keep_after ? n->at : n->keep_after;
    *pending = meta->NumPending;
    jsMsgMetaData_Destroy(meta);
    if (seq > from + 1u && n->doubted != n->at) {
        n->doubted = n->at; // are they gone, or did they not reach us?
        return AGAIN;
    }
    memset(&event, 0, sizeof(event));
    if (natsMsgHeader_Get(msg, "Nats-Msg-Id", &event.key) == NATS_OK && event.key != NULL) {
        event.key_len = strlen(event.key);
    } else {
        event.key = NULL;
    }
    event.id = rtpush_id_at(n->base, seq);
    if (seq <= n->keep_after) {
        source_remember(s, event.id, event.key, event.key_len);
    } else {
        const char *subject = natsMsg_GetSubject(msg);
        event.topic = strlen(subject) > prefix ? subject + prefix : NULL;
        event.topic_len = event.topic ? strlen(event.topic) : 0;
        event.data = natsMsg_GetData(msg);
        event.len = (size_t)natsMsg_GetDataLength(msg);
        event.data = event.data ? event.data : "";
        event.behind = *pending > PAGE;
        event.lost = seq > from + 1u ? (uint32_t)(seq - from - 1u) : 0u;
        if (event.lost > 0 && event.id.seq > 1u && source_has_state(s)) {
            if (take_loss(s, n, event.id, event.lost) != NATS_OK) {
                return FAILED;
            }
            event.lost = 0;
        }
        source_deliver(s, &event);
    }
    n->at = seq > n->at ? seq : n->at;
    return TAKEN;
}

// Fetches once: what is there, or waits for one. Returns messages, 0: none came, or the consumer is
// gone. -1: l->why.
static int fetch(source *s, jetstream *n, natsSubscription **sub, uint64_t *pending) {
    link *l = &n->reader;
    natsMsgList list = {NULL, 0};
    jsErrCode code;
    int result = TAKEN;
    const int batch = *pending == 0 ? 1 : *pending < PAGE ? (int)*pending : (int)PAGE;
    *pending = 0;
    natsStatus status = natsSubscription_Fetch(&list, *sub, batch, WAIT_MS, &code);
    if (status == NATS_TIMEOUT) {
        return 0;
    }
    if (status != NATS_OK && !natsConnection_IsClosed(l->nc)) { // such as "consumer deleted"
        source_sleep_ms(100);
        status = subscribe(n, l, sub);
        if (status == NATS_OK) {
            return 0;
        }
    }
    if (status != NATS_OK) {
        fail(l, "fetch", status);
        return -1;
    }
    for (int i = 0; i < list.Count && result == TAKEN; i++) {
        result = take_message(s, n, list.Msgs[i], pending);
    }
    const int count = list.Count;
    natsMsgList_Destroy(&list);
    if (result == AGAIN) {
        *pending = 0;
        status = subscribe(n, l, sub);
    }
    if (result == FAILED || status != NATS_OK) {
        fail(l, "a message", result == FAILED ? NATS_PROTOCOL_ERROR : status);
        return -1;
    }
    return count;
}

// The stream has more, and none came. Either the consumer is gone, then a new one brings them. Or
// they were deleted, then it brings nothing either. 0: l->why.
static int look_again(source *s, jetstream *n, natsSubscription **sub, const look *now) {
    if (n->doubted == n->at) {
        const uint64_t from = n->at > n->keep_after ? n->at : n->keep_after;
        n->at = now->last;
        if (now->last > from) {
            rtpush_id behind = rtpush_id_at(n->base, now->last);
            behind.seq++;
            if (take_loss(s, n, behind, (uint32_t)(now->last - from)) != NATS_OK) {
                fail(&n->reader, "values", NATS_ERR);
                return 0;
            }
        }
    }
    n->doubted = n->at;
    const natsStatus status = subscribe(n, &n->reader, sub);
    if (status != NATS_OK) {
        fail(&n->reader, "consumer", status);
    }
    return status == NATS_OK;
}

// Nothing came: looks at the stream, which may be another one now. 0: l->why.
static int look_after(source *s, jetstream *n, natsSubscription **sub) {
    look now;
    if (agree(s, &n->reader, &now) < 0) {
        return 0;
    }
    if (now.epoch != n->base) {
        begin_epoch(s, n, &now);
        n->doubted = NEVER;
    } else if (now.last <= n->at) {
        return 1;
    }
    return look_again(s, n, sub, &now);
}

// Agrees on the epoch and finds where to begin. The first time the values are asked for before the
// end: none is from behind it, and nobody is let in before that is reached.
static int begin(source *s, jetstream *n, look *began) {
    link *l = &n->reader;
    if (agree(s, l, began) < 0) {
        return -1;
    }
    if (n->base == 0 && source_has_state(s)) {
        const uint32_t base = began->epoch;
        const rtpush_id any = {0xFFFFFFFFu, RTPUSH_SEQ_MAX};
        const natsStatus status = take_values(s, n, base, any);
        if (status != NATS_OK) {
            fail(l, "values", status);
            return -1;
        }
        if (agree(s, l, began) < 0) {
            return -1;
        }
        if (began->epoch != base) { // their ids are of another stream
            fail(l, "the stream", NATS_ILLEGAL_STATE);
            return -1;
        }
    }
    if (began->epoch != n->base) {
        begin_epoch(s, n, began);
    }
    return 0;
}

static const char *read_nats(source *s) {
    jetstream *n = (jetstream *)s->own;
    link *l = &n->reader;
    natsSubscription *sub = NULL;
    look began;
    if (link_open(n, l) < 0 || begin(s, n, &began) < 0) {
        return l->why;
    }
    n->doubted = NEVER;
    const natsStatus status = subscribe(n, l, &sub);
    if (status != NATS_OK) {
        return fail(l, "consumer", status);
    }
    source_up(s);
    uint64_t pending = began.last > n->at ? began.last - n->at : 0u;
    int ready = 0;
    int count = 0;
    while (count >= 0 && keep_values(s, n, l)) {
        if (!ready && (n->at >= began.last || n->base != began.epoch)) {
            ready = 1;
            source_ready(s);
        }
        count = fetch(s, n, &sub, &pending);
        if (count == 0 && !look_after(s, n, &sub)) {
            count = -1;
        }
    }
    natsSubscription_Destroy(sub);
    link_close(l);
    return l->why;
}

// -- publisher ------------------------------------------------------------------------------------

static int publisher_open(source *s, jetstream *n) {
    link *l = &n->publisher;
    if ((l->nc == NULL && link_open(n, l) < 0) || agree(s, l, &n->agreed) < 0) {
        n->agreed.epoch = 0;
        return -1;
    }
    // Two streams that are created in the same second would have the same epoch. Not waited for
    // longer than that, since the server's clock may be another one.
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t over_ns = ((int64_t)n->agreed.epoch + 1) * NS - (now.tv_sec * NS + now.tv_nsec);
    n->ready_ms = over_ns > 0 && over_ns <= NS ? source_clock_ms() + over_ns / 1000000 + 1 : 0;
    return 0;
}

static int add(const source *s, jetstream *n, const source_message *m, rtpush_id *id,
               const char **why) {
    link *l = &n->publisher;
    char subject[200];
    jsPubOptions options;
    jsPubAck *ack = NULL;
    jsErrCode code = (jsErrCode)0;
    const int64_t left_ms = m->deadline_ms - source_clock_ms();
    snprintf(subject, sizeof(subject), "%s.%s", n->url.path, s->desc.topics[m->topic].name);
    jsPubOptions_Init(&options);
    options.MsgId = m->key;
    options.ExpectStream = n->url.path;
    options.MaxWait = left_ms < 1 ? 1 : left_ms < SOURCE_DEAD_MS ? left_ms : SOURCE_DEAD_MS;
    const natsStatus status =
        js_Publish(&ack, l->js, subject, m->data, (int)m->len, &options, &code);
    if (status == NATS_OK) {
        *id = rtpush_id_at(n->agreed.epoch, ack->Sequence);
        // At or below the end that was there before, and not a repetition: another stream.
        const int other = ack->Sequence <= n->agreed.last && !ack->Duplicate;
        n->agreed.last = ack->Sequence > n->agreed.last ? ack->Sequence : n->agreed.last;
        jsPubAck_Destroy(ack);
        return other ? OUTCOME_AGAIN : OUTCOME_STORED;
    }
    if (status == NATS_NO_RESPONDERS) {
        return OUTCOME_AGAIN; // no stream has this subject
    }
    if (code != 0 || status == NATS_MAX_PAYLOAD) {
        snprintf(l->why, sizeof(l->why), "%s", nats_GetLastError(NULL));
        *why = l->why;
        return OUTCOME_REFUSED;
    }
    *why = fail(l, "publish", status);
    return OUTCOME_UNKNOWN;
}

// A message that is sent again has the same id: the server stores it once, and so say all gateways.
static int publish_nats(source *s, const source_message *m, int sent, rtpush_id *id,
                        const char **why) {
    jetstream *n = (jetstream *)s->own;
    const uint32_t base = __atomic_load_n(&n->base, __ATOMIC_ACQUIRE);
    (void)sent;
    if (n->publisher.nc == NULL || n->agreed.epoch == 0 || n->agreed.epoch < base) {
        if (publisher_open(s, n) < 0) {
            *why = n->publisher.why;
            return OUTCOME_AWAY;
        }
    }
    if (source_clock_ms() < n->ready_ms) {
        return OUTCOME_AGAIN;
    }
    const int outcome = add(s, n, m, id, why);
    if (outcome == OUTCOME_AGAIN || outcome == OUTCOME_UNKNOWN) {
        n->agreed.epoch = 0; // agreed anew first
    }
    return outcome;
}

static int probe_nats(source *s, rtpush_id *end) {
    jetstream *n = (jetstream *)s->own;
    link *l = &n->publisher;
    look seen;
    if ((l->nc == NULL && link_open(n, l) < 0) || agree(s, l, &seen) < 0) {
        return -1;
    }
    end->epoch = seen.epoch;
    end->seq = 0;
    if (seen.last > 0) {
        *end = rtpush_id_at(seen.epoch, seen.last);
    }
    return 0;
}

// The bucket "rtpush_here_MS" has the key STREAM.NAME of each gateway, which expires: how soon is
// the bucket's (nats-server 2.9), so it is in its name.
int nats_join(source *s, const char *text, const char *name, uint32_t ms, source_joined *all) {
    jetstream *n = (jetstream *)s->own;
    link *l = &n->publisher;
    kvStore *kv = NULL;
    kvKeysList keys = {NULL, 0};
    char bucket[40];
    char key[200];
    if (l->nc == NULL && link_open(n, l) < 0) {
        return -1;
    }
    snprintf(bucket, sizeof(bucket), "rtpush_here_%u", (unsigned)ms);
    const int prefix = snprintf(key, sizeof(key), "%s.", n->url.path);
    snprintf(key + prefix, sizeof(key) - (size_t)prefix, "%s", name);
    natsStatus status = open_bucket(n, l, bucket, (int64_t)ms * (NS / 1000), &kv);
    if (status == NATS_OK) {
        status = kvStore_PutString(NULL, kv, key, text);
    }
    if (status == NATS_OK) {
        status = kvStore_Keys(&keys, kv, NULL);
    }
    for (int i = 0; status == NATS_OK && i < keys.Count; i++) {
        kvEntry *entry = NULL;
        if (strncmp(keys.Keys[i], key, (size_t)prefix) != 0) {
            continue; // of another stream
        }
        status = kvStore_Get(&entry, kv, keys.Keys[i]);
        if (status == NATS_OK) {
            const char *said = (const char *)kvEntry_Value(entry);
            source_joined_add(all, said ? said : "", (size_t)kvEntry_ValueLen(entry));
            kvEntry_Destroy(entry);
        }
        status = status == NATS_NOT_FOUND ? NATS_OK : status; // it has expired just now
    }
    kvKeysList_Destroy(&keys);
    kvStore_Destroy(kv);
    if (status != NATS_OK) {
        fail(l, "presence", status);
    }
    return status == NATS_OK ? 0 : -1;
}

// -- options --------------------------------------------------------------------------------------

// Can all topics be the end of a subject? Its parts between dots are not empty.
static int are_subjects(const source_desc *desc) {
    for (uint32_t i = 0; i < desc->topic_count; i++) {
        const char *name = desc->topics[i].name;
        if (name[0] == '.' || strstr(name, "..") != NULL || name[strlen(name) - 1u] == '.') {
            return 0;
        }
    }
    return 1;
}

static void *open_nats(source *s, const char *url) {
    static jetstream own;
    const int bad = source_url_split(url, 4222, &own.url) < 0;
    const int64_t maxlen = bad ? -1 : source_url_number(&own.url, "maxlen", 100000);
    const int64_t memory = bad ? -1 : source_url_number(&own.url, "memory", 0);
    if (own.url.path[0] == '\0') {
        memcpy(own.url.path, "events", 7);
    }
    // A stream's name has none of these.
    if (maxlen < SOURCE_WINDOW || memory < 0 || memory > 1 || nats_tls(&own.url) < 0 ||
        strpbrk(own.url.path, ".*>/\\ \t\r\n") != NULL) {
        source_say(s, "expected %s, maxlen at least %d", s->kind->example, SOURCE_WINDOW);
        return NULL;
    }
    if (!are_subjects(&s->desc)) {
        source_say(s, "a topic that begins or ends with a dot, or has two, is no subject");
        return NULL;
    }
    own.ca = s->desc.ca;
    snprintf(own.subjects, sizeof(own.subjects), "%s.>", own.url.path);
    own.maxlen = (uint32_t)maxlen;
    own.memory = (int)memory;
    return &own;
}

const source_kind source_nats = {
    "nats", "nats://[USER:PASSWORD@]HOST[:4222]/STREAM?maxlen=100000&memory=0&tls=1",
    open_nats, read_nats, publish_nats, probe_nats};
