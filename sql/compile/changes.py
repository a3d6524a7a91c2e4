"""The scan of an UPDATE or DELETE of many rows as functions of a batch's columns.

    def find(n, b1_k, b1_3):       positions of the rows that WHERE means, in lists of n values
        return [i for i, c1_3 in enumerate(b1_3) if c1_3 < 500]
    def make(n, b1_2):             the new values, column by column, from those rows' values
        return ([c1_2 + 1.0 for c1_2 in b1_2],)

Where an index finds the rows, or WHERE asks other tables, the keys of all rows that are meant are found first, by a
query for them alone, and there is no `find`.

Which columns WHERE reads is one thing, and which SET reads another: of those only the values in rows that
are meant are ever picked out.  Made from the query that finds the rows otherwise (its plan, its bound
expressions), if SET is without subqueries and a program's functions: those might ask for the table while it is
being changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import lcm
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from sql.compile.accesses import Binding
from sql.compile.blocks import BlockCompiler
from sql.compile.by_column import ROWS_MIN, loop_over
from sql.compile.module import Lines, Module
from sql.compile.text_filters import match_condition
from sql.expressions import (
    ROWID,
    And,
    Arithmetic,
    ColumnRef,
    Compare,
    Expression,
    InList,
    InSubquery,
    Literal,
    Not,
    Or,
    Parameter,
)
from sql.optimise.planner import Planner
from sql.plan import Select, TableRelation
from sql.plan.operators import PRESENT as PRESENT_BOUND
from sql.plan.operators import Access, KeyRange, RowidRange, SelectPlan, TableScan
from sql.plan.walk import walk, walk_block, walk_flat
from sql.run.columns import repeated, rowid_span
from sql.run.ranges import PRESENT, UNBOUND, key_bounds

if TYPE_CHECKING:
    from btree import Transaction
    from sql.compile.query import CompiledQuery
    from sql.context import Context

Lists = Sequence[Sequence[Any]]
Find = Callable[..., "Sequence[int]"]
Make = Callable[..., "tuple[Sequence[Any], ...]"]
Span = tuple[Any, Any]

FOUND_MIN = 64.0
"""Rows that an index is expected to find from which on they are changed by column."""


class CompiledChange(Struct):
    """`prepare(ctx)` gives `find` and `make`, and from where to where keys are meant (None of both for no
    bound; None if there can be no such key); `read` are the columns that the one takes the lists of, `used`
    those of the other, ROWID for the rowid.  `constants` are the numbers of the values that are the same
    in all rows.  `by_key`: the keys of the rows have to be found first, and `find` is None."""

    prepare: Callable[[Context], tuple[Find | None, Make, Span | None]]
    read: tuple[int, ...]
    used: tuple[int, ...]
    constants: frozenset[int]
    source: str
    by_key: bool = False


def compile_change(
    query: CompiledQuery,
    outputs: Sequence[int],
    parameter_kinds: Sequence[int],
    transaction: Transaction,
) -> CompiledChange | None:
    """The functions for a query's rows and for some of its outputs; None if it has to be run as it is.

    `parameter_kinds` are masks of `Kind` bits of the values that it will be run with."""
    block, planner = query.block, query.planner
    if not planner.env.is_within(transaction):
        planner = Planner(planner.env.within(transaction))
    if not isinstance(block, Select) or block.windows:
        return None
    plan = planner.plan(block)
    relation = block.items[0].relation
    if not isinstance(plan, SelectPlan) or not isinstance(relation, TableRelation):
        return None
    table = relation.table
    if not planner.statistics.is_for_columns(table.tree_id):
        return None
    values = [block.outputs[output] for output in outputs]
    if any(_looks_elsewhere(node) for value in values for node in walk(value)):
        return None
    level = plan.levels[0]
    access = level.access
    by_key = (
        len(plan.levels) != 1
        or not _goes_by_column(access)
        or bool(block.order)
        or block.limit is not None
        or any(map(_looks_elsewhere, walk_block(block)))
    )
    if by_key and (plan.rows < FOUND_MIN or any(map(calls_program, walk_block(block)))):
        return None
    module = Module()
    compiler = BlockCompiler(module, planner, planner.env.functions, parameter_kinds)
    scan = _Scan(compiler, relation.source, table.rowid_alias)
    read: tuple[int, ...] = ()
    if by_key:
        result = "None, make, (None, None)"
    else:
        read = scan.columns(level.filters)
        module.add(_find(scan, plan.constant, level.filters))
        result = f"find, make, {_span(compiler, module, access)}"
    used = scan.columns(values)
    names, parameters = scan.lists(used)
    make = Lines()
    make.add(f"def make({', '.join(['n', *parameters])}):")
    make.depth = 1
    made = [_list(compiler, value, names, parameters) for value in values]
    make.add(f"return ({''.join(f'{source}, ' for source in made)})")
    module.add(make)
    source = module.source(result)
    constants = {at for at, value in enumerate(values) if _is_constant(compiler, value)}
    compiler.release()
    return CompiledChange(
        module.compile(source), read, used, frozenset(constants), source, by_key=by_key
    )


def expects_many(query: CompiledQuery, transaction: Transaction) -> bool:
    """Whether a query that finds rows to change is expected to find many of a large table."""
    block = query.block
    if not isinstance(block, Select):
        return False
    planner = Planner(query.planner.env.within(transaction))
    relation = block.items[0].relation
    return (
        isinstance(relation, TableRelation)
        and planner.statistics.rows(relation.table.tree_id) >= ROWS_MIN
        and planner.plan(block).rows >= FOUND_MIN
        and not any(map(calls_program, walk_block(block)))
    )


class _Scan:
    """The names of a table's columns, in a batch and in a row."""

    def __init__(self, compiler: BlockCompiler, number: int, alias: int | None) -> None:
        self.compiler = compiler
        self.number = number
        self.key = f"k{number}"
        self._alias = alias
        compiler.bindings[number] = Binding(f"r{number}", self.key, by_column=True, alias=alias)

    def columns(self, expressions: Sequence[Expression]) -> tuple[int, ...]:
        """Those that the expressions read."""
        found = {
            ROWID if node.column == self._alias else node.column
            for expression in expressions
            for node in walk_flat(expression)
            if isinstance(node, ColumnRef)
        }
        return tuple(sorted(found))

    def lists(self, columns: Sequence[int]) -> tuple[list[str], list[str]]:
        """The names of their values, and of the lists of these."""
        key, number = self.key, self.number
        names = [key if column == ROWID else f"c{number}_{column}" for column in columns]
        return names, [f"b{name[1:]}" if name != key else f"b{number}_k" for name in names]


