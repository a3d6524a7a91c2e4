"""What a program binds to a statement's parameters, as SQL's values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sql.errors import MisuseError

if TYPE_CHECKING:
    from sql.expressions import SqlValue
    from sql.session_plans import Parameters, Values

_PLAIN = frozenset((int, str, bytes, float, type(None))).issuperset
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1


def bound_values(names: Sequence[str | None], parameters: Parameters) -> Values:
    """The parameters' values in the order of their names (None for `?`).  Raises MisuseError for a wrong number of them."""
    kind = parameters.__class__
    if kind is not tuple and kind is not list and isinstance(parameters, Mapping):
        values = tuple([_named(name, place, parameters) for place, name in enumerate(names, 1)])
    else:
        if len(parameters) != len(names):
            raise MisuseError(
                f"Incorrect number of bindings supplied. The current statement uses "
                f"{len(names)}, and there are {len(parameters)} supplied."
            )
        values = tuple(parameters)
    if _PLAIN(map(type, values)):
        for value in values:
            if value.__class__ is int:
                if not _INT_MIN <= value <= _INT_MAX:
                    break
            elif value != value:  # NaN
                break
        else:
            return values
    return tuple(map(bound, values))


def _named(name: str | None, place: int, parameters: Mapping[str, Any]) -> Any:
    """A parameter's value; a mapping that has `unnamed` knows those of `?`, too."""
    if name is None:
        unnamed = getattr(parameters, "unnamed", None)
        if unnamed is not None:
            return unnamed(place)
        raise MisuseError(
            f"Binding {place} has no name, but you supplied a dictionary (which has only names)."
        )
    try:
        return parameters[name[1:]]
    except KeyError as error:
        raise MisuseError(
            f"You did not supply a value for binding parameter :{name[1:]}."
        ) from error


def bound(value: Any) -> SqlValue:
    """A Python value as SQL's: NaN is NULL, bool an integer, any buffer a blob."""
    if value is None or type(value) is str or type(value) is bytes:
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise MisuseError("integer out of the range of 64 bits")
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise MisuseError(f"type {type(value).__name__!r} can't be bound to a parameter")
