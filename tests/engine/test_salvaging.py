"""Pages that were written before their commit: a repair takes those that nothing can have taken the place of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import PageStore
from engine.file import OsFile, OsFileSystem
from engine.format import (
    KIND_DELETE,
    KIND_PAGE,
    KIND_PAGES,
    KIND_TABLE,
    Record,
    decode_record,
    owner_of,
    page_mark,
    salt_of,
    times_of,
)
from engine.salvaging import place, salvage

OWNER = 7


def written(path: Path) -> None:
    """One commit: page 2 written early, page 3 early and then deleted, page 4 early and then anew, page 5 at the end."""
    store = PageStore.open(path)
    writer = store.begin()
    pages = [writer.allocate() for _ in range(4)]
    assert pages == [2, 3, 4, 5]
    writer.put_many(pages[:3], [b"early %d" % page for page in pages[:3]], OWNER)
    writer.put_last()
    writer.delete(3)
    writer.put(4, b"last 4", OWNER)
    writer.put(5, b"last 5", OWNER)
    writer.commit_pages().wait()
    store.close()


def damaged(path: Path, *which: Callable[[Record], bool]) -> None:
    """Damage the records that one of these says."""
    data = bytearray(path.read_bytes())
    salt = salvaged_salt(path)
    at = 4096
    while record := decode_record(salt, bytes(data), at):
        if any(is_meant(record) for is_meant in which):
            data[at + 20] ^= 1
        at += record.span
    path.write_bytes(data)


def salvaged_salt(path: Path) -> int:
    return salt_of(path.read_bytes()[16:32])


def found(path: Path) -> tuple[dict[int, bytes | None], list[str]]:
    """The newest version of each page, None if it is deleted, and what was noted."""
    result = salvage(str(path))
    try:
        assert set(result.owners.values()) <= {OWNER}
        return {
            page: result.read(page, versions[-1][1]) if versions[-1][1] else None
            for page, versions in result.versions.items()
        }, result.notes
    finally:
        result.file.close()


ALL = {2: b"early 2", 3: None, 4: b"last 4", 5: b"last 5"}


def is_kind(kind: int) -> Callable[[Record], bool]:
    return lambda record: record.kind == kind


def is_again(page: int) -> Callable[[Record], bool]:
    return lambda record: (
        record.page == page and record.kind == KIND_PAGE and times_of(record.pages) == 1
    )


def test_all_of_a_commit_that_is_whole_counts(tmp_path: Path) -> None:
    written(tmp_path / "db")
    assert found(tmp_path / "db") == (ALL, [])


@pytest.mark.parametrize("which", [is_kind(KIND_DELETE), is_again(4)])
def test_early_pages_do_not_count_if_what_took_the_place_of_one_is_lost(
    tmp_path: Path, which: Callable[[Record], bool]
) -> None:
    written(tmp_path / "db")
    damaged(tmp_path / "db", which, is_kind(KIND_TABLE))
    pages, notes = found(tmp_path / "db")
    assert not any(payload and payload.startswith(b"early") for payload in pages.values())
    assert pages[5] == b"last 5"
    assert any(
        "pages that were written before their commit were left out" in note for note in notes
    )


def test_early_pages_count_if_another_page_of_their_commit_is_lost(tmp_path: Path) -> None:
    written(tmp_path / "db")
    damaged(tmp_path / "db", lambda record: record.page == 5, is_kind(KIND_TABLE))
    pages, _ = found(tmp_path / "db")
    assert pages == {page: payload for page, payload in ALL.items() if page != 5}


def test_without_the_commits_record_a_page_table_tells_which_pages_it_left(tmp_path: Path) -> None:
    written(tmp_path / "db")
    damaged(tmp_path / "db", is_kind(KIND_PAGES), is_kind(KIND_DELETE), is_again(4))
    assert found(tmp_path / "db")[0] == {2: b"early 2", 5: b"last 5"}


def test_without_both_only_what_was_written_at_the_end_counts(tmp_path: Path) -> None:
    written(tmp_path / "db")
    store = PageStore.open(tmp_path / "db")
    store.begin().commit_redo(b"a later commit proves the one before").wait()
    store.close()
    damaged(tmp_path / "db", is_kind(KIND_PAGES), is_kind(KIND_TABLE), is_kind(KIND_DELETE))
    assert found(tmp_path / "db")[0] == {4: b"last 4", 5: b"last 5"}


def test_a_copy_of_what_was_written_first_is_not_taken_for_the_last(tmp_path: Path) -> None:
    """A part of the log lies behind itself, where it was first is lost, and a later commit follows."""
    written(tmp_path / "db")
    data = (tmp_path / "db").read_bytes()
    salt, at, records = salvaged_salt(tmp_path / "db"), 4096, []
    while record := decode_record(salt, data, at):
        records.append((at, record))
        at += record.span
    first = next(at for at, record in records if record.page == 4)
    commit_at, commit = records[-2]
    assert commit.kind == KIND_PAGES and commit.page == 2
    copy = data[first : first + records[0][1].span]
    spoiled = data[:first] + bytes(40) + data[first + 40 : commit_at]
    (tmp_path / "db").write_bytes(spoiled + copy + data[commit_at : commit_at + commit.span])
    assert found(tmp_path / "db")[0] == ALL


def test_marks_hold_what_they_are_made_of() -> None:
    for owner in (0, 1, (1 << 24) - 1):
        for times in (0, 1, 126, 127):
            mark = page_mark(owner, times, 1 << 31)
            assert (owner_of(mark), times_of(mark)) == (owner, times)
    assert owner_of(page_mark(1 << 24, 0, 0)) == 0, "too large to be said: nobody's"
    assert times_of(page_mark(1, 300, 0)) == 127


def test_a_page_table_proves_a_commit_whose_record_is_damaged(tmp_path: Path) -> None:
    """And no page of a later one, which may never have been committed."""
    path = tmp_path / "db"
    written(path)
    with PageStore.open(path) as store:
        end = store.current_log.end
        writer = store.begin()
        writer.put(2, b"later", OWNER)
        writer.commit_pages().wait()
        writer.rollback()
    with path.open("r+b") as file:
        file.truncate(end + 40)  # the page's record, and nothing behind it
    damaged(path, is_kind(KIND_PAGES))
    assert found(path)[0] == ALL
    result = salvage(str(path))
    result.file.close()
    assert result.commits == [1]


def test_a_file_of_several_windows_is_found_whole_whatever_it_says_of_its_lengths(
    tmp_path: Path,
) -> None:
    """Records lie over the ends of what is read at once; and where a length leads out of the file, the rest of that isn't
    read for each."""
    path = tmp_path / "db"
    with PageStore.open(path) as store:
        writer = store.begin()
        numbers = [writer.allocate() for _ in range(400)]
        writer.put_many(numbers, [b"%d" % number * 3000 for number in numbers], OWNER)
        writer.commit_pages().wait()
        writer.rollback()
        end = store.current_log.end
    assert end > 3 << 20
    pages, notes = found(path)
    assert pages == {number: b"%d" % number * 3000 for number in numbers}
    assert notes == []
    result = salvage(str(path))
    versions = result.versions
    result.file.close()
    with path.open("r+b") as file:
        for number in numbers[::20]:
            file.seek(place(versions[number][-1][1])[0] + 4)
            file.write((1 << 26).to_bytes(4, "little"))
    reads: list[int] = []

    class Counted(OsFile):
        def read(self, length: int, offset: int) -> bytes:
            reads.append(length)
            return super().read(length, offset)

    class CountedSystem(OsFileSystem):
        def open(self, path: str, *, readonly: bool) -> OsFile:
            return Counted(path, readonly=readonly)

    result = salvage(str(path), CountedSystem())
    result.file.close()
    assert result.versions.keys() == set(numbers) - set(numbers[::20])
    assert sum(reads) < 2 * end
