# To be sourced by size.sh: the reference images, and the table of flash and RAM over processors.
# $out is its folder, with core.c and the ports' sources in it.

# Reference images: programs that name these kinds and call what such a program calls. What counts
# is what the linker keeps of the core; libc is apart. Functions are only named: how they are called
# does not matter here.
cat >"$out/image.c" <<'END'
#include "rtpush.h"
#define CALL(name) (void (*)(void))(rtpush_##name)
void (*const calls[])(void) = {
    CALL(init_sized), CALL(attach), CALL(accept), CALL(input), CALL(eof), CALL(output), CALL(sent),
    CALL(acked), CALL(gone), CALL(next), CALL(tick), CALL(port), CALL(publish), CALL(config_error),
#ifndef IMAGE_feed
    CALL(send), CALL(close), CALL(user), CALL(set_user), CALL(conn_handle),
#endif
#ifdef IMAGE_everything
    CALL(publish_from), CALL(try_publish_from), CALL(reserve), CALL(commit), CALL(last_id),
    CALL(id_format), CALL(topic_index), CALL(state_get), CALL(send_part), CALL(send_room),
    CALL(authorize), CALL(subscribe), CALL(abort), CALL(retry), CALL(reply), CALL(reply_text),
    CALL(query), CALL(route_of), CALL(rtt_ms), CALL(server_user), CALL(get_counters),
    CALL(next_stream), CALL(shutdown), CALL(strerror), CALL(reason_text), CALL(text_put),
    CALL(text_decimal), CALL(text_hex),
    CALL(text_base64), CALL(utf8), CALL(attach_filter), CALL(filter_self), CALL(plain_input),
    CALL(plain_eof), CALL(plain_output), CALL(plain_sent), CALL(plain_acked), CALL(filter_ready),
    CALL(filter_later), CALL(filter_end), CALL(filter_moved), CALL(filter_idle), CALL(filter_peer),
    CALL(filter_gives_way), CALL(filter_evict), CALL(now_ms),
#endif
};
const void *const kinds[] = {
    &rtpush_events, &rtpush_file, &rtpush_topic_event,
#ifndef IMAGE_feed
    &rtpush_websocket, &rtpush_topic_state,
#endif
#ifdef IMAGE_everything
    &rtpush_handler, &rtpush_upload, &rtpush_download, &rtpush_poll,
#endif
};
int main(int i);
int main(int i)
{
    calls[i]();
    return kinds[i] != 0;
}
END
# Names of functions and constants that serve kinds which an image does not name.
foreign_to() {
    case "$1" in
        feed)
            echo '_ws_|(rtpi|rtpush)_websocket|poll|handler|upload|body_(input|piece|data)' \
                '|chunk|pull|download|state_set|put_value' | tr -d ' ' ;;
        dashboard) echo 'poll|handler|upload|body_(input|piece|data)|chunk|pull|download' ;;
        *) echo '^$' ;;
    esac
}

# target CPU: $cc compiles for it, $link are the options with which it links. libgcc of Xtensa in
# Debian has no division, which is in the ROM of its chips: what is missing does not count here.
# $strict: the warnings of tests/matrix.sh, which has this of the core with options off.
target() {
    strict=''
    link='-nostartfiles -Wl,--gc-sections,-e,main'
    case "$1" in
        cortex-*)
            cc="arm-none-eabi-gcc -mthumb -mcpu=$1"
            strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wcast-qual -Wvla
                -Wstrict-prototypes -Wmissing-prototypes -Werror'
            link="$link --specs=nano.specs" ;;
        rv32imc)
            cc='riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 --specs=picolibc.specs' ;;
        lx106)
            cc='xtensa-lx106-elf-gcc -mlongcalls -isystem /usr/lib/xtensa-lx106-elf/include'
            link="$link -Wl,--unresolved-symbols=ignore-all" ;;
    esac
    cc="$cc -std=c99 -Os -ffunction-sections -fdata-sections -I."
}

# kept MAP OBJECT: bytes of flash of an object file in a program, as the linker left them. A
# section's line in the map, or its second one where the name is long: address, size, object. It
# ends where the next one begins: of strings that were merged the size before is printed. Output
# sections at address 0 are for debuggers.
kept() {
    awk -v object="$2" '
        function number(word, n, i) {
            for (i = 3; i <= length(word); i++) {
                n = n * 16 + index("0123456789abcdef", substr(word, i, 1)) - 1
            }
            return n + 0
        }
        /^Linker script and memory map/ { kept = 1 }
        /^\.[^ ]+ +0x0+ / { kept = 0 }
        kept && NF >= 3 && $(NF - 1) ~ /^0x/ && $(NF - 2) ~ /^0x0*[1-9a-f]/ {
            at = number($(NF - 2))
            bytes += mine && at >= from && at - from < size ? at - from : mine ? size : 0
            mine = $NF ~ object "$"
            from = at
            size = number($(NF - 1))
        }
        END { print bytes + (mine ? size : 0) }' "$1"
}

