#!/bin/sh
# How large the core is on a microcontroller: the whole, what is left of it in images that name some
# kinds of routes and topics alone, and sizeof of every public struct. How large the ports are:
# lwIP's on a microcontroller, POSIX's on x86-64. Compared with the limits and goals below.
# Usage: sh tests/size.sh
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/totals.sh
out=build/size
rm -rf "$out"
mkdir -p "$out"
printf '#define RTPUSH_IMPLEMENTATION\n#include "rtpush.h"\n' >"$out/core.c"
# Headers that need no network stack, each with itself alone implemented.
for port in access json dash; do
    printf '#include "rtpush.h"\n#include "ports/rtpush_json.h"\n#define RTPUSH_%s_%s\n%s\n' \
        "$(echo $port | tr a-z A-Z)" IMPLEMENTATION "#include \"ports/rtpush_$port.h\"" \
        >"$out/$port.c"
done
sed -i 2d "$out/json.c"
passed=0
failed=0

# A goal is to be reached, a limit was reached: limits are tested, and one is raised only with a
# commit that says why. A goal that is missed is printed as missed.
# Flash of reference images, bytes: goal and limit with words and checks, then without both.
IMAGES='
everything   23457 35520 20993 30720
dashboard    0     31072 18945 26560
feed         0     26272 14849 21792'
LIMIT_ACCESS=5760      # bytes of flash, ports/rtpush_access.h alone, all of it
LIMIT_JSON=1040        # ... of ports/rtpush_json.h
LIMIT_DASH=2816        # ... of ports/rtpush_dash.h
LIMIT_CONN=121         # bytes of RAM: sizeof(rtpush_conn) where pointers have 4 bytes
LIMIT_SERVER=751       # ... sizeof(rtpush_server)
LIMIT_LWIP=3280        # bytes of flash, the port alone, with or without an operating system
LIMIT_LWIP_PORT=392    # bytes of RAM, 4-byte pointers: sizeof(rtpush_lwip)
LIMIT_LWIP_SLOT=28     # ... and of each connection
LIMIT_SOCKETS=3904     # bytes of flash, the port alone
LIMIT_SOCKETS_PORT=176 # bytes of RAM, 4-byte pointers: sizeof(rtpush_sockets)
LIMIT_SOCKETS_CONN=1056 # ... and of each connection, its buffer included
LIMIT_POSIX=9792       # bytes of code and constants, x86-64, -O2; inline what a message passes
LIMIT_POSIX_PORT=328   # bytes of RAM, x86-64: sizeof(rtpush_posix)
LIMIT_POSIX_CONN=44    # ... and of each connection, beside the core's

# sections SIZE OBJECT: prints "text rodata data bss"
sections() {
    "$1" -A "$2" | awk '
        $1 ~ /^\.text/ { text += $2 }
        $1 ~ /^\.rodata/ || $1 ~ /^\.data\.rel\.ro/ { rodata += $2; next }
        $1 ~ /^\.data/ { data += $2 }
        $1 ~ /^\.bss/ { bss += $2 }
        END { print text + 0, rodata + 0, data + 0, bss + 0 }'
}

# compiled COMPILER SIZE NAME FLAGS...: compiles NAME.c, prints its sections
compiled() {
    compiler="$1"
    size="$2"
    name="$3"
    shift 3
    "$compiler" -std=c99 -ffunction-sections "$@" -I. -c "$out/$name.c" -o "$out/$name.o" \
        2>"$out/$name.log" && sections "$size" "$out/$name.o"
}

cortex() { # CPU NAME [-Doption ...]
    cpu="$1"
    shift
    source="$1"
    shift
    compiled arm-none-eabi-gcc arm-none-eabi-size "$source" -mthumb -mcpu="$cpu" -Os "$@"
}

flash() { cortex "$@" | awk '{ print $1 + $2 + $3 }'; }

# no_ram DATA BSS: one test
no_ram() {
    if [ "$(($1 + $2))" = 0 ]; then
        passed=$((passed + 1))
        echo "  no .data, no .bss"
    else
        failed=$((failed + 1))
        echo "  FAIL: .data or .bss is not empty"
    fi
}

# verdict NAME OFFENDERS: one test, passed if there are no offenders
verdict() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "  $1"
    else
        failed=$((failed + 1))
        echo "  FAIL: $1: $2"
    fi
}

# figure NAME VALUE: for figures.py, which compares the documents
figure() {
    printf '%s\t%s\n' "$1" "${2:-0}" >>"$out/figures"
}

