#!/bin/sh
# Line and branch coverage of rtpush.h and of each port by unit tests, simulations, TLS tests and
# client suites. The scripts of these run as they are, in a copy of the tree, with a compiler in
# front of PATH that leaves out sanitizers and optimisation and adds --coverage. Prints a table and
# the lines with branches that nothing reached (all: build/coverage/report.txt). What cannot be
# reached stands with its reason in coverage.py. Fails if a suite does, and, with all suites, if a
# line, or of the branches of a file 3 %, are reached by nothing and without a reason.
# Usage: sh tests/coverage.sh [SUITE...]
# of: unit posix sockets tls tls-mbedtls lwip lwip-threads clients access threads slow
set -u
cd "$(dirname "$0")/.." || exit 1
all='unit posix sockets tls tls-mbedtls lwip lwip-threads clients access threads slow'
suites="${*:-$all}"
top="$PWD/build/coverage"
tree="$top/tree"
rm -rf "$top"
mkdir -p "$top/bin" "$tree"
git ls-files -co --exclude-standard -z | xargs -0 tar -cf - | tar -xf - -C "$tree"
# What was fetched, and the certificates.
mkdir -p "$tree/build/lwip"
sh tests/lwip/fetch.sh >/dev/null && cp -r build/lwip/2.1 build/lwip/2.2 "$tree/build/lwip/"
sh tests/tls/mbedtls.sh host >/dev/null && cp -r build/mbedtls "$tree/build/"
sh ports/cert.sh build/cert >/dev/null && cp -r build/cert "$tree/build/"
for folder in tests/clients tests/browser; do
    [ -d "$folder/node_modules" ] && ln -s "$PWD/$folder/node_modules" "$tree/$folder/node_modules"
done
for name in gcc cc; do
    cat >"$top/bin/$name" <<'END'
#!/bin/sh
for word; do
    shift
    case "$word" in
        -fsanitize=* | -fno-sanitize* | -O*) ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec /usr/bin/gcc "$@" -O0 --coverage -fprofile-update=atomic
END
    chmod +x "$top/bin/$name"
done
export PATH="$top/bin:$PATH" CC=gcc

# The command of a suite, in the tree.
command_of() {
    case "$1" in
        unit) echo 'SEEDS=100 RTPUSH_PART=0 LIMIT=1500 sh tests/unit.sh gcc' ;;
        posix) echo 'sh tests/posix/run.sh' ;;
        sockets) echo 'sh tests/sockets/run.sh poll select threads lwip-LOCK lwip-MAIL' ;;
        tls) echo 'mkdir -p build/tls && for p in test_tls sim; do
            gcc -std=c99 -I. tests/tls/$p.c -o build/tls/$p -lcmocka -lbearssl &&
            build/tls/$p 40; done' ;;
        tls-mbedtls) echo 'for p in test_tls sim; do
            gcc -std=c99 -I. -DP_MBEDTLS $(sh tests/tls/mbedtls.sh flags host) tests/tls/$p.c \
                tests/tls/bearssl.c build/mbedtls/lib-host.a -o build/tls/$p-mbedtls -lcmocka \
                -lbearssl && build/tls/$p-mbedtls $([ $p = sim ] && echo 40); done
            build/tls/test_tls-mbedtls 1.3' ;;
        lwip) echo 'sh tests/lwip/build.sh 2.1-HEAP 2.2-SMALL 2.2-TINY 2.2-PICO 2.1-HEAP-TLS &&
            for b in 2.1-HEAP 2.2-SMALL; do build/lwip/sim-$b rules;
                build/lwip/sim-$b allocs 1 9; build/lwip/sim-$b seeds 1 60; done
            for b in TINY PICO; do build/lwip/sim-2.2-$b seeds 1 30; done
            build/lwip/sim-2.1-HEAP-TLS seeds 1 20' ;;
        lwip-threads) echo 'sh tests/lwip/threads.sh' ;;
        *) echo "sh tests/run.sh $1" ;;
    esac
}
failed=''
for suite in $suites; do
    echo "coverage: $suite"
    (cd "$tree" && nice -n 5 timeout 3000 sh -c "$(command_of "$suite")") \
        >"$top/$suite.log" 2>&1 </dev/null || failed="$failed $suite"
    tail -n 1 "$top/$suite.log"
done

[ "$suites" = "$all" ] && whole=whole || whole=''
python3 tests/coverage.py "$tree" "$top/report.txt" $whole || failed="$failed coverage"
for suite in $failed; do
    echo "FAIL $suite: see $top/$suite.log" | sed "s|$top/coverage.log|$top/report.txt|"
done
[ -z "$failed" ]
