"""From a parsed query to something that runs: bind, plan, compile.

A `CompiledQuery` may be run any number of times, in any transaction in which `is_still_valid` holds:
the schema is the caller's affair, the kinds of value that trees have held are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder, bind_query
from sql.bind.scope import Scope, table_item
from sql.compile.accesses import Binding
from sql.compile.blocks import BlockCompiler
from sql.compile.module import Lines, Module, code_of
from sql.expressions import ColumnRef, Exists, Expression, InSubquery, ScalarSubquery
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
    from sql.schema import Table

Row = tuple[Any, ...]
Run = Callable[["Context"], Iterable[list[Row]]]

_NAMES = re.compile(r"\b[A-Za-z_]\w*").findall

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


RowFunction = Callable[["Context", Row, Any], Row]


def compile_row_function(
    expressions: Sequence[exp.Expression], table: Table, env: BindEnvironment
) -> RowFunction:
    """A function (ctx, row, key) -> values of expressions over one row of `table`."""
    return compile_bound_row(*bind_to_row(expressions, table, env), env)


def bind_to_row(
    expressions: Sequence[exp.Expression],
    table: Table,
    env: BindEnvironment,
    masks: tuple[int, ...] | None = None,
) -> tuple[Sequence[Expression], int]:
    """Expressions over a row of `table`, and the row's source number.  `masks`: the kinds of value that its columns hold,
    where they are known."""
    binder = Binder(env)
    scope = Scope()
    source = binder.next_source()
    if masks is None:
        masks = tuple(31 for _ in table.columns)
    scope.items.append(table_item(table, source, table.name, masks))
    return ExpressionBinder(binder, scope).bind_all(list(expressions)), source


def compile_bound_row(
    bound: Sequence[Expression], source: int, env: BindEnvironment
) -> RowFunction:
    """The same of bound expressions whose row is relation `source`."""
    module = Module()
    row, key, values = _row_values(module, bound, source, env)
    function: RowFunction = function_of(module, f"row(ctx, {row}, {key})", [f"return {values}"])
    return function


def compile_rows_function(
    parts: Sequence[exp.Expression],
    condition: exp.Expression | None,
    table: Table,
    env: BindEnvironment,
    made: Callable[[Sequence[str], str, str, Callable[[Any], str]], str],
    masks: tuple[int, ...] | None = None,
) -> tuple[Callable[[Context, Iterable[Row], Iterable[Any]], list[Any]], frozenset[int]]:
    """A function (ctx, rows, keys) -> what `made` says of each row of `table`, None where the condition doesn't hold; and
    the places of the columns that are read for it, apart from what `made` reads itself.

    `made(values, row, key, name)` gives a source; `values` are those of the parts, `name` is what an object is called.
    `masks`: the kinds of value that the rows' columns hold, where they are known."""
    module = Module()
    some = list(parts) if condition is None else [*parts, condition]
    bound, source = bind_to_row(some, table, env, masks)
    compiler = BlockCompiler(module, Planner(env), env.functions, env.parameter_kinds)
    row, key = f"r{source}", f"k{source}"
    compiler.bindings[source] = Binding(row, key)
    values = [compiler.scalar.value(part) for part in bound[: len(parts)]]
    result = made(values, row, key, module.constants.name)
    if condition is not None:
        result = f"{result} if {compiler.scalar.true(bound[-1])} else None"
    compiler.release()
    end = [f"return [{result} for {row}, {key} in zip(rows, keys)]"]
    read = {
        node.column for part in bound for node in walk_flat(part) if isinstance(node, ColumnRef)
    }
    return function_of(module, "entries(ctx, rows, keys)", end), frozenset(read)


def _row_values(
    module: Module, bound: Sequence[Expression], source: int, env: BindEnvironment
) -> tuple[str, str, str]:
    """The variables of a row and its key, and the source of a tuple of expressions' values."""
    compiler = BlockCompiler(module, Planner(env), env.functions, env.parameter_kinds)
    row, key = f"r{source}", f"k{source}"
    compiler.bindings[source] = Binding(row, key)
    values = [compiler.scalar.value(expression) for expression in bound]
    compiler.release()
    return row, key, f"({''.join(f'{value}, ' for value in values)})"


