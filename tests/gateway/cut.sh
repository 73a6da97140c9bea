#!/bin/sh
# Gateways whose network to the broker loses all packets: the gateways in one network namespace, the
# brokers, HAProxy and the readers in another. Four links join them: one for what is asked of the
# gateways, which stays, and one for each of three gateways to the broker, by an address of its own,
# which cut.test.mjs cuts and heals. Connections are not closed by that, and nobody is told of it:
# hardware addresses are fixed, or a host that is not found would be an error.
# Needs to be root, or user namespaces; else it fails. The last line is `N passed, N failed`.
# Usage: sh tests/gateway/cut.sh redis|nats|rabbit GATEWAY [PART OF A TEST NAME]
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ "${1:-}" != inside ]; then
    user=''
    [ "$(id -u)" = 0 ] || user='-r'
    # shellcheck disable=SC2086 # empty, or an option
    unshare $user -n true || {
        echo 'FAIL no network namespaces: be root, or allow user namespaces'
        echo '0 passed, 1 failed'
        exit 1
    }
    # shellcheck disable=SC2086
    exec unshare $user -n sh "$0" inside "$@"
fi
shift

ip link set lo up
unshare -n sleep 2400 & # keeps the namespace of the gateways, which ends with it
peer=$!
trap 'kill $peer 2>/dev/null' EXIT
trap 'exit 1' INT TERM
while [ "$(readlink "/proc/$peer/ns/net")" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
there="nsenter -t $peer -n"

link() { # NUMBER: 10.9.NUMBER.1 here, .2 there
    ours="02:00:00:00:0$1:01"
    theirs="02:00:00:00:0$1:02"
    ip link add "link$1" address "$ours" type veth peer name "link$1" address "$theirs" \
        netns "$peer" &&
        ip addr add "10.9.$1.1/24" dev "link$1" && ip link set "link$1" up &&
        $there ip addr add "10.9.$1.2/24" dev "link$1" && $there ip link set "link$1" up &&
        ip neigh replace "10.9.$1.2" lladdr "$theirs" dev "link$1" nud permanent &&
        $there ip neigh replace "10.9.$1.1" lladdr "$ours" dev "link$1" nud permanent
}
for number in 0 1 2 3; do
    link "$number" || {
        echo 'FAIL no links between namespaces'
        echo '0 passed, 1 failed'
        exit 1
    }
done
$there ip link set lo up
RTPUSH_PEER=$peer node tests/gateway/cut.test.mjs "$@"
