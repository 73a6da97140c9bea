// sim.c - rtpush over lwIP, on a wire that loses, doubles and reorders packets. See world.h.
//
//   sim seeds FIRST COUNT    that many random runs
//   sim seed N               one of them, again exactly, with what the model says
//   sim allocs               one run for each n: the n-th allocation of the server's lwIP fails
//   sim rules [NAME]         one test for each rule of the port
//
// Each run is a process of its own: lwIP's state is global, and a crash is one failure. The last
// line is `N passed, N failed`.

#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"
#ifdef SIM_COPY
#define RTPUSH_LWIP_REFER 65536
#endif
#define RTPUSH_LWIP_IMPLEMENTATION
#include "../../ports/rtpush_lwip.h"

#include "world.h"

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

static void s_act(int busy)
{
    for (int i = 0; i < the->peer_count; i++) {
        s_peer_acts(&the->peers[i]);
    }
    for (uint32_t n = the->sim.quiet ? 0 : t_below(&the->sim.rng, (uint32_t)busy); n > 0; n--) {
        if (the->sim.count < M_RECORDS - 64 && the->sim.payloads < M_PAYLOADS - 64) {
            m_publish(&the->sim);
        }
    }
    the->poll_asked = 1;
}

// Everything subscribed must have arrived, or have been told.
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
        if (sim->topics[t].kind == RTPUSH_STATE && (r->topics >> t & 1) &&
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

// Faults end, nothing more is published: every peer must get what it is owed.
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
    d->conn_count = 5 + t_below(&rng, 5);
    d->rx_size = (uint16_t)(256 + 4 * t_below(&rng, 64));
    d->tx_size = (uint16_t)(256 + 4 * t_below(&rng, 64));
    d->log_size = 1024 + 4 * t_below(&rng, 1500);
    s_topics(16 + t_below(&rng, 100));
    the->delay_ms = t_below(&rng, 30);
    the->jitter_ms = t_below(&rng, 2) ? 0 : t_below(&rng, 40);
    the->loss = t_below(&rng, 2) ? 0 : t_below(&rng, 120);
    the->duplicate = t_below(&rng, 3) ? 0 : t_below(&rng, 100);
    the->upload_later = (int)t_below(&rng, 60);
    the->t.now_ms = t_below(&rng, 3) ? 1000 : 0xFFFFFFFFu - t_below(&rng, 20000);
    const uint32_t mtu = mtus[t_below(&rng, 7)];
    world_start(mtu, (int)t_below(&rng, 2));
    the->fail_random = t_below(&rng, 2) ? 0 : t_below(&rng, 100);
    const int peers = 4 + (int)t_below(&rng, 6);
    for (int i = 0; i < peers; i++) {
        const int all = t_below(&rng, 2) == 0;
        s_peer *p = world_peer((int)t_below(&rng, S_KINDS), all ? 15 : 1 + t_below(&rng, 15));
        // Less than two segments lwIP's silly-window avoidance would never open again.
        p->window = t_below(&rng, 3) ? 0xFFFF : 2 * mtu + t_below(&rng, 1500);
        p->again_ms = the->t.now_ms + t_below(&rng, 2000);
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

// A fixed run with one peer of each kind; allocations [from, to) fail. Returns how many there were.
static uint64_t s_run_allocs(uint64_t from, uint64_t to)
{
    world_new((uint32_t)from);
    the->sim.rng = t_seed(4711);
    the->t.rng = t_seed(4712);
    world_start(576, 0);
    the->fail_from = from;
    the->fail_to = to;
    for (int i = 0; i < S_KINDS; i++) {
        s_peer *p = world_peer(i, 15);
        p->again_ms = the->t.now_ms + (uint32_t)i * 20;
    }
    for (int i = 0; i < 60; i++) {
        run_for(10);
        s_act(2);
    }
    const uint64_t seen = the->allocs;
    s_settle();
    world_end();
    return seen;
}

// -- processes ------------------------------------------------------------------------------------

typedef struct s_job {
    int kind; // 0 seed, 1 allocs, 2 rule
    uint64_t a;
    uint64_t b;
} s_job;

static void s_do(const s_job *job)
{
    if (job->kind == 0) {
        s_run((uint32_t)job->a);
    } else if (job->kind == 1) {
        (void)s_run_allocs(job->a, job->b);
    } else {
        rules[job->a].run();
    }
}

static void s_name(const s_job *job, char *out, size_t cap)
{
    if (job->kind == 0) {
        snprintf(out, cap, "seed %llu", (unsigned long long)job->a);
    } else if (job->kind == 1) {
        snprintf(out, cap, "allocations %llu to %llu", (unsigned long long)job->a,
                 (unsigned long long)job->b);
    } else {
        snprintf(out, cap, "%s", rules[job->a].name);
    }
}

enum { S_JOBS = 32 };
static int s_passed;
static int s_failed;
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
            if (status == 0) {
                s_passed++;
            } else {
                s_failed++;
                printf("FAIL %s (status %x)\n", name, (unsigned)status);
                fflush(stdout);
            }
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
        alarm(100); // a run that does not end
        s_do(&job);
        _exit(0);
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
    const int at_once = (int)sysconf(_SC_NPROCESSORS_ONLN) < S_JOBS
                            ? (int)sysconf(_SC_NPROCESSORS_ONLN) : S_JOBS;
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "seed") == 0 && argc > 2) {
        m_trace = getenv("SIM_TRACE") != NULL;
        s_run((uint32_t)strtoul(argv[2], NULL, 0));
        puts("1 passed, 0 failed");
        return 0;
    }
    if (strcmp(what, "alloc") == 0 && argc > 3) {
        (void)s_run_allocs(strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 0));
        puts("1 passed, 0 failed");
        return 0;
    }
    if (strcmp(what, "seeds") == 0 && argc > 3) {
        const uint64_t first = strtoul(argv[2], NULL, 0);
        for (uint64_t i = 0; i < strtoul(argv[3], NULL, 0); i++) {
            s_start((s_job){0, first + i, 0}, at_once);
        }
    } else if (strcmp(what, "allocs") == 0) {
        int ends[2];
        uint64_t count = 0;
        if (pipe(ends) != 0) {
            return 1;
        }
        if (fork() == 0) {
            count = s_run_allocs(S_NEVER, S_NEVER);
            _exit(write(ends[1], &count, sizeof count) != (ssize_t)sizeof count);
        }
        close(ends[1]);
        wait(NULL);
        if (read(ends[0], &count, sizeof count) != (ssize_t)sizeof count) {
            puts("0 passed, 1 failed");
            return 1;
        }
        const uint64_t every = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
        for (uint64_t n = 0; n < count; n += every) {
            s_start((s_job){1, n, n + 1 + n % 7 * 5}, at_once); // one alone, or some in a row
        }
    } else if (strcmp(what, "rules") == 0) {
        for (uint64_t i = 0; rules[i].name != NULL; i++) {
            if (argc < 3 || strcmp(argv[2], rules[i].name) == 0) {
                s_start((s_job){2, i, 0}, argc < 3 ? at_once : 1);
            }
        }
    } else {
        fprintf(stderr, "usage: sim seeds FIRST COUNT | seed N | allocs [EVERY] | "
                        "alloc FROM TO | rules [NAME]\n");
        return 2;
    }
    return s_finish(at_once);
}
