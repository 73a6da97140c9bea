#!/usr/bin/env python3
"""The figures of build/bench/*.csv as the tables of README.md.
Usage: python3 tests/bench/tables.py         the tables
       python3 tests/bench/tables.py plot    the rows of plot.gp, to build/bench/peers.dat"""
import csv
import pathlib
import sys

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


def crowd(rows):
    """One line a row and server of crowd.c."""
    head = ["", "", "us a delivery", "of the first, the last", "p50, p99 ms", "p99 of the first",
            "% of all", "us to connect", "bytes a reader"]
    body = []
    for r in rows:
        body.append([r["row"], r["server"], f"{float(r['us']):.2f}",
                     f"{float(r['of_first']):.2f}, {float(r['of_last']):.2f}",
                     f"{float(r['p50_ms']):.0f}, {float(r['p99_ms']):.0f}",
                     f"{float(r['p99_of_first']):.2f}", f"{float(r['delivered']):.0f}",
                     f"{float(r['open_us']):.0f}", f"{float(r['rss']):,.0f}"])
    return head, body


# What the plot shows, and in which words.
PLOT = {
    "20 B, 1000 connections, 1 in flight": "echo 20 B",
    "20 B, 1000 connections, 16 in flight": "echo 20 B,\\n16 in flight",
    "1 KiB, 1000 connections, 16 in flight": "echo 1 KiB,\\n16 in flight",
    "WebSocket 64 B, bursts of 1": "WebSocket\\n64 B",
    "WebSocket 64 B, bursts of 16": "WebSocket\\n64 B, 16 at once",
    "SSE 64 B, bursts of 1": "SSE\\n64 B",
    "SSE 64 B, bursts of 16": "SSE\\n64 B, 16 at once",
}


def plot():
    """A line a row, a column a server; fails if a row is missing."""
    with open(OUT / "peers.csv", encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    servers = list(dict.fromkeys(r["server"] for r in rows))
    cells = {(r["row"], r["server"]): r["us"] for r in rows}
    with open(OUT / "peers.dat", "w", encoding="utf-8") as f:
        f.write("\t".join(["row"] + servers) + "\n")
        for title, words in PLOT.items():
            values = [cells.get((title, server), "-") for server in servers]
            if values[:2].count("-"):
                sys.exit(f"peers.csv has no row {title}")
            f.write("\t".join([f'"{words}"'] + values) + "\n")


def main():
    if sys.argv[1:] == ["plot"]:
        plot()
        return
    for name in ("instructions", "load", "peers", "memory", "peers-memory", "firmware", "gateway",
                 "gateways"):
        path = OUT / f"{name}.csv"
        if not path.exists():
            continue
        with open(path, encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        print(f"\n{path}")
        if name.startswith("gateway"):
            table(*crowd(rows))
        elif rows and "ratio" in rows[0]:
            table(*by_server(rows))
        elif rows:
            keys = [k for k in rows[0] if k != "name"]
            table(keys, [[r[k] for k in keys] for r in rows])


main()
