"""The scan of an UPDATE or DELETE of many rows as functions of a batch's columns.

    def find(n, b1_k, b1_3):       positions of the rows that WHERE means, in lists of n values
        return [i for i, c1_3 in enumerate(b1_3) if c1_3 < 500]
    def make(n, b1_2):             the new values, column by column, from those rows' values
        return ([c1_2 + 1.0 for c1_2 in b1_2],)

Which columns WHERE reads is one thing, and which SET reads another: of those only the values in rows that
are meant are ever picked out.  Made from the query that finds the rows otherwise (its plan, its bound
expressions), if that is a scan of one table without subqueries or a program's functions: those might ask
for the table while it is being changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from sql.compile.accesses import Binding
from sql.compile.blocks import BlockCompiler
from sql.compile.by_column import ROWS_MIN, loop_over
from sql.compile.module import Lines, Module
from sql.compile.text_filters import match_condition
from sql.expressions import ROWID, ColumnRef, Expression, Parameter
from sql.plan import Select, TableRelation
from sql.plan.operators import RowidRange, SelectPlan, TableScan
from sql.plan.walk import walk_block, walk_flat
from sql.run.columns import rowid_span
from sql.run.ranges import UNBOUND

if TYPE_CHECKING:
    from sql.compile.query import CompiledQuery
    from sql.context import Context

Lists = Sequence[Sequence[Any]]
Find = Callable[..., "Sequence[int]"]
Make = Callable[..., "tuple[Sequence[Any], ...]"]
Span = tuple[int | None, int | None]


class CompiledChange(Struct):
    """`prepare(ctx)` gives `find` and `make`, and from where to where rowids are meant (None of both for no
    bound; None if there can be no such rowid); `read` are the columns that the one takes the lists of, `used`
    those of the other, ROWID for the rowid.  `constants` are the numbers of the values that are the same
    in all rows."""

    prepare: Callable[[Context], tuple[Find, Make, Span | None]]
    read: tuple[int, ...]
    used: tuple[int, ...]
    constants: frozenset[int]
    source: str


def compile_change(
    query: CompiledQuery, outputs: Sequence[int], parameter_kinds: Sequence[int]
) -> CompiledChange | None:
    """The functions for a query's rows and for some of its outputs; None if it has to be run as it is.

    `parameter_kinds` are masks of `Kind` bits of the values that it will be run with."""
    block, planner = query.block, query.planner
    if not isinstance(block, Select) or block.order or block.limit is not None:
        return None
    plan = planner.plan(block)
    if not isinstance(plan, SelectPlan) or len(plan.levels) != 1 or block.windows:
        return None
    level = plan.levels[0]
    relation = level.relation
    access = level.access
    if not isinstance(relation, TableRelation) or not isinstance(access, TableScan | RowidRange):
        return None
    table = relation.table
    if access.reverse or planner.statistics.rows(table.tree_id) < ROWS_MIN:
        return None
    if any(map(_looks_elsewhere, walk_block(block))):
        return None
    module = Module()
    compiler = BlockCompiler(module, planner, planner.env.functions, parameter_kinds)
    number = relation.source
    key = f"k{number}"
    compiler.bindings[number] = Binding(f"r{number}", key, by_column=True, alias=table.rowid_alias)
    values = [block.outputs[output] for output in outputs]
    read = _columns(level.filters, table.rowid_alias)
    used = _columns(values, table.rowid_alias)

    def lists(columns: Sequence[int]) -> tuple[list[str], list[str]]:
        names = [key if column == ROWID else f"c{number}_{column}" for column in columns]
        return names, [f"b{name[1:]}" if name != key else f"b{number}_k" for name in names]

    names, parameters = lists(read)
    find = Lines()
    find.add(f"def find({', '.join(['n', *parameters])}):")
    find.depth = 1
    for condition in plan.constant:
        find.add(f"if not ({compiler.scalar.true(condition)}): return ()")
    filters, text = list(level.filters), None
    for condition in filters:
        text = match_condition(condition, number, compiler.scalar)
        if text is not None:
            filters.remove(condition)
            break
    conditions = "".join([f" if {compiler.scalar.true(part)}" for part in filters])
    if text is not None:
        find.add(f"found = {module.once(text.source)}(b{number}_{text.column})")
        left = _columns(filters, table.rowid_alias)
        names, others = lists(left)
        for rows in others:
            find.add(f"{rows} = [{rows}[i] for i in found]")
        if conditions:
            find.add(f"return [i {loop_over(['i', *names], ['found', *others])}{conditions}]")
        else:
            find.add("return found")
    elif not conditions:
        find.add("return range(n)")
    elif not read:
        find.add(f"return [i for i in range(n){conditions}]")
    else:
        if read == (ROWID,):
            rows = parameters[0]
            find.add(f"if {rows}[-1] - {rows}[0] == n - 1:")
            find.add(f"    first = {rows}[0]")
            find.add(f"    return [{key} - first {loop_over(names, parameters)}{conditions}]")
        find.add(f"return [i {loop_over(['i', *names], ['range(n)', *parameters])}{conditions}]")
    names, parameters = lists(used)
    make = Lines()
    make.add(f"def make({', '.join(['n', *parameters])}):")
    make.depth = 1
    made = [_list(compiler, value, names, parameters) for value in values]
    make.add(f"return ({''.join(f'{source}, ' for source in made)})")
    module.add(find)
    module.add(make)
    source = module.source(f"find, make, {_span(compiler, module, access)}")
    constants = {at for at, value in enumerate(values) if _is_constant(compiler, value)}
    return CompiledChange(module.compile(source), read, used, frozenset(constants), source)


def _span(compiler: BlockCompiler, module: Module, access: TableScan | RowidRange) -> str:
    """The rowids that an access reads, as a source."""
    if isinstance(access, TableScan):
        return "(None, None)"
    unbound = module.constants.name(UNBOUND, "unbound")
    ends, inclusive = [], []
    for bound in (access.low, access.high):
        if bound is None:
            ends.append(unbound)
        else:
            ends.append(compiler.scalar.operand(bound.expression, bound.affinity, "BINARY")[0])
        inclusive.append(str(bound is None or bound.inclusive))
    return f"{module.function(rowid_span)}({', '.join(ends + inclusive)})"


def _is_constant(compiler: BlockCompiler, value: Expression) -> bool:
    return isinstance(value, Parameter) or compiler.scalar.constant(value) is not None


def _list(
    compiler: BlockCompiler, value: Expression, names: Sequence[str], parameters: Sequence[str]
) -> str:
    """The list of the values of an expression."""
    source = compiler.scalar.value(value)
    if source in names:
        return parameters[names.index(source)]
    mentioned = [at for at, name in enumerate(names) if name in source]
    if not mentioned:
        if _is_constant(compiler, value):
            return f"[{source}] * n"
        return f"[{source} for _ in range(n)]"
    loop = loop_over([names[at] for at in mentioned], [parameters[at] for at in mentioned])
    return f"[{source} {loop}]"


def _columns(expressions: Sequence[Expression], alias: int | None) -> tuple[int, ...]:
    found = {
        ROWID if node.column == alias else node.column
        for expression in expressions
        for node in walk_flat(expression)
        if isinstance(node, ColumnRef)
    }
    return tuple(sorted(found))


def _looks_elsewhere(node: Expression) -> bool:
    """Whether the expression may read more than its row."""
    function = getattr(node, "function", None)
    return getattr(node, "plan", None) is not None or not getattr(function, "builtin", True)
