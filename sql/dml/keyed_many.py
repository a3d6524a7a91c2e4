"""UPDATE and DELETE by a unique key for many sets of parameters at once, for `executemany`.

The rows are looked up together, in the order of their keys, changed, and written in bulk with what changes in indexes.
What is done to one row comes in its order: sets that are executed together mean different rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused
from sql.compile import bind_to_row, compile_bound_row
from sql.compile.by_column import ROWS_MIN
from sql.dml.bulk import change_entries, entry_changes, write_entries
from sql.dml.by_column import delete_keys, update_keys
from sql.dml.entry_sorting import sort_entries
from sql.dml.target import WritePlan
from sql.expressions import ROWID, ColumnRef
from sql.plan.walk import walk
from sql.result import WriteOutcome

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from btree import ColumnBatch
    from sql.context import Context
    from sql.dml.index_keys import IndexKeys, RowFunction
    from sql.dml.records import Row, TableRecords
    from sql.dml.unique_keys import UniqueKey
    from sql.schema import Table

ManyRows = Callable[["Context", "dict[Any, Row]"], "WriteOutcome | None"]
"""Of sets of parameters by what they look up."""

MANY = 8
"""Sets of parameters from which on they are worth being put in order."""

_BY_COLUMN_MIN = 64
"""Rows that they mean from which on these are changed by column: they are neighbours more often than what an index finds."""


def updates_by_key(
    records: TableRecords,
    indexes: Sequence[IndexKeys],
    unique: UniqueKey,
    values: Mapping[int, exp.Expression],
    table: Table,
) -> ManyRows:
    """`keyed_update` for many sets of parameters, where the columns of the key are not assigned to.

    `values` of the columns that are assigned to; `table` as the statement knows it."""
    places = list(values)
    bound, source = bind_to_row(list(values.values()), table, records.env)
    settings = compile_bound_row(bound, source, records.env)
    read = {node.column for value in bound for node in walk(value) if isinstance(node, ColumnRef)}
    by_page = all(index.stored_columns is not None for index in indexes)

    def update(ctx: Context, sets: dict[Any, Row]) -> WriteOutcome | None:
        if not unique.fits(sets.values()):
            return None
        meant = unique.meant(ctx, sets)
        if meant is None:
            return None
        if by_page and _are_many(ctx, records, meant):

            def make(batch: ColumnBatch) -> list[Sequence[Any]]:
                keys = batch.values(ROWID)
                # In the places of columns that nobody reads is anything.
                rows = zip(
                    *[
                        batch.values(at) if at in read and at != records.alias else keys
                        for at in range(records.width)
                    ],
                    strict=True,
                )
                found = []
                for key, row in zip(keys, rows, strict=True):
                    ctx.parameters = meant[key]
                    found.append(settings(ctx, row, key))
                return list(zip(*found, strict=True))

            return update_keys(ctx, list(meant), make, records, places, indexes)
        return _update_rows(ctx, records, indexes, places, settings, meant)

    return update


def _are_many(ctx: Context, records: TableRecords, meant: Sized) -> bool:
    """Whether so many rows of a large table are better changed in its pages."""
    tree = ctx.transaction.tree(records.table.tree_id)
    return len(meant) >= _BY_COLUMN_MIN and tree.estimate() >= ROWS_MIN


def _update_rows(
    ctx: Context,
    records: TableRecords,
    indexes: Sequence[IndexKeys],
    places: Sequence[int],
    settings: RowFunction,
    meant: dict[Any, Row],
) -> WriteOutcome | None:
    tree = ctx.transaction.tree(records.table.tree_id)
    keys, olds, rows = [], [], []
    for key, old in zip(meant, tree.get_many(list(meant)), strict=True):
        if old is not None:
            ctx.parameters = meant[key]
            new = list(old)
            for place, value in zip(places, settings(ctx, old, key), strict=True):
                new[place] = value
            keys.append(key)
            olds.append(old)
            rows.append(tuple(new))
    shapes = {tuple(map(type, row)): row for row in rows}
    if not all(records.is_plain(row, tree) for row in shapes.values()):
        for at, row in enumerate(rows):
            stored = records.changed(row, places, tree)
            if stored is None:
                return None
            rows[at] = stored
    work = []
    for index in indexes:
        index_tree = ctx.transaction.tree(index.tree_id)
        before, after = index.entries(ctx, olds, keys), index.entries(ctx, rows, keys)
        changes = entry_changes(index, index_tree, before, after)
        if changes is None:
            return None
        work.append((index_tree, changes))
    for index_tree, (gone, come) in work:
        if gone:
            change_entries(index_tree, gone, come)
    if rows:
        write_entries(tree, keys, rows)
    return WriteOutcome(len(rows))


def deletes_by_key(records: TableRecords, unique: UniqueKey) -> ManyRows:
    """`keyed_delete` for many sets of parameters."""
    tree_id, indexes = records.table.tree_id, records.indexes
    by_page = all(index.stored_columns is not None for index in indexes)

    def delete(ctx: Context, sets: dict[Any, Row]) -> WriteOutcome | None:
        if not unique.fits(sets.values()):
            return None
        meant = unique.meant(ctx, sets)
        if meant is None:
            return None
        if by_page and _are_many(ctx, records, meant):
            return delete_keys(ctx, list(meant), records)
        tree, keys = ctx.transaction.tree(tree_id), list(meant)
        if indexes:
            found = zip(keys, tree.get_many(keys), strict=True)
            there = [(key, row) for key, row in found if row is not None]
            keys, rows = [key for key, _ in there], [row for _, row in there]
            for index in indexes:
                gone = index.entries(ctx, rows, keys)
                if gone:
                    sort_entries(gone)
                    change_entries(ctx.transaction.tree(index.tree_id), gone, ())
        return WriteOutcome(tree.delete_many(keys))

    return delete


def run_by_key(
    plan: WritePlan,
    ctx: Context,
    sets: Iterable[Row],
    unique: UniqueKey,
    many: ManyRows,
    *,
    ordered: bool,
) -> WriteOutcome:
    """Execute `plan` for each set of parameters, many of them at once.

    `ordered`: rows may be in each other's way, so that sets that mean one row twice part those before from those
    behind."""
    total = WriteOutcome(0)
    with CollectorPaused():
        for distinct in _distinct(sets, unique) if ordered else _in_rounds(sets, unique):
            ctx.check()
            outcome = many(ctx, distinct) if len(distinct) >= MANY else None
            if outcome is None:
                outcome = WritePlan.run_many(plan, ctx, distinct.values())
            total.changes += outcome.changes
            total.total_changes += outcome.total_changes
    return total


def _distinct(sets: Iterable[Row], unique: UniqueKey) -> Iterator[dict[Any, Row]]:
    """Sets that mean different rows, in their order."""
    found: dict[Any, Row] = {}
    of = unique.of
    for values in sets:
        key = of(values)
        if key in found:
            yield found
            found = {}
        found[key] = values
    yield found


def _in_rounds(sets: Iterable[Row], unique: UniqueKey) -> list[dict[Any, Row]]:
    """The same in the order of each row's own: the first of every row, the second of every row, and so on."""
    rounds: list[dict[Any, Row]] = [{}]
    seen: dict[Any, int] = {}
    of = unique.of
    for values in sets:
        key = of(values)
        number = seen.get(key, 0)
        seen[key] = number + 1
        if number == len(rounds):
            rounds.append({})
        rounds[number][key] = values
    return rounds
