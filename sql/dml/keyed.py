"""UPDATE and DELETE of the one row that has a given key, or of the few that an index finds: the short way.

`UPDATE t SET ... WHERE id = ?` needs no scan: one compiled function looks the row up, computes its successor, checks
it and what it refers to, and puts it back with its entries of indexes.  This way is chosen when the statement is
prepared, if

- WHERE compares the rowid, all columns of another unique key, or the first columns of the index that the planner
  chose, with parameters (`unique_keys`); what it asks besides is asked of the row that was found;
- there is no FROM, ORDER BY or LIMIT;
- there are no subqueries, and no functions of the program's;
- no trigger before the row concerns the statement, and the row keeps its key;
- the table has no generated columns.

A function made here writes the row, or returns None with nothing written where the values need a closer
look: the parameter is of another kind than the key, a NOT NULL, a CHECK, a unique index or a foreign key is in the
way.  The statement's scan then finds the row again, and errors and conflicts take their exact form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sql.compile import RowCode
from sql.dml.programs import ProgramContext, places_of_values
from sql.dml.row_lines import (
    Entries,
    Lines,
    carried_through,
    change,
    children,
    entry_variables,
    indented,
    nothing_waits,
)
from sql.expressions import ROWID
from sql.result import WriteOutcome

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.compile import RowScope
    from sql.context import Context
    from sql.dml.index_keys import IndexKeys
    from sql.dml.records import Row, TableRecords
    from sql.dml.returning import Returning
    from sql.dml.row_programs import RowPrograms
    from sql.dml.target import Target
    from sql.dml.unique_keys import UniqueKey
    from sql.schema import Table


class OneRow(NamedTuple):
    """A way to write one row.  `run(transaction, parameters, ctx)` gives None, with nothing written, where the row
    needs a closer look; it calls nothing of the program's.  `is_bare`: it does without `ctx`."""

    run: Callable[[Transaction, Row, Any], WriteOutcome | None]
    is_bare: bool = False

    def __call__(self, ctx: Context) -> WriteOutcome | None:
        values = ctx.values if isinstance(ctx, ProgramContext) else ctx.parameters
        return self.run(ctx.transaction, values, ctx)


def bind_program_rows(code: RowCode, env: BindEnvironment) -> None:
    """Let NEW and OLD of a program's statement be read from the values that it runs with; those of any other are the
    parameters, which nobody has looked at before."""
    values = places_of_values(env)
    for source, places in values.items():
        code.outer(source, "p", f"p[{places[ROWID]}]", places)
    if not values:
        code.check_parameters(env.parameters or ())


NONE, ONE = WriteOutcome(0), WriteOutcome(1)
"""Outcomes of statements that changed no row and one.  Shared: nobody changes an outcome it was given."""


class _Found:
    """What a statement by key has in common, UPDATE or DELETE: the row that is found is in `old_`, its key in `key_`.

    `where` is given where the look-up is not all of WHERE.  `tells`: what is given is (key, row before, row, rows of
    RETURNING or None), in a list of such where several rows may be found."""

    def __init__(
        self,
        records: TableRecords,
        found: UniqueKey,
        table: Table,
        *,
        where: exp.Expression | None,
        returning: Returning | None,
        noted: bool,
    ) -> None:
        self.records, self.found = records, found
        self.code = code = RowCode(records.env)
        self.tree_id = code.tree_id(records.table.tree_id)
        bind_program_rows(code, records.env)
        self.name = code.name
        self.old = code.row(table, "old_", "key_")
        self._where = [] if found.is_all or where is None else [self.old.condition(where)]
        self._returning = returning
        self._outcome = ""
        if returning is not None:
            self._outcome = self.name(WriteOutcome, "outcome")
        self.none = f"{self._outcome}(0, None, [])" if returning else self.name(NONE, "none")
        self._notes = ["note_ = ctx.state.undo.note"] if noted else []
        self._row = [f"old_ = txn.row({self.tree_id}, key_)"]

    def read_alone(self, columns: Collection[int]) -> None:
        """Have the row found as `Tree.get` gives it for some columns; its tree is in `tree_`."""
        wanted = self.name(frozenset(columns), "wanted")
        self._row = [f"tree_ = txn.tree({self.tree_id})", f"old_ = tree_.get(key_, None, {wanted})"]

    def function(
        self, look: Lines, write: Lines, variables: Sequence[str], result: str, told: str
    ) -> OneRow | None:
        """The function: rows are found and looked at, all of them before the first is written.

        `look` and `write` are the lines for one row, `variables` what the second need of the first; `result` is the
        variable that RETURNING sees, `told` what is told of the row, if anything."""
        records, none = self.records, self.none
        is_one = self.found.is_unique
        noted = bool(self._notes)
        skip = f"return {none}" if is_one else "continue"
        lines = [
            *self._row,
            f"if old_ is None: {skip}",
            *[f"if not ({where}): {skip}" for where in self._where],
            *look,
        ]
        row = ""
        if self._returning is not None:
            scope = self.code.row(records.table, result, "key_")
            row = scope.values(self._returning.trees)
        before = self.found.lines("key_", none, self.code)
        if is_one:
            given = self.name(ONE, "one")
            if told:
                given = f"({told}, {f'[{row}]' if row else None})"
            elif row:
                given = f"{self._outcome}(1, None, [{row}])"
            write = carried_through(write, noted=noted)
            lines = [*before, *lines, *self._notes, *write, f"return {given}"]
        else:
            kept = ", ".join(["key_", *variables])
            gathered = f"({told}, None)" if told else row
            outcome = (
                f"{self.name(WriteOutcome, 'outcome')}(len(work_){', None, given_' if row else ''})"
            )
            place = before.index(next(line for line in before if line.startswith("for ")))
            lines = [
                *before[:place],
                "work_ = []",
                *before[place:],
                *indented([*lines, f"work_.append(({kept}))"]),
                f"if not work_: return {none}",
                *self._notes,
                *carried_through(
                    [
                        *(["given_ = []"] if gathered else []),
                        f"for {kept} in work_:",
                        *indented([*write, *([f"given_.append({gathered})"] if gathered else [])]),
                    ],
                    noted=noted,
                ),
                f"return {'given_' if told else outcome}",
            ]
        made = OneRow(*self.code.function(lines))
        return made if self.code.is_plain else None


