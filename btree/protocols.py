"""The seam between the trees and everything above them.

`sql` and `kvsh` see an ordered, transactional store of typed trees through these protocols and never
a page id.  The local store (`btree.open_store`) and the scratch store in memory (`btree.open_memory`)
implement them; a distributed ordered store may take their place later.

Order of keys is SQL's: NULL, then numbers (int and float compared exactly), then text by code point,
then blobs.  Keys of one tree may mix these kinds; tuples compare element by element, and a proper
prefix sorts before its extensions, so `(v,)` is the lower bound of every `(v, rowid)`.

Threads: a `Transaction` and its trees belong to one thread at a time.  Any number of read
transactions run beside the one writer; each sees the commit it began at and takes no lock.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from btree.hot import HotRows, HotRowsBelow
    from btree.view import RawChanges

Made = TypeVar("Made")
Key = Any
"""bytes in a RAW tree, int in a TABLE tree, tuple in CLUSTERED and INDEX trees."""

Value = Any
"""bytes (or (bytes, expires_ms)) in a RAW tree, a row tuple in TABLE and CLUSTERED trees, None in an INDEX tree."""

Row = tuple[Any, ...]
RowColumns = tuple[Sequence[Key], Sequence[Sequence[Value]]]

RAW_TREE_ID = 1
"""The raw key space `kv`: made with the database, never dropped."""

CATALOG_TREE_ID = 2
"""The SQL catalog's tree (TABLE kind): made with the database, never dropped."""

NOT_AT_HAND: Any = object()
"""What `Store.row_now` gives of a row that takes a transaction."""


class TreeKind(enum.IntEnum):
    """What a tree's keys and values are.  Stored on disk, do not change."""

    RAW = 1  # bytes -> bytes
    TABLE = 2  # int (rowid) -> row tuple
    CLUSTERED = 3  # tuple (primary key) -> row tuple
    INDEX = 4  # tuple (columns..., rowid | primary key...) -> nothing


class Kind(enum.IntFlag):
    """Kinds of SQL value, as bits of a mask.  Stored on disk, do not change."""

    NULL = 1
    INTEGER = 2
    REAL = 4
    TEXT = 8
    BLOB = 16


