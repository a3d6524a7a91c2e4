"""Looking into a file: figures, and proof that every live page and every commit can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import WHAT_TO_DO, CorruptionError
from engine.format import LOG_START, location_offset
from engine.log import Log

if TYPE_CHECKING:
    from engine.snapshot import Snapshot


def check(seen: Snapshot) -> list[str]:
    """Every problem as one sentence; [] when every record is whole.  Reads the whole file."""
    log = seen.log
    problems: list[str] = []
    for page, location in seen.pages():
        try:
            seen.read(page, location)
        except CorruptionError as error:
            problems.append(str(error))
    fresh = Log(log.file, log.path, from_start=True)
    fresh.scan(seen.state.end)
    problems += [
        f"{log.path}: the page table at offset {offset} is damaged; nothing is lost by it:"
        " .compact leaves it behind"
        for offset in fresh.damaged_tables
    ]
    if fresh.end < seen.state.end or fresh.lsn != seen.lsn:
        problems += _too_old(seen, fresh)
        what = (
            WHAT_TO_DO
            if problems
            else "the newest commit needs none of it: .compact leaves it behind"
        )
        problems.append(
            f"{log.path}: the log is damaged at offset {fresh.end}, after commit {fresh.lsn}, and goes"
            f" on to commit {seen.lsn} at offset {seen.state.end}; {what}"
        )
        return problems
    rebuilt = dict(fresh.table.items(fresh.table.overlays))
    for page, location in seen.pages():
        if rebuilt.pop(page, 0) != location:
            problems.append(f"{log.path}: the page table has page {page} in the wrong place")
    problems += [f"{log.path}: the page table lacks page {page}" for page in rebuilt]
    return problems


def stats(seen: Snapshot) -> dict[str, int]:
    """Bytes in all, live and dead; redo tail; pages; newest commit."""
    log = seen.log
    used = log.end - LOG_START
    return {
        "file_bytes": log.file.size(),
        "log_bytes": used,
        "live_bytes": log.live_bytes,
        "dead_bytes": max(used - log.live_bytes - log.redo_bytes, 0),
        "redo_bytes": log.redo_bytes,
        "redo_commits": len(log.redo),
        "pages": sum(1 for _ in seen.pages()),
        "commit": seen.lsn,
        "next_page": log.next_page,
    }


def _too_old(seen: Snapshot, fresh: Log) -> list[str]:
    """Pages behind the commits that are whole whose records are from before: a page's place says nothing of its commit."""
    problems: list[str] = []
    for page, location in seen.pages():
        offset = location_offset(location)
        if offset < fresh.end:
            continue
        record = fresh.record_at(offset, seen.state.end)
        if record is not None and record.page == page and record.lsn <= fresh.lsn:
            problems.append(
                f"{fresh.path}: page {page} at offset {offset} is damaged: its record is that of commit"
                f" {record.lsn}, and stands behind commit {fresh.lsn}; {WHAT_TO_DO}"
            )
    return problems
