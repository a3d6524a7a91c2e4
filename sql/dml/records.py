"""Rows of one table as they are stored: affinities, generated columns, constraints of single rows.

`TableRecords` is made once per plan from the table's definition.  Most rows need no conversion at all,
and whether one does is a matter of its values' classes alone: `plain` remembers the tuples of classes
that are stored as they are, each with the tree's mask of kinds that is known to cover it, so
that a row of a known shape costs one dictionary look-up.  Row tuples are as wide as the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import sqlglot.expressions as exp

from sql.collations import folding
from sql.compile import compile_row_function, compile_rows_function, compile_values
from sql.dml.index_keys import IndexKeys, RowFunction
from sql.errors import ConstraintError, Interrupted, SqlError
from sql.expressions import Affinity
from sql.parse import parse_expression
from sql.values import apply_affinity, apply_affinity_to_all, truth

if TYPE_CHECKING:
    from btree import Tree
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Column, Index, Table

Row = tuple[Any, ...]
Shape = tuple[type, ...]
RowsFunction = Callable[["Context", Iterable[Row], Iterable[Any]], list[Any]]

T = TypeVar("T")

NULL = type(None)
KIND_BITS: dict[type, int] = {NULL: 1, int: 2, float: 4, str: 8, bytes: 16}
_CLASSES = frozenset(KIND_BITS)
_ALL_KINDS = sum(KIND_BITS.values())
_COMPILED_MAX = 16
"""Combinations of kinds that code is kept for."""
_TYPE_NAMES = {int: "INT", float: "REAL", str: "TEXT", bytes: "BLOB"}

UNCHANGED: dict[Affinity, frozenset[type]] = {
    Affinity.BLOB: frozenset((NULL, int, float, str, bytes)),
    Affinity.TEXT: frozenset((NULL, str, bytes)),
    Affinity.NUMERIC: frozenset((NULL, int, bytes)),
    Affinity.INTEGER: frozenset((NULL, int, bytes)),
    Affinity.REAL: frozenset((NULL, float, bytes)),
}
"""The classes of values that a column of an affinity stores as they are."""
_STRICT_CLASSES: dict[str, frozenset[type]] = {
    "INT": frozenset((NULL, int)),
    "INTEGER": frozenset((NULL, int)),
    "REAL": frozenset((NULL, float)),
    "TEXT": frozenset((NULL, str)),
    "BLOB": frozenset((NULL, bytes)),
}


class TableRecords:
    """What is known of a table when its rows are written."""

    def __init__(self, table: Table, env: BindEnvironment) -> None:
        self.table = table
        self.env = env
        self.width = len(table.columns)
        self.alias = table.rowid_alias
        self.affinities = [column.affinity for column in table.columns]
        self.unchanged = [UNCHANGED[affinity] for affinity in self.affinities]
        self.strict = [_strict_classes(table, column) for column in table.columns]
        self.allowed = [self._allowed(place, column) for place, column in enumerate(table.columns)]
        self.storable = [
            self._storable(place, column) for place, column in enumerate(table.columns)
        ]
        self.plain: dict[Shape, tuple[int, ...]] = {}
        self.stored: dict[Shape, tuple[int, ...]] = {}  # shapes that a tree of these kinds may have
        self.not_null = [
            (place, column)
            for place, column in enumerate(table.columns)
            if column.not_null and place != table.rowid_alias
        ]
        self.generated = [
            place for place, column in enumerate(table.columns) if column.generated is not None
        ]
        self.indexes = _in_order_of_checks(table, env)
        self.constraints = _constraints(table, self.indexes)
        self.primary_key: Callable[[Row], Row] | None = None
        if table.without_rowid:
            self.primary_key = _primary_key(table, env)
        self._generate: list[tuple[list[int], RowFunction]] | None = None
        self._generate_many: dict[tuple[int, ...], list[tuple[list[int], RowsFunction]]] = {}
        self._broken: dict[tuple[int, ...], RowsFunction] = {}
        self._checks: RowFunction | None = None
        self._defaults: dict[int, Callable[[Context], list[Row]]] = {}

    def _allowed(self, place: int, column: Column) -> frozenset[type]:
        """The classes of values that the column stores as they are."""
        return self.unchanged[place] & self._storable(place, column)

    def _storable(self, place: int, column: Column) -> frozenset[type]:
        """The classes of values that the column holds."""
        strict = self.strict[place]
        classes = _CLASSES if strict is None else strict
        return classes - {NULL} if column.not_null and place != self.alias else classes

    # -- conversions -----------------------------------------------------------------------------

    def convert(self, row: Row) -> Row:
        """The row under the columns' affinities."""
        for value, classes in zip(row, self.unchanged, strict=True):
            if value.__class__ not in classes:
                return tuple(map(apply_affinity, row, self.affinities))
        return row

    def is_plain(self, row: Row, tree: Tree) -> bool:
        """Whether the row is stored as it is, breaks no NOT NULL nor STRICT type, and is of kinds that
        the tree is known to hold.  Widens the tree's kinds for a new shape."""
        shape = tuple(map(type, row))
        plain = self.plain
        kinds = tree.kinds
        if plain.get(shape) is kinds and kinds:
            return True
        for kind, classes in zip(shape, self.allowed, strict=True):
            if kind not in classes:
                return False
        widen_by_classes(tree, [(kind,) for kind in shape])
        if len(plain) > 256:
            plain.clear()
        plain[shape] = tree.kinds
        return True

    def changed(self, row: Row, places: Iterable[int], tree: Tree) -> Row | None:
        """A stored row whose columns at `places` have been given other values, as it is stored; None if one of them
        breaks NOT NULL or a STRICT type.  Widens the tree's kinds for a new shape.

        What the other columns hold is stored as it is: a DATE column, whose texts might be numbers, is no reason
        to look at them again."""
        values = list(row)
        for place in places:
            value = values[place]
            if value.__class__ not in self.unchanged[place]:
                value = values[place] = apply_affinity(value, self.affinities[place])
            if value.__class__ not in self.storable[place]:
                return None
        shape = tuple(map(type, values))
        if self.stored.get(shape) is not tree.kinds:
            widen_by_classes(tree, [(kind,) for kind in shape])
            if len(self.stored) > 256:
                self.stored.clear()
            self.stored[shape] = tree.kinds
            if all(kind in classes for kind, classes in zip(shape, self.allowed, strict=True)):
                self.is_plain(tuple(values), tree)  # rows like it need not come here again
        return tuple(values)

    def default_value(self, ctx: Context, place: int) -> Any:
        """The value of a column's DEFAULT now; NULL without one."""
        text = self.table.columns[place].default
        if text is None:
            return None
        function = self._defaults.get(place)
        if function is None:
            function = self._defaults[place] = compile_values([[parse_expression(text)]], self.env)
        return function(ctx)[0][0]

    def moves(self, assigned: frozenset[int]) -> bool:
        """Whether an UPDATE of these columns (-1: the rowid) may give a row another tree key."""
        if self.table.without_rowid:
            return not assigned.isdisjoint(self.table.primary_key)
        return -1 in assigned or self.alias in assigned

    # -- constraints of a row --------------------------------------------------------------------

    def fill_generated(self, ctx: Context, row: Row, key: Any) -> Row:
        """The row with its generated columns computed, those that others need first."""
        if not self.generated:
            return row
        if self._generate is None:
            self._generate = [
                (places, compile_row_function(trees, self.table, self.env))
                for places, trees in self._generators()
            ]
        for places, function in self._generate:
            values = list(row)
            for place, value in zip(places, function(ctx, row, key), strict=True):
                values[place] = apply_affinity(value, self.affinities[place])
            row = tuple(values)
        return row

    def fill_all_generated(
        self,
        ctx: Context,
        rows: Sequence[Row],
        keys: Sequence[Any] | None,
        classes: list[set[type]],
        known: Sequence[int] = (),
    ) -> Sequence[Row]:
        """The same of many rows, by column; without `keys` they have no rowids.

        `classes`: those of the values by column, where none are given the kinds are `known`; those of generated columns
        are put in."""
        functions = self._of_kinds(self._generate_many, self._fillers, classes, known)
        for places, function in functions:
            made = function(ctx, rows, repeat(None) if keys is None else keys)
            columns: dict[int, Sequence[Any]] = {}
            for place, given in zip(places, zip(*made, strict=True), strict=True):
                values: Sequence[Any] = given
                found = set(map(type, values))
                if not found <= self.unchanged[place]:
                    values = apply_affinity_to_all(list(given), self.affinities[place], found)
                    found = set(map(type, values))
                columns[place], classes[place] = values, found
            rows = with_columns(rows, self.width, columns)
        return rows

    def _fillers(self, masks: tuple[int, ...]) -> list[tuple[list[int], RowsFunction]]:
        """What computes generated columns where the others are of some kinds."""
        table, env = self.table, self.env
        return [
            (places, compile_rows_function(trees, None, table, env, _tuple, masks)[0])
            for places, trees in self._generators()
        ]

    def _of_kinds(
        self,
        known: dict[tuple[int, ...], T],
        make: Callable[[tuple[int, ...]], T],
        classes: Sequence[set[type]],
        kinds: Sequence[int],
    ) -> T:
        """What is compiled for columns of these classes, or kinds where there are none: bare operators where numbers are
        meant, and so half of the time.  Generated columns, as yet, may hold anything."""
        masks = [
            sum([KIND_BITS[kind] for kind in values])
            or (kinds[place] if place < len(kinds) else _ALL_KINDS)
            for place, values in enumerate(classes)
        ]
        for place in self.generated:
            masks[place] = _ALL_KINDS
        wanted = tuple(masks)
        found = known.get(wanted)
        if found is None:
            if len(known) >= _COMPILED_MAX:
                known.clear()
            found = known[wanted] = make(wanted)
        return found

    def _generators(self) -> list[tuple[list[int], list[exp.Expression]]]:
        """Generated columns and their expressions; each group needs none but those of the ones before it."""
        names = {self.table.columns[place].name.lower(): place for place in self.generated}
        trees: dict[int, exp.Expression] = {}
        needs: dict[int, set[int]] = {}
        for place in self.generated:
            text = self.table.columns[place].generated
            assert text is not None
            trees[place] = parse_expression(text)
            named = {column.name.lower() for column in trees[place].find_all(exp.Column)}
            needs[place] = {names[name] for name in named & names.keys()}
        groups: list[tuple[list[int], list[exp.Expression]]] = []
        known: set[int] = set()
        while len(known) < len(trees):
            ready = [place for place in trees if place not in known and needs[place] <= known]
            if not ready:
                raise SqlError(f"generated column loop on table {self.table.name}")
            known.update(ready)
            groups.append((ready, [trees[place] for place in ready]))
        return groups

    def check_types(self, row: Row) -> None:
        """STRICT: every value is of its column's type."""
        if not self.table.strict:
            return
        for value, classes, column in zip(row, self.strict, self.table.columns, strict=True):
            if classes is not None and value.__class__ not in classes:
                raise ConstraintError(
                    f"cannot store {_TYPE_NAMES[value.__class__]} value in "
                    f"{(column.declared_type or '').upper()} column {self.table.name}.{column.name}",
                    kind="DATATYPE",
                )

    @property
    def has_checks(self) -> bool:
        return bool(self.table.checks)

    def check_function(self) -> RowFunction:
        """(ctx, row, key) -> the values of all CHECK expressions."""
        if self._checks is None:
            trees = [parse_expression(check.expression) for check in self.table.checks]
            self._checks = compile_row_function(trees, self.table, self.env)
        return self._checks

    def breaks_checks(
        self,
        ctx: Context,
        rows: Sequence[Row],
        keys: Sequence[Any],
        classes: Sequence[set[type]],
        known: Sequence[int] = (),
    ) -> bool:
        """Whether a CHECK is false of one of many rows, or fails to tell.  `classes`, `known`: as above."""
        try:
            broken = self._of_kinds(self._broken, self._breaker, classes, known)
            return any(broken(ctx, rows, keys))
        except Interrupted:
            raise
        except SqlError:
            return True

    def _breaker(self, masks: tuple[int, ...]) -> RowsFunction:
        """What says of rows with columns of some kinds whether a CHECK is false."""
        terms: list[exp.Expression] = [
            exp.Not(this=parse_expression(check.expression)) for check in self.table.checks
        ]
        condition = reduce(lambda one, other: exp.Or(this=one, expression=other), terms)
        return compile_rows_function([], condition, self.table, self.env, lambda *_: "True", masks)[
            0
        ]

    def failed_check(self, ctx: Context, row: Row, key: Any) -> str | None:
        """The message of the first CHECK that the row breaks."""
        if not self.table.checks:
            return None
        for value, check in zip(
            self.check_function()(ctx, row, key), self.table.checks, strict=True
        ):
            if truth(value) is False:
                return f"CHECK constraint failed: {check.name or check.expression}"
        return None

    # -- what constraints are called ---------------------------------------------------------------

    def message(self, index: IndexKeys | None) -> str:
        """`UNIQUE constraint failed: t.a`; None is the tree's own key."""
        if index is not None:
            return index.message(self.table)
        table = self.table
        if table.without_rowid:
            names = [f"{table.name}.{table.columns[place].name}" for place in table.primary_key]
            return f"UNIQUE constraint failed: {', '.join(names)}"
        alias = table.rowid_alias
        name = "rowid" if alias is None else table.columns[alias].name
        return f"UNIQUE constraint failed: {table.name}.{name}"

    def own_conflict(self, index: IndexKeys | None) -> str | None:
        """The constraint's own ON CONFLICT clause."""
        return self.table.rowid_conflict if index is None else index.index.conflict


