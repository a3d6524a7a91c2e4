"""The scan of a table as lists of values per column, where not all of its columns are wanted.

    for b1_2, b1_4 in by_column(t5, check, (2, 4)):
        v = [c1_2 for c1_2, c1_4 in zip(b1_2, b1_4) if c1_4 < 500]

Variables of relation 1: `c1_2` a value of column 2, `k1` a rowid; `b1_2` and `b1_k` the lists they are from.
No row is touched, so that what is not asked for costs nothing, neither memory nor decoding; and what is done
to a whole column is one call: `sum(b1_2)`, `list(zip(b1_k, b1_3))`.  A LIKE on a column of texts stands
before the loop and looks at a batch's texts at once (`text_filters`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from sql.compile.text_filters import match_condition, matching_columns
from sql.expressions import ROWID, Expression
from sql.plan import TableRelation
from sql.plan.operators import Level, TableScan
from sql.run import ranges

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler

ROWS_MIN = 2000
"""Rows of a table from which on it is scanned by column: a small one is in memory as rows in any case."""

_VALUE = re.compile(r"\b(?:c\d+_\d+|k\d+)\b")


class ColumnScan(Struct):
    """A scan as a header, which binds lists of values, and clauses, which go through them.

    `lists`: of each variable of the clauses the list that its values are from."""

    header: str
    clauses: list[str]
    lists: dict[str, str]

    @property
    def is_whole(self) -> bool:
        """Whether the clauses have no conditions: what the lists hold is what there is."""
        return len(self.clauses) == 1

    def list_of(self, source: str) -> str:
        """The list of all values of a source that is a plain column; "" of any other."""
        return self.lists.get(source, "")

    def variables(self, source: str) -> list[str]:
        """The scan's variables that a source mentions."""
        used = set(_VALUE.findall(source))
        return [name for name in self.lists if name in used]

    def loop(self, *sources: str) -> str:
        """The `for` clause over the columns that the sources use."""
        names = self.variables(" ".join(sources)) or [next(iter(self.lists))]
        return loop_over(names, [self.lists[name] for name in names])

    def rows(self, values: Sequence[str]) -> str:
        """A list of tuples of plain columns, "" if one of the values is more than that."""
        lists = [self.lists.get(value, "") for value in values]
        return f"list(zip({', '.join(lists)}))" if lists and all(lists) else ""

    def conditions(self) -> str:
        """The conditions of the clauses as one expression."""
        return " and ".join(f"({clause.removeprefix('if ')})" for clause in self.clauses[1:])


def loop_over(names: Sequence[str], lists: Sequence[str]) -> str:
    """The `for` clause that binds names to the values of lists."""
    if len(names) == 1:
        return f"for {names[0]} in {lists[0]}"
    return f"for {', '.join(names)} in zip({', '.join(lists)})"


def column_scan(
    levels: LevelCompiler, level: Level, uses: Counter[tuple[int, int]] | None = None
) -> ColumnScan | None:
    """The first level of a join by column; None if it is no whole scan of a larger table, or if it wants
    whole rows anyway.  `uses`: how often the block speaks of a relation's column."""
    from sql.compile.levels import Binding

    relation = level.relation
    if (
        not isinstance(relation, TableRelation)
        or level.access != TableScan()
        or level.left
        or levels.take
        or relation.table.without_rowid
    ):
        return None
    compiler = levels.compiler
    number, table = relation.source, relation.table
    wanted = sorted(levels.needed.get(number, set()))
    if not wanted or len([column for column in wanted if column >= 0]) == len(table.columns):
        return None
    if compiler.planner.statistics.rows(table.tree_id) < ROWS_MIN:
        return None
    # The keys are at hand as a list: nothing need be picked out of rows, or decoded, for their column.
    alias = table.rowid_alias
    wanted = sorted({ROWID if column == alias else column for column in wanted})
    compiler.bindings[number] = Binding(f"r{number}", f"k{number}", by_column=True, alias=alias)
    filters, text = list(level.filters), None
    for condition in filters:
        text = match_condition(condition, number, compiler.scalar)
        if text is not None:
            filters.remove(condition)
            break
    lists = {
        f"k{number}" if column == ROWID else f"c{number}_{column}": (
            f"b{number}_{'k' if column == ROWID else column}"
        )
        for column in wanted
    }
    tree = levels.module.tree(table.tree_id)
    batches = f"{levels.module.function(ranges.by_column)}({tree}, check, {tuple(wanted)})"
    if text is not None:
        found = levels.module.once(text.source)
        place = wanted.index(text.column)
        used = uses is None or uses[number, text.column] > 1
        batches = f"{levels.module.function(matching_columns)}({batches}, {place}, {found}, {used})"
    if compiler.analysis is not None:
        batches = _timed(levels, level, batches)
    header = f"for {''.join(f'{name}, ' for name in lists.values())} in {batches}:"
    clauses = [loop_over(list(lists), list(lists.values())), *_conditions(levels, filters)]
    if compiler.analysis is not None:
        hit = levels.module.constants.name(compiler.analysis.hit, "hit")
        clauses.append(f"if {hit}({compiler.analysis.number(level)})")
    return ColumnScan(header, clauses, lists)


def _conditions(levels: LevelCompiler, filters: list[Expression]) -> list[str]:
    return levels.filters(tuple(filters))


def _timed(levels: LevelCompiler, level: Level, batches: str) -> str:
    analysis = levels.compiler.analysis
    assert analysis is not None
    timed = levels.module.constants.name(analysis.timed, "timed")
    return f"{timed}({analysis.number(level)}, {batches})"
