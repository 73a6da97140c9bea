// What the programs of the benchmark send and expect: WebSocket frames as a browser makes them,
// and readers that check every byte of what comes back.
//
// A message is `len` bytes of a pattern whose first 8 are a stamp, unique to connection and
// message, in hexadecimal: no message can be lost, doubled or mixed up unnoticed.

#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { STAMP_LEN = 8, FRAME_HEAD_MAX = 14, SSE_BLOCK_MAX = 4096 };
enum { FRAME_TEXT = 1, FRAME_BINARY = 2 };

typedef struct pattern {
    const uint8_t *data; // the first STAMP_LEN bytes are replaced by the stamp
    size_t len;
    int opcode;
} pattern;

// Arbitrary bytes, the same in each run.
static const uint8_t frame_mask[4] = {0x37, 0xFA, 0x21, 0x3D};

static inline void stamp_write(uint8_t *out, uint32_t stamp) {
    for (int i = 0; i < STAMP_LEN; i++) {
        out[i] = (uint8_t)"0123456789abcdef"[stamp >> (28 - 4 * i) & 15u];
    }
}

// ASCII, or with `wide` the two-byte characters of Cyrillic after the stamp; bytes of any value for
// binary messages.
static inline void pattern_fill(uint8_t *out, size_t len, int opcode, int wide) {
    for (size_t i = 0; i < len; i++) {
        const uint32_t hash = (uint32_t)i * 2654435761u >> 16;
        if (opcode == FRAME_BINARY) {
            out[i] = (uint8_t)hash;
        } else if (!wide || i < STAMP_LEN || (i == len - 1 && i % 2 == 0)) {
            out[i] = (uint8_t)('a' + hash % 26u);
        } else {
            out[i] = (uint8_t)(i % 2 == 0 ? 0xD0 : 0x90 + hash % 0x30u);
        }
    }
}

// RFC 6455 5.2: the head of a whole message in one frame. mask NULL: as a server sends it.
static inline size_t frame_head(uint8_t *out, int opcode, size_t len, const uint8_t *mask) {
    const uint8_t masked = mask ? 0x80 : 0;
    size_t at = 0;
    out[at++] = (uint8_t)(0x80 | opcode);
    if (len < 126) {
        out[at++] = (uint8_t)(masked | len);
    } else {
        const int bytes = len < 65536 ? 2 : 8;
        out[at++] = (uint8_t)(masked | (bytes == 2 ? 126 : 127));
        for (int i = bytes - 1; i >= 0; i--) {
            out[at++] = (uint8_t)((uint64_t)len >> (8 * i));
        }
    }
    if (mask) {
        memcpy(out + at, mask, 4);
        at += 4;
    }
    return at;
}

// Overwrites the stamp of a frame whose payload begins at `payload`.
static inline void frame_stamp(uint8_t *payload, const uint8_t *mask, uint32_t stamp) {
    stamp_write(payload, stamp);
    for (int i = 0; mask && i < STAMP_LEN; i++) {
        payload[i] ^= mask[i & 3];
    }
}

// Returns the length of the frame; it needs FRAME_HEAD_MAX bytes more than the payload.
static inline size_t frame_write(uint8_t *out, const pattern *p, uint32_t stamp,
                                 const uint8_t *mask) {
    const size_t head = frame_head(out, p->opcode, p->len, mask);
    for (size_t i = 0; i < p->len; i++) {
        out[head + i] = (uint8_t)(p->data[i] ^ (mask ? mask[i & 3] : 0));
    }
    frame_stamp(out + head, mask, stamp);
    return head + p->len;
}

// -- reading frames -------------------------------------------------------------------------------

// One connection's frames from the server, cut anywhere; messages may come in fragments.
typedef struct frame_reader {
    uint8_t head[FRAME_HEAD_MAX];
    uint8_t head_len;
    uint8_t open;    // inside a fragmented message
    uint64_t left;   // of this frame's payload
    size_t at;       // in the message
    uint32_t stamp;  // of the message expected next
    uint32_t wholes; // messages completed
} frame_reader;

