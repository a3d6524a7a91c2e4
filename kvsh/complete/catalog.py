"""What completion may know of the database: relations, their columns and keys, functions, and live data.

`Catalog` is the seam: tests give a made-up one, the shell one that reads the open session
(`kvsh.repl.live`).  The pure core in this package asks only through it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class ColumnInfo(NamedTuple):
    """A column as a candidate: its name and declared type ("" if none)."""

    name: str
    type: str = ""


class ForeignKeyInfo(NamedTuple):
    """`columns` of this relation refer to `parent_columns` of the relation `parent`."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """Something that stands in FROM.  `kind`: table, view, cte, derived, function."""

    name: str
    columns: tuple[ColumnInfo, ...]
    kind: str = "table"
    foreign_keys: tuple[ForeignKeyInfo, ...] = ()


class Datum(NamedTuple):
    """A key or value found in the data: its text, and what to show beside it ("" if nothing).

    `whole` is False for a common beginning of several keys (`user:`)."""

    text: str
    note: str = ""
    whole: bool = True
    numeric: bool = False


@dataclass(slots=True)
class SchemaNames:
    """The names of one state of the schema, arranged for look-up by prefix."""

    relations: Mapping[str, Relation] = field(default_factory=dict)  # by lower-case name
    indexes: Mapping[str, str] = field(default_factory=dict)  # index name -> table name
    triggers: Sequence[str] = ()
    functions: Sequence[str] = ()  # registered by programs, beyond the built-in ones
    databases: Mapping[str, Mapping[str, Relation]] = field(default_factory=dict)
    """The relations of each database by lower-case name, where there are several."""
    _columns: list[tuple[str, str, str]] = field(default_factory=list)

    def relation(self, name: str, database: str | None = None) -> Relation | None:
        """The relation of that name in any case, or None."""
        known = self.databases.get((database or "").lower(), self.relations)
        return known.get(name.lower())

    def columns_starting(self, prefix: str, limit: int) -> Iterable[tuple[str, str]]:
        """(column, relation) pairs of the whole schema whose column starts with `prefix`, any case."""
        if not self._columns:
            self._columns = sorted(
                (column.name.lower(), column.name, relation.name)
                for relation in self.relations.values()
                for column in relation.columns
            )
        prefix = prefix.lower()
        position = bisect_left(self._columns, (prefix,))
        for lowered, name, relation_name in self._columns[position : position + limit]:
            if not lowered.startswith(prefix):
                return
            yield name, relation_name


class Catalog(Protocol):
    """What the completion core asks of a database.  Every call is bounded in time and never blocks."""

    def schema(self) -> SchemaNames:
        """The names as of now; the same object while the schema stays the same."""

    def keys(self, prefix: str, limit: int) -> Sequence[Datum]:
        """Keys of the raw key space that start with `prefix`, far-reaching groups folded into one."""

    def values(self, relation: str, column: str, prefix: str, limit: int) -> Sequence[Datum]:
        """Distinct values of the column that start with `prefix`, the likeliest first."""


class EmptyCatalog:
    """A database of which nothing is known (yet)."""

    def __init__(self) -> None:
        self._schema = SchemaNames()

    def schema(self) -> SchemaNames:
        return self._schema

    def keys(self, prefix: str, limit: int) -> Sequence[Datum]:
        return ()

    def values(self, relation: str, column: str, prefix: str, limit: int) -> Sequence[Datum]:
        return ()
