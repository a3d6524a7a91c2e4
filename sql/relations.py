"""Relations that are no stored tables: the raw key space, the catalog, and table-valued functions.

A relation is looked up by its lower-case name when no table or view has it.  `rows(ctx, arguments)` gives
batches of full-width rows, hidden columns included; the hidden columns of a table-valued function are
its arguments.

`kv` shows the raw key space (bytes to bytes) as SQL values: bytes that are valid UTF-8 as TEXT, all
others as BLOB, so that keys compare with string literals and join with text columns.  Writing goes
the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from btree import CATALOG_TREE_ID, KeySpace, Row
from sql.context import Context
from sql.errors import SqlError
from sql.expressions import Affinity, SqlValue
from sql.schema import MAIN, Column, Table
from sql.values import value_to_text

if TYPE_CHECKING:
    from btree import Transaction

Batches = Iterable[list[Row]]
_ROWS_AT_ONCE = 1024


class Relation(Struct, frozen=True, eq=False):
    """Rows made on demand.  `range_rows(ctx, lo, hi, lo_inclusive, hi_inclusive, reverse)` has bounds on
    the first column (None: no bound) and may give rows outside of them.  `rowid` is the place of the last
    column, where that is the number of the row and has no name but `rowid` and its other names.
    `leading(arguments)` gives the few rows of one call, each cut to its first `leads` columns."""

    table: Table
    rows: Callable[[Context, Row], Batches]
    hidden: frozenset[int] = frozenset()
    range_rows: Callable[..., Batches] | None = None
    rowid: int | None = None
    leading: Callable[[Row], Iterable[Row]] | None = None
    leads: int = 0

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those that have a name."""
        return self.table.columns[: self.rowid]


def relation(name: str, database: str = MAIN) -> Relation | None:
    """The relation of that lower-case name; None if there is none.  `database`: whose, where each has one."""
    make = _RELATIONS.get(name)
    if make is not None:
        return make()
    make_of = _OF_DATABASES.get(name)
    if make_of is not None:
        return make_of(database.lower())
    if name.startswith("pragma_"):
        return _pragma(name)
    return None


def _table(name: str, *columns: str | Column) -> Table:
    return Table(
        name,
        0,
        tuple(Column(item) if isinstance(item, str) else item for item in columns),
    )


_ROWID = Column("rowid", "INTEGER", Affinity.INTEGER)


# -- the raw key space ----------------------------------------------------------------------------------


