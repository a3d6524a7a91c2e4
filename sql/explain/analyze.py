"""EXPLAIN ANALYZE: the query compiled once more with counters in it, run, and drawn with what they say."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sql.compile.blocks import BlockCompiler
from sql.compile.module import Lines, Module
from sql.compile.projection import top_or_all, top_sieved
from sql.explain.nodes import Node, drawn, estimate_text, rows_text, walk
from sql.explain.tree import PlanTree
from sql.plan import Block, Compound, OuterJoin, Recursive, TableRelation, Values
from sql.plan.operators import HashLookup, KeyRange, Level, RowidUnion, SelectPlan
from sql.run import recursion, sorting, stages, windows
from sql.run.analysis import Analysis, Counter, one_row, rows_of_batch

if TYPE_CHECKING:
    from btree import Transaction
    from sql.compile import CompiledQuery
    from sql.context import Context

_STAGES: dict[Callable[..., Any], str] = {
    sorting.sorted_batches: "sort",
    top_or_all: "sort",
    top_sieved: "sort",
    stages.limited: "limit",
    stages.distinct_rows: "distinct",
    stages.distinct_values: "distinct",
    stages.distinct_keys: "distinct",
    recursion.recursive: "rows",
}


def analyzed(compiled: CompiledQuery, ctx: Context) -> list[str]:
    """Run the query, its rows thrown away; the lines of the drawing, the whole run's figures last."""
    planner, transaction = compiled.planner, ctx.transaction
    analysis = Analysis()
    compiler = CountingCompiler(compiled, analysis)
    query, _ = compiler.block(compiled.block)
    run = compiler.module.compile(compiler.module.source(f"{query}()"))
    root = PlanTree(planner, compiled.block).node()
    trees = _trees_of(root)
    before = {tree: _pages(transaction, tree) for tree in set().union(*trees.values())}
    analysis.transaction = transaction
    count, pages, began = 0, transaction.pages_read, perf_counter()
    for batch in run(ctx):
        count += len(batch)
    seconds = perf_counter() - began
    pages = transaction.pages_read - pages
    read = {tree: _pages(transaction, tree) - started for tree, started in before.items()}
    _add_lookups(trees, read, analysis)
    lines = [line + _figures(node, analysis) for line, node in drawn(root)]
    lines.append(f"{rows_text(count)} in {seconds * 1e3:.2f} ms, {_pages_text(pages)} read")
    return lines


def _figures(node: Node, analysis: Analysis) -> str:
    """`   ~10 rows; 12 rows, 0.31 ms, 4 pages`."""
    estimate = estimate_text(node)
    if node.key is None:
        return estimate
    counter = analysis.counters.get(node.key)
    if counter is None or not counter.loops:
        return f"{estimate}; never run" if estimate else "   never run"
    if node.filter:
        return f"{estimate}; {rows_text(counter.passed)}"
    rows = counter.rows
    if counter.passed and not node.filtered:
        rows = counter.passed  # what the lookup found, rather than what it tried
    parts = [rows_text(rows)]
    if counter.loops > 1:
        parts.append(f"{counter.loops:,} loops")
    parts.append(f"{counter.seconds * 1e3:.2f} ms")
    if counter.pages:
        parts.append(_pages_text(counter.pages))
    return f"{estimate or '  '}{'; ' if estimate else ' '}{', '.join(parts)}"


def _pages_text(pages: int) -> str:
    return f"{pages:,} page{'' if pages == 1 else 's'}"


def _pages(transaction: Transaction, tree_id: int) -> int:
    """Pages read of one tree; 0 where the store does not tell."""
    return int(getattr(transaction.tree(tree_id), "pages_read", 0))


def _trees_of(root: Node) -> dict[Hashable, set[int]]:
    """The trees that each level reads, by its key."""
    found: dict[Hashable, set[int]] = {}
    for node in walk(root):
        level = node.level
        if level is None or not isinstance(level.relation, TableRelation):
            continue
        found[node.key] = _trees_of_level(level, level.relation)
    return found


def _trees_of_level(level: Level, relation: TableRelation) -> set[int]:
    access = level.access
    if isinstance(access, HashLookup):
        return set()
    if isinstance(access, KeyRange):
        own = {access.path.tree_id}
        return own if access.covering else own | {relation.table.tree_id}
    parts = access.parts if isinstance(access, RowidUnion) else ()
    return {
        relation.table.tree_id,
        *[part.path.tree_id for part in parts if isinstance(part, KeyRange)],
    }


def _add_lookups(trees: dict[Hashable, set[int]], read: dict[int, int], analysis: Analysis) -> None:
    """Pages of lookups, which are read before their rows are iterated.

    They are what the tree's other levels have not read; lookups of one tree share them by starts."""
    left = dict(read)
    lookups: list[tuple[Counter, set[int]]] = []
    for key, ids in trees.items():
        counter = analysis.counters.get(key)
        if counter is None:
            continue
        if not counter.pages:
            lookups.append((counter, ids))
        elif ids:
            first = min(ids)
            left[first] -= counter.pages
    for counter, ids in lookups:
        for tree in ids:
            starts = sum(other.loops for other, those in lookups if tree in those)
            if starts:
                counter.pages += max(0, left[tree]) * counter.loops // starts


class CountingCompiler(BlockCompiler):
    """Compiles a query so that each access and each stage is counted."""

    def __init__(self, compiled: CompiledQuery, analysis: Analysis) -> None:
        env = compiled.planner.env
        super().__init__(Module(), compiled.planner, env.functions, env.parameter_kinds)
        self.analysis: Analysis = analysis
        self.root = compiled.block
        self._blocks: list[int] = []

    def block(self, block: Block) -> tuple[str, list[str]]:
        self._blocks.append(id(block))
        self.analysis.block = id(block)
        try:
            return super().block(block)
        finally:
            self._blocks.pop()
            self.analysis.block = self._blocks[-1] if self._blocks else 0

    def _watched(self, stage: str, rows_in: Callable[[Any], int], source: str) -> str:
        """The source with its items counted."""
        watch = self.analysis.watch((self._blocks[-1], stage), rows_in)
        return f"{self.module.constants.name(watch, 'watch')}(lambda: {source})"

    def call(self, function: Callable[..., Any], *arguments: str) -> str:
        source = super().call(function, *arguments)
        stage = _STAGES.get(function)
        if stage is not None:
            return self._watched(stage, rows_of_batch, source)
        if function is windows.window_rows:
            return self._watched("window", one_row, source)
        return source

    def _groups(self, plan: SelectPlan, free: list[str], having: str = "") -> str:
        name = super()._groups(plan, free, having)
        body = Lines()
        call = f"{name}({', '.join(free)})"
        counted = rows_of_batch if plan.grouped else one_row
        body.add(f"return {self._watched('group', counted, call)}")
        return self.define(free, body)

    def with_order(
        self, call: str, block: Values | Compound | OuterJoin | Recursive, free: list[str]
    ) -> str:
        return super().with_order(self._watched("rows", rows_of_batch, call), block, free)

    def _join(self, plan: SelectPlan, body: Lines) -> Any:
        for place, level in enumerate(plan.levels):
            self.analysis.keys[id(level)] = (self._blocks[-1], "level", place)
        return super()._join(plan, body)
