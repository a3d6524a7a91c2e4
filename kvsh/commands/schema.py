"""Commands that show what the database consists of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError
from kvsh.themes import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kvsh.environment import Environment
    from sql import Index, Schema, Table, Trigger, View

    SchemaObject = Table | View | Index | Trigger


def _like(pattern: str | None, name: str) -> bool:
    """Whether the name fits a LIKE pattern."""
    if pattern is None:
        return True
    signs = {"%": ".*", "_": "."}
    text = "".join(signs.get(char) or re.escape(char) for char in pattern)
    return re.fullmatch(text, name, re.IGNORECASE | re.DOTALL) is not None


def _objects(*kinds: Mapping[str, SchemaObject]) -> list[SchemaObject]:
    """The objects of several kinds in one list."""
    return [item for kind in kinds for item in kind.values()]


def layers(environment: Environment) -> list[tuple[str, Schema]]:
    """The databases, each with what stands before its names: as in sqlite3's shell nothing before those of main."""
    return [
        ("" if name == "main" else f"{_shown(environment, name)}.", layer)
        for name, layer in environment.session.schema.layers().items()
    ]


def _shown(environment: Environment, database: str) -> str:
    """A database's name as it was written, in quotes if it needs them."""
    from kvsh.complete.names import quoted_name

    others = environment.session.others.values()
    return quoted_name(next((o.name for o in others if o.name.lower() == database), database))


def tables(environment: Environment, arguments: Arguments) -> None:
    pattern = arguments.words[0].text if arguments.words else None
    names = sorted(
        f"{before}{item.name}"
        for before, layer in layers(environment)
        for item in _objects(layer.tables, layer.views)
        if not item.name.startswith("sqlite_") and _is_meant(pattern, before, item.name)
    )
    _columns(environment, names)


def _is_meant(pattern: str | None, before: str, name: str) -> bool:
    """Whether a name fits a LIKE pattern, or, with its database before it, one with a dot."""
    if _like(pattern, name) or pattern is None or "." not in pattern:
        return _like(pattern, name)
    database = before or "main."
    return any(_like(pattern, f"{shown}{name}") for shown in (database, database.replace('"', "")))


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
    databases = layers(environment)
    statements = [text for database in databases for text in _definitions(pattern, *database)]
    if pattern is not None and not statements:
        names = [
            f"{before}{item.name}"
            for before, found in databases
            for item in _objects(found.tables, found.views, found.indexes, found.triggers)
        ]
        raise CommandError(
            f"no table, view, index or trigger is called {pattern}{nearest(pattern, names)}",
            arguments.column_of(0),
        )
    for statement in statements:
        if arguments.has("--indent"):
            statement = indented(statement)
        text = f"{statement};\n"
        if environment.target.is_terminal:
            from kvsh.output.values import shown

            text = shown(text)
            if environment.paint:
                from kvsh.highlight import highlighted

                text = highlighted(text, environment.paint)
        environment.write(text)


_PIECE = re.compile(
    r"""'[^']*' | "[^"]*" | `[^`]*` | \[[^\]]*\] | ,?[ \t]*--[^\n]* | /\*.*?\*/ | [(),] | \s+ | [^\s'"`\[(),/-]+ | .""",
    re.VERBOSE | re.DOTALL,
)
"""What a CREATE TABLE consists of: names and texts, comments (behind a comma, with it), signs, blanks, all else."""


def indented(statement: str) -> str:
    """A CREATE TABLE with a line for each column and constraint; other statements as they are."""
    if not re.match(r"CREATE\s+TABLE\b", statement, re.IGNORECASE):
        return statement
    made: list[str] = []
    depth = 0
    for piece in _PIECE.findall(statement):
        if piece.isspace():
            piece = "" if made and made[-1][-1:].isspace() else " "
        depth += (piece == "(") - (piece == ")")
        if (piece == "(" or piece.startswith(",")) and depth == 1:
            piece += "\n  "
        elif "--" in piece[:2] or piece.lstrip(", \t").startswith("--"):
            piece += "\n  " if depth == 1 else "\n"
        elif piece == ")" and depth == 0:
            made[-1] = made[-1].rstrip(" ")
            piece = ")" if made[-1].endswith("\n") else "\n)"
        made.append(piece)
    return "".join(made)


def _definitions(pattern: str | None, before: str, found: Schema) -> Iterator[str]:
    """The CREATE statements of a database's objects that fit the pattern."""
    owners = set()
    for table in found.tables.values():
        if _is_meant(pattern, before, table.name) and not table.name.startswith("sqlite_"):
            owners.add(table.name.lower())
            yield _qualified(table.sql, before)
    for view in found.views.values():
        if _is_meant(pattern, before, view.name):
            owners.add(view.name.lower())
            yield _qualified(view.sql, before)
    on_tables: list[Index | Trigger] = [*found.indexes.values(), *found.triggers.values()]
    for item in on_tables:
        if item.sql and (item.table.lower() in owners or _is_meant(pattern, before, item.name)):
            yield _qualified(item.sql, before)


def _qualified(statement: str, before: str) -> str:
    """A CREATE statement as the catalog has it, `before` put before the name."""
    kind = re.match(r"CREATE (?:TABLE|VIEW|TRIGGER|(?:UNIQUE )?INDEX) ", statement)
    return statement if kind is None else f"{kind[0]}{before}{statement[kind.end() :]}"


def indexes(environment: Environment, arguments: Arguments) -> None:
    found = environment.session.schema
    database, wanted = None, None
    if arguments.words:
        database, wanted = found.parted(arguments.words[0].text)
        if found.find_table(wanted, database) is None:
            names = [table.name for table in found.tables.values()]
            raise CommandError(
                f"no such table: {arguments.words[0].text}{nearest(wanted, names)}",
                arguments.column_of(0),
            )
    names = sorted(
        f"{before}{index.name}"
        for before, layer in layers(environment)
        for index in layer.indexes.values()
        if wanted is None or index.table.lower() == wanted.lower()
        if database is None or layer is found.layer(database)
    )
    _columns(environment, names)


def databases(environment: Environment, arguments: Arguments) -> None:
    stores = [("main", environment.store, environment.path)]
    for other in environment.session.others.values():
        stores.append((_shown(environment, other.name.lower()), other.store, other.store.path))
    for name, store, path in stores:
        access = "read-only" if store.readonly else "read/write"
        environment.write(f"{name}: {path or 'in memory'} ({access})\n")
