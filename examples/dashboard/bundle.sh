#!/bin/sh
# Turns page/ into C: gzipped const arrays and an rtpush_asset for each file. POSIX tools and gzip.
#
#     sh examples/dashboard/bundle.sh build/dashboard_assets.h
#
# The charts are uPlot, from node_modules (npm ci --prefix examples/dashboard). Without it the page
# is built all the same and shows bars instead.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: sh bundle.sh OUTPUT.h" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# A script without its comments, which makes it a third smaller.
script() {
    sed '/^ *\/\//d' "$1" > "$work/$(basename "$1")"
}

# asset NAME TYPE FILE...: the files one after the other. The ETag is a checksum of what is sent.
asset() {
    name=$1
    type=$2
    shift 2
    cat "$@" > "$work/plain"
    gzip -9nc "$work/plain" > "$work/gzip"
    echo "static const unsigned char asset_${name}_gzip[] = {"
    od -An -v -tu1 "$work/gzip" | sed 's/[0-9][0-9]*/&,/g'
    echo "};"
    echo "static const rtpush_asset asset_$name = {"
    echo "    .content_type = \"$type\","
    echo "    .gzip = asset_${name}_gzip,"
    echo "    .gzip_len = sizeof asset_${name}_gzip,"
    printf '    .etag = "%x-%x"};\n\n' $(cksum < "$work/gzip")
}

# uPlot's licence must be distributed with it; the minified file has only a link.
uplot=$here/node_modules/uplot
: > "$work/uplot.css"
if [ -f "$uplot/dist/uPlot.iife.min.js" ]; then
    { echo '/*'; cat "$uplot/LICENSE"; echo '*/'; cat "$uplot/dist/uPlot.iife.min.js"; } \
        > "$work/uplot.js"
    cp "$uplot/dist/uPlot.min.css" "$work/uplot.css"
    echo >> "$work/uplot.css"
else
    echo '// Built without uPlot: the page draws bars.' > "$work/uplot.js"
    echo "bundle.sh: no $uplot: charts are left out" >&2
fi

script "$here/page/app.js"
script "$here/page/charts.js"
script "$here/../../ports/browser/rtpush.js"

js='text/javascript; charset=utf-8'
{
    echo '// Made by bundle.sh from page/. Do not edit.'
    echo '#include "rtpush.h"'
    echo
    asset index_html 'text/html; charset=utf-8' "$here/page/index.html"
    asset style_css 'text/css; charset=utf-8' "$work/uplot.css" "$here/page/style.css"
    asset app_js "$js" "$work/app.js"
    asset charts_js "$js" "$work/charts.js"
    asset rtpush_js "$js" "$work/rtpush.js"
    asset uplot_js "$js" "$work/uplot.js"
} > "$work/assets.h"
mkdir -p "$(dirname "$out")"
cp "$work/assets.h" "$out" # only when it is complete
