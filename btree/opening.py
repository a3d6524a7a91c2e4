"""Opening a store on a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from btree.disk import PAGE_BYTES, DiskStore
from btree.protocols import Store

if TYPE_CHECKING:
    from engine import Durability, FileSystem


def open_store(
    path: str | os.PathLike[str],
    *,
    durability: Durability = "full",
    readonly: bool = False,
    timeout: float = 5.0,
    at: int | None = None,
    cache_bytes: int = 256 << 20,
    files: FileSystem | None = None,
    page_bytes: int = PAGE_BYTES,
    scans_once: bool = False,
    compacts: bool = False,
) -> Store:
    """The store in the file at `path`, which is made if it is not there (and not `readonly`).

    `durability`: "full" (a commit is on the disk when it returns), "normal" or "off".  `timeout`:
    seconds to wait for another writer.  `at`: the commit to stop at, read-only.  `cache_bytes`: the
    memory that nodes may take; `scans_once`: a leaf that a scan loads is kept there only if one has
    loaded it before.  `compacts`: so does the store by itself, behind commits that leave it much to gain.
    `page_bytes`: about how long pages are made.  `files`: the file
    system, for tests.  Raises NotADatabaseError, CorruptionError, BusyError, StoreError."""
    from engine import PageStore

    pages = PageStore.open(
        path, durability=durability, readonly=readonly, timeout=timeout, at=at, files=files
    )
    store = DiskStore(
        pages,
        os.fspath(path),
        readonly=readonly or at is not None,
        cache_bytes=cache_bytes,
        page_bytes=page_bytes,
        scans_once=scans_once,
    )
    store.renewals.compacts = compacts
    return store
