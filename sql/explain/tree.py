"""From a planned query to the tree of operators that EXPLAIN draws.

A node's `key` is (identity of the block, stage, ...), the same that an instrumented run counts under.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, assert_never

from sql.explain.accesses import AccessWriter, parts_of
from sql.explain.expressions import ExpressionWriter, Subquery
from sql.explain.nodes import Node
from sql.expressions import Exists, Expression, InSubquery, ScalarSubquery, SlotRef
from sql.optimise.planner import Planner
from sql.plan import (
    AggregateCall,
    Block,
    Compound,
    DerivedRelation,
    OuterJoin,
    Recursive,
    Select,
    SortKey,
    Values,
    WindowCall,
)
from sql.plan.operators import HashLookup, Level, RowidUnion, RowsScan, SelectPlan
from sql.plan.walk import block_expressions, free_references, subblocks, walk_flat

NAMES_MAX = 6
"""Aggregates, keys or window calls that one line names."""


def subqueries_of(block: Block) -> Iterator[Subquery]:
    """The subqueries in the block's own expressions, each plan once."""
    seen: set[int] = set()
    for expression in block_expressions(block):
        for node in walk_flat(expression):
            if isinstance(node, (Exists, InSubquery, ScalarSubquery)) and id(node.plan) not in seen:
                seen.add(id(node.plan))
                yield node


def aliases_in(block: Block) -> dict[int, str]:
    """The names of all relations in the query, by source number."""
    found: dict[int, str] = {}
    if isinstance(block, Select):
        found = {item.relation.source: item.relation.alias for item in block.items}
    for inner in subblocks(block):
        found |= aliases_in(inner)
    for node in subqueries_of(block):
        found |= aliases_in(node.plan)
    return found


