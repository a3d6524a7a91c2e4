"""Repair: whatever can still be read of a damaged file, loaded into a new one.

The engine's salvage gives every committed version of every page and the redo records.  Of each page
the newest readable version is taken, the trees are walked from the newest readable directory, and
what is found is loaded into fresh trees with the same ids.

A page may be lost or readable in an older version only, and only the latter may be known: what was written over the
newer one leaves no trace of which page it was.  So where anything is damaged, all that redo records say about keys is
applied whose page was found as of a commit before theirs.  A page's range of keys is known from the branch
above it, so entries of an old version that have moved to other pages since are left out.  Each page's record says of
which tree it is, so leaves that no branch leads to any more are put where their tree has lost that range, or has fewer entries
than its count says; and trees whose directory is lost are made anew of theirs.
"""

from __future__ import annotations

import contextlib
import os
import stat
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from btree import codec
from btree.added import Added
from btree.check import check_plain
from btree.directory import DIRECTORY_PAGE, decode_directory
from btree.disk import DiskStore
from btree.errors import CorruptionError, StorageError, StoreError
from btree.keyspace import EXPIRING
from btree.large_values import decode_large
from btree.node import InPages, LargeReference, LongRow, Node
from btree.order import less, order_key
from btree.protocols import CATALOG_TREE_ID, Key, Kind, TreeKind, Value
from btree.redo import OP_CHANGES, change_columns, decode_redo, replay
from btree.transaction import OP_LENGTHEN, LocalTransaction
from btree.tree import DELETED, Tree
from btree.tree_state import TreeState

if TYPE_CHECKING:
    from engine import Salvage

NOTES_MAX = 200
NOTHING_DAMAGED = "nothing was damaged"
_LEVEL_AT = 2  # of a node's page
_KINDS = {type(None): Kind.NULL, int: Kind.INTEGER, float: Kind.REAL, str: Kind.TEXT}


Fence = tuple[Key, int]
"""A bound, and the commit of the branch that says so."""


class Gap(NamedTuple):
    """A range of keys of which something is lost, perhaps; a hole if it is the range of a page that is."""

    lo: Fence | None
    hi: Fence | None
    is_hole: bool = True

    def has(self, key: Key) -> bool:
        return not (
            (self.lo is not None and less(key, self.lo[0]))
            or (self.hi is not None and not less(key, self.hi[0]))
        )

    def part(self, lo: Fence | None, hi: Fence | None) -> Gap | None:
        """What lies within both; None if nothing does, as below a branch that is older than those above it."""
        if self.lo is not None and (lo is None or less(lo[0], self.lo[0])):
            lo = self.lo
        if self.hi is not None and (hi is None or less(self.hi[0], hi[0])):
            hi = self.hi
        return Gap(lo, hi) if lo is None or hi is None or less(lo[0], hi[0]) else None


class Ages:
    """How new what was found of a tree is, by key: the commit of the page that it was found in."""

    def __init__(self) -> None:
        self._starts: list[Any] = []
        self._lsns: list[int] = []
        self._held: list[tuple[list[tuple[Any, Any, int]], list[Any]]] = []

    def found(self, lo: Fence | None, lsn: int) -> None:
        """From `lo` on a page of commit `lsn` counts, or none (0).  To be told in the order of the keys."""
        self._starts.append(() if lo is None else order_key(lo[0]))
        self._lsns.append(lsn)

    def holds(self, leaf: Node, lsn: int) -> None:
        """A leaf of commit `lsn`, wherever it was found."""
        if not leaf.keys:
            return
        # Sorted runs, each longer than the next, with the greatest of the last keys up to each place.
        run = [(order_key(leaf.keys[0]), order_key(leaf.keys[-1]), lsn)]
        while self._held and len(self._held[-1][0]) <= len(run):
            run = sorted(self._held.pop()[0] + run)
        self._held.append((run, list(accumulate([last for _, last, _ in run], max))))

    def of(self, key: Key) -> int:
        return max(self.reached(key), self.held(key))

    def reached(self, key: Key) -> int:
        """The commit of the page that a branch leads to for a key."""
        at = bisect_right(self._starts, order_key(key)) - 1
        return self._lsns[at] if at >= 0 else 0

    def held(self, key: Key) -> int:
        """The newest commit of the leaves that have keys below and above this one, or the key itself."""
        wanted, newest = order_key(key), 0
        for run, reach in self._held:
            at = bisect_right(run, wanted, key=itemgetter(0)) - 1
            while at >= 0 and reach[at] >= wanted:
                _, last, lsn = run[at]
                if last >= wanted:
                    newest = max(newest, lsn)
                at -= 1
        return newest


