"""Which conditions of a scan by column are decided for a batch at once: those that compare a column with constants, by
its codes, and others on the table's own columns by what is remembered of them.

    for b3_3, b3_4,  in selected(by_column(t6, check, (2, 3, 4)), o1, o2, (1, 2)):      o1: tests, o2: the same row by row

See `sql.run.coded` and `sql.run.masks`.  It pays where it leaves so few rows that picking theirs costs less than looking
at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from sql.collations import is_builtin
from sql.compile.scalar_kinds import NUMBER
from sql.expressions import (
    BLOB,
    NULL,
    TEXT,
    Affinity,
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    ColumnRef,
    Compare,
    Expression,
    InList,
    Literal,
    Match,
    Not,
    Or,
    Parameter,
    Truth,
    Unary,
)
from sql.optimise.shares import Shares
from sql.plan import TableRelation
from sql.plan.walk import walk
from sql.settled import is_plain_call, is_settled

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler
    from sql.compile.scalar import ScalarCompiler

SHARE_MAX = 0.6
"""The share of rows up to which those that are left are picked."""
PICK, COMPARISON, CALL, MOMENT = 8.0, 20.0, 60.0, 500.0
"""Nanoseconds of a value that is picked, of an operator, of a function, and of one that is made for many at once."""
ITEMS_MAX = 32
"""Items of a list: each is looked for in the buckets of each batch."""

_LOOKED_UP = re.compile(r"(\w+)\[(c\d+_\d+)\]").fullmatch

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


class CodedCondition(Struct):
    """A condition as (operator, source of the value) on a column, whose values a variable has."""

    condition: Expression
    variable: str
    operator: str
    value: str


class OwnCondition(Struct):
    """A condition on some columns of a row and on nothing else that changes during a run: `key` tells it from all
    others, together with the values of the parameters that it mentions."""

    condition: Expression
    key: str
    columns: list[int]
    parameters: list[int]
    cost: float


class CalledCondition(Struct):
    """A condition on a call on one column, whose values a variable has, that is made for a batch at once: by the
    object that `known` names.  `test` is the condition on the call's value, `x`; `key` tells the call from others."""

    condition: Expression
    variable: str
    known: str
    key: str
    test: str


class Decided(Struct):
    """The conditions of a scan that are decided for a batch, by the way it is done."""

    coded: list[CodedCondition] = []
    own: list[OwnCondition] = []
    called: list[CalledCondition] = []

    @property
    def conditions(self) -> list[Expression]:
        """All of them."""
        found = [each.condition for each in self.coded]
        found += [each.condition for each in self.own]
        return found + [each.condition for each in self.called]


def decided_conditions(
    levels: LevelCompiler, relation: TableRelation, filters: Sequence[Expression]
) -> Decided:
    """Those of the conditions that are decided for a batch, if few enough rows are expected to meet them."""
    found = Decided()
    for condition in filters:
        made = _coded(condition, relation.source, levels.scalar)
        if made is not None:
            found.coded.append(made)
            continue
        remembered = _own(condition, relation.source, levels.scalar)
        if remembered is not None:
            found.own.append(remembered)
            continue
        called = _called(condition, relation.source, levels.scalar)
        if called is not None:
            found.called.append(called)
    conditions = found.conditions
    if not conditions:
        return found
    share = Shares(levels.compiler.planner, {relation.source: relation}).of_all(conditions)
    if share <= SHARE_MAX:
        return found
    picked = len(levels.beyond(relation.source, conditions))
    spared = sum(each.cost for each in found.own) + MOMENT * len(found.called)
    return found if share * picked * PICK < spared else Decided()


_PLAIN = (
    Literal,
    Parameter,
    ColumnRef,
    Unary,
    Arithmetic,
    Compare,
    And,
    Or,
    Not,
    Truth,
    InList,
    Case,
    Cast,
    Match,
    Call,
)
_SOURCE = re.compile(r"source=\d+, ")


def _own(condition: Expression, number: int, scalar: ScalarCompiler) -> OwnCondition | None:
    nodes = walk(condition)
    columns: set[int] = set()
    parameters: set[int] = set()
    cost = 0.0
    for node in nodes:
        if not isinstance(node, _PLAIN):
            return None
        match node:
            case ColumnRef():
                if node.source != number:
                    return None
                columns.add(node.column)
            case Parameter():
                parameters.add(node.index)
            case Compare() | InList():
                if not is_builtin(node.collation):
                    return None
                cost += COMPARISON
            case Match():
                if node.op not in ("LIKE", "GLOB") or not scalar.is_builtin(node):
                    return None
                cost += CALL
            case Call():
                if not is_plain_call(node):
                    return None
                cost += CALL
            case Arithmetic() | Case():
                cost += COMPARISON
    if not columns:
        return None
    key = _SOURCE.sub("", repr(condition))
    return OwnCondition(condition, key, sorted(columns), sorted(parameters), cost)


