"""What statements and commands run in: the open database, the settings of the output, and where it goes.

The terminal, scripts and argv share it, so that all three do the same.  Data goes to `out`, messages,
timings and questions to `err`.  `execute` runs the units of a text and reports errors; `run` runs one unit and
lets errors out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from kvsh.arguments import Unfulfilled, UsageError, parse, split
from kvsh.reader import Reader, Unit

if TYPE_CHECKING:
    from btree import Store, Transaction
    from kvsh.chart import Canvas
    from kvsh.config import Config
    from kvsh.undo import UndoLog
    from sql import Session


class Leave(Exception):
    """`.quit`: the status to exit with."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Options:
    """How to open databases, and what the command line decided."""

    def __init__(self, **given: Any) -> None:
        self.readonly: bool = given.get("readonly", False)
        self.at: int | None = given.get("at")
        self.durability: str = given.get("durability", "full")
        self.timeout: float = given.get("timeout", 5.0)
        self.cache_bytes: int = given.get("cache_bytes", 256 << 20)
        self.safe: bool = given.get("safe", False)
        self.yes: bool = given.get("yes", False)


class Environment:
    """One shell, script or one-shot command."""

    def __init__(self, path: str | None, options: Options, *, out: Any, err: TextIO) -> None:
        from kvsh.output.target import Target

        self.options = options
        self.err = err
        self.target: Target = Target(out)
        self.mode = "list"
        self.headers: bool | None = None  # None: as the mode has it
        self.null = ""
        self.separator: str | None = None
        self.widths: list[int] = []
        self.table_name = "t"
        self.timer = False
        self.echo = False
        self.changes_shown = False
        self.explain = ""  # what EXPLAIN to put before queries
        self.statement_timeout: float | None = None
        self.parameters: dict[str, Any] = {}
        self.interactive = False
        self.screen: int | None = None
        self.unicode = True
        self.paint: Any = None
        self.config: Config | None = None
        self.confirm: Callable[[str], bool] | None = None
        self.undo_log: UndoLog | None = None
        self.on_open: list[Callable[[], None]] = []
        self.leave_status: int | None = None
        self.next_input = ""
        self.last_seconds: float | None = None
        self.interrupted = False
        self.unfulfilled = False  # the latest unit was no error, but the status is 1
        self.source = "<stdin>"
        self._once = False
        self.path: str | None = None
        self._session: Session | None = None
        self.store: Store = self._opened(path)

    # -- the database ----------------------------------------------------------------------------

    def _opened(self, path: str | None) -> Store:
        import btree

        options = self.options
        self.path = path
        if path is None:
            return btree.open_memory()
        return btree.open_store(
            path,
            durability=options.durability,  # type: ignore[arg-type]
            readonly=options.readonly,
            at=options.at,
            timeout=options.timeout,
            cache_bytes=options.cache_bytes,
        )

    @property
    def session(self) -> Session:
        """The SQL session; made at its first use."""
        if self._session is None:
            from sql import Session

            self._session = Session(self.store)
            if self.statement_timeout is not None:
                self._set_timeout(self._session)
        return self._session

    def set_timeout(self, seconds: float | None) -> None:
        """Cancel statements that run longer; None never."""
        self.statement_timeout = seconds

    def _set_timeout(self, session: Session) -> None:
        seconds = self.statement_timeout
        session.cancellation.deadline = None if seconds is None else time.monotonic() + seconds

    def open(self, path: str | None, *, readonly: bool) -> None:
        """Go on with another database."""
        if self.in_transaction():
            raise UsageError("a transaction is open: commit or roll it back first")
        before = self.options.readonly, self.options.at
        self.options.readonly, self.options.at = readonly, None
        old_path = self.path
        try:
            store = self._opened(path)
        except BaseException:
            self.path = old_path
            self.options.readonly, self.options.at = before
            raise
        self._let_go()
        self.store = store
        for notify in self.on_open:
            notify()

    def _let_go(self) -> None:
        if self.undo_log is not None:
            self.undo_log.forget()
        if self._session is not None:
            self._session.close()
            self._session = None
        self.store.close()

    def close(self) -> None:
        """Flush the output and close the database."""
        try:
            self.target.close()
        finally:
            self._let_go()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A transaction to read raw keys in: the open one, or one of its own."""
        if self._session is not None:
            with self._session.reading() as transaction:
                yield transaction
            return
        transaction = self.store.begin()
        try:
            yield transaction
        finally:
            transaction.rollback()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction to write raw keys in: the open one, or one that commits at the end."""
        if self._session is not None:
            with self._session.writing() as transaction:
                yield transaction
            return
        transaction = self.store.begin(write=True)
        try:
            yield transaction
        except BaseException:
            transaction.rollback()
            raise
        transaction.commit()

    def in_transaction(self) -> bool:
        return self._session is not None and self._session.in_transaction

    def changes(self) -> int:
        """Rows changed in this session."""
        return 0 if self._session is None else self._session.total_changes

    def commit(self) -> None:
        self.session.commit()

    def rollback(self) -> None:
        self.session.rollback()

    def interrupt(self) -> None:
        """Ctrl-C: ask what runs to stop."""
        self.interrupted = True
        if self._session is not None:
            self._session.interrupt()

    # -- output ----------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Data, as text."""
        self.target.write(text)

    def say(self, text: str) -> None:
        """A message for people."""
        self.target.flush()
        self.err.write(text + "\n")
        self.err.flush()

    def style(self) -> Any:
        """How results look now."""
        from kvsh.output import HEADERS_BY_DEFAULT, Style

        headers = self.mode in HEADERS_BY_DEFAULT if self.headers is None else self.headers
        return Style(
            null=self.null,
            headers=headers,
            separator=self.separator,
            table=self.table_name,
            widths=self.widths,
        )

    def show(self, names: list[str], batches: Any, *, mode: str | None = None) -> None:
        """A result, in the mode in force."""
        from kvsh.output import write_rows

        direct = self.target.is_terminal
        write_rows(
            self.target.write,
            mode or self.mode,
            names,
            batches,
            self.style(),
            screen=self.screen if direct else None,
            unicode=self.unicode,
            paint=self.paint if direct and self.paint else None,
        )
        self.target.flush_if_eager()

    def canvas(self) -> Canvas:
        """Where charts are drawn."""
        from kvsh.chart import Canvas, plain

        paint = self.paint if self.paint and self.target.is_terminal else plain
        return Canvas(self.screen or 80, 16, self.unicode, paint)

    def redirect_once(self, target: Any) -> None:
        """The next statement's output goes to `target`."""
        self.target.redirect(target)
        self._once = True

    # -- running ---------------------------------------------------------------------------------

    def execute(self, text: str) -> None:
        """Run every unit of a text typed at the prompt; errors are reported."""
        reader = Reader()
        reader.feed(text)
        for unit in reader.units(final=True):
            if not self.attempt(unit):
                return
            if self.leave_status is not None:
                return

    def attempt(self, unit: Unit) -> bool:
        """Run a unit; report its error.  False if there was one."""
        from kvsh.report import report

        self.unfulfilled = False
        try:
            self.run(unit)
        except Unfulfilled as why:
            self.unfulfilled = True
            if self.interactive:
                self.say(str(why))
        except Leave as leave:
            self.leave_status = leave.status
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            self.interrupted = True
            self.say("interrupted")
            return False
        except Exception as error:
            if not report(self, error, unit):
                raise
            return False
        return True

    def run(self, unit: Unit) -> None:
        """Run a unit; errors come out."""
        self.interrupted = False
        if self.echo:
            self.write(unit.text.rstrip() + "\n")
        once, self._once = self._once, False
        started = time.perf_counter()
        try:
            if unit.kind == "sql":
                self._sql(unit.text)
            elif unit.kind == "puts":
                self._puts(unit.text)
            else:
                self._command(unit.text)
        finally:
            self.last_seconds = time.perf_counter() - started
            self.target.flush_if_eager()
            if once:
                self.target.restore()
        if self.timer and unit.kind == "sql":
            from kvsh.repl.status import duration

            self.say(f"Run time: {duration(self.last_seconds)}")

    def _sql(self, text: str) -> None:
        guarded = None
        if self.confirm is not None and not self.options.yes:
            from kvsh.guard import danger_of

            guarded = danger_of(text)
        if self.undo_log is not None:
            self.undo_log.before(self.session)
        try:
            if guarded is not None:
                self._guarded(text, guarded)
            else:
                self.query(text)
        finally:
            if self.undo_log is not None:
                self.undo_log.after(self.session, text)

    def _guarded(self, text: str, danger: Any) -> None:
        """Do it, say what it did, and keep it only if the user wants that."""
        from kvsh.guard import provisional, question, rows_of

        session = self.session
        schema = session.schema
        with session.reading() as transaction:
            total = rows_of(danger, schema, transaction)
        assert self.confirm is not None
        with provisional(session) as provision:
            session.execute(text).close()
            touched = session.changes
            if (danger.verb in ("delete", "update") and not touched) or self.confirm(
                question(danger, schema, touched=touched, total=total)
            ):
                provision.keep()
            else:
                self.say("undone: nothing was changed")

    def query(self, text: str) -> None:
        """Execute one SQL statement and show what it gives."""
        session = self.session
        self._set_timeout(session)
        if self.explain:
            head = text.lstrip()[:8].lower()
            if head.startswith(("select", "with", "values")):
                text = f"EXPLAIN {self.explain} {text}"
        parameters: Any = _Parameters(self.parameters) if self.parameters else ()
        result = session.execute(text, parameters)
        try:
            if result.columns is None:
                if self.changes_shown and result.rowcount >= 0:
                    self.say(
                        f"{result.rowcount:,} row{'' if result.rowcount == 1 else 's'} changed"
                    )
                return
            names = [column.name for column in result.columns]
            if len(names) == 1 and text.lstrip()[:7].lower() == "explain":
                for batch in result.batches():
                    self.write("".join(f"{row[0]}\n" for row in batch))
                return
            self.show(names, result.batches())
        finally:
            result.close()

    def _puts(self, text: str) -> None:
        """A run of plain `put K V` lines."""
        from btree import KeySpace

        lines = text.encode().split(b"\n")
        if self.in_transaction():
            with self.writing() as transaction:
                put = KeySpace(transaction).put
                for line in lines:
                    if line:
                        _, key, value = line.split(b" ")
                        put(key, value)
            return
        for line in lines:
            if line:
                _, key, value = line.split(b" ")
                with self.writing() as transaction:
                    KeySpace(transaction).put(key, value)

    def _command(self, line: str) -> None:
        from kvsh.commands import find

        name, _, rest = line.strip().partition(" ")
        name = name.rstrip(";")
        command = find(name)
        if command.kind == "raw" and rest.rstrip().endswith(";"):
            rest = rest.rstrip()[:-1]
        if command.is_verbatim:
            from kvsh.arguments import Arguments

            command.call(self, Arguments([], {}, rest.strip()))
            return
        try:
            words = split(rest)
        except UsageError as error:
            raise UsageError(error.message, len(name) + 1 + error.column) from None
        command.run(self, parse(words, command.options, rest.strip()))

    def report(self, error: BaseException) -> None:
        """Print an error that came from outside a statement."""
        from kvsh.report import message_of

        self.say(f"error: {message_of(error)}")


class _Parameters(dict[str, Any]):
    """Values of `.param`; what was not set is NULL."""

    def __missing__(self, key: str) -> None:
        return None


def describe_path(path: str | None) -> str:
    """What the prompt calls the database."""
    return "memory" if path is None else os.path.basename(path)
