#!/bin/sh
# The build matrix: the core under every compiler, language, optimisation and option we promise,
# with strict warnings as errors. Each combination is one test; those that fit are also run.
# Clang warns as it reads: -O changes nothing there, so it generates code only where that is run or
# the suite is the long one. gcc warns of some things as it optimises: it has each -O in one job;
# for another processor or language, whose warnings are the same, it only reads.
# Usage: sh tests/matrix.sh [PATTERN]    only combinations whose name matches the grep pattern
#        LONG=1 sh tests/matrix.sh [PATTERN]    those that repeat others, with code generated
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/matrix
rm -rf "$out"
mkdir -p "$out/job"
only="${1:-.}"

# What a user's own project may be compiled with; the header must be silent under all of it.
both='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wcast-qual -Wvla -Werror'
c_only='-Wstrict-prototypes -Wmissing-prototypes'
strict_gcc="$both $c_only"
strict_clang="$both $c_only -Wreserved-identifier"
strict_gcc_cxx="$both"
strict_clang_cxx="$both -Wreserved-identifier"
# avr-gcc is 5.4: its -Wconversion does not follow masks and shifts, so it is left out there.
strict_avr='-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wcast-qual -Wvla -Werror'

# The options that leave something out, as rtpush.h itself names them.
options="$(grep -oE 'RTPUSH_NO_[A-Z_]+' rtpush.h | sort -u)"
all_off="$(for o in $options; do printf ' -D%s' "$o"; done)"

# -- sources ---------------------------------------------------------------------------------------
printf '#define RTPUSH_IMPLEMENTATION\n#include "rtpush.h"\n' >"$out/core.c"
cp "$out/core.c" "$out/core.cpp"
cat >"$out/user.c" <<'END'
// Uses the header without its implementation, as a second file of a program does.
#include "rtpush.h"
int user_init(rtpush_server *srv, const rtpush_desc *desc);
int user_init(rtpush_server *srv, const rtpush_desc *desc)
{
    static uint64_t memory[RTPUSH_WORDS(2, 256, 256, 256, 1, 32)]; // a constant in each language
    rtpush_desc copy = *desc;
    copy.memory = memory;
    copy.memory_size = sizeof memory;
    return rtpush_init(srv, &copy);
}
END
sed 's/int user_init(rtpush_server \*srv, const rtpush_desc \*desc);/extern "C" &/' \
    "$out/user.c" >"$out/user.cpp"
cat >"$out/main.c" <<'END'
// Two files, one implementation: the program must link, and an empty desc be refused with a reason.
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
#include "rtpush.h" // once more does no harm
int user_init(rtpush_server *srv, const rtpush_desc *desc);
static rtpush_server server;
int main(void)
{
    rtpush_desc desc;
    unsigned char *bytes = (unsigned char *)&desc;
    for (size_t i = 0; i < sizeof desc; i++) {
        bytes[i] = 0;
    }
    if (user_init(&server, &desc) != RTPUSH_ERR_CONFIG) {
        return 1;
    }
    return rtpush_config_error(&server)[0] == '\0';
}
END
cat >"$out/late.c" <<'END'
// The implementation may be asked for after the header was already seen.
#include "rtpush.h"
#define RTPUSH_IMPLEMENTATION
#include "rtpush.h"
END

count=0
long="${LONG:-0}"
job() {
    [ "$long" = 1 ] || queue "$@"
}
long_job() {
    [ "$long" = 0 ] || queue "$@"
}
# queue NAME COMMAND: one test; the command is run by sh -e from the top of the repository.
queue() {
    if [ "$only" != . ] && ! echo "$1" | grep -qE -- "$only"; then
        return 0
    fi
    count=$((count + 1))
    id="$(printf '%03d' "$count")"
    echo "$1" >"$out/job/$id.name"
    printf 'set -e\n%s\n' "$2" | sed "s|@|$out/job/$id|g" >"$out/job/$id.sh"
}

