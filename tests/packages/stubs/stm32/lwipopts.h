// As STM32CubeMX writes it for FreeRTOS, in short, with the lines of examples/boards.
#pragma once
#define NO_SYS 0
#define SYS_LIGHTWEIGHT_PROT 1
#define LWIP_SOCKET 1
#define LWIP_NETCONN 1
#define LWIP_COMPAT_SOCKETS 0
#define MEM_ALIGNMENT 4
#define MEM_SIZE 10240
#define LWIP_DHCP 1
#define LWIP_TIMEVAL_PRIVATE 0 // CubeMX: arch/cc.h
#include <sys/time.h>
#define CHECKSUM_BY_HARDWARE 1
#include "lwipopts_rtpush.h"
