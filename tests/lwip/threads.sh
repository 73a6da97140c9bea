#!/bin/sh
# The lwIP port inside tcpip_thread, under gcc's thread sanitizer: builds and runs threads.c with
# both versions of lwIP, each in one of the two ways of os/lwipopts.h. The last line is
# `N passed, N failed`. Usage: sh tests/lwip/threads.sh [2.1-LOCK|2.1-MAIL|2.2-LOCK|2.2-MAIL]...
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/lwip
jobs="$(nproc 2>/dev/null || echo 2)"
flags="-std=gnu99 -g1 -O1 -fsanitize=thread ${THREADS_FLAGS:-}"
warn='-Wall -Wextra -Wshadow -Wno-unused-function -Werror'

if ! sh tests/lwip/fetch.sh; then
    echo '0 passed, 1 failed'
    exit 1
fi

# build VERSION-WAY: build/lwip/threads-VERSION-WAY
build() {
    version="${1%-*}"
    lwip="build/lwip/$version/src"
    objects="$out/threads.$1"
    mkdir -p "$objects"
    rm -f "build/lwip/threads-$1"
    include="-DOS_${1#*-} -Itests/lwip/os -isystem $lwip/include"
    sources="$(cd "$lwip" && ls core/init.c core/def.c core/inet_chksum.c core/ip.c core/mem.c \
        core/memp.c core/netif.c core/pbuf.c core/stats.c core/sys.c core/tcp.c core/tcp_in.c \
        core/tcp_out.c core/timeouts.c core/ipv4/ip4.c core/ipv4/ip4_addr.c core/ipv4/icmp.c \
        api/api_lib.c api/api_msg.c api/netbuf.c api/tcpip.c)"
    {
        for s in $sources; do
            o="$objects/$(basename "$s" .c).o"
            if [ ! -e "$o" ] || [ tests/lwip/os/lwipopts.h -nt "$o" ] ||
                [ tests/lwip/os/arch/cc.h -nt "$o" ] ||
                [ tests/lwip/os/arch/sys_arch.h -nt "$o" ] ||
                [ tests/lwip/threads.sh -nt "$o" ]; then
                echo "gcc $flags $include -w -c $lwip/$s -o $o"
            fi
        done
        echo "gcc $flags $include $warn -c tests/lwip/os/sys_arch.c -o $objects/sys_arch.o"
        echo "gcc $flags $include $warn -I. -Iports -c tests/lwip/threads.c -o $objects/threads.o"
    } | xargs -P "$jobs" -I '{}' sh -c '{}' &&
        gcc -fsanitize=thread "$objects"/*.o -o "build/lwip/threads-$1" -lpthread
}

export TSAN_OPTIONS="suppressions=$PWD/tests/lwip/threads.supp ${TSAN_OPTIONS:-}"
for way in ${*:-2.1-LOCK 2.2-MAIL}; do
    log="build/lwip/log.threads-$way"
    if ! build "$way" >"$log" 2>&1; then
        head -n 30 "$log"
        echo "FAIL $way does not build"
        failed=$((failed + 1))
        continue
    fi
    # setarch -R: the thread sanitizer of gcc 12 wants addresses that are not randomised. It has an
    # exit status of its own.
    part "threads-$way" 90 "setarch -R build/lwip/threads-$way"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
