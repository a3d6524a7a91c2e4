"""Single raw keys that are put or deleted outside of any transaction: the log's business alone.

The record of such a change is appended and that is all: the trees take it in, with others like it, when somebody
reads next, as if another process had made the commit.  A burst of puts costs its writes, and one pass over the leaves
for every `UNREAD_COMMITS_MAX`.

A put reads nothing.  What is made of a value that was read before is appended only if nothing has been committed since.

Whether puts may wait in the log, and whether as many do as may, is not asked for each of them but once for so many
bytes of them: the store's `put_allowance`.  The store keeps what it has put itself by the numbers of the commits
(`own_puts`), so that it need not be decoded when it is taken in.

`put`, `put_since` and `raw_changes` are methods of `DiskStore`; see `protocols.Store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from btree.disk_transaction import REDO_BYTES_MAX
from btree.protocols import RAW_TREE_ID
from btree.redo import changes_of, encode_put
from btree.view import RawChanges

if TYPE_CHECKING:
    from btree.disk import DiskStore
    from btree.view import View

UNREAD_COMMITS_MAX = 4096
"""When more puts than this wait in the log, the trees take them in: it bounds what a read after them costs."""

_ALLOWANCE_BYTES = 128 << 10
_ENTRY_BYTES = 64
"""An allowance, and what a put takes of it besides its value: of short ones it is for half as many as may wait."""

TOLD_COMMITS_MAX = 256
TOLD_BYTES_MAX = 64 * 1024
"""Up to this many commits, of this many bytes, are looked through for the raw keys that they changed."""


def put(store: DiskStore, key: bytes, value: bytes) -> None:
    if _may_wait(store, value):
        lsn = store.pages.commit_redo(encode_put(RAW_TREE_ID, key, value))
        store.own_puts[lsn] = key, value
        return
    transaction = store.begin(write=True)
    try:
        transaction.tree(RAW_TREE_ID).put(key, value)
        transaction.commit()
    finally:
        transaction.rollback()


def put_since(store: DiskStore, moment: Any, key: bytes, value: Any) -> int:
    if not _may_wait(store, value or b""):
        return 0
    lsn: int = store.pages.commit_redo_since(encode_put(RAW_TREE_ID, key, value), moment)
    if lsn:
        store.own_puts[lsn] = key, value
    return lsn


def _may_wait(store: DiskStore, value: bytes) -> bool:
    """Whether a value may wait in the log for the trees to take it in."""
    left = store.put_allowance - len(value)
    if left > 0:
        store.put_allowance = left - _ENTRY_BYTES
        return True
    return _may_go_on(store, value)


def _may_go_on(store: DiskStore, value: bytes) -> bool:
    """The same where the allowance has been used up: if so, with a new one."""
    # A view of the store's need not be the newest; of a store that was empty before, or that nobody has read yet,
    # nobody else asks for one.
    view = store.known_view
    if view is None or view.version.base_lsn == 0:
        view = store.view()
    if (
        view.version.base_lsn == 0
        or len(value) > REDO_BYTES_MAX // 2
        or store.closed
        or store.readonly
        or (store.pages.checkpoint_due() and store.checkpoint_due(view.version))
    ):
        return False
    newest, _ = store.pages.newest_appended()
    if newest - view.version.lsn > UNREAD_COMMITS_MAX:
        store.view()
        store.own_puts = {}  # what another thread adds meanwhile is decoded after all
        store.go_on_renewing()
    elif len(store.own_puts) > 2 * UNREAD_COMMITS_MAX:
        store.own_puts = {}  # readers have taken them in
    store.put_allowance = _ALLOWANCE_BYTES - len(value)
    return True


def raw_changes(
    store: DiskStore, view: View, after: int, until: View | None = None
) -> RawChanges | None:
    seen = view.snapshot
    state = store.pages.newest() if until is None else until.snapshot.state
    if (
        state.epoch is not seen.epoch
        or state.base_lsn != seen.base_lsn
        or state.lsn - after > TOLD_COMMITS_MAX
    ):
        return None
    commits = state.redo_after(after)
    changes = puts_of(store, commits)
    if changes is None:
        records = [record for _, record in commits]
        if sum(map(len, records)) > TOLD_BYTES_MAX:
            return None
        changes = changes_of(records, RAW_TREE_ID)
    return None if changes is None else RawChanges(state, state.lsn, changes)


def puts_of(store: DiskStore, commits: Sequence[tuple[int, bytes]]) -> dict[bytes, Any] | None:
    """What redo commits have put, or deleted (False), if each of them is a single put of this handle's; else, or if there
    are none, None."""
    own_puts = store.own_puts
    try:
        return dict([own_puts[lsn] for lsn, _ in commits]) or None
    except KeyError:
        return None
