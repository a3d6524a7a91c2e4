"""UPDATE and DELETE of a large part of a table, by column: nothing is read of its rows but what the statement mentions.

Rows are found, changed and written batch by batch (`btree.Rewrite`), where `update` and `delete` find all of
them first.
That is the same as long as what is computed for a row depends on that row alone (`sql.compile.changes`
sees to it), and as long as nothing stands in any row's way: what needs a closer look, a NULL where there
must be none, undoes all that was written and leaves the statement to the way row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused
from sql.dml.bulk import change_entries, entry_changes
from sql.dml.entry_sorting import sort_entries
from sql.dml.index_keys import IndexKeys
from sql.dml.records import TableRecords, widen_by_classes
from sql.dml.undo import guarded
from sql.expressions import ROWID
from sql.result import WriteOutcome
from sql.values import apply_affinity

if TYPE_CHECKING:
    from btree import ColumnBatch, Tree
    from sql.compile import CompiledChange
    from sql.context import Context

SPAN_MIN = 4000
"""Rows of a range of rowids from which on it is changed by column."""


def delete_by_column(
    ctx: Context, change: CompiledChange, records: TableRecords
) -> WriteOutcome | None:
    """Take rows away, and the entries of indexes that can be made from columns; None, with nothing written,
    if the tree is not kept so."""
    tree = ctx.transaction.tree(records.table.tree_id)
    rewrite = tree.rewrite()
    if rewrite is None:
        return None
    find, _, span = change.prepare(ctx)
    if span is None:
        return WriteOutcome(0)
    if _is_short(tree, span):
        return None
    columns = [index.stored_columns or () for index in records.indexes]
    wanted = sorted({ROWID, *chain.from_iterable(columns)}) if columns else []
    gone: dict[int, list[Any]] = {column: [] for column in wanted}
    deleted = 0
    with guarded(ctx, guards=True) as undo, CollectorPaused():
        undo.needed()
        for batch, count in _matching(ctx, rewrite.batches(change.read, *span), find):
            for column in wanted:
                gone[column] += batch.values(column)
            batch.delete()
            deleted += count
        rewrite.finish()
        for index, places in zip(records.indexes, columns, strict=True):
            entries = index.from_columns([gone[place] for place in places], gone[ROWID])
            sort_entries(entries)
            change_entries(ctx.transaction.tree(index.tree_id), entries, ())
    return WriteOutcome(deleted)


def _is_short(tree: Tree, span: tuple[int | None, int | None]) -> bool:
    """Whether rowids are so few that their rows are better changed as such."""
    start, stop = span
    return (start is not None or stop is not None) and tree.estimate(start, stop) < SPAN_MIN


def _matching(
    ctx: Context, batches: Iterable[ColumnBatch], find: Callable[..., Sequence[int]]
) -> Iterator[tuple[ColumnBatch, int]]:
    """The batches in which rows match, those rows chosen, and how many they are."""
    for batch in batches:
        ctx.check()
        positions = find(batch.count, *batch.lists)
        if positions:
            batch.choose(positions)
            yield batch, len(positions)


class _CloserLookError(Exception):
    """A row can't be written just so."""


def update_by_column(
    ctx: Context,
    change: CompiledChange,
    records: TableRecords,
    places: Sequence[int],
    indexes: Sequence[IndexKeys],
) -> WriteOutcome | None:
    """Give the columns `places`, on which `indexes` depend, their new values; None, with nothing written, if
    it takes a closer look."""
    tree = ctx.transaction.tree(records.table.tree_id)
    rewrite = tree.rewrite()
    if rewrite is None:
        return None
    find, make, span = change.prepare(ctx)
    if span is None:
        return WriteOutcome(0)
    if _is_short(tree, span):
        return None
    parts = [index.stored_columns or () for index in indexes]
    wanted = sorted({ROWID, *chain.from_iterable(parts)}) if parts else []
    olds: dict[int, list[Any]] = {column: [] for column in wanted}
    news: dict[int, list[Any]] = {column: [] for column in wanted}
    changed = 0
    try:
        with guarded(ctx, guards=True) as undo, CollectorPaused():
            undo.needed()
            for batch, count in _matching(ctx, rewrite.batches(change.read, *span), find):
                values = make(count, *map(batch.values, change.used))
                columns, kinds = _stored(tree, records, places, values, change.constants)
                for column in wanted:
                    old = batch.values(column)
                    olds[column] += old
                    news[column] += columns.get(column, old)
                batch.set(columns, kinds)
                changed += count
            rewrite.finish()
            for index, parts_of in zip(indexes, parts, strict=True):
                index_tree = ctx.transaction.tree(index.tree_id)
                before, after = [
                    index.from_columns([some[part] for part in parts_of], some[ROWID])
                    for some in (olds, news)
                ]
                done = entry_changes(index, index_tree, before, after)
                if done is None:
                    raise _CloserLookError
                change_entries(index_tree, *done)
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
                new = [apply_affinity(value, affinity) for value in new]
            found = {type(new[0])} if constant else set(map(type, new))
        if not found <= records.allowed[place]:
            raise _CloserLookError
        columns[place], kinds[place] = new, found
    widen_by_classes(tree, [kinds.get(place, ()) for place in range(records.width)])
    return columns, kinds
