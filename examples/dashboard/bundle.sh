#!/bin/sh
# Turns page/ into C by ports/assets.sh: DASHBOARD_PAGE are the rows of the route table.
#
#     sh examples/dashboard/bundle.sh build/dashboard_assets.h
#
# With esbuild and openssl the page is two files, its style inside and one script: a browser loads
# it over one connection. Without them, or with ESBUILD=no, it is six, for which a browser opens as
# many connections. The charts are uPlot, from node_modules (npm ci --prefix examples/dashboard).
# Without it the page is built all the same and shows bars instead.
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
    { echo '/*!'; cat "$uplot/LICENSE"; echo '*/'; cat "$uplot/dist/uPlot.iife.min.js"
        echo 'globalThis.uPlot = uPlot;'; } >"$work/uplot.js"
    { cat "$uplot/dist/uPlot.min.css"; echo; } >"$work/uplot.css"
else
    echo '/* Built without uPlot: the page draws bars. */' >"$work/uplot.js"
    echo "bundle.sh: no $uplot: charts are left out" >&2
fi
cp "$browser/charts.js" "$browser/rtpush.js" "$here/page/app.js" "$work"
cat "$work/uplot.css" "$browser/charts.css" "$here/../shared/look.css" "$here/page/style.css" \
    >"$work/style.css"

if [ "${ESBUILD:-}" != no ] && command -v esbuild >/dev/null && command -v openssl >/dev/null; then
    sed -e '/<script src="uplot.js"/d' -e '/rel="modulepreload"/d' "$here/page/index.html" \
        >"$work/page.html"
    { echo "import './uplot.js';"; echo "import './app.js';"; } >"$work/all.js"
    esbuild --bundle --minify --format=esm --target=safari15 --legal-comments=inline \
        --log-level=warning --outfile="$work/out/app.js" "$work/all.js"
    esbuild --minify --log-level=warning --outfile="$work/out/style.css" "$work/style.css"
    sh "$here/../../ports/inline.sh" "$work/page.html" "$work/out/style.css" >"$work/index.html"
    set -- "$1" --routes DASHBOARD_PAGE "$work/index.html" "$work/out/app.js"
else
    set -- "$1" --routes DASHBOARD_PAGE "$here/page/index.html" "$work/style.css" "$work/app.js" \
        "$work/charts.js" "$work/rtpush.js" "$work/uplot.js"
fi
sh "$here/../../ports/assets.sh" "$@"
