"""A process in which the operating system has what macOS has, and nothing that Linux alone does.

`python -m pytest -p tests.engine.as_macos tests/engine` runs tests so; `test_as_macos` does a little of everything.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import os
import sys
import sysconfig
import tempfile
from typing import Any

LINUX_ONLY = (
    "O_TMPFILE", "O_DIRECT", "posix_fallocate", "posix_fadvise", "fdatasync", "RWF_DSYNC", "RWF_SYNC", "RWF_HIPRI",
    "RWF_NOWAIT", "RWF_APPEND", "sched_getaffinity", "sched_setaffinity", "sched_setscheduler", "memfd_create",
    "copy_file_range", "splice", "eventfd", "pidfd_open", "getrandom", "setns", "unshare",
)  # fmt: skip
F_FULLFSYNC = 51

full_syncs: list[int] = []
"""The descriptors that were synced to the disk."""

weak_syncs: list[int] = []
"""Those that `fsync` left in the disk's cache."""

refused = False
"""Whether the file systems know no F_FULLFSYNC."""

_fcntl, _fsync = fcntl.fcntl, os.fsync


def _full_fcntl(descriptor: int, command: int, *argument: Any) -> Any:
    if command != F_FULLFSYNC:
        return _fcntl(descriptor, command, *argument)
    if refused:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    full_syncs.append(descriptor)
    _fsync(descriptor)
    return 0


def _weak_fsync(descriptor: int) -> None:
    weak_syncs.append(descriptor)
    _fsync(descriptor)


def _without_proc(call: Any) -> Any:
    def made(path: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str) and path.startswith("/proc/"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return call(path, *arguments, **options)

    return made


def be_macos() -> None:
    """For the rest of the process."""
    for name in LINUX_ONLY:
        if hasattr(os, name):
            delattr(os, name)
    sysconfig.get_config_vars()  # of the real system
    sys.platform = "darwin"
    setattr(tempfile, "_O_TMPFILE_WORKS", False)  # noqa: B010
    setattr(fcntl, "F_FULLFSYNC", F_FULLFSYNC)  # noqa: B010
    for name in ("F_OFD_SETLK", "F_OFD_GETLK", "F_OFD_SETLKW"):
        if hasattr(fcntl, name):
            delattr(fcntl, name)
    fcntl.fcntl = _full_fcntl
    os.fsync = _weak_fsync
    for module, name in ((builtins, "open"), (os, "open"), (os, "link"), (os, "stat")):
        setattr(module, name, _without_proc(getattr(module, name)))


if "engine" not in sys.modules:
    be_macos()
