"""A board in QEMU that counts its instructions, for firmware.py and tls.py."""
import contextlib
import socket
import subprocess
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
