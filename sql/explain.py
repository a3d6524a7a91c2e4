"""EXPLAIN: plans drawn as trees, with ranges, estimates and, after a run, what really happened.

Sort by total DESC
└─ Join
   ├─ Search customer by index customer_country (country = 'Brazil')   ~5 rows
   └─ Search invoice by index invoice_customer (customerid = customer.customerid)   ~7 rows
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sql.expressions import (
    ROWID,
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
from sql.plan import (
    Block,
    Compound,
    DerivedRelation,
    OuterJoin,
    Recursive,
    RowRelation,
    Select,
    SortKey,
    TableRelation,
    Values,
    WorkRelation,
)
from sql.plan.operators import (
    Access,
    Equality,
    HashLookup,
    KeyRange,
    Level,
    RowidLookup,
    RowidRange,
    RowidUnion,
    RowsScan,
    SelectPlan,
    TableScan,
)
from sql.plan.walk import block_expressions, walk_flat

if TYPE_CHECKING:
    from sql.compile import CompiledQuery
    from sql.context import Context
    from sql.run.analysis import Analysis


@dataclass(slots=True)
class Node:
    """An operator: its line, what it works on, estimated rows, and the level it is (for ANALYZE)."""

    text: str
    children: list[Node] = field(default_factory=list)
    rows: float | None = None
    level: Level | None = None


def explain(
    compiled: CompiledQuery, mode: str, ctx: Context
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of the plan.  `mode`: tree, analyze (runs the query), query plan, code."""
    if mode == "code":
        return ["code"], [(line,) for line in compiled.source.splitlines()]
    node = _Tree(compiled).node(compiled.block)
    if mode == "query plan":
        return ["id", "parent", "notused", "detail"], list(_query_plan(node))
    if mode == "analyze":
        return ["plan"], [(line,) for line in _analyzed(compiled, node, ctx)]
    return ["plan"], [(line,) for line in _drawn(node, None)]


def _drawn(node: Node, analysis: Analysis | None, pages: dict[int, int] | None = None) -> list[str]:
    lines: list[str] = []

    def draw(item: Node, lead: str, below: str) -> None:
        note = ""
        if item.rows is not None:
            note = f"   ~{_count(item.rows)}"
        if analysis is not None and item.level is not None:
            number = analysis.numbers.get(id(item.level))
            if number is None:
                note += "; never run"
            else:
                note += (
                    f"; {_count(analysis.rows[number])}, {analysis.seconds[number] * 1e3:.2f} ms"
                )
                if pages is not None and id(item.level) in pages:
                    count = pages[id(item.level)]
                    note += f", {count:,} page{'' if count == 1 else 's'}"
        lines.append(f"{lead}{item.text}{note}")
        for place, child in enumerate(item.children):
            last = place == len(item.children) - 1
            draw(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))

    draw(node, "", "")
    return lines


def _count(rows: float) -> str:
    whole = max(round(rows), 1) if rows > 0 else 0
    return f"{whole:,} row{'' if whole == 1 else 's'}"


def _analyzed(compiled: CompiledQuery, node: Node, ctx: Context) -> list[str]:
    from sql.compile.query import compile_block
    from sql.run.analysis import Analysis

    analysis = Analysis()
    planner = compiled.planner
    again = compile_block(
        compiled.block, compiled.columns, planner.env, planner=planner, analysis=analysis
    )
    trees = _trees_of(node)
    before = {tree_id: _pages(ctx, tree_id) for ids in trees.values() for tree_id in ids}
    started_pages = ctx.transaction.pages_read
    started = time.perf_counter()
    rows = sum(len(batch) for batch in again.run(ctx))
    seconds = time.perf_counter() - started
    pages = {
        key: sum(_pages(ctx, tree_id) - before[tree_id] for tree_id in ids)
        for key, ids in trees.items()
    }
    lines = _drawn(node, analysis, pages)
    total = ctx.transaction.pages_read - started_pages
    lines.append(
        f"{_count(rows)} in {seconds * 1e3:.2f} ms, {total:,} page{'' if total == 1 else 's'} read"
    )
    return lines


def _pages(ctx: Context, tree_id: int) -> int:
    return int(getattr(ctx.transaction.tree(tree_id), "pages_read", 0))


