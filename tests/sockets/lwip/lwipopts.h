// lwipopts.h - lwIP in tcpip_thread as tests/lwip/os has it, with sockets and UDP.
#ifndef SOCKETS_LWIPOPTS_H
#define SOCKETS_LWIPOPTS_H

#include <sys/select.h>
#include <sys/time.h>

#include "tests/lwip/os/lwipopts.h"

#undef LWIP_SOCKET
#define LWIP_SOCKET 1
#undef LWIP_UDP
#define LWIP_UDP 1
#define LWIP_COMPAT_SOCKETS 0
#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_ERRNO_STDINCLUDE 1
#define DEFAULT_UDP_RECVMBOX_SIZE 4
#ifdef OS_LOCK // no resets, as ESP-IDF has it
#define LWIP_SO_LINGER 0
#undef MEMP_NUM_NETCONN
#define MEMP_NUM_NETCONN 16
#else
#define LWIP_SO_LINGER 1
#endif

#endif // SOCKETS_LWIPOPTS_H
