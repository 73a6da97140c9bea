// The TLS filter, in an object of its own so that the map file tells its size.

#include "rtpush.h"

// What a small device does without: its certificate is ECDSA, its clients have none.
#define RTPUSH_BEARSSL_NO_RSA
#define RTPUSH_BEARSSL_NO_CLIENT_CERTS
#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "ports/rtpush_bearssl.h"
