"""Rows of an INSERT none of which is in another one's way, by column: DO UPDATE, DO NOTHING and REPLACE for a whole batch.

A bulk upsert mostly brings each value of a unique constraint once.  Then it does not matter in which order the rows are
decided, and what becomes of each is told by whose its value is: nobody's, and it goes in as rows of a plain INSERT do; or
a stored row's, which is changed in its page, where SET's expressions are computed from that row's columns and the new row.
What REPLACE removes goes all at once.

    rows -> owners of their values -> those without one: `BulkInsert`;  those with one: `update_keys`
                                   -> of REPLACE: `delete_keys` of the owners, `BulkInsert` of all rows

It gives None, with nothing written, where rows have to follow each other (`merge`), or meet so few in each page that these are
better changed as rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Any

from sql.compile import RowCode
from sql.dml.bulk import BulkInsert, Loaded
from sql.dml.by_column import delete_keys, update_keys
from sql.dml.conflicts import Resolution
from sql.dml.records import Row, TableRecords
from sql.dml.undo import guarded
from sql.dml.upsert import EXCLUDED_SOURCE, UpsertClause, with_excluded
from sql.expressions import ROWID
from sql.values import INT_MAX

if TYPE_CHECKING:
    from btree import ColumnBatch, Tree
    from sql.context import Context

_MET_MIN = 512
"""Rows from which on this is worth its while, and those that are changed from which on they are changed in their pages."""

_MET_SHARE = 32
"""Rows of the table, from the first to the last that is changed, among which one has to be: about four in a page."""

_SCANNED_PER_KEY = 8
"""Row ids are looked at, all in their range, where these are at most so many times as many as are looked for."""

Changed = Callable[[Sequence[Row], Sequence[Any], Sequence[Row]], list[Row]]
"""(stored rows, their keys, new rows) -> of each what SET assigns."""


class _CloserLookError(Exception):
    """A row can't be written just so."""


