"""Compaction behind the prompt: when dead bytes outweigh live ones, a thread rewrites the file.

Readers and writers go on meanwhile.  Leaving the shell stops it; what it has written by then is thrown away, and
the database is as it was.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from btree import StoreError

if TYPE_CHECKING:
    from btree import Store

_log = logging.getLogger("kvsh.shell")


class _Stopped(Exception):
    """The shell is being left."""


class Upkeep:
    """One shell's background compaction."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def consider(self, store: Store) -> None:
        """Start a compaction if one is due and none runs."""
        due = getattr(store, "compaction_due", None)
        if due is None or not due() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(
            target=self._run, args=(store,), name="kvsh-compaction", daemon=True
        )
        self._thread.start()

    def _run(self, store: Store) -> None:
        try:
            store.compact(progress=self._progress)
        except _Stopped:
            _log.info("compaction stopped")
        except StoreError as error:
            _log.warning("compaction given up: %s", error)

    def _progress(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped

    def wait(self) -> None:
        """Until a running compaction has ended."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Stop a running compaction and wait for its end."""
        self._stop.set()
        self.wait()
