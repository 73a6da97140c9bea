#!/usr/bin/env python3
"""The rules of the house that a machine can check. Each rule is one test; each offence is printed
as file:line so that an editor can open it. Usage: python3 tests/lint.py [RULE ...]"""
import os
import re
import subprocess
import sys

TOP_LEVEL = {"rtpush.h", "examples", "ports", "tests", "Makefile", "README.md", "LICENSE"}
COLUMNS = 100
FUNCTION_LINES = 70  # a function is shorter than this
EXAMPLE_LINES = 150  # of an example of examples/shared, besides comments and blank lines
NESTING = 4  # blocks inside blocks of a function are fewer than this
CODE = (".h", ".c", ".sh", ".py", ".mjs", ".js")
# Names reserved for the compiler or the system, which code may use but not define.
RESERVED = re.compile(
    r"^(__cplusplus|__STDC_\w+|__GNUC\w*|__clang\w*|__has_\w+|__attribute__|__builtin_\w+|__linux__"
    r"|__atomic_\w+|__ATOMIC_\w+"
    r"|__APPLE__|__FILE__|__LINE__|__func__|__AVR\w*|__arm__|__ZEPHYR__|_MSC_VER|_WIN32"
    r"|_Static_assert|_Pragma|_[A-Z_]+_SOURCE|__\w+__)$")
BANNED = re.compile(
    r"\b(malloc|calloc|realloc|free|alloca|strdup|v?s?n?printf|v?f?d?printf|puts|fputs|putchar"
    r"|fwrite|fopen|s?scanf|time|clock|gettimeofday|clock_gettime|exit|abort|assert|setjmp|longjmp"
    r"|read|write|send|recv|select|poll|errno)\s*\(")


def git_files():
    """Files under version control, or about to be; without git, all that is not built."""
    try:
        out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                             check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        out = []
        for folder, folders, names in os.walk("."):
            folders[:] = [f for f in folders if f not in ("build", "node_modules", ".git")]
            out += [os.path.relpath(os.path.join(folder, n), ".") for n in names]
    return sorted(f for f in set(out) if os.path.isfile(f))


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as f:
        return f.read()


def is_text(path):
    with open(path, "rb") as f:
        return b"\0" not in f.read(65536)


