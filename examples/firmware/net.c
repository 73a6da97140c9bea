// See net.h.

#include "net.h"

#include "board.h"
#include "log.h"
#include "startup.h"

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/ip4_addr.h"
#include "lwip/netif.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include <string.h>

enum {
    FRAMES_A_TURN = 16, // in QEMU an answer can arrive before the write of the request returns
    FRAME_MAX = 1514,
    PAD = ETH_PAD_SIZE
};

net_counters net_count;
static struct netif card;
static uint32_t random_state;

// -- what lwIP needs ------------------------------------------------------------------------------

uint32_t sys_now(void) {
    return clock_ms();
}

// xorshift32: local ports, not secrets.
uint32_t net_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

void net_assert(const char *what) {
    log_uart("lwIP: %s", what);
    for (;;) {
        __asm volatile("udf #0"); // the fault handler prints the address
    }
}

// -- frames ---------------------------------------------------------------------------------------

// Joins the bytes of the chain to words: a piece can have any length.
static err_t send_frame(struct netif *netif, struct pbuf *p) {
    const uint32_t len = (uint32_t)p->tot_len - PAD;
    uint32_t word = board_eth_begin(len);
    uint32_t bits = 8 * PAD; // of word that are filled
    uint32_t skip = PAD;
    (void)netif;
    for (const struct pbuf *q = p; q != NULL; q = q->next) {
        const uint8_t *from = (const uint8_t *)q->payload + skip;
        uint32_t left = q->len - skip;
        skip = 0;
        for (; left >= 4; left -= 4, from += 4) {
            uint32_t next;
            memcpy(&next, from, 4);
            *board_eth_tx = word | next << bits;
            word = bits > 0 ? next >> (32 - bits) : 0;
        }
        for (; left > 0; left--) {
            word |= (uint32_t)*from++ << bits;
            bits += 8;
            if (bits == 32) {
                *board_eth_tx = word;
                word = 0;
                bits = 0;
            }
        }
    }
    if (bits > 0) {
        *board_eth_tx = word;
    }
    board_eth_end();
    net_count.frames_out++;
    net_count.bytes_out += len;
    return ERR_OK;
}

// The rest of a frame of which the first word is known. Pieces of the chain hold whole words.
static void read_frame(struct pbuf *p, uint32_t first, uint32_t words) {
    uint32_t word = first;
    for (struct pbuf *q = p; q != NULL; q = q->next) {
        uint32_t *to = (uint32_t *)q->payload;
        for (uint32_t left = q->len; left > 0; left -= left < 4 ? left : 4) {
            *to++ = word;
            words--;
            word = words > 0 ? *board_eth_rx : 0;
        }
    }
    for (; words > 1; words--) { // the checksum; the last word was taken above
        (void)*board_eth_rx;
    }
}

static int receive_frame(void) {
    uint32_t first;
    const uint32_t len = board_eth_next(&first);
    if (len == 0) {
        return 0;
    }
    struct pbuf *p =
        len <= FRAME_MAX ? pbuf_alloc(PBUF_RAW, (u16_t)(len + PAD), PBUF_POOL) : NULL;
    read_frame(p, first, (PAD + len + 4 + 3) / 4);
    net_count.frames_in++;
    net_count.bytes_in += len;
    if (p == NULL) {
        net_count.frames_dropped++;
    } else if (card.input(p, &card) != ERR_OK) {
        pbuf_free(p);
    }
    return 1;
}

static err_t card_init(struct netif *netif) {
    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->output = etharp_output;
    netif->linkoutput = send_frame;
    netif->mtu = 1500;
    netif->hwaddr_len = 6;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
                   NETIF_FLAG_LINK_UP;
    uint64_t mac = board_eth_mac();
    for (int i = 0; i < 6; i++, mac >>= 8) {
        netif->hwaddr[i] = (uint8_t)mac;
    }
    return ERR_OK;
}

// -- public ---------------------------------------------------------------------------------------

void net_init(uint32_t seed) {
    ip4_addr_t address;
    ip4_addr_t mask;
    ip4_addr_t gateway;
    random_state = seed | 1u; // xorshift stays at 0
    IP4_ADDR(&address, 10, 0, 2, 15); // what QEMU's user network gives a guest
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 0, 2, 2);
    lwip_init();
    netif_add(&card, &address, &mask, &gateway, NULL, card_init, ethernet_input);
    netif_set_default(&card);
    netif_set_up(&card);
}

const char *net_address(void) {
    return ip4addr_ntoa(netif_ip4_addr(&card));
}

void net_receive(void) {
    for (int i = 0; i < FRAMES_A_TURN && receive_frame(); i++) {
    }
}

int net_pending(void) {
    board_eth_listen();
    return board_eth_pending();
}
