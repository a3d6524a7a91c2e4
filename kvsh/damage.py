"""Errors that no layer has foreseen: bugs, or what a file says that no program of ours has written, under right checksums.

Pages are decoded by type, and compiled plans take a column's values to be of the kinds that its tree is said to hold.
To look at each value once more would cost every scan.  So it is asked afterwards: where a statement fails within the layers
below with an error that is none of theirs, the database is checked, and if that finds something, this is what is told.

A check reads all of a file, which a program that meets a bug of ours again and again is not to pay for each time: what has
been found whole once is not looked at again by the same session.  What is in memory alone is never damaged.

What a process does not need at once it imports with its first statement of the kind.  Without file descriptors left that is an
OSError where no file of a database was asked for.
"""

from __future__ import annotations

import struct
import weakref
from types import FrameType
from typing import TYPE_CHECKING

from btree import CorruptionError
from kvsh.errors import translated
from sql import CannotOpenError

if TYPE_CHECKING:
    from sql import Session

_SENSELESS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, struct.error)
"""What senseless values lead to."""

UNFORESEEN = (*_SENSELESS, OSError)

_found_whole: weakref.WeakSet[Session] = weakref.WeakSet()

_LAYERS = ("engine", "btree", "sql")
_COMPILED = "<kvsh"
_IMPORTS = "<frozen importlib"


def raise_damage(error: Exception, session: Session) -> None:
    """Raise DatabaseError if damage is behind an unforeseen error, OperationalError if a module could not be read."""
    if isinstance(error, OSError):
        if _innermost(error).f_code.co_filename.startswith(_IMPORTS):
            what = f"{error.filename} can't be loaded: {error.strerror or error}"
            raise translated(CannotOpenError(what)) from error
        return
    damage = damage_behind(error, session)
    if damage is not None:
        raise translated(damage) from error


def damage_behind(error: BaseException, session: Session) -> CorruptionError | None:
    """What a check finds that may have led to an unforeseen error; None if that came from elsewhere, or nothing is found."""
    if not isinstance(error, _SENSELESS) or error.__traceback__ is None:
        return None
    frame = _innermost(error)
    module = str(frame.f_globals.get("__name__", ""))
    is_below = module.partition(".")[0] in _LAYERS
    if not is_below and not frame.f_code.co_filename.startswith(_COMPILED):
        return None
    if session in _found_whole or not _is_on_disk(session):
        return None
    from sql import check_database

    try:
        problems = check_database(session, 1)
    except CorruptionError as found:
        problems = [str(found)]
    if not problems:
        _found_whole.add(session)
        return None
    return CorruptionError(f"the database is damaged: {problems[0]} (.check tells all)")


def _innermost(error: BaseException) -> FrameType:
    """Where it was raised."""
    place = error.__traceback__
    assert place is not None
    while place.tb_next is not None:
        place = place.tb_next
    return place.tb_frame


def _is_on_disk(session: Session) -> bool:
    stores = [session.store, *[other.store for other in session.others.values()]]
    return any(store.path is not None for store in stores)