class Tree(Protocol):
    """One ordered tree as seen by one transaction."""

    @property
    def id(self) -> int: ...

    @property
    def kind(self) -> TreeKind: ...

    @property
    def state(self) -> object:
        """An opaque object: the same object at two moments means the same content (for caches)."""

    @property
    def kinds(self) -> tuple[int, ...]:
        """Per column of the value, a grow-only mask of `Kind` bits the tree has ever held; () if unknown.

        The very same tuple object is returned until it widens, so that caches may test identity."""

    @property
    def has_long(self) -> bool:
        """Whether rows may have values so long that these are in pages of their own: whoever has no use for them
        had better not ask for whole rows."""

    def widen(self, kinds: Sequence[int]) -> None:
        """Or `kinds` into the mask (and extend it).  The caller does this before it writes such values."""

    def lengthen(self, width: int, values: Sequence[Value]) -> None:
        """Give all rows more columns, which makes them `width` wide: these values, the same in every row.  What is
        in pages stays as it is.  Of trees of rows of one width."""

    def drop_column(self, column: int, check: Callable[[], None]) -> None:
        """Take a column out of all rows; `check` is called now and then, and may raise."""

    def __len__(self) -> int:
        """Entries, O(1)."""

    def __contains__(self, key: Key) -> bool: ...

    def get(self, key: Key, default: Value = None, columns: Container[int] | None = None) -> Value:
        """The value at `key`, else `default`.  O(depth).  INDEX trees give True for a present key.  `columns`: those that
        are asked for; where a row has long values in others, NULLs may stand for them."""

    def hot_rows(self) -> HotRows | HotRowsBelow | None:
        """Rows of a TABLE tree that were asked for lately, or row ids of an INDEX tree by the parts of keys that they were
        asked for by, where such are kept: those of readers, of a tree that is not as small as to need none."""

    def get_many(self, keys: Sequence[Key], columns: Collection[int] | None = None) -> list[Value]:
        """Values at `keys` in their order, None where absent; fastest when keys ascend.  `columns`: of rows, NULLs will do
        for those of all others."""

    def put(self, key: Key, value: Value = None) -> None:
        """Insert or replace."""

    def change(self, key: Key, row: tuple[Value, ...], columns: Collection[int]) -> None:
        """Give some columns of the row that is at `key` the values that they have in `row`.  Others stay what they are: `row`
        has their values, or is made of what `get` gave for other columns, so that NULLs may stand for long ones."""

    def has_long_in(self, columns: Iterable[int]) -> bool:
        """Whether any of these columns may have long values."""

    def insert(self, key: Key, value: Value = None) -> bool:
        """Insert; False and no change if the key is there."""

    def delete(self, key: Key) -> bool:
        """Remove; False if absent."""

    def remove(self, key: Key) -> None:
        """Remove an entry that is there: nobody need look for it."""

    def load(self, keys: Sequence[Key], values: Sequence[Value] | None = None) -> None:
        """Insert or replace many; `keys` strictly ascending.  Builds full leaves where they append."""

    def build(self, runs: Iterable[Sequence[Sequence[Value]]]) -> None:
        """`load` runs of keys, by column, each run above those before it, into an INDEX tree; numbers may come in
        arrays (codes b h i q d).  Of a large tree the leaves are written as they fill up, and not kept."""

    def build_rows(self, parts: Iterable[RowColumns]) -> None:
        """`load` rows by column, each part's keys above those before it, and above the tree's, into a TABLE tree.  Of
        many the leaves are written as they fill up, and not kept."""

    def delete_many(self, keys: Sequence[Key]) -> int:
        """Remove many, `keys` ascending; how many were there."""

    def rewrite(self) -> Rewrite | None:
        """The means to change many rows of a tree of rows by column, where the tree is kept so."""

    def clear(self) -> None:
        """Remove everything, O(pages) at worst."""

    def prefixed(self, prefix: tuple[Any, ...]) -> list[Key] | None:
        """The keys that start with `prefix`, where that is simple to say (a few in one leaf); None: see
        `batches`.  Of CLUSTERED and INDEX trees."""

    def last_parts(self, prefix: tuple[Any, ...]) -> list[Any] | None:
        """The last parts of the keys that `prefixed` gives."""

    def following(
        self,
        start: tuple[Any, ...],
        count: int,
        *,
        beyond: bool = False,
        pick: Callable[[Any], Any] | None = None,
    ) -> list[Any] | None:
        """The first `count` keys from `start` on, or `beyond` all that start with it, where that is simple to
        say (all in a few leaves); None: see `batches`.  Of CLUSTERED and INDEX trees.

        They come as `pick` makes them of the keys, a tuple of some parts of each; None: as they are.  It may be
        given a list of columns in place of a key, and then makes a tuple of those that it would pick."""

    def preceding(
        self,
        end: tuple[Any, ...],
        count: int,
        *,
        inclusive: bool = False,
        pick: Callable[[Any], Any] | None = None,
    ) -> list[Any] | None:
        """The last `count` keys before `end`, `inclusive` of all that start with it, the last one first.
        Otherwise as `following`."""

    def between(
        self,
        lo: tuple[Any, ...],
        hi: tuple[Any, ...],
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
    ) -> Sequence[Key] | None:
        """The keys of a range of `batches`, where that is simple to say (all in a few leaves); None: see there.  Of
        INDEX trees.  They may be kept by column: see `key_parts`."""

    def few_rows(
        self,
        start: int | None,
        stop: int | None,
        count: int,
        pick: Callable[[Row], Row] | None,
        *,
        reverse: bool = False,
    ) -> list[Row] | None:
        """The first `count` rows with keys from `start` to before `stop`, or, reversed, the last ones from the
        last on, where that is simple to say; None: see `batches`.  Of TABLE trees.

        They come as `pick` makes them of the rows; None: as they are."""

    def prefixed_many(self, prefixes: Sequence[tuple[Any, ...]]) -> list[list[Key]]:
        """For each of some distinct, ascending prefixes the keys that start with it.  Of CLUSTERED and INDEX
        trees; the leaves are walked once."""

    def rows_prefixed(
        self, prefixes: Sequence[tuple[Any, ...]], columns: Collection[int] | None = None
    ) -> list[list[Value]]:
        """The values at the keys that `prefixed_many` gives.  Of CLUSTERED trees.  `columns`: see `get_many`."""

    def prefixes_present(self, prefixes: Sequence[tuple[Any, ...]]) -> list[bool]:
        """For each of some distinct, ascending prefixes whether any key starts with it.  Of CLUSTERED and INDEX trees."""

    def batches(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
        reverse: bool = False,
    ) -> Iterator[tuple[list[Key], list[Value]]]:
        """Whole leaves (sliced at the bounds) of the range, in key order or reversed.

        None is no bound.  The lists may be the tree's own and must not be changed.  INDEX trees give an empty list
        for the values, and may give `PackedKeys` for the keys.  The iterator sees the tree as it is now: writes made
        by the same transaction while it runs neither show in it nor disturb it. In CLUSTERED and INDEX trees an
        inclusive `hi` (or exclusive `lo`) that is a proper prefix of keys stands for all keys that start with it:
        `batches((5,), (5,), hi_inclusive=True)` gives every key whose first element is 5."""

    def column_batches(
        self,
        columns: Sequence[int],
        start: int | None = None,
        stop: int | None = None,
        *,
        passing: bool = False,
        stored: bool = False,
    ) -> Iterator[tuple[Sequence[Value], ...]]:
        """All of a tree of rows in key order by column: per batch one list of values for each of `columns`,
        -1 standing for the keys of a TABLE tree; of such a tree the keys from `start` to before `stop` alone,
        if that is asked for.  The lists must not be changed; they may be `Column`s, which keep what was made
        of them.  Otherwise as `batches`.

        `passing`: whoever asks may stop soon, so that the first batches are small; the second such scan keeps what it
        looks at nevertheless, and some more.  `stored`: whoever asks may not want every value: columns that are not kept
        may come as `StoredColumn`s."""

    def number_batches(self, columns: Sequence[int]) -> Iterator[tuple[Sequence[Value], ...]]:
        """`column_batches` of all rows for who packs numbers: integers and REALs may come in arrays (codes b h i q d),
        consecutive row ids as a range; nothing is kept."""

    def first(self) -> tuple[Key, Value] | None: ...

    def last(self) -> tuple[Key, Value] | None: ...

    def count(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
    ) -> int:
        """Entries in the range; bounds as in `batches`.  Reads the leaves of the range."""

    def estimate(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
    ) -> int:
        """About how many entries are in the range, in O(depth) page reads; for the planner."""


