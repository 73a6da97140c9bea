// core.c - the core that the programs which do not define U_INSIDE share.
#include <assert.h>

#define RTPUSH_ASSERT(condition) assert(condition)
#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"
