#!/usr/bin/env python3
"""The figures in README.md and the like beside what the commands print.

    python3 tests/figures.py size            after tests/size.sh: build/size/figures and table
    python3 tests/figures.py instructions    after tests/bench/bench.sh: build/bench/rows.csv
    python3 tests/figures.py images          after "make firmware secure-firmware"
    python3 tests/figures.py boards FILE     FILE: what "make firmware-bench secure-bench" printed

A figure is a number that a pattern finds in a document; it may differ from the command's by
TOLERANCE, so that a document need not change with each byte. A pattern that finds nothing is a
failure too: the sentence has changed, and this file has to follow.
Last line: "N passed, N failed"."""
import csv
import os
import re
import subprocess
import sys

TOLERANCE = 0.03
NUMBER = r"([\d,.]*\d)"
README = "README.md"
FIRMWARE = "examples/firmware/README.md"
SECURE = "examples/secure/README.md"
MBEDTLS = "ports/rtpush_mbedtls.h"
PAGES = "WebSocket, SSE, STATE and EVENT topics, files"
FEED = "SSE, EVENT topics, files"


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def number(text):
    return float(text.replace(",", ""))


def is_near(text, wanted):
    unit = 0.1 ** len(text.partition(".")[2])  # of the last digit: it may be rounded
    return abs(number(text) - wanted) <= max(TOLERANCE * wanted, unit / 2)


def rows_of(text):
    """{label: [numbers]} of the rows of Markdown tables that hold numbers alone."""
    rows = {}
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) > 1 and \
                all(re.fullmatch(NUMBER, cell) for cell in cells[1:]):
            rows[cells[0]] = [number(cell) for cell in cells[1:]]
    return rows


def size():
    """The figures of size: (document, pattern, what the groups should be)."""
    table = rows_of(read("build/size/table"))
    budget = dict(line.split("\t") for line in read("build/size/figures").splitlines())
    budget = {name: float(value) for name, value in budget.items()}
    for label, values in table.items():
        yield "ports/README.md", rf"^\| {re.escape(label)} \|" + rf" {NUMBER} \|" * len(values), \
            values
    ram = table["server, buffers of 512 + 512, log of 4,096"]
    yield README, rf"A connection is {NUMBER} bytes on a 32-bit", [budget["sizeof(rtpush_conn)"]]
    yield README, rf"sizeof\(rtpush_server\)` \({NUMBER} bytes\)", [budget["sizeof(rtpush_server)"]]
    yield README, rf"connections x \({NUMBER} \+ rx \+ tx\)", [budget["sizeof(rtpush_conn)"]]
    yield README, rf"4 connections {NUMBER} KB, 8 connections {NUMBER} KB, 16 connections " \
        rf"{NUMBER} KB", [bytes / 1000 for bytes in ram]
    yield README, rf"the whole core is {NUMBER} KiB of flash, a page with SSE {NUMBER} to " \
        rf"{NUMBER} ", [table["everything"][1] / 1024, table[f"small: {FEED}"][1] / 1000,
                        table[FEED][1] / 1000]
    yield README, rf"The ports add {NUMBER} bytes and {NUMBER} a connection \(lwIP\), {NUMBER} " \
        rf"bytes and {NUMBER} a connection \(sockets\)", \
        [budget["sizeof(rtpush_lwip)"], budget["sizeof(rtpush_lwip_slot)"],
         budget["sizeof(rtpush_sockets)"], budget["a connection with a buffer of 1 KiB"]]
    yield README, rf"Server<7> server; // 7 connections, {NUMBER} KB", \
        [budget["sketch over a port"] / 1000]
    yield "examples/arduino/README.md", rf"No heap; {NUMBER} KB of .bss for 7 connections, of " \
        rf"which {NUMBER} KB are the port's", \
        [budget["sketch over a port"] / 1000,
         (budget["sketch over a port"] - budget["sketch"]) / 1000]
    for label in ("everything", PAGES, FEED):
        yield README, rf"^\| {label} \|" + rf" {NUMBER} \|" * 4, \
            [table[prefix + label][cpu] for cpu in (1, 0) for prefix in ("", "small: ")]
    yield README, rf"all of BearSSL \| {NUMBER} / {NUMBER} / {NUMBER} to {NUMBER} KB", \
        [table["rtpush_lwip.h"][1], table["rtpush_access.h"][1],
         budget["flash with BearSSL, ... no RSA, AES, X25519"] / 1000,
         budget["flash with BearSSL, everything"] / 1000]
    yield README, rf"TLS is 1.2 by BearSSL: {NUMBER} bytes and two buffers a connection", \
        [budget["sizeof(rtpush_bearssl_slot)"]]
    yield "examples/widgets/README.md", rf"The whole device is {NUMBER} lines of C", \
        [read("examples/widgets/app.c").count("\n")]


