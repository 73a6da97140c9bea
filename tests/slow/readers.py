# readers.py - slow readers of tests/slow/server.c that acknowledge, each on its own link, all at
# the same time; and stalled ones. Run by run.sh, which makes the links.
# Usage: readers.py LINK...    LINK: NAME,SERVER,HOST,DIRECT,PORT,RATE: the server's address at this
# link and at one without a limit; bytes a second of the link, 0 for no limit
# Every byte must arrive (RFC 9112 9.6, RFC 6455 7.1.1); a stalled reader is reset after stall_ms.
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time

STALL_S = 6.0  # of the scaled servers, see run.sh
FILE = bytes(ord("a") + i % 23 for i in range(101000))
EVENTS = 101
WS_BYTES = 120000


class Wrong(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Wrong(text)


def dial(link, receive_buffer=0):
    sock = socket.socket()
    # Room for all that a case writes: it writes first, then reads.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 212992)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(90)
    sock.connect((link["host"], link["port"]))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if link["server"] == "tls":
        context = ssl.create_default_context(cafile="build/cert/ca.pem")
        sock = context.wrap_socket(sock, server_hostname="localhost",
                                   suppress_ragged_eofs=False)
    return sock


class Reader:
    """Reads to the end, at most `rate` bytes a second of its own."""

    def __init__(self, sock, rate=0):
        self.sock = sock
        self.rate = rate
        self.data = b""
        self.began = time.monotonic()
        self.total = 0

    def more(self):
        size = 65536
        if self.rate:
            size = max(1, self.rate // 10)
            ahead = self.total / self.rate - (time.monotonic() - self.began)
            if ahead > 0:
                time.sleep(ahead)
        try:
            got = self.sock.recv(size)
        except ssl.SSLEOFError:
            raise Wrong("TLS: the end without close_notify, after %d bytes" % self.total)
        except OSError as error:
            raise Wrong("%s after %d bytes and %.1f s" % (
                error, self.total, time.monotonic() - self.began))
        self.data += got
        self.total += len(got)
        return len(got)

    def until(self, mark):
        while mark not in self.data:
            check(self.more() > 0, "the end before %r, after %d bytes" % (mark, self.total))
        head, _, self.data = self.data.partition(mark)
        return head

    def exactly(self, count):
        while len(self.data) < count:
            check(self.more() > 0, "the end %d bytes early" % (count - len(self.data)))
        out, self.data = self.data[:count], self.data[count:]
        return out

    def to_end(self):
        while self.more() > 0:
            pass
        out, self.data = self.data, b""
        return out

    def answer(self):
        """A whole answer, decoded."""
        head = self.until(b"\r\n\r\n").decode().lower()
        check(" 200 " in head.split("\r\n")[0], "answer: " + head.split("\r\n")[0])
        if "transfer-encoding: chunked" in head:
            body = b""
            while True:
                size = int(self.until(b"\r\n"), 16)
                chunk = self.exactly(size + 2)
                if size == 0:
                    return body
                body += chunk[:-2]
        for line in head.split("\r\n"):
            if line.startswith("content-length:"):
                return self.exactly(int(line.split(":")[1]))
        return self.to_end()


def get(link, path, version="1.1", close=True):
    return ("GET %s HTTP/%s\r\nHost: localhost\r\n%s\r\n" % (
        path, version, "Connection: close\r\n" if close and version == "1.1" else "")).encode()


def bytes_of(link):
    """So much that the link takes 30 s at most."""
    return min(len(FILE), link["rate"] * 30) if link["rate"] else len(FILE)


def poll_path(link, most=EVENTS):
    count = min(most, max(1, bytes_of(link) // 1050))
    return "/poll?topics=log&last_event_id=00000007-%08x" % (EVENTS - count), count


def check_events(text, count):
    for i in range(EVENTS - count, EVENTS):
        check(b"data: %06d " % i in text, "event %d of %d is missing" % (i, count))
    check(text.count(b"e" * 990) == count, "events are not whole")


def finish(reader):
    check(reader.to_end() == b"", "bytes behind the answer")
    reader.sock.close()


# -- the cases: each gets a link and an own rate ---------------------------------------------------

def case_file(link, rate, version="1.1", path="/file"):
    want = FILE[:bytes_of(link)]
    reader = Reader(dial(link, 4096 if rate else 0), rate)
    reader.sock.sendall(get(link, "%s?bytes=%d" % (path, len(want)), version))
    check(reader.answer() == want, "the file is not whole: %d bytes" % reader.total)
    finish(reader)


def case_old_file(link, rate):
    case_file(link, rate, "1.0")


def case_pull(link, rate):
    case_file(link, rate, "1.1", "/pull")


def case_old_pull(link, rate):
    case_file(link, rate, "1.0", "/pull")


def case_poll(link, rate, version="1.1"):
    path, count = poll_path(link)
    reader = Reader(dial(link, 4096 if rate else 0), rate)
    reader.sock.sendall(get(link, path, version))
    check_events(reader.answer(), count)
    finish(reader)


def case_old_poll(link, rate):
    case_poll(link, rate, "1.0")


def case_keep(link, rate):
    """Keep-alive: idle_ms begins when the answer has arrived, so the next request works."""
    path, count = poll_path(link, 60)
    reader = Reader(dial(link, 4096 if rate else 0), rate)
    reader.sock.sendall(get(link, path, close=False))
    check_events(reader.answer(), count)
    time.sleep(0.4)
    reader.sock.sendall(get(link, "/file?bytes=10", close=False))
    check(reader.answer() == FILE[:10], "the second answer")
    finish(reader)  # idle_ms, or the script waits for 90 s


def frame(first, payload):
    size = len(payload)
    head = bytes([first, 128 | size]) if size < 126 else struct.pack(">BBH", first, 254, size)
    return head + b"\0\0\0\0" + payload


def upgrade(link, reader):
    reader.sock.sendall(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    check(b" 101 " in reader.until(b"\r\n\r\n"), "no upgrade")


def case_echo(link, rate):
    """WS_BYTES in messages of 1,000 and Close; both come back."""
    count = min(WS_BYTES, link["rate"] * 30 if link["rate"] else WS_BYTES) // 1000
    reader = Reader(dial(link, 4096 if rate else 0), rate)
    upgrade(link, reader)
    for i in range(count):
        reader.sock.sendall(frame(0x82, b"%06d" % i + b"x" * 994))
    reader.sock.sendall(frame(0x88, b"\x03\xe8"))
    got = 0
    while True:
        first, size = reader.exactly(2)
        if size == 126:
            size = struct.unpack(">H", reader.exactly(2))[0]
        payload = reader.exactly(size)
        if first == 0x89:
            reader.sock.sendall(frame(0x8A, payload))
        elif first == 0x88:
            check(payload == b"\x03\xe8", "Close %r" % payload)
            break
        else:
            check(payload[:6] == b"%06d" % got, "message %d is missing" % got)
            got += 1
    check(got == count, "%d of %d echoes" % (got, count))
    finish(reader)


def case_events(link, rate):
    """An event stream; the server ends it while most of it is on its way."""
    _, count = poll_path(link, 55)
    reader = Reader(dial(link, 4096 if rate else 0), rate)
    reader.sock.sendall(get(link, "/events?topics=log&last_event_id=00000007-%08x" %
                            (EVENTS - count), close=False))
    reader.until(b"\r\n\r\n")
    reader.until(b"replayed")
    other = Reader(dial(dict(link, host=link["direct"])))
    other.sock.sendall(get(link, "/end"))
    other.answer()
    finish_other(other)
    check_events(reader.to_end(), count)
    reader.sock.close()


def finish_other(other):
    try:
        other.to_end()
    except Wrong:
        pass
    other.sock.close()


def stalled(link, ask):
    """Asks, and reads nothing: the reset comes after stall_ms, and not much later."""
    sock = dial(link, 4096)
    ask(sock)
    began = time.monotonic()
    # Nothing is read, so the reset is looked for by what does not read: poll(POLLERR | POLLHUP).
    raw = sock.fileno()
    poller = select.poll()
    poller.register(raw, 0)
    got = poller.poll(60000)
    took = time.monotonic() - began
    check(got and got[0][1] & select.POLLERR, "no reset in 60 s")
    check(STALL_S - 0.3 <= took <= STALL_S * 1.25 + 3.5, "reset after %.1f s" % took)
    sock.close()


def stall_file(link, _):
    stalled(link, lambda sock: sock.sendall(get(link, "/file")))


def stall_pull(link, _):
    stalled(link, lambda sock: sock.sendall(get(link, "/pull", close=False)))


def stall_poll(link, _):
    stalled(link, lambda sock: sock.sendall(get(link, poll_path(link)[0])))


def stall_small_poll(link, _):
    """All of it is with the kernel, and the core idle."""
    stalled(link, lambda sock: sock.sendall(get(link, poll_path(link, 40)[0], close=False)))


def stall_events(link, _):
    stalled(link, lambda sock: sock.sendall(get(link, "/events?topics=log&last_event_id=00000007-"
                                                "00000000", close=False)))


def stall_echo(link, _):
    def ask(sock):
        upgrade(link, Reader(sock))
        for i in range(100):
            sock.sendall(frame(0x82, b"x" * 1000))
        sock.sendall(frame(0x88, b"\x03\xe8"))
    stalled(link, ask)


def crowd(link, rate):
    """A server of two slots, both with an answer on its way, and thirty newcomers."""
    done = []

    def read(case):
        try:
            case(link, rate)
            done.append("")
        except Wrong as wrong:
            done.append(str(wrong))

    first = [threading.Thread(target=read, args=(case,)) for case in (case_poll, case_crowd_keep)]
    for thread in first:
        thread.start()
    time.sleep(1.0)
    reset = 0
    for _ in range(30):
        try:
            with socket.create_connection((link["direct"], link["port"]), 5) as sock:
                sock.sendall(get(link, "/file?bytes=10"))
                reset += sock.recv(100) == b""
        except OSError:
            reset += 1
        time.sleep(0.05)
    for thread in first:
        thread.join()
    check(done == ["", ""], "a reader lost its answer: " + " / ".join(done))
    check(reset >= 20, "only %d of 30 newcomers were refused" % reset)


def case_crowd_keep(link, rate):
    """55 KB, all of it with the kernel at once: only the port knows that it is on its way."""
    reader = Reader(dial(link, 4096), rate)
    reader.sock.sendall(get(link, "/file?bytes=55000", close=False))
    check(reader.answer() == FILE[:55000], "the file is not whole")
    reader.sock.close()


def case_steady(link, rate):
    """Default deadlines: 35 s of a steady reader with a small buffer, file after file."""
    reader = Reader(dial(link, 4096), rate)
    for _ in range(max(1, rate * 35 // len(FILE))):
        reader.sock.sendall(get(link, "/file", close=False))
        check(reader.answer() == FILE, "the file is not whole")
    reader.sock.close()


ON_LINKS = [case_file, case_old_file, case_pull, case_old_pull, case_poll, case_old_poll, case_keep,
            case_echo, case_events]
STALLS = [stall_file, stall_pull, stall_poll, stall_small_poll, stall_events, stall_echo]


def plan(links):
    """What runs on which link: (name, case, link, own rate)."""
    for link in links:
        kind = link["name"].split("-")[0]
        if kind == "link":
            yield link, ON_LINKS[int(link["name"].split("-")[1])], 0
        elif kind == "own":
            for case in ON_LINKS:
                yield link, case, 4000
        elif kind == "stall":
            for case in STALLS:
                yield link, case, 0
        elif kind == "crowd":
            yield link, crowd, 8000
        elif kind == "poll":  # those of default deadlines
            yield link, case_poll, 0
        elif kind == "echo":
            yield link, case_echo, 0
        elif kind == "keep":
            yield link, case_keep, 0
        elif kind == "steady":
            yield link, case_steady, 8000
        else:
            raise SystemExit("readers: link " + link["name"])


def run(link, case, rate, results):
    speed = link["rate"] or rate
    name = "%s, %s, %s" % (case.__name__, link["server"],
                           "%s %d B/s" % ("link" if link["rate"] else "reader", speed)
                           if speed else "stalled")
    began = time.monotonic()
    try:
        case(link, rate)
        text = ""
    except Wrong as wrong:
        text = str(wrong)
    except Exception as error:  # a fault of this script, or of the network
        text = "%s: %s" % (type(error).__name__, error)
    results.append((name, text, time.monotonic() - began))


def main():
    links = []
    for text in sys.argv[1:]:
        name, server, host, direct, port, rate = text.split(",")
        links.append({"name": name, "server": server, "host": host, "direct": direct,
                      "port": int(port), "rate": int(rate)})
    results = []
    threads = [threading.Thread(target=run, args=(link, case, rate, results))
               for link, case, rate in plan(links)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = 0
    for name, text, took in sorted(results):
        if text or os.environ.get("SLOW_VERBOSE"):
            print("%s %s: %s (%.1f s)" % ("FAIL" if text else "ok", name, text, took))
        failed += text != ""
    print("%d passed, %d failed" % (len(results) - failed, failed))
    sys.exit(failed > 0 or not results)


main()
