"""Everything the engine does to the disk goes through two small protocols, so that tests can lose,
tear, reorder and fail it.

Facts about the ground that the operating system's implementation takes care of (docs/durability.md): writes may be
short and calls interrupted, so they loop; fdatasync covers growth of the file; where a write may carry its own sync,
that covers these bytes alone; F_FULLFSYNC is what reaches the disk on macOS, of a new file and of a directory, too;
names need a sync of their directory; flock belongs to the open file, so two handles in one process exclude each other
and closing one never drops another's lock (POSIX record locks would).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import sys
from collections.abc import MutableSequence
from typing import Protocol

from engine.errors import FULL_ERRORS, NotADatabaseError
from engine.format import LOG_START, WORDS, WORDS_OFFSET
from engine.journal import Journal

_DSYNC: int = getattr(os, "RWF_DSYNC", 0)  # 0: the system has no such writes
_TRY_SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB
_TRY_EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB
_log = Journal("kvsh.engine")


class File(Protocol):
    """An open database file."""

    def read(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes; fewer only at the end of the file."""

    def read_into(self, buffer: bytearray, offset: int) -> int:
        """`read` as many bytes as the buffer has, into it: how many there were."""

    def write(self, data: bytes, offset: int) -> None:
        """All of `data`, or OSError."""

    def sync(self) -> None:
        """Data and the metadata needed to read it are on the disk when it returns."""

    def writes_synced(self) -> bool:
        """Whether `write_synced` is one call, and quicker than a write and a sync."""

    def write_synced(self, data: bytes, offset: int) -> None:
        """`write`, and these bytes are on the disk when it returns, with the metadata needed to read them;
        nothing that was written by other calls need be.  An error may be the sync's."""

    def truncate(self, size: int) -> None: ...

    def allocate(self, size: int) -> None:
        """Grow the file to `size` bytes of allocated space that reads as zeros."""

    def size(self) -> int: ...

    def identity(self) -> tuple[int, int]:
        """(device, inode)."""

    def try_lock(self, *, shared: bool = False) -> bool:
        """Take the file's lock, exclusive or shared, if nobody's lock is in the way."""

    def unlock(self) -> None: ...

    def words(self) -> MutableSequence[int]:
        """The header's live words, shared with every process that has the file open."""

    def close(self) -> None: ...


class FileSystem(Protocol):
    """Names."""

    def resolve(self, path: str) -> str:
        """Where `path` leads: absolute, symbolic links followed."""

    def open(self, path: str, *, readonly: bool) -> File:
        """FileNotFoundError if there is none; NotADatabaseError if it is no regular file."""

    def create(self, path: str, content: bytes, *, replace: bool, like: str | None = None) -> None:
        """Make a file with `content`, all or nothing, name and content synced.

        With `replace` it takes the place of an existing one, else FileExistsError.  The owner and
        the permissions are those of the file `like`, if there is one."""

    def rename(self, source: str, target: str) -> None:
        """Atomically, and synced with the directory before it returns."""

    def unlink(self, path: str) -> None: ...

    def names_beside(self, path: str) -> list[str]:
        """All names in the directory of `path`, each with the directory's."""

    def sync_directory(self, path: str) -> None:
        """Make the name `path` durable."""

    def identity(self, path: str) -> tuple[int, int] | None:
        """(device, inode) of what the name leads to, None if nothing."""


_SYNCING_FILE_SYSTEMS = (b"ext3", b"ext4", b"xfs")
"""Where RWF_DSYNC is known to do what fdatasync does, for the range.  With FUSE and its like a server is told
of the flag, and may ignore it."""

_NAME_BYTES_MAX = 255
"""How long a name in a directory may be, nearly everywhere."""

_NO_SUCH_CALL = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)
"""What kernels without the flag say to it, and sandboxes without the call: nothing was written."""

_NO_FULL_SYNC = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS)
"""What file systems say that know no F_FULLFSYNC, those of a network say: fsync is what there is."""

