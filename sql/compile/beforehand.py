"""What a level's conditions compute of the rows before it, computed once for all the rows that it finds for one of them.

for r4 in h2.get(r1[0], ()) if date(r1[2]) < r4[1]

for m3 in (date(r1[2]),) for r4 in h2.get(r1[0], ()) if m3 < r4[1]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sql.compile.accesses import Source
from sql.compile.scalar_compare import NAMED, is_simple
from sql.expressions import Affinity, Arithmetic, Call, Case, Cast, ColumnRef, Expression, Match
from sql.optimise.terms import is_constant
from sql.plan.operators import Level
from sql.plan.walk import SUBQUERIES, references, replace_outermost, walk

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler

MATCHES_MIN = 4.0
"""Rows that a level finds for one before it from which on that pays, also where other conditions leave few of them."""


def computed_before(levels: LevelCompiler, level: Level, source: Source) -> tuple[Level, Source]:
    """The level with names in the place of such values, and the source with the clauses that give these names."""
    if source.single or level.fan_out < MATCHES_MIN or levels.compiler.analysis is not None:
        return level, source
    number = level.relation.source
    names: dict[Expression, ColumnRef] = {}
    given: list[str] = []

    def named(part: Expression) -> Expression | None:
        if part.__class__ in SUBQUERIES:
            return part  # what stands inside is of another block
        if not isinstance(part, (Arithmetic, Call, Case, Cast, Match)):
            return None
        if part in names:
            return names[part]
        sources = references(part)
        if not sources or number in sources or not is_constant(part):
            return None
        if any(each.__class__ in SUBQUERIES or _is_json(each) for each in walk(part)):
            return None
        value = levels.scalar.value(part)
        if is_simple(value):
            return None
        name, kinds = f"m{levels.module.number()}", levels.scalar.kinds(part)
        names[part] = ColumnRef(NAMED, 0, name, "", Affinity.BLOB, "BINARY", kinds)
        given.append(levels.loop(name, f"({value},)"))
        return names[part]

    def without(conditions: tuple[Expression, ...]) -> tuple[Expression, ...]:
        return tuple([replace_outermost(each, named) for each in conditions])

    if level.left or level.exists is not None:
        level = replace(level, on=without(level.on))
    else:
        level = replace(level, filters=without(level.filters))
    if not given:
        return level, source
    return level, replace(source, clauses=[*given, *source.clauses], matches="")


def _is_json(part: Expression) -> bool:
    """Whether it is a call whose JSON another call may ask for as such."""
    return isinstance(part, Call) and getattr(part.function, "returns_json", False)
