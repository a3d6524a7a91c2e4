"""What the compiler asks of a SELECT's plan: how its rows come, and how many are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sql.expressions import ROWID, ColumnRef, InSubquery
from sql.plan import TableRelation
from sql.plan.operators import KeyRange, Level, SelectPlan, TableScan

if TYPE_CHECKING:
    from sql.optimise.planner import Planner

FEW_ROWS = 32.0
"""Rows of a look-up up to which they are gathered in one list."""


def without_scan_order(plan: SelectPlan) -> SelectPlan:
    """ORDER BY x, rowid of a table that is scanned: sorts are stable, so that x alone will do."""
    block = plan.block
    if (
        plan.ordered
        or plan.presorted
        or len(plan.levels) != 1
        or len(block.order) < 2
        or block.keys is not None
    ):
        return plan
    level, last = plan.levels[0], block.order[-1]
    relation, column = level.relation, last.expression
    if (
        block.windows
        or last.descending
        or not isinstance(relation, TableRelation)
        or relation.table.without_rowid
        or level.access != TableScan()
        or not isinstance(column, ColumnRef)
        or column.source != relation.source
        or column.column not in (ROWID, relation.table.rowid_alias)
    ):
        return plan
    return replace(plan, block=replace(block, order=block.order[:-1]))


def is_cut(plan: SelectPlan) -> bool:
    """Whether LIMIT counts the joined rows as they come."""
    block = plan.block
    if block.limit is None or block.keys is not None or block.windows or block.distinct:
        return False
    return plan.ordered or not block.order


def may_end(plan: SelectPlan) -> bool:
    """Whether LIMIT may end the join before its last row."""
    block = plan.block
    if (plan.grouped and plan.ordered) or plan.presorted or is_cut(plan):
        return True
    is_distinct = block.distinct and block.limit is not None and block.keys is None
    return is_distinct and not block.windows and (plan.ordered or not block.order)


def cut_share(planner: Planner, plan: SelectPlan) -> float:
    """The share of a plan's rows that LIMIT lets through as they come: what is behind them is never asked for."""
    wanted = planner.limit_of(plan.block) if is_cut(plan) and plan.levels else None
    return 1.0 if wanted is None else min(1.0, max(1.0, wanted) / max(1.0, plan.levels[-1].rows))


def is_plain(plan: SelectPlan) -> bool:
    """Whether the joined rows are the entries of the only level."""
    return len(plan.levels) == 1 and not plan.levels[0].filters and not plan.levels[0].left


def gives_few(level: Level) -> bool:
    """Whether a level is a look-up by index that is expected to find a handful of rows."""
    access = level.access
    return (
        isinstance(access, KeyRange)
        and len(access.equal) > 0
        and not any(isinstance(equality.value, InSubquery) for equality in access.equal)
        and level.fan_out <= FEW_ROWS
    )


TRIED = 2.0
"""Rows that a level's last condition is asked about, to those that fulfil it."""


def rows_tried(plan: SelectPlan) -> float:
    """About how many rows reach a level's last condition, which is where subqueries stand."""
    return max([1.0, *(TRIED * level.rows for level in plan.levels)])


def rows_seen(plan: SelectPlan) -> float:
    """About how many rows a level's first condition is asked about."""
    before = [1.0, *(level.rows for level in plan.levels)]
    return max(
        [1.0, *(rows * level.fan_out for rows, level in zip(before, plan.levels, strict=False))]
    )