class Astray(NamedTuple):
    """A leaf that holds entries where no branch leads to them."""

    lsn: int
    page: int
    location: int
    tree_id: int
    bounds: Gap | None = None
    """Where a branch has it.  It holds more: what another page had that is gone, or the branch is older."""

    def wanted(self, gaps: list[Gap]) -> list[Gap]:
        """The ranges that it may have entries of."""
        if self.bounds is None:
            return [Gap(None, None)]
        ranges = [gap for gap in gaps if gap.is_hole]
        if self.bounds.lo is not None and self.bounds.lo[1] < self.lsn:
            ranges.append(Gap(None, self.bounds.lo))
        if self.bounds.hi is not None and self.bounds.hi[1] < self.lsn:
            ranges.append(Gap(self.bounds.hi, None))
        return ranges


def repair(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    mend: Callable[[str], list[str]] | None = None,
) -> list[str]:
    """Salvage the database at `source` into a new one at `target`; what was saved and what was lost.

    `mend` is called with the path of the new database before it gets its name, if anything was damaged, and says what it
    did: whoever kills this leaves no database under that name whose tables and indexes don't agree.

    The source is only read.  StoreError if the target is there already, NotADatabaseError if nothing
    of a database is in the source."""
    from engine import OsFileSystem, remove_leftovers, salvage, temporary_name

    source, target = os.fspath(source), os.fspath(target)
    files = OsFileSystem()
    if os.path.lexists(target):
        raise StoreError(f"{target}: is there already: name a new file for what is salvaged")
    salvaged = salvage(source)
    remove_leftovers(target, files)
    temporary = temporary_name(target, "salvage")
    try:
        try:
            sentences = _Repair(salvaged, source).run(temporary)
            if mend is not None and sentences[1:] != [NOTHING_DAMAGED]:
                sentences += mend(temporary)
        except StorageError as error:  # as the caller names it
            raise StorageError(str(error).replace(temporary, target)) from error
        try:
            # Readable to whom the source is; writable even if that is on media that is not.
            os.chmod(temporary, stat.S_IMODE(os.stat(source).st_mode) | stat.S_IWUSR)
            files.rename(temporary, target)
        except OSError as error:
            what = error.strerror or str(error)
            raise StoreError(f"{target}: can't be written: {what}") from error
    finally:
        salvaged.file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return sentences


