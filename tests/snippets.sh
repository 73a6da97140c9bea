#!/bin/sh
# The code that users copy: the first example (README.md, and QUICK START of rtpush.h, which are the
# same), the other blocks of C in the manual, and the programs under examples/.
# Each is compiled as C99 and as C++11, C++17 and C++20 by gcc and clang without a warning; the
# first example also runs, and must serve its page and its events.
# The last line is `N passed, N failed`.
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/snippets
rm -rf "$out"
mkdir -p "$out"
warn='-Wall -Wextra -Wno-missing-field-initializers -Werror'
passed=0
failed=0

# check NAME COMMAND...: one test
check() {
    what="$1"
    shift
    if "$@" >"$out/log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "ok   $what"
    else
        failed=$((failed + 1))
        echo "FAIL $what"
        sed 's/^/    /' "$out/log" | head -n 20
    fi
}

# -- taking them out -------------------------------------------------------------------------------
# README_NUMBER.c for each block, then QUICK START without its "//     ".
awk -v out="$out" '
    /^```c$/ { file = out "/readme_" ++n ".c"; next }
    /^```$/ { file = ""; next }
    file { print > file }' README.md
sed -n '/^\/\/ QUICK START$/,/^\/\/ MODEL$/p' rtpush.h | sed '1d;$d' | sed '$d' |
    sed 's|^//     ||; s|^//$||' >"$out/quick_start.c"
# The blocks of code in the chapter ACCESS: lines with four spaces more than its text, one behind
# the other. Continued rows of its table have more, and no such line before them.
sed -n '/^\/\/ ACCESS$/,/^\/\/ ERRORS$/p' rtpush.h | awk -v out="$out" '
    /^\/\/         [^ ]/ { if (!in_block) { in_block = 1; n++ } }
    in_block && !/^\/\/         / { in_block = 0 }
    in_block { print substr($0, 12) > (out "/access_" n ".inc") }'

check the_readme_and_the_manual_show_the_same_program \
    cmp "$out/readme_1.c" "$out/quick_start.c"
check the_manual_has_the_blocks_that_are_compiled \
    sh -c "test \$(ls '$out' | grep -c '^access_') = 2 && test ! -f '$out/readme_2.c'"

# -- compiling them --------------------------------------------------------------------------------
# gcc alone wants -D_GNU_SOURCE with -std=c99 to show sockets; the usual gnu99 does without. Those
# of GNU are read alone, with LONG=1 they run too: what they make of it is what the others do.
compilers='gcc -std=c99 -D_GNU_SOURCE
gcc -std=gnu99
gcc -std=gnu17
clang -std=c99 -D_GNU_SOURCE
clang -std=gnu17
g++ -x c++ -std=c++11
g++ -x c++ -std=c++17
g++ -x c++ -std=c++20
clang++ -x c++ -std=c++11
clang++ -x c++ -std=c++17
clang++ -x c++ -std=c++20'

# free_port: a TCP port nobody listens on
free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# The page, and an event of the topic, by name and by address; another name is told what to set.
serves() {
    "$1" >"$out/run" 2>&1 &
    pid=$!
    result=1
    tries=0
    until curl -s "http://127.0.0.1:$2/" >"$out/page" && result=0; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || break
        sleep 0.1
    done
    grep -q 'EventSource' "$out/page" || result=1
    curl -sN -m 30 "http://127.0.0.1:$2/events" |
        grep --line-buffered '^data: [0-9:]\{8\}$' | head -n 2 >"$out/events"
    test "$(wc -l <"$out/events")" = 2 || result=1
    curl -s -H 'Host: clock.local' "http://127.0.0.1:$2/" | grep -q EventSource || result=1
    curl -s -H 'Host: other.local' "http://127.0.0.1:$2/" | grep -q 'desc.hosts' || result=1
    # A second one cannot listen there, and says why.
    timeout 30 "$1" 2>&1 | grep -q "127.0.0.1:$2: Address already in use" || result=1
    # It waits between two seconds instead of turning round: that cost less than 0.2 s of CPU.
    ticks="$(awk '{ print $14 + $15 }' "/proc/$pid/stat")"
    test "${ticks:-99}" -lt 20 || result=1
    kill "$pid" && wait "$pid" 2>/dev/null
    cat "$out/run" "$out/events"
    return "$result"
}

echo "$compilers" >"$out/compilers"
while read -r compiler; do
    name="$(echo "$compiler" | sed 's/-x c++ //')"
    case "${LONG:-0} $compiler" in
        '0 '*-std=gnu*)
            # shellcheck disable=SC2086 # words
            check "$name compiles the first example" \
                $compiler $warn -fsyntax-only -I. "$out/readme_1.c"
            # shellcheck disable=SC2086
            check "$name compiles what ACCESS shows" \
                $compiler $warn -fsyntax-only -I. -I"$out" tests/snippets/access.c
            continue
            ;;
    esac
    port="$(free_port)"
    sed "s/8080/$port/g" "$out/readme_1.c" >"$out/clock.c"
    case "$compiler" in # warnings that need optimisation: once for each language
        'gcc -std=c99'* | 'g++ -x c++ -std=c++11') optimise=-O1 ;;
        *) optimise=-O0 ;;
    esac
    # shellcheck disable=SC2086 # words
    check "$name compiles the first example" \
        $compiler $warn $optimise -I. "$out/clock.c" -o "$out/clock" -lpthread
    check "$name: the first example serves" serves "$out/clock" "$port"
    # shellcheck disable=SC2086
    check "$name compiles what ACCESS shows" \
        $compiler $warn -I. -I"$out" tests/snippets/access.c -o "$out/access"
    check "$name: which does what it says" "$out/access"
done <"$out/compilers"

# -- the examples as C++ ---------------------------------------------------------------------------
# Designated initialisers are C++20, g++ has them before; those of arrays are an extension.
make -s build/dashboard_assets.h build/secure_assets.h build/widgets_assets.h >"$out/log" 2>&1
# LONG=1: in two more ways, of the same compilers.
for compiler in 'g++ -std=c++11' 'g++ -std=c++20' ${LONG:+"g++ -std=c++17"} \
    'clang++ -std=c++11 -Wno-c++20-designator -Wno-c99-designator' \
    ${LONG:+"clang++ -std=c++20 -Wno-c99-designator"}; do
    for source in examples/echo/*.c examples/hub/*.c examples/dashboard/*.c \
        examples/secure/app.c examples/secure/inbox.c examples/secure/secure.c \
        examples/widgets/app.c examples/shared/posix.c; do
        # shellcheck disable=SC2086
        check "$(echo "$compiler" | sed 's/ -Wno.*//') compiles $source" \
            $compiler -x c++ $warn -fsyntax-only -I. -Ibuild "$source"
    done
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
