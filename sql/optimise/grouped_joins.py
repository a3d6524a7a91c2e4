"""Groups of a join that are made before it, where each row of its first table has a group of its own.

    SELECT c.id, c.name, count(o.id), max(o.at) FROM customer c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.id

asks of each customer for one group of the orders alone:

    SELECT c.id, c.name, CASE WHEN g.n IS NOT NULL THEN g.n ELSE 0 END, g.m
    FROM customer c LEFT JOIN (SELECT customer, count(id) n, max(at) m FROM orders GROUP BY customer) g ON g.customer = c.id
    ORDER BY c.id

What is grouped then has not been joined: rows of one table, by column, instead of lists of matches.  The order is that in
which groups come.  (W. Yan, P.-A. Larson, Eager Aggregation and Lazy Aggregation, VLDB 1995; here the join is of one to
many, so that nothing is left to be aggregated behind it.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sql.expressions import (
    ANY_KIND,
    INTEGER,
    NULL,
    ROWID,
    Affinity,
    Arithmetic,
    Call,
    Case,
    ColumnRef,
    Compare,
    Expression,
    Literal,
    SlotRef,
)
from sql.optimise.costs import GROUPED_ROW
from sql.optimise.grouped import compared_sides
from sql.optimise.terms import is_constant
from sql.plan import AggregateCall, DerivedRelation, FromItem, Select, SortKey, TableRelation
from sql.plan.operators import SelectPlan
from sql.plan.walk import SUBQUERIES, map_expression, references, walk_flat

JOINED_MIN = 2000.0
"""Joined rows from which on it is tried."""
JOINED_ROW = 3.0 * GROUPED_ROW
"""A joined row put into its group: a row of two tables, found in a list of matches."""
_OF_NOTHING: dict[str, int | float | None] = {
    "count": 0,
    "total": 0.0,
    "sum": None,
    "avg": None,
    "min": None,
    "max": None,
}
"""What aggregates are of NULLs alone."""


class GroupsBefore(NamedTuple):
    """`block` joins the groups that `groups` makes."""

    block: Select
    groups: Select


class _Conditions(NamedTuple):
    """What WHERE and ON ask: of the first table, of the second alone, and of both, by which they are joined."""

    first: list[Expression]
    second: list[Expression]
    joining: list[Expression]


def groups_before(plan: SelectPlan, source: int) -> GroupsBefore | None:
    """The plan's block with its groups made before its join; None where it is none of this kind, or so few rows are joined
    that nothing could be gained.  `source` and the next one are numbers that no relation has."""
    block = plan.block
    tables = _joined_tables(plan)
    conditions = None if tables is None else _conditions(block, *tables)
    if tables is None or conditions is None:
        return None
    one, many = tables
    keys: list[SortKey] = []
    on: list[Expression] = []
    for condition in conditions.joining:
        sides = compared_sides(condition, frozenset({many.source}))
        if sides is None or references(sides[1]) != {one.source}:
            return None
        assert isinstance(condition, Compare)
        on.append(replace(condition, left=sides[1], right=_column(source, len(keys), sides[0])))
        keys.append(SortKey(sides[0]))
    if not keys:
        return None
    slots = source + 1
    calls = tuple([_of_table(call, many) for call in block.aggregates])
    groups = Select(
        items=(FromItem(many),),
        where=tuple(conditions.second),
        keys=tuple(keys),
        aggregates=calls,
        aggregate_source=slots,
        outputs=tuple([SlotRef(slots, place) for place in range(len(keys) + len(calls))]),
    )
    return GroupsBefore(_joined_with(block, groups, source, on, conditions.first), groups)


def _joined_tables(plan: SelectPlan) -> tuple[TableRelation, TableRelation] | None:
    """The tables that the plan's block joins, if each row of the first has a group of its own, and all that is asked of the
    second are aggregates that can be made of it alone."""
    block = plan.block
    if len(block.items) != 2 or not block.keys or not block.aggregates or plan.grouped:
        return None
    if block.windows or block.distinct or not plan.levels or plan.levels[-1].rows < JOINED_MIN:
        return None
    outer, inner = block.items
    if inner.join not in ("inner", "left") or outer.on or outer.join != "inner":
        return None
    one, many = outer.relation, inner.relation
    if not isinstance(one, TableRelation) or not isinstance(many, TableRelation):
        return None
    if not _tells_rows_apart(one, block.keys):
        return None
    if not _speaks_of(one, [key.expression for key in block.keys] + [*block.bare]):
        return None
    results = [*block.outputs, *block.having, *[key.expression for key in block.order]]
    if any(part.__class__ in SUBQUERIES for each in results for part in walk_flat(each)):
        return None
    is_left = inner.join == "left"
    if not all(_can_move(call, many, is_left=is_left) for call in block.aggregates):
        return None
    return one, many


def _conditions(block: Select, one: TableRelation, many: TableRelation) -> _Conditions | None:
    """The conditions of the join; None where WHERE asks for a row of the second table that a LEFT JOIN may lack."""
    inner = block.items[1]
    is_left = inner.join == "left"
    first, second, joining = [], [], []
    for condition in (*block.where, *inner.on):
        is_on = any(condition is each for each in inner.on)
        if not is_on and _speaks_of(one, [condition]):
            first.append(condition)
        elif _speaks_of(many, [condition]) and (is_on or not is_left):
            second.append(condition)
        elif is_on or not is_left:
            joining.append(condition)
        else:
            return None
    return _Conditions(first, second, joining)


def _joined_with(
    block: Select,
    groups: Select,
    source: int,
    on: Sequence[Expression],
    where: Sequence[Expression],
) -> Select:
    """The block as the join of its first table and the groups of the second, which are relation `source`, by `on`; `where`:
    what is asked of the first."""
    from sql.functions.aggregates import CHECKED_SUM, UNCHECKED_SUM

    outer, inner = block.items
    is_left = inner.join == "left"
    own_keys = block.keys or ()
    made_of = DerivedRelation(source, groups, "")
    calls = groups.aggregates
    first = len(own_keys)

    def joined(part: Expression) -> Expression:
        """A group's value as one of the joined rows."""
        if not isinstance(part, SlotRef) or part.source != block.aggregate_source:
            return part
        if part.slot < first:
            return own_keys[part.slot].expression
        place = part.slot - first
        if place >= len(calls):
            return block.bare[place - len(calls)]
        value: Expression = _column(source, len(on) + place, part)
        if calls[place].function is UNCHECKED_SUM:
            value = Call(CHECKED_SUM.name, (value,), CHECKED_SUM)
        nothing = _of_nothing(calls[place]) if is_left else None
        if nothing is None:
            return value
        return Case(((Compare("IS NOT", value, Literal(None)), value),), Literal(nothing))

    order = [replace(key, expression=map_expression(key.expression, joined)) for key in block.order]
    return replace(
        block,
        items=(outer, FromItem(made_of, inner.join, tuple(on) if is_left else ())),
        where=(
            *where,
            *([] if is_left else on),
            *[map_expression(each, joined) for each in block.having],
        ),
        keys=None,
        aggregates=(),
        bare=(),
        bare_from=None,
        aggregate_source=-1,
        having=(),
        outputs=tuple([map_expression(each, joined) for each in block.outputs]),
        order=(*order, *own_keys),
    )