# budget NAME VALUE LIMIT [GOAL]: one test
budget() {
    figure "$1" "$2"
    if [ -n "$2" ] && [ "$2" -gt 0 ] && [ "$2" -lt "$3" ]; then
        passed=$((passed + 1))
        verdict="under the limit of $3"
    else
        failed=$((failed + 1))
        verdict="FAIL: not under the limit of $3"
    fi
    if [ -n "${4:-}" ] && [ "${2:-0}" -ge "$4" ]; then
        verdict="$verdict; the goal of $4 is MISSED by $(($2 - $4))"
    fi
    printf '  %-44s %8s   %s\n' "$1" "${2:--}" "$verdict"
}

measure() { # COMPILER NM NAME FLAGS...: "name bytes" a line, from NAME.c
    compiler="$1"
    nm="$2"
    name="$3"
    shift 3
    "$compiler" -std=c99 "$@" -I. -c "$out/$name.c" -o "$out/$name.o" &&
        "$nm" -S -t d "$out/$name.o" | sed -nE 's/^[0-9]+ 0*([0-9]+) . size_of_(.*)$/\2 \1/p' |
        sort
}
bytes_of() { # NAME FILE
    awk -v name="$1" '$1 == name { print $2 }' "$2"
}

# lwIP as most devices have it, with its assertions off, as in a release.
mkdir -p "$out/lwip/arch"
cat >"$out/lwip/lwipopts.h" <<'END'
#ifdef SIZE_OS
#define SYS_LIGHTWEIGHT_PROT 1
#else
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#endif
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define TCP_LISTEN_BACKLOG 1
#define PBUF_NEEDS_COPY(p) 1
END
printf '#include <stdint.h>\n#define LWIP_NOASSERT\n' >"$out/lwip/arch/cc.h"
cat >"$out/lwip/arch/sys_arch.h" <<'END'
typedef void *sys_sem_t;
typedef void *sys_mutex_t;
typedef void *sys_mbox_t;
typedef void *sys_thread_t;
typedef uint32_t sys_prot_t;
END
cat >"$out/lwip.c" <<'END'
#include "rtpush.h"
#define RTPUSH_LWIP_IMPLEMENTATION
#include "ports/rtpush_lwip.h"
END
cat >"$out/lwip_sizeof.c" <<'END'
#include "rtpush.h"
#include "ports/rtpush_lwip.h"
char size_of_rtpush_lwip[sizeof(rtpush_lwip)];
char size_of_rtpush_lwip_slot[sizeof(rtpush_lwip_slot)];
END
printf '#include "rtpush.h"\n#define RTPUSH_SOCKETS_IMPLEMENTATION\n#include "%s"\n' \
    ports/rtpush_sockets.h >"$out/sockets.c"
cat >"$out/sockets_sizeof.c" <<'END'
#include "rtpush.h"
#include "ports/rtpush_sockets.h"
char size_of_rtpush_sockets[sizeof(rtpush_sockets)];
char size_of_sockets_connection[RTPUSH_SOCKETS_SIZE(2, 1024) - RTPUSH_SOCKETS_SIZE(1, 1024)];
END
cat >"$out/posix.c" <<'END'
#define _GNU_SOURCE
#include "rtpush.h"
#define RTPUSH_POSIX_IMPLEMENTATION
#include "ports/rtpush_posix.h"
END
cat >"$out/posix_sizeof.c" <<'END'
#define _GNU_SOURCE
#include "rtpush.h"
#include "ports/rtpush_posix.h"
char size_of_rtpush_posix[sizeof(rtpush_posix)];
char size_of_posix_connection[RTPUSH_POSIX_SIZE(2, 8, 32768) - RTPUSH_POSIX_SIZE(1, 8, 32768)];
char size_of_posix_buffers[RTPUSH_POSIX_SIZE(1, 8, 32768) - RTPUSH_POSIX_SIZE(1, 0, 0)];
END

. tests/images.sh
if [ "${1:-}" = table ]; then
    sh tests/lwip/fetch.sh 2.2 && table
    exit
fi

# What the linker leaves of the core for tests/minimal.c, together with mem*, str* and libgcc.
grep -v '^#define RTPUSH_IMPLEMENTATION' tests/minimal.c >"$out/minimal.c"
linked() { # CPU
    arm-none-eabi-gcc -mthumb -mcpu="$1" -std=c99 -Os -ffunction-sections -fdata-sections -I. \
        "$out/minimal.c" "$out/core.$1.o" -o "$out/minimal.elf" -nostartfiles \
        --specs=nano.specs -Wl,--gc-sections,-e,main 2>"$out/link.log" &&
        arm-none-eabi-size "$out/minimal.elf" | awk 'NR == 2 { print $1 }'
}

