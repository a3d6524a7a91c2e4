"""CREATE TABLE ... AS SELECT: columns from the query's result, rows loaded at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sql.ddl.work import Work
from sql.errors import MisuseError
from sql.expressions import Affinity
from sql.loading import load
from sql.parse.statements import CreateTable
from sql.schema import Column, Table, quoted
from sql.values import affinity_of_type

if TYPE_CHECKING:
    from sql.plan import ResultColumn

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TYPE_NAMES = {
    Affinity.BLOB: None,
    Affinity.TEXT: "TEXT",
    Affinity.NUMERIC: "NUM",
    Affinity.INTEGER: "INT",
    Affinity.REAL: "REAL",
}
_ONE_LINE_MAX = 50


def create_table_as(work: Work, statement: CreateTable) -> None:
    """Carry out the statement; its rows get rowids from 1 on, and the affinities of their columns."""
    from sql.compile import prepare_select
    from sql.ddl.tables import add_table

    assert statement.select is not None
    if statement.parameter_names:
        raise MisuseError("parameters are not allowed in CREATE TABLE")
    compiled = prepare_select(statement.select, work.environment())
    columns = result_columns(work, compiled.columns)
    name = statement.name.name
    table = Table(
        name=name,
        tree_id=0,
        columns=columns,
        temporary=work.temporary,
        sql=_text(name, columns),
    )
    context = work.context()
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


def result_columns(work: Work, result: tuple[ResultColumn, ...]) -> tuple[Column, ...]:
    """Columns for a query's result: repeated names are numbered, types say the affinity alone."""
    columns: list[Column] = []
    seen: set[str] = set()
    for item in result:
        name, count = item.name, 0
        while name.lower() in seen:
            count += 1
            name = f"{item.name}:{count}"
        seen.add(name.lower())
        affinity = _affinity(work, item)
        columns.append(Column(name, _TYPE_NAMES[affinity], affinity))
    return tuple(columns)


def _affinity(work: Work, item: ResultColumn) -> Affinity:
    """The affinity of the column that a result column is; none for an expression."""
    table = None if item.table is None else work.schema.table(item.table)
    if table is not None:
        for column in table.columns:
            if column.name == item.column:
                return column.affinity
    return affinity_of_type(item.declared_type)


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
