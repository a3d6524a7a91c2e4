"""A disk in memory that remembers every operation, so that the power can be cut at any of them.

    disk = SimulatedDisk()
    store = open_store("/db", files=disk)        # ... work ...
    for cut in disk.cuts():                      # before the first operation, after each one
        state = cut.state(rng)                   # a disk as it may be found when the power is back

What a power cut may leave, of the operations that no sync has covered: none of them, all, a prefix, a
prefix and a torn write, any subset, any subset in any order; a size that grew without its data, which
then reads as zeros or as garbage.  A write that is synced by itself is durable and covers nothing else.  Names are durable only once their directory was synced.  The
header's live words hold any value that they ever had.  Syncs are believed.

Faults: `before`, if set, is called with each operation's kind and may raise OSError; a `ShortWrite`
first lets a part of the data through.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, MutableSequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.errors import NotADatabaseError
from engine.format import LOG_START, WORDS

SECTOR_BYTES = 512


class ShortWrite(OSError):
    """The disk takes only a part of a write and then fails."""


class Operation(NamedTuple):
    """One thing done to the disk."""

    kind: str  # write truncate allocate sync sync_range | link rename unlink sync_directory | word
    inode: int = 0
    offset: int = 0  # or the new size, or the word's number
    data: bytes = b""
    name: str = ""
    target: str = ""
    value: int = 0  # of a word; where a range ends
    same: bool = False  # a write of the very bytes that could be read there


NAME_KINDS = ("link", "rename", "unlink")
DATA_KINDS = ("write", "truncate", "allocate")


def apply_data(content: bytearray, operation: Operation) -> None:
    """Do a write, truncate or allocate."""
    end = operation.offset + len(operation.data)
    if operation.kind == "truncate" and len(content) > operation.offset:
        del content[operation.offset :]
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if operation.kind == "write":
        content[operation.offset : end] = operation.data


def apply_name(names: dict[str, int], operation: Operation) -> None:
    """Do a link, rename or unlink."""
    if operation.kind == "link":
        names[operation.name] = operation.inode
    elif operation.kind == "unlink":
        names.pop(operation.name, None)
    else:
        if names.get(operation.name) == operation.inode:
            del names[operation.name]
        names[operation.target] = operation.inode


class Words(MutableSequence[int]):
    """The live words of one inode, every change on record."""

    def __init__(self, disk: SimulatedDisk, inode: int, values: list[int]) -> None:
        self._disk = disk
        self._inode = inode
        self.values = values

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.values[index] != value:
            self.values[index] = value
            self._disk.operations.append(Operation("word", self._inode, offset=index, value=value))

    def __delitem__(self, index: Any) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.values)

    def insert(self, index: int, value: int) -> None:
        raise NotImplementedError


class ReadOnlyWords(Words):
    """What a read-only handle sees of them."""

    def __init__(self, words: Words) -> None:
        self.values = words.values

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("cannot modify read-only memory")


@dataclass
class Inode:
    content: bytearray
    words: Words
    exclusive: object = None
    shared: set[object] = field(default_factory=set)


class SimulatedFile:
    """An open file; `engine.File`."""

    def __init__(self, disk: SimulatedDisk, number: int, *, readonly: bool) -> None:
        self._disk = disk
        self._number = number
        self._inode = disk.inodes[number]
        self._readonly = readonly
        self.closed = False

    def _do(self, operation: Operation, *, failing: bool = True) -> None:
        assert not self.closed and not self._readonly
        try:
            if failing:
                self._disk.fail(operation.kind)
        except ShortWrite:
            if operation.kind == "write":
                part = operation._replace(data=operation.data[: len(operation.data) // 2])
                self._disk.operations.append(part)
                apply_data(self._inode.content, part)
            raise
        content, end = self._inode.content, operation.offset + len(operation.data)
        if operation.kind == "write" and content[operation.offset : end] == operation.data:
            operation = operation._replace(same=True)
        self._disk.operations.append(operation)
        apply_data(content, operation)

    def read(self, length: int, offset: int) -> bytes:
        assert not self.closed and length >= 0 and offset >= 0
        self._disk.fail("read")
        return bytes(self._inode.content[offset : offset + length])

    def read_into(self, buffer: bytearray, offset: int) -> int:
        data = self.read(len(buffer), offset)
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: bytes, offset: int) -> None:
        self._do(Operation("write", self._number, offset, bytes(data)))

    def sync(self) -> None:
        assert not self.closed
        self._disk.fail("sync")
        self._disk.operations.append(Operation("sync", self._number))

    def writes_synced(self) -> bool:
        return self._disk.writes_synced

    def write_synced(self, data: bytes, offset: int) -> None:
        """Where it fails, all of the data or a part is written, and nothing synced."""
        write = Operation("write", self._number, offset, bytes(data))
        try:
            self._disk.fail("write_synced")
        except OSError as error:
            part = len(data) // 2 if isinstance(error, ShortWrite) else len(data)
            self._do(write._replace(data=write.data[:part]), failing=False)
            raise
        self._do(write, failing=False)
        end = offset + len(data)
        self._disk.operations.append(Operation("sync_range", self._number, offset, value=end))

    def truncate(self, size: int) -> None:
        self._do(Operation("truncate", self._number, size))

    def allocate(self, size: int) -> None:
        if size > len(self._inode.content):
            self._do(Operation("allocate", self._number, size))

    def size(self) -> int:
        assert not self.closed
        return len(self._inode.content)

    def identity(self) -> tuple[int, int]:
        return 1, self._number

    def try_lock(self, *, shared: bool = False) -> bool:
        inode = self._inode
        if inode.exclusive not in (None, self) or (not shared and inode.shared - {self}):
            return False
        if shared:
            inode.shared.add(self)
        else:
            inode.exclusive = self
        return True

    def unlock(self) -> None:
        self._inode.shared.discard(self)
        if self._inode.exclusive is self:
            self._inode.exclusive = None

    def words(self) -> MutableSequence[int]:
        return ReadOnlyWords(self._inode.words) if self._readonly else self._inode.words

    def close(self) -> None:
        if not self.closed:
            self.unlock()
            self.closed = True


class SimulatedDisk:
    """A file system of one directory; `engine.FileSystem`."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.names: dict[str, int] = {}
        self.inodes: dict[int, Inode] = {}
        self.start: tuple[dict[str, int], dict[int, tuple[bytes, list[int]]]] = ({}, {})
        self.before: Callable[[str], None] | None = None
        self.writes_synced = True  # in one call

    @classmethod
    def found(
        cls, names: dict[str, int], files: dict[int, tuple[bytes, list[int]]]
    ) -> SimulatedDisk:
        """A disk with this on it, durably: names -> inodes -> (content, words)."""
        disk = cls()
        disk.names = dict(names)
        disk.start = (dict(names), files)
        for number, (content, words) in files.items():
            disk.inodes[number] = Inode(bytearray(content), Words(disk, number, list(words)))
        return disk

    def fail(self, kind: str) -> None:
        if self.before is not None:
            self.before(kind)

    def _name(self, operation: Operation) -> None:
        self.operations.append(operation)
        apply_name(self.names, operation)

    def content(self, path: str) -> bytes:
        return bytes(self.inodes[self.names[path]].content)

    # -- the protocol ------------------------------------------------------------------------------

    def resolve(self, path: str) -> str:
        return path

    def open(self, path: str, *, readonly: bool) -> SimulatedFile:
        self.fail("open")
        if path not in self.names:
            raise FileNotFoundError(2, "No such file or directory", path)
        if path.endswith("/"):
            raise NotADatabaseError(f"{path}: is a directory, not a database file")
        return SimulatedFile(self, self.names[path], readonly=readonly)

    def create(self, path: str, content: bytes, *, replace: bool, like: str | None = None) -> None:
        """As the operating system's does it: a temporary file, its content, then its name."""
        number = max(self.inodes, default=0) + 1
        self.inodes[number] = Inode(bytearray(), Words(self, number, [0] * WORDS))
        temporary = path + ".new"
        self.fail("create")
        self._name(Operation("link", number, name=temporary))
        try:
            file = SimulatedFile(self, number, readonly=False)
            file.write(content, 0)
            file.sync()
            self.fail("rename")
            if replace:
                self._name(Operation("rename", number, name=temporary, target=path))
            else:
                if path in self.names:
                    raise FileExistsError(17, "File exists", path)
                self._name(Operation("link", number, name=path))
        finally:
            if temporary in self.names:
                self._name(Operation("unlink", name=temporary))
        self.sync_directory(path)

    def rename(self, source: str, target: str) -> None:
        self.fail("rename")
        self._name(Operation("rename", self.names[source], name=source, target=target))
        self.sync_directory(target)

    def unlink(self, path: str) -> None:
        if path not in self.names:
            raise FileNotFoundError(2, "No such file or directory", path)
        self.fail("unlink")
        self._name(Operation("unlink", name=path))

    def names_beside(self, path: str) -> list[str]:
        self.fail("list")
        return list(self.names)

    def sync_directory(self, path: str) -> None:
        self.fail("sync_directory")
        self.operations.append(Operation("sync_directory"))

    def identity(self, path: str) -> tuple[int, int] | None:
        number = self.names.get(path)
        return None if number is None else (1, number)

    # -- power cuts --------------------------------------------------------------------------------

    def cuts(self) -> Iterator[Cut]:
        """A cut before the first operation and after each one; valid until the next is taken."""
        cut = Cut(self.start)
        yield cut
        for operation in self.operations:
            cut.take(operation)
            yield cut


