"""The page store that a disk-backed tree stands on, as the trees see it; `engine` provides it.

A page is an int id and some bytes.  A *location* is an opaque int that says where one version of a
page lies; it stays readable for as long as any snapshot of the same epoch is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from engine import CommitInfo, Durability


class AsOf(Protocol):
    """The commit that something shows, or builds on."""

    @property
    def lsn(self) -> int: ...
    @property
    def base_lsn(self) -> int:
        """The newest pages commit up to `lsn`; redo is what came after it."""

    @property
    def epoch(self) -> object:
        """Another object after a pages commit by another process, or in another file."""


class State(AsOf, Protocol):
    """What a reader of one commit sees, without a hold on its pages."""

    def redo_after(self, after: int) -> list[tuple[int, bytes]]:
        """(lsn, payload) of the redo commits after `after` and after the newest pages commit."""


class Snapshot(AsOf, Protocol):
    """The pages and the redo as of one commit.  Closed by `close`, or when the last reference to it goes."""

    @property
    def state(self) -> State:
        """What it sees, without the hold on its pages: see `PageStore.newest`."""

    def redo(self, after: int = 0) -> list[tuple[int, bytes]]: ...
    def locate(self, page: int) -> int:
        """Where the page lies; 0 if there is no such page."""

    def read(self, page: int, location: int) -> bytes: ...
    def read_many(
        self,
        pages: Sequence[int],
        locations: Sequence[int],
        owners: dict[int, int] | None = None,
    ) -> Sequence[bytes | memoryview]:
        """`owners` takes, by page, what `Writer.put` was told of them."""

    def pages(self) -> Iterator[tuple[int, int]]: ...
    def close(self) -> None: ...


class Commit(Protocol):
    """A commit that has been appended but may not be durable yet."""

    @property
    def lsn(self) -> int: ...
    def location(self, page: int) -> int: ...
    def wait(self) -> None:
        """Block until it is durable."""


class Writer(AsOf, Protocol):
    """The one writer; builds on commit `lsn`, which may not be durable yet."""

    def redo(self, after: int = 0) -> list[tuple[int, bytes]]: ...
    def allocate(self) -> int: ...
    def put_last(self) -> None:
        """What is put from now on is what the commit leaves, until which it may be put again."""

    def put(self, page: int, payload: bytes | bytearray, owner: int = 0) -> None:
        """`owner`: the tree that the page is of, for a repair."""

    def put_early(self, page: int, payload: bytes | bytearray, owner: int = 0) -> int: ...
    def put_many(
        self,
        pages: Sequence[int],
        payloads: Sequence[bytes | bytearray | memoryview],
        owner: int = 0,
    ) -> list[int]: ...
    def read_in_place(self, pages: Sequence[int], locations: Sequence[int]) -> dict[int, Any]:
        """By page, its payload, which may be written over, and what else `put_in_place` wants to know of it."""

    def put_in_place(
        self,
        pages: Sequence[int],
        places: Sequence[Any],
        lengths: Sequence[int],
        tails: Sequence[bytes],
        owner: int = 0,
    ) -> list[int]:
        """Put pages anew as they are in their places now: so many bytes, and a tail behind them."""

    def delete(self, page: int) -> None: ...
    def newest(self, page: int) -> int: ...
    def locate(self, page: int) -> int: ...
    def read(self, page: int, location: int) -> bytes: ...
    def read_owned(self, page: int, location: int) -> tuple[bytes, int]:
        """`read`, and whose page it is."""

    def read_many(
        self, pages: Sequence[int], locations: Sequence[int]
    ) -> Sequence[bytes | memoryview]: ...
    def claim(self, payload_bytes: int = 0) -> None:
        """Write what is put, and have room for the commit, of so long a redo payload if it is one: its own write finds it."""

    def commit_pages(self) -> Commit: ...
    def commit_redo(self, payload: bytes) -> Commit: ...
    def append_redo(self, payload: bytes) -> int: ...
    def rollback(self) -> None: ...


class Replacement(Protocol):
    """A new file on its way to the place of a store's."""

    def begin(self, lsn: int) -> Writer:
        """Its first writer, which puts pages as of commit `lsn`."""

    def sync(self) -> None:
        """Begin to sync what that has written."""

    def write_table(self) -> None:
        """What is best done when all pages are committed."""

    def catch_up(self) -> None:
        """Copy what was committed to the old file since."""

    def take_place(self) -> None:
        """Be the store's file; called with the store's writer begun."""

    def close(self) -> None: ...


class PageStore(Protocol):
    """A file of pages."""

    def snapshot(self) -> Snapshot: ...
    def is_newest(self, state: object) -> bool: ...
    def newest_number(self, epoch: object) -> int:
        """The number of the newest commit that may be seen, if that is known without a look at the file, and it is of this
        epoch; else 0."""

    def await_turn(self) -> None: ...
    def newest(self) -> State: ...
    def begin(self, timeout: float | None = None) -> Writer: ...
    def commit_redo(self, payload: bytes) -> int: ...
    def commit_redo_since(self, payload: bytes, since: Any) -> int:
        """`since`: a state of this store's."""

    def append_after(self, payload: bytes, lsn: int, epoch: object) -> int: ...
    def newest_appended(self) -> tuple[int, object]: ...
    def wait_durable(self, lsn: int, *, pages: bool) -> None: ...
    def settle_interrupted(self) -> None: ...
    def checkpoint_due(self, more: int = 0, light: int = 0) -> bool: ...
    def redo_fullness(self, light: int = 0) -> float: ...

    own_commits: int
    """How many this handle has made."""

    @property
    def redo_held_bytes(self) -> int:
        """What the redo takes in memory."""

    @property
    def live_bytes(self) -> int: ...
    def replacement(self, seen: Any) -> Replacement:
        """`seen`: a snapshot of this store's."""

    def compaction_due(self, *, quick: bool = False, closing: bool = False) -> bool: ...
    @property
    def durability(self) -> Durability: ...
    def checkpoint_due_at_close(self, redo_bytes_max: int) -> bool: ...
    def redo_commits(self) -> int: ...
    def compact(
        self,
        order: Sequence[int] = (),
        *,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> None: ...
    def backup(self, path: str, *, progress: Callable[[int, int], None] | None = None) -> None: ...
    def check(self) -> list[str]: ...
    def close(self) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def log(self) -> Iterator[CommitInfo]: ...
