#!/bin/sh
# The page of an example as C, by ports/assets.sh: APP_PAGE are rows for its route table.
#
#     sh examples/shared/page.sh OUTPUT.h examples/NAME
#
# page/index.html begins with <title>: head.html stands before it. page/app.js may import shell.js
# and rtpush.js, page/style.css follows look.css. With esbuild scripts become one file, of which
# what is not used is left out; without it, or with ESBUILD=no, they stay as they are.
set -eu
if [ $# -ne 2 ]; then
    echo "usage: sh page.sh OUTPUT.h FOLDER" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
page=$2/page
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cp "$here/shell.js" "$here/../../ports/browser/rtpush.js" "$page"/*.js "$work"
: >"$work/style.css"
[ ! -f "$page/style.css" ] || cp "$page/style.css" "$work/style.css"
minify=''
scripts="$work/*.js"
if [ "${ESBUILD:-}" != no ] && command -v esbuild >/dev/null; then
    minify=--minify
    scripts=$work/out/app.js
    esbuild --bundle --minify --format=esm --target=safari15 --log-level=warning \
        --outfile="$scripts" "$work/app.js"
fi
# shellcheck disable=SC2086 # no option, or several scripts
sh "$here/../../ports/assets.sh" "$1" --routes APP_PAGE "/=$here/head.html+$page/index.html" \
    $minify "/style.css=$here/look.css+$work/style.css" $scripts
