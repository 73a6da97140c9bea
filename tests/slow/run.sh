#!/bin/sh
# Slow readers over real TCP that acknowledge: servers in one network namespace, readers in another,
# joined by links that tc holds to 1, 4 and 25 KB/s (200 kbit/s), one link a case, all at the same
# time. The deadlines are scaled down (6 s idle, 0.5 s closing, 6 s stalled), and for the cases
# that were seen to fail as they are by default. Needs to be root, or user namespaces. The last
# line is `N passed, N failed`.
# Usage: sh tests/slow/run.sh        SLOW_VERBOSE=1 prints what each case took
set -u
cd "$(dirname "$0")/../.." || exit 1
out=build/slow
readers=9 # cases of ON_LINKS in readers.py
if [ "${1:-}" != inside ]; then
    mkdir -p "$out"
    sh ports/cert.sh build/cert || { echo '0 passed, 1 failed'; exit 1; }
    ${MAKE:-make} --no-print-directory build/core-asan.o || { echo '0 passed, 1 failed'; exit 1; }
    flags='-std=c99 -O1 -g1 -Wall -Wextra -fsanitize=address,undefined -I.
        -fno-sanitize-recover=all'
    # shellcheck disable=SC2086 # options are meant to split
    if ! gcc $flags tests/slow/server.c build/core-asan.o -o "$out/plain" -lpthread ||
        ! gcc $flags -DSLOW_TLS -DRTPUSH_POSIX_POLL tests/slow/server.c build/core-asan.o \
            -o "$out/tls" -lbearssl -lpthread; then
        echo '0 passed, 1 failed'
        exit 1
    fi
    user=''
    [ "$(id -u)" = 0 ] || user='-r'
    exec unshare $user -n sh "$0" inside
fi

# One namespace for the servers (this one), one for the readers, which `sleep` keeps.
ip link set lo up
unshare -n sleep 300 &
peer=$!
trap 'kill $peer $servers 2>/dev/null' EXIT
servers=''
while [ "$(readlink "/proc/$peer/ns/net")" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done

n=0
links=''
: >"$out/ours" && : >"$out/theirs" && : >"$out/tc"
# link NAME SERVER PORT RATE: a pair of interfaces with the address 10.9.N.1 on the servers' side.
# Packets are small, or one of them would take 1.5 s at 1 KB/s.
link() {
    n=$((n + 1))
    echo "link add s$n mtu 576 type veth peer name r$n mtu 576 netns $peer
addr add 10.9.$n.1/24 dev s$n
link set s$n up" >>"$out/ours"
    echo "addr add 10.9.$n.2/24 dev r$n
link set r$n up" >>"$out/theirs"
    if [ "$4" != 0 ]; then
        echo "qdisc add dev s$n root tbf rate $(($4 * 8))bit burst 1200 limit 400000" >>"$out/tc"
    fi
    links="$links $1,$2,10.9.$n.1,10.9.1.1,$3,$4"
}
link stall plain 8001 0 # the first: without a limit, DIRECT of the others
link stall tls 8002 0
link own plain 8001 0
link own tls 8002 0
link crowd plain 8004 0
for server in 'plain 8001' 'tls 8002'; do
    for rate in 1000 4000 25000; do
        i=0
        while [ $i -lt $readers ]; do
            # shellcheck disable=SC2086 # two words
            link link-$i $server $rate
            i=$((i + 1))
        done
    done
done
link poll plain 8003 25000
link echo plain 8003 25000
link keep plain 8003 4000
link steady plain 8003 0
ip -batch "$out/ours" && nsenter -t $peer -n ip -batch "$out/theirs" && tc -batch "$out/tc" || {
    echo '0 passed, 1 failed'
    exit 1
}

scaled='idle=6000 close=500 stall=6000 ping=3000'
# shellcheck disable=SC2086 # options are meant to split
{
    "$out/plain" 0.0.0.0 8001 $scaled >"$out/log.8001" 2>&1 &
    servers="$servers $!"
    RTPUSH_TLS=ec "$out/tls" 0.0.0.0 8002 $scaled >"$out/log.8002" 2>&1 &
    servers="$servers $!"
    "$out/plain" 0.0.0.0 8003 >"$out/log.8003" 2>&1 &
    servers="$servers $!"
    "$out/plain" 0.0.0.0 8004 conns=2 $scaled >"$out/log.8004" 2>&1 &
    servers="$servers $!"
}
for port in 8001 8002 8003 8004; do
    tries=0
    while [ ! -s "$out/log.$port" ] && [ $tries -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
done
# shellcheck disable=SC2086 # one argument a link
nsenter -t $peer -n timeout 600 python3 tests/slow/readers.py $links
status=$?
# The sanitizers' reports; a server prints one line, its port.
for port in 8001 8002 8003 8004; do
    if [ "$(wc -l <"$out/log.$port")" != 1 ]; then
        cat "$out/log.$port"
        status=1
    fi
done
exit $status
