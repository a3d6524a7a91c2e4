"""Columns that equalities make equal, however they are chained.

    p.author_id = f.followee AND m.id = p.author_id     ->     m.id = f.followee

Whoever has the followed ones can look up their names before their posts.  What is implied is told to the search for a join
order beside what is stated.  Of the equalities of such a class that a relation brings with it, one is enough: where the
columns before it are equal already, the others hold by themselves.  They are neither asked nor counted as conditions that
leave fewer rows.

Columns that are compared as they are are equal in one sense alone, so that this is exact; of those that take on an affinity
first, or are compared under a collation, nothing is implied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from msgspec.structs import replace

from sql.expressions import ColumnRef, Compare, Expression

COLUMNS_MAX = 8
"""Columns of a class from which on nothing is implied."""

_Column = tuple[int, int]


class EqualColumns:
    """The classes of three columns and more, each of another of the `sources`, that conjuncts make.

    `implied`: the equalities that are not stated."""

    def __init__(self, conjuncts: Iterable[Expression], sources: frozenset[int]) -> None:
        stated = [c for c in conjuncts if isinstance(c, Compare) and _is_exact(c, sources)]
        self.implied: list[Compare] = []
        self._classes: dict[int, int] = {}  # by ids of equalities
        if len(stated) < 2:
            return
        for number, columns in enumerate(_classes(stated)):
            own = [c for c in stated if _column(c.left) in columns]
            if not 3 <= len(columns) <= COLUMNS_MAX or len({source for source, _ in columns}) < len(
                columns
            ):
                continue
            known = {frozenset((_column(c.left), _column(c.right))) for c in own}
            made = [
                replace(own[0], left=left, right=right)
                for left, right in combinations(columns.values(), 2)
                if frozenset((_column(left), _column(right))) not in known
            ]
            self.implied += made
            self._classes |= dict.fromkeys(map(id, [*own, *made]), number)

    def __bool__(self) -> bool:
        return bool(self._classes)

    def class_of(self, conjunct: Expression) -> int | None:
        """The class whose columns a conjunct makes equal, None of any other condition."""
        return self._classes.get(id(conjunct))

    def redundant(self, asked: Sequence[Expression], used: Iterable[Expression]) -> set[int]:
        """The ids of those that hold by themselves among `asked`, all that a relation's columns are compared with those
        before it by; `used` are proved by the way to its rows."""
        if not self._classes:
            return set()
        known = {self._classes.get(id(conjunct)) for conjunct in used}
        proved = {id(conjunct) for conjunct in used}
        found = set()
        for conjunct in asked:
            number = self._classes.get(id(conjunct))
            if number is None or id(conjunct) in proved:
                continue
            if number in known:
                found.add(id(conjunct))
            known.add(number)
        return found


def _is_exact(e: Compare, sources: frozenset[int]) -> bool:
    """Whether two relations' columns are compared as they are."""
    left, right = e.left, e.right
    if (
        e.op != "="
        or e.collation != "BINARY"
        or (e.left_affinity, e.right_affinity) != (None, None)
    ):
        return False
    if not isinstance(left, ColumnRef) or not isinstance(right, ColumnRef):
        return False
    return left.source != right.source and {left.source, right.source} <= sources


def _column(e: Expression) -> _Column:
    assert isinstance(e, ColumnRef)
    return e.source, e.column


def _classes(stated: Sequence[Compare]) -> list[dict[_Column, Expression]]:
    """The columns that are equal to each other, by themselves."""
    found: list[dict[_Column, Expression]] = []
    for conjunct in stated:
        made = {_column(side): side for side in (conjunct.left, conjunct.right)}
        apart = []
        for columns in found:
            if columns.keys() & made.keys():
                made = columns | made
            else:
                apart.append(columns)
        found = [*apart, made]
    return found
