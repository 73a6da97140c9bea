// stack.c - one lwIP with one netif that hands packets to the simulated wire: IP alone, or
// Ethernet with ARP and neighbour discovery. Compiled twice.
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/mem.h"
#include "lwip/memp.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#ifdef SIM_CLIENT
#define SIM_NAME(x) peers_##x
enum { TO_SERVER = 1 };
#else
#define SIM_NAME(x) server_##x
enum { TO_SERVER = 0 };
#endif

static struct netif wire;

#ifdef SIM_CLIENT
int sim_core_locked(void)
{
    return 1;
}
#endif

uint32_t sys_now(void)
{
    return sim_clock_ms();
}

uint32_t sim_lwip_rand(void)
{
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

void sim_lwip_assert(const char *what, const char *file, int line)
{
    // lwIP's own, wrong, and it goes on rightly: a FIN out of order, one beyond a window that is
    // closed; and mem_trim of the last block of a full heap (the code after it expects that).
    static const char *const known[] = {"tcp_receive: ooseq tcplen > rcv_wnd", "invalid next ptr"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(what, known[i], strlen(known[i])) == 0) {
            return;
        }
    }
    // mem_trim of the block that ends the heap: wrong only in the assertion, right in what it does.
    // A probe into a closed window brings it (tcp_split_unsent_seg), if the heap is full.
    if (strcmp(what, "invalid next ptr") == 0 && (line == 790 || line == 777)) { // 2.1.3, 2.2.1
        return;
    }
#ifndef SIM_CLIENT
    if (sim_asserted(what)) {
        return;
    }
#endif
    fprintf(stderr, "%s:%d: lwIP of the %s: %s\n", file, line,
            TO_SERVER ? "peers" : "server", what);
    abort();
}

void *sim_lwip_malloc(size_t size)
{
#ifndef SIM_CLIENT
    // lwIP cannot do without its timers: want of one ends it by assertion.
    if (size != LWIP_MEM_ALIGN_SIZE(sizeof(struct sys_timeo)) &&
        sim_alloc_fails(size == LWIP_MEM_ALIGN_SIZE(sizeof(struct tcp_pcb)))) {
        return NULL;
    }
#endif
    return malloc(size);
}

void *sim_lwip_calloc(size_t count, size_t size)
{
    void *memory = sim_lwip_malloc(count * size);
    return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

void sim_lwip_free(void *memory)
{
    free(memory);
}

#if !defined(SIM_CLIENT) && !MEMP_MEM_MALLOC
// build.sh compiles lwIP's own under these names.
void *lwip_memp_malloc(memp_t type);
void *lwip_mem_malloc(mem_size_t size);

void *memp_malloc(memp_t type)
{
    return type != MEMP_SYS_TIMEOUT && sim_alloc_fails(type == MEMP_TCP_PCB)
               ? NULL : lwip_memp_malloc(type);
}

void *mem_malloc(mem_size_t size)
{
    return sim_alloc_fails(0) ? NULL : lwip_mem_malloc(size);
}
#endif

static err_t onto_the_wire(const struct pbuf *p, u16_t skip)
{
    uint8_t packet[SIM_FRAME_MOST];
    const u16_t len = (u16_t)(p->tot_len - skip);
    LWIP_ASSERT("a packet larger than the MTU", len <= wire.mtu + (skip ? 14 : 0));
#ifndef SIM_CLIENT
    for (const struct pbuf *q = p; q != NULL; q = q->next) {
        sim_look(q->payload, q->len);
    }
#endif
    pbuf_copy_partial(p, packet, len, skip);
    return sim_send(TO_SERVER, packet, len) ? ERR_OK : ERR_MEM;
}

static err_t send_frame(struct netif *netif, struct pbuf *p)
{
    (void)netif;
    return onto_the_wire(p, ETH_PAD_SIZE);
}

static err_t send_ip4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)netif;
    (void)to;
    return onto_the_wire(p, 0);
}

#if LWIP_IPV6
static err_t send_ip6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    (void)netif;
    (void)to;
    return onto_the_wire(p, 0);
}

// fe80::HOST, fd00:0:0:1::HOST, the same with HOST + 1 (the peers), and fd00:0:0:2::HOST.
static void set_ip6(uint32_t host)
{
    for (int i = 0; i < SIM_ADDRESSES; i++) {
        ip6_addr_t *own = (ip6_addr_t *)netif_ip6_addr(&wire, i);
        const uint32_t last = host > 1 && i == SIM_V6_A2 ? host + 1 : host;
        const uint32_t network = i == SIM_V6_B ? 2 : 1;
        IP6_ADDR(own, i ? PP_HTONL(0xFD000000) : PP_HTONL(0xFE800000),
                 i ? lwip_htonl(network) : 0, 0, lwip_htonl(last));
        ip6_addr_assign_zone(own, IP6_UNICAST, &wire);
        if (host > 1 || i != SIM_V6_A2) { // the server has one address in each
            netif_ip6_addr_set_state(&wire, i, IP6_ADDR_PREFERRED);
        }
    }
    wire.output_ip6 = wire.linkoutput != NULL ? ethip6_output : send_ip6;
}
#endif

