#!/usr/bin/env python3
"""The packages of "make package" by the rules of those who install them. Each rule is one test.
Usage: python3 tests/packages/rules.py FOLDER    that holds the trees, archives and SHA256SUMS"""
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile

SEMVER = re.compile(r"^\d+\.\d+\.\d+$")
SPDX = "MIT-0 OR Unlicense"
PLACE = re.compile(r"@[A-Z]+@")
TREES = ["arduino", "esp-idf", "meson", "npm", "platformio", "zephyr"]


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def files(tree):
    return sorted(os.path.relpath(os.path.join(folder, name), tree)
                  for folder, _, names in os.walk(tree) for name in names)


def version():
    return re.search(r"^#define RTPUSH_VERSION .*// (\S+)$", read("rtpush.h"), flags=re.M).group(1)


def pairs(text):
    """key=value or key: value, one a line, without the quotes."""
    return {m.group(1): m.group(2).strip().strip('"')
            for m in re.finditer(r"^(\w+)\s*[=:]\s*(.*)$", text, flags=re.M)}


def same(what, is_value, should_be):
    if is_value != should_be:
        yield f"{what} is {is_value!r}, should be {should_be!r}"


def headers_as_in_the_repository(folder):
    if not os.path.exists(os.path.join(folder, "rtpush.h")):
        yield f"{folder}/rtpush.h is missing"
    for name in sorted(os.listdir("ports")):
        if name.endswith((".h", ".hpp")):
            try:
                if read("ports", name) != read(folder, "ports", name):
                    yield f"{folder}/ports/{name} differs"
            except FileNotFoundError:
                yield f"{folder}/ports/{name} is missing"


# -- the rules: each yields what is wrong ----------------------------------------------------------

