#!/bin/sh
# BearSSL for a microcontroller: build/bearssl/lib-CPU.a. Usage: sh tests/tls/bearssl.sh CPU
# Built as firmware does it: for size, each function in a section of its own, and so that the
# compiler puts no memset where BearSSL's loops must take constant time. newlib looks like Unix to
# BearSSL, but there is no /dev/urandom and no time(): the firmware gives both.
set -eu
cd "$(dirname "$0")/../.."
cpu="$1"
lib="build/bearssl/lib-$cpu.a"
[ -f "$lib" ] && exit 0
sh tests/tls/fetch.sh
out="build/bearssl/obj-$cpu"
mkdir -p "$out"
find build/bearssl/src -name '*.c' | while read -r source; do
    echo "arm-none-eabi-gcc -mthumb -mcpu=$cpu -Os -ffunction-sections -fdata-sections \
        -fno-tree-loop-distribute-patterns -w \
        -DBR_USE_URANDOM=0 -DBR_USE_UNIX_TIME=0 -Ibuild/bearssl/inc -Ibuild/bearssl/src \
        -c $source -o $out/$(basename "$source" .c).o"
done | xargs -P 2 -I '{}' sh -c '{}'
rm -f "$lib.part"
find "$out" -name '*.o' | sort | xargs arm-none-eabi-ar rcs "$lib.part"
mv "$lib.part" "$lib"
