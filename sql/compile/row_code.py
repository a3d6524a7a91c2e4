"""Functions about one row, put together of lines of Python and of expressions over rows that the lines have.

A statement that changes one row by its key is such a function: where the row is found and how it is written are lines
of `sql.dml`, what is assigned, checked and given back are expressions of SQL.

    code = RowCode(env)
    old = code.row(table, "old_", "key_")          # the variables that hold a row of `table` and its key
    lines = [..., f"if not ({old.condition(where)}): return None", f"new_ = {old.values(columns)}"]
    function, is_bare = code.function(lines)        # function(txn, p, ctx)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder
from sql.bind.scope import Scope, table_item
from sql.compile.accesses import Binding
from sql.compile.blocks import BlockCompiler
from sql.compile.changes import calls_program
from sql.compile.module import Module
from sql.compile.row_functions import function_of
from sql.expressions import ColumnRef, Expression, Match
from sql.optimise.planner import Planner
from sql.plain import is_plain, plain_source, unpacked
from sql.plan.walk import walk

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.compile.scalar import ScalarCompiler
    from sql.schema import Table

_ALL_KINDS = 31

_UNPACKED_MAX = 16
"""Parameters that are variables of their own, looked at one by one in the function itself."""


class RowCode:
    """The source of one function; `name` gives a Python object a name in it, `tree_id` the number of a tree."""

    def __init__(self, env: BindEnvironment) -> None:
        self._module = Module()
        self._binder = Binder(env)
        self._compiler = BlockCompiler(
            self._module, Planner(env), env.functions, env.parameter_kinds
        )
        self.name: Callable[..., str] = self._module.constants.name
        self.tree_id: Callable[[int], str] = self._module.tree_id
        self._samples: Sequence[Any] | None = None
        self._only: set[int] = set()  # parameters that have to be of their sample's class
        self.is_plain = True
        """Whether no expression has a subquery, whose code fits only the kinds of value that the trees hold at the moment,
        or calls a function of the program's, which nobody may call twice."""

    def row(self, table: Table | None = None, row: str = "", key: str = "") -> RowScope:
        """Expressions over a row of `table` that is in the variable `row`, and its key in `key`; without a table, over
        none."""
        scope = Scope()
        if table is not None:
            source = self._binder.next_source()
            masks = tuple([_ALL_KINDS for _ in table.columns])
            scope.items.append(table_item(table, source, table.name, masks))
            self._compiler.bindings[source] = Binding(row, key)
        return RowScope(self, ExpressionBinder(self._binder, scope))

    def outer(
        self, source: int, row: str, key: str, positions: dict[int, int] | None = None
    ) -> None:
        """The row of an enclosing scope with this number is in the variable `row`, its columns at `positions`, if they are
        not where they are in the table; its key is in `key`."""
        self._compiler.bindings[source] = Binding(row, key, positions)

    def check_parameters(self, samples: Sequence[Any]) -> None:
        """Have the function look at `p`, which is as a program gave it: None is returned where it is not a value of SQL for
        each of these."""
        self._samples = samples
        if len(samples) <= _UNPACKED_MAX:
            self._module.name_parameters(len(samples))

    def parameter(self, place: int) -> str:
        """The source of a parameter."""
        return self._module.once(f"p[{place}]")

    def allow(self, place: int, classes: frozenset[type]) -> list[str]:
        """Lines that return None where a parameter is of none of these classes."""
        samples = self._samples or ()
        is_named = place < len(samples) <= _UNPACKED_MAX
        if is_named and classes == {int} == {samples[place].__class__}:
            self._only.add(place)
            return []
        return [
            f"if {self.parameter(place)}.__class__ not in {self.name(classes, 'classes')}: return None"
        ]

    def _checks(self) -> list[str]:
        """What looks at the parameters, and gives each a name."""
        samples = self._samples
        if samples is None:
            return []
        lines = [f"if p.__class__ is not tuple or len(p) != {len(samples)}: return None"]
        if samples:
            plain = self.name(is_plain, "is_plain")
            if len(samples) > _UNPACKED_MAX:
                return [*lines, f"if not all(map({plain}, p)): return None"]
            names, unpacks = unpacked("p", len(samples))
            checks = [
                plain_source(name, sample.__class__, plain, only=place in self._only)
                for place, (name, sample) in enumerate(zip(names, samples, strict=True))
            ]
            lines += [unpacks, f"if not ({' and '.join(checks)}): return None"]
        return lines

    def bound(self, binder: ExpressionBinder, expression: exp.Expression) -> Expression:
        """An expression under the names that a binder knows."""
        (bound,) = binder.bind_all([expression])
        for node in walk(bound):
            if (
                getattr(node, "plan", None) is not None
                or (isinstance(node, Match) and not self.scalar.is_builtin(node))
                or calls_program(node)
            ):
                self.is_plain = False
        return bound

    @property
    def scalar(self) -> ScalarCompiler:
        """What gives the sources of bound expressions."""
        return self._compiler.scalar

    def function(
        self, lines: Sequence[str]
    ) -> tuple[Callable[[Transaction, Sequence[Any], Any], Any], bool]:
        """The function of a transaction, parameters and a context, and whether it does without the context."""
        self._compiler.release()
        module = self._module
        checks = self._checks()
        text = "\n".join(
            [
                *lines,
                *module.setup.values(),
                *[line for part in module.functions for line in part.lines],
            ]
        )
        function = function_of(module, "statement(txn, p, ctx)", lines, checks)
        return function, re.search(r"\b(ctx|check)\b", text) is None


class RowScope:
    """Sources of expressions over one row."""

    def __init__(self, code: RowCode, binder: ExpressionBinder) -> None:
        self._code = code
        self._binder = binder

    def values(self, expressions: Sequence[exp.Expression]) -> str:
        """The source of a tuple of what they come to."""
        return f"({''.join([f'{source}, ' for source in self.each(expressions)])})"

    def each(self, expressions: Sequence[exp.Expression]) -> list[str]:
        """The source of each of them."""
        code, binder = self._code, self._binder
        return [code.scalar.value(code.bound(binder, expression)) for expression in expressions]

    def columns(self, expressions: Sequence[exp.Expression]) -> set[int]:
        """The columns that they read."""
        code, binder = self._code, self._binder
        nodes = [node for part in expressions for node in walk(code.bound(binder, part))]
        return {node.column for node in nodes if isinstance(node, ColumnRef)}

    def condition(self, expression: exp.Expression) -> str:
        """A source that is true if the condition is."""
        return self._code.scalar.true(self._code.bound(self._binder, expression))

    def refuses(self, expression: exp.Expression) -> str:
        """A source that is true if the condition is false, rather than true or NULL."""
        return self._code.scalar.false(self._code.bound(self._binder, expression))