def _find(scan: _Scan, constant: Sequence[Expression], conditions: Sequence[Expression]) -> Lines:
    """The function for the positions of the rows for which the conditions hold."""
    scalar, number = scan.compiler.scalar, scan.number
    names, parameters = scan.lists(scan.columns(conditions))
    find = Lines()
    find.add(f"def find({', '.join(['n', *parameters])}):")
    find.depth = 1
    for condition in constant:
        find.add(f"if not ({scalar.true(condition)}): return ()")
    filters, text = list(conditions), None
    for condition in filters:
        text = match_condition(condition, number, scalar)
        if text is not None:
            filters.remove(condition)
            break
    clauses = "".join([f" if {scalar.true(part)}" for part in filters])
    if text is not None:
        once = scan.compiler.module.once(text.source)
        find.add(f"found = {once}(b{number}_{text.column})")
        names, others = scan.lists(scan.columns(filters))
        for rows in others:
            find.add(f"{rows} = [{rows}[i] for i in found]")
        if clauses:
            find.add(f"return [i {loop_over(['i', *names], ['found', *others])}{clauses}]")
        else:
            find.add("return found")
    elif not clauses:
        find.add("return range(n)")
    elif not names:
        find.add(f"return [i for i in range(n){clauses}]")
    else:
        if names == [scan.key]:
            rows = parameters[0]
            find.add(f"if {rows}[-1] - {rows}[0] == n - 1:")
            find.add(f"    first = {rows}[0]")
            period = _period(filters)
            if period:
                # What asks for the rowid's remainder alone repeats, where rowids follow each other.
                found = f"[{scan.key} - first for {scan.key} in {rows}[:{period}]{clauses}]"
                again = scan.compiler.module.function(repeated)
                find.add(
                    f"    if first >= 0 and n > {period}: return {again}({found}, n, {period})"
                )
            find.add(f"    return [{scan.key} - first {loop_over(names, parameters)}{clauses}]")
        find.add(f"return [i {loop_over(['i', *names], ['range(n)', *parameters])}{clauses}]")
    return find


