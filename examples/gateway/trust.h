// Whose word is taken for a client's address: that of proxies in front of the gateway.

#ifndef TRUST_H
#define TRUST_H

#include <stdint.h>

// Addresses of proxies, with commas. -1, having said why.
int trust_set(const char *addresses);
// Is this one of them? As rtpush_posix_address writes it.
int trust_is(const char *address);
// Who the client is, as rtpush_request.peer, by the value of X-Forwarded-For, or by that of
// Forwarded (RFC 7239) with forwarded 1. Each proxy adds the address that it saw at the end, and
// what stands before it anybody may have written: so from the end, the first that is not a proxy
// of ours. 0: the value does not say.
uint32_t trust_client(const char *value, int forwarded);

#endif
