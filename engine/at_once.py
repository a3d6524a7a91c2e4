"""A redo commit that waits for no sync and finds nothing in its way: one function from the lock to its release.

Such a commit is a few microseconds of work, of which the system takes less than one, so that each layer it would go
through shows.  Here are the steps of `Locking._lock_unchanged_file` and `Grouping.append_redo` that are left where
nothing is to be waited for, in their order; whatever is out of the ordinary, if it is only that the path was last looked
at a while ago, or that the file has to grow, is left to those.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from engine.errors import refused
from engine.format import (
    WORD_HOLDER,
    WORD_SYNCED,
    WORD_TAKEN_BACK,
    WORD_VISIBLE,
    WORD_WAITING,
    encode_redo,
)
from engine.stored_redo import LONG_BYTES

if TYPE_CHECKING:
    from engine.grouping import Grouping


def append_unsynced(
    store: Grouping, payload: bytes, after: tuple[int, object] | None = None
) -> int:
    """Append a redo commit that readers see at once, and that no sync is owed; its lsn.

    0, and nothing done, if something is in its way, or the newest commit is not that of a number and epoch."""
    try:
        with store.mutex:
            log = store.current_log
            words, start = log.words, log.end
            if (
                store._locked
                or store._writing.locked()  # who gets it from now on waits for the mutex
                or store._dead is not None
                or store.readonly
                or (after is not None and (after[0] != log.lsn or after[1] is not log.epoch))
                or words[WORD_WAITING]
            ):
                return 0
            holds = False
            try:
                if not log.file.try_lock():
                    return 0
                lsn, time_ms = log.lsn + 1, time_ns() // 1_000_000
                record, crc = encode_redo(
                    log.salt, lsn, log.chain_crc, log.synced, start, log.next_page, time_ms, payload
                )
                end = start + len(record)
                if (
                    words[WORD_HOLDER]
                    or words[WORD_VISIBLE] != start
                    or start != store._visible_end
                    or words[WORD_TAKEN_BACK] != log.taken_back
                    or words[WORD_SYNCED] != log.synced
                    or not 0 <= time_ms - store._name_seen < store.name_seen_ms
                    or end > log.ready
                    or len(payload) >= LONG_BYTES
                ):
                    return 0
                holds = True
                words[WORD_HOLDER] = store._pid
                try:
                    log.file.write(record, start)
                except BaseException:
                    # Of Ctrl-C, too: whoever opens the file now would take the record in.
                    store.take_back(log)
                    raise
                # Up to the next call Ctrl-C comes before all of this or after it.
                log.redo_bytes += end - start
                log.chain_crc = crc
                log.end = end
                log.lsn = lsn
                log.redo += ((lsn, payload),)
                store._locked_last = store._changed = True
                store.own_commits += 1
                store._visible = None  # frozen when somebody asks for it: see `Published.newest`
                store._visible_end = end
                store._synced_lsn = lsn
                words[WORD_VISIBLE] = end
            finally:
                if holds and store._dead is None:
                    words[WORD_HOLDER] = 0
                try:
                    log.file.unlock()
                except BaseException:  # Ctrl-C before the call
                    log.file.unlock()
                    raise
            return lsn
    except OSError as error:
        raise refused(store.path, error) from error