for cpu in cortex-m0plus cortex-m3; do
    echo "$cpu, arm-none-eabi-gcc $(arm-none-eabi-gcc -dumpversion) -Os, bytes:"
    # Compiled by the Makefile, as other suites have it too; image() of images.sh finds it here.
    if ! "${MAKE:-make}" --no-print-directory "build/core-$cpu.o" >"$out/core.log" 2>&1; then
        failed=$((failed + 3))
        echo "  FAIL: does not compile"
        head -n 5 "$out/core.log"
        continue
    fi
    cp "build/core-$cpu.o" "$out/core.$cpu.o"
    # shellcheck disable=SC2046 # four numbers
    set -- $(sections arm-none-eabi-size "$out/core.$cpu.o")
    printf '  %-44s %8s   .text %s, .rodata %s, .data %s, .bss %s\n' \
        "the whole core" "$(($1 + $2 + $3))" "$1" "$2" "$3" "$4"
    no_ram "$3" "$4"
    printf '  %-44s %8s   with mem*, str*, libgcc\n' "linked into a minimal program" \
        "$(linked "$cpu" || echo -)"
    access="$(flash "$cpu" access)"
    budget "flash, ports/rtpush_access.h alone" "$access" "$LIMIT_ACCESS"
    budget "flash, ports/rtpush_json.h alone" "$(flash "$cpu" json)" "$LIMIT_JSON"
    budget "flash, ports/rtpush_dash.h alone" "$(flash "$cpu" dash)" "$LIMIT_DASH"
    printf '  %-44s %8s\n' "  of that SHA-256 and HMAC" \
        "$(arm-none-eabi-nm -S -t d "$out/access.o" |
            awk '$4 ~ /sha256|hmac|^k\./ { bytes += $2 } END { print bytes + 0 }')"
    echo "$IMAGES" | while read -r name goal limit bare_goal bare_limit; do
        [ -n "$name" ] || continue
        echo "$name $goal $limit with_words_and_checks"
        echo "$name $bare_goal $bare_limit without_both -DRTPUSH_NO_TEXT -DRTPUSH_NO_CHECKS"
    done >"$out/images"
    while read -r name goal limit way flags; do
        [ "$goal" = 0 ] && goal=''
        # shellcheck disable=SC2086 # flags split
        budget "image \"$name\", $(echo "$way" | tr _ ' ')" "$(image "$cpu" "$name" $flags)" \
            "$limit" "$goal"
        foreign="$(arm-none-eabi-nm "$out/image.elf" | awk '{ print $3 }' |
            grep -E "$(foreign_to "$name")" | tr '\n' ' ')"
        verdict "  holds nothing of a kind it does not name" "$foreign"
    done <"$out/images"
done

echo "largest functions and tables on a Cortex-M3, bytes:"
arm-none-eabi-nm -S -t d --size-sort -r "$out/core.cortex-m3.o" | head -n 12 |
    awk '{ printf "  %-44s %8d\n", $4, $2 }'

# An array of sizeof bytes for each public struct; nm prints how long the arrays are. This works for
# a machine whose programs cannot be run here.
structs="$(sed '/^#ifdef RTPUSH_IMPLEMENTATION/q' rtpush.h |
    sed -nE 's/^(typedef )?struct (rtpush_[a-z]+) \{.*/\2/p' | sort -u)"
{
    printf '#include "rtpush.h"\n'
    for s in $structs; do
        printf 'char size_of_%s[sizeof(struct %s)];\n' "$s" "$s"
    done
} >"$out/sizeof.c"
echo "sizeof, bytes:                                     Cortex-M3   x86-64"
measure arm-none-eabi-gcc arm-none-eabi-nm sizeof -mthumb -mcpu=cortex-m3 >"$out/m3"
measure gcc nm sizeof >"$out/x86"
join "$out/m3" "$out/x86" | awk '{ printf "  %-44s %8s %10s\n", $1, $2, $3 }'
echo "Cortex-M3, bytes:"
budget "sizeof(rtpush_conn)" "$(bytes_of rtpush_conn "$out/m3")" "$LIMIT_CONN"
budget "sizeof(rtpush_server)" "$(bytes_of rtpush_server "$out/m3")" "$LIMIT_SERVER"

# -- the ports -------------------------------------------------------------------------------------

