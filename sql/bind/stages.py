"""What follows the rows of FROM: expressions after a grouping refer to its keys, aggregates and bare
columns, and those after the window functions to the row that the window stage makes."""

from __future__ import annotations

from msgspec.structs import replace

from btree import Kind
from sql.bind.typing import carried_affinity, implicit_collation, kinds_of
from sql.expressions import ColumnRef, Expression, Literal, SlotRef
from sql.plan import Select, SortKey
from sql.plan.walk import replace_outermost

_NUMBERS = int(Kind.INTEGER | Kind.REAL)


def grouped(block: Select) -> Select:
    """Rewrite what comes after the grouping to refer to its keys, aggregates and bare columns."""
    assert block.keys is not None
    source = block.aggregate_source
    own = {item.relation.source for item in block.items}
    extremes = [place for place, call in enumerate(block.aggregates) if call.name in ("min", "max")]
    spelled = {
        repr(key.expression): place
        for place, key in reversed(list(enumerate(block.keys)))
        if not (extremes and _shows_variants(key))
    }
    bare: dict[tuple[int, int], int] = {}
    bare_columns: list[Expression] = []
    first_bare = len(block.keys) + len(block.aggregates)

    def replacement(node: Expression) -> Expression | None:
        if isinstance(node, (Literal,)):
            return node
        place = spelled.get(repr(node)) if spelled else None
        if place is not None:
            return SlotRef(
                source,
                place,
                carried_affinity(node),
                implicit_collation(node) or "BINARY",
                kinds_of(node),
            )
        if isinstance(node, ColumnRef) and node.source in own:
            where = (node.source, node.column)
            slot = bare.get(where)
            if slot is None:
                slot = bare[where] = len(bare_columns)
                bare_columns.append(node)
            return SlotRef(source, first_bare + slot, node.affinity, node.collation, node.kinds | 1)
        return None

    def rewrite(node: Expression) -> Expression:
        return replace_outermost(node, replacement)

    def rewrite_keys(keys: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
        return tuple(replace(key, expression=rewrite(key.expression)) for key in keys)

    outputs = tuple(rewrite(output) for output in block.outputs)
    having = tuple(rewrite(condition) for condition in block.having)
    order = rewrite_keys(block.order)
    windows = tuple(
        replace(
            call,
            arguments=tuple(rewrite(argument) for argument in call.arguments),
            where=None if call.where is None else rewrite(call.where),
            partition=rewrite_keys(call.partition),
            order=rewrite_keys(call.order),
        )
        for call in block.windows
    )
    return replace(
        block,
        outputs=outputs,
        having=having,
        order=order,
        windows=windows,
        bare=tuple(bare_columns),
        bare_from=extremes[-1] if extremes and bare_columns else None,
    )


def _shows_variants(key: SortKey) -> bool:
    """Whether a key is a column that may hold equal values that are not the same, as 1 and 1.0.

    It is shown as bare columns are: of the row with the min() or max(), if there is such an aggregate."""
    column = key.expression
    return isinstance(column, ColumnRef) and (
        key.collation != "BINARY" or column.kinds & _NUMBERS == _NUMBERS
    )


def windowed(block: Select) -> Select:
    """Rewrite outputs and ORDER BY to the window stage's row: the calls' results, then the columns
    that pass through it."""
    source = block.window_source
    own = {item.relation.source for item in block.items} | {block.aggregate_source}
    slots: dict[tuple[str, int, int], int] = {}
    inputs: list[Expression] = []
    first = len(block.windows)

    def replacement(node: Expression) -> Expression | None:
        if isinstance(node, SlotRef) and node.source == source:
            return node
        if isinstance(node, (ColumnRef, SlotRef)) and node.source in own:
            column = node.column if isinstance(node, ColumnRef) else node.slot
            where = (type(node).__name__, node.source, column)
            slot = slots.get(where)
            if slot is None:
                slot = slots[where] = len(inputs)
                inputs.append(node)
            return SlotRef(source, first + slot, node.affinity, node.collation, node.kinds)
        return None

    outputs = tuple(replace_outermost(output, replacement) for output in block.outputs)
    order = tuple(
        replace(key, expression=replace_outermost(key.expression, replacement))
        for key in block.order
    )
    return replace(block, outputs=outputs, order=order, window_inputs=tuple(inputs))
