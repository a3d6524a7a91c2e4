"""Scopes: which names mean which columns, from the innermost SELECT outwards.

SQLite's order (https://www.sqlite.org/lang_select.html, resolve.c `lookupName`): columns of the FROM
clause, then the hidden rowid, then aliases of result columns, then the enclosing SELECT; a
double-quoted name that nothing answers to is a string.
"""

from __future__ import annotations

from collections.abc import Set

import sqlglot.expressions as exp
from msgspec import Struct, field
from msgspec.structs import replace

from sql.errors import SqlError, SqlNameError
from sql.expressions import (
    ANY_KIND,
    ROWID,
    Affinity,
    ColumnRef,
    Expression,
    Literal,
)
from sql.plan import AggregateCall, Block, WindowCall
from sql.schema import Table

ROWID_NAMES = frozenset({"rowid", "oid", "_rowid_"})
INTEGER_KIND = 2


class ScopeColumn(Struct, frozen=True):
    """A column that a name may mean; `table`, `column`: its origin if it is a stored column; `stored`: the database of
    that, where it is the table's own column."""

    name: str
    expression: Expression
    declared_type: str | None = None
    table: str | None = None
    column: str | None = None
    hidden: bool = False
    stored: str | None = None


class ScopeItem(Struct):
    """One relation of FROM as names see it.  `merged`: names that an earlier USING or NATURAL join
    shows once, so that an unqualified use or a star skips them here."""

    alias: str
    columns: list[ScopeColumn]
    rowid: Expression | None = None
    key: Expression | None = None
    schema: str | None = "main"
    merged: set[str] = field(default_factory=set)
    by_name: dict[str, ScopeColumn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.by_name:
            self.by_name = _by_name(self.columns)


def _by_name(columns: list[ScopeColumn]) -> dict[str, ScopeColumn]:
    """The columns by their names in lower case, of several of one name the first."""
    return {column.name.lower(): column for column in reversed(columns)}


class Scope(Struct):
    """The names one SELECT sees, its aggregates and window calls as they are found."""

    parent: Scope | None = None
    items: list[ScopeItem] = field(default_factory=list)
    aliases: dict[str, Expression] = field(default_factory=dict)
    merged: dict[str, ScopeColumn] = field(default_factory=dict)
    aggregate_source: int = -1
    window_source: int = -1
    key_count: int = 0
    aggregates: list[AggregateCall] = field(default_factory=list)
    aggregate_slots: dict[str, int] = field(default_factory=dict)  # by how the calls are spelled
    windows: list[WindowCall] = field(default_factory=list)
    aggregates_allowed: bool = False
    outer_aggregates_allowed: bool = True
    """Whether those of an enclosing SELECT are: not in arguments, nor in the WHERE of a SELECT of rows."""
    windows_allowed: bool = False
    named_windows: dict[str, exp.Window] = field(default_factory=dict)
    assigned_rows: dict[int | None, Block] = field(default_factory=dict)  # by where they begin

    def find(self, name: str, table: str | None, database: str | None = None) -> ScopeColumn | None:
        """The column of this scope alone that the name means; an error if there are several."""
        lowered = name.lower()
        if table is None:
            merged = self.merged.get(lowered)
            if merged is not None:
                return merged
            found = None
            for item in self.items:
                column = item.by_name.get(lowered)
                if column is None or lowered in item.merged:
                    continue
                if found is not None:
                    raise self._ambiguous(name)
                found = column
            if found is None and lowered in ROWID_NAMES:
                return self._rowid()
            return found
        wanted = table.lower()
        found = None
        for item in self.items:
            if item.alias.lower() != wanted:
                continue
            if database is not None and item.schema not in (None, database.lower()):
                continue
            column = item.by_name.get(lowered)
            if column is None and lowered in ROWID_NAMES and item.rowid is not None:
                column = rowid_column(item.rowid, item.alias, item.schema)
            if column is not None:
                if found is not None:
                    raise SqlError(f"ambiguous column name: {table}.{name}", token=name)
                found = column
        return found

    def _ambiguous(self, name: str) -> SqlNameError:
        """Several relations have the column: which those are."""
        meant = tuple(
            f"{item.alias}.{item.by_name[name.lower()].name}"
            for item in self.items
            if name.lower() in item.by_name
        )
        return SqlNameError(f"ambiguous column name: {name}", token=name, suggestions=meant)

    def _rowid(self) -> ScopeColumn | None:
        """The rowid of the one relation that has any."""
        found = [
            (item.rowid, item.alias, item.schema) for item in self.items if item.rowid is not None
        ]
        return rowid_column(*found[0]) if len(found) == 1 else None

    def names(self) -> list[str]:
        return [column.name for item in self.items for column in item.columns]


def rowid_column(rowid: Expression, alias: str, database: str | None) -> ScopeColumn:
    """The rowid under any of its names: it goes by that of the column that stands for it."""
    name = rowid.name if isinstance(rowid, ColumnRef) else "rowid"
    return ScopeColumn(name, rowid, "INTEGER", alias, name, stored=database)


def without(
    item: ScopeItem, hidden: Set[tuple[str, str, str, str]], table: str, inside: str
) -> ScopeItem:
    """The item with NULL for those columns of its table that are hidden from a query, or from the view it is inside of."""
    database, name = item.schema or "main", table.lower()
    columns = [
        replace(column, expression=Literal(None))
        if (database, name, column.name.lower(), inside) in hidden
        else column
        for column in item.columns
    ]
    rowid = item.rowid
    if isinstance(rowid, ColumnRef) and (database, name, rowid.name.lower(), inside) in hidden:
        rowid = Literal(None)
    return ScopeItem(item.alias, columns, rowid, item.key, item.schema)


def no_such_column(
    name: str, table: str | None, scope: Scope | None, offset: int | None
) -> SqlNameError:
    """`no such column: t.x`, with the nearest names that the scopes hold: those of `t`, if there is one, else
    `u.x` of other tables."""
    known: list[str] = []
    of_table: list[str] = []
    elsewhere: list[str] = []
    while scope is not None:
        known += scope.names()
        for item in scope.items:
            if table is None:
                continue
            if item.alias.lower() == table.lower():
                of_table += [column.name for column in item.columns]
            elif name.lower() in item.by_name:
                elsewhere.append(f"{item.alias}.{item.by_name[name.lower()].name}")
        scope = scope.parent
    full = f"{table}.{name}" if table else name
    error = SqlNameError(f"no such column: {full}", offset=offset, token=name)
    # Where there is no such table, the column under its tables' names; else what the column may have been meant for.
    other = () if of_table else nearest(full, elsewhere) or tuple(elsewhere)
    error.suggestions = other or nearest(name, of_table or known)
    return error


def nearest(name: str, known: list[str]) -> tuple[str, ...]:
    """Up to three of `known` that look like `name`, best first."""
    by_lower = {word.lower(): word for word in known}
    import difflib

    close = difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.6)
    return tuple(by_lower[word] for word in close)


