"""Redo records: what a small commit changed, by tree ids, keys and values.

    record   [[operation, tree id, argument], ...]    msgpack
    changes  [0, tree id, [key, value, key, value, ...]]    False in the place of a value: deleted
    create   [1, tree id, kind]      drop  [2, tree id, nil]
    widen    [3, tree id, kinds]     clear [4, tree id, nil]

Page ids never stand in redo: processes that replay the same record allocate and split differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from btree.codec import encoded
from btree.errors import CorruptionError
from btree.protocols import Key, TreeKind, Value
from btree.transaction import OP_CLEAR, OP_CREATE, OP_DROP, OP_WIDEN, LocalTransaction
from btree.tree import DELETED, Tree

OP_CHANGES = 0
"""Stored on disk, do not change."""

_decode: Any = msgspec.msgpack.Decoder(list[tuple[int, int, Any]]).decode


def encode_redo(
    log: Iterable[tuple[int, int, Any]], changes: Iterable[tuple[int, list[Any]]]
) -> bytes:
    """The redo record of a transaction: operations on whole trees, then changes within them.

    The argument of a clear in `log` is how many changes of that tree it made void."""
    void: dict[int, int] = {}
    record: list[tuple[int, int, Any]] = []
    for operation, tree_id, argument in log:
        if operation == OP_CLEAR:
            void[tree_id] = argument or 0
            argument = None
        record.append((operation, tree_id, argument))
    for tree_id, redo in changes:
        first = void.get(tree_id, 0)
        if len(redo) > first:
            record.append((OP_CHANGES, tree_id, redo[first:] if first else redo))
    return encoded(record)


def decode_redo(record: bytes) -> list[tuple[int, int, Any]]:
    """The operations in a redo record; CorruptionError if it is none."""
    try:
        operations: list[tuple[int, int, Any]] = _decode(record)
    except msgspec.DecodeError as error:
        raise CorruptionError(f"a redo record can't be read: {error}") from error
    return operations


def replay(transaction: LocalTransaction, record: bytes) -> None:
    """Apply a redo record to a writable transaction."""
    for operation, tree_id, argument in decode_redo(record):
        apply = _APPLY.get(operation)
        if apply is None:
            raise CorruptionError(f"a redo record holds an unknown operation: {operation}")
        apply(transaction, tree_id, argument)


def _apply_changes(transaction: LocalTransaction, tree_id: int, changes: list[Any]) -> None:
    tree = transaction.tree(tree_id)
    for key, value in zip(*[iter(changes)] * 2, strict=True):
        _apply_change(tree, _tupled(key), _tupled(value))


def _apply_change(tree: Tree, key: Key, value: Value) -> None:
    if value is DELETED:
        tree.delete(key)
    else:
        tree.put(key, value)


def _tupled(value: Any) -> Any:
    return tuple(value) if value.__class__ is list else value


def _apply_create(transaction: LocalTransaction, tree_id: int, kind: int) -> None:
    transaction.next_tree_id = tree_id
    transaction.create_tree(TreeKind(kind))


def _apply_drop(transaction: LocalTransaction, tree_id: int, argument: object) -> None:
    transaction.drop_tree(tree_id)


def _apply_widen(transaction: LocalTransaction, tree_id: int, kinds: list[int]) -> None:
    transaction.tree(tree_id).widen(kinds)


def _apply_clear(transaction: LocalTransaction, tree_id: int, argument: object) -> None:
    transaction.tree(tree_id).clear()


_APPLY: dict[int, Callable[[LocalTransaction, int, Any], None]] = {
    OP_CHANGES: _apply_changes,
    OP_CREATE: _apply_create,
    OP_DROP: _apply_drop,
    OP_WIDEN: _apply_widen,
    OP_CLEAR: _apply_clear,
}
