"""Reading statements on a terminal that can't move its cursor (TERM=dumb): plain lines, no escape sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO


class PlainEditor:
    """Reads lines until they are whole statements.  A drop-in for `kvsh.repl.editor.Editor`."""

    def __init__(
        self,
        is_complete: Callable[[str], bool],
        prompt: Callable[[], str],
        *,
        source: TextIO,
        output: TextIO,
    ) -> None:
        self._is_complete = is_complete
        self._prompt = prompt
        self._source = source
        self._output = output

    def read(self, default: str = "") -> str:
        """One input of the user.  Raises KeyboardInterrupt (Ctrl-C) and EOFError (end of input)."""
        prompt = self._prompt()
        if default:
            self._output.write(default + "\n")
        text = default
        while True:
            self._output.write(prompt if not text else "...> ".rjust(len(prompt)))
            self._output.flush()
            try:
                line = self._source.readline()
            except KeyboardInterrupt:
                self._output.write("\n")  # the terminal shows ^C where the line was
                raise
            if not line:
                self._output.write("\n")
                if text.strip():
                    return text
                raise EOFError
            text += line
            if not text.strip():
                text = ""
                self._output.flush()
                prompt = self._prompt()
                continue
            if self._is_complete(text):
                return text.rstrip("\n")
