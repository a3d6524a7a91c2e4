"""UPDATE and DELETE of the one row that has a given key: the short way.

`UPDATE t SET ... WHERE id = ?` needs no scan: the row is looked up, its successor computed by one compiled
function, checked by its values' classes and put back.  This way is chosen when the statement is
prepared, if

- WHERE compares the rowid, or all columns of another unique key, with parameters (`unique_keys`), and does nothing
  else, and there is no FROM, ORDER BY, LIMIT or RETURNING;
- SET has no subqueries and no functions of the program's;
- no trigger and no foreign key concerns the statement, and the row keeps its key;
- the table has no generated columns and no CHECK, and the indexes concerned are not partial.

A function made here writes the row, or returns None with nothing written where the values need a closer
look: the parameter is of another kind than the key, an affinity has to be applied, a NOT NULL or a unique index is in the
way.  The statement's scan then finds the row again, and errors and conflicts take their exact form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sql.compile import compile_row_statement, prepare_select
from sql.dml.programs import ProgramContext
from sql.dml.undo import ABSENT
from sql.dml.writer import same
from sql.expressions import Call, Match
from sql.plan.walk import walk_block
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from sqlglot import exp

    from btree import Transaction, Tree
    from sql.compile import CompiledQuery
    from sql.context import Context
    from sql.dml.index_keys import IndexKeys
    from sql.dml.records import Row, TableRecords
    from sql.dml.unique_keys import UniqueKey
    from sql.schema import Table


def is_plain(query: CompiledQuery) -> bool:
    """Whether a statement's expressions have neither subqueries, whose code fits only the kinds of value
    that the trees hold at the moment, nor functions of the program's, which nobody may call twice."""
    return not any(
        getattr(node, "plan", None) is not None
        or isinstance(node, Match)
        or (isinstance(node, Call) and not node.function.builtin)
        for node in walk_block(query.block)
    )


def renewed(query: CompiledQuery, select: exp.Expression, ctx: Context) -> CompiledQuery:
    """The scan of a statement that mostly does without: `query`, or `select` compiled anew if it has no code
    yet or no longer fits the trees."""
    if query.has_code and query.is_still_valid(ctx.transaction):
        return query
    env = ctx.session.environment(ctx.transaction, parameters=ctx.parameters)
    return prepare_select(select, env)


class OneRow(NamedTuple):
    """A way to write one row.  `run(transaction, parameters, ctx)` gives None, with nothing written, where the row
    needs a closer look; it calls nothing of the program's.  `is_bare`: it does without `ctx`."""

    run: Callable[[Transaction, Row, Any], WriteOutcome | None]
    is_bare: bool = False

    def __call__(self, ctx: Context) -> WriteOutcome | None:
        values = ctx.values if isinstance(ctx, ProgramContext) else ctx.parameters
        return self.run(ctx.transaction, values, ctx)


NONE, ONE = WriteOutcome(0), WriteOutcome(1)
"""Outcomes of statements that changed no row and one.  Shared: nobody changes an outcome it was given."""


FEW_ASSIGNED = 4
"""Columns whose values' classes are compared one by one with those of the old row."""


