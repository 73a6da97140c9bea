#!/bin/sh
# The dashboard and the transcripts where they really run: over TCP on this machine, and in firmware
# on emulated boards. Prints the totals of what it was asked for.
# Usage: sh tests/device/run.sh PART...
#   wire    every transcript over TCP: the POSIX port, and the board with 64 KB of RAM
#   wire-boards  ... and the two others, of which one has another processor
#   wire-mbedtls  the POSIX port over TLS by mbedTLS, whose server speaks 1.2 here
#   wire-tls  over TLS: the POSIX port with sanitizers, the board with 64 KB of RAM, and mps2-an385
#           (mps2-an500 differs from it in its processor, not in what TLS meets)
#   device  real clients of the dashboard: this machine, and a board with 64 KB of RAM
#   pages   its page in Chromium, from that board
#   widgets examples/widgets in Chromium, from that board
#   selftest  examples/selftest in Chromium: from this machine, as a sketch, from that board
#   device-tls, pages-tls  both over TLS, side by side from this machine and from mps2-an385, which
#           has RAM for TLS in every connection
#   boards  the clients on the other boards, without what takes long, and three examples of
#           examples/shared on the one with 64 KB of RAM
#   apps    all of these examples that are for boards, there
#   gateway 200 pages of examples/gateway, whose source is that board
#   secure-device  examples/secure as firmware: TLS in 64 KB of RAM, instructions of a handshake
#   secure-app     its application and pages there, as tests/clients and tests/browser see them
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
out=build/device
mkdir -p "$out"
boards='lm3s6965evb mps2-an385 mps2-an500'
passed=0
failed=0

# begin NAME COMMAND...: several may go on at a time, until finish adds what their last lines count
names=''
begin() {
    name="$1"
    shift
    names="$names $name"
    { "$@" >"$out/$name.log" 2>&1; echo $? >"$out/$name.status"; } &
}

finish() {
    wait
    for name in $names; do
        echo "-- $name"
        # shellcheck disable=SC2046 # numbers
        set -- $(totals "$out/$name.log" "$(cat "$out/$name.status")")
        grep -vE '^[0-9]+ passed' "$out/$name.log" | tail -n 60
        passed=$((passed + $1))
        failed=$((failed + $2))
    done
    names=''
}

run() { # NAME COMMAND...
    begin "$@"
    finish
}

# Starts a server and runs every transcript against it. The server is ended by its process id.
converse() { # PORT TLS COMMAND...
    port="$1"
    tls="$2"
    shift 2
    log="$out/$name.server.log"
    : >"$log"
    "$@" >"$log" 2>&1 &
    server=$!
    tries=100
    while [ -z "$port" ] && [ "$tries" -gt 0 ]; do
        port="$(sed -n 's|^listening on http://127.0.0.1:||p' "$log")"
        sleep 0.1
        tries=$((tries - 1))
    done
    timeout 800 "$out/wire-with-$part" "$port" $tls
    status=$?
    kill "$server"
    wait "$server" 2>/dev/null
    return "$status"
}

free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Where an image expects random bytes, see examples/firmware/README.md.
seed_of() {
    arm-none-eabi-nm "$1" | sed -n 's/^\([0-9a-f]*\) . keep_memory$/0x\1/p'
}

board_conformance() { # BOARD FOLDER GUEST-PORT TLS
    port="$(free_port)"
    head -c 32 /dev/urandom >"$out/$name.seed"
    converse "$port" "$4" qemu-system-arm -M "$1" -kernel "$2/$1.elf" -display none \
        -monitor none -serial stdio \
        -nic "user,restrict=on,hostfwd=tcp:127.0.0.1:$port-10.0.2.15:$3" \
        -device "loader,file=$out/$name.seed,addr=$(seed_of "$2/$1.elf"),force-raw=on"
}

# build COMMAND...: 1, with its last words and a failure counted, if it fails
build() {
    "$@" >"$out/build-$part.log" 2>&1 || {
        tail -n 20 "$out/build-$part.log"
        failed=$((failed + 1))
        return 1
    }
}

