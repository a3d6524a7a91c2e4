"""Lines of `put`, `get` and `delete` that follow each other in a script or are pasted, run together.

To cut a line off, split it, find its command, and begin and end a transaction takes 15 us, what it asks for one.  So
plain lines, one key each, are taken off the text by one regular expression and done in one loop, in the transaction
that is open or in one of their own; what they give is shown when that has been committed.  The outcome is as one by one:
a run that fails is given back, from the line that failed or, with a transaction of its own, from its first, and is run
one by one, so that it fails there with its place.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from btree import KeySpace, StoreError
from kvsh.commands.raw import absent, shown
from kvsh.reader import PLAIN_WORD, unquoted

if TYPE_CHECKING:
    from btree import Transaction
    from kvsh.environment import Environment

SHOWN_BYTES_MAX = 1 << 20
"""What waits to be shown, about, at most."""


@cache
def _run() -> re.Pattern[str]:
    """Such lines; `delete from` begins a statement, and so does a comment behind `delete`."""
    word = PLAIN_WORD
    line = rf"(?:put {word} {word}|get {word}|delete (?![fF][rR][oO][mM]\b|/\*){word})(?<!;)\n"
    return re.compile(rf"(?:{line}){{2,}}+")


@cache
def _words() -> re.Pattern[str]:
    return re.compile(rf"(\w+) ({PLAIN_WORD})(?: ({PLAIN_WORD}))?")


def execute(environment: Environment, text: str, start: int) -> tuple[int, int]:
    """Run the lines that begin at `start` and show what they give.  Where what has been run ends, and how many lines are
    to be run one by one because it failed."""
    found = _run().match(text, start)
    if found is None:
        return start, 0
    run = _Lines(found[0].split("\n")[:-1])
    is_joined = environment.in_transaction()
    alone = 0
    try:
        with environment.writing() if run.writes else environment.reading() as transaction:
            run.execute(transaction)
    except StoreError:
        alone = len(run.lines)
        if not is_joined:
            return start, alone
    at = 0
    if environment.interactive:  # a person is told of each key that is not there, in its place
        for place, key in run.missing:
            _write(environment, run.given[at:place])
            environment.say(absent(environment, key))
            at = place
    _write(environment, run.given[at:])
    environment.unfulfilled = environment.unfulfilled or run.missed
    return start + sum(map(len, run.lines[: run.done])) + run.done, alone


def _write(environment: Environment, values: list[bytes]) -> None:
    if environment.target.is_terminal:
        environment.write("".join([shown(value) + "\n" for value in values]))
    else:
        environment.target.write_bytes(b"".join([value + b"\n" for value in values]))


class _Lines:
    """A run of lines: how many are done, and what they give."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.writes = not all(line.startswith("get ") for line in lines)
        self.done = 0
        self.given: list[bytes] = []
        self.missed = False  # whether a key was asked for that is not there
        self.missing: list[tuple[int, bytes]] = []
        """Keys that are not there, each with how many values had been given before."""

    def execute(self, transaction: Transaction) -> None:
        """Do them, until they are done or have given much."""
        keys = KeySpace(transaction)
        given_bytes = 0
        for line in self.lines:
            if "'" in line or '"' in line:
                match = _words().fullmatch(line)
                assert match is not None, line
                command, *words = [word for word in match.groups() if word is not None]
                key, *values = map(unquoted, words)
            else:
                command, *words = line.split(" ")
                key, *values = [word.encode() for word in words]
            if command == "put":
                keys.put(key, values[0])
            elif command == "delete":
                if not keys.delete(key):
                    self.missing.append((len(self.given), key))
            else:
                value = keys.get(key)
                if value is None:
                    self.missed = True
                    self.missing.append((len(self.given), key))
                else:
                    self.given.append(value)
                    given_bytes += len(value)
            self.done += 1
            if given_bytes > SHOWN_BYTES_MAX:
                return
