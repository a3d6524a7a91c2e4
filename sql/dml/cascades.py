"""Rows deleted together with those that refer to them, all at once where it is the same as row by row.

    rows to delete  ->  per constraint: who refers to them  ->  delete, or set to NULL, and so on from those
                        (nobody may, under NO ACTION and RESTRICT)

A parent's row by row way counts violations and starts a program for each row and constraint (`foreign_keys`).  Where
no trigger concerns any of the tables, and none of them is reached in two ways, the order of the rows makes no difference:
who refers to them is looked up for all rows at once, before anything is written.  If that finds a
row that must not be there, or a column that can't be NULL, nothing is done, and the way row by row says what of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sql.dml.bulk import change_entries, remove_rows, write_entries
from sql.dml.entry_sorting import sort_entries
from sql.dml.foreign_keys import ForeignKeys, compared_as_stored
from sql.dml.records import NULL, Row, TableRecords, widen_by_classes
from sql.dml.triggers import Triggers
from sql.dml.undo import not_noted
from sql.errors import SqlError
from sql.run.columns import by_column

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.dml.foreign_key_actions import Children
    from sql.dml.index_keys import IndexKeys
    from sql.schema import ForeignKey, Table
    from sql.session import Session


class Rows(NamedTuple):
    """Rows of one table with their tree keys, and what becomes of them: they go, or the columns `nulled` do."""

    records: TableRecords
    keys: list[Any]
    rows: list[Row]
    nulled: tuple[int, ...] = ()


class Cascade:
    """The rows of one table that go, and the constraints by which others refer to them; made per plan."""

    def __init__(self, records: TableRecords, references: Sequence[_Reference]) -> None:
        self.records = records
        self._references = references

    @staticmethod
    def of(session: Session, env: BindEnvironment, table: Table) -> Cascade | None:
        """None where rows are better deleted one by one."""
        try:
            return _cascade(session, env, table, set())
        except SqlError:  # which the rows' own way finds, if there are any
            return None

    def run(self, ctx: Context, keys: list[Any], rows: list[Row]) -> int | None:
        """Delete rows, and give the number of others that were changed; None, with nothing written, if it takes
        a closer look."""
        work: list[Rows] = []
        if not self._gather(ctx, keys, rows, work):
            return None
        changed = 0
        for done in work:
            changed += len(done.keys)
            if done.nulled:
                _set_null(ctx, done)
            else:
                remove_rows(ctx, done.records, done.keys, done.rows)
        return changed - len(keys)

    def _gather(self, ctx: Context, keys: list[Any], rows: list[Row], work: list[Rows]) -> bool:
        work.append(Rows(self.records, keys, rows))
        for reference in self._references:
            ctx.check()
            found = reference.find(ctx, rows)
            if not found:
                continue
            if reference.cascade is None and not reference.nulled:
                return False
            records = reference.records
            children = ctx.transaction.tree(records.table.tree_id).get_many(found)
            if reference.cascade is not None:
                if not reference.cascade._gather(ctx, found, children, work):
                    return False
            else:
                work.append(Rows(records, found, children, reference.nulled))
        return True


def _cascade(
    session: Session, env: BindEnvironment, table: Table, seen: set[int]
) -> Cascade | None:
    """`seen`: the tables that are changed on the way here."""
    seen.add(table.tree_id)
    references = []
    for children in ForeignKeys(session, env, table, "DELETE").parents:
        reference = _reference(session, env, children, seen)
        if reference is None:
            return None
        references.append(reference)
    return Cascade(TableRecords(table, env), references)


def _reference(
    session: Session, env: BindEnvironment, children: Children, seen: set[int]
) -> _Reference | None:
    child, key, parent = children.child, children.key, children.parent
    if child.tree_id in seen or not compared_as_stored(child, key, parent):
        return None
    records = TableRecords(child, env)
    cascade: Cascade | None = None
    nulled: tuple[int, ...] = ()
    if key.on_delete == "CASCADE":
        if Triggers(session, env, child, "DELETE").any:
            return None
        cascade = _cascade(session, env, child, seen)
        if cascade is None:
            return None
    elif key.on_delete == "SET NULL":
        if not _may_be_null(session, env, records, key):
            return None
        seen.add(child.tree_id)
        nulled = key.columns
    elif key.on_delete == "SET DEFAULT":
        return None
    return _Reference(records, key, parent.places, cascade, nulled)


def children_tree(env: BindEnvironment, children: Children) -> tuple[int, Sequence[int]] | None:
    """The tree that begins with what the children of a parent refer to, an index's or their own, and the parent's
    columns in that order; None if there is no such."""
    child, key = children.child, children.key
    if not compared_as_stored(child, key, children.parent):
        return None
    if key.columns == (child.rowid_alias,):
        return child.tree_id, children.parent.places
    reference = _Reference(TableRecords(child, env), key, children.parent.places, None, ())
    if reference.tree_id is None:
        return None
    return reference.tree_id, reference.wanted


def _may_be_null(
    session: Session, env: BindEnvironment, records: TableRecords, key: ForeignKey
) -> bool:
    """Whether a constraint's columns can be set to NULL, and nothing but the table and its indexes knows of it."""
    table, places = records.table, frozenset(key.columns)
    names = frozenset(table.columns[place].name.lower() for place in places)
    return not (
        records.generated
        or records.has_checks
        or records.moves(places)
        or any(place in places for place, _ in records.not_null)
        or any(NULL not in records.storable[place] for place in places)
        or Triggers(session, env, table, "UPDATE", names).any
        or ForeignKeys(session, env, table, "UPDATE", places).parents
    )


