"""Transactions of one statement, which take the writer's lock as they commit.

To begin a transaction with the lock, and to commit it, is to go twice through the same doors.  Where a statement is a
transaction of its own and over in microseconds, it is run on the newest version that this handle knows, and its record is
appended with the lock taken for that moment, if nothing has been committed meanwhile.  What needs more - a page, a
commit that is no redo record, a look at whether the version was the newest - takes the lock first, as any other writer
does.  ConflictError then means that the version was not the newest: the statement is to be run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btree.disk_transaction import DiskTransaction, writer_on
from btree.errors import ConflictError
from btree.protocols import RAW_TREE_ID
from btree.transaction import LocalTransaction
from btree.version import Version

if TYPE_CHECKING:
    from btree.disk import DiskStore


class _WriterOnDemand:
    """`reader` of a transaction that has none yet: its writer, which from then on is an attribute of its own."""

    def __get__(self, transaction: LateTransaction, owner: type[LateTransaction]) -> Any:
        reader = transaction.reader = transaction._writer
        return reader


class LateTransaction(DiskTransaction):
    """A `DiskTransaction` that has its writer once it asks for one."""

    reader: Any = _WriterOnDemand()
    _own_writer: Any = None
    _has_ended = False

    def __init__(self, store: DiskStore, version: Version, timeout: float | None) -> None:
        LocalTransaction.__init__(self, store, version, writable=True)
        self.has_rewritten = False
        self._redo_kept = True
        self._view = None
        self._epoch = store.cache_epoch
        self._timeout = timeout

    @property
    def _writer(self) -> Any:
        """The writer, with the lock taken for it."""
        if self._own_writer is None and not self._has_ended:
            self._own_writer = writer_on(
                self.store.pages, self.version.lsn, self._epoch, self._timeout
            )
        return self._own_writer

    @_writer.setter
    def _writer(self, writer: Any) -> None:
        self._own_writer = writer
        self._has_ended = writer is None

    def is_newest(self) -> bool:
        try:
            return self._writer is not None
        except ConflictError:
            return False

    def _publish(self) -> None:
        if self._own_writer is None and self._redo_kept and RAW_TREE_ID not in self.open_trees:
            changes = self.changes_laid_over()
            if changes is not None:
                if not changes:
                    return
                pages = self.store.pages
                try:
                    lsn = self.store.append_laid_over(self, self._append, changes)
                    if lsn is not None:
                        pages.wait_durable(lsn, pages=False)
                        return
                except BaseException:
                    # Of Ctrl-C behind the append, too: no writer is there whose end would have it synced.
                    pages.settle_interrupted()
                    raise
        super()._publish()

    def _append(self, record: bytes) -> int | None:
        return self.store.pages.append_after(record, self.version.lsn, self._epoch) or None

    def _finish(self) -> None:
        if self._own_writer is None:
            self._has_ended = True
        else:
            super()._finish()
