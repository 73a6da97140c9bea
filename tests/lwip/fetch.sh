#!/bin/sh
# Brings lwIP's source from Debian to build/lwip/VERSION/src, checked by apt's signatures. Uses an
# apt configuration of its own under build/, so nothing of the system changes and no root is needed.
# A version that is there already is left alone.
# Usage: sh tests/lwip/fetch.sh [2.1|2.2]...      (both)
# DEBIAN_MIRROR names another mirror than http://deb.debian.org/debian.
set -u
cd "$(dirname "$0")/../.." || exit 1
top="$(pwd)/build/lwip"
mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
keys=/usr/share/keyrings/debian-archive-keyring.gpg

# The Debian release that has this version.
release_of() {
    case "$1" in
        2.1) echo bookworm ;; # 2.1.3
        2.2) echo trixie ;;   # 2.2.1
        *) echo "fetch: no lwIP $1, only 2.1 and 2.2" >&2; return 1 ;;
    esac
}

for tool in apt-get dpkg-source; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "fetch: $tool is missing (Debian packages apt, dpkg-dev)" >&2
        exit 1
    fi
done

fetch() {
    version="$1"
    release="$(release_of "$version")" || return 1
    home="$top/$version"
    if [ -f "$home/src/core/tcp.c" ]; then
        return 0
    fi
    apt="$home.part/apt"
    rm -rf "$home" "$home.part"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/etc"
    echo "deb-src [signed-by=$keys] $mirror $release main" >"$apt/etc/sources.list"
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
    if ! (cd "$home.part" && apt-get "$@" -q source --only-source lwip) \
        >>"$home.part/log" 2>&1 </dev/null; then
        cat "$home.part/log" >&2
        return 1
    fi
    tree="$(ls -d "$home.part"/lwip-*/src | head -n 1)"
    tree="${tree%/src}"
    case "$tree" in
        "$home.part/lwip-$version"*) ;;
        *) echo "fetch: $release has ${tree##*/}, not lwIP $version" >&2; return 1 ;;
    esac
    rm -rf "$apt" && mv "$tree" "$home" && rm -rf "$home.part"
}

failed=0
for version in ${*:-2.1 2.2}; do
    if ! fetch "$version"; then
        echo "fetch: lwIP $version could not be had from $mirror" >&2
        failed=1
    fi
done
exit "$failed"
