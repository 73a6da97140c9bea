// selftest.c - the transcripts and some hundred seeds of the simulation as one plain C99 program,
// for machines without cmocka, mmap or a debugger: big-endian ones, emulators, boards.
//
//   cc -std=c99 selftest.c -o selftest && ./selftest [seeds [stride]]
//
// Prints "N passed, N failed"; the exit code is 1 if anything failed.

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

static jmp_buf self_failed;
#define T_ABORT() longjmp(self_failed, 1)
#define T_NO_MMAP

#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"

#include "model.h"
#include "transcripts.h"

static unsigned long self_passed;
static unsigned long self_bad;

static void self_script(size_t index) {
    if (setjmp(self_failed) == 0) {
        t_script_all(&t_scripts[index]);
        self_passed++;
    } else {
        self_bad++;
    }
}

static void self_seed(uint32_t seed) {
    if (setjmp(self_failed) == 0) {
        m_run(seed);
        self_passed++;
    } else {
        self_bad++;
    }
}

int main(int argc, char **argv) {
    unsigned long seeds = argc > 1 ? strtoul(argv[1], NULL, 0) : 300;
    t_stride = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    for (size_t i = 0; i < T_SCRIPT_COUNT; i++) {
        self_script(i);
    }
    for (unsigned long seed = 0; seed < seeds; seed++) {
        self_seed((uint32_t)seed + 100000u);
    }
    printf("%lu passed, %lu failed\n", self_passed, self_bad);
    return self_bad == 0 ? 0 : 1;
}
