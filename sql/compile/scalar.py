"""Bound expressions as Python source.

`value(e)` is the SQL value (None for NULL), `true(e)` an expression that is truthy iff the value is
SQL-true, `false(e)` iff it is SQL-false (not NULL): a condition needs no three-valued result, so WHERE
costs one comparison where the kinds of the operands are known.  `kinds(e)` says which kinds the value
may have: `a < 5` on a column that only ever held integers becomes a bare `r[0] < 5`.

Sources: parameters are `p[i]`, the run's context is `ctx`; helpers are names from `Constants`.  An
operand that is used twice and is no plain name or subscript gets a name of its own by `:=`; so no
source may stand in the iterable of a comprehension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from msgspec.structs import replace

from sql import values as v
from sql.compile.calls import by_constant, part_of, remembered
from sql.compile.scalar_compare import NAMED, OPPOSITE, PLAIN_CLASSES, is_simple
from sql.compile.scalar_kinds import CHAIN_MAX, spine
from sql.compile.scalar_match import MatchCompiler
from sql.compile.scalar_reals import arithmetic_traits, bare_source
from sql.expressions import (
    BLOB,
    INTEGER,
    NULL,
    REAL,
    TEXT,
    Affinity,
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    Collate,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Literal,
    Match,
    Not,
    Or,
    Parameter,
    Raise,
    ScalarSubquery,
    SlotRef,
    Truth,
    Unary,
)
from sql.functions import JSON, AnyFunction, Function
from sql.run import arithmetic as a
from sql.settled import OPERATORS, is_settled

INT_OR_NULL = INTEGER | NULL
__all__ = ["ScalarCompiler", "is_simple"]


class ScalarCompiler(MatchCompiler):
    """Compiles expressions for one generated module.

    `resolve` gives the source of a column's or slot's value, `subquery` that of a subquery's (1, 0 or
    None; a ScalarSubquery's value).  `once` names a value that is computed once per run."""

    # -- conditions ------------------------------------------------------------------------------

    def true(self, e: Expression) -> str:
        """Source that is truthy iff the value is SQL-true."""
        folded = self.constant(e)
        if folded is not None:
            return "True" if v.truth(folded.value) else "False"
        match e:
            case And():
                first, e = self.named_between(e)
                return _joined("and", first + [self.true(item) for item in e.items])
            case Or():
                return _joined("or", [self.true(item) for item in e.items])
            case Not():
                return self.false(e.operand)
            case Compare():
                return self._compared(e, e.op)
            case Truth():
                wanted = self.true(e.operand) if e.value else self.false(e.operand)
                return f"(not {wanted})" if e.negated else wanted
            case InList():
                return self._in_list(e, negated=e.negated)
            case Match():
                return self.matched(e, negated=e.negated)
            case Exists() | InSubquery():
                return self.subquery(e)
            case Collate() | Unary(op="+"):
                return self.true(e.operand)
            case _:
                source = self.value(e)
                if self.kinds(e) & (TEXT | BLOB):
                    return self._call(v.truth, source)
                return source

    def false(self, e: Expression) -> str:
        """Source that is truthy iff the value is SQL-false."""
        folded = self.constant(e)
        if folded is not None:
            return "True" if v.truth(folded.value) is False else "False"
        match e:
            case And():
                first, e = self.named_between(e)
                return _joined(
                    "and", [*first, _joined("or", [self.false(item) for item in e.items])]
                )
            case Or():
                return _joined("and", [self.false(item) for item in e.items])
            case Not():
                return self.true(e.operand)
            case Compare(op="IS"):
                return self._compared(e, "IS NOT")
            case Compare(op="IS NOT"):
                return self._compared(e, "IS")
            case Compare():
                return self._compared(e, OPPOSITE[e.op])
            case Truth():
                return f"(not {self.true(e)})"
            case InList():
                return self._in_list(e, negated=not e.negated)
            case Match():
                return self.matched(e, negated=not e.negated)
            case Exists():
                return f"(not {self.subquery(e)})"
            case InSubquery():
                return f"({self.subquery(e)} == 0)"
            case Collate() | Unary(op="+"):
                return self.false(e.operand)
            case _:
                source = self.value(e)
                if self.kinds(e) & (TEXT | BLOB):
                    return self._call(a.is_false, source)
                return f"({source} == 0)"

    # -- values ----------------------------------------------------------------------------------

    def value(self, e: Expression) -> str:
        """Source of the SQL value."""
        if isinstance(e, Call) and getattr(e.function, "returns_json", False):
            return f"{self.constants.function(plain)}({self.argument(e)})"
        return self.argument(e)

    def arguments(self, function: AnyFunction, items: Sequence[Expression]) -> list[str]:
        """Sources of a function's arguments, JSON marked for one that asks for it."""
        takes_json = getattr(function, "takes_json", False)
        return [self.marked(item) if takes_json else self.value(item) for item in items]

    def marked(self, e: Expression) -> str:
        """Like `value`, of a JSON function's argument: JSON is marked as JSON."""
        match e:
            case Call(name="coalesce" | "ifnull") if e.function.builtin:
                return self._coalesce(e.arguments, self.marked)
            case Call(name="iif") if e.function.builtin:
                when, then, otherwise = e.arguments
                return self._case(Case(((when, then),), otherwise), self.marked)
            case Call() if e.function.returns_json:
                return self.argument(e)
            case Case():
                return self._case(e, self.marked)
            case Collate() | Unary(op="+"):
                return self.marked(e.operand)
            case SlotRef() | ScalarSubquery() if e.kinds & JSON:
                return self._call(as_json, self.value(e))
            case ColumnRef(column=1, name="value", table="json_each" | "json_tree"):
                node_type = self.resolve(replace(e, column=2, name="type"))
                return self._call(as_json, self.value(e), node_type)
            case _:
                return self.value(e)

    def argument(self, e: Expression) -> str:
        """Like `value`, but what a JSON function gives stays marked as JSON."""
        if e.__class__ is ColumnRef and e.source != NAMED:
            return self.resolve(e)
        folded = self.constant(e)
        if folded is not None:
            return self._literal(folded.value)
        match e:
            case Literal():
                return self._literal(e.value)
            case Parameter():
                source = f"p[{e.index}]"
                return source if self.once is None else self.once(source)
            case ColumnRef():  # NAMED
                return e.name
            case SlotRef():
                return self.resolve(e)
            case Collate() | Unary(op="+"):
                return self.value(e.operand)
            case Unary(op="-"):
                return self._negated(e)
            case Unary():
                return self._call(a.bit_not, self.value(e.operand))
            case Arithmetic():
                return self._settled(e, self._arithmetic(e))
            case Compare():
                return self._compare_value(e)
            case And() | Or():
                return self._logical(e)
            case Not():
                if not self.nullable(e):
                    return f"(1 if {self.false(e.operand)} else 0)"
                return self._call(a.logical_not, self.value(e.operand))
            case Truth():
                return f"(1 if {self.true(e)} else 0)"
            case InList():
                return self._in_value(e)
            case Match():
                source = self.match_value(e)
                return self._call(a.logical_not, source) if e.negated else source
            case Exists():
                return f"(1 if {self.subquery(e)} else 0)"
            case InSubquery() | ScalarSubquery():
                return self.subquery(e)
            case Case():
                return self._case(e)
            case Cast():
                return self._settled(e, self._cast(e))
            case Call():
                return self._settled(e, self._function(e))
            case Raise():
                message = "None" if e.message is None else self.value(e.message)
                return self._call(a.raise_in_trigger, repr(e.action), message)
            case _:
                assert_never(e)

    def _settled(self, e: Expression, source: str) -> str:
        """The source of a value; a variable where it has been computed before the run begins."""
        if self.once is None or is_simple(source) or not is_settled(e):
            return source
        return self.once(source)

    def _chain(self, parts: Sequence[Expression]) -> str:
        """A long chain of operators, which as nested source Python would refuse to read."""
        operators, operands = [], [self.value(parts[0])]
        for part in parts[1:]:
            assert isinstance(part, Arithmetic)
            operators.append(OPERATORS[part.op])
            operands.append(self.value(part.right))
        name = self.constants.name(tuple(operators), "operators")
        return self._call(chained, name, *operands)

    def _arithmetic(self, e: Arithmetic) -> str:
        parts = spine(e)
        if len(parts) > CHAIN_MAX:
            return self._chain(parts)
        traits = arithmetic_traits(e, self.kinds)
        if traits is not None:
            source = bare_source(e, self.kinds, self.value)
            return self._not_nan(source) if traits.nan else source
        left, right = self.value(e.left), self.value(e.right)
        left_kinds, right_kinds = self.kinds(e.left), self.kinds(e.right)
        if left == "None" or right == "None":
            return "None"
        both = left_kinds | right_kinds
        if e.op == "||":
            fits = not both & ~(TEXT | NULL)
        else:
            fits = not both & (TEXT | BLOB) and e.op in "+-*/"
        if e.op == "/" and not _one_is_real(left_kinds, right_kinds):
            fits = False
        if not fits:
            if e.op in "/%" and right.isdigit() and right != "0" and not left_kinds & ~INT_OR_NULL:
                return self._truncated(e.op, left, left_kinds, right)
            return self._mixed_arithmetic(e.op, left, left_kinds, right, right_kinds)
        guards = []
        for is_left, kinds in ((True, left_kinds), (False, right_kinds)):
            if kinds & NULL:
                first, name = self.named(left if is_left else right)
                guards.append(f"{first} is None")
                left, right = (name, right) if is_left else (left, name)
        if e.op == "/":
            first, right = self.named(right)
            guards.append(f"{first} == 0" if first == right else f"not {first}")
        result = self._bare_arithmetic(e.op, left, left_kinds & ~NULL, right, right_kinds & ~NULL)
        return f"(None if {' or '.join(guards)} else {result})" if guards else result

    def bare(self, e: Expression) -> str | None:
        """Source of a number that is NaN where its value is NULL; None if it can't be had."""
        if not isinstance(e, Arithmetic) or len(spine(e)) > CHAIN_MAX:
            return None
        traits = arithmetic_traits(e, self.kinds)
        if traits is None or not traits.nan:
            return None
        return bare_source(e, self.kinds, self.value)

    def _bare_arithmetic(
        self, op: str, left: str, left_kinds: int, right: str, right_kinds: int
    ) -> str:
        """Operands of known kinds that are not NULL."""
        if op == "||":
            return f"({left} + {right})"
        if op == "/":
            return self._not_nan(f"({left} / {right})")
        plain = f"({left} {op} {right})"
        if _one_is_real(left_kinds, right_kinds):
            return self._not_nan(plain)
        if left_kinds == right_kinds == INTEGER:
            first, name = self.named(plain)
            first_left, left = self.named(left)
            if first_left != left:  # a compound operand: leave the rare case to the helper
                return self._call(OPERATORS[op], first_left, right)
            rare = self._call(a.overflowed, left, right, repr(op))
            return f"({name} if {v.INT_MIN} <= {first} <= {v.INT_MAX} else {rare})"
        return self._mixed_arithmetic(op, left, left_kinds, right, right_kinds)

    def _mixed_arithmetic(
        self, op: str, left: str, left_kinds: int, right: str, right_kinds: int
    ) -> str:
        """Operands of several kinds each.  Two integers, by far the most frequent case, are not worth three
        calls: the helper takes what is left."""
        operator = OPERATORS[op]
        if op not in "+-*" or not left_kinds & right_kinds & INTEGER:
            return self._call(operator, left, right)
        first_left, left = self.named(left)
        first_right, right = self.named(right)
        classes = []
        for first, name, kinds in (
            (first_left, left, left_kinds),
            (first_right, right, right_kinds),
        ):
            if kinds != INTEGER:
                classes.append(f"{first}.__class__")
            elif first != name:  # it would have no name yet where the other is no integer
                return self._call(operator, first_left, first_right)
        first, name = self.named(f"({left} {op} {right})")
        are_integers = " is ".join([*classes, "int"])
        fits = f"{v.INT_MIN} <= {first} <= {v.INT_MAX}"
        return f"({name} if {are_integers} and {fits} else {self._call(operator, left, right)})"

    def _truncated(self, op: str, left: str, left_kinds: int, right: str) -> str:
        """Division of an integer by a positive constant: toward zero, where Python's goes down."""
        op = "//" if op == "/" else op
        first, left = self.named(left)
        null = f"None if {first} is None else " if left_kinds & NULL else ""
        begin = left if null else first
        return f"({null}{left} {op} {right} if {begin} >= 0 else -(-{left} {op} {right}))"

    def _negated(self, e: Unary) -> str:
        source, kinds = self.value(e.operand), self.kinds(e.operand)
        if kinds & (TEXT | BLOB):
            return self._call(a.negate, source)
        first, source = self.named(source)
        null = f"None if {first} is None else " if kinds & NULL else ""
        begin = source if null else first
        # By subtraction, as in SQLite: the negative of 0.0 is 0.0.
        if not kinds & INTEGER:
            return f"({null}0.0 - {begin})"
        return f"({null}0 - {source} if {begin} != {v.INT_MIN} else {-float(v.INT_MIN)!r})"

    def _not_nan(self, source: str) -> str:
        first, name = self.named(source)
        return f"({name} if {first} == {name} else None)"

    def _logical(self, e: And | Or) -> str:
        if not self.nullable(e):
            return f"(1 if {self.true(e)} else 0)"
        if isinstance(e, Or):
            return self._call(a.logical_or, *[self.value(item) for item in e.items])
        first, e = self.named_between(e)
        found = self._call(a.logical_and, *[self.value(item) for item in e.items])
        return f"({found} if {first[0]} else None)" if first else found

    def _case(self, e: Case, value: Callable[[Expression], str] | None = None) -> str:
        value = value or self.value
        parts = [f"{value(then)} if {self.true(when)} else " for when, then in e.whens]
        otherwise = "None" if e.otherwise is None else value(e.otherwise)
        return f"({''.join(parts)}{otherwise})"

    def _cast(self, e: Cast) -> str:
        source, kinds = self.value(e.operand), self.kinds(e.operand)
        wanted = {Affinity.INTEGER: INTEGER, Affinity.REAL: REAL, Affinity.TEXT: TEXT}
        if e.affinity in wanted and not kinds & ~(wanted[e.affinity] | NULL):
            return source
        if e.affinity == Affinity.REAL and kinds == INTEGER:
            return f"float({source})"
        special = {
            Affinity.INTEGER: v.to_integer,
            Affinity.REAL: v.to_real,
            Affinity.TEXT: v.value_to_text,
        }
        if e.affinity in special:
            return self._call(special[e.affinity], source)
        return self._call(v.cast, source, self.constants.name(e.affinity, "affinity"))

    # -- functions -------------------------------------------------------------------------------

    def _function(self, e: Call) -> str:
        function: Function = e.function
        for known, source in self.computed:
            if known == e:
                return source
        if function.builtin:
            match e.name:
                case "coalesce" | "ifnull":
                    return self._coalesce(e.arguments)
                case "iif":
                    when, then, otherwise = e.arguments
                    return self._case(Case(((when, then),), otherwise))
                case "nullif":
                    left, right = e.arguments
                    first, name = self.named(self.value(left))
                    equal = self._call(
                        nullif_equal,
                        first,
                        self.value(right),
                        self.constants.name(self.folding(e.collation), "fold"),
                    )
                    return f"(None if {equal} else {name})"
                case "substr" | "substring":
                    source = part_of(self, e)
                    if source:
                        return source
                case "min" | "max" if len(e.arguments) > 1:
                    key = self.constants.name(self.folding(e.collation), "fold")
                    items = [self.value(item) for item in e.arguments]
                    return self._call(extreme, key, str(e.name == "max"), *items)
        return self.invoked(function, self.arguments(function, e.arguments), e.arguments)

    def invoked(
        self, function: Function, arguments: list[str], expressions: Sequence[Expression] = ()
    ) -> str:
        name = self.constants.function(function.call)
        if function.needs_context:
            arguments = ["ctx", *arguments]
            if function.for_many is not None and self.remembers:
                source = remembered(self, function.for_many, arguments, expressions)
                if source:
                    return source
            return f"{name}({', '.join(arguments)})"
        if function.by_second is not None and len(expressions) == 2:
            source = by_constant(self, function.by_second, arguments, expressions)
            if source:
                return source
        if not function.propagates_null or not arguments:
            return f"{name}({', '.join(arguments)})"
        null = [self.nullable(item) for item in expressions] or [True] * len(arguments)
        if not any(null):
            return f"{name}({', '.join(arguments)})"
        if len(arguments) == 1:
            first, argument = self.named(arguments[0])
            return f"(None if {first} is None else {name}({argument}))"
        return self._call(a.call_strict, name, *arguments)

    def _coalesce(
        self, arguments: Sequence[Expression], value: Callable[[Expression], str] | None = None
    ) -> str:
        value = value or self.value
        *others, last = arguments
        parts = []
        for argument in others:
            if not self.nullable(argument):
                last = argument
                break
            first, name = self.named(value(argument))
            parts.append(f"{name} if {first} is not None else ")
        return f"({''.join(parts)}{value(last)})"


