#!/bin/sh
# The symbols of the compiled core: it may call mem* and str* and
# the compiler's own arithmetic helpers, it defines rtpush_* only, it has no .data and no .bss.
# For Cortex-M it is compiled by the Makefile, once for other suites too.
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/symbols
mkdir -p "$out"
passed=0
failed=0

# verdict NAME OFFENDERS: one test, passed if there are no offenders
verdict() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1:" $2
    fi
}

# look NAME PREFIX HELPERS OBJECT COMMAND...: the object that the command, with its name behind it,
# makes. HELPERS is a pattern of arithmetic helpers of the compiler.
look() {
    name="$1"
    prefix="$2"
    helpers="$3"
    object="$4"
    shift 4
    if ! "$@" "$object" >"$out/log" 2>&1; then
        head -n 5 "$out/log"
        verdict "$name: compiles" "does-not-compile"
        return
    fi
    verdict "$name: calls only mem* and str*" \
        "$("${prefix}nm" -u "$object" | awk '{ print $2 }' |
            grep -vE "^(mem|str)[a-z]+\$|$helpers")"
    verdict "$name: global names begin with rtpush_" \
        "$("${prefix}nm" -g --defined-only "$object" | awk '{ print $3 }' | grep -v '^rtpush_')"
    # A name.N is a constant inside a function.
    verdict "$name: private names begin with rtpi_" \
        "$("${prefix}nm" --defined-only "$object" |
            awk '$2 ~ /^[a-z]$/ && $3 !~ /^(rtpi_|rtpush_|\$|\.L|CSWTCH)|\.[0-9]+$/ { print $3 }')"
    # Tables of pointers are constant too: .data.rel.ro is read-only after loading.
    verdict "$name: no .data, no .bss" \
        "$("${prefix}size" -A "$object" |
            awk '$1 ~ /^\.(data|bss|tdata|tbss)/ && $1 !~ /^\.data\.rel\.ro/ && $2 > 0 {
                print $1 "=" $2 }')"
    verdict "$name: no common symbols" \
        "$("${prefix}nm" "$object" | awk '$2 == "C" { print $3 }')"
}

none='^$'
for o in -O2 -O0; do
    look "x86-64 gcc $o" '' "$none" "$out/core$o.o" \
        gcc $o -std=c99 -Wall -Wextra -I. -c ports/cmake/core.c -o
done
make="${MAKE:-make} --no-print-directory"
look "Cortex-M3 -Os" arm-none-eabi- '^__aeabi_' build/core-cortex-m3.o $make
look "Cortex-M0+ -Os" arm-none-eabi- '^(__aeabi_|__gnu_thumb1_case_)' build/core-cortex-m0plus.o \
    $make

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