class Cut:
    """The disk's durable part at one moment, and what is pending."""

    def __init__(self, start: tuple[dict[str, int], dict[int, tuple[bytes, list[int]]]]) -> None:
        names, files = start
        self.point = 0
        self.names = dict(names)
        self.pending_names: list[Operation] = []
        self.durable = {number: bytes(content) for number, (content, _) in files.items()}
        self.pending: dict[int, list[Operation]] = {number: [] for number in files}
        self.words: dict[int, list[list[int]]] = {
            number: [[value] for value in words] for number, (_, words) in files.items()
        }

    def take(self, operation: Operation) -> None:
        """The next operation was done."""
        self.point += 1
        kind, number = operation.kind, operation.inode
        if kind in NAME_KINDS:
            self.pending_names.append(operation)
            if number and number not in self.durable:
                self.durable[number] = b""
                self.pending[number] = []
                self.words[number] = [[0] for _ in range(WORDS)]
        elif kind == "sync_directory":
            for pending in self.pending_names:
                apply_name(self.names, pending)
            self.pending_names = []
        elif kind == "sync":
            content = bytearray(self.durable[number])
            for pending in self.pending[number]:
                apply_data(content, pending)
            self.durable[number] = bytes(content)
            self.pending[number] = []
        elif kind == "sync_range":
            self._sync_range(number, operation.offset, operation.value)
        elif kind == "word":
            self.words[number][operation.offset].append(operation.value)
        else:
            self.pending[number].append(operation)

    def _sync_range(self, number: int, start: int, end: int) -> None:
        """What the newest write has put between two offsets is durable; the rest goes on pending."""
        *before, write = self.pending[number]
        assert (write.kind, write.offset, len(write.data)) == ("write", start, end - start)
        content = bytearray(self.durable[number])
        apply_data(content, write)
        self.durable[number] = bytes(content)
        rest: list[Operation] = []
        for operation in before:
            if (
                operation.kind == "truncate"
            ):  # the range can be read, so the file reaches to its end
                rest.append(operation._replace(offset=max(operation.offset, end)))
            elif operation.kind == "allocate":
                rest.append(operation)
            else:
                at, data = operation.offset, operation.data
                if at < start:
                    rest.append(operation._replace(data=data[: start - at]))
                if at + len(data) > end:
                    cut = max(end - at, 0)
                    rest.append(operation._replace(offset=at + cut, data=data[cut:]))
        self.pending[number] = rest

    def state(self, rng: random.Random) -> SimulatedDisk:
        """A disk as it may be found after the cut, all of it durable."""
        names = dict(self.names)
        for operation in _chosen(self.pending_names, rng):
            apply_name(names, operation)
        files = {}
        for number in set(names.values()):
            content = bytearray(self.durable[number])
            for operation in _survivors(self.pending[number], rng):
                apply_data(content, operation)
            files[number] = (bytes(content), self._words(number, rng))
        return SimulatedDisk.found(names, files)

    def _words(self, number: int, rng: random.Random) -> list[int]:
        choice = rng.randrange(3)
        if choice == 0:
            return [history[-1] for history in self.words[number]]
        if choice == 1:
            return [history[0] for history in self.words[number]]
        return [rng.choice(history) for history in self.words[number]]


