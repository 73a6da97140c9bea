#!/bin/sh
# Runs suites and adds up what they print. A suite is a command that ends with a line `N passed,
# N failed` (`, N skipped` may follow); one that prints none, or fails without counting a failure,
# counts as one failure. The last line is the total, in the same form. Named suites run one after
# the other; of all of them six run at a time, because many only wait for timers and clients.
# test-long is what takes long and finds little that others do not:
#   *-long, of a suite in `test`: more seeds, readers, configurations, compilers or boards
#   unit-clang-long: clang's sanitizers (the matrix has its memory sanitizer), each call in each
#       callback on each connection, transcripts cut at each place: `unit` tries a third of both
#   matrix-long, cpp-long: code of compilers and options where `matrix` and `cpp` only let them read
#       and warn; the self-test with -O3
#   lwip-mutants: the rules of the lwIP port broken one by one; asks whether the tests can fail
#   wire-tls, device-tls, pages-tls: a board over TLS, as secure-app in `test`
#   clients-poll, clients-asan: as posix and clients-tls in `test`
#   slots-sockets-long: attacks on slots, which are the core's, over the sockets port
#   insecure-*-long: pages of a name over plain http, which is no secure context
#   examples-long: the ticker's tests at 1 kHz, which one of them has in `test`
#   apps-long: each example for boards, of which three are in `test`
#   widgets-firefox, tabs-firefox: Firefox has rtpush.js in `test`; browser-firefox-long has all
#       tests of it
#   projects-long: Pico W by its SDK, most of which is compiling the SDK
# Usage: sh tests/run.sh check|test|test-long|SUITE...
#     sh tests/run.sh only SUITE...    without the totals
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/totals.sh
mkdir -p build/log
make="${MAKE:-make} --no-print-directory"
client='node tests/clients/clients.test.mjs'
test_ca='RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem CURL_CA_BUNDLE=build/cert/ca.pem'

# Tests of rtpush.js whose answer is the browser's: its network, its timers, workers, what it logs.
# The others ask what the script makes of that, which Chromium has shown.
firefox='origin_is|dead_link|heard_again|slept|set_back|password|worker|newcomer_asks'
firefox="$firefox|lacks|while_the_socket|after_a_restart|frozen"

