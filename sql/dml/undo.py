"""Statements that undo themselves: notes of single rows, and a savepoint only where one may be needed.

Most statements check everything before they write, and a savepoint costs the writer a copy of every
page it touches next.  So no statement is given one by the session; it guards its run, and takes it just before it
starts to write what might still fail.

A statement that concerns a row or two, with triggers or foreign keys behind it, does without one even there: what is
written one by one is noted beforehand (`Undo.note`), with what was there, and put back in the opposite order.  Before
anything else is written, or when there are more notes than a savepoint costs, `Undo.needed` takes the savepoint:
notes are then of what came before it.  The statements that programs start share the outermost one's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sql.errors import SqlError

if TYPE_CHECKING:
    from btree import Savepoint
    from sql.context import Context

ABSENT: Any = object()
"""What was at a key where nothing was."""

Note = tuple[int, Any, Any]

_NOTES_MAX = 64
"""Notes, each of which keeps a row, from which on a savepoint is taken."""

NOTED_ROWS = 16
"""Up to this many rows are written one by one with notes; for more a savepoint costs less."""


class Undo:
    """What one run has to take back if it fails; a context of `with`.

    `note(tree_id, key, value)` tells what is at a key that is about to change: a row, None for an entry of an index,
    or `ABSENT`."""

    __slots__ = ("_ctx", "_earlier", "_notes", "contexts", "deferred_violations", "savepoint")

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.contexts: dict[Any, Any] = {}  # that programs of the run have had, for their next row
        self._notes: list[Note] | deque[Note] = []
        self._earlier: list[Note] | deque[Note] = self._notes  # than the savepoint
        self.savepoint: Savepoint | None = None
        self.deferred_violations = ctx.session.deferred_violations

    def note(self, tree_id: int, key: Any, value: Any) -> None:
        """A key is about to change."""
        notes = self._notes
        notes.append((tree_id, key, value))
        if len(notes) > _NOTES_MAX:
            self.needed()

    def needed(self) -> None:
        """What is written from now on may have to be undone, and is not noted."""
        if self.savepoint is None:
            self.savepoint = self._ctx.transaction.savepoint()
            self._notes = deque(maxlen=0)

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.contexts.clear()  # no cycle is left to the garbage collector
        if error is not None:
            self._ctx.session.changes = 0
            if not (isinstance(error, SqlError) and error.conflict == "FAIL"):
                self.take_back()
                self._ctx.session.deferred_violations = self.deferred_violations
        if self.savepoint is not None:
            self._ctx.transaction.release(self.savepoint)

    def take_back(self) -> None:
        """Put back what was there."""
        transaction = self._ctx.transaction
        if self.savepoint is not None:
            transaction.rollback_to(self.savepoint)
        for tree_id, key, value in reversed(self._earlier):
            tree = transaction.tree(tree_id)
            if value is ABSENT:
                tree.delete(key)
            else:
                tree.put(key, value)

    def renew(self) -> None:
        """Be ready for the next run in the same context, of programs that leave no foreign key violated."""
        if self.savepoint is not None:
            self._ctx.transaction.release(self.savepoint)
            self.savepoint = None
            self._notes = self._earlier
        self._earlier.clear()


def noter(ctx: Context) -> Callable[[int, Any, Any], None] | None:
    """`Undo.note` of the statement that the run is a part of; None if it is a statement of its own."""
    state = getattr(ctx, "state", None)
    return None if state is None else state.undo.note


def not_noted(ctx: Context) -> None:
    """What a run writes from now on is not noted: the statement that it is a part of needs a savepoint."""
    state = getattr(ctx, "state", None)
    if state is not None:
        state.undo.needed()


class _Inner:
    """A run within another, which takes back what it wrote."""

    __slots__ = ("_undo",)

    def __init__(self, undo: Undo) -> None:
        self._undo = undo

    def __enter__(self) -> Undo:
        return self._undo

    def __exit__(self, *_: object) -> None:
        return None


def guarded(ctx: Context, *, apart: bool = False) -> Undo | _Inner:
    """What undoes a run if it fails, but for OR FAIL.

    Statements of programs leave that to the outermost one, unless they go on after a failure (`apart`)."""
    state = getattr(ctx, "state", None)
    if state is None:
        return Undo(ctx)
    undo: Undo = state.undo
    if not apart:
        return _Inner(undo)
    undo.needed()
    return Undo(ctx)
