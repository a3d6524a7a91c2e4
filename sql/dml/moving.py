"""Rows that get other keys, all at once: `UPDATE t SET id = id + 1000000 WHERE ...`.

SQLite changes one row after the other, so that a row may meet one that has yet to go: `SET id = id + 1` fails or not by the order of
the rows.  Where no new key is there before, and none is given twice, nobody meets anybody, and the order is nobody's
affair: all rows are taken away and put under their new keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sql.dml.bulk import breaks_checks, change_entries, entry_changes, load_rows
from sql.dml.entry_sorting import sort_entries
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from sql.context import Context
    from sql.dml.foreign_keys import ForeignKeys
    from sql.dml.records import Row
    from sql.dml.returning import Returning
    from sql.dml.target import Target


def move_rows(
    ctx: Context,
    target: Target,
    foreign_keys: ForeignKeys | None,
    returning: Returning | None,
    keys: Sequence[Any],
    rows: Sequence[Row],
    rowids: list[Any] | None,
) -> WriteOutcome | None:
    """Give the rows at some keys, which ascend, others, with what the rows are then; None, with nothing written, if they
    need a closer look.  `rowids`: the new ones, of a table that has no name for them.  The statement has a savepoint."""
    records, table = target.records, target.table
    tree = ctx.transaction.tree(table.tree_id)
    new_keys = _keys_of(records.primary_key, records.alias, rows, rowids)
    if new_keys is None or len(set(new_keys)) < len(new_keys):
        return None
    ordered = new_keys.copy()
    sort_entries(ordered)
    if any(row is not None for row in tree.get_many(ordered)):
        return None
    if breaks_checks(ctx, records, rows, new_keys, [set()] * len(table.columns), tree.kinds):
        return None
    if foreign_keys is not None and not foreign_keys.undisturbed(ctx, rows):
        return None
    work = []
    olds = tree.get_many(keys) if records.indexes else []
    for index in records.indexes:
        index_tree = ctx.transaction.tree(index.tree_id)
        before, after = index.each(ctx, olds, keys), index.each(ctx, rows, new_keys)
        changes = entry_changes(index, index_tree, before, after)
        if changes is None:
            return None
        work.append((index_tree, *changes))
    returned = None
    if returning is not None:
        make = returning.row
        returned = [make(ctx, row, key) for row, key in zip(rows, new_keys, strict=True)]
    tree.delete_many(keys)
    load_rows(tree, new_keys, rows)
    for index_tree, gone, new in work:
        change_entries(index_tree, gone, new)
    return WriteOutcome(len(rows), None, returned)


def _keys_of(
    primary_key: Any, alias: int | None, rows: Sequence[Row], rowids: list[Any] | None
) -> list[Any] | None:
    """The tree keys of rows; None if one is no row id."""
    if primary_key is not None:
        return list(map(primary_key, rows))
    found = rowids if alias is None else list(map(itemgetter(alias), rows))
    if found is None or set(map(type, found)) != {int}:
        return None
    return found
