"""Many look-ups at once give what single ones give, in trees of every shape."""

from __future__ import annotations

import random
from typing import Any

import pytest

from btree import TreeKind, open_memory, open_store
from btree.order import MAX, order_key


def _filled(kind: TreeKind, entries: dict[Any, Any], leaf_limit: int) -> Any:
    transaction = open_memory(leaf_limit=leaf_limit).begin(write=True)
    tree = transaction.tree(transaction.create_tree(kind))
    for key, value in entries.items():
        tree.put(key, value)
    return tree


@pytest.mark.parametrize("leaf_limit", [4, 16, 2000])
@pytest.mark.parametrize("step", [1, 3])
def test_values_of_many_rowids(leaf_limit: int, step: int) -> None:
    rng = random.Random(leaf_limit)
    keys = [*range(-50, 900, step), *range(5000, 5100)]
    tree = _filled(TreeKind.TABLE, {key: (key, str(key)) for key in keys}, leaf_limit)
    for count in (0, 1, 3, 10, 400, 3000):
        wanted: list[Any] = [rng.randrange(-100, 5200) for _ in range(count)]
        expected = [tree.get(key) for key in wanted]
        assert tree.get_many(wanted) == expected
        wanted.sort()
        assert tree.get_many(wanted) == [tree.get(key) for key in wanted]
    mixed = [5, None, 7.0, 2**70, -3.5, 7, 7]
    assert tree.get_many(mixed) == [tree.get(key) for key in mixed]


def test_rowids_with_gaps_between_leaves_of_dense_numbers() -> None:
    keys = [number for number in range(400) if number % 40 < 20]
    tree = _filled(TreeKind.TABLE, {key: (key,) for key in keys}, 10)
    wanted = list(range(-5, 410))
    assert tree.get_many(wanted) == [tree.get(key) for key in wanted]


@pytest.mark.parametrize("packed", [False, True])
def test_neighbours_are_taken_from_one_leaf_and_from_two(packed: bool, tmp_path: Any) -> None:
    present = [number for number in range(3000) if number % 50 > 3]
    store = open_store(tmp_path / "db", durability="off")
    transaction = store.begin(write=True)
    number = transaction.create_tree(TreeKind.TABLE)
    for key in present:
        transaction.tree(number).put(key, (key, str(key), None if key % 3 else 0.5))
    transaction.commit()
    store.close()
    store = open_store(tmp_path / "db", durability="off")
    rows = {key: (key, str(key), None if key % 3 else 0.5) for key in present}
    reader = store.begin(write=False)
    tree = reader.tree(number)
    if not packed:
        assert sum(len(keys) for keys, _ in tree.batches()) == len(present)
    for start in range(-3, 3010):
        for count in (1, 2, 3, 9):
            wanted: list[Any] = list(range(start, start + count))
            assert tree.get_many(wanted) == [rows.get(key) for key in wanted]
        for wanted in (
            [start, start + 2, start + 1, start + 3],  # no run, though its ends say so
            [start + 4, start, start + 2999, start],
            [start, None, start + 1, 7.5, float(start)],
            [*range(start, start + 80, 2)],
        ):
            assert tree.get_many(wanted) == [rows.get(key) for key in wanted]
    reader.rollback()
    store.close()