class ColumnBatch(Protocol):
    """Some rows of a table by column, of which those chosen may be changed until the next batch is read."""

    @property
    def count(self) -> int:
        """Rows."""

    @property
    def lists(self) -> Sequence[Sequence[Value]]:
        """The values of the columns that `Rewrite.batches` was asked for."""

    def choose(self, positions: Sequence[int]) -> None:
        """Say which rows are meant: ascending places in the lists, at least one."""

    def values(self, column: int) -> Sequence[Value]:
        """The values of a column in the chosen rows, -1 standing for their keys."""

    def set(self, columns: Mapping[int, Sequence[Value]], kinds: Mapping[int, set[type]]) -> None:
        """Give the chosen rows other values, whose classes are `kinds`, in some columns.  The key must not
        be among them."""

    def delete(self) -> None:
        """Take the chosen rows away."""


class Rewrite(Protocol):
    """Many rows of one table changed as they are scanned.  Nothing else may change it meanwhile, and where
    it is left half-way the transaction has to be rolled back to before it."""

    def batches(
        self, columns: Sequence[int], start: Key | None = None, stop: Key | None = None
    ) -> Iterator[ColumnBatch]:
        """All rows as they are now, or those with keys from `start` to before `stop`."""

    def rows(self, keys: Sequence[Key], *, known: bool = True) -> Iterator[ColumnBatch]:
        """The rows with these keys, which ascend, in batches in which they are chosen.

        `known`: they are there, or else it is a CorruptionError; otherwise the keys of those that are there are
        `values(KEY_COLUMN)`."""

    def finish(self) -> None:
        """Make what has not been made yet."""

    def change_entries(self, gone: Sequence[Key], new: Sequence[Key]) -> bool:
        """Of an INDEX tree: remove some entries and then put others, both ascending; False, with nothing done, where
        they are better changed by `delete_many` and `load`."""


