// poison.c - the port alone, where the names that not all platforms have cannot be used. run.sh
// compares what it calls with a list.

#define _GNU_SOURCE
#include "rtpush.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#pragma GCC poison MSG_PEEK MSG_DONTWAIT MSG_WAITALL SIOCOUTQ IN6_IS_ADDR_V4MAPPED FD_CLOEXEC
#pragma GCC poison F_SETFD F_SETFL O_NONBLOCK SOCK_NONBLOCK SOCK_CLOEXEC sockaddr_storage
#pragma GCC poison pipe fcntl read write sendmsg recvmsg sendto recvfrom accept4 getaddrinfo
#pragma GCC poison gethostbyname getrlimit setrlimit signal malloc calloc realloc free printf
#pragma GCC poison htons htonl ntohs ntohl in6addr_any

#define RTPUSH_SOCKETS_IMPLEMENTATION
#include "ports/rtpush_sockets.h"
