"""UPDATE and DELETE of the one row that has a given rowid: the short way.

`UPDATE t SET ... WHERE id = ?` needs no scan: the row is looked up, its successor computed by one compiled
function, checked by its values' classes and put back.  This way is chosen when the statement is
prepared, if

- WHERE is `rowid = parameter` alone, and there is no FROM, ORDER BY, LIMIT or RETURNING;
- SET has no subqueries and no functions of the program's;
- no trigger and no foreign key concerns the statement, and the row keeps its rowid;
- the table has no generated columns and no CHECK, and the indexes concerned are not partial.

A function made here writes the row, or returns None with nothing written where the values need a closer
look: the parameter is no integer, an affinity has to be applied, a NOT NULL or a unique index is in the
way.  The statement's scan then finds the row again, and errors and conflicts take their exact form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from btree import CollectorPaused
from sql import point
from sql.compile import compile_row_statement, prepare_select
from sql.dml.bulk import write_entries
from sql.dml.target import WritePlan
from sql.dml.writer import same
from sql.expressions import Call, Match
from sql.plan import Select
from sql.plan.walk import walk_block
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from sqlglot import exp

    from btree import Transaction, Tree
    from sql.compile import CompiledQuery
    from sql.context import Context
    from sql.dml.index_keys import IndexKeys, RowFunction
    from sql.dml.records import Row, TableRecords
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
        return self.run(ctx.transaction, ctx.parameters, ctx)


ManyRows = Callable[["Context", "dict[Any, Row]"], "WriteOutcome | None"]
"""Of sets of parameters by the rowids in them."""

MANY = 8
"""Sets of parameters from which on they are worth being put in order."""

NONE, ONE = WriteOutcome(0), WriteOutcome(1)
"""Outcomes of statements that changed no row and one.  Shared: nobody changes an outcome it was given."""


def rowid_parameter(query: CompiledQuery, records: TableRecords) -> int | None:
    """The number of the parameter that the scan of a statement compares the rowid with, where that is
    all that it does."""
    block = query.block
    if not isinstance(block, Select) or block.limit is not None or block.order:
        return None
    return point.rowid_parameter(block)


FEW_ASSIGNED = 4
"""Columns whose values' classes are compared one by one with those of before."""


def keyed_update(
    records: TableRecords,
    indexes: Sequence[IndexKeys],
    number: int,
    assigned: Collection[int],
    row: Sequence[exp.Expression],
    table: Table,
) -> OneRow:
    """A function that gives the row whose rowid is parameter `number` the values of `row`, of whose
    columns those of `assigned` are other than before.

    `indexes` are those that depend on the columns that change; `table` is the table under the name that the
    statement knows it by.  All of it is one function: each call that it is spared takes about as long as
    what would be called."""

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
                "    index_.delete(before_)",
                "    index_.put(after_)",
            ]
        return [
            f"{key} = p[{number}]",
            f"if {key}.__class__ is not int: return None",
            f"{old} = txn.row({tree_id}, {key})",
            f"if {old} is None: return {name(NONE)}",
            f"new_ = {values}",
            f"if {closer_look}:",
            f"    new_ = {name(records.changed, 'changed')}(new_, {places}, txn.tree({tree_id}))",
            "    if new_ is None: return None",
            *written,
            f"txn.put_row({tree_id}, {key}, new_)",
            f"return {name(ONE)}",
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


def updates_by_key(
    records: TableRecords, number: int, assigned: Collection[int], successor: RowFunction
) -> ManyRows:
    """The same for many sets of parameters at once, where no index depends on what changes."""
    tree_id, is_plain = records.table.tree_id, records.is_plain
    places = tuple(sorted(assigned))

    def update(ctx: Context, sets: dict[Any, Row]) -> WriteOutcome | None:
        if set(map(type, sets)) != {int}:
            return None
        tree = ctx.transaction.tree(tree_id)
        ordered = sorted(sets)
        keys, rows = [], []
        for key, old in zip(ordered, tree.get_many(ordered), strict=True):
            if old is not None:
                ctx.parameters = sets[key]
                keys.append(key)
                rows.append(successor(ctx, old, key))
        shapes = {tuple(map(type, row)): row for row in rows}
        if not all(is_plain(row, tree) for row in shapes.values()):
            for at, row in enumerate(rows):
                stored = records.changed(row, places, tree)
                if stored is None:
                    return None
                rows[at] = stored
        if rows:
            write_entries(tree, keys, rows)
        return WriteOutcome(len(rows))

    return update


def deletes_by_key(records: TableRecords) -> ManyRows:
    """The same of `keyed_delete`, for a table without indexes."""
    tree_id = records.table.tree_id

    def delete(ctx: Context, sets: dict[Any, Row]) -> WriteOutcome | None:
        if set(map(type, sets)) != {int}:
            return None
        return WriteOutcome(ctx.transaction.tree(tree_id).delete_many(sorted(sets)))

    return delete


def run_by_key(
    plan: WritePlan,
    ctx: Context,
    sets: Iterable[Row],
    number: int,
    many: ManyRows,
    *,
    ordered: bool,
) -> WriteOutcome:
    """Execute `plan` for each set of parameters, many of them at once.

    `ordered`: what is done to one row comes in its order, so those at once have different rowids.
    Deleting a row again is nothing."""
    total = WriteOutcome(0)
    with CollectorPaused():
        for distinct in _distinct(sets, number) if ordered else [_all(sets, number)]:
            ctx.check()
            outcome = many(ctx, distinct) if len(distinct) >= MANY else None
            if outcome is None:
                outcome = WritePlan.run_many(plan, ctx, distinct.values())
            total.changes += outcome.changes
            total.total_changes += outcome.total_changes
    return total


def _all(sets: Iterable[Row], number: int) -> dict[Any, Row]:
    return {values[number]: values for values in sets}


def _distinct(sets: Iterable[Row], number: int) -> Iterator[dict[Any, Row]]:
    found: dict[Any, Row] = {}
    for values in sets:
        key = values[number]
        if key in found:
            yield found
            found = {}
        found[key] = values
    yield found


def keyed_delete(records: TableRecords, number: int) -> OneRow:
    """A function that deletes the row whose rowid is parameter `number`."""
    tree_id, indexes = records.table.tree_id, records.indexes

    def delete(transaction: Transaction, parameters: Row, ctx: Any) -> WriteOutcome | None:
        key = parameters[number]
        if key.__class__ is not int:
            return None
        if indexes:
            row = transaction.row(tree_id, key)
            if row is None:
                return NONE
            entries = [(index.tree_id, index.entry(ctx, row, key)) for index in indexes]
            for index_id, entry in entries:
                if entry is not None:
                    transaction.tree(index_id).delete(entry)
        return ONE if transaction.delete_row(tree_id, key) else NONE

    return OneRow(delete, is_bare=not indexes)
