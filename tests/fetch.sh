#!/bin/sh
# Brings the source of a Debian package to FOLDER, or with --binary the files that it would install,
# checked by apt's signatures. Uses an apt configuration of its own under build/, so nothing
# of the system changes and no root is needed. What is there already (FOLDER/PROBE exists) is left
# alone.
# Usage: sh tests/fetch.sh [--binary] PACKAGE VERSION RELEASE FOLDER PROBE
#   e.g. sh tests/fetch.sh lwip 2.1 bookworm build/lwip/2.1 src/core/tcp.c
# DEBIAN_MIRROR names another mirror than http://deb.debian.org/debian.
set -u
cd "$(dirname "$0")/.." || exit 1
kind=deb-src
if [ "${1:-}" = --binary ]; then
    kind=deb
    shift
fi
if [ $# != 5 ]; then
    sed -n 's/^# Usage: /usage: /p' "$0" >&2
    exit 2
fi
package="$1"
version="$2"
release="$3"
home="$(pwd)/$4"
probe="$5"
mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
keys=/usr/share/keyrings/debian-archive-keyring.gpg

if [ -f "$home/$probe" ]; then
    exit 0
fi
for tool in apt-get dpkg-source dpkg-deb; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "fetch: $tool is missing (Debian packages apt, dpkg-dev)" >&2
        exit 1
    fi
done

# In the current folder, PACKAGE-VERSION/...  "$@": options of apt-get.
unpack() {
    if [ "$kind" = deb-src ]; then
        apt-get "$@" -q source --only-source "$package"
        return
    fi
    apt-get "$@" -q download "$package" || return 1
    name="$(basename "$package"_*.deb .deb)" # PACKAGE_VERSION_ARCHITECTURE
    name="${name%_*}"
    dpkg-deb -x "$package"_*.deb "$package-${name#*_}"
}

fetch() {
    apt="$home.part/apt"
    rm -rf "$home" "$home.part"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/etc"
    echo "$kind [signed-by=$keys] $mirror $release main" >"$apt/etc/sources.list"
    : >"$apt/status"
    # Everything apt reads or writes lies under $apt; APT_CONFIG is read before the system's files,
    # the -o options after them.
    set -- -o "Dir::Etc::SourceList=$apt/etc/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State=$apt" -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" \
        -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 \
        -o Acquire::Languages=none -o APT::Get::List-Cleanup=0
    if ! apt-get "$@" -q update >"$home.part/log" 2>&1 </dev/null; then
        cat "$home.part/log" >&2
        return 1
    fi
    if ! (cd "$home.part" && unpack "$@") >>"$home.part/log" 2>&1 </dev/null; then
        cat "$home.part/log" >&2
        return 1
    fi
    tree="$(ls -d "$home.part/$package"-*/"$probe" | head -n 1)"
    tree="${tree%/"$probe"}"
    case "$tree" in
        "$home.part/$package-$version"*) ;;
        *) echo "fetch: $release has ${tree##*/}, not $package $version" >&2; return 1 ;;
    esac
    rm -rf "$apt" && mv "$tree" "$home" && rm -rf "$home.part"
}

if ! fetch; then
    echo "fetch: $package $version could not be had from $mirror" >&2
    exit 1
fi