static err_t wire_init(struct netif *netif)
{
    netif->name[0] = 's';
    netif->name[1] = 'i';
    return ERR_OK;
}

// 10.0.0.1 is the server's address, 10.0.0.2 the peers'.
void SIM_NAME(start)(uint32_t mtu, int flags)
{
    const uint32_t host = TO_SERVER ? 2 : 1;
    ip4_addr_t own;
    ip4_addr_t mask;
    ip4_addr_t gateway;
    lwip_init();
    ip4_addr_set_u32(&own, lwip_htonl(0x0A000000u + host));
    IP4_ADDR(&mask, 255, 0, 0, 0);
    ip4_addr_set_zero(&gateway);
    netif_add(&wire, &own, &mask, &gateway, NULL, wire_init,
              flags & SIM_ETHERNET ? ethernet_input : ip_input);
    wire.mtu = (u16_t)mtu;
    wire.output = send_ip4;
    if (flags & SIM_ETHERNET) {
        wire.output = etharp_output;
        wire.linkoutput = send_frame;
        wire.flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
        wire.hwaddr_len = ETH_HWADDR_LEN;
        wire.hwaddr[0] = 2;
        wire.hwaddr[5] = (u8_t)host;
    }
#if LWIP_IPV6
    wire.mtu6 = (u16_t)mtu;
    set_ip6(host);
#endif
    netif_set_default(&wire);
    netif_set_link_up(&wire);
    netif_set_up(&wire);
}

// Bytes of the headers of a packet, into which lwIP writes; all of it if there is no TCP in it.
static size_t headers_of(const uint8_t *packet, size_t len)
{
    const size_t ip = wire.linkoutput != NULL ? 14 : 0;
    size_t tcp = len;
    if (len > ip && packet[ip] >> 4 == 4) {
        tcp = ip + 4u * (packet[ip] & 15u);
    } else if (len > ip && packet[ip] >> 4 == 6) {
        tcp = ip + 40;
    }
    return tcp + 20 < len ? tcp + 4u * (packet[tcp + 12] >> 4) : len;
}

// As a driver does: into pbufs of the pool, or lost if there is none. It refers to the first pbuf
// for a while, as one does that takes packets from shared memory. Returns 0 if somebody wrote into
// its data meanwhile.
int SIM_NAME(packet)(const uint8_t *packet, size_t len, size_t first)
{
    const u16_t pad = wire.linkoutput != NULL ? ETH_PAD_SIZE : 0;
    const u16_t head = (u16_t)((first > 0 && first < len ? first : len) + pad);
    struct pbuf *p = pbuf_alloc(PBUF_RAW, head, PBUF_POOL);
    struct pbuf *rest = NULL;
    if (p != NULL && len + pad > head) {
        rest = pbuf_alloc(PBUF_RAW, (u16_t)(len + pad - head), PBUF_POOL);
        if (rest != NULL) {
            pbuf_cat(p, rest);
        }
    }
    if (p == NULL || p->tot_len < len + pad) {
        if (p != NULL) {
            pbuf_free(p);
        }
        return 1;
    }
    pbuf_take_at(p, packet, (u16_t)len, pad);
    const u8_t *data = (const u8_t *)p->payload + pad;
    const size_t in_first = p->len - pad; // bytes
    const size_t headers = headers_of(packet, len);
    pbuf_ref(p);
    if (wire.input(p, &wire) != ERR_OK) {
        pbuf_free(p);
    }
    const int same = in_first <= headers ||
                     memcmp(data + headers, packet + headers, in_first - headers) == 0;
    pbuf_free(p);
    return same;
}

void SIM_NAME(forget)(void)
{
    etharp_cleanup_netif(&wire);
#if LWIP_IPV6
    nd6_cleanup_netif(&wire);
#endif
}

uint32_t SIM_NAME(timers)(void)
{
    sys_check_timeouts();
    return sys_timeouts_sleeptime();
}

size_t SIM_NAME(in_use)(char *what, size_t cap)
{
    static const struct {
        int pool;
        const char *name;
    } pools[] = {{MEMP_TCP_PCB, "PCB"}, {MEMP_TCP_SEG, "segment"}, {MEMP_PBUF, "pbuf"},
                 {MEMP_PBUF_POOL, "pool pbuf"}, {MEMP_TCP_PCB_LISTEN, "listener"},
                 {MEMP_ARP_QUEUE, "packet that waits for ARP"}};
    size_t sum = 0;
    what[0] = '\0';
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        const size_t used = memp_pools[pools[i].pool]->stats->used;
        const size_t at = strlen(what);
        sum += used;
        if (used > 0) {
            snprintf(what + at, cap - at, " %zu %s", used, pools[i].name);
        }
    }
#if !MEMP_MEM_MALLOC
    if (lwip_stats.mem.used > 0) {
        const size_t at = strlen(what);
        snprintf(what + at, cap - at, " %zu bytes of heap", (size_t)lwip_stats.mem.used);
        sum++;
    }
#endif
    return sum;
}
