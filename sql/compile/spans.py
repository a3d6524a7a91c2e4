"""A level that is looked up in a hash table, and of whose rows a range is wanted: `sql.run.spans`.

    b.user = a.user AND b.at > a.at AND b.at < a.at + 60

    for e7, e8 in (h2[r1[0]],) for r4 in e8[bisect_right(e7, r1[1]):bisect_left(e7, m9)]
    if (e7 := h2[r1[0]][0]) and bisect_right(e7, r1[1]) < bisect_left(e7, m9)       a semi-join of no other conditions
    if (e7 := h2[r1[0]][0]) and e7[-1] > r1[1]                                      of one bound the last value decides

A distance of the two (`b.at - a.at < 60`) is bounds as well, though not exact ones.  Where a key has but a few rows they are gone through, which is as quick.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from sql.compile.accesses import Source
from sql.compile.scalar_compare import comparable, is_simple
from sql.compile.scalar_kinds import NUMBER
from sql.expressions import NULL, Affinity, Arithmetic, Call, Compare, Expression, Unary
from sql.optimise.terms import is_constant
from sql.plan.operators import HashLookup, Level
from sql.plan.walk import SUBQUERIES, references, walk
from sql.run.spans import Spans, at_least, at_most

if TYPE_CHECKING:
    from sql.compile.hashed import Hashed
    from sql.compile.levels import LevelCompiler
    from sql.compile.module import Lines

MATCHES_MIN = 4.0
"""Rows of a key from which on they are put in order."""
ASKED_MIN = 2.0
"""How often each key is asked for, at least."""
_TURNED = {"<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COLLATIONS = ("BINARY", "NOCASE", "RTRIM")


class Bound(Struct, frozen=True):
    """What a condition says as `value op other`: the value is the relation's, the other side is known before its rows are.

    `distance`: `value - other op distance` is what it says, of which both sides are rounded; the bound is then put a
    little further out, and the condition asked all the same."""

    condition: Compare
    op: str
    value: tuple[Expression, Affinity | None]
    other: tuple[Expression, Affinity | None]
    distance: Expression | None = None


def bounds_of(levels: LevelCompiler, level: Level) -> list[Bound]:
    """A lower and an upper bound, or one of them, that the level's conditions put to a value of a hashed relation's rows;
    none where a key has few rows, or there are no such conditions."""
    access, number = level.access, level.relation.source
    assert isinstance(access, HashLookup)
    if access.unique or not access.probes or level.fan_out < MATCHES_MIN:
        return []
    if levels.asked * level.fan_out < ASKED_MIN * access.rows:
        return []
    dependent = level.left or level.exists is not None
    conditions = level.on if dependent else level.filters
    with levels.readable(level):
        bounds = [bound for each in conditions for bound in _bounds(levels, each, number)]
    if level.exists is not None and len(level.on) == 1 and [each.op for each in bounds] == ["<>"]:
        return bounds  # the ends tell
    chosen: list[Bound] = []
    for first in bounds:
        same = [bound for bound in bounds if _compared(bound) == _compared(first)]
        low = [bound for bound in same if bound.op[0] == ">"][:1]
        high = [bound for bound in same if bound.op in ("<", "<=")][:1]
        if len(low) + len(high) > len(chosen):
            chosen = [*low, *high]
    return chosen


def _compared(bound: Bound) -> tuple[object, ...]:
    """What is compared, and how."""
    return (*bound.value, bound.condition.collation)


def _bounds(levels: LevelCompiler, condition: Expression, number: int) -> Iterator[Bound]:
    """What the condition says as bounds of values that Python compares as SQL does."""
    if not isinstance(condition, Compare) or condition.op not in _TURNED:
        return
    if condition.collation not in _COLLATIONS or not is_constant(condition):
        return
    if any(part.__class__ in SUBQUERIES for part in walk(condition)):
        return
    left = condition.left, condition.left_affinity
    right = condition.right, condition.right_affinity
    for op, (value, affinity), other in (
        (condition.op, left, right),
        (_TURNED[condition.op], right, left),
    ):
        if number in references(other[0]):
            continue
        if references(value) == {number}:
            kinds = [
                levels.scalar.operand(each, each_affinity, condition.collation)[1]
                for each, each_affinity in (left, right)
            ]
            if comparable(*kinds) and NULL not in kinds:
                yield Bound(condition, op, (value, affinity), other)
        elif number in references(value):
            yield from _distances(levels, condition, op, value, other[0], number)


def _distances(
    levels: LevelCompiler,
    condition: Compare,
    op: str,
    value: Expression,
    distance: Expression,
    number: int,
) -> Iterator[Bound]:
    """The bounds that the difference of two numbers, or its absolute value, being at a distance says."""
    is_absolute = isinstance(value, Call) and value.name == "abs" and value.function.builtin
    if isinstance(value, Call) and is_absolute and len(value.arguments) == 1 and op in ("<", "<="):
        (value,) = value.arguments
    else:
        is_absolute = False
    if not isinstance(value, Arithmetic) or value.op != "-" or op == "<>":
        return
    if not all(
        0 < levels.scalar.kinds(each) & ~NULL <= NUMBER
        for each in (value.left, value.right, distance)
    ):
        return
    for inner, outer in ((value.left, value.right), (value.right, value.left)):
        if references(inner) != {number} or number in references(outer):
            continue
        own = op if inner is value.left else _TURNED[op]
        away = distance if inner is value.left else Unary("-", distance)
        yield Bound(condition, own, (inner, None), (outer, None), away)
        if is_absolute:
            yield Bound(condition, _TURNED[own], (inner, None), (outer, None), Unary("-", away))


def in_order(levels: LevelCompiler, body: Lines, bounds: list[Bound], row: str, table: str) -> str:
    """The source of a table whose rows are in order of what the bounds are put to; `body` takes what gives their values."""
    value, affinity = bounds[0].value
    source, kinds = levels.scalar.operand(value, affinity, bounds[0].condition.collation)
    name = f"v{levels.module.number()}"
    body.add(f"def {name}(rows): return [{source} for {row} in rows]")
    return levels.call(Spans, table, name, str(bool(kinds & NULL)))


def source_within(levels: LevelCompiler, level: Level, made: Hashed) -> Source:
    """The clauses that find the range of a table's rows, and the conditions that it proves."""
    guards: list[str] = []
    values, rows = (f"e{levels.module.number()}" for _ in range(2))
    start = stop = end = ""
    for bound in made.bounds:
        name, kinds = _limit(levels, bound)
        if not is_simple(name):
            # No `:=` may stand in an iterable, which the range is.
            source, name = name, f"m{levels.module.number()}"
            guards.append(f"({name} := {source}) is not None")
        elif kinds & NULL:
            guards.append(f"{name} is not None")
        inclusive = len(bound.op) == 2
        if bound.op == "<>":
            end = f"({values}[0] != {name} or {values}[-1] != {name})"
        elif bound.op[0] == ">":
            start = levels.call(bisect_left if inclusive else bisect_right, values, name)
            end = f"{values}[-1] {bound.op} {name}"
        else:
            stop = levels.call(bisect_right if inclusive else bisect_left, values, name)
            end = f"{values}[0] {bound.op} {name}"
    found = f"{made.table}[{made.probe}]"
    proved = tuple([bound.condition for bound in made.bounds if bound.distance is None])
    if level.exists is not None and len(level.on) == len(proved) == len(made.bounds):
        test = f"{start} < {stop}" if len(made.bounds) == 2 else end
        tests = " and ".join([*guards, f"({values} := {found}[0])", test])
        return Source(None, [f"if {tests}"], [], proved=proved)
    clauses = [
        levels.loop(f"{values}, {rows}", f"({found},)"),
        *[f"if {guard}" for guard in guards],
        f"for {', '.join(made.names)} in {rows}[{start}:{stop}]",
    ]
    return Source(None, clauses, made.names, proved=proved)


def _limit(levels: LevelCompiler, bound: Bound) -> tuple[str, int]:
    """The source of what a bound compares with, and its kinds."""
    other, affinity = bound.other
    if bound.distance is None:
        return levels.scalar.operand(other, affinity, bound.condition.collation)
    values = [levels.scalar.value(each) for each in (other, bound.distance)]
    return levels.call(at_least if bound.op[0] == ">" else at_most, *values), NUMBER | NULL
