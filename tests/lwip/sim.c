// sim.c - rtpush over lwIP, on a wire that loses, doubles and reorders packets. See world.h.
//
//   sim seeds FIRST COUNT    that many random runs
//   sim seed N               one of them, again exactly (SIM_TRACE=1: with what the readers read)
//   sim allocs LENGTH STEP   one run for each n, or STEPth: allocation n of the server's lwIP
//                            fails, and the LENGTH - 1 after it; until a run has fewer than n
//   sim alloc N LENGTH       one of them
//   sim rules [NAME]         one test for each rule of the port
//
// Each run is a process of its own: lwIP's state is global, and a crash is one failure. A failure
// is printed with the command that shows it again. The last line is `N passed, N failed`.

#define _GNU_SOURCE // background.h: the registers of a trap
#include <sys/time.h>
#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"
#ifdef SIM_COPY
#define RTPUSH_LWIP_REFER 65536
#endif
#include "lwip/tcp.h"
static err_t s_tcp_write(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags);
static err_t s_tcp_close(struct tcp_pcb *pcb);
static err_t s_tcp_shutdown(struct tcp_pcb *pcb, int shut_rx, int shut_tx);
#define tcp_write s_tcp_write
#define tcp_close s_tcp_close
#define tcp_shutdown s_tcp_shutdown
#define RTPUSH_LWIP_IMPLEMENTATION
#include "rtpush_lwip.h"
#undef tcp_write
#undef tcp_close
#undef tcp_shutdown

static int s_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len);
static int s_try_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len);
#define rtpush_publish_from s_publish_from
#define rtpush_try_publish_from s_try_publish_from
#include "world.h"
#undef rtpush_publish_from
#undef rtpush_try_publish_from

#include "background.h"

#include "rules.h"

// -- a random run ---------------------------------------------------------------------------------

// A peer does something: sends, pauses, leaves, comes back, asks for more.
static void s_peer_acts(s_peer *p)
{
    t_rng *rng = &the->sim.rng;
    s_say(p);
    if (!p->live) {
        if ((int32_t)(the->t.now_ms - p->again_ms) >= 0) {
            s_connect(p);
        }
        return;
    }
    // A lost RST leaves a peer that waits for ever: keep-alives and pings come sooner than this.
    if (p->lost || p->fin || the->t.now_ms - p->heard_ms > 50000) {
        T_CHECK(p->kind != M_SSE || p->m.cl.status != 503, "an event stream got 503");
        if (p->fin && t_below(rng, 4) == 0) {
            peer_fin(p->number); // our half stays open for a while
        }
        s_leave(p, p->fin && t_below(rng, 3) == 0);
        p->again_ms = the->t.now_ms + t_below(rng, 1500);
        return;
    }
    if (!p->up) {
        return;
    }
    if (!the->sim.quiet && t_below(rng, 120) == 0) {
        s_leave(p, t_below(rng, 2) == 0);
        p->again_ms = the->t.now_ms + t_below(rng, 1500);
        return;
    }
    if (!the->sim.quiet && t_below(rng, 30) == 0) {
        p->paused = !p->paused;
    }
    if (!the->sim.quiet && t_below(rng, 150) == 0) {
        peer_fin(p->number); // in the middle of whatever it is
    }
    if (p->kind == M_POLL && !p->m.polling && p->m.cl.step == T_CL_HEAD && t_below(rng, 3) == 0) {
        m_hello(&p->m, &p->out);
    } else if (p->kind >= M_KINDS && p->out.len == 0 && p->answers < 200 &&
               p->m.cl.step == T_CL_HEAD && t_below(rng, 4) == 0) {
        s_request(p); // perhaps before the answer to the last: pipelined
    } else if ((p->kind == M_RAW || p->kind == M_TEXT) && !the->sim.quiet) {
        t_conn c; // the model sends to one of these
        memset(&c, 0, sizeof c);
        c.in = p->out;
        c.in_total = 0;
        c.world = &the->t;
        if (p->m.cl.step == T_CL_FRAMES && p->out.len == 0 && t_below(rng, 3) == 0) {
            p->m.c = &c;
            m_client_sends(&the->sim, &p->m);
            p->m.c = NULL;
        }
        p->out = c.in;
    }
}

// By the loop, or by the main program, which lwIP's interrupt interrupts: then the wake hook asks
// for rtpush_lwip_poll.
static void s_publish(void)
{
    if (the->background) {
        m_publish_from(&the->sim, (int)t_below(&the->sim.rng, M_TOPICS));
    } else {
        m_publish(&the->sim);
        the->poll_asked = 1;
    }
}