# -- the core: compiler x language x optimisation --------------------------------------------------
# A standard changes what is read, an optimisation what is warned of later: they are not multiplied.
# -O2 is that of RTPUSH_GATEWAY below, -Os that of the Cortex-M3; the suite packages has the core
# with -O3, the suite cpp has code of C++.
for o in -O0 -Os -O3; do
    [ $o = -O0 ] && queue=job || queue=long_job
    $queue "gcc -std=c99 $o" "gcc -std=c99 $o $strict_gcc -I. -c $out/core.c -o @.o"
    long_job "g++ -std=c++11 $o" "g++ -std=c++11 $o $strict_gcc_cxx -I. -c $out/core.cpp -o @.o"
    long_job "clang -std=c99 $o" "clang -std=c99 $o $strict_clang -I. -c $out/core.c -o @.o"
    long_job "clang++ -std=c++11 $o" \
        "clang++ -std=c++11 $o $strict_clang_cxx -I. -c $out/core.cpp -o @.o"
done

for std in c11 c17 c2x; do
    job "gcc -std=$std" "gcc -std=$std $strict_gcc -I. -fsyntax-only $out/core.c"
done
for std in c99 c11 c17 c2x; do
    job "clang -std=$std" "clang -std=$std $strict_clang -I. -fsyntax-only $out/core.c"
done
for std in c++11 c++17 c++20; do
    job "g++ -std=$std" "g++ -std=$std $strict_gcc_cxx -I. -fsyntax-only $out/core.cpp"
    job "clang++ -std=$std" "clang++ -std=$std $strict_clang_cxx -I. -fsyntax-only $out/core.cpp"
done

# -- every option singly, in pairs, and all together -----------------------------------------------
for o in $options; do
    job "gcc -D$o" "gcc -std=c99 -O0 $strict_gcc -D$o -I. -c $out/core.c -o @.o"
    long_job "gcc -D$o, -Os" "gcc -std=c99 -Os $strict_gcc -D$o -I. -c $out/core.c -o @.o"
    job "clang -D$o" "clang -std=c99 $strict_clang -D$o -I. -fsyntax-only $out/core.c"
    job "g++ -D$o" "g++ -std=c++11 $strict_gcc_cxx -D$o -I. -fsyntax-only $out/core.cpp"
    long_job "clang -D$o, code" "clang -std=c99 -Os $strict_clang -D$o -I. -c $out/core.c -o @.o"
    long_job "g++ -D$o, code" \
        "g++ -std=c++11 -Os $strict_gcc_cxx -D$o -I. -c $out/core.cpp -o @.o"
done
if [ "$(echo "$options" | wc -l)" -gt 2 ]; then # of two the pair is all
    for o in $options; do
        for p in $(echo "$options" | awk -v o="$o" 'after { print } $0 == o { after = 1 }'); do
            job "gcc -D$o -D$p" "gcc -std=c99 -O1 $strict_gcc -D$o -D$p -I. -c $out/core.c -o @.o"
        done
    done
fi
if [ -n "$options" ]; then
    job "gcc, every option off" "gcc -std=c99 -Os $strict_gcc $all_off -I. -c $out/core.c -o @.o"
    job "clang, every option off" \
        "clang -std=c99 $strict_clang $all_off -I. -fsyntax-only $out/core.c"
    long_job "clang, every option off, code" \
        "clang -std=c99 -Os $strict_clang $all_off -I. -c $out/core.c -o @.o"
fi

# -- the option that adds something, alone and with every other ------------------------------------
for o in -DRTPUSH_GATEWAY "-DRTPUSH_GATEWAY$all_off"; do
    job "clang $o" "clang -std=c99 $strict_clang $o -I. -fsyntax-only $out/core.c"
    job "g++ $o" "g++ -std=c++11 $strict_gcc_cxx $o -I. -fsyntax-only $out/core.cpp"
    job "clang++ $o" "clang++ -std=c++20 $strict_clang_cxx $o -I. -fsyntax-only $out/core.cpp"
    long_job "gcc $o, -O2" "gcc -std=c99 -O2 $strict_gcc $o -I. -c $out/core.c -o @.o"
    long_job "clang $o, code" "clang -std=c99 -O2 $strict_clang $o -I. -c $out/core.c -o @.o"
    long_job "g++ $o, code" "g++ -std=c++11 -Os $strict_gcc_cxx $o -I. -c $out/core.cpp -o @.o"
    long_job "clang++ $o, code" \
        "clang++ -std=c++20 -Os $strict_clang_cxx $o -I. -c $out/core.cpp -o @.o"
done
job "gcc -DRTPUSH_GATEWAY" \
    "gcc -std=c99 -O2 $strict_gcc -DRTPUSH_GATEWAY -I. -c $out/core.c -o @.o"
