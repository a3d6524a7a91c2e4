"""What a compiled statement sees while it runs.

One `Context` per execution.  Generated code reads `ctx.transaction`, `ctx.parameters`, and calls
`ctx.check()` once a batch, which raises `Interrupted` after a cancellation or past the deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sql.errors import Interrupted

if TYPE_CHECKING:
    from btree import Transaction
    from sql.expressions import SqlValue
    from sql.functions import FunctionRegistry
    from sql.schema import Schema


class Cancellation:
    """A flag another thread or a signal handler may set; shared by all statements of a session.

    `deadline` is in `time.monotonic()` seconds; `progress` is called by `check`, and a true result
    interrupts."""

    __slots__ = ("deadline", "progress", "requested")

    def __init__(self) -> None:
        self.requested = False
        self.deadline: float | None = None
        self.progress: Callable[[], Any] | None = None

    def check(self) -> None:
        if self.requested or (self.deadline is not None and time.monotonic() > self.deadline):
            raise Interrupted("interrupted")
        if self.progress is not None and self.progress():
            raise Interrupted("interrupted")


class Context:
    """The run-time surroundings of one statement.

    `outer_rows` maps a source number to (rowid, row) of an enclosing trigger (OLD, NEW) or upsert;
    `now` is the moment that 'now' means throughout the statement, set at its first use;
    `session` is what changes(), last_insert_rowid() and the like read."""

    __slots__ = (
        "cancellation",
        "check",
        "functions",
        "memory_limit_bytes",
        "now",
        "outer_rows",
        "parameters",
        "schema",
        "session",
        "transaction",
    )

    def __init__(
        self,
        transaction: Transaction,
        parameters: tuple[SqlValue, ...],
        schema: Schema,
        functions: FunctionRegistry,
        cancellation: Cancellation,
        session: Any,
        memory_limit_bytes: int = 256 << 20,
    ) -> None:
        self.transaction = transaction
        self.parameters = parameters
        self.schema = schema
        self.functions = functions
        self.cancellation = cancellation
        self.check = cancellation.check
        self.session = session
        self.memory_limit_bytes = memory_limit_bytes
        self.outer_rows: dict[int, Any] = {}
        self.now: float | None = None
