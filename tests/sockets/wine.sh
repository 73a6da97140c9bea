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
asked=''
trap 'exec 3>&-; asked=1' TERM INT
while :; do
    wait "$program" # until it ends, or a signal comes: then its own status is still to come
    status=$?
    if [ -z "$asked" ] || [ "$status" -le 128 ]; then break; fi
    asked=''
done
exit "$status"
