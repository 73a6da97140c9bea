"""A client that stops reading: the receive buffer is as small as the system allows, so that the
server's transport really blocks. Prints "open" when the head of the answer is there, reads nothing
until a line comes on stdin, then reads on and prints what it found, as JSON.

Usage: stall.py PORT PATH     (over TLS if RTPUSH_TLS is set, its CA in NODE_EXTRA_CA_CERTS)
"""

import json
import os
import re
import socket
import ssl
import sys
import time

AFTER_S = 15  # reads on for so long, or until it knows


def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(AFTER_S)
    s.connect(("127.0.0.1", port))
    if "RTPUSH_TLS" in os.environ:
        trust = ssl.create_default_context(cafile=os.environ["NODE_EXTRA_CA_CERTS"])
        s = trust.wrap_socket(s, server_hostname="127.0.0.1")
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    text = b""
    while b"\r\n\r\n" not in text:
        text += s.recv(1)
    print("open", flush=True)
    sys.stdin.readline()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    ended = None
    end = time.monotonic() + AFTER_S
    try:
        while time.monotonic() < end and not re.search(rb"data: gap \d+ \d+\n", text):
            more = s.recv(65536)
            if not more:
                ended = "fin"
                break
            text += more
    except ConnectionResetError:
        ended = "reset"
    except socket.timeout:
        ended = "timeout"
    gaps = [int(n) for n in re.findall(rb"data: gap (\d+) \d+\n", text)]
    print(json.dumps({"bytes": len(text), "gaps": gaps, "ended": ended}), flush=True)


main()
