#!/bin/sh
# Turns page/ and ports/browser/rtpush.js into C. POSIX tools and gzip.
#     sh examples/secure/bundle.sh build/secure_assets.h
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

bytes() { # NAME FILE
    echo "static const unsigned char $1[] = {"
    od -An -v -tu1 "$2" | sed 's/[0-9][0-9]*/&,/g'
    echo "};"
}

# A page, uncompressed: a handler answers with it, depending on the cookie.
page() { # NAME FILE
    sed 's/^ *//' "$2" >"$work/page"
    bytes "page_$1" "$work/page"
}

# A script, without its comments and gzipped. The ETag is a checksum of what is sent.
script() { # NAME FILE
    sed '/^ *\/\//d' "$2" >"$work/script"
    gzip -9nc "$work/script" >"$work/gzip"
    bytes "script_$1" "$work/gzip"
    echo "static const rtpush_asset asset_$1 = {"
    echo "    .content_type = \"text/javascript; charset=utf-8\","
    echo "    .gzip = script_$1,"
    echo "    .gzip_len = sizeof script_$1,"
    printf '    .etag = "%x-%x"};\n\n' $(cksum <"$work/gzip")
}

{
    echo '// Made by bundle.sh from page/. Do not edit.'
    echo '#include "rtpush.h"'
    echo
    page login "$here/page/login.html"
    page dashboard "$here/page/dashboard.html"
    script app_js "$here/page/app.js"
    script rtpush_js "$here/../../ports/browser/rtpush.js"
} >"$work/assets.h"
mkdir -p "$(dirname "$out")"
cp "$work/assets.h" "$out" # only when it is complete
