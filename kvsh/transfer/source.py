"""A file to load: opened in its encoding, read again when the types have to be looked at anew."""

from __future__ import annotations

import codecs
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import IO, TextIO

from kvsh.transfer.formats import LINE_MAX, Endless, TransferError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BUFFER_BYTES = 1 << 18
_POLL_MS = 50
_NULS = bytes(16)
"""What no text begins with, but /dev/zero and a file of holes do."""


_GZIP = b"\x1f\x8b"
"""What a compressed file begins with."""


class Source:
    """The file at `path`, standard input for "-", or what a "|COMMAND" prints; a pipe or a device, and what is compressed, is kept in a
    temporary file, to be read twice.

    `skip`: lines at the beginning that are no part of it.  `encoding` None: what a byte order mark says, else UTF-8.
    `check` is called now and then while a pipe is waited for, and may raise.  Raises TransferError if there is no
    such file, or no such encoding, and Endless."""

    def __init__(
        self, path: str, encoding: str | None, check: Callable[[], None], *, skip: int = 0
    ) -> None:
        self.name = "stdin" if path == "-" else path
        self.skip = skip
        known = _checked(encoding)
        if path == "-":
            self._raw = _spooled(sys.stdin.buffer, self.name, check)
        elif path.startswith("|"):
            self._raw = _printed(path[1:].strip(), check)
        else:
            self._raw = _opened(path, check)
        self._raw.seek(0)
        head = self._raw.read(len(_NULS))
        if head.startswith(_GZIP):
            with self._raw as packed:
                self._raw = _unpacked(packed, self.name, check)
            head = self._raw.read(len(_NULS))
        self.size_bytes = self._raw.seek(0, os.SEEK_END)
        if head == _NULS:
            self._raw.close()
            raise _no_text(self.name)
        self.encoding = known or next(
            (name for mark, name in _MARKS if head.startswith(mark)), "utf-8"
        )
        if encoding is not None and head.startswith(codecs.BOM_UTF8) and _is_utf8(encoding):
            self.encoding = "utf-8-sig"

    def text(self) -> TextIO:
        """The text behind the lines that are skipped; line ends are left as they are."""
        descriptor = os.dup(self._raw.fileno())
        os.lseek(descriptor, 0, os.SEEK_SET)  # shared with `_raw`, which is not read any more
        text = open(  # noqa: SIM115 - the caller closes it
            descriptor, encoding=self.encoding, newline="", buffering=_BUFFER_BYTES
        )
        for _ in range(self.skip):
            if not text.readline(LINE_MAX):
                break
        return text

    def wrong_encoding(self, error: UnicodeError) -> TransferError:
        """The sentence for what does not decode."""
        if not isinstance(error, UnicodeDecodeError):
            return TransferError(f"{self.name} is not {self.encoding}: {error}")
        line, byte, likely = self._wrong_byte()
        where = f"{self.name}:{line}" if line else self.name
        return TransferError(
            f"{where}: byte 0x{byte or error.object[error.start]:02x} is not {self.encoding}: say which encoding the"
            f" file has, such as --encoding {likely}"
        )

    def _wrong_byte(self) -> tuple[int, int, str]:
        """The line (from 1) of the first byte that does not decode, the byte, and what encoding the file may have."""
        decoder = codecs.getincrementaldecoder(self.encoding)()
        self._raw.seek(0)
        line, likely = 1, "latin-1"
        while block := self._raw.read(_BUFFER_BYTES):
            if line == 1 and b"\0" in block[:4]:  # every other byte of ASCII in UTF-16
                likely = "utf-16-be" if block[:1] == b"\0" else "utf-16-le"
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                return line, error.object[error.start], likely
            line += block.count(b"\n")
        return 0, 0, likely  # it ends within a character

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()


def _opened(path: str, check: Callable[[], None]) -> IO[bytes]:
    if os.path.isdir(path):
        raise TransferError(f"{path} is a directory")
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the Source closes it
    except FileNotFoundError:
        raise TransferError(f"no such file: {path}") from None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    with file:
        return _spooled(file, path, check)


def _printed(command: str, check: Callable[[], None]) -> IO[bytes]:
    """What a command of the operating system prints.  Raises TransferError if it fails."""
    import subprocess

    process = subprocess.Popen(
        command, shell=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            spool = _spooled(process.stdout, f"|{command}", check)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.wait():
        spool.close()
        raise TransferError(
            f"|{command} ended with status {process.returncode}: nothing was loaded"
        )
    return spool


def _unpacked(packed: IO[bytes], name: str, check: Callable[[], None]) -> IO[bytes]:
    """What a compressed file holds, in a temporary file that stands at its beginning.  Raises TransferError."""
    import gzip
    import tempfile
    import zlib

    packed.seek(0)
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the Source closes it
    try:
        with gzip.open(packed) as stream:
            while data := stream.read(_BUFFER_BYTES):
                check()
                spool.write(data)
        spool.seek(0)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        spool.close()
        raise TransferError(f"{name} is damaged: {error}") from error
    except BaseException:
        spool.close()
        raise
    return spool


def _no_text(name: str) -> TransferError:
    return TransferError(f"{name} is no text: it begins with NULs")


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe that nobody writes to yet: the waiting is `_spooled`'s, which can be interrupted."""
    return os.open(path, flags | os.O_NONBLOCK)


def _spooled(stream: IO[bytes], name: str, check: Callable[[], None]) -> IO[bytes]:
    """What a pipe or a device brings, up to its end, in a temporary file.  Raises TransferError if it is no text,
    Endless."""
    import tempfile

    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the Source closes it
    descriptor = stream.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    line, line_bytes = 1, 0
    try:
        while True:
            check()
            if not poll.poll(_POLL_MS):
                continue
            data = os.read(descriptor, _BUFFER_BYTES)
            if not data:
                break
            if line_bytes == 0 and data.startswith(_NULS):
                raise _no_text(name)
            line += data.count(b"\n")
            end = data.rfind(b"\n") + 1
            line_bytes = len(data) - end if end else line_bytes + len(data)
            if line_bytes > LINE_MAX:
                raise Endless(line, "the line")
            spool.write(data)
        spool.flush()
    except BaseException:
        spool.close()
        raise
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
