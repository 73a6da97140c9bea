// conformance.h - the application that the transcripts of tests/unit/transcripts.h talk to, without
// the checks of tests/unit/fixture.h: small enough for a device, so that the same transcripts can
// run over a real network.

#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include "rtpush.h"

enum { CONFORMANCE_CONNS = 8 };

extern rtpush_server conformance_server;

// RTPUSH_OK, or rtpush_config_error(&conformance_server) says what is wrong.
int conformance_start(void);

// Given by the program around it: what its transport has in use now, as text for GET /pools.
void conformance_pools(char *out, size_t cap);
// Given as well: GET /interrupt asks for events from another context, if there is one.
void conformance_interrupt(void);

#endif
