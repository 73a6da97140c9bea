#!/bin/sh
# TLS by the filter ports/rtpush_bearssl.h: compiles it in all ways, runs its tests against a client
# in memory with sanitizers, random runs, over lwIP, and asks others (openssl, curl, sslscan, node,
# Chromium).
# The last line is `N passed, N failed`.
#     sh tests/tls/run.sh                all of it
#     sh tests/tls/run.sh long           more random runs alone, and over lwIP the other build too
#     SEEDS=5000 sh tests/tls/run.sh     so many random runs
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/tls
mkdir -p "$out"
make="${MAKE:-make} --no-print-directory"
sanitize='-g1 -O0 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
if ! sh ports/cert.sh build/cert || ! sh tests/tls/rsa.sh build/cert; then
    echo '0 passed, 1 failed'
    exit 1
fi
memory() { # NAME RUNS: a program of tests/tls. -O0: compiling takes as long as running.
    part "$1" 400 "gcc -std=c99 -Wall -Wextra -Wno-unused-function $sanitize -I. \
        tests/tls/$1.c -o $out/$1 -lcmocka -lbearssl && $out/$1 $2"
}
# The same filter over lwIP, on the simulated wire of tests/lwip: NAME RUNS STEP-OF-ALLOCATIONS
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
lwip() {
    part "$1" 400 "sh tests/lwip/fetch.sh ${1%%-*} && sh tests/lwip/build.sh $1 &&
        build/lwip/sim-$1 seeds 1 $2"
    part "$1.allocs" 300 "build/lwip/sim-$1 allocs 1 $3"
}
if [ "${1:-}" = long ]; then
    seeds="${SEEDS:-2000}"
    memory sim "$seeds"
    lwip 2.1-HEAP-TLS-asan "$((seeds / 6))" 3
    lwip 2.2-SMALL-TLS-asan "$((seeds / 6))" 3
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
fi
part compile 300 'sh tests/tls/compile.sh'
memory test_tls ''
memory sim "${SEEDS:-120}"
lwip 2.2-SMALL-TLS-asan "$((${SEEDS:-120} / 6))" 26
part tools 400 "$make build/hub-tls build/hub && RTPUSH_TLS=ec \
    NODE_EXTRA_CA_CERTS=build/cert/ca.pem node tests/tls/tools.test.mjs build/hub-tls build/hub"
part chromium 300 "RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem \
    node tests/tls/chromium.test.mjs build/hub-tls"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
