"""Snapshots of the page table, the header slot that points to the newest, and the log's tidy end.

All of it is a writer's work.  A table snapshot is only a hint that bounds the scan at open: the log
alone suffices, and a disk too full for a snapshot costs nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.format import KIND_TABLE, SLOT_BYTES, TABLE_HEAD, Slot, encode_record, encode_slot
from engine.journal import Journal

if TYPE_CHECKING:
    from engine.log import Log
    from engine.store import PageStore

TABLE_EVERY_BYTES = 16 << 20
"""A snapshot is due when the log has grown by this (or 32 bytes a page): it bounds the scan at open."""

TABLE_SMALL_BYTES = 16 << 10
"""A snapshot of so many bytes (2,048 pages) may be taken at every close."""

_log = Journal("kvsh.engine")


def table_due(store: PageStore) -> bool:
    """Whether the log has outgrown the newest snapshot, and one can be taken now."""
    log = store.current_log
    return (
        log.end - log.table_end > TABLE_EVERY_BYTES
        and log.end - log.table_end > 32 * len(log.table.base)
        and not log.redo
        and not store.has_unsynced()
        and store.durability != "off"
    )


def write_table(store: PageStore, *, ahead: bool = True) -> None:
    """Append a snapshot and let a header slot point to it, if the disk has room for it.

    `ahead`: allocate space for what comes after it."""
    try:
        _append_table(store, ahead=ahead)
    except OSError as error:
        _log.warning("%s: no page table snapshot: %s", store.path, error)
        store.take_back(store.current_log)
        store.check_usable()


def _payload(log: Log) -> bytes:
    """The payload of a TABLE record for the log's newest commit; there must be no redo tail."""
    entries = log.table.flattened(log.table.overlays)
    return TABLE_HEAD.pack(log.chain_crc, 0, log.next_page) + entries.tobytes()


def _append_table(store: PageStore, *, ahead: bool) -> None:
    """Fact 8: what the slot refers to is synced before the slot is written."""
    log = store.current_log
    record, _ = encode_record(log.salt, KIND_TABLE, log.lsn, 0, _payload(log))
    if ahead:
        store.reserve(log.end + len(record))
    log.file.write(record, log.end)
    store.sync_alone(log)
    with store.mutex:
        log.table_hint = (log.end, log.lsn)
        log.end += len(record)
        log.table_end = log.end
        store.note_synced(log, log.end)
        store.publish(log.state())
    _write_slot(log)


def _write_slot(log: Log) -> None:
    """Overwrite the older header slot; the other one stays whole (fact 5)."""
    old = log.slot
    offset, lsn = log.table_hint
    slot = Slot(old.database_id, old.sequence + 1, offset, lsn, log.synced)
    log.file.write(encode_slot(slot), (slot.sequence % 2) * SLOT_BYTES)
    log.slots = (slot, old)


def trim(store: PageStore) -> None:
    """Leave no space behind the log, and a header that knows its end, all of it synced."""
    store.settle()  # the newest commits may not be written yet
    log = store.current_log
    log.file.truncate(log.end)
    log.forget_space()
    before = log.table_end
    if table_wanted_at_close(log) and not log.redo and not store.has_unsynced():
        write_table(store, ahead=False)
    if log.table_end == before:
        store.sync_alone(log)
        store.note_synced(log, log.end)
        _write_slot(log)
    store.sync_alone(log)


def table_wanted_at_close(log: Log) -> bool:
    """Whether a snapshot would spare the next open much, or costs little.

    A small table is written at every close that has pages to tell of: whoever opens the file then
    reads nothing before it, and so isn't stopped by damage to bytes that no commit needs any more."""
    if log.base_lsn == log.table_hint[1]:
        return False
    grown = log.end - log.table_end
    bytes_ = 8 * len(log.table.base)
    return grown > TABLE_EVERY_BYTES // 16 or bytes_ <= max(TABLE_SMALL_BYTES, grown // 8)
