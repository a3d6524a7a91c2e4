"""Query blocks: what a query means, names resolved, before it is decided how it runs.

A `Select` is one SELECT: relations joined left to right, then filter, grouping, windows, projection,
DISTINCT, ORDER BY, LIMIT, in SQL's order of evaluation.  Its expressions refer to columns of its
relations by source number (`ColumnRef`), to the outputs of its grouping and window stages by
`SlotRef`, and to enclosing blocks the same way: whatever source is not its own is correlated.

All blocks are frozen: the optimiser's rules make new ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from sql.expressions import Expression
from sql.schema import Table


class ResultColumn(Struct, frozen=True):
    """A column of a result.  `table`, `column`: where it comes from if it is a plain column.  `kinds`: the
    mask of `btree.Kind` bits of its values; all bits if unknown.  `inner_name`: what a query around calls the
    column, and a table made of it, where that is another name."""

    name: str
    declared_type: str | None = None
    table: str | None = None
    column: str | None = None
    kinds: int = 31
    inner_name: str | None = None


class SortKey(Struct, frozen=True):
    expression: Expression
    descending: bool = False
    nulls_first: bool = True
    collation: str = "BINARY"


class TableRelation(Struct, frozen=True):
    """A stored table.  `indexed_by`: an index's name, False for NOT INDEXED, None for free choice."""

    source: int
    table: Table
    alias: str
    indexed_by: str | bool | None = None


class RowRelation(Struct, frozen=True):
    """Rows made by a provider (`kv`, sqlite_master, json_each(...)); `arguments` may be correlated."""

    source: int
    provider: Any
    alias: str
    arguments: tuple[Expression, ...] = ()


class DerivedRelation(Struct, frozen=True):
    """A subquery, view or CTE in FROM.  `shared` is not None for a CTE used more than once: equal
    numbers share one materialisation.  `hint`: True to materialise, False to prefer not to."""

    source: int
    block: Block
    alias: str
    shared: int | None = None
    hint: bool | None = None


class WorkRelation(Struct, frozen=True):
    """The rows of the latest round of the recursive CTE `number`."""

    source: int
    number: int
    width: int
    alias: str


Relation = TableRelation | RowRelation | DerivedRelation | WorkRelation


class FromItem(Struct, frozen=True):
    """`join` says how the relation joins what stands left of it: inner, cross (order is kept) or left;
    semi and anti are the planner's."""

    relation: Relation
    join: str = "inner"
    on: tuple[Expression, ...] = ()


class AggregateCall(Struct, frozen=True):
    name: str
    function: Any
    arguments: tuple[Expression, ...]
    distinct: bool = False
    where: Expression | None = None
    order: tuple[SortKey, ...] = ()
    collation: str = "BINARY"


class Frame(Struct, frozen=True):
    """`start` and `end`: "UNBOUNDED", "CURRENT", "PRECEDING" or "FOLLOWING" (of an UNBOUNDED start the
    first row, of an end the last); the offsets go with the last two."""

    unit: str = "RANGE"  # ROWS RANGE GROUPS
    start: str = "UNBOUNDED"
    start_offset: Expression | None = None
    end: str = "CURRENT"
    end_offset: Expression | None = None
    exclude: str = "NO OTHERS"


class WindowCall(Struct, frozen=True):
    name: str
    function: Any
    arguments: tuple[Expression, ...]
    where: Expression | None
    partition: tuple[SortKey, ...]
    order: tuple[SortKey, ...]
    frame: Frame
    collation: str = "BINARY"


class Select(Struct, frozen=True):
    """One SELECT.  With `keys` (possibly ()) it groups: expressions after the grouping see only
    SlotRef(aggregate_source, i): the keys, then the aggregates, then `bare` columns, whose values
    come from one row of the group (of the min()/max() row if `bare_from` names that aggregate)."""

    items: tuple[FromItem, ...] = ()
    where: tuple[Expression, ...] = ()
    keys: tuple[SortKey, ...] | None = None
    aggregates: tuple[AggregateCall, ...] = ()
    bare: tuple[Expression, ...] = ()
    bare_from: int | None = None
    aggregate_source: int = -1
    having: tuple[Expression, ...] = ()
    windows: tuple[WindowCall, ...] = ()
    window_inputs: tuple[Expression, ...] = ()
    window_source: int = -1
    outputs: tuple[Expression, ...] = ()
    distinct: bool = False
    order: tuple[SortKey, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None


class Values(Struct, frozen=True):
    rows: tuple[tuple[Expression, ...], ...]
    order: tuple[SortKey, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None


class Compound(Struct, frozen=True):
    """`left OP right`, OP one of UNION ALL, UNION, INTERSECT, EXCEPT.  `order` refers to the output
    row as SlotRef(source, position)."""

    operator: str
    left: Block
    right: Block
    source: int
    collations: tuple[str, ...] = ()
    order: tuple[SortKey, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None


class OuterJoin(Struct, frozen=True):
    """FULL or RIGHT join of two blocks.  `on` sees their rows as ColumnRef(left_source / right_source);
    the output is left's columns, then right's."""

    left: Block
    right: Block
    left_source: int
    right_source: int
    left_width: int
    right_width: int
    on: tuple[Expression, ...]
    full: bool
    order: tuple[SortKey, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None


class Recursive(Struct, frozen=True):
    """A recursive CTE: rows of `initial`, then of each step run on the rows queued so far; `kinds` of value that
    its columns may have, `collations` by which `distinct` tells rows apart."""

    number: int
    initial: Block
    steps: tuple[Block, ...]
    distinct: bool
    width: int
    source: int
    order: tuple[SortKey, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None
    kinds: tuple[int, ...] = ()
    collations: tuple[str, ...] = ()


Block = Select | Values | Compound | OuterJoin | Recursive


def width(block: Block) -> int:
    """How many columns the block's rows have."""
    match block:
        case Select():
            return len(block.outputs)
        case Values():
            return len(block.rows[0])
        case Compound():
            return width(block.left)
        case OuterJoin():
            return block.left_width + block.right_width
        case Recursive():
            return block.width


def sources(block: Select) -> frozenset[int]:
    """The source numbers that belong to the block itself."""
    own = {item.relation.source for item in block.items}
    own.add(block.aggregate_source)
    own.add(block.window_source)
    return frozenset(own)


def conjuncts(expression: Expression | None) -> tuple[Expression, ...]:
    """The operands of a chain of ANDs, flat."""
    from sql.expressions import And

    if expression is None:
        return ()
    if isinstance(expression, And):
        return tuple(part for item in expression.items for part in conjuncts(item))
    return (expression,)


def conjunction(items: Iterable[Expression]) -> Expression | None:
    """The AND of `items`; None if there is none."""
    from sql.expressions import And

    parts = tuple(items)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(parts)
