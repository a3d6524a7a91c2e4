"""An index's entries, made from rows one at a time or many at once.

An entry is the tuple of the index's parts, each under its collation's folding, and then the row's tree
key: one rowid, or the elements of a WITHOUT ROWID table's key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from btree import order_key
from sql.collations import folding
from sql.compile import compile_row_function
from sql.expressions import ROWID
from sql.parse import parse_expression
from sql.values import truth

if TYPE_CHECKING:
    from btree import Tree
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Index, Table

Row = tuple[Any, ...]
RowFunction = Callable[["Context", Row, Any], Row]

_SCANNED_PER_PROBE = 8
_SORTED_WHOLE = 1000
"""Entries up to which a sort of whole tuples is not worth taking apart."""


class IndexKeys:
    """How an index's entries are made from rows.

    `key(ctx, row, key)` gives an entry.  `columns` are the places of the row that it depends on; None
    if that is not known (expressions, partial indexes)."""

    __slots__ = (
        "_folds",
        "_without_rowid",
        "columns",
        "condition",
        "index",
        "key",
        "parts",
        "tree_id",
        "unique",
    )

    def __init__(self, index: Index, table: Table, env: BindEnvironment) -> None:
        self.index = index
        self.tree_id = index.tree_id
        self.unique = index.unique
        self.parts = len(index.columns)
        self.condition: RowFunction | None = None
        if index.where is not None:
            self.condition = compile_row_function([parse_expression(index.where)], table, env)
        self._folds: list[Any] = [
            folding(part.collation, env.functions.collations) for part in index.columns
        ]
        self._without_rowid = table.without_rowid
        places = [part.column for part in index.columns]
        self.columns: frozenset[int] | None = None
        if index.where is None and None not in places:
            self.columns = frozenset(place for place in places if place is not None)
        self.key: Callable[[Context, Row, Any], Row] = self._key(table, env)

    def _key(self, table: Table, env: BindEnvironment) -> Any:
        names: dict[str, Any] = {}
        sources = []
        for place, part in enumerate(self.index.columns):
            if part.expression is not None:
                names[f"e{place}"] = compile_row_function(
                    [parse_expression(part.expression)], table, env
                )
                source = f"e{place}(ctx, row, key)[0]"
            elif part.column == ROWID:
                source = "key"
            else:
                source = f"row[{part.column}]"
            if self._folds[place] is not None:
                names[f"f{place}"] = self._folds[place]
                source = f"f{place}({source})"
            sources.append(source)
        tail = "*key" if table.without_rowid else "key"
        return eval(f"lambda ctx, row, key: ({', '.join([*sources, tail])},)", names)

    def depends_on(self, changed: Collection[int]) -> bool:
        """Whether entries may change with these columns of a row."""
        return self.columns is None or not self.columns.isdisjoint(changed)

    def applies(self, ctx: Context, row: Row, key: Any) -> bool:
        """Whether the row belongs in the (partial) index."""
        return self.condition is None or bool(truth(self.condition(ctx, row, key)[0]))

    def entry(self, ctx: Context, row: Row, key: Any) -> Row | None:
        """The row's entry; None if it has none."""
        if self.condition is None or truth(self.condition(ctx, row, key)[0]):
            return self.key(ctx, row, key)
        return None

    def entries(self, ctx: Context, rows: Sequence[Row], keys: Sequence[Any]) -> list[Row]:
        """The entries of many rows, in their order; those of rows outside of a partial index are left
        out."""
        if self.columns is not None and not self._without_rowid:
            parts: list[Any] = []
            for part, fold in zip(self.index.columns, self._folds, strict=True):
                assert part.column is not None
                values: Any = keys
                if part.column != ROWID:
                    values = map(itemgetter(part.column), rows)
                parts.append(values if fold is None else map(fold, values))
            return list(zip(*parts, keys, strict=True))
        make = self.key
        if self.condition is None:
            return [make(ctx, row, key) for row, key in zip(rows, keys, strict=True)]
        condition = self.condition
        return [
            make(ctx, row, key)
            for row, key in zip(rows, keys, strict=True)
            if truth(condition(ctx, row, key)[0])
        ]

    # -- uniqueness ------------------------------------------------------------------------------

    def other(self, tree: Tree, entry: Row) -> Any:
        """The tree key of the row that has the entry's values already; None if there is none."""
        prefix = entry[: self.parts]
        if None in prefix:
            return None
        for keys, _ in tree.batches(prefix, prefix, hi_inclusive=True):
            found = keys[0]
            return found[self.parts :] if self._without_rowid else found[self.parts]
        return None

    def taken(self, tree: Tree, prefixes: Sequence[Row]) -> set[Row]:
        """Those of many sorted prefixes, none with a NULL, that the tree holds."""
        if not prefixes or not len(tree):
            return set()
        first, last = prefixes[0], prefixes[-1]
        about = tree.estimate(first, last, hi_inclusive=True)
        parts = self.parts
        if about == 0 and not any(True for _ in tree.batches(first, last, hi_inclusive=True)):
            return set()
        if about <= _SCANNED_PER_PROBE * len(prefixes):
            wanted = set(prefixes)
            found: set[Row] = set()
            for keys, _ in tree.batches(first, last, hi_inclusive=True):
                found.update(wanted.intersection([key[:parts] for key in keys]))
            return found
        return {
            prefix
            for prefix in prefixes
            if any(True for _ in tree.batches(prefix, prefix, hi_inclusive=True))
        }

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


def sort_entries(entries: list[Any]) -> None:
    """Sort tree keys in SQL's order."""
    try:
        if len(entries) > _SORTED_WHOLE and entries[0].__class__ is tuple:
            _sort_tuples(entries)
        else:
            entries.sort()
    except TypeError:
        entries.sort(key=order_key)


def in_key_order(found: Sequence[Row]) -> list[Row]:
    """Rows that begin with their tree keys, in the order of these.

    What a statement does row by row goes in this order, whatever index found the rows: where one row's change
    gets in the way of another's, the outcome is no matter of the plan, and it is SQLite's, which collects
    rowids before it changes anything that triggers or other rows could see."""
    try:
        return sorted(found, key=itemgetter(0))
    except TypeError:
        return sorted(found, key=lambda item: order_key(item[0]))


def _sort_tuples(entries: list[Row]) -> None:
    """Sort by the first elements, compared as machine numbers or strings, then by the rest.

    Where first elements rarely repeat the second sort finds everything in its place: a third of the time
    of comparing tuples all along."""
    with suppress(TypeError):  # of two NULLs, which do compare within tuples
        entries.sort(key=itemgetter(0))
    entries.sort()
