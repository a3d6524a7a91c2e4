"""Errors that no layer has foreseen: bugs, or what a file says that no program of ours has written, under right checksums.

Pages are decoded by type, and compiled plans take a column's values to be of the kinds that its tree is said to hold.
To look at each value once more would cost every scan.  So it is asked afterwards: where a statement fails within the layers
below with an error that is none of theirs, the database is checked, and if that finds something, this is what is told.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from btree import CorruptionError
from kvsh.errors import translated

if TYPE_CHECKING:
    from sql import Session

UNFORESEEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, struct.error)
"""What senseless values lead to."""

_LAYERS = ("engine", "btree", "sql")
_COMPILED = "<kvsh"


def raise_damage(error: Exception, session: Session) -> None:
    """Raise DatabaseError if damage is behind an unforeseen error."""
    damage = damage_behind(error, session)
    if damage is not None:
        raise translated(damage) from error


def damage_behind(error: BaseException, session: Session) -> CorruptionError | None:
    """What a check finds that may have led to an unforeseen error; None if that came from elsewhere, or nothing is found."""
    if not isinstance(error, UNFORESEEN):
        return None
    place = error.__traceback__
    if place is None:
        return None
    while place.tb_next is not None:
        place = place.tb_next
    frame = place.tb_frame
    module = str(frame.f_globals.get("__name__", ""))
    is_below = module.partition(".")[0] in _LAYERS
    if not is_below and not frame.f_code.co_filename.startswith(_COMPILED):
        return None
    from sql import check_database

    try:
        problems = check_database(session, 1)
    except CorruptionError as found:
        problems = [str(found)]
    if not problems:
        return None
    return CorruptionError(f"the database is damaged: {problems[0]} (.check tells all)")
