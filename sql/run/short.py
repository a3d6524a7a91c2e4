"""What short queries are made of (`sql.short`): functions from the parameters' values to keys and rows.

They keep trees, and no methods of theirs: a tree may change its class (`btree.overlay`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from btree import NOT_AT_HAND, Row, Store, Transaction, Tree, picked_keys
from sql.run.ranges import PRESENT, UNBOUND, first_keys, index_end, rowid_end

Values = tuple[Any, ...]
Rows = list[Row]
Ready = Callable[[Values], "Rows | None"]
"""From the values of all parameters to the rows; None where the plan has to be run."""

Pick = Callable[[Row], Row]
Operand = Callable[[Values], Any]
Keys = Callable[[Values, int], "Sequence[Any] | None"]
"""From the parameters' values, and how many are wanted, to the first keys of a range."""

KeysOf = Callable[[Tree, "Pick | None"], Keys]
"""`Keys` of an index, which gives them as `Pick` makes them, or as they are."""

HOT_MAX = 4
"""Rows of one query that are kept among those that were asked for lately."""


class Short:
    """A short query: what makes it ready for a transaction."""

    __slots__ = ("ready",)

    direct = False
    """Whether `rows` makes nothing ready first, and a glance may do."""

    def __init__(self, ready: Callable[[Transaction], Ready]) -> None:
        self.ready = ready

    def rows(self, transaction: Transaction, values: Values) -> Rows | None:
        """Its rows in a transaction of a program's, or one that it is not worth to be made ready for."""
        return transaction.made(self.ready)(values)

    def glance(self, store: Store, shape: object, values: Values) -> Rows | None:
        """Its rows as of the newest commit, without a transaction on that; None where it takes one."""
        return None


class ByRowid(Short):
    """Columns of the row whose rowid is the only parameter, an integer."""

    __slots__ = ("_number", "_pick", "_places")

    direct = True

    def __init__(self, number: int, places: Sequence[int], width: int) -> None:
        super().__init__(self._ready)
        self._number = number
        self._pick = picking(places, width)
        self._places = frozenset(places)

    def rows(self, transaction: Transaction, values: Values) -> Rows | None:
        row = transaction.row(self._number, values[0])
        if row is None:
            return []
        pick = self._pick
        return [row if pick is None else pick(row)]

    def glance(self, store: Store, shape: object, values: Values) -> Rows | None:
        row = store.row_now(shape, self._number, values[0])
        if row is None:
            return []
        if row is NOT_AT_HAND:
            return None
        pick = self._pick
        return [row if pick is None else pick(row)]

    def _ready(self, transaction: Transaction) -> Ready:
        tree, pick, places = transaction.tree(self._number), self._pick, self._places
        hot_row, keep = hot_rows(tree)
        if tree.has_long:  # a row may lack the long values that nobody asks for here
            keep = _keep_none

        def rows(values: Values) -> Rows | None:
            try:
                (key,) = values
            except ValueError:
                return None
            if key.__class__ is not int:
                return None
            row = hot_row(key)
            if row is None:
                row = tree.get(key, None, places)
                if row is None:
                    return []
                keep(key, row)
            return [row if pick is None else pick(row)]

        return rows


def picked(found: Sequence[Any] | None, pick: Pick | None) -> Sequence[Any] | None:
    """Keys as `pick` makes them."""
    return found if found is None or pick is None else picked_keys(found, pick)


def run_of(tree: Tree, pick: Pick | None, prefix: Operand, *, reverse: bool) -> Keys:
    """The first keys that begin with `prefix`: no more than are wanted are looked at, for the run may be long."""

    def keys(values: Values, count: int) -> Sequence[Any] | None:
        start = prefix(values)
        if reverse:
            found = tree.preceding(start, count, inclusive=True)
        else:
            found = tree.following(start, count)
        if found is None:  # there are not so many up to the end of the tree
            found = tree.prefixed(start)
            if found is None:
                return None
            return picked(found[: -count - 1 : -1] if reverse else found[:count], pick)
        width = len(start)
        if found and found[-1][:width] != start:
            found = [key for key in found if key[:width] == start]
        return picked(found, pick)

    return keys


def all_of(tree: Tree, pick: Pick | None, prefix: Operand) -> Keys:
    """All keys that begin with `prefix`, where they are not many, to be counted."""

    def keys(values: Values, count: int) -> Sequence[Row] | None:
        start = prefix(values)
        return picked(tree.between(start, start, hi_inclusive=True), pick)

    return keys


def within(
    tree: Tree,
    pick: Pick | None,
    prefix: Operand,
    low: Operand,
    high: Operand,
    low_inclusive: bool,
    high_inclusive: bool,
    *,
    reverse: bool,
) -> Keys:
    """The keys that begin with `prefix` and go on between two bounds."""

    def keys(values: Values, count: int) -> Sequence[Row] | None:
        parts = prefix(values)
        lo, hi = (*parts, low(values)), (*parts, high(values))
        found = tree.between(lo, hi, lo_inclusive=low_inclusive, hi_inclusive=high_inclusive)
        if found is None:
            return None
        if reverse:
            found = found[::-1]
        return picked(found if count >= len(found) else found[:count], pick)

    return keys


