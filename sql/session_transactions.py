"""A session's transactions: autocommit, BEGIN, savepoints, and the raw key space's way in.

As in SQLite, a statement outside of a transaction is one of its own.  BEGIN DEFERRED takes no snapshot
until the first statement reads, and no lock until the first one writes; if another session
committed in between, that first write fails and the transaction has to be rolled back.
SAVEPOINT outside of a transaction opens one, which its RELEASE commits.

Temporary tables, indexes, views and triggers live in a store in memory that belongs to the session alone and is made
by the first of them; attached databases have stores of their own.  As long as there are any of these, the session's
transactions are on all of them (`sql.joint`).  Nothing here imports the parser: `reading` and `writing` are the raw
commands' path.
"""

from __future__ import annotations

import weakref
from operator import is_
from typing import TYPE_CHECKING, Any, Literal, Protocol

from btree import (
    ConflictError,
    ReadOnlyError,
    Savepoint,
    Store,
    StoreTransaction,
    Transaction,
)
from sql.errors import ConstraintError, MisuseError, SqlError
from sql.session_databases import Mark, SessionDatabases

if TYPE_CHECKING:
    from types import TracebackType

    from sql.joint import JointTransaction
    from sql.result import Result
    from sql.schema import Schema
    from sql.short import ReadyQuery


_GLANCES_MAX = 64
"""So many looks at single rows of the newest commit are taken before the kept reader follows."""

BEHIND: ReadyQuery = (lambda values: None, ())
"""What is told of a query that is ready, but for a commit since, and for which a glance may do."""

_NO_MOMENT: Any = object()

ROLLED_BACK = "the transaction was rolled back"
"""What is told beside an error that has cost more than its statement."""


class Unfinished(Protocol):
    """What may undo a statement that writes."""

    def undone(self) -> bool:
        """Undo what was written, and have the session's `unfinished` be what it was before; False if that can't be done."""