if sh tests/lwip/fetch.sh 2.2; then
    headers="-I$out/lwip -isystem build/lwip/2.2/src/include"
    # port CPU WAY [-Doption]
    lwip_port() {
        cpu="$1"
        way="$2"
        shift 2
        # shellcheck disable=SC2086 # options split
        line="$(cortex "$cpu" lwip $headers "$@")" || head -n 5 "$out/lwip.log"
        set -- ${line:-0 0 0 0}
        budget "flash, lwIP port, $cpu, $way" "$(($1 + $2 + $3))" "$LIMIT_LWIP"
        no_ram "$3" "$4"
    }
    echo "ports/rtpush_lwip.h, lwIP 2.2, arm-none-eabi-gcc -Os, bytes:"
    for cpu in cortex-m0plus cortex-m3; do
        lwip_port "$cpu" NO_SYS
        lwip_port "$cpu" tcpip_thread -DSIZE_OS
    done
    # shellcheck disable=SC2086
    measure arm-none-eabi-gcc arm-none-eabi-nm lwip_sizeof -mthumb -mcpu=cortex-m3 $headers \
        -DSIZE_OS >"$out/m3.lwip"
    budget "sizeof(rtpush_lwip)" "$(bytes_of rtpush_lwip "$out/m3.lwip")" "$LIMIT_LWIP_PORT"
    budget "sizeof(rtpush_lwip_slot)" "$(bytes_of rtpush_lwip_slot "$out/m3.lwip")" \
        "$LIMIT_LWIP_SLOT"
else
    failed=$((failed + 1))
fi

echo "ports/rtpush_sockets.h, arm-none-eabi-gcc -Os, stub headers of tests/sockets, bytes:"
stubs='-Itests/sockets/stubs -D_GNU_SOURCE'
for way in ESP_PLATFORM CONFIG_ZVFS_POLL_MAX=12; do
    option="-D$way"
    [ "$way" = ESP_PLATFORM ] || option="$option -D__ZEPHYR__"
    # shellcheck disable=SC2086
    line="$(cortex cortex-m3 sockets $stubs $option)" || head -n 5 "$out/sockets.log"
    set -- ${line:-0 0 0 0}
    budget "flash, sockets port, cortex-m3, ${way%=*}" "$(($1 + $2 + $3))" "$LIMIT_SOCKETS"
    no_ram "$3" "$4"
done
# shellcheck disable=SC2086
measure arm-none-eabi-gcc arm-none-eabi-nm sockets_sizeof -mthumb -mcpu=cortex-m3 $stubs \
    -DESP_PLATFORM >"$out/m3.sockets"
budget "sizeof(rtpush_sockets)" "$(bytes_of rtpush_sockets "$out/m3.sockets")" \
    "$LIMIT_SOCKETS_PORT"
budget "a connection with a buffer of 1 KiB" "$(bytes_of sockets_connection "$out/m3.sockets")" \
    "$LIMIT_SOCKETS_CONN"

echo "ports/rtpush_posix.h, gcc $(gcc -dumpversion) -O2, bytes:"
for way in epoll poll; do
    option=''
    [ "$way" = poll ] && option='-DRTPUSH_POSIX_POLL'
    # shellcheck disable=SC2086
    line="$(compiled gcc size posix -O2 $option)" || head -n 5 "$out/posix.log"
    set -- ${line:-0 0 0 0}
    budget "code and constants, POSIX port, $way" "$(($1 + $2 + $3))" "$LIMIT_POSIX"
    no_ram "$3" "$4"
done
measure gcc nm posix_sizeof >"$out/x86.posix"
budget "sizeof(rtpush_posix)" "$(bytes_of rtpush_posix "$out/x86.posix")" "$LIMIT_POSIX_PORT"
budget "a connection" "$(bytes_of posix_connection "$out/x86.posix")" "$LIMIT_POSIX_CONN"
printf '  %-44s %8s\n' "the pool of 8 buffers" "$(bytes_of posix_buffers "$out/x86.posix")"

# -- TLS: the filter, and what a program grows by it with BearSSL ----------------------------------

LIMIT_TLS=4416         # bytes of flash of the filter itself
LIMIT_TLS_SLOT=3840    # bytes of RAM: a TLS connection, its two buffers not counted
LIMIT_TLS_LINK=32      # a connection of a secure listener
LIMIT_TLS_PORT=456
cat >"$out/tls.c" <<'END'
#include "rtpush.h"
#define RTPUSH_BEARSSL_IMPLEMENTATION
#include "ports/rtpush_bearssl.h"
END
cat >"$out/tls_sizeof.c" <<'END'
#include "rtpush.h"
#include "ports/rtpush_bearssl.h"
char size_of_rtpush_bearssl[sizeof(rtpush_bearssl)];
char size_of_rtpush_bearssl_slot[sizeof(rtpush_bearssl_slot)];
char size_of_rtpush_bearssl_link[sizeof(rtpush_bearssl_link)];
END
awk '
    /^int main\(void\);/ {
        print "#define RTPUSH_BEARSSL_IMPLEMENTATION"
        print "#include \"ports/rtpush_bearssl.h\""
        print "extern rtpush_bearssl tls;\nextern rtpush_bearssl_desc tls_desc;"
        print "rtpush_bearssl tls;\nrtpush_bearssl_desc tls_desc;"
    }
    /rtpush_conn \*conn/ { print "    rtpush_bearssl_init(&tls, &srv, &tls_desc);" }
    { print }' "$out/minimal.c" >"$out/minimal_tls.c"
