"""`Reads`: what raw keys are read from outside of transactions.

It stands on a view of the store and follows the commits after it: what they did to the raw keys is kept beside the
tree, so that a get after somebody's put costs a look into that put's record, not a view of its own.  Once those
are many, pages were written, or a range is asked for, a new one is made on a newer view.

`hot` is a hash index over keys that were asked for or written lately: a descent takes a dozen comparisons of
objects that are seldom in the processor's cache, a look-up in a dict takes one or two.  It has a bound.

Threads share it.  One of them at a time follows; those that read meanwhile find what was there before, or what a commit
that is published has put.  They share no ranges: to look at one may put changes that lie over the tree into its nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btree import KeySpace

if TYPE_CHECKING:
    from btree import Store

HOT_VALUE_BYTES = 512
"""Longer values are left to the tree."""

CHANGED_MAX = 4096
"""Keys whose changes are kept beside the tree."""

DELETED = False

BETWEEN = object()
"""A moment that is never the newest one."""


def newest_keys(store: Store) -> KeySpace:
    """The raw keys as of the newest commit, which nobody else reads."""
    transaction = store.begin()
    keys = KeySpace(transaction)
    transaction.rollback()  # its tree reads on, and no cycle of the two waits for the garbage collector
    return keys


class Reads:
    """The raw keys as of `moment`, which is that of commit `lsn`."""

    __slots__ = ("changed", "get", "hot", "lsn", "moment", "space", "view")

    def __init__(self, store: Store, hot_max: int, older: Reads | None) -> None:
        """On the store's newest view; `older`: what was read from before."""
        self.view: Any = store.view()
        self.moment = self.view.moment
        self.lsn: int = self.view.lsn
        self.space = newest_keys(store)
        self.get = self.space.stored
        self.changed: dict[bytes, Any] = {}
        """By commits after the view's: values, or `DELETED`."""
        self.hot: dict[bytes, bytes] = {}
        if older is not None:
            news = store.raw_changes(older.view, older.lsn, self.view)
            if news is not None and _warmed(older.hot, news.changes, hot_max):
                self.hot = older.hot

    def look_up(self, key: bytes) -> Any:
        """The value of a key, which is no `bytes` if it was deleted, is absent or may expire."""
        value = self.hot.get(key)
        if value is None:
            value = self.changed.get(key)
            if value is None:
                value = self.get(key)
        return value

    def note(self, lsn: int, key: bytes, value: Any) -> None:
        """Take in a commit of one key, if it is the next one, before it is followed: that has nothing to decode then.

        Until it is followed this is of no moment, so that nothing that was read before counts as hot."""
        if lsn == self.lsn + 1:
            self.moment = BETWEEN
            self.changed[key] = value
            if key in self.hot:
                if value is DELETED or len(value) > HOT_VALUE_BYTES:
                    del self.hot[key]
                else:
                    self.hot[key] = value
            self.lsn = lsn

    def follow(self, store: Store, hot_max: int) -> bool:
        """Take in what was committed since; whether that could be done."""
        news = store.raw_changes(self.view, self.lsn)
        if news is None or len(self.changed) + len(news.changes) > CHANGED_MAX:
            return False
        if not _warmed(self.hot, news.changes, hot_max):
            return False
        self.changed.update(news.changes)
        self.lsn = news.lsn
        self.moment = news.moment  # last: a thread that finds it finds the rest
        return True


def _warmed(hot: dict[bytes, bytes], changes: dict[bytes, Any], hot_max: int) -> bool:
    """Have the index tell of changes; False if there are values that expire among them."""
    for key, value in changes.items():
        if value.__class__ is bytes and len(value) <= HOT_VALUE_BYTES:
            hot[key] = value
        elif value is DELETED or value.__class__ is bytes:
            hot.pop(key, None)
        else:
            return False
    if len(hot) > hot_max:
        hot.clear()
    return True


class Nothing:
    """Stands for `Reads` where there is none."""

    moment = view = object()


NOTHING: Any = Nothing()
