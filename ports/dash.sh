#!/bin/sh
# The page of rtpush_dash.h as C, by assets.sh: what DASH_ROUTES in a route table serves.
#
#     sh ports/dash.sh OUTPUT.h [UPLOT]
#
# UPLOT is a folder with uPlot (npm's node_modules/uplot): with it charts are drawn by uPlot, in
# files of their own, which a page asks for only if the table has a chart. Without it they are bars;
# with "-" there are no charts, only their numbers. With esbuild and openssl the page is 8 KB in two
# files, for which a browser needs one connection; without them, or with ESBUILD=no, 13 KB in four.
# POSIX tools and gzip.
set -eu
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: sh dash.sh OUTPUT.h [UPLOT]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
out=$1
uplot=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
page=$here/browser

# Indentation is for readers of the source.
sed 's/^ *//' "$page/dash.html" >"$work/dash.html"
if [ "${ESBUILD:-}" != no ] && command -v esbuild >/dev/null && command -v openssl >/dev/null; then
    esbuild --bundle --minify --format=esm --external:./charts.js --target=safari15 \
        --log-level=warning --outfile="$work/dash.js" "$page/dash.js"
    esbuild --minify --log-level=warning --outfile="$work/dash.css" "$page/dash.css"
    sh "$here/inline.sh" "$work/dash.html" "$work/dash.css" >"$work/index.html"
    set -- "/=$work/index.html" "$work/dash.js" --minify
else
    set -- "/=$work/dash.html" "$page/dash.js" "$page/rtpush.js" "$page/dash.css"
fi
# uPlot's licence must be distributed with it; the minified file has only a link.
if [ -n "$uplot" ] && [ "$uplot" != - ]; then
    { echo '/*'; cat "$uplot/LICENSE"; echo '*/'; cat "$uplot/dist/uPlot.iife.min.js"
        echo 'globalThis.uPlot = uPlot;'; cat "$page/charts.js"; } >"$work/charts.mjs"
    sed '/^ *\/\//d' "$work/charts.mjs" >"$work/charts.js"
    { cat "$uplot/dist/uPlot.min.css"; echo; } >"$work/uplot.css"
    set -- "$@" "/charts.js=$work/charts.js" "/charts.css=$work/uplot.css+$page/charts.css"
elif [ "$uplot" != - ]; then
    set -- "$@" "$page/charts.js" "$page/charts.css"
fi
sh "$here/assets.sh" "$out" --routes DASH_ROUTES "$@"
