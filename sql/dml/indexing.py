"""Filling an index from its table, and proving that they agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused
from sql.dml.entry_sorting import alike_behind, sort_entries, sorted_pieces
from sql.dml.index_keys import IndexKeys
from sql.dml.records import TableRecords
from sql.errors import ConstraintError
from sql.expressions import ROWID

if TYPE_CHECKING:
    from btree import Tree
    from sql.context import Context
    from sql.schema import Index, Table
    from sql.session import Session

Row = tuple[Any, ...]

_ENTRIES_AT_ONCE = 4096
"""Entries that are written between two looks whether the statement is to stop."""


def fill_index(session: Session, ctx: Context, table: Table, index: Index) -> None:
    """Write all entries of an empty index.  Buffers its keys, and of those in pieces no more than the values.

    Raises ConstraintError if a unique index would hold a value twice."""
    with CollectorPaused():
        keys = IndexKeys(index, table, session.environment(ctx.transaction))
        pieces = _sorted_entries(ctx, ctx.transaction.tree(table.tree_id), keys)
        if index.unique:
            pieces = _unique(pieces, keys, table)
        ctx.transaction.tree(index.tree_id).build(_checked(pieces, ctx))


def _sorted_entries(ctx: Context, tree: Tree, keys: IndexKeys) -> Iterator[list[Row]]:
    """The entries of all rows of a table in order, piece by piece."""
    places = keys.stored_columns
    if places is None:
        entries: list[Row] = []
        for row_keys, rows in tree.batches():
            ctx.check()
            entries += keys.entries(ctx, rows, row_keys)
        ctx.check()
        sort_entries(entries, keys.parts)
        for start in range(0, len(entries), _ENTRIES_AT_ONCE):
            yield entries[start : start + _ENTRIES_AT_ONCE]
        return
    # Without a look at the other columns.
    wanted = list(dict.fromkeys((*places, ROWID)))
    at = [wanted.index(place) for place in (*places, ROWID)]
    made: list[Row] = []
    firsts: list[Any] = []
    for columns in tree.column_batches(wanted):
        ctx.check()
        *values, row_keys = [columns[place] for place in at]
        parts = keys.entry_columns(values, row_keys)
        made += zip(*parts, strict=True)
        firsts += parts[0]
    ctx.check()
    if made:
        yield from sorted_pieces(made, firsts, keys.parts)


def _unique(pieces: Iterator[list[Row]], keys: IndexKeys, table: Table) -> Iterator[list[Row]]:
    """The pieces, as long as no value comes twice."""
    last: list[Row] = []
    for piece in pieces:
        if alike_behind([*last, *piece], keys.parts):
            raise ConstraintError(keys.message(table), kind="UNIQUE")
        last = piece[-1:]
        yield piece


def _checked(pieces: Iterator[list[Row]], ctx: Context) -> Iterator[list[Row]]:
    for piece in pieces:
        ctx.check()
        yield piece


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
