"""A transaction over two stores: the database's, and the session's own one of temporary objects.

Tree ids from `TEMP_TREE_BASE` on belong to the temporary store.  Each half becomes writable on its own, so
that temporary tables can be written while another session writes the database, or where it is
read-only.  A commit ends the database's half first: only that one can fail.
"""

from __future__ import annotations

from btree import RowAccess, Savepoint, Transaction, Tree, TreeKind, Value
from sql.schema import TEMP_TREE_BASE


class PairSavepoint:
    """A savepoint of both halves; None for one that was not writable yet (`upgrade` fills it in)."""

    __slots__ = ("main", "temporary")

    def __init__(self, main: Savepoint | None, temporary: Savepoint | None) -> None:
        self.main = main
        self.temporary = temporary


class PairedTransaction(RowAccess):
    """See `btree.Transaction`; `main` and `temporary` are the halves."""

    __slots__ = ("__weakref__", "_savepoints", "main", "temporary")

    plain_shape = None

    def __init__(self, main: Transaction, temporary: Transaction) -> None:
        self.main = main
        self.temporary = temporary
        self._savepoints: list[PairSavepoint] = []

    @property
    def writable(self) -> bool:
        return self.main.writable

    @property
    def commit_number(self) -> int:
        """-1: one number does not tell what both halves hold."""
        return -1

    @property
    def pages_read(self) -> int:
        return self.main.pages_read + self.temporary.pages_read

    def tree(self, tree_id: int) -> Tree:
        if tree_id < TEMP_TREE_BASE:
            return self.main.tree(tree_id)
        return self.temporary.tree(tree_id - TEMP_TREE_BASE)

    @property
    def raw_puts(self) -> dict[bytes, Value]:
        return self.main.raw_puts

    def put_raw(self, key: bytes, value: bytes) -> None:
        self.main.put_raw(key, value)

    def delete_raw(self, key: bytes) -> bool:
        return self.main.delete_raw(key)

    def tree_ids(self) -> list[int]:
        return self.main.tree_ids()

    def create_tree(self, kind: TreeKind) -> int:
        return self.main.create_tree(kind)

    @property
    def shape(self) -> object:
        """Never the same: a pair's plans are looked at anew each time."""
        return object()

    def create_temporary_tree(self, kind: TreeKind) -> int:
        """A new tree of the temporary half, under its id in this transaction."""
        return self.temporary.create_tree(kind) + TEMP_TREE_BASE

    def drop_tree(self, tree_id: int) -> None:
        if tree_id < TEMP_TREE_BASE:
            self.main.drop_tree(tree_id)
        else:
            self.temporary.drop_tree(tree_id - TEMP_TREE_BASE)

    def upgrade(self, timeout: float | None = None) -> None:
        """Make the main half writable."""
        if not self.main.writable:
            self.main.upgrade(timeout)
            for savepoint in self._savepoints:
                savepoint.main = self.main.savepoint()

    def upgrade_temporary(self) -> None:
        """Make the temporary half writable."""
        if not self.temporary.writable:
            self.temporary.upgrade()
            for savepoint in self._savepoints:
                savepoint.temporary = self.temporary.savepoint()

    def savepoint(self) -> Savepoint:
        made = PairSavepoint(
            self.main.savepoint() if self.main.writable else None,
            self.temporary.savepoint() if self.temporary.writable else None,
        )
        self._savepoints.append(made)
        return made

    def adopt(self, savepoint: PairSavepoint) -> None:
        """Take in a savepoint of the main half that is older than the pair."""
        self._savepoints.append(savepoint)

    def rollback_to(self, savepoint: Savepoint) -> None:
        made = self._savepoints[self._place(savepoint)]
        del self._savepoints[self._place(savepoint) + 1 :]
        if made.main is not None:
            self.main.rollback_to(made.main)
        if made.temporary is not None:
            self.temporary.rollback_to(made.temporary)

    def release(self, savepoint: Savepoint) -> None:
        place = self._place(savepoint)
        made = self._savepoints[place]
        del self._savepoints[place:]
        if made.main is not None:
            self.main.release(made.main)
        if made.temporary is not None:
            self.temporary.release(made.temporary)

    def _place(self, savepoint: Savepoint) -> int:
        return next(place for place, known in enumerate(self._savepoints) if known is savepoint)

    def is_newest(self) -> bool:
        return self.main.is_newest()

    def commit(self) -> None:
        # The database first: if that fails, the temporary half is rolled back with it.
        try:
            self.main.commit()
        except BaseException:
            self.temporary.rollback()
            raise
        self.temporary.commit()

    def rollback(self) -> None:
        self.main.rollback()
        self.temporary.rollback()
