"""PEP 249's cursor, with the sqlite3 module's habits.

A cursor holds one `sql.Result` and hands out its rows as they are asked for.  Rows arrive in batches
(lists of tuples) and are chained by a C iterator, so a fetch costs no Python code of ours per row
unless a row factory, a text factory or a converter asks for it.

Transactions are opened implicitly before INSERT, UPDATE, DELETE and REPLACE unless the connection's
`isolation_level` is None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import index
from sys import maxsize
from threading import get_ident
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Never, TypeVar
from weakref import ref

from kvsh import adapting
from kvsh.binding import bound, bound_sets, taken, undisturbed
from kvsh.damage import UNFORESEEN, raise_damage
from kvsh.errors import LOWER_ERRORS, DataError, InterfaceError, ProgrammingError, translated
from kvsh.row import Places, Row
from sql import Result, is_complete, next_statement

if TYPE_CHECKING:
    from kvsh.connection import Connection
    from sql import ResultColumn

Description = tuple[tuple[str, None, None, None, None, None, None], ...]

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*(?:\*/|$))*(\w*)")
_NOTHING_LEFT = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*(?:\*/|$))*\Z")
DML_WORDS = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE"))
_OTHER_WRITES = frozenset(("WITH", "CREATE", "DROP", "ALTER"))
_CONVERTER_HINT = re.compile(r"\[([^][]*)\]")
_NAME_WITHOUT_HINT = re.compile(r"[^[]*?(?= ?\[)")

_Item = TypeVar("_Item")
_PLACES_MAX = 256
"""The names' places of so many statements' columns are kept for their next execution."""

_NO_PARAMETERS: tuple[Any, ...] = ()
_NO_ROWS: Iterator[Any] = iter(())
_LIST_ITERATOR: type = type(iter([0]))


def first_word(sql: str) -> str:
    """The statement's first word in upper case, comments skipped; "" if there is none."""
    match = _FIRST_WORD.match(sql)
    return match.group(1).upper() if match else ""


NO_PLANS: dict[str, Any] = {}
"""The plans that are known to who has to look closer at each statement."""

_NO_CONNECTION: Any = SimpleNamespace(_session=None, _thread=None, _known_plan=NO_PLANS.get)
"""Stands for the connection of a cursor whose `__init__` was not called.  Of a class that can't change: where an
attribute of a class may come to have a `__set__`, the interpreter takes ten times as long to set the instance's."""


