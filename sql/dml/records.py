"""Rows of one table as they are stored: affinities, generated columns, constraints, index keys.

`TableRecords` is made once per plan from the table's definition; what it does to a row is generated
Python where it is done to every row.  Row tuples are as wide as the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sql.collations import folding
from sql.compile import compile_row_function
from sql.errors import ConstraintError, SqlError
from sql.expressions import ROWID, Affinity
from sql.parse import parse_expression
from sql.values import apply_affinity, truth

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Index, Table

Row = tuple[Any, ...]
RowFunction = Callable[["Context", Row, Any], Row]

_KIND_BITS: dict[type, int] = {type(None): 1, int: 2, float: 4, str: 8, bytes: 16}
_RIGHT_CLASS = {
    Affinity.INTEGER: "int",
    Affinity.NUMERIC: "int",
    Affinity.REAL: "float",
    Affinity.TEXT: "str",
}
_STRICT_CLASSES: dict[str, tuple[type, ...]] = {
    "INT": (int,),
    "INTEGER": (int,),
    "REAL": (float,),
    "TEXT": (str,),
    "BLOB": (bytes,),
}


class IndexKeys:
    """How an index's keys are made from rows."""

    __slots__ = ("condition", "index", "key", "parts", "tree_id", "unique")

    def __init__(self, index: Index, table: Table, env: BindEnvironment) -> None:
        self.index = index
        self.tree_id = index.tree_id
        self.unique = index.unique
        self.parts = len(index.columns)
        self.condition: RowFunction | None = None
        if index.where is not None:
            self.condition = compile_row_function([parse_expression(index.where)], table, env)
        self.key: Callable[[Context | None, Row, Any], Row] = self._key(index, table, env)

    def _key(self, index: Index, table: Table, env: BindEnvironment) -> Any:
        names: dict[str, Any] = {}
        sources = []
        for place, part in enumerate(index.columns):
            if part.expression is not None:
                names[f"e{place}"] = compile_row_function(
                    [parse_expression(part.expression)], table, env
                )
                source = f"e{place}(ctx, row, key)[0]"
            elif part.column == ROWID:
                source = "key"
            else:
                source = f"row[{part.column}]"
            fold = folding(part.collation, env.functions.collations)
            if fold is not None:
                names[f"f{place}"] = fold
                source = f"f{place}({source})"
            sources.append(source)
        tail = "*key" if table.without_rowid else "key"
        return eval(f"lambda ctx, row, key: ({', '.join([*sources, tail])},)", names)

    def applies(self, ctx: Context, row: Row, key: Any) -> bool:
        """Whether the row belongs in the (partial) index."""
        return self.condition is None or bool(truth(self.condition(ctx, row, key)[0]))

    def message(self, table: Table) -> str:
        """UNIQUE constraint failed: t.a, t.b."""
        if any(part.expression is not None for part in self.index.columns):
            return f"UNIQUE constraint failed: index '{self.index.name}'"
        names = []
        for part in self.index.columns:
            assert part.column is not None
            name = "rowid" if part.column == ROWID else table.columns[part.column].name
            names.append(f"{table.name}.{name}")
        return f"UNIQUE constraint failed: {', '.join(names)}"


