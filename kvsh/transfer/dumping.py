"""The database, or some of its tables, as SQL text: what `.dump` prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from btree import CollectorPaused
from kvsh.transfer.formats import TransferError

if TYPE_CHECKING:
    from sql import Session

_STATEMENTS_PER_PIECE = 1000


def dump(
    session: Session,
    write: Callable[[str], object],
    tables: Sequence[str] = (),
    *,
    data_only: bool = False,
) -> None:
    """Hand the dump to `write`, many lines at a time.  `tables`: names, or LIKE patterns; () for all.  `data_only`: the
    INSERTs alone."""
    with CollectorPaused():
        for piece in pieces(session, tables, data_only=data_only):
            write("\n".join(piece) + "\n")


def pieces(
    session: Session, tables: Sequence[str] = (), *, data_only: bool = False
) -> Iterator[list[str]]:
    """The statements, some at a time."""
    from sql import dump_statements

    names = _matching(session, tables) if tables else None
    statements = dump_statements(session, names, data_only=data_only)
    while piece := list(islice(statements, _STATEMENTS_PER_PIECE)):
        yield piece


def _matching(session: Session, patterns: Sequence[str]) -> set[str]:
    """The lower-case names of the tables and views that match one of `patterns`."""
    schema = session.schema.main
    names = [*schema.tables, *schema.views]
    found: set[str] = set()
    for pattern in patterns:
        expression = "".join(
            [".*" if mark == "%" else "." if mark == "_" else re.escape(mark) for mark in pattern]
        )
        like = re.compile(expression, re.IGNORECASE | re.DOTALL)
        matching = {name for name in names if like.fullmatch(name)}
        if not matching:
            from kvsh.themes import nearest

            raise TransferError(f"no such table: {pattern}{nearest(pattern, names)}")
        found |= matching
    return found
