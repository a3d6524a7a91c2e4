"""Pages that say something else than what was written, under right checksums: answers, or errors of kvsh's."""

from __future__ import annotations

from pathlib import Path

import pytest

import kvsh
from engine import PageStore
from tests.btree.mutated import HEAD_BYTES, encode, lived_in, made, run_bytes_round, run_round
from tests.shell.running import kvsh as run_kvsh


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mutated") / "base"
    made(path)
    return path


# But for the last ones, something else had come out of these.
@pytest.mark.parametrize(
    "seed",
    [10, 210, 227, 240, 345, 401, 424, 503, 679, 799, 1089, 17612, 18267, *range(1000, 1012)],
)
def test_what_makes_no_sense_gives_answers_or_clear_errors(
    base: Path, tmp_path: Path, seed: int
) -> None:
    run_round(base, tmp_path, seed)


@pytest.fixture(scope="module", params=["closed", "left open"])
def lively(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    path = tmp_path_factory.mktemp("lively") / "base"
    lived_in(path, closed=request.param == "closed")
    return path


# What was not damaged did not all come back from a repair of these.
@pytest.mark.parametrize(
    "seed", [219, 249, 725, 1093, 1243, 1283, 1832, 2158, 2302, 5602, *range(20)]
)
def test_bytes_that_change_give_right_answers_or_clear_errors(
    lively: Path, tmp_path: Path, seed: int
) -> None:
    run_bytes_round(lively, tmp_path, seed)


def _with_rows(path: Path, rows: list[object]) -> None:
    """A table whose only leaf holds other rows than were put there: its columns are said to be integers and texts."""
    con = kvsh.connect(path, isolation_level=None)
    con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER, c TEXT)")
    con.executemany("INSERT INTO t VALUES (?, ?, ?)", [(at, at, "c") for at in range(3)])
    con.close()
    with kvsh.open(path) as db:
        db.checkpoint()
    with PageStore.open(path) as store:
        writer = store.begin()
        for page in store.live_pages():
            content = writer.read(page, writer.locate(page))
            if content[1:3] == b"\2\0" and b"CREATE" not in content:
                writer.put(page, content[:HEAD_BYTES] + encode([0, rows]))
        writer.commit_pages().wait()


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ([1, None, "c"], "row 2 of t has a kind of value in b"),
        ([1, "text", "c"], "row 2 of t has a kind of value in b"),
        ([1, [2], "c"], r"\[2\] is no value of SQL's"),
        ([1, 1, 7], "row 2 of t has a kind of value in c"),
    ],
)
def test_values_that_plans_do_not_expect_are_told_of_as_damage(
    tmp_path: Path, row: list[object], found: str
) -> None:
    """Plans for columns without NULL ask no value whether it is one: a TypeError came out."""
    path = tmp_path / "db"
    _with_rows(path, [[0, 0, "c"], row, [2, 2, "c"]])
    con = kvsh.connect(path, isolation_level=None)
    with pytest.raises(kvsh.DatabaseError, match=f"the database is damaged: .*{found}") as caught:
        con.execute(
            "SELECT sum(b * 2 + 1), max(c || 'x'), max(upper(c) || b) FROM t WHERE b < 5"
        ).fetchall()
        con.execute("SELECT b + 1 FROM t WHERE b > 0 AND c < 'd' ORDER BY b, c").fetchall()
    assert caught.value.sqlite_errorname == "SQLITE_CORRUPT"
    assert con.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
    con.close()


def test_the_shell_says_so_too(tmp_path: Path) -> None:
    _with_rows(tmp_path / "db", [[0, 0, "c"], [1, None, "c"], [2, 2, "c"]])
    done = run_kvsh(tmp_path / "db", "SELECT sum(b * 2) FROM t WHERE b < 5")
    assert done.status == 1 and "the database is damaged: row 2 of t" in done.err


def test_an_error_of_a_program_stays_what_it_is(tmp_path: Path) -> None:
    con = kvsh.connect(tmp_path / "db")
    with pytest.raises(OverflowError):
        con.execute("SELECT ?", (1 << 70,))
    con.close()
