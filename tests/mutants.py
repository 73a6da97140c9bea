#!/usr/bin/env python3
"""Mutation run: breaks one token or statement of rtpush.h or a port at a time and runs the tests of
that file. A break that no test notices survives and is listed: a rule that is not tested, or a
break that changes nothing. Not part of `make test`.

    python3 tests/mutants.py [selftest] [NAME=value...]     names, also from the environment:
    PORT=posix                  ports/rtpush_posix.h; none: rtpush.h
    SECTION='ws wire'           only these sections (>>ws, >>wire)
    FUNCTION=regex              only functions whose whole name matches
    COUNT=300 SEED=1            so many of all mutants, the same for the same seed; COUNT=all
    AGAIN=1                     only the survivors of the last run of this file
    PROGRAMS='sim test_ws'      only these programs decide; a wrong name lists those there are
    JOBS=2                      at a time
    OUT=build/mutants           where it works, and leaves *.results and *.survivors
    SANITIZE=0                  survivors are not tried with sanitizers

    PORT=json COUNT=100         the ports, by the programs of tests/unit that include them
    PORT=multipart COUNT=80
    PORT=dash COUNT=80
    PORT=access COUNT=80
    PORT=sockets COUNT=80 JOBS=8    tests/sockets/faults.c with poll and with select, which wait
    PORT=posix COUNT=80 JOBS=8      tests/posix/faults.c in its four forms
    PORT=lwip COUNT=60              the simulation of tests/lwip in two builds
    PORT=tls COUNT=60               tests/tls over rtpush_bearssl.h
    PORT=bearssl COUNT=60
    PORT=mbedtls COUNT=60           tests/tls over rtpush_mbedtls.h, in TLS 1.2 and 1.3

A mutant of rtpush.h is compiled once, its private functions without `static`, and linked with the
unit programs, which were compiled before with declarations in place of the implementation's
functions. Of a port the programs are compiled anew, and linked to a core that was compiled before.
The program that killed most mutants of the section runs first; the first failure ends it. So does
taking some times as long as with nothing changed, in CPU or on the clock: that mutant hangs, and is
`killed by NAME (hangs)`. What survives is tried again with sanitizers. A mutant whose object code
is that of the original is equivalent and not counted.
The last line is `N killed, N survived, N not compiled`."""
import bisect
import collections
import concurrent.futures
import hashlib
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import lint

# Survivors that no test can kill: (function, the changed line) and why.
EQUIVALENT = {
    ("rtpi_bearssl_alert_of", "if (error [>= => >] BR_ERR_X509_OK) {"):
        "BR_ERR_X509_OK is no error",
    ("rtpi_mbedtls_send", "[slot->notes |= RTPI_MBEDTLS_LAST => ];"):
        "the library makes one alert more, as long as the last, and is told that this one went",
}

REPLACED = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&",
    "+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "&": "|", "|": "&", "^": "|", "<<": ">>",
    ">>": "<<", "+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "++": "--", "--": "++",
    "!": "", "~": "", "?": "== 0 ?",
}
PREFIX = ("!", "~", "++", "--") # the others are mutated only with a space on both sides
TOKEN = re.compile(r"[A-Za-z_]\w*|\d\w*|'[^']*'|\"[^\"]*\"|<<=|>>=|->|\+\+|--|<<|>>|&&|\|\|"
                   r"|[-+*/%&|^<>=!]=|\S")
