#!/bin/sh
# Builds the programs of tests/unit with address and undefined-behaviour sanitizers, runs them, and
# adds up what they print: cmocka's summary, or `N passed, N failed`. A program that ends without
# either counts as one failure.
# RTPUSH_QUICK=1 is for `make check`: fewer seeds, and programs that try a product of cases try a
# part of it (u_quick in unit.h). RTPUSH_PART=0: the products that are for test-long are whole too
# (u_part).
# Usage: [SEEDS=N LIMIT=SECONDS] sh tests/unit.sh [gcc|clang] [PROGRAM...]
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/totals.sh
cc="${1:-gcc}"
[ $# -gt 0 ] && shift
out="build/unit-$cc"
mkdir -p "$out"
rm -f "$out"/*.status "$out"/*.log
flags='-std=c99 -g1 -Wall -Wextra -Wno-unused-function -fno-omit-frame-pointer
    -fsanitize=address,undefined -fno-sanitize-recover=all -I. -Itests/unit'
seeds=60 # of the simulation; sim-long has 20,000
export RTPUSH_PART="${RTPUSH_PART:-1}"
[ "${RTPUSH_QUICK:-0}" = 1 ] && seeds=40
seeds="${SEEDS:-$seeds}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}"

programs="${*:-$(ls tests/unit/*.c | sed 's|.*/||; s|\.c$||' | grep -vxE 'core|selftest')}"
if [ -z "$programs" ]; then
    echo "unit: no programs in tests/unit"
    exit 1
fi

# Programs that want the same core are one file, `inside` (with the core in it, as U_INSIDE says) or
# `linked` (to core.o): compiling the core and the fixture takes longer than running most programs.
# Each is a process of its own all the same. Alone are those that change the core by a macro, and
# those that take an argument.
echo "$cc -O1 $(echo $flags) -c tests/unit/core.c -o $out/core.o" >"$out/core.sh"
inside=''
linked=''
alone=''
for p in $programs; do
    case "$p" in
        sim | test_epoch | test_kernels_narrow | test_outside | test_transcripts)
            alone="$alone $p"
            continue
            ;;
    esac
    group=linked
    grep -q '^#define U_INSIDE' "tests/unit/$p.c" && group=inside
    [ $group = inside ] && inside="$inside $p" || linked="$linked $p"
    echo "timeout ${LIMIT:-1500} $out/$group $p" >"$out/$p.sh"
done
# together NAME OPTIONS PROGRAM...: they, and a main that calls the one named by its argument
together() {
    group="$1"
    options="$2"
    shift 2
    {
        for p in "$@"; do
            printf '#define main main_%s\n#include "%s.c"\n#undef main\n' "$p" "$p"
        done
        echo 'int main(int argc, char **argv) { (void)argc;'
        for p in "$@"; do
            echo "if (strcmp(argv[1], \"$p\") == 0) { return main_$p(); }"
        done
        echo 'return 2; }'
    } >"$out/$group.c"
    echo "$cc -O0 $(echo $flags) $out/$group.c $options" >"$out/$group.sh"
}
[ -z "$inside" ] || together inside "-o $out/inside -lcmocka" $inside
[ -z "$linked" ] || together linked "-c -o $out/linked.o" $linked
for p in $alone; do
    needs=''
    arguments=''
    library=-lcmocka
    optimise=-O0 # compiling takes longer than running
    case "$p" in
        sim)
            [ "$seeds" -lt 100 ] || optimise=-O1
            arguments="$seeds" library=''
            ;;
        test_transcripts) optimise=-O1 needs="$out/core.o" ;;
    esac
    cat >"$out/$p.sh" <<END
$cc $optimise $(echo $flags) tests/unit/$p.c -o $out/$p $needs $library &&
    timeout ${LIMIT:-1500} $out/$p $arguments
END
done

late="$(echo "$alone" | grep -o test_transcripts)" # linked to core.o
# at_once PROGRAM...: their scripts, as many at a time as there are processors
at_once() {
    printf '%s\n' "$@" | xargs -P "$(nproc 2>/dev/null || echo 2)" -I '{}' \
        sh -c 'sh "$1/$2.sh" >"$1/$2.log" 2>&1 </dev/null; echo $? >"$1/$2.status"' \
        run "$out" '{}'
}
at_once core ${inside:+inside} ${linked:+linked} \
    $(echo "$alone" | sed 's/test_transcripts//')
if [ "$(cat "$out/core.status")" != 0 ]; then
    cat "$out/core.log"
    echo "unit: the core does not compile"
    exit 1
fi
for group in ${inside:+inside} ${linked:+linked}; do
    if [ "$(cat "$out/$group.status")" != 0 ]; then
        grep -E -A 5 'error|undefined' "$out/$group.log"
        echo "unit: $group does not compile (again: sh $out/$group.sh)"
        exit 1
    fi
done
if [ -n "$linked" ]; then
    $cc $(echo $flags) "$out/linked.o" "$out/core.o" -o "$out/linked" -lcmocka || exit 1
fi
at_once $inside $linked $late

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
