"""Statements that undo themselves: notes of single rows, and a savepoint only where one may be needed.

Most statements check everything before they write, and a savepoint costs the writer a copy of every
page it touches next.  So no statement is given one by the session; it guards its run, and takes it just before it
starts to write what might still fail.

A statement that concerns a row or two, with triggers or foreign keys behind it, does without one even there: what is
written one by one is noted beforehand (`Undo.note`), with what was there, and put back in the opposite order.  Before
anything else is written, or when there are more notes than a savepoint costs, `Undo.needed` takes the savepoint:
notes are then of what came before it.  The statements that programs start share the outermost one's.

What nothing foresees, Ctrl-C, an interrupt or an error of the disk, comes in the middle of writes, too.  A statement that
has neither notes nor a savepoint then can't be undone by itself: it stays the session's `unfinished` one, and its transaction
is rolled back (`TransactionState.end_torn`), as SQLite does with what it meets there.  Until an `Undo` has done its work it
is marked so, since an interruption may come in the middle of that as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sql.errors import Interrupted, SqlError

if TYPE_CHECKING:
    from btree import Savepoint
    from sql.context import Context
    from sql.session_transactions import Unfinished

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

    __slots__ = (
        "_ctx",
        "_earlier",
        "_notes",
        "before",
        "contexts",
        "deferred_violations",
        "is_noted",
        "savepoint",
    )

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.contexts: dict[Any, Any] = {}  # that programs of the run have had, for their next row
        self._notes: list[Note] | deque[Note] = []
        self._earlier: list[Note] | deque[Note] = self._notes  # than the savepoint
        self.savepoint: Savepoint | None = None
        self.is_noted = True  # all that is written, but for what comes behind the savepoint
        self.before: Unfinished | None = (
            None  # the session's unfinished statement that this one is a part of
        )
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
        session = self._ctx.session
        # No call between this and what is written: a signal's handler may raise behind it.
        self.before = session.unfinished
        session.unfinished = self
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.contexts.clear()  # no cycle is left to the garbage collector
        session = self._ctx.session
        if error is not None:
            session.changes = 0
            if isinstance(error, Interrupted) or not isinstance(error, SqlError):
                self.undone()  # or else it stays unfinished
                return
            if error.conflict != "FAIL":
                self.take_back()
                session.deferred_violations = self.deferred_violations
        if error is not None or session.unfinished is self:
            session.unfinished = self.before
        if self.savepoint is not None:
            self._ctx.transaction.release(self.savepoint)

    def undone(self) -> bool:
        """Take back what was written before an interruption, which may have come anywhere, if all of it is known."""
        if self.savepoint is None and not self.is_noted:
            return False
        self.take_back()
        session = self._ctx.session
        session.deferred_violations = self.deferred_violations
        session.unfinished = self.before
        if self.savepoint is not None:
            self._ctx.transaction.release(self.savepoint)
        return True

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
    if state is not None:
        note: Callable[[int, Any, Any], None] = state.undo.note
        return note
    not_noted(ctx)
    return None


def not_noted(ctx: Context) -> None:
    """What a run writes from now on is not noted: the statement that it is a part of needs a savepoint.  One of its own
    does without: it has checked everything."""
    state = getattr(ctx, "state", None)
    if state is not None:
        state.undo.needed()
        return
    undo = ctx.session.unfinished
    if undo.__class__ is Undo:
        undo.is_noted = False


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
