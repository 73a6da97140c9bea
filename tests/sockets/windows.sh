#!/bin/sh
# The client tests against echo and hub built for Windows by mingw-w64 and run by wine: our calls of
# Winsock; the TCP below them is that of this machine. Not those that take long or try the core
# alone. The last line is `N passed, N failed`.
# Usage: sh tests/sockets/windows.sh [PART OF A TEST NAME]
set -u
cd "$(dirname "$0")/../.." || exit 1
"${MAKE:-make}" --no-print-directory build/windows/echo build/windows/hub || exit 1
export WINEPREFIX="$PWD/build/wine" WINEDEBUG=-all
wineserver=/usr/lib/wine/wineserver64
resident=''
trap 'exit 1' INT TERM
trap '[ -z "$resident" ] || kill "$resident"; "$wineserver" -k' EXIT
# The first start makes the prefix. Wine starts its services with the first program and ends them
# with the last: one that stays saves that of every other program.
build/windows/echo --help >/dev/null || exit 1
build/windows/echo --port 0 >build/windows/resident.log 2>&1 &
resident=$!
tries=600
until grep -q '^listening' build/windows/resident.log; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ] || ! kill -0 "$resident" 2>/dev/null; then
        cat build/windows/resident.log
        exit 1
    fi
    sleep 0.1
done
RTPUSH_SUITES='echo sockets events' \
    node tests/clients/clients.test.mjs build/windows/echo build/windows/hub "$@"
