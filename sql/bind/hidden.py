"""Conditions on the hidden columns of a table-valued function are its arguments.

`FROM json_each WHERE json = x` means `FROM json_each(x)`: https://www.sqlite.org/vtab.html#tabfunc2.  The
conditions stay what they are besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from msgspec.structs import replace

from sql.expressions import ColumnRef, Compare, Expression
from sql.plan import FromItem, RowRelation
from sql.plan.walk import references


def with_arguments(
    items: tuple[FromItem, ...], where: tuple[Expression, ...]
) -> tuple[FromItem, ...]:
    """The FROM items with the arguments that equalities give to functions that lack them."""
    waiting = [
        place
        for place, item in enumerate(items)
        if isinstance(item.relation, RowRelation) and item.relation.provider.hidden
    ]
    found = list(items)
    has_order = any(item.join != "inner" for item in items)
    while waiting:
        # What an argument needs comes before it: no two functions may wait for each other.  So the next one is one
        # that needs none of the others; where there is none, one that has an argument without them.
        sources = {items[place].relation.source for place in waiting}
        ready: list[tuple[bool, int, RowRelation]] = []
        for place in waiting:
            item = items[place]
            assert isinstance(item.relation, RowRelation)
            later = {other.relation.source for other in items[place:]} if has_order else set()
            conditions = item.on if item.join == "left" else where
            relation = _completed(item.relation, conditions, later | sources)
            wanted = _completed(item.relation, conditions, later)
            lacks = len(relation.arguments) < len(wanted.arguments)
            ready.append((lacks or not relation.arguments, place, relation))
        _, place, relation = min(ready, key=itemgetter(0, 1))
        found[place] = replace(items[place], relation=relation)
        waiting.remove(place)
    return tuple(found)


def _completed(
    relation: RowRelation, conditions: Iterable[Expression], after: set[int]
) -> RowRelation:
    arguments = list(relation.arguments)
    hidden = sorted(relation.provider.hidden)
    known: dict[int, Expression] = {}
    for condition in conditions:
        if isinstance(condition, Compare) and condition.op == "=":
            for column, value in (
                (condition.left, condition.right),
                (condition.right, condition.left),
            ):
                if (
                    isinstance(column, ColumnRef)
                    and column.source == relation.source
                    and not references(value) & (after | {relation.source})
                ):
                    known.setdefault(column.column, value)
    while len(arguments) < len(hidden) and hidden[len(arguments)] in known:
        arguments.append(known[hidden[len(arguments)]])
    return replace(relation, arguments=tuple(arguments))
