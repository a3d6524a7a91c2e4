"""EXPLAIN QUERY PLAN: SQLite's rows (id, parent, notused, detail), https://www.sqlite.org/eqp.html.

The words are SQLite's, so that tools and people who know them can read our plans; the plans are ours.
A hash table is called an automatic index, which is what it replaces.
"""

from __future__ import annotations

from typing import Any, assert_never

from sql.explain.accesses import AccessWriter, parts_of
from sql.explain.expressions import ExpressionWriter
from sql.explain.tree import subqueries_of
from sql.expressions import InSubquery
from sql.optimise.planner import Planner
from sql.plan import (
    Block,
    Compound,
    DerivedRelation,
    OuterJoin,
    Recursive,
    Select,
    Values,
)
from sql.plan.operators import HashLookup, Level, RowidUnion, RowsScan, SelectPlan
from sql.plan.walk import free_references

Row = tuple[Any, ...]


def query_plan(planner: Planner, block: Block) -> list[Row]:
    """The rows for a whole query."""
    writer = _QueryPlan(planner)
    writer.block(block, 0)
    return writer.rows


class _QueryPlan:
    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.accesses = AccessWriter(ExpressionWriter())
        self.rows: list[Row] = []
        self._shared: set[int] = set()
        self._subqueries = 0

    def add(self, parent: int, detail: str) -> int:
        number = len(self.rows) + 1
        self.rows.append((number, parent, 0, detail))
        return number

    def block(self, block: Block, parent: int) -> None:
        match block:
            case Select():
                self._select(block, parent)
                return
            case Values():
                rows = len(block.rows)
                self.add(parent, f"SCAN {rows} CONSTANT ROW{'S' if rows > 1 else ''}")
            case Compound():
                self._compound(block, parent)
            case OuterJoin():
                number = self.add(parent, f"{'FULL' if block.full else 'RIGHT'}-JOIN")
                self.block(block.left, number)
                self.block(block.right, number)
            case Recursive():
                self.block(block.initial, self.add(parent, "SETUP"))
                for step in block.steps:
                    self.block(step, self.add(parent, "RECURSIVE STEP"))
            case _:
                assert_never(block)
        self._subqueries_of(block, parent)
        if block.order and not isinstance(block, Recursive):
            self.add(parent, "USE TEMP B-TREE FOR ORDER BY")

    def _compound(self, block: Compound, parent: int) -> None:
        arms: list[tuple[str, Block]] = []
        current: Block = block
        while isinstance(current, Compound) and (
            current is block or not (current.order or current.limit)
        ):
            arms.append((current.operator, current.right))
            current = current.left
        number = self.add(parent, "COMPOUND QUERY")
        self.block(current, self.add(number, "LEFT-MOST SUBQUERY"))
        for operator, arm in reversed(arms):
            suffix = "" if operator == "UNION ALL" else " USING TEMP B-TREE"
            self.block(arm, self.add(number, operator + suffix))

    def _select(self, original: Select, parent: int) -> None:
        plan = self.planner.plan(original)
        assert isinstance(plan, SelectPlan)
        block = plan.block
        if plan.count_tree is not None:
            self.add(parent, f"SCAN {block.items[0].relation.alias}")
        elif plan.ends:
            for end in plan.ends:
                name = block.items[0].relation.alias
                by = (
                    "INTEGER PRIMARY KEY" if end.path is None else f"COVERING INDEX {end.path.name}"
                )
                self.add(parent, f"SEARCH {name} USING {by}" if end.name else f"SCAN {name}")
        elif not plan.levels:
            self.add(parent, "SCAN CONSTANT ROW")
        for level in plan.levels:
            self._level(level, parent)
        if block.keys and not plan.grouped:
            self.add(parent, "USE TEMP B-TREE FOR GROUP BY")
        for call in block.aggregates:
            if call.distinct:
                self.add(parent, f"USE TEMP B-TREE FOR {call.name}(DISTINCT)")
        self._subqueries_of(block, parent)
        if any(call.partition or call.order for call in block.windows):
            self.add(parent, "USE TEMP B-TREE FOR WINDOW")
        if block.distinct:
            self.add(parent, "USE TEMP B-TREE FOR DISTINCT")
        if block.order and not plan.ordered:
            part = "RIGHT PART OF " if plan.presorted else ""
            self.add(parent, f"USE TEMP B-TREE FOR {part}ORDER BY")

    def _level(self, level: Level, parent: int) -> None:
        relation = level.relation
        inner = level.access.access if isinstance(level.access, HashLookup) else level.access
        if isinstance(inner, RowsScan) and isinstance(relation, DerivedRelation):
            self._derived(relation, parent, kept=isinstance(level.access, HashLookup))
        number = self.add(
            parent,
            self.accesses.detail(relation, level.access) + _kind(level),
        )
        if isinstance(level.access, RowidUnion):
            for place, part in enumerate(parts_of(level.access), 1):
                line = self.add(number, f"INDEX {place}")
                self.add(line, self.accesses.detail(relation, part))

    def _derived(self, relation: DerivedRelation, parent: int, *, kept: bool) -> None:
        if relation.shared is not None:
            if relation.shared in self._shared:
                return
            self._shared.add(relation.shared)
            kept = True
        name = relation.alias or "(subquery)"
        number = self.add(parent, f"{'MATERIALIZE' if kept else 'CO-ROUTINE'} {name}")
        self.block(relation.block, number)

    def _subqueries_of(self, block: Block, parent: int) -> None:
        for node in subqueries_of(block):
            self._subqueries += 1
            correlated = "CORRELATED " if free_references(node.plan) else ""
            kind = "LIST" if isinstance(node, InSubquery) else "SCALAR"
            line = self.add(parent, f"{correlated}{kind} SUBQUERY {self._subqueries}")
            self.block(node.plan, line)


def _kind(level: Level) -> str:
    if level.exists is not None:
        return " SEMI-JOIN" if level.exists else " ANTI-JOIN"
    return " LEFT-JOIN" if level.left else ""