class Cursor:
    """Made by `Connection.cursor()` or `Connection.execute()`; used by one thread at a time."""

    connection: Connection = _NO_CONNECTION
    _barred = False
    """Whether it can't be used now: it is closed, or at work."""
    arraysize = 1
    row_factory: Callable[[Cursor, tuple[Any, ...]], Any] | None = None
    rowcount = -1
    lastrowid: int | None = None
    _description: Description | None = None
    _columns: tuple[ResultColumn, ...] | None = None
    _result: Result | None = None
    _rows: Iterator[Any] = _NO_ROWS
    _closed = False

    def __init__(self, connection: Connection, /) -> None:
        from kvsh.connection import Connection

        if not issubclass(type(connection), Connection):
            raise TypeError(
                f"Cursor() argument 1 must be kvsh.Connection, not {type(connection).__name__}"
            )
        self._check_not_busy()
        self.__dict__.clear()
        self.connection = connection

    @property
    def description(self) -> Description | None:
        """A 7-tuple for each column of the rows, its name and six times None; None if there are no rows."""
        known = self._description
        if known is None and self._columns is not None:
            known = self._description = tuple(
                [
                    (self._column_name(column.name), None, None, None, None, None, None)
                    for column in self._columns
                ]
            )
        return known

    @property
    def _places(self) -> Places:
        """Which column has which name, for `Row`; known from the statement's last execution, if its columns are."""
        columns = self._columns
        kept = self.connection._places
        known = kept.get(id(columns))
        if known is None or known[0] is not columns:
            if len(kept) >= _PLACES_MAX:
                kept.clear()
            known = kept[id(columns)] = columns, Places(self.description or ())
        return known[1]

    # -- executing -------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Run one statement; its rows are then fetched from this cursor, which is returned.

        Raises ProgrammingError for several statements or a wrong number of parameters, and the
        other errors of PEP 249 for what the statement itself meets."""
        connection = self.connection
        known_plan = connection._known_plan
        plan = known_plan(sql)
        if (
            plan is None
            or self._barred
            or (connection._thread is not None and connection._thread != get_ident())
        ):
            return self._execute_unknown(self._begin_use(sql), sql, parameters)
        if self._result is not None or self._columns is not None:
            self._drop_result()
        self.rowcount = -1
        self._barred = True
        try:
            self._run(connection, plan, sql, parameters, is_tried=False)
        finally:
            self._barred = False
        return self

    def _execute_unknown(
        self,
        connection: Connection,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any],
    ) -> Cursor:
        """Run a statement that passed the checks of `_begin_use`, and be told of it, if somebody is."""
        self.rowcount = -1
        is_dml = first_word(sql) in DML_WORDS
        with connection._turn:
            session = connection.session  # another thread may have closed it meanwhile
            self._barred = True
            begins = is_dml and not session.in_transaction
            try:
                if begins:
                    connection._begin_implicitly()
                values = bound(parameters)
                connection._trace(sql)
                connection._check_variables(sql)
                self._adopt(session.execute(sql, values), is_dml=is_dml)
            except LOWER_ERRORS as error:
                if begins:
                    connection._take_back_begin(error)
                raise translated(error) from error
            except UNFORESEEN as error:
                raise_damage(error, session)
                raise
            finally:
                self._barred = False
        return self

    def _run(
        self,
        connection: Connection,
        plan: Any,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        *,
        is_tried: bool = True,
    ) -> None:
        """Run a statement that has run before, on a cursor that holds nothing.

        It is what stands between a program and its statements: with as few steps as they take.  `is_tried`: the plan's
        quick way has been, with the parameters as they are."""
        session = connection._session
        begins = False
        try:
            if not is_tried and not adapting.plain_adapters:
                done = plan.quick(session, parameters)
                if done is not None:
                    self._take(plan, done)
                    return
            if plan.is_dml and not session.in_transaction:
                begins = True
                connection._begin_implicitly()
            values = parameters if parameters is _NO_PARAMETERS else bound(parameters)
            if values.__class__ is tuple:
                is_ready = plan.is_query and not session.in_transaction
                ready = session.ready(sql) if is_ready else None
                if ready is not None:
                    rows = ready[0](values)
                    if rows is not None:
                        self._give(ready[1], iter(rows))
                        return
                done = plan.quick_bound(session, values)
                if done is not None:
                    self._take(plan, done)
                    return
            self._adopt(session.execute(sql, values), is_dml=plan.is_dml)
        except LOWER_ERRORS as error:
            if begins:
                connection._take_back_begin(error)
            raise translated(error) from error
        except UNFORESEEN as error:
            raise_damage(error, session)
            raise

    def executemany(
        self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> Cursor:
        """Run one statement that writes for each set of parameters.

        `rowcount` is the sum; the statement is prepared once and inserts are loaded in bulk."""
        with self._begin_use(sql, "executemany")._turn:
            self._execute_sets(sql, parameters)
        return self

    def _execute_sets(
        self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]]
    ) -> None:
        connection = self.connection
        self.rowcount = -1
        word = first_word(sql)
        is_dml = word in DML_WORDS
        if not is_dml and word not in _OTHER_WRITES:
            raise ProgrammingError("executemany() can only execute DML statements.")
        chunks = taken(iter(parameters))
        session = connection.session
        begins, changes = not session.in_transaction, session.total_changes
        try:
            self._barred = True
            if is_dml:
                connection._begin_implicitly()
            connection._trace(sql)
            prepared = session.prepare(sql)
            if prepared.is_query:
                raise ProgrammingError("executemany() can only execute DML statements.")
            begun, before = session.in_transaction, session.total_changes
            first = next(chunks, [])  # while nothing is at work: they may come from statements
            chunks = chain([first], chunks)
            if (begun, before) == (session.in_transaction, session.total_changes):
                result = session.execute_many(
                    sql, bound_sets(prepared, undisturbed(chunks, session)), plain=True
                )
            else:  # who gives the sets writes, too: in between
                done = [
                    session.execute_many(sql, bound_sets(prepared, [chunk]), plain=True).rowcount
                    for chunk in chunks
                ]
                result = Result(rowcount=sum(done))
            last = self.lastrowid
            self._adopt(result, is_dml=is_dml)
            self.lastrowid = last
        except LOWER_ERRORS as error:
            if begins and session.total_changes == changes:
                connection._take_back_begin(error)
            raise translated(error) from error
        except UNFORESEEN as error:
            raise_damage(error, session)
            raise
        finally:
            self._barred = False

    def executescript(self, script: str, /) -> Cursor:
        """Commit, then run all statements of `script`; rows they give are read and dropped."""
        if isinstance(script, str) and "\0" in script:
            raise ValueError("embedded null character")
        with self._begin_use(script, "executescript")._turn:
            self._execute_all(script)
        return self

    def _execute_all(self, script: str) -> None:
        connection = self.connection
        try:
            self._barred = True
            connection._commit_before_script()
            start = 0
            while start < len(script) and not _NOTHING_LEFT.match(script, start):
                end = next_statement(script, start)
                statement = script[start : len(script) if end is None else end]
                connection._trace(statement)
                result = connection._session.execute(statement)
                if result.columns is not None:
                    for _ in result.batches():
                        pass
                start += len(statement)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        except UNFORESEEN as error:
            raise_damage(error, connection._session)
            raise
        finally:
            self._barred = False

    def _begin_use(self, sql: str, method: str = "execute") -> Connection:
        """The checks before any statement, and the end of the previous one."""
        self._check_open()
        connection = self.connection
        self._check_not_busy()
        if type(sql) is not str and not isinstance(sql, str):
            raise TypeError(f"{method}() argument 1 must be str, not {type(sql).__name__}")
        if len(sql) > connection._sql_length_limit():
            raise DataError("query string is too large")
        if "\0" in sql:
            raise ProgrammingError("the query contains a null character")
        if not sql.isascii():
            sql.encode()  # lone surrogates: UnicodeEncodeError
        self._drop_result()
        return connection

    def _adopt(self, result: Result, *, is_dml: bool) -> None:
        self._result = result
        columns = self._columns = result.columns
        if columns is None:
            self._rows = _NO_ROWS
        else:
            batches = result.batches()
            if batches.__class__ is not _LIST_ITERATOR:
                batches = translating(batches, self.connection, ref(self))
            self._give(columns, chain.from_iterable(batches))
        if is_dml:
            self.rowcount = result.rowcount
            self.lastrowid = result.lastrowid
        else:
            self.rowcount = -1
            if result.lastrowid is not None:  # an INSERT that begins with WITH
                self.lastrowid = result.lastrowid

    def _take(self, plan: Any, done: Any) -> None:
        """Show what a plan's quick way has given."""
        if done.__class__ is list:
            self._give_rows(plan, done)
        elif done >= 0 and plan.is_dml:
            self.rowcount, self.lastrowid = done, self.connection._session.last_insert_rowid

    def _give_rows(self, plan: Any, rows: list[Any]) -> None:
        """Have the rows that a plan has given at once fetched."""
        self._give(plan.columns, iter(rows))
        if plan.is_dml:
            session = self.connection._session
            self.rowcount, self.lastrowid = session.changes, session.last_insert_rowid

    def _give(self, columns: tuple[ResultColumn, ...], rows: Iterator[Any]) -> None:
        """Have these rows fetched."""
        self._columns = columns
        connection = self.connection
        if (
            self.row_factory is not None
            or connection.text_factory is not str
            or connection._detect_types
        ):
            make = self._row_maker(columns)
            if make is not None:
                rows = map(make, rows)
        self._rows = rows

    def _column_name(self, name: str) -> str:
        if self.connection._detect_types & adapting.PARSE_COLNAMES:
            without = _NAME_WITHOUT_HINT.match(name)
            return name if without is None else without[0]
        return name

    def _row_maker(self, columns: Sequence[Any]) -> Callable[[tuple[Any, ...]], Any] | None:
        """What has to be done to each row, or None: converters, text factory, row factory."""
        connection = self.connection
        detect = connection._detect_types
        converting = {}
        if detect:
            converters = [self._converter(column, detect) for column in columns]
            converting = {place: convert for place, convert in enumerate(converters) if convert}
        row_factory = self.row_factory
        reader = ref(self)  # weakly: the cursor keeps its rows, not they it
        finish: Callable[[tuple[Any, ...]], Any]
        if row_factory is None:
            finish = tuple
        elif row_factory is Row:
            finish = self._places.row
        else:
            factory: Any = row_factory
            finish = lambda row: factory(reader(), row)  # noqa: E731
        plain_text = connection.text_factory is str
        if plain_text and not converting:
            return None if row_factory is None else finish
        others = [place for place in range(len(columns)) if place not in converting]

        def make(row: tuple[Any, ...]) -> Any:
            values = list(row)
            cursor: Any = reader()
            cursor._barred = True
            try:
                for place, convert in converting.items():
                    value = values[place]
                    if value is not None:
                        values[place] = None if value == b"" else convert(_as_bytes(value))
                text_factory = connection.text_factory  # it may be another one by now
                if text_factory is not str:
                    for place in others:
                        value = values[place]
                        if value.__class__ is str:
                            values[place] = text_factory(value.encode())
            finally:
                cursor._barred = False
            return finish(tuple(values))

        return make

    @staticmethod
    def _converter(column: Any, detect: int) -> Callable[[bytes], Any] | None:
        if detect & adapting.PARSE_COLNAMES:
            hint = _CONVERTER_HINT.search(column.name)
            if hint:
                found = adapting.converters.get(hint.group(1).upper())
                if found is not None:
                    return found
        if detect & adapting.PARSE_DECLTYPES and column.declared_type:
            key = re.split(r"[ (]", column.declared_type, maxsplit=1)[0].upper()
            return adapting.converters.get(key)
        return None

    def __reduce__(self) -> Never:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    # -- fetching --------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        if self.connection._thread is not None:
            self.connection._check_thread()  # here, since `__next__` is called for each row
        return self

    def __next__(self) -> Any:
        if self._barred or self.connection._session is None:
            self._check_open()
            self._check_not_busy()
        return next(self._rows)

    def fetchone(self) -> Any:
        """The next row, or None at the end."""
        connection = self.connection
        if (
            self._barred
            or connection._session is None
            or (connection._thread is not None and connection._thread != get_ident())
        ):
            self._check_open()
            self._check_not_busy()
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows (default: `arraysize`), fewer at the end; all if it is negative."""
        self._check_open()
        self._check_not_busy()
        count = index(self.arraysize if size is None else size)
        return list(islice(self._rows, count if 0 <= count < maxsize else None))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        connection = self.connection
        if (
            self._barred
            or connection._session is None
            or (connection._thread is not None and connection._thread != get_ident())
        ):
            self._check_open()
            self._check_not_busy()
        return list(self._rows)

    def close(self) -> None:
        """End the statement and free what it holds; the cursor can't be used afterwards."""
        if self.connection is Cursor.connection:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self._check_not_busy()
        self.connection._check_thread()
        self.connection._check_open()
        self._drop_result()
        self._closed = self._barred = True

    def setinputsizes(self, sizes: Any, /) -> None:
        """Does nothing (PEP 249 lets it)."""

    def setoutputsize(self, size: Any, column: Any = None, /) -> None:
        """Does nothing (PEP 249 lets it)."""

    def _drop_result(self) -> None:
        result, self._result = self._result, None
        self._rows = _NO_ROWS
        self._columns = self._description = None
        if result is not None:
            with self.connection._turn:
                result.close()

    def _check_open(self) -> None:
        if self.connection is Cursor.connection:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self.connection._check_thread()
        self.connection._check_open()
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed cursor.")

    def _check_not_busy(self) -> None:
        if self._barred and not self._closed and self.connection is not Cursor.connection:
            raise ProgrammingError("Recursive use of cursors not allowed.")


