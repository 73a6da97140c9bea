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
trap 'exec 3>&-' TERM INT
while :; do
    wait "$program" # until it ends, or a signal comes
    status=$?
    kill -0 "$program" 2>/dev/null || break
done
exit "$status"
