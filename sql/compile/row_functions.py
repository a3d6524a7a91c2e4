"""Functions about rows that are given, rather than found by a query: expressions over one row of a table or over many, and
rows of VALUES, of one execution or of many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder
from sql.bind.scope import Scope, table_item
from sql.compile.accesses import Binding
from sql.compile.blocks import BlockCompiler
from sql.compile.module import Lines, Module, code_of
from sql.expressions import ColumnRef, Expression
from sql.optimise.planner import Planner
from sql.plan.walk import walk_flat

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Table

Row = tuple[Any, ...]

_NAMES = re.compile(r"\b[A-Za-z_]\w*").findall

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
