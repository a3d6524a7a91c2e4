"""Filling an index from its table, and proving that they agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused
from sql.dml.bulk import repeated_unique
from sql.dml.index_keys import IndexKeys, sort_entries
from sql.dml.records import TableRecords
from sql.errors import ConstraintError
from sql.expressions import ROWID

if TYPE_CHECKING:
    from sql.context import Context
    from sql.schema import Index, Table
    from sql.session import Session

Row = tuple[Any, ...]

_ENTRIES_AT_ONCE = 50_000
"""Entries that are written between two looks whether the statement is to stop."""


def fill_index(session: Session, ctx: Context, table: Table, index: Index) -> None:
    """Write all entries of an empty index.  Buffers its keys.

    Raises ConstraintError if a unique index would hold a value twice."""
    with CollectorPaused():
        _fill(session, ctx, table, index)


def _fill(session: Session, ctx: Context, table: Table, index: Index) -> None:
    env = session.environment(ctx.transaction)
    keys = IndexKeys(index, table, env)
    entries: list[Row] = []
    tree = ctx.transaction.tree(table.tree_id)
    places = keys.stored_columns
    if places is None:
        for row_keys, rows in tree.batches():
            ctx.check()
            entries += keys.entries(ctx, rows, row_keys)
    else:  # without a look at the other columns
        wanted = list(dict.fromkeys((*places, ROWID)))
        for columns in tree.column_batches(wanted):
            ctx.check()
            values = dict(zip(wanted, columns, strict=True))
            entries += keys.from_columns([values[place] for place in places], values[ROWID])
    ctx.check()
    sort_entries(entries, keys.parts)
    ctx.check()
    if index.unique and repeated_unique(entries, keys.parts):
        raise ConstraintError(keys.message(table), kind="UNIQUE")
    target = ctx.transaction.tree(index.tree_id)
    for start in range(0, len(entries), _ENTRIES_AT_ONCE):
        ctx.check()
        target.load(entries[start : start + _ENTRIES_AT_ONCE])


def check_table(session: Session, ctx: Context, table: Table) -> Iterator[str]:
    """Problems of a table's rows and indexes, in the words of PRAGMA integrity_check."""
    env = session.environment(ctx.transaction)
    records = TableRecords(table, env)
    transaction = ctx.transaction
    counts = [0] * len(records.indexes)
    number = 0
    for keys, rows in transaction.tree(table.tree_id).batches():
        ctx.check()
        for key, row in zip(keys, rows, strict=True):
            number += 1
            yield from _row_problems(records, ctx, key, row, number)
            for place, index in enumerate(records.indexes):
                if index.applies(ctx, row, key):
                    counts[place] += 1
                    if index.key(ctx, row, key) not in transaction.tree(index.tree_id):
                        yield f"row {number} missing from index {index.index.name}"
    for count, index in zip(counts, records.indexes, strict=True):
        if len(transaction.tree(index.tree_id)) != count:
            yield f"wrong # of entries in index {index.index.name}"
        elif index.unique:
            yield from _unique_problems(index, transaction.tree(index.tree_id))


def _row_problems(
    records: TableRecords, ctx: Context, key: Any, row: Row, number: int
) -> Iterator[str]:
    table = records.table
    if len(row) != len(table.columns):
        yield f"row {number} of {table.name} has {len(row)} columns, not {len(table.columns)}"
        return
    for place, column in records.not_null:
        if row[place] is None:
            yield f"NULL value in {table.name}.{column.name}"
    if records.has_checks and records.failed_check(ctx, row, key) is not None:
        yield f"CHECK constraint failed in {table.name}"
    if records.strict:
        try:
            records.check_types(row)
        except ConstraintError:
            yield f"non-matching value in STRICT table {table.name}"


def _unique_problems(index: IndexKeys, tree: Any) -> Iterator[str]:
    before: Any = None
    for keys, _ in tree.batches():
        for entry in keys:
            part = entry[: index.parts]
            if part == before and None not in part:
                yield f"non-unique entry in index {index.index.name}"
            before = part
