"""Commands that show what the database consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError
from kvsh.themes import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kvsh.environment import Environment
    from sql import Index, Table, Trigger, View

    SchemaObject = Table | View | Index | Trigger


def _like(pattern: str | None, name: str) -> bool:
    """Whether the name fits a LIKE pattern."""
    if pattern is None:
        return True
    import re

    signs = {"%": ".*", "_": "."}
    text = "".join(signs.get(char) or re.escape(char) for char in pattern)
    return re.fullmatch(text, name, re.IGNORECASE | re.DOTALL) is not None


def _objects(*kinds: Mapping[str, SchemaObject]) -> list[SchemaObject]:
    """The objects of several kinds in one list."""
    return [item for kind in kinds for item in kind.values()]


def tables(environment: Environment, arguments: Arguments) -> None:
    pattern = arguments.words[0].text if arguments.words else None
    schema = environment.session.schema
    names = sorted(
        item.name
        for item in _objects(schema.tables, schema.views)
        if not item.name.startswith("sqlite_") and _like(pattern, item.name)
    )
    _columns(environment, names)


def _columns(environment: Environment, names: list[str]) -> None:
    """Names side by side where there is a screen, else a line each."""
    if not environment.target.is_terminal or not names:
        environment.write("".join(f"{name}\n" for name in names))
        return
    from kvsh.output.tables import width_of
    from kvsh.output.values import escaped

    names = [escaped(name) for name in names]
    width = max(map(width_of, names)) + 2
    across = max(1, (environment.screen or 80) // width)
    rows = -(-len(names) // across)
    for row in range(rows):
        line = "".join(name + " " * (width - width_of(name)) for name in names[row::rows])
        environment.write(line.rstrip() + "\n")


def schema(environment: Environment, arguments: Arguments) -> None:
    pattern = arguments.words[0].text if arguments.words else None
    found = environment.session.schema
    statements = []
    owners = set()
    for table in found.tables.values():
        if _like(pattern, table.name) and not table.name.startswith("sqlite_"):
            owners.add(table.name.lower())
            statements.append(table.sql)
    for view in found.views.values():
        if _like(pattern, view.name):
            owners.add(view.name.lower())
            statements.append(view.sql)
    on_tables: list[Index | Trigger] = [*found.indexes.values(), *found.triggers.values()]
    for item in on_tables:
        if item.sql and (item.table.lower() in owners or _like(pattern, item.name)):
            statements.append(item.sql)
    if pattern is not None and not statements:
        names = [
            item.name for item in _objects(found.tables, found.views, found.indexes, found.triggers)
        ]
        raise CommandError(
            f"no table, view, index or trigger is called {pattern}{nearest(pattern, names)}"
        )
    for statement in statements:
        text = f"{statement};\n"
        if environment.target.is_terminal:
            from kvsh.output.values import shown

            text = shown(text)
            if environment.paint:
                from kvsh.highlight import highlighted

                text = highlighted(text, environment.paint)
        environment.write(text)


def indexes(environment: Environment, arguments: Arguments) -> None:
    found = environment.session.schema
    wanted = arguments.words[0].text.lower() if arguments.words else None
    if wanted is not None and wanted not in found.tables:
        names = [table.name for table in found.tables.values()]
        raise CommandError(f"no such table: {arguments.words[0].text}{nearest(wanted, names)}")
    names = sorted(
        index.name
        for index in found.indexes.values()
        if wanted is None or index.table.lower() == wanted
    )
    _columns(environment, names)


def databases(environment: Environment, arguments: Arguments) -> None:
    access = "read-only" if environment.store.readonly else "read/write"
    environment.write(f"main: {environment.path or 'in memory'} ({access})\n")
