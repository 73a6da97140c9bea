#!/bin/sh
# Brings BearSSL's source from Debian to build/bearssl, for microcontrollers; see tests/fetch.sh.
# (The host's programs use Debian's libbearssl-dev, the same version.)
cd "$(dirname "$0")/../.." || exit 1
exec sh tests/fetch.sh bearssl 0.6 bookworm build/bearssl src/ssl/ssl_engine.c
