"""Ordered, typed trees on pages, with transactions: what `sql` and `kvsh` stand on.

`open_store(path)` opens a database file, `open_memory()` gives a scratch store; both kinds of store keep to the
protocols of `btree.protocols`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btree.collector import CollectorPaused, resume_collections
from btree.errors import (
    BusyError,
    ClosedError,
    ConflictError,
    CorruptionError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
    StoreError,
    TooLargeError,
)
from btree.kept_columns import Column
from btree.keyspace import KeySpace, prefix_end, purge_expired
from btree.memory import open_memory
from btree.opening import open_store
from btree.order import MAX, order_key
from btree.packed_keys import key_parts, picked_keys
from btree.protocols import (
    CATALOG_TREE_ID,
    NOT_AT_HAND,
    RAW_TREE_ID,
    ColumnBatch,
    Key,
    Kind,
    Rewrite,
    Row,
    Savepoint,
    Store,
    StoreTransaction,
    Transaction,
    Tree,
    TreeKind,
    Value,
)
from btree.row_access import RowAccess
from btree.stored_columns import StoredColumn, as_it_lies, listed
from engine import call_in_child, other_threads

if TYPE_CHECKING:
    from btree.repair import repair


def __getattr__(name: str) -> Any:
    if name != "repair":
        raise AttributeError(f"module 'btree' has no attribute {name!r}")
    from btree.repair import repair  # seldom needed, so imported when it is

    globals()[name] = repair
    return repair


__all__ = [
    "CATALOG_TREE_ID",
    "MAX",
    "NOT_AT_HAND",
    "RAW_TREE_ID",
    "BusyError",
    "ClosedError",
    "CollectorPaused",
    "Column",
    "ColumnBatch",
    "ConflictError",
    "CorruptionError",
    "Key",
    "KeySpace",
    "Kind",
    "NotADatabaseError",
    "ReadOnlyError",
    "Rewrite",
    "Row",
    "RowAccess",
    "Savepoint",
    "StorageError",
    "Store",
    "StoreError",
    "StoreTransaction",
    "StoredColumn",
    "TooLargeError",
    "Transaction",
    "Tree",
    "TreeKind",
    "Value",
    "as_it_lies",
    "call_in_child",
    "key_parts",
    "listed",
    "open_memory",
    "open_store",
    "order_key",
    "other_threads",
    "picked_keys",
    "prefix_end",
    "purge_expired",
    "repair",
    "resume_collections",
]