@pytest.mark.parametrize("leaf_limit", [4, 16, 2000])
def test_keys_of_many_prefixes(leaf_limit: int) -> None:
    rng = random.Random(leaf_limit)
    entries = {}
    for _ in range(1500):
        value = rng.choice([None, rng.randrange(40), rng.randrange(900), "t", "tea", 2.5, b"b"])
        entries[(value, rng.choice("ab"), rng.randrange(10_000))] = None
    entries |= {(7, "a", 20_000 + number): None for number in range(100)}
    tree = _filled(TreeKind.INDEX, entries, leaf_limit)
    ordered = sorted(entries, key=order_key)
    singles = sorted({(key[0],) for key in entries} | {(-5,), (3.5,), ("te",)}, key=order_key)
    pairs = sorted({key[:2] for key in entries} | {(7, ""), (7, "z")}, key=order_key)
    for prefixes in (singles, pairs, [(7,)], [], pairs[-1:], ordered):
        found = tree.prefixed_many(prefixes)
        width = len(prefixes[0]) if prefixes else 0
        groups: dict[Any, list[Any]] = {}
        for key in ordered:
            groups.setdefault(order_key(key[:width]), []).append(key)
        assert found == [groups.get(order_key(prefix), []) for prefix in prefixes]
        assert tree.prefixes_present(prefixes) == [*map(bool, found)]
        assert found == [
            [key for keys, _ in tree.batches(p, p, hi_inclusive=True) for key in keys]
            for p in prefixes
        ]


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("kinds", [(), (None, "t", 2.5, b"b")])
def test_rows_of_many_prefixes(
    tmp_path: Any, on_disk: bool, long: bool, kinds: tuple[Any, ...]
) -> None:
    """Found in one walk, of leaves that are in memory and of those that are not, beside long values too."""
    rng = random.Random(len(kinds))
    entries: dict[Any, Any] = {}
    for number in range(4000):
        key = (rng.choice([rng.randrange(900), *kinds]), rng.choice("ab"), number)
        entries[key] = (*key, "x" * (20_000 if long and not number % 97 else 5))
    entries |= {(7, "a", 20_000 + number): (7, "a", number, "y") for number in range(100)}
    store = open_store(str(tmp_path / "rows.db")) if on_disk else open_memory(leaf_limit=16)
    writer = store.begin(write=True)
    number = writer.create_tree(TreeKind.CLUSTERED)
    ordered = sorted(entries, key=order_key)
    writer.tree(number).load(ordered, [entries[key] for key in ordered])
    writer.commit()
    if on_disk:
        store.close()
        store = open_store(str(tmp_path / "rows.db"))
    tree = store.begin().tree(number)
    singles = sorted({key[:1] for key in ordered} | {(-5,), (3.5,), (901,)}, key=order_key)
    pairs = sorted({key[:2] for key in ordered} | {(7, ""), (7, "z")}, key=order_key)
    for prefixes in (singles[::9], singles, pairs, singles[5:200:40], [(7,)], [], pairs[-1:]):
        width = len(prefixes[0]) if prefixes else 0
        groups: dict[Any, list[Any]] = {}
        for key in ordered:
            groups.setdefault(order_key(key[:width]), []).append(entries[key])
        expected = [groups.get(order_key(prefix), []) for prefix in prefixes]
        assert tree.rows_prefixed(prefixes) == expected
        first = [[row[:3] for row in rows] for rows in tree.rows_prefixed(prefixes, (0, 1, 2))]
        assert first == [[row[:3] for row in rows] for rows in expected]
    store.close()


def test_many_lookups_read_each_leaf_once(tmp_path: Any) -> None:
    store = open_store(str(tmp_path / "many.db"))
    with_writes = store.begin(write=True)
    number = with_writes.create_tree(TreeKind.TABLE)
    large = with_writes.create_tree(TreeKind.TABLE)
    with_writes.tree(number).load(list(range(20_000)), [(key, "x" * 20) for key in range(20_000)])
    with_writes.tree(large).load(list(range(300)), [(b"x" * (key * 300),) for key in range(300)])
    with_writes.commit()
    store.close()
    store = open_store(str(tmp_path / "many.db"))
    transaction = store.begin()
    tree = transaction.tree(number)
    wanted = list(range(3, 20_000, 2))
    assert tree.get_many(wanted[::-1]) == [(key, "x" * 20) for key in wanted[::-1]]
    leaves = sum(1 for _ in tree.batches())
    before = tree.pages_read
    tree.get_many(wanted)
    assert leaves <= tree.pages_read - before <= leaves * 1.2 + 5
    values = transaction.tree(large).get_many(list(range(300)))
    assert values == [(b"x" * (key * 300),) for key in range(300)]
    transaction.rollback()
    store.close()


