"""Where data goes: standard output, a file (`.output`, `.once`), a command's input, or a pager."""

from __future__ import annotations

import errno
import os
import time
from typing import IO, TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

BUFFER_CHARS = 1 << 16
STANDARD_OUTPUT = "standard output"

_NOT_RUN = (126, 127)
"""What the system's shell says of a command that is not there, or is none; all other statuses are the command's
business."""


class PagerLeft(Exception):
    """The pager, or the command that a result goes to, was left before it had seen everything."""


class Target:
    """A text sink that buffers, and may be redirected for a while.

    `base` is a binary stream (standard output's buffer, or a test's BytesIO)."""

    def __init__(self, base: BinaryIO) -> None:
        self._base = base
        self._stream: IO[bytes] = base
        self._name = STANDARD_OUTPUT
        self._process: subprocess.Popen[bytes] | None = None
        self._is_left = False  # whether that process reads no more
        self._in_result = False
        self._parts: list[str] = []
        self._size = 0
        self.is_terminal = False
        self._base_terminal = False
        self.eager = False  # flush after each statement
        self.before_write: Callable[[], None] | None = None
        self.pager: str | None = None  # a command; None: no pager
        self.screen_lines = 0
        self._lines_left: int | None = None  # that still fit on the screen; None: not counted
        self._pager: subprocess.Popen[bytes] | None = None
        self.pager_seconds = (
            0.0  # that went by in the pager; whoever wants to know sets it to 0 before
        )

    def set_terminal(self, is_terminal: bool) -> None:
        """Say what the base is."""
        self.is_terminal = self._base_terminal = is_terminal

    def write(self, text: str) -> None:
        """Text, to be encoded as UTF-8."""
        if self.before_write is not None:
            self.before_write()
        self._parts.append(text)
        self._size += len(text)
        if self._lines_left is not None:
            self._lines_left -= text.count("\n")
            if self._lines_left < 0 or self._size > BUFFER_CHARS:
                self._open_pager()
        if self._size > BUFFER_CHARS:
            self._pass_on()

    def write_bytes(self, data: bytes) -> None:
        """Bytes as they are."""
        if self.before_write is not None:
            self.before_write()
        self._pass_on()
        self._send(data)

    def _pass_on(self) -> None:
        if not self._parts:
            return
        data = "".join(self._parts).encode("utf-8", "surrogateescape")
        self._parts = []
        self._size = 0
        if self._pager is None:
            self._send(data)
            return
        assert self._pager.stdin is not None
        since = time.perf_counter()
        try:
            self._pager.stdin.write(data)
        except BrokenPipeError:
            raise PagerLeft from None
        finally:
            self.pager_seconds += time.perf_counter() - since

    def _send(self, data: bytes) -> None:
        """Data to the stream, if anybody reads it; what is sent is all that there is, if it is empty."""
        try:
            if not self._is_left:
                self._stream.write(data) if data else self._stream.flush()
        except BrokenPipeError:
            if self._process is None:
                raise
            self._is_left = True  # a command that has seen enough; the statements behind it go on
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error
        if self._is_left and self._in_result:
            raise PagerLeft

    def flush(self) -> None:
        """Everything written so far is out.  Raises BrokenPipeError, OSError."""
        self._pass_on()
        self._send(b"")

    def flush_if_eager(self) -> None:
        """Flush where somebody looks on."""
        if self.eager:
            self.flush()

    # -- the pager -------------------------------------------------------------------------------

    def start_pages(self) -> None:
        """What follows goes to the pager once it is longer than the screen."""
        self._in_result = True
        if self.pager is not None and self.is_terminal and self.screen_lines:
            self.flush()
            self._lines_left = self.screen_lines - 2

    def _open_pager(self) -> None:
        import subprocess

        assert self.pager is not None
        self._lines_left = None
        self._pager = subprocess.Popen(self.pager, shell=True, stdin=subprocess.PIPE)

    def end_pages(self) -> None:
        """The result is whole; waits until the pager is left."""
        self._lines_left = None
        self._in_result = False
        process = self._pager
        if process is None:
            return
        before, since = self.pager_seconds, time.perf_counter()
        try:
            self._pass_on()
            assert process.stdin is not None
            process.stdin.close()  # writes what is buffered, for which the pager may have no room yet
        except (PagerLeft, BrokenPipeError):
            pass  # left early
        finally:
            self._pager = None
            self._parts = []
            self._size = 0
            process.wait()
            self.pager_seconds = before + time.perf_counter() - since

    # -- elsewhere -------------------------------------------------------------------------------

    def redirect(self, name: str) -> None:
        """To a file, or with `|command` to a command's input.  Raises OSError."""
        self.restore()
        self.flush()
        if name.startswith("|"):
            import subprocess

            command = name[1:].strip()
            self._process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE)
            assert self._process.stdin is not None
            self._stream, self._name = self._process.stdin, command
        else:
            self._stream = open(name, "wb")  # noqa: SIM115 - closed by `restore`
            self._name = name
        self.is_terminal = False

    def restore(self) -> None:
        """Back to the base.  Raises OSError if what was written did not arrive."""
        if self._stream is self._base:
            return
        process, self._process = self._process, None
        name, stream = self._name, self._stream
        try:
            try:
                self.flush()
            finally:
                stream.close()
        except BrokenPipeError:
            if process is None:
                raise
            # else the command read as much as it wanted
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error
        finally:
            self._is_left = False
            self._name = STANDARD_OUTPUT
            self._parts = []
            self._size = 0
            self._stream = self._base
            self.is_terminal = self._base_terminal
            if process is not None:
                process.wait()
        if process is not None and process.returncode in _NOT_RUN:
            raise OSError(errno.ENOEXEC, "the command could not be run", name)

    def close(self) -> None:
        """Flush; the base stays open."""
        self.restore()
        self.flush()


def pager_command(setting: str) -> str | None:
    """The pager's command line by the setting: auto, off, or a command; None for no pager."""
    if setting == "off":
        return None
    if setting != "auto":
        return setting
    import shutil

    own = os.environ.get("PAGER")
    if own is not None:
        return own or None
    return "less -FRSX" if shutil.which("less") else None
