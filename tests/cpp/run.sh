#!/bin/sh
# ports/rtpush.hpp: built by every compiler and for every target it promises, and run with real
# clients, with the sketch of examples/arduino.
# Usage: sh tests/cpp/run.sh           LONG=1: also code for RISC-V, Xtensa and AVR, which else only
#                                      read and warn; projects, size and matrix have theirs of C
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/cpp
rm -rf "$out"
mkdir -p "$out"
passed=0
failed=0

# verdict NAME STATUS [LOG]: one test, passed if the status is 0
verdict() {
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1"
        [ -z "${3:-}" ] || head -n 12 "$3" | sed 's/^/    /'
    fi
}

# try NAME COMMAND...: passed if it succeeds
try() {
    name="$1"
    shift
    "$@" >"$out/log" 2>&1
    verdict "$name" $? "$out/log"
}

# What a user's own project may be compiled with.
strict='-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wcast-qual -Wvla -Werror -I.'
more='-Wconversion -Wsign-conversion' # g++ for ARM misjudges the core's enumerators (-fshort-enums)
lean='-fno-exceptions -fno-rtti -ffunction-sections -fdata-sections -Os'

# -- this machine: both compilers, oldest and newest language, every port --------------------------
for compiler in g++ clang++; do
    for std in c++11 c++20; do
        # shellcheck disable=SC2086 # flags split
        try "$compiler $std" $compiler -std=$std $strict $more -D_GNU_SOURCE -DWITH_POSIX \
            -fsyntax-only tests/cpp/device.cpp
    done
done

# -- microcontrollers ------------------------------------------------------------------------------
arm='arm-none-eabi-g++ -mthumb -mcpu=cortex-m3'
read_only=-fsyntax-only
[ "${LONG:-0}" = 1 ] && read_only=''
# shellcheck disable=SC2086
{
    try "Cortex-M3, C++20" $arm -std=c++20 $strict $lean -c tests/cpp/device.cpp -o "$out/arm.o"
    try "RISC-V, C++11" riscv64-unknown-elf-g++ -std=c++11 -march=rv32imac -mabi=ilp32 \
        --specs=picolibc.specs $strict $lean $read_only -c tests/cpp/device.cpp -o "$out/riscv.o"
    try "Xtensa, C++11" xtensa-lx106-elf-g++ -std=c++11 -isystem /usr/lib/xtensa-lx106-elf/include \
        -mlongcalls $strict $lean $read_only -c tests/cpp/device.cpp -o "$out/xtensa.o"
    try "AVR, C++11" avr-g++ -std=c++11 -mmcu=atmega2560 $strict $lean $read_only \
        -c tests/cpp/device.cpp -o "$out/avr.o"
    try "Cortex-M3 over the sockets port of an ESP32, C++11" $arm -std=c++11 $strict \
        -DESP_PLATFORM -DWITH_SOCKETS -Itests/sockets/stubs -Itests/packages/stubs/esp-idf \
        -fsyntax-only tests/cpp/device.cpp
    sh tests/lwip/fetch.sh >/dev/null 2>&1
    try "Cortex-M3 over lwIP, C++11" $arm -std=c++11 $strict -DWITH_LWIP -Iexamples/firmware \
        -Iexamples/firmware/arch -isystem build/lwip/2.1/src/include -fsyntax-only \
        tests/cpp/device.cpp
}
calls="$(arm-none-eabi-nm -u "$out/arm.o" | awk '{ print $2 }' |
    grep -vE '^((mem|str)[a-z]+|__aeabi_[a-z0-9_]+)$')"
echo "${calls:-none}" >"$out/calls"
verdict "no heap, no exceptions, no run-time library" "$([ -z "$calls" ]; echo $?)" "$out/calls"
arm-none-eabi-size -A "$out/arm.o" | grep -E '^\.(init_array|data|ctors)' | awk '$2 > 0' \
    >"$out/initialised"
verdict "all memory is .bss, nothing runs before main" "$([ ! -s "$out/initialised" ]; echo $?)" \
    "$out/initialised"

# -- the file itself, and what the compiler refuses ------------------------------------------------
verdict "under 400 lines" "$([ "$(wc -l <ports/rtpush.hpp)" -lt 400 ]; echo $?)"
sed 's|//.*||' ports/rtpush.hpp | grep -nE '\bstd::|\b(new|delete|throw|try|virtual)\b' \
    >"$out/words"
verdict "no std::, new, throw" "$([ ! -s "$out/words" ]; echo $?)" "$out/words"
while read -r sizes text; do
    printf '#include "rtpush.h"\n#include "ports/rtpush.hpp"\nstatic rtpush::Server<%s> s;\n%s' \
        "$sizes" 'int main() { return s.begin() != nullptr; }' >"$out/sizes.cpp"
    g++ -std=c++11 -I. -fsyntax-only "$out/sizes.cpp" >"$out/log" 2>&1
    grep -q "error: static assertion failed: $text" "$out/log"
    verdict "Server<$sizes> is refused: $text" $? "$out/log"
done <<'END'
0 Connections
1,255 Rx
1,256,65533 Tx
1,256,256,255 Log
1,256,256,256,255 Routes
1,256,256,256,1,33 Topics
END

# -- run -------------------------------------------------------------------------------------------
# suite NAME COMMAND...: a program that counts for itself
suite() {
    name="$1"
    shift
    "$@" >"$out/$name.log" 2>&1
    # shellcheck disable=SC2046 # three numbers
    set -- $(totals "$out/$name.log" $?)
    passed=$((passed + $1))
    failed=$((failed + $2))
    [ "$2" = 0 ] || { echo "FAIL $name"; sed 's/^/    /' "$out/$name.log"; }
}
sanitize='-g1 -O0 -fsanitize=address,undefined -fno-sanitize-recover=all'
# shellcheck disable=SC2086
{
    # One core for all three, by the C++ compiler.
    try "the core" g++ -x c++ -std=c++11 $strict $sanitize -c ports/cmake/core.c -o "$out/core.o"
    try "texts.cpp" g++ -std=c++11 $strict $sanitize tests/cpp/texts.cpp "$out/core.o" \
        -o "$out/texts"
    try "device.cpp" g++ -std=c++11 $strict $sanitize -D_GNU_SOURCE -DWITH_POSIX -DT_LINKED \
        tests/cpp/device.cpp "$out/core.o" -o "$out/device" -lpthread
    sed -e 's|server.start(80)|server.start((uint16_t)sketch_port, "127.0.0.1")|' \
        -e '/define RTPUSH_IMPLEMENTATION/d' examples/arduino/arduino.ino >"$out/arduino.cpp"
    try "the sketch" g++ -std=c++11 $strict $sanitize -Itests/cpp/arduino -I"$out" -D_GNU_SOURCE \
        -DSKETCH='"arduino.cpp"' tests/cpp/arduino/main.cpp "$out/core.o" -o "$out/sketch" \
        -lpthread
}
suite texts "$out/texts"
suite clients node tests/clients/cpp.test.mjs "$out/device" "$out/sketch"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
