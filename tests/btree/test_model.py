"""Stores against plain dicts: random operations, every shape of node, every step checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from btree import Key, StoreError, TreeKind, Value, open_memory, order_key
from btree.check import check_transaction, check_tree
from btree.disk import DiskStore
from tests.btree.fake_pages import FakeFile, FakePages

MB = 1 << 20
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40) | st.floats(allow_nan=False)
texts = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["", "a", "ab" * 40])
elements = st.none() | numbers | texts | st.binary(max_size=6)
small_tuples = st.tuples(st.integers(0, 12), st.integers(0, 12))
mixed_tuples = st.lists(elements, min_size=1, max_size=3).map(tuple)
raw_keys = st.binary(max_size=3) | st.sampled_from(
    [b"k" * 5000, b"k" * 4999 + b"l", b"", b"K" * MB]
)
blobs = st.binary(max_size=12) | st.integers(0, 40_000).map(lambda n: b"x" * n)
expiring = st.tuples(blobs, st.integers(0, 2**50))
rows = st.lists(elements | blobs, min_size=1, max_size=4).map(tuple)

KEYS = {
    TreeKind.RAW: raw_keys | st.integers(0, 300).map(lambda n: b"%d" % n),
    TreeKind.TABLE: st.integers(0, 300) | st.integers(-(2**63), 2**63 - 1),
    TreeKind.CLUSTERED: small_tuples | mixed_tuples,
    TreeKind.INDEX: small_tuples | mixed_tuples,
}
VALUES: dict[TreeKind, st.SearchStrategy[Value]] = {
    TreeKind.RAW: blobs | expiring,
    TreeKind.TABLE: rows,
    TreeKind.CLUSTERED: rows,
    TreeKind.INDEX: st.none(),
}

megabytes = st.sampled_from([b"v" * MB, b"w" * (3 * MB + 1)])
LARGE_KEYS = {**KEYS, TreeKind.RAW: KEYS[TreeKind.RAW] | st.just(b"K" * MB)}
LARGE_VALUES: dict[TreeKind, st.SearchStrategy[Value]] = {
    **VALUES,
    TreeKind.RAW: blobs | expiring | megabytes,
    TreeKind.TABLE: rows | st.tuples(numbers, megabytes),
}

Model = dict[int, tuple[TreeKind, dict[Key, Value]]]


def copied(model: Model) -> Model:
    return {tree_id: (kind, dict(entries)) for tree_id, (kind, entries) in model.items()}


def same(key: Key) -> Any:
    """1 and 1.0 are the same key; a dict thinks so too."""
    return order_key(key)


def entries_of(tree: Any, **bounds: Any) -> Iterator[tuple[Key, Value]]:
    for keys, values in tree.batches(**bounds):
        assert keys
        yield from zip(keys, values or [None] * len(keys), strict=True)


def assert_equal(transaction: Any, model: Model) -> None:
    assert set(transaction.tree_ids()) - {1, 2} == set(model)
    for tree_id, (_, entries) in model.items():
        tree = transaction.tree(tree_id)
        expected = sorted(entries.items(), key=lambda entry: order_key(entry[0]))
        assert len(tree) == len(expected)
        assert list(entries_of(tree)) == expected
        assert list(entries_of(tree, reverse=True)) == expected[::-1]


class StoreMachine(RuleBasedStateMachine):
    """One or two handles on a file; a writer, readers that must not see it."""

    stores: list[Any]

    @initialize(
        page_bytes=st.integers(1, 300) | st.sampled_from([1024, 8192, 65536]),
        cache_bytes=st.sampled_from([0, 50_000, 1 << 28]),
        redo_max=st.sampled_from([0, 500, 1 << 20]),
        handles=st.integers(0, 2),
    )
    def start(self, page_bytes: int, cache_bytes: int, redo_max: int, handles: int) -> None:
        self.file = FakeFile(redo_max=redo_max)
        self.options = {"page_bytes": page_bytes, "cache_bytes": cache_bytes}
        self.stores = [self.opened() for _ in range(handles)] or [
            open_memory(leaf_limit=max(2, page_bytes // 128), branch_limit=4)
        ]
        self.committed: Model = {}
        self.writer: Any = None
        self.model: Model = {}
        self.savepoints: list[tuple[Any, Model]] = []
        self.readers: list[tuple[Any, Model]] = []

    def opened(self) -> DiskStore:
        return DiskStore(FakePages(self.file), "x", **self.options)

    def picked(self, data: st.DataObject) -> tuple[Any, TreeKind, dict[Key, Value]]:
        tree_id = data.draw(st.sampled_from(sorted(self.model)))
        kind, entries = self.model[tree_id]
        return self.writer.tree(tree_id), kind, entries

    has_writer = precondition(lambda self: self.writer is not None)
    has_tree = precondition(lambda self: self.writer is not None and bool(self.model))

    @precondition(lambda self: self.writer is None)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.writer = data.draw(st.sampled_from(self.stores)).begin(write=True)
        self.model = copied(self.committed)
        self.savepoints = []

    @has_writer
    @rule(kind=st.sampled_from(TreeKind))
    def create(self, kind: TreeKind) -> None:
        self.model[self.writer.create_tree(kind)] = (kind, {})

    @has_tree
    @rule(data=st.data(), insert=st.booleans())
    def put(self, data: st.DataObject, insert: bool) -> None:
        tree, kind, entries = self.picked(data)
        key, value = data.draw(LARGE_KEYS[kind]), data.draw(LARGE_VALUES[kind])
        before = tree.state
        if insert:
            assert tree.insert(key, value) == (key not in entries)
            entries.setdefault(key, value)
        else:
            tree.put(key, value)
            entries.pop(key, None)  # the new key's type counts
            entries[key] = value
            assert tree.state is not before
        assert key in tree
        assert tree.get(key) == (True if kind is TreeKind.INDEX else entries[key])

    @has_tree
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        tree, kind, entries = self.picked(data)
        known = sorted(entries, key=order_key)
        key = data.draw(st.sampled_from(known) if known else LARGE_KEYS[kind])
        assert tree.delete(key) == (key in entries)
        entries.pop(key, None)
        assert tree.get(key, "nothing") == "nothing"

    @has_tree
    @rule(data=st.data(), start=st.integers(0, 300), count=st.integers(1, 400))
    def load(self, data: st.DataObject, start: int, count: int) -> None:
        tree, kind, entries = self.picked(data)
        value = data.draw(LARGE_VALUES[kind])
        keys = [self.numbered(kind, number) for number in range(start, start + count)]
        tree.load(keys, None if kind is TreeKind.INDEX else [value] * count)
        for key in keys:
            entries.pop(key, None)
        entries.update(dict.fromkeys(keys, value))

    @staticmethod
    def numbered(kind: TreeKind, number: int) -> Key:
        if kind is TreeKind.RAW:
            return b"%06d" % number
        return number if kind is TreeKind.TABLE else (number // 13, number % 13)

    @has_tree
    @rule(data=st.data(), step=st.integers(1, 4))
    def delete_many(self, data: st.DataObject, step: int) -> None:
        tree, _, entries = self.picked(data)
        keys = sorted(entries, key=order_key)[::step]
        assert tree.delete_many(keys) == len(keys)
        for key in keys:
            del entries[key]

    @has_tree
    @rule(data=st.data(), step=st.integers(1, 4), leaves_min=st.sampled_from([1, 3, 1000]))
    def rewrite(self, data: st.DataObject, step: int, leaves_min: int) -> None:
        tree, kind, entries = self.picked(data)
        rewrite = tree.rewrite()
        if rewrite is None:
            assert kind is TreeKind.RAW or self.stores[0].path is None
            return
        if kind is not TreeKind.TABLE:  # see `test_rewrite` and `test_rewrite_entries`
            return
        value = data.draw(st.none() | elements)
        last = min([len(row) for row in entries.values()], default=1) - 1
        gone = data.draw(st.booleans())
        seen = []
        with mock.patch("btree.rewritten_pages.LEAVES_MIN", leaves_min):
            for batch in rewrite.batches(data.draw(st.sampled_from([(-1,), (last, -1)]))):
                keys = batch.lists[-1]
                if len(batch.lists) == 2:
                    assert batch.lists[0] == [entries[key][last] for key in keys]
                seen += keys
                chosen = [at for at, key in enumerate(keys) if key % step == 0]
                if not chosen:
                    continue
                batch.choose(chosen)
                assert list(batch.values(-1)) == [keys[at] for at in chosen]
                assert list(batch.values(0)) == [entries[keys[at]][0] for at in chosen]
                if gone:
                    batch.delete()
                else:
                    batch.set({last: [value] * len(chosen)}, {last: {value.__class__}})
                for at in chosen:
                    row = entries.pop(keys[at])
                    if not gone:
                        entries[keys[at]] = (*row[:last], value, *row[last + 1 :])
            rewrite.finish()
        assert set(seen) >= set(entries)

    @has_tree
    @rule(data=st.data(), drop=st.booleans())
    def clear(self, data: st.DataObject, drop: bool) -> None:
        tree, _, entries = self.picked(data)
        if drop:
            del self.model[tree.id]
            self.writer.drop_tree(tree.id)
        else:
            tree.clear()
            entries.clear()

    @has_tree
    @rule(
        data=st.data(),
        lo_inclusive=st.booleans(),
        hi_inclusive=st.booleans(),
        reverse=st.booleans(),
        shorten=st.integers(0, 3),
    )
    def ranges(
        self,
        data: st.DataObject,
        lo_inclusive: bool,
        hi_inclusive: bool,
        reverse: bool,
        shorten: int,
    ) -> None:
        tree, kind, entries = self.picked(data)
        bound = LARGE_KEYS[kind] if not entries else st.sampled_from(sorted(entries, key=order_key))
        lo, hi = data.draw(st.none() | bound), data.draw(st.none() | bound)
        if kind >= TreeKind.CLUSTERED:
            lo = lo[:1] if lo is not None and shorten & 1 else lo
            hi = hi[:1] if hi is not None and shorten & 2 else hi

        def place(key: Key, end: Key) -> int:
            part = key[: len(end)] if kind >= TreeKind.CLUSTERED else key
            return (same(part) > same(end)) - (same(part) < same(end))

        expected = [
            key
            for key in sorted(entries, key=order_key, reverse=reverse)
            if (lo is None or place(key, lo) >= (0 if lo_inclusive else 1))
            and (hi is None or place(key, hi) <= (0 if hi_inclusive else -1))
        ]
        bounds = {"lo_inclusive": lo_inclusive, "hi_inclusive": hi_inclusive}
        found = tree.batches(lo, hi, **bounds, reverse=reverse)
        assert [key for keys, _ in found for key in keys] == expected
        assert tree.count(lo, hi, **bounds) == len(expected)
        assert 0 <= tree.estimate(lo, hi, **bounds) <= len(tree)

    @has_tree
    @rule(data=st.data())
    def write_while_scanning(self, data: st.DataObject) -> None:
        tree, _, entries = self.picked(data)
        expected = sorted(entries, key=order_key)
        seen = []
        for keys, _ in tree.batches():
            seen += keys
            for key in list(keys):
                tree.delete(key)
        assert seen == expected
        entries.clear()

    @has_writer
    @rule()
    def savepoint(self) -> None:
        self.savepoints.append((self.writer.savepoint(), copied(self.model)))

    @precondition(lambda self: self.writer is not None and bool(self.savepoints))
    @rule(data=st.data(), release=st.booleans())
    def end_savepoint(self, data: st.DataObject, release: bool) -> None:
        at = data.draw(st.integers(0, len(self.savepoints) - 1))
        savepoint, model = self.savepoints[at]
        if release:
            self.writer.release(savepoint)
            del self.savepoints[at:]
            with pytest.raises(StoreError):
                self.writer.release(savepoint)
        else:
            self.writer.rollback_to(savepoint)
            del self.savepoints[at + 1 :]
            self.model = copied(model)

    @has_writer
    @rule()
    def commit(self) -> None:
        self.writer.commit()
        self.committed, self.writer = self.model, None

    @has_writer
    @rule()
    def rollback(self) -> None:
        self.writer.rollback()
        self.writer = None

    @has_writer
    @rule()
    def commit_that_fails(self) -> None:
        self.file.fail_next_commit = True
        try:
            self.writer.commit()
            self.committed = self.model
        except OSError:
            pass
        self.file.fail_next_commit = False
        self.writer = None

    @precondition(lambda self: self.writer is None and self.stores[0].path)
    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.stores) - 1))
        if data.draw(st.booleans()):
            self.stores[at].checkpoint()
        self.stores[at] = self.opened()

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.readers.append((data.draw(st.sampled_from(self.stores)).begin(), self.committed))

    @precondition(lambda self: bool(self.readers))
    @rule(data=st.data())
    def end_reader(self, data: st.DataObject) -> None:
        reader, model = self.readers.pop(data.draw(st.integers(0, len(self.readers) - 1)))
        assert_equal(reader, model)
        reader.commit()

    @invariant()
    def trees_are_whole(self) -> None:
        if not hasattr(self, "stores"):
            return
        if self.writer is not None:
            for tree_id, (_, entries) in self.model.items():
                assert len(self.writer.tree(tree_id)) == len(entries)
                assert check_tree(self.writer.tree(tree_id)) == []
        reader = self.stores[-1].begin()
        assert_equal(reader, self.committed)
        assert check_transaction(reader) == []
        reader.rollback()

    def teardown(self) -> None:
        for reader, model in getattr(self, "readers", []):
            assert_equal(reader, model)


TestStores = StoreMachine.TestCase
TestStores.settings = settings(
    max_examples=400,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
