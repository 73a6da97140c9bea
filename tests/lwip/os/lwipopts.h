// lwipopts.h - lwIP inside its tcpip_thread, for threads.c. Server and clients share one stack,
// over the loop interface. In two ways:
//     OS_LOCK   LWIP_TCPIP_CORE_LOCKING: other threads take the core's mutex. All memory is of the
//               C library, so that the sanitizer sees each block and its end
//     OS_MAIL   only tcpip_thread runs the core, others send it messages. Real pools, and few of
//               those the port itself takes from
#ifndef OS_LWIPOPTS_H
#define OS_LWIPOPTS_H

#define NO_SYS 0
#define SYS_LIGHTWEIGHT_PROT 1
#define LWIP_NETCONN 1
#define LWIP_SOCKET 0
#define LWIP_SO_RCVTIMEO 1
#define LWIP_UDP 0
#define LWIP_RAW 0
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_IPV6 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define LWIP_HAVE_LOOPIF 1
#define LWIP_NETIF_LOOPBACK 1
#define SO_REUSE 1 // the server listens again while its earlier connections are in TIME_WAIT
#define MEM_ALIGNMENT 8
#define TCP_LISTEN_BACKLOG 1
#define TCP_MSL 1000
#define TCP_MSS 1460
#define TCP_WND (4 * TCP_MSS)
#define TCP_SND_BUF (4 * TCP_MSS)
#define TCP_SND_QUEUELEN 32
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 1) // desc.timer of the port
#define TCPIP_MBOX_SIZE 64
#define DEFAULT_TCP_RECVMBOX_SIZE 64
#define DEFAULT_ACCEPTMBOX_SIZE 8
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define MEMP_STATS 1
#define LWIP_DEBUG 0
#define PBUF_NEEDS_COPY(p) 1 // the port may refer to the log: the loop interface copies

#ifdef OS_LOCK
#define LWIP_TCPIP_CORE_LOCKING 1
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEMP_NUM_TCP_SEG 256
#define PBUF_POOL_SIZE 64
#else
#define LWIP_TCPIP_CORE_LOCKING 0
#define MEM_SIZE (256 * 1024)
#define MEMP_NUM_TCP_PCB 40
#define MEMP_NUM_TCP_PCB_LISTEN 2
#define MEMP_NUM_TCP_SEG 256
#define MEMP_NUM_PBUF 64
#define MEMP_NUM_NETCONN 16
#define MEMP_NUM_TCPIP_MSG_API 16
#define PBUF_POOL_SIZE 64
#endif

// In sys_arch.c: is this thread where lwIP's core may be called?
void os_check_core(void);
#define LWIP_ASSERT_CORE_LOCKED() os_check_core()

#endif // OS_LWIPOPTS_H
