"""Repair: what of a damaged file comes back, and what is said about the rest."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import NotADatabaseError, StorageError, StoreError, TreeKind, open_store, repair
from btree.codec import encoded
from btree.directory import DIRECTORY_PAGE, decode_directory
from btree.long_columns import is_long
from btree.node import new_leaf
from btree.repair import Ages, Gap, kinds_of
from engine import PageStore
from engine.file import OsFile, OsFileSystem
from engine.format import KIND_DELETE, KIND_PAGES, decode_record
from engine.salvaging import place, salvage
from tests.btree.mutated import damaged, salvaged_whole
from tests.engine.workload import PATH, Workload, content_of, small_limits

ROWS = 600
LONG_MIN = 64 // 2
"""Half a page, where these are shortest."""


def made(path: Path, *, redo: bool = False) -> dict[int, dict[Any, Any]]:
    """A database with every kind of tree and large values; its content."""
    store = open_store(path, page_bytes=512)
    transaction = store.begin(write=True)
    ids = [transaction.create_tree(kind) for kind in TreeKind]
    for number in range(ROWS):
        transaction.tree(1).put(b"%05d" % number, b"v" * (number % 40))
        transaction.tree(ids[1]).put(number * 3, (number, f"row {number}", None, 1.5))
        transaction.tree(ids[2]).put((number % 7, number), (number % 7, number, "x"))
        transaction.tree(ids[3]).put((f"k{number}", number))
    for number in range(0, ROWS, 100):
        transaction.tree(1).put(b"large%d" % number, bytes([number % 251]) * 5000)
        transaction.tree(ids[1]).put(number * 3 + 1, (number, "y" * 3000))
    transaction.commit()
    store.checkpoint()
    for number in range(0, ROWS, 3):
        transaction = store.begin(write=True)
        transaction.tree(1).put(b"%05d" % number, b"changed")
        transaction.tree(ids[1]).delete(number * 9)
        transaction.commit()
        if number == 300 and not redo:
            store.checkpoint()
    if not redo:
        store.checkpoint()
    content = content_of(store.begin())
    store.close()
    return content


def salvaged(source: Path, target: Path) -> tuple[dict[int, dict[Any, Any]], list[str]]:
    sentences = repair(source, target)
    store = open_store(target)
    assert store.check() == []
    content = content_of(store.begin())
    store.close()
    return content, sentences


def _lost(content: dict[int, dict[Any, Any]], found: dict[int, dict[Any, Any]]) -> int:
    """How many of the entries were not found."""
    return sum(
        len(entries.keys() - found.get(tree_id, {}).keys()) for tree_id, entries in content.items()
    )


@pytest.mark.parametrize("redo", [False, True])
def test_a_file_that_is_not_damaged_comes_back_whole(tmp_path: Path, redo: bool) -> None:
    content = made(tmp_path / "a", redo=redo)
    before = (tmp_path / "a").read_bytes()
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert found == content
    assert "nothing was damaged" in sentences[1]
    assert (tmp_path / "a").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_file_whose_header_is_gone_comes_back_whole(tmp_path: Path) -> None:
    content = made(tmp_path / "a")
    damaged = bytearray((tmp_path / "a").read_bytes())
    damaged[:4096] = bytes(4096)
    (tmp_path / "a").write_bytes(damaged)
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert found == content
    assert "header" in sentences[1]


@pytest.mark.parametrize("redo", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_damage_costs_little_and_never_gives_a_value_that_was_never_there(
    tmp_path: Path, seed: int, redo: bool
) -> None:
    content = made(tmp_path / "a", redo=redo)
    damaged = bytearray((tmp_path / "a").read_bytes())
    rng = random.Random(seed)
    for _ in range(6):
        at = rng.randrange(4096, len(damaged) - 600)
        damaged[at : at + 512] = rng.choice([bytes(512), rng.randbytes(512)])
    (tmp_path / "a").write_bytes(damaged)
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert any("damaged" in sentence for sentence in sentences)
    for tree_id, entries in content.items():
        for key, value in found.get(tree_id, {}).items():
            if tree_id == 1 and not key.startswith(b"large"):
                assert value in (b"v" * (int(key) % 40), b"changed")
            elif key in entries:
                assert was_once(entries[key], value)
    assert _lost(content, found) < 900, sentences  # six leaves at most, of the 2,400 entries


def compacted(path: Path) -> dict[int, dict[Any, Any]]:
    """A file of one commit, its record and a page table behind all pages; its content."""
    content = made(path)
    store = open_store(path)
    store.compact()
    store.close()
    return content


def commit_of(path: Path) -> int:
    """Where the only commit record of pages is."""
    data = path.read_bytes()
    found = salvage(str(path))
    found.file.close()
    assert len(found.commits) == 1 and not found.notes
    last = max(location for versions in found.versions.values() for _, location in versions)
    at = sum(place(last))
    record = decode_record(found.salt, data, at)
    assert record is not None and record.kind == KIND_PAGES
    return at


def test_a_damaged_commit_record_costs_nothing_that_a_page_table_knows_of(tmp_path: Path) -> None:
    """The file was opened and read by its page table, and its repair found nothing at all."""
    content = compacted(tmp_path / "a")
    damaged = bytearray((tmp_path / "a").read_bytes())
    damaged[commit_of(tmp_path / "a") + 20] ^= 1
    (tmp_path / "a").write_bytes(damaged)
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert found == content
    assert "72 bytes" in sentences[1] and len(sentences) == 2


@pytest.mark.parametrize(("percent", "least"), [(40, 600), (60, 600), (80, 900), (99, 2000)])
def test_of_a_compacted_file_that_was_cut_short_the_rest_comes_back(
    tmp_path: Path, percent: int, least: int
) -> None:
    """Its only commit record was cut off with its end, so that its repair found nothing at all."""
    content = compacted(tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[: commit_of(tmp_path / "a") * percent // 100])
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert any("cut short" in sentence for sentence in sentences)
    kept = 0
    for tree_id, entries in found.items():
        for key, value in entries.items():
            assert was_once(content[tree_id].get(key, ...), value)
        kept += len(entries)
    assert kept >= least, kept


def test_a_target_that_is_there_is_left_alone(tmp_path: Path) -> None:
    made(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(StoreError, match="is there already"):
        repair(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"mine"


@pytest.mark.parametrize("junk", [b"", b"x", b"SQLite format 3\0" * 900, bytes(100_000)])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "a").write_bytes(junk)
    with pytest.raises(NotADatabaseError):
        repair(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").exists()


# Pages that were written early and then again, or deleted: 55, 71, 113, 155, 188.
@pytest.mark.parametrize("seed", [*range(12), 23, 55, 71, 113, 155, 188])
def test_whatever_is_salvaged_was_there_once_and_the_new_trees_are_whole(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    with small_limits():
        workload = Workload(seed).run(15)
    data = workload.disk.content(PATH)
    for number in range(8):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 3, 10])):
            damage(damaged, rng)
        (tmp_path / "a").write_bytes(damaged)
        try:
            found, _ = salvaged(tmp_path / "a", tmp_path / f"b{number}")
        except NotADatabaseError:
            continue
        for tree_id, entries in found.items():
            for key, value in entries.items():
                assert any(
                    was_once(commit.get(tree_id, {}).get(key, ...), value)
                    for commit in workload.commits.values()
                ), f"round {number}: tree {tree_id} never held {value!r:.60} at {key!r}"


def was_once(before: Any, value: Any) -> bool:
    """Whether a value is one of before; a row may have been given columns since, which all rows have, and lost values
    that had a page of their own."""
    if before.__class__ is value.__class__ is tuple:
        pairs = zip(before, value, strict=False)
        return len(before) <= len(value) and all(
            old == new or (new is None and is_long(old, LONG_MIN)) for old, new in pairs
        )
    return bool(before == value)


def damage(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    size = min(rng.choice([1, 8, 100, 512, 4096]), len(data) - at)
    choice = rng.randrange(4)
    if choice == 0:
        data[at : at + size] = bytes(size)
    elif choice == 1:
        data[at : at + size] = rng.randbytes(size)
    elif choice == 2 and size < len(data):
        del data[at : at + size]
    else:
        data[at:at] = data[at // 2 : at // 2 + size]


@pytest.mark.parametrize("size", [1, 3, 8, 13, 700, 5000])
@pytest.mark.parametrize("inserted", [True, False])
def test_bytes_that_were_inserted_or_left_out_cost_what_they_hit_alone(
    tmp_path: Path, size: int, inserted: bool
) -> None:
    """All that followed was lost: records were looked for where offsets are multiples of eight."""
    content = made(tmp_path / "a")
    rng = random.Random(size)
    damaged = bytearray((tmp_path / "a").read_bytes())
    for at in (5000, len(damaged) // 2):
        if inserted:
            damaged[at:at] = rng.randbytes(size)
        else:
            del damaged[at : at + size]
    (tmp_path / "a").write_bytes(damaged)
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert any("damaged" in sentence for sentence in sentences)
    assert _lost(content, found) < 400, sentences


@pytest.mark.parametrize("other", [("text", 1), (1, "text", None), (8, "more")])
def test_leaves_that_nothing_leads_to_go_to_their_trees(
    tmp_path: Path, other: tuple[Any, ...]
) -> None:
    """Those that might have been of two tables were left out; the roots of both are lost here."""
    store = open_store(tmp_path / "a", page_bytes=512)
    transaction = store.begin(write=True)
    ids = [transaction.create_tree(TreeKind.TABLE) for _ in range(2)]
    for tree_id, row in zip(ids, ((7, "text"), other), strict=True):
        tree = transaction.tree(tree_id)
        tree.widen(kinds_of([row]))  # as SQL does
        for number in range(300):
            tree.put(number, row)
    transaction.commit()
    store.checkpoint()
    content = content_of(store.begin())
    store.close()
    damaged = bytearray((tmp_path / "a").read_bytes())
    found = salvage(str(tmp_path / "a"))
    payload = found.read(DIRECTORY_PAGE, found.versions[DIRECTORY_PAGE][-1][1])
    assert payload is not None
    _, trees = decode_directory(payload)
    for tree_id in ids:
        for _, location in found.versions[trees[tree_id].root_page]:
            damaged[place(location)[0] + 40] ^= 1
    found.file.close()
    (tmp_path / "a").write_bytes(damaged)
    got, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert any("is lost" in sentence for sentence in sentences)
    assert got == content, sentences


def damaged_at(path: Path, *pages: int) -> None:
    """Damage every version of some pages."""
    data = bytearray(path.read_bytes())
    found = salvage(str(path))
    for page in pages:
        for _, location in found.versions[page]:
            if location:
                data[place(location)[0] + 40] ^= 1
    found.file.close()
    path.write_bytes(data)


def test_without_a_directory_all_trees_are_made_of_their_leaves(tmp_path: Path) -> None:
    """Of a file of one commit nothing but the key space came back."""
    content = compacted(tmp_path / "a")
    damaged_at(tmp_path / "a", DIRECTORY_PAGE)
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert found == content
    assert any("no directory" in sentence for sentence in sentences)


def test_a_tree_that_was_dropped_does_not_come_back(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a", page_bytes=512)
    transaction = store.begin(write=True)
    ids = [transaction.create_tree(TreeKind.TABLE) for _ in range(2)]
    for tree_id in ids:
        for number in range(300):
            transaction.tree(tree_id).put(number + tree_id, (number, "text"))
    transaction.commit()
    store.checkpoint()
    transaction = store.begin(write=True)
    transaction.drop_tree(ids[0])
    transaction.commit()
    store.checkpoint()
    content = content_of(store.begin())
    store.close()
    data = bytearray((tmp_path / "a").read_bytes())
    found = salvage(str(tmp_path / "a"))
    payload = found.read(DIRECTORY_PAGE, found.versions[DIRECTORY_PAGE][-1][1])
    assert payload is not None
    root = decode_directory(payload)[1][ids[1]].root_page
    found.file.close()
    at, deletions = 4096, 0
    while record := decode_record(found.salt, data, at):
        if record.kind == KIND_DELETE:
            data[at + 9] ^= 1
            deletions += 1
        at += record.span
    assert deletions > 5
    (tmp_path / "a").write_bytes(data)
    damaged_at(tmp_path / "a", root)
    got, _ = salvaged(tmp_path / "a", tmp_path / "b")
    assert got == content


def test_every_page_says_of_which_tree_it_is_wherever_it_is_copied(tmp_path: Path) -> None:
    made(tmp_path / "a")
    store = open_store(tmp_path / "a", page_bytes=512)
    store.backup(str(tmp_path / "b"))
    transaction = store.begin(write=True)
    transaction.tree(1).load([b"%07d" % number for number in range(3000)], [b"v"] * 3000)
    transaction.commit()
    store.compact()
    store.close()
    for path in (tmp_path / "a", tmp_path / "b"):
        store = open_store(path)
        reader = store.begin()
        trees = {
            page: tree_id
            for tree_id in reader.tree_ids()
            for page in reader.pages_below(
                reader.tree(tree_id).root, reader.tree(tree_id).kind, has_large=True
            )
            if page
        }
        reader.rollback()
        store.close()
        found = salvage(str(path))
        found.file.close()
        assert len(trees) > 100
        assert {page: found.owners.get(page) for page in trees} == trees


def test_what_lies_twice_in_the_file_counts_by_its_commit(tmp_path: Path) -> None:
    """An older part of the log behind the newest one took its place."""
    content = made(tmp_path / "a", redo=True)
    data = (tmp_path / "a").read_bytes()
    for cut in (4096, 4101):
        (tmp_path / "a").write_bytes(data + data[cut : len(data) * 2 // 3])
        found, _ = salvaged(tmp_path / "a", tmp_path / f"b{cut}")
        assert found == content


def test_a_target_that_cannot_be_written_is_named_as_it_was_given(tmp_path: Path) -> None:
    made(tmp_path / "a")
    target = tmp_path / "no" / "b"
    with pytest.raises(StorageError, match=f"^{target}: unable to open database file: No such"):
        repair(tmp_path / "a", target)


# Of each of these an undamaged leaf had been left out, or an older value taken: its branch, its directory or itself was
# found in an older version, which nobody took for one.
@pytest.mark.parametrize(
    "seed", [105, 123, 141, 143, 159, 191, 197, 208, 221, 456, *range(700, 706)]
)
def test_whatever_is_not_damaged_comes_back(tmp_path: Path, seed: int) -> None:
    with small_limits():
        data = Workload(seed).run(15).disk.content(PATH)
    for number in range(8):
        after, what = damaged(data, random.Random(seed * 100 + number))
        (tmp_path / "a").write_bytes(after)
        try:
            salvaged_whole(data, tmp_path / "a", tmp_path / f"b{number}")
        except AssertionError as error:
            error.add_note(f"round {number}: {what}")
            raise


def grown(path: Path) -> dict[int, dict[Any, Any]]:
    """A table whose root has split since the oldest directory of trees but one; its content."""
    store = open_store(path, page_bytes=512)
    for first, end in ((0, 20), (20, 1000), (1000, 1010)):
        transaction = store.begin(write=True)
        if not first:
            transaction.create_tree(TreeKind.TABLE)
        for number in range(first, end):
            transaction.tree(3).put(number, (number, f"row {number}"))
        transaction.commit()
        store.checkpoint()
    content = content_of(store.begin())
    store.close()
    return content


def versions_of(path: Path, page: int) -> list[tuple[int, int, int]]:
    """(commit, offset, span) of a page's versions, oldest first."""
    found = salvage(str(path))
    found.file.close()
    return [(lsn, *place(location)) for lsn, location in found.versions[page]]