class SharedCursor(Cursor):
    """A cursor of a connection that threads share (`check_same_thread=False`): threads that fetch from it at the same time
    take turns, and each row goes to one of them."""

    def __next__(self) -> Any:
        connection = self.connection
        with connection._turn:
            if self._barred or connection._session is None:
                self._check_open()
                self._check_not_busy()
            return next(self._rows)

    def fetchone(self) -> Any:
        """The next row, or None at the end."""
        with self.connection._turn:
            return super().fetchone()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows (default: `arraysize`), fewer at the end; all if it is negative."""
        with self.connection._turn:
            return super().fetchmany(size)

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        with self.connection._turn:
            return super().fetchall()


def _nobody() -> None:
    return None


def translating(
    batches: Iterator[_Item], connection: Connection, reader: Callable[[], Cursor | None] = _nobody
) -> Iterator[_Item]:
    """The items of an iterator, each made in the connection's turn, with the lower layers' errors translated.

    `reader` gives the cursor they are for, if it is still there (weakly: a cursor that is dropped is gone at once).
    While an item is made, a function that the statement calls can't use it."""
    try:
        while True:
            with connection._turn:
                cursor = reader()
                if cursor is not None:
                    cursor._barred = True
                try:
                    item = next(batches, None)
                finally:
                    if cursor is not None:
                        cursor._barred = False
                        cursor = None
            if item is None:
                return
            yield item
    except LOWER_ERRORS as error:
        raise translated(error) from error
    except UNFORESEEN as error:
        raise_damage(error, connection._session)
        raise


def _as_bytes(value: Any) -> bytes:
    """A value as SQLite hands it to a converter: its text's bytes."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    from sql import value_to_text

    return (value_to_text(value) or "").encode()


def complete_statement(statement: str) -> bool:
    """Whether the text ends a statement: a `;` outside quotes and comments (and triggers' bodies)."""
    if not isinstance(statement, str):
        kind = type(statement).__name__
        raise TypeError(f"complete_statement() argument 'statement' must be str, not {kind}")
    return is_complete(statement)


__all__ = ["Cursor", "InterfaceError", "complete_statement", "first_word"]
