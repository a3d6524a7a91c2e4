"""Whether what a program gives for a statement's parameters is SQL's as it is, so that nobody has to adapt it.

Statements about one row look at their parameters themselves: a few comparisons in the function that writes or finds the
row, rather than a loop in a function before it.  They expect the classes that were given when they were prepared, and leave
the rest to `is_plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sql.values import INT_MAX, INT_MIN

_QUICK = {
    # Most integers are short: two of one digit are compared by the interpreter without a call.
    int: "-1073741823 <= {0} <= 1073741823",
    str: "{0}.isascii()",
}

_NAMED = frozenset((int, float, str, bytes))


def is_plain(value: Any) -> bool:
    """Whether a value is one of SQL's: of the five types, no NaN, no integer beyond 64 bits, no text that is not
    Unicode."""
    kind = value.__class__
    if kind is int:
        return bool(INT_MIN <= value <= INT_MAX)
    if kind is float:
        return bool(value == value)
    if kind is str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:  # lone surrogates
                return False
        return True
    return value is None or kind is bytes


def plain_source(variable: str, kind: type, asks: str, *, only: bool) -> str:
    """Python that is true if the value in a variable is one of SQL's, most quickly told if it is of that class; `only`
    then.  `asks` is the name of `is_plain`."""
    is_kind = (
        f"{variable}.__class__ is {kind.__name__}" if kind in _NAMED else f"{variable} is None"
    )
    quick = _QUICK.get(kind, "").format(variable)
    asked = f"{asks}({variable})"
    if only:
        return f"{is_kind} and ({quick} or {asked})" if quick else f"{is_kind} and {asked}"
    return f"({is_kind} and {quick} or {asked})" if quick else asked


def unpacked(parameters: str, count: int) -> tuple[list[str], str]:
    """The variables of so many parameters, and Python that unpacks them."""
    names = [f"{parameters}{place}" for place in range(count)]
    return names, f"{''.join([f'{name}, ' for name in names])}= {parameters}"


@lru_cache(256)
def fits_types(types: Sequence[type]) -> Callable[[Any], bool]:
    """A function that says whether what a program gave is a tuple of SQL's values, of just these types."""
    lines = [f"if p.__class__ is not tuple or len(p) != {len(types)}: return False"]
    if types:
        names, unpacks = unpacked("p", len(types))
        checks = [
            plain_source(name, kind, "is_plain", only=True)
            for name, kind in zip(names, types, strict=True)
        ]
        lines += [unpacks, f"return {' and '.join(checks)}"]
    else:
        lines.append("return True")
    namespace: dict[str, Any] = {"is_plain": is_plain}
    exec("\n    ".join(["def fits(p):", *lines]), namespace)
    fits: Callable[[Any], bool] = namespace["fits"]
    return fits
