"""Transactions of `kvsh.Database`: one per thread, shared by raw keys and SQL.

A transaction is that of a SQL session, so that statements and raw keys see and undo the same work.
`Joined` is what the database's methods use while their thread has one open; `Transaction` is what the
caller holds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Never

from btree import RAW_TREE_ID, KeySpace
from kvsh.errors import LOWER_ERRORS, DataError, ProgrammingError, translated

if TYPE_CHECKING:
    from btree import Store
    from kvsh.database import Database
    from sql import Session

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1


def expires_in(seconds: float) -> int:
    """The moment `seconds` from now, in milliseconds since the epoch.  Raises DataError if that is none, or
    none that can be stored, TypeError if it is no number."""
    try:
        moment = time.time_ns() // 1_000_000 + int(seconds * 1000.0)
    except TypeError:
        what = type(seconds).__name__
        raise TypeError(f"a key expires in a number of seconds, not {what}") from None
    except (OverflowError, ValueError):  # infinite, no number
        moment = INTEGER_MAX + 1
    if not INTEGER_MIN <= moment <= INTEGER_MAX:
        raise DataError(f"a key can't expire in {seconds} seconds")
    return moment


class Joined:
    """The open transaction of a thread.

    `put(key, value)` is the transaction's own `put_raw` once that is the writer's."""

    __slots__ = ("_session", "_space", "_transaction", "_tree", "put")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._transaction: Any = None  # the database's half, once it is the writer's
        self._tree: Any = None
        self._space: Any = None
        self.put: Callable[[Any, Any], None] = self._first_put
        transaction = session.reading_transaction()
        if transaction is not None and transaction.writable:
            self.writing()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key` as the transaction sees it."""
        transaction = self._transaction
        if transaction is None:
            return self.reading().get(key)
        puts = transaction.raw_puts if transaction.put_log else transaction.puts_by_key
        value = puts.get(key)
        if value is None:
            value = self._tree.get(key)
        elif value is False:  # deleted
            return None
        if value.__class__ is tuple:  # of the tree, then, and it may have expired
            return self._space.get(key)  # type: ignore[no-any-return]
        return value  # type: ignore[no-any-return]

    def delete(self, key: bytes) -> bool:
        """Remove; False if there is no such key."""
        if self._space is None:
            self.writing()
        # In a key space with expiry, what is there may be gone already.
        live = not self._tree.kinds or self.get(key) is not None
        there: bool = self._transaction.delete_raw(key)
        return there and live

    def reading(self) -> KeySpace:
        """The keys as the transaction sees them."""
        if self._space is not None:
            return self.writing()
        with self._session.reading() as transaction:
            return KeySpace(transaction)

    def writing(self) -> KeySpace:
        """The keys, to write them too.  Raises ConflictError, BusyError, ReadOnlyError."""
        if self._space is None:
            with self._session.writing() as transaction:
                self._space = KeySpace(transaction)
                self._transaction = getattr(transaction, "main", transaction)
                self._tree = transaction.tree(RAW_TREE_ID)
                self.put = self._transaction.put_raw
        else:
            self._transaction.tree(RAW_TREE_ID)  # has what was put off put
        space: KeySpace = self._space
        return space

    def _first_put(self, key: bytes, value: bytes) -> None:
        self.writing()
        self.put(key, value)

    def load(self, items: dict[bytes, bytes]) -> None:
        """Put all of `items`."""
        with self._session.writing() as transaction:
            keys = sorted(items)
            transaction.tree(RAW_TREE_ID).load(keys, [items[key] for key in keys])

    def kept(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches; those that are left are read when the transaction, which they come from, ends."""
        from sql import Result

        result = Result(None, batches)
        self._session.note_open_result(result)
        return result.batches()

    def abandon(self) -> None:
        """Roll back."""
        if self._session.in_transaction:
            self._session.rollback()


class ThreadEnd:
    """Kept among a thread's own variables: when the thread ends, so does the transaction that it has left open.  The
    next thread may have its number, and would take part."""

    __slots__ = ("_pid", "_thread", "_transactions")

    def __init__(self, transactions: dict[int, Joined]) -> None:
        self._transactions = transactions
        self._thread = get_ident()
        self._pid = os.getpid()

    def __del__(self) -> None:
        if self._thread in self._transactions and self._pid == os.getpid():
            self._transactions.pop(self._thread).abandon()


class Transaction:
    """`with db.transaction(): ...`; begun at `__enter__`, ended at `__exit__` or before by
    `commit()` or `rollback()`."""

    __slots__ = ("_database", "_is_savepoint", "_name", "_session", "_thread", "_transactions")

    def __init__(self, database: Database, transactions: dict[int, Joined]) -> None:
        self._database = database
        self._transactions = transactions
        self._session: Session | None = None
        self._thread = 0
        self._is_savepoint = False
        self._name = f"kvsh {id(self)}"

    def __reduce__(self) -> Never:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __enter__(self) -> Transaction:
        if self._session is not None:
            raise ProgrammingError("this transaction has begun already")
        session = self._database._connection().session
        self._thread = get_ident()
        was_open = session.in_transaction  # by SQL: not to be ended here
        try:
            if self._thread in self._transactions:
                self._is_savepoint = True
                session.savepoint(self._name)
            else:
                session.begin("DEFERRED" if session.store.readonly else "IMMEDIATE")
                self._transactions[self._thread] = Joined(session)
            self._session = session
        except LOWER_ERRORS as error:
            raise translated(error) from error
        except BaseException:  # Ctrl-C: nobody will come to `__exit__`
            if not was_open:
                self._give_up(session)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        session = self._session
        if session is not None:
            try:
                if error is None:
                    self.commit()
                else:
                    self.rollback()
            except BaseException:  # Ctrl-C, maybe before they have begun
                self._give_up(session)
                raise
        return False

    def _give_up(self, session: Session) -> None:
        """Roll back what Ctrl-C has kept from its end, since nobody has a hand on it any more.  A savepoint ends with the
        transaction that it is in."""
        if get_ident() == self._thread and not self._is_savepoint:
            self._session = None
            self._transactions.pop(self._thread, None)
            if session.in_transaction and not session.closed:
                session.rollback()

    def commit(self) -> None:
        """Durable and visible when it returns (of a nested transaction: part of the outer one)."""
        session = self._ended()
        try:
            if session is None:
                return
            if self._is_savepoint:
                session.release(self._name)
                return
            try:
                session.commit()
            except LOWER_ERRORS:
                if session.in_transaction:
                    session.rollback()
                raise
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def rollback(self) -> None:
        """Undo all that was done since the beginning, and end."""
        session = self._ended()
        try:
            if session is None:
                return
            if self._is_savepoint:
                session.rollback_to(self._name)
                session.release(self._name)
                return
            session.rollback()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def _ended(self) -> Session | None:
        """The session whose transaction or savepoint is to end now; None if SQL has ended it."""
        session, self._session = self._session, None
        if session is None:
            raise ProgrammingError("this transaction has ended")
        if get_ident() != self._thread:
            self._session = session
            raise ProgrammingError("a transaction is ended by the thread that began it")
        if not self._is_savepoint:
            self._transactions.pop(self._thread, None)
        if session.closed or not session.in_transaction:
            return None
        return session


class Writing:
    """`with` it: the key space to write, of the open transaction or of one that commits at the end."""

    __slots__ = ("_joined", "_own", "_store")

    def __init__(self, store: Store, joined: Joined | None) -> None:
        self._store = store
        self._joined = joined
        self._own: Any = None

    def __enter__(self) -> KeySpace:
        try:
            if self._joined is not None:
                return self._joined.writing()
            self._own = self._store.begin(write=True)
            return KeySpace(self._own)
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        try:
            if self._own is not None:
                if error is None:
                    self._own.commit()
                else:
                    self._own.rollback()
        except LOWER_ERRORS as failure:
            raise translated(failure) from failure
        if isinstance(error, LOWER_ERRORS):
            raise translated(error) from error
        return False
