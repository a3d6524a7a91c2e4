"""Tables filled from another one by column, behind the rows that they have: leaves are made of the columns, and no row is made.

That is CREATE TABLE AS, and INSERT ... SELECT into a table of which nothing but the tree is concerned, at its end:
what else a row could need, and what could be in its way, is told from its column's values all at once.  Where they
need a closer look everything is undone, and left to the way row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused
from sql.compile import compile_rows_function
from sql.dml.bulk import ascending, breaks_types, rebuild_index
from sql.dml.records import NULL, UNCHANGED, Row, TableRecords, widen_by_classes
from sql.dml.undo import guarded
from sql.errors import ConstraintError, SqlError
from sql.expressions import ROWID
from sql.parse import parse_expression
from sql.result import WriteOutcome
from sql.values import apply_affinity_to_all

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Table

Batches = Iterable[Sequence[Sequence[Any]]]
"""Rows by column, some at a time."""


_ROWID_MAX = (1 << 63) - 1


class _CloserLookError(Exception):
    """A row can't be written just so."""


def fill_table(ctx: Context, table: Table, env: BindEnvironment, batches: Batches) -> None:
    """Put rows into a new table that has rowids, and neither constraints nor indexes."""
    _fill(ctx, TableRecords(table, env), batches)


def lengthen_rows(ctx: Context, table: Table, env: BindEnvironment) -> int:
    """Give rows that end before their table's last columns the defaults of those, and what is computed; how many rows."""
    records, tree = TableRecords(table, env), ctx.transaction.tree(table.tree_id)
    width = records.width
    short = [
        (key, row)
        for keys, rows in tree.batches()
        if min(map(len, rows)) < width
        for key, row in zip(keys, rows, strict=True)
        if len(row) < width
    ]
    for key, row in short:
        tail = [records.default_value(ctx, place) for place in range(len(row), width)]
        made = records.fill_generated(ctx, records.convert((*row, *tail)), key)
        widen_by_classes(tree, [(value.__class__,) for value in made])
        tree.put(key, made)
    return len(short)


def fill_generated(ctx: Context, table: Table, place: int, env: BindEnvironment) -> None:
    """Compute a generated column of all rows, which hold NULL there, from the columns that it depends on.  Raises SqlError
    if one is NULL and may not be; its rows may have been written by then."""
    column, tree = table.columns[place], ctx.transaction.tree(table.tree_id)
    assert column.generated is not None
    parsed = [parse_expression(column.generated)]
    compute, read = compile_rows_function(
        parsed, None, table, env, lambda values, *_: values[0], tuple(tree.kinds)
    )

    def computed(rows: Iterable[Row], keys: Sequence[Any]) -> tuple[Sequence[Any], set[type]]:
        ctx.check()
        values: Sequence[Any] = compute(ctx, rows, keys)
        classes = set(map(type, values))
        if not classes <= UNCHANGED[column.affinity]:
            values = apply_affinity_to_all(values, column.affinity, classes)
            classes = set(map(type, values))
        if column.not_null and NULL in classes:
            raise SqlError("NOT NULL constraint failed")
        widen_by_classes(tree, [*[()] * place, classes])
        return values, classes

    rewrite = tree.rewrite()
    if rewrite is None:
        for keys, rows in tree.batches():
            added, _ = computed(rows, keys)
            made = zip(rows, added, strict=True)
            tree.load(list(keys), [(*row[:place], value) for row, value in made])
        return
    places = sorted([other for other in read if other != ROWID])
    for batch in rewrite.batches([*places, ROWID]):
        *columns, row_keys = batch.lists
        values, classes = computed(_of_columns(places, columns), row_keys)
        batch.choose(range(batch.count))
        batch.set({place: values}, {place: classes})
    rewrite.finish()


def _of_columns(places: Sequence[int], columns: Sequence[Sequence[Any]]) -> Iterable[Row]:
    """Rows that have some columns, and NULL in others; any number of them without a column."""
    if not places:
        return repeat(())
    there = dict(zip(places, columns, strict=True))
    return zip(*[there.get(place, repeat(None)) for place in range(places[-1] + 1)], strict=False)


def insert_columns(ctx: Context, records: TableRecords, batches: Batches) -> WriteOutcome | None:
    """Put rows into a table that has rowids, and no checks nor generated columns, behind those that it has; its indexes, if
    it has any, are made afterwards, if there was no row before.  None, with nothing written, if it takes a closer look."""
    before = len(ctx.transaction.tree(records.table.tree_id))
    if before and records.indexes:
        return None
    try:
        with guarded(ctx, apart=True) as undo:
            undo.needed()
            _fill(ctx, records, batches)
            for index in records.indexes:
                rebuild_index(ctx, records, index)
    except (_CloserLookError, ConstraintError):
        return None
    tree = ctx.transaction.tree(records.table.tree_id)
    inserted, last = len(tree) - before, tree.last()
    if inserted and last is not None:
        ctx.session.last_insert_rowid = last[0]
    return WriteOutcome(inserted)


def _fill(ctx: Context, records: TableRecords, batches: Batches) -> None:
    with CollectorPaused():
        tree = ctx.transaction.tree(records.table.tree_id)
        tree.build_rows(_stored(ctx, records, batches))


def _stored(
    ctx: Context, records: TableRecords, batches: Batches
) -> Iterator[tuple[Sequence[int], list[Sequence[Any]]]]:
    """Rowids, and the columns as they are stored."""
    tree, alias = ctx.transaction.tree(records.table.tree_id), records.alias
    there = tree.last()
    last: int | None = None if there is None else there[0]
    for batch in batches:
        ctx.check()
        columns, classes = list(batch), []
        for place, values in enumerate(columns):
            found = set(map(type, values))
            if not found <= records.unchanged[place]:
                values = apply_affinity_to_all(values, records.affinities[place], found)
                columns[place] = values
                found = set(map(type, values))
            classes.append(found)
        if breaks_types(records, classes):
            raise _CloserLookError
        if alias is None or classes[alias] == {NULL}:  # they are given row ids
            first = 1 if last is None else last + 1
            keys: Sequence[int] = range(first, first + len(columns[0]))
            if keys[-1] > _ROWID_MAX:
                raise _CloserLookError
            if alias is not None:
                columns[alias] = keys
                classes[alias] = {int}
        else:
            keys = columns[alias]
            if classes[alias] != {int} or (last is not None and keys[0] <= last):
                raise _CloserLookError
            if not ascending(keys):
                raise _CloserLookError
        last = keys[-1]
        widen_by_classes(tree, classes)
        yield keys, columns
