"""The ordered key space as a Python object: `kvsh.open(path)`.

    db = kvsh.open("app.db")
    db.put("user:1", b"Ada"); db.get("user:1"); db["user:1"]; "user:1" in db
    for key, value in db.scan(prefix="user:"): ...
    with db.transaction():
        db.incr("visits"); db.execute("INSERT INTO log VALUES (?)", ("seen",))

Keys and values are bytes, or str that is encoded as UTF-8; bytes come back, and None for what is absent.
SQL's tables are in the same file and join the same transactions.

A read outside of a transaction takes the newest commit: what it needs for that is kept and follows the commits
(`reads`), so that a get costs the descent and little more.  A write outside of a transaction is one of its own,
durable when it returns; threads that write at the same time share their waits for the disk.

Threads: a `Database` may be shared.  A transaction belongs to the thread that began it, and what that
thread does on the database joins it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, starmap
from operator import index
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Never

from btree import CATALOG_TREE_ID, KeySpace, call_in_child, open_memory, open_store, other_threads
from kvsh.errors import LOWER_ERRORS, DataError, OperationalError, ProgrammingError, translated
from kvsh.mapping import KeysAsMapping, Text
from kvsh.reads import BETWEEN, DELETED, HOT_VALUE_BYTES, NOTHING, Reads, newest_keys
from kvsh.tidying import tidy
from kvsh.transaction import (
    INTEGER_MAX,
    INTEGER_MIN,
    Joined,
    ThreadEnd,
    Transaction,
    Writing,
    expires_in,
)

if TYPE_CHECKING:
    from btree import Store
    from kvsh.connection import Connection
    from kvsh.cursor import Cursor

Durability = Literal["full", "normal", "off"]

CACHE_BYTES = 256 << 20
_HOT_SHARE_BYTES = 2048
"""The hash index of hot keys has one entry for so many bytes of the cache."""


def open(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    durability: Durability = "full",
    readonly: bool = False,
    timeout: float = 5.0,
    at: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Database:
    """The database in the file at `path`, made if it is not there; ":memory:" is a scratch one.

    `durability`: "full" (a commit is on the disk when it returns), "normal" (it may be lost by a power
    cut, but never half of it) or "off".  `timeout`: seconds to wait for another writer.  `at`: the number of
    a commit to see the database as it was then, read-only.  `cache_bytes`: the memory that
    decoded pages may take.  Raises OperationalError if the file can't be opened, DatabaseError if it
    is no kvsh database or damaged.

    >>> db = open(":memory:")
    >>> db.put("greeting", "hello")
    >>> db.get("greeting")
    b'hello'
    """
    name = os.fsdecode(path)
    try:
        if name == ":memory:":
            store = open_memory(durability=durability, readonly=readonly, timeout=timeout, at=at)
        else:
            store = open_store(
                name,
                durability=durability,
                readonly=readonly,
                timeout=timeout,
                at=at,
                cache_bytes=cache_bytes,
                compacts=True,
            )
    except LOWER_ERRORS as error:
        raise translated(error) from error
    return Database(store, timeout, cache_bytes)


def _as_bytes(text: Any) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    raise TypeError(f"keys and values are bytes or str, not {type(text).__name__}")


def _bound(text: Text | None) -> bytes | None:
    return None if text is None else _as_bytes(text)


class Database(KeysAsMapping):
    """An open database; made by `kvsh.open`.  Closed by `close()` or at the end of a `with`.

    >>> db = open(":memory:")
    >>> with db.transaction():
    ...     db.put("user:1", "Ada")
    ...     db.put("user:2", "Bob")
    ...     db.incr("users", 2)
    2
    >>> list(db.scan(prefix="user:"))
    [(b'user:1', b'Ada'), (b'user:2', b'Bob')]
    >>> db.execute("SELECT count(*) FROM kv").fetchone()
    (3,)
    """

    def __init__(self, store: Store, timeout: float, cache_bytes: int = CACHE_BYTES) -> None:
        self._store = store
        self._hot_max = cache_bytes // _HOT_SHARE_BYTES
        self._renew_lock()
        self._timeout = timeout
        self._view = store.view
        self._is_newest = store.is_newest
        self._reads: Reads = NOTHING
        self._transactions: dict[int, Joined] = {}  # by thread
        self._local = threading.local()
        self._closed = False
        call_in_child(self, Database._renew_lock)

    def _renew_lock(self) -> None:
        self._reads_lock = threading.Lock()

    # -- one key -----------------------------------------------------------------------------------

    def get(self, key: Text, default: bytes | None = None) -> bytes | None:
        """The value at `key`, else `default`."""
        if key.__class__ is not bytes:
            key = _as_bytes(key)
        try:
            if self._transactions:
                joined = self._transactions.get(get_ident())
                if joined is not None:
                    value = joined.get(key)
                    return default if value is None else value
            reads = self._reads
            moment = reads.moment
            if not self._is_newest(moment):
                reads = self._followed()
                moment = reads.moment
            hot = reads.hot
            value = hot.get(key)
            if value is not None:
                return value
            if reads.changed:
                value = reads.changed.get(key)
                if value is not None:
                    return default if value is DELETED else value
            value = reads.get(key)
            if value.__class__ is bytes:
                if len(value) <= HOT_VALUE_BYTES:
                    with self._reads_lock:
                        # Else the value may have been replaced since.
                        if reads is self._reads and reads.moment is moment:
                            if len(hot) >= self._hot_max:
                                hot.clear()
                            hot[key] = value
                return value
            if value is not None:
                value = reads.space.get(key)  # it may have expired
            return default if value is None else value
        except LOWER_ERRORS as error:
            self._check_open()
            raise translated(error) from error

    def put(self, key: Text, value: Text, ttl: float | None = None) -> None:
        """Insert or replace; with `ttl`, the key is gone after so many seconds."""
        if key.__class__ is not bytes:
            key = _as_bytes(key)
        if value.__class__ is not bytes:
            value = _as_bytes(value)
        try:
            transactions = self._transactions
            if transactions:
                joined = transactions.get(get_ident())
                if joined is not None:
                    if ttl is None:
                        joined.put(key, value)
                    else:
                        joined.writing().put(key, value, expires_in(ttl))
                    return
            if ttl is None:
                self._store.put(key, value)
                return
            with self._writing() as space:
                space.put(key, value, expires_in(ttl))
        except LOWER_ERRORS as error:
            self._check_open()
            raise translated(error) from error

    def delete(self, key: Text) -> bool:
        """Remove; False if there is no such key."""
        if key.__class__ is not bytes:
            key = _as_bytes(key)
        try:
            joined = self._transactions.get(get_ident()) if self._transactions else None
            if joined is not None:
                return joined.delete(key)
            reads, moment = self._newest_reads()
            if reads.look_up(key).__class__ is bytes and self._put_since(
                reads, moment, key, DELETED
            ):
                return True
        except LOWER_ERRORS as error:
            self._check_open()
            raise translated(error) from error
        with self._writing() as space:  # it is absent, or may expire, or somebody else writes
            return space.delete(key)

    def exists(self, key: Text) -> bool:
        """Whether `key` is there."""
        return self.get(key) is not None

    def incr(self, key: Text, by: int = 1) -> int:
        """Add `by` to the decimal number at `key` (an absent one counts as 0); the new number.

        Keeps an expiry.  Raises DataError if the value is no number, or the sum leaves 64 bits."""
        name = _as_bytes(key)
        by = index(by)
        try:
            if not self._transactions or get_ident() not in self._transactions:
                reads, moment = self._newest_reads()
                old = reads.look_up(name)
                if old.__class__ is bytes:
                    number = _sum(name, old, by)
                    if self._put_since(reads, moment, name, b"%d" % number):
                        return number
        except LOWER_ERRORS as error:
            self._check_open()
            raise translated(error) from error
        with self._writing() as space:  # it is absent, or may expire, or somebody else writes
            number = _sum(name, space.get(name) or b"", by)
            left_ms = space.ttl(name)
            space.put(name, b"%d" % number, None if left_ms is None else expires_in(left_ms / 1000))
            return number

    # -- expiry ------------------------------------------------------------------------------------

    def expire(self, key: Text, ttl: float) -> bool:
        """Let `key` be gone after `ttl` seconds; False if there is no such key."""
        name = _as_bytes(key)
        with self._writing() as space:
            return space.expire(name, expires_in(ttl))

    def ttl(self, key: Text) -> float | None:
        """Seconds that `key` has left; None if it is absent or does not expire."""
        space = self._reading()
        try:
            left_ms = space.ttl(_as_bytes(key))
        except LOWER_ERRORS as error:
            raise translated(error) from error
        return None if left_ms is None else left_ms / 1000

    def persist(self, key: Text) -> bool:
        """Take the expiry away; False if there is no such key or it had none."""
        name = _as_bytes(key)
        with self._writing() as space:
            return space.persist(name)

    # -- many keys ---------------------------------------------------------------------------------

    def scan(
        self,
        lo: Text | None = None,
        hi: Text | None = None,
        prefix: Text | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) pairs in the order of their keys (or reversed), at most `limit`.

        Keys are `lo <= key < hi` and start with `prefix`.  The pairs are those of one moment: the call's.
        Raises ValueError for a negative `limit`."""
        if limit is not None and index(limit) < 0:
            raise ValueError(f"limit is {limit}: it is None, or 0 or more")
        batches = self._batches(_bound(lo), _bound(hi), prefix=_bound(prefix), reverse=reverse)
        pairs = chain.from_iterable(starmap(zip, batches))
        return pairs if limit is None else islice(pairs, index(limit))

    def count(
        self, lo: Text | None = None, hi: Text | None = None, prefix: Text | None = None
    ) -> int:
        """How many keys `scan` would give; O(1) for all of them if none ever had an expiry."""
        space = self._reading()
        try:
            return space.count(_bound(lo), _bound(hi), _bound(prefix))
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def update(self, pairs: Mapping[Any, Text] | Iterable[tuple[Text, Text]]) -> None:
        """Put all of `pairs` in one transaction, in bulk."""
        items = pairs.items() if isinstance(pairs, Mapping) else pairs
        latest = {_as_bytes(key): _as_bytes(value) for key, value in items}
        try:
            with self.transaction():
                self._transactions[get_ident()].load(latest)
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All pairs: `scan()`."""
        return self.scan()

    def _delete_range(self, lo: Text | None, hi: Text | None, prefix: Text | None) -> int:
        """Remove a range of keys, within a transaction of this thread."""
        try:
            space = self._transactions[get_ident()].writing()
            batches = space.batches(_bound(lo), _bound(hi), prefix=_bound(prefix))
            keys = list(chain.from_iterable(keys for keys, _ in batches))
            space.delete_many(keys)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        return len(keys)

    # -- transactions and SQL ----------------------------------------------------------------------

    def transaction(self) -> Transaction:
        """A transaction of this thread: `with db.transaction(): ...`.

        It takes the writer's lock (on a read-only database, a snapshot) at its beginning; leaving the
        block commits, an exception rolls back.  Inside of one, it is a savepoint."""
        self._check_open()
        return Transaction(self, self._transactions)

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Cursor:
        """Run one SQL statement; its cursor.  It joins this thread's transaction, or is one of its own."""
        self._check_open()
        connection = self._connection()
        try:
            return connection.execute(sql, parameters)
        finally:
            self._follow(connection)

    def _connection(self) -> Connection:
        """This thread's SQL connection, on which `execute` runs (autocommit)."""
        self._check_open()
        known: Connection | None = getattr(self._local, "connection", None)
        if known is None:
            from kvsh.connection import Connection

            known = self._local.connection = Connection.on_store(self._store, self._timeout)
            self._local.end = ThreadEnd(self._transactions)
        return known

    def _follow(self, connection: Connection) -> None:
        """Note a transaction that SQL began or ended."""
        thread = get_ident()
        joined = self._transactions.get(thread)
        if connection.in_transaction:
            if joined is None:
                self._transactions[thread] = Joined(connection.session)
        elif joined is not None:
            del self._transactions[thread]

    # -- the file ----------------------------------------------------------------------------------

    @property
    def path(self) -> str | None:
        """The file's path, None for a database in memory."""
        return self._store.path

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def checkpoint(self) -> None:
        """Write what the next open would have to replay."""
        self._on_store("checkpoint")

    def compact(self, *, progress: Callable[[int, int], object] | None = None) -> None:
        """Rewrite the file without its dead bytes.

        `progress` is called with (pages done, pages in all) now and then.  What it raises abandons the
        compaction: the file stays as it was."""
        self._reads = NOTHING
        self._on_store("compact", progress=progress)

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """Copy the database, as of now, to a file; others go on reading and writing.

        `progress` is called with (pages done, pages in all) now and then.  What it raises abandons the
        backup: a file that was at `path` before stays as it was."""
        self._on_store("backup", os.fspath(path), progress=progress)

    def check(self) -> list[str]:
        """Every problem of the file, its trees, tables and indexes, a sentence each; [] if all is well."""
        problems: list[str] = self._on_store("check")
        try:
            seen = self._store.begin()
            try:
                has_tables = len(seen.tree(CATALOG_TREE_ID)) > 0
            finally:
                seen.rollback()
        except LOWER_ERRORS as error:
            raise translated(error) from error
        if problems or not has_tables:
            return problems
        rows = self.execute("PRAGMA integrity_check(1000)").fetchall()
        return [row[0] for row in rows if row[0] != "ok"]

    def _on_store(self, operation: str, *arguments: Any, **options: Any) -> Any:
        self._check_open()
        if get_ident() in self._transactions and operation != "check":
            raise OperationalError(f"cannot {operation} within a transaction")
        try:
            return getattr(self._store, operation)(*arguments, **options)
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def close(self) -> None:
        """Roll back what is open and let go of the file, compacted if that is due and quickly done.

        Other threads are refused what they do from now on.  Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._reads = NOTHING
        try:
            # Those of other threads end with the store: what they are doing meets its end.
            joined = self._transactions.pop(get_ident(), None)
            if joined is not None:
                joined.abandon()
            connection = getattr(self._local, "connection", None)
            if connection is not None:
                connection.close()
            tidy(self._store)
            self._store.close()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def __reduce__(self) -> Never:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __enter__(self) -> Database:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " (closed)" if self._closed else ""
        return f"<kvsh.Database {self.path or ':memory:'}{state}>"

    # -- what reads and writes run in ----------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed database.")

    def _followed(self) -> Reads:
        """What single keys are read from as of the newest commit, kept for the reads to come."""
        self._check_open()
        self._store.await_turn()
        with self._reads_lock:
            reads = self._reads
            if reads is not NOTHING and (
                self._is_newest(reads.moment) or reads.follow(self._store, self._hot_max)
            ):
                return reads
            return self._begun()

    def _begun(self) -> Reads:
        """The same, on a new view; under the lock."""
        older = None if self._reads is NOTHING else self._reads
        self._reads = reads = Reads(self._store, self._hot_max, older)
        return reads

    def _newest_reads(self) -> tuple[Reads, Any]:
        """What single keys are read from, and the moment of the newest commit: what is read now is as of that
        moment, or of a later one."""
        reads = self._reads
        moment = reads.moment
        if not self._is_newest(moment):
            reads = self._followed()
            moment = reads.moment
        return reads, moment

    def _put_since(self, reads: Reads, moment: Any, key: bytes, value: Any) -> bool:
        """Commit a change of one key, which was made of what `reads` gave as of a moment, if nobody has committed
        anything since."""
        # Another thread may have noted a commit of its own since `reads` followed.
        lsn = 0 if moment is BETWEEN else self._store.put_since(moment, key, value)
        if not lsn:
            return False
        with self._reads_lock:
            if reads is self._reads:
                reads.note(lsn, key, value)
        return True

    def _keys(self) -> KeySpace:
        """The keys as this thread sees them now."""
        joined = self._transactions.get(get_ident())
        if joined is not None:
            return joined.reading()
        if other_threads():
            self._store.await_turn()
            return newest_keys(self._store)
        reads = self._reads
        if reads.view is not self._view():
            self._check_open()
            self._store.await_turn()
            with self._reads_lock:
                reads = self._reads
                if reads.view is not self._view():
                    reads = self._begun()
        return reads.space

    def _reading(self) -> KeySpace:
        self._check_open()
        try:
            return self._keys()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def _batches(self, *bounds: bytes | None, **which: Any) -> Iterator[Any]:
        """(keys, values) in order, those of this moment."""
        space = self._reading()
        try:
            batches = space.batches(*bounds, **which)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        joined = self._transactions.get(get_ident()) if self._transactions else None
        return _translating(batches if joined is None else joined.kept(batches))

    def _writing(self) -> Writing:
        self._check_open()
        return Writing(self._store, self._transactions.get(get_ident()))


def _sum(key: bytes, value: bytes, by: int) -> int:
    """The decimal number that is the value of a key, and `by`."""
    try:
        number = int(value or b"0") + by
    except ValueError:
        raise DataError(f"the value of {key!r} is no whole number") from None
    if not INTEGER_MIN <= number <= INTEGER_MAX:
        raise DataError(f"the value of {key!r} would leave 64 bits")
    return number


def _translating(
    batches: Iterator[tuple[list[bytes], list[bytes]]],
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    try:
        yield from batches
    except LOWER_ERRORS as error:
        raise translated(error) from error
