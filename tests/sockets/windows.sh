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
trap '"$wineserver" -k' EXIT
# The first start makes the prefix. The server is to live from one program to the next.
build/windows/echo --help >/dev/null || exit 1
"$wineserver" -p120
RTPUSH_SUITES='echo sockets events' \
    node tests/clients/clients.test.mjs build/windows/echo build/windows/hub "$@"