_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS)
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems say that can't make files without a name, and hard links; what else has the same number is said
again by what is tried then."""


class _Opened:
    """What `os.open` opens: closed at the end of a `with`, or when the last reference to it goes.

    Ctrl-C may come behind any call.  So what comes of the two that matter is kept in one step with them: a loop lets nothing in
    between a call of its iterator's and its variable.  A descriptor that nobody knows would stay open, with the file's
    lock, and one that is closed twice may be another file's by then."""

    _fd = -1  # none, or closed

    def __init__(self, path: str, flags: int, mode: int = 0o777) -> None:
        for self._fd in map(os.open, (path,), (flags | os.O_CLOEXEC,), (mode,)):
            pass

    def close(self) -> None:
        """Closing twice is harmless."""
        if self._fd < 0:
            return
        closing = (self._fd,)
        try:
            for _, self._fd in zip(map(os.close, closing), (-1,), strict=True):
                pass
        except OSError:
            self._fd = -1  # it is closed nevertheless
            raise

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class OsFile(_Opened):
    """A file of the operating system."""

    _writes_synced: bool | None = None  # not looked yet
    _map: mmap.mmap | None = None
    _view: memoryview | None = None

    def __init__(self, path: str, *, readonly: bool) -> None:
        """NotADatabaseError if that is no regular file."""
        self._readonly = readonly
        # O_NONBLOCK: opening a FIFO that nobody writes to must not hang before it is refused.
        super().__init__(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_NONBLOCK)
        mode = os.fstat(self._fd).st_mode
        if not stat.S_ISREG(mode):
            raise NotADatabaseError(f"{path}: is {_what(mode)}, not a database file")
        os.set_blocking(self._fd, True)

    def read(self, length: int, offset: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length or not data:
            return data
        parts = [data]  # a read may be short before the end of the file, too
        got = len(data)
        while got < length and data:
            data = os.pread(self._fd, length - got, offset + got)
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def read_into(self, buffer: bytearray, offset: int) -> int:
        got = more = os.preadv(self._fd, (buffer,), offset)
        while more and got < len(buffer):
            more = os.preadv(self._fd, (memoryview(buffer)[got:],), offset + got)
            got += more
        return got

    def write(self, data: bytes, offset: int) -> None:
        written = os.pwrite(self._fd, data, offset)
        while written < len(data):  # fact 10: writes can be short
            more = os.pwrite(self._fd, memoryview(data)[written:], offset + written)
            if more == 0:
                raise OSError(errno.EIO, "write made no progress")
            written += more

    def sync(self) -> None:
        if sys.platform == "darwin":
            _sync_all(self._fd)
        else:
            os.fdatasync(self._fd)

    def writes_synced(self) -> bool:
        if self._writes_synced is None:
            self._writes_synced = (
                _DSYNC != 0 and _file_system(os.fstat(self._fd).st_dev) in _SYNCING_FILE_SYSTEMS
            )
        return self._writes_synced

    def write_synced(self, data: bytes, offset: int) -> None:
        if self.writes_synced():
            try:
                written = os.pwritev(self._fd, (data,), offset, _DSYNC)
                while written < len(data):
                    rest = memoryview(data)[written:]
                    more = os.pwritev(self._fd, (rest,), offset + written, _DSYNC)
                    if more == 0:
                        raise OSError(errno.EIO, "write made no progress")
                    written += more
            except OSError as error:
                if error.errno not in _NO_SUCH_CALL:
                    raise
                self._writes_synced = False
            else:
                return
        self.write(data, offset)
        self.sync()

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def allocate(self, size: int) -> None:
        old = os.fstat(self._fd).st_size
        if size <= old:
            return
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._fd, old, size - old)
            except OSError as error:
                if error.errno in FULL_ERRORS:
                    raise
                # A file system that can't: grown by truncate.
            else:
                return
        os.ftruncate(self._fd, size)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def identity(self) -> tuple[int, int]:
        status = os.fstat(self._fd)
        return status.st_dev, status.st_ino

    def try_lock(self, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(self._fd, _TRY_SHARED if shared else _TRY_EXCLUSIVE)
        except BlockingIOError:
            return False
        except OSError as error:
            raise OSError(
                error.errno, f"the file can't be locked by flock: {error.strerror}"
            ) from error
        except BaseException:  # Ctrl-C behind the call
            self.unlock()
            raise
        return True

    def unlock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError as error:
            # Of a network's file system whose server is away, say.  It is ours as before, and goes with the file.
            _log.warning("the lock can't be given up (%s): others wait until it is", error)

    def words(self) -> MutableSequence[int]:
        # Only the header's page is mapped: it is never truncated, so a map of it can't fault.
        if self._view is None:
            access = mmap.ACCESS_READ if self._readonly else mmap.ACCESS_WRITE
            try:
                self._map = mmap.mmap(self._fd, LOG_START, access=access)
            except OSError as error:
                raise OSError(
                    error.errno, f"the file can't be shared by mmap: {error.strerror}"
                ) from error
            window = memoryview(self._map)[WORDS_OFFSET : WORDS_OFFSET + 8 * WORDS]
            self._view = window.cast("Q")
        return self._view  # type: ignore[return-value]

    def close(self) -> None:
        if self._view is not None:
            self._view.release()
            self._view = None
        if self._map is not None:
            with contextlib.suppress(BufferError):  # a reader still looks; the collector closes it
                self._map.close()
            self._map = None
        super().close()


class OsFileSystem:
    """The operating system's names."""

    def resolve(self, path: str) -> str:
        return os.path.realpath(path)

    def open(self, path: str, *, readonly: bool) -> OsFile:
        return OsFile(path, readonly=readonly)

    def create(self, path: str, content: bytes, *, replace: bool, like: str | None = None) -> None:
        model = path if replace else like
        status = None if model is None else os.stat(model)
        if replace or not _create_unnamed(path, content, status):
            _create_by_name(path, content, status, replace=replace)
        sync_directory(path)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)
        sync_directory(target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def names_beside(self, path: str) -> list[str]:
        directory = os.path.dirname(os.path.abspath(path))
        return [os.path.join(directory, name) for name in os.listdir(directory)]

    def sync_directory(self, path: str) -> None:
        sync_directory(path)

    def identity(self, path: str) -> tuple[int, int] | None:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def temporary_name(path: str, purpose: str) -> str:
    """A name for a new file beside `path`, which nobody else will take; see `temporary`.  Of a long name it has
    the beginning, since names are bounded."""
    directory, name = os.path.split(path)
    end = f".{os.getpid()}-{os.urandom(4).hex()}.kvsh-{purpose}"
    name = os.fsdecode(os.fsencode(name)[: _NAME_BYTES_MAX - len(end)])
    return os.path.join(directory, name + end)


def _create_unnamed(path: str, content: bytes, like: os.stat_result | None) -> bool:
    """Write a file that has no name yet, so that a crash leaves nothing, then give it its name.

    False if this system or file system has no such files."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    directory = os.path.dirname(os.path.abspath(path))
    try:
        unnamed = _Opened(directory, os.O_RDWR | os.O_TMPFILE, _mode(like))
    except OSError as error:
        if error.errno in _NO_UNNAMED_FILES:
            return False
        raise
    with unnamed as descriptor:
        try:
            _fill(descriptor, content, like)
            # With a directory's descriptor Python calls linkat, which can follow the symbolic link.
            link = f"/proc/self/fd/{descriptor}"
            os.link(link, path, src_dir_fd=descriptor, follow_symlinks=True)
        except OSError as error:
            if error.errno in (*_NO_LINKS, errno.ENOENT, errno.EXDEV, errno.EINVAL):
                return False  # there is no /proc, or it is not to be followed
            raise
    return True


def _create_by_name(
    path: str, content: bytes, like: os.stat_result | None, *, replace: bool
) -> None:
    temporary = temporary_name(path, "new")
    try:
        with _Opened(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, _mode(like)) as descriptor:
            _fill(descriptor, content, like)
        if replace:
            os.rename(temporary, path)
        else:
            try:
                os.link(temporary, path)  # unlike rename, never takes another's file away
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                _rename_to_new(temporary, path, like)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _rename_to_new(temporary: str, path: str, like: os.stat_result | None) -> None:
    """Give a file a name that nobody has, or FileExistsError, where there are no hard links (FAT, some phones).

    An empty file takes the name first.  It is a database that is yet to be made, which whoever else finds it replaces
    under its lock, as is done here."""
    with _Opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _mode(like)) as descriptor:
        try:
            fcntl.flock(descriptor, _TRY_EXCLUSIVE)
        except BlockingIOError as error:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        os.rename(temporary, path)


def _mode(like: os.stat_result | None) -> int:
    return 0o644 if like is None else stat.S_IMODE(like.st_mode)


def _fill(descriptor: int, content: bytes, like: os.stat_result | None) -> None:
    """Give a new file its owner, its permissions and its content, and sync it."""
    if like is not None:
        with contextlib.suppress(PermissionError):  # another's file, which we may write to
            os.fchown(descriptor, like.st_uid, like.st_gid)
        with contextlib.suppress(PermissionError):  # a file system without permissions
            os.fchmod(descriptor, _mode(like))
    written = 0
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])
    _sync_all(descriptor)


def sync_directory(path: str) -> None:
    """Sync the directory that holds `path` (fact 1).  Only EINVAL and ENOTSUP are no errors."""
    try:
        opened = _Opened(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    except PermissionError:
        os.sync()  # of a directory that may be gone through and not be listed; Linux waits for its end
        return
    with opened as directory:
        try:
            _sync_all(directory)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise


def _sync_all(descriptor: int) -> None:
    """Have all of a file, or of a directory, on the disk."""
    if sys.platform == "darwin":  # where fsync leaves it in the disk's own cache
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
    os.fsync(descriptor)


def _file_system(device: int) -> bytes:
    """What kind of file system is mounted from the device; nothing if that can't be found out."""
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            for line in mounts:
                # id, parent, device, root, place, options, ..., "-", kind, ...
                fields = line.split(b" ")
                if fields[2] == number:
                    return fields[fields.index(b"-", 6) + 1]
    except (OSError, IndexError, ValueError):
        pass
    return b""


def _what(mode: int) -> str:
    names = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in names if test(mode)), "no regular file")