job "gcc -DRTPUSH_GATEWAY, every option off" \
    "gcc -std=c99 -O1 $strict_gcc -DRTPUSH_GATEWAY $all_off -I. -c $out/core.c -o @.o"

# -- the header alone, and two files ---------------------------------------------------------------
for std in c99 c11 c17 c2x; do
    job "gcc, header only, -std=$std" "gcc -std=$std $strict_gcc -I. -c $out/user.c -o @.o"
    job "clang, header only, -std=$std" \
        "clang -std=$std $strict_clang -I. -fsyntax-only $out/user.c"
done
for std in c++11 c++17 c++20; do
    job "g++, header only, -std=$std" "g++ -std=$std $strict_gcc_cxx -I. -c $out/user.cpp -o @.o"
    job "clang++, header only, -std=$std" \
        "clang++ -std=$std $strict_clang_cxx -I. -fsyntax-only $out/user.cpp"
done
job "gcc, header first, implementation later" \
    "gcc -std=c99 $strict_gcc -I. -fsyntax-only $out/late.c"
job "two C files link and run" \
    "gcc -std=c99 $strict_gcc -I. $out/main.c $out/user.c -o @.bin
@.bin"
job "a C++ file beside the C implementation links and runs" \
    "gcc -std=c99 $strict_gcc -I. -c $out/main.c -o @.1.o
g++ -std=c++11 $strict_gcc_cxx -I. -c $out/user.cpp -o @.2.o
g++ @.1.o @.2.o -o @.bin
@.bin"
# Styles are not asked for: cppcheck is here for what is wrong, not for taste. All configurations
# take 20 s more, and differ in what is defined for other compilers.
job "cppcheck finds nothing" \
    "cppcheck --quiet --std=c99 --language=c --enable=warning,portability,performance \
--inline-suppr --suppress=missingIncludeSystem --max-configs=2 --error-exitcode=1 -I. $out/core.c"

# -- microcontrollers ------------------------------------------------------------------------------
arm="arm-none-eabi-gcc -mthumb -std=c99 -Os -ffunction-sections $strict_gcc -I."
# With these warnings the Makefile compiles the core for both, for the suites size, symbols and
# stack, and size compiles it with every option off.
for cpu in cortex-m0plus cortex-m3; do
    job "arm-none-eabi-gcc $cpu" "make --no-print-directory build/core-$cpu.o"
    if [ -n "$options" ]; then
        long_job "arm-none-eabi-gcc $cpu, every option off" \
            "$arm -mcpu=$cpu $all_off -c $out/core.c -o @.o"
    fi
done
# An enum is as short as its values there.
arm_cxx="arm-none-eabi-g++ -mthumb -mcpu=cortex-m3 -std=c++11 -Os $strict_gcc_cxx -I."
job "arm-none-eabi-g++ cortex-m3" "$arm_cxx -fsyntax-only $out/core.cpp"
long_job "arm-none-eabi-g++ cortex-m3, code" "$arm_cxx -c $out/core.cpp -o @.o"
avr="avr-gcc -mmcu=atmega2560 -std=c99 -Os $strict_avr -I."
job "avr-gcc atmega2560, int of 16 bits" "$avr -c $out/core.c -o @.o"
job "avr-gcc atmega2560, memory of a server" "$avr -c $out/user.c -o @.o"
if [ -n "$options" ]; then
    job "avr-gcc atmega2560, every option off" "$avr $all_off -fsyntax-only $out/core.c"
    long_job "avr-gcc atmega2560, every option off, code" "$avr $all_off -c $out/core.c -o @.o"
fi
powerpc='powerpc-linux-gnu-gcc -Os' # the self-test below has code of the core
job "powerpc-linux-gnu-gcc, big-endian" \
    "$powerpc -std=c99 $strict_gcc -I. -fsyntax-only $out/core.c"
long_job "powerpc-linux-gnu-gcc, big-endian, code" \
    "$powerpc -std=c99 $strict_gcc -I. -c $out/core.c -o @.o"

