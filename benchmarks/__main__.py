"""`python -m benchmarks [--quick] [--rounds N] [--write | NAME...]`: run, print, and write the document."""

from __future__ import annotations

import argparse
import compileall
from pathlib import Path

from benchmarks import load_all
from benchmarks.report import line, markdown
from benchmarks.runner import place, run
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
REASONS = "\n## What is slower, and why"
"""What stands from this heading on is written by hand, and stays."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads whose names start so (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, under five minutes")
    parser.add_argument("--rounds", type=int, help="rounds per workload")
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md; of all workloads"
    )
    parser.add_argument("--list", action="store_true", help="list the workloads")
    options = parser.parse_args()
    if options.write and options.names:
        parser.error("--write makes the whole table anew, and so takes no names")
    load_all()
    chosen = [
        workload
        for workload in WORKLOADS.values()
        if not options.names or workload.name.startswith(tuple(options.names))
    ]
    if options.list:
        for workload in chosen:
            print(f"{workload.name:<24} {workload.title}")
        return
    for package in ("engine", "btree", "sql", "kvsh"):
        compileall.compile_dir(ROOT / package, quiet=2)  # as pip does with what it installs
    outcomes = []
    with place() as shared:
        for workload in chosen:
            outcomes.append(run(workload, shared, quick=options.quick, rounds=options.rounds))
            print(line(outcomes[-1]), flush=True)
    if options.write:
        _, heading, reasons = DOCUMENT.read_text(encoding="utf-8").partition(REASONS)
        page = markdown(outcomes, quick=options.quick)
        DOCUMENT.write_text(page + heading + reasons, encoding="utf-8")
        print(f"written: {DOCUMENT.relative_to(DOCUMENT.parents[1])}")


if __name__ == "__main__":
    main()
