"""What is typed at the prompt, and what is pasted there.

Of many changes that follow each other a person is told in one line (`kvsh.told`), so nothing has been promised of one
of them before all are done. They run as those of a script do: what has one form goes together, with one sync where
each by itself would wait for its own; 2,000 pasted INSERTs took 8 seconds on a disk that takes 3.5 ms for a sync.
`.undo` takes back in one step what was told in one line.

What the guard would ask about (`kvsh.guard`) runs by itself.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from kvsh.reader import Reader, Unit
from kvsh.told import ONE_BY_ONE_MAX, is_change

if TYPE_CHECKING:
    from kvsh.environment import Environment

ALONE_MAX = 8
"""So many statements run by themselves before it is tried again whether they go together."""


def execute(environment: Environment, text: str) -> None:
    """Run every unit of the text; errors are reported."""
    reader = Reader(runs=True)
    reader.feed(text)
    units = list(reader.units(final=True))
    is_long = len(units) > ONE_BY_ONE_MAX and environment.timer != "on"
    at = 0
    while at < len(units):
        end = _end_of_changes(environment, units, at) if is_long else at + 1
        follows = is_long and end < len(units) and is_change(units[end])
        if end - at < 2:
            environment.told.has_more = follows and is_change(units[at])
            goes_on = _alone(environment, units[at])
        else:
            goes_on = _Run(environment, units[at:end]).run(follows=follows)
        if not goes_on:
            return
        at = end


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


class _Run:
    """Changes that follow each other."""

    def __init__(self, environment: Environment, units: Sequence[Unit]) -> None:
        self._environment = environment
        self._units = units
        texts = [f"{unit.text}\n" for unit in units]
        self._text = "".join(texts)
        self._starts = [0, *accumulate(map(len, texts))]
        self._done = 0
        self._alone = 0  # that run by themselves before others are tried together
        if environment.echo or environment.parameters:
            self._alone = len(units)

    def run(self, *, follows: bool) -> bool:
        """Run them.  `follows`: a change that is told with them.  False if what comes then is not to run."""
        environment = self._environment
        with environment.recording(self._name):
            while self._done < len(self._units):
                environment.told.has_more = follows or self._done + 1 < len(self._units)
                unit = self._units[self._done]
                if not _alone(environment, unit):
                    return False
                self._done += 1
                if self._alone:
                    self._alone -= 1
                    continue
                environment.session.runs.learn(unit.text)
                while not self._alone and self._done < len(self._units):
                    if not self._go_together(follows=follows):
                        return False
        return True

    def _go_together(self, *, follows: bool) -> bool:
        environment = self._environment
        waiting = self._units[self._done]
        at = Unit("sql", waiting.text, waiting.line, waiting.column)  # or what fails
        done = environment.guarded(at, lambda: self._together(at, follows=follows))
        return _goes_on(environment, done=done)

    def _name(self) -> str:
        """What `.undo` calls them."""
        first = self._units[0].text
        return first if self._done < 2 else f"{self._done:,} statements from {first}"

    def _together(self, at: Unit, *, follows: bool) -> None:
        """Run as many as go together, if any do.  Raises the error of one, which is then `at`."""
        environment = self._environment
        session = environment.session
        changed, started = session.total_changes, time.perf_counter()
        if environment.interactive:
            environment.elapsed.begin()
        try:
            ran = session.runs.execute(
                self._text, self._starts[self._done], joins=environment.joins_commits()
            )
        finally:
            environment.elapsed.end()
        if ran is None:
            self._alone = ALONE_MAX
            return
        place = ran.end if ran.error is None else ran.start
        count = bisect_left(self._starts, place) - self._done
        self._done += count
        environment.last_seconds = time.perf_counter() - started
        environment.last_statement = self._units[self._done - 1].text
        if count and environment.changes_shown:
            environment.told.has_more = follows or self._done < len(self._units)
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
