#!/bin/sh
# Brings lwIP's source from Debian to build/lwip/VERSION/src; see tests/fetch.sh.
# Usage: sh tests/lwip/fetch.sh [2.1|2.2]...      (both)
set -u
cd "$(dirname "$0")/../.." || exit 1

# The Debian release that has this version.
release_of() {
    case "$1" in
        2.1) echo bookworm ;; # 2.1.3
        2.2) echo trixie ;;   # 2.2.1
        *) echo "fetch: no lwIP $1, only 2.1 and 2.2" >&2; return 1 ;;
    esac
}

failed=0
for version in ${*:-2.1 2.2}; do
    if ! release="$(release_of "$version")" ||
        ! sh tests/fetch.sh lwip "$version" "$release" "build/lwip/$version" src/core/tcp.c; then
        failed=1
    fi
done
exit "$failed"
