"""A board in QEMU that counts its instructions, for firmware.py and tls.py."""
import collections
import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time

WAIT_S = 60
BOARD = "mps2-an385"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port):
    """The emulator's listen queue is short: a refused attempt is made again."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def instructions(ticks, shift):
    """QEMU lets 2^shift ns pass with each instruction, and the board's clocks count 40 ns."""
    return round(ticks * 40 / (1 << shift))


@contextlib.contextmanager
def board(elf, guest_port, shift, *options, serial="null", output=None):
    """Runs the image; gives the port of this machine that leads to the guest's."""
    port = free_port()
    qemu = subprocess.Popen(
        ["qemu-system-arm", "-M", BOARD, "-kernel", elf, "-display", "none", "-monitor", "none",
         "-serial", serial, "-icount", f"shift={shift}", *options,
         "-nic", f"user,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:{guest_port}"],
        stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield port
    finally:
        qemu.terminate()
        qemu.wait()


class Tracer:
    """The instructions that a running board executes, each with its address. QEMU writes a line for
    each while it is told to. For a board that was started with options()."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="rtpush-bench-")
        self.log = os.path.join(self.folder, "log")
        self.socket = os.path.join(self.folder, "qmp")
        self.control = None

    def options(self):
        return ("-singlestep", "-D", self.log, "-qmp", f"unix:{self.socket},server=on,wait=off")

    def command(self, text):
        if self.control is None:
            self.control = socket.socket(socket.AF_UNIX)
            self.control.settimeout(WAIT_S)
            self.control.connect(self.socket)
            self.control = self.control.makefile("rw", encoding="utf-8")
            self.control.readline()  # its greeting
            self.ask({"execute": "qmp_capabilities"})
        self.ask({"execute": "human-monitor-command", "arguments": {"command-line": text}})

    def ask(self, message):
        self.control.write(json.dumps(message) + "\n")
        self.control.flush()
        while "return" not in (answer := json.loads(self.control.readline())):
            if "error" in answer:
                raise OSError(answer["error"])

    @contextlib.contextmanager
    def tracing(self):
        """What is executed inside goes to the log."""
        with open(self.log, "a", encoding="utf-8") as f:
            f.truncate(0)
        self.command("log exec,nochain")
        yield
        self.command("log none")

    def addresses(self):
        """In order; an instruction that QEMU had to begin again is counted once."""
        last = None
        with open(self.log, encoding="utf-8", errors="replace") as f:
            for line in f:
                found = re.match(r"Trace 0: \S+ \[[0-9a-f]+/([0-9a-f]{8})/", line)
                if found and found.group(1) != last:
                    last = found.group(1)
                    yield int(last, 16)

    def close(self):
        for path in (self.log, self.socket):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
        os.rmdir(self.folder)


def plain(section):
    """A function's name from .text.startup.main or .text.parse.constprop.0"""
    words = [w for w in section.split(".") if w not in ("", "startup", "unlikely", "hot")]
    return words[0] if words else "?"


class Image:
    """Which function and object file an address of the image belongs to, from the map file of a
    program that was compiled with -ffunction-sections."""

    def __init__(self, elf):
        with open(os.path.splitext(elf)[0] + ".map", encoding="utf-8") as f:
            text = f.read()
        text = text[text.index("Linker script and memory map"):]
        self.functions = sorted(
            (int(at, 16), int(at, 16) + int(size, 16), plain(name), where)
            for name, at, size, where in re.findall(
                r"^ \.text(?:\.([\w.]+))?\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+) (\S+)$", text, re.M))
        self.found = {}

    def function(self, address):
        """(name, object file, whether it begins here); a file of the C library is a function."""
        if address not in self.found:
            self.found[address] = next(
                ((name, where, address == begin) for begin, end, name, where in self.functions
                 if begin <= address < end), ("?", "", False))
        return self.found[address]


def count(image, addresses, inside, outside):
    """{(function, object file, caller's object file): instructions} while one of the functions
    `inside` has been entered and `outside` has not been come back to. What the C library does is
    the work of whose code it was called from; an interrupt in between changes nothing."""
    counts = collections.Counter()
    counting = False
    last = caller = ""
    for address in addresses:
        name, where, begins = image.function(address)
        if name in inside:
            counting = True
        elif name == outside:
            counting = False
        library = re.search(r"\.a\(", where)
        if library and begins and not re.search(r"\.a\(", last):
            caller = last
        last = where
        if counting:
            counts[name, where, caller if library else where] += 1
    return counts