# The command of a suite. Building is part of it, so that a build error fails one suite, not all.
command_of() {
    case "$1" in
        lint) echo "python3 tests/lint.py" ;;
        symbols) echo "sh tests/symbols.sh" ;;
        size) echo "sh tests/size.sh" ;;
        stack) echo "python3 tests/stack.py" ;;
        images) echo "$make firmware secure-firmware && python3 tests/figures.py images" ;;
        images-long) echo "$make firmware-bench secure-bench >build/log/boards.txt &&
            cat build/log/boards.txt && python3 tests/figures.py boards build/log/boards.txt" ;;
        unit) echo "sh tests/unit.sh gcc" ;;
        unit-clang-long) echo "SEEDS=300 RTPUSH_PART=0 sh tests/unit.sh clang" ;;
        seeds) echo "sh tests/fuzz/run.sh replay" ;; # of fuzz
        fuzz) echo "sh tests/fuzz/run.sh suite" ;;
        fuzz-long) echo "sh tests/fuzz/run.sh long" ;;
        sim-long) echo "SEEDS=20000 LIMIT=7000 sh tests/unit.sh gcc sim" ;;
        lwip-long) echo "sh tests/lwip/run.sh long" ;;
        matrix) echo "sh tests/matrix.sh" ;;
        matrix-long) echo "LONG=1 sh tests/matrix.sh" ;;
        bench) echo "sh tests/bench/bench.sh test" ;;
        cpp) echo "sh tests/cpp/run.sh" ;;
        cpp-long) echo "LONG=1 sh tests/cpp/run.sh" ;;
        packages) echo "sh tests/packages/run.sh" ;;
        projects) echo "sh tests/packages/boards.sh" ;;
        projects-long) echo "sh tests/packages/boards.sh pico" ;;
        snippets) echo "sh tests/snippets.sh" ;;
        snippets-long) echo "LONG=1 sh tests/snippets.sh" ;;
        clients) echo "$make echo hub && $client build/echo build/hub" ;;
        clients-poll) echo "$make build/echo-poll build/hub-poll &&
            $client build/echo-poll build/hub-poll" ;;
        clients-asan) echo "$make build/echo-asan build/hub-asan &&
            $client build/echo-asan build/hub-asan" ;;
        clients-sockets) echo "$make build/echo-sockets build/hub-sockets &&
            RTPUSH_SUITES='echo http events sockets polling pool' \
            $client build/echo-sockets build/hub-sockets" ;;
        slots-sockets-long) echo "$make build/echo-sockets build/hub-sockets &&
            RTPUSH_SUITES=slots $client build/echo-sockets build/hub-sockets" ;;
        sockets) echo "sh tests/sockets/run.sh" ;;
        windows) echo "sh tests/sockets/windows.sh" ;;
        access) echo "$make build/access && node tests/clients/access.test.mjs build/access" ;;
        gateway-feeds) echo "$make build/gateway-asan &&
            node tests/gateway/feeds.test.mjs build/gateway-asan" ;;
        gateway-rabbit-long) echo "$make build/gateway && LONG=1 READERS=300 EVENTS=20000 \
            node tests/gateway/gateway.test.mjs rabbit build/gateway" ;;
        gateway-kafka) echo "$make build/gateway-asan build/kafka-mock &&
            node tests/gateway/gateway.test.mjs kafka build/gateway-asan" ;;
        gateway-kafka-long) echo "$make build/gateway build/kafka-mock && LONG=1 READERS=300 \
            EVENTS=20000 node tests/gateway/gateway.test.mjs kafka build/gateway" ;;
        gateway-device) echo "sh tests/device/run.sh gateway" ;;
        gateway-caddy) echo "$make build/gateway-asan && sh ports/cert.sh &&
            node tests/gateway/caddy.test.mjs build/gateway-asan" ;;
        gateway-state) echo "$make build/gateway-asan hub &&
            node tests/gateway/state.test.mjs build/gateway-asan" ;;
        gateway-state-long) echo "$make build/gateway-asan build/kafka-mock hub &&
            LONG=1 node tests/gateway/state.test.mjs build/gateway-asan" ;;
        gateway-cut) echo "$make build/gateway-asan &&
            sh tests/gateway/cut.sh redis build/gateway-asan" ;;
        gateway-cut-*-long) echo "$make build/gateway-asan && READERS=60 \
            sh tests/gateway/cut.sh $(echo "$1" | cut -d- -f3) build/gateway-asan" ;;
        gateway-*-long) echo "$make build/gateway hub && READERS=300 EVENTS=20000 \
            node tests/gateway/gateway.test.mjs $(echo "$1" | cut -d- -f2) \
            build/gateway 'readers of'" ;;
        gateway-http) echo "$make build/gateway-asan hub build/hub-tls &&
            node tests/gateway/gateway.test.mjs http build/gateway-asan" ;;
        gateway-*) echo "$make build/gateway-asan hub &&
            node tests/gateway/gateway.test.mjs ${1#gateway-} build/gateway-asan" ;;
        upload) echo "$make build/upload &&
            node tests/clients/upload.test.mjs build/upload" ;;
        proxies) echo "$make build/upload &&
            node tests/proxies/proxies.test.mjs build/upload" ;;
        proxied-pages) echo "$make build/hub build/access &&
            node tests/proxies/pages.test.mjs build/hub build/access" ;;
        slow) echo "sh tests/slow/run.sh" ;;
        posix) echo "sh tests/posix/run.sh" ;;
        threads) echo "$make build/threads && setarch -R build/threads" ;;
        page-size) echo "sh tests/browser/size.sh" ;;
        browser) echo "$make build/dashboard &&
            node tests/browser/dashboard.test.mjs build/dashboard" ;;
        browser-page) echo "$make build/page-server &&
            node tests/browser/page.test.mjs build/page-server" ;;
        browser-firefox) echo "$make build/page-server && RTPUSH_BROWSER=firefox ONLY='$firefox' \
            node tests/browser/page.test.mjs build/page-server" ;;
        browser-firefox-long) echo "$make build/page-server &&
            RTPUSH_BROWSER=firefox node tests/browser/page.test.mjs build/page-server" ;;
        examples) echo "$make -j 2 examples-asan &&
            node tests/browser/examples.test.mjs build/examples-asan" ;;
        examples-long) echo "$make build/examples-asan/ticker &&
            LONG=1 node tests/browser/examples.test.mjs build/examples-asan ticker" ;;
        example-clients-long) echo "$make hub &&
            node tests/browser/clients.test.mjs build/hub Go Node-RED" ;;
        example-clients) echo "$make hub && node tests/browser/clients.test.mjs build/hub" ;;
        browser-tabs) echo "$make build/page-server &&
            node tests/browser/tabs.test.mjs build/page-server" ;;
        tabs-firefox) echo "$make build/page-server &&
            RTPUSH_BROWSER=firefox node tests/browser/tabs.test.mjs build/page-server" ;;
        insecure-dashboard-long) echo "$make build/dashboard && RTPUSH_HOST=device.test \
            node tests/browser/dashboard.test.mjs build/dashboard" ;;
        insecure-page-long) echo "$make build/page-server && RTPUSH_HOST=device.test \
            node tests/browser/page.test.mjs build/page-server" ;;
        insecure-firefox-long) echo "$make build/page-server && RTPUSH_HOST=device.test \
            RTPUSH_BROWSER=firefox node tests/browser/page.test.mjs build/page-server" ;;
        insecure-tabs-long) echo "$make build/page-server && RTPUSH_HOST=device.test LONG=1 \
            node tests/browser/tabs.test.mjs build/page-server" ;;
        browser-faults-long) echo "$make build/page-server &&
            FAULTS=10000 node tests/browser/tabs.test.mjs build/page-server" ;;
        browser-widgets) echo "$make build/widgets-asan &&
            node tests/browser/widgets.test.mjs build/widgets-asan" ;;
        widgets-firefox) echo "$make build/widgets-asan && RTPUSH_BROWSER=firefox \
            node tests/browser/widgets.test.mjs build/widgets-asan" ;;
        lwip) echo "sh tests/lwip/run.sh" ;;
        apps-long) echo "sh tests/device/run.sh apps" ;;
        wire-boards-long) echo "sh tests/device/run.sh wire-boards" ;;
        wire | wire-tls | device | device-tls | pages | pages-tls | widgets | selftest | boards | \
            secure-device | secure-app)
            echo "sh tests/device/run.sh $1" ;;
        lwip-threads) echo "sh tests/lwip/threads.sh" ;;
        mutants-self) echo "python3 tests/mutants.py selftest" ;;
        lwip-mutants) echo "sh tests/lwip/mutants.sh" ;;
        tls) echo "sh tests/tls/run.sh" ;;
        tls-long) echo "sh tests/tls/run.sh long" ;;
        tls-mbedtls) echo "sh tests/tls/mbedtls_run.sh" ;;
        tls-mbedtls-long) echo "sh tests/tls/mbedtls_run.sh long" ;;
        clients-mbedtls) echo "$make build/echo-mbedtls build/hub-mbedtls && $test_ca $client \
            build/echo-mbedtls build/hub-mbedtls" ;;
        clients-tls) echo "$make build/echo-tls build/hub-tls && $test_ca $client \
            build/echo-tls build/hub-tls" ;;
        secure-mbedtls) echo "$make build/secure-mbedtls && $test_ca \
            node tests/clients/secure.test.mjs build/secure-mbedtls" ;;
        secure) echo "$make build/secure-asan && $test_ca node tests/clients/secure.test.mjs \
            build/secure-asan" ;;
        secure-browser) echo "$make build/secure-asan && $test_ca \
            node tests/browser/secure.test.mjs build/secure-asan" ;;
        *) return 1 ;;
    esac
}

