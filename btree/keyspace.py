"""The raw key space: bytes to bytes, with expiry.

A value that expires is stored as `(value, expires_ms)`, absolute milliseconds since the epoch; one
that does not, as the bytes themselves.  Whether any expiry was ever set stands in the tree's kinds,
so a key space without expiry is read without looking at its entries.  An expired key is gone from
every read at once; `purge` takes the entry itself away, as an ordinary delete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from btree.protocols import RAW_TREE_ID, Store, Transaction, Tree

EXPIRING = 1
"""Bit of the raw tree's kinds: a value with an expiry has been put.  Stored on disk, do not change."""

Pair = tuple[bytes, bytes]


def now_ms() -> int:
    """Milliseconds since the epoch, by the wall clock: expiry outlives the process."""
    return time.time_ns() // 1_000_000


def prefix_end(prefix: bytes) -> bytes | None:
    """The least key above all that start with `prefix`; None if there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


class KeySpace:
    """The raw keys of one transaction.  Keys and values are bytes; ranges are half-open."""

    __slots__ = ("_tree",)

    def __init__(self, transaction: Transaction) -> None:
        self._tree: Tree = transaction.tree(RAW_TREE_ID)

    @property
    def expires(self) -> bool:
        """Whether any key was ever given an expiry."""
        return self._tree.kinds != ()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`; None if absent or expired."""
        value = self._tree.get(key)
        if value.__class__ is tuple:
            return value[0] if value[1] > now_ms() else None
        return value  # type: ignore[no-any-return]

    @property
    def stored(self) -> Callable[[bytes], Any]:
        """What gives the value at a key as it is stored, with its expiry if it has one; None if it is absent."""
        return self._tree.get

    def put(self, key: bytes, value: bytes, expires_ms: int | None = None) -> None:
        """Insert or replace; without `expires_ms` an expiry that the key had is gone."""
        if expires_ms is None:
            self._tree.put(key, value)
        else:
            self._tree.widen((EXPIRING,))
            self._tree.put(key, (value, expires_ms))

    def delete(self, key: bytes) -> bool:
        """Remove; False if absent or expired."""
        live = self._tree.kinds == () or self.exists(key)
        return self._tree.delete(key) and live

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values at `keys`, which ascend; None where absent or expired."""
        values = self._tree.get_many(keys)
        if self.expires:
            now = now_ms()
            return [
                (value[0] if value[1] > now else None) if value.__class__ is tuple else value
                for value in values
            ]
        return values

    def load(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Insert or replace many, `keys` strictly ascending; expiries that they had are gone."""
        self._tree.load(keys, values)

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Remove many, `keys` strictly ascending; how many entries went, expired ones among them."""
        return self._tree.delete_many(keys)

    def exists(self, key: bytes) -> bool:
        """Whether `key` is there and not expired."""
        if not self.expires:
            return key in self._tree
        return self.get(key) is not None

    def batches(
        self,
        lo: bytes | None = None,
        hi: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Live keys and values of `lo <= key < hi` that start with `prefix`, a leaf at a time.
        The lists may be the tree's own and must not be changed."""
        if prefix:
            end = prefix_end(prefix)
            lo = prefix if lo is None else max(lo, prefix)
            hi = end if hi is None or (end is not None and end < hi) else hi
        batches = self._tree.batches(lo, hi, reverse=reverse)
        return _live(batches, now_ms()) if self.expires else batches

    def scan(
        self,
        lo: bytes | None = None,
        hi: bytes | None = None,
        prefix: bytes | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[Pair]:
        """(key, value) pairs of the range, at most `limit` of them."""
        return _pairs(self.batches(lo, hi, prefix=prefix, reverse=reverse), limit)

    def count(
        self, lo: bytes | None = None, hi: bytes | None = None, prefix: bytes | None = None
    ) -> int:
        """Live keys in the range; O(1) for all keys where none ever had an expiry."""
        if lo is None and hi is None and not prefix and not self.expires:
            return len(self._tree)
        return sum([len(keys) for keys, _ in self.batches(lo, hi, prefix=prefix)])

    def ttl(self, key: bytes) -> int | None:
        """Milliseconds that `key` has left; None if it is absent or does not expire."""
        value = self._tree.get(key)
        if value.__class__ is not tuple:
            return None
        left: int = value[1] - now_ms()
        return left if left > 0 else None

    def expire(self, key: bytes, expires_ms: int) -> bool:
        """Set the expiry of a live key; False if there is no such key."""
        value = self.get(key)
        if value is None:
            return False
        self.put(key, value, expires_ms)
        return True

    def persist(self, key: bytes) -> bool:
        """Take the expiry of a live key away; False if there is no such key or it had none."""
        value = self._tree.get(key)
        if value.__class__ is not tuple or value[1] <= now_ms():
            return False
        self._tree.put(key, value[0])
        return True

    def purge(self) -> int:
        """Delete expired entries; how many went."""
        if not self.expires:
            return 0
        now = now_ms()
        doomed: list[bytes] = []
        for keys, values in self._tree.batches():
            doomed += [
                key
                for key, value in zip(keys, values, strict=True)
                if value.__class__ is tuple and value[1] <= now
            ]
        return self._tree.delete_many(doomed)


def purge_expired(store: Store, timeout: float | None = None) -> int:
    """Delete the expired keys of a store, in a transaction of its own; how many went.

    A compaction is worth more after it.  Waits at most `timeout` seconds for another writer."""
    reading = store.begin()
    try:
        if not KeySpace(reading).expires:
            return 0
    finally:
        reading.rollback()
    writing = store.begin(write=True, timeout=timeout)
    try:
        gone = KeySpace(writing).purge()
        writing.commit()
    finally:
        writing.rollback()
    return gone


def _live(
    batches: Iterator[tuple[list[bytes], list[Any]]], now: int
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    for keys, values in batches:
        live = [
            (key, value) if value.__class__ is bytes else (key, value[0])
            for key, value in zip(keys, values, strict=True)
            if value.__class__ is bytes or value[1] > now
        ]
        if live:
            yield [key for key, _ in live], [value for _, value in live]


def _pairs(batches: Iterator[tuple[list[bytes], list[bytes]]], limit: int | None) -> Iterator[Pair]:
    if limit is None:
        for keys, values in batches:
            yield from zip(keys, values, strict=True)
        return
    for keys, values in batches:
        if limit <= len(keys):
            yield from zip(keys[:limit], values[:limit], strict=True)
            return
        limit -= len(keys)
        yield from zip(keys, values, strict=True)
