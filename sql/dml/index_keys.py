"""An index's entries, made from rows one at a time or many at once.

An entry is the tuple of the index's parts, each under its collation's folding, and then the row's tree
key: one rowid, or the elements of a WITHOUT ROWID table's key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice, repeat
from operator import itemgetter, le
from typing import TYPE_CHECKING, Any

from btree import key_parts
from sql.collations import folding
from sql.compile import compile_row_function, compile_rows_function
from sql.dml.entry_sorting import sort_entries
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


class IndexKeys:
    """How an index's entries are made from rows.

    `key(ctx, row, key)` gives an entry.  `columns` are the places of the row that its parts are; None
    where it takes more than that (expressions, partial indexes).  `reads` are those that it depends on."""

    __slots__ = (
        "_computed",
        "_folds",
        "_made",
        "_without_rowid",
        "columns",
        "condition",
        "index",
        "key",
        "parts",
        "reads",
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
        self._made: Any = None
        if self.columns is not None:
            self.reads = self.columns
        else:
            self._made, self.reads = self._of_rows(table, env)

    def _of_rows(self, table: Table, env: BindEnvironment) -> tuple[Any, frozenset[int]]:
        """The function for the entries of many rows, None for those that have none, and the columns that it reads."""
        columns = self.index.columns
        expressions = [part.expression for part in columns if part.expression is not None]
        where = None if self.index.where is None else parse_expression(self.index.where)

        def made(values: Sequence[str], row: str, key: str, name: Callable[[Any], str]) -> str:
            return self._source(iter(values), row, key, name)

        parsed = list(map(parse_expression, expressions))
        function, read = compile_rows_function(parsed, where, table, env, made)
        return function, read.union([part.column for part in columns if part.column is not None])

    def _key(self, table: Table, env: BindEnvironment) -> Any:
        self._computed = [
            compile_row_function([parse_expression(part.expression)], table, env)
            for part in self.index.columns
            if part.expression is not None
        ]
        names: dict[str, Any] = {}

        def name(value: Any) -> str:
            names[f"f{len(names)}"] = value
            return f"f{len(names) - 1}"

        return eval(f"lambda ctx, row, key: {self.key_source('row', 'key', name)}", names)

    def key_source(self, row: str, key: str, name: Callable[[Any], str]) -> str:
        """Python for the entry of a row that is in a variable, with its key in another; `name` is what an object is
        called."""
        computed = [f"{name(function)}(ctx, {row}, {key})[0]" for function in self._computed]
        return self._source(iter(computed), row, key, name)

    def part_sources(self, row: str, key: str, name: Callable[[Any], str]) -> list[str]:
        """The same for each of its parts, of an index of columns; the key is asked for only where it is one of them."""
        return self._part_sources(iter(()), row, key, name)

    def _source(
        self, computed: Iterator[str], row: str, key: str, name: Callable[[Any], str]
    ) -> str:
        """The entry; `computed` are the sources of the parts that are expressions."""
        sources = self._part_sources(computed, row, key, name)
        sources.append(f"*{key}" if self._without_rowid else key)
        return f"({', '.join(sources)},)"

    def _part_sources(
        self, computed: Iterator[str], row: str, key: str, name: Callable[[Any], str]
    ) -> list[str]:
        sources = []
        for part, fold in zip(self.index.columns, self._folds, strict=True):
            if part.expression is not None:
                source = next(computed)
            else:
                source = key if part.column == ROWID else f"{row}[{part.column}]"
            sources.append(source if fold is None else f"{name(fold)}({source})")
        return sources

    def depends_on(self, changed: Collection[int]) -> bool:
        """Whether entries may change with these columns of a row."""
        return not self.reads.isdisjoint(changed)

    def applies(self, ctx: Context, row: Row, key: Any) -> bool:
        """Whether the row belongs in the (partial) index."""
        return self.condition is None or bool(truth(self.condition(ctx, row, key)[0]))

    def entry(self, ctx: Context, row: Row, key: Any) -> Row | None:
        """The row's entry; None if it has none."""
        if self.condition is None or truth(self.condition(ctx, row, key)[0]):
            return self.key(ctx, row, key)
        return None

    @property
    def stored_columns(self) -> tuple[int, ...] | None:
        """The places of the row that entries are made of, in their order, ROWID for the rowid, and then comes the
        tree key; None if it takes more than that."""
        if self.columns is None:
            return None
        return tuple([part.column for part in self.index.columns if part.column is not None])

    def from_columns(self, columns: Sequence[Sequence[Any]], keys: Sequence[Any]) -> list[Row]:
        """The entries of rows that are given by the columns of `stored_columns`."""
        return list(zip(*self.entry_columns(columns, keys), strict=True))

    def entry_columns(
        self, columns: Sequence[Sequence[Any]], keys: Sequence[Any]
    ) -> list[Sequence[Any]]:
        """The columns of the entries of rows that are given so."""
        folded = [
            values if fold is None else list(map(fold, values))
            for values, fold in zip(columns, self._folds, strict=True)
        ]
        return [*folded, *zip(*keys, strict=True)] if self._without_rowid else [*folded, keys]

    def from_reads(
        self, ctx: Context, columns: Mapping[int, Sequence[Any]], keys: Sequence[Any]
    ) -> Sequence[Row | None]:
        """The entries of rows that are given by the columns that they depend on; None for a row outside of a partial index."""
        places = self.stored_columns
        if places is not None:
            return self.from_columns([columns[place] for place in places], keys)
        reads = self.reads
        width = max(reads, default=ROWID) + 1
        values = [columns[place] if place in reads else repeat(None) for place in range(width)]
        rows: Iterable[Row] = zip(*values, strict=False) if width else repeat(())
        made: list[Row | None] = self._made(ctx, rows, keys)
        return made

    def each(self, ctx: Context, rows: Sequence[Row], keys: Sequence[Any]) -> Sequence[Row | None]:
        """The same of rows that are given as such."""
        if self._made is not None:
            made: list[Row | None] = self._made(ctx, rows, keys)
            return made
        return self.entries(ctx, rows, keys)

    def entries(self, ctx: Context, rows: Sequence[Row], keys: Sequence[Any]) -> list[Row]:
        """The entries of many rows, in their order; those of rows outside of a partial index are left
        out."""
        places = self.stored_columns
        if places is not None:
            columns: list[Any] = [
                keys if place == ROWID else map(itemgetter(place), rows) for place in places
            ]
            return self.from_columns(columns, keys)
        return present(self._made(ctx, rows, keys))

    def are_ascending(self, rows: Sequence[Row], keys: Sequence[Any]) -> bool:
        """Whether the first values of many rows' entries come in their order, so that nothing has to be sorted."""
        places = self.stored_columns
        if places is None or self._folds[0] is not None:
            return False
        firsts = keys if places[0] == ROWID else list(map(itemgetter(places[0]), rows))
        try:
            return all(map(le, firsts, islice(firsts, 1, None)))
        except TypeError:
            return False

    # -- uniqueness ------------------------------------------------------------------------------

    def other(self, tree: Tree, entry: Row) -> Any:
        """The tree key of the row that has the entry's values already; None if there is none."""
        prefix = entry[: self.parts]
        if None in prefix:
            return None
        found = tree.prefixed(prefix)
        return self.row_key(found[0]) if found else None

    def row_key(self, entry: Row) -> Any:
        """The tree key of the row that an entry stands for."""
        return entry[self.parts :] if self._without_rowid else entry[self.parts]

    def prefixes(self, entries: Sequence[Row]) -> list[Row]:
        """The unique values of entries, but for those with a NULL among them."""
        found = list(map(itemgetter(slice(self.parts)), entries))
        if any(None in map(itemgetter(place), entries) for place in range(self.parts)):
            return [prefix for prefix in found if None not in prefix]
        return found

    def values_of(self, rows: Sequence[Row], keys: Sequence[Any]) -> list[Any]:
        """The unique values of each row, bare of an index of one part, else a tuple; None with a NULL among them.  Of an
        index of columns."""
        places = self.stored_columns
        assert places is not None
        columns = [
            values if fold is None else list(map(fold, values))
            for values, fold in zip(
                [
                    list(keys if place == ROWID else map(itemgetter(place), rows))
                    for place in places
                ],
                self._folds,
                strict=True,
            )
        ]
        if len(columns) == 1:
            return columns[0]
        made: list[Any] = list(zip(*columns, strict=True))
        if any(None in values for values in columns):
            return [None if None in value else value for value in made]
        return made

    def value_of(self, entry: Row) -> Any:
        """The same of an entry, a NULL among others or not."""
        return entry[0] if self.parts == 1 else entry[: self.parts]

    def owners(self, tree: Tree, values: Iterable[Any]) -> dict[Any, Any]:
        """Whose some unique values are: of those that the tree holds, the tree keys of their rows.

        Where it is not much larger than they are many, all of it is looked at, in its order, for a fraction of what it
        takes to sort them and go from one to the next."""
        wanted = set(values)
        wanted.discard(None)
        if not wanted or not len(tree):
            return {}
        low: Row | None
        high: Row | None
        try:
            low, high = self._prefix(min(wanted)), self._prefix(max(wanted))
        except TypeError:  # of several kinds
            low = high = None
        about = tree.estimate(low, high, hi_inclusive=True)
        if about <= _SCANNED_PER_PROBE * len(wanted):
            return self._owners_in(tree.batches(low, high, hi_inclusive=True), wanted)
        prefixes = list(map(self._prefix, wanted))
        sort_entries(prefixes)
        found = zip(prefixes, tree.prefixed_many(prefixes), strict=True)
        return {self.value_of(prefix): self.row_key(keys[0]) for prefix, keys in found if keys}

    def _prefix(self, value: Any) -> Row:
        return (value,) if self.parts == 1 else value

    def _owners_in(
        self, batches: Iterable[tuple[Sequence[Row], Any]], wanted: set[Any]
    ) -> dict[Any, Any]:
        owners: dict[Any, Any] = {}
        parts, is_wanted = range(self.parts), wanted.__contains__
        for entries, _ in batches:
            columns = [key_parts(entries, at) for at in parts]
            there = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
            if wanted.isdisjoint(there):
                continue
            mask = list(map(is_wanted, there))
            if self._without_rowid:
                keys: Iterable[Any] = [self.row_key(entry) for entry in compress(entries, mask)]
            else:
                keys = compress(key_parts(entries, -1), mask)
            owners.update(zip(compress(there, mask), keys, strict=True))
        return owners

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
            found: set[Row] = set()
            single = parts == 1  # bare values are looked up for half of what tuples of one take
            wanted = set(map(itemgetter(0), prefixes)) if single else set(prefixes)
            prefix_of = itemgetter(0 if single else slice(parts))
            for keys, _ in tree.batches(first, last, hi_inclusive=True):
                found.update(wanted.intersection(map(prefix_of, keys)))
            return {(value,) for value in found} if single else found
        return set(compress(prefixes, tree.prefixes_present(prefixes)))

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


def same(old: Row | None, new: Row | None) -> bool:
    """Whether two index entries are the same to the byte: 1 and 1.0 are equal and not the same."""
    return old == new and (
        old is None or new is None or list(map(type, old)) == list(map(type, new))
    )


def present(entries: Iterable[Row | None]) -> list[Row]:
    """Those of the rows that have one."""
    return [entry for entry in entries if entry is not None]
