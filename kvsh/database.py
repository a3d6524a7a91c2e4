"""`kvsh.open(path)`: the ordered key space as a Python mapping, and SQL beside it.

Keys and values are bytes; str is taken as UTF-8, bytes come back.  Any number of threads may share one
`Database`: each has transactions of its own, and commits of several threads are synced together.

    >>> import kvsh
    >>> db = kvsh.open(":memory:")
    >>> db.put("user:1", "Ada")
    >>> db.get("user:1"), db.get("user:2")
    (b'Ada', None)
    >>> with db.transaction():
    ...     db.put("user:2", b"Grace")
    ...     _ = db.execute("CREATE TABLE t(a)")
    >>> list(db.scan(prefix="user:"))
    [(b'user:1', b'Ada'), (b'user:2', b'Grace')]
    >>> db.close()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from btree import RAW_TREE_ID, KeySpace, open_memory, open_store
from btree.keyspace import now_ms, prefix_end
from kvsh.errors import LOWER_ERRORS, ProgrammingError, translated

if TYPE_CHECKING:
    from types import TracebackType

    from btree import Store, Transaction
    from engine import Durability
    from sql import Session

Key = bytes | str


class _State(threading.local):
    """What belongs to one thread."""

    def __init__(self) -> None:
        self.view: object = None  # what `reader` was begun on
        self.reader: Transaction | None = None
        self.get: Any = None  # the raw tree's lookup, of the reader or the open transaction
        self.put: Any = None  # the raw tree's, while a transaction is open
        self.transaction: Transaction | None = None
        self.session: Session | None = None


class Database:
    """An open database; make one with `kvsh.open`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._view: Any = getattr(store, "view", None)
        self._state = _State()
        self._closed = False

    # -- single keys -----------------------------------------------------------------------------

    def get(self, key: Key) -> bytes | None:
        """The value at `key`, None if it is absent or has expired.  O(log n), no lock, no system call."""
        if key.__class__ is not bytes:
            key = _bytes(key)
        state = self._state
        if state.transaction is None:
            try:
                if self._view() is not state.view:
                    self._renew(state)
            except TypeError:
                self._renew(state)
            except LOWER_ERRORS as error:
                raise translated(error) from error
        try:
            value = state.get(key)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        if value.__class__ is tuple:
            return value[0] if value[1] > now_ms() else None  # type: ignore[no-any-return]
        return value  # type: ignore[no-any-return]

    def _renew(self, state: _State) -> None:
        """Begin this thread's reader on the newest commit."""
        try:
            if state.reader is not None:
                state.reader.rollback()
            state.reader = self._store.begin()
        except LOWER_ERRORS as error:
            raise translated(error) from error
        state.view = None if self._view is None else self._view()
        state.get = state.reader.tree(RAW_TREE_ID).get

    def put(self, key: Key, value: Key, ttl: float | None = None) -> None:
        """Set a key.  `ttl`: seconds until it expires.  Outside a transaction durable when it returns."""
        if key.__class__ is not bytes:
            key = _bytes(key)
        if value.__class__ is not bytes:
            value = _bytes(value)
        state = self._state
        if state.put is not None and ttl is None:
            try:
                state.put(key, value)
            except LOWER_ERRORS as error:
                raise translated(error) from error
            return
        with self._writing() as transaction:
            if ttl is None:
                transaction.tree(RAW_TREE_ID).put(key, value)
            else:
                KeySpace(transaction).put(key, value, now_ms() + int(ttl * 1000))  # type: ignore[arg-type]

    def delete(self, key: Key) -> bool:
        """Remove a key; whether it was there."""
        with self._writing() as transaction:
            return KeySpace(transaction).delete(_bytes(key))

    def exists(self, key: Key) -> bool:
        """Whether the key is there."""
        return self.get(key) is not None

    def incr(self, key: Key, step: int = 1) -> int:
        """Add to a whole number (an absent key is 0); the new value.  ValueError if it is none."""
        name = _bytes(key)
        with self._writing() as transaction:
            space = KeySpace(transaction)
            value = int(space.get(name) or b"0") + step
            left = space.ttl(name)
            space.put(name, b"%d" % value, None if left is None else now_ms() + left)
            return value

    def expire(self, key: Key, ttl: float) -> bool:
        """Let a key expire in `ttl` seconds; False if there is no such key."""
        with self._writing() as transaction:
            return KeySpace(transaction).expire(_bytes(key), now_ms() + int(ttl * 1000))

    def ttl(self, key: Key) -> float | None:
        """Seconds until the key expires; None if it is absent or does not."""
        with self._reading() as transaction:
            left = KeySpace(transaction).ttl(_bytes(key))
            return None if left is None else left / 1000

    def persist(self, key: Key) -> bool:
        """Take a key's expiry away; False if it had none."""
        with self._writing() as transaction:
            return KeySpace(transaction).persist(_bytes(key))

    # -- ranges ----------------------------------------------------------------------------------

    def scan(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        prefix: Key | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) pairs with lo <= key < hi, in key order or reversed, of one snapshot."""
        low, high = _range(lo, hi, prefix)
        transaction = self._state.transaction
        own = None
        try:
            if transaction is None:
                own = transaction = self._store.begin()
            batches = KeySpace(transaction).batches(low, high, reverse=reverse)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        pairs = chain.from_iterable(zip(keys, values, strict=True) for keys, values in batches)
        found: Iterator[tuple[bytes, bytes]] = pairs if limit is None else islice(pairs, limit)
        return found if own is None else _ending(found, own)

    def count(self, lo: Key | None = None, hi: Key | None = None, prefix: Key | None = None) -> int:
        """How many keys the range has."""
        low, high = _range(lo, hi, prefix)
        with self._reading() as transaction:
            return KeySpace(transaction).count(low, high)

    # -- the mapping protocol --------------------------------------------------------------------

    def __getitem__(self, key: Key) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Key, value: Key) -> None:
        self.put(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, (bytes, str)) and self.get(key) is not None

    def __iter__(self) -> Iterator[bytes]:
        return (key for key, _ in self.scan())

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True

    # -- transactions ----------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """Everything this thread does inside is one transaction: committed at the end, rolled back on an
        exception.  Inside of another one it is a savepoint."""
        state = self._state
        session = self._session()
        if state.transaction is not None:
            with self._savepoint(session):
                yield self
            return
        try:
            session.begin("IMMEDIATE")
            transaction = session.joined_transaction(temporary=False)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        assert transaction is not None
        self._enter(state, transaction)
        try:
            yield self
        except BaseException:
            self._leave(state)
            session.rollback()
            raise
        self._leave(state)
        try:
            session.commit()
        except LOWER_ERRORS as error:
            if session.in_transaction:
                session.rollback()
            raise translated(error) from error

    @contextmanager
    def _savepoint(self, session: Session) -> Iterator[None]:
        session.savepoint("kvsh nested")
        try:
            yield
        except BaseException:
            session.rollback_to("kvsh nested")
            session.release("kvsh nested")
            raise
        session.release("kvsh nested")

    def _enter(self, state: _State, transaction: Transaction) -> None:
        tree = transaction.tree(RAW_TREE_ID)
        state.transaction = transaction
        state.get, state.put = tree.get, tree.put

    def _leave(self, state: _State) -> None:
        state.transaction = state.put = state.get = state.view = None

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        transaction = self._state.transaction
        try:
            if transaction is not None:
                yield transaction
                return
            transaction = self._store.begin()
            try:
                yield transaction
            finally:
                transaction.rollback()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        transaction = self._state.transaction
        try:
            if transaction is not None:
                yield transaction
                return
            transaction = self._store.begin(write=True)
            try:
                yield transaction
            except BaseException:
                transaction.rollback()
                raise
            transaction.commit()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    # -- SQL -------------------------------------------------------------------------------------

    def _session(self) -> Session:
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed database.")
        state = self._state
        if state.session is None:
            from sql import Session

            state.session = Session(self._store)
        return state.session

    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run one SQL statement, in this thread's transaction if one is open; all its rows."""
        try:
            return self._session().execute(sql, parameters).fetch_all()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    # -- the file --------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Write what the next open would have to replay."""
        self._upkeep(self._store.checkpoint)

    def compact(self) -> None:
        """Rewrite the file without its dead bytes; others go on reading and writing."""
        self._upkeep(self._store.compact)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """A consistent copy of the newest commit at `path`."""
        self._upkeep(lambda: self._store.backup(os.fspath(path)))

    def check(self) -> list[str]:
        """Every problem of the file and its trees as a sentence; [] when all is well."""
        problems: list[str] = []
        self._upkeep(lambda: problems.extend(self._store.check()))
        return problems

    def _upkeep(self, action: Any) -> None:
        try:
            action()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def close(self) -> None:
        """Let go of the file.  Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        state = self._state
        if state.reader is not None:
            state.reader.rollback()
            state.reader = None
        if state.session is not None:
            state.session.close()
            state.session = None
        self._upkeep(self._store.close)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _bytes(key: object) -> bytes:
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, (bytes, bytearray, memoryview)):
        return bytes(key)
    raise TypeError(f"keys and values are bytes or str, not {type(key).__name__}")


def _range(lo: Key | None, hi: Key | None, prefix: Key | None) -> tuple[bytes | None, bytes | None]:
    low = None if lo is None else _bytes(lo)
    high = None if hi is None else _bytes(hi)
    if prefix is not None:
        start = _bytes(prefix)
        end = prefix_end(start)
        low = start if low is None else max(low, start)
        if end is not None:
            high = end if high is None else min(high, end)
    return low, high


def _ending(
    pairs: Iterator[tuple[bytes, bytes]], transaction: Transaction
) -> Iterator[tuple[bytes, bytes]]:
    """The pairs; their transaction ends with them."""
    try:
        yield from pairs
    finally:
        transaction.rollback()


def open_database(
    path: str | os.PathLike[str],
    *,
    durability: Durability = "full",
    readonly: bool = False,
    timeout: float = 5.0,
    at: int | None = None,
    cache_bytes: int = 256 << 20,
) -> Database:
    """Open the database at `path`, made if it is not there; ":memory:" is a scratch one.

    `durability`: "full" (a commit is on the disk when it returns), "normal" or "off".  `timeout`:
    seconds to wait for another writer.  `at`: as it was at that commit, read-only.  `cache_bytes`:
    memory that pages may take.  Raises OperationalError, DatabaseError."""
    name = os.fspath(path)
    try:
        if name == ":memory:":
            return Database(open_memory())
        return Database(
            open_store(
                name,
                durability=durability,
                readonly=readonly,
                timeout=timeout,
                at=at,
                cache_bytes=cache_bytes,
            )
        )
    except LOWER_ERRORS as error:
        raise translated(error) from error
