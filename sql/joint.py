"""A transaction over several stores: the database's, that of temporary objects, and those of attached databases.

Each store has a number in its session: 0 is the database's own, 1 that of temporary objects, attached ones have
those from 2 on, which are not given again.  A tree's id in the session is its own id in its store plus `TREE_BASE`
times that number.  Each part becomes writable by itself, so that one database can be written while another session
writes another one, or where that is read-only.

A commit ends the parts one after the other, the database's own first and the temporary one, which can't fail, last:
each is atomic, all of them together are not.  So what may fail is done in all of them before the first one ends: locks
are taken, pages written, room on the disk allocated.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import is_
from typing import Any

from btree import (
    CATALOG_TREE_ID,
    ConflictError,
    Key,
    RowAccess,
    Savepoint,
    Store,
    StoreError,
    Transaction,
    Tree,
    TreeKind,
    Value,
)
from sql.errors import PartialCommitError, SqlError
from sql.schema import TEMP, TREE_BASE, TREE_BITS


class JointSavepoint:
    """A savepoint of the parts, by their numbers; those that were not writable yet have none (`upgrade` fills them in)."""

    __slots__ = ("tokens",)

    def __init__(self, tokens: dict[int, Savepoint]) -> None:
        self.tokens = tokens


class Shapes:
    """What tells joint transactions of one session whose parts have the same shapes that they have one shape."""

    __slots__ = ("_joint", "_parts")

    def __init__(self) -> None:
        self._parts: list[object] = []
        self._joint = object()

    def shape(self, parts: list[object]) -> object:
        """The same object as for the latest question, if the parts' shapes are the same ones."""
        known = self._parts
        if len(parts) != len(known) or not all(map(is_, parts, known)):
            self._parts, self._joint = parts, object()
        return self._joint


