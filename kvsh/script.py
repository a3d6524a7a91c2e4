"""Scripts: from a pipe as they arrive, from files, from argv.

Each finished statement runs, and its output is flushed, before more input is awaited.  A script stops at its
first error; with `keep_going` it goes on, and the status still says so.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvsh.arguments import UsageError
from kvsh.reader import Reader, Unit

if TYPE_CHECKING:
    from kvsh.environment import Environment

CHUNK_BYTES = 1 << 16
READ_DEPTH_MAX = 20

OK, FAILED, INTERRUPTED = 0, 1, 130


class Script:
    """Runs units one after the other and keeps the status."""

    def __init__(self, environment: Environment, *, keep_going: bool = False) -> None:
        self.environment = environment
        self.keep_going = keep_going
        self.status = OK

    def run(self, reader: Reader, chunks: Iterator[str]) -> bool:
        """Run what the chunks bring.  False if the script has to stop."""
        try:
            for chunk in chunks:
                reader.feed(chunk)
                for unit in reader.units():
                    if not self.unit(unit):
                        return False
                self.environment.target.flush()
        except UnicodeDecodeError as error:
            return self._undecodable(reader, error)
        return all(self.unit(unit) for unit in reader.units(final=True))

    def _undecodable(self, reader: Reader, error: UnicodeDecodeError) -> bool:
        environment = self.environment
        byte = error.object[error.start]
        environment.say(
            f"{environment.source}:{reader.line + reader.rest.count(chr(10))}: error: the input is no"
            f" UTF-8 text (byte 0x{byte:02x}): nothing after this line was run"
        )
        self.status = FAILED
        return False

    def unit(self, unit: Unit) -> bool:
        """Run one.  False if the script has to stop."""
        environment = self.environment
        done = environment.attempt(unit)
        if environment.unfulfilled:
            self.status = FAILED
        if environment.leave_status is not None:
            self.status = environment.leave_status
            return False
        if done:
            return True
        if environment.interrupted:
            self.status = INTERRUPTED
            return False
        self.status = FAILED
        return self.keep_going


def chunks_of(descriptor: int) -> Iterator[str]:
    """A pipe's or file's text as it arrives.  Raises UnicodeDecodeError."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while data := os.read(descriptor, CHUNK_BYTES):
        yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def run_stdin(script: Script, descriptor: int) -> bool:
    """The script on standard input."""
    script.environment.source = "<stdin>"
    return script.run(Reader(runs=True), chunks_of(descriptor))


def run_path(script: Script, path: str) -> bool:
    """The script in a file; `-` is standard input."""
    environment = script.environment
    if path == "-":
        return run_stdin(script, 0)
    before, environment.source = environment.source, path
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return script.run(Reader(runs=True), chunks_of(descriptor))
    except IsADirectoryError as error:
        raise IsADirectoryError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)
        environment.source = before


def run_text(script: Script, text: str, source: str) -> bool:
    """Statements from the command line."""
    script.environment.source = source
    return script.run(Reader(), iter((text,)))


_depth = 0


class ScriptFailed(UsageError):
    """`.read`: the file's error has been reported."""


def run_file(environment: Environment, path: str) -> None:
    """`.read`: a file inside a script or at the prompt.  Raises UsageError if it stopped at an error."""
    global _depth
    if _depth >= READ_DEPTH_MAX:
        raise UsageError(f".read is nested more than {READ_DEPTH_MAX} deep: {path}")
    script = Script(environment)
    was_interactive, environment.interactive = environment.interactive, False
    confirm, environment.confirm = environment.confirm, None
    _depth += 1
    try:
        run_path(script, path)
    finally:
        _depth -= 1
        environment.interactive = was_interactive
        environment.confirm = confirm
    if script.status == FAILED:
        raise ScriptFailed(f"{path}: stopped at an error")
