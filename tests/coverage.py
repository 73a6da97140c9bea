# coverage.py - what tests/coverage.sh measured: the totals of rtpush.h and each port, and what
# nothing reached, with the reason where nothing can (WHY). gcov's own JSON, added up here: a
# function that stands twice, under #if and #else, is more than Debian's gcovr 5.2 can merge.
# Usage: coverage.py TREE OUT.TXT [whole]    whole: all suites were run, so the goal counts
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile


# (file, line without its indentation): why nothing can reach a part of it. A line that is reached,
# or gone, is reported, so that no reason outlives its line.
WRONG = "rtpi_wrong returns 0"
WHY = {
    ("rtpush.h", 'return r->on_request || rtpi_wrong(srv, RTPI_RULE(".on_request", "a function"), '
     'NULL);'): WRONG,
    ("rtpush.h", "return !a->etag || a->etag[rtpi_name_len(a->etag)] == '\\0' ||"): WRONG,
    ("rtpush.h", "return ((r->topics & ~topics) == 0 && "
     "(topics != 0 || srv->desc.topic_count == 0)) ||"): WRONG,
    ("ports/rtpush_mbedtls.h", "if (mbedtls_ssl_get_ciphersuite_name(suites[i])[0] == 'T') { "
     "// TLS..., else \"unknown\""): "the library of the tests has all of them",
}

# An assertion's other side is a failed test, and so is what stands only for assertions.
CHECKS = re.compile(r"#ifdef RTPI_ASSERTS\n.*?\n#endif|RTPUSH_ASSERT\([^;]*;", re.S)


def checks(text):
    """The numbers of lines that only check."""
    return {line for found in CHECKS.finditer(text)
            for line in range(text.count("\n", 0, found.start()) + 1,
                              text.count("\n", 0, found.end()) + 2)}


def reports(tree):
    """The JSON of each .gcda."""
    with tempfile.TemporaryDirectory() as folder:
        for at, _, names in os.walk(tree):
            lwip = re.match(r"(threads\.|lwip-)?2\.[12]", os.path.basename(at))  # its own are many
            for name in names:
                if name.endswith(".gcda") and \
                        (not lwip or name in ("sim.gcda", "threads.gcda", "test-lwip.gcda")):
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
    print("%-28s %7s %7s %9s %7s %9s %6s" % ("", "lines", "reached", "branches", "reached",
                                             "explained", "to do"))
    explained = set()
    missed = []  # files below the goal
    with open(sys.argv[2], "w") as out:
        for name, lines in sorted(files.items()):
            with open(os.path.join(tree, name)) as source:
                text = source.read()
            lines = {number: lines[number] for number in set(lines) - checks(text)}
            branches = [count for _, counts in lines.values() for count in counts]
            text = text.split("\n")
            why = 0  # branches with a reason
            to_do = 0  # branches without, and lines
            unreached = 0  # lines without
            for number, (count, counts) in sorted(lines.items()):
                if count > 0 and 0 not in counts:
                    continue
                key = (name, text[number - 1].strip())
                explained.add(key)
                if key in WHY:
                    why += max(1, counts.count(0))
                else:
                    to_do += max(1, counts.count(0))
                    unreached += count == 0
                out.write("%s:%d: %s: %s%s\n" % (
                    name, number, "never" if count == 0 else "branches %s of %d" % (
                        ", ".join(str(i) for i, hits in enumerate(counts) if hits == 0),
                        len(counts)), key[1], " // " + WHY[key] if key in WHY else ""))
            reached = 100.0 * sum(count > 0 for count in branches) / max(1, len(branches))
            print("%-28s %7d %6.1f%% %9d %6.1f%% %9d %6d" % (
                name, len(lines), 100.0 * sum(known[0] > 0 for known in lines.values()) /
                len(lines), len(branches), reached, why, to_do))
            if unreached > 0 or reached < 97.0:
                missed.append(name)
    for key in sorted(set(WHY) - explained):
        print("a reason without its line: %s: %s" % key)
    if not files:
        sys.exit("coverage: nothing was measured")
    print("what nothing reached: " + sys.argv[2])
    if len(sys.argv) > 3 and missed:
        sys.exit("coverage: below 100 % of lines or 97 % of branches: " + " ".join(missed))


main()