static void s_act(int busy)
{
    for (int i = 0; i < the->peer_count; i++) {
        s_peer_acts(&the->peers[i]);
    }
    if (!the->sim.quiet && t_below(&the->sim.rng, 150) == 0) {
        server_forget();
        peers_forget();
    }
    for (uint32_t n = the->sim.quiet ? 0 : t_below(&the->sim.rng, (uint32_t)busy); n > 0; n--) {
        if (the->sim.count < M_RECORDS - 64 && the->sim.payloads < M_PAYLOADS - 64) {
            s_publish();
        }
    }
}

// Every subscribed event must have arrived, or have been reported as missed.
static int s_has_all(s_peer *p, int say)
{
    m_reader *r = &p->m;
    m_sim *sim = &the->sim;
    s_say(p);
    if (p->kind >= M_KINDS) {
        return 1;
    }
    if (!p->live || !p->up || (p->kind != M_RAW && !r->has_pos)) {
        T_CHECK(!say, "a peer stays out: live %d up %d", p->live, p->up);
        return 0;
    }
    for (int t = 0; t < M_TOPICS; t++) {
        if (sim->topics[t].kind == &rtpush_topic_state && (r->topics >> t & 1) &&
            r->state_seen[t] != sim->state_n[t]) {
            T_CHECK(!say, "state %lu of %s, stored is %lu", (unsigned long)r->state_seen[t],
                    sim->topics[t].name, (unsigned long)sim->state_n[t]);
            return 0;
        }
    }
    if (p->kind != M_RAW) {
        for (uint32_t s = r->pos + 1; s != m_last_seq(sim) + 1; s++) {
            const m_record *rec = m_record_at(sim, s);
            if (r->topics >> (rec->topic >= 0 ? rec->topic : rec->wanted) & 1) {
                T_CHECK(!say, "event %lu never came", (unsigned long)s);
                return 0;
            }
        }
        return 1;
    }
    uint32_t subscribed = 0;
    for (uint32_t s = r->raw_start + 1; s != m_last_seq(sim) + 1; s++) {
        const m_record *rec = m_record_at(sim, s);
        subscribed += r->topics >> (rec->topic >= 0 ? rec->topic : rec->wanted) & 1;
    }
    T_CHECK(!say || r->raw_got + r->raw_missed >= subscribed,
            "%lu delivered, %lu missed, %lu published", (unsigned long)r->raw_got,
            (unsigned long)r->raw_missed, (unsigned long)subscribed);
    return r->open && r->raw_got + r->raw_missed >= subscribed &&
           r->echo_in == r->echo_out && r->ping_in == r->ping_out;
}

// No more faults and events: every peer must get the rest.
static void s_settle(void)
{
    const uint32_t began_ms = the->t.now_ms;
    const uint32_t most = the->sim.cap < (uint32_t)the->peer_count ? the->sim.cap
                                                                 : (uint32_t)the->peer_count;
    the->sim.quiet = 1;
    the->loss = the->duplicate = 0;
    the->fail_random = 0;
    the->fail_from = the->fail_to = 0;
    for (int i = 0; i < the->peer_count; i++) {
        s_peer *p = &the->peers[i];
        p->paused = 0;
        if (i >= (int)most && p->live) {
            s_leave(p, 0);
        }
        p->again_ms = i >= (int)most ? the->t.now_ms + (1u << 30) : the->t.now_ms;
    }
    for (;;) {
        uint32_t have = 0;
        const int say = the->t.now_ms - began_ms > 180000;
        run_for(20);
        s_act(1);
        if (getenv("SIM_DUMP_MS") != NULL &&
            the->t.now_ms >= strtoul(getenv("SIM_DUMP_MS"), NULL, 0)) {
            s_dump();
        }
        for (uint32_t i = 0; i < most; i++) {
            have += (uint32_t)s_has_all(&the->peers[i], say);
        }
        if (have == most) {
            break;
        }
    }
    run_for(1000);
    s_check_prio();
}

