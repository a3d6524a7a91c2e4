"""The pragmas that describe tables, indexes and foreign keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from sql.context import Context
from sql.errors import SqlNameError
from sql.schema import Column, Index, IndexColumn, Schema, Table, View

Rows = Iterable[tuple[Any, ...]]
TablePragma = Callable[[Context, str | None, str | None], Rows]

_EXPRESSION, _ROWID = -2, -1


def view_columns(
    ctx: Context,
    view: View,
    schema: Schema | None = None,
    on_text: Callable[[SqlNameError], None] | None = None,
) -> list[Column]:
    """The columns that a view shows now, its names looked up in `schema`; raises SqlError if its
    query does not bind."""
    from sql.bind.queries import Binder
    from sql.bind.relations import distinct_names
    from sql.parse import parse_statement
    from sql.parse.statements import Query

    parsed = parse_statement(view.select)
    assert isinstance(parsed, Query)
    environment = ctx.session.environment(ctx.transaction)
    if schema is not None:
        environment.schema = schema
    environment.on_text = on_text
    _, result = Binder(environment).query(parsed.tree, None)
    names = view.columns or distinct_names([column.inner_name or column.name for column in result])
    return [Column(name, column.declared_type) for name, column in zip(names, result, strict=False)]


def _columns(ctx: Context, name: str | None, database: str | None) -> tuple[Any, list[Column]]:
    if name is None:
        return None, []
    table = ctx.schema.find_table(name, database)
    if table is not None:
        return table, list(table.columns)
    view = ctx.schema.find_view(name, database)
    if view is not None:
        return None, view_columns(ctx, view)
    from sql.relations import relation

    known = relation(name.lower())
    return None, [] if known is None else list(known.columns)


def _table_info(ctx: Context, name: str | None, database: str | None) -> Rows:
    shown = [row for row in _table_xinfo(ctx, name, database) if not row[6]]
    for place, row in enumerate(shown):
        yield (place, *row[1:6])


def _table_xinfo(ctx: Context, name: str | None, database: str | None) -> Rows:
    table, columns = _columns(ctx, name, database)
    for place, column in enumerate(columns):
        key = table.primary_key if table is not None else ()
        hidden = 0 if column.generated is None else 3 if column.stored else 2
        yield (
            place,
            column.name,
            column.declared_type or "",
            int(column.not_null),
            column.default_shown or column.default,
            key.index(place) + 1 if place in key else 0,
            hidden,
        )


def _table_list(ctx: Context, name: str | None, database: str | None) -> Rows:
    for layer_name, layer in ctx.schema.layers().items():
        if database not in (None, layer_name):
            continue
        for row in _tables_of(ctx, layer_name, layer):
            if name is None or row[1].lower() == name.lower():
                yield row


def _tables_of(ctx: Context, database: str, layer: Schema) -> Iterator[tuple[Any, ...]]:
    for table in reversed(layer.tables.values()):
        yield (
            database,
            table.name,
            "table",
            len(table.columns),
            int(table.without_rowid),
            int(table.strict),
        )
    for view in reversed(layer.views.values()):
        yield database, view.name, "view", len(view_columns(ctx, view)), 0, 0
    name = "sqlite_temp_schema" if database == "temp" else "sqlite_schema"
    yield database, name, "table", 5, 0, 0


def _indexes(ctx: Context, table: Table) -> list[Index]:
    """The indexes of a table, the latest first, but those last that REPLACE; a clustered primary key counts as one."""
    found = list(ctx.schema.indexes_on(table.name, table.database))
    if table.without_rowid:
        primary = _primary_index(table, found)
        before = int(primary.name.rpartition("_")[2]) - 1  # constraints have their indexes first
        found.insert(before, primary)
    found.reverse()
    found.sort(key=lambda index: index.conflict == "REPLACE")
    return found


def _primary_index(table: Table, others: Iterable[Index]) -> Index:
    """The clustered primary key as an index; of the numbers of the constraints' indexes it has the one left free."""
    parts = tuple(IndexColumn(place, None, collation) for place, collation in table.key_parts)
    taken = {index.name.lower() for index in others}
    names = (f"sqlite_autoindex_{table.name}_{number}" for number in count(1))
    name = next(each for each in names if each.lower() not in taken)
    return Index(
        name=name,
        table=table.name,
        tree_id=table.tree_id,
        columns=parts,
        unique=True,
        origin="pk",
        conflict=table.rowid_conflict,
    )