def _trees_of(node: Node) -> dict[int, set[int]]:
    """The trees that each level reads, by the level's id."""
    found: dict[int, set[int]] = {}
    pending = [node]
    while pending:
        item = pending.pop()
        pending += item.children
        if item.level is None:
            continue
        ids: set[int] = set()
        relation, access = item.level.relation, item.level.access
        if isinstance(access, HashLookup):
            access = access.access
        if isinstance(relation, TableRelation):
            covering = isinstance(access, KeyRange) and access.covering
            if not covering:
                ids.add(relation.table.tree_id)
            if isinstance(access, KeyRange):
                ids.add(access.path.tree_id)
            if isinstance(access, RowidUnion):
                ids |= {part.path.tree_id for part in access.parts if isinstance(part, KeyRange)}
        found[id(item.level)] = ids
    return found


def _query_plan(node: Node) -> Iterator[tuple[Any, ...]]:
    """Rows like SQLite's EXPLAIN QUERY PLAN."""
    number = 0

    def walk(item: Node, parent: int) -> Iterator[tuple[Any, ...]]:
        nonlocal number
        number += 1
        own = number
        yield (own, parent, 0, _sqlite_words(item))
        for child in item.children:
            yield from walk(child, own)

    yield from walk(node, 0)


def _sqlite_words(node: Node) -> str:
    text = node.text
    for ours, theirs in (("Search ", "SEARCH "), ("Scan ", "SCAN "), (" by index ", " USING INDEX "),
                         (" by covering index ", " USING COVERING INDEX "),
                         (" by rowid ", " USING INTEGER PRIMARY KEY "),
                         (" by primary key ", " USING PRIMARY KEY ")):  # fmt: skip
        text = text.replace(ours, theirs)
    if text.startswith(("Sort", "Top")):
        return f"USE TEMP B-TREE FOR ORDER BY ({text})"
    return text


