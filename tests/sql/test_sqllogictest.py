"""SQLite's sqllogictest scripts, where they are at hand: every record of every file must pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine
from tests.sql.sqllogictest import read_records, real_text, run_file, shown

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "sqllogictest"
SCRIPTS = sorted(CORPUS.glob("*.test"))


@pytest.mark.skipif(not SCRIPTS, reason="the sqllogictest scripts are not at hand")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_record_passes(path: Path) -> None:
    report = run_file(path, KvshEngine)
    assert report.scored > 0
    assert not report.failures, f"{report}\n" + "\n".join(map(str, report.failures[:10]))


def test_values_print_as_sqllogictest_prints_them() -> None:
    assert shown(None, "I") == "NULL"
    assert [shown(value, "I") for value in (3, 2.9, "17abc", "x")] == ["3", "2", "17", "0"]
    assert [shown(value, "R") for value in (1, 0.0005, 2.5, "3.25x", -0.0004)] == [
        "1.000",
        "0.001",
        "2.500",
        "3.250",
        "-0.000",
    ]
    assert [shown(value, "T") for value in ("", "a\tb", 1.0, b"\x00")] == [
        "(empty)",
        "a@b",
        "1.0",
        "@",
    ]
    assert real_text(1e300) == "1e+300"


SCRIPT = """\
hash-threshold 8

statement ok
CREATE TABLE t (a INTEGER, b TEXT)

skipif sqlite
statement ok
CREATE NONSENSE

onlyif sqlite
statement ok
INSERT INTO t VALUES (2, 'x'), (1, '')

# a comment
query IT rowsort label-1
SELECT a, b FROM t
----
1
(empty)
2
x

query I valuesort
SELECT a FROM t UNION ALL SELECT 10
----
1
10
2

query IIIIIIIII nosort
SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9
----
9 values hashing to a8c30ecfeaf9bb1e9c8d0e2dbd6d3d2c

statement error
SELECT FROM

query I nosort
SELECT 5
----
6

halt

statement ok
NONSENSE
"""


def test_the_runner_finds_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "script.test"
    path.write_text(SCRIPT)
    assert len(list(read_records(path))) == 7
    report = run_file(path, SqliteEngine)
    assert [failure.record.sql for failure in report.failures] == [
        "SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "SELECT 5",
    ]
