// What ports/rtpush_sockets.h uses of Zephyr's header of this name: functions and constants of
// poll() and shutdown() have the prefix alone; types have the plain names that
// CONFIG_NET_NAMESPACE_COMPAT_MODE keeps.

#ifndef STUB_ZEPHYR_SOCKET_H
#define STUB_ZEPHYR_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AF_INET 1
#define AF_INET6 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41
#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_SNDBUF 7
#define TCP_NODELAY 1
#define IPV6_V6ONLY 26
#define ZSOCK_SHUT_WR 1
#define ZSOCK_POLLIN 1
#define ZSOCK_POLLOUT 4
#ifdef CONFIG_NET_SOCKETS_SOCKOPT_TLS
#define IPPROTO_TLS_1_2 258
#define SOL_TLS 282
#define TLS_SEC_TAG_LIST 1
#endif

typedef uint32_t net_socklen_t;
#define socklen_t net_socklen_t
typedef unsigned short int sa_family_t;

struct in_addr {
    uint8_t s4_addr[4];
};

struct in6_addr {
    uint8_t s6_addr[16];
};

struct sockaddr {
    sa_family_t sa_family;
    char data[22];
};

struct sockaddr_in {
    sa_family_t sin_family;
    uint16_t sin_port;
    struct in_addr sin_addr;
};

struct sockaddr_in6 {
    sa_family_t sin6_family;
    uint16_t sin6_port;
    struct in6_addr sin6_addr;
    uint8_t sin6_scope_id;
};

struct zsock_pollfd {
    int fd;
    short events;
    short revents;
};

#ifdef __cplusplus
extern "C" {
#endif
int zsock_accept(int sock, struct sockaddr *addr, socklen_t *addrlen);
int zsock_bind(int sock, const struct sockaddr *addr, socklen_t addrlen);
int zsock_close(int sock);
int zsock_connect(int sock, const struct sockaddr *addr, socklen_t addrlen);
int zsock_fcntl(int sock, int cmd, int flags);
int zsock_getsockname(int sock, struct sockaddr *addr, socklen_t *addrlen);
int zsock_inet_pton(int family, const char *src, void *dst);
int zsock_listen(int sock, int backlog);
int zsock_poll(struct zsock_pollfd *fds, int nfds, int timeout);
ssize_t zsock_recv(int sock, void *buf, size_t max_len, int flags);
ssize_t zsock_send(int sock, const void *buf, size_t len, int flags);
int zsock_setsockopt(int sock, int level, int optname, const void *optval, socklen_t optlen);
int zsock_shutdown(int sock, int how);
int zsock_socket(int family, int type, int proto);
#ifdef __cplusplus
}
#endif

#endif // STUB_ZEPHYR_SOCKET_H
