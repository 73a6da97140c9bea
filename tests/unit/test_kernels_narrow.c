// test_kernels.c as it is compiled where size counts, or words have fewer than 64 bits.
#define RTPI_WIDE 0
#include "test_kernels.c"
