#!/bin/sh
# Builds every test program here with sanitizers and runs it. The last line is "N passed, N failed".
#
#   sh tests/unit/run.sh            all
#   sh tests/unit/run.sh ws sim     test_ws.c and sim.c
#   UNIT_CC=clang sh tests/unit/run.sh
#   UNIT_SEEDS=20000 sh tests/unit/run.sh sim

export ASAN_OPTIONS=detect_leaks=0 # the core has no heap; a failed test leaks its own
cd "$(dirname "$0")" || exit 1
out=../../build/unit
mkdir -p $out || exit 1
cc=${UNIT_CC:-gcc -g -fsanitize=address,undefined -fno-sanitize-recover=all}
flags="-std=c99 -Wall -Wextra -Wno-unused-function"
names=${*:-sim transcripts selftest ws security http log api sse state poll time epoch}

build() {
    case $1 in
    sim | selftest) $cc -O1 $flags "$1.c" -o "$out/$1" ;;
    transcripts | ws) $cc -O1 $flags "test_$1.c" -o "$out/$1" -lcmocka ;;
    *) $cc -O0 $flags "test_$1.c" -o "$out/$1" -lcmocka ;; # compiling takes longer than running
    esac
}

# cmocka says "[  PASSED  ] 3 test(s)."; ours say "3 passed, 0 failed".
count() {
    sed -n -e "s/^\[  $2  \] \([0-9]*\) test(s).*/\1/p" -e "s/.*\[  $2  \] \([0-9]*\) test(s).*/\1/p" "$1" | tail -n 1
}

one() {
    name=$1
    log=$out/$name.log
    rm -f "$out/$name" "$out/$name.result"
    if ! build "$name" >"$log" 2>&1; then
        cat "$log"
        echo "$name: does not build"
        echo "0 1" >"$out/$name.result"
        return
    fi
    args=
    [ "$name" = sim ] && args=${UNIT_SEEDS:-1000}
    [ "$name" = selftest ] && args=20
    timeout 300 "$out/$name" $args >>"$log" 2>&1
    code=$?
    case $name in
    sim | selftest)
        passed=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p' "$log" | tail -n 1)
        failed=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p' "$log" | tail -n 1)
        ;;
    *)
        passed=$(count "$log" PASSED)
        failed=$(count "$log" FAILED)
        ;;
    esac
    passed=${passed:-0}
    failed=${failed:-0}
    if [ $code -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1 # a crash, a leak, or a time limit
    fi
    if [ "$failed" -ne 0 ]; then
        grep -v '^\[ RUN  \|^\[       OK' "$log" | tail -n 80
    fi
    echo "$name: $passed passed, $failed failed (exit $code)"
    echo "$passed $failed" >"$out/$name.result"
}

# Two at a time.
job=0
for name in $names; do
    one "$name" &
    job=$((job + 1))
    if [ $((job % 2)) -eq 0 ]; then
        wait
    fi
done
wait

passed=0
failed=0
for name in $names; do
    read -r p f <"$out/$name.result" || f=1
    passed=$((passed + ${p:-0}))
    failed=$((failed + f))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
