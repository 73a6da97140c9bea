#!/bin/sh
# Compiles the port alone: every compiler and language the header promises, strict warnings as
# errors, with and without an operating system, IPv4 and IPv6; and each wrong lwipopts.h must be
# refused with a message that names the line.
# Usage: sh tests/lwip/compile.sh 2.1|2.2|2.1-short|2.2-short
# -short: one of each kind, for a version that differs little from the other
set -u
cd "$(dirname "$0")/../.." || exit 1
short=''
case "$1" in *-short) short=1 ;; esac
version="${1%-short}"
out="build/lwip/compile-$version"
number="$(echo "$version" | tr -d .)"
mkdir -p "$out/arch"
passed=0
failed=0

# What an operating system's port of lwIP would give, as far as a compiler looks.
cat >"$out/arch/sys_arch.h" <<'EOF'
typedef int sys_sem_t;
typedef int sys_mutex_t;
typedef int sys_mbox_t;
typedef int sys_thread_t;
typedef unsigned sys_prot_t;
EOF
# The core itself is the same in each: tests/matrix.sh compiles it.
printf '%s\n' '#include "rtpush.h"' '#define RTPUSH_LWIP_IMPLEMENTATION' \
    '#include "ports/rtpush_lwip.h"' >"$out/port.c"
printf '%s\n' '#include "rtpush.h"' '#include "ports/rtpush_lwip.h"' \
    'rtpush_lwip_slot slots[RTPUSH_LWIP_SLOTS(CONNS)];' >"$out/user.c"
cp "$out/port.c" "$out/port.cpp"
cp "$out/user.c" "$out/user.cpp"

strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wcast-qual -Wvla -Werror'
c_only='-Wstrict-prototypes -Wmissing-prototypes'

# try NAME COMMAND...: must compile
try() {
    skipped="$short"
    case "$1" in
        'gcc c99' | 'g++ c++11' | 'gcc, tcpip_thread' | 'gcc, IPv6 too' | 'gcc, header alone' | \
            'gcc, lock by macros' | 'gcc, TLS in tcpip_thread') skipped='' ;;
    esac
    [ -z "$skipped" ] || return
    name="$1 (lwIP $version)"
    shift
    if "$@" -I. -Itests/lwip/include -I"$out" -isystem "build/lwip/$version/src/include" -c \
        -o "$out/out.o" >"$out/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        head -n 12 "$out/log"
    fi
}

# refuse WORD COMMAND...: must not compile, and say WORD
refuse() {
    word="$1"
    shift
    if [ -n "$short" ] && [ "$1 $2" != 'gcc -std=c99' ]; then
        return
    fi
    if "$@" -DSIM_HEAP -DSIM_LWIP="$number" -I. -Itests/lwip/include \
        -isystem "build/lwip/$version/src/include" -fsyntax-only >"$out/log" 2>&1 ||
        ! grep -q "$word" "$out/log" || grep -q 'size of' "$out/log"; then
        failed=$((failed + 1))
        echo "FAIL $word: not refused, or without a word"
        head -n 12 "$out/log"
    else
        passed=$((passed + 1))
    fi
}

# What was compiled last calls neither of lwIP's lock functions: they may be macros alone.
no_function() {
    [ -z "$skipped" ] || return
    if nm "$out/out.o" | grep -q sys_arch_; then
        failed=$((failed + 1))
        echo 'FAIL a function of sys_arch.c is called, not its macro'
    else
        passed=$((passed + 1))
    fi
}

printf '%s\n' '#include "rtpush.h"' '#include "ports/rtpush_lwip.h"' \
    '#include "ports/rtpush_bearssl.h"' >"$out/tls.c"
cp "$out/tls.c" "$out/tls.cpp"

