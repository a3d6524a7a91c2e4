"""Tables made at once by column: against the rows that they were made of."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from btree import TreeKind, open_memory
from btree.check import check_transaction
from btree.disk import DiskStore
from tests.btree.fake_pages import FakePages, drawn_limits


def _value(draw: Random, kind: int) -> Any:
    match kind:
        case 0:
            return draw.randrange(-100, 1 << draw.choice([3, 40]))
        case 1:
            return draw.random()
        case 2:
            return draw.choice([None, 1, 2.5, "text", b"\x00"])
        case 3:
            return "x" * draw.choice([0, 5, 5, 5, 300])
        case _:
            return "long " * 1000 if draw.random() < 0.01 else "short"


def _parts(draw: Random, count: int) -> tuple[list[Any], list[list[Any]], list[Any]]:
    """Keys and columns, and both in parts."""
    gap = draw.choice([1, 1, 3, 100_000])
    keys: Any = range(1, count * gap + 1, gap)
    if draw.random() < 0.3:
        keys = sorted(draw.sample(range(-(10**6), 10**6), count))
    kinds = [draw.randrange(5) for _ in range(draw.randrange(1, 5))]
    columns = [[_value(draw, kind) for _ in keys] for kind in kinds]
    parts, start = [], 0
    while start < count:
        end = start + draw.choice([1, 7, 500])
        parts.append((keys[start:end], [column[start:end] for column in columns]))
        start = end
    return list(keys), columns, parts


@pytest.mark.parametrize("seed", range(40))
def test_a_tree_has_the_rows_that_it_was_built_of(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Random(seed)
    monkeypatch.setattr("btree.build.ROWS_IN_MEMORY", draw.choice([300, 300, 1 << 12]))
    file, options = drawn_limits(draw)
    in_file = draw.random() < 0.8
    store: Any = DiskStore(FakePages(file), "x", **options) if in_file else open_memory()  # type: ignore[arg-type]
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    if draw.random() < 0.5:
        writing.commit()
        writing = store.begin(write=True)
    keys, columns, parts = _parts(draw, draw.choice([0, 1, 5, 90, 3000]))
    savepoint = writing.savepoint()
    if draw.random() < 0.3:  # one that fails, and is rolled back

        def failing() -> Any:
            yield from parts[: len(parts) // 2]
            raise ValueError

        with pytest.raises(ValueError):
            writing.tree(tree_id).build_rows(failing())
        writing.rollback_to(savepoint)
        assert len(writing.tree(tree_id)) == 0
    writing.tree(tree_id).build_rows(iter(parts))
    expected = list(zip(keys, zip(*columns, strict=True), strict=True))

    def same(transaction: Any, *, committed: bool = True) -> None:
        tree = transaction.tree(tree_id)
        found = [pair for some in tree.batches() for pair in zip(*some, strict=True)]
        assert repr(found) == repr(expected)
        assert len(tree) == len(expected)
        assert not committed or check_transaction(transaction) == []

    same(writing, committed=False)
    writing.commit()
    if in_file:
        store.checkpoint()
        store = DiskStore(FakePages(file), "x", **options)  # type: ignore[arg-type]
    same(store.begin())
    writing = store.begin(write=True)
    for key in keys[::3]:
        assert writing.tree(tree_id).delete(key)
    writing.commit()
    expected = [pair for place, pair in enumerate(expected) if place % 3]
    same(store.begin())
