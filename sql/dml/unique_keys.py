"""Which row a statement means whose WHERE compares all columns of a unique constraint with parameters or literals.

The constraint may be a table's rowid, the key of a WITHOUT ROWID table, or a unique index: a PRIMARY KEY that is a text,
say.  A value is looked up as it was bound where it is of a class that the comparison leaves alone; any other
needs a closer look.  So are the rows of an index's entries, or of a WITHOUT ROWID table, whose keys begin with such values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isinf
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sql.collations import folding
from sql.dml.entry_sorting import sort_entries
from sql.dml.programs import value_number
from sql.expressions import ROWID, Affinity, ColumnRef, Compare, Expression, Literal
from sql.plan import Select, TableRelation
from sql.plan.operators import KeyRange

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.compile import CompiledQuery, RowCode
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

Operand = int | Literal
"""What a column is compared with: the parameter of a number, or a literal."""

RUN_MAX = 64
"""Rows that an index finds which are changed one by one: more are better changed in bulk.  Of many sets of parameters so many are
meant by each at most that all are changed together."""

_LOOKED_UP = 256
"""Sets of parameters whose rows are looked up at once, before these are counted."""


class UniqueKey:
    """The parameters and literals that say which row is meant.

    `index`: the unique index that finds it; None for the table's own key.  `places` are the columns, none for a rowid.
    `allowed`: of each parameter its number, and the classes that are looked up.  `of` is a function of the parameters that
    gives what is looked up, a rowid or a tuple.
    `is_all`: WHERE does nothing else; `is_given`: parameters are all that it compares with.
    Raises ValueError if a literal is of a class that is not looked up."""

    is_unique = True

    def __init__(
        self,
        records: TableRecords,
        index: IndexKeys | None,
        columns: Sequence[tuple[int, Operand, str]] = (),
        rowid: Operand = -1,
        *,
        is_all: bool,
    ) -> None:
        self.index = index
        self.is_all = is_all
        self._without_rowid = records.table.without_rowid
        self._tree_id = records.table.tree_id if index is None else index.tree_id
        self.places = frozenset([place for place, _, _ in columns])
        self.allowed: list[tuple[int, frozenset[type]]] = []
        self.is_given = True
        self._is_tuple = bool(columns)
        self._values: list[tuple[int | str, Any]] = []
        """Numbers of parameters and sources of literals, and what their texts are folded by, if they are."""
        if not columns:
            self._values.append((self._compared_with(rowid, _ROWIDS), None))
        for place, operand, collation in columns:
            fold = folding(collation, records.env.functions.collations)
            classes = _AS_THEY_ARE[records.affinities[place]]
            self._values.append((self._compared_with(operand, classes), fold))
        folds: list[Any] = []

        def name(fold: Any, hint: str) -> str:
            folds.append(fold)
            return f"{hint}[{len(folds) - 1}]"

        source = self._source("p[{}]".format, name)
        self.of: Callable[[Row], Any] = eval(f"lambda p: {source}", {"fold": folds})

    def _source(self, parameter: Callable[[int], str], name: Callable[[Any, str], str]) -> str:
        """What is looked up as an expression, with parameters and functions as they are called there."""
        sources = []
        for value, fold in self._values:
            source = parameter(value) if isinstance(value, int) else value
            sources.append(source if fold is None else f"{name(fold, 'fold')}({source})")
        if not self._is_tuple:
            return sources[0]
        return f"({''.join([f'{source}, ' for source in sources])})"

    def _compared_with(self, operand: Operand, classes: frozenset[type]) -> int | str:
        """The number of a parameter, or the source of a literal, which has to be of one of these classes."""
        if isinstance(operand, int):
            self.allowed.append((operand, classes))
            return operand
        value = operand.value
        if value.__class__ not in classes or (isinstance(value, float) and isinf(value)):
            raise ValueError(value)
        self.is_given = False
        return repr(value)

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

    def meant(self, ctx: Context, sets: dict[Any, Row]) -> dict[Any, Row] | None:
        """Sets of parameters by the keys of the rows that they mean, which ascend, of sets by what they look up; None if the
        rows are too many to be held."""
        wanted = list(sets)
        sort_entries(wanted)
        keys = self.tree_keys(ctx, wanted)
        if self.index is None:
            return {key: sets[key] for key in keys}
        by_key = {
            key: sets[value] for key, value in zip(keys, wanted, strict=True) if key is not None
        }
        return _ascending(by_key)

    def lines(self, key: str, none: str, code: RowCode) -> list[str]:
        """Python that sets `key` to the key of the row; `none` is what is returned if there is none."""
        looks, source = self._looks(code)
        if self.index is None:
            return [*looks, f"{key} = {source}"]
        return [
            *looks,
            f"met_ = txn.entry_with({code.tree_id(self._tree_id)}, {source})",
            f"if not met_: return None if met_ is None else {none}",
            f"{key} = met_{self._tail if self._without_rowid else '[-1]'}",
        ]

    def _looks(self, code: RowCode) -> tuple[list[str], str]:
        """Python that looks at the parameters, and the source of what is looked up."""
        looks: list[str] = []
        for number, classes in self.allowed:
            looks += code.allow(number, classes)
        return looks, self._source(code.parameter, code.name)

    @property
    def _tail(self) -> str:
        """Of an index's entry, what is the key of a row without a rowid."""
        assert self.index is not None
        return f"[{self.index.parts}:]"


