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
from typing import TYPE_CHECKING, Any

from kvsh import adapting
from kvsh.errors import LOWER_ERRORS, DataError, InterfaceError, ProgrammingError, translated
from sql import Result, is_complete, next_statement

if TYPE_CHECKING:
    from kvsh.connection import Connection

Description = tuple[tuple[str, None, None, None, None, None, None], ...]

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*(?:\*/|$))*(\w*)")
_NOTHING_LEFT = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*(?:\*/|$))*\Z")
_DML_WORDS = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE"))
_CONVERTER_HINT = re.compile(r"\s*\[([^\]]*)\]\s*$")

_is_plain = adapting.PLAIN_TYPES.issuperset


def first_word(sql: str) -> str:
    """The statement's first word in upper case, comments skipped; "" if there is none."""
    match = _FIRST_WORD.match(sql)
    return match.group(1).upper() if match else ""


class Cursor:
    """Made by `Connection.cursor()` or `Connection.execute()`; used by one thread at a time."""

    _initialised = False

    def __init__(self, connection: Connection, /) -> None:
        from kvsh.connection import Connection

        if not issubclass(type(connection), Connection):
            raise TypeError(
                f"Cursor() argument 1 must be kvsh.Connection, not {type(connection).__name__}"
            )
        if self._initialised:
            self._check_not_busy()
        self.connection = connection
        self.arraysize = 1
        self.row_factory: Callable[[Cursor, tuple[Any, ...]], Any] | None = None
        self.description: Description | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._result: Result | None = None
        self._rows: Iterator[Any] = iter(())
        self._busy = False
        self._closed = False
        self._initialised = True

    # -- executing -------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Run one statement; its rows are then fetched from this cursor, which is returned.

        Raises ProgrammingError for several statements or a wrong number of parameters, and the
        other errors of PEP 249 for what the statement itself meets."""
        connection = self._begin_use(sql)
        word = first_word(sql)
        try:
            self._busy = True
            if word in _DML_WORDS:
                connection._begin_implicitly()
            connection._trace(sql)
            if connection._limits:
                connection._check_variables(sql)
            bound = self._bound(parameters)
            result = connection._session.execute(sql, bound)
            self._adopt(result, is_dml=word in _DML_WORDS)
        except LOWER_ERRORS as error:
            raise translated(error) from error
        finally:
            self._busy = False
        return self

    def executemany(
        self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> Cursor:
        """Run one INSERT, UPDATE, DELETE or REPLACE for each set of parameters.

        `rowcount` is the sum; the statement is prepared once and inserts are loaded in bulk."""
        connection = self._begin_use(sql)
        word = first_word(sql)
        if word not in _DML_WORDS and word != "WITH":
            raise ProgrammingError("executemany() can only execute DML statements.")
        sets = iter(parameters)
        try:
            self._busy = True
            connection._begin_implicitly()
            connection._trace(sql)
            result = connection._session.execute_many(sql, map(self._bound, sets))
            self._adopt(result, is_dml=True)
            self.lastrowid = None
        except LOWER_ERRORS as error:
            raise translated(error) from error
        finally:
            self._busy = False
        return self

    def executescript(self, script: str, /) -> Cursor:
        """Commit, then run all statements of `script`; rows they give are read and dropped."""
        if isinstance(script, str) and "\0" in script:
            raise ValueError("embedded null character")
        connection = self._begin_use(script)
        try:
            self._busy = True
            if connection._session.in_transaction:
                connection._commit()
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
        finally:
            self._busy = False
        return self

    def _begin_use(self, sql: str) -> Connection:
        """The checks before any statement, and the end of the previous one."""
        self._check_open()
        connection = self.connection
        self._check_not_busy()
        if type(sql) is not str and not isinstance(sql, str):
            raise TypeError(f"execute() argument 1 must be str, not {type(sql).__name__}")
        if len(sql) > connection._sql_length_limit():
            raise DataError("query string is too large")
        if "\0" in sql:
            raise ProgrammingError("the query contains a null character")
        if not sql.isascii():
            sql.encode()  # lone surrogates: UnicodeEncodeError
        self._drop_result()
        return connection

    def _bound(
        self, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> Sequence[Any] | Mapping[str, Any]:
        kind = type(parameters)
        if isinstance(parameters, tuple | list) and (kind is tuple or kind is list):
            if _is_plain(map(type, parameters)) and not self._needs_adapting(parameters):
                return parameters
            if kind is list:  # an adapter may change the list under our feet: read it by index
                count = len(parameters)
                return tuple(adapting.bindable(parameters[i], i + 1) for i in range(count))
            return adapting.bind_all(parameters)
        if isinstance(parameters, Mapping | dict):
            return _BoundMapping(parameters)
        if hasattr(parameters, "__len__") and hasattr(parameters, "__getitem__"):
            items: Any = parameters
            return tuple(adapting.bindable(items[i], i + 1) for i in range(len(parameters)))
        raise ProgrammingError("parameters are of unsupported type")

    @staticmethod
    def _needs_adapting(values: Sequence[Any]) -> bool:
        """Whether a value of a plain type still has to pass `bindable`: wide integers, odd text."""
        for value in values:
            kind = type(value)
            if kind is int:
                if not adapting.INTEGER_MIN <= value <= adapting.INTEGER_MAX:
                    return True
            elif kind is str and not value.isascii():
                value.encode()
        return bool(adapting.plain_adapters)

    def _adopt(self, result: Result, *, is_dml: bool) -> None:
        self._result = result
        columns = result.columns
        if columns is None:
            self.description = None
            self._rows = iter(())
        else:
            self.description = tuple(
                (self._column_name(column.name), None, None, None, None, None, None)
                for column in columns
            )
            self._rows = chain.from_iterable(self._batches(result))
            make = self._row_maker(columns)
            if make is not None:
                self._rows = map(make, self._rows)
        self.rowcount = result.rowcount if is_dml else -1
        if is_dml:
            self.lastrowid = result.lastrowid

    def _column_name(self, name: str) -> str:
        if self.connection._detect_types & adapting.PARSE_COLNAMES:
            return _CONVERTER_HINT.sub("", name)
        return name

    def _batches(self, result: Result) -> Iterator[list[tuple[Any, ...]]]:
        """The result's batches, errors translated and the connection's state checked once a batch."""
        try:
            yield from result.batches()
        except LOWER_ERRORS as error:
            raise translated(error) from error

    def _row_maker(self, columns: Sequence[Any]) -> Callable[[tuple[Any, ...]], Any] | None:
        """What has to be done to each row, or None: converters, text factory, row factory."""
        connection = self.connection
        text_factory = connection.text_factory
        detect = connection._detect_types
        fields: list[Callable[[bytes], Any] | None] = [None] * len(columns)
        if detect:
            fields = [self._converter(column, detect) for column in columns]
        row_factory = self.row_factory
        plain_text = text_factory is str
        if plain_text and not any(fields):
            if row_factory is None:
                return None
            factory = row_factory
            return lambda row: factory(self, row)

        def make(row: tuple[Any, ...]) -> Any:
            self._busy = True
            try:
                values = tuple(
                    value
                    if value is None
                    else None
                    if convert is not None and value == b""
                    else convert(_as_bytes(value))
                    if convert is not None
                    else connection.text_factory(value.encode())
                    if type(value) is str and connection.text_factory is not str
                    else value
                    for value, convert in zip(row, fields, strict=True)
                )
            finally:
                self._busy = False
            return values if row_factory is None else row_factory(self, values)

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

    # -- fetching --------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._busy or self._closed or not self._initialised or self.connection._session is None:
            self._check_open()
            self._check_not_busy()
        return next(self._rows)

    def fetchone(self) -> Any:
        """The next row, or None at the end."""
        self._check_open()
        self._check_not_busy()
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows (default: `arraysize`), fewer at the end."""
        self._check_open()
        self._check_not_busy()
        return list(islice(self._rows, self.arraysize if size is None else size))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        self._check_open()
        self._check_not_busy()
        return list(self._rows)

    def close(self) -> None:
        """End the statement and free what it holds; the cursor can't be used afterwards."""
        if not self._initialised:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self._check_not_busy()
        self.connection._check_thread()
        self.connection._check_open()
        self._drop_result()
        self._closed = True

    def setinputsizes(self, sizes: Any, /) -> None:
        """Does nothing (PEP 249 lets it)."""

    def setoutputsize(self, size: Any, column: Any = None, /) -> None:
        """Does nothing (PEP 249 lets it)."""

    def _drop_result(self) -> None:
        result, self._result = self._result, None
        self._rows = iter(())
        self.description = None
        if result is not None:
            result.close()

    def _check_open(self) -> None:
        if not self._initialised:
            raise ProgrammingError("Base Cursor.__init__ not called.")
        self.connection._check_thread()
        self.connection._check_open()
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed cursor.")

    def _check_not_busy(self) -> None:
        if self._busy:
            raise ProgrammingError("Recursive use of cursors not allowed.")


class _BoundMapping(Mapping[str, Any]):
    """Named parameters, adapted as they are looked up (a dict subclass may make them up)."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return adapting.bindable(self._values[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


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
    return is_complete(statement)


__all__ = ["Cursor", "InterfaceError", "complete_statement", "first_word"]
