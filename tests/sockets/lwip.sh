#!/bin/sh
# Builds and runs lwip.c. Usage: sh tests/sockets/lwip.sh 2.2-LOCK|2.2-MAIL
set -eu
cd "$(dirname "$0")/../.."
lwip="build/lwip/${1%-*}/src"
out="build/sockets/lwip-$1"
sh tests/lwip/fetch.sh 2.2 >/dev/null
${MAKE:-make} --no-print-directory build/core-asan.o
mkdir -p "$out"
include="-DOS_${1#*-} -I. -Itests/sockets/lwip -Itests/lwip/os -isystem $lwip/include"
flags="-std=gnu99 -g1 -O1 $include"
sources="$(cd "$lwip" && ls core/init.c core/def.c core/inet_chksum.c core/ip.c core/mem.c \
    core/memp.c core/netif.c core/pbuf.c core/stats.c core/sys.c core/tcp.c core/tcp_in.c \
    core/tcp_out.c core/timeouts.c core/udp.c core/ipv4/ip4.c core/ipv4/ip4_addr.c \
    core/ipv4/icmp.c api/api_lib.c api/api_msg.c api/err.c api/netbuf.c api/sockets.c api/tcpip.c)"
objects=''
for source in $sources; do
    object="$out/$(basename "$source" .c).o"
    if [ ! -e "$object" ] || [ -n "$(find tests/sockets/lwip tests/lwip/os "$lwip/$source" \
        -newer "$object")" ]; then
        # shellcheck disable=SC2086
        gcc $flags -w -c "$lwip/$source" -o "$object"
    fi
    objects="$objects $object"
done
# shellcheck disable=SC2086
gcc $flags -w -c tests/lwip/os/sys_arch.c -o "$out/sys_arch.o"
# shellcheck disable=SC2086
gcc $flags -Wall -Wextra -fsanitize=address,undefined -fno-sanitize-recover=all \
    tests/sockets/lwip.c build/core-asan.o $objects "$out/sys_arch.o" -o "$out/test" -lpthread
timeout 600 "$out/test"