class TransactionState(SessionDatabases):
    """The part of a `Session` that begins and ends transactions.  One thread at a time."""

    def __init__(self, store: Store, busy_timeout: float | None) -> None:
        super().__init__(store, busy_timeout)
        self.deferred_violations = 0
        self.met_immediate = self.met_deferred = False
        """Whether there was a violated foreign key meanwhile, though it may have been repaired since."""
        self.defer_foreign_keys = False
        self.closed = False
        self._query_only = False
        self.in_transaction = False
        """Whether BEGIN or SAVEPOINT opened a transaction that has not ended.  Not to be set from outside."""
        self._opened_by_savepoint = False
        self.unfinished: Unfinished | None = None
        """What may undo the statement that writes, or that was torn off half-way: its transaction is not to be
        committed then.  None otherwise."""
        # Kept from one reading statement to the next.
        self._reader: StoreTransaction | JointTransaction | None = None
        self._reader_view: object = None
        self._reader_moment = _NO_MOMENT  # of that view: see `Store.is_newest`
        self._glances = 0  # since it followed last
        self._reader_views: list[object] = []  # of all databases, where there are several
        self.reads = False  # whether a statement that calls functions reads from it
        self._ready: dict[str, ReadyQuery] = {}  # for that reader, by their texts
        self._open_results: weakref.WeakSet[Result] = weakref.WeakSet()
        self._has_open_results = False  # it may have: to ask the set is dear

    @property
    def query_only(self) -> bool:
        """Whether statements that write are refused."""
        return self._query_only

    @query_only.setter
    def query_only(self, only: bool) -> None:
        self._query_only = only
        self.joinable = None

    def leave_statement(self) -> None:
        """In a forked child: nobody goes on with the statement that another thread was executing, and none takes part in
        its transaction."""
        self.current = None

    # -- transactions -------------------------------------------------------------------------------

    def begin(self, mode: str = "DEFERRED") -> None:
        """BEGIN.  `mode` IMMEDIATE or EXCLUSIVE takes the writer's lock at once (BusyError)."""
        if mode != "DEFERRED":
            self.begin_writer()
            return
        self._check_open()
        if self.in_transaction:
            raise SqlError("cannot start a transaction within a transaction")
        self.in_transaction = True

    def begin_writer(self) -> None:
        """BEGIN IMMEDIATE: takes the writer's lock at once (BusyError).  Of a database that is open read-only it is, as
        in SQLite, a transaction that reads."""
        if self.closed:
            self._check_open()
        if self.in_transaction:
            raise SqlError("cannot start a transaction within a transaction")
        if self._query_only:
            raise ReadOnlyError("attempt to write a readonly database")
        try:
            if not self.others:
                transaction = self.store.begin(write=True, timeout=self.busy_timeout)
                self.begun = self.joinable = transaction
            else:
                self.begun = self._begin_all_writable()
        except ReadOnlyError:
            if not self.store.readonly:
                raise
            self.begun = self.begin_transaction(write=False)
        self.in_transaction = True

    def commit(self) -> None:
        """COMMIT: durable and visible when it returns."""
        if self.closed:
            self._check_open()
        if not self.in_transaction:
            raise SqlError("cannot commit - no transaction is active")
        if self.unfinished is not None:
            self._refuse_torn()
        if self.deferred_violations > 0:
            raise ConstraintError("FOREIGN KEY constraint failed", kind="FOREIGN KEY")
        if self._has_open_results:
            self._buffer_results()
        transaction = self._leave()
        if transaction is not None:
            try:
                transaction.commit()
            except BaseException:
                # Of Ctrl-C before it has begun: the session has left it, and nobody else would end it.
                transaction.rollback()
                raise

    def rollback(self) -> None:
        """ROLLBACK: everything since BEGIN is undone; open results keep the rows they were to give."""
        self._check_open()
        if not self.in_transaction:
            raise SqlError("cannot rollback - no transaction is active")
        self._roll_back()

    def savepoint(self, name: str) -> None:
        """SAVEPOINT."""
        self._check_open()
        self._opened_by_savepoint = self._opened_by_savepoint or not self.in_transaction
        self.in_transaction = True
        self._marks.append(Mark(name, self._token(), self.deferred_violations))

    def release(self, name: str) -> None:
        """RELEASE: forget the savepoint and those after it; commit if it opened the transaction."""
        self._check_open()
        place = self._place(name)
        if place == 0 and self._opened_by_savepoint:
            self.commit()
            return
        mark = self._marks[place]
        del self._marks[place:]
        if mark.token is not None and self.begun is not None:
            self.begun.release(mark.token)

    def rollback_to(self, name: str) -> None:
        """ROLLBACK TO: undo what came after the savepoint, which stays."""
        self._check_open()
        place = self._place(name)
        mark = self._marks[place]
        del self._marks[place + 1 :]
        self.deferred_violations = mark.deferred_violations
        if mark.token is not None and self.begun is not None:
            self._buffer_results()
            self.begun.rollback_to(mark.token)
            if self.current is None:
                self.unfinished = None

    def _place(self, name: str) -> int:
        wanted = name.lower()
        for place in range(len(self._marks) - 1, -1, -1):
            if self._marks[place].name.lower() == wanted:
                return place
        raise SqlError(f"no such savepoint: {name}")

    def _token(self) -> Savepoint | None:
        transaction = self.begun
        if transaction is None:
            return None
        if transaction.writable or self.others:
            return transaction.savepoint()
        return None

    def _roll_back(self) -> None:
        self._buffer_results()
        transaction = self._leave()
        if transaction is not None:
            try:
                transaction.rollback()
            except BaseException:  # the same
                transaction.rollback()
                raise

    def _leave(self) -> Transaction | None:
        transaction = self.begun
        self.begun = self.joinable = self.unfinished = None
        self.in_transaction = self._opened_by_savepoint = self.defer_foreign_keys = False
        self.deferred_violations = 0
        if self._marks:
            self._marks.clear()
        return transaction

    def end_torn(self, error: BaseException | None) -> None:
        """If a statement was torn off in the middle of its writes: undo it, or roll the transaction back, as SQLite does,
        which the error that did so tells of."""
        if self.current is not None or not self.in_transaction:
            return
        undone = False
        try:
            while (torn := self.unfinished) is not None:
                if not torn.undone() or self.unfinished is torn:
                    break
            undone = self.unfinished is None
        finally:
            if not undone:
                self._roll_back()
                if error is not None:
                    error.add_note(ROLLED_BACK)

    def _refuse_torn(self) -> None:
        """The same for whoever comes next, where not even that was done."""
        if self.current is None:
            self.end_torn(None)
            if not self.in_transaction:
                raise SqlError(f"a statement was interrupted half-way: {ROLLED_BACK}")

    def _buffer_results(self) -> None:
        if self._has_open_results:
            for result in list(self._open_results):
                try:
                    result.buffer()
                except (
                    ValueError
                ) as error:  # the generator is running: a function ends its own query
                    raise MisuseError(
                        "cannot end the transaction - SQL statements in progress"
                    ) from error
            self._open_results.clear()
            self._has_open_results = False

    # -- what statements run in -----------------------------------------------------------------------

    def begin_transaction(self, *, write: bool) -> Transaction:
        """A transaction on all databases, in which that of `store` can be written if `write` says so."""
        main = self.store.begin(write=write, timeout=self.busy_timeout if write else None)
        return self._joint(main) if self.others else main

    def lent_reader(self) -> Transaction:
        """A transaction on the newest commit for one reading statement that is over at once.

        It is kept, and lent again: so a point query begins none, and after a commit it follows that, with the
        trees that it has looked up and the queries that are ready for them.  Not while a statement reads from
        it, one of whose functions begins another statement."""
        if self.others:
            return self._lent_joint_reader()
        newest = self.store.view()
        reader = self._reader
        if reader is not None:
            if newest is self._reader_view or self._follow(newest):
                return reader
            return self.store.begin()
        reader = self.store.begin()
        if self.store.view() is newest:
            self._reader, self._reader_view = reader, newest
            self._reader_moment = newest.moment
        return reader

    def _lent_joint_reader(self) -> Transaction:
        """`lent_reader` where there are several databases: the same one as long as nothing is committed in any."""
        stores = [self.store, *[other.store for other in self.others.values()]]
        newest = [store.view() for store in stores]
        reader = self._reader
        if reader is not None:
            if all(map(is_, newest, self._reader_views)):
                return reader
            if self.reads:
                return self.begin_transaction(write=False)
            self.drop_reader()
        made = self._joint(self.store.begin())
        if all(store.view() is view for store, view in zip(stores, newest, strict=True)):
            self._reader, self._reader_views = made, newest
        return made

    def _follow(self, newest: Any) -> bool:
        """Have the kept reader read from the newest commit; False if a statement reads from it."""
        if self.reads:
            return False
        self.store.await_turn()
        self._reader_view, self._reader_moment, self._glances = newest, newest.moment, 0
        if self._reader is None or not self._reader.follow(newest):
            self._ready.clear()
        return True

    def glances(self) -> bool:
        """Whether a query that looks at one row, and finds that something was committed, may do so without having the kept
        reader follow: that is not to stay behind for ever, with what is kept for it."""
        if self._glances >= _GLANCES_MAX:
            return False
        self._glances += 1
        self.store.await_turn()
        return True

    def quick_reader(self) -> Transaction | None:
        """What a reading statement that is over at once reads from, without anything to be ended after it;
        None if there is no such."""
        if self.in_transaction or self.current is not None:
            return self.reading_transaction()
        reader = self.lent_reader()
        if reader is self._reader:
            return reader
        reader.rollback()
        return None

    def keeps(self, reader: Transaction) -> bool:
        """Whether `reader` is the one that is kept, not to be ended by who borrowed it."""
        return reader is self._reader

    def give_reader_away(self) -> None:
        """The kept reader goes to a result that streams from it, and ends with that."""
        self._ready.clear()
        self._reader = self._reader_view = None
        self._reader_moment = _NO_MOMENT
        self._reader_views = []

    def drop_reader(self) -> None:
        """End the kept reader."""
        self._ready.clear()
        reader, self._reader, self._reader_view = self._reader, None, None
        self._reader_moment = _NO_MOMENT
        self._reader_views = []  # each keeps the file under it open
        if reader is not None:
            reader.rollback()

    def reading_transaction(self) -> Transaction | None:
        """The transaction that a reading statement joins; None if it has to begin its own."""
        transaction = self.current or self.begun
        if transaction is None and self.in_transaction:
            transaction = self.begun = self.begin_transaction(write=False)
            if self.others:
                self._take_tokens(transaction)  # before those of later marks
        return transaction

    def glance(self) -> _Glance:
        """A context manager that gives a transaction for one look at what is there now.  It begins no
        transaction that would go on: BEGIN DEFERRED has not read by it."""
        return _Glance(self)

    def joined_transaction(self, database: str = "main") -> Transaction | None:
        """The transaction that a statement joins that writes `database`, made writable; None outside of any."""
        if self._query_only:
            raise ReadOnlyError("attempt to write a readonly database")
        transaction = self.current or self.begun
        if self.unfinished is not None and self.in_transaction:
            self._refuse_torn()
        if transaction is None:
            if not self.in_transaction:
                return None
            transaction = self.begun = self.begin_transaction(write=database == "main")
            if transaction.writable:
                self._take_tokens(transaction)
        if self.others or not transaction.writable:
            self.ensure_writable(transaction, database)
        if transaction is self.begun and not self.others:
            self.joinable = transaction
        return transaction

    def quick_writer(self, database: str = "main") -> Transaction | None:
        """What a writing statement that is over at once joins, made writable, or, outside of any transaction, one
        of its own, which takes its lock late; None if there is none such."""
        if self.in_transaction or self._query_only:
            return self.joined_transaction(database)
        if self.others:
            return self._late_joint(database)
        return self.store.begin_late(self.busy_timeout)

    def ensure_writable(self, transaction: Transaction, database: str = "main") -> None:
        """Make the part of `transaction` on `database` writable."""
        joint = self._as_joint(transaction)
        if joint is not None and transaction is self.begun:
            self._take_tokens(transaction)  # they fill themselves in as the parts are upgraded
        number = self.numbers[database]
        part = transaction if joint is None else joint.parts[number]
        if part.writable and (joint is None or number not in joint.upgrading):
            return
        if (self.store if joint is None else joint.stores[number]).readonly:
            raise ReadOnlyError("attempt to write a readonly database")
        try:
            if joint is None:
                transaction.upgrade(self.busy_timeout)
            else:
                joint.upgrade_part(number, self.busy_timeout)
        except ConflictError as error:
            raise ConflictError(
                "database is locked: another session has committed since this transaction"
                " began; ROLLBACK and start again"
            ) from error
        if joint is None and transaction is self.begun:
            self._take_tokens(transaction)

    def _take_tokens(self, transaction: Transaction) -> None:
        """Savepoints for the marks that were set before anything was written."""
        for mark in self._marks:
            if mark.token is None:
                mark.token = transaction.savepoint()

    # -- the raw key space ----------------------------------------------------------------------------

    def reading(self) -> Reading:
        """A context manager that gives a transaction to read: the open one, or one of its own."""
        return Reading(self)

    def writing(self) -> Writing:
        """A context manager that gives a writable transaction: the open one, or one of its own that is
        committed at the end, or rolled back on an exception."""
        return Writing(self)

    # -- the schema -----------------------------------------------------------------------------------

    @property
    def schema(self) -> Schema:
        """What the catalog holds now, as the running statement or the open transaction sees it."""
        transaction = self.current or self.begun
        if transaction is not None:
            return self.schema_of(transaction)
        with Reading(self) as transaction:
            return self.schema_of(transaction)

    def _check_open(self) -> None:
        if self.closed:
            raise MisuseError("Cannot operate on a closed database.")


