"""What statements and commands run in: the open database, the settings of the output, and where it goes.

The terminal, scripts and argv share it, so that all three do the same.  Data goes to `target`, messages,
timings and errors to `err`.  `execute` runs the units of a text and reports errors; `attempt` one unit;
`run` lets errors out.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO

from kvsh.arguments import Unfulfilled, UsageError, parse, split
from kvsh.elapsed import Elapsed
from kvsh.opened import OpenDatabase, Options
from kvsh.output import DRAWN, HEADERS_BY_DEFAULT, Batches, Row, Style, write_rows
from kvsh.output.target import PagerLeft, Target
from kvsh.reader import Unit
from kvsh.stopping import Stoppable
from kvsh.told import Told, texts_told

if TYPE_CHECKING:
    from kvsh.arguments import Arguments
    from kvsh.chart import Canvas
    from kvsh.commands.command import Command
    from kvsh.config import Config
    from kvsh.guard import Danger
    from kvsh.transfer.progress import Progress
    from kvsh.undo import UndoLog
    from sql import Parameters, Session, SqlNameError, SqlValue


Timer = Literal["off", "typed", "on"]
"""Whose time is told: nobody's; that of what is typed, and of a file that is read as a whole; each statement's."""

_LIST_ITERATOR: type = type(iter([]))  # of a result that is there already

_QUERY = re.compile(r"\s*(?:SELECT|VALUES|(WITH))\b", re.IGNORECASE)
"""What a query begins with; behind WITH there may be a change."""

_READERS = frozenset(
    (".check", ".crash", ".dump", ".export", ".log", ".page", ".repair", ".stats", ".tree")
)
"""Commands that do not ask now and then whether they are to stop, and can be stopped anywhere: they change
no database that is there."""

_LISTING = _READERS - {".export", ".repair"} | {
    ".config",
    ".help",
    ".indexes",
    ".schema",
    ".tables",
    ".where",
}
"""Commands whose output goes to the pager where it is longer than the screen."""


class Leave(Exception):
    """`.quit`: the status to exit with."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Environment(OpenDatabase, Stoppable):
    """One shell, script or one-shot command."""

    def __init__(self, path: str | None, options: Options, *, out: BinaryIO, err: TextIO) -> None:
        self.err = err
        self.target = Target(out)
        self.elapsed = Elapsed(err)
        self.target.before_write = self.elapsed.end
        self.tick = self.elapsed.tick
        # how results look
        self.mode = "list"
        self.headers: bool | None = None  # None: as the mode has it
        self.null = ""
        self.separator: str | None = None
        self.row_separator: str | None = None
        self.mode_before = ""  # what `\x` goes back to
        self.widths: list[int] = []
        self.wrap = 0
        self.quotes = False
        self.table_name = "t"
        self.timer: Timer = "off"
        self.echo = False
        self.changes_shown = False
        self.keep_going = False  # a script goes on after an error
        self.explain = ""  # what EXPLAIN to put before queries
        self.plans_first = False  # the plan of a query, and then its result
        self.parameters: dict[str, SqlValue] = {}
        # the terminal
        self.interactive = False
        self.screen: int | None = None
        self.unicode = True
        self.paint: Callable[[str, str], str] | None = None
        self.config: Config | None = None
        self.confirm: Callable[[str], bool] | None = None
        self.undo_log: UndoLog | None = None
        self._is_recorded = False  # what runs is part of one step for `.undo`
        self.progress: Progress | None = None  # a bar that is being drawn on `err`
        self.next_input = ""
        self.last_statement = ""  # what `.edit` begins with
        # what happens
        self.source = "<stdin>"
        self.unfulfilled = False  # the latest unit was no error, but the status is 1
        self.last_error: Exception | None = None
        self.leave_status: int | None = None
        self.last_seconds: float | None = None
        self._waited_seconds = 0.0  # for an answer of the user, while the statement ran
        self._outcome: str | None = ""  # what the latest statement did, as "3 rows"; None: said
        self._rows_changed: int | None = None  # by the latest statement, if that is to be told
        self.told = Told(self.say)
        self._texts: list[SqlNameError] = []
        """Names in double quotes of the statement that no column has."""
        self._once = False
        Stoppable.__init__(self)
        OpenDatabase.__init__(self, path, options)

    def close(self, *, ends: bool = False) -> None:
        """Flush the output and close the database.  `ends`: the process does, too."""
        try:
            self.target.close()
        finally:
            self.close_database(ends=ends)

    def close_database(self, *, ends: bool = False) -> None:
        """Let the undo log go, too."""
        if self.undo_log is not None:
            self.undo_log.forget()
        super().close_database(ends=ends)

    @property
    def session(self) -> Session:
        """The SQL session; made at its first use."""
        if self._session is None:
            made = super().session
            made.cancellation.progress = self.stops
            made.on_text = self._texts.append
        session = self._session
        assert session is not None
        return session

    def end_transaction(self, *, keep: bool) -> None:
        """Commit or roll back, undisturbed by Ctrl-C."""
        with self.working():
            if keep:
                self.commit()
            else:
                self.rollback()

    # -- output ----------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Data, as text."""
        self.target.write(text)

    def write_shown(self, text: str) -> None:
        """What came out of a database, and may hold what would tell a terminal to do things."""
        if self.target.is_terminal:
            from kvsh.output.values import shown

            text = shown(text)
        self.target.write(text)

    def say(self, text: str) -> None:
        """A message for people."""
        self.target.flush()
        self.elapsed.end()
        if self.progress is not None:
            self.progress.finish()
        self.err.write(text + "\n")
        self.err.flush()

    def style(self, kinds: int = 31) -> Style:
        """How results of such kinds of value look now."""
        headers = self.mode in HEADERS_BY_DEFAULT if self.headers is None else self.headers
        return Style(
            null=self.null,
            headers=headers,
            separator=self.separator,
            row_separator=self.row_separator,
            table=self.table_name,
            widths=self.widths,
            wrap=self.wrap,
            quotes=self.quotes,
            kinds=kinds,
        )

    def show(
        self,
        names: list[str],
        batches: Iterator[list[Row]],
        *,
        mode: str | None = None,
        kinds: int = 31,
    ) -> None:
        """A result, in the mode in force; through the pager if it is long and there is one."""
        if batches.__class__ is not _LIST_ITERATOR:
            from kvsh.transfer.collector import undisturbed

            batches = undisturbed(batches)
        target = self.target
        direct = target.is_terminal
        if direct and self.interactive:
            from kvsh.terminal import begun

            batches = begun(self, batches)
        mode = mode or self.mode
        with self.pages():
            write_rows(
                self.write_shown if direct and mode not in DRAWN else target.write,
                mode,
                names,
                batches,
                self.style(kinds),
                screen=self.screen if direct else None,
                unicode=self.unicode,
                paint=self.paint if direct and self.paint else None,
            )
        target.flush_if_eager()

    @contextmanager
    def pages(self) -> Iterator[None]:
        """What the block writes goes through the pager if it is longer than the screen."""
        self.target.start_pages()
        try:
            yield
        except PagerLeft:
            pass  # the reader has seen enough
        finally:
            self.only_reads = self.tearable = False  # Ctrl-C is the pager's from here on
            self.target.end_pages()

    def canvas(self) -> Canvas:
        """Where charts are drawn."""
        from kvsh.chart import Canvas, plain

        paint = self.paint if self.paint and self.target.is_terminal else plain
        return Canvas(self.screen or 80, 16, self.unicode, paint)

    def redirect_once(self, name: str) -> None:
        """The next statement's output goes to the file or command."""
        self.target.redirect(name)
        self._once = True

    @property
    def redirects_once(self) -> bool:
        """Whether the next statement's output goes elsewhere than that of those behind it."""
        return self._once

    # -- running ---------------------------------------------------------------------------------

    def execute(self, text: str) -> None:
        """Run every unit of a text typed at the prompt; errors are reported."""
        from kvsh.pasted import execute

        execute(self, text)

    def attempt(self, unit: Unit) -> bool:
        """Run a unit; report its error.  False if there was one."""
        return self.guarded(unit, lambda: self.run(unit))

    def guarded(self, unit: Unit, action: Callable[[], None]) -> bool:
        """Do what a unit asks for; report its error.  False if there was one."""
        self.unfulfilled = False
        self.forget_interrupt()
        self.last_error = None
        outer, self.busy = self.busy, True
        try:
            action()
        except Unfulfilled as why:
            self.unfulfilled = True
            if self.interactive and str(why):
                self.say(str(why))
        except Leave as leave:
            self.leave_status = leave.status
        except BrokenPipeError:
            raise
        except KeyboardInterrupt as error:
            self.interrupted = True
            self.report(error)
            return False
        except Exception as error:
            self.last_error = error
            self.told.end()
            from kvsh.report import report

            report(self, error, unit)
            return False
        finally:
            self.busy = outer
        return True

    def run(self, unit: Unit) -> None:
        """Run a unit; errors come out."""
        if self.echo:
            self.write(unit.text.rstrip() + "\n")
        once, self._once = self._once, False
        if self._session is not None and not self._session.in_transaction:
            self._changes_before = self._session.total_changes
        started = time.perf_counter()
        self._waited_seconds = self.target.pager_seconds = 0.0
        self._outcome, self._rows_changed = "", None
        if self.interactive and unit.kind != "dot":  # those that take long draw bars
            self.elapsed.begin()
        try:
            if unit.kind == "sql":
                if unit.text.startswith("/*"):  # one that is closed belongs to what is before
                    raise UsageError("unclosed comment")
                self.last_statement = unit.text
                if unit.is_expanded:
                    with self.in_mode("line"):
                        self._sql(unit.text)
                else:
                    self._sql(unit.text)
            elif unit.kind == "puts":
                with self.recording(unit.text):
                    self._puts(unit.text)
            else:
                self._command(unit.text)
            if self._texts and self.interactive:
                for note in texts_told(self._texts, unit.text):
                    self.say(note)
        finally:
            self._texts.clear()
            self.elapsed.end()
            waited = self._waited_seconds + self.target.pager_seconds
            self.last_seconds = time.perf_counter() - started - waited
            self.target.flush_if_eager()
            if once:
                self.target.restore()
        outcome, self._outcome = self._outcome, ""  # what runs inside of a command is told once
        is_timed = self.timer == "on" or (self.timer == "typed" and self.interactive)
        if self._rows_changed is not None:
            seconds = self.last_seconds if is_timed and unit.kind == "sql" else None
            self.told.changed(self._rows_changed, seconds)
            self._rows_changed = None
            return
        if is_timed and unit.kind == "sql" and outcome is not None:
            from kvsh.repl.status import duration

            taken = duration(self.last_seconds)
            if outcome or self.interactive:
                outcome = f"{outcome or 'done'} in {taken}"
            else:
                outcome = f"Run time: {taken}"
        if outcome:
            self.say(outcome)

    @contextmanager
    def in_mode(self, mode: str) -> Iterator[None]:
        """What the block shows is in another mode."""
        before, self.mode = self.mode, mode
        try:
            yield
        finally:
            self.mode = before

    def _sql(self, text: str) -> None:
        if (self.undo_log is None or self._is_recorded) and self.confirm is None:
            self.query(text)
            return
        danger = None
        if self.confirm is not None and not self.options.yes:
            from kvsh.guard import danger_of

            danger = danger_of(text)
        with self.recording(text):
            if danger is not None:
                self._guarded(text, danger)
            else:
                self.query(text)

    @contextmanager
    def recording(self, text: str | Callable[[], str]) -> Iterator[None]:
        """What the block changes can be taken back by `.undo`, in one step, which it calls `text`."""
        log = self.undo_log
        if log is None or self._is_recorded:
            yield
            return
        log.before(self.session)
        self._is_recorded = True
        try:
            yield
        finally:
            self._is_recorded = False
            if log is self.undo_log:  # else another database was opened
                log.after(self.session, text if isinstance(text, str) else text())

    def _guarded(self, text: str, danger: Danger) -> None:
        """Do it, say what it did, and keep it only if the user wants that."""
        from kvsh.guard import provisional, question, rows_of

        session = self.session
        schema, changed = session.schema, session.total_changes
        with session.reading() as transaction:
            total = rows_of(danger, schema, transaction)
        with provisional(session) as provision:
            session.execute(text, self.bound()).close()
            touched = session.changes
            is_harmless = danger.verb in ("delete", "update") and not touched
            if is_harmless or self._confirmed(
                question(danger, schema, touched=touched, total=total)
            ):
                provision.keep()
                if self.changes_shown and danger.verb in ("delete", "update"):
                    self._rows_changed = touched
            else:
                self._changes_before += session.total_changes - changed
                self.say("undone: nothing was changed")
                self._outcome = None

    def allows(self, question: str) -> bool:
        """Whether the user says yes, or is not to be asked."""
        return self.confirm is None or self.options.yes or self._confirmed(question)

    def _confirmed(self, text: str) -> bool:
        """What the user says to a question; the time that takes is not the statement's."""
        assert self.confirm is not None
        self.told.end()
        self.elapsed.end()
        asked = time.perf_counter()
        try:
            return self.confirm(text)
        finally:
            self._waited_seconds += time.perf_counter() - asked

    def query(self, text: str) -> None:
        """Execute one SQL statement and show what it gives."""
        begins = _QUERY.match(text)
        self.tearable = begins is not None and not begins[1]
        try:
            if self.plans_first and begins is not None and not self.explain:
                self._query(text, " ")
            self._query(text, self.explain if begins is not None else "")
        finally:
            self.tearable = False

    def _query(self, text: str, explain: str) -> None:
        if explain:
            before = f"EXPLAIN {explain} "
            with located(-len(before)):
                result = self.session.execute(before + text, self.bound())
            text = before
        else:
            result = self.session.execute(text, self.bound())
        try:
            if result.columns is None:
                if self.changes_shown and result.rowcount >= 0:
                    self._rows_changed = result.rowcount
                return
            names = [column.name for column in result.columns]
            if len(names) == 1 and text.lstrip()[:7].lower() == "explain":
                self._show_plan([row[0] for batch in result.batches() for row in batch])
                return
            kinds = 0
            for column in result.columns:
                kinds |= column.kinds
            batches = result.batches()
            if self.interactive and self.changes_shown:
                batches = self._counted(batches)
            self.show(names, batches, kinds=kinds)
        finally:
            result.close()

    def _counted(self, batches: Batches) -> Iterator[list[Row]]:
        """The batches; when the last one was taken, their rows are what the statement gave."""
        rows = 0
        for batch in batches:
            rows += len(batch)
            yield batch
        from kvsh.draw.pen import counted

        self._outcome = counted(rows, "row")

    def _show_plan(self, lines: list[str]) -> None:
        """The lines of EXPLAIN, fitted to a terminal."""
        if self.target.is_terminal:
            from kvsh.output.tables import plan_on_screen

            lines = plan_on_screen(lines, self.screen, unicode=self.unicode)
        with self.pages():
            self.write("".join(f"{line}\n" for line in lines))

    def bound(self) -> Parameters:
        """What `.param` has set, for a statement."""
        if not self.parameters:
            return ()
        from kvsh.commands.settings import Bound

        return Bound(self.parameters)

    def _puts(self, text: str) -> None:
        """A run of plain `put K V` lines, in one transaction."""
        from btree import RAW_TREE_ID
        from kvsh.reader import put_pairs

        keys, values = put_pairs(text)
        with self.writing() as transaction:
            transaction.tree(RAW_TREE_ID).load(keys, values)

    def _command(self, line: str) -> None:
        from kvsh.commands import find

        name, _, rest = line.strip().partition(" ")
        name = name.rstrip(";")
        command = find(name)
        if not command.ends_in_text and rest.rstrip().endswith(";"):
            rest = rest.rstrip()[:-1]
        if command.is_verbatim:
            from kvsh.arguments import Arguments

            rest = rest.strip()
            command.call(self, Arguments([], {}, rest, line.rindex(rest)))
            return
        try:
            words = split(rest, may_end_in=command.may_end_in, has_names=command.has_names)
            arguments = parse(
                words,
                command.options,
                rest.strip(),
                len(name) + 1,
                one_dash=command.kind == "dot",
            )
        except UsageError as error:
            raise UsageError(error.message, len(name) + 1 + error.column) from None
        command.at_home(arguments)
        if command.kind == "raw" and self.undo_log is not None:
            with self.recording(line):
                command.run(self, arguments)
        else:
            self._run_command(command, arguments)

    def _run_command(self, command: Command, arguments: Arguments) -> None:
        """Run it, so that Ctrl-C stops what only reads, and long listings go to the pager."""
        self.only_reads = command.name in _READERS
        try:
            if command.name in _LISTING:
                with self.pages():
                    command.run(self, arguments)
            else:
                command.run(self, arguments)
        finally:
            self.only_reads = False

    def run_words(self, words: list[str]) -> None:
        """Run a command whose words came one by one; errors come out."""
        from kvsh.arguments import Arguments, given
        from kvsh.commands import find

        command = find(words[0].strip())
        if command.is_verbatim:
            command.call(self, Arguments([], {}, " ".join(words[1:])))
        else:
            arguments = parse(given(words[1:]), command.options, " ".join(words[1:]))
            self._run_command(command, arguments)

    def report(self, error: BaseException) -> None:
        """Print an error that came from outside a statement."""
        from kvsh.report import message_of

        self.told.end()
        message = message_of(error)
        self.say(message if isinstance(error, KeyboardInterrupt) else f"error: {message}")


@contextmanager
def located(shift: int) -> Iterator[None]:
    """The place in a statement that an error names, as a place in the text around it."""
    from sql import SqlError

    try:
        yield
    except SqlError as error:
        if error.offset is not None:
            error.offset += shift
        raise


def describe_path(path: str | None) -> str:
    """What the prompt calls the database."""
    return "memory" if path is None else os.path.basename(path)


__all__ = ["Environment", "Leave", "Options", "describe_path"]
