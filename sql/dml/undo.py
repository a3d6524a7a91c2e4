"""Statements that undo themselves: a savepoint that is taken only where one may be needed.

Most statements check everything before they write, and a savepoint costs the writer a copy of every
page it touches next.  A plan with `single_step` therefore takes none from the session; it guards
its run, and calls `needed` just before it starts to write what might still fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sql.errors import SqlError

if TYPE_CHECKING:
    from btree import Savepoint
    from sql.context import Context


class Undo:
    """The savepoint of one run, if it has one."""

    __slots__ = ("_ctx", "_guards", "deferred_violations", "savepoint")

    def __init__(self, ctx: Context, guards: bool) -> None:
        self._ctx = ctx
        self._guards = guards
        self.savepoint: Savepoint | None = None
        self.deferred_violations = ctx.session.deferred_violations

    def needed(self) -> None:
        """What is written from now on may have to be undone."""
        if self._guards and self.savepoint is None:
            self.savepoint = self._ctx.transaction.savepoint()


@contextmanager
def guarded(ctx: Context, guards: bool) -> Iterator[Undo]:
    """A run that undoes what it wrote since `Undo.needed` if it fails, but for OR FAIL.

    With `guards` false the session does this, and `needed` does nothing."""
    undo = Undo(ctx, guards)
    try:
        yield undo
    except BaseException as error:
        ctx.session.changes = 0
        if undo.savepoint is not None:
            if not (isinstance(error, SqlError) and error.conflict == "FAIL"):
                ctx.transaction.rollback_to(undo.savepoint)
                ctx.session.deferred_violations = undo.deferred_violations
            ctx.transaction.release(undo.savepoint)
        raise
    if undo.savepoint is not None:
        ctx.transaction.release(undo.savepoint)