class _Joining:
    """What joins the state's open transaction, or begins and ends one of its own."""

    __slots__ = ("_own", "_state")

    def __init__(self, state: TransactionState) -> None:
        self._state = state
        self._own: Transaction | None = None


class Reading(_Joining):
    """See `TransactionState.reading`."""

    __slots__ = ()

    def __enter__(self) -> Transaction:
        state = self._state
        state._check_open()
        transaction = state.reading_transaction()
        if transaction is None:
            transaction = self._own = state.begin_transaction(write=False)
        return transaction

    def __exit__(self, *_: Any) -> None:
        if self._own is not None:
            self._own.rollback()


class _Glance(_Joining):
    """See `TransactionState.glance`."""

    __slots__ = ()

    def __enter__(self) -> Transaction:
        state = self._state
        begun = state.current or state.begun
        if begun is not None:
            return begun
        self._own = state.begin_transaction(write=False)
        return self._own

    def __exit__(self, *_: Any) -> None:
        if self._own is not None:
            self._own.rollback()


class Writing(_Joining):
    """See `TransactionState.writing`."""

    __slots__ = ()

    def __enter__(self) -> Transaction:
        state = self._state
        state._check_open()
        transaction = state.joined_transaction()
        if transaction is None:
            transaction = self._own = state.begin_transaction(write=True)
        return transaction

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        own = self._own
        if own is not None:
            if kind is None:
                own.commit()
            else:
                own.rollback()
        return False