def keyed_update(
    target: Target,
    indexes: Sequence[IndexKeys],
    found: UniqueKey,
    assigned: Collection[int],
    row: Sequence[exp.Expression],
    table: Table,
    *,
    where: exp.Expression | None = None,
    returning: Returning | None = None,
    noted: bool = False,
    tells: bool = False,
    programs: RowPrograms | None = None,
) -> OneRow | None:
    """A function that gives the rows that `found` means, and `where` holds for, the values of `row`, of whose columns
    those of `assigned` are other than before; None if it would call functions of the program's.

    `indexes` are those that depend on the columns that change; `table` is the table under the name that the
    statement knows it by.  All of it is one function: each call that it is spared takes about as long as
    what would be called.  `noted`: the run may have to be undone; `tells`: see `_Found`; `programs` are those that look at
    the row before it is written."""
    if not found.is_unique and any(index.unique for index in indexes):
        return None  # one of the rows may have the value that another gives up
    way = _Found(target.records, found, table, where=where, returning=returning, noted=noted)
    look, write = change(way.code, target, way.old, row, assigned, indexes, "key_", noted=noted)
    if programs is not None:
        look += programs.before_lines(way.code, "(*new_, key_, *old_, key_)")
    elif not (noted or tells or returning) and found.is_unique:
        others = _beside(target, way.old, where, row, assigned, indexes)
        if others is not None:
            way.read_alone(others)
            given = way.name(frozenset(assigned), "assigned")
            write[-1] = f"tree_.change(key_, new_, {given})"  # rather than put the row
    variables = ["old_", "new_", *entry_variables(indexes)]
    return way.function(look, write, variables, "new_", "key_, old_, new_" if tells else "")


def _beside(
    target: Target,
    old: RowScope,
    where: exp.Expression | None,
    row: Sequence[exp.Expression],
    assigned: Collection[int],
    indexes: Sequence[IndexKeys],
) -> set[int] | None:
    """The columns of a row that an UPDATE reads, if others may have long values, which are better neither read nor written;
    None if not, or if it is not known."""
    records = target.records
    tree = records.env.transaction.tree(records.table.tree_id)
    if not tree.has_long or records.has_checks or target.foreign_keys is not None:
        return None
    used = [row[place] for place in assigned]
    read = old.columns(used if where is None else [*used, where])
    read = read.union(assigned, *[index.reads for index in indexes])
    others = set(range(len(row))) - read
    return None if tree.has_long_in(read) or not tree.has_long_in(others) else read


def keyed_delete(
    target: Target,
    found: UniqueKey,
    table: Table,
    *,
    where: exp.Expression | None = None,
    returning: Returning | None = None,
    noted: bool = False,
    tells: bool = False,
    programs: RowPrograms | None = None,
    with_children: Callable[[Context, Any, Row], int | None] | None = None,
) -> OneRow | None:
    """A function that deletes the rows that `found` means and `where` holds for; as `keyed_update`.

    `with_children` deletes a row that others refer to, and gives the number of others that were changed for it;
    None, with nothing written, if that takes a closer look."""
    records, foreign_keys = target.records, target.foreign_keys
    way = _Found(records, found, table, where=where, returning=returning, noted=noted)
    code, tree_id = way.code, way.tree_id
    look: Lines = []
    if programs is not None:
        look += programs.before_lines(code, "(*old_, key_)")
    if foreign_keys is not None:
        look += nothing_waits(code, foreign_keys, noted=noted)
        acting = frozenset() if programs is None else programs.acting
        others = [item for item in foreign_keys.parents if id(item) not in acting]
        if others:
            childless = children(code, records.env, others, "old_")
            if childless is None:
                return None
            look += childless
            removes = with_children if found.is_unique and not (noted or returning) else None
            look += _together(code, removes)
    elif found.is_unique and found.is_all and not (records.indexes or noted or returning):
        # Whether there is such a row is looked at by who deletes it.
        deletes = (
            f"return {code.name(ONE, 'one')} if txn.delete_row({tree_id}, key_) else {way.none}"
        )
        return OneRow(*code.function([*found.lines("key_", way.none, code), deletes]))
    entries = Entries(code, records.indexes, noted=noted)
    look += entries.go("old_", "key_")
    write = [
        *([f"note_({tree_id}, key_, old_)"] if noted else ()),
        *entries.delete(),
        f"txn.remove_row({tree_id}, key_)",
    ]
    variables = ["old_", *[item for item in entry_variables(records.indexes) if item[:3] == "old"]]
    return way.function(look, write, variables, "old_", "key_, old_, None" if tells else "")


def _together(code: RowCode, removes: Callable[[Context, Any, Row], int | None] | None) -> Lines:
    """What is done about a row that others refer to."""
    if removes is None:
        return ["if met_: return None"]
    return [
        "if met_:",
        f"    others_ = {code.name(removes, 'removes')}(ctx, key_, old_)",
        "    if others_ is None: return None",
        f"    return {code.name(WriteOutcome, 'outcome')}(1, 1 + others_)",
    ]
