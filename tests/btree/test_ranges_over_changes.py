"""Ranges of a tree with changes over its nodes are those of a tree whose nodes have them."""

from __future__ import annotations

import random
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from btree import TreeKind, changed_keys, open_memory, open_store, waiting, waiting_columns
from btree.order import in_order
from btree.overlay import OverlaidTree
from btree.tree import Tree

Model = dict[Any, Any]


def some_key(kind: TreeKind, numbers: random.Random) -> Any:
    number = numbers.randrange(300)
    if kind is TreeKind.TABLE:
        return number
    # Values of several kinds, and equal ones of two types.
    first = numbers.choice(
        (None, number // 40, float(number // 40), f"{number // 40}", b"%d" % (number // 80))
    )
    return first, number


def put(tree: Any, model: Model, kind: TreeKind, key: Any, numbers: random.Random) -> None:
    value = True if kind is TreeKind.INDEX else (key, numbers.randrange(1000))
    tree.put(key, None if kind is TreeKind.INDEX else value)
    model.pop(key, None)
    model[key] = value


def plain(kind: TreeKind, model: Model) -> Tree:
    """A tree of the same content with nothing over its nodes."""
    store = open_memory(leaf_limit=1000)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(kind)
    tree = writing.tree(tree_id)
    for key, value in model.items():
        tree.put(key, None if kind is TreeKind.INDEX else value)
    writing.commit()
    found: Any = store.begin().tree(tree_id)
    found.settle()
    assert found.__class__ is Tree
    return found  # type: ignore[no-any-return]


def entries(tree: Any, *bounds: Any, **options: Any) -> list[Any]:
    found: list[Any] = []
    for keys, values in tree.batches(*bounds, **options):
        assert len(keys) > 0
        found += zip(map(typed, keys), values or [None] * len(keys), strict=True)
    return found


def typed(key: Any) -> Any:
    """A key that is told from an equal one of another type."""
    return repr(key)


def asked(tree: Any, kind: TreeKind, question: str, numbers: random.Random) -> Any:
    """The answer to one question with random details."""
    flag, other_flag = numbers.random() < 0.5, numbers.random() < 0.5
    count = numbers.choice((1, 2, 10))
    keys = [some_key(kind, numbers) for _ in range(3)]
    wide = numbers.random() < 0.3
    if question == "batches":
        lo, hi = (None if numbers.random() < 0.3 else key for key in keys[:2])
        if kind is not TreeKind.TABLE and wide:
            lo, hi = lo and lo[:1], hi and hi[:1]
        return entries(tree, lo, hi, lo_inclusive=flag, hi_inclusive=other_flag, reverse=count == 1)
    if question == "get_many":
        return tree.get_many([*keys, *(some_key(kind, numbers) for _ in range(40 if wide else 3))])
    if question == "ends":
        return tree.first(), tree.last(), len(tree), tree.count()
    if question == "columns":
        start, stop = sorted(keys[:2])
        if wide:
            start, stop = numbers.choice(((None, None), (start, None), (None, stop)))
        wanted = numbers.choice(((0,), (1, -1), (-1,), (-1, 0, 1)))
        found = tree.column_batches(wanted, start, stop, passing=flag, stored=other_flag)
        return [row for lists in found for row in zip(*lists, strict=True)]
    if kind is TreeKind.TABLE:
        start, stop = sorted(keys[:2])
        return tree.few_rows(
            None if flag else start, None if other_flag else stop, count, None, reverse=wide
        )
    if question == "rows_prefixed":
        width = 2 if wide else 1
        wanted = in_order({some_key(kind, numbers)[:width] for _ in range(30 if wide else 4)})
        return [[*map(typed, run)] for run in tree.rows_prefixed(wanted)]
    prefix = keys[0][: numbers.choice((1, 1, 2))]
    if question == "prefixed":
        return [*map(typed, tree.prefixed(prefix) or ())]
    if question in ("prefixed_many", "prefixes_present"):
        width = 2 if wide else 1
        wanted = in_order({some_key(kind, numbers)[:width] for _ in range(30 if wide else 4)})
        if question == "prefixes_present":
            return tree.prefixes_present(wanted)
        return [[*map(typed, run)] for run in tree.prefixed_many(wanted)]
    if question == "last_parts":
        return tree.last_parts(prefix)
    pick = itemgetter(1, 0) if other_flag else None
    if question == "following":
        start = () if wide else prefix
        found = tree.following(start, count, beyond=flag and bool(start), pick=pick)
    elif question == "preceding":
        end = () if wide else prefix
        found = tree.preceding(end, count, inclusive=flag or not end, pick=pick)
    else:
        found = tree.between(prefix, keys[1], lo_inclusive=flag, hi_inclusive=other_flag)
    return None if found is None else [*map(typed, found)]


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.INDEX, TreeKind.CLUSTERED])
@pytest.mark.parametrize("seed", range(12))
def test_ranges_have_the_changes_in_them(
    kind: TreeKind, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = random.Random(seed)
    for module, name, choices in (
        (waiting, "MET_MAX", (0, 2, 10**9, 10**9)),
        (waiting_columns, "_RANGE_MAX", (20, 1 << 15)),
        (waiting, "_FEW_MERGED", (0, 3, 32)),
        (waiting, "_FEW_ALONE", (1, 16)),
        (waiting, "_MANY_CHANGED", (0, 4)),
        (changed_keys, "LATELY_MAX", (1, 5, 64)),
        (changed_keys, "LATELY_SHARE", (2, 32)),
        (changed_keys, "_FEW_FRESH", (0, 8)),
        (changed_keys, "_NEAR", (1, 16)),
        (changed_keys, "_SHORT", (0, 64)),
        (changed_keys, "_FEW_ALIKE", (0, 16)),
    ):
        monkeypatch.setattr(module, name, numbers.choice(choices))
    store: Any = open_store(tmp_path / "a.db", durability="off", page_bytes=512)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(kind)
    model: Model = {}
    for _ in range(numbers.choice((0, 30, 200))):
        put(writing.tree(tree_id), model, kind, some_key(kind, numbers), numbers)
    writing.commit()
    store.checkpoint()
    questions = ["batches", "get_many", "ends"]
    if kind is TreeKind.TABLE:
        questions += ["few_rows", "columns"]
    elif kind is TreeKind.CLUSTERED:
        questions.append("rows_prefixed")
    elif kind is TreeKind.INDEX:
        questions += [
            "prefixed",
            "prefixed_many",
            "prefixes_present",
            "last_parts",
            "following",
            "preceding",
            "between",
        ]
    overlaid = answered = 0
    for _ in range(30):
        writing = store.begin(write=True)
        for _ in range(numbers.choice((1, 1, 3, 40))):
            key = some_key(kind, numbers)
            if numbers.random() < 0.4:
                assert writing.tree(tree_id).delete(key) == (model.pop(key, None) is not None)
            else:
                put(writing.tree(tree_id), model, kind, key, numbers)
        expected = plain(kind, model)
        reads_own = numbers.random() < 0.5
        if not reads_own:
            writing.commit()
        reading = writing if reads_own else store.begin()
        for _ in range(12):
            question, state = numbers.choice(questions), numbers.getstate()
            found = asked(reading.tree(tree_id), kind, question, numbers)
            overlaid += reading.tree(tree_id).__class__ is OverlaidTree
            numbers.setstate(state)
            wanted = asked(expected, kind, question, numbers)
            if question in ("between", "few_rows") and (found is None or wanted is None):
                continue  # it may go on in other leaves
            answered += 1
            assert found == wanted, question
        if reads_own:
            writing.commit()
        reading.rollback()
    assert waiting.MET_MAX < 10**9 or overlaid > 20
    assert answered > 250
    store.close()


def test_a_range_that_was_begun_goes_on_as_it_was(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "a.db", durability="off", page_bytes=512)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    for key in range(0, 400, 2):
        writing.tree(tree_id).put(key, (key,))
    writing.commit()
    writing = store.begin(write=True)
    writing.tree(tree_id).put(101, (101,))
    writing.commit()
    reading = store.begin()
    begun = reading.tree(tree_id).batches(50)
    seen = list(zip(*next(begun), strict=True))
    for key in (51, 101, 103, 399, 500):
        writing = store.begin(write=True)
        writing.tree(tree_id).put(key, (-key,))
        assert next(writing.tree(tree_id).batches(key)) == ([key], [(-key,)]) or key != 500
        writing.commit()
    assert [*map(reading.tree(tree_id).get, (51, 101))] == [None, (101,)]
    assert entries(reading.tree(tree_id), 99, 104) == [
        (repr(key), (key,)) for key in (100, 101, 102)
    ]
    reading.rollback()
    seen += [entry for keys, values in begun for entry in zip(keys, values, strict=True)]
    keys = [*range(50, 101, 2), 101, *range(102, 400, 2)]
    assert seen == [(key, (key,)) for key in keys]
    store.close()


def test_a_scan_by_column_that_was_begun_goes_on_as_it_was(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "a.db", durability="off", page_bytes=512)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    for key in range(0, 4000, 2):
        writing.tree(tree_id).put(key, (key,))
    writing.commit()
    store.checkpoint()
    writing = store.begin(write=True)
    tree = writing.tree(tree_id)
    tree.put(2001, (2001,))
    tree.put(5000, (5000,))
    expected = sorted([*range(1000, 4000, 2), 2001, 5000])
    begun = tree.column_batches((0, -1), 1000)
    seen = list(zip(*next(begun), strict=True))
    for key in (1001, 2001, 3999, 5000, 5001):
        tree.put(key, (-key,))
    tree.delete(3000)
    seen += [row for lists in begun for row in zip(*lists, strict=True)]
    assert seen == [(key, key) for key in expected]
    assert tree.__class__ is OverlaidTree
    after = [n for lists in tree.column_batches((0,), 2990) for n in lists[0]]
    assert after == [*range(2990, 3000, 2), *range(3002, 4000, 2), -3999, -5000, -5001]
    writing.rollback()
    store.close()