class Savepoint(Protocol):
    """A mark inside a write transaction; tokens nest like a stack."""


class Transaction(Protocol):
    """A snapshot for reading; with `writable`, the single writer's private view."""

    @property
    def writable(self) -> bool: ...

    @property
    def commit_number(self) -> int:
        """The commit (lsn) that this transaction began at."""

    @property
    def pages_read(self) -> int:
        """Nodes visited through this transaction so far, cached or not (EXPLAIN ANALYZE differences it)."""

    @property
    def shape(self) -> object:
        """The same object at two moments, in whatever transactions, means the same catalog and the same kinds
        of value in all trees (for plans)."""

    @property
    def plain_shape(self) -> object:
        """The same, or None where `shape` has to be asked.  For who asks for each statement."""

    def tree(self, tree_id: int) -> Tree:
        """The tree; KeyError if there is none.  The same object for the same id while the transaction lasts."""

    def row(self, tree_id: int, key: Key) -> Value:
        """`tree(tree_id).get(key)`; like those that follow, of a tree whose values are rows, and the quicker way where
        nothing else is to be done with the tree."""

    def put_row(self, tree_id: int, key: Key, row: Value) -> None:
        """`tree(tree_id).put(key, row)`."""

    def insert_row(self, tree_id: int, key: Key, row: Value) -> bool:
        """`tree(tree_id).insert(key, row)`."""

    def delete_row(self, tree_id: int, key: Key) -> bool:
        """`tree(tree_id).delete(key)`."""

    def remove_row(self, tree_id: int, key: Key) -> None:
        """`tree(tree_id).remove(key)`."""

    def entry_with(self, tree_id: int, prefix: tuple[Any, ...]) -> Any:
        """The entry of an INDEX tree that begins with `prefix`, of which it never has several; an empty tuple if there is
        none, None if only `tree(tree_id)` can tell."""

    def put_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        """`tree(tree_id).put(entry)` of an INDEX tree; `parts`: how many of its parts no other entry has, 0 where others
        may."""

    def remove_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        """`tree(tree_id).remove(entry)` of an INDEX tree; as `put_entry`."""

    def next_rowid(self, tree_id: int) -> int | None:
        """The row id after the last one of a table, 1 of an empty one; None after the largest that there may be."""

    def kinds_of(self, tree_id: int) -> tuple[int, ...]:
        """`tree(tree_id).kinds`."""

    def made(self, make: Callable[[Transaction], Made]) -> Made:
        """`make(self)`, the same object again as long as the transaction's trees are the same objects: for what keeps trees
        of it, and nothing that they hold."""

    @property
    def raw_puts(self) -> dict[bytes, Value]:
        """What `put_raw` put and the raw tree does not hold yet; False: `delete_raw` deleted it."""

    def put_raw(self, key: bytes, value: bytes) -> None:
        """`tree(RAW_TREE_ID).put(key, value)`, put off until somebody asks for that tree, or for the end:
        many puts go to the leaves in the order of their keys, whatever order they came in."""

    def delete_raw(self, key: bytes) -> bool:
        """`tree(RAW_TREE_ID).delete(key)`, put off likewise; whether it is there is looked up at once."""

    def tree_ids(self) -> list[int]: ...

    def create_tree(self, kind: TreeKind) -> int:
        """A new empty tree's id; ids are never used again."""

    def drop_tree(self, tree_id: int) -> None: ...

    def upgrade(self, timeout: float | None = None) -> None:
        """Make a read transaction the writer.  ConflictError if anything was committed since it
        began, BusyError if another writer holds the lock beyond `timeout` seconds.  No-op if writable."""

    def savepoint(self) -> Savepoint:
        """O(1)."""

    def rollback_to(self, savepoint: Savepoint) -> None:
        """Undo everything since; the savepoint stays and may be rolled back to again."""

    def release(self, savepoint: Savepoint) -> None:
        """Forget the savepoint and those made after it; their work stays."""

    def is_newest(self) -> bool:
        """Of one that writes: whether it is known to build on the newest commit; it has the writer's lock then."""

    def prepare(self) -> None:
        """Of one that has the writer's lock: do what may fail of a commit that comes next, but for its own write and sync, for
        which there is room on the disk then."""

    def commit(self) -> None:
        """Durable (as the store's durability says) and visible when it returns.  A read transaction just ends."""

    def rollback(self) -> None:
        """End without a trace.  Harmless when ended already."""


