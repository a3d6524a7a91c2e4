"""Single raw keys that are put or deleted outside of any transaction: the log's business alone.

The record of such a change is appended and that is all: the trees take it in, with others like it, when somebody
reads next, as if another process had made the commit.  A burst of puts costs its writes, and one pass over the leaves
for every `UNREAD_COMMITS_MAX`.

A put reads nothing.  What is made of a value that was read before is appended only if nothing has been committed since.

These are methods of `DiskStore`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btree.disk_transaction import REDO_BYTES_MAX
from btree.protocols import RAW_TREE_ID
from btree.redo import encode_put

if TYPE_CHECKING:
    from btree.disk import DiskStore
    from btree.view import View

UNREAD_COMMITS_MAX = 4096
"""At most this many puts wait in the log for the trees to take them in: it bounds what a read after them costs."""


def put(store: DiskStore, key: bytes, value: bytes) -> None:
    view = _known_view(store)
    if not _may_wait(store, view, value):
        transaction = store.begin(write=True)
        try:
            transaction.tree(RAW_TREE_ID).put(key, value)
            transaction.commit()
        finally:
            transaction.rollback()
        return
    lsn: int = store.pages.commit_redo(encode_put(RAW_TREE_ID, key, value))
    if lsn - view.version.lsn > UNREAD_COMMITS_MAX:
        _take_in(store)


def put_since(store: DiskStore, moment: Any, key: bytes, value: Any) -> int:
    view = _known_view(store)
    if not _may_wait(store, view, value or b""):
        return 0
    lsn: int = store.pages.commit_redo_since(encode_put(RAW_TREE_ID, key, value), moment)
    if lsn - view.version.lsn > UNREAD_COMMITS_MAX:
        _take_in(store)
    return lsn


def _known_view(store: DiskStore) -> View:
    """A view of the store's, which need not be the newest; of a store that was empty before, or that nobody has read
    yet, nobody else asks for one."""
    view = store.known_view
    if view is None or view.version.base_lsn == 0:
        view = store.view()
    return view


def _may_wait(store: DiskStore, view: View, value: bytes) -> bool:
    """Whether a value may wait in the log for the trees to take it in."""
    return not (
        view.version.base_lsn == 0
        or len(value) > REDO_BYTES_MAX // 2
        or store.closed
        or store.readonly
        or (store.pages.checkpoint_due() and store.checkpoint_due(view.version))
    )


def _take_in(store: DiskStore) -> None:
    store.view()
    store.go_on_renewing()
