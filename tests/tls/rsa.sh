#!/bin/sh
# For tests of client certificates: an RSA CA and a client of it that has an RSA key, in FOLDER/rsa.
# (ports/cert.sh makes a CA and a client of ECDSA.) What exists is kept.
# Usage: sh tests/tls/rsa.sh FOLDER
set -eu
out="$1/rsa"
mkdir -p "$out"
if [ -f "$out/done" ]; then
    exit 0
fi
umask 077
{
    for name in ca client; do
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$out/$name.key"
    done
    openssl req -x509 -new -key "$out/ca.key" -subj '/CN=rtpush test RSA CA' -days 3650 \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' \
        -out "$out/ca.pem"
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >"$out/ext"
    printf 'extendedKeyUsage=clientAuth\n' >>"$out/ext"
    openssl req -new -key "$out/client.key" -subj /CN=client -out "$out/client.csr"
    openssl x509 -req -in "$out/client.csr" -CA "$out/ca.pem" -CAkey "$out/ca.key" -set_serial 2 \
        -days 3650 -sha256 -extfile "$out/ext" -out "$out/client.pem"
} >"$out/log" 2>&1 || {
    cat "$out/log" >&2
    exit 1
}
rm -f "$out/client.csr" "$out/ext"
touch "$out/done"
