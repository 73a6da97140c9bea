#!/bin/sh
# Builds every package and uses it: the Arduino library with a sketch, CMake from git and as
# installed, meson, pkg-config, npm by a small program each; the rest by its rules (rules.py).
# Usage: sh tests/packages/run.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/totals.sh
here="$PWD"
out="$here/build/packages"
rm -rf "$out"
mkdir -p "$out/log"
export HOME="$out/home" # no settings of whoever runs this
mkdir -p "$HOME"
git config --global core.compression 0 # most of what git would compute here
passed=0
failed=0

# try NAME COMMAND...: one test, passed if the command succeeds
try() {
    name="$1"
    shift
    if "$@" >"$out/log/last" 2>&1 </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        tail -n 15 "$out/log/last" | sed 's/^/    /'
    fi
}

# prints TEXT COMMAND...: the command succeeds and prints the text
prints() {
    text="$1"
    shift
    "$@" >"$out/log/printed" 2>&1 && grep -qF -- "$text" "$out/log/printed" ||
        { cat "$out/log/printed"; return 1; }
}

number="$(sed -n 's/^#define RTPUSH_VERSION 0x\([0-9a-f]*\)u.*/\1/p' rtpush.h)"
serves="rtpush $number serves"

# -- a clone, as somebody who installs from git gets it, of what is here now -----------------------
clone="$out/git/rtpush"
mkdir -p "$clone"
git ls-files --cached --others --exclude-standard | while read -r f; do
    [ -e "$f" ] && echo "$f"
done | tar -cf - -T - | tar -C "$clone" -xf -
git="git -C $clone -c user.name=test -c user.email=test@example.org -c init.defaultBranch=main"
try "a clone" sh -c "$git init -q && $git add -A && $git commit -qm test"

