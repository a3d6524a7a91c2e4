"""How many entries a range of a key path has, and how far apart the rows lie that they lead to.

A tree tells how many entries are between two keys; where a value is known at run time only, it is the average of
others.  Whether the rows of neighbouring entries are neighbours, too, is seen in the first entries of the range: those
of a log by its time are, those by its user are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from sql.collations import comparing
from sql.expressions import ColumnRef, Expression, InList, Literal
from sql.optimise.assumed import EntryRange
from sql.optimise.statistics import DEFAULT_RANGE_SHARE
from sql.plan import Relation, TableRelation
from sql.plan.operators import PRESENT, Bound, Equality, KeyPath
from sql.settled import settled_value

if TYPE_CHECKING:
    from sql.optimise.planner import Planner

KEYS_MAX = 16
"""Values of IN up to which the entries of each are estimated, a descent of the tree each."""
BOUNDS_TRIED = 8
"""Rows of another relation of which it is tried how many entries lie between their columns."""


class RowEstimates:
    """Estimates of one stored table's ranges; `others` are the relations that it is joined with, by source."""

    __slots__ = ("_others", "_planner", "_size", "_table_id")

    def __init__(
        self, planner: Planner, relation: TableRelation, others: Mapping[int, Relation]
    ) -> None:
        self._planner = planner
        self._others = others
        self._table_id = relation.table.tree_id
        self._size = planner.statistics.rows(self._table_id)

    def spread(self, path: KeyPath, equal: tuple[Equality, ...], low: Bound | None) -> float:
        """How many leaves of the table the entries of a range lead to, as a share of the entries; of what begins at a
        value that is not known yet, 1."""
        bounds = () if low is None or low is PRESENT else (low,)
        ends: tuple[Bound | Equality, ...] = (*equal, *bounds)
        values = tuple([self.sampled(end) for end in ends])
        if any(value is NotImplemented or value is None for value in values):
            return 1.0
        if any(path.part(place).collation != "BINARY" for place in range(len(values))):
            return 1.0
        return self._planner.statistics.spread(path.tree_id, self._table_id, values)

    def sampled(self, bound: Bound | Equality) -> object:
        """The value a bound will have, as far as it is known at plan time; NotImplemented if not."""
        node = bound.expression if isinstance(bound, Bound) else bound.value
        return settled_value(node, self._planner.env.parameters)

    def equal_rows(self, path: KeyPath, equal: tuple[Equality, ...], lists: float) -> float:
        """Entries whose first parts equal some values; where these are not known, as many as others have, times `lists`."""
        keys = self._keys(path, equal)
        if keys is None:
            return self._planner.statistics.rows_per_prefix(path.tree_id, len(equal)) * lists
        if not any(equality.many for equality in equal):
            rows = self._counted(EntryRange(path.tree_id, _values(equal)))
            assert rows is not None
            return rows
        tree = self._planner.statistics.tree(path.tree_id)
        return float(max(1, sum([tree.estimate(key, key, hi_inclusive=True) for key in keys])))

    def _counted(self, entry_range: EntryRange) -> float | None:
        """Its entries, None if they are not known; what the plan assumes is noted."""
        tree = self._planner.statistics.tree(entry_range.tree_id)
        found = entry_range.entries(tree, self._planner.env.parameters)
        if found is None:
            return None
        rows = float(found)
        if entry_range.depends_on_parameters():
            self._planner.assume(entry_range, rows)
        return rows

    def _keys(self, path: KeyPath, equal: tuple[Equality, ...]) -> list[tuple[object, ...]] | None:
        """The values that equalities on a key path's first parts stand for; None if some are not known yet, or they are
        many."""
        choices: list[list[object]] = []
        for equality, part in zip(equal, path.parts, strict=False):
            listed = (
                equality.value.items if isinstance(equality.value, InList) else (equality.value,)
            )
            values = [settled_value(item, self._planner.env.parameters) for item in listed]
            if part.collation != "BINARY" or any(
                value is NotImplemented or value is None for value in values
            ):
                return None
            choices.append(values)
        if prod(map(len, choices)) > KEYS_MAX:
            return None
        return list(product(*choices))

    def narrowed(
        self,
        path: KeyPath,
        equal: tuple[Equality, ...],
        low: Bound | None,
        high: Bound | None,
        prefix: Expression | None,
        rows: float,
    ) -> float:
        """Of the `rows` that the equalities leave, those in a range."""
        text = None if prefix is None else settled_value(prefix, self._planner.env.parameters)
        if text.__class__ is str:
            if equal:
                return rows * DEFAULT_RANGE_SHARE
            fold = comparing(path.part(0).collation)
            start = prefix if fold is None else Literal(fold(text))
            found = self._counted(EntryRange(path.tree_id, low=start, is_text=True))
            assert found is not None
            return found
        if equal:
            values = tuple(self.sampled(equality) for equality in equal)
            if any(value is NotImplemented or value is None for value in values):
                if low is PRESENT:
                    return rows
                both = low is not None and high is not None
                return rows * (DEFAULT_RANGE_SHARE / 2 if both else DEFAULT_RANGE_SHARE)
        else:
            values = ()
        if path.part(len(equal)).collation != "BINARY" and low is not PRESENT:
            return rows * DEFAULT_RANGE_SHARE
        return self.range_rows(path.tree_id, equal, low, high, scalar=False, rows=rows)

    def range_rows(
        self,
        tree_id: int,
        equal: tuple[Equality, ...],
        low: Bound | None,
        high: Bound | None,
        *,
        scalar: bool,
        rows: float | None = None,
    ) -> float:
        """Entries between two bounds, behind some values of a key's first parts; `scalar`: the key is a row id."""
        rows = float(self._size) if rows is None else rows
        if low is PRESENT:
            tree = self._planner.statistics.tree(tree_id)
            values = tuple([self.sampled(equality) for equality in equal])
            found = tree.estimate(
                (*values, None), values or None, lo_inclusive=False, hi_inclusive=True
            )
            return float(max(1, found))
        start, end = [None if bound is None else bound.expression for bound in (low, high)]
        counted = self._counted(EntryRange(tree_id, _values(equal), start, end, scalar))
        if counted is not None:
            return counted
        if not equal:
            tried = self._tried(tree_id, start, end, scalar=scalar)
            if tried is not None:
                return tried
        if scalar and not any(
            bound is not None and self.sampled(bound) in (None, NotImplemented)
            for bound in (low, high)
        ):
            return rows  # it is no number
        both = low is not None and high is not None
        return rows * (DEFAULT_RANGE_SHARE / 2 if both else DEFAULT_RANGE_SHARE)

    def _tried(
        self, tree_id: int, low: Expression | None, high: Expression | None, *, scalar: bool
    ) -> float | None:
        """How many entries lie between two columns of another stored table, on average of some of its rows; None of
        anything else.

        A span is narrow where both of its ends are given, however many entries lie above the one and below the other."""
        ends = [end for end in (low, high) if end is not None]
        columns = [end for end in ends if isinstance(end, ColumnRef) and end.column >= 0]
        if not columns or len(columns) < len(ends) or len({end.source for end in columns}) > 1:
            return None
        relation = self._others.get(columns[0].source)
        if not isinstance(relation, TableRelation):
            return None
        if any(end.column == relation.table.rowid_alias for end in columns):
            return None  # rows don't hold it
        statistics = self._planner.statistics
        tree = statistics.tree(tree_id)
        values = {end: statistics.column(relation.table.tree_id, end.column) for end in columns}
        size = min(map(len, values.values()))
        found = []
        for place in range(0, size, max(1, size // BOUNDS_TRIED)):
            start, end = [
                Literal(values[end][place]) if isinstance(end, ColumnRef) else None
                for end in (low, high)
            ]
            entry_range = EntryRange(tree_id, (), start, end, scalar)
            found.append(entry_range.entries(tree, None) or 0)
        return max(1.0, sum(found) / len(found)) if found else None


def _values(equal: tuple[Equality, ...]) -> tuple[Expression, ...]:
    return tuple([equality.value for equality in equal])
