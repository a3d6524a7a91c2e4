"""One call of an SQL function on both engines: kvsh and sqlite3, the oracle."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.sql.engines import Engine, EngineError, KvshEngine, SqliteEngine


@cache
def engines() -> tuple[Engine, Engine]:
    """kvsh and the oracle; shared by all tests, which store nothing in them."""
    return KvshEngine(), SqliteEngine()


def outcome(engine: Engine, expression: str, parameters: tuple[Any, ...] = ()) -> str:
    """What `SELECT expression` gives, its type included, or the error's message."""
    try:
        return repr(engine.execute(f"select {expression}", parameters))
    except EngineError as error:
        return f"error: {error}"


def assert_same(expression: str, *parameters: Any) -> None:
    """The expression's value, or error, is SQLite's."""
    ours, theirs = engines()
    expected = outcome(theirs, expression, parameters)
    assert outcome(ours, expression, parameters) == expected, (expression, parameters)


def assert_call(name: str, *arguments: Any) -> None:
    """The function's value, or error, is SQLite's."""
    assert_same(f"{name}({', '.join('?' * len(arguments))})", *arguments)
