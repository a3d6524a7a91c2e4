"""A page store in memory that keeps to the seam of `btree.pages`: the trees' tests run on it where
the engine's own doings are not the question."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from btree import BusyError


class FakeFile:
    """What several handles share: versions of pages, redo, the writer's lock."""

    def __init__(self, *, redo_max: int = 1 << 20) -> None:
        self.payloads: list[tuple[int, bytes]] = [(0, b"")]
        self.pages: dict[int, list[tuple[int, int]]] = {}
        self.commits: list[tuple[int, bytes | None, object]] = []  # lsn, redo or None, who
        self.next_page = 2
        self.free: list[int] = []
        self.lock = threading.Lock()
        self.redo_max = redo_max
        self.fail_next_commit = False

    @property
    def lsn(self) -> int:
        return self.commits[-1][0] if self.commits else 0

    def base_lsn(self, lsn: int) -> int:
        return max([n for n, redo, _ in self.commits if redo is None and n <= lsn], default=0)

    def redo(self, first: int, last: int) -> list[tuple[int, bytes]]:
        return [(n, redo) for n, redo, _ in self.commits if redo is not None and first < n <= last]

    def store(self, page: int, payload: bytes) -> int:
        self.payloads.append((page, payload))
        return len(self.payloads) - 1

    def locate(self, page: int, lsn: int) -> int:
        found = 0
        for written, location in self.pages.get(page, ()):
            if written <= lsn:
                found = location
        return found

    def live_pages(self) -> set[int]:
        return {page for page in self.pages if self.locate(page, self.lsn)}

    def read(self, page: int, location: int) -> bytes:
        stored, payload = self.payloads[location]
        assert stored == page, f"location {location} is page {stored}, not {page}"
        return payload


class FakePages:
    """A handle."""

    def __init__(self, file: FakeFile) -> None:
        self.file = file
        self.open_snapshots = 0
        self.reads = 0

    def epoch(self, lsn: int) -> object:
        foreign = [
            n for n, redo, who in self.file.commits if redo is None and who is not self and n <= lsn
        ]
        return _epochs.setdefault((id(self), max(foreign, default=0)), object())

    def snapshot(self) -> FakeSnapshot:
        return FakeSnapshot(self, self.file.lsn)

    def is_newest(self, state: FakeSnapshot) -> bool:
        return state.lsn == self.file.lsn

    def newest(self) -> FakeSnapshot:
        return self.snapshot()

    def begin(self, timeout: float | None = None) -> FakeWriter:
        if not self.file.lock.acquire(timeout=1.0 if timeout is None else timeout):
            raise BusyError("busy")
        return FakeWriter(self)

    def commit_redo(self, payload: bytes) -> int:
        return self.begin().commit_redo(payload).lsn

    def commit_redo_since(self, payload: bytes, since: Any) -> int:
        return 0

    def wait_durable(self, lsn: int, *, pages: bool) -> None: ...
    def settle_interrupted(self) -> None: ...

    durability = "full"
    redo_held_bytes = 0

    def checkpoint_due(self, more: int = 0, light: int = 0) -> bool:
        base = self.file.base_lsn(self.file.lsn)
        return (
            sum(len(redo) for n, redo, _ in self.file.commits if redo and n > base)
            > self.file.redo_max
        )

    def checkpoint_due_at_close(self, redo_bytes_max: int) -> bool:
        return False

    def compact(self, order: Any = None, *, progress: Any = None, timeout: Any = None) -> None: ...
    def backup(self, path: str, *, progress: Any = None) -> None: ...

    def check(self) -> list[str]:
        return []

    def live_pages(self) -> set[int]:
        return self.file.live_pages()

    def close(self) -> None: ...
    def stats(self) -> Any: ...
    def log(self) -> Any: ...


_epochs: dict[tuple[int, int], object] = {}


class FakeSnapshot:
    def __init__(self, pages: FakePages, lsn: int) -> None:
        self.pages = pages
        self.lsn = lsn
        self.base_lsn = pages.file.base_lsn(lsn)
        self.epoch = pages.epoch(lsn)
        self.closed = False
        pages.open_snapshots += 1

    @property
    def state(self) -> FakeSnapshot:
        return self

    def redo(self, after: int = 0) -> list[tuple[int, bytes]]:
        return self.pages.file.redo(max(self.base_lsn, after), self.lsn)

    def locate(self, page: int) -> int:
        assert not self.closed
        return self.pages.file.locate(page, self.lsn)

    def read(self, page: int, location: int) -> bytes:
        assert not self.closed
        self.pages.reads += 1
        return self.pages.file.read(page, location)

    def read_many(self, pages: Sequence[int], locations: Sequence[int]) -> list[bytes]:
        return [self.read(page, location) for page, location in zip(pages, locations, strict=True)]

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.pages.open_snapshots -= 1

    def __del__(self) -> None:
        self.close()


