"""Short queries: one access to one table, and columns of the rows that it finds.

They are what programs ask most often, some microseconds of work each, of which the general way (a context, the
plan's checks, functions and batches) would be more than half.  Once a session keeps a reader, such a query is
made *ready* for it: a function from the parameters' values to the rows that knows the reader's trees.  It is
good for as long as that reader is: nothing that was looked at when it was made can change before.

What such a function can't say in a few steps (a range that goes on in the next leaf, values of another kind) it
leaves to the plan's code, by giving None.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from btree import Row, Transaction
from sql.expressions import ROWID, ColumnRef
from sql.plan import Block, Select, TableRelation
from sql.point import rowid_parameter

if TYPE_CHECKING:
    from sql.plan import ResultColumn

Rows = list[Row]
Ready = Callable[[tuple[Any, ...]], "Rows | None"]
"""From the values of all parameters to the rows; None where the plan has to be run."""

ReadyQuery = tuple[Ready, tuple["ResultColumn", ...]]
"""A query that is ready, and its columns."""

Pick = Callable[[Row], Row]


class Short(Protocol):
    """A short query."""

    def rows(self, transaction: Transaction, values: tuple[Any, ...]) -> Rows:
        """Its rows in any transaction."""

    def ready(self, transaction: Transaction) -> Ready:
        """It, ready for a transaction that reads."""


class ByRowid:
    """Columns of the row whose rowid is parameter `number`, an integer, the only parameter there is.

    `pick` makes the result's row of the table's; None where it is the same."""

    __slots__ = ("number", "pick", "tree_id")

    def __init__(self, tree_id: int, pick: Pick | None) -> None:
        self.tree_id = tree_id
        self.pick = pick

    def rows(self, transaction: Transaction, values: tuple[Any, ...]) -> Rows:
        row = transaction.tree(self.tree_id).get(values[0])
        if row is None:
            return []
        pick = self.pick
        return [row if pick is None else pick(row)]

    def ready(self, transaction: Transaction) -> Ready:
        tree, pick = transaction.tree(self.tree_id), self.pick
        get = tree.get
        hot = tree.hot_rows()
        hot_row, keep = _NONE_HOT if hot is None else (hot.rows.get, hot.keep)

        def rows(values: tuple[Any, ...]) -> Rows | None:
            try:
                (key,) = values
            except ValueError:
                return None
            if key.__class__ is not int:
                return None
            row = hot_row(key)
            if row is None:
                row = get(key)
                if row is None:
                    return []
                keep(key, row)
            return [row if pick is None else pick(row)]

        return rows


def _keep_none(key: Any, row: Any) -> None:
    pass


_NONE_HOT: Any = ({}.get, _keep_none)


def short_query(block: Block, types: tuple[type, ...]) -> Short | None:
    """The short query that a query with parameters of these types comes to; None if it is none."""
    if types != (int,) or not isinstance(block, Select):
        return None
    if block.limit is not None or block.offset is not None:
        return None
    if block.keys is not None or block.aggregates or block.having or block.windows:
        return None
    if rowid_parameter(block) is None:
        return None
    relation = block.items[0].relation
    assert isinstance(relation, TableRelation)
    places = []
    for output in block.outputs:
        if not isinstance(output, ColumnRef) or output.source != relation.source:
            return None
        places.append(output.column)
    if not places or ROWID in places:
        return None
    return ByRowid(relation.table.tree_id, picking(places, len(relation.table.columns)))


def picking(places: list[int], width: int) -> Pick | None:
    """What makes a row of some places of a row of `width`; None where it is the same."""
    if places == list(range(width)):
        return None
    if len(places) > 1:
        pick: Any = itemgetter(*places)
        return pick  # type: ignore[no-any-return]
    place = places[0]
    return lambda row: (row[place],)
