#!/bin/sh
# rtpush over lwIP: two lwIP stacks in one program, joined by a simulated wire with virtual time.
# Fetches lwIP's source if it is not there, compiles the port in all ways (compile.sh), builds the
# simulation (build.sh), and runs the port's rules, one run for each allocation that fails, and
# random runs. A run that fails is printed with the command that repeats it exactly. The last line
# is `N passed, N failed`.
#
#   sh tests/lwip/run.sh             what "make test" needs; with sanitizers one build, as the suite
#                                    tls has another
#   sh tests/lwip/run.sh long        every build, every single allocation failing, 5,000 seeds
#   sh tests/lwip/run.sh simulate    random runs alone, of every build
#   SEEDS=5000 FIRST_SEED=1          so many of each build, from that on
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
what="${1:-all}"
seeds=50
limit=500 # seconds for one part
step=7    # each how many-th allocation fails
stride=4  # each how many-th instruction is interrupted
if [ "$what" != all ]; then
    seeds=5000
    limit=0
    step=1
    stride=1
fi
export SIM_STRIDE="$stride"
seeds="${SEEDS:-$seeds}"
first="${FIRST_SEED:-1}"
out=build/lwip
mkdir -p "$out"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}" # the simulation itself frees nothing
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

if ! sh tests/lwip/fetch.sh; then
    echo '0 passed, 1 failed'
    exit 1
fi

builds='2.2-HEAP 2.2-SMALL 2.2-COPY 2.2-TINY 2.2-PICO'
sanitized='2.1-HEAP-asan' # slower by six times, so fewer seeds
compile='2.1-short 2.2'
if [ "$what" != all ]; then
    compile='2.1 2.2'
    sanitized="$sanitized 2.2-SMALL-asan"
    builds="$builds 2.1-HEAP 2.1-SMALL 2.1-TINY"
fi
if [ "$what" = simulate ]; then
    sanitized=''
fi
# shellcheck disable=SC2086 # names are meant to split
if ! sh tests/lwip/build.sh $builds $sanitized >build/lwip/log.build 2>&1; then
    cat build/lwip/log.build
    echo 'FAIL the simulation does not build'
    echo '0 passed, 1 failed'
    exit 1
fi
if [ "$what" != simulate ]; then
    for version in $compile; do
        part "compile-$version" "$limit" "sh tests/lwip/compile.sh $version"
    done
fi
for build in $builds $sanitized; do
    sim="build/lwip/sim-$build"
    fewer="$((seeds * 2 / 5))" # of those with single steps
    case "$build" in
        *-asan) part "$build.seeds" "$limit" "$sim seeds $((first + seeds)) $((seeds / 8))" ;;
        *-PICO) part "$build.seeds" "$limit" "$sim seeds $first $fewer" ;;
        *) part "$build.seeds" "$limit" "$sim seeds $first $seeds" ;;
    esac
    case "$what $build" in
        'simulate '*) ;;
        *-TINY | *-PICO) ;; # what follows opens 8 connections
        *-asan)
            part "$build.rules" "$limit" "$sim rules"
            part "$build.allocations" "$limit" "$sim allocs 7 $((7 * step))"
            ;;
        *)
            part "$build.rules" "$limit" "$sim rules"
            part "$build.allocations" "$limit" "$sim allocs 1 $step"
            part "$build.bursts" "$limit" "$sim allocs 30 $((4 * step))"
            ;;
    esac
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
