#!/bin/sh
# The projects of examples/boards: compiled for their processors against lwIP's real headers and,
# for what is not to be had here, headers of stubs/; that of FreeRTOS also runs on this machine.
# That of Pico W is linked by the real SDK, whose compilation takes longer than all else: only its
# Wi-Fi driver, which no Debian package has, has a stand-in (pico/).
# Usage: sh tests/packages/boards.sh [pico]    all but that of Pico W, or it alone
set -u
cd "$(dirname "$0")/../.." || exit 1
out="build/boards${1:+-$1}"
rm -rf "$out"
mkdir -p "$out"
stubs=tests/packages/stubs
boards=examples/boards
passed=0
failed=0

# builds NAME COMPILER OPTIONS FILE...
builds() {
    name="$1"
    compiler="$2"
    options="$3"
    shift 3
    for file in "$@"; do
        # shellcheck disable=SC2086 # options split
        if $compiler -std=gnu11 -Os -Wall -Wextra -Wshadow -Wundef -Werror -I. -I$boards/app \
            $options -c "$file" -o "$out/$(basename "$file" .c).o" >"$out/log" 2>&1; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAIL $name: $file"
            head -n 12 "$out/log" | sed 's/^/    /'
        fi
    done
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}

sh tests/lwip/fetch.sh >/dev/null 2>&1

# pico WAY: lwIP in main (poll) or in an interrupt (threadsafe_background). Both in one folder, so
# that the SDK is compiled once.
sdk=build/pico-sdk/usr/src/pico-sdk
pico() {
    PICO_SDK_PATH="$PWD/$sdk" PICO_LWIP_PATH="$PWD/build/lwip/2.2" \
        cmake -S $boards/pico-w -B "$out/pico" -DPICO_BOARD=pico -DPICO_NO_PICOTOOL=1 \
        -DWIFI_NAME=name -DWIFI_PASSWORD=secret "-DARCH=standin_$1" \
        "-DCMAKE_PROJECT_rtpush_board_INCLUDE=$PWD/tests/packages/pico/standin.cmake" &&
        cmake --build "$out/pico" -j 2 &&
        arm-none-eabi-nm "$out/pico/rtpush_board.elf" | grep -q ' rtpush_lwip_poll$'
}
if [ "${1:-}" = pico ]; then
    sh tests/fetch.sh --binary pico-sdk-source 2.1 trixie build/pico-sdk \
        usr/src/pico-sdk/pico_sdk_init.cmake
    for way in poll threadsafe_background; do
        if pico $way >"$out/log" 2>&1; then
            passed=$((passed + 1))
            arm-none-eabi-size "$out/pico/rtpush_board.elf"
        else
            failed=$((failed + 1))
            echo "FAIL pico-w, $way"
            grep -E 'rror|warning' "$out/log" | head -n 12 | sed 's/^/    /'
        fi
    done
    finish
fi

sizes='-DCONFIG_RTPUSH_CONNECTIONS=7 -DCONFIG_RTPUSH_RX_SIZE=512 -DCONFIG_RTPUSH_TX_SIZE=512
    -DCONFIG_RTPUSH_LOG_SIZE=4096'
app="$boards/app/app.c ports/cmake/core.c"
# shellcheck disable=SC2086 # files split
{
    builds esp-idf 'riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 --specs=picolibc.specs' \
        "-DESP_PLATFORM $sizes -I$stubs/esp-idf -Itests/sockets/stubs" \
        $app ports/cmake/sockets.c $boards/esp-idf/main/main.c
    builds zephyr 'arm-none-eabi-gcc -mthumb -mcpu=cortex-m4' \
        "-D__ZEPHYR__ -DCONFIG_ZVFS_POLL_MAX=10 $sizes -I$stubs/zephyr -Itests/sockets/stubs" \
        $app ports/cmake/sockets.c $boards/zephyr/src/main.c
    builds stm32-freertos 'arm-none-eabi-gcc -mthumb -mcpu=cortex-m7' \
        "-DRTPUSH_SOCKETS_LWIP -I$stubs/freertos -I$stubs/stm32 -I$boards/stm32-freertos
        -isystem build/lwip/2.1/src/include -Iexamples/firmware" $app \
        $boards/stm32-freertos/web_task.c
}

# The port in the file is 80; the tests take a free one.
number="$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => {
    console.log(s.address().port); s.close(); });")"
sed "s|NULL, 80, 0|\"127.0.0.1\", $number, 0|" $boards/stm32-freertos/web_task.c >"$out/web_task.c"
# shellcheck disable=SC2086 # files split
gcc -std=gnu11 -g1 -O1 -Wall -Wextra -fsanitize=address,undefined -I. -I$boards/app \
    -I$stubs/freertos -DBOARD_PORT="$number" "$out/web_task.c" $app \
    $stubs/freertos/run.c -o "$out/board" -lpthread >"$out/log" 2>&1 || cat "$out/log"
if timeout 300 node tests/clients/board.test.mjs "$out/board" >"$out/log" 2>&1; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAIL the project runs"
    sed 's/^/    /' "$out/log"
fi
finish
