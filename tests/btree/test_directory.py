"""Directories of older formats, which say of a tree's long values only whether there are any."""

from __future__ import annotations

import msgspec
import pytest

from btree import CorruptionError, TreeKind
from btree.directory import decode_directory, encode_directory, initial_trees
from engine import NotADatabaseError

_RAW = [1, TreeKind.RAW, 7, 30, [], 64]
_CATALOG = [2, TreeKind.TABLE, 8, 0, [], 64]
_TABLE = [3, TreeKind.TABLE, 9, 12, [1, 2], 128]
_FIRST = [*_RAW, False], [*_CATALOG, False]


def older(version: int, *body: object) -> bytes:
    return bytes((version, 0, 254, 0)) + msgspec.msgpack.encode(body)


@pytest.mark.parametrize("large", [False, True])
def test_directories_of_the_first_format_are_read(large: bool) -> None:
    next_tree_id, trees = decode_directory(
        older(1, 4, [[*_RAW, large], [*_CATALOG, False], [*_TABLE, False]])
    )
    assert next_tree_id == 4
    raw, table = trees[1], trees[3]
    assert (raw.kind, raw.root_page, raw.count, raw.leaf_limit) == (TreeKind.RAW, 7, 30, 64)
    assert (table.root_page, table.count, table.kinds, table.added) == (9, 12, (1, 2), None)
    assert (raw.large, table.large) == (int(large), 0)


def test_directories_of_the_second_format_tell_of_added_columns() -> None:
    trees = decode_directory(older(2, 4, [*_FIRST, [*_TABLE, False]], [[3, 5, [None, "x"]]]))[1]
    added = trees[3].added
    assert added is not None
    assert (added.width, list(added.values)) == (5, [None, "x"])


@pytest.mark.parametrize(
    "page",
    [older(1, 4, [*_FIRST, [*_TABLE, True]]), older(2, 4, [*_FIRST, [*_TABLE, True]], [])],
    ids=["first", "second"],
)
def test_long_rows_of_the_older_form_are_refused_by_name(page: bytes) -> None:
    with pytest.raises(NotADatabaseError, match="older kvsh"):
        decode_directory(page)


def test_what_is_written_is_of_the_third_format() -> None:
    page = encode_directory(3, initial_trees(64))
    assert page[:4] == bytes((3, 0, 254, 0))
    assert decode_directory(page)[1].keys() == {1, 2}
    for head in (b"\1\0\xfe\0", b"\2\0\xfe\0", b"\4\0\xfe\0", b"\3\1\xfe\0"):
        with pytest.raises(CorruptionError):
            decode_directory(head + page[4:])


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [_FIRST[0], [*_TABLE, False]],
        [[1, TreeKind.TABLE, *_RAW[2:], False], _FIRST[1]],
        [*_FIRST, [5, *_TABLE[1:], False]],  # not before the next tree's id
        [*_FIRST, [-3, *_TABLE[1:], False]],
        [*_FIRST, [3, TreeKind.TABLE, 1 << 63, 12, [1, 2], 128, False]],
        [*_FIRST, [3, TreeKind.TABLE, 9, -1, [1, 2], 128, False]],
        [*_FIRST, [3, TreeKind.TABLE, 9, 12, [1, 64], 128, False]],
    ],
)
def test_trees_that_no_store_has_are_an_error(entries: list[object]) -> None:
    with pytest.raises(CorruptionError, match="page 1: not a directory of trees"):
        decode_directory(older(1, 5, entries))
