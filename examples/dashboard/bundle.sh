#!/bin/sh
# Turns page/ into C by ports/assets.sh.
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
browser=$here/../../ports/browser
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# uPlot's licence must be distributed with it; the minified file has only a link.
uplot=$here/node_modules/uplot
: >"$work/uplot.css"
if [ -f "$uplot/dist/uPlot.iife.min.js" ]; then
    { echo '/*'; cat "$uplot/LICENSE"; echo '*/'; cat "$uplot/dist/uPlot.iife.min.js"; } \
        >"$work/uplot.js"
    { cat "$uplot/dist/uPlot.min.css"; echo; } >"$work/uplot.css"
else
    echo '/* Built without uPlot: the page draws bars. */' >"$work/uplot.js"
    echo "bundle.sh: no $uplot: charts are left out" >&2
fi

sh "$here/../../ports/assets.sh" "$1" "$here/page/index.html" \
    "/style.css=$work/uplot.css+$browser/charts.css+$here/../shared/look.css+$here/page/style.css" \
    "$here/page/app.js" "$browser/charts.js" "$browser/rtpush.js" "$work/uplot.js"
