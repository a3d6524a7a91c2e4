"""Physical plans: how each block runs.

A `SelectPlan` runs its relations as nested levels, each with the access path chosen for it: the first
level is scanned in batches, every later one is looked up per row of those before it (by key, by index,
in a hash table built once, or scanned again).  Hash joins and automatic indexes are the same thing here.
"""

from __future__ import annotations

from msgspec import Struct

from sql.expressions import ROWID, Affinity, Expression, InList, InSubquery, Literal
from sql.plan.blocks import Block, Relation, Select
from sql.schema import Index


class KeyPart(Struct, frozen=True):
    """A part of an ordered tree's key: a column's position, or None with a bound expression."""

    column: int | None
    expression: Expression | None = None
    collation: str = "BINARY"


ROWID_PART = KeyPart(ROWID, None, "BINARY")


class KeyPath(Struct, frozen=True):
    """An ordered tree that reaches a table's rows: an index, or a WITHOUT ROWID table's own tree.

    `positions` maps columns that can be read from the key itself (stored under BINARY) to their place
    in it; `key_start` is where the table's own key begins in an index key."""

    name: str
    tree_id: int
    parts: tuple[KeyPart, ...]
    unique: bool
    clustered: bool = False
    positions: tuple[tuple[int, int], ...] = ()
    key_start: int = 0
    index: Index | None = None
    where: tuple[Expression, ...] = ()

    def part(self, place: int) -> KeyPart:
        """The part of the key at a place; behind its own parts an index has the table's rowid."""
        return self.parts[place] if place < len(self.parts) else ROWID_PART


class Bound(Struct, frozen=True):
    """One end of a range; the value converted by `affinity` before it is compared."""

    expression: Expression
    inclusive: bool
    affinity: Affinity | None = None


PRESENT = Bound(Literal(None), inclusive=False)
"""The lower bound that `IS NOT NULL` is: as the only one of its kind it is a bound, not a comparison with NULL."""


class Equality(Struct, frozen=True):
    """`column = value`, `column IS value` (`null_safe`) or `column IN (...)`, for one key part."""

    value: Expression | InList | InSubquery
    affinity: Affinity | None = None
    null_safe: bool = False
    many: bool = False


class TableScan(Struct, frozen=True):
    reverse: bool = False


class RowidLookup(Struct, frozen=True):
    equality: Equality
    reverse: bool = False


class RowidRange(Struct, frozen=True):
    low: Bound | None
    high: Bound | None
    reverse: bool = False


class KeyRange(Struct, frozen=True):
    """Entries of `path` whose first parts equal `equal` and whose next part lies in the range.

    `prefix`: the next part starts with this text (LIKE 'x%', GLOB 'x*')."""

    path: KeyPath
    equal: tuple[Equality, ...] = ()
    low: Bound | None = None
    high: Bound | None = None
    prefix: Expression | None = None
    covering: bool = False
    reverse: bool = False


class RowidUnion(Struct, frozen=True):
    """Rows that any of several accesses finds, each once, in rowid order (a multi-index OR).  `covering`: their row ids
    alone."""

    parts: tuple[RowidLookup | RowidRange | KeyRange, ...]
    covering: bool = False


class HashLookup(Struct, frozen=True):
    """A hash table on `keys` of the relation, built once, probed with `probes`.  No keys: a list.

    The relation's `local` filters are applied while it is built, over `access`."""

    keys: tuple[Expression, ...]
    probes: tuple[Expression, ...]
    key_affinities: tuple[Affinity | None, ...]
    probe_affinities: tuple[Affinity | None, ...]
    collations: tuple[str, ...]
    unique: bool
    local: tuple[Expression, ...]
    access: Access
    rows: float = 0.0


class RowsScan(Struct, frozen=True):
    """A subquery's, provider's or work table's rows, in the order they come."""


Access = TableScan | RowidLookup | RowidRange | KeyRange | RowidUnion | HashLookup | RowsScan


class Level(Struct, frozen=True):
    """One relation in join order.  `filters` hold once the level is bound; for a left join `on` decides
    the match and `filters` come after the null row.

    `exists`: of a semi-join (True) or an anti-join (False) `on` decides the match, and no row is joined.
    `batched`: it is looked up for many rows at once, their keys sorted; `merged`: those keys come in order by
    themselves; `by_column`: the wanted columns of the whole table are laid out, and subscripted.
    `topmost`: of what it has for each row before, and each value of an IN, in ORDER BY's order, no more is wanted than
    LIMIT lets through."""

    relation: Relation
    access: Access
    left: bool = False
    on: tuple[Expression, ...] = ()
    filters: tuple[Expression, ...] = ()
    rows: float = 1.0
    fan_out: float = 1.0
    batched: bool = False
    merged: bool = False
    exists: bool | None = None
    topmost: bool = False
    by_column: bool = False


class TreeEnd(Struct, frozen=True):
    """min() or max() as an end of a tree: of the row ids (no `path`), or of an index's first part.

    `nullable`: NULL stands before the least value.  No `name`: the tree's length, which is count(*)."""

    tree_id: int
    name: str = ""
    path: KeyPath | None = None
    nullable: bool = False


class SelectPlan(Struct, frozen=True):
    """`constant`: conditions without columns, checked once.  `ordered`: rows come in ORDER BY's order.
    `presorted`: they come in the order of so many of its keys, so that LIMIT may end them.  `grouped`: they come group
    by group, so that it may, too.  `first_row`: one row decides (min / max).  `windowed`: they come in the order of the
    windows, all of which have the same.
    `ends`: what the aggregates are, where each is an end of a tree."""

    block: Select
    levels: tuple[Level, ...]
    constant: tuple[Expression, ...] = ()
    ordered: bool = False
    presorted: int = 0
    grouped: bool = False
    first_row: bool = False
    windowed: bool = False
    count_tree: int | None = None
    ends: tuple[TreeEnd, ...] = ()
    rows: float = 1.0
    cost: float = 0.0


class BlockPlan(Struct, frozen=True):
    """Any other block: its arms are planned by themselves."""

    block: Block
    rows: float = 1.0
    cost: float = 0.0


Plan = SelectPlan | BlockPlan