def the_repository_has_no_manifest_of_a_package(_):
    """PlatformIO takes the first folder with such a file for the library, and drops the rest."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout.splitlines()
    for f in listed:
        if os.path.basename(f) in ("library.json", "library.properties", "module.json"):
            yield f
        if os.path.islink(f):
            yield f"{f} is a link"


def the_version_is_that_of_the_header(_):
    digits = re.search(r"^#define RTPUSH_VERSION 0x(..)(..)(..)u", read("rtpush.h"), flags=re.M)
    number = ".".join(str(int(d, 16)) for d in digits.groups())
    yield from same("the comment of RTPUSH_VERSION", version(), number)
    title = read("rtpush.h").split("\n", 1)[0]
    if f"- v{number.rsplit('.', 1)[0]} -" not in title:
        yield f"the title says {title}"
    out = subprocess.run(["sh", "ports/packages/version.sh"], check=True, capture_output=True,
                         text=True).stdout.strip()
    yield from same("version.sh", out, number)


def every_tree_is_complete(packages):
    yield from same("trees", sorted(d for d in os.listdir(packages)
                                    if os.path.isdir(os.path.join(packages, d))), TREES)
    for tree in TREES:
        root = os.path.join(packages, tree)
        for f in files(root):
            path = os.path.join(root, f)
            if os.path.islink(path) or f.endswith((".exe", ".o", ".in")):
                yield f"{path} must not be in a package"
            elif PLACE.search(read(path)):
                yield f"{path}: {PLACE.search(read(path)).group(0)} is left"
        if tree != "meson":
            for name in ("README.md", "LICENSE"):
                if not os.path.exists(os.path.join(root, name)):
                    yield f"{root}/{name} is missing"


def archives_hold_the_trees(packages):
    sums = dict(reversed(line.split()) for line in read(packages, "SHA256SUMS").splitlines())
    yield from same("SHA256SUMS", sorted(sums), [f"{tree}.tar.gz" for tree in TREES])
    for tree in TREES:
        path = os.path.join(packages, f"{tree}.tar.gz")
        with open(path, "rb") as f:
            yield from same(f"the sum of {path}", hashlib.sha256(f.read()).hexdigest(),
                            sums.get(f"{tree}.tar.gz"))
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.isfile()]
            yield from same(path, sorted(m.name for m in members),
                            sorted(f"{tree}/{f}" for f in files(os.path.join(packages, tree))))
            for m in members:
                if m.uid or m.gid or m.uname not in ("", "root"):
                    yield f"{path}: {m.name} belongs to {m.uname or m.uid}"


def arduino(packages):
    """Library specification 1.5 rev. 2.2, and the rules of the library manager's index."""
    root = os.path.join(packages, "arduino")
    p = pairs(read(root, "library.properties"))
    for key in ("name", "version", "author", "maintainer", "sentence", "paragraph", "category",
                "url", "architectures", "includes"):
        if not p.get(key):
            yield f"library.properties: {key} is missing"
    if not re.match(r"^[A-Za-z0-9][\w .-]{0,62}$", p["name"]) or \
            re.search("arduino|library", p["name"], flags=re.I):
        yield f"library.properties: name={p['name']}"
    yield from same("version", p["version"], version())
    yield from same("category", p["category"], "Communication")
    yield from same("architectures", p["architectures"], "*")
    if p["sentence"].lower().startswith(("a ", "an ", "the ")) or "rtpush" in p["sentence"]:
        yield f"library.properties: sentence={p['sentence']}"
    for include in p["includes"].split(","):
        if not os.path.exists(os.path.join(root, "src", include)):
            yield f"library.properties: includes={include}, which is not in src/"
    yield from headers_as_in_the_repository(os.path.join(root, "src"))
    for line in read(root, "keywords.txt").splitlines():
        if not re.match(r"^\w+\t(KEYWORD1|KEYWORD2|LITERAL1)$", line):
            yield f"keywords.txt: {line!r}"
    sketches = [os.path.basename(f)[:-4] for f in files("examples") if f.endswith(".ino")]
    for sketch in sketches:
        if not os.path.exists(os.path.join(root, "examples", sketch, f"{sketch}.ino")):
            yield f"examples/{sketch} has no {sketch}.ino"
    for f in files(os.path.join(root, "src")):
        if not f.endswith((".h", ".hpp")):
            yield f"src/{f} would be compiled or is of no use there"


def platformio(packages):
    """docs.platformio.org: library.json."""
    root = os.path.join(packages, "platformio")
    m = json.loads(read(root, "library.json"))
    yield from same("name", m["name"], "rtpush")
    yield from same("version", m["version"], version())
    yield from same("license", m["license"], SPDX)
    yield from same("frameworks and platforms", (m["frameworks"], m["platforms"]), ("*", "*"))
    if not 0 < len(m["description"]) <= 255 or len(m["keywords"].split(",")) > 20:
        yield "description or keywords are too long"
    if not re.match(r"^(https|file)://|^/", m["repository"]["url"]):
        yield f"repository: {m['repository']}"
    source = os.path.join(root, m["build"]["srcDir"])
    if not os.path.exists(os.path.join(source, m["headers"])):
        yield f"headers: {m['headers']} is not in {m['build']['srcDir']}"
    yield from headers_as_in_the_repository(source)


def kconfig(path, text):
    entries = re.split(r"^(?:menu)?config ", text, flags=re.M)[1:]
    for entry in entries:
        if not re.search(r"^\s+(int|bool) \"", entry, flags=re.M):
            yield f"{path}: {entry.split(chr(10), 1)[0]} has no type"
    for opens, closes in (("menu ", "endmenu"), ("if ", "endif")):
        if len(re.findall(f"^{opens}", text, flags=re.M)) != \
                len(re.findall(f"^{closes}", text, flags=re.M)):
            yield f"{path}: {opens}without {closes}"
    names = {e.split("\n", 1)[0].strip() for e in entries}
    wanted = {f"RTPUSH_{n}" for n in ("CONNECTIONS", "RX_SIZE", "TX_SIZE", "LOG_SIZE", "NO_TEXT",
                                      "NO_CHECKS")}
    for name in sorted(wanted - names):
        yield f"{path}: no config {name}"