class FakeWriter:
    def __init__(self, pages: FakePages) -> None:
        self.pages = pages
        self.file = pages.file
        self.lsn = pages.file.lsn
        self.base_lsn = pages.file.base_lsn(self.lsn)
        self.epoch = pages.epoch(self.lsn)
        self.next_page = self.file.next_page
        self.free = list(self.file.free)
        self.changes: dict[int, int] = {}
        self.active = True

    def redo(self, after: int = 0) -> list[tuple[int, bytes]]:
        return self.file.redo(max(self.base_lsn, after), self.lsn)

    def allocate(self) -> int:
        if self.free:
            return self.free.pop()
        self.next_page += 1
        return self.next_page - 1

    def put_last(self) -> None: ...

    def put(self, page: int, payload: bytes, owner: int = 0) -> None:
        assert payload.__class__ in (bytes, bytearray) and page > 0
        self.changes[page] = self.file.store(page, bytes(payload))

    def put_early(self, page: int, payload: bytes, owner: int = 0) -> int:
        self.put(page, payload)
        return self.changes[page]

    def put_many(
        self, pages: Sequence[int], payloads: Sequence[bytes], owner: int = 0
    ) -> list[int]:
        return [
            self.put_early(page, payload) for page, payload in zip(pages, payloads, strict=True)
        ]

    def read_in_place(
        self, pages: Sequence[int], locations: Sequence[int]
    ) -> dict[int, tuple[memoryview]]:
        payloads = self.read_many(pages, locations)
        places = [(memoryview(bytearray(payload)),) for payload in payloads]
        return dict(zip(pages, places, strict=True))

    def put_in_place(
        self,
        pages: Sequence[int],
        places: Sequence[tuple[memoryview]],
        lengths: Sequence[int],
        tails: Sequence[bytes],
        owner: int = 0,
    ) -> list[int]:
        return self.put_many(
            pages,
            [
                bytes(place[0][:length]) + tail
                for place, length, tail in zip(places, lengths, tails, strict=True)
            ],
        )

    def newest(self, page: int) -> int:
        return self.changes.get(page, self.locate(page))

    def delete(self, page: int) -> None:
        assert self.changes.get(page, self.locate(page)), f"page {page} is not there"
        self.changes[page] = 0

    def locate(self, page: int) -> int:
        return self.file.locate(page, self.lsn) or self.changes.get(page, 0)

    def read(self, page: int, location: int) -> bytes:
        assert self.active
        self.pages.reads += 1
        return self.file.read(page, location)

    def read_owned(self, page: int, location: int) -> tuple[bytes, int]:
        return self.read(page, location), 0

    def read_many(self, pages: Sequence[int], locations: Sequence[int]) -> list[bytes]:
        return [self.read(page, location) for page, location in zip(pages, locations, strict=True)]

    def commit_pages(self) -> FakeCommit:
        return self._commit(None)

    def commit_redo(self, payload: bytes) -> FakeCommit:
        return self._commit(payload)

    def append_redo(self, payload: bytes) -> int:
        return self._commit(payload).lsn

    def _commit(self, redo: bytes | None) -> FakeCommit:
        assert self.active
        if self.file.fail_next_commit:
            self.file.fail_next_commit = False
            raise OSError(28, "No space left on device")
        lsn = self.file.lsn + 1
        for page, location in self.changes.items() if redo is None else ():
            self.file.pages.setdefault(page, []).append((lsn, location))
            if not location:
                self.free.append(page)
        if redo is None:
            self.file.next_page, self.file.free = self.next_page, self.free
        self.file.commits.append((lsn, redo, self.pages))
        self.rollback()
        return FakeCommit(lsn, self.changes)

    def rollback(self) -> None:
        if self.active:
            self.active = False
            self.file.lock.release()


class FakeCommit:
    def __init__(self, lsn: int, changes: dict[int, int]) -> None:
        self.lsn = lsn
        self._changes = changes

    def location(self, page: int) -> int:
        return self._changes[page]

    def wait(self) -> None: ...


def counted_puts(monkeypatch: pytest.MonkeyPatch, pages: type[Any]) -> list[bool]:
    """Whether a page was written, for each that `pages` is asked to write from now on, in its place or not."""
    done: list[bool] = []

    def counting(put: Any) -> Any:
        def counted(*arguments: Any) -> bool:
            done.append(put(*arguments))
            return done[-1]

        return counted

    for name in ("put", "put_in_place"):
        if hasattr(pages, name):
            monkeypatch.setattr(pages, name, counting(getattr(pages, name)))
    return done


def ended_by_chance(writing: Any, file: FakeFile, draw: Random) -> bool:
    """End a transaction by a commit, a commit that fails, or a rollback; whether what it did stands."""
    match draw.randrange(4):
        case 0:
            writing.rollback()
            return False
        case 1:
            file.fail_next_commit = True
            try:
                writing.commit()
            except OSError:
                return False
            finally:
                file.fail_next_commit = False
        case _:
            writing.commit()
    return True


def drawn_limits(draw: Random) -> tuple[FakeFile, dict[str, int]]:
    """A file, and the options of a store on it, with limits that are met soon, late or never."""
    file = FakeFile(redo_max=draw.choice([0, 2000, 1 << 20]))
    return file, {
        "page_bytes": draw.choice([200, 512]),
        "cache_bytes": draw.choice([0, 100_000, 1 << 28]),
    }