class Apart:
    """How such rows are written; made per plan."""

    def __init__(
        self,
        records: TableRecords,
        order: Sequence[Resolution],
        clause: UpsertClause | None,
        bulk: BulkInsert,
    ) -> None:
        """`clause`: what is done where a row is in the way, unless all is replaced; it asks for nothing (WHERE) and stays in
        its place."""
        self._records = records
        self._order = order
        self._clause = clause
        self._bulk = bulk
        self._reads: list[int] = []
        self._reads_new_key = False
        self.is_possible = True
        if clause is not None:
            self._compile(clause)

    def _compile(self, clause: UpsertClause) -> None:
        records = self._records
        code = RowCode(with_excluded(records.env, records.table))
        old = code.row(clause.named, "old_", "key_")
        code.outer(EXCLUDED_SOURCE, "new_", "new_key_")
        made = old.values([clause.row[place].copy() for place in clause.places])
        self.is_possible = code.is_plain and "new_key_" not in made
        self._reads_new_key = f"new_[{records.alias}]" in made
        self._reads = [at for at in range(records.width) if f"old_[{at}]" in made]
        lines = [
            "def changed(rows, keys, new):",
            f"    return [{made} for old_, key_, new_ in zip(rows, keys, new)]",
            "return changed",
        ]
        self._make, _ = code.function(lines)

    def run(
        self, ctx: Context, tree: Tree, rows: Sequence[Row], keys: Sequence[Any], *, are_given: bool
    ) -> Loaded | None:
        """Write rows as they are stored; `are_given`: their row ids, too, else they get new ones.  No CHECK is to be held."""
        if len(rows) < _MET_MIN or tree.rewrite() is None:
            return None
        if self._reads_new_key and not are_given:
            return None
        if self._clause is None:
            return self._replace(ctx, tree, rows, keys, are_given=are_given)
        found = self._met(ctx, tree, rows, keys, are_given=are_given)
        if found is None:
            return None
        action, owners = found
        free = [key is None for key in owners]
        met = dict(compress(zip(owners, rows, strict=True), map(not_, free)))
        if met and action == "UPDATE" and (len(met) < _MET_MIN or not _is_dense(tree, met)):
            return None
        changed = 0
        try:
            with guarded(ctx, apart=True) as undo:
                undo.needed()
                if met and action == "UPDATE":
                    changed = self._change(ctx, met)
                loaded = self._insert(ctx, list(compress(rows, free)))
        except _CloserLookError:
            return None
        loaded.count += changed
        return loaded

    def _replace(
        self, ctx: Context, tree: Tree, rows: Sequence[Row], keys: Sequence[Any], *, are_given: bool
    ) -> Loaded | None:
        gone: set[Any] = set()
        of_first: set[Any] = set()
        for item in self._order:
            found = self._owners(ctx, tree, item, rows, keys, are_given=are_given)
            if found is None:
                return None
            values, owners = found
            gone.update(owners.values())
            of_first.update([owners.get(value) for value in values[:1]])
        if gone and (len(gone) < _MET_MIN or not _is_dense(tree, gone)):
            return None
        last = tree.last()
        if not are_given and last is not None and last[0] in of_first:
            # New row ids begin below it then; once there is a new row, that is the last.
            return None
        row_ids = None
        if not are_given:
            start = 1 if last is None else last[0] + 1
            row_ids = range(start, start + len(rows))
            if row_ids[-1] > INT_MAX:
                return None
        try:
            with guarded(ctx, apart=True) as undo:
                undo.needed()
                if gone and delete_keys(ctx, list(gone), self._records) is None:
                    return None
                return self._insert(ctx, rows, row_ids)
        except _CloserLookError:
            return None

    def _owners(
        self,
        ctx: Context,
        tree: Tree,
        item: Resolution,
        rows: Sequence[Row],
        keys: Sequence[Any],
        *,
        are_given: bool,
    ) -> tuple[Sequence[Any], dict[Any, Any]] | None:
        """The rows' values of a constraint, and whose they are; None if two rows have the same."""
        constraint = item.constraint
        if constraint is None:
            if not are_given:
                return (), {}
            return (keys, _present(tree, keys)) if _are_different(keys) else None
        values = constraint.values_of(rows, keys)
        if not _are_different(values):
            return None
        return values, constraint.owners(ctx.transaction.tree(constraint.tree_id), values)

    def _met(
        self, ctx: Context, tree: Tree, rows: Sequence[Row], keys: Sequence[Any], *, are_given: bool
    ) -> tuple[str, list[Any]] | None:
        """What is done where a row is in the way, and of each row the key of the first one that is; None where two of the
        rows have the same value or meet the same row, or there is more than one thing to be done."""
        found: tuple[str, list[Any]] | None = None
        for item in self._order:
            known = self._owners(ctx, tree, item, rows, keys, are_given=are_given)
            if known is None:
                return None
            values, owners = known
            if not owners:
                continue
            theirs = list(map(owners.get, values))
            if found is not None:
                action, first = found
                theirs = [
                    owner if before is None else before
                    for before, owner in zip(first, theirs, strict=True)
                ]
                if item.action != action and theirs.count(None) < first.count(None):
                    return None
            elif item.action in ("UPDATE", "IGNORE"):
                action = item.action
            else:
                return None
            found = action, theirs
        if found is None:
            return "IGNORE", [None] * len(rows)
        return found if _are_different(found[1]) else None

    def _change(self, ctx: Context, met: dict[Any, Row]) -> int:
        records, clause, reads = self._records, self._clause, self._reads
        assert clause is not None
        changed: Changed = self._make(ctx.transaction, ctx.parameters, ctx)

        def make(batch: ColumnBatch) -> Sequence[Sequence[Any]]:
            keys = batch.values(ROWID)
            columns = [
                batch.values(at) if at in reads and at != records.alias else keys
                for at in range(records.width)
            ]
            new = list(map(met.__getitem__, keys))
            return list(zip(*changed(list(zip(*columns, strict=True)), keys, new), strict=True))

        done = update_keys(ctx, list(met), make, records, clause.places, clause.indexes)
        if done is None or done.changes != len(met):
            raise _CloserLookError
        return done.changes

    def _insert(self, ctx: Context, rows: Sequence[Row], row_ids: range | None = None) -> Loaded:
        if not rows:
            return Loaded([], [], None)
        loaded = self._bulk.load_free(ctx, rows, row_ids)
        if loaded is None:
            raise _CloserLookError
        return loaded


def apart(records: TableRecords, order: Sequence[Resolution], bulk: BulkInsert) -> Apart | None:
    """What writes such rows of a statement with one DO UPDATE that asks for nothing, or one that replaces; else None."""
    if records.has_checks or bulk.replaces:
        return None
    if {item.action for item in order} == {"REPLACE"}:
        return Apart(records, order, None, bulk)
    clauses = [item.clause for item in order if item.action == "UPDATE" and item.clause]
    if len({id(clause) for clause in clauses}) != 1 or clauses[0].where:
        return None
    made = Apart(records, order, clauses[0], bulk)
    return made if made.is_possible else None


def _are_different(values: Sequence[Any]) -> bool:
    """Whether none comes twice but NULL."""
    different = set(values)
    nulls = values.count(None)
    return len(values) - nulls == len(different) - bool(nulls)


def _present(tree: Tree, keys: Sequence[Any]) -> dict[Any, Any]:
    """Those of some different keys that a tree holds, each by itself."""
    if keys[0].__class__ is int:
        low, stop = min(keys), max(keys) + 1
        if tree.estimate(low, stop) <= _SCANNED_PER_KEY * len(keys):
            wanted, found = set(keys), set[Any]()
            for (some,) in tree.column_batches((ROWID,), low, stop):
                found |= wanted.intersection(some)
            return dict(zip(found, found, strict=True))
    there = zip(keys, tree.get_many(keys), strict=True)
    return {key: key for key, row in there if row is not None}


def _is_dense(tree: Tree, keys: Collection[Any]) -> bool:
    """Whether many of a tree's pages have several of these keys."""
    try:
        low, high = min(keys), max(keys)
    except TypeError:  # of several kinds
        return False
    return tree.estimate(low, high, hi_inclusive=True) <= _MET_SHARE * len(keys)
