"""Comparisons and IN lists as Python source: bare wherever the kinds of the operands allow.

Where NULL is possible it is asked for first; where kinds may meet that Python does not compare, a
helper is called.  An operand that is used twice and is no plain name gets one by `:=`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sql import values as v
from sql.collations import comparing
from sql.compile.constants import Constants
from sql.compile.scalar_kinds import NUMBER, KindInference
from sql.compile.scalar_reals import same_real
from sql.expressions import (
    BLOB,
    INTEGER,
    NULL,
    REAL,
    TEXT,
    Affinity,
    And,
    Arithmetic,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Literal,
    Or,
    Parameter,
    ScalarSubquery,
    SlotRef,
)
from sql.functions import FunctionRegistry
from sql.run import arithmetic as a
from sql.settled import is_settled

INLINE_TEXT_MAX = 40
TUPLE_ITEMS_MAX = 3
NAMED = -2
"""`ColumnRef.source` of a value that the generated code has given the name `ColumnRef.name`."""
PLAIN_CLASSES = frozenset((int, float, str, bytes, type(None)))

OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_PYTHON = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class ComparisonCompiler(KindInference, ABC):
    """The part of `sql.compile.scalar.ScalarCompiler` that compares."""

    def __init__(
        self,
        resolve: Callable[[ColumnRef | SlotRef], str],
        subquery: Callable[[Exists | InSubquery | ScalarSubquery], str],
        constants: Constants,
        *,
        once: Callable[[str], str] | None = None,
        functions: FunctionRegistry | None = None,
        parameter_kinds: Sequence[int] | None = None,
    ) -> None:
        super().__init__(parameter_kinds)
        self.resolve = resolve
        self.subquery = subquery
        self.constants = constants
        self.once = once
        self.remembers = False  # whether what costly functions give is kept: of many rows
        # Calls that are made for a batch at once, and the variables that have their values.
        self.computed: list[tuple[Expression, str]] = []
        self.functions = functions
        self.collations: Mapping[str, Callable[[str, str], int]] = (
            {} if functions is None else functions.collations
        )
        self._names = 0

    @abstractmethod
    def value(self, e: Expression) -> str:
        """Source of the SQL value."""

    @abstractmethod
    def true(self, e: Expression) -> str:
        """Source that is truthy iff the value is SQL-true."""

    @abstractmethod
    def false(self, e: Expression) -> str:
        """Source that is truthy iff the value is SQL-false."""

    # -- names and literals ----------------------------------------------------------------------

    def _call(self, function: Callable[..., Any], *arguments: str) -> str:
        return f"{self.constants.function(function)}({', '.join(arguments)})"

    def named(self, source: str) -> tuple[str, str]:
        """(source to evaluate first, source to use from then on)."""
        if is_simple(source):
            return source, source
        self._names += 1
        name = f"_t{self._names}_{len(self.constants.namespace)}"
        return f"({name} := {source})", name

    def _literal(self, value: Any) -> str:
        kind = value.__class__
        if value is None:
            return "None"
        if kind is int:
            return str(value) if value >= 0 else f"({value})"
        if kind is float:
            if value - value != 0:  # infinite
                return self.constants.name(value)
            return repr(value) if value >= 0 else f"({value!r})"
        if len(value) > INLINE_TEXT_MAX:
            return self.constants.name(value)
        return repr(value)

    # -- comparisons -----------------------------------------------------------------------------

    def operand(self, e: Expression, affinity: Affinity | None, collation: str) -> tuple[str, int]:
        """An operand's source and kinds once affinity and collation are applied to it."""
        fold = self.folding(collation)
        literal = self.constant(e)
        if literal is not None:
            return self._literal_operand(literal.value, affinity, fold)
        source, kinds = self.value(e), self.kinds(e)
        if affinity == Affinity.TEXT:
            if kinds & NUMBER:
                source = self._converted(e, a.as_text, source)
                kinds = (kinds & ~NUMBER) | TEXT
        elif affinity not in (None, Affinity.BLOB) and kinds & TEXT:
            source = self._converted(e, a.as_numeric, source)
            kinds |= NUMBER
        if fold is not None and kinds & TEXT:
            source = self._converted(e, fold, source)
        return source, kinds

    def _literal_operand(
        self, value: Any, affinity: Affinity | None, fold: Callable[[Any], Any] | None
    ) -> tuple[str, int]:
        if affinity not in (None, Affinity.BLOB):
            value = v.compared_as(value, affinity)
        kinds = v.kind_of(value)
        if fold is not None:
            value = fold(value)
        return self._literal(value) if type(value) in PLAIN_CLASSES else self.constants.name(
            value
        ), kinds

    def _converted(self, e: Expression, function: Callable[..., Any], source: str) -> str:
        source = self._call(function, source)
        if self.once is not None and is_settled(e):
            return self.once(source)
        return source

    def folding(self, collation: str) -> Callable[[Any], Any] | None:
        """The collation's function on values of any kind; None for BINARY."""
        return comparing(collation, self.collations)

    def _compared(self, e: Compare, op: str) -> str:
        left, left_kinds = self.operand(e.left, e.left_affinity, e.collation)
        right, right_kinds = self.operand(e.right, e.right_affinity, e.collation)
        if op in ("IS", "IS NOT"):
            return self._identical(op, left, left_kinds, right)
        if left == "None" or right == "None":
            return "False"
        if op == "=":
            test = self._remainder_is(e)
            if test:
                return test
        if left_kinds & ~NULL == REAL and right_kinds == INTEGER:
            right = self._as_real(e.right, e.right_affinity, right)
        elif right_kinds & ~NULL == REAL and left_kinds == INTEGER:
            left = self._as_real(e.left, e.left_affinity, left)
        return self._ordered(op, left, left_kinds, right, right_kinds)

    def _remainder_is(self, e: Compare) -> str:
        """A test of an integer's remainder by a constant, as in `id % 10 = 3`; "" of any other comparison.

        SQL's remainder has the sign of the dividend, Python's that of the divisor: so the sign is asked for
        apart, and only of the few rows whose remainder is the wanted one."""
        if not isinstance(e.left, Arithmetic) or e.left.op != "%":
            return ""
        divisor, wanted = self.constant(e.left.right), self.constant(e.right)
        if divisor is None or divisor.value.__class__ is not int or divisor.value <= 0:
            return ""
        if self.kinds(e.left.left) != INTEGER or self.kinds(e.right) != INTEGER:
            return ""
        size = divisor.value
        first, name = self.named(self.value(e.left.left))
        if wanted is not None:
            rest = _remainder_of(wanted.value, size)
            sign = "" if not rest else f" and {name} {'>' if wanted.value > 0 else '<'} 0"  # type: ignore[operator]
            return f"({first} % {size} == {rest}{sign})"
        if self.once is None or not is_settled(e.right):
            return ""
        right = self.value(e.right)
        once = self.once(self._call(_remainder_of, right, str(size)))
        return f"({first} % {size} == {once} and {name} * {right} >= 0)"

    def _as_real(self, e: Expression, affinity: Affinity | None, source: str) -> str:
        """A constant integer as the float that it equals, if it does: CPython compares two floats in half the
        time it takes for a float and an int."""
        literal = self.constant(e)
        if literal is not None:
            value = literal.value
            if affinity is not None:
                value = v.compared_as(value, affinity)
            return self._literal(same_real(value))
        if self.once is not None and is_settled(e):
            return self.once(self._call(same_real, source))
        return source

    def _identical(self, op: str, left: str, left_kinds: int, right: str) -> str:
        if right != "None":
            return f"({left} {'==' if op == 'IS' else '!='} {right})"
        if not left_kinds & NULL:
            return "False" if op == "IS" else "True"
        return f"({left} is None)" if op == "IS" else f"({left} is not None)"

    def _ordered(self, op: str, left: str, left_kinds: int, right: str, right_kinds: int) -> str:
        guards = []
        if op == "=" and not (left_kinds & right_kinds & NULL):
            return f"({left} == {right})"
        first_left, left = self.named(left) if left_kinds & NULL else (left, left)
        if left_kinds & NULL:
            guards.append(f"{first_left} is not None")
        if right_kinds & NULL and op != "=":
            first_right, right = self.named(right)
            guards.append(f"{first_right} is not None")
        if op in ("=", "<>") or comparable(left_kinds, right_kinds):
            test = f"{left} {_PYTHON[op]} {right}"
        elif op == "<":
            test = self._call(a.less, left, right)
        elif op == "<=":
            test = self._call(a.less_equal, left, right)
        elif op == ">":
            test = self._call(a.less, right, left)
        else:
            test = self._call(a.less_equal, right, left)
        return f"({' and '.join([*guards, test])})"

    def _compare_value(self, e: Compare) -> str:
        if e.op in ("IS", "IS NOT") or not self.nullable(e):
            return f"(1 if {self._compared(e, e.op)} else 0)"
        left, left_kinds = self.operand(e.left, e.left_affinity, e.collation)
        right, right_kinds = self.operand(e.right, e.right_affinity, e.collation)
        if left == "None" or right == "None":
            return "None"
        first_left, left = self.named(left)
        first_right, right = self.named(right)
        guards = []
        if left_kinds & NULL:
            guards.append(f"{first_left} is None")
        if right_kinds & NULL:
            guards.append(f"{first_right} is None")
        if not left_kinds & NULL and first_left != left:
            guards.insert(0, f"({first_left} is None)")
        if not right_kinds & NULL and first_right != right:
            guards.append(f"({first_right} is None)")
        bare = ~NULL
        test = self._ordered(e.op, left, left_kinds & bare, right, right_kinds & bare)
        return f"(None if {' or '.join(guards)} else 1 if {test} else 0)"

    def named_between(self, e: And) -> tuple[list[str], And]:
        """BETWEEN over an operand that costs something, with a name in its place; and before it the source that
        gives it the name and is truthy unless it is NULL, as then the whole is.  Any other AND as it is."""
        match e.items:
            case (Compare(left=operand) as low, Compare(left=other) as high) if operand is other:
                source = self.value(operand)
                if self.constant(operand) is None and not is_simple(source):
                    first, name = self.named(source)
                    kinds = self.kinds(operand) & ~NULL
                    named = ColumnRef(NAMED, 0, name, "", Affinity.BLOB, "BINARY", kinds)
                    both = (replace(low, left=named), replace(high, left=named))
                    return [f"{first} is not None"], And(both)
        return [], e

    # -- IN ---------------------------------------------------------------------------------------

    def _in_list(self, e: InList, *, negated: bool) -> str:
        """Truthy iff the operand is (or with `negated`: surely is not) among the items."""
        if not e.items:
            return "True" if negated else "False"
        first, source, kinds = self._in_operand(e)
        absent = f"{first} is not None" if kinds & NULL or first != source else ""
        test, known = self._in_test(e, source, kinds, negated=negated)
        if not known:
            return "False"
        return f"({absent} and {test})" if absent else test

    def _in_value(self, e: InList) -> str:
        """The value of IN over a list that is not empty."""
        first, source, kinds = self._in_operand(e)
        absent = f"None if {first} is None else " if kinds & NULL or first != source else ""
        yes, _ = self._in_test(e, source, kinds, negated=False)
        no, known = self._in_test(e, source, kinds, negated=True)
        if e.negated:
            yes, no = no, yes
        if not self._items_nullable(e):
            return f"({absent}1 if {yes} else 0)"
        if not known:
            return (
                f"({absent}0 if {no} else None)" if e.negated else f"({absent}1 if {yes} else None)"
            )
        return f"({absent}1 if {yes} else 0 if {no} else None)"

    def _items_nullable(self, e: InList) -> bool:
        return any(self.nullable(item) for item in e.items)

    def _in_operand(self, e: InList) -> tuple[str, str, int]:
        """Source to evaluate the operand first, source to use then, and its kinds."""
        if _is_set(e):
            source, kinds = self.operand(e.operand, None, e.collation)
        else:
            source, kinds = self.value(e.operand), self.kinds(e.operand)
        return *self.named(source), kinds

    def _in_test(self, e: InList, source: str, kinds: int, *, negated: bool) -> tuple[str, bool]:
        """Source of whether the operand, not NULL, is (surely is not) among the items, and whether that
        can be at all."""
        if not _is_set(e):
            operand = ColumnRef(NAMED, 0, source, "", Affinity.BLOB, "BINARY", kinds & ~NULL)
            compared = Or(
                tuple(Compare("=", operand, i, None, e.affinity, e.collation) for i in e.items)
            )
            return self.false(compared) if negated else self.true(compared), True
        items, has_null = self._items(e)
        if not negated:
            return f"({source} in {items})", True
        if has_null == "False":
            return f"({source} not in {items})", True
        return f"(not {has_null} and {source} not in {items})", has_null != "True"

    def _items(self, e: InList) -> tuple[str, str]:
        """Sources of the set of the items, NULL left out, and of whether NULL is among them."""
        convert = self._item_conversion(e)
        if all(isinstance(item, Literal) for item in e.items):
            values = tuple(item.value for item in e.items if isinstance(item, Literal))
            name = self.constants.name(a.item_set(values, convert), "items")
            return name, str(None in values)
        sources = ", ".join(self.value(item) for item in e.items)
        null = any(self.nullable(item) for item in e.items)
        listed = f"({sources},)"
        if not null and convert is None and len(e.items) <= TUPLE_ITEMS_MAX:
            return listed, "False"
        name = "None" if convert is None else self.constants.name(convert, "convert")
        made = self._call(a.item_set, listed, name)
        if self.once is not None:
            made = self.once(made)
        return made, f"(None in {listed})" if null else "False"

    def _item_conversion(self, e: InList) -> Callable[[Any], Any] | None:
        fold = self.folding(e.collation)
        change = None
        if e.affinity == Affinity.TEXT:
            change = a.as_text
        elif e.affinity not in (None, Affinity.BLOB):
            change = a.as_numeric
        if change is None or fold is None:
            return change or fold
        return lambda value: fold(change(value))


def _remainder_of(wanted: Any, divisor: Any) -> int:
    """Python's remainder of numbers whose remainder is `wanted` in SQL; -1 if none has it."""
    return wanted % divisor if -divisor < wanted < divisor else -1


def _is_set(e: InList) -> bool:
    """Whether the items can be one set, made before the rows are seen."""
    return all(isinstance(item, (Literal, Parameter)) for item in e.items)


def is_simple(source: str) -> bool:
    """Whether evaluating the source twice costs about as much as naming it."""
    if source.isidentifier() or source.isdigit():
        return True
    head, bracket, rest = source.partition("[")
    return bool(bracket) and head.isidentifier() and rest[:-1].isdigit() and rest[-1] == "]"


def comparable(left_kinds: int, right_kinds: int) -> bool:
    """Whether Python compares every pair of these kinds, and as SQL does."""
    both = (left_kinds | right_kinds) & ~NULL
    return not both & ~NUMBER or both in (TEXT, BLOB)
