"""The file made anew bit by bit, with the raw puts that wait taken into their leaves on the way.

Puts at random places wait over the nodes until there are several for each leaf (see `waiting`); to take them in
then is to write most leaves anew (see `streaming`).  Done within one commit that takes a second or two where there
are millions of keys, and the file grows by all that it holds, each time.  So it is begun a while before there is
no more room to wait, in a new file, and each commit does its share of it:

    the database     pages | redo ...... R | redo of the commits meanwhile ...
    the new file     leaves with all up to R, in key order | other pages | the directory | redo after R

`R` is the commit that a renewal begins at.  What it writes is the pages as of that commit, whatever is committed
meanwhile; when it is through, the redo of those later commits is copied, and the new file takes the old one's place
as after a compaction, which it is: nothing in it is dead.  Until then the old file is the database, with all that
waits in its redo, so a renewal that fails, or is given up, or whose process is killed, has cost its time only.

When it is begun, gone on with and given up, and by whom, is in `renewals`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from btree import directory
from btree.codec import decode_node, encode_node
from btree.edit import Pieces, cut_branch, cut_ends, cut_leaf
from btree.flush import Flush
from btree.node import LargeReference, LargeValues, Node, copied, new_branch, new_leaf
from btree.on_pages import Replay
from btree.order import values_at
from btree.pending import take_newer
from btree.protocols import RAW_TREE_ID, TreeKind, Value
from btree.streaming import LEAVES_AT_ONCE, change_leaf, is_thin
from btree.tree import DELETED, Tree
from btree.tree_state import Mark, TreeState
from btree.version import Version

if TYPE_CHECKING:
    from btree.disk import DiskStore
    from btree.view import View

_RAW_PART = 0.9
"""The part of the way that the raw tree is, if there is much of it."""

_PAGES_AT_ONCE = 64

Run = tuple[Sequence[bytes], Sequence[Value]]


class Renewal:
    """One new file in the making."""

    def __init__(self, store: DiskStore, view: View) -> None:
        self.store = store
        self.view = view
        self.version = view.version
        self.state = state = view.version.trees[RAW_TREE_ID]
        self.renewed: TreeState | None = None  # as it is in the new file
        self.made = store.pages.replacement(view.snapshot)
        try:
            self._writer = self.made.begin(self.version.lsn)
            self._reader = view.snapshot
            self._flush = Flush(
                self._writer,
                store.cache,
                page_bytes=store.page_bytes,
                branch_limit=store.branch_limit,
                early=True,
            )
            self._flush.start(state)
            merging = Replay(store, view.snapshot, view.version)
            self._tree = Tree(merging, state, merging.root_of(state))
        except BaseException:
            self.made.close()
            raise
        self._seen: set[int] = {
            directory.DIRECTORY_PAGE,
            *state.freed,
        }  # pages that were dealt with
        self._taken_in_bytes = state.pending_bytes
        self._added = 0
        self._deletes = True
        self._level: Pieces = []  # the new lowest branches
        self._held: tuple[Any, Node] | None = None  # the last of them, which is not written yet
        self._steps = self._run()

    def go_on(self, share: float, *, step_by_step: bool) -> bool:
        """Do as much as brings it to this share of the whole, but one step at a time of the last ones; whether it is
        through."""
        for done in self._steps:
            if done >= share or (step_by_step and done >= 1):
                self.made.sync()
                return False
        return True

    def close(self) -> None:
        """Let go of the new file, whatever became of it."""
        self._steps.close()
        self._writer.rollback()
        self.made.close()

    def _run(self) -> Generator[float]:
        """All of it in small steps; yields how much is done."""
        for done in self._raw_tree():
            yield done * _RAW_PART
        self._plant()
        pages = [
            (location, page) for page, location in self._reader.pages() if page not in self._seen
        ]
        pages.sort()  # as they lie is how they are read
        for at in range(0, len(pages), _PAGES_AT_ONCE):
            yield _RAW_PART + (1 - _RAW_PART) * at / len(pages)
            some = pages[at : at + _PAGES_AT_ONCE]
            numbers, locations = [page for _, page in some], [location for location, _ in some]
            self._copy(numbers, locations)
        assert self.renewed is not None
        trees = {**self.version.trees, RAW_TREE_ID: self.renewed}
        payload = directory.encode_directory(self.version.next_tree_id, trees)
        self._writer.put(directory.DIRECTORY_PAGE, payload)
        self._writer.commit_pages().wait()
        yield 1.0
        self.made.write_table()
        yield 1.0
        self.made.catch_up()
        yield 1.0

    def _copy(self, numbers: list[int], locations: list[int]) -> None:
        """Copy pages, which lie in this order."""
        owners: dict[int, int] = {}
        payloads = self._reader.read_many(numbers, locations, owners)
        for owner, some in groupby(range(len(numbers)), lambda at: owners.get(numbers[at], 0)):
            slots = list(some)
            first, end = slots[0], slots[-1] + 1
            self._writer.put_many(numbers[first:end], payloads[first:end], owner)

    # -- the raw tree --------------------------------------------------------------------------------

    def _raw_tree(self) -> Iterator[float]:
        root = self._tree.root
        separators = root.keys if root.level > 1 else []  # its children are leaves
        dealt: list[tuple[list[bytes], list[Value]]] = [
            ([], []) for _ in range(len(separators) + 1)
        ]
        # One after the other, as they lie in memory: in key order each would be a miss of the cache.
        lsn = self.version.lsn
        for key, entry in self.state.pending.copy().items():
            while entry is not None and entry[0] > lsn:  # of later commits
                entry = entry[2]
            if entry is not None:
                some = dealt[bisect_right(separators, key)]
                some[0].append(key)
                some[1].append(entry[1])
        self._seen.add(root.page)
        yield 0.0
        if root.level == 1:
            self._branch(root, None, _in_order(*dealt[0]), is_last=True)
            return
        count = len(dealt)
        low: bytes | None = None
        for slot, some in enumerate(dealt):
            if slot:
                low = separators[slot - 1]
            run = _in_order(*some)
            dealt[slot] = [], []
            is_last = slot == count - 1
            for done in self._below(self._child(root, slot), low, run, is_last=is_last):
                yield (slot + done) / count

    def _child(self, branch: Node, slot: int) -> Node:
        """A branch below a branch, which need not stay in memory."""
        assert branch.children is not None and branch.pages is not None
        child = branch.children[slot]
        if child.__class__ is Node:
            node: Node = child
            return node
        return self._tree.transaction.fresh_node(self._tree, branch.pages[slot], int(child))

    def _below(
        self, branch: Node, low: bytes | None, run: Run, *, is_last: bool
    ) -> Iterator[float]:
        """All below a branch, whose keys are from `low` on."""
        if branch.level == 1:
            self._branch(branch, low, run, is_last=is_last)
            yield 1.0
            return
        self._seen.add(branch.page)
        keys, values = run
        separators = branch.keys
        start, count = 0, len(separators) + 1
        for slot in range(count):
            end = bisect_left(keys, separators[slot], start) if slot < count - 1 else len(keys)
            child = self._child(branch, slot)
            some = keys[start:end], values[start:end]
            for done in self._below(child, low, some, is_last=is_last and slot == count - 1):
                yield (slot + done) / count
            if slot < count - 1:
                low = separators[slot]
            start = end

    def _branch(self, branch: Node, low: bytes | None, run: Run, *, is_last: bool) -> None:
        """The leaves of a lowest branch, and the branch that leads to them."""
        assert branch.children is not None
        keys, values = run
        self._deletes = DELETED in values
        written = _Written()
        separators, count = branch.keys, len(branch.children)
        carried: tuple[bytes | None, Node] | None = None
        start = 0
        for at in range(0, count, LEAVES_AT_ONCE):
            slots = range(at, min(at + LEAVES_AT_ONCE, count))
            for slot, leaf in zip(slots, self._read(branch, slots), strict=True):
                end = len(keys)
                if slot < count - 1:
                    end = bisect_left(keys, separators[slot], start)
                known = branch.children[slot]
                page = branch.pages[slot] if branch.pages is not None else 0
                if leaf.__class__ is not Node:
                    if start == end and carried is None and not self._tree.large:
                        written.add(low, page, leaf, None)
                        low, start = separators[slot] if slot < count - 1 else None, end
                        self._seen.add(page)
                        continue
                    leaf = decode_node(TreeKind.RAW, leaf, page, 0)
                self._note_seen(leaf)
                before, appended = len(leaf.keys), False
                if start < end:
                    appended = change_leaf(
                        self._tree, leaf, keys[start:end], values[start:end], deletes=self._deletes
                    )
                    self._added += len(leaf.keys) - before
                thin = is_thin(self._tree, leaf, before)
                if carried is not None:
                    low, leaf = carried[0], _joined(carried[1], leaf)
                    carried = None
                if thin and slot < count - 1:
                    carried = low, leaf
                elif leaf.keys:
                    self._put(
                        written, low, leaf, known, full=appended and is_last and slot == count - 1
                    )
                low, start = separators[slot] if slot < count - 1 else None, end
            self._write(written)
        self._put_branches(written, branch.page)

    def _read(self, branch: Node, slots: range) -> list[Any]:
        """Leaves: copies of those in memory, the pages of the others."""
        children, pages = branch.children, branch.pages
        assert children is not None and pages is not None
        wanted = {}
        found: list[Any] = []
        for slot in slots:
            child = children[slot]
            if child.__class__ is Node:
                found.append(copied(child, None))
            else:
                wanted[pages[slot]] = int(child) or self._reader.locate(pages[slot])
                found.append(pages[slot])
        if wanted:
            payloads = self._reader.read_many(list(wanted), list(wanted.values()))
            read = dict(zip(wanted, payloads, strict=True))
            found = [leaf if leaf.__class__ is Node else read[leaf] for leaf in found]
        return found

    def _put(
        self, written: _Written, low: bytes | None, leaf: Node, known: Any, *, full: bool
    ) -> None:
        """Have a leaf written, in pieces if it is too long."""
        tree = self._tree
        if leaf.values.__class__ is LargeValues:
            self._copy_large(leaf)
        if len(leaf.keys) > tree.leaf_limit:
            tree.measure(leaf)
        ends = [len(leaf.keys)]
        if len(leaf.keys) > tree.leaf_limit:
            ends = cut_ends(len(leaf.keys), tree.leaf_limit, full=full, least=1)
        kept = known.__class__ is Node and self.store.cache.has_room
        entry_bytes = known.bytes / max(len(known.keys), 1) if kept else 0
        for above, piece in cut_leaf(leaf, ends, owner=None):
            payload = encode_node(TreeKind.RAW, piece)
            piece.bytes = int(entry_bytes * len(piece.keys))
            if not self._flush.fits(payload):
                self._write(written)
                for further, part in self._flush.leaf(piece):
                    lowest = further or above or low
                    written.stand(lowest, part.page, part.location if not kept else part)
                continue
            piece.page = piece.page or self._writer.allocate()
            written.add(above or low, piece.page, payload, piece if kept else None)

    def _note_seen(self, leaf: Node) -> None:
        """A leaf's page is dealt with, and those of its large values, of which some may go."""
        self._seen.add(leaf.page)
        if leaf.values.__class__ is LargeValues:
            references = [
                value for value in list(leaf.values or ()) if value.__class__ is LargeReference
            ]
            self._seen.update([reference.page for reference in references])

    def _copy_large(self, leaf: Node) -> None:
        """Copy the large values of a leaf, which are in pages of their own."""
        values = list(leaf.values or ())
        for slot, value in enumerate(values):
            if value.__class__ is LargeReference:
                page = value.page
                payload = self._reader.read(page, value.location or self._reader.locate(page))
                location = self._writer.put_early(page, payload, RAW_TREE_ID)
                values[slot] = LargeReference(page, location, value.size_bytes)
        leaf.values = LargeValues(values)

    def _write(self, written: _Written) -> None:
        """Write the leaves that are ready, all at once."""
        if written.payloads:
            locations = self._writer.put_many(written.numbers, written.payloads, RAW_TREE_ID)
            for location, node in zip(locations, written.nodes, strict=True):
                if node is not None:
                    node.location = location
                    node.unflushed = False
            written.done(locations)

    def _put_branches(self, written: _Written, page: int) -> None:
        """Have a branch that leads to some leaves written, together with its neighbour if one of them has lost most
        of its leaves: one leaf alone is no branch."""
        self._seen.add(page)
        if not written.pages:
            return
        low = written.lows[0]
        branch = new_branch(written.lows[1:], written.children, written.pages, level=1, owner=None)
        branch.page = page
        if self._held is not None:
            left_low, left = self._held
            if self._is_narrow(left) or self._is_narrow(branch):
                low, branch = left_low, _side_by_side(left, low, branch)
            else:
                self._put_held()
        self._held = low, branch

    def _is_narrow(self, branch: Node) -> bool:
        return len(branch.pages or ()) < max(self.store.branch_limit // 4, 2)

    def _put_held(self) -> None:
        """Write the branch that was waiting for its neighbour."""
        if self._held is not None:
            self._level += self._put_pieces(*self._held)
            self._held = None

    def _put_pieces(self, low: Any, branch: Node) -> Pieces:
        """Write a branch, cut if it is too wide."""
        pieces: Pieces = [(None, branch)]
        if len(branch.pages or ()) > self.store.branch_limit:
            pieces = cut_branch(branch, self.store.branch_limit, full=False)
        for _, piece in pieces:
            piece.page = piece.page or self._writer.allocate()
            payload = encode_node(TreeKind.RAW, piece)
            piece.location = self._writer.put_early(piece.page, payload, RAW_TREE_ID)
            piece.unflushed = False
            self.store.cache.account(self.state.id, piece, len(payload))
        pieces[0] = low, pieces[0][1]
        return pieces

    def _plant(self) -> None:
        """Put the levels above the lowest branches, and have the tree's new state."""
        if self._held is not None and not self._level and len(self._held[1].pages or ()) == 1:
            branch = self._held[1]  # of a tree that is one leaf
            assert branch.children is not None and branch.pages is not None
            self._stand(branch.children[0], branch.pages[0])
            return
        self._put_held()
        pieces = self._level
        if not pieces:
            root = new_leaf([], [], None, self._writer.allocate())
            root.location = self._writer.put_early(
                root.page, encode_node(TreeKind.RAW, root), RAW_TREE_ID
            )
            root.unflushed = False
            pieces = [(None, root)]
        while len(pieces) > 1:
            nodes = [node for _, node in pieces]
            above = new_branch(
                [low for low, _ in pieces[1:]],
                list(nodes),
                [node.page for node in nodes],
                level=nodes[0].level + 1,
                owner=None,
            )
            pieces = self._put_pieces(pieces[0][0], above)
        root = pieces[0][1]
        self._stand(root, root.page)

    def _stand(self, root: Any, page: int) -> None:
        """The tree's new state; `root`: a node, or where it lies."""
        tree, state = self._tree, self.state
        self.renewed = TreeState(
            state.id,
            state.kind,
            root,
            root_page=page,
            count=state.count + self._added,
            kinds=state.kinds,
            large=state.large | self._flush.found_large,
            leaf_limit=tree.leaf_limit,
            mark=Mark(),
        )

    def version_after(self, newest: Version) -> Version | None:
        """What the newest version is in the new file, with the leaves that are in memory; None if that takes more
        than what is known here."""
        renewed, trees = self.renewed, self.version.trees
        assert renewed is not None
        if newest.trees.keys() != trees.keys() or newest.next_tree_id != self.version.next_tree_id:
            return None
        if trees[RAW_TREE_ID] is not self.state:
            return None  # another state of the same content has taken its place, and later commits lie over that
        states = {}
        for tree_id, state in newest.trees.items():
            if state is not trees[tree_id] or (tree_id != RAW_TREE_ID and state.pending):
                return None
            states[tree_id] = TreeState(
                tree_id,
                state.kind,
                0,
                root_page=state.root_page,
                count=state.count,
                kinds=state.kinds,
                large=state.large,
                leaf_limit=state.leaf_limit,
                mark=state.mark,
                added=state.added,
            )
        states[RAW_TREE_ID] = renewed
        take_newer(renewed, self.state, self.version.lsn)
        renewed.pending_bytes = self.state.pending_bytes - self._taken_in_bytes
        return Version(
            newest.lsn,
            states,
            newest.next_tree_id,
            base_lsn=self.version.lsn,
            shape=newest.shape,
        )


class _Written:
    """The leaves of one branch: those that are written, then those that are ready to be."""

    def __init__(self) -> None:
        self.lows: list[Any] = []
        self.pages: list[int] = []
        self.children: list[Any] = []
        self.numbers: list[int] = []
        self.payloads: list[Any] = []
        self.nodes: list[Node | None] = []

    def add(self, low: Any, page: int, payload: Any, node: Node | None) -> None:
        """One more to be written; `node`: what of it stays in memory."""
        self.lows.append(low)
        self.numbers.append(page)
        self.payloads.append(payload)
        self.nodes.append(node)

    def stand(self, low: Any, page: int, child: Any) -> None:
        """One that was written; all before it are."""
        self.lows.append(low)
        self.pages.append(page)
        self.children.append(child)

    def done(self, locations: Sequence[int]) -> None:
        """Those that were ready are written."""
        self.pages += self.numbers
        self.children += [
            location if node is None else node
            for location, node in zip(locations, self.nodes, strict=True)
        ]
        self.numbers, self.payloads, self.nodes = [], [], []


def _in_order(keys: list[bytes], values: list[Value]) -> Run:
    changes = dict(zip(keys, values, strict=True))
    ordered = sorted(keys)
    return ordered, values_at(changes, ordered)


def _side_by_side(left: Node, low: Any, right: Node) -> Node:
    """Two lowest branches in one, that has the page of the first; below `low` lies what is of the left one."""
    children = [*(left.children or ()), *(right.children or ())]
    pages = [*(left.pages or ()), *(right.pages or ())]
    branch = new_branch([*left.keys, low, *right.keys], children, pages, level=1, owner=None)
    branch.page = left.page
    return branch


def _joined(left: Node, right: Node) -> Node:
    """The entries of two leaves in one."""
    values = [*(left.values or ()), *(right.values or ())]
    is_large = LargeValues in (left.values.__class__, right.values.__class__)
    leaf = new_leaf([*left.keys, *right.keys], values, None, right.page)
    if is_large:
        leaf.values = LargeValues(values)
    return leaf
