// Who reads which topic, joined over all gateways on a source: GET /presence?topics=a,b

#ifndef PRESENCE_H
#define PRESENCE_H

#include "../../rtpush.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PRESENCE_NAME_MAX = 64,  // bytes of a name; who has a longer one is counted without it
    PRESENCE_DOC_MAX = 65536 // bytes of what a gateway says; names that do not fit are left out
};

// period_s: how often each gateway says it anew; what was not for three times that is gone. named:
// names are told. -1: not enough memory.
int presence_start(const rtpush_topic *topics, uint32_t topic_count, uint32_t slots,
                   uint32_t period_s, int named);
// authorize: the stream that may open on this slot, the topics it may read, and its name or "".
void presence_expect(uint32_t slot, uint32_t topics, const char *name);
void presence_opened(uint32_t slot);
void presence_closed(uint32_t slot, int64_t now_ms);

// What this gateway has to say now, in memory of the caller's to free; NULL: it is not time, or
// there is no memory. A text of lines: "!" once, "TOPIC COUNT", "@NAME TOPIC TOPIC", and "+" if
// names were left out. Names are percent-encoded.
char *presence_say(int64_t now_ms);
// What all say, one behind the other.
void presence_join(const char *text, size_t len, int64_t now_ms);

// The answer for these topics, to be freed; NULL: nothing is known now, or there is no memory.
char *presence_answer(uint32_t topics, int64_t now_ms);

#endif
