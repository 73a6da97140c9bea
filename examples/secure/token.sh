#!/bin/sh
# A token (JWT, HS256) as the server of another site makes it. The key is in RTPUSH_TOKEN_KEY,
# since other users can see a command line.
#     RTPUSH_TOKEN_KEY=... sh examples/secure/token.sh [NAME] [SECONDS]
set -eu
: "${RTPUSH_TOKEN_KEY:?is the token key of the device}"
base64url() {
    openssl base64 -A | tr '+/' '-_' | tr -d '='
}
end=$(($(date +%s) + ${2:-3600}))
text="$(printf '{"alg":"HS256","typ":"JWT"}' | base64url).$(
    printf '{"sub":"%s","aud":"device","exp":%s}' "${1:-somebody}" "$end" | base64url)"
key="$(printf %s "$RTPUSH_TOKEN_KEY" | od -An -v -tx1 | tr -d ' \n')"
signature="$(printf %s "$text" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary |
    base64url)"
printf '%s.%s\n' "$text" "$signature"