# -- the trees -------------------------------------------------------------------------------------
in_clone="make --no-print-directory -C $clone"
try "make package" $in_clone package URL=https://example.org/rtpush
first="$(cat "$clone/build/package/SHA256SUMS")"
try "make package again" $in_clone package URL=https://example.org/rtpush
try "gives the same bytes" [ "$first" = "$(cat "$clone/build/package/SHA256SUMS")" ]
package="$clone/build/package"
python3 tests/packages/rules.py "$package" >"$out/log/rules" 2>&1
# shellcheck disable=SC2046 # three numbers
set -- $(totals "$out/log/rules" $?)
passed=$((passed + $1))
failed=$((failed + $2))
[ "$2" = 0 ] || cat "$out/log/rules"
for tree in esp-idf zephyr; do # their sources, for this machine
    for source in "$package/$tree"/src/*.c; do
        try "$tree: $(basename "$source") compiles" gcc -std=c99 -Wall -Wextra -Werror \
            -I"$package/$tree/include" -fsyntax-only "$source"
    done
done

# -- a branch for each tree ------------------------------------------------------------------------
address=https://example.org/rtpush
branches="$out/branches"
release() {
    URL="$address" sh "$branches/ports/packages/release.sh"
}
refs() {
    git -C "$branches" for-each-ref --format='%(refname) %(objectname)' refs/heads
}
commits() { # BRANCH COUNT
    [ "$(git -C "$branches" rev-list --count "$1")" = "$2" ]
}
gives() { # TREE: what a clone of its branch has
    git clone -q -b "$1" "file://$branches" "$out/branch-$1" &&
        diff -r -x .git "$package/$1" "$out/branch-$1"
}
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@example.org
export GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@example.org
try "release: a clone" git clone -q "$clone" "$branches"
head="$(git -C "$branches" rev-parse HEAD)"
try "release" release
for tree in platformio arduino esp-idf zephyr npm; do
    try "release: a clone of the branch $tree is its tree" gives $tree
    try "release: ... in one commit" commits $tree 1
done
try "release: HEAD stays" \
    [ "$(git -C "$branches" rev-parse HEAD main)" = "$(printf '%s\n' "$head" "$head")" ]
try "release: work tree and index stay" [ -z "$(git -C "$branches" status --porcelain)" ]
before="$(refs)"
try "release again" release
try "release: without a change no commit" [ "$before" = "$(refs)" ]
echo '// changed' >>"$branches/rtpush.h"
try "release: not of what is not committed" sh -c \
    "! URL=$address sh '$branches/ports/packages/release.sh'"
try "release: a change" git -C "$branches" commit -qam change
try "release: a second time" release
try "release: one commit more where the tree changed" commits platformio 2
try "release: none where it did not" commits npm 1

# -- Arduino: the package, and the clone as it is --------------------------------------------------
# DECIMAL_DIG: that core's WString.cpp needs it with gcc 5.4.
arduino() { # LIBRARIES BUILD
    mkdir -p "$2" "$out/cache"
    arduino-builder -compile -hardware /usr/share/arduino-builder \
        -hardware /usr/share/arduino/hardware -tools /usr/bin -libraries "$1" \
        -fqbn arduino:avr:mega:cpu=atmega2560 -build-path "$2" -build-cache "$out/cache" \
        -prefs=compiler.cpp.extra_flags=-DDECIMAL_DIG=17 "$here/tests/packages/mega/mega.ino" &&
        [ -s "$2/mega.ino.hex" ]
}
mkdir -p "$out/libraries"
cp -r "$package/arduino" "$out/libraries/rtpush"
try "Arduino: a sketch with the package" arduino "$out/libraries" "$out/mega"
try "Arduino: the page of the self-test is in the package" \
    grep -q SELFTEST_ROUTES "$package/arduino/examples/selftest/selftest_assets.h"
try "Arduino: the self-test compiles with it" gcc -std=c99 -Wall -Wextra -Werror -fsyntax-only \
    -DARDUINO -I"$package/arduino/src" "$package/arduino/examples/selftest/app.c"
try "Arduino: a sketch with a clone" arduino "$out/git" "$out/mega-clone"

# -- make install, pkg-config, CMake ---------------------------------------------------------------
try "make install" $in_clone install PREFIX=/usr/local DESTDIR="$out/root"
try "make install to where it is used" $in_clone install PREFIX="$out/usr"
try "DESTDIR is in no file" sh -c "! grep -rq '$out' '$out/root'"
export PKG_CONFIG_PATH="$out/usr/share/pkgconfig"
try "pkg-config: the version" [ "$(pkg-config --modversion rtpush)" = \
    "$(sh ports/packages/version.sh)" ]
# shellcheck disable=SC2046 # flags split
try "pkg-config: builds" gcc -std=c99 -DUSE_HEADERS $(pkg-config --cflags rtpush) \
    tests/packages/use/main.c -o "$out/by-pkg-config" $(pkg-config --libs rtpush)
try "pkg-config: runs" prints "$serves" "$out/by-pkg-config"

cmake_use() { # BUILD OPTION...
    build="$1"
    shift
    cmake -S "$here/tests/packages/use" -B "$build" \
        -DCMAKE_C_FLAGS='-std=c99 -Wall -Werror' "$@" && cmake --build "$build"
}
sh tests/lwip/fetch.sh >/dev/null 2>&1
lwip="$here/tests/lwip/os;$here/build/lwip/2.1/src/include"
try "CMake: find_package" cmake_use "$out/installed" -DCMAKE_PREFIX_PATH="$out/usr" \
    -DCMAKE_BUILD_TYPE=Release
try "CMake: find_package: runs" prints "$serves" "$out/installed/use"
try "CMake: FetchContent, with lwIP" cmake_use "$out/fetched" -DRTPUSH_GIT="file://$clone" \
    -DLWIP="$lwip"
try "CMake: FetchContent: runs" prints "$serves" "$out/fetched/use"

# -- meson, npm ------------------------------------------------------------------------------------
cp -r tests/packages/use "$out/meson"
mkdir -p "$out/meson/subprojects"
cp -r "$package/meson/." "$out/meson/subprojects/"
sed -i -e "s|^url = .*|url = file://$clone|" -e 's|^revision = .*|revision = main|' \
    "$out/meson/subprojects/rtpush.wrap"
unset PKG_CONFIG_PATH
try "meson: builds" sh -c "meson setup '$out/meson/build' '$out/meson' && \
    meson compile -C '$out/meson/build'"
try "meson: runs" prints "$serves" "$out/meson/build/use"

mkdir -p "$out/npm"
echo '{ "private": true, "type": "module" }' >"$out/npm/package.json"
echo "import { connect, websocket } from 'rtpush';
if (typeof connect !== 'function' || websocket.name !== 'websocket') throw new Error('empty');" \
    >"$out/npm/use.js"
try "npm: packs" sh -c "cd '$out/npm' && npm pack --silent '$package/npm'"
try "npm: installs what it packed" sh -c "cd '$out/npm' && npm install --offline --no-audit \
    --no-fund ./rtpush-*.tgz && test ! -L node_modules/rtpush"
try "npm: is imported by Node.js" sh -c "cd '$out/npm' && node use.js"
try "npm: is imported by esbuild, without what is not used" sh -c "cd '$out/npm' && \
    esbuild --bundle --minify --format=esm --log-level=error use.js --outfile=used.js && \
    node used.js && grep -q WebSocket used.js && ! grep -q EventSource used.js"
try "npm: has the classic script and the types" sh -c "cd '$out/npm/node_modules/rtpush' && \
    test -s rtpush.iife.js && test -s rtpush.d.ts"
mkdir -p "$out/npm-git"
echo '{ "private": true }' >"$out/npm-git/package.json"
try "npm: installs from its branch" sh -c "cd '$out/npm-git' && npm install --offline --no-audit \
    --no-fund 'git+file://$branches#npm' && [ -s node_modules/rtpush/package.json ]"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
