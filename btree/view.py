"""What readers share: a version of the trees with the engine's snapshot that its pages are read through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from btree.errors import StoreError

if TYPE_CHECKING:
    from btree.pages import Snapshot
    from btree.version import Version


class View:
    """A version and the engine's snapshot that its pages are read through.

    Shared by all transactions that begin while it is the newest; the snapshot is closed when the last
    of them, and of the iterators that came from them, is gone."""

    __slots__ = ("snapshot", "version")

    def __init__(self, snapshot: Snapshot, version: Version) -> None:
        self.snapshot = snapshot  # closes itself when nobody has it any more
        self.version = version

    @property
    def lsn(self) -> int:
        return self.version.lsn

    @property
    def moment(self) -> object:
        """See `protocols.Store.is_newest`."""
        return self.snapshot.state


class RawChanges(NamedTuple):
    """What some commits did to the raw keys."""

    moment: object  # what `Store.is_newest` is asked with, as of the last of them
    lsn: int  # the last of them
    changes: dict[bytes, Any]  # the newest value of each key, False: deleted


class _Ended:
    """The reader of a transaction that ended and whose version was never read through a snapshot."""

    __slots__ = ()
    epoch = None

    def locate(self, page: int) -> int:
        raise StoreError("the transaction has ended")

    def read(self, page: int, location: int) -> bytes:
        raise StoreError("the transaction has ended")

    def read_many(self, pages: Sequence[int], locations: Sequence[int]) -> Sequence[bytes]:
        raise StoreError("the transaction has ended")


ENDED = _Ended()
