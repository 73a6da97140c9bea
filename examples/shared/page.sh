#!/bin/sh
# The page of an example as C, by ports/assets.sh: APP_PAGE are rows for its route table.
#
#     sh examples/shared/page.sh OUTPUT.h examples/NAME
#
# page/index.html begins with <title>: head.html stands before it, a <noscript> behind it.
# page/app.js may import shell.js and rtpush.js, page/style.css follows look.css. With esbuild and
# openssl the page is two files, its style inside and one script, of which what is not used is left
# out; without them, or with ESBUILD=no, all stay as they are.
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
{
    cat "$here/head.html" "$page/index.html"
    echo '<noscript><p class="toast">This page needs JavaScript.</p></noscript>'
} >"$work/page.html"
cat "$here/look.css" >"$work/style.css"
[ ! -f "$page/style.css" ] || cat "$page/style.css" >>"$work/style.css"
if [ "${ESBUILD:-}" != no ] && command -v esbuild >/dev/null && command -v openssl >/dev/null; then
    esbuild --bundle --minify --format=esm --target=safari15 --log-level=warning \
        --outfile="$work/out/app.js" "$work/app.js"
    esbuild --minify --log-level=warning --outfile="$work/out/style.css" "$work/style.css"
    sh "$here/../../ports/inline.sh" "$work/page.html" "$work/out/style.css" >"$work/index.html"
    set -- "$1" "$work/index.html" "$work/out/app.js"
else
    set -- "$1" "/=$work/page.html" "$work/style.css" "$work"/*.js
fi
out=$1
shift
sh "$here/../../ports/assets.sh" "$out" --routes APP_PAGE "$@"
