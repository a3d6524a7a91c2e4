"""EXISTS and correlated IN as joins: a semi-join keeps the rows that have a match, an anti-join the others.

    WHERE EXISTS (SELECT * FROM b WHERE b.x = a.x AND b.y > 5)      ->   a SEMI JOIN b ON b.x = a.x AND b.y > 5
    WHERE a.x IN (SELECT b.x FROM b WHERE b.y = a.y)                ->   a SEMI JOIN b ON b.x = a.x AND b.y = a.y
    WHERE a.x NOT IN (SELECT b.x FROM b)                            ->   a ANTI JOIN b ON b.x = a.x, where no NULL is
    a LEFT JOIN b ON b.x = a.x WHERE b.x IS NULL                    ->   a ANTI JOIN b ON b.x = a.x

The relation then takes part in the choice of join order and access as any other does: its rows are hashed
once, or looked up by index for many rows at once.  Only a subquery over one relation that is bound to the
block by an equality becomes a join; IN of a subquery that stands alone is a test of a set already.
"""

from __future__ import annotations

from msgspec.structs import replace

from btree import Kind
from sql.expressions import ROWID, ColumnRef, Compare, Exists, Expression, InSubquery, Literal
from sql.optimise.terms import is_constant
from sql.plan import DerivedRelation, FromItem, Select, TableRelation
from sql.plan.walk import free_references, references, references_in, walk

SEMI, ANTI = "semi", "anti"


def with_semi_joins(block: Select) -> Select:
    """The block with those of its conditions turned into items of its FROM for which that can be done."""
    if not block.items:
        return block
    block = _with_anti_joins(block)
    own = frozenset(item.relation.source for item in block.items)
    items: list[FromItem] = []
    where: list[Expression] = []
    for conjunct in block.where:
        made = _joined(conjunct, own)
        if made is None:
            where.append(conjunct)
            continue
        item, apart = made
        items.append(item)
        where += apart
    if not items:
        return block
    return replace(block, items=(*block.items, *items), where=tuple(where))


def _with_anti_joins(block: Select) -> Select:
    """The block with LEFT joins turned into anti-joins of which WHERE wants the rows without a match, and nothing else
    of the block speaks."""
    for item in block.items:
        if item.join != "left":
            continue
        source = item.relation.source
        own = frozenset(each.relation.source for each in block.items) - {source}
        if not isinstance(item.relation, TableRelation) or not all(map(is_constant, item.on)):
            continue
        if not any(_binds(condition, source, own) for condition in item.on):
            continue
        absent = next((each for each in block.where if _tells_no_match(each, item)), None)
        if absent is None:
            continue
        spoken = sum(node.source == source for node in references_in(block))
        known = [node for e in (absent, *item.on) for node in walk(e)]
        if spoken > sum(isinstance(e, ColumnRef) and e.source == source for e in known):
            continue
        others = [each for each in block.items if each is not item]
        where = tuple([each for each in block.where if each is not absent])
        items = (*others, FromItem(item.relation, ANTI, item.on))
        block = replace(block, items=items, where=where)
    return block


def _tells_no_match(condition: Expression, item: FromItem) -> bool:
    """Whether the condition is that a column is NULL which no row that matches has NULL in."""
    if not isinstance(condition, Compare) or condition.op != "IS":
        return False
    column, relation = condition.left, item.relation
    if not isinstance(column, ColumnRef) or condition.right != Literal(None):
        return False
    if column.source != relation.source or not isinstance(relation, TableRelation):
        return False
    table = relation.table
    if not table.without_rowid and column.column in (ROWID, table.rowid_alias):
        return True
    if table.columns[column.column].not_null:
        return True
    place = column.source, column.column  # in WHERE it may be NULL, in ON perhaps not
    return any(
        isinstance(each, Compare)
        and each.op in ("=", "<", "<=", ">", ">=")
        and any(
            isinstance(side, ColumnRef) and (side.source, side.column) == place
            for side in (each.left, each.right)
        )
        for each in item.on
    )


def _joined(conjunct: Expression, own: frozenset[int]) -> tuple[FromItem, list[Expression]] | None:
    """The item, and conditions that do not concern its relation at all."""
    if not isinstance(conjunct, (Exists, InSubquery)) or not isinstance(conjunct.plan, Select):
        return None
    plan = conjunct.plan
    if not _is_simple(plan):
        return None
    never_null = isinstance(conjunct, InSubquery) and conjunct.negated and _never_null(conjunct)
    if not never_null and not {node.source for node in free_references(plan)} & own:
        return None
    relation = plan.items[0].relation
    on = [*plan.where]
    if isinstance(conjunct, InSubquery):
        if plan.limit is not None:
            return None  # which rows it lets through says what IN finds
        if conjunct.negated and not never_null:
            return None  # NULLs on either side leave NOT IN open
        for place, operand in enumerate(conjunct.operands):
            on.append(
                Compare(
                    "=",
                    operand,
                    plan.outputs[place],
                    conjunct.left_affinities[place],
                    conjunct.right_affinities[place],
                    conjunct.collations[place],
                )
            )
    source = relation.source
    if not any(_binds(condition, source, own) for condition in on):
        return None
    if not all(map(is_constant, on)):
        return None
    if conjunct.negated:
        return FromItem(relation, ANTI, tuple(on)), []
    apart = [condition for condition in on if source not in references(condition)]
    return FromItem(relation, SEMI, tuple(c for c in on if source in references(c))), apart


def _never_null(conjunct: InSubquery) -> bool:
    """Whether all that is compared are columns that have never held NULL."""
    assert isinstance(conjunct.plan, Select)
    compared = (*conjunct.operands, *conjunct.plan.outputs)
    return all(isinstance(e, ColumnRef) and not e.kinds & Kind.NULL for e in compared)


def _is_simple(plan: Select) -> bool:
    """Whether the subquery gives rows exactly where its one relation's conditions hold."""
    if len(plan.items) != 1 or plan.keys is not None or plan.windows or plan.offset is not None:
        return False
    limit = plan.limit
    if limit is not None and not (
        isinstance(limit, Literal) and isinstance(limit.value, int) and limit.value > 0
    ):
        return False
    item = plan.items[0]
    if isinstance(item.relation, DerivedRelation):
        return not free_references(item.relation.block) and not item.on
    return isinstance(item.relation, TableRelation) and not item.on


def _binds(condition: Expression, source: int, own: frozenset[int]) -> bool:
    """Whether the condition equates something of the relation with something of the block's."""
    if not isinstance(condition, Compare) or condition.op != "=":
        return False
    left, right = references(condition.left), references(condition.right)
    return (left == {source} and bool(right & own) and source not in right) or (
        right == {source} and bool(left & own) and source not in left
    )
