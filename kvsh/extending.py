"""What a program adds to a connection: functions, aggregates and collations of its own, and callbacks that watch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kvsh import callbacks
from kvsh.errors import NotSupportedError

if TYPE_CHECKING:
    from sql import FunctionRegistry


class Extensible:
    """The part of a `Connection` that takes functions of the program."""

    _session: Any
    _trace_callback: Callable[[str], Any] | None

    def _check_thread(self) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        raise NotImplementedError

    def _note_watchers(self) -> None:
        raise NotImplementedError

    def create_function(
        self,
        name: str,
        narg: int,
        func: Callable[..., Any] | None,
        *,
        deterministic: bool = False,
    ) -> None:
        """Call `func` for the SQL function `name` of `narg` arguments (-1: any); None removes it."""
        callbacks.add_function(self._functions(), name, narg, func, deterministic=deterministic)

    def create_aggregate(self, name: str, n_arg: int, aggregate_class: Any) -> None:
        """`aggregate_class()` with `step(*args)` and `finalize()`; None removes it."""
        callbacks.add_aggregate(self._functions(), name, n_arg, aggregate_class, slides=False)

    def create_window_function(self, name: str, num_params: int, aggregate_class: Any, /) -> None:
        """As `create_aggregate`, with `value()` and `inverse(*args)` besides."""
        callbacks.add_aggregate(self._functions(), name, num_params, aggregate_class, slides=True)

    def create_collation(self, name: str, callback: Callable[[str, str], int] | None, /) -> None:
        """Order text by `callback(a, b)` -> negative, 0 or positive; None removes it."""
        if not isinstance(name, str):
            raise TypeError(f"argument 1 must be str, not {type(name).__name__}")
        if callback is not None and not callable(callback):
            raise TypeError("parameter must be callable")
        callbacks.add_collation(self._functions(), name, callback)

    def _functions(self) -> FunctionRegistry:
        self._check_thread()
        self._check_open()
        registry: FunctionRegistry = self._session.functions
        return registry

    def interrupt(self) -> None:
        """Stop the running statement, from any thread: it raises OperationalError: interrupted."""
        self._check_open()
        self._session.interrupt()

    def set_progress_handler(self, progress_handler: Callable[[], Any] | None, n: int = 1) -> None:
        """Call `progress_handler` about once a batch of rows; a true result interrupts the statement.

        `n` (SQLite's virtual machine instructions) is accepted and not used."""
        self._check_thread()
        self._check_open()
        self._session.cancellation.progress = (
            None
            if progress_handler is None
            else callbacks.watched(progress_handler, otherwise=True)
        )
        self._note_watchers()

    def set_trace_callback(self, trace_callback: Callable[[str], Any] | None) -> None:
        """Call `trace_callback` with the text of every statement that is run, implicit ones too."""
        self._check_thread()
        self._check_open()
        self._trace_callback = (
            None if trace_callback is None else callbacks.watched(trace_callback, otherwise=False)
        )
        self._note_watchers()

    def set_authorizer(self, authorizer_callback: Callable[..., Any] | None) -> None:
        """Ask `authorizer_callback(action, argument, argument, database, view or trigger)` what statements may do:
        SQLITE_OK, SQLITE_DENY, or SQLITE_IGNORE, which has a query read NULL for a column.  None takes it away."""
        self._check_thread()
        self._check_open()
        asked = None if authorizer_callback is None else callbacks.authorizer(authorizer_callback)
        self._session.set_authorizer(asked)

    def enable_load_extension(self, enable: bool, /) -> None:
        """Not supported: there are no loadable C extensions."""
        if enable:
            raise NotSupportedError("kvsh loads no SQLite extensions; use create_function()")