def instructions():
    with open("build/bench/rows.csv", encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    counted = {row["name"]: float(row["core"]) + float(row["port"]) for row in rows}
    for pattern, names in INSTRUCTIONS:
        yield README, pattern, [counted[name] for name in names]


# Rows of tests/bench/instructions.c; bench.sh asks for their names.
INSTRUCTIONS = (
    (rf"^\| WebSocket echo of 20 B \| {NUMBER} \| {NUMBER} \|", ("echo-20", "echo-20-16")),
    (rf"^\| delivery of 64 B to one of 100 readers, WebSocket \| {NUMBER} \| {NUMBER} \|",
     ("ws-1", "ws-16")),
    (rf"^\| ... SSE \| {NUMBER} \| {NUMBER} \|", ("sse-1", "sse-16")),
    (rf"^\| GET answered by a handler; accept, Chrome's upgrade, close \| {NUMBER}; {NUMBER} \|",
     ("get", "upgrade-chrome")),
)


def image(path):
    """{part: (flash, RAM)}"""
    text = subprocess.run([sys.executable, "examples/firmware/size.py", path], check=True,
                          capture_output=True, text=True).stdout
    return {name: (float(flash), float(ram)) for name, flash, ram in
            re.findall(r"^  (\S.*?)\s+(\d+)\s+(\d+)$", text, flags=re.M)}


def images():
    parts = image("build/firmware/lm3s6965evb.map")
    for label, part in FIRMWARE_PARTS:
        cells = "".join(rf" \**{NUMBER}\** \|" if value else r" \|" for value in parts[part])
        yield FIRMWARE, rf"^\| {re.escape(label)} \|{cells}", [n for n in parts[part] if n]
    flash, ram = image("build/secure-firmware/lm3s6965evb.map")["together"]
    yield SECURE, rf"it takes {NUMBER} KB of flash and {NUMBER} of the 65,536 bytes of RAM", \
        [flash / 1000, ram]


# The row of the table, and what size.py calls it.
FIRMWARE_PARTS = (
    ("rtpush: core and port", "rtpush: core and port"),
    ("its memory: 16 connections, a log of 8,192, values", "rtpush: connections, log"),
    ("its server and port", "rtpush: server, port"),
    ("lwIP", "lwIP"),
    ("page, compressed, with the charts' library", "page, compressed"),
    ("dashboard (`app.c`)", "application"),
    ("firmware: drivers, sensors, main", "firmware"),
    ("C library", "C library"),
    ("stack", "stack"),
    ("**together**", "together"),
    ("there is", "there is"),
)


def boards():
    printed = read(sys.argv[2])

    def counts(pattern):
        return [number(text) for text in re.search(pattern, printed, flags=re.M).groups()]
    each = rf" {NUMBER}" * 4
    for label, printed_as in (("published, nobody listens", "   0 clients"),
                              ("to 1 client", "   1 clients"), ("to 8 clients", "   8 clients"),
                              ("each further client", "  each client more")):
        yield FIRMWARE, rf"^\| {label} \|" + rf" {NUMBER} \|" * 4, \
            counts("^" + printed_as + each.replace(" ", r"\s+"))
    # The part's sum, since the loop also turns while it waits for a host that is busy.
    turn = counts(rf"^  echo 16 B, loop and acknowledgements.*\s{NUMBER}$")[0]
    yield FIRMWARE, rf"^\| an echo of 16 bytes, all of the loop \| about {NUMBER} \|", [turn]
    # BearSSL's image comes first. Pairs: key exchange by X25519 and by P-256.
    shakes = [re.findall(rf"TLS (1\.\d) key exchange \w+\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}", part)
              for part in printed.split("ECDSA P-256")[1:]]
    full, resumed = ([[number(row[column]) / 1e6 for row in rows] for rows in shakes]
                     for column in (1, 3))
    yield MBEDTLS, r"instructions of a full handshake, million" + rf" {NUMBER} / {NUMBER}" * 3, \
        full[1] + full[0]
    yield MBEDTLS, r"\.\.\. of a resumed one" + rf" {NUMBER} / {NUMBER}" * 3, \
        resumed[1] + resumed[0]
    for label, values in (("million instructions of a full handshake", full),
                          ("of a resumed one", resumed)):
        yield "ports/README.md", rf"^\| {label} \|" + rf" {NUMBER} / {NUMBER} \|" * 3, \
            values[0] + values[1]
    yield README, rf"a handshake is {NUMBER} million instructions", full[0][:1]
    yield SECURE, rf"A full handshake is {NUMBER} million instructions \(X25519; P-256 " \
        rf"{NUMBER}\), a resumed one {NUMBER}", full[0] + resumed[0][:1]
    yield "ports/rtpush_bearssl.h", rf"\(Cortex-M3: {NUMBER} million", full[0][:1]


COMMANDS = {"size": size, "instructions": instructions, "images": images, "boards": boards}


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    if sys.argv[1:] == ["names"]:
        print(" ".join(name for _, names in INSTRUCTIONS for name in names))
        return 0
    passed = failed = 0
    for document, pattern, wanted in COMMANDS[sys.argv[1]]():
        # A space of a pattern is a line's end too, except in a row of a table.
        spaces = pattern if pattern.startswith("^") else pattern.replace(" ", r"\s+")
        found = re.search(spaces, read(document), flags=re.M)
        figures = found.groups() if found else []
        near = [is_near(text, value) for text, value in zip(figures, wanted)]
        if found and all(near):
            passed += 1
            continue
        failed += 1
        print(f"FAIL {document}: {found.group(0) if found else 'nothing like ' + pattern}")
        print("    the commands say " + ", ".join(f"{value:,.1f}" for value in wanted))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