class KeyRun(UniqueKey):
    """The parameters that say which entries of an index, or which rows of a WITHOUT ROWID table, are meant: those whose keys
    begin so."""

    is_unique = False

    def meant(self, ctx: Context, sets: dict[Any, Row]) -> dict[Any, Row] | None:
        """As `UniqueKey.meant`."""
        index = self.index
        tree = ctx.transaction.tree(self._tree_id)
        wanted = list(sets)
        sort_entries(wanted)
        by_key: dict[Any, Row] = {}
        for start in range(0, len(wanted), _LOOKED_UP):
            some = wanted[start : start + _LOOKED_UP]
            for value, keys in zip(some, tree.prefixed_many(some), strict=True):
                if keys:
                    found = keys if index is None else map(index.row_key, keys)
                    by_key.update(dict.fromkeys(found, sets[value]))
            if len(by_key) > RUN_MAX * max(len(sets), _LOOKED_UP):
                return None
        return by_key if index is None else _ascending(by_key)

    def lines(self, key: str, none: str, code: RowCode) -> list[str]:
        """Python that begins a loop over the keys, if they are few; it goes on with a deeper indentation."""
        looks, source = self._looks(code)
        has_tail = self.index is not None and self._without_rowid
        look_up = "prefixed" if self._without_rowid else "last_parts"
        rows = "found_"
        if self.index is not None and not has_tail and len(self._values) < self.index.parts:
            rows = (
                "sorted(found_)"  # the entries of one value of the rest ascend by themselves alone
            )
        return [
            *looks,
            f"found_ = txn.tree({code.tree_id(self._tree_id)}).{look_up}({source})",
            "if found_ is None: return None",
            f"if not found_: return {none}",
            f"if len(found_) > {RUN_MAX}: return None",
            f"for {key} in {rows}:",
            *([f"    {key} = {key}{self._tail}"] if has_tail else []),
        ]


def _ascending(by_key: dict[Any, Row]) -> dict[Any, Row]:
    found = list(by_key)
    sort_entries(found)
    return {key: by_key[key] for key in found}


def unique_key(query: CompiledQuery, records: TableRecords) -> UniqueKey | None:
    """What the scan of a statement compares with parameters or literals, if it can find one row at most."""
    try:
        return _unique_key(query, records)
    except ValueError:
        return None


def _unique_key(query: CompiledQuery, records: TableRecords) -> UniqueKey | None:
    block = query.block
    if not isinstance(block, Select) or block.limit is not None or block.order:
        return None
    compared, is_all = _compared(block, partial(_operand, env=records.env))
    table = records.table
    if not table.without_rowid:
        for column in (ROWID, table.rowid_alias):
            if column in compared:
                rowid, _ = compared[column]
                is_all = is_all and len(compared) == 1
                return UniqueKey(records, None, rowid=rowid, is_all=is_all)
    else:
        columns = _columns(table.key_parts, compared)
        if columns is not None:
            is_all = is_all and len(columns) == len(compared)
            return UniqueKey(records, None, columns, is_all=is_all)
    for index in records.indexes:
        if index.unique and index.columns is not None and ROWID not in index.columns:
            columns = _columns(_parts(index), compared)
            if columns is not None:
                is_all = is_all and len(columns) == len(compared)
                return UniqueKey(records, index, columns, is_all=is_all)
    return None


def key_run(query: CompiledQuery, records: TableRecords) -> KeyRun | None:
    """What the scan of a statement compares with parameters or literals, if an index finds the rows by that, or the key of
    their WITHOUT ROWID table: the one that the planner chose."""
    block = query.block
    if not isinstance(block, Select) or block.limit is not None or block.order:
        return None
    compared, is_all = _compared(block, partial(_operand, env=records.env))
    if not compared:
        return None
    access = query.access()
    if not isinstance(access, KeyRange) or (access.low, access.high, access.prefix) != (None,) * 3:
        return None
    tree_id, table = access.path.tree_id, records.table
    index = next((index for index in records.indexes if index.tree_id == tree_id), None)
    if index is not None:
        parts = _parts(index)
        is_all = is_all and index.condition is None
    elif table.without_rowid and tree_id == table.tree_id:
        parts = [*table.key_parts]
    else:
        return None
    columns = _columns(parts[: len(access.equal)], compared)
    if not columns:
        return None
    try:
        return KeyRun(records, index, columns, is_all=is_all and len(columns) == len(compared))
    except ValueError:
        return None


def _parts(index: IndexKeys) -> list[tuple[int | None, str]]:
    return [(part.column, part.collation) for part in index.index.columns]


def _operand(value: Expression, env: BindEnvironment) -> Operand | None:
    return value if isinstance(value, Literal) else value_number(value, env)


def _compared(
    block: Select, operand_of: Callable[[Expression], Operand | None]
) -> tuple[dict[int, tuple[Operand, str]], bool]:
    """The columns that WHERE compares with parameters or literals, under which collations; and whether that is all it
    does."""
    found: dict[int, tuple[Operand, str]] = {}
    if len(block.items) != 1:
        return found, False
    relation = block.items[0].relation
    if not isinstance(relation, TableRelation) or relation.indexed_by is not None:
        return found, False
    for condition in block.where:
        if not isinstance(condition, Compare) or condition.op != "=":
            continue
        column, value, converted = condition.left, condition.right, condition.left_affinity
        operand = operand_of(value)
        if operand is None:
            column, operand, converted = value, operand_of(column), condition.right_affinity
        if not isinstance(column, ColumnRef) or operand is None:
            continue
        if column.source != relation.source or converted is not None or column.column in found:
            continue
        found[column.column] = operand, condition.collation
    return found, len(found) == len(block.where)


def _columns(
    parts: Sequence[tuple[int | None, str]], compared: dict[int, tuple[Operand, str]]
) -> list[tuple[int, Operand, str]] | None:
    """Place, operand and collation of each part, if they are all compared."""
    found = []
    for place, collation in parts:
        if place is None or place not in compared:
            return None
        operand, other = compared[place]
        if other.upper() != collation.upper():
            return None
        found.append((place, operand, collation))
    return found
