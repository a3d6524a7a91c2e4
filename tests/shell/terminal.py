"""A terminal for tests: the shell in a pseudo-terminal, its screen kept by pyte.

Nothing sleeps: `wait_for` reads what the program writes until the screen shows what is awaited, or the generous
time is over and the screen is in the failure's message.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pexpect
import pyte

PATIENCE_SECONDS = 120.0


class _Screen(pyte.HistoryScreen):
    """A screen that answers the program's questions (where is the cursor?)."""

    answer: Callable[[str], None] | None = None

    def write_process_input(self, data: str) -> None:
        if self.answer is not None:
            self.answer(data)


class Terminal:
    """`with Terminal(["app.db"]) as t: t.send("SELECT 1;\\r"); t.wait_for("1")`."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        columns: int = 80,
        rows: int = 24,
        environ: Mapping[str, str] | None = None,
        cwd: str | None = None,
        program: Sequence[str] = (sys.executable, "-m", "kvsh"),
    ) -> None:
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("KVSH_")
            and key not in ("NO_COLOR", "COLORTERM", "PAGER", "EDITOR", "COLUMNS", "LINES")
        }
        env |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
        env |= {"KVSH_CONFIG": "", "KVSH_HISTORY": ""}
        env |= environ or {}
        self.screen = _Screen(columns, rows, history=5000)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.started_at = time.monotonic()
        self.child = pexpect.spawn(
            program[0],
            [*program[1:], *arguments],
            dimensions=(rows, columns),
            env=env,
            cwd=cwd,
            timeout=PATIENCE_SECONDS,
        )
        self.screen.answer = self._answer

    def _answer(self, data: str) -> None:
        if self.child.isalive():
            self.child.send(data)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.child.close(force=True)

    # -- what the user does ------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Type; `\\r` is Enter, `\\x1b\\r` Alt-Enter, `\\x03` Ctrl-C, `\\x04` Ctrl-D, `\\t` Tab."""
        self.child.send(text)

    def interrupt(self) -> None:
        """Ctrl-C of a program that has the terminal in cooked mode."""
        self.child.kill(signal.SIGINT)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    # -- what the user sees ------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The screen's lines, right blanks stripped."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """Everything shown so far: what has scrolled away, then the screen."""
        scrolled = [
            "".join(row[column].data for column in range(self.screen.columns)).rstrip()
            for row in self.screen.history.top
        ]
        return "\n".join([*scrolled, *self.lines]).rstrip()

    @property
    def cursor_line(self) -> str:
        return self.lines[self.screen.cursor.y]

    def pump(self, seconds: float = 0.05) -> bool:
        """Take in what the program has written; whether there was anything."""
        try:
            data = self.child.read_nonblocking(65536, timeout=seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return False
        self.raw += data
        self.stream.feed(data)
        return True

    def wait_until(
        self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            ended = not self.pump() and not self.child.isalive() and not self.pump()
            if condition():
                return
            if ended or time.monotonic() > deadline:
                state = "the program ended" if ended else f"after {seconds:.0f} s"
                raise AssertionError(f"{what} is not on the screen ({state}):\n{self.text}")

    def wait_for(self, pattern: str, seconds: float = PATIENCE_SECONDS) -> re.Match[str]:
        """Wait until the regular expression matches what has been shown (multi-line)."""
        compiled = re.compile(pattern, re.MULTILINE)
        self.wait_until(lambda: compiled.search(self.text) is not None, repr(pattern), seconds)
        found = compiled.search(self.text)
        assert found is not None
        return found

    def wait_for_prompt(self, prompt: str = "> ") -> None:
        """Wait until the cursor stands behind an empty prompt."""
        wanted = prompt.rstrip()

        def is_there() -> bool:
            line = self.lines[self.screen.cursor.y]
            return line.endswith(wanted) and self.screen.cursor.x == len(line) + len(prompt) - len(
                wanted
            )

        self.wait_until(is_there, f"the prompt {prompt!r}")

    def wait_for_exit(self) -> int:
        """The exit status, once the program has ended."""
        self.wait_until(lambda: not self.child.isalive(), "the end of the program")
        while self.pump(0.01):
            pass
        self.child.close()
        status = self.child.exitstatus
        return status if status is not None else -(self.child.signalstatus or 0)
