#!/bin/sh
# What rtpush.js costs in a page: minified by esbuild and gzipped, by what the page names. Each has
# a limit. Also the classic script, which `make page` builds.
# Usage: sh tests/browser/size.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0
failed=0

# size LIMIT WHAT SCRIPT: of a page with this script
size() {
    bytes=$(cd ports/browser && printf '%s\n' "$3" |
        esbuild --bundle --minify --format=esm --target=safari15 --log-level=error |
        gzip -9nc | wc -c)
    printf '%6s of %s bytes: %s\n' "$bytes" "$1" "$2"
    if [ "$bytes" -gt 500 ] && [ "$bytes" -lt "$1" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $2"
    fi
}

size 1500 'SSE' "import { connect, sse } from './rtpush.js';
    window.client = connect({ transports: [sse] });"
size 2000 'WebSocket and SSE' "import { connect, sse, websocket } from './rtpush.js';
    window.client = connect({ transports: [websocket, sse] });"
size 3300 'everything' "import * as rtpush from './rtpush.js';
    window.rtpush = rtpush;"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
