#!/bin/sh
# ports/rtpush_sockets.h: faults.c with poll and with select, tests/posix/threads.c over it, lwip.c,
# what it calls of the system, and platforms that are not here, compiled against headers in stubs/.
# The last line is `N passed, N failed`. Usage: sh tests/sockets/run.sh [NAME...]
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/sockets
mkdir -p "$out"
only="$*"
passed=0
failed=0

# part NAME COMMAND: a test program, or a command that is one test.
part() {
    name="$1"
    case " ${only:-$1} " in *" $name "*) ;; *) return ;; esac
    timeout 1500 sh -c "$2" >"$out/log.$name" 2>&1 </dev/null
    status=$?
    # shellcheck disable=SC2046 # numbers
    if grep -q ' passed, ' "$out/log.$name"; then
        set -- $(totals "$out/log.$name" "$status")
    else
        set -- "$((status == 0))" "$((status != 0))"
    fi
    if [ "$2" != 0 ]; then
        head -n 40 "$out/log.$name"
        echo "FAIL $name (exit status $status)"
    fi
    passed=$((passed + $1))
    failed=$((failed + $2))
}

warn='-Wall -Wextra -Wno-unused-function'
core=build/core-asan.o
${MAKE:-make} --no-print-directory $core || exit 1
sanitize='-g1 -O0 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
for way in poll select; do
    option=''
    [ "$way" = select ] && option='-DRTPUSH_SOCKETS_SELECT'
    part "$way" "gcc -std=c99 $warn $sanitize $option -DT_LINKED -I. tests/sockets/faults.c \
        $core -o $out/faults-$way -lpthread && $out/faults-$way"
done

# setarch -R: the thread sanitizer of gcc 12 wants addresses that are not randomised.
sed 's|ports/rtpush_posix.h|tests/sockets/posix.h|' tests/posix/threads.c >"$out/threads.c"
part threads "gcc -std=c99 $warn -g1 -O1 -fsanitize=thread -I. $out/threads.c \
    -o $out/threads -lpthread && setarch -R $out/threads"

# Over lwIP's own sockets, in both ways in which other tasks can enter its core.
for way in LOCK MAIL; do
    part "lwip-$way" "sh tests/sockets/lwip.sh 2.2-$way"
done

# What the platforms do not all have must not be named, and no function but these is called.
for way in poll select; do
    option=''
    [ "$way" = select ] && option='-DRTPUSH_SOCKETS_SELECT'
    calls="__errno_location accept bind clock_gettime close connect getsockname inet_pton ioctl
        listen memcmp memcpy memset $way pthread_mutex_init pthread_mutex_lock
        pthread_mutex_unlock recv send setsockopt shutdown socket"
    part "calls-$way" "gcc -std=c99 -O1 $option -I. -c tests/sockets/poison.c -o $out/$way.o &&
        nm -u $out/$way.o | awk -v 'calls=$(echo $calls)' '
            BEGIN { split(calls, list); for (i in list) allowed[list[i]] = 1 }
            \$2 !~ /^rtpush_/ && !(\$2 in allowed) { print \"calls \" \$2; bad = 1 }
            END { exit bad }'"
done

# Other platforms: the header files of stubs/ declare what is used of them, as their own do.
strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wcast-qual -Wvla -Werror'
stub() { # NAME COMPILER OPTION...
    name="$1"
    compiler="$2"
    shift 2
    part "$name" "$compiler $strict $* -Itests/sockets/stubs -I. \
        -c tests/sockets/platform.c -o $out/$name.o"
}
arm='arm-none-eabi-gcc -mthumb -mcpu=cortex-m3 -Os'
arm_esp="$arm -Wno-sign-conversion -std=gnu99" # FD_SET of newlib
stub esp-idf "$arm_esp" -DESP_PLATFORM -DWANT_NO_RESET
stub esp-idf-linger "$arm_esp" -DESP_PLATFORM -DCONFIG_LWIP_SO_LINGER
stub esp-idf-no-ipv6 "$arm_esp" -DESP_PLATFORM -DNO_IPV6
stub arduino-esp32 "arm-none-eabi-gcc -x c++ -std=gnu++11 -fno-exceptions" -DESP_PLATFORM
stub zephyr "$arm -std=gnu99" -D__ZEPHYR__ -DCONFIG_ZVFS_POLL_MAX=12 -DWANT_NO_RESET
stub zephyr-3.7 "$arm -std=gnu99" -D__ZEPHYR__ -DCONFIG_NET_SOCKETS_POLL_MAX=12
stub zephyr-tls "$arm -std=gnu99" -D__ZEPHYR__ -DCONFIG_ZVFS_POLL_MAX=12 \
    -DCONFIG_NET_SOCKETS_SOCKOPT_TLS
stub zephyr-c++ "arm-none-eabi-gcc -x c++ -std=gnu++11" -D__ZEPHYR__ -DCONFIG_ZVFS_POLL_MAX=12
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
