"""ORDER BY of a column that is kept: its order is kept with it, a run of some 40,000 rows at a time.

A sort of a million rows waits for the memory: each comparison goes to two values that lie anywhere.  What a scan
hands over in sorted runs is merged, and if the values of a run are made in its order, they lie one behind the other,
so that merging reads on from where it was.  A million rows by a REAL: 290 ms as they come, 160 so.

A run is what lies below a lowest branch of the tree, whose columns are kept and dropped together (`btree.kept_columns`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import is_, itemgetter
from typing import Any

from msgspec import Struct

from btree import Column
from sql.run.coded import numbers_below

Columns = tuple[Sequence[Any], ...]

_ROWS_MIN = 512
_TYPECODES: dict[type, str] = {float: "d", int: "q"}
_ABOUT_BYTES = 48
"""What a row's place in order (a pointer) and its value (a pointer, and 24 to 32 bytes) take."""


class Order(Struct):
    """The order of some batches of a column: `pick` takes their rows' other values in it, `values` are in it.

    `others`: the batches behind the one that keeps it, each of which may be another after a change."""

    others: list[Sequence[Any]]
    values: list[Any]
    pick: Callable[[Any], tuple[Any, ...]]


def presorted(
    batches: Iterable[Columns], at: int, descending: bool, nulls_first: bool
) -> Iterator[Columns]:
    """The batches, as many together as are kept together, sorted by the column `at`; others as they are."""
    pending: list[Columns] = []
    home: object = None
    for batch in batches:
        column = batch[at]
        own = column.kept_in if isinstance(column, Column) else None
        if pending and own is not home:
            yield from _sorted(pending, at, descending, nulls_first)
            pending = []
        if own is None:
            yield batch
            continue
        home = own
        pending.append(batch)
    if pending:
        yield from _sorted(pending, at, descending, nulls_first)


def _sorted(
    batches: list[Columns], at: int, descending: bool, nulls_first: bool
) -> Iterable[Columns]:
    order = _order(batches, at, descending, nulls_first)
    if order is None:
        return batches
    columns: list[Sequence[Any]] = []
    for place in range(len(batches[0])):
        if place == at:
            columns.append(order.values)
        else:
            columns.append(order.pick([*chain.from_iterable([batch[place] for batch in batches])]))
    return [tuple(columns)]


def _order(batches: list[Columns], at: int, descending: bool, nulls_first: bool) -> Order | None:
    """The order of the batches, which the first one's column keeps; None if they have none."""
    first = batches[0][at]
    assert isinstance(first, Column)
    others = [batch[at] for batch in batches[1:]]
    count = len(first) + sum(map(len, others))
    name = (
        f"{'descending' if descending else 'ascending'}, NULLs {'first' if nulls_first else 'last'}"
    )
    known = first.derived(name)
    size_bytes = _ABOUT_BYTES * count
    if isinstance(known, Order):
        if len(known.others) == len(others) and all(map(is_, known.others, others)):
            return known
        size_bytes = max(0, size_bytes - _ABOUT_BYTES * len(known.values))
    elif known is not None or count < _ROWS_MIN:
        return None
    values = [*chain.from_iterable([batch[at] for batch in batches])]
    kinds = {*map(type, values)} - {type(None)}
    typecode = _TYPECODES.get(kinds.pop()) if len(kinds) == 1 else None
    first.keep(name, False, size_bytes if typecode else 0)
    if first.derived(name) is None or typecode is None:
        return None  # there is no room, or numbers of two kinds
    nulls = [place for place, value in enumerate(values) if value is None]
    there: Sequence[int] = numbers_below(count)
    if nulls:
        there = [place for place, value in enumerate(values) if value is not None]
    places = sorted(there, key=values.__getitem__, reverse=descending)
    found = array(typecode, [values[place] for place in places]).tolist()
    absent = [None] * len(nulls)
    pick = itemgetter(*(nulls + places if nulls_first else places + nulls))
    order = Order(others, absent + found if nulls_first else found + absent, pick)
    first.keep(name, order, 0)
    return order
