#!/usr/bin/env python3
"""What each part of the image takes of flash and RAM, from the linker's map file.
Usage: python3 examples/firmware/size.py build/firmware/BOARD.map"""
import os
import re
import sys

# (part, section, object file): the first row that matches counts.
PARTS = (
    ("stack", r"\.stack", r""),
    ("page, compressed", r"\.rodata\.asset_.*_gzip", r"app\.o"),
    ("rtpush: core and port", r"", r"(^|/)rtpush\.o"),
    ("rtpush: connections, log", r"\.bss\.memory", r"(main|firmware|app)\.o"),
    ("rtpush: server, port", r"\.bss\.(server|port|slots)", r"(main|firmware|app)\.o"),
    ("TLS: the filter", r"", r"(^|/)tls\.o"),
    ("TLS: BearSSL", r"", r"bearssl/"),
    ("TLS: connections", r"\.bss\.tls_(slots|links|buffers)", r"firmware\.o"),
    ("TLS: sessions, random", r"\.bss\.(tls|tls_sessions|randoms)$", r"firmware\.o"),
    ("lwIP", r"", r"/lwip/"),
    ("application", r"", r"(^|/)(app|text|inbox)\.o"),
    ("firmware", r"", r"build/firmware|\.o$"),
    ("C library", r"", r""),
)
FLASH = (".text", ".data")
RAM = (".stack", ".data", ".bss")


def pieces(path):
    """(output section, input section, object, bytes) of each piece that was linked."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = text[text.index("Linker script and memory map"):]
    output = None
    name = None
    for line in text.split("\n"):
        found = re.match(r"(\.\w+)\s*(0x|$)", line)
        if found or re.match(r"\S", line):
            output = found.group(1) if found else None
            found = re.match(r"\.stack\s+0x\w+\s+0x(\w+)", line)
            if found:
                yield ".stack", ".stack", "", int(found.group(1), 16)
            continue
        if re.match(r" (\.\S+|COMMON)$", line):
            name = line.strip()  # a long name: the rest is on the next line
            continue
        found = re.match(r" (\.\S+|COMMON| *\*fill\*|) +0x[0-9a-f]+ +0x([0-9a-f]+) ?(.*)", line)
        if found and output and output != ".stack":
            yield output, found.group(1).strip() or name, found.group(3), int(found.group(2), 16)


def limits(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    rows = dict(re.findall(r"^(flash|ram)\s+0x\w+\s+0x(\w+)", text, re.M))
    return int(rows["flash"], 16), int(rows["ram"], 16) + 64  # 64: keep_memory


def main():
    path = sys.argv[1]
    sizes = {part: [0, 0] for part, _, _ in PARTS}
    for output, section, source, size in pieces(path):
        if output not in FLASH + RAM:
            continue
        for part, wanted, where in PARTS:
            if re.match(wanted, section) and re.search(where, source):
                sizes[part][0] += size if output in FLASH else 0
                sizes[part][1] += size if output in RAM else 0
                break
    flash, ram = limits(path)
    print(f"{os.path.basename(path)[:-4]:32} {'flash':>8} {'RAM':>8}")
    for part, (in_flash, in_ram) in sizes.items():
        if in_flash or in_ram:
            print(f"  {part:30} {in_flash:8} {in_ram:8}")
    total = [sum(column) for column in zip(*sizes.values())]
    print(f"  {'together':30} {total[0]:8} {total[1]:8}")
    print(f"  {'there is':30} {flash:8} {ram:8}")


main()
