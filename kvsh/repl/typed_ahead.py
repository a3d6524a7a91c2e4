"""Keys that are pressed before somebody reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_LOCAL_FLAGS = 3  # the place of the local modes in what tcgetattr gives


@contextmanager
def keys_kept(source: TextIO) -> Iterator[None]:
    """Keys wait, unseen and meaning nothing, for whoever reads the terminal next: an editor that is not there yet.

    Else the terminal would show them twice, edit the line itself, and have Ctrl-C and Ctrl-Z end or stop the program
    and throw away what was typed before them."""
    import termios

    descriptor = source.fileno()
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:  # no terminal, or one that is gone
        yield
        return
    changed = list(before)
    changed[_LOCAL_FLAGS] = before[_LOCAL_FLAGS] & ~(termios.ECHO | termios.ICANON | termios.ISIG)
    termios.tcsetattr(descriptor, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