class _Repair:
    def __init__(self, salvaged: Salvage, source: str) -> None:
        self.salvaged = salvaged
        self.source = source
        self.notes: list[str] = []
        self.gaps: defaultdict[int, list[Gap]] = defaultdict(list)
        self.ages: defaultdict[int, Ages] = defaultdict(Ages)
        self.overfull: list[Astray] = []
        self.reached: set[int] = {DIRECTORY_PAGE}
        self.knows_all_trees = True
        self.added: dict[int, Added] = {}

    def note(self, sentence: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(sentence)
        elif len(self.notes) == NOTES_MAX:
            self.notes.append(f"more than {NOTES_MAX} losses: the others are not listed")

    def run(self, target: str) -> list[str]:
        from engine import PageStore

        pages = PageStore.open(target, durability="off")
        store = DiskStore(pages, target)
        try:
            transaction = store.begin(write=True)
            self._fill(transaction)
            transaction.give_up_redo()
            transaction.commit()
            entries = self._entries(store)
            pages.seal()
        finally:
            store.close()
        newest = max(self.salvaged.commits, default=0)
        found = [*self.salvaged.notes, *self.notes]
        losses = found or [NOTHING_DAMAGED]
        return [f"{entries} entries salvaged from {self.source}, up to commit {newest}", *losses]

    def _entries(self, store: DiskStore) -> int:
        reader = store.begin()
        try:
            return sum(len(reader.tree(tree_id)) for tree_id in reader.tree_ids())
        finally:
            reader.rollback()

    def _fill(self, transaction: LocalTransaction) -> None:
        states = self._directory(transaction)
        for state in states:
            tree_id = state.id
            if tree_id not in transaction.tree_ids():
                self._create(transaction, tree_id, state.kind)
            self._tree(transaction.tree(tree_id), state)
        self._stray_leaves(transaction)
        transaction.next_tree_id = max(self.next_tree_id, transaction.next_tree_id)
        older = [entry for entry in self.salvaged.redo if entry[0] <= self.salvaged.base_lsn]
        for lsn, record in older:
            self._replay_into_gaps(transaction, lsn, record)
        for state in states:
            self._note_losses(state, len(transaction.tree(state.id)))
        for lsn, record in self.salvaged.redo[len(older) :]:
            self._replay(transaction, lsn, record)

    # -- pages -------------------------------------------------------------------------------------

    def _directory(self, transaction: LocalTransaction) -> list[TreeState]:
        versions = self.salvaged.versions.get(DIRECTORY_PAGE, [])
        self.next_tree_id = transaction.next_tree_id
        for lsn, location in reversed(versions):
            payload = self.salvaged.read(DIRECTORY_PAGE, location)
            if payload is None:
                continue
            try:
                self.next_tree_id, trees = decode_directory(payload)
            except CorruptionError:
                continue
            self.added = {
                tree_id: state.added for tree_id, state in trees.items() if state.added is not None
            }
            if lsn != self.salvaged.base_lsn:  # each commit of pages writes it
                self.knows_all_trees = False
                self._add_columns(lsn)
                self.note(f"the directory of trees is damaged: that of commit {lsn} was used")
                for tree_id in trees:
                    self.gaps[tree_id].append(Gap(None, None, is_hole=False))
            return list(trees.values())
        if self.salvaged.base_lsn:
            self.note(
                "no directory of trees can be read: the trees are made of the leaves that were found"
            )
            self.knows_all_trees = False
            self.gaps.update({tree_id: [Gap(None, None)] for tree_id in transaction.tree_ids()})
        return []

    def _add_columns(self, after: int) -> None:
        """Know of the columns that trees were given after the commit of an older directory."""
        for lsn, record in self.salvaged.redo:
            if not after < lsn <= self.salvaged.base_lsn:
                continue
            with contextlib.suppress(CorruptionError):
                for operation, tree_id, argument in decode_redo(record):
                    if operation == OP_LENGTHEN:
                        known = self.added.get(tree_id)
                        made = Added(*argument) if known is None else known.lengthened(*argument)
                        self.added[tree_id] = made

    def _node(self, kind: TreeKind, page: int, name: str) -> tuple[Node | None, int, int]:
        """The newest readable version of a node, None if there is none; of which commit it is, and where it was.

        What is missing is noted."""
        versions = self.salvaged.versions.get(page, [])
        for at, (lsn, location) in enumerate(reversed(versions)):
            if not location:
                return (
                    None,
                    lsn,
                    0,
                )  # deleted since the branch was written: its entries went elsewhere
            payload = self.salvaged.read(page, location)
            if payload is None:
                continue
            try:
                node = codec.decode_node(kind, payload, page, location)
                check_plain(kind, node)
            except CorruptionError:
                continue
            if at:
                self.note(f"{name}: page {page} is damaged: its version of commit {lsn} was used")
                self.salvaged.is_whole = False
            return node, lsn, location
        self.note(f"{name}: page {page} is lost")
        return None, 0, 0

    def _tree(self, tree: Tree, state: TreeState) -> None:
        name = f"tree {state.id} ({state.kind.name})"
        tree.widen(state.kinds)
        count = 0
        everything = Gap(None, None)
        for leaf, bounds in self._leaves(state, state.root_page, everything, 256, name):
            count += self._load(tree, leaf, bounds, name)
        if count != state.count:
            self.gaps[state.id].append(
                Gap(None, None, is_hole=False)
            )  # a branch may be older than its leaves

    def _note_losses(self, state: TreeState, count: int) -> None:
        name = f"tree {state.id} ({state.kind.name})"
        if count < state.count and self.gaps[state.id]:
            lost = state.count - count
            self.note(f"{name}: {lost} of {state.count} entries are lost")
            if state.id == CATALOG_TREE_ID:
                self.note("that is the catalog: SQL does not know some of the tables any more")
        elif count != state.count and self.knows_all_trees:
            self.note(f"{name}: {count} entries, but its count says {state.count}")

    def _leaves(
        self, state: TreeState, page: int, bounds: Gap, level: int, name: str
    ) -> Iterator[tuple[Node, Gap]]:
        ages = self.ages[state.id]
        if page in self.reached:
            # By branches of several ages: what of it belongs here, was out of its bounds there.
            self.note(f"{name}: page {page} is reached twice")
            self.gaps[state.id].append(bounds)
            ages.found(bounds.lo, max(self.salvaged.versions.get(page, [(0, 0)]))[0])
            return
        self.reached.add(page)
        node, lsn, location = self._node(state.kind, page, name)
        if node is not None and node.level >= level:
            self.note(f"{name}: page {page} is on the wrong level: left out")
            node, lsn = None, 0
        if node is None:
            self.gaps[state.id].append(bounds)
            ages.found(bounds.lo, lsn)
            return
        if node.pages is None:
            ages.found(bounds.lo, lsn)
            ages.holds(node, lsn)
            if node.keys and not (bounds.has(node.keys[0]) and bounds.has(node.keys[-1])):
                self.overfull.append(Astray(lsn, page, location, state.id, bounds))
            yield node, bounds
            return
        fences = [bounds.lo, *[(key, lsn) for key in node.keys], bounds.hi]
        for child, within in zip(node.pages, pairwise(fences), strict=True):
            part = bounds.part(*within)
            if part is not None:
                yield from self._leaves(state, child, part, node.level, name)

    # -- entries -----------------------------------------------------------------------------------

    def _load(
        self, tree: Tree, leaf: Node, bounds: Gap, name: str, *, newer: int | None = None
    ) -> int:
        """Put a leaf's entries within the bounds into the tree; how many there were.

        `newer`: its commit, and of the keys that are there already those alone that were found in an older page."""
        index = leaf.values is None
        values: list[Value] = [None] * len(leaf.keys) if leaf.values is None else list(leaf.values)
        entries = []
        ages = self.ages[tree.id]
        for key, value in zip(leaf.keys, values, strict=True):
            if not bounds.has(key):
                continue
            if newer is not None and (
                ages.held(key) > newer or (key in tree and ages.reached(key) >= newer)
            ):
                continue
            if isinstance(value, InPages):
                value = self._large(tree.kind, value, key, name)
                if value is None:
                    continue
            if tree.id in self.added and value.__class__ is tuple:
                value = self._lengthened(tree.id, value, name)
            entries.append((key, value))
        if any(not less(before[0], after[0]) for before, after in pairwise(entries)):
            self.note(f"{name}: the keys of page {leaf.page} were out of order")
            entries = list({order_key(key): (key, value) for key, value in entries}.values())
            entries.sort(key=lambda entry: order_key(entry[0]))
        if not entries:
            return 0
        _widen(tree, [value for _, value in entries])
        keys = [key for key, _ in entries]
        tree.load(keys, None if index else [value for _, value in entries])
        return len(entries)

    def _lengthened(self, tree_id: int, row: tuple[Value, ...], name: str) -> tuple[Value, ...]:
        """A row with the columns that were added since it was written."""
        try:
            longer: tuple[Value, ...] = self.added[tree_id].row(row)
            return longer
        except ValueError as error:
            del self.added[tree_id]
            self.note(f"{name}: the columns that were added to its rows make no sense ({error})")
            return row

    def _large(self, kind: TreeKind, value: InPages, key: Key, name: str) -> Value:
        """The value with what is in pages of its own; None if it is lost, NULLs for what is lost of a row."""
        if isinstance(value, LargeReference):
            return self._in_page(kind, value.page, value.size_bytes, f"{name}: the value", key)
        assert isinstance(value, LongRow)
        row = list(value.head)
        for column, page, size_bytes in value.parts:
            what = f"{name}: column {column + 1}"
            row[column] = self._in_page(kind, page, size_bytes, what, key)
        return tuple(row)

    def _in_page(self, kind: TreeKind, page: int, size_bytes: int, what: str, key: Key) -> Value:
        self.reached.add(page)
        for _, location in reversed(self.salvaged.versions.get(page, [])):
            payload = self.salvaged.read(page, location) if location else None
            if payload is not None:
                with contextlib.suppress(CorruptionError):
                    return decode_large(kind, payload, page)
        self.note(f"{what} of {key!r:.60} ({size_bytes} bytes) is lost")
        return None

    def _stray_leaves(self, transaction: LocalTransaction) -> None:
        """Put leaves that nothing leads to into their trees, if those have lost what is in them."""
        if self._is_whole() and self.knows_all_trees and not self.overfull:
            return
        saved: dict[int, int] = {}
        homeless = 0
        for astray in sorted(
            [*self._strays(), *self.overfull], key=lambda astray: (-astray.lsn, astray.page)
        ):
            lsn, page, location, tree_id, bounds = astray
            payload = self.salvaged.read(page, location)
            if payload is None or len(payload) < codec.HEAD_BYTES or payload[_LEVEL_AT]:
                continue
            try:
                kind = TreeKind(payload[1])
                leaf = codec.decode_node(kind, payload, page, location)
                check_plain(kind, leaf)
            except (CorruptionError, ValueError):
                continue
            if not tree_id:
                homeless += bool(leaf.keys)
                continue
            if bounds is not None:
                tree = transaction.tree(tree_id)
            else:
                home = self._home(transaction, kind, tree_id, leaf, lsn)
                if home is None:
                    continue
                tree = home
            name = f"tree {tree_id} ({kind.name})"
            wanted = astray.wanted(self.gaps[tree_id])
            count = sum([self._load(tree, leaf, gap, name, newer=lsn) for gap in wanted])
            self.ages[tree_id].holds(leaf, lsn)
            saved[tree_id] = saved.get(tree_id, 0) + count
        for tree_id, count in saved.items():
            if count:
                self.note(f"tree {tree_id}: {count} entries were found in stray leaves")
        if homeless:
            self.note(f"{homeless} stray leaves do not say which tree they are of: left out")

    def _strays(self) -> Iterator[Astray]:
        for page, versions in self.salvaged.versions.items():
            lsn, location = versions[-1]
            if location and page not in self.reached:
                yield Astray(lsn, page, location, self.salvaged.owners.get(page, 0))

    def _home(
        self, transaction: LocalTransaction, kind: TreeKind, tree_id: int, leaf: Node, lsn: int
    ) -> Tree | None:
        """The tree that a stray leaf is put into; None if it has lost nothing where the leaf's entries belong."""
        if tree_id not in transaction.tree_ids():
            if self.knows_all_trees:
                return None  # it was dropped
            self.next_tree_id = max(self.next_tree_id, tree_id + 1)
            self._create(transaction, tree_id, kind)
            self.gaps[tree_id] = [Gap(None, None)]
            self.note(f"tree {tree_id} ({kind.name}): made anew of leaves that were found")
        tree = transaction.tree(tree_id)
        if not leaf.keys or tree.kind is not kind:
            return None
        first, last = leaf.keys[0], leaf.keys[-1]
        if any(gap.has(first) and gap.has(last) for gap in self.gaps[tree_id]):
            return tree
        # Who is older than a leaf that was split from it lost its newer version, and its branch did.
        return tree if self.ages[tree_id].reached(first) < lsn else None

    def _is_whole(self) -> bool:
        """Whether nothing but what was found can have been there."""
        return self.salvaged.is_whole and not any(self.gaps.values())

    def _create(self, transaction: LocalTransaction, tree_id: int, kind: TreeKind) -> None:
        transaction.next_tree_id = tree_id
        transaction.create_tree(kind)

    # -- redo --------------------------------------------------------------------------------------

    def _replay(self, transaction: LocalTransaction, lsn: int, record: bytes) -> None:
        savepoint = transaction.savepoint()
        try:
            replay(transaction, [record], lenient=True)
            if not self._is_whole():  # who widened the trees for it may be lost
                for operation, tree_id, changes in decode_redo(record):
                    if operation == OP_CHANGES and tree_id in transaction.tree_ids():
                        self._widen_for(transaction.tree(tree_id), changes[::2])
        except (StoreError, KeyError) as error:
            transaction.rollback_to(savepoint)
            self.note(f"the changes of commit {lsn} can't be applied: {error}")
        transaction.release(savepoint)

    def _widen_for(self, tree: Tree, keys: list[Any]) -> None:
        if tree.kind is not TreeKind.INDEX:
            found = [tree.get(tuple(key) if key.__class__ is list else key) for key in keys]
            _widen(tree, [value for value in found if value is not None])

    def _replay_into_gaps(self, transaction: LocalTransaction, lsn: int, record: bytes) -> None:
        """What a redo record says about keys whose page is lost, or was found in a version from before it."""
        if self._is_whole():
            return
        try:
            operations = decode_redo(record)
        except CorruptionError as error:
            self.note(f"the changes of commit {lsn} can't be applied: {error}")
            return
        for operation, tree_id, changes in operations:
            if operation != OP_CHANGES or tree_id not in transaction.tree_ids():
                continue
            tree, ages = transaction.tree(tree_id), self.ages[tree_id]
            for key, value in zip(*[iter(changes)] * 2, strict=False):
                key = tuple(key) if key.__class__ is list else key
                value = tuple(value) if value.__class__ is list else value
                if ages.of(key) >= lsn:
                    continue
                if value.__class__ is dict:  # of a row that is lost, unless one before has it all
                    change_columns(tree, key, value)
                    continue
                if value is DELETED:
                    tree.delete(key)
                else:
                    if tree_id in self.added:
                        value = self._lengthened(tree_id, value, f"tree {tree_id}")
                    _widen(tree, [value])
                    tree.put(key, value)


def _widen(tree: Tree, values: list[Any]) -> None:
    """Have a tree know of the kinds of values that are put there, whatever became of what its directory said."""
    if tree.kind in (TreeKind.TABLE, TreeKind.CLUSTERED):
        tree.widen(kinds_of(values))
    elif tree.kind is TreeKind.RAW and tuple in map(type, values):
        tree.widen([EXPIRING])


def kinds_of(rows: list[Any]) -> list[int]:
    """Per column, the kinds of value that stand in the rows."""
    masks: list[int] = []
    for row in rows:
        masks.extend([0] * (len(row) - len(masks)))
        for column, value in enumerate(row):
            masks[column] |= _KINDS.get(value.__class__, Kind.BLOB)
    return masks
