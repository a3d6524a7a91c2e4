"""The difference of two states of a tree, and its reversal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from btree import Tree, TreeKind, open_memory, open_store
from kvsh.difference import difference, reverse
from kvsh.undo import UndoLog
from sql import Session

KEYS = st.integers(0, 60)
VALUES = st.one_of(st.none(), st.integers(0, 3), st.floats(0, 3), st.text(max_size=2))


def contents(tree: Tree) -> dict[Any, Any]:
    return {
        key: value
        for keys, values in tree.batches()
        for key, value in zip(keys, values, strict=True)
    }


@settings(deadline=None, max_examples=60)
@given(
    before=st.dictionaries(KEYS, VALUES, max_size=40),
    after=st.dictionaries(KEYS, VALUES, max_size=40),
    limit=st.integers(2, 8),
)
def test_the_reverse_of_a_difference_restores_the_old_state(
    before: dict[int, Any], after: dict[int, Any], limit: int
) -> None:
    store = open_memory(leaf_limit=limit, branch_limit=4)
    writer = store.begin(write=True)
    tree_id = writer.create_tree(TreeKind.TABLE)
    for key, value in before.items():
        writer.tree(tree_id).put(key, (value,))
    writer.commit()
    old = store.begin()
    writer = store.begin(write=True)
    tree = writer.tree(tree_id)
    for key in before.keys() - after.keys():
        tree.delete(key)
    for key, value in after.items():
        tree.put(key, (value,))
    found = difference(old.tree(tree_id).batches(), tree.batches())
    assert set(found.removed) == before.keys() - after.keys()
    assert set(found.added) == after.keys() - before.keys()
    for key, (was, now) in found.changed.items():
        assert (was, now) == ((before[key],), (after[key],))
    reverse(tree, found)
    assert repr(contents(tree)) == repr(dict(sorted((k, (v,)) for k, v in before.items())))


def test_unchanged_leaves_are_passed_over() -> None:
    store = open_memory()
    writer = store.begin(write=True)
    tree_id = writer.create_tree(TreeKind.TABLE)
    writer.tree(tree_id).load(list(range(20_000)), [(i,) for i in range(20_000)])
    writer.commit()
    old = store.begin()
    writer = store.begin(write=True)
    writer.tree(tree_id).put(777, ("new",))
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    found = difference(old.tree(tree_id).batches(), writer.tree(tree_id).batches(), count)
    assert found.changed == {777: ((777,), ("new",))} and len(found) == 1
    assert steps < 1000


def test_a_number_of_another_kind_is_a_change() -> None:
    assert difference(iter([([1], [(1,)])]), iter([([1], [(1.0,)])])).changed == {1: ((1,), (1.0,))}
    assert difference(None, iter([([1], [(1,)])])).added == {1: (1,)}


def test_columns_that_were_added_or_dropped_are_taken_back(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a")
    session = Session(store)
    history = UndoLog(store)

    def run(text: str) -> None:
        history.before(session)
        session.execute(text)
        history.after(session, text)

    def rows() -> list[Any]:
        return list(session.execute("SELECT * FROM t"))

    run("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    run(
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 9000) SELECT i, 'a' || i FROM n"
    )
    store.checkpoint()
    seen = [rows()]
    for statement in (
        "ALTER TABLE t ADD COLUMN b INT DEFAULT 7",
        "UPDATE t SET b = id WHERE id % 50 = 0",
        "ALTER TABLE t ADD COLUMN c TEXT",
        "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t ADD COLUMN d REAL DEFAULT 2",
    ):
        run(statement)
        seen.append(rows())
    while seen:
        assert rows() == seen.pop()
        fresh = open_store(tmp_path / "a")
        width = len(rows()[0])
        tree_id = max(fresh.begin().tree_ids())
        assert {len(row) for _, some in fresh.begin().tree(tree_id).batches() for row in some} == {
            width
        }
        fresh.close()
        if seen:
            history.undo(session)
    store.close()
