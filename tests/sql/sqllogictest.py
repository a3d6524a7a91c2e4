"""A runner of sqllogictest scripts, as SQLite runs them.

Records are separated by blank lines: `statement ok|error`, `query TYPES SORTMODE [label]`, each with
conditions (`skipif`, `onlyif`) before it; `halt` ends a script.  Values are compared as text: T as it is,
I as `%d`, R as `%.3f` of 16 significant digits rounded half up; long results by the MD5 of their lines.

    python -m tests.sql.sqllogictest [--engine kvsh|sqlite] [--failures N] FILE...

prints a line a file, and the first failures of each.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import Any

from tests.sql.engines import Engine, EngineError, KvshEngine, SqliteEngine

NAME = "sqlite"
_INTEGER = re.compile(r"\s*([+-]?\d+)")
_REAL = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_UNPRINTABLE = re.compile(r"[^ -~]")
_SIXTEEN_DIGITS = Context(prec=16, rounding=ROUND_HALF_UP)
_MILLIS = Decimal("0.001")


@dataclass(slots=True)
class Record:
    """One statement or query, the line it begins at, and what it must give."""

    line: int
    kind: str  # "ok", "error" or "query"
    sql: str
    types: str = ""
    sort_mode: str = "nosort"
    label: str | None = None
    expected: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Failure:
    record: Record
    reason: str

    def __str__(self) -> str:
        return f"line {self.record.line}: {self.reason}\n    {self.record.sql}"


@dataclass(slots=True)
class Report:
    """What a script gave: `scored` counts its statements and queries."""

    path: Path
    scored: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        passed = self.scored - len(self.failures)
        return f"{self.path.name}: {passed} of {self.scored} passed in {self.seconds:.2f} s"


def read_records(path: Path) -> Iterator[Record]:
    """The records that apply to SQLite, in order."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    place = 0
    while place < len(lines):
        start = place
        while place < len(lines) and lines[place].strip():
            place += 1
        block = [
            (start + offset, text)
            for offset, text in enumerate(lines[start:place])
            if not text.startswith("#")
        ]
        place += 1
        applies = True
        while block and block[0][1].split()[0] in ("skipif", "onlyif", "hash-threshold"):
            word, *rest = block[0][1].split()
            if (word == "skipif") == (rest[0] == NAME) and word != "hash-threshold":
                applies = False
            block = block[1:]
        if not block or not applies:
            continue
        head = block[0][1].split()
        if head[0] == "halt":
            return
        yield _record(block[0][0] + 1, head, [text for _, text in block[1:]])


def _record(line: int, head: list[str], body: list[str]) -> Record:
    if head[0] == "statement":
        return Record(line, head[1], "\n".join(body))
    assert head[0] == "query", f"line {line}: {head[0]}"
    cut = body.index("----") if "----" in body else len(body)
    return Record(
        line,
        "query",
        "\n".join(body[:cut]),
        head[1],
        head[2] if len(head) > 2 else "nosort",
        head[3] if len(head) > 3 else None,
        body[cut + 1 :],
    )


def shown(value: Any, kind: str) -> str:
    """A value as sqllogictest prints it in a column of this kind."""
    if value is None:
        return "NULL"
    if kind == "I":
        return str(_as_integer(value))
    if kind == "R":
        return _as_millis(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        value = real_text(value)
    text = str(value)
    return _UNPRINTABLE.sub("@", text) if text else "(empty)"


def real_text(value: float) -> str:
    """A REAL as SQLite's text of it: %!.15g."""
    text = f"{value:.15g}"
    if text.lstrip("-").isdigit():
        return text + ".0"
    return text


def _as_integer(value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return max(-(1 << 63), min(int(value), (1 << 63) - 1))
    match = _INTEGER.match(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    return int(match.group(1)) if match else 0


def _as_millis(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        match = _REAL.match(text)
        value = float(match.group()) if match else 0.0
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    rounded = _SIXTEEN_DIGITS.create_decimal(Decimal(value))
    return f"{rounded.quantize(_MILLIS, rounding=ROUND_HALF_UP, context=Context(prec=400)):f}"


def values_of(rows: list[tuple[Any, ...]], types: str, sort_mode: str) -> list[str]:
    """All values as text, in the order that the sort mode asks for."""
    printed = [[shown(value, kind) for value, kind in zip(row, types, strict=True)] for row in rows]
    if sort_mode == "rowsort":
        printed.sort()
    values = [value for row in printed for value in row]
    if sort_mode == "valuesort":
        values.sort()
    return values


def digest(values: list[str]) -> str:
    lines = "".join(f"{value}\n" for value in values)
    return f"{len(values)} values hashing to {hashlib.md5(lines.encode()).hexdigest()}"


class Runner:
    """Runs one script on one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.labels: dict[str, str] = {}

    def check(self, record: Record) -> str | None:
        """Why the record fails; None if it passes."""
        if record.kind != "query":
            return self._statement(record)
        try:
            rows = self.engine.execute(record.sql)
        except EngineError as error:
            # A query that fails gives no values: so the corpus expects the overflow of sum().
            return f"error: {error}" if record.expected else None
        if rows and len(rows[0]) != len(record.types):
            return f"{len(rows[0])} columns, expected {len(record.types)}"
        values = values_of(rows, record.types, record.sort_mode)
        hashed = digest(values)
        if record.label is not None and self.labels.setdefault(record.label, hashed) != hashed:
            return f"differs from the query labelled {record.label}"
        expected = record.expected
        if len(expected) == 1 and " values hashing to " in expected[0]:
            return None if hashed == expected[0] else f"{hashed}, expected {expected[0]}"
        if values != expected:
            return f"{values[:12]}, expected {expected[:12]}"
        return None

    def _statement(self, record: Record) -> str | None:
        from sql.parse import next_statement

        text, start = record.sql, 0
        try:
            while start < len(text):
                end = next_statement(text, start) or len(text)
                if text[start:end].strip():
                    self.engine.execute(text[start:end])
                start = end
        except EngineError as error:
            return None if record.kind == "error" else f"error: {error}"
        return "succeeded, an error was expected" if record.kind == "error" else None


def run_file(path: Path, make_engine: Callable[[], Engine]) -> Report:
    """Run a script from an empty database."""
    report = Report(path)
    engine = make_engine()
    runner = Runner(engine)
    start = time.perf_counter()
    for record in read_records(path):
        report.scored += 1
        reason = runner.check(record)
        if reason is not None:
            report.failures.append(Failure(record, reason))
    report.seconds = time.perf_counter() - start
    engine.close()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description="Run sqllogictest scripts.")
    parser.add_argument("--engine", choices=("kvsh", "sqlite"), default="kvsh")
    parser.add_argument("--failures", type=int, default=3, help="how many to print of each file")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    make = KvshEngine if options.engine == "kvsh" else SqliteEngine
    scored = failed = 0
    for path in options.files:
        report = run_file(path, make)
        scored += report.scored
        failed += len(report.failures)
        print(report, flush=True)
        for failure in report.failures[: options.failures]:
            print(f"  {failure}")
    print(f"{scored - failed} of {scored} records passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