def _index_list(ctx: Context, name: str | None, database: str | None) -> Rows:
    table = None if name is None else ctx.schema.find_table(name, database)
    if table is None:
        return
    for place, index in enumerate(_indexes(ctx, table)):
        yield place, index.name, int(index.unique), index.origin, int(index.where is not None)


def _find_index(ctx: Context, name: str | None, database: str | None) -> tuple[Table, Index] | None:
    if name is None:
        return None
    index = ctx.schema.find_index(name, database)
    if index is not None:
        for layer in ctx.schema.layers().values():
            table = layer.table(index.table)
            if table is not None and layer.find_index(name) is index:
                return table, index
        return None
    for table in ctx.schema.tables.values():
        if table.without_rowid:
            primary = _primary_index(table, ctx.schema.indexes_on(table.name, table.database))
            if name.lower() in (primary.name.lower(), table.name.lower()):
                return table, primary
    return None


def _index_info(ctx: Context, name: str | None, database: str | None) -> Rows:
    for row in _index_xinfo(ctx, name, database):
        if row[5]:
            yield row[:3]


def _index_xinfo(ctx: Context, name: str | None, database: str | None) -> Rows:
    found = _find_index(ctx, name, database)
    if found is None:
        return
    table, index = found
    place = 0
    for part in index.columns:
        column = _EXPRESSION if part.column is None else part.column
        shown = table.columns[column].name if column >= 0 else None
        yield place, column, shown, int(part.descending), part.collation, 1
        place += 1
    if not table.without_rowid:
        yield place, _ROWID, None, 0, "BINARY", 0
        return
    if index.tree_id == table.tree_id:
        rest = [
            (at, column.collation)
            for at, column in enumerate(table.columns)
            if at not in table.primary_key
        ]
    else:
        own = {(part.column, part.collation) for part in index.columns}
        rest = [part for part in table.key_parts if part not in own]
    for at, collation in rest:
        yield place, at, table.columns[at].name, 0, collation, 0
        place += 1


def _foreign_key_list(ctx: Context, name: str | None, database: str | None) -> Rows:
    table = None if name is None else ctx.schema.find_table(name, database)
    if table is None:
        return
    for number, key in enumerate(reversed(table.foreign_keys)):
        for place, column in enumerate(key.columns):
            yield (
                number,
                place,
                key.parent,
                table.columns[column].name,
                None if key.parent_columns is None else key.parent_columns[place],
                key.on_update,
                key.on_delete,
                "NONE",
            )


TABLE_PRAGMAS: dict[str, tuple[tuple[str, ...], TablePragma]] = {
    "table_info": (("cid", "name", "type", "notnull", "dflt_value", "pk"), _table_info),
    "table_xinfo": (
        ("cid", "name", "type", "notnull", "dflt_value", "pk", "hidden"),
        _table_xinfo,
    ),
    "table_list": (("schema", "name", "type", "ncol", "wr", "strict"), _table_list),
    "index_list": (("seq", "name", "unique", "origin", "partial"), _index_list),
    "index_info": (("seqno", "cid", "name"), _index_info),
    "index_xinfo": (("seqno", "cid", "name", "desc", "coll", "key"), _index_xinfo),
    "foreign_key_list": (
        ("id", "seq", "table", "from", "to", "on_update", "on_delete", "match"),
        _foreign_key_list,
    ),
}