# -- ports -----------------------------------------------------------------------------------------
for port in ports/rtpush_*.h; do
    [ -e "$port" ] || continue
    macro="$(grep -oE 'RTPUSH_[A-Z]*_?IMPLEMENTATION' "$port" |
        grep -vx RTPUSH_IMPLEMENTATION | head -n 1)"
    name="$(basename "$port" .h)"
    case "$name" in
        rtpush_posix | rtpush_multipart | rtpush_access | rtpush_json | rtpush_dash) ;;
        *) continue ;; # needs its stack's headers: built by its own tests
    esac
    # Without the core's implementation, which the jobs above have; examples have both in one file.
    core='#include "rtpush.h"\n'
    [ "$name" = rtpush_dash ] && core="$core"'#include "ports/rtpush_json.h"\n'
    printf "$core"'#define %s\n#include "%s"\n' "$macro" "$port" >"$out/$name.c"
    cp "$out/$name.c" "$out/$name.cpp"
    printf "$core"'#include "%s"\nint rtpush_user_of_port;\n' "$port" \
        >"$out/${name}_user.c"
    job "$name, gcc" "gcc -std=gnu99 -Os $strict_gcc -I. -c $out/$name.c -o @.o"
    job "$name, clang" "clang -std=gnu99 $strict_clang -I. -fsyntax-only $out/$name.c"
    # What the C library declares depends on the standard: only a port that includes its headers can
    # tell them apart.
    if [ "$name" = rtpush_posix ]; then
        for std in 'c99 -D_GNU_SOURCE' 'c99 -D_POSIX_C_SOURCE=200809L' gnu99 gnu11; do
            for poll in '' ' -DRTPUSH_POSIX_POLL'; do
                job "$name, gcc -std=$std$poll" \
                    "gcc -std=$std$poll $strict_gcc -I. -fsyntax-only $out/$name.c"
                job "$name, clang -std=$std$poll" \
                    "clang -std=$std$poll $strict_clang -I. -fsyntax-only $out/$name.c"
            done
        done
    fi
    job "$name, g++" "g++ -std=c++11 $strict_gcc_cxx -I. -fsyntax-only $out/$name.cpp"
    job "$name, header only" "gcc -std=gnu99 $strict_gcc -I. -fsyntax-only $out/${name}_user.c"
    job "$name, big-endian" "$powerpc -std=gnu99 $strict_gcc -I. -fsyntax-only $out/$name.c"
    long_job "$name, big-endian, code" \
        "$powerpc -std=gnu99 $strict_gcc -I. -c $out/$name.c -o @.o"
done

# A program may implement all of them in one file, so no two have a name of their own in common.
{
    printf '#define RTPUSH_IMPLEMENTATION\n#include "rtpush.h"\n'
    for port in posix sockets access multipart json dash; do
        printf '#define RTPUSH_%s_IMPLEMENTATION\n#include "ports/rtpush_%s.h"\n' \
            "$(echo "$port" | tr a-z A-Z)" "$port"
    done
} | tee "$out/all.c" >"$out/all.cpp"
job "all ports that need no stack in one file, gcc" \
    "gcc -std=gnu99 $strict_gcc -I. -fsyntax-only $out/all.c"
job "all ports that need no stack in one file, g++" \
    "g++ -std=c++11 $strict_gcc_cxx -I. -fsyntax-only $out/all.cpp"

printf '#include "rtpush.h"\n#define RTPUSH_SOCKETS_IMPLEMENTATION\n#include "%s"\n' \
    ports/rtpush_sockets.h | tee "$out/sockets.c" >"$out/sockets.cpp"
for way in '' ' -DRTPUSH_SOCKETS_SELECT'; do
    for std in 'c99 -D_GNU_SOURCE' 'c99 -D_POSIX_C_SOURCE=200809L' gnu11; do
        job "rtpush_sockets, gcc -std=$std$way" \
            "gcc -std=$std$way $strict_gcc -I. -fsyntax-only $out/sockets.c"
        job "rtpush_sockets, clang -std=$std$way" \
            "clang -std=$std$way $strict_clang -I. -fsyntax-only $out/sockets.c"
    done
    job "rtpush_sockets, g++$way" \
        "g++ -std=c++11$way $strict_gcc_cxx -I. -fsyntax-only $out/sockets.cpp"
    long_job "rtpush_sockets, g++$way, code" \
        "g++ -std=c++11$way -Os $strict_gcc_cxx -I. -c $out/sockets.cpp -o @.o"
    job "rtpush_sockets, clang++$way" \
        "clang++ -std=c++11$way $strict_clang_cxx -I. -fsyntax-only $out/sockets.cpp"
done
job "rtpush_sockets, gcc" "gcc -std=gnu99 -Os $strict_gcc -I. -c $out/sockets.c -o @.o"
job "rtpush_sockets, big-endian" \
    "$powerpc -std=gnu99 $strict_gcc -I. -fsyntax-only $out/sockets.c"
