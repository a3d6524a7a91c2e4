"""Statements that are transactions of their own and take the lock as they commit: what others commit meanwhile counts."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import ConflictError, TreeKind, open_store
from btree.late_transaction import LateTransaction
from btree.overlay import OWN_MAX
from sql.joint import JointTransaction, Shapes
from sql.schema import TREE_BASE
from tests.threads import in_threads


def connected(path: Path, durability: Any = "off") -> kvsh.Connection:
    return kvsh.connect(path, isolation_level=None, durability=durability, timeout=60)


@pytest.fixture(params=["a handle each", "one handle", "beside other databases"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    one = connected(tmp_path / "a.db")
    if request.param == "one handle":
        two = kvsh.Connection.on_store(one._store, 60)
    else:
        two = connected(tmp_path / "a.db")
    one.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, u TEXT UNIQUE)")
    one.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, 0, f"u{n}") for n in range(10)])
    if request.param == "beside other databases":
        one.execute("CREATE TEMP TABLE aside (a)")
        one.execute("ATTACH ? AS another", (str(tmp_path / "b.db"),))
    yield one, two
    assert one.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    two.close()
    one.close()


def between(
    monkeypatch: pytest.MonkeyPatch, store: Any, act: Callable[[], Any], *, late: bool = False
) -> list[Any]:
    """Have something done while the next statement of a connection is at work: when it has begun, or is about to
    commit.  Tells whether it was done."""
    done: list[Any] = []
    begin = store.begin_late

    def begun(timeout: float | None = None) -> Any:
        transaction = begin(timeout)
        monkeypatch.setattr(store, "begin_late", begin)
        assert isinstance(transaction, LateTransaction)
        if late:
            publish = transaction._publish

            def publishing() -> None:
                done.append(act())
                publish()

            transaction._publish = publishing  # type: ignore[method-assign]
        else:
            done.append(act())
        return transaction

    monkeypatch.setattr(store, "begin_late", begun)
    return done


UPDATE = "UPDATE t SET n = n + ? WHERE id = ?"
INSERT = "INSERT INTO t VALUES (?, ?, ?)"
DELETE = "DELETE FROM t WHERE id = ?"


@pytest.mark.parametrize("late", [False, True])
def test_a_change_builds_on_what_another_handle_has_committed(
    both: Any, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    one, two = both
    one.execute(UPDATE, (1, 3))
    done = between(monkeypatch, one._store, lambda: two.execute(UPDATE, (10, 3)), late=late)
    assert one.execute(UPDATE, (100, 3)).rowcount == 1
    assert done
    assert one.execute("SELECT n FROM t WHERE id = 3").fetchall() == [(111,)]
    assert two.execute("SELECT n FROM t WHERE id = 3").fetchall() == [(111,)]


def test_rows_that_were_not_there(both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = both
    for sql, values in ((UPDATE, (5, 20)), (DELETE, (21,))):
        assert one.execute(sql, values).rowcount == 0
        done = between(
            monkeypatch,
            one._store,
            lambda values=values: two.execute(INSERT, (values[-1], 0, None)),
        )
        assert one.execute(sql, values).rowcount == 1
        assert done
    assert two.execute("SELECT id, n FROM t WHERE id > 9").fetchall() == [(20, 5)]


@pytest.mark.parametrize("late", [False, True])
def test_what_was_in_the_way_and_is_no_more(
    both: Any, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    one, two = both
    one.execute(INSERT, (30, 0, "u30"))
    if not late:
        done = between(monkeypatch, one._store, lambda: two.execute(DELETE, (4,)))
        one.execute(INSERT, (31, 0, "u4"))
        assert done
    done = between(monkeypatch, one._store, lambda: two.execute(INSERT, (41, 0, "u32")), late=late)
    with pytest.raises(kvsh.IntegrityError, match="UNIQUE"):
        one.execute(INSERT, (32, 0, "u32"))
    assert done
    assert one.execute("SELECT id FROM t WHERE u = 'u32'").fetchall() == [(41,)]


def test_beside_a_writer_it_waits_as_others_do(both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = both
    one.execute(UPDATE, (1, 1))
    two.execute("BEGIN IMMEDIATE")
    one.execute("PRAGMA busy_timeout = 20")
    with pytest.raises(kvsh.OperationalError, match="locked"):
        one.execute(UPDATE, (1, 1))
    two.execute(UPDATE, (1, 1))
    two.execute("COMMIT")
    assert one.execute(UPDATE, (1, 1)).rowcount == 1
    assert one.execute("SELECT n FROM t WHERE id = 1").fetchall() == [(3,)]


@pytest.mark.parametrize("durability", ["off", "normal", "full"])
@pytest.mark.parametrize("shares", [True, False])
def test_no_step_is_lost_among_threads(tmp_path: Path, durability: Any, shares: bool) -> None:
    path = tmp_path / "a.db"
    first = kvsh.open(path, durability=durability, timeout=60)
    first.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    for n in range(3):
        first.execute("INSERT INTO t VALUES (?, 0)", (n,))

    def work(seed: int) -> None:
        draw = random.Random(seed)
        db = first if shares else kvsh.open(path, durability=durability, timeout=60)
        try:
            for step in range(100):
                db.execute("UPDATE t SET n = n + 1 WHERE id = ?", (draw.randrange(3),))
                db.execute("INSERT INTO t VALUES (?, 0)", (1000 * seed + 100 + step,))
                if step % 2:
                    db.execute("DELETE FROM t WHERE id = ?", (1000 * seed + 100 + step,))
                if not step % 10:
                    db.put(f"{seed} {step}", b"")
        finally:
            if db is not first:
                db.close()

    in_threads(*[partial(work, seed) for seed in range(4)])
    assert first.execute("SELECT sum(n) FROM t").fetchone() == (400,)
    assert first.execute("SELECT count(*) FROM t").fetchone() == (3 + 4 * 50,)
    assert first.check() == []
    first.close()
    with kvsh.open(path) as db:
        assert db.execute("SELECT sum(n), count(*) FROM t").fetchone() == (400, 203)
        assert db.count() == 40


def test_rows_that_have_to_be_read_and_long_runs(tmp_path: Path) -> None:
    """More of them than may wait over a tree, in a file that was just opened, with checkpoints between."""
    con = connected(tmp_path / "a.db")
    con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, u TEXT UNIQUE)")
    con.executemany("INSERT INTO t VALUES (?, 0, ?)", [(n, f"u{n}") for n in range(3000)])
    con.close()
    con = connected(tmp_path / "a.db")
    draw = random.Random(1)
    model = dict.fromkeys(range(3000), 0)
    for step in range(8 * OWN_MAX):
        key = draw.randrange(3200)
        if draw.random() < 0.7:
            assert con.execute(UPDATE, (step, key)).rowcount == (key in model)
            if key in model:
                model[key] += step
        elif draw.random() < 0.5:
            assert con.execute(DELETE, (key,)).rowcount == (key in model)
            model.pop(key, None)
        elif key in model:
            with pytest.raises(kvsh.IntegrityError):
                con.execute(INSERT, (key, 0, None))
        else:
            con.execute(INSERT, (key, 7, f"u{key}"))
            model[key] = 7
        if step % 500 == 400:
            con._store.checkpoint()
    assert dict(con.execute("SELECT id, n FROM t").fetchall()) == model
    con.close()
    con = connected(tmp_path / "a.db")
    assert dict(con.execute("SELECT id, n FROM t").fetchall()) == model
    assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    con.close()


@pytest.mark.parametrize("durability", ["off", "full"])
def test_one_database_of_several_is_written_and_the_others_are_left_to_others(
    tmp_path: Path, durability: str
) -> None:
    """A statement of its own takes the lock of the database that it writes, and no other one."""
    one = connected(tmp_path / "a.db", durability)
    other = connected(tmp_path / "b.db", durability)
    for connection in (one, other):
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
        connection.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
    one.execute("ATTACH ? AS b", (str(tmp_path / "b.db"),))
    one.execute("CREATE TEMP TABLE told (id INTEGER PRIMARY KEY, n INTEGER)")
    one.execute("PRAGMA busy_timeout = 20")
    ours = "UPDATE main.t SET n = n + ? WHERE id = ?"
    theirs = "UPDATE b.t SET n = n + ? WHERE id = ?"
    told = "INSERT INTO told VALUES (?, ?)"
    for number in range(3):  # from the second time on by the plan alone
        assert one.execute(ours, (1, 1)).rowcount == 1
        assert one.execute(theirs, (1, 1)).rowcount == 1
        assert one.execute(told, (number, 0)).rowcount == 1
    other.execute("BEGIN IMMEDIATE")
    assert one.execute(ours, (10, 1)).rowcount == 1
    assert one.execute(told, (3, 0)).rowcount == 1
    with pytest.raises(kvsh.OperationalError, match="locked"):
        one.execute(theirs, (10, 1))
    other.execute("UPDATE t SET n = 100 WHERE id = 1")
    other.execute("COMMIT")
    assert one.execute(theirs, (1000, 1)).rowcount == 1
    one.execute(
        "CREATE TEMP TRIGGER tells AFTER UPDATE ON main.t BEGIN"
        " INSERT INTO told VALUES (NEW.n, OLD.n); END"
    )
    for _ in range(3):
        assert one.execute(ours, (7, 2)).rowcount == 1
    assert one.execute("SELECT n FROM main.t").fetchall() == [(13,), (21,)]
    assert other.execute("SELECT n FROM t").fetchall() == [(1100,), (0,)]
    assert one.execute("SELECT * FROM told").fetchall() == [
        *[(number, 0) for number in range(4)],
        (7, 0),
        (14, 7),
        (21, 14),
    ]
    one.close()
    other.close()


def test_several_databases_are_committed_only_if_none_has_to_begin_again(tmp_path: Path) -> None:
    """One that takes its lock late may not find out behind another's commit that it was too late."""
    stores = [open_store(tmp_path / name, durability="off", timeout=0) for name in ("a.db", "b.db")]
    for store in stores:
        making = store.begin(write=True)
        tree_id = making.create_tree(TreeKind.TABLE)
        making.tree(tree_id).put(1, (0,))
        making.commit()
    main, attached = stores
    attached.view()
    other = open_store(tmp_path / "b.db", durability="off", timeout=0)

    def both() -> JointTransaction:
        joint = JointTransaction(main.begin(write=True), main, Shapes())
        joint.take_in(2, "b", attached, attached.begin_late())
        for number in (0, 2):
            row = joint.row(tree_id + number * TREE_BASE, 1)
            joint.put_row(tree_id + number * TREE_BASE, 1, (row[0] + 1,))
        return joint

    both().commit()
    late = both()
    theirs = other.begin(write=True)
    theirs.tree(tree_id).put(1, (100,))
    theirs.commit()
    with pytest.raises(ConflictError, match="since this one began"):
        late.commit()
    assert [store.begin().row(tree_id, 1) for store in (main, attached)] == [(1,), (100,)]
    both().commit()
    assert [store.begin().row(tree_id, 1) for store in (main, attached)] == [(2,), (101,)]
    for store in (*stores, other):
        store.close()
