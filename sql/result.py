"""What a statement gives back: columns and batches of rows, counts, and the end of its snapshot.

A result of a query streams: its rows are computed as they are asked for, from the snapshot that the
statement began at.  Outside of an explicit transaction the result owns that snapshot and lets go of it
at the last row, at `close()`, or when it is forgotten.  Inside of one, the session buffers what
is left of its open results when the transaction ends, so that they stay valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from btree import Row

if TYPE_CHECKING:
    from btree import Transaction
    from sql.plan import ResultColumn

Batch = list[Row]


class WriteOutcome:
    """What an INSERT, UPDATE or DELETE did.  `rows` are RETURNING's.

    `total_changes` counts what triggers and foreign key actions changed besides."""

    __slots__ = ("changes", "rows", "total_changes")

    def __init__(
        self, changes: int, total_changes: int | None = None, rows: list[Row] | None = None
    ) -> None:
        self.changes = changes
        self.total_changes = changes if total_changes is None else total_changes
        self.rows = rows


class Result:
    """One executed statement.

    `columns` is None where the statement gives no rows at all.  `rowcount` is the number of rows that
    an INSERT, UPDATE or DELETE changed, else -1; `lastrowid` the rowid of the latest INSERT."""

    __slots__ = ("__weakref__", "_source", "_transaction", "columns", "lastrowid", "rowcount")

    def __init__(
        self,
        columns: tuple[ResultColumn, ...] | None = None,
        batches: Iterable[Batch] = (),
        rowcount: int = -1,
        lastrowid: int | None = None,
    ) -> None:
        self.columns = columns
        self.rowcount = rowcount
        self.lastrowid = lastrowid
        self._source: Iterator[Batch] = iter(batches)
        self._transaction: Transaction | None = None  # to end with the last row

    def batches(self) -> Iterator[Batch]:
        """The rows that were not handed out yet, as lists of tuples."""
        if self._transaction is None and self._source.__class__ is _LIST_ITERATOR:
            return self._source
        return self._streamed()

    def _streamed(self) -> Iterator[Batch]:
        # `_source` is looked up anew for each batch: `buffer` may put another in its place.
        while True:
            try:
                batch = next(self._source, None)
            except BaseException:
                self.close()
                raise
            if batch is None:
                self.close()
                return
            yield batch

    def __iter__(self) -> Iterator[Row]:
        return chain.from_iterable(self.batches())

    def fetch_all(self) -> list[Row]:
        """All rows that were not handed out yet."""
        return [row for batch in self.batches() for row in batch]

    def buffer(self) -> None:
        """Compute all rows that are left now: the result no longer needs its transaction."""
        source = self._source
        if source.__class__ is not _LIST_ITERATOR:
            self._source = iter(list(source))
        self._end()

    def close(self) -> None:
        """Drop the rows that are left and let go of the snapshot.  Harmless when done already."""
        source, self._source = self._source, iter(_NO_BATCHES)
        close = getattr(source, "close", None)
        if close is not None:
            close()
        self._end()

    def _end(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.rollback()


class OwningResult(Result):
    """A result that streams from a transaction of its own, and ends it.

    A class apart, since a finaliser costs every result that has one."""

    __slots__ = ()

    def __init__(
        self,
        columns: tuple[ResultColumn, ...],
        batches: Iterable[Batch],
        transaction: Transaction,
    ) -> None:
        super().__init__(columns, batches)
        self._transaction = transaction

    @property
    def transaction(self) -> Transaction | None:
        """What it reads from; None when that is over."""
        return self._transaction

    def __del__(self) -> None:
        if self._transaction is not None:
            self._end()


_NO_BATCHES: list[Batch] = []
_LIST_ITERATOR = type(iter(_NO_BATCHES))
