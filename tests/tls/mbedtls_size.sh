#!/bin/sh
# Flash that a program on a Cortex-M3 grows by with rtpush_mbedtls.h and mbedTLS 3.6, configured by
# mbedtls/mbedtls_config.h, and sizeof of what it has for a connection.
# Usage: sh tests/tls/mbedtls_size.sh
set -eu
cd "$(dirname "$0")/../.."
out=build/tls/size
mkdir -p "$out"
# tests/minimal.c, and the same with the filter.
cp tests/minimal.c "$out/without.c"
cat >"$out/tls" <<'END'
#define RTPUSH_MBEDTLS_IMPLEMENTATION
#include "ports/rtpush_mbedtls.h"
#include <mbedtls/memory_buffer_alloc.h>
#include <mbedtls/pk.h>
static rtpush_mbedtls tls;
static mbedtls_x509_crt chain;
static mbedtls_pk_context key;
static unsigned char heap[32768];
extern rtpush_mbedtls_desc tls_desc;
rtpush_mbedtls_desc tls_desc;
char size_of_slot[sizeof(rtpush_mbedtls_slot)];
char size_of_filter[sizeof(rtpush_mbedtls)];
static int my_random(void *ctx, unsigned char *out, size_t len) {
    (void)ctx; (void)out; (void)len;
    return 0;
}
#ifdef MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG
psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
                                             uint8_t *out, size_t size, size_t *len) {
    (void)context; (void)out;
    *len = size;
    return PSA_SUCCESS;
}
#endif
static void start(void) {
    mbedtls_memory_buffer_alloc_init(heap, sizeof(heap));
    mbedtls_x509_crt_parse_der(&chain, heap, 100);
    mbedtls_pk_parse_key(&key, heap, 100, 0, 0, my_random, 0);
    tls_desc.chain = &chain;
    tls_desc.key = &key;
    tls_desc.f_rng = my_random;
    rtpush_mbedtls_init(&tls, &srv, &tls_desc);
}
END
sed -e "/^.. TLS$/r $out/tls" -e 's|// TLS_INIT|start();|' "$out/without.c" >"$out/with.c"
linked() { # SOURCE [OPTION...]
    source="$1"
    shift
    arm-none-eabi-gcc -mthumb -mcpu=cortex-m3 -std=c99 -Os -ffunction-sections -fdata-sections -I. \
        -Wl,--defsym,_sbrk=main,--defsym,_exit=main "$out/$source.c" "$@" \
        -o "$out/$source.elf" --specs=nano.specs -nostartfiles \
        -Wl,--gc-sections,-e,main >"$out/log" 2>&1 || return 1
    arm-none-eabi-size "$out/$source.elf" | awk 'NR == 2 { print $1 + $2 }'
}
plain="$(linked without)"
echo "ports/rtpush_mbedtls.h, mbedTLS 3.6, Cortex-M3 -Os, bytes of flash:"
for kind in '' -12 -13 -tiny; do
    sh tests/tls/mbedtls.sh "cortex-m3$kind"
    # shellcheck disable=SC2046 # options split
    with="$(linked with $(sh tests/tls/mbedtls.sh flags "cortex-m3$kind") \
        "build/mbedtls/lib-cortex-m3$kind.a")"
    echo "  cortex-m3$kind $((with - plain))"
done
printf '#include "rtpush.h"\n#define RTPUSH_MBEDTLS_IMPLEMENTATION\n' >"$out/filter.c"
echo '#include "ports/rtpush_mbedtls.h"' >>"$out/filter.c"
# shellcheck disable=SC2046
arm-none-eabi-gcc -mthumb -mcpu=cortex-m3 -std=c99 -Os -ffunction-sections -I. \
    $(sh tests/tls/mbedtls.sh flags cortex-m3) -c "$out/filter.c" -o "$out/filter.o"
arm-none-eabi-size "$out/filter.o" | awk 'NR == 2 { print "  the filter alone", $1 + $2 }'
# shellcheck disable=SC2046
arm-none-eabi-gcc -mthumb -mcpu=cortex-m3 -std=c99 -fno-common -I. \
    $(sh tests/tls/mbedtls.sh flags cortex-m3) -c "$out/with.c" -o "$out/with.o"
arm-none-eabi-nm -S "$out/with.o" | awk '/size_of_/ { print "  sizeof", $4, "0x" $2 }'
