// BearSSL's filter in a file of its own, for its PEM reader: the client of another filter's tests.
#include "../../rtpush.h"
#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "../../ports/rtpush_bearssl.h"
