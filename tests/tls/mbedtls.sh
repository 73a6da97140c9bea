#!/bin/sh
# mbedTLS 3.6 from Debian 13's source, configured by mbedtls/mbedtls_config.h:
# build/mbedtls/lib-NAME.a.
# Usage: sh tests/tls/mbedtls.sh NAME          builds it, if it is not there
#        sh tests/tls/mbedtls.sh flags NAME    prints what a program that uses it is compiled with
# NAME is, for this machine:
#   host    records of 16,384 bytes in, 2,048 out; host-asan: with sanitizers
#   small   1,024 in and out; small-asan
# for microcontrollers, for size, each function in a section of its own:
#   CPU, CPU-12 (TLS 1.2 only), CPU-13 (1.3 only), CPU-tiny (1.3 only, no RSA, no tickets)
set -eu
cd "$(dirname "$0")/../.."

flags() {
    printf '%s' '-isystem tests/tls -isystem build/mbedtls/include'
    case "$1" in
        host*) printf ' -DT_CLIENT' ;;
        small*) printf ' -DT_CLIENT -DT_IN=1024 -DT_OUT=1024' ;;
        *) printf ' -DT_IN=4096 -DT_OUT=2048' ;;
    esac
    case "$1" in
        cortex*-12) printf ' -DT_NO_TLS13' ;;
        cortex*-13) printf ' -DT_NO_TLS12' ;;
        cortex*-tiny) printf ' -DT_NO_TLS12 -DT_NO_RSA -DT_NO_TICKETS' ;;
    esac
    echo
}

if [ "$1" = flags ]; then
    flags "$2"
    exit
fi
name="$1"
lib="build/mbedtls/lib-$name.a"
config=tests/tls/mbedtls/mbedtls_config.h
mkdir -p build
exec 9>"build/mbedtls-$name.lock" # suites that need it may begin at the same time
flock 9
if [ -f "$lib" ] && [ "$lib" -nt "$config" ] && [ "$lib" -nt "$0" ]; then
    exit 0
fi
sh tests/fetch.sh mbedtls 3.6 trixie build/mbedtls library/ssl_tls.c
case "$name" in
    *-asan)
        how='gcc -g1 -O1 -fno-omit-frame-pointer -fsanitize=address,undefined'
        how="$how -fno-sanitize-recover=all" # one line: xargs takes each as a command
        ;;
    host | small) how='gcc -g1 -O1' ;; # compiling takes longer than running
    *)
        cpu="${name%-1[23]}"
        how="arm-none-eabi-gcc -mthumb -mcpu=${cpu%-tiny} -Os"
        ;;
esac
ar=ar
case "$name" in cortex*) ar=arm-none-eabi-ar ;; esac
out="build/mbedtls/obj-$name"
mkdir -p "$out"
for source in build/mbedtls/library/*.c; do
    case "$source" in */net_sockets.c | */timing.c | */psa_its_file.c) continue ;; esac
    echo "$how -ffunction-sections -fdata-sections -w $(flags "$name") -Ibuild/mbedtls/library \
        -c $source -o $out/$(basename "$source" .c).o"
done | xargs -P 2 -I '{}' sh -c '{}'
rm -f "$lib.part"
find "$out" -name '*.o' | sort | xargs "$ar" rcs "$lib.part"
mv "$lib.part" "$lib"
