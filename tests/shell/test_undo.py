"""`.undo`: every statement of a session is taken back, the newest first, and the database is what it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from btree import Store, open_memory, open_store
from kvsh.undo import UndoError, UndoLog
from sql import Session, SqlError, dump_statements

STATEMENTS = (
    "CREATE TABLE {t} (id INTEGER PRIMARY KEY, a, b UNIQUE)",
    "CREATE TABLE {t} (a, b TEXT, id, PRIMARY KEY (a, id)) WITHOUT ROWID",
    "CREATE TABLE {t} (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b)",
    "CREATE INDEX i{n} ON {t} (a, b)",
    "CREATE UNIQUE INDEX i{n} ON {t} (id, a)",
    "CREATE VIEW v{n} AS SELECT a FROM {t}",
    "CREATE TRIGGER g{n} AFTER DELETE ON {t} BEGIN INSERT INTO kv VALUES ('g' || old.a, 1); END",
    "INSERT OR IGNORE INTO {t} (a, b, id) SELECT value % 7, value, value FROM generate_series({n}, {m})",
    "INSERT OR REPLACE INTO kv SELECT 'k' || value, {n} FROM generate_series(1, {n})",
    "UPDATE OR IGNORE {t} SET a = a + 1, id = id + 1 WHERE id % 3 = 0",
    "DELETE FROM {t} WHERE a = {n}",
    "DELETE FROM {t}",
    "DROP TABLE {t}",
    "DROP INDEX i{n}",
    "ALTER TABLE {t} RENAME TO {u}",
    "ALTER TABLE {t} ADD COLUMN c{n} DEFAULT {n}",
    "ALTER TABLE {t} DROP COLUMN b",
    "BEGIN; DROP TABLE {t}; CREATE TABLE {t} (id, a, b); INSERT INTO {t} VALUES ({n}, 2, 3); COMMIT",
    "REINDEX",
)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = (
        open_memory()
        if request.param == "memory"
        else open_store(tmp_path / "a.db", durability="off")
    )
    yield made
    made.close()


def run(history: UndoLog, session: Session, text: str) -> bool:
    """Whether it was done; as the shell runs a statement, or a file of several."""
    history.before(session)
    try:
        for part in text.split(" ; ") if "TRIGGER" in text else text.split("; "):
            session.execute(part).close()
    except SqlError:
        if session.in_transaction:
            session.rollback()
        return False
    finally:
        history.after(session, text)
    return True


@pytest.mark.parametrize("seed", range(12))
def test_what_is_taken_back_leaves_the_database_as_it_was(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    session, history = Session(store), UndoLog(store)
    seen = [list(dump_statements(session))]
    done = 0
    while done < 60:
        n = dice.randrange(1, 9)
        text = dice.choice(STATEMENTS).format(
            t=dice.choice("pqr"), u=dice.choice("pqr"), n=n, m=n + dice.choice((0, 3, 400))
        )
        done += run(history, session, text)
        now = list(dump_statements(session))
        if now != seen[-1]:
            seen.append(now)
        for _ in range(dice.choice((0, 0, 0, 0, 1, 2))):
            if len(seen) > 1:
                _taken_back(history, session, seen)
    steps = 0
    while len(seen) > 1 and steps < 15:  # as many as are kept
        _taken_back(history, session, seen)
        steps += 1


def _taken_back(history: UndoLog, session: Session, seen: list[list[str]]) -> None:
    """Undo until the text of the database is another: REINDEX, for one, leaves it as it is."""
    last = seen.pop()
    while (now := list(dump_statements(session))) == last:
        try:
            history.undo(session)
        except UndoError as error:
            assert "nothing to undo" in str(error)  # not more than twenty are kept
            seen[:] = [now]
            return
    assert now == seen[-1]
    assert session.execute("PRAGMA integrity_check").fetch_all() == [("ok",)]


def test_a_table_that_was_dropped_comes_back_with_its_rows(store: Store) -> None:
    """The catalog came back alone, and named a tree that was no more: every query of the table failed."""
    session, history = Session(store), UndoLog(store)
    for text in (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a)",
        "CREATE INDEX i ON t (a)",
        "INSERT INTO t SELECT value, value * 2 FROM generate_series(1, 5000)",
        "DROP TABLE t",
    ):
        assert run(history, session, text)
    _, changes = history.undo(session)
    assert [(change.name, change.added) for change in changes.entries] == [("t", 5000)]
    assert session.execute("SELECT id FROM t WHERE a = 84").fetch_all() == [(42,)]
    _, changes = history.undo(session)  # the INSERT, whose table has another tree by now
    assert [(change.name, change.removed) for change in changes.entries] == [("t", 5000)]
    assert run(history, session, "INSERT INTO t VALUES (1, 1)")
    assert session.execute("PRAGMA integrity_check").fetch_all() == [("ok",)]


def test_what_others_commit_is_not_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store, other = open_store(path), open_store(path)
    session, history, theirs = Session(store), UndoLog(store), Session(other)
    assert run(history, session, "CREATE TABLE t (a)")
    theirs.execute("INSERT INTO t VALUES ('theirs')").close()
    with pytest.raises(UndoError, match=r"commit 2 of somebody else came after 'CREATE TABLE"):
        history.undo(session)
    history.before(session)
    session.execute("INSERT INTO t VALUES ('ours')").close()
    theirs.execute("INSERT INTO t VALUES ('theirs, too')").close()
    session.execute("INSERT INTO t VALUES ('ours, too')").close()
    history.after(session, ".read file")
    with pytest.raises(UndoError, match=r"somebody else has committed while '\.read file' ran"):
        history.undo(session)
    assert session.execute("SELECT count(*) FROM t").fetch_all() == [(4,)]
    history.forget()
    other.close()
    store.close()


def test_a_checkpoint_is_nobody_elses_commit(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db")
    session, history = Session(store), UndoLog(store)
    assert run(history, session, "CREATE TABLE t (a)")
    store.checkpoint()
    assert run(history, session, "INSERT INTO t VALUES (1)")
    store.compact()
    assert history.undo(session)[0] == "INSERT INTO t VALUES (1)"
    assert history.undo(session)[0] == "CREATE TABLE t (a)"
    store.close()