def shown(data: bytes) -> str | bytes:
    """Raw bytes as a SQL value."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def raw(value: SqlValue) -> bytes:
    """A SQL value as raw bytes: text is UTF-8, numbers their text.  SqlError for NULL."""
    if isinstance(value, bytes):
        return value
    text = value_to_text(value)
    if text is None:
        raise SqlError("keys and values of kv can't be NULL")
    return text.encode()


def shown_all(items: list[bytes]) -> list[Any]:
    """`shown` of each."""
    try:
        return [item.decode() for item in items]
    except UnicodeDecodeError:
        return [shown(item) for item in items]


def raw_all(values: list[Any]) -> list[bytes]:
    """`raw` of each."""
    if set(map(type, values)) == {str}:
        return list(map(str.encode, values))
    return list(map(raw, values))


def key_space(ctx: Context, database: str) -> KeySpace:
    """The raw key space of a database; temporary objects have none of their own."""
    if database in (MAIN, "temp"):
        return KeySpace(ctx.transaction)
    part: Transaction = ctx.session.part_of(ctx.transaction, database)
    return KeySpace(part)


def _kv_batches(
    space: KeySpace, ctx: Context, lo: bytes | None, hi: bytes | None, *, reverse: bool
) -> Iterator[list[Row]]:
    for keys, values in space.batches(lo, hi, reverse=reverse):
        ctx.check()
        yield list(zip(shown_all(keys), shown_all(values), strict=True))


def _kv_range(
    space: KeySpace,
    ctx: Context,
    lo: SqlValue,
    hi: SqlValue,
    lo_inclusive: bool = True,
    hi_inclusive: bool = True,
    reverse: bool = False,
) -> Iterator[list[Row]]:
    """Keys between two values, and perhaps some more: the caller's conditions stay in force.

    Text keys are in the order of their bytes; keys that are no text sort after all text."""
    # The column has TEXT affinity: numbers compare as their text.
    lo = value_to_text(lo) if isinstance(lo, (int, float)) else lo
    hi = value_to_text(hi) if isinstance(hi, (int, float)) else hi
    first = lo.encode() if isinstance(lo, str) else lo
    if isinstance(first, bytes) and first is lo:  # no text is above it
        last = hi + b"\0" if isinstance(hi, bytes) else None
        yield from _kv_batches(space, ctx, first, last, reverse=reverse)
        return
    if isinstance(hi, str):
        last = hi.encode() + b"\0"
        if first == last[:-1]:
            # One key: a look-up.
            value = space.get(last[:-1])
            if value is not None:
                yield [(hi, shown(value))]
            return
        yield from _kv_batches(space, ctx, first, last, reverse=reverse)
        return
    yield from _kv_batches(space, ctx, first, None, reverse=reverse)
    if first is not None:
        for batch in _kv_batches(space, ctx, None, first, reverse=reverse):
            blobs = [row for row in batch if isinstance(row[0], bytes)]
            if blobs:
                yield blobs


@cache
def _kv(database: str) -> Relation:
    def rows(ctx: Context, _: Row) -> Iterator[list[Row]]:
        return _kv_batches(key_space(ctx, database), ctx, None, None, reverse=False)

    def range_rows(ctx: Context, *arguments: Any, **options: bool) -> Iterator[list[Row]]:
        return _kv_range(key_space(ctx, database), ctx, *arguments, **options)

    table = _table("kv", Column("key", "TEXT", Affinity.TEXT), "value")
    return Relation(table, rows, range_rows=range_rows)


# -- the catalog ----------------------------------------------------------------------------------------


def _master_table(name: str) -> Table:
    text = ("TEXT", Affinity.TEXT)
    return _table(
        name,
        Column("type", *text),
        Column("name", *text),
        Column("tbl_name", *text),
        Column("rootpage", "INT", Affinity.INTEGER),
        Column("sql", *text),
        _ROWID,
    )


@cache
def _master(database: str) -> Relation:
    def rows(ctx: Context, _: Row) -> Batches:
        from sql.catalog import master_rows

        if database == "temp" and ctx.schema.temp is None:  # there never was a temporary object
            return []
        part: Transaction = ctx.session.part_of(ctx.transaction, database)
        return [master_rows(part.tree(CATALOG_TREE_ID))]

    name = "sqlite_temp_master" if database == "temp" else "sqlite_master"
    return Relation(_master_table(name), rows, rowid=5)


# -- table-valued functions -----------------------------------------------------------------------------

_JSON_COLUMNS = ("key", "value", "type", "atom", "id", "parent", "fullkey", "path", "json", "root")


def _in_batches(rows: Iterable[Row], ctx: Context) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= _ROWS_AT_ONCE:
            ctx.check()
            yield batch
            batch = []
    if batch:
        yield batch


def _json_rows(ctx: Context, arguments: Row, *, deep: bool) -> Iterator[list[Row]]:
    from sql.functions.json_functions import each_rows, tree_rows

    if not arguments or arguments[0] is None:
        return iter(())
    document = arguments[0]
    root = arguments[1] if len(arguments) > 1 else None
    rows = (tree_rows if deep else each_rows)(document, *arguments[1:2])
    return _in_batches(((*row[:8], document, root, number) for number, row in enumerate(rows)), ctx)


@cache
def _json_each() -> Relation:
    from sql.functions.json_functions import leading_rows

    return Relation(
        _table("json_each", *_JSON_COLUMNS, _ROWID),
        lambda ctx, arguments: _json_rows(ctx, arguments, deep=False),
        frozenset((8, 9)),
        rowid=10,
        leading=leading_rows,
        leads=4,
    )


@cache
def _json_tree() -> Relation:
    return Relation(
        _table("json_tree", *_JSON_COLUMNS, _ROWID),
        lambda ctx, arguments: _json_rows(ctx, arguments, deep=True),
        frozenset((8, 9)),
        rowid=10,
    )


def _series_rows(ctx: Context, arguments: Row) -> Iterator[list[Row]]:
    from sql.values import to_integer

    if not arguments:
        raise SqlError('first argument to "generate_series()" missing or unusable')
    if any(value is None for value in arguments):
        return
    start = to_integer(arguments[0]) or 0
    stop = 0xFFFFFFFF if len(arguments) < 2 else to_integer(arguments[1]) or 0
    step = 1 if len(arguments) < 3 else (to_integer(arguments[2]) or 1)
    series = range(start, stop + (1 if step > 0 else -1), step)
    for place in range(0, len(series), _ROWS_AT_ONCE):
        ctx.check()
        part = series[place : place + _ROWS_AT_ONCE]
        numbers = range(place + 1, place + 1 + len(part))
        yield list(zip(part, repeat(start), repeat(stop), repeat(step), numbers, strict=False))


@cache
def _series() -> Relation:
    integer = ("INTEGER", Affinity.INTEGER)
    columns = [Column(name, *integer) for name in ("value", "start", "stop", "step")]
    return Relation(
        _table("generate_series", *columns, _ROWID), _series_rows, frozenset((1, 2, 3)), rowid=4
    )


@cache
def _pragma(name: str) -> Relation | None:
    from sql.pragma import pragma_columns, pragma_rows

    pragma = name.removeprefix("pragma_")
    columns = pragma_columns(pragma)
    if columns is None:
        return None
    width = len(columns)

    def rows(ctx: Context, arguments: Row) -> Batches:
        argument = arguments[0] if arguments else None
        schema = arguments[1] if len(arguments) > 1 else None
        found = pragma_rows(
            ctx,
            pragma,
            None if argument is None else value_to_text(argument),
            None if schema is None else str(schema),
        )
        batch = [(*row, argument, schema, number) for number, row in enumerate(found, 1)]
        return [batch] if batch else []

    table = _table(name, *columns, "arg", "schema", _ROWID)
    return Relation(table, rows, frozenset((width, width + 1)), rowid=width + 2)


_RELATIONS: dict[str, Callable[[], Relation]] = {
    "sqlite_temp_master": lambda: _master("temp"),
    "sqlite_temp_schema": lambda: _master("temp"),
    "json_each": _json_each,
    "json_tree": _json_tree,
    "generate_series": _series,
}

_OF_DATABASES: dict[str, Callable[[str], Relation]] = {
    "kv": _kv,
    "sqlite_master": _master,
    "sqlite_schema": _master,
}
