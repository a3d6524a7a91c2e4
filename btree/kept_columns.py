"""Columns that are kept with a lowest branch, and what was made of them.

They count against the cache's budget, and the sweep takes them away as it does leaves.

    Column          [1000, 1001, 1002, ...]         36 bytes a value; to go through it costs nothing
    PackedColumn    array('h', 1000 1001 1002 ...)  1 to 8 bytes; an object is made for each value, 10 ns
    PackedTexts     "\0amber\0birch\0cedar..."      a byte beside its characters; 20 ns
    none            the pages are read and checked, 80 ns a value

As long as there is room values are kept as objects.  Once it is gone numbers are packed, those that are kept by then and
all that come later (`Cache.pack_columns`), so that a table several times as large does without its pages.  So are texts that
come later, and those that nobody asks for (`Cache.drop_stale`); the others' room is theirs if they are asked for again and
again (`Cache.unpack`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from operator import is_
from typing import NamedTuple
from weakref import ref

from btree.node import Node
from btree.packed_values import PackedColumn, PackedValues, pack, packed
from btree.protocols import Value

BATCH_ROWS = 2048
"""Rows from which on a batch is full; it ends with a leaf."""


class Column(list[Value]):
    """A batch's values of one column.

    Who reads it may have it keep what was made of it, for the next one who reads it: while the column
    itself is kept, and where there is room.

    `shared`: whether equal values have been made one object.  A batch that takes the place of one where they were
    counts as such, too.  `to_stay`: it was just decoded and will be kept, if there still is room when the scan is
    through what lies below its branch; what is made of it now finds its values in the processor's cache.  `classes`: those
    of its values without NULL, `own_share`: of how many of them it has objects of its own, if somebody has looked."""

    __slots__ = (
        "_derived",
        "_home",
        "classes",
        "derived_bytes",
        "own_share",
        "shared",
        "to_stay",
        "value_bytes",
    )

    # Not the object itself: columns that are let go would be freed by the garbage collector alone, which rests meanwhile.
    _home: ref[Columns]
    shared: bool
    to_stay: bool
    classes: set[type]
    own_share: float
    value_bytes: float
    derived_bytes: int
    _derived: dict[str, object]

    @property
    def kept_in(self) -> Columns | None:
        """The columns that it is kept with in memory, if it is."""
        try:
            return self._home()
        except AttributeError:
            return None

    @kept_in.setter
    def kept_in(self, columns: Columns) -> None:
        self._home = ref(columns)

    @property
    def is_kept(self) -> bool:
        """Whether it is kept in memory."""
        return self.kept_in is not None

    @property
    def is_to_stay(self) -> bool:
        """Whether it is kept in memory, or will be."""
        return self.is_kept or getattr(self, "to_stay", False)

    def derived(self, name: str) -> object:
        """What was kept under the name, else None."""
        try:
            return self._derived.get(name)
        except AttributeError:
            return None

    def keep(self, name: str, value: object, size_bytes: int) -> None:
        """Keep what was made of the column, and takes so much memory."""
        columns = self.kept_in  # None: it may be kept once the scan that makes it is through
        if columns is not None and not columns.grow(size_bytes):
            return
        try:
            self._derived[name] = value
            self.derived_bytes += size_bytes
        except AttributeError:
            self._derived = {name: value}
            self.derived_bytes = size_bytes

    def shed(self, share: float) -> None:
        """That share of its values have become other columns' objects, and take no memory here any more."""
        self.own_share = 1 - share
        columns = self.kept_in
        if columns is None:
            return  # it counts as that when it is
        size_bytes = int(getattr(self, "value_bytes", 0) * share)
        if size_bytes > 0 and columns.grow(-size_bytes):
            self.value_bytes -= size_bytes


class Layout(NamedTuple):
    """How the leaves below a branch lie in a column's batches."""

    leaves: list[object]
    """What tells each of them from any other: see `leaves_of`."""

    counts: list[int]
    """Their rows."""

    ends: list[int]
    """Of each batch the slot behind its last leaf."""


Kept = Column | PackedColumn | PackedValues

Lists = dict[int, list[Kept]]
"""Batches of columns, by the column's number."""


def bytes_of(column: Kept) -> int:
    """About what a kept column and what was made of it take."""
    if isinstance(column, PackedValues):
        return column.bytes
    size_bytes = sys.getsizeof(column) + getattr(column, "value_bytes", 0)
    return int(size_bytes + getattr(column, "derived_bytes", 0))


def _numbers(column: Kept) -> PackedColumn | None:
    """The column as packed numbers, if it is one of numbers."""
    if isinstance(column, Column):
        return packed(column)
    return column if isinstance(column, PackedColumn) else None


def _in_less(column: Kept) -> Kept:
    """A column of texts, or of numbers and NULLs, packed; any other one, and one that takes less as it is, as it is."""
    made = pack(column) if isinstance(column, Column) else None
    return column if made is None or made.bytes > bytes_of(column) else made


def _as_objects(column: Kept) -> Kept:
    if not isinstance(column, PackedValues):
        return column
    made = Column(column.tolist())
    made.value_bytes = column.unpacked_bytes - sys.getsizeof(made)
    return made


