#!/bin/sh
# Measures; a gate for nothing: it fails only where something is broken. README.md says what the
# numbers mean. Usage: sh tests/bench/bench.sh [instructions|load]   (default: both)
set -u
cd "$(dirname "$0")/../.." || exit 1
make="${MAKE:-make} --no-print-directory"
cc="${CC:-cc}"
out=build/bench
mkdir -p "$out"
strict='-Wall -Wextra -Wpedantic -Wshadow -Wundef'

# -- instructions ---------------------------------------------------------------------------------

# What callgrind counted in one run: counted NAME ROUNDS TOGGLE...; and the units of that run.
counted() {
    name="$1" rounds="$2"
    shift 2
    log="$out/$name.log"
    # Nothing of the environment may move the stack: memcpy would take other paths.
    if ! env -i "$(command -v valgrind)" --tool=callgrind --collect-atstart=no "$@" \
        --callgrind-out-file=/dev/null "$out/instructions" "$name" "$rounds" \
        >"$out/$name.units" 2>"$log"; then
        cat "$log" >&2
        return 1
    fi
    echo "$(sed -n 's/.*Collected : //p' "$log") $(cat "$out/$name.units")"
}

# Instructions a unit, from two runs of different length.
difference() {
    name="$1"
    shift
    a="$(counted "$name" 8 "$@")" && b="$(counted "$name" 24 "$@")" || return 1
    echo "$a $b" | awk '{ printf "%.0f\n", ($3 - $1) / ($4 - $2) }'
}

instructions() {
    if ! command -v valgrind >/dev/null; then
        echo "instructions: skipped, valgrind is missing (apt-get install valgrind)"
        return 0
    fi
    flags='-std=c99 -O2 -g -march=x86-64-v2'
    [ "$(uname -m)" = x86_64 ] || flags='-std=c99 -O2 -g'
    # shellcheck disable=SC2086
    $cc $flags $strict -DRTPUSH_IMPLEMENTATION -x c -c rtpush.h -o "$out/core.o" &&
        $cc $flags $strict -I. tests/bench/instructions.c "$out/core.o" -o "$out/instructions" \
            -lpthread || return 1
    core=''
    for f in accept input eof output sent acked gone next tick publish publish_from; do
        core="$core --toggle-collect=rtpush_$f"
    done
    echo "Instructions in user space ($cc $flags)"
    printf '%-42s %10s %14s\n' '' core 'core + port'
    "$out/instructions" --list | while IFS="$(printf '\t')" read -r name title; do
        # shellcheck disable=SC2086
        inner="$(difference "$name" $core)" &&
            whole="$(difference "$name" '--toggle-collect=measured_*' '--toggle-collect=fake_*')" ||
            exit 1
        printf '%-42s %10s %14s\n' "$title" "$inner" "$whole"
    done
}

# -- load -----------------------------------------------------------------------------------------

load() {
    if [ "$(uname)" != Linux ]; then
        echo "load: skipped, it needs Linux (epoll, clocks of other processes)"
        return 0
    fi
    $make -s echo hub || return 1
    # shellcheck disable=SC2086
    $cc -std=c99 -O2 $strict -I. tests/bench/load.c -o "$out/load" || return 1
    "$out/load" build/echo build/hub
}

case "${1:-all}" in
    instructions) instructions ;;
    load) load ;;
    all)
        instructions || exit 1
        echo
        load
        ;;
    *)
        echo 'usage: sh tests/bench/bench.sh [instructions|load]' >&2
        exit 2
        ;;
esac
