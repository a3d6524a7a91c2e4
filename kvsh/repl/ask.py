"""Questions to the user of a terminal, answered in a line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from kvsh.terminal import echo


def ask(question: str, answers: str, default: str, *, source: TextIO, output: TextIO) -> str:
    """One letter of `answers`; `default` for an empty line, the end of input, and Ctrl-C.

    The question is asked again until an answer's first letter fits."""
    while True:
        output.write(question + " ")
        output.flush()
        try:
            with echo(source, on=True), _ctrl_c_is_raised():
                line = source.readline()
        except KeyboardInterrupt:
            output.write("\n")
            return default
        if not line:
            output.write("\n")
            return default
        letter = line.strip()[:1].lower()
        if not letter:
            return default
        if letter in answers:
            return letter


@contextmanager
def _ctrl_c_is_raised() -> Iterator[None]:
    """While a statement runs Ctrl-C is but noted, and a line would be read on: here nothing can be torn."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, noted)
