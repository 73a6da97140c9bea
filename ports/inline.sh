#!/bin/sh
# Puts a style sheet into a page, in place of its <link rel="stylesheet">: the page is a file less,
# so a browser opens a connection less to load it. If the page has a Content-Security-Policy, it
# then allows this style alone, by its hash (CSP 3, 2.3.1), and those of its own files as before.
#
#     sh ports/inline.sh PAGE.html STYLE.css >OUTPUT.html
#
# Needs openssl.
set -eu
if [ $# -ne 2 ]; then
    echo "usage: sh inline.sh PAGE.html STYLE.css" >&2
    exit 2
fi
if [ ! -r "$2" ]; then
    echo "inline.sh: no style sheet $2" >&2
    exit 1
fi
# What the browser hashes: all between <style> and </style>, with the line end behind the first.
hash=$({ echo && awk 1 "$2"; } | openssl dgst -sha256 -binary | openssl base64 -A)
awk -v style="$2" -v hash="$hash" '
    /<link rel="stylesheet"/ && !done {
        done = 1
        print "<style>"
        while ((getline line <style) > 0) {
            print line
        }
        print "</style>"
        next
    }
    { sub(/style-src '\''self'\''/, "& '\''sha256-" hash "'\''"); print }
    END { exit !done }' "$1"
