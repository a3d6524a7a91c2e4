"""What the terminal can do: width, colours, characters; and whether it shows what is typed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from kvsh.environment import Environment
    from kvsh.output import Row

_LOCAL_FLAGS = 3  # the place of the local modes in what tcgetattr gives


def describe(environment: Environment) -> None:
    """Tell the environment about the terminal on standard output."""
    from kvsh.themes import MONOCHROME, THEMES, Painter, colour_depth

    environment.screen = shutil.get_terminal_size().columns
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    environment.unicode = encoding.startswith("utf") and os.environ.get("TERM") != "dumb"
    depth = colour_depth(sys.stdout)
    if depth != MONOCHROME:
        environment.paint = Painter(THEMES["dark"], depth)


def measure(environment: Environment) -> None:
    """Tell the environment how large the window is now."""
    environment.screen, environment.target.screen_lines = shutil.get_terminal_size()


def begun(environment: Environment, batches: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """The batches, the first of which is there, and the window measured: it may have been resized meanwhile."""
    first = next(batches, None)
    measure(environment)
    return batches if first is None else chain((first,), batches)


@contextmanager
def echo(source: TextIO | None, *, on: bool) -> Iterator[None]:
    """While the block runs, the terminal shows what is typed as it is typed, or leaves that to who reads it."""
    if source is None or source.closed or not source.isatty():
        yield
        return
    import termios

    descriptor = source.fileno()
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:  # the terminal is gone
        yield
        return
    changed = list(before)
    flags = before[_LOCAL_FLAGS]
    changed[_LOCAL_FLAGS] = flags | termios.ECHO if on else flags & ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, changed)
    try:
        yield
    finally:
        with suppress(termios.error):  # it went meanwhile
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
