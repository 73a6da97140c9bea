// What ports/rtpush_sockets.h uses of lwIP's header of this name, declared as lwIP and ESP-IDF do:
// functions have the prefix lwip_ alone, and options are those of a default configuration.

#ifndef STUB_LWIP_SOCKETS_H
#define STUB_LWIP_SOCKETS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/types.h>

#define MEMP_NUM_NETCONN 10 // CONFIG_LWIP_MAX_SOCKETS
#ifdef CONFIG_LWIP_SO_LINGER
#define LWIP_SO_LINGER 1
#else
#define LWIP_SO_LINGER 0
#endif
#ifdef NO_IPV6
#define LWIP_IPV6 0
#else
#define LWIP_IPV6 1
#endif

#define AF_INET 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOL_SOCKET 0xfff
#define SO_REUSEADDR 0x0004
#define SO_LINGER 0x0080
#define SO_SNDBUF 0x1001
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define TCP_NODELAY 0x01
#define MSG_NOSIGNAL 0x20
#define SHUT_WR 1
#define FIONBIO 0x8004667e

typedef uint32_t socklen_t;

struct sockaddr {
    uint8_t sa_len;
    uint8_t sa_family;
    char sa_data[14];
};

struct in_addr {
    uint32_t s_addr;
};

struct sockaddr_in {
    uint8_t sin_len;
    uint8_t sin_family;
    uint16_t sin_port;
    struct in_addr sin_addr;
    char sin_zero[8];
};

#if LWIP_IPV6
#define AF_INET6 10
#define IPPROTO_IPV6 41
#define IPV6_V6ONLY 27

struct in6_addr {
    union {
        uint32_t u32_addr[4];
        uint8_t u8_addr[16];
    } un;
};

struct sockaddr_in6 {
    uint8_t sin6_len;
    uint8_t sin6_family;
    uint16_t sin6_port;
    uint32_t sin6_flowinfo;
    struct in6_addr sin6_addr;
    uint32_t sin6_scope_id;
};
#endif

struct linger {
    int l_onoff;
    int l_linger;
};

#ifdef __cplusplus
extern "C" {
#endif
int lwip_accept(int s, struct sockaddr *addr, socklen_t *addrlen);
int lwip_bind(int s, const struct sockaddr *name, socklen_t namelen);
int lwip_close(int s);
int lwip_connect(int s, const struct sockaddr *name, socklen_t namelen);
int lwip_getsockname(int s, struct sockaddr *name, socklen_t *namelen);
int lwip_inet_pton(int af, const char *src, void *dst);
int lwip_ioctl(int s, long cmd, void *argp);
int lwip_listen(int s, int backlog);
ssize_t lwip_recv(int s, void *mem, size_t len, int flags);
int lwip_select(int maxfdp1, fd_set *readset, fd_set *writeset, fd_set *exceptset,
                struct timeval *timeout);
ssize_t lwip_send(int s, const void *dataptr, size_t size, int flags);
int lwip_setsockopt(int s, int level, int optname, const void *optval, socklen_t optlen);
int lwip_shutdown(int s, int how);
int lwip_socket(int domain, int type, int protocol);
#ifdef __cplusplus
}
#endif

#endif // STUB_LWIP_SOCKETS_H
