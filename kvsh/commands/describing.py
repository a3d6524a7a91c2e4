"""What a table is made of, and what is in it: `.describe` and `.summarize`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, UsageError, split
from kvsh.commands.schema import layers
from kvsh.themes import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvsh.environment import Environment
    from kvsh.output import Row
    from sql import Schema, Table

_FOR_PEOPLE = frozenset(("box", "table", "column", "line"))
"""Modes in which something may stand below the columns; what a program reads is the columns alone."""

_QUERY = re.compile(r"(?:SELECT|WITH|VALUES|PRAGMA|EXPLAIN)\b|\(|/\*|--", re.IGNORECASE)
"""What a query begins with."""

_ABOUT = ("types", "nulls", "distinct", "min", "max", "mean")
"""What `.summarize` says of a column."""


def describe(environment: Environment, arguments: Arguments) -> None:
    if not arguments.words:
        names = ["name", "kind", "rows", "columns", "indexes"]
        environment.show(names, iter([_relations(environment)]))
        return
    name = arguments.words[0].text
    schema = environment.session.schema
    database, bare = schema.parted(name)
    table = schema.find_table(bare, database)
    if table is not None:
        layer = schema.layer(table.database)
        assert layer is not None
        _table(environment, layer, table)
    elif schema.find_view(bare, database) is not None or bare.lower() == "kv":
        environment.show(["column"], iter([[(column,) for column in _columns(environment, name)]]))
    else:
        raise _unknown(schema, name, arguments.place_of(0) + 1)


def _unknown(schema: Schema, name: str, column: int = 1) -> CommandError:
    known = [item.name for kind in (schema.tables, schema.views) for item in kind.values()]
    return CommandError(f"no such table: {name}{nearest(name, known)}", column)


def _columns(environment: Environment, relation: str) -> list[str]:
    """The names of a relation's columns."""
    name = environment.session.schema.spelled(relation)
    result = environment.session.execute(f"SELECT * FROM {name} LIMIT 0")
    try:
        return [column.name for column in result.columns or ()]
    finally:
        result.close()


def _relations(environment: Environment) -> list[Row]:
    """Every table, view and the raw keys: name, kind, rows, columns, indexes."""
    from btree import RAW_TREE_ID

    databases = environment.session.schema.layers()
    shown = layers(environment)
    rows: list[Row] = []
    with environment.reading() as transaction:
        for before, layer in shown:
            rows += [
                (
                    f"{before}{table.name}",
                    "table",
                    len(transaction.tree(table.tree_id)),
                    len(table.columns),
                    len(layer.indexes_on(table.name)),
                )
                for table in layer.tables.values()
                if not table.name.startswith("sqlite_")
            ]
        keys = len(transaction.tree(RAW_TREE_ID))
    for database, (before, layer) in zip(databases, shown, strict=True):
        for view in layer.views.values():
            columns = _columns(environment, f"{database}.{view.name}")
            rows.append((f"{before}{view.name}", "view", None, len(columns), 0))
    return [*sorted(rows), ("kv", "raw keys", keys, 2, 0)]


def _table(environment: Environment, schema: Schema, table: Table) -> None:
    names = ["column", "type", "null", "default", "key"]
    rows: list[Row] = []
    is_drawn = environment.mode in _FOR_PEOPLE
    # In a table for people a field without anything is empty: NULL there is a default that says so.
    nothing = "" if is_drawn and not environment.null else None
    for place, column in enumerate(table.columns):
        default = column.default_shown or column.default
        if column.generated is not None:
            default = f"always {column.generated}"
        keys = list(_keys(schema, table, place))
        is_key = place == table.rowid_alias or place in table.primary_key
        never_null = is_key and (place == table.rowid_alias or table.without_rowid or table.strict)
        rows.append(
            (
                column.name,
                column.declared_type or "",
                "no" if column.not_null or never_null else "yes",
                nothing if default is None else default,
                ", ".join(keys) or nothing,
            )
        )
    environment.show(names, iter([rows]))
    if is_drawn:
        environment.write_shown("".join(f"{line}\n" for line in _below(environment, schema, table)))


def _keys(schema: Schema, table: Table, place: int) -> Iterator[str]:
    """What a column is a key of."""
    if place == table.rowid_alias or table.primary_key == (place,):
        yield "primary key"
    elif place in table.primary_key:
        yield f"primary key, {table.primary_key.index(place) + 1} of {len(table.primary_key)}"
    for index in schema.indexes_on(table.name):
        columns = [part.column for part in index.columns]
        if index.unique and index.origin != "pk" and columns == [place] and index.where is None:
            yield "unique"
    for key in table.foreign_keys:
        if key.columns == (place,):
            yield f"references {key.parent}"


