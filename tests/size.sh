#!/bin/sh
# How large the core is on a microcontroller: the whole, what each option saves, the configuration
# of a small device, and sizeof of every public struct. Compared with the limits and goals below.
# Usage: sh tests/size.sh
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/size
rm -rf "$out"
mkdir -p "$out"
printf '#define RTPUSH_IMPLEMENTATION\n#include "rtpush.h"\n' >"$out/core.c"
passed=0
failed=0

# Goals are what we want to reach, limits what was reached: a limit is tested and only ever lowered,
# a goal that is missed is printed as missed.
GOAL_ALL=18432         # bytes of flash, everything on: 18 KiB
LIMIT_ALL=25600
GOAL_SMALL=12288       # WebSocket + Server-Sent Events + publish, no polling, no bodies: 12 KiB
LIMIT_SMALL=24384
LIMIT_CONN=128         # bytes of RAM: sizeof(rtpush_conn) where pointers have 4 bytes

options="$(grep -oE 'RTPUSH_NO_[A-Z_]+' rtpush.h | sort -u)"
# What the small configuration leaves out, of those options.
small="$(echo "$options" | grep -E 'POLL|BOD' | sed 's/^/-D/' | tr '\n' ' ')"

# sections CPU [-Doption ...]: prints "text rodata data bss" of the core
sections() {
    cpu="$1"
    shift
    # shellcheck disable=SC2086 # options split
    arm-none-eabi-gcc -mthumb -mcpu="$cpu" -std=c99 -Os -ffunction-sections "$@" -I. \
        -c "$out/core.c" -o "$out/core.o" 2>"$out/core.log" || return 1
    arm-none-eabi-size -A "$out/core.o" | awk '
        $1 ~ /^\.text/ { text += $2 }
        $1 ~ /^\.rodata/ { rodata += $2 }
        $1 ~ /^\.data/ { data += $2 }
        $1 ~ /^\.bss/ { bss += $2 }
        END { print text + 0, rodata + 0, data + 0, bss + 0 }'
}

flash() { sections "$@" | awk '{ print $1 + $2 + $3 }'; }

# budget NAME VALUE LIMIT [GOAL]: one test
budget() {
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

# A program that uses the port's side and publish, and nothing else of the API: what the linker
# leaves of the core for it, together with mem*, str* and libgcc.
cat >"$out/minimal.c" <<'END'
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
int main(void);
static rtpush_server srv;
static const rtpush_hooks hooks;
extern rtpush_desc desc; // placed by the linker script of a real program
rtpush_desc desc;
int main(void)
{
    rtpush_span spans[4];
    rtpush_init(&srv, &desc);
    rtpush_attach(&srv, &hooks);
    rtpush_conn *conn = rtpush_accept(&srv, 0, 0, 0);
    for (uint32_t now = 0;; now += rtpush_tick(&srv, now)) {
        char byte = 0;
        rtpush_input(&srv, conn, &byte, 1);
        int n = rtpush_output(&srv, conn, spans, 4);
        rtpush_sent(&srv, conn, n > 0 ? spans[0].len : 0);
        rtpush_acked(&srv, conn, 1);
        rtpush_eof(&srv, conn);
        rtpush_gone(&srv, conn);
        conn = rtpush_next(&srv);
        rtpush_publish(&srv, 0, &byte, 1);
    }
}
END
linked() { # CPU [-Doption ...]
    cpu="$1"
    shift
    arm-none-eabi-gcc -mthumb -mcpu="$cpu" -std=c99 -Os -ffunction-sections -fdata-sections "$@" \
        -I. "$out/minimal.c" -o "$out/minimal.elf" -nostartfiles --specs=nano.specs \
        -Wl,--gc-sections,-e,main 2>"$out/link.log" &&
        arm-none-eabi-size "$out/minimal.elf" | awk 'NR == 2 { print $1 }'
}

for cpu in cortex-m0plus cortex-m3; do
    echo "$cpu, arm-none-eabi-gcc $(arm-none-eabi-gcc -dumpversion) -Os, bytes:"
    if ! line="$(sections "$cpu")"; then
        failed=$((failed + 3))
        echo "  FAIL: does not compile"
        head -n 5 "$out/core.log"
        continue
    fi
    set -- $line
    all=$(($1 + $2 + $3))
    printf '  %-44s %8s   .text %s, .rodata %s, .data %s, .bss %s\n' \
        "the whole core" "$all" "$1" "$2" "$3" "$4"
    budget "flash, everything on" "$all" "$LIMIT_ALL" "$GOAL_ALL"
    # shellcheck disable=SC2086
    budget "flash, without polling and bodies" "$(flash "$cpu" $small)" "$LIMIT_SMALL" \
        "$GOAL_SMALL"
    if [ "$(($3 + $4))" = 0 ]; then
        passed=$((passed + 1))
        echo "  no .data, no .bss"
    else
        failed=$((failed + 1))
        echo "  FAIL: .data or .bss is not empty"
    fi
    printf '  %-44s %8s   with mem*, str*, libgcc\n' "linked into a minimal program" \
        "$(linked "$cpu" || echo -)"
    for o in $options; do
        without="$(flash "$cpu" "-D$o")"
        printf '  %-44s %8s\n' "-D$o saves" "$((all - ${without:-all}))"
    done
    if [ -n "$options" ]; then
        printf '  %-44s %8s\n' "with every option off" \
            "$(flash "$cpu" $(for o in $options; do printf ' -D%s' "$o"; done))"
    fi
done

echo "largest functions and tables on a Cortex-M3, bytes:"
if sections cortex-m3 >/dev/null; then
    arm-none-eabi-nm -S -t d --size-sort -r "$out/core.o" | head -n 12 |
        awk '{ printf "  %-44s %8d\n", $4, $2 }'
fi

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
measure() { # COMPILER NM FLAGS...: "name bytes" a line
    compiler="$1"
    nm="$2"
    shift 2
    "$compiler" -std=c99 "$@" -I. -c "$out/sizeof.c" -o "$out/sizeof.o" &&
        "$nm" -S -t d "$out/sizeof.o" | sed -nE 's/^[0-9]+ 0*([0-9]+) . size_of_(.*)$/\2 \1/p' |
        sort
}
echo "sizeof, bytes:                                     Cortex-M3   x86-64"
measure arm-none-eabi-gcc arm-none-eabi-nm -mthumb -mcpu=cortex-m3 >"$out/m3"
measure gcc nm >"$out/x86"
join "$out/m3" "$out/x86" | awk '{ printf "  %-44s %8s %10s\n", $1, $2, $3 }'
echo "Cortex-M3, bytes:"
budget "sizeof(rtpush_conn)" "$(awk '$1 == "rtpush_conn" { print $2 }' "$out/m3")" "$LIMIT_CONN"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
