#!/usr/bin/env python3
"""The deepest stack of any public call, by gcc's own figures for a Cortex-M3.

gcc -fcallgraph-info=su writes the call graph with the frame of each function. The longest path from
each public function is its stack. Not counted: the application's callbacks (what they use comes on
top, and if they call rtpush again, so does that call) and mem*/str* of the C library. A call
through a table of the core (route->kind->open) counts as one of each function that stands in that
field; other calls through pointers, to the application and the port, count as 0. Recursion, a frame
whose size is not fixed, and a path of LIMIT bytes or more are failures.
"""
import os
import re
import subprocess
import sys

LIMIT = 512  # bytes; also what a small RTOS task can spare beside its own work

# The core calls the application and the port through pointers, and nothing else is expected to be
# deeper than these few bytes in the library.
LIBRARY = re.compile(r"^(mem|str)[a-z]+$|^__aeabi_|^__gnu_|^__builtin_")


def compile_graph(out, optimise):
    if optimise == "-Os":  # by the Makefile, as other suites have it too
        graph = "build/core-cortex-m3.ci"
        command = [os.environ.get("MAKE", "make"), "--no-print-directory", graph[:-2] + "o"]
    else:
        os.makedirs(out, exist_ok=True)
        graph = os.path.join(out, "core.ci")
        command = ["arm-none-eabi-gcc", "-mthumb", "-mcpu=cortex-m3", "-std=c99", optimise, "-I.",
                   "-fstack-usage", "-fcallgraph-info=su", "-c", "ports/cmake/core.c", "-o",
                   graph[:-2] + "o"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    with open(graph, encoding="utf-8") as f:
        return f.read()


def read_graph(text):
    """frames: name -> (bytes, fixed); calls: name -> set of names. Names without the file part."""
    def short(title):
        return title.rsplit(":", 1)[-1]

    frames, calls = {}, {}
    for title, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', text):
        size = re.search(r"\\n(\d+) bytes \(([a-z,]+)\)", label)
        if size:
            frames[short(title)] = (int(size.group(1)), size.group(2) == "static")
    for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text):
        calls.setdefault(short(source), set()).add(short(target))
    return frames, calls


def table_edges(source, frames, calls):
    """Adds an edge from each function that calls through rtpush_kind or rtpush_topic_kind to each
    function in that field. gcc puts functions into their callers, so the caller is looked for in
    the call graph: what calls through a pointer and, by its text or that of a function that was put
    into it, names the field."""
    with open(source, encoding="utf-8") as f:
        text = f.read()
    text = text[text.index("#ifdef RTPUSH_IMPLEMENTATION"):]
    with open(source, encoding="utf-8") as f:
        whole = f.read()
    operations = {}
    for kind in ("rtpush_kind", "rtpush_topic_kind"):
        struct = re.search(r"\nstruct " + kind + r" \{(.*?)\n\};", whole, re.S).group(1)
        fields = re.findall(r"^    (?:uint8_t (\w+);|\w[\w ]*\(\*(\w+)\))", struct, re.M)
        fields = [a or b for a, b in fields]
        for row in re.findall(r"\nconst " + kind + r" \w+ = \{(.*?)\};", text, re.S):
            values = [re.sub(r"RTPI_CHECK\((\w+)\)", r"\1", v.strip()) for v in row.split(",")]
            if len(values) != len(fields):
                raise SystemExit(f"stack: {kind} has {len(fields)} fields, a table {len(values)}")
            for field, value in zip(fields, values):
                if value in frames:
                    operations.setdefault(field, set()).add(value)
    bodies = dict(re.findall(r"^(?:[\w*]+ )*\*?(rtp[iu]\w+)\([^;{]*\) \{\n(.*?)\n\}\n", text,
                             re.M | re.S))
    for field, functions in operations.items():
        callers = {n for n, body in bodies.items()
                   if re.search(r"(?:kind(?:\(srv, \w+\))?|srv)->" + field + r"\(", body)}
        if not callers:
            raise SystemExit(f"stack: nobody calls through the field {field}")
        # Who was put into a caller is no node of the graph: whoever names it stands for it.
        pending, seen = set(callers), set()
        while pending:
            name = pending.pop()
            seen.add(name)
            if any(n.split(".")[0] == name for n in frames):
                for n in frames:
                    if n.split(".")[0] == name:
                        calls.setdefault(n, set()).update(functions)
            else:
                pending |= {n for n, body in bodies.items()
                            if re.search(r"\b" + name + r"\(", body)} - seen


def deepest(name, frames, calls, known, path):
    """(bytes, path below and with name). Raises ValueError with the cycle on recursion."""
    if name in path:
        raise ValueError(" -> ".join(path[path.index(name):] + [name]))
    if name not in known:
        best, chain = 0, []
        for callee in sorted(calls.get(name, ())):
            if callee in frames:
                size, below = deepest(callee, frames, calls, known, path + [name])
                if size > best:
                    best, chain = size, below
        known[name] = (frames[name][0] + best, [name] + chain)
    return known[name]


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    passed, failed = 0, 0
    for optimise in ("-Os", "-O2"):
        try:
            frames, calls = read_graph(compile_graph("build/stack", optimise))
            table_edges("rtpush.h", frames, calls)
        except subprocess.CalledProcessError:
            print(f"FAIL {optimise}: does not compile")
            failed += 1
            continue
        loose = sorted(n for n, (_, fixed) in frames.items() if not fixed)
        if loose:
            failed += 1
            print(f"FAIL {optimise}: frames whose size is not fixed:", *loose)
        else:
            passed += 1
        foreign = sorted({c for n in frames for c in calls.get(n, ()) if c not in frames
                          and c != "__indirect_call" and not LIBRARY.match(c)})
        if foreign:
            failed += 1
            print(f"FAIL {optimise}: calls outside the core:", *foreign)
        else:
            passed += 1
        known, results = {}, []
        recursion = set()
        for name in sorted(n for n in frames if n.startswith("rtpush_")):
            try:
                results.append((*deepest(name, frames, calls, known, []), name))
            except ValueError as cycle:
                recursion.add(str(cycle))
        for cycle in sorted(recursion):
            failed += 1
            print(f"FAIL {optimise}: recursion {cycle}")
        results.sort(key=lambda r: (-r[0], r[2]))
        print(f"Cortex-M3 {optimise}, deepest public calls in bytes (callbacks not counted):")
        for size, chain, name in results[:8]:
            print(f"  {size:4} {' > '.join(chain)}")
        for size, chain, name in results:
            if size < LIMIT:
                passed += 1
            else:
                failed += 1
                print(f"FAIL {optimise}: {name} needs {size} bytes, the limit is {LIMIT}")
        if not results:
            failed += 1
            print(f"FAIL {optimise}: no public function found")
        pointers = sorted(n for n in frames if "__indirect_call" in calls.get(n, ()))
        print("  call through a pointer:", *pointers)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
