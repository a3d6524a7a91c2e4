"""Transactions: a version of the trees to read, and for the one writer a private successor of it.

A read transaction holds a version and needs no lock, for its nodes never change.  The writer copies the
nodes it touches (see `node`), and its commit makes a new version of the old one and the changed trees.
What differs between memory and disk is in `backend`.

Savepoints: the writer's nodes carry its token.  To mark a savepoint is to remember the roots and to
take a new token, so that older nodes are copied when touched again; to roll back is to put the
remembered roots back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from btree.backend import Backend
from btree.errors import CorruptionError, ReadOnlyError, StoreError
from btree.node import Node, Owner, new_leaf
from btree.overlay import (
    OWN_MAX,
    OverlaidTree,
    have_room,
    lay_over,
    merged_state,
)
from btree.pending import add_pending, take_newer
from btree.protocols import CATALOG_TREE_ID, RAW_TREE_ID, Key, Savepoint, TreeKind, Value
from btree.put_off import HELD_BACK, PutOff
from btree.row_access import UnopenedRows
from btree.savepoint import TreeSavepoint
from btree.tree import Tree
from btree.tree_state import Mark, TreeState
from btree.version import Version

Made = TypeVar("Made")

_NOBODY = Owner(None)
"""The token of transactions that have ended: no node is its."""

OP_CREATE, OP_DROP, OP_WIDEN, OP_CLEAR, OP_LENGTHEN = 1, 2, 3, 4, 5
"""Operations on whole trees in redo.  Stored on disk, do not change."""


class _WhenAsked(Generic[Made]):
    """An attribute that is made, empty, once somebody asks for it: what most transactions do without."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Made:
        made = instance.__dict__[self._name] = self._make()
        return made


