// sim.c - the simulation of model.h over many seeds.
//
//   sim                 2,000 seeds from 0
//   sim 500 100         500 seeds from 100
//   sim 1 seed          replays one; with SIM_TRACE=1 in the environment it says what is read
//
// A failed check prints the seed and ends the program with 1.

#define _DEFAULT_SOURCE // mmap
#include <assert.h>
#define RTPUSH_ASSERT(condition) assert(condition)
#define RTPI_PASSES 3u // records passed by one call: so few that it happens often
#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"

#include "model.h"

int main(int argc, char **argv) {
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000;
    unsigned long from = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    m_trace = getenv("SIM_TRACE") != NULL;
    for (unsigned long seed = from; seed < from + count; seed++) {
        m_run((uint32_t)seed);
    }
    printf("%lu passed, 0 failed\n", count);
    return 0;
}