def as_json(value: Any, node_type: str = "array") -> Any:
    """Text that is known to be JSON, marked as such; with a node's type, that of arrays and objects."""
    from sql.functions.json_text import JsonText

    is_json = value.__class__ is str and node_type in ("array", "object")
    return JsonText(value) if is_json else value


def plain(value: Any) -> Any:
    """A value as it leaves an expression: text that was marked as JSON is text."""
    return value if value.__class__ in PLAIN_CLASSES else str(value)


def nullif_equal(left: Any, right: Any, fold: Callable[[Any], Any] | None) -> bool:
    """Whether nullif()'s arguments are equal (NULL equals nothing)."""
    if left is None or right is None:
        return False
    return bool(left == right if fold is None else fold(left) == fold(right))


def extreme(fold: Callable[[Any], Any] | None, largest: bool, *values: Any) -> Any:
    """Scalar min() and max(): NULL if any is NULL; of equals max() gives the first, min() the last."""
    best, best_key = None, None
    for value in values:
        if value is None:
            return None
        key = value if fold is None else fold(value)
        if best is not None:
            order = v.compare(key, best_key)
            if order <= 0 if largest else order > 0:
                continue
        best, best_key = value, key
    return best


def chained(operators: Sequence[Callable[[Any, Any], Any]], first: Any, *others: Any) -> Any:
    """Operators applied one after the other from the left."""
    for operator, operand in zip(operators, others, strict=True):
        first = operator(first, operand)
    return first


def _joined(word: str, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({f' {word} '.join(parts)})"


def _one_is_real(left_kinds: int, right_kinds: int) -> bool:
    """Whether one operand can only be REAL, so that Python's arithmetic on numbers is SQL's."""
    return left_kinds & ~NULL == REAL or right_kinds & ~NULL == REAL
