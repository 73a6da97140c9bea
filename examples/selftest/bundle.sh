#!/bin/sh
# Turns page/ and ports/browser/rtpush.js into C by ports/assets.sh.
#     sh examples/selftest/bundle.sh build/selftest_assets.h
set -eu
if [ $# -ne 1 ]; then
    echo "usage: sh bundle.sh OUTPUT.h" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
ports=$here/../../ports
sh "$ports/assets.sh" "$1" --routes SELFTEST_ROUTES "$here/page/index.html" \
    "$here/page/selftest.js" "$ports/browser/rtpush.js"
