# To be sourced: what a program of tests has counted.
#
# totals LOG STATUS: prints "PASSED FAILED SKIPPED" of a log: its last line `N passed, N failed`
# (`, N skipped` may follow), or, without such a line, the sum of cmocka's summaries. Nothing
# counted, no test run, or an exit status other than 0 with no failure counted: one failure more,
# and the reason on stderr.
totals() {
    set -- "$2" $(awk '
        /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ {
            passed = $1; skipped = $5; counted = 1
            if ($3 > failed) { failed = $3 } # a part that failed is not forgotten
        }
        /^\[  PASSED  \] [0-9]+ test/ { cmocka_passed += $4; seen = 1 }
        /^\[  FAILED  \] [0-9]+ test/ { cmocka_failed += $4; seen = 1 }
        END {
            if (!counted) { passed = cmocka_passed }
            if (!counted || !failed) { failed = cmocka_failed }
            print passed + 0, failed + 0, skipped + 0, seen + counted
        }' "$1")
    if [ "$5" = 0 ]; then
        echo "printed no totals (exit status $1)" >&2
        set -- "$1" "$2" 1 "$4"
    elif [ "$1" != 0 ] && [ "$3" = 0 ]; then
        echo "exit status $1, though no test was counted as failed" >&2
        set -- "$1" "$2" 1 "$4"
    elif [ "$2" = 0 ] && [ "$3" = 0 ]; then
        echo "ran no test" >&2
        set -- "$1" 0 1 "$4"
    fi
    echo "$2 $3 $4"
}

# part NAME SECONDS COMMAND: runs a program of a suite, prints what it counted, and adds that to
# $passed and $failed. Its log is $out/log.NAME. The limit is of a quiet machine; it is ended after
# four times as long.
passed=0
failed=0
part() {
    log="$out/log.$1"
    timeout "$(($2 * 4))" sh -c "$3" >"$log" 2>&1 </dev/null
    status=$?
    # shellcheck disable=SC2046 # numbers
    set -- "$1" $(totals "$log" "$status")
    if [ "$3" != 0 ]; then
        grep -vE '^\[( RUN     |       OK |=+)|^ok |^(  |=>)0x|^Shadow' "$log" | head -n 60
        echo "FAIL $1 (exit status $status): see $log"
    fi
    printf '%-28s %5s passed %4s failed\n' "$1" "$2" "$3"
    passed=$((passed + $2))
    failed=$((failed + $3))
}
