#!/usr/bin/env python3
"""What two runs of build/bench/instructions of different length cost more, by source function: the
difference is what the rounds cost, without start and handshakes. bench.sh calls this.

Usage: callgrind.py FEWER MORE UNITS row          "core port all" of one unit
       callgrind.py FEWER MORE UNITS functions    every function, the dearest first
       callgrind.py FEWER MORE UNITS lines        every line, the dearest first; both of those
                                                  that cost a twentieth of an instruction

Code is attributed by file and line, so what the compiler inlined counts where it was written. What
the C library does counts for the function that calls it."""
import collections
import pathlib
import re
import signal
import sys

OURS = ("rtpush.h", "ports/", "tests/bench/instructions.c")
CLONE = re.compile(r"(\.(constprop|part|isra|cold)(\.\d+)?|'\d+)+$")


def ours(path):
    """The path in the repository of a file of ours, or None."""
    name = path.replace("/./", "/")
    for begin in OURS:
        at = name.rfind("/" + begin)
        if at >= 0:
            return name[at + 1:]
    return None


class Sources:
    """Which function a line belongs to."""

    def __init__(self):
        self.starts = {}  # file: the function of each line

    def read(self, name):
        lines = [None]
        head, function = "", None
        for line in pathlib.Path(name).read_text(encoding="utf-8").splitlines():
            if re.match(r"[A-Za-z]", line):
                head = line
            elif head and not line.startswith("}"):
                head += " " + line.strip()
            if function is None and head and line.endswith(") {"):
                before = re.match(r"[^(]*?(\w+)\(", head)
                function = before.group(1) if before else None
            lines.append(function)
            if line.startswith("}") or line.endswith(";"):
                head = ""
            if line.startswith("}"):
                function = None
        return lines

    def function(self, name, line):
        if name not in self.starts:
            self.starts[name] = self.read(name)
        lines = self.starts[name]
        return lines[line] if line < len(lines) else None

    def defined(self):
        return {f for lines in self.starts.values() for f in lines if f}


class Run:
    """The costs in one file that callgrind wrote without compression of names and positions."""

    def __init__(self, path, sources):
        self.self_cost = collections.Counter()     # (file, line, compiled function): instructions
        self.library_cost = collections.Counter()  # the same of calls into the C library
        self.calls = collections.Counter()         # compiled function: how often
        self.total = 0
        text = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        names = {line[3:] for line, ok in zip(text, self.own(text)) if ok}
        file, function, callee = None, None, None
        for line in text:
            key, _, value = line.partition("=")
            if key in ("fl", "fi", "fe"):
                file = ours(value)
            elif key == "fn":
                function = value
            elif key == "cfn":
                callee = value
            elif key == "calls":
                count = int(value.split()[0])
            elif line.startswith("summary:"):
                self.total = int(line.split()[1])
            elif line[:1].isdigit():
                at, cost = (int(x) for x in line.split())
                where = (file, at, function)
                if callee is None:
                    if function in names:
                        self.self_cost[where] += cost
                elif callee in names:
                    self.calls[CLONE.sub("", callee)] += count
                elif function in names:
                    self.library_cost[where] += cost
                callee = None
        for name, at, _ in list(self.self_cost):
            if name:
                sources.function(name, at)

    @staticmethod
    def own(text):
        """For each line whether it is an fn= of a function in a file of ours."""
        file = None
        for line in text:
            if line.startswith("fl="):
                file = ours(line[3:])
            yield line.startswith("fn=") and file is not None


def by_function(counter, sources):
    """(file, function): instructions."""
    out = collections.Counter()
    for (name, line, compiled), cost in counter.items():
        written = sources.function(name, line) if name else None
        out[name or "", written or CLONE.sub("", compiled)] += cost
    return out


def main():
    if len(sys.argv) != 5 or sys.argv[4] not in ("row", "functions", "lines"):
        sys.exit(__doc__)
    sources = Sources()
    fewer, more = Run(sys.argv[1], sources), Run(sys.argv[2], sources)
    units = float(sys.argv[3])
    total = (more.total - fewer.total) / units
    more.self_cost.subtract(fewer.self_cost)
    more.library_cost.subtract(fewer.library_cost)
    more.calls.subtract(fewer.calls)
    own = by_function(more.self_cost, sources)
    library = by_function(more.library_cost, sources)
    both = own + library
    if abs(sum(both.values()) / units - total) > 0.02 * total + 1:
        sys.exit(f"callgrind.py: parts make {sum(both.values()) / units:.0f} of {total:.0f}")
    if sys.argv[4] == "row":
        parts = [sum(cost for (name, _), cost in both.items() if name.startswith(part)) / units
                 for part in ("rtpush.h", "ports/")]
        print(f"{parts[0]:.0f} {parts[1]:.0f} {total:.0f}")
        return
    if sys.argv[4] == "lines":
        lines = collections.Counter()
        for (name, line, _), cost in (more.self_cost + more.library_cost).items():
            lines[name or "?", line] += cost
        for (name, line), cost in lines.most_common():
            if cost >= units / 20:
                text = pathlib.Path(name).read_text(encoding="utf-8").splitlines()[line - 1].strip()
                print(f"{cost / units:9.2f}  {name}:{line}: {text}")
        return
    print(f"{total:.0f} instructions a unit; calls: of functions that are not inlined\n")
    print(f"{'all':>9} {'own':>9} {'C library':>10} {'calls':>8}")
    for (name, function), cost in both.most_common():
        if cost >= units / 20:
            where = name, function
            print(f"{cost / units:9.1f} {own[where] / units:9.1f} {library[where] / units:10.1f} "
                  f"{more.calls[function] / units:8.2f}  {function} ({name or '?'})")


signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # head may take a part
main()