class JointTransaction(RowAccess):
    """See `btree.Transaction`; `parts` are those on the stores, by number."""

    __slots__ = (
        "__weakref__",
        "_savepoints",
        "_shapes",
        "names",
        "parts",
        "stores",
        "upgrading",
        "used",
    )

    plain_shape = None

    def __init__(self, main: Transaction, store: Store, shapes: Shapes) -> None:
        self.parts: dict[int, Transaction] = {0: main}
        self.stores: dict[int, Store] = {0: store}
        self.names: dict[int, str] = {0: "main"}
        self.used: set[int] = set()
        """The parts that something has been read from, apart from the catalogs."""
        self._shapes = shapes
        self._savepoints: list[JointSavepoint] = []
        self.upgrading: set[int] = set()
        """The parts that are being made writable, or were when Ctrl-C came."""

    def take_in(self, number: int, name: str, store: Store, part: Transaction) -> None:
        """Have one more part."""
        self.parts[number] = part
        self.stores[number] = store
        self.names[number] = name

    def let_go(self, number: int) -> None:
        """End a part that nothing has been read from."""
        self.parts.pop(number).rollback()
        del self.stores[number], self.names[number]

    def is_used(self, number: int) -> bool:
        """Whether the transaction depends on the part."""
        part = self.parts.get(number)
        return part is not None and (part.writable or number in self.used)

    @property
    def main(self) -> Transaction:
        """The part on the database's own store."""
        return self.parts[0]

    @property
    def writable(self) -> bool:
        return self.parts[0].writable

    @property
    def commit_number(self) -> int:
        """-1: one number does not tell what all parts hold."""
        return -1

    @property
    def pages_read(self) -> int:
        return sum([part.pages_read for part in self.parts.values()])

    def tree(self, tree_id: int) -> Tree:
        return self._part(tree_id).tree(tree_id % TREE_BASE)

    def row(self, tree_id: int, key: Key) -> Value:
        return self._part(tree_id).row(tree_id % TREE_BASE, key)

    def put_row(self, tree_id: int, key: Key, row: Value) -> None:
        self._part(tree_id).put_row(tree_id % TREE_BASE, key, row)

    def insert_row(self, tree_id: int, key: Key, row: Value) -> bool:
        return self._part(tree_id).insert_row(tree_id % TREE_BASE, key, row)

    def delete_row(self, tree_id: int, key: Key) -> bool:
        return self._part(tree_id).delete_row(tree_id % TREE_BASE, key)

    def remove_row(self, tree_id: int, key: Key) -> None:
        self._part(tree_id).remove_row(tree_id % TREE_BASE, key)

    def entry_with(self, tree_id: int, prefix: tuple[Any, ...]) -> Any:
        return self._part(tree_id).entry_with(tree_id % TREE_BASE, prefix)

    def put_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        self._part(tree_id).put_entry(tree_id % TREE_BASE, entry, parts)

    def remove_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        self._part(tree_id).remove_entry(tree_id % TREE_BASE, entry, parts)

    def next_rowid(self, tree_id: int) -> int | None:
        return self._part(tree_id).next_rowid(tree_id % TREE_BASE)

    def kinds_of(self, tree_id: int) -> tuple[int, ...]:
        return self._part(tree_id).kinds_of(tree_id % TREE_BASE)

    def _part(self, tree_id: int) -> Transaction:
        """The part that has a tree, from which something is read."""
        number = tree_id >> TREE_BITS
        self.used.add(number)
        return self.parts[number]

    def catalogs(self) -> list[Tree]:
        """The catalogs' trees in the order of the numbers."""
        return [part.tree(CATALOG_TREE_ID) for part in self.parts.values()]

    @property
    def raw_puts(self) -> dict[bytes, Value]:
        self.used.add(0)
        return self.parts[0].raw_puts

    def put_raw(self, key: bytes, value: bytes) -> None:
        self.parts[0].put_raw(key, value)

    def delete_raw(self, key: bytes) -> bool:
        return self.parts[0].delete_raw(key)

    def tree_ids(self) -> list[int]:
        return [
            tree_id + number * TREE_BASE
            for number, part in self.parts.items()
            for tree_id in part.tree_ids()
        ]

    def create_tree(self, kind: TreeKind) -> int:
        return self.parts[0].create_tree(kind)

    def drop_tree(self, tree_id: int) -> None:
        self.parts[tree_id >> TREE_BITS].drop_tree(tree_id % TREE_BASE)

    @property
    def shape(self) -> object:
        return self._shapes.shape([part.shape for part in self.parts.values()])

    def upgrade(self, timeout: float | None = None) -> None:
        """Make the part of the database's own store writable."""
        self.upgrade_part(0, timeout)

    def upgrade_part(self, number: int, timeout: float | None = None) -> None:
        """Make a part writable.  One that nothing has been read from begins anew, and so can't be too old."""
        part = self.parts[number]
        self.upgrading.add(number)
        if not part.writable:
            if number in self.used:
                part.upgrade(timeout)
            else:
                # Who ends the transaction is to find it, should Ctrl-C come behind this call.
                self.parts[number] = self.stores[number].begin(write=True, timeout=timeout)
                part.rollback()
                part = self.parts[number]
        for savepoint in self._savepoints:  # of which Ctrl-C may have left some without
            if number not in savepoint.tokens:
                savepoint.tokens[number] = part.savepoint()
        self.upgrading.discard(number)

    def savepoint(self) -> Savepoint:
        made = JointSavepoint(
            {number: part.savepoint() for number, part in self.parts.items() if part.writable}
        )
        self._savepoints.append(made)
        return made

    def adopt(self, token: Savepoint | None) -> JointSavepoint:
        """Take in a savepoint of the first part that is older than this transaction."""
        made = JointSavepoint({} if token is None else {0: token})
        self._savepoints.append(made)
        return made

    def rollback_to(self, savepoint: Savepoint) -> None:
        place = self._place(savepoint)
        made = self._savepoints[place]
        del self._savepoints[place + 1 :]
        for number, token in made.tokens.items():
            self.parts[number].rollback_to(token)

    def release(self, savepoint: Savepoint) -> None:
        place = self._place(savepoint)
        made = self._savepoints[place]
        del self._savepoints[place:]
        for number, token in made.tokens.items():
            self.parts[number].release(token)

    def _place(self, savepoint: Savepoint) -> int:
        for place, known in enumerate(self._savepoints):
            if known is savepoint:
                return place
        raise StoreError("no such savepoint: it was released, or rolled back with an older one")

    def follow(self, view: object) -> bool:
        """False: a transaction on several stores follows no commit of one of them."""
        return False

    def is_newest(self) -> bool:
        return all(part.is_newest() for part in self.parts.values())

    def commit(self) -> None:
        done: list[str] = []
        waiting = sorted(self.parts, key=lambda number: (number == TEMP, number))
        if sum([part.writable for part in self.parts.values()]) > 1:
            self._make_sure()
        for place, number in enumerate(waiting):
            part = self.parts[number]
            is_written = part.writable
            try:
                part.commit()
            except BaseException as error:
                self._roll_back(waiting[place + 1 :])
                if done and isinstance(error, (StoreError, SqlError)):
                    raise PartialCommitError(self.names[number], done, error) from error
                raise
            if is_written:
                done.append(self.names[number])

    def prepare(self) -> None:
        for part in self.parts.values():
            part.prepare()

    def _make_sure(self) -> None:
        """Have the locks of all that is written, and room on the disk for it, before one part is committed and another, that
        was to take its lock only then, finds that its version was not the newest, or its disk full: an error then, with
        nothing done."""
        try:
            if not self.is_newest():
                raise ConflictError("another transaction was committed since this one began")
            self.prepare()
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        self._roll_back(self.parts)

    def _roll_back(self, numbers: Iterable[int]) -> None:
        failure: BaseException | None = None
        for number in numbers:
            try:
                self.parts[number].rollback()
            except BaseException as error:  # the others are to end nevertheless
                failure = failure or error
        if failure is not None:
            raise failure


def part_of(transaction: Transaction, number: int) -> Transaction:
    """The part of a transaction on the store of that number."""
    return transaction.parts[number] if isinstance(transaction, JointTransaction) else transaction
