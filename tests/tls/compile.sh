#!/bin/sh
# Compiles a filter alone: every compiler and language the header promises, strict warnings as
# errors, each option, for the host and for Cortex-M; and what it leaves in .data and .bss.
# Usage: sh tests/tls/compile.sh [mbedtls]
set -u
cd "$(dirname "$0")/../.." || exit 1
out=build/tls/compile
mkdir -p "$out"
passed=0
failed=0
filter="${1:-bearssl}"
# The core itself is the same in each: tests/matrix.sh compiles it.
printf '%s\n' '#include "rtpush.h"' \
    "#define RTPUSH_$(echo "$filter" | tr a-z A-Z)_IMPLEMENTATION" \
    "#include \"ports/rtpush_$filter.h\"" >"$out/filter.c"
cp "$out/filter.c" "$out/filter.cpp"
strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wcast-qual -Wvla -Werror'
c_only='-Wstrict-prototypes -Wmissing-prototypes'

verdict() { # NAME 0|1 [LOG]
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1"
        head -n 5 "${3:-/dev/null}"
    fi
}

try() { # NAME COMMAND...
    name="$1"
    shift
    "$@" -I. -c -o "$out/out.o" >"$out/log" 2>&1
    verdict "$name" $? "$out/log"
}

host=''
if [ "$filter" = bearssl ]; then
    options="$(grep -oE 'RTPUSH_BEARSSL_NO_[A-Z0-9_]+' ports/rtpush_bearssl.h | sort -u)"
    arm='-isystem build/bearssl/inc'
    fetch='sh tests/tls/fetch.sh'
else # options of the library's configuration
    options='T_NO_TICKETS T_NO_TLS12 T_NO_TLS13 T_NO_RSA'
    host="$(sh tests/tls/mbedtls.sh flags host)"
    arm="$(sh tests/tls/mbedtls.sh flags cortex-m3)"
    fetch='sh tests/fetch.sh mbedtls 3.6 trixie build/mbedtls library/ssl_tls.c'
fi
all="$(for o in $options; do [ "$o" = T_NO_TLS12 ] || printf ' -D%s' "$o"; done)"
if ! $fetch; then
    echo '0 passed, 1 failed'
    exit 1
fi
# shellcheck disable=SC2086 # options split
for d in '' "$all"; do
    for cc in gcc clang; do
        try "$cc C99$d" $cc -std=c99 $strict $c_only $d $host -x c "$out/filter.c"
    done
    for cxx in g++ clang++; do
        try "$cxx C++11$d" $cxx -std=c++11 $strict $d $host -x c++ "$out/filter.cpp"
    done
    for cpu in cortex-m0plus cortex-m3 cortex-m7; do
        try "$cpu$d" arm-none-eabi-gcc -mthumb -mcpu=$cpu -std=c99 -Os $strict $c_only $d $arm \
            "$out/filter.c"
    done
done
for o in $options; do
    try "gcc -D$o" gcc -std=c99 $strict $c_only "-D$o" $host "$out/filter.c"
done

arm-none-eabi-gcc -mthumb -mcpu=cortex-m3 -std=c99 -Os -I. $arm -c "$out/filter.c" \
    -o "$out/out.o" >"$out/log" 2>&1
test -z "$(arm-none-eabi-size -A "$out/out.o" |
    awk '$1 ~ /^\.(data|bss)/ && $2 > 0 { print $1 "=" $2 }')"
verdict 'no .data, no .bss' $?
test -z "$(arm-none-eabi-nm -g --defined-only "$out/out.o" | awk '{ print $3 }' |
    grep -v '^rtpush_')"
verdict 'global names begin with rtpush_' $?

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
