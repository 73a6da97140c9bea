#!/bin/sh
# rtpush.js for a page that is not bundled, minified by esbuild: rtpush.min.js, a module, and
# rtpush.iife.js, a classic script whose global `rtpush` has what the module exports (the default
# export is rtpush.default).
#
#     sh ports/page.sh FOLDER
set -eu
if [ $# -ne 1 ]; then
    echo "usage: sh page.sh FOLDER" >&2
    exit 2
fi
command -v esbuild >/dev/null || { echo "page.sh: esbuild is missing" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
small='--bundle --minify --target=safari15 --log-level=warning'
# shellcheck disable=SC2086 # several options
esbuild $small --format=esm --outfile="$1/rtpush.min.js" "$here/browser/rtpush.js"
# A classic script has no import.meta. As a worker it has no document, and needs no address.
# shellcheck disable=SC2086
esbuild $small --format=iife --global-name=rtpush --define:import.meta.url=rtpushScript \
    --banner:js='var rtpushScript=globalThis.document?.currentScript?.src;' \
    --outfile="$1/rtpush.iife.js" "$here/browser/rtpush.js"