def function_of(
    module: Module, signature: str, end: Sequence[str], begin: Sequence[str] = ()
) -> Any:
    """A function of its own rather than `run`; what `run` sets up is set up only where it is used, behind the lines of
    `begin`."""
    name = signature.split("(", 1)[0]
    lines = Lines()
    lines.add(f"def {signature}:")
    lines.depth = 1
    body = Lines()
    for function in module.functions:
        body.extend(function)
    text = "\n".join([*body.lines, *module.setup.values(), *end])
    for variable, source in (
        ("p", "ctx.parameters"),
        ("check", "ctx.check"),
        ("txn", "ctx.transaction"),
    ):
        if f"{variable}," in signature:
            continue
        if (
            f"{variable}[" in text
            or f"{variable}." in text
            or f"{variable})" in text
            or (f"{variable}," in text)
        ):
            lines.add(f"{variable} = {source}")
    for line in begin:
        lines.add(line)
    for variable, source in module.setup.items():
        lines.add(f"{variable} = {source}")
    lines.extend(body)
    for line in end:
        lines.add(line)
    namespace = dict(module.constants.namespace)
    exec(code_of("\n".join(lines.lines)), namespace)
    return namespace[name]


def compile_values(
    rows: Sequence[Sequence[exp.Expression]], env: BindEnvironment
) -> Callable[[Context], list[Row]]:
    """A function ctx -> rows of VALUES; only `env.extra_scopes` are in scope."""
    module, made = _rows_of_values(rows, env)
    function: Callable[[Context], list[Row]] = function_of(
        module, "values(ctx)", [f"return [{', '.join(made)}]"]
    )
    return function


def compile_values_of_sets(
    rows: Sequence[Sequence[exp.Expression]], env: BindEnvironment
) -> Callable[[Context, Iterable[Row]], list[Row]]:
    """The same of many executions: (ctx, sets of parameters) -> the rows of all.

    What depends on no parameter and has its value before a run begins, such as CURRENT_TIMESTAMP, is computed once."""
    function = _compile_loop(rows, env, "p", {})
    assert function is not None
    return function


def compile_values_of_rows(
    rows: Sequence[Sequence[exp.Expression]], env: BindEnvironment, changed: dict[int, int]
) -> Callable[[Context, Iterable[Any]], list[Row]] | None:
    """The same of a program that runs for many rows: (ctx, changes of rows) -> the rows of all; None if there is more to them
    than expressions.  A change is a tuple of rows with their keys before them; `changed` has the places there of the rows
    that are in scope, by the numbers of their sources."""
    names = {source: (f"row{at}_", f"key{at}_") for source, at in changed.items()}
    target = ["_", "_"]
    for source, at in changed.items():
        row, key = names[source]
        target[at] = f"({key}, {row})"
    return _compile_loop(rows, env, ", ".join(target), names)


def _compile_loop(
    rows: Sequence[Sequence[exp.Expression]],
    env: BindEnvironment,
    target: str,
    names: dict[int, tuple[str, str]],
) -> Callable[[Context, Iterable[Any]], list[Row]] | None:
    """A function (ctx, sets) -> `rows` with each of the sets in the variables of `target`; `names` are those of rows in scope
    and of their keys."""
    module, made = _rows_of_values(rows, env, names)
    if names and module.functions:
        return None
    of_set: dict[str, str] = {}
    variables = {"p"} if not names else {name for pair in names.values() for name in pair}
    for name, source in list(module.setup.items()):
        if not {*variables, *of_set}.isdisjoint(_NAMES(source)):
            of_set[name] = module.setup.pop(name)
    lines = [f"    {name} = {source}" for name, source in of_set.items()]
    lines += [f"    put({row})" for row in made]
    lines = ["rows = []", "put = rows.append", f"for {target} in sets:", *lines, "return rows"]
    function: Callable[[Context, Iterable[Any]], list[Row]] = function_of(
        module, "values_of_sets(ctx, sets)", lines
    )
    return function


def _rows_of_values(
    rows: Sequence[Sequence[exp.Expression]],
    env: BindEnvironment,
    names: dict[int, tuple[str, str]] | None = None,
) -> tuple[Module, list[str]]:
    """The module of some rows, and the source of each; `names` are variables of rows in scope and their keys."""
    binder = Binder(env)
    scope = Scope()
    module = Module()
    compiler = BlockCompiler(module, Planner(env), env.functions, env.parameter_kinds)
    for source, (variable, key) in (names or {}).items():
        compiler.bindings[source] = Binding(variable, key)
    made = []
    for row in rows:
        bound = ExpressionBinder(binder, scope).bind_all(list(row))
        values = [compiler.scalar.value(expression) for expression in bound]
        made.append(f"({''.join(f'{value}, ' for value in values)})")
    compiler.release()
    return module, made
