#!/bin/sh
# Measures, and is not a gate: it fails only where something is broken. README.md says what the
# numbers mean. Usage:
#   sh tests/bench/bench.sh                        everything
#   sh tests/bench/bench.sh instructions [NAME ..] instructions a message: all rows, or these
#   sh tests/bench/bench.sh functions NAME         ... of one row, by function
#   sh tests/bench/bench.sh lines NAME             ... by line
#   sh tests/bench/bench.sh load [OPTION ..]       server CPU a message; options: see load.c
#   sh tests/bench/bench.sh memory                 resident bytes of an idle connection
#   sh tests/bench/bench.sh peers [OPTION ..]      both, beside libwebsockets, npm ws and nchan
#   sh tests/bench/bench.sh gateway [OPTION ..]    thousands of readers of a gateway; see crowd.c
#   sh tests/bench/bench.sh gateways [OPTION ..]   ... and what a second and a third one add
#   sh tests/bench/bench.sh plot                   peers.svg, of the figures that peers left
#   sh tests/bench/bench.sh test                  a test: every row runs, and its bytes are right
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
make="${MAKE:-make} --no-print-directory"
cc="${CC:-cc}"
out=build/bench
mkdir -p "$out"
strict='-Wall -Wextra -Wpedantic -Wshadow -Wundef'

# -- instructions ---------------------------------------------------------------------------------

build_instructions() {
    flags='-std=c99 -O2 -g -march=x86-64-v2'
    [ "$(uname -m)" = x86_64 ] || flags='-std=c99 -O2 -g'
    # shellcheck disable=SC2086
    $cc $flags $strict -DRTPUSH_IMPLEMENTATION -x c -c rtpush.h -o "$out/core.o" &&
        $cc $flags $strict -I. tests/bench/instructions.c "$out/core.o" -o "$out/instructions" \
            -lpthread
}

need_callgrind() {
    if ! command -v valgrind >/dev/null || ! command -v python3 >/dev/null; then
        echo "instructions: valgrind and python3 are needed: sh tests/install.sh bench" >&2
        return 1
    fi
}

# counted NAME ROUNDS: one run, to NAME.ROUNDS; prints how many units it counted.
counted() {
    # Nothing of the environment may move the stack: memcpy would take other paths. callgrind counts
    # `rep movsb`, one instruction, once for each byte: glibc is to copy with vectors.
    tunables='glibc.cpu.x86_rep_movsb_threshold=0x40000000'
    if ! env -i "GLIBC_TUNABLES=$tunables" "$(command -v valgrind)" --tool=callgrind \
        --collect-atstart=no \
        --compress-strings=no --compress-pos=no \
        --toggle-collect='measured_*' --toggle-collect='fake_*' \
        --callgrind-out-file="$out/$1.$2" "$out/instructions" "$1" "$2" 2>"$out/$1.log"; then
        cat "$out/$1.log" >&2
        return 1
    fi
}

# difference NAME WHAT: two runs of different length, and what callgrind.py makes of them.
difference() {
    a="$(counted "$1" 8)" && b="$(counted "$1" 24)" &&
        python3 tests/bench/callgrind.py "$out/$1.8" "$out/$1.24" $((b - a)) "$2"
    status=$?
    rm -f "$out/$1.8" "$out/$1.24" "$out/$1.log"
    return $status
}