long_job "rtpush_sockets, big-endian, code" \
    "$powerpc -std=gnu99 $strict_gcc -I. -c $out/sockets.c -o @.o"

# -- examples: clean under the same warnings, as people copy from them; the Makefile links them ----
own_main() { # as the Makefile's
    echo "-DAPP_HEADER='\"examples/$1/app.h\"' examples/$1/app.c examples/shared/posix.c"
}

for example in examples/*/; do
    name="$(basename "$example")"
    ls "$example"*.c >/dev/null 2>&1 || continue
    before=''
    if [ -e "$example/build.sh" ]; then # not for this machine: it says how
        job "example $name, gcc" "make --no-print-directory build/dashboard_assets.h
OUT=@.d WARN='$strict_gcc' sh $example/build.sh lm3s6965evb
$arm -I$example -isystem build/lwip/2.1/src/include -fsyntax-only $example/rtpush.c"
        continue
    fi
    if [ -e "$example/bundle.sh" ]; then
        before="sh $example/bundle.sh @_assets.h
mkdir -p @.d
cp @_assets.h @.d/${name}_assets.h
"
    fi
    sources="$example*.c"
    if [ "$name" = widgets ]; then # its page is not its own
        before="sh ports/dash.sh @.d/widgets_assets.h examples/dashboard/node_modules/uplot
"
        sources="$(own_main widgets)"
    elif [ "$name" = selftest ]; then # beside a sketch
        sources="$(own_main selftest)"
    elif [ -e "$example/page/index.html" ] && [ "$name" != dashboard ]; then # over examples/shared
        make --no-print-directory "build/pages/${name}_page.h" >/dev/null
        sources="-Ibuild/pages -Iexamples/shared $sources"
    elif [ "$name" = gateway ]; then # with every source
        for broker in redis nats rabbit kafka http mqtt pubsub core; do
            sources="-DGATEWAY_WITH_$broker $sources"
        done
    elif [ "$name" = secure ]; then # TLS
        sources="$example/secure.c $example/app.c"
    fi
    job "example $name, gcc" \
        "${before}gcc -std=c99 $strict_gcc -I@.d -I. -fsyntax-only $sources"
    job "example $name, clang" \
        "${before}clang -std=c99 $strict_clang -I@.d -I. -fsyntax-only $sources"
done

# -- the self-test, built without a test framework, where the machine differs ----------------------
selftest=tests/unit/selftest.c
flags='-std=c99 -g1 -Wall -Wextra -Wno-unused-function -I. -Itests/unit'
# unit-clang-long has all seeds and places; here a transcript is cut at every fifth place only, or
# at every tenth. PowerPC has 32 bits, the other order of bytes and unsigned char; it runs what an
# optimiser makes of the code, without sanitizers.
long_job "self-test under gcc -O3, char unsigned" \
    "gcc $flags -O3 -funsigned-char $selftest -o @.bin
timeout 600 @.bin 50 5"
long_job "self-test under clang -Os" "clang $flags -Os $selftest -o @.bin
timeout 600 @.bin 20 5"
memory='-fsanitize=memory -fno-sanitize-recover=all'
job "self-test under the memory sanitizer" "clang $flags -O0 $memory $selftest -o @.bin
timeout 600 @.bin 10 10"
long_job "self-test under the memory sanitizer, -O1" "clang $flags -O1 $memory $selftest -o @.bin
timeout 600 @.bin 10 5"
job "self-test on big-endian PowerPC of 32 bits" \
    "powerpc-linux-gnu-gcc $flags -O2 -static $selftest -o @.bin
timeout 600 qemu-ppc @.bin 10 10"

# -- run -------------------------------------------------------------------------------------------
jobs="$(nproc 2>/dev/null || echo 2)"
ls "$out"/job/*.sh 2>/dev/null | xargs -P "$jobs" -I '{}' \
    sh -c 'timeout 1500 sh "$1" >"$1.log" 2>&1 </dev/null && : >"$1.ok"' job '{}'

passed=0
failed=0
for script in "$out"/job/*.sh; do
    [ -e "$script" ] || continue
    name="$(cat "${script%.sh}.name")"
    if [ -e "$script.ok" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        sed 's/^/    /' "$script.log" | head -n 15
        echo "    (again: sh $script)"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
