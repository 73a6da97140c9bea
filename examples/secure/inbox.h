// Notifications of the users of the example: each is to one user or to all, and the device keeps
// who has read it. Fixed memory of about 500 bytes: the newest INBOX_SIZE are kept.

#ifndef INBOX_H
#define INBOX_H

#include "rtpush.h"

enum { INBOX_SIZE = 8, INBOX_TEXT = 50, INBOX_USERS = 2 };

typedef struct inbox_note {
    uint32_t id;           // from 1, newer ones larger; 0: the entry is free
    uint32_t at_s;         // seconds since the start of the device
    uint8_t to;            // bit i: for user i
    uint8_t unread;        // bit i: user i has not read it
    char text[INBOX_TEXT]; // NUL-terminated
} inbox_note;

typedef struct inbox { // zeroed: empty
    inbox_note notes[INBOX_SIZE];
    uint32_t last;              // id of the newest
    uint16_t lost[INBOX_USERS]; // discarded before this user has read it
} inbox;

// Adds one for the users whose bits are in `to`. If there is no room it takes the place of the
// oldest one that all have read, or else of the oldest, which counts as lost. One with the same
// text that nobody has read yet is moved to the front instead: what happens again and again fills
// one entry. -1: the text is empty, longer than INBOX_TEXT - 1 bytes, or has control characters.
int inbox_add(inbox *box, uint8_t to, const char *text, uint32_t now_s);

// User i has read those with ids from first to last. Returns 1 if that changed something.
int inbox_read(inbox *box, unsigned user, uint32_t first, uint32_t last);

unsigned inbox_unread(const inbox *box, unsigned user);

// The newest one for this user with an id below that, or NULL.
const inbox_note *inbox_before(const inbox *box, unsigned user, uint32_t id);

#endif
