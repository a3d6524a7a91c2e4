"""Terms of ORDER BY and GROUP BY that are numbers: the positions of result columns."""

from __future__ import annotations

import sqlglot.expressions as exp

from sql.bind.nodes import number
from sql.errors import SqlError

_ORDINALS = {1: "st", 2: "nd", 3: "rd"}
_POSITION_MAX = (1 << 31) - 1  # larger numbers are constants, as in SQLite


def ordinal(position: int) -> str:
    suffix = "th" if position % 100 in (11, 12, 13) else _ORDINALS.get(position % 10, "th")
    return f"{position}{suffix}"


def position_of(node: exp.Expression) -> int | None:
    """The column number a bare integer in ORDER BY or GROUP BY stands for."""
    while isinstance(node, exp.Collate):
        node = node.this
    negative = False
    while isinstance(node, exp.Neg) or type(node) is exp.Unary:  # the latter is a plus
        negative ^= isinstance(node, exp.Neg)
        node = node.this
    if isinstance(node, exp.Literal) and not node.is_string:
        value = number(node.this)
        if isinstance(value, int) and value <= _POSITION_MAX:
            return -value if negative else value
    return None


def out_of_range(clause: str, place: int, count: int) -> SqlError:
    return SqlError(
        f"{ordinal(place + 1)} {clause} BY term out of range - should be between 1 and {count}"
    )