def blank(match):
    """What a comment or string is replaced by: lines and columns stay where they were."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text):
    """C source without comments and without the insides of strings and characters."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def one(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return blank(match)
    return re.sub(pattern, one, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def functions(text):
    """(name, first line, lines, deepest block) of each function of C source, comments removed."""
    lines = code_of(text).split("\n")
    start = None
    for i, line in enumerate(lines):
        if re.match(r"[A-Za-z]", line) and not line.rstrip().endswith((";", ":", "=")):
            start = i
        if start is None or not line.rstrip().endswith("{"):
            continue
        head = " ".join(lines[start:i + 1]).rstrip()
        if not re.match(r"[^;{}=]*\)\s*\{$", head):
            start = None
            continue
        name = re.search(r"([A-Za-z_]\w*)\s*\(", head)
        end = i
        while end < len(lines) and not lines[end].startswith("}"):
            end += 1
        if name:
            depth = deepest = 0
            for c in "".join(lines[i:end + 1]):
                depth += {"{": 1, "}": -1}.get(c, 0)
                deepest = max(deepest, depth)
            yield name.group(1), start + 1, end - start + 1, deepest - 1
        start = None


def headers(files):
    return [f for f in files if f == "rtpush.h" or re.match(r"ports/rtpush_\w+\.h$", f)]


# -- the rules: each yields its offences -----------------------------------------------------------

def top_level_holds_only_what_the_layout_names(files):
    for f in files:
        top = f.split("/")[0]
        if not top.startswith(".") and top not in TOP_LEVEL:
            yield f"{f}: not in the layout"


def each_example_has_a_readme(files):
    for folder in sorted({"/".join(f.split("/")[:2]) for f in files if f.startswith("examples/")}):
        if os.path.isdir(folder) and f"{folder}/README.md" not in files:
            yield f"{folder}: no README.md"


def small_examples_are_small_shown_and_tested(files):
    for f in files:
        match = re.match(r"examples/(\w+)/(\w+)\.c$", f)
        if not match or match[1] in ("shared", "gallery") or "../shared/app.h" not in read(f):
            continue
        folder, name = f"examples/{match[1]}", match[1]
        lines = sum(1 for line in code_of(read(f)).split("\n") if line.strip())
        if lines > EXAMPLE_LINES:
            yield f"{f}: {lines} lines besides comments"
        if match[2] != name:
            yield f"{f}: a second C file"
        if f"{folder}/screenshot.png" not in files or \
                "](screenshot.png)" not in read(f"{folder}/README.md"):
            yield f"{folder}/README.md: no screenshot.png"
        if f"tests/browser/examples/{name}.mjs" not in files:
            yield f"{folder}: not tested in a browser"


def contents_name_every_section_in_order(files):
    text = read("rtpush.h")
    sections = re.findall(r"^// >>(\w+) -+", text, flags=re.M)
    chapter = re.search(r"^// CONTENTS.*?\n(?=// [A-Z]{3,}|\n)", text, flags=re.M | re.S)
    if not chapter:
        yield "rtpush.h: no chapter CONTENTS"
        return
    listed = re.findall(r"^//\s+>>(\w+)\b", chapter.group(0), flags=re.M)
    if listed != sections:
        yield f"rtpush.h: CONTENTS lists {' '.join(listed)}; the sections are {' '.join(sections)}"
    for i, line in enumerate(text.split("\n"), 1):
        named = re.search(r"//.*>>([a-z]\w*)", line)  # a comment may refer to a section that exists
        if named and named.group(1) not in sections:
            yield f"rtpush.h:{i}: no section is called >>{named.group(1)}"


def functions_are_short(files):
    for f in headers(files) + [f for f in files if re.match(r"examples/.*\.[ch]$", f)]:
        for name, line, lines, _ in functions(read(f)):
            if lines >= FUNCTION_LINES:
                yield f"{f}:{line}: {name} has {lines} lines"


def functions_nest_little(files):
    for f in headers(files):
        for name, line, _, depth in functions(read(f)):
            if depth >= NESTING:
                yield f"{f}:{line}: {name} nests {depth} blocks"


def lines_fit_the_columns(files):
    for f in files:
        if f.endswith(CODE) or f in ("Makefile", ".ci/run"):
            for i, line in enumerate(read(f).split("\n"), 1):
                if len(line.expandtabs(4)) > COLUMNS:
                    yield f"{f}:{i}: {len(line)} columns"


def white_space_is_plain(files):
    for f in files:
        inputs = f.startswith(("tests/fuzz/seeds/", "tests/fuzz/failed/"))
        if not is_text(f) or inputs or f.startswith("tests/unit/") and f.endswith(".txt"):
            continue
        text = read(f)
        if text and not text.endswith("\n"):
            yield f"{f}: no newline at the end"
        if "\r" in text and f.endswith(CODE):
            yield f"{f}: carriage return"
        for i, line in enumerate(text.split("\n"), 1):
            if "\t" in line and f.endswith(CODE + (".md", ".json", ".html")):
                yield f"{f}:{i}: tab"
            if line != line.rstrip() and f.endswith(CODE):
                yield f"{f}:{i}: white space at the end"


def global_names_carry_the_prefix(files):
    for f in headers(files):
        text = code_of(read(f))
        for m in re.finditer(r"^\s*#\s*define\s+(\w+)", text, flags=re.M):
            if not re.match(r"(RTPUSH|RTPI)_", m.group(1)) and not RESERVED.match(m.group(1)):
                yield f"{f}:{line_of(text, m.start(1))}: macro {m.group(1)}"
        for name, line, _, _ in functions(read(f)):
            if not re.match(r"(rtpush|rtpi)_", name):
                yield f"{f}:{line}: function {name}"
        for m in re.finditer(r"^(?:typedef\s+)?(?:struct|union|enum)\s+(\w+)", text, flags=re.M):
            name = m.group(1)
            system = f != "rtpush.h" and ";" not in text[m.end():m.end() + 2]
            if not re.match(r"(rtpush|rtpi)_", name) and not system:
                yield f"{f}:{line_of(text, m.start(1))}: tag {name}"
        for m in re.finditer(r"^enum\s*\w*\s*\{(.*?)\}", text, flags=re.M | re.S):
            for name in re.findall(r"(?:^|[{,])\s*([A-Za-z_]\w*)", m.group(1)):
                if not re.match(r"(RTPUSH|RTPI)_", name):
                    yield f"{f}:{line_of(text, m.start())}: constant {name}"


def no_name_is_reserved_or_another_protocols(files):
    for f in headers(files):
        text = code_of(read(f))
        for m in re.finditer(r"(?<![\w.])_\w*|\b\w+__\w+", text):
            if not RESERVED.match(m.group(0)):
                yield f"{f}:{line_of(text, m.start())}: reserved name {m.group(0)}"
        for m in re.finditer(r"\brtp_\w+|\b(?:rtpush|rtpi)_\w*_t\b", text):
            yield f"{f}:{line_of(text, m.start())}: name {m.group(0)}"


def the_core_calls_no_system(files):
    text = code_of(read("rtpush.h"))
    for m in BANNED.finditer(text):
        before = text[max(0, m.start() - 2):m.start()]
        if not before.endswith((".", "->")) and "(*" not in before:
            yield f"rtpush.h:{line_of(text, m.start())}: {m.group(1)}()"
    for m in re.finditer(r"#\s*include\s+[<\"]?([\w./]+)", read("rtpush.h")):
        line_start = read("rtpush.h").rfind("\n", 0, m.start()) + 1
        comment = read("rtpush.h")[line_start:m.start()].lstrip().startswith("//")
        allowed = ("stddef.h", "stdint.h", "string.h", "limits.h", "stdarg.h")
        if not comment and m.group(1) not in allowed:
            yield f"rtpush.h:{line_of(read('rtpush.h'), m.start())}: includes {m.group(1)}"


def private_functions_have_no_forward_declaration(files):
    text = code_of(read("rtpush.h"))
    for m in re.finditer(r"^static [^;{}=]*?(rtpi_\w+)\([^;{}]*\);", text, flags=re.M):
        yield f"rtpush.h:{line_of(text, m.start())}: {m.group(1)}"


def public_functions_are_defined(files):
    text = read("rtpush.h")
    declared = set(re.findall(r"^\w[\w *]*?\b(rtpush_\w+)\([^;{]*\);", code_of(text), flags=re.M))
    defined = {name for name, *_ in functions(text)}
    for name in sorted(declared - defined):
        yield f"rtpush.h: {name} is declared and not defined"
    for name in sorted(n for n in defined - declared if n.startswith("rtpush_")):
        yield f"rtpush.h: {name} is defined and not declared"


def options_are_documented(files):
    text = read("rtpush.h")
    top = text[:text.find("#ifndef")]
    for option in sorted(set(re.findall(r"\bRTPUSH_NO_[A-Z_]+", text))):
        if option not in top:
            yield f"rtpush.h: {option} is not in the chapter OPTIONS"


def lock_files_name_no_registry(files):
    for f in files:
        if f.endswith("package-lock.json"):
            for i, line in enumerate(read(f).split("\n"), 1):
                if '"resolved"' in line or re.search("https?:", line) and '"url"' not in line:
                    yield f"{f}:{i}: {line.strip()}"
        elif f.endswith("package.json") and f.replace(".json", "-lock.json") not in files:
            if re.search(r'ependencies"', read(f)):
                yield f"{f}: has dependencies and no lock file"


def no_path_of_one_machine(files):
    pattern = re.compile(r"(?<![\w.$})~*/:@-])/(?:work|home|root|Users|mnt|srv|opt|var/folders)/")
    for f in files:
        if is_text(f) and f != "tests/lint.py":
            for i, line in enumerate(read(f).split("\n"), 1):
                if pattern.search(line):
                    yield f"{f}:{i}: {line.strip()[:80]}"


def rules_cited_by_tests_are_cited_by_code(files):
    key = re.compile(r"RFC\s+(\d{4})\s+((?:\d+|[A-Z])(?:\.\d+)*)")
    sources = " ".join(read(f) for f in files if f == "rtpush.h" or f.startswith("ports/"))
    code = set()
    for rfc, section in (m.groups() for m in key.finditer(sources)):
        parts = section.split(".")
        code |= {(rfc, ".".join(parts[:n])) for n in range(1, len(parts) + 1)}
    for f in files:
        if f.startswith("tests/") and is_text(f) and f != "tests/lint.py":
            text = read(f)
            for m in key.finditer(text):
                if m.groups() not in code:
                    yield f"{f}:{line_of(text, m.start())}: {m.group(0)} is not cited by the code"


def invariants_cited_are_in_the_list(files):
    """INVARIANTS in rtpush.h: numbers from 1 on, each with functions that check it."""
    texts = {f: read(f) for f in files
             if f == "rtpush.h" or f.startswith(("ports/", "examples/", "tests/")) and is_text(f)
             and f != "tests/lint.py"}
    chapter = re.search(r"^// INVARIANTS$\n((?://.*\n)+)", texts["rtpush.h"], flags=re.M)
    if not chapter:
        yield "rtpush.h: no chapter INVARIANTS"
        return
    first = line_of(texts["rtpush.h"], chapter.start())
    items = re.findall(r"^// ( ?\d+) (.*\n(?://    .*\n)*)", chapter.group(1), flags=re.M)
    listed = {int(number) for number, _ in items}
    if [int(number) for number, _ in items] != list(range(1, len(items) + 1)):
        yield f"rtpush.h:{first}: the numbers are not 1, 2, 3, ..."
    for number, text in items:
        checks = re.search(r"\[([\w\s,/]+)\]\s*$", text)
        if not checks:
            yield f"rtpush.h:{first}: invariant {number.strip()} names nothing that checks it"
            continue
        for name in re.findall(r"\w+", checks.group(1)):
            define = re.compile(r"^static [^;{}=()]*\b%s\([^;{}]*\{" % name, flags=re.M)
            if not any(define.search(t) for f, t in texts.items() if f.endswith((".c", ".h"))):
                yield f"rtpush.h:{first}: invariant {number.strip()}: no function {name}"
    cited = set()
    several = re.compile(r"\b[Ii]nvariants?(?:\s|//)+(\d+(?:(?:,|\s+and)(?:\s|//)+\d+)*)")
    for f, text in texts.items():
        for m in several.finditer(text):
            for number in map(int, re.findall(r"\d+", m.group(1))):
                cited.add(number)
                if number not in listed:
                    yield f"{f}:{line_of(text, m.start())}: invariant {number} is not in the list"
    for number in sorted(listed - cited):
        yield f"rtpush.h:{first}: invariant {number} is cited nowhere"


def documents_cited_are_here(files):
    """A comment cites standards, and documents of this repository, no others."""
    names = {os.path.basename(f) for f in files}
    for f in files:
        if f.endswith(CODE) and f != "tests/lint.py":
            for i, line in enumerate(read(f).split("\n"), 1):
                for name in re.findall(r"\b[\w-]+\.md\b", line):
                    if name not in names:
                        yield f"{f}:{i}: {name} is not in the repository"


def nothing_is_left_to_do(files):
    for f in files:
        if f.endswith(CODE) and f != "tests/lint.py":
            for i, line in enumerate(read(f).split("\n"), 1):
                if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                    yield f"{f}:{i}: {line.strip()[:80]}"


# Modules are parsed in one process: starting Node.js takes much longer than that.
PARSE_MODULES = """
const { readFileSync } = require('fs');
const { SourceTextModule } = require('vm');
for (const identifier of process.argv.slice(1)) {
    try {
        new SourceTextModule(readFileSync(identifier, 'utf8').replace(/^#!/, '//'), { identifier });
    } catch (error) {
        console.log(identifier + ': ' + error.message);
    }
}
"""


def modules_parse(files):
    try:
        result = subprocess.run(["node", "--no-warnings", "--experimental-vm-modules", "-e",
                                 PARSE_MODULES, *files], capture_output=True, text=True,
                                check=False)
    except FileNotFoundError:
        if os.environ.get("RTPUSH_QUICK") != "1":
            yield "modules of JavaScript: node is not installed"
        return
    yield from result.stdout.splitlines()
    if result.returncode:
        yield result.stderr


def scripts_parse(files):
    modules = []
    for f in files:
        command = None
        first = read(f).split("\n", 1)[0] if is_text(f) else ""
        if f.endswith(".sh") or first.startswith(("#!/bin/sh", "#!/bin/bash")):
            command = ["bash" if "bash" in first else "sh", "-n", f]
        elif f.endswith(".mjs"):
            modules.append(f)
        elif f.endswith(".py"):
            try:
                compile(read(f), f, "exec")
            except SyntaxError as error:
                yield f"{f}:{error.lineno}: {error.msg}"
        if command:
            try:
                result = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError:
                if os.environ.get("RTPUSH_QUICK") != "1":
                    yield f"{f}: {command[0]} is not installed"
                continue
            if result.returncode:
                yield f"{f}: {(result.stderr.strip().splitlines() or ['does not parse'])[-1]}"
    yield from modules_parse(modules)


def files_are_small(files):
    for f in files:
        if os.path.getsize(f) > 1 << 20:
            yield f"{f}: {os.path.getsize(f)} bytes"


RULES = [
    top_level_holds_only_what_the_layout_names, each_example_has_a_readme,
    small_examples_are_small_shown_and_tested, contents_name_every_section_in_order,
    functions_are_short, functions_nest_little, lines_fit_the_columns, white_space_is_plain,
    global_names_carry_the_prefix,
    no_name_is_reserved_or_another_protocols, the_core_calls_no_system,
    private_functions_have_no_forward_declaration, public_functions_are_defined,
    options_are_documented, lock_files_name_no_registry, no_path_of_one_machine,
    rules_cited_by_tests_are_cited_by_code, invariants_cited_are_in_the_list,
    documents_cited_are_here, nothing_is_left_to_do, scripts_parse, files_are_small,
]


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    files = git_files()
    wanted = sys.argv[1:]
    passed = failed = 0
    for rule in RULES:
        if wanted and rule.__name__ not in wanted:
            continue
        offences = list(rule(files))
        if offences:
            failed += 1
            print(f"FAIL {rule.__name__}")
            for offence in offences[:12]:
                print(f"    {offence}")
            if len(offences) > 12:
                print(f"    and {len(offences) - 12} more")
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
