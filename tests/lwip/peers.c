// peers.c - the peers: connections over the second lwIP, controlled by sim.c.
#include "sim.h"

#include <string.h>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

typedef struct peer_conn {
    struct tcp_pcb *pcb;
    int number;
    int small; // 1: a window smaller than lwIP's
    int fins;  // sent and received
} peer_conn;

static peer_conn peers[SIM_PEERS];

// No callback after this.
static struct tcp_pcb *release(peer_conn *peer)
{
    struct tcp_pcb *pcb = peer->pcb;
    peer->pcb = NULL;
    if (pcb != NULL) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_err(pcb, NULL);
    }
    return pcb;
}

// After both, lwIP frees the PCB without a callback.
static void count_fin(peer_conn *peer)
{
    if (++peer->fins == 2) {
        (void)release(peer);
    }
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)pcb;
    (void)err;
    sim_peer_connected(((peer_conn *)arg)->number);
    return ERR_OK;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    peer_conn *peer = (peer_conn *)arg;
    (void)pcb;
    (void)err;
    if (p == NULL) {
        count_fin(peer);
        sim_peer_fin(peer->number);
        return ERR_OK;
    }
    for (struct pbuf *q = p; q != NULL; q = q->next) {
        sim_peer_data(peer->number, (const uint8_t *)q->payload, q->len);
    }
    pbuf_free(p);
    return ERR_OK;
}

static void on_error(void *arg, err_t err)
{
    peer_conn *peer = (peer_conn *)arg;
    (void)err;
    peer->pcb = NULL;
    sim_peer_gone(peer->number);
}

// Own address and the server's, see stack.c.
static void ends(int address, ip_addr_t *own, ip_addr_t *server)
{
    if (address == SIM_V4) {
        ip_addr_set_ip4_u32_val(*own, PP_HTONL(0x0A000002));
        ip_addr_set_ip4_u32_val(*server, PP_HTONL(0x0A000001));
        return;
    }
    ip_addr_copy_from_ip6(*own, *netif_ip6_addr(netif_default, address));
    *server = *own;
    ip_2_ip6(server)->addr[3] = PP_HTONL(1);
}

// window: what the peer's TCP ever has room for, at most its TCP_WND.
int peer_connect(int number, int address, uint16_t local_port, uint32_t window)
{
    peer_conn *peer = &peers[number];
    ip_addr_t own;
    ip_addr_t server;
    struct tcp_pcb *pcb = tcp_new();
    if (pcb == NULL) {
        return -1;
    }
    peer->number = number;
    peer->fins = 0;
    peer->small = window < pcb->rcv_wnd;
    peer->pcb = pcb;
    tcp_arg(pcb, peer);
    tcp_recv(pcb, on_recv);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
    ends(address, &own, &server);
    if (tcp_bind(pcb, &own, local_port) != ERR_OK ||
        tcp_connect(pcb, &server, 80, on_connected) != ERR_OK) {
        peer_abort(number);
        return -1;
    }
    if (window < pcb->rcv_wnd) { // the SYN announced more; the next announcement counts
        pcb->rcv_wnd = (tcpwnd_size_t)window;
        pcb->rcv_ann_wnd = (tcpwnd_size_t)window;
    }
    return 0;
}

size_t peer_send(int number, const void *data, size_t len)
{
    struct tcp_pcb *pcb = peers[number].pcb;
    if (pcb == NULL) {
        return len;
    }
    size_t room = tcp_sndbuf(pcb);
    size_t n = len < room ? len : room;
    if (n == 0 || tcp_write(pcb, data, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK) {
        return 0;
    }
    tcp_output(pcb);
    return n;
}

void peer_read(int number, size_t len)
{
    struct tcp_pcb *pcb = peers[number].pcb;
    if (pcb != NULL && len > 0) {
        tcp_recved(pcb, (u16_t)len);
        if (peers[number].small) { // lwIP tells at once only of what is much for its TCP_WND
            tcp_ack_now(pcb);
            tcp_output(pcb);
        }
    }
}

void peer_fin(int number)
{
    if (peers[number].pcb != NULL && tcp_shutdown(peers[number].pcb, 0, 1) == ERR_OK) {
        count_fin(&peers[number]);
    }
}

void peer_abort(int number)
{
    struct tcp_pcb *pcb = release(&peers[number]);
    if (pcb != NULL) {
        tcp_abort(pcb);
    }
}

void peer_forget(int number)
{
    struct tcp_pcb *pcb = release(&peers[number]);
    if (pcb != NULL && tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
    }
}