def overwritten(path: Path, records: list[tuple[int, int, int]]) -> None:
    data = bytearray(path.read_bytes())
    for _, at, span in records:
        data[at : at + span] = bytes(span)
    path.write_bytes(data)


@pytest.mark.parametrize("lost", [1, 2])
def test_an_older_directory_of_trees_is_known_to_be_one(tmp_path: Path, lost: int) -> None:
    """It led to the root of before a split: of 1,010 rows 41 came back."""
    content = grown(tmp_path / "a")
    overwritten(tmp_path / "a", versions_of(tmp_path / "a", DIRECTORY_PAGE)[-lost:])
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert found == content
    older = versions_of(tmp_path / "a", DIRECTORY_PAGE)[-1][0]
    assert f"the directory of trees is damaged: that of commit {older} was used" in sentences


def test_redo_is_applied_to_a_page_that_was_found_in_an_older_version(tmp_path: Path) -> None:
    """Nothing tells which page it was whose record was written over; its older version was taken as it was."""
    store = open_store(tmp_path / "a", page_bytes=512)
    transaction = store.begin(write=True)
    transaction.create_tree(TreeKind.TABLE)
    for number in range(8):
        transaction.tree(3).put(number, (number, "old"))
    transaction.commit()
    store.checkpoint()
    for number in (3, 5):
        transaction = store.begin(write=True)
        transaction.tree(3).put(number, (number, "new"))
        transaction.commit()
    transaction = store.begin(write=True)
    transaction.tree(3).delete(6)
    transaction.commit()
    store.checkpoint()
    content = content_of(store.begin())
    root = store.begin().tree(3).root.page
    store.close()
    versions = versions_of(tmp_path / "a", root)
    assert len(versions) == 2
    overwritten(tmp_path / "a", versions[-1:])
    found, _ = salvaged(tmp_path / "a", tmp_path / "b")
    assert found == content


