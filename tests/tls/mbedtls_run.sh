#!/bin/sh
# TLS by the filter ports/rtpush_mbedtls.h: what tests/tls/run.sh does for rtpush_bearssl.h.
#     sh tests/tls/mbedtls_run.sh          the tests against a client in memory, by TLS 1.2 and 1.3,
#                                          and openssl's handshakes
#     sh tests/tls/mbedtls_run.sh long     also with records of 1,024 bytes and sanitizers in the
#                                          library, random runs, over lwIP, other programs,
#                                          Chromium, the handshakes of a Cortex-M3 in QEMU, and the
#                                          flash that a program needs
# The last line is `N passed, N failed`.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/tls
mkdir -p "$out"
make="${MAKE:-make} --no-print-directory"
sanitize='-g1 -O0 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
memory() { # NAME PROGRAM LIBRARY ARGUMENTS: a program of tests/tls over mbedTLS
    label="$1"
    name="$2"
    lib="$3"
    shift 3
    part "$label" 700 "sh tests/tls/mbedtls.sh $lib && gcc -std=c99 -Wall -Wextra \
        -Wno-unused-function $sanitize -I. -DP_MBEDTLS $(sh tests/tls/mbedtls.sh flags "$lib") \
        tests/tls/$name.c tests/tls/bearssl.c build/mbedtls/lib-$lib.a -o $out/$name-$lib \
        -lcmocka -lbearssl && $out/$name-$lib $*"
    grep '^heap of' "$out/log.$label" | sort -u
}

if ! sh ports/cert.sh build/cert || ! sh tests/tls/rsa.sh build/cert; then
    echo '0 passed, 1 failed'
    exit 1
fi
part compile-mbedtls 300 'sh tests/tls/compile.sh mbedtls'
memory tls-1.2 test_tls host
part tls-1.3 400 "$out/test_tls-host 1.3"
# The same filter over lwIP, on the simulated wire of tests/lwip: NAME SEEDS
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
lwip() {
    part "$1" 400 "sh tests/tls/mbedtls.sh small && sh tests/lwip/fetch.sh ${1%%-*} &&
        sh tests/lwip/build.sh $1 && build/lwip/sim-$1 seeds 1 $2"
}
tools="$make build/hub-mbedtls build/hub && RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem \
    node tests/tls/tools.test.mjs build/hub-mbedtls build/hub"
if [ "${1:-}" = long ]; then
    memory small-1.2 test_tls small-asan
    part small-1.3 700 "$out/test_tls-small-asan 1.3"
    memory random sim host "${SEEDS:-300}"
    memory random-small sim small-asan "${SEEDS:-300}" 1000
    lwip 2.1-HEAP-MBEDTLS-asan "${SEEDS:-300}"
    lwip 2.2-SMALL-MBEDTLS-asan "${SEEDS:-300}"
    part allocs-2.1-HEAP 400 'build/lwip/sim-2.1-HEAP-MBEDTLS-asan allocs 1 3'
    part tools-mbedtls 600 "$tools"
    part chromium-mbedtls 300 "NODE_EXTRA_CA_CERTS=build/cert/ca.pem RTPUSH_TLS=ec \
        node tests/tls/chromium.test.mjs build/hub-mbedtls"
    part wire-mbedtls 300 'sh tests/device/run.sh wire-mbedtls'
    part bench-mbedtls 600 "$make build/bench-tls/mps2-an385.elf && \
        python3 tests/bench/tls.py build/bench-tls/mps2-an385.elf mbedtls"
    sh tests/tls/mbedtls_size.sh
else
    part tools-mbedtls 300 "$tools 'agrees on what'"
    part tools-resume 100 "$tools 'session of TLS 1.3'"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
