"""Scripts: from a pipe as they arrive, from files, from argv.

Each finished statement runs, and its output is flushed, before more input is awaited.  A script stops at its
first error; with `environment.keep_going` it goes on, and the status still says so.

What has arrived together may run together: plain `put` lines, those of `put`, `get` and `delete` by turns, and
INSERTs of literals that begin alike, are loaded as one transaction each run, with the same outcome as one by one;
queries that differ in their literals alone are read and shown together.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from btree import StoreError, resume_collections
from kvsh.arguments import CommandError, UsageError
from kvsh.reader import KEY_LINES, Reader, Unit
from kvsh.together import Tries

if TYPE_CHECKING:
    from codecs import IncrementalDecoder
    from types import FrameType

    from kvsh.environment import Environment
    from sql import ResultColumn

CHUNK_BYTES = 1 << 20
READ_DEPTH_MAX = 20
STATEMENT_MAX = 1_000_000_000  # characters; SQLite has as many bytes
_ROW_BY_ROW = frozenset(("list", "csv", "tsv", "jsonl", "insert", "quote"))
"""Modes that write each row by itself."""

_LIST_ITERATOR: type = type(iter([]))  # of a result that is there already

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


class Undecodable(Exception):
    """The input is not UTF-8 from here on."""

    def __init__(self, byte: int) -> None:
        super().__init__(byte)
        self.byte = byte


class Script:
    """Runs units one after the other and keeps the status."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.status = OK
        self._tries = Tries()
        self.compacts = True  # when it is worth while; a one-shot command never does

    def run(self, reader: Reader, chunks: Iterator[str]) -> bool:
        """Run what the chunks bring.  False if the script has to stop."""
        try:
            for chunk in chunks:
                reader.feed(chunk)
                for unit in reader.units():
                    if not self.unit(unit):
                        return False
                    if unit.kind == "sql" and not self._run_on(reader, unit):
                        return False
                    if unit.text.startswith(KEY_LINES) and not self._run_lines(reader, unit):
                        return False
                if reader.pending > STATEMENT_MAX:
                    return self._too_long(reader)
                self.environment.target.flush()
                resume_collections()
                if not self._compacted():
                    return False
        except Undecodable as error:
            return self._undecodable(reader, error)
        return all(self.unit(unit) for unit in reader.units(final=True))

    def _run_on(self, reader: Reader, unit: Unit) -> bool:
        """Statements of the forms of those that ran lately, together.  False if the script has to stop."""
        environment = self.environment
        if not self._is_silent():
            return True
        runs = environment.session.runs
        runs.learn(unit.text)
        if not self._tries.due() or not runs.openings or not reader.begins(runs.openings):
            return True
        shown = _Shown(environment)
        at = Unit(
            "sql", "", *reader.waiting()
        )  # what a failing disk says of a run is said of where it begins
        failed: Exception | None = None

        def execute(text: str, start: int) -> int:
            nonlocal failed
            ran = runs.execute(text, start, joins=self.environment.joins_commits(), show=shown)
            if ran is None:
                return start
            shown.end()
            if ran.error is not None:
                at.text = ran.text
                at.line, at.column = reader.place_of(ran.start)
                failed = ran.error
            return ran.end

        def run() -> None:
            while reader.begins(runs.openings):
                at.line, at.column = reader.waiting()
                if environment.interrupted:  # between two runs
                    raise KeyboardInterrupt
                if not reader.run_on(execute):
                    self._tries.failed()
                    return
                if failed is not None:
                    raise failed

        return self.finish(done=environment.guarded(at, run))

    def _run_lines(self, reader: Reader, unit: Unit) -> bool:
        """Lines of keys that follow another, together.  False if the script has to stop."""
        if unit.kind != "raw":
            return True
        environment = self.environment
        if not self._tries.due() or not self._is_silent() or not reader.begins(KEY_LINES):
            return True
        from kvsh import key_lines  # its pattern takes longer to be made than many a script

        at = Unit("raw", "", *reader.waiting())

        def execute(text: str, start: int) -> int:
            end, alone = key_lines.execute(environment, text, start)
            self._tries.failed(alone)
            return end

        def run() -> None:
            while reader.begins(KEY_LINES) and not environment.interrupted:
                if not reader.run_on(execute) or self._tries.alone:
                    return

        return self.finish(done=environment.guarded(at, run))

    def _is_silent(self) -> bool:
        """Whether nothing is said or kept of a single statement but its rows."""
        environment = self.environment
        return not (
            environment.echo
            or environment.timer == "on"
            or environment.explain
            or environment.plans_first
            or environment.changes_shown
            or environment.parameters
        )

    def _compacted(self) -> bool:
        """Compact if dead bytes outweigh the live ones; False if a signal came meanwhile.

        That costs in proportion to the live bytes, and more dead ones have been written since the last
        time: it is paid for, and the file of a long script stays in bounds."""
        environment = self.environment
        store: Any = environment.store
        due = getattr(store, "compaction_due", None)
        if due is None or not self.compacts or environment.in_transaction() or not due():
            return True

        def stop(_done: int, _total: int) -> None:
            if environment.interrupted:
                raise KeyboardInterrupt

        try:
            with environment.working():
                store.compact(progress=stop)
        except KeyboardInterrupt:
            pass  # what was written is thrown away; `finish` sees the signal
        except StoreError as error:
            self.compacts = False
            environment.say(f"kvsh: warning: the file could not be compacted: {error}")
        return self.finish(done=True)

    def _undecodable(self, reader: Reader, error: Undecodable) -> bool:
        line, column = reader.end()
        source = self.environment.source
        message = f"{source}:{line}:{column}: error: byte 0x{error.byte:02x} is not UTF-8 text"
        from kvsh.transfer.formats import KVSH_HEAD, SQLITE_HEAD

        if reader.rest.startswith(SQLITE_HEAD.decode()):
            message += ": it is a database of SQLite's; .import takes it over"
        elif reader.rest.startswith(KVSH_HEAD.decode()):
            message += ": it is a database of kvsh's; .open opens it, ATTACH adds it to this one"
        elif (line, column, error.byte) == (1, 2, 0x8B):
            message += ": it is compressed; gunzip -c FILE | kvsh DATABASE"
        elif (line, column) == (1, 1) and error.byte in (0xFE, 0xFF):
            message += ": it may be UTF-16; iconv -f UTF-16 -t UTF-8 FILE | kvsh DATABASE"
        self.environment.say(message)
        self.status = FAILED
        return False

    def _too_long(self, reader: Reader) -> bool:
        line, column = reader.waiting()
        self.environment.say(
            f"{self.environment.source}:{line}:{column}: error: what begins here has no end within "
            f"{STATEMENT_MAX:,} characters"
        )
        self.status = FAILED
        return False

    def unit(self, unit: Unit) -> bool:
        """Run one.  False if the script has to stop."""
        done = self.environment.attempt(unit)
        if unit.kind == "sql":
            resume_collections()  # the command line switched them off until the parser is imported
        return self.finish(done=done)

    def finish(self, *, done: bool) -> bool:
        """Note how a unit ended.  False if the script has to stop."""
        environment = self.environment
        if environment.unfulfilled:
            self.status = FAILED
        if environment.terminated:
            self.status = environment.terminated
            return False
        if environment.interrupted:
            self.status = INTERRUPTED
            return False
        if environment.leave_status is not None:
            self.status = environment.leave_status or self.status
            return False
        if done:
            return True
        self.status = FAILED
        return environment.keep_going


