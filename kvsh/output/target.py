"""Where data goes: standard output, a file (`.output`, `.once`), a command's input, or a pager."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import Any

BUFFER_CHARS = 1 << 16


class Target:
    """A text sink that buffers, and may be redirected for a while.

    `base` is a binary stream (standard output's buffer, or a test's BytesIO)."""

    def __init__(self, base: Any) -> None:
        self._base = base
        self._stream = base
        self._process: subprocess.Popen[bytes] | None = None
        self._parts: list[str] = []
        self._size = 0
        self.is_terminal = False
        self._base_terminal = False
        self.eager = False  # flush after each result
        self.pager: str | None = None
        self.lines_max = 0

    def set_terminal(self, is_terminal: bool) -> None:
        self.is_terminal = self._base_terminal = is_terminal

    @property
    def is_redirected(self) -> bool:
        """Whether output goes elsewhere than to the base."""
        return self._stream is not self._base

    def write(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        if self._size > BUFFER_CHARS:
            self._pass_on()

    def write_bytes(self, data: bytes) -> None:
        """Bytes as they are."""
        self._pass_on()
        self._stream.write(data)

    def _pass_on(self) -> None:
        if self._parts:
            text = "".join(self._parts)
            self._parts = []
            self._size = 0
            self._stream.write(text.encode("utf-8", "surrogateescape"))

    def flush(self) -> None:
        """Everything written so far is out.  Raises BrokenPipeError, OSError."""
        self._pass_on()
        self._stream.flush()

    def flush_if_eager(self) -> None:
        if self.eager:
            self.flush()

    def redirect(self, name: str) -> None:
        """To a file, or with `|command` to a command's input.  Raises OSError."""
        self.restore()
        self.flush()
        if name.startswith("|"):
            command = name[1:].strip()
            self._process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE)
            self._stream = self._process.stdin
        else:
            self._stream = open(name, "wb")  # noqa: SIM115 - closed by `restore`
        self.is_terminal = False

    def restore(self) -> None:
        """Back to the base."""
        if self._stream is self._base:
            return
        try:
            self.flush()
            self._stream.close()
        except BrokenPipeError:
            pass  # the command read as much as it wanted
        finally:
            self._parts = []
            self._size = 0
            self._stream = self._base
            self.is_terminal = self._base_terminal
            process, self._process = self._process, None
            if process is not None:
                process.wait()

    def close(self) -> None:
        """Flush; the base stays open."""
        self.restore()
        self.flush()


def pager_command(setting: str) -> list[str] | None:
    """The pager's command line; None for no pager."""
    if setting == "off":
        return None
    if setting != "auto":
        return shlex.split(setting)
    own = os.environ.get("PAGER")
    if own:
        return shlex.split(own)
    return ["less", "-FRSX"]
