"""Rows by key in trees that nobody has opened: the same as through the trees, whatever comes between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btree import ReadOnlyError, TreeKind, open_memory, open_store
from btree.overlay import OWN_MAX, OverlaidTree
from btree.row_access import UNOPENED_MAX
from btree.tree import Tree

Model = dict[int, dict[int, tuple[Any, ...]]]


@pytest.fixture(params=["disk", "small cache", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        made = open_memory()
    else:
        cache_bytes = 1 << 16 if request.param == "small cache" else 1 << 26
        made = open_store(tmp_path / "db", cache_bytes=cache_bytes)
    yield made
    assert made.check() == []
    made.close()


def tables(store: Any, model: Model, count: int) -> list[int]:
    """Trees of so many rows each, and two that are empty."""
    writing = store.begin(write=True)
    made = [writing.create_tree(TreeKind.TABLE) for _ in range(4)]
    for tree_id in made[:2]:
        model[tree_id] = {key: (key, "row") for key in range(0, 3 * count, 3)}
        writing.tree(tree_id).load(list(model[tree_id]), list(model[tree_id].values()))
    for tree_id in made[2:]:
        model[tree_id] = {}
    writing.commit()
    return made


def content(transaction: Any, tree_id: int) -> dict[int, Any]:
    return {
        key: row
        for keys, rows in transaction.tree(tree_id).batches()
        for key, row in zip(keys, rows, strict=True)
    }


def assert_same(transaction: Any, model: Model) -> None:
    for tree_id, rows in model.items():
        found = content(transaction, tree_id)
        assert found == rows
        assert [*found] == sorted(found)
        assert len(transaction.tree(tree_id)) == len(rows)


def change(rng: random.Random, transaction: Any, tree_id: int, rows: dict[int, Any]) -> None:
    """One change, or look, by key."""
    key = rng.choice([rng.randrange(1000), *([rng.choice([*rows])] if rows else [])])
    row = (rng.random(), "new")
    match rng.randrange(6):
        case 0:
            transaction.put_row(tree_id, key, row)
            rows[key] = row
        case 1:
            assert transaction.insert_row(tree_id, key, row) is (key not in rows)
            rows.setdefault(key, row)
        case 2 if key in rows and rng.random() < 0.5:
            transaction.remove_row(tree_id, key)
            del rows[key]
        case 2:
            assert transaction.delete_row(tree_id, key) is (rows.pop(key, None) is not None)
        case 3:
            fresh = transaction.next_rowid(tree_id)
            assert fresh == max(rows, default=0) + 1
            transaction.put_row(tree_id, fresh, row)
            rows[fresh] = row
        case _:
            assert transaction.row(tree_id, key) == rows.get(key)


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_what_a_model_of_them_is(store: Any, seed: int) -> None:
    """Changes by key, with trees opened, savepoints, rollbacks, commits and readers of before between them."""
    rng = random.Random(seed)
    model: Model = {}
    ids = tables(store, model, rng.choice([3, 400]))
    for _ in range(25):
        reading, before = store.begin(), {tree_id: dict(rows) for tree_id, rows in model.items()}
        writing = store.begin(write=True)
        now = {tree_id: dict(rows) for tree_id, rows in model.items()}
        marks: list[tuple[Any, Model]] = []
        for _ in range(rng.choice([1, 3, 40])):
            tree_id = rng.choice(ids)
            match rng.randrange(14):
                case 0:
                    marks.append((writing.savepoint(), {k: dict(v) for k, v in now.items()}))
                case 1 if marks:
                    at = rng.randrange(len(marks))
                    del marks[at + 1 :]
                    writing.rollback_to(marks[at][0])
                    now = {k: dict(v) for k, v in marks[at][1].items()}
                case 2 if marks:
                    writing.release(marks.pop()[0])
                case 3:
                    assert content(writing, tree_id) == now[tree_id]
                case 4:
                    assert len(writing.tree(tree_id)) == len(now[tree_id])
                case _:
                    change(rng, writing, tree_id, now[tree_id])
        if rng.random() < 0.2:
            assert_same(writing, now)
        if rng.random() < 0.8:
            writing.commit()
            model = now
        else:
            writing.rollback()
        assert_same(reading, before)
        reading.rollback()
        after = store.begin()
        assert_same(after, model)
        after.rollback()


def test_row_ids_after_a_rollback_do_not_follow_those_given_before_it(store: Any) -> None:
    model: Model = {}
    tree_id = tables(store, model, 5)[0]
    writing = store.begin(write=True)
    assert writing.next_rowid(tree_id) == 13  # now the tree's last key is known
    writing.commit()
    writing = store.begin(write=True)
    savepoint = writing.savepoint()
    for rowid in (13, 14, 15):
        assert writing.next_rowid(tree_id) == rowid
        writing.put_row(tree_id, rowid, ("gone",))
    assert not writing.open_trees or store.path is None
    writing.rollback_to(savepoint)
    for rowid in (15, 40, 30):
        writing.put_row(tree_id, rowid, ("kept",))
    assert writing.next_rowid(tree_id) == 41
    writing.delete_row(tree_id, 40)
    assert writing.next_rowid(tree_id) == 31
    writing.put_row(tree_id, 31, ("kept",))
    assert writing.next_rowid(tree_id) == 32
    writing.rollback()


def test_changes_of_unopened_trees_outlive_the_process(tmp_path: Path) -> None:
    model: Model = {}
    with_store = open_store(tmp_path / "db")
    ids = tables(with_store, model, 50)
    for number in range(20):
        writing = with_store.begin(write=True)
        for tree_id in ids:
            writing.put_row(tree_id, number, (number,))
            model[tree_id][number] = (number,)
        assert writing.delete_row(ids[0], 3 * number + 60)
        del model[ids[0]][3 * number + 60]
        assert not writing.open_trees
        writing.commit()
    with_store.close()
    again = open_store(tmp_path / "db")
    assert_same(again.begin(), model)
    assert again.check() == []
    again.close()


@pytest.mark.parametrize("size", [10, 10_000])
def test_more_rows_than_are_held_apart_go_to_the_tree(store: Any, size: int) -> None:
    """Long ones sooner than short ones."""
    model: Model = {}
    tree_id = tables(store, model, 10)[0]
    writing = store.begin(write=True)
    for key in range(UNOPENED_MAX if size == 10 else 4 * OWN_MAX):
        row = ("x" * size, key)
        writing.put_row(tree_id, 1000 + key, row)
        model[tree_id][1000 + key] = row
    is_roomy = writing.held_max > 1 << 24
    assert (tree_id in writing.open_trees) is (size != 10 or not is_roomy)
    writing.put_row(tree_id, 1000 + UNOPENED_MAX, row)
    model[tree_id][1000 + UNOPENED_MAX] = row
    assert tree_id in writing.open_trees and not writing.row_changes
    writing.commit()
    assert_same(store.begin(), model)


def test_changes_that_are_many_go_to_the_leaves_as_the_tree_is_opened(store: Any) -> None:
    """Those behind all others; those that lie all over a tree go on lying over it."""
    model: Model = {}
    tree_id, other = tables(store, model, 20_000)[:2]
    writing = store.begin(write=True)
    for number in range(2 * OWN_MAX):
        writing.put_row(tree_id, 100_000 + number, (number,))
        writing.put_row(other, 3 * 37 * number, (number,))
        model[tree_id][100_000 + number] = model[other][3 * 37 * number] = (number,)
    behind, over = writing.tree(tree_id), writing.tree(other)
    assert behind.__class__ is Tree and over.__class__ is OverlaidTree
    assert_same(writing, model)
    writing.commit()
    assert_same(store.begin(), model)


def test_who_may_not_write_writes_no_rows(store: Any) -> None:
    tree_id = tables(store, {}, 10)[0]
    writing = store.begin(write=True)
    writing.put_row(tree_id, 3, (1,))
    writing.commit()
    for transaction in (store.begin(), writing):
        for attempt in (
            lambda by=transaction: by.put_row(tree_id, 3, (0,)),
            lambda by=transaction: by.insert_row(tree_id, 4, (0,)),
            lambda by=transaction: by.delete_row(tree_id, 3),
        ):
            with pytest.raises(ReadOnlyError):
                attempt()
    assert store.begin().row(tree_id, 3) == (1,)


def test_a_reader_that_became_the_writer_sees_its_rows_in_every_way(store: Any) -> None:
    model: Model = {}
    tree_id, other = tables(store, model, 10)[:2]
    transaction = store.begin()
    assert transaction.row(tree_id, 3) == (3, "row")
    transaction.upgrade()
    transaction.put_row(tree_id, 3, (1,))
    transaction.put_row(other, 3, (2,))
    assert transaction.tree(tree_id).get(3) == (1,) and transaction.tree(other).get(3) == (2,)
    transaction.commit()
    assert store.begin().row(other, 3) == (2,)


def test_the_row_id_after_the_largest_is_none(store: Any) -> None:
    tree_id = tables(store, {}, 10)[0]
    writing = store.begin(write=True)
    writing.put_row(tree_id, (1 << 63) - 1, ())
    assert writing.next_rowid(tree_id) is None
    writing.commit()
    writing = store.begin(write=True)
    assert writing.next_rowid(tree_id) is None
    writing.rollback()


@pytest.mark.parametrize("seed", range(6))
def test_entries_of_an_index_are_what_a_model_of_them_is(store: Any, seed: int) -> None:
    """By how they begin, of which there is one at most; with trees opened, savepoints and rollbacks between them."""
    rng = random.Random(seed)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.INDEX)
    model = {key: key + 1 for key in range(0, rng.choice([30, 9000]), 3)}
    writing.tree(tree_id).load(list(model.items()))
    writing.commit()
    for _ in range(30):
        writing, now = store.begin(write=True), dict(model)
        marks: list[tuple[Any, dict[int, int]]] = []
        for _ in range(rng.choice([1, 3, 40, 400])):
            key: Any = rng.choice([rng.randrange(9100), rng.choice([*now, 1])])
            match rng.randrange(40):
                case 0:
                    marks.append((writing.savepoint(), dict(now)))
                case 1 if marks:
                    at = rng.randrange(len(marks))
                    del marks[at + 1 :]
                    writing.rollback_to(marks[at][0])
                    now = dict(marks[at][1])
                case 2:
                    assert [*writing.tree(tree_id).batches()] or not now
                case kind:
                    found = writing.entry_with(tree_id, (key,))
                    assert found == ((key, now[key]) if key in now else ())
                    if kind < 15:
                        if found:
                            writing.remove_entry(tree_id, found, 1)
                        now[key] = rng.randrange(1000)
                        # 1 and 1.0 are one key, and what was put last stays.
                        given = float(key) if rng.random() < 0.1 else key
                        writing.put_entry(tree_id, (given, now[key]), 1)
                    elif kind < 25 and found:
                        writing.remove_entry(tree_id, found, 1)
                        del now[key]
        if rng.random() < 0.8:
            writing.commit()
            model = now
        else:
            writing.rollback()
        reading = store.begin()
        some = rng.sample(range(9100), 20)
        found = [reading.entry_with(tree_id, (key,)) for key in some]
        assert found == [(key, model[key]) if key in model else () for key in some]
        entries = [key for keys, _ in reading.tree(tree_id).batches() for key in keys]
        assert entries == sorted(model.items())
        reading.rollback()


def test_an_entry_put_again_under_an_equal_key_is_the_new_one(store: Any) -> None:
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.INDEX)
    writing.commit()
    writing = store.begin(write=True)
    writing.put_entry(tree_id, (1.0, 5), 1)
    writing.remove_entry(tree_id, (1.0, 5), 1)
    writing.put_entry(tree_id, (1, 5), 1)
    assert tree_id not in writing.open_trees
    writing.commit()
    reading = store.begin()
    assert [repr(key) for keys, _ in reading.tree(tree_id).batches() for key in keys] == ["(1, 5)"]
    reading.rollback()