class LocalTransaction(UnopenedRows, PutOff, Backend):
    """What transactions in memory and on disk have in common; see `protocols.Transaction`.

    A transaction is made for every few statements.  What most of them never ask for stands in the class, or is made when it
    is asked for; what each asks for is its own, since to find it in the class takes five times as long (and an object of up
    to 30 attributes of its own is made in one piece)."""

    copies = 0
    """Nodes copied so far."""
    _catalog_state: object = None
    """That `_shape` stands for; None: as in the version."""
    _token: Owner | None = None
    mark: object = None
    """The writer of all of its tokens."""
    row_tops = _WhenAsked[dict[int, tuple[int, int]]](dict)
    puts_by_key = _WhenAsked[dict[bytes, Value]](dict)
    spilled = _WhenAsked[list[int]](list)
    """Page ids given to leaves that were written early."""
    rewritten = _WhenAsked[list[tuple[int, int]]](list)
    """Pages, and where they lay before."""
    orphans = _WhenAsked[list[int]](list)
    """Those of them that a rollback made void."""
    freed = _WhenAsked[list[int]](list)
    cleared = _WhenAsked[list[tuple[Any, ...]]](list)

    def __init__(self, store: Any, version: Version, writable: bool) -> None:
        self.store = store
        self.version = version
        self._shape = self.plain_shape = version.shape
        self.next_tree_id = version.next_tree_id
        self.active = True
        self._writable = writable
        # Once trees were created or dropped; None: the version's.
        self._states: dict[int, TreeState] | None = None
        self.open_trees: dict[int, Tree] = {}
        self.row_changes = {}
        self.changes_max = OWN_MAX
        self.unique_entries = self._made = None
        self.log: tuple[Any, ...] = ()  # redo of whole trees: created, dropped, widened, cleared
        self._savepoints: tuple[TreeSavepoint, ...] = ()

    @property
    def branch_limit(self) -> int:
        limit: int = self.store.branch_limit
        return limit

    @property
    def states(self) -> dict[int, TreeState]:
        """The trees that this transaction began with or made; of the version's a reader may have settled some
        meanwhile."""
        return self.version.trees if self._states is None else self._states

    @property
    def token(self) -> Owner:
        """The owner of the nodes that are copied from now on."""
        token = self._token
        if token is None:
            self.mark = object()
            token = self._token = Owner(self.mark)
        return token

    # -- the transaction ----------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        return self._writable

    @property
    def commit_number(self) -> int:
        return self.version.lsn

    @property
    def pages_read(self) -> int:
        return sum([tree.pages_read for tree in self.open_trees.values()])

    def tree(self, tree_id: int) -> Tree:
        tree = self.open_trees.get(tree_id)
        if tree is None:
            if tree_id == RAW_TREE_ID and HELD_BACK in self.open_trees:
                self.carry_out()
                return self.open_trees[RAW_TREE_ID]
            if tree_id == CATALOG_TREE_ID:
                self.plain_shape = None
            try:
                state = (self._states or self.version.trees)[tree_id]
            except KeyError:
                raise CorruptionError(f"there is no tree {tree_id}") from None
            root = state.root
            if root.__class__ is int:
                root = self.load_root(state)
            kind = OverlaidTree if self._writable or state.pending else Tree
            made = kind(self, state, root)
            if tree_id in self.row_changes:
                assert isinstance(made, OverlaidTree)
                # No call between: Ctrl-C would come behind it.
                made.own = self.row_changes[tree_id]
                self.open_trees[tree_id] = made
                del self.row_changes[tree_id]
                if len(made.own) > OWN_MAX:
                    have_room(made)
            self.open_trees[tree_id] = tree = made
        return tree

    def root_of(self, state: TreeState) -> Node:
        """The root of a state's nodes, loaded if need be."""
        root = state.root
        return self.load_root(state) if root.__class__ is int else root

    @property
    def shape(self) -> object:
        """The same object at two moments, in whatever transactions, means the same catalog and the same
        kinds of value in all trees (for plans)."""
        catalog = self.open_trees.get(CATALOG_TREE_ID)
        if catalog is not None and (catalog.__class__ is Tree or catalog.own):
            state = catalog.state
            if self._catalog_state is None and not catalog.has_changed:
                self._catalog_state = state
            elif state is not self._catalog_state:
                self._catalog_state = state
                self._shape = object()
        return self._shape

    def follow(self, view: Any) -> bool:
        """See `protocols.StoreTransaction`.  Trees over which nothing but more changes lie stay the objects that they
        are."""
        return self._follow(view)

    def _follow(self, version: Version) -> bool:
        lsn, trees, all_stay = version.lsn, version.trees, version.shape is self._shape
        self.version, self._shape = version, version.shape
        for tree in [*self.open_trees.values()]:
            if trees.get(tree.id) is tree.under:
                if tree.__class__ is OverlaidTree:
                    tree.lsn = lsn
                    tree.top = None
                    continue
                if not tree.under.pending:
                    continue
            del self.open_trees[tree.id]
            all_stay = False
        self.plain_shape = None if CATALOG_TREE_ID in self.open_trees else self._shape
        if not all_stay:
            self._catalog_state = self._made = None
        return all_stay

    def nodes_wanted(self) -> None:
        """Nodes are to be walked, perhaps also after the transaction has ended."""

    def merged(self, state: TreeState) -> TreeState:
        """`state` with the changes pending over it, as far as this transaction sees them, in its nodes."""
        self.nodes_wanted()
        if not state.pending:
            return state
        made = merged_state(self.merging(), state, self.version.lsn)
        if made is state:
            return state
        made = self.replace_state(state, made)
        if self._states is not None and self._states.get(made.id) is state:
            self._states = {**self._states, made.id: made}
        for savepoint in self._savepoints:
            if savepoint.states is not None and savepoint.states.get(made.id) is state:
                savepoint.states = {**savepoint.states, made.id: made}
        return made

    def swap_state(self, versions: Iterable[Version], old: TreeState, made: TreeState) -> TreeState:
        """`replace_state` among the versions that are known; under the store's lock."""
        lsn = self.version.lsn
        # Another thread, or a view that this one has asked for meanwhile, may have put another state of the same content
        # in the old one's place: that is the one over which later commits lie.
        current = self.version.trees.get(old.id, old)
        take_newer(made, current, lsn)
        for version in {id(version): version for version in (self.version, *versions)}.values():
            if version.lsn >= lsn and version.trees.get(old.id) is current:
                version.trees = {**version.trees, old.id: made}
        return made

    def is_vast(self, state: TreeState) -> bool:
        """Whether a raw tree does not fit into the memory there is."""
        return False

    def is_full(self, state: TreeState, more: int) -> bool:
        """Whether so many more changes are too many to wait over a state."""
        return state.pending_count + more > state.pending_max

    def lies_over(self, tree: OverlaidTree, changes: Mapping[Any, Value]) -> bool:
        """Whether replayed changes are left to lie over a tree."""
        return False

    def take_in(self, tree: OverlaidTree) -> bool:
        """Have what lies over a tree in its leaves at once, page by page, if it is better off that way."""
        return False

    def carry_out(self) -> None:
        """Make the puts that were put off, in trees that are open.  If that fails they stay put off."""
        for tree_id in [*self.row_changes]:
            self.tree(tree_id)
        if HELD_BACK in self.open_trees:
            self.carry_out_puts()

    def tree_ids(self) -> list[int]:
        return sorted(self.states)

    def create_tree(self, kind: TreeKind) -> int:
        self._check_writable()
        tree_id = self.next_tree_id
        self.next_tree_id += 1
        self._states = {**self.states, tree_id: self._empty_state(tree_id, kind)}
        self.note_created(tree_id, kind)
        return tree_id

    def _empty_state(self, tree_id: int, kind: TreeKind) -> TreeState:
        values: list[Value] | None = None if kind is TreeKind.INDEX else []
        root = new_leaf([], values, None)
        return TreeState(tree_id, kind, root, leaf_limit=self.store.leaf_limit, mark=Mark())

    def drop_tree(self, tree_id: int) -> None:
        self._check_writable()
        tree = self.tree(tree_id)
        self.note_clear(tree)
        self._states = {key: state for key, state in self.states.items() if key != tree_id}
        del self.open_trees[tree_id]
        self._made = None
        tree.token = Owner(None)
        self.note_dropped(tree_id)

    def savepoint(self) -> TreeSavepoint:
        self._check_writable()
        self.carry_out()
        for tree in self.open_trees.values():
            own = tree.own if tree.__class__ is OverlaidTree else ()
            if len(own) > OWN_MAX and not self.is_vast(tree.under):
                tree.settle()  # a savepoint copies what lies over it
        if self.held and self.held * 2 > self.held_max:
            self.spill()  # later on, the savepoint may want what there is
        savepoint = TreeSavepoint(self)
        self._savepoints = (*self._savepoints, savepoint)
        self.freeze()
        return savepoint

    def rollback_to(self, savepoint: Savepoint) -> None:
        self._check_writable()
        self.forget_puts()  # all of them came after the savepoint
        self.row_changes.clear()
        self.row_tops.clear()
        self.unique_entries = self._made = None
        self.carry_out()
        savepoint = self._forget_after(savepoint, keep=True)
        self._states = savepoint.states
        self.next_tree_id = savepoint.next_tree_id
        del self.freed[savepoint.freed :]
        del self.cleared[savepoint.cleared :]
        self.log = self.log[: savepoint.log]
        self.orphans += self.spilled[savepoint.spilled :]
        del self.spilled[savepoint.spilled :]
        self.restore_pages(savepoint.rewritten)
        for tree_id, tree in list(self.open_trees.items()):
            if tree_id not in savepoint.trees:
                self._roll_back_later_tree(tree_id, tree)
        self._shape, self.plain_shape = object(), None
        for tree_id, (tree, state, redo_length, own) in savepoint.trees.items():
            self.open_trees[tree_id] = tree  # it may have been dropped since
            if state is None:
                lay_over(tree, dict(own))
                continue
            tree.restore(state, state.root)
            if tree.redo is not None:
                del tree.redo[redo_length or 0 :]
                if self.new_redo() is None:  # given up since
                    tree.redo = None
        self.freeze()

    def _roll_back_later_tree(self, tree_id: int, tree: Tree) -> None:
        """Roll back a tree that was opened or made after the savepoint."""
        if tree_id not in self.states:
            del self.open_trees[tree_id]
            tree.token = Owner(None)
            return
        lay_over(tree, {})

    def became_writable(self) -> None:
        """Lay what is to be written over the trees that were opened to read."""
        self._made = None
        for tree in self.open_trees.values():
            lay_over(tree, {})

    def release(self, savepoint: Savepoint) -> None:
        self._check_writable()
        self._forget_after(savepoint, keep=False)
        if self.left_behind and self.wanted_before <= self.left_number:
            # Some of them can be written by now.
            self.held, self.left_behind = self.held + self.left_behind, 0.0

    def _forget_after(self, savepoint: Savepoint, *, keep: bool) -> TreeSavepoint:
        for at, known in enumerate(self._savepoints):
            if known is savepoint:
                self._savepoints = self._savepoints[: at + keep]
                return known
        raise StoreError("no such savepoint: it was released, or rolled back with an older one")

    def freeze(self) -> None:
        """Take a new token: nodes made before this moment are copied before they change again."""
        if self._writable and self._token is not None:
            token = self._token = Owner(self.mark, self._token.number + 1)
            for tree in self.open_trees.values():
                tree.token = token
                tree.tail = None

    def settle_all(self) -> None:
        """Have nothing lie over the nodes of any tree."""
        for tree_id, state in self.states.items():
            tree = self.open_trees.get(tree_id)
            if tree is None:
                self.merged(state)
            elif tree.__class__ is OverlaidTree:
                tree.settle()

    def commit(self) -> None:
        if not self.active:
            raise StoreError("the transaction has ended")
        try:
            if self._writable:
                self._publish()
        finally:
            self._end()

    def is_newest(self) -> bool:
        return True

    def prepare(self) -> None:
        """See `protocols.Transaction.prepare`: what is in memory needs nothing."""

    def rollback(self) -> None:
        if self.active:
            self._end()

    def _end(self) -> None:
        try:
            self.active = False
            self._made = None
            if self._writable:
                self._writable = False
                self._token = _NOBODY
                self.row_changes = {}
                if self.open_trees:
                    self._end_trees()
            self.open_trees.clear()  # no cycle is left to the garbage collector
            self._finish()
        except BaseException:  # of Ctrl-C: nobody else would give the lock back
            self._finish()
            raise

    def _end_trees(self) -> None:
        for tree in self.open_trees.values():
            tree.own_max = 0
            if tree.__class__ is Tree:
                tree.token = _NOBODY
                tree.tail = None
        if HELD_BACK in self.open_trees:
            self.forget_puts()

    def _check_writable(self) -> None:
        if not self._writable:
            raise ReadOnlyError(
                "this transaction is read-only" if self.active else "the transaction has ended"
            )

    @property
    def wanted_before(self) -> int:
        """Nodes with older tokens than this may be wanted by a savepoint."""
        return self._savepoints[-1].number if self._savepoints else 0

    # -- for trees: what redo and the page table have to know ---------------------------------------

    def has_changed(self) -> bool:
        """Whether there is anything to commit."""
        self.carry_out()
        if self.log:
            return True
        for tree in self.open_trees.values():
            if tree.own if tree.__class__ is OverlaidTree else tree.has_changed:
                return True
        return False

    def changed_states(self) -> dict[int, TreeState]:
        """The trees of the version to come, but for the changes that lie over their nodes."""
        self.carry_out()
        states = self.states
        changed = {
            tree_id: tree.snapshot_state()
            for tree_id, tree in self.open_trees.items()
            if tree.__class__ is Tree and tree.has_changed
        }
        return {**states, **changed} if changed else states

    def changes_laid_over(self) -> dict[int, dict[Key, Value]] | None:
        """The changes that lie over the trees' nodes, by tree, if there are no others in the transaction; else None."""
        if self.log:
            return None
        changes = self.row_changes
        if self.changes_max > OWN_MAX:
            for tree_id in [key for key, own in changes.items() if len(own) > OWN_MAX]:
                self.tree(tree_id)  # they may be better off in its leaves
        if self.open_trees:
            if self.put_log or self.puts_by_key:
                self.carry_out()
                changes = self.row_changes
            changes = changes.copy()
            for tree in self.open_trees.values():
                if tree.__class__ is OverlaidTree:
                    if tree.own:
                        changes[tree.id] = tree.own
                elif tree.has_changed:
                    return None
        return changes

    def settle_full(self) -> None:
        """Settle the trees over which there are enough changes, with this transaction's."""
        for tree in self.open_trees.values():
            own = tree.own if tree.__class__ is OverlaidTree else None
            if own and self.is_full(tree.under, len(own)):
                tree.settle()

    def states_at(self, lsn: int) -> dict[int, TreeState]:
        """The trees of the version to come, which commit `lsn` makes; under the store's lock."""
        self.carry_out()
        overlaid = [
            tree for tree in self.open_trees.values() if tree.__class__ is OverlaidTree and tree.own
        ]
        states = self.changed_states()
        late = [tree for tree in overlaid if states[tree.id].pending_lsn >= lsn]
        if late:  # an older version that is made after a newer one
            for tree in late:
                tree.settle()
            return self.states_at(lsn)
        add_pending(states, {tree.id: tree.own for tree in overlaid}, lsn)
        return states

    def note_created(self, tree_id: int, kind: TreeKind) -> None:
        """Log the creation of a tree."""
        self.log = (*self.log, (OP_CREATE, tree_id, int(kind)))

    def note_dropped(self, tree_id: int) -> None:
        """Log the end of a tree."""
        self.log = (*self.log, (OP_DROP, tree_id, None))

    def note_widening(self, tree_id: int, kinds: tuple[int, ...]) -> None:
        """Log the wider kinds of a tree."""
        self.log = (*self.log, (OP_WIDEN, tree_id, kinds))
        self._shape, self.plain_shape = object(), None

    def note_lengthening(self, tree_id: int, width: int, values: Sequence[Value]) -> None:
        """Log the columns that a tree was given."""
        self.log = (*self.log, (OP_LENGTHEN, tree_id, (width, values)))

    def note_clear(self, tree: Tree) -> None:
        """Log that a tree is about to lose all its entries, and keep its root for the pages' sake."""
        self.cleared.append((tree.root, tree.large != 0, tree.kind))
        self.freed += tree.freed
        tree.freed = ()
        self.log = (*self.log, (OP_CLEAR, tree.id, None if tree.redo is None else len(tree.redo)))