def test_the_keys_that_follow_are_those_of_one_leaf_or_nothing_is_said() -> None:
    keys = [(number // 3, number) for number in range(300)]
    tree = _filled(TreeKind.INDEX, dict.fromkeys(keys), 16)
    said = 0
    assert tree.following((5,), 2, beyond=True) == [key for key in keys if key[0] > 5][:2]
    for start in [(), (5,), (5, 16), (5, MAX), (99, 299), (200,), *keys[::7]]:
        expected = [key for key in keys if key >= start][:4]
        found = tree.following(start, 4)
        assert found is None or found == expected
        said += found is not None
    assert said > 20
    assert tree.following((None,), 2) == keys[:2]


@pytest.mark.parametrize("on_disk", [False, True])
def test_many_prefixes_beyond_the_last_key_are_told_by_the_last_leaf(
    tmp_path: Any, on_disk: bool
) -> None:
    store = open_store(str(tmp_path / "ends.db")) if on_disk else open_memory(leaf_limit=16)
    writer = store.begin(write=True)
    number = writer.create_tree(TreeKind.INDEX)
    tree = writer.tree(number)
    for value in range(0, 3000, 3):
        tree.put((value // 30, value))
    for value in range(40):
        tree.put((99, 5000 + value))
    writer.commit()
    if on_disk:
        store.close()
        store = open_store(str(tmp_path / "ends.db"))
    tree = store.begin().tree(number)
    whole = [key for keys, _ in tree.batches() for key in keys]
    for prefixes in (
        [(value,) for value in range(-3, 400)],
        [(value,) for value in range(97, 105)],
        [(99,)],
        [(100,), (101,)],
    ):
        expected = [[key for key in whole if key[:1] == prefix] for prefix in prefixes]
        assert tree.prefixed_many(prefixes) == expected
        assert tree.prefixes_present(prefixes) == [*map(bool, expected)]


@pytest.mark.parametrize("on_disk", [False, True])
def test_prefixes_that_are_not_there_find_nothing_beside_keys_of_other_kinds(
    tmp_path: Any, on_disk: bool
) -> None:
    store = open_store(str(tmp_path / "kinds.db")) if on_disk else open_memory(leaf_limit=16)
    writer = store.begin(write=True)
    number = writer.create_tree(TreeKind.INDEX)
    values: list[Any] = [*range(0, 6000, 2), "", "12", "abc", b"", b"ab"]
    for place, value in enumerate(values):
        writer.tree(number).put((value, place))
    writer.commit()
    if on_disk:
        store.close()
        store = open_store(str(tmp_path / "kinds.db"))
    tree = store.begin().tree(number)
    for wanted in (
        [*range(5980, 6001)],
        [5995, 5997, "1", "12", "13", b"a", b"ab", b"b"],
        [5, 5993, "", "b", b""],
        [*range(0, 7000, 3), "12", "x", b"zz"],
    ):
        found = tree.prefixed_many([(value,) for value in wanted])
        there = dict(zip(values, range(len(values)), strict=True))
        assert found == [[(v, there[v])] if v in there else [] for v in wanted]
        present = tree.prefixes_present([(value,) for value in wanted])
        assert present == [v in there for v in wanted]
    store.close()


@pytest.mark.parametrize("kinds", ["numbers", "texts and NULLs", "runs"])
def test_prefixes_that_are_far_apart_are_looked_up_one_by_one(kinds: str, tmp_path: Any) -> None:
    store = open_store(str(tmp_path / "apart.db"), page_bytes=512)
    writer = store.begin(write=True)
    number = writer.create_tree(TreeKind.INDEX)
    draw = random.Random(3)
    entries = {(draw.randrange(60_000), draw.choice("abc"), at) for at in range(20_000)}
    if kinds == "texts and NULLs":
        entries |= {(draw.choice([None, 2.5, "t", "u"]), "a", at) for at in range(2000)}
    elif kinds == "runs":
        entries |= {(draw.randrange(0, 60_000, 5000), "d", at) for at in range(3000)}
    keys = sorted(entries, key=order_key)
    writer.tree(number).load(keys)
    writer.commit()
    store.close()
    store = open_store(str(tmp_path / "apart.db"), page_bytes=512)
    tree = store.begin().tree(number)
    for _ in range(3):  # pages, then leaves that are kept packed
        for some in (2, 9, 60):
            wanted = sorted(
                {(draw.randrange(-9, 60_020),) for _ in range(some)} | {(5000,), (30_000,)}
            )
            expected: dict[Any, list[Any]] = {prefix: [] for prefix in wanted}
            for key in keys:
                if key[:1] in expected:
                    expected[key[:1]].append(key)
            assert tree.prefixes_present(wanted) == [*map(bool, expected.values())]
            assert tree.prefixed_many(wanted) == [*expected.values()]
    store.close()


def _of_many_branches(kind: TreeKind, entries: dict[Any, Any]) -> Any:
    """A committed tree whose neighbouring leaves often lie below different branches."""
    store = open_memory(leaf_limit=4, branch_limit=4)
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(kind)
    transaction.tree(tree_id).load(
        [*entries], [*entries.values()] if any(entries.values()) else None
    )
    transaction.commit()
    return store.begin().tree(tree_id)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_few_rows_are_all_that_there_are_where_branches_end(reverse: bool) -> None:
    keys = range(0, 300, 3)
    tree = _of_many_branches(TreeKind.TABLE, {key: (key,) for key in keys})
    several = 0
    for start in (None, *range(-1, 300, 7)):
        for stop in (None, *range(0, 305, 11)):
            there = keys[0 if start is None else -(-max(start, 0) // 3) :]
            rows = [(key,) for key in there if stop is None or key < stop]
            for count in (1, 5, 9, 14):
                wanted = rows[::-1][:count] if reverse else rows[:count]
                found = tree.few_rows(start, stop, count, None, reverse=reverse)
                assert found is None or found == wanted
                several += found is not None and len(found) > 4
    assert several > 100


def test_a_few_keys_are_neighbours_where_branches_end() -> None:
    keys = [(number // 5, number) for number in range(300)]
    tree = _of_many_branches(TreeKind.INDEX, dict.fromkeys(keys))
    for place in range(0, 300, 7):
        for bound in (keys[place], keys[place][:1]):
            first = next(at for at, key in enumerate(keys) if key >= bound)
            last = next((at for at, key in enumerate(keys) if key[: len(bound)] > bound), 300)
            for count in (1, 5, 9, 14, 40):
                for beyond in (False, True):
                    behind = keys[last if beyond else first :][:count]
                    found = tree.following(bound, count, beyond=beyond)
                    assert found == (behind if len(behind) == count else None)
                    before = keys[: last if beyond else first][::-1][:count]
                    found = tree.preceding(bound, count, inclusive=beyond)
                    assert found == (before if len(before) == count else None)
