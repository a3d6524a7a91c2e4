"""SQLite's functions, and the registry through which statements find them."""

from __future__ import annotations

from functools import cache

from sql.functions.registry import (
    JSON,
    Accumulator,
    Aggregate,
    AnyFunction,
    Function,
    FunctionRegistry,
    SlidingAccumulator,
    WindowFunction,
)


@cache
def builtins() -> dict[str, tuple[AnyFunction, ...]]:
    """SQLite's functions by lower-case name; imported at the first call."""
    from sql.functions import aggregates, datetimes, json_functions, numbers, system, texts

    found: dict[str, tuple[AnyFunction, ...]] = {}
    for module in (aggregates, datetimes, json_functions, numbers, system, texts):
        for function in module.FUNCTIONS:
            found[function.name] = (*found.get(function.name, ()), function)
    return found


__all__ = [
    "JSON",
    "Accumulator",
    "Aggregate",
    "AnyFunction",
    "Function",
    "FunctionRegistry",
    "SlidingAccumulator",
    "WindowFunction",
    "builtins",
]
