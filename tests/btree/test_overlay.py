"""Changes that lie over a tree's nodes: every reader sees its own commit's, whoever settles them when."""

from __future__ import annotations

import random
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from btree import ReadOnlyError, TreeKind, open_memory, open_store, order_key, tree_state
from btree import disk as disk_module
from btree import memory as memory_module
from btree.overlay import OWN_MAX, OverlaidTree
from btree.waiting import MET_MAX
from tests.threads import beside

Model = dict[Any, Any]


def filled(store: Any, kind: TreeKind, model: Model) -> int:
    writing = store.begin(write=True)
    tree_id: int = writing.create_tree(kind)
    keys = sorted(model, key=order_key)
    writing.tree(tree_id).load(keys, [model[key] for key in keys])
    writing.commit()
    return tree_id


def content(transaction: Any, tree_id: int) -> list[tuple[Any, Any]]:
    tree = transaction.tree(tree_id)
    found = [
        (key, value)
        for keys, values in tree.batches()
        for key, value in zip(keys, values or [None] * len(keys), strict=True)
    ]
    assert len(tree) == len(found)
    return found


def expected(model: Model) -> list[tuple[Any, Any]]:
    if isinstance(next(iter(model), None), int):  # rows, whose ids Python orders as SQL does
        return sorted(model.items())
    return sorted(model.items(), key=lambda entry: order_key(entry[0]))


def assert_same(found: list[tuple[Any, Any]], model: Model) -> None:
    entries = expected(model)
    assert found == entries
    # 1 and 1.0 are one key, but not one value: what was put last has to be there.
    assert [repr(key) for key, _ in found] == [repr(key) for key, _ in entries]


def drawn(rng: random.Random, kind: TreeKind) -> tuple[Any, Any]:
    if kind is TreeKind.TABLE:
        return rng.randrange(300), (rng.randrange(1000), "x" * rng.choice([1, 1, 30_000]))
    number: Any = rng.randrange(12)
    return (rng.choice([number, float(number), None, str(number)]), rng.randrange(9)), None


def changed(rng: random.Random, tree: Any, kind: TreeKind, model: Model) -> None:
    """One random operation on a tree and its model."""
    dice = rng.random()
    key, value = drawn(rng, kind)
    if dice < 0.45:
        tree.put(key, value)
        model.pop(key, None)
        model[key] = value
    elif dice < 0.6:
        assert tree.insert(key, value) == (key not in model)
        model.setdefault(key, value)
    elif dice < 0.75:
        assert tree.delete(key) == (key in model)
        model.pop(key, None)
    elif dice < 0.85:
        there = value if key in model and kind is not TreeKind.TABLE else model.get(key, "none")
        assert tree.get(key, "none") == (True if there is None else there)
        assert (key in tree) == (key in model)
    elif dice < 0.93 and kind is TreeKind.TABLE:
        assert tree.last() == (max(model.items()) if model else None)
        if model:
            fresh = max(model) + 1
            assert tree.insert(fresh, (fresh,))
            model[fresh] = (fresh,)
    else:
        keys = sorted({drawn(rng, kind)[0] for _ in range(3)}, key=order_key)
        tree.load(keys, [(1,)] * 3 if kind is TreeKind.TABLE else None)
        for key in keys:
            model.pop(key, None)
            model[key] = (1,) if kind is TreeKind.TABLE else None


