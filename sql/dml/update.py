"""UPDATE of a stored table, and which of its ways a statement takes.

They stand in the order in which they are tried.  Each gives None, with nothing written, where it meets something out of the
ordinary, and the next one begins; the last is SQLite's own, and finds the form of every error and conflict.

    way                     where                          taken if
    by key                  `keyed`, `_one`                WHERE names a unique key, or few entries of an index
    by key, many sets       `keyed_many`, `run_many`       executemany, a unique key is all of WHERE, and keeps its values
    by column               `update_by_column`             many rows of a large table, and SET asks for nothing but their columns
    by column, found first  `update_found`                 many rows of a large table, and FROM, or a subquery in SET
    a few rows              `_few`                         the query found at most four
    in bulk                 `_in_bulk`                     the query found more
    in bulk, keys assigned  `_moved`                       hundreds, and no row takes the key of another
    row by row              `RowChanges`, `_change`        anything

    what the statement has                            by key  many  by column  found  few  bulk  row by row
    key assigned, keys of others that refer to it        -      -       -        -     -     -       x
    BEFORE triggers that may not run first               -      -       -        -     -     -       x
    AFTER triggers, BEFORE that may                      x 1    -      x 2      x 2    -    x 2      x
    a foreign key of its own                             x      -       x        -     x     x       x
    a partial index on what is assigned                  x      -       x        x     -     x       x
    generated columns                                    -      -       -        -     -     x       x
    CHECK, RETURNING                                     x      -       -        -     -     x 3     x
    FROM                                                 -      -       -        x     -     x       x

1: AFTER triggers alone (`rows.one_and_after`).  2: where nobody can tell that they run when all rows are written
(`triggers.fire_for_all`; `_by_column_and_after`, `_and_after`).  3: no subquery in RETURNING.

A query finds the rows to change, all of them, before the first is written, but by column, where a row's change depends on
that row alone.  The query gives each row's tree key, the row as it will be, and the old values of the columns that are
assigned to; where the key can be told from the row and no index asks for old values, the new rows and nothing else (`bare`):
they go into the tree as the scan's comprehension made them.  Only entries of indexes on changed columns are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import sqlglot.expressions as exp

from btree import CollectorPaused
from sql.compile import compile_change, compile_row_function, expects_many, plan_select
from sql.compile.query import trees_of
from sql.dml.assignments import assigned
from sql.dml.bulk import (
    breaks_checks,
    breaks_types,
    change_entries,
    entry_changes,
    load_rows,
    stored_rows,
)
from sql.dml.collector import gathered
from sql.dml.entry_sorting import in_key_order
from sql.dml.index_keys import IndexKeys, RowFunction, same
from sql.dml.records import KIND_BITS, Row, widen_by_classes
from sql.dml.target import (
    SETS_AT_ONCE,
    QueriedPlan,
    Target,
    Values,
    condition_of,
    is_plain,
    row_columns,
    scan_query,
    tree_key,
    with_known,
)
from sql.dml.triggers import AT_ONCE_MIN, fire_for_all
from sql.dml.undo import ABSENT, NOTED_ROWS, Undo, guarded, not_noted, noter
from sql.dml.unique_keys import UniqueKey, key_run, unique_key
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from btree import Tree
    from sql.bind import BindEnvironment
    from sql.compile import CompiledChange, CompiledQuery
    from sql.context import Context
    from sql.dml.by_column import Rows, Tell
    from sql.dml.keyed import OneRow
    from sql.dml.keyed_many import ManyRows
    from sql.dml.programs import Change
    from sql.dml.returning import Returning
    from sql.dml.row_programs import RowPrograms
    from sql.dml.rows import RowChanges
    from sql.parse.statements import Update
    from sql.schema import Table
    from sql.session import Session

_FEW = 4


class UpdatePlan(QueriedPlan):
    """A prepared UPDATE of a stored table."""

    def __init__(
        self, session: Session, statement: Update, table: Table, env: BindEnvironment
    ) -> None:
        self.session = session
        self.database = table.database
        self.statement = statement
        self.or_conflict = statement.or_conflict
        self.table = table
        self.width = len(table.columns)
        alias = statement.alias or statement.table.name
        self.places, values = assigned(statement.assignments, table)
        self.assigned = frozenset(self.places)
        self.target = target = Target(session, env, table, "UPDATE", self.assigned)
        records = target.records
        self.olds = [place for place in self.places if place >= 0]
        self._foreign_keys = target.foreign_keys
        self._values = values
        self._set: RowFunction | None = None
        changed = self.assigned | set(records.generated)
        self.indexes = [index for index in records.indexes if index.depends_on(changed)]
        keys = target.foreign_keys
        self.returning: Returning | None = None
        if statement.returning:
            from sql.dml.returning import Returning

            self.returning = Returning(statement.returning, table, env, statement.with_)
            self.columns = self.returning.columns
        # What a subquery of RETURNING sees of the table is what each row's change leaves.
        by_row = self.returning is not None and self.returning.volatile
        alone = not target.triggers.any and (keys is None or not keys.parents) and not by_row
        moves = records.moves(self.assigned)
        self.bulk = alone and not moves
        self._moves_alone = alone and moves and not records.generated
        self.bare = (
            self.bulk
            and statement.from_ is None
            and self.returning is None
            and not self.indexes
            and (records.alias is not None or records.primary_key is not None)
        )
        outputs = self._outputs(alias, dict(zip(self.places, values, strict=True)))
        self._select = scan_query(
            statement, alias, outputs, from_=statement.from_, joins=statement.joins
        )
        self.query = plan_select(self._select, env)
        triggers = target.triggers
        self._fires = keys is None and bool(triggers.after) and not triggers.before
        self._noted = bool(env.extra_scopes)  # a program's statement
        one_by_one = not records.moves(self.assigned) and not records.generated
        by_column = one_by_one and not records.has_checks
        in_place = by_column and self.returning is None
        self._plain_columns = (
            self.bulk and by_column and (self._foreign_keys is None or statement.from_ is None)
        )
        looked_at_alone = in_place and all(index.condition is None for index in self.indexes)
        self._simple = self.bulk and looked_at_alone and statement.from_ is None
        self._compiled: tuple[CompiledQuery, tuple[int, ...], CompiledChange | None] | None = None
        self._found: Rows | None = None
        self._many = False
        self._unique: UniqueKey | None = None  # what WHERE compares with parameters
        self._by_keys: ManyRows | None = None  # made when it is first wanted
        self._one: OneRow | None = None
        programs = None
        if triggers.any and one_by_one and (keys is None or not keys.parents):
            from sql.dml.row_programs import RowPrograms

            programs = RowPrograms.of(target, env, "UPDATE", self.or_conflict)
        may_start = self.bulk or self._fires or programs is not None
        if one_by_one and may_start and statement.from_ is None:
            self.take_short_way(self._keyed(programs), programs)
        if (
            self._noted
            and target.plain
            and self.returning is None
            and statement.from_ is None
            and is_plain(self.query)
            and trees_of(self.query.block) == {table.tree_id}
        ):
            self.apart_tree = table.tree_id
        self._may_wait = keys is None and triggers.any and in_place and statement.from_ is None
        if self.needs_scan(env):
            self.query.generate()

    def _keyed(self, programs: RowPrograms | None) -> OneRow | None:
        """The short way to one row, or to the few that an index finds; None if the statement is of another form."""
        records, where = self.target.records, self.statement.where
        if not is_plain(self.query):
            return None
        starts = self.target.triggers.any
        found = unique_key(self.query, records)
        if found is None and not starts:
            found = key_run(self.query, records)
        if found is None:
            return None
        if (
            self._simple
            and found.is_all
            and found.is_given
            and self._foreign_keys is None
            and not (self._noted or starts)
        ):
            self._unique = found
            if found.is_unique and found.places.isdisjoint(self.assigned):
                self.sets_at_once = SETS_AT_ONCE
        from sql.dml.keyed import keyed_update

        return keyed_update(
            self.target,
            self.indexes,
            found,
            self.assigned,
            self._successor(),
            self._as_named(),
            where=where and condition_of(where),
            returning=self.returning,
            noted=self._noted or starts,
            tells=starts,
            programs=programs,
        )

    def _successor(self) -> list[exp.Expression]:
        """The columns of a row as they will be."""
        values = dict(zip(self.places, self._values, strict=True))
        columns = row_columns(self._as_named())
        return [values.get(place, column) for place, column in enumerate(columns)]

    def _as_named(self) -> Table:
        """The table under the name that the statement knows it by."""
        alias = self.statement.alias
        return self.table if alias is None else msgspec.structs.replace(self.table, name=alias)

    def _outputs(self, alias: str, values: dict[int, exp.Expression]) -> list[exp.Expression]:
        """The scan's columns: tree key, new row, a new rowid if one is assigned apart from the columns,
        and the old values of assigned columns."""
        columns = row_columns(self.table, alias)
        row = [values.get(place, column) for place, column in enumerate(columns)]
        if self.bare:
            return row
        outputs = [tree_key(alias), *row]
        if -1 in values:
            outputs.append(values[-1])
        return [*outputs, *[columns[place] for place in self.olds]]

    # -- running ---------------------------------------------------------------------------------

    def _changed(self, ctx: Context) -> WriteOutcome:
        if self._plain_columns:
            from sql.dml.by_column import with_returned

            outcome = with_returned(ctx, self.returning, self.width, self._by_column)
            if outcome is not None:
                return outcome
        elif self._may_wait:
            with guarded(ctx) as undo:
                outcome = self._by_column_and_after(ctx, undo)
            if outcome is not None:
                return outcome
        try:
            found = gathered(self.query.run(ctx))
            if self.statement.from_ is not None or self.returning is not None:
                found = in_key_order(found if self.statement.from_ is None else _latest(found))
            if not found:
                return WriteOutcome(0, 0, None if self.returning is None else [])
        except BaseException:
            ctx.session.changes = 0
            raise
        with guarded(ctx) as undo:
            if self._simple and len(found) <= _FEW and self._few(ctx, found):
                return WriteOutcome(len(found))
            if self.bulk:
                with CollectorPaused():
                    done = self._in_bulk(ctx, found)
                if done is not None:
                    return done
            if self._moves_alone and len(found) > NOTED_ROWS:
                undo.needed()
                done = self._moved(ctx, in_key_order(found))
                if done is not None:
                    return done
            outcome = self._and_after(ctx, found, undo)
            if outcome is not None:
                return outcome
            if len(found) > NOTED_ROWS:
                undo.needed()
            changes = self._row_by_row(ctx, undo)
            items = self._with_keys(ctx, found) if self.bare else found
            changes.each(in_key_order(items), lambda item: self._change(changes, item))
            return changes.finished()

    def _row_by_row(self, ctx: Context, undo: Undo) -> RowChanges:
        from sql.dml.conflicts import resolutions, touched
        from sql.dml.rows import RowChanges

        target, or_conflict = self.target, self.or_conflict
        order = touched(resolutions(target.records, or_conflict), target.records, self.assigned)
        return RowChanges(ctx, target, undo, or_conflict, order, self.returning, self.indexes)

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome:
        unique = self._unique
        if unique is None or not unique.places.isdisjoint(self.assigned):
            return super().run_many(ctx, parameter_sets)
        from sql.dml.keyed_many import run_by_key, updates_by_key

        many = self._by_keys
        if many is None:
            values = dict(zip(self.places, [value.copy() for value in self._values], strict=True))
            many = self._by_keys = updates_by_key(
                self.target.records, self.indexes, unique, values, self._as_named()
            )
        ordered = any(index.unique for index in self.indexes)
        return run_by_key(self, ctx, parameter_sets, unique, many, ordered=ordered)

    def _keys(self, found: Sequence[Row]) -> list[Any]:
        """The tree keys of what the scan found."""
        records = self.target.records
        if not self.bare:
            return list(map(itemgetter(0), found))
        if records.primary_key is not None:
            return list(map(records.primary_key, found))
        assert records.alias is not None
        return list(map(itemgetter(records.alias), found))

    def _new_rows(self, found: list[Row]) -> list[Row]:
        """The rows as they will be."""
        end = self.width + 1
        return found if self.bare else [item[1:end] for item in found]

    def _with_keys(self, ctx: Context, found: Sequence[Row]) -> list[Row]:
        """What a bare scan found in the form of any other's, as long as nothing has been written."""
        keys = self._keys(found)
        olds = ctx.transaction.tree(self.table.tree_id).get_many(keys)
        return [
            (key, *row, *[old[place] for place in self.olds])
            for key, row, old in zip(keys, found, olds, strict=True)
        ]

    def _change(self, changes: RowChanges, item: Row) -> None:
        """Change one row as it is now: an earlier row's programs, or REPLACE, may have got at it."""
        key, width = item[0], self.width
        current = changes.writer.tree.get(key)
        if current is None:
            return
        end = width + 2 if -1 in self.assigned else width + 1
        scanned = list(item[1 : width + 1])
        for place, value in zip(self.olds, item[end:], strict=True):
            scanned[place] = value
        new_key = item[width + 1] if -1 in self.assigned else key
        row = list(current)
        if self.statement.from_ is not None or current == tuple(scanned):
            for place in self.olds:
                row[place] = item[place + 1]
        else:
            values = self._settings()(changes.ctx, current, key)
            for place, value in zip(self.places, values, strict=True):
                if place < 0:
                    new_key = value
                else:
                    row[place] = value
        changes.update(key, current, new_key, tuple(row), self.assigned)

    def _settings(self) -> RowFunction:
        """The values of SET for a row that is not what the scan saw."""
        if self._set is None:
            trees = [with_known(value.copy(), self.statement.with_) for value in self._values]
            self._set = compile_row_function(trees, self._as_named(), self.target.env)
        return self._set

    def _by_column(self, ctx: Context, tell: Tell | None = None) -> WriteOutcome | None:
        """Change a large table by column; None, with nothing written, if that is not possible.  `tell` is told of the rows."""
        from sql.dml.by_column import update_by_column, update_found

        change = self._change_by_column(ctx)
        places = list(dict.fromkeys(self.olds))
        records, indexes = self.target.records, self.indexes
        if change is not None:
            return update_by_column(
                ctx, change, records, places, indexes, self._found_rows, self._foreign_keys, tell
            )
        if not self._many or self._foreign_keys is not None:
            return None
        found = self._found_rows(ctx)
        if self.statement.from_ is not None:
            found = _latest(found)
        found = in_key_order(found)
        if not found:
            return WriteOutcome(0)
        return update_found(ctx, found, records, places, indexes, tell)

    def _change_by_column(self, ctx: Context) -> CompiledChange | None:
        """How the rows of a large table are found and changed by column; None if they are found by a query, `_many` of
        them, or not so."""
        query = self.query
        kinds = tuple([KIND_BITS[value.__class__] for value in ctx.parameters])
        known = self._compiled
        if known is not None and known[0] is query and known[1] == kinds:
            return known[2]
        change = None
        if self.statement.from_ is None:
            shift = 0 if self.bare else 1
            outputs = [place + shift for place in dict.fromkeys(self.olds)]
            change = compile_change(query, outputs, kinds, ctx.transaction)
        self._compiled, self._found = (query, kinds, change), None
        self._many = change is None and expects_many(query, ctx.transaction)
        return change

    def _found_rows(self, ctx: Context) -> list[Row]:
        """The keys of the rows that are meant; where SET is computed with them, their new values, too."""
        if self._found is None:
            statement = self.statement
            alias = statement.alias or statement.table.name
            outputs = [tree_key(alias)]
            if self._many:
                values = dict(zip(self.places, self._values, strict=True))
                outputs += [values[place] for place in dict.fromkeys(self.olds)]
            select = scan_query(
                statement, alias, outputs, from_=statement.from_, joins=statement.joins
            )
            from sql.dml.by_column import rows_function

            self._found = rows_function(ctx, select, self.target.env)
        return self._found(ctx)

    # -- a few rows ------------------------------------------------------------------------------

    def _few(self, ctx: Context, found: list[Row]) -> bool:
        """Write a few rows; False, with nothing written, if they need a closer look."""
        transaction, records = ctx.transaction, self.target.records
        tree = transaction.tree(self.table.tree_id)
        keys, rows = self._keys(found), self._new_rows(found)
        for row in rows:
            if not records.is_plain(row, tree):
                return False
        if self._foreign_keys is not None and not self._foreign_keys.undisturbed(ctx, rows):
            return False
        work: list[tuple[int, Tree, Row, Row]] = []
        note = noter(ctx)
        if self.indexes:
            olds = self._old_rows_of(found)
            for index in self.indexes:
                index_tree = transaction.tree(index.tree_id)
                for key, old_row, row in zip(keys, olds, rows, strict=True):
                    old, new = index.key(ctx, old_row, key), index.key(ctx, row, key)
                    if same(old, new):
                        continue
                    if index.unique and (
                        len(found) > 1 or index.other(index_tree, new) is not None
                    ):
                        return False
                    work.append((index.tree_id, index_tree, old, new))
        if note is not None:
            for key in keys:
                note(self.table.tree_id, key, tree.get(key))
            for tree_id, _, old, new in work:
                note(tree_id, old, None)
                note(tree_id, new, ABSENT)
        for key, row in zip(keys, rows, strict=True):
            tree.put(key, row)
        for _, index_tree, old, new in work:
            index_tree.delete(old)
            index_tree.put(new)
        return True

    # -- in bulk ---------------------------------------------------------------------------------

    def _by_column_and_after(self, ctx: Context, undo: Undo) -> WriteOutcome | None:
        """Change a large table by column, and then run its triggers; None, with nothing written, if that is not possible."""
        from sql.dml.by_column import changes_into
        from sql.dml.programs import with_state

        inner, outermost = with_state(ctx, undo)
        if not outermost or (self._change_by_column(ctx) is None and not self._many):
            return None
        told: list[Change] = []

        def write() -> tuple[list[Change], list[Change]] | None:
            tell = changes_into(told, self.width)
            return None if self._by_column(inner, tell) is None else (told, told)

        if not fire_for_all(self.target.triggers, inner, self.table, self.or_conflict, write):
            return None
        return WriteOutcome(len(told), len(told) + inner.state.changed)

    def _and_after(self, ctx: Context, found: list[Row], undo: Undo) -> WriteOutcome | None:
        """Change many rows, and then run their triggers; None, with nothing written, if that is to be done row by row."""
        if not self._may_wait or len(found) < AT_ONCE_MIN:
            return None
        from sql.dml.programs import with_state

        inner, outermost = with_state(ctx, undo)
        if not outermost:
            return None
        told: list[Change] = []

        def write() -> tuple[list[Change], list[Change]] | None:
            done = self._in_bulk(inner, in_key_order(found), told)
            return None if done is None else (told, told)

        if not fire_for_all(self.target.triggers, inner, self.table, self.or_conflict, write):
            return None
        return WriteOutcome(len(found), len(found) + inner.state.changed)

    def _in_bulk(
        self, ctx: Context, found: list[Row], told: list[Change] | None = None
    ) -> WriteOutcome | None:
        """Write all new rows at once; None, with nothing written, if they need a closer look.  `told`: what is told of
        the rows before and after."""
        records = self.target.records
        tree = ctx.transaction.tree(self.table.tree_id)
        keys = self._keys(found)
        rows: Sequence[Row] = self._new_rows(found)
        few = len(rows) <= _FEW and not records.generated
        if not few or not all(records.is_plain(row, tree) for row in rows):
            made = self._stored(ctx, tree, rows, keys)
            if made is None:
                return None
            rows = made
        if breaks_checks(ctx, records, rows, keys, [set()] * self.width, tree.kinds):
            return None
        if self._foreign_keys is not None and not self._foreign_keys.undisturbed(ctx, rows):
            return None
        work = []
        if self.indexes or told is not None:
            olds = self._old_rows(ctx, found, keys)
            if told is not None:
                before, after = zip(keys, olds, strict=True), zip(keys, rows, strict=True)
                told += zip(before, after, strict=True)
            for index in self.indexes:
                done = _index_changes(ctx, index, keys, olds, rows)
                if done is None:
                    return None
                work.append(done)
        returned = None
        if self.returning is not None:
            make = self.returning.row
            returned = [make(ctx, row, key) for row, key in zip(rows, keys, strict=True)]
        not_noted(ctx)
        load_rows(tree, keys, rows)
        for index_tree, gone, new in work:
            change_entries(index_tree, gone, new)
        return WriteOutcome(len(rows), None, returned)

    def _moved(self, ctx: Context, found: list[Row]) -> WriteOutcome | None:
        """Give rows other keys, all at once; None, with nothing written, if they need a closer look."""
        from sql.dml.moving import move_rows

        keys, tree = self._keys(found), ctx.transaction.tree(self.table.tree_id)
        rows = self._stored(ctx, tree, self._new_rows(found), keys)
        if rows is None:
            return None
        rowids = [item[self.width + 1] for item in found] if -1 in self.assigned else None
        keys_of_others, returning = self._foreign_keys, self.returning
        with CollectorPaused():
            return move_rows(ctx, self.target, keys_of_others, returning, keys, rows, rowids)

    def _stored(
        self, ctx: Context, tree: Tree, rows: Sequence[Row], keys: Sequence[Any]
    ) -> Sequence[Row] | None:
        """The rows as they are stored; None if one breaks a NOT NULL or STRICT type.

        Columns that are not assigned to are so already."""
        records = self.target.records
        rows, classes = stored_rows(records, rows, self.olds)
        if records.generated:
            rows = records.fill_all_generated(ctx, rows, keys, classes, tree.kinds)
        if breaks_types(records, classes):
            return None
        widen_by_classes(tree, classes)
        return rows

    def _old_rows(self, ctx: Context, found: Sequence[Row], keys: Sequence[Any]) -> list[Row]:
        """The rows as they are, put together from what the scan gave."""
        if self.target.records.generated:
            return ctx.transaction.tree(self.table.tree_id).get_many(keys)
        return self._old_rows_of(found)

    @cached_property
    def _old_rows_of(self) -> Callable[[Sequence[Row]], list[Row]]:
        end = self.width + 1
        number = {place: at for at, place in enumerate(self.olds, end)}
        sources = [f"item[{number.get(place, place + 1)}]" for place in range(self.width)]
        made: Callable[[Sequence[Row]], list[Row]] = eval(
            f"lambda found: [({', '.join(sources)},) for item in found]"
        )
        return made


def _latest(found: Sequence[Row]) -> list[Row]:
    """Of several matches of a row, which begin with its key, the last one, which counts."""
    return list({row[0]: row for row in found}.values())


def _index_changes(
    ctx: Context, index: IndexKeys, keys: Sequence[Any], olds: Sequence[Row], rows: Sequence[Row]
) -> tuple[Tree, list[Row], list[Row]] | None:
    """An index's tree, and its entries to delete and to write, sorted; None if a unique index has, at
    any moment of the statement, one of the new values already."""
    tree = ctx.transaction.tree(index.tree_id)
    before, after = index.each(ctx, olds, keys), index.each(ctx, rows, keys)
    done = entry_changes(index, tree, before, after)
    return None if done is None else (tree, *done)
