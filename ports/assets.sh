#!/bin/sh
# Turns files into C: const arrays, gzipped, and an rtpush_asset for each with its content type and
# its ETag. POSIX tools and gzip.
#
#     sh ports/assets.sh OUTPUT.h [OPTION] FILE...
#
# FILE      is served as /NAME, index.html as /. The asset of app.js is asset_app_js
# PATH=FILE is served as PATH; PATH=FILE+FILE... are the files one behind the other, with the
#           asset's name from the last one
# --plain   the files that follow are kept as they are: for handlers that answer with them, and for
#           clients without gzip, which are answered 406 otherwise
# --gzip    the files that follow are gzipped again
# --minify  scripts and style sheets that follow go through esbuild, which must be there; else
#           scripts only lose the lines that are a comment
# --routes NAME   the macro NAME for the rows of a route table: {.path = ..., .asset = ...}, ...
#
# What does not become smaller by gzip (pictures, fonts) is kept as it is. The ETag is a checksum of
# what is sent. OUTPUT.h is written whole or not at all.
set -eu

usage() {
    sed -n '/^#     sh/,/^# --routes/p' "$0" | sed 's/^# \{0,1\}//' >&2
    exit 2
}
[ $# -ge 2 ] || usage
out=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
gzip=1
minify=''
macro=''
: >"$work/assets"
: >"$work/routes"

type_of() {
    case "$1" in
        *.html) echo 'text/html; charset=utf-8' ;;
        *.css) echo 'text/css; charset=utf-8' ;;
        *.js | *.mjs) echo 'text/javascript; charset=utf-8' ;;
        *.txt) echo 'text/plain; charset=utf-8' ;;
        *.json) echo 'application/json' ;;
        *.webmanifest) echo 'application/manifest+json' ;;
        *.svg) echo 'image/svg+xml' ;;
        *.png) echo 'image/png' ;;
        *.jpg | *.jpeg) echo 'image/jpeg' ;;
        *.webp) echo 'image/webp' ;;
        *.ico) echo 'image/x-icon' ;;
        *.woff2) echo 'font/woff2' ;;
        *.wasm) echo 'application/wasm' ;;
        *) echo 'application/octet-stream' ;;
    esac
}

# content FILE: as it is sent, before gzip. An initial dot of esbuild's loader is the file's type.
content() {
    case "$minify$1" in
        minify*.js | minify*.mjs) esbuild --minify --loader=js <"$1" ;;
        minify*.css) esbuild --minify --loader=css <"$1" ;;
        *.js | *.mjs) sed '/^ *\/\//d' "$1" ;;
        *) cat "$1" ;;
    esac
}

bytes() { # NAME FILE
    echo "static const unsigned char $1[] = {"
    od -An -v -tu1 "$2" | sed 's/[0-9][0-9]*/&,/g'
    echo "};"
}

# asset NAME TYPE: of the bytes in $work/plain
asset() {
    form=data
    member=len
    sent=$work/plain
    gzip -9nc "$work/plain" >"$work/gzip"
    if [ "$gzip" = 1 ] && [ "$(wc -c <"$work/gzip")" -lt "$(wc -c <"$work/plain")" ]; then
        form=gzip
        member=gzip_len
        sent=$work/gzip
    fi
    bytes "asset_$1_$form" "$sent"
    echo "static const rtpush_asset asset_$1 = {"
    echo "    .content_type = \"$2\","
    echo "    .$form = asset_$1_$form,"
    echo "    .$member = sizeof asset_$1_$form,"
    # shellcheck disable=SC2046 # two numbers
    printf '    .etag = "%x-%x"};\n\n' $(cksum <"$sent")
}

# add PATH FILES: FILES are divided by '+'
add() {
    path=$1
    : >"$work/plain"
    rest=$2+
    while [ -n "$rest" ]; do
        file=${rest%%+*}
        rest=${rest#*+}
        if [ ! -f "$file" ]; then
            echo "assets.sh: no file $file" >&2
            exit 1
        fi
        content "$file" >>"$work/plain"
    done
    if [ ! -s "$work/plain" ]; then
        echo "assets.sh: nothing in $2" >&2
        exit 1
    fi
    base=$(basename "$file")
    if [ -z "$path" ]; then
        path=/$base
        [ "$base" != index.html ] || path=/
    fi
    name=$(echo "$base" | tr -c 'A-Za-z0-9\n' _)
    asset "$name" "$(type_of "$base")" >>"$work/assets"
    printf ' \\\n    {.path = "%s", .kind = &rtpush_file, .asset = &asset_%s},' "$path" "$name" \
        >>"$work/routes"
}

while [ $# -gt 0 ]; do
    case "$1" in
        --plain) gzip=0 ;;
        --gzip) gzip=1 ;;
        --minify) minify=minify ;;
        --routes)
            [ $# -ge 2 ] || usage
            macro=$2
            shift
            ;;
        -*) usage ;;
        /*=*) add "${1%%=*}" "${1#*=}" ;;
        *) add '' "$1" ;;
    esac
    shift
done
{
    echo '// Made by assets.sh. Do not edit.'
    echo '#include "rtpush.h"'
    echo
    cat "$work/assets"
    if [ -n "$macro" ]; then
        printf '#define %s' "$macro"
        sed '$s/,$//' "$work/routes"
        echo
    fi
} >"$work/out"
mkdir -p "$(dirname "$out")"
cp "$work/out" "$out"
