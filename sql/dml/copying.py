"""Rows that INSERT ... SELECT or CREATE TABLE AS takes from one large table, read from its pages.

A query for whole rows goes leaf by leaf through nodes: of each it makes all rows, and keeps them.  What is copied is
mostly read once, so here pages are opened (`btree.Rewrite`), WHERE is decided by the columns that it reads, and
of the others the values of rows that pass are picked: 300 ns a row of five columns before, of which one in ten
passes, 60 so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sql.compile import compile_change
from sql.dml.records import KIND_BITS, Row
from sql.expressions import ROWID
from sql.plan import Select, TableRelation

if TYPE_CHECKING:
    from btree import Rewrite
    from sql.compile import CompiledChange, CompiledQuery
    from sql.context import Context


class Copied:
    """The rows of a query whose transaction may write.

    `whole`: other columns than all of a table's are left to the query, which goes by column itself and gives rows."""

    def __init__(self, query: CompiledQuery, *, whole: bool = True) -> None:
        self._query = query
        self._whole = whole
        self._known: tuple[tuple[int, ...], CompiledChange | None] | None = None

    def batches(self, ctx: Context) -> Iterable[list[Row]]:
        """The rows, some at a time."""
        found = self.columns_read(ctx)
        if found is None:
            return self._query.run(ctx)
        return (list(zip(*columns, strict=True)) for columns in found)

    def column_batches(self, ctx: Context) -> Iterable[Sequence[Sequence[Any]]]:
        """The same by column; no batch is empty."""
        found = self.columns_read(ctx)
        if found is None:
            return (list(zip(*rows, strict=True)) for rows in self._query.run(ctx) if rows)
        return found

    def columns_read(
        self, ctx: Context, least: int = 0
    ) -> Iterator[Sequence[Sequence[Any]]] | None:
        """The same where they come from pages by column, and from among about so many rows at least; else None."""
        change = self._change(ctx)
        if change is None:
            return None
        relation: Any = self._query.block.items[0].relation  # type: ignore[union-attr]
        tree = ctx.transaction.tree(relation.table.tree_id)
        if len(tree) < least:
            return None
        prepared = change.prepare(ctx)
        span = prepared[2]
        if least and span not in (None, (None, None)) and tree.estimate(*span) < least:
            return None
        rewrite = tree.rewrite()
        return None if rewrite is None else _read(ctx, change, prepared, rewrite)

    def _change(self, ctx: Context) -> CompiledChange | None:
        """How the rows are found and made by column; None if they are better read as the query has it."""
        kinds = tuple([KIND_BITS[value.__class__] for value in ctx.parameters])
        if self._known is None or self._known[0] != kinds:
            change, block = None, self._query.block
            if isinstance(block, Select) and _takes_rows(block):
                outputs = range(len(block.outputs))
                change = compile_change(self._query, outputs, kinds, ctx.transaction)
                if change is not None and (
                    change.by_key or (self._whole and not _wants_all(block, change))
                ):
                    change = None
            self._known = kinds, change
        return self._known[1]


def _takes_rows(block: Select) -> bool:
    """Whether each row of the query is one of a table's."""
    return (
        len(block.items) == 1
        and isinstance(block.items[0].relation, TableRelation)
        and block.keys is None
        and not (block.aggregates or block.windows or block.having or block.order)
        and not block.distinct
        and block.limit is None
        and block.offset is None
    )


def _wants_all(block: Select, change: CompiledChange) -> bool:
    """Whether all columns of the table are read: a query for some of them goes by column itself."""
    relation = block.items[0].relation
    assert isinstance(relation, TableRelation)
    alias = relation.table.rowid_alias
    read = {alias if column == ROWID else column for column in (*change.read, *change.used)}
    return len(read - {None}) == len(relation.table.columns)


def _read(
    ctx: Context, change: CompiledChange, prepared: tuple[Any, Any, Any], rewrite: Rewrite
) -> Iterator[Sequence[Sequence[Any]]]:
    find, make, span = prepared
    assert find is not None
    if span is None:
        return
    for batch in rewrite.batches(change.read, *span):
        ctx.check()
        positions = find(batch.count, *batch.lists)
        if positions:
            batch.choose(positions)
            yield make(len(positions), *map(batch.values, change.used))
