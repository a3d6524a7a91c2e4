"""The databases of a session: its own, temporary objects, and those that were attached.

Transactions of a session that has more than its own are on all of them (`sql.joint`), and its schema is that of all
of them, one over the other.  Names without a database mean temporary objects first, then the session's own, then those
of attached databases in the order in which they were attached.
"""

from __future__ import annotations

import weakref
from operator import is_
from typing import TYPE_CHECKING

from btree import CATALOG_TREE_ID, Savepoint, Store, Transaction, Tree
from sql.errors import SqlError

if TYPE_CHECKING:
    from sql.catalog import SchemaCache
    from sql.databases import Database
    from sql.joint import JointTransaction, Shapes
    from sql.result import OwningResult
    from sql.schema import Schema


class Mark:
    """A named savepoint.  `token` is None while the transaction has written nothing."""

    __slots__ = ("deferred_violations", "name", "token")

    def __init__(self, name: str, token: Savepoint | None, deferred_violations: int) -> None:
        self.name = name
        self.token = token
        self.deferred_violations = deferred_violations


class SessionDatabases:
    """The part of a `Session` that knows its databases.  `store` is its own."""

    def __init__(self, store: Store, busy_timeout: float | None) -> None:
        self.store = store
        self.busy_timeout = busy_timeout
        self.others: dict[int, Database] = {}
        """The databases beside the one of `store`, by number; see `sql.databases`.  Not to be set from outside."""
        self.numbers = {"main": 0}
        """Those of all databases, by lower-case name.  Not to be set from outside."""
        self._next_number = 2
        self._shapes: Shapes | None = None  # of transactions on all of them
        self._streaming: weakref.WeakSet[OwningResult] = weakref.WeakSet()  # on several databases
        self.begun: Transaction | None = None
        """That of the explicit one, once it has begun.  Not to be set from outside."""
        self.current: Transaction | None = None  # of the writing statement that is being run
        self.joinable: Transaction | None = None
        """What `joined_transaction` gives without further ado where there is one database, once it has
        looked.  For who asks for each statement."""
        self.begins_first = False
        """Whether whoever has the session begins a transaction before a statement that writes."""
        self._marks: list[Mark] = []
        self._schemas: SchemaCache | None = None  # of the store
        self._overlay: tuple[list[Schema], Schema] | None = None

    def drop_reader(self) -> None:
        """End the reader that is kept from one reading statement to the next."""
        raise NotImplementedError

    # -- transactions on all of them ---------------------------------------------------------------

    def _joint(self, main: Transaction, late: int = 0) -> JointTransaction:
        """A transaction on all databases; `main` is that on `store`, and the one on the database of number `late` is to
        write, if that is another."""
        from sql.joint import JointTransaction, Shapes

        if self._shapes is None:
            self._shapes = Shapes()
        joint = JointTransaction(main, self.store, self._shapes)
        try:
            for number, other in self.others.items():
                store = other.store
                part = store.begin_late(self.busy_timeout) if number == late else store.begin()
                joint.take_in(number, other.name, store, part)
        except BaseException:
            joint.rollback()
            raise
        return joint

    def _late_joint(self, database: str) -> JointTransaction | None:
        """A transaction on all databases, for one statement, which takes the lock of one of them as it commits; None if
        that can't be written, or is not there any more."""
        number = self.numbers.get(database)
        if number is None:
            return None
        store = self.others[number].store if number else self.store
        if store.readonly:
            return None
        main = self.store.begin() if number else store.begin_late(self.busy_timeout)
        return self._joint(main, late=number)

    def _begin_all_writable(self) -> Transaction:
        """BEGIN IMMEDIATE: as in SQLite, all databases that are not read-only are locked at once.

        The locks are taken in one order by all sessions, whatever they call the databases, so that no two of them
        wait for each other: in that of their places, which no compaction changes, as it does an inode's number."""
        joint = self._joint(self.store.begin())
        try:
            for number in sorted(joint.parts, key=lambda number: joint.stores[number].place):
                if not joint.stores[number].readonly:
                    joint.upgrade_part(number, self.busy_timeout)
        except BaseException:
            joint.rollback()
            raise
        return joint

    def _as_joint(self, transaction: Transaction) -> JointTransaction | None:
        """`transaction`, if it is on several databases."""
        if not self.others and self._shapes is None:
            return None
        from sql.joint import JointTransaction

        return transaction if isinstance(transaction, JointTransaction) else None

    def part_of(self, transaction: Transaction, database: str) -> Transaction:
        """The part of a transaction that is on `database`."""
        joint = self._as_joint(transaction)
        return transaction if joint is None else joint.parts[self.numbers[database]]

    def store_of(self, database: str) -> Store:
        """The store of a database, which there is."""
        number = self.numbers[database]
        return self.others[number].store if number else self.store

    def make_temporary_store(self) -> None:
        """Make the store of temporary objects at the first call; an open transaction takes it in."""
        from sql.schema import TEMP

        if TEMP not in self.others:
            from btree import open_memory

            self._take_in("temp", TEMP, open_memory())

    def attach(self, name: str, store: Store) -> None:
        """Have one more database, of a name that there is not yet; an open transaction takes it in."""
        self._take_in(name, self._next_number, store)
        self._next_number += 1

    def detach(self, number: int) -> None:
        """Let go of a database, which is closed.  Raises SqlError if a transaction or a result depends on it."""
        other = self.others[number]
        using = [self.begun, *[result.transaction for result in self._streaming]]
        joints = [
            joint
            for transaction in using
            if transaction is not None and (joint := self._as_joint(transaction)) is not None
        ]
        if self.current is not None or any(joint.is_used(number) for joint in joints):
            raise SqlError(f"database {other.name} is locked")
        for joint in joints:
            if number in joint.parts:
                joint.let_go(number)
        self.drop_reader()
        del self.others[number], self.numbers[other.name.lower()]
        other.store.close()

    def _take_in(self, name: str, number: int, store: Store) -> None:
        from sql.databases import Database

        assert self.current is None
        self.drop_reader()
        self.joinable = None
        begun, marks = self.begun, self._marks
        others = {**self.others, number: Database(name, number, store)}
        if begun is not None:
            joint = self._as_joint(begun)
            if joint is None:
                joint = self.begun = self._joint(begun)
                for mark in marks:
                    mark.token = joint.adopt(mark.token)
            joint.take_in(number, name, store, store.begin())
        self.others = dict(sorted(others.items()))
        self.numbers[name.lower()] = number

    def note_streaming(self, result: OwningResult) -> None:
        """Remember a result that reads from a transaction of its own, where that may be on several databases."""
        if self.others:
            self._streaming.add(result)

    # -- their schema ------------------------------------------------------------------------------

    def schema_of(self, transaction: Transaction) -> Schema:
        """The schema in `transaction`; cached as long as no catalog changes."""
        schemas = self._schemas
        if schemas is None:
            from sql.catalog import schema_cache

            schemas = self._schemas = schema_cache(self.store)
        joint = self._as_joint(transaction)
        if joint is None:
            return schemas.schema(transaction.tree(CATALOG_TREE_ID))
        main, *catalogs = joint.catalogs()
        numbers = list(joint.parts)[1:]
        layers = [schemas.schema(main)]
        layers += map(self._layer, numbers, catalogs)
        known = self._overlay
        if known is None or len(known[0]) != len(layers) or not all(map(is_, known[0], layers)):
            known = self._overlay = layers, self._overlaid(numbers, layers)
        return known[1]

    def _layer(self, number: int, catalog: Tree) -> Schema:
        return self.others[number].schema(catalog)

    def _overlaid(self, numbers: list[int], layers: list[Schema]) -> Schema:
        from sql.schema import TEMP, overlaid

        main, *rest = layers
        by_number = dict(zip(numbers, rest, strict=True))
        temp = by_number.pop(TEMP, None)
        names = {number: self.others[number].name.lower() for number in by_number}
        return overlaid(main, temp, {names[number]: by_number[number] for number in sorted(names)})
