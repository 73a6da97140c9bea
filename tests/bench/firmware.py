#!/usr/bin/env python3
"""Instructions and memory of a broadcast and of an echo, on a Cortex-M3 in QEMU that counts its
instructions: whole stack, from the application to the network card, and whose they are. Usage:
    python3 tests/bench/firmware.py build/bench-firmware/mps2-an385.elf [FUNCTIONS]
FUNCTIONS: so many of the dearest functions of each row too. Writes build/bench/firmware.csv and
firmware-functions.csv."""
import base64
import collections
import csv
import os
import pathlib
import sys
import time

from emulator import Image, Tracer, board, connect, count as trace_count, instructions

SHIFT = 10  # no rounding
CLIENTS = (0, 1, 2, 4, 8)
ECHOES = 20
PARTS = ("core", "port", "lwIP", "rest")
OUT = pathlib.Path("build/bench")


def receive(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise OSError("the device closed the connection")
        data += more
    return data


def head(s):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += receive(s, 1)
    return data.decode()


def get(port, path):
    with connect(port) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        text = head(s)
        length = int(text.lower().split("content-length: ")[1].split("\r")[0])
        return receive(s, length).decode()


def numbers(port):
    return [int(word) for word in get(port, "/result").split()]


def websocket(port):
    s = connect(port)
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall((f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
               f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               f"Sec-WebSocket-Key: {key}\r\n\r\n").encode())
    if " 101 " not in head(s):
        raise OSError("no WebSocket")
    return s


def message(s):
    first = receive(s, 2)
    length = first[1] & 127
    if length == 126:
        length = int.from_bytes(receive(s, 2), "big")
    return receive(s, length)


def part(name, where):
    if where.endswith("/rtpush.o"):
        return "port" if "_lwip_" in name else "core"
    return "lwIP" if "/lwip/" in where else "rest"


class Device:
    """The board, and what it executes."""

    def __init__(self, port, tracer, image):
        self.port, self.tracer, self.image = port, tracer, image

    def traced(self, inside):
        """{(part, function): instructions} of the last trace. The C library's are its caller's."""
        out = collections.Counter()
        counts = trace_count(self.image, self.tracer.addresses(), inside, "main")
        for (name, where, caller), number in counts.items():
            library = where != caller
            label = os.path.basename(where).split("(lib_a-")[-1].split(".o")[0]
            out[part("" if library else name, caller), label if library else name] += number
        return out

    def broadcast(self):
        """{readers: (instructions, heap, segments, references)}, and {readers: traced}"""
        rows, traces, readers = {}, {}, []
        for count in CLIENTS:
            while len(readers) < count:
                readers.append(websocket(self.port))
            before = numbers(self.port)[0]
            with self.tracer.tracing():
                get(self.port, "/publish")
                for s in readers:
                    if len(message(s)) != 1024:
                        raise OSError("not the event")
                while numbers(self.port)[0] == before:
                    time.sleep(0.1)
            ticks, heap, segments, references = numbers(self.port)[2:]
            rows[count] = (instructions(ticks, SHIFT), heap, segments, references)
            traces[count] = self.traced(("publish",))
        for s in readers:
            s.close()
        return rows, traces

    def echo(self, count, size):
        """Of the whole loop while so many echoes pass, one after the other: instructions, traced"""
        s = websocket(self.port)
        get(self.port, "/begin")
        with self.tracer.tracing():
            for _ in range(count):
                s.sendall(bytes([0x81, 0x80 | size]) + b"\0\0\0\0" + b"e" * size)
                if message(s) != b"e" * size:
                    raise OSError("not the echo")
        ticks = numbers(self.port)[1]
        s.close()
        return instructions(ticks, SHIFT), self.traced(("turn",))


def difference(more, fewer, units):
    return {key: (more[key] - fewer[key]) / units for key in set(more) | set(fewer)}


def print_memory(rows):
    print(f"{'one event of 1 KiB to':24}{'instructions':>14}{'heap':>8}{'segments':>10}"
          f"{'references':>12}")
    for count, row in rows.items():
        print(f"  {count:2} clients{'':12}{row[0]:14}{row[1]:8}{row[2]:10}{row[3]:12}")
    each = [(rows[8][i] - rows[1][i]) / 7 for i in range(4)]
    print(f"  each client more      {each[0]:14.0f}{each[1]:8.0f}{each[2]:10.1f}{each[3]:12.1f}")
    return each


def print_parts(rows, functions):
    """Whose the instructions are; also as CSV."""
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / "firmware.csv", "w", encoding="utf-8", newline="") as a, \
            open(OUT / "firmware-functions.csv", "w", encoding="utf-8", newline="") as b:
        table, details = csv.writer(a), csv.writer(b)
        table.writerow(("row",) + PARTS + ("all",))
        details.writerow(("row", "part", "function", "instructions"))
        print(f"\n{'instructions':36}" + "".join(f"{p:>9}" for p in PARTS) + f"{'all':>9}")
        for title, counts in rows.items():
            sums = [sum(n for (p, _), n in counts.items() if p == wanted) for wanted in PARTS]
            sums.append(sum(sums))
            print(f"  {title:34}" + "".join(f"{n:9.0f}" for n in sums))
            table.writerow([title] + [f"{n:.0f}" for n in sums])
            ranked = sorted(counts.items(), key=lambda item: -item[1])
            details.writerows((title, p, name, f"{n:.1f}") for (p, name), n in ranked)
            for (p, name), n in ranked[:functions]:
                print(f"      {n:9.1f}  {p}: {name}")


def report(device, functions):
    rows, traces = device.broadcast()
    each = print_memory(rows)
    few, few_trace = device.echo(ECHOES, 16)
    many, many_trace = device.echo(3 * ECHOES, 16)
    print(f"an echo of 16 bytes     {(many - few) / (2 * ECHOES):14.0f}"
          "   whole loop, acknowledgements included")
    print_parts({
        "publish 1 KiB, nobody listens": traces[0],
        "the first reader": difference(traces[1], traces[0], 1),
        "each further reader": difference(traces[8], traces[1], 7),
        "echo 16 B, loop and acknowledgements": difference(many_trace, few_trace, 2 * ECHOES),
    }, functions)
    if each[1] >= 1024:
        print("the payload was copied")
        return 1
    return 0


def main():
    functions = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    tracer = Tracer()
    try:
        with board(sys.argv[1], 80, SHIFT, *tracer.options()) as port:
            return report(Device(port, tracer, Image(sys.argv[1])), functions)
    finally:
        tracer.close()


sys.exit(main())