# Runs one suite; leaves "PASSED FAILED SKIPPED SECONDS CPU" in build/log/SUITE.totals. CPU is what
# its processes used, in seconds: a suite that waits costs little, one that compiles much.
run_suite() {
    suite="$1"
    log="build/log/$suite.log"
    began="$(date +%s)"
    limit=2400 # against a program that hangs; those of one test are shorter
    case "$suite" in *-long) limit=7200 ;; esac
    (
        export RTPUSH_LIMIT_S="$((limit - 200))" # so that what hangs is named
        timeout -k 10 "$limit" sh -c "$(command_of "$suite")" >"$log" 2>&1 </dev/null
        status=$?
        times >"$log.times"
        exit "$status"
    )
    counts="$(totals "$log" $? 2>"$log.reason")"
    cpu="$(awk -F '[ms ]+' 'END { print int($1 * 60 + $2 + $3 * 60 + $4 + .5) }' "$log.times")"
    echo "$counts $(($(date +%s) - began)) $cpu" >"build/log/$suite.totals"
    # One at a time, or the lines of two suites would mix.
    { echo "== $suite"; cat "$log"; sed "s/^/$suite: /" "$log.reason"; } | flock build/log/lock cat
}

at_a_time=1
busy=''
case "${1:-test}" in
    only)
        shift
        for suite in "$@"; do
            run_suite "$suite"
        done
        exit
        ;;
    check)
        at_a_time=2
        chains='unit