_WITHOUT_CALLS = (Arithmetic, And, ColumnRef, Compare, InList, Literal, Not, Or, Parameter)


def _period(conditions: Sequence[Expression]) -> int:
    """After how many rowids conditions repeat that read nothing but the rowid's remainders by constants; 0 if they
    read more."""
    nodes = [node for condition in conditions for node in walk_flat(condition)]
    moduli = [
        node.right.value
        for node in nodes
        if isinstance(node, Arithmetic)
        and node.op == "%"
        and isinstance(node.left, ColumnRef)
        and isinstance(node.right, Literal)
    ]
    periods = [value for value in moduli if isinstance(value, int) and value > 0]
    read = sum([isinstance(node, ColumnRef) for node in nodes])
    if len(periods) < read or not all(isinstance(node, _WITHOUT_CALLS) for node in nodes):
        return 0
    return lcm(*periods)


def _goes_by_column(access: Access) -> bool:
    """Whether an access reads the table's own tree in order, from one key to another."""
    if isinstance(access, KeyRange):
        simple = not any(part.many or part.null_safe for part in access.equal)
        return access.path.clustered and simple and access.prefix is None and not access.reverse
    return isinstance(access, TableScan | RowidRange) and not access.reverse


def _span(compiler: BlockCompiler, module: Module, access: Access) -> str:
    """The keys that such an access reads, as a source."""
    if not isinstance(access, RowidRange | KeyRange):
        return "(None, None)"
    unbound = module.constants.name(UNBOUND, "unbound")
    place, collation, first = 0, "BINARY", []
    if isinstance(access, KeyRange):
        collations = [part.collation for part in access.path.parts]
        equal = [
            compiler.scalar.operand(part.value, part.affinity, collations[at])[0]
            for at, part in enumerate(access.equal)
            if not isinstance(part.value, InList | InSubquery)
        ]
        first = [f"({''.join([f'{source}, ' for source in equal])})"]
        place = len(access.equal)
        collation = collations[place] if place < len(collations) else collation
    ends, inclusive = [], []
    for bound in (access.low, access.high):
        if bound is None:
            ends.append(unbound)
        elif bound is PRESENT_BOUND:
            ends.append(module.constants.name(PRESENT, "present"))
        else:
            ends.append(compiler.scalar.operand(bound.expression, bound.affinity, collation)[0])
        inclusive.append(str(bound is None or bound.inclusive))
    function = key_bounds if isinstance(access, KeyRange) else rowid_span
    return f"{module.function(function)}({', '.join([*first, *ends, *inclusive])})"


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


def _looks_elsewhere(node: Expression) -> bool:
    """Whether the expression may read more than its row."""
    return getattr(node, "plan", None) is not None or calls_program(node)


def calls_program(node: Expression) -> bool:
    """Whether the expression calls a function of the program's, which may do what it likes, as often as it is called."""
    return not getattr(getattr(node, "function", None), "builtin", True)
