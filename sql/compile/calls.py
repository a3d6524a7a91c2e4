"""Calls of functions that are compiled to something cheaper than a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sql.expressions import INTEGER, NULL, TEXT, Call, Expression
from sql.settled import is_settled

if TYPE_CHECKING:
    from sql.compile.scalar import ScalarCompiler

PART_MAX = 1 << 30
"""Up to where substr() is a slice."""


_WHOLE = ".partition('\\0')[0]"
"""As for SQLite, a text ends at its first NUL."""


def part_of(scalar: ScalarCompiler, call: Call) -> str:
    """substr() of a text by integers as a slice, which takes a third of the call's time; "" for any other."""
    arguments = call.arguments
    text, *numbers = arguments
    if scalar.kinds(text) & ~NULL != TEXT:
        return ""
    constants = [scalar.constant(number) for number in numbers]
    if all(constants):
        return _by_constants(scalar, text, [each.value for each in constants if each is not None])
    if not all(scalar.kinds(number) & INTEGER for number in numbers):
        return ""
    guards, names = [], []
    for argument in arguments:
        source = scalar.value(argument)
        first, name = scalar.named(source)
        if first != name or scalar.nullable(argument):
            guards.append(f"{first} is None")
        names.append(name)
    value, start, *sizes = names
    mixed = [
        f"{name}.__class__ is int"
        for name, number in zip(names[1:], numbers, strict=True)
        if scalar.kinds(number) & ~NULL != INTEGER
    ]
    fits = [*mixed, f"0 < {start} <= {PART_MAX}"]
    fits += [f"0 <= {size} <= {PART_MAX}" for size in sizes]
    end = "".join(f"{start} - 1 + {size}" for size in sizes)
    part = f"{value}{_WHOLE}[{start} - 1:{end}] if {' and '.join(fits)}"
    otherwise = scalar.invoked(call.function, names, arguments)
    return f"(None if {' or '.join(guards) or 'False'} else {part} else {otherwise})"


def _by_constants(scalar: ScalarCompiler, text: Expression, bounds: list[Any]) -> str:
    start, size = bounds[0], bounds[1] if len(bounds) > 1 else PART_MAX
    if not isinstance(start, int) or not isinstance(size, int):
        return ""
    if not 0 < start <= PART_MAX or not 0 <= size <= PART_MAX:
        return ""
    part = f"{_WHOLE}[{start - 1}:{start - 1 + size}]"
    if not scalar.nullable(text):
        return f"({scalar.value(text)}){part}"
    first, name = scalar.named(scalar.value(text))
    return f"(None if {first} is None else {name}{part})"


def remembered(
    scalar: ScalarCompiler,
    for_many: Callable[..., Mapping[Any, Any]],
    arguments: list[str],
    expressions: Sequence[Expression],
) -> str:
    """A call as a subscript of what is known of the one argument that is no constant; "" where there is none.

    `arguments` are the sources of `ctx` and of the expressions."""
    varying = [at for at, e in enumerate(expressions, 1) if not is_settled(e)]
    if len(varying) != 1 or scalar.once is None:
        return ""
    (at,) = varying
    before, after = arguments[1:at], arguments[at + 1 :]
    others = [f"({''.join(f'{source}, ' for source in part)})" for part in (before, after)]
    known = scalar.once(f"{scalar.constants.name(for_many, 'for_many')}(ctx, {', '.join(others)})")
    return f"{known}[{arguments[at]}]"


def by_constant(
    scalar: ScalarCompiler,
    by_second: Callable[[Any], Callable[[Any], Any]],
    arguments: list[str],
    expressions: Sequence[Expression],
) -> str:
    """A call as one of a function that is made once a run for its second argument; "" where rows differ in that."""
    if scalar.once is None or not is_settled(expressions[1]) or is_settled(expressions[0]):
        return ""
    made = scalar.once(f"{scalar.constants.name(by_second, 'by_second')}({arguments[1]})")
    return f"{made}({arguments[0]})"