// Takes one byte of a head. 1: complete, 0: not yet, -1: not what a server sends here.
static inline int frame_head_byte(frame_reader *r, const pattern *p, uint8_t byte) {
    r->head[r->head_len++] = byte;
    if (r->head_len == 1) {
        const int expected = r->open ? 0 : p->opcode;
        return (byte & 0x7F) == expected ? 0 : -1;
    }
    const int form = r->head[1];
    const int size = form < 126 ? 2 : form == 126 ? 4 : 10;
    if (form > 127) {
        return -1; // masked
    }
    if (r->head_len < size) {
        return 0;
    }
    r->left = (uint64_t)(size == 2 ? form : 0);
    for (int i = 2; i < size; i++) {
        r->left = r->left << 8 | r->head[i];
    }
    r->head_len = 0;
    return r->at + r->left <= p->len ? 1 : -1;
}

static inline int frame_payload_equals(const frame_reader *r, const pattern *p, const uint8_t *data,
                                size_t len) {
    uint8_t stamp[STAMP_LEN];
    size_t begin = 0;
    if (r->at < STAMP_LEN) {
        begin = STAMP_LEN - r->at < len ? STAMP_LEN - r->at : len;
        stamp_write(stamp, r->stamp);
        if (memcmp(stamp + r->at, data, begin) != 0) {
            return 0;
        }
    }
    return memcmp(p->data + r->at + begin, data + begin, len - begin) == 0;
}

// Checks bytes against the messages expected: 0, or -1 at the first one that is wrong.
static inline int frame_read(frame_reader *r, const pattern *p, const uint8_t *data, size_t len) {
    size_t i = 0;
    while (i < len) {
        if (r->left == 0) {
            const int whole = frame_head_byte(r, p, data[i++]);
            if (whole < 0) {
                return -1;
            }
            if (whole == 0) {
                continue;
            }
            r->open = !(r->head[0] & 0x80);
        }
        const size_t n = r->left < len - i ? (size_t)r->left : len - i;
        if (!frame_payload_equals(r, p, data + i, n)) {
            return -1;
        }
        i += n;
        r->at += n;
        r->left -= n;
        if (r->left == 0 && !r->open) {
            if (r->at != p->len) {
                return -1;
            }
            r->at = 0;
            r->stamp++;
            r->wholes++;
        }
    }
    return 0;
}

// -- reading events -------------------------------------------------------------------------------

// One connection's event stream, cut anywhere.
typedef struct sse_reader {
    uint8_t block[SSE_BLOCK_MAX];
    size_t len;
    int foreign;     // another server's stream: only its data is compared
    uint32_t seq;    // of the last id
    uint32_t stamp;  // of the event expected next
    uint32_t wholes; // events completed
} sse_reader;

static inline int sse_data_equals(const pattern *p, uint32_t stamp, const uint8_t *data) {
    uint8_t text[STAMP_LEN];
    stamp_write(text, stamp);
    return memcmp(data, text, STAMP_LEN) == 0 &&
           memcmp(data + STAMP_LEN, p->data + STAMP_LEN, p->len - STAMP_LEN) == 0;
}

// `id: EEEEEEEE-SSSSSSSS LF event: a LF data: PAYLOAD LF LF`, each id one more than the last.
static inline int sse_block_equals(sse_reader *r, const pattern *p) {
    static const char between[] = "\nevent: a\ndata: ";
    const size_t head = 4 + 17 + sizeof(between) - 1;
    uint8_t text[STAMP_LEN];
    if (r->foreign) { // its data line is the last one
        const size_t tail = p->len + 2;
        return r->len > tail + 7 && memcmp(r->block + r->len - tail - 7, "\ndata: ", 7) == 0 &&
               sse_data_equals(p, r->stamp, r->block + r->len - tail);
    }
    if (r->len != head + p->len + 2 || memcmp(r->block, "id: ", 4) != 0 ||
        memcmp(r->block + 21, between, sizeof(between) - 1) != 0) {
        return 0;
    }
    stamp_write(text, r->seq + 1);
    if (r->block[12] != '-' || memcmp(r->block + 13, text, STAMP_LEN) != 0) {
        return 0;
    }
    return sse_data_equals(p, r->stamp, r->block + head);
}

static inline int sse_read(sse_reader *r, const pattern *p, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (r->len == SSE_BLOCK_MAX) {
            return -1;
        }
        r->block[r->len++] = data[i];
        if (data[i] == '\n' && r->len > 1 && r->block[r->len - 2] == '\n') {
            if (!sse_block_equals(r, p)) {
                return -1;
            }
            r->len = 0;
            r->seq++;
            r->stamp++;
            r->wholes++;
        }
    }
    return 0;
}