class TableRecords:
    """What is known of a table when its rows are written."""

    def __init__(self, table: Table, env: BindEnvironment) -> None:
        self.table = table
        self.env = env
        self.width = len(table.columns)
        self.convert: Callable[[Row], Row] = self._conversion(table)
        self.indexes = [IndexKeys(index, table, env) for index in env.schema.indexes_on(table.name)]
        self.not_null = [
            (place, column)
            for place, column in enumerate(table.columns)
            if column.not_null and place != table.rowid_alias
        ]
        self.generated = [
            place for place, column in enumerate(table.columns) if column.generated is not None
        ]
        self._generate: list[tuple[int, RowFunction]] | None = None
        self._checks: RowFunction | None = None
        self.strict = [
            (place, _STRICT_CLASSES[(column.declared_type or "").upper()], column)
            for place, column in enumerate(table.columns)
            if table.strict and (column.declared_type or "").upper() in _STRICT_CLASSES
        ]
        self.primary_key: Callable[[Row], Row] | None = None
        if table.without_rowid:
            self.primary_key = self._primary_key(table)

    # -- conversions -----------------------------------------------------------------------------

    def _conversion(self, table: Table) -> Any:
        names: dict[str, Any] = {"apply_affinity": apply_affinity}
        sources = []
        changed = False
        for place, column in enumerate(table.columns):
            right = _RIGHT_CLASS.get(column.affinity)
            if right is None:
                sources.append(f"row[{place}]")
                continue
            changed = True
            names[f"a{place}"] = column.affinity
            sources.append(
                f"row[{place}] if row[{place}].__class__ is {right} or row[{place}] is None"
                f" else apply_affinity(row[{place}], a{place})"
            )
        if not changed:
            return lambda row: row
        return eval(f"lambda row: ({', '.join(sources)},)", names)

    def convert_many(self, rows: list[Row]) -> tuple[list[Row], list[set[type]]]:
        """Rows under the columns' affinities, and per column the classes of their values."""
        columns = list(zip(*rows, strict=True))
        classes: list[set[type]] = []
        changed = False
        for place, column in enumerate(self.table.columns):
            found = set(map(type, columns[place]))
            right = _RIGHT_CLASS.get(column.affinity)
            if right is not None:
                wanted = {int: "int", float: "float", str: "str", type(None): right}
                if any(wanted.get(kind, "") != right for kind in found):
                    affinity = column.affinity
                    columns[place] = tuple(
                        [apply_affinity(value, affinity) for value in columns[place]]
                    )
                    found = set(map(type, columns[place]))
                    changed = True
            classes.append(found)
        if changed:
            rows = list(zip(*columns, strict=True))
        return rows, classes

    def _primary_key(self, table: Table) -> Any:
        names: dict[str, Any] = {}
        sources = []
        for place in table.primary_key:
            fold = folding(table.columns[place].collation, self.env.functions.collations)
            source = f"row[{place}]"
            if fold is not None:
                names[f"f{place}"] = fold
                source = f"f{place}({source})"
            sources.append(source)
        return eval(f"lambda row: ({', '.join(sources)},)", names)

    def primary_key_message(self) -> str:
        table = self.table
        if table.rowid_alias is not None:
            return f"UNIQUE constraint failed: {table.name}.{table.columns[table.rowid_alias].name}"
        if table.without_rowid:
            names = [f"{table.name}.{table.columns[place].name}" for place in table.primary_key]
            return f"UNIQUE constraint failed: {', '.join(names)}"
        return f"UNIQUE constraint failed: {table.name}.rowid"

    # -- constraints of a row --------------------------------------------------------------------

    def fill_generated(self, ctx: Context, row: Row, key: Any) -> Row:
        """The row with its generated columns computed, those that others need first."""
        if not self.generated:
            return row
        if self._generate is None:
            self._generate = self._generators()
        values = list(row)
        for place, function in self._generate:
            value = function(ctx, tuple(values), key)[0]
            values[place] = apply_affinity(value, self.table.columns[place].affinity)
        return tuple(values)

    def _generators(self) -> list[tuple[int, RowFunction]]:
        from sqlglot import exp

        names = {self.table.columns[place].name.lower(): place for place in self.generated}
        trees: dict[int, Any] = {}
        needs: dict[int, set[int]] = {}
        for place in self.generated:
            text = self.table.columns[place].generated
            assert text is not None
            trees[place] = parse_expression(text)
            named = {column.name.lower() for column in trees[place].find_all(exp.Column)}
            needs[place] = {names[name] for name in named & names.keys()}
        ordered: list[int] = []
        while len(ordered) < len(trees):
            ready = [p for p in trees if p not in ordered and needs[p] <= set(ordered)]
            if not ready:
                raise SqlError(f"generated column loop on table {self.table.name}")
            ordered += ready
        return [
            (place, compile_row_function([trees[place]], self.table, self.env)) for place in ordered
        ]

    def check_types(self, row: Row) -> None:
        """STRICT: every value is of its column's type."""
        for place, classes, column in self.strict:
            value = row[place]
            if value is not None and value.__class__ not in classes:
                kinds = {int: "INT", float: "REAL", str: "TEXT", bytes: "BLOB"}
                raise ConstraintError(
                    f"cannot store {kinds[value.__class__]} value in "
                    f"{(column.declared_type or '').upper()} column {self.table.name}.{column.name}",
                    kind="DATATYPE",
                )

    @property
    def has_checks(self) -> bool:
        return bool(self.table.checks)

    def failed_check(self, ctx: Context, row: Row, key: Any) -> str | None:
        """The message of the first CHECK that the row breaks."""
        if not self.table.checks:
            return None
        if self._checks is None:
            trees = [parse_expression(check.expression) for check in self.table.checks]
            self._checks = compile_row_function(trees, self.table, self.env)
        for value, check in zip(self._checks(ctx, row, key), self.table.checks, strict=True):
            if truth(value) is False:
                return f"CHECK constraint failed: {check.name or check.expression}"
        return None

    # -- kinds -----------------------------------------------------------------------------------

    def widen(self, transaction: Transaction, row: Row) -> None:
        """Make sure that the table's mask of kinds covers a row that is about to be written."""
        tree = transaction.tree(self.table.tree_id)
        kinds = tree.kinds
        if len(kinds) == len(row):
            for value, mask in zip(row, kinds, strict=True):
                if not _KIND_BITS[value.__class__] & mask:
                    break
            else:
                return
        tree.widen([_KIND_BITS[value.__class__] for value in row])

    def widen_classes(self, transaction: Transaction, classes: Sequence[set[type]]) -> None:
        """The same for many rows, by the classes of their values per column."""
        tree = transaction.tree(self.table.tree_id)
        masks = [sum({_KIND_BITS[kind] for kind in found}) for found in classes]
        kinds = tree.kinds
        if len(kinds) != len(masks) or any(
            mask & ~known for mask, known in zip(masks, kinds, strict=True)
        ):
            tree.widen(masks)
