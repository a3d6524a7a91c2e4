"""The `autocommit` attribute, of the sqlite3 module from Python 3.12 on and of kvsh with any; options; dumps of a part."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kvsh


def test_where_a_transaction_is_always_open(tmp_path: Path) -> None:
    path = tmp_path / "db"
    con = kvsh.connect(path, autocommit=False)
    other = kvsh.connect(path, autocommit=True)
    traced: list[str] = []
    con.set_trace_callback(traced.append)
    assert con.in_transaction and not other.in_transaction
    con.execute("CREATE TABLE t(a)")
    con.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(kvsh.OperationalError, match="no such table"):
        other.execute("SELECT * FROM t")
    con.commit()
    assert con.in_transaction
    other.execute("INSERT INTO t VALUES (2)")
    assert not other.in_transaction
    other.rollback()  # does nothing
    assert con.execute("SELECT a FROM t").fetchall() == [(1,), (2,)], "it had not read before"
    con.execute("DELETE FROM t")
    con.rollback()
    con.executescript("INSERT INTO t VALUES (3)")  # commits nothing before it
    with pytest.raises(ZeroDivisionError), con:
        con.execute("INSERT INTO t VALUES (1 / ?)", (1 / 0,))
    assert con.in_transaction
    assert con.execute("SELECT a FROM t").fetchall() == [(1,), (2,)]
    con.execute("COMMIT")
    with pytest.raises(kvsh.OperationalError, match="no transaction is active"):
        con.commit()
    con.autocommit = True
    con.autocommit = False
    con.execute("DELETE FROM t")
    con.close()
    assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)
    assert [text for text in traced if text.isupper() and " " not in text] == [
        *["COMMIT", "BEGIN"] * 1,
        *["ROLLBACK", "BEGIN"] * 2,
        *["COMMIT", "COMMIT"],
        *["BEGIN", "ROLLBACK"],
    ]
    other.close()


def test_what_is_no_mode_is_refused() -> None:
    con = kvsh.connect(":memory:")
    assert con.autocommit == kvsh.LEGACY_TRANSACTION_CONTROL == -1
    for mode in ("a", 12, (), None, -1.0, 0, 1):
        with pytest.raises(ValueError, match="autocommit must be True, False, or"):
            con.autocommit = mode  # type: ignore[assignment]
        with pytest.raises(ValueError, match="autocommit must be True, False, or"):
            kvsh.connect(":memory:", autocommit=mode)
    assert con.autocommit == -1


ACTIONS: list[Callable[[Any], Any]] = [
    lambda con: con.commit(),
    lambda con: con.rollback(),
    lambda con: con.execute("INSERT INTO t VALUES (1)").rowcount,
    lambda con: con.executemany("INSERT INTO t VALUES (?)", [(2,), (3,)]).rowcount,
    lambda con: con.execute("DELETE FROM t WHERE a = 2").rowcount,
    lambda con: con.executescript("INSERT INTO t VALUES (4)"),
    lambda con: con.execute("SELECT count(*) FROM t").fetchall(),
    lambda con: con.execute("BEGIN"),
    lambda con: con.execute("COMMIT"),
    lambda con: con.execute("ROLLBACK"),
    lambda con: setattr(con, "autocommit", True),
    lambda con: setattr(con, "autocommit", False),
    lambda con: setattr(con, "autocommit", -1),
    lambda con: setattr(con, "isolation_level", None),
    lambda con: setattr(con, "isolation_level", "IMMEDIATE"),
    lambda con: con.__enter__() and None,
    lambda con: con.__exit__(None, None, None),
    lambda con: con.__exit__(ValueError, ValueError(), None),
    lambda con: con.getconfig(1002),
    lambda con: con.setconfig(1002, True),
    lambda con: con.setconfig(1002, False),
]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the sqlite3 module has no autocommit")
@pytest.mark.parametrize("seed", range(20))
def test_random_calls_have_the_outcome_that_they_have_in_sqlite3(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    mode = rng.choice([True, False, -1])
    cons: list[Any] = [
        module.connect(tmp_path / name, autocommit=mode)
        for module, name in ((kvsh, "ours"), (sqlite3, "theirs"))
    ]
    traces: list[list[str]] = [[], []]
    for con, trace in zip(cons, traces, strict=True):
        con.executescript("CREATE TABLE t(a); COMMIT" if mode is False else "CREATE TABLE t(a)")
        con.set_trace_callback(trace.append)
    for _ in range(150):
        action = rng.randrange(len(ACTIONS))
        outcomes: list[Any] = []
        for con in cons:
            try:
                found = ACTIONS[action](con)
                outcome = found if found.__class__ in (int, list, bool) else None
            except (kvsh.Error, sqlite3.Error) as error:
                outcome = type(error).__name__, str(error)
            outcomes.append((outcome, con.in_transaction, con.autocommit, con.total_changes))
        assert outcomes[0] == outcomes[1], (seed, action)
        words = [[text.strip() for text in trace if "?" not in text] for trace in traces]
        assert [t for t in words[0] if "VALUES (" not in t] == [
            t for t in words[1] if "VALUES (" not in t and "PRAGMA" not in t
        ]
    for con in cons:
        con.close()


def test_options(tmp_path: Path) -> None:
    con = kvsh.connect(":memory:", isolation_level=None)
    assert con.getconfig(kvsh.SQLITE_DBCONFIG_ENABLE_TRIGGER) is True
    assert con.getconfig(kvsh.SQLITE_DBCONFIG_ENABLE_FKEY) is False
    con.executescript("CREATE TABLE p(a PRIMARY KEY); CREATE TABLE c(a REFERENCES p)")
    con.execute("INSERT INTO c VALUES (1)")
    con.setconfig(kvsh.SQLITE_DBCONFIG_ENABLE_FKEY)
    assert con.execute("PRAGMA foreign_keys").fetchall() == [(1,)]
    with pytest.raises(kvsh.IntegrityError):
        con.execute("INSERT INTO c VALUES (1)")
    con.execute("BEGIN")
    con.setconfig(kvsh.SQLITE_DBCONFIG_ENABLE_FKEY, False)  # the pragma does nothing here
    con.execute("INSERT INTO c VALUES (1)")
    for number in (-1, 0, 5000):
        for use in (con.getconfig, con.setconfig):
            with pytest.raises(ValueError, match=f"unknown config 'op': {number}"):
                use(number)
    con.setconfig(kvsh.SQLITE_DBCONFIG_ENABLE_VIEW, True)
    with pytest.raises(kvsh.NotSupportedError, match="SQLITE_DBCONFIG_ENABLE_VIEW"):
        con.setconfig(kvsh.SQLITE_DBCONFIG_ENABLE_VIEW, False)


def test_functions_by_keywords() -> None:
    class Last:
        def step(self, value: int) -> None:
            self.value = value

        def finalize(self) -> int:
            return self.value

    for module in (kvsh, sqlite3):
        con: Any = module.connect(":memory:")  # type: ignore[attr-defined]
        con.create_function("f", 1, lambda value: value + 1)
        if module is kvsh or sys.version_info < (3, 13):
            con.create_function(name="f", narg=1, func=lambda value: value + 1)
            con.create_aggregate(name="last", n_arg=1, aggregate_class=Last)
            assert con.execute("SELECT f(2), last(3)").fetchall() == [(3, 3)]


def test_a_dump_of_what_has_a_name_like_a_pattern() -> None:
    con = kvsh.connect(":memory:", isolation_level=None)
    con.executescript("""
        CREATE TABLE one(a INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE TABLE two(a);
        CREATE INDEX two_a ON two(a);
        CREATE VIEW a_view AS SELECT * FROM one;
        CREATE TRIGGER one_t AFTER INSERT ON two BEGIN SELECT 1; END;
        INSERT INTO one VALUES (7);
        INSERT INTO two VALUES (8);
        INSERT INTO kv VALUES ('k', 'v');
    """)
    assert list(con.iterdump(filter="%")) == list(con.iterdump())
    assert list(con.iterdump(filter="ONE%")) == [
        "BEGIN TRANSACTION;",
        "CREATE TABLE one(a INTEGER PRIMARY KEY AUTOINCREMENT);",
        'INSERT INTO "one" VALUES(7);',
        "CREATE TRIGGER one_t AFTER INSERT ON two BEGIN SELECT 1; END;",
        "COMMIT;",
    ]
    assert list(con.iterdump(filter="t__\\_a")) == ["BEGIN TRANSACTION;", "COMMIT;"]
    assert list(con.iterdump(filter="two_a")) == [
        "BEGIN TRANSACTION;",
        "CREATE INDEX two_a ON two(a);",
        "COMMIT;",
    ]
    assert "INSERT INTO \"kv\" VALUES('k','v');" in list(con.iterdump(filter="k%"))
    if sys.version_info >= (3, 13):
        theirs: Any = sqlite3.connect(":memory:")
        theirs.executescript("\n".join(con.iterdump()))
        for pattern in ("%", "ONE%", "two_a", "k%", "sqlite%", "%view", "x", "two"):
            found = list(con.iterdump(filter=pattern))
            assert [line for line in found if "kv" not in line] == [
                line for line in theirs.iterdump(filter=pattern) if "kv" not in line
            ]
