"""Rows that are fetched only when LIMIT has picked them.

    SELECT p.id, p.created, p.body FROM follows f JOIN posts p ON p.user_id = f.followee
    WHERE f.follower = ? ORDER BY p.created DESC LIMIT 20

An index on (user_id, created) finds the posts and says in which order they come; for what else is asked of them their
rows have to be fetched, a descent each, of which most are for posts behind the limit.  So the block becomes a join of
those that LIMIT picks, found by the index alone, with the table once more, by its row ids, however few rows are expected, since a plan is kept for other parameters:

    SELECT p.id, p.created, p.body
    FROM (SELECT p.rowid, p.created FROM follows f JOIN posts p ... ORDER BY p.created DESC LIMIT 20) q
    CROSS JOIN posts p ON p.rowid = q.rowid ORDER BY q.created DESC

That a sort leaves equal rows in their order, and a join by row id the rows before in theirs, keeps the order what it was.
"""

from __future__ import annotations

from msgspec.structs import replace

from btree import Kind
from sql.expressions import ANY_KIND, ROWID, Affinity, ColumnRef, Compare, Expression
from sql.plan import DerivedRelation, FromItem, Select, TableRelation
from sql.plan.operators import KeyRange, Level, SelectPlan
from sql.plan.walk import SUBQUERIES, references, walk, walk_flat

MADE_SOURCES = 500_000
"""Relations that the planner makes have numbers from here on, those of a statement are below."""


def with_late_rows(plan: SelectPlan, limit: float | None, source: int) -> Select | None:
    """The plan's block with the rows of one relation fetched behind LIMIT; None where nothing is gained by that.

    `source` and the one behind it are numbers that no relation has."""
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
    for level in plan.levels:
        made = _late(block, level, source)
        if made is not None:
            return made
    return None


def _late(block: Select, level: Level, source: int) -> Select | None:
    relation, access = level.relation, level.access
    if not isinstance(access, KeyRange) or access.covering or access.path.clustered:
        return None
    if not isinstance(relation, TableRelation) or relation.table.without_rowid:
        return None
    if level.left or level.exists is not None:
        return None
    known = {ROWID, relation.table.rowid_alias, *dict(access.path.positions)}
    here = relation.source

    def is_known(e: Expression) -> bool:
        return all(
            part.column in known
            for part in walk(e)
            if isinstance(part, ColumnRef) and part.source == here
        )

    asked = [*block.where, *[on for item in block.items for on in item.on]]
    if not all(map(is_known, [*asked, *[key.expression for key in block.order]])):
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
    outputs: list[Expression] = []
    for output in block.outputs:
        if here not in references(output):
            outputs.append(picked(output))
        elif isinstance(output, ColumnRef):
            outputs.append(replace(output, source=again))
        elif is_known(output):
            outputs.append(picked(output))
        else:
            return None
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
