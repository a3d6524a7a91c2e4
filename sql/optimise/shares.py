"""How many rows conditions let through: by a sample of the table's rows, else by rules of thumb.

Conditions on one table whose values are known are tried on the sample together, so that two ends of a
range, or columns that go hand in hand, are not taken for independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from math import prod
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING, Any, NamedTuple

from sql.expressions import (
    ROWID,
    And,
    Call,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Match,
    Or,
    ScalarSubquery,
    Truth,
)
from sql.optimise.statistics import FILTER_SHARE
from sql.plan import Relation, TableRelation
from sql.settled import call_of_many, is_settled

if TYPE_CHECKING:
    from sql.optimise.planner import Planner

SAMPLE_ROWS_MIN = 16
Test = Callable[[Any, Any], bool]
_TESTS: dict[str, Test] = {
    "=": eq,
    "<>": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class _Tried(NamedTuple):
    """A condition on one stored table that was tried on a sample of its rows.

    `passes`: which rows pass; `share`: of all rows, those that do; `units`: as how many independent values the sample counts."""

    source: int
    passes: list[bool]
    share: float
    units: int


class Shares:
    """Estimates for the conditions of one SELECT over `relations`, by source number."""

    def __init__(self, planner: Planner, relations: Mapping[int, Relation]) -> None:
        self.planner = planner
        self.relations = relations
        self._known: dict[tuple[int, ...], float] = {}
        self._samples: dict[int, _Tried | None] = {}
        self._counted: list[tuple[frozenset[int], float]] = []

    def count(self, conjuncts: Iterable[Expression], share: float) -> None:
        """Note the share of rows that meet some conditions together, as an index tells it that has them in one range."""
        self._counted.append((frozenset(map(id, conjuncts)), share))

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
        """What an index has counted, times what a sample says of the other conditions."""
        ids = frozenset(map(id, conjuncts))
        fitting = [counted for counted in self._counted if counted[0] <= ids]
        if not fitting:
            return self._of_sample(conjuncts)
        counted, share = min(fitting, key=lambda each: each[1])
        rest = [each for each in conjuncts if id(each) not in counted]
        if not rest:
            return share
        tried = [self._sampled(each) for each in conjuncts if id(each) in counted]
        passes = [each.passes for each in tried if each is not None]
        if len(passes) == len(tried):
            together = sum(map(all, zip(*passes, strict=True)))
            if together >= SAMPLE_ROWS_MIN:
                known = [each for each in conjuncts if id(each) in counted]
                return share * min(1.0, self._of_sample(conjuncts) / self._of_sample(known))
        return share * self._of_all(rest)

    def _of_sample(self, conjuncts: list[Expression]) -> float:
        """The share of rows that pass all the conditions, by a sample and by guesses."""
        share = 1.0
        tests: dict[int, list[_Tried]] = {}
        for conjunct in conjuncts:
            found = self._sampled(conjunct)
            if found is None:
                share *= self._guessed(conjunct)
            else:
                tests.setdefault(found.source, []).append(found)
        for those in tests.values():
            alone = 1.0
            for one in those:
                alone *= one.share
            if len(those) == 1:
                share *= alone
                continue
            passing = sum(map(all, zip(*[one.passes for one in those], strict=True)))
            units = min([one.units for one in those])
            share *= passing / len(those[0].passes) if passing else min(alone, 0.5 / units)
        return share

    def _table(self, node: Expression) -> TableRelation | None:
        relation = self.relations.get(node.source) if isinstance(node, ColumnRef) else None
        return relation if isinstance(relation, TableRelation) else None

    def _sampled(self, conjunct: Expression) -> _Tried | None:
        """What came of a condition on one stored table."""
        key = id(conjunct)
        if key not in self._samples:
            self._samples[key] = self._tried(conjunct)
        return self._samples[key]

    def _tried(self, conjunct: Expression) -> _Tried | None:
        """`_sampled`, of `column OP constant`, `column IN (constants)` and `column OP column`."""
        if isinstance(conjunct, (And, Or)):
            return self._combined(conjunct)
        if isinstance(conjunct, InList) and not conjunct.negated:
            column = conjunct.operand
            relation = self._table(column)
            listed = [self.planner.value_of(item) for item in conjunct.items]
            if relation is None or None in listed or not isinstance(column, ColumnRef):
                return None
            if column.column < 0:
                return None
            tree_id = relation.table.tree_id
            values = frozenset(listed)
            sample = self.planner.statistics.column(tree_id, column.column)
            passes = [value in values for value in sample]
            return _share(conjunct, column.source, passes, len(sample))
        if isinstance(conjunct, Match):
            return self._matched(conjunct)
        if not isinstance(conjunct, Compare) or conjunct.op not in _TESTS:
            return None
        column, other, op = conjunct.left, conjunct.right, conjunct.op
        if not isinstance(column, ColumnRef):
            column, other, op = other, column, _FLIPPED.get(op, op)
        if isinstance(column, Call) or isinstance(other, Call):
            return self._called(conjunct)
        relation = self._table(column)
        if relation is None or not isinstance(column, ColumnRef) or column.column < 0:
            return None
        tree_id = relation.table.tree_id
        if isinstance(other, ColumnRef):
            if other.source != column.source or other.column < 0:
                return None
            left = self.planner.statistics.column(tree_id, column.column)
            right = self.planner.statistics.column(tree_id, other.column)
            return _share(conjunct, column.source, *_beside(left, right, _TESTS[op]))
        value = self.planner.value_of(other)
        if value is None:
            return None
        statistics = self.planner.statistics
        sample = statistics.column(tree_id, column.column)
        units = len(sample) if op in ("=", "<>") else statistics.independent(tree_id, column.column)
        return _share(conjunct, column.source, *_with_value(sample, value, _TESTS[op]), units)

    def _called(self, condition: Compare) -> _Tried | None:
        """`_sampled` of `function(column, constants) OP constant`."""
        call, other, op = condition.left, condition.right, condition.op
        if not isinstance(call, Call) or is_settled(call):
            call, other, op = other, call, _FLIPPED.get(op, op)
        value = self.planner.value_of(other)
        columns = (
            [e for e in call.arguments if isinstance(e, ColumnRef)]
            if isinstance(call, Call)
            else []
        )
        relation = self._table(columns[0]) if len(columns) == 1 else None
        if value is None or relation is None or columns[0].column < 0:
            return None
        assert isinstance(call, Call)
        sample = self.planner.statistics.column(relation.table.tree_id, columns[0].column)
        values = call_of_many(call, columns[0], sample, self.planner.env.parameters)
        if values is None:
            return None
        passes, comparable = _with_value(values, value, _TESTS[op])
        if op == "=" and passes and not any(passes):
            share = 1.0 / max(10.0, len({*values}))
            return _Tried(columns[0].source, passes, share, len(passes))
        return _share(condition, columns[0].source, passes, comparable)

    def _matched(self, condition: Match) -> _Tried | None:
        """`_sampled` of `column LIKE constant`, or GLOB."""
        from sql.compile.patterns import glob_predicate, like_predicate

        column, relation = condition.operand, self._table(condition.operand)
        pattern = self.planner.value_of(condition.pattern)
        if relation is None or not isinstance(column, ColumnRef) or column.column < 0:
            return None
        if not isinstance(pattern, str) or condition.escape is not None:
            return None
        if condition.op not in ("LIKE", "GLOB"):
            return None
        matches = (
            glob_predicate(pattern) if condition.op == "GLOB" else like_predicate(pattern, None)
        )
        sample = self.planner.statistics.column(relation.table.tree_id, column.column)
        texts = [value.__class__ is str for value in sample]
        passes = [
            is_text and (matches(value) is None) is condition.negated
            for value, is_text in zip(sample, texts, strict=True)
        ]
        return _share(condition, column.source, passes, sum(texts))

    def _combined(self, condition: And | Or) -> _Tried | None:
        """`_sampled` of conditions on one table that stand together, or for each other."""
        parts = [part for part in map(self._sampled, condition.items) if part is not None]
        if len(parts) < len(condition.items) or len({part.source for part in parts}) != 1:
            return None
        decided = any if isinstance(condition, Or) else all
        passes = [*map(decided, zip(*[part.passes for part in parts], strict=True))]
        units = min([part.units for part in parts])
        share = max(sum(passes) / len(passes), 0.5 / units)
        return _Tried(parts[0].source, passes, share, units)

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
                relation = self._table(conjunct.operand)
                each = 0.1
                if relation is not None and isinstance(conjunct.operand, ColumnRef):
                    each = min(each, 1.0 / self.distinct(relation, conjunct.operand.column))
                return min(0.5, each * len(conjunct.items))
            case And():
                # What a sample says of one table's columns is said by conditions that all alternatives imply, too.
                return prod([self._guessed(e) for e in conjunct.items if self._sampled(e) is None])
            case Or():
                return min(0.5, 1.0 - prod([1.0 - self._alternative(e) for e in conjunct.items]))
            case Truth() | Match() | Compare() | Exists() | InSubquery() | ScalarSubquery():
                return FILTER_SHARE
            case _:
                return 0.5

    def _alternative(self, conjunct: Expression) -> float:
        return self._guessed(conjunct) if self._sampled(conjunct) is None else 1.0

    def is_unique(self, relation: TableRelation, column: int) -> bool:
        """Whether no two rows have the same value in a column."""
        table = relation.table
        if column in (ROWID, table.rowid_alias) and not table.without_rowid:
            return True
        if table.without_rowid and table.primary_key == (column,):
            return table.key_parts[0][1] == "BINARY"
        return any(
            index.unique
            and index.where is None
            and len(index.columns) == 1
            and index.columns[0].column == column
            and index.columns[0].collation == "BINARY"
            for index in self.planner.env.schema.indexes_on(table.name, table.database)
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
        for index in self.planner.env.schema.indexes_on(table.name, table.database):
            if index.columns[0].column == column and index.where is None:
                per_key = self.planner.statistics.rows_per_prefix(index.tree_id, 1)
                return max(1.0, size / per_key)
        if column < 0:
            return max(1.0, size)
        return max(
            1.0, size * self.planner.statistics.distinct_share(relation.table.tree_id, column)
        )


def _share(
    conjunct: Expression, source: int, passes: list[bool], comparable: int, units: int = 0
) -> _Tried | None:
    """What `_sampled` gives, where enough rows of the sample could be compared; `units`: 0 if each is one by itself."""
    size = len(passes)
    if comparable < SAMPLE_ROWS_MIN or 2 * comparable < size:
        return None
    passing = sum(passes)
    if not passing and isinstance(conjunct, Compare) and conjunct.op == "=":
        return None
    least = 0.5 * size / (units or size)
    return _Tried(
        source, passes, min(max(passing, least), comparable - least) / size, units or size
    )


_NUMBERS = frozenset((int, float))


def _alike(kind: type) -> frozenset[type]:
    """The classes whose values compare with those of a class as Python does it; NULL's with none."""
    if kind is type(None):
        return frozenset()
    return _NUMBERS if kind in _NUMBERS else frozenset((kind,))


def _with_value(sample: list[Any], value: Any, compare: Test) -> tuple[list[bool], int]:
    """Which values pass, and how many can be compared at all."""
    alike = _alike(value.__class__)
    if alike.issuperset(map(type, sample)):
        return list(map(compare, sample, repeat(value))), len(sample)
    passes = [item.__class__ in alike and compare(item, value) for item in sample]
    return passes, sum([item.__class__ in alike for item in sample])


def _beside(left: list[Any], right: list[Any], compare: Test) -> tuple[list[bool], int]:
    """The same of two columns' values, row by row."""
    likes = [a.__class__ in _alike(b.__class__) for a, b in zip(left, right, strict=True)]
    passes = [like and compare(a, b) for like, a, b in zip(likes, left, right, strict=True)]
    return passes, sum(likes)
