"""From a parsed query to something that runs: bind, plan, compile.

A `CompiledQuery` may be run any number of times, in any transaction in which `is_still_valid` holds:
the schema is the caller's affair, the kinds of value that trees have held are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sql.bind.queries import bind_query
from sql.expressions import ColumnRef, Exists, InSubquery, ScalarSubquery
from sql.optimise.assumed import Assumed, still_fit, were_enough
from sql.optimise.planner import Planner
from sql.plan import Block, ResultColumn, Select, TableRelation
from sql.plan.operators import Access, SelectPlan
from sql.plan.walk import block_expressions, forget_blocks, subblocks, walk_flat

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context

Row = tuple[Any, ...]
Run = Callable[["Context"], Iterable[list[Row]]]

GROWTH = 16
SMALL_ROWS = 256
"""A plan is made anew when a table has 16 times the rows it had, or so many fewer, and that is not few."""
SHORT_ROWS, SHORT_NS = 256.0, 1_000_000.0
"""A query of which no more rows are expected, at no higher cost, gives all of them at once."""
DEAR_NS = 300_000.0
"""To ask whether a plan fits takes 10 us: of one that costs so much, before each run, of others once one was long."""
SHORT_BATCHES = 3
"""Batches of it that are waited for; where there are more, it was no short one."""


class CompiledQuery:
    """A query ready to run.  `source` is the generated Python, `block` and `planner` what EXPLAIN draws.

    `plan_select` leaves `run` and `source` to be made by `generate`, which needs the planner's transaction: two
    thirds of the work, for nothing where the query turns out to be a short one (`sql.short`), or where it finds
    the rows of a statement that knows them by their key (`sql.dml.keyed`)."""

    __slots__ = (
        "_kinds",
        "assumed",
        "block",
        "columns",
        "is_dear",
        "planner",
        "run",
        "source",
    )

    run: Run
    source: str

    long_s = 0.002
    """A run for so long, up to the first rows, is reason to ask whether the plan was made for as many."""

    def __init__(
        self,
        columns: tuple[ResultColumn, ...],
        block: Block,
        planner: Planner,
    ) -> None:
        self.columns = _with_kinds(columns, block)
        self.block = block
        self.planner = planner
        self.assumed: tuple[Assumed, ...] = ()
        self.is_dear = False  # whether it is worth it to ask before each run what it assumes
        transaction = planner.env.transaction
        trees = [(tree_id, transaction.tree(tree_id)) for tree_id in sorted(trees_of(block))]
        self._kinds = tuple([(tree_id, tree.kinds, len(tree)) for tree_id, tree in trees])

    @property
    def has_code(self) -> bool:
        """Whether `generate` has been called."""
        return hasattr(self, "source")

    def generate(self) -> None:
        """Make the code."""
        from sql.compile.blocks import BlockCompiler  # which a short query does without
        from sql.compile.module import Module

        planner, block = self.planner, self.block
        env = planner.env
        module = Module()
        compiler = BlockCompiler(module, planner, env.functions, env.parameter_kinds)
        compiler.root = block
        query, free = compiler.block(block)
        assert not free, "a whole query refers to no rows but its own"
        source = module.source(f"{query}()")
        run = module.compile(source)
        compiler.release()
        plan = planner.plan(block)
        if plan.rows <= SHORT_ROWS and plan.cost <= SHORT_NS:
            run = _at_once(run)
        self.run, self.source = run, source
        self.note_assumed()
        planner.statistics.forget_samples()
        forget_blocks()

    def access(self) -> Access | None:
        """How the query reads its table, if it is a SELECT of one table."""
        planner = self.planner
        plan = planner.plan(self.block)
        planner.statistics.forget_samples()
        forget_blocks()
        if not isinstance(plan, SelectPlan) or len(plan.levels) != 1:
            return None
        return plan.levels[0].access

    def note_assumed(self) -> None:
        """Keep what the plan assumes of its parameters, once there is one."""
        self.assumed = self.planner.assumed()
        self.is_dear = bool(self.assumed) and self.planner.plan(self.block).cost >= DEAR_NS

    def took_long(self, transaction: Transaction, values: Sequence[Any]) -> None:
        """Look whether a run took long because there are more rows than the plan was made for."""
        if not self.is_dear and not self.fits(transaction, values):
            self.is_dear = True

    def changed(self, rows: int) -> None:
        """The same of a change of so many rows, whose ranges are no longer what they were."""
        self.is_dear = self.is_dear or not were_enough(self.assumed, rows)

    def fits(self, transaction: Transaction, values: Sequence[Any]) -> bool:
        """Whether the plan was made for about as many rows as these parameters find."""
        return not self.assumed or still_fit(self.assumed, transaction, values)

    def is_still_valid(self, transaction: Transaction) -> bool:
        """Whether the trees hold no kinds of value that the code was not made for, and have about the
        size that the plan was made for."""
        for tree_id, kinds, size in self._kinds:
            tree = transaction.tree(tree_id)
            now = tree.kinds
            if now is not kinds and now != kinds:
                return False
            rows = tree.estimate()
            if rows > size * GROWTH + SMALL_ROWS or size > rows * GROWTH + SMALL_ROWS:
                return False
        return True


def plan_select(tree: exp.Expression, env: BindEnvironment) -> CompiledQuery:
    """Bind and plan a query; its code is still to be made."""
    block, columns, _ = bind_query(tree, env)
    return CompiledQuery(columns, block, Planner(env, block))


def prepare_select(tree: exp.Expression, env: BindEnvironment) -> CompiledQuery:
    """Bind, plan and compile a query."""
    query = plan_select(tree, env)
    query.generate()
    return query


def _with_kinds(columns: tuple[ResultColumn, ...], block: Block) -> tuple[ResultColumn, ...]:
    """The columns, those of a table with the kinds of value that it has held so far."""
    if not isinstance(block, Select):
        return columns
    return tuple(
        replace(column, kinds=output.kinds) if isinstance(output, ColumnRef) else column
        for column, output in zip(columns, block.outputs, strict=True)
    )


def _at_once(run: Run) -> Run:
    """`run` that gives a list of all batches where there are few, as a short query should have.

    A list leaves nothing open: the session keeps its reader and its context for the next query, which is half of
    what a query of a few rows takes.  Estimates may be wrong, so that no more than some batches are waited for."""

    def run_short(ctx: Context) -> Iterable[list[Row]]:
        batches = run(ctx)
        if batches.__class__ is list:
            return batches
        source = iter(batches)
        first = list(islice(source, SHORT_BATCHES))
        return first if len(first) < SHORT_BATCHES else _resumed(first, source)

    return run_short


def _resumed(first: list[list[Row]], rest: Iterator[list[Row]]) -> Iterator[list[Row]]:
    try:
        yield from first
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close is not None:
            close()


def trees_of(block: Block) -> set[int]:
    """The stored tables' trees that a query reads."""
    found: set[int] = set()
    seen: set[int] = set()
    pending = [block]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, Select):
            for item in current.items:
                if isinstance(item.relation, TableRelation):
                    found.add(item.relation.table.tree_id)
        pending += subblocks(current)
        for expression in block_expressions(current):
            for part in walk_flat(expression):
                if isinstance(part, (Exists, InSubquery, ScalarSubquery)):
                    pending.append(part.plan)
    return found
