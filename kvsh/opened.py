"""The open database of a shell: its store, its SQL session (made when first needed), its transactions."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, Unpack

from btree import StoreError
from kvsh.arguments import CommandError
from kvsh.tidying import tidy
from kvsh.uri import attached_by_uri, located

if TYPE_CHECKING:
    from btree import Store, Transaction
    from kvsh.uri import Location
    from sql import Session


class Given(TypedDict, total=False):
    """What the command line says, or leaves unsaid."""

    database: str | None
    words: list[str]
    inputs: list[tuple[str, str]]
    """What -f and -c name, in order: ("file", path) or ("command", text)."""
    readonly: bool
    at: int | None
    durability: str
    timeout: float
    statement_timeout: float | None
    cache_bytes: int
    safe: bool
    yes: bool
    keep_going: bool
    batch: bool
    mode: str | None
    headers: bool | None
    null: str | None
    separator: str | None
    timer: bool
    echo: bool
    parameters: dict[str, str]


class Options:
    """How to open databases, and what the command line decided."""

    def __init__(self, **given: Unpack[Given]) -> None:
        self.readonly: bool = given.get("readonly", False)
        self.at: int | None = given.get("at")
        self.durability: str = given.get("durability", "full")
        self.timeout: float = given.get("timeout", 5.0)
        self.cache_bytes: int = given.get("cache_bytes", 256 << 20)
        self.safe: bool = given.get("safe", False)
        self.yes: bool = given.get("yes", False)


_NOT_TO_BE_WRITTEN = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What the system says of a file that may be there to be read."""


def _refused(*_: object, **__: object) -> NoReturn:
    """What --safe makes of a copy to another file."""
    raise CommandError("not available with --safe: it reads or writes files")


def advice(name: str | None) -> str:
    """What to do with a file that could not be opened, if there is anything; `name` is a path or a URI."""
    from kvsh.transfer.formats import KVSH_HEAD, SQLITE_HEAD, promised, unzipped
    from kvsh.transfer.sqlite_files import begins

    try:
        path = located(name or "").path
    except StoreError:
        return ""
    if path is None or not begins(path, b"") or begins(path, KVSH_HEAD):
        return ""
    if begins(path, SQLITE_HEAD):
        return f"; `kvsh NEW.db .import {path}` makes a database of it"
    format = promised(path)
    if (format == "sql" and unzipped(path) == path) or begins(path, b"#!"):
        return f"; `kvsh FILE.db -f {path}` runs it"
    return f"; `kvsh FILE.db .import {path}` loads it" if format else ""