class Columns:
    """Columns of all leaves below a branch: per column the same number of lists, of the same lengths.

    `claim` is asked before it grows."""

    __slots__ = ("__weakref__", "bytes", "claim", "layout", "lists")

    def __init__(
        self,
        lists: Lists,
        layout: Layout,
        size_bytes: int,
        claim: Callable[[int], bool],
    ) -> None:
        self.lists = lists
        self.layout = layout
        self.bytes = size_bytes
        self.claim = claim
        for batches in lists.values():
            for column in batches:
                if isinstance(column, Column):
                    column.kept_in = self

    def grow(self, size_bytes: int) -> bool:
        """Take more memory, if there is room, or less."""
        if not self.claim(size_bytes):
            return False
        self.bytes += size_bytes
        return True

    @property
    def origin(self) -> Columns:
        """The columns that take the memory."""
        return self

    def in_less(self, others_max: int) -> tuple[Columns, int]:
        """The same with numbers packed, and the other columns, too, if these take more than that; without those if even so
        they do.  What they take."""
        lists: Lists = {}
        others: Lists = {}
        bytes_before = packed_bytes = 0
        for number, batches in self.lists.items():
            made = [_numbers(column) for column in batches]
            if None in made:
                others[number] = batches
                continue
            lists[number] = [column for column in made if column is not None]
            bytes_before += sum(map(bytes_of, batches))
            packed_bytes += sum(map(sys.getsizeof, lists[number]))
        rest = max(0, self.bytes - bytes_before)
        if rest > others_max:
            for number, batches in others.items():
                others[number] = less = [*map(_in_less, batches)]
                rest -= sum(map(bytes_of, batches)) - sum(map(bytes_of, less))
            rest = max(0, rest)
        if rest <= others_max:
            lists |= others
        else:
            rest = 0
        return Columns(lists, self.layout, packed_bytes + rest, self.claim), rest

    def without(self, number: int) -> Columns | None:
        """The same without a column; None if it is the only one."""
        lists = {each: batches for each, batches in self.lists.items() if each != number}
        if not lists:
            return None
        size_bytes = max(0, self.bytes - sum(map(bytes_of, self.lists[number])))
        return Columns(lists, self.layout, size_bytes, self.claim)

    def with_packed(self, number: int) -> Columns:
        """The same with a column packed, as far as that gains anything."""
        return self._with(number, [*map(_in_less, self.lists[number])])

    def with_objects(self, number: int) -> Columns:
        """The same with a column of packed texts, or of numbers and NULLs, as objects."""
        return self._with(number, [*map(_as_objects, self.lists[number])])

    def _with(self, number: int, made: list[Kept]) -> Columns:
        before = self.lists[number]
        if all(map(is_, made, before)):
            return self
        more = sum(map(bytes_of, made)) - sum(map(bytes_of, before))
        lists = {**self.lists, number: made}
        return Columns(lists, self.layout, max(0, self.bytes + more), self.claim)

    def outdated(self) -> Outdated:
        """What a copy of the branch has, whose leaves may become others."""
        return Outdated(self)


class Outdated:
    """In the place of columns: what were those of the branch that this one is a changed copy of."""

    __slots__ = ("origin",)

    def __init__(self, columns: Columns) -> None:
        self.origin = columns

    @property
    def bytes(self) -> int:
        """About what they take in memory."""
        return self.origin.bytes

    def outdated(self) -> Outdated:
        """The same for a copy of the copy."""
        return self


def kept_with(
    branch: Node,
    fresh: Lists,
    layout: Layout,
    size_bytes: int,
    claim: Callable[[int], bool],
) -> None:
    """Put more columns with a branch."""
    known = branch.columns
    if isinstance(known, Columns) and known.layout.ends == layout.ends:
        fresh = {**known.lists, **fresh}
        size_bytes += known.bytes
    branch.columns = Columns(fresh, layout, size_bytes, claim)


def packed_among(root: Node, columns: Sequence[int]) -> list[int]:
    """Those of the columns that are kept as packed texts, as the first branch has them."""
    node: object = root
    while isinstance(node, Node) and node.level > 1:
        node = node.children[0] if node.children else None
    kept = node.columns if isinstance(node, Node) else None
    if not isinstance(kept, Columns):
        return []
    return [
        each
        for each in columns
        if isinstance(next(iter(kept.lists.get(each, ())), None), PackedValues)
    ]


def bytes_made_of(lists: Lists) -> int:
    """What was made of columns so far takes."""
    made = [column for batches in lists.values() for column in batches]
    return sum([getattr(column, "derived_bytes", 0) for column in made])


def leaves_of(branch: Node) -> list[object]:
    """What tells the leaves below a lowest branch from all others, in this version and in those that were made
    of it: where a leaf lies in the file, or the node itself if it was not written yet.  Of a leaf that nobody
    has looked for it is its page's number: a change would have put another in its slot."""
    children, pages = branch.children, branch.pages
    assert children is not None and pages is not None
    return [
        (child.location or child) if child.__class__ is Node else int(child) or -page
        for child, page in zip(children, pages, strict=True)
    ]
