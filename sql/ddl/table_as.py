"""CREATE TABLE ... AS SELECT: columns from the query's result, rows loaded at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sql.ddl.work import Work
from sql.expressions import Affinity
from sql.loading import load
from sql.parse.statements import CreateTable
from sql.schema import Column, Table, quoted

if TYPE_CHECKING:
    from sql.bind.queries import Binder
    from sql.plan import Block, ResultColumn

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TYPE_NAMES = {
    Affinity.BLOB: None,
    Affinity.TEXT: "TEXT",
    Affinity.NUMERIC: "NUM",
    Affinity.INTEGER: "INT",
    Affinity.REAL: "REAL",
}
_ONE_LINE_MAX = 50


def create_table_as(work: Work, statement: CreateTable, values: tuple[Any, ...]) -> None:
    """Carry out the statement with `values` for the query's parameters; its rows get rowids from 1 on, and
    the affinities of their columns."""
    from sql.bind.queries import bind_query
    from sql.compile import prepare_select
    from sql.ddl.tables import add_table

    assert statement.select is not None
    environment = work.environment()
    compiled = prepare_select(statement.select, environment)
    columns = result_columns(*bind_query(statement.select, environment))
    name = statement.name.name
    table = Table(
        name=name,
        tree_id=0,
        columns=columns,
        database=work.database,
        sql=_text(name, columns),
    )
    context = work.context(values)
    # The query is bound before the table exists, and runs on the trees as they were before.
    load("sql.dml.copying")
    from sql.dml.copying import Copied

    batches = Copied(compiled, whole=False).column_batches(context)
    add_table(work, table, [])
    made = work.layer.table(name)
    assert made is not None
    load("sql.dml")
    from sql.dml import fill_table

    fill_table(context, made, work.environment(), batches)


def result_columns(
    block: Block, result: tuple[ResultColumn, ...], binder: Binder
) -> tuple[Column, ...]:
    """Columns for a query's result: repeated names are numbered, types say the affinity alone."""
    from sql.bind.relations import distinct_names
    from sql.bind.typing import affinity_of

    names = distinct_names([item.inner_name or item.name for item in result])
    columns: list[Column] = []
    for slot, name in enumerate(names):
        output = binder.output_of(block, slot)
        assert output is not None
        affinity = affinity_of(output) or Affinity.BLOB
        columns.append(Column(name, _TYPE_NAMES[affinity], affinity))
    return tuple(columns)


def _text(table: str, columns: tuple[Column, ...]) -> str:
    """The CREATE TABLE as SQLite writes it: on one line if it is short."""
    parts = [
        quoted_if_needed(column.name) + (f" {column.declared_type}" if column.declared_type else "")
        for column in columns
    ]
    length = sum(_quoted_length(column.name) + 5 for column in columns) + _quoted_length(table)
    if length < _ONE_LINE_MAX:
        return f"CREATE TABLE {quoted_if_needed(table)}({','.join(parts)})"
    body = ",\n  ".join(parts)
    return f"CREATE TABLE {quoted_if_needed(table)}(\n  {body}\n)"


def _quoted_length(name: str) -> int:
    return len(name) + name.count('"') + 2


def quoted_if_needed(name: str) -> str:
    """The name, in double quotes unless it is a plain word and no keyword."""
    from sql.parse.lexer import FALLBACK, JOIN_WORDS, RESERVED

    upper = name.upper()
    if _PLAIN_NAME.match(name) and upper not in RESERVED | JOIN_WORDS | FALLBACK:
        return name
    return quoted(name)
