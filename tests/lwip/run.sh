#!/bin/sh
# rtpush over lwIP: two lwIP stacks in one program, joined by a simulated wire with virtual time.
# Fetches lwIP's source if it is not there, compiles the port in all ways (compile.sh), builds the
# simulation in four (see include/lwipopts.h), and runs the port's rules, one run for each
# allocation that fails, and random runs. The last line is `N passed, N failed`.
#
#   sh tests/lwip/run.sh             all of it
#   SEEDS=5000 sh tests/lwip/run.sh  so many random runs of each build
#   build/lwip/sim-2.1-HEAP seed 17  one random run again, exactly (SIM_TRACE=1 for its readers)
set -u
cd "$(dirname "$0")/../.." || exit 1
seeds="${SEEDS:-100}"
first="${FIRST_SEED:-1}"
mkdir -p build/lwip
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}" # the simulation itself frees nothing
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

if ! sh tests/lwip/fetch.sh; then
    echo '0 passed, 1 failed'
    exit 1
fi

passed=0
failed=0
# part NAME COMMAND...: adds up the totals of one program
part() {
    name="$1"
    shift
    log="build/lwip/log.$name"
    timeout 500 "$@" >"$log" 2>&1 </dev/null
    status=$?
    totals="$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)"
    if [ -z "$totals" ]; then
        totals='0 passed, 1 failed'
    fi
    # shellcheck disable=SC2046 # two numbers
    set -- $(echo "$totals" | tr -cd '0-9 ')
    if [ "$status" != 0 ] && [ "$2" = 0 ]; then
        set -- "$1" 1
    fi
    if [ "$2" != 0 ]; then
        grep -v '^  0x\|^=>0x\|^Shadow' "$log" | head -n 60
        echo "FAIL $name: see $log"
    fi
    printf '%-28s %5s passed %4s failed\n' "$name" "$1" "$2"
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# Built side by side: one file is most of the work of each.
builds='2.1-HEAP 2.1-SMALL 2.2-HEAP 2.2-COPY'
for build in $builds; do
    rm -f "build/lwip/sim-$build"
    sh tests/lwip/build.sh "${build%-*}" "${build#*-}" >"build/lwip/log.build-$build" 2>&1 &
done
part compile sh tests/lwip/compile.sh
wait

for build in $builds; do
    if [ ! -x "build/lwip/sim-$build" ]; then
        cat "build/lwip/log.build-$build"
        echo "FAIL $build does not build"
        failed=$((failed + 1))
        continue
    fi
    part "$build.rules" "build/lwip/sim-$build" rules
    part "$build.seeds" "build/lwip/sim-$build" seeds "$first" "$seeds"
done
part 2.1-HEAP.allocations build/lwip/sim-2.1-HEAP allocs "${ALLOCS_EVERY:-1}"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
