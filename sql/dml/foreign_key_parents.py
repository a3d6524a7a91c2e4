"""The parent key of a foreign key: which rowid, clustered key or unique index it is, and look-ups in it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sql.collations import folding
from sql.errors import SqlError, SqlNameError
from sql.expressions import Affinity
from sql.run.ranges import rowid_of
from sql.values import apply_affinity

if TYPE_CHECKING:
    from sql.context import Context
    from sql.schema import ForeignKey, Index, Schema, Table

Row = tuple[Any, ...]

_MANY = 16
"""Row ids from which on they are looked up together."""


class ParentKey:
    """How parent rows of one constraint are looked up.

    `places` are the parent's columns that the child's columns refer to, in the constraint's order.
    Raises SqlNameError for a missing parent, SqlError `foreign key mismatch`."""

    __slots__ = ("_order", "index", "places", "table")

    def __init__(self, schema: Schema, child: Table, key: ForeignKey) -> None:
        found = self.find(schema, key)
        if found is None:
            if schema.table(key.parent) is None:
                raise SqlNameError(
                    f"no such table: {child.database}.{key.parent}", token=key.parent
                )
            raise SqlError(f'foreign key mismatch - "{child.name}" referencing "{key.parent}"')
        self.table, self.places, self.index = found
        if self.index is not None:
            parts = [
                (part.column, part.collation)
                for part in self.index.columns
                if part.column is not None
            ]
        else:
            parts = list(self.table.key_parts)
        self._order = [(self.places.index(place), collation) for place, collation in parts]

    @staticmethod
    def find(schema: Schema, key: ForeignKey) -> tuple[Table, tuple[int, ...], Index | None] | None:
        """The parent, the columns referred to, and their index (None: the tree's own key)."""
        table = schema.table(key.parent)
        if table is None:
            return None
        places = referred_places(table, key)
        if places is None or len(places) != len(key.columns):
            return None
        if table.without_rowid:
            has_own = key.parent_columns is None or not table.key_collations
            if has_own and set(places) == set(table.primary_key):
                return table, places, None
        elif places == (table.rowid_alias,):
            return table, places, None
        for index in schema.indexes_on(table.name):
            if _fits(index, table, places):
                return table, places, index
        return None

    def values(self, row: Row) -> Row | None:
        """The referred-to values of a parent row; None if any of them is NULL."""
        values = tuple([row[place] for place in self.places])
        return None if None in values else values

    @property
    def is_rowid(self) -> bool:
        """Whether it is the rowid of the parent's rows."""
        return self.index is None and not self.table.without_rowid

    def exists(self, ctx: Context, values: Row) -> bool:
        """Whether there is a parent row for these values of a child."""
        table, columns = self.table, self.table.columns
        transaction = ctx.transaction
        if self.is_rowid:
            rowid = rowid_of(apply_affinity(values[0], Affinity.INTEGER))
            return rowid is not None and rowid in transaction.tree(table.tree_id)
        parts: list[Any] = []
        for at, collation in self._order:
            column = columns[self.places[at]]
            value: Any = apply_affinity(values[at], Affinity(column.affinity))
            fold = folding(collation, ctx.functions.collations)
            parts.append(value if fold is None else fold(value))
        prefix = tuple(parts)
        if self.index is None:
            return prefix in transaction.tree(table.tree_id)
        tree = transaction.tree(self.index.tree_id)
        found = tree.prefixed(prefix)
        if found is None:
            return any(True for _ in tree.batches(prefix, prefix, hi_inclusive=True))
        return bool(found)

    def all_exist(self, ctx: Context, wanted: Collection[Row]) -> bool:
        """Whether there is one for each of these; many are looked up together."""
        if len(wanted) < _MANY or self.index is not None or self.table.without_rowid:
            return all(self.exists(ctx, values) for values in wanted)
        rowids = []
        for (value,) in wanted:
            rowid = rowid_of(apply_affinity(value, Affinity.INTEGER))
            if rowid is None:
                return False
            rowids.append(rowid)
        return None not in ctx.transaction.tree(self.table.tree_id).get_many(sorted(rowids))


def referred_places(table: Table, key: ForeignKey) -> tuple[int, ...] | None:
    """The positions of the parent's columns that a constraint names; None if one is missing."""
    if key.parent_columns is None:
        return table.primary_key
    by_name = {column.name.lower(): place for place, column in enumerate(table.columns)}
    places = [by_name.get(name.lower()) for name in key.parent_columns]
    if None in places:
        return None
    return tuple([place for place in places if place is not None])


def _fits(index: Index, table: Table, places: tuple[int, ...]) -> bool:
    """Whether a unique index is on just these columns, under their own collations."""
    if not index.unique or index.where is not None or len(index.columns) != len(places):
        return False
    return all(
        part.column is not None
        and part.column in places
        and part.collation.upper() == table.columns[part.column].collation.upper()
        for part in index.columns
    )
