// lwipopts.h - lwIP in the simulation. SIM_CLIENT is the peers' stack. The server's comes in five:
//     SIM_HEAP   every allocation is one of the sanitizer's heap; IPv4 and IPv6
//     SIM_SMALL  real pools, as on a microcontroller with 64 KB: ERR_MEM is common; IPv4 alone
//     SIM_COPY   as SMALL, with LWIP_NETIF_TX_SINGLE_PBUF: lwIP copies everything
//     SIM_TINY   as SMALL, with what lwIP and many boards have by default: 5 PCBs, no backlog
//     SIM_PICO   that of pico-examples; lwIP in an interrupt, see background.h
// SIM_MACROS (compile.sh): as in arduino-pico lwIP's lock is macros with no function behind them.
// In each, any allocation can be made fail, and sim_needs_copy() stands for PBUF_NEEDS_COPY(p) 1.
#ifndef SIM_LWIPOPTS_H
#define SIM_LWIPOPTS_H

#ifdef SIM_OS // compile.sh: inside tcpip_thread
#define NO_SYS 0
#define SYS_LIGHTWEIGHT_PROT 1
#else
#define NO_SYS 1
#ifdef SIM_MACROS
#define SYS_LIGHTWEIGHT_PROT 1
#else
#define SYS_LIGHTWEIGHT_PROT 0
#endif
#endif
#ifdef SIM_MACROS
#ifdef __cplusplus
extern "C"
#endif
unsigned sim_no_interrupts(void);
#define SYS_ARCH_DECL_PROTECT(lev) unsigned lev
#define SYS_ARCH_PROTECT(lev) ((lev) = sim_no_interrupts())
#define SYS_ARCH_UNPROTECT(lev) ((void)(lev))
#endif
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_UDP 0
#define LWIP_RAW 0
#ifdef SIM_OS
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#else
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define ARP_QUEUEING 1
#define ETH_PAD_SIZE 2
#endif
#if defined(SIM_IPV6) || defined(SIM_CLIENT) || defined(SIM_HEAP)
#define LWIP_IPV6 1
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_NUM_ADDRESSES 4
#else
#define LWIP_IPV6 0
#endif
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define MEM_ALIGNMENT 8
#if !defined(SIM_TINY) && !defined(SIM_PICO)
#define TCP_LISTEN_BACKLOG 1
#endif
#define TCP_MSL 1000
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define MEMP_STATS 1
#define LWIP_CHKSUM_ALGORITHM 3
#define CHECKSUM_GEN_IP 0
#define CHECKSUM_CHECK_IP 0
#define LWIP_DEBUG 0
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 1) // desc.timer of the port

#ifdef __cplusplus
extern "C"
#endif
int sim_core_locked(void);
#define LWIP_ASSERT_CORE_LOCKED() LWIP_ASSERT("outside lwIP's context", sim_core_locked())

#if defined(SIM_CLIENT) || defined(SIM_HEAP)
#if SIM_LWIP == 21
#define MEM_LIBC_MALLOC 1 // and mem_clib_malloc in cc.h
#else
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC sim_lwip_malloc
#define MEM_CUSTOM_CALLOC sim_lwip_calloc
#define MEM_CUSTOM_FREE sim_lwip_free
#endif
#endif

#ifdef SIM_CLIENT
#define MEMP_MEM_MALLOC 1
#define TCP_MSS 1460
#define TCP_WND (8 * TCP_MSS)
#define TCP_SND_BUF (8 * TCP_MSS)
#define TCP_SND_QUEUELEN 64
#define MEMP_NUM_TCP_SEG 64
#elif defined(SIM_OS)
#define PBUF_NEEDS_COPY(p) 1
#else
#ifdef __cplusplus
extern "C"
#endif
int sim_needs_copy(int is_volatile);
#define PBUF_NEEDS_COPY(p) sim_needs_copy(((p)->type_internal & PBUF_TYPE_FLAG_DATA_VOLATILE) != 0)
#endif

#ifdef SIM_HEAP
#ifndef SIM_POOLS
#define MEMP_MEM_MALLOC 1
#endif
#define MEMP_NUM_TCP_SEG 64
#define PBUF_POOL_SIZE 16
#define TCP_MSS 1460
#define TCP_WND (2 * TCP_MSS)
#ifdef SIM_SND_BUF
#define TCP_SND_BUF SIM_SND_BUF
#else
#define TCP_SND_BUF (4 * TCP_MSS)
#endif
#endif

#if defined(SIM_SMALL) || defined(SIM_COPY) || defined(SIM_TINY)
#define MEM_SIZE 8192
#ifndef SIM_TINY
#define MEMP_NUM_TCP_PCB 10
#endif
#define MEMP_NUM_TCP_SEG 24
#define MEMP_NUM_PBUF 8
#define PBUF_POOL_SIZE 8
#define PBUF_POOL_BUFSIZE 600
#define TCP_MSS 536
#define TCP_WND (4 * TCP_MSS)
#define TCP_SND_BUF (4 * TCP_MSS)
#endif
#ifdef SIM_PICO
#define MEM_SIZE 4000
#define MEMP_NUM_TCP_SEG 32
#define PBUF_POOL_SIZE 24
#define TCP_MSS 1460
#define TCP_WND (8 * TCP_MSS)
#define TCP_SND_BUF (8 * TCP_MSS)
#define TCP_SND_QUEUELEN ((4 * (TCP_SND_BUF) + (TCP_MSS - 1)) / (TCP_MSS))
#endif
#if defined(SIM_COPY) || defined(SIM_PICO)
#define LWIP_NETIF_TX_SINGLE_PBUF 1
#endif

#endif // SIM_LWIPOPTS_H
