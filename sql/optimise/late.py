"""Rows that are fetched only when LIMIT has picked them.

    SELECT p.id, p.created, p.body FROM follows f JOIN posts p ON p.user_id = f.followee
    WHERE f.follower = ? ORDER BY p.created DESC LIMIT 20

An index on (user_id, created) finds the posts and says in which order they come; for what else is asked of them their
rows have to be fetched, a descent each, of which most are for posts behind the limit.  So the block becomes a join of
those that LIMIT picks, found by the index alone, with the table once more, by its row ids, however few rows are
expected, since a plan is kept for other parameters:

    SELECT p.id, p.created, p.body
    FROM (SELECT p.rowid, p.created FROM follows f JOIN posts p ... ORDER BY p.created DESC LIMIT 20) q
    CROSS JOIN posts p ON p.rowid = q.rowid ORDER BY q.created DESC

That a sort leaves equal rows in their order, and a join by row id the rows before in theirs, keeps the order what it was.

The same goes for a table that is scanned: the scan asks for the columns that conditions and order speak of, and not, for
the sake of ten rows, for whole rows, or for a long text that stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from btree import Kind
from sql.expressions import ANY_KIND, ROWID, Affinity, ColumnRef, Compare, Expression
from sql.plan import DerivedRelation, FromItem, Select, TableRelation
from sql.plan.operators import KeyRange, SelectPlan, TableScan
from sql.plan.walk import SUBQUERIES, map_expression, references, walk, walk_flat

MADE_SOURCES = 500_000
"""Relations that the planner makes have numbers from here on, those of a statement are below."""
SCANNED_ROWS = 2000.0
"""Rows of a table for each one that is fetched, from which on its scan leaves columns for later: to fetch a row may
take as long as to decode a column of so many."""


def with_late_rows(
    plan: SelectPlan, limit: float | None, source: int, table_rows: Callable[[int], float]
) -> Select | None:
    """The plan's block with the rows of one relation fetched behind LIMIT; None where nothing is gained by that.

    `source` and the one behind it are numbers that no relation has; `table_rows`: how many rows the tree of a table has."""
    block = plan.block
    if limit is None or not plan.levels or plan.ordered or not block.order:
        return None
    if block.keys is not None or block.windows or block.distinct:
        return None
    if any(part.__class__ in SUBQUERIES for each in block.outputs for part in walk_flat(each)):
        return None  # they are computed for the rows that are given, and no others
    own = {item.relation.source for item in block.items}
    if any(
        isinstance(part, ColumnRef) and part.source not in own
        for each in block.outputs
        for part in walk(each)
    ):
        return None
    for place, level in enumerate(plan.levels):
        relation, access = level.relation, level.access
        if not isinstance(relation, TableRelation) or relation.table.without_rowid:
            continue
        if level.left or level.exists is not None:
            continue
        known = {ROWID, relation.table.rowid_alias}
        asked = _asked(block, relation.source)
        if isinstance(access, KeyRange) and not access.covering and not access.path.clustered:
            known |= set(dict(access.path.positions))
            if not asked <= known:
                continue
        elif isinstance(access, TableScan) and not place and not access.reverse:
            if max(limit, 1.0) * SCANNED_ROWS > table_rows(relation.table.tree_id):
                continue
            known |= asked
        else:
            continue
        made = _late(block, relation, known, source)
        if made is not None:
            return made
    return None


def _asked(block: Select, here: int) -> set[int]:
    """The columns of a relation that conditions and order speak of."""
    conditions = [*block.where, *[on for item in block.items for on in item.on]]
    return {
        part.column
        for e in [*conditions, *[key.expression for key in block.order]]
        for part in walk(e)
        if isinstance(part, ColumnRef) and part.source == here
    }


def _late(
    block: Select, relation: TableRelation, known: set[int | None], source: int
) -> Select | None:
    """The block with what it has of the relation beside the `known` columns fetched behind LIMIT; None if that is
    nothing."""
    here = relation.source

    def is_known(e: Expression) -> bool:
        return all(
            part.column in known
            for part in walk(e)
            if isinstance(part, ColumnRef) and part.source == here
        )

    if all(map(is_known, block.outputs)):
        return None
    found: list[Expression] = []

    def picked(e: Expression) -> ColumnRef:
        """A column of what LIMIT picks."""
        if e not in found:
            found.append(e)
        place = found.index(e)
        if isinstance(e, ColumnRef):
            return replace(e, source=source, column=place)
        return ColumnRef(source, place, "", "", Affinity.NONE, "BINARY", ANY_KIND)

    rowid = ColumnRef(
        here, ROWID, "rowid", relation.alias, Affinity.INTEGER, "BINARY", int(Kind.INTEGER)
    )
    again = source + 1
    on = Compare("=", replace(rowid, source=again), picked(rowid))

    def fetched(part: Expression) -> Expression:
        """Of an output that is computed behind LIMIT: a column of the rows that are fetched, or of what was picked."""
        if not isinstance(part, ColumnRef):
            return part
        return replace(part, source=again) if part.source == here else picked(part)

    outputs: list[Expression] = []
    for output in block.outputs:
        if here not in references(output) or (
            is_known(output) and not isinstance(output, ColumnRef)
        ):
            outputs.append(picked(output))
        else:
            outputs.append(map_expression(output, fetched))
    order = tuple([replace(key, expression=picked(key.expression)) for key in block.order])
    first = replace(block, outputs=tuple(found))
    return Select(
        items=(
            FromItem(DerivedRelation(source, first, "")),
            FromItem(replace(relation, source=again, indexed_by=None), "cross"),
        ),
        where=(on,),
        outputs=tuple(outputs),
        order=order,
    )
