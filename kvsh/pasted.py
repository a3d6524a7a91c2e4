"""What is typed at the prompt, and what is pasted there.

Of many changes that follow each other a person is told in one line (`kvsh.told`), so nothing has been promised of one
of them before all are done. They run as those of a script do: what has one form goes together, with one sync where
each by itself would wait for its own; 2,000 pasted INSERTs took 8 seconds on a disk that takes 3.5 ms for a sync.
`.undo` takes back in one step what was told in one line.  Lines of `put`, `get` and `delete` go together, too, and are
one step (`kvsh.key_lines`).

What the guard would ask about (`kvsh.guard`) runs by itself.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from kvsh import key_lines
from kvsh.reader import KEY_LINES, Reader, Unit
from kvsh.together import Tries
from kvsh.told import ONE_BY_ONE_MAX, is_change

if TYPE_CHECKING:
    from kvsh.environment import Environment

KEY_LINES_MAX = 10_000
"""So many lines of keys are one transaction: Ctrl-C comes between two of them."""


def execute(environment: Environment, text: str) -> None:
    """Run every unit of the text; errors are reported."""
    reader = Reader()
    reader.feed(text)
    units = list(reader.units(final=True))
    is_long = len(units) > ONE_BY_ONE_MAX and environment.timer != "on"
    at = 0
    while at < len(units):
        end = _end_of_key_lines(units, at)
        if end - at > 1 and not environment.echo:
            if not _KeyLines(environment, units[at:end]).run():
                return
            at = end
            continue
        end = _end_of_changes(environment, units, at) if is_long else at + 1
        follows = is_long and end < len(units) and is_change(units[end])
        if end - at < 2:
            environment.told.has_more = follows and is_change(units[at])
            goes_on = _alone(environment, units[at])
        else:
            goes_on = _Changes(environment, units[at:end], follows=follows).run()
        if not goes_on:
            return
        at = end


def _end_of_key_lines(units: Sequence[Unit], at: int) -> int:
    """The place behind the lines of keys from `at` on."""
    end = at
    while end < len(units) and units[end].kind == "raw" and units[end].text.startswith(KEY_LINES):
        end += 1
    return end


def _end_of_changes(environment: Environment, units: Sequence[Unit], at: int) -> int:
    """The place behind the changes from `at` on that nobody asks about; behind that unit if it is none."""
    asks = environment.confirm is not None and not environment.options.yes
    end = at
    while end < len(units) and is_change(units[end]) and not (asks and _is_asked(units[end])):
        end += 1
    return max(end, at + 1)


def _is_asked(unit: Unit) -> bool:
    from kvsh.guard import danger_of

    return unit.text[:6].lower() in ("update", "delete") and danger_of(unit.text) is not None


def _alone(environment: Environment, unit: Unit) -> bool:
    """Run one.  False if what follows is not to run."""
    done = environment.attempt(unit)
    return _goes_on(environment, done=done)


def _goes_on(environment: Environment, *, done: bool) -> bool:
    if environment.terminated:
        environment.leave_status = environment.terminated
        if environment.in_transaction():
            environment.rollback()
    if environment.stops():  # Ctrl-C came when the unit had nothing left to stop
        environment.report(KeyboardInterrupt())
        return False
    return done and environment.leave_status is None


class _Run(ABC):
    """Units that follow each other, and how many of them are done."""

    def __init__(self, environment: Environment, units: Sequence[Unit]) -> None:
        self._environment = environment
        self._units = units
        texts = [f"{unit.text}\n" for unit in units]
        self._text = "".join(texts)
        self._starts = [0, *accumulate(map(len, texts))]
        self._done = 0
        self._tries = Tries()

    def _go_together(self) -> bool:
        """Run as many as go together.  False if what follows is not to run."""
        environment = self._environment
        waiting = self._units[self._done]
        at = Unit(waiting.kind, waiting.text, waiting.line, waiting.column)  # or what fails
        started = time.perf_counter()

        def run() -> None:
            if environment.interactive:
                environment.elapsed.begin()
            try:
                self._together(at, started)
            finally:
                environment.elapsed.end()

        done = environment.guarded(at, run)
        return _goes_on(environment, done=done)

    @abstractmethod
    def _together(self, at: Unit, started: float) -> None:
        """Run as many as go together, if any do.  Raises the error of one, which is then `at`."""

    def _advance(self, place: int, started: float) -> int:
        """Note that what stands before a place of the text is done, and since when.  How many units that are."""
        count = bisect_left(self._starts, place) - self._done
        self._done += count
        self._environment.last_seconds = time.perf_counter() - started
        return count

    def _name(self) -> str:
        """What `.undo` calls them."""
        first = self._units[0].text
        return first if self._done < 2 else f"{self._done:,} statements from {first}"


class _Changes(_Run):
    """INSERT, UPDATE and DELETE."""

    def __init__(self, environment: Environment, units: Sequence[Unit], *, follows: bool) -> None:
        """`follows`: a change that is told with them."""
        super().__init__(environment, units)
        self._follows = follows
        if environment.echo or environment.parameters:
            self._tries.failed(len(units))

    def run(self) -> bool:
        """Run them.  False if what comes then is not to run."""
        environment = self._environment
        with environment.recording(self._name):
            while self._done < len(self._units):
                environment.told.has_more = self._follows or self._done + 1 < len(self._units)
                unit = self._units[self._done]
                if not _alone(environment, unit):
                    return False
                self._done += 1
                if not self._tries.due():
                    continue
                environment.session.runs.learn(unit.text)
                while not self._tries.alone and self._done < len(self._units):
                    if not self._go_together():
                        return False
        return True

    def _together(self, at: Unit, started: float) -> None:
        environment = self._environment
        session = environment.session
        changed = session.total_changes
        ran = session.runs.execute(
            self._text, self._starts[self._done], joins=environment.joins_commits()
        )
        if ran is None:
            self._tries.failed()
            return
        environment.elapsed.end()
        count = self._advance(ran.end if ran.error is None else ran.start, started)
        environment.last_statement = self._units[self._done - 1].text
        if count and environment.changes_shown:
            environment.told.has_more = self._follows or self._done < len(self._units)
            is_timed = environment.timer != "off" and environment.interactive
            environment.told.changed(
                session.total_changes - changed,
                environment.last_seconds if is_timed else None,
                statements=count,
            )
        if environment.interrupted:
            raise KeyboardInterrupt
        if ran.error is not None:  # not to be tried again: it may have ended the transaction
            failed = self._units[self._done]
            at.text, at.line, at.column = failed.text, failed.line, failed.column
            raise ran.error


class _KeyLines(_Run):
    """`put`, `get` and `delete`."""

    def run(self) -> bool:
        """Run them.  False if what comes then is not to run."""
        environment = self._environment
        if environment.redirects_once:
            self._tries.failed(1)
        with environment.recording(self._name):
            while self._done < len(self._units):
                if self._tries.due():
                    if not self._go_together():
                        return False
                elif not _alone(environment, self._units[self._done]):
                    return False
                else:
                    self._done += 1
        return True

    def _together(self, at: Unit, started: float) -> None:
        environment = self._environment
        start = self._starts[self._done]
        last = min(self._done + KEY_LINES_MAX, len(self._units))
        end, alone = key_lines.execute(environment, self._text[: self._starts[last]], start)
        environment.target.flush_if_eager()
        self._advance(end, started)
        self._tries.failed(alone if alone or end > start else 1)  # Ctrl-C is heard behind the run
