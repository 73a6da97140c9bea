#!/bin/sh
# Runs a Windows program and ends it as an operator does: SIGTERM closes its input, which
# posix.h waits for. The client tests start it by a link build/windows/NAME.
set -u
here="$(cd "$(dirname "$0")" && pwd)"
export WINEPREFIX="$here/../wine" WINEDEBUG=-all
export WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe='
input="$(mktemp -u)"
mkfifo "$input"
/usr/lib/wine/wine64 "$here/$(basename "$0").exe" "$@" <"$input" &
program=$!
exec 3>"$input"
rm "$input"
trap 'exec 3>&-; ended=1' TERM INT
wait "$program"
status=$?
if [ "${ended:-0}" = 1 ]; then # the wait was ended by the signal
    wait "$program"
    status=$?
fi
exit "$status"
