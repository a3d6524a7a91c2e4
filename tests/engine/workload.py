"""Random work on a store, and a dict model of every commit it made.

A workload knows, for each commit, what the trees held after it, and at which operation of the disk the
store acknowledged it.  The limits that decide when the store checkpoints, splits or snapshots its
page table are lowered while it runs, so that little work passes through every path.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import btree.disk
import btree.disk_transaction
import btree.renewals
import btree.rewrite_entries
import btree.rewritten_pages
import engine.store
import engine.syncing
import engine.table_snapshot
import engine.writer
from btree import RAW_TREE_ID, StoreError, TreeKind, open_store
from btree.redo import encode_put
from engine.grouping import Waiting
from tests.engine.simulated import SimulatedDisk

PATH = "db"
BACKUP = "backup"
Content = dict[int, dict[Any, Any]]
"""tree id -> key -> value."""


@contextlib.contextmanager
def small_limits() -> Iterator[None]:
    """Checkpoints, page commits, early writes and table snapshots after some hundred bytes."""
    with contextlib.ExitStack() as stack:
        for module, name, value in (
            (btree.disk_transaction, "REDO_BYTES_MAX", 600),
            (btree.disk_transaction, "TAKEN_IN", 3),
            (btree.renewals, "LEAVES_MIN", 0),
            (btree.renewals, "TOUCHED_SHARE", 0),
            (btree.renewals, "RAW_SHARE", 0),
            (btree.renewals, "BEGIN_AT", 0.1),
            (btree.renewals, "END_AT", 0.4),
            (btree.disk, "CLOSE_REDO_BYTES_MAX", 300),
            (engine.store, "REDO_TAIL_BYTES_MAX", 2500),
            (engine.table_snapshot, "TABLE_EVERY_BYTES", 3000),
            (engine.syncing, "_GROW_BYTES_MIN", 2048),
            (engine.writer, "_BUFFER_BYTES", 700),
            (btree.rewritten_pages, "LEAVES_MIN", 2),
            (btree.rewritten_pages, "ROWS_MIN", 3),
            (btree.rewrite_entries, "LEAVES_MIN", 2),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def opened(disk: Any, path: str = PATH, **options: Any) -> Any:
    """A store with tiny pages on a simulated disk."""
    options.setdefault("page_bytes", 160)
    options.setdefault("timeout", 0)
    return open_store(path, files=disk, **options)


def content_of(transaction: Any) -> Content:
    """Everything in the trees."""
    content: Content = {}
    for tree_id in transaction.tree_ids():
        entries: dict[Any, Any] = {}
        for keys, values in transaction.tree(tree_id).batches():
            entries.update(zip(keys, values or [None] * len(keys), strict=True))
        content[tree_id] = entries
    return content


def commit_without_waiting(transaction: Any) -> Any:
    """Append a commit as one thread of a group does, before the group is synced."""
    writer = transaction._writer
    try:
        commit = transaction.store.append(transaction, writer)
    except StoreError:
        transaction.rollback()
        raise
    transaction._writer = None
    transaction._end()
    return commit


class Workload:
    """Random transactions and upkeep on `PATH` of a disk; `run` does them."""

    def __init__(
        self, seed: int, *, disk: SimulatedDisk | None = None, durability: str = "full"
    ) -> None:
        self.rng = random.Random(seed)
        self.disk = SimulatedDisk() if disk is None else disk
        self.disk.writes_synced = seed % 4 != 3
        self.durability = durability
        self.page_bytes = self.rng.choice([64, 160, 160, 1024])
        self.cache_bytes = 3000 if seed % 3 == 2 else 256 << 20  # a third writes leaves early
        self.model: Content = {RAW_TREE_ID: {}, 2: {}}
        self.kinds: dict[int, TreeKind] = {RAW_TREE_ID: TreeKind.RAW, 2: TreeKind.TABLE}
        self.commits: dict[int, Content] = {0: {RAW_TREE_ID: {}, 2: {}}}  # by lsn
        self.acknowledged: list[tuple[int, int]] = []  # (operations done, lsn)
        self.backups: list[tuple[int, int]] = []  # (operations done, lsn) of backups that ended
        self.attempt: tuple[int, Content] = (0, {})
        self.stores: list[Any] = []
        self.readers: list[tuple[Any, Content]] = []  # open snapshots, and what they have to hold

    def run(self, steps: int) -> Workload:
        """Open, do `steps` steps, close."""
        self.stores = [self._opened() for _ in range(self.rng.choice([1, 1, 2]))]
        for _ in range(steps):
            self.step()
        while self.readers:
            self.end_a_reader()
        for store in self.stores:
            store.close()
            self.note_newest()
        return self

    def end_a_reader(self) -> None:
        """An old snapshot holds what it held, whatever was committed, compacted or closed since."""
        reader, content = self.readers.pop(self.rng.randrange(len(self.readers)))
        assert content_of(reader) == content, f"the snapshot of commit {reader.commit_number}"
        reader.rollback()

    def _opened(self) -> Any:
        return opened(
            self.disk,
            durability=self.durability,
            page_bytes=self.page_bytes,
            cache_bytes=self.cache_bytes,
        )

    def newest(self) -> int:
        return max(self.commits)

    def note(self, content: Content, lsn: int) -> None:
        """A commit with this content is appended."""
        known = self.commits.setdefault(lsn, content)
        assert known == content, f"commit {lsn} was made twice"

    def note_newest(self, done: int | None = None) -> None:
        """Everything so far is acknowledged (by operation `done`); commits of upkeep changed nothing."""
        logs = [store.pages.current_log for store in self.stores]
        # The checkpoint of a close may have failed, silently, since nothing is lost by it.
        lsn = max(
            (log.lsn for log in logs if log.end <= log.synced or self.durability != "full"),
            default=self.newest(),
        )
        for number in range(self.newest() + 1, lsn + 1):
            self.commits[number] = self.commits[number - 1]
        self.acknowledged.append((len(self.disk.operations) if done is None else done, lsn))

    def step(self) -> None:
        """One transaction, one group of them, or some upkeep."""
        at = self.rng.randrange(len(self.stores))
        store = self.stores[at]
        dice = self.rng.random()
        if dice < 0.15:
            self.puts(store)
        elif dice < 0.68:
            self.transaction(store)
        elif dice < 0.76:
            self.group(store)
        elif dice < 0.82:
            store.checkpoint()
        elif dice < 0.87:
            store.compact()
        elif dice < 0.90:
            store.backup(BACKUP)
            self.backups.append((len(self.disk.operations), self.newest()))
        elif dice < 0.94:
            while self.readers:
                self.end_a_reader()
            store.close()
            done = len(self.disk.operations)
            self.stores[at] = self._opened()  # it knows whether the last checkpoint has stood
            self.note_newest(done)
        elif len(self.readers) < 3:
            reader = store.begin()
            self.readers.append((reader, self.model))
            if self.rng.random() < 0.5:
                assert content_of(reader) == self.model
        else:
            self.end_a_reader()
        self.note_newest()

    def puts(self, store: Any) -> None:
        """Single puts, each a transaction of its own that reads nothing."""
        if self.durability == "full" and self.rng.random() < 0.3:
            self.line(store)
        for _ in range(self.rng.choice([1, 1, 3, 9])):
            key, value = self.key(TreeKind.RAW), self.rng.randbytes(self.rng.choice([0, 8, 200]))
            model = {**self.model, RAW_TREE_ID: {**self.model[RAW_TREE_ID], key: value}}
            lsn = max(store.pages.current_log.lsn for store in self.stores) + 1
            self.attempt = (lsn, model)
            store.put(key, value)
            self.note(model, lsn)
            self.model = model
            self.note_newest()

    def line(self, store: Any) -> None:
        """Puts that stand in line when one of them is to lead: all are written at once."""
        if not store.view().version.base_lsn or store.pages.checkpoint_due():
            return
        lsn = max(store.pages.current_log.lsn for store in self.stores)
        payloads, models = [], [self.model]
        for _ in range(self.rng.randint(2, 5)):
            key, value = self.key(TreeKind.RAW), self.rng.randbytes(self.rng.choice([0, 8, 200]))
            raw = {**models[-1][RAW_TREE_ID], key: value}
            models.append({**models[-1], RAW_TREE_ID: raw})
            payloads.append(encode_put(RAW_TREE_ID, key, value))
        for model in models[1:]:
            lsn += 1
            self.note(model, lsn)
        others = [Waiting(payload) for payload in payloads[:-1]]
        store.pages.waiting.extend(others)
        try:
            store.pages.commit_redo(payloads[-1])
        finally:
            store.pages.waiting.clear()
        assert all(other.lsn and other.error is None for other in others)
        self.model = models[-1]
        self.note_newest()

    def transaction(self, store: Any) -> None:
        """One transaction, rolled back now and then."""
        transaction = store.begin(write=True)
        model = self.change_or_roll_back(transaction)
        if self.rng.random() < 0.12:
            transaction.rollback()
            return
        lsn = transaction.commit_number + 1
        self.attempt = (lsn, model)
        transaction.commit()
        if store.pages.current_log.lsn >= lsn:  # it was not empty
            self.note(model, lsn)
        self.model = model

    def group(self, store: Any) -> None:
        """Several commits that wait for one sync, as those of several threads do."""
        commits = []
        before = self.newest()
        try:
            for _ in range(self.rng.randint(2, 4)):
                transaction = store.begin(write=True)
                model = self.change_or_roll_back(transaction)
                if model == self.model:
                    transaction.rollback()
                    continue
                lsn = transaction.commit_number + 1
                commits.append(commit_without_waiting(transaction))
                self.note(model, lsn)
                self.model = model
        except StoreError:
            for commit in commits:
                commit.wait()
                self.note_newest()
            raise
        if self.durability == "full":
            reader = store.begin()  # never sees what is not durable
            assert reader.commit_number <= before
            reader.rollback()
        for commit in commits:
            commit.wait()

    def change_or_roll_back(self, transaction: Any) -> Content:
        """`change`; a failure rolls the transaction back."""
        try:
            return self.change(transaction)
        except StoreError:
            transaction.rollback()
            raise

    def change(self, transaction: Any, depth: int = 0) -> Content:
        """Random changes to a transaction; the model of what it holds then."""
        rng = self.rng
        model = {tree_id: dict(entries) for tree_id, entries in self.model.items()}
        base, self.model = self.model, model
        try:
            for _ in range(rng.choice([1, 1, 2, 3, 20])):
                self.one_change(transaction, model)
                if depth < 2 and rng.random() < 0.12:
                    savepoint = transaction.savepoint()
                    changed = self.change(transaction, depth + 1)
                    if rng.random() < 0.5:
                        transaction.rollback_to(savepoint)
                    else:
                        model.clear()
                        model.update(changed)
                        if rng.random() < 0.7:
                            transaction.release(savepoint)
        finally:
            self.model = base
        return model

    def one_change(self, transaction: Any, model: Content) -> None:
        rng = self.rng
        dice = rng.random()
        tree_id = rng.choice(list(model))
        if dice < 0.03 and len(model) < 6:
            kind = rng.choice(list(TreeKind))
            tree_id = transaction.create_tree(kind)
            self.kinds[tree_id] = kind
            model[tree_id] = {}
            return
        if dice < 0.05 and tree_id > 2:
            transaction.drop_tree(tree_id)
            del model[tree_id]
            return
        tree, entries, kind = transaction.tree(tree_id), model[tree_id], self.kinds[tree_id]
        if dice < 0.06:
            tree.clear()
            entries.clear()
        elif dice < 0.14 and kind is TreeKind.INDEX:
            self.rewrite_entries(tree, entries)
        elif dice < 0.14 and kind is not TreeKind.RAW and tree_id > 2:
            self.rewrite(tree, entries)
        elif dice < 0.18 and entries and kind in (TreeKind.TABLE, TreeKind.CLUSTERED):
            self.change_columns(tree, entries)
        elif dice < 0.30:
            delete = tree.delete
            if tree_id == RAW_TREE_ID and rng.random() < 0.5:
                delete = transaction.delete_raw
            for key in rng.sample(sorted(entries), min(len(entries), rng.choice([1, 2, 9]))):
                assert delete(key)
                del entries[key]
        elif dice < 0.36:
            keys = sorted({self.key(kind) for _ in range(30)})
            values = [self.value(kind) for _ in keys]
            tree.load(keys, None if kind is TreeKind.INDEX else values)
            entries.update(zip(keys, values, strict=True))
        else:
            for _ in range(rng.choice([1, 1, 1, 4])):
                key, value = self.key(kind), self.value(kind)
                if tree_id == RAW_TREE_ID and value.__class__ is bytes and rng.random() < 0.5:
                    transaction.put_raw(key, value)
                else:
                    transaction.tree(tree_id).put(key, value)
                entries[key] = value

    def rewrite(self, tree: Any, entries: dict[Any, Any]) -> None:
        """Some of a table's rows changed or deleted by column."""
        rng = self.rng
        step, gone = rng.choice([1, 2, 2, 3, 9]), rng.random() < 0.4
        rewrite = tree.rewrite()
        for batch in rewrite.batches((-1,)):
            (keys,) = batch.lists
            numbers = keys if tree.kind is TreeKind.TABLE else map(sum, keys)
            chosen = [at for at, number in enumerate(numbers) if number % step == 0]
            if not chosen:
                continue
            batch.choose(chosen)
            new = [rng.randrange(1000) for _ in chosen]
            if gone:
                batch.delete()
            else:
                batch.set({0: new}, {0: {int}})
            for at, number in zip(chosen, new, strict=True):
                row = entries.pop(keys[at])
                if not gone:
                    entries[keys[at]] = (number, *row[1:])
        rewrite.finish()

    def change_columns(self, tree: Any, entries: dict[Any, Any]) -> None:
        """A column of some rows, beside what may be in pages of its own and is not read then."""
        rng = self.rng
        for key in rng.sample(sorted(entries), min(len(entries), rng.choice([1, 1, 3]))):
            column = rng.choice([0, 0, 0, 2])
            row = list(tree.get(key, None, (column,)))
            row[column] = rng.randrange(100)
            tree.change(key, tuple(row), (column,))
            kept = list(entries[key])
            kept[column] = row[column]
            entries[key] = tuple(kept)

    def rewrite_entries(self, tree: Any, entries: dict[Any, Any]) -> None:
        """Some of an index's entries taken away, and others put."""
        gone = sorted(entries)[:: self.rng.choice([1, 2, 2, 3, 9])]
        left = entries.keys() - set(gone)
        new = sorted({self.key(tree.kind) for _ in range(self.rng.choice([0, 3, 20]))} - left)
        if not tree.rewrite().change_entries(gone, new):
            tree.delete_many(gone)
            tree.load(new)
        for key in gone:
            del entries[key]
        entries.update(dict.fromkeys(new))

    def key(self, kind: TreeKind) -> Any:
        number = self.rng.randrange(60)
        if kind is TreeKind.RAW:
            return b"%d" % number
        return number if kind is TreeKind.TABLE else (number // 8, number % 8)

    def value(self, kind: TreeKind) -> Any:
        rng = self.rng
        size = rng.choice([0, 3, 8, 8, 30, 30, 200]) if rng.random() < 0.97 else 3000
        if kind is TreeKind.INDEX:
            return None
        if kind is TreeKind.RAW:
            value = rng.randbytes(size)
            return value if rng.random() < 0.9 else (value, rng.randrange(1 << 50))
        return (rng.randrange(100), "x" * size, None)


def broken_promises(
    disk: SimulatedDisk,
    commits: dict[int, Content],
    at_least: int,
    doubtful: Sequence[tuple[int, Content]] = (),
    **options: Any,
) -> tuple[list[str], int]:
    """Open the database on `disk`: what is wrong with it, and its newest commit.

    `doubtful`: commits that were neither acknowledged nor reported as failed when the power went."""
    try:
        store = opened(disk, **options)
    except StoreError as error:
        return [f"it can't be opened: {error}"], -1
    try:
        reader = store.begin()
        lsn = reader.commit_number
        problems = []
        if lsn < at_least:
            problems.append(f"acknowledged commit {at_least} is lost: the newest is {lsn}")
        if lsn not in commits and all(lsn != number for number, _ in doubtful):
            problems.append(f"it holds commit {lsn}, which was never made")
        elif (content := content_of(reader)) != commits.get(lsn) and (lsn, content) not in doubtful:
            problems.append(f"the content is not that of commit {lsn}")
        reader.rollback()
        problems += store.check()
        return problems, lsn
    finally:
        store.close()
