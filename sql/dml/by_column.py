"""UPDATE and DELETE of a large part of a table, by column: nothing is read of its rows but what the statement mentions.

Rows are found, changed and written batch by batch (`btree.Rewrite`), where `update` and `delete` find all of
them first; or where an index or another table is asked which rows are meant, their keys are found first, and then
their leaves, one after the other; and where SET asks other tables, too, their keys and their new values.
That is the same as long as what is computed for a row depends on that row alone (`sql.compile.changes`
sees to it), and as long as nothing stands in any row's way: what needs a closer look, a NULL where there
must be none, undoes all that was written and leaves the statement to the way row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused
from sql.compile import prepare_select
from sql.dml.bulk import change_entries, entry_changes, rebuild_index
from sql.dml.collector import gathered
from sql.dml.entry_sorting import sort_entries
from sql.dml.index_keys import IndexKeys, present
from sql.dml.records import Row, TableRecords, widen_by_classes
from sql.dml.undo import guarded
from sql.errors import SqlError
from sql.expressions import ROWID
from sql.result import WriteOutcome
from sql.run.spill import ROOM_PARTS, rows_within
from sql.values import apply_affinity, apply_affinity_to_all

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from btree import ColumnBatch, Rewrite, Tree
    from sql.bind import BindEnvironment
    from sql.compile import CompiledChange
    from sql.context import Context
    from sql.dml.foreign_keys import ForeignKeys
    from sql.dml.programs import Change
    from sql.dml.returning import Returning

FOUND_MIN = 512
"""Rows that a query has found from which on they are changed by column: a page costs some 100 us, a row by itself, which then
lies over its leaf, 30."""

REBUILT_SHARE = 4
"""One row in so many that is changed or deleted makes it cheaper to build an index anew than to change its entries: most of
its leaves are touched anyhow, twice by an UPDATE, and a sort by column takes a fraction of one by tuples."""

_WEIGHED = 64
"""Rows that are looked at for what memory they take."""

_MORE = 1 << 16
"""So many rows later they are weighed again."""

SPAN_MIN = 4000
"""Rows of a range of rowids from which on it is changed by column."""


Rows = Callable[["Context"], "list[Row]"]
Tell = Callable[["ColumnBatch", "Mapping[int, Sequence[Any]] | None"], None]
"""What is told of each batch before it is written: its chosen rows, and the values that these get in some columns; None, that
they go."""


def delete_by_column(
    ctx: Context,
    change: CompiledChange,
    records: TableRecords,
    find_keys: Rows,
    tell: Tell | None = None,
) -> WriteOutcome | None:
    """Take rows away, and their entries of indexes; None, with nothing written, if the tree is not kept so.
    `find_keys` gives the keys of the rows, as rows; `tell` is told of them."""
    tree = ctx.transaction.tree(records.table.tree_id)
    rewrite = tree.rewrite()
    if rewrite is None:
        return None
    find, _, span = change.prepare(ctx)
    if span is None:
        return WriteOutcome(0)
    batches = _matching(ctx, tree, rewrite, change, find, span, find_keys)
    if batches is None:
        return None
    return _deleted(ctx, rewrite, batches, records, tell)


def delete_keys(ctx: Context, keys: list[Any], records: TableRecords) -> WriteOutcome | None:
    """The same of the rows that have some of these keys."""
    rewrite = ctx.transaction.tree(records.table.tree_id).rewrite()
    if rewrite is None:
        return None
    return _deleted(ctx, rewrite, _of_keys(ctx, rewrite, keys, known=False), records)


def _deleted(
    ctx: Context,
    rewrite: Rewrite,
    batches: Iterable[tuple[ColumnBatch, int]],
    records: TableRecords,
    tell: Tell | None = None,
) -> WriteOutcome:
    """Take the rows chosen in some batches away."""
    indexes = records.indexes
    gone = _Gathered(ctx, indexes)
    deleted = 0
    few = len(ctx.transaction.tree(records.table.tree_id)) // REBUILT_SHARE

    def take_entries() -> None:
        for index in indexes:
            entries = present(index.from_reads(ctx, gone.olds, gone.olds[ROWID]))
            sort_entries(entries)
            change_entries(ctx.transaction.tree(index.tree_id), entries, ())
        gone.clear()

    with guarded(ctx, apart=True) as undo, CollectorPaused():
        undo.needed()
        for batch, count in batches:
            if deleted <= few:
                gone.add(batch)
                if gone.is_much():
                    take_entries()
            if tell is not None:
                tell(batch, None)
            batch.delete()
            deleted += count
        rewrite.finish()
        if deleted <= few:
            take_entries()
        else:
            for index in indexes:
                rebuild_index(ctx, records, index)
    return WriteOutcome(deleted)


class _Gathered:
    """The columns that some indexes depend on, of rows that go or change, as they were and as they will be: as many rows as
    are worth a look at all leaves of the indexes, and as memory may take."""

    def __init__(self, ctx: Context, indexes: Sequence[IndexKeys]) -> None:
        self._room = ctx.memory_limit_bytes // ROOM_PARTS
        self._wanted = sorted({ROWID}.union(*[index.reads for index in indexes])) if indexes else []
        self._at_once = 0  # rows from which on they are weighed
        self.clear()

    def clear(self) -> None:
        """Forget those that there are."""
        self.olds: dict[int, list[Any]] = {column: [] for column in self._wanted}
        self.news: dict[int, list[Any]] = {column: [] for column in self._wanted}

    def add(self, batch: ColumnBatch, columns: Mapping[int, Sequence[Any]] | None = None) -> None:
        """Take the rows chosen in a batch, which get other values in some columns, or go (None)."""
        for column in self._wanted:
            old = batch.values(column)
            self.olds[column] += old
            if columns is not None:
                self.news[column] += columns.get(column, old)

    def is_much(self) -> bool:
        """Whether no more rows should be gathered."""
        count = len(self.olds[ROWID]) if self._wanted else 0
        if count <= self._at_once:
            return False
        some = [
            column[-_WEIGHED:] for column in (*self.olds.values(), *self.news.values()) if column
        ]
        self._at_once = rows_within(list(zip(*some, strict=True)), self._room, count + _MORE)
        return count > self._at_once


def changes_into(told: list[Change], width: int) -> Tell:
    """What gathers the rows before and after, for triggers."""
    whole = range(width)

    def tell(batch: ColumnBatch, columns: Mapping[int, Sequence[Any]] | None) -> None:
        keys = batch.values(ROWID)
        before = zip(keys, _rows(batch, len(keys), whole, {}, width), strict=True)
        if columns is None:
            told.extend((old, None) for old in before)
        else:
            after = zip(keys, _rows(batch, len(keys), whole, columns, width), strict=True)
            told.extend(zip(before, after, strict=True))

    return tell


def with_returned(
    ctx: Context,
    returning: Returning | None,
    width: int,
    run: Callable[[Context, Tell | None], WriteOutcome | None],
) -> WriteOutcome | None:
    """What `run` does, one of the functions above, and what RETURNING asks for."""
    if returning is None:
        return run(ctx, None)
    values_of, read = returning.of_many(ctx)
    returned: list[Row] = []

    def tell(batch: ColumnBatch, columns: Mapping[int, Sequence[Any]] | None) -> None:
        keys = batch.values(ROWID)
        rows = _rows(batch, len(keys), read, columns or {}, width)
        try:
            returned.extend(values_of(ctx, rows, keys))
        except SqlError as error:  # a row before may break a constraint
            raise _CloserLookError from error

    try:
        done = run(ctx, tell)
    except _CloserLookError:
        return None
    return None if done is None else WriteOutcome(done.changes, None, returned)


def _rows(
    batch: ColumnBatch,
    count: int,
    read: Collection[int],
    columns: Mapping[int, Sequence[Any]],
    width: int,
) -> Iterable[Row]:
    """The chosen rows of a batch, with other values in some columns, and NULLs where nobody reads them."""
    nothing = (None,) * count
    values: list[Sequence[Any]] = []
    for place in range(width):
        if place not in read:
            values.append(nothing)
        else:
            values.append(columns[place] if place in columns else batch.values(place))
    return zip(*values, strict=True)


def _is_short(tree: Tree, span: tuple[int | None, int | None]) -> bool:
    """Whether rowids are so few that their rows are better changed as such."""
    start, stop = span
    return (start is not None or stop is not None) and tree.estimate(start, stop) < SPAN_MIN


def _matching(
    ctx: Context,
    tree: Tree,
    rewrite: Rewrite,
    change: CompiledChange,
    find: Callable[..., Sequence[int]] | None,
    span: tuple[int | None, int | None],
    find_keys: Rows,
) -> Iterator[tuple[ColumnBatch, int]] | None:
    """The batches in which rows match, those rows chosen, and how many they are; None if all are few."""
    if find is not None:
        return None if _is_short(tree, span) else _scanned(ctx, rewrite, change, find, span)
    found = find_keys(ctx)
    if len(found) < FOUND_MIN:
        return None
    return _of_keys(ctx, rewrite, list(chain.from_iterable(found)))


def _scanned(
    ctx: Context,
    rewrite: Rewrite,
    change: CompiledChange,
    find: Callable[..., Sequence[int]],
    span: tuple[int | None, int | None],
) -> Iterator[tuple[ColumnBatch, int]]:
    for batch in rewrite.batches(change.read, *span):
        ctx.check()
        positions = find(batch.count, *batch.lists)
        if positions:
            batch.choose(positions)
            yield batch, len(positions)


def _of_keys(
    ctx: Context, rewrite: Rewrite, keys: list[Any], *, known: bool = True
) -> Iterator[tuple[ColumnBatch, int]]:
    sort_entries(keys)
    for batch in rewrite.rows(keys, known=known):
        ctx.check()
        yield batch, batch.count


def rows_function(ctx: Context, select: exp.Select, env: BindEnvironment) -> Rows:
    """The function that finds a statement's rows by a query for some of their columns; `env` is the statement's."""
    fresh = ctx.session.environment(
        ctx.transaction, parameters=ctx.parameters, extra_scopes=env.extra_scopes
    )
    run = prepare_select(select, fresh).run

    def find_rows(ctx: Context) -> list[Row]:
        try:
            return gathered(run(ctx))
        except BaseException:
            ctx.session.changes = 0
            raise

    return find_rows


class _CloserLookError(Exception):
    """A row can't be written just so."""


