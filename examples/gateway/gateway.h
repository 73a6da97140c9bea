// What the files of the gateway share.

#ifndef GATEWAY_H
#define GATEWAY_H

#include "options.h"
#include "source.h"

#include <stdint.h>

typedef struct gateway {
    rtpush_server srv;
    source source;
    options opt;
    uint32_t topic_count;
    uint32_t name[2]; // random: begins the message ids of this start
    size_t jwt_key_len;
    int forwarded; // --trust-header is Forwarded
    uint64_t published[4]; // by outcome

    int was_ready;         // caught up once: before that no reader is let in
    int64_t late_since_ms; // not caught up since; 0: it is
    int64_t away_since_ms; // the source is away since; 0: it is not
    uint32_t status_bit;   // of the topic of --status; 0: there is none
    int status;            // that readers of it were told
    int64_t paced_ms;      // when pace_bytes was computed
    int64_t pace_bytes;    // that may be taken while the source has more at once
    int64_t probed_ms;
    int probing;
    int64_t waiters_ms; // when deadlines were looked at

    int64_t draining_since_ms; // 0: not
    int stopped;
    int64_t slice_of_ms;  // since when the streams are being ended
    uint32_t slice_total; // streams then
    uint32_t slice_ended;
    int64_t slice_ms;     // when a part of them was ended last
} gateway;

// GET /metrics: the counters in the text format of Prometheus. The route's user is the gateway.
void metrics_on_request(rtpush_server *srv, const rtpush_request *req);
void metrics_on_close(rtpush_server *srv, rtpush_handle conn, const rtpush_closed *closed);

#endif
