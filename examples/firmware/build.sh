#!/bin/sh
# Builds build/firmware/BOARD.elf and BOARD.map; what has not changed is not compiled again.
# Usage: sh examples/firmware/build.sh BOARD...     lm3s6965evb, mps2-an385 or mps2-an500
# CFLAGS adds compiler options, OUT is the folder instead of build/firmware, STACK bytes of stack,
# WARN compiler options for the application and the drivers alone,
# SOURCES: files of another application instead of the dashboard, TLS=1 with BearSSL and the filter,
# LIBRARY: another archive to link. The objects of lwIP and rtpush are in build/firmware-shared, for
# all images with the same processor and options.
set -eu
cd "$(dirname "$0")/../.."
here=examples/firmware
out="${OUT:-build/firmware}"
sh tests/lwip/fetch.sh 2.1
lwip=build/lwip/2.1/src

lwip_sources='core/init.c core/def.c core/inet_chksum.c core/ip.c core/mem.c core/memp.c
    core/netif.c core/pbuf.c core/stats.c core/tcp.c core/tcp_in.c core/tcp_out.c core/timeouts.c
    core/ipv4/etharp.c core/ipv4/icmp.c core/ipv4/ip4.c core/ipv4/ip4_addr.c netif/ethernet.c'
sources="$here/startup.c $here/net.c $here/log.c
    ${SOURCES:-$here/main.c $here/sensors.c examples/dashboard/app.c} ${TLS:+$here/tls.c}"

# What a build depends on besides its own source.
newest="$(ls -t rtpush.h ports/*.h build/*.h build/cert/*.h $here/*.h $here/arch/*.h \
    $here/build.sh examples/*/*.h 2>/dev/null | head -n 1)"

# ... and lwIP and rtpush: their options are in the name of the folder.
newest_shared="$(ls -t rtpush.h ports/*.h $here/*.h $here/arch/*.h $here/build.sh | head -n 1)"

# compile SOURCE OBJECT NEWEST OPTION...: prints the command if it is needed
compile() {
    source="$1"
    object="$2"
    than="$3"
    shift 3
    if [ ! -e "$object" ] || [ "$source" -nt "$object" ] || [ "$than" -nt "$object" ]; then
        echo "arm-none-eabi-gcc $* -c $source -o $object"
    fi
}

# shared_of FOLDER CPU FLAG...: the folder of the objects that other images have too. Its name has a
# checksum of the flags that matter to them: macros which lwIP's opt.h or lwipopts.h name, those of
# rtpush, and what is neither a macro nor a folder of include files. FOLDER is for its own files.
shared_of() {
    folder="$1"
    cpu="$2"
    shift 2
    echo '#include "lwip/opt.h"' >"$folder/opt.c"
    # shellcheck disable=SC2046 # names are meant to split
    cat /dev/null $(arm-none-eabi-gcc "$@" -M "$folder/opt.c" | tr '\\ ' '\n\n' |
        grep -E '(lwipopts|opt)\.h$') | grep -oE '\b[A-Z][A-Z0-9_]+' | sort -u >"$folder/names"
    sum="$({
        printf '%s\n' "$@" | grep '^-' | grep -vE '^-(D|I|isystem$)'
        arm-none-eabi-gcc "$@" -E -dM "$folder/opt.c" |
            awk 'NR == FNR { named[$1]; next } $2 in named || $2 ~ /^RTP(USH|I)_/' \
                "$folder/names" -
    } | sort | cksum | cut -d ' ' -f 1)"
    echo "build/firmware-shared/$cpu-$sum"
}

build() {
    board="$1"
    case "$board" in
        lm3s6965evb) cpu=cortex-m3 file=board_lm3s6965evb.c flash=256K ram=64K defines='' ;;
        mps2-an385) cpu=cortex-m3 file=board_mps2.c flash=4M ram=4M defines='' ;;
        mps2-an500) cpu=cortex-m7 file=board_mps2.c flash=4M ram=4M defines=-DBOARD_AN500 ;;
        *) echo "build: no board $board" >&2; return 2 ;;
    esac
    mkdir -p "$out/$board"
    rm -f "$out/$board"/*.o # of sources that are no more
    library="${LIBRARY:-}"
    if [ -n "${TLS:-}" ]; then
        sh tests/tls/bearssl.sh "$cpu"
        library="build/bearssl/lib-$cpu.a"
    fi
    # -fno-merge-constants: else the map file counts all strings in the first object.
    flags="-mthumb -mcpu=$cpu -std=c99 -Os -g -ffunction-sections -fdata-sections -ffreestanding
        -fno-merge-constants ${CFLAGS:-} -I$here -Ibuild -I. -isystem $lwip/include
        ${TLS:+-isystem build/bearssl/inc} -DSENSORS_MAX_CORES=1 -DSENSORS_MAX_TEMPS=1
        -DSENSORS_MAX_GAUGES=10 $defines"
    # shellcheck disable=SC2086 # options are meant to split
    shared="$(shared_of "$out/$board" "$cpu" $flags)"
    mkdir -p "$shared/lwip"
    warn='-Wall -Wextra -Wshadow -Wundef'
    (
        flock 9 # other images may be built at the same time
        {
            compile $here/rtpush.c "$shared/rtpush.o" "$newest_shared" $flags $warn
            for s in $lwip_sources; do
                compile "$lwip/$s" "$shared/lwip/$(basename "$s" .c).o" "$newest_shared" \
                    $flags -w
            done
        } | tr -s '\n ' | xargs -P 2 -I '{}' sh -c '{}'
    ) 9>"$shared/lock"
    for s in $sources $here/$file; do
        compile "$s" "$out/$board/$(basename "$s" .c).o" "$newest" $flags $warn ${WARN:-}
    done | tr -s '\n ' | xargs -P 2 -I '{}' sh -c '{}'
    arm-none-eabi-gcc -mthumb -mcpu=$cpu --specs=nano.specs -nostartfiles -Wl,--gc-sections \
        -Wl,--fatal-warnings -T $here/link.ld -Wl,-Map="$out/$board.map" \
        -Wl,--defsym=FLASH_SIZE=$flash,--defsym=RAM_SIZE=$ram,--defsym=STACK_SIZE="${STACK:-4K}" \
        -o "$out/$board.elf" "$out/$board"/*.o "$shared/rtpush.o" "$shared"/lwip/*.o $library
    arm-none-eabi-size "$out/$board.elf"
}

for board in "$@"; do
    build "$board"
done
