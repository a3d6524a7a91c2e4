"""An index's entries, made from rows one at a time or many at once.

An entry is the tuple of the index's parts, each under its collation's folding, and then the row's tree
key: one rowid, or the elements of a WITHOUT ROWID table's key.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from math import inf
from operator import itemgetter, le
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

_BUCKET_ENTRIES = 256
_PIECE_ENTRIES = 4096
_SAMPLE_ENTRIES = 1000
_BUCKETS_OF_SAMPLE = 200
"""Texts are dealt by as much of their beginnings as makes no bucket larger than such a share of a sample."""

_PREFIX_MAX = 40
NULL = type(None)


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

    def entries(self, ctx: Context, rows: Sequence[Row], keys: Sequence[Any]) -> list[Row]:
        """The entries of many rows, in their order; those of rows outside of a partial index are left
        out."""
        places = self.stored_columns
        if places is not None:
            columns: list[Any] = [
                keys if place == ROWID else map(itemgetter(place), rows) for place in places
            ]
            return self.from_columns(columns, keys)
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


def sort_entries(entries: list[Any], parts: int = 0) -> None:
    """Sort tree keys in SQL's order.

    `parts`: promises that entries that are alike in so many parts are in order already, as they come
    from a scan of the table; what tells them apart is the tree key behind the parts."""
    try:
        if len(entries) > _SORTED_WHOLE and entries[0].__class__ is tuple:
            _sort_tuples(entries, parts)
        else:
            entries.sort()
    except TypeError:
        entries.sort(key=order_key)


def sorted_pieces(entries: Sequence[Row], firsts: Sequence[Any], parts: int) -> Iterator[list[Row]]:
    """Tree keys, whose first elements are `firsts`, sorted as by `sort_entries`, piece by piece.

    A piece is put in order when it is asked for: what is done with it next finds it in the processor's
    cache, and it may go before the next one comes."""
    # `entries` is kept to the end: to free a million tuples in another order than they were made in costs six
    # times as much.
    buckets = None
    if len(firsts) > _SORTED_WHOLE and _is_of_one_kind(set(map(type, firsts))):
        buckets = _dealt(entries, firsts)
    if buckets is None:
        in_order = list(entries)
        sort_entries(in_order, parts)
        for start in range(0, len(in_order), _PIECE_ENTRIES):
            yield in_order[start : start + _PIECE_ENTRIES]
        in_order.clear()  # before `entries` goes
        return
    buckets.reverse()
    while buckets:
        piece: list[Row] = []
        while buckets and len(piece) < _PIECE_ENTRIES:
            bucket = buckets.pop()
            _sort_bucket(bucket, parts)
            piece += bucket
        yield piece


def _sort_bucket(bucket: list[Row], parts: int) -> None:
    """Sort entries.  Plain values are compared four times as fast as tuples."""
    try:
        if parts == 1:
            bucket.sort(key=itemgetter(0))
        elif parts == 2 and _starts_alike(bucket):
            bucket.sort(key=itemgetter(1))
        else:
            bucket.sort()
    except TypeError:
        bucket.sort(key=order_key)


def _starts_alike(bucket: Sequence[Row]) -> bool:
    """Whether entries all have the same first element."""
    if len(bucket) < 2 or bucket[0][0] != bucket[-1][0]:
        return False
    return len(set(map(itemgetter(0), bucket))) == 1


def _is_of_one_kind(kinds: set[type]) -> bool:
    return kinds == {int} or kinds == {float} or kinds == {str} or kinds == {bytes}


def in_key_order(found: Sequence[Row]) -> list[Row]:
    """Rows that begin with their tree keys, in the order of these.

    What a statement does row by row goes in this order, whatever index found the rows: where one row's change
    gets in the way of another's, the outcome is no matter of the plan, and it is SQLite's, which collects
    rowids before it changes anything that triggers or other rows could see."""
    try:
        return sorted(found, key=itemgetter(0))
    except TypeError:
        return sorted(found, key=lambda item: order_key(item[0]))


def _sort_tuples(entries: list[Row], parts: int) -> None:
    """Sort by the first elements, then by the rest, as the first elements' kind allows.

    They are dealt into buckets first.  Comparisons of tuples that lie all over the memory wait for
    it, and ties among the first elements break the runs that a sort lives on: a million random
    entries of three elements took 0.87 s in one sort, and 0.36 in buckets of some hundreds."""
    firsts = list(map(itemgetter(0), entries))
    kinds = set(map(type, firsts))
    if len(kinds) == 2 and NULL in kinds:
        nulls = [entry for entry in entries if entry[0] is None]
        others = [entry for entry in entries if entry[0] is not None]
        nulls.sort()
        sort_entries(others, parts)
        entries[:] = nulls + others
        return
    one_kind = _is_of_one_kind(kinds)
    whole = parts != 1 or not one_kind  # else a stable sort by the first elements does it
    buckets = _dealt(entries, firsts) if one_kind else None
    if buckets is not None:
        for bucket in buckets:
            _sort_bucket(bucket, parts)
        entries[:] = chain.from_iterable(buckets)
        return
    if one_kind:
        entries.sort(key=itemgetter(0))
    if whole:
        entries.sort()


def _dealt(entries: Iterable[Row], firsts: Sequence[Any]) -> list[list[Row]] | None:
    """The entries in buckets that ascend by their first elements, which are all of one class; None where that
    is of no use: they ascend already, or all but a few would be in one bucket."""
    if all(map(le, firsts, islice(firsts, 1, None))):
        return None
    if firsts[0].__class__ is str or firsts[0].__class__ is bytes:
        return _dealt_by_prefix(entries, firsts)
    low, high = min(firsts), max(firsts)
    count = len(firsts) // _BUCKET_ENTRIES + 1
    buckets: list[list[Row]]
    if low.__class__ is int:
        shift = max(0, (high - low).bit_length() - count.bit_length())
        buckets = [[] for _ in range((high - low >> shift) + 1)]
        deal = [bucket.append for bucket in buckets]
        for entry, first in zip(entries, firsts, strict=True):
            deal[first - low >> shift](entry)
    else:
        # Rounding keeps the order, so what a bucket's bounds are exactly does not matter.
        scale = count / (high - low) if high - low > 0 else 0.0
        if not 0.0 < scale < inf:
            return None
        buckets = [[] for _ in range(int((high - low) * scale) + 1)]
        deal = [bucket.append for bucket in buckets]
        for entry, first in zip(entries, firsts, strict=True):
            deal[int((first - low) * scale)](entry)
    return buckets if max(map(len, buckets)) * 2 < len(firsts) else None


def _dealt_by_prefix(entries: Iterable[Row], firsts: Sequence[Any]) -> list[list[Row]] | None:
    """The same for texts, or blobs: one bucket for all that begin alike, as far as it takes to tell a few
    hundredths of them apart; None if they differ too late."""
    sample = firsts[:: len(firsts) // _SAMPLE_ENTRIES + 1]
    for length in range(1, _PREFIX_MAX):
        largest = max(Counter([first[:length] for first in sample]).values())
        if largest * _BUCKETS_OF_SAMPLE <= len(sample):
            break
    else:
        return None
    buckets: defaultdict[Any, list[Row]] = defaultdict(list)
    for entry, first in zip(entries, firsts, strict=True):
        buckets[first[:length]].append(entry)
    return [buckets[prefix] for prefix in sorted(buckets)]
