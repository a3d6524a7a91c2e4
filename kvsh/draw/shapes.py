"""What a drawing shows, as plain records; `kvsh.draw.source` fills them from a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PageShape:
    """One page of a tree.  `entries` are a leaf's entries or a branch's children."""

    page: int
    is_leaf: bool
    entries: int
    size_bytes: int
    low: Any = None  # first and last key in a leaf, first and last separator in a branch
    high: Any = None
    offset: int | None = None  # in the file
    commit: int | None = None  # that wrote it


@dataclass(frozen=True, slots=True)
class LevelShape:
    """All pages at one depth; 0 is the root's."""

    pages: int
    entries: int
    size_bytes: int
    is_leaf: bool


@dataclass(frozen=True, slots=True)
class TreeShape:
    """One tree: what it is called, and its levels from the root down."""

    name: str  # as "table Track", "index ix_name on Track", "raw keys"
    tree_id: int
    entries: int
    noun: str  # what an entry is: row, entry, key
    levels: Sequence[LevelShape] = ()
    capacity_bytes: int = 4096  # of a full page
    is_sampled: bool = False  # sizes are extrapolated from some of the leaves

    @property
    def pages(self) -> int:
        return sum(level.pages for level in self.levels)

    @property
    def size_bytes(self) -> int:
        return sum(level.size_bytes for level in self.levels)

    @property
    def fill(self) -> float:
        """The share of its pages' room that is used, 0..1."""
        return self.size_bytes / (self.pages * self.capacity_bytes) if self.pages else 0.0


@dataclass(frozen=True, slots=True)
class PathStep:
    """A page on the way to a key: which slot was taken, and the separators on either side of it."""

    page: PageShape
    slot: int
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Cell:
    """An entry as it stands in a page."""

    slot: int
    key: Any
    value: Any
    size_bytes: int
    child: int | None = None  # the page below, in a branch
    note: str = ""  # as "expires in 30 s", "value in page 12"


@dataclass(frozen=True, slots=True)
class CommitShape:
    """One commit in the log.  `kind`: pages, redo, snapshot."""

    number: int
    kind: str
    offset: int
    size_bytes: int
    pages: int = 0
    when: float | None = None  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class LogShape:
    """The log as a whole: bytes by what they are good for."""

    path: str
    file_bytes: int
    live_bytes: int
    dead_bytes: int
    commits: Sequence[CommitShape] = field(default=())
    redo_commits: int = 0
    redo_bytes: int = 0
    preallocated_bytes: int = 0

    @property
    def overhead_bytes(self) -> int:
        """Headers, commit records, redo: neither live nor dead pages."""
        return max(self.file_bytes - self.live_bytes - self.dead_bytes - self.preallocated_bytes, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one row or index entry lies."""

    relation: str
    key: Any
    page: int
    slot: int
    size_bytes: int
    pages: tuple[int, ...] = ()  # from the root down
