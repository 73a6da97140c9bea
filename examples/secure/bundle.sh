#!/bin/sh
# Turns page/, ports/browser/rtpush.js and the look of the examples into C by ports/assets.sh.
#     sh examples/secure/bundle.sh build/secure_assets.h
set -eu
if [ $# -ne 1 ]; then
    echo "usage: sh bundle.sh OUTPUT.h" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The pages are uncompressed: a handler answers with one of them, depending on the cookie.
for page in login dashboard; do
    sed 's/^ *//' "$here/page/$page.html" >"$work/$page.html"
done
sh "$here/../../ports/assets.sh" "$1" "$here/page/app.js" "$here/../../ports/browser/rtpush.js" \
    "/style.css=$here/../shared/look.css+$here/page/style.css" \
    --plain "$work/login.html" "$work/dashboard.html"
