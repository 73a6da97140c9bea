// sim.h - between the parts of the simulation. Two copies of lwIP live in one program: the server's
// (with rtpush and its port) and the peers'. The peers' is linked into one object whose names are
// local but for those declared here, so the two share nothing but the wire and the clock.
#ifndef SIM_H
#define SIM_H

#include <stddef.h>
#include <stdint.h>

// sim.c gives:
uint32_t sim_clock_ms(void);
// A frame with its Ethernet header, or an IP packet alone, goes onto the wire. Returns 0 if the
// driver is full.
int sim_send(int to_server, const uint8_t *packet, size_t len);
int sim_alloc_fails(int pcb); // the server's stack asks for memory; 1: for a PCB
int sim_needs_copy(int is_volatile); // the server's PBUF_NEEDS_COPY
int sim_asserted(const char *what);  // by the server's stack or the port; 1: the test wants it
void sim_look(const void *payload, size_t len);                  // the server sends these bytes
void sim_peer_connected(int peer);
void sim_peer_data(int peer, const uint8_t *data, size_t len);
void sim_peer_fin(int peer);
void sim_peer_gone(int peer);

// One stack, made twice from stack.c: SIM_NAME(x) is server_x or peers_x.
enum { SIM_ETHERNET = 1, SIM_MTU_MOST = 1500, SIM_FRAME_MOST = SIM_MTU_MOST + 14 };
void server_start(uint32_t mtu, int flags);
// first: bytes of the first pbuf, as of a driver that splits headers from data; 0: as they come.
// Returns 0 if somebody wrote into its data, which a driver may share
int server_packet(const uint8_t *packet, size_t len, size_t first);
uint32_t server_timers(void); // runs what is due, returns ms until the next
size_t server_in_use(char *what, size_t cap); // allocations of TCP; what: which
void server_forget(void);                     // all it knows of its neighbours, and what waits
void peers_start(uint32_t mtu, int flags);
void peers_forget(void);
int peers_packet(const uint8_t *packet, size_t len, size_t first);
uint32_t peers_timers(void);
size_t peers_in_use(char *what, size_t cap);

// peers.c: connections of the peers, each with a number.
enum { SIM_PEERS = 64 };
// The peers' addresses: IPv4, two of one /64, and one of another.
enum { SIM_V4, SIM_V6_A1, SIM_V6_A2, SIM_V6_B, SIM_ADDRESSES };
int peer_connect(int peer, int address, uint16_t local_port, uint32_t window); // 0 or -1
size_t peer_send(int peer, const void *data, size_t len); // bytes taken
void peer_read(int peer, size_t len);                     // opens the window by so much
void peer_fin(int peer);
void peer_abort(int peer);
void peer_forget(int peer); // closes as a process does that ends; no callback after it

#endif // SIM_H