class OpenDatabase:
    """A store and what is open in it.  `path` None is the scratch database in memory."""

    def __init__(self, name: str | None, options: Options) -> None:
        """`name`: a path, or a URI; "" and ":memory:" are in memory, too."""
        self.options = options
        self.on_open: list[Callable[[], None]] = []
        self.on_idle: Callable[[], None] | None = None  # what to do while the user thinks
        self.statement_timeout: float | None = None
        self._session: Session | None = None
        self._changes_before = 0  # the session's changes when nothing was open
        self.not_writable: str | None = (
            None  # why a file was opened read-only that was to be written
        )
        self.unopened: str | None = None  # a file that was named to be repaired
        location = located(name or "", readonly=options.readonly)
        self.store: Store = self._opened(location, at=options.at)
        self.options.readonly = location.readonly
        self.path = location.path

    def _opened(self, location: Location, *, at: int | None) -> Store:
        import btree

        options = self.options
        path, readonly = location.path, location.readonly
        if path is None:
            self.not_writable = None
            return btree.open_memory(location.shared, readonly=readonly, at=at)

        def attempt(*, readonly: bool) -> Store:
            return btree.open_store(
                path,
                durability=options.durability,  # type: ignore[arg-type]
                readonly=readonly,
                at=at,
                timeout=options.timeout,
                cache_bytes=options.cache_bytes,
                scans_once=True,
            )

        why = None
        try:
            store = attempt(readonly=readonly)
        except btree.StorageError as error:
            cause = error.__cause__
            if readonly or not isinstance(cause, OSError) or cause.errno not in _NOT_TO_BE_WRITTEN:
                raise
            try:
                store = attempt(readonly=True)  # who only looks, may; who writes, is told
            except btree.StoreError:
                raise error from cause
            why = cause.strerror
        self.not_writable = why
        if options.safe:
            store.backup = _refused  # type: ignore[method-assign]  # VACUUM INTO, too
        return store

    def open(self, name: str | None, *, readonly: bool) -> None:
        """Go on with another database, `name` as in `__init__`.  Raises CommandError in a transaction, and what opening raises:
        then the old one stays."""
        if self.in_transaction():
            raise CommandError("a transaction is open: commit or roll it back first")
        try:
            location = located(name or "", readonly=readonly)
        except StoreError as error:
            raise CommandError(f"{name}: {error}") from error
        store = self._opened(location, at=None)
        self.close_database()
        self.options.readonly, self.options.at = location.readonly, None
        self.path = location.path
        self.store = store
        for notify in self.on_open:
            notify()

    def close_database(self, *, ends: bool = False) -> None:
        """Roll back what is open, and close.  `ends`: the process does, too."""
        if self._session is not None:
            self._session.close()
            self._session = None
        tidy(self.store)
        self.store.close(ends=ends)

    @property
    def session(self) -> Session:
        """The SQL session; made at its first use."""
        if self._session is None:
            from sql import Session

            self._session = Session(self.store)
            self._session.opener = self._attached
            self._session.timeout = self.statement_timeout
        return self._session

    def moved_from(self, directory: str) -> None:
        """The working directory is another: relative paths of open files are told from the one that it was."""
        if self.path is not None:
            self.path = os.path.join(directory, self.path)
        others = () if self._session is None else self._session.others.values()
        stores: list[Any] = [self.store, *(other.store for other in others)]
        for store in stores:
            if store.path is not None:
                store.path = os.path.join(directory, store.path)

    def attached_paths(self) -> list[str]:
        """The files that ATTACH has opened."""
        others = () if self._session is None else self._session.others.values()
        return [other.store.path for other in others if other.store.path is not None]

    def _attached(self, session: Session, path: str) -> Store:
        """The database that ATTACH names."""
        if self.options.safe and path not in ("", ":memory:"):
            raise CommandError("not available with --safe: it reads or writes files")
        store = attached_by_uri(session, path, timeout=self.options.timeout)
        if self.options.safe:
            store.backup = _refused  # type: ignore[method-assign]
        return store

    def set_timeout(self, seconds: float | None) -> None:
        """Cancel statements that run longer; None never."""
        self.statement_timeout = seconds
        if self._session is not None:
            self._session.timeout = seconds

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A transaction to read raw keys in: the open one, or one of its own."""
        if self._session is not None:
            with self._session.reading() as transaction:
                yield transaction
            return
        transaction = self.store.begin()
        try:
            yield transaction
        finally:
            transaction.rollback()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction to write raw keys in: the open one, or one that commits at the end."""
        if self._session is not None:
            with self._session.writing() as transaction:
                yield transaction
            return
        transaction = self.store.begin(write=True)
        try:
            yield transaction
        except BaseException:
            transaction.rollback()
            raise
        transaction.commit()

    def in_transaction(self) -> bool:
        """Whether `begin` was said and no end came."""
        return self._session is not None and self._session.in_transaction

    def joins_commits(self) -> bool:
        """Whether changes that stand by themselves may be one commit, whatever their tables."""
        is_durable = self.path is not None and self.options.durability == "full"
        return not is_durable or self.in_transaction()

    def changes(self) -> int:
        """Rows changed in the open transaction."""
        if self._session is None or not self._session.in_transaction:
            return 0
        return self._session.total_changes - self._changes_before

    def commit(self) -> None:
        """End the open transaction and keep it."""
        self.session.commit()

    def rollback(self) -> None:
        """End the open transaction without a trace."""
        self.session.rollback()