# instructions [NAME ...]: these rows, or all of them.
instructions() {
    need_callgrind && build_instructions || return 1
    names="$*"
    if [ -z "$names" ]; then
        names="$("$out/instructions" --list | cut -f 1)"
    fi
    echo "Instructions in user space ($cc $flags)"
    printf '%-42s %8s %8s %8s   %s\n' '' core port all name
    echo name,title,core,port,all >"$out/instructions.part"
    for name in $names; do
        title="$("$out/instructions" --list | awk -F '\t' -v "n=$name" '$1 == n { print $2 }')"
        parts="$(difference "$name" row)" || return 1
        # shellcheck disable=SC2086
        printf '%-42s %8s %8s %8s   %s\n' "$title" $parts "$name"
        echo "$name,\"$title\",$(echo "$parts" | tr ' ' ,)" >>"$out/instructions.part"
    done
    table=rows
    [ $# = 0 ] && table=instructions
    mv "$out/instructions.part" "$out/$table.csv"
}

# split functions|lines NAME
split() {
    need_callgrind && build_instructions && difference "$2" "$1"
}

# -- load -----------------------------------------------------------------------------------------

build_load() {
    if [ "$(uname)" != Linux ]; then
        echo "load: it needs Linux (epoll, clocks of other processes)" >&2
        return 1
    fi
    $make -s echo hub || return 1
    for program in bare load crowd; do
        # shellcheck disable=SC2086
        $cc -std=c99 -O2 $strict -I. "tests/bench/$program.c" -o "$out/$program" || return 1
    done
}

# load_rows OPTION...: the rows against the bare loop.
load_rows() {
    build_load && "$out/load" "$@" "bare=$out/bare" \
        "rtpush:echo=build/echo --port 0 --conns {conns}" \
        "rtpush:push=build/hub --port 0 --conns {conns}"
}

memory() {
    build_load && "$out/load" -m -o "$out/memory.csv" "bare=$out/bare" \
        "rtpush=build/echo --port 0 --conns {conns}"
}

# -- peers ----------------------------------------------------------------------------------------

# peers OPTION...: the same rows beside other servers, and their memory.
peers() {
    build_load || return 1
    # shellcheck disable=SC2086
    $cc -std=c99 -O2 $strict tests/bench/lws.c -o "$out/lws" -lwebsockets || return 1
    "$out/load" -o "$out/peers.csv" -n 7 "$@" "bare=$out/bare" \
        "rtpush:echo=build/echo --port 0 --conns {conns}" \
        "rtpush:push=build/hub --port 0 --conns {conns}" \
        "lws=$out/lws" "ws=node tests/bench/ws.mjs" "nchan:push=sh tests/bench/nchan.sh" &&
        "$out/load" -m -o "$out/peers-memory.csv" "bare=$out/bare" \
            "rtpush=build/echo --port 0 --conns {conns}" "lws=$out/lws" \
            "ws=node tests/bench/ws.mjs" &&
        if [ $# = 0 ]; then plot; fi
}

# -- gateway --------------------------------------------------------------------------------------

# crowd OPTION...: with a Redis of its own, which ends with this.
crowd() {
    build_load && $make -s gateway || return 1
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')"
    last="$(taskset -cp $$ | sed 's/.*[-, ]//')"
    taskset -c "$last" redis-server --port "$port" --bind 127.0.0.1 --dir "$out" \
        --save '' --appendonly no --daemonize no >"$out/redis.log" 2>&1 &
    redis=$!
    gateway="build/gateway --port 0 --conns {conns} --topics a redis://127.0.0.1:$port/ev"
    tries=50
    while ! redis-cli -p "$port" ping >/dev/null 2>&1 && [ "$tries" -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    "$@"
    status=$?
    kill "$redis"
    wait "$redis" 2>/dev/null
    return "$status"
}

beside_nchan() {
    "$out/crowd" -b "$port:$redis" -v "sh tests/bench/nchan.sh $port nchan-via" "$@" \
        "bare:self=$out/bare" "gateway:redis=$gateway" "nchan:via=sh tests/bench/nchan.sh $port"
}

several() {
    "$out/crowd" -n 1 -b "$port:$redis" "$@" "one:redis=$gateway" "two:redis2=$gateway" \
        "three:redis3=$gateway"
}

# The figures of `peers` as a picture, committed beside this file.
plot() {
    python3 tests/bench/tables.py plot && gnuplot tests/bench/plot.gp
}

# -- does it all run ------------------------------------------------------------------------------

# Each row of the instructions without callgrind, and a short slice of each of the others: every
# byte is checked. What README.md says of instructions is counted and compared.
run_once() {
    passed=0 failed=0
    build_instructions && build_load || return 1
    for name in $("$out/instructions" --list | cut -f 1); do
        if "$out/instructions" "$name" 3 >/dev/null; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    done
    if load_rows -t 20 -n 1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    if split lines sse-16 | head -n 3 | grep -q 'rtpush.h:'; then # a line costs less than one
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo 'FAIL lines'
    fi
    # shellcheck disable=SC2046 # names, then three numbers
    instructions $(python3 tests/figures.py names)
    python3 tests/figures.py instructions | tee "$out/figures.log"
    set -- $(totals "$out/figures.log" 0)
    passed=$((passed + $1))
    failed=$((failed + $2))
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

what="${1:-all}"
[ $# -gt 0 ] && shift
case "$what" in
    instructions) instructions "$@" ;;
    functions | lines) split "$what" "${1:?the name of a row}" ;;
    load) load_rows -o "$out/load.csv" "$@" ;;
    memory) memory ;;
    peers) peers "$@" ;;
    gateway) crowd beside_nchan -o "$out/gateway.csv" "$@" ;;
    gateways) crowd several -o "$out/gateways.csv" "$@" ;;
    plot) plot ;;
    test) run_once ;;
    all)
        instructions && echo && load_rows -o "$out/load.csv" && memory &&
            if [ -e "$out/peers.csv" ]; then plot; fi
        ;;
    *)
        sed -n 's/^#   //p' "$0" >&2
        exit 2
        ;;
esac
