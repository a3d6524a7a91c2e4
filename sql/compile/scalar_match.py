"""LIKE, GLOB and their kin as Python source: of a constant pattern what it comes down to, of one that is known when a run
begins a call of what was made of it, else a call of the operator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from sql import values as v
from sql.compile import patterns
from sql.compile.scalar_compare import ComparisonCompiler
from sql.compile.scalar_kinds import NUMBER
from sql.errors import SqlNameError
from sql.expressions import BLOB, NULL, TEXT, Literal, Match
from sql.functions import Function
from sql.run import arithmetic as a
from sql.settled import is_settled


class MatchCompiler(ComparisonCompiler):
    """The part of `sql.compile.scalar.ScalarCompiler` that matches."""

    @abstractmethod
    def invoked(self, function: Function, arguments: list[str]) -> str:
        """Source of a function's call with such sources of arguments."""

    def matched(self, e: Match, *, negated: bool) -> str:
        """Truthy iff the text matches (or with `negated`: is not NULL and does not match)."""
        constant = self._constant_pattern(e)
        if constant is not None:
            absent, test = self._tested(e, *constant)
            negation = f"not {test}"
        elif self._asks_texts(e, negated=negated):
            first, text = self.named(self.value(e.operand))
            absent = f"{first} is None" if self.nullable(e.operand) or first != text else ""
            test = f"{self._pattern_test(e, patterns.text_test)}({text})"
            negation = f"{test} == 0"
        else:
            source = self.match_value(e)
            return f"({source} == 0)" if negated else source
        if negated:
            test = negation
        return f"(not ({absent}) and {test})" if absent else f"({test})"

    def _tested(self, e: Match, pattern: str, escape: str | None) -> tuple[str, str]:
        """Sources of whether the operand is NULL ("" if it can't be), and then of whether it matches."""
        literal = self.constant(e.operand)
        if literal is not None:
            match = patterns.glob if e.op == "GLOB" else patterns.like
            found = match(literal.value, pattern, *([escape, True] if escape is not None else []))
            return "" if found is not None else "True", str(bool(found))
        source, kinds = self.value(e.operand), self.kinds(e.operand)
        if source == "None":
            return "True", "False"
        if kinds & NUMBER:
            change = a.as_text if kinds & BLOB else v.value_to_text
            source = self._call(change, source)
        first, text = self.named(source)
        absent = f"{first} is None" if kinds & NULL or first != text else ""
        test = patterns.match_source(e.op, pattern, escape, text, self.constants)
        if kinds & BLOB:
            test = f"({text}.__class__ is str and {test})"
        return absent, test

    def _constant_pattern(self, e: Match) -> tuple[str, str | None] | None:
        """(pattern, escape) if both are constants and the operator is the builtin one."""
        if e.op not in ("LIKE", "GLOB") or not self.is_builtin(e):
            return None
        if not isinstance(e.pattern, Literal):
            return None
        pattern = v.value_to_text(e.pattern.value)
        if pattern is None or e.pattern.value.__class__ is bytes:
            return None
        if len(pattern) * 4 > patterns.PATTERN_BYTES_MAX:
            return None
        escape = None
        if e.escape is not None:
            if not isinstance(e.escape, Literal):
                return None
            escape = v.value_to_text(e.escape.value)
            if escape is None or len(escape) != 1:
                return None
        return pattern, escape

    def _is_settled_pattern(self, e: Match) -> bool:
        """Whether the operator is the builtin one, and its pattern known when a run begins."""
        if self.once is None or e.op not in ("LIKE", "GLOB") or not self.is_builtin(e):
            return False
        return is_settled(e.pattern) and (e.escape is None or is_settled(e.escape))

    def _asks_texts(self, e: Match, *, negated: bool) -> bool:
        """Whether such a pattern is asked about nothing but texts; where none matches, NULLs, too, are right: a pattern
        that is a blob says no to all, NULL included."""
        kinds = self.kinds(e.operand)
        return (
            kinds & ~NULL == TEXT and not (negated and kinds & NULL) and self._is_settled_pattern(e)
        )

    def _pattern_test(self, e: Match, function: Callable[..., Any]) -> str:
        """A variable with what a function makes of such a pattern."""
        assert self.once is not None
        escape = [] if e.escape is None else [self.value(e.escape), "True"]
        return self.once(self._call(function, repr(e.op), self.value(e.pattern), *escape))

    def is_builtin(self, e: Match) -> bool:
        if self.functions is None:
            return e.op in ("LIKE", "GLOB")
        function = self.functions.lookup(e.op.lower(), 2 if e.escape is None else 3)
        return isinstance(function, Function) and function.builtin

    def match_value(self, e: Match) -> str:
        """The value of the operator, `negated` left aside."""
        constant = self._constant_pattern(e)
        if constant is not None:
            absent, test = self._tested(e, *constant)
            if not absent:
                return f"(1 if {test} else 0)"
            return f"(None if {absent} else 1 if {test} else 0)"
        if self._is_settled_pattern(e):
            return f"{self._pattern_test(e, patterns.value_test)}({self.value(e.operand)})"
        operands = [self.value(e.operand), self.value(e.pattern)]
        if self.is_builtin(e):
            if e.op == "GLOB":
                return self._call(patterns.glob, *operands)
            if e.escape is None:
                return self._call(patterns.like, *operands)
            return self._call(patterns.like, *operands, self.value(e.escape), "True")
        return self._overridden(e)

    def _overridden(self, e: Match) -> str:
        arguments = [e.pattern, e.operand, *([] if e.escape is None else [e.escape])]
        name = e.op.lower()
        function = None if self.functions is None else self.functions.lookup(name, len(arguments))
        if not isinstance(function, Function):
            if e.op == "MATCH":
                raise SqlNameError("unable to use function MATCH in the requested context")
            raise SqlNameError(f"no such function: {e.op}", token=e.op)
        return self.invoked(function, [self.value(item) for item in arguments])
