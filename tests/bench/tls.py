#!/usr/bin/env python3
"""Instructions of a TLS handshake on a Cortex-M3 in QEMU that counts its instructions: whole stack,
from the network card to the Finished of both. The image says on its serial line how long each
handshake kept the processor awake: by BearSSL examples/secure's own, by mbedTLS tests/bench/tls.c,
which also says what heap it took. Usage:
    python3 tests/bench/tls.py build/secure-firmware/mps2-an385.elf
    python3 tests/bench/tls.py build/bench-tls/mps2-an385.elf mbedtls"""
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

from emulator import WAIT_S, board, connect, instructions

SHIFT = 5  # some 31 MIPS
ROUNDS = 5
GOAL = 0.02
LIMIT = 0.04  # interrupts and retransmissions are in it; how many is the host's affair
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# What is known of (version, key exchange): instructions of a full handshake, and the most that a
# resumed one may take beside it. Of BearSSL: what it takes on its own, pumped from a loop with lwIP
# and nothing else. Of mbedTLS: what ports/rtpush_mbedtls.h says in COSTS.
KNOWN = {
    "bearssl": {("1.2", "X25519"): (12_100_000, 0.1), ("1.2", "prime256v1"): (18_700_000, 0.1)},
    # RFC 8446 4.2.9, psk_dhe_ke: a resumed handshake of TLS 1.3 exchanges keys, and signs nothing.
    "mbedtls": {("1.2", "X25519"): (32_500_000, 0.1), ("1.2", "prime256v1"): (27_400_000, 0.1),
                ("1.3", "X25519"): (32_800_000, 0.9), ("1.3", "prime256v1"): (27_700_000, 0.9)},
}


def lines(log, pattern, since=0):
    with open(log, encoding="utf-8") as f:
        f.seek(since)
        return re.findall(pattern, f.read())


def handshakes(log):
    return lines(log, r"tls: handshake \d+, (\w+), (\d+) cycles")


def shake(port, log, context, session):
    """(full or resumed, instructions, the session) of one handshake."""
    before = len(handshakes(log))
    with connect(port) as s, context.wrap_socket(s, session=session) as t:
        t.sendall(b"GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        if not t.recv(100).startswith(b"HTTP/1.1 "):
            raise OSError("no answer")
        session = t.session
    end = time.monotonic() + WAIT_S
    while len(handshakes(log)) == before:
        if time.monotonic() > end:
            raise OSError("the device says nothing of the handshake")
        time.sleep(0.05)
    time.sleep(0.3)  # until the connection has ended on the device too
    kind, cycles = handshakes(log)[-1]
    return kind, instructions(int(cycles), SHIFT), session


def measure(port, log, version, curve):
    """Instructions of a full and of a resumed handshake, the median of each: what else the device
    does meanwhile, and how the bytes come in packets, is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations("build/cert/ca.pem")
    context.check_hostname = False
    context.minimum_version = context.maximum_version = VERSIONS[version]
    if curve != "X25519":  # which is what openssl likes best
        context.set_ecdh_curve(curve)
    seen = {"full": [], "resumed": []}
    for _ in range(ROUNDS):
        kind, count, session = shake(port, log, context, None)
        seen[kind].append(count)
        kind, count, _ = shake(port, log, context, session)
        seen[kind].append(count)
    if len(seen["resumed"]) != ROUNDS:
        raise OSError(f"not each second handshake was a resumed one: {seen}")
    return statistics.median(seen["full"]), statistics.median(seen["resumed"])


def memory(log, since):
    """What connections had of the heap behind that byte of the log, and the most in a handshake;
    the stack of the whole program since its start."""
    heap = lines(log, r"heap (\d+), at most (\d+), stack", since)
    if heap:
        now = statistics.median_high(int(one[0]) for one in heap)  # the first keeps a table for all
        most = max(int(one[1]) for one in heap)
        print(f"    heap of a connection {now:,}, in its handshake {most:,}")
    stack = max(int(high) for high in lines(log, r"stack high (\d+)"))
    print(f"    stack so far {stack:,}")


def report(port, log, known):
    passed = failed = 0
    print(f"{'ECDSA P-256':32}{'full':>12}{'known':>12}{'resumed':>12}   instructions")
    for (version, curve), (expected, part) in known.items():
        since = os.path.getsize(log)
        full, resumed = measure(port, log, version, curve)
        print(f"  TLS {version} key exchange {curve:11}{full:12,}{expected:12,}{resumed:12,}")
        more = (full - expected) / expected
        verdict = "within" if more <= GOAL else "MISSED:"
        print(f"    {more:+.2%} of what is known, {verdict} the goal of {GOAL:.0%}")
        memory(log, since)
        good = abs(more) <= LIMIT and resumed < part * full
        passed += good
        failed += not good
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


def main():
    elf = sys.argv[1]
    known = KNOWN[sys.argv[2] if len(sys.argv) > 2 else "bearssl"]
    names = subprocess.run(["arm-none-eabi-nm", elf], check=True, capture_output=True, text=True)
    seed_at = re.search(r"^(\w+) . keep_memory$", names.stdout, re.M).group(1)
    with tempfile.TemporaryDirectory() as folder:
        seed = os.path.join(folder, "seed")
        log = os.path.join(folder, "log")
        with open(seed, "wb") as f:
            f.write(bytes(range(32)))  # the same in every run: so are the keys
        loader = f"loader,file={seed},addr=0x{seed_at},force-raw=on"
        with open(log, "wb") as out:
            with board(elf, 443, SHIFT, "-device", loader, serial="stdio", output=out) as port:
                return report(port, log, known)


sys.exit(main())
