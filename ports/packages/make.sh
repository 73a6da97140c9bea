#!/bin/sh
# Builds the package of each ecosystem as a tree, an archive and a checksum, complete in its root:
#     build/package/platformio  build/package/platformio.tar.gz  build/package/SHA256SUMS ...
# release.sh puts each tree on a branch of its own, so that it can be installed from git. The
# version is RTPUSH_VERSION of rtpush.h.
# Usage: [URL=https://...] sh ports/packages/make.sh [OUT [NAME...]]
#     OUT (build/package), NAME of platformio arduino esp-idf zephyr npm meson (all)
set -eu
cd "$(dirname "$0")/../.."
out="${1:-build/package}"
[ $# -gt 0 ] && shift
names="${*:-platformio arduino esp-idf zephyr npm meson}"
templates=ports/packages
version="$(sh ports/packages/version.sh)"
url="${URL:-$(git config --get remote.origin.url 2>/dev/null || true)}"
url="${url:-https://example.org/rtpush}" # a clone that came from nowhere
url="${url%.git}"

fill() { # TEMPLATE FILE: with version and address
    mkdir -p "$(dirname "$2")"
    sed -e "s|@VERSION@|$version|g" -e "s|@URL@|$url|g" -e "s|@PREFIX@|${prefix:-/usr/local}|g" \
        "$1" >"$2"
}

headers() { # FOLDER: rtpush.h and the ports, to be included as in the repository
    mkdir -p "$1/ports"
    cp rtpush.h "$1/"
    cp ports/*.h ports/*.hpp "$1/ports/"
}

papers() { # TREE
    cp LICENSE "$1/"
    fill "$templates/readme.in" "$1/README.md"
}

sketches() { # TREE: those of examples/ that are one, each in a folder of its own name
    for sketch in examples/*/*.ino; do
        folder="$1/examples/$(basename "$sketch" .ino)"
        mkdir -p "$folder"
        cp "$sketch" "$folder/"
    done
    cp examples/selftest/app.[ch] "$1/examples/selftest/"
    sh examples/selftest/bundle.sh "$1/examples/selftest/selftest_assets.h"
}

implementation() { # FOLDER: the files that compile the headers
    mkdir -p "$1"
    cp ports/cmake/core.c "$1/rtpush_core.c"
    cp ports/cmake/sockets.c "$1/rtpush_sockets.c"
}

extras() { # FOLDER: scripts and pages that are not compiled
    mkdir -p "$1/browser"
    cp ports/*.sh "$1/"
    cp ports/browser/* "$1/browser/"
}

package_arduino() {
    headers "$1/src"
    sketches "$1"
    extras "$1/extras"
    fill "$templates/arduino/properties.in" "$1/library.properties"
    cp "$templates/arduino/keywords.txt" "$1/"
}

package_platformio() {
    headers "$1/src"
    sketches "$1"
    extras "$1/extras"
    fill "$templates/platformio/manifest.in" "$1/library.json"
}

package_esp_idf() {
    headers "$1/include"
    implementation "$1/src"
    extras "$1/extras"
    fill "$templates/esp-idf/idf_component.yml.in" "$1/idf_component.yml"
    cp "$templates/esp-idf/CMakeLists.txt" "$templates/Kconfig" "$1/"
}

package_zephyr() {
    headers "$1/include"
    implementation "$1/src"
    extras "$1/extras"
    mkdir -p "$1/zephyr"
    cp "$templates/zephyr/module.yml" "$templates/zephyr/CMakeLists.txt" "$1/zephyr/"
    cp "$templates/zephyr/Kconfig" "$1/zephyr/Kconfig"
    sed '/^menu /d; /^endmenu/d' "$templates/Kconfig" >>"$1/zephyr/Kconfig"
    echo 'endif' >>"$1/zephyr/Kconfig"
}

package_npm() {
    mkdir -p "$1"
    cp ports/browser/* "$1/"
    sh ports/page.sh "$1"
    fill "$templates/npm/package.json.in" "$1/package.json"
}

package_meson() { # what a project copies into its folder subprojects/
    mkdir -p "$1/packagefiles/rtpush"
    fill "$templates/meson/rtpush.wrap.in" "$1/rtpush.wrap"
    fill "$templates/meson/meson.build.in" "$1/packagefiles/rtpush/meson.build"
}

mkdir -p "$out"
for name in $names; do
    rm -rf "${out:?}/$name"
    mkdir -p "$out/$name"
    "package_$(echo "$name" | tr - _)" "$out/$name"
    case "$name" in
        npm) cp LICENSE "$out/$name/" ;; # its README.md is that of ports/browser
        meson) ;;
        *) papers "$out/$name" ;;
    esac
    # The same bytes from the same commit.
    tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --mtime="2026-01-01 UTC" \
        -C "$out" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
    echo "$out/$name.tar.gz: $(wc -c <"$out/$name.tar.gz") bytes"
done
(cd "$out" && sha256sum ./*.tar.gz | sed 's|\./||' >SHA256SUMS)