def test_pages_that_others_took_the_place_of_are_told_of(tmp_path: Path) -> None:
    """No byte is damaged then: `nothing was damaged` was what the report said."""
    content = grown(tmp_path / "a")
    newest, before = (versions_of(tmp_path / "a", DIRECTORY_PAGE)[at] for at in (-1, -2))
    data = bytearray((tmp_path / "a").read_bytes())
    assert newest[2] == before[2]
    data[newest[1] : newest[1] + newest[2]] = data[before[1] : before[1] + before[2]]
    (tmp_path / "a").write_bytes(data)
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert any(f"of commit {newest[0]}, 1 of" in sentence for sentence in sentences)
    assert found == content


def test_ranges_of_keys_have_both_ends() -> None:
    """A branch that is older than those above it has ranges beyond theirs."""
    gap = Gap((5, 1), (9, 1))
    assert [key for key in range(12) if gap.has(key)] == [5, 6, 7, 8]
    assert Gap(None, (9, 1)).part((3, 2), None) == Gap((3, 2), (9, 1))
    assert gap.part((3, 2), (7, 2)) == Gap((5, 1), (7, 2))
    assert gap.part((7, 2), (30, 2)) == Gap((7, 2), (9, 1))
    assert gap.part((9, 2), None) is None and gap.part(None, (5, 2)) is None
    assert Gap(None, None).part(None, None) == Gap(None, None)