def sources_exist(path, folder, pattern):
    found = re.findall(pattern, read(path))
    if not found:
        yield f"{path}: names no sources"
    for name in found:
        if not os.path.exists(os.path.join(folder, name)):
            yield f"{path}: {name} does not exist"


def esp_idf(packages):
    """ESP component manager: idf_component.yml; build system: idf_component_register."""
    root = os.path.join(packages, "esp-idf")
    text = read(root, "idf_component.yml")
    m = pairs(text)
    for key in ("version", "description", "url", "license"):
        if not m.get(key):
            yield f"idf_component.yml: {key} is missing"
    yield from same("version", m["version"], version())
    yield from same("license", m["license"], SPDX)
    if not re.search(r'^dependencies:\n  idf: ">=5\.1"$', text, flags=re.M):
        yield "idf_component.yml: no dependency on idf"
    cmake = os.path.join(root, "CMakeLists.txt")
    if not re.search(r"^idf_component_register\(", read(cmake), flags=re.M):
        yield f"{cmake}: no idf_component_register"
    yield from sources_exist(cmake, root, r'"(src/[^"]+)"')
    yield from kconfig("Kconfig", read(root, "Kconfig"))
    yield from headers_as_in_the_repository(os.path.join(root, "include"))


def zephyr(packages):
    """docs.zephyrproject.org: modules."""
    root = os.path.join(packages, "zephyr")
    text = read(root, "zephyr", "module.yml")
    m = re.match(r"^name: (\w+)\nbuild:\n  cmake: (\S+)\n  kconfig: (\S+)\n$", text)
    if not m:
        yield f"module.yml: {text!r}"
        return
    for path in (os.path.join(m.group(2), "CMakeLists.txt"), m.group(3)):
        if not os.path.exists(os.path.join(root, path)):
            yield f"module.yml: {path} does not exist"
    cmake = os.path.join(root, "zephyr", "CMakeLists.txt")
    yield from sources_exist(cmake, os.path.join(root, "zephyr"), r"(\.\./src/\w+\.c)")
    yield from kconfig("zephyr/Kconfig", read(root, "zephyr", "Kconfig"))
    yield from headers_as_in_the_repository(os.path.join(root, "include"))


def npm(packages):
    root = os.path.join(packages, "npm")
    m = json.loads(read(root, "package.json"))
    yield from same("name and version", (m["name"], m["version"]), ("rtpush", version()))
    yield from same("license", m["license"], f"({SPDX})")
    for path in (m["main"], m["types"], m["unpkg"], *m["exports"]["."].values()):
        if not os.path.exists(os.path.join(root, path)):
            yield f"package.json: {path} does not exist"
    for name in os.listdir("ports/browser"):
        if read("ports/browser", name) != read(root, name):
            yield f"{name} differs"


def meson(packages):
    root = os.path.join(packages, "meson")
    wrap = read(root, "rtpush.wrap")
    yield from same("revision", pairs(wrap)["revision"], f"v{version()}")
    build = read(root, "packagefiles", pairs(wrap)["patch_directory"], "meson.build")
    if f"version: '{version()}'" not in build:
        yield "meson.build: another version"


RULES = [
    the_repository_has_no_manifest_of_a_package, the_version_is_that_of_the_header,
    every_tree_is_complete, archives_hold_the_trees, arduino, platformio, esp_idf, zephyr, npm,
    meson,
]


def main():
    packages = os.path.abspath(sys.argv[1])
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    failed = 0
    for rule in RULES:
        offences = list(rule(packages))
        if offences:
            failed += 1
            print(f"FAIL {rule.__name__}")
            print("".join(f"    {o}\n" for o in offences[:12]), end="")
    print(f"{len(RULES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
