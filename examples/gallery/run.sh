#!/bin/sh
# Starts examples on free ports and the gallery in front of them. All end with it.
# Usage: sh examples/gallery/run.sh PORT NAME...      FOLDER=build/examples: where the programs are
set -u
cd "$(dirname "$0")/../.." || exit 1
folder="${FOLDER:-build/examples}"
port="$1"
shift
work="$(mktemp -d)"
pids=''
end() {
    # shellcheck disable=SC2086 # several
    [ -z "$pids" ] || kill $pids 2>/dev/null
    rm -rf "$work"
}
trap end EXIT
trap 'exit 0' HUP INT TERM
runs=''

run() { # NAME PROGRAM
    "$2" --port 0 >"$work/$1" &
    pids="$pids $!"
    tries=100
    number=''
    until [ -n "$number" ]; do
        number="$(sed -n 's|^listening on .*:\([0-9]*\)$|\1|p' "$work/$1")"
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "run.sh: $1 does not start" >&2; exit 1; }
        [ -n "$number" ] || sleep 0.1
    done
    runs="$runs --run $1=$number"
}

[ ! -x build/dashboard ] || run dashboard build/dashboard
for name in "$@"; do
    run "$name" "$folder/$name"
done
# shellcheck disable=SC2086 # several
"$folder/gallery" --port "$port" $runs &
pids="$pids $!"
wait $!