class PlanTree:
    """Makes the nodes of one query."""

    def __init__(self, planner: Planner, block: Block) -> None:
        self.planner = planner
        self.root = block
        self.writer = ExpressionWriter(self._slot, self._subquery_name)
        self.writer.aliases = aliases_in(block)
        self.writer.qualified = len(self.writer.aliases) > 1  # one table needs no name
        self.accesses = AccessWriter(self.writer)
        self._slots: dict[int, Sequence[Any]] = {}
        self._numbers: dict[int, int] = {}
        self._shared: set[int] = set()

    def node(self) -> Node:
        """The whole query."""
        return self._block(self.root)

    # -- words -----------------------------------------------------------------------------------

    def _slot(self, slot: SlotRef) -> str:
        meanings = self._slots.get(slot.source, ())
        if slot.slot >= len(meanings):
            return f"#{slot.slot + 1}"
        meaning = meanings[slot.slot]
        if isinstance(meaning, (AggregateCall, WindowCall)):
            return self.call(meaning)
        return meaning if isinstance(meaning, str) else self.writer.text(meaning, 11)

    def _subquery_name(self, node: Subquery) -> str:
        return f"(subquery {self._number(node.plan)})"

    def _number(self, plan: Block) -> int:
        return self._numbers.setdefault(id(plan), len(self._numbers) + 1)

    def call(self, call: AggregateCall | WindowCall) -> str:
        """An aggregate or window call."""
        arguments = self.writer.listed(call.arguments)
        if isinstance(call, AggregateCall):
            if not call.arguments and call.name == "count":
                arguments = "*"
            if call.distinct:
                arguments = f"distinct {arguments}"
            if call.order:
                arguments += f" order by {self.keys(call.order)}"
        elif not call.arguments and call.name == "count":
            arguments = "*"
        text = f"{call.name}({arguments})"
        if call.where is not None:
            text += f" filter (where {self.writer.text(call.where)})"
        if isinstance(call, WindowCall):
            text += f" over ({self._window(call)})"
        return text

    def _window(self, call: WindowCall) -> str:
        parts = []
        if call.partition:
            parts.append(f"partition by {self.keys(call.partition)}")
        if call.order:
            parts.append(f"order by {self.keys(call.order)}")
        frame = call.frame
        default = (frame.unit, frame.start, frame.end) == ("RANGE", "UNBOUNDED", "CURRENT")
        if not default or frame.exclude != "NO OTHERS":
            start = self._bound(frame.start, frame.start_offset, "preceding")
            end = self._bound(frame.end, frame.end_offset, "following")
            text = f"{frame.unit.lower()} between {start} and {end}"
            if frame.exclude != "NO OTHERS":
                text += f" exclude {frame.exclude.lower()}"
            parts.append(text)
        return " ".join(parts)

    def _bound(self, bound: str, offset: Expression | None, side: str) -> str:
        if bound == "UNBOUNDED":
            return f"unbounded {side}"
        if offset is None:
            return "current row"
        return f"{self.writer.text(offset)} {bound.lower()}"

    def keys(self, keys: Iterable[SortKey]) -> str:
        """Sort keys as in ORDER BY."""
        parts = []
        for key in keys:
            text = self.writer.text(key.expression)
            if key.collation.upper() != "BINARY":
                text += f" collate {key.collation.lower()}"
            if key.descending:
                text += " desc"
            if key.nulls_first == key.descending:
                text += " nulls first" if key.nulls_first else " nulls last"
            parts.append(text)
        return self._some(parts)

    def _some(self, parts: Sequence[str]) -> str:
        if len(parts) <= NAMES_MAX:
            return ", ".join(parts)
        return f"{', '.join(parts[:NAMES_MAX])}, ... {len(parts)} in all"

    # -- blocks ----------------------------------------------------------------------------------

    def _block(self, block: Block) -> Node:
        match block:
            case Select():
                return self._select(block)
            case Values():
                rows = len(block.rows)
                node = Node(f"Values, {rows} {_plural(rows, 'row')}", rows, (id(block), "rows"))
                node = self._ended(node, block, block, ordered=False)
            case Compound():
                node = Node(f"Compound {block.operator}", None, (id(block), "rows"))
                node.children = [self._block(arm) for arm in self._arms(block)]
                self._slots[block.source] = self._outputs(block)
                node.rows = self.planner.plan(block).rows if block.limit is None else None
                node = self._ended(node, block, block, ordered=False)
            case OuterJoin():
                on = self.writer.all_of(block.on) or "true"
                title = f"{'Full' if block.full else 'Right'} join on {on}"
                node = Node(title, self.planner.plan(block).rows, (id(block), "rows"))
                node.children = [self._block(block.left), self._block(block.right)]
                node = self._ended(node, block, block, ordered=False)
            case Recursive():
                word = "new rows only" if block.distinct else "all rows"
                title = f"Recursive query, {word}"
                if block.order:
                    title += f", queue by {self.keys(block.order)}"
                node = Node(title, None, (id(block), "rows"))
                node.children = [self._block(arm) for arm in (block.initial, *block.steps)]
                node = self._ended(node, block, block, ordered=True)
            case _:
                assert_never(block)
        self._add_subqueries(node, block)
        return node

    def _arms(self, block: Compound) -> list[Block]:
        """Arms of a chain of the same operator side by side."""
        arms: list[Block] = []
        left = block.left
        if (
            isinstance(left, Compound)
            and left.operator == block.operator
            and block.operator in ("UNION ALL", "UNION")
            and not left.order
            and left.limit is None
        ):
            arms += self._arms(left)
        else:
            arms.append(left)
        return [*arms, block.right]

    def _outputs(self, block: Block) -> Sequence[Any]:
        """What stands for the columns of a block without a FROM of its own: its first SELECT's."""
        while isinstance(block, Compound):
            block = block.left
        return block.outputs if isinstance(block, Select) else ()

    def _select(self, original: Select) -> Node:
        plan = self.planner.plan(original)
        assert isinstance(plan, SelectPlan)
        block = plan.block
        self._slots[block.aggregate_source] = [
            *[key.expression for key in block.keys or ()],
            *block.aggregates,
            *block.bare,
        ]
        self._slots[block.window_source] = [*block.windows, *block.window_inputs]
        node = self._joined(plan, original)
        if block.keys is not None:
            node = self._grouped(node, plan, original)
        if block.having:
            title = f"Filter {self.writer.all_of(block.having)}"
            node = Node(title, None, None, [node])
        if block.windows:
            calls = self._some([self.call(call) for call in block.windows])
            node = Node(f"Window {calls}", node.rows, (id(original), "window"), [node])
        if block.distinct:
            node = Node("Distinct", node.rows, (id(original), "distinct"), [node])
        node = self._ended(node, block, original, ordered=plan.ordered, presorted=plan.presorted)
        if block.limit is None:
            node.rows = plan.rows if node.rows is None else node.rows
        self._add_subqueries(node, block)
        return node

    def _grouped(self, node: Node, plan: SelectPlan, original: Select) -> Node:
        block = plan.block
        key = (id(original), "group")
        calls = self._some([self.call(call) for call in block.aggregates])
        if plan.count_tree is not None:
            relation = block.items[0].relation
            return Node(f"Count of {self._name(relation)}'s rows, from its tree", 1.0, key)
        if plan.ends:
            name = self._name(block.items[0].relation)
            return Node(f"Ends of {name}'s trees for {calls}", 1.0, key)
        if plan.first_row:
            return Node(f"First row for {calls}", 1.0, key, [node])
        if not block.keys:
            return Node(f"Aggregate {calls}", 1.0, key, [node])
        title = f"Group by {self.keys(block.keys)}"
        if calls:
            title += f": {calls}"
        rows = plan.rows if block.limit is None and not block.having else None
        return Node(title, rows, key, [node])

    def _name(self, relation: Any) -> str:
        return str(relation.table.name)

    def _ended(
        self, node: Node, block: Block, original: Block, *, ordered: bool, presorted: int = 0
    ) -> Node:
        """ORDER BY and LIMIT on top."""
        limit = None if block.limit is None else self.writer.text(block.limit)
        estimate = self.planner.limit_of(block)
        rows = node.rows if estimate is None or node.rows is None else min(node.rows, estimate)
        if block.order and not ordered:
            word = "Sort" if limit is None else "Top-k"
            if limit is not None and estimate is None:
                word = "Sort"
            title = f"{word} by {self.keys(block.order)}"
            if presorted:
                title += f", in runs of {self.keys(block.order[:presorted])}"
            node = Node(title, rows, (id(original), "sort"), [node])
        if limit is not None:
            offset = "" if block.offset is None else f" offset {self.writer.text(block.offset)}"
            node = Node(f"Limit {limit}{offset}", rows, (id(original), "limit"), [node])
        return node

    def _add_subqueries(self, node: Node, block: Block) -> None:
        for subquery in subqueries_of(block):
            word = "per row" if free_references(subquery.plan) else "once"
            if isinstance(subquery, InSubquery):
                kind = "IN subquery"
            else:
                kind = "EXISTS subquery" if isinstance(subquery, Exists) else "Subquery"
            title = f"{kind} {self._number(subquery.plan)}, {word}"
            node.children.append(Node(title, None, None, [self._block(subquery.plan)]))

    # -- joins -----------------------------------------------------------------------------------

    def _joined(self, plan: SelectPlan, original: Select) -> Node:
        if not plan.levels:
            node = Node("One row without a table", 1.0)
        else:
            before = 1.0
            nodes = []
            for place, level in enumerate(plan.levels):
                nodes.append(self._level(level, (id(original), place), before))
                before = level.rows
            node = nodes[0]
            if len(nodes) > 1:
                node = Node(f"Join of {len(nodes)} relations", before, None, nodes)
        if plan.constant:
            condition = self.writer.all_of(plan.constant)
            node = Node(f"Only if {condition}", node.rows, None, [node])
        return node

    def _level(self, level: Level, place: tuple[int, int], before: float) -> Node:
        key = (place[0], "level", place[1])
        title = self.accesses.title(level.relation, level.access)
        if level.merged:
            title = title.replace("Search ", "Merge with ", 1)
        kind = "Left join" if level.left else "Semi-join" if level.exists else "Anti-join"
        if level.left or level.exists is not None:
            title = f"{kind}: {title[0].lower()}{title[1:]}"
            if level.on:
                title += f" on {self.writer.all_of(level.on)}"
        if level.by_column:
            title += ", by column"
        elif level.batched and not level.merged:
            title += ", many at once"
        rows = before * (max(level.fan_out, 1.0) if level.left else level.fan_out)
        if level.exists is not None:
            rows = level.rows
        node = Node(title, rows, key, level=level)
        access = level.access
        if isinstance(access, HashLookup):
            node.children.append(self._built(level, access, place[0]))
        elif isinstance(access, RowidUnion):
            node.children += [
                Node(self.accesses.title(level.relation, part)) for part in parts_of(access)
            ]
        elif isinstance(access, RowsScan):
            self._add_source(node, level)
        if level.filters:
            title = f"Filter {self.writer.all_of(level.filters)}"
            node.filtered = True
            node = Node(title, level.rows, key, [node], filter=True)
        return node

    def _built(self, level: Level, access: HashLookup, block: int) -> Node:
        title = self.accesses.title(level.relation, access.access)
        node = Node(title, None, (block, "built", level.relation.source))
        if isinstance(access.access, RowsScan):
            self._add_source(node, level)
        if access.local:
            node.filtered = True
            title = f"Filter {self.writer.all_of(access.local)}"
            node = Node(title, None, node.key, [node], filter=True)
        return node

    def _add_source(self, node: Node, level: Level) -> None:
        """What feeds a subquery in FROM; a CTE used again is drawn once."""
        relation = level.relation
        if not isinstance(relation, DerivedRelation):
            return
        if relation.shared is not None:
            if relation.shared in self._shared:
                node.title += ", kept from above"
                return
            self._shared.add(relation.shared)
        node.children.append(self._block(relation.block))


def _plural(count: int, word: str) -> str:
    return word if count == 1 else word + "s"