def test_how_new_a_key_is_the_newest_leaf_around_it_says() -> None:
    ages = Ages()
    for lo, lsn in ((None, 3), ((10, 1), 0), ((20, 1), 8)):
        ages.found(lo, lsn)
    assert [ages.reached(key) for key in (-5, 9, 10, 19, 20, 99)] == [3, 3, 0, 0, 8, 8]
    for keys, lsn in (([1, 4], 5), ([2, 30], 4), ([3], 9), ([12, 14], 7), ([], 11), ([40, 50], 2)):
        ages.holds(new_leaf(list(keys), None, None), lsn)
    held = {
        0: 0,
        1: 5,
        2: 5,
        3: 9,
        4: 5,
        5: 4,
        12: 7,
        14: 7,
        15: 4,
        30: 4,
        31: 0,
        40: 2,
        50: 2,
        51: 0,
    }
    assert {key: ages.held(key) for key in held} == held
    assert [ages.of(key) for key in (0, 3, 13, 25, 45)] == [3, 9, 7, 8, 8]


@pytest.mark.parametrize("redo", [False, True])
def test_keys_that_expire_do_so_in_a_database_whose_directory_was_lost(
    tmp_path: Path, redo: bool
) -> None:
    """That some do, only the directory said: their values came out with the time, and expired ones came back."""
    with kvsh.open(tmp_path / "a") as db:
        db.update({b"%05d" % number: b"v" for number in range(3000)})
        if redo:  # what follows says no more that some do
            db.put("first", "value", ttl=1000)
            db.delete("first")
        db.checkpoint()
        db.put("mortal", "value", ttl=1000)
        db.put("gone", "value", ttl=0.001)
        if not redo:
            db.checkpoint()
        else:
            (tmp_path / "a.open").write_bytes((tmp_path / "a").read_bytes())
    path = tmp_path / ("a.open" if redo else "a")
    overwritten(path, versions_of(path, DIRECTORY_PAGE))
    repair(path, tmp_path / "b")
    time.sleep(0.01)
    with kvsh.open(tmp_path / "b") as db:
        assert db.get("mortal") == b"value"
        assert db.get("gone") is None
        assert db.execute("SELECT value FROM kv WHERE key >= 'm'").fetchall() == [("value",)]
        assert db.count() == 3001
        assert db.check() == []


