# coverage.py - what tests/coverage.sh measured: the totals of rtpush.h and each port, and what
# nothing reached. gcov's own JSON, added up here: a function that stands twice, under #if and
# #else, is more than Debian's gcovr 5.2 can merge.
# Usage: coverage.py TREE OUT.TXT
import gzip
import json
import os
import subprocess
import sys
import tempfile


def reports(tree):
    """The JSON of each .gcda."""
    with tempfile.TemporaryDirectory() as folder:
        for at, _, names in os.walk(tree):
            for name in names:
                if name.endswith(".gcda"):
                    subprocess.run(["gcov", "-j", "-b", os.path.join(at, name)], cwd=folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    for made in os.listdir(folder):
                        path = os.path.join(folder, made)
                        with gzip.open(path) as file:
                            yield json.load(file)
                        os.remove(path)


def main():
    tree = os.path.realpath(sys.argv[1])
    files = {}  # name: {line: [count, [count of each branch]]}
    for report in reports(tree):
        for entry in report["files"]:
            path = os.path.realpath(os.path.join(report["current_working_directory"],
                                                 entry["file"]))
            name = os.path.relpath(path, tree)
            if name != "rtpush.h" and not (name.startswith("ports/") and name.endswith(".h")):
                continue
            lines = files.setdefault(name, {})
            for line in entry["lines"]:
                known = lines.setdefault(line["line_number"], [0, []])
                known[0] += line["count"]
                counts = [branch["count"] for branch in line["branches"]]
                # Options change a condition's number of branches: the longest form counts.
                if len(counts) > len(known[1]):
                    known[1] = counts
                elif len(counts) == len(known[1]):
                    known[1] = [a + b for a, b in zip(known[1], counts)]
    print("%-28s %7s %7s %9s %7s" % ("", "lines", "reached", "branches", "reached"))
    with open(sys.argv[2], "w") as out:
        for name, lines in sorted(files.items()):
            branches = [count for _, counts in lines.values() for count in counts]
            print("%-28s %7d %6.1f%% %9d %6.1f%%" % (
                name, len(lines), 100.0 * sum(known[0] > 0 for known in lines.values()) /
                len(lines), len(branches),
                100.0 * sum(count > 0 for count in branches) / max(1, len(branches))))
            with open(os.path.join(tree, name)) as source:
                text = source.read().split("\n")
            for number, (count, counts) in sorted(lines.items()):
                missed = counts.count(0)
                if count == 0 or missed:
                    out.write("%s:%d: %s: %s\n" % (
                        name, number, "never" if count == 0 else
                        "%d of %d branches" % (missed, len(counts)), text[number - 1].strip()))
    if not files:
        sys.exit("coverage: nothing was measured")
    print("what nothing reached: " + sys.argv[2])


main()