def update_by_column(
    ctx: Context,
    change: CompiledChange,
    records: TableRecords,
    places: Sequence[int],
    indexes: Sequence[IndexKeys],
    find_keys: Rows,
    foreign_keys: ForeignKeys | None,
    tell: Tell | None = None,
) -> WriteOutcome | None:
    """Give the columns `places`, on which `indexes` and `foreign_keys` depend, their new values; None, with nothing
    written, if it takes a closer look.  `find_keys` gives the keys of the rows, as rows; `tell` is told of them."""
    tree = ctx.transaction.tree(records.table.tree_id)
    rewrite = tree.rewrite()
    if rewrite is None:
        return None
    find, make, span = change.prepare(ctx)
    if span is None:
        return WriteOutcome(0)
    batches = _matching(ctx, tree, rewrite, change, find, span, find_keys)
    if batches is None:
        return None
    used, constants = change.used, change.constants
    computed = ((batch, count, make(count, *map(batch.values, used))) for batch, count in batches)
    return _updated(ctx, rewrite, computed, records, places, indexes, constants, foreign_keys, tell)


def update_found(
    ctx: Context,
    found: Sequence[Row],
    records: TableRecords,
    places: Sequence[int],
    indexes: Sequence[IndexKeys],
    tell: Tell | None = None,
) -> WriteOutcome | None:
    """The same for rows that a query has found: their keys, which ascend, and the values behind them."""
    rewrite = ctx.transaction.tree(records.table.tree_id).rewrite()
    if rewrite is None:
        return None
    keys, *columns = [list(map(itemgetter(place), found)) for place in range(len(found[0]))]

    def batches() -> Iterator[tuple[ColumnBatch, int, list[list[Any]]]]:
        at = 0
        for batch, count in _of_keys(ctx, rewrite, keys):
            yield batch, count, [column[at : at + count] for column in columns]
            at += count

    return _updated(ctx, rewrite, batches(), records, places, indexes, (), None, tell)


