#!/bin/sh
# Prints the version of the library, 0.1.0: RTPUSH_VERSION of rtpush.h is the one place it is in.
set -eu
cd "$(dirname "$0")/../.."
digits="$(sed -n 's/^#define RTPUSH_VERSION 0x\(..\)\(..\)\(..\)u .*/0x\1 0x\2 0x\3/p' rtpush.h)"
# shellcheck disable=SC2086 # three numbers
printf '%d.%d.%d\n' $digits
