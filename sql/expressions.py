"""Bound scalar expressions: names resolved to columns, SQLite's affinities and collations decided.

The binder builds these trees from sqlglot's; `sql.compile.scalar` turns them into Python source.
Every node is frozen and hashable, so that rules of the optimiser can compare and replace them.
Affinity and collation rules: https://www.sqlite.org/datatype3.html, sections 3, 4.2 and 7.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

SqlValue = None | int | float | str | bytes
"""A value of a row: NULL, INTEGER (64 bits, signed), REAL (never NaN), TEXT, BLOB."""

ROWID = -1
"""`ColumnRef.column` of a table's hidden rowid (the tree's key)."""


class Affinity(enum.IntEnum):
    """Column affinities.  Stored in the catalog, do not change."""

    BLOB = 0  # also: none
    TEXT = 1
    NUMERIC = 2
    INTEGER = 3
    REAL = 4


@dataclass(frozen=True, slots=True)
class Literal:
    value: SqlValue


@dataclass(frozen=True, slots=True)
class Parameter:
    """The `index`-th (from 0) bound value of the statement, its lifted literals included."""

    index: int


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column of one relation of the FROM clause (or of an enclosing query's: correlated).

    `source` numbers the relation instance, unique within the statement; `column` is the position in
    its row, or ROWID.  `kinds` is the mask of `btree.Kind` bits that the column may hold (all bits if
    unknown; NULL's bit is added for the nullable side of an outer join)."""

    source: int
    column: int
    name: str
    table: str
    affinity: Affinity
    collation: str
    kinds: int


@dataclass(frozen=True, slots=True)
class Unary:
    op: str  # - + ~
    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    op: str  # + - * / % & | << >> ||
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison, after SQLite's rules chose which affinity to apply to which side (None: as it is)."""

    op: str  # = <> < <= > >= IS "IS NOT"
    left: Expression
    right: Expression
    left_affinity: Affinity | None = None
    right_affinity: Affinity | None = None
    collation: str = "BINARY"


@dataclass(frozen=True, slots=True)
class And:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Truth:
    """`x IS [NOT] TRUE / FALSE`."""

    operand: Expression
    value: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class InList:
    """`x IN (a, b)`; `affinity` is applied to the items' side when x has one."""

    operand: Expression
    items: tuple[Expression, ...]
    negated: bool = False
    affinity: Affinity | None = None
    collation: str = "BINARY"


@dataclass(frozen=True, slots=True)
class InSubquery:
    """`(x, y) IN (SELECT ...)`; `plan` is the query layer's; affinities per operand as for `=`."""

    operands: tuple[Expression, ...]
    plan: Any
    negated: bool
    left_affinities: tuple[Affinity | None, ...]
    right_affinities: tuple[Affinity | None, ...]
    collations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    plan: Any
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ScalarSubquery:
    """First row, column `column`, else NULL.  Row values of subqueries use several, sharing `plan`."""

    plan: Any
    column: int = 0
    affinity: Affinity = Affinity.BLOB
    collation: str = "BINARY"
    kinds: int = 31


@dataclass(frozen=True, slots=True)
class Case:
    """Searched CASE; a base operand has been turned into comparisons by the binder, which keeps it in
    `base` evaluated once when it is not a plain column or constant."""

    whens: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class Cast:
    operand: Expression
    affinity: Affinity
    type_name: str


@dataclass(frozen=True, slots=True)
class Match:
    """LIKE, GLOB, REGEXP, MATCH as operators (functions of the same name may be overridden by the user)."""

    op: str  # LIKE GLOB REGEXP MATCH
    operand: Expression
    pattern: Expression
    escape: Expression | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A scalar function; `function` is a `sql.functions.Function`."""

    name: str
    arguments: tuple[Expression, ...]
    function: Any
    collation: str = "BINARY"


@dataclass(frozen=True, slots=True)
class Collate:
    operand: Expression
    collation: str


@dataclass(frozen=True, slots=True)
class SlotRef:
    """A value computed by the operator below (an aggregate, a window function, a group key): position
    `slot` of that operator's output row.  `source` is that operator's relation number."""

    source: int
    slot: int
    affinity: Affinity = Affinity.BLOB
    collation: str = "BINARY"
    kinds: int = 31


@dataclass(frozen=True, slots=True)
class Raise:
    """RAISE(action, message) in a trigger's body."""

    action: str  # IGNORE ROLLBACK ABORT FAIL
    message: Expression | None


Expression = (
    Literal
    | Parameter
    | ColumnRef
    | Unary
    | Arithmetic
    | Compare
    | And
    | Or
    | Not
    | Truth
    | InList
    | InSubquery
    | Exists
    | ScalarSubquery
    | Case
    | Cast
    | Match
    | Call
    | Collate
    | SlotRef
    | Raise
)
