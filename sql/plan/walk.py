"""Walking and rebuilding expressions and blocks.

`map_expression` rebuilds bottom-up; a node whose children did not change is returned as it is, so that
rules that find nothing to do allocate nothing.  Both descend into the plans of subqueries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from sql.expressions import (
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    Collate,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Literal,
    Match,
    Not,
    Or,
    Parameter,
    Raise,
    ScalarSubquery,
    SlotRef,
    Truth,
    Unary,
)
from sql.plan.blocks import (
    AggregateCall,
    Block,
    Compound,
    DerivedRelation,
    FromItem,
    OuterJoin,
    Recursive,
    Relation,
    RowRelation,
    Select,
    SortKey,
    Values,
    WindowCall,
)

Visit = Callable[[Expression], Expression]


def _no_children(_node: Any) -> tuple[Expression, ...]:
    return ()


def _one_child(node: Any) -> tuple[Expression, ...]:
    return (node.operand,)


def _two_children(node: Any) -> tuple[Expression, ...]:
    return (node.left, node.right)


def _items(node: Any) -> tuple[Expression, ...]:
    items: tuple[Expression, ...] = node.items
    return items


def _in_list(node: InList) -> tuple[Expression, ...]:
    return (node.operand, *node.items)


def _operands(node: InSubquery) -> tuple[Expression, ...]:
    return node.operands


def _of_case(node: Case) -> tuple[Expression, ...]:
    parts = [part for when in node.whens for part in when]
    return (*parts, node.otherwise) if node.otherwise is not None else tuple(parts)


def _of_match(node: Match) -> tuple[Expression, ...]:
    if node.escape is None:
        return (node.operand, node.pattern)
    return (node.operand, node.pattern, node.escape)


def _arguments(node: Call) -> tuple[Expression, ...]:
    return node.arguments


def _message(node: Raise) -> tuple[Expression, ...]:
    return (node.message,) if node.message is not None else ()


_CHILDREN: dict[type, Callable[[Any], tuple[Expression, ...]]] = {
    **dict.fromkeys((Unary, Not, Truth, Cast, Collate), _one_child),
    **dict.fromkeys((Arithmetic, Compare), _two_children),
    **dict.fromkeys((And, Or), _items),
    InList: _in_list,
    InSubquery: _operands,
    Case: _of_case,
    Match: _of_match,
    Call: _arguments,
    Raise: _message,
}
"""How the operands of an expression are found, by its class: trees are walked some hundred times while a
statement is planned, and a `match` asks for one class after the other."""


def children(node: Expression) -> tuple[Expression, ...]:
    """The direct operands (not those inside subqueries' plans)."""
    return _CHILDREN.get(node.__class__, _no_children)(node)


def map_expression(node: Expression, rewrite: Visit) -> Expression:
    """`rewrite` applied to every node, operands first, subqueries' plans included."""

    def visit(part: Expression) -> Expression:
        return rewrite(rebuild(part, visit))

    return visit(node)


def replace_outermost(
    node: Expression, replacement: Callable[[Expression], Expression | None]
) -> Expression:
    """The outermost nodes that `replacement` answers are replaced; those it answers None to are searched."""

    def visit(part: Expression) -> Expression:
        found = replacement(part)
        return rebuild(part, visit) if found is None else found

    return visit(node)


def rebuild(node: Expression, visit: Visit) -> Expression:
    """The node with `visit` applied to its direct operands and to its plan's expressions."""
    match node:
        case Unary() | Not() | Truth() | Cast() | Collate():
            operand = visit(node.operand)
            if operand is not node.operand:
                node = replace(node, operand=operand)
        case Arithmetic() | Compare():
            left = visit(node.left)
            right = visit(node.right)
            if left is not node.left or right is not node.right:
                node = replace(node, left=left, right=right)
        case And() | Or():
            items = _map_all(node.items, visit)
            if items is not node.items:
                node = replace(node, items=items)
        case InList():
            operand = visit(node.operand)
            items = _map_all(node.items, visit)
            if operand is not node.operand or items is not node.items:
                node = replace(node, operand=operand, items=items)
        case InSubquery():
            operands = _map_all(node.operands, visit)
            plan = rebuild_block(node.plan, visit)
            if operands is not node.operands or plan is not node.plan:
                node = replace(node, operands=operands, plan=plan)
        case Exists() | ScalarSubquery():
            plan = rebuild_block(node.plan, visit)
            if plan is not node.plan:
                node = replace(node, plan=plan)
        case Case():
            node = _map_case(node, visit)
        case Match():
            operand = visit(node.operand)
            pattern = visit(node.pattern)
            escape = _map_optional(node.escape, visit)
            if (
                operand is not node.operand
                or pattern is not node.pattern
                or escape is not node.escape
            ):
                node = replace(node, operand=operand, pattern=pattern, escape=escape)
        case Call():
            arguments = _map_all(node.arguments, visit)
            if arguments is not node.arguments:
                node = replace(node, arguments=arguments)
        case Raise():
            message = _map_optional(node.message, visit)
            if message is not node.message:
                node = replace(node, message=message)
        case _:
            pass
    return node


def _map_case(node: Case, visit: Visit) -> Case:
    whens = tuple((visit(when), visit(then)) for when, then in node.whens)
    otherwise = _map_optional(node.otherwise, visit)
    same = otherwise is node.otherwise and all(
        a is c and b is d for (a, b), (c, d) in zip(whens, node.whens, strict=True)
    )
    return node if same else Case(whens, otherwise)


def _map_optional(node: Expression | None, visit: Visit) -> Expression | None:
    return None if node is None else visit(node)


def _map_all(nodes: tuple[Expression, ...], visit: Visit) -> tuple[Expression, ...]:
    mapped = tuple(visit(node) for node in nodes)
    return nodes if all(a is b for a, b in zip(mapped, nodes, strict=True)) else mapped


def map_keys(keys: tuple[SortKey, ...], visit: Visit) -> tuple[SortKey, ...]:
    mapped = tuple(
        key
        if (expression := visit(key.expression)) is key.expression
        else replace(key, expression=expression)
        for key in keys
    )
    return keys if all(a is b for a, b in zip(mapped, keys, strict=True)) else mapped


def _map_aggregate(call: AggregateCall, visit: Visit) -> AggregateCall:
    arguments = _map_all(call.arguments, visit)
    where = _map_optional(call.where, visit)
    order = map_keys(call.order, visit)
    if arguments is call.arguments and where is call.where and order is call.order:
        return call
    return replace(call, arguments=arguments, where=where, order=order)


def _map_window(call: WindowCall, visit: Visit) -> WindowCall:
    arguments = _map_all(call.arguments, visit)
    where = _map_optional(call.where, visit)
    partition = map_keys(call.partition, visit)
    order = map_keys(call.order, visit)
    frame = call.frame
    start = _map_optional(frame.start_offset, visit)
    end = _map_optional(frame.end_offset, visit)
    if start is not frame.start_offset or end is not frame.end_offset:
        frame = replace(frame, start_offset=start, end_offset=end)
    if (
        arguments is call.arguments
        and where is call.where
        and partition is call.partition
        and order is call.order
        and frame is call.frame
    ):
        return call
    return replace(
        call, arguments=arguments, where=where, partition=partition, order=order, frame=frame
    )


def _map_relation(relation: Relation, visit: Visit) -> Relation:
    if isinstance(relation, DerivedRelation):
        block = rebuild_block(relation.block, visit)
        return relation if block is relation.block else replace(relation, block=block)
    if isinstance(relation, RowRelation):
        arguments = _map_all(relation.arguments, visit)
        return (
            relation if arguments is relation.arguments else replace(relation, arguments=arguments)
        )
    return relation


def rebuild_block(block: Block, visit: Visit) -> Block:
    """The block with `visit` applied to every expression of its own and of its subblocks."""
    match block:
        case Select():
            return _map_select(block, visit)
        case Values():
            changed: Block = replace(block, rows=tuple(_map_all(row, visit) for row in block.rows))
        case Compound():
            changed = replace(
                block,
                left=rebuild_block(block.left, visit),
                right=rebuild_block(block.right, visit),
            )
        case OuterJoin():
            changed = replace(
                block,
                left=rebuild_block(block.left, visit),
                right=rebuild_block(block.right, visit),
                on=_map_all(block.on, visit),
            )
        case Recursive():
            changed = replace(
                block,
                initial=rebuild_block(block.initial, visit),
                steps=tuple(rebuild_block(step, visit) for step in block.steps),
            )
    changed = replace(
        changed,
        order=map_keys(block.order, visit),
        limit=_map_optional(block.limit, visit),
        offset=_map_optional(block.offset, visit),
    )
    return block if changed == block else changed


def _map_item(item: FromItem, visit: Visit) -> FromItem:
    relation = _map_relation(item.relation, visit)
    on = _map_all(item.on, visit)
    if relation is item.relation and on is item.on:
        return item
    return FromItem(relation, item.join, on)


def _map_select(block: Select, visit: Visit) -> Select:
    changes: dict[str, object] = {}

    def note(name: str, old: object, new: object) -> None:
        if new is not old:
            changes[name] = new

    items = tuple(_map_item(item, visit) for item in block.items)
    if any(a is not b for a, b in zip(items, block.items, strict=True)):
        changes["items"] = items
    for name in ("where", "bare", "having", "window_inputs", "outputs"):
        old = getattr(block, name)
        note(name, old, _map_all(old, visit))
    if block.keys is not None:
        note("keys", block.keys, map_keys(block.keys, visit))
    aggregates = tuple(_map_aggregate(call, visit) for call in block.aggregates)
    if any(a is not b for a, b in zip(aggregates, block.aggregates, strict=True)):
        changes["aggregates"] = aggregates
    windows = tuple(_map_window(call, visit) for call in block.windows)
    if any(a is not b for a, b in zip(windows, block.windows, strict=True)):
        changes["windows"] = windows
    note("order", block.order, map_keys(block.order, visit))
    note("limit", block.limit, _map_optional(block.limit, visit))
    note("offset", block.offset, _map_optional(block.offset, visit))
    return replace(block, **changes) if changes else block


SUBQUERIES = frozenset((Exists, InSubquery, ScalarSubquery))
"""The expressions that have a plan."""

_LEAVES = frozenset((ColumnRef, SlotRef, Literal, Parameter))


def walk(node: Expression) -> Sequence[Expression]:
    """The node and everything under it, subqueries' plans included."""
    if node.__class__ in _LEAVES:
        return (node,)
    found: list[Expression] = []
    for part in walk_flat(node):
        found.append(part)
        if part.__class__ in SUBQUERIES:
            found += walk_block(part.plan)
    return found


def block_expressions(block: Block) -> Iterator[Expression]:
    """Every expression that stands in the block itself (not in its subblocks)."""
    if isinstance(block, Select):
        for item in block.items:
            yield from item.on
            if isinstance(item.relation, RowRelation):
                yield from item.relation.arguments
        yield from block.where
        for key in block.keys or ():
            yield key.expression
        for call in block.aggregates:
            yield from call.arguments
            if call.where is not None:
                yield call.where
            for key in call.order:
                yield key.expression
        yield from block.bare
        yield from block.having
        for window in block.windows:
            yield from window.arguments
            if window.where is not None:
                yield window.where
            for key in (*window.partition, *window.order):
                yield key.expression
            for bound in (window.frame.start_offset, window.frame.end_offset):
                if bound is not None:
                    yield bound
        yield from block.window_inputs
        yield from block.outputs
    elif isinstance(block, Values):
        for row in block.rows:
            yield from row
    elif isinstance(block, OuterJoin):
        yield from block.on
    for key in block.order:
        yield key.expression
    if block.limit is not None:
        yield block.limit
    if block.offset is not None:
        yield block.offset


def subblocks(block: Block) -> Iterator[Block]:
    """The blocks that stand in the block's FROM or are its arms (not its expressions' subqueries)."""
    match block:
        case Select():
            for item in block.items:
                if isinstance(item.relation, DerivedRelation):
                    yield item.relation.block
        case Values():
            return
        case Compound() | OuterJoin():
            yield block.left
            yield block.right
        case Recursive():
            yield block.initial
            yield from block.steps


def walk_block(block: Block) -> list[Expression]:
    """Every expression of the block, with everything under it."""
    found: list[Expression] = []
    for expression in block_expressions(block):
        found += walk(expression)
    for inner in subblocks(block):
        found += walk_block(inner)
    return found


def _own_sources(block: Block) -> set[int]:
    """The source numbers that the block itself defines."""
    match block:
        case Select():
            return {
                *[item.relation.source for item in block.items],
                block.aggregate_source,
                block.window_source,
            }
        case Compound() | Recursive():
            return {block.source}
        case OuterJoin():
            return {block.left_source, block.right_source}
        case Values():
            return set()


def walk_flat(node: Expression) -> Sequence[Expression]:
    """The node and everything under it, without subqueries' plans."""
    if node.__class__ in _LEAVES:
        return (node,)
    found: list[Expression] = []
    pending = [node]
    while pending:
        part = pending.pop()
        found.append(part)
        operands = _CHILDREN.get(part.__class__)
        if operands is not None:
            pending += operands(part)[::-1]
    return found


_References = frozenset[int]
_references_known: dict[int, tuple[Expression, _References]] = {}
"""By the node's identity: the planner asks a dozen times for each condition.  Nodes never change.  None that holds a
function of the program's or a subquery, which may hold one, too: they would live on with what they refer to."""
_REFERENCES_KNOWN_MAX = 1024
_NOTHING: _References = frozenset()


def references(node: Expression) -> _References:
    """The source numbers that the expression refers to, free ones of its subqueries included."""
    kind = node.__class__
    if kind is ColumnRef:
        return frozenset((node.source,))  # type: ignore[union-attr]
    if kind is Literal or kind is Parameter:
        return _NOTHING
    known = _references_known.get(id(node))
    if known is not None and known[0] is node:
        return known[1]
    found: set[int] = set()
    lasts = True
    for part in walk_flat(node):
        if isinstance(part, (ColumnRef, SlotRef)):
            found.add(part.source)
        elif part.__class__ in SUBQUERIES:
            found |= {reference.source for reference in free_references(part.plan)}
            lasts = False
        elif isinstance(part, Call):
            lasts = lasts and getattr(part.function, "builtin", False)
    if not lasts:
        return frozenset(found)
    if len(_references_known) >= _REFERENCES_KNOWN_MAX:
        _references_known.clear()
    made = frozenset(found)
    _references_known[id(node)] = node, made
    return made


Reference = ColumnRef | SlotRef

_free_known: dict[int, tuple[Block, list[Reference]]] = {}
"""By the block's identity, for as long as one statement is planned (`forget_blocks`): each block asks the ones below."""


def forget_blocks() -> None:
    """Let go of the blocks that have been looked at."""
    _free_known.clear()


def references_in(block: Block) -> list[Reference]:
    """The columns and slots that the block speaks of, as often as it does: its own, and those of others in it that
    are not their own."""
    found: list[Reference] = []
    for expression in block_expressions(block):
        for part in walk_flat(expression):
            kind = part.__class__
            if kind is ColumnRef or kind is SlotRef:
                found.append(part)  # type: ignore[arg-type]
            elif kind in SUBQUERIES:
                found += _free_in(part.plan)  # type: ignore[union-attr]
    for inner in subblocks(block):
        found += _free_in(inner)
    return found


def _free_in(block: Block) -> list[Reference]:
    known = _free_known.get(id(block))
    if known is not None:
        return known[1]
    own = _own_sources(block)
    found = [part for part in references_in(block) if part.source not in own]
    _free_known[id(block)] = block, found
    return found


def free_references(block: Block) -> set[Reference]:
    """Columns and slots of enclosing blocks that the block refers to (its correlation)."""
    return set(_free_in(block))


def cte_uses(block: Block) -> Counter[int]:
    """How often each CTE stands in a FROM clause of the query."""
    found: Counter[int] = Counter()
    pending = [block]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if isinstance(current, Select):
            for item in current.items:
                relation = item.relation
                if isinstance(relation, DerivedRelation) and relation.shared is not None:
                    found[relation.shared] += 1
        if id(current) in seen:
            continue
        seen.add(id(current))
        pending += subblocks(current)
        for expression in block_expressions(current):
            for node in walk_flat(expression):
                inner = getattr(node, "plan", None)
                if inner is not None:
                    pending.append(inner)
    return found