class _Tree:
    """Builds the nodes of one query's plan."""

    def __init__(self, compiled: CompiledQuery) -> None:
        self.planner = compiled.planner

    def node(self, block: Block) -> Node:
        match block:
            case Select():
                plan = self.planner.plan(block)
                assert isinstance(plan, SelectPlan)
                return self._select(plan)
            case Values():
                node = Node(f"Values ({_count(len(block.rows))})")
            case Compound():
                node = Node(block.operator.title(), [self.node(block.left), self.node(block.right)])
            case OuterJoin():
                on = " AND ".join(expression_text(item) for item in block.on)
                kind = "Full join" if block.full else "Right join"
                node = Node(
                    f"{kind} on {on}" if on else kind,
                    [self.node(block.left), self.node(block.right)],
                )
            case Recursive():
                node = Node(
                    "Recursive" + (" union" if block.distinct else " union all"),
                    [self.node(block.initial), *[self.node(step) for step in block.steps]],
                )
        return self._ordered(node, block.order, block)

    def _ordered(self, node: Node, order: tuple[SortKey, ...], block: Block) -> Node:
        if order:
            keys = ", ".join(map(key_text, order))
            top = block.limit is not None
            node = Node(f"Top rows by {keys}" if top else f"Sort by {keys}", [node])
        if block.limit is not None:
            text = f"Limit {expression_text(block.limit)}"
            if block.offset is not None:
                text += f" offset {expression_text(block.offset)}"
            node = Node(text, [node])
        return node

    def _select(self, plan: SelectPlan) -> Node:
        block = plan.block
        node = self._joined(plan)
        if block.keys is not None:
            node = Node(
                self._group_text(plan), [node] if plan.levels or plan.constant else [], None
            )
        if block.having:
            node = Node(f"Filter {_all(block.having)}", [node])
        if block.windows:
            names = ", ".join(f"{call.name}()" for call in block.windows)
            node = Node(f"Window {names}", [node])
        for inner in self._subqueries(block):
            node.children.append(inner)
        if block.distinct:
            node = Node("Distinct", [node])
        return self._ordered(node, () if plan.ordered else block.order, block)

    def _group_text(self, plan: SelectPlan) -> str:
        block = plan.block
        assert block.keys is not None
        aggregates = ", ".join(aggregate_text(call) for call in block.aggregates)
        if plan.count_tree is not None:
            return "Count of the tree's entries"
        if plan.first_row:
            return f"First row gives {aggregates}"
        if not block.keys:
            return f"Aggregate {aggregates}"
        keys = ", ".join(expression_text(key.expression) for key in block.keys)
        return f"Group by {keys}" + (f": {aggregates}" if aggregates else "")

    def _joined(self, plan: SelectPlan) -> Node:
        nodes = [self._level(level) for level in plan.levels]
        if not nodes:
            return Node("One row")
        node = nodes[0] if len(nodes) == 1 else Node("Join", nodes)
        if plan.constant:
            node = Node(f"If {_all(plan.constant)}", [node])
        return node

    def _level(self, level: Level) -> Node:
        text = ("Left: " if level.left else "") + self._access(level, level.access)
        conditions = [*level.on, *level.filters]
        if conditions:
            text += f", filter {_all(tuple(conditions))}"
        children = []
        if isinstance(level.relation, DerivedRelation):
            children.append(self.node(level.relation.block))
        return Node(text, children, level.rows, level)

    def _name(self, level: Level) -> str:
        relation = level.relation
        if isinstance(relation, TableRelation):
            name = relation.table.name
            return name if relation.alias.lower() == name.lower() else f"{name} AS {relation.alias}"
        if isinstance(relation, WorkRelation):
            return f"{relation.alias} (rows of the latest round)"
        return relation.alias or "subquery"

    def _access(self, level: Level, access: Access) -> str:
        name = self._name(level)
        match access:
            case TableScan():
                return f"Scan {name}" + (" backwards" if access.reverse else "")
            case RowsScan():
                relation = level.relation
                if isinstance(relation, RowRelation):
                    bounds = self._provider_range(level)
                    if bounds:
                        return f"Search {name} by key ({bounds})"
                return f"Scan {name}"
            case RowidLookup():
                return f"Search {name} by rowid ({self._equality('rowid', access.equality)})"
            case RowidRange():
                return f"Search {name} by rowid ({_range('rowid', access.low, access.high)})" + (
                    " backwards" if access.reverse else ""
                )
            case KeyRange():
                return self._key_range(level, access, name)
            case RowidUnion():
                parts = " OR ".join(self._part(level, part) for part in access.parts)
                return f"Search {name} by several ranges ({parts})"
            case HashLookup():
                inner = self._access(level, access.access)
                if access.local:
                    inner += f", filter {_all(access.local)}"
                if not access.keys:
                    return f"{inner}, kept in memory"
                pairs = ", ".join(
                    f"{expression_text(key)} = {expression_text(probe)}"
                    for key, probe in zip(access.keys, access.probes, strict=True)
                )
                return f"{inner}, hashed ({pairs})"

    def _provider_range(self, level: Level) -> str:
        from sql.compile.levels import first_column_condition, provider_ranges

        relation = level.relation
        assert isinstance(relation, RowRelation)
        if not provider_ranges(relation):
            return ""
        found = [
            expression_text(condition)
            for condition in level.filters
            if first_column_condition(condition, relation.source) is not None
        ]
        return " AND ".join(found)

    def _key_range(self, level: Level, access: KeyRange, name: str) -> str:
        bounds = self._part(level, access)
        backwards = " backwards" if access.reverse else ""
        path = access.path
        if path.clustered:
            how = "by primary key"
        else:
            how = f"by covering index {path.name}" if access.covering else f"by index {path.name}"
        if not bounds:
            return f"Scan {name} {how}{backwards}"
        return f"Search {name} {how} ({bounds}){backwards}"

    def _part(self, level: Level, part: RowidLookup | RowidRange | KeyRange) -> str:
        if isinstance(part, RowidLookup):
            return self._equality("rowid", part.equality)
        if isinstance(part, RowidRange):
            return _range("rowid", part.low, part.high)
        names = [self._part_name(level, part, place) for place in range(len(part.path.parts))]
        texts = [
            self._equality(names[place], equality) for place, equality in enumerate(part.equal)
        ]
        place = len(part.equal)
        if part.low is not None or part.high is not None:
            texts.append(_range(names[place], part.low, part.high))
        if part.prefix is not None:
            texts.append(f"{names[place]} starts with {expression_text(part.prefix)}")
        return " AND ".join(texts)

    def _part_name(self, level: Level, access: KeyRange, place: int) -> str:
        key = access.path.parts[place]
        if key.expression is not None:
            return expression_text(key.expression)
        relation = level.relation
        assert isinstance(relation, TableRelation) and key.column is not None
        return "rowid" if key.column == ROWID else relation.table.columns[key.column].name

    def _equality(self, name: str, equality: Equality) -> str:
        value = equality.value
        if isinstance(value, InList):
            return f"{name} IN ({', '.join(map(expression_text, value.items))})"
        if isinstance(value, InSubquery):
            return f"{name} IN (subquery)"
        word = "IS" if equality.null_safe else "="
        return f"{name} {word} {expression_text(value)}"

    def _subqueries(self, block: Select) -> list[Node]:
        found: list[Node] = []
        seen: set[int] = set()
        for expression in block_expressions(block):
            for node in walk_flat(expression):
                if (
                    isinstance(node, (Exists, InSubquery, ScalarSubquery))
                    and id(node.plan) not in seen
                ):
                    seen.add(id(node.plan))
                    found.append(Node("Subquery", [self.node(node.plan)]))
        return found


