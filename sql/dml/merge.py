"""Rows of an INSERT that meet others in their way: DO UPDATE, DO NOTHING, REPLACE, with nothing else to heed.

What becomes of each row is decided in the order that they come in, since one may be in another's way, but in memory:
all rows that might be met are looked up at once, their state is followed in dicts, and what has changed in
the end is written in bulk.

    stored rows by key, keys by unique values   ->   for each row: put, skip, replace, or change   ->   the difference

It gives None, with nothing written, where a row needs a closer look.  One row by itself is the business of `insert_one`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sql.dml.bulk import (
    Loaded,
    breaks_types,
    change_entries,
    stored_rows,
    write_entries,
)
from sql.dml.conflicts import Resolution
from sql.dml.entry_sorting import sort_entries
from sql.dml.index_keys import IndexKeys, same
from sql.dml.records import NULL, Row, TableRecords, widen_by_classes
from sql.dml.upsert import UpsertClause
from sql.expressions import ROWID
from sql.values import INT_MAX

if TYPE_CHECKING:
    from btree import Tree
    from sql.context import Context
    from sql.dml.apart import Apart

_CHECKED_EACH = 4096
"""Rows after which somebody may have cancelled the statement."""


def merges(
    records: TableRecords, order: Sequence[Resolution], *, removes_alone: bool
) -> Merge | None:
    """What decides conflicts in memory; None where they are rare, being errors, or concern more than the table.

    `removes_alone`: rows that REPLACE removes concern no trigger and no foreign key."""
    actions = {item.action for item in order}
    if actions <= {"ABORT", "FAIL", "ROLLBACK"} or records.generated or records.table.autoincrement:
        return None
    if "REPLACE" in actions and not removes_alone:
        return None
    for item in order:
        constraint = item.constraint
        if constraint is not None and (constraint.columns is None or ROWID in constraint.columns):
            return None
        if item.clause is not None and item.action == "UPDATE" and not item.clause.stays_in_place:
            return None
    return Merge(records, order)


class Merge:
    """How the conflicts of one statement are decided; made per plan.  `apart`: what writes rows none of which is in
    another one's way, if there is such."""

    def __init__(self, records: TableRecords, order: Sequence[Resolution]) -> None:
        self.apart: Apart | None = None
        self._records = records
        self._order = order
        self._uniques = [item.constraint for item in order if item.constraint is not None]
        numbers = {index.tree_id: at for at, index in enumerate(self._uniques)}
        # Constraint, its number among the unique indexes, action and clause.
        self._steps = [
            (
                item.constraint,
                -1 if item.constraint is None else numbers[item.constraint.tree_id],
                item.action,
                item.clause,
            )
            for item in order
        ]
        clauses = [clause for _, _, action, clause in self._steps if action == "UPDATE" and clause]
        self._changed = {index.tree_id for clause in clauses for index in clause.indexes}
        self._replaces = any(item.action == "REPLACE" for item in order)

    # -- many rows -------------------------------------------------------------------------------

    def run(self, ctx: Context, rows: Sequence[Row], given: Sequence[Any] | None) -> Loaded | None:
        """Write rows; `given` are rowids that stand apart from the columns."""
        records = self._records
        tree = ctx.transaction.tree(records.table.tree_id)
        rows, classes = stored_rows(records, rows)
        if breaks_types(records, classes):
            return None
        keys: Sequence[Any]
        kinds: set[type] = {tuple}
        if records.primary_key is not None:
            keys = list(map(records.primary_key, rows))
        else:
            if given is None and records.alias is not None:
                given = list(map(itemgetter(records.alias), rows))
            keys = [None] * len(rows) if given is None else given
            kinds = set(map(type, keys))
            if not kinds <= {int, NULL}:
                return None
            if records.alias is not None:
                classes[records.alias] = {int}
        if (
            self.apart is not None
            and len(kinds) == 1
            and (records.alias is not None or kinds != {int})
        ):
            loaded = self.apart.run(ctx, tree, rows, keys, are_given=kinds != {NULL})
            if loaded is not None:
                return loaded
        run = _Run(self._records, self._uniques, ctx, tree, rows, keys)
        if not run.decide(self._steps):
            return None
        widen_by_classes(tree, classes)
        self._write(ctx, tree, run)
        return Loaded(run.written_keys, run.written, run.inserted)

    def _write(self, ctx: Context, tree: Tree, run: _Run) -> None:
        """Make the tree and its indexes what the rows are by now."""
        before, now = run.before, run.now
        gone = [key for key in before if key not in now]
        put = [key for key, row in now.items() if before.get(key) is not row]
        gone_rows = [before[key] for key in gone]
        new = [key for key in put if key not in before]
        changed = [key for key in put if key in before]
        old_rows = [before[key] for key in changed]
        changed_rows = [now[key] for key in changed]
        new_rows = [now[key] for key in new]
        for index in self._records.indexes:
            out = index.entries(ctx, gone_rows, gone)
            come = index.entries(ctx, new_rows, new)
            if self._replaces or index.tree_id in self._changed:
                for key, old, row in zip(changed, old_rows, changed_rows, strict=True):
                    one, other = index.entry(ctx, old, key), index.entry(ctx, row, key)
                    if not same(one, other):
                        if one is not None:
                            out.append(one)
                        if other is not None:
                            come.append(other)
            if out or come:
                sort_entries(out)
                sort_entries(come)
                change_entries(ctx.transaction.tree(index.tree_id), out, come)
        if gone:
            sort_entries(gone)
            tree.delete_many(gone)
        sort_entries(put)
        write_entries(tree, put, [now[key] for key in put])


