"""Rows that were asked for lately."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from btree import TreeKind, open_store
from btree.hot import Hot


def test_rows_take_no_more_than_their_budget() -> None:
    hot = Hot(100_000)
    rows = hot.of(7, mark := object())
    for key in range(10_000):
        rows.keep(key, (key, "text"))
        assert hot.bytes <= 100_000
    assert 100 < len(rows.rows) < 1000
    assert hot.of(7, mark) is rows
    others = hot.of(8, object())
    for key in range(10_000):
        others.keep(key, (key, "text" * 100))
        assert hot.bytes <= 100_000
    assert len(others.rows) < 200


def test_readers_of_an_older_state_keep_few() -> None:
    hot = Hot(100_000)
    older = hot.of(7, object())
    for key in range(100):
        older.keep(key, (key,))
    newer = hot.of(7, object())
    assert newer is not older
    assert not older.rows
    assert hot.bytes == 0
    newer.keep(1, (1,))
    held = hot.bytes
    for key in range(1000):
        older.keep(key, (key,))
        assert len(older.rows) <= 32
    assert hot.bytes == held


def test_versions_and_writers_do_not_share(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "db", durability="off")
    writing = store.begin(write=True)
    number = writing.create_tree(TreeKind.TABLE)
    tree = writing.tree(number)
    tree.load([*range(2000)], [(at, "text") for at in range(2000)])
    assert tree.hot_rows() is None
    writing.commit()
    first = store.begin().tree(number)
    hot = first.hot_rows()
    assert hot is not None
    assert store.begin().tree(number).hot_rows() is hot
    writing = store.begin(write=True)
    writing.tree(number).load([*range(1000)], [(at, "changed") for at in range(1000)])
    writing.commit()
    second = store.begin().tree(number)
    assert second.hot_rows() is not hot
    assert first.get(5) == (5, "text")
    assert second.get(5) == (5, "changed")
    store.close()


def test_single_changes_leave_the_rows_below_them(tmp_path: Path) -> None:
    """What lies over the nodes is never found among the hot rows, nor kept there, whoever reads."""
    store: Any = open_store(tmp_path / "db", durability="off")
    writing = store.begin(write=True)
    number = writing.create_tree(TreeKind.TABLE)
    writing.tree(number).load([*range(2000)], [(at, "text") for at in range(2000)])
    writing.commit()
    older = store.begin().tree(number)
    below = older.hot_rows()
    for at in range(10):
        below.keeper(at, older.get(at))
    writing = store.begin(write=True)
    changing = writing.tree(number)
    assert changing.hot_rows() is None
    changing.put(3, (3, "changed"))
    changing.delete(4)
    changing.put(5000, (5000, "new"))
    writing.commit()
    newer = store.begin().tree(number)
    hot = newer.hot_rows()
    assert hot.finder(2) is older.get(2)
    for at in (3, 4, 5000):
        assert hot.finder(at) is None
        hot.keeper(at, (at, "not to be kept"))
        assert hot.finder(at) is None
    assert [newer.get(at) for at in (3, 4, 5000)] == [(3, "changed"), None, (5000, "new")]
    assert older.hot_rows().finder(3) == (3, "text")  # as of its own commit
    hot.keeper(20, newer.get(20))
    assert below.rows[20] == (20, "text")
    store.close()
