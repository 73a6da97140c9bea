#!/bin/sh
# Builds the programs of tests/unit with address and undefined-behaviour sanitizers, runs them, and
# adds up what they print: cmocka's summary, or `N passed, N failed`. A program that ends without
# either counts as one failure.
# Usage: [SEEDS=N LIMIT=SECONDS] sh tests/unit.sh [gcc|clang] [PROGRAM...]
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/totals.sh
cc="${1:-gcc}"
[ $# -gt 0 ] && shift
out="build/unit-$cc"
mkdir -p "$out"
flags='-std=c99 -g -Wall -Wextra -Wno-unused-function -fno-omit-frame-pointer
    -fsanitize=address,undefined -fno-sanitize-recover=all -I. -Itests/unit'
seeds="${SEEDS:-300}" # of the simulation
if [ "${RTPUSH_QUICK:-0}" = 1 ]; then
    seeds=200
fi
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"

programs="${*:-$(ls tests/unit/*.c | sed 's|.*/||; s|\.c$||' | grep -vxE 'core|selftest')}"
if [ -z "$programs" ]; then
    echo "unit: no programs in tests/unit"
    exit 1
fi

core="$cc -O1 $(echo $flags) -c tests/unit/core.c -o $out/core.o"
if ! $core; then
    echo "unit: the core does not compile"
    exit 1
fi
# The program is not linked with what it does not include.
for p in $programs; do
    library="$out/core.o -lcmocka"
    grep -q '^#define U_INSIDE' "tests/unit/$p.c" && library='-lcmocka'
    case "$p" in
        sim) library='' ;;
        test_kernels_narrow) library='-lcmocka' ;; # includes test_kernels.c
    esac
    arguments=''
    case "$p" in
        sim | test_callbacks | test_transcripts | test_ws) optimise=-O1 ;;
        *) optimise=-O0 ;; # compiling takes longer than running
    esac
    [ "$p" = sim ] && arguments="$seeds"
    cat >"$out/$p.sh" <<END
$cc $optimise $(echo $flags) tests/unit/$p.c -o $out/$p $library &&
    timeout ${LIMIT:-400} $out/$p $arguments
END
done
for p in $programs; do
    echo "$p"
done | xargs -P "$(nproc 2>/dev/null || echo 2)" -I '{}' \
    sh -c 'sh "$1/$2.sh" >"$1/$2.log" 2>&1 </dev/null; echo $? >"$1/$2.status"' run "$out" '{}'

passed=0
failed=0
for p in $programs; do
    status="$(cat "$out/$p.status")"
    set -- $(totals "$out/$p.log" "$status" 2>"$out/$p.reason")
    if [ "$2" != 0 ]; then
        echo "FAIL $p (exit status $status; again: sh $out/$p.sh)"
        # A test that failed did not free what it had: such leaks are no news.
        grep -vE '^\[( RUN     |       OK |=+)' "$out/$p.log" |
            if [ -s "$out/$p.reason" ]; then cat; else sed '/LeakSanitizer: detected/Q'; fi |
            head -n 40 | sed 's/^/    /'
    fi
    printf '%-20s %5s passed %4s failed\n' "$p" "$1" "$2"
    passed=$((passed + $1))
    failed=$((failed + $2))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