static void s_configure(uint32_t seed)
{
    t_rng rng = t_seed(seed + 77u);
    rtpush_desc *d = &the->t.desc;
    static const uint32_t mtus[] = {104, 104, 296, 576, 576, 1500, 1500};
    d->conn_count = (S_CONNS + 1u) / 2u + t_below(&rng, (S_CONNS + 1u) / 2u);
    d->rx_size = (uint16_t)(256 + 4 * t_below(&rng, 64));
    d->tx_size = (uint16_t)(256 + 4 * t_below(&rng, 64));
    d->log_size = 1024 + 4 * t_below(&rng, 1500);
    s_topics(16 + t_below(&rng, 100));
    the->delay_ms = t_below(&rng, 30);
    the->jitter_ms = t_below(&rng, 2) ? 0 : t_below(&rng, 40);
    the->loss = t_below(&rng, 2) ? 0 : t_below(&rng, 120);
    the->duplicate = t_below(&rng, 3) ? 0 : t_below(&rng, 100);
    the->split = (int)t_below(&rng, 4);
    the->upload_later = (int)t_below(&rng, 60);
    the->t.now_ms = t_below(&rng, 3) ? 1000 : 0xFFFFFFFFu - t_below(&rng, 20000);
    const int ipv6 = LWIP_IPV6 && t_below(&rng, 2);
    const uint32_t mtu = mtus[t_below(&rng, 7)] + (ipv6 ? 20 : 0); // its header is longer
    the->ethernet = (int)t_below(&rng, 2);
    the->needs_copy = t_below(&rng, 3) > 0;
#ifdef SIM_PICO
    the->background = 1;
#elif defined(SIM_SMALL) && !defined(SIM_TLS) && !defined(__SANITIZE_ADDRESS__)
    the->background = t_below(&rng, 4) == 0;
#endif
    the->timer = the->background;
    world_start(mtu < SIM_MTU_MOST ? mtu : SIM_MTU_MOST,
                (int)t_below(&rng, 2) | the->background);
    the->fail_random = t_below(&rng, 2) ? 0 : t_below(&rng, 100);
    const int peers = 4 + (int)t_below(&rng, 6);
    for (int i = 0; i < peers; i++) {
        const int all = t_below(&rng, 2) == 0;
        s_peer *p = world_peer((int)t_below(&rng, S_KINDS), all ? 15 : 1 + t_below(&rng, 15));
        // Less than two segments lwIP's silly-window avoidance would never open again.
        p->window = t_below(&rng, 3) ? 0xFFFF : 2 * mtu + t_below(&rng, 1500);
        p->again_ms = the->t.now_ms + t_below(&rng, 2000);
        p->address = ipv6 ? (int)t_below(&rng, SIM_ADDRESSES) : SIM_V4;
    }
}

static void s_run(uint32_t seed)
{
    world_new(seed);
    s_configure(seed);
    const int busy = 1 + (int)t_below(&the->sim.rng, 6);
    const uint32_t pace_ms = 1 + t_below(&the->sim.rng, 60);
    const uint32_t steps = 100 + t_below(&the->sim.rng, 300);
    for (uint32_t i = 0; i < steps; i++) {
        run_for(1 + t_below(&the->sim.rng, pace_ms));
        s_act(busy);
        if (t_below(&the->sim.rng, 200) == 0) {
            run_for(t_below(&the->sim.rng, 25000));
        }
    }
    s_settle();
    world_end();
}

// -- allocations ----------------------------------------------------------------------------------

// A fixed run with one peer of each kind; allocations [from, from + length) fail. Returns 0 if
// there were fewer.
static int s_run_allocs(uint64_t from, uint64_t length)
{
    world_new((uint32_t)from);
    the->sim.rng = t_seed(4711);
    the->t.rng = t_seed(4712);
    the->ethernet = 1;
    world_start(576, 0);
    the->fail_from = from;
    the->fail_to = from + length;
    for (int i = 0; i < S_KINDS; i++) {
        s_peer *p = world_peer(i, 15);
        p->again_ms = the->t.now_ms + (uint32_t)i * 20;
        p->address = LWIP_IPV6 ? i % SIM_ADDRESSES : SIM_V4;
    }
    for (int i = 0; i < 60; i++) {
        run_for(10);
        s_act(2);
    }
    const int reached = the->allocs > from;
    s_settle();
    world_end();
    return reached;
}

// -- processes ------------------------------------------------------------------------------------

enum { S_SEED, S_ALLOC, S_RULE };
typedef struct s_job {
    int kind;
    uint64_t a;
    uint64_t b;
} s_job;

