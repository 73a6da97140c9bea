#!/bin/sh
# Builds build/lwip/sim-NAME for each NAME given: VERSION-CONFIG as 2.1-HEAP (see
# include/lwipopts.h), behind it -TLS (both sides speak it) or -MBEDTLS (a server by mbedTLS, which
# `tests/tls/mbedtls.sh small` has built), -asan (sanitizers) or both. lwIP's source is compiled
# twice: the peers' copy is linked into one object with local names, the same for all of a version.
# Usage: sh tests/lwip/build.sh NAME...
set -eu
cd "$(dirname "$0")/../.."
self=tests/lwip/build.sh
cc="${CC:-gcc}"
mkdir -p build/lwip
exec 9>build/lwip/lock # two suites that run side by side share the peers
flock 9
lwip_at() { echo "build/lwip/$1/src"; }
config_of() { name="${1#*-}"; name="${name%-asan}"; name="${name%-MBEDTLS}"; echo "${name%-TLS}"; }
tls_of() { # what a program that speaks TLS needs: tls_of NAME compile|link
    case "$1 $2" in
        *-TLS*compile) echo -DSIM_TLS ;;
        *-TLS*link) echo -lbearssl ;;
        *-MBEDTLS*compile) echo -DSIM_TLS -DSIM_MBEDTLS "$(sh tests/tls/mbedtls.sh flags small)" ;;
        *-MBEDTLS*link) echo build/mbedtls/lib-small.a -lbearssl ;;
    esac
}
objects_of() { echo "build/lwip/objects/$1"; }
units_of() { # those of lwIP's source in a folder of objects
    echo "$1/lwip.o $1/memory.o $1/stack.o"
}
sanitizers_of() {
    case "$1" in
        *-asan)
            echo '-g1 -O0 -fno-omit-frame-pointer -fsanitize=address,undefined' \
                -fno-sanitize-recover=all ;;
        *-HEAP* | *-COPY* | *-TINY*) echo '-g1 -O0' ;; # compiling takes longer than running
        *) echo '-g1 -O1' ;; # instructions are single steps here, see background.h
    esac
}
flags_of() {
    echo "-std=gnu99 $(sanitizers_of "$1") -DSIM_LWIP=$(echo "${1%%-*}" | tr -d .)" \
        "-Itests/lwip/include -isystem $(lwip_at "${1%%-*}")/include"
}
warn='-Wall -Wextra -Wno-unused-function'
# One unit, which compiles in a fifth of the time of its files; the allocators apart, see stack.c.
sources='core/init.c core/def.c core/inet_chksum.c core/ip.c core/netif.c core/pbuf.c core/stats.c
    core/tcp.c core/tcp_in.c core/tcp_out.c core/timeouts.c core/ipv4/ip4.c core/ipv4/ip4_addr.c
    core/ipv4/icmp.c core/ipv4/etharp.c netif/ethernet.c core/ipv6/ip6.c core/ipv6/ip6_addr.c
    core/ipv6/icmp6.c core/ipv6/nd6.c core/ipv6/ethip6.c'
memory='core/mem.c core/memp.c'

# stack NAME FOLDER MACRO: commands that compile lwIP and its netif into FOLDER
stack() {
    mkdir -p "$2"
    renamed=''
    if [ "$3" != SIM_CLIENT ] && [ "$3" != SIM_HEAP ]; then
        renamed='-Dmemp_malloc=lwip_memp_malloc -Dmem_malloc=lwip_mem_malloc' # see stack.c
    fi
    for unit in lwip memory; do
        o="$2/$unit.o"
        if [ ! -e "$o" ] || [ -n "$(find tests/lwip/include $self -newer "$o")" ]; then
            files="$sources" more=''
            [ "$unit" = memory ] && files="$memory" more="$renamed"
            printf '#include "%s"\n' $files >"$2/$unit.c"
            echo "$cc $(flags_of "$1") -I$(lwip_at "${1%%-*}") -w -D$3 $more -c $2/$unit.c -o $o"
        fi
    done
    echo "$cc $(flags_of "$1") $warn -D$3 -c tests/lwip/stack.c -o $2/stack.o"
}

{
    for version in $(for name in "$@"; do echo "${name%%-*}"; done | sort -u); do
        stack "$version" "$(objects_of "$version-peers")" SIM_CLIENT
        echo "$cc $(flags_of "$version") $warn -DSIM_CLIENT -c tests/lwip/peers.c" \
            "-o $(objects_of "$version-peers")/peers.o"
    done
    for name in "$@"; do
        stack "$name" "$(objects_of "$name")" "SIM_$(config_of "$name")"
        echo "$cc $(flags_of "$name") $warn -DSIM_$(config_of "$name") -I." \
            "$(tls_of "$name" compile) -Iports -c tests/lwip/sim.c -o $(objects_of "$name")/sim.o"
        case "$name" in
            *-MBEDTLS*) # its client is BearSSL's
                echo "$cc $(flags_of "$name") $warn -I. $(tls_of "$name" compile)" \
                    "-c tests/tls/bearssl.c -o $(objects_of "$name")/bearssl.o" ;;
        esac
    done
} | xargs -P 2 -I '{}' sh -c '{}'

keep="$(grep -oE '\bpeers?_[a-z_]+\(' tests/lwip/sim.h | tr -d '(' | grep -v '^peers_$' |
    sort -u | sed 's/^/--keep-global-symbol=/')"
for name in "$@"; do
    peers="$(objects_of "${name%%-*}-peers")"
    # shellcheck disable=SC2046 # names are meant to split
    ld -r $(units_of "$peers") "$peers/peers.o" -o "$peers.all.o"
    # shellcheck disable=SC2086 # one option a name
    objcopy $keep "$peers.all.o" "$peers.local.o"
    own="$(objects_of "$name")"
    case "$name" in *-MBEDTLS*) client="$own/bearssl.o" ;; *) client='' ;; esac
    # shellcheck disable=SC2046,SC2086 # options and names are meant to split
    $cc $(sanitizers_of "$name") $(units_of "$own") "$own/sim.o" $client "$peers.local.o" \
        -o "build/lwip/sim-$name" $(tls_of "$name" link)
done
