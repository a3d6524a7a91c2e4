"""The page table: page number -> location of its newest version, versioned for readers.

The base is one `array('Q')`: 8 bytes a page, so ten million pages take 80 MB and load at the speed of
a read.  Each *pages* commit puts an overlay on top, a dict of what it changed.  A snapshot holds the
overlays up to its commit; an overlay sinks into the base once no snapshot is older than it.  Both are
changed in an order that lets readers look up without a lock: the base gets an overlay's entries
before the overlay leaves the stack, and only when every reader would see those entries anyway.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

Overlay = tuple[int, dict[int, int]]
"""(lsn, page -> location; 0 is deleted)."""


class PageTable:
    """Changed under the log's lock only; read without one."""

    def __init__(self, entries: array[int] | None = None) -> None:
        self.base: array[int] = array("Q") if entries is None else entries
        self.overlays: tuple[Overlay, ...] = ()

    def sink(self, oldest_lsn: int) -> None:
        """Move what no reader older than `oldest_lsn` needs apart into the base."""
        while self.overlays and self.overlays[0][0] <= oldest_lsn:
            _, changes = self.overlays[0]
            base = self.base
            if changes:
                missing = max(changes) + 1 - len(base)
                if missing > 0:
                    base.frombytes(bytes(8 * missing))
                for page, location in changes.items():
                    base[page] = location
            self.overlays = self.overlays[1:]

    def locate(self, page: int, overlays: tuple[Overlay, ...]) -> int:
        """The page's location as of the last of `overlays`; 0 if there is none."""
        for _, changes in reversed(overlays):
            location = changes.get(page)
            if location is not None:
                return location
        base = self.base
        return base[page] if page < len(base) else 0

    def items(self, overlays: tuple[Overlay, ...]) -> Iterator[tuple[int, int]]:
        """(page, location) of every page there is, by page."""
        changed: dict[int, int] = {}
        for _, changes in overlays:
            changed.update(changes)
        size = self.size(overlays)
        base = self.base
        for page in range(size):
            location = changed.get(page)
            if location is None:
                location = base[page] if page < len(base) else 0
            if location:
                yield page, location

    def size(self, overlays: tuple[Overlay, ...]) -> int:
        """The entries that `flattened` has: one more than the largest page number there ever was."""
        return max([len(self.base), *[max(c) + 1 for _, c in overlays if c]])

    def flattened(self, overlays: tuple[Overlay, ...]) -> array[int]:
        """All entries as of the last of `overlays`, as one array."""
        entries = self.base[:]
        for _, changes in overlays:
            if changes:
                missing = max(changes) + 1 - len(entries)
                if missing > 0:
                    entries.frombytes(bytes(8 * missing))
                for page, location in changes.items():
                    entries[page] = location
        return entries
