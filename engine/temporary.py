"""Temporary files beside a database: what a compaction, a backup or a repair writes before the rename, and a
new database where files without a name aren't to be had.

Each has a name of its own (`file.temporary_name`), `NAME.PID-TOKEN.kvsh-PURPOSE`: two that are at work at once, in two processes
or in one, must never write to one file, nor rename each other's half-written one.  A killed process leaves
its file behind; the next such work in the same directory removes it, and if it was a compaction or a renewal, whoever opens the
database next, or takes its lock.  It is left over if the process
is gone and nobody holds its lock (the process may live where its number means nothing to us: in another
container, on another machine).
"""

from __future__ import annotations

import re

from engine.errors import EngineError
from engine.file import FileSystem
from engine.format import WORD_COMPACTOR
from engine.journal import Journal
from engine.log import Log
from engine.opening import is_alive

_log = Journal("kvsh.engine")
_NAME = re.compile(r"\.(\d+)-[0-9a-f]{8}\.kvsh-(compact|backup|salvage|new)$")


def remove_leftovers(path: str, files: FileSystem) -> None:
    """Remove what killed processes have left in the directory of `path`; what can't be, stays."""
    try:
        names = files.names_beside(path)
    except OSError as error:
        _log.debug("%s: its directory can't be listed: %s", path, error)
        return
    for name in names:
        match = _NAME.search(name)
        if match is not None and not is_alive(int(match[1])):
            _remove_if_unlocked(name, files)


def remove_dead_compactors(log: Log, path: str, files: FileSystem) -> None:
    """Remove what is left over, if the process that was writing a file to take the log's place has died."""
    if not is_alive(log.words[WORD_COMPACTOR]):
        remove_leftovers(path, files)
        log.words[WORD_COMPACTOR] = 0


def _remove_if_unlocked(name: str, files: FileSystem) -> None:
    try:
        file = files.open(name, readonly=True)
        try:
            if file.try_lock():
                files.unlink(name)
                _log.info("%s: removed, its process has died", name)
        finally:
            file.close()
    except (OSError, EngineError) as error:
        _log.warning("%s: is left over and can't be removed: %s", name, error)
