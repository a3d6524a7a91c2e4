"""PEP 249's connection, with the sqlite3 module's conveniences, over one `sql.Session`.

Transactions: `autocommit` True begins none, False has always one open, from one commit or rollback to the next, as
PEP 249 has it.  By default it is neither, and `isolation_level` is the mode of the implicit BEGIN before the first
INSERT, UPDATE, DELETE or REPLACE ("" is DEFERRED); None begins none.  As a context manager the connection commits,
or rolls back on an exception.  A connection belongs to the thread that made it unless
`check_same_thread=False`: then statements of several threads take turns, as in sqlite3, whose library has a lock for each
connection.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import RLock, get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Never, TypeVar

from btree import call_in_child
from kvsh import LEGACY_TRANSACTION_CONTROL, adapting, callbacks, errors, settings
from kvsh.connecting import checked_autocommit, checked_level, opened
from kvsh.cursor import NO_PLANS, Cursor, SharedCursor, translating
from kvsh.errors import LOWER_ERRORS, ProgrammingError, translated
from kvsh.extending import Extensible
from kvsh.tidying import tidy
from kvsh.uri import attached_by_uri
from sql import Session

if TYPE_CHECKING:
    from btree import Store
    from kvsh.blob import Blob
    from kvsh.row import Places
    from sql import Prepared

AnyCursor = TypeVar("AnyCursor", bound=Cursor)

_new = object.__new__
_SQL_LENGTH, _VARIABLE_NUMBER = 1, 9  # SQLITE_LIMIT_*


class Connection(Extensible):
    """A session on a database file, or on a scratch database in memory for ":memory:".

    `path`: str, bytes or PathLike; with `uri`, a `file:` URI whose `mode=ro` means `readonly`, and whose
    `mode=memory&cache=shared` a database in memory that connections of this process share by the URI's name.
    `timeout`: seconds to wait for another writer.  `durability`: "full" (a commit is on the disk when
    it returns), "normal" or "off".  Raises OperationalError if the file can't be opened,
    DatabaseError if it is no kvsh database or damaged.

    >>> con = connect(":memory:")
    >>> con.execute("CREATE TABLE t(a, b)").execute("INSERT INTO t VALUES (?, ?)", (1, "x")).rowcount
    1
    >>> con.execute("SELECT * FROM t").fetchall()
    [(1, 'x')]
    """

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    _initialised = False
    _session: Any = None
    _autocommit: bool | int = LEGACY_TRANSACTION_CONTROL
    _known_plan: Callable[[str], Prepared | None] = NO_PLANS.get
    """The plan of a statement that has passed all checks, as long as nothing but the statement itself has to
    be done when it is executed: none is known to a connection that is closed, or watched."""
    _own_plan: Callable[[str], Prepared | None] = NO_PLANS.get
    """The same for what it executes itself: none of a class of the program's, whose cursors may be others."""

    def __init__(
        self,
        database: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        timeout: float = 5.0,
        detect_types: int = 0,
        isolation_level: str | None = "",
        check_same_thread: bool = True,
        factory: Any = None,
        cached_statements: int = 128,
        uri: bool = False,
        *,
        autocommit: bool | int = LEGACY_TRANSACTION_CONTROL,
        durability: Literal["full", "normal", "off"] = "full",
        readonly: bool = False,
        at: int | None = None,
    ) -> None:
        self._initialised = False
        self._session = None
        level = checked_level(isolation_level)
        checked_autocommit(autocommit)
        name = os.fsdecode(database)
        try:
            store = opened(name, timeout, durability, uri=uri, readonly=readonly, at=at)
        except LOWER_ERRORS as error:
            raise translated(error, opening=True) from error
        thread = get_ident() if check_same_thread else None
        self._set_up(store, timeout, level, detect_types, thread, owns_store=True)
        if uri:
            self._session.opener = attached_by_uri
        if autocommit != LEGACY_TRANSACTION_CONTROL:
            self.autocommit = autocommit

    @classmethod
    def on_store(cls, store: Store, timeout: float) -> Connection:
        """An autocommit connection on a store that is open already and stays so."""
        connection = cls.__new__(cls)
        connection._set_up(store, timeout, None, 0, None, owns_store=False)
        return connection

    def _set_up(
        self,
        store: Store,
        timeout: float,
        level: str | None,
        detect_types: int,
        thread: int | None,
        *,
        owns_store: bool,
    ) -> None:
        self._store = store
        self._owns_store = owns_store
        self._pid = os.getpid()  # a fork's child leaves its copies alone
        self._session = Session(store, busy_timeout=timeout)
        self.row_factory: Callable[[Any, tuple[Any, ...]], Any] | None = None
        self.text_factory: Callable[[bytes], Any] = str
        self._places: dict[int, tuple[Any, Places]] = {}  # by the columns' identity
        self._isolation_level = level
        self._session.begins_first = level is not None
        self._detect_types = detect_types
        self._thread = thread
        self._is_shared = owns_store and thread is None
        self._renew_turn()
        if self._is_shared:
            call_in_child(self, Connection._in_child)
        self._trace_callback: Callable[[str], Any] | None = None
        self.limits: dict[int, int] = {}
        self._note_watchers()
        self._initialised = True

    # -- statements ------------------------------------------------------------------------------

    def _renew_turn(self) -> None:
        # Statements, batches of rows and the ends of transactions take it, where the connection is shared.
        self._turn = RLock()

    def _in_child(self) -> None:
        self._renew_turn()
        if self._session is not None:
            self._session.leave_statement()

    def cursor(self, factory: Callable[[Connection], AnyCursor] = Cursor) -> AnyCursor:  # type: ignore[assignment]
        """A new cursor, made by `factory(connection)`, with this connection's row factory."""
        self._check_thread()
        self._check_open()
        if factory is Cursor and self._is_shared:
            factory = SharedCursor  # type: ignore[assignment]
        cursor = factory(self)
        if not issubclass(type(cursor), Cursor):
            raise TypeError(f"factory must return a cursor, not {type(cursor).__name__}")
        if self.row_factory is not None:
            cursor.row_factory = self.row_factory
        return cursor

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """`cursor().execute(...)`: run one statement, give the cursor."""
        own_plan: Callable[[str], Any] = self._own_plan  # no method: to look for one takes longer
        plan = own_plan(sql)
        if plan is None or (self._thread is not None and self._thread != get_ident()):
            return self.cursor().execute(sql, parameters)
        cursor = _new(Cursor)  # as `cursor()` makes it, and nobody else has it yet
        cursor.connection = self
        if self.row_factory is not None:
            cursor.row_factory = self.row_factory
        session = self._session
        try:
            done = None if adapting.plain_adapters else plan.quick(session, parameters)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        if done is None:
            cursor._run(self, plan, sql, parameters)
        elif done.__class__ is list:
            cursor._give_rows(plan, done)
        elif done >= 0:
            cursor.rowcount, cursor.lastrowid = done, session.last_insert_rowid
        return cursor

    def executemany(
        self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> Cursor:
        """`cursor().executemany(...)`."""
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script: str, /) -> Cursor:
        """`cursor().executescript(...)`."""
        return self.cursor().executescript(script)

    def __call__(self, *arguments: Any) -> Statement:
        """Check that the argument is one statement that could be prepared."""
        self._check_thread()
        self._check_open()
        if len(arguments) != 1:
            raise TypeError(f"Connection takes exactly 1 argument ({len(arguments)} given)")
        sql = arguments[0]
        if not isinstance(sql, str):
            raise TypeError(f"argument 1 must be str, not {type(sql).__name__}")
        self.cursor()._begin_use(sql)
        return Statement.of(sql)

    # -- transactions ----------------------------------------------------------------------------

    def commit(self) -> None:
        """Make the open transaction durable and visible; nothing if there is none, or `autocommit` is True."""
        session = self._session
        if session is None or (self._thread is not None and self._thread != get_ident()):
            self._check_thread()
            self._check_open()
        if session.in_transaction or not self._autocommit:
            self._end(session.commit, "COMMIT")

    def rollback(self) -> None:
        """Undo the open transaction; nothing if there is none, or `autocommit` is True."""
        self._check_thread()
        self._check_open()
        session = self._session
        if session.in_transaction or not self._autocommit:
            self._end(session.rollback, "ROLLBACK")

    def _end(self, end: Callable[[], None], word: str) -> None:
        """End the open transaction, and begin the next if there is always one."""
        if self._autocommit is True:
            return
        try:
            with self._turn:
                self._check_open()  # another thread may have closed it, or ended the transaction
                always = self._autocommit is False
                if always or self._session.in_transaction:
                    if self._session.authorizer is not None:
                        self._session.authorizer.transaction(word)
                    if self._trace_callback is not None:
                        self._trace(word)
                    end()
                if always:
                    self._begin("BEGIN")
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def close(self) -> None:
        """Roll back what is open and let go of the file.  Closing twice is harmless."""
        self._check_thread()
        if not self._initialised:
            raise ProgrammingError("Base Connection.__init__ not called.")
        with self._turn:
            session, self._session = self._session, None
            self._known_plan = self._own_plan = NO_PLANS.get
            if session is not None:
                if self._autocommit is False and session.in_transaction:
                    self._trace("ROLLBACK")
                try:
                    session.close()
                    if self._owns_store:
                        tidy(self._store)
                        self._store.close()
                except LOWER_ERRORS as error:
                    raise translated(error) from error

    def __del__(self) -> None:
        # Dropped without a close: nobody is to wait for what it has open.  The file goes with its last reference.
        session = self._session
        if session is not None and self._pid == os.getpid() and not sys.is_finalizing():
            session.let_go()

    def __reduce__(self) -> Never:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __enter__(self) -> Connection:
        self._check_thread()
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if kind is None:
            try:
                self.commit()
            except Exception:
                self.rollback()
                raise
        else:
            self.rollback()
        return False

    @property
    def session(self) -> Session:
        """The SQL session below."""
        self._check_open()
        session: Session = self._session
        return session

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        self._check_open()
        return bool(self._session.in_transaction)

    @property
    def total_changes(self) -> int:
        """Rows inserted, updated or deleted since the connection was made."""
        self._check_open()
        return int(self._session.total_changes)

    @property
    def isolation_level(self) -> str | None:
        """The mode of implicit transactions; None is autocommit.  Setting None commits."""
        self._check_open()
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self._check_thread()
        self._isolation_level = checked_level(level)
        self._note_mode()
        if level is None:
            self.commit()

    @property
    def autocommit(self) -> bool | int:
        """True: no transaction but those that statements begin.  False: one is open at any time.  LEGACY_TRANSACTION_CONTROL,
        the default: as `isolation_level` says.  Setting True commits, setting False begins."""
        self._check_thread()
        self._check_open()
        return self._autocommit

    @autocommit.setter
    def autocommit(self, mode: bool | int) -> None:
        self._check_thread()
        self._check_open()
        checked_autocommit(mode)
        try:
            with self._turn:
                if mode is True:
                    self._commit()
                elif mode is False and not self._session.in_transaction:
                    self._begin("BEGIN")
        except LOWER_ERRORS as error:
            raise translated(error) from error
        self._autocommit = mode
        self._note_mode()

    def _note_mode(self) -> None:
        """Have writes begin a transaction where they are to."""
        is_legacy = self._autocommit == LEGACY_TRANSACTION_CONTROL
        self._session.begins_first = is_legacy and self._isolation_level is not None

    def _begin_implicitly(self) -> None:
        session = self._session
        if session.begins_first and not session.in_transaction:
            level = self._isolation_level
            self._begin(f"BEGIN {level}", level or "DEFERRED")

    def _begin(self, text: str, level: str = "DEFERRED") -> None:
        if self._session.authorizer is not None:
            self._session.authorizer.transaction("BEGIN")
        if self._trace_callback is not None:
            self._trace(text)
        self._session.begin(level)

    def _take_back_begin(self, error: Exception) -> None:
        """End a transaction that was begun for a statement that could not be: no lock is to be left behind."""
        if getattr(error, "is_of_preparation", False) and self._session.in_transaction:
            self._session.rollback()

    def _commit_before_script(self) -> None:
        if self._autocommit == LEGACY_TRANSACTION_CONTROL:
            self._commit()

    def _commit(self) -> None:
        if self._session.in_transaction:
            if self._trace_callback is not None:
                self._trace("COMMIT")
            self._session.commit()

    def _trace(self, sql: str) -> None:
        if self._trace_callback is not None:
            self._trace_callback(sql)

    # -- whole databases -------------------------------------------------------------------------

    def iterdump(self, *, filter: str | None = None) -> Iterator[str]:
        """The database as SQL statements that make it anew; with `filter`, those of its objects whose names are LIKE
        it."""
        self._check_open()
        from sql import dump_statements

        return translating(dump_statements(self.session, like=filter), self)

    def backup(
        self,
        target: Connection,
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], Any] | None = None,
        name: str = "main",
        sleep: float = 0.25,
    ) -> None:
        """Replace `target`'s content by a copy of this database, as of one moment.

        After each `pages` leaves, if that is above 0, and at the end `progress` is called with a status,
        the entries that remain and all of them.  What it raises abandons the backup: `target` stays as it
        was."""
        self._check_open()
        if not isinstance(target, Connection):
            raise TypeError(f"target must be a Connection, not {type(target).__name__}")
        if target is self:
            raise ValueError("target cannot be the same connection instance")
        target._check_open()
        if progress is not None and not callable(progress):
            raise TypeError("progress argument must be a callable")
        if target.in_transaction:
            raise errors.OperationalError("target is in transaction")
        if name != "temp" and not self._has_database(name):
            raise errors.failed(f"unknown database {name}")
        from sql import copy_database

        try:
            copied = copy_database(
                self._session,
                target._session,
                None if progress is None or pages <= 0 else callbacks.each_pages(pages, progress),
                name="main" if name == "temp" else name.lower(),
            )
        except LOWER_ERRORS as error:
            raise translated(error) from error
        if progress is not None:
            progress(101, 0, copied)

    def serialize(self, *, name: str = "main") -> bytes:
        """The database as the bytes of a file, which `deserialize` and `connect` read."""
        session = self._for_bytes(name)
        from kvsh.serialized import serialized

        try:
            return serialized(session, name.lower())
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def deserialize(self, data: Any, /, *, name: str = "main") -> None:
        """Replace the database's content by that in `data`, the bytes of a file."""
        session = self._for_bytes(name)
        from kvsh.serialized import restore

        try:
            restore(session, data, name.lower())
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def _for_bytes(self, name: str) -> Session:
        self._check_thread()
        self._check_open()
        if not self._has_database(name):
            raise errors.failed(f"unknown database {name}")
        return self.session

    def _has_database(self, name: str) -> bool:
        """Whether `name` is main or an attached database."""
        others = self.session.others.values()
        known = [other.name.lower() for other in others if not other.is_temporary]
        return name.lower() in ("main", *known)

    def blobopen(
        self,
        table: str,
        column: str,
        row: int,
        /,
        *,
        readonly: bool = False,
        name: str = "main",
    ) -> Blob:
        """A file-like view of one stored blob (or text)."""
        self._check_thread()
        self._check_open()
        from kvsh.blob import Blob

        return Blob.on(self, table, column, row, readonly=readonly, schema=name)

    # -- limits and options -----------------------------------------------------------------------

    def getlimit(self, category: int, /) -> int:
        """The limit `SQLITE_LIMIT_*`; those of a statement's length, its variables and the arguments of a
        function are enforced."""
        self._check_thread()
        self._check_open()
        return settings.limit(self, category)

    def setlimit(self, category: int, limit: int, /) -> int:
        """Set a limit and give the previous one; a negative one changes nothing."""
        self._check_thread()
        self._check_open()
        previous = settings.set_limit(self, category, limit)
        self._note_watchers()
        return previous

    def getconfig(self, op: int, /) -> bool:
        """Whether the option `SQLITE_DBCONFIG_*` is on."""
        self._check_thread()
        self._check_open()
        return settings.option(self, op)

    def setconfig(self, op: int, enable: bool = True, /) -> None:
        """Turn an option on or off: SQLITE_DBCONFIG_ENABLE_FKEY; of others NotSupportedError."""
        self._check_thread()
        self._check_open()
        settings.set_option(self, op, on=bool(enable))

    def _note_watchers(self) -> None:
        """Execute statements with all that has to be done for those that watch them, if anybody does."""
        is_watched = (
            self._is_shared
            or bool(self.limits)
            or self._trace_callback is not None
            or self._session.cancellation.progress is not None
        )
        self._known_plan = NO_PLANS.get if is_watched else self._session.known_plan
        self._own_plan = self._known_plan if self.__class__ is Connection else NO_PLANS.get

    def _check_variables(self, sql: str) -> None:
        limit = self.limits.get(_VARIABLE_NUMBER)
        if limit is not None and self._session.prepare(sql).count > limit:
            raise errors.failed("too many SQL variables")

    def _sql_length_limit(self) -> int:
        return self.limits.get(_SQL_LENGTH, sys.maxsize)

    # -- checks ----------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if not self._initialised:
            raise ProgrammingError("Base Connection.__init__ not called.")
        if self._session is None:
            raise ProgrammingError("Cannot operate on a closed database.")

    def _check_thread(self) -> None:
        if not self._initialised:
            raise ProgrammingError("Base Connection.__init__ not called.")
        if self._thread is not None and self._thread != get_ident():
            raise ProgrammingError(
                "SQLite objects created in a thread can only be used in that same thread. "
                f"The object was created in thread id {self._thread} and this is thread id "
                f"{get_ident()}."
            )


class Statement:
    """What calling a connection gives; it can't be made otherwise, and does nothing."""

    def __new__(cls) -> Statement:
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__qualname__}' instances")

    @classmethod
    def of(cls, sql: str) -> Statement:
        """The statement in `sql`."""
        made = super().__new__(cls)
        made.sql = sql
        return made

    sql: str


def connect(
    database: str | bytes | os.PathLike[str] | os.PathLike[bytes], *arguments: Any, **options: Any
) -> Connection:
    """Open a connection; see `Connection` for the parameters, `factory` gives another class."""
    position_of_factory = 4
    factory = options.get("factory") or (
        arguments[position_of_factory] if len(arguments) > position_of_factory else None
    )
    made: Connection = (factory or Connection)(database, *arguments, **options)
    return made