def _below(environment: Environment, schema: Schema, table: Table) -> Iterator[str]:
    """What there is to say of the table as a whole."""
    from kvsh.draw.pen import counted

    def named(columns: tuple[int, ...]) -> str:
        return ", ".join(table.columns[column].name for column in columns)

    with environment.reading() as transaction:
        rows = counted(len(transaction.tree(table.tree_id)), "row")
    traits = [
        trait.replace("_", " ") for trait in ("strict", "without_rowid") if getattr(table, trait)
    ]
    if table.database != "main":
        traits.append("temporary" if table.database == "temp" else f"in {table.database}")
    yield ", ".join([rows, *traits])
    for index in schema.indexes_on(table.name):
        parts = [
            part.expression
            if part.expression is not None
            else "rowid"
            if part.column is None or part.column < 0
            else table.columns[part.column].name
            for part in index.columns
        ]
        unique = "unique index" if index.unique else "index"
        where = f" where {index.where}" if index.where else ""
        yield f"{unique} {index.name} ({', '.join(parts)}){where}"
    for check in table.checks:
        yield f"check ({check.expression})"
    for key in table.foreign_keys:
        goal = f"({', '.join(key.parent_columns)})" if key.parent_columns else ""
        actions = "".join(
            f" on {event} {action.lower()}"
            for event, action in (("delete", key.on_delete), ("update", key.on_update))
            if action != "NO ACTION"
        )
        yield f"foreign key ({named(key.columns)}) references {key.parent}{goal}{actions}"
    for other in schema.tables.values():
        for key in other.foreign_keys:
            if key.parent.lower() == table.name.lower():
                columns = ", ".join(other.columns[column].name for column in key.columns)
                yield f"referenced by {other.name} ({columns})"
    for trigger in schema.triggers_on(table.name):
        yield f"trigger {trigger.name} {trigger.timing.lower()} {trigger.event.lower()}"


def summarize(environment: Environment, arguments: Arguments) -> None:
    from kvsh.environment import located
    from kvsh.transfer import TransferError, only_reading

    source = arguments.rest.rstrip("; \t")
    if not source:
        raise UsageError("usage: .summarize TABLE | SELECT ...", 11)
    schema = environment.session.schema
    if not _QUERY.match(source):
        words = split(source, has_names=True)
        if len(words) > 1:
            raise UsageError("one table, or a query", arguments.start + words[1].column)
        source = words[0].text
    place = arguments.start
    database, bare = schema.parted(source)
    is_name = schema.find_table(bare, database) or schema.find_view(bare, database)
    if is_name or bare.lower() == "kv":
        name, source = source, f"SELECT * FROM {schema.spelled(source)}"
        place -= len(source) - len(name)
    elif not _QUERY.match(source):
        raise _unknown(schema, source, arguments.start + 1)
    session, parameters = environment.session, environment.bound()
    try:
        with only_reading(session), located(place):
            looked_at = session.execute(source, parameters)
            names = [column.name for column in looked_at.columns or ()]
            looked_at.close()
            figures = session.execute(_figures(source, len(names)), parameters).fetch_all()[0]
    except TransferError as error:
        raise CommandError(str(error)) from error
    width = len(_ABOUT)
    rows: list[Row] = [
        (name, *figures[1 + place * width : 1 + (place + 1) * width])
        for place, name in enumerate(names)
    ]
    environment.show(["column", *_ABOUT], iter([rows]))
    if environment.mode in _FOR_PEOPLE:
        from kvsh.draw.pen import counted

        environment.write(f"{counted(figures[0], 'row')}\n")


def _figures(source: str, width: int) -> str:
    """The query of one row: how many rows there are, then for each column what `_ABOUT` names."""
    columns = [f"c{place}" for place in range(width)]
    asked = ["count(*)"]
    for column in columns:
        numbers = f"FILTER (WHERE typeof({column}) IN ('integer', 'real'))"
        mean = f"avg({column}) {numbers}"
        asked += [
            f"group_concat(DISTINCT typeof({column})) FILTER (WHERE {column} IS NOT NULL)",
            f"count(*) - count({column})",
            f"count(DISTINCT {column})",
            f"min({column})",
            f"max({column})",
            f"iif({mean} IS NULL, NULL, CAST(printf('%.6g', {mean}) AS REAL))",
        ]
    return (
        f"WITH source({', '.join(columns)}) AS ({source}\n) SELECT {', '.join(asked)} FROM source"
    )
