"""What a key space has in common with a dict: keys in square brackets, `in`, `len`, `pop`, `setdefault`, `clear`.

All of it is said in terms of `get`, `put`, `delete`, ranges and transactions.  Unlike a dict's, `keys`, `values` and `items`
are iterators, in the order of the keys, over one moment; `clear` takes a range, and says how many keys went.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from kvsh.transaction import Transaction

Text = str | bytes | bytearray | memoryview
Default = TypeVar("Default")

_MISSING: Any = object()


class KeysAsMapping(ABC):
    """Keys and values as a mapping; they are bytes, or str that is encoded as UTF-8."""

    @abstractmethod
    def get(self, key: Text, default: bytes | None = None) -> bytes | None: ...

    @abstractmethod
    def put(self, key: Text, value: Text, ttl: float | None = None) -> None: ...

    @abstractmethod
    def delete(self, key: Text) -> bool: ...

    @abstractmethod
    def count(
        self, lo: Text | None = None, hi: Text | None = None, prefix: Text | None = None
    ) -> int: ...

    @abstractmethod
    def transaction(self) -> Transaction: ...

    @abstractmethod
    def _batches(self, *bounds: bytes | None, **which: Any) -> Iterator[Any]: ...

    @abstractmethod
    def _delete_range(self, lo: Text | None, hi: Text | None, prefix: Text | None) -> int: ...

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: Text) -> bool:
        return self.get(key) is not None

    def __getitem__(self, key: Text) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Text, value: Text) -> None:
        self.put(key, value)

    def __delitem__(self, key: Text) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def keys(self) -> Iterator[bytes]:
        """All keys in order."""
        return chain.from_iterable(keys for keys, _ in self._batches())

    __iter__ = keys

    def __reversed__(self) -> Iterator[bytes]:
        return chain.from_iterable(keys for keys, _ in self._batches(reverse=True))

    def values(self) -> Iterator[bytes]:
        """All values in the order of their keys."""
        return chain.from_iterable(values for _, values in self._batches())

    @overload
    def pop(self, key: Text) -> bytes: ...

    @overload
    def pop(self, key: Text, default: Default) -> bytes | Default: ...

    def pop(self, key: Text, default: Default = _MISSING) -> bytes | Default:
        """Remove `key` and give its value, at once for all others; `default`, else KeyError, if it is absent."""
        if self.get(key) is not None:  # what is not there costs no lock
            with self.transaction():
                value = self.get(key)
                if value is not None:
                    self.delete(key)
                    return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def setdefault(self, key: Text, value: Text) -> bytes:
        """The value at `key`, where `value` is put first if it is absent."""
        found = self.get(key)
        if found is not None:
            return found
        with self.transaction():
            found = self.get(key)
            if found is None:
                self.put(key, value)
                found = self[key]
        return found

    def clear(
        self, lo: Text | None = None, hi: Text | None = None, prefix: Text | None = None
    ) -> int:
        """Remove the keys that `scan` gives with these bounds, without any all, in one transaction; how many they were."""
        with self.transaction():
            return self._delete_range(lo, hi, prefix)
