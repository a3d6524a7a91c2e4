"""A program's functions, aggregates, windows and collations, as the SQL layer calls them.

What a callback raises never reaches the caller as it is, save MemoryError and what is no Exception (Ctrl-C):
it becomes a fixed sentence, as in the sqlite3 module, and the exception itself goes to `tracebacks`.  So this
is a place that has to catch every Exception.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, Any

from kvsh import tracebacks
from kvsh.errors import CallbackError, OperationalError, ProgrammingError
from sql import SqlError, TooBigError

if TYPE_CHECKING:
    from sql import FunctionRegistry

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
LENGTH_MAX = 1_000_000_000
ARGUMENTS_MAX = 127
_DENY = 1

_FUNCTION_RAISED = "user-defined function raised exception"


def _sql_value(value: Any) -> Any:
    """What a callback returned as an SQL value.  Raises OverflowError, TypeError and others."""
    kind = value.__class__
    if value is None or kind is float:
        return None if value != value else value
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return int(value)
    if isinstance(value, str):
        value.encode()  # a lone surrogate has no UTF-8 form
        if len(value) > LENGTH_MAX:
            raise OverflowError("text too long")
        return str(value)
    if isinstance(value, float):
        return float(value)
    view = memoryview(value)
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    if view.nbytes > LENGTH_MAX:
        raise OverflowError("blob too long")
    return bytes(view)


def _failed(error: Exception, callback: Any, sentence: str) -> SqlError:
    """What the statement fails with after `callback` raised `error`."""
    tracebacks.note(error, callback)
    if isinstance(error, OverflowError):
        return TooBigError()
    return CallbackError(sentence)


def _guarded(call: Callable[..., Any], callback: Any, sentence: str) -> Callable[..., Any]:
    """`call` with its result as an SQL value, and its exceptions as `sentence`."""

    def run(*arguments: Any) -> Any:
        try:
            return _sql_value(call(*arguments))
        except MemoryError as error:
            tracebacks.note(error, callback)
            raise
        except Exception as error:
            raise _failed(error, callback, sentence) from error

    return run


class _Accumulator:
    """A group's instance of a program's aggregate class; made at the group's first row.

    `result` is the name of the method that gives the value.  A group without rows is NULL."""

    __slots__ = ("_instance", "_make", "_result")

    def __init__(self, make: Any, result: str) -> None:
        self._make = make
        self._result = result
        self._instance: Any = None

    def step(self, *arguments: Any) -> None:
        if self._instance is None:
            self._instance = self._guarded("__init__", self._make)
        self._guarded("step", self._method("step"), *arguments)

    def inverse(self, *arguments: Any) -> None:
        self._guarded("inverse", self._method("inverse"), *arguments)

    def finish(self) -> Any:
        if self._instance is None:
            return None
        method = self._method(self._result)
        return _guarded(method, self._make, _sentence(self._result, "raised error"))()

    def _method(self, name: str) -> Any:
        try:
            return getattr(self._instance, name)
        except AttributeError as error:
            tracebacks.note(error, self._make)
            raise CallbackError(_sentence(name, "not defined")) from error

    def _guarded(self, name: str, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except MemoryError as error:
            tracebacks.note(error, self._make)
            raise
        except Exception as error:
            raise _failed(error, self._make, _sentence(name, "raised error")) from error


def _sentence(method: str, what: str) -> str:
    return f"user-defined aggregate's '{method}' method {what}"


def _check_signature(
    name: str, count: int, error: type[OperationalError] | type[ProgrammingError]
) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a function's name must be str, not {type(name).__name__}")
    if not -1 <= index(count) <= ARGUMENTS_MAX:
        raise error(f"a function has -1 (any number) to {ARGUMENTS_MAX} arguments, not {count}")


def add_function(
    registry: FunctionRegistry, name: str, count: int, call: Any, *, deterministic: bool
) -> None:
    """Let `name` with `count` arguments (-1: any number) call `call`; None removes it."""
    from sql import Function

    _check_signature(name, count, OperationalError)
    if call is None:
        registry.unregister(name, count)
        return
    run = _guarded(call, call, _FUNCTION_RAISED)
    run.__name__ = f"own_{name.lower()}"  # what generated code calls it
    least, most = (0, None) if count < 0 else (count, count)
    made = Function(name, run, least, most, deterministic=deterministic, builtin=False)
    registry.register(made, count)


def add_aggregate(
    registry: FunctionRegistry, name: str, count: int, make: Any, *, slides: bool
) -> None:
    """Let `name` aggregate by instances of `make` (`slides`: as a window function); None removes it."""
    from sql import Aggregate

    _check_signature(name, count, ProgrammingError if slides else OperationalError)
    if make is None:
        registry.unregister(name, count)
        return
    result = "value" if slides else "finalize"
    least, most = (0, None) if count < 0 else (count, count)
    made = Aggregate(
        name, lambda: _Accumulator(make, result), least, most, slides=slides, builtin=False
    )
    registry.register(made, count)


def add_collation(registry: FunctionRegistry, name: str, compare: Any) -> None:
    """Let `COLLATE name` order texts by `compare(a, b)`; None removes it.  What it gives that is no integer
    means that they are equal, as in the sqlite3 module."""
    name.encode()  # a lone surrogate: UnicodeEncodeError
    key = str.upper(name)

    def order(left: str, right: str) -> int:
        found = compare(left, right)
        return found if isinstance(found, int) else 0

    if compare is None:
        registry.collations.pop(key, None)
    else:
        registry.collations[key] = order
    registry.version += 1


def watched(callback: Callable[..., Any], *, otherwise: Any) -> Callable[..., Any]:
    """`callback` for progress and trace: its truth, or `otherwise` where it raises."""

    def run(*arguments: Any) -> bool:
        try:
            return bool(callback(*arguments))
        except Exception as error:
            tracebacks.note(error, callback)
            return bool(otherwise)

    return run


def authorizer(callback: Callable[..., Any]) -> Callable[..., int]:
    """`callback` as an authorizer: what raises, or gives no integer of 32 bits, denies."""

    def asked(*arguments: Any) -> int:
        try:
            answer = callback(*arguments)
        except Exception as error:
            tracebacks.note(error, callback)
            return _DENY
        return answer if isinstance(answer, int) and -(2**31) <= answer < 2**31 else _DENY

    return asked


def each_pages(pages: int, progress: Callable[[int, int, int], Any]) -> Callable[[int, int], None]:
    """A backup's progress as the sqlite3 module tells it, after each `pages` leaves."""
    left = pages

    def told(done: int, total: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            left = pages
            progress(0, total - done, total)

    return told