def with_columns(
    rows: Sequence[Row], width: int, columns: Mapping[int, Sequence[Any]]
) -> Sequence[Row]:
    """The rows with other values in some columns."""
    if not columns:
        return rows
    return list(
        zip(
            *[columns.get(place) or map(itemgetter(place), rows) for place in range(width)],
            strict=True,
        )
    )


def _tuple(values: Sequence[str], *_: Any) -> str:
    """The source of a tuple."""
    return f"({', '.join(values)},)"


def widen_by_classes(tree: Tree, classes: Sequence[Sequence[type] | set[type]]) -> None:
    """Make sure that a tree's mask covers values of these classes, given per column."""
    masks = [sum([KIND_BITS[kind] for kind in found]) for found in classes]
    kinds = tree.kinds
    if len(kinds) != len(masks) or any(
        mask & ~known for mask, known in zip(masks, kinds, strict=True)
    ):
        tree.widen(masks)


def _strict_classes(table: Table, column: Column) -> frozenset[type] | None:
    if not table.strict:
        return None
    return _STRICT_CLASSES.get((column.declared_type or "").upper())


def _primary_key(table: Table, env: BindEnvironment) -> Any:
    names: dict[str, Any] = {}
    sources = []
    for place, collation in table.key_parts:
        fold = folding(collation, env.functions.collations)
        source = f"row[{place}]"
        if fold is not None:
            names[f"f{place}"] = fold
            source = f"f{place}({source})"
        sources.append(source)
    return eval(f"lambda row: ({', '.join(sources)},)", names)