def _chosen(operations: list[Operation], rng: random.Random) -> list[Operation]:
    """None, all, a prefix or a subset."""
    count = len(operations)
    if not count:
        return []
    choice = rng.randrange(4)
    if choice == 0:
        return []
    if choice == 1:
        return operations
    if choice == 2:
        return operations[: rng.randint(0, count)]
    return [operation for operation in operations if rng.random() < 0.5]


def _survivors(operations: list[Operation], rng: random.Random) -> list[Operation]:
    """What is left of unsynced operations on one file."""
    if not operations:
        return []
    choice = rng.randrange(8)
    if choice < 4:
        chosen = list(_chosen(operations, rng))
    elif choice < 6:  # a prefix, and a part of the next one
        count = rng.randrange(len(operations))
        return operations[:count] + _torn(operations[count], rng)
    else:
        chosen = [operation for operation in operations if rng.random() < 0.7]
        if choice == 7:
            rng.shuffle(chosen)
    if rng.random() < 0.3:
        return [part for operation in chosen for part in _torn(operation, rng)]
    return chosen


def _torn(operation: Operation, rng: random.Random) -> list[Operation]:
    """A part of an operation."""
    if operation.kind != "write" or not operation.data:
        return [operation] if rng.random() < 0.5 else []
    data, offset = operation.data, operation.offset
    # Bytes written over themselves (recovery does) are no garbage, whichever sectors arrive.
    choice = rng.choice((0, 1, 4, 5)) if operation.same else rng.randrange(6)
    if choice == 0:  # the beginning
        return [operation._replace(data=data[: rng.randrange(len(data))])]
    if choice == 1:  # the end
        cut = rng.randrange(len(data))
        return [operation._replace(offset=offset + cut, data=data[cut:])]
    if choice == 2:  # the size, and zeros
        return [operation._replace(data=bytes(len(data)))] if offset >= LOG_START else []
    if choice == 3:  # the size, and garbage
        return [operation._replace(data=rng.randbytes(len(data)))]
    parts = []  # sectors, one by one
    at = 0
    while at < len(data):
        end = min(len(data), (offset + at) // SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - offset)
        if rng.random() < 0.6:
            parts.append(operation._replace(offset=offset + at, data=data[at:end]))
        at = end
    if choice == 5:
        rng.shuffle(parts)
    return parts
