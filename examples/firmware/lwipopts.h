// lwIP for CONNS connections of which STREAMS stream, in 64 KB of RAM; after the recipe in
// ports/rtpush_lwip.h.

#ifndef LWIPOPTS_H
#define LWIPOPTS_H

// Of rtpush, in main.c. Macros: lwIP compares its numbers in #if.
#ifndef CONNS
#define CONNS 16
#define STREAMS 10
#define LISTENERS 1
#endif

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_UDP 0
#define LWIP_RAW 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_IPV6 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define TCP_LISTEN_BACKLOG 1
#define MEM_ALIGNMENT 4
#define ETH_PAD_SIZE 2
#define LWIP_CHKSUM_ALGORITHM 3

// The card has taken the bytes when linkoutput returns, so the log may be given by reference.
#define PBUF_NEEDS_COPY(p) 1

// Small segments: pages send little, so buffers for full-size segments would be mostly empty.
#define TCP_MSS 536
#define TCP_WND (2 * TCP_MSS) // what the port can hold for a connection; it would refuse more
#define TCP_SND_BUF (4 * TCP_MSS)

#define MEMP_NUM_TCP_PCB (CONNS + 4)
#define MEMP_NUM_TCP_PCB_LISTEN LISTENERS
#define MEMP_NUM_TCP_SEG (CONNS * 4)
#define MEMP_NUM_PBUF (CONNS * 3)
#ifndef MEM_SIZE
#define MEM_SIZE (12 * 1024)
#endif
#ifndef PBUF_POOL_SIZE
#define PBUF_POOL_SIZE 10
#endif
#define PBUF_POOL_BUFSIZE 600 // 2 + 14 + 20 + 20 + 536, and a multiple of 4

// TIME_WAIT of 2 s instead of 2 minutes: on a local network no segment is delayed longer, and a
// PCB is 170 bytes. (lwIP reuses the oldest of them all the same when it has no other.)
#define TCP_MSL 1000

// The numbers of the page's cards.
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define MEM_STATS 1
#define MEMP_STATS 1
#define LINK_STATS 1
#define TCP_STATS 1
#define ETHARP_STATS 0
#define IP_STATS 0
#define ICMP_STATS 0

#endif
