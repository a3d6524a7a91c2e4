"""Opening and creating a database file, and making sure of its log's end before it is built on.

A writable handle recovers at once when nobody holds the lock; a read-only one writes nothing: it scans
under a shared lock, or, while a writer is at work, goes by the offset which that writer publishes.
"""

from __future__ import annotations

import errno
import os
import time

from engine.errors import TRY_AGAIN, NotADatabaseError, StorageError, told
from engine.file import File, FileSystem
from engine.format import (
    LOG_START,
    MAGIC,
    SUPERSEDED,
    WORD_COMPACTOR,
    WORD_HOLDER,
    WORD_SYNCED,
    WORD_VISIBLE,
    Slot,
    encode_header,
    new_database_id,
    padded,
)
from engine.journal import Journal
from engine.log import Log

_COPY_BYTES = 4 << 20
_SECTORS_BYTES = 4096
_ATTEMPTS = 20
_DOUBT_SECONDS = 0.25
_NOT_TO_BE_WRITTEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_log = Journal("kvsh.engine")


def open_log(
    path: str,
    files: FileSystem,
    *,
    place: str,
    readonly: bool,
    stop_lsn: int | None = None,
    durable: bool = True,
    timeout: float = 5.0,
) -> Log:
    """The log of the file at `place`, made if it is not there, with all that may be seen taken in.

    `path`: the same file's name in messages.
    `durable`: recovery syncs what it accepts.  NotADatabaseError, CorruptionError, StorageError."""
    for _ in range(_ATTEMPTS):  # a compaction may put another file in the place meanwhile
        try:
            file = _open_file(place, files, readonly=readonly, timeout=timeout)
        except OSError as error:
            what = error.strerror or str(error)
            if not readonly and error.errno in _NOT_TO_BE_WRITTEN and _is_readable(place, files):
                what += "; it can be read: open it read-only (--readonly)"
            raise StorageError(f"{path}: unable to open database file: {what}") from error
        try:
            if file.size() < LOG_START:
                raise NotADatabaseError(f"{path}: file is not a database: {_too_short(file)}")
            log = Log(file, path, stop_lsn=stop_lsn)
            log.words = file.words()
            if not _take_in(log, place, files, readonly=readonly, durable=durable, timeout=timeout):
                file.close()
                continue
            if log.words[WORD_COMPACTOR] and not readonly and stop_lsn is None:
                from engine.temporary import remove_dead_compactors

                remove_dead_compactors(log, place, files)
            return log
        except OSError as error:
            file.close()
            what = error.strerror or str(error)
            raise told(StorageError(f"{path}: disk I/O error ({what}); {TRY_AGAIN}")) from error
        except BaseException:
            file.close()
            raise
    raise StorageError(f"{path}: unable to open database file: it keeps changing")


def _is_readable(path: str, files: FileSystem) -> bool:
    try:
        files.open(path, readonly=True).close()
    except (OSError, NotADatabaseError):
        return False
    return True


def _too_short(file: File) -> str:
    """What is to be said of a file that ends before its header does."""
    begin = file.read(len(MAGIC), 0)
    if not begin:
        return "it is empty"
    if begin == MAGIC:
        return (
            f"it was one, and has been cut off after {file.size()} bytes, within its header;"
            " nothing else is left of it: restore a backup"
        )
    plural = "" if file.size() == 1 else "s"
    return f"it is only {file.size()} byte{plural} long, and was left as it is"


def _open_file(path: str, files: FileSystem, *, readonly: bool, timeout: float) -> File:
    deadline = time.monotonic() + timeout
    for _ in range(_ATTEMPTS):  # another process may create, or replace an empty file, meanwhile
        try:
            file: File = files.open(path, readonly=readonly)
        except FileNotFoundError:
            if readonly:
                raise
            _create(path, files, replace=False)
            continue
        if file.size() == 0 and not readonly:
            try:
                _replace_empty(path, file, files, deadline)
            finally:
                file.close()
            continue
        return file
    raise StorageError(f"{path}: unable to open database file: it keeps changing")


