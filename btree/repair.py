"""Repair: whatever can still be read of a damaged file, loaded into a new one.

The engine's salvage gives every committed version of every page and the redo records.  Of each page
the newest readable version is taken, the trees are walked from the newest readable directory, and
what is found is loaded into fresh trees with the same ids.

A page may be lost or readable in an older version only.  Its range of keys is known from the branch
above it, so entries of an old version that have moved to other pages since are left out, and what
redo records say about keys in the range is applied on top.  Each page's record says of which tree it is, so
leaves that no branch leads to any more are put where their tree has lost that range; and trees whose directory
is lost are made anew of theirs.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from btree import codec
from btree.added import Added
from btree.check import check_plain
from btree.directory import DIRECTORY_PAGE, decode_directory
from btree.disk import DiskStore
from btree.errors import CorruptionError, StorageError, StoreError
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
_LEVEL_AT = 2  # of a node's page
_KINDS = {type(None): Kind.NULL, int: Kind.INTEGER, float: Kind.REAL, str: Kind.TEXT}


class Gap(NamedTuple):
    """A range of keys, boxed bounds, of which only an older version was found, or none (lsn 0)."""

    lo: tuple[Key] | None
    hi: tuple[Key] | None
    lsn: int

    def has(self, key: Key) -> bool:
        return not (
            (self.lo is not None and less(key, self.lo[0]))
            or (self.hi is not None and not less(key, self.hi[0]))
        )


def repair(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> list[str]:
    """Salvage the database at `source` into a new one at `target`; what was saved and what was lost.

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
        self.gaps: dict[int, list[Gap]] = {}
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
        losses = found or ["nothing was damaged"]
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
            if lsn != versions[-1][0]:
                self.knows_all_trees = False
                self._add_columns(lsn)
                self.note(f"the directory of trees is damaged: that of commit {lsn} was used")
                for tree_id in trees:
                    self.gaps.setdefault(tree_id, []).append(Gap(None, None, lsn))
            return list(trees.values())
        if self.salvaged.base_lsn:
            self.note(
                "no directory of trees can be read: the trees are made of the leaves that were found"
            )
            self.knows_all_trees = False
            self.gaps = {tree_id: [Gap(None, None, 0)] for tree_id in transaction.tree_ids()}
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

    def _node(
        self, kind: TreeKind, page: int, gaps: list[Gap], bounds: Gap, name: str
    ) -> Node | None:
        """The newest readable version of a node; what is missing is noted, and goes to `gaps`."""
        versions = self.salvaged.versions.get(page, [])
        for at, (lsn, location) in enumerate(reversed(versions)):
            if not location:
                gaps.append(Gap(bounds.lo, bounds.hi, lsn))
                return None  # deleted since the branch was written: its entries went elsewhere
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
                gaps.append(Gap(bounds.lo, bounds.hi, lsn))
            return node
        self.note(f"{name}: page {page} is lost")
        gaps.append(Gap(bounds.lo, bounds.hi, 0))
        return None

    def _tree(self, tree: Tree, state: TreeState) -> None:
        name = f"tree {state.id} ({state.kind.name})"
        tree.widen(state.kinds)
        gaps = self.gaps.setdefault(state.id, [])
        count = 0
        everything = Gap(None, None, 0)
        for leaf, bounds in self._leaves(state.kind, state.root_page, gaps, everything, 256, name):
            count += self._load(tree, leaf, bounds, name)
        if count != state.count and not gaps:
            self.note(f"{name}: {count} entries, but its count says {state.count}")

    def _note_losses(self, state: TreeState, count: int) -> None:
        if count < state.count and self.gaps[state.id]:
            lost = state.count - count
            self.note(
                f"tree {state.id} ({state.kind.name}): {lost} of {state.count} entries are lost"
            )
            if state.id == CATALOG_TREE_ID:
                self.note("that is the catalog: SQL does not know some of the tables any more")

    def _leaves(
        self, kind: TreeKind, page: int, gaps: list[Gap], bounds: Gap, level: int, name: str
    ) -> Iterator[tuple[Node, Gap]]:
        if page in self.reached:
            self.note(f"{name}: page {page} is reached twice: left out here")
            return
        self.reached.add(page)
        node = self._node(kind, page, gaps, bounds, name)
        if node is None:
            return
        if node.level >= level:
            self.note(f"{name}: page {page} is on the wrong level: left out")
            gaps.append(bounds)
            return
        if node.pages is None:
            yield node, bounds
            return
        fences: list[tuple[Key] | None] = [bounds.lo, *[(key,) for key in node.keys], bounds.hi]
        for child, (lo, hi) in zip(node.pages, pairwise(fences), strict=True):
            yield from self._leaves(kind, child, gaps, Gap(lo, hi, 0), node.level, name)

    # -- entries -----------------------------------------------------------------------------------

    def _load(self, tree: Tree, leaf: Node, bounds: Gap, name: str, *, new: bool = False) -> int:
        """Put a leaf's entries within the bounds into the tree; how many there were."""
        index = leaf.values is None
        values: list[Value] = [None] * len(leaf.keys) if leaf.values is None else list(leaf.values)
        entries = []
        added = self.added.get(tree.id)
        for key, value in zip(leaf.keys, values, strict=True):
            if not bounds.has(key):
                continue
            if isinstance(value, InPages):
                value = self._large(tree.kind, value, key, name)
                if value is None:
                    continue
            if added is not None and value.__class__ is tuple:
                value = added.row(value)
            entries.append((key, value))
        if any(not less(before[0], after[0]) for before, after in pairwise(entries)):
            self.note(f"{name}: the keys of page {leaf.page} were out of order")
            entries = list({order_key(key): (key, value) for key, value in entries}.values())
            entries.sort(key=lambda entry: order_key(entry[0]))
        if new:
            entries = [entry for entry in entries if entry[0] not in tree]
        if not entries:
            return 0
        if tree.kind in (TreeKind.TABLE, TreeKind.CLUSTERED):
            tree.widen(kinds_of([value for _, value in entries]))
        keys = [key for key, _ in entries]
        tree.load(keys, None if index else [value for _, value in entries])
        return len(entries)

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
        if self.knows_all_trees and not any(self.gaps.values()):
            return
        saved: dict[int, int] = {}
        homeless = 0
        versions = self.salvaged.versions
        strays = [page for page in versions if page not in self.reached and versions[page][-1][1]]
        for page in sorted(strays, key=lambda page: (-versions[page][-1][0], page)):
            location = versions[page][-1][1]
            payload = self.salvaged.read(page, location)
            if payload is None or len(payload) < codec.HEAD_BYTES or payload[_LEVEL_AT]:
                continue
            try:
                leaf = codec.decode_node(TreeKind(payload[1]), payload, page, location)
                check_plain(TreeKind(payload[1]), leaf)
            except (CorruptionError, ValueError):
                continue
            tree_id = self.salvaged.owners.get(page, 0)
            if not tree_id:
                homeless += bool(leaf.keys)
                continue
            tree = self._home(transaction, TreeKind(payload[1]), tree_id, leaf)
            if tree is not None:
                name = f"tree {tree.id} ({tree.kind.name})"
                count = self._load(tree, leaf, Gap(None, None, 0), name, new=True)
                saved[tree.id] = saved.get(tree.id, 0) + count
        for tree_id, count in saved.items():
            if count:
                self.note(f"tree {tree_id}: {count} entries were found in stray leaves")
        if homeless:
            self.note(f"{homeless} stray leaves do not say which tree they are of: left out")

    def _home(
        self, transaction: LocalTransaction, kind: TreeKind, tree_id: int, leaf: Node
    ) -> Tree | None:
        """The tree that a stray leaf is put into; None if it has lost nothing where the leaf's entries belong."""
        if tree_id not in transaction.tree_ids():
            if self.knows_all_trees:
                return None  # it was dropped
            self.next_tree_id = max(self.next_tree_id, tree_id + 1)
            self._create(transaction, tree_id, kind)
            self.gaps[tree_id] = [Gap(None, None, 0)]
            self.note(f"tree {tree_id} ({kind.name}): made anew of leaves that were found")
        tree = transaction.tree(tree_id)
        gaps = self.gaps.get(tree_id, ())
        has_lost = leaf.keys and any(
            gap.has(leaf.keys[0]) and gap.has(leaf.keys[-1]) for gap in gaps
        )
        return tree if has_lost and tree.kind is kind else None

    def _create(self, transaction: LocalTransaction, tree_id: int, kind: TreeKind) -> None:
        transaction.next_tree_id = tree_id
        transaction.create_tree(kind)

    # -- redo --------------------------------------------------------------------------------------

    def _replay(self, transaction: LocalTransaction, lsn: int, record: bytes) -> None:
        savepoint = transaction.savepoint()
        try:
            replay(transaction, [record], lenient=True)
        except (StoreError, KeyError) as error:
            transaction.rollback_to(savepoint)
            self.note(f"the changes of commit {lsn} can't be applied: {error}")
        transaction.release(savepoint)

    def _replay_into_gaps(self, transaction: LocalTransaction, lsn: int, record: bytes) -> None:
        """What an older redo record says about keys whose page is lost."""
        if not any(self.gaps.values()):
            return
        try:
            operations = decode_redo(record)
        except CorruptionError as error:
            self.note(f"the changes of commit {lsn} can't be applied: {error}")
            return
        for operation, tree_id, changes in operations:
            gaps = [gap for gap in self.gaps.get(tree_id, []) if gap.lsn < lsn]
            if operation != OP_CHANGES or not gaps or tree_id not in transaction.tree_ids():
                continue
            tree = transaction.tree(tree_id)
            for key, value in zip(*[iter(changes)] * 2, strict=False):
                key = tuple(key) if key.__class__ is list else key
                value = tuple(value) if value.__class__ is list else value
                if not any(gap.has(key) for gap in gaps):
                    continue
                if value.__class__ is dict:  # of a row that is lost, unless one before has it all
                    change_columns(tree, key, value)
                    continue
                if value is DELETED:
                    tree.delete(key)
                else:
                    if tree.kind in (TreeKind.TABLE, TreeKind.CLUSTERED):
                        if tree_id in self.added:
                            value = self.added[tree_id].row(value)
                        tree.widen(kinds_of([value]))
                    tree.put(key, value)


def kinds_of(rows: list[Any]) -> list[int]:
    """Per column, the kinds of value that stand in the rows."""
    masks: list[int] = []
    for row in rows:
        masks.extend([0] * (len(row) - len(masks)))
        for column, value in enumerate(row):
            masks[column] |= _KINDS.get(value.__class__, Kind.BLOB)
    return masks