class StoreTransaction(Transaction, Protocol):
    """What a store begins."""

    def follow(self, view: Any) -> bool:
        """Go on as a read transaction on the store's newest view: what it gives from then on is as of that.  Nobody
        may be in the midst of a look at its trees.

        Whether all trees that it gave before, the catalog and the kinds of value in the trees are still good;
        else ask it for its trees again."""


class Store(Protocol):
    """A database: begin transactions on it.  May be shared by threads."""

    @property
    def path(self) -> str | None:
        """None for the scratch store in memory."""

    @property
    def place(self) -> str:
        """The same, absolute and with symbolic links followed when it was opened; empty in memory."""

    @property
    def name(self) -> str | None:
        """That by which stores in memory of this process share what is stored; None for what nobody shares so."""

    @property
    def readonly(self) -> bool: ...

    @property
    def memory_bytes(self) -> int:
        """What memory it may take, about: a sort of a session may take as much again."""

    def begin(self, *, write: bool = False, timeout: float | None = None) -> StoreTransaction:
        """A transaction on the newest durable commit.  With `write`, takes the writer's lock first,
        waiting at most `timeout` seconds (None: the store's own), else BusyError naming the holder's pid."""

    def begin_late(self, timeout: float | None = None) -> StoreTransaction:
        """A transaction that writes, for one statement that is over at once.  It may take the writer's lock no sooner
        than it commits, which is ConflictError if another was committed since it began."""

    def view(self) -> Any:
        """The same object as long as nothing is committed, whoever commits.  It has the number of its commit as `lsn`,
        and a `moment`."""

    @property
    def is_newest(self) -> Callable[[Any], bool]:
        """Whether nothing was committed since a moment; one of a view is its `moment`."""

    def await_turn(self) -> None:
        """What a thread calls that finds its view not to be the newest, before it takes in what was committed, with no
        lock held: so readers beside a committing thread take turns."""

    def row_now(self, shape: object, tree_id: int, key: Key) -> Value:
        """The row of a key as of the newest durable commit, None if there is none; NOT_AT_HAND if that takes a transaction, or
        the catalog and the kinds of value are not those of `shape` (`Transaction.shape`)."""

    def raw_changes(self, view: Any, after: int, until: Any = None) -> RawChanges | None:
        """What commits after commit `after` up to those that the view `until` sees, or the newest one, did to the raw
        keys; None if they are many, or did more than to put and delete, or pages were written since `view` was taken."""

    def put(self, key: bytes, value: bytes) -> None:
        """Put one raw key, in a transaction of its own; durable as a commit is when it returns."""

    def put_since(self, moment: Any, key: bytes, value: Any) -> int:
        """`put`, or delete with False for a value, if nothing was committed since a moment that was visible: the number
        of the commit.  0, and nothing done, if that is not so, or is to be done by a transaction."""

    def checkpoint(self) -> None: ...

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> None:
        """Rewrite the file without its dead bytes.  `progress` is called with (pages done, pages in all)
        now and then; what it raises abandons the work, and nothing has changed."""

    def backup(self, path: str, *, progress: Callable[[int, int], None] | None = None) -> None:
        """Copy the newest commit to a file, all or nothing.  `progress` is as for `compact`."""

    def check(self) -> list[str]:
        """Every problem found, each one clear sentence with page and offset; [] when all is well."""

    def close(self, *, ends: bool = False) -> None:
        """`ends`: the process does, too, so that what is in memory need not be freed."""
        ...
