"""Which row a statement means whose WHERE compares all columns of a unique constraint with parameters.

The constraint may be a table's rowid, the key of a WITHOUT ROWID table, or a unique index: a PRIMARY KEY that is a text,
say.  A value is looked up as it was bound where it is of a class that the comparison leaves alone; any other
needs a closer look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sql import point
from sql.collations import folding
from sql.dml.programs import value_number
from sql.expressions import ROWID, Affinity, ColumnRef, Compare, Expression
from sql.plan import Select, TableRelation

if TYPE_CHECKING:
    from sql.compile import CompiledQuery
    from sql.context import Context
    from sql.dml.index_keys import IndexKeys
    from sql.dml.records import Row, TableRecords

_NUMBERS = frozenset((int, float, bytes))
_AS_THEY_ARE: dict[Affinity, frozenset[type]] = {
    Affinity.BLOB: frozenset((int, float, str, bytes)),
    Affinity.TEXT: frozenset((str, bytes)),
    Affinity.NUMERIC: _NUMBERS,
    Affinity.INTEGER: _NUMBERS,
    Affinity.REAL: _NUMBERS,
}
"""Classes of values that are compared as they are with a column of that affinity."""

_ROWIDS = frozenset((int,))


class UniqueKey:
    """The parameters that say which row is meant.

    `index`: the unique index that finds it; None for the table's own key.  `places` are the columns, none for a rowid.
    `allowed`: of each parameter its number, and the classes that are looked up.  `source` is what is looked up as
    an expression of the parameters `p`, a rowid or a tuple, under the names of `folds`; `of` the same as a function."""

    def __init__(
        self,
        records: TableRecords,
        index: IndexKeys | None,
        columns: Sequence[tuple[int, int, str]] = (),
        number: int = -1,
    ) -> None:
        self.index = index
        self._without_rowid = records.table.without_rowid
        self.places = frozenset([place for place, _, _ in columns])
        self.allowed: list[tuple[int, frozenset[type]]] = [(number, _ROWIDS)]
        self.folds: dict[str, Any] = {}
        self.source = f"p[{number}]"
        if columns:
            self.allowed = [
                (parameter, _AS_THEY_ARE[records.affinities[place]])
                for place, parameter, _ in columns
            ]
            sources = []
            for at, (_, parameter, collation) in enumerate(columns):
                fold = folding(collation, records.env.functions.collations)
                source = f"p[{parameter}]"
                if fold is not None:
                    self.folds[f"fold{at}"] = fold
                    source = f"fold{at}({source})"
                sources.append(f"{source}, ")
            self.source = f"({''.join(sources)})"
        self.of: Callable[[Row], Any] = eval(f"lambda p: {self.source}", dict(self.folds))

    def fits(self, sets: Iterable[Row]) -> bool:
        """Whether all of the parameters are of classes that are looked up."""
        return all(
            set(map(type, map(itemgetter(number), sets))) <= classes
            for number, classes in self.allowed
        )

    def tree_keys(self, ctx: Context, wanted: Sequence[Any]) -> list[Any]:
        """The keys of the rows that ascending values of `of` mean, of an index's None where there is none."""
        index = self.index
        if index is None:
            return list(wanted)
        found = ctx.transaction.tree(index.tree_id).prefixed_many(wanted)
        return [index.row_key(keys[0]) if keys else None for keys in found]

    def lines(self, key: str, none: str, name: Callable[..., str]) -> list[str]:
        """Python that sets `key` to the key of the row; `none` is what is returned if there is none."""
        looks = [
            f"if p[{number}].__class__ not in {name(classes, 'classes')}: return None"
            for number, classes in self.allowed
        ]
        source = self.source
        for fold, function in self.folds.items():
            source = source.replace(f"{fold}(", f"{name(function, 'fold')}(")
        if self.index is None:
            return [*looks, f"{key} = {source}"]
        if self._without_rowid:
            look_up, found = "prefixed", f"found_[0][{self.index.parts}:]"
        else:
            look_up, found = "last_parts", "found_[0]"
        return [
            *looks,
            f"found_ = txn.tree({self.index.tree_id}).{look_up}({source})",
            "if found_ is None: return None",
            f"if not found_: return {none}",
            f"{key} = {found}",
        ]


def unique_key(query: CompiledQuery, records: TableRecords) -> UniqueKey | None:
    """What the scan of a statement compares with parameters, where that is all that it does, and it can find one row at
    most."""
    block = query.block
    if not isinstance(block, Select) or block.limit is not None or block.order:
        return None
    number_of = partial(value_number, env=records.env)
    number = point.rowid_parameter(block, number_of)
    if number is not None:
        return UniqueKey(records, None, number=number)
    compared = _compared(block, number_of)
    if compared is None:
        return None
    table = records.table
    if table.without_rowid:
        own = [(place, table.columns[place].collation) for place in table.primary_key]
        columns = _columns(own, compared)
        if columns is not None:
            return UniqueKey(records, None, columns)
    for index in records.indexes:
        if index.unique and index.columns is not None and ROWID not in index.columns:
            parts = [(part.column or 0, part.collation) for part in index.index.columns]
            columns = _columns(parts, compared)
            if columns is not None:
                return UniqueKey(records, index, columns)
    return None


def _compared(
    block: Select, number_of: Callable[[Expression], int | None]
) -> dict[int, tuple[int, str]] | None:
    """The columns that WHERE compares with parameters, under which collations; None if it does anything else."""
    if len(block.items) != 1 or not block.where:
        return None
    relation = block.items[0].relation
    if not isinstance(relation, TableRelation) or relation.indexed_by is not None:
        return None
    found: dict[int, tuple[int, str]] = {}
    for condition in block.where:
        if not isinstance(condition, Compare) or condition.op != "=":
            return None
        column, value, converted = condition.left, condition.right, condition.left_affinity
        number = number_of(value)
        if number is None:
            column, number, converted = value, number_of(column), condition.right_affinity
        if not isinstance(column, ColumnRef) or number is None:
            return None
        if column.source != relation.source or converted is not None or column.column in found:
            return None
        found[column.column] = number, condition.collation
    return found


def _columns(
    parts: Sequence[tuple[int, str]], compared: dict[int, tuple[int, str]]
) -> list[tuple[int, int, str]] | None:
    """Place, parameter and collation of each part, if they are the columns that are compared, all of them."""
    if {place for place, _ in parts} != compared.keys() or len(parts) != len(compared):
        return None
    found = []
    for place, collation in parts:
        number, other = compared[place]
        if other.upper() != collation.upper():
            return None
        found.append((place, number, collation))
    return found
