"""What a forked child has to make anew.

A fork copies the memory, and of the threads only the one that forks: a lock that another one had at that moment stays
taken in the child for good, and open files with their locks are the parent's (fact 11).  An object that has either says so here, and
is seen to in the child before its program goes on.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

_Owner = TypeVar("_Owner")

_told: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()


def call_in_child(owner: _Owner, renew: Callable[[_Owner], None]) -> None:
    """Call `renew(owner)` in every forked child, for as long as the owner lives: a function that doesn't hold the owner
    itself, as one of its class.  It must wait for nothing: the child has this thread alone."""
    _told[owner] = renew


def _in_child() -> None:
    for owner, renew in list(_told.items()):
        renew(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