def _in_order_of_checks(table: Table, env: BindEnvironment) -> list[IndexKeys]:
    """SQLite looks at the newest index first, at those that REPLACE last."""
    layer = env.schema.layer(table.database)
    assert layer is not None
    indexes: list[Index] = [
        index for index in reversed(layer.indexes_on(table.name)) if index.tree_id > 0
    ]
    indexes.sort(key=lambda index: index.conflict == "REPLACE")
    return [IndexKeys(index, table, env) for index in indexes]


def _constraints(table: Table, indexes: list[IndexKeys]) -> list[IndexKeys | None]:
    """The unique constraints in the order of checks; None is the tree's own key.

    A rowid comes first.  The key of a WITHOUT ROWID table has its place among the constraints'
    indexes: the number that their names leave out; newer ones come first, and those that REPLACE last."""
    unique = [keys for keys in indexes if keys.unique]
    if not table.without_rowid:
        return [None, *unique]
    prefix = f"sqlite_autoindex_{table.name}_".lower()
    numbers = [
        int(keys.index.name[len(prefix) :])
        if keys.index.name.lower().startswith(prefix)
        else 1 << 30
        for keys in unique
    ]
    own = next(number for number in range(1, len(numbers) + 2) if number not in numbers)
    own_place = (table.rowid_conflict == "REPLACE", -own)
    before = sum(
        (keys.index.conflict == "REPLACE", -number) < own_place
        for keys, number in zip(unique, numbers, strict=True)
    )
    return [*unique[:before], None, *unique[before:]]
