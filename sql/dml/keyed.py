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

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sql.compile import prepare_select
from sql.dml.writer import same
from sql.expressions import ROWID, Call, ColumnRef, Compare, Match, Parameter
from sql.plan import Select, TableRelation
from sql.plan.walk import walk_block
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from sqlglot import exp

    from sql.compile import CompiledQuery
    from sql.context import Context
    from sql.dml.index_keys import IndexKeys, RowFunction
    from sql.dml.records import TableRecords


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
    """The scan of a statement that mostly does without: `query`, or `select` compiled anew if it no
    longer fits the trees."""
    if query.is_still_valid(ctx.transaction):
        return query
    env = ctx.session.environment(ctx.transaction, parameters=ctx.parameters)
    return prepare_select(select.copy(), env)


OneRow = Callable[["Context"], "WriteOutcome | None"]

NONE, ONE = WriteOutcome(0), WriteOutcome(1)
"""Outcomes of statements that changed no row and one.  Shared: nobody changes an outcome it was given."""


def rowid_parameter(query: CompiledQuery, records: TableRecords) -> int | None:
    """The number of the parameter that the scan of a statement compares the rowid with, where that is
    all that it does."""
    block, table = query.block, records.table
    if table.without_rowid or not isinstance(block, Select):
        return None
    if len(block.items) != 1 or len(block.where) != 1 or block.limit is not None or block.order:
        return None
    relation, condition = block.items[0].relation, block.where[0]
    if not isinstance(relation, TableRelation) or relation.indexed_by is not None:
        return None
    if not isinstance(condition, Compare) or condition.op != "=":
        return None
    for column, value in (
        (condition.left, condition.right),
        (condition.right, condition.left),
    ):
        if isinstance(column, ColumnRef) and isinstance(value, Parameter):
            is_rowid = column.column == ROWID or column.column == records.alias
            return value.index if is_rowid and column.source == relation.source else None
    return None


def keyed_update(
    records: TableRecords, indexes: Sequence[IndexKeys], number: int, successor: RowFunction
) -> OneRow:
    """A function that gives the row whose rowid is parameter `number` the values of `successor`.

    `indexes` are those that depend on the columns that change."""
    tree_id, plain, is_plain = records.table.tree_id, records.plain, records.is_plain

    def update(ctx: Context) -> WriteOutcome | None:
        key = ctx.parameters[number]
        if key.__class__ is not int:
            return None
        transaction = ctx.transaction
        tree = transaction.tree(tree_id)
        old = tree.get(key)
        if old is None:
            return NONE
        row = successor(ctx, old, key)
        if plain.get(tuple(map(type, row))) is not tree.kinds and not is_plain(row, tree):
            return None
        if indexes:
            work = []
            for index in indexes:
                before, after = index.key(ctx, old, key), index.key(ctx, row, key)
                if same(before, after):
                    continue
                index_tree = transaction.tree(index.tree_id)
                if index.unique and index.other(index_tree, after) is not None:
                    return None
                work.append((index_tree, before, after))
            for index_tree, before, after in work:
                index_tree.delete(before)
                index_tree.put(after)
        tree.put(key, row)
        return ONE

    return update


def keyed_delete(records: TableRecords, number: int) -> OneRow:
    """A function that deletes the row whose rowid is parameter `number`."""
    tree_id, indexes = records.table.tree_id, records.indexes

    def delete(ctx: Context) -> WriteOutcome | None:
        key = ctx.parameters[number]
        if key.__class__ is not int:
            return None
        transaction = ctx.transaction
        tree = transaction.tree(tree_id)
        if indexes:
            row = tree.get(key)
            if row is None:
                return NONE
            entries = [(index.tree_id, index.entry(ctx, row, key)) for index in indexes]
            for index_id, entry in entries:
                if entry is not None:
                    transaction.tree(index_id).delete(entry)
        return ONE if tree.delete(key) else NONE

    return delete
