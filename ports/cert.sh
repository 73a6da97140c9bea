#!/bin/sh
# Certificates for development and for tests, by openssl, in build/cert or the folder given:
#     ca.pem ca.key              the test CA; import ca.pem into a browser to trust the others
#     ec.pem ec.key              server, ECDSA P-256
#     dev_cert.h                 the same as C, for firmware: dev_chain, dev_key of BearSSL's types
#     rsa.pem rsa.key            server, RSA 2048
#     client.pem client.key      a client of the same CA
#     stranger.pem stranger.key  a client that nobody signed but itself
# Good for the names and addresses below and those in NAMES ("DNS:x,IP:y"). What exists is kept, but
# for the certificates of the server: the same CA signs new ones for other NAMES, or when they end.
# A device in the field needs a key of its own, made in it or for it alone.
# Usage: sh ports/cert.sh [FOLDER]
set -eu
case "${1:-}" in -*)
    sed -n 's/^# Usage: /usage: /p' "$0" >&2
    exit 2
    ;;
esac
out="${1:-build/cert}"
kept="$(cat "$out/done" 2>/dev/null || :)" # the names of those that exist
names="DNS:localhost,DNS:rtpush.local,IP:127.0.0.1,IP:::1,IP:10.0.2.15"
[ -n "${NAMES:-}" ] && names="$names,$NAMES" || names="${kept:-$names}"
days=397 # the most that browsers take of a server's certificate
mkdir -p "$out"
if [ -f "$out/done" ] && openssl x509 -in "$out/ec.pem" -noout -checkend 86400 >/dev/null &&
    { [ -z "${NAMES:-}" ] || [ "$names" = "$kept" ]; }; then
    exit 0
fi
umask 077

# key NAME ec|rsa
key() {
    if [ "$2" = ec ]; then
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$out/$1.key"
    else
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$out/$1.key"
    fi
}

# certificate NAME SUBJECT USAGE ALTERNATIVE-NAMES: signed by the CA
certificate() {
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >"$out/ext"
    printf 'extendedKeyUsage=%s\nsubjectAltName=%s\n' "$3" "$4" >>"$out/ext"
    openssl req -new -key "$out/$1.key" -subj "$2" -out "$out/$1.csr"
    openssl x509 -req -in "$out/$1.csr" -CA "$out/ca.pem" -CAkey "$out/ca.key" \
        -set_serial "0x$(openssl rand -hex 8)" -days "$days" -sha256 -extfile "$out/ext" \
        -out "$out/$1.pem"
}

# bytes NAME: standard input as a C array
bytes() {
    printf 'static const unsigned char %s[] = {\n' "$1"
    od -An -v -tx1 | sed -e 's/ \(..\)/0x\1, /g' -e 's/^/    /' -e 's/ $//'
    printf '};\n'
}

# The key's number is 32 bytes behind the 7 that begin RFC 5915's structure.
header() {
    openssl x509 -in "$out/ec.pem" -outform DER | bytes dev_cert_der
    openssl pkey -in "$out/ec.key" -traditional -outform DER | tail -c +8 | head -c 32 |
        bytes dev_key_x
    cat <<'END'
static const br_x509_certificate dev_chain[1] = {
    {(unsigned char *)dev_cert_der, sizeof dev_cert_der}};
static const br_ec_private_key dev_key = {
    BR_EC_secp256r1, (unsigned char *)dev_key_x, sizeof dev_key_x};
END
}

# The server's two certificates, for keys that are there.
server() {
    certificate ec /CN=rtpush.local serverAuth "$names"
    header >"$out/dev_cert.h"
    certificate rsa /CN=rtpush.local serverAuth "$names"
}

all() {
    key ca ec
    openssl req -x509 -new -key "$out/ca.key" -subj '/CN=rtpush development CA' -days 3650 \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' \
        -out "$out/ca.pem"
    key ec ec
    key rsa rsa
    server
    key client ec
    certificate client /CN=client clientAuth DNS:client
    key stranger ec
    openssl req -x509 -new -key "$out/stranger.key" -subj /CN=client -days "$days" \
        -out "$out/stranger.pem"
}

what=all
[ ! -f "$out/done" ] || what=server
set +e # behind || the function's would have no effect
(set -e; "$what") >"$out/log" 2>&1
status=$?
set -e
[ "$status" = 0 ] || { cat "$out/log" >&2; exit 1; }
rm -f "$out"/*.csr "$out/ext"
echo "$names" >"$out/done"