enum { S_JOBS = 32, S_NOT_REACHED = 9 };
static const char *s_program;
static int s_passed;
static int s_failed;
static int s_reached_all; // a run had fewer allocations than the number of the one to fail

// Returns the exit status.
static int s_do(const s_job *job)
{
    if (job->kind == S_SEED) {
        s_run((uint32_t)job->a);
    } else if (job->kind == S_ALLOC) {
        return s_run_allocs(job->a, job->b) ? 0 : S_NOT_REACHED;
    } else {
        rules[job->a].run();
    }
    return 0;
}

// The arguments that do it again.
static void s_name(const s_job *job, char *out, size_t cap)
{
    if (job->kind == S_SEED) {
        snprintf(out, cap, "seed %llu", (unsigned long long)job->a);
    } else if (job->kind == S_ALLOC) {
        snprintf(out, cap, "alloc %llu %llu", (unsigned long long)job->a,
                 (unsigned long long)job->b);
    } else {
        snprintf(out, cap, "rules %s", rules[job->a].name);
    }
}

static struct {
    pid_t pid;
    s_job job;
} s_running[S_JOBS];

static void s_wait_one(void)
{
    int status = 0;
    char name[100];
    const pid_t pid = wait(&status);
    for (int i = 0; i < S_JOBS; i++) {
        if (s_running[i].pid == pid && pid > 0) {
            s_running[i].pid = 0;
            s_name(&s_running[i].job, name, sizeof name);
            const int ended = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            s_reached_all |= ended == S_NOT_REACHED;
            if (ended == 0 || ended == S_NOT_REACHED) {
                s_passed++;
                continue;
            }
            s_failed++;
            printf("FAIL %s (status %x), again: %s %s\n", name, (unsigned)status, s_program,
                   name);
            fflush(stdout);
        }
    }
}

static void s_start(s_job job, int at_once)
{
    int busy = 0;
    for (int i = 0; i < at_once; i++) {
        busy += s_running[i].pid != 0;
    }
    if (busy == at_once) {
        s_wait_one();
    }
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        struct itimerval end = {{0, 0}, {0, 0}}; // of CPU: time itself depends on the machine
        end.it_value.tv_sec = getenv("SIM_SECONDS") ? atoi(getenv("SIM_SECONDS")) : 100;
        (void)setitimer(ITIMER_PROF, &end, NULL); // a run that never ends is ended by SIGPROF
        exit(s_do(&job)); // not _exit: coverage is written at exit
    }
    for (int i = 0; i < at_once; i++) {
        if (s_running[i].pid == 0) {
            s_running[i].pid = pid;
            s_running[i].job = job;
            return;
        }
    }
}

static int s_finish(int at_once)
{
    for (int i = 0; i < at_once; i++) {
        while (s_running[i].pid != 0) {
            s_wait_one();
        }
    }
    printf("%d passed, %d failed\n", s_passed, s_failed);
    return s_failed > 0 || s_passed == 0;
}

int main(int argc, char **argv)
{
    const int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const int at_once = cores < S_JOBS ? cores : S_JOBS;
    const char *what = argc > 1 ? argv[1] : "";
    const uint64_t a = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    const uint64_t b = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
    s_program = argv[0];
    m_trace = getenv("SIM_TRACE") != NULL;
    if (strcmp(what, "seed") == 0 && argc == 3) {
        s_start((s_job){S_SEED, a, 0}, 1);
    } else if (strcmp(what, "alloc") == 0 && argc == 4) {
        s_start((s_job){S_ALLOC, a, b}, 1);
    } else if (strcmp(what, "seeds") == 0 && argc == 4) {
        for (uint64_t i = 0; i < b; i++) {
            s_start((s_job){S_SEED, a + i, 0}, at_once);
        }
    } else if (strcmp(what, "allocs") == 0 && argc == 4 && b > 0) {
        for (uint64_t n = 0; !s_reached_all; n += b) {
            s_start((s_job){S_ALLOC, n, a}, at_once);
        }
    } else if (strcmp(what, "rules") == 0) {
        for (uint64_t i = 0; rules[i].name != NULL; i++) {
            if (argc < 3 || strcmp(argv[2], rules[i].name) == 0) {
                s_start((s_job){S_RULE, i, 0}, at_once);
            }
        }
    } else {
        fprintf(stderr, "usage: sim seeds FIRST COUNT | seed N | allocs LENGTH STEP | "
                        "alloc N LENGTH | rules [NAME]\n");
        return 2;
    }
    return s_finish(at_once);
}
