// background.h - lwIP in an interrupt, as in the background mode of Pico's SDK: the main program
// publishes by rtpush_publish_from, and the whole of lwIP and the port may run at any instruction
// of it but where the lock, which masks the interrupt, is held. There it runs at the unlock.
//
// On x86-64 with Linux the processor stops after each instruction (its trap flag), so a run is the
// same again with the same program; elsewhere the interrupt comes at locks and unlocks alone.

#ifndef SIM_BACKGROUND_H
#define SIM_BACKGROUND_H

#include <signal.h>
#include <ucontext.h>

typedef int (*b_publisher)(rtpush_server *srv, unsigned topic, const void *data, size_t len);

static struct {
    int on;             // the main program is in rtpush_publish_from
    int pending;        // the interrupt came while it was masked
    uint32_t strike_in; // instructions until it comes; 0: it does not
    uint32_t most;      // ... until the next one, by chance; 0: there is no other
    uint32_t strikes;
    uint32_t published; // of the server, before
    uint32_t full;
    m_record *record; // what is being published, of an EVENT topic
} b;

static uint32_t s_records_open(void)
{
    return b.record != NULL && b.record->topic == M_OPEN;
}

// The reader may get the record once the core has counted it, before its publisher is told so.
static void b_interrupt(void)
{
    const rtpush_server *srv = &the->t.srv;
    b.on = 0; // an interrupt does not interrupt itself
    b.pending = 0;
    b.strikes++;
    if (b.record != NULL && srv->published != b.published) {
        b.record->topic = b.record->wanted;
    } else if (b.record != NULL && srv->full != b.full) {
        b.record->topic = M_HOLE;
    }
    (void)s_step();
    b.on = 1;
}

static void b_strike(void)
{
    if (the->t.lock_depth > 0) {
        b.pending = 1;
    } else {
        b_interrupt();
    }
}

// In the lock hook before it masks, in unlock behind it.
static void s_interrupt_point(void)
{
    if (b.on && (b.pending || (b.strike_in == 0 && b.most > 0 && t_below(&the->t.rng, 3) == 0))) {
        b_interrupt();
    }
}

#if defined(__x86_64__) && defined(__linux__)
enum { B_TRAP_FLAG = 0x100, B_STEPS = 1 };

static void b_on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    (void)number;
    (void)info;
    *flags |= B_TRAP_FLAG;
    if (b.strike_in == 0) {
        *flags &= ~(greg_t)B_TRAP_FLAG;
    } else if (b.on && --b.strike_in == 0) {
        b_strike();
        b.strike_in = b.most > 0 ? 1 + t_below(&the->t.rng, b.most) : 0;
    }
}

static void b_begin_steps(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = b_on_trap;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, NULL);
    raise(SIGTRAP);
}
#else
enum { B_STEPS = 0 };
static void b_begin_steps(void) {}
#endif

// strike_in: the instruction at which the interrupt comes first, 0: at none; most: see above.
static int b_publish(b_publisher publish, unsigned topic, const void *data, size_t len,
                     uint32_t strike_in, uint32_t most)
{
    rtpush_server *srv = &the->t.srv;
    const int event = the->sim.topics[topic].kind == &rtpush_topic_event;
    b.record = event ? &the->sim.records[the->sim.count - 1] : NULL;
    b.published = srv->published;
    b.full = srv->full;
    b.most = most;
    b.strike_in = B_STEPS ? strike_in : 0;
    b.on = 1;
    if (b.strike_in > 0) {
        b_begin_steps();
    }
    const int result = publish(srv, topic, data, len);
    b.strike_in = 0;
    b.on = 0;
    b.record = NULL;
    T_CHECK(!b.pending, "an interrupt was lost");
    return result;
}

static int b_publish_by_chance(b_publisher publish, rtpush_server *srv, unsigned topic,
                               const void *data, size_t len)
{
    if (!the->background) {
        return publish(srv, topic, data, len);
    }
    the->t.now_ms += t_below(&the->t.rng, 8); // packets have come and timers are due
    const uint32_t strike_in = t_below(&the->t.rng, 250) ? 0 : 1 + t_below(&the->t.rng, 400);
    return b_publish(publish, topic, data, len, strike_in, 400);
}

static int s_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len)
{
    return b_publish_by_chance(rtpush_publish_from, srv, topic, data, len);
}

static int s_try_publish_from(rtpush_server *srv, unsigned topic, const void *data, size_t len)
{
    return b_publish_by_chance(rtpush_try_publish_from, srv, topic, data, len);
}

#endif // SIM_BACKGROUND_H