STOP = """#include <unistd.h>
void _fail(const char *file, const int line) { (void)file; (void)line; _exit(1); }
void __assert_fail(const char *a, const char *b, unsigned c, const char *d) {
    (void)a; (void)b; (void)c; (void)d; _exit(1);
}
"""
os.environ.update(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
OUT = os.environ.get("OUT", "build/mutants")
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

Mutant = collections.namedtuple("Mutant", "start end new line function section text")
Program = collections.namedtuple("Program", "name source flags libraries runs")
CORE = "core" # among the libraries of a program: the core in an object of its own


# -- what is mutated -------------------------------------------------------------------------------

def blank_part(text, start, end):
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def closing(code, at):
    """The offset of the parenthesis that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return len(code) - 1


def implementation(text):
    """C source of the same length in which only what may be mutated is not blank."""
    code = lint.code_of(text)
    begin = re.search(r"^#ifdef RTP(USH|I)_(\w+_)?IMPLEMENTATION\n", code, flags=re.M).end()
    code = blank_part(code, 0, begin)
    for m in re.finditer(r"\bRTPUSH_ASSERT\(", code):
        code = blank_part(code, m.start(), closing(code, m.end() - 1) + 2)
    for m in re.finditer(r"^[ ]*#(?:[^\n]*\\\n)*[^\n]*", code, flags=re.M):
        value = re.match(r"#define \w+ [^\\]*$", m.group(0))
        code = blank_part(code, m.start(), m.start() + len("#define") if value else m.end())
        if value:  # not the name either
            code = re.sub(r"\w+", lambda n: " " * len(n.group(0)), code[m.start():m.end()], 1) \
                .join((code[:m.start()], code[m.end():]))
    return code


def changes_of_token(token, code, text, start, end):
    """What may stand in place of one token."""
    if token in REPLACED:
        around = code[start - 1:start] + code[end:end + 1]
        if token in PREFIX or (around[:1] in " \n" and around[1:] in " \n"):
            yield REPLACED[token]
    elif re.match(r"(\d+|0[xX][0-9a-fA-F]+)[uUlL]*$", token):
        digits = token.rstrip("uUlL")
        value = int(digits, 8 if re.match(r"0\d", digits) else 0)
        for other in (value + 1, value - 1):
            if other >= 0:
                yield f"{other}{token[len(digits):]}"
    elif token[0] == "'":
        yield f"({text[start:end]} + 1)"


def changes_of_statement(tokens, text):
    """Changes of one statement: tokens are (token, start, end) without the `;`."""
    words = [t[0] for t in tokens]
    start, end = tokens[0][1], tokens[-1][2]
    if words[0] == "return" and len(words) > 1:
        value = text[tokens[1][1]:end]
        yield tokens[1][1], end, "1" if value == "0" else "0"
    elif words[0] in ("return", "break", "continue", "goto"):
        yield start, end, ""
    elif not re.match(r"[\w(*]", words[0]) or words[0] in ("do", "typedef", "static"):
        return
    elif words[0] == "(" or (words[1:2] and re.match(r"[\w]", words[1])):
        if words[:3] == ["(", "void", ")"] and "(" in words[3:]:
            yield start, end, ""  # a call; others are casts or declarations
    elif words[1:2] == ["("] or words[-1] in ("++", "--"):
        yield start, end, ""
    elif any(w in ("=", "<<=", ">>=") or re.match(r"[-+*/%&|^]=$", w) for w in words):
        if not (words[1] == "*" and "=" in words and text[tokens[1][2]] != " "):
            yield start, end, ""  # not the declaration of a pointer


def changes(text, code):
    """(start, end, new) of all mutants of C source."""
    tokens = [(m.group(0), m.start(), m.end()) for m in TOKEN.finditer(code)]
    statement = []
    depth = 0
    for i, (token, start, end) in enumerate(tokens):
        for new in changes_of_token(token, code, text, start, end):
            if new != "2" or [t[0] for t in tokens[i - 1:i + 2]] != ["return", "1", ";"]:
                yield start, end, new  # 2 is as true as 1
        if token in ("if", "while") and tokens[i + 1][0] == "(":
            last = closing(code, tokens[i + 1][1])
            yield tokens[i + 1][1], last + 1, f"(!{text[tokens[i + 1][1]:last + 1]})"
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0 and token in ("{", "}", ";", ":", "else"):
            if token == ";" and statement:
                yield from changes_of_statement(statement, text)
            statement = []
        else:
            statement.append((token, start, end))


def changed_line(text, start, end, new):
    """The line with the change in it as [old => new]."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    old = text[start:end]
    if new[:2] == "(!" and old[:1] == "(":
        old, new = "(", "(!("
        end = start + 1
    line = f"{text[line_start:start]}[{old} => {new}]{text[end:line_end]}"
    return re.sub(r"\s+", " ", line).strip()


def mutants_of(text):
    code = implementation(text)
    line_starts = [0] + [m.end() for m in re.finditer("\n", text)]
    names = {}
    for name, first, lines, _ in lint.functions(text):
        names.update((line, name) for line in range(first, first + lines))
    sections = [(m.start(), m.group(1)) for m in re.finditer(r"^// >>(\w+) -+$", text, flags=re.M)]
    found = {}
    for start, end, new in changes(text, code):
        line = bisect.bisect(line_starts, start)
        section = [name for at, name in sections if at < start][-1:] or [""]
        found[start, end, new] = Mutant(start, end, new, line, names.get(line, "-"), section[0],
                                        changed_line(text, start, end, new))
    return sorted(found.values())


# -- what decides ----------------------------------------------------------------------------------

def programs_of(file):
    """The programs that test a file. {lwip} in a flag: the folder of lwIP's objects."""
    if file == "rtpush.h":
        names = sorted(f[:-2] for f in os.listdir("tests/unit")
                       if f.endswith(".c") and f not in ("core.c", "selftest.c"))
        return [Program(n, f"tests/unit/{n}.c", [], [] if n == "sim" else ["-lcmocka"],
                        [["200"] if n == "sim" else []]) for n in names]
    if file == "ports/rtpush_posix.h":
        forms = {"epoll": [], "poll": ["-DRTPUSH_POSIX_POLL"],
                 "pipe": ["-DRTPUSH_POSIX_EVENTFD=0"],
                 "accept": ["-DFAULTS_POSIX_2008", "-DRTPUSH_POSIX_EVENTFD=0",
                            "-DRTPUSH_POSIX_POLL"]}
        return [Program(name, "tests/posix/faults.c", ["-DT_LINKED", *flags],
                        [CORE, "-lpthread"], [[]])
                for name, flags in forms.items()]
    if file == "ports/rtpush_sockets.h":
        return [Program(way, "tests/sockets/faults.c", ["-DT_LINKED", *flags],
                        [CORE, "-lpthread"], [[]])
                for way, flags in (("poll", []), ("select", ["-DRTPUSH_SOCKETS_SELECT"]))]
    if file in ("ports/rtpush_bearssl.h", "ports/rtpush_tls.h"):
        prepare("sh ports/cert.sh build/cert && sh tests/tls/rsa.sh build/cert")
        return [Program(name, f"tests/tls/{name}.c", [], ["-lcmocka", "-lbearssl"], [["60"]])
                for name in ("test_tls", "sim")]
    if file == "ports/rtpush_mbedtls.h":
        prepare("sh ports/cert.sh build/cert && sh tests/tls/rsa.sh build/cert && "
                "sh tests/tls/mbedtls.sh host")
        flags = subprocess.run(["sh", "tests/tls/mbedtls.sh", "flags", "host"], check=True,
                               capture_output=True, text=True).stdout.split()
        return [Program("test_tls", "tests/tls/test_tls.c", ["-DP_MBEDTLS", *flags],
                        ["tests/tls/bearssl.c", "build/mbedtls/lib-host.a", "-lcmocka",
                         "-lbearssl"], [[], ["1.3"]])]
    if file == "ports/rtpush_lwip.h":
        prepare("sh tests/lwip/fetch.sh 2.1 && "
                "sh tests/lwip/build.sh 2.1-HEAP 2.1-SMALL 2.1-HEAP-asan 2.1-SMALL-asan")
        source = os.path.abspath("build/lwip/2.1/src/include")
        return [Program(f"2.1-{c}", "tests/lwip/sim.c",
                        ["-std=gnu99", "-DSIM_LWIP=21", f"-DSIM_{c}", "-Itests/lwip/include",
                         "-isystem", source, "-Iports"],
                        [f"build/lwip/objects/2.1-{c}", "build/lwip/objects/2.1-peers.local.o"],
                        [["rules"], ["seeds", "1", "40"], ["allocs", "1", "11"]])
                for c in ("HEAP", "SMALL")]
    header = f'#include "../../{file}"'
    names = sorted(f[:-2] for f in os.listdir("tests/unit")
                   if f.startswith("test_") and header in lint.read(f"tests/unit/{f}"))
    if not names:
        sys.exit(f"mutants: no programs are known for {file}")
    return [Program(name, f"tests/unit/{name}.c", [], [CORE, "-lcmocka"], [[]]) for name in names]


def prepare(command):
    if subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode:
        sys.exit(f"mutants: failed: {command}")


def object_flags(source):
    """What a program defines of the implementation's own macros."""
    return ["-D" + d.replace(" ", "=") for d in
            re.findall(r"^#define (RTPI_\w+ \S+)", lint.read(source), flags=re.M)]


class Tree:
    """A copy of the sources in which one mutant at a time is built and tried."""

    def __init__(self, run, path):
        self.run, self.path = run, path
        self.objects = set()  # of this mutant, or of the original
        for f in run.sources:
            os.makedirs(os.path.dirname(f"{path}/{f}"), exist_ok=True)
            shutil.copyfile(f, f"{path}/{f}")
        if not os.path.exists(f"{path}/build"):
            os.symlink(os.path.abspath("build"), f"{path}/build")
        self.write(run.text)

    def write(self, text):
        with open(f"{self.path}/{self.run.file}", "w", encoding="utf-8",
                  errors="surrogateescape") as f:
            f.write(text)

    def do(self, *command):
        """Whether a command succeeds; what it prints is in the tree's log."""
        began = time.monotonic()
        with open(f"{self.path}/log", "w", encoding="utf-8") as log:
            child = subprocess.Popen(command, cwd=self.path, stdout=log, stderr=log,
                                     stdin=subprocess.DEVNULL)
            _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
        self.cpu = used.ru_utime + used.ru_stime
        self.elapsed = time.monotonic() - began
        self.hangs = os.WIFEXITED(status) and os.WEXITSTATUS(status) in (124, 128 + signal.SIGXCPU)
        return status == 0

    def compile(self, out, *flags):
        return self.do(self.run.cc, "-std=c99", "-w", "-I.", *flags, "-o", out)

    def core(self, out, *flags):
        """The implementation in an object of its own."""
        return self.compile(out, *flags, "-DRTPUSH_IMPLEMENTATION", "-include", "assert.h",
                            "-DRTPUSH_ASSERT(c)=assert(c)", "-x", "c", "-c", self.run.file)

    def code(self, optimise):
        """The bytes that the compiler makes of what is mutated; None if it refuses."""
        if self.run.file == "rtpush.h":
            out = "core.o"
            done = self.core(out, optimise)
        else:
            out = f"first{optimise}.o" # link() takes that with -O0
            p = self.run.programs[0]
            done = self.compile(out, optimise, *p.flags, "-c", p.source)
        if not done:
            return None
        with open(f"{self.path}/{out}", "rb") as f:
            return f.read()

    def link(self, p, kind):
        """Builds a program with the file as it is in the tree."""
        out = f"{self.path}/program"
        flags = SANITIZED if kind else []
        stop = f"{self.run.out}/stop.o"
        if self.run.file != "rtpush.h":
            libraries = []
            for lib in p.libraries:
                if os.path.isdir(lib):
                    folder = lib + ("-asan" if kind else "")
                    libraries += [os.path.abspath(f"{folder}/{o}") for o in
                                  sorted(os.listdir(folder)) if o.endswith(".o") and o != "sim.o"]
                elif lib == CORE:
                    libraries.append(f"{self.run.out}/linked{kind}.o")
                else:
                    libraries.append(os.path.abspath(lib) if lib.endswith((".o", ".a")) else lib)
            first = p is self.run.programs[0] and not kind
            return self.compile(out, "-O0", *flags, *p.flags, "first-O0.o" if first else p.source,
                                stop, *libraries)
        extra = object_flags(p.source)
        core = "core.o"
        if kind or extra:
            core = f"core{kind}-{len(extra) and p.name}.o"
            if core not in self.objects:
                self.core(core, "-O0", *flags, *extra)
                self.objects.add(core)
        # Constants of the implementation are in both objects: the first counts, the mutant's.
        return self.do(self.run.cc, *flags, "-Wl,-z,muldefs", core, f"{self.run.out}/{p.name}.o",
                       stop, *p.libraries, "-o", out)

    def build(self, p):
        """Compiles a unit program without the bodies of the implementation's functions."""
        self.write(self.run.declarations)
        done = self.compile(f"{self.run.out}/{p.name}.o", "-O1", "-c", p.source)
        self.write(self.run.text)
        return done

    def passes(self, p, kind):
        """Whether a program is built and passes; self.spent is its CPU time, self.took of all."""
        self.spent = self.took = 0.0
        self.hangs = False
        if not self.link(p, kind):
            return False
        times = 30 if kind else 5 # with sanitizers it takes longer
        limit = self.run.least_s + times * self.run.spent.get(p.name, 60)
        limit_took = 2 * (self.run.least_s + times * self.run.took.get(p.name, 60))
        for run in p.runs:
            if not self.do("timeout", "-k", "5", str(limit_took), "sh", "-c",
                           'ulimit -c 0; ulimit -t "$0"; exec "$@"', str(int(limit)),
                           f"{self.path}/program", *run):
                return False
            self.spent += self.cpu
            self.took += self.elapsed
        return True

    def tried(self, mutant):
        """killed by PROGRAM, survived, not compiled or equivalent."""
        run = self.run
        if (mutant.function, mutant.text) in EQUIVALENT:
            return "equivalent"
        self.objects = set()
        self.write(run.text[:mutant.start] + mutant.new + run.text[mutant.end:])
        code = self.code("-O0")
        if code is None:
            return "not compiled"
        if code == run.code["-O0"]:
            return "equivalent"
        for kind in run.kinds:
            for p in run.order(mutant.section):
                if not self.passes(p, kind):
                    run.kills[mutant.section, p.name] += 1
                    return f"killed by {p.name}{kind}{' (hangs)' * self.hangs}"
            if not kind and self.code("-O2") == run.code["-O2"]:
                return "equivalent"
        return "survived"


class Run:
    """All mutants of one file."""

    least_s = 5 # seconds that a program may take in any case

    def __init__(self, file, programs, sources):
        self.file, self.programs, self.sources = file, programs, sources
        self.cc = os.environ.get("CC", "gcc")
        self.kinds = ("",) if os.environ.get("SANITIZE") == "0" else ("", "-asan")
        self.out = os.path.abspath(OUT)
        self.jobs = int(os.environ.get("JOBS", "2"))
        self.kills = collections.Counter()
        self.spent, self.took = {}, {} # by each program with nothing changed: CPU, and in all
        self.text = lint.read(file)
        if file == "rtpush.h":
            self.text, self.declarations = self.open_up(self.text)
        shutil.rmtree(f"{self.out}/trees", ignore_errors=True)
        os.makedirs(f"{self.out}/trees")
        with open(f"{self.out}/stop.c", "w", encoding="utf-8") as f:
            f.write(STOP)
        subprocess.run([self.cc, "-c", f"{self.out}/stop.c", "-o", f"{self.out}/stop.o"],
                       check=True)
        self.trees = queue.Queue()
        for i in range(self.jobs):
            self.trees.put(Tree(self, f"{self.out}/trees/{i}"))
        if any(CORE in p.libraries for p in programs):
            for kind, flags in (("", []), ("-asan", SANITIZED)):
                subprocess.run([self.cc, "-std=c99", "-w", "-O1", *flags, "-c", "tests/unit/core.c",
                                "-o", f"{self.out}/linked{kind}.o"], check=True)
        self.code = dict(self.each(lambda tree, o: (o, tree.code(o)), ("-O2", "-O0")))
        for wrong in filter(None, self.each(self.prepare, programs)):
            sys.exit(f"mutants: {wrong}")

    @staticmethod
    def open_up(text):
        """The implementation's functions without `static`, at the same offsets; and the same with
        declarations in their place."""
        lines = text.split("\n")
        begin = lint.line_of(text, text.index("#ifdef RTPUSH_IMPLEMENTATION"))
        ends = {}
        for name, first, count, _ in lint.functions(text):
            if first > begin:
                ends[first - 1] = first - 2 + count
                lines[first - 1] = re.sub(r"\bstatic (inline )?", lambda m: " " * len(m.group(0)),
                                          lines[first - 1], count=1)
        opened = "\n".join(lines)
        for first, last in ends.items():
            at = next(i for i in range(first, last + 1) if re.search(r"\) \{( *//.*)?$", lines[i]))
            lines[at] = re.sub(r"\{( *//.*)?$", ";", lines[at])
            lines[at + 1:last + 1] = [""] * (last - at)
        return opened, "\n".join(lines)

    def each(self, function, things):
        """function(tree, thing) of each thing, several at a time."""
        def one(thing):
            tree = self.trees.get()
            try:
                return function(tree, thing)
            finally:
                self.trees.put(tree)
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            yield from pool.map(one, things)

    def prepare(self, tree, p):
        """Builds a program's own object, and runs the program with nothing changed."""
        uses = [f for f in self.sources if f == p.source or not f.endswith(".c")]
        stamp = hashlib.sha256(repr(["took", p, self.cc, self.text] + [lint.read(f) for f in uses])
                               .encode(errors="replace")).hexdigest()
        path = f"{self.out}/{p.name}.stamp"
        last = lint.read(path).split() if os.path.exists(path) else [""]
        if last[0] != stamp:  # else an earlier run did this
            if self.file == "rtpush.h":
                if not tree.build(p):
                    return f"{p.name} is not compiled, see {tree.path}/log"
            if tree.code("-O0") is None:
                return f"{self.file} is not compiled, see {tree.path}/log"
            if not tree.passes(p, ""):
                return f"{p.name} fails with nothing changed, see {tree.path}/log"
            last = [stamp, str(tree.spent), str(tree.took)]
            with open(path, "w", encoding="utf-8") as f:
                f.write(" ".join(last))
        self.spent[p.name], self.took[p.name] = float(last[1]), float(last[2])
        return None

    def order(self, section):
        """The programs, those first that kill most in the time they take."""
        return sorted(self.programs, key=lambda p: -(self.kills[section, p.name] + 0.1) /
                      (0.2 + self.took[p.name]))

    def all(self, mutants):
        """Tries the mutants; returns how often each outcome came."""
        counts = collections.Counter()
        name = f"{self.out}/{self.file.split('/')[-1][:-2]}"
        with open(f"{name}.results", "w", encoding="utf-8") as results, \
                open(f"{name}.survivors", "w", encoding="utf-8") as survivors:
            for m, outcome in self.each(lambda tree, m: (m, tree.tried(m)), mutants):
                counts[outcome.split(" by ")[0]] += 1
                place = f"{self.file}:{m.line}: {m.function}: {m.text}"
                print(f"{outcome}: {place}", file=results, flush=True)
                if outcome == "survived":
                    print(place, file=survivors, flush=True)
                    print(place, flush=True)
                elif sum(counts.values()) % 50 == 0:
                    print(f"({sum(counts.values())} of {len(mutants)})", file=sys.stderr,
                          flush=True)
        return counts


def chosen(file, mutants):
    """Those that the environment asks for."""
    env = os.environ
    if env.get("SECTION"):
        mutants = [m for m in mutants if m.section in env["SECTION"].split()]
    if env.get("FUNCTION"):
        mutants = [m for m in mutants if re.fullmatch(env["FUNCTION"], m.function)]
    if env.get("AGAIN"):
        last = lint.read(f"{OUT}/{file.split('/')[-1][:-2]}.survivors").splitlines()
        again = {line.split(": ", 1)[1] for line in last}
        return [m for m in mutants if f"{m.function}: {m.text}" in again]
    count = env.get("COUNT", "300")
    if count != "all" and int(count) < len(mutants):
        mutants = sorted(random.Random(int(env.get("SEED", "1"))).sample(mutants, int(count)))
    return mutants


def report(run, mutants):
    counts = run.all(mutants)
    print(f"{counts['equivalent']} equivalent, not counted")
    print(f"{counts['killed']} killed, {counts['survived']} survived, "
          f"{counts['not compiled']} not compiled")


# -- the script itself, on a file of twenty lines --------------------------------------------------

SELF_CORE = """#include <stddef.h>
#include <unistd.h>
int rtpush_sum(const unsigned char *data, size_t len);
#ifdef RTPUSH_IMPLEMENTATION
// >>sum ------
static int rtpi_is_odd(int n) {
    RTPUSH_ASSERT(n < 1000);
    switch (n) {
    case 0: return 0;
    case 1: return 1;
    }
    return n % 2 != 0; // 5 < 6
}
// >>api ------
int rtpush_sum(const unsigned char *data, size_t len) {
    int sum = 0;
    size_t i = 0;
    while (len == 9) { pause(); }
    for (i = 0; i < len; i++) {
        sum += data[i];
    }
    return rtpi_is_odd(sum) ? sum : sum + 0;
}
#endif // RTPUSH_IMPLEMENTATION
"""
SELF_TEST = """#define _DEFAULT_SOURCE
#include <assert.h>
#include <stdlib.h>
#define RTPUSH_ASSERT(c) assert(c)
#define RTPUSH_IMPLEMENTATION
#include "../../rtpush.h"
int main(void) {
    unsigned char *data = (unsigned char *)calloc(1, 8);
    data[0] = 3;
    data[1] = 4;
    int sum = rtpush_sum(data, 8);
    free(data);
    return sum == 7 && rtpi_is_odd(3) == 1 ? 0 : 1;
}
"""
SELF_RESULTS = {
    "case [0 => 1]: return 0;": "not compiled",
    "return n [% => /] 2 != 0; // 5 < 6": "survived",
    "for (i = 0; i [< => <=] len; i++) {": "killed by test_sum-asan",
    "[sum += data[i] => ];": "killed by test_sum",
    "while (len == [9 => 8]) { pause(); }": "killed by test_sum (hangs)",
    "return rtpi_is_odd(sum) ? sum : sum [+ => -] 0;": "equivalent",
}


def selftest():
    """Each outcome once, and no mutant of what is not the implementation."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.makedirs("tests/unit")
        for path, text in (("rtpush.h", SELF_CORE), ("tests/unit/test_sum.c", SELF_TEST)):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        program = Program("test_sum", "tests/unit/test_sum.c", [], [], [[]])
        mutants = mutants_of(SELF_CORE)
        failed = [m.text for m in mutants if re.search(r"1000|\[5|5 \[|\[6", m.text)]
        Run.least_s = 1
        run = Run("rtpush.h", [program], ["rtpush.h", "tests/unit/test_sum.c"])
        run.all([m for m in mutants if m.text in SELF_RESULTS])
        for line in lint.read(f"{OUT}/rtpush.results").splitlines():
            outcome, _, _, _, text = re.split(r": |:(?=\d)", line, maxsplit=4)
            if SELF_RESULTS.pop(text) != outcome:
                failed.append(line)
        failed += [f"no mutant {text}" for text in SELF_RESULTS]
        os.chdir("/")
    print("".join(f"{line}\n" for line in failed), end="")
    print("0 passed, 1 failed" if failed else "1 passed, 0 failed")
    return 1 if failed else 0


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    os.environ["ASAN_OPTIONS"] = "detect_leaks=0"
    if sys.argv[1:] == ["selftest"]:
        return selftest()
    port = os.environ.get("PORT")
    file = f"ports/rtpush_{port}.h" if port else os.environ.get("FILE") or "rtpush.h"
    if not os.path.exists(file):
        sys.exit(f"mutants: there is no {file}")
    os.makedirs(OUT, exist_ok=True)
    programs = programs_of(file)
    if os.environ.get("PROGRAMS"):
        names = os.environ["PROGRAMS"].split()
        if not set(names) <= {p.name for p in programs}:
            sys.exit(f"mutants: programs are {' '.join(p.name for p in programs)}")
        programs = [p for p in programs if p.name in names]
    sources = [f for f in lint.git_files() if re.match(r"(rtpush\.h|(ports|tests)/.*\.[ch])$", f)]
    mutants = chosen(file, mutants_of(lint.read(file)))
    if not mutants or not programs:
        sys.exit("mutants: none is chosen")
    print(f"{len(mutants)} mutants of {file}", flush=True)
    report(Run(file, programs, sources), mutants)
    return 0


if __name__ == "__main__":
    sys.exit(main())