class _Reference:
    """How children of many parent rows are found under one constraint, and what becomes of them: `cascade`, or
    `nulled` columns; with neither there must be none."""

    def __init__(
        self,
        records: TableRecords,
        key: ForeignKey,
        parent_places: Sequence[int],
        cascade: Cascade | None,
        nulled: tuple[int, ...],
    ) -> None:
        self.records = records
        self.cascade = cascade
        self.nulled = nulled
        self._places = key.columns
        self._index: IndexKeys | None = None
        self._is_clustered = False
        order = tuple(key.columns)
        parts = len(order)
        table = records.table
        first = table.key_parts[:parts]
        if table.without_rowid and set(first) == {(place, "BINARY") for place in order}:
            self._is_clustered = True
            order = table.primary_key[:parts]
        else:
            for index in records.indexes:
                columns = [part.column for part in index.index.columns[:parts]]
                collations = {part.collation.upper() for part in index.index.columns[:parts]}
                if (
                    index.condition is None
                    and None not in columns
                    and set(columns) == set(order)
                    and collations == {"BINARY"}
                ):
                    self._index = index
                    order = tuple(column for column in columns if column is not None)
                    break
        theirs = dict(zip(key.columns, parent_places, strict=True))
        self.wanted = [theirs[place] for place in order]

    @property
    def tree_id(self) -> int | None:
        """The tree that begins with what they refer to."""
        if self._index is not None:
            return self._index.tree_id
        return self.records.table.tree_id if self._is_clustered else None

    def find(self, ctx: Context, parents: Sequence[Row]) -> list[Any]:
        """The keys of the rows that refer to some of these, in order."""
        columns = [map(itemgetter(place), parents) for place in self.wanted]
        wanted = {values for values in zip(*columns, strict=True) if None not in values}
        if not wanted:
            return []
        index = self._index
        if self.tree_id is None:
            return list(self._scanned(ctx, wanted))
        tree_id = self.tree_id
        assert tree_id is not None
        tree = ctx.transaction.tree(tree_id)
        prefixes = list(wanted)
        sort_entries(prefixes)
        entries = [entry for found in tree.prefixed_many(prefixes) for entry in found]
        if index is None:
            return entries
        keys = list(map(index.row_key, entries))
        sort_entries(keys)
        return keys

    def _scanned(self, ctx: Context, wanted: set[Row]) -> Iterator[Any]:
        table = self.records.table
        tree, places = ctx.transaction.tree(table.tree_id), self._places
        if table.without_rowid or len(places) > 1:
            of = itemgetter(*places)
            single = len(places) == 1
            for keys, rows in tree.batches():
                ctx.check()
                for key, row in zip(keys, rows, strict=True):
                    if ((of(row),) if single else of(row)) in wanted:
                        yield key
            return
        bare = {value for (value,) in wanted}
        for row_ids, values in by_column(tree, ctx.check, (-1, places[0])):
            if not bare.isdisjoint(values):
                found = zip(row_ids, values, strict=True)
                yield from [row_id for row_id, value in found if value in bare]


def _set_null(ctx: Context, done: Rows) -> None:
    records, places, keys, rows = done.records, done.nulled, done.keys, done.rows
    not_noted(ctx)
    transaction = ctx.transaction
    tree = transaction.tree(records.table.tree_id)
    made = [
        tuple([None if place in places else value for place, value in enumerate(row)])
        for row in rows
    ]
    widen_by_classes(tree, [{NULL} if at in places else () for at in range(records.width)])
    for index in records.indexes:
        if index.depends_on(places):
            before, after = index.entries(ctx, rows, keys), index.entries(ctx, made, keys)
            sort_entries(before)
            sort_entries(after)
            change_entries(transaction.tree(index.tree_id), before, after)
    write_entries(tree, keys, made)