_Columns = tuple[list[ScopeColumn], dict[str, ScopeColumn], Expression | None, Expression]

_columns_known: dict[tuple[int, int, tuple[int, ...]], tuple[Table, _Columns]] = {}
"""What `table_item` made lately, by the table's identity: a program asks for the same few tables in many
statements, and makes none but their first use's columns."""
_COLUMNS_KNOWN_MAX = 256


def table_item(
    table: Table, source: int, alias: str, kinds: tuple[int, ...], *, schema: str = "main"
) -> ScopeItem:
    """The scope item of a stored table's row, with source number `source`."""
    key = (id(table), source, kinds)
    known = _columns_known.get(key)
    if known is None or known[0] is not table:
        if len(_columns_known) >= _COLUMNS_KNOWN_MAX:
            _columns_known.clear()
        known = _columns_known[key] = table, _columns_of(table, source, kinds)
    columns, by_name, rowid, tree_key = known[1]
    return ScopeItem(alias, columns, rowid, tree_key, schema, by_name=by_name)


def _columns_of(table: Table, source: int, kinds: tuple[int, ...]) -> _Columns:
    columns = [
        ScopeColumn(
            column.name,
            ColumnRef(
                source,
                position,
                column.name,
                table.name,
                column.affinity,
                column.collation,
                INTEGER_KIND if position == table.rowid_alias else kinds[position],
            ),
            column.declared_type,
            table.name,
            column.name,
            stored=table.database,
        )
        for position, column in enumerate(table.columns)
    ]
    rowid: Expression | None = None
    if not table.without_rowid and table.tree_id > 0:
        if table.rowid_alias is not None:
            rowid = columns[table.rowid_alias].expression
        else:
            rowid = ColumnRef(
                source, ROWID, "rowid", table.name, Affinity.INTEGER, "BINARY", INTEGER_KIND
            )
    key: Expression
    if rowid is not None and table.rowid_alias is not None:
        key = rowid  # a row by itself will do then, and joins take place leaf by leaf
    else:
        key = ColumnRef(source, ROWID, "_key_", table.name, Affinity.BLOB, "BINARY", ANY_KIND)
    return columns, _by_name(columns), rowid, key


def nullable(item: ScopeItem) -> ScopeItem:
    """The item as seen outside of an outer join that may null it."""
    columns = [
        replace(column, expression=replace(column.expression, kinds=column.expression.kinds | 1))
        if isinstance(column.expression, ColumnRef)
        else column
        for column in item.columns
    ]
    rowid = item.rowid
    if isinstance(rowid, ColumnRef):
        rowid = replace(rowid, kinds=rowid.kinds | 1)
    made = ScopeItem(item.alias, columns, rowid, item.key, item.schema)
    made.merged = item.merged
    return made
