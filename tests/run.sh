#!/bin/sh
# Runs suites one after the other and adds up what they print. A suite is a command that ends with a
# line `N passed, N failed` (`, N skipped` may follow); one that prints none, or fails without
# counting a failure, counts as one failure. The last line is the total, in the same form.
# Usage: sh tests/run.sh check|test|SUITE...
set -u
cd "$(dirname "$0")/.." || exit 1
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
        wire | device | pages | boards | secure-device | secure-app)
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

case "${1:-test}" in
    check) suites='lint symbols unit' ;;
    test) suites='lint symbols size stack unit unit-clang matrix threads clients clients-poll
        clients-asan access browser lwip lwip-threads mutants wire device pages boards tls
        clients-tls secure secure-browser secure-device secure-app' ;;
    *) suites="$*" ;;
esac

passed=0
failed=0
skipped=0
summary=''
for suite in $suites; do
    if ! command="$(command_of "$suite")"; then
        echo "run: no suite called $suite" >&2
        exit 2
    fi
    echo "== $suite"
    log="build/log/$suite.log"
    began="$(date +%s)"
    { timeout -k 10 600 sh -c "$command" 2>&1 </dev/null; echo $? >"$log.status"; } | tee "$log"
    status="$(cat "$log.status")"
    took=$(($(date +%s) - began))
    totals="$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)"
    if [ -z "$totals" ]; then
        echo "$suite: printed no totals (exit status $status)"
        totals='0 passed, 1 failed'
    fi
    set -- $(echo "$totals" | tr -cd '0-9 ')
    if [ "$status" != 0 ] && [ "$2" = 0 ]; then
        echo "$suite: exit status $status, though no test was counted as failed"
        set -- "$1" 1 "${3:-0}"
    fi
    if [ "$1" = 0 ] && [ "$2" = 0 ]; then
        echo "$suite: ran no test"
        set -- 0 1 "${3:-0}"
    fi
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + ${3:-0}))
    summary="$summary$(printf '%-14s %5s passed %4s failed %5s s' "$suite" "$1" "$2" "$took")
"
done

echo "== totals"
printf '%s' "$summary"
if [ "$skipped" = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