def update_keys(
    ctx: Context,
    keys: list[Any],
    make: Callable[[ColumnBatch], Sequence[Sequence[Any]]],
    records: TableRecords,
    places: Sequence[int],
    indexes: Sequence[IndexKeys],
) -> WriteOutcome | None:
    """The same of the rows that have some of these keys; `make` gives a batch's new values by column."""
    rewrite = ctx.transaction.tree(records.table.tree_id).rewrite()
    if rewrite is None:
        return None
    found = _of_keys(ctx, rewrite, keys, known=False)
    made = ((batch, count, make(batch)) for batch, count in found)
    return _updated(ctx, rewrite, made, records, places, indexes, ())


def _updated(
    ctx: Context,
    rewrite: Rewrite,
    batches: Iterable[tuple[ColumnBatch, int, Sequence[Sequence[Any]]]],
    records: TableRecords,
    places: Sequence[int],
    indexes: Sequence[IndexKeys],
    constants: Collection[int],
    foreign_keys: ForeignKeys | None = None,
    tell: Tell | None = None,
) -> WriteOutcome | None:
    """Give the rows chosen in some batches new values in some columns."""
    tree = ctx.transaction.tree(records.table.tree_id)
    gathered = _Gathered(ctx, indexes)
    known: dict[int, set[Row]] = {}
    changed = 0
    few = len(tree) // REBUILT_SHARE
    if any(index.unique for index in indexes):
        few = len(tree)  # what was there, and for how long, is to be known

    def change_indexes() -> None:
        for index in indexes:
            index_tree = ctx.transaction.tree(index.tree_id)
            before = index.from_reads(ctx, gathered.olds, gathered.olds[ROWID])
            after = index.from_reads(ctx, gathered.news, gathered.news[ROWID])
            done = entry_changes(index, index_tree, before, after)
            if done is None:
                raise _CloserLookError
            del before, after
            change_entries(index_tree, *done)
        gathered.clear()

    try:
        with guarded(ctx, apart=True) as undo, CollectorPaused():
            undo.needed()
            for batch, count, values in batches:
                columns, kinds = _stored(tree, records, places, values, constants)
                if foreign_keys is not None and not foreign_keys.undisturbed_by(
                    ctx, columns, known
                ):
                    raise _CloserLookError
                if changed <= few:
                    gathered.add(batch, columns)
                    # A row's parents may be looked for in what there was before.
                    if foreign_keys is None and gathered.is_much():
                        change_indexes()
                if tell is not None:
                    tell(batch, columns)
                batch.set(columns, kinds)
                changed += count
            rewrite.finish()
            if changed <= few:
                change_indexes()
            else:
                for index in indexes:
                    rebuild_index(ctx, records, index)
    except _CloserLookError:
        return None
    return WriteOutcome(changed)


def _stored(
    tree: Tree,
    records: TableRecords,
    places: Sequence[int],
    values: Sequence[Sequence[Any]],
    constants: Collection[int],
) -> tuple[dict[int, Sequence[Any]], dict[int, set[type]]]:
    """New values as their columns store them, and their classes, which the tree's mask covers then."""
    columns: dict[int, Sequence[Any]] = {}
    kinds: dict[int, set[type]] = {}
    for number, (place, new) in enumerate(zip(places, values, strict=True)):
        constant = number in constants
        found = {type(new[0])} if constant else set(map(type, new))
        if not found <= records.unchanged[place]:
            affinity = records.affinities[place]
            if constant:
                new = [apply_affinity(new[0], affinity)] * len(new)
            else:
                new = apply_affinity_to_all(new, affinity, found)
            found = {type(new[0])} if constant else set(map(type, new))
        if not found <= records.allowed[place]:
            raise _CloserLookError
        columns[place], kinds[place] = new, found
    widen_by_classes(tree, [kinds.get(place, ()) for place in range(records.width)])
    return columns, kinds
