#!/bin/sh
# Builds the programs of tests/unit with address and undefined-behaviour sanitizers, runs them, and
# adds up what they print: cmocka's summary, or `N passed, N failed`. A program that ends without
# either counts as one failure.
# RTPUSH_QUICK=1 is for `make check`: fewer seeds, and programs that try a product of cases try a
# part of it (u_quick in unit.h).
# Usage: [SEEDS=N LIMIT=SECONDS] sh tests/unit.sh [gcc|clang] [PROGRAM...]
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/totals.sh
cc="${1:-gcc}"
[ $# -gt 0 ] && shift
out="build/unit-$cc"
mkdir -p "$out"
flags='-std=c99 -g1 -Wall -Wextra -Wno-unused-function -fno-omit-frame-pointer
    -fsanitize=address,undefined -fno-sanitize-recover=all -I. -Itests/unit'
seeds=300 # of the simulation
[ "${RTPUSH_QUICK:-0}" = 1 ] && seeds=100
seeds="${SEEDS:-$seeds}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"

programs="${*:-$(ls tests/unit/*.c | sed 's|.*/||; s|\.c$||' | grep -vxE 'core|selftest')}"
if [ -z "$programs" ]; then
    echo "unit: no programs in tests/unit"
    exit 1
fi

# The core that programs are linked with is compiled beside those that include it.
echo "$cc -O1 $(echo $flags) -c tests/unit/core.c -o $out/core.o" >"$out/core.sh"
first=''
last=''
for p in $programs; do
    needs="$out/core.o"
    grep -q '^#define U_INSIDE' "tests/unit/$p.c" && needs=''
    case "$p" in
        sim) needs='' ;;
        test_kernels_narrow) needs='' ;; # includes test_kernels.c
    esac
    case "$p" in
        sim | test_callbacks | test_transcripts | test_ws) optimise=-O1 ;;
        *) optimise=-O0 ;; # compiling takes longer than running
    esac
    arguments=''
    library=-lcmocka
    [ "$p" = sim ] && arguments="$seeds" library=''
    cat >"$out/$p.sh" <<END
$cc $optimise $(echo $flags) tests/unit/$p.c -o $out/$p $needs $library &&
    timeout ${LIMIT:-1500} $out/$p $arguments
END
    if [ -z "$needs" ]; then
        first="$first $p"
    else
        last="$last $p"
    fi
done

# All at once would keep programs waiting for the core.
for group in "core $first" "$last"; do
    printf '%s\n' $group | xargs -P "$(nproc 2>/dev/null || echo 2)" -I '{}' \
        sh -c 'sh "$1/$2.sh" >"$1/$2.log" 2>&1 </dev/null; echo $? >"$1/$2.status"' \
        run "$out" '{}'
done
if [ "$(cat "$out/core.status")" != 0 ]; then
    cat "$out/core.log"
    echo "unit: the core does not compile"
    exit 1
fi

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