def first_within(
    tree: Tree,
    pick: Pick | None,
    prefix: Operand,
    low: Operand,
    high: Operand,
    low_inclusive: bool,
    high_inclusive: bool,
    *,
    reverse: bool,
) -> Keys:
    """The same where a bound may be missing: as many as are wanted of an end of the range."""

    def keys(values: Values, count: int) -> Sequence[Any] | None:
        bounds = prefix(values), low(values), high(values)
        found = first_keys(tree, count, *bounds, low_inclusive, high_inclusive, reverse)
        return picked(found, pick)

    return keys


def from_below(tree: Tree, pick: Pick | None, low: Operand, inclusive: bool) -> Keys:
    """The keys of an index from a bound on its first part on."""
    if low is unbound:
        return lambda values, count: tree.following((), count, pick=pick)
    if low is present:
        return lambda values, count: tree.following((None,), count, beyond=True, pick=pick)
    beyond = not inclusive
    return lambda values, count: tree.following((low(values),), count, beyond=beyond, pick=pick)


def from_above(
    tree: Tree, pick: Pick | None, high: Operand, inclusive: bool, *, with_null: bool
) -> Keys:
    """The keys of an index down from a bound on its first part; a bound leaves NULL out."""
    if high is not unbound:

        def keys(values: Values, count: int) -> Sequence[Any] | None:
            found = tree.preceding((high(values),), count, inclusive=inclusive)
            return None if found is None or found[-1][0] is None else picked(found, pick)

        return keys
    if with_null:
        return lambda values, count: tree.preceding((), count, inclusive=True, pick=pick)

    def present(values: Values, count: int) -> Sequence[Any] | None:
        found = tree.preceding((), count, inclusive=True)
        return None if found is None or found[-1][0] is None else picked(found, pick)

    return present


def fetching(
    index: Tree,
    prefix: Operand,
    types: tuple[type, ...],
    fetched: Callable[[Sequence[int]], Rows | None],
) -> Ready:
    """Rows by the row ids that an index has; `fetched`: see `Fetch.rows`."""
    hot_ids, keep = hot_rows(index)

    def rows(values: Values) -> Rows | None:
        if tuple(map(type, values)) != types:
            return None
        key = prefix(values)
        rowids = hot_ids(key)
        if rowids is None:
            rowids = index.last_parts(key)
            if rowids is None:
                return None
            if len(rowids) <= HOT_MAX:
                keep(key, tuple(rowids))  # no list: the garbage collector lets go of it
        return fetched(rowids)

    return rows


class Fetch(NamedTuple):
    """A table of which some rows are wanted: which of their columns, and what picks these."""

    tree_id: int
    columns: list[int]
    pick: Pick | None

    def rows(self, transaction: Transaction) -> Callable[[Sequence[int]], Rows | None]:
        """What gives the rows of some row ids, None if one of them has none."""
        table, columns, pick = transaction.tree(self.tree_id), self.columns, self.pick
        hot_row, keep = hot_rows(table)

        def rows(rowids: Sequence[int]) -> Rows | None:
            if len(rowids) > HOT_MAX:  # there is no room for what long results might want once more
                found = table.get_many(rowids, columns)
                if None in found:
                    return None
                return found if pick is None else [*map(pick, found)]
            found = []
            for rowid in rowids:
                row = hot_row(rowid)
                if row is None:
                    row = table.get(rowid)
                    if row is None:
                        return None
                    keep(rowid, row)
                found.append(row if pick is None else pick(row))
            return found

        return rows


def hot_rows(tree: Tree) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None]]:
    """What looks for a row among those that were asked for lately, and what keeps one there; of an index for the row
    ids that it has for a prefix."""
    hot = tree.hot_rows()
    return _NONE_HOT if hot is None else (hot.finder, hot.keeper)


def _keep_none(key: Any, row: Any) -> None:
    pass


_NONE_HOT: Any = ({}.get, _keep_none)


def tree_end(tree: Tree, name: str, *, of_index: bool, nullable: bool) -> Callable[[], Any]:
    """What gives an end of a tree; no `name`: its length."""
    least = name == "min"
    if not name:
        return lambda: len(tree)
    if of_index:
        return lambda: index_end(tree, least, nullable)
    return lambda: rowid_end(tree, least)


def unbound(values: Values) -> Any:
    return UNBOUND


def present(values: Values) -> Any:
    return PRESENT


def picking(places: Sequence[int], width: int) -> Pick | None:
    """What makes a row of some places of a row of `width`; None where it is the same."""
    if [*places] == [*range(width)]:
        return None
    if len(places) > 1:
        pick: Any = itemgetter(*places)
        return pick  # type: ignore[no-any-return]
    (place,) = places
    return lambda row: (row[place],)
