// For lwipopts.h of STM32CubeMX, between USER CODE BEGIN 1 and END 1; or set the same in CubeMX.
// 4 connections over lwIP's sockets, in a task of FreeRTOS.

#undef LWIP_NETIF_LOOPBACK
#define LWIP_NETIF_LOOPBACK 1 // the port wakes its own loop by a datagram to 127.0.0.1
#undef LWIP_HAVE_LOOPIF
#define LWIP_HAVE_LOOPIF 1
#undef LWIP_SO_LINGER
#define LWIP_SO_LINGER 1 // so that an answer that was cut short ends with a reset
#undef MEMP_NUM_NETCONN
#define MEMP_NUM_NETCONN 8 // connections and 3 of the port, and one to spare
#undef MEMP_NUM_TCP_PCB
#define MEMP_NUM_TCP_PCB 6
#undef MEMP_NUM_UDP_PCB
#define MEMP_NUM_UDP_PCB 4
#undef TCP_MSS
#define TCP_MSS 1460
#undef TCP_SND_BUF
#define TCP_SND_BUF (2 * TCP_MSS)
#undef TCP_WND
#define TCP_WND (2 * TCP_MSS)
#undef MEM_SIZE
#define MEM_SIZE 16000
