"""`Published`: what the readers of one handle see.

A state of the log is published once it is as durable as the store promises.  A snapshot is such a state,
frozen; it takes no lock but the mutex, for a moment.  What other processes have published stands in the
header's live words: a handle that does not hold the file's lock takes it in when somebody asks for a
snapshot, and follows a compaction, which puts another file in this one's place.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Literal, NoReturn

from engine.errors import ClosedError, StorageError, refused
from engine.file import FileSystem
from engine.format import SUPERSEDED, WORD_TAKEN_BACK, WORD_VISIBLE
from engine.journal import Journal
from engine.log import Log, State
from engine.opening import open_log
from engine.reader_turns import READER_TURNS
from engine.snapshot import Snapshot

if TYPE_CHECKING:
    from engine.grouping import Waiting

Durability = Literal["full", "normal", "off"]

_log = Journal("kvsh.engine")


class Published:
    """The part of a `PageStore` that readers use."""

    def __init__(
        self,
        path: str,
        log: Log,
        files: FileSystem,
        *,
        place: str,
        durability: Durability,
        readonly: bool,
        timeout: float,
    ) -> None:
        self.path = path  # as the caller names it
        self.place = place  # the same, whatever becomes of the working directory
        self.durability = durability
        self.readonly = readonly
        self.timeout = timeout
        self.files = files
        self.current_log = log
        self._renew_writing()
        # Who writes without the mutex has it, and the handle is usable.
        self.writes = threading.RLock()
        self.waiting: deque[Waiting] = deque()  # see `grouping`
        self.syncs = threading.RLock()  # who syncs has it, and gets it before the mutex
        self.mutex = threading.RLock()
        self._words = log.words
        self._visible: State | None = log.state()  # None: what the log holds, or nothing if dead
        self._visible_end = self._end_at_open = log.end
        self._visible_found = log.words[WORD_VISIBLE]  # what is larger than the log, is old
        self._synced_lsn = log.lsn
        self._locked = False  # this handle has the file's lock
        self._name_synced = False
        self._name_seen = 0  # when the path was last seen to name the file
        self._live: dict[int, int] = {}  # id of a live snapshot -> its lsn
        self._dead: str | None = None
        self._syncing = False  # a sync is under way, which may write yet
        self._pid = os.getpid()

    def _renew_writing(self) -> None:
        self._writing = threading.Lock()  # a writer of this process has it
        # Each item of it is an attempt, and whether the lock was got.  A loop has that in one step with the attempt,
        # where Ctrl-C could keep the outcome of a call from who makes it.
        self._attempts = map(self._writing.acquire, repeat(False))

    def check_usable(self) -> None:
        """EngineError if the handle is closed or dead."""
        if self._dead is not None:
            if self._dead == "closed":
                raise ClosedError(f"{self.path}: the database handle is closed")
            raise StorageError(self._dead)

    def is_newest(self, state: object) -> bool:
        """Whether `newest()` would give the very same.  Costs no system call."""
        return state is self._visible and self._words[0] <= self._visible_end

    def newest_number(self, epoch: object) -> int:
        """The number of the newest commit that may be seen, if this handle has it, in a log of this epoch; else 0.  For who
        reads no page of it: nothing is kept for that."""
        if (
            self._words[0] > self._visible_end
            or self._dead is not None
            or self.current_log.epoch is not epoch
        ):
            return 0
        return self._synced_lsn

    def await_turn(self) -> None:
        """For a thread that finds its state not to be the newest, and holds no lock: see `reader_turns`."""
        READER_TURNS.wait()

    def newest(self) -> State:
        """The newest commit that may be seen, whoever wrote it; who reads pages takes a `snapshot`."""
        state = self._visible
        if state is not None and self._dead is None and self.is_newest(state):
            return state  # without the mutex: a writer holds it while it asks for the file's lock
        with self.mutex:
            if self._dead is not None:
                self.check_usable()
            log = self.current_log
            visible = log.words[WORD_VISIBLE]
            if visible > self._visible_end and not self._locked and log.stop_lsn is None:
                self._take_in_others()
            state = self._visible
            if state is None:
                state = self._visible = self.current_log.state()
            return state

    def snapshot(self) -> Snapshot:
        """The pages and the redo of the newest commit that may be seen."""
        with self.mutex:
            state = self.newest()
            snapshot = Snapshot(self, self.current_log, state)
            self._live[id(snapshot)] = state.lsn
            return snapshot

    def forget(self, snapshot: Snapshot) -> None:
        """A snapshot was closed: what was kept for it alone may go."""
        # No lock: one dict operation, and the collector may call this anywhere.
        self._live.pop(id(snapshot), None)

    def _take_in_others(self) -> None:
        """What other processes published since; under the mutex, without the file's lock."""
        log = self.current_log
        visible = log.words[WORD_VISIBLE]
        if visible >= SUPERSEDED:
            if not self.has_its_name(log):
                self.follow_rename()
            return
        if visible > log.end:  # else Ctrl-C came when this was almost done
            log.scan(visible, oldest_lsn=self._oldest_lsn())
            if log.end < visible:
                self._doubt(log, visible)
        self._set_visible(log.state())

    def _doubt(self, log: Log, visible: int) -> None:
        """Not all that another process has published can be read."""
        if visible == self._visible_found or visible != log.words[WORD_VISIBLE]:
            return  # a word that was left by a power cut; or it has just taken commits back
        if log.words[WORD_TAKEN_BACK] != log.taken_back:
            self.die_of_taken_back()
        log.corrupt(f"another process has published {visible} bytes")

    def die_of_taken_back(self) -> NoReturn:
        """Commits that this handle has seen are no more.  Without full durability they are seen unsynced."""
        self._dead = (
            f"{self.path}: commits that this handle had seen were taken back by another process"
            " after a failed sync: open the database again"
        )
        self._visible = None
        raise StorageError(self._dead)

    def has_its_name(self, log: Log) -> bool:
        """Whether the path leads to the log's file.  StorageError if it leads nowhere."""
        try:
            there = self.files.identity(self.place)
        except OSError as error:
            raise refused(self.path, error) from error
        if there is None:
            raise StorageError(f"{self.path}: the file was removed while it was open")
        return there == log.identity

    def _oldest_lsn(self) -> int:
        newest = self.current_log.lsn if self._visible is None else self._visible.lsn
        return min(list(self._live.values()), default=newest)

    def _set_visible(self, state: State) -> None:
        self._visible = state
        self._visible_end = state.end
        self._synced_lsn = state.lsn

    def publish(self, state: State) -> None:
        """Let readers see `state`; under the mutex."""
        log = self.current_log
        self._set_visible(state)
        log.words[WORD_VISIBLE] = state.end
        # A redo commit adds nothing to sink; what snapshots have kept from it goes with the next pages commit.
        if state.lsn == state.base_lsn and log.table.overlays:
            log.table.sink(self._oldest_lsn())

    def follow_rename(self) -> None:
        """A compaction put another file in this one's place: go on with that one; under the mutex."""
        log = open_log(
            self.path,
            self.files,
            place=self.place,
            readonly=self.readonly,
            durable=self.durability != "off",
            timeout=self.timeout,
        )
        _log.info("%s: follows a compaction to its new file", self.path)
        self.switch_to(log)

    def switch_to(self, log: Log) -> None:
        """Go on with another log, whose file stands at our path now; under the mutex.

        The old one stays open for the snapshots that read it; it goes with the last of them."""
        state = log.state()
        # No calls from here on: Ctrl-C comes before all of this or after it.
        self.current_log = log
        self._words = log.words
        self._visible_found = log.words[WORD_VISIBLE]
        self._name_synced = False
        self._name_seen = 0
        self._visible, self._visible_end, self._synced_lsn = state, state.end, state.lsn
