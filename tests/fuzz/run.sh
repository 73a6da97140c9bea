#!/bin/sh
# Builds the fuzz target (connection.c) and runs it. Whatever fails is left in build/fuzz/found: put
# it into tests/fuzz/failed once its cause is known.
# Usage: sh tests/fuzz/run.sh replay        each seed and each input that ever failed, by gcc alone
#        sh tests/fuzz/run.sh suite         ... and 6 s of libFuzzer from a fixed seed
#        sh tests/fuzz/run.sh long          ... or 300 s of libFuzzer and 120 s of AFL++
#        sh tests/fuzz/run.sh fuzz SECONDS  libFuzzer; goes on with what it found in earlier runs
#        sh tests/fuzz/run.sh afl SECONDS   AFL++
set -u
cd "$(dirname "$0")/../.." || exit 1
out=build/fuzz
flags='-std=c99 -g1 -Wall -Wextra -Wno-unused-function -fno-omit-frame-pointer
    -fno-sanitize-recover=all -I. tests/fuzz/connection.c'
mkdir -p "$out/found" "$out/corpus" "$out/transcripts"
passed=0
failed=0

# shellcheck disable=SC2086 # flags are meant to split
build() {
    case "$1" in
        replay) gcc -O0 $flags -fsanitize=address,undefined -DFUZZ_MAIN -o "$out/replay" ;;
        libfuzzer) clang -O1 $flags -fsanitize=fuzzer,address,undefined \
            -fsanitize-coverage-ignorelist=tests/fuzz/ignored.txt -o "$out/libfuzzer" ;;
        afl) AFL_USE_ASAN=1 AFL_USE_UBSAN=1 AFL_QUIET=1 afl-clang-fast -O1 $flags \
            -fsanitize=fuzzer -o "$out/afl" >"$out/afl-build.log" 2>&1 ||
            { cat "$out/afl-build.log"; return 1; } ;;
    esac
}

# Runs every seed; adds to passed and failed.
replay() {
    build replay && "$out/replay" -w "$out/transcripts" || return 1
    find "$out/transcripts" tests/fuzz/seeds tests/fuzz/failed -type f ! -name '*.md' |
        xargs "$out/replay" >"$out/replay.log" 2>&1
    cat "$out/replay.log"
    set -- $(tail -n 1 "$out/replay.log")
    passed=$((passed + ${1:-0}))
    failed=$((failed + ${3:-1}))
}

# $1 passed or failed, as the command behind it says. $1: name.
one() {
    name="$1"
    shift
    if "$@" >"$out/$name.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        grep -vE '^#|NEW_FUNC' "$out/$name.log" | tail -n 40
    fi
}

libfuzzer() { # SECONDS, further options
    seconds="$1"
    shift
    "$out/libfuzzer" -max_len=4096 -timeout=20 -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="$out/found/" "$@" tests/fuzz/seeds tests/fuzz/failed "$out/transcripts"
}

afl() { # SECONDS
    rm -rf "$out/afl-out"
    AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 \
        afl-fuzz -V "$1" -i tests/fuzz/seeds -o "$out/afl-out" -t 2000+ -m none -- "$out/afl" &&
        [ -z "$(ls "$out/afl-out/default/crashes")" ]
}

set -- "${1:-suite}" "${2:-60}"
case "$1" in
    replay) replay || failed=$((failed + 1)) ;;
    suite | long)
        replay || failed=$((failed + 1))
        one build-libfuzzer build libfuzzer
        mkdir -p "$out/suite" # what is found here is not kept: each run is the same
        rm -f "$out"/suite/*
        if [ "$1" = suite ]; then
            one libfuzzer libfuzzer 6 -seed=1 "$out/suite"
        else
            one libfuzzer libfuzzer 300 "$out/suite"
            one build-afl build afl
            one afl afl 120
        fi
        ;;
    fuzz)
        replay || failed=$((failed + 1))
        build libfuzzer && libfuzzer "$2" "$out/corpus"
        exit
        ;;
    afl)
        build afl && afl "$2"
        exit
        ;;
    *)
        echo "usage: sh tests/fuzz/run.sh [replay|suite|long|fuzz SECONDS|afl SECONDS]" >&2
        exit 2
        ;;
esac
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