def keyed_update(
    records: TableRecords,
    indexes: Sequence[IndexKeys],
    unique: UniqueKey,
    assigned: Collection[int],
    row: Sequence[exp.Expression],
    table: Table,
    *,
    noted: bool = False,
    tells: bool = False,
) -> OneRow:
    """A function that gives the row that `unique` means the values of `row`, of whose columns those of `assigned` are
    other than before.

    `indexes` are those that depend on the columns that change; `table` is the table under the name that the
    statement knows it by.  All of it is one function: each call that it is spared takes about as long as
    what would be called.  `noted`: the run may have to be undone; `tells`: what is given is (key, row before, row)."""

    def lines(old: str, key: str, values: str, name: Callable[..., str]) -> list[str]:
        places, tree_id = tuple(sorted(assigned)), records.table.tree_id
        closer_look = (
            f"{name(records.plain, 'plain')}.get(tuple(map(type, new_)))"
            f" is not txn.kinds_of({tree_id})"
        )
        if len(assigned) <= FEW_ASSIGNED:
            # A value of the class that its column held before is stored as it is, and is of a kind that
            # the tree is known to hold, if the column stores that class at all.
            kept = [
                f"new_[{place}].__class__ is {old}[{place}].__class__ in"
                f" {name(records.allowed[place], 'allowed')}"
                for place in places
            ]
            closer_look = f"not ({' and '.join(kept)}) and {closer_look}"
        written = []
        if indexes:
            work = f"{name(_entry_changes)}(ctx, {name(indexes)}, {old}, new_, {key})"
            written = [
                f"work_ = {work}",
                "if work_ is None: return None",
                "for index_, before_, after_ in work_:",
                *(
                    [
                        "    note_(index_.id, before_, None)",
                        f"    note_(index_.id, after_, {name(ABSENT, 'absent')})",
                    ]
                    if noted
                    else ()
                ),
                "    index_.delete(before_)",
                "    index_.put(after_)",
            ]
        return [
            *unique.lines(key, name(NONE), name),
            f"{old} = txn.row({tree_id}, {key})",
            f"if {old} is None: return {name(NONE)}",
            f"new_ = {values}",
            f"if {closer_look}:",
            f"    new_ = {name(records.changed, 'changed')}(new_, {places}, txn.tree({tree_id}))",
            "    if new_ is None: return None",
            *(["note_ = ctx.state.undo.note", f"note_({tree_id}, {key}, {old})"] if noted else ()),
            *written,
            f"txn.put_row({tree_id}, {key}, new_)",
            f"return ({key}, {old}, new_)" if tells else f"return {name(ONE)}",
        ]

    return OneRow(*compile_row_statement(row, table, records.env, lines))


def _entry_changes(
    ctx: Context, indexes: Sequence[IndexKeys], old: Row, row: Row, key: int
) -> list[tuple[Tree, Row, Row]] | None:
    """The entries of indexes that a change of a row replaces, and those that take their place; None if one
    of these is another row's."""
    changes = []
    for index in indexes:
        before, after = index.key(ctx, old, key), index.key(ctx, row, key)
        if same(before, after):
            continue
        tree = ctx.transaction.tree(index.tree_id)
        if index.unique and index.other(tree, after) is not None:
            return None
        changes.append((tree, before, after))
    return changes


def keyed_delete(
    records: TableRecords, unique: UniqueKey, *, noted: bool = False, tells: bool = False
) -> OneRow:
    """A function that deletes the row that `unique` means.  `noted`: the run may have to be undone; `tells`: what is
    given is (key, row, None)."""
    tree_id, indexes = records.table.tree_id, records.indexes
    allowed, of, unique_index = unique.allowed, unique.of, unique.index

    def delete(transaction: Transaction, parameters: Row, ctx: Any) -> Any:
        for number, classes in allowed:
            if parameters[number].__class__ not in classes:
                return None
        key = of(parameters)
        if unique_index is not None:
            found = transaction.tree(unique_index.tree_id).prefixed(key)
            if found is None:
                return None
            if not found:
                return NONE
            key = unique_index.row_key(found[0])
        if indexes or noted:
            row = transaction.row(tree_id, key)
            if row is None:
                return NONE
            entries = [(index.tree_id, index.entry(ctx, row, key)) for index in indexes]
            if noted:
                note = ctx.state.undo.note
                note(tree_id, key, row)
            for index_id, entry in entries:
                if entry is not None:
                    if noted:
                        note(index_id, entry, None)
                    transaction.tree(index_id).delete(entry)
            transaction.delete_row(tree_id, key)
            return (key, row, None) if tells else ONE
        return ONE if transaction.delete_row(tree_id, key) else NONE

    return OneRow(delete, is_bare=not indexes and not noted)