class _Run:
    """Rows as they come, and what they make of those that are stored.

    `before` are the stored rows that may be met, `now` those and others as they will be, by key; `written` each row as it
    was written, `written_keys` their keys, `inserted` the latest key of a new row, None without."""

    def __init__(
        self,
        records: TableRecords,
        uniques: Sequence[IndexKeys],
        ctx: Context,
        tree: Tree,
        rows: Sequence[Row],
        keys: Sequence[Any],
    ) -> None:
        self._records, self._uniques, self._ctx, self._tree = records, uniques, ctx, tree
        self._rows, self._keys = rows, keys
        self._checks = records.has_checks and not ctx.session.ignore_check_constraints
        self.written: list[Row] = []
        self.written_keys: list[Any] = []
        self.inserted: Any = None
        # Of each unique index the values of the rows, None with a NULL among them, and whose they are.
        self._values = [index.values_of(rows, keys) for index in uniques]
        self._owners = [
            index.owners(ctx.transaction.tree(index.tree_id), values)
            for index, values in zip(uniques, self._values, strict=True)
        ]
        met = {key for key in keys if key is not None}
        met.update(*[owners.values() for owners in self._owners])
        wanted = list(met)
        sort_entries(wanted)
        found = zip(wanted, tree.get_many(wanted), strict=True) if len(tree) else ()
        self.before: dict[Any, Row] = {key: row for key, row in found if row is not None}
        self.now = self.before.copy()

    def decide(self, steps: Sequence[Any]) -> bool:
        """Follow the rows in their order; False if one of them needs a closer look."""
        ctx, now, alias = self._ctx, self.now, self._records.alias
        last = self._tree.last() if self._records.primary_key is None else None
        largest, is_known = 0 if last is None else last[0], True
        checks = self._checks
        written, keys = self.written.append, self.written_keys.append
        values, owners = self._values, self._owners
        places = range(len(self._uniques))
        for place, row in enumerate(self._rows):
            if not place % _CHECKED_EACH:
                ctx.check()
            key = self._keys[place]
            if key is None:
                key = largest + 1
                if key > INT_MAX or not is_known:
                    return False
                if alias is not None:
                    row = (*row[:alias], key, *row[alias + 1 :])
            if checks and self._records.failed_check(ctx, row, key) is not None:
                return False
            for constraint, at, action, clause in steps:
                other = key if constraint is None else owners[at].get(values[at][place])
                if other is None or other not in now:
                    continue
                if action == "REPLACE":
                    self._remove(other)
                    is_known = is_known and other != largest
                elif action == "IGNORE":
                    break
                elif action == "UPDATE":
                    if not self._change(clause, other, key, row):
                        return False
                    break
                else:
                    return False
            else:
                now[key] = row
                for at in places:
                    unique = values[at][place]
                    if unique is not None:
                        owners[at][unique] = key
                if key.__class__ is int and key >= largest:
                    largest, is_known = key, True
                self.inserted = key
                keys(key)
                written(row)
        return True

    def _remove(self, key: Any) -> None:
        row = self.now.pop(key)
        for index, owners in zip(self._uniques, self._owners, strict=True):
            owners.pop(index.value_of(index.key(self._ctx, row, key)), None)

    def _change(self, clause: UpsertClause, key: Any, new_key: Any, given: Row) -> bool:
        ctx, records, tree = self._ctx, self._records, self._tree
        old = self.now[key]
        row = _successor(ctx, records, tree, clause, old, key, new_key, given)
        if row is None:
            return False
        if row is old:
            return True
        if self._checks and records.failed_check(ctx, row, key) is not None:
            return False
        self.now[key] = row
        self.written_keys.append(key)
        self.written.append(row)
        return True


def _successor(
    ctx: Context,
    records: TableRecords,
    tree: Tree,
    clause: UpsertClause,
    old: Row,
    key: Any,
    new_key: Any,
    given: Row,
) -> Row | None:
    """What DO UPDATE makes of the row in the way, as it is stored: the very same where WHERE leaves it, None if it needs a
    closer look."""
    changed = clause.successor(ctx, old, key, new_key, given)
    if changed is None:
        return old
    row = changed[1]
    if records.plain.get(tuple(map(type, row))) is tree.kinds:
        return row
    return records.changed(row, clause.places, tree)
