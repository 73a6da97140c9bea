#!/usr/bin/env python3
"""Instructions of a TLS handshake on a Cortex-M3 in QEMU that counts its instructions: whole stack,
from the network card to the Finished of both. The image is examples/secure's own, which says on its
serial line how long each handshake kept the processor awake. Usage:
    python3 tests/bench/tls.py build/secure-firmware/mps2-an385.elf"""
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
# What BearSSL takes on its own, pumped from a loop with lwIP and nothing else.
KNOWN = {"X25519": 12_100_000, "prime256v1": 18_700_000}
GOAL = 0.02
LIMIT = 0.04  # interrupts and retransmissions are in it; how many is the host's affair


def lines(log):
    with open(log, encoding="utf-8") as f:
        return re.findall(r"tls: handshake \d+, (\w+), (\d+) cycles", f.read())


def shake(port, log, context, session):
    """(full or resumed, instructions, the session) of one handshake."""
    before = len(lines(log))
    with connect(port) as s, context.wrap_socket(s, session=session) as t:
        t.sendall(b"GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        if not t.recv(100).startswith(b"HTTP/1.1 "):
            raise OSError("no answer")
        session = t.session
    end = time.monotonic() + WAIT_S
    while len(lines(log)) == before:
        if time.monotonic() > end:
            raise OSError("the device says nothing of the handshake")
        time.sleep(0.05)
    time.sleep(0.3)  # until the connection has ended on the device too
    kind, cycles = lines(log)[-1]
    return kind, instructions(int(cycles), SHIFT), session


def measure(port, log, curve):
    """Instructions of a full and of a resumed handshake, the median of each: what else the device
    does meanwhile, and how the bytes come in packets, is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations("build/cert/ca.pem")
    context.check_hostname = False
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


def report(port, log):
    passed = failed = 0
    print(f"{'ECDSA P-256, ChaCha20-Poly1305':32}{'full':>12}{'known':>12}{'resumed':>10}"
          "   instructions")
    for curve, known in KNOWN.items():
        full, resumed = measure(port, log, curve)
        print(f"  key exchange {curve:17}{full:12}{known:12}{resumed:10}")
        more = (full - known) / known
        verdict = "within" if more <= GOAL else "MISSED:"
        print(f"    {more:+.2%} of what is known, {verdict} the goal of {GOAL:.0%}")
        good = abs(more) <= LIMIT and resumed * 10 < full
        passed += good
        failed += not good
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


def main():
    elf = sys.argv[1]
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
                return report(port, log)


sys.exit(main())