def looked_at(rng: random.Random, tree: Any, kind: TreeKind, model: Model) -> None:
    """One random look at many entries."""
    dice = rng.random()
    if dice < 0.2:
        assert len(tree) == len(model)
        return
    if dice < 0.4:
        wanted = sorted({drawn(rng, kind)[0] for _ in range(rng.choice([3, 30]))}, key=order_key)
        there = [model.get(key) if kind is TreeKind.TABLE else key in model for key in wanted]
        assert tree.get_many(wanted) == [found or None for found in there]
        return
    entries = expected(model)
    keys = [key for key, _ in entries]
    if kind is TreeKind.TABLE:
        low = rng.choice([None, rng.randrange(300)])
        high = rng.choice([None, rng.randrange(300), rng.random() * 300])
        backwards = rng.random() < 0.3
        found = [
            entry
            for keys_, values in tree.batches(low, high, reverse=backwards)
            for entry in zip(keys_, values, strict=True)
        ]
        low, high = -1 if low is None else low, 1 << 62 if high is None else high
        wanted = [entry for entry in entries if low <= entry[0] < high]
        assert found == (wanted[::-1] if backwards else wanted)
    elif dice < 0.8:
        prefix = (drawn(rng, kind)[0][0],)
        prefixed = tree.prefixed(prefix)
        wanted = [key for key in keys if key[:1] == prefix]
        assert prefixed is None or repr(prefixed) == repr(wanted)
        parts = tree.last_parts(prefix)
        assert parts is None or parts == [key[-1] for key in wanted]
        inclusive = rng.random() < 0.7
        span = tree.batches(prefix, prefix, hi_inclusive=inclusive)
        assert [key for keys_, _ in span for key in keys_] == (wanted if inclusive else [])
    else:
        start, beyond = drawn(rng, kind)[0], rng.random() < 0.5
        following = tree.following(start, 2, beyond=beyond)
        least = order_key(start)
        later = [key for key in keys if order_key(key) >= least and not (beyond and key == start)]
        assert following is None or repr(following) == repr(later[:2])


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.INDEX])
@pytest.mark.parametrize("seed", range(8))
def test_many_small_transactions_are_what_a_model_says(
    store: Any, kind: TreeKind, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Savepoints, rollbacks, readers of older commits that ask late, and merges in between."""
    rng = random.Random(seed)
    monkeypatch.setattr(tree_state, "PENDING_MIN", rng.choice([1, 20, 1000]))
    model: Model = {}
    tree_id = filled(store, kind, model)
    readers: list[tuple[Any, Model]] = []
    for _ in range(60):
        writing = store.begin(write=True)
        before, marks = dict(model), []
        for _ in range(rng.choice([1, 3, 3, 20, 2 * OWN_MAX])):
            tree = writing.tree(tree_id)
            changed(rng, tree, kind, model)
            dice = rng.random()
            if dice > 0.8:
                looked_at(rng, tree, kind, model)
            if dice < 0.04:
                marks.append((writing.savepoint(), dict(model)))
            elif dice < 0.07 and marks:
                mark, model = marks[-1][0], dict(marks[-1][1])
                writing.rollback_to(mark)
            elif dice < 0.075:
                assert_same(content(writing, tree_id), model)
        if rng.random() < 0.2:
            writing.rollback()
            model = before
        else:
            writing.commit()
        if rng.random() < 0.4:
            readers.append((store.begin(), dict(model)))
        if readers and rng.random() < 0.3:
            reading, seen = readers.pop(rng.randrange(len(readers)))
            tree = reading.tree(tree_id)
            for key in [drawn(rng, kind)[0] for _ in range(9)]:
                assert (key in tree) == (key in seen)
                if kind is TreeKind.TABLE:
                    assert tree.get(key) == seen.get(key)
            for _ in range(4):
                looked_at(rng, tree, kind, seen)
            assert_same(content(reading, tree_id), seen)
            with pytest.raises(ReadOnlyError):
                tree.put(*drawn(rng, kind))
            reading.rollback()
        if rng.random() < 0.05:
            store.checkpoint()
    for reading, seen in readers:
        assert_same(content(reading, tree_id), seen)
    assert_same(content(store.begin(), tree_id), model)
    if store.path is not None:
        with_others = open_store(store.path)  # it has the log's word alone
        assert_same(content(with_others.begin(), tree_id), model)
        with_others.close()


def test_a_small_transaction_copies_no_leaf(store: Any) -> None:
    tree_id = filled(store, TreeKind.TABLE, {key: (key,) for key in range(5000)})
    for key in range(40):
        writing = store.begin(write=True)
        tree = writing.tree(tree_id)
        assert tree.get(key * 100) == (key * 100,)
        tree.put(key * 100, (-1,))
        assert tree.insert(tree.last()[0] + 1, (0,))
        assert isinstance(tree, OverlaidTree)
        assert writing.copies == 0
        writing.commit()
    reading = store.begin()
    assert isinstance(reading.tree(tree_id), OverlaidTree)
    assert reading.tree(tree_id).get(300) == (-1,)
    assert len(reading.tree(tree_id)) == 5040
    assert isinstance(store.begin().tree(tree_id), OverlaidTree)
    assert len(content(reading, tree_id)) == 5040
    assert isinstance(store.begin().tree(tree_id), OverlaidTree)
    for _ in range(MET_MAX + 2):
        assert len(content(reading, tree_id)) == 5040
    assert not isinstance(store.begin().tree(tree_id), OverlaidTree)  # one has settled it for all


@pytest.mark.parametrize("change", ["put", "insert", "delete", "delete_many", "load"])
def test_a_method_that_was_looked_up_before_its_tree_settled_does_its_work(
    store: Any, change: str
) -> None:
    """As in `tree.put(key_that_follows(tree), row)`."""
    model = {key: (key,) for key in range(1000)}
    tree_id = filled(store, TreeKind.TABLE, model)
    writing = store.begin(write=True)
    tree = writing.tree(tree_id)
    kept = getattr(tree, change)
    assert isinstance(tree, OverlaidTree)
    tree.settle()
    assert not isinstance(tree, OverlaidTree)
    if change == "load":
        kept([2000], [(1,)])
        model[2000] = (1,)
    elif change in ("put", "insert"):
        kept(2000, (1,))
        model[2000] = (1,)
    else:
        kept(7 if change == "delete" else [7])
        del model[7]
    assert content(writing, tree_id) == expected(model)
    writing.commit()


def test_what_one_hot_row_was_before_is_not_kept_for_ever(store: Any) -> None:
    """Its changes lie one over the other until the tree is settled: by their number, not the keys'."""
    tree_id = filled(store, TreeKind.TABLE, {1: (0,)})
    before = store.begin()
    for number in range(3 * tree_state.PENDING_MIN):
        writing = store.begin(write=True)
        writing.tree(tree_id).put(1, (number,))
        writing.commit()
    reading = store.begin()
    entry = reading.tree(tree_id).under.pending.get(1)
    length = 0
    while entry is not None:
        entry, length = entry[2], length + 1
    assert length <= tree_state.PENDING_MIN
    assert reading.tree(tree_id).get(1) == (3 * tree_state.PENDING_MIN - 1,)
    assert before.tree(tree_id).get(1) == (0,)


def test_what_was_settled_for_an_older_commit_leaves_newer_ones_their_changes(store: Any) -> None:
    tree_id = filled(store, TreeKind.TABLE, {key: (key,) for key in range(100)})

    def commit(key: int, value: int) -> None:
        writing = store.begin(write=True)
        writing.tree(tree_id).put(key, (value,))
        writing.commit()

    commit(1, -1)
    older = store.begin()
    commit(1, -2)
    commit(2, -3)
    newer = store.begin()
    assert dict(content(older, tree_id))[1] == (-1,)
    assert older.tree(tree_id).get(2) == (2,)
    assert newer.tree(tree_id).get(1) == (-2,)
    commit(3, -4)
    assert [dict(content(newer, tree_id))[key] for key in (1, 2, 3)] == [(-2,), (-3,), (3,)]
    assert dict(content(store.begin(), tree_id))[3] == (-4,)


def test_readers_scan_while_small_transactions_move_money(store: Any) -> None:
    """A scan settles what others go on changing; the sum is the same in every commit."""
    tree_id = filled(store, TreeKind.TABLE, dict.fromkeys(range(500), (100,)))
    sums: list[int] = []

    def scan(done: Event) -> None:
        while not done.is_set():
            reading = store.begin()
            tree = reading.tree(tree_id)
            first = [tree.get(key)[0] for key in range(0, 500, 50)]
            sums.append(sum(row[0] for _, rows in tree.batches() for row in rows))
            assert first == [reading.tree(tree_id).get(key)[0] for key in range(0, 500, 50)]
            reading.rollback()

    rng = random.Random(1)
    with beside(*[scan] * 3):
        for _ in range(400):
            writing = store.begin(write=True)
            tree = writing.tree(tree_id)
            source, target, amount = rng.randrange(500), rng.randrange(500), rng.randrange(50)
            tree.put(source, (tree.get(source)[0] - amount,))
            tree.put(target, (tree.get(target)[0] + amount,))
            writing.commit()
    assert set(sums) == {50_000}


class _Interrupted(BaseException):
    pass


@pytest.mark.parametrize("count", [1, 2])
def test_a_commit_that_is_interrupted_once_it_stands_in_the_log_counts_whole(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "db", durability="off")
    old, new = (dict.fromkeys(range(count), (value,)) for value in (1, 2))
    first = filled(store, TreeKind.TABLE, old)
    second = filled(store, TreeKind.TABLE, old)
    calls: list[Any] = []
    add, add_single = disk_module.add_pending, disk_module.add_single

    def interrupted(states: Any, changes: Any, lsn: int) -> None:
        calls.append(changes)
        if len(calls) == 1:  # half-way
            add(states, {first: changes[first]}, lsn)
            raise _Interrupted
        add(states, changes, lsn)

    def interrupted_single(changes: Any, lsn: int) -> None:
        if changes:
            add_single(changes[:1], lsn)
            raise _Interrupted

    monkeypatch.setattr(disk_module, "add_pending", interrupted)
    monkeypatch.setattr(disk_module, "add_single", interrupted_single)
    writing = store.begin(write=True)
    for tree in (first, second):
        for key, row in new.items():
            writing.tree(tree).put(key, row)
    with pytest.raises(_Interrupted):
        writing.commit()
    for transaction in (store.begin(), store.begin(write=True)):
        for tree in (first, second):
            assert [transaction.tree(tree).get(key) for key in new] == [*new.values()]
            assert content(transaction, tree) == [*new.items()]
        transaction.rollback()
    assert store.check() == []
    store.close()


def test_in_memory_an_interrupted_commit_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    store: Any = open_memory()
    tree_id = filled(store, TreeKind.TABLE, {1: (1,)})

    class Failing:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            raise _Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(memory_module, "Version", Failing)
        writing = store.begin(write=True)
        writing.tree(tree_id).put(1, (2,))
        with pytest.raises(_Interrupted):
            writing.commit()
    for value in (3, 4):
        writing = store.begin(write=True)
        assert content(store.begin(), tree_id)[0][1] in [(1,), (3,)]
        assert writing.tree(tree_id).get(1) in [(1,), (3,)]
        writing.tree(tree_id).put(1, (value,))
        writing.commit()
    assert content(store.begin(), tree_id) == [(1, (4,))]


def test_a_transaction_that_read_first_writes_over_what_it_has_read(store: Any) -> None:
    tree_id = filled(store, TreeKind.TABLE, {key: (key,) for key in range(1000)})
    transaction = store.begin()
    tree = transaction.tree(tree_id)
    assert tree.get(5) == (5,)
    assert tree.count(0, 10) == 10
    transaction.upgrade()
    tree.put(5, (-5,))
    assert tree is transaction.tree(tree_id)
    assert tree.get(5) == (-5,)
    assert transaction.copies == 0
    transaction.commit()
    assert store.begin().tree(tree_id).get(5) == (-5,)


def test_pages_that_a_merge_gives_up_are_given_back(tmp_path: Path) -> None:
    """Deleting row by row merges leaves; their pages must be neither lost nor given up twice."""
    store: Any = open_store(tmp_path / "db", page_bytes=256)
    tree_id = filled(store, TreeKind.TABLE, {key: (key, "x" * 40) for key in range(400)})
    for key in range(400):
        writing = store.begin(write=True)
        if key % 7:
            writing.tree(tree_id).delete(key)
        writing.tree(tree_id).put(1000 + key, (b"y" * (900 if key % 50 == 0 else 9),))
        writing.commit()
        if key % 90 == 0:
            len(store.begin().tree(tree_id))
            assert store.check() == []
        if key % 130 == 0:
            store.checkpoint()
            assert store.check() == []
    store.checkpoint()
    assert store.check() == []
    assert len(store.begin().tree(tree_id)) == 400 + 58
    store.close()


@pytest.mark.parametrize("seed", range(4))
def test_entries_are_counted_through_changes_of_many_commits(store: Any, seed: int) -> None:
    """Readers of several commits ask, in any order; what one has counted serves the others."""
    rng = random.Random(seed)
    model = {key: (key,) for key in range(0, 400, 2)}
    tree_id = filled(store, TreeKind.TABLE, model)
    readers = [(store.begin(), len(model))]
    for _ in range(150):
        writing = store.begin(write=True)
        tree = writing.tree(tree_id)
        for _ in range(rng.choice((1, 1, 2, 4))):
            key = rng.randrange(400)
            if rng.random() < 0.5:
                assert tree.delete(key) == (model.pop(key, None) is not None)
            else:
                tree.put(key, (key,))
                model[key] = (key,)
            if rng.random() < 0.3:
                assert len(tree) == len(model)
        writing.commit()
        readers.append((store.begin(), len(model)))
        for reader, count in rng.sample(readers, min(len(readers), 2)):
            assert len(reader.tree(tree_id)) == count
        if len(readers) > 8:
            reader, count = readers.pop(rng.randrange(len(readers)))
            assert len(reader.tree(tree_id)) == count
            reader.rollback()
    for reader, count in readers:
        assert len(reader.tree(tree_id)) == count
        reader.rollback()


@pytest.mark.parametrize("is_opened_before", [False, True])
def test_a_widening_that_is_rolled_back_is_made_again(is_opened_before: bool, store: Any) -> None:
    tree_id = filled(store, TreeKind.TABLE, {1: (1,)})
    writing = store.begin(write=True)
    if is_opened_before:
        assert writing.tree(tree_id).get(1) == (1,)
    before = writing.tree(tree_id).kinds if is_opened_before else ()
    savepoint = writing.savepoint()
    writing.tree(tree_id).widen((2,))
    writing.tree(tree_id).put(2, (2,))
    writing.rollback_to(savepoint)
    tree = writing.tree(tree_id)
    assert tree.kinds == before
    tree.widen((2,))
    tree.put(3, (3,))
    writing.commit()
    reading = store.begin()
    assert reading.tree(tree_id).kinds == (2,)
    reading.rollback()


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.INDEX])
def test_a_look_up_that_was_kept_while_its_tree_settled_finds_what_is_there(
    kind: TreeKind, store: Any
) -> None:
    """As in a join of a table with itself: its scan settles what its look-ups ask."""
    in_index = kind is TreeKind.INDEX
    model: Model = {(key, key): True for key in range(1000)} if in_index else {}
    model = model or {key: (key,) for key in range(1000)}
    tree_id = filled(store, kind, model)
    writing = store.begin(write=True)
    writing.tree(tree_id).put((7, 8) if in_index else 7, None if in_index else (8,))
    writing.commit()
    model[(7, 8) if in_index else 7] = True if in_index else (8,)
    reading = store.begin()
    tree = reading.tree(tree_id)
    names = ["get_many", "batches", "get", "__contains__", "few_rows", "following"]
    names += ["prefixed", "last_parts"] if in_index else []
    kept = {name: getattr(tree, name) for name in names}
    assert isinstance(tree, OverlaidTree)
    tree.settle()
    assert not isinstance(tree, OverlaidTree)
    keys = sorted(model)[:100]
    assert kept["get_many"](keys) == [model[key] for key in keys]
    assert [key for found, _ in kept["batches"](keys[3], keys[9]) for key in found] == keys[3:9]
    assert kept["get"](keys[7]) == model[keys[7]] and kept["__contains__"](keys[7])
    if in_index:
        assert kept["prefixed"]((7,)) == [(7, 7), (7, 8)]
        assert kept["last_parts"]((7,)) == [7, 8]
        assert kept["following"]((7,), 3) == [(7, 7), (7, 8), (8, 8)]
    reading.rollback()