// -- what keeps connections alive -----------------------------------------------------------------

// Takes pings and keep-alives out of a server's bytes, cut anywhere; they come at any time if a
// measurement lasts.
typedef struct alive_filter {
    int sse;
    uint8_t head[FRAME_HEAD_MAX]; // WebSocket: of the frame under way
    uint8_t head_len;
    uint64_t left;       // of its payload
    uint8_t ping[125];   // the last ping's payload, to be sent back
    uint8_t ping_len;
    uint8_t pong_due;    // it is complete
    uint8_t block[64];   // SSE: the block that is taken out
    uint8_t block_len;
    uint8_t block_place; // BLOCK_BEGIN ...
    uint8_t newline;     // the last byte was a LF
} alive_filter;
enum { BLOCK_BEGIN, BLOCK_DATA, BLOCK_ALIVE };

// RFC 6455 5.5: control frames come between frames of messages. Returns the bytes used of `data`,
// all of one frame; *keep tells whether they are of a message. -1: the server closes.
static inline int ws_alive_step(alive_filter *f, const uint8_t *data, size_t len, int *keep) {
    if (f->left == 0) {
        f->head[f->head_len++] = data[0];
        *keep = !(f->head[0] & 8);
        const int form = f->head_len > 1 ? f->head[1] & 127 : 0;
        const int size = form == 126 ? 4 : form == 127 ? 10 : 2;
        if (f->head_len < size || f->head_len < 2) {
            return 1;
        }
        f->left = size == 2 ? (uint64_t)form : 0;
        for (int i = 2; i < size; i++) {
            f->left = f->left << 8 | f->head[i];
        }
        f->ping_len = *keep ? f->ping_len : 0;
        f->pong_due |= (f->head[0] & 15) == 9 && f->left == 0;
        f->head_len = 0;
        return (f->head[0] & 15) == 8 ? -1 : 1;
    }
    const size_t n = f->left < len ? (size_t)f->left : len;
    *keep = !(f->head[0] & 8);
    f->left -= n;
    if (!*keep) {
        memcpy(f->ping + f->ping_len, data, n);
        f->ping_len = (uint8_t)(f->ping_len + n);
        f->pong_due |= (f->head[0] & 15) == 9 && f->left == 0;
    }
    return (int)n;
}

// A comment, or what rtpush sends: an event named rtpush without data. Notices about
// events are left in, and fail as wrong bytes. Up to the end of a line at once.
static inline int sse_alive_step(alive_filter *f, const uint8_t *data, size_t len, int *keep) {
    static const char alive[] = "event:rtpush\ndata\n\n";
    if (f->block_place == BLOCK_BEGIN) {
        f->block_place = data[0] == ':' || data[0] == 'e' ? BLOCK_ALIVE : BLOCK_DATA;
        f->block_len = 0;
    }
    const uint8_t *end = (const uint8_t *)memchr(data, '\n', len);
    const size_t n = end ? (size_t)(end - data) + 1 : len;
    *keep = f->block_place == BLOCK_DATA;
    if (!*keep && f->block_len + n > sizeof(f->block)) {
        return -1;
    }
    if (!*keep) {
        memcpy(f->block + f->block_len, data, n);
        f->block_len = (uint8_t)(f->block_len + n);
    }
    const int blank = end && n == 1 && f->newline;
    f->newline = end != NULL;
    if (blank) {
        f->block_place = BLOCK_BEGIN;
        f->newline = 0;
    }
    return blank && !*keep && f->block[0] != ':' &&
                   (f->block_len != sizeof(alive) - 1 || memcmp(f->block, alive, f->block_len) != 0)
               ? -1 : (int)n;
}

// Returns how many bytes are left in `data`, or -1.
static inline int alive_take_out(alive_filter *f, uint8_t *data, size_t len) {
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        int keep = 0;
        const int n = f->sse ? sse_alive_step(f, data + i, len - i, &keep)
                             : ws_alive_step(f, data + i, len - i, &keep);
        if (n < 0) {
            return -1;
        }
        if (keep && out != i) {
            memmove(data + out, data + i, (size_t)n);
        }
        out += keep ? (size_t)n : 0;
        i += (size_t)n;
    }
    return (int)out;
}

#endif // BENCH_FRAMES_H
