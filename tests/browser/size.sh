#!/bin/sh
# What rtpush.js costs in a page: minified by esbuild and gzipped, by what the page names. Each has
# a limit. Also the classic script, which `make page` builds.
# Then the types, by tsc.
# Usage: sh tests/browser/size.sh [sizes]      sizes: without the types
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
size 3300 'everything' "import all from './rtpush.js';
    import { connect, duplex, websocket, sse, poll, tabs } from './rtpush.js';
    window.rtpush = { all, connect, duplex, websocket, sse, poll, tabs };"
size 4500 'the whole file, with what it does as a worker' "export * from './rtpush.js';
    export { default } from './rtpush.js';"

if [ "${1:-}" = sizes ]; then
    : # tsc is of the tests' npm packages
elif node tests/browser/node_modules/typescript/bin/tsc --noEmit --strict --target es2022 \
    --module nodenext --lib es2022,dom tests/browser/types.ts; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo 'FAIL the types'
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
