#!/bin/sh
# TLS by the filter ports/rtpush_bearssl.h: compiles it in all ways, runs its tests against a client
# in memory with sanitizers, random runs, over lwIP, and asks others (openssl, curl, sslscan, node,
# Chromium).
# The last line is `N passed, N failed`.
#     sh tests/tls/run.sh                all of it
#     SEEDS=5000 sh tests/tls/run.sh     so many random runs
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/tls
mkdir -p "$out"
make="${MAKE:-make} --no-print-directory"
sanitize='-g1 -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
if ! sh ports/cert.sh build/cert; then
    echo '0 passed, 1 failed'
    exit 1
fi
part compile 300 'sh tests/tls/compile.sh'
for program in test_tls sim; do
    part "$program" 400 "gcc -std=c99 -Wall -Wextra -Wno-unused-function $sanitize -I. \
        tests/tls/$program.c -o $out/$program -lcmocka -lbearssl && $out/$program ${SEEDS:-120}"
done
# The same filter over lwIP, on the simulated wire of tests/lwip.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
for build in 2.1-HEAP-TLS-asan 2.2-SMALL-TLS-asan; do
    part "$build" 400 "sh tests/lwip/fetch.sh ${build%%-*} && sh tests/lwip/build.sh $build &&
        build/lwip/sim-$build seeds 1 $((${SEEDS:-120} / 6))"
done
part lwip-allocs 300 "build/lwip/sim-2.1-HEAP-TLS-asan allocs 1 13"
part tools 400 "$make build/hub-tls build/hub && RTPUSH_TLS=ec \
    NODE_EXTRA_CA_CERTS=build/cert/ca.pem node tests/tls/tools.test.mjs build/hub-tls build/hub"
part chromium 300 "RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem \
    node tests/tls/chromium.test.mjs build/hub-tls"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
