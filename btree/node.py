"""A node of a B+tree in memory: decoded Python objects in sorted lists.

    branch   keys      [   s1,   s2,   s3   ]      separators
             children  [ c0 ,  c1 ,  c2 ,  c3 ]    child i holds the keys of [s(i), s(i+1))
             pages     [ p0 ,  p1 ,  p2 ,  p3 ]    their page ids, 0 where none is given yet
    leaf     keys      [ k0 ,  k1 ,  k2 ]
             values    [ v0 ,  v1 ,  v2 ]          None in an INDEX tree
             children  None

A child is a `Node`, or an int when it is not in memory: the location of its page in the file, or 0
when that has not been looked up yet.  Descents do not test which: an int has no `keys`, and the
AttributeError sends them to the slow path that loads the page.  So a hit pays nothing for eviction.

Sharing: a node belongs to the writer whose token is its `owner`, and only that writer changes it in
place; for everybody else it is immutable, except that a child may turn from int to Node and back.
A writer that meets a node of another owner copies it, and the path above it.  A branch's copy shares
`keys` and `pages` with the original, so those two lists are replaced and never changed in place.

`columns`: what scans by column keep with a lowest branch, see `columns`.
`level` is 0 in leaves.  `bytes` is about what the node takes in memory, 0 before it was ever measured.
`unflushed`: in a leaf, that it differs from its page on the disk; in a branch, that it or something
below it does.  `location` is 0 while the node's own page has to be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btree.protocols import Key, Value

if TYPE_CHECKING:
    from collections.abc import Container

    from btree.added import Added
    from btree.kept_columns import Columns, Outdated


class Owner:
    """The token by which a writer knows its nodes; it takes a new one at each savepoint."""

    __slots__ = ("number", "writer")

    def __init__(self, writer: object, number: int = 0) -> None:
        self.writer = writer  # the same for all tokens of one transaction
        self.number = number  # ascends from one to the next


class NotInMemoryError(AttributeError):
    """A value lies in a page of its own: take the slow path, as for a child that is an int."""


Part = tuple[int, int, int]
"""A long value of a row: its column, its page, and how many bytes that has."""


class InPages:
    """Stands in a leaf for a value that is in pages of its own, or parts of which are."""

    __slots__ = ()

    @property
    def pages(self) -> list[int]:
        """The pages' numbers."""
        raise NotImplementedError

    @property
    def size_bytes(self) -> int:
        """Bytes of those pages."""
        raise NotImplementedError


class LargeReference(InPages):
    """Stands for a value of the raw tree."""

    __slots__ = ("location", "page", "size_bytes")

    size_bytes: int

    def __init__(self, page: int, location: int, size_bytes: int) -> None:
        self.page = page
        self.location = location
        self.size_bytes = size_bytes

    @property
    def pages(self) -> list[int]:
        return [self.page]


class LongRow(InPages):
    """Stands for a row with values in pages of their own: `head` has NULLs in their columns."""

    __slots__ = ("head", "parts")

    def __init__(self, head: tuple[Value, ...], parts: tuple[Part, ...]) -> None:
        self.head = head
        self.parts = parts

    def is_read(self, columns: Container[int]) -> bool:
        """Whether `head` has all there is in some columns."""
        return not any(column in columns for column, _, _ in self.parts)

    @property
    def pages(self) -> list[int]:
        return [page for _, page, _ in self.parts]

    @property
    def size_bytes(self) -> int:
        return sum([size for _, _, size in self.parts])


class LargeValues(list[Value]):
    """The values of a leaf for some of which stand `InPages`.

    Touching one of those by its index raises `NotInMemoryError`, so ordinary leaves pay nothing for
    the existence of large values.  `list(values)` gives what stands for them."""

    __slots__ = ()

    def __getitem__(self, slot: Any) -> Any:
        value = list.__getitem__(self, slot)
        if isinstance(value, InPages):
            raise NotInMemoryError
        return value

    def __setitem__(self, slot: Any, value: Any) -> None:
        self[slot]  # a large value's page has to be freed
        list.__setitem__(self, slot, value)

    def __delitem__(self, slot: Any) -> None:
        self[slot]
        list.__delitem__(self, slot)


def like(
    values: list[Value] | None, start: int = 0, end: int | None = None, step: int = 1
) -> list[Value] | None:
    """A copy of a slice of a leaf's values that is of their class."""
    if values is None:
        return None
    if values.__class__ is list:
        return values[start:end:step]
    return LargeValues(list(values)[start:end:step])


class Node:
    """A leaf (`children` is None) or a branch."""

    __slots__ = (
        "added",
        "bytes",
        "children",
        "columns",
        "keys",
        "level",
        "location",
        "owner",
        "page",
        "pages",
        "unflushed",
        "values",
    )

    keys: list[Key]
    values: list[Value] | None
    children: list[Any] | None
    pages: list[int] | None
    columns: Columns | Outdated | None
    level: int
    page: int
    location: int
    bytes: int
    owner: object
    unflushed: bool
    added: Added  # of a leaf that was read with columns put behind its page's, no others have it


def new_leaf(keys: list[Key], values: list[Value] | None, owner: object, page: int = 0) -> Node:
    """A leaf that has never been written."""
    node = Node()
    node.keys = keys
    node.values = values
    node.children = None
    node.pages = None
    node.columns = None
    node.level = 0
    node.page = page
    node.location = 0
    node.bytes = 0
    node.owner = owner
    node.unflushed = True
    return node


def new_branch(
    keys: list[Key], children: list[Any], pages: list[int], *, level: int, owner: object
) -> Node:
    """A branch that has never been written."""
    node = Node()
    node.keys = keys
    node.values = None
    node.children = children
    node.pages = pages
    node.columns = None
    node.level = level
    node.page = 0
    node.location = 0
    node.bytes = 0
    node.owner = owner
    node.unflushed = True
    return node


def copied(node: Node, owner: object) -> Node:
    """A copy of `node` that `owner` may change."""
    copy = Node()
    copy.level = node.level
    copy.page = node.page
    copy.bytes = node.bytes
    copy.owner = owner
    columns = node.columns
    copy.columns = None if columns is None else columns.outdated()
    copy.unflushed = True
    children = node.children
    if children is None:
        copy.keys = node.keys.copy()
        copy.values = like(node.values)
        copy.children = copy.pages = None
        copy.location = 0
    else:
        copy.keys = node.keys
        copy.values = None
        copy.children = children.copy()
        copy.pages = node.pages
        copy.location = node.location
    return copy
