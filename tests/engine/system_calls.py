"""The system calls that the engine makes, each of which may fail, be cut short, or be the last thing that its
process does: unlike the simulated disk this stands below `engine.file`, on real files.

    with system_calls(before) as calls:
        ...
    calls.count

`before` is told of each call, by its name, before it is made.  It may raise OSError; what it returns for a write
is how many of its bytes are written, and for a read how many are read, all if None.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import engine.file
from btree import open_store
from engine import temporary_name

Before = Callable[[str], int | None]

CALLS = (
    "open", "close", "pread", "preadv", "pwrite", "pwritev", "write", "fdatasync", "fsync", "ftruncate", "posix_fallocate", "rename",
    "link", "unlink", "listdir", "stat", "fstat", "fchmod",
)  # fmt: skip
WRITES = ("pwrite", "pwritev", "write")
LOCK, UNLOCK = "flock", "unlock"
MAP = "mmap"


class Calls:
    """How many calls were made so far."""

    def __init__(self, before: Before) -> None:
        self.before = before
        self.count = 0

    def wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            unlocks = name == LOCK and arguments[1] == fcntl.LOCK_UN
            length = self.before(UNLOCK if unlocks else name)
            if length is not None:
                if name == "pread":
                    descriptor, wanted, offset = arguments
                    return call(descriptor, min(wanted, length), offset)
                if name in WRITES or name == "preadv":
                    descriptor, data, *rest = arguments
                    if name in ("preadv", "pwritev"):
                        return call(descriptor, (memoryview(data[0])[:length],), *rest)
                    return call(descriptor, memoryview(data)[:length], *rest)
            return call(*arguments, **options)

        return made


@contextlib.contextmanager
def system_calls(before: Before, *, synced_writes: bool = True) -> Iterator[Calls]:
    """Watch the calls.  `synced_writes`: as on a file system whose writes may carry their sync."""
    calls = Calls(before)
    with contextlib.ExitStack() as stack:
        for name in CALLS:
            if hasattr(os, name):  # macOS has fewer, and syncs by fcntl
                wrapped = calls.wrapped(name, getattr(os, name))
                stack.enter_context(mock.patch.object(os, name, wrapped))
        for module, name in ((fcntl, LOCK), (fcntl, "fcntl"), (mmap, MAP)):
            wrapped = calls.wrapped(name, getattr(module, name))
            stack.enter_context(mock.patch.object(module, name, wrapped))
        kind = b"ext4" if synced_writes else b"tmpfs"
        stack.enter_context(mock.patch.object(engine.file, "_file_system", lambda device: kind))
        yield calls


class Work:
    """A little of everything that is done to a database, and what it holds after each step.

    Each step is a transaction of its own or no change at all."""

    STEPS = (
        "open", "put", "put", "many", "put", "delete", "checkpoint", "put", "spill", "put", "backup", "put", "compact", "put",
        "many", "reopen", "put", "abandon", "put", "compact", "reopen", "put", "close",
    )  # fmt: skip

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, "db")
        self.copy = os.path.join(directory, "copy")
        self.store: Any = None
        self.number = 0
        self.content: dict[bytes, bytes] = {}
        self.attempt: dict[bytes, bytes] = {}
        self.durability = "full"

    def opened(self, path: str = "", **options: Any) -> Any:
        options.setdefault("durability", self.durability)
        return open_store(path or self.path, page_bytes=160, timeout=0, cache_bytes=4000, **options)

    def do(self, step: str) -> None:
        """Raises what the store does."""
        self.attempt = self.content
        if step in ("put", "many", "spill", "abandon", "delete"):
            self._write(step)
        elif step == "checkpoint":
            self.store.checkpoint()
        elif step == "backup":
            self.store.backup(self.copy)
        elif step == "compact":
            self.store.compact()
        elif step == "close":
            self.store.close()
        else:
            if step == "reopen":
                self.store.close()
            self.store = self.opened()

    def _write(self, step: str) -> None:
        number = self.number + 1
        changes: dict[bytes, bytes | None] = {b"number": b"%d" % number}
        if step == "delete":
            changes.update(dict.fromkeys(list(self.content)[::3]))
            changes[b"number"] = b"%d" % number
        else:
            for at in range({"put": 1, "many": 20}.get(step, 120)):
                changes[b"%d" % ((number * 7 + at) % 150)] = b"%d/" % number * 9
        transaction = self.store.begin(write=True)
        try:
            tree = transaction.tree(1)
            for key, value in changes.items():
                if value is None:
                    tree.delete(key)
                else:
                    tree.put(key, value)
            if step == "abandon":
                transaction.rollback()
                return
            attempt: dict[bytes, bytes | None] = {**self.content, **changes}
            self.attempt = {key: value for key, value in attempt.items() if value is not None}
            transaction.commit()
        except BaseException:
            transaction.rollback()
            raise
        self.number, self.content = number, self.attempt


def held(store: Any) -> dict[bytes, bytes]:
    """What a store's raw keys are now."""
    reading = store.begin()
    try:
        return {
            key: value
            for keys, values in reading.tree(1).batches()
            for key, value in zip(keys, values, strict=True)
        }
    finally:
        reading.rollback()


def is_left_over(name: str) -> bool:
    """Whether a file is one that unfinished work left."""
    return ".kvsh-" in name


__all__ = ["Calls", "Work", "errno", "held", "is_left_over", "system_calls", "temporary_name"]
