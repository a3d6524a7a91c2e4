"""A level that is looked up in a hash table, and of whose rows a range is wanted: `sql.run.spans`.

    b.user = a.user AND b.at > a.at AND b.at < a.at + 60

    for e7, e8 in (h2[r1[0]],) for r4 in e8[bisect_right(e7, r1[1]):bisect_left(e7, m9)]
    if (e7 := h2[r1[0]][0]) and bisect_right(e7, r1[1]) < bisect_left(e7, m9)       a semi-join of no other conditions
    if (e7 := h2[r1[0]][0]) and e7[-1] > r1[1]                                      of one bound the last value decides

Where a key has but a few rows they are gone through, which is as quick.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from msgspec import Struct

from sql.compile.accesses import Source
from sql.compile.scalar_compare import comparable, is_simple
from sql.expressions import NULL, Affinity, Compare, Expression
from sql.optimise.terms import is_constant
from sql.plan.operators import HashLookup, Level
from sql.plan.walk import SUBQUERIES, references, walk
from sql.run.spans import Spans

if TYPE_CHECKING:
    from sql.compile.hashed import Hashed
    from sql.compile.levels import LevelCompiler
    from sql.compile.module import Lines

MATCHES_MIN = 4.0
"""Rows of a key from which on they are put in order."""
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COLLATIONS = ("BINARY", "NOCASE", "RTRIM")


class Bound(Struct, frozen=True):
    """A condition as `value op other`: the value is the relation's, the other side is known before its rows are."""

    condition: Compare
    op: str
    value: tuple[Expression, Affinity | None]
    other: tuple[Expression, Affinity | None]


def bounds_of(levels: LevelCompiler, level: Level) -> list[Bound]:
    """A lower and an upper bound, or one of them, that the level's conditions put to a value of a hashed relation's rows;
    none where a key has few rows, or there are no such conditions."""
    access, number = level.access, level.relation.source
    assert isinstance(access, HashLookup)
    if access.unique or not access.probes or level.fan_out < MATCHES_MIN:
        return []
    dependent = level.left or level.exists is not None
    conditions = level.on if dependent else level.filters
    with levels.readable(level):
        made = [_bound(levels, condition, number) for condition in conditions]
    bounds = [bound for bound in made if bound is not None]
    chosen: list[Bound] = []
    for first in bounds:
        same = [bound for bound in bounds if _compared(bound) == _compared(first)]
        low = [bound for bound in same if bound.op[0] == ">"][:1]
        high = [bound for bound in same if bound.op[0] == "<"][:1]
        if len(low) + len(high) > len(chosen):
            chosen = [*low, *high]
    return chosen


def _compared(bound: Bound) -> tuple[object, ...]:
    """What is compared, and how."""
    return (*bound.value, bound.condition.collation)


def _bound(levels: LevelCompiler, condition: Expression, number: int) -> Bound | None:
    """The condition as a bound, if it is one of values that Python compares as SQL does."""
    if not isinstance(condition, Compare) or condition.op not in _TURNED:
        return None
    if condition.collation not in _COLLATIONS or not is_constant(condition):
        return None
    if any(part.__class__ in SUBQUERIES for part in walk(condition)):
        return None
    left = condition.left, condition.left_affinity
    right = condition.right, condition.right_affinity
    sources = references(condition.left), references(condition.right)
    if sources[0] == {number} and number not in sources[1]:
        bound = Bound(condition, condition.op, left, right)
    elif sources[1] == {number} and number not in sources[0]:
        bound = Bound(condition, _TURNED[condition.op], right, left)
    else:
        return None
    kinds = [
        levels.scalar.operand(expression, affinity, condition.collation)[1]
        for expression, affinity in (left, right)
    ]
    return bound if comparable(*kinds) and NULL not in kinds else None


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
        other, affinity = bound.other
        name, kinds = levels.scalar.operand(other, affinity, bound.condition.collation)
        if not is_simple(name):
            # No `:=` may stand in an iterable, which the range is.
            source, name = name, f"m{levels.module.number()}"
            guards.append(f"({name} := {source}) is not None")
        elif kinds & NULL:
            guards.append(f"{name} is not None")
        inclusive = len(bound.op) == 2
        if bound.op[0] == ">":
            start = levels.call(bisect_left if inclusive else bisect_right, values, name)
            end = f"{values}[-1] {bound.op} {name}"
        else:
            stop = levels.call(bisect_right if inclusive else bisect_left, values, name)
            end = f"{values}[0] {bound.op} {name}"
    found = f"{made.table}[{made.probe}]"
    proved = tuple([bound.condition for bound in made.bounds])
    if level.exists is not None and len(level.on) == len(made.bounds):
        test = f"{start} < {stop}" if len(made.bounds) == 2 else end
        tests = " and ".join([*guards, f"({values} := {found}[0])", test])
        return Source(None, [f"if {tests}"], [], proved=proved)
    clauses = [
        levels.loop(f"{values}, {rows}", f"({found},)"),
        *[f"if {guard}" for guard in guards],
        f"for {', '.join(made.names)} in {rows}[{start}:{stop}]",
    ]
    return Source(None, clauses, made.names, proved=proved)
