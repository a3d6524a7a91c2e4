"""The interactive shell: read whole statements, run them so that Ctrl-C stops them, go on until told to leave.

    Shell.run:  editor.read() -> the host's executor -> results and errors on the terminal -> again

The prompt is painted before the parser and the schema are loaded: a thread loads them while the user looks at
it.  An error never ends the shell.  Leaving with an open transaction asks what is to become of it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from kvsh.repl.ask import ask
from kvsh.repl.cancel import interruptible
from kvsh.repl.live import LiveCatalog


class LineSource(Protocol):
    """Where input comes from: the editor, or plain lines on a dumb terminal."""

    def read(self, default: str = "") -> str: ...


class Host(Protocol):
    """What the loop needs of the shell's environment."""

    leave_status: int | None
    """Set by `.quit`: the exit status to leave with."""

    next_input: str
    """Text to put before the user at the next prompt (`.edit` leaves it here)."""

    def execute(self, text: str) -> None:
        """Run every statement of the text; results and errors are printed."""

    def in_transaction(self) -> bool: ...

    def changes(self) -> int: ...

    def end_transaction(self, *, keep: bool) -> None:
        """Commit or roll back."""

    def interrupt(self) -> None: ...

    def tear(self) -> None:
        """A moment after `interrupt`: raise KeyboardInterrupt if what runs only reads."""

    def tick(self) -> None:
        """Time goes by; in a signal's handler."""

    def report(self, error: BaseException) -> None:
        """Print an error that came from outside a statement."""


class Shell:
    """One interactive session."""

    def __init__(
        self,
        host: Host,
        source: LineSource,
        catalog: LiveCatalog,
        *,
        on_read: Callable[[], None],
    ) -> None:
        self.host = host
        self.source = source
        self.catalog = catalog
        self._on_read = on_read
        self._warming: threading.Thread | None = None

    def run(self) -> int:
        """Until `.quit`, Ctrl-D, or the terminal is gone; the exit status."""
        while True:
            text, self.host.next_input = self.host.next_input, ""
            try:
                text = self.source.read(text)
            except KeyboardInterrupt:
                continue
            except EOFError:
                if self.may_leave():
                    return 0
                continue
            self._on_read()
            self.execute(text)
            if self.host.leave_status is not None:
                if self.may_leave():
                    return self.host.leave_status
                self.host.leave_status = None

    def execute(self, text: str) -> None:
        """Run one input; Ctrl-C cancels what runs, and nothing but `.quit` ends the shell."""
        if not text.strip():
            return
        with self.running():
            self.host.execute(text)

    @contextmanager
    def running(self) -> Iterator[None]:
        """A statement runs: the session is the main thread's, and SIGINT cancels."""
        self.wait_for_warming()
        with self.catalog.lock, interruptible(self.host.interrupt, self.host.tear, self.host.tick):
            try:
                yield
            except KeyboardInterrupt as error:
                self.host.report(error)

    def may_leave(self) -> bool:
        """Whether nothing is lost by leaving; asks if a transaction is open."""
        if not self.host.in_transaction():
            return True
        changes = self.host.changes()
        rows = f" ({changes:,} row{'' if changes == 1 else 's'} changed)" if changes else ""
        answer = ask(
            f"A transaction is open{rows}: commit, roll back, or stay? [c/r/S]",
            "crs",
            "s",
            source=sys.stdin,
            output=sys.stdout,
        )
        if answer == "s":
            return False
        with self.running():
            self.host.end_transaction(keep=answer == "c")
        return not self.host.in_transaction()

    # -- loading behind the prompt -----------------------------------------------------------------

    def warm_up(self) -> None:
        """Load what the first statement and the first completion need, in a thread."""
        self._warming = threading.Thread(target=self._warm, name="kvsh-warm-up", daemon=True)
        self._warming.start()

    def _warm(self) -> None:
        self.catalog.preload()
        from sql import load_planner

        load_planner()

    def wait_for_warming(self) -> None:
        """Two threads must not import the same modules half-way, nor use the session at once."""
        if self._warming is not None:
            self._warming.join()
            self._warming = None
