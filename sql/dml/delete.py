"""DELETE: the rows to go are found by a query; a whole table is cleared at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.compile import prepare_select
from sql.dml.records import Row
from sql.dml.returning import Returning
from sql.dml.target import Target, WritePlan, row_columns, scan_query, tree_key
from sql.dml.triggers import fire
from sql.dml.writer import TableWriter
from sql.result import WriteOutcome
from sql.run.arithmetic import RaiseIgnore

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.parse.statements import Delete
    from sql.schema import Table
    from sql.session import Session


class DeletePlan(WritePlan):
    """A prepared DELETE from a stored table."""

    def __init__(
        self, session: Session, statement: Delete, table: Table, env: BindEnvironment
    ) -> None:
        self.session = session
        self.temporary = table.temporary
        self.table = table
        self.target = Target(session, env, table, "DELETE")
        alias = statement.alias or statement.table.name
        self.returning: Returning | None = None
        if statement.returning:
            self.returning = Returning(statement.returning, table, statement.alias, env)
            self.columns = self.returning.columns
        self.plain = self.target.plain and self.returning is None
        self.whole = self.plain and statement.where is None and statement.limit is None
        outputs = [tree_key(alias)]
        self.needs_rows = not self.plain or bool(self.target.records.indexes)
        if self.needs_rows:
            outputs += row_columns(table, alias)
        self.query = prepare_select(scan_query(statement, alias, outputs), env)

    def is_still_valid(self, transaction: Transaction) -> bool:
        return self.query.is_still_valid(transaction)

    def run(self, ctx: Context) -> WriteOutcome:
        transaction = ctx.transaction
        tree = transaction.tree(self.table.tree_id)
        if self.whole:
            changes = len(tree)
            tree.clear()
            for index in self.target.records.indexes:
                transaction.tree(index.tree_id).clear()
            return WriteOutcome(changes)
        found = [row for batch in self.query.run(ctx) for row in batch]
        if self.plain:
            return self._in_bulk(ctx, found)
        return self._one_by_one(ctx, found)

    def _in_bulk(self, ctx: Context, found: list[Row]) -> WriteOutcome:
        keys = [item[0] for item in found]
        for index in self.target.records.indexes:
            ctx.check()
            make = index.key
            entries = [
                make(ctx, item[1:], item[0])
                for item in found
                if index.condition is None or index.applies(ctx, item[1:], item[0])
            ]
            _sort(entries)
            ctx.transaction.tree(index.tree_id).delete_many(entries)
        ctx.check()
        _sort(keys)
        ctx.transaction.tree(self.table.tree_id).delete_many(keys)
        return WriteOutcome(len(keys))

    def _one_by_one(self, ctx: Context, found: list[Row]) -> WriteOutcome:
        target = self.target
        writer = TableWriter(ctx, target.records, None)
        keys = target.foreign_keys
        if keys is not None:
            keys.start(ctx)
        changes = others = 0
        rows: list[Row] = []
        for item in found:
            key, row = item[0], item[1:]
            try:
                others += fire(target.triggers.before, ctx, (key, row), None)
            except RaiseIgnore:
                continue
            current = writer.tree.get(key)
            if current is None:
                continue
            row = current
            writer.delete(key, row)
            changes += 1
            if keys is not None:
                others += keys.deleted(ctx, key, row)
            try:
                others += fire(target.triggers.after, ctx, (key, row), None)
            except RaiseIgnore:
                pass
            if self.returning is not None:
                rows.append(self.returning.row(ctx, row, key))
        if keys is not None:
            others += keys.finish(ctx)
        return WriteOutcome(changes, changes + others, rows if self.returning is not None else None)


def _sort(entries: list[Any]) -> None:
    try:
        entries.sort()
    except TypeError:
        from btree import order_key

        entries.sort(key=order_key)
