"""How many rows conditions let through: by a sample of the table's rows, else by rules of thumb.

Conditions on one table whose values are known are tried on the sample together, so that two ends of a
range, or columns that go hand in hand, are not taken for independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING, Any

from sql.expressions import (
    ROWID,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Match,
    ScalarSubquery,
    Truth,
)
from sql.optimise.statistics import FILTER_SHARE
from sql.plan import Relation, TableRelation
from sql.schema import database_of

if TYPE_CHECKING:
    from sql.optimise.planner import Planner

SAMPLE_ROWS_MIN = 16
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    "<>": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

RowTest = Callable[[Any], bool]


class Shares:
    """Estimates for the conditions of one SELECT over `relations`, by source number."""

    def __init__(self, planner: Planner, relations: Mapping[int, Relation]) -> None:
        self.planner = planner
        self.relations = relations
        self._known: dict[tuple[int, ...], float] = {}

    def of_all(self, conjuncts: Iterable[Expression]) -> float:
        """The share of rows that pass all the conditions."""
        listed = list(conjuncts)
        if not listed:
            return 1.0
        key = tuple([id(conjunct) for conjunct in listed])
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._of_all(listed)
        return known

    def _of_all(self, conjuncts: list[Expression]) -> float:
        share = 1.0
        tests: dict[int, list[tuple[RowTest, float]]] = {}
        for conjunct in conjuncts:
            found = self._sampled(conjunct)
            if found is None:
                share *= self._guessed(conjunct)
            else:
                tests.setdefault(found[0], []).append(found[1:])
        for tree_id, those in tests.items():
            sample = self.planner.statistics.sample(tree_id)
            alone = 1.0
            for _, one in those:
                alone *= one
            if len(those) == 1:
                share *= alone
                continue
            passing = sum(all(test(row) for test, _ in those) for row in sample)
            share *= passing / len(sample) if passing else min(alone, 0.5 / len(sample))
        return share

    def _table(self, node: Expression) -> TableRelation | None:
        relation = self.relations.get(node.source) if isinstance(node, ColumnRef) else None
        return relation if isinstance(relation, TableRelation) else None

    def _sampled(self, conjunct: Expression) -> tuple[int, RowTest, float] | None:
        """(tree, test of a row, share of the sample that passes it) of a condition on one stored table."""
        made = self._test(conjunct)
        if made is None:
            return None
        relation, test, likes = made
        tree_id = relation.table.tree_id
        sample = self.planner.statistics.sample(tree_id)
        comparable = sum(map(likes, sample))
        if comparable < SAMPLE_ROWS_MIN or 2 * comparable < len(sample):
            return None
        passing = sum(map(test, sample))
        if not passing and isinstance(conjunct, Compare) and conjunct.op == "=":
            return None
        return tree_id, test, min(max(passing, 0.5), comparable - 0.5) / len(sample)

    def _test(self, conjunct: Expression) -> tuple[TableRelation, RowTest, RowTest] | None:
        """(table, test of its rows, whether it means something of a row): of `column OP constant`,
        `column IN (constants)` and `column OP column`."""
        if isinstance(conjunct, InList) and not conjunct.negated:
            relation = self._table(conjunct.operand)
            values = [self.planner.value_of(item) for item in conjunct.items]
            if relation is None or None in values or not isinstance(conjunct.operand, ColumnRef):
                return None
            at = conjunct.operand.column
            return None if at < 0 else (relation, *_among(at, frozenset(values)))
        if not isinstance(conjunct, Compare) or conjunct.op not in _TESTS:
            return None
        column, other, op = conjunct.left, conjunct.right, conjunct.op
        if not isinstance(column, ColumnRef):
            column, other, op = other, column, _FLIPPED.get(op, op)
        relation = self._table(column)
        if relation is None or not isinstance(column, ColumnRef) or column.column < 0:
            return None
        if isinstance(other, ColumnRef):
            if other.source != column.source or other.column < 0:
                return None
            return relation, *_between_columns(column.column, other.column, _TESTS[op])
        value = self.planner.value_of(other)
        return None if value is None else (relation, *_with_value(column.column, value, _TESTS[op]))

    def _guessed(self, conjunct: Expression) -> float:
        """A guess at the share of rows that pass a condition."""
        match conjunct:
            case Compare(op="=") | Compare(op="IS"):
                for side in (conjunct.left, conjunct.right):
                    relation = self._table(side)
                    if relation is not None and isinstance(side, ColumnRef):
                        return 1.0 / self.distinct(relation, side.column)
                return 0.1
            case Compare(op="<>") | Compare(op="IS NOT"):
                return 0.9
            case InSubquery(negated=False, operands=(ColumnRef() as column,)):
                relation = self._table(column)
                if relation is not None:
                    rows = self.planner.plan(conjunct.plan).rows
                    return min(1.0, rows / self.distinct(relation, column.column))
                return FILTER_SHARE
            case InList(negated=False):
                return min(0.5, 0.1 * len(conjunct.items))
            case Truth() | Match() | Compare() | Exists() | InSubquery() | ScalarSubquery():
                return FILTER_SHARE
            case _:
                return 0.5

    def is_unique(self, relation: TableRelation, column: int) -> bool:
        """Whether no two rows have the same value in a column."""
        table = relation.table
        if column in (ROWID, table.rowid_alias) and not table.without_rowid:
            return True
        if table.without_rowid and table.primary_key == (column,):
            return table.columns[column].collation == "BINARY"
        return any(
            index.unique
            and index.where is None
            and len(index.columns) == 1
            and index.columns[0].column == column
            and index.columns[0].collation == "BINARY"
            for index in self.planner.env.schema.indexes_on(table.name, database_of(table))
        )

    def distinct_of(self, node: Expression) -> float | None:
        """About how many distinct values a stored table's column has; None of anything else."""
        relation = self._table(node)
        if relation is None or not isinstance(node, ColumnRef):
            return None
        return self.distinct(relation, node.column)

    def distinct(self, relation: TableRelation, column: int) -> float:
        """About how many distinct values a column has."""
        size = float(self.planner.statistics.rows(relation.table.tree_id))
        if self.is_unique(relation, column):
            return max(1.0, size)
        table = relation.table
        for index in self.planner.env.schema.indexes_on(table.name, database_of(table)):
            if index.columns[0].column == column and index.where is None:
                per_key = self.planner.statistics.rows_per_prefix(index.tree_id, 1)
                return max(1.0, size / per_key)
        if column < 0:
            return max(1.0, size)
        return max(
            1.0, size * self.planner.statistics.distinct_share(relation.table.tree_id, column)
        )


def _alike(value: Any) -> Callable[[Any], bool]:
    """Whether a value compares with `value` as Python does it."""
    if isinstance(value, (int, float)):
        return lambda item: isinstance(item, (int, float))
    kind = value.__class__
    return lambda item: item.__class__ is kind


def _with_value(
    at: int, value: Any, compare: Callable[[Any, Any], bool]
) -> tuple[RowTest, RowTest]:
    alike = _alike(value)

    def likes(row: Any) -> bool:
        return at < len(row) and alike(row[at])

    return lambda row: likes(row) and compare(row[at], value), likes


def _between_columns(
    at: int, other: int, compare: Callable[[Any, Any], bool]
) -> tuple[RowTest, RowTest]:
    def likes(row: Any) -> bool:
        return max(at, other) < len(row) and None is not row[at] and _alike(row[at])(row[other])

    return lambda row: likes(row) and compare(row[at], row[other]), likes


def _among(at: int, values: frozenset[Any]) -> tuple[RowTest, RowTest]:
    return lambda row: at < len(row) and row[at] in values, lambda row: at < len(row)
