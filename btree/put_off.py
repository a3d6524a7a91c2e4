"""Raw puts and deletes of a transaction, put off until somebody asks for the raw tree, or for the end.

Whatever order they came in, they go to the leaves in the order of their keys, each leaf once.  Until then they
wait as they came, as long as each key is above those before it and nobody looks for one or deletes one,

    put_log   [key, value, key, value, ...]

and from then on by key:

    puts_by_key     {key: value}      value False: deleted

To find the place of a key in a large dict costs some misses of the processor's cache, then another search for each
value; what comes in order, as most that is loaded, needs none of it and takes half of the time.

The log grows by a pair in one step, so that Ctrl-C comes before or after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import islice
from math import inf
from typing import Any

from btree.collector import CollectorPaused
from btree.order import values_at
from btree.overlay import FEW_LOADED, OverlaidTree, apply
from btree.protocols import RAW_TREE_ID, Value
from btree.tree import DELETED, Tree

RAW_PUTS_MAX = 1 << 17
"""How many raw puts may wait before they are weighed: then as many as there is memory for."""

_LONG_BYTES = 512
"""Values longer than this are counted as they are put off: it bounds what the others take."""

_PUT_BYTES = 128
"""What a put that is put off takes besides the bytes of its key and value: two objects, a dict's entry."""

_PUTS_WEIGHED = 1024

HELD_BACK = -RAW_TREE_ID
"""The number that the raw tree has while puts are put off: whoever asks for it by its own meets them, and who does not
pays nothing."""

_NO_LOG: Any = ()


class PutOff:
    """The part of a `LocalTransaction` that puts off raw puts."""

    open_trees: dict[int, Any]
    tree: Callable[[int], Tree]
    carry_out: Callable[[], None]
    _check_writable: Callable[[], None]

    put_log: list[Any] = _NO_LOG
    puts_by_key: dict[bytes, Value]
    _put_max = RAW_PUTS_MAX
    """The length of the log, or of the dict, at which the puts are weighed."""
    _long_bytes = 0
    """Of long values that were put off."""
    _raw_deleted = False
    """Whether there may be deletes."""

    @property
    def first_puts_max(self) -> int:
        """How many wait before they are weighed."""
        return RAW_PUTS_MAX

    def room_bytes(self) -> float:
        """About how many bytes of changes may still be held in memory."""
        return inf

    @property
    def raw_puts(self) -> dict[bytes, Value]:
        log = self.put_log
        if log:
            self.puts_by_key.update(zip(log[::2], log[1::2], strict=True))
            self.put_log = _NO_LOG
            self._put_max = max(len(self.puts_by_key), self.first_puts_max)
        return self.puts_by_key

    def put_raw(self, key: bytes, value: bytes) -> None:
        puts: Any = self.puts_by_key
        if puts:
            puts[key] = value
        else:
            puts = self.put_log
            if not puts:
                self._hold_back()
                puts = self.put_log = [key, value]
            elif key > puts[-2]:
                puts += key, value
            else:
                puts = self.raw_puts
                puts[key] = value
        if len(puts) >= self._put_max or len(value) > _LONG_BYTES:
            self._weigh_puts(value)

    def delete_raw(self, key: bytes) -> bool:
        puts = self.raw_puts
        value = puts.get(key)
        if value is None:
            if not puts:
                self._hold_back()
            if key not in self.open_trees[HELD_BACK]:
                return False
        elif value is DELETED:
            return False
        puts[key] = DELETED
        self._raw_deleted = True
        if len(puts) >= self._put_max:
            self._weigh_puts(b"")
        return True

    def _hold_back(self) -> None:
        """Keep the raw tree under another number."""
        self._check_writable()
        if HELD_BACK not in self.open_trees:
            self._put_max = self.first_puts_max
            if self._long_bytes:
                self._long_bytes = 0
            self.tree(RAW_TREE_ID)
            self.open_trees[HELD_BACK] = self.open_trees.pop(RAW_TREE_ID)

    def _weigh_puts(self, newest: bytes) -> None:
        """Go on putting off while there is room: to go over the leaves once, rather than once for every so
        many puts, takes half of the time."""
        log, puts, count = self.put_log, self.puts_by_key, self.puts_waiting()
        if len(newest) > _LONG_BYTES:
            self._long_bytes += len(newest)
            if self._long_bytes + count * (_LONG_BYTES + _PUT_BYTES) < self.room_bytes():
                return
        else:
            step = max(count // _PUTS_WEIGHED, 1)
            some: list[Any]
            if log:
                some = log[:: 2 * step] + log[1 :: 2 * step]
            else:
                some = [*islice(puts, 0, None, step), *islice(puts.values(), 0, None, step)]
            size = sum([len(part or b"") for part in some]) / (len(some) / 2)
            room = self.room_bytes() / (size + _PUT_BYTES)
            if count < room:
                self._put_max = (int(min(2 * count, room)) + 1) * (2 if log else 1)
                return
        self.carry_out()

    def carry_out_puts(self) -> None:
        """Make the puts that were put off.  If that fails they stay put off."""
        tree = self.open_trees[HELD_BACK]
        with CollectorPaused() if self.puts_waiting() > FEW_LOADED else nullcontext():
            if self._raw_deleted:
                apply(tree, self.raw_puts)
            else:
                tree.load(*self._in_order())
        self._let_puts_go()

    def _in_order(self) -> tuple[list[bytes], Sequence[Value]]:
        """Keys in order, and their values."""
        log, puts = self.put_log, self.puts_by_key
        if log:
            return log[::2], log[1::2]
        keys = sorted(puts)
        return keys, values_at(puts, keys)

    def lay_puts_over(self, tree: OverlaidTree) -> None:
        """Have the puts that were put off lie over the raw tree, like the changes of a small transaction."""
        tree.own.update(self.raw_puts)
        self._let_puts_go()

    def held_back(self) -> Tree | None:
        """The raw tree, if puts were put off."""
        return self.open_trees.get(HELD_BACK)

    def puts_waiting(self) -> int:
        """How many there are."""
        return len(self.puts_by_key) or len(self.put_log) // 2

    def a_put(self) -> bytes:
        """The key of one of the puts that were put off."""
        key: bytes = next(iter(self.puts_by_key or self.put_log))
        return key

    def _let_puts_go(self) -> None:
        """They are made: the tree has its number again."""
        self.forget_puts()
        self.open_trees[RAW_TREE_ID] = self.open_trees.pop(HELD_BACK)

    def forget_puts(self) -> None:
        """None are put off any more."""
        self.puts_by_key = {}
        self.put_log = _NO_LOG
        self._put_max = self.first_puts_max