# The programs of this machine; by options, for TLS too.
build_wire() { # SERVER OPTION...
    server="$1"
    shift
    strict='-std=c99 -g1 -O1 -Wall -Wextra -Wpedantic -I. -Itests/device'
    gcc $strict -Wno-unused-function -Itests/unit tests/device/wire.c \
        -o "$out/wire-with-$part" -lbearssl &&
        gcc $strict tests/device/conformance.c tests/device/conformance_posix.c -o "$out/$server" \
            "$@" -lpthread
}

transcripts_on() { # BOARD...
    build build_wire conformance && build env OUT="$out" CFLAGS=-Itests/device \
        SOURCES='tests/device/conformance.c tests/device/conformance_board.c' \
        sh examples/firmware/build.sh "$@" || return
    for board in "$@"; do
        begin "wire-$board" board_conformance "$board" "$out" 80 ''
    done
}

wire_boards() {
    transcripts_on mps2-an385 mps2-an500 && finish
}

wire() {
    transcripts_on lm3s6965evb || return
    begin wire-posix converse '' '' "$out/conformance"
    finish
    run interrupt node tests/clients/interrupt.test.mjs \
        "{\"board\":\"lm3s6965evb\",\"elf\":\"$out/lm3s6965evb.elf\"}"
}

# The programs over TLS include others, which build.sh does not know.
fresh() { # FOLDER
    rm -f "$1"/*/*_tls.o
}

# The records of a peer are as large as what takes them.
wire_tls() {
    fresh "$out/tls"
    build sh ports/cert.sh &&
        build build_wire conformance-tls -DCONFORMANCE_TLS -lbearssl \
            -fsanitize=address,undefined -fno-sanitize-recover=all &&
        build env OUT="$out/tls" TLS=1 STACK=5K \
            CFLAGS='-DCONFORMANCE_TLS -Iexamples/secure -Itests/device' \
            SOURCES='tests/device/conformance.c tests/device/conformance_tls.c' \
            sh examples/firmware/build.sh lm3s6965evb mps2-an385 || return
    begin wire-tls-posix converse '' tls=16384 "$out/conformance-tls"
    for board in lm3s6965evb mps2-an385; do
        begin "wire-tls-$board" board_conformance "$board" "$out/tls" 443 tls=2048
    done
    finish
}

wire_mbedtls() {
    # shellcheck disable=SC2046 # options are meant to split
    build sh ports/cert.sh && build sh tests/tls/mbedtls.sh host &&
        build build_wire conformance-mbedtls -DCONFORMANCE_TLS -DT_MBEDTLS \
            $(sh tests/tls/mbedtls.sh flags host) build/mbedtls/lib-host.a \
            -fsanitize=address,undefined -fno-sanitize-recover=all || return
    run wire-mbedtls-posix converse '' tls=16384,tickets "$out/conformance-mbedtls"
}

# The dashboard on a board, as tests/clients/device.mjs wants it described.
device() { # BOARD MORE [FOLDER]
    elf="${3:-build/firmware}/$1.elf"
    echo "{\"board\":\"$1\",\"elf\":\"$elf\",\"seedAt\":\"$(seed_of "$elf")\"$2}"
}

clients() { # BOARD MORE
    run "clients-$1" node tests/clients/device.test.mjs "$(device "$@")"
}

apps() { # NAME...
    # shellcheck disable=SC2046 # names without blanks
    build "${MAKE:-make}" --no-print-directory $(for app in "$@"; do
        echo "build/app-firmware/$app/lm3s6965evb.elf"
    done) && run apps-lm3s6965evb node tests/clients/apps.test.mjs build/app-firmware "$@"
}

build_dashboard() {
    build "${MAKE:-make}" --no-print-directory build/dashboard \
        $(for b in $boards; do echo "build/firmware/$b.elf"; done)
}

# Over TLS, on this machine and on a board with RAM for TLS in every connection.
build_dashboard_tls() {
    board=mps2-an385
    fresh "$out/tls-dashboard"
    build "${MAKE:-make}" --no-print-directory build/dashboard-tls firmware-tools &&
        build env OUT="$out/tls-dashboard" TLS=1 STACK=5K CFLAGS=-Itests/device \
            SOURCES='tests/device/dashboard_tls.c examples/firmware/sensors.c
                examples/dashboard/app.c' sh examples/firmware/build.sh $board || return
    export RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem CURL_CA_BUNDLE=build/cert/ca.pem
}

build_secure() {
    mkdir -p build/log
    build "${MAKE:-make}" --no-print-directory secure-firmware || return
    images=build/secure-firmware
    small="$(device lm3s6965evb '' "$images")"
    export RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem # for all that follows
}

secure_device() {
    run secure-lm3s6965evb node tests/clients/securefw.test.mjs "$small"
    run secure-mps2-an385 node tests/clients/securefw.test.mjs \
        "$(device mps2-an385 '' "$images")" openssl
    run secure-bench python3 tests/bench/tls.py "$images/mps2-an385.elf"
}

secure_app() {
    run secure-clients node tests/clients/secure.test.mjs "$small"
    run secure-pages node tests/browser/secure.test.mjs "$small"
}

for part in "$@"; do
    case "$part" in
        wire) wire ;;
        wire-boards) wire_boards ;;
        wire-tls) wire_tls ;;
        wire-mbedtls) wire_mbedtls ;;
        device)
            build_dashboard || continue
            run clients-host node tests/clients/device.test.mjs \
                '{"binary":"build/dashboard","minute":10}'
            clients lm3s6965evb ''
            ;;
        device-tls)
            build_dashboard_tls || continue
            begin clients-tls-host node tests/clients/device.test.mjs \
                '{"binary":"build/dashboard-tls","minute":10}'
            begin "clients-tls-$board" node tests/clients/device.test.mjs \
                "$(device $board ',"minute":10' "$out/tls-dashboard")"
            finish
            ;;
        pages-tls)
            build_dashboard_tls || continue
            begin pages-tls-host node tests/browser/dashboard.test.mjs build/dashboard-tls
            begin "pages-tls-$board" node tests/browser/dashboard.test.mjs \
                "$(device $board '' "$out/tls-dashboard")"
            finish
            ;;
        pages)
            build_dashboard || continue
            run pages-lm3s6965evb node tests/browser/dashboard.test.mjs "$(device lm3s6965evb '')"
            ;;
        widgets)
            build "${MAKE:-make}" --no-print-directory \
                build/widgets-firmware/lm3s6965evb.elf || continue
            run widgets-lm3s6965evb node tests/browser/widgets.test.mjs \
                "$(device lm3s6965evb '' build/widgets-firmware)"
            ;;
        selftest)
            build "${MAKE:-make}" --no-print-directory build/selftest-asan build/selftest-sketch \
                build/selftest-firmware/lm3s6965evb.elf || continue
            run selftest node tests/browser/selftest.test.mjs build/selftest-asan \
                build/selftest-sketch "$(device lm3s6965evb '' build/selftest-firmware)"
            ;;
        boards)
            build_dashboard || continue
            clients mps2-an385 ',"quick":true'
            clients mps2-an500 ',"quick":true'
            apps board chat rtc
            ;;
        apps) apps board chat remote rtc ticker upload ;;
        gateway)
            build "${MAKE:-make}" --no-print-directory build/gateway-asan \
                build/firmware/lm3s6965evb.elf || continue
            run gateway-lm3s6965evb node tests/gateway/device.test.mjs \
                "$(device lm3s6965evb '')" build/gateway-asan
            ;;
        secure-device) build_secure && secure_device ;;
        secure-app) build_secure && secure_app ;;
        *) echo "run: no part called $part" >&2; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
