#!/usr/bin/env python3
"""The figures of build/bench/*.csv as the tables of README.md.
Usage: python3 tests/bench/tables.py"""
import csv
import pathlib

OUT = pathlib.Path("build/bench")


def table(head, rows):
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def by_server(rows):
    """One line a row: of the first server us, of the others us and ratio."""
    servers = list(dict.fromkeys(r["server"] for r in rows))
    lines = {}
    for r in rows:
        lines.setdefault(r["row"], {})[r["server"]] = r
    head = ["us of the server (ratio)"] + servers
    body = []
    for title, cells in lines.items():
        body.append([title])
        for i, name in enumerate(servers):
            r = cells.get(name)
            text = f"{float(r['us']):.2f}" if r else ""
            body[-1].append(text if i == 0 or not r else f"{text} ({float(r['ratio']):.2f})")
    return head, body


def main():
    for name in ("instructions", "load", "peers", "memory", "peers-memory", "firmware"):
        path = OUT / f"{name}.csv"
        if not path.exists():
            continue
        with open(path, encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        print(f"\n{path}")
        if rows and "ratio" in rows[0]:
            table(*by_server(rows))
        elif rows:
            keys = [k for k in rows[0] if k != "name"]
            table(keys, [[r[k] for k in keys] for r in rows])


main()
