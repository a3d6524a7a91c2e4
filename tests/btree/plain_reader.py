"""A second reader of database files, written from docs/file-format.md alone: it knows nothing of `engine` and `btree`.

It takes a whole file at once, believes no hint, and raises AssertionError where the file is not what the document says.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import msgspec

Entries = dict[Any, Any]

_PAGE, _DELETE, _PAGES, _REDO, _TABLE = range(1, 6)
_RAW, _ROWS, _CLUSTERED, _INDEX = range(1, 5)
_unpacked = msgspec.msgpack.decode


class PlainFile:
    """The newest state of a file: `trees` are entries by tree, `kinds` those of the trees; what it was read from is counted
    in `records` by kind, and `forms` by kind of tree and form of leaf."""

    def __init__(self, data: bytes) -> None:
        self.records = [0] * 6
        self.forms: set[tuple[int, int]] = set()
        self.trees: dict[int, Entries] = {}
        self.kinds: dict[int, int] = {}
        self._pages: dict[int, bytes] = {}
        redo = self._log(data)
        self._directory()
        for payload in redo:
            for operation, tree_id, argument in _unpacked(payload):
                self._redo(operation, tree_id, argument)

    # -- the log -------------------------------------------------------------------------------------

    def _log(self, data: bytes) -> list[bytes]:
        """Take all records in; the redo behind the last commit of pages."""
        seed = zlib.crc32(_database_id(data))
        redo: list[bytes] = []
        pages: list[tuple[int, int, bytes, int]] = []
        at = start = 4096
        lsn = predecessor = 0
        while at + 32 <= len(data):
            crc, length, number, page, kind, _, mark, count = struct.unpack_from(
                "<IIQQBBHI", data, at
            )
            if mark != 0xD5A7:
                assert not any(data[at:]), "garbage behind the log"
                break
            payload = data[at + 32 : at + 32 + length]
            assert zlib.crc32(data[at + 4 : at + 32 + length], seed) == crc
            self.records[kind] += 1
            at += (32 + length + 7) // 8 * 8
            if kind in (_PAGE, _DELETE):
                pages.append((kind, page, payload, crc))
                continue
            if kind == _TABLE:
                self._page_table(payload, predecessor)
            else:
                lsn = lsn + 1 if lsn else number
                before, of_pages, _, begins, _, _ = struct.unpack_from("<IIQQQQ", payload)
                assert (number, before, begins) == (lsn, predecessor, start)
                predecessor = crc
                redo.append(payload[40:])
                if kind == _PAGES:
                    assert count == len(pages)
                    crcs = b"".join([struct.pack("<I", crc) for *_, crc in pages])
                    assert zlib.crc32(crcs) == of_pages
                    redo.clear()
            for change, page, content, _ in pages:
                self._pages.pop(page, None)
                if change == _PAGE:
                    self._pages[page] = content
            pages.clear()
            start = at
        assert not pages
        return redo

    def _page_table(self, payload: bytes, predecessor: int) -> None:
        chain, _, _ = struct.unpack_from("<IIQ", payload)
        places = struct.unpack_from(f"<{len(payload) // 8 - 2}Q", payload, 16)
        assert chain == predecessor
        assert {page for page, place in enumerate(places) if place} == set(self._pages)
        for page, content in self._pages.items():
            assert places[page] & 0xFFFFFF == (len(content) + 7) // 8

    def _redo(self, operation: int, tree_id: int, argument: Any) -> None:
        if operation == 1:
            self.trees[tree_id], self.kinds[tree_id] = {}, argument
        elif operation == 2:
            del self.trees[tree_id], self.kinds[tree_id]
        elif operation == 4:
            self.trees[tree_id].clear()
        elif operation == 5:
            self.trees[tree_id] = _lengthened(self.trees[tree_id], *argument)
        elif operation == 0:
            pairs = zip(argument[::2], argument[1::2], strict=True)
            if isinstance(argument, dict):
                pairs = argument.items()
            for key, value in pairs:
                self._change(self.trees[tree_id], _tuple(key), value)
        else:
            assert operation == 3

    def _change(self, entries: Entries, key: Any, value: Any) -> None:
        if value is False:
            entries.pop(key, None)
        elif isinstance(value, dict):
            entries[key] = tuple([value.get(place, old) for place, old in enumerate(entries[key])])
        else:
            entries[key] = _tuple(value)

    # -- pages ---------------------------------------------------------------------------------------

    def _directory(self) -> None:
        page = self._pages[1]
        assert page[:3] == bytes([3, 0, 254])
        _, trees, added = _unpacked(page[4:])
        tails = {tree_id: (width, values) for tree_id, width, values in added}
        for tree_id, kind, root, count, *_ in trees:
            entries = dict(self._below(root, kind))
            assert len(entries) == count
            if tree_id in tails:
                entries = _lengthened(entries, *tails[tree_id])
            self.trees[tree_id], self.kinds[tree_id] = entries, kind

    def _below(self, number: int, kind: int) -> list[tuple[Any, Any]]:
        page = self._pages[number]
        assert page[1] == kind
        body = _unpacked(page[4:])
        if page[2] == 0:
            self.forms.add((kind, page[3]))
            return self._leaf(kind, page[3], body)
        separators, pages = body
        found = []
        for place, child in enumerate(pages):
            entries = self._below(child, kind)
            assert place == 0 or not entries or entries[0][0] >= _tuple(separators[place - 1])
            found += entries
        return found

    def _leaf(self, kind: int, form: int, body: Any) -> list[tuple[Any, Any]]:
        if kind == _RAW:
            keys, values = body[:2]
            for slot, page, size in body[2] if form & 128 else ():
                assert values[slot] == b""
                values[slot] = self._large(page, size)
            return list(zip(keys, map(_tuple, values), strict=True))
        if kind == _INDEX:
            entries = self._rows(body[0]) if form & 64 else map(tuple, body[0])
            return [(entry, True) for entry in entries]
        part, rows = body[:2]
        if form & 64:
            rows = self._rows(rows)
        elif form & 128:
            for slot, column, page, size in body[2]:
                rows[slot][column] = self._large(page, size)
        found = list(zip(_keys(form & 31, part, rows), map(tuple, rows), strict=True))
        gone = body[2] if form & 32 else ()
        return [entry for slot, entry in enumerate(found) if slot not in gone]

    def _rows(self, columns: list[bytes]) -> list[tuple[Any, ...]]:
        return list(zip(*map(self._column, columns), strict=True))

    def _column(self, column: bytes) -> list[Any]:
        if column[0] >= 0x90:
            return _unpacked(column)
        letter, rest = chr(column[0]), column[1:]
        if letter == "L":
            values, *places = _unpacked(rest)
            for slot, page, size in zip(*places, strict=True):
                values[slot] = self._large(page, size)
            return values
        assert letter in "bhiqd"
        return list(struct.unpack(f"<{len(rest) // struct.calcsize(letter)}{letter}", rest))

    def _large(self, number: int, size: int) -> Any:
        page = self._pages[number]
        assert page[2] == 255 and len(page) == size
        return _unpacked(page[4:])


def _database_id(data: bytes) -> bytes:
    slots = []
    for place in (0, 512):
        magic, _, _, identity, sequence = struct.unpack_from("<8sII16sQ", data, place)
        (crc,) = struct.unpack_from("<I", data, place + 64)
        if zlib.crc32(data[place : place + 64]) == crc:
            assert magic == b"kvshdb\r\n"
            slots.append((sequence, identity))
    return max(slots)[1]


def _keys(form: int, part: Any, rows: list[Any]) -> list[Any]:
    """The keys of a leaf of rows."""
    if form == 0:
        return [_tuple(key) for key in part]
    if form == 1:
        return list(range(part, part + len(rows)))
    if form == 2:
        keys = []
        for difference in part:
            keys.append(difference + (keys[-1] if keys else 0))
        return keys
    assert form == 3
    if isinstance(part, int):
        return [row[part] for row in rows]
    return [tuple([row[place] for place in part]) for row in rows]


def _lengthened(entries: Entries, width: int, values: list[Any]) -> Entries:
    """Rows with the columns that they lack."""
    return {
        key: (*row, *values[len(values) - (width - len(row)) :]) if len(row) < width else row
        for key, row in entries.items()
    }


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
