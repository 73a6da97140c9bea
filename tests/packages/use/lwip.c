// The lwIP port, compiled with this program's lwipopts.h.
#include <rtpush.h>
#include <ports/rtpush_lwip.h>

int ready(rtpush_lwip *port);
int ready(rtpush_lwip *port) {
    return rtpush_lwip_poll(port) != 0;
}
