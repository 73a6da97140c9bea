// The TLS filter, in an object of its own so that the map file tells its size.

#include "rtpush.h"

// Left out on a small device: RSA, since its certificate is ECDSA, and client certificates.
#define RTPUSH_BEARSSL_NO_RSA
#define RTPUSH_BEARSSL_NO_CLIENT_CERTS
#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "ports/rtpush_bearssl.h"
