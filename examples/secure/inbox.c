// See inbox.h.

#include "inbox.h"

#include <string.h>

static uint8_t bit(unsigned user) {
    return (uint8_t)(1u << user);
}

static int is_text(const char *text) {
    size_t len = 0;
    for (; text[len] != '\0'; len++) {
        if ((uint8_t)text[len] < ' ' || text[len] == 0x7F || len >= INBOX_TEXT - 1) {
            return 0;
        }
    }
    return len > 0;
}

static inbox_note *find_again(inbox *box, uint8_t to, const char *text) {
    for (int i = 0; i < INBOX_SIZE; i++) {
        inbox_note *note = &box->notes[i];
        if (note->id != 0 && note->to == to && note->unread == to &&
            strcmp(note->text, text) == 0) {
            return note;
        }
    }
    return NULL;
}

// A free entry, which has id 0; or the oldest of those that all have read; or the oldest.
static inbox_note *make_room(inbox *box) {
    inbox_note *oldest = &box->notes[0];
    for (int i = 1; i < INBOX_SIZE; i++) {
        inbox_note *note = &box->notes[i];
        const int sooner = (note->unread == 0) - (oldest->unread == 0);
        if (sooner > 0 || (sooner == 0 && note->id < oldest->id)) {
            oldest = note;
        }
    }
    for (unsigned user = 0; user < INBOX_USERS; user++) {
        if (oldest->unread & bit(user) && box->lost[user] < UINT16_MAX) {
            box->lost[user]++;
        }
    }
    return oldest;
}

int inbox_add(inbox *box, uint8_t to, const char *text, uint32_t now_s) {
    if (!is_text(text)) {
        return -1;
    }
    inbox_note *note = find_again(box, to, text);
    if (note == NULL) {
        note = make_room(box);
        memset(note, 0, sizeof *note);
        memcpy(note->text, text, strlen(text));
        note->to = note->unread = to;
    }
    note->id = ++box->last;
    note->at_s = now_s;
    return 0;
}

// Who has read the newest has also been told how many were lost.
int inbox_read(inbox *box, unsigned user, uint32_t first, uint32_t last) {
    int changed = 0;
    for (int i = 0; i < INBOX_SIZE; i++) {
        inbox_note *note = &box->notes[i];
        if (note->unread & bit(user) && note->id >= first && note->id <= last) {
            note->unread = (uint8_t)(note->unread & ~bit(user));
            changed = 1;
        }
    }
    if (box->lost[user] > 0 && inbox_unread(box, user) == 0) {
        box->lost[user] = 0;
        changed = 1;
    }
    return changed;
}

unsigned inbox_unread(const inbox *box, unsigned user) {
    unsigned count = 0;
    for (int i = 0; i < INBOX_SIZE; i++) {
        count += (box->notes[i].unread & bit(user)) != 0;
    }
    return count;
}

const inbox_note *inbox_before(const inbox *box, unsigned user, uint32_t id) {
    const inbox_note *found = NULL;
    for (int i = 0; i < INBOX_SIZE; i++) {
        const inbox_note *note = &box->notes[i];
        if (note->to & bit(user) && note->id != 0 && note->id < id &&
            (found == NULL || note->id > found->id)) {
            found = note;
        }
    }
    return found;
}