def _replace_empty(path: str, file: File, files: FileSystem, deadline: float) -> None:
    """Put a database in the place of an empty file, unless somebody else has done so meanwhile.

    Under the empty file's lock: of two that find it empty the second would otherwise rename its new
    database over the first one's, which may hold commits by then."""
    while not file.try_lock():
        if time.monotonic() > deadline:
            raise StorageError(
                f"{path}: unable to open database file: it is empty, and another process has it"
                " locked; try again"
            )
        time.sleep(0.001)
    if file.size() == 0 and files.identity(path) == file.identity():
        _create(path, files, replace=True)


def _create(path: str, files: FileSystem, *, replace: bool) -> None:
    """Fact 3: a header whole or none at all."""
    header = encode_header(Slot(new_database_id(), 1))
    try:
        files.create(path, header, replace=replace)
    except FileExistsError:
        _log.debug("%s: created by another process meanwhile", path)


def _take_in(
    log: Log, place: str, files: FileSystem, *, readonly: bool, durable: bool, timeout: float
) -> bool:
    """See whatever is whole in the log, or, while a writer is at work, what it has published.  False if the path
    leads to another file by now: then this one's words, by which others find that out, are left as they are."""
    shared = readonly or log.stop_lsn is not None
    began = time.monotonic()
    while not log.file.try_lock(shared=shared):
        visible = log.words[WORD_VISIBLE]
        # The words are hints: after a power cut they may be old.  A live holder vouches for them.
        holder = log.words[WORD_HOLDER]
        if is_alive(holder) and log.slot.synced <= visible < SUPERSEDED:
            log.scan(visible)
            if log.end == visible or log.stopped:
                return True
            # Unless it has taken commits back meanwhile, what it has published is whole; or, after a power
            # cut, it never held this lock, and a reader that recovers does, for a moment.
            stays = log.words[WORD_VISIBLE] == visible and log.words[WORD_HOLDER] == holder
            if stays and time.monotonic() - began > _DOUBT_SECONDS:
                log.corrupt(f"process {holder}, which is writing, has published {visible} bytes")
        if time.monotonic() - began > max(timeout, _DOUBT_SECONDS):
            raise StorageError(f"{log.path}: another process is recovering it; try again")
        time.sleep(0.001)
    try:
        if files.identity(place) not in (None, log.identity):
            return False
        log.scan()
        log.check_tail()
        if not shared:
            if needs_securing(log):
                secure_tail(log, durable=durable)
            log.words[WORD_SYNCED] = log.synced
            log.words[WORD_VISIBLE] = log.end
            log.words[WORD_HOLDER] = 0
        return True
    finally:
        log.file.unlock()


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    if not 0 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def needs_securing(log: Log) -> bool:
    """Whether the log's end may be torn, or stand in the page cache only; lock held."""
    # Whoever wrote the word had synced so much; only damage can make it larger than the log.
    log.synced = max(log.synced, min(log.words[WORD_SYNCED], log.end))
    return log.end > log.synced or _has_garbage(log)


def _has_garbage(log: Log) -> bool:
    """Whether anything but allocated, unwritten space follows the log."""
    behind = log.file.read(_SECTORS_BYTES, log.end)
    return behind.count(0) != len(behind)


def secure_tail(log: Log, *, durable: bool) -> None:
    """Cut what follows the newest commit, and put what recovery accepted on the disk; lock held.

    Fact 7: a torn tail is cut before anything is appended, or later commits hide behind garbage.
    Fact 9: what can be read may stand in the page cache only, after a sync that failed; so it is
    written again and synced, from where the log is known to be on the disk."""
    file = log.file
    size = file.size()
    if size > log.end:
        if _has_garbage(log):
            _log.info("%s: recovery cut a torn tail at offset %d", log.path, log.end)
        file.truncate(log.end)
    elif size < log.end == padded(size):
        # The newest record is whole, and of the zeros that pad it some are missing.
        file.write(bytes(log.end - size), size)
    position = log.synced
    if position < log.end:
        _log.info("%s: recovery accepted commits up to %d", log.path, log.lsn)
    while position < log.end:
        data = file.read(min(_COPY_BYTES, log.end - position), position)
        if not data:
            raise StorageError(f"{log.path}: the file was cut short while it was being recovered")
        file.write(data, position)
        position += len(data)
    if durable:
        file.sync()
        log.synced = log.end
