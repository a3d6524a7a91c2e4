"""A database as bytes, and bytes as a database: `Connection.serialize` and `deserialize`.

The bytes are those of a database file, which is made in (or read from) a temporary directory.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from btree import CorruptionError, NotADatabaseError, open_store
from sql import Session, copy_database


def serialized(session: Session, name: str = "main") -> bytes:
    """A database of the session's, as of now, as the bytes of a file.  Temporary objects are left out."""
    with tempfile.TemporaryDirectory(prefix="kvsh-") as directory:
        path = os.path.join(directory, "database")
        store = open_store(path, durability="off")
        try:
            copy_database(session, Session(store), name=name)
        finally:
            store.close()
        with open(path, "rb") as file:
            return file.read()


def restore(session: Session, data: Any, name: str = "main") -> None:
    """Replace a database of the session's by the one in `data`, a bytes-like object.

    Raises the store's NotADatabaseError and CorruptionError; BufferError, TypeError."""
    with memoryview(data) as view:
        if not view.c_contiguous:
            raise BufferError("memoryview: underlying buffer is not C-contiguous")
        with tempfile.TemporaryDirectory(prefix="kvsh-") as directory:
            path = os.path.join(directory, "database")
            with open(path, "wb") as file:
                file.write(view)
            try:
                store = open_store(path, readonly=True)
                try:
                    copy_database(Session(store), session, into=name)
                finally:
                    store.close()
            except (NotADatabaseError, CorruptionError) as error:
                raise type(error)(str(error).removeprefix(f"{path}: ")) from error
