#!/usr/bin/env python3
"""Instructions and memory of a broadcast and of an echo, on a Cortex-M3 in QEMU that counts its
instructions: whole stack, from the application to the network card. Usage:
    python3 tests/bench/firmware.py build/bench-firmware/mps2-an385.elf"""
import base64
import os
import sys
import time

from emulator import board, connect, instructions

SHIFT = 10  # no rounding
CLIENTS = (0, 1, 2, 4, 8)
ECHOES = 100


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


def broadcast(port):
    rows = {}
    readers = []
    for count in CLIENTS:
        while len(readers) < count:
            readers.append(websocket(port))
        before = numbers(port)[0]
        get(port, "/publish")
        for s in readers:
            if len(message(s)) != 1024:
                raise OSError("not the event")
        while numbers(port)[0] == before:
            time.sleep(0.1)
        ticks, heap, segments, references = numbers(port)[2:]
        rows[count] = (instructions(ticks, SHIFT), heap, segments, references)
    for s in readers:
        s.close()
    return rows


def echo(port, count, size):
    """Instructions of the whole loop while so many echoes pass, one after the other."""
    s = websocket(port)
    get(port, "/begin")
    for _ in range(count):
        s.sendall(bytes([0x81, 0x80 | size]) + b"\0\0\0\0" + b"e" * size)
        if message(s) != b"e" * size:
            raise OSError("not the echo")
    ticks = numbers(port)[1]
    s.close()
    return instructions(ticks, SHIFT)


def report(port):
    rows = broadcast(port)
    print(f"{'one event of 1 KiB to':24}{'instructions':>14}{'heap':>8}{'segments':>10}"
          f"{'references':>12}")
    for count, row in rows.items():
        print(f"  {count:2} clients{'':12}{row[0]:14}{row[1]:8}{row[2]:10}{row[3]:12}")
    each = [(rows[8][i] - rows[1][i]) / 7 for i in range(4)]
    print(f"  each client more      {each[0]:14.0f}{each[1]:8.0f}{each[2]:10.1f}{each[3]:12.1f}")
    more = (echo(port, 3 * ECHOES, 16) - echo(port, ECHOES, 16)) / (2 * ECHOES)
    print(f"an echo of 16 bytes     {more:14.0f}   whole loop, acknowledgements included")
    if each[1] >= 1024:
        print("the payload was copied")
        return 1
    return 0


def main():
    with board(sys.argv[1], 80, SHIFT) as port:
        return report(port)


sys.exit(main())
