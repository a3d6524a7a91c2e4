"""Questions to the user of a terminal, answered in a line."""

from __future__ import annotations

from typing import TextIO


def ask(question: str, answers: str, default: str, *, source: TextIO, output: TextIO) -> str:
    """One letter of `answers`; `default` for an empty line, the end of input, and Ctrl-C.

    The question is asked again until an answer's first letter fits."""
    while True:
        output.write(question + " ")
        output.flush()
        try:
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