lwip="-DSIM_SMALL -DSIM_LWIP=$number"
# NO_SYS=0 and so on come before lwipopts.h does; SIM_OS makes it leave them alone.
os='-DSIM_OS'
# shellcheck disable=SC2086 # options are meant to split
{
    # Warnings that need optimisation come once from each compiler.
    try 'gcc c99' gcc -std=c99 -Os $strict $c_only $lwip "$out/port.c"
    try 'gcc c11' gcc -std=c11 $strict $c_only $lwip "$out/port.c"
    try 'clang c99' clang -std=c99 -O2 $strict $c_only -Wreserved-identifier $lwip \
        "$out/port.c"
    try 'g++ c++11' g++ -std=c++11 $strict $lwip "$out/port.cpp"
    try 'clang++ c++11' clang++ -std=c++11 $strict $lwip "$out/port.cpp"
    try 'gcc, tcpip_thread' gcc -std=c99 $strict $c_only $lwip $os "$out/port.c"
    try 'g++, tcpip_thread' g++ -std=c++11 $strict $lwip $os "$out/port.cpp"
    try 'gcc, IPv6 too' gcc -std=c99 $strict $c_only $lwip -DSIM_IPV6=1 \
        "$out/port.c"
    try 'gcc, header alone' gcc -std=c99 $strict $c_only $lwip -DCONNS=4 "$out/user.c"
    try 'g++, header alone' g++ -std=c++11 $strict $lwip -DCONNS=4 "$out/user.cpp"
    tiny="-DSIM_TINY -DSIM_LWIP=$number"
    try 'gcc, 5 PCBs and no backlog' gcc -std=c99 $strict $c_only $tiny "$out/port.c"
    try 'g++, 5 PCBs and no backlog' g++ -std=c++11 $strict $tiny "$out/port.cpp"
    try 'gcc, 5 connections' gcc -std=c99 $strict $c_only $tiny -DCONNS=5 "$out/user.c"
    try 'g++, 5 connections' g++ -std=c++11 $strict $tiny -DCONNS=5 "$out/user.cpp"
    try 'gcc, lock by macros' gcc -std=c99 $strict $c_only $lwip -DSIM_MACROS "$out/port.c"
    no_function
    try 'gcc, lock by macros, tcpip_thread' gcc -std=c99 $strict $c_only $lwip $os \
        -DSIM_MACROS "$out/port.c"
    no_function
    try 'g++, lock by macros, tcpip_thread' g++ -std=c++11 $strict $lwip $os -DSIM_MACROS \
        "$out/port.cpp"
    no_function
    try 'gcc, TLS' gcc -std=c99 $strict $lwip "$out/tls.c"
    stack=TCPIP_THREAD_STACKSIZE
    try 'gcc, TLS in tcpip_thread' gcc -std=c99 $strict $lwip $os -D$stack=4096 "$out/tls.c"
    try 'gcc, TLS in tcpip_thread, its stack in words' gcc -std=c99 $strict $lwip $os \
        "-D$stack=((unsigned short)256*sizeof(int))" -DRTPUSH_TLS_STACK=1024 "$out/tls.c"
    try 'gcc, TLS in tcpip_thread, stack not known' gcc -std=c99 $strict $lwip $os "$out/tls.c"
    try 'gcc, copies all' gcc -std=c99 $strict $c_only $lwip \
        -DRTPUSH_LWIP_REFER=65536 "$out/port.c"
}
refuse 'LWIP_TCP must be 1' gcc -std=c99 -DLWIP_TCP=0 "$out/port.c"
refuse 'LWIP_CALLBACK_API must be 1' gcc -std=c99 -DLWIP_CALLBACK_API=0 -DLWIP_EVENT_API=1 \
    "$out/port.c"
refuse 'TCP_SND_BUF must be' gcc -std=c99 -DSIM_SND_BUF=1460 "$out/port.c"
refuse 'PBUF_POOL_SIZE must be' gcc -std=c99 -DRTPUSH_LWIP_HOLD_ALL=0 "$out/port.c"
for compiler in gcc clang 'g++ -std=c++11' 'clang++ -std=c++11'; do
    case "$compiler" in *++*) source=tls.cpp ;; *) source=tls.c ;; esac
    # shellcheck disable=SC2086 # options split
    refuse 'TCPIP_THREAD_STACKSIZE_must_be_4096' $compiler $os -I"$out" \
        -DTCPIP_THREAD_STACKSIZE=3072 "$out/$source"
done
# A constant of the program against one of lwipopts.h: no #error can compare them.
for standard in c99 c11 c17; do
    for cc in gcc clang; do
        refuse 'lwipopts_h_MEMP_NUM_TCP_PCB_must_be_as_many_as_connections' $cc -std=$standard \
            -DSIM_POOLS -DCONNS=6 "$out/user.c"
    done
done
for standard in c++11 c++20; do
    for cc in g++ clang++; do
        refuse 'lwipopts.h: MEMP_NUM_TCP_PCB must be as many as connections' $cc -std=$standard \
            -DSIM_POOLS -DCONNS=6 "$out/user.cpp"
    done
done
refuse 'include rtpush.h before' gcc -std=c99 -include ports/rtpush_lwip.h "$out/user.c"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
