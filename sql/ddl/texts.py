"""Texts in double quotes inside of definitions: a name that no column has is one (https://www.sqlite.org/quirks.html).

RENAME COLUMN and DROP COLUMN put them into single quotes before anything else, in every definition of the database and in
the temporary ones, as SQLite does.  So none becomes a column when one gets its name, and no column that is dropped
becomes a text: what is left in double quotes has to be a column from then on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.bind.queries import Binder
from sql.ddl.expressions import check_expression
from sql.ddl.rewrite import Edit, parts_of
from sql.errors import SqlError, SqlNameError
from sql.loading import load
from sql.parse.lexer import tokens_of
from sql.parse.statements import (
    Constraint,
    CreateIndex,
    CreateTable,
    CreateTrigger,
    CreateView,
    Default,
    Insert,
    Statement,
    Update,
)
from sql.schema import Schema

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.ddl.work import Work
    from sql.schema import Table


def text_edits(work: Work, statement: Statement, *, temporary: bool) -> list[Edit]:
    """Where the definition has a text in double quotes, each in single ones."""
    if '"' not in statement.text:
        return []
    told: list[SqlNameError] = []
    env = work.environment()
    env.on_text, env.texts_anywhere = told.append, True
    schema = work.schema
    layer = env.schema = schema if temporary else work.layer
    match statement:
        case CreateTable() if statement.select is None:
            table = layer.table(statement.name.name)
            if table is not None:
                checked = parts_of((statement.constraints, _kept(statement)), exp.Expression)
                _bind_each(list(checked), table, env)
        case CreateIndex():
            table = layer.table(statement.table.name)
            if table is not None:
                _bind_each(list(parts_of(statement, exp.Expression)), table, env)
        case CreateView():
            Binder(env).query(statement.select.copy(), None)
        case CreateTrigger():
            _bind_trigger(work, statement, layer, told, temporary=temporary)
        case _:
            pass
    tokens = tokens_of(statement.text)
    places = {start: place for place, start in enumerate(tokens.starts)}
    edits = []
    for error in told:
        place = None if error.offset is None else places.get(error.offset)
        if place is not None and statement.text[tokens.starts[place]] == '"':
            text = tokens.values[place].replace("'", "''")
            edits.append((tokens.starts[place], tokens.ends[place], f"'{text}'"))
    return edits


def _kept(statement: CreateTable) -> list[Constraint]:
    """The columns' constraints but for DEFAULT, where no name is a column."""
    return [
        constraint
        for column in statement.columns
        for constraint in column.constraints
        if not isinstance(constraint, Default)
    ]


def _bind_each(trees: list[exp.Expression], table: Table, env: BindEnvironment) -> None:
    """Bind a table's expressions, and those of its indexes."""
    for tree in trees:
        check_expression(tree, table, env, what="CHECK constraints", deterministic=False)


def _bind_trigger(
    work: Work,
    trigger: CreateTrigger,
    schema: Schema,
    on_text: list[SqlNameError],
    *,
    temporary: bool,
) -> None:
    """Bind what a trigger does.  A body with names of what is not there is told of when it fires, and here passed over."""
    load("sql.dml")
    from sql.compile import compile_values
    from sql.dml.programs import Program
    from sql.dml.triggers import SCOPES
    from sql.dml.views import table_of_view

    on = trigger.table
    table = schema.find_table(on.name, on.schema)
    view = None if table is not None else schema.find_view(on.name, on.schema)
    if view is not None:
        table = table_of_view(view, work.environment())
    if table is None:
        return
    program = Program(
        work.session,
        table,
        trigger.body,
        scopes=SCOPES[trigger.event],
        database=None if temporary else work.database,
    )
    env = program.environment(work.transaction)
    env.on_text, env.texts_anywhere = on_text.append, True
    if trigger.when is not None:
        with suppress(SqlError):
            compile_values([[trigger.when.copy()]], env)
    for statement in trigger.body:
        with suppress(SqlError):
            program.prepared(_with_known_columns(statement, schema), env, None)


def _with_known_columns(statement: Statement, schema: Schema) -> Statement:
    """What is given to columns that the table hasn't is looked at like all else, as if it were another column's."""
    if not isinstance(statement, (Insert, Update)):
        return statement
    table = schema.find_table(statement.table.name, statement.table.schema)
    if table is None:
        return statement
    names = [column.name for column in table.columns if column.generated is None]
    known = {column.name.lower() for column in table.columns}

    def found(given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if name.lower() in known else names[0] for name in given)

    if isinstance(statement, Insert):
        return replace(statement, columns=found(statement.columns))
    assignments = tuple(
        replace(item, columns=found(item.columns)) for item in statement.assignments
    )
    return replace(statement, assignments=assignments)
