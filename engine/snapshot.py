"""`Snapshot`: the pages and the redo as of one commit; takes no lock and blocks nobody.

It keeps its own log, and so its file, whatever is renamed over the path meanwhile (a compaction), and
it keeps the page versions that it may still look up in the table.  The log is append-only, so a
location stays readable for as long as the file is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.log import Log, State
    from engine.published import Published


class Snapshot:
    """Any number of threads may read through one snapshot."""

    __slots__ = ("__weakref__", "_store", "base_lsn", "epoch", "log", "lsn", "state")

    def __init__(self, store: Published, log: Log, state: State) -> None:
        self._store: Published | None = store
        self.log = log
        self.state = state
        self.lsn = state.lsn
        self.base_lsn = state.base_lsn
        self.epoch = state.epoch

    def redo(self, after: int = 0) -> list[tuple[int, bytes]]:
        """(lsn, payload) of the redo commits after `after` and after the newest pages commit."""
        return self.state.redo_after(after)

    def locate(self, page: int) -> int:
        """Where the page lies; 0 if there is no such page."""
        return self.log.table.locate(page, self.state.overlays)

    def read(self, page: int, location: int) -> bytes:
        """The version of `page` at `location`; CorruptionError if the bytes there are not it."""
        return self.log.read_page(page, location)

    def read_owned(self, page: int, location: int) -> tuple[bytes, int]:
        """`read`, and whose page it is: see `Writer.put`."""
        return self.log.read_owned(page, location)

    def read_many(
        self,
        pages: Sequence[int],
        locations: Sequence[int],
        owners: dict[int, int] | None = None,
    ) -> Sequence[bytes | memoryview]:
        """`read` for several pages; of those that lie close together in one go.  `owners` takes, by page, whose they are."""
        return self.log.read_pages(pages, locations, owners=owners)

    def get(self, page: int) -> bytes | None:
        """The page's bytes, None if there is no such page."""
        location = self.locate(page)
        return self.read(page, location) if location else None

    def pages(self) -> Iterator[tuple[int, int]]:
        """(page, location) of every page, by page."""
        return self.log.table.items(self.state.overlays)

    def close(self) -> None:
        """Let go of the page versions kept for it.  Closing twice is harmless."""
        store, self._store = self._store, None
        if store is not None:
            store.forget(self)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        store = getattr(self, "_store", None)  # none if Ctrl-C came before it was made
        if store is not None:
            store.forget(self)
