"""Measure, and write ``RESULTS.md`` and ``results.svg``.

``python -m benchmarks`` runs everything; with ``--quick``, or with the names of parts, it prints
what it found and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks import chart, reach, section
from benchmarks.section import Found, Table

PARTS = {
    "in-process": ("benchmarks.in_process", "In process", 150),
    "under-load": ("benchmarks.under_load", "Under load", 540),
    "scale": ("benchmarks.scale", "Scale", 300),
    "neighbour": ("benchmarks.neighbour", "Neighbours", 120),
    "logs": ("benchmarks.logs", "Logs", 90),
}
_PACKAGES = (
    "falcon",
    "gunicorn",
    "gunicorn_h1c",
    "granian",
    "msgspec",
    "limits",
    "statsd",
    "python-json-logger",
    "Flask",
    "Flask-Limiter",
    "redis",
)
_HERE = Path(__file__).parent


def main() -> None:
    """Run the parts that were asked for, in order."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: does it run?")
    parser.add_argument("--out", type=Path, default=_HERE, help="the folder to write to")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    began = time.monotonic()
    found: dict[str, Found] = {}
    for part in asked.parts or PARTS:
        module, title, seconds = PARTS[part]
        print(f"{title} ...", file=sys.stderr, flush=True)
        found[part] = section.run(module, quick=asked.quick, seconds=seconds)
    facts = {name: value for each in found.values() for name, value in each.facts.items()}
    text = _report(found, facts, asked.quick, time.monotonic() - began)
    if asked.quick or asked.parts:
        print(text)  # a part, or a quick look, is not what the file shows
        return
    (asked.out / "RESULTS.md").write_text(text)
    (asked.out / "results.svg").write_text(chart.draw(facts))


def _report(found: dict[str, Found], facts: dict[str, float], quick: bool, took: float) -> str:
    lines = ["# Results", "", "Written by `make bench`; what it means is told in [performance.md]"]
    lines[-1] += "(../docs/performance.md). Medians, with the quartiles beside them. Ratios are of"
    lines += ["each round by itself. They are the result; absolute figures are this machine's.", ""]
    if quick:
        lines += ["**A quick run, to see that it runs: its figures mean little.**", ""]
    lines += _text(reach.table(facts), "##")
    for part, each in found.items():
        lines += [f"## {PARTS[part][1]}", ""]
        for table in each.tables:
            lines += _text(table, "###")
    return "\n".join([*lines, *_machine(took)])


def _text(table: Table, level: str) -> list[str]:
    cells = [table.columns, ["---"] * len(table.columns), *table.rows]
    lines = [f"{level} {table.title}", ""]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in cells]
    lines.append("")
    for note in table.notes:
        lines += [note, ""]
    return lines


def _machine(took: float) -> list[str]:
    model = _first_line(["sh", "-c", "grep -m1 'model name' /proc/cpuinfo"]).partition(": ")[2]
    versions = [f"CPython {platform.python_version()}", f"Linux {platform.release()}"]
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    for words in (["go", "version"], ["wrk", "-v"], ["redis-server", "--version"]):
        versions.append(_first_line(words) or f"no {words[0]}")
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    return [
        "## Machine and versions",
        "",
        f"{model or platform.machine()}, {len(os.sched_getaffinity(0))} cores; load average {load} "
        f"at the end of a run of {took / 60:.0f} minutes.",
        "",
        *(f"- {each}" for each in versions),
        "",
    ]


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return ""
    said = (done.stdout or done.stderr).strip().splitlines()
    return said[0].strip() if said else ""


if __name__ == "__main__":
    main()
