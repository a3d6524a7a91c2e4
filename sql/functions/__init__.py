"""SQLite's functions, and the registry through which statements find them."""

from __future__ import annotations

from functools import cache
from importlib import import_module

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

_MODULES = ("aggregates", "texts", "numbers", "system", "datetimes", "json_functions")
"""Where SQLite's functions are, those first that most statements call: a module is imported when none
before it has a function, which spares a first `count(*)` the 5 ms that all of them take."""


@cache
def _functions_of(module: str) -> dict[str, tuple[AnyFunction, ...]]:
    """The functions of a module by lower-case name."""
    functions: list[AnyFunction] = import_module(f"sql.functions.{module}").FUNCTIONS
    found: dict[str, tuple[AnyFunction, ...]] = {}
    for function in functions:
        found[function.name] = (*found.get(function.name, ()), function)
    return found


def builtin(name: str, argument_count: int) -> AnyFunction | None:
    """SQLite's function of that name (lower case) that takes so many arguments, if there is one."""
    for module in _MODULES:
        for function in _functions_of(module).get(name, ()):
            if function.min_args <= argument_count and (
                function.max_args is None or argument_count <= function.max_args
            ):
                return function
    return None


@cache
def builtins() -> dict[str, tuple[AnyFunction, ...]]:
    """All of SQLite's functions by lower-case name."""
    found: dict[str, tuple[AnyFunction, ...]] = {}
    for module in _MODULES:
        for name, functions in _functions_of(module).items():
            found[name] = (*found.get(name, ()), *functions)
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
    "builtin",
    "builtins",
]
