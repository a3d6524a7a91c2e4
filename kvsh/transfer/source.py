"""A file to load: opened in its encoding, read again when the types have to be looked at anew."""

from __future__ import annotations

import codecs
import os
import sys
from typing import IO, TextIO

from kvsh.transfer.formats import TransferError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BUFFER_BYTES = 1 << 18


class Source:
    """The file at `path`, or standard input for "-" (kept in a temporary file, to be read twice).

    `encoding` None: what a byte order mark says, else UTF-8.  Raises TransferError if there is no such
    file, or no such encoding."""

    def __init__(self, path: str, encoding: str | None) -> None:
        self.name = "stdin" if path == "-" else path
        known = _checked(encoding)
        self._raw = _spooled_input() if path == "-" else _opened(path)
        self.size_bytes = self._raw.seek(0, os.SEEK_END)
        self._raw.seek(0)
        head = self._raw.read(4)
        self.encoding = known or next(
            (name for mark, name in _MARKS if head.startswith(mark)), "utf-8"
        )
        if encoding is not None and head.startswith(codecs.BOM_UTF8) and _is_utf8(encoding):
            self.encoding = "utf-8-sig"

    def text(self) -> TextIO:
        """The text from its beginning; line ends are left as they are."""
        descriptor = os.dup(self._raw.fileno())
        os.lseek(descriptor, 0, os.SEEK_SET)  # shared with `_raw`, which is not read any more
        return open(descriptor, encoding=self.encoding, newline="", buffering=_BUFFER_BYTES)

    def wrong_encoding(self, error: UnicodeError) -> TransferError:
        """The sentence for what does not decode."""
        if not isinstance(error, UnicodeDecodeError):
            return TransferError(f"{self.name} is not {self.encoding}: {error}")
        byte = error.object[error.start]
        return TransferError(
            f"{self.name}: byte 0x{byte:02x} is not {self.encoding}: say which encoding the file"
            " has, such as --encoding latin-1"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()


def _opened(path: str) -> IO[bytes]:
    if os.path.isdir(path):
        raise TransferError(f"{path} is a directory")
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise TransferError(f"no such file: {path}") from None


def _spooled_input() -> IO[bytes]:
    import shutil
    import tempfile

    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the Source closes it
    shutil.copyfileobj(sys.stdin.buffer, spool)
    spool.flush()
    return spool


def _checked(encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise TransferError(f"unknown encoding {encoding!r}") from None


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"