tls_linked() { # NAME [-Doption ...]: bytes of flash of the program
    name="$1"
    shift
    arm-none-eabi-gcc -mthumb -mcpu=cortex-m3 -std=c99 -Os -ffunction-sections -fdata-sections \
        "$@" -I. -Ibuild/bearssl/inc "$out/$name.c" "$out/core.cortex-m3.o" \
        build/bearssl/lib-cortex-m3.a -o "$out/$name.elf" -nostartfiles --specs=nano.specs \
        -Wl,--gc-sections,-e,main \
        2>"$out/$name.log" &&
        arm-none-eabi-size "$out/$name.elf" | awk 'NR == 2 { print $1 + $2 }'
}
if sh tests/tls/bearssl.sh cortex-m3; then
    echo "ports/rtpush_bearssl.h, BearSSL 0.6, Cortex-M3 -Os, bytes:"
    line="$(cortex cortex-m3 tls -Ibuild/bearssl/inc)" || head -n 5 "$out/tls.log"
    set -- ${line:-0 0 0 0}
    budget "flash, the filter alone" "$(($1 + $2 + $3))" "$LIMIT_TLS"
    no_ram "$3" "$4"
    plain="$(tls_linked minimal)"
    no=RTPUSH_BEARSSL_NO
    none="-D${no}_CLIENT_CERTS"
    grows() { # NAME LIMIT [-Doption ...]
        row="$1"
        limit="$2"
        shift 2
        all="$(tls_linked minimal_tls "$@")" || head -n 5 "$out/minimal_tls.log"
        budget "flash with BearSSL, $row" "$((${all:-0} - ${plain:-0}))" "$limit"
    }
    grows "everything" 46592
    grows "no client certificates" 39040 "$none"
    grows "... no RSA" 36864 "$none" "-D${no}_RSA"
    grows "... no RSA, no AES" 33280 "$none" "-D${no}_RSA" "-D${no}_AES"
    grows "... no RSA, AES, X25519" 30464 "$none" "-D${no}_RSA" "-D${no}_AES" "-D${no}_X25519"
    measure arm-none-eabi-gcc arm-none-eabi-nm tls_sizeof -mthumb -mcpu=cortex-m3 \
        -Ibuild/bearssl/inc >"$out/m3.tls"
    budget "sizeof(rtpush_bearssl)" "$(bytes_of rtpush_bearssl "$out/m3.tls")" "$LIMIT_TLS_PORT"
    budget "sizeof(rtpush_bearssl_slot)" "$(bytes_of rtpush_bearssl_slot "$out/m3.tls")" \
        "$LIMIT_TLS_SLOT"
    budget "sizeof(rtpush_bearssl_link)" "$(bytes_of rtpush_bearssl_link "$out/m3.tls")" \
        "$((LIMIT_TLS_LINK + 1))"
else
    failed=$((failed + 1))
fi

# -- the documents ---------------------------------------------------------------------------------

# The server of examples/arduino, over the port of an ESP32 and without one.
for port in rtpush_sockets.h ''; do
    printf '#include "rtpush.h"\n%s\n#include "ports/rtpush.hpp"\nrtpush::Server<7> sketch;\n' \
        "${port:+#include \"ports/$port\"}" >"$out/sketch.cpp"
    # shellcheck disable=SC2086 # options split
    arm-none-eabi-g++ -mthumb -mcpu=cortex-m3 -std=c++11 -I. $stubs -DESP_PLATFORM \
        -DRTPUSH_EPOCH=1 -c "$out/sketch.cpp" -o "$out/sketch.o"
    figure "sketch${port:+ over a port}" \
        "$(arm-none-eabi-nm -S -t d "$out/sketch.o" | awk '$4 == "sketch" { print $2 + 0 }')"
done
echo "over processors: the core as the images have it, the ports whole, gcc 12 -Os:"
table | tee "$out/table"
python3 tests/figures.py size | tee "$out/figures.log"
# shellcheck disable=SC2046 # three numbers
set -- $(totals "$out/figures.log" 0)
passed=$((passed + $1))
failed=$((failed + $2))

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
