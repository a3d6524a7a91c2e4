"""Functions that tell of the session and of the library."""

from __future__ import annotations

from typing import Any

from sql.functions.registry import AnyFunction, Function

SQLITE_VERSION = "3.40.1"
"""The SQLite whose answers ours are held to."""

INTEGER, TEXT = 2, 8
_OPTIONS = ("ENABLE_JSON1", "ENABLE_MATH_FUNCTIONS", "THREADSAFE=1")


def changes(ctx: Any) -> Any:
    return ctx.session.changes


def total_changes(ctx: Any) -> Any:
    return ctx.session.total_changes


def last_insert_rowid(ctx: Any) -> Any:
    return ctx.session.last_insert_rowid


def sqlite_version() -> Any:
    return SQLITE_VERSION


def sqlite_source_id() -> Any:
    return f"kvsh, answering as SQLite {SQLITE_VERSION}"


def kvsh_version() -> Any:
    from importlib.metadata import version

    return version("kvsh")


def sqlite_compileoption_used(name: Any) -> Any:
    if name is None:
        return None
    wanted = str(name).upper().removeprefix("SQLITE_")
    return int(any(option == wanted or option.split("=")[0] == wanted for option in _OPTIONS))


def sqlite_compileoption_get(number: Any) -> Any:
    if number.__class__ is not int or not 0 <= number < len(_OPTIONS):
        return None
    return _OPTIONS[number]


def _session(name: str, call: Any) -> Function:
    return Function(name, call, 0, 0, deterministic=False, kinds=INTEGER, needs_context=True)


FUNCTIONS: tuple[AnyFunction, ...] = (
    _session("changes", changes),
    _session("total_changes", total_changes),
    _session("last_insert_rowid", last_insert_rowid),
    Function("sqlite_version", sqlite_version, 0, 0, kinds=TEXT),
    Function("sqlite_source_id", sqlite_source_id, 0, 0, kinds=TEXT),
    Function("kvsh_version", kvsh_version, 0, 0, kinds=TEXT),
    Function("sqlite_compileoption_used", sqlite_compileoption_used, 1, 1),
    Function("sqlite_compileoption_get", sqlite_compileoption_get, 1, 1),
)
