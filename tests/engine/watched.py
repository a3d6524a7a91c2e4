"""A file system whose open files are of a class that a test made: it watches, stops or fails what is asked of them."""

from __future__ import annotations

from engine import OsFile, OsFileSystem


class FilesOf(OsFileSystem):
    """Opens what `OsFileSystem` does, as `kind`."""

    def __init__(self, kind: type[OsFile]) -> None:
        self.kind = kind

    def open(self, path: str, *, readonly: bool) -> OsFile:
        return self.kind(path, readonly=readonly)
