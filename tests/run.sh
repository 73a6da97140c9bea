#!/bin/sh
# Runs suites and adds up what they print. A suite is a command that ends with a line `N passed,
# N failed` (`, N skipped` may follow); one that prints none, or fails without counting a failure,
# counts as one failure. The last line is the total, in the same form. Named suites run one after
# the other; all of them run in three lanes, because many only wait for timers and clients.
# Usage: sh tests/run.sh check|test|SUITE...
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/totals.sh
mkdir -p build/log
make="${MAKE:-make} --no-print-directory"
client='node tests/clients/clients.test.mjs'
test_ca='RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem CURL_CA_BUNDLE=build/cert/ca.pem'

# The command of a suite. Building is part of it, so that a build error fails one suite, not all.
command_of() {
    case "$1" in
        lint) echo "python3 tests/lint.py" ;;
        symbols) echo "sh tests/symbols.sh" ;;
        size) echo "sh tests/size.sh" ;;
        stack) echo "python3 tests/stack.py" ;;
        unit) echo "sh tests/unit.sh gcc" ;;
        unit-clang) echo "sh tests/unit.sh clang" ;;
        matrix) echo "sh tests/matrix.sh" ;;
        clients) echo "$make echo hub && $client build/echo build/hub" ;;
        clients-poll) echo "$make build/echo-poll build/hub-poll &&
            $client build/echo-poll build/hub-poll" ;;
        clients-asan) echo "$make build/echo-asan build/hub-asan &&
            $client build/echo-asan build/hub-asan" ;;
        access) echo "$make build/access && node tests/clients/access.test.mjs build/access" ;;
        threads) echo "$make build/threads && setarch -R build/threads" ;;
        browser) echo "$make build/dashboard &&
            node tests/browser/dashboard.test.mjs build/dashboard" ;;
        lwip) echo "sh tests/lwip/run.sh" ;;
        wire | wire-tls | device | device-tls | pages | pages-tls | boards | secure-device | \
            secure-app)
            echo "sh tests/device/run.sh $1" ;;
        lwip-threads) echo "sh tests/lwip/threads.sh" ;;
        mutants) echo "sh tests/lwip/mutants.sh" ;;
        tls) echo "sh tests/tls/run.sh" ;;
        clients-tls) echo "$make build/echo-tls build/hub-tls && $test_ca $client \
            build/echo-tls build/hub-tls" ;;
        secure) echo "$make build/secure-asan && $test_ca node tests/clients/secure.test.mjs \
            build/secure-asan" ;;
        secure-browser) echo "$make build/secure-asan && $test_ca \
            node tests/browser/secure.test.mjs build/secure-asan" ;;
        *) return 1 ;;
    esac
}

# Runs one suite; leaves "PASSED FAILED SKIPPED SECONDS" in build/log/SUITE.totals.
run_suite() {
    suite="$1"
    log="build/log/$suite.log"
    began="$(date +%s)"
    rm -f "build/log/$suite.totals"
    timeout -k 10 600 sh -c "$(command_of "$suite")" >"$log" 2>&1 </dev/null
    counts="$(totals "$log" $? 2>"$log.reason")"
    echo "$counts $(($(date +%s) - began))" >"build/log/$suite.totals"
    # One at a time, or the lines of two suites would mix.
    { echo "== $suite"; cat "$log"; sed "s/^/$suite: /" "$log.reason"; } | flock build/log/lock cat
}

case "${1:-test}" in
    check) lanes='lint symbols unit' ;;
    # One computes, two mostly wait: for the minute of eight clients, and for other clients.
    test) lanes='
lint symbols size stack unit unit-clang matrix threads lwip lwip-threads mutants tls
device pages boards secure-device secure-app pages-tls access
clients clients-poll clients-asan browser wire wire-tls clients-tls device-tls secure secure-browser
' ;;
    *) lanes="$*" ;;
esac
for suite in $lanes; do
    if ! command_of "$suite" >/dev/null; then
        echo "run: no suite called $suite" >&2
        exit 2
    fi
done
began_all="$(date +%s)"
if [ "${1:-test}" = test ]; then
    # What several lanes need is made before they begin. If that fails, so do they, and say why.
    sh tests/lwip/fetch.sh >build/log/prepare.log 2>&1
    $make hub build/dashboard build/hub-tls build/echo-tls build/dashboard-tls \
        build/secure-asan firmware secure-firmware >>build/log/prepare.log 2>&1
fi
while read -r lane; do
    for suite in $lane; do
        run_suite "$suite"
    done </dev/null &
done <<LANES
$lanes
LANES
wait

passed=0
failed=0
skipped=0
echo "== totals"
for suite in $lanes; do
    read -r p f s took <"build/log/$suite.totals" || { p=0 f=1 s=0 took=0; }
    printf '%-14s %5s passed %4s failed %5s s\n' "$suite" "$p" "$f" "$took"
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
