#!/bin/sh
# Builds build/lwip/sim-VERSION-CONFIG from lwIP's source, twice: the peers' copy is linked into one
# object with local names. With TLS both sides speak it, and the name ends in -TLS.
# Usage: sh tests/lwip/build.sh 2.1|2.2 HEAP|SMALL|COPY [TLS]
set -eu
cd "$(dirname "$0")/../.."
version="$1"
config="$2"
secure="${3:-}"
lwip="build/lwip/$version/src"
name="$version-$config${secure:+-TLS}"
out="build/lwip/obj-$name"
tls="${secure:+-DSIM_TLS}"
cc="${CC:-gcc}"
sanitize='-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
number="$(echo "$version" | tr -d .)"
flags="-std=gnu99 $sanitize -DSIM_LWIP=$number -Itests/lwip/include -isystem $lwip/include"
warn='-Wall -Wextra -Wno-unused-function'

sources="$(cd "$lwip" && ls core/init.c core/def.c core/inet_chksum.c core/ip.c core/mem.c \
    core/memp.c core/netif.c core/pbuf.c core/stats.c core/tcp.c core/tcp_in.c core/tcp_out.c \
    core/timeouts.c core/ipv4/ip4.c core/ipv4/ip4_addr.c core/ipv4/icmp.c)"

# stack SIDE MACRO: lwIP and its netif as objects in $out/SIDE
stack() {
    mkdir -p "$out/$1"
    for s in $sources; do
        o="$out/$1/$(basename "$s" .c).o"
        if [ ! -e "$o" ] || [ tests/lwip/include/lwipopts.h -nt "$o" ] ||
            [ tests/lwip/include/arch/cc.h -nt "$o" ]; then
            echo "$cc $flags -w -D$2 -c $lwip/$s -o $o"
        fi
    done
    echo "$cc $flags $warn -D$2 -c tests/lwip/stack.c -o $out/$1/stack.o"
}

{
    stack server "SIM_$config"
    stack peers SIM_CLIENT
    echo "$cc $flags $warn -DSIM_CLIENT -c tests/lwip/peers.c -o $out/peers/peers.o"
    echo "$cc $flags $warn -DSIM_$config $tls -I. -Iports -c tests/lwip/sim.c -o $out/sim.o"
} | xargs -P "$(nproc 2>/dev/null || echo 2)" -I '{}' sh -c '{}'

ld -r "$out"/peers/*.o -o "$out/peers.all.o"
keep="$(grep -oE '\bpeers?_[a-z_]+\(' tests/lwip/sim.h | tr -d '(' | grep -v '^peers_$' |
    sort -u | sed 's/^/--keep-global-symbol=/')"
# shellcheck disable=SC2086 # one option a name
objcopy $keep "$out/peers.all.o" "$out/peers.o"
$cc $sanitize "$out/sim.o" "$out"/server/*.o "$out/peers.o" -o "build/lwip/sim-$name" \
    ${secure:+-lbearssl}