def grouping_cost(plan: SelectPlan, row: float = GROUPED_ROW) -> float:
    """What a plan's rows cost until they are in their groups."""
    return plan.cost + plan.levels[-1].rows * row


def _tells_rows_apart(relation: TableRelation, keys: Iterable[SortKey]) -> bool:
    """Whether the keys of GROUP BY hold the row id of a table."""
    table = relation.table
    if table.without_rowid:
        return False
    return any(
        isinstance(key.expression, ColumnRef)
        and key.expression.source == relation.source
        and key.expression.column in (ROWID, table.rowid_alias)
        for key in keys
    )


def _speaks_of(relation: TableRelation, expressions: Iterable[Expression]) -> bool:
    """Whether the expressions speak of this relation and of no other."""
    return all(references(each) <= {relation.source} and is_constant(each) for each in expressions)


def _can_move(call: AggregateCall, many: TableRelation, *, is_left: bool) -> bool:
    """Whether an aggregate of the joined rows is one of a table's, and where nothing is joined known."""
    if call.name not in _OF_NOTHING or not getattr(call.function, "builtin", True) or call.order:
        return False
    parts = [*call.arguments, *([] if call.where is None else [call.where])]
    if not _speaks_of(many, parts):
        return False
    if any(isinstance(node, Call) for part in parts for node in walk_flat(part)):
        return False  # a function may fail of rows that nothing is joined with
    if not is_left:
        return True
    if not call.arguments:
        return call.where is None  # count(*): the row without a match is one
    return len(call.arguments) == 1 and _is_null_of_nulls(call.arguments[0])


def _of_table(call: AggregateCall, many: TableRelation) -> AggregateCall:
    """An aggregate of the table's own rows, whose row ids are never NULL.  A sum() that overflows fails only where
    something is joined with its group."""
    rowids = (ROWID, many.table.rowid_alias)

    def own(part: Expression) -> Expression:
        if isinstance(part, ColumnRef) and part.source == many.source and part.column in rowids:
            return replace(part, kinds=INTEGER)
        return part

    from sql.functions.aggregates import UNCHECKED_SUM

    if call.name == "sum":
        call = replace(call, function=UNCHECKED_SUM)
    if many.table.without_rowid:
        return call
    return replace(call, arguments=tuple([map_expression(each, own) for each in call.arguments]))


def _is_null_of_nulls(e: Expression) -> bool:
    """Whether an expression is NULL of a row of NULLs."""
    if isinstance(e, Arithmetic):
        return _is_null_of_nulls(e.left) or _is_null_of_nulls(e.right)
    return isinstance(e, ColumnRef)


def _of_nothing(call: AggregateCall) -> int | float | None:
    """What an aggregate is of a row without a match."""
    return _OF_NOTHING[call.name] if call.arguments else 1


def _column(source: int, place: int, of: Expression) -> ColumnRef:
    """A column of the groups, by what it shows."""
    if isinstance(of, ColumnRef):
        return replace(of, source=source, column=place, kinds=of.kinds | NULL)
    if isinstance(of, SlotRef):
        collation = of.collation or "BINARY"
        return ColumnRef(source, place, "", "", of.affinity, collation, of.kinds | NULL)
    return ColumnRef(source, place, "", "", Affinity.NONE, "BINARY", ANY_KIND)
