#!/bin/sh
# Copies headers, CMake files and a pkg-config file to DESTDIR/PREFIX: nothing is compiled.
#     #include <rtpush.h>  #include <ports/rtpush_posix.h>  in C and C++, by
#     cc $(pkg-config --cflags rtpush) ..., or find_package(rtpush) and rtpush::core, rtpush::posix
# Usage: PREFIX=/usr/local DESTDIR= sh ports/packages/install.sh
set -eu
cd "$(dirname "$0")/../.."
prefix="${PREFIX:-/usr/local}"
root="${DESTDIR:-}$prefix"
version="$(sh ports/packages/version.sh)"
umask 022
mkdir -p "$root/include/rtpush/ports" "$root/lib/cmake/rtpush" "$root/share/pkgconfig" \
    "$root/share/rtpush/browser" "$root/share/doc/rtpush"
cp rtpush.h "$root/include/rtpush/"
cp ports/*.h ports/*.hpp "$root/include/rtpush/ports/"
cp ports/cmake/rtpush-config.cmake ports/cmake/rtpush-config-version.cmake ports/cmake/*.c \
    "$root/lib/cmake/rtpush/"
sed -e "s|@PREFIX@|$prefix|g" -e "s|@VERSION@|$version|g" ports/cmake/rtpush.pc.in \
    >"$root/share/pkgconfig/rtpush.pc"
cp ports/*.sh "$root/share/rtpush/" # assets, certificates, dashboard
cp ports/browser/* "$root/share/rtpush/browser/"
cp README.md LICENSE "$root/share/doc/rtpush/"
