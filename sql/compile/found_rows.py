"""Rows of which all columns are wanted, of a scan whose conditions leave few.

    def f5():
        for b1_k,  in selected(by_column(t4, check, (-1, 8)), o2, o3, (), (0, )):
            yield b1_k
    for keys, rows in found_rows(f5(), get_many_t4, check):

The conditions are decided by column, for the sake of the row ids, and the rows that they leave are fetched: to make a
row takes some 30 ns for each of its columns, and leaves of wide rows fill the cache.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sql.compile.by_column import ROWS_MIN, column_scan
from sql.compile.module import Lines
from sql.expressions import ROWID, ColumnRef
from sql.optimise.shares import Shares
from sql.plan import TableRelation
from sql.plan.operators import Level, TableScan
from sql.plan.walk import walk
from sql.run import ranges

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler

COLUMN_SHARE = 0.0015
"""The share of rows up to which they are fetched, for each column: to fetch one takes some microseconds."""


def found_by_columns(levels: LevelCompiler, level: Level) -> str:
    """The batches of keys and rows that meet the level's conditions; "" if they are better scanned."""
    from sql.compile.levels import LevelCompiler

    relation = level.relation
    if (
        not isinstance(relation, TableRelation)
        or relation.table.without_rowid
        or not isinstance(level.access, TableScan)
        or level.access.reverse
        or level.left
        or not level.filters
        or levels.take
        or levels.may_end
        or levels.compiler.analysis is not None
    ):
        return ""
    planner, number, table = levels.compiler.planner, relation.source, relation.table
    if planner.statistics.rows(table.tree_id) < ROWS_MIN:
        return ""
    uses = Counter(
        (number, node.column)
        for condition in level.filters
        for node in walk(condition)
        if isinstance(node, ColumnRef) and node.source == number
    )
    share = Shares(planner, {number: relation}).of_all(level.filters)
    if share > COLUMN_SHARE * len(table.columns):
        return ""
    uses[number, ROWID] += 1
    inner = LevelCompiler(levels.compiler, uses, levels.body)
    inner.hoists = levels.hoists
    scan = column_scan(inner, Level(relation, level.access, filters=level.filters))
    if scan is None:
        return ""
    key = f"k{number}"
    keys = scan.list_of(key) if scan.is_whole else f"[{key} {' '.join(scan.clauses)}]"
    name = f"f{levels.module.number()}"
    function = Lines()
    function.add(f"def {name}():")
    function.add(f"    {scan.header}")
    function.add(f"        yield {keys}")
    levels.body.extend(function)
    get_many = levels.rows_getter(relation)
    return levels.call(ranges.found_rows, f"{name}()", get_many, "check")
