"""Redo records: what a small commit changed, by tree ids, keys and values.

    record   [[operation, tree id, argument], ...]    msgpack
    changes  [0, tree id, [key, value, key, value, ...]]    False in the place of a value: deleted; {column: value, ...}: a row
                                                            that has other values in these, else what it was
    create   [1, tree id, kind]      drop  [2, tree id, nil]
    widen    [3, tree id, kinds]     clear [4, tree id, nil]
    lengthen [5, tree id, [width, values]]

Page ids never stand in redo: processes that replay the same record allocate and split differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from btree.codec import encoded
from btree.errors import UNDECODABLE, CorruptionError, senseless
from btree.overlay import OverlaidTree, apply
from btree.protocols import Key, Tree, TreeKind, Value
from btree.transaction import (
    OP_CLEAR,
    OP_CREATE,
    OP_DROP,
    OP_LENGTHEN,
    OP_WIDEN,
    LocalTransaction,
)

OP_CHANGES = 0
"""Stored on disk, do not change."""

_encode: Any = msgspec.msgpack.Encoder().encode
_decode: Any = msgspec.msgpack.Decoder(list[tuple[int, int, Any]]).decode


def encode_redo(
    log: Iterable[tuple[int, int, Any]], changes: Iterable[tuple[int, Sequence[Any]]]
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


def encode_put(tree_id: int, key: Key, value: Value) -> bytes:
    """The redo record of one put."""
    return _encode(((OP_CHANGES, tree_id, (key, value)),))  # type: ignore[no-any-return]


def decode_redo(record: bytes) -> list[tuple[int, int, Any]]:
    """The operations in a redo record; CorruptionError if it is none."""
    try:
        operations: list[tuple[int, int, Any]] = _decode(record)
    except UNDECODABLE as error:
        raise senseless("a redo record can't be read", error) from error
    return operations


def changes_of(records: Iterable[bytes], tree_id: int) -> dict[Key, Value] | None:
    """The newest values of the keys of one tree that redo records put or delete; None if that can't be told."""
    newest: dict[Key, Value] = {}
    for record in records:
        for operation, changed, argument in decode_redo(record):
            if changed == tree_id:
                if operation != OP_CHANGES:
                    return None
                _gather(newest, argument)
    return newest


def gathered_changes(records: Iterable[bytes]) -> dict[int, dict[Key, Value]] | None:
    """The newest value of each key in redo records, by tree, as a transaction's own changes are kept; None if they
    do anything but put and delete."""
    gathered: dict[int, dict[Key, Value]] = {}
    try:
        for record in records:
            for operation, tree_id, changes in decode_redo(record):
                if operation != OP_CHANGES or dict in set(map(type, changes[1::2])):
                    return None
                values = [
                    tuple(value) if value.__class__ is list else True if value is None else value
                    for value in changes[1::2]
                ]
                if tree_id not in gathered:
                    gathered[tree_id] = {}
                changes[1::2] = values
                _gather(gathered[tree_id], changes)
    except _NO_SENSE as error:
        raise _senseless(error) from error
    return gathered


def replay(
    transaction: LocalTransaction, records: Iterable[bytes], *, lenient: bool = False
) -> None:
    """Apply redo records, in their order, to a writable transaction.  `lenient`: rows may be lost of which they change some
    columns, which is a CorruptionError otherwise.

    Changes are gathered by key and then made in key order, as bulk changes, whatever the number of
    records they came in: only the newest of a key counts, and each leaf is changed once."""
    gathered: dict[int, dict[Key, Value]] = {}
    try:
        for record in records:
            for operation, tree_id, argument in decode_redo(record):
                if operation == OP_CHANGES:
                    if tree_id not in gathered:
                        gathered[tree_id] = {}
                    _gather(gathered[tree_id], argument)
                    continue
                apply = _APPLY.get(operation)
                if apply is None:
                    raise CorruptionError(f"a redo record holds an unknown operation: {operation}")
                apply_changes(transaction, gathered, lenient=lenient)
                apply(transaction, tree_id, argument)
        apply_changes(transaction, gathered, lenient=lenient)
    except _NO_SENSE as error:
        raise _senseless(error) from error