class _Shown:
    """What a run's queries give, as the environment shows it.

    Where each row is written by itself, without headers, the rows of queries that follow each other and have the same
    columns look as those of one."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.joins = environment.mode in _ROW_BY_ROW and not environment.style().headers
        self._columns: tuple[ResultColumn, ...] = ()
        self._batches: list[list[Any]] = []

    def __call__(self, columns: tuple[ResultColumn, ...], batches: Iterator[list[Any]]) -> None:
        if not self.joins or batches.__class__ is not _LIST_ITERATOR:
            self.end()
            self._show(columns, batches)
        elif columns is self._columns:
            self._batches += batches
        else:
            self.end()
            self._columns = columns
            self._batches = list(batches)

    def end(self) -> None:
        """Show what waits."""
        batches, self._batches = self._batches, []
        if batches:
            self._show(self._columns, iter([[row for batch in batches for row in batch]]))

    def _show(self, columns: tuple[ResultColumn, ...], batches: Iterator[list[Any]]) -> None:
        kinds = 0
        for column in columns:
            kinds |= column.kinds
        self._environment.show([column.name for column in columns], batches, kinds=kinds)


def chunks_of(descriptor: int, reader: Reader) -> Generator[str, None, None]:
    """A pipe's or file's text as it arrives; more at once while a long statement is open.
    Raises Undecodable, OSError."""
    import codecs
    import select

    decoder = codecs.getincrementaldecoder("utf-8")()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while data := os.read(descriptor, CHUNK_BYTES):
        wanted = reader.pending // 4
        parts = [data]
        size = len(data)
        while size < wanted and poll.poll(0) and (more := os.read(descriptor, CHUNK_BYTES)):
            parts.append(more)
            size += len(more)
        yield from _decoded(decoder, b"".join(parts), final=False)
    yield from _decoded(decoder, b"", final=True)


def _shown(environment: Environment, descriptor: int, reader: Reader) -> Generator[str, None, None]:
    """The chunks of a long file, with a progress bar on a terminal's error stream if nothing else is there."""
    chunks = chunks_of(descriptor, reader)
    size = os.fstat(descriptor).st_size
    if size <= CHUNK_BYTES or environment.target.is_terminal or not environment.err.isatty():
        yield from chunks
        return
    from kvsh.transfer.progress import Progress

    bar = environment.progress = Progress(environment.err, environment.source, unit="lines")
    try:
        for chunk in chunks:
            yield chunk
            bar.update(reader.place()[0], done=os.lseek(descriptor, 0, os.SEEK_CUR), total=size)
    finally:
        environment.progress = None
        bar.finish()


