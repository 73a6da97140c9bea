#!/bin/sh
# faults.c in each form of the POSIX port, with sanitizers; all are linked to one core. -O0, because
# compiling takes longer than running. The last line is `N passed, N failed`.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/posix
mkdir -p "$out"
core=build/core-asan.o
${MAKE:-make} --no-print-directory $core || exit 1
flags='-g1 -O0 -Wall -Wextra -Wno-unused-function -fno-omit-frame-pointer
    -fsanitize=address,undefined -fno-sanitize-recover=all -I. -DT_LINKED'
passed=0
failed=0
# form NAME OPTION...
form() {
    name="$1"
    shift
    # shellcheck disable=SC2086 # options are meant to split
    { gcc $flags "$@" tests/posix/faults.c $core -o "$out/$name" -lpthread &&
        timeout 600 "$out/$name"; } >"$out/log.$name" 2>&1 </dev/null
    status=$?
    # shellcheck disable=SC2046 # numbers
    set -- $(totals "$out/log.$name" "$status")
    if [ "$2" != 0 ]; then
        head -n 40 "$out/log.$name"
        echo "FAIL $name (exit status $status)"
    fi
    passed=$((passed + $1))
    failed=$((failed + $2))
}
form epoll -std=c99
form poll -std=c99 -DRTPUSH_POSIX_POLL
form pipe -std=gnu99 -DRTPUSH_POSIX_EVENTFD=0
form accept -std=c99 -DFAULTS_POSIX_2008 -DRTPUSH_POSIX_EVENTFD=0 -DRTPUSH_POSIX_POLL
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