def _called(condition: Expression, number: int, scalar: ScalarCompiler) -> CalledCondition | None:
    sides: tuple[Expression, ...]
    if isinstance(condition, Compare):
        sides = (condition.left, condition.right)
    elif isinstance(condition, InList):
        sides = (condition.operand, *condition.items)
    else:
        return None
    calls = [side for side in sides if not is_settled(side)]
    if len(calls) != 1 or not is_builtin(condition.collation):
        return None
    (call,) = calls
    if not isinstance(call, Call) or not is_of_one_column(call, number):
        return None
    if call.function.for_many is None:
        return None
    found = looked_up(scalar.value(call))
    if found is None:
        return None
    known, variable = found
    scalar.computed.append((call, "x"))
    test = scalar.true(condition)
    scalar.computed.pop()
    return CalledCondition(condition, variable, known, key_of(call), test)


def looked_up(source: str) -> tuple[str, str] | None:
    """The object that knows the values of a call, and the variable of the column that it is asked for, where the call's
    source is such a question."""
    found = _LOOKED_UP(source)
    return None if found is None else (found[1], found[2])


def key_of(e: Expression) -> str:
    """What tells an expression on a column from all others on it."""
    match e:
        case Call():
            return f"{e.name} {e.collation}({', '.join(map(key_of, e.arguments))})"
        case Literal():
            return repr(e.value)
    return "column"


def is_of_one_column(e: Call, number: int) -> bool:
    """Whether a call speaks of one column of the relation, and of nothing else, and can be made for a batch at once."""
    columns = set()
    for node in walk(e):
        match node:
            case ColumnRef():
                if node.source != number or node.column < 0:
                    return False
                columns.add(node.column)
            case Call():
                if node is not e and not is_plain_call(node):
                    return False
            case Literal():
                pass
            case _:
                return False
    return len(columns) == 1 and (e.function.for_many is not None or is_plain_call(e))


def _coded(condition: Expression, number: int, scalar: ScalarCompiler) -> CodedCondition | None:
    if isinstance(condition, InList):
        return _among(condition, number, scalar)
    if not isinstance(condition, Compare) or condition.op not in _FLIPPED:
        return None
    column, other, operator = condition.left, condition.right, condition.op
    affinity, others = condition.left_affinity, condition.right_affinity
    if not isinstance(column, ColumnRef):
        column, other, operator = other, column, _FLIPPED[operator]
        affinity, others = others, affinity
    kinds = _plain_kinds(column, affinity, condition.collation, number, scalar)
    value = _constant(other, others, condition.collation, kinds, scalar)
    if not isinstance(column, ColumnRef) or not value:
        return None
    return CodedCondition(condition, scalar.value(column), operator, value)


def _among(condition: InList, number: int, scalar: ScalarCompiler) -> CodedCondition | None:
    column = condition.operand
    if condition.negated or not isinstance(column, ColumnRef) or len(condition.items) > ITEMS_MAX:
        return None
    kinds = _plain_kinds(column, None, condition.collation, number, scalar)
    values = [
        _constant(item, condition.affinity, condition.collation, kinds, scalar)
        for item in condition.items
    ]
    if not values or not all(values):
        return None
    return CodedCondition(
        condition, scalar.value(column), "IN", f"({''.join(f'{value}, ' for value in values)})"
    )


def _plain_kinds(
    column: Expression,
    affinity: Affinity | None,
    collation: str,
    number: int,
    scalar: ScalarCompiler,
) -> int:
    """The kinds of value of a column of relation `number` whose values are compared as they are and have one
    order; 0 of anything else."""
    if not isinstance(column, ColumnRef) or column.source != number or column.column < 0:
        return 0
    source, kinds = scalar.operand(column, affinity, collation)
    bare = kinds & ~NULL
    if source != scalar.value(column) or not bare:
        return 0
    return bare if not bare & ~NUMBER or bare in (TEXT, BLOB) else 0


def _constant(
    value: Expression,
    affinity: Affinity | None,
    collation: str,
    among: int,
    scalar: ScalarCompiler,
) -> str:
    """The source of a value that is known when a run begins, and compares with `among`; else ""."""
    if not among or not is_settled(value):
        return ""
    source, kinds = scalar.operand(value, affinity, collation)
    bare = kinds & ~NULL  # NULL meets no condition, which `Test` knows
    alike = bare == among if among in (TEXT, BLOB) else bare and not bare & ~NUMBER
    return source if alike else ""
