"""What the terminal can do: width, colours, characters."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvsh.environment import Environment


def describe(environment: Environment) -> None:
    """Tell the environment about the terminal on standard output."""
    from kvsh.themes import MONOCHROME, THEMES, Painter, colour_depth

    environment.screen = shutil.get_terminal_size().columns
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    environment.unicode = encoding.startswith("utf") and os.environ.get("TERM") != "dumb"
    depth = colour_depth(sys.stdout)
    if depth != MONOCHROME:
        environment.paint = Painter(THEMES["dark"], depth)
