#!/bin/sh
# Runs a board in QEMU, its page on http://127.0.0.1:PORT/, its serial line on this terminal.
# Usage: sh examples/firmware/run.sh [BOARD] [PORT] [QEMU OPTION...]
# OUT is the image's folder instead of build/firmware, GUEST the board's TCP port instead of 80,
# SEED=none leaves the random bytes out. Ctrl-C ends it.
# The guest reaches nothing outside (restrict=on); only this machine reaches it.
set -eu
cd "$(dirname "$0")/../.."
board="${1:-lm3s6965evb}"
port="${2:-8080}"
[ $# -lt 2 ] || shift 2
elf="${OUT:-build/firmware}/$board.elf"
guest="${GUEST:-80}"
[ -f "$elf" ] || { echo "run.sh: $elf is missing: build it, as by make firmware" >&2; exit 1; }

# These boards have no random generator. A real device has one, or gets random bytes at the factory;
# here QEMU puts them where the firmware looks for them.
seed="$(mktemp)"
head -c 32 "$([ "${SEED:-}" = none ] && echo /dev/zero || echo /dev/urandom)" >"$seed"
address="$(arm-none-eabi-nm "$elf" | sed -n 's/^\([0-9a-f]*\) . keep_memory$/0x\1/p')"

case "$guest" in 443) scheme=https ;; *) scheme=http ;; esac
echo "$scheme://127.0.0.1:$port/ is the $board"
status=0
qemu-system-arm -M "$board" -kernel "$elf" -display none -monitor none -serial stdio \
    -nic "user,restrict=on,hostfwd=tcp:127.0.0.1:$port-10.0.2.15:$guest" \
    -device "loader,file=$seed,addr=$address,force-raw=on" "$@" || status=$?
rm -f "$seed"
exit "$status"