def _decoded(decoder: IncrementalDecoder, data: bytes, *, final: bool) -> Iterator[str]:
    try:
        yield decoder.decode(data, final)
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode()
        byte = error.object[error.start]
        yield good
        raise Undecodable(byte) from None


def run_stdin(script: Script) -> bool:
    """The script on standard input."""
    script.environment.source = "<stdin>"
    reader = Reader(runs=True)
    with closing(_shown(script.environment, 0, reader)) as chunks:
        return script.run(reader, chunks)


def run_path(script: Script, path: str) -> bool:
    """The script in a file; `-` is standard input.  Raises OSError."""
    environment = script.environment
    if path == "-":
        return run_stdin(script)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    before, environment.source = environment.source, path
    reader = Reader(runs=True)
    try:
        with closing(_shown(environment, descriptor, reader)) as chunks:
            return script.run(reader, chunks)
    except IsADirectoryError as error:
        raise IsADirectoryError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)
        environment.source = before


def _run_command(script: Script, command: str) -> None:
    """What a command of the operating system prints, as a script.  Raises CommandError if that fails."""
    import subprocess

    environment = script.environment
    before, environment.source = environment.source, f"|{command}"
    reader = Reader(runs=True)
    process = subprocess.Popen(
        command, shell=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        with process.stdout, closing(chunks_of(process.stdout.fileno(), reader)) as chunks:
            goes_on = script.run(reader, chunks)
        if not goes_on:
            process.terminate()
    except BaseException:
        process.terminate()
        raise
    finally:
        environment.source = before
        status = process.wait()
    if status and goes_on:
        raise CommandError(f"the command ended with status {status}")


def run_text(script: Script, text: str, source: str) -> bool:
    """Statements from the command line."""
    script.environment.source = source
    script.compacts = False
    return script.run(Reader(), iter((text,)))


def run_words(script: Script, words: list[str]) -> bool:
    """One raw or dot command from argv: its words are taken as they are."""
    environment = script.environment
    environment.source = ""
    unit = Unit("words", " ".join(words), 1, 1)
    done = script.finish(done=environment.guarded(unit, lambda: environment.run_words(words)))
    if isinstance(environment.last_error, UsageError):
        script.status = MISUSED
    environment.target.flush()
    return done


@contextmanager
def signals(environment: Environment) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP stop what runs, which undoes itself; with nothing running they end the
    script at once.  Raises KeyboardInterrupt and SystemExit."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not environment.busy or environment.interrupted:
            raise KeyboardInterrupt
        environment.interrupt()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with terminable(environment):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def terminable(environment: Environment) -> Iterator[None]:
    """SIGTERM and SIGHUP stop what runs, as SIGINT does, and then the environment asks to be left."""

    def terminate(number: int, _frame: FrameType | None) -> None:
        if not environment.busy or environment.terminated:
            raise SystemExit(128 + number)
        environment.terminated = 128 + number
        environment.interrupt()

    before = [
        (number, signal.signal(number, terminate))
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup
    ]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


_depth = 0


class ScriptFailed(CommandError):
    """`.read`: the file's error has been reported."""

    is_told = True


def run_file(environment: Environment, path: str) -> None:
    """`.read`: a file, or what a |COMMAND prints, inside a script or at the prompt.  Raises ScriptFailed if it stopped at an error."""
    global _depth
    if _depth >= READ_DEPTH_MAX:
        raise CommandError(f".read is nested more than {READ_DEPTH_MAX} deep: {path}")
    script = Script(environment)
    script.compacts = False  # whoever reads this file looks after that
    was_interactive, environment.interactive = environment.interactive, False
    confirm, environment.confirm = environment.confirm, None
    changes_shown, environment.changes_shown = environment.changes_shown, False
    started = time.perf_counter()
    _depth += 1
    try:
        with environment.waiting():  # for a pipe's writer; each unit is busy by itself
            if path.startswith("|"):
                _run_command(script, path[1:].strip())
            else:
                run_path(script, path)
    finally:
        _depth -= 1
        environment.interactive = was_interactive
        environment.confirm = confirm
        environment.changes_shown = changes_shown
    if script.status == INTERRUPTED:
        raise KeyboardInterrupt
    if script.status != OK and environment.leave_status is None:
        how = "went on after errors" if environment.keep_going else "stopped at an error"
        raise ScriptFailed(f"{path}: {how}")
    if was_interactive and environment.timer == "typed":
        from kvsh.repl.status import duration

        environment.say(f"done in {duration(time.perf_counter() - started)}")