# image CPU NAME [-Doption ...]: bytes of the core in it. The core is compiled once.
image() {
    cpu="$1"
    image="$2"
    shift 2
    target "$cpu"
    object="core$(echo "$*" | tr -cd A-Z_).$cpu.o"
    # shellcheck disable=SC2086 # options split
    { [ -e "$out/$object" ] || $cc $strict "$@" -c "$out/core.c" -o "$out/$object"; } &&
        $cc -DIMAGE_"$image" "$out/image.c" "$out/$object" -o "$out/image.elf" $link \
            -Wl,-Map,"$out/image.map" 2>"$out/image.log" || return 1
    kept "$out/image.map" "$object"
}

# -- the table -------------------------------------------------------------------------------------

# port_image CPU NAME OPTION...: bytes of all of a port, linked
port_image() {
    cpu="$1"
    name="$2"
    shift 2
    target "$cpu"
    # shellcheck disable=SC2086
    $cc -D_GNU_SOURCE "$@" -c "$out/$name.c" -o "$out/port_$name.o" 2>"$out/port.log" &&
        $cc "$out/port_$name.o" -o "$out/port.elf" $link -Wl,--no-gc-sections \
            -Wl,--unresolved-symbols=ignore-all,-Map,"$out/port.map" 2>"$out/port.log" || return 1
    kept "$out/port.map" "port_$name.o"
}

# row LABEL COMMAND ARGUMENT...: the command for each processor, which is its first argument
row() {
    label="$1"
    command="$2"
    shift 2
    printf '| %s |' "$label"
    for processor in cortex-m0plus cortex-m3 rv32imc lx106; do
        printf ' %s |' "$("$command" "$processor" "$@" | thousands)"
    done
    echo
}
thousands() { sed -e ':a' -e 's/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta'; }

ram_source() {
    cat >"$out/ram.c" <<'END'
#include "rtpush.h"
#include "ports/rtpush_lwip.h"
#define RAM(n) \
    char size_of_core_##n[sizeof(rtpush_server) + 8 * RTPUSH_WORDS(n, 512, 512, 4096, 1, 0)]; \
    char size_of_lwip_##n[sizeof(rtpush_lwip) + RTPUSH_LWIP_SLOTS(n) * sizeof(rtpush_lwip_slot)];
RAM(4) RAM(8) RAM(16)
END
    cat >"$out/ram_sockets.c" <<'END'
#include "rtpush.h"
#include "ports/rtpush_sockets.h"
#define RAM(n) \
    char size_of_sockets_##n[sizeof(rtpush_sockets) + 8 * RTPUSH_SOCKETS_WORDS(n)];
RAM(4) RAM(8) RAM(16)
END
}
ram_row() { # LABEL NAME
    printf '| %s |' "$1"
    for n in 4 8 16; do
        printf ' %s |' "$(bytes_of "$2_$n" "$out/ram" | thousands)"
    done
    echo
}

# Flash of the images and the ports, RAM of a server: as ports/README.md has it.
table() {
    headers="-DMEMP_NUM_TCP_PCB=20 -I$out/lwip -isystem build/lwip/2.2/src/include"
    stubs='-Itests/sockets/stubs -DESP_PLATFORM'
    pages='WebSocket, SSE, STATE and EVENT topics, files'
    echo '| bytes of flash | Cortex-M0+ | Cortex-M3 | RV32IMC | Xtensa LX106 |'
    echo '|---|---|---|---|---|'
    for small in '' '-DRTPUSH_NO_TEXT -DRTPUSH_NO_CHECKS'; do
        # shellcheck disable=SC2086 # options split
        {
            row "${small:+small: }everything" image everything $small
            row "${small:+small: }$pages" image dashboard $small
            row "${small:+small: }SSE, EVENT topics, files" image feed $small
        }
    done
    # shellcheck disable=SC2086
    {
        row 'rtpush_lwip.h' port_image lwip $headers
        row 'rtpush_sockets.h' port_image sockets $stubs
        for port in access dash json; do
            row "rtpush_$port.h" port_image $port
        done
        ram_source
        measure arm-none-eabi-gcc arm-none-eabi-nm ram -mthumb -mcpu=cortex-m3 $headers >"$out/ram"
        measure arm-none-eabi-gcc arm-none-eabi-nm ram_sockets -mthumb -mcpu=cortex-m3 \
            -D_GNU_SOURCE $stubs >>"$out/ram"
    }
    echo
    echo '| bytes of RAM | 4 connections | 8 | 16 |'
    echo '|---|---|---|---|'
    ram_row 'server, buffers of 512 + 512, log of 4,096' core
    ram_row 'beside it, rtpush_lwip.h' lwip
    ram_row 'or rtpush_sockets.h, buffers of 1,024' sockets
}