def test_how_many_entries_are_lost_is_told(tmp_path: Path) -> None:
    content = compacted(tmp_path / "a")
    there = salvage(str(tmp_path / "a"))
    there.file.close()
    page, owner = max(there.owners.items())
    damaged_at(tmp_path / "a", page)
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    missing = content[owner].keys() - found[owner].keys()
    assert missing and _lost(content, found) == len(missing)
    assert any(
        sentence.startswith(f"tree {owner} ")
        and sentence.endswith(f": {len(missing)} of {len(content[owner])} entries are lost")
        for sentence in sentences
    )


@pytest.mark.parametrize("operation", [[9, 3, None], [0, 99, [1, [2]]], [4, 2**63, None]])
def test_a_commit_that_cannot_be_applied_is_not_half_there(
    tmp_path: Path, operation: list[Any]
) -> None:
    content = compacted(tmp_path / "a")
    with PageStore.open(tmp_path / "a") as store:
        store.begin().commit_redo(encoded([[0, 1, [b"half", b"1"]], operation])).wait()
        store.begin().commit_redo(encoded([[0, 1, [b"next", b"2"]]])).wait()
    found, sentences = salvaged(tmp_path / "a", tmp_path / "b")
    assert any("can't be applied" in sentence for sentence in sentences)
    content[1][b"next"] = b"2"
    assert found == content


def test_what_is_salvaged_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "a")
    done: list[str] = []
    write, sync, rename = OsFile.write, OsFile.sync, OsFileSystem.rename

    def written(self: OsFile, data: bytes, offset: int) -> None:
        done.append("write")
        write(self, data, offset)

    def synced(self: OsFile) -> None:
        done.append("sync")
        sync(self)

    def renamed(self: OsFileSystem, source: str, target: str) -> None:
        done.append("rename")
        rename(self, source, target)

    monkeypatch.setattr(OsFile, "write", written)
    monkeypatch.setattr(OsFile, "sync", synced)
    monkeypatch.setattr(OsFileSystem, "rename", renamed)
    repair(tmp_path / "a", tmp_path / "b")
    assert "write" in done
    assert done[-2:] == ["sync", "rename"]