_NO_SENSE = (LookupError, TypeError, ValueError)
"""What Python says to keys, values and kinds that no tree can have."""


def _senseless(error: Exception) -> CorruptionError:
    """Its checksum is right: a faulty program has written it, or an ill-meaning one."""
    return CorruptionError(f"a redo record is whole, and makes no sense: {error!r}")


def _gather(newest: dict[Key, Value], changes: list[Any]) -> None:
    if changes[0].__class__ is bytes:  # a raw key, so all of them are
        if len(changes) == 2:
            newest[changes[0]] = changes[1]
        else:
            newest.update(zip(changes[::2], changes[1::2], strict=True))
        return
    for key, value in zip(changes[::2], changes[1::2], strict=True):
        if key.__class__ is list:
            key = tuple(key)
        if value.__class__ is dict and newest.get(key) is not None:
            value = _changed(newest[key], value)
        newest.pop(key, None)  # 1 and 1.0 are one key: what was put last is what stays
        newest[key] = value


def _changed(row: Any, columns: dict[int, Value]) -> Any:
    """What is made of a row, or of a change of its columns, by a change of some columns after it."""
    if row.__class__ is dict:
        return row | columns
    changed = list(row)
    for column, value in columns.items():
        if column < 0:
            raise IndexError(f"column {column}")
        changed[column] = value
    return changed


def change_columns(tree: Tree, key: Key, columns: dict[int, Value]) -> bool:
    """Change some columns of a row; False, with nothing done, if there is none.  What is senseless raises `_NO_SENSE`."""
    row = tree.get(key, None, ())
    if row is None:
        return False
    tree.change(key, tuple(_changed(row, columns)), columns)
    return True


def apply_changes(
    transaction: LocalTransaction, gathered: dict[int, dict[Key, Value]], *, lenient: bool = False
) -> None:
    """Make the changes gathered so far, tree by tree; afterwards there are none.  `lenient`: see `replay`."""
    while gathered:
        tree_id, newest = gathered.popitem()
        tree = transaction.tree(tree_id)
        for key in [key for key, value in newest.items() if value.__class__ is dict]:
            if not change_columns(tree, key, newest.pop(key)) and not lenient:
                raise KeyError(f"columns of a row that is not there: {key!r}")
        if not newest:
            continue
        changes = {
            key: tuple(value) if value.__class__ is list else True if value is None else value
            for key, value in newest.items()
        }
        if tree.__class__ is OverlaidTree and transaction.lies_over(tree, changes):
            tree.own.update(changes)
        else:
            apply(tree, changes)


def _apply_create(transaction: LocalTransaction, tree_id: int, kind: int) -> None:
    transaction.next_tree_id = tree_id
    transaction.create_tree(TreeKind(kind))


def _apply_drop(transaction: LocalTransaction, tree_id: int, argument: object) -> None:
    transaction.drop_tree(tree_id)


def _apply_widen(transaction: LocalTransaction, tree_id: int, kinds: list[int]) -> None:
    transaction.tree(tree_id).widen(kinds)


def _apply_clear(transaction: LocalTransaction, tree_id: int, argument: object) -> None:
    transaction.tree(tree_id).clear()


def _apply_lengthen(
    transaction: LocalTransaction, tree_id: int, argument: tuple[int, list[Value]]
) -> None:
    transaction.tree(tree_id).lengthen(*argument)


_APPLY: dict[int, Callable[[LocalTransaction, int, Any], None]] = {
    OP_CREATE: _apply_create,
    OP_DROP: _apply_drop,
    OP_WIDEN: _apply_widen,
    OP_CLEAR: _apply_clear,
    OP_LENGTHEN: _apply_lengthen,
}
