"""The generated module of one statement: its functions' source, and the objects that it refers to.

    def run(ctx):
        p, check, txn = ...                 # what every function sees
        t1 = txn.tree(_tree0)               # trees, values computed once a run
        def q2(r1): ...                     # one function per query block; free rows are arguments
        def q1(): ...
        return q1()

Functions are closures inside `run`, so that one run's trees, hash tables and cached subqueries are
plain variables and die with it.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from itertools import count
from types import CodeType
from typing import Any

from sql.compile.constants import Constants
from sql.errors import SqlError

CODES_KEPT = 512
"""Latest sources whose code is kept, and that tracebacks can show."""

KEPT_MAX = 1 << 15
"""Characters of a source that is kept: longer ones are long lists of values, which nobody asks for twice."""

_numbers = count(1)
_codes: dict[str, CodeType] = {}


def code_of(source: str) -> CodeType:
    """The code of a module's source.

    To compile it is a third of what it takes to plan a statement.  Statements that differ in what is a constant of the
    module (names of columns, lists, patterns) often have the same source, and so has the same statement on
    another connection, or planned again.  Hence trees are constants, too, so that tables that are alike, or one that is
    made anew, have the same code."""
    code = _codes.get(source)
    if code is None:
        name = f"<kvsh plan {next(_numbers)}>"
        try:
            code = compile(source, name, "exec", dont_inherit=True)
        except (
            SyntaxError,
            MemoryError,
        ) as error:  # the words of Python's parser for too many levels
            raise SqlError("the statement is nested too deeply") from error
        if len(source) > KEPT_MAX:
            return code
        if len(_codes) >= CODES_KEPT:
            for old in list(_codes)[: CODES_KEPT // 4]:
                gone = _codes.pop(old, None)  # another thread may have been here
                if gone is not None:
                    linecache.cache.pop(gone.co_filename, None)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        _codes[source] = code
        return code
    return _copied(code)


def _copied(code: CodeType) -> CodeType:
    """The same code as an object of its own: an interpreter keeps in it what it has found the constants to be, and two
    statements by turns, each with its own, would have it look for them each time."""
    inner = [_copied(const) if const.__class__ is CodeType else const for const in code.co_consts]
    return code.replace(co_consts=tuple(inner))


class Lines:
    """Source lines with an indentation."""

    def __init__(self, depth: int = 0) -> None:
        self.lines: list[str] = []
        self.depth = depth

    def add(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def extend(self, other: Lines) -> None:
        """Append lines that were made for depth 0."""
        indent = "    " * self.depth
        self.lines += [indent + line for line in other.lines]


class Module:
    """Collects what `run` consists of."""

    def __init__(self) -> None:
        self.constants = Constants()
        self.setup: dict[str, str] = {}  # variable -> source, in order of first use
        self.functions: list[Lines] = []
        self._once: dict[str, str] = {}
        self._trees: dict[int, str] = {}
        self._next = count(1)

    def number(self) -> int:
        """A number for a name that is unique in the module."""
        return next(self._next)

    def tree(self, tree_id: int) -> str:
        """The variable of a tree."""
        name = self._trees.get(tree_id)
        if name is None:
            name = self._trees[tree_id] = f"t{len(self._trees) + 1}"
            self.setup[name] = f"txn.tree({self.tree_id(tree_id)})"
        return name

    def tree_id(self, tree_id: int) -> str:
        """The name of a tree's number."""
        return self.constants.name(tree_id, "tree")

    def method(self, tree_id: int, method: str) -> str:
        """The variable of a tree's bound method."""
        tree = self.tree(tree_id)
        name = f"{method}_{tree}"
        self.setup.setdefault(name, f"{tree}.{method}")
        return name

    def once(self, source: str) -> str:
        """The variable of a value that is computed once per run, before everything else."""
        name = self._once.get(source)
        if name is None:
            name = self._once[source] = f"o{self.number()}"
            self.setup[name] = source
        return name

    def name_parameters(self, count: int) -> None:
        """The parameters are variables already: `p0`, `p1`, ..."""
        self._once |= {f"p[{place}]": f"p{place}" for place in range(count)}

    def function(self, value: Callable[..., Any]) -> str:
        """The name of a runtime function."""
        return self.constants.function(value)

    def add(self, function: Lines) -> None:
        """Add a function's source; functions it calls must have been added before or are called later."""
        self.functions.append(function)

    def source(self, main: str) -> str:
        """The whole source; `main` is the expression that `run` returns."""
        lines = Lines()
        lines.add("def run(ctx):")
        lines.depth = 1
        lines.add("p, check, txn = ctx.parameters, ctx.check, ctx.transaction")
        for name, source in self.setup.items():
            lines.add(f"{name} = {source}")
        for function in self.functions:
            lines.extend(function)
        lines.add(f"return {main}")
        return "\n".join(lines.lines) + "\n"

    def compile(self, source: str) -> Callable[[Any], Any]:
        """The module's `run`.  The source is kept for tracebacks."""
        namespace = dict(self.constants.namespace)
        exec(code_of(source), namespace)
        run: Callable[[Any], Any] = namespace["run"]
        return run
