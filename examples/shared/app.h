// app.h - between an example and its main: posix.c on a PC, examples/firmware/app_main.c on a board

#ifndef APP_H
#define APP_H

#include "rtpush.h"

#include <string.h>

// Connections, and how many of them stream. A board's build sets fewer.
#ifndef CONNS
#define CONNS 64
#define STREAMS 56
#endif

#define APP_COUNT(list) ((uint32_t)(sizeof(list) / sizeof(list)[0]))

// What an example gives.
typedef struct app {
    const char *name;
    rtpush_desc desc; // with its memory; epoch and hosts are the main's
    void (*start)(rtpush_server *srv); // after rtpush_init. Or NULL
    uint32_t (*step)(rtpush_server *srv, uint32_t now_ms); // what is due: the milliseconds until
                                                           // it must be called again. Or NULL
    // On a PC: an option of the example with its value; 0: there is none of this name. Or NULL
    int (*option)(const char *name, const char *value);
    const char *usage; // ... the lines of these options for --help, or NULL
    void (*command)(char **argv); // ... what follows "--", ended by NULL. Or NULL
    void (*end)(void);            // ... the last call. Or NULL
} app;

extern const app example;

// What a main uses.
#define APP_NAME example.name
enum { APP_CONNS = CONNS };
// NULL: it cannot be; *wrong says why.
rtpush_server *app_start(uint32_t epoch, const char *const *hosts, const char **wrong);
uint32_t app_step(uint32_t now_ms);

#endif // APP_H
