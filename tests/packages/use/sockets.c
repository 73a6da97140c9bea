// The sockets port, linked by a build system.
#include <rtpush.h>
#include <ports/rtpush_sockets.h>

static rtpush_sockets port;

int main(void) {
    return rtpush_sockets_strerror(rtpush_sockets_init(&port, NULL, NULL))[0] == '\0';
}