lint symbols mutants-self'
        ;;
    test-long)
        chains='tls-mbedtls-long clients-mbedtls secure-mbedtls sim-long lwip-long lwip-mutants
            clients-poll slots-sockets-long wire-tls wire-boards-long device-tls widgets-firefox
            browser-firefox-long
            fuzz-long unit-clang-long clients-asan pages-tls tabs-firefox browser-faults-long
            insecure-dashboard-long insecure-page-long insecure-firefox-long insecure-tabs-long
            images-long examples-long apps-long example-clients-long projects-long matrix-long
            cpp-long snippets-long tls-long gateway-redis-long gateway-nats-long
            gateway-state-long gateway-rabbit-long gateway-cut-nats-long gateway-cut-rabbit-long
            gateway-kafka-long'
        ;;
    # A line is a chain: what builds in the same place goes one after the other. Long ones first.
    # Those of `busy` compile and compute, two at a time; the others mostly wait.
    test)
        at_a_time=4
        busy='
matrix
lwip lwip-threads
tls tls-mbedtls
unit
windows
snippets bench
size stack images
cpp packages projects
fuzz
symbols lint mutants-self page-size'
        chains='
gateway-redis gateway-state
gateway-rabbit gateway-nats
gateway-http gateway-feeds gateway-kafka
device pages widgets selftest
clients clients-tls
secure-app secure-device
browser browser-page browser-firefox browser-tabs
wire
clients-sockets sockets
browser-widgets
secure secure-browser
examples example-clients
gateway-device gateway-caddy gateway-cut
access upload proxies proxied-pages
posix slow threads
boards'
        ;;
    *) chains="$*" ;;
esac
for suite in $busy $chains; do
    if ! command_of "$suite" >/dev/null; then
        echo "run: no suite called $suite" >&2
        exit 2
    fi
    rm -f "build/log/$suite.totals"
done
began_all="$(date +%s)"
if [ "${1:-test}" = test ]; then
    # What several chains need is made before they begin. If that fails, so do they, and say why.
    sh tests/lwip/fetch.sh >build/log/fetch.log 2>&1 &
    fetch=$!
    $make -j 2 build/core-asan.o build/core-cortex-m0plus.o build/core-cortex-m3.o hub \
        build/gateway-asan build/dashboard build/widgets-asan build/hub-tls build/echo-tls \
        build/secure-asan examples-asan >build/log/prepare.log 2>&1
    wait "$fetch"
    $make -j 2 firmware secure-firmware >>build/log/prepare.log 2>&1
fi
if [ -n "$busy" ]; then
    echo "$busy" | xargs -P 2 -L 1 sh tests/run.sh only &
fi
echo "$chains" | xargs -P "$at_a_time" -L 1 sh tests/run.sh only
wait

passed=0
failed=0
skipped=0
echo "== totals"
for suite in $busy $chains; do
    read -r p f s took cpu <"build/log/$suite.totals" || { p=0 f=1 s=0 took=0 cpu=0; }
    printf '%-14s %5s passed %4s failed %5s s %5s s of CPU\n' "$suite" "$p" "$f" "$took" "$cpu"
    passed=$((passed + p))
    failed=$((failed + f))
    skipped=$((skipped + s))
done
echo "together $(($(date +%s) - began_all)) s"
if [ "$skipped" = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
