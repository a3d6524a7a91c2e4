"""What a forked child has to make anew.

A fork copies the memory, and of the threads only the one that forks: a lock that another one had at that moment stays
taken in the child for good, and open files with their locks are the parent's (fact 11).  An object that has either says so here, and
is seen to in the child before its program goes on.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Protocol


class Forked(Protocol):
    """What is told."""

    def forked(self) -> None:
        """This is a child, and has this thread alone."""


_told: weakref.WeakSet[Forked] = weakref.WeakSet()
_locked: weakref.WeakKeyDictionary[Any, tuple[str, Callable[[], Any]]]
_locked = weakref.WeakKeyDictionary()


def tell_of_forks(each: Forked) -> None:
    """Call `each.forked()` in every forked child, for as long as `each` lives."""
    _told.add(each)


def renew_lock_in_child(owner: object, attribute: str, make: Callable[[], Any]) -> None:
    """Set an attribute, the owner's one lock, to `make()` in every forked child."""
    _locked[owner] = attribute, make


def _in_child() -> None:
    for owner, (attribute, make) in list(_locked.items()):
        setattr(owner, attribute, make())
    for each in list(_told):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