def _range(name: str, low: Any, high: Any) -> str:
    parts = []
    if low is not None:
        parts.append(f"{name} {'>=' if low.inclusive else '>'} {expression_text(low.expression)}")
    if high is not None:
        parts.append(f"{name} {'<=' if high.inclusive else '<'} {expression_text(high.expression)}")
    return " AND ".join(parts)


def _all(conditions: tuple[Expression, ...]) -> str:
    return " AND ".join(map(expression_text, conditions))


def key_text(key: SortKey) -> str:
    """A sort key as SQL."""
    text = expression_text(key.expression)
    if key.collation.upper() != "BINARY":
        text += f" COLLATE {key.collation}"
    if key.descending:
        text += " DESC"
    if key.nulls_first == key.descending:
        text += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return text


def aggregate_text(call: Any) -> str:
    """An aggregate call as SQL."""
    arguments = ", ".join(map(expression_text, call.arguments)) or "*"
    return f"{call.name}({'DISTINCT ' if call.distinct else ''}{arguments})"


def expression_text(e: Expression) -> str:
    """A bound expression as readable SQL."""
    match e:
        case Literal():
            return _literal_text(e.value)
        case Parameter():
            return f"?{e.index + 1}"
        case ColumnRef():
            return f"{e.table}.{e.name}" if e.table else e.name
        case SlotRef():
            return f"#{e.slot + 1}"
        case Unary():
            return f"{e.op}{expression_text(e.operand)}"
        case Arithmetic():
            return f"({expression_text(e.left)} {e.op} {expression_text(e.right)})"
        case Compare():
            return f"{expression_text(e.left)} {e.op} {expression_text(e.right)}"
        case And():
            return f"({' AND '.join(map(expression_text, e.items))})"
        case Or():
            return f"({' OR '.join(map(expression_text, e.items))})"
        case Not():
            return f"NOT {expression_text(e.operand)}"
        case Truth():
            word = "TRUE" if e.value else "FALSE"
            return f"{expression_text(e.operand)} IS {'NOT ' if e.negated else ''}{word}"
        case InList():
            items = ", ".join(map(expression_text, e.items))
            return f"{expression_text(e.operand)} {'NOT ' if e.negated else ''}IN ({items})"
        case InSubquery():
            operands = ", ".join(map(expression_text, e.operands))
            return f"{operands} {'NOT ' if e.negated else ''}IN (subquery)"
        case Exists():
            return f"{'NOT ' if e.negated else ''}EXISTS (subquery)"
        case ScalarSubquery():
            return "(subquery)"
        case Case():
            parts = [
                f"WHEN {expression_text(when)} THEN {expression_text(then)}"
                for when, then in e.whens
            ]
            if e.otherwise is not None:
                parts.append(f"ELSE {expression_text(e.otherwise)}")
            return f"CASE {' '.join(parts)} END"
        case Cast():
            return f"CAST({expression_text(e.operand)} AS {e.type_name})"
        case Match():
            word = f"{'NOT ' if e.negated else ''}{e.op}"
            return f"{expression_text(e.operand)} {word} {expression_text(e.pattern)}"
        case Call():
            return f"{e.name}({', '.join(map(expression_text, e.arguments))})"
        case Collate():
            return f"{expression_text(e.operand)} COLLATE {e.collation}"
        case Raise():
            return f"RAISE({e.action})"


def _literal_text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return str(value)
